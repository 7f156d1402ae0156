//! What the tests are made of: a relay on a free port, and replicas that dial it.

use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_core::base::limits::Limits;
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::value::{Prop, Value};
use driftline_core::engine::Engine;
use driftline_core::engine::config::{EngineConfig, Role};
use driftline_core::engine::effect::{Event, Saved};
use driftline_core::engine::input::Command;
use driftline_relay::host::Host;
use driftline_relay::server::{Relay, RelayOptions};
use driftline_relay::store::{MemoryStore, SqliteOptions};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

/// Longest wait for anything that is to happen; only a failure takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn relay(data: &Path) -> Relay {
    relay_with(data, Limits::default(), SqliteOptions::default()).await
}

pub(crate) async fn relay_with(data: &Path, limits: Limits, store: SqliteOptions) -> Relay {
    let listen = "127.0.0.1:0".parse().unwrap();
    let relay = Relay::start(RelayOptions { listen, limits, store, ..RelayOptions::new(data) }).await.unwrap();
    relay.host().ready().await.unwrap();
    relay
}

pub(crate) fn endpoint(relay: &Relay) -> String {
    format!("ws://{}/sync", relay.address())
}

/// A replica in memory, with a space open.
pub(crate) struct Replica {
    pub(crate) host: Host,
    pub(crate) events: Receiver<Arc<Event>>,
    pub(crate) space: SpaceId,
    edits: u64,
    /// What was told lately, for whoever reads a failure.
    told: Vec<Arc<Event>>,
}

impl Replica {
    pub(crate) async fn new(seed: u8) -> Self {
        Self::of(Host::start(EngineConfig::new(Role::Client, [seed; 32]), MemoryStore::new())).await
    }

    pub(crate) async fn of(host: Host) -> Self {
        let events = host.events();
        let space = SpaceId::from_name("harbour");
        host.ready().await.unwrap();
        host.command(Command::OpenSpace { space });
        Self { host, events, space, edits: 0, told: Vec::new() }
    }

    pub(crate) async fn dialling(seed: u8, endpoint: &str) -> Self {
        let replica = Self::new(seed).await;
        replica.host.command(Command::AddEndpoint { endpoint: endpoint.to_owned() });
        replica
    }

    /// Waits until something is told that `wanted` takes.
    pub(crate) async fn event<T>(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let (events, told) = (&mut self.events, &mut self.told);
        let wait = async {
            loop {
                match events.recv().await {
                    Ok(event) => {
                        told.push(Arc::clone(&event));
                        if let Some(found) = wanted(&event) {
                            return found;
                        }
                    }
                    Err(error) => panic!("waiting for {what}: {error}"),
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("waiting for {what} took too long; what was told: {:#?}", self.told))
    }

    pub(crate) async fn open(&mut self, document: DocumentId) {
        self.host.command(Command::OpenDocument { space: self.space, document });
        self.event("the document to open", |event| {
            matches!(event, Event::DocumentOpened { document: opened, .. } if *opened == document).then_some(())
        })
        .await;
    }

    pub(crate) fn put(&mut self, document: DocumentId, key: &str, value: Value) {
        self.edits += 1;
        let op = Op::Put { path: vec![Prop::Key(key.to_owned())], value };
        let edit = Edit { ops: vec![op], message: None };
        self.host.command(Command::EditDocument { document, number: self.edits, edit });
    }

    pub(crate) async fn value(&self, document: DocumentId, key: &str) -> Option<Value> {
        let path = vec![Prop::Key(key.to_owned())];
        self.host.call(move |engine, _| engine.document(&document).and_then(|document| document.value(&path))).await.unwrap()
    }

    /// Waits until the document reads like this.
    pub(crate) async fn sees(&mut self, document: DocumentId, key: &str, value: &Value) {
        while self.value(document, key).await.as_ref() != Some(value) {
            self.event(&format!("{key} to be {value:?}"), |event| {
                let touched = matches!(event, Event::DocumentChanged { document: changed, .. } | Event::DocumentOpened { document: changed, .. } if *changed == document);
                touched.then_some(())
            })
            .await;
        }
    }

    /// Waits until a number in the document is at least this.
    pub(crate) async fn number_at_least(&mut self, document: DocumentId, key: &str, least: i64) {
        loop {
            let number = self.saved_and_number(document, key).await.1;
            if number >= least {
                return;
            }
            self.event(&format!("{key} to be {least}, where it is {number}"), |event| {
                matches!(event, Event::DocumentChanged { .. } | Event::DocumentOpened { .. }).then_some(())
            })
            .await;
        }
    }

    /// How saved the document is, and a number in it, at one moment.
    pub(crate) async fn saved_and_number(&self, document: DocumentId, key: &str) -> (Saved, i64) {
        let path = vec![Prop::Key(key.to_owned())];
        let call = move |engine: &mut Engine, _| {
            let number = match engine.document(&document).and_then(|document| document.value(&path)) {
                Some(Value::Int(number)) => number,
                _ => 0,
            };
            (engine.saved(&document).expect("the document is open"), number)
        };
        self.host.call(call).await.unwrap()
    }

    /// Waits until everything in the document is as saved as `wanted` says. Events only say that it is time to look: those
    /// not yet taken speak of earlier states.
    pub(crate) async fn saved(&mut self, document: DocumentId, wanted: impl Fn(&Saved) -> bool) {
        while !wanted(&self.saved_and_number(document, "").await.0) {
            self.event("the document to be saved", |event| match event {
                Event::Saved(saved) if saved.document == document => Some(()),
                _ => None,
            })
            .await;
        }
    }
}

/// Asks over a bare connection, as a browser or a scrape would; answers the head and the body.
pub(crate) async fn get(relay: &Relay, path: &str) -> (String, String) {
    get_at(&relay.address().to_string(), path).await
}

/// The same of a relay at an address.
pub(crate) async fn get_at(address: &str, path: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
