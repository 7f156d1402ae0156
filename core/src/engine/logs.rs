//! Entries on their way into the store.
//!
//! One append is under way at a time: what arrives meanwhile goes with the next, so that a busy replica syncs its disk once
//! for many changes. An append that fails is tried again, with everything that has come since; nothing is acknowledged before
//! it is durable, and nothing is forgotten because it could not be written.

use super::admission::Line;
use super::effect::{Event, TroubleKind};
use super::keeping::Kept;
use super::timers::Timer;
use super::{Engine, Phase};
use crate::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId, LetterId, SpaceId, TaskId, TicketId};
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::log::{Admission, Log};
use crate::store::task::{StoreContents, StoreDone, StoreError, StoreErrorKind, StoreTask, StoredEntry};
use crate::sync::message::{ErrorCode, Message};
use crate::trust::owned::is_owned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// First wait before a refused append is tried again, in milliseconds.
const RETRY_FIRST_MS: u64 = 250;
/// Longest such wait.
const RETRY_LONGEST_MS: u64 = 5_000;

/// What a storage task is for.
#[derive(Debug)]
pub(super) enum Work {
    /// Opening the store.
    Open,
    /// A new store's secret key, and what it held when it was opened.
    Identity { contents: Box<StoreContents>, secret: [u8; 32] },
    /// The append under way.
    Append,
    /// A peer that is caught up.
    CatchUp { connection: ConnectionId, document: DocumentId, durable_end: u64 },
    /// A document that is loaded.
    Load { document: DocumentId },
    /// A dependency of the first entry in line.
    Find { document: DocumentId, search: u64, sought: Vec<ChangeHash> },
    /// A snapshot that is stored.
    PutSnapshot,
    /// What a snapshot is made of: the one there is, and the entries beside it.
    GatherSnapshot { document: DocumentId },
    /// See there.
    GatherEntries { document: DocumentId },
    /// A snapshot that is made.
    Assemble { document: DocumentId },
    /// A part of a snapshot for a peer that lacks much.
    SendSnapshot { connection: ConnectionId, document: DocumentId },
    /// The beginning of a document that is loaded.
    LoadSnapshot { document: DocumentId },
    /// A snapshot that dependencies of the first entry in line are looked up in, and the look-up.
    SeekSnapshot { document: DocumentId, search: u64, sought: Vec<ChangeHash> },
    /// See there.
    Seek { document: DocumentId, search: u64, sought: Vec<ChangeHash> },
    /// The snapshot of a document that a driver reads.
    RereadSnapshot { number: u64 },
    /// See there.
    RereadEntries { number: u64 },
    /// A named value, written for its own sake.
    Meta,
    /// A named value that is written until the store has it.
    Keep(Kept),
    /// A letter that is kept for someone.
    Letter { letter: LetterId },
    /// A letter that this replica was written.
    Inbox { letter: LetterId },
    /// A letter that this replica writes.
    Outgoing { letter: LetterId },
    /// A ticket of this replica's that someone has used.
    Ticket { ticket: TicketId },
    /// A change of this replica's own that it has not vouched for before it ended.
    Vouch { space: SpaceId, document: DocumentId, actor: ActorId, seq: u64 },
    /// A change that its writer vouches for, to be compared with the word for it.
    Compare { space: SpaceId, document: DocumentId, actor: ActorId, seq: u64 },
    /// All entries of a document of which some may not be accepted any more: its snapshot, and then what is beside it.
    CutSnapshot { document: DocumentId },
    /// See there.
    CutEntries { document: DocumentId },
    /// What a snapshot holds of such a document.
    CutAssembly { document: DocumentId },
    /// What a document says, to be shown before it is loaded: nobody misses one that could not be written.
    Preview,
    /// A damaged document that is set aside.
    Quarantine { document: DocumentId },
}

/// Entries between arrival and durability.
#[derive(Debug, Default)]
pub(super) struct Logs {
    queue: Vec<Undurable>,
    writing: Vec<Undurable>,
    pub(super) undurable_bytes: usize,
    /// Bytes of entries that wait in line.
    pub(super) waiting_bytes: usize,
    write_failures: u32,
    waiting_to_retry: bool,
    /// Documents that are appended to on their own, since an append with them failed for damage.
    suspects: BTreeSet<DocumentId>,
    /// Documents whose logs the store is to begin anew with what is on its way there.
    to_renew: BTreeSet<DocumentId>,
    /// The one of them with which an append under way does so.
    renewing: Option<DocumentId>,
    pub(super) lines: BTreeMap<DocumentId, Line>,
    /// How often something was looked for of an entry in line.
    pub(super) searches: u64,
    /// Documents of which entries were refused for want of room, to be asked for again.
    pub(super) refused: BTreeMap<DocumentId, SpaceId>,
    /// Sessions that are told once an entry which is held is durable, beside the one it came from first: they sent it too, or need not.
    pub(super) also_owed: BTreeMap<(DocumentId, ActorId, u64), Vec<ConnectionId>>,
}

