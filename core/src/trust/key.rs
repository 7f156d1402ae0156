//! Signatures: what is signed always begins with a label that says what it is, so that none passes for another.

use crate::base::id::PeerId;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Whoever can sign for a key: it need not show the key.
pub trait Signer {
    /// Who it is.
    fn peer(&self) -> PeerId;
    /// An Ed25519 signature of `message`.
    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES];
}

/// A secret key at hand, such as a link's.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of these 32 secret bytes (RFC 8032).
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }
}

impl Signer for SecretKey {
    fn peer(&self) -> PeerId {
        PeerId(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }
}

/// Whether `signature` is a signature of `message` by `signer`, strictly: no small-order keys, one encoding of each signature.
pub fn is_signed_by(signer: &PeerId, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&signer.0) else { return false };
    key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
}
