//! Documents of which what a peer sends does not fit: it depends on what was not sent.
//!
//! The peer is asked again, a few times. In an owned space it may stand on what waits for its writer's word, or on what one side has set aside and the other
//! not yet, or what is held here may be made up: so there it is asked again every few seconds, and what is held is suspected.

use super::Engine;
use super::effect::TroubleKind;
use super::timers::Timer;
use crate::base::id::{ConnectionId, DocumentId, SpaceId};
use crate::sync::delta::STRIKES_MAX;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::owned::is_owned;

/// Milliseconds after which a peer is asked again for a document of an owned space of which what it sent did not fit.
const STRUCK_MS: u64 = 5_000;

impl Engine {
    /// Asks a peer again for a document of which it sent what does not fit; after a few times that led nowhere, no more.
    pub(super) fn ask_again(&mut self, space: SpaceId, document: DocumentId, connection: ConnectionId) {
        let mut strikes = 0;
        self.with_delta(connection, space, document, |delta, _| {
            if delta.asked.is_none() {
                delta.strikes = delta.strikes.saturating_add(1);
            }
            strikes = delta.strikes;
        });
        if strikes < STRIKES_MAX {
            self.ask(connection, space, document);
        } else if is_owned(&space) {
            // It may stand on what waits for its writer's word, or on what one side has set aside and the other not yet.
            self.timers.set_no_later(Timer::Struck(document), self.now.monotonic_ms + STRUCK_MS);
        } else if strikes == STRIKES_MAX {
            let text = format!(
                "entries of document {document} depend on others that were not sent; it is not synced on this connection any more"
            );
            self.trouble(TroubleKind::Protocol, Some(document), Some(connection), text.clone());
            self.send(connection, &Message::Error { code: ErrorCode::MissingDependency, document: Some(document), text });
        }
    }

    /// Asks those again of which what they sent of a document did not fit for a while: by now it may.
    pub(super) fn ask_those_struck(&mut self, document: DocumentId) {
        let Some(space) = self.locations.get(&document).copied().filter(is_owned) else { return };
        self.suspect(space, document);
        let is_struck = |connection: &ConnectionId| self.delta_strikes(*connection, &space, &document) >= STRIKES_MAX;
        let held = self.spaces.get(&space).into_iter().flat_map(|held| held.sessions.iter());
        let struck: Vec<ConnectionId> = held.copied().filter(is_struck).collect();
        for connection in struck {
            self.with_delta(connection, space, document, |delta, _| (delta.strikes, delta.asked) = (0, None));
            self.ask(connection, space, document);
        }
    }

    pub(super) fn delta_strikes(&self, connection: ConnectionId, space: &SpaceId, document: &DocumentId) -> u8 {
        let subscription = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(space));
        subscription.and_then(|subscription| subscription.deltas.get(document)).map_or(0, |delta| delta.strikes)
    }
}
