//! The states in which this replica last agreed with its peers, and catching up from there.
//!
//! Two that were once equal need not compare everything again. Who subscribes names the last state in which both held the
//! same, and sends what has moved here since; a peer that knows the state too sends what has moved there. Afterwards both are
//! compared by one fingerprint, so that a mistake could cost a comparison and never an edit. A state that the peer does not
//! know, because it has forgotten it, or was restored from a backup, or is another, leads to the comparison at once.

use super::Engine;
use super::logs::Work;
use super::stored::{StoredMove, StoredState};
use super::timers::Timer;
use crate::base::id::{ConnectionId, DocumentId, PeerId, SpaceId};
use crate::log::feed::Moved;
use crate::log::tree::Fingerprint;
use crate::store::task::StoreTask;
use crate::sync::delta::Delta;
use crate::sync::message::Message;
use crate::sync::reconcile::Comparison;
use crate::sync::session::Peer;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds that states are gathered before they are written.
const WRITE_MS: u64 = 1_000;

/// Milliseconds after which a peer that has sent everything is compared with, though not all is confirmed that it was sent: what a
/// crash has made this replica forget of earlier receipts is confirmed by nothing else.
const PROVE_MS: u64 = 2_000;

/// The last state in which both held the same, by space and peer.
#[derive(Debug, Default)]
pub(super) struct States {
    agreed: BTreeMap<(SpaceId, PeerId), Agreed>,
    unstored: BTreeSet<(SpaceId, PeerId)>,
    marks: BTreeMap<SpaceId, Marks>,
    /// Documents that the store says have moved.
    found: BTreeMap<SpaceId, BTreeMap<DocumentId, Moved>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Agreed {
    state: Fingerprint,
    relay: bool,
}

/// What is stored so that the last state in which a replica agreed with a peer is known after a restart, too: how each document
/// stood in it that has moved since. They are hints: what does not lead back to that very state is of no use, and of no harm.
#[derive(Debug)]
struct Marks {
    /// The state they lead back to.
    base: Agreed,
    /// Documents that are stored as having moved since.
    stored: BTreeSet<DocumentId>,
    /// Documents that are stored as having moved, and that no longer matter.
    stale: BTreeSet<DocumentId>,
}

impl States {
    /// Reads a stored state; other names, and what does not read, are left alone.
    pub(super) fn load(&mut self, name: &str, value: &[u8]) {
        if let Some(StoredState { space, peer, relay, state }) = StoredState::read(name, value) {
            self.agreed.insert((space, peer), Agreed { state, relay });
        }
        if let Some(StoredMove { space, document, moved }) = StoredMove::read(name, value) {
            self.found.entry(space).or_default().insert(document, moved);
        }
    }

    /// Notes a state in which a peer holds the same; answers whether it is another than before. What leads back to a relay's
    /// state is not given up for another peer's.
    fn agree(&mut self, space: SpaceId, peer: PeerId, agreed: Agreed) -> bool {
        let marks = self.marks.entry(space).or_insert(Marks { base: agreed, stored: BTreeSet::new(), stale: BTreeSet::new() });
        if agreed.relay || !marks.base.relay {
            marks.base = agreed;
            marks.stale.append(&mut marks.stored);
        }
        let is_new = self.agreed.insert((space, peer), agreed) != Some(agreed);
        if is_new {
            self.unstored.insert((space, peer));
        }
        is_new
    }
}

impl Engine {
    /// The last state in which the peer held the same as this replica, where it is known here what has moved since.
    pub(super) fn agreed_state(&self, connection: ConnectionId, space: SpaceId) -> Option<Fingerprint> {
        let peer = self.sessions.get(&connection)?.handshake.theirs()?.peer;
        let agreed = self.states.agreed.get(&(space, peer))?;
        self.spaces.get(&space)?.space.since(&agreed.state).map(|_| agreed.state)
    }

