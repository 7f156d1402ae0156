//! Whom to call, and when.

use super::Node;
use crate::lan::identity::peer_of;
use crate::lan::limits::{REDIAL_FIRST, REDIAL_LATER};
use crate::lan::neighbours;
use crate::lan::peers::peer_in;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Calls under way, and addresses to call of which it is not known whose they are.
#[derive(Debug, Default)]
pub(super) struct Calls {
    under_way: BTreeMap<ConnectionId, PeerId>,
    nameless: Vec<Nameless>,
    neighbours: BTreeSet<PeerId>,
}

/// An address without a name.
#[derive(Debug)]
struct Nameless {
    address: Multiaddr,
    call: Option<ConnectionId>,
    at: Instant,
    wait: Duration,
}

impl Node {
    /// Notes addresses that this side was told to call.
    pub(super) fn told_to_call(&mut self, addresses: Vec<Multiaddr>) {
        let now = Instant::now();
        for address in addresses {
            match peer_in(&address) {
                Some(peer) => {
                    if let Some(peer) = self.peers.entry(peer, now) {
                        peer.told = true;
                        peer.add_address(address, now);
                    }
                }
                None => self.calls.nameless.push(Nameless { address, call: None, at: now, wait: REDIAL_FIRST }),
            }
        }
    }

    /// Calls everyone whose time has come; answers when the next time comes.
    pub(super) fn call_who_is_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let due: Vec<PeerId> = self.wanted(now).filter(|(_, at)| *at <= now).map(|(peer, _)| peer).collect();
        for peer in due {
            self.call(peer, now);
        }
        for at in 0..self.calls.nameless.len() {
            let nameless = &mut self.calls.nameless[at];
            if nameless.call.is_none() && nameless.at <= now {
                let call = DialOpts::unknown_peer_id().address(nameless.address.clone()).build();
                nameless.call = Some(call.connection_id());
                if let Err(error) = self.swarm.dial(call) {
                    tracing::debug!(address = %nameless.address, "cannot call: {error}");
                    nameless.put_off(now);
                }
            }
        }
        let pairing = self.next_asking(now);
        let nameless = self.calls.nameless.iter().filter(|nameless| nameless.call.is_none()).map(|nameless| nameless.at);
        let next = self.wanted(now).map(|(_, at)| at).chain(nameless).chain(pairing).min();
        let places = self.ask_for_places(now);
        next.into_iter().chain(places).min()
    }

    /// Peers that should be connected and are not, or only through a relay, and when to call them.
    fn wanted(&self, now: Instant) -> impl Iterator<Item = (PeerId, Instant)> {
        let calling: BTreeSet<&PeerId> = self.calls.under_way.values().collect();
        let list = self.list();
        let wanted: Vec<(PeerId, Instant)> = self
            .peers
            .iter()
            .filter(|(id, peer)| {
                (!peer.is_connected() || peer.is_relayed())
                    && self.can_be_called(id)
                    && (peer.told || self.is_caller(id) || self.relays.greets(id))
                    && !calling.contains(id)
            })
            .filter_map(|(id, peer)| {
                let listed = peer_of(id).is_some_and(|peer| list.has(&peer));
                if self.relays.has(id) || listed && (peer.told || self.calls.neighbours.contains(id)) {
                    return Some((*id, peer.dial_at));
                }
                let ask_at = self.window.as_ref().and_then(|window| window.ask_at(id, now))?;
                Some((*id, peer.dial_at.max(ask_at)))
            })
            .collect();
        wanted.into_iter()
    }

    fn call(&mut self, id: PeerId, now: Instant) {
        let chance = chance();
        let addresses = self.addresses_to_call(&id);
        let call = DialOpts::peer_id(id).condition(PeerCondition::Always).addresses(addresses).build();
        let connection = call.connection_id();
        match self.swarm.dial(call) {
            Ok(()) => drop(self.calls.under_way.insert(connection, id)),
            Err(error) => {
                tracing::debug!(peer = %id, "cannot call: {error}");
                self.on_way_not_found(id, now, chance);
            }
        }
    }

    /// Notes that a call has been answered. An address without a name has one now.
    pub(super) fn on_call_answered(&mut self, connection: ConnectionId, id: PeerId) {
        self.calls.under_way.remove(&connection);
        let Some(at) = self.calls.nameless.iter().position(|nameless| nameless.call == Some(connection)) else { return };
        let now = Instant::now();
        let nameless = self.calls.nameless.swap_remove(at);
        if let Some(peer) = self.peers.entry(id, now) {
            peer.told = true;
            peer.add_address(nameless.address, now);
        }
    }

    /// Notes that a call came to nothing.
    pub(super) fn on_call_failed(&mut self, connection: ConnectionId) {
        let now = Instant::now();
        if let Some(id) = self.calls.under_way.remove(&connection) {
            self.on_way_not_found(id, now, chance());
        }
        if let Some(nameless) = self.calls.nameless.iter_mut().find(|nameless| nameless.call == Some(connection)) {
            nameless.put_off(now);
        }
    }

    /// Chooses neighbours again, after peers came, went or were put on the list.
    pub(super) fn choose_neighbours(&mut self) {
        let list = self.list();
        let listed = |id: &PeerId| peer_of(id).is_some_and(|peer| list.has(&peer));
        let others = self
            .peers
            .iter()
            .filter(|(id, peer)| (peer.is_connected() || self.can_be_called(id)) && listed(id))
            .map(|(id, _)| *id)
            .collect();
        drop(list);
        self.calls.neighbours = neighbours::choose(self.own, &others);
    }
}

impl Nameless {
    fn put_off(&mut self, now: Instant) {
        self.call = None;
        self.at = now + self.wait;
        self.wait = (self.wait * 2).min(REDIAL_LATER);
    }
}

/// A number between 0 and 1.
pub(super) fn chance() -> f64 {
    f64::from(u16::from_le_bytes(crate::repo::random())) / f64::from(u16::MAX)
}
