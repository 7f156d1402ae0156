//! The task that owns a relay's swarm.

use super::behaviour::{Behaviour, BehaviourEvent};
use super::calls::Calls;
use super::{Admission, StationCounts};
use crate::host::Host;
use crate::lan::dialler::endpoint_of;
use crate::lan::in_words;
use crate::lan::line::{self, LineCutter, LineEnd};
use crate::lan::node::{LEAVE_TIME_MAX, Order, accept, sleep_until};
use crate::lan::peers::without_peer;
use crate::lan::relays::RelayAddress;
use crate::lan::swarm::SYNC;
use driftline_core::engine::input::Command;
use futures_util::StreamExt as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, relay};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};

/// What a task begins with.
pub(super) struct Beginning {
    pub(super) own: PeerId,
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) orders: (mpsc::Sender<Order>, mpsc::Receiver<Order>),
    pub(super) dial: Vec<RelayAddress>,
    pub(super) addresses: watch::Sender<Vec<Multiaddr>>,
    /// Whether others reach it where it listens.
    pub(super) learns_where_it_is: bool,
    pub(super) frame_bytes_max: usize,
    pub(super) admission: Admission,
    pub(super) counts: Arc<StationCounts>,
}

/// Which of the two sides opened a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Opener {
    Here,
    There,
}

/// The task.
pub(super) struct Task {
    own: PeerId,
    swarm: Swarm<Behaviour>,
    orders: mpsc::WeakSender<Order>,
    calls: Calls,
    addresses: watch::Sender<Vec<Multiaddr>>,
    learns_where_it_is: bool,
    frame_bytes_max: usize,
    admission: Admission,
    counts: Arc<StationCounts>,
    host: Option<Host>,
    /// The newest sync stream each way: two relays that call each other have one each way.
    lines: BTreeMap<(PeerId, Opener), (u64, LineCutter)>,
    lines_opened: u64,
    /// The connections of each peer, the newest last.
    connections: BTreeMap<PeerId, Vec<ConnectionId>>,
    /// Peers that are reached through this relay.
    placed: BTreeSet<PeerId>,
}

impl Task {
    /// Runs until told to leave, or until the handle is gone.
    pub(super) async fn run(beginning: Beginning) {
        let Beginning { own, swarm, orders, dial, addresses, learns_where_it_is, frame_bytes_max, admission, counts } = beginning;
        let (orders, mut to_do) = orders;
        let mut sync_streams = accept(&mut swarm.behaviour().streams.new_control(), SYNC);
        let mut task = Self {
            own,
            swarm,
            orders: orders.downgrade(),
            calls: Calls::new(dial, Instant::now()),
            addresses,
            learns_where_it_is,
            frame_bytes_max,
            admission,
            counts,
            host: None,
            lines: BTreeMap::new(),
            lines_opened: 0,
            connections: BTreeMap::new(),
            placed: BTreeSet::new(),
        };
        loop {
            let deadline = task.call();
            tokio::select! {
                event = task.swarm.select_next_some() => task.on_swarm_event(event),
                Some((peer, stream)) = sync_streams.recv() => task.on_sync_stream(peer, stream),
                order = to_do.recv() => match order {
                    Some(Order::Leave(done)) => {
                        task.leave().await;
                        let _ = done.send(());
                        break;
                    }
                    Some(order) => task.on_order(order),
                    None => break,
                },
                // The handle was dropped, and nobody can tell it to leave.
                () = task.addresses.closed() => {
                    task.leave().await;
                    break;
                }
                () = sleep_until(deadline) => {}
            }
        }
    }

    fn on_order(&mut self, order: Order) {
        match order {
            Order::Attach(host) => {
                self.host = Some(host);
                for relay in self.calls.connected() {
                    self.name_to_engine(&relay);
                }
            }
            Order::Opened { peer, cutter, ended } => self.keep_line(peer, Opener::Here, cutter, ended, Box::new(())),
            Order::Ended { peer, number, how } => self.on_line_end(peer, number, how),
            // A peer's orders: a relay pairs with nobody, looks for nobody and has no neighbours.
            Order::Found(_)
            | Order::Said { .. }
            | Order::Parted { .. }
            | Order::Pairing(_)
            | Order::Status(_)
            | Order::Leave(_) => {}
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Passing(event)) => self.on_passing(event),
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening for peers");
                if self.learns_where_it_is {
                    self.swarm.add_external_address(address.clone());
                }
                let named = without_peer(address).with(Protocol::P2p(self.own));
                self.addresses.send_modify(|addresses| addresses.push(named));
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                if self.learns_where_it_is {
                    self.swarm.remove_external_address(&address);
                }
                let named = without_peer(address).with(Protocol::P2p(self.own));
                self.addresses.send_modify(|addresses| addresses.retain(|address| *address != named));
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } => {
                self.counts.connections.fetch_add(1, Relaxed);
                self.connections.entry(peer_id).or_default().push(connection_id);
                if self.calls.on_connected(&peer_id, connection_id) {
                    tracing::info!(relay = %peer_id, "connected to another relay");
                    self.name_to_engine(&peer_id);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.counts.connections.fetch_sub(1, Relaxed);
                if let Some(open) = self.connections.get_mut(&peer_id) {
                    open.retain(|open| *open != connection_id);
                }
                if num_established == 0 {
                    self.connections.remove(&peer_id);
                }
                // A place is a connection's; libp2p tells of the end of every connection as if it had had one.
                if num_established == 0 && self.placed.remove(&peer_id) {
                    self.count_places();
                }
                if self.calls.on_disconnected(&peer_id, Instant::now()) {
                    tracing::info!(relay = %peer_id, "no connection to the other relay any more");
                    if let Some(host) = &self.host {
                        host.command(Command::RemoveEndpoint { endpoint: endpoint_of(&peer_id) });
                    }
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                tracing::debug!("a call came to nothing: {}", in_words(&error));
                self.calls.on_failed(connection_id, Instant::now());
            }
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                tracing::error!(?addresses, "no longer listening: {}", in_words(&error));
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!("listening: {}", in_words(&error)),
            _ => {}
        }
    }

