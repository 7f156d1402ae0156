//! What any store must do with snapshots.

use super::plain::PlainLog;
use super::*;
use crate::base::rng::Rng;
use crate::log::snapshot::{Base, Snapshot};

/// The clauses of the suite that are about snapshots.
pub(super) const CLAUSES: &[fn(Store)] = &[
    a_snapshot_takes_the_place_of_the_entries_up_to_its_base,
    a_log_may_let_go_of_all_its_entries_and_grow_on,
    a_snapshot_of_more_than_the_log_held_is_put_before_what_it_lacks,
    a_snapshot_that_is_not_the_beginning_of_the_log_is_put_before_the_rest,
    a_log_may_begin_with_a_snapshot,
    a_snapshot_gives_way_to_another,
    what_the_snapshot_stands_for_is_no_entry_for_an_append,
    a_snapshot_that_does_not_fit_is_refused_and_leaves_nothing,
    a_snapshot_is_read_in_parts,
    a_quarantined_document_has_no_snapshot,
    a_snapshot_may_be_empty_or_large,
    many_entries_beside_a_snapshot_are_renumbered,
    any_life_with_snapshots_goes_as_in_the_plainest_log,
];

impl Store {
    fn put_snapshot(&mut self, log: &mut PlainLog, snapshot: &Snapshot, base: &Base) {
        let task = log.put_task((snapshot.clone(), base.clone()));
        assert_eq!(self.executor.execute(task), Ok(StoreDone::SnapshotPut), "putting a snapshot");
        log.put_snapshot(snapshot, base);
    }

    fn grow(&mut self, log: &mut PlainLog, stored: &[StoredEntry]) {
        self.append(&stored.iter().collect::<Vec<_>>());
        stored.iter().for_each(|stored| log.append(stored.clone()));
    }

    fn refuses_snapshot(&mut self, task: StoreTask, what: &str) {
        match self.executor.execute(task) {
            Err(error) => assert_eq!(error.kind, StoreErrorKind::Corrupt, "{what} is an error of kind Corrupt, not {error:?}"),
            Ok(done) => panic!("{what} was answered with {done:?}"),
        }
    }

    /// Checks that all a store answers about a document is what the plainest log would.
    fn holds(&mut self, log: &PlainLog) {
        let (document, version) = (log.document, log.version());
        let clocks = version.clock.iter().flat_map(|(actor, seq)| {
            [0, 1, seq / 2, seq, seq + 1].map(|seq| {
                version.clock.iter().map(|(other, held)| (*other, if other == actor { seq } else { held / 2 })).collect()
            })
        });
        for above in clocks.chain([VectorClock::new(), version.clock.clone()]).collect::<Vec<VectorClock>>() {
            for after in [0, 1, log.base.position, log.base.position + 2, log.end() / 2, log.end()] {
                for bytes_max in [0, 25, usize::MAX] {
                    let task = StoreTask::Read { document, above: above.clone(), after, bytes_max };
                    let answer = self.executor.execute(task);
                    assert_eq!(answer, Ok(log.read(&above, after, bytes_max)), "entries above {above:?} and after {after}");
                }
            }
        }
        let hashes: Vec<_> = log.entries.iter().map(|stored| stored.entry.hash).collect();
        let asked: Vec<_> = hashes.iter().copied().chain([ChangeHash([0xee; 32])]).collect();
        assert_eq!(self.find(document, &asked), hashes, "entries held are found");
        let size = log.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes.len());
        for (offset, bytes_max) in [(0, usize::MAX), (1, 7), (size / 2, size), (size, 1), (0, 0)] {
            let answer = self.executor.execute(StoreTask::ReadSnapshot { document, offset: offset as u64, bytes_max });
            assert_eq!(
                answer,
                Ok(log.read_snapshot(offset as u64, bytes_max)),
                "{bytes_max} bytes of the snapshot from {offset}"
            );
        }
    }

    /// The same, and again after reopening, with what is told of it then.
    fn holds_for_good(mut self, log: &PlainLog) -> Self {
        self.holds(log);
        let (mut store, contents) = self.reopened();
        assert_eq!(contents.documents, [log.summary()], "the summary of the document after reopening");
        assert_eq!((contents.damaged, contents.lost), (Vec::new(), Vec::new()));
        store.holds(log);
        store
    }
}

