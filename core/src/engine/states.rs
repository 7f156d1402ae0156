//! The states in which this replica last agreed with its peers, and catching up from there.
//!
//! Two that were once equal need not compare everything again. Who subscribes names the last state in which both held the
//! same, and sends what has moved here since; a peer that knows the state too sends what has moved there. Afterwards both are
//! compared by one fingerprint, so that a mistake could cost a comparison and never an edit. A state that the peer does not
//! know, because it has forgotten it, or was restored from a backup, or is another, leads to the comparison at once.

use super::Engine;
use super::logs::Work;
use super::saved::Receipt;
use super::stored::StoredState;
use super::timers::Timer;
use crate::base::id::{ConnectionId, DocumentId, PeerId, SpaceId};
use crate::log::tree::Fingerprint;
use crate::store::task::StoreTask;
use crate::sync::delta::Delta;
use crate::sync::message::Message;
use crate::sync::reconcile::Comparison;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds that states are gathered before they are written.
const WRITE_MS: u64 = 1_000;

/// Milliseconds after which a peer that has sent everything is compared with, though not all is confirmed that it was sent: what a
/// crash has made this replica forget of earlier receipts is confirmed by nothing else.
const PROVE_MS: u64 = 2_000;

/// The last state in which both held the same, by space and peer.
#[derive(Debug, Default)]
pub(super) struct States {
    agreed: BTreeMap<(SpaceId, PeerId), Fingerprint>,
    unstored: BTreeSet<(SpaceId, PeerId)>,
}

impl States {
    /// Reads a stored state; other names, and what does not read, are left alone.
    pub(super) fn load(&mut self, name: &str, value: &[u8]) {
        if let Some(StoredState { space, peer, state }) = StoredState::read(name, value) {
            self.agreed.insert((space, peer), state);
        }
    }
}

impl Engine {
    /// The last state in which the peer held the same as this replica, where it is known here what has moved since.
    pub(super) fn agreed_state(&self, connection: ConnectionId, space: SpaceId) -> Option<Fingerprint> {
        let peer = self.sessions.get(&connection)?.handshake.theirs()?.peer;
        let state = self.states.agreed.get(&(space, peer))?;
        self.spaces.get(&space)?.space.since(state).map(|_| *state)
    }

    /// Sends a peer what has moved since a state that both know; answers which documents that are.
    pub(super) fn push_since(&mut self, connection: ConnectionId, space: SpaceId, state: &Fingerprint) -> BTreeSet<DocumentId> {
        let moved = self.spaces.get(&space).and_then(|held| held.space.since(state)).unwrap_or_default();
        for (document, held) in &moved {
            let subscription = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space));
            let Some(subscription) = subscription else { break };
            subscription.deltas.entry(*document).or_insert_with(|| Delta::live(*held));
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
            subscription.owed = Some(owed);
            self.pushes.owing_since.insert((connection, space));
        }
        true
    }

    /// Tells peers that have been sent everything since the state they named that this was all.
    pub(super) fn send_sent(&mut self) {
        let mut sent = Vec::new();
        let (sessions, spaces) = (&mut self.sessions, &self.spaces);
        self.pushes.owing_since.retain(|(connection, space)| {
            let subscription = sessions.get_mut(connection).and_then(|session| session.subscriptions.get_mut(space));
            let Some(subscription) = subscription else { return false };
            let Some(owed) = &mut subscription.owed else { return false };
            let deltas = &subscription.deltas;
            owed.retain(|document| {
                let log = spaces.get(space).and_then(|held| held.space.log(document));
                log.zip(deltas.get(document)).is_some_and(|(log, delta)| delta.cursor() < log.end())
            });
            let is_done = owed.is_empty();
            if is_done {
                (subscription.owed, subscription.comparing) = (None, false);
                sent.push((*connection, *space));
            }
            !is_done
        });
        for (connection, space) in sent {
            self.send(connection, &Message::Sent { space });
        }
    }

    pub(super) fn on_sent(&mut self, connection: ConnectionId, space: SpaceId) {
        let subscription = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space));
        if let Some(subscription) = subscription {
            (subscription.comparing, subscription.offered) = (false, None);
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
        for connection in held.sessions.iter().copied().collect::<Vec<_>>() {
            let Some(peer) = self.peer_of(connection) else { continue };
            self.count_unconfirmed(space, Some(peer));
            let held = self.spaces.get(&space)?;
            let Some(session) = self.sessions.get_mut(&connection).filter(|session| !session.closing) else { continue };
            let Some(subscription) = session.subscriptions.get_mut(&space) else { continue };
            let is_settled = subscription.is_settled(&held.space);
            let unconfirmed = self.saved.unconfirmed(space, Some(peer));
            if let Some(prove_ms) = subscription.prove_ms {
                let is_ready = is_settled && subscription.pushed.is_disjoint(unconfirmed);
                if !is_ready && self.now.monotonic_ms < prove_ms {
                    again_ms = again_ms.max(Some(prove_ms));
                    continue;
                }
                (subscription.prove_ms, subscription.offered, subscription.comparing) = (None, Some(state), true);
                let comparison =
                    Comparison { space: &held.space, except: &subscription.eager, wanted: &none, bytes_max: usize::MAX };
                let ranges = comparison.opening();
                self.send(connection, &Message::Ranges { space, ranges });
            } else if is_settled && !subscription.comparing && unconfirmed.is_empty() {
                let before = self.states.agreed.insert((space, peer), state);
                if before != Some(state) {
                    self.states.unstored.insert((space, peer));
                    self.timers.set_no_later(Timer::Receipts, self.now.monotonic_ms + WRITE_MS);
                }
            }
        }
        again_ms
    }

    /// A peer answers that a fingerprint of everything is its own too: it holds all that is held here, unless something has
    /// moved meanwhile.
    pub(super) fn on_equal(&mut self, connection: ConnectionId, space: SpaceId) {
        let Some(held) = self.spaces.get(&space) else { return };
        let Some(subscription) = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space))
        else {
            return;
        };
        if subscription.offered.take() != Some(held.space.state()) {
            return;
        }
        let peer = self.peer_of(connection);
        self.count_unconfirmed(space, peer);
        let unconfirmed: Vec<DocumentId> = self.saved.unconfirmed(space, peer).iter().copied().collect();
        for document in unconfirmed {
            let eager = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(&space));
            if eager.is_some_and(|subscription| !subscription.eager.contains(&document))
                && let Some(clock) = self.log(&document).map(|log| log.durable().clock.clone())
            {
                self.on_receipt(connection, document, &clock, Receipt::All);
            }
        }
    }

    /// Stores the states that have changed.
    pub(super) fn write_states(&mut self) {
        for (space, peer) in std::mem::take(&mut self.states.unstored) {
            let Some(state) = self.states.agreed.get(&(space, peer)).copied() else { continue };
            let (key, value) = StoredState { space, peer, state }.write();
            self.store(Work::Meta, StoreTask::PutMeta { key, value });
        }
    }
}
