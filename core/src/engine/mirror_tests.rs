//! Stories of mirrors that outlive their engine: whatever it has kept of their edits, the next one knows.

use super::config::Role;
use super::effect::{Event, ViewUpdate};
use super::input::{Command, Input, Resume, Stamp};
use super::stored::StoredMirror;
use super::tests::{NOTE, SPACE, World};
use crate::base::id::{MirrorId, StoreEpoch, ViewId};
use crate::base::limits::{MIRROR_EDITS_MAX, MIRRORS_MAX};
use crate::doc::edit::{Edit, Op};
use crate::doc::value::{Prop, Value};
use crate::store::task::{StoreDone, StoreTask};

const VIEW: ViewId = ViewId(7);
const MIRROR: MirrorId = MirrorId(70);

/// A note with a text and a relay, or another client, that holds it too.
fn world() -> World {
    let mut world = World::with(&[Role::Relay, Role::Client], |config| config.ping_ms = u64::MAX / 4);
    world.open(1);
    world.connect(1, 0);
    world.write(1, "a");
    world.run();
    world
}

fn open_view(world: &mut World, view: ViewId, mirror: MirrorId, resume: Vec<Resume>) {
    world.input(1, Input::Command(Command::OpenView { view, space: SPACE, document: NOTE, resume, mirror: Some(mirror) }));
}

/// The mirror's `number`th edit, at the beginning of the text.
fn edit(world: &mut World, view: ViewId, number: u64, seen: u64, letter: &str) {
    let path = vec![Prop::Key("body".to_owned())];
    let op = Op::Splice { path, index: 0, delete: 0, insert: letter.to_owned() };
    let edit = Edit { ops: vec![op], message: None };
    let stamp = Some(Stamp { number, oldest: number.min(1) });
    world.input(1, Input::Command(Command::EditView { view, number, seen, edit, stamp }));
}

/// The answers to a mirror so far.
fn answers(world: &World, view: ViewId) -> Vec<ViewUpdate> {
    let of_view = |event: &Event| match event {
        Event::ViewUpdated(update) if update.view == view => Some(update.clone()),
        _ => None,
    };
    world.nodes[1].events.iter().filter_map(of_view).collect()
}

fn body(update: &ViewUpdate) -> Option<&Value> {
    update.reset.as_ref()?.as_map()?.get("body")
}

