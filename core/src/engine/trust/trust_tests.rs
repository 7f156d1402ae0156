//! Owned spaces: who is let in, who is shut out, what is refused and what remains, with relays that were told nothing beforehand.

use super::owned::{MemberState, Offer};
use crate::base::id::{ConnectionId, DocumentId, PeerId, SpaceId};
use crate::base::time::Now;
use crate::doc::document::Document;
use crate::doc::value::TextUnit;
use crate::engine::config::{EngineConfig, Role};
use crate::engine::effect::{Event, TroubleKind};
use crate::engine::input::{Command, Input};
use crate::engine::tests::{NOTE, World};
use crate::log::tree::Fingerprint;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::attestation::Attestation;
use crate::trust::invitation::Invitation;
use crate::trust::key::{SecretKey, Signer as _};
use crate::trust::owned::{actor_of, is_owned};
use crate::trust::standing::Access;
use crate::trust::statement::{Claim, Grant, Level, Statement};
use std::sync::Arc;

pub(in crate::engine) const RELAY: usize = 0;
pub(in crate::engine) const OWNER: usize = 1;
pub(in crate::engine) const BEN: usize = 2;
pub(in crate::engine) const CAT: usize = 3;
pub(in crate::engine) const ELSEWHERE: usize = 4;

/// The secret key of a node.
pub(in crate::engine) fn secret(node: usize) -> [u8; 32] {
    [node as u8 + 100; 32]
}

pub(in crate::engine) fn peer(node: usize) -> PeerId {
    SecretKey::new(&secret(node)).peer()
}

/// A relay, an owner, two others, and a relay elsewhere.
pub(in crate::engine) fn world() -> World {
    world_with(|_| {})
}

