//! What one peer still lacks of one document, and how it gets there.
//!
//! A peer's clock, told once, and a position in our own log are all there is to remember: everything at or before the
//! position was sent to the peer or is known to be held by it; of what comes after, it lacks what its clock does not cover.
//! The newest entries are in memory; a peer that has been away for longer is served from the store, piece by piece.

use crate::base::id::{ActorId, TaskId};
use crate::base::limits::CATCH_UP_FRAME_BYTES;
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::log::Log;
use crate::log::snapshot::SnapshotPart;
use crate::log::version::Version;
use std::sync::Arc;

/// Bytes of a keystroke's entry, about.
const ENTRY_BYTES: u64 = 100;

/// Times a peer may send what does not fit, without anything that fits between, before the document is given up on it.
pub const STRIKES_MAX: u8 = 8;

/// The exchange of one document with one peer.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    cursor: u64,
    peer_holds: VectorClock,
    /// Whether it is given the snapshot first, and how much of which it was sent.
    by_snapshot: bool,
    /// Whether it asked for the snapshot, though it lacks nothing.
    offers: bool,
    sent: Option<Sent>,
    /// The read of the store for this peer that is under way.
    pub reading: Option<TaskId>,
    /// What we said we hold in a `Have` that awaits its answer.
    pub asked: Option<Version>,
    /// What the peer says it durably holds: until we hold it too, it has something to send.
    pub target: VectorClock,
    /// How often in a row the peer sent what does not fit.
    pub strikes: u8,
}

/// How far a peer has been sent a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    clock: VectorClock,
    bytes: u64,
}

/// The next step towards a peer that holds everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It holds everything, or a read is under way.
    Nothing,
    /// Send these.
    Send(Push),
    /// Read the log's snapshot from this byte on, noting the task in [`Delta::reading`]; the answer goes to
    /// [`Delta::on_snapshot_read`].
    Snapshot {
        /// The first byte that the peer was not sent.
        offset: u64,
    },
    /// Read the store above this clock and after this position, noting the task in [`Delta::reading`]; the answer goes to
    /// [`Delta::on_read`].
    Read {
        /// What the peer holds.
        above: VectorClock,
        /// What it was sent.
        after: u64,
    },
}

/// Entries to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The position after which they come.
    pub after: u64,
    /// The position up to which they go.
    pub through: u64,
    /// Whether they are all the entries between: then the frame can be shared with other peers.
    pub whole: bool,
    /// The entries, in the order of the log.
    pub entries: Vec<Arc<Entry>>,
}

impl Delta {
    /// The exchange with a peer that holds everything up to `position` of our log.
    pub fn live(position: u64) -> Self {
        Self { cursor: position, ..Self::default() }
    }

    /// Where it stands in our log.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Learns the peer's clock, and starts from there.
    pub fn on_have(&mut self, log: &Log, clock: VectorClock) {
        // It may be less than before, where the peer has lost something or lets go of what is not accepted any more: no more will come.
        self.target = clock.clone();
        self.on_moved(log, clock);
    }

    /// Starts again in a log whose positions have changed, for a peer that holds at least what `clock` says.
    pub fn on_moved(&mut self, log: &Log, clock: VectorClock) {
        self.cursor = log.position_above(&clock);
        self.by_snapshot = self.cursor < log.base() || (self.cursor < log.tail_start() - 1 && is_snapshot_smaller(log, &clock));
        (self.sent, self.offers) = (None, false);
        self.peer_holds = clock;
        // A read that is under way began from what the peer held before.
        self.reading = None;
    }

    /// Gives the peer the log's snapshot, whatever it holds: it asked for it.
    pub fn offer(&mut self) {
        (self.by_snapshot, self.offers) = (true, true);
        (self.sent, self.reading) = (None, None);
    }

    /// Learns that the log holds less as entries than before: a read of what it has let go of would find nothing, and what is found
    /// nothing of would count as sent.
    pub fn on_let_go(&mut self, log: &Log) {
        if self.cursor < log.base() {
            self.reading = None;
        }
    }

    /// What it surely holds.
    pub fn peer_holds(&self) -> &VectorClock {
        &self.peer_holds
    }

    /// Learns that the peer holds an entry, since it sent it; logs have no gaps, so it holds the actor's earlier ones too.
    pub fn on_received(&mut self, actor: ActorId, seq: u64) {
        self.peer_holds.raise(actor, seq);
    }

    /// Learns that the peer durably holds these, whoever sent them to it; of what the log does not hold that says nothing here.
    pub fn on_acknowledged(&mut self, log: &Log, clock: &VectorClock) {
        let own = &log.version().clock;
        for (actor, seq) in clock.iter() {
            let seq = seq.min(own.get(actor));
            if seq > 0 {
                self.peer_holds.raise(*actor, seq);
            }
        }
    }

