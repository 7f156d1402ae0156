//! The census of a document: which operations there are for others to refer to.
//!
//! Automerge takes for granted that a change refers to nothing that is not there, and panics where it does. No honest
//! change does: it was made where all it refers to was held, and depends on that. So a change is checked against the census
//! before Automerge sees it, and one that refers to what is not there is refused.
//!
//! Only what others may name is kept: the objects, and the elements of lists and texts as runs of numbers, of which someone
//! who types makes one until they stop. That is a small part of what Automerge keeps itself.

use super::raw::{Action, Key, OpId, Operation, RawChange};
use super::raw_document::{Made, RawDocument};
use crate::base::id::ActorId;
use crate::base::limits::DOCUMENT_DEPTH_MAX;
use crate::log::clock::VectorClock;
use std::collections::BTreeMap;

/// Which operations a document has for others to refer to.
#[derive(Clone)]
pub(super) struct Census {
    lines: Vec<Line>,
    actors: BTreeMap<Box<[u8]>, usize>,
    objects: Vec<Object>,
    made: BTreeMap<Id, u32>,
    max_op: u64,
}

/// An operation by its actor's place in the census and its number.
type Id = (usize, u64);

/// What one actor wrote.
#[derive(Clone, Default)]
struct Line {
    seq: u64,
    max_op: u64,
    elements: Vec<Run>,
}

/// Elements of one object, numbered one after the other.
#[derive(Clone, Copy)]
struct Run {
    first: u64,
    last: u64,
    object: u32,
}

/// A map, list or text.
#[derive(Clone, Copy)]
struct Object {
    is_sequence: bool,
    is_text: bool,
    /// Whether any of it is or was formatted; where a change is taken back that would have, this may stay.
    has_marks: bool,
    depth: usize,
}

/// What has to be undone when a change turns out not to fit.
struct Undo {
    line: usize,
    start_op: u64,
    runs: usize,
    last_run: Option<Run>,
    objects: usize,
}

impl Census {
    /// The census of an empty document.
    pub(super) fn new() -> Self {
        let root = Object { is_sequence: false, is_text: false, has_marks: false, depth: 0 };
        Self { lines: Vec::new(), actors: BTreeMap::new(), objects: vec![root], made: BTreeMap::new(), max_op: 0 }
    }

    /// The census of a whole document, or why its operations do not fit together.
    pub(super) fn of_document(document: &RawDocument<'_>) -> Result<Self, &'static str> {
        let mut census = Self::new();
        for (place, (actor, (seq, max_op))) in document.actors.iter().zip(&document.lines).enumerate() {
            census.lines.push(Line { seq: *seq, max_op: *max_op, elements: Vec::new() });
            census.actors.insert((*actor).into(), place);
            census.max_op = census.max_op.max(*max_op);
        }
        // Elements come in the order of their places in texts and lists; runs are of their numbers.
        let mut elements: Vec<(Id, u32)> = Vec::new();
        let mut named: Vec<(Id, u32)> = Vec::new();
        let mut operations = document.operations();
        while let Some(operation) = operations.next().map_err(|_| "its operations cannot be read")? {
            let object = match operation.object {
                None => 0,
                Some(id) => *census.made.get(&id).ok_or(NOWHERE)?,
            };
            let Object { is_sequence, depth, .. } = census.objects[object as usize];
            if is_sequence != (operation.at_head || operation.element.is_some()) || operation.insert && !is_sequence {
                return Err("it names an element of a map or a key of a list");
            }
            census.objects[object as usize].has_marks |= operation.marks;
            named.extend(operation.element.map(|element| (element, object)));
            if operation.insert {
                elements.push((operation.id, object));
            }
            if let Some(made) = operation.makes {
                let is_text = made == Made::Text;
                let is_sequence = is_text || made == Made::List;
                census.add_object(operation.id, Object { is_sequence, is_text, has_marks: false, depth: depth + 1 })?;
            }
        }
        elements.sort_unstable();
        for ((line, number), object) in elements {
            census.add_element((line, number), object);
        }
        let found = named.into_iter().all(|(element, object)| census.has_element(element, object));
        if found { Ok(census) } else { Err("it names an element that is not there") }
    }

    /// How far each actor has come.
    pub(super) fn clock(&self) -> VectorClock {
        let lines = self.actors.iter().filter_map(|(actor, place)| Some((ActorId::new(actor)?, self.lines[*place].seq)));
        lines.filter(|(_, seq)| *seq > 0).collect()
    }

    /// The highest number that an operation has; 0 where there is none.
    pub(super) fn max_op(&self) -> u64 {
        self.max_op
    }

    /// Whether the object that operation `number` of `actor` made is a text that never was formatted.
    pub(super) fn is_plain_text(&self, actor: &[u8], number: u64) -> bool {
        let object = self.actors.get(actor).and_then(|line| self.made.get(&(*line, number)));
        object.map(|object| self.objects[*object as usize]).is_some_and(|object| object.is_text && !object.has_marks)
    }

    fn add_object(&mut self, id: Id, object: Object) -> Result<(), &'static str> {
        if object.depth > DOCUMENT_DEPTH_MAX {
            return Err("it nests values too deep");
        }
        let place = u32::try_from(self.objects.len()).map_err(|_| "the document has too many objects")?;
        self.objects.push(object);
        self.made.insert(id, place);
        Ok(())
    }

