//! Our own presence, and passing on others'.

use super::Engine;
use super::effect::Event;
use super::timers::Timer;
use crate::base::id::{ConnectionId, PeerId, SpaceId};
use crate::base::limits::PRESENCE_BYTES_MAX;
use crate::sync::message::{Message, PresenceMessage};
use crate::sync::presence::{PresenceBoard, REFRESH_MS, THROTTLE_MS};
use crate::trust::owned::is_sealed;
use std::collections::BTreeMap;

/// Presence of this replica and of others.
#[derive(Debug, Default)]
pub(super) struct Presences {
    board: PresenceBoard,
    own: BTreeMap<(SpaceId, u64), Own>,
    counter: u64,
}

#[derive(Debug)]
struct Own {
    state: Option<String>,
    sent_ms: Option<u64>,
    dirty: bool,
}

/// Longest state in a sealed space in bytes: sealed and written as text it has to be within the bound of all.
const SEALED_PRESENCE_BYTES_MAX: usize = PRESENCE_BYTES_MAX * 5 / 8;

/// Where a state stands, so that it cannot be shown as another's, or again.
fn presence_place(peer: &PeerId, instance: u64, counter: u64) -> Vec<u8> {
    [b"presence", &peer.0[..], &instance.to_be_bytes(), &counter.to_be_bytes()].concat()
}

impl Engine {
    pub(super) fn on_set_presence(&mut self, space: SpaceId, instance: u64, state: Option<String>) {
        let bytes_max = if is_sealed(&space) { SEALED_PRESENCE_BYTES_MAX } else { PRESENCE_BYTES_MAX };
        if state.as_ref().is_some_and(|state| state.len() > bytes_max) {
            let message = format!("a presence of more than {bytes_max} bytes was not shown to anyone");
            return self.trouble(super::effect::TroubleKind::Refused, None, None, message);
        }
        let Some(peer) = self.peer_id() else { return };
        let own = self.presences.own.entry((space, instance)).or_insert(Own { state: None, sent_ms: None, dirty: false });
        if own.state == state && own.sent_ms.is_some() {
            return;
        }
        own.state = state.clone();
        own.dirty = true;
        self.tell(Event::Presence { space, peer, instance, state });
        self.on_presence_send();
    }

    /// Sends what changed and was not sent a moment ago.
    pub(super) fn on_presence_send(&mut self) {
        let now_ms = self.now.monotonic_ms;
        let (mut due, mut later) = (Vec::new(), None::<u64>);
        for (key, own) in self.presences.own.iter_mut().filter(|(_, own)| own.dirty) {
            let at = own.sent_ms.map_or(0, |sent| sent + THROTTLE_MS);
            if at <= now_ms {
                (own.dirty, own.sent_ms) = (false, Some(now_ms));
                due.push(*key);
            } else {
                later = Some(later.map_or(at, |later| later.min(at)));
            }
        }
        for key in due {
            if let Some(message) = self.own_presence(key) {
                self.send_to_space(&key.0, None, &Message::Presence(message));
            }
            if self.presences.own.get(&key).is_some_and(|own| own.state.is_none()) {
                self.presences.own.remove(&key);
            }
        }
        if let Some(later) = later {
            self.timers.set_no_later(Timer::PresenceSend, later);
        }
        if !self.presences.own.is_empty() {
            self.timers.set_no_later(Timer::PresenceRefresh, now_ms + REFRESH_MS);
        }
    }

    pub(super) fn on_presence_refresh(&mut self) {
        for own in self.presences.own.values_mut() {
            own.dirty = true;
        }
        self.on_presence_send();
    }

    pub(super) fn on_presence_expiry(&mut self) {
        let goodbyes = self.presences.board.expire(self.now.monotonic_ms);
        self.tell_goodbyes(goodbyes);
        self.plan_presence_expiry();
    }

    /// Shows a newcomer who is here.
    pub(super) fn send_presences(&mut self, connection: ConnectionId, space: SpaceId) {
        let own: Vec<_> = self.presences.own.keys().filter(|(own_space, _)| *own_space == space).copied().collect();
        let mut messages: Vec<PresenceMessage> = own.into_iter().filter_map(|key| self.own_presence(key)).collect();
        if self.is_relay() {
            messages.extend(self.presences.board.present(&space));
        }
        for message in messages {
            self.send(connection, &Message::Presence(message));
        }
    }

