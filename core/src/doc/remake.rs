//! Making changes again on a document that lacks what they were made on.
//!
//! Where someone is shut out, what they wrote after a certain change goes, and with it what others built on that before they heard: a replica without the one
//! cannot hold the other. What those others meant need not go. Each of their changes is taken as what it did to the document before it, and done once more where
//! its surroundings still are: a letter stands behind the nearest letter before it that is left, a key is set again, a counter is added to again. What was
//! written into something that is gone, a list or a text of whoever was shut out, is written into a new one in its place. What it deleted of what is gone is gone already.

use super::crdt;
use super::document::Document;
use super::value::TextUnit;
use crate::base::id::{ActorId, ChangeHash, DocumentId};
use crate::log::entry::Entry;
use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::{CommitOptions, Transactable as _, Transaction};
use automerge::{AutomergeError, Cursor, ObjId, ObjType, Patch, PatchAction, Prop, ReadDoc, ScalarValue, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes `again`, each of which comes after all it depends on, once more as `actor` on a document of the entries `kept`; all it was made on is in `whole`. Answers the new
/// entries, in order, and the document with them: what has no effect any more makes none. They keep the messages and the times of the old.
///
/// It takes the time of putting the document together twice, and of the changes that are made.
pub fn remake(
    (document, actor): (DocumentId, ActorId),
    kept: &[Arc<Entry>],
    whole: &[Arc<Entry>],
    again: &[Arc<Entry>],
) -> (Vec<Entry>, Document) {
    // In letters, so that every position is an element's.
    let put_together = |entries: &[Arc<Entry>]| {
        let mut document = Document::new(document, actor, TextUnit::CodePoint);
        // What cannot be applied was never shown.
        let _refused = document.apply(entries.iter().cloned());
        document
    };
    let (old, mut new) = (put_together(whole), put_together(kept));
    let mut made = Made::default();
    let again = again.iter().filter(|entry| old.holds(&[entry.hash]));
    let entries = again.filter_map(|entry| made.make(&old, &mut new, &entry.deps, entry.hash)).collect();
    (entries, new)
}

/// What in the new document stands for what of the old that was made again.
#[derive(Default)]
struct Made {
    objects: BTreeMap<String, ObjId>,
    elements: BTreeMap<String, Cursor>,
}

/// An element of a sequence, while a change is made again.
#[derive(Clone)]
enum Slot {
    /// It was there before the change, at this index.
    Before(usize),
    /// It was made by the change; nothing where it is not made again.
    Made(Option<Cursor>),
}

/// A sequence as the change sees it: what came before, patched.
struct Sequence {
    old: ObjId,
    slots: Vec<Slot>,
}

impl Made {
    fn make(&mut self, old: &Document, new: &mut Document, before: &[ChangeHash], after: ChangeHash) -> Option<Entry> {
        let (before, after) = (crdt::to_hashes(before), crdt::to_hashes(&[after]));
        let change = old.crdt.get_change_by_hash(after.first()?)?;
        let mut options = CommitOptions::default().with_time(change.timestamp());
        if let Some(message) = change.message() {
            options.set_message(message);
        }
        let state = (new.crdt.clone(), new.census.clone());
        let mut step = Step { made: self, old: &old.crdt, before, sequences: BTreeMap::new(), tx: new.crdt.transaction() };
        for patch in old.crdt.diff(&step.before, &after) {
            // One that does not fit leaves the others.
            let _outcome = step.take(&patch);
        }
        let hash = step.finish(&after, options)?;
        let change = new.crdt.get_change_by_hash(&hash)?;
        match new.count_in(change) {
            Ok(entry) => Some(entry),
            Err(_) => {
                (new.crdt, new.census) = state;
                None
            }
        }
    }
}

/// One change that is being made again.
struct Step<'a> {
    made: &'a mut Made,
    old: &'a automerge::Automerge,
    before: Vec<automerge::ChangeHash>,
    sequences: BTreeMap<String, Sequence>,
    tx: Transaction<'a>,
}

