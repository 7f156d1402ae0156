//! What happens to snapshots in the SQLite store: room, damage, older stores, and a process that is killed.

use driftline_core::base::id::{DocumentId, StoreEpoch};
use driftline_core::log::clock::VectorClock;
use driftline_core::log::snapshot::Base;
use driftline_core::store::conformance::SyntheticDocument;
use driftline_core::store::conformance::plain::PlainLog;
use driftline_core::store::task::{StoreContents, StoreDone, StoreError, StoreErrorKind, StoreTask};
use driftline_relay::store::sqlite::{DATABASE_FILE, OpenError, SqliteOptions, SqliteStore};
use rusqlite::Connection;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PAGE_BYTES: usize = 4096;
/// Where the process that is to be killed finds its store.
const FOLDER_VARIABLE: &str = "DRIFTLINE_TEST_STORE";
/// How often it is killed.
const KILLS: u64 = 24;

pub(crate) fn opened(folder: &Path) -> (SqliteStore, StoreContents) {
    opened_with(folder, None)
}

fn opened_with(folder: &Path, bytes_max: Option<u64>) -> (SqliteStore, StoreContents) {
    let mut store = patiently(folder, &SqliteOptions { bytes_max });
    match carry_out(&mut store, StoreTask::Open { epoch: StoreEpoch([1; 16]) }) {
        Ok(StoreDone::Opened(mut contents)) => {
            contents.documents.sort_by_key(|document| document.document);
            (store, contents)
        }
        other => panic!("opening was answered with {other:?}"),
    }
}

/// Opens a store that this process alone had: a test that starts another one may, until that has become its own program, leave it the
/// locks of all tests.
pub(crate) fn patiently(folder: &Path, options: &SqliteOptions) -> SqliteStore {
    for _ in 0..500 {
        match SqliteStore::open(folder, options) {
            Err(OpenError::InUse { .. }) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened.unwrap(),
        }
    }
    panic!("the store in {} stays in use", folder.display())
}

fn carry_out(store: &mut SqliteStore, task: StoreTask) -> Result<StoreDone, StoreError> {
    store.carry_out(&[task]).remove(0)
}

fn database(folder: &Path) -> Connection {
    Connection::open(folder.join(DATABASE_FILE)).unwrap()
}

fn read(document: DocumentId) -> StoreTask {
    StoreTask::Read { document, above: VectorClock::new(), after: 0, bytes_max: usize::MAX }
}

fn read_snapshot(document: DocumentId, offset: u64, bytes_max: usize) -> StoreTask {
    StoreTask::ReadSnapshot { document, offset, bytes_max }
}

/// Carries a task out and keeps account of it.
fn write(store: &mut SqliteStore, log: &mut PlainLog, task: StoreTask) {
    let answer = carry_out(store, task.clone());
    assert!(matches!(answer, Ok(StoreDone::Appended | StoreDone::SnapshotPut)), "{answer:?}");
    note(log, &task);
}

pub(crate) fn note(log: &mut PlainLog, task: &StoreTask) {
    match task {
        StoreTask::Append { entries, .. } => entries.iter().for_each(|stored| log.append(stored.clone())),
        StoreTask::PutSnapshot { snapshot, base, .. } => log.put_snapshot(snapshot, base),
        task => panic!("{task:?} is not kept account of"),
    }
}

/// So many entries of so many bytes, by three actors.
pub(crate) fn growth(log: &PlainLog, entries: usize, bytes: usize) -> StoreTask {
    let mut document = log.synthetic();
    StoreTask::append((0..entries).map(|n| document.grow((n % 3) as u8, bytes)).collect())
}

/// A snapshot of all there is, which lets go of all but the last entries.
pub(crate) fn compaction(log: &PlainLog, bytes: usize, kept: usize) -> StoreTask {
    let mut beginning = log.clone();
    beginning.entries.truncate(log.entries.len() - kept);
    let mut base = log.base.clone();
    for stored in &beginning.entries {
        base.position = stored.position;
        base.clock.raise(stored.entry.actor, stored.entry.seq);
    }
    log.put_task((log.synthetic().snapshot(bytes), base))
}

