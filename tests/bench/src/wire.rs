//! A client that speaks the protocol and keeps nothing: it costs so little that what is measured is the server.

use crate::server::Server;
use anyhow::{Context as _, Result, bail};
use driftline_core::base::codec::Reader;
use driftline_core::base::id::{ActorId, DocumentId, SpaceId, StoreEpoch};
use driftline_core::doc::document::Document;
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::value::{Prop, TextUnit, Value};
use driftline_core::log::entry::Entry;
use driftline_core::sync::hello::{Handshake, Identity};
use driftline_core::sync::message::{Message, brings_entries, encode_entries};
use driftline_core::sync::reconcile::{Range, RangeBody};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as WebSocketMessage;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// A WebSocket that this side dialled.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The largest frame taken.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes read at once; the library's own 128 KiB are cleared before each reading.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// How long a hello may take.
const HELLO_TIME_MAX: Duration = Duration::from_secs(30);

/// One connection after its hello.
pub(crate) struct Wire {
    socket: Socket,
}

/// Where frames arrive.
pub(crate) struct Incoming(SplitStream<Socket>);
/// Where frames leave.
pub(crate) struct Outgoing(SplitSink<Socket, WebSocketMessage>);

/// Dials `path` of a server.
pub(crate) async fn dial(server: &Server, path: &str) -> Result<Socket> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
        .read_buffer_size(READ_BUFFER_BYTES);
    let without_nagle = true;
    let (socket, _) = connect_async_with_config(format!("ws://{}/{path}", server.address), Some(config), without_nagle).await?;
    Ok(socket)
}

impl Wire {
    /// Connects to a relay as the peer with this number, and proves it.
    pub(crate) async fn connect(server: &Server, number: u64) -> Result<Self> {
        let socket = dial(server, "sync").await?;
        tokio::time::timeout(HELLO_TIME_MAX, Self { socket }.met(number)).await.context("the hello took too long")?
    }

    async fn met(mut self, number: u64) -> Result<Self> {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&number.to_le_bytes());
        secret[8..12].copy_from_slice(&std::process::id().to_le_bytes());
        let epoch = StoreEpoch(secret[..16].try_into()?);
        let identity = Identity::new(&secret, epoch, false, "driftline-bench".to_owned(), FRAME_BYTES_MAX as u64);
        let (mut handshake, hello) = Handshake::begin(&identity, true, secret);
        self.send(&hello).await?;
        loop {
            match Message::decode(&self.next().await?)? {
                Message::Hello(theirs) => {
                    let proof = handshake.handle_hello(&identity, theirs).map_err(|refusal| anyhow::anyhow!(refusal.text))?;
                    self.send(&proof).await?;
                }
                Message::Proof { .. } => return Ok(self),
                Message::Error { text, .. } => bail!("the relay refused the hello: {text}"),
                _ => {}
            }
        }
    }

    /// Syncs a space as a replica that holds nothing of it, so that everything there is comes.
    pub(crate) async fn subscribe(&mut self, space: SpaceId) -> Result<()> {
        let nothing = Range { below: None, body: RangeBody::Items(Vec::new()) };
        self.send(&Message::Subscribe { space, known: None, eager: Vec::new(), ranges: vec![nothing] }).await
    }

    /// Waits for what the relay says of a space first, and so until it knows of the subscription.
    pub(crate) async fn subscribed(&mut self) -> Result<()> {
        loop {
            match Message::decode(&self.next().await?)? {
                Message::Subscribe { .. } | Message::Ranges { .. } => return Ok(()),
                Message::Error { text, .. } => bail!("the relay refused the space: {text}"),
                _ => {}
            }
        }
    }

    pub(crate) async fn send(&mut self, message: &Message) -> Result<()> {
        Ok(self.socket.send(WebSocketMessage::binary(message.encode())).await?)
    }

    async fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            match self.socket.next().await.context("the relay hung up")?? {
                WebSocketMessage::Binary(bytes) => return Ok(bytes.to_vec()),
                WebSocketMessage::Close(frame) => bail!("the relay hung up: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Its two directions.
    pub(crate) fn split(self) -> (Outgoing, Incoming) {
        let (outgoing, incoming) = self.socket.split();
        (Outgoing(outgoing), Incoming(incoming))
    }
}

impl Incoming {
    /// The next frame; nothing when the connection is over.
    pub(crate) async fn next(&mut self) -> Option<axum::body::Bytes> {
        loop {
            match self.0.next().await? {
                Ok(WebSocketMessage::Binary(bytes)) => return Some(bytes),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

impl Outgoing {
    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: Vec<u8>) -> Result<()> {
        Ok(self.0.send(WebSocketMessage::binary(frame)).await?)
    }

    /// Puts a frame among those that leave together.
    pub(crate) async fn feed(&mut self, frame: Vec<u8>) -> Result<()> {
        Ok(self.0.feed(WebSocketMessage::binary(frame)).await?)
    }

    /// Has everything leave.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }
}

/// Someone who types into one text.
pub(crate) struct Typist {
    document: Document,
    typed: usize,
}

impl Typist {
    /// Begins an empty text, and says the entry that is it.
    pub(crate) fn begin(id: DocumentId, actor: u8) -> Result<(Self, Entry)> {
        let actor = ActorId::new(&[actor; 16]).context("16 bytes are an actor")?;
        let mut typist = Self { document: Document::new(id, actor, TextUnit::CodePoint), typed: 0 };
        let begun = typist.edit(Op::Put { path: text(), value: Value::Text(String::new()) })?;
        Ok((typist, begun))
    }

    /// The next letter.
    pub(crate) fn key(&mut self) -> Result<Entry> {
        let letters = b"a letter at a time ";
        let insert = char::from(letters[self.typed % letters.len()]).to_string();
        self.typed += 1;
        self.edit(Op::Splice { path: text(), index: self.typed - 1, delete: 0, insert })
    }

    fn edit(&mut self, op: Op) -> Result<Entry> {
        let edit = Edit { ops: vec![op], message: None };
        self.document.edit(None, &edit, 0)?.context("an edit that does something is a change")
    }
}

/// A frame that brings one entry.
pub(crate) fn frame(space: SpaceId, entry: &Entry) -> Vec<u8> {
    encode_entries(&space, &entry.document, std::iter::once(&entry.payload))
}

/// How many entries a frame brings, without looking at them if it says; nothing when it is of another kind.
pub(crate) fn count_entries(frame: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(frame.get(1..).filter(|_| brings_entries(frame))?);
    let is_by_strands = Message::NAMES.iter().any(|(tag, name)| *name == "strands" && frame.first() == Some(tag));
    if !is_by_strands {
        // The space and the document come before the number.
        reader.take(16 + 16).ok()?;
    }
    match reader.uint().ok()? {
        // What follows is deflated.
        0 if is_by_strands => match Message::decode(frame).ok()? {
            Message::Strands { items } => Some(items.len() as u64),
            _ => None,
        },
        count => Some(count),
    }
}

fn text() -> Vec<Prop> {
    vec![Prop::Key("text".to_owned())]
}
