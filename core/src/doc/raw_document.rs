//! A whole document as bytes, read without trust: which changes and operations it stands for, without making them again.
//!
//! Automerge reads the document itself, and proves its heads by making every hash again. What is read here is what we need to
//! know beside: how far each actor has come, and which operations there are for later changes to refer to. It is also what has
//! to be sound before Automerge may see the bytes (see [`super::raw`]).
//!
//! The format is Automerge's binary document format (<https://automerge.org/automerge-binary-format-spec/>), document chunks:
//! the actors, the heads, the changes as columns, the operations as columns in the order of their objects.

use super::change::ChangeDecodeError as Error;
use super::columns::{Booleans, Delta, Rle, rows};
use super::raw::{Chunk, DOCUMENT_CHUNK, hash, inflated};
use crate::base::codec::Reader;
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, ChangeHash};
use crate::base::limits::{ACTOR_BYTES_MAX, CLOCK_ACTORS_MAX, HEADS_MAX, IMPORT_BYTES_MAX, IMPORT_ROWS_MAX, OP_COUNTER_MAX};
use crate::log::version::Version;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Says in a column's name that it is packed.
const PACKED: u64 = 8;
/// Columns of changes.
const CHANGE_ACTOR: u64 = 0x01;
const CHANGE_SEQ: u64 = 0x03;
const CHANGE_MAX_OP: u64 = 0x13;
const CHANGE_DEP_COUNT: u64 = 0x40;
const CHANGE_DEP_INDEX: u64 = 0x43;
/// Columns of values, of changes and of operations: what type and how long each is, and the bytes of all.
const VALUE_META: u64 = 0x56;
const VALUE: u64 = 0x57;
/// Columns of operations.
const OBJECT_ACTOR: u64 = 0x01;
const OBJECT_COUNTER: u64 = 0x02;
const KEY_ACTOR: u64 = 0x11;
const KEY_COUNTER: u64 = 0x13;
const ID_ACTOR: u64 = 0x21;
const ID_COUNTER: u64 = 0x23;
const INSERT: u64 = 0x34;
const ACTION: u64 = 0x42;
/// Actions that make objects.
const MAKE_MAP: u64 = 0;
const MAKE_LIST: u64 = 2;
const MAKE_TEXT: u64 = 4;
/// The action of both ends of a mark.
const MARK: u64 = 7;

/// A document that was read, but for its values.
pub(super) struct RawDocument<'a> {
    /// Everyone who changed it, in order.
    pub(super) actors: Vec<&'a [u8]>,
    /// The changes nothing depends on.
    pub(super) heads: Vec<ChangeHash>,
    /// By actor: the number of their last change, and of their last operation.
    pub(super) lines: Vec<(u64, u64)>,
    operations: BTreeMap<u64, Cow<'a, [u8]>>,
}

/// An operation by its actor's place among the document's, and its number.
pub(super) type RawId = (usize, u64);

/// An operation as far as others may refer to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawOperation {
    /// Its own name.
    pub(super) id: RawId,
    /// The object it works in; nothing is the document's root.
    pub(super) object: Option<RawId>,
    /// The element it names, if it names one.
    pub(super) element: Option<RawId>,
    /// Whether it works at the beginning of a list or text.
    pub(super) at_head: bool,
    /// Whether it makes an element.
    pub(super) insert: bool,
    /// Whether it makes an object: a map, or a sequence that is or is not a text.
    pub(super) makes: Option<Made>,
    /// Whether it begins or ends a mark.
    pub(super) marks: bool,
}

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// A map.
    Map,
    /// A list.
    List,
    /// A text.
    Text,
}

