//! What is remembered of a folder: which document each file is, and which version of it the file was when last in step.
//!
//! Kept in a small database in the data directory, durable before anything that depends on it is done. What the file held
//! is not kept again: its document still knows. Before a file is written it is noted what will stand there, so that a
//! process that ends in between does not take its own writing for an edit.

use super::error::FolderError;
use super::record::Origin;
use driftline_core::base::id::{ChangeHash, DocumentId};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The database's name in the data directory.
pub const STATE_FILE: &str = "folder.sqlite";

/// The space, as its id, that a data directory remembers; nothing where it remembers none, or cannot be read.
pub fn remembered_space(data: &Path) -> Option<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(data.join(STATE_FILE), flags).ok()?;
    database.query_row("SELECT value FROM about WHERE name = 'space'", [], |row| row.get(0)).ok()
}

/// What the relays of a data directory are remembered by.
const RELAYS: &str = "relays";

/// The relays that a data directory remembers, as the link named them by which its space was joined; none where it remembers none, or cannot be read.
pub fn remembered_relays(data: &Path) -> Vec<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(database) = Connection::open_with_flags(data.join(STATE_FILE), flags) else { return Vec::new() };
    let read = database.query_row("SELECT value FROM about WHERE name = ?1", [RELAYS], |row| row.get::<_, String>(0));
    read.map_or_else(|_| Vec::new(), |relays| relays.lines().map(str::to_owned).collect())
}

/// Remembers these relays in a data directory, in place of others.
///
/// # Errors
///
/// It cannot be written.
pub fn remember_relays(data: &Path, relays: &[String]) -> Result<(), FolderError> {
    let database = State::database(data)?;
    database.execute("INSERT OR REPLACE INTO about VALUES (?1, ?2)", params![RELAYS, relays.join("\n")])?;
    Ok(())
}

/// What is known of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// The version of it that was last looked at.
    pub heads: Vec<ChangeHash>,
    /// The same as the shelf calls it.
    #[serde(default)]
    pub looked: Vec<ChangeHash>,
    /// What that version says; nothing when it is not a file.
    pub seen: Option<Seen>,
    /// Its file in the folder, as it was when last in step.
    pub file: Option<InStep>,
    /// What its file is about to be.
    pub writing: Option<Writing>,
}

/// What a document says of its file, short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Where it is to be.
    pub path: Option<String>,
    /// Its title, or the beginning of the text of one that has none.
    pub title: String,
    /// When it was made.
    pub created: i64,
    /// Whether there is to be a file.
    pub is_live: bool,
    /// What the file is to hold.
    pub fingerprint: String,
    /// Whether other bytes were written at the same time, and wait for a name of their own.
    pub has_beaten: bool,
    /// What it was made of, where a member made it.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// A file that is in step with a version of its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InStep {
    /// Where it is, below the folder.
    pub local: String,
    /// The version.
    pub heads: Vec<ChangeHash>,
    /// What it held.
    pub fingerprint: String,
    /// How large it was.
    pub size: u64,
    /// When it was changed last, in nanoseconds; nothing when that may not tell a later change.
    pub changed_ns: Option<u64>,
}

/// What a file is about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Writing {
    /// Where.
    pub local: String,
    /// Which version.
    pub heads: Vec<ChangeHash>,
    /// What it will hold.
    pub fingerprint: String,
}

/// What is remembered of a folder.
pub(crate) struct State {
    database: Connection,
    known: BTreeMap<DocumentId, Known>,
    changed: BTreeSet<DocumentId>,
    is_kept: bool,
}

impl State {
    /// Opens what the data directory remembers of `folder` and `space`; begins where it remembers nothing.
    ///
    /// # Errors
    ///
    /// [`FolderError::Other`] when it remembers another folder or space.
    pub(crate) fn open(data: &Path, folder: &str, space: &str) -> Result<Self, FolderError> {
        Self::with(Self::database(data)?, folder, space)
    }

    /// The database, made where there is none.
    fn database(data: &Path) -> Result<Connection, FolderError> {
        std::fs::create_dir_all(data).map_err(FolderError::disk(data))?;
        let database = Connection::open(data.join(STATE_FILE))?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        Self::prepare(&database)?;
        Ok(database)
    }

    fn prepare(database: &Connection) -> Result<(), FolderError> {
        database.execute_batch(
            "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, known TEXT NOT NULL) STRICT;",
        )?;
        Ok(())
    }

    /// The same without keeping anything: for looking at what would be done.
    pub(crate) fn open_to_look(data: &Path, folder: &str, space: &str) -> Result<Self, FolderError> {
        let mut state = Self::with(Connection::open_in_memory()?, folder, space)?;
        if data.join(STATE_FILE).exists() {
            state.known = Self::open(data, folder, space)?.known;
        }
        state.is_kept = false;
        Ok(state)
    }

