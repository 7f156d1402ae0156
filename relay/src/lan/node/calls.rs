//! Whom to call, and when.

use super::Node;
use crate::lan::identity::peer_of;
use crate::lan::limits::{REDIAL_FIRST, REDIAL_LATER};
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
    /// Peers on the list that are to be called: the membership wants them as neighbours.
    wanted: BTreeSet<PeerId>,
}

impl Calls {
    /// Notes that a peer need not be called any more.
    pub(super) fn no_longer_wanted(&mut self, peer: &PeerId) {
        self.wanted.remove(peer);
    }
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
                Some(id) => {
                    if let Some(peer) = self.peers.entry(id, now) {
                        peer.told = true;
                        peer.add_address(address, now);
                    }
                    self.offer(&id);
                }
                None => self.calls.nameless.push(Nameless { address, call: None, at: now, wait: REDIAL_FIRST }),
            }
        }
    }

    /// Notes that a peer is to be called, at one of these addresses or where else it is known to be.
    pub(super) fn want_called(&mut self, id: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        self.make_room(&id, now);
        if let Some(peer) = self.peers.entry(id, now) {
            // Through relays of its own this peer calls without being told.
            for address in addresses.into_iter().filter(|address| self.relays.circuits().all(|circuit| circuit != *address)) {
                peer.add_address(address, now);
            }
            self.calls.wanted.insert(id);
        }
    }

    /// Calls everyone whose time has come.
    pub(super) fn call_who_is_due(&mut self) {
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
    }

    /// When the next call is to be made, or the next question to pair put.
    pub(super) fn next_call(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let pairing = self.next_asking(now);
        let nameless = self.calls.nameless.iter().filter(|nameless| nameless.call.is_none()).map(|nameless| nameless.at);
        self.wanted(now).map(|(_, at)| at).chain(nameless).chain(pairing).min()
    }

    /// Peers that should be connected and are not, or only through a relay, and when to call them.
    fn wanted(&self, now: Instant) -> impl Iterator<Item = (PeerId, Instant)> {
        let calling: BTreeSet<&PeerId> = self.calls.under_way.values().collect();
        let list = self.list();
        let wanted: Vec<(PeerId, Instant)> = self
            .peers
            .iter()
            .filter(|(id, peer)| (!peer.is_connected() || peer.is_relayed()) && self.can_be_called(id) && !calling.contains(id))
            .filter_map(|(id, peer)| {
                if self.relays.has(id) {
                    return Some((*id, peer.dial_at));
                }
                // Of two that are connected through a relay, or are strangers to each other, one calls.
                let is_caller = peer.told || self.is_caller(id) || self.relays.greets(id);
                if peer_of(id).is_some_and(|peer| list.has(&peer)) {
                    let missed = self.calls.wanted.contains(id) || self.relays.greets(id);
                    let wanted = if peer.is_connected() { is_caller } else { missed };
                    return wanted.then_some((*id, peer.dial_at));
                }
                let window = self.window.as_ref().filter(|_| is_caller);
                let ask_at = window.and_then(|window| window.ask_at(id, now))?;
                Some((*id, peer.dial_at.max(ask_at)))
            })
            .collect();
        wanted.into_iter()
    }

    fn call(&mut self, id: PeerId, now: Instant) {
        self.calls.wanted.remove(&id);
        let addresses = self.addresses_to_call(&id);
        let call = DialOpts::peer_id(id).condition(PeerCondition::Always).addresses(addresses).build();
        let connection = call.connection_id();
        match self.swarm.dial(call) {
            Ok(()) => drop(self.calls.under_way.insert(connection, id)),
            Err(error) => {
                tracing::debug!(peer = %id, "cannot call: {error}");
                self.call_again_later(id, now);
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
        self.offer(&id);
    }

    /// Notes that a call came to nothing.
    pub(super) fn on_call_failed(&mut self, connection: ConnectionId) {
        let now = Instant::now();
        if let Some(id) = self.calls.under_way.remove(&connection) {
            self.call_again_later(id, now);
        }
        if let Some(nameless) = self.calls.nameless.iter_mut().find(|nameless| nameless.call == Some(connection)) {
            nameless.put_off(now);
        }
    }

    /// Plans the next call to one that could not be reached or is gone: of peers on the list the membership decides.
    pub(super) fn call_again_later(&mut self, id: PeerId, now: Instant) {
        self.on_way_not_found(id, now, chance());
        if self.is_listed(&id) {
            self.neighbours.call_failed(&id, now);
        }
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