impl<'a> RawDocument<'a> {
    /// Reads the one chunk that `bytes` are.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let chunk = Chunk::read(&mut reader)?;
        reader.end()?;
        Self::of_chunk(&chunk)
    }

    /// Reads a chunk that is a document.
    pub(super) fn of_chunk(chunk: &Chunk<'a>) -> Result<Self, Error> {
        if chunk.kind != DOCUMENT_CHUNK {
            return Err(Error::Malformed("it is not a whole document"));
        }
        if hash(DOCUMENT_CHUNK, chunk.body).0[..4] != chunk.checksum {
            return Err(Error::Checksum);
        }
        let mut reader = Reader::new(chunk.body);
        let mut actors: Vec<&[u8]> = Vec::new();
        for _ in 0..reader.count(CLOCK_ACTORS_MAX, 1)? {
            let actor = reader.bytes(ACTOR_BYTES_MAX)?;
            if actors.last().is_some_and(|last| actor <= *last) {
                return Err(Error::Malformed("its actors are out of order"));
            }
            actors.push(actor);
        }
        let mut heads = Vec::new();
        for _ in 0..reader.count(HEADS_MAX, 32)? {
            heads.push(ChangeHash(reader.array()?));
        }
        let (of_changes, of_operations) = (names(&mut reader)?, names(&mut reader)?);
        let mut unpacked_max = IMPORT_BYTES_MAX;
        let changes = columns(&mut reader, of_changes, &mut unpacked_max)?;
        let operations = columns(&mut reader, of_operations, &mut unpacked_max)?;
        let lines = lines(actors.len(), &changes)?;
        check_values(&changes)?;
        check_values(&operations)?;
        Ok(Self { actors, heads, lines, operations })
    }

    /// How far the document goes, by its own account.
    pub(super) fn version(&self) -> Result<Version, Error> {
        let mut version = Version { heads: self.heads.iter().copied().collect(), ..Version::default() };
        for (actor, (seq, _)) in self.actors.iter().zip(&self.lines) {
            let actor = ActorId::new(actor).ok_or(Error::ActorTooLong { bytes: actor.len() })?;
            version.clock.raise(actor, *seq);
        }
        Ok(version)
    }

    /// Its operations, in the order of the objects they work in.
    pub(super) fn operations(&self) -> RawOperations<'_> {
        let column = |name: u64| self.operations.get(&name).map_or(&[][..], |column| column);
        RawOperations {
            actors: self.actors.len(),
            object_actor: Rle::wide(column(OBJECT_ACTOR), Reader::uint),
            object_counter: Rle::wide(column(OBJECT_COUNTER), Reader::uint),
            key_actor: Rle::wide(column(KEY_ACTOR), Reader::uint),
            key_counter: Delta::wide(column(KEY_COUNTER)),
            id_actor: Rle::wide(column(ID_ACTOR), Reader::uint),
            id_counter: Delta::wide(column(ID_COUNTER)),
            insert: Booleans::new(column(INSERT)),
            action: Rle::wide(column(ACTION), Reader::uint),
        }
    }
}

/// The names and sizes of columns, in the order of the names.
fn names(reader: &mut Reader<'_>) -> Result<Vec<(u64, usize)>, Error> {
    let mut names: Vec<(u64, usize)> = Vec::new();
    for _ in 0..reader.count(usize::MAX, 2)? {
        let (name, bytes) = (reader.uint()?, usize::try_from(reader.uint()?).map_err(|_| DecodeError::Truncated)?);
        if names.last().is_some_and(|(last, _)| name & !PACKED <= *last & !PACKED) {
            return Err(Error::Malformed("its columns are out of order"));
        }
        names.push((name, bytes));
    }
    Ok(names)
}

/// The columns, unpacked to no more than `unpacked_max` bytes and standing for no more than [`IMPORT_ROWS_MAX`] rows each: a few
/// bytes can stand for any number of them, and Automerge reads on to the end.
fn columns<'a>(
    reader: &mut Reader<'a>,
    names: Vec<(u64, usize)>,
    unpacked_max: &mut usize,
) -> Result<BTreeMap<u64, Cow<'a, [u8]>>, Error> {
    let mut columns = BTreeMap::new();
    for (name, bytes) in names {
        let bytes = reader.take(bytes)?;
        let column = if name & PACKED == 0 { Cow::Borrowed(bytes) } else { Cow::Owned(inflated(bytes, *unpacked_max)?) };
        *unpacked_max = unpacked_max.saturating_sub(column.len());
        if rows(name & 7, &column)? > IMPORT_ROWS_MAX {
            return Err(Error::TooManyOperations);
        }
        columns.insert(name & !PACKED, column);
    }
    Ok(columns)
}

