//! The world: one clock, one queue of what is to happen, and the run loop of every replica's driver.
//!
//! Time is a number that jumps to the next happening. Happenings of one millisecond come in the order they were planned.

use super::cheat::Cheat;
use super::dice::Dice;
use super::disk::Death;
use super::fault::Trick;
use super::founding::found;
use super::link::Links;
use super::options::{End, Fault, Options, Shape};
use super::oracle::Oracle;
use super::replica::Replica;
use super::sealed::{Keys, found_sealed};
use super::shutting;
use super::tally::Tally;
use super::trace::Trace;
use driftline_core::base::id::{ConnectionId, DocumentId, SpaceId, TaskId};
use driftline_core::base::time::Now;
use driftline_core::doc::assembly::Assembly;
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::{Effect, Event, TroubleKind};
use driftline_core::engine::input::{Command, Input};
use driftline_core::store::task::StoreTask;
use driftline_core::trust::invitation::Invitation;
use std::collections::{BTreeMap, BTreeSet};

/// Effects of one drain above which an engine is taken to be going round in circles.
const DRAIN_EFFECTS_MAX: usize = 100_000;
/// Wake-ups of one engine in one millisecond above which it is taken to be spinning.
const WAKES_PER_MS_MAX: u32 = 100;

/// When lives begin, in seconds of Unix time.
const UNIX_S: u64 = 1_700_000_000;

/// Something that is to happen.
#[derive(Debug)]
pub enum Happening {
    /// Something may have arrived on the lane that this side of a wire sends on.
    Arrive(u64, usize),
    /// Frames have left a replica.
    Written(usize, u32, ConnectionId, usize),
    /// A process hears that a connection is gone.
    Gone(usize, u32, ConnectionId, String),
    /// A dial reaches the other side or does not.
    Dialled(usize, u32, String),
    /// A dial has failed.
    DialFailed(usize, u32, String),
    /// The disk has carried out tasks.
    DiskDone(usize, u32),
    /// A process has put a document together.
    Assembled(usize, u32, TaskId, Box<Assembly>),
    /// A process takes up the link to the space it shares.
    Join(usize, u32),
    /// A process is woken.
    Wake(usize, u32),
    /// A process is drained that was told something before.
    Drain(usize, u32),
    /// The engine hears its screen, or the screen its engine.
    Screen(usize, u32, bool),
    /// A replica's process starts.
    Start(usize),
    /// A process that could not open its store is ended and started again.
    Restart(usize, u32),
    /// The app does something.
    Act,
    /// The app asks for something it has put off.
    Ask(usize, u32, Command),
    /// The owner shuts someone out.
    ShutOut,
    /// Something goes wrong.
    Trick(Fault, Trick),
}

