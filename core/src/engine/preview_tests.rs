//! Stories of stored views: a long document is on the screen before it is loaded, and nothing comes of that but speed.

use super::config::{EngineConfig, Previews, Role};
use super::effect::{Event, ViewUpdate};
use super::input::{Command, Input};
use super::stored::StoredPreview;
use super::tests::{NOTE, SPACE, World};
use crate::base::id::ViewId;
use crate::doc::edit::{Edit, Op};
use crate::doc::value::{Prop, TextUnit, Value};
use crate::store::task::{StoreDone, StoreTask};

const VIEW: ViewId = ViewId(7);

fn set_up(config: &mut EngineConfig) {
    config.previews = Some(Previews { changes_min: 10, quiet_ms: 1_000 });
    config.compaction.quiet_ms = u64::MAX / 4;
}

fn config(seed: u8) -> EngineConfig {
    let mut config = EngineConfig::new(Role::Client, [seed; 32]);
    set_up(&mut config);
    config
}

/// One client with a note of `words` words.
fn world(words: usize) -> World {
    let mut world = World::with(&[Role::Client], set_up);
    world.open(0);
    for word in 0..words {
        world.write(0, &format!("word{word} "));
    }
    world
}

/// Opens a mirror of the note.
fn look(world: &mut World) {
    world.input(0, Input::Command(Command::OpenSpace { space: SPACE }));
    world.input(0, Input::Command(Command::OpenView { view: VIEW, space: SPACE, document: NOTE, resume: Vec::new(), mirror: None }));
}

/// Writes at the beginning of the note through the mirror, which has taken answer `seen`.
fn type_in(world: &mut World, number: u64, seen: u64, text: &str) {
    let path = vec![Prop::Key("body".to_owned())];
    let ops = vec![Op::Splice { path, index: 0, delete: 0, insert: text.to_owned() }];
    let edit = Edit { ops, message: None };
    world.input(0, Input::Command(Command::EditView { view: VIEW, number, seen, edit, stamp: None }));
}

fn answers(world: &World) -> Vec<ViewUpdate> {
    let update = |event: &Event| match event {
        Event::ViewUpdated(update) => Some(update.clone()),
        _ => None,
    };
    world.nodes[0].events.iter().filter_map(update).collect()
}

fn body(value: Option<&Value>) -> Option<String> {
    value?.at("body")?.as_str().map(str::to_owned)
}

fn preview(world: &mut World) -> Option<StoredPreview> {
    let medium = world.nodes[0].store.medium_mut().clone();
    let mut journal = crate::store::journal::Journal::new(medium);
    let opened = journal.execute(StoreTask::Open { epoch: crate::base::id::StoreEpoch([0; 16]) });
    let Ok(StoreDone::Opened(contents)) = opened else { panic!("the store does not open: {opened:?}") };
    contents.meta.iter().find_map(|(name, value)| StoredPreview::read(name, value))
}

/// Puts a preview of someone else's making into the store.
fn plant(world: &mut World, preview: &StoredPreview) {
    let (key, value) = preview.write();
    assert_eq!(world.nodes[0].store.execute(StoreTask::PutMeta { key, value }), Ok(StoreDone::MetaPut));
}

