//! Each named bound of what members and strangers can grow here, reached once: what is above it is refused, and nothing else is harmed.
//!
//! The bounds of a roll alone are reached in `core/src/trust/roll_tests.rs`, those of letters at a relay in `core/src/policy` and [`crate::engine::post::post_tests`].

use super::owned::{Offer, OwnedError};
use super::trust_tests::{
    BEN, CAT, OWNER, RELAY, access, found, invite, join, peer, revoke, says, secret, shared, version, world,
};
use crate::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId, LetterId, SpaceId};
use crate::base::limits::{
    ATTESTATIONS_MAX, ATTESTATIONS_PER_SPACE_MAX, ATTESTED_TOLD_MAX, FRAME_ATTESTATIONS_MAX, GRANT_NOTE_BYTES_MAX,
    INVITATION_RELAYS_MAX, LETTERS_TAKEN_MAX, REFUSED_TOLD_MAX, REVOCATION_CUTS_MAX, ROLLS_BYTES_MAX, ROLLS_MAX,
    SNAPSHOTS_WANTED_MAX, STATEMENTS_MAX, STATEMENTS_SAVED_MAX,
};
use crate::base::time::Now;
use crate::doc::document::Document;
use crate::doc::value::TextUnit;
use crate::engine::input::{Command, Input};
use crate::engine::post::carrying::{Post, TakenWord};
use crate::engine::seal::seal_tests;
use crate::engine::tests::NOTE;
use crate::log::clock::VectorClock;
use crate::log::log::Log;
use crate::log::tree::Fingerprint;
use crate::log::version::Version;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::attestation::Attestation;
use crate::trust::key::SecretKey;
use crate::trust::owned::{actor_of, space_of};
use crate::trust::roll::Roll;
use crate::trust::standing::Access;
use crate::trust::statement::{Claim, Level, Statement};
use std::sync::Arc;

const BENS: u64 = 1;
const CATS: u64 = 2;

fn numbered(number: u32) -> SpaceId {
    let mut space = *b"ownd............";
    space[4..8].copy_from_slice(&number.to_be_bytes());
    SpaceId(space)
}

fn founding(by: usize) -> (SpaceId, Message) {
    let space = space_of(&peer(by), &[3; 16]);
    let statement = Statement::sign(&space, Claim::Founding { owner: peer(by), nonce: [3; 16] }, &SecretKey::new(&secret(by)));
    let (state, attested) = (Fingerprint::default(), Fingerprint::default());
    (space, Message::Roll { space, asks: true, state, attested, statements: vec![Arc::from(statement.bytes())] })
}

/// What there was goes on: Ben writes, and all others read it.
fn all_goes_on(world: &mut crate::engine::tests::World) {
    world.write(BEN, "on");
    world.wait(2_000);
    for node in [OWNER, CAT] {
        assert_eq!(world.text(node), world.text(BEN));
        assert_eq!(version(world, node), version(world, RELAY));
    }
}

#[test]
fn a_replica_keeps_the_statements_of_so_many_spaces_and_so_many_bytes() {
    for is_by_bytes in [false, true] {
        let mut world = world();
        let space = shared(&mut world, Level::Read);
        let trust = &mut world.nodes[RELAY].engine.trust;
        match is_by_bytes {
            true => trust.fill(ROLLS_BYTES_MAX),
            false => (0..ROLLS_MAX as u32).for_each(|number| trust.put(Roll::new(numbered(number)))),
        }
        let (other, shown) = founding(BEN);
        assert_eq!(says(&mut world, RELAY, BENS, &shown), [ErrorCode::LimitReached]);
        assert!(!world.nodes[RELAY].engine.trust.rolls.contains_key(&other));
        all_goes_on(&mut world);
        if !is_by_bytes {
            revoke(&mut world, OWNER, space, BEN);
            world.run();
            assert_eq!(access(&world, BEN, space), Access::Revoked, "of a space that is known it learns on");
        }
    }
}

#[test]
fn words_are_kept_of_so_many_of_a_space_and_of_all_and_newer_ones_of_those_are_taken() {
    for in_all in [false, true] {
        let mut world = world();
        let space = shared(&mut world, Level::Read);
        world.write(BEN, "ben ");
        world.wait(2_000);
        let words = &mut world.nodes[RELAY].engine.attests.words;
        if in_all {
            words.fill(None, ATTESTATIONS_MAX)
        } else {
            words.fill(Some(space), ATTESTATIONS_PER_SPACE_MAX)
        };
        let document = DocumentId([20; 16]);
        let actor = actor_of(&peer(BEN), &[4; 8]);
        let word = Attestation::sign(&space, document, actor, (1, ChangeHash([1; 32])), &SecretKey::new(&secret(BEN)));
        let message = Message::Attestations { space, attestations: vec![Arc::from(word.to_bytes())] };
        assert_eq!(says(&mut world, RELAY, BENS, &message), [ErrorCode::LimitReached]);
        assert_eq!(world.nodes[RELAY].engine.attested(&document, &actor), 0);
        world.write(BEN, "again ");
        world.wait(2_000);
        let bens = world.nodes[RELAY].engine.authorship(&NOTE).into_iter().find(|author| author.writer == Some(peer(BEN)));
        assert_eq!(bens.map(|bens| (bens.attested, bens.changes)), Some((2, 2)));
        assert_eq!(version(&world, CAT), version(&world, BEN));
    }
}

