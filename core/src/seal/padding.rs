//! Sizes: what is sealed is rounded up first, so that its length says little of what is in it.
//!
//! A byte 0x80 and zeros follow what is sealed (ISO/IEC 7816-4). Up to 1,024 bytes the sum is a multiple of 32; above that it is rounded as
//! PURBs are (Padmé: Nikitin et al., *Reducing Metadata Leakage from Encrypted Files and Communication with PURBs*, 2019), which adds
//! less than an eighth. So one keystroke looks like most others, and of a file a few bits of its length are told.

/// What short ones are a multiple of.
const BLOCK: usize = 32;
/// Up to where.
const BLOCKS_MAX: usize = 1_024;

/// The length to which so many bytes are padded, the mark included.
pub fn padded_len(bytes: usize) -> usize {
    let least = bytes + 1;
    if least <= BLOCKS_MAX {
        return least.next_multiple_of(BLOCK);
    }
    let exponent = least.ilog2();
    let free = exponent - (exponent.ilog2() + 1);
    least.next_multiple_of(1 << free)
}

/// Bytes with what makes them as long as many others.
pub fn pad(bytes: &[u8]) -> Vec<u8> {
    let mut padded = Vec::with_capacity(padded_len(bytes.len()));
    padded.extend_from_slice(bytes);
    padded.push(0x80);
    padded.resize(padded_len(bytes.len()), 0);
    padded
}

/// What was padded; nothing where it was padded otherwise.
pub fn unpad(mut padded: Vec<u8>) -> Option<Vec<u8>> {
    let mark = padded.iter().rposition(|byte| *byte != 0).filter(|at| padded[*at] == 0x80)?;
    let whole = padded.len();
    padded.truncate(mark);
    (padded_len(mark) == whole).then_some(padded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_lengths() {
        let lengths = [(0, 32), (31, 32), (32, 64), (95, 96), (96, 128), (1_023, 1_024), (1_024, 1_088), (65_535, 65_536)];
        for (bytes, padded) in lengths {
            assert_eq!(padded_len(bytes), padded, "{bytes}");
        }
        assert_eq!(padded_len(100_000), 100_352);
    }

    proptest! {
        #[test]
        fn what_is_padded_comes_back_and_nothing_is_padded_in_two_ways(bytes in proptest::collection::vec(any::<u8>(), 0..3_000)) {
            let padded = pad(&bytes);
            prop_assert_eq!(padded.len(), padded_len(bytes.len()));
            prop_assert!(padded.len() <= bytes.len() + BLOCK + bytes.len() / 8);
            prop_assert_eq!(unpad(padded.clone()), Some(bytes.clone()));
            let longer = [&padded[..], &[0; 32]].concat();
            prop_assert_eq!(unpad(longer), None);
            prop_assert_eq!(unpad(vec![0; padded.len()]), None);
        }
    }
}
