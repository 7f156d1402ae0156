//! What happens on the network: peers found, connections opened and closed.

use super::Node;
use super::calls::chance;
use crate::lan::identity::peer_of;
use crate::lan::in_words;
use crate::lan::limits::{DISCOVERED_MAX, STRANGERS_MAX};
use crate::lan::peers::{Connection, Peer, is_loopback};
use crate::lan::status::LanNews;
use crate::lan::swarm::BehaviourEvent;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{ConnectionId, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, dcutr, identify, mdns};
use std::sync::PoisonError;
use std::time::Instant;

impl Node {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(mdns::Event::Discovered(found))) => self.on_discovered(found),
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(mdns::Event::Expired(gone))) => self.on_expired(gone),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, connection_id })) => {
                self.on_identified(peer_id, connection_id, info.listen_addrs);
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "a connection is gone");
                self.on_disconnected(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                tracing::debug!(peer = ?peer_id, "a call came to nothing: {error}");
                self.on_call_failed(connection_id);
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::debug!("a connection was not opened: {error}");
                if !matches!(error, ListenError::Aborted) {
                    self.refused.connections += 1;
                }
            }
            SwarmEvent::NewListenAddr { listener_id, address } => self.on_listening(listener_id, &address),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                let why = reason.err().map(|error| in_words(&error));
                if !self.on_not_listening(listener_id, why.clone())
                    && let Some(why) = why
                {
                    tracing::error!(?addresses, "no longer listening: {why}");
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Direct(dcutr::Event { remote_peer_id, result })) => match result {
                Ok(_) => tracing::info!(peer = %remote_peer_id, "a direct connection was opened"),
                Err(error) => tracing::info!(peer = %remote_peer_id, "no direct connection can be opened: {}", in_words(&error)),
            },
            SwarmEvent::ListenerError { error, .. } => tracing::warn!("listening: {error}"),
            _ => {}
        }
    }

    fn on_discovered(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let told_of = self.swarm.behaviour().mdns.as_ref().map_or(0, |mdns| mdns.discovered_nodes().len());
        if told_of > DISCOVERED_MAX {
            tracing::warn!("mDNS tells of more than {DISCOVERED_MAX} peers, which someone must have made up: it is turned off");
            self.swarm.behaviour_mut().mdns = Toggle::from(None);
        }
        // A peer on this machine is found at its other addresses too.
        self.on_found(found.into_iter().filter(|(_, address)| !is_loopback(address)).collect());
    }

    /// Remembers where peers are that are on the list, or that may be paired with.
    pub(super) fn on_found(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let now = Instant::now();
        let window_open = self.window.as_ref().is_some_and(|window| window.is_open(now));
        for (id, address) in found {
            let listed = self.is_listed(&id);
            // Others are no business of ours.
            if id == self.own || !(listed || window_open) {
                continue;
            }
            if listed {
                self.make_room(&id, now);
            }
            if let Some(peer) = self.peers.entry(id, now) {
                peer.add_address(address, now);
            }
            self.offer(&id);
        }
    }

    /// Forgets strangers where there is no room for a peer on the list.
    pub(super) fn make_room(&mut self, id: &PeerId, now: Instant) {
        if self.peers.get(id).is_none() && self.peers.entry(*id, now).is_none() {
            self.forget_strangers(|_| true);
        }
    }

    /// Forgets those that are not on the list, not connected, not told of, and of whom it is so.
    fn forget_strangers(&mut self, is_so: impl Fn(&Peer) -> bool) {
        let list = self.list.clone();
        let list = list.lock().unwrap_or_else(PoisonError::into_inner);
        self.peers.forget(|id, peer| !peer.told && is_so(peer) && !peer_of(id).is_some_and(|peer| list.has(&peer)));
    }

    /// Forgets where strangers were. Peers on the list are called there still: a network that was cut for long brings no news of them when it is whole again.
    fn on_expired(&mut self, gone: Vec<(PeerId, Multiaddr)>) {
        for (id, address) in gone {
            if !self.is_listed(&id)
                && let Some(peer) = self.peers.get_mut(&id)
            {
                peer.remove_address(&address);
            }
        }
        self.forget_strangers(|peer| peer.addresses().is_empty());
    }

    /// Remembers where a peer that called can be called back.
    fn on_identified(&mut self, id: PeerId, connection: ConnectionId, addresses: Vec<Multiaddr>) {
        let now = Instant::now();
        self.relays.on_identified(&id, now);
        let listed = self.is_listed(&id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let near = peer.connections.get(&connection).is_some_and(|connection| is_loopback(&connection.address));
        peer.hear(addresses.into_iter().filter(|address| is_loopback(address) == near).collect());
        if listed {
            peer.believe(now);
            self.offer(&id);
        }
    }

    fn on_connected(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        self.on_call_answered(connection, id);
        let listed = self.is_welcome(&id);
        if !listed && !self.admits_stranger(&id, now) {
            self.refused.strangers += 1;
            tracing::debug!(peer = %id, "hung up on a peer that is not on the list");
            self.swarm.close_connection(connection);
            self.call_again_later(id, now);
            return;
        }
        if listed {
            self.make_room(&id, now);
        }
        let Some(peer) = self.peers.entry(id, now) else {
            self.swarm.close_connection(connection);
            return;
        };
        let first = !peer.is_connected();
        peer.on_there(now);
        let (dialled, relayed) = (endpoint.is_dialer(), endpoint.is_relayed());
        let address = match endpoint {
            // Who calls through a relay shows no address but its name; what is worth knowing is which relay.
            ConnectedPoint::Listener { local_addr, .. } if relayed => local_addr.clone(),
            endpoint => endpoint.get_remote_address().clone(),
        };
        tracing::info!(peer = %id, %address, dialled, listed, "connected");
        let shown = address.to_string();
        peer.connections.insert(connection, Connection { address, dialled, relayed, since: now, doomed: false });
        self.close_surplus(&id);
        if listed {
            if first && let Some(peer) = peer_of(&id) {
                self.tell(LanNews::Connected { peer, address: shown });
            }
            // A relay that was named is synced with beside the neighbours, and is none of them.
            if self.is_listed(&id) { self.meet(id, dialled) } else { self.name_to_engine(id) }
        }
        self.on_way_found(id, relayed, now);
        self.ask_to_pair(id, now);
    }

    /// Whether someone who is not on the list may stay, in order to pair.
    fn admits_stranger(&self, id: &PeerId, now: Instant) -> bool {
        let strangers = || self.peers.iter().filter(|(id, peer)| !peer.connections.is_empty() && !self.is_welcome(id)).count();
        let open = self.window.as_ref().is_some_and(|window| window.is_open(now));
        open && peer_of(id).is_some() && strangers() < STRANGERS_MAX
    }

    fn on_disconnected(&mut self, id: PeerId, connection: ConnectionId) {
        let now = Instant::now();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // One that was hung up on at once was never entered.
        if peer.connections.remove(&connection).is_none() || peer.is_connected() {
            return;
        }
        // Of peers on the list the membership decides when.
        let listed = peer_of(&id).is_some_and(|peer| self.list.lock().unwrap_or_else(PoisonError::into_inner).has(&peer));
        if listed {
            peer.call_at(now)
        } else {
            peer.call_later(now, chance())
        }
        self.take_from_engine(&id);
        self.neighbours.disconnected(&id, now);
        self.relays.on_changed(&id);
        if self.is_welcome(&id)
            && let Some(peer) = peer_of(&id)
        {
            tracing::info!(peer = %id, "disconnected");
            self.tell(LanNews::Disconnected { peer });
        } else {
            self.forget_strangers(|peer| peer.addresses().is_empty());
        }
    }

    /// Closes a connection, which may take long where the network is cut; until then it counts as gone.
    pub(super) fn doom(&mut self, id: &PeerId, connection: ConnectionId) {
        if let Some(connection) = self.peers.get_mut(id).and_then(|peer| peer.connections.get_mut(&connection)) {
            connection.doomed = true;
        }
        self.swarm.close_connection(connection);
    }

    /// Closes every connection to a peer.
    pub(super) fn hang_up(&mut self, id: &PeerId) {
        let open: Vec<ConnectionId> =
            self.peers.get(id).map(|peer| peer.connections.keys().copied().collect()).unwrap_or_default();
        for connection in open {
            self.doom(id, connection);
        }
        self.neighbours.disconnected(id, Instant::now());
    }
}
