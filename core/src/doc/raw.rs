//! A change as bytes, read without trust.
//!
//! Automerge reads bytes of its own making quickly, but bytes made to harm it can make it panic, run for hours (a few bytes can
//! stand for any number of operations) or fill the memory. So every change that comes from outside is read here first, and Automerge
//! only sees what this reader has found sound. It is strict: what Automerge would never write is refused.
//!
//! The format is Automerge's binary document format (<https://automerge.org/automerge-binary-format-spec/>), change chunks: a
//! header with a checksum, then dependencies, actor, numbers, message, the other actors that are referred to, and the
//! operations as columns.

use super::change::ChangeDecodeError as Error;
use super::columns::{Booleans, Delta, Rle, signed, text};
use crate::base::codec::Reader;
use crate::base::error::DecodeError;
use crate::base::id::ChangeHash;
use crate::base::limits::{ACTOR_BYTES_MAX, ENTRY_DEPS_MAX, ENTRY_OPS_MAX, ENTRY_UNPACKED_BYTES_MAX, OP_COUNTER_MAX};
use flate2::read::DeflateDecoder;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::io::Read as _;

/// What every chunk of Automerge's begins with.
pub(super) const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// Chunk type of a whole document.
pub(super) const DOCUMENT_CHUNK: u8 = 0;
/// Chunk type of a change.
pub(super) const CHANGE_CHUNK: u8 = 1;
/// Chunk type of a change that is deflated.
pub(super) const DEFLATED_CHUNK: u8 = 2;

/// One chunk, cut out but not understood.
pub(super) struct Chunk<'a> {
    /// What it is.
    pub(super) kind: u8,
    /// First bytes of the SHA-256 of what is in it.
    pub(super) checksum: [u8; 4],
    /// What is in it.
    pub(super) body: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The next chunk of several.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        if reader.array()? != MAGIC {
            return Err(Error::NotAutomerge);
        }
        let (checksum, kind) = (reader.array()?, reader.u8()?);
        Ok(Self { kind, checksum, body: reader.bytes(usize::MAX)? })
    }

    /// The body of a change, unpacked where it is deflated, and its hash, which is checked.
    pub(super) fn change_body(&self) -> Result<(Cow<'a, [u8]>, ChangeHash), Error> {
        let body = match self.kind {
            CHANGE_CHUNK => Cow::Borrowed(self.body),
            DEFLATED_CHUNK => Cow::Owned(inflated(self.body, ENTRY_UNPACKED_BYTES_MAX)?),
            _ => return Err(Error::NotAChange),
        };
        let hash = hash(CHANGE_CHUNK, &body);
        if hash.0[..4] != self.checksum {
            return Err(Error::Checksum);
        }
        Ok((body, hash))
    }
}

/// The hash of a chunk: SHA-256 of its type, the length of what is in it, and that.
pub(super) fn hash(kind: u8, body: &[u8]) -> ChangeHash {
    let mut length = crate::base::codec::Writer::new();
    length.u8(kind);
    length.uint(body.len() as u64);
    ChangeHash(Sha256::new().chain_update(length.finish()).chain_update(body).finalize().into())
}

/// What `packed` unpacks to, if that is at most `bytes_max`.
pub(super) fn inflated(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut unpacked = Vec::new();
    DeflateDecoder::new(packed).take(bytes_max as u64 + 1).read_to_end(&mut unpacked).map_err(|_| Error::Deflate)?;
    if unpacked.len() > bytes_max { Err(Error::UnpacksTooLarge) } else { Ok(unpacked) }
}

/// A change whose every part was read once; its operations can be read again.
pub(super) struct RawChange<'a> {
    /// The changes it depends on, in order.
    pub(super) deps: Vec<ChangeHash>,
    /// Who made it.
    pub(super) actor: &'a [u8],
    /// Which of the actor's it is.
    pub(super) seq: u64,
    /// The number of its first operation.
    pub(super) start_op: u64,
    /// When it was made, in seconds, as its maker says.
    pub(super) time: i64,
    /// What its maker says of it; empty for nothing.
    pub(super) message: &'a str,
    /// Others whose operations it refers to, in order.
    pub(super) others: Vec<&'a [u8]>,
    /// How many operations it has.
    pub(super) ops: u64,
    columns: Columns<'a>,
}

