//! `/sync`: an accepted WebSocket becomes a connection of the host's.

use super::Shared;
use crate::dial::{close_code, close_reason};
use crate::transport::{Outbound, Transport, TransportError};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::tungstenite;

/// Takes a replica in, or says why not.
pub(super) async fn connect(
    State(shared): State<Arc<Shared>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let advice = "replicas sync here by WebSocket: dial this address with ws:// or wss://, for example\n\
                      driftline doc list --relay ws://HOST:PORT/sync\n";
        return (StatusCode::UPGRADE_REQUIRED, [("upgrade", "websocket")], advice).into_response();
    };
    if let Some(why) = shared.not_ready() {
        shared.refused.not_ready.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], why).into_response();
    }
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        shared.refused.full.fetch_add(1, Ordering::Relaxed);
        let why = format!(
            "the relay is full: it takes {} connections at once (--connections-max); try again later\n",
            shared.limits.connections_max
        );
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "30")], why).into_response();
    };
    let frame_bytes_max = shared.limits.frame_bytes_max;
    upgrade
        .max_message_size(frame_bytes_max)
        .max_frame_size(frame_bytes_max)
        .on_failed_upgrade(|error| tracing::debug!("a connection failed before it was open: {error}"))
        .on_upgrade(async move |socket| {
            shared.host.connect(transport(socket, place, frame_bytes_max));
        })
}

fn transport(socket: WebSocket, place: OwnedSemaphorePermit, frame_bytes_max: usize) -> Transport {
    let (outgoing, incoming) = socket.split();
    let incoming = incoming.filter_map(move |message| {
        // The place is given back when the connection's task lets go of this stream.
        let _held = &place;
        std::future::ready(on_message(message, frame_bytes_max))
    });
    let outgoing = outgoing
        .with(|outbound| std::future::ready(Ok::<_, axum::Error>(to_message(outbound))))
        .sink_map_err(|error| TransportError::Broken(error.to_string()));
    Transport::new(incoming, outgoing)
}

fn on_message(message: Result<Message, axum::Error>, frame_bytes_max: usize) -> Option<Result<Bytes, TransportError>> {
    match message {
        Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
        Ok(Message::Text(_)) => Some(Err(TransportError::Broken("the other side sent text where frames are binary".to_owned()))),
        Ok(Message::Close(Some(frame))) if !frame.reason.is_empty() => {
            Some(Err(TransportError::Closed(frame.reason.to_string())))
        }
        Ok(Message::Close(_) | Message::Ping(_) | Message::Pong(_)) => None,
        Err(error) => match error.into_inner().downcast::<tungstenite::Error>().map(|error| *error) {
            Ok(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => None,
            Ok(tungstenite::Error::Capacity(_)) => {
                let why =
                    format!("a frame is larger than this relay takes, which is {frame_bytes_max} bytes (--frame-bytes-max)");
                Some(Err(TransportError::TooLarge(why)))
            }
            Ok(error) => Some(Err(TransportError::Broken(error.to_string()))),
            Err(error) => Some(Err(TransportError::Broken(error.to_string()))),
        },
    }
}

fn to_message(outbound: Outbound) -> Message {
    match outbound {
        Outbound::Frame(bytes) => Message::Binary(bytes),
        Outbound::Goodbye(goodbye) => {
            Message::Close(Some(CloseFrame { code: close_code(goodbye.cause), reason: close_reason(&goodbye).into() }))
        }
    }
}
