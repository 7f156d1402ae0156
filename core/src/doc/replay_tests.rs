//! What a follower's document promises: whoever replays has what whoever applies has.

use super::chance::{DOCUMENT, Dice, Replica, actor, dice, units};
use super::change::entry_from_payload;
use super::document::Document;
use super::edit::{Edit, Op};
use super::patch::Patch;
use super::path::IntoPath as _;
use super::raw::{CHANGE_CHUNK, Chunk, MAGIC, RawChange, hash};
use super::value::{TextUnit, Value};
use super::view::View;
use crate::base::codec::{Reader, Writer};
use crate::base::id::ChangeHash;
use crate::log::entry::Entry;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Someone who writes, and where their caret is.
struct Writing {
    replica: Replica,
    caret: usize,
}

fn splice(index: usize, delete: usize, insert: &str) -> Edit {
    Edit { ops: vec![Op::Splice { path: "text".into_path(), index, delete, insert: insert.to_owned() }], message: None }
}

/// Where the letters of `text` begin, and its end.
fn places(text: &str, unit: TextUnit) -> Vec<usize> {
    let mut places = vec![0];
    for letter in text.chars() {
        places.push(places[places.len() - 1] + unit.length(letter.encode_utf8(&mut [0; 4])));
    }
    places
}

/// What someone does next who has their caret somewhere in a text that is there; moves the caret.
fn keys(dice: &mut Dice, text: &str, caret: &mut usize, unit: TextUnit) -> Edit {
    let places = places(text, unit);
    if dice.roll(6) == 0 {
        *caret = *dice.pick(&places);
    }
    // Others may have moved the letters.
    let at = places.iter().rposition(|place| place <= caret).unwrap_or(0);
    *caret = places[at];
    let next = |letters: usize| places[(at + letters).min(places.len() - 1)] - places[at];
    let mut edit = match dice.roll(8) {
        0 if at > 0 => {
            *caret = places[at - 1];
            splice(places[at - 1], places[at] - places[at - 1], "")
        }
        1 => splice(places[at], next(1 + dice.roll(3)), ""),
        2 => {
            let letters = dice.letters();
            splice(places[at], next(dice.roll(3)), &letters)
        }
        3 => {
            let other = *dice.pick(&places);
            let mut edit = splice(places[at], 0, "ab");
            edit.ops.extend(splice(if other > *caret { other + 2 } else { other }, 0, "😀").ops);
            edit
        }
        _ => {
            let letters = dice.letters();
            let edit = splice(places[at], 0, &letters);
            *caret += unit.length(&letters);
            edit
        }
    };
    edit.message = (dice.roll(4) == 0).then(|| "typed".to_owned());
    edit
}

/// Two documents of one replica that take the same entries: one as it pleases, one that never replays. And a mirror of the first.
struct Twins {
    replaying: Document,
    applying: Document,
    view: View,
    shown: Value,
    seen: Vec<Vec<ChangeHash>>,
    /// Whether some of a batch were replayed and others applied: Automerge puts concurrent changes of one batch in an order of its own.
    mixed: bool,
}

impl Twins {
    fn new(unit: TextUnit) -> Self {
        let replaying = Document::new(DOCUMENT, actor(9), unit);
        let mut applying = replaying.clone();
        applying.replays.off();
        let (view, answer) = View::open(&replaying, &[]);
        Self { replaying, applying, view, shown: answer.reset.unwrap(), seen: Vec::new(), mixed: false }
    }

    fn take(&mut self, entries: &[Arc<Entry>]) {
        self.seen.push(self.applying.heads());
        let replays = self.replaying.replays();
        assert_eq!(self.replaying.apply(entries.iter().cloned()), self.applying.apply(entries.iter().cloned()));
        let replays = self.replaying.replays() - replays;
        self.mixed |= replays > 0 && replays < entries.len() as u64;
        self.compare();
    }

    /// Both make the same edit, which is the same change.
    fn edit(&mut self, edit: &Edit) -> Option<Entry> {
        let made = self.replaying.edit(None, edit, 5_000).unwrap();
        assert_eq!(made, self.applying.edit(None, edit, 5_000).unwrap());
        self.compare();
        made
    }

    fn compare(&mut self) {
        let (one, other) = (&self.replaying, &self.applying);
        assert_eq!(one.version(), other.version());
        let value = other.value(()).unwrap();
        assert_eq!(one.value(()).unwrap(), value);
        if let Some(answer) = self.view.answer(one) {
            assert_eq!(answer.reset, None);
            for patch in &answer.patches {
                patch.apply(&mut self.shown, one.unit()).unwrap();
            }
        }
        assert_eq!(self.shown, value, "what a mirror shows");
    }

