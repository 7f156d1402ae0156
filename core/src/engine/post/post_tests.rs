//! Letters: kept, handed over, passed on, each shown once, and no more of them than there may be.

use super::letters::{Received, SendLetterError};
use crate::base::id::{ConnectionId, LetterId, PeerId};
use crate::base::limits::{
    INBOX_LETTERS_MAX, LETTER_BYTES_MAX, LETTER_EVERY_MS, LETTER_HOPS_MAX, LETTER_SECONDS_MAX, LETTER_SKEW_SECONDS,
    LETTERS_BURST, LETTERS_PER_RECIPIENT_MAX, LETTERS_UNDER_WAY_MAX,
};
use crate::base::time::Now;
use crate::engine::config::{EngineConfig, Role};
use crate::engine::effect::Event;
use crate::engine::input::{Command, Input};
use crate::engine::tests::World;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::key::{SecretKey, Signer as _};
use crate::trust::letter::{Letter, sign_taken};
use std::sync::Arc;

const DAY: u64 = 86_400;

fn secret(node: usize) -> [u8; 32] {
    [node as u8 + 100; 32]
}

fn peer(node: usize) -> PeerId {
    SecretKey::new(&secret(node)).peer()
}

fn config(role: Role, node: usize) -> EngineConfig {
    EngineConfig { identity: Some(secret(node)), ..EngineConfig::new(role, [node as u8; 32]) }
}

