//! A sync stream: the frames of a WebSocket, each behind its length, on one stream of a connection.
//!
//! A frame is four bytes of length, big-endian, and so many bytes. One of no bytes is no frame: it says that its sender is there. A side that has
//! sent nothing for a [`BEAT`] sends one, and a side that has received nothing for [`SILENT_BEATS_MAX`] of them gives the line up. Only so is it found in time
//! that a TCP connection leads nowhere: the system would notice after minutes, the engine's own ping after half a minute, as is right for relays far away.

use super::limits::{BEAT, SILENT_BEATS_MAX};
use crate::transport::{Outbound, Transport, TransportError};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::io::{AsyncRead, AsyncWrite};
use futures_util::{Sink, Stream};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use tokio::sync::oneshot;

/// Bytes of the length before each frame.
const LENGTH_BYTES: usize = 4;
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes to be written from which on no further frame is taken before some have left.
const FULL_BYTES: usize = 64 * 1024;

/// What a line needs of a stream.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for S {}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// One side closed it, or it broke.
    Closed,
    /// The other side was silent for too long.
    Silent,
}

/// Ends a line from outside.
#[derive(Clone, Debug)]
pub(super) struct LineCutter(Weak<dyn Cut>);

/// A transport that carries frames on `stream`, a way to cut it, and word of its end.
pub(super) fn open(stream: impl Duplex, frame_bytes_max: usize) -> (Transport, LineCutter, oneshot::Receiver<LineEnd>) {
    let (tell_end, ended) = oneshot::channel();
    let line = Arc::new(Line(Mutex::new(Inner {
        stream: Some(stream),
        frame_bytes_max,
        inbound: BytesMut::new(),
        outbound: BytesMut::new(),
        closing: false,
        blocked: false,
        sent: false,
        silent_beats: None,
        reader: None,
        broken: None,
        tell_end: Some(tell_end),
    })));
    tokio::spawn(beat(Arc::downgrade(&line)));
    let weak: Weak<dyn Cut> = Arc::<Line<_>>::downgrade(&line) as Weak<dyn Cut>;
    (Transport::new(Reader(Arc::clone(&line)), Writer(line)), LineCutter(weak), ended)
}

impl LineCutter {
    /// Ends the line, if it has not ended; its connection stays.
    pub(super) fn cut(&self, reason: &str) {
        if let Some(line) = self.0.upgrade() {
            line.cut(reason);
        }
    }
}

trait Cut: std::fmt::Debug + Send + Sync {
    fn cut(&self, reason: &str);
}

struct Line<S>(Mutex<Inner<S>>);

struct Inner<S> {
    stream: Option<S>,
    frame_bytes_max: usize,
    inbound: BytesMut,
    outbound: BytesMut,
    /// The last frame was taken: once it is written, this direction is closed.
    closing: bool,
    /// The writer waits until the stream takes more: only it may write then, or it would not be woken.
    blocked: bool,
    /// Whether something was sent since the last beat.
    sent: bool,
    /// Beats since the reader began to wait for bytes; nothing while it is not waiting.
    silent_beats: Option<u32>,
    reader: Option<Waker>,
    broken: Option<TransportError>,
    tell_end: Option<oneshot::Sender<LineEnd>>,
}

struct Reader<S>(Arc<Line<S>>);
struct Writer<S>(Arc<Line<S>>);