#[derive(Clone, Debug)]
struct Undurable {
    stored: StoredEntry,
    source: Option<ConnectionId>,
}

impl Logs {
    /// Tries a refused append again at the next drain.
    pub(super) fn retry(&mut self) {
        self.waiting_to_retry = false;
    }

    /// Documents with entries that are not durable yet.
    pub(super) fn undurable_documents(&self) -> BTreeSet<DocumentId> {
        self.queue.iter().chain(&self.writing).map(|undurable| undurable.stored.entry.document).collect()
    }

    /// Lets go of entries on their way to the store that a snapshot which is durable stands for; answers who is owed an
    /// acknowledgement of which.
    pub(super) fn settle(&mut self, document: &DocumentId, clock: &VectorClock) -> Vec<(ConnectionId, ActorId, u64)> {
        let is_settled = |undurable: &Undurable| {
            let entry = &undurable.stored.entry;
            entry.document == *document && clock.covers(&entry.actor, entry.seq)
        };
        let (settled, kept) = std::mem::take(&mut self.queue).into_iter().partition::<Vec<_>, _>(is_settled);
        self.queue = kept;
        let mut owed = Vec::new();
        for Undurable { stored, source } in settled {
            let entry = &stored.entry;
            self.undurable_bytes -= entry.weight();
            let also = self.also_owed.remove(&(entry.document, entry.actor, entry.seq)).unwrap_or_default();
            owed.extend(source.into_iter().chain(also).map(|connection| (connection, entry.actor, entry.seq)));
        }
        owed
    }

    /// Notes who is told that an entry is held once it is durable, beside the session it came from first.
    pub(super) fn owe_once_durable(&mut self, connection: ConnectionId, document: DocumentId, actor: ActorId, seq: u64) {
        let owed = self.also_owed.entry((document, actor, seq)).or_default();
        if !owed.contains(&connection) {
            owed.push(connection);
        }
    }

    /// Notes that a document is to be asked for again, because what was sent of it was not taken.
    pub(super) fn refuse(&mut self, document: DocumentId, space: SpaceId) {
        self.refused.insert(document, space);
    }

    /// Whether entries of a document wait to be appended.
    fn is_queued(&self, document: &DocumentId) -> bool {
        self.queue.iter().any(|undurable| undurable.stored.entry.document == *document)
    }

    /// Notes that the store takes writes.
    pub(super) fn on_written(&mut self) {
        self.write_failures = 0;
    }

    /// Whether someone wrote another entry before the one in the queue was acknowledged.
    fn is_written_on(&self) -> bool {
        let mut actors = BTreeSet::new();
        self.queue.iter().any(|undurable| !actors.insert(undurable.stored.entry.actor))
    }

    /// Entries that are not durable yet.
    pub(super) fn undurable(&self) -> usize {
        self.queue.len() + self.writing.len()
    }

    /// Bytes that are not durable yet.
    pub(super) fn undurable_bytes(&self) -> usize {
        self.undurable_bytes
    }
}

impl Engine {
    /// Bytes between arrival and durability: entries on their way to the store or in line, and snapshots that arrive.
    pub(super) fn bytes_under_way(&self) -> usize {
        self.logs.undurable_bytes + self.logs.waiting_bytes + self.snapshots.received_bytes()
    }

    /// Gives an entry that comes next its place. A local one has no source.
    pub(super) fn append(&mut self, entry: Arc<Entry>, source: Option<ConnectionId>) {
        let document = entry.document;
        let Some(space) = self.locations.get(&document).copied() else { return };
        let Some(position) = self.change_space(space, |held| held.append(entry.clone())) else { return };
        let Some(log) = self.log(&document) else { return };
        // An entry whose writer knew of all heads is the only one afterwards.
        self.stats.merged += u64::from(log.version().heads.len() > 1);
        self.logs.undurable_bytes += entry.weight();
        self.pushes.moved.entry(document).or_insert(position);
        self.on_held_for_words(space, document);
        self.pace.on_entry(self.now.monotonic_ms);
        self.logs.queue.push(Undurable { stored: StoredEntry { space, position, entry: entry.clone() }, source });
        self.saved.touch(document);
        if !self.is_relay() {
            self.documents.on_entry(entry, source.is_none());
        }
    }

