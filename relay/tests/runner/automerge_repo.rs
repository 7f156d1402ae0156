//! automerge-repo's protocol as bytes on a socket: what a relay answers to clients that do as they should, and to those that do not.
//! What their own clients make of it is in `tests/automerge-repo`.

use crate::metrics::Scrape;
use crate::replica::{PATIENCE, Replica, get, relay_with};
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, SpaceId};
use driftline_core::base::limits::Limits;
use driftline_core::doc::automerge_sync::{SyncPeer, SyncedDocument};
use driftline_core::doc::document::Document;
use driftline_core::doc::value::{TextUnit, Value};
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::Command;
use driftline_relay::server::{Relay, RelayOptions};
use driftline_relay::store::SqliteOptions;
use futures_util::{SinkExt as _, StreamExt as _};
use minicbor::{Decoder, Encoder, data::Type};
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const NOTE: DocumentId = DocumentId([7; 16]);

/// A field of a message.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    Text(String),
    Bytes(Vec<u8>),
    Other,
}

type Fields = BTreeMap<String, Field>;

/// A socket to a relay on which a test plays an automerge-repo client, with its copy of one document.
struct Guest {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    copy: SyncedDocument,
    peer: SyncPeer,
    author: Document,
}

impl Guest {
    async fn open(relay: &Relay, path: &str) -> Self {
        let (socket, _) = connect_async(format!("ws://{}{path}", relay.address())).await.unwrap();
        let actor = ActorId::new(&relay.address().port().to_be_bytes()).unwrap();
        let author = Document::new(NOTE, actor, TextUnit::CodePoint);
        Self { socket, copy: SyncedDocument::new(NOTE, actor), peer: SyncPeer::new(), author }
    }

    /// Opens a socket and joins.
    async fn join(relay: &Relay, name: &str) -> Self {
        let mut guest = Self::open(relay, "/").await;
        guest.say(&[("type", text("join")), ("senderId", text(name))]).await;
        let answer = guest.hear().await.expect("an answer to join");
        assert_eq!(answer["type"], text("peer"), "{answer:?}");
        assert_eq!(answer["targetId"], text(name));
        assert_eq!(answer["selectedProtocolVersion"], text("1"));
        guest
    }

    async fn say(&mut self, fields: &[(&str, Field)]) {
        let mut encoder = Encoder::new(Vec::new());
        encoder.map(fields.len() as u64).unwrap();
        for (name, field) in fields {
            encoder.str(name).unwrap();
            match field {
                Field::Text(text) => encoder.str(text).unwrap(),
                Field::Bytes(bytes) => encoder.bytes(bytes).unwrap(),
                Field::Other => encoder.undefined().unwrap(),
            };
        }
        self.say_bytes(encoder.into_writer()).await;
    }

