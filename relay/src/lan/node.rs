//! The task that owns the swarm: it hears what happens on the network, and decides whom to call, whom to hang up on, and whose streams to take.
//!
//! Core's membership says whom to call, and to whom there is to be a connection. One peer of each pair decides which connection stays and opens the stream,
//! the one with the lower name; so there is one connection and one session for each pair. The session itself is the engine's: an endpoint is named to it while
//! the peer is a neighbour, and taken back when it is none.

mod calls;
mod circuits;
mod connections;
mod gossip;
mod pairings;

use super::dialler::endpoint_of;
use super::identity::{Identity, did_of, peer_of};
use super::limits::ACCEPTED_MAX;
use super::line::{self, LineCutter, LineEnd};
use super::list::AllowList;
use super::neighbours::Neighbours;
use super::peers::{Peers, is_loopback, peer_in, without_peer};
use super::relays::Relays;
use super::status::{LanNews, LanStatus, PathKind, PathStatus, PeerStatus, Refused, in_words};
use super::swarm::{Behaviour, GOSSIP, PAIR, SYNC};
use super::window::PairingWindow;
use crate::host::Host;
use calls::Calls;
use driftline_core::base::id::SpaceId;
use driftline_core::engine::input::Command;
use driftline_core::gossip::message::GossipMessage;
use driftline_core::gossip::relation::Relation;
use futures_util::StreamExt as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, Swarm};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams};
use pairings::PairingEnd;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Time the connections have to close at the end.
pub(super) const LEAVE_TIME_MAX: Duration = Duration::from_millis(500);

/// What the node is told by its handles and by tasks it started.
pub(super) enum Order {
    /// Sessions may begin: this is the engine they are with.
    Attach(Host),
    /// Someone tells where peers are.
    Found(Vec<Multiaddr>),
    /// A sync stream was opened by this side.
    Opened {
        /// To whom.
        peer: PeerId,
        /// Cuts it.
        cutter: LineCutter,
        /// Tells of its end.
        ended: oneshot::Receiver<LineEnd>,
    },
    /// A sync stream ended.
    Ended {
        /// To whom.
        peer: PeerId,
        /// Which.
        number: u64,
        /// How.
        how: LineEnd,
    },
    /// A peer said something of peers; nothing where that could not be understood.
    Said {
        /// Who.
        peer: PeerId,
        /// What.
        message: Option<GossipMessage>,
    },
    /// A peer has been told why it is hung up on.
    Parted {
        /// Who.
        peer: PeerId,
        /// Its connections then.
        connections: Vec<ConnectionId>,
    },
    /// A pairing ended.
    Pairing(PairingEnd),
    /// How do things look?
    Status(oneshot::Sender<LanStatus>),
    /// Hang up on everyone, and end.
    Leave(oneshot::Sender<()>),
}

/// What a node begins with.
pub(super) struct Beginning {
    pub(super) identity: Identity,
    pub(super) name: String,
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) orders: (mpsc::Sender<Order>, mpsc::Receiver<Order>),
    pub(super) list: Arc<Mutex<AllowList>>,
    pub(super) window: Option<PairingWindow>,
    pub(super) dial: Vec<Multiaddr>,
    pub(super) relays: Relays,
    pub(super) space: watch::Sender<Option<SpaceId>>,
    pub(super) made_up_space: SpaceId,
    pub(super) news: broadcast::Sender<LanNews>,
    pub(super) frame_bytes_max: usize,
}

/// The node.
pub(super) struct Node {
    own: PeerId,
    identity: Identity,
    name: String,
    swarm: Swarm<Behaviour>,
    control: Control,
    orders: mpsc::Sender<Order>,
    list: Arc<Mutex<AllowList>>,
    window: Option<PairingWindow>,
    space: watch::Sender<Option<SpaceId>>,
    made_up_space: SpaceId,
    news: broadcast::Sender<LanNews>,
    frame_bytes_max: usize,
    peers: Peers,
    calls: Calls,
    neighbours: Neighbours,
    /// When those are offered as neighbours again that were given up.
    remind_at: Instant,
    relays: Relays,
    host: Option<Host>,
    /// Peers that were named to the engine as endpoints.
    endpoints: BTreeSet<PeerId>,
    /// The sync stream of each peer that has one.
    lines: BTreeMap<PeerId, (u64, LineCutter)>,
    lines_opened: u64,
    refused: Refused,
}

