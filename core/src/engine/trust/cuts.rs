//! Cutting documents back: what this replica took in before it heard that its writer was shut out, or that it is not what its writer vouches for
//! ([`super::doubts`]), or that it was disavowed ([`super::disavowing`]), goes again.
//!
//! All of a document is read, parted by [`crate::trust::cut`], and its log begun anew with what remains. What goes is set aside in the
//! store with all the rest of the old log, where an operator finds it. What this replica built on what goes it makes again on what remains. It happens rarely and to few documents, so it may cost a load.
//! Meanwhile entries of the document wait in line.

use crate::base::id::{ActorId, ConnectionId, DocumentId, SpaceId};
use crate::doc::assembly::{Assembled, AssemblyError};
use crate::doc::remake::remake;
use crate::engine::Engine;
use crate::engine::effect::TroubleKind;
use crate::engine::logs::Work;
use crate::engine::snapshots::Received;
use crate::engine::timers::Timer;
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::snapshot::SnapshotPart;
use crate::store::task::StoreError;
use crate::sync::message::Message;
use crate::trust::cut::part;
use crate::trust::owned::{actor_of, is_actor_of};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The connection of what comes from this replica's own store.
pub(super) const NOBODY: ConnectionId = ConnectionId(u64::MAX);
/// Milliseconds after which a document is read once more that has grown while it was read.
const READ_AGAIN_MS: u64 = 50;

/// Documents that are being cut back.
#[derive(Debug, Default)]
pub(in crate::engine) struct Cuts {
    /// With the entries of each that were read.
    cutting: BTreeMap<DocumentId, Vec<Arc<Entry>>>,
    /// Those that were read, and wait until the store takes what remains.
    read: BTreeMap<DocumentId, Vec<Arc<Entry>>>,
    /// Those that are cut back when the snapshot is stored that is being made of them.
    postponed: BTreeSet<DocumentId>,
    /// Snapshots of these that cannot be read here.
    unread: BTreeMap<DocumentId, SnapshotPart>,
    /// Those that were begun anew, until what remains is durable; and who is then told how far they go, as an answer or not. What is durable in
    /// between is less than was, and a peer that heard of it would take this replica for one that has lost something.
    beginning: BTreeMap<DocumentId, BTreeSet<(ConnectionId, bool)>>,
}

impl Cuts {
    /// Whether it has to wait until a peer is told how far a document goes: it is told later.
    pub(in crate::engine) fn puts_off(&mut self, document: &DocumentId, connection: ConnectionId, answers: bool) -> bool {
        self.beginning.get_mut(document).map(|waiting| waiting.insert((connection, answers))).is_some()
    }

    /// Whether what remains of a document is on its way to the store.
    pub(in crate::engine) fn is_beginning(&self, document: &DocumentId) -> bool {
        self.beginning.contains_key(document)
    }

    /// Whether a document is being cut back.
    pub(in crate::engine) fn is_cutting(&self, document: &DocumentId) -> bool {
        self.cutting.contains_key(document)
    }
}

impl Engine {
    /// Cuts back the documents of a space that hold what is not accepted any more. A replica that was shut out itself keeps what it has.
    pub(in crate::engine) fn cut_back(&mut self, space: SpaceId) {
        if self.trust.rolls.get(&space).is_none_or(|held| !held.roll.standing().has_cuts()) {
            return;
        }
        if !self.is_relay() && self.own_access(&space).level().is_none() {
            return;
        }
        for document in self.documents(&space) {
            self.cut_back_one(space, document);
        }
    }

