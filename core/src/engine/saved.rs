//! How saved is it? What the store and the peers have confirmed, and nothing more.
//!
//! A receipt is what a peer has said it durably holds of a document. A document counts as saved on a replica when the
//! replica's receipt covers everything this replica has written of it; what was there at start counts as written, since
//! who wrote it is not remembered. Receipts are stored, so that an app that starts offline can still tell.

use super::Engine;
use super::effect::{Event, Saved};
use super::logs::Work;
use super::stored::StoredReceipt;
use super::timers::Timer;
use crate::base::id::{ActorId, ConnectionId, DocumentId, PeerId, SpaceId};
use crate::log::clock::VectorClock;
use crate::log::log::Log;
use crate::store::task::StoreTask;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds that receipts are gathered before they are written.
const WRITE_MS: u64 = 1_000;
/// Milliseconds after which a peer is asked for its word on an open document again: an entry that it held before it was
/// durable there is acknowledged on the connection it came over, and that may be gone by then.
const CONFIRM_MS: u64 = 10_000;

/// What peers have confirmed.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    receipts: BTreeMap<DocumentId, BTreeMap<PeerId, Confirmed>>,
    written: BTreeMap<DocumentId, VectorClock>,
    touched: BTreeSet<DocumentId>,
    told: BTreeMap<DocumentId, Saved>,
    unstored: BTreeSet<(DocumentId, PeerId)>,
    /// Documents of which a peer has not confirmed all that was written here, for peers that were met since the start: what
    /// a comparison that finds them equal is to tell of.
    unconfirmed: BTreeMap<(SpaceId, PeerId), BTreeSet<DocumentId>>,
}

/// Nothing is to be told.
const NONE: &BTreeSet<DocumentId> = &BTreeSet::new();

#[derive(Clone, Debug, PartialEq, Eq)]
struct Confirmed {
    relay: bool,
    clock: VectorClock,
}

/// What a peer's word covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// All it holds of a document: where it said more before, it has lost something since.
    All,
    /// More than it said before.
    More,
}

impl Receipts {
    /// Notes that a document may be saved otherwise than before.
    pub(super) fn touch(&mut self, document: DocumentId) {
        self.touched.insert(document);
    }

    /// Notes what this replica has written.
    pub(super) fn wrote(&mut self, space: SpaceId, document: DocumentId, actor: ActorId, seq: u64) {
        self.written.entry(document).or_default().raise(actor, seq);
        for (_, documents) in self.unconfirmed.iter_mut().filter(|((held, _), _)| *held == space) {
            documents.insert(document);
        }
    }

    /// Documents of a space of which a peer has not confirmed all that was written here.
    pub(super) fn unconfirmed(&self, space: SpaceId, peer: Option<PeerId>) -> &BTreeSet<DocumentId> {
        peer.and_then(|peer| self.unconfirmed.get(&(space, peer))).unwrap_or(NONE)
    }

    fn is_confirmed(&self, document: &DocumentId, peer: &PeerId) -> bool {
        let Some(written) = self.written.get(document).filter(|written| !written.is_empty()) else { return true };
        let receipt = self.receipts.get(document).and_then(|receipts| receipts.get(peer));
        receipt.is_some_and(|receipt| written.is_within(&receipt.clock))
    }

    /// Notes what the store held at start.
    pub(super) fn held_at_start(&mut self, document: DocumentId, clock: &VectorClock) {
        self.written.insert(document, clock.clone());
    }

    /// Learns that a document holds no more than this any longer.
    pub(super) fn lower(&mut self, document: &DocumentId, clock: &VectorClock) {
        if let Some(written) = self.written.get_mut(document) {
            *written = written.iter().map(|(actor, seq)| (*actor, seq.min(clock.get(actor)))).collect();
        }
    }

    /// Reads a stored receipt; other names, and what does not read, are left alone.
    pub(super) fn load(&mut self, key: &str, value: &[u8]) {
        let Some(StoredReceipt { document, peer, relay, clock }) = StoredReceipt::read(key, value) else { return };
        self.receipts.entry(document).or_default().insert(peer, Confirmed { relay, clock });
    }
}

