//! One connection: a task that carries frames both ways between a transport and the engine's inbox.

use super::inbox::{Inbox, Message};
use super::stats::HostStats;
use super::wire::{Outlet, Wire};
use super::writing::{Leaving, SinkWriter, WireWriter, Writer};
use crate::transport::{Goodbye, GoodbyeCause, Incoming, Outbound, Transport, TransportError};
use bytes::Bytes;
use driftline_core::base::id::ConnectionId;
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
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
/// Time a peer has to take what was sent before a goodbye.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(2);
/// Time a peer has to hang up after a goodbye, lest a reset destroy it on its way.
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// Room in the inbox, taken by a frame until the engine has seen it.
pub(super) struct InboxRoom(#[expect(dead_code, reason = "held until dropped")] [OwnedSemaphorePermit; 2]);

/// Something that frames can be carried by.
pub(super) enum Link {
    /// Anything with a stream and a sink.
    Transport(Transport),
    /// A WebSocket that this side accepted.
    Wire(Wire),
}

/// The engine's end of a connection.
pub(super) struct ConnectionEnd {
    /// Frames on their way out; the engine bounds what is in here by what was reported as written.
    pub(super) way: Way,
    /// Tells the task to write what is queued and end; gone once it was told.
    pub(super) ending: Option<oneshot::Sender<()>>,
}

/// How frames leave.
pub(super) enum Way {
    /// They are handed to the connection's task.
    Queue(UnboundedSender<Leaving>),
    /// They are written at once.
    Outlet(Arc<Outlet>),
}

impl ConnectionEnd {
    /// Sends a frame, or has it wait to be written; answers whether it was taken. `received` and `trace` as in [`Leaving`].
    pub(super) fn send(&self, frame: Arc<[u8]>, received: Option<Instant>, trace: Option<Box<Span>>) -> bool {
        match &self.way {
            Way::Queue(queue) => {
                queue.send(Leaving { outbound: Outbound::Frame(Bytes::from_owner(frame)), received, trace }).is_ok()
            }
            Way::Outlet(outlet) => outlet.push(frame, received, trace),
        }
    }

    /// Sends the last thing ever sent, unless it was sent, and has the task end; it may be over already, its farewell on the way.
    pub(super) fn end(&mut self, goodbye: Goodbye) {
        if let Some(ending) = self.ending.take() {
            match &self.way {
                Way::Queue(queue) => drop(queue.send(Outbound::Goodbye(goodbye).into())),
                Way::Outlet(outlet) => outlet.push_goodbye(&goodbye),
            }
            let _ = ending.send(());
        }
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
    link: Link,
) -> ConnectionEnd {
    let (ending, ended) = oneshot::channel();
    host.stats.connections.fetch_add(1, Ordering::Relaxed);
    let (incoming, writer, way) = match link {
        Link::Transport(Transport { incoming, outgoing }) => {
            let (writer, queue) = SinkWriter::new(connection, host.clone(), outgoing);
            (incoming, Writer::Sink(Box::new(writer)), Way::Queue(queue))
        }
        Link::Wire(wire) => {
            let (incoming, outlet) = wire.split(&host.stats);
            (incoming, Writer::Wire(WireWriter::new(connection, host.clone(), Arc::clone(&outlet))), Way::Outlet(outlet))
        }
    };
    let task = Task {
        connection,
        farewell: Farewell { connection, inbox: host.inbox.clone(), reason: Some("the connection's task failed".to_owned()) },
        _open: Open(Arc::clone(&host.stats)),
        host,
    };
    runtime.spawn(task.run(incoming, writer, ended));
    ConnectionEnd { way, ending: Some(ending) }
}

struct Task {
    connection: ConnectionId,
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
pub(super) enum End {
    /// The engine said so.
    Told,
    /// The peer hung up.
    HungUp,
    /// The transport broke, or the peer broke its rules.
    Broke(TransportError),
}

impl Task {
    async fn run(mut self, mut incoming: Incoming, mut writer: Writer, mut ended: oneshot::Receiver<()>) {
        let end = tokio::select! {
            end = read(self.connection, &self.host, &mut incoming) => end,
            end = writer.run() => end,
            _ = &mut ended => End::Told,
        };
        let reason = match end {
            End::HungUp => "the other side hung up".to_owned(),
            End::Broke(error) => {
                if let TransportError::TooLarge(reason) = &error {
                    self.host.stats.frames_too_large.fetch_add(1, Ordering::Relaxed);
                    writer.say_goodbye(Goodbye { cause: GoodbyeCause::TooLarge, reason: reason.clone() });
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
        let said_goodbye = writer.said_goodbye();
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