/// A document with a fork in it, and its log so far, which is in the store too.
fn begun(store: Store, count: usize) -> (Store, SyntheticDocument, PlainLog) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    let mut log = PlainLog::new(&document);
    let grown: Vec<_> = (0..count).map(|n| grow_some(&mut document, n)).collect();
    store.grow(&mut log, &grown);
    (store, document, log)
}

/// Three actors in turn; now and then one does not know of all the others.
fn grow_some(document: &mut SyntheticDocument, n: usize) -> StoredEntry {
    let first = document.version.heads.first().copied().filter(|_| n % 4 == 3);
    match first {
        Some(head) => document.grow_on(vec![head], (n % 3) as u8, 10),
        None => document.grow((n % 3) as u8, 10),
    }
}

/// The beginning of a log as a document of its own.
fn until(log: &PlainLog, end: u64) -> SyntheticDocument {
    let mut beginning = log.clone();
    beginning.entries.retain(|stored| stored.position <= end);
    beginning.synthetic()
}

fn a_snapshot_takes_the_place_of_the_entries_up_to_its_base(store: Store) {
    let (mut store, mut document, mut log) = begun(store, 12);
    let version = log.version();
    let (gone, kept) = (log.entries[..5].to_vec(), log.entries[5..].to_vec());
    let (snapshot, base) = (until(&log, 8).snapshot(40), until(&log, 5).base());
    store.put_snapshot(&mut log, &snapshot, &base);
    assert_eq!((log.version(), log.end()), (version, 12), "nothing is gained or lost");
    assert_eq!(
        store.read_all(document.document),
        answer(&kept.iter().collect::<Vec<_>>()),
        "entries after the base stay where they were"
    );
    assert_eq!(store.find(document.document, &gone.iter().map(|stored| stored.entry.hash).collect::<Vec<_>>()), []);
    let mut store = store.holds_for_good(&log);
    for n in 12..15 {
        store.grow(&mut log, &[grow_some(&mut document, n)]);
        store.holds(&log);
    }
    store.holds_for_good(&log);
}

fn a_log_may_let_go_of_all_its_entries_and_grow_on(store: Store) {
    let (mut store, mut document, mut log) = begun(store, 7);
    store.put_snapshot(&mut log, &document.snapshot(40), &document.base());
    assert_eq!(store.read_all(document.document), []);
    let mut store = store.holds_for_good(&log);
    store.grow(&mut log, &[grow_some(&mut document, 7), grow_some(&mut document, 8)]);
    let mut store = store.holds_for_good(&log);
    store.put_snapshot(&mut log, &document.snapshot(50), &document.base());
    store.holds_for_good(&log);
}

fn a_snapshot_of_more_than_the_log_held_is_put_before_what_it_lacks(store: Store) {
    let (mut store, mut document, mut log) = begun(store, 6);
    // Another replica went on from there, and so did this one.
    let mut other = document.clone();
    other.grow(4, 10);
    other.grow(5, 10);
    let own = [document.grow(6, 10), document.grow(0, 10), document.grow(6, 10)];
    store.grow(&mut log, &own);
    store.put_snapshot(&mut log, &other.snapshot(40), &other.base());
    let positions: Vec<_> = store.read_all(document.document).iter().map(|(position, entry)| (*position, entry.hash)).collect();
    let own = own.map(|stored| stored.entry.hash);
    assert_eq!(positions, [(9, own[0]), (10, own[1]), (11, own[2])], "what the snapshot lacks comes after it, in its order");
    assert_eq!(log.version().heads.len(), 2, "neither replica's newest entry is behind the other's");
    let mut store = store.holds_for_good(&log);
    let mut document = log.synthetic();
    store.grow(&mut log, &[document.grow(5, 10), document.grow(6, 10)]);
    store.holds_for_good(&log);
}

