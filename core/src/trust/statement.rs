//! Statements: what an owner and those it trusts say of who may do what, signed.
//!
//! A founding says whose a space is. A grant says what a key may do, by whose leave, and until when. A revocation takes a
//! grant back, with all that was granted under it. A [`super::disavowal`] has nothing of an actor count but what is vouched for. In a sealed space there are [`super::epoch`]s and deliveries of their keys. A statement is known by the hash of what is signed: signed twice it is the same one.

use super::disavowal::Disavowal;
use super::epoch::{Delivery, Epoch};
use super::key::{SIGNATURE_BYTES, Signer, is_signed_by};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{DocumentId, PeerId, SpaceId, to_hex};
use crate::base::limits::{GRANT_CHAIN_MAX, GRANT_CHILDREN_MAX, GRANT_NOTE_BYTES_MAX, REVOCATION_CUTS_MAX, STATEMENT_BYTES_MAX};
use crate::log::clock::VectorClock;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

const LABEL: &[u8] = b"driftline statement 1\0";

const KIND_FOUNDING: u8 = 1;
const KIND_GRANT: u8 = 2;
const KIND_REVOCATION: u8 = 3;
const KIND_EPOCH: u8 = 4;
const KIND_DELIVERY: u8 = 5;
const KIND_DISAVOWAL: u8 = 6;

/// What a key may do in a space; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Level {
    /// Be sent what the space holds.
    Read = 1,
    /// And be seen there.
    Presence = 2,
    /// And change documents.
    Write = 3,
    /// And revoke what was granted under its own grant.
    Admin = 4,
}

impl Level {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Read, Self::Presence, Self::Write, Self::Admin].into_iter().find(|level| *level as u8 == byte)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Presence => "presence",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// A statement, by the SHA-256 of its space and of what is signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(pub [u8; 32]);

impl std::fmt::Display for StatementId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl std::fmt::Debug for StatementId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The space is this key's: its id follows from both.
    Founding {
        /// The owner.
        owner: PeerId,
        /// What tells the owner's spaces apart.
        nonce: [u8; 16],
    },
    /// A key may do something.
    Grant(Grant),
    /// A grant no longer stands.
    Revocation(Revocation),
    /// A key seals what is written from now on.
    Epoch(Epoch),
    /// Such a key, for someone.
    Delivery(Delivery),
    /// In a document nothing counts of some actors but what is vouched for.
    Disavowal(Disavowal),
}

/// A key may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who says so.
    pub issuer: PeerId,
    /// By which grant of its own; the owner needs none.
    pub parent: Option<StatementId>,
    /// Whose it is.
    pub subject: PeerId,
    /// What the key may do.
    pub level: Level,
    /// How many more grants may be made one under the other below this one.
    pub depth: u8,
    /// When it ends, in seconds of Unix time; 0 for never.
    pub expires: u64,
    /// Whether the key is a link's, which is whoever has the link, and not a replica's.
    pub is_link: bool,
    /// What tells it from another that says the same.
    pub serial: [u8; 8],
    /// What people call it: text, or what only members can read.
    pub note: Vec<u8>,
}

/// A grant no longer stands, nor what was granted under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Who says so.
    pub issuer: PeerId,
    /// By which grant, of admin level and above the one revoked; the owner needs none.
    pub parent: Option<StatementId>,
    /// The grant.
    pub target: StatementId,
    /// Grants made directly under it that stand all the same.
    pub kept: BTreeSet<StatementId>,
    /// By document, the last entry accepted of each actor that writes by what is revoked here. All others of theirs are refused.
    pub cuts: BTreeMap<DocumentId, VectorClock>,
}

/// A claim and its issuer's signature, which was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    id: StatementId,
    claim: Claim,
    bytes: Vec<u8>,
}

