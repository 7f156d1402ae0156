//! Large frames of strands, deflated.
//!
//! What is abridged still says the same few things again and again. Measured on histories that people have written (one author's and
//! two authors'), deflating takes a fifth off a frame of 40 changes and a third off one of 400, and costs a tenth of what
//! making the frame has cost. Below a kibibyte there is little to win. What is not abridged is not worth the time: it is noise or
//! deflated already.

use crate::base::error::DecodeError;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use std::io::{Read as _, Write as _};

/// Bytes from which it pays to deflate.
const PACK_BYTES_MIN: usize = 1024;
/// Most bytes that are deflated at once: it takes some ten milliseconds.
const PACK_BYTES_MAX: usize = 512 * 1024;
/// Most bytes that a frame may unpack to, whatever it promises.
pub const UNPACKED_BYTES_MAX: usize = 1024 * 1024;

/// `bytes` deflated, of which `abridged` are of abridged changes; nothing when that does not pay.
pub fn pack(bytes: &[u8], abridged: usize) -> Option<Vec<u8>> {
    if !(PACK_BYTES_MIN..=PACK_BYTES_MAX).contains(&bytes.len()) || 2 * abridged < bytes.len() {
        return None;
    }
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::default());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().filter(|packed| packed.len() < bytes.len() / 8 * 7)
}

/// What was deflated. Never makes more than [`UNPACKED_BYTES_MAX`] of it.
///
/// # Errors
///
/// It does not inflate, is more than that, or something follows it.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = DeflateDecoder::new(packed);
    let mut bytes = Vec::new();
    (&mut decoder)
        .take(UNPACKED_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| DecodeError::Invalid("a deflated frame does not inflate"))?;
    if bytes.len() > UNPACKED_BYTES_MAX {
        return Err(DecodeError::Invalid("a deflated frame inflates to more than a mebibyte"));
    }
    match packed.len() - decoder.total_in() as usize {
        0 => Ok(bytes),
        bytes => Err(DecodeError::Trailing { bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_packed_unpacks_to_the_same_and_nothing_else_does() {
        let bytes: Vec<u8> = (0..5_000u32).flat_map(|at| [7, (at % 13) as u8]).collect();
        let packed = pack(&bytes, bytes.len()).unwrap();
        assert!(packed.len() < bytes.len() / 2);
        assert_eq!(unpack(&packed), Ok(bytes));
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end]).is_err(), "cut at {end}");
        }
        let longer = [&packed[..], &[0, 1]].concat();
        assert_eq!(unpack(&longer), Err(DecodeError::Trailing { bytes: 2 }));
        assert!(unpack(&[0xff; 40]).is_err());
    }

    #[test]
    fn what_would_not_get_smaller_is_left_alone() {
        let noise: Vec<u8> = (0..1_000u32).flat_map(|at| <[u8; 32]>::from(Sha256::digest(at.to_be_bytes()))).collect();
        assert_eq!(pack(&noise, noise.len()), None);
        assert_eq!(pack(&[7; PACK_BYTES_MIN - 1], PACK_BYTES_MIN - 1), None, "too small");
        assert_eq!(pack(&[7; PACK_BYTES_MAX + 1], PACK_BYTES_MAX + 1), None, "too large");
        assert_eq!(pack(&[7; 4_096], 1_000), None, "mostly whole changes");
    }

    #[test]
    fn a_bomb_is_refused_when_it_has_made_a_mebibyte() {
        let bomb = deflated(&vec![0; 64 * UNPACKED_BYTES_MAX]);
        assert!(bomb.len() < 100_000);
        assert_eq!(unpack(&bomb), Err(DecodeError::Invalid("a deflated frame inflates to more than a mebibyte")));
        assert_eq!(unpack(&deflated(&vec![0; UNPACKED_BYTES_MAX])).map(|bytes| bytes.len()), Ok(UNPACKED_BYTES_MAX));
    }
}
