//! Snapshots of logs: made where a log has grown long, taken in where a peer sends one, stored between appends.
//!
//! A snapshot is put together elsewhere ([`Effect::Assemble`]), since that takes long for a long history. It is stored when no
//! append is under way, and no append begins before it is: so the log in memory and the log on the disk change places together.
//! What became part of the log in the meantime comes after the snapshot. Where that can no longer be told from what the tail
//! holds, the snapshot is made once more.

use super::Engine;
use super::logs::Work;
use super::saved::Receipt;
use super::timers::Timer;
use crate::base::id::{ChangeHash, ConnectionId, DocumentId, SpaceId, TaskId};
use crate::base::limits::ASSEMBLY_ENTRY_BYTES;
use crate::doc::assembly::{Assembled, Assembly};
use crate::doc::document::Document;
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::log::Log;
use crate::log::snapshot::{Base, Snapshot, SnapshotPart, SnapshotSummary};
use crate::log::version::Version;
use crate::store::task::{StoreError, StoreErrorKind, StoreTask};
use crate::trust::owned::is_sealed;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A busy log is compacted when its entries are so many times as large as its snapshot: each time costs a load of all of it.
const BUSY_FACTOR: u64 = 8;
/// Of a snapshot's size, the part that the entries of a quiet log may have beside it.
const QUIET_DIVISOR: u64 = 8;
/// Of a snapshot's size, the part that the newest entries have which stay beside it.
const KEPT_DIVISOR: u64 = 20;

/// Snapshots between being wanted and being stored.
#[derive(Default)]
pub(super) struct Snapshots {
    pub(super) making: BTreeMap<DocumentId, Making>,
    /// Received whole, and waiting for the one under way of the same document.
    received: BTreeMap<DocumentId, VecDeque<Received>>,
    /// Made, and waiting for their turn at the store.
    pub(super) finished: VecDeque<Finished>,
    storing: Option<(Finished, Base)>,
    /// Documents with something to compact, and when they last moved on.
    unsettled: BTreeMap<DocumentId, u64>,
}

/// A snapshot that is being put together.
#[derive(Default)]
pub(super) struct Making {
    /// The answer that is awaited.
    pub(super) task: Option<TaskId>,
    pub(super) received: Option<Received>,
    pub(super) snapshot: Option<Arc<[u8]>>,
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) made_of: u64,
    /// How far a peer's sealed snapshot goes, by what is in it.
    pub(super) inner: Option<Version>,
}

/// A peer's snapshot.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) space: SpaceId,
    pub(super) bytes: Arc<[u8]>,
    /// What it stands for: less than the snapshot that is made with it, where something was held.
    pub(super) version: Version,
    pub(super) source: ConnectionId,
}

/// A snapshot to be stored.
pub(super) struct Finished {
    pub(super) document: DocumentId,
    pub(super) space: SpaceId,
    pub(super) snapshot: Snapshot,
    /// What came from a peer, when it did, to be made again with.
    pub(super) received: Option<Received>,
    /// Bytes of payload of the entries that it was made of.
    pub(super) made_of: u64,
    /// The document that was loaded to make it.
    pub(super) loaded: Option<Box<Document>>,
    /// Whether the document was set aside meanwhile.
    pub(super) is_void: bool,
}

impl Finished {
    /// A peer's snapshot as it is.
    pub(super) fn of_received(document: DocumentId, received: Received) -> Self {
        let snapshot = Snapshot { version: received.version.clone(), bytes: received.bytes.clone() };
        let space = received.space;
        Self { document, space, snapshot, received: Some(received), made_of: 0, loaded: None, is_void: false }
    }
}

impl Snapshots {
    /// Whether a peer's snapshot of a document is being taken in: entries that follow it wait.
    pub(super) fn is_adopting(&self, document: &DocumentId) -> bool {
        self.received.contains_key(document) || self.adopting().any(|(adopted, _)| adopted == *document)
    }

