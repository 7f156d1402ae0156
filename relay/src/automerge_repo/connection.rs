//! One client's connection: it says who it is, and then says what it has to say until either side goes.

use super::client::{Client, Outgoing};
use super::counts::Refusal;
use super::desks::Desks;
use super::message::{Message, VERSION};
use bytes::Bytes;
use driftline_core::base::id::{PeerId, to_hex};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Time a client has to say who it is.
const JOIN_TIME_MAX: Duration = Duration::from_secs(10);
/// How often a client is asked whether it is there; one that has not answered the last time is gone.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Time a client has to take what was sent before its connection ends.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(2);
/// KiB of one client's messages that wait for their documents; above it the client is not read.
const INBOUND_KIB_MAX: u32 = 4 * 1024;

/// What goes over the socket.
pub(crate) enum Frame {
    /// A message.
    Binary(Bytes),
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// The end, with a code and a sentence.
    Close(u16, String),
}

/// Why nothing more comes from a socket.
pub(crate) enum Broken {
    /// A message above the limit, in a sentence.
    TooLarge(String),
    /// Anything else.
    Gone,
}

/// Serves one client until it is gone. Of what is sent to it, `queued_max` bytes may wait before it is slow.
pub(crate) async fn serve(
    desks: Arc<Desks>,
    key: PeerId,
    queued_max: usize,
    incoming: impl Stream<Item = Result<Frame, Broken>>,
    outgoing: impl Sink<Frame> + Send + 'static,
) {
    desks.know_own(key);
    let relay = RelayName::of(&key);
    let mut incoming = pin!(incoming);
    let mut outgoing = Box::pin(outgoing);
    let joined = match timeout(JOIN_TIME_MAX, join(&desks, &mut incoming)).await {
        Ok(joined) => joined,
        Err(_) => Err((String::new(), "the first message is join: it did not come".to_owned())),
    };
    let (peer, storage) = match joined {
        Ok(joined) => joined,
        Err((target, text)) => {
            desks.counts().on_refused(Refusal::NotJoined);
            let error = Message::Error { sender: relay.peer, target, text: text.clone() };
            // Whoever is gone needs no answer.
            let _ = outgoing.send(Frame::Binary(error.encode().into())).await;
            let _ = outgoing.send(Frame::Close(1002, text)).await;
            return;
        }
    };
    let (client, queue) = Client::new(
        desks.next_client(),
        relay.peer.clone(),
        peer.clone(),
        storage,
        queued_max,
        false,
        Arc::clone(desks.counts()),
    );
    client.send(&Message::Peer { sender: relay.peer, target: peer, storage: Some(relay.storage) });
    tracing::info!(peer = client.peer, "an automerge-repo client has joined");
    let why = talk(desks, Arc::clone(&client), queue, incoming, outgoing).await;
    tracing::info!(peer = client.peer, "an automerge-repo client is gone: {why}");
}

/// Lets the other side in, which has said who it is, and listens to it and writes to it until either goes; answers why it ended.
pub(super) fn talk(
    desks: Arc<Desks>,
    client: Arc<Client>,
    Outgoing { queued, ending }: Outgoing,
    incoming: impl Stream<Item = Result<Frame, Broken>> + Unpin,
    outgoing: Pin<Box<impl Sink<Frame> + Send + 'static>>,
) -> impl Future<Output = String> {
    desks.admit(&client);
    tokio::spawn(write(Arc::clone(&desks), Arc::clone(&client), queued, ending.clone(), outgoing));
    async move {
        let why = read(&desks, &client, incoming, ending).await;
        // The writing ends by itself, soon.
        client.end(&why);
        desks.dismiss(&client);
        why
    }
}

/// What the relay calls itself to these clients.
#[derive(Clone, Debug)]
pub(super) struct RelayName {
    pub(super) peer: String,
    pub(super) storage: String,
}

impl RelayName {
    /// The name of a relay with this key: the same for as long as its store lives, so that clients remember what it has.
    pub(super) fn of(key: &PeerId) -> Self {
        let hex = to_hex(&key.0);
        // A UUID of the fourth kind, as their storages have.
        let storage = format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]);
        Self { peer: format!("driftline-relay-{}", &hex[..16]), storage }
    }
}