/// So many relays, and then so many clients, all of which dial what they are connected to.
fn world(relays: usize, clients: usize) -> World {
    let roles: Vec<Role> = (0..relays).map(|_| Role::Relay).chain((0..clients).map(|_| Role::Client)).collect();
    let mut world = World::with(&roles, |config| config.identity = Some([config.seed[0] + 100; 32]));
    for node in 0..roles.len() {
        world.input(node, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    }
    world
}

fn send(world: &mut World, from: usize, to: usize, content: &str) -> LetterId {
    let now = Now::at(world.now);
    let expires = world.now / 1_000 + DAY;
    let id = world.nodes[from].engine.send_letter(now, peer(to), "note", content.as_bytes(), expires).unwrap();
    world.drain(from);
    world.run();
    id
}

/// What a node was shown, in the order in which it was.
fn shown(world: &World, node: usize) -> Vec<LetterId> {
    let arrived = |event: &Event| if let Event::LetterArrived { letter, .. } = event { Some(*letter) } else { None };
    world.nodes[node].events.iter().filter_map(arrived).collect()
}

fn sent(world: &World, node: usize) -> Vec<LetterId> {
    let sent = |event: &Event| if let Event::LetterSent { letter, .. } = event { Some(*letter) } else { None };
    world.nodes[node].events.iter().filter_map(sent).collect()
}

fn kept(world: &World, relay: usize) -> usize {
    world.nodes[relay].engine.sizes().letters
}

fn read(world: &World, node: usize) -> Vec<String> {
    let text = |received: Received| String::from_utf8(received.content).unwrap();
    world.nodes[node].engine.letters().into_iter().map(text).collect()
}

/// A stranger's letter, as it comes to a relay over a connection; answers why it was not kept.
fn offer(world: &mut World, relay: usize, connection: u64, hops: u64, letter: &Letter) -> Option<ErrorCode> {
    let frame = Message::Letter { hops, letter: letter.to_bytes().into() }.encode();
    world.input(relay, Input::Frame { connection: ConnectionId(connection), bytes: Arc::from(frame) });
    let id = letter.id();
    let answer = world.frames.iter().find_map(|(_, of, frame)| match Message::decode(frame) {
        Ok(Message::Kept { letter, refused, .. }) if of.0 == connection && letter == id => Some(refused),
        _ => None,
    });
    world.frames.clear();
    answer.expect("it is answered")
}

fn letter(from: usize, to: usize, number: usize, expires: u64) -> Letter {
    let mut drawn = [7; 32];
    // Not the first bits, which agreeing on a secret leaves out.
    drawn[8..16].copy_from_slice(&(number as u64).to_le_bytes());
    Letter::write(&SecretKey::new(&secret(from)), peer(to), expires, "note", b"", drawn).unwrap()
}

#[test]
fn a_letter_waits_for_someone_who_is_away_is_shown_once_and_then_kept_by_nobody() {
    let mut world = world(1, 2);
    world.connect(1, 0);
    let id = send(&mut world, 1, 2, "come over");
    assert_eq!((sent(&world, 1), kept(&world, 0)), (vec![id], 1));
    assert!(world.nodes[1].engine.unsent_letters().is_empty());
    world.nodes[2].engine.fetch_letters(Now::at(world.now));
    world.drain(2);
    assert_eq!(world.nodes[2].engine.emptied_letterboxes(), 0);
    world.connect(2, 0);
    world.run();
    assert_eq!(world.nodes[2].engine.emptied_letterboxes(), 1);
    assert_eq!((shown(&world, 2), read(&world, 2), kept(&world, 0)), (vec![id], vec!["come over".to_owned()], 0));
    let received = world.nodes[2].engine.letters().remove(0);
    assert_eq!((received.sender, received.kind.as_str()), (peer(1), "note"));
    world.connect(2, 0);
    world.run();
    assert_eq!(shown(&world, 2), [id]);
    assert!(world.nodes[2].engine.forget_letter(Now::at(world.now), id));
    world.drain(2);
    assert!(read(&world, 2).is_empty() && !world.nodes[2].engine.forget_letter(Now::at(world.now), id));
    // Someone who is here has it at once.
    let second = send(&mut world, 1, 2, "again");
    assert_eq!((shown(&world, 2), kept(&world, 0)), (vec![id, second], 0));
}

#[test]
fn asked_for_again_it_is_the_same_letter_and_that_its_recipient_has_it_is_told_where_it_is_known() {
    let mut world = world(1, 2);
    let expires = world.now / 1_000 + DAY;
    let ask = |world: &mut World| {
        let now = Now::at(world.now);
        let engine = &mut world.nodes[1].engine;
        let id = engine.send_drawn_letter(now, peer(2), "note", b"come over", expires, [9; 32]).unwrap();
        world.drain(1);
        world.run();
        id
    };
    let id = ask(&mut world);
    assert_eq!((ask(&mut world), world.nodes[1].engine.unsent_letters()), (id, vec![id]));
    world.connect(1, 0);
    world.run();
    world.connect(2, 0);
    world.run();
    assert_eq!((sent(&world, 1), shown(&world, 2)), (vec![id], vec![id]));
    // The page did not hear of that.
    assert_eq!(ask(&mut world), id);
    let taken = |event: &Event| if let Event::LetterSent { taken, .. } = event { Some(*taken) } else { None };
    let taken: Vec<bool> = world.nodes[1].events.iter().filter_map(taken).collect();
    assert_eq!((taken, shown(&world, 2)), (vec![false, true], vec![id]));
}

#[test]
fn what_is_written_away_from_any_relay_leaves_when_one_is_met_also_after_a_restart() {
    let mut world = world(1, 2);
    let id = send(&mut world, 1, 2, "come over");
    assert_eq!((world.nodes[1].engine.unsent_letters(), sent(&world, 1)), (vec![id], vec![]));
    world.restart(1, config(Role::Client, 1));
    world.input(1, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.connect(1, 0);
    world.run();
    assert_eq!((sent(&world, 1), kept(&world, 0)), (vec![id], 1));
    world.restart(0, config(Role::Relay, 0));
    assert_eq!(kept(&world, 0), 1);
    world.connect(2, 0);
    world.run();
    assert_eq!(read(&world, 2), ["come over"]);
    world.restart(2, config(Role::Client, 2));
    assert_eq!(read(&world, 2), ["come over"]);
}

#[test]
fn a_relay_that_goes_down_before_the_recipients_word_delivers_again_and_it_is_shown_once() {
    let mut world = world(1, 2);
    world.connect(1, 0);
    let id = send(&mut world, 1, 2, "come over");
    world.connect(2, 0);
    while shown(&world, 2).is_empty() {
        assert!(world.step());
    }
    world.lose();
    world.restart(0, config(Role::Relay, 0));
    assert_eq!(kept(&world, 0), 1);
    world.disconnect(1);
    for forgets in [false, true] {
        if forgets {
            world.nodes[2].engine.forget_letter(Now::at(world.now), id);
            world.drain(2);
            world.restart(2, config(Role::Client, 2));
            let again = letter_at(&world, &id);
            world.input(2, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
            assert!(again.is_none());
        }
        world.connect(2, 0);
        world.run();
        assert_eq!((shown(&world, 2).len(), kept(&world, 0)), (usize::from(!forgets), 0));
    }
}

fn letter_at(world: &World, id: &LetterId) -> Option<Received> {
    world.nodes[2].engine.letters().into_iter().find(|received| received.id == *id)
}

#[test]
fn nothing_is_said_to_be_kept_or_shown_before_it_is_on_the_disk() {
    let mut world = world(1, 2);
    world.connect(1, 0);
    world.run();
    world.slow_down(0);
    let id = send(&mut world, 1, 2, "come over");
    assert_eq!(sent(&world, 1), []);
    world.connect(2, 0);
    world.run();
    assert_eq!(shown(&world, 2), []);
    world.slow_down(2);
    world.let_through(0);
    world.run();
    assert_eq!((sent(&world, 1), shown(&world, 2), kept(&world, 0)), (vec![id], vec![], 1));
    world.let_through(2);
    world.run();
    assert_eq!((shown(&world, 2), kept(&world, 0)), (vec![id], 0));
    // A disk that takes nothing: the sender has it still, and sends it again.
    world.slow_down(0);
    let second = send(&mut world, 1, 2, "again");
    world.let_fail(0);
    world.run();
    assert_eq!((world.nodes[1].engine.unsent_letters(), kept(&world, 0)), (vec![second], 0));
    world.wait(31_000);
    assert_eq!((sent(&world, 1), shown(&world, 2)), (vec![id, second], vec![id, second]));
}

#[test]
fn a_letter_finds_someone_whose_relay_is_another_in_either_direction_and_is_shown_once() {
    for named in [false, true] {
        let roles = [Role::Relay, Role::Relay, Role::Relay, Role::Client, Role::Client];
        let mut world = World::with(&roles, |config| {
            config.identity = Some([config.seed[0] + 100; 32]);
            if named {
                config.relay_peers = (0..3).map(peer).collect();
            }
        });
        for node in 0..5 {
            world.input(node, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
        }
        // The first dials the second and that the third; where each names the others, letters go the other way, too.
        world.connect(0, 1);
        world.connect(1, 2);
        if named {
            world.connect(2, 0);
        }
        world.run();
        let (from, home) = if named { (2, 0) } else { (0, 2) };
        world.connect(3, from);
        let id = send(&mut world, 3, 4, "come over");
        assert_eq!([0, 1, 2].map(|relay| kept(&world, relay)), [1, 1, 1]);
        world.connect(4, home);
        world.run();
        assert_eq!((shown(&world, 4), read(&world, 4)), (vec![id], vec!["come over".to_owned()]));
        let left = [0, 1, 2].map(|relay| kept(&world, relay));
        if named {
            assert_eq!(left, [0, 0, 0], "the recipient's word reaches every relay");
        }
        // Wherever they come by next, they are shown it no more.
        for relay in [from, 1] {
            world.connect(4, relay);
            world.run();
        }
        assert_eq!(shown(&world, 4), [id]);
        assert_eq!([0, 1, 2].map(|relay| kept(&world, relay)), [0, 0, 0]);
    }
}

#[test]
fn a_relay_that_was_away_is_told_when_it_is_back_and_one_that_nobody_named_is_told_nothing() {
    let mut world = world(2, 2);
    world.connect(2, 0);
    let id = send(&mut world, 2, 3, "come over");
    world.connect(1, 0);
    world.run();
    assert_eq!([kept(&world, 0), kept(&world, 1)], [1, 0], "whoever calls and says that it is a relay");
    world.connect(0, 1);
    world.run();
    assert_eq!([kept(&world, 0), kept(&world, 1)], [1, 1]);
    world.connect(3, 0);
    world.run();
    assert_eq!((shown(&world, 3), [kept(&world, 0), kept(&world, 1)]), (vec![id], [0, 0]));
}

#[test]
fn a_letter_is_passed_on_so_often_and_no_oftener() {
    let relays = LETTER_HOPS_MAX as usize + 2;
    let mut world = world(relays, 2);
    for relay in 1..relays {
        world.connect(relay - 1, relay);
    }
    world.connect(relays, 0);
    send(&mut world, relays, relays + 1, "come over");
    let kept: Vec<usize> = (0..relays).map(|relay| kept(&world, relay)).collect();
    assert_eq!(kept.iter().sum::<usize>(), relays - 1);
    assert_eq!(kept.last(), Some(&0));
}

#[test]
fn a_letter_ends_at_the_relay_at_the_sender_and_for_a_recipient_who_comes_too_late() {
    let mut world = world(1, 2);
    world.connect(1, 0);
    send(&mut world, 1, 2, "come over");
    world.disconnect(0);
    let never = send(&mut world, 1, 2, "nobody is there");
    let expires = world.now / 1_000 + DAY;
    world.now = (expires - 1) * 1_000;
    world.wait(0);
    assert_eq!(kept(&world, 0), 1);
    world.wait(61_000);
    assert_eq!((kept(&world, 0), world.nodes[0].engine.stats().letters_ended), (0, 1));
    let refused = |event: &Event| matches!(event, Event::LetterRefused { letter, tried_again: false, .. } if *letter == never);
    assert!(world.nodes[1].events.iter().any(refused) && world.nodes[1].engine.unsent_letters().is_empty());
    world.connect(2, 0);
    world.run();
    assert_eq!(shown(&world, 2), []);
    let engine = &mut world.nodes[1].engine;
    let now = Now::at(world.now);
    let mut send = |expires| engine.send_letter(now, peer(2), "note", b"", expires);
    assert_eq!(send(world.now / 1_000), Err(SendLetterError::Expires));
    assert_eq!(send(world.now / 1_000 + LETTER_SECONDS_MAX + 1), Err(SendLetterError::Expires));
}

#[test]
fn every_bound_of_a_relay_is_reached_is_said_and_harms_nobody_else() {
    let mut world = world(1, 3);
    world.connect(1, 0);
    world.connect(2, 0);
    world.run();
    let end = DAY;
    assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 9, 0, 0)), Some(ErrorCode::BadLetter), "ended");
    let (last, now) = (LETTER_SECONDS_MAX + LETTER_SKEW_SECONDS, world.now / 1_000);
    assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 9, 7_000, now + last + 1)), Some(ErrorCode::BadLetter), "too long");
    assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 9, 0, now + last)), None, "by a clock that goes an hour fast");
    assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 0, 0, end)), Some(ErrorCode::BadLetter), "to the relay itself");
    for number in 1..LETTERS_BURST as usize {
        assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 9, number, end)), None);
    }
    assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 9, 999, end)), Some(ErrorCode::TooFast));
    assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 9, 1, end)), None, "one that is kept already");
    assert_eq!(offer(&mut world, 0, 1, 0, &letter(2, 9, 2_000, end)), None, "another key");
    for number in kept(&world, 0)..LETTERS_PER_RECIPIENT_MAX {
        world.now += LETTER_EVERY_MS;
        assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 9, number + 5_000, end)), None);
        assert_eq!(offer(&mut world, 0, 1, 0, &letter(2, 9, 2_000, end)), None, "one that is kept already costs nothing");
    }
    world.now += LETTER_EVERY_MS;
    assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 9, 6_000, end)), Some(ErrorCode::BoxFull));
    assert_eq!(offer(&mut world, 0, 1, 0, &letter(2, 3, 1, end)), None, "another's box");
    let refused = &world.nodes[0].engine.stats().refused;
    assert_eq!((refused[&ErrorCode::BoxFull], refused[&ErrorCode::TooFast]), (1, 1));
}

