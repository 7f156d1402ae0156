//! Whole overlays of peers: whether they hold together. Messages take 10 ms, and what is sent across a cut is lost.

use super::book::Standing;
use super::membership::{Effect, Membership, MembershipConfig};
use super::message::GossipMessage;
use crate::base::id::{ConnectionId, PeerId};
use crate::base::limits::{NEIGHBOURS_MANY, NEIGHBOURS_MAX, NEIGHBOURS_MIN};
use crate::base::rng::Rng;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const DELAY_MS: u64 = 10;

enum Event {
    Dialled(usize, usize),
    Opened(u64),
    Failed(usize, PeerId),
    Message(usize, u64, GossipMessage),
    Closed(usize, u64),
}

/// Peers, and the connections between them: who dialled, and who was dialled.
struct Overlay {
    now_ms: u64,
    peers: Vec<Membership>,
    links: Vec<(usize, usize)>,
    events: BTreeMap<u64, VecDeque<Event>>,
    /// Whether even and odd peers cannot reach each other.
    is_cut: bool,
}

impl Overlay {
    /// Peers of which each knows the first `seeds`.
    fn new(count: usize, seeds: usize, seed: u8) -> Self {
        let mut rng = Rng::new([seed; 32]);
        let peers: Vec<Membership> =
            (0..count).map(|_| Membership::new(PeerId(rng.bytes()), MembershipConfig::default(), rng.bytes(), 0)).collect();
        let ids: Vec<PeerId> = peers.iter().map(Membership::peer_id).collect();
        let mut overlay = Self { now_ms: 0, peers, links: Vec::new(), events: BTreeMap::new(), is_cut: false };
        for (at, peer) in overlay.peers.iter_mut().enumerate() {
            peer.handle_listening([at.to_string()]);
            for (seed, id) in ids.iter().enumerate().take(seeds) {
                peer.handle_found(0, *id, [seed.to_string()], Standing::Configured);
            }
        }
        overlay
    }

    fn plan(&mut self, after_ms: u64, event: Event) {
        self.events.entry(self.now_ms + after_ms).or_default().push_back(event);
    }

    fn is_cut_between(&self, one: usize, other: usize) -> bool {
        self.is_cut && one % 2 != other % 2
    }

    fn other_end(&self, at: usize, link: u64) -> usize {
        let (from, to) = self.links[link as usize];
        if from == at { to } else { from }
    }

