//! What happens to the SQLite store: the suite of every store, and what only this one can suffer.

use crate::snapshots::patiently;
use driftline_core::base::id::{DocumentId, StoreEpoch};
use driftline_core::log::clock::VectorClock;
use driftline_core::store::conformance::{Executor, SyntheticDocument, check};
use driftline_core::store::task::{StoreContents, StoreDone, StoreError, StoreErrorKind, StoreTask, StoredEntry};
use driftline_relay::store::sqlite::{DATABASE_FILE, OpenError, SqliteOptions, SqliteStore};
use std::path::Path;
use tempfile::TempDir;

const PAGE_BYTES: usize = 4096;

struct Sqlite {
    store: SqliteStore,
    folder: TempDir,
}

impl Executor for Sqlite {
    fn execute(&mut self, task: StoreTask) -> Result<StoreDone, StoreError> {
        self.store.carry_out(&[task]).remove(0)
    }

    fn reopen(self: Box<Self>) -> Box<dyn Executor> {
        let Self { store, folder } = *self;
        drop(store);
        Box::new(Self { store: open(folder.path()), folder })
    }
}

fn open(folder: &Path) -> SqliteStore {
    patiently(folder, &SqliteOptions::default())
}

fn opened(folder: &Path, options: &SqliteOptions) -> (SqliteStore, StoreContents) {
    let mut store = patiently(folder, options);
    match store.carry_out(&[StoreTask::Open { epoch: StoreEpoch([1; 16]) }]).remove(0) {
        Ok(StoreDone::Opened(contents)) => (store, contents),
        other => panic!("opening was answered with {other:?}"),
    }
}

fn append(entries: &[StoredEntry]) -> StoreTask {
    StoreTask::append(entries.to_vec())
}

fn read(document: DocumentId) -> StoreTask {
    StoreTask::Read { document, above: VectorClock::new(), after: 0, bytes_max: usize::MAX }
}

fn entries_read(answer: &Result<StoreDone, StoreError>) -> usize {
    match answer {
        Ok(StoreDone::Read { entries, .. }) => entries.len(),
        other => panic!("a read was answered with {other:?}"),
    }
}

/// Changes the database's pages while no process has it open.
fn damage(folder: &Path, mut change: impl FnMut(&mut [u8]) -> bool) -> usize {
    let file = folder.join(DATABASE_FILE);
    let mut bytes = std::fs::read(&file).unwrap();
    let changed = bytes.chunks_mut(PAGE_BYTES).filter_map(|page| change(page).then_some(())).count();
    std::fs::write(&file, bytes).unwrap();
    changed
}

fn holds(page: &[u8], needle: &[u8]) -> bool {
    page.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn the_sqlite_store_keeps_every_promise_of_a_store() {
    check(&mut || {
        let folder = TempDir::new().unwrap();
        Box::new(Sqlite { store: open(folder.path()), folder })
    });
}

#[test]
fn one_task_of_a_batch_that_fails_harms_no_other_and_no_read_tells_of_what_was_undone() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened(folder.path(), &SqliteOptions::default());
    let (mut fine, mut bad) = (SyntheticDocument::new(1, 1), SyntheticDocument::new(1, 2));
    let (first, second) = (fine.grow(1, 10), fine.grow(1, 10));
    let (lost, late) = (bad.grow(1, 10), bad.grow(1, 10));
    let answers = store.carry_out(&[
        append(&[first]),
        append(&[StoredEntry { position: 7, ..lost }]),
        read(bad.document),
        append(&[late]),
        append(&[second]),
        read(fine.document),
    ]);
    assert_eq!(answers[0], Ok(StoreDone::Appended));
    assert_eq!(answers[1].as_ref().unwrap_err().kind, StoreErrorKind::Corrupt);
    assert_eq!(entries_read(&answers[2]), 0);
    // It came behind one that failed: it may be sent again, after that one.
    assert_eq!(answers[3].as_ref().unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(answers[4], Ok(StoreDone::Appended));
    assert_eq!(entries_read(&answers[5]), 2);
}

#[test]
fn a_flipped_bit_in_one_document_is_told_and_the_others_are_served() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened(folder.path(), &SqliteOptions::default());
    let (mut hit, mut spared) = (SyntheticDocument::new(1, 1), SyntheticDocument::new(1, 2));
    let entries: Vec<_> = (0..100).map(|_| hit.grow(1, 1000)).collect();
    assert_eq!(store.carry_out(&[append(&entries)]), [Ok(StoreDone::Appended)]);
    let others: Vec<_> = (0..100).map(|_| spared.grow(2, 1000)).collect();
    assert_eq!(store.carry_out(&[append(&others)]), [Ok(StoreDone::Appended)]);
    drop(store);

    let payload = &entries[50].entry.payload;
    let pages = damage(folder.path(), |page| {
        let at = page.windows(64).position(|window| window == &payload[..64]);
        at.inspect(|at| page[at + 20] ^= 4).is_some()
    });
    assert!(pages > 0, "the payload is there");

    let (mut store, contents) = opened(folder.path(), &SqliteOptions::default());
    assert_eq!(contents.documents.len(), 2);
    let answers = store.carry_out(&[read(hit.document), read(spared.document)]);
    let error = answers[0].as_ref().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
    assert!(error.message.contains(&hit.document.to_string()), "{error} names the document");
    assert_eq!(entries_read(&answers[1]), 100);
    // Set aside, it can be fetched again from the beginning, and what there was of it is kept.
    let answers = store.carry_out(&[StoreTask::Quarantine { document: hit.document }, append(&entries), read(hit.document)]);
    assert_eq!(entries_read(&answers[2]), 100);
    drop(store);
    let database = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    let kept: i64 = database.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 300);
}

