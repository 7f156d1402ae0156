//! The tail of a log: its newest entries, kept in memory to serve peers without reading the store.

use super::entry::Entry;
use crate::base::id::ChangeHash;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// What an entry takes in a tail beside itself: its place, and its hash once more.
const PLACE_BYTES: usize = 64;

/// The newest entries of a log, without a gap.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    hashes: BTreeSet<ChangeHash>,
}

impl Tail {
    /// Adds the newest.
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        self.bytes += entry.weight() + PLACE_BYTES;
        self.hashes.insert(entry.hash);
        self.entries.push_back(entry);
    }

    /// Lets go of the oldest.
    pub(super) fn forget_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.weight() + PLACE_BYTES;
            self.hashes.remove(&entry.hash);
        }
    }

    /// The entries, the oldest first.
    pub(super) fn entries(&self) -> &VecDeque<Arc<Entry>> {
        &self.entries
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether an entry of this hash is among them.
    pub(super) fn holds(&self, hash: &ChangeHash) -> bool {
        self.hashes.contains(hash)
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
