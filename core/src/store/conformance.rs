//! What any store must do: one suite that every executor's tests call, and entries to store that need no document.

use super::task::{Position, StoredEntry};
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId};
use crate::log::entry::Entry;
use crate::log::version::Version;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// A document that grows by entries without meaning: they depend on each other as real ones do, and their payload is noise.
#[derive(Clone, Debug)]
pub struct SyntheticDocument {
    /// The space.
    pub space: SpaceId,
    /// The document.
    pub document: DocumentId,
    /// How far it has come.
    pub version: Version,
    /// The position of its last entry.
    pub end: Position,
}

impl SyntheticDocument {
    /// An empty document, numbered.
    pub fn new(space: u8, document: u8) -> Self {
        Self { space: SpaceId([space; 16]), document: DocumentId([document; 16]), version: Version::new(), end: 0 }
    }

    /// The next entry: by `actor`, on all that is there, with a payload of `bytes` bytes.
    pub fn grow(&mut self, actor: u8, bytes: usize) -> StoredEntry {
        let deps = self.version.heads.iter().copied().collect();
        self.grow_on(deps, actor, bytes)
    }

    /// The next entry: by `actor`, on `deps`, with a payload of `bytes` bytes.
    pub fn grow_on(&mut self, deps: Vec<ChangeHash>, actor: u8, bytes: usize) -> StoredEntry {
        let actor = ActorId::new(&[actor; 16]).expect("16 bytes are an actor");
        let seq = self.version.clock.get(&actor) + 1;
        let name = Sha256::new().chain_update(self.document.0).chain_update(actor.as_bytes()).chain_update(seq.to_le_bytes());
        let hash = ChangeHash(name.finalize().into());
        let payload: Arc<[u8]> = hash.0.iter().copied().cycle().take(bytes).collect();
        let entry = Arc::new(Entry { document: self.document, actor, seq, hash, deps, payload });
        self.version.advance(&entry);
        self.end += 1;
        StoredEntry { space: self.space, position: self.end, entry }
    }
}
