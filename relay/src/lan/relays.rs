//! The relays that were named: where each is, and how it stands with the place that this peer asked of it.
//!
//! A peer behind a router that lets nobody in keeps a connection to a relay and asks it for a place: from then on others reach the peer at a *circuit*, an
//! address that leads through the relay. What is passed on there is sealed between the two peers; the relay sees who, when and how much.

use super::identity::{did_of, peer_of};
use super::limits::{RESERVE_FIRST, RESERVE_MAX};
use super::peers::{peer_in, without_peer};
use super::status::RelayStatus;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Where a relay is, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    address: Multiaddr,
    peer: PeerId,
}

/// Why a text is no relay's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayAddressError {
    /// It is no address of libp2p.
    #[error(
        "{0} is no address of a relay: copy the whole line that `driftline relay --p2p` prints, such as /ip4/203.0.113.7/udp/4001/quic-v1/p2p/12D3…"
    )]
    Malformed(String),
    /// It does not say whose it is.
    #[error("{0} does not say who is there: copy the whole line that `driftline relay --p2p` prints, with /p2p/12D3… at its end")]
    Nameless(String),
}

impl RelayAddress {
    /// Its address, with its name at the end.
    pub fn full(&self) -> Multiaddr {
        self.address.clone().with(Protocol::P2p(self.peer))
    }

    pub(super) fn address(&self) -> &Multiaddr {
        &self.address
    }

    pub(super) fn peer(&self) -> PeerId {
        self.peer
    }

    /// The beginning of every address that leads through it.
    pub(super) fn circuit(&self) -> Multiaddr {
        self.full().with(Protocol::P2pCircuit)
    }
}

impl FromStr for RelayAddress {
    type Err = RelayAddressError;

    fn from_str(text: &str) -> Result<Self, RelayAddressError> {
        let address: Multiaddr = text.parse().map_err(|_| RelayAddressError::Malformed(text.to_owned()))?;
        if is_circuit(&address) {
            return Err(RelayAddressError::Malformed(text.to_owned()));
        }
        let peer = peer_in(&address).filter(|peer| peer_of(peer).is_some());
        let peer = peer.ok_or_else(|| RelayAddressError::Nameless(text.to_owned()))?;
        let address = without_peer(address);
        if address.is_empty() {
            return Err(RelayAddressError::Malformed(text.to_owned()));
        }
        Ok(Self { address, peer })
    }
}

/// A relay that was named, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRelay {
    /// Where.
    pub at: RelayAddress,
    /// Whether it is synced with, too; otherwise it passes on what others may read, and reads nothing.
    pub syncs: bool,
    /// Whether it is asked for a place, so that others reach this peer through it.
    pub meets: bool,
}

/// Whether an address leads through a relay.
pub(super) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The relay that an address leads through, if it does.
fn relay_in(address: &Multiaddr) -> Option<PeerId> {
    let parts: Vec<Protocol<'_>> = address.iter().take_while(|part| *part != Protocol::P2pCircuit).collect();
    match parts.last() {
        Some(Protocol::P2p(relay)) if is_circuit(address) => Some(*relay),
        _ => None,
    }
}

/// The relays that were named.
#[derive(Debug)]
pub(super) struct Relays {
    places: Vec<Place>,
    /// Peers to be called once through a relay, whoever of the two calls otherwise: the relay has only just given a place.
    greeted: BTreeSet<PeerId>,
    /// Peers whose addresses led nowhere when they were last called there.
    unreached: BTreeSet<PeerId>,
}

/// A relay, and the place there.
#[derive(Debug)]
struct Place {
    /// Its addresses: one at least.
    at: Vec<RelayAddress>,
    syncs: bool,
    meets: bool,
    /// What stands for the place, from being asked for to being lost.
    listener: Option<ListenerId>,
    given: bool,
    /// When to ask; nothing before the relay has said who it is, which is also when this peer learns how it looks from there: what a direct way begins with.
    ask_at: Option<Instant>,
    wait: Duration,
    refused: Option<String>,
}

impl Place {
    fn new(at: RelayAddress, syncs: bool, meets: bool) -> Self {
        Self { at: vec![at], syncs, meets, listener: None, given: false, ask_at: None, wait: RESERVE_FIRST, refused: None }
    }

    fn peer(&self) -> PeerId {
        self.at[0].peer
    }

