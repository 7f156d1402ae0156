//! Who is sent what when there is a fan-out.

use super::config::Role;
use super::input::{Command, Input};
use super::tests::{NOTE, SPACE, World};
use crate::base::id::DocumentId;
use crate::base::time::Now;
use crate::gossip::rumour::RumourConfig;

/// A ring of neighbours around one, with a fan-out of two.
fn star(leaves: usize) -> World {
    star_asking_after(leaves, 10_000)
}

/// ... in which whoever hears of something asks for it after so many milliseconds.
fn star_asking_after(leaves: usize, ask_ms: u64) -> World {
    let roles = vec![Role::Client; leaves + 1];
    let mut world = World::with(&roles, |config| {
        config.spreading = Some(RumourConfig { fanout: 2, round_ms: 100, again_ms: 1_000, ask_ms });
    });
    (0..=leaves).for_each(|node| world.open(node));
    (1..=leaves).for_each(|leaf| world.connect(leaf, 0));
    world.run();
    world
}

fn holders(world: &World) -> usize {
    let newest = world.nodes[0].engine.log(&NOTE).map(|log| log.version().clone());
    world.nodes.iter().filter(|node| node.engine.log(&NOTE).map(|log| log.version().clone()) == newest).count()
}

/// Six neighbours and a fan-out of two: two have it at once, two more after each round, and none has to wait for another word.
#[test]
fn what_is_new_goes_to_as_many_as_the_fan_out_says_and_to_the_rest_round_by_round() {
    let mut world = star(6);
    world.write(0, "first");
    world.run();
    assert_eq!(holders(&world), 3);
    world.wait(100);
    assert_eq!(holders(&world), 5);
    world.wait(100);
    assert_eq!(holders(&world), 7);
    assert!((0..7).all(|node| world.text(node).as_deref() == Some("first")));
}

/// Two neighbours of one have heard from each other: it is told so, and does not send what they hold.
#[test]
fn a_neighbour_that_says_that_it_holds_it_is_not_sent_it() {
    let mut world = star(4);
    for (a, b) in [(1, 2), (2, 3), (3, 4), (4, 1), (1, 3), (2, 4)] {
        world.connect(a, b);
    }
    world.run();
    let before = world.bytes;
    world.write(0, "x");
    for _ in 0..4 {
        world.wait(100);
    }
    assert_eq!(holders(&world), 5);
    let gossiped = world.bytes - before;
    let mut all_at_once = World::new(&[Role::Client; 5]);
    (0..5).for_each(|node| all_at_once.open(node));
    (1..5).for_each(|leaf| all_at_once.connect(leaf, 0));
    for (a, b) in [(1, 2), (2, 3), (3, 4), (4, 1), (1, 3), (2, 4)] {
        all_at_once.connect(a, b);
    }
    all_at_once.run();
    let before = all_at_once.bytes;
    all_at_once.write(0, "x");
    all_at_once.run();
    let flooded = all_at_once.bytes - before;
    assert!(gossiped < flooded, "{gossiped} bytes by rounds, {flooded} where everyone is sent it at once");
}

/// A neighbour goes in the middle of it and comes back: it is sent what it missed when it subscribes, not when its turn comes.
#[test]
fn who_was_away_is_sent_what_it_missed_when_it_comes_back() {
    let mut world = star(5);
    world.disconnect(4);
    world.write(0, "while it was away");
    for _ in 0..4 {
        world.wait(100);
    }
    assert_eq!(holders(&world), 5);
    world.connect(5, 0);
    world.run();
    assert_eq!(holders(&world), 6);
}

/// Two of six are pushed to and the others are told; no round comes, and still they have it a moment later: they ask, once each.
#[test]
fn who_is_told_that_it_is_elsewhere_asks_for_it_and_does_not_wait_for_its_turn() {
    let mut world = star_asking_after(6, 20);
    world.write(0, "first");
    world.run();
    assert_eq!(holders(&world), 3);
    world.wait(19);
    assert_eq!(holders(&world), 3, "it may be on its way");
    world.wait(1);
    assert_eq!(holders(&world), 7);
    let received: Vec<u64> = (1..7).map(|node| world.nodes[node].engine.stats().received).collect();
    assert_eq!(received, [1; 6], "nobody is sent it twice");
    world.wait(1_000);
    assert!((1..7).all(|node| world.nodes[node].engine.stats().received == 1), "also not by a later round");
}

/// A relay is one of seven neighbours: it has no turn to wait for.
#[test]
fn a_relay_is_sent_at_once_what_is_new() {
    let mut roles = vec![Role::Client; 7];
    roles.push(Role::Relay);
    let mut world = World::with(&roles, |config| {
        if config.role == Role::Client {
            config.spreading = Some(RumourConfig { fanout: 1, round_ms: 10_000, again_ms: 10_000, ask_ms: 10_000 });
        }
    });
    (0..7).for_each(|node| world.open(node));
    (1..7).for_each(|leaf| world.connect(leaf, 0));
    world.connect(0, 7);
    world.run();
    for text in ["a", "b", "c"] {
        world.write(0, text);
        world.run();
        let newest = world.nodes[0].engine.log(&NOTE).unwrap().version().clone();
        assert_eq!(world.nodes[7].engine.log(&NOTE).unwrap().version(), &newest);
    }
}

/// Hinted handoff: of 200 notes that both hold one moved on while the neighbour was away. It is sent that one before it has said anything of what it
/// holds beyond the state that both agreed on, and nothing else is exchanged.
#[test]
fn who_was_away_is_handed_first_what_it_is_owed() {
    let mut world = star(3);
    for number in 0..200_u8 {
        let document = DocumentId([number.saturating_add(3); 16]);
        world.input(0, Input::Command(Command::OpenDocument { space: SPACE, document }));
        let now = Now::at(world.now);
        world.nodes[0].engine.change(now, document, None, |note| note.put("body", "calm")).expect("it is open");
        world.drain(0);
        world.input(0, Input::Command(Command::CloseDocument { document }));
    }
    for _ in 0..30 {
        world.wait(1_000);
    }
    world.disconnect(2);
    world.write(0, "while it was away");
    for _ in 0..10 {
        world.wait(1_000);
    }
    let before = world.bytes;
    world.connect(3, 0);
    // Hellos, proofs, the subscription that names the state, what it said of the open note: and the answer brings it.
    let mut told = Vec::new();
    while world.step() {
        told.push(world.text(3).as_deref() == Some("while it was away"));
    }
    let handed = told.iter().position(|has| *has).expect("it has it in the end");
    assert!(handed <= 8, "after {handed} frames");
    let hellos = 2 * 200 + 2 * 65;
    assert!(world.bytes - before < hellos + 1_000, "{} bytes", world.bytes - before);
}