#[test]
fn a_lost_page_of_the_documents_table_costs_no_document_whose_entries_are_there() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened(folder.path(), &SqliteOptions::default());
    let mut documents: Vec<_> = (0..200).map(|n| SyntheticDocument::new(1, n)).collect();
    let tasks: Vec<_> = documents.iter_mut().map(|document| append(&[document.grow(1, 20), document.grow(2, 20)])).collect();
    assert!(store.carry_out(&tasks).iter().all(Result::is_ok));
    let (_, before) = {
        drop(store);
        opened(folder.path(), &SqliteOptions::default())
    };

    // Leaves of tables with row numbers begin with 13; the entries table has none of them.
    let id = documents[100].document.0;
    let pages = damage(folder.path(), |page| {
        let hit = page[0] == 13 && holds(page, &id);
        if hit {
            page.fill(0xff);
        }
        hit
    });
    assert_eq!(pages, 1, "the row is in one place");

    let (mut store, mut after) = opened(folder.path(), &SqliteOptions::default());
    after.documents.sort_by_key(|document| document.document);
    let mut expected = before.documents;
    expected.sort_by_key(|document| document.document);
    assert_eq!(after.documents, expected);
    assert_eq!((after.damaged.len(), after.lost.len()), (0, 0));
    let tasks: Vec<_> = documents.iter_mut().map(|document| append(&[document.grow(1, 20)])).collect();
    let failed: Vec<_> = store.carry_out(&tasks).into_iter().filter_map(Result::err).collect();
    assert_eq!(failed, [], "all of them go on");
    assert_eq!(entries_read(&store.carry_out(&[read(documents[100].document)])[0]), 3);
    drop(store);
    let (_, again) = opened(folder.path(), &SqliteOptions::default());
    assert_eq!(again.documents.len(), 200, "nothing is told twice");
}

#[test]
fn any_page_may_be_lost_and_the_store_opens_and_answers_honestly() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened(folder.path(), &SqliteOptions::default());
    let mut documents: Vec<_> = (0..20).map(|n| SyntheticDocument::new(1, n)).collect();
    let tasks: Vec<_> = documents.iter_mut().map(|document| append(&[document.grow(1, 900), document.grow(2, 900)])).collect();
    assert!(store.carry_out(&tasks).iter().all(Result::is_ok));
    drop(store);
    let whole = std::fs::read(folder.path().join(DATABASE_FILE)).unwrap();
    let (mut served, mut told) = (0, 0);
    // Page 1 has the schema: without it nothing can be read, and opening says so.
    for page in 1..whole.len() / PAGE_BYTES {
        let mut bytes = whole.clone();
        bytes[page * PAGE_BYTES..(page + 1) * PAGE_BYTES].fill(0xa5);
        let hurt = TempDir::new().unwrap();
        std::fs::write(hurt.path().join(DATABASE_FILE), bytes).unwrap();
        let Ok(mut store) = SqliteStore::open(hurt.path(), &SqliteOptions::default()) else { continue };
        let Ok(StoreDone::Opened(_)) = store.carry_out(&[StoreTask::Open { epoch: StoreEpoch([1; 16]) }]).remove(0) else {
            told += 1;
            continue;
        };
        for document in &documents {
            match store.carry_out(&[read(document.document)]).remove(0) {
                Ok(StoreDone::Read { entries, .. }) => {
                    assert!(entries.len() == 2 || entries.is_empty(), "{} of 2 entries", entries.len());
                    served += entries.len() / 2;
                }
                Ok(other) => panic!("a read was answered with {other:?}"),
                Err(error) => {
                    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
                    told += 1;
                }
            }
        }
    }
    assert!(served > 0 && told > 0, "{served} documents served, {told} errors");
}

