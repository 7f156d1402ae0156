//! Floor 3: the one state machine that drivers see. It alone knows the rooms below.
//!
//! A keystroke's way through it: [`documents`] makes the edit a change and the change an entry; [`logs`] gives the entry its
//! place in the document's log and hands it to the store; [`push`] sends it to every session that lacks it; [`saved`] tells
//! how safe it is, as the store and the peers answer. A frame's way: [`peers`] decodes it, [`exchange`] acts on what it says,
//! [`admission`] admits its entries, [`documents`] applies them, and the app is told what changed.
//!
//! Inputs only note what is to be done. The work is done when the driver drains, so that whatever arrived together is
//! applied, pushed and written together.

mod admission;
mod anti_entropy;
mod catch_up;
pub mod config;
mod documents;
pub mod effect;
mod endpoints;
mod exchange;
pub mod following;
mod handover;
mod held_back;
mod house;
pub mod input;
pub mod inviting;
mod keeping;
mod loading;
mod logs;
mod making;
mod memory;
mod mirrors;
mod pace;
mod peers;
pub mod post;
mod presences;
mod previews;
mod progress;
mod push;
mod push_pace;
mod saved;
pub mod seal;
mod snapshots;
mod spreading;
mod stamps;
pub mod standing;
mod startup;
mod states;
pub mod stats;
pub mod stored;
mod strands;
mod struck;
mod timers;
pub mod trust;

#[cfg(test)]
mod anti_entropy_tests;
#[cfg(test)]
mod catch_up_tests;
#[cfg(test)]
mod following_tests;
#[cfg(test)]
mod house_tests;
#[cfg(test)]
mod mirror_tests;
#[cfg(test)]
mod preview_tests;
#[cfg(test)]
mod push_pace_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod spreading_tests;
#[cfg(test)]
mod tests;

use crate::base::id::{ActorId, ConnectionId, DocumentId, PeerId, SpaceId, TaskId};
use crate::base::rng::Rng;
use crate::base::time::Now;
use crate::doc::document::Document;
use crate::log::log::Log;
use crate::log::space::Space;
use crate::store::task::StoreTask;
use crate::sync::hello::Identity;
use crate::sync::session::Session;
use config::{EngineConfig, Role};
use effect::{Effect, Event, Trouble, TroubleKind};
use input::{Command, Input};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use timers::{Timer, Timers};

/// One replica. See the crate's documentation for how to run it.
pub struct Engine {
    config: EngineConfig,
    rng: Rng,
    now: Now,
    phase: Phase,
    effects: VecDeque<Effect>,
    needs_flush: bool,
    tasks: BTreeMap<TaskId, logs::Work>,
    last_task: u64,
    timers: Timers,
    /// Inputs that came before the store was open.
    deferred: Vec<Input>,
    spaces: BTreeMap<SpaceId, HeldSpace>,
    locations: BTreeMap<DocumentId, SpaceId>,
    logs: logs::Logs,
    keeping: keeping::Keeping,
    memory: memory::Memory,
    pace: pace::Pace,
    pushes: push::Pushes,
    tempo: push_pace::Tempo,
    spreading: spreading::Spreading,
    snapshots: snapshots::Snapshots,
    following: following::Following,
    house: house::House,
    searches: stamps::Searches,
    trust: trust::access::Trust,
    attests: trust::attests::Attests,
    cuts: trust::cuts::Cuts,
    doubts: trust::doubts::Doubts,
    held_back: held_back::HeldBack,
    own_name: trust::own_name::OwnName,
    seals: seal::seals::Seals,
    sealed_snapshots: seal::sealed_snapshots::SealedSnapshots,
    strands: strands::Strands,
    documents: documents::Documents,
    mirrors: mirrors::Mirrors,
    sessions: BTreeMap<ConnectionId, Session>,
    endpoints: endpoints::Endpoints,
    post: post::carrying::Post,
    introductions: inviting::introductions::Introductions,
    presences: presences::Presences,
    previews: previews::Previews,
    saved: saved::Receipts,
    states: states::States,
    stats: stats::EngineStats,
    syncs_moved: stats::SyncsMoved,
    /// What has come of spaces of which something is missing.
    arrivals: BTreeMap<SpaceId, catch_up::Arrivals>,
    /// Spaces whose progress may have changed since it was last told.
    progress: BTreeMap<SpaceId, progress::Progress>,
}

/// A space and who syncs it.
struct HeldSpace {
    space: Space,
    /// Whether the app has it open; a relay has every space open.
    open: bool,
    /// Connections on which it is synced.
    sessions: BTreeSet<ConnectionId>,
}