impl<S> Line<S> {
    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> std::fmt::Debug for Line<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl<S: Send> Cut for Line<S> {
    fn cut(&self, reason: &str) {
        self.lock().end(LineEnd::Closed, TransportError::Broken(reason.to_owned()));
    }
}

impl<S> Inner<S> {
    /// Lets go of the stream, says how it ended, and wakes whoever waits for bytes.
    fn end(&mut self, how: LineEnd, error: TransportError) {
        self.stream = None;
        self.broken.get_or_insert(error);
        if let Some(tell_end) = self.tell_end.take() {
            let _ = tell_end.send(how);
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn why_broken(&self) -> TransportError {
        self.broken.clone().unwrap_or_else(|| TransportError::Broken("the stream was closed".to_owned()))
    }

    /// The next whole frame among what has arrived.
    fn next_frame(&mut self) -> Result<Option<Bytes>, TransportError> {
        loop {
            let Some(length) = self.inbound.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
            let length = u32::from_be_bytes(*length) as usize;
            if length > self.frame_bytes_max {
                let text = format!("a frame of {length} bytes is over the limit of {}", self.frame_bytes_max);
                return Err(TransportError::TooLarge(text));
            }
            if length == 0 {
                self.inbound.advance(LENGTH_BYTES);
                continue;
            }
            if self.inbound.len() < LENGTH_BYTES + length {
                return Ok(None);
            }
            self.inbound.advance(LENGTH_BYTES);
            let frame = self.inbound.split_to(length).freeze();
            if self.inbound.is_empty() {
                // Lets go of what a large frame took.
                self.inbound = BytesMut::new();
            }
            return Ok(Some(frame));
        }
    }
}

impl<S: Duplex> Inner<S> {
    fn fail(&mut self, error: TransportError) -> TransportError {
        self.end(LineEnd::Closed, error);
        self.why_broken()
    }

    /// Writes what is to be written, and has it sent.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = self.stream.as_mut() else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        while !self.outbound.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(context, &self.outbound))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbound.advance(written);
            self.sent = true;
        }
        if self.outbound.capacity() > FULL_BYTES {
            self.outbound = BytesMut::new();
        }
        if self.closing { Pin::new(stream).poll_close(context) } else { Pin::new(stream).poll_flush(context) }
    }
}

impl<S: Duplex> Stream for Reader<S> {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut line = self.0.lock();
        loop {
            match line.next_frame() {
                Ok(Some(frame)) => {
                    line.silent_beats = None;
                    return Poll::Ready(Some(Ok(frame)));
                }
                Ok(None) => {}
                // The stream stays open, so that the reason can still be said.
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let mut buffer = [0; READ_BYTES];
            let Some(stream) = line.stream.as_mut() else {
                let why = line.why_broken();
                return Poll::Ready(Some(Err(why)));
            };
            match Pin::new(stream).poll_read(context, &mut buffer) {
                Poll::Pending => {
                    line.silent_beats.get_or_insert(0);
                    line.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => {
                    line.silent_beats = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(read)) => {
                    line.silent_beats = None;
                    line.inbound.extend_from_slice(&buffer[..read]);
                }
                Poll::Ready(Err(error)) => {
                    let error = line.fail(TransportError::Broken(error.to_string()));
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<S: Duplex> Writer<S> {
    fn poll_drain(&self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let mut line = self.0.lock();
        let drained = line.poll_drain(context);
        line.blocked = drained.is_pending();
        match ready!(drained) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(line.fail(TransportError::Broken(error.to_string())))),
        }
    }
}

impl<S: Duplex> Sink<Outbound> for Writer<S> {
    type Error = TransportError;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.0.lock().outbound.len() < FULL_BYTES { Poll::Ready(Ok(())) } else { self.poll_drain(context) }
    }

    fn start_send(self: Pin<&mut Self>, outbound: Outbound) -> Result<(), TransportError> {
        let mut line = self.0.lock();
        match outbound {
            Outbound::Frame(frame) => {
                let length = u32::try_from(frame.len())
                    .map_err(|_| TransportError::TooLarge(format!("a frame of {} bytes cannot be sent", frame.len())))?;
                line.outbound.extend_from_slice(&length.to_be_bytes());
                line.outbound.extend_from_slice(&frame);
            }
            // The engine has said why in a frame of its own.
            Outbound::Goodbye(_) => line.closing = true,
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_drain(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.lock().closing = true;
        self.poll_drain(context)
    }
}

/// Says that this side is there, and notices when the other is not, until the line is gone.
async fn beat<S: Duplex>(line: Weak<Line<S>>) {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let Some(line) = line.upgrade() else { return };
        let mut line = line.lock();
        if line.stream.is_none() {
            return;
        }
        if let Some(silent) = line.silent_beats.as_mut() {
            *silent += 1;
            if *silent > SILENT_BEATS_MAX {
                let text = format!("nothing was heard for {} s", SILENT_BEATS_MAX * BEAT.as_secs() as u32);
                line.end(LineEnd::Silent, TransportError::Broken(text));
                return;
            }
        }
        let quiet = !std::mem::take(&mut line.sent);
        if quiet && !line.blocked && !line.closing {
            if line.outbound.is_empty() {
                line.outbound.extend_from_slice(&[0; LENGTH_BYTES]);
            }
            // Nobody need be woken: what is not taken now is written with the next frame or at the next beat.
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(Err(error)) = line.poll_drain(&mut context) {
                line.fail(TransportError::Broken(error.to_string()));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
