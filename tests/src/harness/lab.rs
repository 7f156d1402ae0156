//! A quiet room beside the world: a few engines, perfect links of known length, disks that answer at once and fail only
//! when told to, and a count of every byte. For what a test wants to measure, or to say by hand.

use driftline_core::base::id::{ConnectionId, DocumentId, SpaceId};
use driftline_core::base::time::Now;
use driftline_core::doc::document::{ChangeError, Transaction};
use driftline_core::doc::value::Value;
use driftline_core::engine::Engine;
use driftline_core::engine::config::{EngineConfig, Role};
use driftline_core::engine::effect::{Effect, Event};
use driftline_core::engine::input::{Command, Input};
use driftline_core::store::journal::Journal;
use driftline_core::store::medium::MemoryMedium;
use driftline_core::store::task::{StoreDone, StoreError, StoreErrorKind, StoreTask};
use driftline_core::sync::hello::{Handshake, Identity};
use driftline_core::sync::message::{Hello, Message};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A frame that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// By whom.
    pub from: usize,
    /// What it is called.
    pub name: &'static str,
    /// How long it was.
    pub bytes: usize,
}

/// Where a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Far {
    /// To another engine.
    Engine(usize, ConnectionId),
    /// To the test, which speaks for itself.
    Stranger(usize),
}

/// One engine of a lab.
pub struct Party {
    /// The engine.
    pub engine: Engine,
    /// Its store.
    pub journal: Journal<MemoryMedium>,
    /// What it has told its app.
    pub events: Vec<Event>,
    /// Kinds of tasks that fail, and how.
    pub refusals: BTreeMap<&'static str, StoreErrorKind>,
    /// Tasks that wait because [`Party::holds_tasks`] was set.
    pub held_tasks: VecDeque<(driftline_core::base::id::TaskId, StoreTask)>,
    /// Whether storage tasks wait until [`Lab::release`].
    pub holds_tasks: bool,
    far: BTreeMap<ConnectionId, Far>,
    next_connection: u64,
    config: EngineConfig,
}

/// What the test holds of a connection on which it speaks for itself.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// What the engine sent, oldest first.
    pub heard: Vec<Message>,
    /// Whether the test reads nothing of what it is sent: it hears it, and the engine is not told that it was written.
    pub takes_nothing: bool,
    /// Why the engine closed it, once it has.
    pub closed: Option<String>,
    engine: usize,
    connection: u64,
}

#[derive(Debug)]
enum Due {
    Frame(usize, ConnectionId, Arc<[u8]>),
    Gone(usize, ConnectionId, String),
}

/// A few engines in one room.
pub struct Lab {
    /// The time, in milliseconds.
    pub now_ms: u64,
    /// The engines.
    pub parties: Vec<Party>,
    /// Every frame that any of them sent.
    pub sent: Vec<Sent>,
    /// Connections on which the test speaks for itself.
    pub lines: Vec<Line>,
    /// How long a frame is on its way, in milliseconds.
    pub latency_ms: u64,
    due: BTreeMap<(u64, u64), Due>,
    planned: u64,
}

impl Lab {
    /// An empty room whose links take so long one way.
    pub fn new(latency_ms: u64) -> Self {
        Self {
            now_ms: 1_000,
            parties: Vec::new(),
            sent: Vec::new(),
            lines: Vec::new(),
            latency_ms,
            due: BTreeMap::new(),
            planned: 0,
        }
    }

    /// An engine of this role, with its store open.
    pub fn add(&mut self, role: Role) -> usize {
        self.add_with(role, |_| {})
    }

    /// An engine of this role and a configuration of its own.
    pub fn add_with(&mut self, role: Role, configure: impl FnOnce(&mut EngineConfig)) -> usize {
        let mut config = EngineConfig::new(role, [self.parties.len() as u8 + 1; 32]);
        configure(&mut config);
        self.boot(config, MemoryMedium::new(), self.parties.len(), BTreeMap::new())
    }

    /// An engine whose store refuses one kind of task from the beginning.
    pub fn add_refusing(&mut self, role: Role, task: &'static str, kind: StoreErrorKind) -> usize {
        let config = EngineConfig::new(role, [self.parties.len() as u8 + 1; 32]);
        self.boot(config, MemoryMedium::new(), self.parties.len(), BTreeMap::from([(task, kind)]))
    }

