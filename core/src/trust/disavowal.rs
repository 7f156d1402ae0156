//! Disavowals: that in a document nothing counts of an actor beyond a number but what its key has vouched for.
//!
//! A relay may bring changes before their writers have vouched for them, and can make some up under an actor that a member writes as no longer: no word
//! will ever speak against these. Of the actors that a disavowal names only what is vouched for is accepted from then on, everywhere. So nothing is lost by it that its writer stands by: a word that
//! comes later lets in again what it is for.
//!
//! The owner says so, or whoever may write: it takes nothing that anyone stands by, and who holds what was made up need not be who owns the space.

use super::owned::is_actor_of;
use super::statement::{StatementId, decode_parent, encode_parent};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, DocumentId, PeerId};
use crate::base::limits::{ACTOR_BYTES_MAX, DISAVOWED_ACTORS_MAX};
use std::collections::BTreeMap;

/// In a document nothing counts of these actors but what their keys have vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disavowal {
    /// Who says so.
    pub issuer: PeerId,
    /// By which grant of its own; the owner needs none.
    pub parent: Option<StatementId>,
    /// The document.
    pub document: DocumentId,
    /// The actors, each with its last change that its key is known to have vouched for, 0 for none.
    pub last: BTreeMap<ActorId, u64>,
}

impl Disavowal {
    /// Whether all the actors are its issuer's own.
    pub(super) fn is_of_own(&self) -> bool {
        self.last.keys().all(|actor| is_actor_of(actor, &self.issuer))
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        w.put(&self.issuer.0);
        encode_parent(&self.parent, w);
        w.put(&self.document.0);
        w.uint(self.last.len() as u64);
        for (actor, last) in &self.last {
            w.bytes(actor.as_bytes());
            w.uint(*last);
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (issuer, parent, document) = (PeerId(r.array()?), decode_parent(r)?, DocumentId(r.array()?));
        let mut last = BTreeMap::new();
        for _ in 0..r.count(DISAVOWED_ACTORS_MAX, 2)? {
            let actor = ActorId::new(r.bytes(ACTOR_BYTES_MAX)?).ok_or(DecodeError::Invalid("an actor id is too long"))?;
            let seq = r.uint()?;
            if last.last_key_value().is_some_and(|(before, _)| actor <= *before) {
                return Err(DecodeError::Invalid("the actors of a disavowal are out of order"));
            }
            last.insert(actor, seq);
        }
        if last.is_empty() {
            return Err(DecodeError::Invalid("a disavowal names no actor"));
        }
        Ok(Self { issuer, parent, document, last })
    }
}