/// A snapshot from a replica that has more, and lacks the newest entries.
fn adoption(log: &PlainLog, bytes: usize, lacking: usize) -> StoreTask {
    let mut shorter = log.clone();
    shorter.entries.truncate(log.entries.len() - lacking);
    let mut other = shorter.synthetic();
    (0..5).for_each(|_| _ = other.grow(9, 0));
    log.put_task((other.snapshot(bytes), other.base()))
}

/// Whether the store holds exactly what the log says.
fn holds(store: &mut SqliteStore, log: &PlainLog) -> bool {
    let entries = carry_out(store, read(log.document)) == Ok(log.read(&VectorClock::new(), 0, usize::MAX));
    entries && carry_out(store, read_snapshot(log.document, 0, usize::MAX)) == Ok(log.read_snapshot(0, usize::MAX))
}

/// A store of some documents: every second one has let go of entries, every fourth of all of them.
fn some_documents(folder: &Path, count: u8) -> Vec<PlainLog> {
    let (mut store, _) = opened(folder);
    let mut logs: Vec<_> = (0..count).map(|n| PlainLog::new(&SyntheticDocument::new(1, n))).collect();
    for (n, log) in logs.iter_mut().enumerate() {
        let task = growth(log, 6, 60);
        write(&mut store, log, task);
        if n % 2 == 0 {
            let task = compaction(log, 900, if n % 4 == 0 { 0 } else { 2 });
            write(&mut store, log, task);
        }
        if n % 8 == 2 {
            let task = growth(log, 2, 60);
            write(&mut store, log, task);
        }
    }
    logs
}

#[test]
fn a_document_that_was_compacted_costs_its_compact_size_and_the_room_is_used_again() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened(folder.path());
    let mut log = PlainLog::new(&SyntheticDocument::new(1, 1));
    for _ in 0..20 {
        let task = growth(&log, 500, 20);
        write(&mut store, &mut log, task);
    }
    let pages = |folder: &Path| {
        let database = database(folder);
        let count = |pragma| database.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap();
        (count("page_count"), count("page_count") - count("freelist_count"))
    };
    let (_, used_before) = pages(folder.path());
    let task = compaction(&log, 30_000, 100);
    write(&mut store, &mut log, task);
    assert!(holds(&mut store, &log));
    let (file, used) = pages(folder.path());
    assert!(used * 10 < used_before, "{used} of {used_before} pages are used after compaction");
    let mut other = PlainLog::new(&SyntheticDocument::new(1, 2));
    for _ in 0..20 {
        let task = growth(&other, 400, 20);
        write(&mut store, &mut other, task);
    }
    assert_eq!(pages(folder.path()).0, file, "what was let go of makes room for others");
    // The same again and again does not add up.
    for _ in 0..10 {
        let task = growth(&log, 200, 20);
        write(&mut store, &mut log, task);
        let task = compaction(&log, 30_000, 100);
        write(&mut store, &mut log, task);
    }
    assert!(holds(&mut store, &log) && holds(&mut store, &other));
    let grown = pages(folder.path()).0 - file;
    assert!(grown * 10 < file, "the file grew by {grown} pages of {file}");
}

#[test]
fn a_store_of_the_version_before_opens_unharmed_also_when_it_is_full() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened(folder.path());
    let mut logs: Vec<_> = (0..5).map(|n| PlainLog::new(&SyntheticDocument::new(1, n))).collect();
    for log in &mut logs {
        let task = growth(log, 50, 100);
        write(&mut store, log, task);
    }
    carry_out(&mut store, StoreTask::PutMeta { key: "k".to_owned(), value: b"v".to_vec() }).unwrap();
    drop(store);
    // What the version before made: the same without what has come since.
    let older = database(folder.path());
    older
        .execute_batch(
            "DROP TABLE snapshots; DROP TABLE snapshot_parts; ALTER TABLE documents DROP COLUMN base;
             VACUUM; PRAGMA user_version = 1; PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
    drop(older);
    let size = std::fs::metadata(folder.path().join(DATABASE_FILE)).unwrap().len();

    let (mut store, contents) = opened_with(folder.path(), Some(size));
    assert_eq!(contents.documents, logs.iter().map(PlainLog::summary).collect::<Vec<_>>());
    assert_eq!(contents.meta, [("k".to_owned(), b"v".to_vec())]);
    let error = carry_out(&mut store, growth(&logs[0], 100, 100)).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Full, "{error}");
    drop(store);

    let (mut store, _) = opened(folder.path());
    assert!(logs.iter().all(|log| holds(&mut store, log)));
    for log in &mut logs {
        let task = compaction(log, 300, 5);
        write(&mut store, log, task);
    }
    drop(store);
    let (mut store, contents) = opened(folder.path());
    assert_eq!(contents.documents, logs.iter().map(PlainLog::summary).collect::<Vec<_>>());
    assert!(logs.iter().all(|log| holds(&mut store, log)));
    let version: i32 = database(folder.path()).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
}

