//! Long logs of owned spaces: members compact what is vouched for, and nothing that is not gets their word on the way.

use super::cheating_tests::{entries, invented};
use super::trust_tests::{BEN, CAT, OWNER, RELAY, open_note, peer, revoke, says, secret, shared, world_with};
use crate::base::id::ActorId;
use crate::engine::config::{Compaction, EngineConfig, Role};
use crate::engine::tests::{NOTE, World};
use crate::trust::owned::actor_of;
use crate::trust::statement::Level;

/// Ben's connection to the relay, as [`shared`] makes it.
const BENS: u64 = 1;

fn compacting(config: &mut EngineConfig) {
    config.compaction = Compaction { quiet_bytes_min: 2_000, quiet_ms: 1_000, kept_bytes_min: 300, ..Compaction::default() };
}

/// Ben's log is compacted when it is a little long and was quiet for a second; those of the others stay as they are.
fn world() -> World {
    world_with(|config| match config.identity == Some(secret(BEN)) {
        true => compacting(config),
        false => config.compaction.quiet_ms = u64::MAX / 4,
    })
}

/// Up to where Ben's log was compacted.
fn compacted(world: &World) -> u64 {
    world.nodes[BEN].engine.log(&NOTE).unwrap().base()
}

fn write_much(world: &mut World) {
    for word in 0..60 {
        world.write(BEN, &format!("word{word} "));
        world.run();
    }
    for _ in 0..3 {
        world.wait(2_000);
    }
}

fn attested(world: &World, node: usize, actor: &ActorId) -> u64 {
    world.nodes[node].engine.attested(&NOTE, actor)
}

#[test]
fn what_a_relay_made_up_under_another_of_ones_own_actors_is_neither_vouched_for_nor_compacted() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    write_much(&mut world);
    let before = compacted(&world);
    assert!(before > 50, "what is vouched for is compacted: {before}");
    // It may be what he wrote on a device that he lost, so it is taken.
    let other = actor_of(&peer(BEN), &[5; 8]);
    let made_up = invented(&world, BEN, NOTE, other);
    assert_eq!(says(&mut world, BEN, BENS, &entries(space, &made_up)), []);
    write_much(&mut world);
    write_much(&mut world);
    let engine = &world.nodes[BEN].engine;
    assert!(engine.log(&NOTE).unwrap().durable().clock.covers(&made_up.actor, made_up.seq));
    assert_eq!(attested(&world, BEN, &made_up.actor), 0, "he vouches for nothing that he has not written");
    assert_eq!(compacted(&world), before, "nor makes a snapshot of it");
    for node in [RELAY, OWNER, CAT] {
        assert_eq!(attested(&world, node, &made_up.actor), 0, "node {node}");
    }
    assert_eq!(world.text(CAT), world.text(OWNER));
}

#[test]
fn what_one_wrote_before_one_was_ended_is_vouched_for_before_it_is_compacted() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.disconnect(BENS);
    for word in 0..60 {
        world.write(BEN, &format!("word{word} "));
    }
    let former = world.nodes[BEN].engine.authorship(&NOTE).into_iter().find(|author| author.changes == 60).unwrap().actor;
    // He is ended before he has vouched for the last of it, and writes on as another actor.
    let mut config = EngineConfig { identity: Some(secret(BEN)), ..EngineConfig::new(Role::Client, [89; 32]) };
    compacting(&mut config);
    world.restart(BEN, config);
    open_note(&mut world, BEN, space);
    write_much(&mut world);
    assert!(compacted(&world) > 100, "{}", compacted(&world));
    assert_eq!(attested(&world, BEN, &former), 60);
}

#[test]
fn what_a_revocation_accepts_of_its_writer_is_compacted_though_they_never_vouched_for_it() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.wait(2_000);
    world.write(CAT, "one ");
    world.write(CAT, "two ");
    world.run();
    // She vouches at most once a second, and is gone before the next.
    world.disconnect(2);
    let cats = world.nodes[BEN].engine.authorship(&NOTE).into_iter().find(|author| author.writer == Some(peer(CAT))).unwrap();
    assert_eq!((cats.changes, cats.attested), (2, 1));
    revoke(&mut world, OWNER, space, CAT);
    world.run();
    write_much(&mut world);
    assert!(compacted(&world) > 50, "{}", compacted(&world));
    assert!(world.text(BEN).is_some_and(|text| text.contains("one two ")));
}
