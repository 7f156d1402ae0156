//! The swarm: what libp2p does for the LAN, with every limit set.
//!
//! QUIC first, TCP with noise and yamux where UDP does not pass; mDNS finds peers, identify tells where a peer that called can be called back, streams carry sync,
//! what peers say of peers, and pairing. Connections may pass through a relay, and DCUtR makes them direct where the networks between allow it. Nothing else of libp2p is used.

use super::identity::Identity;
use super::limits::*;
use super::multiplexer::Multiplexer;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{Config, NetworkBehaviour, Swarm};
use libp2p::{PeerId, StreamProtocol, dcutr, dns, identify, mdns, noise, quic, relay, tcp};

/// What carries the frames of a session.
pub(super) const SYNC: StreamProtocol = StreamProtocol::new("/driftline/sync/1");
/// What peers say of peers.
pub(super) const GOSSIP: StreamProtocol = StreamProtocol::new("/driftline/gossip/1");
/// What a pairing is made over.
pub(super) const PAIR: StreamProtocol = StreamProtocol::new("/driftline/pair/1");
/// What identify compares.
const IDENTIFY: &str = "/driftline/identify/1";

/// Opens connections that carry streams and know whose they are.
type Connector = Boxed<(PeerId, StreamMuxerBox)>;

/// What the swarm does with each connection.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) streams: libp2p_stream::Behaviour,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) relays: relay::client::Behaviour,
    pub(super) direct: dcutr::Behaviour,
}

/// A swarm that listens nowhere yet.
///
/// # Errors
///
/// A sentence, when the system gives no socket for mDNS or no key can be made for a handshake.
pub(super) fn build(identity: &Identity, use_mdns: bool) -> Result<Swarm<Behaviour>, String> {
    let own = identity.network_peer();
    let mdns = match use_mdns {
        true => Some(
            mdns::tokio::Behaviour::new(mdns::Config::default(), own)
                .map_err(|error| format!("mDNS cannot be used ({error}); --no-mdns does without"))?,
        ),
        false => None,
    };
    let (through, relays) = relay::client::new(own);
    let through = through
        .upgrade(Version::V1Lazy)
        .authenticate(handshake(identity)?)
        .multiplex(Multiplexer)
        .timeout(CIRCUIT_TIME_MAX)
        .boxed();
    let connector = through.or_transport(straight(identity)?).map(|either, _| either.into_inner()).boxed();
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits(CONNECTIONS_MAX + STRANGERS_MAX as u32)),
        identify: identify(identity),
        streams: libp2p_stream::Behaviour::new(),
        mdns: Toggle::from(mdns),
        relays,
        direct: dcutr::Behaviour::new(own),
    };
    Ok(Swarm::new(connector, behaviour, own, config()))
}

/// Connections without anyone between: QUIC and TCP, at addresses and at names.
///
/// # Errors
///
/// A sentence, when no key can be made for a handshake.
pub(super) fn straight(identity: &Identity) -> Result<Connector, String> {
    match dns::tokio::Transport::system(at_addresses(identity)?) {
        Ok(at_names) => Ok(at_names.boxed()),
        Err(error) => {
            tracing::warn!("no names can be called, only addresses: {error}");
            at_addresses(identity)
        }
    }
}

fn at_addresses(identity: &Identity) -> Result<Connector, String> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(handshake(identity)?)
        .multiplex(Multiplexer)
        .timeout(HANDSHAKE_TIME_MAX)
        .boxed();
    let mut config = quic::Config::new(identity.keypair());
    config.handshake_timeout = HANDSHAKE_TIME_MAX;
    config.max_idle_timeout = QUIC_IDLE_TIME_MAX.as_millis() as u32;
    config.keep_alive_interval = QUIC_KEEP_ALIVE;
    config.max_concurrent_stream_limit = STREAMS_MAX;
    config.max_stream_data = QUIC_STREAM_BYTES;
    config.max_connection_data = QUIC_CONNECTION_BYTES;
    let quic = quic::tokio::Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(quic.or_transport(tcp).map(|either, _| either.into_inner()).boxed())
}

fn handshake(identity: &Identity) -> Result<noise::Config, String> {
    noise::Config::new(identity.keypair()).map_err(|error| format!("no key for handshakes can be made: {error}"))
}

/// Bounds on connections, so many of them established.
pub(super) fn limits(connections: u32) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(HALF_OPEN_MAX))
        .with_max_pending_outgoing(Some(DIALS_MAX))
        .with_max_established_incoming(Some(connections))
        .with_max_established_outgoing(Some(connections))
        .with_max_established(Some(connections))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
}

pub(super) fn identify(identity: &Identity) -> identify::Behaviour {
    let config = identify::Config::new(IDENTIFY.to_owned(), identity.keypair().public())
        .with_agent_version("driftline".to_owned())
        .with_cache_size(0);
    identify::Behaviour::new(config)
}

pub(super) fn config() -> Config {
    Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_TIME_MAX)
        .with_max_negotiating_inbound_streams(STREAMS_NEGOTIATING_MAX)
        .with_smart_dial()
}
