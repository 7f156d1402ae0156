//! Cheating on the way, a scene each: someone sits on the connection between two engines, keeps every frame that passes, and gives them again,
//! in another order, altered, or over another connection; or the relay itself does. Towards a relay and towards a client.
//!
//! What is refused is refused with the error that the protocol names for it. What is harmless is shown to be.

use super::trust_tests::{
    BEN, CAT, ELSEWHERE, OWNER, RELAY, access, found, invite, join, peer, revoke, says, secret, shared, version, world,
};
use crate::base::id::{ActorId, ConnectionId, DocumentId, SpaceId};
use crate::doc::document::Document;
use crate::doc::value::TextUnit;
use crate::engine::config::{EngineConfig, Role};
use crate::engine::effect::{Event, TroubleKind};
use crate::engine::input::{Command, Input};
use crate::engine::seal::seal_tests;
use crate::engine::tests::{NOTE, World};
use crate::log::entry::Entry;
use crate::log::tree::Fingerprint;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::attestation::Attestation;
use crate::trust::key::{SecretKey, Signer as _};
use crate::trust::owned::actor_of;
use crate::trust::standing::Access;
use crate::trust::statement::{Claim, Grant, Level, Statement};
use std::sync::Arc;

/// The connections of [`shared`] between the relay and each.
pub(in crate::engine) const OWNERS: u64 = 0;
pub(in crate::engine) const BENS: u64 = 1;
pub(in crate::engine) const CATS: u64 = 2;

/// Everything that passed over a connection, in order, with the node that each frame was for.
type Passed = Vec<(usize, Arc<[u8]>)>;

/// Delivers everything that is on its way, and keeps what passes over a connection.
fn listen(world: &mut World, connection: u64, passed: &mut Passed) {
    while let Some((to, of, frame)) = world.frames.front() {
        if of.0 == connection {
            passed.push((*to, frame.clone()));
        }
        world.step();
    }
}

/// The frames that were for a node.
fn for_node(passed: &Passed, node: usize) -> Vec<Arc<[u8]>> {
    passed.iter().filter(|(to, _)| *to == node).map(|(_, frame)| frame.clone()).collect()
}

fn name(frame: &[u8]) -> &'static str {
    Message::NAMES.iter().find(|(tag, _)| *tag == frame[0]).map_or("nothing", |(_, name)| *name)
}

/// Gives a node a frame as if it had come over a connection; answers the errors that the other end is told. What follows from it is delivered.
fn give(world: &mut World, to: usize, connection: u64, frame: &[u8]) -> Vec<ErrorCode> {
    world.run();
    world.input(to, Input::Frame { connection: ConnectionId(connection), bytes: Arc::from(frame) });
    let error = |(_, of, frame): &(usize, ConnectionId, Arc<[u8]>)| match Message::decode(frame) {
        Ok(Message::Error { code, .. }) if of.0 == connection => Some(code),
        _ => None,
    };
    let errors = world.frames.iter().filter_map(error).collect();
    world.run();
    errors
}

/// The same towards a node whose other end is nobody: what it answers arrives nowhere.
fn give_alone(world: &mut World, to: usize, connection: u64, frame: &[u8]) -> Vec<ErrorCode> {
    world.input(to, Input::Frame { connection: ConnectionId(connection), bytes: Arc::from(frame) });
    let error = |(_, _, frame): (usize, ConnectionId, Arc<[u8]>)| match Message::decode(&frame) {
        Ok(Message::Error { code, .. }) => Some(code),
        _ => None,
    };
    world.frames.drain(..).filter_map(error).collect()
}

fn is_open(world: &World, node: usize, connection: u64) -> bool {
    world.nodes[node].engine.sessions.contains_key(&ConnectionId(connection))
}

/// Both ends of a connection hear that it is gone, and the one that dialled dials again; answers the new connection's number.
fn dial_again(world: &mut World, node: usize, connection: u64, new: u64) {
    world.disconnect(connection);
    world.run();
    world.connect(node, RELAY);
    world.run();
    assert!(is_open(world, node, new) && is_open(world, RELAY, new));
}

pub(in crate::engine) fn told(world: &World, node: usize, kind: TroubleKind) -> Vec<String> {
    seal_tests::troubles(world, node, kind)
}

