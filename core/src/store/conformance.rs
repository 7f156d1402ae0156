//! What any store must do: one suite that every executor's tests call, and entries to store that need no document.
//!
//! The suite asks only for what [`super::task`] promises. How a store bears crashes and damage depends on what it writes
//! on, and is each executor's own to test.

pub mod plain;
mod snapshots;

use super::journal::Journal;
use super::medium::Medium;
use super::task::{Position, StoreContents, StoreDone, StoreError, StoreErrorKind, StoreTask, StoredDocument, StoredEntry};
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId, StoreEpoch};
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::version::Version;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An executor of storage tasks, as the suite drives it.
pub trait Executor {
    /// Carries out one task.
    fn execute(&mut self, task: StoreTask) -> Result<StoreDone, StoreError>;

    /// Ends it, and begins another on what it stored, as when its process starts again. The suite opens it.
    fn reopen(self: Box<Self>) -> Box<dyn Executor>;
}

impl<M: Medium + 'static> Executor for Journal<M> {
    fn execute(&mut self, task: StoreTask) -> Result<StoreDone, StoreError> {
        Journal::execute(self, task)
    }

    fn reopen(self: Box<Self>) -> Box<dyn Executor> {
        Box::new(Journal::new(self.into_medium()))
    }
}

/// Checks an executor against every promise of the store; `make` makes an empty store each time.
///
/// # Panics
///
/// Where a promise is broken, saying which.
pub fn check(make: &mut dyn FnMut() -> Box<dyn Executor>) {
    let clauses: &[fn(Store)] = &[
        an_empty_store_holds_nothing_and_keeps_its_epoch,
        what_is_appended_is_read_back,
        a_read_above_a_clock_answers_exactly_what_that_clock_lacks,
        a_read_after_a_position_answers_only_what_comes_after_it,
        a_read_stops_at_its_bound_and_goes_on_from_there,
        what_is_not_held_is_answered_with_nothing,
        hashes_are_found_in_the_order_asked,
        one_append_may_belong_to_several_documents_and_spaces,
        an_append_that_leaves_a_gap_is_refused_and_leaves_nothing,
        named_values_are_put_replaced_and_removed,
        values_that_are_put_with_an_append_stand_and_fall_with_it,
        a_log_is_begun_anew_with_what_remains_or_stays_as_it_was,
        a_quarantined_document_is_not_held_and_may_begin_anew,
        payloads_may_be_empty_or_large,
        an_entry_may_depend_on_many,
        a_long_history_keeps_its_order,
    ];
    for clause in clauses.iter().chain(snapshots::CLAUSES) {
        clause(Store { executor: make() });
    }
}

const EPOCH: StoreEpoch = StoreEpoch([0xe1; 16]);
const OTHER_EPOCH: StoreEpoch = StoreEpoch([0xe2; 16]);

/// An executor, and shorthand for asking it.
struct Store {
    executor: Box<dyn Executor>,
}

impl Store {
    fn opened(mut self) -> (Self, StoreContents) {
        match self.executor.execute(StoreTask::Open { epoch: EPOCH }) {
            Ok(StoreDone::Opened(contents)) => (self, contents),
            other => panic!("opening was answered with {other:?}"),
        }
    }

    fn reopened(self) -> (Self, StoreContents) {
        Self { executor: self.executor.reopen() }.opened()
    }

    fn append(&mut self, entries: &[&StoredEntry]) {
        let entries = entries.iter().map(|entry| (*entry).clone()).collect();
        assert_eq!(self.executor.execute(StoreTask::append(entries)), Ok(StoreDone::Appended), "an append");
    }

    fn refuses(&mut self, entries: &[&StoredEntry], what: &str) {
        let entries = entries.iter().map(|entry| (*entry).clone()).collect();
        match self.executor.execute(StoreTask::append(entries)) {
            Err(error) => assert_eq!(error.kind, StoreErrorKind::Corrupt, "{what} is an error of kind Corrupt, not {error:?}"),
            Ok(done) => panic!("{what} was answered with {done:?}"),
        }
    }

