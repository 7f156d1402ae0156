//! Every bound of the LAN in one place: what strangers, peers and the network can grow, how far, and how long anything may take.

use std::num::NonZeroU32;
use std::time::Duration;

/// Connections with peers on the list at once, at most: gossip never needs more neighbours.
pub(super) const CONNECTIONS_MAX: u32 = 128;
/// Connections with strangers at once, at most, while a pairing is open; otherwise a stranger is hung up on.
pub(super) const STRANGERS_MAX: usize = 16;
/// Connections to one peer at once: two that cross, and one that takes the place of a dead one.
pub(super) const CONNECTIONS_PER_PEER_MAX: u32 = 3;
/// Connections that others have begun and not finished; further ones are hung up on before a byte is read.
pub(super) const HALF_OPEN_MAX: u32 = 32;
/// Connections that this side has begun and not finished.
pub(super) const DIALS_MAX: u32 = 32;
/// Streams of one connection at once. There is one for sync; the others are short.
pub(super) const STREAMS_MAX: u32 = 16;
/// Streams of one connection that have not said yet what they are for.
pub(super) const STREAMS_NEGOTIATING_MAX: usize = 8;
/// Bytes that one QUIC stream may send before they are read.
pub(super) const QUIC_STREAM_BYTES: u32 = 1024 * 1024;
/// Bytes that all streams of a QUIC connection may send before they are read.
pub(super) const QUIC_CONNECTION_BYTES: u32 = 2 * 1024 * 1024;
/// The same of a TCP connection: 256 KiB for each of its streams, and half of all for those that are read fast. yamux asks for no less.
pub(super) const TCP_CONNECTION_BYTES: usize = 8 * 1024 * 1024;
/// Peers on the list, at most.
pub(super) const LISTED_MAX: usize = 1_024;
/// Peers that addresses are remembered of, at most; of those not on the list, some are forgotten first.
pub(super) const PEERS_KNOWN_MAX: usize = 2_048;
/// Addresses remembered of one peer; the one learned longest ago is forgotten first.
pub(super) const ADDRESSES_MAX: usize = 16;
/// Peers that mDNS may tell of. libp2p has no bound of its own and keeps them all: where there are more, someone makes them up, and mDNS is turned off.
pub(super) const DISCOVERED_MAX: usize = 4_096;
/// Streams that were accepted and wait to be looked at.
pub(super) const ACCEPTED_MAX: usize = 64;
/// Orders and news that wait for the node.
pub(super) const ORDERS_MAX: usize = 256;
/// Longest name of a peer, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 64;

/// Time a handshake may take, whoever began it. Short, because a dial into a partition ends only by this.
pub(super) const HANDSHAKE_TIME_MAX: Duration = Duration::from_millis(1_500);
/// Time a stream may take to open.
pub(super) const STREAM_TIME_MAX: Duration = Duration::from_secs(3);
/// Silence after which a QUIC connection is gone.
pub(super) const QUIC_IDLE_TIME_MAX: Duration = Duration::from_secs(4);
/// How often QUIC says that it is there when there is nothing to say.
pub(super) const QUIC_KEEP_ALIVE: Duration = Duration::from_millis(1_500);
/// How often a sync stream is looked at: one that has sent nothing meanwhile sends an empty frame.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// Beats without a byte after which a sync stream and its connection are gone.
pub(super) const SILENT_BEATS_MAX: u32 = 4;
/// Time a connection without a stream is kept.
pub(super) const IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long addresses of a peer are gathered before it is called: they arrive one by one, and QUIC's is to be among them.
pub(super) const GATHER: Duration = Duration::from_millis(50);
/// First wait before a peer is dialled again.
pub(super) const REDIAL_FIRST: Duration = Duration::from_millis(250);
/// Longest wait, for a peer that was there not long ago.
pub(super) const REDIAL_SOON: Duration = Duration::from_secs(1);
/// Longest wait for one that has been away for longer than [`AWAY`].
pub(super) const REDIAL_LATER: Duration = Duration::from_secs(5);
/// Neighbours to come that are called at once: a call that nobody answers lasts for [`HANDSHAKE_TIME_MAX`].
pub(super) const NEIGHBOURS_CALLED_MAX: usize = 8;
/// Of these, those that were neighbours and are missed: others are looked for besides.
pub(super) const NEIGHBOURS_MISSED_CALLED_MAX: usize = 6;
/// How often peers are offered again as neighbours that were given up.
pub(super) const REMIND: Duration = Duration::from_secs(30);
/// Time that is taken to tell a neighbour of others before it is hung up on.
pub(super) const FAREWELL_TIME_MAX: Duration = Duration::from_millis(500);
/// After how long a peer that cannot be reached is dialled less often.
pub(super) const AWAY: Duration = Duration::from_secs(600);
/// Time a pairing may take from its first byte to its last.
pub(super) const PAIRING_TIME_MAX: Duration = Duration::from_secs(5);
/// Time for which a code is taken after the start.
pub(super) const PAIRING_OPEN_TIME_MAX: Duration = Duration::from_secs(3_600);
/// Pairings that strangers may begin at once, and as many more as [`PAIRINGS_PER_SECOND`] allows.
pub(super) const PAIRINGS_AT_ONCE: f64 = 10.0;
/// See there.
pub(super) const PAIRINGS_PER_SECOND: f64 = 1.0;
/// First wait before a peer that did not know the code is asked again; it doubles each time.
pub(super) const PAIRING_RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest such wait.
pub(super) const PAIRING_RETRY_MAX: Duration = Duration::from_secs(30);

