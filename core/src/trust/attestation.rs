//! Attestations: a key vouches for an actor's work up to a change.
//!
//! A change names by hash all that it depends on, an actor's own change before it included. So one signature on an actor's newest
//! change vouches for everything the actor has written, and only the newest is kept. In an owned space an actor's id is made from its
//! key ([`super::owned`]), so that nobody can vouch for another's work.

use super::key::{SIGNATURE_BYTES, Signer, is_signed_by};
use super::owned::is_actor_of;
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, ChangeHash, DocumentId, PeerId, SpaceId};
use crate::base::limits::ACTOR_BYTES_MAX;

const LABEL: &[u8] = b"driftline attestation 1\0";

/// A key's word for what an actor of its own has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// The document.
    pub document: DocumentId,
    /// The actor.
    pub actor: ActorId,
    /// The change: the actor's so-manieth in the document.
    pub seq: u64,
    /// The change's hash.
    pub hash: ChangeHash,
    /// The key.
    pub signer: PeerId,
    signature: [u8; SIGNATURE_BYTES],
}

/// Why an attestation is not taken. Caused by whoever made it, or sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// It does not decode.
    #[error("it does not decode: {0}")]
    Decode(#[from] DecodeError),
    /// The key is not the one that the actor's id is made from: signed again by another.
    #[error("it is signed by another key than its actor's")]
    NotItsActors,
    /// The signature does not fit: forged, altered, or of another space.
    #[error("its signature is not its key's, or was made for another space")]
    Signature,
    /// An earlier one than is held: replayed, or overtaken.
    #[error("a newer one is held")]
    Older,
    /// It names another change than is held under that number.
    #[error("it vouches for another change than is held: one of the two is forged, or the actor wrote twice under one number")]
    OtherChange,
}

impl Attestation {
    /// Vouches for an actor of the signer's own up to a change.
    pub fn sign(
        space: &SpaceId,
        document: DocumentId,
        actor: ActorId,
        (seq, hash): (u64, ChangeHash),
        signer: &impl Signer,
    ) -> Self {
        let signature = signer.sign(&signed(space, &document, &actor, seq, &hash));
        Self { document, actor, seq, hash, signer: signer.peer(), signature }
    }

    /// Writes it.
    pub fn encode(&self, w: &mut Writer) {
        w.put(&self.document.0);
        w.bytes(self.actor.as_bytes());
        w.uint(self.seq);
        w.put(&self.hash.0);
        w.put(&self.signer.0);
        w.put(&self.signature);
    }

    /// The bytes of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.encode(&mut w);
        w.finish()
    }

    /// Reads what was written. Whether it is worth anything, [`Self::check`] tells.
    ///
    /// # Errors
    ///
    /// It does not decode.
    pub fn decode(bytes: &[u8]) -> Result<Self, AttestationError> {
        let mut r = Reader::new(bytes);
        let document = DocumentId(r.array()?);
        let actor = ActorId::new(r.bytes(ACTOR_BYTES_MAX)?).ok_or(DecodeError::Invalid("an actor id is too long"))?;
        let seq = r.uint()?;
        if seq == 0 {
            return Err(DecodeError::Invalid("an attestation of no change").into());
        }
        let (hash, signer, signature) = (ChangeHash(r.array()?), PeerId(r.array()?), r.array()?);
        r.end()?;
        Ok(Self { document, actor, seq, hash, signer, signature })
    }

    /// Whether it may take the place of what is held of the same actor and document, `held`, in a space. The signature is checked last,
    /// since that is what costs.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, space: &SpaceId, held: Option<&Self>) -> Result<(), AttestationError> {
        if let Some(held) = held {
            if held.seq > self.seq {
                return Err(AttestationError::Older);
            }
            if held.seq == self.seq && held.hash != self.hash {
                return Err(AttestationError::OtherChange);
            }
        }
        if !is_actor_of(&self.actor, &self.signer) {
            return Err(AttestationError::NotItsActors);
        }
        let message = signed(space, &self.document, &self.actor, self.seq, &self.hash);
        if is_signed_by(&self.signer, &message, &self.signature) { Ok(()) } else { Err(AttestationError::Signature) }
    }
}

fn signed(space: &SpaceId, document: &DocumentId, actor: &ActorId, seq: u64, hash: &ChangeHash) -> Vec<u8> {
    let mut w = Writer::new();
    w.put(LABEL);
    w.put(&space.0);
    w.put(&document.0);
    w.bytes(actor.as_bytes());
    w.uint(seq);
    w.put(&hash.0);
    w.finish()
}

#[cfg(test)]
#[path = "attestation_tests.rs"]
mod tests;
