//! Sealed boxes: bytes that only the holder of one Ed25519 key can read, and that do not say who closed them.
//!
//! A key that signs is turned into one that agrees: the public key into X25519's by the map between the two curves, the secret into the
//! scalar that Ed25519 makes of it. Whoever closes a box draws a key for it alone; what both ends agree on becomes, by HKDF-SHA256, the
//! key and the nonce of XChaCha20-Poly1305. Nothing proves the sender: what is inside has to.

use super::key::{Ephemeral, agree};
use crate::base::id::PeerId;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use sha2::Sha256;

/// Bytes that a box has more than what is in it: the key drawn for it, and what shows that nothing was changed.
pub const BOX_OVERHEAD_BYTES: usize = 32 + 16;

const LABEL: &[u8] = b"driftline sealed box 1\0";

/// What opens the boxes that were closed for a key.
#[derive(Clone)]
pub struct Unsealer {
    recipient: PeerId,
    key: SigningKey,
}

/// Why a box could not be closed or opened: the key is none, or the box was closed for another, or altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoxError {
    /// Nothing can be sealed for this key: it is no point of the curve, or one of the few that anyone could open.
    #[error("the recipient's key is not a key: check that all of it was copied")]
    BadKey,
    /// It does not open.
    #[error("it was not sealed for this key, or was altered on its way")]
    Sealed,
}

impl Unsealer {
    /// Of the secret Ed25519 key, 32 bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(secret);
        Self { recipient: PeerId(key.verifying_key().to_bytes()), key }
    }

    /// Whose boxes it opens.
    pub fn recipient(&self) -> PeerId {
        self.recipient
    }

    /// What is in a box that was closed with the same `context`.
    ///
    /// # Errors
    ///
    /// [`BoxError::Sealed`].
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, BoxError> {
        let (ephemeral, sealed) = sealed.split_at_checked(32).ok_or(BoxError::Sealed)?;
        let ephemeral = <[u8; 32]>::try_from(ephemeral).map_err(|_| BoxError::Sealed)?;
        let shared = agree(&self.key, &ephemeral).ok_or(BoxError::Sealed)?;
        let (cipher, nonce) = cipher(&shared, &ephemeral, &self.recipient);
        cipher.decrypt(&nonce, Payload { msg: sealed, aad: context }).map_err(|_| BoxError::Sealed)
    }
}

/// Closes a box for `recipient`, with a secret that is drawn for this box alone. `context` is not in it; it opens only with the same.
///
/// # Errors
///
/// [`BoxError::BadKey`].
pub fn seal(recipient: &PeerId, drawn: [u8; 32], context: &[u8], content: &[u8]) -> Result<Vec<u8>, BoxError> {
    let drawn = Ephemeral::new(drawn);
    let (shared, ephemeral) = (drawn.agree(recipient).ok_or(BoxError::BadKey)?, drawn.public());
    let (cipher, nonce) = cipher(&shared, &ephemeral, recipient);
    let closed = cipher.encrypt(&nonce, Payload { msg: content, aad: context }).map_err(|_| BoxError::BadKey)?;
    Ok([&ephemeral[..], &closed].concat())
}

/// Key and nonce follow from the secret both agree on and from whose box it is; each is used for one box.
fn cipher(shared: &[u8; 32], ephemeral: &[u8; 32], recipient: &PeerId) -> (XChaCha20Poly1305, XNonce) {
    let salt = [&ephemeral[..], &recipient.0].concat();
    let mut derived = [0; 32 + 24];
    Hkdf::<Sha256>::new(Some(&salt), shared).expand(LABEL, &mut derived).expect("HKDF gives that many bytes");
    let (mut key, mut nonce) = ([0; 32], [0; 24]);
    key.copy_from_slice(&derived[..32]);
    nonce.copy_from_slice(&derived[32..]);
    (XChaCha20Poly1305::new(&key.into()), nonce.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{from_hex, to_hex};
    use proptest::prelude::*;

    /// Computed in Python by `docs/protocol.md` alone, with X25519, HKDF and ChaCha20-Poly1305 of `cryptography` and HChaCha20 by its draft.
    const KNOWN: &str = concat!(
        "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59646e06c9dc6a9aafe039d65b1d4e2608b449",
        "b28d6ae58a5471e13710a76f7599f2e8"
    );

    #[test]
    fn a_known_answer() {
        let unsealer = Unsealer::new(&[1; 32]);
        let sealed = seal(&unsealer.recipient(), [2; 32], b"context", b"Tides turn at six.").unwrap();
        assert_eq!(to_hex(&sealed), KNOWN);
        assert_eq!(unsealer.open(b"context", &from_hex(KNOWN).unwrap()).unwrap(), b"Tides turn at six.");
    }

    #[test]
    fn a_box_opens_for_nobody_else_in_no_other_context_and_not_when_a_bit_is_changed() {
        let (anna, ben) = (Unsealer::new(&[1; 32]), Unsealer::new(&[2; 32]));
        let sealed = seal(&anna.recipient(), [3; 32], b"one", b"calm").unwrap();
        assert_eq!(sealed.len(), 4 + BOX_OVERHEAD_BYTES);
        assert_eq!(ben.open(b"one", &sealed), Err(BoxError::Sealed));
        assert_eq!(anna.open(b"two", &sealed), Err(BoxError::Sealed));
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(anna.open(b"one", &altered), Err(BoxError::Sealed), "bit {at}");
            assert_eq!(anna.open(b"one", &sealed[..at]), Err(BoxError::Sealed), "{at} bytes");
        }
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        assert_eq!(seal(&PeerId(identity_point), [3; 32], b"", b"calm"), Err(BoxError::BadKey));
        let mut zeros = sealed;
        zeros[..32].fill(0);
        assert_eq!(anna.open(b"one", &zeros), Err(BoxError::Sealed), "a key that anyone can agree with");
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened_and_any_bytes_are_legal_input(
            secret: [u8; 32], drawn: [u8; 32], context: Vec<u8>, content: Vec<u8>, junk: Vec<u8>,
        ) {
            let unsealer = Unsealer::new(&secret);
            let sealed = seal(&unsealer.recipient(), drawn, &context, &content).unwrap();
            prop_assert_eq!(unsealer.open(&context, &sealed).unwrap(), content);
            prop_assert!(unsealer.open(&context, &junk).is_err());
        }
    }
}
