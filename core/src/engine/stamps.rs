//! Stamps: asked for by a relay, and found by whoever brings it a space, a little at a time.

use super::Engine;
use super::effect::TroubleKind;
use super::timers::Timer;
use crate::base::id::{ConnectionId, SpaceId};
use crate::base::limits::{STAMP_BITS_MAX, SUBSCRIPTIONS_MAX};
use crate::policy::stamp::{Search, is_good};
use crate::sync::message::{ErrorCode, Message};
use std::collections::BTreeMap;

/// Numbers tried before anything else has its turn: a millisecond or two of work.
const TRIES: u32 = 8_192;

/// Stamps that are being sought.
pub(super) type Searches = BTreeMap<(ConnectionId, SpaceId), Search>;

impl Engine {
    /// Tells a peer how much work a space of its costs.
    pub(super) fn ask_for_stamp(&mut self, connection: ConnectionId, space: SpaceId, bits: u32) {
        let text = format!(
            "space {space} is new here, and new spaces want a stamp of {bits} bits: a number that takes some computing to find (since version 4 of the protocol)"
        );
        self.refuse_softly(connection, ErrorCode::StampWanted, None, text);
        // First that: whoever finds one at once subscribes anew.
        self.send(connection, &Message::Unsubscribe { space });
        if self.speaks_letters(connection) {
            self.send(connection, &Message::Stamp { space, asks: true, bits: u64::from(bits), nonce: [0; 8] });
        }
    }

    pub(super) fn on_stamp(&mut self, connection: ConnectionId, space: SpaceId, asks: bool, bits: u64, nonce: &[u8; 8]) {
        if asks { self.on_stamp_wanted(connection, space, bits) } else { self.on_stamp_shown(connection, space, nonce) }
    }

    /// Checks work that was done, once: the space is taken when it is brought next on this connection.
    fn on_stamp_shown(&mut self, connection: ConnectionId, space: SpaceId, nonce: &[u8; 8]) {
        let bits = self.config.quotas.stamp_bits;
        let Some(own) = self.peer_id().filter(|_| bits > 0) else { return };
        if !is_good(&own, &space, bits, nonce) {
            return self.ask_for_stamp(connection, space, bits);
        }
        let many = self.house.stamped.range((connection, SpaceId([0; 16]))..=(connection, SpaceId([0xff; 16]))).count();
        if many < SUBSCRIPTIONS_MAX {
            self.house.stamped.insert((connection, space));
        }
    }

    /// Begins to seek what a relay wants that this replica has dialled.
    fn on_stamp_wanted(&mut self, connection: ConnectionId, space: SpaceId, bits: u64) {
        let is_open = self.spaces.get(&space).is_some_and(|held| held.open);
        let Some(relay) = self.peer_of(connection).filter(|_| is_open && self.is_dialled(connection)) else { return };
        let bits = match u32::try_from(bits) {
            Ok(bits) if bits <= STAMP_BITS_MAX => bits,
            _ => {
                let message = format!(
                    "space {space} is not synced there: the relay wants a stamp of {bits} bits, which would take too long to find; ask its operator for less"
                );
                return self.trouble(TroubleKind::Refused, None, Some(connection), message);
            }
        };
        let from = u64::from_le_bytes(self.rng.bytes());
        self.searches.entry((connection, space)).or_insert_with(|| Search::new(relay, space, bits, from));
        self.timers.set_no_later(Timer::Stamp, self.now.monotonic_ms);
    }

    /// Seeks on for a moment.
    pub(super) fn on_search_due(&mut self) {
        let Some((key, search)) = self.searches.iter_mut().next() else { return };
        let (connection, space) = *key;
        if let Some(nonce) = search.step(TRIES) {
            self.searches.remove(&(connection, space));
            self.send(connection, &Message::Stamp { space, asks: false, bits: 0, nonce });
            // All is said again: the relay has taken nothing of it.
            self.trust.peers.remove(&(connection, space));
            if let Some(session) = self.sessions.get_mut(&connection) {
                session.subscriptions.remove(&space);
            }
            self.subscribe(connection, space);
        }
        if !self.searches.is_empty() {
            self.timers.set_no_later(Timer::Stamp, self.now.monotonic_ms + 1);
        }
    }

    pub(super) fn end_searches(&mut self, connection: ConnectionId) {
        self.searches.retain(|(of, _), _| *of != connection);
    }
}
