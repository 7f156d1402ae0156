//! Words for changes: that they find their way, and outlive disks that refuse them and changes that never come.

use super::trust_tests::{BEN, CAT, OWNER, RELAY, found, invite, join, peer, says, secret, shared, world};
use super::words::Words;
use crate::base::id::{ActorId, ChangeHash, ConnectionId, SpaceId};
use crate::base::limits::EARLY_ATTESTATIONS_MAX;
use crate::engine::config::{EngineConfig, Role};
use crate::engine::input::{Command, Input};
use crate::engine::stored::StoredAttestation;
use crate::engine::tests::{NOTE, World};
use crate::store::task::StoreTask;
use crate::sync::message::Message;
use crate::trust::attestation::Attestation;
use crate::trust::key::SecretKey;
use crate::trust::owned::actor_of;
use crate::trust::statement::Level;
use std::sync::Arc;

const SPACE: SpaceId = SpaceId([7; 16]);

fn bens() -> ActorId {
    actor_of(&peer(BEN), &[1; 8])
}

/// Ben's word for one of his changes.
fn word(seq: u64) -> Attestation {
    Attestation::sign(&SPACE, NOTE, bens(), (seq, ChangeHash([seq as u8; 32])), &SecretKey::new(&secret(BEN)))
}

/// For which changes there are words, with `durable` of Ben's on the disk.
fn told(seqs: impl IntoIterator<Item = u64>, durable: u64) -> (Words, Vec<u64>) {
    let mut words = Words::default();
    for seq in seqs {
        words.put(SPACE, word(seq), None, durable);
    }
    let held = words.of_document(&NOTE).map(|word| word.attestation.seq).collect();
    (words, held)
}

#[test]
fn of_what_is_on_the_disk_one_word_counts_and_of_what_is_not_each_is_kept() {
    assert_eq!(told([1, 2, 3], 5).1, [3]);
    assert_eq!(told([3, 1], 5).1, [3], "an older one says nothing");
    let (mut words, held) = told([2, 4, 6], 3);
    assert_eq!(held, [2, 4, 6]);
    assert_eq!(words.state(&SPACE).count, 1, "one of them counts");
    assert_eq!(words.to_settle(&NOTE, &bens(), 5), words.settle(&NOTE, &bens(), 5), "the store is told of the fourth");
    assert_eq!(words.settle(&NOTE, &bens(), 5), None, "and once");
    assert_eq!(words.of_document(&NOTE).map(|word| word.attestation.seq).collect::<Vec<_>>(), [4, 6]);
    assert_eq!((words.state(&SPACE).count, words.count(&SPACE), words.len()), (1, 2, 2));
    words.forget(&NOTE);
    assert_eq!((words.state(&SPACE).count, words.count(&SPACE), words.len()), (0, 0, 0));
}

#[test]
fn too_many_words_for_changes_that_do_not_come_leave_the_first_and_the_last() {
    let (words, held) = told(1..=100, 0);
    let first: Vec<u64> = (1..EARLY_ATTESTATIONS_MAX as u64).chain([100]).collect();
    assert_eq!((held, words.len()), (first, EARLY_ATTESTATIONS_MAX));
}

/// How many of a member's changes another holds, and how many of these are vouched for there.
fn of_member(world: &World, at: usize, of: usize) -> (u64, u64) {
    let authors = world.nodes[at].engine.authorship(&NOTE);
    let of_member = authors.iter().filter(|author| author.writer == Some(peer(of)));
    of_member.fold((0, 0), |(changes, attested), author| (changes + author.changes, attested + author.attested))
}

#[test]
fn the_words_of_two_that_come_to_a_relay_at_once_reach_each_of_them() {
    let mut world = world();
    shared(&mut world, Level::Write);
    world.wait(2_000);
    for round in 0..3 {
        for node in [OWNER, BEN] {
            world.write(node, "more ");
        }
        world.run_in_bursts();
        world.now += 1_500;
        for node in [OWNER, BEN] {
            world.input(node, Input::Tick);
        }
        world.run_in_bursts();
        assert_eq!(of_member(&world, OWNER, BEN), (round + 1, round + 1));
        assert_eq!(of_member(&world, BEN, OWNER), (round + 2, round + 2));
    }
}

#[test]
fn what_was_vouched_for_can_be_passed_on_though_a_later_change_was_lost_for_good() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let for_ben = invite(&mut world, OWNER, space, Level::Write, 0);
    let for_cat = invite(&mut world, OWNER, space, Level::Write, 0);
    join(&mut world, BEN, &for_ben);
    join(&mut world, CAT, &for_cat);
    world.connect(BEN, OWNER);
    world.run();
    world.write(BEN, "ben ");
    world.run();
    assert_eq!(of_member(&world, OWNER, BEN), (1, 1));
    // His word for more comes first, and neither that nor Ben ever again.
    let actor = world.nodes[BEN].engine.authorship(&NOTE).iter().find(|author| author.writer == Some(peer(BEN))).unwrap().actor;
    let later = Attestation::sign(&space, NOTE, actor, (3, ChangeHash([3; 32])), &SecretKey::new(&secret(BEN)));
    let attestations = vec![Arc::from(later.to_bytes())];
    assert_eq!(says(&mut world, OWNER, 0, &Message::Attestations { space, attestations }), []);
    world.disconnect(0);
    let config = EngineConfig { identity: Some(secret(OWNER)), ..EngineConfig::new(Role::Client, [88; 32]) };
    world.restart(OWNER, config);
    world.input(OWNER, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(OWNER, Input::Command(Command::OpenSpace { space }));
    world.connect(OWNER, CAT);
    world.run();
    assert_eq!(world.text(CAT).as_deref(), Some("owner ben "));
}

