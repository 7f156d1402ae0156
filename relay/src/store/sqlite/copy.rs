//! Copying a store as a journal, for a backup: everything it holds at one moment, also while a program is at work on it.

use super::failure::{Failure, Outcome};
use super::ledger::DocumentRow;
use super::read::damaged_entry;
use super::snapshot;
use super::view::{StoreView, ViewError, document_columns, read_document};
use driftline_core::base::id::{DocumentId, SpaceId, StoreEpoch};
use driftline_core::engine::stored::IDENTITY_KEY;
use driftline_core::log::snapshot::Snapshot;
use driftline_core::store::copy::{CopyError, JournalCopy};
use driftline_core::store::record::decode_entry_record;
use driftline_core::store::task::StoredEntry;
use rusqlite::{Connection, OptionalExtension as _, Row};
use std::collections::BTreeSet;

/// What has been copied so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Documents to be copied.
    pub documents_total: u64,
    /// Documents copied.
    pub documents: u64,
    /// Their spaces.
    pub spaces: BTreeSet<SpaceId>,
    /// Their changes, those in snapshots included.
    pub changes: u64,
    /// Named values copied.
    pub values: u64,
    /// Documents that were set aside before: they are not copied.
    pub quarantined: u64,
    /// What does not check out, with a sentence each: it is not copied.
    pub damaged: Vec<String>,
}

/// A store as a journal.
pub struct StoreCopy {
    /// The journal, without the replica's secret key.
    pub journal: Vec<u8>,
    /// That key, where the store keeps one.
    pub identity: Option<[u8; 32]>,
    /// What is in it.
    pub copied: Copied,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum StoreCopyError {
    /// It cannot be read at the moment.
    #[error(transparent)]
    View(#[from] ViewError),
    /// It holds more than was asked for.
    #[error("the store holds more than {bytes_max} bytes")]
    TooLarge {
        /// What was asked for.
        bytes_max: usize,
    },
}

/// Why copying ends early.
enum Stop {
    Failed(Failure),
    TooLarge,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<CopyError> for Stop {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Full { .. } => Self::TooLarge,
            CopyError::Record(error) => Self::Failed(Failure::Damaged(error.to_string())),
        }
    }
}

impl StoreView {
    /// Copies all of it into a journal of at most so many bytes; `progress` is told how far it has come, after each document. What does not check
    /// out is left out, and said.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is larger.
    pub fn copy(&self, bytes_max: usize, progress: &mut dyn FnMut(&Copied)) -> Result<StoreCopy, StoreCopyError> {
        copy(&self.connection, self.schema_version, bytes_max, progress).map_err(|stop| match stop {
            Stop::Failed(failure) => StoreCopyError::View(self.unreadable(failure)),
            Stop::TooLarge => StoreCopyError::TooLarge { bytes_max },
        })
    }