#[test]
fn of_so_many_documents_it_is_said_why_nothing_is_taken_and_of_no_more() {
    let mut world = world();
    let space = shared(&mut world, Level::Read);
    let stranger = ActorId::new(&[9; 24]).unwrap();
    let mut told = 0;
    for number in 0..=REFUSED_TOLD_MAX as u32 {
        let mut id = [5; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let mut draft = Document::new(DocumentId(id), stranger, TextUnit::CodePoint);
        let entry = draft.change(None, 0, |note| note.put("by", 9)).unwrap().0.unwrap();
        let message = Message::Entries { space, document: DocumentId(id), payloads: vec![entry.payload] };
        told += says(&mut world, RELAY, BENS, &message).len();
        assert!(world.nodes[RELAY].engine.log(&DocumentId(id)).is_none());
    }
    assert_eq!(told, REFUSED_TOLD_MAX);
    all_goes_on(&mut world);
}

#[test]
fn which_words_a_connection_was_sent_is_forgotten_where_it_is_too_much_and_they_are_sent_again() {
    let mut world = world();
    let space = shared(&mut world, Level::Read);
    let told = &mut world.nodes[RELAY].engine.trust.peers.get_mut(&(ConnectionId(CATS), space)).unwrap().attested;
    told.remove(&NOTE);
    for number in 0..ATTESTED_TOLD_MAX as u128 {
        told.insert(DocumentId(number.to_be_bytes()), Default::default());
    }
    all_goes_on(&mut world);
    assert!(world.nodes[RELAY].engine.trust.peers[&(ConnectionId(CATS), space)].attested.len() < 10);
    assert_eq!(world.nodes[CAT].engine.authorship(&NOTE).iter().map(|author| author.attested).sum::<u64>(), 2);
}

#[test]
fn a_frame_has_so_many_words_and_statements() {
    for (message, more) in [
        (
            Message::Attestations { space: numbered(1), attestations: vec![Arc::from([]); FRAME_ATTESTATIONS_MAX] },
            Message::Attestations { space: numbered(1), attestations: vec![Arc::from([]); FRAME_ATTESTATIONS_MAX + 1] },
        ),
        (statements(STATEMENTS_MAX), statements(STATEMENTS_MAX + 1)),
    ] {
        let mut world = world();
        shared(&mut world, Level::Read);
        assert!(says(&mut world, RELAY, BENS, &message).iter().all(|code| !code.is_fatal()));
        assert_eq!(says(&mut world, RELAY, BENS, &more), [ErrorCode::Malformed]);
        world.disconnect(BENS);
        world.connect(BEN, RELAY);
        world.run();
        all_goes_on(&mut world);
    }
}

fn statements(count: usize) -> Message {
    let (state, attested) = (Fingerprint::default(), Fingerprint::default());
    Message::Roll { space: numbered(1), asks: false, state, attested, statements: vec![Arc::from([]); count] }
}

#[test]
fn an_invitation_names_so_many_relays_and_a_note_has_so_many_bytes() {
    let mut world = world();
    let space = found(&mut world);
    let relays: Vec<String> = (0..INVITATION_RELAYS_MAX + 2).map(|number| format!("wss://relay{number}")).collect();
    let offer = |note: usize| Offer { level: Level::Read, expires: 0, note: "n".repeat(note), relays: relays.clone() };
    let invitation = world.nodes[OWNER].engine.invite(Now::at(0), space, offer(GRANT_NOTE_BYTES_MAX)).unwrap();
    assert_eq!(invitation.relays, relays[..INVITATION_RELAYS_MAX]);
    let before = world.nodes[OWNER].engine.roll_state(&space);
    let refused = world.nodes[OWNER].engine.invite(Now::at(0), space, offer(GRANT_NOTE_BYTES_MAX + 1));
    assert_eq!((refused, world.nodes[OWNER].engine.roll_state(&space)), (Err(OwnedError::NoteTooLong), before));
    let mut world = seal_tests::world();
    let space = seal_tests::found(&mut world);
    let refused = world.nodes[OWNER].engine.invite(Now::at(0), space, offer(64));
    assert_eq!(refused.map(drop), Err(OwnedError::NoteTooLong), "sealed, it takes more room");
    assert!(world.nodes[OWNER].engine.invite(Now::at(0), space, offer(63)).is_ok());
}

#[test]
fn someone_who_wrote_as_too_many_is_not_shut_out_and_nothing_is_changed() {
    let mut world = world();
    let space = shared(&mut world, Level::Read);
    let actors = |count: usize| -> VectorClock {
        (0..count as u64).map(|number| (actor_of(&peer(BEN), &number.to_be_bytes()), 1)).collect()
    };
    let document = DocumentId([6; 16]);
    let engine = &mut world.nodes[OWNER].engine;
    let hold = |engine: &mut crate::engine::Engine, count: usize| {
        let version = Version { heads: [ChangeHash([1; 32])].into(), clock: actors(count) };
        engine.locations.insert(document, space);
        engine.change_space(space, |held| held.insert(Log::stored(document, space, version, count as u64)));
    };
    hold(engine, REVOCATION_CUTS_MAX + 1);
    let before = engine.roll_state(&space);
    assert_eq!(engine.revoke(Now::at(0), space, peer(BEN)), Err(OwnedError::TooManyCuts));
    assert_eq!(engine.roll_state(&space), before);
    hold(engine, REVOCATION_CUTS_MAX);
    assert_eq!(engine.revoke(Now::at(0), space, peer(BEN)), Ok(()));
}

#[test]
fn of_so_many_peers_and_spaces_it_is_noticed_that_they_forget_statements() {
    let mut world = world();
    let space = found(&mut world);
    world.nodes[OWNER].engine.held_back.fill(STATEMENTS_SAVED_MAX);
    let for_ben = invite(&mut world, OWNER, space, Level::Write, 0);
    world.connect(OWNER, RELAY);
    world.run();
    let relay = world.nodes[RELAY].engine.peer_id().unwrap();
    assert_eq!(world.nodes[OWNER].engine.held_back.saved_by(&space, &relay), None);
    join(&mut world, BEN, &for_ben);
    world.connect(BEN, RELAY);
    world.run();
    assert_eq!(world.nodes[BEN].engine.held_back.saved_by(&space, &relay), Some(3));
    world.write(BEN, "on");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("on"));
}

