//! Connections: hello, frames in and out, silence, goodbye.

use super::effect::{Audit, Effect, Event, TroubleKind};
use super::timers::Timer;
use super::{Engine, Phase};
use crate::base::id::{ConnectionId, PeerId, SpaceId};
use crate::base::limits::{HELLO_MS_MAX, TAKE_MS_MAX};
use crate::sync::hello::{Handshake, Refusal};
use crate::sync::message::{ErrorCode, Hello, Message};
use crate::sync::session::{Peer, Session};
use std::sync::Arc;

/// How soon a ping follows entries that nothing was heard after, in milliseconds: an open socket can be a black hole.
const EXPECT_MS: u64 = 2_000;

impl Engine {
    pub(super) fn on_connected(&mut self, connection: ConnectionId, endpoint: Option<String>) {
        let Phase::Running { identity, .. } = &self.phase else { return };
        let (handshake, hello) = Handshake::begin(identity, endpoint.is_some(), self.rng.bytes());
        let wanted = endpoint.as_ref().is_none_or(|endpoint| self.endpoints.on_connected(endpoint, connection));
        let session = Session::new(connection, endpoint, handshake, self.now.monotonic_ms);
        self.sessions.insert(connection, session);
        if !wanted {
            return self.leave(connection, "no longer wanted");
        }
        if self.sessions.len() > self.config.limits.connections_max {
            let text = format!(
                "this replica has as many connections as it may ({}); try again later",
                self.config.limits.connections_max
            );
            return self.refuse(connection, Refusal { code: ErrorCode::Busy, text });
        }
        self.timers.set(Timer::Hello(connection), self.now.monotonic_ms + HELLO_MS_MAX);
        self.send(connection, &hello);
    }

    pub(super) fn on_frame(&mut self, connection: ConnectionId, frame: &[u8]) {
        let Some(session) = self.sessions.get_mut(&connection).filter(|session| !session.closing) else { return };
        session.heard_ms = self.now.monotonic_ms;
        session.gone_ms = None;
        session.expecting = false;
        let proved = session.peer.is_some();
        if proved && self.is_too_fast(connection, frame.len()) {
            return;
        }
        let limit = self.config.limits.frame_bytes_max;
        if frame.len() > limit {
            let text = format!("a frame of {} bytes is over the limit of {limit}", frame.len());
            return self.refuse(connection, Refusal { code: ErrorCode::TooLarge, text });
        }
        let message = match Message::decode(frame) {
            Ok(message) => message,
            Err(error) => {
                let text = format!("a frame of {} bytes does not decode: {error}", frame.len());
                return self.refuse(connection, Refusal { code: ErrorCode::Malformed, text });
            }
        };
        match message {
            Message::Hello(hello) => self.on_hello(connection, hello),
            Message::Proof { signature } => self.on_proof(connection, &signature),
            // The peer has let go of a space before what was under way to it arrived: nobody's trouble.
            Message::Error { code: ErrorCode::NotSubscribed, .. } => {}
            // What is wanted follows, and is sought.
            Message::Error { code: ErrorCode::StampWanted, .. } => {}
            Message::Error { code, document, text } => {
                let kind = match code {
                    code if code.is_fatal() => TroubleKind::Protocol,
                    code if code.is_about_grants() || code == ErrorCode::NotAdmitted => TroubleKind::Forbidden,
                    _ => TroubleKind::Refused,
                };
                self.trouble(kind, document, Some(connection), format!("the peer says: {text}"));
                if code.is_fatal() {
                    self.close(connection, format!("the peer refused the connection: {text}"));
                }
            }
            Message::Goodbye { text } => self.close(connection, format!("the peer left: {text}")),
            _ if !proved => {
                let text = "a message before the hello was finished".to_owned();
                self.refuse(connection, Refusal { code: ErrorCode::OutOfOrder, text });
            }
            Message::Ping { token } => self.send(connection, &Message::Pong { token }),
            Message::Pong { token } => {
                self.on_pong(connection, token);
                self.on_asked(connection, token);
            }
            Message::Presence(presence) => {
                if self.is_subscribed(connection, &presence.space) && self.is_seen(connection, presence.space) {
                    self.on_presence(connection, presence);
                }
            }
            message @ (Message::Letter { .. } | Message::Kept { .. } | Message::Taken { .. }) => {
                self.on_post(connection, message)
            }
            message => {
                self.on_exchange(connection, message);
                self.count_frame(connection, frame.len());
            }
        }
    }

