//! What is said of the keys of a sealed space: that a new one holds from now on, and that here it is for someone.
//!
//! An epoch begins with each shutting out. It says what its key is bound to, brings the key to everyone who stands, each sealed to
//! their own, and carries the keys of the epochs before it, sealed under its own: so the newest opens all. A delivery brings an
//! epoch's key to someone who came in since. What is sealed in them is bytes here; [`crate::seal`] makes and opens it.

use super::statement::{StatementId, decode_parent, encode_parent};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::PeerId;
use crate::base::limits::{EPOCH_CARRIED_MAX, EPOCH_DELIVERIES_MAX};
use std::collections::BTreeMap;

/// Bytes of a key that is sealed: the key, and what shows that nobody altered it.
pub const SEALED_KEY_BYTES: usize = 48;

/// From now on this key seals what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Who says so.
    pub issuer: PeerId,
    /// By which grant of admin level; the owner needs none.
    pub parent: Option<StatementId>,
    /// One more than the highest of those that it carries; 1 for the first of a space.
    pub number: u64,
    /// What the key is bound to: no other passes for it.
    pub commitment: [u8; 32],
    /// The public half of a key that was drawn for the deliveries.
    pub ephemeral: [u8; 32],
    /// The keys of epochs before it, each sealed under this one's.
    pub carried: BTreeMap<StatementId, [u8; SEALED_KEY_BYTES]>,
    /// The key, sealed to each of these.
    pub deliveries: BTreeMap<PeerId, [u8; SEALED_KEY_BYTES]>,
}

/// Here is the key of an epoch for someone who came in since it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who says so.
    pub issuer: PeerId,
    /// By which grant of its own, of any level; the owner needs none.
    pub parent: Option<StatementId>,
    /// The epoch.
    pub epoch: StatementId,
    /// For whom: a member's key, or a link's.
    pub subject: PeerId,
    /// The public half of a key that was drawn for it.
    pub ephemeral: [u8; 32],
    /// The key, sealed.
    pub sealed: [u8; SEALED_KEY_BYTES],
}

impl Epoch {
    pub(super) fn encode(&self, w: &mut Writer) {
        w.put(&self.issuer.0);
        encode_parent(&self.parent, w);
        w.uint(self.number);
        w.put(&self.commitment);
        w.put(&self.ephemeral);
        w.uint(self.carried.len() as u64);
        for (epoch, sealed) in &self.carried {
            w.put(&epoch.0);
            w.put(sealed);
        }
        w.uint(self.deliveries.len() as u64);
        for (subject, sealed) in &self.deliveries {
            w.put(&subject.0);
            w.put(sealed);
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (issuer, parent) = (PeerId(r.array()?), decode_parent(r)?);
        let (number, commitment, ephemeral) = (r.uint()?, r.array()?, r.array()?);
        let carried = decode_sorted(r, EPOCH_CARRIED_MAX, "what an epoch carries is out of order")?;
        let carried: BTreeMap<_, _> = carried.into_iter().map(|(id, sealed)| (StatementId(id), sealed)).collect();
        if number == 0 || (number == 1) != carried.is_empty() {
            return Err(DecodeError::Invalid("an epoch's number does not fit what it carries"));
        }
        let deliveries = decode_sorted(r, EPOCH_DELIVERIES_MAX, "an epoch's deliveries are out of order")?;
        let deliveries = deliveries.into_iter().map(|(id, sealed)| (PeerId(id), sealed)).collect();
        Ok(Self { issuer, parent, number, commitment, ephemeral, carried, deliveries })
    }
}

/// What a sealed key is for, and it.
type SealedKey = ([u8; 32], [u8; SEALED_KEY_BYTES]);

/// Sealed keys by what they are for, in ascending order.
fn decode_sorted(r: &mut Reader<'_>, max: usize, disorder: &'static str) -> Result<Vec<SealedKey>, DecodeError> {
    let count = r.count(max, 32 + SEALED_KEY_BYTES)?;
    let mut all: Vec<SealedKey> = Vec::with_capacity(count);
    for _ in 0..count {
        let item = (r.array()?, r.array()?);
        if all.last().is_some_and(|(last, _)| item.0 <= *last) {
            return Err(DecodeError::Invalid(disorder));
        }
        all.push(item);
    }
    Ok(all)
}

impl Delivery {
    pub(super) fn encode(&self, w: &mut Writer) {
        w.put(&self.issuer.0);
        encode_parent(&self.parent, w);
        w.put(&self.epoch.0);
        w.put(&self.subject.0);
        w.put(&self.ephemeral);
        w.put(&self.sealed);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (issuer, parent) = (PeerId(r.array()?), decode_parent(r)?);
        let (epoch, subject) = (StatementId(r.array()?), PeerId(r.array()?));
        Ok(Self { issuer, parent, epoch, subject, ephemeral: r.array()?, sealed: r.array()? })
    }
}

#[cfg(test)]
#[path = "epoch_tests.rs"]
mod tests;
