//! TCP connections: so many at once and no more, and each with a time to say what it wants.

use super::tls::Tls;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

/// Time that a client has for the head of a request, also of the next one on the same connection; and before it for TLS.
pub(super) const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// Wait when the system has no more files or memory for connections.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// An accepted connection, which takes a place until it is dropped.
pub(super) struct Socket {
    stream: Stream,
    place: OwnedSemaphorePermit,
}

/// What an accepted connection is read from and written to.
pub(super) enum Stream {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS on it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// The bare connection, and its place.
    pub(super) fn into_parts(self) -> (Stream, OwnedSemaphorePermit) {
        (self.stream, self.place)
    }
}

/// Accepts connections and answers their requests until it is told to stop; then finishes the requests under way.
/// Whoever comes while `connections_max` are here waits in the system's queue.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    connections_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let socket = tokio::select! {
            socket = accept(&listener, &places) => socket,
            Some(_) = connections.join_next() => continue,
            () = told_to(&mut stop) => break,
        };
        match socket {
            Ok((stream, place)) => drop(connections.spawn(answer(stream, tls.clone(), place, router.clone(), stop.clone()))),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!("no connection can be accepted at the moment: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Waits until serving is to stop; a relay that was dropped without being shut down stops all the same.
async fn told_to(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Frames are small and wanted at once. A socket that refuses is still good for sending.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("a connection does not take TCP_NODELAY: {error}");
    }
    Ok((stream, place))
}

/// Whether it was the connection that failed, before it was accepted, and not the accepting.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers one connection's requests. A WebSocket leaves this task once it is open, and takes its place along.
async fn answer(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    place: OwnedSemaphorePermit,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(tls) => tokio::select! {
            spoken = tls.accept(stream) => match spoken {
                Ok(stream) => Stream::Tls(Box::new(stream)),
                Err(error) => return tracing::debug!("a connection does not speak TLS: {error}"),
            },
            () = told_to(&mut stop) => return,
        },
    };
    let socket = Socket { stream, place };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let answered = tokio::select! {
        answered = connection.as_mut() => answered,
        () = told_to(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = answered {
        tracing::debug!("a connection ended in the middle: {error}");
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
