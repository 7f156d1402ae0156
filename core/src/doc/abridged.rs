//! A change without what its receiver knows already.
//!
//! Of the hundred bytes of a change of one letter, nearly all can be foretold from the actor's change before it: who, which number,
//! what it depends on, when, in which text and where. An abridged change says only what differs from that forecast, and the
//! checksum of the whole. Whoever holds the actor's change before it restores the very bytes.
//!
//! Nothing is abridged that does not restore exactly: that is tried each time, so that a change of any origin and shape travels
//! safely, if need be whole. `docs/protocol.md` specifies the bytes.

use super::change::ChangeDecodeError as Error;
use super::columns::{put_signed, rows, signed};
use super::forecast::{ACTION, COLUMNS, FORECASTS, Operations};
use super::raw::{CHANGE_CHUNK, Chunk, DEFLATED_CHUNK, MAGIC, inflated};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, ChangeHash};
use crate::base::limits::{ACTOR_BYTES_MAX, ENTRY_DEPS_MAX};
use crate::log::entry::Entry;
use std::borrow::Cow;

/// Most bytes to unpack of a change that is deflated, only to abridge the next by it.
const UNPACKED_BYTES_MAX: usize = 64 * 1024;
/// Most other actors that an abridged change may list.
const OTHERS_LISTED_MAX: usize = 1_024;
/// Most other actors of a change that are remembered.
const OTHERS_MAX: usize = 8;

/// What the first byte says.
mod flag {
    /// It depends on the actor's change before, and on nothing else.
    pub(super) const ALONE: u8 = 1;
    /// Its operations are numbered from where the change before ended.
    pub(super) const FOLLOWS: u8 = 2;
    /// It refers to the actors that the change before referred to.
    pub(super) const SAME_OTHERS: u8 = 4;
    /// It has a message.
    pub(super) const MESSAGE: u8 = 8;
    /// Above these bits, which forecast of the columns is meant.
    pub(super) const FORECAST_SHIFT: u32 = 4;
}

/// Short names for hashes and actors, as far as the receiver knows them.
pub trait Names {
    /// The strand and the sequence number of a change that the receiver can look up.
    fn of_hash(&mut self, hash: &ChangeHash) -> Option<(u64, u64)>;
    /// The strand of an actor that the receiver can look up.
    fn of_actor(&mut self, actor: &ActorId) -> Option<u64>;
}

/// What short names mean.
pub trait Meanings {
    /// The hash of the change with this sequence number in a strand.
    fn hash(&self, strand: u64, seq: u64) -> Option<ChangeHash>;
    /// The actor of a strand.
    fn actor(&self, strand: u64) -> Option<ActorId>;
}

/// What is remembered of an actor's newest change, for its next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastChange {
    actor: ActorId,
    seq: u64,
    hash: ChangeHash,
    end_op: u64,
    time: i64,
    others: Vec<ActorId>,
    operations: Operations,
}

impl LastChange {
    /// What to remember of an entry; nothing when its payload is no change that can be read, or too large a one.
    pub fn of(entry: &Entry) -> Option<Self> {
        let mut reader = Reader::new(&entry.payload);
        let chunk = Chunk::read(&mut reader).ok()?;
        let body = match chunk.kind {
            CHANGE_CHUNK => Cow::Borrowed(chunk.body),
            DEFLATED_CHUNK => Cow::Owned(inflated(chunk.body, UNPACKED_BYTES_MAX).ok()?),
            _ => return None,
        };
        let parts = Parts::read(&body)?;
        let ops = rows(COLUMNS[ACTION] & 7, parts.columns[ACTION]).ok()?;
        let others = if parts.others.len() <= OTHERS_MAX { parts.others } else { Vec::new() };
        Some(Self {
            actor: entry.actor,
            seq: entry.seq,
            hash: entry.hash,
            end_op: parts.start_op.checked_add(ops)?,
            time: parts.time,
            others: others.into_iter().map(ActorId::new).collect::<Option<_>>()?,
            operations: Operations::of(&parts.columns),
        })
    }

