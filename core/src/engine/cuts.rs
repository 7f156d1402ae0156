//! Cutting documents back: what this replica took in before it heard that its writer was shut out goes again.
//!
//! All of a document is read, parted by [`crate::trust::cut`], and its log begun anew with what remains. What goes is set aside in the
//! store with all the rest of the old log, where an operator finds it. What this replica built on what goes it makes again on what remains. It happens rarely and to few documents, so it may cost a load.
//! Meanwhile entries of the document wait in line.

use super::Engine;
use super::effect::TroubleKind;
use super::logs::Work;
use super::snapshots::Received;
use crate::base::id::{ActorId, ConnectionId, DocumentId, SpaceId};
use crate::doc::assembly::{Assembled, AssemblyError};
use crate::doc::remake::remake;
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::log::Log;
use crate::log::snapshot::SnapshotPart;
use crate::store::task::StoreError;
use crate::trust::cut::part;
use crate::trust::owned::actor_of;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The connection of what comes from this replica's own store.
const NOBODY: ConnectionId = ConnectionId(u64::MAX);

/// Documents that are being cut back.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// With the entries of each that were read.
    cutting: BTreeMap<DocumentId, Vec<Arc<Entry>>>,
    /// Those that were read, and wait for what is being appended to them.
    read: BTreeMap<DocumentId, Vec<Arc<Entry>>>,
    /// Snapshots of these that cannot be read here.
    unread: BTreeMap<DocumentId, SnapshotPart>,
}

impl Cuts {
    /// Whether a document is being cut back.
    pub(super) fn is_cutting(&self, document: &DocumentId) -> bool {
        self.cutting.contains_key(document)
    }
}

impl Engine {
    /// Cuts back the documents of a space that hold what is not accepted any more. A replica that was shut out itself keeps what it has.
    pub(super) fn cut_back(&mut self, space: SpaceId) {
        if self.trust.rolls.get(&space).is_none_or(|held| !held.roll.standing().has_revocations()) {
            return;
        }
        if !self.is_relay() && self.own_access(&space).level().is_none() {
            return;
        }
        let own = self.peer_id();
        let Some(held) = self.trust.rolls.get_mut(&space) else { return };
        let mut is_over = |log: &&Log| {
            log.version().clock.iter().any(|(actor, seq)| {
                let writer = held.writer(actor).filter(|writer| Some(*writer) != own);
                let last = writer.and_then(|writer| held.roll.standing().accepted(&writer, &log.document(), actor));
                last.is_some_and(|last| seq > last)
            })
        };
        let documents: Vec<DocumentId> = self
            .spaces
            .get(&space)
            .into_iter()
            .flat_map(|held| held.space.documents())
            .filter(|log| is_over(log))
            .map(Log::document)
            .filter(|document| !self.cuts.is_cutting(document))
            .collect();
        for document in documents {
            self.logs.hold_line(document);
            self.cuts.cutting.insert(document, Vec::new());
            self.read_to_cut(document);
        }
    }

    fn read_to_cut(&mut self, document: DocumentId) {
        if self.documents.loaded(&document).is_some() {
            let entries = self.loaded_entries(&document);
            return self.finish_cut(document, entries);
        }
        if self.log(&document).is_some_and(|log| log.snapshot().is_some()) {
            self.read_snapshot(Work::CutSnapshot { document }, document, 0, usize::MAX);
        }
        self.read(Work::CutEntries { document }, document, VectorClock::new(), 0, usize::MAX);
    }

    pub(super) fn on_cut_snapshot(&mut self, document: DocumentId, part: Option<SnapshotPart>) {
        let Some(part) = part.filter(|_| self.cuts.is_cutting(&document)) else { return };
        let Some(space) = self.locations.get(&document).copied() else { return };
        let bytes = match self.opened_snapshot(&space, &document, part.bytes.clone()) {
            Ok(Some(opened)) => opened,
            // It cannot be parted here: see `keep_unread`.
            Ok(None) => return drop(self.cuts.unread.insert(document, part)),
            Err(error) => {
                self.cuts.cutting.remove(&document);
                return self.quarantine(document, &error.to_string());
            }
        };
        // Its entries are put together when those beside it have been read: the store answers in order.
        if let Some(assembly) = self.assembly(document, vec![bytes], Vec::new()) {
            self.hand_out(Work::CutAssembly { document }, assembly);
        }
    }

    pub(super) fn on_cut_entries(&mut self, document: DocumentId, entries: Vec<(u64, Arc<Entry>)>) {
        let Some(read) = self.cuts.cutting.get_mut(&document) else { return };
        read.extend(entries.into_iter().map(|(_, entry)| entry));
        if self.log(&document).is_some_and(|log| log.snapshot().is_none()) || self.cuts.unread.contains_key(&document) {
            let read = self.cuts.cutting.get(&document).cloned().unwrap_or_default();
            self.finish_cut(document, read);
        }
    }

