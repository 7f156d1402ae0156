//! Who is here: short-lived state that is passed on and never stored.
//!
//! The latest state of each instance counts, by a counter that its replica raises. A state goes when its replica says
//! goodbye, when the connection it came over ends, or when nothing was heard of it for a while.

use super::message::PresenceMessage;
use crate::base::id::{ConnectionId, PeerId, SpaceId};
use crate::base::limits::PRESENCE_STATES_MAX;
use std::collections::BTreeMap;

/// Milliseconds after which a replica repeats its presence, so that others do not take it for gone.
pub const REFRESH_MS: u64 = 20_000;
/// Milliseconds after which presence that was not repeated is gone.
pub const EXPIRY_MS: u64 = 65_000;
/// Least milliseconds between two states of one instance on the wire: what is faster is coalesced.
pub const THROTTLE_MS: u64 = 40;

/// Everyone's presence, of every space.
#[derive(Clone, Debug, Default)]
pub struct PresenceBoard {
    seen: BTreeMap<(SpaceId, PeerId, u64), Seen>,
    counts: BTreeMap<SpaceId, usize>,
}

#[derive(Clone, Debug)]
struct Seen {
    counter: u64,
    state: Option<String>,
    via: ConnectionId,
    heard_ms: u64,
}

impl PresenceBoard {
    /// Takes what arrived over a connection; answers whether it is news, which is then told and passed on.
    pub fn receive(&mut self, now_ms: u64, via: ConnectionId, message: &PresenceMessage) -> bool {
        let key = (message.space, message.peer, message.instance);
        let fresh = Seen { counter: message.counter, state: message.state.clone(), via, heard_ms: now_ms };
        match self.seen.get_mut(&key) {
            Some(seen) if message.counter <= seen.counter => false,
            Some(seen) => {
                *seen = fresh;
                true
            }
            None if message.state.is_none() => false,
            None => {
                let count = self.counts.entry(message.space).or_insert(0);
                if *count >= PRESENCE_STATES_MAX {
                    return false;
                }
                *count += 1;
                self.seen.insert(key, fresh);
                true
            }
        }
    }

    /// Everyone present in a space, to tell a newcomer.
    pub fn present<'a>(&'a self, space: &SpaceId) -> impl Iterator<Item = PresenceMessage> + 'a {
        self.seen
            .range((*space, PeerId([0; 32]), 0)..=(*space, PeerId([255; 32]), u64::MAX))
            .filter(|(_, seen)| seen.state.is_some())
            .map(|(key, seen)| message_of(key, seen))
    }

    /// Takes away whatever came over a connection that ended; answers the goodbyes to tell and to pass on.
    pub fn drop_connection(&mut self, connection: ConnectionId) -> Vec<PresenceMessage> {
        self.drop_where(|_, seen| seen.via == connection)
    }

    /// Takes away whatever came over a connection in one space; answers the goodbyes to tell and to pass on.
    pub fn drop_in(&mut self, connection: ConnectionId, space: &SpaceId) -> Vec<PresenceMessage> {
        self.drop_where(|of, seen| of == space && seen.via == connection)
    }

    /// Takes away whatever was not repeated in time; answers the goodbyes.
    pub fn expire(&mut self, now_ms: u64) -> Vec<PresenceMessage> {
        self.drop_where(|_, seen| seen.heard_ms + EXPIRY_MS <= now_ms)
    }

    /// When [`Self::expire`] next has something to do.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.seen.values().map(|seen| seen.heard_ms + EXPIRY_MS).min()
    }

    fn drop_where(&mut self, gone: impl Fn(&SpaceId, &Seen) -> bool) -> Vec<PresenceMessage> {
        let keys: Vec<_> = self.seen.iter().filter(|(key, seen)| gone(&key.0, seen)).map(|(key, _)| *key).collect();
        let mut goodbyes = Vec::new();
        for key in keys {
            let Some(seen) = self.seen.remove(&key) else { continue };
            if let Some(count) = self.counts.get_mut(&key.0) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&key.0);
                }
            }
            if seen.state.is_some() {
                goodbyes.push(message_of(&key, &Seen { counter: seen.counter + 1, state: None, ..seen }));
            }
        }
        goodbyes
    }
}

fn message_of(&(space, peer, instance): &(SpaceId, PeerId, u64), seen: &Seen) -> PresenceMessage {
    PresenceMessage { space, peer, instance, counter: seen.counter, state: seen.state.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(counter: u64, state: Option<&str>) -> PresenceMessage {
        PresenceMessage { space: SpaceId([1; 16]), peer: PeerId([2; 32]), instance: 1, counter, state: state.map(str::to_owned) }
    }

    #[test]
    fn the_latest_state_counts_and_an_older_one_that_took_a_detour_does_not() {
        let mut board = PresenceBoard::default();
        assert!(board.receive(0, ConnectionId(1), &here(5, Some("at line 5"))));
        assert!(!board.receive(1, ConnectionId(2), &here(4, Some("at line 4"))));
        assert!(!board.receive(1, ConnectionId(2), &here(5, Some("at line 5"))));
        assert_eq!(board.present(&SpaceId([1; 16])).collect::<Vec<_>>(), [here(5, Some("at line 5"))]);
    }

    #[test]
    fn nobody_stays_as_a_ghost() {
        let mut board = PresenceBoard::default();
        board.receive(0, ConnectionId(1), &here(1, Some("here")));
        // The replica came back over a second connection before the first was found dead: it is not gone.
        board.receive(1, ConnectionId(2), &here(2, Some("still here")));
        assert_eq!(board.drop_connection(ConnectionId(1)), []);
        assert_eq!(board.drop_connection(ConnectionId(2)), [here(3, None)]);
        assert_eq!(board.present(&SpaceId([1; 16])).count(), 0);

        board.receive(100, ConnectionId(3), &here(9, Some("here")));
        assert_eq!(board.next_expiry_ms(), Some(100 + EXPIRY_MS));
        assert_eq!(board.expire(100 + EXPIRY_MS), [here(10, None)]);
    }
}