    fn on_hello(&mut self, connection: ConnectionId, hello: Hello) {
        let Phase::Running { identity, .. } = &self.phase else { return };
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        match session.handshake.handle_hello(identity, hello) {
            Err(refusal) => self.refuse(connection, refusal),
            Ok(proof) => {
                let dialled = session.endpoint.is_some();
                self.send(connection, &proof);
                // The side that dialled subscribes, and does not wait for the other's proof to say so.
                if dialled {
                    let open: Vec<SpaceId> = self.spaces.iter().filter(|(_, held)| held.open).map(|(space, _)| *space).collect();
                    for space in open {
                        self.subscribe(connection, space);
                    }
                }
            }
        }
    }

    fn on_proof(&mut self, connection: ConnectionId, signature: &[u8; 64]) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        if session.peer.is_some() {
            let text = "a second proof on one connection".to_owned();
            return self.refuse(connection, Refusal { code: ErrorCode::OutOfOrder, text });
        }
        let hello = match session.handshake.handle_proof(signature) {
            Ok(hello) => hello.clone(),
            Err(refusal) => return self.refuse(connection, refusal),
        };
        session.peer = Some(Peer { id: hello.peer, relay: hello.relay });
        let of_same = |session: &&mut Session| session.peer.as_ref().is_some_and(|peer| peer.id == hello.peer);
        let of_peer: Vec<&mut Session> = self.sessions.values_mut().filter(of_same).collect();
        if of_peer.len() > 1 {
            of_peer.into_iter().for_each(|session| session.alone = false);
        }
        if self.is_kept_out(connection, &hello.peer) {
            return;
        }
        let Some(session) = self.sessions.get(&connection) else { return };
        let endpoint = session.endpoint.clone();
        let spaces: Vec<SpaceId> = session.subscriptions.keys().copied().collect();
        for space in spaces {
            self.touch_progress(space);
        }
        if let Some(endpoint) = &endpoint {
            self.endpoints.on_established(endpoint);
        }
        self.timers.cancel(&Timer::Hello(connection));
        self.timers.set(Timer::Silence(connection), self.now.monotonic_ms + self.config.ping_ms);
        self.tell(Event::PeerConnected { connection, peer: hello.peer, relay: hello.relay, agent: hello.agent, endpoint });
        self.begin_post(connection);
    }

    pub(super) fn on_hello_timeout(&mut self, connection: ConnectionId) {
        let text = format!("the hello was not finished within {} s", HELLO_MS_MAX / 1_000);
        self.refuse(connection, Refusal { code: ErrorCode::Timeout, text });
    }

    pub(super) fn on_silence(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.get(&connection) else { return };
        let now_ms = self.now.monotonic_ms;
        if session.outbound_bytes > 0 && now_ms >= session.taken_ms + TAKE_MS_MAX {
            let text = format!("the peer has taken nothing of what it was sent for {} s", TAKE_MS_MAX / 1_000);
            return self.close(connection, text);
        }
        let quiet_ms = session.heard_ms + self.config.ping_ms;
        match session.gone_ms {
            Some(gone_ms) if now_ms >= gone_ms => self.close(connection, "nothing was heard from the peer".to_owned()),
            Some(gone_ms) => self.timers.set(Timer::Silence(connection), gone_ms),
            None if now_ms >= quiet_ms || session.expecting => self.ping(connection, self.config.silence_ms_max),
            None => self.timers.set(Timer::Silence(connection), quiet_ms),
        }
    }

    /// Asks whether the peer is there, and takes it for gone unless something is heard within `patience_ms`.
    pub(super) fn ping(&mut self, connection: ConnectionId, patience_ms: u64) {
        let now_ms = self.now.monotonic_ms;
        let Some(session) = self.sessions.get_mut(&connection).filter(|session| session.peer.is_some()) else { return };
        session.gone_ms = Some(now_ms + patience_ms);
        self.timers.set(Timer::Silence(connection), now_ms + patience_ms);
        self.send(connection, &Message::Ping { token: now_ms });
    }

    /// Expects an acknowledgement: pings soon if nothing is heard.
    pub(super) fn expect_ack(&mut self, connection: ConnectionId) {
        let Some(session) = self.sessions.get_mut(&connection).filter(|session| !session.expecting) else { return };
        session.expecting = true;
        self.timers.set_no_later(Timer::Silence(connection), self.now.monotonic_ms + EXPECT_MS);
    }

    pub(super) fn on_written(&mut self, connection: ConnectionId, bytes: usize) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        let bytes = bytes.min(session.outbound_bytes);
        session.outbound_bytes -= bytes;
        session.taken_ms = self.now.monotonic_ms;
        if session.outbound_bytes <= self.config.limits.outbound_bytes_max / 2 {
            self.resume_waiting(connection);
        }
        self.on_left(bytes);
    }

    pub(super) fn on_disconnected(&mut self, connection: ConnectionId, reason: String) {
        let Some(session) = self.sessions.remove(&connection) else { return };
        // Of a connection that is not proved yet the peer may be the same.
        for other in self.sessions.values_mut().filter(|other| other.peer.is_none()) {
            other.alone = false;
        }
        self.timers.cancel(&Timer::Hello(connection));
        self.timers.cancel(&Timer::Silence(connection));
        self.on_left(session.outbound_bytes);
        for space in session.subscriptions.keys() {
            if let Some(held) = self.spaces.get_mut(space) {
                held.sessions.remove(&connection);
                held.space.keep_state();
            }
            self.touch_progress(*space);
        }
        self.strands.forget(connection);
        self.stop_spreading_to(connection);
        self.drop_presences(connection);
        self.forget_peer_rolls(connection);
        self.forget_held_back(connection);
        // What had arrived of a snapshot made others wait.
        self.ask_for_refused();
        let retry_ms = session.endpoint.as_ref().and_then(|endpoint| self.redial_later(endpoint, Some(connection)));
        let peer = session.peer.map(|peer| peer.id);
        self.end_post(connection, peer);
        self.forget_guest(connection);
        self.tell(Event::PeerDisconnected { connection: Some(connection), peer, endpoint: session.endpoint, reason, retry_ms });
    }

    /// Who has proved to be at the other end.
    pub(super) fn peer_of(&self, connection: ConnectionId) -> Option<PeerId> {
        Some(self.sessions.get(&connection)?.peer.as_ref()?.id)
    }

    /// The largest frame that the peer takes.
    pub(super) fn frame_bytes_max(&self, connection: ConnectionId) -> usize {
        let hello = self.sessions.get(&connection).and_then(|session| session.handshake.theirs());
        hello.map_or(usize::MAX, |hello| usize::try_from(hello.frame_bytes_max).unwrap_or(usize::MAX))
    }

    /// Sends a message, unless the connection is being closed.
    pub(super) fn send(&mut self, connection: ConnectionId, message: &Message) {
        if let Message::Error { code, text, .. } = message {
            self.count_refusal(*code);
            let (reason, peer) = (code.word(), self.peer_of(connection));
            self.audit(Audit::Refused { connection, peer, reason, text: text.clone() });
        }
        self.send_frame(connection, Arc::from(message.encode()));
    }

    pub(super) fn send_frame(&mut self, connection: ConnectionId, frame: Arc<[u8]>) {
        let Some(session) = self.sessions.get_mut(&connection).filter(|session| !session.closing) else { return };
        if session.outbound_bytes == 0 {
            session.taken_ms = self.now.monotonic_ms;
        }
        session.outbound_bytes += frame.len();
        self.pushes.outbound_bytes += frame.len();
        if !session.syncing.is_empty() {
            self.stats.sync_bytes_out += frame.len() as u64;
        }
        self.effects.push_back(Effect::Send { connection, frame });
    }

    /// Sends a message to everyone who syncs a space, but for one.
    pub(super) fn send_to_space(&mut self, space: &SpaceId, except: Option<ConnectionId>, message: &Message) {
        let Some(held) = self.spaces.get(space) else { return };
        let frame: Arc<[u8]> = Arc::from(message.encode());
        let connections: Vec<ConnectionId> =
            held.sessions.iter().copied().filter(|connection| Some(*connection) != except).collect();
        for connection in connections {
            self.send_frame(connection, frame.clone());
        }
    }

    /// Says what is wrong, and closes the connection.
    pub(super) fn refuse(&mut self, connection: ConnectionId, refusal: Refusal) {
        let Refusal { code, text } = refusal;
        if self.sessions.get(&connection).is_none_or(|session| session.closing) {
            return;
        }
        self.send(connection, &Message::Error { code, document: None, text: text.clone() });
        self.trouble(TroubleKind::Protocol, None, Some(connection), text.clone());
        self.close(connection, text);
    }

    /// Says goodbye, and closes the connection.
    pub(super) fn leave(&mut self, connection: ConnectionId, text: &str) {
        self.send(connection, &Message::Goodbye { text: text.to_owned() });
        self.close(connection, text.to_owned());
    }

    /// Says goodbye to every peer, as before a planned end; the connections close once that is written.
    pub fn leave_all(&mut self, text: &str) {
        let connections: Vec<ConnectionId> = self.sessions.keys().copied().collect();
        for connection in connections {
            self.leave(connection, text);
        }
    }

    pub(super) fn close(&mut self, connection: ConnectionId, reason: String) {
        let Some(session) = self.sessions.get_mut(&connection).filter(|session| !session.closing) else { return };
        session.closing = true;
        self.timers.cancel(&Timer::Hello(connection));
        self.timers.cancel(&Timer::Silence(connection));
        self.effects.push_back(Effect::Disconnect { connection, reason });
    }
}
