//! Streams over one TCP connection: yamux, with a bound on what may wait unread.
//!
//! libp2p's own wrapping of yamux lets the number of streams be set and nothing else, and yamux lets a peer raise the windows of a connection to 1 GiB. So this
//! wraps it once more, and as libp2p does otherwise.

use super::limits::{STREAMS_MAX, STREAMS_NEGOTIATING_MAX, TCP_CONNECTION_BYTES};
use futures_util::io::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::pin::Pin;
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
}

impl Multiplexer {
    fn over<C: Link>(connection: C, mode: Mode) -> Ready<Result<Multiplexed<C>, ConnectionError>> {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(STREAMS_MAX as usize);
        config.set_max_connection_receive_window(Some(TCP_CONNECTION_BYTES));
        ready(Ok(Multiplexed { connection: Connection::new(connection, config, mode), opened: VecDeque::new(), taker: None }))
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
    fn poll_opened(&mut self, context: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection.poll_next_inbound(context).map(|opened| opened.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: Link> StreamMuxer for Multiplexed<C> {
    type Substream = yamux::Stream;
    type Error = ConnectionError;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        if let Some(stream) = self.opened.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let opened = self.poll_opened(context);
        if opened.is_pending() {
            self.taker = Some(context.waker().clone());
        }
        opened
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<yamux::Stream, ConnectionError>> {
        self.connection.poll_new_outbound(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.connection.poll_close(context)
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use std::future::poll_fn;
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    /// A stream from the caller to the called, of two ends that are moved on by tasks as a swarm would.
    async fn stream() -> (yamux::Stream, yamux::Stream) {
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
