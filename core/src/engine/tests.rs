//! The engine's first stories, told with perfect links and a memory store; the simulator tells the others.

use super::Engine;
use super::config::{AppendPace, EngineConfig, Role};
use super::effect::{Effect, Event};
use super::input::{Command, Input};
use crate::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId, SpaceId, TaskId, ViewId};
use crate::base::time::Now;
use crate::doc::assembly::{Assembly, AssemblyError, Piece};
use crate::doc::edit::{Edit, Op};
use crate::doc::value::{Prop, Value};
use crate::log::log::Log;
use crate::log::version::Version;
use crate::store::journal::Journal;
use crate::store::medium::MemoryMedium;
use crate::store::task::{StoreError, StoreErrorKind, StoreTask};
use crate::sync::message::{ErrorCode, Message};
use std::collections::VecDeque;
use std::sync::Arc;

pub(super) const SPACE: SpaceId = SpaceId([1; 16]);
pub(super) const NOTE: DocumentId = DocumentId([2; 16]);

pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) store: Journal<MemoryMedium>,
    pub(super) events: Vec<Event>,
    /// Whether its disk is slow: tasks then wait here until they are let through.
    slow: bool,
    /// Whether it fails to put documents together.
    pub(super) panics: bool,
    pub(super) waiting: Vec<(TaskId, StoreTask)>,
    /// Whether what it puts together takes long: it then waits here until it is ended.
    pub(super) works_slowly: bool,
    at_work: Vec<(TaskId, Box<Assembly>)>,
}

/// A few replicas joined by links without delay.
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    /// By connection number: the two nodes it joins, the dialler first.
    links: Vec<(usize, usize)>,
    pub(super) frames: VecDeque<(usize, ConnectionId, Arc<[u8]>)>,
    pub(super) bytes: usize,
    pub(super) now: u64,
}

impl Node {
    /// Forgets what its disk has held back, as a process does that ends.
    pub(super) fn forget_tasks(&mut self) {
        self.slow = false;
        self.waiting.clear();
    }
}

impl World {
    pub(super) fn new(roles: &[Role]) -> Self {
        Self::with(roles, |_| {})
    }

    pub(super) fn with(roles: &[Role], configure: impl Fn(&mut EngineConfig)) -> Self {
        let nodes = roles.iter().enumerate().map(|(index, role)| {
            let mut config = EngineConfig::new(*role, [index as u8; 32]);
            configure(&mut config);
            let engine = Engine::new(config, Now::at(0));
            Node {
                engine,
                store: Journal::new(MemoryMedium::new()),
                events: Vec::new(),
                slow: false,
                panics: false,
                waiting: Vec::new(),
                works_slowly: false,
                at_work: Vec::new(),
            }
        });
        let mut world = Self { nodes: nodes.collect(), links: Vec::new(), frames: VecDeque::new(), bytes: 0, now: 0 };
        for node in 0..world.nodes.len() {
            world.drain(node);
        }
        world
    }

    pub(super) fn input(&mut self, node: usize, input: Input) {
        self.nodes[node].engine.handle(Now::at(self.now), input);
        self.drain(node);
    }

    pub(super) fn drain(&mut self, node: usize) {
        while let Some(effect) = self.nodes[node].engine.poll_effect() {
            match effect {
                Effect::Send { connection, frame } => {
                    let (a, b) = self.links[connection.0 as usize];
                    self.bytes += frame.len();
                    let bytes = frame.len();
                    self.frames.push_back((if a == node { b } else { a }, connection, frame));
                    self.nodes[node].engine.handle(Now::at(self.now), Input::Written { connection, bytes });
                }
                Effect::Store { task, work } if self.nodes[node].slow => self.nodes[node].waiting.push((task, work)),
                Effect::Store { task, work } => {
                    let result = self.nodes[node].store.execute(work);
                    self.nodes[node].engine.handle(Now::at(self.now), Input::StoreDone { task, result });
                }
                Effect::Assemble { task, assembly } if self.nodes[node].works_slowly => {
                    self.nodes[node].at_work.push((task, assembly));
                }
                Effect::Assemble { task, assembly } => {
                    let panicked = AssemblyError { piece: Piece::Unknown, reason: "it panicked".to_owned(), rival: None };
                    let result = if self.nodes[node].panics { Err(panicked) } else { assembly.run().map(Box::new) };
                    self.nodes[node].engine.handle(Now::at(self.now), Input::Assembled { task, result });
                }
                Effect::Event(event) => self.nodes[node].events.push(event),
                Effect::Disconnect { connection, reason } => {
                    self.nodes[node].engine.handle(Now::at(self.now), Input::Disconnected { connection, reason });
                }
                Effect::Dial { .. } => {}
            }
        }
    }