impl Node {
    /// Runs until told to leave, or until the last handle is gone.
    pub(super) async fn run(beginning: Beginning) {
        let Beginning {
            identity,
            name,
            swarm,
            orders: (orders, mut to_do),
            list,
            window,
            dial,
            relays,
            space,
            made_up_space,
            news,
            frame_bytes_max,
        } = beginning;
        let mut control = swarm.behaviour().streams.new_control();
        let mut sync_streams = accept(&mut control, SYNC);
        let mut gossip_streams = accept(&mut control, GOSSIP);
        let mut pair_streams = match &window {
            Some(_) => accept(&mut control, PAIR),
            None => mpsc::channel(1).1,
        };
        let now = Instant::now();
        let mut node = Self {
            own: identity.network_peer(),
            neighbours: Neighbours::new(identity.peer(), crate::repo::random(), now),
            remind_at: now,
            identity,
            name,
            swarm,
            control,
            orders,
            list,
            window,
            space,
            made_up_space,
            news,
            frame_bytes_max,
            peers: Peers::default(),
            calls: Calls::default(),
            relays,
            host: None,
            endpoints: BTreeSet::new(),
            lines: BTreeMap::new(),
            lines_opened: 0,
            refused: Refused::default(),
        };
        node.told_to_call(dial);
        node.told_of_relays();
        loop {
            let deadline = node.look_after();
            tokio::select! {
                event = node.swarm.select_next_some() => node.on_swarm_event(event),
                Some((peer, stream)) = sync_streams.recv() => node.on_sync_stream(peer, stream),
                Some((peer, stream)) = gossip_streams.recv() => node.on_gossip_stream(peer, stream),
                Some((peer, stream)) = pair_streams.recv() => node.on_pair_stream(peer, stream),
                order = to_do.recv() => match order {
                    Some(Order::Leave(done)) => {
                        node.leave().await;
                        let _ = done.send(());
                        break;
                    }
                    Some(order) => node.on_order(order),
                    None => break,
                },
                // Nobody holds the handle any more, and nobody can tell the node to leave.
                () = node.space.closed() => {
                    node.leave().await;
                    break;
                }
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// Does what is due; answers when something is due next.
    fn look_after(&mut self) -> Option<Instant> {
        self.tend_neighbours();
        self.call_who_is_due();
        // Of a call that could not even begin the membership has heard: it may want another.
        self.tend_neighbours();
        let places = self.ask_for_places(Instant::now());
        self.next_call().into_iter().chain(places).chain([self.neighbours.deadline(), self.remind_at]).min()
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Attach(host) => {
                self.host = Some(host);
                let connected: Vec<PeerId> =
                    self.peers.iter().filter(|(_, peer)| peer.is_connected()).map(|(id, _)| *id).collect();
                connected.iter().for_each(|peer| self.name_to_engine(*peer));
            }
            Order::Found(addresses) => {
                self.on_found(addresses.into_iter().filter_map(|address| Some((peer_in(&address)?, address))).collect())
            }
            Order::Opened { peer, cutter, ended } => self.keep_line(peer, cutter, ended),
            Order::Ended { peer, number, how } => self.on_line_end(peer, number, how),
            Order::Said { peer, message } => self.on_said(peer, message),
            Order::Parted { peer, connections } => self.close(&peer, connections),
            Order::Pairing(end) => self.on_pairing_end(end),
            Order::Status(answer) => drop(answer.send(self.status())),
            Order::Leave(_) => {}
        }
    }

    /// Whether this side is the one of the two that calls and opens the stream: a relay waits to be called.
    fn is_caller(&self, peer: &PeerId) -> bool {
        self.own < *peer || self.relays.has(peer)
    }

    fn list(&self) -> MutexGuard<'_, AllowList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_listed(&self, peer: &PeerId) -> bool {
        peer_of(peer).is_some_and(|peer| self.list().has(&peer))
    }

    fn tell(&self, news: LanNews) {
        // Nobody need listen.
        drop(self.news.send(news));
    }

    /// Names a neighbour to the engine as an endpoint, so that it opens a session.
    fn name_to_engine(&mut self, peer: PeerId) {
        if self.is_caller(&peer)
            && (self.neighbours.has(&peer) || self.relays.syncs_with(&peer))
            && let Some(host) = &self.host
            && self.endpoints.insert(peer)
        {
            host.command(Command::AddEndpoint { endpoint: endpoint_of(&peer) });
        }
    }

    /// Takes a peer's endpoint back: there is nothing to open a stream on.
    fn take_from_engine(&mut self, peer: &PeerId) {
        if self.endpoints.remove(peer)
            && let Some(host) = &self.host
        {
            host.command(Command::RemoveEndpoint { endpoint: endpoint_of(peer) });
        }
    }

    /// Takes a stream that a peer opened for a session.
    fn on_sync_stream(&mut self, peer: PeerId, stream: Stream) {
        let Some(host) = self.host.clone() else { return };
        if !self.is_listed(&peer) {
            self.refused.streams += 1;
            return;
        }
        let (transport, cutter, ended) = line::open(stream, self.frame_bytes_max);
        self.keep_line(peer, cutter, ended);
        host.connect(transport);
    }

    /// Keeps the newest stream of a peer and cuts the one before: the peer would not have opened another if that one worked.
    fn keep_line(&mut self, peer: PeerId, cutter: LineCutter, ended: oneshot::Receiver<LineEnd>) {
        self.lines_opened += 1;
        let number = self.lines_opened;
        if let Some((_, before)) = self.lines.insert(peer, (number, cutter)) {
            before.cut("the peer has opened another stream");
        }
        let orders = self.orders.downgrade();
        tokio::spawn(async move {
            let how = ended.await.unwrap_or(LineEnd::Closed);
            if let Some(orders) = orders.upgrade() {
                drop(orders.send(Order::Ended { peer, number, how }).await);
            }
        });
    }

    fn on_line_end(&mut self, peer: PeerId, number: u64, how: LineEnd) {
        if self.lines.get(&peer).is_some_and(|(newest, _)| *newest == number) {
            self.lines.remove(&peer);
            if how == LineEnd::Silent {
                // What carries nothing is worse than nothing: another connection cannot come before it is gone.
                tracing::info!(%peer, "nothing is heard from the peer any more");
                self.hang_up(&peer);
            }
        }
    }

    fn status(&self) -> LanStatus {
        let list = self.list();
        let now = Instant::now();
        let peers = list
            .peers()
            .map(|(peer, name)| {
                let network = super::identity::network_peer_of(peer);
                let known = network.and_then(|network| self.peers.get(&network));
                let open = || known.into_iter().flat_map(|known| known.connections.values()).filter(|open| !open.doomed);
                let path = open().max_by_key(|open| (!open.relayed, open.since)).map(|open| PathStatus {
                    kind: if open.relayed { PathKind::Relayed } else { kind_of(&open.address) },
                    address: open.address.to_string(),
                    transport: if open.address.iter().any(|part| part == Protocol::QuicV1) { "quic" } else { "tcp" },
                    dialled: open.dialled,
                    seconds: now.duration_since(open.since).as_secs(),
                    syncing: network.is_some_and(|network| self.lines.contains_key(&network)),
                });
                let relation = network.map_or(Relation::Unknown, |network| self.neighbours.relation(&network, now));
                PeerStatus {
                    peer: *peer,
                    did: did_of(peer),
                    name: name.to_owned(),
                    path,
                    connections: open().count(),
                    neighbour: matches!(relation, Relation::Neighbour { .. }),
                    why: in_words(relation),
                }
            })
            .collect();
        let own = self.identity.peer();
        let listeners = self.swarm.listeners();
        let connected = |id: &PeerId| self.peers.get(id).is_some_and(|peer| peer.is_connected());
        LanStatus {
            peer: own,
            did: did_of(&own),
            addresses: listeners.map(|address| without_peer(address.clone()).with(Protocol::P2p(self.own)).to_string()).collect(),
            space: *self.space.borrow(),
            pairing: self.window.as_ref().is_some_and(|window| window.is_open(now)),
            mdns: self.swarm.behaviour().mdns.is_enabled(),
            peers,
            relays: self.relays.status(connected, |id| self.lines.contains_key(id)),
            refused: self.refused,
        }
    }

    /// Hangs up on everyone in order, so that they need not find out by silence.
    async fn leave(&mut self) {
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            // One that went by itself in between is gone too.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        drop(tokio::time::timeout(LEAVE_TIME_MAX, closing).await);
    }
}

/// Takes accepted streams as they come: libp2p keeps about one and drops others without a word.
pub(super) fn accept(control: &mut Control, protocol: StreamProtocol) -> mpsc::Receiver<(PeerId, Stream)> {
    let (hand_on, streams) = mpsc::channel(ACCEPTED_MAX);
    let mut incoming: IncomingStreams = control.accept(protocol).expect("each protocol is accepted once");
    tokio::spawn(async move {
        while let Some(accepted) = tokio::select! {
            accepted = incoming.next() => accepted,
            () = hand_on.closed() => None,
        } {
            // One too many is dropped: its sender tries again.
            drop(hand_on.try_send(accepted));
        }
    });
    streams
}

pub(super) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn kind_of(address: &Multiaddr) -> PathKind {
    let near = address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_private() || ip.is_link_local(),
        Protocol::Ip6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
        _ => false,
    });
    if near || is_loopback(address) { PathKind::Lan } else { PathKind::Direct }
}