    fn boot(
        &mut self,
        config: EngineConfig,
        medium: MemoryMedium,
        index: usize,
        refusals: BTreeMap<&'static str, StoreErrorKind>,
    ) -> usize {
        let party = Party {
            engine: Engine::new(config.clone(), Now::at(self.now_ms)),
            journal: Journal::new(medium),
            events: Vec::new(),
            refusals,
            held_tasks: VecDeque::new(),
            holds_tasks: false,
            far: BTreeMap::new(),
            next_connection: 0,
            config,
        };
        if index == self.parties.len() {
            self.parties.push(party);
        } else {
            self.parties[index] = party;
        }
        self.drain(index);
        index
    }

    /// Kills an engine and starts another on what its store holds; `damage` may change the bytes between.
    pub fn restart(&mut self, index: usize, damage: impl FnOnce(&mut Vec<u8>)) {
        let connections: Vec<_> = self.parties[index].far.keys().copied().collect();
        for connection in connections {
            self.cut(index, connection);
        }
        let mut bytes = self.parties[index].journal.medium_mut().bytes().to_vec();
        damage(&mut bytes);
        let mut config = self.parties[index].config.clone();
        config.seed[31] = config.seed[31].wrapping_add(1);
        self.boot(config, MemoryMedium::from_bytes(bytes), index, BTreeMap::new());
    }

    /// Tells an engine to do something.
    pub fn command(&mut self, index: usize, command: Command) {
        self.tell(index, Input::Command(command));
    }

    /// Opens a space at every engine that is a client, and a document in it.
    pub fn open_everywhere(&mut self, space: SpaceId, documents: &[DocumentId]) {
        for index in 0..self.parties.len() {
            if self.parties[index].config.role == Role::Client {
                self.command(index, Command::OpenSpace { space });
                for document in documents {
                    self.command(index, Command::OpenDocument { space, document: *document });
                }
            }
        }
    }

    /// Makes a change.
    ///
    /// # Panics
    ///
    /// When the engine refuses.
    pub fn change(
        &mut self,
        index: usize,
        document: DocumentId,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<(), ChangeError>,
    ) {
        let now = Now::at(self.now_ms);
        self.parties[index]
            .engine
            .change(now, document, None, change)
            .unwrap_or_else(|error| panic!("engine {index} refuses: {error}"));
        self.drain(index);
    }

    /// Joins two engines: the first dials.
    pub fn connect(&mut self, a: usize, b: usize) -> ConnectionId {
        self.command(a, Command::AddEndpoint { endpoint: endpoint(b) });
        let found = self.parties[a].far.iter().rev().find(|(_, far)| matches!(far, Far::Engine(other, _) if *other == b));
        *found.expect("an engine dials an endpoint it is given").0
    }

    fn join(&mut self, a: usize, b: usize) {
        let (here, there) = (self.next_connection(a), self.next_connection(b));
        self.parties[a].far.insert(here, Far::Engine(b, there));
        self.parties[b].far.insert(there, Far::Engine(a, here));
        self.tell(b, Input::Connected { connection: there, endpoint: None });
        self.tell(a, Input::Connected { connection: here, endpoint: Some(endpoint(b)) });
    }

    /// Opens a connection to an engine on which the test speaks for itself; answers its number in [`Lab::lines`].
    pub fn dial_in(&mut self, index: usize) -> usize {
        let connection = self.next_connection(index);
        let line = self.lines.len();
        self.lines.push(Line { engine: index, connection: connection.0, ..Line::default() });
        self.parties[index].far.insert(connection, Far::Stranger(line));
        self.tell(index, Input::Connected { connection, endpoint: None });
        line
    }

    /// As [`Lab::dial_in`], and says a proper hello as `identity`.
    pub fn dial_in_as(&mut self, index: usize, identity: &Identity) -> usize {
        let line = self.dial_in(index);
        let (mut handshake, hello) = Handshake::begin(identity, true, [line as u8; 32]);
        self.say(line, &hello);
        let theirs = self.hello(line);
        let proof = handshake.handle_hello(identity, theirs).expect("a proper hello");
        self.say(line, &proof);
        line
    }