/// The bytes of each column; one that is not there is empty.
#[derive(Clone, Copy, Default)]
struct Columns<'a> {
    object_actor: &'a [u8],
    object_counter: &'a [u8],
    key_actor: &'a [u8],
    key_counter: &'a [u8],
    key_name: &'a [u8],
    insert: &'a [u8],
    action: &'a [u8],
    value_meta: &'a [u8],
    value: &'a [u8],
    pred_count: &'a [u8],
    pred_actor: &'a [u8],
    pred_counter: &'a [u8],
    expand: &'a [u8],
    mark_name: &'a [u8],
}

/// An operation's number: how high Automerge's logical clock stood, and which of the change's actors made it (0 is its own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpId {
    pub(super) counter: u64,
    pub(super) actor: usize,
}

/// Where in its object an operation works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// At a key of a map.
    Name,
    /// At the beginning of a list or text.
    Head,
    /// At, or when it inserts after, this element.
    Element(OpId),
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Makes a map.
    MakeMap,
    /// Writes a scalar.
    Set,
    /// Makes a list.
    MakeList,
    /// Deletes.
    Delete,
    /// Makes a text.
    MakeText,
    /// Adds to a counter.
    Increment,
    /// Begins a mark.
    MarkBegin,
    /// Ends a mark.
    MarkEnd,
}

/// One operation of a change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// The object it works in; nothing is the document's root.
    pub(super) object: Option<OpId>,
    /// Where in it.
    pub(super) key: Key,
    /// Whether it makes a new element after the one its key names.
    pub(super) insert: bool,
    /// What it does.
    pub(super) action: Action,
    /// The operation that it replaces, where it is exactly one.
    pub(super) replaces: Option<OpId>,
    /// What it writes, where that is a single letter.
    pub(super) letter: Option<char>,
    /// Whether it has to do with formatting.
    pub(super) formats: bool,
}

impl<'a> RawChange<'a> {
    /// Reads the body of a change, and all its operations.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let count = reader.uint()?;
        if count > ENTRY_DEPS_MAX as u64 {
            return Err(Error::TooManyDependencies { count });
        }
        let mut deps: Vec<ChangeHash> = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let dep = ChangeHash(reader.array()?);
            if deps.last().is_some_and(|last| dep <= *last) {
                return Err(Error::Malformed("its dependencies are out of order"));
            }
            deps.push(dep);
        }
        let actor = actor(&mut reader)?;
        let (seq, start_op) = (reader.uint()?, reader.uint()?);
        if seq == 0 || start_op == 0 {
            return Err(Error::Malformed("it is numbered zero"));
        }
        let time = signed(&mut reader)?;
        let message = reader.bytes(usize::MAX)?;
        let message = std::str::from_utf8(message).map_err(|_| Error::Decode(DecodeError::NotUtf8))?;
        let count = reader.count(usize::MAX, 1)?;
        let mut others: Vec<&[u8]> = Vec::new();
        for _ in 0..count {
            let other = self::actor(&mut reader)?;
            if other == actor || others.last().is_some_and(|last| other <= *last) {
                return Err(Error::Malformed("its actors are out of order"));
            }
            others.push(other);
        }
        let columns = Columns::read(&mut reader)?;
        // What follows the operations says who the actor belongs to, once for each actor.
        if reader.remaining() > 0 && seq != 1 {
            return Err(Error::Malformed("it names an author and is not the actor's first"));
        }
        let mut change = Self { deps, actor, seq, start_op, time, message, others, ops: 0, columns };
        let mut operations = change.operations();
        while operations.next()?.is_some() {}
        operations.end()?;
        change.ops = operations.count;
        match start_op.checked_add(change.ops) {
            Some(end) if end <= OP_COUNTER_MAX => Ok(change),
            _ => Err(Error::Malformed("its operations are numbered too high")),
        }
    }

    /// Reads the operations.
    pub(super) fn operations(&self) -> Operations<'_> {
        let columns = self.columns;
        Operations {
            actors: self.others.len() + 1,
            count: 0,
            object_actor: Rle::new(columns.object_actor, Reader::uint),
            object_counter: Rle::new(columns.object_counter, Reader::uint),
            key_actor: Rle::new(columns.key_actor, Reader::uint),
            key_counter: Delta::new(columns.key_counter),
            key_name: Rle::new(columns.key_name, text),
            insert: Booleans::new(columns.insert),
            action: Rle::new(columns.action, Reader::uint),
            value_meta: Rle::new(columns.value_meta, Reader::uint),
            value: Reader::new(columns.value),
            pred_count: Rle::new(columns.pred_count, Reader::uint),
            pred_actor: Rle::new(columns.pred_actor, Reader::uint),
            pred_counter: Delta::new(columns.pred_counter),
            preds: 0,
            expand: Booleans::new(columns.expand),
            mark_name: Rle::new(columns.mark_name, text),
        }
    }
}

