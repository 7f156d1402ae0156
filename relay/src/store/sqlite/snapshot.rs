//! Snapshots: a row that says what one stands for, and its bytes in parts with checksums of their own.

use super::failure::{Failure, Outcome};
use super::ledger::{DocumentRow, Ledger};
use super::read::damaged_entry;
use driftline_core::base::codec::{Reader, Writer};
use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_core::log::clock::VectorClock;
use driftline_core::log::snapshot::{Base, Snapshot, SnapshotSummary};
use driftline_core::log::version::Version;
use driftline_core::store::beginning::check_snapshot;
use driftline_core::store::record::{decode_entry_record, encode_entry_record};
use driftline_core::store::task::{Position, SnapshotPart, StoreDone, StoredEntry};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes of a part; the last one is what remains.
const PART_BYTES: u64 = 256 * 1024;
/// Entries renumbered at a time.
const RENUMBERED_MAX: usize = 1_024;

/// A row of the snapshots table.
pub(super) struct SnapshotRow {
    pub(super) id: DocumentId,
    pub(super) space: SpaceId,
    pub(super) summary: SnapshotSummary,
}

impl SnapshotRow {
    /// The row of a document, by its number.
    pub(super) fn find(connection: &Connection, number: i64) -> Outcome<Option<Self>> {
        let mut statement = connection
            .prepare_cached("SELECT document, id, space, bytes, version, base, checksum FROM snapshots WHERE document = ?1")?;
        let mut rows = statement.query([number])?;
        rows.next()?.map(Self::read).transpose()
    }

    /// Reads and checks a row of `document, id, space, bytes, version, base, checksum`.
    pub(super) fn read(row: &Row<'_>) -> Outcome<Self> {
        let column = |at| row.get_ref(at)?.as_blob().map_err(|_| damaged("it is not as it was written"));
        let (version, base) = (column(4)?, column(5)?);
        let (id, space) = (DocumentId(row.get(1)?), SpaceId(row.get(2)?));
        let bytes = row.get::<_, i64>(3)? as u64;
        if row.get::<_, i64>(6)? != i64::from(row_checksum(id, space, bytes, version, base)) {
            return Err(damaged("the checksum of its row in the snapshots table does not fit"));
        }
        let version = Version::decode(&mut Reader::new(version)).map_err(damaged)?;
        let base = Base::decode(&mut Reader::new(base)).map_err(damaged)?;
        Ok(Self { id, space, summary: SnapshotSummary { version, bytes, base } })
    }

    pub(super) fn write(&self, connection: &Connection, number: i64) -> Outcome<()> {
        let Self { id, space, summary: SnapshotSummary { version, bytes, base } } = self;
        let encoded = |encode: &dyn Fn(&mut Writer)| {
            let mut writer = Writer::new();
            encode(&mut writer);
            writer.finish()
        };
        let (version, base) = (encoded(&|writer| version.encode(writer)), encoded(&|writer| base.encode(writer)));
        let checksum = i64::from(row_checksum(*id, *space, *bytes, &version, &base));
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO snapshots (document, id, space, bytes, version, base, checksum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![number, &id.0[..], &space.0[..], *bytes as i64, version, base, checksum])?;
        Ok(())
    }
}