pub(in crate::engine) fn world_with(configure: impl Fn(&mut EngineConfig)) -> World {
    let mut world = World::with(&[Role::Relay, Role::Client, Role::Client, Role::Client, Role::Relay], |config| {
        config.identity = Some([config.seed[0] + 100; 32]);
        configure(config);
    });
    for node in [OWNER, BEN, CAT] {
        world.input(node, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    }
    world
}

pub(in crate::engine) fn found(world: &mut World) -> SpaceId {
    let space = world.nodes[OWNER].engine.found_space(Now::at(world.now)).unwrap();
    world.drain(OWNER);
    open_note(world, OWNER, space);
    space
}

pub(in crate::engine) fn open_note(world: &mut World, node: usize, space: SpaceId) {
    world.input(node, Input::Command(Command::OpenDocument { space, document: NOTE }));
}

pub(in crate::engine) fn invite(world: &mut World, by: usize, space: SpaceId, level: Level, expires: u64) -> Invitation {
    let offer = Offer { level, expires, note: "link".to_owned(), relays: Vec::new() };
    let invitation = world.nodes[by].engine.invite(Now::at(world.now), space, offer).unwrap();
    world.drain(by);
    // As text, as it is sent.
    Invitation::from_text(&invitation.to_text()).unwrap()
}

pub(in crate::engine) fn join(world: &mut World, node: usize, invitation: &Invitation) {
    world.nodes[node].engine.join(Now::at(world.now), invitation, format!("node {node}")).unwrap();
    world.drain(node);
    open_note(world, node, invitation.space);
}

pub(in crate::engine) fn revoke(world: &mut World, by: usize, space: SpaceId, whom: usize) {
    world.nodes[by].engine.revoke(Now::at(world.now), space, peer(whom)).unwrap();
    world.drain(by);
}

/// An owned space on the relay with a note in it that the owner has begun; Ben may write there, and Cat do what is said.
pub(in crate::engine) fn shared(world: &mut World, cat: Level) -> SpaceId {
    let space = found(world);
    world.write(OWNER, "owner ");
    let (for_ben, for_cat) = (invite(world, OWNER, space, Level::Write, 0), invite(world, OWNER, space, cat, 0));
    join(world, BEN, &for_ben);
    join(world, CAT, &for_cat);
    for node in [OWNER, BEN, CAT] {
        world.connect(node, RELAY);
    }
    world.run();
    space
}

pub(in crate::engine) fn access(world: &World, node: usize, space: SpaceId) -> Access {
    world.nodes[node].engine.own_access(&space)
}

pub(in crate::engine) fn troubles(world: &World, node: usize) -> Vec<String> {
    let forbidden = |event: &Event| match event {
        Event::Trouble(trouble) if trouble.kind == TroubleKind::Forbidden => Some(trouble.message.clone()),
        _ => None,
    };
    world.nodes[node].events.iter().filter_map(forbidden).collect()
}

pub(in crate::engine) fn version(world: &World, node: usize) -> crate::log::version::Version {
    world.nodes[node].engine.log(&NOTE).map(|log| log.version().clone()).unwrap_or_default()
}

/// Says something to a node as if the other end of a connection had; answers the errors that it is told, all frames kept.
pub(in crate::engine) fn says(world: &mut World, to: usize, connection: u64, message: &Message) -> Vec<ErrorCode> {
    world.run();
    world.input(to, Input::Frame { connection: ConnectionId(connection), bytes: Arc::from(message.encode()) });
    let error = |(_, of, frame): &(usize, ConnectionId, Arc<[u8]>)| match Message::decode(frame) {
        Ok(Message::Error { code, .. }) if of.0 == connection => Some(code),
        _ => None,
    };
    let errors = world.frames.iter().filter_map(error).collect();
    world.run();
    errors
}

#[test]
fn who_has_lost_all_but_the_key_is_told_what_it_may_do_and_a_stranger_is_told_nothing() {
    let mut world = world_with(|config| {
        if config.identity == Some(secret(CAT)) {
            config.identity = Some(secret(OWNER));
        }
    });
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    world.connect(OWNER, RELAY);
    world.run();
    for node in [CAT, BEN] {
        world.input(node, Input::Command(Command::OpenSpace { space }));
        world.connect(node, RELAY);
        world.run();
    }
    assert_eq!(access(&world, CAT, space), Access::Granted(Level::Admin));
    open_note(&mut world, CAT, space);
    world.run();
    assert_eq!(world.text(CAT).as_deref(), Some("owner "));
    world.write(CAT, "again ");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("owner again "));
    assert_eq!((access(&world, BEN, space), version(&world, BEN).clock.len()), (Access::Nothing, 0));
    assert!(world.nodes[BEN].engine.members(&space).is_err(), "not even who is there");
    assert!(troubles(&world, BEN)[0].contains("granted nothing"));
}

#[test]
fn readers_read_writers_write_and_what_a_reader_wrote_stays_where_it_is() {
    let mut world = world();
    let space = shared(&mut world, Level::Read);
    assert!(is_owned(&space));
    assert_eq!(
        (access(&world, BEN, space), access(&world, CAT, space)),
        (Access::Granted(Level::Write), Access::Granted(Level::Read))
    );
    world.write(BEN, "ben ");
    world.run();
    for node in [OWNER, CAT] {
        assert_eq!(world.text(node).as_deref(), Some("owner ben "));
    }
    assert_eq!(troubles(&world, CAT), Vec::<String>::new());
    world.write(CAT, "cat ");
    world.run();
    assert_eq!(world.text(CAT).as_deref(), Some("owner ben cat "), "nothing of hers is lost");
    for node in [OWNER, BEN] {
        assert_eq!(world.text(node).as_deref(), Some("owner ben "));
    }
    let told = troubles(&world, CAT);
    assert!(told.len() == 1 && told[0].contains("granted read"), "{told:?}");
    let saved = world.nodes[CAT].engine.saved(&NOTE).unwrap();
    assert!(saved.device && saved.relays == 0, "and it says so");
    revoke(&mut world, OWNER, space, BEN);
    world.run();
    assert_eq!(world.text(CAT).as_deref(), Some("owner ben cat "), "nor when someone else is shut out");

    // Granted more, she joins again, and what waited travels.
    let more = invite(&mut world, OWNER, space, Level::Write, 0);
    join(&mut world, CAT, &more);
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben cat "));
    assert_eq!(world.nodes[CAT].engine.saved(&NOTE).unwrap().relays, 1);
    assert_eq!(world.nodes[RELAY].engine.authorship(&NOTE).len(), 3);
}