    fn read(&mut self, document: DocumentId, above: &VectorClock, after: Position, bytes_max: usize) -> (Answer, bool) {
        let task = StoreTask::Read { document, above: above.clone(), after, bytes_max };
        match self.executor.execute(task) {
            Ok(StoreDone::Read { entries, complete }) => (entries, complete),
            other => panic!("a read was answered with {other:?}"),
        }
    }

    fn read_all(&mut self, document: DocumentId) -> Answer {
        let (entries, complete) = self.read(document, &VectorClock::new(), 0, usize::MAX);
        assert!(complete, "a read without a bound is complete");
        entries
    }

    fn find(&mut self, document: DocumentId, hashes: &[ChangeHash]) -> Vec<ChangeHash> {
        match self.executor.execute(StoreTask::Find { document, hashes: hashes.to_vec() }) {
            Ok(StoreDone::Found { hashes }) => hashes,
            other => panic!("a look-up was answered with {other:?}"),
        }
    }

    fn put(&mut self, key: &str, value: &[u8]) {
        let task = StoreTask::PutMeta { key: key.to_owned(), value: value.to_vec() };
        assert_eq!(self.executor.execute(task), Ok(StoreDone::MetaPut), "putting a named value");
    }

    fn quarantine(&mut self, document: DocumentId) {
        assert_eq!(self.executor.execute(StoreTask::Quarantine { document }), Ok(StoreDone::Quarantined), "a quarantine");
    }
}

type Answer = Vec<(Position, Arc<Entry>)>;

fn answer(entries: &[&StoredEntry]) -> Answer {
    entries.iter().map(|stored| (stored.position, stored.entry.clone())).collect()
}

/// Contents are told in any order.
fn sorted(mut contents: StoreContents) -> StoreContents {
    contents.documents.sort_by_key(|document| document.document);
    contents.meta.sort();
    contents
}

fn an_empty_store_holds_nothing_and_keeps_its_epoch(store: Store) {
    let (store, contents) = store.opened();
    let empty = StoreContents { epoch: Some(EPOCH), ..StoreContents::default() };
    assert_eq!(contents, empty, "a new store");
    let mut executor = store.executor.reopen();
    let opened = executor.execute(StoreTask::Open { epoch: OTHER_EPOCH });
    assert_eq!(opened, Ok(StoreDone::Opened(empty)), "a store that exists keeps its own epoch");
}

fn what_is_appended_is_read_back(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    let id = document.document;
    let first = document.grow(1, 10);
    let forks = [document.grow_on(vec![first.entry.hash], 1, 20), document.grow_on(vec![first.entry.hash], 2, 30)];
    let merge = document.grow_on(vec![forks[1].entry.hash, forks[0].entry.hash], 3, 40);
    store.append(&[&first]);
    store.append(&[&forks[0], &forks[1], &merge]);
    let expected = answer(&[&first, &forks[0], &forks[1], &merge]);
    assert_eq!(store.read_all(id), expected, "entries come back whole, in order, with their dependencies in the order given");
    let (mut store, contents) = store.reopened();
    assert_eq!(store.read_all(id), expected, "entries after reopening");
    assert_eq!(contents.documents, [document.summary(100)], "the summary of the document after reopening");
    let next = document.grow(2, 5);
    store.append(&[&next]);
    let (mut store, contents) = store.reopened();
    assert_eq!(store.read_all(id).last(), answer(&[&next]).last(), "an entry appended after reopening");
    assert_eq!(contents.documents, [document.summary(105)]);
}

fn a_read_above_a_clock_answers_exactly_what_that_clock_lacks(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    let id = document.document;
    let entries: Vec<_> = [1, 2, 1, 3, 2, 1, 1, 3].into_iter().map(|actor| document.grow(actor, 10)).collect();
    store.append(&entries.iter().collect::<Vec<_>>());
    for held in 0..4 * 3 * 3 {
        let seqs = [(1u8, held % 4), (2, held / 4 % 3), (3, held / 12)];
        let clock: VectorClock = seqs.into_iter().map(|(actor, seq)| (actor_of(actor), seq)).collect();
        let lacked = entries.iter().filter(|stored| !clock.covers(&stored.entry.actor, stored.entry.seq)).collect::<Vec<_>>();
        assert_eq!(store.read(id, &clock, 0, usize::MAX), (answer(&lacked), true), "what {clock:?} lacks");
    }
    let beyond: VectorClock = [(actor_of(1), 99), (actor_of(2), 2), (actor_of(3), 2), (actor_of(7), 1)].into_iter().collect();
    assert_eq!(store.read(id, &beyond, 0, usize::MAX), (Vec::new(), true), "a clock that is ahead lacks nothing");
}

