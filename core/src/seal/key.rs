//! The key of an epoch, and the keys that are made of it, one for each use.
//!
//! HKDF-SHA256 (RFC 5869) with the space's id as its salt and a label of the use as its info: what is made for one use tells nothing of
//! another, and what was sealed in one space opens in no other.

use super::aead;
use crate::base::id::SpaceId;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

/// Bytes of a key that is sealed.
pub const SEALED_KEY_BYTES: usize = 32 + aead::TAG_BYTES;

/// An epoch, by the id of the statement that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochId(pub [u8; 32]);

/// What an actor's id in a sealed space begins with: it writes in one epoch only, and its id says in which.
pub type EpochTag = [u8; 4];

impl EpochId {
    /// What actors' ids of the epoch begin with.
    pub fn tag(&self) -> EpochTag {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Shows that a key is the epoch's.
    Commitment,
    /// Carries the keys before it.
    Carrying,
    /// Seals entries.
    Entries,
    /// Names entries.
    Names,
    /// Seals snapshots.
    Snapshots,
    /// Seals presence and what members are called.
    Words,
    /// Names documents by what they hold.
    Files,
}

impl Use {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Commitment => b"driftline seal 1 commitment",
            Self::Carrying => b"driftline seal 1 carrying",
            Self::Entries => b"driftline seal 1 entries",
            Self::Names => b"driftline seal 1 names",
            Self::Snapshots => b"driftline seal 1 snapshots",
            Self::Words => b"driftline seal 1 words",
            Self::Files => b"driftline seal 1 files",
        }
    }
}

/// The key of an epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct EpochKey([u8; 32]);

impl Drop for EpochKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It is nobody's but the members'.
        f.write_str("EpochKey")
    }
}

impl EpochKey {
    /// A key of 32 bytes that were drawn at random.
    pub fn new(drawn: [u8; 32]) -> Self {
        Self(drawn)
    }

    /// The bytes of it, to be sealed or stored.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn of(&self, space: &SpaceId, used: Use) -> [u8; 32] {
        expand(&space.0, &self.0, used.label())
    }

    /// What no other key of the space has: it stands in the epoch's statement, and tells nothing of the key.
    pub fn commitment(&self, space: &SpaceId) -> [u8; 32] {
        self.of(space, Use::Commitment)
    }

    /// Seals the key of an epoch before under this one.
    pub fn carry(&self, space: &SpaceId, before: &EpochId, key: &Self) -> [u8; SEALED_KEY_BYTES] {
        // This key seals each of those before it once, bound to its id, so the id is nonce enough.
        let sealed = aead::seal(&self.of(space, Use::Carrying), &carrying_nonce(before), &before.0, &key.0);
        sealed.try_into().unwrap_or_else(|_| unreachable!("a key and a tag"))
    }

    /// Opens what [`Self::carry`] sealed.
    pub fn carried(&self, space: &SpaceId, before: &EpochId, sealed: &[u8; SEALED_KEY_BYTES]) -> Option<Self> {
        let opened = aead::open(&self.of(space, Use::Carrying), &carrying_nonce(before), &before.0, sealed)?;
        opened.try_into().ok().map(Self)
    }
}

fn carrying_nonce(before: &EpochId) -> [u8; aead::NONCE_BYTES] {
    let mut nonce = [0; aead::NONCE_BYTES];
    nonce.copy_from_slice(&before.0[..aead::NONCE_BYTES]);
    nonce
}

/// HKDF-SHA256, of 32 bytes.
pub(super) fn expand(salt: &[u8], material: &[u8], info: &[u8]) -> [u8; 32] {
    let mut made = [0; 32];
    match Hkdf::<Sha256>::new(Some(salt), material).expand(info, &mut made) {
        Ok(()) => made,
        Err(_) => unreachable!("32 bytes are few enough"),
    }
}
