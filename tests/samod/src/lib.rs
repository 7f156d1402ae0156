//! [samod](https://docs.rs/samod) over WebSockets: what its clients dial with, and how its server takes who dials.
//!
//! samod is used as its registry has it. Only the sockets are given to it from here, by its own doors for that
//! ([`samod::Transport`], [`samod::Dialer`]): those that it brings along would need OpenSSL and the whole of axum.

use axum::extract::ws;
use futures_util::future::{BoxFuture, ready};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use samod::{DialError, Dialer, Transport, Url};
use std::convert::Infallible;
use std::error::Error;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

/// Dials a WebSocket, again whenever samod wants it to.
pub struct WebSocket {
    /// Where to.
    pub url: Url,
}

impl Dialer for WebSocket {
    type Error = Infallible;

    fn url(&self) -> Url {
        self.url.clone()
    }

    fn connect(&self) -> BoxFuture<'static, Result<Transport, DialError<Infallible>>> {
        let url = self.url.clone();
        Box::pin(async move {
            let (socket, _) = connect_async(url.as_str()).await.map_err(DialError::transient)?;
            Ok(transport(
                socket,
                |message| matches!(message, Message::Binary(_)).then(|| message.into_data().into()),
                |bytes| Message::Binary(bytes.into()),
            ))
        })
    }
}

/// A client that has dialled.
pub fn accepted(socket: ws::WebSocket) -> Transport {
    transport(
        socket,
        |message| matches!(message, ws::Message::Binary(_)).then(|| message.into_data().into()),
        |bytes| ws::Message::Binary(bytes.into()),
    )
}

/// A socket's binary messages as samod takes and gives them; of others, `bytes_of` makes nothing.
fn transport<S, M, E>(socket: S, bytes_of: fn(M) -> Option<Vec<u8>>, message_of: fn(Vec<u8>) -> M) -> Transport
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Send + 'static,
    M: Send + 'static,
    E: Error + Send + Sync + 'static,
{
    let (outgoing, incoming) = socket.split();
    let incoming = incoming.filter_map(move |message| ready(message.map(bytes_of).transpose()));
    let outgoing = outgoing.with(move |bytes| ready(Ok::<_, E>(message_of(bytes))));
    Transport::new(incoming, outgoing)
}
