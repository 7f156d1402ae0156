//! The engine's thread: takes messages, tells the engine, carries out its effects, sleeps.

use super::connection::{self, ConnectionEnd, ConnectionHost, Link, Way};
use super::inbox::{Answer, Inbox, Message, Messages};
use super::stats::HostStats;
use super::trace::Traces;
use super::workshop::Workshop;
use crate::dial::Dialler;
use crate::store::{StoreAnswers, StoreExecutor};
use crate::transport::{Goodbye, GoodbyeCause};
use driftline_core::base::id::{ConnectionId, TaskId};
use driftline_core::base::time::Now;
use driftline_core::engine::Engine;
use driftline_core::engine::config::EngineConfig;
use driftline_core::engine::effect::{Effect, Event, Trouble, TroubleKind};
use driftline_core::engine::input::{Command, Input};
use driftline_core::store::task::{StoreDone, StoreTask};
use driftline_core::sync::message::brings_entries;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{broadcast, watch};

/// Messages told to the engine before it is drained.
const BATCH_MAX: usize = 256;
/// Sockets written into on the engine's thread before it goes on.
const WRITES_MAX: usize = 64;
/// Bytes written there, about.
const WRITTEN_BYTES_MAX: usize = 256 * 1024;
/// Time the store has at shutdown to make durable what was accepted, before goodbyes are said.
pub const SHUTDOWN_STORE_TIME_MAX: Duration = Duration::from_secs(4);
/// Time peers have at shutdown to take what was still to be said.
pub const SHUTDOWN_GOODBYE_TIME_MAX: Duration = Duration::from_secs(3);

/// What an engine's thread owns besides the engine.
pub(super) struct Outside {
    pub(super) store: Box<dyn StoreExecutor>,
    pub(super) dialler: Box<dyn Dialler>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) inbox: Inbox,
    pub(super) events: broadcast::Sender<Arc<Event>>,
    pub(super) tell_ready: watch::Sender<Option<Result<(), String>>>,
}

/// One engine, and what it needs to run.
pub(super) struct Pump {
    engine: Engine,
    outside: Outside,
    stats: Arc<HostStats>,
    connection_host: ConnectionHost,
    connections: BTreeMap<ConnectionId, ConnectionEnd>,
    /// Connections with frames that wait to be written on this thread.
    to_write: Vec<ConnectionId>,
    workshop: Workshop,
    /// Entries in each append not yet answered.
    appending: BTreeMap<TaskId, u64>,
    start: Instant,
    /// When the first frame arrived of those the engine was told of since it was last drained.
    received: Option<Instant>,
    traces: Traces,
    /// When the engine was last told that time passed.
    ticked_ms: Option<u64>,
    phase: Phase,
}

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// At work.
    Open,
    /// Nothing new is taken; the store catches up.
    Flushing(Instant),
    /// Connections are being closed.
    Leaving(Instant),
}

impl Pump {
    pub(super) fn new(config: EngineConfig, outside: Outside) -> Self {
        let start = Instant::now();
        let stats = Arc::clone(outside.inbox.stats());
        // The largest frame always finds room.
        let room = connection::inbox_room(config.limits.inbound_all_bytes_max.max(config.limits.frame_bytes_max));
        let connection_host = ConnectionHost { inbox: outside.inbox.clone(), stats: Arc::clone(&stats), room };
        let workshop = Workshop::new(outside.runtime.clone(), outside.inbox.clone());
        Self {
            engine: Engine::new(config, now(start)),
            workshop,
            outside,
            stats,
            connection_host,
            connections: BTreeMap::new(),
            to_write: Vec::new(),
            appending: BTreeMap::new(),
            start,
            received: None,
            traces: Traces::default(),
            ticked_ms: None,
            phase: Phase::Open,
        }
    }

    /// Runs until it is told to end, then closes the store.
    pub(super) fn run(mut self, messages: &Messages) {
        self.drain();
        let mut answers: Vec<Answer> = Vec::new();
        while !self.is_over() {
            let Some(first) = self.wait(messages) else { continue };
            let mut next = Some(first);
            let mut told = 0;
            while let Some(message) = next {
                self.stats.inbox.fetch_sub(1, Ordering::Relaxed);
                // A caller may look at the events its call caused, so a call ends the batch.
                let is_call = matches!(message, Message::Call(_));
                answers.extend(self.tell(message));
                told += 1;
                next = if is_call || told == BATCH_MAX { None } else { messages.try_recv().ok() };
            }
            self.drain();
            answers.drain(..).for_each(|answer| answer());
        }
        self.outside.store.close();
    }