/// What the store remembers of mirrors.
fn remembered(world: &mut World) -> Vec<StoredMirror> {
    match world.nodes[1].store.execute(StoreTask::Open { epoch: StoreEpoch([0; 16]) }) {
        Ok(StoreDone::Opened(contents)) => {
            contents.meta.iter().filter_map(|(name, value)| StoredMirror::read(name, value)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_edit_that_was_kept_and_not_answered_is_not_made_again_by_the_next_engine() {
    let mut world = world();
    open_view(&mut world, VIEW, MIRROR, Vec::new());
    let shown = answers(&world, VIEW).pop().expect("an answer");
    edit(&mut world, VIEW, 1, shown.number, "b");
    edit(&mut world, VIEW, 2, shown.number, "c");
    let held = world.nodes[1].engine.log(&NOTE).map(|log| log.end());
    world.restart(1);
    world.open(1);
    // None of the answers to the edits was heard: the mirror goes on from what it had heard before, with both.
    open_view(&mut world, VIEW, MIRROR, vec![Resume { covers: 0, heads: shown.heads.clone() }]);
    edit(&mut world, VIEW, 1, 0, "b");
    edit(&mut world, VIEW, 2, 0, "c");
    edit(&mut world, VIEW, 3, 0, "d");
    assert_eq!(world.text(1).as_deref(), Some("dcba"));
    assert_eq!(world.nodes[1].engine.log(&NOTE).map(|log| log.end()), held.map(|end| end + 1), "one change, of the third edit");
    let heard = answers(&world, VIEW);
    assert!(heard.iter().all(|update| update.reset.is_none()), "it goes on by differences");
    assert_eq!(heard.last().map(|update| (update.covers, update.patches.len())), Some((3, 0)));
}

#[test]
fn an_edit_that_was_kept_where_the_mirror_begins_anew_is_shown_once() {
    let mut world = world();
    open_view(&mut world, VIEW, MIRROR, Vec::new());
    edit(&mut world, VIEW, 1, 1, "b");
    world.restart(1);
    world.open(1);
    open_view(&mut world, VIEW, MIRROR, Vec::new());
    edit(&mut world, VIEW, 1, 1, "b");
    assert_eq!(world.text(1).as_deref(), Some("ba"));
    let last = answers(&world, VIEW).pop().expect("an answer");
    assert_eq!((body(&last), last.covers), (Some(&Value::Text("ba".to_owned())), 1), "a reset, since the mirror shows it twice");
}

#[test]
fn an_edit_of_a_mirror_leaves_for_peers_when_it_is_durable_and_others_at_once() {
    let mut world = world();
    open_view(&mut world, VIEW, MIRROR, Vec::new());
    world.slow_down(1);
    edit(&mut world, VIEW, 1, 1, "b");
    world.run();
    let at_relay = |world: &World| world.nodes[0].engine.log(&NOTE).map_or(0, |log| log.end());
    let before = at_relay(&world);
    world.let_through(1);
    world.run();
    assert_eq!(at_relay(&world), before + 1, "it leaves once it is durable, and not before");

    world.slow_down(1);
    world.write(1, "z");
    world.run();
    assert_eq!(at_relay(&world), before + 2, "what no mirror may send again need not wait");
}

#[test]
fn where_the_store_refuses_writes_an_edit_of_a_mirror_leaves_all_the_same() {
    let mut world = world();
    open_view(&mut world, VIEW, MIRROR, Vec::new());
    world.slow_down(1);
    edit(&mut world, VIEW, 1, 1, "b");
    let before = world.nodes[0].engine.log(&NOTE).map_or(0, |log| log.end());
    assert!(world.let_fail(1) > 0);
    world.run();
    assert_eq!(world.nodes[0].engine.log(&NOTE).map_or(0, |log| log.end()), before + 1);
    world.wait(60_000);
    assert_eq!(remembered(&mut world).len(), 1, "the append that is made again tells the store of it");
}

#[test]
fn what_is_remembered_of_mirrors_is_little_and_goes_when_they_close() {
    let mut world = world();
    open_view(&mut world, VIEW, MIRROR, Vec::new());
    for number in 1..=3 {
        let stamp = Some(Stamp { number, oldest: number.max(2) });
        let op = Op::Put { path: vec![Prop::Key("n".to_owned())], value: Value::Int(number as i64) };
        let edit = Edit { ops: vec![op], message: None };
        world.input(1, Input::Command(Command::EditView { view: VIEW, number, seen: 1, edit, stamp }));
    }
    let made = |world: &mut World| remembered(world)[0].made.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    assert_eq!(made(&mut world), [3], "what the mirror will not send again is forgotten");
    for number in 4..=MIRROR_EDITS_MAX as u64 + 10 {
        edit(&mut world, VIEW, number, 1, "x");
    }
    assert_eq!(made(&mut world).len(), MIRROR_EDITS_MAX);
    world.input(1, Input::Command(Command::CloseView { view: VIEW }));
    assert_eq!(remembered(&mut world), []);
    for mirror in 0..MIRRORS_MAX as u64 + 5 {
        world.now += 1;
        open_view(&mut world, ViewId(1_000 + mirror), MirrorId(mirror), Vec::new());
        edit(&mut world, ViewId(1_000 + mirror), 1, 1, "y");
    }
    let kept = remembered(&mut world);
    assert_eq!(kept.len(), MIRRORS_MAX);
    assert!(kept.iter().all(|stored| stored.mirror.0 >= 5), "those that edited last");
}