    /// Whether no difference can be found at all.
    fn compare_all(&self) {
        let (one, other) = (&self.replaying, &self.applying);
        one.crdt.diff_opset(&other.crdt).unwrap();
        if !self.mixed {
            assert_eq!(one.save(), other.save());
            assert_eq!(one.history(100), other.history(100));
        }
        let entries =
            |document: &Document| document.entries().into_iter().map(|entry| (entry.hash, entry)).collect::<BTreeMap<_, _>>();
        assert_eq!(entries(one), entries(other));
        let mut file = Document::new(DOCUMENT, actor(8), one.unit());
        file.import(&one.save()).unwrap();
        file.crdt.diff_opset(&other.crdt).unwrap();
        assert_eq!(file.version(), other.version());
        for before in &self.seen {
            let now = other.heads();
            if one.replayed_since(before).is_none() {
                assert_eq!(one.diff(before, &now), other.diff(before, &now));
            }
            assert_eq!(one.diff(&now, before), other.diff(&now, before));
        }
    }
}

fn live(mut dice: Dice, unit: TextUnit) -> u64 {
    let mut writers: Vec<_> = (1..=3).map(|number| Writing { replica: Replica::new(number, unit), caret: 0 }).collect();
    writers[0].replica.edit(&Edit {
        ops: vec![Op::Put { path: "text".into_path(), value: Value::Text("so it begins".to_owned()) }],
        message: None,
    });
    let mut twins = Twins::new(unit);
    let mut all: Vec<Arc<Entry>> = Vec::new();
    let mut taken = 0;
    let mut number = 0;
    while !dice.is_over() {
        if dice.roll(5) == 0 {
            number = dice.roll(3);
        }
        let writer = &mut writers[number];
        // Mostly they know of everything: that is when their changes go on where the document stands.
        if dice.roll(8) > 0 {
            let missing: Vec<_> = all.iter().filter(|entry| !writer.replica.document.holds(&[entry.hash])).cloned().collect();
            writer.replica.document.apply(missing).unwrap();
        }
        let value = writer.replica.value();
        let text = writer.replica.document.text("text");
        let edit = match text {
            Some(text) if dice.roll(16) > 0 => keys(&mut dice, &text, &mut writer.caret, unit),
            _ => dice.edit(&value, unit),
        };
        writer.replica.edit(&edit);
        all.append(&mut writer.replica.entries);
        match dice.roll(8) {
            0 => {}
            1 => {
                twins.take(&all[taken..]);
                // The twins write too, and whatever the others write next does or does not know of it.
                let (value, mut caret) = (twins.shown.clone(), 0);
                let edit = match twins.replaying.text("text") {
                    Some(text) if dice.roll(3) > 0 => keys(&mut dice, &text, &mut caret, unit),
                    _ => dice.edit(&value, unit),
                };
                all.extend(twins.edit(&edit).map(Arc::new));
                taken = all.len();
            }
            _ => {
                twins.take(&all[taken..]);
                taken = all.len();
            }
        }
    }
    twins.take(&all[taken..]);
    twins.compare_all();
    assert!(!twins.replaying.replays.is_off(), "a replay went wrong");
    twins.replaying.replays()
}

#[test]
fn who_replays_has_what_who_applies_has() {
    let replays = AtomicU64::new(0);
    let lived = TestRunner::default().run(&(dice(400), units()), |(dice, unit)| {
        replays.fetch_add(live(dice, unit), Ordering::Relaxed);
        Ok(())
    });
    lived.unwrap();
    let replays = replays.into_inner();
    assert!(replays > 1_000, "only {replays} changes were replayed");
}

/// A writer's document with a text, and the entries of it.
fn written(unit: TextUnit) -> (Document, Vec<Arc<Entry>>) {
    let mut writer = Document::new(DOCUMENT, actor(1), unit);
    let (entry, ()) = writer.change(None, 0, |tx| tx.put("text", Value::Text("a😀b".to_owned()))).unwrap();
    (writer, vec![Arc::new(entry.unwrap())])
}

fn typed(writer: &mut Document, index: usize, delete: usize, insert: &str) -> Arc<Entry> {
    Arc::new(writer.edit(None, &splice(index, delete, insert), 0).unwrap().unwrap())
}

/// Applying takes time for the text, replaying for each change: a few are replayed, many are applied.
#[test]
fn many_changes_at_once_are_applied() {
    let (mut writer, first) = written(TextUnit::Utf16);
    let mut reader = Document::new(DOCUMENT, actor(2), TextUnit::Utf16);
    reader.apply(first).unwrap();
    let mut type_on = |count: usize| (0..count).map(|at| typed(&mut writer, 4 + at, 0, "x")).collect::<Vec<_>>();
    let before = reader.heads();
    reader.apply(type_on(8)).unwrap();
    assert_eq!(reader.replays(), 8);
    let patch = Patch::Splice { path: ("text", 4).into_path(), insert: "x".repeat(8) };
    assert_eq!(reader.diff(&before, &reader.heads()), [patch]);
    reader.apply(type_on(9)).unwrap();
    assert_eq!((reader.replays(), reader.is_replayed()), (8, false));
}

