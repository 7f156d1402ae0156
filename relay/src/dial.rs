//! Dialling out: how an endpoint that an app named becomes a connection.

use crate::transport::{Goodbye, GoodbyeCause, Outbound, Transport, TransportError};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use std::future::Future;
use std::pin::Pin;
use std::sync::Once;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest wait for a connection to open.
pub const DIAL_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes read at once; the library's own 128 KiB are cleared before each reading.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// The longest reason a WebSocket close frame has room for, in bytes.
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// What dialling comes to: a connection, or a sentence for people.
pub type Dialling = Pin<Box<dyn Future<Output = Result<Transport, String>> + Send>>;

/// Opens connections to endpoints.
pub trait Dialler: Send + 'static {
    /// Dials `endpoint`.
    fn dial(&self, endpoint: &str) -> Dialling;
}

/// Dials `ws://` and `wss://` endpoints.
#[derive(Clone, Debug)]
pub struct WebSocketDialler {
    /// Largest frame accepted, in bytes.
    pub frame_bytes_max: usize,
}

impl Dialler for WebSocketDialler {
    fn dial(&self, endpoint: &str) -> Dialling {
        let (endpoint, frame_bytes_max) = (endpoint.to_owned(), self.frame_bytes_max);
        Box::pin(async move {
            match tokio::time::timeout(DIAL_TIME_MAX, dial_websocket(&endpoint, frame_bytes_max)).await {
                Ok(dialled) => dialled,
                Err(_) => Err(format!("{endpoint} did not answer within {} s", DIAL_TIME_MAX.as_secs())),
            }
        })
    }
}

/// Opens a WebSocket, or says in a sentence why not.
pub(crate) async fn open_websocket(
    endpoint: &str,
    frame_bytes_max: usize,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, String> {
    static CRYPTOGRAPHY: Once = Once::new();
    // An application that chose its own before keeps it.
    CRYPTOGRAPHY.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let config = Some(websocket_config(frame_bytes_max));
    let (socket, _) = tokio_tungstenite::connect_async_with_config(endpoint, config, true)
        .await
        .map_err(|error| explain_dial(endpoint, &error))?;
    Ok(socket)
}

async fn dial_websocket(endpoint: &str, frame_bytes_max: usize) -> Result<Transport, String> {
    let socket = open_websocket(endpoint, frame_bytes_max).await?;
    Ok(websocket_transport(socket, ()))
}

/// How a WebSocket is read whose frames may have `frame_bytes_max` bytes.
pub(crate) fn websocket_config(frame_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(frame_bytes_max))
        .max_frame_size(Some(frame_bytes_max))
}

/// A WebSocket as a transport, whichever side opened it; `held` is let go of once nothing more is read.
pub(crate) fn websocket_transport<S>(socket: WebSocketStream<S>, held: impl Send + 'static) -> Transport
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (outgoing, incoming) = socket.split();
    let incoming = incoming.filter_map(move |message| {
        let _held = &held;
        std::future::ready(on_message(message))
    });
    let outgoing = outgoing
        .with(|outbound| std::future::ready(Ok::<_, Error>(to_message(outbound))))
        .sink_map_err(|error| TransportError::Broken(error.to_string()));
    Transport::new(incoming, outgoing)
}

fn explain_dial(endpoint: &str, error: &Error) -> String {
    match error {
        Error::Http(response) => {
            let said = response.body().as_deref().map(|body| String::from_utf8_lossy(body).trim().to_owned());
            match said.filter(|said| !said.is_empty() && said.len() < 400) {
                Some(said) => format!("{endpoint} refused the connection ({}): {said}", response.status()),
                None => format!("{endpoint} refused the connection ({})", response.status()),
            }
        }
        Error::Url(_) => {
            format!("{endpoint} is not an address to dial: one looks like ws://host:port/sync or wss://host/sync ({error})")
        }
        error => format!("{endpoint} cannot be reached: {error}"),
    }
}

fn on_message(message: Result<Message, Error>) -> Option<Result<Bytes, TransportError>> {
    match message {
        Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
        Ok(Message::Text(_)) => Some(Err(TransportError::Broken("the other side sent text where frames are binary".to_owned()))),
        Ok(Message::Close(Some(frame))) if !frame.reason.is_empty() => {
            Some(Err(TransportError::Closed(frame.reason.to_string())))
        }
        Ok(_) => None,
        Err(Error::ConnectionClosed | Error::AlreadyClosed) => None,
        Err(Error::Capacity(error)) => Some(Err(TransportError::TooLarge(error.to_string()))),
        Err(error) => Some(Err(TransportError::Broken(error.to_string()))),
    }
}

fn to_message(outbound: Outbound) -> Message {
    match outbound {
        Outbound::Frame(bytes) => Message::Binary(bytes),
        Outbound::Goodbye(goodbye) => {
            let code = CloseCode::from(close_code(goodbye.cause));
            Message::Close(Some(CloseFrame { code, reason: close_reason(&goodbye).into() }))
        }
    }
}

/// The WebSocket close code for a cause (RFC 6455, section 7.4.1).
pub(crate) fn close_code(cause: GoodbyeCause) -> u16 {
    match cause {
        GoodbyeCause::Ended => 1000,
        GoodbyeCause::GoingAway => 1001,
        GoodbyeCause::TooLarge => 1009,
    }
}

/// The reason, cut to what a WebSocket close frame has room for.
pub(crate) fn close_reason(goodbye: &Goodbye) -> &str {
    let mut end = goodbye.reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !goodbye.reason.is_char_boundary(end) {
        end -= 1;
    }
    &goodbye.reason[..end]
}
