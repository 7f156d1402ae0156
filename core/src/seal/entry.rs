//! A sealed entry: what a relay has to know of a change to keep and pass it on, and the change itself, which only members read.
//!
//! The name of a sealed entry is not the change's hash, of which what was typed could be guessed letter by letter, but a keyed hash of that.
//! Each dependency is named with its actor and number, so that a replica without keys sees by its clock whether it holds it.

use super::aead::{self, TAG_BYTES};
use super::keyring::{Keyring, nonce_of};
use super::padding::{pad, unpad};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId};
use crate::base::limits::{ACTOR_BYTES_MAX, ENTRY_DEPS_MAX};
use crate::log::entry::Entry;
use std::sync::Arc;

/// The first byte of a sealed entry. No chunk of Automerge's begins with it.
pub const ENTRY_MARK: u8 = 0xe5;
/// The format that is written.
const FORMAT: u8 = 1;
const LABEL: &[u8] = b"driftline sealed entry 1\0";

/// What a sealed entry says openly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedHeader {
    /// Who made it.
    pub actor: ActorId,
    /// Which of the actor's entries it is.
    pub seq: u64,
    /// Its name.
    pub name: ChangeHash,
    /// What it depends on.
    pub deps: Vec<SealedDep>,
}

/// What a sealed entry depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedDep {
    /// Its name.
    pub name: ChangeHash,
    /// Who made it.
    pub actor: ActorId,
    /// Which of that actor's entries it is.
    pub seq: u64,
}

/// Why a sealed entry or snapshot is not taken. Caused by whoever made it, or altered it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not decode.
    #[error("it does not decode: {0}")]
    Decode(#[from] DecodeError),
    /// It is no sealed one.
    #[error("it is not sealed")]
    Clear,
    /// The seal is broken: a byte was altered, or it was sealed for another place.
    #[error("its seal is broken: it was altered, or was made for another document or space")]
    Broken,
    /// Under the seal is something else than it says openly.
    #[error("what is under its seal is not what it says openly: {0}")]
    Otherwise(&'static str),
    /// A snapshot's signature does not fit.
    #[error("its signature is not its maker's, or was made for another document or space")]
    Signature,
}

impl SealedHeader {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(ENTRY_MARK);
        w.u8(FORMAT);
        w.bytes(self.actor.as_bytes());
        w.uint(self.seq);
        w.put(&self.name.0);
        w.uint(self.deps.len() as u64);
        for dep in &self.deps {
            w.put(&dep.name.0);
            // Most depend on their actor's own.
            w.bytes(if dep.actor == self.actor { &[] } else { dep.actor.as_bytes() });
            w.uint(dep.seq);
        }
        w.finish()
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, SealError> {
        if r.u8()? != ENTRY_MARK {
            return Err(SealError::Clear);
        }
        let format = r.u8()?;
        if format != FORMAT {
            return Err(DecodeError::UnknownTag { what: "a sealed entry's format", tag: format }.into());
        }
        let (actor, seq) = (read_actor(r)?, read_seq(r)?);
        let name = ChangeHash(r.array()?);
        let count = r.count(ENTRY_DEPS_MAX, 34)?;
        let mut deps = Vec::with_capacity(count);
        for _ in 0..count {
            let name = ChangeHash(r.array()?);
            let other = r.bytes(ACTOR_BYTES_MAX)?;
            let of = if other.is_empty() { actor } else { ActorId::new(other).ok_or(TOO_LONG)? };
            if !other.is_empty() && of == actor {
                return Err(DecodeError::Invalid("a dependency on the entry's own actor names it").into());
            }
            let seq = read_seq(r)?;
            deps.push(SealedDep { name, actor: of, seq });
        }
        Ok(Self { actor, seq, name, deps })
    }

    /// Reads what a sealed entry says openly. Whether it is true, only who has the key can tell.
    ///
    /// # Errors
    ///
    /// It does not decode, or is not sealed.
    pub fn read(payload: &[u8]) -> Result<Self, SealError> {
        Self::split(payload).map(|(header, _, _)| header)
    }

    /// The header, its bytes, and what is sealed.
    fn split(payload: &[u8]) -> Result<(Self, &[u8], &[u8]), SealError> {
        let mut r = Reader::new(payload);
        let header = Self::decode(&mut r)?;
        let (open, sealed) = payload.split_at(payload.len() - r.remaining());
        if sealed.len() < TAG_BYTES {
            return Err(DecodeError::Truncated.into());
        }
        Ok((header, open, sealed))
    }

    /// The entry that a payload with this header is.
    pub fn into_entry(self, document: DocumentId, payload: Arc<[u8]>) -> Entry {
        let deps = self.deps.iter().map(|dep| dep.name).collect();
        Entry { document, actor: self.actor, seq: self.seq, hash: self.name, deps, payload }
    }
}

const TOO_LONG: DecodeError = DecodeError::Invalid("an actor id is too long");

fn read_actor(r: &mut Reader<'_>) -> Result<ActorId, DecodeError> {
    ActorId::new(r.bytes(ACTOR_BYTES_MAX)?).ok_or(TOO_LONG)
}

fn read_seq(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    match r.uint()? {
        0 => Err(DecodeError::Invalid("an entry's number is 0")),
        seq => Ok(seq),
    }
}

/// What the seal is bound to beside the key.
fn bound(space: &SpaceId, document: &DocumentId, header: &[u8]) -> Vec<u8> {
    [LABEL, &space.0, &document.0, header].concat()
}

/// A change to be sealed.
#[derive(Clone, Copy, Debug)]
pub struct Clear<'a> {
    /// Who made it.
    pub actor: ActorId,
    /// Which of the actor's it is.
    pub seq: u64,
    /// Its own hash.
    pub hash: ChangeHash,
    /// Of each of its dependencies, in their order: the hash, and the actor and number of whoever made it.
    pub deps: &'a [(ChangeHash, ActorId, u64)],
    /// The change, in the one way in which it can be written.
    pub body: &'a [u8],
}

