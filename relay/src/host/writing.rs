//! Writing what a connection is to send, and telling the engine how much has left.

use super::connection::{ConnectionHost, End};
use super::inbox::Message;
use super::wire::{Outlet, Step};
use crate::transport::{Goodbye, Outbound, Outgoing, TransportError};
use driftline_core::base::id::ConnectionId;
use driftline_core::engine::input::Input;
use futures_util::SinkExt as _;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
use tracing::Span;

/// Frames fed to a sink before it is flushed.
const FRAMES_PER_FLUSH_MAX: usize = 64;

/// Something on its way out.
pub(super) struct Leaving {
    pub(super) outbound: Outbound,
    /// When what it brings arrived, where that is known.
    pub(super) received: Option<Instant>,
    /// The span that ends once it is written, where it is followed.
    pub(super) trace: Option<Box<Span>>,
}

/// Writes what is queued, and reports it. May be stopped at any await and run again: nothing is lost or sent twice.
pub(super) enum Writer {
    /// Into a sink.
    Sink(Box<SinkWriter>),
    /// What the engine's thread leaves over of what goes into a socket.
    Wire(WireWriter),
}

impl Writer {
    /// Ends after a goodbye, when the transport breaks, or when the engine is gone.
    pub(super) async fn run(&mut self) -> End {
        match self {
            Self::Sink(writer) => writer.run().await,
            Self::Wire(writer) => writer.run().await,
        }
    }

    /// Takes the last thing to be written.
    pub(super) fn say_goodbye(&self, goodbye: Goodbye) {
        match self {
            Self::Sink(writer) => writer.say_goodbye(goodbye),
            Self::Wire(writer) => writer.outlet.push_goodbye(&goodbye),
        }
    }

    /// Whether the goodbye has left, or is about to.
    pub(super) fn said_goodbye(&self) -> bool {
        match self {
            Self::Sink(writer) => writer.goodbye,
            Self::Wire(writer) => writer.said_goodbye,
        }
    }
}

/// Writes on when the system takes more of what goes into a socket.
pub(super) struct WireWriter {
    connection: ConnectionId,
    host: ConnectionHost,
    outlet: Arc<Outlet>,
    said_goodbye: bool,
}

impl WireWriter {
    pub(super) fn new(connection: ConnectionId, host: ConnectionHost, outlet: Arc<Outlet>) -> Self {
        Self { connection, host, outlet, said_goodbye: false }
    }

    async fn run(&mut self) -> End {
        loop {
            let (bytes, step) = self.outlet.write_on();
            if bytes > 0 {
                self.host.inbox.send(Message::Input(Input::Written { connection: self.connection, bytes }));
            }
            match step {
                Step::Done => self.outlet.woken().await,
                Step::Blocked => self.outlet.ready().await,
                Step::SaidGoodbye => {
                    self.said_goodbye = true;
                    return End::Told;
                }
                Step::Broke(error) => return End::Broke(error),
            }
        }
    }
}

impl Drop for WireWriter {
    fn drop(&mut self) {
        self.outlet.close();
    }
}

/// Writes what is queued into a sink.
pub(super) struct SinkWriter {
    connection: ConnectionId,
    host: ConnectionHost,
    outgoing: Outgoing,
    queued: UnboundedReceiver<Leaving>,
    last_word: WeakUnboundedSender<Leaving>,
    taken: Vec<Leaving>,
    batch: VecDeque<Leaving>,
    unreported: usize,
    /// When that arrived what was written and not flushed.
    received: Vec<Instant>,
    /// The spans of it that are followed.
    traces: Vec<Span>,
    goodbye: bool,
}

impl SinkWriter {
    /// A writer into `outgoing`, and its queue.
    pub(super) fn new(connection: ConnectionId, host: ConnectionHost, outgoing: Outgoing) -> (Self, UnboundedSender<Leaving>) {
        let (queue, queued) = unbounded_channel();
        let writer = Self {
            connection,
            host,
            outgoing,
            queued,
            last_word: queue.downgrade(),
            // They grow with what there is to send: most connections are idle.
            taken: Vec::new(),
            batch: VecDeque::new(),
            unreported: 0,
            received: Vec::new(),
            traces: Vec::new(),
            goodbye: false,
        };
        (writer, queue)
    }

    async fn run(&mut self) -> End {
        loop {
            let nothing_begun = self.batch.is_empty() && self.unreported == 0 && !self.goodbye;
            if nothing_begun {
                if self.queued.recv_many(&mut self.taken, FRAMES_PER_FLUSH_MAX).await == 0 {
                    return End::HungUp;
                }
                self.batch.extend(self.taken.drain(..));
            }
            if let Err(error) = self.write_batch().await {
                return End::Broke(error);
            }
            if self.goodbye {
                return End::Told;
            }
        }
    }

    fn say_goodbye(&self, goodbye: Goodbye) {
        if let Some(queue) = self.last_word.upgrade() {
            drop(queue.send(Outbound::Goodbye(goodbye).into()));
        }
    }

    async fn write_batch(&mut self) -> Result<(), TransportError> {
        while !self.batch.is_empty() {
            poll_fn(|context| self.outgoing.poll_ready_unpin(context)).await?;
            let Some(Leaving { outbound, received, trace }) = self.batch.pop_front() else { break };
            self.received.extend(received);
            self.traces.extend(trace.map(|span| *span));
            match &outbound {
                Outbound::Frame(bytes) => self.unreported += bytes.len(),
                Outbound::Goodbye(_) => {
                    self.goodbye = true;
                    self.batch.clear();
                    self.queued.close();
                }
            }
            self.outgoing.start_send_unpin(outbound)?;
        }
        self.outgoing.flush().await?;
        self.traces.clear();
        let bytes = std::mem::take(&mut self.unreported);
        if bytes > 0 {
            let now = Instant::now();
            for received in self.received.drain(..) {
                self.host.stats.delivery_seconds.took(now.duration_since(received));
            }
            self.host.stats.outbound_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
            self.host.inbox.send(Message::Input(Input::Written { connection: self.connection, bytes }));
        }
        Ok(())
    }
}

impl Drop for SinkWriter {
    fn drop(&mut self) {
        // What was never written no longer waits.
        self.queued.close();
        let mut bytes = self.unreported;
        let mut count = |leaving: &Leaving| {
            if let Outbound::Frame(frame) = &leaving.outbound {
                bytes += frame.len();
            }
        };
        self.batch.iter().chain(&self.taken).for_each(&mut count);
        while let Ok(leaving) = self.queued.try_recv() {
            count(&leaving);
        }
        self.host.stats.outbound_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

impl From<Outbound> for Leaving {
    fn from(outbound: Outbound) -> Self {
        Self { outbound, received: None, trace: None }
    }
}
