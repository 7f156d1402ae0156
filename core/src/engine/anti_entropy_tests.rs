//! What a comparison on demand finds, and what it costs where there is nothing to find.

use super::config::Role;
use super::input::{Command, Input};
use super::tests::{NOTE, SPACE, World};

/// Two replicas that are in sync; the second has the note open only where `open` says so.
fn pair(open: bool) -> World {
    let mut world = World::new(&[Role::Client, Role::Client]);
    world.open(0);
    match open {
        true => world.open(1),
        false => {
            world.input(1, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
            world.input(1, Input::Command(Command::OpenSpace { space: SPACE }));
        }
    }
    world.connect(1, 0);
    world.write(0, "calm");
    world.run();
    world
}

fn compare(world: &mut World, from: usize) {
    let peer = world.nodes[1 - from].engine.peer_id().expect("it is at work");
    world.input(from, Input::Command(Command::Compare { space: SPACE, peer }));
    world.run();
}

/// A push is lost, and no push will ever find that: a comparison does, whichever side asks for it, and whether or not the document was told by
/// its version when the two subscribed.
#[test]
fn what_was_lost_unseen_is_found_when_the_space_is_compared_again() {
    for open in [true, false] {
        for from in [0, 1] {
            let mut world = pair(open);
            world.write(0, " and lost");
            world.lose();
            world.write(0, " and found");
            world.lose();
            world.run();
            let versions =
                |world: &World| [0, 1].map(|node| world.nodes[node].engine.log(&NOTE).map(|log| log.version().clone()));
            assert_ne!(versions(&world)[0], versions(&world)[1]);
            compare(&mut world, from);
            let [left, right] = versions(&world);
            assert_eq!(left, right, "asked for by {from}, open: {open}");
        }
    }
}

#[test]
fn where_both_hold_the_same_it_costs_two_small_frames_and_nobody_sees_them_out_of_sync() {
    let mut world = pair(false);
    let before = world.bytes;
    let peer = world.nodes[0].engine.peer_id().expect("it is at work");
    world.input(1, Input::Command(Command::Compare { space: SPACE, peer }));
    assert_eq!(world.nodes[1].engine.progress_of(&SPACE), (1, 1, 0), "while it is asked");
    let mut frames = 0;
    while world.step() {
        frames += 1;
        assert_eq!(world.nodes[0].engine.progress_of(&SPACE), (1, 1, 0));
    }
    assert!(frames <= 4 && world.bytes - before < 200, "{frames} frames, {} bytes", world.bytes - before);
}

#[test]
fn nobody_there_is_nothing_to_compare_with() {
    let mut world = pair(true);
    let before = world.bytes;
    let stranger = crate::base::id::PeerId([9; 32]);
    world.input(0, Input::Command(Command::Compare { space: SPACE, peer: stranger }));
    world.disconnect(0);
    compare(&mut world, 0);
    assert_eq!(world.bytes, before);
}
