//! Which peers are sent something new now, and which later, where there are many and each passes it on: gossip among native peers.
//!
//! Without a fan-out, as for relays and clients, everyone is sent at once what is new. With one, [`crate::gossip::rumour`] chooses.
//! It decides only when a peer has its turn; what that peer lacks is still what its clock says, so nothing is sent to a peer that
//! was faster elsewhere. Relays have no turn, since others wait for them: they are sent it at once. A peer that was away is not its
//! business: it is sent what it missed when it subscribes.
//!
//! Whoever is told that something is held elsewhere, and does not get it soon, asks for it: chance leaves somebody out of the first round
//! of all its neighbours now and then.

use super::Engine;
use super::timers::Timer;
use crate::base::id::{ConnectionId, DocumentId, SpaceId};
use crate::base::limits::RUMOURS_MAX;
use crate::gossip::rumour::{RumourConfig, Rumours, Spread};
use crate::log::clock::VectorClock;
use std::collections::BTreeMap;

/// What is on its way to peers in rounds.
#[derive(Debug)]
pub(super) struct Spreading {
    rumours: Option<Rumours<DocumentId, ConnectionId>>,
    /// What peers said they hold of a document and that is not here.
    hints: BTreeMap<DocumentId, Hint>,
}

/// Something is held elsewhere.
#[derive(Debug)]
struct Hint {
    space: SpaceId,
    /// Who said so last.
    connection: ConnectionId,
    clock: VectorClock,
    /// When to ask for it, in monotonic milliseconds.
    ask_ms: u64,
}

impl Spreading {
    /// Spreading by rounds where it is configured, and to everyone at once where not.
    pub(super) fn new(config: Option<RumourConfig>, seed: impl FnOnce() -> [u8; 32]) -> Self {
        Self { rumours: config.map(|config| Rumours::new(config, seed())), hints: BTreeMap::new() }
    }
}

impl Engine {
    /// Notes that a document moved on: everyone who syncs its space may lack something of it.
    pub(super) fn spread(&mut self, space: SpaceId, document: DocumentId) {
        let Some(held) = self.spaces.get(&space) else { return };
        let Some(rumours) = &mut self.spreading.rumours else {
            return self.pushes.note(space, document, held.sessions.iter().copied());
        };
        let Some(log) = held.space.log(&document) else { return };
        let lacks = |connection: &ConnectionId| {
            let subscription = self.sessions.get(connection).and_then(|session| session.subscriptions.get(&space));
            subscription.and_then(|subscription| subscription.deltas.get(&document)).is_none_or(|delta| delta.lacks(log))
        };
        let is_relay = |connection: &ConnectionId| {
            self.sessions.get(connection).and_then(|session| session.peer.as_ref()).is_some_and(|peer| peer.relay)
        };
        let (peers, others): (Vec<ConnectionId>, Vec<ConnectionId>) =
            held.sessions.iter().copied().partition(|connection| lacks(connection) && !is_relay(connection));
        // Who lacks nothing is sent nothing, but it is noted how far it is.
        self.pushes.note(space, document, others.into_iter());
        rumours.handle_fresh(self.now.monotonic_ms, document, peers);
    }

    /// Notes who is sent something in this round, and tells others that it is here.
    pub(super) fn go_on_spreading(&mut self) {
        let now_ms = self.now.monotonic_ms;
        while let Some(spread) = self.spreading.rumours.as_mut().and_then(|rumours| rumours.poll(now_ms)) {
            match spread {
                Spread::Push(document, connection) => {
                    if let Some(space) = self.locations.get(&document).copied() {
                        self.push_soon(connection, space, document);
                    }
                }
                Spread::Tell(document, connection) => self.tell_held(connection, document),
            }
        }
        self.ask_for_hinted();
        let rounds_ms = self.spreading.rumours.as_ref().and_then(Rumours::next_deadline);
        let hints_ms = self.spreading.hints.values().map(|hint| hint.ask_ms).min();
        if let Some(due_ms) = rounds_ms.into_iter().chain(hints_ms).min() {
            self.timers.set(Timer::Spread, due_ms);
        }
    }

    /// Learns what a peer says it holds: what of it is not here will come, or is asked for.
    pub(super) fn on_hint(&mut self, connection: ConnectionId, document: DocumentId, clock: &VectorClock) {
        let Some(config) = self.config.spreading else { return };
        let subscriptions = self.sessions.get(&connection).map(|session| &session.subscriptions);
        // A document that is new belongs to the space that is synced; of several it is not known to which.
        let only = subscriptions.filter(|all| all.len() == 1).and_then(|all| all.keys().next());
        let Some(space) = self.locations.get(&document).or(only).copied() else { return };
        if self.holds_all(&document, clock) || self.spreading.hints.len() >= RUMOURS_MAX {
            return;
        }
        let ask_ms = self.now.monotonic_ms + config.ask_ms;
        let clock = clock.clone();
        let hint = self.spreading.hints.entry(document).or_insert(Hint { space, connection, clock: clock.clone(), ask_ms });
        if !clock.is_within(&hint.clock) {
            (hint.connection, hint.ask_ms) = (connection, ask_ms);
            hint.clock.merge(&clock);
        }
        let ask_ms = hint.ask_ms;
        self.timers.set_no_later(Timer::Spread, ask_ms);
    }

    /// Asks for what was said to be held elsewhere and has not come.
    fn ask_for_hinted(&mut self) {
        let now_ms = self.now.monotonic_ms;
        let due: Vec<DocumentId> =
            self.spreading.hints.iter().filter(|(_, hint)| hint.ask_ms <= now_ms).map(|(document, _)| *document).collect();
        for document in due {
            if let Some(Hint { space, connection, clock, .. }) = self.spreading.hints.remove(&document)
                && !self.holds_all(&document, &clock)
            {
                self.ask(connection, space, document);
            }
        }
    }

    fn holds_all(&self, document: &DocumentId, clock: &VectorClock) -> bool {
        self.log(document).is_some_and(|log| clock.is_within(&log.version().clock))
    }

    /// Learns that a peer may hold what is on its way to it: it said so, or sent it.
    pub(super) fn on_may_hold(&mut self, connection: ConnectionId, document: DocumentId) {
        let Some(rumours) = &mut self.spreading.rumours else { return };
        let Some(space) = self.locations.get(&document).copied() else { return };
        let Some(log) = self.spaces.get(&space).and_then(|held| held.space.log(&document)) else { return };
        let subscription = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(&space));
        let delta = subscription.and_then(|subscription| subscription.deltas.get(&document));
        if delta.is_some_and(|delta| delta.holds(log)) {
            rumours.handle_held(document, connection);
            // It has no turn any more: what else it lacks, if anything, it is sent now.
            self.push_soon(connection, space, document);
        }
    }

    /// Learns that a connection has ended.
    pub(super) fn stop_spreading_to(&mut self, connection: ConnectionId) {
        if let Some(rumours) = &mut self.spreading.rumours {
            rumours.handle_gone(connection);
        }
    }

    /// Tells a peer that the newest of a document is here, once that is so: an acknowledgement of what it need not send.
    fn tell_held(&mut self, connection: ConnectionId, document: DocumentId) {
        let Some(log) = self.log(&document) else { return };
        let Some(newest) = log.tail_until(log.end()).next() else { return };
        let (actor, seq) = (newest.actor, newest.seq);
        if log.undurable() > 0 {
            self.logs.owe_once_durable(connection, document, actor, seq);
        } else {
            self.owe_ack(connection, document, actor, seq);
        }
    }
}