/// Waits for who the client is; or answers to whom what is to be said.
async fn join(
    desks: &Desks,
    incoming: &mut (impl Stream<Item = Result<Frame, Broken>> + Unpin),
) -> Result<(String, Option<String>), (String, String)> {
    loop {
        let text = match incoming.next().await {
            Some(Ok(Frame::Binary(bytes))) => match Message::decode(&bytes) {
                Ok(Message::Join { sender, storage, versions }) => {
                    desks.counts().on_in(bytes.len());
                    if versions.is_none_or(|versions| versions.iter().any(|version| version == VERSION)) {
                        return Ok((sender, storage));
                    }
                    return Err((sender, format!("unsupported protocol version: this relay speaks {VERSION}")));
                }
                Ok(_) => "the first message is join".to_owned(),
                Err(error) => error.to_string(),
            },
            Some(Ok(Frame::Ping | Frame::Pong)) => continue,
            Some(Err(Broken::TooLarge(text))) => text,
            Some(Ok(Frame::Close(..)) | Err(Broken::Gone)) | None => "gone".to_owned(),
        };
        return Err((String::new(), text));
    }
}

/// Reads until the connection ends; answers why.
async fn read(
    desks: &Arc<Desks>,
    client: &Arc<Client>,
    mut incoming: impl Stream<Item = Result<Frame, Broken>> + Unpin,
    mut ending: tokio::sync::watch::Receiver<Option<String>>,
) -> String {
    let room = Arc::new(Semaphore::new(INBOUND_KIB_MAX as usize));
    loop {
        let frame = tokio::select! {
            frame = timeout(2 * PING_EVERY + PING_EVERY / 2, incoming.next()) => frame,
            why = ending.wait_for(Option::is_some) => {
                return why.ok().and_then(|why| why.clone()).unwrap_or_default();
            }
        };
        let bytes = match frame {
            Err(_) => return "it does not answer".to_owned(),
            Ok(None | Some(Ok(Frame::Close(..)) | Err(Broken::Gone))) => return "it has hung up".to_owned(),
            Ok(Some(Ok(Frame::Ping | Frame::Pong))) => continue,
            Ok(Some(Err(Broken::TooLarge(text)))) => {
                client.send_error(Refusal::TooLarge, &text);
                return text;
            }
            Ok(Some(Ok(Frame::Binary(bytes)))) => bytes,
        };
        desks.counts().on_in(bytes.len());
        let kib = u32::try_from(bytes.len() / 1024 + 1).unwrap_or(u32::MAX).min(INBOUND_KIB_MAX);
        let Ok(held) = Arc::clone(&room).acquire_many_owned(kib).await else { return "the relay is ending".to_owned() };
        match Message::decode(&bytes) {
            Ok(Message::Sync { document, request, data, .. }) => {
                desks.on_sync(client, document, request, data, Some(held));
            }
            Ok(Message::Ephemeral { sender, document, count, session, data, .. }) => {
                desks.on_ephemeral(client, document, sender, (session, count), data);
            }
            Ok(Message::Subscription { add, remove }) => client.subscribe(add, &remove),
            Ok(Message::Heads { document, heads, .. }) => desks.on_heads(client, document, &heads),
            Ok(Message::Leave) => return "it has left".to_owned(),
            Ok(Message::Join { .. }) => {
                // Their clients may say it twice: once when the socket opens and once when they are ready.
            }
            Ok(Message::Error { text, .. }) => tracing::warn!(peer = client.peer, "an automerge-repo client says: {text}"),
            Ok(Message::Unavailable { .. } | Message::Peer { .. } | Message::Other { .. }) => {}
            Err(error) => {
                client.send_error(Refusal::Malformed, &error.to_string());
                return error.to_string();
            }
        }
    }
}

/// Writes until the connection ends.
async fn write(
    desks: Arc<Desks>,
    client: Arc<Client>,
    mut queued: tokio::sync::mpsc::UnboundedReceiver<Bytes>,
    mut ending: tokio::sync::watch::Receiver<Option<String>>,
    mut outgoing: Pin<Box<impl Sink<Frame> + Send>>,
) {
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            Some(bytes) = queued.recv() => Frame::Binary(bytes),
            _ = pings.tick() => Frame::Ping,
            _ = ending.wait_for(Option::is_some) => break,
        };
        let bytes = if let Frame::Binary(bytes) = &frame { bytes.len() } else { 0 };
        if outgoing.send(frame).await.is_err() {
            return client.end("it has hung up");
        }
        let documents = client.on_written(bytes);
        if !documents.is_empty() {
            desks.resume(&client, documents);
        }
    }
    let why = ending.borrow().clone().unwrap_or_default();
    let rest = async {
        while let Ok(bytes) = queued.try_recv() {
            outgoing.send(Frame::Binary(bytes)).await.map_err(drop)?;
        }
        outgoing.send(Frame::Close(1000, why)).await.map_err(drop)
    };
    // Whoever does not take it in time does without.
    let _ = timeout(GOODBYE_TIME_MAX, rest).await;
}
