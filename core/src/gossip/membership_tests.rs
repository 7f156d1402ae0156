//! One peer, and whatever the others do.

use super::book::{Redial, Standing};
use super::membership::{Effect, Membership, MembershipConfig};
use super::message::{Contact, GossipMessage, bounded};
use crate::base::id::{ConnectionId, PeerId};
use crate::base::limits::{
    CONTACTS_MAX, NEIGHBOURS_MANY, NEIGHBOURS_MAX, NEIGHBOURS_MIN, NEIGHBOURS_PER_TELLER_MAX, TOLD_MAX, TOLD_PER_TELLER_MAX,
};
use crate::base::rng::Rng;
use proptest::prelude::*;

fn peer(number: u16) -> PeerId {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&number.to_be_bytes());
    id[6..8].copy_from_slice(&number.to_be_bytes());
    PeerId(id)
}

fn membership(me: u16) -> Membership {
    Membership::new(peer(me), MembershipConfig::default(), [7; 32], 0)
}

/// As a driver on a local network has it: who was lost is dialled again soon, by one of the two first, and who was configured is kept.
fn eager(me: u16) -> Membership {
    let redial =
        Redial { longest_ms: 1_000, longest_away_ms: 5_000, one_first: true, keeps_configured: true, ..Redial::default() };
    Membership::new(
        peer(me),
        MembershipConfig { dials_max: 8, missed_dials_max: 6, redial, ..MembershipConfig::default() },
        [7; 32],
        0,
    )
}

/// When a membership dials a peer that is lost and does not answer, in the time from 0 on.
fn redials(membership: &mut Membership, until_ms: u64) -> Vec<u64> {
    let mut dialled = Vec::new();
    membership.handle_disconnected(0, ConnectionId(1));
    for now_ms in (0..until_ms).step_by(50) {
        membership.handle_time(now_ms);
        for peer in dials(membership) {
            dialled.push(now_ms);
            membership.handle_dial_failed(now_ms, &peer);
        }
    }
    dialled
}

/// Two that are cut from each other: one dials about every second, and after long every five; the other leaves it to that one, but not for ever.
#[test]
fn where_redialling_is_bounded_a_lost_peer_is_dialled_soon_and_by_one_of_the_two_first() {
    let (mut lower, mut higher) = (eager(1), eager(2));
    for (membership, other) in [(&mut lower, 2), (&mut higher, 1)] {
        membership.handle_connected(0, ConnectionId(1), peer(other), true);
        membership.handle_found(0, peer(other), [format!("at {other}")], Standing::Found);
    }
    let waits = |dialled: &[u64]| dialled.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>();
    let by_lower = redials(&mut lower, 1_200_000);
    let early: Vec<u64> = by_lower.iter().copied().filter(|at| *at < 500_000).collect();
    assert!(by_lower[0] <= 300 && waits(&early).iter().all(|wait| *wait <= 1_050), "{early:?}");
    let late: Vec<u64> = by_lower.iter().copied().filter(|at| *at > 700_000).collect();
    assert!(late.len() > 50 && waits(&late).iter().all(|wait| (2_500..=5_050).contains(wait)), "{:?}", waits(&late));
    let by_higher = redials(&mut higher, 60_000);
    assert!(by_higher[0] >= 2_000 && waits(&by_higher).iter().all(|wait| (2_000..=3_050).contains(wait)), "{by_higher:?}");
}

/// Who answers and hangs up at once is not dialled at once again and again.
#[test]
fn a_connection_that_does_not_last_is_no_reason_to_dial_sooner() {
    let mut membership = membership(1);
    membership.handle_found(0, peer(2), ["at 2".to_owned()], Standing::Found);
    let mut dialled = Vec::new();
    for now_ms in (0..60_000).step_by(50) {
        membership.handle_time(now_ms);
        if dials(&mut membership) == [peer(2)] {
            let connection = ConnectionId(now_ms);
            dialled.push(now_ms);
            membership.handle_connected(now_ms, connection, peer(2), true);
            membership.handle_disconnected(now_ms, connection);
        }
    }
    assert!((4..12).contains(&dialled.len()), "{dialled:?}");
}

