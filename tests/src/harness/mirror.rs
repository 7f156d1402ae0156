//! A mirror as a screen holds it: plain values, moved by its own edits and by patches, and by nothing else.
//!
//! Written from the patches' description alone, so that it finds out whether the description is enough.

use driftline_core::base::id::{DocumentId, MirrorId, ViewId};
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::patch::Patch;
use driftline_core::doc::value::TextUnit;
use driftline_core::doc::value::{Prop, Value};
use driftline_core::engine::effect::ViewUpdate;
use driftline_core::engine::input::Resume;
use std::collections::{BTreeMap, VecDeque};

/// A mirror of one document.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Its number.
    pub view: ViewId,
    /// Who it is, through all its views.
    pub id: MirrorId,
    /// What it shows.
    pub document: DocumentId,
    /// What it shows, as a value.
    pub value: Value,
    /// The number of the last answer it took.
    pub seen: u64,
    /// The number of its last edit.
    pub made: u64,
    /// Its edits after the state it remembers, oldest first.
    pub unanswered: VecDeque<(u64, Edit)>,
    /// Whether an engine has answered it yet.
    pub open: bool,
    /// Whether it shows what was stored, while the document is loaded.
    pub is_preview: bool,
    /// The state it could go on from with another engine: what it showed, with its edits up to a number.
    remembered: Option<(Resume, Value)>,
    unit: TextUnit,
}

impl Mirror {
    /// A mirror that shows nothing yet.
    pub fn new(view: ViewId, id: MirrorId, document: DocumentId, unit: TextUnit) -> Self {
        Self {
            view,
            id,
            document,
            value: Value::Map(BTreeMap::new()),
            seen: 0,
            made: 0,
            unanswered: VecDeque::new(),
            open: false,
            is_preview: false,
            remembered: None,
            unit,
        }
    }

    /// Makes an edit: shows it at once, and answers the number it has.
    pub fn edit(&mut self, edit: &Edit) -> u64 {
        do_edit(&mut self.value, edit, self.unit);
        self.made += 1;
        self.unanswered.push_back((self.made, edit.clone()));
        self.made
    }

    /// Hears an answer; says whether it was taken.
    ///
    /// # Panics
    ///
    /// When the patches do not fit what it shows (S6).
    pub fn hear(&mut self, update: &ViewUpdate) -> bool {
        assert_eq!(update.document, self.document, "S6: an answer for another document");
        self.open = true;
        self.is_preview = update.number == 0;
        if let Some(value) = &update.reset {
            // Edits that were under way are given up: the engine has refused them, or never heard of them.
            self.value = value.clone();
            self.take(update, self.made);
            return true;
        }
        if update.covers >= self.made {
            self.take(update, update.covers);
            return true;
        }
        let Some((state, value)) = &mut self.remembered else { panic!("S6: the first answer of all is no reset: {update:?}") };
        if state.covers != update.covers {
            for (_, edit) in self.unanswered.iter().filter(|(number, _)| *number <= update.covers) {
                do_edit(value, edit, self.unit);
            }
            *state = Resume { covers: update.covers, heads: update.base.clone() };
            self.unanswered.retain(|(number, _)| *number > update.covers);
        }
        false
    }

    fn take(&mut self, update: &ViewUpdate, covers: u64) {
        for patch in &update.patches {
            if let Err(why) = apply_patch(&mut self.value, patch, self.unit) {
                panic!("S6: a patch does not fit view {}: {why}: {patch:?} of {update:?} on {:?}", self.view.0, self.value);
            }
        }
        self.seen = update.number;
        self.unanswered.clear();
        self.remembered = Some((Resume { covers, heads: update.heads.clone() }, self.value.clone()));
    }

    /// Lives on with another engine: answers where it can go on from, and the edits it must then send again.
    pub fn resume(&mut self) -> (Vec<Resume>, Vec<(u64, Edit)>) {
        self.open = false;
        self.seen = 0;
        let states = self.remembered.iter().map(|(state, _)| state.clone()).collect();
        (states, self.unanswered.iter().cloned().collect())
    }

    /// Whether nothing it did is still to be answered.
    pub fn is_quiet(&self) -> bool {
        self.open && self.unanswered.is_empty()
    }
}

fn do_edit(value: &mut Value, edit: &Edit, unit: TextUnit) {
    for op in &edit.ops {
        apply_op(value, op, unit).unwrap_or_else(|why| panic!("the workload made a bad edit: {why} {op:?}"));
    }
}

/// Does to a value what a patch says.
pub fn apply_patch(root: &mut Value, patch: &Patch, unit: TextUnit) -> Result<(), String> {
    match patch {
        Patch::Put { path, value } => put(root, path, value.clone()),
        Patch::Insert { path, values } => insert(root, path, values),
        Patch::Delete { path, length } => delete(root, path, *length, unit),
        Patch::Splice { path, insert } => {
            let (text, last) = parent(root, path)?;
            let (Value::Text(text), Prop::Index(index)) = (text, last) else { return Err("not a place in a text".into()) };
            splice(text, *index, 0, insert, unit)
        }
        Patch::Increment { path, by } => increment(root, path, *by),
        Patch::Mark { path, .. } => match at(root, path)? {
            Value::Text(_) => Ok(()),
            _ => Err("a mark on what is no text".into()),
        },
    }
}

/// Does to a value what an operation of an edit says.
pub fn apply_op(root: &mut Value, op: &Op, unit: TextUnit) -> Result<(), String> {
    match op {
        Op::Put { path, value } => put(root, path, value.clone()),
        Op::Insert { path, values } => insert(root, path, values),
        Op::Delete { path, length } => delete(root, path, *length, unit),
        Op::Splice { path, index, delete, insert } => match at(root, path)? {
            Value::Text(text) => splice(text, *index, *delete, insert, unit),
            _ => Err("a splice of what is no text".into()),
        },
        Op::UpdateText { path, text } => match at(root, path)? {
            Value::Text(old) => {
                old.clone_from(text);
                Ok(())
            }
            _ => Err("an update of what is no text".into()),
        },
        Op::Increment { path, by } => increment(root, path, *by),
        Op::Mark { .. } => Ok(()),
    }
}