#[test]
fn no_more_letters_are_under_way_to_someone_than_may_be_and_all_arrive() {
    let mut world = world(1, 3);
    world.connect(1, 0);
    world.run();
    let many = LETTERS_UNDER_WAY_MAX + 8;
    for number in 0..many {
        world.now += LETTER_EVERY_MS;
        assert_eq!(offer(&mut world, 0, 0, 0, &letter(1, 2, number, DAY)), None);
    }
    world.connect(2, 0);
    let (mut under_way, mut most) = (0_usize, 0);
    while let Some((to, _, frame)) = world.frames.front() {
        match Message::decode(frame) {
            Ok(Message::Taken { .. }) if *to == 0 => under_way -= 1,
            _ => {}
        }
        let before = world.frames.len() - 1;
        world.step();
        let is_letter = |(to, _, frame): &&(usize, ConnectionId, Arc<[u8]>)| {
            *to == 2 && matches!(Message::decode(frame), Ok(Message::Letter { .. }))
        };
        under_way += world.frames.iter().skip(before).filter(is_letter).count();
        most = most.max(under_way);
    }
    assert_eq!((most, under_way), (LETTERS_UNDER_WAY_MAX, 0));
    assert_eq!((shown(&world, 2).len(), kept(&world, 0)), (many, 0));
}