fn a_read_after_a_position_answers_only_what_comes_after_it(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    let entries: Vec<_> = [1, 2, 1, 2, 1].into_iter().map(|actor| document.grow(actor, 10)).collect();
    store.append(&entries.iter().collect::<Vec<_>>());
    let clock: VectorClock = [(actor_of(1), 1)].into_iter().collect();
    for after in 0..=6 {
        let expected: Vec<_> = entries[1..].iter().filter(|stored| stored.position > after).collect();
        let found = store.read(document.document, &clock, after, usize::MAX);
        assert_eq!(found, (answer(&expected), true), "above a clock and after position {after}");
    }
}

fn a_read_stops_at_its_bound_and_goes_on_from_there(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    let sizes = [10, 200, 0, 30, 30, 30, 1];
    let entries: Vec<_> = sizes.into_iter().enumerate().map(|(n, bytes)| document.grow(n as u8 % 2, bytes)).collect();
    store.append(&entries.iter().collect::<Vec<_>>());
    for bytes_max in [0, 1, 10, 59, 60, 61, 300, 1000] {
        let mut found = Vec::new();
        loop {
            let after = found.last().map_or(0, |(position, _)| *position);
            let (page, complete) = store.read(document.document, &VectorClock::new(), after, bytes_max);
            let bytes = |entries: &[(Position, Arc<Entry>)]| entries.iter().map(|(_, entry)| entry.payload.len()).sum::<usize>();
            let (_, before_last) = page.split_last().expect("at least one entry is answered where there is one");
            assert!(before_last.is_empty() || bytes(before_last) < bytes_max, "a page of {page:?} is over {bytes_max} bytes");
            found.extend(page);
            assert_eq!(complete, found.len() == entries.len(), "complete with {} of {} entries", found.len(), entries.len());
            if complete {
                break;
            }
        }
        assert_eq!(found, answer(&entries.iter().collect::<Vec<_>>()), "pages of {bytes_max} bytes");
    }
}

fn what_is_not_held_is_answered_with_nothing(store: Store) {
    let (mut store, _) = store.opened();
    let nowhere = SyntheticDocument::new(1, 9).document;
    assert_eq!(store.read(nowhere, &VectorClock::new(), 0, 100), (Vec::new(), true));
    assert_eq!(store.find(nowhere, &[ChangeHash([1; 32])]), []);
    store.quarantine(nowhere);
    store.append(&[]);
    let (_, contents) = store.reopened();
    assert_eq!(contents, StoreContents { epoch: Some(EPOCH), ..StoreContents::default() });
}

fn hashes_are_found_in_the_order_asked(store: Store) {
    let (mut store, _) = store.opened();
    let (mut document, mut other) = (SyntheticDocument::new(1, 1), SyntheticDocument::new(1, 2));
    let entries = [document.grow(1, 10), document.grow(2, 10), other.grow(1, 10)];
    store.append(&entries.iter().collect::<Vec<_>>());
    let [first, second, elsewhere] = entries.map(|stored| stored.entry.hash);
    let asked = [second, ChangeHash([0xff; 32]), first, elsewhere];
    assert_eq!(store.find(document.document, &asked), [second, first], "hashes of this document only, in the order asked");
    let (mut store, _) = store.reopened();
    assert_eq!(store.find(other.document, &asked), [elsewhere]);
}

fn one_append_may_belong_to_several_documents_and_spaces(store: Store) {
    let (mut store, _) = store.opened();
    let mut documents = [SyntheticDocument::new(1, 1), SyntheticDocument::new(1, 2), SyntheticDocument::new(2, 3)];
    let mut entries = Vec::new();
    for round in 0..3 {
        for document in &mut documents {
            entries.push(document.grow(round, 10));
        }
    }
    store.append(&entries.iter().collect::<Vec<_>>());
    let (mut store, contents) = store.reopened();
    assert_eq!(sorted(contents).documents, documents.each_ref().map(|document| document.summary(30)));
    for document in &documents {
        let expected: Vec<_> = entries.iter().filter(|stored| stored.entry.document == document.document).collect();
        assert_eq!(store.read_all(document.document), answer(&expected));
    }
}