/// Relays that may be named, at most.
pub(super) const RELAYS_MAX: usize = 8;
/// Time that a connection through a relay may take to open: it is several round trips, each by way of the relay.
pub(super) const CIRCUIT_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest wait before a peer is called again that can be reached through a relay alone and is away. It calls itself when it comes, so this is for what got lost.
pub(super) const CIRCUIT_AGAIN: Duration = Duration::from_secs(5);
/// How often a peer that is reached through a relay is called where it might be reached without.
pub(super) const DIRECT_AGAIN: Duration = Duration::from_secs(60);
/// First wait before a relay that gave no place is asked again; it doubles each time.
pub(super) const RESERVE_FIRST: Duration = Duration::from_secs(1);
/// Longest such wait.
pub(super) const RESERVE_MAX: Duration = Duration::from_secs(60);

/// Connections that a relay takes over libp2p at once.
pub(super) const STATION_CONNECTIONS_MAX: u32 = 256;
/// Places that a relay gives at once: so many peers are reached through it.
pub(super) const PLACES_MAX: usize = 128;
/// Places that one peer may have: it has one for each connection, and two while it changes from one to the next.
pub(super) const PLACES_PER_PEER_MAX: usize = 2;
/// For how long a place is given; peers ask again in time.
pub(super) const PLACE_TIME: Duration = Duration::from_secs(600);
/// Places that one peer may ask for at once, and then one for each [`PLACE_REFILL`].
pub(super) const PLACES_ASKED_AT_ONCE: NonZeroU32 = NonZeroU32::new(16).unwrap();
/// See there.
pub(super) const PLACE_REFILL: Duration = Duration::from_secs(5);
/// Connections that a relay passes on at once.
pub(super) const CIRCUITS_MAX: usize = 128;
/// Connections that it passes on at once and that one peer began. Each is a stream of that peer's connection, which has [`STREAMS_MAX`].
pub(super) const CIRCUITS_PER_PEER_MAX: usize = 10;
/// For how long a connection is passed on. Peers that need it longer open another one, and so try anew to do without: networks change.
pub(super) const CIRCUIT_LIFE_MAX: Duration = Duration::from_secs(1_800);
/// Bytes that are passed on for one connection, both ways together.
pub(super) const CIRCUIT_BYTES_MAX: u64 = 4 << 30;
/// Connections that one peer may ask for at once, and then one for each [`CIRCUIT_REFILL`]. Peers that are away are asked for, too.
pub(super) const CIRCUITS_ASKED_AT_ONCE: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// See there.
pub(super) const CIRCUIT_REFILL: Duration = Duration::from_millis(250);
/// The same for all peers at one address of the network: there are many behind some routers.
pub(super) const CIRCUITS_ASKED_BY_ADDRESS: NonZeroU32 = NonZeroU32::new(256).unwrap();
/// See there.
pub(super) const CIRCUIT_REFILL_BY_ADDRESS: Duration = Duration::from_millis(60);