/// How much of what Ben has written is vouched for at a node, and how much there is.
fn of_ben(world: &World, node: usize) -> Vec<(u64, u64)> {
    let authors = world.nodes[node].engine.authorship(&NOTE);
    authors
        .into_iter()
        .filter(|author| author.writer == Some(peer(BEN)))
        .map(|author| (author.attested, author.changes))
        .collect()
}

/// The world of [`shared`] in which Ben and the owner have written a little more, and everything that passed over a connection.
fn overheard(connection: u64) -> (World, SpaceId, Passed) {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let (for_ben, for_cat) =
        (invite(&mut world, OWNER, space, Level::Write, 0), invite(&mut world, OWNER, space, Level::Read, 0));
    join(&mut world, BEN, &for_ben);
    join(&mut world, CAT, &for_cat);
    let mut passed = Passed::new();
    for node in [OWNER, BEN, CAT] {
        world.connect(node, RELAY);
        listen(&mut world, connection, &mut passed);
    }
    for _ in 0..3 {
        world.write(BEN, "b");
        listen(&mut world, connection, &mut passed);
        world.write(OWNER, "o");
        listen(&mut world, connection, &mut passed);
    }
    world.input(BEN, Input::Command(Command::SetPresence { space, instance: 1, state: Some("here".to_owned()) }));
    world.now += 1_100;
    for node in [BEN, CAT, RELAY, OWNER, ELSEWHERE] {
        world.input(node, Input::Tick);
        listen(&mut world, connection, &mut passed);
    }
    (world, space, passed)
}

const TEXT: &str = "owner bobobo";

fn all_is_well(world: &mut World, what: &str) {
    world.wait(12_000);
    for node in [OWNER, BEN, CAT] {
        assert_eq!(world.text(node).as_deref(), Some(TEXT), "{what}: node {node}");
        assert_eq!(version(world, node), version(world, RELAY), "{what}: node {node}");
    }
    for node in [OWNER, BEN] {
        assert_eq!(world.nodes[node].engine.saved(&NOTE).unwrap().relays, 1, "{what}: {node} knows that all is saved");
    }
    for node in [RELAY, OWNER, BEN, CAT] {
        assert_eq!(of_ben(world, node), [(3, 3)], "{what}: node {node}");
    }
}

#[test]
fn a_frame_that_is_given_again_on_its_own_connection_changes_nothing() {
    for (connection, dialler) in [(BENS, BEN), (CATS, CAT)] {
        let frames = overheard(connection).2.len();
        let mut seen = std::collections::BTreeSet::new();
        for at in 0..frames {
            let (mut world, _, passed) = overheard(connection);
            let (to, frame) = passed[at].clone();
            let (what, events) = (name(&frame), world.nodes[to].events.len());
            seen.insert(what);
            let errors = give(&mut world, to, connection, &frame);
            match what {
                "hello" | "proof" => assert_eq!(errors, [ErrorCode::OutOfOrder], "{what}"),
                // It is not the next of its strand, unless it begins one, and then it is held already.
                "strands" => assert!(errors == [ErrorCode::BadEntry] || errors.is_empty(), "{what}: {errors:?}"),
                _ => assert_eq!(errors, [], "{what}"),
            }
            let is_over = errors.iter().any(|code| code.is_fatal());
            assert_eq!(is_open(&world, to, connection), !is_over, "{what}");
            let changed = |event: &Event| matches!(event, Event::DocumentChanged { .. } | Event::MembersChanged { .. });
            assert!(!world.nodes[to].events[events..].iter().any(changed), "{what}: nothing of it counts twice");
            if is_over {
                dial_again(&mut world, dialler, connection, 3);
            }
            all_is_well(&mut world, what);
        }
        for what in ["hello", "proof", "roll", "subscribe", "strands", "attestations"] {
            assert!(seen.contains(what), "{what} passed over connection {connection}: {seen:?}");
        }
    }
}

#[test]
fn what_passed_over_one_connection_proves_nothing_on_another() {
    let (mut world, _, passed) = overheard(BENS);
    // Everything that Ben has said, to the relay, by someone who is not he.
    world.connect(BEN, RELAY);
    world.frames.clear();
    let said: Vec<Vec<ErrorCode>> =
        for_node(&passed, RELAY).iter().map(|frame| give_alone(&mut world, RELAY, 3, frame)).take(3).collect();
    assert_eq!(said[..2], [vec![], vec![ErrorCode::BadProof]], "his hello is no secret, his proof is for another");
    assert!(said[2].is_empty() && !is_open(&world, RELAY, 3), "and nothing behind it is heard");
    // Everything that the relay has said, to Ben, by someone who is not the relay.
    let (mut world, _, passed) = overheard(BENS);
    world.disconnect(BENS);
    world.connect(BEN, RELAY);
    world.frames.clear();
    let said: Vec<Vec<ErrorCode>> =
        for_node(&passed, BEN).iter().map(|frame| give_alone(&mut world, BEN, 3, frame)).take(2).collect();
    assert_eq!(said, [vec![], vec![ErrorCode::BadProof]]);
    world.connect(BEN, RELAY);
    world.run();
    all_is_well(&mut world, "afterwards");
}

