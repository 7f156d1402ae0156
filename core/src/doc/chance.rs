//! Chance for tests: documents, edits and replicas drawn from numbers that proptest can shrink.

use super::document::Document;
use super::edit::{Edit, Expand, Op};
use super::path::{Path, Prop};
use super::value::{TextUnit, Value};
use crate::base::id::{ActorId, DocumentId};
use crate::log::entry::Entry;
use proptest::prelude::*;
use std::sync::Arc;

/// The document of all tests.
pub(super) const DOCUMENT: DocumentId = DocumentId([7; 16]);

/// Numbers to decide by; zeros when they run out.
#[derive(Clone, Debug)]
pub(super) struct Dice(std::vec::IntoIter<u16>);

/// Dice with up to `length` numbers.
pub(super) fn dice(length: usize) -> impl Strategy<Value = Dice> {
    proptest::collection::vec(any::<u16>(), 0..length).prop_map(|numbers| Dice(numbers.into_iter()))
}

/// Either unit.
pub(super) fn units() -> impl Strategy<Value = TextUnit> {
    prop_oneof![Just(TextUnit::CodePoint), Just(TextUnit::Utf16)]
}

impl Dice {
    /// A number below `sides`; 0 where there is no choice.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        if sides < 2 { 0 } else { usize::from(self.0.next().unwrap_or(0)) % sides }
    }

    /// Whether numbers are left.
    pub(super) fn is_over(&self) -> bool {
        self.0.len() == 0
    }

    /// One of `choices`.
    pub(super) fn pick<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.roll(choices.len())]
    }

    /// A few letters, of one and of two UTF-16 units, and of several code points.
    pub(super) fn letters(&mut self) -> String {
        (0..=self.roll(4)).map(|_| *self.pick(&["a", "b", "\n", "é", "😀", "👩‍👧", "e\u{301}"])).collect()
    }

    /// A value, not nested deeper than `depth`.
    pub(super) fn value(&mut self, depth: usize) -> Value {
        match self.roll(if depth == 0 { 10 } else { 14 }) {
            0 => Value::Null,
            1 => Value::Bool(self.roll(2) == 1),
            2 => Value::Int(self.roll(100) as i64 - 50),
            3 => Value::Uint(u64::MAX - self.roll(5) as u64),
            4 => Value::Float(self.roll(100) as f64 / 8.0),
            5 => Value::String(self.letters()),
            6 => Value::Bytes(vec![7; self.roll(4)]),
            7 => Value::Timestamp(self.roll(1000) as i64),
            8 => Value::Counter(self.roll(100) as i64),
            9 | 10 => Value::Text(self.letters()),
            11 => Value::List((0..self.roll(4)).map(|_| self.value(depth - 1)).collect()),
            _ => Value::Map((0..self.roll(4)).map(|_| (self.key(), self.value(depth - 1))).collect()),
        }
    }

    fn key(&mut self) -> String {
        (*self.pick(&["a", "b", "c", "note"])).to_owned()
    }

    /// An operation that fits a document that reads `root`.
    pub(super) fn op(&mut self, root: &Value, unit: TextUnit) -> Op {
        let mut path = Path::new();
        let mut at = root;
        loop {
            at = match at {
                Value::Map(map) => {
                    let key = self.key();
                    let inner = map.get(&key);
                    path.push(Prop::Key(key));
                    match (inner, self.roll(8)) {
                        (Some(_), 0) => return Op::Delete { path, length: 1 },
                        (Some(inner), 1..=6) => inner,
                        _ => return Op::Put { path, value: self.value(3) },
                    }
                }
                Value::List(list) => {
                    let index = self.roll(list.len() + 1);
                    path.push(Prop::Index(index));
                    match (list.get(index), self.roll(8)) {
                        (Some(_), 0) => return Op::Delete { path, length: 1 + self.roll((list.len() - index).min(3)) },
                        (Some(_), 1) => return Op::Put { path, value: self.value(2) },
                        (Some(inner), 2..=5) => inner,
                        _ => return Op::Insert { path, values: (0..=self.roll(3)).map(|_| self.value(2)).collect() },
                    }
                }
                Value::Text(text) => return self.text_op(path, text, unit),
                Value::Counter(_) => return Op::Increment { path, by: self.roll(20) as i64 - 10 },
                _ => return Op::Put { path, value: self.value(3) },
            }
        }
    }

    fn text_op(&mut self, path: Path, text: &str, unit: TextUnit) -> Op {
        let letters: Vec<char> = text.chars().collect();
        let start = self.roll(letters.len() + 1);
        let end = start + self.roll((letters.len() - start).min(4) + 1);
        let position = |letter: usize| unit.length(&letters[..letter].iter().collect::<String>());
        match self.roll(10) {
            0 => Op::UpdateText { path, text: self.letters() },
            1 if start < end => Op::Mark {
                path,
                start: position(start),
                end: position(end),
                name: (*self.pick(&["bold", "link"])).to_owned(),
                value: if self.roll(3) == 0 { Value::Null } else { Value::Bool(true) },
                expand: *self.pick(&[Expand::None, Expand::Before, Expand::After, Expand::Both]),
            },
            roll => Op::Splice {
                path,
                index: position(start),
                delete: position(end) - position(start),
                insert: if roll < 4 { String::new() } else { self.letters() },
            },
        }
    }

    /// An edit that fits a document that reads `root`, which is changed as the edit changes it.
    pub(super) fn edit(&mut self, root: &Value, unit: TextUnit) -> Edit {
        Edit { ops: vec![self.op(root, unit)], message: None }
    }
}

/// An actor of tests.
pub(super) fn actor(number: usize) -> ActorId {
    ActorId::new(&[u8::try_from(number).unwrap(); 16]).unwrap()
}

/// A document and all that is in it, in causal order.
pub(super) struct Replica {
    pub(super) document: Document,
    pub(super) entries: Vec<Arc<Entry>>,
}

impl Replica {
    pub(super) fn new(number: usize, unit: TextUnit) -> Self {
        Self { document: Document::new(DOCUMENT, actor(number), unit), entries: Vec::new() }
    }

    pub(super) fn value(&self) -> Value {
        self.document.value(()).unwrap()
    }

    /// Keeps what the document's own edit made.
    pub(super) fn keep(&mut self, entry: Option<Entry>) {
        self.entries.extend(entry.map(Arc::new));
    }

    /// Makes an edit on the document as it stands.
    pub(super) fn edit(&mut self, edit: &Edit) {
        let entry = self.document.edit(None, edit, 1_000).unwrap();
        self.keep(entry);
    }

    /// Takes in up to `count` entries of `other`'s that are not held, in causal order.
    pub(super) fn take_from(&mut self, other: &Self, count: usize) {
        let missing = other.entries.iter().filter(|entry| !self.document.holds(&[entry.hash]));
        let new: Vec<_> = missing.take(count).cloned().collect();
        self.document.apply(new.iter().cloned()).unwrap();
        self.entries.extend(new);
    }
}