#[test]
fn who_has_no_grant_is_sent_nothing_and_told_why_whatever_relay_they_ask() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "secret");
    world.connect(OWNER, RELAY);
    world.run();
    // Ben knows the id of the space, and no more. His own replica does not even ask.
    world.input(BEN, Input::Command(Command::OpenSpace { space }));
    world.connect(BEN, RELAY);
    world.run();
    let told = troubles(&world, BEN);
    assert!(told.len() == 1 && told[0].contains("driftline join"), "{told:?}");
    // A program that asks all the same is refused, also by a relay that has never heard of the space.
    world.disconnect(1);
    world.connect(BEN, ELSEWHERE);
    let subscribe = Message::Subscribe { space, eager: Vec::new(), known: None, ranges: Vec::new() };
    assert_eq!(says(&mut world, ELSEWHERE, 2, &subscribe), [ErrorCode::NoGrant]);
    world.disconnect(2);
    world.connect(BEN, RELAY);
    world.run();
    let before = world.bytes;
    assert_eq!(says(&mut world, RELAY, 3, &subscribe), [ErrorCode::NoGrant]);
    assert!(world.bytes - before < 300, "an error and nothing else");
    assert!(world.text(BEN).is_none() && world.nodes[BEN].engine.log(&NOTE).is_none());
    // Nor can he learn who the members are.
    let ask = Message::Roll {
        space,
        asks: true,
        state: Fingerprint::default(),
        attested: Fingerprint::default(),
        statements: Vec::new(),
    };
    let before = world.bytes;
    assert_eq!(says(&mut world, RELAY, 3, &ask), []);
    assert_eq!(world.bytes, before);
}

#[test]
fn who_is_revoked_while_connected_is_shut_out_at_once_and_keeps_what_they_have() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.run();
    revoke(&mut world, OWNER, space, BEN);
    // The owner's frame reaches the relay, and the relay's reach everyone: no time passes.
    world.run();
    assert_eq!(access(&world, BEN, space), Access::Revoked);
    assert!(troubles(&world, BEN).iter().any(|told| told.contains("revoked")), "{:?}", troubles(&world, BEN));
    assert_eq!(access(&world, CAT, space), Access::Granted(Level::Write), "who came by another link stays");
    world.write(BEN, "again");
    world.write(OWNER, "later ");
    world.run();
    assert_eq!(world.text(BEN).as_deref(), Some("owner ben again"), "his own is not lost, and he reads nothing later");
    for node in [OWNER, CAT] {
        assert_eq!(world.text(node).as_deref(), Some("owner ben later "), "what he wrote before stays");
    }
    // Coming back, he is told again, and no more.
    world.disconnect(1);
    world.connect(BEN, RELAY);
    let subscribe = Message::Subscribe { space, eager: Vec::new(), known: None, ranges: Vec::new() };
    assert_eq!(says(&mut world, RELAY, 3, &subscribe), [ErrorCode::GrantRevoked]);
    assert_eq!(world.text(BEN).as_deref(), Some("owner ben again"));
    let states: Vec<_> = world.nodes[OWNER]
        .engine
        .members(&space)
        .unwrap()
        .into_iter()
        .filter(|member| member.key == peer(BEN))
        .map(|member| member.state)
        .collect();
    assert_eq!(states, [MemberState::Revoked]);
}

