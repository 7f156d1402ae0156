//! The log of one document as a replica keeps it in memory: how far it goes, how far it is durable, and its newest entries.
//!
//! A log never holds an entry before all that the entry depends on. That order is what lets a replica without the CRDT
//! forward, store and serve documents: sending a log in order is always right.
//!
//! Only the newest entries are here (the tail); all others are in the store. What is not durable yet is always in the tail.
//! A long log begins with a snapshot instead of its first entries: up to its base, entries are not even in the store.
//!
//! There is one for every document that a replica holds, so what it takes in memory counts. A log that is let go of is as after
//! a start: no entry is in memory, and its two versions, which are then equal, are one.

use super::clock::VectorClock;
use super::entry::Entry;
use super::snapshot::{Base, SnapshotSummary};
use super::tail::Tail;
use super::version::Version;
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId};
use crate::base::limits::{CLOCK_ACTORS_MAX, HEADS_MAX, TAIL_BYTES_MAX};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One document's log.
#[derive(Clone, Debug)]
pub struct Log {
    document: DocumentId,
    space: SpaceId,
    version: Arc<Version>,
    end: u64,
    durable: Arc<Version>,
    durable_end: u64,
    tail: Option<Box<Tail>>,
    /// What it begins with.
    snapshot: Option<Box<SnapshotSummary>>,
    /// Bytes of payload that are held as entries.
    entry_bytes: u64,
}

/// What a document takes in memory beside its versions, its snapshot's summary and its tail: the log, and its places in the
/// space's tree and feed and in the list of where documents are.
const LOG_BYTES: usize = 300;

/// About how many bytes something takes in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// For as long as it is held.
    pub fixed: usize,
    /// Until it is let go of.
    pub loose: usize,
}

impl Weight {
    /// What two things take together.
    pub fn plus(self, other: Self) -> Self {
        Self { fixed: self.fixed + other.fixed, loose: self.loose + other.loose }
    }

    /// What is left without something that is part of it.
    pub fn minus(self, other: Self) -> Self {
        Self { fixed: self.fixed - other.fixed, loose: self.loose - other.loose }
    }
}

/// What a log makes of an entry it is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It comes next: it may be appended.
    Next,
    /// It is held already.
    Held,
    /// Entries of the same actor before it are missing.
    Gap,
    /// It depends on these, which are not among the newest: the store may hold them.
    Unknown(Vec<ChangeHash>),
    /// The log has as many heads or actors as it may have.
    Full,
}

impl Log {
    /// The log of a document of which nothing is held.
    pub fn new(document: DocumentId, space: SpaceId) -> Self {
        Self::stored(document, space, Version::new(), 0)
    }

    /// The log of a document that a store holds up to `end`.
    pub fn stored(document: DocumentId, space: SpaceId, version: Version, end: u64) -> Self {
        let version = Arc::new(version);
        let durable = Arc::clone(&version);
        Self { document, space, version, end, durable, durable_end: end, tail: None, snapshot: None, entry_bytes: 0 }
    }

    /// The same, beginning with a snapshot if there is one, where the store holds `entry_bytes` of payload as entries.
    pub fn with_snapshot(mut self, snapshot: Option<Box<SnapshotSummary>>, entry_bytes: u64) -> Self {
        self.snapshot = snapshot;
        self.entry_bytes = entry_bytes;
        self
    }

    /// The document.
    pub fn document(&self) -> DocumentId {
        self.document
    }

    /// The space it belongs to.
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// How far it goes, durable or not.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// How far it is durable.
    pub fn durable(&self) -> &Version {
        &self.durable
    }

    /// Position of its last entry, 0 for none.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Position of its last durable entry, 0 for none.
    pub fn durable_end(&self) -> u64 {
        self.durable_end
    }

    /// Entries not durable yet.
    pub fn undurable(&self) -> u64 {
        self.end - self.durable_end
    }