    /// The same of one document: one that could not be read, or that a peer's snapshot was taken into which was on its way when this replica heard.
    pub(in crate::engine) fn cut_back_one(&mut self, space: SpaceId, document: DocumentId) {
        // What this replica wrote could not be made again yet: it is cut back when the key comes.
        if !self.is_relay() && self.waits_for_key(&space) {
            return;
        }
        let keeps_all = !self.is_relay() && self.own_access(&space).level().is_none();
        let is_over = self.holds_refused(space, document) || self.doubts.looks_into(&document);
        if is_over && !keeps_all && self.snapshots.is_at_work(&document) {
            // What is read while a snapshot is on its way to the store is neither all of it with the snapshot nor without.
            self.cuts.postponed.insert(document);
            self.needs_flush = true;
        } else if is_over && !keeps_all && !self.cuts.is_cutting(&document) {
            self.logs.hold_line(document);
            self.cuts.cutting.insert(document, Vec::new());
            self.read_to_cut(document);
        }
    }

    /// Whether a document holds what is not accepted any more, and is yet to be begun anew.
    pub(in crate::engine) fn holds_refused(&mut self, space: SpaceId, document: DocumentId) -> bool {
        let own = self.peer_id();
        if self.is_out_of_bounds(&space, &document) {
            return true;
        }
        let Some(held) = self.trust.rolls.get_mut(&space).filter(|held| held.roll.standing().has_revocations()) else {
            return false;
        };
        let log = self.spaces.get(&space).and_then(|held| held.space.log(&document));
        log.into_iter().flat_map(|log| log.version().clock.iter()).any(|(actor, seq)| {
            let writer = held.writer(actor).filter(|writer| Some(*writer) != own);
            let last = writer.and_then(|writer| held.roll.standing().accepted(&writer, &document, actor));
            last.is_some_and(|last| seq > last)
        })
    }

    fn read_to_cut(&mut self, document: DocumentId) {
        if self.documents.loaded(&document).is_some() {
            let entries = self.loaded_entries(&document);
            return self.finish_cut(document, entries);
        }
        // The store answers in order: what stands beside the snapshot is here before that is put together.
        self.read(Work::CutEntries { document }, document, VectorClock::new(), 0, usize::MAX);
        if self.log(&document).is_some_and(|log| log.snapshot().is_some()) {
            self.read_snapshot(Work::CutSnapshot { document }, document, 0, usize::MAX);
        }
    }

    pub(in crate::engine) fn on_cut_snapshot(&mut self, document: DocumentId, part: Option<SnapshotPart>) {
        if !self.cuts.is_cutting(&document) {
            return;
        }
        let Some(part) = part else { return self.finish_cut_of_entries(document) };
        let Some(space) = self.locations.get(&document).copied() else { return };
        let bytes = match self.opened_snapshot(&space, &document, part.bytes.clone()) {
            Ok(Some(opened)) => opened,
            // It cannot be parted here: see `keep_unread`.
            Ok(None) => {
                self.cuts.unread.insert(document, part);
                return self.finish_cut_of_entries(document);
            }
            Err(error) => {
                self.cuts.cutting.remove(&document);
                return self.quarantine(document, &error.to_string());
            }
        };
        if let Some(assembly) = self.assembly(document, vec![bytes], Vec::new()) {
            self.hand_out(Work::CutAssembly { document }, assembly);
        }
    }

    pub(in crate::engine) fn on_cut_entries(&mut self, document: DocumentId, entries: Vec<(u64, Arc<Entry>)>) {
        let Some(read) = self.cuts.cutting.get_mut(&document) else { return };
        read.extend(entries.into_iter().map(|(_, entry)| entry));
        if self.log(&document).is_some_and(|log| log.snapshot().is_none()) {
            self.finish_cut_of_entries(document);
        }
    }

    /// Has a document cut back of which all that is read are entries.
    fn finish_cut_of_entries(&mut self, document: DocumentId) {
        let read = self.cuts.cutting.get(&document).cloned().unwrap_or_default();
        self.finish_cut(document, read);
    }

    pub(in crate::engine) fn on_cut_assembled(&mut self, document: DocumentId, result: Result<Box<Assembled>, AssemblyError>) {
        if !self.cuts.is_cutting(&document) {
            return;
        }
        match result {
            Ok(assembled) => {
                let Some(space) = self.locations.get(&document).copied() else { return };
                let mut entries = self.entries_of(&space, &assembled.document);
                entries.extend(self.cuts.cutting.get(&document).into_iter().flatten().cloned());
                self.finish_cut(document, entries);
            }
            Err(error) => {
                self.cuts.cutting.remove(&document);
                self.quarantine(document, &error.to_string());
            }
        }
    }

