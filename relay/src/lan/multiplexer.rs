//! Streams over one TCP connection: yamux, with a bound on what may wait unread.
//!
//! libp2p's own wrapping of yamux lets the number of streams be set and nothing else, and yamux lets a peer raise the windows of a connection to 1 GiB. So this
//! wraps it once more, and as libp2p does otherwise. And yamux does not wake who waits for bytes of a stream whose connection is closed on this side: this does.

use super::limits::{STREAMS_MAX, STREAMS_NEGOTIATING_MAX, TCP_CONNECTION_BYTES};
use futures_util::io::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use yamux::{Connection, ConnectionError, Mode};

/// Makes a connection carry streams.
#[derive(Clone, Debug, Default)]
pub(super) struct Multiplexer;

/// A connection that carries streams.
pub(super) struct Multiplexed<C> {
    connection: Connection<C>,
    /// Streams that the other side has opened and nobody has taken.
    opened: VecDeque<yamux::Stream>,
    taker: Option<Waker>,
    /// Who waits for bytes, of each stream that is in use.
    readers: Vec<Weak<Reader>>,
}

/// A stream of a connection.
pub(super) struct Substream {
    stream: yamux::Stream,
    reader: Arc<Reader>,
}

/// Who waits for bytes of a stream.
#[derive(Default)]
struct Reader(Mutex<Option<Waker>>);

impl Reader {
    fn set(&self, waker: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), waker)
    }
}

impl Multiplexer {
    fn over<C: Link>(connection: C, mode: Mode) -> Ready<Result<Multiplexed<C>, ConnectionError>> {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(STREAMS_MAX as usize);
        config.set_max_connection_receive_window(Some(TCP_CONNECTION_BYTES));
        ready(Ok(Multiplexed {
            connection: Connection::new(connection, config, mode),
            opened: VecDeque::new(),
            taker: None,
            readers: Vec::new(),
        }))
    }
}

/// What yamux needs of a connection.
pub(super) trait Link: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> Link for C {}

impl UpgradeInfo for Multiplexer {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: Link> InboundConnectionUpgrade<C> for Multiplexer {
    type Output = Multiplexed<C>;
    type Error = ConnectionError;
    type Future = Ready<Result<Multiplexed<C>, ConnectionError>>;

    fn upgrade_inbound(self, connection: C, _: Self::Info) -> Self::Future {
        Self::over(connection, Mode::Server)
    }
}

impl<C: Link> OutboundConnectionUpgrade<C> for Multiplexer {
    type Output = Multiplexed<C>;
    type Error = ConnectionError;
    type Future = Ready<Result<Multiplexed<C>, ConnectionError>>;

    fn upgrade_outbound(self, connection: C, _: Self::Info) -> Self::Future {
        Self::over(connection, Mode::Client)
    }
}

impl<C: Link> Multiplexed<C> {
    /// A stream of yamux's, so that who reads it is woken at the end.
    fn substream(&mut self, stream: yamux::Stream) -> Substream {
        let reader = Arc::<Reader>::default();
        self.readers.retain(|reader| reader.strong_count() > 0);
        self.readers.push(Arc::downgrade(&reader));
        Substream { stream, reader }
    }

    fn poll_opened(&mut self, context: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection.poll_next_inbound(context).map(|opened| opened.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: Link> StreamMuxer for Multiplexed<C> {
    type Substream = Substream;
    type Error = ConnectionError;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Substream, ConnectionError>> {
        if let Some(stream) = self.opened.pop_front() {
            return Poll::Ready(Ok(self.substream(stream)));
        }
        let opened = self.poll_opened(context);
        if opened.is_pending() {
            self.taker = Some(context.waker().clone());
        }
        opened.map_ok(|stream| self.substream(stream))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Substream, ConnectionError>> {
        let opened = self.connection.poll_new_outbound(context);
        opened.map_ok(|stream| self.substream(stream))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let closed = self.connection.poll_close(context);
        if closed.is_ready() {
            self.readers.drain(..).filter_map(|reader| reader.upgrade()?.set(None)).for_each(Waker::wake);
        }
        closed
    }

    /// Moves everything on. yamux does so only when it is asked for the next stream, so one may turn up that nobody asked for.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        match self.poll_opened(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(stream)) => {
                // One too many is reset, which its sender sees.
                if self.opened.len() < STREAMS_NEGOTIATING_MAX {
                    self.opened.push_back(stream);
                    self.taker.take().into_iter().for_each(Waker::wake);
                }
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Substream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // Before it is looked whether there is something, lest the end come in between.
        self.reader.set(Some(context.waker().clone()));
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.reader.set(None);
        }
        read
    }
}

impl AsyncWrite for Substream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use std::future::poll_fn;
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    /// A stream from the caller to the called, of two ends that are moved on by tasks as a swarm would.
    async fn stream() -> (Substream, Substream) {
        let (left, right) = tokio::io::duplex(64 * 1024 * 1024);
        let mut called = Multiplexer.upgrade_inbound(left.compat(), "").await.expect("nothing is said yet");
        let mut caller = Multiplexer.upgrade_outbound(right.compat(), "").await.expect("nothing is said yet");
        let mut out = poll_fn(|context| Pin::new(&mut caller).poll_outbound(context)).await.expect("it opens");
        tokio::spawn(async move { poll_fn(|context| Pin::new(&mut caller).poll(context)).await.map(|_| ()) });
        out.write_all(b"first").await.expect("it is taken");
        out.flush().await.expect("it is sent");
        let taken = poll_fn(|context| Pin::new(&mut called).poll_inbound(context)).await.expect("it arrives");
        tokio::spawn(async move { poll_fn(|context| Pin::new(&mut called).poll(context)).await.map(|_| ()) });
        (out, taken)
    }

    #[tokio::test]
    async fn what_is_written_is_read_at_the_other_end() {
        let (mut out, mut taken) = stream().await;
        let mut read = [0; 5];
        taken.read_exact(&mut read).await.expect("it is there");
        assert_eq!(&read, b"first");
        taken.write_all(b"back").await.expect("it is taken");
        taken.flush().await.expect("it is sent");
        out.read_exact(&mut read[..4]).await.expect("it is there");
        assert_eq!(&read[..4], b"back");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_bytes_is_told_when_the_connection_is_closed_on_this_side() {
        let (left, right) = tokio::io::duplex(64 * 1024);
        let _other = right;
        let mut caller = Multiplexer.upgrade_outbound(left.compat(), "").await.expect("nothing is said yet");
        let mut out = poll_fn(|context| Pin::new(&mut caller).poll_outbound(context)).await.expect("it opens");
        out.write_all(b"first").await.expect("it is taken");
        let reading = tokio::spawn(async move { out.read(&mut [0; 5]).await });
        tokio::task::yield_now().await;
        poll_fn(|context| Pin::new(&mut caller).poll_close(context)).await.expect("it closes");
        drop(caller);
        let read = tokio::time::timeout(std::time::Duration::from_secs(60), reading).await;
        assert!(read.expect("it is told").expect("it runs").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_waits_unread_than_the_bound() {
        let (mut out, _taken) = stream().await;
        let mut written = 0;
        let piece = vec![7; 64 * 1024];
        // It blocks for good once the window is full; the clock jumps when nothing else can happen.
        while let Ok(sent) = tokio::time::timeout(std::time::Duration::from_secs(5), out.write(&piece)).await {
            written += sent.expect("the connection is open");
            assert!(written <= TCP_CONNECTION_BYTES, "{written} bytes were taken");
        }
        assert!(written >= 64 * 1024, "{written}");
    }
}