/// Carries out a `PutSnapshot`.
pub(super) fn put(
    connection: &Connection,
    ledger: &mut Ledger,
    document: DocumentId,
    space: SpaceId,
    snapshot: &Snapshot,
    base: &Base,
) -> Outcome<StoreDone> {
    let row = match ledger.document(connection, document)? {
        Some(row) => row.clone(),
        None => ledger.add_document(document, space).clone(),
    };
    let held = row.held_base();
    check_snapshot(snapshot, &held).map_err(|reason| Failure::Damaged(reason.to_owned()))?;
    if row.end > 0 && row.space != space {
        return Err(Failure::Damaged(format!("it belongs to space {}, not to {space}", row.space)));
    }
    let (end, clock) = (snapshot.end(), &snapshot.version.clock);
    let log = Log { connection, row: &row, held: &held };
    let is_beginning = log.begins_with(ledger, clock, end)?;
    let fits = if is_beginning {
        base.position <= end && log.begins_with(ledger, &base.clock, base.position)?
    } else {
        base.position == end && base.clock == *clock
    };
    if !fits {
        let position = base.position;
        return Err(Failure::Damaged(format!("entries cannot be let go up to position {position} with that clock")));
    }
    let after = if is_beginning {
        log.let_go(&snapshot.version, base.position)?
    } else {
        log.let_go_anywhere(ledger, &snapshot.version)?
    };
    let summary = SnapshotSummary { version: snapshot.version.clone(), bytes: snapshot.bytes.len() as u64, base: base.clone() };
    SnapshotRow { id: document, space, summary: summary.clone() }.write(connection, row.number)?;
    write_parts(connection, &row, &snapshot.bytes)?;
    let row = ledger.document(connection, document)?.ok_or_else(|| Failure::Damaged("its row is gone".to_owned()))?;
    (row.end, row.version, row.bytes) = (after.version.clock.entries(), after.version, after.bytes);
    (row.base, row.beginning) = (base.position, Some(Arc::new(summary)));
    ledger.note_changed(document);
    Ok(StoreDone::SnapshotPut)
}

/// A log that is to begin with a snapshot.
struct Log<'a> {
    connection: &'a Connection,
    row: &'a DocumentRow,
    held: &'a Base,
}

/// A log as it stands then.
struct After {
    version: Version,
    bytes: u64,
}