    /// The next message, or nothing when time has passed that mattered to someone.
    fn wait(&mut self, messages: &Messages) -> Option<Message> {
        let now = self.now();
        let deadline = match self.phase {
            Phase::Open => self.engine.next_deadline().map(|deadline| {
                // An engine that asks again for a moment it was just told of must not keep the thread spinning.
                self.ticked_ms.map_or(deadline, |ticked| deadline.max(ticked + 1))
            }),
            Phase::Flushing(until) | Phase::Leaving(until) => Some(until.duration_since(self.start).as_millis() as u64),
        };
        let received = match deadline {
            Some(deadline) if deadline <= now.monotonic_ms => {
                self.on_deadline(now);
                return None;
            }
            Some(deadline) => messages.recv_timeout(Duration::from_millis(deadline - now.monotonic_ms)),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => {
                let now = self.now();
                self.on_deadline(now);
                None
            }
            // The pump holds a sender itself, so this cannot be; ending is the safe answer.
            Err(RecvTimeoutError::Disconnected) => {
                self.phase = Phase::Leaving(self.start);
                None
            }
        }
    }

    fn on_deadline(&mut self, now: Now) {
        match self.phase {
            Phase::Open => {
                self.ticked_ms = Some(now.monotonic_ms);
                self.engine.handle(now, Input::Tick);
                self.drain();
            }
            Phase::Flushing(_) => {
                tracing::warn!("the store did not catch up in time; peers will send again what was not acknowledged");
                self.leave();
            }
            Phase::Leaving(_) => {}
        }
    }

    /// Tells the engine what happened; answers what is to be done after the next drain.
    fn tell(&mut self, message: Message) -> Option<Answer> {
        let now = self.now();
        match message {
            Message::Input(input) => self.engine.handle(now, input),
            Message::Frame { connection, bytes, received, trace, _room } => {
                let open = self.connections.get(&connection).is_some_and(|end| end.ending.is_some());
                if open && self.phase == Phase::Open {
                    self.received.get_or_insert(received);
                    self.traces.on_told(trace);
                    self.engine.handle(now, Input::Frame { connection, bytes });
                }
            }
            Message::Connect { connection, endpoint, link } => {
                if self.phase == Phase::Open {
                    let end = connection::spawn(&self.outside.runtime, self.connection_host.clone(), connection, link);
                    self.connections.insert(connection, end);
                    self.engine.handle(now, Input::Connected { connection, endpoint });
                }
            }
            Message::Closed { connection, reason } => {
                if self.connections.remove(&connection).is_some() {
                    self.engine.handle(now, Input::Disconnected { connection, reason });
                }
            }
            Message::StoreAnswers(answers) => self.on_store_answers(now, answers),
            Message::Call(call) => return Some(call(&mut self.engine, now)),
            Message::Shutdown => {
                if self.phase == Phase::Open {
                    self.engine.write_receipts();
                    self.engine.hurry();
                    self.phase = Phase::Flushing(Instant::now() + SHUTDOWN_STORE_TIME_MAX);
                }
            }
        }
        None
    }

    fn on_store_answers(&mut self, now: Now, answers: StoreAnswers) {
        self.stats.store_tasks.fetch_sub(answers.len(), Ordering::Relaxed);
        for (task, result) in answers {
            let entries = self.appending.remove(&task).unwrap_or(0);
            self.traces.on_appended(task, result.is_ok());
            match &result {
                Ok(StoreDone::Appended) => {
                    self.stats.entries_appended.fetch_add(entries, Ordering::Relaxed);
                }
                Ok(_) => {}
                Err(error) => {
                    self.stats.store_errors.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(kind = ?error.kind, "the store: {error}");
                }
            }
            self.engine.handle(now, Input::StoreDone { task, result });
        }
    }

    /// Carries out effects until there are none.
    fn drain(&mut self) {
        self.carry_out_effects();
        if self.write_frames(WRITES_MAX) {
            self.carry_out_effects();
            // What a peer that takes everything at once is caught up with must not keep others waiting.
            self.write_frames(0);
        }
        self.received = None;
        // What is held back for a while is appended by a later drain.
        self.traces.on_drained(!self.appending.is_empty() || self.engine.undurable_bytes() > 0);
    }