    /// The actor.
    pub fn actor(&self) -> ActorId {
        self.actor
    }

    /// Which of the actor's it is.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Its name.
    pub fn hash(&self) -> ChangeHash {
        self.hash
    }
}

/// A change, taken apart.
struct Parts<'a> {
    deps: Vec<ChangeHash>,
    actor: &'a [u8],
    seq: u64,
    start_op: u64,
    time: i64,
    message: &'a [u8],
    others: Vec<&'a [u8]>,
    columns: [&'a [u8]; COLUMNS.len()],
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes the body of a change apart; nothing when it is not as changes are.
    fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let count = reader.count(ENTRY_DEPS_MAX, 32).ok()?;
        let deps = (0..count).map(|_| reader.array().ok().map(ChangeHash)).collect::<Option<_>>()?;
        let actor = reader.bytes(ACTOR_BYTES_MAX).ok()?;
        let (seq, start_op) = (reader.uint().ok()?, reader.uint().ok()?);
        let time = signed(&mut reader).ok()?;
        let message = reader.bytes(usize::MAX).ok()?;
        let count = reader.count(usize::MAX, 1).ok()?;
        let others = (0..count).map(|_| reader.bytes(ACTOR_BYTES_MAX).ok()).collect::<Option<_>>()?;
        let count = reader.count(COLUMNS.len(), 2).ok()?;
        let mut sizes = [(0, 0); COLUMNS.len()];
        for size in &mut sizes[..count] {
            let name = reader.uint().ok()?;
            *size = (COLUMNS.iter().position(|known| *known == name)?, usize::try_from(reader.uint().ok()?).ok()?);
        }
        let mut columns: [&[u8]; COLUMNS.len()] = [&[]; COLUMNS.len()];
        for (at, bytes) in &sizes[..count] {
            columns[*at] = reader.take(*bytes).ok()?;
        }
        let rest = reader.take(reader.remaining()).ok()?;
        Some(Self { deps, actor, seq, start_op, time, message, others, columns, rest })
    }

    /// The chunk that these are the parts of.
    fn write(&self, checksum: [u8; 4]) -> Vec<u8> {
        let room =
            64 + 32 * self.deps.len() + self.message.len() + self.columns.iter().map(|column| column.len() + 4).sum::<usize>();
        let mut body = Writer::with_capacity(room + 32 * self.others.len());
        body.uint(self.deps.len() as u64);
        for dep in &self.deps {
            body.put(&dep.0);
        }
        body.bytes(self.actor);
        body.uint(self.seq);
        body.uint(self.start_op);
        put_signed(&mut body, self.time);
        body.bytes(self.message);
        body.uint(self.others.len() as u64);
        for other in &self.others {
            body.bytes(other);
        }
        let mut present = [(0, 0); COLUMNS.len()];
        let mut count = 0;
        for at in (0..COLUMNS.len()).filter(|at| !self.columns[*at].is_empty()) {
            present[count] = (COLUMNS[at], at);
            count += 1;
        }
        present[..count].sort_unstable();
        body.uint(count as u64);
        for (name, at) in &present[..count] {
            body.uint(*name);
            body.uint(self.columns[*at].len() as u64);
        }
        for (_, at) in &present[..count] {
            body.put(self.columns[*at]);
        }
        body.put(self.rest);
        let body = body.finish();
        let mut chunk = Writer::with_capacity(body.len() + 20);
        chunk.put(&MAGIC);
        chunk.put(&checksum);
        chunk.u8(CHANGE_CHUNK);
        chunk.bytes(&body);
        chunk.finish()
    }
}

/// Remembers which names were used, and so what they mean.
struct Noted<'n, N> {
    names: &'n mut N,
    hashes: Vec<((u64, u64), ChangeHash)>,
    actors: Vec<(u64, ActorId)>,
}

