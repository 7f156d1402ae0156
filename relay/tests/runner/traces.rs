//! What an OpenTelemetry collector is told of a change's way through the relay.

use crate::process::{Process, driftline};
use crate::replica::{PATIENCE, Replica};
use driftline_core::base::id::DocumentId;
use driftline_core::doc::value::Value;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const NOTE: DocumentId = DocumentId([9; 16]);

/// A collector: takes every request, and hands on its path and body.
async fn collector() -> (String, UnboundedReceiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (requests, received) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, requests.clone()));
        }
    });
    (address, received)
}

async fn answer(mut socket: TcpStream, requests: UnboundedSender<(String, Vec<u8>)>) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        assert!(socket.read_buf(&mut bytes).await.unwrap() > 0, "a request ends in the middle");
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
        let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        break (head, length.expect("a length").parse::<usize>().unwrap());
    };
    while bytes.len() < length {
        assert!(socket.read_buf(&mut bytes).await.unwrap() > 0, "a body ends in the middle");
    }
    assert!(head.contains("application/x-protobuf"), "{head}");
    requests.send((head.lines().next().unwrap().to_owned(), bytes)).unwrap();
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
}

/// A Protobuf message's fields in order: their numbers, and their bytes (numbers as eight bytes, little endian).
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn number(message: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = message.split_first().unwrap();
            *message = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, number(&mut message).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => number(&mut message) as usize,
            5 => 4,
            kind => panic!("a field of kind {kind}"),
        };
        let (bytes, rest) = message.split_at(length);
        found.push((key >> 3, bytes.to_vec()));
        message = rest;
    }
    found
}

fn inside(messages: Vec<Vec<u8>>, field: u64) -> Vec<Vec<u8>> {
    let all = messages.iter().flat_map(|message| fields(message));
    all.filter(|(number, _)| *number == field).map(|(_, bytes)| bytes).collect()
}

#[derive(Debug)]
struct Span {
    trace: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    start: u64,
    end: u64,
}

/// The spans in an `ExportTraceServiceRequest`, by their ids.
fn spans(request: Vec<u8>) -> BTreeMap<Vec<u8>, Span> {
    // resource_spans, scope_spans, spans.
    let spans = inside(inside(inside(vec![request], 1), 2), 2);
    let span = |bytes: Vec<u8>| {
        let fields: BTreeMap<u64, Vec<u8>> = fields(&bytes).into_iter().collect();
        let bytes = |field: u64| fields.get(&field).cloned().unwrap_or_default();
        let time = |field: u64| u64::from_le_bytes(bytes(field).try_into().unwrap());
        let name = String::from_utf8(bytes(5)).unwrap();
        (bytes(2), Span { trace: bytes(1), parent: bytes(4), name, start: time(7), end: time(8) })
    };
    spans.into_iter().map(span).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_followed_from_its_frame_to_its_commit_and_to_its_pushes() {
    let data = TempDir::new().unwrap();
    let (endpoint, mut requests) = collector().await;
    let mut command = driftline();
    command.args(["relay", "--listen", "127.0.0.1:0", "--log", "warn", "--trace-ratio", "1", "--data"]).arg(data.path());
    let mut process = Process::spawn(command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint));
    let mut writer = Replica::dialling(1, process.told("sync")).await;
    let mut reader = Replica::dialling(2, process.told("sync")).await;
    writer.open(NOTE).await;
    reader.open(NOTE).await;
    // What is written while they are still meeting may be sent twice.
    writer.put(NOTE, "n", Value::Int(0));
    reader.sees(NOTE, "n", &Value::Int(0)).await;
    writer.saved(NOTE, |saved| saved.relays == 1).await;
    reader.saved(NOTE, |saved| saved.relays == 1).await;
    let met_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    for number in 1..=5 {
        writer.put(NOTE, "n", Value::Int(number));
        reader.sees(NOTE, "n", &Value::Int(number)).await;
    }
    writer.saved(NOTE, |saved| saved.relays == 1).await;
    process.signal("TERM");
    assert_eq!(process.ended(PATIENCE).code(), Some(0));

    let mut found = BTreeMap::new();
    while let Ok((line, body)) = requests.try_recv() {
        assert!(line.starts_with("POST /v1/traces "), "{line}");
        assert!(body.windows(15).any(|window| window == b"driftline-relay"), "the collector is told who speaks");
        found.extend(spans(body));
    }
    let frames: Vec<_> = found.iter().filter(|(_, span)| span.name == "frame" && span.start > met_ns).collect();
    assert_eq!(frames.len(), 5, "{found:#?}");
    for (id, frame) in frames {
        assert!(frame.parent.is_empty(), "a frame is where it begins");
        for name in ["engine", "commit", "push"] {
            let children = found.values().filter(|span| span.parent == *id && span.name == name).collect::<Vec<_>>();
            assert_eq!(children.len(), 1, "one {name}: {found:#?}");
            let child = children[0];
            assert_eq!(child.trace, frame.trace);
            assert!(frame.start <= child.start && child.start <= child.end && child.end <= frame.end, "{child:?} of {frame:?}");
        }
    }
    writer.host.shutdown().await;
    reader.host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_is_told_of_once_and_harms_nothing() {
    let data = TempDir::new().unwrap();
    // An address that nobody listens at any more.
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut command = driftline();
    command.args(["relay", "--listen", "127.0.0.1:0", "--log", "warn", "--trace-ratio", "1", "--data"]).arg(data.path());
    command.args(["--otlp-endpoint", &format!("http://{nowhere}")]);
    let mut process = Process::spawn(command.stderr(Stdio::piped()));
    let mut writer = Replica::dialling(1, process.told("sync")).await;
    writer.open(NOTE).await;
    writer.put(NOTE, "n", Value::Int(1));
    writer.saved(NOTE, |saved| saved.relays == 1).await;
    process.signal("TERM");
    assert_eq!(process.ended(PATIENCE).code(), Some(0));
    let mut logs = String::new();
    process.child.stderr.take().unwrap().read_to_string(&mut logs).unwrap();
    assert_eq!(logs.matches("are dropped").count(), 1, "{logs}");
    writer.host.shutdown().await;

    let (code, said) =
        crate::process::run(driftline().args(["relay", "--otlp-endpoint", "localhost:4318", "--data"]).arg(data.path()));
    assert!(code == 2 && said.contains("http://localhost:4318"), "{code}: {said}");
}
