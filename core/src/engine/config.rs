//! What a driver decides once, when it makes an engine.

use crate::base::id::PeerId;
use crate::base::limits::Limits;
use crate::gossip::rumour::RumourConfig;
use crate::policy::rate::Rate;
use crate::sync::hello::VERSION_MAX;
use std::collections::BTreeSet;

pub use crate::doc::value::TextUnit;

/// What kind of replica this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Someone's own replica: it subscribes to the spaces it opens.
    Client,
    /// A replica with good uptime that stores and forwards any space it is asked for.
    Relay,
}

/// When a log is given a snapshot in place of its entries. Sizes are of the payload of what is held as entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// From this size on also while the document is being written, if it is several times its snapshot's.
    pub busy_bytes_min: u64,
    /// From this size on when the document is quiet, if it is a good part of its snapshot's.
    pub quiet_bytes_min: u64,
    /// How long nothing must have been written, in milliseconds.
    pub quiet_ms: u64,
    /// Size of the newest entries that stay beside a small snapshot; beside a large one it is a part of its size.
    pub kept_bytes_min: u64,
    /// How many snapshots are made at once.
    pub at_once_max: usize,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            busy_bytes_min: 4 * 1024 * 1024,
            quiet_bytes_min: 16 * 1024,
            quiet_ms: 20_000,
            kept_bytes_min: 4 * 1024,
            at_once_max: 2,
        }
    }
}

/// Which documents' values are stored, to be shown before they are loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previews {
    /// Documents of so many changes and more: others are loaded before anyone could notice.
    pub changes_min: u64,
    /// How long an open document must not have moved on, in milliseconds; one that is closed need not have been quiet.
    pub quiet_ms: u64,
}

impl Default for Previews {
    fn default() -> Self {
        Self { changes_min: 5_000, quiet_ms: 20_000 }
    }
}

/// How soon one append follows another; at once where both are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendPace {
    /// How long after one append began the next begins at the earliest, in milliseconds, where nobody seems to wait for it.
    pub apart_ms: u64,
    /// The same while someone is seen to write on without waiting, in milliseconds: as long as people do not notice.
    pub steady_ms: u64,
}

impl AppendPace {
    /// What spares the disk of a replica that many write to.
    pub const SPARING: Self = Self { apart_ms: 10, steady_ms: 500 };
}

/// How often what a replica writes leaves for peers; each change at once where `apart_ms` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushPace {
    /// How many pushes after a pause do not wait.
    pub at_once: u32,
    /// How long after one push the next has its turn, in milliseconds, while more is written than that and nobody seems to wait for it.
    pub apart_ms: u64,
}

impl PushPace {
    /// As often as people who watch each other type can tell.
    pub const WATCHED: Self = Self { at_once: 4, apart_ms: 150 };
}

/// How much anyone may have of a relay; as much as there is room for, where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes that one space may take in the store.
    pub space_bytes_max: Option<u64>,
    /// Spaces that one key may bring.
    pub spaces_per_key_max: Option<usize>,
    /// Frames that one key may send.
    pub frames: Option<Rate>,
    /// Bytes that one key may send.
    pub bytes: Option<Rate>,
    /// Work that a space costs which is not known yet, in leading zero bits; 0 for none, 24 at most.
    pub stamp_bits: u32,
}

/// What a driver decides once.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// What kind of replica this is.
    pub role: Role,
    /// Where all randomness comes from: from the system in life, from a number in simulation.
    pub seed: [u8; 32],
    /// The secret Ed25519 key, 32 bytes; when there is none, the store's own is used, and made if it has none.
    pub identity: Option<[u8; 32]>,
    /// What this replica calls itself to its peers, such as `driftline/0.1.0`.
    pub agent: String,
    /// How positions in text are counted.
    pub text_unit: TextUnit,
    /// Bounds.
    pub limits: Limits,
    /// When logs are compacted.
    pub compaction: Compaction,
    /// Which documents' values are stored beside them; none where nobody opens mirrors.
    pub previews: Option<Previews>,
    /// How what is new spreads among many peers that all pass it on; nothing where everyone is sent it at once, as by relays and to
    /// them.
    pub spreading: Option<RumourConfig>,
    /// How soon one append follows another.
    pub append_pace: AppendPace,
    /// How often what this replica writes leaves for peers.
    pub push_pace: PushPace,
    /// The newest version of the protocol to speak: all that this one knows, but where an upgrade is rehearsed.
    pub version_max: u64,
    /// How much anyone may have of it, where it is a relay.
    pub quotas: Quotas,
    /// The keys that are let in where it accepts connections; all, where there is no list.
    pub allowed: Option<BTreeSet<PeerId>>,
    /// Whether events tell what an operator may want to look up later: [`super::effect::Audit`].
    pub audit: bool,
    /// Keys of relays that call here and that letters are passed on to, as they are to those that this one dials.
    pub relay_peers: BTreeSet<PeerId>,
    /// Silence after which a ping is sent, in milliseconds.
    pub ping_ms: u64,
    /// Silence after a ping, or after sending something that is to be acknowledged, that ends a connection, in milliseconds.
    pub silence_ms_max: u64,
}

impl EngineConfig {
    /// A replica of `role` with the usual settings.
    pub fn new(role: Role, seed: [u8; 32]) -> Self {
        Self {
            role,
            seed,
            identity: None,
            agent: concat!("driftline/", env!("CARGO_PKG_VERSION")).to_owned(),
            text_unit: TextUnit::CodePoint,
            limits: Limits::default(),
            compaction: Compaction::default(),
            previews: None,
            spreading: None,
            append_pace: AppendPace::default(),
            push_pace: PushPace::default(),
            version_max: VERSION_MAX,
            quotas: Quotas::default(),
            allowed: None,
            audit: false,
            relay_peers: BTreeSet::new(),
            ping_ms: 15_000,
            silence_ms_max: 8_000,
        }
    }
}
