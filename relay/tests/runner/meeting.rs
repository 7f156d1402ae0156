//! Replicas meet at a relay, over real WebSockets.

use crate::replica::{Replica, endpoint, get, relay};
use driftline_core::base::id::DocumentId;
use driftline_core::doc::value::Value;
use driftline_core::engine::config::{EngineConfig, Role};
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::Command;
use driftline_relay::dial::{Dialler, Dialling};
use driftline_relay::host::{Host, Stopped};
use driftline_relay::store::MemoryStore;
use driftline_relay::transport::Transport;
use tempfile::TempDir;

const NOTE: DocumentId = DocumentId([9; 16]);

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_writes_another_reads_and_the_relay_keeps_it() {
    let data = TempDir::new().unwrap();
    let relay_one = relay(data.path()).await;
    let mut writer = Replica::dialling(1, &endpoint(&relay_one)).await;
    let mut reader = Replica::dialling(2, &endpoint(&relay_one)).await;
    reader.open(NOTE).await;
    writer.open(NOTE).await;
    writer.put(NOTE, "title", text("Tides"));
    reader.sees(NOTE, "title", &text("Tides")).await;
    writer.saved(NOTE, |saved| saved.device && saved.relays == 1).await;
    let metrics = get(&relay_one, "/metrics").await.1;
    assert!(metrics.contains("driftline_documents 1") && metrics.contains("driftline_connections 2"), "{metrics}");

    // The relay restarts elsewhere, and someone comes who never met the others.
    writer.host.shutdown().await;
    reader.host.shutdown().await;
    assert_eq!(relay_one.shutdown().await, Stopped::Shutdown);
    let relay_two = relay(data.path()).await;
    let mut late = Replica::dialling(3, &endpoint(&relay_two)).await;
    late.open(NOTE).await;
    late.sees(NOTE, "title", &text("Tides")).await;
    relay_two.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_offline_by_two_is_merged_when_they_return() {
    let data = TempDir::new().unwrap();
    let relay = relay(data.path()).await;
    let mut one = Replica::dialling(1, &endpoint(&relay)).await;
    let mut two = Replica::dialling(2, &endpoint(&relay)).await;
    one.open(NOTE).await;
    two.open(NOTE).await;
    one.put(NOTE, "title", text("Tides"));
    two.sees(NOTE, "title", &text("Tides")).await;
    for replica in [&one, &two] {
        replica.host.command(Command::SetOnline { online: false });
    }
    one.put(NOTE, "one", Value::Int(1));
    two.put(NOTE, "two", Value::Int(2));
    one.saved(NOTE, |saved| saved.device && saved.relays == 0).await;
    for replica in [&one, &two] {
        replica.host.command(Command::SetOnline { online: true });
    }
    one.sees(NOTE, "two", &Value::Int(2)).await;
    two.sees(NOTE, "one", &Value::Int(1)).await;
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_goes_away_says_goodbye_and_is_dialled_again_when_it_is_back() {
    let data = TempDir::new().unwrap();
    let first = relay(data.path()).await;
    let mut replica = Replica::dialling(1, &endpoint(&first)).await;
    replica.event("the relay", |event| matches!(event, Event::PeerConnected { relay: true, .. }).then_some(())).await;
    let address = first.address();
    first.shutdown().await;
    let (reason, retry) = replica
        .event("the goodbye", |event| match event {
            Event::PeerDisconnected { reason, retry_ms, .. } => Some((reason.clone(), *retry_ms)),
            _ => None,
        })
        .await;
    assert!(retry.is_some(), "it is dialled again");
    assert!(!reason.is_empty());
    let again = driftline_relay::server::Relay::start(driftline_relay::server::RelayOptions {
        listen: address,
        ..driftline_relay::server::RelayOptions::new(data.path())
    })
    .await
    .unwrap();
    replica.event("the relay again", |event| matches!(event, Event::PeerConnected { relay: true, .. }).then_some(())).await;
    again.shutdown().await;
}

/// Dials one replica from another in the same process.
struct Beside(Host);

impl Dialler for Beside {
    fn dial(&self, _: &str) -> Dialling {
        let (here, there) = Transport::pair(8);
        self.0.connect(there);
        Box::pin(std::future::ready(Ok(here)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_in_one_process_sync_without_a_socket() {
    let mut one = Replica::new(1).await;
    let two = Host::start_with_dialler(EngineConfig::new(Role::Client, [2; 32]), MemoryStore::new(), Beside(one.host.clone()));
    let mut two = Replica::of(two).await;
    two.host.command(Command::AddEndpoint { endpoint: "beside".to_owned() });
    one.open(NOTE).await;
    two.open(NOTE).await;
    one.put(NOTE, "title", text("Tides"));
    two.sees(NOTE, "title", &text("Tides")).await;
    one.saved(NOTE, |saved| saved.replicas == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_panics_is_its_callers_affair() {
    let mut replica = Replica::new(1).await;
    let host = replica.host.clone();
    let panicked = tokio::spawn(async move { host.call(|_, _| panic!("my own fault")).await }).await;
    assert!(panicked.unwrap_err().is_panic());
    replica.open(NOTE).await;
    replica.put(NOTE, "title", text("Tides"));
    replica.sees(NOTE, "title", &text("Tides")).await;
    assert_eq!(replica.host.shutdown().await, Stopped::Shutdown);
    assert_eq!(replica.host.call(|_, _| ()).await, Err(Stopped::Shutdown));
}