impl Log<'_> {
    /// Whether a clock stands for exactly what the log holds up to a position: then the newest that it has of each actor is
    /// not behind it.
    fn begins_with(&self, ledger: &mut Ledger, clock: &VectorClock, end: Position) -> Outcome<bool> {
        let Self { connection, row, held } = self;
        if end > row.end || clock.entries() != end || !held.clock.is_within(clock) || !clock.is_within(&row.version.clock) {
            return Ok(false);
        }
        let mut place =
            connection.prepare_cached("SELECT position FROM entries WHERE document = ?1 AND actor = ?2 AND seq = ?3")?;
        for (actor, seq) in clock.iter().filter(|(actor, seq)| *seq > held.clock.get(actor)) {
            let missing = || Failure::Damaged(format!("entry {seq} of actor {actor} is missing"));
            let number = ledger.actor(connection, *actor)?.ok_or_else(missing)?;
            let position: Option<i64> = place.query_row(params![row.number, number, seq as i64], |row| row.get(0)).optional()?;
            if position.ok_or_else(missing)? as u64 > end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets go of the entries up to `base`, where the snapshot stands for the log's own beginning; the rest stays where it is.
    fn let_go(&self, version: &Version, base: Position) -> Outcome<After> {
        let Self { connection, row, .. } = self;
        let mut after = After { version: version.clone(), bytes: 0 };
        let begun = version.clock.entries();
        connection
            .prepare_cached("DELETE FROM entries WHERE document = ?1 AND position <= ?2")?
            .execute(params![row.number, base as i64])?;
        let mut kept = connection
            .prepare_cached("SELECT position, actor, seq, record FROM entries WHERE document = ?1 ORDER BY position")?;
        let mut rows = kept.query([row.number])?;
        let mut next = base + 1;
        while let Some(found) = rows.next()? {
            let stored = self.entry(found)?;
            let entry = &stored.entry;
            let follows = stored.position <= begun || entry.seq == after.version.clock.get(&entry.actor) + 1;
            if stored.position != next || !follows {
                return Err(Failure::Damaged(format!("entry {next} is missing")));
            }
            next += 1;
            after.bytes += entry.payload.len() as u64;
            if stored.position > begun {
                after.version.advance(entry);
            }
        }
        if next != row.end + 1 {
            return Err(Failure::Damaged(format!("entry {next} is missing")));
        }
        Ok(after)
    }

    /// Lets go of every entry that the snapshot stands for, and puts the rest behind it.
    fn let_go_anywhere(&self, ledger: &mut Ledger, version: &Version) -> Outcome<After> {
        let Self { connection, row, held } = self;
        let mut within = connection.prepare_cached("DELETE FROM entries WHERE document = ?1 AND actor = ?2 AND seq <= ?3")?;
        for (actor, seq) in version.clock.iter().filter(|(actor, seq)| *seq > held.clock.get(actor)) {
            if let Some(number) = ledger.actor(connection, *actor)? {
                within.execute(params![row.number, number, seq as i64])?;
            }
        }
        let mut after = After { version: version.clone(), bytes: 0 };
        after.version.clock.merge(&row.version.clock);
        // What stays moves up or not at all: from the last to the first, each to a place that is free.
        let mut next = after.version.clock.entries();
        let mut deps = BTreeSet::new();
        let mut before = row.end + 1;
        loop {
            let stored = self.entries_before(before)?;
            let Some(first) = stored.last() else { break };
            before = first.position;
            for StoredEntry { space, position, entry } in stored {
                if next < position {
                    return Err(damaged_entry(position, "it stands where another one should"));
                }
                if next > position {
                    let moved = encode_entry_record(&StoredEntry { space, position: next, entry: entry.clone() });
                    connection
                        .prepare_cached("UPDATE entries SET position = ?3, record = ?4 WHERE document = ?1 AND position = ?2")?
                        .execute(params![row.number, position as i64, next as i64, moved])?;
                }
                next -= 1;
                after.bytes += entry.payload.len() as u64;
                if !deps.contains(&entry.hash) {
                    after.version.heads.insert(entry.hash);
                }
                deps.extend(entry.deps.iter().copied());
            }
        }
        if next != version.clock.entries() {
            return Err(Failure::Damaged(format!("{} entries are missing", next.abs_diff(version.clock.entries()))));
        }
        after.version.heads.retain(|head| !deps.contains(head));
        Ok(after)
    }

    /// Some entries before a position, the last one first.
    fn entries_before(&self, before: Position) -> Outcome<Vec<StoredEntry>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT position, actor, seq, record FROM entries WHERE document = ?1 AND position < ?2
             ORDER BY position DESC LIMIT ?3",
        )?;
        let mut rows = statement.query(params![self.row.number, before as i64, RENUMBERED_MAX as i64])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(self.entry(row)?);
        }
        Ok(entries)
    }

    /// The entry in a row of `position, actor, seq, record`, once it checks out.
    fn entry(&self, row: &Row<'_>) -> Outcome<StoredEntry> {
        let position = row.get::<_, i64>(0)? as u64;
        let record = row.get_ref(3)?.as_blob().map_err(|_| damaged_entry(position, "it is not a record"))?;
        let stored = decode_entry_record(record).map_err(|error| damaged_entry(position, error))?;
        let fits = stored.position == position
            && stored.entry.document == self.row.id
            && stored.entry.seq == row.get::<_, i64>(2)? as u64;
        if fits { Ok(stored) } else { Err(damaged_entry(position, "it is another entry's record")) }
    }
}

/// Writes a snapshot's bytes, in parts, in place of those that were there.
pub(super) fn write_parts(connection: &Connection, row: &DocumentRow, bytes: &[u8]) -> Outcome<()> {
    connection.prepare_cached("DELETE FROM snapshot_parts WHERE document = ?1")?.execute([row.number])?;
    let mut insert =
        connection.prepare_cached("INSERT INTO snapshot_parts (document, start, part, checksum) VALUES (?1, ?2, ?3, ?4)")?;
    for (part, start) in bytes.chunks(PART_BYTES as usize).zip((0..).step_by(PART_BYTES as usize)) {
        insert.execute(params![row.number, start as i64, part, i64::from(part_checksum(row.id, start, part))])?;
    }
    Ok(())
}