#[test]
fn a_grant_ends_on_a_live_connection_within_a_second() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let for_ben = invite(&mut world, OWNER, space, Level::Write, 10);
    join(&mut world, BEN, &for_ben);
    world.connect(OWNER, RELAY);
    world.connect(BEN, RELAY);
    world.run();
    assert_eq!(world.text(BEN).as_deref(), Some("owner "));
    let deadline = world.nodes[RELAY].engine.next_deadline().unwrap();
    assert!(deadline <= 10_000, "it wakes by itself");
    world.wait(9_000);
    world.write(BEN, "ben ");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben "));
    world.wait(1_000);
    assert!(troubles(&world, BEN).iter().any(|told| told.contains("expired")), "{:?}", troubles(&world, BEN));
    world.write(OWNER, "later");
    world.write(BEN, "too late");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben later"), "what he wrote in time stays");
    assert_eq!(world.text(BEN).as_deref(), Some("owner ben too late"));
}

#[test]
fn what_a_revoked_writer_wrote_meanwhile_is_refused_everywhere_and_all_others_come_to_the_same() {
    for is_loaded in [true, false] {
        let mut world = world();
        let space = shared(&mut world, Level::Write);
        world.write(BEN, "ben ");
        world.run();
        // Ben and Cat go on at another relay, and do not hear that the owner shuts Ben out.
        for connection in [1, 2] {
            world.disconnect(connection);
        }
        world.connect(BEN, ELSEWHERE);
        world.connect(CAT, ELSEWHERE);
        world.run();
        world.write(BEN, "behind ");
        world.run();
        world.write(CAT, "cat ");
        world.run();
        assert_eq!(world.text(CAT).as_deref(), Some("owner ben behind cat "));
        revoke(&mut world, OWNER, space, BEN);
        world.run();
        if !is_loaded {
            world.input(CAT, Input::Command(Command::CloseDocument { document: NOTE }));
        }
        // Cat comes back.
        world.disconnect(4);
        world.connect(CAT, RELAY);
        world.run();
        world.wait(1_000);
        if !is_loaded {
            open_note(&mut world, CAT, space);
        }
        assert_eq!(
            world.text(CAT).as_deref(),
            Some("owner ben cat "),
            "what was refused is gone, what she wrote behind it is not"
        );
        assert!(troubles(&world, CAT).iter().any(|told| told.contains("1 of this replica's own")), "{:?}", troubles(&world, CAT));
        world.write(CAT, "more");
        world.run();
        assert_eq!(world.text(OWNER).as_deref(), Some("owner ben cat more"));
        // And brings the word to the other relay, where Ben still is.
        world.disconnect(5);
        world.connect(CAT, ELSEWHERE);
        world.run();
        world.wait(1_000);
        assert_eq!(access(&world, BEN, space), Access::Revoked);
        for node in [RELAY, CAT, ELSEWHERE] {
            assert_eq!(version(&world, node), version(&world, OWNER), "node {node}");
        }
        assert_eq!(world.text(BEN).as_deref(), Some("owner ben behind cat "), "his own replica keeps what it has");
        // It is the same after a restart.
        world.restart(ELSEWHERE, EngineConfig::new(Role::Relay, [77; 32]));
        assert_eq!(version(&world, ELSEWHERE), version(&world, OWNER));
    }
}

#[test]
fn a_writers_word_follows_what_it_wrote_once_a_second_and_stands_at_everyone() {
    let mut world = world();
    shared(&mut world, Level::Read);
    world.now = 5_000;
    let mut words = 0;
    for at in 0..30 {
        world.now = 5_000 + at * 50;
        for node in 0..5 {
            world.input(node, Input::Tick);
        }
        world.write(BEN, "x");
        let is_word =
            |frame: &&(usize, ConnectionId, Arc<[u8]>)| matches!(Message::decode(&frame.2), Ok(Message::Attestations { .. }));
        words += world.frames.iter().filter(is_word).count();
        world.run();
    }
    assert!((1..=3).contains(&words), "{words} for 30 letters in one and a half seconds");
    let attested = |world: &World, node: usize| {
        let authors = world.nodes[node].engine.authorship(&NOTE);
        let bens = authors.into_iter().find(|author| author.writer == Some(peer(BEN))).unwrap();
        (bens.attested, bens.changes)
    };
    let (so_far, written) = attested(&world, CAT);
    assert!(so_far < written && written == 30, "what is not vouched for yet is marked so: {so_far} of {written}");
    world.wait(1_000);
    for node in [RELAY, OWNER, BEN, CAT] {
        assert_eq!(attested(&world, node), (30, 30), "node {node}");
    }
    // It is kept, and who was away is given it with the document.
    world.restart(RELAY, EngineConfig::new(Role::Relay, [0; 32]));
    assert_eq!(attested(&world, RELAY), (30, 30));
}