    /// The hello that the engine said on a line.
    ///
    /// # Panics
    ///
    /// When it has not said one.
    pub fn hello(&self, line: usize) -> Hello {
        let hello = self.lines[line].heard.iter().find_map(|message| match message {
            Message::Hello(hello) => Some(hello.clone()),
            _ => None,
        });
        hello.expect("an engine says hello first")
    }

    /// Says something on a line.
    pub fn say(&mut self, line: usize, message: &Message) {
        self.say_bytes(line, message.encode());
    }

    /// Says anything at all on a line.
    pub fn say_bytes(&mut self, line: usize, bytes: Vec<u8>) {
        let (index, connection) = (self.lines[line].engine, ConnectionId(self.lines[line].connection));
        if self.lines[line].closed.is_none() {
            self.tell(index, Input::Frame { connection, bytes: Arc::from(bytes) });
        }
    }

    /// Cuts a connection: both sides hear of it, and do not dial again.
    pub fn cut(&mut self, index: usize, connection: ConnectionId) {
        let Some(far) = self.parties[index].far.remove(&connection) else { return };
        self.tell(index, Input::Disconnected { connection, reason: "the cable was cut".to_owned() });
        match far {
            Far::Engine(other, there) => {
                if self.parties[other].far.remove(&there).is_some() {
                    self.tell(other, Input::Disconnected { connection: there, reason: "the cable was cut".to_owned() });
                }
                self.command(index, Command::RemoveEndpoint { endpoint: endpoint(other) });
                self.command(other, Command::RemoveEndpoint { endpoint: endpoint(index) });
            }
            Far::Stranger(line) => self.lines[line].closed = Some("the cable was cut".to_owned()),
        }
    }

    /// Tells an engine something, and drains it.
    pub fn tell(&mut self, index: usize, input: Input) {
        self.parties[index].engine.handle(Now::at(self.now_ms), input);
        self.drain(index);
    }

    /// Lets time pass.
    pub fn run(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        loop {
            let wake =
                self.parties.iter().enumerate().filter_map(|(index, party)| Some((party.engine.next_deadline()?, index))).min();
            let frame = self.due.first_key_value().map(|((at, _), _)| *at);
            match (frame, wake) {
                (Some(at), wake) if at <= until && wake.is_none_or(|(wake, _)| at <= wake) => {
                    self.now_ms = self.now_ms.max(at);
                    let (_, due) = self.due.pop_first().expect("there is a first");
                    self.happen(due);
                }
                (_, Some((at, index))) if at <= until => {
                    self.now_ms = self.now_ms.max(at);
                    self.tell(index, Input::Tick);
                }
                _ => break,
            }
        }
        self.now_ms = until;
    }

    /// Carries out what was held back.
    pub fn release(&mut self, index: usize) {
        self.parties[index].holds_tasks = false;
        while self.release_one(index) {}
    }

    /// Carries out the oldest task that was held back; answers whether there was one.
    pub fn release_one(&mut self, index: usize) -> bool {
        let Some((task, work)) = self.parties[index].held_tasks.pop_front() else { return false };
        let result = self.carry_out(index, work);
        self.tell(index, Input::StoreDone { task, result });
        true
    }

    /// A document's value at an engine.
    pub fn value(&self, index: usize, document: &DocumentId) -> Option<Value> {
        self.parties[index].engine.document(document)?.value(())
    }