    /// Appends a change of this replica's own. Its document must come to life with it when it is new.
    pub(super) fn append_local(&mut self, space: SpaceId, entry: Entry) {
        if !self.locations.contains_key(&entry.document) {
            self.add_document(space, entry.document);
        }
        self.saved.wrote(space, entry.document, entry.actor, entry.seq);
        self.tempo.wrote(self.now.monotonic_ms, entry.document, entry.actor, entry.seq);
        self.write_as_own(&space);
        self.vouch_soon(space, &entry);
        // What was sent and lost again by a crash, nobody could vouch for any more.
        if is_owned(&space) {
            self.hold_until_durable(entry.document);
        }
        self.append(Arc::new(entry), None);
    }

    /// Starts an append, or stores a snapshot, unless either is under way or was refused a moment ago.
    pub(super) fn write_entries(&mut self) {
        if !self.can_append() {
            return;
        }
        self.keep_refused();
        self.write_snapshot();
        if self.logs.queue.is_empty() || self.snapshots.is_storing() {
            return;
        }
        let now_ms = self.now.monotonic_ms;
        if let Some(until_ms) = self.pace.held_back(now_ms, self.config.append_pace, self.logs.queue.len()) {
            return self.timers.set_no_later(Timer::Append, until_ms);
        }
        self.append_queued();
    }

    /// Whether an append can begin.
    pub(super) fn can_append(&self) -> bool {
        self.logs.writing.is_empty() && !self.snapshots.is_storing() && !self.logs.waiting_to_retry
    }

    /// Has the store set a document's log aside, and begin it anew with what of it is on its way there: both or neither. No other append may be under way.
    pub(super) fn renew(&mut self, document: DocumentId) {
        if !self.logs.is_queued(&document) {
            self.store(Work::Quarantine { document }, StoreTask::Quarantine { document });
            return;
        }
        self.logs.to_renew.insert(document);
        self.append_queued();
    }

    /// Has the store append what waits: all of it, or what is of a document that is appended to on its own.
    fn append_queued(&mut self) {
        self.pace.on_begin(self.now.monotonic_ms, self.config.append_pace, self.logs.is_written_on());
        let renewing = self.logs.to_renew.iter().copied().find(|document| self.logs.is_queued(document));
        self.logs.renewing = renewing.filter(|document| self.logs.to_renew.remove(document));
        let queue = std::mem::take(&mut self.logs.queue);
        let suspect = || {
            queue.iter().map(|undurable| undurable.stored.entry.document).find(|document| self.logs.suspects.contains(document))
        };
        let alone = self.logs.renewing.or_else(suspect);
        let (now, later): (Vec<_>, Vec<_>) = match alone {
            Some(alone) => queue.into_iter().partition(|undurable| undurable.stored.entry.document == alone),
            None => (queue, Vec::new()),
        };
        let now = self.placed(now);
        let entries: Vec<StoredEntry> = now.iter().map(|undurable| undurable.stored.clone()).collect();
        (self.logs.writing, self.logs.queue) = (now, later);
        let mut values = self.mirrors.begin_append();
        values.extend(self.words_with(entries.iter()));
        let task = match self.logs.renewing {
            Some(document) => StoreTask::Renew { document, entries, values },
            None => StoreTask::Append { entries, values },
        };
        self.store(Work::Append, task);
    }

    /// Entries at the places they have in their logs now: a snapshot that was taken in may have moved them.
    fn placed(&self, mut entries: Vec<Undurable>) -> Vec<Undurable> {
        let mut ends: BTreeMap<DocumentId, u64> = BTreeMap::new();
        for Undurable { stored, .. } in &mut entries {
            let document = stored.entry.document;
            let end = ends.entry(document).or_insert_with(|| self.log(&document).map_or(0, Log::durable_end));
            *end += 1;
            stored.position = *end;
        }
        entries
    }

