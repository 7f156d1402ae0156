//! Frames as they arrive on a WebSocket.

use super::outlet::Outlet;
use crate::transport::TransportError;
use bytes::Bytes;
use futures_util::Stream;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Bytes read at once. Each connection has as many for itself, and they are cleared before each reading.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// The frames of one WebSocket.
pub(super) struct Reading {
    socket: OwnedReadHalf,
    context: WebSocketContext,
    outlet: Arc<Outlet>,
    frame_bytes_max: usize,
    _held: Box<dyn Send>,
}

/// The socket for the length of one reading: what the protocol itself has to say, as answers to pings, goes among the frames
/// that leave.
struct Socket<'a, 'b> {
    socket: &'a mut OwnedReadHalf,
    outlet: &'a Outlet,
    context: &'a mut Context<'b>,
}

impl Reading {
    pub(super) fn new(
        socket: OwnedReadHalf,
        begun: &Bytes,
        outlet: Arc<Outlet>,
        frame_bytes_max: usize,
        held: Box<dyn Send>,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(frame_bytes_max))
            .max_frame_size(Some(frame_bytes_max));
        let context = WebSocketContext::from_partially_read(begun.to_vec(), Role::Server, Some(config));
        Self { socket, context, outlet, frame_bytes_max, _held: held }
    }

    fn explain(&self, error: Error) -> Option<TransportError> {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => None,
            Error::Capacity(_) => Some(TransportError::TooLarge(format!(
                "a frame is larger than this relay takes, which is {} bytes (--frame-bytes-max)",
                self.frame_bytes_max
            ))),
            error => Some(TransportError::Broken(error.to_string())),
        }
    }
}

impl Stream for Reading {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut socket = Socket { socket: &mut this.socket, outlet: &this.outlet, context };
        loop {
            let error = match this.context.read(&mut socket) {
                Ok(Message::Binary(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(Message::Text(_)) => TransportError::Broken("the other side sent text where frames are binary".to_owned()),
                Ok(Message::Close(frame)) => {
                    // The answer leaves at once; that it then says the connection is over is known.
                    drop(this.context.flush(&mut socket));
                    match frame {
                        Some(frame) if !frame.reason.is_empty() => TransportError::Closed(frame.reason.to_string()),
                        _ => return Poll::Ready(None),
                    }
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(self.explain(error).map(Err)),
            };
            return Poll::Ready(Some(Err(error)));
        }
    }
}

impl Read for Socket<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(into);
        match Pin::new(&mut *self.socket).poll_read(self.context, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Socket<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outlet.answer(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