    fn with(database: Connection, folder: &str, space: &str) -> Result<Self, FolderError> {
        Self::prepare(&database)?;
        for (name, wanted) in [("folder", folder), ("space", space)] {
            database.execute("INSERT OR IGNORE INTO about VALUES (?1, ?2)", params![name, wanted])?;
            let remembered: String = database.query_row("SELECT value FROM about WHERE name = ?1", [name], |row| row.get(0))?;
            if remembered != wanted {
                let say = |value: &str| format!("the {name} {value}");
                return Err(FolderError::Other { remembered: say(&remembered), wanted: say(wanted) });
            }
        }
        let mut known = BTreeMap::new();
        let mut query = database.prepare("SELECT id, known FROM documents")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (id, text): (String, String) = (row.get(0)?, row.get(1)?);
            let damaged = |error: &dyn std::fmt::Display| FolderError::State(format!("{id}: {error}"));
            let document = id.parse().map_err(|error| damaged(&error))?;
            known.insert(document, serde_json::from_str(&text).map_err(|error| damaged(&error))?);
        }
        drop(rows);
        drop(query);
        Ok(Self { database, known, changed: BTreeSet::new(), is_kept: true })
    }

    /// Everything that is known.
    pub(crate) fn all(&self) -> &BTreeMap<DocumentId, Known> {
        &self.known
    }

    /// What is known of one document.
    pub(crate) fn of(&self, document: &DocumentId) -> Option<&Known> {
        self.known.get(document)
    }

    /// The file of a document, when it has one here.
    pub(crate) fn file_of(&self, document: &DocumentId) -> Option<&InStep> {
        self.known.get(document)?.file.as_ref()
    }

    /// What is known of a document, to be changed; kept with the next [`Self::keep`].
    pub(crate) fn change(&mut self, document: DocumentId) -> &mut Known {
        self.changed.insert(document);
        self.known.entry(document).or_default()
    }

    /// Makes durable what was changed.
    pub(crate) fn keep(&mut self) -> Result<(), FolderError> {
        if self.changed.is_empty() || !self.is_kept {
            return Ok(());
        }
        let transaction = self.database.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO documents VALUES (?1, ?2)")?;
            for document in &self.changed {
                let Some(known) = self.known.get(document) else { continue };
                let text = serde_json::to_string(known).map_err(|error| FolderError::State(error.to_string()))?;
                insert.execute(params![document.to_string(), text])?;
            }
        }
        transaction.commit()?;
        self.changed.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_again_and_what_was_not_is_not() {
        let data = tempfile::tempdir().unwrap();
        let (one, two) = (DocumentId([1; 16]), DocumentId([2; 16]));
        let mut state = State::open(data.path(), "inside", "s").unwrap();
        state.change(one).heads = vec![ChangeHash([3; 32])];
        state.keep().unwrap();
        state.change(two).heads = vec![ChangeHash([4; 32])];
        drop(state);
        assert_eq!(remembered_space(data.path()).as_deref(), Some("s"));
        let state = State::open(data.path(), "inside", "s").unwrap();
        assert_eq!(state.of(&one).unwrap().heads, [ChangeHash([3; 32])]);
        assert_eq!(state.of(&two), None);
    }

    #[test]
    fn a_data_directory_belongs_to_one_folder_and_one_space() {
        let data = tempfile::tempdir().unwrap();
        drop(State::open(data.path(), "inside", "s").unwrap());
        let error = State::open(data.path(), "inside", "t").err().unwrap().to_string();
        assert!(error.contains("space s") && error.contains("--data"), "{error}");
        assert!(State::open(data.path(), "/elsewhere", "s").is_err());
    }

    #[test]
    fn relays_are_remembered_before_and_beside_the_rest() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(remembered_relays(data.path()), Vec::<String>::new());
        let relays = ["ws://one/sync".to_owned(), "wss://two/sync".to_owned()];
        remember_relays(data.path(), &relays).unwrap();
        assert_eq!((remembered_relays(data.path()), remembered_space(data.path())), (relays.to_vec(), None));
        drop(State::open(data.path(), "inside", "s").unwrap());
        assert_eq!((remembered_relays(data.path()), remembered_space(data.path())), (relays.to_vec(), Some("s".to_owned())));
        remember_relays(data.path(), &relays[1..]).unwrap();
        assert_eq!(remembered_relays(data.path()), relays[1..]);
    }

    #[test]
    fn a_look_keeps_nothing() {
        let data = tempfile::tempdir().unwrap();
        let mut look = State::open_to_look(data.path(), "inside", "s").unwrap();
        look.change(DocumentId([1; 16])).heads = Vec::new();
        look.keep().unwrap();
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
    }
}
