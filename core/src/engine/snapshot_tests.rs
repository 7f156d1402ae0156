//! Stories of long logs: they are compacted, and nobody is the worse for it.

use super::config::{Compaction, Role};
use super::input::Input;
use super::tests::{NOTE, SPACE, World};
use crate::base::time::Now;
use crate::log::log::Log;

/// Logs are compacted as soon as they are a little longer than what is kept, when they were quiet for a second.
fn world(roles: &[Role], who: impl Fn(Role) -> bool) -> World {
    World::with(roles, |config| {
        config.ping_ms = u64::MAX / 4;
        if who(config.role) {
            config.compaction =
                Compaction { quiet_bytes_min: 2_000, quiet_ms: 1_000, kept_bytes_min: 300, ..Compaction::default() };
        } else {
            config.compaction.quiet_ms = u64::MAX / 4;
        }
    })
}

fn log(world: &World, node: usize) -> &Log {
    world.nodes[node].engine.log(&NOTE).expect("the note is held")
}

fn type_words(world: &mut World, node: usize, words: usize) {
    for word in 0..words {
        world.write(node, &format!("word{word} "));
    }
    world.run();
}

#[test]
fn who_joins_late_is_given_a_snapshot_and_what_came_after_it() {
    let mut world = world(&[Role::Relay, Role::Client, Role::Client], |role| role == Role::Relay);
    world.open(1);
    world.connect(1, 0);
    world.run();
    type_words(&mut world, 1, 400);
    world.wait(2_000);
    assert!(log(&world, 0).base() > 390, "only the newest entries stay beside the snapshot");
    assert!(log(&world, 0).snapshot().is_some_and(|snapshot| snapshot.bytes < 4_000));
    type_words(&mut world, 1, 3);

    world.open(2);
    let before = world.bytes;
    world.connect(2, 0);
    world.run();
    assert_eq!(world.text(2), world.text(1));
    assert!(world.bytes - before < 6_000, "{} bytes for 404 changes", world.bytes - before);
    assert_eq!(log(&world, 2).durable(), log(&world, 1).durable());

    // And both go on.
    world.write(2, "late ");
    world.write(1, "early ");
    world.run();
    assert_eq!(world.text(2), world.text(1));
    assert_eq!(world.nodes[2].engine.saved(&NOTE).unwrap().relays, 1);
    assert_eq!(world.nodes[2].engine.progress_of(&SPACE), (1, 1, 0));
}

/// Putting a long document together takes longer than its writer pauses, and then nobody writes any more.
#[test]
fn what_was_written_while_a_snapshot_was_made_is_compacted_too() {
    let mut world = world(&[Role::Relay, Role::Client], |role| role == Role::Relay);
    world.open(1);
    world.connect(1, 0);
    world.run();
    type_words(&mut world, 1, 300);
    world.nodes[0].works_slowly = true;
    world.wait(2_000);
    type_words(&mut world, 1, 300);
    world.wait(2_000);
    assert_eq!(log(&world, 0).base(), 0, "it is still being made");
    world.end_work(0);
    assert!((200..400).contains(&log(&world, 0).base()), "what was made stands for what was there then");
    world.wait(2_000);
    assert!(log(&world, 0).base() > 590, "{}", log(&world, 0).base());
}

#[test]
fn who_was_away_while_the_log_was_compacted_loses_nothing_and_is_understood() {
    let mut world = world(&[Role::Relay, Role::Client, Role::Client], |role| role == Role::Relay);
    for client in [1, 2] {
        world.open(client);
        world.connect(client, 0);
    }
    world.run();
    type_words(&mut world, 1, 20);
    world.disconnect(1);

    // Two writes on, by itself, on heads that the relay will know from its snapshot only.
    type_words(&mut world, 2, 5);
    type_words(&mut world, 1, 300);
    world.wait(2_000);
    assert!(log(&world, 0).base() > 300);
    world.connect(2, 0);
    world.run();
    assert_eq!(world.text(1), world.text(2));
    assert_eq!(world.text(1).unwrap().split_whitespace().count(), 325);
    assert_eq!(log(&world, 0).durable(), log(&world, 2).durable());
    assert_eq!(world.nodes[2].engine.saved(&NOTE).unwrap().relays, 1, "its words are saved on the relay");
}

#[test]
fn a_relay_that_has_nothing_is_given_a_snapshot_by_who_has_compacted() {
    let mut world = world(&[Role::Relay, Role::Client, Role::Client], |role| role == Role::Client);
    world.open(1);
    type_words(&mut world, 1, 300);
    world.wait(2_000);
    assert!(log(&world, 1).base() > 200);
    world.connect(1, 0);
    world.run();
    assert_eq!(log(&world, 0).durable(), log(&world, 1).durable());
    assert!(log(&world, 0).snapshot().is_some());
    assert_eq!(world.nodes[1].engine.saved(&NOTE).unwrap().relays, 1);
    world.open(2);
    world.connect(2, 0);
    world.run();
    assert_eq!(world.text(2), world.text(1));
}

