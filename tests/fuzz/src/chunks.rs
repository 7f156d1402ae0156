//! Automerge's chunks within other bytes, given checksums that fit: chance finds none, and whoever means harm writes them.

use sha2::{Digest as _, Sha256};

/// What every chunk begins with.
const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// `bytes`, with the checksum of every chunk in it made to fit; the innermost first.
pub(crate) fn fitted(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let starts: Vec<usize> = (0..bytes.len().saturating_sub(9)).filter(|at| bytes[*at..].starts_with(&MAGIC)).collect();
    for at in starts.into_iter().rev() {
        if let Some(end) = end_of(&bytes[at + 9..]) {
            let sum = Sha256::digest(&bytes[at + 8..at + 9 + end]);
            bytes[at + 4..at + 8].copy_from_slice(&sum[..4]);
        }
    }
    bytes
}

/// Where a chunk's length and as many bytes end.
fn end_of(bytes: &[u8]) -> Option<usize> {
    let mut length = 0usize;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(at + 1 + length).filter(|end| *end <= bytes.len());
        }
    }
    None
}