    pub(super) fn on_store_done(&mut self, task: TaskId, result: Result<StoreDone, StoreError>) {
        let Some(work) = self.tasks.remove(&task) else { return };
        match (work, result) {
            (Work::Open, Ok(StoreDone::Opened(contents))) => self.on_store_opened(contents),
            (Work::Identity { contents, secret }, Ok(StoreDone::MetaPut)) => self.begin(*contents, secret),
            (Work::Open | Work::Identity { .. }, Err(error)) => self.on_store_open_failed(error.message),
            (Work::Append, Ok(_)) => self.on_appended(),
            (Work::Append, Err(error)) => self.on_append_failed(&error),
            (Work::CatchUp { connection, document, durable_end }, Ok(StoreDone::Read { entries, complete })) => {
                self.on_catch_up(task, connection, document, entries, complete, durable_end);
            }
            (Work::Load { document }, Ok(StoreDone::Read { entries, complete })) => {
                self.on_loaded(task, document, entries, complete);
            }
            (Work::LoadSnapshot { document }, Ok(StoreDone::SnapshotRead { part })) => {
                self.on_snapshot_loaded(task, document, part);
            }
            (Work::GatherSnapshot { document }, Ok(StoreDone::SnapshotRead { part })) => {
                self.on_snapshot_gathered(task, document, part);
            }
            (Work::GatherEntries { document }, Ok(StoreDone::Read { entries, .. })) => {
                self.on_entries_gathered(task, document, entries);
            }
            (Work::SendSnapshot { connection, document }, Ok(StoreDone::SnapshotRead { part })) => {
                self.on_snapshot_read(task, connection, document, part);
            }
            (Work::SeekSnapshot { document, search, sought }, Ok(StoreDone::SnapshotRead { part })) => {
                self.on_snapshot_to_seek((document, search), sought, part);
            }
            (Work::RereadSnapshot { number }, Ok(StoreDone::SnapshotRead { part })) => self.on_snapshot_reread(number, part),
            (Work::RereadEntries { number }, Ok(StoreDone::Read { entries, .. })) => self.on_entries_reread(number, entries),
            (Work::RereadSnapshot { number } | Work::RereadEntries { number }, Err(error)) => {
                if let Some(document) = self.on_reread_failed(number, &error.message) {
                    self.on_read_failed(document, &error);
                }
            }
            (Work::PutSnapshot, Ok(_)) => self.on_snapshot_put(),
            (Work::PutSnapshot, Err(error)) => self.on_snapshot_refused(&error),
            (Work::Find { document, search, sought }, Ok(StoreDone::Found { hashes })) => {
                self.on_searched((document, search), sought, hashes);
            }
            (
                Work::CatchUp { document, .. }
                | Work::Load { document }
                | Work::Find { document, .. }
                | Work::LoadSnapshot { document }
                | Work::GatherSnapshot { document }
                | Work::GatherEntries { document }
                | Work::SendSnapshot { document, .. }
                | Work::SeekSnapshot { document, .. },
                Err(error),
            ) => self.on_read_failed(document, &error),
            (Work::Vouch { space, document, actor, seq }, Ok(StoreDone::Read { entries, .. })) => {
                self.on_to_vouch(space, document, (actor, seq), entries.first().map(|(_, entry)| entry));
            }
            (Work::Compare { space, document, actor, seq }, Ok(StoreDone::Read { entries, .. })) => {
                self.on_to_compare(space, document, (actor, seq), entries.first().map(|(_, entry)| entry));
            }
            (Work::Vouch { document, .. } | Work::Compare { document, .. }, Err(error)) => self.on_read_failed(document, &error),
            (Work::CutSnapshot { document }, Ok(StoreDone::SnapshotRead { part })) => self.on_cut_snapshot(document, part),
            (Work::CutEntries { document }, Ok(StoreDone::Read { entries, .. })) => self.on_cut_entries(document, entries),
            (Work::CutSnapshot { document } | Work::CutEntries { document }, Err(error)) => {
                self.on_cut_failed(document, &error);
            }
            (Work::Keep(kept), result) => self.on_value_kept(kept, result.map(drop)),
            (Work::Letter { letter }, result) => self.on_letter_stored(letter, result.map(drop)),
            (Work::Inbox { letter }, result) => self.on_inbox_stored(letter, result.map(drop)),
            (Work::Outgoing { letter }, result) => self.on_outgoing_stored(letter, result.map(drop)),
            (Work::Ticket { ticket }, result) => self.on_ticket_stored(ticket, result.map(drop)),
            (Work::Meta, Err(error)) => self.trouble(TroubleKind::StoreWrite, None, None, error.message),
            (Work::Quarantine { document }, Err(error)) => {
                self.trouble(TroubleKind::StoreWrite, Some(document), None, error.message);
            }
            // The rest needs nothing done; an answer of the wrong kind is the driver's bug.
            (work, result) => debug_assert!(
                matches!(
                    (&work, &result),
                    (Work::Meta | Work::Preview, Ok(StoreDone::MetaPut))
                        | (Work::Preview, Err(_))
                        | (Work::Quarantine { .. }, Ok(StoreDone::Quarantined))
                ),
                "{work:?} was answered with {result:?}"
            ),
        }
    }

