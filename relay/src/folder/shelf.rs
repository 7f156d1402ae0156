//! Where a folder's documents stand: a space of a replica, or anything else that behaves like one.

use super::terms::{self, Terms};
use crate::repo::{DocHandle, Level, Repo, RepoError, Space};
use driftline_core::base::id::{ChangeHash, DocumentId};
use driftline_core::doc::document::{ChangeError, Document};
use driftline_core::doc::edit::Edit;
use driftline_core::trust::owned::{is_owned, is_sealed};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where documents stand. The folder's own work is reading and writing files, so it has a thread to itself and may wait.
pub trait Shelf {
    /// On what terms it takes what a folder brings.
    ///
    /// # Errors
    ///
    /// When the replica is closed.
    fn terms(&self) -> Result<Terms, RepoError>;

    /// The documents held, each with its version as the shelf calls it, in the order of their ids. Versions are compared and not looked
    /// into: those of a sealed space are not the documents' heads.
    ///
    /// # Errors
    ///
    /// When the replica is closed.
    fn documents(&self) -> Result<Vec<(DocumentId, Vec<ChangeHash>)>, RepoError>;

    /// Names of the document of something with this SHA-256: the one to give it first, and then others that it may have been given
    /// before. None where members alone can make the name, and this replica has no key to.
    ///
    /// # Errors
    ///
    /// When the replica is closed.
    fn names_of(&self, digest: &[u8; 32]) -> Result<Vec<DocumentId>, RepoError>;

    /// A name that nothing has yet.
    fn new_name(&self) -> DocumentId;

    /// Reads a document that is held, with the version that is read, as in [`Self::documents`]; nothing when it is not held, or cannot
    /// be read here yet.
    ///
    /// # Errors
    ///
    /// When the replica is closed or the document cannot be loaded.
    fn look<R: Send + 'static>(
        &self,
        document: DocumentId,
        read: impl FnOnce(&Document) -> R + Send + 'static,
    ) -> Result<Option<(Vec<ChangeHash>, R)>, RepoError>;

    /// Reads a document that is held; nothing when it is not, or cannot be read here yet.
    ///
    /// # Errors
    ///
    /// When the replica is closed or the document cannot be loaded.
    fn read<R: Send + 'static>(
        &self,
        document: DocumentId,
        read: impl FnOnce(&Document) -> R + Send + 'static,
    ) -> Result<Option<R>, RepoError>;

    /// Makes an edit on `heads`, or on the document as it stands, which is made where there is none; answers the change, where it is one.
    ///
    /// # Errors
    ///
    /// When the document would not have it: nothing of it is made then.
    fn edit(&self, document: DocumentId, heads: Option<Vec<ChangeHash>>, edit: Edit) -> Result<Option<ChangeHash>, RepoError>;

    /// Takes an Automerge file into the document of this id, whether it is held already or not. On terms other than [`Terms::Open`] it
    /// is refused.
    ///
    /// # Errors
    ///
    /// When it is none, or the replica would not have it.
    fn import(&self, document: DocumentId, automerge: Vec<u8>) -> Result<(), RepoError>;

    /// Waits until everything in these documents is durable on this device.
    ///
    /// # Errors
    ///
    /// When that takes too long.
    fn settle(&self, documents: &BTreeSet<DocumentId>) -> Result<(), RepoError>;

    /// Lets go of what is held for the calls before this one.
    fn rest(&self);
}

/// How long the store may take to make a batch durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(60);
/// Documents kept open between calls.
const OPEN_MAX: usize = 512;

/// The space of a replica, for a thread that is not one of the runtime's.
pub struct SpaceShelf {
    repo: Repo,
    space: Space,
    runtime: tokio::runtime::Handle,
    open: std::cell::RefCell<BTreeMap<DocumentId, DocHandle>>,
}

impl SpaceShelf {
    /// The shelf of a space. Its calls wait, so they must come from a thread that is not the runtime's.
    pub fn new(repo: Repo, space: Space, runtime: tokio::runtime::Handle) -> Self {
        Self { repo, space, runtime, open: Default::default() }
    }

    fn open(&self, document: DocumentId) -> Result<DocHandle, RepoError> {
        if let Some(handle) = self.open.borrow().get(&document) {
            return Ok(handle.clone());
        }
        let handle = self.runtime.block_on(self.space.open_ahead(document))?;
        Ok(self.keep_open(handle))
    }

    fn keep_open(&self, handle: DocHandle) -> DocHandle {
        let mut open = self.open.borrow_mut();
        if open.len() >= OPEN_MAX {
            open.clear();
        }
        open.insert(handle.id(), handle.clone());
        handle
    }

