//! One simulated replica: a process that may die at any moment, the disk that outlives it, and an app that uses it.

use super::disk::Disk;
use super::mirror::Mirror;
use super::options::Options;
use driftline_core::base::id::{ConnectionId, DocumentId, PeerId, SpaceId, ViewId};
use driftline_core::base::limits::Limits;
use driftline_core::doc::value::TextUnit;
use driftline_core::engine::Engine;
use driftline_core::engine::config::{AppendPace, Compaction, EngineConfig, Previews, PushPace, Role};
use driftline_core::engine::effect::ViewUpdate;
use driftline_core::engine::input::Command;
use driftline_core::sync::hello::{VERSION_MAX, VERSION_MIN};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A replica's side of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Which wire.
    pub wire: u64,
    /// Which side of it.
    pub side: usize,
    /// Bytes sent and not reported written.
    pub unwritten: usize,
}

/// What an app has open, and what it has made.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// Documents it reads and edits directly.
    pub open: BTreeSet<DocumentId>,
    /// Documents it shows.
    pub mirrors: BTreeMap<ViewId, Mirror>,
    /// What the screen has sent to the engine and the engine has not got yet, in order.
    pub to_engine: VecDeque<Command>,
    /// What the engine has sent to the screen and the screen has not got yet, in order.
    pub to_screen: VecDeque<ViewUpdate>,
    /// What it shows of itself, by instance.
    pub presence: BTreeMap<(SpaceId, u64), String>,
    /// Whom it sees, by peer and instance.
    pub present: BTreeMap<(PeerId, u64), String>,
    next_view: u64,
}

impl App {
    /// A number for a new mirror.
    pub fn next_view(&mut self) -> ViewId {
        self.next_view += 1;
        ViewId(self.next_view)
    }
}

/// One simulated replica.
pub struct Replica {
    /// What kind it is.
    pub role: Role,
    /// How it counts text.
    pub unit: TextUnit,
    /// The newest version of the protocol it speaks.
    pub version_max: u64,
    /// Its bounds.
    pub limits: Limits,
    /// Which documents' values it stores.
    pub previews: Option<Previews>,
    /// When it compacts.
    pub compaction: Compaction,
    /// The process, while one runs.
    pub engine: Option<Engine>,
    /// How many processes it has had.
    pub life: u32,
    /// Whether the running process has opened its store.
    pub ready: bool,
    /// Its disk.
    pub disk: Disk,
    /// Whether a storage task is being carried out.
    pub disk_busy: bool,
    /// Its open connections.
    pub connections: BTreeMap<ConnectionId, Connection>,
    /// Connections that ended since it was last drained: what it says until then may count them.
    pub ended: usize,
    /// Whom it dials.
    pub endpoints: BTreeSet<String>,
    /// Whether it works online.
    pub online: bool,
    /// The app.
    pub app: App,
    /// When it is to be woken.
    pub wake_ms: Option<u64>,
    /// Whether it has been told something and not been drained.
    pub undrained: bool,
    /// Whether it is left out of what must be equal in the end: it was shut out, or it is a relay that cheated and is gone.
    pub out: bool,
    /// Whether its process knew, when it was last drained, that someone was shut out.
    pub knows_end: bool,
    /// Its secret key, where that is not its disk's.
    pub identity: Option<[u8; 32]>,
    /// Effects until the process dies.
    pub fuse: Option<u64>,
    /// How far its wall clock is off.
    pub unix_offset_ms: i64,
    next_connection: u64,
}

impl Replica {
    /// A replica that has never run.
    pub fn new(options: &Options, index: usize, role: Role) -> Self {
        let mut limits = Limits::default();
        if options.small_limits {
            limits.frame_bytes_max = 4 * 1024;
            limits.entry_bytes_max = 2 * 1024;
            limits.outbound_bytes_max = 8 * 1024;
            limits.undurable_bytes_max = 3 * 1024;
        }
        if options.letting_go {
            limits.recent_bytes_max = [0, 1_000, 4_000][(options.seed as usize + index) % 3];
        }
        let mut compaction = Compaction::default();
        if options.compacting && !(options.seed + index as u64).is_multiple_of(3) {
            compaction.busy_bytes_min = 1_500;
            compaction.quiet_bytes_min = 300;
            compaction.quiet_ms = 500 * (1 + index as u64);
            compaction.kept_bytes_min = 150 * (index as u64 % 3);
        }
        let utf16 = options.mixed_text_units && index % 2 == 1;
        Self {
            role,
            version_max: if options.mixed_versions {
                [VERSION_MAX, VERSION_MIN, VERSION_MAX - 1][index % 3]
            } else {
                VERSION_MAX
            },
            unit: if utf16 { TextUnit::Utf16 } else { TextUnit::CodePoint },
            limits,
            previews: options.previews.then_some(Previews { changes_min: 2, quiet_ms: 400 * (1 + index as u64) }),
            compaction,
            engine: None,
            life: 0,
            ready: false,
            disk: Disk::new(options.seed, index),
            disk_busy: false,
            connections: BTreeMap::new(),
            ended: 0,
            endpoints: BTreeSet::new(),
            online: true,
            app: App::default(),
            wake_ms: None,
            undrained: false,
            out: false,
            knows_end: false,
            identity: None,
            fuse: None,
            unix_offset_ms: 0,
            next_connection: 0,
        }
    }

    /// Starts a process with this randomness.
    pub fn start(&mut self, seed: [u8; 32], now: driftline_core::base::time::Now) {
        let mut config = EngineConfig::new(self.role, seed);
        config.identity = self.identity;
        config.text_unit = self.unit;
        config.version_max = self.version_max;
        config.limits = self.limits.clone();
        config.compaction = self.compaction.clone();
        config.previews = self.previews.clone().filter(|_| self.role == Role::Client);
        if self.role == Role::Relay {
            config.append_pace = AppendPace::SPARING;
        } else if self.unit == TextUnit::Utf16 {
            // As in browsers.
            config.push_pace = PushPace::WATCHED;
        }
        self.disk.start();
        self.disk_busy = false;
        self.life += 1;
        self.ready = false;
        self.wake_ms = None;
        self.undrained = true;
        self.fuse = None;
        self.next_connection = 0;
        self.engine = Some(Engine::new(config, now));
    }

    /// Documents that its process has let go of, counted as often as it did.
    pub fn let_go(&self) -> u64 {
        self.engine.as_ref().map_or(0, |engine| engine.sizes().let_go)
    }

    /// Changes that its process replayed.
    pub fn replayed(&self) -> u64 {
        self.engine.as_ref().map_or(0, |engine| engine.stats().replayed)
    }

    /// Forgets all that lived in the process; and its mirrors, unless they `stay`.
    pub fn forget(&mut self, stay: bool) {
        self.engine = None;
        self.ready = false;
        self.connections.clear();
        if !stay {
            self.app.mirrors.clear();
        }
        self.app.open.clear();
        self.app.to_engine.clear();
        self.app.to_screen.clear();
        self.app.present.clear();
        self.wake_ms = None;
        self.undrained = false;
        self.knows_end = false;
        self.fuse = None;
    }

    /// Whether a process runs.
    pub fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    /// A number for a new connection of this process.
    pub fn next_connection(&mut self) -> ConnectionId {
        self.next_connection += 1;
        ConnectionId(self.next_connection)
    }

    /// A document as this process has it, when it holds it in memory.
    pub fn document(&self, document: &DocumentId) -> Option<&driftline_core::doc::document::Document> {
        self.engine.as_ref()?.document(document)
    }
}
