//! Which peers are sent something new now, and which later, where there are many and each passes it on: gossip among native peers.
//!
//! Without a fan-out, as for relays and clients, everyone is sent at once what is new. With one, [`crate::gossip::rumour`] chooses.
//! It decides only when a peer has its turn; what that peer lacks is still what its clock says, so nothing is sent to a peer that
//! was faster elsewhere. A peer that was away is not its business: it is sent what it missed when it subscribes.

use super::Engine;
use super::timers::Timer;
use crate::base::id::{ConnectionId, DocumentId, SpaceId};
use crate::gossip::rumour::{RumourConfig, Rumours, Spread};

/// What is on its way to peers in rounds.
#[derive(Debug)]
pub(super) struct Spreading {
    rumours: Option<Rumours<DocumentId, ConnectionId>>,
}

impl Spreading {
    /// Spreading by rounds where it is configured, and to everyone at once where not.
    pub(super) fn new(config: Option<RumourConfig>, seed: impl FnOnce() -> [u8; 32]) -> Self {
        Self { rumours: config.map(|config| Rumours::new(config, seed())) }
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
        let lacking: Vec<ConnectionId> = held.sessions.iter().copied().filter(lacks).collect();
        rumours.handle_fresh(self.now.monotonic_ms, document, lacking);
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
        if let Some(due_ms) = self.spreading.rumours.as_ref().and_then(Rumours::next_deadline) {
            self.timers.set(Timer::Spread, due_ms);
        }
    }

    /// Learns that a peer may hold what is on its way to it: it said so, or sent it.
    pub(super) fn on_may_hold(&mut self, connection: ConnectionId, document: DocumentId) {
        let Some(rumours) = &mut self.spreading.rumours else { return };
        let Some(space) = self.locations.get(&document) else { return };
        let Some(log) = self.spaces.get(space).and_then(|held| held.space.log(&document)) else { return };
        let subscription = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(space));
        let delta = subscription.and_then(|subscription| subscription.deltas.get(&document));
        if delta.is_some_and(|delta| delta.holds(log)) {
            rumours.handle_held(document, connection);
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