#[test]
fn a_flipped_bit_in_one_part_of_a_snapshot_is_told_and_the_rest_is_served() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened(folder.path());
    let mut log = PlainLog::new(&SyntheticDocument::new(1, 1));
    let task = growth(&log, 10, 50);
    write(&mut store, &mut log, task);
    let task = compaction(&log, 1_000_000, 3);
    write(&mut store, &mut log, task);
    drop(store);
    let harmed = database(folder.path());
    let count: i64 = harmed.query_row("SELECT count(*) FROM snapshot_parts", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 4, "a part is 256 KiB");
    let (start, mut part): (i64, Vec<u8>) = harmed
        .query_row("SELECT start, part FROM snapshot_parts WHERE start = 524288", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    part[100_000] ^= 16;
    harmed.execute("UPDATE snapshot_parts SET part = ?1 WHERE start = ?2", rusqlite::params![part, start]).unwrap();
    drop(harmed);

    let (mut store, contents) = opened(folder.path());
    assert_eq!(contents.documents, [log.summary()]);
    let parts = [(0, 524_288), (524_287, 1), (786_432, 300_000)];
    for (offset, bytes_max) in parts {
        let answer = carry_out(&mut store, read_snapshot(log.document, offset, bytes_max));
        assert_eq!(answer, Ok(log.read_snapshot(offset, bytes_max)), "a part that was not hit");
    }
    for (offset, bytes_max) in [(524_288, 10), (0, usize::MAX), (524_287, 2), (700_000, 100_000)] {
        let error = carry_out(&mut store, read_snapshot(log.document, offset, bytes_max)).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt);
        assert!(error.message.contains(&log.document.to_string()), "{error} names the document");
    }
    // Set aside, it begins anew with a snapshot from a peer; what there was is kept.
    carry_out(&mut store, StoreTask::Quarantine { document: log.document }).unwrap();
    let mut fetched = PlainLog::new(&SyntheticDocument::new(1, 1));
    let task = fetched.put_task((log.synthetic().snapshot(500), log.synthetic().base()));
    write(&mut store, &mut fetched, task);
    assert!(holds(&mut store, &fetched));
    let kept: i64 = database(folder.path()).query_row("SELECT count(*) FROM snapshots", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2);
}

#[test]
fn a_lost_page_of_the_documents_table_costs_no_document_whose_snapshot_and_entries_are_there() {
    let folder = TempDir::new().unwrap();
    let mut logs = some_documents(folder.path(), 120);
    // Leaves of tables with row numbers begin with 13. A row of documents has the id, and little else: so have those of snapshots.
    let file = folder.path().join(DATABASE_FILE);
    let root: i64 = database(folder.path())
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'documents'", [], |row| row.get(0))
        .unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let interior = &bytes[(root as usize - 1) * PAGE_BYTES..root as usize * PAGE_BYTES];
    assert_eq!(interior[0], 5, "the table has several pages");
    let cell = usize::from(u16::from_be_bytes([interior[14], interior[15]]));
    let leaf = u32::from_be_bytes(interior[cell..cell + 4].try_into().unwrap()) as usize;
    bytes[(leaf - 1) * PAGE_BYTES..leaf * PAGE_BYTES].fill(0xff);
    std::fs::write(&file, bytes).unwrap();

    let (mut store, contents) = opened(folder.path());
    assert_eq!((contents.damaged, contents.lost), (Vec::new(), Vec::new()));
    assert_eq!(contents.documents, logs.iter().map(PlainLog::summary).collect::<Vec<_>>());
    for log in &mut logs {
        assert!(holds(&mut store, log));
        let task = growth(log, 1, 20);
        write(&mut store, log, task);
    }
    let aside: i64 = database(folder.path()).query_row("SELECT count(*) FROM quarantined", [], |row| row.get(0)).unwrap();
    assert!(aside > 5, "{aside} rows were made again");
    drop(store);
    let (mut store, contents) = opened(folder.path());
    assert_eq!(contents.documents, logs.iter().map(PlainLog::summary).collect::<Vec<_>>(), "nothing is told twice");
    assert!(logs.iter().all(|log| holds(&mut store, log)));
}

