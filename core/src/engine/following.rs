//! Spaces the driver follows, for clients of its own that speak another protocol than ours.
//!
//! A driver that follows a space is told of every entry that has become durable there, may read whole documents, and may hand
//! in entries as a peer would. Nothing is kept here for each document: the first reading says how far the log went, what comes
//! after it is told, and a driver that missed something reads anew. No document is loaded on the way.

use super::effect::Event;
use super::logs::Work;
use super::{Engine, Phase};
use crate::base::id::{ConnectionId, DocumentId, SpaceId};
use crate::base::time::Now;
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::snapshot::SnapshotPart;
use crate::trust::owned::is_owned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which spaces are followed, and what is being read for whoever follows them.
#[derive(Debug, Default)]
pub(super) struct Following {
    spaces: BTreeSet<SpaceId>,
    reading: BTreeMap<u64, Reading>,
    last_number: u64,
}

/// A document that is being read: its snapshot comes first.
#[derive(Debug)]
struct Reading {
    document: DocumentId,
    snapshot: Option<Arc<[u8]>>,
}

/// All that is durable of a document, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reread {
    /// What its log begins with, if it begins with a snapshot.
    pub snapshot: Option<Arc<[u8]>>,
    /// The entries beside it, in their order; some may be part of the snapshot.
    pub entries: Vec<Arc<Entry>>,
}

/// Why entries that were handed in were not taken; none of them was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The document is held in another space.
    #[error("the document belongs to another space")]
    WrongSpace,
    /// There are as many documents as there may be.
    #[error("this relay holds as many documents as it may")]
    Full,
    /// A change above the limit.
    #[error("a change of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// What is taken.
        limit: usize,
    },
    /// The store is behind: the same may be handed in again later.
    #[error("the store cannot keep up")]
    Busy,
    /// The space is owned: what is written there is written by keys, and the driver's clients have none.
    #[error("the space is owned, and clients without keys may not read or write there")]
    Owned,
}

impl Engine {
    /// Follows a space from now on: what becomes durable there is told as [`Event::Durable`].
    pub fn follow(&mut self, now: Now, space: SpaceId) {
        self.now = now;
        // Whoever is told by the driver has shown no grant.
        if is_owned(&space) {
            return;
        }
        self.following.spaces.insert(space);
        if matches!(self.phase, Phase::Running { .. }) {
            self.open_space(space);
        }
    }

    /// Reads all that is durable of a document; answers the number that [`Event::Reread`] will repeat, or nothing when the
    /// document is not held in this space. Entries that become durable from now on are told before or after that answer.
    pub fn read_document(&mut self, now: Now, space: SpaceId, document: DocumentId) -> Option<u64> {
        self.now = now;
        self.needs_flush = true;
        self.locations.get(&document).filter(|held| **held == space && !is_owned(&space))?;
        self.following.last_number += 1;
        let number = self.following.last_number;
        self.following.reading.insert(number, Reading { document, snapshot: None });
        // Issued together: a store keeps to the order, so that no snapshot is put between the two.
        self.read_snapshot(Work::RereadSnapshot { number }, document, 0, usize::MAX);
        self.read(Work::RereadEntries { number }, document, VectorClock::new(), 0, usize::MAX);
        Some(number)
    }

    /// Takes in entries of one document that a client of the driver's made, each after all it depends on. `guest` is a number
    /// that no connection has. They are passed on at once; [`Event::Durable`] tells when they are durable. One that does not
    /// fit is passed over, so whoever hands it in asks again when it was not told for long.
    ///
    /// # Errors
    ///
    /// None was taken, see [`OfferError`].
    pub fn offer(
        &mut self,
        now: Now,
        space: SpaceId,
        document: DocumentId,
        entries: Vec<Arc<Entry>>,
        guest: ConnectionId,
    ) -> Result<(), OfferError> {
        self.now = now;
        self.needs_flush = true;
        if is_owned(&space) {
            return Err(OfferError::Owned);
        }
        if self.locations.get(&document).is_some_and(|held| *held != space) {
            return Err(OfferError::WrongSpace);
        }
        let limit = self.config.limits.entry_bytes_max;
        if let Some(bytes) = entries.iter().map(|entry| entry.payload.len()).find(|bytes| *bytes > limit) {
            return Err(OfferError::TooLarge { bytes, limit });
        }
        if self.undurable_bytes() > self.config.limits.undurable_bytes_max || !matches!(self.phase, Phase::Running { .. }) {
            return Err(OfferError::Busy);
        }
        if !self.has_room_for(space, document, guest) {
            return Err(OfferError::Full);
        }
        for entry in entries.into_iter().filter(|entry| entry.document == document) {
            self.receive_entry(space, entry, guest);
        }
        Ok(())
    }

    /// Whether what becomes durable in a space is to be told.
    pub(super) fn is_followed(&self, space: &SpaceId) -> bool {
        self.following.spaces.contains(space)
    }

    /// Tells that a document's log is not what it was and what was added to it.
    pub(super) fn tell_anew(&mut self, space: SpaceId, document: DocumentId) {
        if self.is_followed(&space) {
            self.tell(Event::Anew { space, document });
        }
    }

    pub(super) fn on_snapshot_reread(&mut self, number: u64, part: Option<SnapshotPart>) {
        if let Some(reading) = self.following.reading.get_mut(&number) {
            reading.snapshot = part.map(|part| part.bytes);
        }
    }

    pub(super) fn on_entries_reread(&mut self, number: u64, entries: Vec<(u64, Arc<Entry>)>) {
        if let Some(Reading { document, snapshot }) = self.following.reading.remove(&number) {
            let entries = entries.into_iter().map(|(_, entry)| entry).collect();
            self.tell(Event::Reread { number, document, result: Ok(Reread { snapshot, entries }) });
        }
    }

    /// Answers a reading that failed; which document it was of, when it is the first failure of it.
    pub(super) fn on_reread_failed(&mut self, number: u64, message: &str) -> Option<DocumentId> {
        let document = self.following.reading.remove(&number)?.document;
        self.tell(Event::Reread { number, document, result: Err(message.to_owned()) });
        Some(document)
    }
}
