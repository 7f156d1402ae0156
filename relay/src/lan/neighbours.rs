//! With whom of all peers a session is kept: core's [`Membership`], told what happens on the network and asked what to do about it.
//!
//! To a membership a connection is the fact that two peers are connected. How many connections of libp2p that takes for moments, and which of them stays, is
//! the node's business: one may be relayed and the next direct, and the neighbour is the same.

use super::identity::{network_peer_of, peer_of};
use super::limits::{AWAY, NEIGHBOURS_CALLED_MAX, NEIGHBOURS_MISSED_CALLED_MAX, REDIAL_LATER, REDIAL_SOON};
use driftline_core::base::id::{self, ConnectionId};
use driftline_core::gossip::book::{Redial, Standing};
use driftline_core::gossip::membership::{Effect, Membership, MembershipConfig};
use driftline_core::gossip::message::GossipMessage;
use driftline_core::gossip::relation::Relation;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One peer's neighbours.
pub(super) struct Neighbours {
    membership: Membership,
    began: Instant,
    /// Under which number the membership knows each peer that is connected, and the other way round.
    numbers: BTreeMap<PeerId, ConnectionId>,
    peers: BTreeMap<ConnectionId, PeerId>,
    last: u64,
    /// What a peer is told before it is hung up on.
    farewells: BTreeMap<ConnectionId, GossipMessage>,
    /// Who has just said goodbye itself, and need not be told.
    leaving: Option<ConnectionId>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Call a peer, at these addresses or others.
    Call(PeerId, Vec<Multiaddr>),
    /// Say something to a neighbour.
    Say(PeerId, GossipMessage),
    /// Sync with it.
    Join(PeerId),
    /// Sync with it no more.
    Leave(PeerId),
    /// Hang up, having said this.
    HangUp(PeerId, Option<GossipMessage>),
    /// Compare all that is held with what it holds.
    Compare(PeerId),
}

impl Neighbours {
    /// The neighbours of a peer that knows nobody. `seed` decides all choices.
    pub(super) fn new(own: id::PeerId, seed: [u8; 32], now: Instant) -> Self {
        let redial = Redial {
            longest_ms: millis(REDIAL_SOON),
            longest_away_ms: millis(REDIAL_LATER),
            away_ms: millis(AWAY),
            one_first: true,
            keeps_configured: true,
        };
        let config = MembershipConfig {
            dials_max: NEIGHBOURS_CALLED_MAX,
            missed_dials_max: NEIGHBOURS_MISSED_CALLED_MAX,
            redial,
            ..MembershipConfig::default()
        };
        Self {
            membership: Membership::new(own, config, seed, 0),
            began: now,
            numbers: BTreeMap::new(),
            peers: BTreeMap::new(),
            last: 0,
            farewells: BTreeMap::new(),
            leaving: None,
        }
    }

    /// Whether a peer is a neighbour, or about to be sent away.
    pub(super) fn has(&self, peer: &PeerId) -> bool {
        self.numbers.contains_key(peer)
    }

    /// Whether it is known where a peer is, as far as the choice of neighbours goes.
    pub(super) fn knows(&self, peer: &PeerId) -> bool {
        peer_of(peer).is_some_and(|peer| self.membership.book().standing(&peer).is_some())
    }

    /// Why a peer is a neighbour, or is none.
    pub(super) fn relation(&self, peer: &PeerId, now: Instant) -> Relation {
        peer_of(peer).map_or(Relation::Unknown, |peer| self.membership.relation(self.at(now), &peer))
    }