/// How far the engine has come.
#[expect(clippy::large_enum_variant, reason = "an engine has one")]
enum Phase {
    /// The store is being opened.
    Opening,
    /// At work.
    Running {
        /// What this replica shows its peers.
        identity: Identity,
        /// Who makes its changes: drawn at each start, so that a store restored from a backup never repeats a sequence number.
        actor: ActorId,
        /// Who makes them in owned spaces, where an actor's id shows its key.
        owned_actor: ActorId,
    },
    /// The store could not be opened.
    Failed,
}

impl Engine {
    /// A replica that has not opened its store yet: the first effect asks for that.
    pub fn new(config: EngineConfig, now: Now) -> Self {
        let mut rng = Rng::new(config.seed);
        let epoch = crate::base::id::StoreEpoch(rng.bytes());
        let spreading = spreading::Spreading::new(config.spreading, || rng.bytes());
        let mut engine = Self {
            rng,
            spreading,
            now,
            phase: Phase::Opening,
            effects: VecDeque::new(),
            needs_flush: false,
            tasks: BTreeMap::new(),
            last_task: 0,
            timers: Timers::default(),
            deferred: Vec::new(),
            spaces: BTreeMap::new(),
            locations: BTreeMap::new(),
            logs: logs::Logs::default(),
            keeping: keeping::Keeping::default(),
            memory: memory::Memory::default(),
            pace: pace::Pace::default(),
            pushes: push::Pushes::default(),
            tempo: push_pace::Tempo::default(),
            snapshots: snapshots::Snapshots::default(),
            following: following::Following::default(),
            house: house::House::new(&config.quotas, config.allowed.clone()),
            searches: stamps::Searches::new(),
            trust: trust::access::Trust::default(),
            attests: trust::attests::Attests::default(),
            cuts: trust::cuts::Cuts::default(),
            doubts: trust::doubts::Doubts::default(),
            held_back: held_back::HeldBack::default(),
            own_name: trust::own_name::OwnName::default(),
            seals: seal::seals::Seals::default(),
            sealed_snapshots: seal::sealed_snapshots::SealedSnapshots::default(),
            strands: strands::Strands::default(),
            documents: documents::Documents::default(),
            mirrors: mirrors::Mirrors::default(),
            sessions: BTreeMap::new(),
            endpoints: endpoints::Endpoints::default(),
            post: post::carrying::Post::default(),
            introductions: inviting::introductions::Introductions::default(),
            presences: presences::Presences::default(),
            previews: previews::Previews::default(),
            saved: saved::Receipts::default(),
            states: states::States::default(),
            stats: stats::EngineStats::default(),
            syncs_moved: stats::SyncsMoved::new(),
            arrivals: BTreeMap::new(),
            progress: BTreeMap::new(),
            config,
        };
        engine.store(logs::Work::Open, StoreTask::Open { epoch });
        engine
    }