impl<N> Meanings for Noted<'_, N> {
    fn hash(&self, strand: u64, seq: u64) -> Option<ChangeHash> {
        self.hashes.iter().find(|(name, _)| *name == (strand, seq)).map(|(_, hash)| *hash)
    }

    fn actor(&self, strand: u64) -> Option<ActorId> {
        self.actors.iter().find(|(name, _)| *name == strand).map(|(_, actor)| *actor)
    }
}

/// `payload` abridged, for a receiver that holds `last` and knows `names`; nothing when it has to travel whole.
pub fn abridge(last: &LastChange, payload: &[u8], names: &mut impl Names) -> Option<Vec<u8>> {
    let mut reader = Reader::new(payload);
    let chunk = Chunk::read(&mut reader).ok()?;
    let parts = Parts::read(chunk.body)?;
    if chunk.kind != CHANGE_CHUNK || parts.actor != last.actor.as_bytes() || parts.start_op < last.end_op {
        return None;
    }
    let mut noted = Noted { names, hashes: Vec::new(), actors: Vec::new() };
    let (alone, follows) = (parts.deps == [last.hash], parts.start_op == last.end_op);
    let same_others = parts.others.iter().copied().eq(last.others.iter().map(ActorId::as_bytes));
    let (forecast, columns) = last.operations.shortest(last.end_op, &parts.columns);
    let mut flags = (forecast as u8) << flag::FORECAST_SHIFT;
    for (is, flag) in [
        (alone, flag::ALONE),
        (follows, flag::FOLLOWS),
        (same_others, flag::SAME_OTHERS),
        (!parts.message.is_empty(), flag::MESSAGE),
    ] {
        flags |= if is { flag } else { 0 };
    }
    let mut w = Writer::with_capacity(32 + columns.len());
    w.u8(flags);
    w.put(&chunk.checksum);
    put_signed(&mut w, parts.time.wrapping_sub(last.time));
    if !alone {
        put_deps(&mut w, &parts.deps, last, &mut noted);
    }
    if !follows {
        w.uint(parts.start_op - last.end_op);
    }
    if !same_others {
        put_others(&mut w, &parts.others, last, &mut noted)?;
    }
    if !parts.message.is_empty() {
        w.bytes(parts.message);
    }
    w.put(&columns);
    let abridged = w.finish();
    let restored = restore(last, &abridged, &noted);
    (abridged.len() < payload.len() && restored.is_ok_and(|restored| restored == payload)).then_some(abridged)
}

/// How a dependency or an actor is named: it is written out, it is that of the change before, or it stands in a strand.
mod naming {
    pub(super) const WHOLE: u64 = 0;
    pub(super) const LAST: u64 = 1;
    pub(super) const STRAND: u64 = 2;
}

fn put_deps<N: Names>(w: &mut Writer, deps: &[ChangeHash], last: &LastChange, noted: &mut Noted<'_, N>) {
    w.uint(deps.len() as u64);
    for dep in deps {
        if *dep == last.hash {
            w.uint(naming::LAST);
        } else if let Some((strand, seq)) = noted.names.of_hash(dep) {
            noted.hashes.push(((strand, seq), *dep));
            w.uint(naming::STRAND.saturating_add(strand));
            w.uint(seq);
        } else {
            w.uint(naming::WHOLE);
            w.put(&dep.0);
        }
    }
}

fn put_others<N: Names>(w: &mut Writer, others: &[&[u8]], last: &LastChange, noted: &mut Noted<'_, N>) -> Option<()> {
    w.uint(others.len() as u64);
    for other in others {
        let other = ActorId::new(other)?;
        if let Some(at) = last.others.iter().position(|known| *known == other) {
            w.uint(naming::LAST);
            w.uint(at as u64);
        } else if let Some(strand) = noted.names.of_actor(&other) {
            noted.actors.push((strand, other));
            w.uint(naming::STRAND.saturating_add(strand));
        } else {
            w.uint(naming::WHOLE);
            w.bytes(other.as_bytes());
        }
    }
    Some(())
}