/// A relay passes Ben's word on, and keeps to itself what it is for.
#[test]
fn who_passes_a_word_on_and_not_what_it_is_for_is_found_out() {
    let mut world = world();
    let space = shared(&mut world, Level::Read);
    world.write(BEN, "ben ");
    world.wait(2_000);
    world.wait(20_000);
    let told = |world: &World| {
        let held_back = |event: &Event| match event {
            Event::Trouble(trouble) if trouble.kind == TroubleKind::HeldBack => Some(trouble.message.clone()),
            _ => None,
        };
        world.nodes[CAT].events.iter().filter_map(held_back).collect::<Vec<_>>()
    };
    assert_eq!(told(&world), Vec::<String>::new(), "nothing is missing");
    let bens = world.nodes[CAT].engine.authorship(&NOTE).into_iter().find(|author| author.writer == Some(peer(BEN))).unwrap();
    let hash = version(&world, CAT).heads.first().copied().unwrap();
    let word = Attestation::sign(&space, NOTE, bens.actor, (bens.changes + 3, hash), &SecretKey::new(&secret(BEN)));
    assert_eq!(says(&mut world, CAT, 2, &Message::Attestations { space, attestations: vec![Arc::from(word.to_bytes())] }), []);
    world.write(OWNER, "owner ");
    world.wait(60);
    assert_eq!(told(&world), Vec::<String>::new(), "it may yet come");
    for _ in 0..3 {
        world.wait(11_000);
    }
    let told = told(&world);
    assert!(
        told.len() == 1 && told[0].contains("has vouched for 4 changes") && told[0].contains("sent only 1 of them"),
        "{told:?}"
    );
}

#[test]
fn what_was_written_in_the_second_before_the_end_is_vouched_for_after_the_next_start() {
    let mut world = world();
    shared(&mut world, Level::Read);
    world.wait(2_000);
    world.write(BEN, "one ");
    world.write(BEN, "two");
    world.run();
    let of_ben = |world: &World| {
        world.nodes[BEN].engine.authorship(&NOTE).into_iter().find(|author| author.writer == Some(peer(BEN))).unwrap()
    };
    assert_eq!((of_ben(&world).attested, of_ben(&world).changes), (1, 2));
    world.disconnect(1);
    let config = EngineConfig { identity: Some(secret(BEN)), ..EngineConfig::new(Role::Client, [88; 32]) };
    world.restart(BEN, config);
    assert_eq!((of_ben(&world).attested, of_ben(&world).changes), (2, 2));
}

