//! Reading: entries above a clock, and hashes.

use super::failure::{Failure, Outcome};
use super::ledger::{DocumentRow, Ledger};
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId};
use driftline_core::log::clock::VectorClock;
use driftline_core::log::entry::Entry;
use driftline_core::store::record::decode_entry_record;
use driftline_core::store::task::{Position, StoreDone};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Positions that one stretch of the index by hash keeps together, as a power of two; the schema says the same.
const STRETCH_BITS: u32 = 12;
/// A log is read from end to end unless fewer than one in this many of its entries are wanted.
const SPARSE_RATIO: u64 = 4;

/// What is wanted of a document: of these actors, by their number, what is above a sequence number.
struct Wanted {
    row: DocumentRow,
    above: BTreeMap<i64, (ActorId, u64)>,
    entries: u64,
    /// No entry before this position is wanted.
    first: Position,
}

/// Entries collected for an answer.
struct Collected {
    entries: Vec<(Position, Arc<Entry>)>,
    bytes: usize,
    bytes_max: usize,
}

/// Carries out a `Read`.
pub(super) fn read(
    connection: &Connection,
    ledger: &mut Ledger,
    document: DocumentId,
    above: &VectorClock,
    after: Position,
    bytes_max: usize,
) -> Outcome<StoreDone> {
    let mut collected = Collected { entries: Vec::new(), bytes: 0, bytes_max };
    let wanted = match ledger.document(connection, document)?.map(|row| row.clone()) {
        Some(row) if after < row.end => want(connection, ledger, row, above, after)?,
        _ => None,
    };
    let complete = match wanted {
        None => true,
        Some(wanted) if wanted.entries.saturating_mul(SPARSE_RATIO) < wanted.row.end - wanted.first => {
            pick(connection, &wanted, &mut collected)?
        }
        Some(wanted) => scan(connection, &wanted, &mut collected)?,
    };
    Ok(StoreDone::Read { entries: collected.entries, complete })
}

/// Compares the document's clock with `above`; nothing when nothing is above it.
fn want(
    connection: &Connection,
    ledger: &mut Ledger,
    row: DocumentRow,
    above: &VectorClock,
    after: Position,
) -> Outcome<Option<Wanted>> {
    let base = row.held_base();
    let mut wanted = Wanted { above: BTreeMap::new(), entries: 0, first: row.end + 1, row };
    let mut place = connection.prepare_cached("SELECT position FROM entries WHERE document = ?1 AND actor = ?2 AND seq = ?3")?;
    for (actor, held) in wanted.row.version.clock.iter() {
        // What only the snapshot holds is not answered.
        let has = above.get(actor).max(base.clock.get(actor));
        if has >= held {
            continue;
        }
        let number = ledger.actor(connection, *actor)?.ok_or_else(|| Failure::Damaged(format!("actor {actor} is not known")))?;
        wanted.above.insert(number, (*actor, has));
        wanted.entries += held - has;
        if wanted.first > after + 1 {
            let first: Option<i64> =
                place.query_row(params![wanted.row.number, number, has as i64 + 1], |row| row.get(0)).optional()?;
            let first = first.ok_or_else(|| Failure::Damaged(format!("entry {} of actor {actor} is missing", has + 1)))?;
            wanted.first = wanted.first.min(first as u64);
        }
    }
    wanted.first = wanted.first.max(after + 1);
    Ok((wanted.entries > 0).then_some(wanted))
}

/// Reads the log from the first wanted entry on; answers whether it got to the end.
fn scan(connection: &Connection, wanted: &Wanted, collected: &mut Collected) -> Outcome<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT position, actor, seq, record FROM entries WHERE document = ?1 AND position >= ?2 ORDER BY position",
    )?;
    let mut rows = statement.query(params![wanted.row.number, wanted.first as i64])?;
    let mut next = wanted.first;
    while let Some(row) = rows.next()? {
        let position = row.get::<_, i64>(0)? as u64;
        if position != next {
            return Err(Failure::Damaged(format!("entry {next} is missing")));
        }
        next += 1;
        let (actor, seq): (i64, i64) = (row.get(1)?, row.get(2)?);
        if wanted.above.get(&actor).is_some_and(|(_, has)| seq as u64 > *has) {
            if collected.is_full() {
                return Ok(false);
            }
            collected.take(wanted, row, position, actor)?;
        }
    }
    if next != wanted.row.end + 1 {
        return Err(Failure::Damaged(format!("entry {next} is missing")));
    }
    Ok(true)
}

