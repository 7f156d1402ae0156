//! Disavowing: what nobody vouches for in a document is set aside on every replica, because somebody who may write says so.
//!
//! A relay may bring changes before their writers have vouched for them. What it makes up under an actor that a member writes as no longer, no word of theirs will
//! ever speak against; nor can it be told from somebody's last second before their machine broke. So people decide. What is disavowed goes with all that was built on it
//! ([`super::cuts`]), is refused from everyone, and is let in again by its writer's word, should that come after all.

use super::owned::OwnedError;
use crate::base::id::{ActorId, DocumentId, PeerId, SpaceId};
use crate::base::limits::DISAVOWED_ACTORS_MAX;
use crate::base::time::Now;
use crate::engine::{Engine, Phase};
use crate::log::log::Log;
use crate::sync::message::ErrorCode;
use crate::trust::disavowal::Disavowal;
use crate::trust::owned::is_sealed;
use crate::trust::statement::{Claim, Level, Statement};
use serde::Serialize;
use std::collections::BTreeMap;

/// Changes of a document that nobody has vouched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unvouched {
    /// The document.
    pub document: DocumentId,
    /// In whose name they are.
    pub writer: PeerId,
    /// Under which actor.
    pub actor: ActorId,
    /// How many.
    pub changes: u64,
}

/// What of a document is to be disavowed, as far as nobody has vouched for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All of it.
    All,
    /// What is in one member's name.
    Of(PeerId),
    /// What is under one actor, also where none of it is held here: others may have been given it.
    Actor(ActorId),
}

impl Engine {
    /// What is held of an owned space that nobody has vouched for, but this replica's own work: that of whoever is writing now, for a second; or what a relay may have
    /// made up, or a writer did not live to vouch for. In a sealed space there is nothing that anyone but a member can have made up.
    pub fn unvouched(&self, space: &SpaceId) -> Vec<Unvouched> {
        let documents = self.spaces.get(space).into_iter().flat_map(|held| held.space.documents());
        let found = documents.map(Log::document).flat_map(|document| {
            let of_document = self.unvouched_in(space, &document).into_iter();
            of_document.map(move |(actor, (writer, changes, _))| Unvouched { document, writer, actor, changes })
        });
        found.collect()
    }

    /// The actors of a document that hold changes nobody has vouched for: whose they are, how many, and the last before them.
    fn unvouched_in(&self, space: &SpaceId, document: &DocumentId) -> BTreeMap<ActorId, (PeerId, u64, u64)> {
        let (Some(log), Some(held)) = (self.log(document), self.trust.rolls.get(space)) else { return BTreeMap::new() };
        if is_sealed(space) || log.space() != *space {
            return BTreeMap::new();
        }
        let of = |(actor, seq): (&ActorId, u64)| {
            let last = self.vouched_held(space, document, actor).min(seq);
            let writer = held.roll.standing().writer(actor)?;
            (last < seq && !self.own_name.is_own(actor)).then_some((*actor, (writer, seq - last, last)))
        };
        log.version().clock.iter().filter_map(of).collect()
    }

    /// Disavows what nobody has vouched for in a document: it goes on every replica, with what was built on it, and is let in again only by its writer's word. Answers
    /// how many changes of it were held here.
    ///
    /// # Errors
    ///
    /// Everything is vouched for, or this replica may not write there.
    pub fn disavow(&mut self, now: Now, space: SpaceId, document: DocumentId, whose: Whose) -> Result<u64, OwnedError> {
        self.begin_call(now);
        let roll = self.roll_of(&space)?.clone();
        if is_sealed(&space) {
            let why =
                "in a sealed space nobody but a member can have made a change: shut out who did (driftline revoke)".to_owned();
            return Err(OwnedError::NotGranted { space, why });
        }
        if self.own_access(&space).level() < Some(Level::Write) {
            let why = "only who may write there can disavow: ask one of them".to_owned();
            return Err(OwnedError::NotGranted { space, why });
        }
        let mut found = self.unvouched_in(&space, &document);
        match whose {
            Whose::All => {}
            Whose::Of(writer) => found.retain(|_, (of, ..)| *of == writer),
            Whose::Actor(actor) => {
                found.retain(|of, _| *of == actor);
                let is_held = self.log(&document).is_some_and(|log| log.version().clock.get(&actor) > 0);
                if let Some(writer) = roll.standing().writer(&actor).filter(|_| !is_held) {
                    found.insert(actor, (writer, 0, self.attested(&document, &actor)));
                }
            }
        }
        let found: BTreeMap<ActorId, (PeerId, u64, u64)> = found.into_iter().take(DISAVOWED_ACTORS_MAX).collect();
        if found.is_empty() {
            return Err(OwnedError::AllVouched(document));
        }
        let parent = self.own_grant(&roll, space)?;
        let Phase::Running { identity, .. } = &self.phase else { return Err(OwnedError::NotRunning) };
        let last = found.iter().map(|(actor, (_, _, last))| (*actor, *last)).collect();
        let disavowal = Disavowal { issuer: identity.peer(), parent, document, last };
        let statement = Statement::sign(&space, Claim::Disavowal(disavowal), identity);
        self.add(roll, vec![statement])?;
        Ok(found.values().map(|(_, changes, _)| changes).sum())
    }

    /// Up to which of an actor's changes a document's are accepted where those after it were disavowed: what its key has vouched for. What this replica knows to be its own it keeps,
    /// and vouches for.
    pub(in crate::engine) fn disavowed(&self, space: &SpaceId, document: &DocumentId, actor: &ActorId) -> Option<u64> {
        let last = self.trust.rolls.get(space)?.roll.standing().disavowed(document, actor)?;
        (!self.own_name.is_own(actor)).then(|| last.max(self.attested(document, actor)))
    }

    /// Why a change is not taken that was disavowed, if it was; what is held already is passed over.
    pub(super) fn refusal_of_disavowed(
        &self,
        space: &SpaceId,
        document: &DocumentId,
        (actor, seq): (&ActorId, u64),
    ) -> Option<(ErrorCode, String)> {
        let last = self.disavowed(space, document, actor).filter(|last| seq > *last)?;
        let is_held = self.log(document).is_some_and(|log| log.version().clock.covers(actor, seq));
        let text = format!(
            "change {seq} of actor {actor} in document {document} was disavowed: nothing after its change {last} is taken that its writer has not vouched for"
        );
        (!is_held).then_some((ErrorCode::NotTheirs, text))
    }

    /// Up to which of their changes actors count in a document, whoever they are: their words speak against the rest, or it was disavowed.
    pub(super) fn bounds_of(&self, space: &SpaceId, document: &DocumentId) -> BTreeMap<ActorId, u64> {
        let mut bounds = self.doubts.refuted(document);
        let log = self.log(document).filter(|_| self.has_cuts(space));
        for (actor, _) in log.into_iter().flat_map(|log| log.version().clock.iter()) {
            if let Some(last) = self.disavowed(space, document, actor) {
                let bound = bounds.entry(*actor).or_insert(last);
                *bound = last.min(*bound);
            }
        }
        bounds
    }

    /// Whether a document holds more than these bounds.
    pub(super) fn is_out_of_bounds(&self, space: &SpaceId, document: &DocumentId) -> bool {
        let bounds = self.bounds_of(space, document);
        self.log(document).is_some_and(|log| bounds.iter().any(|(actor, last)| log.version().clock.get(actor) > *last))
    }
}
