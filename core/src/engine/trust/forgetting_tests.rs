//! Relays that are put back to an old state of their disk: they forget who was let in and who was shut out, and are told of.

use super::cheating_tests::{BENS, CATS, OWNERS, actor_of_ben, entries, invented, told};
use super::trust_tests::{BEN, CAT, OWNER, RELAY, found, invite, join, open_note, revoke, says, secret, shared, version, world};
use crate::engine::config::{EngineConfig, Role};
use crate::engine::effect::TroubleKind;
use crate::engine::input::{Command, Input};
use crate::engine::seal::seal_tests;
use crate::engine::tests::{NOTE, World};
use crate::store::journal::Journal;
use crate::store::medium::MemoryMedium;
use crate::store::task::StoreTask;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::statement::Level;

/// What a relay's disk holds.
pub(in crate::engine) fn copied(world: &mut World, node: usize) -> MemoryMedium {
    let medium = std::mem::replace(&mut world.nodes[node].store, Journal::new(MemoryMedium::new())).into_medium();
    world.nodes[node].store = Journal::new(medium.clone());
    world.nodes[node].store.execute(StoreTask::Open { epoch: crate::base::id::StoreEpoch([0; 16]) }).unwrap();
    medium
}

/// The relay's disk is what it was; its process starts again on it. All its connections are gone.
pub(in crate::engine) fn set_back(world: &mut World, medium: MemoryMedium, connections: &[u64]) {
    for connection in connections {
        world.disconnect(*connection);
    }
    world.nodes[RELAY].store = Journal::new(medium);
    world.restart(RELAY, EngineConfig { identity: Some(secret(RELAY)), ..EngineConfig::new(Role::Relay, [55; 32]) });
}

#[test]
fn a_relay_that_forgot_a_revocation_is_told_of_and_sent_it_again() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.wait(2_000);
    let old = copied(&mut world, RELAY);
    world.write(BEN, "ben ");
    world.run();
    revoke(&mut world, OWNER, space, BEN);
    world.wait(2_000);
    let went_back = |world: &World, node: usize| told(world, node, TroubleKind::WentBack);
    assert_eq!(went_back(&world, OWNER), Vec::<String>::new());
    set_back(&mut world, old, &[OWNERS, BENS, CATS]);
    // To it Ben is a member. His own replica knows better; another program of his would not.
    world.connect(BEN, RELAY);
    world.run();
    let subscribe = Message::Subscribe { space, eager: Vec::new(), known: None, ranges: Vec::new() };
    assert_eq!(says(&mut world, RELAY, 3, &subscribe), []);
    let late = invented(&world, BEN, NOTE, actor_of_ben(&world));
    assert_eq!(late.seq, 2);
    let ben = seal_tests::stored(&mut world, BEN).into_iter().find(|entry| entry.actor == late.actor).unwrap();
    for entry in [&ben, &late] {
        assert_eq!(says(&mut world, RELAY, 3, &entries(space, entry)), []);
    }
    assert_eq!(version(&world, RELAY).clock.get(&late.actor), 2, "it takes what he wrote after he was shut out");
    // The owner comes by: it is noticed at once, and it is mended.
    world.connect(OWNER, RELAY);
    world.run();
    let told = went_back(&world, OWNER);
    assert!(told.iter().any(|told| told.contains("1 statements of who may do what")), "{told:?}");
    world.wait(1_000);
    assert_eq!(says(&mut world, RELAY, 3, &subscribe), [ErrorCode::GrantRevoked]);
    assert_eq!(version(&world, RELAY), version(&world, OWNER), "what it took meanwhile is gone");
    world.connect(CAT, RELAY);
    world.run();
    assert_eq!(went_back(&world, CAT), Vec::<String>::new(), "by the time she comes nothing is missing");
    assert_eq!(version(&world, CAT), version(&world, OWNER));
}

/// The owner's disk loses what lets Ben in, one of many statements. Without a relay it can learn of it from him alone, who is nobody to it then.
#[test]
fn a_member_whose_grant_another_has_lost_shows_it_first_among_many() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let for_ben = invite(&mut world, OWNER, space, Level::Write, 0);
    for _ in 0..12 {
        invite(&mut world, OWNER, space, Level::Read, 0);
    }
    let before = world.nodes[OWNER].engine.trust.rolls[&space].roll.clone();
    join(&mut world, BEN, &for_ben);
    world.connect(BEN, OWNER);
    world.run();
    assert_eq!(world.text(BEN).as_deref(), Some("owner "));
    world.disconnect(0);
    world.nodes[OWNER].engine.trust.put(before);
    world.connect(OWNER, BEN);
    world.run();
    world.write(BEN, "ben");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben"));
}

#[test]
fn a_relay_that_forgot_a_grant_is_told_of_also_by_one_who_was_started_again_and_lets_them_in_when_they_come() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let (for_ben, for_cat) =
        (invite(&mut world, OWNER, space, Level::Write, 0), invite(&mut world, OWNER, space, Level::Write, 0));
    world.connect(OWNER, RELAY);
    world.run();
    let old = copied(&mut world, RELAY);
    join(&mut world, BEN, &for_ben);
    world.connect(BEN, RELAY);
    world.run();
    join(&mut world, CAT, &for_cat);
    world.connect(CAT, RELAY);
    world.run();
    world.write(CAT, "cat ");
    world.wait(2_000);
    set_back(&mut world, old, &[0, 1, 2]);
    // Ben's process has ended, too: what the relay had saved he has on his disk.
    world.restart(BEN, EngineConfig { identity: Some(secret(BEN)), ..EngineConfig::new(Role::Client, [88; 32]) });
    world.input(BEN, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(BEN, Input::Command(Command::OpenSpace { space }));
    open_note(&mut world, BEN, space);
    world.connect(BEN, RELAY);
    world.run();
    let told = told(&world, BEN, TroubleKind::WentBack);
    // His own he has shown again before it said so.
    assert!(told.iter().any(|told| told.contains("1 statements of who may do what")), "{told:?}");
    // He brought it hers, too.
    world.connect(CAT, RELAY);
    world.run();
    world.write(CAT, "again ");
    world.run();
    assert_eq!(world.text(BEN).as_deref(), Some("owner cat again "));
    assert_eq!(version(&world, RELAY), version(&world, CAT));
}

#[test]
fn who_has_nothing_left_but_their_key_is_let_in_and_never_told_that_they_are_not() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    let forbidden = |world: &World, node: usize| told(world, node, TroubleKind::Forbidden);
    for (node, key) in [(OWNER, secret(OWNER)), (CAT, [7; 32])] {
        world.disconnect(if node == OWNER { OWNERS } else { CATS });
        world.nodes[node].store = Journal::new(MemoryMedium::new());
        world.restart(node, EngineConfig { identity: Some(key), ..EngineConfig::new(Role::Client, [66; 32]) });
        world.nodes[node].events.clear();
        world.input(node, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
        world.input(node, Input::Command(Command::OpenSpace { space }));
        open_note(&mut world, node, space);
        world.connect(node, RELAY);
        world.run();
    }
    assert_eq!(forbidden(&world, OWNER), Vec::<String>::new());
    assert_eq!(world.text(OWNER).as_deref(), Some("owner "));
    // Who is no member is told so, once, when the relay has answered.
    assert_eq!(forbidden(&world, CAT).len(), 1);
    assert!(forbidden(&world, CAT)[0].contains("you were granted nothing there"));
}
