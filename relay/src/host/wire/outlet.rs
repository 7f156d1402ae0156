//! Frames on their way out of a WebSocket, written by whichever thread has something to write.

use crate::dial::{close_code, close_reason};
use crate::host::stats::HostStats;
use crate::transport::{Goodbye, TransportError};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tracing::Span;

/// Pieces handed to the system with one call.
const PIECES_PER_CALL_MAX: usize = 32;
/// Bytes up to which pieces are copied to be written.
const COPIED_BYTES_MAX: usize = 1024;
/// Answers of the protocol's own that wait: a peer that asks for more without listening gets no more.
const ANSWERS_MAX: usize = 8;
/// Pieces whose room is kept when all have left.
const ROOM_KEPT: usize = 64;

/// First bytes of WebSocket frames that are whole (RFC 6455, section 5.2).
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

/// The way out of a WebSocket.
pub(in crate::host) struct Outlet {
    socket: OwnedWriteHalf,
    queue: Mutex<Queue>,
    wake: Notify,
    stats: Arc<HostStats>,
}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that have left.
    gone: usize,
    /// Bytes of frames that have left, each to its end, and that the engine was not told of.
    written: usize,
    /// Answers among the pieces.
    answers: usize,
    /// The system took no more: only the connection's task goes on, once it does.
    blocked: bool,
    /// Nothing more is taken: the last was said, or the connection is over.
    closed: bool,
    /// The goodbye has left.
    said_goodbye: bool,
    /// Nothing can be written any more, and why.
    broken: Option<String>,
}

struct Piece {
    head: Head,
    body: Arc<[u8]>,
    what: What,
}

enum What {
    /// When what it brings arrived, and the span that ends once it is written, where they are known.
    Frame(Option<Instant>, Option<Box<Span>>),
    Answer,
    Goodbye,
}

/// The head of a frame; of what is framed already, nothing.
#[derive(Clone, Copy, Default)]
struct Head {
    bytes: [u8; 10],
    used: u8,
}

/// How far writing has come.
#[derive(Debug)]
pub(in crate::host) enum Step {
    /// Everything has left.
    Done,
    /// The system takes no more at the moment.
    Blocked,
    /// The goodbye has left.
    SaidGoodbye,
    /// Nothing can be written any more.
    Broke(TransportError),
}

impl Outlet {
    pub(super) fn new(socket: OwnedWriteHalf, stats: Arc<HostStats>) -> Self {
        Self { socket, queue: Mutex::default(), wake: Notify::new(), stats }
    }

    /// Takes a frame, to be written by [`Self::write_now`] or the connection's task; answers whether it was taken. After a goodbye
    /// none is.
    pub(in crate::host) fn push(&self, frame: Arc<[u8]>, received: Option<Instant>, trace: Option<Box<Span>>) -> bool {
        let mut queue = self.queue();
        if !queue.closed {
            queue.pieces.push_back(Piece {
                head: Head::new(BINARY, frame.len()),
                body: frame,
                what: What::Frame(received, trace),
            });
        }
        !queue.closed
    }

    /// Takes the last thing ever said, to be written by the connection's task.
    pub(in crate::host) fn push_goodbye(&self, goodbye: &Goodbye) {
        let mut queue = self.queue();
        if !queue.closed {
            queue.closed = true;
            let body = close_body(goodbye);
            queue.pieces.push_back(Piece { head: Head::new(CLOSE, body.len()), body, what: What::Goodbye });
        }
        self.wake.notify_one();
    }

    /// Writes an answer that the protocol itself demands, whole and framed.
    pub(super) fn answer(&self, frame: &[u8]) {
        let mut queue = self.queue();
        if queue.closed || queue.answers == ANSWERS_MAX {
            return;
        }
        queue.answers += 1;
        queue.pieces.push_back(Piece { head: Head::default(), body: Arc::from(frame), what: What::Answer });
        if !queue.blocked {
            self.write(&mut queue);
            // For what is left over, and to tell the engine of what left with it.
            self.wake.notify_one();
        }
    }

    /// Writes what the system takes without waiting, unless the connection's task waits for it to take more. What is left over the
    /// task is woken for. Answers how many bytes have left that the engine was not told of.
    pub(in crate::host) fn write_now(&self) -> usize {
        let mut queue = self.queue();
        if !queue.blocked && !matches!(self.write(&mut queue), Step::Done) {
            self.wake.notify_one();
        }
        std::mem::take(&mut queue.written)
    }

    /// Leaves writing to the connection's task.
    pub(in crate::host) fn write_soon(&self) {
        self.wake.notify_one();
    }

