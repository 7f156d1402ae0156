//! Opening: one pass over the documents table, whatever state it is in.
//!
//! A row that does not check out, or a page that cannot be read, costs the documents on it and no others. Their entries
//! are in another table, and each entry's record says whose it is: a document whose entries are all there, from its snapshot
//! on if it has one, is put together from them again; one whose entries are not is set aside and reported.

use super::failure::{Failure, Outcome};
use super::ledger::DocumentRow;
use super::snapshot::SnapshotRow;
use super::write::set_aside;
use driftline_core::base::id::{DocumentId, StoreEpoch};
use driftline_core::log::version::Version;
use driftline_core::store::record::decode_entry_record;
use driftline_core::store::task::{StoreContents, StoredDocument};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Carries out an `Open`; answers what is held, and the number of the next new document.
///
/// Everything is read outside of transactions: in SQLite, one that meets a damaged page can write nothing after it.
pub(super) fn open(connection: &Connection, epoch: StoreEpoch) -> Outcome<(StoreContents, i64)> {
    let mut contents = StoreContents { epoch: Some(store_epoch(connection, epoch)?), ..StoreContents::default() };
    let mut next_number = next_number(connection)?;
    let aside = numbers(connection, "SELECT number FROM quarantined").unwrap_or_default();
    let mut scan = Scan { aside, ..Scan::default() };
    scan.documents(connection, 0, i64::MAX)?;
    if scan.skipped {
        scan.find_unread(connection);
    }
    scan.snapshots(connection)?;
    for damaged in std::mem::take(&mut scan.damaged) {
        match rebuild(connection, &damaged, next_number) {
            Ok(row) => {
                tracing::warn!(document = %row.id, "its row was damaged ({}) and was made again from its entries", damaged.reason);
                next_number += 1;
                contents.documents.push(summary(row));
            }
            Err(failure) => give_up(connection, damaged, &failure, &mut contents)?,
        }
    }
    contents.documents.extend(scan.held.into_iter().map(summary));
    read_meta(connection, &mut contents)?;
    Ok((contents, next_number))
}

/// Sets a document aside that cannot be put together again, and reports it.
fn give_up(connection: &Connection, damaged: Damaged, failure: &Failure, contents: &mut StoreContents) -> Outcome<()> {
    let Damaged { number, id, reason } = damaged;
    let also = match failure {
        Failure::Damaged(also) => also.clone(),
        failure => format!("{failure:?}"),
    };
    let sentence = format!(
        "document number {number} of the store is damaged ({reason}; {also}): it was set aside, and is fetched again from peers that hold it"
    );
    match id {
        Some(id) => {
            set_aside(connection, number, id, &format!("{reason}; {also}"))?;
            contents.damaged.push((id, sentence));
        }
        None => contents.lost.push(sentence),
    }
    Ok(())
}

/// A row as the engine is told of it.
pub(super) fn summary(row: DocumentRow) -> StoredDocument {
    StoredDocument {
        document: row.id,
        space: row.space,
        version: row.version,
        end: row.end,
        bytes: row.bytes,
        snapshot: row.beginning.map(|summary| Box::new(Arc::unwrap_or_clone(summary))),
    }
}

fn store_epoch(connection: &Connection, epoch: StoreEpoch) -> Outcome<StoreEpoch> {
    let held: Option<[u8; 16]> =
        connection.query_row("SELECT value FROM store WHERE name = 'epoch'", [], |row| row.get(0)).optional()?;
    if let Some(held) = held {
        return Ok(StoreEpoch(held));
    }
    connection.execute("INSERT INTO store (name, value) VALUES ('epoch', ?1)", [&epoch.0[..]])?;
    Ok(epoch)
}

/// A number above any that was used, also by rows that can no longer be read.
fn next_number(connection: &Connection) -> Outcome<i64> {
    let mut highest = 0;
    for sql in [
        "SELECT max(number) FROM documents",
        "SELECT max(document) FROM entries",
        "SELECT max(document) FROM snapshots",
        "SELECT max(number) FROM quarantined",
    ] {
        match connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)) {
            Ok(number) => highest = highest.max(number.unwrap_or(0)),
            Err(error) => {
                let failure = Failure::from(error);
                if !failure.is_damage() {
                    return Err(failure);
                }
            }
        }
    }
    Ok(highest + 1)
}

fn numbers(connection: &Connection, sql: &str) -> Outcome<BTreeSet<i64>> {
    let mut statement = connection.prepare(sql)?;
    let numbers = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(numbers)
}

/// A document whose row is damaged.
struct Damaged {
    number: i64,
    /// Where it could be learned.
    id: Option<DocumentId>,
    reason: String,
}