/// Why bytes are not a statement of a space. Caused by whoever made them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// They do not decode.
    #[error("it does not decode: {0}")]
    Decode(#[from] DecodeError),
    /// The signature is not the issuer's, or is of another space.
    #[error("its signature is not its issuer's, or was made for another space")]
    Signature,
}

impl Claim {
    /// Who says it.
    pub fn issuer(&self) -> PeerId {
        match self {
            Self::Founding { owner, .. } => *owner,
            Self::Grant(grant) => grant.issuer,
            Self::Revocation(revocation) => revocation.issuer,
            Self::Epoch(epoch) => epoch.issuer,
            Self::Delivery(delivery) => delivery.issuer,
            Self::Disavowal(disavowal) => disavowal.issuer,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Founding { owner, nonce } => {
                w.u8(KIND_FOUNDING);
                w.put(&owner.0);
                w.put(nonce);
            }
            Self::Grant(grant) => {
                w.u8(KIND_GRANT);
                w.put(&grant.issuer.0);
                encode_parent(&grant.parent, &mut w);
                w.put(&grant.subject.0);
                w.u8(grant.level as u8);
                w.u8(grant.depth);
                w.uint(grant.expires);
                w.u8(u8::from(grant.is_link));
                w.put(&grant.serial);
                w.bytes(&grant.note);
            }
            Self::Revocation(revocation) => {
                w.u8(KIND_REVOCATION);
                w.put(&revocation.issuer.0);
                encode_parent(&revocation.parent, &mut w);
                w.put(&revocation.target.0);
                w.uint(revocation.kept.len() as u64);
                for kept in &revocation.kept {
                    w.put(&kept.0);
                }
                w.uint(revocation.cuts.len() as u64);
                for (document, clock) in &revocation.cuts {
                    w.put(&document.0);
                    clock.encode(&mut w);
                }
            }
            Self::Epoch(epoch) => {
                w.u8(KIND_EPOCH);
                epoch.encode(&mut w);
            }
            Self::Delivery(delivery) => {
                w.u8(KIND_DELIVERY);
                delivery.encode(&mut w);
            }
            Self::Disavowal(disavowal) => {
                w.u8(KIND_DISAVOWAL);
                disavowal.encode(&mut w);
            }
        }
        w.finish()
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8()? {
            KIND_FOUNDING => Ok(Self::Founding { owner: PeerId(r.array()?), nonce: r.array()? }),
            KIND_GRANT => Ok(Self::Grant(Grant {
                issuer: PeerId(r.array()?),
                parent: decode_parent(r)?,
                subject: PeerId(r.array()?),
                level: {
                    let byte = r.u8()?;
                    Level::from_byte(byte).ok_or(DecodeError::UnknownTag { what: "a grant's level", tag: byte })?
                },
                depth: {
                    let depth = r.u8()?;
                    if usize::from(depth) >= GRANT_CHAIN_MAX {
                        return Err(DecodeError::TooMany { count: depth.into(), max: GRANT_CHAIN_MAX - 1 });
                    }
                    depth
                },
                expires: r.uint()?,
                is_link: decode_flag(r, "whether a grant is a link's")?,
                serial: r.array()?,
                note: r.bytes(GRANT_NOTE_BYTES_MAX)?.to_vec(),
            })),
            KIND_REVOCATION => decode_revocation(r).map(Self::Revocation),
            KIND_EPOCH => Epoch::decode(r).map(Self::Epoch),
            KIND_DELIVERY => Delivery::decode(r).map(Self::Delivery),
            KIND_DISAVOWAL => Disavowal::decode(r).map(Self::Disavowal),
            tag => Err(DecodeError::UnknownTag { what: "a statement", tag }),
        }
    }
}