    /// Peers' snapshots that are being taken in.
    fn adopting(&self) -> impl Iterator<Item = (DocumentId, &Received)> {
        let making = self.making.iter().filter_map(|(document, making)| Some((*document, making.received.as_ref()?)));
        let finished = self.finished.iter().chain(self.storing.as_ref().map(|(finished, _)| finished));
        let finished = finished.filter(|finished| !finished.is_void);
        let finished = finished.filter_map(|finished| Some((finished.document, finished.received.as_ref()?)));
        let waiting = self.received.iter().flat_map(|(document, waiting)| waiting.iter().map(|received| (*document, received)));
        making.chain(finished).chain(waiting)
    }

    /// Documents of a space of which a peer's snapshot is being taken in, and whose it is.
    pub(super) fn adopting_in(&self, space: &SpaceId) -> impl Iterator<Item = (DocumentId, ConnectionId)> {
        self.adopting().filter(|(_, received)| received.space == *space).map(|(document, received)| (document, received.source))
    }

    /// Bytes of peers' snapshots that are being taken in.
    pub(super) fn received_bytes(&self) -> usize {
        self.adopting().map(|(_, received)| received.bytes.len()).sum()
    }

    /// Whether one is being stored.
    pub(super) fn is_storing(&self) -> bool {
        self.storing.is_some()
    }

    /// Forgets what was under way for a document that was set aside.
    pub(super) fn forget(&mut self, document: &DocumentId) {
        self.making.remove(document);
        self.received.remove(document);
        self.unsettled.remove(document);
        self.finished.retain(|finished| finished.document != *document);
        if let Some((finished, _)) = self.storing.as_mut().filter(|(finished, _)| finished.document == *document) {
            finished.is_void = true;
        }
    }

    /// Whether a snapshot of a document is between being wanted and being stored.
    pub(super) fn is_at_work(&self, document: &DocumentId) -> bool {
        self.is_making(document) || self.received.contains_key(document)
    }

    fn is_making(&self, document: &DocumentId) -> bool {
        self.making.contains_key(document)
            || self.finished.iter().any(|finished| finished.document == *document)
            || self.storing.as_ref().is_some_and(|(finished, _)| finished.document == *document)
    }
}

impl Engine {
    /// Notes that entries of a document became durable: when it has become long its log is compacted, at once or when it is quiet.
    pub(super) fn on_log_grown(&mut self, document: DocumentId) {
        let Some(log) = self.log(&document) else { return };
        // One entry is as short as it gets: a piece of a file, mostly.
        if log.version().clock.entries() <= 1 {
            return;
        }
        let snapshot = log.snapshot().map_or(0, |snapshot| snapshot.bytes);
        let policy = &self.config.compaction;
        if log.entry_bytes() > policy.busy_bytes_min.max(snapshot * BUSY_FACTOR) {
            self.make_snapshot(document);
        } else if log.entry_bytes() > policy.quiet_bytes_min.max(snapshot / QUIET_DIVISOR) {
            self.make_snapshot_later(document);
        }
    }

    /// Has a snapshot made of a document when it has been quiet for long enough.
    pub(super) fn make_snapshot_later(&mut self, document: DocumentId) {
        self.snapshots.unsettled.insert(document, self.now.monotonic_ms);
        self.timers.set_no_later(Timer::Compaction, self.now.monotonic_ms + self.config.compaction.quiet_ms);
    }

    /// Compacts the logs of documents that have been quiet for long enough.
    pub(super) fn on_compaction_due(&mut self) {
        let (now_ms, quiet_ms) = (self.now.monotonic_ms, self.config.compaction.quiet_ms);
        let quiet: Vec<DocumentId> = self
            .snapshots
            .unsettled
            .iter()
            .filter(|(_, since)| now_ms >= **since + quiet_ms)
            .map(|(document, _)| *document)
            .collect();
        for document in quiet {
            self.snapshots.unsettled.remove(&document);
            self.make_snapshot(document);
        }
        if let Some(since) = self.snapshots.unsettled.values().min() {
            self.timers.set_no_later(Timer::Compaction, since + quiet_ms);
        }
    }