    /// What to make of `entry`; `confirmed` are hashes that the store was found to hold.
    pub fn admission(&self, entry: &Entry, confirmed: &BTreeSet<ChangeHash>) -> Admission {
        let held = self.version.clock.get(&entry.actor);
        if entry.seq <= held {
            return Admission::Held;
        }
        if entry.seq != held + 1 {
            return Admission::Gap;
        }
        let known = |dep: &ChangeHash| self.version.heads.contains(dep) || self.is_in_tail(dep) || confirmed.contains(dep);
        let unknown: Vec<ChangeHash> = entry.deps.iter().filter(|dep| !known(dep)).copied().collect();
        if !unknown.is_empty() {
            return Admission::Unknown(unknown);
        }
        let heads_after = self.version.heads.len() + 1 - entry.deps.iter().filter(|dep| self.version.heads.contains(dep)).count();
        if heads_after > HEADS_MAX || (held == 0 && self.version.clock.len() >= CLOCK_ACTORS_MAX) {
            return Admission::Full;
        }
        Admission::Next
    }

    /// Appends an entry that [`Self::admission`] found to come next, and returns its position.
    pub fn append(&mut self, entry: Arc<Entry>) -> u64 {
        Arc::make_mut(&mut self.version).advance(&entry);
        self.end += 1;
        self.entry_bytes += entry.payload.len() as u64;
        self.tail.get_or_insert_default().push(entry);
        self.end
    }

    /// Learns that everything up to `position` is durable, and lets go of what the tail need not keep.
    pub fn on_durable(&mut self, position: u64) {
        debug_assert!(position <= self.end, "only what was appended becomes durable");
        let first = self.tail_start();
        if let Some(tail) = self.tail.as_deref().filter(|_| self.durable_end < position) {
            let durable = Arc::make_mut(&mut self.durable);
            let newly = (self.durable_end + 1 - first) as usize..=(position - first) as usize;
            tail.entries().range(newly).for_each(|entry| durable.advance(entry));
            self.durable_end = position;
        }
        while self.tail_bytes() > TAIL_BYTES_MAX && self.tail_start() <= self.durable_end {
            self.forget_first();
        }
    }

    /// Lets go of all that is in the store too, where that is everything; answers whether it was.
    pub fn let_go(&mut self) -> bool {
        let is_durable = self.undurable() == 0;
        if is_durable {
            self.tail = None;
            self.durable = Arc::clone(&self.version);
        }
        is_durable
    }

