//! The native driver: one engine on one thread, with its clock, its connections and its store.
//!
//! Whatever happens becomes a message in one inbox. The engine's thread takes what has arrived, tells the engine all of
//! it, and only then drains its effects, so that several keystrokes become one frame; then it sleeps until something
//! happens or the engine's next deadline comes. Connections are tasks of the surrounding tokio runtime and the store is
//! a thread of its own: neither can keep the engine waiting, and none of them can take another down.
//!
//! Frames for an accepted WebSocket are written by the engine's thread itself, as far as the socket takes them without waiting: see [`Wire`].

mod connection;
mod inbox;
mod pump;
mod stats;
mod trace;
mod wire;
mod workshop;
mod writing;

pub use pump::{SHUTDOWN_GOODBYE_TIME_MAX, SHUTDOWN_STORE_TIME_MAX};
pub use stats::HostStats;
pub use trace::{TRACE_TARGET, TraceSampling};
pub use wire::Wire;

use crate::dial::{Dialler, WebSocketDialler};
use crate::store::StoreExecutor;
use crate::transport::Transport;
use connection::Link;
use driftline_core::base::id::ConnectionId;
use driftline_core::base::time::Now;
use driftline_core::engine::Engine;
use driftline_core::engine::config::EngineConfig;
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::{Command, Input};
use inbox::{Inbox, Message};
use pump::Pump;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use tokio::sync::{broadcast, oneshot, watch};

/// Events kept for a receiver that is behind; one further behind is told how many it missed.
pub const EVENTS_KEPT_MAX: usize = 8_192;

/// One engine at work. Clones are handles to the same engine; it works until [`Host::shutdown`], or until the last
/// handle is dropped.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    inbox: Inbox,
    events: broadcast::Sender<Arc<Event>>,
    stats: Arc<HostStats>,
    ready: watch::Receiver<Option<Result<(), String>>>,
    stopped: watch::Receiver<Option<Stopped>>,
}

/// How an engine's work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// It was asked to.
    #[error("the engine was shut down")]
    Shutdown,
    /// It panicked, which is a bug; what it had acknowledged is in the store.
    #[error("the engine stopped because of a bug; what it had acknowledged is safe in the store")]
    Panicked,
}

impl Host {
    /// Starts an engine on `store`, dialling WebSocket endpoints.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, and when the system refuses a thread.
    pub fn start(config: EngineConfig, store: impl StoreExecutor) -> Self {
        let dialler = WebSocketDialler { frame_bytes_max: config.limits.frame_bytes_max };
        Self::start_with_dialler(config, store, dialler)
    }

    /// Starts an engine on `store` that dials with `dialler`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, and when the system refuses a thread.
    pub fn start_with_dialler(config: EngineConfig, store: impl StoreExecutor, dialler: impl Dialler) -> Self {
        let stats = Arc::new(HostStats::default());
        let (inbox, messages) = inbox::open(Arc::clone(&stats));
        let (events, _) = broadcast::channel(EVENTS_KEPT_MAX);
        let (tell_ready, ready) = watch::channel(None);
        let (tell_stopped, stopped) = watch::channel(None);
        let runtime = tokio::runtime::Handle::current();
        let mut store: Box<dyn StoreExecutor> = Box::new(store);
        let answers_inbox = inbox.clone();
        store.start(Box::new(move |answers| answers_inbox.send(Message::StoreAnswers(answers))));
        let outside = pump::Outside {
            store,
            dialler: Box::new(dialler),
            runtime,
            inbox: inbox.clone(),
            events: events.clone(),
            tell_ready,
        };
        std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                let run = catch_unwind(AssertUnwindSafe(|| Pump::new(config, outside).run(&messages)));
                let how = if run.is_ok() { Stopped::Shutdown } else { Stopped::Panicked };
                // First the inbox, so that whoever waits for an answer wakes; then the reason.
                drop(messages);
                tell_stopped.send_replace(Some(how));
            })
            .expect("the system gives a thread");
        Self { inner: Arc::new(Inner { inbox, events, stats, ready, stopped }) }
    }

    /// Asks something of the engine. A command to an engine that has stopped is dropped.
    pub fn command(&self, command: Command) {
        self.inner.inbox.send(Message::Input(Input::Command(command)));
    }

    /// Runs a closure on the engine's thread and answers what it returned; the engine is drained right after it, and
    /// events it caused are sent before the answer is.
    ///
    /// # Panics
    ///
    /// When the closure does: the panic is the caller's, and the engine works on.
    pub async fn call<R: Send + 'static>(&self, call: impl FnOnce(&mut Engine, Now) -> R + Send + 'static) -> Result<R, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.inner.inbox.send(Message::Call(Box::new(move |engine, now| {
            let result = catch_unwind(AssertUnwindSafe(|| call(engine, now)));
            Box::new(move || drop(answer.send(result)))
        })));
        match answered.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(self.stopped().await),
        }
    }

    /// What the engine tells from now on. A receiver that falls behind by more than [`EVENTS_KEPT_MAX`] is told so
    /// (`Lagged`), and goes on with the oldest event kept; it never keeps the engine waiting.
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.events.subscribe()
    }

    /// Hands over an open connection that this side accepted.
    pub fn connect(&self, transport: Transport) -> ConnectionId {
        self.accept(Link::Transport(transport))
    }

    /// Hands over a WebSocket that this side accepted.
    pub fn connect_wire(&self, wire: Wire) -> ConnectionId {
        self.accept(Link::Wire(wire))
    }

    fn accept(&self, link: Link) -> ConnectionId {
        let connection = self.inner.stats.next_connection();
        self.inner.inbox.send(Message::Connect { connection, endpoint: None, link });
        connection
    }

    /// What the host counts.
    pub fn stats(&self) -> &Arc<HostStats> {
        &self.inner.stats
    }

    /// Which frames are followed by traces: none, until it is told.
    pub fn traces(&self) -> &TraceSampling {
        &self.inner.stats.traces
    }

    /// Waits until the store is open and the engine at work; or answers why that will not be, in a sentence.
    pub async fn ready(&self) -> Result<(), String> {
        let mut ready = self.inner.ready.clone();
        match ready.wait_for(Option::is_some).await {
            Ok(ready) => ready.clone().unwrap_or(Ok(())),
            Err(_) => Err(self.stopped().await.to_string()),
        }
    }

    /// Waits until the engine has stopped, and tells how.
    pub async fn stopped(&self) -> Stopped {
        let mut stopped = self.inner.stopped.clone();
        match stopped.wait_for(Option::is_some).await {
            Ok(how) => how.unwrap_or(Stopped::Panicked),
            Err(_) => Stopped::Panicked,
        }
    }

    /// Makes durable what was accepted, says goodbye on every connection, closes the store, and returns once that is
    /// done; within about [`SHUTDOWN_STORE_TIME_MAX`] and [`SHUTDOWN_GOODBYE_TIME_MAX`] together, unless the
    /// disk hangs.
    pub async fn shutdown(&self) -> Stopped {
        self.inner.inbox.send(Message::Shutdown);
        self.stopped().await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.inbox.send(Message::Shutdown);
    }
}