fn actor<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let bytes = reader.bytes(usize::MAX)?;
    if bytes.len() > ACTOR_BYTES_MAX { Err(Error::ActorTooLong { bytes: bytes.len() }) } else { Ok(bytes) }
}

impl<'a> Columns<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = reader.count(usize::MAX, 2)?;
        let mut sizes = Vec::new();
        for _ in 0..count {
            let (name, bytes) = (reader.uint()?, reader.uint()?);
            if sizes.last().is_some_and(|(last, _)| name <= *last) {
                return Err(Error::Malformed("its columns are out of order"));
            }
            sizes.push((name, bytes));
        }
        let mut columns = Self::default();
        for (name, bytes) in sizes {
            let bytes = usize::try_from(bytes).map_err(|_| DecodeError::Truncated)?;
            *columns.named(name)? = reader.take(bytes)?;
        }
        Ok(columns)
    }

    /// The column of this name: in the format, four bits of type below a number.
    fn named(&mut self, name: u64) -> Result<&mut &'a [u8], Error> {
        Ok(match name {
            0x01 => &mut self.object_actor,
            0x02 => &mut self.object_counter,
            0x11 => &mut self.key_actor,
            0x13 => &mut self.key_counter,
            0x15 => &mut self.key_name,
            0x34 => &mut self.insert,
            0x42 => &mut self.action,
            0x56 => &mut self.value_meta,
            0x57 => &mut self.value,
            0x70 => &mut self.pred_count,
            0x71 => &mut self.pred_actor,
            0x73 => &mut self.pred_counter,
            0x94 => &mut self.expand,
            0xa5 => &mut self.mark_name,
            _ => return Err(Error::Malformed("it has a column that this version does not know")),
        })
    }
}

/// The operations of a change, one after the other.
pub(super) struct Operations<'a> {
    actors: usize,
    count: u64,
    object_actor: Rle<'a, u64>,
    object_counter: Rle<'a, u64>,
    key_actor: Rle<'a, u64>,
    key_counter: Delta<'a>,
    key_name: Rle<'a, &'a [u8]>,
    insert: Booleans<'a>,
    action: Rle<'a, u64>,
    value_meta: Rle<'a, u64>,
    value: Reader<'a>,
    pred_count: Rle<'a, u64>,
    pred_actor: Rle<'a, u64>,
    pred_counter: Delta<'a>,
    preds: u64,
    expand: Booleans<'a>,
    mark_name: Rle<'a, &'a [u8]>,
}