/// Somebody configured it: it is dialled though there are neighbours enough, and is not parted from.
#[test]
fn where_it_is_so_configured_a_configured_peer_is_always_a_neighbour() {
    let mut membership = eager(1);
    for number in 0..NEIGHBOURS_MANY as u16 + 10 {
        membership.handle_connected(0, ConnectionId(u64::from(number)), peer(100 + number), true);
    }
    effects(&mut membership);
    membership.handle_found(0, peer(2), ["at 2".to_owned()], Standing::Configured);
    assert_eq!(dials(&mut membership), [peer(2)]);
    membership.handle_connected(0, ConnectionId(1_000), peer(2), true);
    for now_ms in (0..7_200_000).step_by(1_000) {
        let heard: Vec<ConnectionId> = membership.neighbours().map(|(connection, _)| connection).collect();
        heard.into_iter().for_each(|connection| membership.handle_heard(now_ms, connection));
        membership.handle_time(now_ms);
        effects(&mut membership);
    }
    assert!(membership.degree() <= NEIGHBOURS_MANY, "others were parted from");
    assert!(membership.neighbours().any(|(_, neighbour)| neighbour == peer(2)));
}

fn contact(number: u16) -> Contact {
    Contact { peer: peer(number), addresses: bounded([format!("at {number}")]), age_s: 0 }
}

fn effects(membership: &mut Membership) -> Vec<Effect> {
    std::iter::from_fn(|| membership.poll_effect()).collect()
}

/// Whom it dials.
fn dials(membership: &mut Membership) -> Vec<PeerId> {
    let dialled = effects(membership).into_iter().filter_map(|effect| match effect {
        Effect::Dial { peer, .. } => Some(peer),
        _ => None,
    });
    dialled.collect()
}

fn hangups(membership: &mut Membership) -> Vec<ConnectionId> {
    let closed = effects(membership).into_iter().filter_map(|effect| match effect {
        Effect::Hangup { connection, .. } => Some(connection),
        _ => None,
    });
    closed.collect()
}

/// Each peer is the first to dial half of the others, and of each pair one is.
#[test]
fn of_each_pair_one_dials_first_and_nobody_is_always_the_one_that_is_dialled() {
    let mut rng = Rng::new([4; 32]);
    let ids: Vec<PeerId> = (0..200).map(|_| PeerId(rng.bytes())).collect();
    let dials_first = |me: PeerId, other: PeerId| {
        let mut membership = Membership::new(me, MembershipConfig::default(), [7; 32], 0);
        membership.handle_found(0, other, ["there".to_owned()], Standing::Found);
        !dials(&mut membership).is_empty()
    };
    let (lowest, highest) = (*ids.iter().min().unwrap(), *ids.iter().max().unwrap());
    for me in [ids[0], lowest, highest] {
        let others = ids.iter().copied().filter(|other| *other != me);
        let first = others.clone().filter(|other| dials_first(me, *other)).count();
        assert!((60..=140).contains(&first), "{first} of 199");
        assert!(others.into_iter().all(|other| dials_first(me, other) != dials_first(other, me)));
    }
}

/// Both have found each other on the network around: one dials, and the other only if nobody comes.
#[test]
fn of_two_that_found_each_other_one_dials() {
    let (mut lower, mut higher) = (membership(1), membership(2));
    lower.handle_found(0, peer(2), ["at 2".to_owned()], Standing::Found);
    higher.handle_found(0, peer(1), ["at 1".to_owned()], Standing::Found);
    assert_eq!(dials(&mut lower), [peer(2)]);
    assert_eq!(dials(&mut higher), []);
    let later_ms = higher.next_deadline();
    assert!((1..=2_000).contains(&later_ms));
    higher.handle_time(2_000);
    assert_eq!(dials(&mut higher), [peer(1)]);
}

