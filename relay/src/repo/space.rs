//! A space: documents that travel together.

use super::handle::DocHandle;
use super::known::{ConnectionState, Known, SyncStatus};
use super::presence::Presence;
use super::{Repo, RepoError, random};
use crate::automerge_repo::{AutomergeRepoOptions, Bridge};
use crate::dial::without_token;
use driftline_core::base::id::{ChangeHash, DocumentId, PeerId, SpaceId};
use driftline_core::doc::document::{ChangeError, Transaction};
use driftline_core::engine::Engine;
use driftline_core::engine::input::Command;
use futures_util::Stream;
use serde_json::Value as Json;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// A set of documents that travel together.
#[derive(Clone)]
pub struct Space {
    pub(super) repo: Repo,
    pub(super) id: SpaceId,
}

/// Something that happened in a space.
#[derive(Clone, Debug, PartialEq)]
pub enum SpaceEvent {
    /// A document is held that was not before.
    DocumentAdded {
        /// The document.
        document: DocumentId,
    },
    /// A document has moved on.
    DocumentChanged {
        /// The document.
        document: DocumentId,
        /// Its heads.
        heads: Vec<ChangeHash>,
        /// Whether this replica made the change.
        local: bool,
    },
    /// Someone's presence is here, has changed, or is gone.
    Presence {
        /// Whose.
        peer: PeerId,
        /// Which of theirs.
        instance: u64,
        /// The presence; nothing when it is gone.
        presence: Option<Presence>,
    },
    /// The space has come closer to its peers, or fallen behind.
    Sync(SyncStatus),
    /// The subscriber was too slow and some events are lost: look at everything again.
    Missed,
}

/// What happens in a space, as it happens. A slow reader never keeps the engine waiting: it is told that it missed some.
pub struct SpaceEvents {
    events: mpsc::Receiver<SpaceEvent>,
}

impl SpaceEvents {
    /// The next event; nothing once the repo is gone.
    pub async fn next(&mut self) -> Option<SpaceEvent> {
        self.events.recv().await
    }
}

impl Stream for SpaceEvents {
    type Item = SpaceEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SpaceEvent>> {
        self.events.poll_recv(context)
    }
}

/// What became of looking for a document once.
enum Look {
    Held,
    Nobody(RepoError),
    Unknown(String),
}

impl Space {
    /// Its id.
    pub fn id(&self) -> SpaceId {
        self.id
    }

    /// The documents held on this device, in the order of their ids.
    pub async fn documents(&self) -> Result<Vec<DocumentId>, RepoError> {
        let space = self.id;
        self.repo.call(move |engine, _| engine.documents(&space)).await
    }