#[test]
fn a_document_whose_snapshot_is_lost_is_told_and_fetched_again_and_the_others_are_served() {
    for harm in [
        "DELETE FROM snapshots WHERE document = 3",
        "UPDATE snapshots SET bytes = bytes + 1 WHERE document = 3",
        "UPDATE snapshots SET version = x'00' WHERE document = 3",
        "UPDATE snapshots SET base = (SELECT base FROM snapshots WHERE document = 1) WHERE document = 3",
        "UPDATE documents SET base = base + 1 WHERE number = 3",
        "UPDATE documents SET base = 0 WHERE number = 3; DELETE FROM snapshots WHERE document = 3",
    ] {
        let folder = TempDir::new().unwrap();
        let mut logs = some_documents(folder.path(), 10);
        database(folder.path()).execute_batch(harm).unwrap();
        let is_rebuilt = harm.starts_with("UPDATE documents SET base = base");
        let (mut store, contents) = opened(folder.path());
        let damaged: Vec<_> = contents.damaged.iter().map(|(document, _)| *document).collect();
        let expected = if is_rebuilt { vec![] } else { vec![logs[2].document] };
        assert_eq!(damaged, expected, "{harm}: {contents:?}");
        let mut lost = SyntheticDocument::new(1, 2);
        if !is_rebuilt {
            logs[2] = PlainLog::new(&lost);
        }
        let held: Vec<_> = logs.iter().filter(|log| log.end() > 0).map(PlainLog::summary).collect();
        assert_eq!(contents.documents, held, "{harm}");
        assert!(logs.iter().all(|log| holds(&mut store, log)), "{harm}");
        if !is_rebuilt {
            (0..4).for_each(|_| _ = lost.grow(1, 0));
            let task = logs[2].put_task((lost.snapshot(40), lost.base()));
            write(&mut store, &mut logs[2], task);
        }
        drop(store);
        let (mut store, contents) = opened(folder.path());
        assert_eq!(contents.damaged, [], "{harm}: nothing is told twice");
        assert!(logs.iter().all(|log| holds(&mut store, log)), "{harm}");
    }
}

#[test]
fn any_page_may_be_lost_and_snapshots_are_served_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let logs = some_documents(folder.path(), 24);
    let whole = std::fs::read(folder.path().join(DATABASE_FILE)).unwrap();
    let (mut served, mut told) = (0, 0);
    // Page 1 has the schema: without it nothing can be read, and opening says so.
    for page in 1..whole.len() / PAGE_BYTES {
        let mut bytes = whole.clone();
        bytes[page * PAGE_BYTES..(page + 1) * PAGE_BYTES].fill(0xa5);
        let hurt = TempDir::new().unwrap();
        std::fs::write(hurt.path().join(DATABASE_FILE), bytes).unwrap();
        let Ok(mut store) = SqliteStore::open(hurt.path(), &SqliteOptions::default()) else { continue };
        let Ok(StoreDone::Opened(contents)) = carry_out(&mut store, StoreTask::Open { epoch: StoreEpoch([1; 16]) }) else {
            told += 1;
            continue;
        };
        for log in &logs {
            let is_held = contents.documents.iter().any(|document| document.document == log.document);
            let none = PlainLog::new(&SyntheticDocument { document: log.document, ..log.synthetic() });
            let log = if is_held { log } else { &none };
            for (task, expected) in [
                (read(log.document), log.read(&VectorClock::new(), 0, usize::MAX)),
                (read_snapshot(log.document, 0, usize::MAX), log.read_snapshot(0, usize::MAX)),
            ] {
                match carry_out(&mut store, task) {
                    Ok(done) => {
                        assert_eq!(done, expected, "page {page}");
                        served += usize::from(is_held);
                    }
                    Err(error) => {
                        assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
                        told += 1;
                    }
                }
            }
        }
    }
    assert!(served > 100 && told > 10, "{served} answers, {told} errors");
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was_before_the_snapshot() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened_with(folder.path(), Some(60 * PAGE_BYTES as u64));
    let mut log = PlainLog::new(&SyntheticDocument::new(1, 1));
    let task = growth(&log, 100, 100);
    write(&mut store, &mut log, task);
    for task in [compaction(&log, 300_000, 10), adoption(&log, 300_000, 10)] {
        let error = carry_out(&mut store, task.clone()).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Full, "{error}");
        assert!(holds(&mut store, &log), "nothing of it is left");
        // What was on its way behind it is no damage.
        let mut after = log.clone();
        note(&mut after, &task);
        let error = carry_out(&mut store, growth(&after, 1, 10));
        assert!(error.is_ok() || error.unwrap_err().kind == StoreErrorKind::Unavailable);
        drop(store);
        (store, _) = opened_with(folder.path(), Some(60 * PAGE_BYTES as u64));
        let StoreDone::Read { entries, .. } = carry_out(&mut store, read(log.document)).unwrap() else { panic!("not a read") };
        if entries.len() > log.entries.len() {
            let task = growth(&log, 1, 10);
            note(&mut log, &task);
        }
    }
    let task = compaction(&log, 20_000, 10);
    write(&mut store, &mut log, task);
    assert!(holds(&mut store, &log));
}