fn an_append_that_leaves_a_gap_is_refused_and_leaves_nothing(store: Store) {
    let (mut store, _) = store.opened();
    let (mut document, mut other) = (SyntheticDocument::new(1, 1), SyntheticDocument::new(1, 2));
    let (first, skipped, late, fine) = (document.grow(1, 10), document.grow(1, 10), document.grow(1, 10), other.grow(1, 10));
    store.append(&[&first]);
    store.refuses(&[&fine, &late], "a position that is not the next");
    let early = StoredEntry { position: 2, ..late.clone() };
    store.refuses(&[&fine, &early], "a sequence number that is not the next");
    store.refuses(&[&fine, &first], "a position that is taken");
    assert_eq!(store.read_all(other.document), [], "nothing is left of an append that was refused");
    assert_eq!(store.read_all(document.document), answer(&[&first]));
    let (mut store, contents) = store.reopened();
    assert_eq!(contents.documents.len(), 1, "nothing is left of an append that was refused, also after reopening");
    store.append(&[&skipped, &fine, &late]);
    assert_eq!(store.read_all(document.document), answer(&[&first, &skipped, &late]));
}

fn named_values_are_put_replaced_and_removed(store: Store) {
    let (mut store, _) = store.opened();
    let long = "k".repeat(255);
    store.put("one", b"1");
    store.put("two", b"2");
    store.put("two", &[0xff; 5000]);
    store.put("three", b"3");
    store.put("three", b"");
    store.put("never", b"");
    store.put("schl\u{fc}ssel", b"\0");
    store.put(&long, b"long");
    let expected = |contents: StoreContents| {
        let mut values: Vec<(String, Vec<u8>)> = vec![
            (long.clone(), b"long".to_vec()),
            ("one".to_owned(), b"1".to_vec()),
            ("schl\u{fc}ssel".to_owned(), b"\0".to_vec()),
            ("two".to_owned(), vec![0xff; 5000]),
        ];
        values.sort();
        assert_eq!(sorted(contents).meta, values, "named values after reopening");
    };
    let (store, contents) = store.reopened();
    expected(contents);
    let (_, contents) = store.reopened();
    expected(contents);
}

fn a_log_is_begun_anew_with_what_remains_or_stays_as_it_was(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    let old = [document.grow(1, 10), document.grow(2, 10), document.grow(1, 10)];
    store.append(&[&old[0], &old[1], &old[2]]);
    let mut anew = SyntheticDocument::new(1, 1);
    let remaining = [anew.grow(3, 10), anew.grow(4, 10)];
    let renew = |entries: &[&StoredEntry]| StoreTask::Renew {
        document: document.document,
        entries: entries.iter().map(|entry| (*entry).clone()).collect(),
        values: vec![("with".to_owned(), b"1".to_vec())],
    };
    assert!(store.executor.execute(renew(&[&remaining[1]])).is_err(), "what does not begin at the beginning");
    assert_eq!(store.read_all(document.document), answer(&[&old[0], &old[1], &old[2]]), "and the log stays");
    let (mut store, contents) = store.reopened();
    assert_eq!(contents.meta, []);
    assert_eq!(store.read_all(document.document), answer(&[&old[0], &old[1], &old[2]]));
    assert_eq!(store.executor.execute(renew(&[&remaining[0], &remaining[1]])), Ok(StoreDone::Appended));
    assert_eq!(store.read_all(document.document), answer(&[&remaining[0], &remaining[1]]));
    assert_eq!(store.find(document.document, &[old[0].entry.hash, remaining[0].entry.hash]), [remaining[0].entry.hash]);
    let next = anew.grow(3, 10);
    store.append(&[&next]);
    let (mut store, contents) = store.reopened();
    assert_eq!(contents.meta, [("with".to_owned(), b"1".to_vec())]);
    assert_eq!(store.read_all(document.document), answer(&[&remaining[0], &remaining[1], &next]));
}

