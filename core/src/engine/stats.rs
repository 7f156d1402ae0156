//! What an engine counts: plain numbers, kept where things happen, read when someone asks.
//!
//! A space is *in sync* with a peer once it has been compared, and every document that was found to differ has been sent,
//! and received, as far as each side said it holds it. How long that took, from the subscription on, and the bytes
//! that went to and fro meanwhile, are what anti-entropy costs.

use super::Engine;
use crate::base::id::{ConnectionId, DocumentId, SpaceId};
use crate::sync::message::ErrorCode;
use crate::sync::session::Syncing;
use std::collections::{BTreeMap, BTreeSet};

/// Upper bounds of the buckets that the times of syncs are counted in, in milliseconds.
pub const SYNC_MS_BOUNDS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 20_000, 60_000, u64::MAX];

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Subscriptions that came to be in sync, by how long it took: see [`SYNC_MS_BOUNDS`].
    pub syncs: [u64; SYNC_MS_BOUNDS.len()],
    /// All those times together, in milliseconds.
    pub sync_ms: u64,
    /// Bytes of frames that arrived on connections with a space not yet in sync.
    pub sync_bytes_in: u64,
    /// Bytes of frames that were sent there.
    pub sync_bytes_out: u64,
    /// Entries admitted that their writer made without knowing of others held here: merged.
    pub merged: u64,
    /// Entries that peers sent, as often as they did.
    pub received: u64,
    /// Of these, those that were held already: another peer was faster.
    pub received_again: u64,
    /// Entries that an open document took by replaying them, and did not have to apply.
    pub replayed: u64,
    /// Errors sent to peers, by what they were about.
    pub refused: BTreeMap<ErrorCode, u64>,
    /// Letters for others that became durable here.
    pub letters_kept: u64,
    /// Letters that their recipients signed for.
    pub letters_taken: u64,
    /// Letters that ended before anyone came for them.
    pub letters_ended: u64,
    /// Documents set aside because what was stored of them is damaged.
    pub quarantined: u64,
}

/// Sizes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineSizes {
    /// Spaces of which documents are held or which are open.
    pub spaces: usize,
    /// Documents held.
    pub documents: usize,
    /// About how many bytes they take in memory, but for what is not durable yet.
    pub documents_bytes: usize,
    /// Documents of which all but what is compared was let go of since the start, counted as often as they were.
    pub let_go: u64,
    /// Subscriptions that are not in sync yet.
    pub syncing: usize,
    /// Entries that are not durable yet, and so not acknowledged to whoever sent them.
    pub unacknowledged: usize,
    /// Bytes of them.
    pub unacknowledged_bytes: usize,
    /// Letters kept for others.
    pub letters: usize,
    /// Bytes of them.
    pub letters_bytes: usize,
    /// Bytes handed to connections and not yet written, all together.
    pub outbound_bytes: usize,
    /// The most of one connection.
    pub outbound_bytes_largest: usize,
}

impl Engine {
    /// What was counted since the start.
    pub fn stats(&self) -> &EngineStats {
        &self.stats
    }

    /// How large everything is now. Looks at each connection once.
    pub fn sizes(&self) -> EngineSizes {
        let mut sizes = EngineSizes {
            spaces: self.spaces.len(),
            documents: self.locations.len(),
            documents_bytes: self.documents_bytes(),
            let_go: self.memory.let_go,
            letters: self.post.kept.len(),
            letters_bytes: self.post.kept.bytes(),
            unacknowledged: self.logs.undurable(),
            unacknowledged_bytes: self.logs.undurable_bytes(),
            ..EngineSizes::default()
        };
        for session in self.sessions.values() {
            sizes.syncing += session.syncing.len();
            sizes.outbound_bytes += session.outbound_bytes;
            sizes.outbound_bytes_largest = sizes.outbound_bytes_largest.max(session.outbound_bytes);
        }
        sizes
    }

    /// Notes that a space begins to be compared on a connection.
    pub(super) fn begin_sync(&mut self, connection: ConnectionId, space: SpaceId) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.syncing.insert(space, Syncing { since_ms: self.now.monotonic_ms, from: None });
        }
    }

    /// Counts a frame that arrived, where a space is not in sync yet, and has a look soon whether it is now.
    pub(super) fn count_frame(&mut self, connection: ConnectionId, bytes: usize) {
        if self.sessions.get(&connection).is_some_and(|session| !session.syncing.is_empty()) {
            self.stats.sync_bytes_in += bytes as u64;
            self.syncs_moved.insert(connection);
        }
    }

    pub(super) fn count_refusal(&mut self, code: ErrorCode) {
        *self.stats.refused.entry(code).or_default() += 1;
    }

    /// Looks at the connections on which something moved, and counts the spaces that are in sync now.
    pub(super) fn count_syncs(&mut self) {
        for connection in std::mem::take(&mut self.syncs_moved) {
            let Some(session) = self.sessions.get_mut(&connection) else { continue };
            let (spaces, stats, now_ms) = (&self.spaces, &mut self.stats, self.now.monotonic_ms);
            let subscriptions = &session.subscriptions;
            session.syncing.retain(|space, syncing| {
                let Some(subscription) = subscriptions.get(space) else { return false };
                if subscription.comparing {
                    return true;
                }
                // Each document is waited for once: what moves on afterwards is new.
                let rest = match syncing.from {
                    Some(from) => subscription.deltas.range(from..),
                    None => subscription.deltas.range::<DocumentId, _>(..),
                };
                let log = |document: &DocumentId| spaces.get(space).and_then(|held| held.space.log(document));
                for (document, delta) in rest {
                    let settled = match log(document) {
                        Some(log) => delta.is_settled(log),
                        None => delta.asked.is_none() && delta.target.is_empty(),
                    };
                    if !settled {
                        syncing.from = Some(*document);
                        return true;
                    }
                }
                stats.count_sync(now_ms.saturating_sub(syncing.since_ms));
                false
            });
        }
    }
}

impl EngineStats {
    fn count_sync(&mut self, took_ms: u64) {
        let bucket = SYNC_MS_BOUNDS.iter().position(|bound| took_ms <= *bound).unwrap_or(SYNC_MS_BOUNDS.len() - 1);
        self.syncs[bucket] += 1;
        self.sync_ms += took_ms;
    }
}

/// Connections on which something moved that may have brought a space in sync.
pub(super) type SyncsMoved = BTreeSet<ConnectionId>;
