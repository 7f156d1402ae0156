//! What the LAN looks like from here, for people and programs.

use driftline_core::base::id::{PeerId, SpaceId};
use driftline_core::gossip::relation::Relation;
use serde::Serialize;

/// Everything that can be asked about the LAN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LanStatus {
    /// Who this is.
    pub peer: PeerId,
    /// The same as a `did:key`.
    pub did: String,
    /// Where others can call, each address with the peer at its end.
    pub addresses: Vec<String>,
    /// The space that is shared here; nothing before the first pairing.
    pub space: Option<SpaceId>,
    /// Whether strangers who know the code may pair.
    pub pairing: bool,
    /// Whether mDNS is on.
    pub mdns: bool,
    /// Peers on the list, connected or not.
    pub peers: Vec<PeerStatus>,
    /// Relays that were named, by the addresses of libp2p.
    pub relays: Vec<RelayStatus>,
    /// What was refused since the start.
    pub refused: Refused,
}

/// One relay that was named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayStatus {
    /// Its address, with its name at the end.
    pub address: String,
    /// Who it is, as a `did:key`.
    pub did: String,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// Whether others reach this peer through it.
    pub reachable: bool,
    /// Whether a session runs with it.
    pub syncing: bool,
    /// Why it passes nothing on to this peer, where it said so.
    pub refused: Option<String>,
}

/// One peer on the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerId,
    /// The same as a `did:key`.
    pub did: String,
    /// What it called itself when it was paired with.
    pub name: String,
    /// How it is reached; nothing while it is not.
    pub path: Option<PathStatus>,
    /// Connections to it: one, but for moments.
    pub connections: usize,
    /// Whether it is a neighbour: what is new is exchanged with it.
    pub neighbour: bool,
    /// Why it is one, or is none, in a few words.
    pub why: String,
}

/// The way to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathStatus {
    /// Of what kind.
    pub kind: PathKind,
    /// The other end's address.
    pub address: String,
    /// `quic` or `tcp`.
    pub transport: &'static str,
    /// Whether this side called.
    pub dialled: bool,
    /// For how long, in seconds.
    pub seconds: u64,
    /// Whether a session runs over it.
    pub syncing: bool,
}

/// Kinds of ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PathKind {
    /// On the same network: a private, link-local or loopback address.
    Lan,
    /// Straight to an address of the internet.
    Direct,
    /// Another peer passes everything on.
    Relayed,
}

/// Counts of what was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Connections of peers that are not on the list.
    pub strangers: u64,
    /// Connections over a limit, or that did not finish their handshake.
    pub connections: u64,
    /// Streams of peers that are not on the list, or that came too fast.
    pub streams: u64,
    /// Pairings with a wrong code.
    pub codes: u64,
}

/// Something that people want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LanNews {
    /// A peer was put on the list.
    Paired {
        /// Who.
        peer: PeerId,
        /// What it calls itself.
        name: String,
    },
    /// A pairing came to nothing.
    NotPaired {
        /// With whom.
        peer: PeerId,
        /// Why, in a sentence.
        reason: String,
    },
    /// A peer on the list is connected.
    Connected {
        /// Who.
        peer: PeerId,
        /// Its address.
        address: String,
    },
    /// The last connection to a peer on the list is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// A relay passes on what others send to this peer.
    Reachable {
        /// The address by which they do, with this peer's name at its end.
        address: String,
    },
    /// A relay does not.
    NotReachable {
        /// Which.
        relay: PeerId,
        /// Why, in its words.
        reason: String,
    },
}

/// Why a peer is a neighbour, or is none.
pub(super) fn in_words(relation: Relation) -> String {
    let seconds = |ms: u64| ms.div_ceil(1_000);
    match relation {
        Relation::Neighbour { configured: true, .. } => "was named by --dial".to_owned(),
        Relation::Neighbour { dialled: true, .. } => "was chosen here".to_owned(),
        Relation::Neighbour { dialled: false, .. } => "chose this peer".to_owned(),
        Relation::Dialling => "is being called".to_owned(),
        Relation::Unreachable { failures, retry_ms } => {
            let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
            format!("did not answer {times}; is called again in {} s", seconds(retry_ms))
        }
        Relation::Resting { rest_ms } => format!("is left alone for {} s", seconds(rest_ms)),
        Relation::Spare => "there are neighbours enough".to_owned(),
        Relation::Unknown => "it is not known where it is".to_owned(),
    }
}