impl Engine {
    /// How saved a document is now; nothing when it is neither held nor open.
    pub fn saved(&self, document: &DocumentId) -> Option<Saved> {
        let none = VectorClock::new();
        let log = self.log(document);
        if log.is_none() && !self.documents.is_open(document) {
            return None;
        }
        let unsaved = log.map_or(0, |log| log.undurable());
        let written = self.saved.written.get(document).unwrap_or(&none);
        let (mut replicas, mut relays) = (0, 0);
        if written.is_empty() {
            // Nothing of it is ours: it is as saved as those who sent it say, and they are who syncs it now.
            let peers: BTreeMap<PeerId, bool> = self.peers_in_sync(document).collect();
            replicas = peers.len();
            relays = peers.values().filter(|relay| **relay).count();
        } else {
            for receipt in self.saved.receipts.get(document).into_iter().flat_map(BTreeMap::values) {
                if written.is_within(&receipt.clock) {
                    replicas += 1;
                    relays += usize::from(receipt.relay);
                }
            }
        }
        Some(Saved { document: *document, device: unsaved == 0, replicas, relays, unsaved })
    }

    /// Who syncs a document and has nothing to send of it, and whether it is a relay; one that is connected twice, twice.
    fn peers_in_sync<'a>(&'a self, document: &'a DocumentId) -> impl Iterator<Item = (PeerId, bool)> + 'a {
        let space = self.locations.get(document);
        let held = space.and_then(|space| self.spaces.get(space));
        held.into_iter().flat_map(|held| &held.sessions).filter_map(move |connection| {
            let session = self.sessions.get(connection)?;
            let subscription = session.subscriptions.get(space?)?;
            let settled = match (subscription.deltas.get(document), self.log(document)) {
                (Some(delta), Some(log)) => delta.is_settled(log),
                _ => !subscription.comparing,
            };
            let peer = session.peer.as_ref()?;
            (settled && !session.closing).then_some((peer.id, peer.relay))
        })
    }

    /// Takes a peer's word that it durably holds a document up to a clock.
    pub(super) fn on_receipt(&mut self, connection: ConnectionId, document: DocumentId, clock: &VectorClock, receipt: Receipt) {
        if self.is_relay() {
            return;
        }
        let Some(peer) = self.sessions.get(&connection).and_then(|session| session.peer.clone()) else { return };
        // What we do not hold ourselves says nothing about our work, and a peer cannot make us keep it.
        let Some(log) = self.log(&document) else { return };
        let space = log.space();
        let within: VectorClock = log.version().clock.iter().map(|(actor, seq)| (*actor, seq.min(clock.get(actor)))).collect();
        let confirmed = self.saved.receipts.entry(document).or_default();
        let confirmed = confirmed.entry(peer.id).or_insert(Confirmed { relay: peer.relay, clock: VectorClock::new() });
        let before = confirmed.clock.clone();
        match receipt {
            Receipt::All => confirmed.clock = within,
            Receipt::More => confirmed.clock.merge(&within),
        }
        let now = confirmed.clock.clone();
        if now != before {
            self.tempo.on_confirmed(self.now.monotonic_ms);
            self.saved.unstored.insert((document, peer.id));
            self.timers.set_no_later(Timer::Receipts, self.now.monotonic_ms + WRITE_MS);
        }
        self.compare_receipts((connection, peer.id), (space, document), &before, &now);
        self.touch_progress(space);
        let is_confirmed = self.saved.is_confirmed(&document, &peer.id);
        if let Some(documents) = self.saved.unconfirmed.get_mut(&(space, peer.id)) {
            if is_confirmed {
                documents.remove(&document)
            } else {
                documents.insert(document)
            };
        }
        self.saved.touch(document);
    }

