//! Snapshots: the beginning of a log as one piece, many times smaller than its entries.
//!
//! A snapshot stands for every entry within its version. What it looks like inside only those know who make and read it; here
//! and in the store it is bytes. A log that has one may let go of the entries it stands for, up to its base: who needs these is
//! given the snapshot instead. The newest entries stay beside it, so that someone who was away for a while is sent those few.

use super::clock::VectorClock;
use super::version::Version;
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use std::sync::Arc;

/// The beginning of a log as one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What it stands for. In a log it takes the positions up to [`Self::end`].
    pub version: Version,
    /// What it says.
    pub bytes: Arc<[u8]>,
}

impl Snapshot {
    /// How many entries it stands for, which is the position it takes the place up to.
    pub fn end(&self) -> u64 {
        self.version.clock.entries()
    }
}

/// Where the entries of a log begin that are held as entries: all before are in its snapshot only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// The last position that is not held as an entry, 0 when all are.
    pub position: u64,
    /// The clock there.
    pub clock: VectorClock,
}

impl Base {
    /// Writes it: the position, then the clock.
    pub fn encode(&self, writer: &mut Writer) {
        writer.uint(self.position);
        self.clock.encode(writer);
    }

    /// Reads what [`Self::encode`] wrote; refuses a clock that stands for another number of entries than the position says.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (position, clock) = (reader.uint()?, VectorClock::decode(reader)?);
        if clock.entries() != position {
            return Err(DecodeError::Invalid("a log's base has a clock that does not fit its position"));
        }
        Ok(Self { position, clock })
    }
}

/// A snapshot as a log knows of it, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// What it stands for.
    pub version: Version,
    /// How many bytes it has.
    pub bytes: u64,
    /// Up to where the log holds nothing but it.
    pub base: Base,
}

impl SnapshotSummary {
    /// About how many bytes it takes in memory, for bounds.
    pub fn weight(&self) -> usize {
        SUMMARY_BYTES + self.version.weight() + self.base.clock.weight()
    }
}

/// What a summary takes in memory beside its version and the clock of its base.
const SUMMARY_BYTES: usize = 96;

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPart {
    /// What the whole stands for.
    pub version: Version,
    /// Bytes of the whole.
    pub size: u64,
    /// Where the part begins.
    pub offset: u64,
    /// The part.
    pub bytes: Arc<[u8]>,
}