    fn add_element(&mut self, (line, number): Id, object: u32) {
        let elements = &mut self.lines[line].elements;
        match elements.last_mut() {
            Some(run) if run.object == object && run.last + 1 == number => run.last = number,
            _ => elements.push(Run { first: number, last: number, object }),
        }
    }

    /// Counts in the operations of `change`, or says why it does not fit. All it depends on must be counted in; `end` is the highest
    /// number of an operation of those changes.
    pub(super) fn admit(&mut self, change: &RawChange<'_>, end: u64) -> Result<(), &'static str> {
        let known = self.actors.get(change.actor).copied();
        let (seq, max_op) = known.map_or((0, 0), |line| (self.lines[line].seq, self.lines[line].max_op));
        if change.seq <= seq {
            return Err("its actor has written another change with its number: two replicas write as one");
        }
        if change.seq != seq + 1 {
            return Err("a change of its actor's before it is missing");
        }
        // A saved document says of a change only where its operations end. They are looked for above those it depends on, and
        // there have to be some if there is room for any; or whoever is sent the document cannot read it.
        if change.start_op <= max_op.max(end) {
            return Err("it numbers its operations as earlier ones are");
        }
        if change.ops == 0 && change.start_op != end + 1 {
            return Err("it has numbers for operations that it does not have");
        }
        let others: Option<Vec<usize>> = change.others.iter().map(|other| self.actors.get(*other).copied()).collect();
        let others = others.ok_or("it refers to an actor who wrote nothing")?;
        let line = known.unwrap_or(self.lines.len());
        if known.is_none() {
            self.lines.push(Line::default());
            self.actors.insert(change.actor.into(), line);
        }
        let elements = &self.lines[line].elements;
        let start_op = change.start_op;
        let undo = Undo { line, start_op, runs: elements.len(), last_run: elements.last().copied(), objects: self.objects.len() };
        let admitted = self.admit_operations(change, line, &others);
        if admitted.is_err() {
            self.undo(&undo);
            if known.is_none() {
                self.actors.remove(change.actor);
                self.lines.pop();
            }
        } else {
            self.lines[line].seq = change.seq;
            self.lines[line].max_op = (change.start_op + change.ops).saturating_sub(1).max(max_op);
            self.max_op = self.max_op.max(self.lines[line].max_op);
        }
        admitted
    }

    fn admit_operations(&mut self, change: &RawChange<'_>, line: usize, others: &[usize]) -> Result<(), &'static str> {
        let resolve = |id: OpId| (if id.actor == 0 { line } else { others[id.actor - 1] }, id.counter);
        let mut operations = change.operations();
        let mut number = change.start_op;
        let mut mark = None;
        while let Ok(Some(operation)) = operations.next() {
            let object = match operation.object {
                None => 0,
                Some(id) if id.counter < number => *self.made.get(&resolve(id)).ok_or(NOWHERE)?,
                Some(_) => return Err(NOWHERE),
            };
            let Object { is_sequence, is_text, depth, .. } = self.objects[object as usize];
            match operation.key {
                Key::Name if is_sequence => return Err("it names a key of a list"),
                Key::Name => {}
                Key::Head | Key::Element(_) if !is_sequence => return Err("it names an element of a map"),
                Key::Head => {}
                Key::Element(id) if id.counter < number && self.has_element(resolve(id), object) => {}
                Key::Element(_) => return Err("it names an element that is not there"),
            }
            // The two ends of a mark are made one after the other, by every program that makes marks.
            match (operation.action, mark.take()) {
                (Action::MarkBegin, None) if is_text => mark = Some(object),
                (Action::MarkEnd, Some(begun)) if begun == object => {}
                (Action::MarkBegin | Action::MarkEnd, _) | (_, Some(_)) => return Err("it marks without beginning or end"),
                (_, None) => {}
            }
            self.count_in(operation, (line, number), object, depth)?;
            number += 1;
        }
        if mark.is_some() { Err("it begins a mark that it does not end") } else { Ok(()) }
    }

    fn count_in(&mut self, operation: Operation, id: Id, object: u32, depth: usize) -> Result<(), &'static str> {
        let (is_sequence, is_text) = match operation.action {
            Action::MakeList => (true, false),
            Action::MakeText => (true, true),
            _ => (false, false),
        };
        if matches!(operation.action, Action::MakeMap | Action::MakeList | Action::MakeText) {
            self.add_object(id, Object { is_sequence, is_text, has_marks: false, depth: depth + 1 })?;
        }
        if operation.insert {
            self.add_element(id, object);
        }
        self.objects[object as usize].has_marks |= operation.action == Action::MarkBegin;
        Ok(())
    }

    fn has_element(&self, (line, number): Id, object: u32) -> bool {
        let elements = &self.lines[line].elements;
        let after = elements.partition_point(|run| run.first <= number);
        after.checked_sub(1).is_some_and(|at| number <= elements[at].last && elements[at].object == object)
    }

    fn undo(&mut self, undo: &Undo) {
        self.objects.truncate(undo.objects);
        // Whatever this actor made from this number on, this change made.
        let made: Vec<Id> = self.made.range((undo.line, undo.start_op)..(undo.line + 1, 0)).map(|(id, _)| *id).collect();
        for id in made {
            self.made.remove(&id);
        }
        let elements = &mut self.lines[undo.line].elements;
        elements.truncate(undo.runs);
        if let (Some(last), Some(before)) = (elements.last_mut(), undo.last_run) {
            *last = before;
        }
    }
}

const NOWHERE: &str = "it changes an object that is not there";