/// How long a text is in `unit`.
pub fn text_length(text: &str, unit: TextUnit) -> usize {
    match unit {
        TextUnit::CodePoint => text.chars().count(),
        TextUnit::Utf16 => text.encode_utf16().count(),
    }
}

fn at<'a>(value: &'a mut Value, path: &[Prop]) -> Result<&'a mut Value, String> {
    let mut here = value;
    for step in path {
        here = match (here, step) {
            (Value::Map(map), Prop::Key(key)) => map.get_mut(key).ok_or_else(|| format!("no key {key}"))?,
            (Value::List(list), Prop::Index(index)) => list.get_mut(*index).ok_or_else(|| format!("no element {index}"))?,
            (other, step) => return Err(format!("no step {step:?} into {other:?}")),
        };
    }
    Ok(here)
}

fn parent<'a, 'p>(root: &'a mut Value, path: &'p [Prop]) -> Result<(&'a mut Value, &'p Prop), String> {
    let (last, steps) = path.split_last().ok_or("the root has no parent")?;
    Ok((at(root, steps)?, last))
}

fn put(root: &mut Value, path: &[Prop], value: Value) -> Result<(), String> {
    match parent(root, path)? {
        (Value::Map(map), Prop::Key(key)) => {
            map.insert(key.clone(), value);
            Ok(())
        }
        (Value::List(list), Prop::Index(index)) => {
            *list.get_mut(*index).ok_or("a put after the end of a list")? = value;
            Ok(())
        }
        (other, last) => Err(format!("no put at {last:?} of {other:?}")),
    }
}

fn insert(root: &mut Value, path: &[Prop], values: &[Value]) -> Result<(), String> {
    match parent(root, path)? {
        (Value::List(list), Prop::Index(index)) if *index <= list.len() => {
            list.splice(index..index, values.iter().cloned());
            Ok(())
        }
        (other, last) => Err(format!("no insert at {last:?} of {other:?}")),
    }
}

fn delete(root: &mut Value, path: &[Prop], length: usize, unit: TextUnit) -> Result<(), String> {
    match parent(root, path)? {
        (Value::Map(map), Prop::Key(key)) => map.remove(key).map(|_| ()).ok_or_else(|| format!("no key {key} to delete")),
        (Value::List(list), Prop::Index(index)) if index + length <= list.len() => {
            list.drain(index..&(index + length));
            Ok(())
        }
        (Value::Text(text), Prop::Index(index)) => splice(text, *index, length, "", unit),
        (other, last) => Err(format!("no delete of {length} at {last:?} of {other:?}")),
    }
}

fn increment(root: &mut Value, path: &[Prop], by: i64) -> Result<(), String> {
    match at(root, path)? {
        Value::Counter(value) => {
            *value += by;
            Ok(())
        }
        other => Err(format!("an increment of {other:?}")),
    }
}

fn splice(text: &mut String, index: usize, delete: usize, insert: &str, unit: TextUnit) -> Result<(), String> {
    let start = byte_of(text, index, unit).ok_or_else(|| format!("no position {index} in {text:?}"))?;
    let end = byte_of(text, index + delete, unit).ok_or_else(|| format!("no position {} in {text:?}", index + delete))?;
    text.replace_range(start..end, insert);
    Ok(())
}

/// The byte at which position `index` lies; nothing when it is after the end or inside a letter.
fn byte_of(text: &str, index: usize, unit: TextUnit) -> Option<usize> {
    let mut position = 0;
    for (byte, letter) in text.char_indices() {
        if position == index {
            return Some(byte);
        }
        position += match unit {
            TextUnit::CodePoint => 1,
            TextUnit::Utf16 => letter.len_utf16(),
        };
    }
    (position == index).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_outside_the_basic_plane_is_one_code_point_and_two_units() {
        let mut text = "a😀b".to_owned();
        splice(&mut text, 2, 0, "x", TextUnit::CodePoint).unwrap();
        assert_eq!(text, "a😀xb");
        splice(&mut text, 1, 2, "", TextUnit::Utf16).unwrap();
        assert_eq!(text, "axb");
        assert!(splice(&mut "😀".to_owned(), 1, 0, "x", TextUnit::Utf16).is_err(), "inside a letter");
    }

    #[test]
    fn an_answer_older_than_the_last_edit_is_dropped_and_a_reset_is_not() {
        let mut mirror = Mirror::new(ViewId(1), MirrorId(1), DocumentId([1; 16]), TextUnit::CodePoint);
        let put = |value| Op::Put { path: vec![Prop::Key("k".into())], value: Value::Int(value) };
        let mut update = ViewUpdate {
            view: ViewId(1),
            document: DocumentId([1; 16]),
            number: 1,
            covers: 0,
            reset: None,
            patches: vec![],
            heads: vec![],
            base: vec![],
        };
        update.reset = Some(Value::Map(BTreeMap::new()));
        assert!(mirror.hear(&update));
        mirror.edit(&Edit { ops: vec![put(1)], message: None });
        update.reset = None;
        assert!(!mirror.hear(&update));
        assert_ne!(mirror.value, Value::Map(BTreeMap::new()));
        update.reset = Some(Value::Map(BTreeMap::new()));
        assert!(mirror.hear(&update));
        assert_eq!(mirror.value, Value::Map(BTreeMap::new()));
    }
}