    pub(in crate::engine) fn on_cut_failed(&mut self, document: DocumentId, error: &StoreError) {
        if self.cuts.cutting.remove(&document).is_some() {
            self.on_read_failed(document, error);
            // Tried again when it is read again; what waited goes on.
            self.let_line_go(document);
        }
    }

    /// What waited while a document was to be cut back is looked at anew. That is no answer to what was looked up of it before.
    fn let_line_go(&mut self, document: DocumentId) {
        if !self.snapshots.is_adopting(&document) {
            self.receive_line(document);
        }
    }

    /// Has a document of which these entries were read cut back in the drain.
    fn finish_cut(&mut self, document: DocumentId, read: Vec<Arc<Entry>>) {
        self.cuts.read.insert(document, read);
        self.needs_flush = true;
    }

    /// Cuts back what was read, as soon as the store takes what remains.
    pub(in crate::engine) fn finish_cuts(&mut self) {
        let later = |document: &&DocumentId| !self.snapshots.is_at_work(document);
        for document in self.cuts.postponed.iter().filter(later).copied().collect::<Vec<_>>() {
            self.cuts.postponed.remove(&document);
            if let Some(space) = self.locations.get(&document).copied() {
                self.cut_back_one(space, document);
            }
        }
        // What remains reaches the store together with what is set aside, or a crash in between would take what nobody else has.
        let ready: Vec<DocumentId> = self.cuts.read.keys().copied().collect();
        for document in ready {
            if !self.can_append() {
                break;
            }
            self.cuts.cutting.remove(&document);
            if let Some(read) = self.cuts.read.remove(&document) {
                self.cut(document, read);
            }
        }
        let is_durable = |document: &&DocumentId| self.log(document).is_none_or(|log| log.undurable() == 0);
        let begun: Vec<DocumentId> = self.cuts.beginning.keys().filter(is_durable).copied().collect();
        for document in begun {
            let Some(space) = self.locations.get(&document).copied() else { continue };
            for (connection, answers) in self.cuts.beginning.remove(&document).unwrap_or_default() {
                if !answers {
                    self.ask(connection, space, document);
                } else if self.is_subscribed(connection, &space) {
                    let version = self.log(&document).map(|log| log.durable().clone()).unwrap_or_default();
                    self.send(connection, &Message::Have { space, document, version, answer: true });
                }
            }
        }
    }