/// What Ben has just written, as it left and did not arrive.
fn caught(world: &mut World) -> Arc<[u8]> {
    world.write(BEN, "caught");
    let is_written = |frame: &&(usize, ConnectionId, Arc<[u8]>)| frame.1.0 == BENS && name(&frame.2) == "strands";
    let frame = world.frames.iter().find(is_written).map(|(_, _, frame)| frame.clone()).unwrap();
    world.lose();
    frame
}

#[test]
fn what_one_writes_is_not_taken_from_another_before_they_have_vouched_for_it() {
    let mut world = world();
    shared(&mut world, Level::Read);
    let frame = caught(&mut world);
    assert_eq!(give(&mut world, RELAY, CATS, &frame), [ErrorCode::NotGranted], "from someone who may read");
    assert_eq!(give(&mut world, RELAY, OWNERS, &frame), [ErrorCode::NotTheirs], "from someone who may write");
    assert_eq!(of_ben(&world, RELAY), []);
    // From the relay a client takes it: that is what a relay is for. It is marked as vouched for by nobody.
    assert_eq!(give(&mut world, CAT, CATS, &frame), []);
    assert_eq!(of_ben(&world, CAT), [(0, 1)]);
    dial_again(&mut world, BEN, BENS, 3);
    world.wait(2_000);
    for node in [RELAY, OWNER, CAT] {
        assert_eq!((of_ben(&world, node), version(&world, node)), (vec![(1, 1)], version(&world, BEN)));
    }
    // Now that he has, it is true whoever brings it, and held.
    assert_eq!(give(&mut world, RELAY, OWNERS, &frame), []);
    assert_eq!(of_ben(&world, RELAY), [(1, 1)]);
}

#[test]
fn frames_in_another_order_end_the_connection_or_are_asked_for_again() {
    // By strands, at the relay and at a client.
    for (connection, to, dialler) in [(BENS, RELAY, BEN), (CATS, CAT, CAT)] {
        let mut world = world();
        shared(&mut world, Level::Read);
        world.write(BEN, "first ");
        world.run();
        let mut caught = Vec::new();
        for text in ["second ", "third"] {
            world.write(BEN, text);
            while let Some((at, of, frame)) = world.frames.front().cloned() {
                if (at, of.0) == (to, connection) {
                    world.frames.pop_front();
                    caught.push(frame);
                } else {
                    world.step();
                }
            }
        }
        caught.reverse();
        let strands: Vec<_> = caught.iter().filter(|frame| name(frame) == "strands").collect();
        assert_eq!(strands.len(), 2);
        // What it says shortly stands for what differs from the one before it, which is not here.
        assert_eq!(give(&mut world, to, connection, strands[0]), [ErrorCode::BadEntry], "to {to}");
        assert_eq!(give(&mut world, to, connection, strands[1]), [], "nothing more is heard there");
        assert!(!is_open(&world, to, connection));
        dial_again(&mut world, dialler, connection, 3);
        for node in [OWNER, BEN, CAT] {
            assert_eq!(world.text(node).as_deref(), Some("owner first second third"));
        }
    }
    // Whole, as in sealed spaces: what does not fit yet is asked for again, and nobody is harmed.
    let mut world = seal_tests::world();
    seal_tests::shared(&mut world, Level::Read);
    let mut caught = Vec::new();
    for text in ["first ", "second"] {
        world.write(BEN, text);
        caught.extend(world.frames.iter().filter(|(_, _, frame)| name(frame) == "entries").map(|(_, _, frame)| frame.clone()));
        world.lose();
    }
    assert_eq!(caught.len(), 2);
    assert_eq!(give(&mut world, RELAY, BENS, &caught[1]), []);
    assert_eq!(give(&mut world, RELAY, BENS, &caught[0]), []);
    for node in [OWNER, BEN, CAT] {
        assert_eq!(world.text(node).as_deref(), Some("owner first second"));
    }
}

