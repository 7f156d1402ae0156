//! What a connection is to a host: a stream of frames coming in, a sink of frames going out, whatever carries them.

use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use std::pin::Pin;

/// Frames as they arrive.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;
/// Frames on their way out.
pub type Outgoing = Pin<Box<dyn Sink<Outbound, Error = TransportError> + Send>>;

/// An open connection, both directions of it.
pub struct Transport {
    /// Frames as they arrive; ends when the other side closes.
    pub incoming: Incoming,
    /// Frames on their way out.
    pub outgoing: Outgoing,
}

/// What a host hands to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// A frame.
    Frame(Bytes),
    /// The last thing ever sent, where the transport has a word for it.
    Goodbye(Goodbye),
}

/// Why a connection is closed by this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Of what kind the cause is.
    pub cause: GoodbyeCause,
    /// A sentence for people.
    pub reason: String,
}

/// Kinds of causes to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodbyeCause {
    /// The engine wanted it so.
    Ended,
    /// The process is about to end.
    GoingAway,
    /// The peer sent a frame over the limit.
    TooLarge,
}

/// Why a connection broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The peer sent a frame over the limit.
    #[error("{0}")]
    TooLarge(String),
    /// The peer closed the connection, and said why.
    #[error("the other side closed the connection: {0}")]
    Closed(String),
    /// Anything else: the network, or bytes that the transport does not understand.
    #[error("{0}")]
    Broken(String),
}

impl Transport {
    /// A transport of any stream and sink.
    pub fn new(
        incoming: impl Stream<Item = Result<Bytes, TransportError>> + Send + 'static,
        outgoing: impl Sink<Outbound, Error = TransportError> + Send + 'static,
    ) -> Self {
        Self { incoming: Box::pin(incoming), outgoing: Box::pin(outgoing) }
    }

    /// Two transports, each other's far end, in memory: for tests, and for two engines in one process. At most
    /// `frames_max` frames are under way in each direction.
    pub fn pair(frames_max: usize) -> (Self, Self) {
        let (to_right, from_left) = mpsc::channel(frames_max);
        let (to_left, from_right) = mpsc::channel(frames_max);
        (
            Self::new(from_right.map(arrive), to_right.sink_map_err(gone)),
            Self::new(from_left.map(arrive), to_left.sink_map_err(gone)),
        )
    }
}

fn arrive(outbound: Outbound) -> Result<Bytes, TransportError> {
    match outbound {
        Outbound::Frame(bytes) => Ok(bytes),
        Outbound::Goodbye(goodbye) => Err(TransportError::Closed(goodbye.reason)),
    }
}

fn gone(_: mpsc::SendError) -> TransportError {
    TransportError::Broken("the other side is gone".to_owned())
}
