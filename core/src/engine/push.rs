//! What leaves for peers: entries they lack, and acknowledgements of theirs.
//!
//! Nothing is pushed while inputs are taken in: it is noted, and pushed in the drain, after the mirrors have been answered. What
//! mirrors wrote that may outlive the engine waits until it is durable: see [`super::mirrors`].

use super::Engine;
use super::effect::TroubleKind;
use super::logs::Work;
use super::strands::Made;
use crate::base::id::{ActorId, ConnectionId, DocumentId, SpaceId, TaskId};
use crate::base::limits::CATCH_UP_FRAME_BYTES;
use crate::log::entry::Entry;
use crate::log::log::Log;
use crate::sync::delta::{Delta, Next, Push};
use crate::sync::message::{ENTRIES_OVERHEAD_BYTES, Message, encode_entries};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes that say how long a payload is, at most.
const LENGTH_BYTES_MAX: usize = 5;

/// Frames of one document made for one peer that others get too: by the position after which they begin and the one they end with.
#[derive(Default)]
pub(super) struct SharedFrames {
    /// Whole entries.
    whole: BTreeMap<(u64, u64), Arc<[u8]>>,
    /// Entries by strands, for peers that stand differently in them.
    pub(super) strands: BTreeMap<(u64, u64), Vec<Made>>,
}

/// What is to leave at the next drain.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    /// First new position of each document that moved on since the last drain: everyone may lack what comes from there.
    pub(super) moved: BTreeMap<DocumentId, u64>,
    /// Who else may lack something.
    due: BTreeMap<(SpaceId, DocumentId), BTreeSet<ConnectionId>>,
    /// Who is being sent what it lacks, and is told when that was all.
    pub(super) lacking: BTreeSet<(ConnectionId, SpaceId)>,
    /// Bytes handed to all connections and not yet written.
    pub(super) outbound_bytes: usize,
    /// Whether someone waits for other connections' bytes to be written.
    are_all_held_up: bool,
    /// Connections that are owed acknowledgements.
    owing: BTreeSet<ConnectionId>,
}

impl Pushes {
    /// Notes that these may lack something of a document.
    pub(super) fn note(&mut self, space: SpaceId, document: DocumentId, connections: impl Iterator<Item = ConnectionId>) {
        self.due.entry((space, document)).or_default().extend(connections);
    }
}