/// The payload that was abridged, by whoever holds `last` too. That it is a sound change is not known before it was read.
///
/// # Errors
///
/// It does not decode, or uses a name that means nothing here.
pub fn restore(last: &LastChange, abridged: &[u8], meanings: &impl Meanings) -> Result<Vec<u8>, Error> {
    let mut r = Reader::new(abridged);
    let flags = r.u8()?;
    let forecast = FORECASTS
        .get(usize::from(flags >> flag::FORECAST_SHIFT))
        .ok_or(DecodeError::UnknownTag { what: "a forecast", tag: flags >> flag::FORECAST_SHIFT })?;
    let checksum = r.array()?;
    let time = last.time.wrapping_add(signed(&mut r)?);
    let deps = if flags & flag::ALONE != 0 { vec![last.hash] } else { read_deps(&mut r, last, meanings)? };
    let skipped = if flags & flag::FOLLOWS != 0 { 0 } else { r.uint()? };
    let start_op = last.end_op.checked_add(skipped).ok_or(Error::Malformed("its operations are numbered too high"))?;
    let others = if flags & flag::SAME_OTHERS != 0 { last.others.clone() } else { read_others(&mut r, last, meanings)? };
    let message = if flags & flag::MESSAGE != 0 { r.bytes(usize::MAX)? } else { &[] };
    let foretold = last.operations.foretold(*forecast, last.end_op);
    let mut columns: [&[u8]; COLUMNS.len()] = std::array::from_fn(|at| foretold[at].bytes());
    let mask = r.uint()?;
    if mask >> COLUMNS.len() != 0 {
        return Err(Error::Malformed("it has a column that this version does not know"));
    }
    for (at, column) in columns.iter_mut().enumerate() {
        if mask & 1 << at != 0 {
            *column = r.bytes(usize::MAX)?;
        }
    }
    r.end()?;
    let seq = last.seq.checked_add(1).ok_or(Error::Malformed("its number is too high"))?;
    let others = others.iter().map(ActorId::as_bytes).collect();
    let actor = last.actor.as_bytes();
    Ok(Parts { deps, actor, seq, start_op, time, message, others, columns, rest: &[] }.write(checksum))
}

const UNKNOWN_NAME: Error = Error::Malformed("it names by a number what was never told");

fn read_deps(r: &mut Reader<'_>, last: &LastChange, meanings: &impl Meanings) -> Result<Vec<ChangeHash>, Error> {
    let count = r.count(ENTRY_DEPS_MAX, 1)?;
    let mut deps = Vec::with_capacity(count);
    for _ in 0..count {
        deps.push(match r.uint()? {
            naming::WHOLE => ChangeHash(r.array()?),
            naming::LAST => last.hash,
            strand => meanings.hash(strand - naming::STRAND, r.uint()?).ok_or(UNKNOWN_NAME)?,
        });
    }
    Ok(deps)
}

fn read_others(r: &mut Reader<'_>, last: &LastChange, meanings: &impl Meanings) -> Result<Vec<ActorId>, Error> {
    let count = r.count(OTHERS_LISTED_MAX, 1)?;
    let mut others = Vec::with_capacity(count);
    for _ in 0..count {
        others.push(match r.uint()? {
            naming::WHOLE => {
                let bytes = r.bytes(ACTOR_BYTES_MAX)?;
                ActorId::new(bytes).ok_or(Error::ActorTooLong { bytes: bytes.len() })?
            }
            naming::LAST => {
                let at = usize::try_from(r.uint()?).ok();
                *at.and_then(|at| last.others.get(at)).ok_or(UNKNOWN_NAME)?
            }
            strand => meanings.actor(strand - naming::STRAND).ok_or(UNKNOWN_NAME)?,
        });
    }
    Ok(others)
}

#[cfg(test)]
#[path = "abridged_tests.rs"]
mod tests;