#[test]
fn a_long_document_is_shown_and_written_in_before_it_is_loaded() {
    let mut world = world(20);
    let text = world.text(0);
    world.wait(1_000);
    world.restart(0, config(2));
    world.slow_down(0);
    look(&mut world);
    assert_eq!(world.text(0), None, "it is not loaded");
    let shown = answers(&world);
    assert_eq!((shown.len(), shown[0].number, shown[0].covers), (1, 0, 0));
    assert_eq!(body(shown[0].reset.as_ref()), text);

    type_in(&mut world, 1, 0, "first ");
    type_in(&mut world, 2, 0, "then ");
    assert_eq!(answers(&world).len(), 1, "edits wait for the document");
    world.let_through(0);
    let answered = answers(&world);
    assert!(answered[1..].iter().all(|answer| answer.reset.is_none()), "the mirror goes on from what it shows");
    assert_eq!(answered[1].base, shown[0].heads);
    assert_eq!((answered[1].number, answered.last().unwrap().covers), (1, 2));
    let mut value = shown[0].reset.clone().unwrap();
    for (at, text) in [(0, "first "), (0, "then ")] {
        let path = vec![Prop::Key("body".to_owned()), Prop::Index(at)];
        crate::doc::patch::Patch::Splice { path, insert: text.to_owned() }.apply(&mut value, TextUnit::CodePoint).unwrap();
    }
    for patch in &answered.last().unwrap().patches {
        patch.apply(&mut value, TextUnit::CodePoint).unwrap();
    }
    assert_eq!(body(Some(&value)), world.text(0));
    assert_eq!(world.text(0), text.map(|text| format!("then first {text}")));
}

#[test]
fn what_came_after_the_preview_comes_with_the_first_answer() {
    let mut world = world(20);
    world.wait(1_000);
    world.write(0, "later ");
    // Its process dies before the note has been quiet again.
    let text = world.text(0).unwrap();
    world.restart(0, config(2));
    world.slow_down(0);
    look(&mut world);
    let before = body(answers(&world)[0].reset.as_ref()).unwrap();
    assert_eq!(format!("{before}later "), text);
    type_in(&mut world, 1, 0, "first ");
    world.let_through(0);
    assert_eq!(world.text(0), Some(format!("first {text}")), "an edit of the older text is merged with what it did not know");
}

#[test]
fn a_preview_is_written_when_a_document_is_closed_and_only_when_all_of_it_is_durable() {
    let mut world = world(20);
    world.slow_down(0);
    world.write(0, "undurable");
    world.input(0, Input::Command(Command::CloseDocument { document: NOTE }));
    assert_eq!(preview(&mut world), None);
    world.let_through(0);
    let stored = preview(&mut world).expect("it is stored");
    assert_eq!(&stored.version, world.nodes[0].engine.log(&NOTE).unwrap().durable());
    assert!(String::from_utf8(stored.value).unwrap().contains("undurable"));
}

#[test]
fn a_short_document_has_none_and_whoever_wants_none_writes_none() {
    let mut short = world(5);
    short.wait(1_000);
    assert_eq!(preview(&mut short), None);
    let mut plain = World::new(&[Role::Client]);
    plain.open(0);
    (0..20).for_each(|_| plain.write(0, "word "));
    plain.wait(60_000);
    assert_eq!(preview(&mut plain), None);
}

