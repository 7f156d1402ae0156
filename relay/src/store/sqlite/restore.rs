//! A store made of a journal, which a backup holds: all of it under another name first, and then where a store is looked for.

use super::database::prepare;
use super::failure::{Failure, Outcome};
use super::folder::{DATABASE_FILE, Folder, OpenError, private_file};
use super::ledger::{DocumentRow, Ledger};
use super::snapshot::{SnapshotRow, write_parts};
use super::write::{insert_entry, put_meta};
use driftline_core::base::id::{SpaceId, StoreEpoch, TaskId};
use driftline_core::engine::stored::IDENTITY_KEY;
use driftline_core::log::clock::VectorClock;
use driftline_core::store::ledger::{Ledger as JournalLedger, Opening};
use driftline_core::store::task::{StoreContents, StoreDone, StoreError, StoreTask, StoredDocument, StoredEntry};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The database's name until all of it is there.
const UNFINISHED_FILE: &str = "driftline.sqlite.restoring";
/// What SQLite puts beside a database.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];
/// Bytes written between two commits, about.
const COMMIT_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of entries read at a time.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// What has been written so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Documents to be written.
    pub documents_total: u64,
    /// Documents written.
    pub documents: u64,
    /// Their spaces.
    pub spaces: BTreeSet<SpaceId>,
    /// Their changes, those in snapshots included.
    pub changes: u64,
    /// What of the journal does not check out, with a sentence each: it is not in the store.
    pub damaged: Vec<String>,
}

/// Why there is no store of it.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a store, and what it holds would be lost.
    #[error("{} holds a store already ({file} is in it), which would be lost: name a folder that holds none", folder.display())]
    Holds {
        /// The folder.
        folder: PathBuf,
        /// What tells of it.
        file: &'static str,
    },
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The bytes are no journal that can be opened.
    #[error("{}", .0.message)]
    Journal(#[from] StoreError),
    /// The database could not be written.
    #[error("{} cannot be written: {reason}", file.display())]
    Database {
        /// The database.
        file: PathBuf,
        /// What SQLite or the system said.
        reason: String,
    },
}

