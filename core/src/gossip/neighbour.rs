//! One neighbour: a connection, and whether anyone is still at its other end.

use super::book::Teller;
use crate::base::id::PeerId;

/// Heartbeats in a row that may go unanswered.
pub(super) const MISSES_MAX: u8 = 3;

/// A connection to a peer that has proved who it is.
#[derive(Clone, Debug)]
pub(super) struct Neighbour {
    pub(super) peer: PeerId,
    /// Whether this side dialled.
    pub(super) dialled: bool,
    /// Whether it is one that this peer chose: dialled, or known to it by itself.
    pub(super) chosen: bool,
    /// Who told of it, where nothing else was known of it.
    pub(super) account: Option<Teller>,
    /// When it was connected.
    pub(super) since_ms: u64,
    /// When something last came from it.
    pub(super) heard_ms: u64,
    /// Whether something was sent since, so that something should come.
    pub(super) expecting: bool,
    /// Heartbeats since then.
    pub(super) misses: u8,
    /// When to look again.
    pub(super) due_ms: u64,
    /// Whether it has greeted, or told that it is full.
    pub(super) greeted: bool,
    /// Whether it was asked whom it knows, and has not answered.
    pub(super) asked: bool,
    /// When it last asked.
    pub(super) asked_us_ms: Option<u64>,
}

/// What the silence of a neighbour asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing yet.
    Nothing,
    /// A heartbeat.
    Ask,
    /// To take it for gone.
    Gone,
}

impl Neighbour {
    /// Learns that something came from it.
    pub(super) fn on_heard(&mut self, now_ms: u64, idle_ms: u64) {
        self.heard_ms = now_ms;
        self.expecting = false;
        self.misses = 0;
        self.due_ms = now_ms + idle_ms;
    }

    /// Learns that something was sent to it.
    pub(super) fn on_sent(&mut self, now_ms: u64, busy_ms: u64) {
        if !self.expecting {
            self.expecting = true;
            self.due_ms = self.due_ms.min(now_ms + busy_ms);
        }
    }

    /// What to do now.
    pub(super) fn on_time(&mut self, now_ms: u64, idle_ms: u64, busy_ms: u64) -> Silence {
        if now_ms < self.due_ms {
            return Silence::Nothing;
        }
        if self.misses >= MISSES_MAX {
            return Silence::Gone;
        }
        self.misses += 1;
        self.due_ms = now_ms + if self.expecting { busy_ms } else { idle_ms };
        Silence::Ask
    }
}
