//! Where these tests take place: a relay on a free port, and a wire to it that can be cut and held.

use driftline_core::engine::Engine;
use driftline_relay::repo::{DocHandle, Level, Repo, RepoOptions};
use driftline_relay::server::{Relay, RelayOptions};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longest wait for anything before a test fails: far beyond what it takes, for machines with other things to do.
const TIME_MAX: Duration = Duration::from_secs(30);

/// A relay with a store of its own.
pub(crate) struct Harbour {
    relay: Option<Relay>,
    address: SocketAddr,
    folder: TempDir,
}

impl Harbour {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let relay = Relay::start(RelayOptions::new(folder.path())).await.unwrap();
        relay.host().ready().await.unwrap();
        Self { address: relay.address(), relay: Some(relay), folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/sync", self.address)
    }

    pub(crate) async fn repo(&self) -> Repo {
        Repo::open(RepoOptions::memory().relay(self.url())).await.unwrap()
    }

    /// Asks its engine.
    pub(crate) async fn ask<R: Send + 'static>(&self, ask: impl FnOnce(&mut Engine) -> R + Send + 'static) -> R {
        self.relay.as_ref().unwrap().host().call(move |engine, _| ask(engine)).await.unwrap()
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.shutdown().await;
        }
    }

    /// Opens again at the same address with the same store.
    pub(crate) async fn reopen(&mut self) {
        let options = RelayOptions { listen: self.address, ..RelayOptions::new(self.folder.path()) };
        let relay = Relay::start(options).await.unwrap();
        relay.host().ready().await.unwrap();
        self.relay = Some(relay);
    }
}

/// A wire to a relay. Held, it carries nothing to the client, and keeps what the relay says until it is let go.
pub(crate) struct Wire {
    address: SocketAddr,
    held: watch::Sender<bool>,
}

impl Wire {
    pub(crate) async fn to(harbour: &Harbour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (held, gate) = watch::channel(false);
        let relay = harbour.address;
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, relay, gate.clone()));
            }
        });
        Self { address, held }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/sync", self.address)
    }

    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }
}

async fn carry(client: TcpStream, relay: SocketAddr, mut gate: watch::Receiver<bool>) {
    let Ok(relay) = TcpStream::connect(relay).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_relay, mut to_relay) = relay.into_split();
    let up = async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_relay).await;
    };
    let down = async move {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from_relay.read(&mut bytes).await {
            if gate.wait_for(|held| !held).await.is_err() || to_client.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(up, down);
}

/// Another device's handle to a document, once the relay has it.
pub(crate) async fn elsewhere(handle: &DocHandle, repo: &Repo, space: &str) -> DocHandle {
    soon(handle.when_saved(Level::Relay)).await.unwrap();
    soon(repo.space(space).find(handle.id())).await.unwrap()
}

/// What a future comes to, soon.
pub(crate) async fn soon<R>(future: impl Future<Output = R>) -> R {
    tokio::time::timeout(TIME_MAX, future).await.expect("it takes too long")
}

/// Waits until the text `body` of a document reads so.
pub(crate) async fn reads(handle: &DocHandle, text: &'static str) {
    let found = tokio::time::timeout(TIME_MAX, handle.when(move |document| document.text("body").as_deref() == Some(text))).await;
    match found {
        Ok(found) => found.unwrap(),
        Err(_) => panic!("the document reads {:?}, and not {text:?}", handle.text("body").await),
    }
}