/// Both dial at once: each sees two connections, in another order, and both keep the one that the lower id dialled.
#[test]
fn of_two_connections_dialled_at_once_both_sides_keep_the_same() {
    let (by_lower, by_higher) = (ConnectionId(1), ConnectionId(2));
    for lower_sees_first in [true, false] {
        for higher_sees_first in [true, false] {
            let (mut lower, mut higher) = (membership(1), membership(2));
            let see = |membership: &mut Membership, other: u16, first: bool, me_lower: bool| {
                let order = if first { [by_lower, by_higher] } else { [by_higher, by_lower] };
                for connection in order {
                    membership.handle_connected(5, connection, peer(other), (connection == by_lower) == me_lower);
                }
            };
            see(&mut lower, 2, lower_sees_first, true);
            see(&mut higher, 1, higher_sees_first, false);
            assert_eq!(lower.neighbours().collect::<Vec<_>>(), [(by_lower, peer(2))]);
            assert_eq!(higher.neighbours().collect::<Vec<_>>(), [(by_lower, peer(1))]);
            assert_eq!((hangups(&mut lower), hangups(&mut higher)), (vec![by_higher], vec![by_higher]));
        }
    }
}

/// The other side was switched off and on: what it dials now is the one that is alive, whoever dialled the first.
#[test]
fn a_second_connection_that_comes_later_takes_the_place_of_the_first() {
    for dialled in [true, false] {
        let mut membership = membership(1);
        membership.handle_connected(0, ConnectionId(1), peer(2), dialled);
        membership.handle_connected(60_000, ConnectionId(2), peer(2), false);
        assert_eq!(membership.neighbours().collect::<Vec<_>>(), [(ConnectionId(2), peer(2))]);
    }
}

/// Nobody answers: three heartbeats, then the neighbour is gone, and is dialled again, later and later.
#[test]
fn a_silent_neighbour_goes_after_three_misses_and_is_dialled_again() {
    let mut membership = membership(1);
    membership.handle_found(0, peer(2), ["at 2".to_owned()], Standing::Configured);
    membership.handle_connected(0, ConnectionId(1), peer(2), true);
    effects(&mut membership);
    let (mut heartbeats, mut gone_ms, mut dialled) = (0, None, Vec::new());
    for now_ms in (0..600_000).step_by(250) {
        membership.handle_time(now_ms);
        for effect in effects(&mut membership) {
            match effect {
                Effect::Send { message: GossipMessage::Heartbeat, .. } => heartbeats += 1,
                Effect::Left { .. } => gone_ms = Some(now_ms),
                Effect::Dial { peer, .. } => {
                    dialled.push(now_ms);
                    membership.handle_dial_failed(now_ms, &peer);
                }
                _ => {}
            }
        }
    }
    assert_eq!((heartbeats, gone_ms), (3, Some(120_000)));
    let waits: Vec<u64> = dialled.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] < 3_000 && *waits.last().unwrap() >= 15_000 && waits.iter().all(|wait| *wait <= 31_000), "{waits:?}");
}

/// Something was sent, and nothing comes: it is noticed in seconds. Whatever is heard counts as an answer.
#[test]
fn under_load_silence_is_noticed_sooner_and_any_word_ends_it() {
    let mut membership = membership(1);
    membership.handle_connected(0, ConnectionId(1), peer(2), true);
    for now_ms in (0..100_000).step_by(1_000) {
        membership.handle_sent(now_ms, ConnectionId(1));
        membership.handle_heard(now_ms + 500, ConnectionId(1));
        membership.handle_time(now_ms + 500);
    }
    let asked = |effect: &Effect| matches!(effect, Effect::Send { message: GossipMessage::Heartbeat, .. });
    assert!(!effects(&mut membership).iter().any(asked), "nobody is asked who speaks");
    membership.handle_sent(100_000, ConnectionId(1));
    for now_ms in (100_000..120_001).step_by(500) {
        membership.handle_time(now_ms);
    }
    assert_eq!(membership.degree(), 0);
}

