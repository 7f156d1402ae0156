//! Dialling an automerge-repo server: what a replica holds of a space is synced with it, for as long as the bridge is kept.

use super::client::Client;
use super::connection::{Broken, Frame, RelayName, talk};
use super::desks::{AutomergeRepoOptions, Desks};
use super::message::{Message, VERSION};
use crate::dial;
use crate::host::Host;
use driftline_core::base::id::DocumentId;
use driftline_core::base::limits::Limits;
use futures_util::{SinkExt as _, Stream, StreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message as Socketed};

/// First wait before a server is dialled again; each further one is twice as long.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// Longest such wait.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// A space that is synced with an automerge-repo server, until this is dropped.
pub struct Bridge {
    keeping: JoinHandle<()>,
    state: watch::Receiver<BridgeState>,
}

/// How a bridge stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BridgeState {
    /// The server is being dialled.
    Dialling,
    /// The server has answered.
    Connected {
        /// What it calls itself.
        server: String,
    },
    /// It cannot be reached, or has gone; it is dialled again soon.
    Waiting {
        /// A sentence for people.
        reason: String,
    },
}

impl Bridge {
    /// Keeps a connection to the server at `url` and syncs all documents of the space with it, those that come later too, and
    /// asks it for `wanted`: a server of theirs does not tell which documents it has.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn open(host: Host, options: AutomergeRepoOptions, url: String, wanted: Vec<DocumentId>) -> Self {
        let (tell, state) = watch::channel(BridgeState::Dialling);
        let limits = Limits::default();
        let desks = Desks::open(host, options, limits.documents_per_space_max);
        let keeping = tokio::spawn(async move {
            let mut wait = RETRY_FIRST;
            loop {
                let reason = match connect(&desks, &url, &limits, &wanted, &tell).await {
                    // It was there: the next attempt may be soon.
                    Ok(reason) => {
                        wait = RETRY_FIRST;
                        reason
                    }
                    Err(reason) => reason,
                };
                tracing::info!(url, "the bridge is cut: {reason}");
                tell.send_replace(BridgeState::Waiting { reason });
                sleep(wait).await;
                wait = (2 * wait).min(RETRY_LONGEST);
            }
        });
        Self { keeping, state }
    }

    /// How it stands now.
    pub fn state(&self) -> BridgeState {
        self.state.borrow().clone()
    }

    /// Waits until it stands otherwise than when this was last asked; nothing once it is over.
    pub async fn changed(&mut self) -> Option<BridgeState> {
        self.state.changed().await.ok()?;
        Some(self.state.borrow_and_update().clone())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// Dials once and syncs until the connection ends; answers why, as an error when there was none.
async fn connect(
    desks: &Arc<Desks>,
    url: &str,
    limits: &Limits,
    wanted: &[DocumentId],
    tell: &watch::Sender<BridgeState>,
) -> Result<String, String> {
    tell.send_replace(BridgeState::Dialling);
    let host = desks.host();
    let key = host.call(|engine, _| engine.peer_id()).await.map_err(|stopped| stopped.to_string())?;
    let key = key.ok_or("the store is not open yet")?;
    desks.know_own(key);
    let own = RelayName::of(&key);
    let dialling = timeout(dial::DIAL_TIME_MAX, dial::open_websocket(url, limits.frame_bytes_max));
    let socket = dialling.await.map_err(|_| format!("{url} does not answer"))??;
    let (outgoing, incoming) = socket.split();
    let mut incoming = Box::pin(incoming.filter_map(|message| std::future::ready(on_message(message))));
    let mut outgoing = Box::pin(outgoing.with(|frame| std::future::ready(Ok::<_, tungstenite::Error>(to_message(frame)))));
    let join =
        Message::Join { sender: own.peer.clone(), storage: Some(own.storage.clone()), versions: Some(vec![VERSION.to_owned()]) };
    outgoing.send(Frame::Binary(join.encode().into())).await.map_err(|error| error.to_string())?;
    let answer = timeout(dial::DIAL_TIME_MAX, welcome(&mut incoming)).await;
    let (server, storage) = answer.map_err(|_| format!("{url} does not answer as automerge-repo servers do"))??;
    let (client, queue) = Client::new(
        desks.next_client(),
        own.peer,
        server.clone(),
        storage,
        limits.outbound_bytes_max,
        true,
        Arc::clone(desks.counts()),
    );
    tell.send_replace(BridgeState::Connected { server });
    let space = desks.space();
    let held = host.call(move |engine, _| engine.documents(&space)).await.map_err(|stopped| stopped.to_string())?;
    let talking = talk(Arc::clone(desks), Arc::clone(&client), queue, incoming, outgoing);
    // From here on it also hears of documents that come later.
    for document in held.into_iter().chain(wanted.iter().copied()) {
        desks.greet(&client, document);
    }
    Ok(talking.await)
}

/// Waits for the server to say who it is.
async fn welcome(incoming: &mut (impl Stream<Item = Result<Frame, Broken>> + Unpin)) -> Result<(String, Option<String>), String> {
    while let Some(Ok(frame)) = incoming.next().await {
        let Frame::Binary(bytes) = frame else { continue };
        match Message::decode(&bytes).map_err(|error| error.to_string())? {
            Message::Peer { sender, storage, .. } => return Ok((sender, storage)),
            Message::Error { text, .. } => return Err(format!("the server refuses: {text}")),
            _ => {}
        }
    }
    Err("the server has hung up".to_owned())
}

fn on_message(message: Result<Socketed, tungstenite::Error>) -> Option<Result<Frame, Broken>> {
    match message {
        Ok(Socketed::Binary(bytes)) => Some(Ok(Frame::Binary(bytes))),
        Ok(Socketed::Ping(_)) => Some(Ok(Frame::Ping)),
        Ok(Socketed::Pong(_)) => Some(Ok(Frame::Pong)),
        Ok(Socketed::Text(_) | Socketed::Frame(_)) => None,
        Err(tungstenite::Error::Capacity(error)) => Some(Err(Broken::TooLarge(error.to_string()))),
        Ok(Socketed::Close(_)) | Err(_) => Some(Err(Broken::Gone)),
    }
}

fn to_message(frame: Frame) -> Socketed {
    match frame {
        Frame::Binary(bytes) => Socketed::Binary(bytes),
        Frame::Ping => Socketed::Ping(bytes::Bytes::new()),
        Frame::Pong => Socketed::Pong(bytes::Bytes::new()),
        Frame::Close(code, reason) => Socketed::Close(Some(CloseFrame { code: code.into(), reason: reason.into() })),
    }
}