    /// The messages sent since frame number `from`, hellos and proofs not counted: their bytes and how many there were.
    pub fn cost_since(&self, from: usize) -> (usize, usize) {
        let counted = || self.sent[from..].iter().filter(|sent| !matches!(sent.name, "hello" | "proof" | "ping" | "pong"));
        (counted().map(|sent| sent.bytes).sum(), counted().count())
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Frame(index, connection, bytes) => {
                if self.parties[index].far.contains_key(&connection) {
                    self.tell(index, Input::Frame { connection, bytes });
                }
            }
            Due::Gone(index, connection, reason) => {
                if self.parties[index].far.remove(&connection).is_some() {
                    self.tell(index, Input::Disconnected { connection, reason });
                }
            }
        }
    }

    fn next_connection(&mut self, index: usize) -> ConnectionId {
        self.parties[index].next_connection += 1;
        ConnectionId(self.parties[index].next_connection)
    }

    fn plan(&mut self, due: Due) {
        self.planned += 1;
        self.due.insert((self.now_ms + self.latency_ms, self.planned), due);
    }

    fn drain(&mut self, index: usize) {
        loop {
            let mut written: BTreeMap<ConnectionId, usize> = BTreeMap::new();
            let (mut done, mut dials) = (Vec::new(), Vec::new());
            while let Some(effect) = self.parties[index].engine.poll_effect() {
                match effect {
                    Effect::Send { connection, frame } => {
                        *written.entry(connection).or_default() += frame.len();
                        self.send(index, connection, frame);
                    }
                    Effect::Disconnect { connection, reason } => {
                        if let Some(far) = self.parties[index].far.remove(&connection) {
                            match far {
                                Far::Engine(other, there) => {
                                    self.plan(Due::Gone(other, there, "the other side closed".to_owned()))
                                }
                                Far::Stranger(line) => self.lines[line].closed = Some(reason.clone()),
                            }
                            done.push(Input::Disconnected { connection, reason });
                        }
                    }
                    Effect::Dial { endpoint } => dials.push(endpoint),
                    Effect::Store { task, work } if self.parties[index].holds_tasks => {
                        self.parties[index].held_tasks.push_back((task, work));
                    }
                    Effect::Store { task, work } => {
                        let result = self.carry_out(index, work);
                        done.push(Input::StoreDone { task, result });
                    }
                    Effect::Assemble { task, assembly } => {
                        done.push(Input::Assembled { task, result: assembly.run().map(Box::new) });
                    }
                    Effect::Event(event) => self.parties[index].events.push(event),
                }
            }
            let takes = |connection: &ConnectionId| match self.parties[index].far.get(connection) {
                Some(Far::Stranger(line)) => !self.lines[*line].takes_nothing,
                _ => true,
            };
            written.retain(|connection, _| takes(connection));
            done.extend(written.into_iter().map(|(connection, bytes)| Input::Written { connection, bytes }));
            if done.is_empty() && dials.is_empty() {
                return;
            }
            for input in done {
                self.parties[index].engine.handle(Now::at(self.now_ms), input);
            }
            for dialled in dials {
                match (0..self.parties.len()).find(|other| endpoint(*other) == dialled) {
                    Some(other) => self.join(index, other),
                    None => self.tell(index, Input::DialFailed { endpoint: dialled, reason: "nobody is there".to_owned() }),
                }
            }
        }
    }

    fn send(&mut self, index: usize, connection: ConnectionId, frame: Arc<[u8]>) {
        let Some(far) = self.parties[index].far.get(&connection).copied() else { return };
        let name = Message::NAMES.iter().find(|(tag, _)| Some(tag) == frame.first()).map_or("unknown", |(_, name)| name);
        self.sent.push(Sent { at_ms: self.now_ms, from: index, name, bytes: frame.len() });
        match far {
            Far::Engine(other, there) => self.plan(Due::Frame(other, there, frame)),
            Far::Stranger(line) => {
                let message =
                    Message::decode(&frame).unwrap_or_else(|error| panic!("engine {index} sends what does not decode: {error}"));
                self.lines[line].heard.push(message);
            }
        }
    }

    fn carry_out(&mut self, index: usize, work: StoreTask) -> Result<StoreDone, StoreError> {
        let party = &mut self.parties[index];
        let name = match &work {
            StoreTask::Open { .. } => "open",
            StoreTask::Append { .. } => "append",
            StoreTask::Renew { .. } => "renew",
            StoreTask::Read { .. } => "read",
            StoreTask::Find { .. } => "find",
            StoreTask::PutSnapshot { .. } => "put a snapshot",
            StoreTask::ReadSnapshot { .. } => "read a snapshot",
            StoreTask::PutMeta { .. } => "put",
            StoreTask::Quarantine { .. } => "quarantine",
        };
        match party.refusals.get(name) {
            Some(kind) => Err(StoreError { kind: *kind, message: format!("the test refuses to {name}") }),
            None => party.journal.execute(work),
        }
    }
}

/// Where an engine is dialled.
fn endpoint(index: usize) -> String {
    format!("lab:{index}")
}
