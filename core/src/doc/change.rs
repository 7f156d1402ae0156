//! Changes as entries, and entries' payloads as changes.

use crate::base::id::{ActorId, ChangeHash, DocumentId};
use crate::base::limits::{ACTOR_BYTES_MAX, ENTRY_DEPS_MAX};
use crate::log::entry::Entry;
use std::sync::Arc;

/// Why bytes are not a change that may be taken in. Caused by whoever wrote them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeDecodeError {
    /// An actor id above its limit.
    #[error("an actor id of {bytes} bytes is over the limit of {ACTOR_BYTES_MAX}")]
    ActorTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// More dependencies than its limit.
    #[error("{count} dependencies are over the limit of {ENTRY_DEPS_MAX}")]
    TooManyDependencies {
        /// How many.
        count: u64,
    },
    /// Not a change at all.
    #[error("{0}")]
    Invalid(&'static str),
}

/// The entry that a change is.
///
/// # Errors
///
/// The change is over a limit that entries have.
pub fn entry_of_change(document: DocumentId, mut change: automerge::Change) -> Result<Entry, ChangeDecodeError> {
    let actor = change.actor_id().to_bytes();
    let actor = ActorId::new(actor).ok_or(ChangeDecodeError::ActorTooLong { bytes: actor.len() })?;
    if change.deps().len() > ENTRY_DEPS_MAX {
        return Err(ChangeDecodeError::TooManyDependencies { count: change.deps().len() as u64 });
    }
    Ok(Entry {
        document,
        actor,
        seq: change.seq(),
        hash: ChangeHash(change.hash().0),
        deps: change.deps().iter().map(|dep| ChangeHash(dep.0)).collect(),
        payload: Arc::from(&*change.bytes()),
    })
}

/// The entry that `payload` is, once all of it is checked.
///
/// # Errors
///
/// It is not exactly one whole change, or over a limit.
pub fn entry_from_payload(document: DocumentId, payload: Arc<[u8]>) -> Result<Entry, ChangeDecodeError> {
    let change = automerge::Change::try_from(&payload[..]).map_err(|_| ChangeDecodeError::Invalid("not a change"))?;
    Ok(Entry { payload, ..entry_of_change(document, change)? })
}
