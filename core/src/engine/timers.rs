//! What the engine wants to be woken for.

use crate::base::id::{ConnectionId, DocumentId, SpaceId};
use std::collections::{BTreeMap, BTreeSet};

/// A reason to wake up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A hello must be finished.
    Hello(ConnectionId),
    /// A connection may have fallen silent.
    Silence(ConnectionId),
    /// An endpoint may be dialled again.
    Dial(String),
    /// The store may take what it refused.
    StoreRetry,
    /// Entries that were held back are appended.
    Append,
    /// What this replica wrote has its turn to leave.
    Push,
    /// More peers are sent what is new.
    Spread,
    /// A document whose store could not be read may be read again.
    ReadRetry(DocumentId),
    /// Peers are asked again for a document of which what they sent did not fit.
    Struck(DocumentId),
    /// Entries of a large document have waited long enough to be applied.
    Apply(DocumentId),
    /// Our presence must be repeated.
    PresenceRefresh,
    /// A presence that changed too fast may be sent.
    PresenceSend,
    /// A presence may have expired.
    PresenceExpiry,
    /// Receipts that changed are written.
    Receipts,
    /// How far spaces have come is told.
    SpaceSync,
    /// Logs of documents that have fallen quiet may be compacted.
    Compaction,
    /// What documents say that have fallen quiet may be stored, to be shown before they are loaded.
    Previews,
    /// Peers are asked for their word on open documents again.
    Confirm,
    /// What someone was granted in an owned space ends.
    GrantEnd,
    /// This replica's newest changes in owned spaces are vouched for.
    Attest,
    /// What is vouched for in an owned space is compared with what has come.
    HeldBack(SpaceId),
    /// A letter ends, or one that was refused is sent again.
    Letters,
    /// There may be room for what was refused.
    House,
    /// A stamp is sought on.
    Stamp,
}

/// At most one deadline for each reason.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(u64, Timer)>,
    by_timer: BTreeMap<Timer, u64>,
}

impl Timers {
    /// Wakes for `timer` at `at_ms`, and not when it was to be before.
    pub(super) fn set(&mut self, timer: Timer, at_ms: u64) {
        self.cancel(&timer);
        self.by_time.insert((at_ms, timer.clone()));
        self.by_timer.insert(timer, at_ms);
    }

    /// Wakes for `timer` at `at_ms` at the latest.
    pub(super) fn set_no_later(&mut self, timer: Timer, at_ms: u64) {
        if self.by_timer.get(&timer).is_none_or(|set| *set > at_ms) {
            self.set(timer, at_ms);
        }
    }

    /// Does not wake for `timer`.
    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some(at) = self.by_timer.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    /// Whether `timer` is set.
    pub(super) fn is_set(&self, timer: &Timer) -> bool {
        self.by_timer.contains_key(timer)
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<u64> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// A reason whose time has come, each once.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        if self.next()? > now_ms {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_timer.remove(&timer);
        Some(timer)
    }
}
