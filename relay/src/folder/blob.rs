//! Files of bytes: a file's document names what the file holds by its SHA-256, and each piece of it is a document of its
//! own, named by what it holds ([`Shelf::names_of`]).
//!
//! Equal pieces are one document everywhere, and what has come of a file that has not come whole is not fetched again. In an
//! open space a piece has one change, and whoever makes it makes the same. In an owned one a member makes it, and two who do so at
//! once have written the same beside each other. Nothing of it is believed: the piece is what its name says, and the whole is what
//! the file's document says, or it is refused.

use super::error::FolderError;
use super::limits::{CHUNK_BYTES, CHUNK_VERSIONS_MAX, CHUNKS_MAX, FILE_BYTES_MAX};
use super::record::fingerprint;
use super::shelf::{Shelf, plain_name};
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId};
use driftline_core::doc::document::{ChangeError, Document};
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::path::IntoPath as _;
use driftline_core::doc::value::{TextUnit, Value};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a file of bytes holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blob {
    /// Its fingerprint.
    pub sha256: String,
    /// How many bytes.
    pub size: u64,
    /// The documents of its pieces, in order.
    pub chunks: Vec<DocumentId>,
}

/// Why bytes were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A piece is not what its name says.
    Chunk(DocumentId),
    /// The pieces together are not what the file's document says.
    Whole,
}

impl Blob {
    /// What these bytes are, in these pieces.
    pub(crate) fn of(bytes: &[u8], chunks: Vec<DocumentId>) -> Self {
        Self { sha256: fingerprint(bytes), size: bytes.len() as u64, chunks }
    }

    /// What a document says of a file of bytes; nothing when it makes no sense or is too much.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let map = value.as_map()?;
        let sha256 = map.get("sha256")?.as_str()?.to_owned();
        let size = u64::try_from(map.get("size")?.as_i64()?).ok()?;
        let listed = map.get("chunks")?.as_list()?;
        if sha256.len() != 64 || size > FILE_BYTES_MAX || listed.len() > CHUNKS_MAX {
            return None;
        }
        let chunks: Vec<DocumentId> = listed.iter().map(|id| id.as_str()?.parse().ok()).collect::<Option<_>>()?;
        (chunks.len() as u64 == size.div_ceil(CHUNK_BYTES as u64)).then_some(Self { sha256, size, chunks })
    }

    /// The same as a value.
    pub(crate) fn to_value(&self) -> Value {
        let chunks = self.chunks.iter().map(|id| Value::String(id.to_string()));
        Value::map([
            ("sha256", Value::String(self.sha256.clone())),
            ("size", Value::Int(i64::try_from(self.size).unwrap_or(i64::MAX))),
            ("chunks", Value::List(chunks.collect())),
        ])
    }

    /// Whether the bytes are what this says.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), Refusal> {
        let is_it = bytes.len() as u64 == self.size && fingerprint(bytes) == self.sha256;
        if is_it { Ok(()) } else { Err(Refusal::Whole) }
    }
}

/// What a piece is named by.
pub(crate) fn digest_of_chunk(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(b"driftline chunk\0").chain_update(Sha256::digest(bytes)).finalize().into()
}

/// The document of a piece in an open space, the same whoever makes it.
///
/// # Errors
///
/// When the piece is too large for a change.
pub(crate) fn chunk(bytes: &[u8]) -> Result<Document, ChangeError> {
    let id = plain_name(&digest_of_chunk(bytes));
    let actor = ActorId::new(&id.0).ok_or(ChangeError::NotOpen)?;
    let mut made = Document::new(id, actor, TextUnit::CodePoint);
    made.change(None, 0, |tx| tx.put("chunk", Value::Bytes(bytes.to_vec())))?;
    Ok(made)
}

/// The edit by which a member makes a piece, or sets right one that was written over.
pub(crate) fn put_chunk(bytes: &[u8]) -> Edit {
    Edit { ops: vec![Op::Put { path: "chunk".into_path(), value: Value::Bytes(bytes.to_vec()) }], message: None }
}