#[test]
fn nothing_is_heard_before_the_hello_is_over() {
    for (to, connection) in [(RELAY, BENS), (BEN, BENS)] {
        let passed = overheard(connection).2;
        for frame in for_node(&passed, to).iter().filter(|frame| !matches!(name(frame), "hello" | "proof")) {
            let mut world = world();
            for node in [OWNER, BEN] {
                world.connect(node, RELAY);
            }
            world.lose();
            assert_eq!(give(&mut world, to, connection, frame), [ErrorCode::OutOfOrder], "{}", name(frame));
            assert!(!is_open(&world, to, connection));
        }
    }
}

#[test]
fn a_frame_that_is_cut_off_does_not_decode() {
    for (to, connection) in [(RELAY, BENS), (CAT, CATS)] {
        let passed = overheard(connection).2;
        let mut names = std::collections::BTreeSet::new();
        // One of each kind.
        for frame in for_node(&passed, to).iter().filter(|frame| names.insert(name(frame))) {
            let (mut world, _, _) = overheard(connection);
            let error = give(&mut world, to, connection, &frame[..frame.len() - 1]);
            assert_eq!(error, [ErrorCode::Malformed], "{}", name(frame));
            dial_again(&mut world, if to == RELAY { BEN } else { CAT }, connection, 3);
            all_is_well(&mut world, name(frame));
        }
        assert!(names.len() > 5, "{names:?}");
    }
}

#[test]
fn a_change_that_was_altered_on_its_way_is_no_change() {
    for (connection, to, dialler) in [(BENS, RELAY, BEN), (CATS, CAT, CAT)] {
        let passed = overheard(connection).2;
        let whole = for_node(&passed, to).into_iter().find(|frame| name(frame) == "strands").unwrap();
        for back in 1..60 {
            let mut world = world();
            shared(&mut world, Level::Read);
            let mut altered = if to == RELAY { caught(&mut world).to_vec() } else { whole.to_vec() };
            let at = altered.len() - back;
            altered[at] ^= 0x10;
            let errors = give(&mut world, to, connection, &altered);
            assert!(errors == [ErrorCode::BadEntry] || errors == [ErrorCode::Malformed], "{back} from the end: {errors:?}");
            assert_eq!(of_ben(&world, to), []);
            dial_again(&mut world, dialler, connection, 3);
            assert_eq!(version(&world, CAT), version(&world, BEN));
        }
    }
}

/// A change in a document, in the name of someone's actor that comes after what is held of it at a node.
pub(in crate::engine) fn invented(world: &World, node: usize, document: DocumentId, actor: ActorId) -> Entry {
    let mut forged = Document::new(document, actor, TextUnit::CodePoint);
    if let Some(held) = world.nodes[node].engine.document(&document) {
        forged.apply(held.entries().into_iter().map(Arc::new)).unwrap();
    }
    forged.change(None, 0, |note| note.put("invented", true)).unwrap().0.unwrap()
}

pub(in crate::engine) fn entries(space: SpaceId, entry: &Entry) -> Message {
    Message::Entries { space, document: entry.document, payloads: vec![entry.payload.clone()] }
}

pub(in crate::engine) fn actor_of_ben(world: &World) -> ActorId {
    world.nodes[BEN].engine.authorship(&NOTE).into_iter().find(|author| author.writer == Some(peer(BEN))).unwrap().actor
}

#[test]
fn a_relay_that_makes_up_a_change_in_someones_name_does_not_get_their_word_for_it() {
    let mut world = world();
    let space = shared(&mut world, Level::Read);
    world.write(BEN, "ben ");
    world.wait(2_000);
    let actor = actor_of_ben(&world);
    // Behind what he has written, as the actor that he writes as.
    let next = invented(&world, BEN, NOTE, actor);
    assert_eq!(next.seq, 2);
    assert_eq!(says(&mut world, BEN, BENS, &entries(space, &next)), [ErrorCode::NotTheirs]);
    assert!(told(&world, BEN, TroubleKind::Forked)[0].contains("in this replica's own name"));
    // In another document, with one of his own changes that this was never part of.
    let elsewhere = DocumentId([9; 16]);
    let first = invented(&world, BEN, elsewhere, actor);
    assert_eq!(says(&mut world, BEN, BENS, &entries(space, &first)), [ErrorCode::NotTheirs]);
    // As an actor that he has never been: that may be what he wrote on a device that he lost. It is taken, and not vouched for.
    let other = invented(&world, BEN, DocumentId([10; 16]), actor_of(&peer(BEN), &[5; 8]));
    assert_eq!(says(&mut world, BEN, BENS, &entries(space, &other)), []);
    world.write(BEN, "again");
    world.wait(2_000);
    world.disconnect(BENS);
    world.restart(BEN, EngineConfig { identity: Some(secret(BEN)), ..EngineConfig::new(Role::Client, [88; 32]) });
    world.run();
    let engine = &world.nodes[BEN].engine;
    assert_eq!((engine.attested(&NOTE, &actor), engine.log(&NOTE).unwrap().version().clock.get(&actor)), (2, 2));
    assert_eq!(engine.attested(&elsewhere, &actor), 0);
    assert_eq!(engine.attested(&DocumentId([10; 16]), &other.actor), 0, "nor after the next start");
    assert!(engine.log(&DocumentId([10; 16])).is_some());
}

