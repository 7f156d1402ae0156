//! Changes as entries, and entries' payloads as changes.

use super::raw::{CHANGE_CHUNK, Chunk, MAGIC, RawChange, hash};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, ChangeHash, DocumentId};
use crate::base::limits::{ACTOR_BYTES_MAX, ENTRY_DEPS_MAX, ENTRY_OPS_MAX, ENTRY_UNPACKED_BYTES_MAX};
use crate::log::entry::Entry;
use std::sync::Arc;

/// Why bytes are not a change that may be taken in. Caused by whoever wrote them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeDecodeError {
    /// Something else altogether.
    #[error("not Automerge's format")]
    NotAutomerge,
    /// Automerge's format, but not a single change.
    #[error("not a single change")]
    NotAChange,
    /// The checksum does not fit: bytes were damaged.
    #[error("the change is damaged: its checksum does not fit")]
    Checksum,
    /// A packed change that does not unpack.
    #[error("the change does not unpack")]
    Deflate,
    /// A packed change that unpacks to too much.
    #[error("the change unpacks to more than the limit of {ENTRY_UNPACKED_BYTES_MAX} bytes")]
    UnpacksTooLarge,
    /// An actor id above its limit.
    #[error("an actor id of {bytes} bytes is over the limit of {ACTOR_BYTES_MAX}")]
    ActorTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// More dependencies than the limit.
    #[error("{count} dependencies are over the limit of {ENTRY_DEPS_MAX}")]
    TooManyDependencies {
        /// How many.
        count: u64,
    },
    /// More operations than the limit, or a run of none.
    #[error("a change may have {ENTRY_OPS_MAX} operations at most")]
    TooManyOperations,
    /// Bytes that do not decode.
    #[error("the change cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// A change that Automerge would not have written.
    #[error("the change is malformed: {0}")]
    Malformed(&'static str),
}

/// The entry that a change of our own or of a file is.
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

/// The entry that `payload` is, once every byte of it is checked: that it is exactly one change, whole and undamaged, whose
/// operations can be read. Whether they fit the document is seen when they are applied to it.
///
/// # Errors
///
/// It is not such a change, or over a limit.
pub fn entry_from_payload(document: DocumentId, payload: Arc<[u8]>) -> Result<Entry, ChangeDecodeError> {
    let mut reader = Reader::new(&payload);
    let chunk = Chunk::read(&mut reader)?;
    reader.end()?;
    let (body, hash) = chunk.change_body()?;
    let change = RawChange::read(&body)?;
    let actor = ActorId::new(change.actor).ok_or(ChangeDecodeError::ActorTooLong { bytes: change.actor.len() })?;
    let (seq, deps) = (change.seq, change.deps);
    Ok(Entry { document, actor, seq, hash, deps, payload })
}

/// What a change says, in the one way in which it can be written: what its hash is made of, and nothing beside. For one that was checked.
///
/// # Errors
///
/// It is no change.
pub fn body_of(payload: &[u8]) -> Result<Vec<u8>, ChangeDecodeError> {
    let mut reader = Reader::new(payload);
    Ok(Chunk::read(&mut reader)?.change_body()?.0.into_owned())
}

/// The entry of a change whose body this is, once every byte of it is checked, as [`entry_from_payload`] does.
///
/// # Errors
///
/// It is not one, or over a limit.
pub fn entry_from_body(document: DocumentId, body: &[u8]) -> Result<Entry, ChangeDecodeError> {
    let mut w = Writer::new();
    w.put(&MAGIC);
    w.put(&hash(CHANGE_CHUNK, body).0[..4]);
    w.u8(CHANGE_CHUNK);
    w.bytes(body);
    entry_from_payload(document, w.finish().into())
}