#[test]
fn each_way_of_cheating_is_refused_with_its_own_error_by_relays_and_by_clients() {
    let mut world = world();
    let space = shared(&mut world, Level::Read);
    world.write(BEN, "ben ");
    world.wait(2_000);
    let entries = |payload: &Arc<[u8]>| Message::Entries { space, document: NOTE, payloads: vec![payload.clone()] };
    let made_in = |document, node: usize, seed: u8| {
        let mut document = Document::new(document, actor_of(&peer(node), &[seed; 8]), TextUnit::CodePoint);
        document.change(None, 0, |tx| tx.put("by", i64::from(seed))).unwrap().0.unwrap()
    };
    let made_by = |node, seed| made_in(NOTE, node, seed);
    let mut stranger = Document::new(NOTE, crate::base::id::ActorId::new(&[9; 16]).unwrap(), TextUnit::CodePoint);
    let foreign = stranger.change(None, 0, |tx| tx.put("by", 9)).unwrap().0.unwrap();

    // To the relay, over Ben's connection and over Cat's, who may read. To Cat, over hers to the relay.
    let (bens, cats) = (1, 2);
    assert_eq!(says(&mut world, RELAY, cats, &entries(&made_by(CAT, 1).payload)), [ErrorCode::NotGranted], "a reader writes");
    assert_eq!(says(&mut world, RELAY, bens, &entries(&foreign.payload)), [ErrorCode::NotTheirs], "as nobody");
    assert_eq!(says(&mut world, CAT, cats, &entries(&foreign.payload)), [ErrorCode::NotTheirs], "by nobody");
    // Why nothing is taken of a document is said once, so this is about another.
    let other = DocumentId([4; 16]);
    let payloads = vec![made_in(other, OWNER, 2).payload];
    let in_owners_name = Message::Entries { space, document: other, payloads };
    assert_eq!(says(&mut world, RELAY, bens, &in_owners_name), [ErrorCode::NotTheirs], "in the owner's name, without their word");
    assert_eq!(
        says(&mut world, CAT, cats, &entries(&made_by(CAT, 3).payload)),
        [ErrorCode::NotGranted],
        "a relay brings what a reader wrote"
    );

    let word = |bytes: Vec<u8>| Message::Attestations { space, attestations: vec![Arc::from(bytes)] };
    let entry = made_by(BEN, 4);
    let sign_in = |document, seq, hash, by: usize| {
        Attestation::sign(&space, document, entry.actor, (seq, hash), &SecretKey::new(&secret(by))).to_bytes()
    };
    // What is good is passed on, so each is told of another document.
    for (to, over, document) in [(RELAY, bens, DocumentId([20; 16])), (CAT, cats, DocumentId([21; 16]))] {
        let sign = |seq, hash, by| sign_in(document, seq, hash, by);
        let mut forged = sign(1, entry.hash, BEN);
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(says(&mut world, to, over, &word(forged)), [ErrorCode::BadAttestation], "forged");
        assert_eq!(
            says(&mut world, to, over, &word(sign(1, entry.hash, OWNER))),
            [ErrorCode::BadAttestation],
            "signed again by another"
        );
        assert_eq!(says(&mut world, to, over, &word(vec![1, 2, 3])), [ErrorCode::BadAttestation], "no attestation");
        assert_eq!(says(&mut world, to, over, &word(sign(5, entry.hash, BEN))), []);
        assert_eq!(says(&mut world, to, over, &word(sign(4, entry.hash, BEN))), [], "an older one changes nothing");
        assert_eq!(world.nodes[to].engine.attested(&document, &entry.actor), 5);
    }
    // A word for another change than is held, where what is held is in the store alone.
    let bens_actor =
        world.nodes[BEN].engine.authorship(&NOTE).into_iter().find(|author| author.writer == Some(peer(BEN))).unwrap().actor;
    world.nodes[RELAY].engine.change_space(space, |held| held.let_go(&NOTE));
    world.nodes[RELAY].engine.attests.words.forget(&NOTE);
    let false_word = Attestation::sign(&space, NOTE, bens_actor, (1, entry.hash), &SecretKey::new(&secret(BEN)));
    assert_eq!(says(&mut world, RELAY, bens, &word(false_word.to_bytes())), []);
    let held = world.nodes[RELAY].engine.log(&NOTE).unwrap().version().clock.get(&bens_actor);
    assert_eq!(held, 0, "what is held goes when it has been compared");
    // Ben's word is for another change under that number than the one that comes.
    let other =
        Document::new(NOTE, entry.actor, TextUnit::CodePoint).change(None, 0, |tx| tx.put("other", 1)).unwrap().0.unwrap();
    let early = Attestation::sign(&space, DocumentId([3; 16]), entry.actor, (1, entry.hash), &SecretKey::new(&secret(BEN)));
    assert_eq!(says(&mut world, RELAY, bens, &word(early.to_bytes())), []);
    let elsewhere = Message::Entries { space, document: DocumentId([3; 16]), payloads: vec![other.payload] };
    assert_eq!(
        says(&mut world, RELAY, bens, &elsewhere),
        [ErrorCode::BadAttestation],
        "another change than its writer vouches for"
    );
    assert!(world.nodes[RELAY].engine.log(&DocumentId([3; 16])).is_none(), "and it is not taken");

    let roll = |statement: &[u8]| Message::Roll {
        space,
        asks: false,
        state: Fingerprint::default(),
        attested: Fingerprint::default(),
        statements: vec![Arc::from(statement)],
    };
    let grant = Grant {
        issuer: peer(CAT),
        parent: None,
        subject: peer(CAT),
        level: Level::Admin,
        depth: 1,
        expires: 0,
        is_link: false,
        serial: [1; 8],
        note: Vec::new(),
    };
    let by_cat = Statement::sign(&space, Claim::Grant(grant), &SecretKey::new(&secret(CAT)));
    let mut forged = by_cat.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for (to, over) in [(RELAY, cats), (BEN, bens)] {
        assert_eq!(
            says(&mut world, to, over, &roll(by_cat.bytes())),
            [ErrorCode::BadStatement],
            "to herself, as if she were the owner"
        );
        assert_eq!(says(&mut world, to, over, &roll(&forged)), [ErrorCode::BadStatement], "forged");
        assert_eq!(says(&mut world, to, over, &roll(&[7])), [ErrorCode::BadStatement], "no statement");
    }
    assert_eq!(access(&world, CAT, space), Access::Granted(Level::Read));

    // After the end of his grant, what Ben wrote later is refused whoever brings it, and so is his word for it.
    revoke(&mut world, OWNER, space, BEN);
    world.run();
    assert_eq!(says(&mut world, CAT, cats, &entries(&made_by(BEN, 5).payload)), [ErrorCode::AfterRevocation]);
    assert_eq!(
        says(&mut world, CAT, cats, &word(sign_in(DocumentId([22; 16]), 9, entry.hash, BEN))),
        [ErrorCode::AfterRevocation]
    );
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben "), "nobody was harmed");
    assert_eq!(world.text(CAT).as_deref(), Some("owner ben "));
}

