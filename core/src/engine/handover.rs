//! Snapshots between peers: who lacks much of a document is given its snapshot, in parts, and then what comes after it.

use super::Engine;
use super::logs::Work;
use super::snapshots::Received;
use crate::base::id::{ConnectionId, DocumentId, SpaceId, TaskId};
use crate::base::limits::SNAPSHOT_PART_BYTES;
use crate::log::snapshot::{Snapshot, SnapshotPart};
use crate::sync::hello::Refusal;
use crate::sync::message::{ErrorCode, Message, SNAPSHOT_OVERHEAD_BYTES};
use std::sync::Arc;

/// A snapshot of so many bytes takes a while to be put together: whoever waits is told before that it is here.
const TOLD_BYTES_MIN: usize = 32 * 1024;

impl Engine {
    /// Reads the next part of a document's snapshot for a peer.
    pub(super) fn send_snapshot(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId, offset: u64) {
        let limit = self
            .sessions
            .get(&connection)
            .and_then(|session| session.handshake.theirs())
            .map_or(usize::MAX, |hello| usize::try_from(hello.frame_bytes_max).unwrap_or(usize::MAX));
        let bytes_max = SNAPSHOT_PART_BYTES.min(limit.saturating_sub(SNAPSHOT_OVERHEAD_BYTES)).max(1);
        let task = self.read_snapshot(Work::SendSnapshot { connection, document }, document, offset, bytes_max);
        self.with_delta(connection, space, document, |delta, _| delta.reading = Some(task));
    }

    pub(super) fn on_snapshot_read(
        &mut self,
        task: TaskId,
        connection: ConnectionId,
        document: DocumentId,
        part: Option<SnapshotPart>,
    ) {
        let Some(space) = self.locations.get(&document).copied() else { return };
        if !self.is_subscribed(connection, &space) {
            return;
        }
        let mut sends = false;
        self.with_delta(connection, space, document, |delta, log| sends = delta.on_snapshot_read(log, task, part.as_ref()));
        if let Some(part) = part.filter(|_| sends) {
            let SnapshotPart { size, offset, bytes, .. } = part;
            self.send_attestations_of(connection, space, document);
            self.send(connection, &Message::Snapshot { space, document, size, offset, bytes });
            if !self.is_relay() {
                self.expect_ack(connection);
            }
        }
        self.push_soon(connection, space, document);
        self.touch_progress(space);
    }

    /// Takes in a part of a peer's snapshot.
    pub(super) fn on_snapshot_part(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: DocumentId,
        (size, offset): (u64, u64),
        bytes: &[u8],
    ) {
        if self.is_elsewhere(connection, space, document)
            || !self.may_send(connection, space, document)
            || !self.has_room_for(space, document, connection)
            || !self.has_quota_for(space, document, if offset == 0 { size } else { 0 }, connection)
        {
            return;
        }
        let limit = self.config.limits.snapshot_bytes_max as u64;
        if size > limit {
            let text = format!("a snapshot of {size} bytes of document {document} is over the limit of {limit}");
            return self.refuse(connection, Refusal { code: ErrorCode::TooLarge, text });
        }
        let Some(subscription) = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space))
        else {
            return;
        };
        if offset == 0 {
            subscription.arriving.insert(document, Vec::new());
        }
        let own = subscription.arriving.get(&document).map_or(0, Vec::len);
        if self.arriving_bytes() - own + self.bytes_under_way() > self.config.limits.undurable_bytes_max {
            // Of several that arrive at once some have to wait.
            return self.put_off_snapshot(connection, space, document);
        }
        let Some(subscription) = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space))
        else {
            return;
        };
        if !subscription.arriving.contains_key(&document) {
            // The rest of one that was not taken.
            return;
        }
        let others = subscription.arriving.values().map(Vec::len).sum::<usize>() - own;
        if others > 0 && others + own + bytes.len() > self.config.limits.snapshot_bytes_max {
            // A peer that has several sends them side by side.
            return self.put_off_snapshot(connection, space, document);
        }
        let arriving = subscription.arriving.entry(document).or_default();
        let fits = arriving.len() as u64 == offset && offset + bytes.len() as u64 <= size && !bytes.is_empty();
        if !fits {
            let text = format!("a part of a snapshot of document {document} does not follow the part before it");
            return self.refuse(connection, Refusal { code: ErrorCode::Malformed, text });
        }
        arriving.extend_from_slice(bytes);
        let arrived = arriving.len() as u64;
        self.count_arrival(connection, space, document, bytes.len());
        self.expect_bytes(space, document, size - arrived);
        if arrived < size {
            return self.touch_progress(space);
        }
        let session = self.sessions.get_mut(&connection);
        let subscription = session.and_then(|session| session.subscriptions.get_mut(&space));
        let Some(whole) = subscription.and_then(|subscription| subscription.arriving.remove(&document)) else { return };
        self.touch_progress(space);
        if whole.len() >= TOLD_BYTES_MIN {
            self.tell_progress();
        }
        let bytes: Arc<[u8]> = whole.into();
        self.on_snapshot_whole(connection, space, document, bytes);
    }

    /// Bytes of snapshots of which parts have arrived, on all connections. Looks at each subscription once, for every part.
    pub(super) fn arriving_bytes(&self) -> usize {
        let subscriptions = self.sessions.values().flat_map(|session| session.subscriptions.values());
        subscriptions.flat_map(|subscription| subscription.arriving.values()).map(Vec::len).sum()
    }

    /// Lets go of what has arrived of a snapshot for which there is no room now, and asks for it again when there is.
    fn put_off_snapshot(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) {
        let subscription = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space));
        if subscription.is_some_and(|subscription| subscription.arriving.remove(&document).is_some()) {
            self.logs.refuse(document, space);
            let text = "the store cannot keep up: what was sent is not saved here, and will be asked for again".to_owned();
            self.send(connection, &Message::Error { code: ErrorCode::StoreUnavailable, document: Some(document), text });
        }
    }

    fn on_snapshot_whole(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId, bytes: Arc<[u8]>) {
        let Some(version) = self.version_claimed(connection, space, document, &bytes) else { return };
        if !version.clock.iter().all(|(actor, seq)| self.is_accepted(connection, space, document, *actor, seq)) {
            return;
        }
        let is_held = self.log(&document).is_some_and(|log| version.clock.is_within(&log.version().clock));
        if !is_held {
            return self.adopt_snapshot(document, Received { space, bytes, version, source: connection });
        }
        if self.is_wanted(&document) && !self.can_open(&space, &bytes) {
            self.take_for_own(document, space, Snapshot { version: version.clone(), bytes });
        }
        // Another peer was faster. What the sender says it holds of what is held here, it is not sent.
        let durable = self.log(&document).map(|log| log.durable().clock.clone()).unwrap_or_default();
        self.with_delta(connection, space, document, |delta, log| {
            let mut held = delta.peer_holds().clone();
            held.merge(&version.clock);
            delta.on_moved(log, held);
        });
        for (actor, seq) in version.clock.iter().filter(|(actor, seq)| durable.covers(actor, *seq)) {
            self.owe_ack(connection, document, *actor, seq);
        }
        self.push_soon(connection, space, document);
    }
}
