//! The database: opening it, and carrying out tasks in batches with one sync each.

use super::failure::{Failure, Outcome};
use super::folder::{Folder, OpenError};
use super::ledger::Ledger;
use super::room::Room;
use super::{read, recover, room, snapshot, write};
use driftline_core::base::id::DocumentId;
use driftline_core::store::task::{StoreDone, StoreError, StoreErrorKind, StoreTask};
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

/// "DRFT": how `file(1)` and we tell our databases from others.
pub(super) const APPLICATION_ID: i32 = 0x4452_4654;
/// The version of the tables. 1 had no snapshots.
pub(super) const SCHEMA_VERSION: i32 = 2;
/// What a store of version 1 lacks.
const FROM_VERSION_1: &str = "ALTER TABLE documents ADD COLUMN base INTEGER NOT NULL DEFAULT 0;";
/// How long another program, such as a backup, may hold the database before a task fails.
pub(super) const BUSY_TIME_MAX: Duration = Duration::from_secs(5);
/// Pages SQLite keeps in memory, in KiB.
const CACHE_KIB: i32 = 16 * 1024;
/// Bytes of the log beside the database that are kept for the next writes; what a large snapshot took beyond them is given back.
const LOG_BYTES_KEPT: i64 = 16 * 1024 * 1024;
/// Statements kept prepared; there are fewer.
const STATEMENTS_MAX: usize = 64;

/// An open database, and the folder it is in.
pub(super) struct Database {
    connection: Connection,
    folder: Folder,
    ledger: Ledger,
    room: Room,
}

/// What came of one task.
pub(super) type Answer = Result<StoreDone, StoreError>;

impl Database {
    /// Opens the database in `folder`, made where there is none; `bytes_max` bounds its size.
    pub(super) fn open(folder: &Path, bytes_max: Option<u64>) -> Result<Self, OpenError> {
        let folder = Folder::hold(folder)?;
        let not_a_store = |reason: String| OpenError::NotAStore { file: folder.database(), reason };
        let connection = Connection::open(folder.database()).map_err(|error| not_a_store(error.to_string()))?;
        let prepared = prepare(&connection, bytes_max).and_then(|()| Room::of(&connection));
        let room = prepared.map_err(|failure| match failure {
            Failure::Damaged(reason) => not_a_store(reason),
            failure => not_a_store(failure.explain(&folder.database(), None).message),
        })?;
        folder.sync()?;
        Ok(Self { connection, folder, ledger: Ledger::default(), room })
    }