/// How far each actor has come: their changes are numbered without gaps, in the order of the file.
fn lines(actors: usize, changes: &BTreeMap<u64, Cow<'_, [u8]>>) -> Result<Vec<(u64, u64)>, Error> {
    let column = |name: u64| changes.get(&name).map_or(&[][..], |column| column);
    let mut actor = Rle::wide(column(CHANGE_ACTOR), Reader::uint);
    let mut seq = Delta::wide(column(CHANGE_SEQ));
    let mut max_op = Delta::wide(column(CHANGE_MAX_OP));
    let mut dep_count = Rle::wide(column(CHANGE_DEP_COUNT), Reader::uint);
    let mut dep_index = Delta::wide(column(CHANGE_DEP_INDEX));
    let mut lines = vec![(0u64, 0u64); actors];
    let mut row = 0i64;
    while let Some(actor) = actor.next()? {
        let line = actor.and_then(|actor| lines.get_mut(usize::try_from(actor).ok()?));
        let line = line.ok_or(Error::Malformed("a change names nobody"))?;
        let (Some(seq), Some(max_op)) = (seq.next()?, max_op.next()?) else {
            return Err(Error::Malformed("its columns are of different lengths"));
        };
        let max_op = u64::try_from(max_op).ok().filter(|max_op| *max_op <= OP_COUNTER_MAX && *max_op >= line.1);
        if u64::try_from(seq).ok() != Some(line.0 + 1) {
            return Err(Error::Malformed("the changes of an actor are not numbered one after the other"));
        }
        for _ in 0..dep_count.next()?.flatten().unwrap_or(0) {
            if !dep_index.next()?.is_some_and(|dep| (0..row).contains(&dep)) {
                return Err(Error::Malformed("a change depends on one that does not come before it"));
            }
        }
        row += 1;
        *line = (line.0 + 1, max_op.ok_or(Error::Malformed("its operations are numbered too high"))?);
    }
    if !(seq.is_done() && max_op.is_done() && dep_count.is_done() && dep_index.is_done()) {
        return Err(Error::Malformed("its columns are of different lengths"));
    }
    Ok(lines)
}

/// Checks that the bytes of all values are as many as their lengths say together.
fn check_values(columns: &BTreeMap<u64, Cow<'_, [u8]>>) -> Result<(), Error> {
    let column = |name: u64| columns.get(&name).map_or(&[][..], |column| column);
    let mut metas = Rle::wide(column(VALUE_META), Reader::uint);
    let mut bytes = 0u64;
    while let Some(meta) = metas.next()? {
        bytes = bytes.saturating_add(meta.unwrap_or(0) >> 4);
    }
    if bytes == column(VALUE).len() as u64 { Ok(()) } else { Err(Error::Malformed("its values are cut off")) }
}

/// The operations of a document, one after the other.
pub(super) struct RawOperations<'a> {
    actors: usize,
    object_actor: Rle<'a, u64>,
    object_counter: Rle<'a, u64>,
    key_actor: Rle<'a, u64>,
    key_counter: Delta<'a>,
    id_actor: Rle<'a, u64>,
    id_counter: Delta<'a>,
    insert: Booleans<'a>,
    action: Rle<'a, u64>,
}

impl RawOperations<'_> {
    /// The next operation.
    pub(super) fn next(&mut self) -> Result<Option<RawOperation>, Error> {
        let Some(action) = self.action.next()? else { return Ok(None) };
        let id = (self.id_actor.next()?.flatten(), self.id_counter.next()?);
        let (Some(actor), Some(counter)) = id else { return Err(Error::Malformed("an operation is named by halves")) };
        let id = self.id(actor, Some(counter))?;
        let object = match (self.object_actor.next()?.flatten(), self.object_counter.next()?.flatten()) {
            (None, None) => None,
            (Some(actor), Some(counter)) => Some(self.id(actor, i64::try_from(counter).ok())?),
            _ => return Err(Error::Malformed("an object is named by halves")),
        };
        let (element, at_head) = match (self.key_actor.next()?.flatten(), self.key_counter.next()?) {
            (None, None) => (None, false),
            (None, Some(0)) => (None, true),
            (Some(actor), Some(counter)) => (Some(self.id(actor, Some(counter))?), false),
            _ => return Err(Error::Malformed("a key is named by halves")),
        };
        let insert = self.insert.next()?.ok_or(Error::Malformed("a column is too short"))?;
        let makes = match action {
            Some(MAKE_MAP) => Some(Made::Map),
            Some(MAKE_LIST) => Some(Made::List),
            Some(MAKE_TEXT) => Some(Made::Text),
            _ => None,
        };
        let marks = action == Some(MARK);
        Ok(Some(RawOperation { id, object, element, at_head, insert, makes, marks }))
    }

    fn id(&self, actor: u64, counter: Option<i64>) -> Result<RawId, Error> {
        let actor = usize::try_from(actor).ok().filter(|actor| *actor < self.actors);
        let counter = counter.and_then(|counter| u64::try_from(counter).ok());
        match (actor, counter.filter(|counter| (1..OP_COUNTER_MAX).contains(counter))) {
            (Some(actor), Some(counter)) => Ok((actor, counter)),
            _ => Err(Error::Malformed("it refers to an operation that cannot be")),
        }
    }
}