/// Looks the wanted entries up one by one, for few of them far apart; answers whether it got to the last.
fn pick(connection: &Connection, wanted: &Wanted, collected: &mut Collected) -> Outcome<bool> {
    let mut places = Vec::new();
    let mut by_actor = connection
        .prepare_cached("SELECT position FROM entries WHERE document = ?1 AND actor = ?2 AND seq > ?3 AND position >= ?4")?;
    for (number, (_, has)) in &wanted.above {
        let mut rows = by_actor.query(params![wanted.row.number, number, *has as i64, wanted.first as i64])?;
        while let Some(row) = rows.next()? {
            places.push(row.get::<_, i64>(0)?);
        }
    }
    places.sort_unstable();
    let mut by_position =
        connection.prepare_cached("SELECT position, actor, seq, record FROM entries WHERE document = ?1 AND position = ?2")?;
    for position in places {
        if collected.is_full() {
            return Ok(false);
        }
        let mut rows = by_position.query(params![wanted.row.number, position])?;
        let row = rows.next()?.ok_or_else(|| Failure::Damaged(format!("entry {position} is missing")))?;
        collected.take(wanted, row, position as u64, row.get(1)?)?;
    }
    Ok(true)
}

impl Collected {
    fn is_full(&self) -> bool {
        !self.entries.is_empty() && self.bytes >= self.bytes_max
    }

    /// Takes the entry in a row of `position, actor, seq, record`, once it checks out.
    fn take(&mut self, wanted: &Wanted, row: &Row<'_>, position: Position, actor: i64) -> Outcome<()> {
        let record = row.get_ref(3)?.as_blob().map_err(|_| damaged_entry(position, "it is not a record"))?;
        let stored = decode_entry_record(record).map_err(|error| damaged_entry(position, error))?;
        let seq = row.get::<_, i64>(2)? as u64;
        let expected_actor = wanted.above.get(&actor).map(|(actor, _)| *actor);
        let fits = stored.position == position
            && stored.entry.document == wanted.row.id
            && stored.entry.seq == seq
            && Some(stored.entry.actor) == expected_actor;
        if !fits {
            return Err(damaged_entry(position, "it is another entry's record"));
        }
        self.bytes += stored.entry.payload.len();
        self.entries.push((position, stored.entry));
        Ok(())
    }
}

/// Carries out a `Find`.
pub(super) fn find(
    connection: &Connection,
    ledger: &mut Ledger,
    document: DocumentId,
    hashes: &[ChangeHash],
) -> Outcome<StoreDone> {
    let mut found = Vec::new();
    if let Some(row) = ledger.document(connection, document)? {
        for hash in hashes {
            if holds(connection, row, hash)? {
                found.push(*hash);
            }
        }
    }
    Ok(StoreDone::Found { hashes: found })
}

fn holds(connection: &Connection, row: &DocumentRow, hash: &ChangeHash) -> Outcome<bool> {
    let mut statement = connection
        .prepare_cached("SELECT position, record FROM entries WHERE document = ?1 AND position >> 12 = ?2 AND hash = ?3")?;
    // What is asked for is mostly recent.
    for stretch in (row.base >> STRETCH_BITS..=row.end >> STRETCH_BITS).rev() {
        let mut rows = statement.query(params![row.number, stretch as i64, hash_key(hash)])?;
        while let Some(found) = rows.next()? {
            let position = found.get::<_, i64>(0)? as u64;
            let record = found.get_ref(1)?.as_blob().map_err(|_| damaged_entry(position, "it is not a record"))?;
            let stored = decode_entry_record(record).map_err(|error| damaged_entry(position, error))?;
            if stored.entry.hash == *hash {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What the entries table calls a hash.
pub(super) fn hash_key(hash: &ChangeHash) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

pub(super) fn damaged_entry(position: Position, how: impl std::fmt::Display) -> Failure {
    Failure::Damaged(format!("entry {position}: {how}"))
}