    fn circuit(&self) -> Multiaddr {
        self.at[0].circuit()
    }
}

impl Relays {
    /// A relay that is named by several addresses is one.
    pub(super) fn new(named: Vec<NamedRelay>) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for NamedRelay { at, syncs, meets } in named {
            match places.iter_mut().find(|place| place.peer() == at.peer) {
                Some(place) => {
                    place.syncs |= syncs;
                    place.meets |= meets;
                    place.at.push(at);
                }
                None => places.push(Place::new(at, syncs, meets)),
            }
        }
        Self { places, greeted: BTreeSet::new(), unreached: BTreeSet::new() }
    }

    /// Whether this peer is a relay that was named.
    pub(super) fn has(&self, peer: &PeerId) -> bool {
        self.places.iter().any(|place| place.peer() == *peer)
    }

    /// Whether this peer is a relay that is synced with.
    pub(super) fn syncs_with(&self, peer: &PeerId) -> bool {
        self.places.iter().any(|place| place.syncs && place.peer() == *peer)
    }

    /// Whether there is a relay that passes on.
    pub(super) fn lead_on(&self) -> bool {
        self.places.iter().any(|place| place.given)
    }

    /// The addresses by which any peer with a place there is reached; its name is to be put behind them.
    pub(super) fn circuits(&self) -> impl Iterator<Item = Multiaddr> {
        self.places.iter().filter(|place| place.given).map(|place| place.circuit())
    }

    pub(super) fn addresses(&self) -> Vec<(PeerId, Multiaddr)> {
        self.places.iter().flat_map(|place| &place.at).map(|at| (at.peer, at.address.clone())).collect()
    }

    /// Relays to be asked for a place now, of those that are `connected`.
    pub(super) fn to_ask(&self, now: Instant, connected: impl Fn(&PeerId) -> bool) -> Vec<Multiaddr> {
        let due =
            |place: &&Place| place.listener.is_none() && place.ask_at.is_some_and(|at| at <= now) && connected(&place.peer());
        self.places.iter().filter(due).map(|place| place.circuit()).collect()
    }

    /// When the next of them is to be asked.
    pub(super) fn ask_at(&self, connected: impl Fn(&PeerId) -> bool) -> Option<Instant> {
        let waiting = |place: &&Place| place.listener.is_none() && connected(&place.peer());
        self.places.iter().filter(waiting).filter_map(|place| place.ask_at).min()
    }

    /// Notes that a relay has been asked; nothing stands for the place where it could not be.
    pub(super) fn on_asked(&mut self, circuit: &Multiaddr, listener: Option<ListenerId>, now: Instant) {
        if let Some(place) = self.places.iter_mut().find(|place| place.circuit() == *circuit) {
            place.listener = listener;
            place.ask_at = Some(now + place.wait);
        }
    }

    /// Whether an address can be called: one that leads through a relay that was named, only once that has said who it is. Before, libp2p would
    /// connect to the relay by itself, beside this node, and what went through the connection that is then too many would break.
    pub(super) fn is_open(&self, address: &Multiaddr) -> bool {
        let Some(relay) = relay_in(address) else { return true };
        self.places.iter().find(|place| place.peer() == relay).is_none_or(|place| !place.meets || place.ask_at.is_some())
    }

    /// Notes that a relay is connected, or no more.
    pub(super) fn on_changed(&mut self, relay: &PeerId) {
        for place in self.places.iter_mut().filter(|place| place.peer() == *relay) {
            (place.ask_at, place.wait) = (None, RESERVE_FIRST);
        }
    }

    /// Notes that a relay has said who it is: it is asked at once, whatever it said before.
    pub(super) fn on_identified(&mut self, relay: &PeerId, now: Instant) {
        for place in self.places.iter_mut().filter(|place| place.meets && place.peer() == *relay) {
            place.ask_at = Some(now);
        }
    }

    /// Notes that a place was given, if `listener` stands for one; answers the circuit that leads there, where it is new. The relay tells of several addresses
    /// of its own, one by one; the one that was named is known to work.
    pub(super) fn on_given(&mut self, listener: ListenerId) -> Option<Multiaddr> {
        let place = self.places.iter_mut().find(|place| place.listener == Some(listener))?;
        (place.wait, place.refused) = (RESERVE_FIRST, None);
        let newly = !std::mem::replace(&mut place.given, true);
        newly.then(|| place.circuit())
    }

    /// Whether this stands for a place at a relay.
    pub(super) fn stands_for(&self, listener: ListenerId) -> bool {
        self.places.iter().any(|place| place.listener == Some(listener))
    }

    /// Notes that a place was lost or not given, if `listener` stood for one. Answers the relay, and why, where the relay said why and had not said it before.
    pub(super) fn on_lost(&mut self, listener: ListenerId, why: Option<String>, now: Instant) -> Option<(PeerId, String)> {
        let why = why.map(|why| plainly(&why));
        let place = self.places.iter_mut().find(|place| place.listener == Some(listener))?;
        (place.listener, place.given) = (None, false);
        place.ask_at = Some(now + place.wait);
        place.wait = (place.wait * 2).min(RESERVE_MAX);
        let news = why.clone().filter(|_| place.refused != why).map(|why| (place.peer(), why));
        if why.is_some() {
            place.refused = why;
        }
        news
    }

    /// Calls these peers once.
    pub(super) fn greet(&mut self, peers: impl IntoIterator<Item = PeerId>) {
        self.greeted.extend(peers);
    }

    /// Whether this peer is to be called once.
    pub(super) fn greets(&self, peer: &PeerId) -> bool {
        self.greeted.contains(peer)
    }

    /// Where else to call a peer that is about to be called at so many addresses of its own: through the relays, where it is not reached otherwise.
    pub(super) fn ways_to(&mut self, peer: &PeerId, has_addresses: bool) -> Vec<Multiaddr> {
        let greeted = self.greeted.remove(peer);
        if self.has(peer) || (has_addresses && !greeted && !self.unreached.contains(peer)) {
            return Vec::new();
        }
        self.circuits().collect()
    }

    /// Notes whether a peer was reached without a relay when it was last called.
    pub(super) fn on_reached(&mut self, peer: PeerId, reached: bool) {
        if reached {
            self.unreached.remove(&peer);
        } else {
            self.unreached.insert(peer);
        }
    }

    /// Nobody is unreached or greeted any more of whom it is not so.
    pub(super) fn keep(&mut self, is_so: impl Fn(&PeerId) -> bool) {
        self.greeted.retain(&is_so);
        self.unreached.retain(is_so);
    }

    /// How each stands.
    pub(super) fn status(&self, connected: impl Fn(&PeerId) -> bool, syncing: impl Fn(&PeerId) -> bool) -> Vec<RelayStatus> {
        let status = |place: &Place| {
            let peer = place.peer();
            RelayStatus {
                address: place.at[0].full().to_string(),
                did: peer_of(&peer).map(|peer| did_of(&peer)).unwrap_or_default(),
                connected: connected(&peer),
                reachable: place.given,
                syncing: syncing(&peer),
                refused: place.refused.clone().filter(|_| !place.given),
            }
        };
        self.places.iter().map(status).collect()
    }
}

