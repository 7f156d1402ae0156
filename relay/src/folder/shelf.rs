//! Where a folder's documents stand: a space of a replica, or anything else that behaves like one.

use crate::repo::{DocHandle, Level, Repo, RepoError, Space};
use driftline_core::base::id::{ChangeHash, DocumentId};
use driftline_core::doc::document::{ChangeError, Document};
use driftline_core::doc::edit::Edit;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where documents stand. The folder's own work is reading and writing files, so it has a thread to itself and may wait.
pub trait Shelf {
    /// The documents held, each with its heads, in the order of their ids.
    ///
    /// # Errors
    ///
    /// When the replica is closed.
    fn documents(&self) -> Result<Vec<(DocumentId, Vec<ChangeHash>)>, RepoError>;

    /// Reads a document that is held; nothing when it is not.
    ///
    /// # Errors
    ///
    /// When the replica is closed or the document cannot be loaded.
    fn read<R: Send + 'static>(
        &self,
        document: DocumentId,
        read: impl FnOnce(&Document) -> R + Send + 'static,
    ) -> Result<Option<R>, RepoError>;

    /// Makes an edit on `heads`, or on the document as it stands; answers the change, where it is one.
    ///
    /// # Errors
    ///
    /// When the document would not have it: nothing of it is made then.
    fn edit(&self, document: DocumentId, heads: Option<Vec<ChangeHash>>, edit: Edit) -> Result<Option<ChangeHash>, RepoError>;

    /// Takes an Automerge file into the document of this id, whether it is held already or not.
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
        let mut open = self.open.borrow_mut();
        if open.len() >= OPEN_MAX {
            open.clear();
        }
        open.insert(document, handle.clone());
        Ok(handle)
    }
}

impl Shelf for SpaceShelf {
    fn documents(&self) -> Result<Vec<(DocumentId, Vec<ChangeHash>)>, RepoError> {
        let space = self.space.id();
        self.runtime.block_on(self.repo.call(move |engine, _| {
            let heads = |document: &DocumentId| engine.log(document).map(|log| log.version().heads.iter().copied().collect());
            let documents = engine.documents(&space).into_iter();
            documents.map(|document| (document, heads(&document).unwrap_or_default())).collect()
        }))
    }

    fn read<R: Send + 'static>(
        &self,
        document: DocumentId,
        read: impl FnOnce(&Document) -> R + Send + 'static,
    ) -> Result<Option<R>, RepoError> {
        let space = self.space.id();
        if self.runtime.block_on(self.repo.call(move |engine, _| engine.space_of(&document)))? != Some(space) {
            return Ok(None);
        }
        let handle = self.open(document)?;
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