#[test]
fn a_peer_of_the_version_before_is_told_clearly_on_both_sides() {
    let mut world = world_with(|config| config.version_max = if config.seed[0] == BEN as u8 { 2 } else { 3 });
    let space = found(&mut world);
    let for_ben = invite(&mut world, OWNER, space, Level::Write, 0);
    world.connect(OWNER, RELAY);
    join(&mut world, BEN, &for_ben);
    world.connect(BEN, RELAY);
    world.run();
    let told = troubles(&world, BEN);
    assert!(told.len() == 1 && told[0].contains("update it"), "{told:?}");
    let subscribe = Message::Subscribe { space, eager: Vec::new(), known: None, ranges: Vec::new() };
    assert_eq!(says(&mut world, RELAY, 1, &subscribe), [ErrorCode::NoGrant]);
    // Open spaces are synced as ever.
    world.open(BEN);
    world.open(CAT);
    world.connect(CAT, RELAY);
    world.run();
    assert_eq!(world.nodes[BEN].engine.progress_of(&crate::engine::tests::SPACE).0, 1);
}

#[test]
fn two_members_without_a_relay_show_each_other_what_they_were_granted_first() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let for_ben = invite(&mut world, OWNER, space, Level::Write, 0);
    join(&mut world, BEN, &for_ben);
    world.connect(BEN, OWNER);
    world.run();
    world.write(BEN, "ben ");
    world.run();
    assert_eq!((world.text(OWNER), world.text(BEN)), (Some("owner ben ".to_owned()), Some("owner ben ".to_owned())));
    // Cat was granted nothing, and calls herself what she likes.
    world.input(OWNER, Input::Command(Command::OpenSpace { space }));
    world.connect(OWNER, CAT);
    world.run();
    assert_eq!(world.nodes[CAT].engine.log(&NOTE).map(|log| log.end()), None);
    assert!(!world.nodes[OWNER].engine.is_subscribed(ConnectionId(1), &space));
}