    /// Opens a document to be read; nothing when it is not held, or there is no key to it here.
    fn open_held(&self, document: DocumentId) -> Result<Option<DocHandle>, RepoError> {
        let space = self.space.id();
        if self.runtime.block_on(self.repo.call(move |engine, _| engine.space_of(&document)))? != Some(space) {
            return Ok(None);
        }
        if !is_sealed(&space) {
            return self.open(document).map(Some);
        }
        if let Some(handle) = self.open.borrow().get(&document) {
            return Ok(Some(handle.clone()));
        }
        let opened = self.runtime.block_on(async {
            tokio::select! {
                biased;
                opened = self.space.open_ahead(document) => opened.map(Some),
                closed = self.until_closed(document) => closed.map(|()| None),
            }
        })?;
        Ok(opened.map(|handle| self.keep_open(handle)))
    }

    /// Waits until it turns out that a document that is being opened cannot be read for want of a key.
    async fn until_closed(&self, document: DocumentId) -> Result<(), RepoError> {
        /// How often it is looked at: only where there is no key is it waited for at all.
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.repo.call(move |engine, _| engine.document(&document).is_none() && engine.is_sealed_here(&document)).await? {
                return Ok(());
            }
        }
    }
}

/// The name of what has this digest in an open space, the same for everyone: its first 16 bytes.
pub(crate) fn plain_name(digest: &[u8; 32]) -> DocumentId {
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    DocumentId(id)
}

impl Shelf for SpaceShelf {
    fn terms(&self) -> Result<Terms, RepoError> {
        let space = self.space.id();
        self.runtime.block_on(self.repo.call(move |engine, _| terms::of_space(engine, &space)))
    }

    fn documents(&self) -> Result<Vec<(DocumentId, Vec<ChangeHash>)>, RepoError> {
        let space = self.space.id();
        self.runtime.block_on(self.repo.call(move |engine, _| {
            let heads = |document: &DocumentId| engine.log(document).map(|log| log.version().heads.iter().copied().collect());
            let documents = engine.documents(&space).into_iter();
            documents.map(|document| (document, heads(&document).unwrap_or_default())).collect()
        }))
    }

    fn names_of(&self, digest: &[u8; 32]) -> Result<Vec<DocumentId>, RepoError> {
        let (space, digest) = (self.space.id(), *digest);
        if is_sealed(&space) {
            return self.runtime.block_on(self.repo.call(move |engine, _| engine.names_of_bytes(&space, &digest)));
        }
        Ok(vec![if is_owned(&space) { terms::owned_name(&space, &digest) } else { plain_name(&digest) }])
    }

    fn new_name(&self) -> DocumentId {
        DocumentId(crate::repo::random())
    }

    fn look<R: Send + 'static>(
        &self,
        document: DocumentId,
        read: impl FnOnce(&Document) -> R + Send + 'static,
    ) -> Result<Option<(Vec<ChangeHash>, R)>, RepoError> {
        let Some(_handle) = self.open_held(document)? else { return Ok(None) };
        let look = self.repo.call(move |engine, _| {
            let read = engine.document(&document).map(read)?;
            Some((engine.heads_in_log(&document).unwrap_or_default(), read))
        });
        self.runtime.block_on(look)?.ok_or(RepoError::Closed).map(Some)
    }

    fn read<R: Send + 'static>(
        &self,
        document: DocumentId,
        read: impl FnOnce(&Document) -> R + Send + 'static,
    ) -> Result<Option<R>, RepoError> {
        let Some(handle) = self.open_held(document)? else { return Ok(None) };
        self.runtime.block_on(handle.read(read)).map(Some)
    }

    fn edit(&self, document: DocumentId, heads: Option<Vec<ChangeHash>>, edit: Edit) -> Result<Option<ChangeHash>, RepoError> {
        let _handle = self.open(document)?;
        let made = self.repo.call(move |engine, now| {
            let heads = match heads {
                Some(heads) => heads,
                None => engine.document(&document).ok_or(ChangeError::NotOpen)?.heads(),
            };
            engine.edit_at(now, document, &heads, &edit)
        });
        Ok(self.runtime.block_on(made)??)
    }

    fn import(&self, document: DocumentId, automerge: Vec<u8>) -> Result<(), RepoError> {
        let handle = self.open(document)?;
        self.runtime.block_on(handle.import(automerge)).map(drop)
    }

    fn settle(&self, documents: &BTreeSet<DocumentId>) -> Result<(), RepoError> {
        for document in documents {
            let handle = self.open(*document)?;
            self.runtime.block_on(handle.when_saved_within(Level::Device, DURABLE_WITHIN))?;
        }
        Ok(())
    }

    fn rest(&self) {
        self.open.borrow_mut().clear();
    }
}
