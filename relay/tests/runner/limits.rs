//! Peers that ask too much, and peers that talk nonsense: each is told, and harms nobody else.

use crate::replica::{PATIENCE, Replica, endpoint, get, relay, relay_with};
use driftline_core::base::id::DocumentId;
use driftline_core::base::limits::Limits;
use driftline_core::doc::value::Value;
use driftline_relay::store::SqliteOptions;
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::Duration;
use tempfile::TempDir;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_too_many_is_told_that_the_relay_is_full() {
    let data = TempDir::new().unwrap();
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let relay = relay_with(data.path(), limits, SqliteOptions::default()).await;
    let (first, _) = connect_async(endpoint(&relay)).await.unwrap();
    let (_second, _) = connect_async(endpoint(&relay)).await.unwrap();
    match connect_async(endpoint(&relay)).await {
        Err(Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            let why = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
            assert!(why.contains("full") && why.contains("--connections-max"), "{why}");
        }
        other => panic!("a third was answered with {other:?}"),
    }
    assert!(get(&relay, "/metrics").await.1.contains("driftline_refused_connections_total{reason=\"full\"} 1"));
    // Whoever leaves makes room.
    drop(first);
    let room = async {
        while connect_async(endpoint(&relay)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, room).await.unwrap();
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_over_the_limit_closes_its_connection_and_says_why() {
    let data = TempDir::new().unwrap();
    let limits = Limits { frame_bytes_max: 100_000, entry_bytes_max: 50_000, ..Limits::default() };
    let relay = relay_with(data.path(), limits, SqliteOptions::default()).await;
    let (mut socket, _) = connect_async(endpoint(&relay)).await.unwrap();
    socket.send(Message::Binary(vec![7; 100_001].into())).await.unwrap();
    let closed = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame,
                Some(Ok(_)) => {}
                other => panic!("closed with {other:?}"),
            }
        }
    };
    let frame = tokio::time::timeout(PATIENCE, closed).await.unwrap();
    assert_eq!(u16::from(frame.code), 1009);
    assert!(frame.reason.contains("100000 bytes"), "{}", frame.reason);
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_talk_nonsense_are_let_go_and_nobody_else_notices() {
    let data = TempDir::new().unwrap();
    let relay = relay(data.path()).await;
    let document = DocumentId([9; 16]);
    let mut writer = Replica::dialling(1, &endpoint(&relay)).await;
    let mut reader = Replica::dialling(2, &endpoint(&relay)).await;
    writer.open(document).await;
    reader.open(document).await;
    let nonsense: [Message; 6] = [
        Message::Binary(vec![0xff; 1000].into()),
        Message::Binary(Vec::new().into()),
        Message::Binary((0..=255).collect::<Vec<u8>>().into()),
        Message::Binary(b"GET / HTTP/1.1\r\n\r\n".to_vec().into()),
        Message::Text("{}".into()),
        Message::Binary(vec![0x80; 64].into()),
    ];
    for (number, message) in (1i64..).zip(nonsense) {
        let (mut socket, _) = connect_async(endpoint(&relay)).await.unwrap();
        socket.send(message.clone()).await.unwrap();
        let gone = async { while let Some(Ok(_)) = socket.next().await {} };
        tokio::time::timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("{message:?} was put up with"));
        writer.put(document, "n", Value::Int(number));
        reader.sees(document, "n", &Value::Int(number)).await;
    }
    assert!(get(&relay, "/readyz").await.0.contains("200"));
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_disk_is_full_says_so_keeps_what_it_has_and_serves_it() {
    let data = TempDir::new().unwrap();
    let relay = relay_with(data.path(), Limits::default(), SqliteOptions { bytes_max: Some(200 * 1024) }).await;
    let mut writer = Replica::dialling(1, &endpoint(&relay)).await;
    let document = DocumentId([9; 16]);
    writer.open(document).await;
    writer.put(document, "title", Value::Text("Tides".to_owned()));
    writer.saved(document, |saved| saved.relays == 1).await;
    let heavy = DocumentId([10; 16]);
    writer.open(heavy).await;
    writer.put(
        heavy,
        "blob",
        Value::Bytes((0..1_000_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(600_000).collect()),
    );
    let refused = async {
        while !get(&relay, "/metrics")
            .await
            .1
            .lines()
            .any(|line| line.starts_with("driftline_store_errors_total") && !line.ends_with(" 0"))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the store refuses what it has no room for");
    let saved = writer.host.call(move |engine, _| engine.saved(&heavy)).await.unwrap().unwrap();
    assert_eq!(saved.relays, 0, "nothing is called saved that is not");
    let mut reader = Replica::dialling(2, &endpoint(&relay)).await;
    reader.open(document).await;
    reader.sees(document, "title", &Value::Text("Tides".to_owned())).await;
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ask_for_nothing_are_closed_and_keep_nobody_out() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let data = TempDir::new().unwrap();
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let relay = relay_with(data.path(), limits, SqliteOptions::default()).await;
    // More than the relay takes at once, most of them waiting in the system's queue.
    let mut idle = Vec::new();
    for _ in 0..300 {
        let mut socket = tokio::net::TcpStream::connect(relay.address()).await.unwrap();
        socket.write_all(b"GET / HT").await.unwrap();
        idle.push(socket);
    }
    assert!(get(&relay, "/readyz").await.0.contains("200"), "whoever asks is answered in the end");
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, idle[0].read_to_end(&mut rest)).await.expect("it is closed").unwrap();
    relay.shutdown().await;
}
