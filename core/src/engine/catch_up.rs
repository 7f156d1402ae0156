//! How much is still to come: documents and bytes of a space that this replica takes in from its peers.
//!
//! A catch-up begins when something is found to be missing here and ends when nothing is any more; what is counted is counted from
//! its beginning on. It tells totals only where they are known. A peer that finds that this replica lacks whole documents, or
//! was in an earlier state, says before it sends them how much is coming ([`Message::Coming`]); how many documents differ is
//! known once the comparison of the space is over; and how many bytes a document's difference has, of snapshots only, which come
//! with their size. What is lived through together afterwards, letter by letter, is no catch-up.

use super::Engine;
use super::effect::{Amount, CatchUp};
use crate::base::id::{ConnectionId, DocumentId, SpaceId};
use crate::log::log::Log;
use crate::sync::message::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The version of the protocol in which peers say how much is coming.
const VERSION_WITH_COMING: u64 = 2;
/// What is less is there as soon as it could be announced.
const ANNOUNCED_BYTES_MIN: u64 = 1_024;
/// Milliseconds without anything after which what was announced is not waited for any more.
const PATIENCE_MS: u64 = 10_000;

/// What has arrived of a space since it was found that something is missing.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Documents that were found to differ.
    found: BTreeSet<DocumentId>,
    /// These, and all that came besides.
    documents: BTreeSet<DocumentId>,
    /// Bytes that are still to come of those that come as a snapshot.
    left: BTreeMap<DocumentId, u64>,
    /// Bytes that came.
    bytes: u64,
    /// What peers have announced: documents, bytes, and how many of these bytes came.
    announced: BTreeMap<ConnectionId, (u64, u64, u64)>,
    /// When something came last.
    last_ms: u64,
}

impl Engine {
    /// What is still to come of a space, and what has come; nothing where nothing is missing as far as is known.
    pub fn catch_up(&self, space: &SpaceId) -> Option<CatchUp> {
        let (arrivals, held) = (self.arrivals.get(space)?, self.spaces.get(space)?);
        let (mut comparing, mut missing) = (false, BTreeSet::new());
        let (mut announced, mut announced_left) = (0, 0);
        for connection in &held.sessions {
            let Some(session) = self.sessions.get(connection).filter(|session| !session.closing) else { continue };
            let Some(subscription) = session.subscriptions.get(space) else { continue };
            // Who has announced what it will send has found what differs, though it has more to say while it sends.
            comparing |= subscription.comparing && !arrivals.announced.contains_key(connection);
            let is_missing = |document: &&DocumentId| {
                let log = held.space.log(document);
                subscription.arriving.contains_key(*document)
                    || self.snapshots.is_adopting(document)
                    || subscription.deltas.get(*document).is_some_and(|delta| {
                        delta.asked.is_some()
                            || log.map_or(!delta.target.is_empty(), |log| !delta.target.is_within(&log.version().clock))
                    })
            };
            missing.extend(arrivals.documents.iter().filter(is_missing).copied());
            if let Some((documents, bytes, came)) = arrivals.announced.get(connection) {
                announced += documents;
                announced_left += bytes.saturating_sub(*came);
            }
        }
        missing.extend(self.logs.held_up(space, &self.locations).filter(|document| arrivals.documents.contains(document)));
        let all = arrivals.documents.len() as u64;
        let total = all.max(arrivals.found.len() as u64 + announced);
        let is_awaited = total > all && self.now.monotonic_ms < arrivals.last_ms + PATIENCE_MS;
        if missing.is_empty() && !is_awaited {
            return None;
        }
        let left: Option<u64> = missing.intersection(&arrivals.found).map(|document| arrivals.left.get(document).copied()).sum();
        let unannounced =
            missing.difference(&arrivals.found).filter(|_| announced == 0).map(|document| arrivals.left.get(document));
        let unannounced: u64 = unannounced.flatten().sum();
        let bytes_total = left.filter(|_| !comparing).map(|left| arrivals.bytes + left + unannounced + announced_left);
        Some(CatchUp {
            documents: Amount { done: all - missing.len() as u64, total: (!comparing).then_some(total) },
            bytes: Amount { done: arrivals.bytes, total: bytes_total },
        })
    }

    /// When to look again whether what was announced is still waited for; nothing once that time is past, though more be missing.
    pub(super) fn catch_up_lapses(&self, space: &SpaceId) -> Option<u64> {
        let arrivals = self.arrivals.get(space).filter(|arrivals| !arrivals.announced.is_empty())?;
        Some(arrivals.last_ms + PATIENCE_MS).filter(|lapses_ms| *lapses_ms > self.now.monotonic_ms)
    }