impl Step<'_> {
    fn take(&mut self, patch: &Patch) -> Result<(), AutomergeError> {
        let object = self.object(&patch.obj, &patch.path)?;
        match &patch.action {
            PatchAction::PutMap { key, value: (value, id), .. } => self.put(&object, key.as_str().into(), value, id),
            PatchAction::DeleteMap { key } if self.tx.get(&object, key.as_str())?.is_some() => {
                self.tx.delete(&object, key.as_str())
            }
            PatchAction::Increment { prop: Prop::Map(key), value } => match self.tx.get(&object, key.as_str())? {
                Some((Value::Scalar(scalar), _)) if matches!(scalar.as_ref(), ScalarValue::Counter(_)) => {
                    self.tx.increment(&object, key.as_str(), *value)
                }
                Some(_) => Ok(()),
                None => self.tx.put(&object, key.as_str(), ScalarValue::counter(*value)),
            },
            PatchAction::Increment { prop: Prop::Seq(index), value } => match self.alive(&patch.obj, &object, *index) {
                Some(at) => self.tx.increment(&object, at, *value),
                None => Ok(()),
            },
            PatchAction::PutSeq { index, value: (value, id), .. } => match self.alive(&patch.obj, &object, *index) {
                Some(at) => self.put(&object, at.into(), value, id),
                None => self.insert(patch, &object, *index, value, id),
            },
            PatchAction::Insert { index, values } => {
                let values: Vec<(Value<'static>, ObjId)> =
                    values.iter().map(|(value, id, _)| (value.clone(), id.clone())).collect();
                for (nth, (value, id)) in values.iter().enumerate() {
                    self.insert(patch, &object, index + nth, value, id)?;
                }
                Ok(())
            }
            PatchAction::SpliceText { index, value, marks } => {
                let letters = value.make_string();
                let at = self.place(&patch.obj, &object, *index);
                self.tx.splice_text(&object, at, 0, &letters)?;
                self.note(&patch.obj, &object, *index, at, letters.chars().count());
                for (name, value) in marks.iter().flat_map(|marks| marks.iter()) {
                    let (end, value) = (at + letters.chars().count(), value.clone());
                    self.mark(&object, at, end, name, &value)?;
                }
                Ok(())
            }
            PatchAction::DeleteSeq { index, length } => {
                for _ in 0..*length {
                    if let Some(at) = self.alive(&patch.obj, &object, *index) {
                        self.tx.delete(&object, at)?;
                    }
                    let slots = &mut self.sequence(&patch.obj).slots;
                    if *index < slots.len() {
                        slots.remove(*index);
                    }
                }
                Ok(())
            }
            PatchAction::Mark { marks } => {
                for mark in marks {
                    let (start, end) = (self.place(&patch.obj, &object, mark.start), self.place(&patch.obj, &object, mark.end));
                    self.mark(&object, start, end, mark.name(), &mark.value)?;
                }
                Ok(())
            }
            PatchAction::DeleteMap { .. } | PatchAction::Conflict { .. } => Ok(()),
        }
    }

    /// The object of the new document that stands for one of the old; one that is not there is made, empty.
    fn object(&mut self, id: &ObjId, path: &[(ObjId, Prop)]) -> Result<ObjId, AutomergeError> {
        if let Some(made) = self.made.objects.get(&id.to_string()) {
            return Ok(made.clone());
        }
        if self.tx.object_type(id).is_ok() {
            return Ok(id.clone());
        }
        let (Some(((above, prop), path)), kind) = (path.split_last(), self.old.object_type(id)?) else {
            return Err(AutomergeError::Fail);
        };
        let parent = self.object(above, path)?;
        let made = match prop {
            Prop::Map(key) => self.tx.put_object(&parent, key.as_str(), kind)?,
            Prop::Seq(index) => {
                let at = self.place(above, &parent, *index);
                self.tx.insert_object(&parent, at, kind)?
            }
        };
        self.made.objects.insert(id.to_string(), made.clone());
        Ok(made)
    }

    fn put(&mut self, object: &ObjId, prop: Prop, value: &Value<'_>, id: &ObjId) -> Result<(), AutomergeError> {
        match value {
            Value::Object(kind) => {
                let made = self.tx.put_object(object, prop, *kind)?;
                self.made.objects.insert(id.to_string(), made);
                Ok(())
            }
            Value::Scalar(scalar) => self.tx.put(object, prop, scalar.as_ref().clone()),
        }
    }

    fn insert(
        &mut self,
        patch: &Patch,
        object: &ObjId,
        index: usize,
        value: &Value<'_>,
        id: &ObjId,
    ) -> Result<(), AutomergeError> {
        let at = self.place(&patch.obj, object, index);
        match value {
            Value::Object(kind) => {
                let made = self.tx.insert_object(object, at, *kind)?;
                self.made.objects.insert(id.to_string(), made);
            }
            Value::Scalar(scalar) => self.tx.insert(object, at, scalar.as_ref().clone())?,
        }
        self.note(&patch.obj, object, index, at, 1);
        Ok(())
    }

    fn mark(&mut self, object: &ObjId, start: usize, end: usize, name: &str, value: &ScalarValue) -> Result<(), AutomergeError> {
        if start >= end || !matches!(self.tx.object_type(object)?, ObjType::Text) {
            return Ok(());
        }
        self.tx.mark(object, Mark::new(name.to_owned(), value.clone(), start, end), ExpandMark::After)
    }

    /// A sequence as the change sees it at this point.
    fn sequence(&mut self, old: &ObjId) -> &mut Sequence {
        self.sequences.entry(old.to_string()).or_insert_with(|| {
            let length = self.old.length_at(old, &self.before);
            Sequence { old: old.clone(), slots: (0..length).map(Slot::Before).collect() }
        })
    }

    /// Notes that elements were made in the new sequence from `at` on, which the change made at `index`.
    fn note(&mut self, old: &ObjId, object: &ObjId, index: usize, at: usize, count: usize) {
        let made: Vec<Slot> = (at..at + count).map(|at| Slot::Made(self.tx.get_cursor(object, at, None).ok())).collect();
        let slots = &mut self.sequence(old).slots;
        let index = index.min(slots.len());
        slots.splice(index..index, made);
    }

    /// Where an element is in the new sequence, or where it would come, and whether it is there.
    fn locate(&mut self, old: &ObjId, object: &ObjId, index: usize) -> Option<(usize, bool)> {
        let cursor = match self.sequence(old).slots.get(index)?.clone() {
            Slot::Made(cursor) => cursor?,
            Slot::Before(index) => {
                let cursor = self.old.get_cursor(old, index, Some(&self.before)).ok()?;
                self.made.elements.get(&cursor.to_string()).cloned().unwrap_or(cursor)
            }
        };
        let at = self.tx.get_cursor_position(object, &cursor, None).ok()?;
        let is_there = at < self.tx.length(object) && self.tx.get_cursor(object, at, None).ok()? == cursor;
        Some((at, is_there))
    }

    /// Where an element is in the new sequence; nothing if it is gone.
    fn alive(&mut self, old: &ObjId, object: &ObjId, index: usize) -> Option<usize> {
        self.locate(old, object, index).and_then(|(at, is_there)| is_there.then_some(at))
    }

    /// Where something comes in the new sequence that stands at `index`: behind the nearest before it that is left.
    fn place(&mut self, old: &ObjId, object: &ObjId, index: usize) -> usize {
        let found = (0..index).rev().find_map(|before| self.locate(old, object, before));
        found.map_or(0, |(at, is_there)| at + usize::from(is_there)).min(self.tx.length(object))
    }

    /// Ends the change, and notes for those after it what stands for what; nothing where it has done nothing.
    fn finish(self, after: &[automerge::ChangeHash], options: CommitOptions) -> Option<automerge::ChangeHash> {
        for Sequence { old, slots } in self.sequences.into_values() {
            for (index, slot) in slots.into_iter().enumerate() {
                if let Slot::Made(Some(cursor)) = slot
                    && let Ok(was) = self.old.get_cursor(&old, index, Some(after))
                {
                    self.made.elements.insert(was.to_string(), cursor);
                }
            }
        }
        self.tx.commit_with(options).0
    }
}

#[cfg(test)]
#[path = "remake_tests.rs"]
mod tests;
