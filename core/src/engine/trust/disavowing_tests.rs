//! What no word will ever speak against is disavowed by people: it goes on every replica, and nothing goes that anyone vouches for.

use super::cheating_tests::{BENS, CATS, OWNERS, actor_of_ben, entries, invented, told};
use super::disavowing::{Unvouched, Whose};
use super::owned::OwnedError;
use super::trust_tests::{BEN, CAT, OWNER, RELAY, peer, says, secret, shared, version, world};
use crate::base::id::SpaceId;
use crate::engine::Now;
use crate::engine::config::{EngineConfig, Role};
use crate::engine::effect::TroubleKind;
use crate::engine::input::{Command, Input};
use crate::engine::tests::{NOTE, World};
use crate::log::entry::Entry;
use crate::sync::message::ErrorCode;
use crate::trust::owned::actor_of;
use crate::trust::statement::Level;

/// The relay makes up a change under an actor as which Ben never wrote, and gives it to these.
fn misled(world: &mut World, space: SpaceId, nodes: &[(usize, u64)]) -> Entry {
    world.write(BEN, "ben ");
    world.wait(2_000);
    let forged = invented(world, CAT, NOTE, actor_of(&peer(BEN), &[77; 8]));
    for (node, connection) in nodes {
        assert_eq!(says(world, *node, *connection, &entries(space, &forged)), []);
        assert!(is_misled(world, *node));
    }
    forged
}

fn is_misled(world: &World, node: usize) -> bool {
    let document = world.nodes[node].engine.document(&NOTE).unwrap();
    document.value(()).unwrap().to_json().to_string().contains("invented")
}

fn disavow(world: &mut World, by: usize, space: SpaceId, whose: Whose) -> Result<u64, OwnedError> {
    let disavowed = world.nodes[by].engine.disavow(Now::at(world.now), space, NOTE, whose);
    world.drain(by);
    disavowed
}

fn all_hold_the_same_and_all_of_it_is_vouched_for(world: &World) {
    for node in [OWNER, BEN, CAT] {
        assert!(!is_misled(world, node), "node {node}");
        assert_eq!(version(world, node), version(world, RELAY), "node {node}");
        let authors = world.nodes[node].engine.authorship(&NOTE);
        assert!(authors.iter().all(|author| author.attested == author.changes), "node {node}: {authors:?}");
    }
}

#[test]
fn what_was_made_up_under_an_actor_that_nobody_writes_as_goes_everywhere_when_the_owner_disavows_it() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    let forged = misled(&mut world, space, &[(OWNER, OWNERS), (CAT, CATS)]);
    world.write(CAT, "cat ");
    world.write(BEN, "on ");
    world.wait(3_000);
    assert!(is_misled(&world, OWNER) && is_misled(&world, CAT), "no word of Ben's speaks against it");
    let found = Unvouched { document: NOTE, writer: peer(BEN), actor: forged.actor, changes: 1 };
    assert_eq!(world.nodes[OWNER].engine.unvouched(&space), [found]);
    assert_eq!(disavow(&mut world, OWNER, space, Whose::All), Ok(1));
    world.wait(10_000);
    assert!(told(&world, OWNER, TroubleKind::Forbidden).iter().any(|told| told.contains("disavowed")));
    assert!(told(&world, CAT, TroubleKind::Forbidden).iter().any(|told| told.contains("(1 of this replica's own)")));
    all_hold_the_same_and_all_of_it_is_vouched_for(&world);
    let text = world.text(OWNER).unwrap();
    assert!(["owner ", "ben ", "cat ", "on "].iter().all(|part| text.contains(part)), "{text}");
    assert_eq!(world.nodes[OWNER].engine.unvouched(&space), []);
    // It is not taken again, by none of them, not after a start either.
    assert_eq!(says(&mut world, OWNER, OWNERS, &entries(space, &forged)), [ErrorCode::NotTheirs]);
    world.disconnect(CATS);
    world.restart(CAT, EngineConfig { identity: Some(secret(CAT)), ..EngineConfig::new(Role::Client, [88; 32]) });
    world.input(CAT, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(CAT, Input::Command(Command::OpenSpace { space }));
    world.input(CAT, Input::Command(Command::OpenDocument { space, document: NOTE }));
    world.connect(CAT, RELAY);
    world.wait(2_000);
    assert_eq!(says(&mut world, CAT, 3, &entries(space, &forged)), [ErrorCode::NotTheirs]);
    all_hold_the_same_and_all_of_it_is_vouched_for(&world);
}