    /// Has the disk of a node hold back what it is asked.
    pub(super) fn slow_down(&mut self, node: usize) {
        self.nodes[node].slow = true;
    }

    /// Ends what a node is putting together.
    pub(super) fn end_work(&mut self, node: usize) {
        self.nodes[node].works_slowly = false;
        for (task, assembly) in std::mem::take(&mut self.nodes[node].at_work) {
            self.input(node, Input::Assembled { task, result: assembly.run().map(Box::new) });
        }
    }

    /// Has everything fail that a disk has held back; answers how much that was.
    pub(super) fn let_fail(&mut self, node: usize) -> usize {
        self.nodes[node].slow = false;
        let waiting = std::mem::take(&mut self.nodes[node].waiting);
        let failed = waiting.len();
        for (task, _) in waiting {
            let error = StoreError { kind: StoreErrorKind::Unavailable, message: "not now".to_owned() };
            self.input(node, Input::StoreDone { task, result: Err(error) });
        }
        failed
    }

    /// Ends a node's process, and starts another on what its disk holds. Its connections are gone.
    pub(super) fn restart(&mut self, node: usize, config: EngineConfig) {
        let medium = std::mem::replace(&mut self.nodes[node].store, Journal::new(MemoryMedium::new())).into_medium();
        let old = &mut self.nodes[node];
        (old.engine, old.store) = (Engine::new(config, Now::at(self.now)), Journal::new(medium));
        (old.slow, old.panics) = (false, false);
        old.waiting.clear();
        old.events.clear();
        self.drain(node);
    }

    pub(super) fn let_through(&mut self, node: usize) {
        self.nodes[node].slow = false;
        for (task, work) in std::mem::take(&mut self.nodes[node].waiting) {
            let result = self.nodes[node].store.execute(work);
            self.input(node, Input::StoreDone { task, result });
        }
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) {
        let connection = ConnectionId(self.links.len() as u64);
        self.links.push((a, b));
        self.input(a, Input::Connected { connection, endpoint: Some("peer".to_owned()) });
        self.input(b, Input::Connected { connection, endpoint: None });
    }

    pub(super) fn run(&mut self) {
        for _ in 0..10_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the replicas do not come to rest");
    }

    /// Delivers everything, to each node all that waits for it at once: it acts when it has taken in all of it.
    pub(super) fn run_in_bursts(&mut self) {
        while let Some((node, ..)) = self.frames.front() {
            let node = *node;
            let (burst, rest): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(&mut self.frames).into_iter().partition(|(to, ..)| *to == node);
            self.frames = rest;
            for (_, connection, bytes) in burst {
                self.nodes[node].engine.handle(Now::at(self.now), Input::Frame { connection, bytes });
            }
            self.drain(node);
        }
    }

    /// Delivers the next frame; answers whether there was one.
    pub(super) fn step(&mut self) -> bool {
        let Some((node, connection, frame)) = self.frames.pop_front() else { return false };
        self.input(node, Input::Frame { connection, bytes: frame });
        true
    }

    /// Loses every frame that is on its way, and nobody knows.
    pub(super) fn lose(&mut self) {
        self.frames.clear();
    }

    pub(super) fn disconnect(&mut self, connection: u64) {
        let (a, b) = self.links[connection as usize];
        for node in [a, b] {
            let connection = ConnectionId(connection);
            self.input(node, Input::Disconnected { connection, reason: "test".to_owned() });
        }
    }