    async fn say_bytes(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::Binary(bytes.into())).await.unwrap();
    }

    async fn say_sync(&mut self, kind: &str, document: &str, data: Vec<u8>) {
        let fields =
            [("type", text(kind)), ("senderId", text("me")), ("documentId", text(document)), ("data", Field::Bytes(data))];
        self.say(&fields).await;
    }

    /// The next message; nothing when the relay has closed the connection.
    async fn hear(&mut self) -> Option<Fields> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("the relay answers in time")? {
                Ok(Message::Binary(bytes)) => return Some(fields(&bytes)),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The relay's complaint, after which it closes.
    async fn hear_error_and_end(&mut self) -> String {
        let answer = self.hear().await.expect("an error comes first");
        assert_eq!(answer["type"], text("error"), "{answer:?}");
        assert_eq!(self.hear().await, None, "and then the end");
        let Field::Text(message) = &answer["message"] else { panic!("{answer:?}") };
        message.clone()
    }

    /// What the next ephemeral message brings.
    async fn hear_ephemeral(&mut self) -> Vec<u8> {
        loop {
            let heard = self.hear().await.expect("the relay goes on");
            if let (true, Field::Bytes(data)) = (heard["type"] == text("ephemeral"), &heard["data"]) {
                return data.clone();
            }
        }
    }

    /// Writes in the note.
    fn write(&mut self, word: &str) -> ChangeHash {
        let (entry, ()) = self.author.change(None, 0, |tx| tx.put(word, 1)).unwrap();
        let entry = entry.unwrap();
        self.copy.apply(vec![Arc::new(entry.clone())]).unwrap();
        entry.hash
    }

    /// Syncs the note until both have said that they have these.
    async fn sync_until(&mut self, wanted: impl Fn(&SyncedDocument, &SyncPeer) -> bool) {
        while !wanted(&self.copy, &self.peer) {
            if let Some(data) = self.copy.message(&mut self.peer) {
                self.say_sync("sync", &NOTE.to_string(), data).await;
            }
            let heard = self.hear().await.expect("the relay goes on");
            if let Field::Bytes(data) = &heard["data"] {
                let entries = self.copy.receive(&mut self.peer, data).unwrap();
                self.copy.apply(entries).unwrap();
            }
        }
        if let Some(data) = self.copy.message(&mut self.peer) {
            self.say_sync("sync", &NOTE.to_string(), data).await;
        }
    }
}

/// Two clients that do as they should, while others do not.
struct Others {
    anna: Guest,
    ben: Guest,
    words: usize,
}

impl Others {
    /// One writes, the other reads it.
    async fn go_on(&mut self) {
        self.words += 1;
        let hash = self.anna.write(&format!("word {}", self.words));
        self.anna.sync_until(|_, peer| peer.heads() == Some(vec![hash])).await;
        self.ben.sync_until(|copy, _| copy.heads() == [hash]).await;
    }
}

fn text(text: &str) -> Field {
    Field::Text(text.to_owned())
}

fn fields(bytes: &[u8]) -> Fields {
    let mut decoder = Decoder::new(bytes);
    let count = decoder.map().unwrap().expect("a map of known length");
    let read = |_| {
        let name = decoder.str().unwrap().to_owned();
        let field = match decoder.datatype().unwrap() {
            Type::String => text(decoder.str().unwrap()),
            Type::Bytes => Field::Bytes(decoder.bytes().unwrap().to_vec()),
            _ => {
                decoder.skip().unwrap();
                Field::Other
            }
        };
        (name, field)
    };
    (0..count).map(read).collect()
}

