//! What is known of other peers: where they can be called, which connections there are, and when to call again.
//!
//! libp2p tells of a peer once, and after that of nothing: remembering addresses and calling again is this table's.

use super::limits::*;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// The other end's address.
    pub(super) address: Multiaddr,
    /// Whether this side began it.
    pub(super) dialled: bool,
    /// Whether another peer passes it on.
    pub(super) relayed: bool,
    /// Since when.
    pub(super) since: Instant,
    /// Being closed: it may take long until it is gone.
    pub(super) doomed: bool,
}

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where it was found, the newest last.
    addresses: Vec<Multiaddr>,
    /// Where it says that it is, while it is nobody who is called: it may be paired with in a moment.
    heard: Vec<Multiaddr>,
    /// Whether this side was told to call it, whoever else would.
    pub(super) told: bool,
    /// Connections that are open.
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    /// When it may be called again.
    pub(super) dial_at: Instant,
    wait: Duration,
    /// When it was last there, or first heard of.
    seen: Instant,
}

impl Peer {
    fn new(now: Instant) -> Self {
        Self {
            addresses: Vec::new(),
            heard: Vec::new(),
            told: false,
            connections: BTreeMap::new(),
            dial_at: now,
            wait: REDIAL_FIRST,
            seen: now,
        }
    }

    /// Whether there is a connection that will last.
    pub(super) fn is_connected(&self) -> bool {
        self.connections.values().any(|connection| !connection.doomed)
    }

    /// Whether there is a connection, and each passes through a relay.
    pub(super) fn is_relayed(&self) -> bool {
        self.is_connected() && self.connections.values().all(|connection| connection.doomed || connection.relayed)
    }

    /// Where to call it.
    pub(super) fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// Remembers an address; answers whether it is new. A peer that is found somewhere new is called soon.
    pub(super) fn add_address(&mut self, address: Multiaddr, now: Instant) -> bool {
        let address = without_peer(address);
        if self.addresses.contains(&address) {
            return false;
        }
        if self.addresses.len() == ADDRESSES_MAX {
            self.addresses.remove(0);
        }
        self.addresses.push(address);
        // One that was just found is not put off by each further address.
        if self.addresses.len() == 1 {
            self.dial_at = now + GATHER;
        } else {
            self.dial_at = self.dial_at.min(now + GATHER);
        }
        true
    }

    /// Keeps what it says of its addresses for when it is on the list.
    pub(super) fn hear(&mut self, mut addresses: Vec<Multiaddr>) {
        addresses.truncate(ADDRESSES_MAX);
        self.heard = addresses;
    }

    /// Takes what it has said for its addresses.
    pub(super) fn believe(&mut self, now: Instant) {
        for address in std::mem::take(&mut self.heard) {
            self.add_address(address, now);
        }
    }

    /// The connection that was opened last.
    pub(super) fn newest(&self) -> Option<ConnectionId> {
        self.connections.iter().max_by_key(|(_, connection)| connection.since).map(|(id, _)| *id)
    }

    /// Puts the next call off, or brings it forward.
    pub(super) fn call_at(&mut self, at: Instant) {
        self.dial_at = at;
    }

    /// Forgets an address.
    pub(super) fn remove_address(&mut self, address: &Multiaddr) {
        let address = without_peer(address.clone());
        self.addresses.retain(|known| *known != address);
    }

    /// Notes that it is there: the next call, should there be one, comes soon.
    pub(super) fn on_there(&mut self, now: Instant) {
        self.seen = now;
        self.wait = REDIAL_FIRST;
    }

    /// Plans the next call after one was made or came to nothing; `chance` between 0 and 1 keeps a crowd from calling as one.
    pub(super) fn call_later(&mut self, now: Instant, chance: f64) {
        let longest = if now.duration_since(self.seen) > AWAY { REDIAL_LATER } else { REDIAL_SOON };
        self.call_within(longest, now, chance);
    }

    /// The same, where the longest wait is this.
    pub(super) fn call_within(&mut self, longest: Duration, now: Instant, chance: f64) {
        self.dial_at = now + self.wait.mul_f64(0.5 + chance / 2.0);
        self.wait = (self.wait * 2).min(longest);
    }

    /// The connections that are too many, when one alone is to stay: a direct one, and of two the newer, because the older may be dead.
    pub(super) fn surplus(&self) -> Vec<ConnectionId> {
        let open = self.connections.iter().filter(|(_, connection)| !connection.doomed);
        let best = open.clone().max_by_key(|(_, connection)| (!connection.relayed, connection.since));
        let Some((best, _)) = best else { return Vec::new() };
        open.map(|(id, _)| *id).filter(|id| id != best).collect()
    }
}

/// Everyone who is known.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<PeerId, Peer>,
}