    /// Whether the peer, as far as is known, lacks something that it was not sent.
    pub fn lacks(&self, log: &Log) -> bool {
        match log.tail_after(self.cursor) {
            Some(mut tail) => tail.any(|(_, entry)| !self.peer_holds.covers(&entry.actor, entry.seq)),
            None => self.cursor < log.end(),
        }
    }

    /// Whether the peer surely holds the log's newest entry: a hint that it needs nothing.
    pub fn holds(&self, log: &Log) -> bool {
        log.tail_until(log.end()).next().is_some_and(|newest| self.peer_holds.covers(&newest.actor, newest.seq))
    }

    /// Whether everything in the log was sent or is held by the peer, and nothing is being waited for.
    pub fn is_settled(&self, log: &Log) -> bool {
        self.reading.is_none() && self.asked.is_none() && self.cursor == log.end() && self.target.is_within(&log.version().clock)
    }

    /// What to do next, with what the log holds up to `end`.
    pub fn next(&mut self, log: &Log, end: u64) -> Next {
        if self.reading.is_some() || (self.cursor >= end && !self.offers) {
            return Next::Nothing;
        }
        if self.by_snapshot || self.cursor < log.base() {
            return Next::Snapshot { offset: self.sent.as_ref().map_or(0, |sent| sent.bytes) };
        }
        let after = self.cursor;
        let Some(tail) = log.tail_after(after) else {
            return Next::Read { above: self.peer_holds.clone(), after };
        };
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut through = after;
        let mut whole = true;
        for (position, entry) in tail.take_while(|(position, _)| *position <= end) {
            if self.peer_holds.covers(&entry.actor, entry.seq) {
                whole = false;
            } else {
                bytes += entry.payload.len();
                if bytes > CATCH_UP_FRAME_BYTES && !entries.is_empty() {
                    break;
                }
                entries.push(entry.clone());
            }
            through = position;
        }
        self.cursor = through;
        if entries.is_empty() { Next::Nothing } else { Next::Send(Push { after, through, whole, entries }) }
    }

    /// Takes a part of the snapshot that was read for `task`; answers whether it is to be sent.
    pub fn on_snapshot_read(&mut self, log: &Log, task: TaskId, part: Option<&SnapshotPart>) -> bool {
        if self.reading != Some(task) {
            return false;
        }
        self.reading = None;
        let Some(part) = part else {
            // Set aside meanwhile: the exchange begins anew.
            (self.by_snapshot, self.offers) = (false, false);
            self.cursor = self.cursor.max(log.base());
            return false;
        };
        let sent = self.sent.take().filter(|sent| sent.clock == part.version.clock);
        if part.offset != sent.map_or(0, |sent| sent.bytes) {
            // Another snapshot has taken its place: from its first byte on.
            return false;
        }
        let bytes = part.offset + part.bytes.len() as u64;
        if bytes < part.size {
            self.sent = Some(Sent { clock: part.version.clock.clone(), bytes });
        } else {
            let mut held = std::mem::take(&mut self.peer_holds);
            held.merge(&part.version.clock);
            self.cursor = log.position_above(&held);
            (self.by_snapshot, self.offers) = (false, false);
            self.peer_holds = held;
        }
        true
    }

    /// Takes what the store answered to `task`; `durable_end` is where the log's durable part ended when it was asked.
    pub fn on_read(&mut self, task: TaskId, entries: Vec<(u64, Arc<Entry>)>, complete: bool, durable_end: u64) -> Option<Push> {
        if self.reading != Some(task) {
            return None;
        }
        self.reading = None;
        let after = self.cursor;
        let last = entries.last().map_or(after, |(position, _)| *position);
        self.cursor = if complete { durable_end.max(last).max(after) } else { last.max(after) };
        if entries.is_empty() {
            return None;
        }
        let entries = entries.into_iter().map(|(_, entry)| entry).collect();
        Some(Push { after, through: self.cursor, whole: false, entries })
    }
}

/// Whether the log's snapshot is smaller than the entries of it that who holds `clock` lacks.
fn is_snapshot_smaller(log: &Log, clock: &VectorClock) -> bool {
    log.snapshot().is_some_and(|snapshot| {
        let lacked: u64 = snapshot.version.clock.iter().map(|(actor, seq)| seq.saturating_sub(clock.get(actor))).sum();
        lacked.saturating_mul(ENTRY_BYTES) > snapshot.bytes
    })
}
