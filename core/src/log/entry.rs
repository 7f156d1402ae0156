//! The entry: the unit of the log and of sync.

use crate::base::id::{ActorId, ChangeHash, DocumentId};
use std::sync::Arc;

/// One step of one document by one actor. Its payload is a change, or in a sealed space a change's ciphertext, and
/// only `doc` looks inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The document it belongs to.
    pub document: DocumentId,
    /// Who made it.
    pub actor: ActorId,
    /// Which of the actor's entries in this document it is, from 1 without a gap.
    pub seq: u64,
    /// The name of it, from its contents and so from all it depends on.
    pub hash: ChangeHash,
    /// The entries it was made on: all of them come before it in any log.
    pub deps: Vec<ChangeHash>,
    /// What it does.
    pub payload: Arc<[u8]>,
}

/// What an entry takes in memory beside its payload and its dependencies: itself, and what an allocator adds to its three parts.
const ENTRY_BYTES: usize = 208;

impl Entry {
    /// About how many bytes it takes in memory, for bounds.
    pub fn weight(&self) -> usize {
        self.payload.len() + 32 * self.deps.len() + ENTRY_BYTES
    }
}