/// One neighbour tells of thousands, again and again. It gets its share of the book and of the neighbours, and no more.
#[test]
fn a_peer_that_floods_addresses_gets_its_share_and_no_more() {
    let (hostile, mut membership) = (9_000, membership(1));
    membership.handle_connected(0, ConnectionId(1), peer(hostile), false);
    membership.handle_connected(0, ConnectionId(2), peer(8_000), true);
    let honest: Vec<Contact> = (8_001..8_007).map(contact).collect();
    membership.handle_message(
        0,
        ConnectionId(2),
        GossipMessage::Greeting { addresses: bounded(["at 8000"]), contacts: honest.clone() },
    );
    let is_hostile = |who: &PeerId| (100..5_200).any(|number| peer(number) == *who);
    let mut next = 100;
    let (mut connection, mut from_hostile) = (10, 0);
    for round in 0..3_000u64 {
        let now_ms = round * 500;
        let contacts: Vec<Contact> = (next..next + CONTACTS_MAX as u16).map(contact).collect();
        next = 100 + (next - 100 + CONTACTS_MAX as u16) % 5_000;
        let message = match round % 3 {
            0 => GossipMessage::Shuffle { contacts },
            1 => GossipMessage::Contacts { contacts },
            _ => GossipMessage::Greeting { addresses: bounded(["at 9000"]), contacts },
        };
        // Where it was parted from in favour of another, it comes again.
        let hostile_at = membership.neighbours().find(|(_, neighbour)| *neighbour == peer(hostile)).map(|(at, _)| at);
        let hostile_at = hostile_at.unwrap_or_else(|| {
            connection += 1;
            membership.handle_connected(now_ms, ConnectionId(connection), peer(hostile), false);
            ConnectionId(connection)
        });
        membership.handle_message(now_ms, hostile_at, message);
        membership.handle_time(now_ms);
        // Everyone the hostile peer tells of is its own, and takes part; those connections end after a while.
        for dialled in dials(&mut membership) {
            connection += 1;
            membership.handle_connected(now_ms, ConnectionId(connection), dialled, true);
        }
        if round % 40 == 0 {
            let ended = membership.neighbours().find(|(_, neighbour)| is_hostile(neighbour)).map(|(connection, _)| connection);
            ended.into_iter().for_each(|ended| membership.handle_disconnected(now_ms, ended));
        }
        assert!(membership.book().told_by(&peer(hostile)) <= TOLD_PER_TELLER_MAX);
        assert!(membership.chosen_from(&peer(hostile)) <= NEIGHBOURS_PER_TELLER_MAX);
        from_hostile = membership.neighbours().filter(|(_, neighbour)| is_hostile(neighbour)).count();
        assert!(from_hostile <= NEIGHBOURS_PER_TELLER_MAX, "{from_hostile} of {}", membership.degree());
    }
    assert!(from_hostile > 0, "the hostile peer was listened to");
    assert!(honest.iter().any(|honest| membership.book().standing(&honest.peer).is_some()), "nobody honest was displaced by it");
}

/// Many dial in: beyond the most, they are told of others and sent away. Those that the peer chose keep their places.
#[test]
fn who_comes_when_all_places_are_taken_is_told_of_others() {
    let mut membership = membership(1);
    for number in 0..NEIGHBOURS_MAX as u16 + 10 {
        let connection = ConnectionId(u64::from(number));
        membership.handle_connected(0, connection, peer(100 + number), false);
        let addresses = bounded([format!("at {number}")]);
        membership.handle_message(0, connection, GossipMessage::Greeting { addresses, contacts: Vec::new() });
    }
    assert_eq!(membership.degree(), NEIGHBOURS_MAX);
    let told = effects(&mut membership).into_iter().filter_map(|effect| match effect {
        Effect::Send { message: GossipMessage::Full { contacts }, .. } => Some(contacts.len()),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [CONTACTS_MAX; 10]);
}

#[derive(Clone, Debug)]
enum Act {
    Found(u16, u8),
    Connected(u16, bool),
    Disconnected(u8),
    Parted(u8),
    Failed,
    Message(u8, u8, Vec<u16>),
    Later(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0u16..600, 0u8..4).prop_map(|(peer, standing)| Act::Found(peer, standing)),
        (0u16..600, any::<bool>()).prop_map(|(peer, dialled)| Act::Connected(peer, dialled)),
        any::<u8>().prop_map(Act::Disconnected),
        any::<u8>().prop_map(Act::Parted),
        Just(Act::Failed),
        (any::<u8>(), 0u8..6, proptest::collection::vec(0u16..600, 0..12))
            .prop_map(|(at, kind, who)| Act::Message(at, kind, who)),
        (0u32..40_000).prop_map(Act::Later),
    ]
}

