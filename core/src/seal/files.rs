//! Documents that are named by what they hold, as the pieces of files are.
//!
//! Whoever has the bytes and the key finds the document, so that equal bytes are kept once. A relay has no key, and learns nothing by a
//! name. The key is that of an epoch: someone who was shut out could otherwise ask of every later name whether it is that of bytes they
//! have at hand.

use super::key::EpochId;
use super::keyring::Keyring;
use crate::base::id::DocumentId;
use hmac::Mac as _;

impl Keyring {
    /// The name that what has this digest has in an epoch: the first 16 bytes of an HMAC-SHA256 of it. Nothing where the key is not here.
    pub fn name_of_bytes(&self, epoch: &EpochId, digest: &[u8; 32]) -> Option<DocumentId> {
        let mut mac = self.keys(epoch)?.files.clone();
        mac.update(digest);
        let made = mac.finalize().into_bytes();
        made.first_chunk().copied().map(DocumentId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{SpaceId, to_hex};
    use crate::seal::key::EpochKey;

    const SPACE: SpaceId = SpaceId([5; 16]);
    const EPOCH: EpochId = EpochId([1; 32]);

    fn keyring(space: SpaceId, epoch: EpochId, key: u8) -> Keyring {
        let mut keys = Keyring::new(space);
        keys.put(epoch, EpochKey::new([key; 32]));
        keys
    }

    #[test]
    fn known_answer() {
        // Computed with Python's hmac from the same bytes.
        let name = keyring(SPACE, EPOCH, 7).name_of_bytes(&EPOCH, &[9; 32]).unwrap();
        assert_eq!(to_hex(&name.0), KNOWN);
    }

    const KNOWN: &str = "7aeaf543ca281783f99417ba62668408";

    #[test]
    fn a_name_is_of_a_space_and_an_epoch_and_bytes_and_nobody_without_the_key_makes_it() {
        let keys = keyring(SPACE, EPOCH, 7);
        let name = keys.name_of_bytes(&EPOCH, &[9; 32]);
        assert_eq!(keys.clone().name_of_bytes(&EPOCH, &[9; 32]), name);
        assert_ne!(keys.name_of_bytes(&EPOCH, &[8; 32]), name);
        assert_ne!(keyring(SpaceId([6; 16]), EPOCH, 7).name_of_bytes(&EPOCH, &[9; 32]), name);
        assert_ne!(keyring(SPACE, EPOCH, 8).name_of_bytes(&EPOCH, &[9; 32]), name);
        assert_eq!(keys.name_of_bytes(&EpochId([2; 32]), &[9; 32]), None);
    }
}
