//! Stamps: work that a relay asks for a space that it does not know, so that nobody makes thousands of them for nothing.
//!
//! After Back's hashcash: a number is sought with which a hash begins with so many zero bits. Each bit more takes twice as long to find, and
//! no longer to check.

use crate::base::id::{PeerId, SpaceId};
use sha2::{Digest as _, Sha256};

const LABEL: &[u8] = b"driftline stamp 1\0";

/// A number that is being sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    relay: PeerId,
    space: SpaceId,
    bits: u32,
    next: u64,
}

impl Search {
    /// One that has not begun. `from` is where it begins: drawn, so that two who seek the same do not do the same.
    pub fn new(relay: PeerId, space: SpaceId, bits: u32, from: u64) -> Self {
        Self { relay, space, bits, next: from }
    }

    /// Tries so many numbers; answers one that is good.
    pub fn step(&mut self, tries: u32) -> Option<[u8; 8]> {
        for _ in 0..tries {
            let nonce = self.next.to_le_bytes();
            self.next = self.next.wrapping_add(1);
            if is_good(&self.relay, &self.space, self.bits, &nonce) {
                return Some(nonce);
            }
        }
        None
    }
}

/// Whether a number is good for a space at a relay.
pub fn is_good(relay: &PeerId, space: &SpaceId, bits: u32, nonce: &[u8; 8]) -> bool {
    let hash = Sha256::new().chain_update(LABEL).chain_update(relay.0).chain_update(space.0).chain_update(nonce).finalize();
    let mut zeros = 0;
    for byte in hash {
        zeros += byte.leading_zeros();
        if byte != 0 {
            break;
        }
    }
    zeros >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_answer() {
        // Found in Python: the first number from 0 on whose hash begins with 16 zero bits.
        let (relay, space) = (PeerId([1; 32]), SpaceId([2; 16]));
        let nonce = Search::new(relay, space, 16, 0).step(u32::MAX);
        assert_eq!(nonce.map(u64::from_le_bytes), Some(182_677));
        let nonce = nonce.unwrap_or_default();
        assert!(is_good(&relay, &space, 16, &nonce));
        for (relay, space, bits) in [(PeerId([3; 32]), space, 16), (relay, SpaceId([3; 16]), 16), (relay, space, 30)] {
            assert!(!is_good(&relay, &space, bits, &nonce), "it is for one relay, one space and so much");
        }
        assert!(!is_good(&relay, &space, 257, &nonce), "more than a hash has");
    }

    #[test]
    fn a_search_goes_on_where_it_stopped() {
        let new = || Search::new(PeerId([1; 32]), SpaceId([2; 16]), 10, 7);
        let mut in_steps = new();
        let found = (0..100_000).find_map(|_| in_steps.step(3));
        assert_eq!(found, new().step(u32::MAX));
        assert!(found.is_some());
    }
}
