//! Where to dial, and when.

use super::Engine;
use super::effect::{Effect, Event};
use super::timers::Timer;
use crate::base::backoff::Backoff;
use crate::base::id::ConnectionId;
use std::collections::BTreeMap;

/// Milliseconds a ping may take once the network has changed: what is open may lead nowhere.
const RECHECK_MS: u64 = 3_000;

/// The endpoints the app wants to be connected to.
#[derive(Debug)]
pub(super) struct Endpoints {
    known: BTreeMap<String, Endpoint>,
    online: bool,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self { known: BTreeMap::new(), online: true }
    }
}

#[derive(Debug, Default)]
struct Endpoint {
    state: State,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not dialled: its time has not come, or the replica is offline.
    #[default]
    Idle,
    /// The driver is dialling.
    Dialling,
    /// There is a connection.
    Connected(ConnectionId),
}

impl Endpoints {
    /// Notes that a connection to an endpoint is open; answers whether it is wanted.
    pub(super) fn on_connected(&mut self, endpoint: &str, connection: ConnectionId) -> bool {
        let Some(known) = self.known.get_mut(endpoint) else { return false };
        // Also one that is not wanted is noted: it is dialled again only once this connection has ended.
        known.state = State::Connected(connection);
        self.online
    }

    /// Notes that an endpoint works.
    pub(super) fn on_established(&mut self, endpoint: &str) {
        if let Some(known) = self.known.get_mut(endpoint) {
            known.backoff.reset();
        }
    }
}

impl Engine {
    pub(super) fn on_add_endpoint(&mut self, endpoint: String) {
        self.endpoints.known.entry(endpoint.clone()).or_default();
        self.dial(&endpoint);
    }

    pub(super) fn on_remove_endpoint(&mut self, endpoint: &str) {
        self.timers.cancel(&Timer::Dial(endpoint.to_owned()));
        if let Some(Endpoint { state: State::Connected(connection), .. }) = self.endpoints.known.remove(endpoint) {
            self.leave(connection, "the endpoint was removed");
        }
    }

    pub(super) fn on_set_online(&mut self, online: bool) {
        if self.endpoints.online == online {
            return;
        }
        self.endpoints.online = online;
        let names: Vec<String> = self.endpoints.known.keys().cloned().collect();
        if online {
            for name in names {
                self.dial(&name);
            }
            return;
        }
        for name in names {
            self.timers.cancel(&Timer::Dial(name));
        }
        let connections: Vec<ConnectionId> = self.sessions.keys().copied().collect();
        for connection in connections {
            self.leave(connection, "working offline");
        }
    }

    pub(super) fn on_network_changed(&mut self) {
        let names: Vec<String> = self.endpoints.known.keys().cloned().collect();
        for name in names {
            self.dial(&name);
        }
        let connections: Vec<ConnectionId> = self.sessions.keys().copied().collect();
        for connection in connections {
            self.ping(connection, RECHECK_MS);
        }
    }

    /// Dials an endpoint, unless it is connected or being dialled.
    pub(super) fn dial(&mut self, endpoint: &str) {
        let online = self.endpoints.online;
        if let Some(known) = self.endpoints.known.get_mut(endpoint)
            && online
            && known.state == State::Idle
        {
            known.state = State::Dialling;
            self.timers.cancel(&Timer::Dial(endpoint.to_owned()));
            self.effects.push_back(Effect::Dial { endpoint: endpoint.to_owned() });
        }
    }

    pub(super) fn on_dial_failed(&mut self, endpoint: String, reason: String) {
        let retry_ms = self.redial_later(&endpoint, None);
        self.tell(Event::PeerDisconnected { connection: None, peer: None, endpoint: Some(endpoint), reason, retry_ms });
    }

    /// Plans the next attempt at an endpoint that failed or whose connection `ended`; says how long it will be.
    pub(super) fn redial_later(&mut self, endpoint: &str, ended: Option<ConnectionId>) -> Option<u64> {
        let online = self.endpoints.online;
        let known = self.endpoints.known.get_mut(endpoint)?;
        if ended.is_some_and(|ended| known.state != State::Connected(ended)) {
            return None;
        }
        known.state = State::Idle;
        if !online {
            return None;
        }
        let wait = known.backoff.next_ms(&mut self.rng);
        self.timers.set(Timer::Dial(endpoint.to_owned()), self.now.monotonic_ms + wait);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Now;
    use crate::engine::config::{EngineConfig, Role};
    use crate::engine::input::{Command, Input};
    use crate::store::journal::Journal;
    use crate::store::medium::MemoryMedium;

    /// Tells the engine something, and answers how often it then dials.
    fn dials(engine: &mut Engine, store: &mut Journal<MemoryMedium>, input: Input) -> usize {
        engine.handle(Now::at(0), input);
        let mut dials = 0;
        while let Some(effect) = engine.poll_effect() {
            match effect {
                Effect::Dial { .. } => dials += 1,
                Effect::Store { task, work } => {
                    let result = store.execute(work);
                    engine.handle(Now::at(0), Input::StoreDone { task, result });
                }
                _ => {}
            }
        }
        dials
    }

    #[test]
    fn a_connection_that_opens_after_going_offline_is_closed_and_dialled_again_when_online() {
        let mut engine = Engine::new(EngineConfig::new(Role::Client, [1; 32]), Now::at(0));
        let mut store = Journal::new(MemoryMedium::new());
        let mut dials = |command| dials(&mut engine, &mut store, command);
        let endpoint = || "ws://relay".to_owned();
        let connection = ConnectionId(1);
        let online = |online| Input::Command(Command::SetOnline { online });
        dials(Input::Tick);
        assert_eq!(dials(Input::Command(Command::AddEndpoint { endpoint: endpoint() })), 1);
        assert_eq!(dials(online(false)), 0);
        assert_eq!(dials(Input::Connected { connection, endpoint: Some(endpoint()) }), 0);
        assert_eq!(dials(Input::Disconnected { connection, reason: "working offline".to_owned() }), 0);
        assert_eq!(dials(online(true)), 1);
    }
}