/// A world of replicas.
pub struct World {
    /// What kind of life it is.
    pub options: Options,
    /// The time, in milliseconds.
    pub now_ms: u64,
    /// Everyone.
    pub replicas: Vec<Replica>,
    /// What joins them.
    pub links: Links,
    /// What must hold.
    pub oracle: Oracle,
    /// What happened.
    pub trace: Trace,
    /// How often it happened.
    pub tally: Tally,
    /// The space everyone shares.
    pub space: SpaceId,
    /// Links to it, where it is owned: one for all, or one for each.
    pub(super) links_to_it: Vec<Invitation>,
    /// Who sits before the relay.
    pub(super) cheat: Cheat,
    /// Its documents.
    pub documents: Vec<DocumentId>,
    /// The number of the last edit.
    pub last_edit: u64,
    /// Mirrors made so far.
    pub last_mirror: u64,
    /// Documents that someone has begun.
    pub begun: BTreeSet<DocumentId>,
    /// When something other than keeping connections alive last happened.
    pub busy_ms: u64,
    /// Changes sent, counted as often as they were.
    pub changes_sent: u64,
    /// Whether faults are over.
    pub healed: bool,
    /// Whether the owner has shut someone out, and that may not outlive its process yet.
    pub(super) is_shutting_out: bool,
    /// Drawn by the app.
    pub app_dice: Dice,
    /// Drawn by everything that goes wrong.
    pub fault_dice: Dice,
    disk_dice: Dice,
    boot_dice: Dice,
    screen_dice: Dice,
    queue: BTreeMap<(u64, u64), Happening>,
    planned: u64,
    wakes: BTreeMap<usize, (u64, u32)>,
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(options: Options, recording: bool) -> Self {
        let relay = matches!(options.shape, Shape::Star | Shape::StarWithEdges);
        let role = |index| if relay && index == 0 { Role::Relay } else { Role::Client };
        let mut replicas: Vec<_> = (0..options.replicas).map(|index| Replica::new(&options, index, role(index))).collect();
        let seed = options.seed;
        let mut ids = Dice::new(seed, "ids");
        let open = SpaceId(ids.bytes());
        let ends: Vec<u64> = (0..if options.end.is_some() { options.replicas } else { 1 })
            .map(|index| match options.end {
                Some(End::Expires(after_s)) if index + 1 == options.replicas => UNIX_S + after_s,
                _ => 0,
            })
            .collect();
        let sealing = options.sealed.then(|| found_sealed(&mut ids, UNIX_S, &ends));
        let founding = (options.owned && !options.sealed).then(|| found(&mut ids, &ends));
        if let (Some(founding), true) = (&founding, options.end.is_some()) {
            replicas[shutting::OWNER].identity = Some(founding.owner);
        }
        let mut oracle = Oracle::new(&replicas);
        let mut links_to_it = founding.map(|founding| founding.links).unwrap_or_default();
        if let Some(sealing) = sealing {
            oracle.keys = Some(Keys::of(&sealing));
            replicas[shutting::OWNER].identity = Some(sealing.owner);
            replicas[shutting::OWNER].disk.begin_with(sealing.areas);
            links_to_it = sealing.links;
            // What can be opened with their keys is looked at in the end.
            let last = replicas.len() - 1;
            if options.end.is_some() {
                replicas[last].identity = Some(ids.bytes());
            }
        }
        // A disk that does not write does not cut a file short either; and one that does not sync has neither the write for sure nor its taking back when the power goes.
        let tears = options.has(Fault::SyncFails) && options.has(Fault::TornWrites);
        oracle.refusals_may_stay = options.has(Fault::WriteFails) || tears;
        Self {
            now_ms: 1_000,
            links: Links::new(seed, options.delay_ms_max),
            oracle,
            replicas,
            trace: Trace::new(recording),
            tally: Tally::default(),
            space: links_to_it.first().map_or(open, |link| link.space),
            links_to_it,
            cheat: Cheat::new(seed, options.cheating),
            documents: (0..options.documents).map(|_| DocumentId(ids.bytes())).collect(),
            last_edit: 0,
            last_mirror: 0,
            begun: BTreeSet::new(),
            busy_ms: 0,
            changes_sent: 0,
            healed: false,
            is_shutting_out: false,
            app_dice: Dice::new(seed, "app"),
            fault_dice: Dice::new(seed, "faults"),
            disk_dice: Dice::new(seed, "disks"),
            boot_dice: Dice::new(seed, "boots"),
            screen_dice: Dice::new(seed, "screens"),
            queue: BTreeMap::new(),
            planned: 0,
            wakes: BTreeMap::new(),
            options,
        }
    }

