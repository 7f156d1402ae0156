//! What the executor knows by heart: the rows of documents in use and the numbers of actors, so that an append touches the
//! tables only to write. Everything in here can be forgotten at any time and read again.

use super::failure::{Failure, Outcome};
use super::snapshot::SnapshotRow;
use driftline_core::base::codec::{Reader, Writer};
use driftline_core::base::id::{ActorId, DocumentId, SpaceId};
use driftline_core::log::snapshot::{Base, SnapshotSummary};
use driftline_core::log::version::Version;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Documents remembered; above it all are forgotten.
const DOCUMENTS_MAX: usize = 4_096;
/// Bytes of their versions when they were read; above it all are forgotten.
const VERSIONS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Actors remembered; above it all are forgotten.
const ACTORS_MAX: usize = 65_536;

/// A row of the documents table.
#[derive(Clone, Debug)]
pub(super) struct DocumentRow {
    pub(super) number: i64,
    pub(super) id: DocumentId,
    pub(super) space: SpaceId,
    pub(super) end: u64,
    pub(super) bytes: u64,
    pub(super) version: Version,
    /// The last position that is not held as an entry.
    pub(super) base: u64,
    /// The snapshot it begins with; unknown until [`Self::begin_with`].
    pub(super) beginning: Option<Arc<SnapshotSummary>>,
}

/// Rows and numbers in use.
#[derive(Default)]
pub(super) struct Ledger {
    documents: BTreeMap<DocumentId, DocumentRow>,
    versions_bytes: usize,
    actors: BTreeMap<ActorId, i64>,
    /// Documents whose row differs from the table's.
    changed: BTreeSet<DocumentId>,
    /// Documents whose last append failed: entries that were already on their way behind it do not fit, through no fault
    /// of theirs.
    failed: BTreeSet<DocumentId>,
    /// The number of the next new document.
    next_number: i64,
}

impl Ledger {
    /// Nothing known, and new documents numbered from here.
    pub(super) fn starting_at(next_number: i64) -> Self {
        Self { next_number, ..Self::default() }
    }

    /// Forgets everything, after a transaction came to nothing. Numbers are not handed out again.
    pub(super) fn forget(&mut self) {
        *self = Self { failed: std::mem::take(&mut self.failed), ..Self::starting_at(self.next_number) };
    }

    /// Whether the last append of a document failed.
    pub(super) fn has_failed(&self, document: &DocumentId) -> bool {
        self.failed.contains(document)
    }

    /// Notes how an append or a snapshot of these documents ended.
    pub(super) fn note_growth(&mut self, documents: impl Iterator<Item = DocumentId>, failed: bool) {
        for document in documents {
            if failed {
                self.failed.insert(document);
            } else {
                self.failed.remove(&document);
            }
        }
    }

    /// Forgets one document, which is no longer held.
    pub(super) fn forget_document(&mut self, document: &DocumentId) {
        self.documents.remove(document);
        self.changed.remove(document);
        self.failed.remove(document);
    }

    /// The row of a document that is held.
    pub(super) fn document(&mut self, connection: &Connection, document: DocumentId) -> Outcome<Option<&mut DocumentRow>> {
        if !self.documents.contains_key(&document) {
            let Some(row) = find_document(connection, document)? else { return Ok(None) };
            let is_full = self.documents.len() >= DOCUMENTS_MAX || self.versions_bytes > VERSIONS_BYTES_MAX;
            if is_full && self.changed.is_empty() {
                self.documents.clear();
                self.versions_bytes = 0;
            }
            self.versions_bytes += row.version.weight() + row.beginning.as_ref().map_or(0, |summary| summary.weight());
            self.documents.insert(document, row);
        }
        Ok(self.documents.get_mut(&document))
    }

    /// Makes a row for a document that is not held.
    pub(super) fn add_document(&mut self, document: DocumentId, space: SpaceId) -> &mut DocumentRow {
        let number = self.next_number;
        self.next_number += 1;
        self.documents.entry(document).or_insert(DocumentRow {
            number,
            id: document,
            space,
            end: 0,
            bytes: 0,
            version: Version::new(),
            base: 0,
            beginning: None,
        })
    }

    /// Notes that a document's row must be written before the transaction ends.
    pub(super) fn note_changed(&mut self, document: DocumentId) {
        self.changed.insert(document);
    }

    /// Writes the rows that changed.
    pub(super) fn write_changed(&mut self, connection: &Connection) -> Outcome<()> {
        for document in std::mem::take(&mut self.changed) {
            if let Some(row) = self.documents.get(&document) {
                row.write(connection)?;
            }
        }
        Ok(())
    }