    /// The value of this name, if it can be read.
    pub(super) fn named(&self, name: &str) -> Option<Vec<u8>> {
        self.connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).ok()
    }

    /// Carries out tasks in order, with as few syncs as it can, and answers each.
    ///
    /// First all of them in one transaction. If anything in it cannot be written it is undone, and each task is carried
    /// out again in a transaction of its own, so that it alone bears its failure. Nothing is answered before that is
    /// settled, so no read tells of what is then undone.
    pub(super) fn carry_out(&mut self, tasks: &[StoreTask]) -> Vec<Answer> {
        let together = tasks.len() > 1 && !tasks.iter().any(|task| matches!(task, StoreTask::Open { .. }));
        if together && let Ok(answers) = self.in_transaction(tasks) {
            tasks.iter().for_each(|task| self.note_growth(task, false));
            return answers;
        }
        tasks
            .iter()
            .map(|task| {
                let answer = self.in_transaction(std::slice::from_ref(task));
                self.note_growth(task, answer.is_err());
                answer
                    .map_err(|failure| failure.explain(&self.folder.database(), document_of(task)))
                    .and_then(|mut answers| answers.remove(0))
            })
            .collect()
    }

    fn note_growth(&mut self, task: &StoreTask, failed: bool) {
        match task {
            StoreTask::Append { entries, .. } | StoreTask::Renew { entries, .. } => {
                self.ledger.note_growth(entries.iter().map(|stored| stored.entry.document), failed);
            }
            StoreTask::PutSnapshot { document, .. } => self.ledger.note_growth([*document].into_iter(), failed),
            _ => {}
        }
    }

    /// All tasks, or the first failure to write and nothing written. A failure to read is an answer like another.
    fn in_transaction(&mut self, tasks: &[StoreTask]) -> Outcome<Vec<Answer>> {
        if let [StoreTask::Open { epoch }] = tasks {
            let (contents, next_number) = recover::open(&self.connection, *epoch)?;
            self.ledger = Ledger::starting_at(next_number);
            return Ok(vec![Ok(StoreDone::Opened(contents))]);
        }
        if !tasks.iter().any(writes) {
            return Ok(tasks.iter().map(|task| self.read_task(task)).collect());
        }
        let written = self.write_tasks(tasks);
        match written {
            Ok(_) => self.room.on_written(tasks.iter().any(lets_go)),
            Err(_) => self.undo(),
        }
        written
    }

    fn write_tasks(&mut self, tasks: &[StoreTask]) -> Outcome<Vec<Answer>> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let answers: Outcome<Vec<Answer>> = tasks
            .iter()
            .map(|task| if writes(task) { self.write_task(task).map(Ok) } else { Ok(self.read_task(task)) })
            .collect();
        let answers = answers?;
        self.ledger.write_changed(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(answers)
    }

    fn undo(&mut self) {
        // SQLite ends some transactions itself when they fail.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!("the store cannot undo a failed transaction: {error}");
        }
        self.ledger.forget();
    }

    fn write_task(&mut self, task: &StoreTask) -> Outcome<StoreDone> {
        let (connection, ledger) = (&self.connection, &mut self.ledger);
        match task {
            StoreTask::Append { entries, values } => write::append(connection, ledger, entries, values),
            StoreTask::Renew { document, entries, values } => {
                write::quarantine(connection, ledger, *document, "begun anew without what is not accepted any more")?;
                write::append(connection, ledger, entries, values)
            }
            StoreTask::PutMeta { key, value } => write::put_meta(connection, key, value),
            StoreTask::Quarantine { document } => {
                write::quarantine(connection, ledger, *document, "found damaged when it was read")
            }
            StoreTask::PutSnapshot { document, space, snapshot, base } => {
                snapshot::put(connection, ledger, *document, *space, snapshot, base)
            }
            task
            @ (StoreTask::Open { .. } | StoreTask::Read { .. } | StoreTask::ReadSnapshot { .. } | StoreTask::Find { .. }) => {
                unreachable!("{task:?} is not carried out in a transaction")
            }
        }
    }

    fn read_task(&mut self, task: &StoreTask) -> Answer {
        let (connection, ledger) = (&self.connection, &mut self.ledger);
        let read = match task {
            StoreTask::Read { document, above, after, bytes_max } => {
                read::read(connection, ledger, *document, above, *after, *bytes_max)
            }
            StoreTask::ReadSnapshot { document, offset, bytes_max } => {
                snapshot::read(connection, ledger, *document, *offset, *bytes_max)
            }
            StoreTask::Find { document, hashes } => read::find(connection, ledger, *document, hashes),
            task => unreachable!("{task:?} writes"),
        };
        read.map_err(|failure| failure.explain(&self.folder.database(), document_of(task)))
    }

    /// After a panic in the middle of a batch: nothing of it is kept, and each of its tasks has failed.
    pub(super) fn abandon(&mut self, tasks: usize) -> Vec<Answer> {
        self.undo();
        let message = format!("the store in {} failed because of a bug; nothing stored is lost", self.folder.path().display());
        (0..tasks).map(|_| Err(StoreError { kind: StoreErrorKind::Unavailable, message: message.clone() })).collect()
    }

    /// How long to wait for a task before [`Self::use_spare_time`]; nothing when there is no use for it.
    pub(super) fn spare_time(&self) -> Option<Duration> {
        self.room.wait()
    }

    /// Gives back some room. Where that fails nothing is lost, and it is tried again after the next write.
    pub(super) fn use_spare_time(&mut self) {
        if let Err(failure) = self.room.step(&self.connection) {
            tracing::debug!("the store gives no room back at the moment: {}", failure.reason());
        }
    }

    /// Moves everything into the database file, so that it alone is the store.
    pub(super) fn close(self) {
        if let Err(error) = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::warn!("the store's log could not be folded into it, and is left beside it: {error}");
        }
    }
}

/// Whether a task needs a commit.
pub(super) fn writes(task: &StoreTask) -> bool {
    !matches!(task, StoreTask::Read { .. } | StoreTask::ReadSnapshot { .. } | StoreTask::Find { .. })
}

/// Whether a task may leave pages of the database free.
fn lets_go(task: &StoreTask) -> bool {
    matches!(
        task,
        StoreTask::PutSnapshot { .. } | StoreTask::Quarantine { .. } | StoreTask::Renew { .. } | StoreTask::PutMeta { .. }
    )
}

fn document_of(task: &StoreTask) -> Option<DocumentId> {
    match task {
        StoreTask::Append { entries, .. } => entries.first().map(|stored| stored.entry.document),
        StoreTask::Read { document, .. }
        | StoreTask::PutSnapshot { document, .. }
        | StoreTask::ReadSnapshot { document, .. }
        | StoreTask::Find { document, .. }
        | StoreTask::Renew { document, .. }
        | StoreTask::Quarantine { document } => Some(*document),
        StoreTask::Open { .. } | StoreTask::PutMeta { .. } => None,
    }
}

pub(super) fn prepare(connection: &Connection, bytes_max: Option<u64>) -> Outcome<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.busy_timeout(BUSY_TIME_MAX)?;
    // A damaged page is noticed when it is read, not when it has been followed into another.
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(Failure::Damaged("it is a database of another program".to_owned()));
    }
    if version > SCHEMA_VERSION {
        return Err(Failure::Damaged("a newer version of driftline made it; update this one to open it".to_owned()));
    }
    if tables == 0 {
        room::prepare(connection)?;
    }
    // Readers beside the writer, one file to append to, and a sync before anything is answered.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {LOG_BYTES_KEPT}"), [], |_| Ok(()))?;
    if tables > 0 && version < SCHEMA_VERSION {
        // Before the size is bounded: a store that has reached its bound is opened too.
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {FROM_VERSION_1} {} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;",
            include_str!("snapshots.sql")
        ))?;
    }
    if let Some(bytes_max) = bytes_max {
        let page_bytes: u64 = connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))?.max(512) as u64;
        let pages = (bytes_max / page_bytes).clamp(1, u64::from(u32::MAX - 2));
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    if tables == 0 {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {} {} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;",
            include_str!("schema.sql"),
            include_str!("snapshots.sql")
        ))?;
    }
    Ok(())
}