    pub(super) fn on_cut_assembled(&mut self, document: DocumentId, result: Result<Box<Assembled>, AssemblyError>) {
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

    pub(super) fn on_cut_failed(&mut self, document: DocumentId, error: &StoreError) {
        if self.cuts.cutting.remove(&document).is_some() {
            self.on_read_failed(document, error);
            // Tried again with the next change of the roll, or the next start; what waited goes on.
            self.on_found(document, Vec::new());
        }
    }

    /// Has a document of which these entries were read cut back in the drain.
    fn finish_cut(&mut self, document: DocumentId, read: Vec<Arc<Entry>>) {
        self.cuts.read.insert(document, read);
        self.needs_flush = true;
    }

    /// Cuts back what was read, but for documents that something is being appended to.
    pub(super) fn finish_cuts(&mut self) {
        let ready: Vec<DocumentId> =
            self.cuts.read.keys().copied().filter(|document| !self.logs.is_appending(document)).collect();
        for document in ready {
            self.cuts.cutting.remove(&document);
            if let Some(read) = self.cuts.read.remove(&document) {
                self.cut(document, read);
            }
        }
    }

    /// Begins a document's log anew with what remains of these entries, and of those that are on their way to the store.
    fn cut(&mut self, document: DocumentId, read: Vec<Arc<Entry>>) {
        let Some(space) = self.locations.get(&document).copied() else { return };
        // It may have been opened, and written in, while it was read.
        let read = if self.documents.loaded(&document).is_some() { self.loaded_entries(&document) } else { read };
        let tail = self.log(&document).into_iter().flat_map(|log| log.tail_after(log.tail_start() - 1).into_iter().flatten());
        let tail: Vec<Arc<Entry>> = tail.map(|(_, entry)| entry.clone()).collect();
        let mut seen = BTreeSet::new();
        let whole: Vec<Arc<Entry>> = read.into_iter().chain(tail).filter(|entry| seen.insert(entry.hash)).collect();
        let own = self.peer_id();
        let Some(held) = self.trust.rolls.get(&space) else { return };
        let parted = part(held.roll.standing(), own, whole.iter().cloned());
        if let Some(part) = self.cuts.unread.remove(&document) {
            return self.keep_unread(space, document, part, parted.kept);
        }
        if parted.refused.is_empty() {
            return self.on_found(document, Vec::new());
        }
        let is_own = |entry: &&Arc<Entry>| held.roll.standing().writer(&entry.actor) == own;
        let own_built_on: Vec<Arc<Entry>> = parted.built_on.iter().filter(is_own).cloned().collect();
        let message = format!(
            "{} changes of document {document} by someone whose grant was revoked are not accepted, and were set aside with {} that others built on them; \
             whoever wrote those makes them again ({} of this replica's own)",
            parted.refused.len(),
            parted.built_on.len(),
            own_built_on.len()
        );
        self.trouble(TroubleKind::Forbidden, Some(document), None, message);
        let mut remade = Vec::new();
        if !own_built_on.is_empty() {
            // What was written under these numbers may be held somewhere: they are not used again.
            let nonce = self.rng.bytes();
            if let super::Phase::Running { identity, owned_actor, .. } = &mut self.phase {
                *owned_actor = actor_of(&identity.peer(), &nonce);
            }
            self.draw_actor_anew(space);
            remade = self.remade(space, document, [&whole, &parted.kept, &own_built_on]);
        }
        self.begin_anew(space, document, parted.kept, remade);
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
        let Some(held) = self.trust.rolls.get_mut(&space) else { return };
        let mut is_accepted = |actor: &ActorId, seq: u64| {
            let last = held.writer(actor).and_then(|writer| held.roll.standing().accepted(&writer, &document, actor));
            last.is_none_or(|last| seq <= last)
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
        self.set_aside(space, document);
        self.forget_attestations(space, document);
        for entry in &kept {
            self.append(entry.clone(), None);
        }
        let clock = self.log(&document).map(|log| log.version().clock.clone()).unwrap_or_default();
        self.saved.lower(&document, &clock);
        for entry in remade {
            kept.push(Arc::new(entry.clone()));
            self.append_local(space, entry);
        }
        self.replace_document(space, document, kept);
        self.ask_everyone(space, document);
        self.touch_progress(space);
    }

    /// Forgets which attestations of a document peers were sent: what remains of it is exchanged anew.
    fn forget_attestations(&mut self, space: SpaceId, document: DocumentId) {
        let connections: Vec<ConnectionId> =
            self.spaces.get(&space).map_or_else(Vec::new, |held| held.sessions.iter().copied().collect());
        for connection in connections {
            if let Some(peer) = self.trust.peers.get_mut(&(connection, space)) {
                peer.attested.remove(&document);
            }
        }
    }
}