/// Carries out a `ReadSnapshot`.
pub(super) fn read(
    connection: &Connection,
    ledger: &mut Ledger,
    document: DocumentId,
    offset: u64,
    bytes_max: usize,
) -> Outcome<StoreDone> {
    let Some(row) = ledger.document(connection, document)? else { return Ok(StoreDone::SnapshotRead { part: None }) };
    let Some(summary) = row.beginning.clone() else { return Ok(StoreDone::SnapshotRead { part: None }) };
    let (number, size) = (row.number, summary.bytes);
    let end = offset.saturating_add(bytes_max as u64).min(size);
    let mut found = Vec::with_capacity(end.saturating_sub(offset) as usize);
    if offset < end {
        let mut statement = connection.prepare_cached(
            "SELECT start, part, checksum FROM snapshot_parts WHERE document = ?1 AND start > ?2 AND start < ?3 ORDER BY start",
        )?;
        let mut rows = statement.query(params![number, offset as i64 - PART_BYTES as i64, end as i64])?;
        while let Some(row) = rows.next()? {
            let start = row.get::<_, i64>(0)? as u64;
            let part = row.get_ref(1)?.as_blob().map_err(|_| damaged("a part of its snapshot is not bytes"))?;
            if row.get::<_, i64>(2)? != i64::from(part_checksum(document, start, part)) {
                return Err(damaged(format!("the checksum of its snapshot's part from byte {start} does not fit")));
            }
            let next = offset + found.len() as u64;
            let wanted = next.checked_sub(start).and_then(|skipped| part.get(skipped as usize..)).unwrap_or_default();
            found.extend_from_slice(&wanted[..wanted.len().min((end - next) as usize)]);
        }
        if found.len() as u64 != end - offset {
            return Err(damaged(format!("its snapshot lacks bytes from {} on", offset + found.len() as u64)));
        }
    }
    let part = SnapshotPart { version: summary.version.clone(), size, offset, bytes: found.into() };
    Ok(StoreDone::SnapshotRead { part: Some(part) })
}

/// Reads all of a document's snapshot, and says what of it does not check out.
pub(super) fn read_whole(connection: &Connection, row: &DocumentRow) -> Outcome<Option<Vec<u8>>> {
    let Some(summary) = &row.beginning else { return Ok(None) };
    let mut statement =
        connection.prepare_cached("SELECT start, part, checksum FROM snapshot_parts WHERE document = ?1 ORDER BY start")?;
    let mut rows = statement.query([row.number])?;
    let (mut next, mut whole) = (0, Vec::new());
    while let Some(found) = rows.next()? {
        let start = found.get::<_, i64>(0)? as u64;
        let part = found.get_ref(1)?.as_blob().map_err(|_| damaged("a part of its snapshot is not bytes"))?;
        if start != next || found.get::<_, i64>(2)? != i64::from(part_checksum(row.id, start, part)) {
            return Err(damaged(format!("its snapshot's part from byte {start} is not the one that was written")));
        }
        next += part.len() as u64;
        whole.extend_from_slice(part);
    }
    if next == summary.bytes {
        Ok(Some(whole))
    } else {
        Err(damaged(format!("its snapshot has {next} bytes of {}", summary.bytes)))
    }
}

fn row_checksum(id: DocumentId, space: SpaceId, bytes: u64, version: &[u8], base: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.0);
    hasher.update(&space.0);
    hasher.update(&bytes.to_le_bytes());
    hasher.update(version);
    hasher.update(base);
    hasher.finalize()
}

fn part_checksum(id: DocumentId, start: u64, part: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.0);
    hasher.update(&start.to_le_bytes());
    hasher.update(part);
    hasher.finalize()
}

fn damaged(how: impl std::fmt::Display) -> Failure {
    Failure::Damaged(how.to_string())
}