    /// Plans a happening.
    pub fn plan(&mut self, at_ms: u64, happening: Happening) {
        self.planned += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.planned), happening);
    }

    /// Lets everything happen up to this time.
    pub fn run_until(&mut self, until_ms: u64) {
        while self.queue.first_key_value().is_some_and(|((at, _), _)| *at <= until_ms) {
            let ((at, _), happening) = self.queue.pop_first().expect("there is a first");
            self.now_ms = at;
            self.happen(happening);
        }
        self.now_ms = until_ms;
    }

    /// Starts a replica's process, and has its app do what apps do first.
    pub fn start(&mut self, index: usize) {
        let is_gone = self.healed && self.options.relay_goes && index == 0;
        if self.replicas[index].is_up() || is_gone {
            return;
        }
        let logs = self.replicas[index].disk.logs(self.oracle.keys.as_ref());
        self.oracle.on_recovered(index, &logs);
        let seed = self.boot_dice.bytes();
        let now = self.now(index);
        self.replicas[index].start(seed, now);
        self.tally.count("process started");
        self.trace.word(self.now_ms, || format!("{index} starts"));
        self.drain(index);
    }

    /// Ends a replica's process.
    pub fn kill(&mut self, index: usize, death: Death) {
        if !self.replicas[index].is_up() {
            return;
        }
        self.trace.word(self.now_ms, || format!("{index} dies: {death:?}"));
        self.oracle.on_death(index, self.replicas[index].disk.tasks.iter().map(|(_, task)| task));
        // Nobody hears of what is still carried out: only the next process's store says whether it happened.
        self.replicas[index].disk.die(death);
        self.count_rewriting(index);
        let connections: Vec<_> = self.replicas[index].connections.values().copied().collect();
        // Where the power goes, nobody says goodbye: the other side finds out by the silence.
        let silent = death != Death::Killed && self.fault_dice.percent(50);
        for connection in connections {
            if silent {
                self.links.vanish(connection.wire, connection.side);
            } else {
                self.hang_up(connection.wire, connection.side, "the other side's process ended");
            }
        }
        self.tally.add("documents let go", self.replicas[index].let_go());
        self.tally.add("changes replayed", self.replicas[index].replayed());
        if self.options.tabs_stay {
            self.hear_last_words(index);
        }
        self.replicas[index].forget(self.options.tabs_stay);
    }

    /// Some of what a process told its screens before it died still reaches them.
    fn hear_last_words(&mut self, index: usize) {
        let app = &mut self.replicas[index].app;
        let heard = if self.screen_dice.percent(50) { 0 } else { self.screen_dice.index(app.to_screen.len() + 1) };
        for update in app.to_screen.drain(..heard) {
            if let Some(mirror) = app.mirrors.get_mut(&update.view) {
                mirror.hear(&update);
                self.tally.count("answer heard after its engine's death");
            }
        }
    }

    /// Tells a replica's engine something, and drains it now or a little later.
    pub fn tell(&mut self, index: usize, input: Input) {
        let now = self.now(index);
        let Some(engine) = self.replicas[index].engine.as_mut() else { return };
        self.trace.input(self.now_ms, index, &input);
        engine.handle(now, input);
        self.told(index);
    }

    /// Drains a replica's engine now or, as busy drivers do, after it was told more.
    pub fn told(&mut self, index: usize) {
        if self.replicas[index].undrained {
            return;
        }
        if self.disk_dice.percent(self.options.coalesce_percent) {
            self.replicas[index].undrained = true;
            let at = self.now_ms + self.disk_dice.below(3);
            self.plan(at, Happening::Drain(index, self.replicas[index].life));
        } else {
            self.drain(index);
        }
    }

    /// The moment as a replica sees it.
    pub fn now(&self, index: usize) -> Now {
        let unix_ms = 1_000 * UNIX_S as i64 + self.now_ms as i64 + self.replicas[index].unix_offset_ms;
        Now { monotonic_ms: self.now_ms, unix_ms }
    }

    /// The endpoint of a replica.
    pub fn endpoint(index: usize) -> String {
        format!("sim:{index}")
    }

    fn drain(&mut self, index: usize) {
        self.replicas[index].undrained = false;
        let mut written: BTreeMap<ConnectionId, usize> = BTreeMap::new();
        for drained in 0.. {
            let Some(effect) = self.replicas[index].engine.as_mut().and_then(|engine| engine.poll_effect()) else { break };
            assert!(drained < DRAIN_EFFECTS_MAX, "L1: replica {index} never comes to the end of its effects");
            if let Some(fuse) = &mut self.replicas[index].fuse {
                if *fuse == 0 {
                    self.tally.count("fault CrashInDrain");
                    let death = self.death();
                    self.kill(index, death);
                    let delay = self.fault_dice.below(5_000);
                    self.plan(self.now_ms + delay, Happening::Start(index));
                    return;
                }
                *fuse -= 1;
            }
            self.trace.effect(self.now_ms, index, &effect);
            self.tally.effect(&effect);
            self.carry_out(index, effect, &mut written);
        }
        self.replicas[index].ended = 0;
        self.learn_of_end(index);
        let life = self.replicas[index].life;
        for (connection, bytes) in written {
            let at = self.now_ms + self.disk_dice.below(2);
            self.plan(at, Happening::Written(index, life, connection, bytes));
        }
        let deadline = self.replicas[index].engine.as_ref().and_then(|engine| engine.next_deadline());
        if let Some(at) = deadline
            && self.replicas[index].wake_ms.is_none_or(|planned| at < planned)
        {
            let at = at.max(self.now_ms);
            self.replicas[index].wake_ms = Some(at);
            self.plan(at, Happening::Wake(index, life));
        }
    }

    fn carry_out(&mut self, index: usize, effect: Effect, written: &mut BTreeMap<ConnectionId, usize>) {
        let life = self.replicas[index].life;
        match effect {
            Effect::Send { connection, frame } => {
                if let Some(bytes) = self.send(index, connection, frame) {
                    *written.entry(connection).or_default() += bytes;
                }
            }
            Effect::Disconnect { connection, reason } => {
                if let Some(found) = self.replicas[index].connections.get(&connection).copied() {
                    self.busy_ms = self.now_ms;
                    self.hang_up(found.wire, found.side, "the other side closed the connection");
                    self.plan(self.now_ms + 1, Happening::Gone(index, life, connection, reason));
                }
            }
            Effect::Dial { endpoint } => {
                let at = self.now_ms + self.links.delay_ms();
                self.plan(at, Happening::Dialled(index, life, endpoint));
            }
            Effect::Store { task, work } => self.store(index, task, work),
            Effect::Assemble { task, assembly } => {
                let at = self.now_ms + self.disk_dice.below(self.options.disk_ms_max + 1);
                self.busy_ms = self.now_ms;
                self.plan(at, Happening::Assembled(index, life, task, assembly));
            }
            Effect::Event(event) => {
                self.oracle.on_event(index, &event);
                self.on_event(index, event);
            }
        }
    }

    fn store(&mut self, index: usize, task: TaskId, work: StoreTask) {
        self.busy_ms = self.now_ms;
        self.judge_storing(index, &work);
        let replica = &mut self.replicas[index];
        replica.disk.tasks.push_back((task, work));
        if !replica.disk_busy {
            self.plan_disk(index);
        }
    }

    fn plan_disk(&mut self, index: usize) {
        let mut delay = self.disk_dice.below(self.options.disk_ms_max + 1);
        if self.replicas[index].disk.has_fault(Fault::SlowSync) {
            self.tally.count("fault SlowSync");
            delay += self.disk_dice.between(500, 3_000);
        }
        self.replicas[index].disk_busy = true;
        self.plan(self.now_ms + delay, Happening::DiskDone(index, self.replicas[index].life));
    }

    fn on_event(&mut self, index: usize, event: Event) {
        match event {
            Event::Ready { .. } => {
                self.replicas[index].ready = true;
                self.busy_ms = self.now_ms;
                self.on_ready(index);
            }
            Event::ViewUpdated(update) => {
                self.busy_ms = self.now_ms;
                self.replicas[index].app.to_screen.push_back(update);
                self.plan_screen(index, false);
            }
            Event::Presence { peer, instance, state, .. } => {
                let present = &mut self.replicas[index].app.present;
                match state {
                    Some(state) => _ = present.insert((peer, instance), state),
                    None => _ = present.remove(&(peer, instance)),
                }
            }
            Event::DocumentChanged { .. } => self.busy_ms = self.now_ms,
            Event::SpaceSync { in_sync, .. } => self.says_in_sync(index, in_sync),
            Event::Trouble(trouble) if matches!(trouble.kind, TroubleKind::WentBack | TroubleKind::HeldBack) => {
                self.tally.count(&format!("told {:?}", trouble.kind));
            }
            Event::Trouble(trouble) if trouble.kind == TroubleKind::StoreOpen => {
                // Whoever runs it sees that, and tries again.
                let at = self.now_ms + self.disk_dice.between(500, 5_000);
                self.plan(at, Happening::Restart(index, self.replicas[index].life));
            }
            _ => {}
        }
    }

    /// Plans that a screen hears its engine, or an engine its screen.
    pub fn plan_screen(&mut self, index: usize, to_engine: bool) {
        let at = self.now_ms + self.disk_dice.below(30);
        self.plan(at, Happening::Screen(index, self.replicas[index].life, to_engine));
    }

    /// How a process ends in this life.
    pub fn death(&mut self) -> Death {
        let mut deaths = vec![Death::Killed];
        for (fault, death) in [(Fault::LostWrites, Death::PowerLost), (Fault::TornWrites, Death::PowerTorn)] {
            if self.options.has(fault) {
                deaths.extend([death, death]);
            }
        }
        let death = *self.fault_dice.pick(&deaths);
        match death {
            Death::Killed => {}
            Death::PowerLost => self.tally.count("fault LostWrites"),
            Death::PowerTorn => self.tally.count("fault TornWrites"),
        }
        death
    }

    fn happen(&mut self, happening: Happening) {
        let alive = |world: &Self, index: usize, life: u32| world.replicas[index].is_up() && world.replicas[index].life == life;
        match happening {
            Happening::Arrive(wire, side) => self.arrive(wire, side),
            Happening::Written(index, life, connection, bytes) if alive(self, index, life) => {
                if let Some(found) = self.replicas[index].connections.get_mut(&connection) {
                    found.unwritten = found.unwritten.saturating_sub(bytes);
                    self.tell(index, Input::Written { connection, bytes });
                }
            }
            Happening::Gone(index, life, connection, reason) if alive(self, index, life) => self.gone(index, connection, reason),
            Happening::Dialled(index, life, endpoint) if alive(self, index, life) => self.dialled(index, life, endpoint),
            Happening::DialFailed(index, life, endpoint) if alive(self, index, life) => {
                self.tally.count("dial failed");
                self.tell(index, Input::DialFailed { endpoint, reason: "nobody answers".to_owned() });
            }
            Happening::Assembled(index, life, task, assembly) if alive(self, index, life) => {
                self.busy_ms = self.now_ms;
                let result = assembly.run().map(Box::new);
                self.tell(index, Input::Assembled { task, result });
            }
            Happening::Join(index, life) if alive(self, index, life) => self.join(index),
            Happening::DiskDone(index, life) if alive(self, index, life) => self.disk_done(index),
            Happening::Wake(index, life) if alive(self, index, life) && self.replicas[index].wake_ms == Some(self.now_ms) => {
                let (at, times) = self.wakes.entry(index).or_default();
                *times = if *at == self.now_ms { *times + 1 } else { 1 };
                *at = self.now_ms;
                assert!(*times < WAKES_PER_MS_MAX, "L1: replica {index} asks to be woken again and again at {}", self.now_ms);
                self.replicas[index].wake_ms = None;
                self.tell(index, Input::Tick);
            }
            Happening::Drain(index, life) if alive(self, index, life) && self.replicas[index].undrained => self.drain(index),
            Happening::Screen(index, life, to_engine) if alive(self, index, life) => self.screen(index, to_engine),
            Happening::Start(index) => self.start(index),
            Happening::Restart(index, life) if alive(self, index, life) => {
                self.tally.count("process restarted for its store");
                self.kill(index, Death::Killed);
                if self.oracle.tampered && self.fault_dice.percent(30) {
                    // Whoever runs it loses patience with a disk that does not open, and puts in a new one.
                    self.tally.count("disk replaced");
                    self.oracle.on_tampered(index);
                    self.replicas[index].disk.wipe();
                }
                self.start(index);
            }
            Happening::Act => self.act(),
            Happening::ShutOut => self.shut_out(),
            Happening::Ask(index, life, command) if alive(self, index, life) => self.command(index, command),
            Happening::Trick(fault, trick) => self.play(fault, trick),
            _ => {}
        }
    }

    fn disk_done(&mut self, index: usize) {
        self.replicas[index].disk_busy = false;
        let many = 1 + self.disk_dice.index(8);
        for carried in self.replicas[index].disk.carry_out(many) {
            if carried.result.is_err() {
                self.tally.count("storage task failed");
            }
            self.oracle.on_carried(index, &carried);
            if !self.replicas[index].is_up() {
                continue;
            }
            self.tell(index, Input::StoreDone { task: carried.task, result: carried.result });
        }
        for fault in self.replicas[index].disk.take_fired() {
            self.tally.count(&format!("fault {fault}"));
        }
        self.count_rewriting(index);
        if self.replicas[index].is_up() && !self.replicas[index].disk_busy && !self.replicas[index].disk.tasks.is_empty() {
            self.plan_disk(index);
        }
    }

    fn count_rewriting(&mut self, index: usize) {
        for (what, many) in self.replicas[index].disk.take_rewriting() {
            self.tally.add(what, many);
        }
    }

    /// The app of a process whose store is open asks for everything it wants.
    fn on_ready(&mut self, index: usize) {
        for endpoint in self.replicas[index].endpoints.clone() {
            self.command(index, Command::AddEndpoint { endpoint });
        }
        if !self.links_to_it.is_empty() && self.replicas[index].role == Role::Client {
            self.plan(self.now_ms, Happening::Join(index, self.replicas[index].life));
        }
        if !self.replicas[index].online {
            self.command(index, Command::SetOnline { online: false });
        }
        if self.replicas[index].role == Role::Client {
            self.command(index, Command::OpenSpace { space: self.space });
            self.resume_mirrors(index);
            if self.healed {
                self.open_everything(index);
            }
            for ((space, instance), state) in self.replicas[index].app.presence.clone() {
                self.command(index, Command::SetPresence { space, instance, state: Some(state) });
            }
        }
    }

    /// Has a replica join the owned space, unless it has.
    fn join(&mut self, index: usize) {
        let now = self.now(index);
        let link = self.links_to_it.get(index).or(self.links_to_it.first());
        let (Some(engine), Some(link)) = (self.replicas[index].engine.as_mut(), link) else { return };
        let joined = engine.join(now, link, format!("replica {index}"));
        // Whoever was shut out, or comes when it has ended, is not let in again.
        assert!(joined.is_ok() || self.replicas[index].out, "the link is good: {joined:?}");
        self.tally.count("joined an owned space");
        self.told(index);
    }

    /// Has a replica's app ask for something, through the queue, so that it never comes in the middle of a drain.
    /// Where no process runs, nobody hears it.
    pub fn command(&mut self, index: usize, command: Command) {
        if !self.replicas[index].is_up() {
            return;
        }
        self.replicas[index].app.to_engine.push_back(command);
        self.plan_screen(index, true);
    }

    fn screen(&mut self, index: usize, to_engine: bool) {
        let app = &mut self.replicas[index].app;
        if to_engine {
            if let Some(command) = app.to_engine.pop_front() {
                self.tell(index, Input::Command(command));
            }
            return;
        }
        let Some(update) = app.to_screen.pop_front() else { return };
        if let Some(mirror) = app.mirrors.get_mut(&update.view) {
            let taken = mirror.hear(&update);
            self.tally.count(if taken { "answer taken" } else { "answer dropped" });
            if update.number == 0 {
                self.on_preview(index, update.document, update.view);
            }
        }
    }
}
