//! Changes that somebody made up in a member's name: they go when the member's word comes, wherever they are held, and what is true is there
//! in the end.

use super::cheating_tests::{BENS, CATS, OWNERS, actor_of_ben, entries, invented, told};
use super::trust_tests::{BEN, CAT, ELSEWHERE, OWNER, RELAY, says, secret, shared, version, world, world_with};
use crate::base::id::SpaceId;
use crate::doc::document::Document;
use crate::doc::value::TextUnit;
use crate::engine::config::{Compaction, EngineConfig, Role};
use crate::engine::effect::TroubleKind;
use crate::engine::input::{Command, Input};
use crate::engine::tests::{NOTE, World};
use crate::log::entry::Entry;
use crate::sync::message::Message;
use crate::trust::statement::Level;
use std::sync::Arc;

/// Ben has written, and vouched for it; the relay gives Cat a change that it made up in his name.
fn misled() -> (World, SpaceId, Entry) {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.wait(2_000);
    let forged = invented(&world, CAT, NOTE, actor_of_ben(&world));
    assert_eq!(says(&mut world, CAT, CATS, &entries(space, &forged)), []);
    assert!(is_misled(&world, CAT));
    (world, space, forged)
}

fn is_misled(world: &World, node: usize) -> bool {
    let document = world.nodes[node].engine.document(&NOTE).unwrap();
    document.value(()).unwrap().to_json().to_string().contains("invented")
}

fn all_hold_what_is_true(world: &World) {
    for node in [OWNER, BEN, CAT] {
        assert!(!is_misled(world, node), "node {node}");
        assert_eq!(version(world, node), version(world, RELAY), "node {node}");
        let authors = world.nodes[node].engine.authorship(&NOTE);
        assert!(authors.iter().all(|author| author.attested == author.changes), "node {node}: {authors:?}");
    }
}

/// Cat was told that something is not what Ben vouches for, and has what is true when she opens the note.
fn cat_finds_what_is_true(world: &mut World, space: SpaceId) {
    world.input(CAT, Input::Command(Command::OpenDocument { space, document: NOTE }));
    world.run();
    assert!(told(world, CAT, TroubleKind::Forked).iter().any(|told| told.contains("vouches for another change")));
    all_hold_what_is_true(world);
}

/// Cat's connection goes, and her replica ends and starts again.
fn restart_cat(world: &mut World, space: SpaceId, from: u64) {
    world.disconnect(from);
    world.restart(CAT, EngineConfig { identity: Some(secret(CAT)), ..EngineConfig::new(Role::Client, [88; 32]) });
    world.input(CAT, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(CAT, Input::Command(Command::OpenSpace { space }));
    world.run();
}

#[test]
fn a_members_word_takes_what_was_made_up_in_their_name_and_what_was_built_on_it_is_made_again() {
    let (mut world, _, _) = misled();
    world.write(CAT, "cat ");
    world.write(BEN, "true ");
    world.wait(2_000);
    assert!(told(&world, CAT, TroubleKind::Forked).iter().any(|told| told.contains("vouches for another change")));
    assert!(told(&world, CAT, TroubleKind::Forked).iter().any(|told| told.contains("(1 of this replica's own)")));
    let text = world.text(OWNER).unwrap();
    assert!(text.contains("ben ") && text.contains("true ") && text.contains("cat "), "{text}");
    all_hold_what_is_true(&world);
    // And all goes on.
    world.write(BEN, "on");
    world.write(CAT, "ward");
    world.wait(2_000);
    all_hold_what_is_true(&world);
}

#[test]
fn what_was_made_up_goes_from_a_disk_too() {
    let (mut world, space, _) = misled();
    restart_cat(&mut world, space, CATS);
    assert!(world.nodes[CAT].engine.log(&NOTE).unwrap().tail_start() > 3, "none of it is in memory");
    world.connect(CAT, RELAY);
    world.run();
    world.slow_down(CAT);
    world.write(BEN, "true ");
    world.run();
    let attested = |world: &World| world.nodes[CAT].engine.vouched_held(&space, &NOTE, &actor_of_ben(world));
    assert_eq!(attested(&world), 1, "his word does not count before it was compared with what is on her disk");
    world.let_through(CAT);
    world.wait(2_000);
    cat_finds_what_is_true(&mut world, space);
}

#[test]
fn what_was_made_up_goes_from_a_snapshot_too() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.wait(2_000);
    // Another relay, at which nobody has been, makes up a change and a snapshot with it.
    world.disconnect(CATS);
    world.connect(CAT, ELSEWHERE);
    world.wait(2_000);
    world.lose();
    let mut document = Document::new(NOTE, actor_of_ben(&world), TextUnit::CodePoint);
    document.apply(world.nodes[BEN].engine.document(&NOTE).unwrap().entries().into_iter().map(Arc::new)).unwrap();
    document.change(None, 0, |note| note.put("invented", true)).unwrap();
    let bytes = document.save();
    let part = Message::Snapshot { space, document: NOTE, size: bytes.len() as u64, offset: 0, bytes: Arc::from(bytes) };
    assert_eq!(says(&mut world, CAT, 3, &part), []);
    assert!(is_misled(&world, CAT) && world.nodes[CAT].engine.log(&NOTE).unwrap().snapshot().is_some());
    restart_cat(&mut world, space, 3);
    world.write(BEN, "true ");
    world.wait(2_000);
    world.connect(CAT, RELAY);
    world.wait(2_000);
    cat_finds_what_is_true(&mut world, space);
}