    /// Makes a snapshot of all that is durable of a document, unless one is under way; later, when too many are.
    pub(super) fn make_snapshot(&mut self, document: DocumentId) {
        let Some(space) = self.locations.get(&document).copied() else { return };
        if self.snapshots.is_making(&document) {
            return;
        }
        if !self.makes_snapshots(&space) {
            self.want_snapshot(space, document);
            return;
        }
        if !self.is_relay() && self.waits_for_words(&document) {
            // Members do not take what is not vouched for, nor a snapshot that it is in.
            return self.make_snapshot_later(document);
        }
        if self.making_bytes(&document) > self.config.limits.assembly_bytes_max as u64 {
            // It stays as it is: peers are sent entries.
            return;
        }
        if !self.may_make_another(document) {
            return self.make_snapshot_later(document);
        }
        let durable = self.log(&document).map(|log| log.durable().clone()).unwrap_or_default();
        let nonce = if is_sealed(&space) { self.rng.bytes() } else { [0; 24] };
        // A document in memory that is exactly what is durable need not be loaded once more.
        if let Some(loaded) = self.documents.loaded(&document)
            && self.version_of(&space, loaded) == durable
            && !self.has_missed_to_vouch(&document)
        {
            let Some(snapshot) = self.snapshot_of(&space, loaded, loaded.save(), nonce) else { return };
            let made_of = self.log(&document).map_or(0, |log| log.entry_bytes() - log.undurable_payload());
            let finished = Finished { document, space, snapshot, received: None, made_of, loaded: None, is_void: false };
            return self.snapshots.finished.push_back(finished);
        }
        self.snapshots.making.insert(document, Making::default());
        self.gather(document);
    }

    /// Takes in a peer's snapshot, that is complete and not believed yet: when its turn comes.
    pub(super) fn adopt_snapshot(&mut self, document: DocumentId, received: Received) {
        // Whatever comes of the document until then waits.
        self.logs.hold_line(document);
        self.snapshots.received.entry(document).or_default().push_back(received);
    }

    /// Begins to take in peers' snapshots, as far as that may be done beside what is under way.
    pub(super) fn take_in_received(&mut self) {
        let waiting: Vec<DocumentId> = self.snapshots.received.keys().copied().collect();
        for document in waiting {
            if self.snapshots.is_making(&document) || !self.may_make_another(document) {
                continue;
            }
            let received = self.snapshots.received.get_mut(&document).and_then(VecDeque::pop_front);
            if self.snapshots.received.get(&document).is_some_and(VecDeque::is_empty) {
                self.snapshots.received.remove(&document);
            }
            if let Some(unread) = received.as_ref().filter(|received| !self.can_open(&received.space, &received.bytes)) {
                self.snapshots.finished.push_back(Finished::of_received(document, unread.clone()));
                self.needs_flush = true;
                continue;
            }
            self.snapshots.making.insert(document, Making { received, ..Making::default() });
            self.gather(document);
        }
    }

    /// Takes a snapshot that a member made of what is held here, and that cannot be read here, as one of this replica's own.
    pub(super) fn take_for_own(&mut self, document: DocumentId, space: SpaceId, snapshot: Snapshot) {
        let Some(log) = self.log(&document).filter(|log| log.is_beginning(&snapshot.version.clock)) else {
            // The log has gone on further than its tail tells since that was asked for.
            self.want_another_snapshot(space, document);
            return;
        };
        let (before, after) = (log.base(), log.end().max(1));
        let share = snapshot.end().saturating_sub(before) as f64 / (after - before).max(1) as f64;
        let made_of = (log.entry_bytes() as f64 * share) as u64;
        if !self.snapshots.is_making(&document) && snapshot.end() > before {
            let finished = Finished { document, space, snapshot, received: None, made_of, loaded: None, is_void: false };
            self.snapshots.finished.push_back(finished);
            self.needs_flush = true;
        }
    }