    /// Learns where this peer can be called.
    pub(super) fn listening<'a>(&mut self, addresses: impl IntoIterator<Item = &'a Multiaddr>) {
        self.membership.handle_listening(addresses.into_iter().map(Multiaddr::to_string));
    }

    /// Learns where a peer is, the best address first, and whether somebody named it.
    pub(super) fn found<'a>(
        &mut self,
        peer: &PeerId,
        addresses: impl IntoIterator<Item = &'a Multiaddr>,
        named: bool,
        now: Instant,
    ) {
        let Some(id) = peer_of(peer) else { return };
        let standing = if named { Standing::Configured } else { Standing::Found };
        self.membership.handle_found(self.at(now), id, addresses.into_iter().map(Multiaddr::to_string), standing);
    }

    /// Learns that a peer is connected; `called` when this side called it.
    pub(super) fn connected(&mut self, peer: PeerId, called: bool, now: Instant) {
        let Some(id) = peer_of(&peer) else { return };
        let now_ms = self.at(now);
        if !self.has(&peer) {
            self.last += 1;
            let number = ConnectionId(self.last);
            self.numbers.insert(peer, number);
            self.peers.insert(number, peer);
            self.membership.handle_connected(now_ms, number, id, called);
        }
        // A call of this side's that is under way beside it is of no use, and no failure.
        self.membership.handle_dial_failed(now_ms, &id);
    }

    /// Learns that there is no connection to a peer any more.
    pub(super) fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(number) = self.forget(peer) {
            self.membership.handle_disconnected(self.at(now), number);
        }
    }

    /// Learns that a call came to nothing.
    pub(super) fn call_failed(&mut self, peer: &PeerId, now: Instant) {
        if let Some(id) = peer_of(peer) {
            self.membership.handle_dial_failed(self.at(now), &id);
        }
    }

    /// Takes what a neighbour says.
    pub(super) fn said(&mut self, peer: &PeerId, message: GossipMessage, now: Instant) {
        let Some(number) = self.numbers.get(peer).copied() else { return };
        self.leaving = matches!(message, GossipMessage::Full { .. }).then_some(number);
        self.membership.handle_message(self.at(now), number, message);
    }

    /// Does what time asks for. Neighbours of which something is heard, as `is_heard` knows, are not asked whether they are there.
    pub(super) fn on_time(&mut self, now: Instant, is_heard: impl Fn(&PeerId) -> bool) {
        let now_ms = self.at(now);
        if now_ms < self.membership.next_deadline() {
            return;
        }
        for (peer, number) in &self.numbers {
            if is_heard(peer) {
                self.membership.handle_heard(now_ms, *number);
            }
        }
        self.membership.handle_time(now_ms);
    }

    /// The next thing to do, until there is none.
    pub(super) fn next_wish(&mut self, now: Instant) -> Option<Wish> {
        loop {
            let wish = match self.membership.poll_effect()? {
                Effect::Dial { peer, addresses } => match network_peer_of(&peer) {
                    Some(network) => {
                        Some(Wish::Call(network, addresses.iter().filter_map(|address| address.parse().ok()).collect()))
                    }
                    None => {
                        self.membership.handle_dial_failed(self.at(now), &peer);
                        None
                    }
                },
                Effect::Send { connection, message: GossipMessage::Full { contacts } } => {
                    self.farewells.insert(connection, GossipMessage::Full { contacts });
                    None
                }
                Effect::Send { connection, message } => self.peers.get(&connection).map(|peer| Wish::Say(*peer, message)),
                Effect::Joined { connection, .. } => self.peers.get(&connection).map(|peer| Wish::Join(*peer)),
                Effect::Left { peer, .. } => network_peer_of(&peer).map(Wish::Leave),
                Effect::Hangup { connection, .. } => {
                    let farewell = self.farewells.remove(&connection).unwrap_or(GossipMessage::Full { contacts: Vec::new() });
                    let is_leaving = self.leaving.take_if(|leaving| *leaving == connection).is_some();
                    let peer = self.peers.get(&connection).copied();
                    peer.map(|peer| {
                        self.forget(&peer);
                        Wish::HangUp(peer, (!is_leaving).then_some(farewell))
                    })
                }
                Effect::Compare { connection } => self.peers.get(&connection).map(|peer| Wish::Compare(*peer)),
            };
            if wish.is_some() {
                return wish;
            }
        }
    }

    /// When to be looked at again.
    pub(super) fn deadline(&self) -> Instant {
        self.began + Duration::from_millis(self.membership.next_deadline())
    }

    fn forget(&mut self, peer: &PeerId) -> Option<ConnectionId> {
        let number = self.numbers.remove(peer)?;
        self.peers.remove(&number);
        self.farewells.remove(&number);
        Some(number)
    }

    fn at(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.began))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lan::identity::Identity;
    use driftline_core::base::limits::{NEIGHBOURS_MAX, NEIGHBOURS_MIN};
    use std::collections::BTreeSet;

    fn someone() -> PeerId {
        Identity::fresh().network_peer()
    }

    fn of(own: PeerId, seed: u8, now: Instant) -> Neighbours {
        Neighbours::new(peer_of(&own).expect("it is a key"), [seed; 32], now)
    }

    fn address(port: usize) -> Multiaddr {
        format!("/ip4/10.0.0.1/udp/{port}/quic-v1").parse().expect("it is an address")
    }

    fn wishes(neighbours: &mut Neighbours, now: Instant) -> Vec<Wish> {
        std::iter::from_fn(|| neighbours.next_wish(now)).collect()
    }

    /// Everyone knows where everyone is, and each call is answered at once.
    #[test]
    fn of_many_each_has_about_eight_neighbours_and_all_are_one_network() {
        const PEERS: usize = 60;
        let start = Instant::now();
        let ids: Vec<PeerId> = (0..PEERS).map(|_| someone()).collect();
        let mut all: BTreeMap<PeerId, Neighbours> =
            ids.iter().enumerate().map(|(at, id)| (*id, of(*id, at as u8, start))).collect();
        for peer in &ids {
            for (at, other) in ids.iter().enumerate().filter(|(_, other)| *other != peer) {
                all.get_mut(peer).expect("it is there").found(other, &[address(at + 1)], false, start);
            }
        }
        // Whoever is there first is called by many, and parts from those that are too many in the minutes after.
        for second in 0..400 {
            let now = start + Duration::from_secs(second);
            for own in &ids {
                let take = |all: &mut BTreeMap<PeerId, Neighbours>| all.get_mut(own).and_then(|own| own.next_wish(now));
                all.get_mut(own).expect("it is there").on_time(now, |_| true);
                while let Some(wish) = take(&mut all) {
                    match wish {
                        Wish::Call(called, _) => {
                            all.get_mut(own).expect("it is there").connected(called, true, now);
                            all.get_mut(&called).expect("it is there").connected(*own, false, now);
                        }
                        Wish::HangUp(other, Some(farewell)) => all.get_mut(&other).expect("it is there").said(own, farewell, now),
                        _ => {}
                    }
                }
            }
        }
        let degrees: Vec<usize> = all.values().map(|neighbours| neighbours.numbers.len()).collect();
        let mean = degrees.iter().sum::<usize>() / PEERS;
        assert!(mean <= 16 && degrees.iter().all(|degree| (NEIGHBOURS_MIN - 1..PEERS / 2).contains(degree)), "{degrees:?}");
        let mut reached = BTreeSet::from([ids[0]]);
        for _ in 0..4 {
            reached = reached.iter().flat_map(|peer| all[peer].numbers.keys()).chain(&reached).copied().collect();
        }
        assert_eq!(reached.len(), PEERS, "within four steps");
    }

    #[test]
    fn two_have_one_call_between_them_and_a_second_connection_is_nobodys_neighbour() {
        let now = Instant::now();
        let (own, other) = (someone(), someone());
        let mut neighbours = of(own, 1, now);
        neighbours.found(&other, &[address(1)], true, now);
        assert_eq!(wishes(&mut neighbours, now), [Wish::Call(other, vec![address(1)])]);
        neighbours.connected(other, false, now);
        assert!(matches!(neighbours.relation(&other, now), Relation::Neighbour { dialled: false, configured: true }));
        let joined = wishes(&mut neighbours, now);
        assert!(matches!(joined.as_slice(), [Wish::Join(peer), Wish::Say(..)] if *peer == other), "{joined:?}");
        neighbours.connected(other, true, now);
        assert_eq!(wishes(&mut neighbours, now), []);
        neighbours.disconnected(&other, now);
        neighbours.disconnected(&other, now);
        assert_eq!(wishes(&mut neighbours, now), [Wish::Leave(other)]);
        assert!(neighbours.deadline() <= now + REDIAL_SOON * 4, "it is called again");
    }

    #[test]
    fn who_is_one_too_many_is_told_of_others_before_it_is_hung_up_on() {
        let now = Instant::now();
        let mut neighbours = of(someone(), 1, now);
        for _ in 0..NEIGHBOURS_MAX {
            neighbours.connected(someone(), false, now);
        }
        wishes(&mut neighbours, now);
        let late = someone();
        neighbours.connected(late, false, now);
        let sent_away = wishes(&mut neighbours, now);
        assert!(
            matches!(sent_away.as_slice(), [Wish::HangUp(peer, Some(GossipMessage::Full { .. }))] if *peer == late),
            "{sent_away:?}"
        );
        assert!(!neighbours.has(&late));
        // The other side of the same: it says nothing back.
        let other = neighbours.numbers.keys().next().copied().expect("it has some");
        neighbours.said(&other, GossipMessage::Full { contacts: Vec::new() }, now);
        assert_eq!(wishes(&mut neighbours, now), [Wish::Leave(other), Wish::HangUp(other, None)]);
    }
}