    /// Tells a peer how much of these documents, of each of which it holds the log's first entries up to a position, is coming.
    pub(super) fn announce(&mut self, connection: ConnectionId, space: SpaceId, lacked: impl Iterator<Item = (DocumentId, u64)>) {
        let version = self.sessions.get(&connection).and_then(|session| session.handshake.version());
        if version.is_none_or(|version| version < VERSION_WITH_COMING) {
            return;
        }
        let Some(held) = self.spaces.get(&space) else { return };
        let sizes = lacked.filter_map(|(document, position)| Some(size_above(held.space.log(&document)?, position)));
        let (documents, bytes) = sizes.fold((0, 0), |(documents, bytes), size| (documents + 1, bytes + size));
        if bytes >= ANNOUNCED_BYTES_MIN {
            self.send(connection, &Message::Coming { space, documents, bytes });
        }
    }

    /// Learns how much is coming.
    pub(super) fn on_coming(&mut self, connection: ConnectionId, space: SpaceId, documents: u64, bytes: u64) {
        if self.is_relay() {
            return;
        }
        let documents = documents.min(self.config.limits.documents_per_space_max as u64);
        let arrivals = self.arrivals.entry(space).or_default();
        arrivals.announced.insert(connection, (documents, bytes.min(u64::from(u32::MAX)), 0));
        arrivals.last_ms = self.now.monotonic_ms;
        self.touch_progress(space);
    }

    /// Learns that all has come that a peer announced: what it left out came from elsewhere.
    pub(super) fn on_all_sent(&mut self, connection: ConnectionId, space: &SpaceId) {
        if let Some(arrivals) = self.arrivals.get_mut(space) {
            arrivals.announced.remove(&connection);
        }
    }

    /// Notes that a document was found to be behind here.
    pub(super) fn expect(&mut self, space: SpaceId, document: DocumentId) {
        if let Some(arrivals) = self.note_arriving(space, document) {
            arrivals.found.insert(document);
        }
    }

    fn note_arriving(&mut self, space: SpaceId, document: DocumentId) -> Option<&mut Arrivals> {
        if self.is_relay() {
            return None;
        }
        let most = self.config.limits.documents_per_space_max;
        let arrivals = self.arrivals.entry(space).or_default();
        if arrivals.documents.len() >= most {
            return None;
        }
        arrivals.documents.insert(document);
        Some(arrivals)
    }

    /// Counts what came of a document: a part of a catch-up, unless all have what there is and someone has just written.
    pub(super) fn count_arrival(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId, bytes: usize) {
        let now_ms = self.now.monotonic_ms;
        let subscription = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(&space));
        let is_comparing = subscription.is_some_and(|subscription| subscription.comparing);
        let is_announced = self.arrivals.get(&space).is_some_and(|arrivals| arrivals.announced.contains_key(&connection));
        if is_comparing || is_announced {
            self.note_arriving(space, document);
        }
        let Some(arrivals) = self.arrivals.get_mut(&space).filter(|arrivals| arrivals.documents.contains(&document)) else {
            return;
        };
        arrivals.bytes += bytes as u64;
        arrivals.last_ms = now_ms;
        if !arrivals.found.contains(&document)
            && let Some((_, _, came)) = arrivals.announced.get_mut(&connection)
        {
            *came += bytes as u64;
        }
    }

    /// Notes how much is still to come of a document's snapshot.
    pub(super) fn expect_bytes(&mut self, space: SpaceId, document: DocumentId, left: u64) {
        if let Some(arrivals) = self.note_arriving(space, document) {
            arrivals.left.insert(document, left);
        }
    }

    /// Begins to count anew once nothing is missing.
    pub(super) fn end_catch_up(&mut self, space: &SpaceId) {
        self.arrivals.remove(space);
    }
}

/// About how many bytes are sent of a log to whoever holds its entries up to a position.
fn size_above(log: &Log, position: u64) -> u64 {
    let entries = log.end().saturating_sub(log.base());
    let of = |count: u64| log.entry_bytes().saturating_mul(count).checked_div(entries).unwrap_or(0);
    match log.snapshot() {
        Some(snapshot) if position < log.base() => {
            snapshot.bytes + of(log.end().saturating_sub(snapshot.version.clock.entries()))
        }
        _ => of(log.end().saturating_sub(position)),
    }
}
