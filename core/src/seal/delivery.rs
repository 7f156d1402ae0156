//! Keys sealed to a member's key, so that nobody else on the way opens them, and the member need not be there.
//!
//! A key is drawn, and what it has in common with the member's (X25519) makes, by HKDF, a key that is used once. The member's
//! signing key is turned into one of X25519, as libsodium does it: a member is known by one key, and whoever delivers needs no more.

use super::aead;
use super::key::{EpochKey, SEALED_KEY_BYTES, expand};
use crate::base::id::{PeerId, SpaceId};

const LABEL: &[u8] = b"driftline seal 1 delivery";

/// Seals an epoch's key to a member, by what the drawn key `ephemeral`, of which this is the public half, has in common with the member's.
pub fn deliver(
    space: &SpaceId,
    subject: &PeerId,
    ephemeral: &[u8; 32],
    shared: &[u8; 32],
    key: &EpochKey,
) -> [u8; SEALED_KEY_BYTES] {
    let sealed = aead::seal(&once(subject, ephemeral, shared), &[0; aead::NONCE_BYTES], &space.0, key.bytes());
    sealed.try_into().unwrap_or_else(|_| unreachable!("a key and a tag"))
}

/// Opens what [`deliver`] sealed. Whether it is the epoch's key, its commitment tells.
pub fn receive(
    space: &SpaceId,
    subject: &PeerId,
    ephemeral: &[u8; 32],
    shared: &[u8; 32],
    sealed: &[u8; SEALED_KEY_BYTES],
) -> Option<EpochKey> {
    let opened = aead::open(&once(subject, ephemeral, shared), &[0; aead::NONCE_BYTES], &space.0, sealed)?;
    opened.try_into().ok().map(EpochKey::new)
}

/// The key for one delivery: the drawn key, whom it is for and what they have in common are used together once.
fn once(subject: &PeerId, ephemeral: &[u8; 32], shared: &[u8; 32]) -> [u8; 32] {
    let salt = [&ephemeral[..], &subject.0].concat();
    expand(&salt, shared, LABEL)
}