/// A pass over the documents table that steps over what it cannot read.
#[derive(Default)]
struct Scan {
    aside: BTreeSet<i64>,
    held: Vec<DocumentRow>,
    damaged: Vec<Damaged>,
    skipped: bool,
}

impl Scan {
    /// Reads the rows with numbers in `from..=to`. Where a page stops it, it halves what is left and tries each half, so
    /// that what lies beyond the page is reached in about as many tries as the numbers have bits.
    fn documents(&mut self, connection: &Connection, from: i64, to: i64) -> Outcome<()> {
        let mut next = from;
        match self.run_of_documents(connection, &mut next, to) {
            Ok(()) => Ok(()),
            Err(failure) if failure.is_damage() => {
                self.skipped = true;
                let last = to.min(highest_readable(connection, to)?);
                if next >= last {
                    return Ok(());
                }
                let middle = next + (last - next) / 2;
                self.documents(connection, next, middle)?;
                self.documents(connection, middle + 1, last)
            }
            Err(failure) => Err(failure),
        }
    }

    fn run_of_documents(&mut self, connection: &Connection, next: &mut i64, to: i64) -> Outcome<()> {
        let mut statement = connection.prepare_cached(
            "SELECT number, id, space, end, bytes, version, checksum, base FROM documents
             WHERE number BETWEEN ?1 AND ?2 ORDER BY number",
        )?;
        let mut rows = statement.query(params![*next, to])?;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            if !self.aside.contains(&number) {
                match DocumentRow::read(row) {
                    Ok(read) => self.held.push(read),
                    Err(failure) if failure.is_damage() => {
                        self.damaged.push(Damaged { number, id: row.get(1).ok().map(DocumentId), reason: reason_of(failure) });
                    }
                    Err(failure) => return Err(failure),
                }
            }
            *next = number + 1;
        }
        Ok(())
    }

    /// Tells the documents of their snapshots; one that does not fit makes its document a damaged one.
    fn snapshots(&mut self, connection: &Connection) -> Outcome<()> {
        let all = match all_snapshots(connection) {
            Ok(all) => Some(all),
            // A page that cannot be read: each is looked up, so that those on other pages are found.
            Err(failure) if failure.is_damage() => None,
            Err(failure) => return Err(failure),
        };
        for mut row in std::mem::take(&mut self.held) {
            let found = match &all {
                Some(all) if !all.contains(&row.number) => Ok(None),
                _ => SnapshotRow::find(connection, row.number),
            };
            match found.and_then(|found| row.begin_with(found)) {
                Ok(()) => self.held.push(row),
                Err(failure) if failure.is_damage() => {
                    self.damaged.push(Damaged { number: row.number, id: Some(row.id), reason: reason_of(failure) });
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Adds to the damaged documents those whose rows could not be read: the index by id and the entries know of them.
    fn find_unread(&mut self, connection: &Connection) {
        let mut known = self.aside.clone();
        known.extend(self.held.iter().map(|row| row.number));
        known.extend(self.damaged.iter().map(|damaged| damaged.number));
        let reason = || "its row in the documents table cannot be read".to_owned();
        let by_id =
            connection.prepare("SELECT number, id FROM documents INDEXED BY documents_by_id").and_then(|mut statement| {
                let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
                // An index that breaks off tells of those before the break.
                Ok(rows.map_while(Result::ok).collect::<Vec<_>>())
            });
        for (number, id) in by_id.unwrap_or_default() {
            if known.insert(number) {
                self.damaged.push(Damaged { number, id: Some(DocumentId(id)), reason: reason() });
            }
        }
        for number in documents_with_entries(connection) {
            if known.insert(number) {
                self.damaged.push(Damaged { number, id: None, reason: reason() });
            }
        }
    }
}

fn reason_of(failure: Failure) -> String {
    match failure {
        Failure::Damaged(reason) => reason,
        _ => "its row makes no sense".to_owned(),
    }
}

/// The numbers of documents that have a snapshot.
fn all_snapshots(connection: &Connection) -> Outcome<BTreeSet<i64>> {
    numbers(connection, "SELECT document FROM snapshots")
}

/// The highest number not above `to`, as far as the table or its index can tell.
fn highest_readable(connection: &Connection, to: i64) -> Outcome<i64> {
    let mut highest = 0;
    for sql in [
        "SELECT max(number) FROM documents WHERE number <= ?1",
        "SELECT max(number) FROM documents INDEXED BY documents_by_id WHERE id >= x'' AND number <= ?1",
        "SELECT max(document) FROM entries WHERE document <= ?1",
        "SELECT max(document) FROM snapshots WHERE document <= ?1",
    ] {
        if let Ok(Some(number)) = connection.query_row(sql, [to], |row| row.get::<_, Option<i64>>(0)) {
            highest = highest.max(number);
        }
    }
    Ok(highest)
}

/// The numbers that the tables of entries and of snapshots know, each found by a jump from the one before.
fn documents_with_entries(connection: &Connection) -> Vec<i64> {
    let mut numbers = Vec::new();
    for sql in
        ["SELECT min(document) FROM entries WHERE document > ?1", "SELECT min(document) FROM snapshots WHERE document > ?1"]
    {
        let mut last = 0;
        while let Ok(Some(number)) = connection.query_row(sql, [last], |row| row.get::<_, Option<i64>>(0)) {
            numbers.push(number);
            last = number;
        }
    }
    numbers
}

/// Makes a document's row again from its entries, under a new number with copies of them, and sets the old number aside.
fn rebuild(connection: &Connection, damaged: &Damaged, number: i64) -> Outcome<DocumentRow> {
    let row = read_row_from_entries(connection, damaged, number)?;
    let transaction = connection.unchecked_transaction()?;
    let mut copies = vec![
        "INSERT INTO entries (document, position, actor, seq, hash, record)
         SELECT ?1, position, actor, seq, hash, record FROM entries WHERE document = ?2",
    ];
    if row.beginning.is_some() {
        copies.extend([
            "INSERT INTO snapshots (document, id, space, bytes, version, base, checksum)
             SELECT ?1, id, space, bytes, version, base, checksum FROM snapshots WHERE document = ?2",
            "INSERT INTO snapshot_parts (document, start, part, checksum)
             SELECT ?1, start, part, checksum FROM snapshot_parts WHERE document = ?2",
        ]);
    }
    for copy in copies {
        connection.execute(copy, params![number, damaged.number])?;
    }
    row.write(connection)?;
    set_aside(connection, damaged.number, row.id, &format!("{}; copied to number {number}", damaged.reason))?;
    transaction.commit()?;
    Ok(row)
}

fn read_row_from_entries(connection: &Connection, damaged: &Damaged, number: i64) -> Outcome<DocumentRow> {
    // Without its snapshot a log that let go of entries is missing them, and one that let go of none is whole.
    let begun = match SnapshotRow::find(connection, damaged.number) {
        Err(failure) if !failure.is_damage() => return Err(failure),
        found => found.ok().flatten(),
    };
    let mut row = begun.map(|SnapshotRow { id, space, summary }| DocumentRow {
        number,
        id,
        space,
        end: summary.base.position,
        bytes: 0,
        version: summary.version.clone(),
        base: summary.base.position,
        beginning: Some(Arc::new(summary)),
    });
    let mut clock = row.as_ref().map(|row| row.held_base().clock).unwrap_or_default();
    let begun = row.as_ref().map_or(0, |row| row.version.clock.entries());
    let mut statement = connection.prepare("SELECT position, record FROM entries WHERE document = ?1 ORDER BY position")?;
    let mut rows = statement.query([damaged.number])?;
    while let Some(found) = rows.next()? {
        let position = found.get::<_, i64>(0)? as u64;
        let record = found.get_ref(1)?.as_blob().map_err(|_| Failure::Damaged(format!("entry {position} is not a record")))?;
        let stored = decode_entry_record(record).map_err(|error| Failure::Damaged(format!("entry {position}: {error}")))?;
        let entry = &stored.entry;
        let row = row.get_or_insert_with(|| DocumentRow {
            number,
            id: entry.document,
            space: stored.space,
            end: 0,
            bytes: 0,
            version: Version::new(),
            base: 0,
            beginning: None,
        });
        let follows = position == row.end + 1
            && stored.position == position
            && entry.document == row.id
            && entry.seq == clock.get(&entry.actor) + 1
            && (position <= begun || entry.seq == row.version.clock.get(&entry.actor) + 1);
        if !follows {
            return Err(Failure::Damaged(format!("entry {} is missing", row.end + 1)));
        }
        row.end = position;
        row.bytes += entry.payload.len() as u64;
        clock.raise(entry.actor, entry.seq);
        if position > begun {
            row.version.advance(entry);
        }
    }
    row.filter(|row| damaged.id.is_none_or(|id| id == row.id) && row.end > 0 && row.end >= begun)
        .ok_or_else(|| Failure::Damaged("its entries are not all there".to_owned()))
}

fn read_meta(connection: &Connection, contents: &mut StoreContents) -> Outcome<()> {
    let mut statement = connection.prepare("SELECT name, value, checksum FROM meta")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, value, checksum): (String, Vec<u8>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if checksum == i64::from(crc32fast::hash(&value)) {
            contents.meta.push((name, value));
        } else {
            contents.lost.push(format!("the value named {name} in the store is damaged and was left out"));
        }
    }
    Ok(())
}