fn decode_revocation(r: &mut Reader<'_>) -> Result<Revocation, DecodeError> {
    let (issuer, parent) = (PeerId(r.array()?), decode_parent(r)?);
    let target = StatementId(r.array()?);
    let mut kept = BTreeSet::new();
    for _ in 0..r.count(GRANT_CHILDREN_MAX, 32)? {
        let id = StatementId(r.array()?);
        if kept.last().is_some_and(|last| id <= *last) {
            return Err(DecodeError::Invalid("what a revocation keeps is out of order"));
        }
        kept.insert(id);
    }
    let (mut cuts, mut actors) = (BTreeMap::<DocumentId, VectorClock>::new(), 0);
    for _ in 0..r.count(REVOCATION_CUTS_MAX, 18)? {
        let (document, clock) = (DocumentId(r.array()?), VectorClock::decode(r)?);
        actors += clock.len();
        if clock.is_empty() || cuts.last_key_value().is_some_and(|(last, _)| document <= *last) {
            return Err(DecodeError::Invalid("a revocation's documents are out of order, or one has no actor"));
        }
        if actors > REVOCATION_CUTS_MAX {
            return Err(DecodeError::TooMany { count: actors as u64, max: REVOCATION_CUTS_MAX });
        }
        cuts.insert(document, clock);
    }
    Ok(Revocation { issuer, parent, target, kept, cuts })
}

pub(super) fn encode_parent(parent: &Option<StatementId>, w: &mut Writer) {
    w.u8(u8::from(parent.is_some()));
    if let Some(parent) = parent {
        w.put(&parent.0);
    }
}

pub(super) fn decode_parent(r: &mut Reader<'_>) -> Result<Option<StatementId>, DecodeError> {
    let has = decode_flag(r, "whether a statement names a grant")?;
    if has { Ok(Some(StatementId(r.array()?))) } else { Ok(None) }
}

fn decode_flag(r: &mut Reader<'_>, what: &'static str) -> Result<bool, DecodeError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        tag => Err(DecodeError::UnknownTag { what, tag }),
    }
}

/// What is signed: the label, the space, the claim.
fn signed(space: &SpaceId, claim: &[u8]) -> Vec<u8> {
    [LABEL, &space.0, claim].concat()
}

impl Statement {
    /// Says something in a space, signed. The signer is the claim's issuer.
    pub fn sign(space: &SpaceId, claim: Claim, signer: &impl Signer) -> Self {
        debug_assert_eq!(claim.issuer(), signer.peer(), "who says it signs it");
        let mut bytes = claim.encode();
        let message = signed(space, &bytes);
        bytes.extend_from_slice(&signer.sign(&message));
        Self { id: StatementId(Sha256::digest(message).into()), claim, bytes }
    }

    /// Reads a statement of a space and checks its signature. What it says may still be nothing that its issuer may say.
    ///
    /// # Errors
    ///
    /// It is not one.
    pub fn decode(space: &SpaceId, bytes: &[u8]) -> Result<Self, StatementError> {
        let statement = Self::read(space, bytes)?;
        if statement.is_signed(space) { Ok(statement) } else { Err(StatementError::Signature) }
    }

    /// Reads a statement, without looking at its signature: one that is held need not be checked again.
    pub(super) fn read(space: &SpaceId, bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(DecodeError::TooMany { count: bytes.len() as u64, max: STATEMENT_BYTES_MAX }.into());
        }
        let mut reader = Reader::new(bytes);
        let claim = Claim::decode(&mut reader)?;
        let end = bytes.len() - reader.remaining();
        reader.take(SIGNATURE_BYTES)?;
        reader.end()?;
        let id = StatementId(Sha256::digest(signed(space, &bytes[..end])).into());
        Ok(Self { id, claim, bytes: bytes.to_vec() })
    }

    /// Whether the signature is the issuer's.
    pub(super) fn is_signed(&self, space: &SpaceId) -> bool {
        self.bytes
            .split_last_chunk::<SIGNATURE_BYTES>()
            .is_some_and(|(claim, signature)| is_signed_by(&self.claim.issuer(), &signed(space, claim), signature))
    }

    /// What it is known by.
    pub fn id(&self) -> StatementId {
        self.id
    }

    /// What it says.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// As it travels and is stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