#[test]
fn what_is_made_up_in_anothers_name_is_marked_as_nobodys_word_and_found_out_by_theirs() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.wait(2_000);
    let forged = invented(&world, CAT, NOTE, actor_of_ben(&world));
    assert_eq!(
        says(&mut world, RELAY, CATS, &entries(space, &forged)),
        [ErrorCode::NotTheirs],
        "a relay takes it from nobody but him"
    );
    assert_eq!(says(&mut world, CAT, CATS, &entries(space, &forged)), [], "a relay may bring what he has not vouched for yet");
    assert_eq!(of_ben(&world, CAT), [(1, 2)], "and it is not taken for vouched for");
    assert_eq!(of_ben(&world, RELAY), [(1, 1)], "nor does she pass it on");
    world.write(BEN, "true");
    world.wait(2_000);
    assert!(told(&world, CAT, TroubleKind::Forked).iter().any(|told| told.contains("vouches for another change")));
    assert_eq!(of_ben(&world, OWNER), [(2, 2)]);
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben true"));
}

#[test]
fn what_is_signed_again_by_another_is_refused() {
    let (mut world, space, passed) = overheard(BENS);
    // A proof by another key, for the hello of this very connection.
    world.connect(BEN, RELAY);
    let hello = world.frames.iter().find(|(to, of, _)| (*to, of.0) == (RELAY, 3)).unwrap().2.clone();
    world.lose();
    assert_eq!(give_alone(&mut world, RELAY, 3, &hello), []);
    let proof = for_node(&passed, RELAY).into_iter().find(|frame| name(frame) == "proof").unwrap();
    assert_eq!(give_alone(&mut world, RELAY, 3, &proof), [ErrorCode::BadProof]);
    // A word and a statement of Ben's, with the owner's signature.
    let words = for_node(&passed, RELAY).into_iter().find_map(|frame| match Message::decode(&frame) {
        Ok(Message::Attestations { attestations, .. }) => {
            attestations.iter().filter_map(|bytes| Attestation::decode(bytes).ok()).find(|word| word.signer == peer(BEN))
        }
        _ => None,
    });
    let word = words.unwrap();
    let again = Attestation::sign(&space, word.document, word.actor, (word.seq, word.hash), &SecretKey::new(&secret(OWNER)));
    for (to, over) in [(RELAY, OWNERS), (CAT, CATS)] {
        let message = Message::Attestations { space, attestations: vec![Arc::from(again.to_bytes())] };
        assert_eq!(says(&mut world, to, over, &message), [ErrorCode::BadAttestation]);
        // A grant in the owner's name.
        let grant = Grant {
            issuer: peer(OWNER),
            parent: None,
            subject: peer(BEN),
            level: Level::Admin,
            depth: 1,
            expires: 0,
            is_link: false,
            serial: [1; 8],
            note: Vec::new(),
        };
        let mut bytes = Statement::sign(&space, Claim::Grant(grant), &SecretKey::new(&secret(OWNER))).bytes().to_vec();
        let signature = bytes.len() - 64;
        let signed = [b"driftline statement 1\0", &space.0[..], &bytes[..signature]].concat();
        bytes[signature..].copy_from_slice(&SecretKey::new(&secret(BEN)).sign(&signed));
        let message = Message::Roll {
            space,
            asks: false,
            state: Fingerprint::default(),
            attested: Fingerprint::default(),
            statements: vec![Arc::from(bytes)],
        };
        assert_eq!(says(&mut world, to, over, &message), [ErrorCode::BadStatement]);
    }
    all_is_well(&mut world, "afterwards");
}

