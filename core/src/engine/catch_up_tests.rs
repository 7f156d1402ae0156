//! Stories of catching up: how far it is, as far as that is known.

use super::config::{Compaction, EngineConfig, Role};
use super::effect::{Amount, CatchUp, Event};
use super::input::{Command, Input};
use super::tests::{NOTE, SPACE, World};
use crate::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId};
use crate::doc::edit::{Edit, Op};
use crate::doc::value::{Prop, Value};
use crate::log::version::Version;
use crate::sync::message::Message;

/// What was told of catching up, each different from the one before.
fn told(world: &World, node: usize) -> Vec<Option<CatchUp>> {
    let catch_up = |event: &Event| match event {
        Event::SpaceSync { catch_up, .. } => Some(*catch_up),
        _ => None,
    };
    let mut told: Vec<Option<CatchUp>> = world.nodes[node].events.iter().filter_map(catch_up).collect();
    told.dedup();
    told
}

/// Delivers everything, slowly enough for everything to be told.
fn run_slowly(world: &mut World, node: usize) {
    while world.step() {
        world.now += 60;
        world.input(node, Input::Tick);
    }
    world.now += 60;
    world.input(node, Input::Tick);
}

fn connect_newcomer(world: &mut World) {
    world.input(2, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(2, Input::Command(Command::OpenSpace { space: SPACE }));
    world.nodes[2].events.clear();
    world.connect(2, 0);
    run_slowly(world, 2);
}

#[test]
fn of_a_space_of_many_documents_it_is_told_how_many_have_come() {
    let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
    world.open(1);
    world.connect(1, 0);
    for number in 0..40 {
        let document = DocumentId([100 + number; 16]);
        world.input(1, Input::Command(Command::OpenDocument { space: SPACE, document }));
        let ops = vec![Op::Put { path: vec![Prop::Key("n".to_owned())], value: Value::Int(number.into()) }];
        world.input(1, Input::Command(Command::EditDocument { document, number: 1, edit: Edit { ops, message: None } }));
    }
    world.run();
    connect_newcomer(&mut world);
    let told = told(&world, 2);
    let under_way: Vec<CatchUp> = told.iter().flatten().copied().collect();
    assert!(under_way.len() > 5, "{told:?}");
    assert_eq!(told.last(), Some(&None), "in the end nothing is missing");
    assert!(under_way.iter().all(|now| now.documents.total.is_none_or(|total| total == 40 && now.documents.done < total)));
    assert!(under_way.iter().any(|now| now.documents.total == Some(40)), "the comparison tells how many there are");
    assert!(under_way.windows(2).all(|two| two[0].documents.done <= two[1].documents.done));
    let bytes: Vec<Amount> = under_way.iter().map(|now| now.bytes).filter(|bytes| bytes.total.is_some()).collect();
    assert!(bytes.iter().all(|now| now.total == bytes[0].total && Some(now.done) <= now.total), "{told:?}");
    assert!(under_way.last().is_some_and(|last| last.documents.done > 30 && last.bytes.done > 1_000));

    // What is written together afterwards is no catch-up.
    world.nodes[2].events.clear();
    world.write(1, "live");
    run_slowly(&mut world, 2);
    assert_eq!(self::told(&world, 2).into_iter().flatten().count(), 0);
}

#[test]
fn what_was_announced_and_does_not_come_is_not_waited_for_for_ever() {
    let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
    connect_newcomer(&mut world);
    let frame = Message::Coming { space: SPACE, documents: 5, bytes: 9_000 }.encode();
    world.input(2, Input::Frame { connection: ConnectionId(0), bytes: frame.into() });
    world.wait(60);
    let none = Amount { done: 0, total: Some(5) };
    let announced = CatchUp { documents: none, bytes: Amount { done: 0, total: Some(9_000) } };
    assert_eq!(told(&world, 2).last(), Some(&Some(announced)));
    world.wait(11_000);
    assert_eq!(told(&world, 2).last(), Some(&None));
}

/// The peer has said what it holds, and goes on saying that it is there: the engine neither gives up nor goes round in circles.
#[test]
fn what_a_peer_has_said_it_holds_is_missing_for_as_long_as_it_does_not_come() {
    let mut world = World::with(&[Role::Relay, Role::Client, Role::Client], |config| config.ping_ms = u64::MAX / 4);
    connect_newcomer(&mut world);
    let version = Version {
        heads: [ChangeHash([9; 32])].into_iter().collect(),
        clock: [(ActorId::new(&[9]).unwrap(), 1)].into_iter().collect(),
    };
    let have = Message::Have { space: SPACE, document: NOTE, answer: true, version };
    for frame in [Message::Coming { space: SPACE, documents: 5, bytes: 9_000 }, have] {
        world.input(2, Input::Frame { connection: ConnectionId(0), bytes: frame.encode().into() });
    }
    world.wait(60);
    assert!(told(&world, 2).last().is_some_and(Option::is_some));
    world.nodes[2].events.clear();
    for _ in 0..3 {
        world.wait(11_000);
    }
    let missing = world.nodes[2].engine.catch_up(&SPACE).map(|now| now.documents.done);
    assert_eq!(missing, Some(0), "it is still missing");
}

#[test]
fn of_a_long_document_it_is_told_how_much_of_it_has_come() {
    let mut world = World::with(&[Role::Relay, Role::Client, Role::Client], |config| {
        config.ping_ms = u64::MAX / 4;
        config.limits.frame_bytes_max = 4 * 1024;
        config.limits.entry_bytes_max = 2 * 1024;
        if config.role == Role::Relay {
            config.compaction =
                Compaction { quiet_bytes_min: 2_000, quiet_ms: 1_000, kept_bytes_min: 0, ..Compaction::default() };
        }
    });
    world.open(1);
    world.connect(1, 0);
    world.run();
    let mut dice = crate::base::rng::Rng::new([7; 32]);
    for _ in 0..1_500 {
        let word: String = dice.bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
        world.write(1, &word);
    }
    world.run();
    world.wait(2_000);
    let size = world.nodes[0].engine.log(&NOTE).unwrap().snapshot().expect("the relay has a snapshot").bytes;
    assert!(size > 40_000, "{size}");
    connect_newcomer(&mut world);
    let told = told(&world, 2);
    let with_size: Vec<Amount> = told.iter().flatten().map(|now| now.bytes).filter(|bytes| bytes.total.is_some()).collect();
    assert!(with_size.len() > 3, "{told:?}");
    assert!(with_size.iter().all(|bytes| bytes.total == Some(size) && bytes.done <= size), "{told:?}");
    assert!(with_size.windows(2).all(|two| two[0].done < two[1].done));
    assert_eq!(with_size.last().map(|bytes| bytes.done), Some(size), "that it is all here is told before it is put together");
    assert_eq!(told.last(), Some(&None));
}

/// Two have edited at once, so that what comes depends on what is known and not the newest, and is looked up on a slow disk.
#[test]
fn what_waits_for_a_slow_disk_before_it_is_in_the_log_has_not_come_yet() {
    let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
    for node in [1, 2] {
        world.open(node);
        world.connect(node, 0);
    }
    world.run();
    world.write(1, "calm ");
    world.run();
    world.disconnect(0);
    world.write(2, "sea ");
    world.wait(60);
    world.wait(1_100);
    world.disconnect(1);
    world.write(1, "now ");
    world.connect(1, 0);
    world.run();

    // The second comes back with nothing in memory, and opens nothing.
    world.restart(2, EngineConfig::new(Role::Client, [9; 32]));
    world.input(2, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(2, Input::Command(Command::OpenSpace { space: SPACE }));
    world.connect(2, 0);
    world.slow_down(2);
    world.run();
    assert!(!world.nodes[2].waiting.is_empty(), "it looks up what it knows");
    assert_eq!(world.nodes[2].engine.log(&NOTE).unwrap().end(), 2, "the third change is not in the log");
    assert_eq!(world.nodes[2].engine.ask_progress(&SPACE).0, (1, 0, 1), "so it is not in sync");
    world.nodes[2].events.clear();
    world.let_through(2);
    world.run();
    world.wait(60);
    world.wait(60);
    assert_eq!(world.nodes[2].engine.log(&NOTE).unwrap().end(), 3);
    let synced = Event::SpaceSync { space: SPACE, peers: 1, in_sync: 1, behind: 0, catch_up: None };
    assert_eq!(world.nodes[2].events.iter().rfind(|event| matches!(event, Event::SpaceSync { .. })), Some(&synced));
}
