//! Cutting documents back: what this replica took in before it heard that its writer was shut out goes again.
//!
//! All of a document is read, parted by [`crate::trust::cut`], and its log begun anew with what remains. What goes is set aside in the
//! store with all the rest of the old log, where an operator finds it. What this replica built on what goes it makes again on what remains. It happens rarely and to few documents, so it may cost a load.
//! Meanwhile entries of the document wait in line.

use super::Engine;
use super::effect::TroubleKind;
use super::logs::Work;
use crate::base::id::{ConnectionId, DocumentId, SpaceId};
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

/// Documents that are being cut back.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// With the entries of each that were read.
    cutting: BTreeMap<DocumentId, Vec<Arc<Entry>>>,
    /// Those that were read, and wait for what is being appended to them.
    read: BTreeMap<DocumentId, Vec<Arc<Entry>>>,
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
            let entries = self.documents.entries(&document);
            return self.finish_cut(document, entries);
        }
        if self.log(&document).is_some_and(|log| log.snapshot().is_some()) {
            self.read_snapshot(Work::CutSnapshot { document }, document, 0, usize::MAX);
        }
        self.read(Work::CutEntries { document }, document, VectorClock::new(), 0, usize::MAX);
    }

    pub(super) fn on_cut_snapshot(&mut self, document: DocumentId, part: Option<SnapshotPart>) {
        let Some(part) = part.filter(|_| self.cuts.is_cutting(&document)) else { return };
        // Its entries are put together when those beside it have been read: the store answers in order.
        if let Some(assembly) = self.assembly(document, vec![part.bytes], Vec::new()) {
            self.hand_out(Work::CutAssembly { document }, assembly);
        }
    }

    pub(super) fn on_cut_entries(&mut self, document: DocumentId, entries: Vec<(u64, Arc<Entry>)>) {
        let Some(read) = self.cuts.cutting.get_mut(&document) else { return };
        read.extend(entries.into_iter().map(|(_, entry)| entry));
        if self.log(&document).is_some_and(|log| log.snapshot().is_none()) {
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
                let mut entries: Vec<Arc<Entry>> = assembled.document.entries().into_iter().map(Arc::new).collect();
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
        let read = if self.documents.loaded(&document).is_some() { self.documents.entries(&document) } else { read };
        let tail = self.log(&document).into_iter().flat_map(|log| log.tail_after(log.tail_start() - 1).into_iter().flatten());
        let tail: Vec<Arc<Entry>> = tail.map(|(_, entry)| entry.clone()).collect();
        let mut seen = BTreeSet::new();
        let whole: Vec<Arc<Entry>> = read.into_iter().chain(tail).filter(|entry| seen.insert(entry.hash)).collect();
        let own = self.peer_id();
        let Some(held) = self.trust.rolls.get(&space) else { return };
        let parted = part(held.roll.standing(), own, whole.iter().cloned());
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
            let super::Phase::Running { identity, owned_actor, .. } = &mut self.phase else { return };
            *owned_actor = actor_of(&identity.peer(), &nonce);
            remade = remake((document, *owned_actor), &parted.kept, &whole, &own_built_on);
        }
        self.begin_anew(space, document, parted.kept, remade);
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
