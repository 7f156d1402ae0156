//! A handle to one open document.

use super::changes::Changes;
use super::{Repo, RepoError};
use driftline_core::base::id::{ChangeHash, DocumentId, SpaceId};
use driftline_core::doc::document::{ChangeError, Document, Transaction};
use driftline_core::doc::history::HistoryEntry;
use driftline_core::doc::path::IntoPath;
use driftline_core::doc::value::Value;
use driftline_core::engine::Engine;
use driftline_core::engine::effect::{Event, Saved, TroubleKind};
use driftline_core::engine::input::Command;
use std::sync::Arc;
use std::time::Duration;

/// How safely a document is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Durable in this repo's own store.
    Device,
    /// Durable on this many other replicas.
    Replicas(usize),
    /// Durable on a relay.
    Relay,
}

impl Level {
    /// Whether a document that is `saved` so is kept as safely as this.
    pub fn is_met(self, saved: &Saved) -> bool {
        match self {
            Self::Device => saved.device,
            Self::Replicas(replicas) => saved.replicas >= replicas,
            Self::Relay => saved.relays > 0,
        }
    }
}

/// An open document. Clones are handles to the same one; it is closed when the last is dropped.
#[derive(Clone)]
pub struct DocHandle {
    open: Arc<Open>,
}

struct Open {
    repo: Repo,
    space: SpaceId,
    document: DocumentId,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.repo.inner.host.command(Command::CloseDocument { document: self.document });
    }
}

impl DocHandle {
    /// Opens a document and waits until it is in memory.
    pub(super) async fn open(repo: &Repo, space: SpaceId, document: DocumentId) -> Result<Self, RepoError> {
        let mut events = repo.inner.host.events();
        repo.inner.host.command(Command::OpenDocument { space, document });
        let handle = Self { open: Arc::new(Open { repo: repo.clone(), space, document }) };
        let mut trouble = None;
        while !repo.call(move |engine, _| engine.document(&document).is_some()).await? {
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
            tokio::select! {
                event = events.recv() => trouble = event.ok().and_then(|event| trouble_with(document, &event)),
                stopped = repo.inner.host.stopped() => return Err(stopped.into()),
            }
        }
        Ok(handle)
    }

    /// The document's id, to give to others.
    pub fn id(&self) -> DocumentId {
        self.open.document
    }

    /// The space it belongs to.
    pub fn space(&self) -> SpaceId {
        self.open.space
    }

