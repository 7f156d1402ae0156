//! Floor 3: the one state machine that drivers see.

pub mod config;
pub mod effect;
pub mod input;

use crate::base::id::{DocumentId, PeerId, SpaceId};
use crate::base::time::Now;
use crate::doc::document::{ChangeError, Document, Transaction};
use config::EngineConfig;
use effect::{Effect, Saved};
use input::Input;

/// One replica.
pub struct Engine;

impl Engine {
    /// A replica that has not opened its store yet: the first effect asks for that.
    pub fn new(config: EngineConfig, now: Now) -> Self {
        let _ = (config, now);
        todo!()
    }
    /// Tells the engine what happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        let _ = (now, input);
        todo!()
    }
    /// The next thing to do, until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        todo!()
    }
    /// When `handle(now, Tick)` must be called at the latest, in monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        todo!()
    }
    /// Makes a local change of an open document by a closure, and returns what the closure did. When it fails, nothing is changed.
    pub fn change<R>(
        &mut self,
        now: Now,
        document: DocumentId,
        message: Option<&str>,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, ChangeError>,
    ) -> Result<R, ChangeError> {
        let _ = (now, document, message, change);
        todo!()
    }
    /// Takes another Automerge file's changes into an open document; answers how many were new.
    pub fn import(&mut self, now: Now, document: DocumentId, automerge: &[u8]) -> Result<usize, ChangeError> {
        let _ = (now, document, automerge);
        todo!()
    }
    /// An open document, to read.
    pub fn document(&self, document: &DocumentId) -> Option<&Document> {
        let _ = document;
        todo!()
    }
    /// The documents held in a space, in the order of their ids.
    pub fn documents(&self, space: &SpaceId) -> Vec<DocumentId> {
        let _ = space;
        todo!()
    }
    /// The spaces this replica holds documents of or has open, in order.
    pub fn spaces(&self) -> Vec<SpaceId> {
        todo!()
    }
    /// How saved a document is now.
    pub fn saved(&self, document: &DocumentId) -> Option<Saved> {
        let _ = document;
        todo!()
    }
    /// Who this replica is, once the store is open.
    pub fn peer_id(&self) -> Option<PeerId> {
        todo!()
    }
}