#[test]
fn a_full_disk_is_told_undone_and_over_once_there_is_room() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened(folder.path(), &SqliteOptions { bytes_max: Some(40 * PAGE_BYTES as u64) });
    let mut document = SyntheticDocument::new(1, 1);
    let mut stored = 0;
    let refused = loop {
        let next = document.grow(1, 5000);
        match store.carry_out(&[append(std::slice::from_ref(&next))]).remove(0) {
            Ok(_) => stored += 1,
            Err(error) => {
                assert_eq!(error.kind, StoreErrorKind::Full, "{error}");
                break next;
            }
        }
        assert!(stored < 1000, "the limit is reached");
    };
    assert!(stored > 0);
    let behind = document.grow(1, 10);
    let error = store.carry_out(&[append(std::slice::from_ref(&behind))]).remove(0).unwrap_err();
    assert_ne!(error.kind, StoreErrorKind::Corrupt, "{error}: it came behind one that failed");
    assert_eq!(entries_read(&store.carry_out(&[read(document.document)])[0]), stored);
    drop(store);
    let (mut store, contents) = opened(folder.path(), &SqliteOptions::default());
    assert_eq!(contents.documents[0].end, stored as u64);
    assert_eq!(store.carry_out(&[append(&[refused]), append(&[behind])]), [Ok(StoreDone::Appended), Ok(StoreDone::Appended)]);
    assert_eq!(entries_read(&store.carry_out(&[read(document.document)])[0]), stored + 2);
}

#[test]
fn a_read_finds_few_entries_among_many_and_hashes_far_back() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = opened(folder.path(), &SqliteOptions::default());
    let mut document = SyntheticDocument::new(1, 1);
    // Actor 2 writes entries 100 and 9,900 of 10,000.
    let entries: Vec<_> = (1..=10_000).map(|n| document.grow(if n == 100 || n == 9_900 { 2 } else { 1 }, 5)).collect();
    assert_eq!(store.carry_out(&[append(&entries)]), [Ok(StoreDone::Appended)]);
    let mut above: VectorClock = entries.iter().map(|stored| (stored.entry.actor, stored.entry.seq)).collect();
    above = above.iter().map(|(actor, seq)| (*actor, if seq == 2 { 0 } else { seq })).collect();
    let read = StoreTask::Read { document: document.document, above, after: 0, bytes_max: 1 };
    match store.carry_out(&[read]).remove(0) {
        Ok(StoreDone::Read { entries, complete: false }) => assert_eq!(entries[0].0, 100),
        other => panic!("{other:?}"),
    }
    let asked = [entries[0].entry.hash, entries[9_999].entry.hash, entries[5_000].entry.hash];
    let found = store.carry_out(&[StoreTask::Find { document: document.document, hashes: asked.to_vec() }]).remove(0);
    assert_eq!(found, Ok(StoreDone::Found { hashes: asked.to_vec() }));
}

#[test]
fn a_data_folder_is_private_and_belongs_to_one_process_at_a_time() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("data");
    let store = open(&folder);
    let Err(error) = SqliteStore::open(&folder, &SqliteOptions::default()) else { panic!("it was opened twice") };
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(error.to_string().contains("data"), "{error}");
    drop(store);
    let store = open(&folder);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        for file in std::fs::read_dir(&folder).unwrap() {
            assert_eq!(mode(&file.unwrap().path()), 0o600);
        }
    }
    drop(store);
    std::fs::write(folder.join(DATABASE_FILE), b"this is a letter and not a database, and it is long enough").unwrap();
    let Err(error) = SqliteStore::open(&folder, &SqliteOptions::default()) else { panic!("a letter was opened") };
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
}