#[test]
fn letters_typed_on_are_one_difference() {
    let (mut writer, first) = written(TextUnit::Utf16);
    let mut reader = Document::new(DOCUMENT, actor(2), TextUnit::Utf16);
    reader.apply(first).unwrap();
    assert_eq!((reader.replays(), reader.is_replayed()), (0, false), "an actor's first change is applied");
    let before = reader.heads();
    let at = |index: usize| ("text", index).into_path();
    reader.apply([typed(&mut writer, 3, 0, "x")]).unwrap();
    assert_eq!(reader.diff(&before, &reader.heads()), [Patch::Splice { path: at(3), insert: "x".to_owned() }]);
    let before = reader.heads();
    reader.apply([typed(&mut writer, 4, 0, "😀é")]).unwrap();
    assert_eq!(reader.diff(&before, &reader.heads()), [Patch::Splice { path: at(4), insert: "😀é".to_owned() }]);
    let before = reader.heads();
    reader.apply([typed(&mut writer, 1, 2, "")]).unwrap();
    assert_eq!(reader.diff(&before, &reader.heads()), [Patch::Delete { path: at(1), length: 2 }]);
    assert_eq!((reader.replays(), reader.is_replayed()), (3, true));
    assert_eq!(reader.text("text"), writer.text("text"));
    reader.change(None, 0, |tx| tx.splice("text", 0, 0, "mine")).unwrap();
    assert!(!reader.is_replayed(), "something else came");
}

#[test]
fn a_wrong_replay_is_taken_back_and_is_the_last() {
    let (mut writer, first) = written(TextUnit::Utf16);
    let mut reader = Document::new(DOCUMENT, actor(2), TextUnit::Utf16);
    reader.apply(first).unwrap();
    reader.apply([typed(&mut writer, 1, 0, "y")]).unwrap();
    let (before, saved) = (reader.heads(), reader.save());
    let next = typed(&mut writer, 2, 0, "z");
    let chunk = Chunk::read(&mut Reader::new(&next.payload)).unwrap();
    let change = automerge::Change::try_from(&next.payload[..]).unwrap();
    let plan = reader.plan(&RawChange::read(chunk.body).unwrap(), &change, 1).expect("it goes on where the document stands");
    assert!(!reader.replay(&plan, ChangeHash([0; 32])));
    assert_eq!((reader.heads(), reader.save()), (before, saved));
    assert!(reader.replays.is_off());
    let replays = reader.replays();
    reader.apply([next, typed(&mut writer, 3, 0, "!")]).unwrap();
    reader.apply([typed(&mut writer, 4, 0, "?")]).unwrap();
    assert_eq!(reader.replays(), replays, "it is not tried again");
    assert_eq!((reader.text("text"), reader.heads()), (writer.text("text"), writer.heads()));
    let (mine, ()) = reader.change(None, 0, |tx| tx.splice("text", 0, 0, "mine")).unwrap();
    assert_eq!(mine.unwrap().actor, actor(2), "it writes as itself");
}

#[test]
fn a_change_that_automerge_would_write_in_other_bytes_is_applied() {
    let (mut writer, first) = written(TextUnit::Utf16);
    let mut reader = Document::new(DOCUMENT, actor(2), TextUnit::Utf16);
    reader.apply(first).unwrap();
    let next = typed(&mut writer, 1, 0, "y");
    let body = Chunk::read(&mut Reader::new(&next.payload)).unwrap().body.to_vec();
    // Somewhere is one value that is different from others, which can be written as a run of one value too.
    let other = (0..body.len()).rev().filter(|at| body[*at] == 0x7f).find_map(|at| {
        let mut other = body.clone();
        other[at] = 1;
        let mut payload = Writer::new();
        payload.put(&MAGIC);
        payload.put(&hash(CHANGE_CHUNK, &other).0[..4]);
        payload.u8(CHANGE_CHUNK);
        payload.bytes(&other);
        let entry = entry_from_payload(DOCUMENT, payload.finish().into()).ok()?;
        let change = automerge::Change::try_from(&entry.payload[..]).ok()?;
        (automerge::Change::from(change.decode()).hash().0 == next.hash.0).then_some(entry)
    });
    let other = other.expect("it can be written in other bytes");
    assert_ne!(other.hash, next.hash);
    reader.apply([Arc::new(other)]).unwrap();
    assert_eq!((reader.replays(), reader.replays.is_off()), (0, false), "it was not tried");
    assert_eq!(reader.text("text").as_deref(), Some("ay😀b"));
}
