//! The swarm: what libp2p does for the LAN, with every limit set.
//!
//! QUIC first, TCP with noise and yamux where UDP does not pass; mDNS finds peers, identify tells where a peer that called can be called back, streams carry sync,
//! what peers say of peers, and pairing. Nothing else of libp2p is used.

use super::identity::Identity;
use super::limits::*;
use super::multiplexer::Multiplexer;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{StreamProtocol, SwarmBuilder, identify, mdns, noise, tcp};

/// What carries the frames of a session.
pub(super) const SYNC: StreamProtocol = StreamProtocol::new("/driftline/sync/1");
/// What peers say of peers.
pub(super) const GOSSIP: StreamProtocol = StreamProtocol::new("/driftline/gossip/1");
/// What a pairing is made over.
pub(super) const PAIR: StreamProtocol = StreamProtocol::new("/driftline/pair/1");
/// What identify compares.
const IDENTIFY: &str = "/driftline/identify/1";

/// What the swarm does with each connection.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) streams: libp2p_stream::Behaviour,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
}

/// A swarm that listens nowhere yet.
///
/// # Errors
///
/// A sentence, when the system gives no socket for mDNS or no key can be made for a handshake.
pub(super) fn build(identity: &Identity, use_mdns: bool) -> Result<Swarm<Behaviour>, String> {
    let mdns = match use_mdns {
        true => Some(
            mdns::tokio::Behaviour::new(mdns::Config::default(), identity.network_peer())
                .map_err(|error| format!("mDNS cannot be used ({error}); --no-mdns does without"))?,
        ),
        false => None,
    };
    let connections = CONNECTIONS_MAX + STRANGERS_MAX as u32;
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(HALF_OPEN_MAX))
        .with_max_pending_outgoing(Some(DIALS_MAX))
        .with_max_established_incoming(Some(connections))
        .with_max_established_outgoing(Some(connections))
        .with_max_established(Some(connections))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX));
    let identify = identify::Config::new(IDENTIFY.to_owned(), identity.keypair().public())
        .with_agent_version("driftline".to_owned())
        .with_cache_size(0);
    let swarm = SwarmBuilder::with_existing_identity(identity.keypair().clone())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, || Multiplexer)
        .map_err(|error| format!("no key for handshakes can be made: {error}"))?
        .with_quic_config(|mut quic| {
            quic.handshake_timeout = HANDSHAKE_TIME_MAX;
            quic.max_idle_timeout = QUIC_IDLE_TIME_MAX.as_millis() as u32;
            quic.keep_alive_interval = QUIC_KEEP_ALIVE;
            quic.max_concurrent_stream_limit = STREAMS_MAX;
            quic.max_stream_data = QUIC_STREAM_BYTES;
            quic.max_connection_data = QUIC_CONNECTION_BYTES;
            quic
        })
        .with_behaviour(|_| Behaviour {
            limits: connection_limits::Behaviour::new(limits),
            identify: identify::Behaviour::new(identify),
            streams: libp2p_stream::Behaviour::new(),
            mdns: Toggle::from(mdns),
        })
        .map_err(|never| never.to_string())?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE_TIME_MAX)
                .with_max_negotiating_inbound_streams(STREAMS_NEGOTIATING_MAX)
                .with_smart_dial()
        })
        .with_connection_timeout(HANDSHAKE_TIME_MAX)
        .build();
    Ok(swarm)
}