    /// Lets time pass, with everything that happens in it.
    pub(super) fn wait(&mut self, ms: u64) {
        self.now += ms;
        for node in 0..self.nodes.len() {
            self.input(node, Input::Tick);
        }
        self.run();
    }

    pub(super) fn open(&mut self, node: usize) {
        self.input(node, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
        self.input(node, Input::Command(Command::OpenSpace { space: SPACE }));
        self.input(node, Input::Command(Command::OpenDocument { space: SPACE, document: NOTE }));
    }

    pub(super) fn write(&mut self, node: usize, text: &str) {
        let now = Now::at(self.now);
        self.nodes[node]
            .engine
            .change(now, NOTE, None, |note| {
                if note.text("body").is_none() {
                    note.put("body", "")?;
                }
                let length = note.length("body").unwrap_or(0);
                note.splice("body", length, 0, text)
            })
            .expect("the note is open");
        self.drain(node);
    }

    pub(super) fn text(&self, node: usize) -> Option<String> {
        self.nodes[node].engine.document(&NOTE)?.text("body")
    }
}

#[test]
fn an_edit_reaches_the_other_screen_through_a_relay_and_is_acknowledged() {
    let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
    world.open(1);
    world.open(2);
    world.connect(1, 0);
    world.connect(2, 0);
    world.run();
    world.write(1, "ashore ");
    world.run();
    world.write(2, "afloat");
    world.run();
    assert_eq!(world.text(2).as_deref(), Some("ashore afloat"));
    assert_eq!(world.text(1), world.text(2));
    let saved = world.nodes[1].engine.saved(&NOTE).unwrap();
    assert!(saved.device);
    assert_eq!((saved.replicas, saved.relays), (1, 1));
}

#[test]
fn clients_of_one_relay_meet_clients_of_another_that_it_dials_in_a_space_that_only_they_open() {
    let mut world = World::new(&[Role::Relay, Role::Relay, Role::Client, Role::Client]);
    world.input(0, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.connect(0, 1);
    world.run();
    for (client, relay) in [(3, 1), (2, 0)] {
        world.open(client);
        world.connect(client, relay);
        world.run();
    }
    world.write(2, "ashore ");
    world.run();
    world.write(3, "afloat");
    world.run();
    assert_eq!(world.text(2).as_deref(), Some("ashore afloat"));
    assert_eq!(world.text(2), world.text(3));
}

#[test]
fn a_relay_tells_nobody_of_its_spaces_who_only_calls_it_and_says_that_it_is_a_relay() {
    let mut world = World::new(&[Role::Relay, Role::Relay, Role::Client]);
    world.input(1, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.connect(1, 0);
    world.open(2);
    world.connect(2, 0);
    world.write(2, "calm");
    world.run();
    assert!(world.nodes[0].engine.log(&NOTE).is_some());
    assert!(world.nodes[1].engine.log(&NOTE).is_none() && world.nodes[1].engine.spaces().is_empty());
}

#[test]
fn what_was_written_offline_converges_when_the_relay_is_back() {
    let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
    world.open(1);
    world.open(2);
    world.write(1, "one ");
    world.write(2, "two ");
    assert_eq!(world.nodes[1].engine.saved(&NOTE).unwrap().relays, 0);
    world.connect(1, 0);
    world.run();
    assert_eq!(world.nodes[1].engine.saved(&NOTE).unwrap().relays, 1);
    world.connect(2, 0);
    world.run();
    assert_eq!(world.text(1), world.text(2));
    assert_eq!(world.nodes[0].engine.log(&NOTE).unwrap().version(), world.nodes[1].engine.log(&NOTE).unwrap().version());
    assert!(world.nodes[0].engine.document(&NOTE).is_none(), "the relay never loads a document");
}

#[test]
fn two_that_agree_say_little_when_they_meet_again() {
    let mut world = World::new(&[Role::Relay, Role::Client]);
    world.open(1);
    world.write(1, "calm");
    world.connect(1, 0);
    world.run();
    world.input(1, Input::Disconnected { connection: ConnectionId(0), reason: "test".to_owned() });
    world.input(0, Input::Disconnected { connection: ConnectionId(0), reason: "test".to_owned() });
    let before = world.bytes;
    world.connect(1, 0);
    world.run();
    let hello = 2 * 200 + 2 * 65;
    assert!(world.bytes - before < hello + 200, "{} bytes", world.bytes - before);
    let (peers, in_sync, behind) = world.nodes[1].engine.progress_of(&SPACE);
    assert_eq!((peers, in_sync, behind), (1, 1, 0));
}

#[test]
fn two_clients_sync_without_any_relay() {
    let mut world = World::new(&[Role::Client, Role::Client]);
    world.open(0);
    world.open(1);
    world.write(0, "a");
    world.write(1, "b");
    world.connect(0, 1);
    world.run();
    assert_eq!(world.text(0), world.text(1));
    for node in [0, 1] {
        assert_eq!(world.nodes[node].engine.saved(&NOTE).unwrap().replicas, 1);
    }
}

#[test]
fn a_peer_that_comes_while_an_edit_is_on_its_way_to_the_disk_gets_it_too() {
    // Of the side that accepts, and of the side that dials: the comparison of spaces counts only what is durable.
    for (slow, late_is_dialled) in [(0, false), (1, true)] {
        let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
        world.open(1);
        world.open(2);
        if late_is_dialled {
            world.connect(2, 0);
            world.run();
        } else {
            world.connect(1, 0);
            world.run();
        }
        world.nodes[slow].slow = true;
        world.write(1, "underway");
        world.run();
        if late_is_dialled {
            world.connect(1, 0);
        } else {
            world.connect(2, 0);
        }
        world.run();
        world.let_through(slow);
        world.run();
        assert_eq!(world.text(2).as_deref(), Some("underway"), "the disk of {slow} was slow");
        assert_eq!(world.nodes[1].engine.saved(&NOTE).unwrap().relays, 1);
    }
}

/// It comes back with what the relay has, and someone types on before it opens the note.
#[test]
fn who_opens_a_note_while_someone_types_in_it_is_told_that_the_relay_has_all_of_it() {
    let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
    for node in [1, 2] {
        world.open(node);
        world.connect(node, 0);
    }
    world.write(1, "ashore ");
    world.run();
    world.disconnect(1);
    world.restart(2, EngineConfig::new(Role::Client, [9; 32]));
    world.input(2, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    world.input(2, Input::Command(Command::OpenSpace { space: SPACE }));
    world.connect(2, 0);
    world.run();
    world.write(1, "afloat ");
    world.run();
    world.input(2, Input::Command(Command::OpenDocument { space: SPACE, document: NOTE }));
    world.write(2, "adrift");
    world.run();
    assert_eq!(world.nodes[2].engine.saved(&NOTE).unwrap().relays, 1, "without waiting for it to be asked again");
}

/// It was sent what someone else wrote before that was durable on the relay, and comes back before it is.
#[test]
fn who_holds_what_is_on_its_way_to_a_relays_disk_is_told_when_it_has_arrived_there() {
    let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
    for node in [1, 2] {
        world.open(node);
        world.connect(node, 0);
    }
    world.run();
    world.slow_down(0);
    world.write(1, "ashore ");
    world.run();
    assert_eq!(world.text(2).as_deref(), Some("ashore "));
    world.disconnect(1);
    world.write(1, "afloat");
    world.run();
    world.restart(2, EngineConfig::new(Role::Client, [9; 32]));
    world.open(2);
    world.connect(2, 0);
    // It hears that the relay has nothing, and is sent what comes after what it holds: so it need not send that.
    world.run_in_bursts();
    assert_eq!(world.text(2).as_deref(), Some("ashore afloat"));
    assert_eq!(world.nodes[2].engine.saved(&NOTE).unwrap().relays, 0, "the relay does not have it on its disk");
    world.let_through(0);
    world.run();
    assert_eq!(world.nodes[2].engine.saved(&NOTE).unwrap().relays, 1);
}

#[test]
fn a_paced_relay_forwards_at_once_and_makes_durable_together_what_comes_in_a_stream() {
    let mut world = World::with(&[Role::Relay, Role::Client, Role::Client], |config| {
        config.append_pace = if config.role == Role::Relay { AppendPace::SPARING } else { AppendPace::default() };
    });
    world.open(1);
    world.open(2);
    world.connect(1, 0);
    world.connect(2, 0);
    world.run();
    let write = |world: &mut World, now: u64, text: &str| {
        world.now = now;
        world.write(1, text);
        world.run();
        let confirmed = world.nodes[1].engine.saved(&NOTE).unwrap().relays;
        (world.text(2).unwrap().len(), confirmed, world.nodes[0].engine.sizes().unacknowledged)
    };
    assert_eq!(write(&mut world, 100, "a"), (1, 1, 0), "who writes now and then is not held back");
    assert_eq!(write(&mut world, 101, "b"), (2, 1, 0), "nor who has waited");
    assert_eq!(write(&mut world, 105, "c"), (3, 0, 1), "what comes a little later is forwarded, and not acknowledged");
    assert_eq!(write(&mut world, 110, "d"), (4, 0, 2));
    assert!(world.nodes[0].engine.next_deadline().is_some_and(|at| at <= 111));
    world.now = 111;
    world.input(0, Input::Tick);
    world.run();
    assert_eq!(world.nodes[1].engine.saved(&NOTE).unwrap().relays, 1, "both together");
    assert_eq!(write(&mut world, 115, "e"), (5, 0, 1));
    // The driver is about to end.
    world.nodes[0].engine.hurry();
    world.drain(0);
    world.run();
    assert_eq!(world.nodes[1].engine.saved(&NOTE).unwrap().relays, 1);
}

#[test]
fn a_mirror_is_answered_before_its_edit_leaves_for_anyone() {
    let mut world = World::new(&[Role::Relay, Role::Client]);
    world.open(1);
    world.connect(1, 0);
    world.run();
    let view = ViewId(7);
    world.input(1, Input::Command(Command::OpenView { view, space: SPACE, document: NOTE, resume: Vec::new(), mirror: None }));

    // The edit, and a question by the relay that the edit is part of the answer to, before the driver drains.
    let put = Op::Put { path: vec![Prop::Key("title".to_owned())], value: Value::String("Logbook".to_owned()) };
    let edit = Edit { ops: vec![put], message: None };
    let question = Message::Have { space: SPACE, document: NOTE, version: Version::new(), answer: false };
    let engine = &mut world.nodes[1].engine;
    engine.handle(Now::at(0), Input::Command(Command::EditView { view, number: 1, seen: 1, edit, stamp: None }));
    engine.handle(Now::at(0), Input::Frame { connection: ConnectionId(0), bytes: Arc::from(question.encode()) });
    let effects: Vec<Effect> = std::iter::from_fn(|| engine.poll_effect()).collect();

    let place = |what: &dyn Fn(&Effect) -> bool| effects.iter().position(what).expect("it happens");
    let answered = place(&|effect| matches!(effect, Effect::Event(Event::ViewUpdated(update)) if update.covers == 1));
    let pushed = place(
        &|effect| matches!(effect, Effect::Send { frame, .. } if matches!(Message::decode(frame), Ok(Message::Strands { .. }))),
    );
    let written = place(&|effect| matches!(effect, Effect::Store { work: StoreTask::Append { .. }, .. }));
    assert!(answered < pushed && answered < written, "a mirror that outlives its engine would send the edit again");
}

#[test]
fn what_syncing_costs_is_counted_until_both_are_in_sync_and_no_longer() {
    let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
    world.open(1);
    world.open(2);
    world.write(1, "one ");
    world.write(2, "two ");
    world.connect(1, 0);
    while world.nodes[1].engine.sizes().syncing == 0 {
        let (node, connection, frame) = world.frames.pop_front().expect("it subscribes");
        world.input(node, Input::Frame { connection, bytes: frame });
    }
    world.now = 30;
    world.run();
    world.connect(2, 0);
    world.run();
    let relay = |world: &World| (world.nodes[0].engine.stats().clone(), world.nodes[0].engine.sizes());
    let (before, sizes) = relay(&world);
    assert_eq!((before.syncs.iter().sum::<u64>(), sizes.syncing), (2, 0), "{before:?}");
    assert_eq!(world.nodes[1].engine.stats().sync_ms, 30);
    assert!(before.sync_bytes_in > 0 && before.sync_bytes_out > 0, "{before:?}");
    assert_eq!(before.merged, 1, "the second did not know of the first");
    assert_eq!((sizes.spaces, sizes.documents, sizes.unacknowledged), (1, 1, 0));

    world.nodes[0].slow = true;
    world.write(1, "and three");
    world.run();
    let (after, sizes) = relay(&world);
    assert_eq!((after.sync_bytes_in, after.sync_bytes_out, after.merged), (before.sync_bytes_in, before.sync_bytes_out, 1));
    assert_eq!(sizes.unacknowledged, 1, "its disk is slow");
    world.let_through(0);
    assert_eq!(relay(&world).1.unacknowledged, 0);

    world.input(0, Input::Frame { connection: ConnectionId(0), bytes: Arc::from([255u8].as_slice()) });
    assert_eq!(relay(&world).0.refused[&ErrorCode::Malformed], 1);
}

/// Gives a replica so many documents, as if its store had held them at start; every `step`th has moved on.
fn fill(world: &mut World, node: usize, count: u32, step: u32) {
    let engine = &mut world.nodes[node].engine;
    for number in 0..count {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let (id, seq) = (DocumentId(id), if step > 0 && number.is_multiple_of(step) { 2 } else { 1 });
        let clock = [(ActorId::new(&[7; 16]).expect("16 bytes are few enough"), seq)].into_iter().collect();
        let version = Version { heads: [ChangeHash([seq as u8; 32])].into(), clock };
        engine.locations.insert(id, SPACE);
        engine.change_space(SPACE, |held| held.insert(Log::stored(id, SPACE, version, seq)));
    }
}

/// Someone who was in sync with a relay comes back to it, and to another relay that does not know them and lacks ten changes.
/// What the relays look at is counted in nodes of the trees in which they keep their documents.
#[test]
fn a_relays_work_for_a_reconnect_grows_with_the_logarithm_of_what_it_holds() {
    let mut work = Vec::new();
    for count in [1_000, 100_000] {
        let mut world = World::new(&[Role::Relay, Role::Client, Role::Relay]);
        fill(&mut world, 0, count, 0);
        fill(&mut world, 1, count, 0);
        fill(&mut world, 2, count, count / 10);
        world.input(1, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
        world.input(1, Input::Command(Command::OpenSpace { space: SPACE }));
        world.connect(1, 0);
        world.run();
        world.now += 1_000;
        world.input(1, Input::Tick);
        let cut = |world: &mut World, connection: u64| {
            for node in [0, 1] {
                let connection = ConnectionId(connection);
                world.input(node, Input::Disconnected { connection, reason: "the cable was cut".to_owned() });
            }
        };
        cut(&mut world, 0);
        let visits = |world: &World, node: usize| world.nodes[node].engine.spaces[&SPACE].space.take_visits();
        visits(&world, 0);
        let before = world.bytes;
        world.connect(1, 0);
        world.run();
        let (known, bytes) = (visits(&world, 0), world.bytes - before);
        assert!(known <= 8, "{known} nodes for {count} documents in sync");
        assert!(bytes < 600, "{bytes} bytes with both hellos");
        assert_eq!(world.nodes[1].engine.progress_of(&SPACE), (1, 1, 0), "they are in sync");
        cut(&mut world, 1);
        visits(&world, 2);
        world.connect(1, 2);
        world.run();
        work.push(visits(&world, 2));
        let found = &world.nodes[2].engine.sessions.values().next().expect("it is connected").subscriptions[&SPACE].deltas;
        assert_eq!(found.len(), 10, "the ten that differ were found");
    }
    // A hundred times as much is two levels of ranges more. In each, ten are split into 16 parts, and each part takes four walks
    // from the root of a tree that is four nodes high.
    let level = 10 * 16 * 4 * 4;
    assert!(work[1] <= work[0] + 2 * level, "{work:?}");
}
