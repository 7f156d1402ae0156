//! Who is sent what when there is a fan-out.

use super::config::Role;
use super::tests::{NOTE, World};
use crate::gossip::rumour::RumourConfig;

/// A ring of neighbours around one, with a fan-out of two.
fn star(leaves: usize) -> World {
    let roles = vec![Role::Client; leaves + 1];
    let mut world = World::with(&roles, |config| {
        config.spreading = Some(RumourConfig { fanout: 2, round_ms: 100, again_ms: 1_000 });
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