/// The life of the process that is killed: what it does in its step `n`.
fn step(log: &PlainLog, n: usize) -> StoreTask {
    match n % 5 {
        2 => compaction(log, 1_500_000 + n, 40),
        4 => adoption(log, 700_000 + n, 90),
        _ => growth(log, 120, 150),
    }
}

/// Not a test: the process that [`a_process_that_is_killed_while_it_puts_snapshots_leaves_what_was_before_or_after`] kills.
#[test]
#[ignore = "run by another test"]
fn lives_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let (mut store, _) = opened(Path::new(&folder));
    let mut log = PlainLog::new(&SyntheticDocument::new(1, 1));
    for n in 0..10_000 {
        let task = step(&log, n);
        write(&mut store, &mut log, task);
        let mut out = std::io::stderr();
        writeln!(out, "done {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_process_that_is_killed_while_it_puts_snapshots_leaves_what_was_before_or_after() {
    let (mut in_snapshots, mut steps) = (0, 0);
    for kill in 0..KILLS {
        let folder = TempDir::new().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "snapshots::lives_until_it_is_killed", "--ignored", "--nocapture"])
            .env(FOLDER_VARIABLE, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let wanted = (2 + kill as usize % 8).to_string();
        let mut done = None;
        let note_done = |line: std::io::Result<String>, done: &mut Option<usize>| {
            let n = line.ok().and_then(|line| line.strip_prefix("done ").and_then(|n| n.parse().ok()));
            *done = n.max(*done);
        };
        while done.is_none_or(|done: usize| done.to_string() != wanted) {
            note_done(lines.next().expect("it lives until it is killed"), &mut done);
        }
        std::thread::sleep(Duration::from_micros(700 * (kill * 7 % 20)));
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| note_done(line, &mut done));
        let done = done.expect("it did something");

        let mut log = PlainLog::new(&SyntheticDocument::new(1, 1));
        for n in 0..=done {
            let task = step(&log, n);
            note(&mut log, &task);
        }
        let (mut store, contents) = opened(folder.path());
        assert_eq!((contents.damaged, contents.lost), (Vec::new(), Vec::new()));
        let summary = &contents.documents[0];
        if *summary != log.summary() {
            // Nothing was acknowledged of the step after, and all of it is there.
            let task = step(&log, done + 1);
            note(&mut log, &task);
        }
        assert_eq!(*summary, log.summary(), "after step {done}");
        assert!(holds(&mut store, &log), "after step {done}");
        in_snapshots += usize::from(matches!((done + 1) % 5, 2 | 4));
        steps += done;
        let task = compaction(&log, 100, 0);
        write(&mut store, &mut log, task);
        assert!(holds(&mut store, &log) && log.base != Base::default(), "it goes on");
    }
    assert!(in_snapshots >= KILLS as usize / 5, "{in_snapshots} kills hit a snapshot, after {steps} steps");
}