    pub(super) fn on_presence(&mut self, connection: ConnectionId, message: PresenceMessage) {
        let Some(peer) = self.sessions.get(&connection).and_then(|session| session.peer.as_ref()) else { return };
        // Only a relay speaks for others; and nobody speaks for us.
        let own = Some(message.peer) == self.peer_id();
        if own || (!peer.relay && message.peer != peer.id) {
            return;
        }
        if self.presences.board.receive(self.now.monotonic_ms, connection, &message) {
            self.pass_on(Some(connection), message);
            self.plan_presence_expiry();
        }
    }

    pub(super) fn drop_presences(&mut self, connection: ConnectionId) {
        let goodbyes = self.presences.board.drop_connection(connection);
        self.tell_goodbyes(goodbyes);
    }

    /// Shows nobody any more what came over a connection in a space.
    pub(super) fn drop_presences_in(&mut self, connection: ConnectionId, space: SpaceId) {
        let goodbyes = self.presences.board.drop_in(connection, &space);
        self.tell_goodbyes(goodbyes);
    }

    fn tell_goodbyes(&mut self, goodbyes: Vec<PresenceMessage>) {
        for goodbye in goodbyes {
            self.pass_on(None, goodbye);
        }
    }

    fn pass_on(&mut self, from: Option<ConnectionId>, message: PresenceMessage) {
        // What cannot be read is passed on all the same.
        self.show(&message);
        if self.is_relay() {
            let space = message.space;
            self.send_to_space(&space, from, &Message::Presence(message));
        }
    }

    /// Tells the app of a presence, if it can be read.
    fn show(&mut self, message: &PresenceMessage) {
        let PresenceMessage { space, peer, instance, counter, .. } = *message;
        let shown = match &message.state {
            Some(sealed) if is_sealed(&space) => {
                let place = presence_place(&peer, instance, counter);
                self.keys_of(&space).and_then(|keys| keys.open_text(&place, sealed)).map(Some)
            }
            state => Some(state.clone()),
        };
        if let Some(state) = shown {
            self.tell(Event::Presence { space, peer, instance, state });
        }
    }

    /// A key of a sealed space has come: who is there can be read, and be shown who is here.
    pub(super) fn show_presences_anew(&mut self, space: SpaceId) {
        let others: Vec<PresenceMessage> = self.presences.board.present(&space).collect();
        for message in &others {
            self.show(message);
        }
        for (_, own) in self.presences.own.iter_mut().filter(|((of, _), _)| *of == space) {
            (own.dirty, own.sent_ms) = (true, None);
        }
        self.on_presence_send();
    }

    fn own_presence(&mut self, (space, instance): (SpaceId, u64)) -> Option<PresenceMessage> {
        let peer = self.peer_id()?;
        let state = self.presences.own.get(&(space, instance))?.state.clone();
        // Above whatever this instance used before a restart, which began at an earlier time of day.
        self.presences.counter = (self.presences.counter + 1).max(u64::try_from(self.now.unix_ms).unwrap_or(0));
        let counter = self.presences.counter;
        let state = match state.filter(|_| is_sealed(&space)) {
            Some(shown) => {
                let nonce = self.rng.bytes();
                let (epoch, _) = self.leading(&space)?;
                let place = presence_place(&peer, instance, counter);
                Some(self.keys_of(&space)?.seal_text((epoch, nonce), &place, &shown)?)
            }
            None if is_sealed(&space) => None,
            None => self.presences.own.get(&(space, instance))?.state.clone(),
        };
        Some(PresenceMessage { space, peer, instance, counter, state })
    }

    fn plan_presence_expiry(&mut self) {
        if !self.timers.is_set(&Timer::PresenceExpiry)
            && let Some(at) = self.presences.board.next_expiry_ms()
        {
            self.timers.set(Timer::PresenceExpiry, at);
        }
    }
}
