//! What a relay's swarm does, with every limit set.

use super::PassesOn;
use crate::lan::identity::{Identity, peer_of};
use crate::lan::limits::*;
use crate::lan::swarm;
use libp2p::relay::RateLimiter;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{Multiaddr, PeerId, connection_limits, identify, relay};
use std::time::Instant;

/// What the swarm does with each connection.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    pub(super) streams: libp2p_stream::Behaviour,
    passing: Toggle<relay::Behaviour>,
}

/// A swarm that listens nowhere yet.
///
/// # Errors
///
/// A sentence, when no key can be made for a handshake.
pub(super) fn build(identity: &Identity, passes_on: PassesOn) -> Result<Swarm<Behaviour>, String> {
    let own = identity.network_peer();
    let passing = match passes_on {
        PassesOn::Nobody => None,
        passes_on => Some(relay::Behaviour::new(own, passing(&passes_on))),
    };
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(swarm::limits(STATION_CONNECTIONS_MAX)),
        identify: swarm::identify(identity),
        streams: libp2p_stream::Behaviour::new(),
        passing: Toggle::from(passing),
    };
    Ok(Swarm::new(swarm::straight(identity)?, behaviour, own, swarm::config()))
}

/// How much is passed on, and for whom.
fn passing(passes_on: &PassesOn) -> relay::Config {
    relay::Config {
        max_reservations: PLACES_MAX,
        // libp2p compares before it counts the one that is asked for.
        max_reservations_per_peer: PLACES_PER_PEER_MAX - 1,
        reservation_duration: PLACE_TIME,
        reservation_rate_limiters: only(passes_on).into_iter().collect(),
        max_circuits: CIRCUITS_MAX,
        max_circuits_per_peer: CIRCUITS_PER_PEER_MAX - 1,
        max_circuit_duration: CIRCUIT_LIFE_MAX,
        max_circuit_bytes: CIRCUIT_BYTES_MAX,
        circuit_src_rate_limiters: only(passes_on).into_iter().collect(),
    }
    .reservation_rate_per_peer(PLACES_ASKED_AT_ONCE, PLACE_REFILL)
    .circuit_src_per_peer(CIRCUITS_ASKED_AT_ONCE, CIRCUIT_REFILL)
    .circuit_src_per_ip(CIRCUITS_ASKED_BY_ADDRESS, CIRCUIT_REFILL_BY_ADDRESS)
}

/// Refuses those that were not named. It is asked first, so that they do not use up what others may ask for.
fn only(passes_on: &PassesOn) -> Option<Box<dyn RateLimiter>> {
    let PassesOn::Between(named) = passes_on else { return None };
    let named = named.clone();
    Some(Box::new(move |peer: PeerId, _: &Multiaddr, _: Instant| peer_of(&peer).is_some_and(|peer| named.contains(&peer))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_those_who_were_named_may_ask() {
        let (named, other) = (Identity::fresh(), Identity::fresh());
        let mut only = only(&PassesOn::Between([named.peer()].into())).expect("it is bounded");
        let mut asks = |who: &Identity| only.try_next(who.network_peer(), &Multiaddr::empty(), Instant::now());
        assert!(asks(&named) && !asks(&other));
        assert!(super::only(&PassesOn::Everyone).is_none());
    }
}