fn values_that_are_put_with_an_append_stand_and_fall_with_it(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    store.put("before", b"1");
    let with = |entry: &StoredEntry, values: &[(&str, &[u8])]| StoreTask::Append {
        entries: vec![entry.clone()],
        values: values.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect(),
    };
    let first = document.grow(1, 10);
    let done = store.executor.execute(with(&first, &[("with", b"2"), ("before", b"")]));
    assert_eq!(done, Ok(StoreDone::Appended));
    let mut elsewhere = document.clone();
    elsewhere.grow(1, 10);
    let gap = elsewhere.grow(1, 10);
    assert!(store.executor.execute(with(&gap, &[("with", b"3"), ("refused", b"4")])).is_err(), "an append that leaves a gap");
    let (mut store, contents) = store.reopened();
    assert_eq!(contents.meta, [("with".to_owned(), b"2".to_vec())]);
    assert_eq!(store.read_all(document.document), answer(&[&first]));
}

fn a_quarantined_document_is_not_held_and_may_begin_anew(store: Store) {
    let (mut store, _) = store.opened();
    let (mut document, mut other) = (SyntheticDocument::new(1, 1), SyntheticDocument::new(1, 2));
    let entries = [document.grow(1, 10), document.grow(2, 10), other.grow(1, 10)];
    store.append(&entries.iter().collect::<Vec<_>>());
    store.quarantine(document.document);
    assert_eq!(store.read_all(document.document), [], "a document that was set aside is not held");
    assert_eq!(store.find(document.document, &[entries[0].entry.hash]), []);
    let (mut store, contents) = store.reopened();
    assert_eq!(contents.documents, [other.summary(10)], "a document that was set aside stays aside");
    assert_eq!(store.read_all(document.document), []);
    store.append(&[&entries[0]]);
    assert_eq!(store.read_all(document.document), answer(&[&entries[0]]), "a document fetched again begins at position 1");
    let (mut store, contents) = store.reopened();
    assert_eq!(contents.documents.len(), 2);
    assert_eq!(store.read_all(document.document), answer(&[&entries[0]]));
    assert_eq!(store.read_all(other.document), answer(&[&entries[2]]));
}

fn payloads_may_be_empty_or_large(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    let entries = [document.grow(1, 0), document.grow(1, 3 * 1024 * 1024 + 1), document.grow(1, 0)];
    store.append(&entries.iter().collect::<Vec<_>>());
    let (mut store, contents) = store.reopened();
    assert!(store.read_all(document.document) == answer(&entries.iter().collect::<Vec<_>>()), "empty and large payloads");
    assert_eq!(contents.documents[0].bytes, 3 * 1024 * 1024 + 1);
}

fn an_entry_may_depend_on_many(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    let fork: Vec<_> = (0..200).map(|actor| document.grow_on(Vec::new(), actor, 1)).collect();
    let mut deps: Vec<_> = fork.iter().map(|stored| stored.entry.hash).collect();
    // More than any peer would send: what a store takes it gives back.
    deps.extend((0..2_000u16).map(|n| ChangeHash([n.to_le_bytes(); 16].concat().try_into().expect("32 bytes"))));
    let merge = document.grow_on(deps, 201, 1);
    store.append(&fork.iter().chain([&merge]).collect::<Vec<_>>());
    let (mut store, contents) = store.reopened();
    assert_eq!(contents.documents, [document.summary(201)]);
    assert_eq!(store.read_all(document.document).last(), answer(&[&merge]).last(), "an entry with many dependencies");
}

fn a_long_history_keeps_its_order(store: Store) {
    let (mut store, _) = store.opened();
    let mut document = SyntheticDocument::new(1, 1);
    let entries: Vec<_> = (0..600u16).map(|n| document.grow((n % 7) as u8, 10)).collect();
    for batch in entries.chunks(97) {
        store.append(&batch.iter().collect::<Vec<_>>());
    }
    let (mut store, _) = store.reopened();
    let found = store.read_all(document.document);
    assert_eq!(found, answer(&entries.iter().collect::<Vec<_>>()));
    let mut held = BTreeSet::new();
    for (_, entry) in found {
        assert!(entry.deps.iter().all(|dep| held.contains(dep)), "every entry comes after all it depends on");
        held.insert(entry.hash);
    }
}