#[test]
fn a_relay_wants_snapshots_of_so_many_sealed_documents() {
    let mut world = seal_tests::world();
    seal_tests::shared(&mut world, Level::Write);
    world.nodes[RELAY].engine.sealed_snapshots.fill(SNAPSHOTS_WANTED_MAX);
    seal_tests::write_much(&mut world, BEN);
    assert!(seal_tests::snapshot(&mut world, RELAY).is_none(), "this one is not among them");
    for node in [OWNER, BEN, CAT] {
        assert_eq!(seal_tests::version(&world, node), seal_tests::version(&world, RELAY), "and is synced all the same");
    }
}

#[test]
fn of_so_many_letters_it_is_remembered_that_they_were_taken() {
    let mut post = Post::default();
    let id = |number: u64| LetterId(std::array::from_fn(|at| if at < 8 { number.to_be_bytes()[at] } else { 0 }));
    let word = || TakenWord { recipient: peer(BEN), signature: [0; 64] };
    for number in 0..=LETTERS_TAKEN_MAX as u64 {
        post.taken.insert(id(number), 1_000 + number, word());
    }
    assert!(post.taken.get(&id(0)).is_none(), "the one that ends first goes");
    assert!(post.taken.get(&id(1)).is_some() && post.taken.get(&id(LETTERS_TAKEN_MAX as u64)).is_some());
}

/// A relay that ends its process while it has the roll knows no more of it than before, whatever was shown it above a bound.
#[test]
fn what_was_refused_above_a_bound_is_not_in_the_store() {
    let mut world = world();
    shared(&mut world, Level::Read);
    world.nodes[RELAY].engine.trust.fill(ROLLS_BYTES_MAX);
    let (other, shown) = founding(BEN);
    assert_eq!(says(&mut world, RELAY, BENS, &shown), [ErrorCode::LimitReached]);
    for connection in [0, BENS, CATS] {
        world.disconnect(connection);
    }
    let config = crate::engine::config::EngineConfig::new(crate::engine::config::Role::Relay, [9; 32]);
    world.restart(RELAY, crate::engine::config::EngineConfig { identity: Some(secret(RELAY)), ..config });
    assert!(!world.nodes[RELAY].engine.trust.rolls.contains_key(&other));
    world.input(BEN, Input::Command(Command::NetworkChanged));
    for node in [OWNER, BEN, CAT] {
        world.connect(node, RELAY);
    }
    world.run();
    all_goes_on(&mut world);
}
