//! One connection: a task that carries frames both ways between a transport and the engine's inbox.

use super::inbox::{Inbox, Message};
use super::stats::HostStats;
use crate::transport::{Goodbye, GoodbyeCause, Incoming, Outbound, Outgoing, Transport, TransportError};
use bytes::Bytes;
use driftline_core::base::id::ConnectionId;
use driftline_core::engine::input::Input;
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tracing::Span;

/// Bytes of one connection's frames that the engine has not yet taken; above it the connection is not read.
pub(super) const INBOUND_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of all connections' frames that the engine has not yet taken, at most; above the engine's limit, or this if it is less, no
/// connection is read.
pub(super) const INBOUND_BYTES_ALL_MAX: usize = 64 * 1024 * 1024;
/// Bytes that one permit of those two stands for.
const BYTES_PER_PERMIT: usize = 1024;
/// Frames fed to a transport before it is flushed.
const FRAMES_PER_FLUSH_MAX: usize = 64;
/// Time a peer has to take what was sent before a goodbye.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(2);
/// Time a peer has to hang up after a goodbye, lest a reset destroy it on its way.
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// Room in the inbox, taken by a frame until the engine has seen it.
pub(super) struct InboxRoom(#[expect(dead_code, reason = "held until dropped")] [OwnedSemaphorePermit; 2]);

/// The engine's end of a connection.
pub(super) struct ConnectionEnd {
    /// Frames on their way out; the engine bounds what is in here by what was reported as written.
    pub(super) queue: UnboundedSender<Leaving>,
    /// Tells the task to write what is queued and end; gone once it was told.
    pub(super) ending: Option<oneshot::Sender<()>>,
}

/// Something on its way out.
pub(super) struct Leaving {
    pub(super) outbound: Outbound,
    /// When what it brings arrived, where that is known.
    pub(super) received: Option<Instant>,
    /// The span that ends once it is written, where it is followed.
    pub(super) trace: Option<Box<Span>>,
}

impl From<Outbound> for Leaving {
    fn from(outbound: Outbound) -> Self {
        Self { outbound, received: None, trace: None }
    }
}

/// What a connection's task needs of its host.
#[derive(Clone)]
pub(super) struct ConnectionHost {
    pub(super) inbox: Inbox,
    pub(super) stats: Arc<HostStats>,
    pub(super) room: Arc<Semaphore>,
}

/// Room for the frames of all connections.
pub(super) fn inbox_room(bytes_max: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes_max.min(INBOUND_BYTES_ALL_MAX) / BYTES_PER_PERMIT))
}

/// Starts a connection's task on the current runtime.
pub(super) fn spawn(
    runtime: &tokio::runtime::Handle,
    host: ConnectionHost,
    connection: ConnectionId,
    transport: Transport,
) -> ConnectionEnd {
    let (queue, queued) = unbounded_channel();
    let (ending, ended) = oneshot::channel();
    host.stats.connections.fetch_add(1, Ordering::Relaxed);
    let task = Task {
        connection,
        last_word: queue.downgrade(),
        farewell: Farewell { connection, inbox: host.inbox.clone(), reason: Some("the connection's task failed".to_owned()) },
        _open: Open(Arc::clone(&host.stats)),
        host,
    };
    runtime.spawn(task.run(transport, queued, ended));
    ConnectionEnd { queue, ending: Some(ending) }
}

struct Task {
    connection: ConnectionId,
    last_word: WeakUnboundedSender<Leaving>,
    farewell: Farewell,
    _open: Open,
    host: ConnectionHost,
}

/// Tells the engine once that a connection is gone, also when its task panics.
struct Farewell {
    connection: ConnectionId,
    inbox: Inbox,
    reason: Option<String>,
}

/// Counts a connection until its task is over.
struct Open(Arc<HostStats>);

/// Why reading and writing stopped.
enum End {
    /// The engine said so.
    Told,
    /// The peer hung up.
    HungUp,
    /// The transport broke, or the peer broke its rules.
    Broke(TransportError),
}

