//! `/` and `/automerge`: WebSockets of automerge-repo's clients.

use super::{Shared, web};
use crate::automerge_repo::Desks;
use crate::automerge_repo::connection::{Broken, Frame, serve};
use crate::dial::close_reason;
use crate::transport::{Goodbye, GoodbyeCause};
use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::{SinkExt as _, StreamExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio_tungstenite::tungstenite;

/// Asks a client to come again later (RFC 6455's registry of close codes).
const TRY_AGAIN_LATER: u16 = 1013;

/// What the two paths need.
#[derive(Clone)]
struct Serving {
    shared: Arc<Shared>,
    desks: Arc<Desks>,
}

/// The site, where upgrades at its root and at `/automerge` are for automerge-repo's clients.
pub(super) fn site(shared: &Arc<Shared>, desks: Option<Arc<Desks>>, folder: Option<PathBuf>) -> Router {
    let site = web::site(folder);
    let Some(desks) = desks else { return site };
    let serving = Serving { shared: Arc::clone(shared), desks };
    let root = site.layer(from_fn_with_state(serving.clone(), at_root));
    Router::new().route("/automerge", get(connect)).with_state(serving).fallback_service(root)
}

/// Takes an upgrade at `/`; everything else is the site's.
async fn at_root(
    State(serving): State<Serving>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
    next: Next,
) -> Response {
    match upgrade {
        Ok(upgrade) if request.uri().path() == "/" => take(serving, request.uri(), request.headers(), upgrade),
        _ => next.run(request).await,
    }
}

async fn connect(
    State(serving): State<Serving>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Ok(upgrade) => take(serving, &uri, &headers, upgrade),
        Err(_) => {
            let advice =
                "automerge-repo clients sync here by WebSocket: give WebSocketClientAdapter this address with ws:// or wss://\n";
            (StatusCode::UPGRADE_REQUIRED, [("upgrade", "websocket")], advice).into_response()
        }
    }
}

/// Takes a client in. One that cannot be taken now is told so on the socket: their client for Node ends its program when an
/// upgrade is refused.
fn take(serving: Serving, uri: &Uri, headers: &HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let Serving { shared, desks } = serving;
    if let Some(refusal) = shared.refuses(headers) {
        return refusal.into_response();
    }
    if let Some(refusal) = shared.access.refuses_keyless(uri, headers) {
        return shared.turned_away(refusal).into_response();
    }
    let bytes_max = shared.limits.frame_bytes_max;
    upgrade
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max)
        .on_failed_upgrade(|error| tracing::debug!("a connection failed before it was open: {error}"))
        .on_upgrade(async move |mut socket| {
            if let Some(why) = shared.not_ready() {
                shared.refused.not_ready.fetch_add(1, Ordering::Relaxed);
                return turn_away(&mut socket, why.trim_end()).await;
            }
            let Ok(_place) = Arc::clone(&shared.places).try_acquire_owned() else {
                shared.refused.full.fetch_add(1, Ordering::Relaxed);
                return turn_away(&mut socket, "the relay is full: try again later").await;
            };
            let Ok(Some(key)) = shared.host.call(|engine, _| engine.peer_id()).await else { return };
            let (outgoing, incoming) = socket.split();
            let incoming = incoming.filter_map(|message| std::future::ready(on_message(message, bytes_max)));
            let outgoing = outgoing.with(|frame| std::future::ready(Ok::<_, axum::Error>(to_message(frame))));
            serve(desks, key, shared.limits.outbound_bytes_max, incoming, outgoing).await;
        })
}

async fn turn_away(socket: &mut WebSocket, why: &str) {
    // Whoever is gone needs no answer.
    drop(socket.send(Message::Close(Some(CloseFrame { code: TRY_AGAIN_LATER, reason: why.into() }))).await);
}

fn on_message(message: Result<Message, axum::Error>, bytes_max: usize) -> Option<Result<Frame, Broken>> {
    match message {
        Ok(Message::Binary(bytes)) => Some(Ok(Frame::Binary(bytes))),
        Ok(Message::Ping(_)) => Some(Ok(Frame::Ping)),
        Ok(Message::Pong(_)) => Some(Ok(Frame::Pong)),
        Ok(Message::Close(_)) => Some(Err(Broken::Gone)),
        // Neither they nor we write text.
        Ok(Message::Text(_)) => None,
        Err(error) => match error.into_inner().downcast::<tungstenite::Error>().map(|error| *error) {
            Ok(tungstenite::Error::Capacity(_)) => {
                let why = format!("a message is larger than this relay takes, which is {bytes_max} bytes (--frame-bytes-max)");
                Some(Err(Broken::TooLarge(why)))
            }
            _ => Some(Err(Broken::Gone)),
        },
    }
}

fn to_message(frame: Frame) -> Message {
    match frame {
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Ping => Message::Ping(bytes::Bytes::new()),
        Frame::Pong => Message::Pong(bytes::Bytes::new()),
        Frame::Close(code, reason) => {
            let goodbye = Goodbye { cause: GoodbyeCause::Ended, reason };
            Message::Close(Some(CloseFrame { code, reason: close_reason(&goodbye).into() }))
        }
    }
}
