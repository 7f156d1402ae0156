//! Automerge's own sync messages, read without trust.
//!
//! Automerge's library reads such a message quickly and believes what it says of itself: a Bloom filter of a few bytes may ask for
//! four thousand million probes of every change, or for a division by nothing. So a message is read here first, against bounds,
//! and the library is given what is left of it once the changes are taken out, which are checked as those of every peer are.

use super::automerge_sync::SyncError;
use crate::base::codec::{Reader, Writer};
use crate::base::limits::{
    FRAME_ENTRIES_MAX, HEADS_MAX, SYNC_BLOOM_BITS_MAX, SYNC_BLOOM_BYTES_MAX, SYNC_BLOOM_PROBES_MAX, SYNC_HAVES_MAX,
    SYNC_NEEDS_MAX,
};
use automerge::sync::Message;

/// The first byte of a message whose changes are listed, and of one in which they are one piece.
const KINDS: [u8; 2] = [0x42, 0x43];

/// A message, and the changes that were in it.
pub(super) struct RawMessage<'a> {
    /// All but the changes.
    pub(super) message: Message,
    /// The changes: each piece one or several chunks of Automerge's format.
    pub(super) pieces: Vec<&'a [u8]>,
}

impl<'a> RawMessage<'a> {
    /// Reads a message.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, SyncError> {
        let mut reader = Reader::new(bytes);
        if !KINDS.contains(&reader.u8()?) {
            return Err(SyncError::Malformed("it is not a sync message"));
        }
        hashes(&mut reader, HEADS_MAX)?;
        hashes(&mut reader, SYNC_NEEDS_MAX)?;
        for _ in 0..reader.count(SYNC_HAVES_MAX, 2)? {
            hashes(&mut reader, HEADS_MAX)?;
            check_bloom(reader.bytes(SYNC_BLOOM_BYTES_MAX)?)?;
        }
        let before = &bytes[..bytes.len() - reader.remaining()];
        let count = reader.count(FRAME_ENTRIES_MAX, 1)?;
        let mut pieces = Vec::with_capacity(count);
        for _ in 0..count {
            pieces.push(reader.bytes(usize::MAX)?);
        }
        let after = &bytes[bytes.len() - reader.remaining()..];
        if !after.is_empty() {
            reader.bytes(usize::MAX)?;
            reader.end()?;
        }
        let mut rest = Writer::with_capacity(before.len() + 1 + after.len());
        rest.put(before);
        rest.uint(0);
        rest.put(after);
        let message =
            Message::decode(&rest.finish()).map_err(|_| SyncError::Malformed("Automerge's library does not read it"))?;
        Ok(Self { message, pieces })
    }
}

fn hashes(reader: &mut Reader<'_>, max: usize) -> Result<(), SyncError> {
    let count = reader.count(max, 32)?;
    reader.take(count * 32)?;
    Ok(())
}

/// A filter is empty, or says how many entries it has, bits for each and probes for each; the bits follow.
fn check_bloom(bytes: &[u8]) -> Result<(), SyncError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::new(bytes);
    let (entries, bits, probes) = (reader.uint()?, reader.uint()?, reader.uint()?);
    let sound = (1..=u64::from(u32::MAX)).contains(&entries)
        && (1..=SYNC_BLOOM_BITS_MAX).contains(&bits)
        && (1..=SYNC_BLOOM_PROBES_MAX).contains(&probes)
        && (entries * bits).div_ceil(8) == reader.remaining() as u64;
    if sound { Ok(()) } else { Err(SyncError::Malformed("its Bloom filter is of an absurd size")) }
}