    /// Counts once what a peer that was just met has not confirmed.
    pub(super) fn count_unconfirmed(&mut self, space: SpaceId, peer: Option<PeerId>) {
        let Some(peer) = peer.filter(|peer| !self.is_relay() && !self.saved.unconfirmed.contains_key(&(space, *peer))) else {
            return;
        };
        let documents = self.spaces.get(&space).into_iter().flat_map(|held| held.space.documents()).map(Log::document);
        let unconfirmed = documents.filter(|document| !self.saved.is_confirmed(document, &peer)).collect();
        self.saved.unconfirmed.insert((space, peer), unconfirmed);
    }

    /// Whether a peer of a space has confirmed what an actor wrote in a document, up to a change.
    pub(super) fn is_confirmed_up_to(&self, space: &SpaceId, document: &DocumentId, actor: ActorId, seq: u64) -> bool {
        let connections = self.spaces.get(space).into_iter().flat_map(|held| &held.sessions);
        let mut peers = connections.filter_map(|connection| self.peer_of(*connection));
        let receipts = self.saved.receipts.get(document);
        peers.any(|peer| {
            seq == 0 || receipts.and_then(|receipts| receipts.get(&peer)).is_some_and(|receipt| receipt.clock.covers(&actor, seq))
        })
    }

    /// Whether a peer has confirmed all that was written here of a document.
    fn is_confirmed(&self, connection: ConnectionId, document: &DocumentId) -> bool {
        self.peer_of(connection).map_or_else(
            || self.saved.written.get(document).is_none_or(VectorClock::is_empty),
            |peer| self.saved.is_confirmed(document, &peer),
        )
    }

    /// Asks for what has not been confirmed of open documents, and for as long as it is not.
    pub(super) fn on_confirm(&mut self) {
        let spaces: Vec<SpaceId> = self.spaces.keys().copied().collect();
        for space in spaces {
            for document in self.documents.open_in(&space) {
                for connection in self.unconfirmed_by(&space, &document) {
                    self.ask(connection, space, document);
                }
                self.saved.touch(document);
            }
        }
    }

    /// Peers that have compared a space, and not confirmed all that was written here of a document in it.
    pub(super) fn unconfirmed_by(&self, space: &SpaceId, document: &DocumentId) -> Vec<ConnectionId> {
        let connections = self.spaces.get(space).into_iter().flat_map(|held| &held.sessions).copied();
        let compared = |connection: &ConnectionId| {
            let session = self.sessions.get(connection).filter(|session| !session.closing);
            session.and_then(|session| session.subscriptions.get(space)).is_some_and(|subscription| !subscription.comparing)
        };
        connections.filter(|connection| compared(connection) && !self.is_confirmed(*connection, document)).collect()
    }

    /// Stores receipts that changed, of documents this replica has written. They are gathered for a while; a driver that is
    /// about to end calls this rather than lose them, and drains.
    pub fn write_receipts(&mut self) {
        self.write_states();
        for (document, peer) in std::mem::take(&mut self.saved.unstored) {
            let Some(receipt) = self.saved.receipts.get(&document).and_then(|receipts| receipts.get(&peer)) else { continue };
            if !self.saved.written.contains_key(&document) {
                continue;
            }
            let stored = StoredReceipt { document, peer, relay: receipt.relay, clock: receipt.clock.clone() };
            let (key, value) = stored.write();
            self.store(Work::Meta, StoreTask::PutMeta { key, value });
        }
    }

    /// Tells how saved open documents are, where that has changed.
    pub(super) fn tell_saved(&mut self) {
        for document in std::mem::take(&mut self.saved.touched) {
            if !self.documents.is_open(&document) {
                self.saved.told.remove(&document);
                continue;
            }
            if self.documents.space_of(&document).is_some_and(|space| !self.unconfirmed_by(&space, &document).is_empty()) {
                self.timers.set_no_later(Timer::Confirm, self.now.monotonic_ms + CONFIRM_MS);
            }
            let Some(saved) = self.saved(&document) else { continue };
            if self.saved.told.insert(document, saved) != Some(saved) {
                self.tell(Event::Saved(saved));
            }
        }
    }
}