    fn live(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while self.now_ms < end_ms {
            for at in 0..self.peers.len() {
                if self.peers[at].next_deadline() <= self.now_ms {
                    self.peers[at].handle_time(self.now_ms);
                }
            }
            self.carry_out();
            self.now_ms += DELAY_MS;
            while let Some(mut due) = self.events.first_entry().filter(|due| *due.key() <= self.now_ms) {
                match due.get_mut().pop_front() {
                    Some(event) => self.happen(event),
                    None => drop(due.remove()),
                }
                self.carry_out();
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let now_ms = self.now_ms;
        match event {
            Event::Dialled(from, to) if self.is_cut_between(from, to) => {
                let peer = self.peers[to].peer_id();
                self.plan(3_000, Event::Failed(from, peer));
            }
            Event::Dialled(from, to) => {
                let (link, whom) = (self.links.len() as u64, self.peers[from].peer_id());
                self.links.push((from, to));
                self.plan(DELAY_MS, Event::Opened(link));
                self.peers[to].handle_connected(now_ms, ConnectionId(link), whom, false);
            }
            Event::Opened(link) => {
                let (from, to) = self.links[link as usize];
                let whom = self.peers[to].peer_id();
                self.peers[from].handle_connected(now_ms, ConnectionId(link), whom, true);
            }
            Event::Failed(from, peer) => self.peers[from].handle_dial_failed(now_ms, &peer),
            Event::Message(to, link, message) => {
                let decoded = GossipMessage::decode(&message.encode()).expect("what is sent reads back");
                self.peers[to].handle_message(now_ms, ConnectionId(link), decoded);
            }
            Event::Closed(at, link) => self.peers[at].handle_parted(now_ms, ConnectionId(link)),
        }
    }

    fn carry_out(&mut self) {
        for at in 0..self.peers.len() {
            while let Some(effect) = self.peers[at].poll_effect() {
                match effect {
                    Effect::Dial { addresses, .. } => {
                        let to = addresses[0].parse().expect("addresses are numbers here");
                        self.plan(DELAY_MS, Event::Dialled(at, to));
                    }
                    Effect::Send { connection, message } => {
                        let to = self.other_end(at, connection.0);
                        if !self.is_cut_between(at, to) {
                            self.plan(DELAY_MS, Event::Message(to, connection.0, message));
                        }
                    }
                    Effect::Hangup { connection, .. } => {
                        let to = self.other_end(at, connection.0);
                        if !self.is_cut_between(at, to) {
                            self.plan(DELAY_MS, Event::Closed(to, connection.0));
                        }
                    }
                    Effect::Joined { .. } | Effect::Left { .. } | Effect::Compare { .. } => {}
                }
            }
        }
    }

    /// Sets of peers that reach each other over connections that both ends count as one.
    fn parts(&self) -> usize {
        let mut part: Vec<usize> = (0..self.peers.len()).collect();
        let holds = |at: usize, link: u64| self.peers[at].neighbours().any(|(connection, _)| connection.0 == link);
        loop {
            let before = part.clone();
            for (link, (from, to)) in self.links.iter().enumerate() {
                if holds(*from, link as u64) && holds(*to, link as u64) {
                    let least = part[*from].min(part[*to]);
                    (part[*from], part[*to]) = (least, least);
                }
            }
            if part == before {
                break;
            }
        }
        part.sort_unstable();
        part.dedup();
        part.len()
    }

    fn degrees(&self) -> (usize, usize) {
        let degrees = || self.peers.iter().map(Membership::degree);
        (degrees().min().unwrap_or(0), degrees().max().unwrap_or(0))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// However many they are, and whichever few they know at the beginning, they end as one, with as many neighbours as they want.
    #[test]
    fn peers_that_know_a_few_end_as_one_overlay(count in 2usize..60, seeds in 1usize..4, seed: u8) {
        let mut overlay = Overlay::new(count, seeds, seed);
        overlay.live(120_000);
        prop_assert_eq!(overlay.parts(), 1);
        let (least, most) = overlay.degrees();
        prop_assert!(least >= (NEIGHBOURS_MIN - 1).min(count - 1), "one has {least} neighbours of {count}");
        prop_assert!(most <= NEIGHBOURS_MAX);
    }

    /// Long enough for everyone to have taken everyone on the other side for gone. Then they find each other again.
    #[test]
    fn an_overlay_that_was_cut_in_two_becomes_one_again(seed: u8) {
        let mut overlay = Overlay::new(40, 2, seed);
        overlay.live(60_000);
        overlay.is_cut = true;
        overlay.live(240_000);
        prop_assert_eq!(overlay.parts(), 2);
        overlay.is_cut = false;
        overlay.live(40_000);
        prop_assert_eq!(overlay.parts(), 1);
    }
}

/// All dial the one that all know. A while later it is a peer like others.
#[test]
fn a_peer_that_everyone_dials_has_few_neighbours_in_the_end() {
    let mut overlay = Overlay::new(150, 1, 3);
    overlay.live(30_000);
    assert!(overlay.peers[0].degree() > 2 * NEIGHBOURS_MANY, "all come to the seed first: {}", overlay.peers[0].degree());
    overlay.live(150_000);
    assert!(overlay.peers[0].degree() <= NEIGHBOURS_MANY + 4, "{}", overlay.peers[0].degree());
    assert_eq!(overlay.parts(), 1);
}