/// Makes the store in `folder` that a journal holds, with a secret key for its own and an epoch that no store had before; an empty journal makes one that
/// holds nothing but the key. Ended in the middle it leaves no store. `taken` names files that tell of a store beside its database.
///
/// # Errors
///
/// The folder holds one or cannot be used, or the journal cannot be read.
pub fn restore(
    folder: &Path,
    taken: &[&'static str],
    journal: Vec<u8>,
    secret: &[u8; 32],
    epoch: StoreEpoch,
    progress: &mut dyn FnMut(&Restored),
) -> Result<Restored, RestoreError> {
    let Opening { mut ledger, contents, .. } = JournalLedger::open([&journal, &[]], epoch)?;
    drop(journal);
    // Before anything is made there, and again when nobody else can make anything.
    refuse_taken(folder, taken)?;
    let held = Folder::lock(folder)?;
    refuse_taken(folder, taken)?;
    let unfinished = folder.join(UNFINISHED_FILE);
    let failed = |reason: String| RestoreError::Database { file: unfinished.clone(), reason };
    clear(folder).map_err(|error| failed(error.to_string()))?;
    drop(private_file(&unfinished).map_err(|error| failed(error.to_string()))?);
    let written = write(&unfinished, &mut ledger, contents, secret, epoch, progress);
    let written = written.map_err(|failure| failed(failure.reason()));
    let done = written.and_then(|restored| {
        std::fs::rename(&unfinished, folder.join(DATABASE_FILE)).map_err(|error| failed(error.to_string()))?;
        held.sync()?;
        Ok(restored)
    });
    if done.is_err() {
        // What is left of it is in nobody's way, and is cleared the next time.
        let _ = clear(folder);
    }
    done
}

fn refuse_taken(folder: &Path, taken: &[&'static str]) -> Result<(), RestoreError> {
    let is_there = |file: &str| std::fs::metadata(folder.join(file)).is_ok_and(|found| found.len() > 0);
    match std::iter::once(DATABASE_FILE).chain(taken.iter().copied()).find(|file| is_there(file)) {
        Some(file) => Err(RestoreError::Holds { folder: folder.to_owned(), file }),
        None => Ok(()),
    }
}

/// Removes what an earlier attempt has left.
fn clear(folder: &Path) -> io::Result<()> {
    for end in COMPANIONS {
        match std::fs::remove_file(folder.join(format!("{UNFINISHED_FILE}{end}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn write(
    file: &Path,
    journal: &mut JournalLedger,
    contents: StoreContents,
    secret: &[u8; 32],
    epoch: StoreEpoch,
    progress: &mut dyn FnMut(&Restored),
) -> Outcome<Restored> {
    let connection = Connection::open(file)?;
    prepare(&connection, None)?;
    let mut restored = Restored { documents_total: contents.documents.len() as u64, ..Restored::default() };
    restored.damaged = contents.damaged.into_iter().map(|(_, what)| what).chain(contents.lost).collect();
    let mut writing = Writing { connection: &connection, numbers: Ledger::starting_at(1), number: 0, uncommitted: 0 };
    writing.begin()?;
    connection.execute("INSERT INTO store (name, value) VALUES ('epoch', ?1)", [&epoch.0[..]])?;
    for (name, value) in contents.meta.iter().filter(|(name, _)| name != IDENTITY_KEY) {
        put_meta(&connection, name, value)?;
        writing.wrote(value.len() as u64)?;
    }
    put_meta(&connection, IDENTITY_KEY, secret)?;
    for stored in contents.documents {
        let (space, changes) = (stored.space, stored.version.clock.entries());
        writing.document(journal, stored)?;
        restored.documents += 1;
        restored.changes += changes;
        restored.spaces.insert(space);
        progress(&restored);
    }
    connection.execute_batch("COMMIT")?;
    let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        return Err(Failure::Damaged("another program reads it".to_owned()));
    }
    connection.close().map_err(|(_, error)| Failure::from(error))?;
    Ok(restored)
}

/// A database that is being filled.
struct Writing<'a> {
    connection: &'a Connection,
    /// Knows the numbers of actors.
    numbers: Ledger,
    /// The number of the last document.
    number: i64,
    uncommitted: u64,
}

impl Writing<'_> {
    fn begin(&self) -> Outcome<()> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Commits now and then, so that SQLite's log stays small.
    fn wrote(&mut self, bytes: u64) -> Outcome<()> {
        self.uncommitted += bytes;
        if self.uncommitted > COMMIT_BYTES {
            self.uncommitted = 0;
            self.connection.execute_batch("COMMIT")?;
            self.begin()?;
        }
        Ok(())
    }

    /// Writes one document as the journal holds it.
    fn document(&mut self, journal: &mut JournalLedger, stored: StoredDocument) -> Outcome<()> {
        self.number += 1;
        let StoredDocument { document: id, space, version, end, bytes, snapshot } = stored;
        let base = snapshot.as_ref().map_or(0, |summary| summary.base.position);
        let beginning = snapshot.map(|summary| Arc::new(*summary));
        let row = DocumentRow { number: self.number, id, space, end, bytes, version, base, beginning };
        if let Some(summary) = &row.beginning {
            let size = usize::try_from(summary.bytes).unwrap_or(usize::MAX);
            let StoreDone::SnapshotRead { part: Some(part) } =
                read(journal, StoreTask::ReadSnapshot { document: id, offset: 0, bytes_max: size })?
            else {
                return Err(Failure::Damaged(format!("document {id}: its snapshot is missing")));
            };
            SnapshotRow { id, space, summary: (**summary).clone() }.write(self.connection, self.number)?;
            write_parts(self.connection, &row, &part.bytes)?;
            self.wrote(part.bytes.len() as u64)?;
        }
        let mut after = 0;
        loop {
            let page = StoreTask::Read { document: id, above: VectorClock::new(), after, bytes_max: READ_BYTES };
            let StoreDone::Read { entries, complete } = read(journal, page)? else {
                return Err(Failure::Damaged(format!("document {id}: its entries are missing")));
            };
            for (position, entry) in entries {
                after = position;
                let bytes = entry.payload.len() as u64;
                let actor = self.numbers.actor_or_new(self.connection, entry.actor)?;
                insert_entry(self.connection, self.number, actor, &StoredEntry { space, position, entry })?;
                self.wrote(bytes)?;
            }
            if complete {
                break;
            }
        }
        row.write(self.connection)
    }
}

/// Asks the journal, which is in memory and answers at once.
fn read(journal: &mut JournalLedger, task: StoreTask) -> Outcome<StoreDone> {
    let prepared = journal.prepare(vec![(TaskId(0), task)]);
    let answer = journal.commit(prepared).pop().map(|(_, answer)| answer);
    match answer {
        Some(Ok(done)) => Ok(done),
        Some(Err(error)) => Err(Failure::Damaged(error.message)),
        None => Err(Failure::Damaged("the journal does not answer".to_owned())),
    }
}
