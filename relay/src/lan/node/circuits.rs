//! Being reached through relays, and reaching others there.
//!
//! A relay that was named is called like a peer, and once connected it is asked for a place. With a place there, this peer calls its neighbours through the relay, and they
//! it; DCUtR then tries to open a direct connection, and so does this node at every address it knows. The relayed one is closed once there is a direct one: see
//! [`crate::lan::peers::Peer::surplus`].

use super::Node;
use crate::lan::identity::peer_of;
use crate::lan::in_words;
use crate::lan::limits::{CIRCUIT_AGAIN, DIRECT_AGAIN};
use crate::lan::relays::is_circuit;
use crate::lan::status::LanNews;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::time::Instant;

impl Node {
    /// Whether a peer may stay and sync: it is on the list, or a relay that was named.
    pub(super) fn is_welcome(&self, peer: &PeerId) -> bool {
        self.is_listed(peer) || self.relays.has(peer)
    }

    /// Notes where the relays are.
    pub(super) fn told_of_relays(&mut self) {
        let now = Instant::now();
        for (relay, address) in self.relays.addresses() {
            if let Some(peer) = self.peers.entry(relay, now) {
                peer.told = true;
                peer.add_address(address, now);
            }
        }
    }

    /// Asks the connected relays for places, where it is time; answers when it will be next.
    pub(super) fn ask_for_places(&mut self, now: Instant) -> Option<Instant> {
        let peers = &self.peers;
        let connected = |relay: &PeerId| peers.get(relay).is_some_and(|relay| relay.is_connected());
        for circuit in self.relays.to_ask(now, connected) {
            let asked = self.swarm.listen_on(circuit.clone());
            if let Err(error) = &asked {
                tracing::warn!(%circuit, "no place can be asked for: {}", in_words(error));
            }
            self.relays.on_asked(&circuit, asked.ok(), now);
        }
        self.relays.ask_at(connected)
    }

    /// Notes that it can be reached at one more address.
    pub(super) fn on_listening(&mut self, listener: ListenerId, address: &Multiaddr) {
        tracing::info!(%address, "listening");
        let Some(circuit) = self.relays.on_given(listener) else { return };
        self.tell(LanNews::Reachable { address: circuit.with(Protocol::P2p(self.own)).to_string() });
        // Whoever was here before knows nothing of it, and may call only in a while.
        let now = Instant::now();
        let listed: Vec<PeerId> =
            self.list().peers().filter_map(|(peer, _)| crate::lan::identity::network_peer_of(peer)).collect();
        for id in &listed {
            self.make_room(id, now);
            if let Some(peer) = self.peers.entry(*id, now)
                && !peer.is_connected()
            {
                peer.call_at(now);
            }
        }
        for id in &listed {
            self.offer(id);
        }
        self.relays.greet(listed);
        self.forget_unlisted_ways();
    }

    /// Notes that it cannot be reached there any more; answers whether that was at a relay.
    pub(super) fn on_not_listening(&mut self, listener: ListenerId, why: Option<String>) -> bool {
        if !self.relays.stands_for(listener) {
            return false;
        }
        if let Some((relay, reason)) = self.relays.on_lost(listener, why, Instant::now())
            && let Some(relay) = peer_of(&relay)
        {
            tracing::warn!(%relay, "the relay passes nothing on to this peer: {reason}");
            self.tell(LanNews::NotReachable { relay, reason });
        }
        true
    }

    /// Where to call a peer now: where it was found, and through relays where that is all there is. One that is connected through a relay is called only directly.
    pub(super) fn addresses_to_call(&mut self, id: &PeerId) -> Vec<Multiaddr> {
        let Some(peer) = self.peers.get(id) else { return Vec::new() };
        if peer.is_relayed() {
            return peer.addresses().iter().filter(|address| !is_circuit(address)).cloned().collect();
        }
        let mut addresses: Vec<Multiaddr> =
            peer.addresses().iter().filter(|address| self.relays.is_open(address)).cloned().collect();
        let ways = self.relays.ways_to(id, addresses.iter().any(|address| !is_circuit(address)));
        addresses.extend(ways);
        addresses.dedup();
        addresses
    }

    /// Whether there is any way to call a peer that has no direct connection.
    pub(super) fn can_be_called(&self, id: &PeerId) -> bool {
        let Some(peer) = self.peers.get(id) else { return false };
        let directly = peer.addresses().iter().any(|address| !is_circuit(address));
        let by_circuit = || peer.addresses().iter().any(|address| is_circuit(address) && self.relays.is_open(address));
        directly || (!peer.is_connected() && (by_circuit() || self.relays.lead_on()))
    }

    /// Plans the calls to a peer after a connection to it was opened.
    pub(super) fn on_way_found(&mut self, id: PeerId, relayed: bool, now: Instant) {
        if relayed {
            // What is found out about it from now on is tried at once: a new address brings the next call forward.
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.call_at(now + DIRECT_AGAIN);
            }
        } else {
            self.relays.on_reached(id, true);
        }
        if self.relays.has(&id) {
            self.relays.on_changed(&id);
        }
    }

    /// Closes the connections to a peer that are too many; one side of the two decides which stays, or both might go. A pairing ends before, since it would break with
    /// the connection it is made over, and libp2p does not say which that is.
    pub(super) fn close_surplus(&mut self, id: &PeerId) {
        let pairing = self.window.as_ref().is_some_and(|window| window.is_busy());
        let Some(peer) = self.peers.get(id).filter(|_| !pairing && self.is_caller(id)) else { return };
        let surplus = peer.surplus();
        let moves = !surplus.is_empty() && peer.newest().is_some_and(|newest| !surplus.contains(&newest));
        if moves && let Some((_, line)) = self.lines.get(id) {
            // It is on one of those that go. The engine opens the next at once, and need not wait until this one is found to be dead.
            line.cut("there is a better connection");
        }
        for connection in surplus {
            self.doom(id, connection);
        }
    }

    /// Closes everything that was kept for the sake of a pairing which has ended.
    pub(super) fn close_all_surplus(&mut self) {
        let several: Vec<PeerId> = self.peers.iter().filter(|(_, peer)| peer.connections.len() > 1).map(|(id, _)| *id).collect();
        several.iter().for_each(|id| self.close_surplus(id));
    }

    /// Plans the next call to a peer after one came to nothing, where that is not the membership's business; `chance` is between 0 and 1.
    pub(super) fn on_way_not_found(&mut self, id: PeerId, now: Instant, chance: f64) {
        self.relays.on_reached(id, false);
        let listed = self.is_listed(&id);
        let through_relays_alone = self.relays.lead_on() && !self.relays.has(&id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.is_relayed() {
            peer.call_at(now + DIRECT_AGAIN.mul_f64(0.5 + chance / 2.0));
        } else if through_relays_alone && peer.addresses().iter().all(is_circuit) {
            peer.call_within(CIRCUIT_AGAIN, now, chance);
        } else if !listed {
            peer.call_later(now, chance);
        }
    }

    /// Forgets what is kept about ways to peers that are nobody's business any more.
    fn forget_unlisted_ways(&mut self) {
        let list = self.list.clone();
        let list = list.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.relays.keep(|id| peer_of(id).is_some_and(|peer| list.has(&peer)));
    }
}