proptest! {
    /// Whatever happens, in whatever order, every bound holds, and dials are of peers that are neither connected nor being dialled.
    #[test]
    fn bounds_hold_whatever_happens(acts in proptest::collection::vec(act(), 1..400), is_eager: bool) {
        let mut membership = if is_eager { eager(5) } else { membership(5) };
        let (mut now_ms, mut next, mut dialling) = (0u64, 0u64, std::collections::BTreeSet::new());
        for act in acts {
            let pick = |membership: &Membership, at: u8| {
                let all: Vec<ConnectionId> = membership.neighbours().map(|(connection, _)| connection).collect();
                if all.is_empty() { ConnectionId(u64::MAX) } else { all[usize::from(at) % all.len()] }
            };
            match act {
                Act::Found(number, standing) => {
                    let standing = [Standing::Found, Standing::Met, Standing::Configured, Standing::Found][usize::from(standing)];
                    membership.handle_found(now_ms, peer(number), [format!("at {number}")], standing);
                }
                Act::Connected(number, dialled) => {
                    next += 1;
                    dialling.remove(&peer(number));
                    membership.handle_connected(now_ms, ConnectionId(next), peer(number), dialled);
                }
                Act::Disconnected(at) => membership.handle_disconnected(now_ms, pick(&membership, at)),
                Act::Parted(at) => membership.handle_parted(now_ms, pick(&membership, at)),
                Act::Failed => {
                    if let Some(failed) = dialling.pop_first() {
                        membership.handle_dial_failed(now_ms, &failed);
                    }
                }
                Act::Message(at, kind, who) => {
                    let contacts: Vec<Contact> = who.into_iter().map(contact).collect();
                    let message = match kind {
                        0 => GossipMessage::Greeting { addresses: bounded(["here"]), contacts },
                        1 => GossipMessage::Shuffle { contacts },
                        2 => GossipMessage::Contacts { contacts },
                        3 => GossipMessage::Heartbeat,
                        4 => GossipMessage::Alive,
                        _ => GossipMessage::Full { contacts },
                    };
                    membership.handle_message(now_ms, pick(&membership, at), message);
                }
                Act::Later(ms) => {
                    now_ms += u64::from(ms);
                    membership.handle_time(now_ms);
                    prop_assert!(membership.next_deadline() > now_ms, "nothing is due twice");
                }
            }
            for effect in effects(&mut membership) {
                if let Effect::Dial { peer, addresses } = effect {
                    prop_assert!(!addresses.is_empty());
                    prop_assert!(membership.neighbours().all(|(_, neighbour)| neighbour != peer));
                    dialling.insert(peer);
                }
            }
            prop_assert!(membership.degree() <= NEIGHBOURS_MAX);
            for standing in [Standing::Told, Standing::Found, Standing::Met, Standing::Configured] {
                prop_assert!(membership.book().count(standing) <= standing.most());
            }
            prop_assert!(membership.book().count(Standing::Told) <= TOLD_MAX);
            for number in 0..600 {
                prop_assert!(membership.book().told_by(&peer(number)) <= TOLD_PER_TELLER_MAX);
            }
            let mut neighbours: Vec<PeerId> = membership.neighbours().map(|(_, neighbour)| neighbour).collect();
            neighbours.sort_unstable();
            neighbours.dedup();
            prop_assert_eq!(neighbours.len(), membership.degree(), "one connection a pair");
        }
    }
}

#[test]
fn the_least_is_less_than_the_most() {
    const { assert!(NEIGHBOURS_MIN < NEIGHBOURS_MAX && NEIGHBOURS_PER_TELLER_MAX * 2 < NEIGHBOURS_MIN) };
}