    /// The number of an actor that has one.
    pub(super) fn actor(&mut self, connection: &Connection, actor: ActorId) -> Outcome<Option<i64>> {
        if let Some(number) = self.actors.get(&actor) {
            return Ok(Some(*number));
        }
        let mut statement = connection.prepare_cached("SELECT number FROM actors WHERE id = ?1")?;
        let number: Option<i64> = statement.query_row([actor.as_bytes()], |row| row.get(0)).optional()?;
        if let Some(number) = number {
            self.remember_actor(actor, number);
        }
        Ok(number)
    }

    /// The number of an actor, made where there is none.
    pub(super) fn actor_or_new(&mut self, connection: &Connection, actor: ActorId) -> Outcome<i64> {
        if let Some(number) = self.actor(connection, actor)? {
            return Ok(number);
        }
        connection.prepare_cached("INSERT INTO actors (id) VALUES (?1)")?.execute([actor.as_bytes()])?;
        let number = connection.last_insert_rowid();
        self.remember_actor(actor, number);
        Ok(number)
    }

    fn remember_actor(&mut self, actor: ActorId, number: i64) {
        if self.actors.len() >= ACTORS_MAX {
            self.actors.clear();
        }
        self.actors.insert(actor, number);
    }
}

fn find_document(connection: &Connection, document: DocumentId) -> Outcome<Option<DocumentRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT number, id, space, end, bytes, version, checksum, base FROM documents
         WHERE id = ?1 AND number NOT IN (SELECT number FROM quarantined) ORDER BY number DESC LIMIT 1",
    )?;
    let mut rows = statement.query([&document.0[..]])?;
    let Some(mut row) = rows.next()?.map(DocumentRow::read).transpose()? else { return Ok(None) };
    row.begin_with(SnapshotRow::find(connection, row.number)?)?;
    Ok(Some(row))
}

impl DocumentRow {
    /// Reads and checks a row of `number, id, space, end, bytes, version, checksum, base`.
    pub(super) fn read(row: &Row<'_>) -> Outcome<Self> {
        let encoded = row.get_ref(5)?.as_blob().map_err(|_| damaged_row())?;
        let version =
            Version::decode(&mut Reader::new(encoded)).map_err(|error| Failure::Damaged(format!("its version: {error}")))?;
        let read = Self {
            number: row.get(0)?,
            id: DocumentId(row.get(1)?),
            space: SpaceId(row.get(2)?),
            end: row.get::<_, i64>(3)? as u64,
            bytes: row.get::<_, i64>(4)? as u64,
            version,
            base: row.get::<_, i64>(7)? as u64,
            beginning: None,
        };
        // Signed or not: stores of schema version 1 have it unsigned.
        if row.get::<_, i64>(6)? as u32 != read.checksum(encoded) {
            return Err(damaged_row());
        }
        Ok(read)
    }

    /// Takes in what the snapshots table says of it, or says why the two do not fit.
    pub(super) fn begin_with(&mut self, snapshot: Option<SnapshotRow>) -> Outcome<()> {
        let base = snapshot.as_ref().map_or(0, |found| found.summary.base.position);
        let fits = snapshot.as_ref().is_none_or(|SnapshotRow { id, space, summary }| {
            (*id, *space) == (self.id, self.space) && summary.version.clock.is_within(&self.version.clock)
        });
        if base != self.base || !fits {
            return Err(Failure::Damaged("its row in the snapshots table is missing, or of another snapshot".to_owned()));
        }
        self.beginning = snapshot.map(|found| Arc::new(found.summary));
        Ok(())
    }

    /// Up to where its log holds nothing but a snapshot.
    pub(super) fn held_base(&self) -> Base {
        self.beginning.as_ref().map(|summary| summary.base.clone()).unwrap_or_default()
    }

    pub(super) fn write(&self, connection: &Connection) -> Outcome<()> {
        let mut writer = Writer::new();
        self.version.encode(&mut writer);
        let version = writer.finish();
        // Signed, it takes 4 bytes whatever it is but for one in 256: a row that does not grow never needs the pages beside its own,
        // of which one may be damaged.
        let checksum = self.checksum(&version) as i32;
        connection
            .prepare_cached(
                "INSERT INTO documents (number, id, space, end, bytes, version, checksum, base)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (number) DO UPDATE SET end = ?4, bytes = ?5, version = ?6, checksum = ?7, base = ?8",
            )?
            .execute(params![
                self.number,
                &self.id.0[..],
                &self.space.0[..],
                self.end as i64,
                self.bytes as i64,
                version,
                checksum,
                self.base as i64
            ])?;
        Ok(())
    }

    fn checksum(&self, version: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.id.0);
        hasher.update(&self.space.0);
        hasher.update(&self.end.to_le_bytes());
        hasher.update(&self.bytes.to_le_bytes());
        hasher.update(version);
        if self.base > 0 {
            // Rows of documents without a base are as they were before there were any.
            hasher.update(&self.base.to_le_bytes());
        }
        hasher.finalize()
    }
}

fn damaged_row() -> Failure {
    Failure::Damaged("the checksum of its row in the documents table does not fit".to_owned())
}