impl Operations<'_> {
    /// The next operation, once it is checked to be one that Automerge could have written.
    pub(super) fn next(&mut self) -> Result<Option<Operation>, Error> {
        let Some(action) = self.action.next()? else { return Ok(None) };
        self.count += 1;
        if self.count > ENTRY_OPS_MAX as u64 {
            return Err(Error::TooManyOperations);
        }
        let object = match (self.object_actor.next()?.flatten(), self.object_counter.next()?.flatten()) {
            (None, None) => None,
            (Some(actor), Some(counter)) => Some(self.op_id(actor, counter)?),
            _ => return Err(Error::Malformed("an object is named by halves")),
        };
        let insert = self.insert.next()?.ok_or(Error::Malformed("a column is too short"))?;
        let key_name = self.key_name.next()?.flatten();
        let key = match (self.key_actor.next()?.flatten(), self.key_counter.next()?, key_name) {
            (None, None, Some(_)) => Key::Name,
            (None, Some(0), None) => Key::Head,
            (Some(actor), Some(counter), None) => {
                let counter = u64::try_from(counter).map_err(|_| Error::Malformed("an element has a negative number"))?;
                Key::Element(self.op_id(actor, counter)?)
            }
            _ => return Err(Error::Malformed("a key is named by halves")),
        };
        let (preds, replaces) = self.preds()?;
        let (value, letter) = self.value()?;
        let (expand, mark_name) = (self.expand.next()?, self.mark_name.next()?.flatten());
        let formats = expand == Some(true) || mark_name.is_some();
        let action = match action {
            Some(0) => Action::MakeMap,
            Some(1) => Action::Set,
            Some(2) => Action::MakeList,
            Some(3) => Action::Delete,
            Some(4) => Action::MakeText,
            Some(5) if matches!(value, UINT | INT) => Action::Increment,
            Some(7) if mark_name.is_some() => Action::MarkBegin,
            Some(7) => Action::MarkEnd,
            _ => return Err(Error::Malformed("an operation does what this version does not know")),
        };
        let fits = match (action, insert) {
            (Action::MarkBegin | Action::MarkEnd, _) => insert && preds == 0,
            (Action::Delete | Action::Increment, _) => !insert && preds > 0,
            (_, true) => preds == 0,
            (_, false) => true,
        } && (!insert || key != Key::Name)
            && (insert || key != Key::Head);
        if !fits {
            return Err(Error::Malformed("an operation contradicts itself"));
        }
        Ok(Some(Operation { object, key, insert, action, replaces, letter, formats }))
    }

    /// Checks that no column has more than the operations that were read.
    fn end(&mut self) -> Result<(), Error> {
        let done = self.object_actor.is_done()
            && self.object_counter.is_done()
            && self.key_actor.is_done()
            && self.key_counter.is_done()
            && self.key_name.is_done()
            && self.insert.is_done()
            && self.value_meta.is_done()
            && self.value.remaining() == 0
            && self.pred_count.is_done()
            && self.pred_actor.is_done()
            && self.pred_counter.is_done()
            && self.expand.is_done()
            && self.mark_name.is_done();
        if done { Ok(()) } else { Err(Error::Malformed("its columns are of different lengths")) }
    }

    fn op_id(&self, actor: u64, counter: u64) -> Result<OpId, Error> {
        match usize::try_from(actor) {
            Ok(actor) if actor < self.actors && (1..OP_COUNTER_MAX).contains(&counter) => Ok(OpId { counter, actor }),
            _ => Err(Error::Malformed("it refers to an operation that cannot be")),
        }
    }

    /// Reads the operations that this one replaces; counts them, and names the one where there is one.
    fn preds(&mut self) -> Result<(u64, Option<OpId>), Error> {
        let count = self.pred_count.next()?.flatten().ok_or(Error::Malformed("a column is too short"))?;
        self.preds = self.preds.saturating_add(count);
        if self.preds > ENTRY_OPS_MAX as u64 {
            return Err(Error::TooManyOperations);
        }
        let mut last: Option<OpId> = None;
        for _ in 0..count {
            let (Some(Some(actor)), Some(counter)) = (self.pred_actor.next()?, self.pred_counter.next()?) else {
                return Err(Error::Malformed("an operation is named by halves"));
            };
            let counter = u64::try_from(counter).map_err(|_| Error::Malformed("an operation has a negative number"))?;
            let pred = self.op_id(actor, counter)?;
            if last.is_some_and(|last| pred.counter < last.counter || pred == last) {
                return Err(Error::Malformed("replaced operations are out of order"));
            }
            last = Some(pred);
        }
        Ok((count, last.filter(|_| count == 1)))
    }

    /// Reads the value, and says of what type it is, and which letter where it is a single one.
    fn value(&mut self) -> Result<(u64, Option<char>), Error> {
        let meta = self.value_meta.next()?.flatten().ok_or(Error::Malformed("a column is too short"))?;
        let length = usize::try_from(meta >> 4).map_err(|_| DecodeError::Truncated)?;
        let bytes = self.value.take(length)?;
        let mut reader = Reader::new(bytes);
        let mut letter = None;
        match meta & 0xf {
            0..=2 => {}
            UINT => drop(reader.uint()?),
            INT | COUNTER | TIMESTAMP => drop(signed(&mut reader)?),
            FLOAT => drop(reader.array::<8>()?),
            STRING => {
                let text = std::str::from_utf8(reader.take(length)?).map_err(|_| DecodeError::NotUtf8)?;
                let mut letters = text.chars();
                letter = letters.next().filter(|_| letters.next().is_none());
            }
            _ => drop(reader.take(length)?),
        }
        reader.end()?;
        Ok((meta & 0xf, letter))
    }
}

/// Types of values.
const UINT: u64 = 3;
const INT: u64 = 4;
const FLOAT: u64 = 5;
const STRING: u64 = 6;
const COUNTER: u64 = 8;
const TIMESTAMP: u64 = 9;