    /// Whether another snapshot may be made beside those that are: none but one takes up all there is room for.
    fn may_make_another(&self, document: DocumentId) -> bool {
        let making = self.snapshots.making.keys();
        let bytes = making.map(|document| self.making_bytes(document)).fold(0, u64::saturating_add);
        let fits = bytes.saturating_add(self.making_bytes(&document)) <= self.config.limits.assembly_bytes_max as u64;
        self.snapshots.making.is_empty() || (fits && self.snapshots.making.len() < self.config.compaction.at_once_max)
    }

    /// About how many bytes it takes to put a document together.
    fn making_bytes(&self, document: &DocumentId) -> u64 {
        let log = self.log(document);
        let held = log.map_or(0, |log| log.version().clock.entries());
        let waiting = self.snapshots.received.get(document).into_iter().flatten();
        let making = self.snapshots.making.get(document).and_then(|making| making.received.as_ref());
        let received = waiting.chain(making).map(|received| received.version.clock.entries()).max().unwrap_or(0);
        let stored = log.map_or(0, |log| log.entry_bytes() + log.snapshot().map_or(0, |snapshot| snapshot.bytes));
        held.saturating_add(received).saturating_mul(ASSEMBLY_ENTRY_BYTES).saturating_add(stored)
    }

    /// Takes in a peer's snapshot that this replica may not add to: as it is, where what is held beside it comes after it, and otherwise
    /// what it holds change by change.
    pub(super) fn take_as_it_is(&mut self, document: DocumentId, received: Option<Received>, loaded: Box<Document>) {
        let Some(received) = received else { return };
        let fits = self.log(&document).is_none_or(|log| log.can_begin_with(&received.version.clock));
        if fits {
            let finished = Finished { loaded: Some(loaded), ..Finished::of_received(document, received) };
            return self.snapshots.finished.push_back(finished);
        }
        self.on_adoption_over(document);
        self.receive_changes(&received, &loaded);
    }

    /// Stores the next snapshot that is ready, when no append is under way.
    pub(super) fn write_snapshot(&mut self) {
        let mut early = VecDeque::new();
        while let Some(mut finished) = self.snapshots.finished.pop_front() {
            let Finished { document, space, .. } = finished;
            let clock = &finished.snapshot.version.clock;
            let fresh = Log::new(document, space);
            let log = self.log(&document).unwrap_or(&fresh);
            if clock.is_empty() {
                // What it was made of was set aside meanwhile, all of it.
                self.on_adoption_over(document);
                continue;
            }
            let is_known = clock.is_within(&log.durable().clock);
            if finished.received.is_none() && !is_known && clock.is_within(&log.version().clock) {
                // A member has made it of more than is on this disk yet: that is under way.
                early.push_back(finished);
                continue;
            }
            let base = match (&finished.received, is_known) {
                (None, true) => {
                    let kept = self.config.compaction.kept_bytes_min.max(finished.snapshot.bytes.len() as u64 / KEPT_DIVISOR);
                    let base = log.base_keeping(usize::try_from(kept).unwrap_or(usize::MAX));
                    let held = log.snapshot().map(|held| &held.base).filter(|held| held.position > base.position);
                    let base = held.cloned().unwrap_or(base);
                    // Where the log has gone on further than its tail tells, nothing stays beside it.
                    let tells = log.can_begin_with(clock) && base.position < finished.snapshot.end();
                    if tells { base } else { whole(&finished.snapshot) }
                }
                (Some(_), false) => whole(&finished.snapshot),
                // Everything that came with it has come in another way; or what it was made of is gone.
                (_, _) => {
                    self.on_adoption_over(document);
                    self.on_log_grown(document);
                    continue;
                }
            };
            // One of the log's own beginning is good however far the log has gone on: what comes after it is not looked at.
            let is_beginning = finished.received.is_none()
                && base == whole(&finished.snapshot)
                && log.snapshot().is_none_or(|held| held.base.clock.is_within(clock));
            if !is_beginning && !log.can_begin_with(clock) {
                if !self.makes_snapshots(&space) {
                    // What is held here is not all in it, and cannot be added: whoever made it makes another with it.
                    self.on_adoption_over(document);
                    if self.want_another_snapshot(space, document) {
                        self.ask_everyone(space, document);
                    }
                    continue;
                }
                let received = finished.received.take();
                self.snapshots.making.insert(document, Making { received, ..Making::default() });
                self.gather(document);
                continue;
            }
            let snapshot = finished.snapshot.clone();
            self.snapshots.storing = Some((finished, base.clone()));
            self.store(Work::PutSnapshot, StoreTask::PutSnapshot { document, space, snapshot, base });
            break;
        }
        self.snapshots.finished.append(&mut early);
    }