    /// Tells the engine what happened. Afterwards, drain [`Self::poll_effect`].
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        self.needs_flush = true;
        match (&self.phase, input) {
            (_, Input::StoreDone { task, result }) => self.on_store_done(task, result),
            (_, Input::Assembled { task, result }) => self.on_assembled(task, result),
            (Phase::Opening, Input::Tick) | (Phase::Failed, _) => {}
            (Phase::Opening, input) => self.deferred.push(input),
            (Phase::Running { .. }, input) => self.on_input(input),
        }
        self.on_time();
    }

    /// The next thing to do, until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        while self.effects.is_empty() && self.needs_flush {
            self.needs_flush = false;
            self.flush();
        }
        self.effects.pop_front()
    }

    /// When `handle(now, Tick)` must be called at the latest, in monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next()
    }

    /// An open document, to read; nothing when it is not open or still being loaded.
    pub fn document(&self, document: &DocumentId) -> Option<&Document> {
        self.documents.loaded(document)
    }

    /// The documents held in a space, in the order of their ids.
    pub fn documents(&self, space: &SpaceId) -> Vec<DocumentId> {
        self.spaces.get(space).map_or_else(Vec::new, |held| held.space.documents().map(Log::document).collect())
    }

    /// The log of a document that is held.
    pub fn log(&self, document: &DocumentId) -> Option<&Log> {
        self.spaces.get(self.locations.get(document)?)?.space.log(document)
    }

    /// The space a document that is held belongs to.
    pub fn space_of(&self, document: &DocumentId) -> Option<SpaceId> {
        self.locations.get(document).copied()
    }

    /// The spaces this replica holds documents of or has open, in order.
    pub fn spaces(&self) -> Vec<SpaceId> {
        self.spaces.keys().copied().collect()
    }

    /// Who this replica is, once the store is open.
    pub fn peer_id(&self) -> Option<PeerId> {
        match &self.phase {
            Phase::Running { identity, .. } => Some(identity.peer()),
            _ => None,
        }
    }

    /// Bytes of entries that are not durable yet.
    pub fn undurable_bytes(&self) -> usize {
        self.logs.undurable_bytes()
    }

    /// Connections whose peer has proved itself.
    pub fn connected_peers(&self) -> usize {
        self.sessions.values().filter(|session| session.peer.is_some()).count()
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Connected { connection, endpoint } => self.on_connected(connection, endpoint),
            Input::DialFailed { endpoint, reason } => self.on_dial_failed(endpoint, reason),
            Input::Frame { connection, bytes } => self.on_frame(connection, &bytes),
            Input::Written { connection, bytes } => self.on_written(connection, bytes),
            Input::Disconnected { connection, reason } => self.on_disconnected(connection, reason),
            Input::Command(command) => self.on_command(command),
            Input::StoreDone { .. } | Input::Assembled { .. } | Input::Tick => {}
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::AddEndpoint { endpoint } => self.on_add_endpoint(endpoint),
            Command::RemoveEndpoint { endpoint } => self.on_remove_endpoint(&endpoint),
            Command::SetOnline { online } => self.on_set_online(online),
            Command::NetworkChanged => self.on_network_changed(),
            Command::PushNow => self.tempo.begin_anew(),
            Command::OpenSpace { space } => self.on_open_space(space),
            Command::CloseSpace { space } => self.on_close_space(space),
            Command::Compare { space, peer } => self.on_compare(space, peer),
            Command::OpenDocument { space, document } => self.on_open_document(space, document),
            Command::CloseDocument { document } => self.on_close_document(document),
            Command::EditDocument { document, number, edit } => self.on_edit_document(document, number, edit),
            Command::OpenView { view, space, document, resume, mirror } => {
                self.on_open_view(view, space, document, resume);
                self.mirrors.open(view, mirror);
            }
            Command::EditView { view, number, seen, edit, stamp } => self.on_edit_view(view, number, seen, edit, stamp),
            Command::CloseView { view } => self.on_close_view(view),
            Command::SetPresence { space, instance, state } => self.on_set_presence(space, instance, state),
        }
    }

    fn on_time(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.now.monotonic_ms) {
            match timer {
                Timer::Hello(connection) => self.on_hello_timeout(connection),
                Timer::Silence(connection) => self.on_silence(connection),
                Timer::Dial(endpoint) => self.dial(&endpoint),
                Timer::StoreRetry => self.logs.retry(),
                // The drain appends what there is.
                Timer::Append => {}
                // The drain sends what is due.
                Timer::Push | Timer::Spread => {}
                Timer::ReadRetry(document) => self.on_read_retry(document),
                Timer::Struck(document) => self.ask_those_struck(document),
                Timer::Apply(document) => self.documents.due(document),
                Timer::PresenceRefresh => self.on_presence_refresh(),
                Timer::PresenceSend => self.on_presence_send(),
                Timer::PresenceExpiry => self.on_presence_expiry(),
                Timer::Receipts => self.write_receipts(),
                Timer::HeldBack(space) => self.on_held_back(space),
                Timer::SpaceSync => self.tell_progress(),
                Timer::Confirm => self.on_confirm(),
                Timer::Compaction => self.on_compaction_due(),
                Timer::Previews => self.on_previews_due(),
                Timer::GrantEnd => self.on_grant_end(),
                // The drain vouches for what there is.
                Timer::Attest => {}
                Timer::Letters => self.on_letters_due(),
                Timer::House => self.on_house_due(),
                Timer::Stamp => self.on_search_due(),
            }
        }
    }

    /// Does what the inputs since the last drain call for, each kind of work once for all of them.
    fn flush(&mut self) {
        if !matches!(self.phase, Phase::Running { .. }) {
            return;
        }
        self.finish_cuts();
        self.take_what_waited();
        self.apply_entries();
        self.answer_views();
        self.attest_first();
        self.push_entries();
        self.attest();
        self.send_sent();
        self.write_entries();
        self.take_in_received();
        self.write_previews();
        self.send_acks();
        self.tell_saved();
        self.count_syncs();
        self.let_go_of_quiet();
    }

    fn open_space(&mut self, space: SpaceId) -> &mut HeldSpace {
        let open = self.config.role == Role::Relay;
        self.spaces.entry(space).or_insert_with(|| HeldSpace { space: Space::new(space), open, sessions: BTreeSet::new() })
    }

    fn store(&mut self, work: logs::Work, task: StoreTask) -> TaskId {
        self.last_task += 1;
        let id = TaskId(self.last_task);
        self.tasks.insert(id, work);
        self.effects.push_back(Effect::Store { task: id, work: task });
        id
    }

    fn tell(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    fn trouble(&mut self, kind: TroubleKind, document: Option<DocumentId>, connection: Option<ConnectionId>, message: String) {
        self.tell(Event::Trouble(Trouble { kind, document, connection, message }));
    }

    fn is_relay(&self) -> bool {
        self.config.role == Role::Relay
    }
}