#[test]
fn a_preview_that_lies_is_found_out_and_what_was_written_on_it_is_made_again() {
    let mut world = world(20);
    world.wait(1_000);
    let honest = preview(&mut world).unwrap();
    plant(&mut world, &StoredPreview { value: br#"{"body":"something else"}"#.to_vec(), ..honest });
    world.restart(0, config(2));
    world.slow_down(0);
    look(&mut world);
    assert_eq!(body(answers(&world)[0].reset.as_ref()).as_deref(), Some("something else"));
    type_in(&mut world, 1, 0, "lost? ");
    world.let_through(0);
    let refused = |event: &Event| matches!(event, Event::EditRefused { number: 1, view: Some(VIEW), .. });
    assert!(world.nodes[0].events.iter().any(refused), "the mirror is told to make its edit again");
    assert_eq!(body(answers(&world)[1].reset.as_ref()), world.text(0), "the mirror is shown what the document says");
    assert_eq!(preview(&mut world), None, "and the lie is gone");
}

#[test]
fn a_preview_that_is_damaged_or_strange_or_of_what_is_lost_is_not_shown() {
    let mut first = world(20);
    first.wait(1_000);
    let honest = preview(&mut first).unwrap();
    let mut newer = honest.clone();
    newer.version.clock.raise(crate::base::id::ActorId::new(&[9; 16]).unwrap(), 1);
    let mut forked = honest.clone();
    forked.version.heads = [crate::base::id::ChangeHash([1; 32])].into_iter().collect();
    let cut = StoredPreview { value: honest.value[..honest.value.len() - 1].to_vec(), ..honest.clone() };
    for strange in [newer, forked, cut] {
        let mut world = world(20);
        world.wait(1_000);
        plant(&mut world, &strange);
        world.restart(0, config(2));
        world.slow_down(0);
        look(&mut world);
        assert_eq!(answers(&world), []);
        world.let_through(0);
        assert_eq!(body(answers(&world)[0].reset.as_ref()), world.text(0));
    }
}

#[test]
fn a_mirror_that_is_closed_before_the_document_is_loaded_has_not_written_in_vain() {
    let mut world = world(20);
    world.wait(1_000);
    let text = world.text(0).unwrap();
    world.restart(0, config(2));
    world.slow_down(0);
    look(&mut world);
    type_in(&mut world, 1, 0, "kept ");
    world.input(0, Input::Command(Command::CloseView { view: VIEW }));
    world.let_through(0);
    assert_eq!(world.text(0), None, "it is closed");
    world.input(0, Input::Command(Command::OpenDocument { space: SPACE, document: NOTE }));
    assert_eq!(world.text(0), Some(format!("kept {text}")));
}

#[test]
fn a_mirror_that_was_shown_a_preview_goes_on_with_another_engine() {
    let mut world = world(20);
    world.wait(1_000);
    let text = world.text(0).unwrap();
    world.restart(0, config(2));
    world.slow_down(0);
    look(&mut world);
    let shown = answers(&world).remove(0);
    // Its engine ends before the document is loaded; the mirror has written meanwhile.
    world.nodes[0].forget_tasks();
    world.restart(0, config(3));
    let state = super::input::Resume { covers: 0, heads: shown.heads };
    let open = Command::OpenView { view: VIEW, space: SPACE, document: NOTE, resume: vec![state], mirror: None };
    world.input(0, Input::Command(open));
    type_in(&mut world, 1, 0, "mine ");
    assert!(answers(&world).iter().all(|answer| answer.reset.is_none()), "it is shown nothing twice");
    assert_eq!(world.text(0), Some(format!("mine {text}")));
}

#[test]
fn previews_have_a_bound_and_the_oldest_goes() {
    use crate::base::limits::{PREVIEW_BYTES_MAX, PREVIEWS_BYTES_MAX};
    let mut world = world(1);
    let most = PREVIEWS_BYTES_MAX / (PREVIEW_BYTES_MAX * 7 / 8);
    let note = |number: usize| crate::base::id::DocumentId([100 + number as u8; 16]);
    let names = |world: &mut World| -> Vec<crate::base::id::DocumentId> {
        let medium = world.nodes[0].store.medium_mut().clone();
        let mut journal = crate::store::journal::Journal::new(medium);
        let opened = journal.execute(StoreTask::Open { epoch: crate::base::id::StoreEpoch([0; 16]) });
        let Ok(StoreDone::Opened(contents)) = opened else { panic!("the store does not open: {opened:?}") };
        contents.meta.iter().filter_map(|(name, value)| StoredPreview::read(name, value)).map(|found| found.document).collect()
    };
    for number in 0..=most {
        let document = note(number);
        world.input(0, Input::Command(Command::OpenDocument { space: SPACE, document }));
        for part in 0..10 {
            let put = Op::Put {
                path: vec![Prop::Key(format!("part {part}"))],
                value: Value::String("x".repeat(PREVIEW_BYTES_MAX * 7 / 80)),
            };
            let edit = Edit { ops: vec![put], message: None };
            world.input(0, Input::Command(Command::EditDocument { document, number: part, edit }));
        }
        world.input(0, Input::Command(Command::CloseDocument { document }));
    }
    let kept: Vec<_> = (1..=most).map(note).collect();
    assert_eq!(names(&mut world), kept);
}