impl Peers {
    /// The peer of this id, known from now on; nothing when there is no room for one more.
    pub(super) fn entry(&mut self, peer: PeerId, now: Instant) -> Option<&mut Peer> {
        if !self.known.contains_key(&peer) && self.known.len() >= PEERS_KNOWN_MAX {
            return None;
        }
        Some(self.known.entry(peer).or_insert_with(|| Peer::new(now)))
    }

    pub(super) fn get(&self, peer: &PeerId) -> Option<&Peer> {
        self.known.get(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &PeerId) -> Option<&mut Peer> {
        self.known.get_mut(peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.known.iter()
    }

    /// Forgets those without a connection that `unwanted` names.
    pub(super) fn forget(&mut self, mut unwanted: impl FnMut(&PeerId, &Peer) -> bool) {
        self.known.retain(|id, peer| !peer.connections.is_empty() || !unwanted(id, peer));
    }
}

/// An address without the name of the peer at its end, so that one address is one.
pub(super) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address
}

/// The peer that an address names, if it names one.
pub(super) fn peer_in(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Whether an address leads to this machine alone.
pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.1/udp/{port}/quic-v1").parse().expect("it is an address")
    }

    fn connection(relayed: bool, since: Instant) -> Connection {
        Connection { address: address(1), dialled: true, relayed, since, doomed: false }
    }

    #[test]
    fn calls_come_soon_after_a_peer_was_there_and_seldom_after_it_was_long_away() {
        let start = Instant::now();
        let mut peer = Peer::new(start);
        let waits: Vec<Duration> = (0..6)
            .map(|_| {
                peer.call_later(start, 1.0);
                peer.dial_at.duration_since(start)
            })
            .collect();
        assert_eq!(waits[0], REDIAL_FIRST);
        assert_eq!(waits[5], REDIAL_SOON);
        let later = start + AWAY * 2;
        for _ in 0..6 {
            peer.call_later(later, 1.0);
        }
        assert_eq!(peer.dial_at.duration_since(later), REDIAL_LATER);
        peer.on_there(later);
        peer.call_later(later, 0.0);
        assert_eq!(peer.dial_at.duration_since(later), REDIAL_FIRST / 2);
    }

    #[test]
    fn a_peer_found_somewhere_new_is_called_soon_and_old_addresses_make_room() {
        let now = Instant::now();
        let mut peer = Peer::new(now);
        peer.call_later(now, 1.0);
        assert!(peer.dial_at > now + GATHER && peer.add_address(address(1), now) && peer.dial_at == now + GATHER);
        peer.add_address(address(2), now + GATHER / 2);
        assert_eq!(peer.dial_at, now + GATHER, "further addresses do not put it off");
        let named = address(1).with(Protocol::P2p(PeerId::random()));
        assert!(!peer.add_address(named, now), "with its name it is the same");
        for port in 3..100 {
            peer.add_address(address(port), now);
        }
        assert_eq!(peer.addresses().len(), ADDRESSES_MAX);
        assert_eq!(peer.addresses().last(), Some(&address(99)));
    }

    #[test]
    fn what_a_stranger_says_is_believed_once_it_is_none() {
        let now = Instant::now();
        let mut peer = Peer::new(now);
        peer.hear((0..100).map(address).collect());
        assert!(peer.addresses().is_empty());
        peer.believe(now);
        assert_eq!(peer.addresses().len(), ADDRESSES_MAX);
        peer.believe(now);
        assert_eq!(peer.addresses().len(), ADDRESSES_MAX);
    }

    #[test]
    fn one_connection_stays_the_direct_one_or_the_newest() {
        let now = Instant::now();
        let mut peer = Peer::new(now);
        let ids: Vec<ConnectionId> = (0..3).map(ConnectionId::new_unchecked).collect();
        peer.connections.insert(ids[0], connection(false, now));
        peer.connections.insert(ids[1], connection(false, now + Duration::from_secs(1)));
        peer.connections.insert(ids[2], connection(true, now + Duration::from_secs(2)));
        assert_eq!(peer.surplus(), [ids[0], ids[2]]);
        peer.connections.get_mut(&ids[1]).expect("it is there").doomed = true;
        assert_eq!(peer.surplus(), [ids[2]]);
        assert!(peer.is_connected() && !peer.is_relayed());
        peer.connections.get_mut(&ids[0]).expect("it is there").doomed = true;
        assert!(peer.is_relayed());
    }

    #[test]
    fn there_is_room_for_so_many_peers_and_no_more() {
        let now = Instant::now();
        let mut peers = Peers::default();
        for _ in 0..PEERS_KNOWN_MAX + 10 {
            let _ = peers.entry(PeerId::random(), now).map(|peer| peer.add_address(address(1), now));
        }
        assert_eq!(peers.iter().count(), PEERS_KNOWN_MAX);
        peers.forget(|_, _| true);
        assert!(peers.entry(PeerId::random(), now).is_some());
    }
}