impl Engine {
    /// Sends a peer that has just subscribed what is on its way to the disk: it was pushed before the peer was there, and
    /// the comparison of spaces counts only what is durable.
    pub(super) fn push_undurable(&mut self, connection: ConnectionId, space: SpaceId) {
        for document in self.logs.undurable_documents() {
            let Some(log) = self.spaces.get(&space).and_then(|held| held.space.log(&document)) else { continue };
            let durable_end = log.durable_end();
            let subscription = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space));
            let Some(subscription) = subscription else { return };
            subscription.deltas.entry(document).or_insert_with(|| Delta::live(durable_end));
            self.push_soon(connection, space, document);
        }
    }

    /// Notes that a peer may lack something of a document, to be pushed when the mirrors have been answered.
    pub(super) fn push_soon(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) {
        self.pushes.due.entry((space, document)).or_default().insert(connection);
    }

    /// Pushes to everyone who lacks it what is new since the last drain, and to those who asked what they lack: documents that
    /// are open first, then those that changed last.
    pub(super) fn push_entries(&mut self) {
        for document in self.tempo.begin_drain() {
            self.pushes.moved.entry(document).or_insert(u64::MAX);
        }
        for (document, first) in std::mem::take(&mut self.pushes.moved) {
            let Some(space) = self.locations.get(&document).copied() else { continue };
            let Some(held) = self.spaces.get(&space) else { continue };
            let start = (first - 1).min(held.space.log(&document).map_or(0, Log::end));
            for connection in &held.sessions {
                if let Some(subscription) = self.sessions.get_mut(connection).and_then(|s| s.subscriptions.get_mut(&space)) {
                    subscription.deltas.entry(document).or_insert_with(|| Delta::live(start));
                }
            }
            if !self.waits_for_turn(space, document) {
                self.spread(space, document);
            }
            self.touch_progress(space);
        }
        self.go_on_spreading();
        let mut due: Vec<_> = std::mem::take(&mut self.pushes.due).into_iter().collect();
        self.warm(due.iter().map(|((_, document), _)| document));
        due.sort_by_cached_key(|((space, document), connections)| {
            let changed = self.spaces.get(space).map_or(0, |held| held.space.changed(document));
            (!self.is_looked_at(space, document, connections), std::cmp::Reverse(changed))
        });
        for ((space, document), connections) in due {
            let mut shared = SharedFrames::default();
            for connection in connections {
                self.pump(connection, space, document, &mut shared);
            }
        }
    }

    /// Whether people look at a document, here or at one of these peers: it goes before all others.
    fn is_looked_at(&self, space: &SpaceId, document: &DocumentId, connections: &BTreeSet<ConnectionId>) -> bool {
        let named = |connection: &ConnectionId| {
            let subscription = self.sessions.get(connection).and_then(|session| session.subscriptions.get(space));
            subscription.is_some_and(|subscription| subscription.eager.contains(document))
        };
        self.documents.is_open(document) || connections.iter().any(named)
    }

    /// Sends a peer what it lacks of a document, as far as it can take it now.
    fn pump(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId, shared: &mut SharedFrames) {
        loop {
            let Some(log) = self.spaces.get(&space).and_then(|held| held.space.log(&document)) else { return };
            let end = if self.mirrors.is_held(&document) { log.durable_end() } else { log.end() };
            let end = self.vouched_end(connection, log, end);
            let Some(session) = self.sessions.get_mut(&connection).filter(|session| !session.closing) else { return };
            if !session.syncing.is_empty() {
                self.syncs_moved.insert(connection);
            }
            let Some(subscription) = session.subscriptions.get_mut(&space) else { return };
            let Some(delta) = subscription.deltas.get_mut(&document) else { return };
            let limits = &self.config.limits;
            if session.outbound_bytes > limits.outbound_bytes_max || self.pushes.outbound_bytes > limits.outbound_all_bytes_max {
                subscription.waiting.insert(document);
                self.pushes.are_all_held_up |= session.outbound_bytes <= limits.outbound_bytes_max;
                return;
            }
            match delta.next(log, end) {
                Next::Nothing => return,
                Next::Send(push) => self.send_push(connection, space, document, push, shared),
                Next::Snapshot { offset } => return self.send_snapshot(connection, space, document, offset),
                Next::Read { above, after } => {
                    let durable_end = log.durable_end();
                    let task = self.read(
                        Work::CatchUp { connection, document, durable_end },
                        document,
                        above,
                        after,
                        CATCH_UP_FRAME_BYTES,
                    );
                    self.with_delta(connection, space, document, |delta, _| delta.reading = Some(task));
                    return;
                }
            }
        }
    }

    fn send_push(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: DocumentId,
        push: Push,
        shared: &mut SharedFrames,
    ) {
        let make = |entries: &[Arc<Entry>]| -> Arc<[u8]> {
            Arc::from(encode_entries(&space, &document, entries.iter().map(|entry| &entry.payload)))
        };
        self.send_attestations_of(connection, space, document);
        let limit = self.frame_bytes_max(connection);
        if let Some(frame) = self.strands_frame(connection, &space, &document, &push, limit, shared) {
            self.send_frame(connection, frame);
            return self.expect_ack_of_push(connection);
        }
        let frame = if push.whole {
            shared.whole.entry((push.after, push.through)).or_insert_with(|| make(&push.entries)).clone()
        } else {
            make(&push.entries)
        };
        if frame.len() <= limit {
            self.send_frame(connection, frame);
        } else {
            // The peer takes smaller frames than most.
            for entries in portions(&push.entries, limit) {
                let frame = make(entries);
                if frame.len() > limit {
                    let message = format!(
                        "a change of {} bytes in document {document} is larger than the peer takes ({limit} with {ENTRIES_OVERHEAD_BYTES} of framing)",
                        entries[0].payload.len()
                    );
                    return self.trouble(TroubleKind::Refused, Some(document), Some(connection), message);
                }
                self.send_frame(connection, frame);
            }
        }
        self.expect_ack_of_push(connection);
    }

    /// A relay waits for no acknowledgements.
    fn expect_ack_of_push(&mut self, connection: ConnectionId) {
        if !self.is_relay() {
            self.expect_ack(connection);
        }
    }

    pub(super) fn on_catch_up(
        &mut self,
        task: TaskId,
        connection: ConnectionId,
        document: DocumentId,
        entries: Vec<(u64, Arc<Entry>)>,
        complete: bool,
        durable_end: u64,
    ) {
        let Some(space) = self.locations.get(&document).copied() else { return };
        let Some(subscription) = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space))
        else {
            return;
        };
        let Some(delta) = subscription.deltas.get_mut(&document) else { return };
        if let Some(push) = delta.on_read(task, entries, complete, durable_end) {
            self.send_push(connection, space, document, push, &mut SharedFrames::default());
        }
        self.push_soon(connection, space, document);
        self.touch_progress(space);
    }

    /// Learns that bytes have left, or were lost with their connection.
    pub(super) fn on_left(&mut self, bytes: usize) {
        self.pushes.outbound_bytes = self.pushes.outbound_bytes.saturating_sub(bytes);
        if self.pushes.are_all_held_up && self.pushes.outbound_bytes <= self.config.limits.outbound_all_bytes_max / 2 {
            self.pushes.are_all_held_up = false;
            let connections: Vec<ConnectionId> = self.sessions.keys().copied().collect();
            connections.into_iter().for_each(|connection| self.resume_waiting(connection));
        }
    }

    /// Goes on with documents that a slow peer had to wait for.
    pub(super) fn resume_waiting(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        let waiting: Vec<(SpaceId, BTreeSet<DocumentId>)> = session
            .subscriptions
            .iter_mut()
            .filter(|(_, subscription)| !subscription.waiting.is_empty())
            .map(|(space, subscription)| (*space, std::mem::take(&mut subscription.waiting)))
            .collect();
        for (space, documents) in waiting {
            for document in documents {
                self.push_soon(connection, space, document);
            }
        }
    }

    /// Notes that a peer is owed an acknowledgement of an entry that is durable here.
    pub(super) fn owe_ack(&mut self, connection: ConnectionId, document: DocumentId, actor: ActorId, seq: u64) {
        // A relay passes on what it is sent, and counts nobody's copies but its own.
        if let Some(session) = self.sessions.get_mut(&connection)
            && session.peer.as_ref().is_some_and(|peer| !peer.relay)
        {
            session.owe_ack(document, actor, seq);
            self.pushes.owing.insert(connection);
        }
    }

    /// Acknowledges what has become durable, one frame a document.
    pub(super) fn send_acks(&mut self) {
        for connection in std::mem::take(&mut self.pushes.owing) {
            let Some(session) = self.sessions.get_mut(&connection) else { continue };
            for (document, held) in std::mem::take(&mut session.acks) {
                self.send(connection, &Message::Ack { document, held: held.into_iter().collect() });
            }
        }
    }
}

/// Entries in portions of which each makes a frame within `limit`, if it is more than one entry.
fn portions(entries: &[Arc<Entry>], limit: usize) -> impl Iterator<Item = &[Arc<Entry>]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut bytes = ENTRIES_OVERHEAD_BYTES;
        let fits = rest.iter().take_while(|entry| {
            bytes += entry.payload.len() + LENGTH_BYTES_MAX;
            bytes <= limit
        });
        let (portion, left) = rest.split_at(fits.count().clamp(1.min(rest.len()), rest.len()));
        rest = left;
        (!portion.is_empty()).then_some(portion)
    })
}