    /// The value of this name; nothing where there is none.
    pub fn named(&self, name: &str) -> Result<Option<Vec<u8>>, ViewError> {
        let found = self.connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional();
        found.map_err(|error| self.unreadable(error.into()))
    }
}

fn copy(
    connection: &Connection,
    schema_version: i32,
    bytes_max: usize,
    progress: &mut dyn FnMut(&Copied),
) -> Result<StoreCopy, Stop> {
    // One moment for all of it: who restores it must find words and what they are about as they stood beside each other.
    let moment = connection.unchecked_transaction()?;
    let count = |sql: &str| moment.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|count| count as u64);
    let mut copied = Copied {
        documents_total: count("SELECT count(*) FROM documents WHERE number NOT IN (SELECT number FROM quarantined)")?,
        quarantined: count("SELECT count(*) FROM quarantined")?,
        ..Copied::default()
    };
    // What will not fit is seen before it is read.
    let snapshots = if schema_version >= 2 { "+ (SELECT coalesce(sum(bytes), 0) FROM snapshots)" } else { "" };
    if count(&format!("SELECT coalesce(sum(bytes), 0) {snapshots} FROM documents"))? > bytes_max as u64 {
        return Err(Stop::TooLarge);
    }
    let epoch: Option<[u8; 16]> =
        moment.query_row("SELECT value FROM store WHERE name = 'epoch'", [], |row| row.get(0)).optional()?;
    let mut journal = JournalCopy::begin(StoreEpoch(epoch.unwrap_or_default()), bytes_max)?;
    let mut statement = moment.prepare(&format!(
        "SELECT {} FROM documents WHERE number NOT IN (SELECT number FROM quarantined) ORDER BY number",
        document_columns(schema_version)
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let before = journal.bytes();
        match copy_document(&moment, row, schema_version, &mut journal) {
            Ok(row) => {
                copied.documents += 1;
                copied.changes += row.version.clock.entries();
                copied.spaces.insert(row.space);
            }
            Err(Stop::Failed(failure)) if failure.is_damage() => {
                journal.take_back(before);
                let name = row.get(1).map_or_else(|_| "a document".to_owned(), |id| format!("document {}", DocumentId(id)));
                copied.damaged.push(format!("{name}: {}", failure.reason()));
            }
            Err(stop) => return Err(stop),
        }
        progress(&copied);
    }
    let identity = copy_values(&moment, &mut journal, &mut copied)?;
    Ok(StoreCopy { journal: journal.finish()?, identity, copied })
}

/// Copies one document, and says what of it does not check out.
fn copy_document(
    connection: &Connection,
    row: &Row<'_>,
    schema_version: i32,
    journal: &mut JournalCopy,
) -> Result<DocumentRow, Stop> {
    let row = read_document(connection, row, schema_version)?;
    let (base, begun) = (row.held_base(), row.beginning.as_ref().map_or(0, |summary| summary.version.clock.entries()));
    let mut clock = base.clock.clone();
    let mut next = base.position + 1;
    // Those that the snapshot stands for go with it.
    let mut within = Vec::new();
    let mut beginning = snapshot::read_whole(connection, &row)?
        .zip(row.beginning.as_ref())
        .map(|(bytes, summary)| Snapshot { version: summary.version.clone(), bytes: bytes.into() });
    let mut statement =
        connection.prepare_cached("SELECT position, record FROM entries WHERE document = ?1 ORDER BY position")?;
    let mut rows = statement.query([row.number])?;
    loop {
        let stored = rows.next()?.map(|found| entry(found, &row)).transpose()?;
        if stored.as_ref().is_none_or(|stored| stored.position > begun)
            && let Some(snapshot) = beginning.take()
        {
            journal.beginning(row.id, row.space, base.clone(), snapshot, std::mem::take(&mut within))?;
        }
        let Some(stored) = stored else { break };
        let (actor, seq) = (stored.entry.actor, stored.entry.seq);
        if stored.position != next || seq != clock.get(&actor) + 1 {
            return Err(damaged_entry(stored.position, "what comes before it is missing").into());
        }
        clock.raise(actor, seq);
        next += 1;
        if stored.position <= begun {
            within.push(stored.entry);
        } else {
            journal.entry(stored)?;
        }
    }
    if next != row.end + 1 || clock != row.version.clock {
        return Err(Failure::Damaged(format!("its entries after {} are missing", next - 1)).into());
    }
    Ok(row)
}

/// The entry in a row of `position, record`, once it checks out.
fn entry(found: &Row<'_>, row: &DocumentRow) -> Outcome<StoredEntry> {
    let position = found.get::<_, i64>(0)? as u64;
    let record = found.get_ref(1)?.as_blob().map_err(|_| damaged_entry(position, "it is not a record"))?;
    let stored = decode_entry_record(record).map_err(|error| damaged_entry(position, error))?;
    let fits = stored.position == position && stored.entry.document == row.id && stored.space == row.space;
    if fits { Ok(stored) } else { Err(damaged_entry(position, "it is another entry's record")) }
}

/// Copies the named values but for the secret key, which is answered: what is sealed under it need not hold it.
fn copy_values(connection: &Connection, journal: &mut JournalCopy, copied: &mut Copied) -> Result<Option<[u8; 32]>, Stop> {
    let mut identity = None;
    let mut statement = connection.prepare("SELECT name, value, checksum FROM meta ORDER BY name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, value, checksum): (String, Vec<u8>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if checksum != i64::from(crc32fast::hash(&value)) {
            copied.damaged.push(format!("the value named {name}: its checksum does not fit"));
        } else if name == IDENTITY_KEY {
            identity = value.try_into().ok();
        } else {
            journal.value(name, value)?;
            copied.values += 1;
        }
    }
    Ok(identity)
}