    fn forget_first(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.forget_first();
        }
    }

    /// Entries in the tail, the oldest first.
    fn tail(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.tail.iter().flat_map(|tail| tail.entries())
    }

    fn tail_len(&self) -> usize {
        self.tail.as_ref().map_or(0, |tail| tail.len())
    }

    fn is_in_tail(&self, hash: &ChangeHash) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.holds(hash))
    }

    /// What it begins with, when it begins with a snapshot.
    pub fn snapshot(&self) -> Option<&SnapshotSummary> {
        self.snapshot.as_deref()
    }

    /// The last position that is held in the snapshot only, 0 when there is none.
    pub fn base(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.base.position)
    }

    /// Whether who holds `clock` lacks what is held in the snapshot only.
    pub fn is_base_above(&self, clock: &VectorClock) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| !snapshot.base.clock.is_within(clock))
    }

    /// Bytes of payload held as entries, in the store and on the way to it.
    pub fn entry_bytes(&self) -> u64 {
        self.entry_bytes
    }

    /// Bytes of payload of entries that are not durable yet.
    pub fn undurable_payload(&self) -> u64 {
        self.tail_after(self.durable_end).into_iter().flatten().map(|(_, entry)| entry.payload.len() as u64).sum()
    }

    /// A base for a snapshot of all that is durable: as many of the newest entries stay beside it as are at most `bytes` together.
    pub fn base_keeping(&self, bytes: usize) -> Base {
        let mut base = Base { position: self.durable_end, clock: self.durable.clock.clone() };
        let durable = (self.durable_end + 1).saturating_sub(self.tail_start()) as usize;
        let mut kept = 0;
        for entry in self.tail_until(self.durable_end).take(durable) {
            kept += entry.payload.len();
            if kept > bytes {
                break;
            }
            base.position -= 1;
            base.clock.lower(&entry.actor, entry.seq - 1);
        }
        base
    }

    /// Whether all that a snapshot with `clock` does not stand for is in the tail, so that the log can begin with it.
    pub fn can_begin_with(&self, clock: &VectorClock) -> bool {
        self.tail().filter(|entry| !clock.covers(&entry.actor, entry.seq)).count() as u64 == self.entries_above(clock)
            && self.snapshot.as_ref().is_none_or(|held| held.base.clock.is_within(clock))
    }

    /// Whether a snapshot with `clock`, all of which is held, stands for exactly the first entries of the log, as far as the tail tells.
    pub fn is_beginning(&self, clock: &VectorClock) -> bool {
        let after = self.tail_after(clock.entries());
        clock.is_within(&self.version.clock)
            && after.is_some_and(|mut after| after.all(|(_, entry)| !clock.covers(&entry.actor, entry.seq)))
    }

    /// Begins with a snapshot that is durable, as [`crate::store::task::StoreTask::PutSnapshot`] has it: what the snapshot does
    /// not stand for comes after it. Only where [`Self::can_begin_with`] it, or where it was made of the log's first entries and
    /// lets go of all of these, which have `made_of` bytes of payload.
    pub fn begin_with(&mut self, snapshot: SnapshotSummary, made_of: u64) {
        let is_near = self.tail_start() <= snapshot.base.position + 1;
        debug_assert!(is_near || snapshot.base.position == snapshot.version.clock.entries(), "the tail tells what stays");
        if !snapshot.version.clock.is_within(&self.durable.clock) {
            self.adopt(&snapshot);
        }
        while self.tail_len() > 0 && self.tail_start() <= snapshot.base.position {
            self.forget_first();
        }
        self.entry_bytes = if is_near {
            self.tail().map(|entry| entry.payload.len() as u64).sum()
        } else {
            self.entry_bytes.saturating_sub(made_of)
        };
        self.snapshot = Some(Box::new(snapshot));
    }

    /// Takes in what a snapshot stands for beyond the log: its entries come first, then what the log alone held.
    fn adopt(&mut self, snapshot: &SnapshotSummary) {
        let undurable = self.undurable() as usize;
        let own: Vec<Arc<Entry>> = self.tail.take().iter().flat_map(|tail| tail.entries()).cloned().collect();
        let durable_own = own.len() - undurable;
        self.entry_bytes = 0;
        self.version = Arc::new(snapshot.version.clone());
        self.end = snapshot.version.clock.entries();
        (self.durable, self.durable_end) = (self.version.clone(), self.end);
        for (index, entry) in own.into_iter().enumerate() {
            if self.version.clock.covers(&entry.actor, entry.seq) {
                continue;
            }
            self.append(entry);
            if index < durable_own {
                (self.durable, self.durable_end) = (self.version.clone(), self.end);
            }
        }
    }

    /// The position of the first entry in the tail, or the one after the end when the tail is empty.
    pub fn tail_start(&self) -> u64 {
        self.end + 1 - self.tail_len() as u64
    }

    /// Entries after `position`, with their positions, when all of them are in the tail.
    pub fn tail_after(&self, position: u64) -> Option<impl Iterator<Item = (u64, &Arc<Entry>)>> {
        let start = self.tail_start();
        let skip = (position + 1).checked_sub(start)? as usize;
        let entries = self.tail.as_deref().map(|tail| tail.entries().range(skip.min(tail.len())..));
        Some((position + 1..).zip(entries.into_iter().flatten()))
    }

    /// Entries in the tail at `position` and before, the newest first.
    pub fn tail_until(&self, position: u64) -> impl Iterator<Item = &Arc<Entry>> {
        let held = (position + 1).saturating_sub(self.tail_start()) as usize;
        let entries = self.tail.as_deref().map(|tail| tail.entries().range(..held.min(tail.len())).rev());
        entries.into_iter().flatten()
    }

    /// A position after which everything above `clock` comes, when the tail holds all of it: the store need not be read.
    pub fn tail_position_above(&self, clock: &VectorClock) -> Option<u64> {
        let missing: u64 = self.version.clock.iter().map(|(actor, seq)| seq.saturating_sub(clock.get(actor))).sum();
        if missing == 0 {
            return Some(self.end);
        }
        let in_tail = self.tail().filter(|entry| !clock.covers(&entry.actor, entry.seq)).count() as u64;
        (missing == in_tail).then(|| self.tail_start() - 1)
    }

    /// A position after which everything above `clock` comes that is held as an entry.
    pub fn position_above(&self, clock: &VectorClock) -> u64 {
        let after_base = if self.is_base_above(clock) { 0 } else { self.base() };
        self.tail_position_above(clock).unwrap_or(after_base)
    }

    /// Entries this log holds above `clock`.
    pub fn entries_above(&self, clock: &VectorClock) -> u64 {
        self.version.clock.iter().map(|(actor, seq)| seq.saturating_sub(clock.get(actor))).sum()
    }

    /// The next sequence number of `actor`.
    pub fn next_seq(&self, actor: &ActorId) -> u64 {
        self.version.clock.get(actor) + 1
    }

    /// Bytes the tail takes in memory.
    pub fn tail_bytes(&self) -> usize {
        self.tail.as_ref().map_or(0, |tail| tail.bytes())
    }

    /// About how many bytes it takes in memory, for bounds.
    pub fn weight(&self) -> Weight {
        let durable = if Arc::ptr_eq(&self.version, &self.durable) { 0 } else { self.durable.weight() };
        let snapshot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.weight());
        Weight { fixed: LOG_BYTES + self.version.weight() + snapshot, loose: durable + self.tail_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(actor: u8, seq: u64, deps: &[u8], hash: u8) -> Arc<Entry> {
        Arc::new(Entry {
            document: DocumentId([0; 16]),
            actor: ActorId::new(&[actor]).unwrap(),
            seq,
            hash: ChangeHash([hash; 32]),
            deps: deps.iter().map(|dep| ChangeHash([*dep; 32])).collect(),
            payload: Arc::from([0u8; 100].as_slice()),
        })
    }

    fn log() -> Log {
        Log::new(DocumentId([0; 16]), SpaceId([0; 16]))
    }

    #[test]
    fn an_entry_comes_after_its_actors_last_and_after_all_it_depends_on() {
        let mut log = log();
        let none = BTreeSet::new();
        let first = entry(1, 1, &[], 1);
        assert_eq!(log.admission(&entry(1, 2, &[1], 2), &none), Admission::Gap);
        assert_eq!(log.admission(&entry(2, 1, &[1], 3), &none), Admission::Unknown(vec![ChangeHash([1; 32])]));
        assert_eq!(log.admission(&first, &none), Admission::Next);
        log.append(first.clone());
        assert_eq!(log.admission(&first, &none), Admission::Held);
        assert_eq!(log.admission(&entry(2, 1, &[1], 3), &none), Admission::Next);
    }

    #[test]
    fn a_dependency_that_the_store_confirmed_is_known() {
        let log = log();
        let confirmed = BTreeSet::from([ChangeHash([9; 32])]);
        assert_eq!(log.admission(&entry(1, 1, &[9], 1), &confirmed), Admission::Next);
    }

    #[test]
    fn the_tail_keeps_what_is_not_durable_and_lets_old_entries_go() {
        let mut log = log();
        let count = 2 * TAIL_BYTES_MAX as u64 / entry(1, 1, &[], 1).weight() as u64;
        for seq in 1..=count {
            let deps: Vec<u8> = if seq == 1 { vec![] } else { vec![((seq - 1) % 251) as u8] };
            log.append(entry(1, seq, &deps, (seq % 251) as u8));
        }
        assert_eq!(log.tail_start(), 1, "nothing is durable, so everything is kept");
        log.on_durable(count);
        assert_eq!(log.durable(), log.version());
        assert!(log.tail_bytes() <= TAIL_BYTES_MAX);
        assert!(log.tail_after(0).is_none(), "the first entries are in the store only");
        assert_eq!(
            log.tail_after(count - 3).unwrap().map(|(position, _)| position).collect::<Vec<_>>(),
            [count - 2, count - 1, count]
        );
    }

    #[test]
    fn a_log_that_begins_with_a_snapshot_of_its_own_keeps_its_positions() {
        let mut log = log();
        for seq in 1..=10 {
            log.append(entry(1, seq, &if seq == 1 { vec![] } else { vec![seq as u8 - 1] }, seq as u8));
        }
        log.on_durable(8);
        let base = log.base_keeping(350);
        assert_eq!((base.position, base.clock.entries()), (5, 5), "three of a hundred bytes stay");
        let before = (log.version().clone(), log.durable().clone(), log.end(), log.durable_end());
        log.begin_with(SnapshotSummary { version: log.durable().clone(), bytes: 30, base }, 800);
        assert_eq!((log.version().clone(), log.durable().clone(), log.end(), log.durable_end()), before);
        assert_eq!((log.base(), log.entry_bytes()), (5, 500));
        assert!(log.is_base_above(&VectorClock::new()));
        let up_to_five = [(ActorId::new(&[1]).unwrap(), 5)].into_iter().collect();
        assert!(!log.is_base_above(&up_to_five));
        assert!(log.tail_after(5).is_some());
    }

    #[test]
    fn a_log_that_went_on_for_longer_than_its_tail_begins_with_a_snapshot_of_what_was_before() {
        let mut log = log();
        for seq in 1..=10 {
            log.append(entry(1, seq, &if seq == 1 { vec![] } else { vec![seq as u8 - 1] }, seq as u8));
        }
        log.on_durable(10);
        let before = (log.version().clone(), log.end());
        assert!(log.let_go(), "everything is in the store");
        let clock: VectorClock = [(ActorId::new(&[1]).unwrap(), 6)].into_iter().collect();
        let version = Version { heads: [ChangeHash([6; 32])].into(), clock: clock.clone() };
        log.begin_with(SnapshotSummary { version, bytes: 30, base: Base { position: 6, clock } }, 600);
        assert_eq!((log.version().clone(), log.end()), before);
        assert_eq!((log.base(), log.entry_bytes(), log.tail_start()), (6, 400, 11));
    }

    #[test]
    fn a_log_that_takes_in_more_than_it_held_keeps_what_it_alone_held_after_it() {
        let mut log = log();
        log.append(entry(1, 1, &[], 1));
        log.append(entry(2, 1, &[1], 2));
        log.on_durable(2);
        log.append(entry(2, 2, &[2], 3));
        // Someone else went on from the first: three of theirs.
        let clock = [(ActorId::new(&[1]).unwrap(), 4)].into_iter().collect::<VectorClock>();
        let version = Version { heads: [ChangeHash([9; 32])].into(), clock: clock.clone() };
        assert!(log.can_begin_with(&clock));
        log.begin_with(SnapshotSummary { version, bytes: 40, base: Base { position: 4, clock } }, 200);
        assert_eq!((log.end(), log.durable_end(), log.tail_start()), (6, 5, 5));
        assert_eq!(log.durable().heads, [ChangeHash([2; 32]), ChangeHash([9; 32])].into());
        assert_eq!(log.version().heads, [ChangeHash([3; 32]), ChangeHash([9; 32])].into());
        assert_eq!(log.version().clock.entries(), 6);
    }

    #[test]
    fn a_peer_that_lacks_only_the_newest_entries_is_served_from_the_tail() {
        let mut log = Log::stored(
            DocumentId([0; 16]),
            SpaceId([0; 16]),
            Version { heads: [ChangeHash([7; 32])].into(), clock: [(ActorId::new(&[1]).unwrap(), 7)].into_iter().collect() },
            7,
        );
        log.append(entry(2, 1, &[7], 8));
        let knows_all_but_the_last = [(ActorId::new(&[1]).unwrap(), 7)].into_iter().collect();
        assert_eq!(log.tail_position_above(&knows_all_but_the_last), Some(7));
        assert_eq!(log.tail_position_above(&VectorClock::new()), None, "the first seven are in the store only");
        assert_eq!(log.tail_position_above(&log.version().clock), Some(8));
    }
}