    fn on_appended(&mut self) {
        self.mirrors.finish_append(true);
        self.pace.on_end(self.now.monotonic_ms);
        let written = std::mem::take(&mut self.logs.writing);
        self.logs.renewing = None;
        if self.logs.write_failures > 0 {
            self.logs.write_failures = 0;
            self.logs.suspects.clear();
        }
        let mut ends: BTreeMap<DocumentId, u64> = BTreeMap::new();
        let mut durable: BTreeMap<(SpaceId, DocumentId), Vec<Arc<Entry>>> = BTreeMap::new();
        for Undurable { stored, source } in &written {
            let entry = &stored.entry;
            self.logs.undurable_bytes -= entry.weight();
            ends.insert(entry.document, stored.position);
            if self.is_followed(&stored.space) {
                durable.entry((stored.space, entry.document)).or_default().push(entry.clone());
            }
            let also = self.logs.also_owed.remove(&(entry.document, entry.actor, entry.seq)).unwrap_or_default();
            for connection in source.iter().copied().chain(also) {
                self.owe_ack(connection, entry.document, entry.actor, entry.seq);
            }
        }
        for (document, end) in ends {
            if let Some(space) = self.locations.get(&document).copied() {
                self.change_space(space, |held| held.on_durable(&document, end));
                self.touch_progress(space);
                self.mark_soon(space);
            }
            self.release_durable(document);
            self.saved.touch(document);
            self.on_log_grown(document);
        }
        self.on_words_written(true);
        for ((space, document), entries) in durable {
            self.tell(Event::Durable { space, document, entries });
        }
        self.ask_for_refused();
    }

    /// Asks again for what was not taken for want of room, once there is some.
    pub(super) fn ask_for_refused(&mut self) {
        if self.bytes_under_way() <= self.config.limits.undurable_bytes_max / 2 {
            for (document, space) in std::mem::take(&mut self.logs.refused) {
                self.ask_everyone(space, document);
            }
        }
    }

    /// Whether the store refused the last write.
    pub(super) fn is_store_refusing(&self) -> bool {
        self.logs.write_failures > 0
    }

    fn on_append_failed(&mut self, error: &StoreError) {
        self.mirrors.finish_append(false);
        self.on_words_written(false);
        let mut failed = std::mem::take(&mut self.logs.writing);
        self.logs.to_renew.extend(self.logs.renewing.take());
        let documents: BTreeSet<DocumentId> = failed.iter().map(|undurable| undurable.stored.entry.document).collect();
        let sources: BTreeSet<ConnectionId> = failed.iter().filter_map(|undurable| undurable.source).collect();
        failed.append(&mut self.logs.queue);
        self.logs.queue = failed;
        if error.kind == StoreErrorKind::Corrupt {
            if let (1, Some(document)) = (documents.len(), documents.first()) {
                return self.quarantine(*document, &error.message);
            }
            self.logs.suspects.extend(documents);
        }
        self.on_write_refused(error, sources);
    }

    /// Says that the store refused a write, and tries again later.
    pub(super) fn on_write_refused(&mut self, error: &StoreError, sources: impl IntoIterator<Item = ConnectionId>) {
        if self.logs.write_failures == 0 {
            let message =
                format!("changes cannot be saved on this device and are kept in memory; it is tried again. {}", error.message);
            self.trouble(TroubleKind::StoreWrite, None, None, message);
            for source in sources {
                let text = format!("what was sent is not saved here, and is tried again: {}", error.message);
                self.send(source, &Message::Error { code: ErrorCode::StoreUnavailable, document: None, text });
            }
        }
        let wait = RETRY_FIRST_MS.saturating_mul(1 << self.logs.write_failures.min(8)).min(RETRY_LONGEST_MS);
        self.logs.write_failures += 1;
        self.release_all();
        if error.kind != StoreErrorKind::Corrupt {
            self.logs.waiting_to_retry = true;
            self.timers.set(Timer::StoreRetry, self.now.monotonic_ms + wait);
        }
    }