impl Keyring {
    /// Seals a change; nothing where the key of an epoch is not here, its own or that of what it depends on. `held` tells whether an entry of
    /// this name is held: it decides between two names that an actor's change could have.
    pub fn seal_entry(&self, document: DocumentId, clear: &Clear<'_>, held: impl Fn(&ChangeHash) -> bool) -> Option<Entry> {
        let keys = self.of_actor(&clear.actor).next()?;
        let name = keys.name(&document, &clear.hash);
        let mut deps = Vec::with_capacity(clear.deps.len());
        for (hash, actor, seq) in clear.deps {
            let mut names = self.of_actor(actor).map(|keys| keys.name(&document, hash));
            let first = names.next()?;
            let name = if held(&first) { first } else { names.find(&held).unwrap_or(first) };
            deps.push(SealedDep { name, actor: *actor, seq: *seq });
        }
        let header = SealedHeader { actor: clear.actor, seq: clear.seq, name, deps };
        let mut payload = header.encode();
        let beside = bound(&self.space(), &document, &payload);
        payload.extend(aead::seal(&keys.entries, &nonce_of(&document, &name), &beside, &pad(clear.body)));
        Some(header.into_entry(document, payload.into()))
    }

    /// The change under the seal of an entry; nothing where the key of its epoch is not here.
    ///
    /// # Errors
    ///
    /// It was altered, or is not sealed at all.
    pub fn open_entry(&self, document: &DocumentId, payload: &[u8]) -> Result<Option<(SealedHeader, Vec<u8>)>, SealError> {
        let (header, open, sealed) = SealedHeader::split(payload)?;
        let beside = bound(&self.space(), document, open);
        let nonce = nonce_of(document, &header.name);
        let mut tried = false;
        for keys in self.of_actor(&header.actor) {
            tried = true;
            if let Some(padded) = aead::open(&keys.entries, &nonce, &beside, sealed) {
                let body = unpad(padded).ok_or(SealError::Otherwise("it is not padded as it must be"))?;
                return Ok(Some((header, body)));
            }
        }
        if tried { Err(SealError::Broken) } else { Ok(None) }
    }

    /// Whether what an entry says openly is what the change under its seal says.
    ///
    /// # Errors
    ///
    /// What is otherwise.
    pub fn check(&self, document: &DocumentId, header: &SealedHeader, change: &Entry) -> Result<(), SealError> {
        if header.actor != change.actor || header.seq != change.seq {
            return Err(SealError::Otherwise("it is another change of its actor's, or another actor's"));
        }
        if !self.is_name(&header.name, document, &change.actor, &change.hash) {
            return Err(SealError::Otherwise("its name is another's"));
        }
        let is_same = |(dep, hash): (&SealedDep, &ChangeHash)| {
            self.is_name(&dep.name, document, &dep.actor, hash) || !self.opens(&dep.actor)
        };
        if header.deps.len() != change.deps.len() || !header.deps.iter().zip(&change.deps).all(is_same) {
            return Err(SealError::Otherwise("it depends on something else"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
pub(crate) mod tests;
