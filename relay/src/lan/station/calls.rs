//! Other relays that this one was told to call.

use crate::lan::limits::{REDIAL_FIRST, REDIAL_LATER};
use crate::lan::relays::RelayAddress;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use std::time::{Duration, Instant};

/// The relays, and how the calls to them stand.
#[derive(Debug)]
pub(super) struct Calls(Vec<Called>);

#[derive(Debug)]
struct Called {
    relay: RelayAddress,
    /// The call that is under way.
    call: Option<ConnectionId>,
    connections: usize,
    at: Instant,
    wait: Duration,
}

impl Calls {
    pub(super) fn new(relays: Vec<RelayAddress>, now: Instant) -> Self {
        let called = |relay| Called { relay, call: None, connections: 0, at: now, wait: REDIAL_FIRST };
        Self(relays.into_iter().map(called).collect())
    }

    /// Those that are connected.
    pub(super) fn connected(&self) -> Vec<PeerId> {
        self.0.iter().filter(|called| called.connections > 0).map(|called| called.relay.peer()).collect()
    }

    /// The calls that are to be made now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<DialOpts> {
        let due = self.0.iter_mut().filter(|called| called.connections == 0 && called.call.is_none() && called.at <= now);
        due.map(|called| {
            let call = DialOpts::peer_id(called.relay.peer())
                .condition(PeerCondition::Always)
                .addresses(vec![called.relay.address().clone()])
                .build();
            called.call = Some(call.connection_id());
            call
        })
        .collect()
    }

    /// When the next is to be made.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().filter(|called| called.connections == 0 && called.call.is_none()).map(|called| called.at).min()
    }

    /// Notes a connection; answers whether it is the first to a relay that is called.
    pub(super) fn on_connected(&mut self, peer: &PeerId, connection: ConnectionId) -> bool {
        let Some(called) = self.0.iter_mut().find(|called| called.relay.peer() == *peer) else { return false };
        called.call = called.call.filter(|call| *call != connection);
        called.connections += 1;
        called.wait = REDIAL_FIRST;
        called.connections == 1
    }

    /// Notes that a connection is gone; answers whether it was the last to a relay that is called.
    pub(super) fn on_disconnected(&mut self, peer: &PeerId, now: Instant) -> bool {
        let Some(called) = self.0.iter_mut().find(|called| called.relay.peer() == *peer) else { return false };
        called.connections = called.connections.saturating_sub(1);
        called.at = now + called.wait;
        called.connections == 0
    }

    /// Notes that a call came to nothing.
    pub(super) fn on_failed(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(called) = self.0.iter_mut().find(|called| called.call == Some(connection)) {
            called.call = None;
            called.at = now + called.wait;
            called.wait = (called.wait * 2).min(REDIAL_LATER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lan::identity::Identity;

    #[test]
    fn a_relay_is_called_until_it_is_there_and_again_when_it_has_gone() {
        let peer = Identity::fresh().network_peer();
        let relay: RelayAddress = format!("/ip4/203.0.113.7/tcp/4001/p2p/{peer}").parse().expect("it is an address");
        let mut now = Instant::now();
        let mut calls = Calls::new(vec![relay], now);
        for _ in 0..8 {
            let due = calls.due(now);
            assert!(due.len() == 1 && calls.due(now).is_empty() && calls.next().is_none());
            calls.on_failed(due[0].connection_id(), now);
            assert!(calls.next().is_some_and(|at| at > now && at <= now + REDIAL_LATER));
            now = calls.next().expect("it is called again");
        }
        let due = calls.due(now);
        assert!(calls.on_connected(&peer, due[0].connection_id()) && calls.due(now + REDIAL_LATER).is_empty());
        assert!(!calls.on_connected(&PeerId::random(), due[0].connection_id()), "whoever calls here is nobody's business");
        assert_eq!(calls.connected(), [peer]);
        assert!(calls.on_disconnected(&peer, now));
        assert_eq!(calls.due(now + REDIAL_FIRST).len(), 1);
    }
}
