//! The anchor: the least a server can do. It passes each message from `/write` to every connection on `/read`, and does
//! nothing else: no store, no protocol, no check. What a relay costs is read beside what this costs.
//!
//! `driftline-anchor ADDRESS`

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{any, get};
use axum::serve::ListenerExt as _;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// Messages kept for a reader that is behind.
const BACKLOG_MAX: usize = 65_536;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let (messages, _) = broadcast::channel::<Bytes>(BACKLOG_MAX);
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/write", any(write))
        .route("/read", any(read))
        .with_state(messages);
    let listener = TcpListener::bind(&address).await?.tap_io(|connection| {
        // Without this a small message may wait 40 ms for the answer to the one before.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, routes).await?;
    Ok(())
}

async fn write(upgrade: WebSocketUpgrade, State(messages): State<broadcast::Sender<Bytes>>) -> Response {
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(bytes) = message {
                // Nobody may be reading.
                let _ = messages.send(bytes);
            }
        }
    })
}

async fn read(upgrade: WebSocketUpgrade, State(messages): State<broadcast::Sender<Bytes>>) -> Response {
    let mut messages = messages.subscribe();
    upgrade.on_upgrade(async move |socket: WebSocket| {
        let (mut outgoing, mut incoming) = socket.split();
        loop {
            tokio::select! {
                message = messages.recv() => {
                    let Ok(bytes) = message else { return };
                    if outgoing.send(Message::Binary(bytes)).await.is_err() {
                        return;
                    }
                }
                asked = incoming.next() => {
                    if !matches!(asked, Some(Ok(_))) {
                        return;
                    }
                }
            }
        }
    })
}
