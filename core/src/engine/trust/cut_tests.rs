//! Documents that are begun anew because someone was shut out: who has them open, and what waits meanwhile.

use super::trust_tests::{BEN, CAT, ELSEWHERE, OWNER, RELAY, revoke, shared, version, world};
use crate::base::id::{SpaceId, ViewId};
use crate::doc::edit::{Edit, Op};
use crate::doc::value::{Prop, Value};
use crate::engine::effect::{Event, TroubleKind};
use crate::engine::input::{Command, Input};
use crate::engine::seal::seal_tests::troubles;
use crate::engine::tests::{NOTE, World};
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
