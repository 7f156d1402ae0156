//! Documents that are begun anew because someone was shut out: who has them open, and what waits meanwhile.

use super::trust_tests::{
    BEN, CAT, ELSEWHERE, OWNER, RELAY, access, found, invite, join, revoke, secret, shared, version, world,
};
use crate::base::id::{SpaceId, ViewId};
use crate::doc::edit::{Edit, Op};
use crate::doc::value::{Prop, Value};
use crate::engine::config::{Compaction, EngineConfig, Role};
use crate::engine::effect::{Event, TroubleKind};
use crate::engine::input::{Command, Input};
use crate::engine::seal::seal_tests::troubles;
use crate::engine::tests::{NOTE, World};
use crate::trust::standing::Access;
use crate::trust::statement::Level;

const VIEW: ViewId = ViewId(7);

/// Ben and Cat write on at another relay, where what Ben writes will not be accepted.
fn parted(world: &mut World) -> SpaceId {
    let space = shared(world, Level::Write);
    for connection in [1, 2] {
        world.disconnect(connection);
    }
    world.connect(BEN, ELSEWHERE);
    world.connect(CAT, ELSEWHERE);
    world.run();
    world.write(BEN, "behind ");
    world.run();
    revoke(world, OWNER, space, BEN);
    world.run();
    space
}

/// What Cat's screen was told: the number of each answer, the last edit that it covers, and whether it is a reset.
fn answers(world: &World) -> Vec<(u64, u64, bool)> {
    let answer = |event: &Event| match event {
        Event::ViewUpdated(update) if update.view == VIEW => Some((update.number, update.covers, update.reset.is_some())),
        _ => None,
    };
    world.nodes[CAT].events.iter().filter_map(answer).collect()
}

fn edit(world: &mut World, number: u64) {
    let seen = answers(world).last().map_or(0, |(number, ..)| *number);
    let put = Op::Put { path: vec![Prop::Key(format!("edit {number}"))], value: Value::Int(1) };
    let edit = Edit { ops: vec![put], message: None };
    world.input(CAT, Input::Command(Command::EditView { view: VIEW, number, seen, edit, stamp: None }));
    world.run();
}

#[test]
fn a_screen_on_which_a_document_is_open_that_is_begun_anew_goes_on() {
    let mut world = world();
    let space = parted(&mut world);
    world.input(CAT, Input::Command(Command::OpenView { view: VIEW, space, document: NOTE, resume: Vec::new(), mirror: None }));
    for number in 1..=3 {
        edit(&mut world, number);
    }
    let before = answers(&world).last().map(|(number, ..)| *number).unwrap();
    world.disconnect(4);
    world.connect(CAT, RELAY);
    world.run();
    world.wait(1_000);
    assert!(troubles(&world, CAT, TroubleKind::Forbidden).iter().any(|told| told.contains("3 of this replica's own")));
    let after: Vec<_> = answers(&world).into_iter().filter(|(number, ..)| *number > before).collect();
    assert!(
        after.first().is_some_and(|(number, covers, is_reset)| (*number, *covers, *is_reset) == (before + 1, 3, true)),
        "{after:?}"
    );
    // What others write is shown, and what is edited is made.
    let shown = answers(&world).len();
    world.write(OWNER, "later");
    world.run();
    assert!(answers(&world).len() > shown && answers(&world).last().unwrap().1 == 3);
    edit(&mut world, 4);
    let refused = world.nodes[CAT].events.iter().any(|event| matches!(event, Event::EditRefused { .. }));
    assert!(!refused);
    let held = world.nodes[OWNER].engine.document(&NOTE).unwrap().value(()).unwrap().to_json().to_string();
    assert!((1..=4).all(|number| held.contains(&format!("edit {number}"))), "{held}");
    assert_eq!(version(&world, CAT), version(&world, OWNER));
}