    /// Makes a document by a first change. Nothing is made when the change is refused.
    pub async fn create<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, ChangeError> + Send + 'static,
    ) -> Result<DocHandle, RepoError> {
        self.create_with_id(DocumentId(random()), change).await
    }

    /// Makes a document with an id that the program chose; refused when there is one already.
    pub async fn create_with_id<R: Send + 'static>(
        &self,
        document: DocumentId,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, ChangeError> + Send + 'static,
    ) -> Result<DocHandle, RepoError> {
        if self.repo.call(move |engine, _| engine.space_of(&document)).await?.is_some() {
            return Err(RepoError::Refused(format!("there is a document {document} already")));
        }
        let handle = DocHandle::open(&self.repo, self.id, document).await?;
        handle.change(change).await?;
        match handle.heads().await?.is_empty() {
            true => Err(RepoError::Refused("a document begins with a value: put something into it".to_owned())),
            false => Ok(handle),
        }
    }

    /// Makes a document from an Automerge file, with its history.
    pub async fn import(&self, automerge: Vec<u8>) -> Result<DocHandle, RepoError> {
        let handle = DocHandle::open(&self.repo, self.id, DocumentId(random())).await?;
        handle.import(automerge).await?;
        Ok(handle)
    }

    /// Takes an Automerge file, or several one after the other, into the document of this id, whether it is held already or not.
    pub async fn import_with_id(&self, document: DocumentId, automerge: Vec<u8>) -> Result<DocHandle, RepoError> {
        let handle = DocHandle::open(&self.repo, self.id, document).await?;
        handle.import(automerge).await?;
        Ok(handle)
    }

    /// Opens a document: at once when this device holds it, and otherwise as soon as a peer brings it.
    ///
    /// # Errors
    ///
    /// [`RepoError::NotFound`] when all connected peers were asked and none has it; [`RepoError::Unreachable`] when
    /// nobody could be asked; [`RepoError::NotInTime`] after [`super::RepoOptions::patience`].
    pub async fn find(&self, document: DocumentId) -> Result<DocHandle, RepoError> {
        self.find_within(document, self.repo.inner.options.patience).await
    }

    /// [`Self::find`] with a patience of its own.
    pub async fn find_within(&self, document: DocumentId, patience: Duration) -> Result<DocHandle, RepoError> {
        let mut reason = "nobody has answered yet".to_owned();
        let search = async {
            let mut events = self.repo.inner.host.events();
            let mut ahead = None;
            loop {
                match self.look(document).await? {
                    Look::Held => return Ok(ahead),
                    Look::Nobody(error) => return Err(error),
                    Look::Unknown(why) => reason = why,
                }
                // Open before it comes, it is loaded once: as it is put together from what a peer sends.
                if ahead.is_none() {
                    ahead = self.open_ahead(document).await.ok();
                }
                self.repo.inner.wait(&mut events).await?;
            }
        };
        let _ahead = match tokio::time::timeout(patience, search).await {
            Ok(found) => found?,
            Err(_) => return Err(RepoError::NotInTime { what: "the document could not be found", within: patience, reason }),
        };
        DocHandle::open(&self.repo, self.id, document).await
    }

    /// Opens a document that may not be held yet, so that it is among the first to come, and in memory once it has.
    pub(crate) async fn open_ahead(&self, document: DocumentId) -> Result<DocHandle, RepoError> {
        DocHandle::open(&self.repo, self.id, document).await
    }

    /// Shows this state to everyone in the space, until it is replaced, cleared, or this repo is gone.
    pub fn set_presence(&self, state: &Json) {
        self.send_presence(Some(state.to_string()));
    }

    /// Shows nothing more.
    pub fn clear_presence(&self) {
        self.send_presence(None);
    }

    fn send_presence(&self, state: Option<String>) {
        let instance = self.repo.inner.instance;
        self.repo.inner.host.command(Command::SetPresence { space: self.id, instance, state });
    }

    /// What others in the space show of themselves.
    pub fn presences(&self) -> Vec<Presence> {
        let own = (self.repo.inner.peer, self.repo.inner.instance);
        let known = self.repo.inner.known();
        let presences = known.presences.get(&self.id).into_iter().flat_map(|presences| presences.values());
        presences.filter(|presence| (presence.peer, presence.instance) != own).cloned().collect()
    }

    /// How far the space has come with its peers.
    pub async fn status(&self) -> Result<SyncStatus, RepoError> {
        let space = self.id;
        self.repo.call(move |engine, _| SyncStatus::of(engine, &space)).await
    }

    /// What happens in the space from now on.
    pub fn subscribe(&self) -> SpaceEvents {
        SpaceEvents { events: self.repo.inner.known().subscribe(self.id) }
    }

    /// Syncs the space with the automerge-repo server at `url`, as one more of its clients, until what is answered is dropped.
    /// Such a server does not tell which documents it has: `wanted` are asked for.
    pub fn bridge(&self, url: &str, wanted: Vec<DocumentId>) -> Bridge {
        let options = AutomergeRepoOptions { space: self.id, ..AutomergeRepoOptions::default() };
        Bridge::open(self.repo.inner.host.clone(), options, url.to_owned(), wanted)
    }

    /// Stops syncing the space. What is stored stays stored.
    pub fn close(&self) {
        self.repo.inner.host.command(Command::CloseSpace { space: self.id });
    }

    async fn look(&self, document: DocumentId) -> Result<Look, RepoError> {
        let space = self.id;
        // In one question: between two, the document could come and the space be in sync with it.
        let look = move |engine: &mut Engine, _| (engine.space_of(&document), SyncStatus::of(engine, &space));
        let (held, sync) = self.repo.call(look).await?;
        match held {
            Some(held) if held == space => Ok(Look::Held),
            Some(held) => {
                let asked = format!("this device holds it in another space, {held}");
                Ok(Look::Nobody(RepoError::NotFound { document, asked }))
            }
            None => {
                let online = self.repo.is_online();
                Ok(judge(&self.repo.inner.known(), sync, document, online))
            }
        }
    }
}

/// What is to be made of a document that is not held.
fn judge(known: &Known, sync: SyncStatus, document: DocumentId, online: bool) -> Look {
    let nobody = |reason: String| Look::Nobody(RepoError::Unreachable { document, reason });
    if !online {
        return nobody("this repo works offline".to_owned());
    }
    if sync.is_synced() {
        let asked = match sync.peers {
            1 => "it is neither on this device nor on the relay".to_owned(),
            peers => format!("it is neither on this device nor with any of {peers} peers"),
        };
        return Look::Nobody(RepoError::NotFound { document, asked });
    }
    if !known.connections.is_empty() {
        return Look::Unknown("a peer is connected but has not answered yet".to_owned());
    }
    let mut reason = None;
    for endpoint in &known.endpoints {
        match &endpoint.state {
            ConnectionState::Waiting { reason: why } => reason = Some(format!("{}: {why}", without_token(&endpoint.endpoint))),
            _ => return Look::Unknown(format!("{} has not answered yet", without_token(&endpoint.endpoint))),
        }
    }
    nobody(reason.unwrap_or_else(|| "no relay is named".to_owned()))
}