#[test]
fn a_sender_who_was_refused_hears_why_and_it_is_kept_once_there_is_room() {
    let mut world = world(1, 2);
    world.connect(1, 0);
    let first: Vec<LetterId> = (0..LETTERS_BURST).map(|_| send(&mut world, 1, 2, "come over")).collect();
    let late = send(&mut world, 1, 2, "one more");
    let why = world.nodes[1].events.iter().find_map(|event| match event {
        Event::LetterRefused { letter, reason, tried_again: true } if *letter == late => Some(reason.clone()),
        _ => None,
    });
    assert!(why.is_some_and(|why| why.contains("again in 5 s")));
    world.wait(31_000);
    assert_eq!((sent(&world, 1).len(), kept(&world, 0)), (first.len() + 1, first.len() + 1));
}

#[test]
fn a_recipient_whose_inbox_is_full_leaves_the_rest_at_the_relay_until_there_is_room() {
    let mut world = world(1, 2);
    world.connect(1, 0);
    world.connect(2, 0);
    world.run();
    for number in 0..INBOX_LETTERS_MAX {
        let bytes: Arc<[u8]> = letter(1, 2, number, DAY).to_bytes().into();
        let frame = Message::Letter { hops: 0, letter: bytes }.encode();
        world.input(2, Input::Frame { connection: ConnectionId(1), bytes: Arc::from(frame) });
    }
    world.run();
    assert_eq!(shown(&world, 2).len(), INBOX_LETTERS_MAX);
    let late = send(&mut world, 1, 2, "one more");
    assert_eq!((shown(&world, 2).len(), kept(&world, 0)), (INBOX_LETTERS_MAX, 1));
    let first = shown(&world, 2)[0];
    world.nodes[2].engine.forget_letter(Now::at(world.now), first);
    world.drain(2);
    world.disconnect(1);
    world.connect(2, 0);
    world.run();
    assert_eq!((shown(&world, 2).last(), kept(&world, 0)), (Some(&late), 0));
}