    /// Writes what the system takes without waiting, for the connection's task, which waits for [`Self::ready`] before it goes on
    /// when the system takes no more. Answers how many bytes have left that the engine was not told of, too.
    pub(in crate::host) fn write_on(&self) -> (usize, Step) {
        let mut queue = self.queue();
        let step = self.write(&mut queue);
        (std::mem::take(&mut queue.written), step)
    }

    /// Waits until there may be something for the connection's task to write.
    pub(in crate::host) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits until the system takes more.
    pub(in crate::host) async fn ready(&self) {
        // Where this fails, so does the writing that comes next.
        drop(self.socket.writable().await);
    }

    /// Takes nothing more, and lets go of what has not left.
    pub(in crate::host) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.broken.get_or_insert_with(|| "the connection is over".to_owned());
        let frames = queue.pieces.drain(..).filter(|piece| matches!(piece.what, What::Frame(..)));
        let bytes: usize = frames.map(|piece| piece.body.len()).sum();
        self.stats.outbound_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// How much waits to be written, in pieces.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue().pieces.len()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, queue: &mut Queue) -> Step {
        queue.blocked = false;
        while !queue.pieces.is_empty() && queue.broken.is_none() {
            match self.call(queue) {
                Ok(0) => queue.broken = Some("the connection takes nothing more".to_owned()),
                Ok(bytes) => self.advance(queue, bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    queue.blocked = true;
                    return Step::Blocked;
                }
                Err(error) => queue.broken = Some(error.to_string()),
            }
        }
        if queue.said_goodbye {
            return Step::SaidGoodbye;
        }
        match &queue.broken {
            Some(why) => Step::Broke(TransportError::Broken(why.clone())),
            None => {
                if queue.pieces.capacity() > ROOM_KEPT {
                    queue.pieces.shrink_to(ROOM_KEPT);
                }
                Step::Done
            }
        }
    }

    /// Hands the first pieces to the system: copied together where they are small, which costs less than naming each.
    fn call(&self, queue: &Queue) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); 2 * PIECES_PER_CALL_MAX];
        let mut used = 0;
        let mut bytes = 0;
        let mut gone = queue.gone;
        for piece in queue.pieces.iter().take(PIECES_PER_CALL_MAX) {
            for part in [piece.head.as_bytes(), &piece.body] {
                let rest = &part[gone.min(part.len())..];
                gone -= part.len() - rest.len();
                if !rest.is_empty() {
                    slices[used] = IoSlice::new(rest);
                    used += 1;
                    bytes += rest.len();
                }
            }
        }
        if bytes > COPIED_BYTES_MAX {
            return self.socket.try_write_vectored(&slices[..used]);
        }
        let mut copied = [0; COPIED_BYTES_MAX];
        let mut end = 0;
        for slice in &slices[..used] {
            copied[end..end + slice.len()].copy_from_slice(slice);
            end += slice.len();
        }
        self.socket.try_write(&copied[..end])
    }

    /// Lets go of what has left.
    fn advance(&self, queue: &mut Queue, bytes: usize) {
        queue.gone += bytes;
        let mut now = None;
        while let Some(first) = queue.pieces.front() {
            let length = first.head.as_bytes().len() + first.body.len();
            if queue.gone < length {
                break;
            }
            queue.gone -= length;
            let Some(Piece { body, what, .. }) = queue.pieces.pop_front() else { break };
            match what {
                What::Frame(received, _trace) => {
                    queue.written += body.len();
                    self.stats.outbound_bytes.fetch_sub(body.len() as u64, Ordering::Relaxed);
                    if let Some(received) = received {
                        let now = *now.get_or_insert_with(Instant::now);
                        self.stats.delivery_seconds.took(now.duration_since(received));
                    }
                }
                What::Answer => queue.answers -= 1,
                What::Goodbye => queue.said_goodbye = true,
            }
        }
    }
}

impl Head {
    /// The head of a whole frame with this many bytes. It is not masked: a server's are not.
    fn new(first: u8, length: usize) -> Self {
        let mut bytes = [first, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let used = match length {
            0..126 => {
                bytes[1] = length as u8;
                2
            }
            126..65_536 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&(length as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, used }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.used)]
    }
}

fn close_body(goodbye: &Goodbye) -> Arc<[u8]> {
    let mut body = close_code(goodbye.cause).to_be_bytes().to_vec();
    body.extend_from_slice(close_reason(goodbye).as_bytes());
    Arc::from(body)
}