#[test]
fn from_someone_who_was_shut_out_nothing_is_taken_by_relays_or_by_clients() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    let frame = caught(&mut world);
    let late = invented(&world, BEN, NOTE, actor_of_ben(&world));
    world.write(BEN, "late");
    world.lose();
    revoke(&mut world, OWNER, space, BEN);
    world.run();
    assert_eq!(access(&world, BEN, space), Access::Revoked);
    let subscribe = Message::Subscribe { space, eager: Vec::new(), known: None, ranges: Vec::new() };
    let word = Attestation::sign(&space, NOTE, late.actor, (1, late.hash), &SecretKey::new(&secret(BEN)));
    let word = Message::Attestations { space, attestations: vec![Arc::from(word.to_bytes())] };
    let shown = |world: &World, node: usize| {
        let is_ben = |event: &Event| matches!(event, Event::Presence { peer: of, state: Some(_), .. } if *of == peer(BEN));
        world.nodes[node].events.iter().any(is_ben)
    };
    // At the relay, over his own connection.
    assert_eq!(give(&mut world, RELAY, BENS, &frame), [ErrorCode::NotSubscribed], "he is not synced with any more");
    assert_eq!(says(&mut world, RELAY, BENS, &word), [ErrorCode::BadAttestation], "nor vouches for anything");
    assert_eq!(says(&mut world, RELAY, BENS, &subscribe), [ErrorCode::GrantRevoked]);
    world.input(BEN, Input::Command(Command::SetPresence { space, instance: 1, state: Some("still here".to_owned()) }));
    world.run();
    assert!(!shown(&world, OWNER) && !shown(&world, CAT));
    // Whoever else brings it: another member to the relay, the relay to a client.
    assert_eq!(says(&mut world, RELAY, CATS, &entries(space, &late)), [ErrorCode::AfterRevocation]);
    assert_eq!(says(&mut world, CAT, CATS, &entries(space, &late)), [ErrorCode::AfterRevocation]);
    // He calls a client himself.
    world.connect(BEN, CAT);
    world.run();
    assert_eq!(says(&mut world, CAT, 3, &subscribe), [ErrorCode::GrantRevoked]);
    assert_eq!(says(&mut world, CAT, 3, &entries(space, &late)), [ErrorCode::NotSubscribed]);
    for node in [RELAY, OWNER, CAT] {
        assert_eq!(of_ben(&world, node), [], "node {node}");
    }
    assert_eq!(world.text(OWNER).as_deref(), Some("owner "));
}

#[test]
fn from_someone_whose_grant_has_ended_nothing_is_taken_by_relays_or_by_clients() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let for_ben = invite(&mut world, OWNER, space, Level::Write, 10);
    join(&mut world, BEN, &for_ben);
    world.connect(OWNER, RELAY);
    world.connect(BEN, RELAY);
    world.connect(BEN, OWNER);
    world.run();
    let mut draft = Document::new(DocumentId([6; 16]), actor_of(&peer(BEN), &[1; 8]), TextUnit::CodePoint);
    let late = draft.change(None, 0, |note| note.put("late", true)).unwrap().0.unwrap();
    let subscribe = Message::Subscribe { space, eager: Vec::new(), known: None, ranges: Vec::new() };
    // On connections that are open, by each one's own clock: before anything has told them.
    world.now = 10_000;
    assert_eq!(says(&mut world, RELAY, BENS, &entries(space, &late)), [ErrorCode::GrantExpired, ErrorCode::GrantExpired]);
    assert_eq!(says(&mut world, OWNER, 2, &entries(space, &late)), [ErrorCode::GrantExpired, ErrorCode::GrantExpired]);
    assert_eq!(access(&world, BEN, space), Access::Expired);
    for (to, over) in [(RELAY, BENS), (OWNER, 2)] {
        assert_eq!(says(&mut world, to, over, &entries(space, &late)), [ErrorCode::NotSubscribed]);
        assert_eq!(says(&mut world, to, over, &subscribe), [ErrorCode::GrantExpired]);
        assert!(world.nodes[to].engine.log(&late.document).is_none());
    }
    // Another relay, which hears of him now.
    world.connect(BEN, ELSEWHERE);
    world.run();
    assert_eq!(says(&mut world, ELSEWHERE, 3, &subscribe), [ErrorCode::NoGrant], "he does not even show what has ended");
}