    pub(super) fn on_snapshot_put(&mut self) {
        let Some((finished, base)) = self.snapshots.storing.take() else { return };
        self.logs.on_written();
        let Finished { document, space, snapshot, received, made_of, loaded, is_void } = finished;
        if is_void {
            return;
        }
        if !self.locations.contains_key(&document) {
            self.add_document(space, document);
        }
        if received.is_some() {
            self.unmark(space, document);
        }
        let Some(log) = self.log(&document) else { return };
        let (before, end_before) = (log.version().clone(), log.end());
        let clock = snapshot.version.clock.clone();
        let summary = SnapshotSummary { version: snapshot.version, bytes: snapshot.bytes.len() as u64, base };
        self.change_space(space, |held| held.begin_with(&document, summary, made_of));
        self.mark_soon(space);
        match received {
            None => {
                self.restart_loading(document);
                self.begin_reads_anew(space, document);
            }
            Some(received) => {
                let later: Vec<Arc<Entry>> = self.log(&document).map_or_else(Vec::new, |log| {
                    log.tail_after(log.tail_start() - 1).into_iter().flatten().map(|(_, entry)| entry.clone()).collect()
                });
                self.on_adopted(document, loaded, later);
                for (connection, actor, seq) in self.logs.settle(&document, &clock) {
                    self.owe_ack(connection, document, actor, seq);
                }
                // Every exchange gets its place anew: the positions of what came last are not what they were.
                self.pushes.moved.remove(&document);
                self.move_deltas(space, document, &before.clock, end_before, &received);
                for (actor, seq) in received.version.clock.iter() {
                    self.owe_ack(received.source, document, *actor, seq);
                }
                self.on_receipt(received.source, document, &received.version.clock, Receipt::More);
                self.on_adoption_over(document);
                self.release_durable(document);
                self.settle_words(document);
                self.on_held_for_words(space, document);
                self.tell_anew(space, document);
                self.cut_back_one(space, document);
            }
        }
        if is_sealed(&space) {
            self.on_sealed_snapshot_put(space, document);
        }
        // What was written meanwhile may be much, and perhaps nothing comes any more that would make one look.
        self.on_log_grown(document);
        self.saved.touch(document);
        self.touch_progress(space);
        self.ask_for_refused();
    }

    pub(super) fn on_snapshot_refused(&mut self, error: &StoreError) {
        let Some((finished, _)) = self.snapshots.storing.take() else { return };
        if finished.is_void {
            return;
        }
        let document = finished.document;
        if error.kind == StoreErrorKind::Corrupt {
            return self.quarantine(document, &error.message);
        }
        if finished.received.is_some() {
            self.snapshots.finished.push_front(finished);
        } else {
            self.make_snapshot_later(document);
        }
        self.on_write_refused(error, None);
    }

    /// Lets what waited for a snapshot to be taken in go on: the next snapshot, or the entries that came after it.
    pub(super) fn on_adoption_over(&mut self, document: DocumentId) {
        if !self.snapshots.is_adopting(&document) {
            self.receive_line(document);
        }
    }