    /// Changes the document by a closure, which becomes one change; when it fails, nothing is changed.
    pub async fn change<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, ChangeError> + Send + 'static,
    ) -> Result<R, RepoError> {
        self.change_for(None, change).await
    }

    /// [`Self::change`], with a message for the document's history.
    pub async fn change_with_message<R: Send + 'static>(
        &self,
        message: impl Into<String>,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, ChangeError> + Send + 'static,
    ) -> Result<R, RepoError> {
        self.change_for(Some(message.into()), change).await
    }

    async fn change_for<R: Send + 'static>(
        &self,
        message: Option<String>,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, ChangeError> + Send + 'static,
    ) -> Result<R, RepoError> {
        let document = self.open.document;
        Ok(self.open.repo.call(move |engine, now| engine.change(now, document, message.as_deref(), change)).await??)
    }

    /// Reads the document by a closure, for what the other methods do not read.
    pub async fn read<R: Send + 'static>(&self, read: impl FnOnce(&Document) -> R + Send + 'static) -> Result<R, RepoError> {
        let document = self.open.document;
        self.open.repo.call(move |engine, _| engine.document(&document).map(read)).await?.ok_or(RepoError::Closed)
    }

    /// The whole document as plain values.
    pub async fn value(&self) -> Result<Value, RepoError> {
        Ok(self.get(()).await?.unwrap_or(Value::Map(Default::default())))
    }

    /// What stands at `path`.
    pub async fn get(&self, path: impl IntoPath) -> Result<Option<Value>, RepoError> {
        let path = path.into_path();
        self.read(move |document| document.value(&path)).await
    }

    /// How the text at `path` reads; nothing where there is no text.
    pub async fn text(&self, path: impl IntoPath) -> Result<Option<String>, RepoError> {
        let path = path.into_path();
        self.read(move |document| document.text(&path)).await
    }

    /// The hashes of the changes that nothing depends on yet: the document's version.
    pub async fn heads(&self) -> Result<Vec<ChangeHash>, RepoError> {
        self.read(Document::heads).await
    }

    /// The latest `limit` changes that made it, oldest first.
    pub async fn history(&self, limit: usize) -> Result<Vec<HistoryEntry>, RepoError> {
        self.read(move |document| document.history(limit)).await
    }

    /// What changes from now on, with patches: this replica's own edits and everyone else's.
    pub async fn changes(&self) -> Result<Changes, RepoError> {
        Ok(self.changes_since(self.heads().await?))
    }

    /// What changes from these heads on; from none, all of the document. They must be held.
    pub fn changes_since(&self, heads: Vec<ChangeHash>) -> Changes {
        Changes::new(self.clone(), heads)
    }

    /// Waits until the document is as `wanted` would have it: looked at now, and each time it has changed.
    pub async fn when(&self, wanted: impl Fn(&Document) -> bool + Send + Sync + 'static) -> Result<(), RepoError> {
        let wanted = Arc::new(wanted);
        let mut events = self.open.repo.inner.host.events();
        loop {
            let wanted = Arc::clone(&wanted);
            if self.read(move |document| wanted(document)).await? {
                return Ok(());
            }
            self.open.repo.inner.wait(&mut events).await?;
        }
    }

    /// How saved everything in the document is now.
    pub async fn saved(&self) -> Result<Saved, RepoError> {
        let document = self.open.document;
        self.open.repo.call(move |engine, _| saved(engine, document)).await
    }

    /// Waits until everything in the document is kept as safely as `level` says. It waits as long as that takes.
    pub async fn when_saved(&self, level: Level) -> Result<Saved, RepoError> {
        let mut events = self.open.repo.inner.host.events();
        loop {
            // The engine is asked each time: what it told before the last edit says nothing about that edit.
            let saved = self.saved().await?;
            if level.is_met(&saved) {
                return Ok(saved);
            }
            self.open.repo.inner.wait(&mut events).await?;
        }
    }

    /// [`Self::when_saved`], but no longer than `within`.
    pub async fn when_saved_within(&self, level: Level, within: Duration) -> Result<Saved, RepoError> {
        match tokio::time::timeout(within, self.when_saved(level)).await {
            Ok(saved) => saved,
            Err(_) => {
                let saved = self.saved().await?;
                let what = match level {
                    Level::Device => "the document was not saved on this device",
                    Level::Replicas(_) => "the document was not saved on as many replicas as asked",
                    Level::Relay => "the document was not saved on a relay",
                };
                let here = if saved.device { "it is saved on this device" } else { "it is in memory only" };
                let reason = match saved.replicas {
                    0 => format!("{here} and nowhere else"),
                    replicas => format!("{here} and on {replicas} other replicas, {} of them relays", saved.relays),
                };
                Err(RepoError::NotInTime { what, within, reason })
            }
        }
    }

    /// Takes the changes of an Automerge file into the document; answers how many were new.
    pub async fn import(&self, automerge: Vec<u8>) -> Result<usize, RepoError> {
        let document = self.open.document;
        Ok(self.open.repo.call(move |engine, now| engine.import(now, document, &automerge)).await??)
    }

    /// The document with its whole history as an Automerge file.
    pub async fn export(&self) -> Result<Vec<u8>, RepoError> {
        self.read(Document::save).await
    }

    pub(super) fn repo(&self) -> &Repo {
        &self.open.repo
    }
}

/// Why a document cannot be opened, if that is what an event tells.
fn trouble_with(document: DocumentId, event: &Event) -> Option<RepoError> {
    let Event::Trouble(trouble) = event else { return None };
    match trouble.kind {
        _ if trouble.document != Some(document) => None,
        TroubleKind::StoreRead | TroubleKind::Damaged => Some(RepoError::Storage(trouble.message.clone())),
        TroubleKind::Refused => Some(RepoError::Refused(trouble.message.clone())),
        _ => None,
    }
}

/// How saved a document is; one that is open and has no changes yet has nothing that could be lost.
fn saved(engine: &Engine, document: DocumentId) -> Saved {
    engine.saved(&document).unwrap_or(Saved { document, device: false, replicas: 0, relays: 0, unsaved: 0 })
}
