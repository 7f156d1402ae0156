//! `/sync`: an accepted WebSocket becomes a connection of the host's.

use super::Shared;
use super::access::{CLOSE_TOKEN, in_short};
use super::sockets::{Socket, Stream};
use crate::dial::{websocket_config, websocket_transport};
use crate::host::Wire;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// The one version of WebSocket there is (RFC 6455).
const WEBSOCKET_VERSION: &[u8] = b"13";
/// How long a page that is not let in may take to hear of it, and how much it may say meanwhile.
const TURN_AWAY_TIME_MAX: Duration = Duration::from_secs(2);
const TURNED_AWAY_BYTES_MAX: usize = 64 * 1024;

/// Takes a replica in, or says why not.
pub(super) async fn connect(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    let Some(accept) = accept_key(&request) else {
        let advice = "replicas sync here by WebSocket: dial this address with ws:// or wss://, for example\n\
                      driftline doc list --relay ws://HOST:PORT/sync\n";
        return (StatusCode::UPGRADE_REQUIRED, [("upgrade", "websocket")], advice).into_response();
    };
    if let Some(refusal) = shared.refuses(request.headers()) {
        return refusal.into_response();
    }
    if let Some(refusal) = shared.access.refuses(request.uri(), request.headers()) {
        let (status, why) = shared.turned_away(refusal);
        // Only pages name a site, and a page is not told how it was answered: it is let in as far as to hear why not.
        if !request.headers().contains_key(header::ORIGIN) {
            return (status, why).into_response();
        }
        tokio::spawn(turn_away(hyper::upgrade::on(&mut request), why));
        return switching(accept);
    }
    if let Some(why) = shared.not_ready() {
        shared.refused.not_ready.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], why).into_response();
    }
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        shared.refused.full.fetch_add(1, Ordering::Relaxed);
        shared.note_refused("full");
        let why = format!(
            "the relay is full: it takes {} connections at once (--connections-max); try again later\n",
            shared.limits.connections_max
        );
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "30")], why).into_response();
    };
    // It comes once the answer has been sent.
    tokio::spawn(take_over(shared, hyper::upgrade::on(&mut request), place));
    switching(accept)
}

fn switching(accept: HeaderValue) -> Response {
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// Says to a page why it is not let in, and hangs up.
async fn turn_away(upgrade: OnUpgrade, why: String) {
    let saying = async {
        let Ok(Ok(Parts { io, read_buf, .. })) = upgrade.await.map(|upgraded| upgraded.downcast::<TokioIo<Socket>>()) else {
            return;
        };
        let config = Some(websocket_config(TURNED_AWAY_BYTES_MAX));
        let mut socket = WebSocketStream::from_partially_read(io.into_inner(), read_buf.into(), Role::Server, config).await;
        let reason = in_short(&why).to_owned().into();
        // Whoever has gone need not be told.
        let _ = socket.close(Some(CloseFrame { code: CLOSE_TOKEN.into(), reason })).await;
        while let Some(Ok(_)) = socket.next().await {}
    };
    let _ = tokio::time::timeout(TURN_AWAY_TIME_MAX, saying).await;
}

/// What a request to open a WebSocket is to be answered with; nothing when it is none.
fn accept_key(request: &Request) -> Option<HeaderValue> {
    let headers = request.headers();
    let opens = request.method() == Method::GET
        && names(headers, &header::CONNECTION, b"upgrade")
        && names(headers, &header::UPGRADE, b"websocket")
        && names(headers, &header::SEC_WEBSOCKET_VERSION, WEBSOCKET_VERSION);
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| opens)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

/// Whether a header that is a list names something.
fn names(headers: &HeaderMap, header: &HeaderName, name: &[u8]) -> bool {
    let mut named = headers.get_all(header).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    named.any(|named| named.trim_ascii().eq_ignore_ascii_case(name))
}

/// Takes a connection from HTTP, and hands it to the host.
async fn take_over(shared: Arc<Shared>, upgrade: OnUpgrade, place: OwnedSemaphorePermit) {
    match upgrade.await.map(|upgraded| upgraded.downcast::<TokioIo<Socket>>()) {
        Ok(Ok(Parts { io, read_buf, .. })) => {
            let (stream, socket_place) = io.into_inner().into_parts();
            let (frame_bytes_max, places) = (shared.limits.frame_bytes_max, (place, socket_place));
            match stream {
                Stream::Plain(stream) => shared.host.connect_wire(Wire::new(stream, read_buf, frame_bytes_max, places)),
                Stream::Tls(stream) => {
                    let config = Some(websocket_config(frame_bytes_max));
                    let socket = WebSocketStream::from_partially_read(stream, read_buf.into(), Role::Server, config).await;
                    shared.host.connect(websocket_transport(socket, places))
                }
            };
        }
        Ok(Err(_)) => tracing::error!("a connection is not one of this server's"),
        Err(error) => tracing::debug!("a connection failed before it was open: {error}"),
    }
}