    fn on_passing(&mut self, event: relay::Event) {
        use relay::Event as Passing;
        match event {
            Passing::ReservationReqAccepted { src_peer_id, renewed: false } => {
                tracing::info!(peer = %src_peer_id, "is reached through this relay from now on");
                self.placed.insert(src_peer_id);
                self.count_places();
                self.keep_newest(&src_peer_id);
            }
            Passing::ReservationTimedOut { src_peer_id } => {
                self.placed.remove(&src_peer_id);
                self.count_places();
            }
            Passing::CircuitReqAccepted { src_peer_id, dst_peer_id } => {
                tracing::info!(from = %src_peer_id, to = %dst_peer_id, "a connection is passed on");
                self.counts.circuits.fetch_add(1, Relaxed);
                self.counts.circuits_passed.fetch_add(1, Relaxed);
            }
            Passing::CircuitClosed { src_peer_id, dst_peer_id, .. } => {
                tracing::info!(from = %src_peer_id, to = %dst_peer_id, "a connection is passed on no more");
                self.counts.circuits.fetch_sub(1, Relaxed);
            }
            Passing::ReservationReqDenied { src_peer_id, status } => {
                tracing::info!(peer = %src_peer_id, ?status, "no place was given");
                self.counts.refused.fetch_add(1, Relaxed);
            }
            Passing::CircuitReqDenied { src_peer_id, dst_peer_id, status } => {
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?status, "a connection was not passed on");
                self.counts.refused.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }

    /// Closes what a peer had before its newest connection. A peer that ended without a word and came back has left a place at a connection that is dead, and libp2p
    /// would pass on there what is for the peer.
    fn keep_newest(&mut self, peer: &PeerId) {
        if let Some([before @ .., _]) = self.connections.get(peer).map(Vec::as_slice) {
            for connection in before {
                self.swarm.close_connection(*connection);
            }
        }
    }

    fn count_places(&self) {
        self.counts.places.store(self.placed.len(), Relaxed);
    }

    /// Calls the other relays whose time has come; answers when it comes next.
    fn call(&mut self) -> Option<Instant> {
        let now = Instant::now();
        for call in self.calls.due(now) {
            let connection = call.connection_id();
            if let Err(error) = self.swarm.dial(call) {
                tracing::debug!("cannot call: {}", in_words(&error));
                self.calls.on_failed(connection, now);
            }
        }
        self.calls.next()
    }

    fn name_to_engine(&self, relay: &PeerId) {
        if let Some(host) = &self.host {
            host.command(Command::AddEndpoint { endpoint: endpoint_of(relay) });
        }
    }

    /// Takes a stream that a replica opened for a session, if there is room for one more.
    fn on_sync_stream(&mut self, peer: PeerId, stream: Stream) {
        let Some(host) = self.host.clone() else { return };
        let Some(held) = (self.admission)() else {
            tracing::debug!(%peer, "there is no room for one more session");
            return;
        };
        let (transport, cutter, ended) = line::open(stream, self.frame_bytes_max);
        self.keep_line(peer, Opener::There, cutter, ended, held);
        host.connect(transport);
    }

    /// Keeps the newest line and cuts the one before: it would not have been opened if that one worked.
    fn keep_line(
        &mut self,
        peer: PeerId,
        opener: Opener,
        cutter: LineCutter,
        ended: oneshot::Receiver<LineEnd>,
        held: Box<dyn Send>,
    ) {
        self.lines_opened += 1;
        let number = self.lines_opened;
        if let Some((_, before)) = self.lines.insert((peer, opener), (number, cutter)) {
            before.cut("the peer has opened another stream");
        }
        self.counts.streams.fetch_add(1, Relaxed);
        let (orders, counts) = (self.orders.clone(), Arc::clone(&self.counts));
        tokio::spawn(async move {
            let how = ended.await.unwrap_or(LineEnd::Closed);
            drop(held);
            counts.streams.fetch_sub(1, Relaxed);
            if let Some(orders) = orders.upgrade() {
                drop(orders.send(Order::Ended { peer, number, how }).await);
            }
        });
    }

    fn on_line_end(&mut self, peer: PeerId, number: u64, how: LineEnd) {
        let line = [Opener::Here, Opener::There].into_iter().map(|opener| (peer, opener));
        let ended = line.into_iter().find(|key| self.lines.get(key).is_some_and(|(newest, _)| *newest == number));
        if let Some(key) = ended {
            self.lines.remove(&key);
            if how == LineEnd::Silent {
                tracing::info!(%peer, "nothing is heard from the peer any more");
                // It may have gone by itself in between.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
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