#[test]
fn a_word_that_the_disk_refuses_is_there_after_the_next_start() {
    let mut world = world();
    shared(&mut world, Level::Write);
    world.wait(2_000);
    world.write(BEN, "one ");
    world.write(BEN, "two ");
    world.run();
    assert_eq!(of_member(&world, RELAY, BEN), (2, 1));
    // The disk of the relay takes the change, and refuses the word that comes after it.
    world.slow_down(RELAY);
    world.now += 1_500;
    world.input(BEN, Input::Tick);
    world.run();
    assert_eq!(world.let_fail(RELAY), 1);
    for _ in 0..3 {
        world.wait(1_000);
    }
    let config = EngineConfig { identity: Some(secret(RELAY)), ..EngineConfig::new(Role::Relay, [88; 32]) };
    world.restart(RELAY, config);
    assert_eq!(of_member(&world, RELAY, BEN), (2, 2));
}

#[test]
fn who_is_told_of_a_word_is_not_told_of_it_again() {
    let mut world = world();
    shared(&mut world, Level::Write);
    world.wait(2_000);
    world.write(BEN, "ben ");
    world.wait(1_500);
    world.write(OWNER, "owner ");
    world.input(OWNER, Input::Tick);
    let mut words = 0;
    while let Some((_, connection, frame)) = world.frames.front() {
        let is_to_cat = *connection == ConnectionId(2);
        if let Ok(Message::Attestations { attestations, .. }) = Message::decode(frame) {
            words += if is_to_cat { attestations.len() } else { 0 };
        }
        world.step();
    }
    assert!(words <= 1, "Ben's word was told of before: {words}");
}

#[test]
fn of_what_a_crash_left_without_its_word_the_next_start_gives_it_again() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let for_ben = invite(&mut world, OWNER, space, Level::Write, 0);
    let for_cat = invite(&mut world, OWNER, space, Level::Write, 0);
    join(&mut world, BEN, &for_ben);
    join(&mut world, CAT, &for_cat);
    world.write(BEN, "ben ");
    // A word that goes to the disk with changes may be there after a crash without them, and in place of the one for those that are there.
    let actor = world.nodes[BEN].engine.authorship(&NOTE)[0].actor;
    let later = Attestation::sign(&space, NOTE, actor, (3, ChangeHash([3; 32])), &SecretKey::new(&secret(BEN)));
    let (key, value) = StoredAttestation::write(&space, &later);
    world.nodes[BEN].store.execute(StoreTask::PutMeta { key, value }).unwrap();
    let config = EngineConfig { identity: Some(secret(BEN)), ..EngineConfig::new(Role::Client, [88; 32]) };
    world.restart(BEN, config);
    world.input(BEN, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(BEN, Input::Command(Command::OpenSpace { space }));
    world.wait(1_500);
    world.connect(BEN, OWNER);
    world.run();
    world.disconnect(0);
    world.connect(CAT, OWNER);
    world.run();
    assert_eq!(of_member(&world, CAT, BEN), (1, 1), "the owner can pass it on");
}

#[test]
fn a_word_that_comes_before_its_writers_grant_is_told_again() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let for_ben = invite(&mut world, OWNER, space, Level::Write, 0);
    let for_cat = invite(&mut world, OWNER, space, Level::Write, 0);
    join(&mut world, BEN, &for_ben);
    world.connect(BEN, OWNER);
    world.run();
    join(&mut world, CAT, &for_cat);
    world.write(CAT, "cat ");
    world.wait(1_500);
    world.connect(CAT, BEN);
    // Ben passes on what Cat has vouched for, and what the owner hears last is that she was let in.
    let mut late = Vec::new();
    for _ in 0..10_000 {
        let is_late = world.frames.front().is_some_and(|(to, connection, frame)| {
            (*to, connection.0) == (OWNER, 0) && matches!(Message::decode(frame), Ok(Message::Roll { .. }))
        });
        match is_late {
            true => late.extend(world.frames.pop_front()),
            false if world.step() => {}
            false => break,
        }
    }
    assert!(!late.is_empty() && of_member(&world, OWNER, CAT) == (0, 0));
    world.frames.extend(late);
    world.run();
    assert_eq!(of_member(&world, OWNER, CAT), (1, 1));
}
