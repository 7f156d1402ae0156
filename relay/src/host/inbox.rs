//! Everything that can happen to an engine's thread, as messages in one queue.

use super::connection::{InboxRoom, Link};
use super::stats::HostStats;
use crate::store::StoreAnswers;
use driftline_core::base::id::ConnectionId;
use driftline_core::base::time::Now;
use driftline_core::engine::Engine;
use driftline_core::engine::input::Input;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Instant;
use tracing::Span;

/// Something that happened.
pub(super) enum Message {
    /// A command, or word from a connection that needs nothing but the engine.
    Input(Input),
    /// A frame arrived, and holds its room until the engine has seen it.
    Frame { connection: ConnectionId, bytes: Arc<[u8]>, received: Instant, trace: Option<Box<Span>>, _room: InboxRoom },
    /// A connection is open.
    Connect { connection: ConnectionId, endpoint: Option<String>, link: Link },
    /// A connection is gone.
    Closed { connection: ConnectionId, reason: String },
    /// The store has answered.
    StoreAnswers(StoreAnswers),
    /// Someone wants the engine to themselves for a moment.
    Call(Call),
    /// It is time to end.
    Shutdown,
}

/// Runs on the engine's thread, and answers what is to be run once the engine is drained.
pub(super) type Call = Box<dyn FnOnce(&mut Engine, Now) -> Answer + Send>;
/// Hands a call's result to its caller.
pub(super) type Answer = Box<dyn FnOnce()>;

/// Where messages go. Frames bound themselves by [`InboxRoom`]; the rest is bounded by what the engine asked for.
#[derive(Clone)]
pub(super) struct Inbox {
    sender: mpsc::Sender<Message>,
    stats: Arc<HostStats>,
}

/// Where they come out.
pub(super) type Messages = mpsc::Receiver<Message>;

/// An empty inbox.
pub(super) fn open(stats: Arc<HostStats>) -> (Inbox, Messages) {
    let (sender, receiver) = mpsc::channel();
    (Inbox { sender, stats }, receiver)
}

impl Inbox {
    /// Puts a message in. Where the engine has stopped it is dropped, and whoever waits for its answer wakes.
    pub(super) fn send(&self, message: Message) {
        if self.sender.send(message).is_ok() {
            self.stats.inbox.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is counted.
    pub(super) fn stats(&self) -> &Arc<HostStats> {
        &self.stats
    }
}