#[test]
fn a_snapshot_that_is_forged_ends_the_connection_and_harms_nothing() {
    use crate::base::id::ConnectionId;
    use crate::sync::message::Message;
    use std::sync::Arc;
    let mut world = world(&[Role::Relay, Role::Client], |_| false);
    world.open(1);
    world.connect(1, 0);
    world.run();
    type_words(&mut world, 1, 3);
    let text = world.text(1);
    let (mut whole, space, document) = (vec![0u8; 400], SPACE, NOTE);
    whole[..4].copy_from_slice(&[0x85, 0x6f, 0x4a, 0x83]);
    let frame = Message::Snapshot { space, document, size: 400, offset: 0, bytes: Arc::from(whole) }.encode();
    world.nodes[1].engine.handle(Now::at(0), Input::Frame { connection: ConnectionId(0), bytes: Arc::from(frame) });
    world.wait(1);
    assert_eq!(world.nodes[1].engine.connected_peers(), 0, "it does not listen to such a peer any longer");
    assert_eq!(world.text(1), text);
}

#[test]
fn a_document_is_opened_from_its_snapshot() {
    let mut world = world(&[Role::Client], |_| true);
    world.open(0);
    type_words(&mut world, 0, 300);
    world.wait(2_000);
    type_words(&mut world, 0, 2);
    let text = world.text(0);
    assert!(log(&world, 0).base() > 200);
    world.input(0, Input::Command(super::input::Command::CloseDocument { document: NOTE }));
    assert_eq!(world.text(0), None);
    world.input(0, Input::Command(super::input::Command::OpenDocument { space: SPACE, document: NOTE }));
    assert_eq!(world.text(0), text);
    world.write(0, "and on");
    assert!(world.text(0).unwrap().ends_with("and on"));
}

/// Two has written by itself; then it is sent a snapshot by a relay that has let go of what two lacks.
fn about_to_adopt() -> World {
    let mut world = world(&[Role::Relay, Role::Client, Role::Client], |role| role == Role::Relay);
    for client in [1, 2] {
        world.open(client);
        world.connect(client, 0);
    }
    world.run();
    type_words(&mut world, 1, 20);
    world.disconnect(1);
    type_words(&mut world, 2, 5);
    type_words(&mut world, 1, 300);
    world.wait(2_000);
    world
}

#[test]
fn a_disk_that_cannot_be_read_for_a_moment_only_delays_the_taking_in_of_a_snapshot() {
    let mut world = about_to_adopt();
    world.slow_down(2);
    world.connect(2, 0);
    world.run();
    assert!(world.let_fail(2) > 0, "the snapshot is put together with what the disk holds");
    world.wait(1);
    assert_ne!(world.text(1), world.text(2));
    world.wait(10_000);
    assert_eq!(world.text(1), world.text(2));
    assert_eq!(log(&world, 0).durable(), log(&world, 2).durable());
}

#[test]
fn a_snapshot_that_makes_the_reader_panic_costs_the_sender_its_connection_and_nobody_a_document() {
    let mut world = about_to_adopt();
    let before = (world.text(2), log(&world, 2).version().clone());
    world.nodes[2].panics = true;
    world.connect(2, 0);
    world.run();
    world.wait(1);
    assert_eq!(world.nodes[2].engine.connected_peers(), 0);
    assert_eq!((world.text(2), log(&world, 2).version().clone()), before, "what is held is not set aside for it");
}

#[test]
fn a_log_of_one_entry_is_left_as_it_is_however_long_that_is() {
    let mut world = world(&[Role::Relay, Role::Client], |role| role == Role::Relay);
    world.open(1);
    world.connect(1, 0);
    // In no pattern, so that nothing packs it.
    let mut rng = crate::base::rng::Rng::new([1; 32]);
    let mut piece = || crate::base::id::to_hex(&rng.bytes::<4_000>());
    world.write(1, &piece());
    world.run();
    world.wait(2_000);
    let (bytes, entries) = (log(&world, 0).entry_bytes(), log(&world, 0).version().clock.entries());
    assert!(bytes > 2_000 && entries == 1 && log(&world, 0).snapshot().is_none(), "{bytes} bytes, {entries} entries");
    world.write(1, &piece());
    world.run();
    world.wait(2_000);
    assert!(log(&world, 0).snapshot().is_some());
}