#[test]
fn nobody_takes_a_letter_away_from_its_recipient_and_rubbish_is_let_go_of() {
    let mut world = world(1, 3);
    world.connect(1, 0);
    let id = send(&mut world, 1, 2, "come over");
    world.connect(3, 0);
    world.run();
    let forged = sign_taken(&SecretKey::new(&secret(3)), &id);
    let frame = Message::Taken { recipient: peer(2), letter: id, signature: forged }.encode();
    world.input(0, Input::Frame { connection: ConnectionId(1), bytes: Arc::from(frame) });
    world.run();
    assert_eq!((kept(&world, 0), world.nodes[0].engine.stats().refused[&ErrorCode::BadProof]), (1, 1));
    // Sealed for nobody: the recipient signs for it, is shown nothing, and the relay is rid of it.
    let rubbish = Letter { recipient: peer(2), expires: DAY, body: vec![7; 600] };
    assert_eq!(offer(&mut world, 0, 0, 0, &rubbish), None);
    world.connect(2, 0);
    world.run();
    assert_eq!((shown(&world, 2), kept(&world, 0)), (vec![id], 0));
    // What is no letter ends the connection it came over.
    let frame = Message::Letter { hops: 0, letter: vec![7; LETTER_BYTES_MAX].into() }.encode();
    world.input(0, Input::Frame { connection: ConnectionId(2), bytes: Arc::from(frame) });
    world.run();
    assert_eq!(world.nodes[0].engine.stats().refused[&ErrorCode::Malformed], 1);
    assert_eq!(world.nodes[0].engine.connected_peers(), 1);
}

#[test]
fn peers_of_older_versions_are_sent_none_and_sync_as_before() {
    let mut world = World::with(&[Role::Relay, Role::Client, Role::Client], |config| {
        config.identity = Some([config.seed[0] + 100; 32]);
        config.version_max = if config.seed[0] == 2 { 3 } else { 4 };
    });
    for node in [1, 2] {
        world.open(node);
        world.connect(node, 0);
    }
    send(&mut world, 1, 2, "come over");
    world.write(2, "calm");
    world.run();
    assert_eq!((shown(&world, 2), kept(&world, 0), world.text(1).as_deref()), (vec![], 1, Some("calm")));
}
