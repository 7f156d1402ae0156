//! Files of bytes: a file's document names what the file holds by its SHA-256, and each piece of it is a document of its
//! own, named by what it holds.
//!
//! A piece has one change, and whoever makes it makes the same: equal pieces are one document everywhere, and what has
//! come of a file that has not come whole is not fetched again. Nothing of it is believed: the piece is what its name
//! says, and the whole is what the file's document says, or it is refused.

use super::limits::{CHUNK_BYTES, CHUNKS_MAX, FILE_BYTES_MAX};
use super::record::fingerprint;
use driftline_core::base::id::{ActorId, DocumentId};
use driftline_core::doc::document::{ChangeError, Document};
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
    /// What these bytes are.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let chunks = bytes.chunks(CHUNK_BYTES).map(id_of_chunk).collect();
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

/// The document of a piece.
pub(crate) fn id_of_chunk(bytes: &[u8]) -> DocumentId {
    let digest = Sha256::new().chain_update(b"driftline chunk\0").chain_update(Sha256::digest(bytes)).finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    DocumentId(id)
}

/// The document of a piece, the same whoever makes it.
///
/// # Errors
///
/// When the piece is too large for a change.
pub(crate) fn chunk(bytes: &[u8]) -> Result<Document, ChangeError> {
    let id = id_of_chunk(bytes);
    let actor = ActorId::new(&id.0).ok_or(ChangeError::NotOpen)?;
    let mut made = Document::new(id, actor, TextUnit::CodePoint);
    made.change(None, 0, |tx| tx.put("chunk", Value::Bytes(bytes.to_vec())))?;
    Ok(made)
}

/// The bytes of a piece, if they are what the document's name says. Of what others wrote beside them or over them nothing counts.
pub(crate) fn bytes_of_chunk(document: &Document) -> Result<Vec<u8>, Refusal> {
    let is_it =
        |value: &Value| matches!(value, Value::Bytes(bytes) if bytes.len() <= CHUNK_BYTES && id_of_chunk(bytes) == document.id());
    let held = document.conflicts("chunk").into_iter().find(is_it);
    let held = held.or_else(|| {
        // Someone wrote over it: the piece is its own author's only change.
        let own = document
            .history(usize::MAX)
            .into_iter()
            .find(|change| change.actor.as_bytes() == document.id().0 && change.seq == 1)?;
        document.value_at(&[own.hash], "chunk").filter(is_it)
    });
    match held {
        Some(Value::Bytes(bytes)) => Ok(bytes),
        _ => Err(Refusal::Chunk(document.id())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_equal_documents_and_read_back() {
        let bytes: Vec<u8> = (0..CHUNK_BYTES * 2 + 5).map(|at| (at % 251) as u8).collect();
        let blob = Blob::of(&bytes);
        assert_eq!(blob.chunks.len(), 3);
        assert_eq!(Blob::read(&blob.to_value()), Some(blob.clone()));
        let pieces: Vec<Document> = bytes.chunks(CHUNK_BYTES).map(|piece| chunk(piece).unwrap()).collect();
        assert!(pieces.iter().zip(&blob.chunks).all(|(piece, id)| piece.id() == *id));
        let again: Vec<u8> = pieces.iter().flat_map(|piece| bytes_of_chunk(piece).unwrap()).collect();
        assert_eq!(blob.check(&again), Ok(()));
        assert_eq!(blob.check(b"else"), Err(Refusal::Whole));
        assert_eq!(chunk(b"x").unwrap().heads(), chunk(b"x").unwrap().heads());
    }

    #[test]
    fn what_was_written_over_a_piece_does_not_count_and_a_false_piece_is_refused() {
        let mut piece = chunk(b"true").unwrap();
        piece.change(None, 0, |tx| tx.put("chunk", Value::Bytes(b"false".to_vec()))).unwrap();
        assert_eq!(bytes_of_chunk(&piece), Ok(b"true".to_vec()));
        let mut forged = Document::new(id_of_chunk(b"true"), ActorId::new(&[9]).unwrap(), TextUnit::CodePoint);
        forged.change(None, 0, |tx| tx.put("chunk", Value::Bytes(b"false".to_vec()))).unwrap();
        assert_eq!(bytes_of_chunk(&forged), Err(Refusal::Chunk(forged.id())));
    }

    #[test]
    fn what_makes_no_sense_is_no_blob() {
        let blob = Blob::of(b"abc");
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