async fn relay(data: &TempDir) -> Relay {
    relay_with(data.path(), Limits { frame_bytes_max: 1 << 20, ..Limits::default() }, SqliteOptions::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_says_who_it_is_first_and_in_a_version_that_is_spoken() {
    let data = TempDir::new().unwrap();
    let relay = relay(&data).await;
    Guest::join(&relay, "anna").await;

    let mut early = Guest::open(&relay, "/automerge").await;
    early.say_sync("sync", &NOTE.to_string(), vec![0x42, 0, 0, 0, 0]).await;
    assert!(early.hear_error_and_end().await.contains("join"));

    let mut future = Guest::open(&relay, "/automerge").await;
    let mut bytes = Encoder::new(Vec::new());
    bytes.map(3).unwrap().str("type").unwrap().str("join").unwrap().str("senderId").unwrap().str("ben").unwrap();
    bytes.str("supportedProtocolVersions").unwrap().begin_array().unwrap().str("2").unwrap().end().unwrap();
    future.say_bytes(bytes.into_writer()).await;
    assert!(future.hear_error_and_end().await.contains("version"));

    // Whoever joins under a name takes the place of who had it.
    let mut first = Guest::join(&relay, "cleo").await;
    let _second = Guest::join(&relay, "cleo").await;
    assert_eq!(first.hear().await, None);
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_is_a_page_for_browsers_and_a_socket_for_clients_unless_that_is_switched_off() {
    let data = TempDir::new().unwrap();
    let relay = relay(&data).await;
    assert!(get(&relay, "/").await.0.starts_with("HTTP/1.1 200"));
    assert!(get(&relay, "/automerge").await.0.starts_with("HTTP/1.1 426"));
    relay.shutdown().await;

    let data = TempDir::new().unwrap();
    let relay = Relay::start(RelayOptions { automerge: None, ..RelayOptions::new(data.path()) }).await.unwrap();
    relay.host().ready().await.unwrap();
    for path in ["/", "/automerge"] {
        assert!(connect_async(format!("ws://{}{path}", relay.address())).await.is_err(), "{path}");
    }
    assert!(get(&relay, "/").await.0.starts_with("HTTP/1.1 200"));
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_breaks_the_rules_is_told_and_nobody_else_is_troubled() {
    let data = TempDir::new().unwrap();
    let relay = relay(&data).await;
    let (mut anna, mut ben) = (Guest::join(&relay, "anna").await, Guest::join(&relay, "ben").await);
    let first = anna.write("first");
    anna.sync_until(|_, peer| peer.heads() == Some(vec![first])).await;
    ben.sync_until(|copy, _| copy.heads() == [first]).await;

    let mut others = Others { anna, ben, words: 0 };
    let note = NOTE.to_string();
    let absurd = [vec![0x42, 0, 0, 1, 0, 13, 8, 10], vec![0xff, 0xff, 0xff, 0xff, 0x0f], vec![0; 10], vec![0]].concat();
    let cases: [(&str, Vec<u8>); 6] = [
        (&note, absurd),
        (&note, vec![0x42, 0xff, 0xff, 0x03]),
        (&note, b"noise".to_vec()),
        ("not a document", vec![0x42, 0, 0, 0, 0]),
        // The last letter is mistyped.
        (&format!("{}x", &note[..note.len() - 1]), vec![0x42, 0, 0, 0, 0]),
        (&note, Vec::new()),
    ];
    for (document, data) in cases {
        let mut guest = Guest::join(&relay, "guest").await;
        guest.say_sync("sync", document, data.clone()).await;
        guest.hear_error_and_end().await;
        others.go_on().await;
    }
    for bytes in [vec![0xff; 40], vec![0x9f; 200_000], b"{}".to_vec(), vec![0x5b; 9], vec![0xa0]] {
        let mut guest = Guest::join(&relay, "guest").await;
        guest.say_bytes(bytes).await;
        guest.hear_error_and_end().await;
        others.go_on().await;
    }
    // A message above the limit is refused by what it says of its length, before any of it is sent.
    let mut guest = Guest::join(&relay, "guest").await;
    let masked_binary = [&[0x82, 0x80 | 127][..], &((1u64 << 20) + 1).to_be_bytes(), &[0; 4]].concat();
    guest.socket.get_mut().write_all(&masked_binary).await.unwrap();
    assert!(guest.hear_error_and_end().await.contains("1048576"));
    others.go_on().await;
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_what_another_is_about_to_send_is_not_told_that_there_is_none() {
    let data = TempDir::new().unwrap();
    let relay = relay(&data).await;
    let (mut anna, mut ben) = (Guest::join(&relay, "anna").await, Guest::join(&relay, "ben").await);
    let note = NOTE.to_string();

    // Ben has the link before Anna's client has said anything of the document; then it says that it has it, and sends it when asked.
    let asking = ben.copy.message(&mut ben.peer).unwrap();
    ben.say_sync("request", &note, asking).await;
    let hash = anna.write("here");
    anna.sync_until(|_, peer| peer.heads() == Some(vec![hash])).await;
    let heard = ben.hear().await.unwrap();
    assert_eq!(heard["type"], text("sync"), "{heard:?}");

    // What is promised and never sent is not waited for longer than who promised it is there.
    let other = DocumentId([8; 16]);
    let promise = SyncedDocument::new(other, ActorId::new(&[1]).unwrap()).message(&mut SyncPeer::new()).unwrap();
    let heads = [&promise[..1], &[1], &[5; 32], &promise[2..]].concat();
    anna.say_sync("sync", &other.to_string(), heads).await;
    assert_eq!(anna.hear().await.unwrap()["type"], text("sync"), "it is asked for");
    ben.say_sync("request", &other.to_string(), promise).await;
    drop(anna);
    loop {
        let heard = ben.hear().await.unwrap();
        if heard["documentId"] == text(&other.to_string()) {
            assert_eq!(heard["type"], text("doc-unavailable"), "{heard:?}");
            break;
        }
    }
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_these_clients_do_is_counted() {
    let data = TempDir::new().unwrap();
    let relay = relay(&data).await;
    let (mut anna, mut ben) = (Guest::join(&relay, "anna").await, Guest::join(&relay, "ben").await);
    let first = anna.write("first");
    anna.sync_until(|_, peer| peer.heads() == Some(vec![first])).await;
    ben.sync_until(|copy, _| copy.heads() == [first]).await;
    let is_loaded = |scrape: &Scrape| scrape.value("driftline_automerge_documents_loaded") == 1.0;
    let scrape = Scrape::until(&relay, "the document to be weighed", is_loaded).await;
    assert_eq!((scrape.value("driftline_automerge_clients"), scrape.value("driftline_automerge_documents")), (2.0, 1.0));
    let bytes = scrape.value("driftline_automerge_documents_bytes");
    assert!((1.0..scrape.value("driftline_automerge_documents_bytes_max")).contains(&bytes), "{bytes}");
    for direction in ["in", "out"] {
        let messages = scrape.value(&format!("driftline_automerge_messages_{direction}_total"));
        assert!(messages >= 4.0, "each joins and syncs, and is answered: {messages} {direction}");
        assert!(scrape.value(&format!("driftline_automerge_bytes_{direction}_total")) > 20.0 * messages);
    }
    assert_eq!(scrape.value("driftline_connections"), 0.0, "they are none of Driftline's own");

    let note = NOTE.to_string();
    let mut guest = Guest::open(&relay, "/").await;
    guest.say_sync("sync", &note, vec![0x42, 0, 0, 0, 0]).await;
    guest.hear_error_and_end().await;
    for _ in 0..2 {
        let mut guest = Guest::join(&relay, "guest").await;
        guest.say_sync("sync", &note, b"noise".to_vec()).await;
        guest.hear_error_and_end().await;
    }
    for _ in 0..3 {
        let mut guest = Guest::join(&relay, "guest").await;
        guest.say_bytes(vec![0xff; 40]).await;
        guest.hear_error_and_end().await;
    }
    drop(ben);
    let is_gone = |scrape: &Scrape| scrape.value("driftline_automerge_clients") == 1.0;
    let scrape = Scrape::until(&relay, "all but anna to be gone", is_gone).await;
    for (reason, times) in [("not_joined", 1.0), ("bad_sync", 2.0), ("malformed", 3.0), ("too_large", 0.0), ("bug", 0.0)] {
        assert_eq!(scrape.value(&format!("driftline_automerge_refused_total{{reason=\"{reason}\"}}")), times, "{reason}");
    }
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_other_spaces_are_not_seen() {
    let data = TempDir::new().unwrap();
    let relay = relay(&data).await;
    let mut native = Replica::dialling(1, &format!("ws://{}/sync", relay.address())).await;
    let secret = DocumentId([9; 16]);
    native.open(secret).await;
    native.put(secret, "secret", Value::Int(1));
    native.saved(secret, |saved| saved.relays > 0).await;

    let (anna, ben) = (Guest::join(&relay, "anna").await, Guest::join(&relay, "ben").await);
    let mut others = Others { anna, ben, words: 0 };
    others.go_on().await;
    let mut guest = Guest::join(&relay, "guest").await;
    for kind in ["request", "sync"] {
        guest.say_sync(kind, &secret.to_string(), vec![0x42, 0, 0, 1, 0, 0, 0]).await;
        assert_eq!(guest.hear().await.unwrap()["type"], text("error"));
        assert_eq!(guest.hear().await.unwrap()["type"], text("doc-unavailable"));
        others.go_on().await;
    }
    // And it goes on with its own.
    let last = others.anna.copy.heads();
    guest.sync_until(|copy, _| copy.heads() == last).await;
    native.put(secret, "secret", Value::Int(2));
    native.saved(secret, |saved| saved.relays > 0).await;
    others.go_on().await;
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_by_one_protocol_goes_out_by_the_other() {
    let data = TempDir::new().unwrap();
    let relay = relay(&data).await;
    let space = SpaceId::from_name("automerge");
    let mut native = Replica::dialling(1, &format!("ws://{}/sync", relay.address())).await;
    native.space = space;
    native.host.command(Command::OpenSpace { space });
    let mut guest = Guest::join(&relay, "guest").await;

    // Nobody has it yet: it comes to life when the other protocol brings it.
    let asking = guest.copy.message(&mut guest.peer).unwrap();
    guest.say_sync("request", &NOTE.to_string(), asking).await;
    assert_eq!(guest.hear().await.unwrap()["type"], text("doc-unavailable"));
    native.open(NOTE).await;
    native.put(NOTE, "native", Value::Int(1));
    guest.sync_until(|copy, _| copy.document().value("native").is_some()).await;

    let hash = guest.write("guest");
    guest.sync_until(|_, peer| peer.heads().is_some_and(|heads| heads.contains(&hash))).await;
    native.sees(NOTE, "guest", &Value::Int(1)).await;
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_crosses_over_both_ways() {
    let data = TempDir::new().unwrap();
    let relay = relay(&data).await;
    let space = SpaceId::from_name("automerge");
    let mut native = Replica::dialling(1, &format!("ws://{}/sync", relay.address())).await;
    native.host.command(Command::OpenSpace { space });
    let mut guest = Guest::join(&relay, "anna").await;
    let hash = guest.write("here");
    guest.sync_until(|_, peer| peer.heads() == Some(vec![hash])).await;

    let state = format!(r#"{{"document":"{NOTE}","name":"Ben"}}"#);
    native.host.command(Command::SetPresence { space, instance: 1, state: Some(state) });
    let heard = guest.hear_ephemeral().await;
    assert!(heard.windows(3).any(|bytes| bytes == b"Ben") && heard.windows(8).any(|bytes| bytes == b"snapshot"));
    native.host.command(Command::SetPresence { space, instance: 1, state: None });
    let heard = guest.hear_ephemeral().await;
    assert!(heard.windows(7).any(|bytes| bytes == b"goodbye"));

    let mut said = Encoder::new(Vec::new());
    said.map(1).unwrap().str("__presence").unwrap().map(2).unwrap().str("type").unwrap().str("snapshot").unwrap();
    said.str("state").unwrap().map(1).unwrap().str("name").unwrap().str("Anna").unwrap();
    let mut message = Encoder::new(Vec::new());
    message.map(6).unwrap().str("type").unwrap().str("ephemeral").unwrap().str("senderId").unwrap().str("anna").unwrap();
    message.str("documentId").unwrap().str(&NOTE.to_string()).unwrap().str("sessionId").unwrap().str("s").unwrap();
    message.str("count").unwrap().f64(1.0).unwrap().str("data").unwrap().bytes(&said.into_writer()).unwrap();
    guest.say_bytes(message.into_writer()).await;
    let own = native.host.call(|engine, _| engine.peer_id()).await.unwrap();
    let shown = |event: &Event| match event {
        Event::Presence { peer, state, .. } if Some(*peer) != own => Some(state.clone()),
        _ => None,
    };
    let expected = format!(r#"{{"document":"{NOTE}","name":"Anna"}}"#);
    native.event("Anna to be shown", |event| (shown(event)? == Some(expected.clone())).then_some(())).await;
    drop(guest);
    native.event("Anna to be gone", |event| shown(event)?.is_none().then_some(())).await;
    relay.shutdown().await;
}
