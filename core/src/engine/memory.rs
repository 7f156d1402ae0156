//! What documents take in memory, and letting go of what is quiet when that is more than it may be.
//!
//! Counted as it changes, and never by a walk over documents: each space knows what its logs weigh, and exchanges with peers are
//! counted by the spaces they are of. Above the bound the documents go that were quiet longest: the newest entries of their logs,
//! and their exchanges with peers that have all of them. Both are read or begun again when they are wanted: a log that was let go
//! of is as it is after a start, and a peer without an exchange holds all there is. What is left of a document is what spaces are
//! compared by. When that alone is above the bound, nothing more is taken that would add to it.

use super::Engine;
use crate::base::id::{DocumentId, SpaceId};
use crate::base::limits::{EXCHANGE_BYTES, LOOKS_PER_DRAIN_MAX};
use crate::log::log::Weight;
use crate::log::space::Space;
use crate::sync::delta::STRIKES_MAX;
use std::collections::{BTreeMap, VecDeque};

/// How long a count of exchanges is believed, in milliseconds.
const COUNTED_MS: u64 = 1_000;
/// What is let go of below the bound, as a part of it: so that not every change lets go of something.
const SLACK_DIVISOR: usize = 16;
/// What a document takes that may be let go of, to be known as one.
const WARM_BYTES: usize = 96;

/// What documents take.
#[derive(Debug, Default)]
pub(super) struct Memory {
    logs: Weight,
    exchanges: usize,
    counted_ms: u64,
    /// Documents that there may be something to let go of, those first that were looked at longest ago.
    warm: VecDeque<DocumentId>,
    /// Of these, whether one was in use since it was last looked at.
    heat: BTreeMap<DocumentId, bool>,
    /// Documents that were let go of since the start.
    pub(super) let_go: u64,
}

impl Memory {
    /// What may be let go of, but for what is not durable yet.
    fn recent(&self, undurable: usize) -> usize {
        self.logs.loose.saturating_sub(undurable) + self.exchanges * EXCHANGE_BYTES + self.warm.len() * WARM_BYTES
    }

    /// Notes that a document is in use.
    fn warm(&mut self, document: DocumentId) {
        if self.heat.insert(document, true).is_none() {
            self.warm.push_back(document);
        }
    }
}

impl Engine {
    /// About how many bytes documents take in memory, but for what is not durable yet.
    pub fn documents_bytes(&self) -> usize {
        self.memory.logs.fixed + self.memory.recent(self.logs.undurable_bytes())
    }

    /// Changes a space, which is made where there is none, and what documents take.
    pub(super) fn change_space<R>(&mut self, space: SpaceId, change: impl FnOnce(&mut Space) -> R) -> R {
        let held = &mut self.open_space(space).space;
        let before = held.weight();
        let answer = change(held);
        let after = held.weight();
        self.memory.logs = self.memory.logs.minus(before).plus(after);
        answer
    }

    /// Notes that documents are in use, so that others are let go of first.
    pub(super) fn warm<'a>(&mut self, documents: impl Iterator<Item = &'a DocumentId>) {
        documents.for_each(|document| self.memory.warm(*document));
    }

    /// Whether documents take as much as they may with everything let go of that is not needed.
    pub(super) fn is_full(&self) -> bool {
        self.memory.logs.fixed > self.config.limits.documents_bytes_max
    }

    /// Lets go of what was quiet longest, while documents take more than they may.
    pub(super) fn let_go_of_quiet(&mut self) {
        self.count_exchanges();
        let limits = &self.config.limits;
        let bytes_max = limits.recent_bytes_max.min(limits.documents_bytes_max.saturating_sub(self.memory.logs.fixed));
        if self.memory.recent(self.logs.undurable_bytes()) <= bytes_max {
            return;
        }
        let aim = bytes_max - bytes_max / SLACK_DIVISOR;
        // Each at most twice: once to see that it was in use, and once more.
        for _ in 0..(2 * self.memory.warm.len()).min(LOOKS_PER_DRAIN_MAX) {
            if self.memory.recent(self.logs.undurable_bytes()) <= aim {
                return;
            }
            let Some(document) = self.memory.warm.pop_front() else { return };
            let was_used = self.memory.heat.get_mut(&document).is_some_and(std::mem::take);
            if was_used || !self.cool(document) {
                self.memory.warm.push_back(document);
            } else {
                self.memory.heat.remove(&document);
                self.memory.let_go += 1;
            }
        }
    }

    /// Lets go of what a document takes that is not needed; answers whether nothing is left that may be let go of later.
    fn cool(&mut self, document: DocumentId) -> bool {
        let Some(space) = self.locations.get(&document).copied() else { return true };
        // What is made of the newest entries needs them until it is stored; what waits in line is about to come to them.
        if self.snapshots.is_at_work(&document) || self.logs.is_in_line(&document) {
            return false;
        }
        let is_let_go = self.change_space(space, |held| held.let_go(&document));
        is_let_go && self.end_exchanges(space, document)
    }

    /// Ends a document's exchanges with peers that have all there is of it; answers whether none is left. Of peers of a replica that
    /// tells what is saved where none is ended, because it tells by them.
    fn end_exchanges(&mut self, space: SpaceId, document: DocumentId) -> bool {
        let Some(held) = self.spaces.get(&space) else { return true };
        let Some(log) = held.space.log(&document).filter(|_| self.is_relay()) else { return true };
        let mut left = 0;
        for connection in &held.sessions {
            let session = self.sessions.get_mut(connection);
            let Some(subscription) = session.and_then(|session| session.subscriptions.get_mut(&space)) else { continue };
            let Some(delta) = subscription.deltas.get(&document) else { continue };
            // One that was given up on stays so.
            if delta.is_settled(log) && delta.strikes < STRIKES_MAX {
                subscription.deltas.remove(&document);
                self.memory.exchanges = self.memory.exchanges.saturating_sub(1);
            } else {
                left += 1;
            }
        }
        left == 0
    }

    /// Counts the exchanges with all peers, not more than once a second: it looks at each subscription once.
    fn count_exchanges(&mut self) {
        let now_ms = self.now.monotonic_ms;
        if now_ms < self.memory.counted_ms + COUNTED_MS {
            return;
        }
        self.memory.counted_ms = now_ms;
        let subscriptions = self.sessions.values().flat_map(|session| session.subscriptions.values());
        self.memory.exchanges = subscriptions.map(|subscription| subscription.deltas.len()).sum();
    }
}
