//! Mirrors that may outlive the engine, as tabs do: which of their edits became which changes.
//!
//! An engine can die after an edit of a mirror's was made and before its answer reached the mirror, which then sends the edit again to
//! the next one. So that this one knows it, what each stamped edit became is stored with the append of the change: never
//! after it. And such a change leaves for peers only when it is durable, or else the next engine could make it again while a
//! peer holds the first.

use super::Engine;
use super::input::Stamp;
use super::logs::Work;
use super::stored::StoredMirror;
use crate::base::id::{ChangeHash, DocumentId, MirrorId, ViewId};
use crate::base::limits::{MIRROR_EDITS_MAX, MIRRORS_MAX};
use crate::store::task::StoreTask;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of mirrors.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    of_view: BTreeMap<ViewId, MirrorId>,
    known: BTreeMap<MirrorId, StoredMirror>,
    /// Those of which the store does not know the last edits, or does not know that they are forgotten.
    unwritten: BTreeSet<MirrorId>,
    /// Those of them that the append under way tells it of.
    writing: BTreeSet<MirrorId>,
    /// Documents with edits of mirrors that are not durable: these wait for that before they leave.
    held: BTreeSet<DocumentId>,
}

impl Mirrors {
    /// Takes in a named value of the store's, if it is about a mirror.
    pub(super) fn load(&mut self, name: &str, value: &[u8]) {
        if let Some(stored) = StoredMirror::read(name, value) {
            self.known.insert(stored.mirror, stored);
        }
    }

    /// A mirror has a view now.
    pub(super) fn open(&mut self, view: ViewId, mirror: Option<MirrorId>) {
        if let Some(mirror) = mirror {
            self.of_view.insert(view, mirror);
        }
    }

    /// The change that an edit became before.
    pub(super) fn change_of(&self, view: ViewId, stamp: Stamp) -> Option<ChangeHash> {
        let made = &self.known.get(self.of_view.get(&view)?)?.made;
        made.iter().find(|(number, _)| *number == stamp.number).map(|(_, hash)| *hash)
    }

    /// Whether what is not durable of a document has to wait for that before it leaves.
    pub(super) fn is_held(&self, document: &DocumentId) -> bool {
        self.held.contains(document)
    }

    /// What the next append has to tell the store.
    pub(super) fn begin_append(&mut self) -> Vec<(String, Vec<u8>)> {
        self.writing = std::mem::take(&mut self.unwritten);
        let value = |mirror: &MirrorId| match self.known.get(mirror) {
            Some(known) => known.write(),
            None => (StoredMirror::name(*mirror), Vec::new()),
        };
        self.writing.iter().map(value).collect()
    }

    /// That append was answered.
    pub(super) fn finish_append(&mut self, is_done: bool) {
        let written = std::mem::take(&mut self.writing);
        if !is_done {
            self.unwritten.extend(written);
        }
    }

    /// Lets what was held of a document leave; answers whether anything was.
    pub(super) fn release(&mut self, document: &DocumentId) -> bool {
        self.held.remove(document)
    }

    fn note(&mut self, mirror: MirrorId, stamp: Stamp, hash: ChangeHash, unix_ms: i64) {
        let known = self.known.entry(mirror).or_insert_with(|| StoredMirror { mirror, unix_ms, made: Vec::new() });
        known.unix_ms = unix_ms;
        known.made.retain(|(number, _)| *number >= stamp.oldest && *number != stamp.number);
        known.made.push((stamp.number, hash));
        if known.made.len() > MIRROR_EDITS_MAX {
            known.made.remove(0);
        }
        self.unwritten.insert(mirror);
        if self.known.len() > MIRRORS_MAX {
            let others = self.known.values().filter(|other| other.mirror != mirror);
            if let Some(oldest) = others.min_by_key(|other| other.unix_ms).map(|oldest| oldest.mirror) {
                self.known.remove(&oldest);
                self.unwritten.insert(oldest);
            }
        }
    }
}

impl Engine {
    /// An edit of a mirror's became a change.
    pub(super) fn on_mirror_edited(&mut self, view: ViewId, stamp: Stamp, document: DocumentId, hash: ChangeHash) {
        let Some(mirror) = self.mirrors.of_view.get(&view).copied() else { return };
        self.mirrors.note(mirror, stamp, hash, self.now.unix_ms);
        self.hold_until_durable(document);
    }

    /// Has what was written in a document leave when it is on this replica's disk.
    pub(super) fn hold_until_durable(&mut self, document: DocumentId) {
        // Where the store refuses writes, peers are the only place where the change can be safe.
        if !self.is_store_refusing() {
            self.mirrors.held.insert(document);
        }
    }

    /// A mirror's view is closed: it sends nothing again.
    pub(super) fn on_mirror_closed(&mut self, view: ViewId) {
        let Some(mirror) = self.mirrors.of_view.remove(&view) else { return };
        let is_open = self.mirrors.of_view.values().any(|other| *other == mirror);
        if is_open || self.mirrors.known.remove(&mirror).is_none() {
            return;
        }
        self.mirrors.unwritten.remove(&mirror);
        self.store(Work::Meta, StoreTask::PutMeta { key: StoredMirror::name(mirror), value: Vec::new() });
    }

    /// What is durable of a document may leave, and if that is all of it, it is held no longer.
    pub(super) fn release_durable(&mut self, document: DocumentId) {
        if !self.mirrors.is_held(&document) {
            return;
        }
        if self.log(&document).is_none_or(|log| log.undurable() == 0) {
            self.mirrors.release(&document);
        }
        self.tempo.release(document);
        if let Some(space) = self.locations.get(&document).copied() {
            self.on_held_for_words(space, document);
        }
        self.pushes.moved.entry(document).or_insert(u64::MAX);
    }

    /// The store refuses writes: what was held leaves all the same.
    pub(super) fn release_all(&mut self) {
        for document in std::mem::take(&mut self.mirrors.held) {
            self.pushes.moved.entry(document).or_insert(u64::MAX);
            if let Some(space) = self.locations.get(&document).copied() {
                self.on_held_for_words(space, document);
            }
        }
    }
}