#[test]
fn an_honest_relay_that_cuts_back_is_not_told_of_as_one_that_has_gone_back() {
    let mut world = world();
    parted(&mut world);
    world.write(CAT, "cat ");
    world.wait(2_000);
    // She brings the word to the other relay, whose disk is slow: what remains is not on it at once.
    world.disconnect(4);
    world.connect(CAT, RELAY);
    world.run();
    world.disconnect(5);
    world.connect(CAT, ELSEWHERE);
    for _ in 0..40 {
        world.slow_down(ELSEWHERE);
        while world.step() {}
        // A task at a time.
        let waiting = &mut world.nodes[ELSEWHERE].waiting;
        let rest = waiting.split_off(1.min(waiting.len()));
        world.let_through(ELSEWHERE);
        world.slow_down(ELSEWHERE);
        world.nodes[ELSEWHERE].waiting.splice(0..0, rest);
        world.wait(300);
    }
    world.let_through(ELSEWHERE);
    world.wait(12_000);
    assert_eq!(troubles(&world, CAT, TroubleKind::WentBack), Vec::<String>::new());
    assert_eq!(version(&world, ELSEWHERE), version(&world, OWNER));
    assert_eq!(world.nodes[CAT].engine.saved(&NOTE).unwrap().relays, 2);
}

