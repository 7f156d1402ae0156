//! A server of samod's, as its documentation makes one: documents in files of a folder, clients over WebSockets.
//!
//! `driftline-samod ADDRESS FOLDER`

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use axum::serve::ListenerExt as _;
use samod::storage::TokioFilesystemStorage;
use samod::{AcceptorHandle, Repo, ShareConfig, Url};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (address, folder) = arguments.next().zip(arguments.next()).context("driftline-samod ADDRESS FOLDER")?;
    let repo = Repo::build_tokio()
        .with_storage(TokioFilesystemStorage::new(folder))
        // Documents are told of to who asks for them.
        .with_share_policy(ShareConfig::read_write().with_announce(false))
        .load()
        .await;
    let acceptor = repo.make_acceptor(Url::parse(&format!("ws://{address}/"))?)?;
    let listener = TcpListener::bind(&address).await?.tap_io(|connection| {
        // As Node's servers do.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route("/", any(accept)).with_state(acceptor)).await?;
    Ok(())
}

/// Takes a client; to who asks for no socket, says that the server is there.
async fn accept(
    State(acceptor): State<AcceptorHandle>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else { return "ok".into_response() };
    upgrade.on_upgrade(async move |socket| {
        // An error says that the repo has ended, and the process with it.
        let _ = acceptor.accept(driftline_samod::accepted(socket));
    })
}