#[test]
fn what_one_built_on_true_changes_is_not_made_again_when_a_snapshot_shows_what_was_made_up_behind_these() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.wait(2_000);
    // Of the second he says at once that it is his; of the third he is cut off before.
    for text in ["more ", "still "] {
        world.write(BEN, text);
        world.run();
    }
    world.disconnect(BENS);
    world.write(CAT, "cat ");
    world.run();
    let forged = invented(&world, CAT, NOTE, actor_of_ben(&world));
    assert_eq!((forged.seq, says(&mut world, CAT, CATS, &entries(space, &forged))), (4, vec![]));
    world.disconnect(CATS);
    world.write(CAT, "later ");
    for text in ["true ", "words "] {
        world.write(BEN, text);
        world.wait(2_000);
    }
    // Another relay has a snapshot of what Ben wrote, and his word for it.
    world.connect(CAT, ELSEWHERE);
    world.run();
    let word = world.nodes[BEN].engine.attests.words.newest(&NOTE, &actor_of_ben(&world)).unwrap();
    let word = Message::Attestations { space, attestations: vec![Arc::from(word.attestation.to_bytes())] };
    assert_eq!(says(&mut world, CAT, 3, &word), []);
    let bytes = world.nodes[BEN].engine.document(&NOTE).unwrap().clone().save();
    let part = Message::Snapshot { space, document: NOTE, size: bytes.len() as u64, offset: 0, bytes: Arc::from(bytes) };
    assert_eq!(says(&mut world, CAT, 3, &part), []);
    let told = told(&world, CAT, TroubleKind::Forked);
    assert!(told.iter().any(|told| told.contains("1 change against") && told.contains("(1 of this replica's own)")), "{told:?}");
    // All meet, with what Cat had brought the relay before.
    world.disconnect(3);
    for node in [BEN, CAT] {
        world.connect(node, RELAY);
    }
    world.wait(3_000);
    all_hold_what_is_true(&world);
    let text = world.text(OWNER).unwrap();
    for part in ["owner ", "ben ", "more ", "still ", "cat ", "later ", "true ", "words "] {
        assert_eq!(text.matches(part).count(), 1, "{part} in {text}");
    }
}