fn a_snapshot_that_is_not_the_beginning_of_the_log_is_put_before_the_rest(store: Store) {
    let (mut store, _) = store.opened();
    // Two replicas' entries, one after the other here, and in the other order there.
    let (mut here, mut there) = (SyntheticDocument::new(1, 1), SyntheticDocument::new(1, 1));
    let mut log = PlainLog::new(&here);
    let entries = [here.grow_on(Vec::new(), 1, 10), here.grow_on(Vec::new(), 2, 10), here.grow_on(Vec::new(), 3, 10)];
    store.grow(&mut log, &entries);
    there.grow_on(Vec::new(), 3, 10);
    there.grow_on(Vec::new(), 2, 10);
    let early = until(&log, 1).base();
    store.refuses_snapshot(log.put_task((there.snapshot(40), early)), "a base within a snapshot that is not the log's beginning");
    store.put_snapshot(&mut log, &there.snapshot(40), &there.base());
    assert_eq!(store.read_all(here.document), [(3, entries[0].entry.clone())], "a log of another order");
    store.holds_for_good(&log);
}

fn a_log_may_begin_with_a_snapshot(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    (0..9).for_each(|n| _ = grow_some(&mut document, n));
    let mut log = PlainLog::new(&document);
    store.put_snapshot(&mut log, &document.snapshot(40), &document.base());
    let mut store = store.holds_for_good(&log);
    store.grow(&mut log, &[grow_some(&mut document, 9)]);
    store.holds_for_good(&log);
}

fn a_snapshot_gives_way_to_another(store: Store) {
    let (mut store, mut document, mut log) = begun(store, 10);
    let old = until(&log, 6);
    let (middle, early) = (until(&log, 8), until(&log, 3).base());
    store.put_snapshot(&mut log, &middle.snapshot(40), &early);
    store.put_snapshot(&mut log, &document.snapshot(30), &early);
    store.holds(&log);
    // One of less is as good as long as the entries between are there.
    let base = Base { position: 4, clock: advanced(&early.clock, &log.entries[..1]) };
    let task = log.put_task((old.snapshot(20), base.clone()));
    assert_eq!(store.executor.execute(task), Ok(StoreDone::SnapshotPut), "a snapshot of less than the present one");
    log.put_snapshot(&old.snapshot(20), &base);
    assert_eq!(log.version(), document.version);
    let mut store = store.holds_for_good(&log);
    store.grow(&mut log, &[grow_some(&mut document, 10)]);
    store.put_snapshot(&mut log, &document.snapshot(35), &document.base());
    let mut store = store.holds_for_good(&log);
    store.grow(&mut log, &[grow_some(&mut document, 11)]);
    store.holds_for_good(&log);
}

fn advanced(clock: &VectorClock, entries: &[StoredEntry]) -> VectorClock {
    let mut clock = clock.clone();
    entries.iter().for_each(|stored| clock.raise(stored.entry.actor, stored.entry.seq));
    clock
}

fn what_the_snapshot_stands_for_is_no_entry_for_an_append(store: Store) {
    let (mut store, document, mut log) = begun(store, 5);
    let taken = log.entries[2].clone();
    store.put_snapshot(&mut log, &document.snapshot(40), &document.base());
    let mut next = document.clone().grow(0, 10);
    next.position = 7;
    store.refuses(&[&next], "a position behind a gap");
    store.refuses(&[&taken], "a position that the snapshot takes");
    store.refuses(&[&StoredEntry { position: 6, ..taken }], "an entry that the snapshot stands for");
    next.position = 6;
    store.grow(&mut log, &[next]);
    store.holds_for_good(&log);
}