    fn carry_out_effects(&mut self) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Send { connection, frame } => self.send(connection, frame),
                Effect::Disconnect { connection, reason } => self.disconnect(connection, GoodbyeCause::Ended, reason),
                Effect::Dial { endpoint } => self.dial(endpoint),
                Effect::Store { task, work } => {
                    if let StoreTask::Append { entries, .. } | StoreTask::Renew { entries, .. } = &work {
                        self.appending.insert(task, entries.len() as u64);
                        self.traces.on_append(task, entries.len());
                    }
                    self.stats.store_tasks.fetch_add(1, Ordering::Relaxed);
                    self.outside.store.submit(task, work);
                }
                Effect::Assemble { task, assembly } => self.workshop.take_on(task, assembly),
                Effect::Event(event) => self.publish(event),
            }
        }
    }

    /// Writes frames into up to `writes_max` sockets, as far as the system takes them at once; answers whether the engine was told
    /// that something has left. What is for more than these, or is much, is left to the tasks of the connections, and so to every
    /// core there is.
    fn write_frames(&mut self, writes_max: usize) -> bool {
        self.to_write.sort_unstable();
        self.to_write.dedup();
        let (now, mut written) = (self.now(), 0);
        for (number, connection) in self.to_write.drain(..).enumerate() {
            let Some(ConnectionEnd { way: Way::Outlet(outlet), .. }) = self.connections.get(&connection) else { continue };
            if number >= writes_max || written > WRITTEN_BYTES_MAX {
                outlet.write_soon();
                continue;
            }
            let bytes = outlet.write_now();
            if bytes > 0 {
                written += bytes;
                self.engine.handle(now, Input::Written { connection, bytes });
            }
        }
        written > 0
    }

    fn send(&mut self, connection: ConnectionId, frame: Arc<[u8]>) {
        if let Some(end) = self.connections.get(&connection) {
            let bytes = frame.len() as u64;
            self.stats.frames_out.fetch_add(1, Ordering::Relaxed);
            self.stats.bytes_out.fetch_add(bytes, Ordering::Relaxed);
            self.stats.outbound_bytes.fetch_add(bytes, Ordering::Relaxed);
            let received = self.received.filter(|_| brings_entries(&frame));
            let trace = self.traces.on_push(connection, &frame);
            if !end.send(frame, received, trace) {
                self.stats.outbound_bytes.fetch_sub(bytes, Ordering::Relaxed);
            } else if matches!(end.way, Way::Outlet(_)) {
                self.to_write.push(connection);
            }
        }
    }

    fn disconnect(&mut self, connection: ConnectionId, cause: GoodbyeCause, reason: String) {
        if let Some(end) = self.connections.get_mut(&connection) {
            end.end(Goodbye { cause, reason });
        }
    }

    fn dial(&self, endpoint: String) {
        let (dialling, inbox) = (self.outside.dialler.dial(&endpoint), self.outside.inbox.clone());
        self.outside.runtime.spawn(async move {
            inbox.send(match dialling.await {
                Ok(transport) => Message::Connect {
                    connection: inbox.stats().next_connection(),
                    endpoint: Some(endpoint),
                    link: Link::Transport(transport),
                },
                Err(reason) => Message::Input(Input::DialFailed { endpoint, reason }),
            });
        });
    }

    fn publish(&self, event: Event) {
        match &event {
            Event::Ready { documents, .. } => {
                self.stats.documents.store(*documents, Ordering::Relaxed);
                self.stats.ready.store(1, Ordering::Relaxed);
                self.outside.tell_ready.send_replace(Some(Ok(())));
            }
            Event::DocumentAdded { .. } => {
                self.stats.documents.fetch_add(1, Ordering::Relaxed);
            }
            Event::PeerConnected { connection, peer, agent, .. } => {
                tracing::info!(connection = connection.0, %peer, agent, "peer connected");
            }
            Event::PeerDisconnected { connection, reason, .. } => {
                tracing::info!(connection = connection.map(|id| id.0), reason, "peer disconnected");
            }
            Event::Trouble(trouble) => {
                if trouble.kind == TroubleKind::StoreOpen {
                    self.outside.tell_ready.send_replace(Some(Err(trouble.message.clone())));
                }
                log_trouble(trouble);
            }
            _ => {}
        }
        if self.outside.events.receiver_count() > 0 {
            // A receiver that went away in between needs nothing.
            drop(self.outside.events.send(Arc::new(event)));
        }
    }

    /// Moves the end on as far as it can go, and tells whether it is reached.
    fn is_over(&mut self) -> bool {
        if matches!(self.phase, Phase::Flushing(_)) && self.stats.store_tasks.load(Ordering::Relaxed) == 0 {
            self.leave();
        }
        match self.phase {
            Phase::Leaving(until) => self.connections.is_empty() || Instant::now() >= until,
            Phase::Open | Phase::Flushing(_) => false,
        }
    }

    /// Says goodbye: the engine in its own words, and every connection it has left open in the transport's.
    fn leave(&mut self) {
        self.phase = Phase::Leaving(Instant::now() + SHUTDOWN_GOODBYE_TIME_MAX);
        let now = self.now();
        self.engine.handle(now, Input::Command(Command::SetOnline { online: false }));
        self.drain();
        let open: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for connection in open {
            self.disconnect(connection, GoodbyeCause::GoingAway, "shutting down".to_owned());
        }
    }

    fn now(&self) -> Now {
        now(self.start)
    }
}

/// One line for the operator, with what it is about as fields.
fn log_trouble(trouble: &Trouble) {
    let Trouble { kind, document, connection, message } = trouble;
    let (document, connection) = (document.as_ref().map(tracing::field::display), connection.map(|id| id.0));
    match kind {
        // Ours to put right.
        TroubleKind::Damaged | TroubleKind::StoreOpen | TroubleKind::StoreWrite | TroubleKind::StoreRead => {
            tracing::error!(?kind, document, connection, "{message}");
        }
        _ => tracing::warn!(?kind, document, connection, "{message}"),
    }
}

fn now(start: Instant) -> Now {
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Now { monotonic_ms: start.elapsed().as_millis() as u64, unix_ms }
}
