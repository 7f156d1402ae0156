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
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderValue};
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
                Err(_) => Err(format!("{} did not answer within {} s", without_token(&endpoint), DIAL_TIME_MAX.as_secs())),
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
    let shown = without_token(endpoint);
    let mut request = shown.as_str().into_client_request().map_err(|error| explain_dial(&shown, &error))?;
    // In a header it stands in nobody's log.
    if let Some(token) = endpoint.split_once('?').and_then(|(_, query)| token_in(query)) {
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| "the token has letters that no token has")?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
    }
    let (socket, _) = tokio_tungstenite::connect_async_with_config(request, config, true)
        .await
        .map_err(|error| explain_dial(&shown, &error))?;
    Ok(socket)
}

/// The token that the query of an address has.
pub(crate) fn token_in(query: &str) -> Option<&str> {
    query.split('&').find_map(|part| part.strip_prefix("token=")).filter(|token| !token.is_empty())
}

/// An address as it may be shown and passed on.
pub(crate) fn without_token(endpoint: &str) -> String {
    let Some((address, query)) = endpoint.split_once('?') else { return endpoint.to_owned() };
    let rest: Vec<&str> = query.split('&').filter(|part| !part.starts_with("token=")).collect();
    if rest.is_empty() { address.to_owned() } else { format!("{address}?{}", rest.join("&")) }
}

/// An address with a token, where it is one of a relay's that may want one and has none.
pub(crate) fn with_token(endpoint: &str, token: Option<&str>) -> String {
    let has_one = endpoint.split_once('?').is_some_and(|(_, query)| token_in(query).is_some());
    match token.filter(|_| !has_one && (endpoint.starts_with("ws://") || endpoint.starts_with("wss://"))) {
        Some(token) => format!("{endpoint}{}token={token}", if endpoint.contains('?') { '&' } else { '?' }),
        None => endpoint.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_added_once_found_and_not_shown() {
        for (address, shown) in [("ws://h/sync", "ws://h/sync"), ("ws://h/sync?a=1", "ws://h/sync?a=1")] {
            let with = with_token(address, Some("drift_x"));
            assert_eq!(with.split_once('?').and_then(|(_, query)| token_in(query)), Some("drift_x"));
            assert_eq!(without_token(&with), shown);
            assert_eq!(with_token(&with, Some("another")), with);
        }
        assert_eq!(with_token("/ip4/1.2.3.4", Some("x")), "/ip4/1.2.3.4");
        assert_eq!((token_in("token="), token_in("x=1")), (None, None));
    }
}