fn a_snapshot_that_does_not_fit_is_refused_and_leaves_nothing(store: Store) {
    let (mut store, document, mut log) = begun(store, 10);
    let (whole, early, middle) = (document.snapshot(40), until(&log, 3), until(&log, 6));
    store.put_snapshot(&mut log, &middle.snapshot(40), &early.base());
    let too_early = Base { position: 2, clock: [(actor_of(0), 1), (actor_of(1), 1)].into_iter().collect() };
    let mut elsewhere = SyntheticDocument::new(1, 1);
    elsewhere.grow(0, 10);
    let none = Snapshot { version: Version::new(), bytes: Arc::from(&b"nothing"[..]) };
    let headless = Snapshot { version: Version { heads: Default::default(), ..whole.version.clone() }, ..whole.clone() };
    let other_clock = Base { clock: elsewhere.version.clock.clone(), ..early.base() };
    for (snapshot, base, what) in [
        (elsewhere.snapshot(10), elsewhere.base(), "a snapshot that lacks what only the present one stands for"),
        (whole.clone(), too_early, "a base before the present one"),
        (whole.clone(), other_clock, "a base whose clock is not the log's"),
        (whole.clone(), Base { position: 4, ..early.base() }, "a base whose clock is of another position"),
        (early.snapshot(10), middle.base(), "a base beyond the snapshot"),
        (none, early.base(), "a snapshot of nothing"),
        (headless, early.base(), "a snapshot without heads"),
    ] {
        store.refuses_snapshot(log.put_task((snapshot, base)), what);
        store.holds(&log);
    }
    let space = SpaceId([9; 16]);
    let task = StoreTask::PutSnapshot { document: document.document, space, snapshot: whole, base: early.base() };
    store.refuses_snapshot(task, "a snapshot in another space");
    let mut unknown = PlainLog::new(&SyntheticDocument::new(1, 2));
    unknown.document = DocumentId([2; 16]);
    store.refuses_snapshot(
        unknown.put_task((document.snapshot(5), Base::default())),
        "a base before the beginning of a document that is not held",
    );
    store.holds(&unknown);
    store.holds_for_good(&log);
}

fn a_snapshot_is_read_in_parts(store: Store) {
    let (mut store, document, mut log) = begun(store, 5);
    let id = document.document;
    let read = |offset, bytes_max| StoreTask::ReadSnapshot { document: id, offset, bytes_max };
    let none = Ok(StoreDone::SnapshotRead { part: None });
    assert_eq!(store.executor.execute(read(0, 10)), none, "a document that has no snapshot");
    let nowhere = StoreTask::ReadSnapshot { document: DocumentId([7; 16]), offset: 0, bytes_max: 10 };
    assert_eq!(store.executor.execute(nowhere), none, "a document that is not held");
    // Stores may keep it in pieces, of whatever size.
    let snapshot = document.snapshot(1_200_000);
    store.put_snapshot(&mut log, &snapshot, &document.base());
    for step in [100_000, 262_144, 65_537, 1_200_000, usize::MAX] {
        let mut found: Vec<u8> = Vec::new();
        loop {
            match store.executor.execute(read(found.len() as u64, step)) {
                Ok(StoreDone::SnapshotRead { part: Some(part) }) => {
                    assert_eq!((&part.version, part.size, part.offset), (&snapshot.version, 1_200_000, found.len() as u64));
                    assert!(part.bytes.len() <= step, "a part is not larger than asked");
                    if part.bytes.is_empty() {
                        break;
                    }
                    found.extend_from_slice(&part.bytes);
                }
                other => panic!("reading a part was answered with {other:?}"),
            }
        }
        assert!(found[..] == snapshot.bytes[..], "parts of {step} bytes make the whole");
    }
    for offset in [1_200_000, 1_200_001, u64::MAX] {
        let answer = store.executor.execute(read(offset, 10));
        assert_eq!(answer, Ok(log.read_snapshot(offset, 10)), "past the end");
    }
}