    /// Finds the way back to states from before the store was opened.
    pub(super) fn restore_states(&mut self, damaged: &[(DocumentId, String)]) {
        for (space, mut moved) in std::mem::take(&mut self.states.found) {
            let stale = moved.keys().copied().collect();
            for (document, _) in damaged {
                moved.remove(document);
            }
            let Some(held) = self.spaces.get_mut(&space) else { continue };
            let state = held.space.restore(&moved);
            let of_space = self.states.agreed.iter().filter(|((of, _), agreed)| *of == space && agreed.state == state);
            let base = of_space.map(|(_, agreed)| *agreed).max_by_key(|agreed| agreed.relay);
            let marks = match base {
                Some(base) => Marks { base, stored: stale, stale: BTreeSet::new() },
                None => Marks { base: Agreed { state: held.space.state(), relay: false }, stored: BTreeSet::new(), stale },
            };
            self.states.marks.insert(space, marks);
            self.mark_soon(space);
        }
        // Where nothing has moved, the way back is yet to be marked.
        for ((space, _), agreed) in &self.states.agreed {
            let is_now = self.spaces.get(space).is_some_and(|held| held.space.state() == agreed.state);
            let marks = Marks { base: *agreed, stored: BTreeSet::new(), stale: BTreeSet::new() };
            if is_now && self.states.marks.get(space).is_none_or(|marks| agreed.relay && !marks.base.relay) {
                self.states.marks.insert(*space, marks);
            }
        }
    }

    /// Notes that something is durable that a peer may lack after a restart.
    pub(super) fn mark_soon(&mut self, space: SpaceId) {
        if self.states.marks.contains_key(&space) {
            self.timers.set_no_later(Timer::Receipts, self.now.monotonic_ms + WRITE_MS);
        }
    }

    /// A document is set aside because it is damaged: how it came to be what it was leads nowhere.
    pub(super) fn unmark(&mut self, space: SpaceId, document: DocumentId) {
        let marks = self.states.marks.get_mut(&space);
        if marks.is_some_and(|marks| marks.stored.remove(&document) | marks.stale.remove(&document)) {
            let key = StoredMove::name(&space, &document);
            self.store(Work::Meta, StoreTask::PutMeta { key, value: Vec::new() });
        }
    }