#[test]
fn what_was_made_up_before_a_change_whose_word_is_known_goes_when_nothing_fits_on_it() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.wait(2_000);
    world.disconnect(CATS);
    world.write(BEN, "true ");
    world.write(BEN, "words ");
    world.wait(2_000);
    world.connect(CAT, ELSEWHERE);
    world.run();
    // She is given Ben's word for his third change, and a second that is not his.
    let word = world.nodes[BEN].engine.attests.words.newest(&NOTE, &actor_of_ben(&world)).unwrap();
    assert_eq!(word.attestation.seq, 3);
    let word = Message::Attestations { space, attestations: vec![Arc::from(word.attestation.to_bytes())] };
    assert_eq!(says(&mut world, CAT, 3, &word), []);
    let forged = invented(&world, CAT, NOTE, actor_of_ben(&world));
    assert_eq!((forged.seq, says(&mut world, CAT, 3, &entries(space, &forged))), (2, vec![]));
    world.disconnect(3);
    world.connect(CAT, RELAY);
    world.run();
    assert!(is_misled(&world, CAT));
    for _ in 0..4 {
        world.wait(3_000);
    }
    all_hold_what_is_true(&world);
    assert_eq!(world.text(CAT).as_deref(), Some("owner ben true words "));
}

#[test]
fn what_others_built_on_true_changes_stays_though_what_comes_behind_these_goes() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.wait(2_000);
    // Ben vouches for the first of these, and is cut off before he does for the second. The owner builds on it, and vouches for that.
    for text in ["more ", "still "] {
        world.write(BEN, text);
        world.run();
    }
    world.disconnect(BENS);
    world.write(OWNER, "built ");
    world.wait(2_000);
    let made_up = {
        let mut draft = Document::new(NOTE, actor_of_ben(&world), TextUnit::CodePoint);
        let held = world.nodes[CAT].engine.document(&NOTE).unwrap().entries();
        draft.apply(held.into_iter().map(Arc::new)).unwrap();
        draft.change(None, 0, |note| note.put("invented", true)).unwrap().0.unwrap()
    };
    assert_eq!((made_up.seq, says(&mut world, CAT, CATS, &entries(space, &made_up))), (4, vec![]));
    // The owner and the relay are gone for good. Ben goes on, and meets Cat.
    world.disconnect(OWNERS);
    world.disconnect(CATS);
    world.write(BEN, "true ");
    world.wait(2_000);
    world.input(BEN, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.connect(CAT, BEN);
    world.wait(2_000);
    assert!(
        told(&world, CAT, TroubleKind::Forked)
            .iter()
            .any(|told| told.contains("1 change against their writer's word, with 0 that others built on them"))
    );
    for node in [BEN, CAT] {
        assert!(!is_misled(&world, node));
        let text = world.text(node).unwrap();
        assert!(["ben ", "more ", "still ", "built ", "true "].iter().all(|part| text.contains(part)), "node {node}: {text}");
    }
    assert_eq!(version(&world, CAT), version(&world, BEN));
}

#[test]
fn what_one_wrote_and_compacted_before_the_word_for_it_was_given_is_vouched_for_at_the_next_start() {
    let mut world = world_with(|config| {
        config.compaction = Compaction { quiet_bytes_min: 1, quiet_ms: 100, kept_bytes_min: 0, ..Compaction::default() };
    });
    let space = shared(&mut world, Level::Write);
    for _ in 0..40 {
        world.write(BEN, "ben ");
        world.run();
    }
    world.wait(300);
    let bens = actor_of_ben(&world);
    let log = world.nodes[BEN].engine.log(&NOTE).unwrap();
    assert!(log.snapshot().is_some_and(|held| held.version.clock.get(&bens) == 40), "all of it is in a snapshot");
    assert!(world.nodes[BEN].engine.attested(&NOTE, &bens) < 40, "and he has not vouched for the last of it");
    world.disconnect(BENS);
    world.lose();
    world.restart(BEN, EngineConfig { identity: Some(secret(BEN)), ..EngineConfig::new(Role::Client, [91; 32]) });
    world.input(BEN, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(BEN, Input::Command(Command::OpenSpace { space }));
    world.connect(BEN, RELAY);
    world.wait(3_000);
    assert_eq!(world.nodes[BEN].engine.attested(&NOTE, &bens), 40);
    assert_eq!(world.nodes[CAT].engine.attested(&NOTE, &bens), 40);
}
