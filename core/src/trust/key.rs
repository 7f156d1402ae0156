//! Signatures: what is signed always begins with a label that says what it is, so that none passes for another.

use crate::base::id::PeerId;
use curve25519_dalek::montgomery::MontgomeryPoint;
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

/// Whoever can open what is sealed to a key: it need not show the key.
pub trait Opener {
    /// Whose it is.
    fn owner(&self) -> PeerId;
    /// What this key and the secret half of `ephemeral` have in common (X25519); nothing where that is a point that any key gives.
    fn agree(&self, ephemeral: &[u8; 32]) -> Option<[u8; 32]>;
}

/// X25519 of a secret Ed25519 key and a public X25519 key. The secret half of an Ed25519 key is one of X25519, too (RFC 8032, 5.1.5, RFC 7748).
pub fn agree(key: &SigningKey, ephemeral: &[u8; 32]) -> Option<[u8; 32]> {
    let shared = MontgomeryPoint(*ephemeral).mul_clamped(key.to_scalar_bytes()).to_bytes();
    (shared != [0; 32]).then_some(shared)
}

/// What a key that is drawn for a few seals has: its public half, and what it has in common with each it seals to.
pub struct Ephemeral([u8; 32]);

impl Ephemeral {
    /// The key of 32 bytes that were drawn at random and are used for nothing else.
    pub fn new(drawn: [u8; 32]) -> Self {
        Self(drawn)
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        MontgomeryPoint::mul_base_clamped(self.0).to_bytes()
    }

    /// What it has in common with the key of `subject`; nothing where that is no key, or one that is everybody's.
    pub fn agree(&self, subject: &PeerId) -> Option<[u8; 32]> {
        let key = VerifyingKey::from_bytes(&subject.0).ok().filter(|key| !key.is_weak())?;
        let shared = key.to_montgomery().mul_clamped(self.0).to_bytes();
        (shared != [0; 32]).then_some(shared)
    }
}

impl Opener for SecretKey {
    fn owner(&self) -> PeerId {
        self.peer()
    }

    fn agree(&self, ephemeral: &[u8; 32]) -> Option<[u8; 32]> {
        agree(&self.0, ephemeral)
    }
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