fn actor_of(number: u8) -> ActorId {
    ActorId::new(&[number; 16]).expect("16 bytes are an actor")
}

/// A document that grows by entries without meaning: they depend on each other as real ones do, and their payload is noise.
#[derive(Clone, Debug)]
pub struct SyntheticDocument {
    /// The space.
    pub space: SpaceId,
    /// The document.
    pub document: DocumentId,
    /// How far it has come.
    pub version: Version,
    /// The position of its last entry.
    pub end: Position,
}

impl SyntheticDocument {
    /// An empty document, numbered.
    pub fn new(space: u8, document: u8) -> Self {
        Self { space: SpaceId([space; 16]), document: DocumentId([document; 16]), version: Version::new(), end: 0 }
    }

    /// The next entry: by `actor`, on all that is there, with a payload of `bytes` bytes.
    pub fn grow(&mut self, actor: u8, bytes: usize) -> StoredEntry {
        let deps = self.version.heads.iter().copied().collect();
        self.grow_on(deps, actor, bytes)
    }

    /// The next entry: by `actor`, on `deps`, with a payload of `bytes` bytes.
    pub fn grow_on(&mut self, deps: Vec<ChangeHash>, actor: u8, bytes: usize) -> StoredEntry {
        let actor = actor_of(actor);
        let seq = self.version.clock.get(&actor) + 1;
        let name = Sha256::new().chain_update(self.document.0).chain_update(actor.as_bytes()).chain_update(seq.to_le_bytes());
        let hash = ChangeHash(name.finalize().into());
        let payload: Arc<[u8]> = hash.0.iter().copied().cycle().take(bytes).collect();
        let entry = Arc::new(Entry { document: self.document, actor, seq, hash, deps, payload });
        self.version.advance(&entry);
        self.end += 1;
        StoredEntry { space: self.space, position: self.end, entry }
    }

    /// What a store tells of it, when its payloads are this long together.
    pub fn summary(&self, bytes: u64) -> StoredDocument {
        let Self { space, document, version, end } = self.clone();
        StoredDocument { document, space, version, end, bytes, snapshot: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::medium::MemoryMedium;
    use crate::store::rewrite::{DeadPart, RewritePolicy, StepKind};
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn a_journal_in_memory_is_a_store() {
        check(&mut || Box::new(Journal::new(MemoryMedium::new())));
    }

    /// A journal that is written again as soon as anything in it is dead: before each task, after some, and a part of it between others.
    struct Restless {
        journal: Journal<MemoryMedium>,
        rewritten: Rc<Cell<u32>>,
        tasks: usize,
    }

    impl Restless {
        fn on(medium: MemoryMedium, rewritten: Rc<Cell<u32>>) -> Box<dyn Executor> {
            let least = DeadPart { bytes: 0, percent: 0 };
            let policy = RewritePolicy { in_use: least, at_opening: least, step_bytes: 200 };
            Box::new(Self { journal: Journal::new(medium).with_policy(policy), rewritten, tasks: 0 })
        }

        fn step(&mut self, many: usize) {
            for _ in 0..many {
                match self.journal.step() {
                    Some((StepKind::Switch, done)) => self.rewritten.set(self.rewritten.get() + u32::from(done.is_ok())),
                    Some(_) => {}
                    None => return,
                }
            }
        }
    }

    impl Executor for Restless {
        fn execute(&mut self, task: StoreTask) -> Result<StoreDone, StoreError> {
            let result = self.journal.execute(task);
            self.tasks += 1;
            self.step(if self.tasks.is_multiple_of(3) { usize::MAX } else { self.tasks % 3 });
            result
        }

        fn reopen(mut self: Box<Self>) -> Box<dyn Executor> {
            self.step(self.tasks % 5);
            Self::on(self.journal.into_medium(), self.rewritten)
        }
    }

    #[test]
    fn a_journal_that_is_written_again_all_the_time_is_a_store() {
        let rewritten = Rc::new(Cell::new(0));
        check(&mut || Restless::on(MemoryMedium::new(), Rc::clone(&rewritten)));
        assert!(rewritten.get() > 20, "written again {} times", rewritten.get());
    }
}