/// What libp2p says of a refusal, for people.
fn plainly(why: &str) -> String {
    if why.contains("resource limit exceeded") {
        "it was not told to, or has no room".to_owned()
    } else if why.contains("does not support") {
        "it passes nothing on for anyone".to_owned()
    } else {
        why.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lan::identity::Identity;

    fn named(syncs: bool) -> NamedRelay {
        let address = format!("/ip4/203.0.113.7/udp/4001/quic-v1/p2p/{}", Identity::fresh().network_peer());
        NamedRelay { at: address.parse().expect("it is an address"), syncs, meets: true }
    }

    #[test]
    fn an_address_says_where_and_who_or_is_refused_with_what_to_do() {
        let relay = named(true).at;
        assert_eq!(relay.full().to_string().parse(), Ok(relay.clone()));
        for (text, word) in [
            ("ws://localhost:8080/sync".to_owned(), "no address of a relay"),
            ("/ip4/203.0.113.7/tcp/4001".to_owned(), "/p2p/"),
            (format!("/p2p/{}", relay.peer()), "no address of a relay"),
            (relay.circuit().to_string(), "no address of a relay"),
        ] {
            let error = text.parse::<RelayAddress>().expect_err("it is none").to_string();
            assert!(error.contains(word) && error.contains("copy"), "{error}");
        }
    }

    #[test]
    fn a_relay_with_two_addresses_is_one_relay() {
        let relay = named(false);
        let tcp = format!("/dns4/relay.example.org/tcp/4001/p2p/{}", relay.at.peer());
        let again = NamedRelay { at: tcp.parse().expect("it is an address"), syncs: true, meets: true };
        let mut relays = Relays::new(vec![relay.clone(), again]);
        relays.on_identified(&relay.at.peer(), Instant::now());
        assert_eq!(relays.to_ask(Instant::now(), |_| true), [relay.at.circuit()]);
        assert!(relays.syncs_with(&relay.at.peer()) && relays.addresses().len() == 2);
        assert_eq!(relays.status(|_| true, |_| true).len(), 1);
    }

    #[test]
    fn who_only_syncs_with_a_relay_asks_for_no_place() {
        let relay = NamedRelay { meets: false, ..named(true) };
        let mut relays = Relays::new(vec![relay.clone()]);
        relays.on_identified(&relay.at.peer(), Instant::now());
        assert!(relays.to_ask(Instant::now(), |_| true).is_empty() && relays.ask_at(|_| true).is_none());
    }

    #[test]
    fn a_relay_is_asked_once_connected_and_less_and_less_often_while_it_refuses() {
        let start = Instant::now();
        let relay = named(true);
        let (peer, circuit) = (relay.at.peer(), relay.at.circuit());
        let mut relays = Relays::new(vec![relay]);
        assert!(relays.to_ask(start, |_| true).is_empty(), "it has not said who it is");
        relays.on_identified(&peer, start);
        assert!(relays.to_ask(start, |_| false).is_empty() && relays.ask_at(|_| false).is_none());
        let (mut now, mut waits) = (start, Vec::new());
        for refusal in 0..9 {
            assert_eq!(relays.to_ask(now, |_| true), std::slice::from_ref(&circuit));
            let listener = ListenerId::next();
            relays.on_asked(&circuit, Some(listener), now);
            assert!(relays.to_ask(now, |_| true).is_empty(), "it has been asked");
            assert!(relays.stands_for(listener));
            let news = relays.on_lost(listener, Some("it is full".into()), now);
            assert_eq!(news.is_some(), refusal == 0, "the same is told once");
            waits.push(relays.ask_at(|_| true).expect("it is asked again").duration_since(now));
            now += *waits.last().expect("one was pushed");
        }
        assert_eq!((waits[0], waits[8]), (RESERVE_FIRST, RESERVE_MAX));
        relays.on_changed(&peer);
        relays.on_identified(&peer, now);
        assert_eq!(relays.to_ask(now, |_| true).len(), 1);
    }

    #[test]
    fn others_are_called_through_a_relay_once_it_gave_a_place_and_where_nothing_else_is_known() {
        let now = Instant::now();
        let relay = named(false);
        let (at, circuit) = (relay.at.peer(), relay.at.circuit());
        let mut relays = Relays::new(vec![relay]);
        let peer = PeerId::random();
        assert!(relays.ways_to(&peer, false).is_empty() && !relays.lead_on());
        let elsewhere = named(false).at;
        assert!(!relays.is_open(&circuit) && relays.is_open(&elsewhere.circuit()) && relays.is_open(&elsewhere.full()));
        relays.on_identified(&at, now);
        assert!(relays.is_open(&circuit));
        let listener = ListenerId::next();
        relays.on_asked(&circuit, Some(listener), now);
        assert_eq!(relays.on_given(listener), Some(circuit.clone()));
        assert!(relays.on_given(listener).is_none() && relays.on_given(ListenerId::next()).is_none());
        assert_eq!(relays.ways_to(&peer, false), std::slice::from_ref(&circuit));
        assert!(relays.ways_to(&at, false).is_empty(), "no relay is called through itself");
        assert!(relays.ways_to(&peer, true).is_empty(), "first where it was found");
        relays.on_reached(peer, false);
        assert_eq!(relays.ways_to(&peer, true).len(), 1);
        relays.on_reached(peer, true);
        relays.greet([peer]);
        assert_eq!((relays.ways_to(&peer, true).len(), relays.ways_to(&peer, true).len()), (1, 0), "greeted once");
        assert_eq!(relays.on_lost(listener, None, now), None);
        assert!(relays.ways_to(&peer, false).is_empty());
    }
}