fn a_quarantined_document_has_no_snapshot(store: Store) {
    let (mut store, document, mut log) = begun(store, 5);
    let early = until(&log, 3).base();
    store.put_snapshot(&mut log, &document.snapshot(40), &early);
    store.quarantine(document.document);
    store.holds(&PlainLog::new(&document));
    let (mut store, contents) = store.reopened();
    assert_eq!(contents.documents, []);
    store.holds(&PlainLog::new(&document));
    // It begins anew, with less than it had.
    let mut again = SyntheticDocument::new(1, 1);
    let mut log = PlainLog::new(&again);
    let entries = [again.grow(0, 10), again.grow(1, 10)];
    store.grow(&mut log, &entries);
    let early = until(&log, 1).base();
    store.put_snapshot(&mut log, &again.snapshot(20), &early);
    store.holds_for_good(&log);
}

fn a_snapshot_may_be_empty_or_large(store: Store) {
    let (mut store, mut document, mut log) = begun(store, 5);
    store.put_snapshot(&mut log, &document.snapshot(0), &document.base());
    let mut store = store.holds_for_good(&log);
    store.grow(&mut log, &[grow_some(&mut document, 5)]);
    store.put_snapshot(&mut log, &document.snapshot(5 * 1024 * 1024 + 1), &document.base());
    let mut store = store.holds_for_good(&log);
    store.put_snapshot(&mut log, &document.snapshot(10), &document.base());
    store.holds_for_good(&log);
}

fn many_entries_beside_a_snapshot_are_renumbered(store: Store) {
    let (mut store, mut document, mut log) = begun(store, 3);
    let mut other = document.clone();
    (0..50).for_each(|_| _ = other.grow(9, 10));
    // More than a store may handle at once, and past any stretch of positions it may keep together.
    let own: Vec<_> = (0..4_200).map(|n| document.grow(n as u8 % 3, 4)).collect();
    for part in own.chunks(1_000) {
        store.grow(&mut log, part);
    }
    store.put_snapshot(&mut log, &other.snapshot(40), &other.base());
    assert_eq!(log.entries.first().map(|stored| stored.position), Some(54));
    store.holds_for_good(&log);
}

fn any_life_with_snapshots_goes_as_in_the_plainest_log(store: Store) {
    let (mut store, _) = store.opened();
    let mut rng = Rng::new([8; 32]);
    let mut log = PlainLog::new(&SyntheticDocument::new(1, 1));
    let (mut put, mut refused) = (0, 0);
    for step in 0..160 {
        match (rng.below(8), log.propose(&mut rng), log.propose_broken(&mut rng)) {
            (0 | 1, Some((snapshot, base)), _) => {
                store.put_snapshot(&mut log, &snapshot, &base);
                put += 1;
            }
            (2 | 3, _, Some(broken)) => {
                store.refuses_snapshot(log.put_task(broken), "a snapshot that does not fit");
                refused += 1;
            }
            (4, ..) if rng.below(4) == 0 => {
                store.quarantine(log.document);
                log = PlainLog::new(&log.synthetic());
            }
            _ => {
                let mut document = log.synthetic();
                let grown: Vec<_> = (0..=rng.below(6)).map(|_| grow_some(&mut document, rng.below(12) as usize)).collect();
                store.grow(&mut log, &grown);
            }
        }
        if step % 4 == 0 {
            store.holds(&log);
        }
        if step % 16 == 0 {
            let contents;
            (store, contents) = store.reopened();
            let expected = [log.summary()];
            assert_eq!(contents.documents, expected[..usize::from(log.end() > 0)], "after step {step}");
        }
    }
    assert!(put > 20 && refused > 20, "{put} {refused}");
}