/// Four who meet each other without a relay: the owner, Ben, Cat, and Dan.
fn members() -> World {
    let mut world = World::with(&[Role::Client; 4], |config| {
        config.identity = Some([config.seed[0] + 100; 32]);
        config.compaction = Compaction { quiet_bytes_min: 1_000, quiet_ms: 5_000, kept_bytes_min: 300, ..Compaction::default() };
    });
    for node in 0..4 {
        world.input(node, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    }
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    for node in [DAN, BEN, CAT] {
        let link = invite(&mut world, OWNER, space, Level::Write, 0);
        join(&mut world, node, &link);
        world.connect(node, OWNER);
        world.run();
    }
    (0..3).for_each(|connection| world.disconnect(connection));
    world
}

const DAN: usize = 0;

#[test]
fn members_bring_each_other_what_remains_of_someone_though_their_word_was_for_more() {
    let mut world = members();
    let space = world.nodes[OWNER].engine.spaces()[0];
    world.connect(CAT, BEN);
    world.run();
    world.write(CAT, "cat ");
    world.wait(1_500);
    world.write(BEN, "ben ");
    world.wait(1_500);
    // She builds on what will be refused, and her word is for that from now on.
    world.write(CAT, "again ");
    world.wait(1_500);
    revoke(&mut world, OWNER, space, BEN);
    world.connect(OWNER, CAT);
    world.run();
    world.disconnect(4);
    world.connect(DAN, OWNER);
    world.wait(1_500);
    assert_eq!(version(&world, DAN), version(&world, CAT));
    let held = world.nodes[DAN].engine.document(&NOTE).unwrap().text("body").unwrap();
    assert!(held.contains("cat ") && held.contains("again ") && !held.contains("ben "), "{held}");
    // So does who has it at second hand, and has been ended meanwhile.
    let authors = world.nodes[DAN].engine.authorship(&NOTE);
    assert!(authors.iter().all(|author| author.attested == author.changes), "{authors:?}");
    let config = EngineConfig { identity: Some([100; 32]), ..EngineConfig::new(Role::Client, [77; 32]) };
    world.restart(DAN, config);
    let authors = world.nodes[DAN].engine.authorship(&NOTE);
    assert!(authors.iter().all(|author| author.attested == author.changes), "{authors:?}");
}

#[test]
fn what_is_accepted_of_who_was_shut_out_members_bring_each_other_without_their_word() {
    let mut world = members();
    let space = world.nodes[OWNER].engine.spaces()[0];
    world.connect(BEN, OWNER);
    world.run();
    world.write(BEN, "ben ");
    world.wait(1_500);
    // The owner has heard of this, and nobody was told Ben's word for it.
    world.write(BEN, "more ");
    world.run();
    revoke(&mut world, OWNER, space, BEN);
    world.run();
    world.connect(DAN, OWNER);
    world.run();
    assert_eq!(world.text(DAN), world.text(OWNER));
    world.disconnect(4);
    world.connect(CAT, DAN);
    world.run();
    assert_eq!(version(&world, CAT), version(&world, OWNER));
    assert!(world.text(CAT).unwrap().contains("more "));
}

#[test]
fn a_document_is_cut_back_with_what_its_snapshot_holds_and_what_stands_beside_that() {
    let mut world = members();
    let space = world.nodes[OWNER].engine.spaces()[0];
    world.connect(CAT, BEN);
    world.run();
    for _ in 0..30 {
        world.write(CAT, "cat ");
        world.run();
    }
    for _ in 0..4 {
        world.wait(3_000);
    }
    assert!(world.nodes[CAT].engine.log(&NOTE).unwrap().snapshot().is_some(), "her log begins with a snapshot");
    world.write(CAT, "late ");
    world.write(BEN, "ben ");
    world.wait(1_500);
    world.input(CAT, Input::Command(Command::CloseDocument { document: NOTE }));
    let config = EngineConfig { identity: Some([103; 32]), ..EngineConfig::new(Role::Client, [78; 32]) };
    world.disconnect(3);
    world.restart(CAT, config);
    world.input(CAT, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(CAT, Input::Command(Command::OpenSpace { space }));
    revoke(&mut world, OWNER, space, BEN);
    world.connect(OWNER, CAT);
    // What was read of it comes from her disk one by one, and is put together at once.
    world.slow_down(CAT);
    for _ in 0..60 {
        while world.step() {}
        let waiting = &mut world.nodes[CAT].waiting;
        let rest = waiting.split_off(1.min(waiting.len()));
        world.let_through(CAT);
        world.slow_down(CAT);
        world.nodes[CAT].waiting.splice(0..0, rest);
    }
    world.let_through(CAT);
    world.wait(1_500);
    assert!(
        troubles(&world, CAT, TroubleKind::Forbidden)
            .iter()
            .any(|told| told.contains("1 change by someone whose grant was revoked"))
    );
    let text = world.text(OWNER).unwrap();
    assert_eq!(text.matches("cat ").count(), 30, "{text}");
    assert!(text.contains("late ") && !text.contains("ben "), "{text}");
}

#[test]
fn a_crash_at_any_time_while_a_document_is_cut_back_takes_nothing_of_ones_own() {
    // With so many tasks done of those that the disk was given.
    for done in 0..40 {
        let mut world = world();
        let space = parted(&mut world);
        world.write(CAT, "cat ");
        world.run();
        world.disconnect(4);
        // Nobody but she has this.
        world.write(CAT, "alone ");
        world.run();
        world.slow_down(CAT);
        world.connect(CAT, RELAY);
        world.run();
        let mut left = done;
        for _ in 0..done {
            let waiting = &mut world.nodes[CAT].waiting;
            let rest = waiting.split_off(1.min(waiting.len()));
            left -= waiting.len().min(left);
            world.let_through(CAT);
            world.slow_down(CAT);
            world.nodes[CAT].waiting.splice(0..0, rest);
            // What she sends now never arrives.
            world.lose();
        }
        let connections = world.nodes[CAT].waiting.len();
        world.disconnect(5);
        let config = EngineConfig { identity: Some(secret(CAT)), ..EngineConfig::new(Role::Client, [88; 32]) };
        world.restart(CAT, config);
        world.input(CAT, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
        world.input(CAT, Input::Command(Command::OpenSpace { space }));
        world.input(CAT, Input::Command(Command::OpenDocument { space, document: NOTE }));
        world.connect(CAT, RELAY);
        world.run();
        world.wait(2_000);
        world.wait(12_000);
        let text = world.text(OWNER).unwrap();
        assert!(text.contains("alone"), "after {done} tasks, {connections} were waiting: {text}");
        if left > 0 {
            return;
        }
    }
    panic!("the disk was given no end of tasks");
}

#[test]
fn who_was_away_when_they_were_shut_out_is_shown_the_signed_word_for_it() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.wait(2_000);
    world.disconnect(1);
    revoke(&mut world, OWNER, space, BEN);
    world.run();
    world.write(BEN, "away ");
    assert_eq!(access(&world, BEN, space), Access::Granted(Level::Write), "he has not heard of it");
    world.nodes[BEN].events.clear();
    world.connect(BEN, RELAY);
    world.run();
    assert_eq!(access(&world, BEN, space), Access::Revoked);
    let told = |event: &Event| matches!(event, Event::AccessChanged { level: None, .. });
    assert_eq!(world.nodes[BEN].events.iter().filter(|event| told(event)).count(), 1);
    assert!(world.text(BEN).is_some_and(|text| text.contains("away ")), "what he has stays with him");
    assert!(world.text(OWNER).is_some_and(|text| !text.contains("away ")));
    assert_eq!(troubles(&world, BEN, TroubleKind::WentBack), Vec::<String>::new());
    // It outlives his process.
    world.disconnect(3);
    world.restart(BEN, EngineConfig { identity: Some(secret(BEN)), ..EngineConfig::new(Role::Client, [79; 32]) });
    assert_eq!(access(&world, BEN, space), Access::Revoked);
}