    /// Begins a document's log anew with what remains of these entries, and of those that are on their way to the store.
    fn cut(&mut self, document: DocumentId, read: Vec<Arc<Entry>>) {
        let Some(space) = self.locations.get(&document).copied() else { return };
        if !self.is_relay() && self.waits_for_key(&space) {
            self.cuts.unread.remove(&document);
            return self.let_line_go(document);
        }
        // It may have been opened, and written in, while it was read.
        let read = if self.documents.loaded(&document).is_some() { self.loaded_entries(&document) } else { read };
        let tail = self.log(&document).into_iter().flat_map(|log| log.tail_after(log.tail_start() - 1).into_iter().flatten());
        let tail: Vec<Arc<Entry>> = tail.map(|(_, entry)| entry.clone()).collect();
        let mut seen = BTreeSet::new();
        let whole: Vec<Arc<Entry>> = read.into_iter().chain(tail).filter(|entry| seen.insert(entry.hash)).collect();
        let changes = self.log(&document).map_or(0, |log| log.version().clock.iter().map(|(_, seq)| seq).sum());
        if (whole.len() as u64) < changes && !self.cuts.unread.contains_key(&document) {
            // A snapshot was taken in, or more became durable, after it was read.
            self.timers.set(Timer::ReadRetry(document), self.now.monotonic_ms + READ_AGAIN_MS);
            return self.let_line_go(document);
        }
        self.compare_all(space, document, &whole);
        let own = self.peer_id();
        let bounds = self.bounds_of(&space, &document);
        let Some(held) = self.trust.rolls.get(&space) else { return };
        let parted = part(held.roll.standing(), own, &bounds, whole.iter().cloned());
        if let Some(part) = self.cuts.unread.remove(&document) {
            return self.keep_unread(space, document, part, parted.kept);
        }
        if parted.refused.is_empty() {
            self.doubts.forget_refuted(&document);
            return self.let_line_go(document);
        }
        let is_own = |entry: &&Arc<Entry>| held.roll.standing().writer(&entry.actor) == own;
        let own_built_on: Vec<Arc<Entry>> = parted.built_on.iter().filter(is_own).cloned().collect();
        let others_built_on: Vec<Arc<Entry>> = parted.built_on.iter().filter(|entry| !is_own(entry)).cloned().collect();
        let (is_refuted, why) = self.why_refused(&document, &bounds, &parted.refused);
        let message = format!(
            "of document {document} were set aside {why}, with {} that others built on them; \
             whoever wrote those makes them again ({} of this replica's own)",
            parted.built_on.len(),
            own_built_on.len()
        );
        let kind = if is_refuted { TroubleKind::Forked } else { TroubleKind::Forbidden };
        self.trouble(kind, Some(document), None, message);
        let mut remade = Vec::new();
        if !own_built_on.is_empty() {
            // What was written under these numbers may be held somewhere: they are not used again.
            let nonce = self.rng.bytes();
            if let crate::engine::Phase::Running { identity, owned_actor, .. } = &mut self.phase {
                *owned_actor = actor_of(&identity.peer(), &nonce);
            }
            self.draw_actor_anew(space);
            remade = self.remade(space, document, [&whole, &parted.kept, &own_built_on]);
        }
        self.begin_anew(space, document, parted.kept, remade);
        if is_refuted {
            self.doubts.keep_waiting(document, others_built_on);
            self.compare_what_remains(space, document, bounds.into_keys());
        }
    }

    /// Why these changes of a document go, in words; and whether a word speaks against some of them.
    fn why_refused(&self, document: &DocumentId, bounds: &BTreeMap<ActorId, u64>, refused: &[Arc<Entry>]) -> (bool, String) {
        let words = self.doubts.refuted(document);
        let is_over = |of: &BTreeMap<ActorId, u64>, entry: &Entry| of.get(&entry.actor).is_some_and(|last| entry.seq > *last);
        let refuted = refused.iter().filter(|entry| is_over(&words, entry)).count();
        let bound = refused.iter().filter(|entry| is_over(bounds, entry)).count();
        let told = [
            (refused.len() - bound, "by someone whose grant was revoked"),
            (bound - refuted, "that nobody vouches for, disavowed"),
            (refuted, "against their writer's word"),
        ];
        let in_words = |(count, why): &(usize, &str)| format!("{count} {} {why}", if *count == 1 { "change" } else { "changes" });
        let told: Vec<String> = told.iter().filter(|(count, _)| *count > 0).map(in_words).collect();
        (refuted > 0, told.join(" and "))
    }

    /// What of `own` is made again on what is kept of a document, as its log has it.
    fn remade(&self, space: SpaceId, document: DocumentId, [whole, kept, own]: [&[Arc<Entry>]; 3]) -> Vec<Entry> {
        let Some(actor) = self.actor_for(&space) else { return Vec::new() };
        let [whole, kept, own] = [whole, kept, own].map(<[_]>::to_vec);
        // Of two lists, what cannot be opened in one cannot be opened in the other.
        let numbers: BTreeSet<(ActorId, u64)> = own.iter().map(|entry| (entry.actor, entry.seq)).collect();
        let (whole, kept) = (self.opened(&space, whole).0, self.opened(&space, kept).0);
        let own: Vec<Arc<Entry>> = whole.iter().filter(|entry| numbers.contains(&(entry.actor, entry.seq))).cloned().collect();
        let (changes, remade) = remake((document, actor), &kept, &whole, &own);
        changes.into_iter().filter_map(|change| self.sealed(&space, &remade, change).ok()).collect()
    }