impl Task {
    async fn run(mut self, transport: Transport, queued: UnboundedReceiver<Leaving>, mut ended: oneshot::Receiver<()>) {
        let Transport { mut incoming, outgoing } = transport;
        let mut writer = Writer {
            connection: self.connection,
            host: self.host.clone(),
            outgoing,
            queued,
            // They grow with what there is to send: most connections are idle.
            taken: Vec::new(),
            batch: VecDeque::new(),
            unreported: 0,
            received: Vec::new(),
            traces: Vec::new(),
            goodbye: false,
        };
        let end = tokio::select! {
            end = read(self.connection, &self.host, &mut incoming) => end,
            end = writer.run() => end,
            _ = &mut ended => End::Told,
        };
        let reason = match end {
            End::HungUp => "the other side hung up".to_owned(),
            End::Broke(error) => {
                if matches!(error, TransportError::TooLarge(_)) {
                    self.host.stats.frames_too_large.fetch_add(1, Ordering::Relaxed);
                }
                if let (TransportError::TooLarge(reason), Some(queue)) = (&error, self.last_word.upgrade()) {
                    let goodbye = Goodbye { cause: GoodbyeCause::TooLarge, reason: reason.clone() };
                    drop(queue.send(Outbound::Goodbye(goodbye).into()));
                    drop(timeout(GOODBYE_TIME_MAX, writer.run()).await);
                }
                error.to_string()
            }
            End::Told => match timeout(GOODBYE_TIME_MAX, writer.run()).await {
                Ok(End::Broke(error)) => error.to_string(),
                Ok(_) => "closed by this side".to_owned(),
                Err(_) => "closed by this side, and the other side did not take what was still to be said".to_owned(),
            },
        };
        let said_goodbye = writer.goodbye;
        self.farewell.say(reason);
        if said_goodbye {
            drop(timeout(LINGER_TIME_MAX, hung_up(&mut incoming)).await);
        }
    }
}

/// Hands frames to the engine as fast as it takes them.
async fn read(connection: ConnectionId, host: &ConnectionHost, incoming: &mut Incoming) -> End {
    let own_room = Arc::new(Semaphore::new(INBOUND_BYTES_MAX / BYTES_PER_PERMIT));
    while let Some(frame) = incoming.next().await {
        let bytes = match frame {
            Ok(bytes) => bytes,
            Err(error) => return End::Broke(error),
        };
        let (Some(own), Some(all)) = (
            take_room(&own_room, bytes.len(), INBOUND_BYTES_MAX).await,
            take_room(&host.room, bytes.len(), INBOUND_BYTES_ALL_MAX).await,
        ) else {
            return End::HungUp;
        };
        host.stats.frames_in.fetch_add(1, Ordering::Relaxed);
        host.stats.bytes_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let (received, trace) = (Instant::now(), host.stats.traces.frame(connection, &bytes));
        host.inbox.send(Message::Frame {
            connection,
            bytes: Arc::from(&bytes[..]),
            received,
            trace,
            _room: InboxRoom([own, all]),
        });
    }
    End::HungUp
}

/// Waits for room for a frame of this many bytes; one over the whole room takes all of it.
async fn take_room(room: &Arc<Semaphore>, bytes: usize, bytes_max: usize) -> Option<OwnedSemaphorePermit> {
    let permits = bytes.clamp(1, bytes_max).div_ceil(BYTES_PER_PERMIT);
    Arc::clone(room).acquire_many_owned(permits as u32).await.ok()
}

/// Waits until the peer hangs up, and listens to nothing it says.
async fn hung_up(incoming: &mut Incoming) {
    while let Some(Ok(Bytes { .. })) = incoming.next().await {}
}

/// Writes what is queued, and reports it. May be stopped at any await and run again: nothing is lost or sent twice.
struct Writer {
    connection: ConnectionId,
    host: ConnectionHost,
    outgoing: Outgoing,
    queued: UnboundedReceiver<Leaving>,
    taken: Vec<Leaving>,
    batch: VecDeque<Leaving>,
    unreported: usize,
    /// When that arrived what was written and not flushed.
    received: Vec<Instant>,
    /// The spans of it that are followed.
    traces: Vec<Span>,
    goodbye: bool,
}

impl Writer {
    /// Ends after a goodbye, when the transport breaks, or when the engine is gone.
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

impl Drop for Writer {
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

impl Farewell {
    fn say(&mut self, reason: String) {
        self.reason = Some(reason);
        self.tell();
    }

    fn tell(&mut self) {
        if let Some(reason) = self.reason.take() {
            self.inbox.send(Message::Closed { connection: self.connection, reason });
        }
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