    /// Sends a peer what has moved since a state that both know; answers which documents that are.
    pub(super) fn push_since(&mut self, connection: ConnectionId, space: SpaceId, state: &Fingerprint) -> BTreeSet<DocumentId> {
        let moved = self.spaces.get(&space).and_then(|held| held.space.since(state)).unwrap_or_default();
        self.announce(connection, space, moved.iter().map(|(document, before)| (*document, before.held)));
        for (document, before) in &moved {
            let subscription = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space));
            let Some(subscription) = subscription else { break };
            subscription.deltas.entry(*document).or_insert_with(|| Delta::live(before.held));
            self.push_soon(connection, space, *document);
        }
        moved.into_keys().collect()
    }

    /// Catches a peer up from a state it has named; answers whether the state is known here.
    pub(super) fn answer_known(&mut self, connection: ConnectionId, space: SpaceId, state: &Fingerprint) -> bool {
        if self.spaces.get(&space).is_none_or(|held| held.space.since(state).is_none()) {
            return false;
        }
        let owed = self.push_since(connection, space, state);
        if let Some(subscription) = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space)) {
            subscription.owed.documents.extend(owed);
            subscription.owed.since = true;
            self.pushes.lacking.insert((connection, space));
        }
        true
    }

    /// Tells peers that have been sent everything since the state they named, or that a comparison found them to lack, that this was all. What moved on
    /// their side since that state is on its way, and has come when they send the fingerprint that ends it.
    pub(super) fn send_sent(&mut self) {
        let mut done = Vec::new();
        let (sessions, spaces) = (&mut self.sessions, &self.spaces);
        self.pushes.lacking.retain(|(connection, space)| {
            let subscription = sessions.get_mut(connection).and_then(|session| session.subscriptions.get_mut(space));
            let Some(subscription) = subscription else { return false };
            let (owed, deltas) = (&mut subscription.owed, &subscription.deltas);
            owed.documents.retain(|document| {
                let log = spaces.get(space).and_then(|held| held.space.log(document));
                log.zip(deltas.get(document)).is_some_and(|(log, delta)| delta.cursor() < log.end())
            });
            let is_done = owed.documents.is_empty();
            if is_done {
                done.push((*connection, *space, std::mem::take(owed)));
            }
            !is_done
        });
        for (connection, space, owed) in done {
            if owed.since {
                self.send(connection, &Message::Sent { space });
            }
            if owed.compared {
                self.send(connection, &Message::Ranges { space, ranges: Vec::new() });
            }
        }
    }

    pub(super) fn on_sent(&mut self, connection: ConnectionId, space: SpaceId) {
        self.on_all_sent(connection, &space);
        let subscription = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space));
        if let Some(subscription) = subscription {
            (subscription.comparing, subscription.opening) = (false, None);
            subscription.prove_ms = Some(self.now.monotonic_ms + PROVE_MS);
            self.touch_progress(space);
            self.confirm_open(space);
        }
    }

    /// Looks at whoever syncs a space: has it caught up, so that one fingerprint should prove it; does it hold the same, so
    /// that the state is worth remembering? Answers when to look again, if that is of use.
    pub(super) fn settle(&mut self, space: SpaceId) -> Option<u64> {
        let held = self.spaces.get(&space).filter(|_| self.logs.undurable_bytes() == 0)?;
        let mut again_ms = None;
        let state = held.space.state();
        let none = BTreeSet::new();
        let is_held_up = !self.held_up(&space).is_empty();
        for connection in held.sessions.iter().copied().collect::<Vec<_>>() {
            let Some(Peer { id: peer, relay }) = self.sessions.get(&connection).and_then(|session| session.peer.clone()) else {
                continue;
            };
            self.count_unconfirmed(space, Some(peer));
            let held = self.spaces.get(&space)?;
            let Some(session) = self.sessions.get_mut(&connection).filter(|session| !session.closing) else { continue };
            let Some(subscription) = session.subscriptions.get_mut(&space) else { continue };
            let is_settled = !is_held_up && subscription.is_settled(&held.space);
            let unconfirmed = self.saved.unconfirmed(space, Some(peer));
            if let Some(prove_ms) = subscription.prove_ms {
                let is_ready = is_settled && subscription.pushed.is_disjoint(unconfirmed);
                if !is_ready && self.now.monotonic_ms < prove_ms {
                    again_ms = again_ms.max(Some(prove_ms));
                    continue;
                }
                (subscription.prove_ms, subscription.comparing, subscription.opening) = (None, true, Some(state));
                let comparison =
                    Comparison { space: &held.space, except: &subscription.eager, wanted: &none, bytes_max: usize::MAX };
                let ranges = comparison.opening();
                self.send(connection, &Message::Ranges { space, ranges });
            } else if is_settled && !subscription.comparing && self.states.agree(space, peer, Agreed { state, relay }) {
                self.timers.set_no_later(Timer::Receipts, self.now.monotonic_ms + WRITE_MS);
            }
        }
        again_ms
    }

    /// Stores the states that have changed, and what leads back to them.
    pub(super) fn write_states(&mut self) {
        for (space, peer) in std::mem::take(&mut self.states.unstored) {
            let Some(Agreed { state, relay }) = self.states.agreed.get(&(space, peer)).copied() else { continue };
            let (key, value) = StoredState { space, peer, relay, state }.write();
            self.store(Work::Meta, StoreTask::PutMeta { key, value });
        }
        let mut writes = Vec::new();
        for (space, marks) in &mut self.states.marks {
            for document in std::mem::take(&mut marks.stale) {
                writes.push((StoredMove::name(space, &document), Vec::new()));
            }
            let moved = self.spaces.get(space).and_then(|held| held.space.since(&marks.base.state)).unwrap_or_default();
            for (document, moved) in moved {
                if marks.stored.insert(document) {
                    writes.push(StoredMove { space: *space, document, moved }.write());
                }
            }
        }
        for (key, value) in writes {
            self.store(Work::Meta, StoreTask::PutMeta { key, value });
        }
    }
}
