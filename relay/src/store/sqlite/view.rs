//! A store that is looked at and not touched: opened read-only, also while a relay is at work on it.
//!
//! A database whose log (`-wal`) is there is read through it, as every reader of SQLite does. One without a log is nobody's at
//! the moment, and reading it in the ordinary way would put a log and its index beside it; so it is opened as a file that
//! does not change, and [`StoreView::is_stale`] tells when that has not remained true.

use super::database::{APPLICATION_ID, BUSY_TIME_MAX, SCHEMA_VERSION};
use super::failure::{Failure, Outcome};
use super::folder::DATABASE_FILE;
use super::ledger::DocumentRow;
use super::recover::summary;
use super::snapshot::SnapshotRow;
use driftline_core::base::id::{DocumentId, StoreEpoch};
use driftline_core::store::task::StoredDocument;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Why a store cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// There is none.
    #[error("{} is no store: {reason}; name the folder that --data named when it was made", folder.display())]
    NotAStore {
        /// Where it was looked for.
        folder: PathBuf,
        /// A sentence for the operator.
        reason: String,
    },
    /// The system or SQLite refused.
    #[error("the store {} cannot be read: {reason}", file.display())]
    Unreadable {
        /// The database.
        file: PathBuf,
        /// What it said.
        reason: String,
    },
}

/// A store opened read-only.
pub struct StoreView {
    pub(super) connection: Connection,
    folder: PathBuf,
    file: PathBuf,
    /// What the file was when it was opened as one that does not change.
    unchanging: Option<FileState>,
    /// The version of its tables, which a view leaves as they are.
    pub(super) schema_version: i32,
}

/// A file's size and time, by which a change of it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Everything a store says of itself without its entries.
#[derive(Debug, Default)]
pub struct ViewedStore {
    /// The store's life.
    pub epoch: Option<StoreEpoch>,
    /// Documents held, in no order that matters.
    pub documents: Vec<StoredDocument>,
    /// Documents whose rows do not check out, with a sentence each.
    pub unreadable: Vec<String>,
    /// Documents that were set aside because they were damaged.
    pub quarantined: Vec<QuarantinedDocument>,
    /// Named values. One of them is the replica's secret key: see [`driftline_core::engine::stored`] for what may be shown.
    pub meta: Vec<(String, Vec<u8>)>,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Bytes of its log, which is folded into it now and then.
    pub log_bytes: u64,
}

/// A document that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedDocument {
    /// The document.
    pub document: DocumentId,
    /// When, in seconds since the Unix epoch.
    pub since: i64,
    /// Why.
    pub reason: String,
}