    /// Begins a document's log anew with a snapshot that cannot be read here, where it stands for nothing that is not accepted, and the
    /// entries that remain beside it; otherwise with nothing: members bring what they hold.
    fn keep_unread(&mut self, space: SpaceId, document: DocumentId, part: SnapshotPart, kept: Vec<Arc<Entry>>) {
        let refuted = self.doubts.refuted(&document);
        let Some(held) = self.trust.rolls.get_mut(&space) else { return };
        let mut is_accepted = |actor: &ActorId, seq: u64| {
            let last = held.writer(actor).and_then(|writer| held.roll.standing().accepted(&writer, &document, actor));
            last.into_iter().chain(refuted.get(actor).copied()).all(|last| seq <= last)
        };
        let is_sound = part.version.clock.iter().all(|(actor, seq)| is_accepted(actor, seq));
        let message = format!(
            "document {document} holds changes by someone whose grant was revoked, and a sealed snapshot; its log is begun anew with what is accepted, and the store keeps the rest"
        );
        self.trouble(TroubleKind::Forbidden, Some(document), None, message);
        self.begin_anew(space, document, Vec::new(), Vec::new());
        if !is_sound {
            return;
        }
        let SnapshotPart { version, bytes, .. } = part;
        self.adopt_snapshot(document, Received { space, bytes, version, source: NOBODY });
        for entry in kept {
            self.receive_entry(space, entry, NOBODY);
        }
    }

    /// Begins a document's log anew with what remains, and with what this replica made again on that.
    fn begin_anew(&mut self, space: SpaceId, document: DocumentId, mut kept: Vec<Arc<Entry>>, remade: Vec<Entry>) {
        self.begin_log_anew(space, document);
        self.forget_attestations(space, document);
        for entry in &kept {
            self.append(entry.clone(), None);
        }
        self.vouch_for_what_remains(space, &kept);
        let clock = self.log(&document).map(|log| log.version().clock.clone()).unwrap_or_default();
        self.saved.lower(&document, &clock);
        for entry in remade {
            kept.push(Arc::new(entry.clone()));
            self.append_local(space, entry);
        }
        self.renew(document);
        self.replace_document(space, document, kept);
        let connections =
            self.spaces.get(&space).map(|held| held.sessions.iter().map(|connection| (*connection, false)).collect());
        self.cuts.beginning.insert(document, connections.unwrap_or_default());
        self.needs_flush = true;
        self.touch_progress(space);
    }

    /// Vouches anew for the last that remains of what this replica wrote, where its word was for a later change that was set aside: those who lack it
    /// would not take it from anyone else.
    fn vouch_for_what_remains(&mut self, space: SpaceId, kept: &[Arc<Entry>]) {
        let Some(own) = self.peer_id() else { return };
        let own_entries = kept.iter().filter(|entry| is_actor_of(&entry.actor, &own));
        let last: BTreeMap<ActorId, &Arc<Entry>> = own_entries.map(|entry| (entry.actor, entry)).collect();
        for (actor, entry) in last {
            let word = self.attests.words.newest(&entry.document, &actor).map_or(0, |word| word.attestation.seq);
            if word > entry.seq {
                self.vouch_soon(space, entry);
            }
        }
    }

    /// Forgets which attestations of a document peers were sent: what remains of it is exchanged anew.
    fn forget_attestations(&mut self, space: SpaceId, document: DocumentId) {
        let connections: Vec<ConnectionId> =
            self.spaces.get(&space).map_or_else(Vec::new, |held| held.sessions.iter().copied().collect());
        for connection in connections {
            self.forget_attestations_told(connection, space, document, false);
        }
    }
}
