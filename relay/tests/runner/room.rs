//! Room on the disk: what was compacted away leaves the file while nobody waits.

use crate::replica::PATIENCE;
use crate::snapshots::{compaction, growth, note, opened};
use driftline_core::base::id::TaskId;
use driftline_core::store::conformance::SyntheticDocument;
use driftline_core::store::conformance::plain::PlainLog;
use driftline_relay::store::StoreExecutor;
use driftline_relay::store::sqlite::DATABASE_FILE;
use rusqlite::Connection;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A store that is left alone after this much was written and compacted.
fn write_and_compact(folder: &Path, log: &mut PlainLog) -> Box<impl StoreExecutor> {
    let (mut store, _) = opened(folder);
    let (answer, answered) = mpsc::channel();
    store.start(Box::new(move |answers| answers.into_iter().for_each(|(_, result)| answer.send(result).unwrap())));
    for number in 0..21 {
        let task = if number < 20 { growth(log, 500, 100) } else { compaction(log, 30_000, 10) };
        note(log, &task);
        store.submit(TaskId(number), task);
        answered.recv_timeout(PATIENCE).unwrap().unwrap();
    }
    Box::new(store)
}

fn files(folder: &Path) -> u64 {
    let size = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    size(DATABASE_FILE) + size(&format!("{DATABASE_FILE}-wal"))
}

fn wait_for_small_files(folder: &Path) {
    let since = Instant::now();
    while files(folder) > 200_000 {
        assert!(since.elapsed() < PATIENCE, "the files still have {} bytes", files(folder));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn vacuum(folder: &Path, mode: &str) {
    let database = Connection::open(folder.join(DATABASE_FILE)).unwrap();
    database.execute_batch(&format!("PRAGMA auto_vacuum = {mode}; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")).unwrap();
}

#[test]
fn a_store_gives_back_the_room_of_what_was_compacted_and_empties_its_log_while_nobody_waits() {
    let folder = TempDir::new().unwrap();
    let mut log = PlainLog::new(&SyntheticDocument::new(1, 1));
    let store = write_and_compact(folder.path(), &mut log);
    wait_for_small_files(folder.path());
    store.close();
    let (_, contents) = opened(folder.path());
    assert_eq!(contents.documents, [log.summary()]);
}

/// What docs/operations.md tells an operator to do.
#[test]
fn a_store_that_was_made_without_it_gives_room_back_once_an_operator_has_said_so() {
    let folder = TempDir::new().unwrap();
    drop(opened(folder.path()));
    vacuum(folder.path(), "NONE");
    let mut log = PlainLog::new(&SyntheticDocument::new(1, 1));
    write_and_compact(folder.path(), &mut log).close();
    assert!(files(folder.path()) > 1_000_000, "a store of before keeps its pages");
    vacuum(folder.path(), "INCREMENTAL");
    assert!(files(folder.path()) < 200_000);
    let mut other = PlainLog::new(&SyntheticDocument::new(1, 2));
    let store = write_and_compact(folder.path(), &mut other);
    wait_for_small_files(folder.path());
    store.close();
    let (_, contents) = opened(folder.path());
    assert_eq!(contents.documents, [log.summary(), other.summary()]);
}