    pub(super) fn on_read_failed(&mut self, document: DocumentId, error: &StoreError) {
        if error.kind == StoreErrorKind::Corrupt {
            return self.quarantine(document, &error.message);
        }
        let message =
            format!("document {document} cannot be read from the store at present; it is tried again. {}", error.message);
        self.trouble(TroubleKind::StoreRead, Some(document), None, message);
        self.timers.set(Timer::ReadRetry(document), self.now.monotonic_ms + RETRY_LONGEST_MS);
    }

    /// Reads again what could not be read: for peers, for entries in line, for the app.
    pub(super) fn on_read_retry(&mut self, document: DocumentId) {
        self.gather_again(document);
        if let Some(space) = self.locations.get(&document).copied() {
            self.cut_back_one(space, document);
            self.compare_again(space, document);
        }
        self.vouch_for_earlier_in(document);
        // What waits for a snapshot that is taken in goes on waiting.
        if !self.snapshots.is_adopting(&document)
            && !self.cuts.is_cutting(&document)
            && let Some(line) = self.logs.take_line(&document)
            && let Some(space) = self.locations.get(&document).copied()
        {
            for (entry, source) in line.entries {
                self.receive_entry(space, entry, source);
            }
        }
        self.reload_document(document);
        for session in self.sessions.values_mut() {
            for subscription in session.subscriptions.values_mut() {
                if let Some(delta) = subscription.deltas.get_mut(&document) {
                    delta.reading = None;
                }
            }
        }
        self.pushes.moved.entry(document).or_insert(u64::MAX);
    }

    /// Sets a damaged document's log aside, starts it anew with what is in memory, and asks every peer for it.
    pub(super) fn quarantine(&mut self, document: DocumentId, what: &str) {
        let Some(space) = self.locations.get(&document).copied() else { return };
        let message = format!(
            "document {document} is damaged in the store and was set aside; it is fetched again from peers that hold it. {what}"
        );
        self.trouble(TroubleKind::Damaged, Some(document), None, message);
        self.stats.quarantined += 1;
        let unwritten = self.set_aside(space, document);
        // What an open document holds in memory is not lost, and is written anew.
        for entry in self.loaded_entries(&document) {
            self.append(entry, None);
        }
        for entry in unwritten {
            let next = self.log(&document).is_some_and(|log| log.admission(&entry, &BTreeSet::new()) == Admission::Next);
            if next {
                self.append(entry, None);
            }
        }
        self.restart_loading(document);
        self.tell_anew(space, document);
        self.ask_everyone(space, document);
    }

    /// Sets a document's log aside, and begins it anew with nothing; answers what of it was on its way to the store.
    pub(super) fn set_aside(&mut self, space: SpaceId, document: DocumentId) -> Vec<Arc<Entry>> {
        self.store(Work::Quarantine { document }, StoreTask::Quarantine { document });
        self.begin_log_anew(space, document)
    }

    /// Begins a document's log anew with nothing, and leaves to the caller what the store is told; answers what of it was on its way there.
    pub(super) fn begin_log_anew(&mut self, space: SpaceId, document: DocumentId) -> Vec<Arc<Entry>> {
        self.unmark(space, document);
        let unwritten: Vec<Undurable> = {
            let (gone, kept) =
                std::mem::take(&mut self.logs.queue).into_iter().partition(|u| u.stored.entry.document == document);
            self.logs.queue = kept;
            gone
        };
        self.logs.undurable_bytes -= unwritten.iter().map(|undurable| undurable.stored.entry.weight()).sum::<usize>();
        drop(self.logs.take_line(&document));
        self.doubts.forget(&document);
        self.logs.suspects.remove(&document);
        self.logs.to_renew.remove(&document);
        self.snapshots.forget(&document);
        self.forget_preview(document);
        self.change_space(space, |held| held.insert(Log::new(document, space)));
        for session in self.sessions.values_mut() {
            if let Some(subscription) = session.subscriptions.get_mut(&space) {
                subscription.deltas.remove(&document);
            }
        }
        unwritten.into_iter().map(|undurable| undurable.stored.entry).collect()
    }

    /// The store's task that reads a document's entries above a clock.
    pub(super) fn read(&mut self, work: Work, document: DocumentId, above: VectorClock, after: u64, bytes_max: usize) -> TaskId {
        debug_assert!(matches!(self.phase, Phase::Running { .. }), "only an open store is read");
        self.store(work, StoreTask::Read { document, above, after, bytes_max })
    }
}