    /// Peers for whom entries are being read that the log has let go of meanwhile are given its snapshot.
    fn begin_reads_anew(&mut self, space: SpaceId, document: DocumentId) {
        let Some(held) = self.spaces.get(&space) else { return };
        let Some(log) = held.space.log(&document) else { return };
        let mut reading = Vec::new();
        for connection in &held.sessions {
            let session = self.sessions.get_mut(connection);
            let subscription = session.and_then(|session| session.subscriptions.get_mut(&space));
            if let Some(delta) = subscription.and_then(|subscription| subscription.deltas.get_mut(&document)) {
                delta.on_let_go(log);
                reading.push(*connection);
            }
        }
        reading.into_iter().for_each(|connection| self.push_soon(connection, space, document));
    }

    /// Gives every peer's exchange of a document its place in a log that has taken in what comes first.
    fn move_deltas(&mut self, space: SpaceId, document: DocumentId, before: &VectorClock, end_before: u64, received: &Received) {
        let connections: Vec<ConnectionId> =
            self.spaces.get(&space).map_or_else(Vec::new, |held| held.sessions.iter().copied().collect());
        for connection in connections {
            let known = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(&space));
            if known.is_some_and(|subscription| subscription.deltas.contains_key(&document)) {
                self.with_delta(connection, space, document, |delta, log| {
                    let mut held = delta.peer_holds().clone();
                    if delta.cursor() >= end_before {
                        held.merge(before);
                    }
                    if connection == received.source {
                        held.merge(&received.version.clock);
                    }
                    delta.on_moved(log, held);
                });
                self.push_soon(connection, space, document);
            } else {
                self.ask(connection, space, document);
            }
        }
    }

    /// Looks for changes that entries in line depend on in what a document's snapshot stands for; answers whether it has one.
    pub(super) fn seek_in_snapshot(&mut self, (document, search): (DocumentId, u64), sought: Vec<ChangeHash>) -> bool {
        let has_snapshot = self.log(&document).is_some_and(|log| log.snapshot().is_some());
        if has_snapshot {
            self.read_snapshot(Work::SeekSnapshot { document, search, sought }, document, 0, usize::MAX);
        }
        has_snapshot
    }

    pub(super) fn on_snapshot_to_seek(
        &mut self,
        (document, search): (DocumentId, u64),
        sought: Vec<ChangeHash>,
        part: Option<SnapshotPart>,
    ) {
        let Some(space) = self.locations.get(&document).copied() else { return };
        let opened = part.map(|part| self.opened_snapshot(&space, &document, part.bytes)).transpose();
        let snapshots = match opened {
            Ok(Some(None)) => {
                let found = self.founded_by_clock(&document, &sought);
                return self.on_found((document, search), found);
            }
            Ok(opened) => opened.flatten().into_iter().collect(),
            Err(error) => return self.quarantine(document, &error.to_string()),
        };
        let Some(assembly) = self.assembly(document, snapshots, Vec::new()) else { return };
        let work = Work::Seek { document, search, sought: sought.clone() };
        self.hand_out(work, Assembly { sought, ..assembly });
    }

    /// Those of the entries sought that are part of a document that was put together.
    pub(super) fn found_in(&self, assembled: &Assembled, sought: Vec<ChangeHash>) -> Vec<ChangeHash> {
        let document = &assembled.document;
        let Some(space) = self.locations.get(&document.id()).filter(|space| is_sealed(space)) else {
            return assembled.found.clone();
        };
        let changes = document.entries().into_iter();
        changes.filter_map(|change| self.name_of(space, document, &change.hash)).filter(|name| sought.contains(name)).collect()
    }

    /// The store's task that reads a part of a document's snapshot.
    pub(super) fn read_snapshot(&mut self, work: Work, document: DocumentId, offset: u64, bytes_max: usize) -> TaskId {
        self.store(work, StoreTask::ReadSnapshot { document, offset, bytes_max })
    }
}

fn whole(snapshot: &Snapshot) -> Base {
    Base { position: snapshot.end(), clock: snapshot.version.clock.clone() }
}
