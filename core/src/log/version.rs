//! Versions: heads and vector clock together. The clock finds what is missing, the heads prove nothing is.

use super::clock::VectorClock;
use super::entry::Entry;
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ChangeHash, DocumentId};
use crate::base::limits::HEADS_MAX;
use sha2::{Digest as _, Sha256};

pub use super::heads::Heads;

/// How far a replica has come in one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The entries nothing depends on yet.
    pub heads: Heads,
    /// Highest sequence number held, by actor.
    pub clock: VectorClock,
}

/// What a version takes in memory beside its heads and its clock.
const VERSION_BYTES: usize = 96;

/// 16 bytes that stand for a document at a version: first half of the SHA-256 of its id and heads.
pub type Digest = [u8; 16];

impl Version {
    /// The version of a document of which nothing is held.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.clock.is_empty()
    }

    /// Moves past `entry`, which must be the actor's next and depend on nothing that is not held.
    pub fn advance(&mut self, entry: &Entry) {
        debug_assert_eq!(entry.seq, self.clock.get(&entry.actor) + 1, "entries of an actor come without gaps");
        for dep in &entry.deps {
            self.heads.remove(dep);
        }
        self.heads.insert(entry.hash);
        self.clock.raise(entry.actor, entry.seq);
    }

    /// What stands for `document` at this version when whole spaces are compared.
    pub fn digest(&self, document: &DocumentId) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(document.0);
        for head in &self.heads {
            hasher.update(head.0);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(&hasher.finalize()[..16]);
        digest
    }

    /// Writes it: a count of heads, the heads in order, then the clock.
    pub fn encode(&self, writer: &mut Writer) {
        writer.uint(self.heads.len() as u64);
        for head in &self.heads {
            writer.put(&head.0);
        }
        self.clock.encode(writer);
    }

    /// Reads what [`Self::encode`] wrote; refuses heads out of order, and heads without a clock or a clock without heads.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count(HEADS_MAX, 32)?;
        let mut heads = Heads::new();
        for _ in 0..count {
            let head = ChangeHash(reader.array()?);
            if heads.last().is_some_and(|last| head <= *last) {
                return Err(DecodeError::Invalid("heads are out of order"));
            }
            heads.insert(head);
        }
        let clock = VectorClock::decode(reader)?;
        if heads.is_empty() != clock.is_empty() {
            return Err(DecodeError::Invalid("a version has heads without a clock, or a clock without heads"));
        }
        Ok(Self { heads, clock })
    }

    /// About how many bytes it takes in memory, for bounds.
    pub fn weight(&self) -> usize {
        VERSION_BYTES + 32 * self.heads.len() + self.clock.weight()
    }

    /// Bytes that [`Self::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.len()
    }
}
