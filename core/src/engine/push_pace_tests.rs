//! Stories of somebody who types fast: others get all of it, in fewer frames, and nobody who waits is held up.

use super::config::{AppendPace, EngineConfig, PushPace, Role};
use super::input::{Command, Input};
use super::tests::{NOTE, SPACE, World};
use super::trust::trust_tests;
use crate::base::id::DocumentId;
use crate::base::time::Now;
use crate::sync::message::brings_entries;
use crate::trust::statement::Level;

/// Milliseconds between two keys.
const KEY_MS: u64 = 20;

fn paced(config: &mut EngineConfig) {
    match config.role {
        Role::Client => config.push_pace = PushPace::WATCHED,
        Role::Relay => config.append_pace = AppendPace::SPARING,
    }
}

/// A relay, one who types and one who reads.
fn world() -> World {
    let mut world = World::with(&[Role::Relay, Role::Client, Role::Client], paced);
    for node in [1, 2] {
        world.open(node);
        world.connect(node, 0);
    }
    world.run();
    world
}

/// Has a node type so many keys, and as much time pass as that takes; answers how many frames with changes it sent.
fn type_keys(world: &mut World, node: usize, keys: usize) -> usize {
    let mut frames = 0;
    for _ in 0..keys {
        world.write(node, "k");
        for _ in 0..KEY_MS {
            world.now += 1;
            for node in 0..world.nodes.len() {
                world.input(node, Input::Tick);
            }
            frames += world.frames.iter().filter(|(to, _, frame)| *to == 0 && brings_entries(frame)).count();
            world.run();
        }
    }
    frames
}

#[test]
fn who_types_fast_has_several_keys_share_a_frame_and_all_of_them_arrive() {
    let mut world = world();
    let frames = type_keys(&mut world, 1, 100);
    assert!((10..30).contains(&frames), "{frames} frames for 100 keys in two seconds");
    world.wait(1_000);
    assert_eq!(world.text(2).unwrap().len(), 100);
    world.wait(1_000);
    assert_eq!(world.nodes[1].engine.saved(&NOTE).unwrap().relays, 1);
}

#[test]
fn the_same_where_changes_leave_only_from_the_disk() {
    let mut world = trust_tests::world_with(paced);
    trust_tests::shared(&mut world, Level::Read);
    let frames = type_keys(&mut world, trust_tests::BEN, 100);
    assert!((10..30).contains(&frames), "{frames} frames for 100 keys in two seconds");
    world.wait(1_000);
    assert_eq!(world.text(trust_tests::CAT).unwrap().len(), "owner ".len() + 100);
}

#[test]
fn who_waits_for_each_change_to_be_saved_is_not_held_up() {
    let mut world = World::with(&[Role::Relay, Role::Client, Role::Client], |config| {
        paced(config);
        config.append_pace = AppendPace::default();
    });
    world.open(1);
    world.connect(1, 0);
    world.run();
    for _ in 0..100 {
        world.write(1, "k");
        world.run();
        assert_eq!(world.nodes[1].engine.saved(&NOTE).unwrap().relays, 1);
    }
}

#[test]
fn many_documents_share_a_turn() {
    let mut world = world();
    world.slow_down(0);
    let many: Vec<DocumentId> = (0..200).map(|number| DocumentId([number; 16])).collect();
    for document in &many {
        world.input(1, Input::Command(Command::OpenDocument { space: SPACE, document: *document }));
        let now = Now::at(world.now);
        world.nodes[1].engine.change(now, *document, None, |note| note.put("number", 1)).unwrap();
        world.drain(1);
        world.run();
    }
    let held = |world: &World| many.iter().filter(|document| world.nodes[2].engine.log(document).is_some()).count();
    assert!(held(&world) < 10, "{}", held(&world));
    world.wait(PushPace::WATCHED.apart_ms);
    assert_eq!(held(&world), 200);
}

#[test]
fn what_waits_for_its_turn_is_there_for_whoever_comes_meanwhile() {
    let mut world = world();
    world.disconnect(1);
    let typed = |world: &mut World| (0..9).for_each(|_| world.write(1, "k"));
    typed(&mut world);
    world.run();
    assert!(world.text(2).is_none_or(|text| text.len() < 9), "not all of it has left");
    world.connect(2, 0);
    world.connect(2, 1);
    world.run();
    assert_eq!(world.text(2).unwrap().len(), 9);
    // Nor is it lost with the connection on which it would have left.
    typed(&mut world);
    world.disconnect(0);
    world.connect(1, 0);
    world.run();
    world.wait(1_000);
    assert_eq!(world.text(2).unwrap().len(), 18);
}

#[test]
fn nothing_waits_when_whoever_wrote_it_is_about_to_go() {
    for by_command in [false, true] {
        leaves_at_once(by_command);
    }
}

fn leaves_at_once(by_command: bool) {
    let mut world = world();
    // What is confirmed lets more leave.
    world.slow_down(0);
    (0..9).for_each(|_| world.write(1, "k"));
    world.run();
    assert!(world.text(2).is_none_or(|text| text.len() < 9));
    if by_command {
        world.input(1, Input::Command(Command::PushNow));
    } else {
        world.nodes[1].engine.hurry();
        world.drain(1);
    }
    world.run();
    assert_eq!(world.text(2).unwrap().len(), 9);
}