/// The bytes of a piece, if any that were written in its document are what the name says; nothing when it is not held. Of what others
/// wrote beside them or over them nothing counts.
pub(crate) fn read_chunk<S: Shelf>(shelf: &S, document: DocumentId) -> Result<Option<Result<Vec<u8>, Refusal>>, FolderError> {
    let Some(shown) = shelf.read(document, shown_in)? else { return Ok(None) };
    for bytes in shown {
        if shelf.names_of(&digest_of_chunk(&bytes))?.contains(&document) {
            return Ok(Some(Ok(bytes)));
        }
    }
    // Someone wrote over it: what stood there before is still in its history.
    for (change, digest) in shelf.read(document, written_in)?.unwrap_or_default() {
        if shelf.names_of(&digest)?.contains(&document) {
            let held = shelf.read(document, move |document| piece_of(document.value_at(&[change], "chunk")))?.flatten();
            return Ok(Some(held.ok_or(Refusal::Chunk(document))));
        }
    }
    Ok(Some(Err(Refusal::Chunk(document))))
}

fn piece_of(value: Option<Value>) -> Option<Vec<u8>> {
    match value {
        Some(Value::Bytes(bytes)) if bytes.len() <= CHUNK_BYTES => Some(bytes),
        _ => None,
    }
}

/// What stands in a piece's document, each thing that was written at the same time.
fn shown_in(document: &Document) -> Vec<Vec<u8>> {
    let shown = document.conflicts("chunk").into_iter().rev();
    shown.filter_map(|value| piece_of(Some(value))).take(CHUNK_VERSIONS_MAX).collect()
}

/// What was written in a piece's document, each by the change that wrote it: first by the one that made it in an open space, then the
/// oldest.
fn written_in(document: &Document) -> Vec<(ChangeHash, [u8; 32])> {
    let mut history = document.history(usize::MAX);
    history.sort_by_key(|change| change.actor.as_bytes() != document.id().0 || change.seq != 1);
    let written = history.into_iter().take(CHUNK_VERSIONS_MAX);
    written
        .filter_map(|change| {
            let bytes = piece_of(document.value_at(&[change.hash], "chunk"))?;
            Some((change.hash, digest_of_chunk(&bytes)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_equal_documents_in_an_open_space() {
        let bytes: Vec<u8> = (0..CHUNK_BYTES * 2 + 5).map(|at| (at % 251) as u8).collect();
        let pieces: Vec<Document> = bytes.chunks(CHUNK_BYTES).map(|piece| chunk(piece).unwrap()).collect();
        let blob = Blob::of(&bytes, pieces.iter().map(Document::id).collect());
        assert_eq!(blob.chunks.len(), 3);
        assert_eq!(Blob::read(&blob.to_value()), Some(blob.clone()));
        let again: Vec<u8> = pieces.iter().flat_map(|piece| shown_in(piece).remove(0)).collect();
        assert_eq!(blob.check(&again), Ok(()));
        assert_eq!(blob.check(b"else"), Err(Refusal::Whole));
        assert_eq!(chunk(b"x").unwrap().heads(), chunk(b"x").unwrap().heads());
    }

    #[test]
    fn what_stood_in_a_piece_before_someone_wrote_over_it_is_found_the_true_one_first() {
        let mut piece = chunk(b"true").unwrap();
        piece.change(None, 0, |tx| tx.put("chunk", Value::Bytes(b"false".to_vec()))).unwrap();
        assert_eq!(shown_in(&piece), [b"false".to_vec()]);
        let digests: Vec<[u8; 32]> = written_in(&piece).into_iter().map(|(_, digest)| digest).collect();
        assert_eq!(digests, [digest_of_chunk(b"true"), digest_of_chunk(b"false")]);
        for number in 0..=CHUNK_VERSIONS_MAX as u8 {
            piece.change(None, 0, |tx| tx.put("chunk", Value::Bytes(vec![number]))).unwrap();
        }
        assert_eq!(written_in(&piece).len(), CHUNK_VERSIONS_MAX);
    }

    #[test]
    fn what_makes_no_sense_is_no_blob() {
        let blob = Blob::of(b"abc", vec![DocumentId([1; 16])]);
        let with = |key: &str, value: Value| {
            let Value::Map(mut map) = blob.to_value() else { unreachable!() };
            map.insert(key.to_owned(), value);
            Blob::read(&Value::Map(map))
        };
        assert_eq!(with("size", Value::Int(-1)), None);
        assert_eq!(with("size", Value::Int(i64::MAX)), None);
        assert_eq!(with("size", Value::Int(CHUNK_BYTES as i64 + 1)), None, "one piece is not enough for that");
        assert_eq!(with("chunks", Value::List(vec![Value::String("../x".to_owned())])), None);
        assert_eq!(with("sha256", Value::String("x".to_owned())), None);
        assert_eq!(Blob::read(&Value::Null), None);
    }
}