#[test]
fn whoever_may_write_disavows_also_what_only_others_hold() {
    let mut world = world();
    let space = shared(&mut world, Level::Read);
    let forged = misled(&mut world, space, &[(CAT, CATS)]);
    let refused = disavow(&mut world, CAT, space, Whose::All).unwrap_err();
    assert!(matches!(refused, OwnedError::NotGranted { .. }), "{refused}");
    assert_eq!(disavow(&mut world, BEN, space, Whose::All), Err(OwnedError::AllVouched(NOTE)), "he was not given it");
    assert_eq!(disavow(&mut world, BEN, space, Whose::Actor(forged.actor)), Ok(0));
    world.wait(3_000);
    all_hold_the_same_and_all_of_it_is_vouched_for(&world);
    // In his own name he was given it, too, and takes that for someone else's doing.
    let forged = invented(&world, BEN, NOTE, actor_of(&peer(BEN), &[78; 8]));
    assert_eq!(says(&mut world, BEN, BENS, &entries(space, &forged)), []);
    assert_eq!(disavow(&mut world, BEN, space, Whose::Of(peer(CAT))), Err(OwnedError::AllVouched(NOTE)));
    assert_eq!(disavow(&mut world, BEN, space, Whose::Of(peer(BEN))), Ok(1));
    world.wait(3_000);
    all_hold_the_same_and_all_of_it_is_vouched_for(&world);
}

#[test]
fn what_nobody_lived_to_vouch_for_goes_from_the_relay_too_and_comes_back_should_they_live_after_all() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.write(BEN, "last ");
    world.run();
    world.disconnect(BENS);
    world.wait(2_000);
    let bens =
        |world: &World, node: usize| world.nodes[node].engine.log(&NOTE).unwrap().version().clock.get(&actor_of_ben(world));
    assert_eq!((bens(&world, RELAY), bens(&world, CAT)), (2, 2), "the relay said that it had saved it");
    assert_eq!(disavow(&mut world, CAT, space, Whose::Of(peer(BEN))), Ok(1));
    world.wait(3_000);
    for node in [RELAY, OWNER, CAT] {
        assert_eq!(bens(&world, node), 1, "node {node}");
    }
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben "));
    // Ben is not gone: he comes back with his word, and nothing of his is lost.
    world.connect(BEN, RELAY);
    world.wait(3_000);
    all_hold_the_same_and_all_of_it_is_vouched_for(&world);
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben last "));
}

#[test]
fn who_is_writing_while_it_is_disavowed_loses_nothing() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.write(BEN, "more ");
    world.run();
    assert_eq!(disavow(&mut world, OWNER, space, Whose::All), Ok(1), "of this second nobody has his word yet");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben "));
    assert_eq!(world.text(BEN).as_deref(), Some("owner ben more "), "what he knows to be his own he keeps");
    for text in ["and ", "on "] {
        world.write(BEN, text);
        world.wait(2_000);
    }
    all_hold_the_same_and_all_of_it_is_vouched_for(&world);
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben more and on "));
}

#[test]
fn in_a_sealed_space_nothing_is_disavowed() {
    let mut world = world();
    let space = world.nodes[OWNER].engine.found_sealed_space(Now::at(world.now)).unwrap();
    world.drain(OWNER);
    let refused = disavow(&mut world, OWNER, space, Whose::All).unwrap_err();
    assert!(refused.to_string().contains("nobody but a member"), "{refused}");
    assert_eq!(world.nodes[OWNER].engine.unvouched(&space), []);
}