impl StoreView {
    /// Opens the store in `folder`; makes nothing, changes nothing, and needs no lock.
    pub fn open(folder: &Path) -> Result<Self, ViewError> {
        let not_a_store = |reason: &str| ViewError::NotAStore { folder: folder.to_owned(), reason: reason.to_owned() };
        let file = folder.join(DATABASE_FILE);
        if folder.is_file() {
            return Err(not_a_store("it is a file and not a folder"));
        }
        let missing = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound if folder.exists() => not_a_store(&format!("there is no {DATABASE_FILE} in it")),
            io::ErrorKind::NotFound => not_a_store("there is no such folder"),
            _ => ViewError::Unreadable { file: file.clone(), reason: error.to_string() },
        };
        let state = FileState::of(&file).map_err(missing)?;
        if state.bytes == 0 {
            return Err(not_a_store(&format!("the {DATABASE_FILE} in it is empty")));
        }
        let unchanging = (!log_of(&file).exists()).then_some(state);
        let connection = match unchanging {
            Some(_) => unchanging_name(&file).map_err(missing).and_then(|name| {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
                Connection::open_with_flags(name, flags).map_err(|error| unreadable(&file, error.into()))
            })?,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                Connection::open_with_flags(&file, flags).map_err(|error| unreadable(&file, error.into()))?
            }
        };
        let mut view = Self { connection, folder: folder.to_owned(), file, unchanging, schema_version: 0 };
        view.schema_version = view.prepare()?;
        Ok(view)
    }

    fn prepare(&self) -> Result<i32, ViewError> {
        let not_a_store = |reason: String| ViewError::NotAStore { folder: self.folder.clone(), reason };
        let read = || -> Outcome<(i32, i32)> {
            self.connection.busy_timeout(BUSY_TIME_MAX)?;
            self.connection.pragma_update(None, "query_only", true)?;
            self.connection.pragma_update(None, "cell_size_check", true)?;
            self.connection.pragma_update(None, "trusted_schema", false)?;
            let number = |name| self.connection.pragma_query_value(None, name, |row| row.get(0));
            Ok((number("application_id")?, number("user_version")?))
        };
        match read() {
            Ok((APPLICATION_ID, version @ ..=SCHEMA_VERSION)) => Ok(version),
            Ok((APPLICATION_ID, _)) => Err(ViewError::Unreadable {
                file: self.file.clone(),
                reason: "a newer version of driftline made it; update this one to read it".to_owned(),
            }),
            Ok(_) => Err(not_a_store(format!("the {DATABASE_FILE} in it is a database of another program"))),
            Err(failure) if failure.is_damage() => Err(not_a_store(format!("the {DATABASE_FILE} in it is not a database"))),
            Err(failure) => Err(self.unreadable(failure)),
        }
    }

    /// Whether the store was written to since it was opened in a way that this view cannot see: what was read may be wrong,
    /// and is to be read again from a view opened anew.
    pub fn is_stale(&self) -> bool {
        self.unchanging.is_some_and(|state| log_of(&self.file).exists() || FileState::of(&self.file).ok() != Some(state))
    }

    /// The database.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Everything but the entries, as it stood at one moment.
    pub fn store(&self) -> Result<ViewedStore, ViewError> {
        self.read_store().map_err(|failure| self.unreadable(failure))
    }

    fn read_store(&self) -> Outcome<ViewedStore> {
        // One moment for all of it.
        let moment = self.connection.unchecked_transaction()?;
        let mut store = ViewedStore {
            database_bytes: FileState::of(&self.file).map_or(0, |state| state.bytes),
            log_bytes: FileState::of(&log_of(&self.file)).map_or(0, |state| state.bytes),
            ..ViewedStore::default()
        };
        let epoch: Option<[u8; 16]> =
            moment.query_row("SELECT value FROM store WHERE name = 'epoch'", [], |row| row.get(0)).optional()?;
        store.epoch = epoch.map(StoreEpoch);
        let mut statement = moment.prepare(&format!(
            "SELECT {} FROM documents WHERE number NOT IN (SELECT number FROM quarantined)",
            document_columns(self.schema_version)
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match read_document(&moment, row, self.schema_version) {
                Ok(read) => store.documents.push(summary(read)),
                Err(failure) if failure.is_damage() => {
                    let number: i64 = row.get(0)?;
                    let name = row.get(1).map_or_else(|_| format!("number {number}"), |id| DocumentId(id).to_string());
                    store.unreadable.push(format!("document {name}: {}", failure.reason()));
                }
                Err(failure) => return Err(failure),
            }
        }
        let mut statement = moment.prepare("SELECT id, since, reason FROM quarantined ORDER BY number")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            store.quarantined.push(QuarantinedDocument {
                document: DocumentId(row.get(0)?),
                since: row.get(1)?,
                reason: row.get(2)?,
            });
        }
        let mut statement = moment.prepare("SELECT name, value FROM meta ORDER BY name")?;
        let values = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        store.meta = values.collect::<Result<_, _>>()?;
        Ok(store)
    }

    pub(super) fn unreadable(&self, failure: Failure) -> ViewError {
        unreadable(&self.file, failure)
    }
}

/// The columns of a document's row, in the order in which [`DocumentRow`] reads them.
pub(super) fn document_columns(schema_version: i32) -> &'static str {
    match schema_version {
        ..2 => "number, id, space, end, bytes, version, checksum, 0",
        _ => "number, id, space, end, bytes, version, checksum, base",
    }
}

/// A document's row, with what the snapshots table says of it.
pub(super) fn read_document(connection: &Connection, row: &Row<'_>, schema_version: i32) -> Outcome<DocumentRow> {
    let mut read = DocumentRow::read(row)?;
    if schema_version >= 2 {
        read.begin_with(SnapshotRow::find(connection, read.number)?)?;
    }
    Ok(read)
}

impl FileState {
    fn of(file: &Path) -> io::Result<Self> {
        let of_file = std::fs::metadata(file)?;
        Ok(Self { bytes: of_file.len(), modified: of_file.modified().ok() })
    }
}

fn unreadable(file: &Path, failure: Failure) -> ViewError {
    ViewError::Unreadable { file: file.to_owned(), reason: failure.reason() }
}

/// The database's log.
fn log_of(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push("-wal");
    PathBuf::from(name)
}

/// The name under which SQLite opens a file as one that does not change.
fn unchanging_name(file: &Path) -> io::Result<String> {
    use std::fmt::Write as _;
    let absolute = file.canonicalize()?;
    let mut name = "file:".to_owned();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => name.push(char::from(*byte)),
            // Writing to a string does not fail.
            byte => drop(write!(name, "%{byte:02X}")),
        }
    }
    name.push_str("?immutable=1");
    Ok(name)
}
