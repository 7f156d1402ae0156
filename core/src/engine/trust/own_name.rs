//! What comes in this replica's own name and is not of its making.
//!
//! In an owned space a relay brings changes before their writers have vouched for them. It could make some up in a writer's name and bring them to
//! that very writer: built on, or found in the store at the next start, they would be vouched for with all the rest. So nothing is taken by
//! an actor that this replica writes as but what it has written, and what its key has vouched for; and at a start it vouches for nothing but what those
//! actors wrote that are known to have been its own. A store that was set back, or was damaged, gets its own changes back by their word.

use crate::base::id::{ActorId, DocumentId, SpaceId};
use crate::engine::Engine;
use crate::engine::keeping::Kept;
use crate::engine::logs::Work;
use crate::engine::stored::StoredActor;
use crate::store::task::StoreTask;
use crate::trust::owned::is_owned;
use std::collections::BTreeSet;

/// Actors as which this replica writes or wrote in owned spaces, and which may not have vouched for all of it.
#[derive(Debug, Default)]
pub(in crate::engine) struct OwnName {
    actors: BTreeSet<ActorId>,
}

impl OwnName {
    /// Whether an actor is one of them; what Automerge puts before it does not matter.
    pub(in crate::engine) fn is_own(&self, actor: &ActorId) -> bool {
        self.actors.iter().any(|own| actor.as_bytes().ends_with(own.as_bytes()))
    }
}

impl Engine {
    /// Takes up the actors that the store knows as this replica's own.
    pub(in crate::engine) fn load_own_actors(&mut self, meta: &[(String, Vec<u8>)]) {
        self.own_name.actors.extend(meta.iter().filter_map(|(name, _)| StoredActor::read(name)));
    }

    /// Lets go of actors of earlier starts that have vouched for everything.
    pub(in crate::engine) fn forget_own_actors(&mut self, unvouched: &BTreeSet<ActorId>) {
        let is_needed = |own: &ActorId| unvouched.iter().any(|actor| actor.as_bytes().ends_with(own.as_bytes()));
        let gone: Vec<ActorId> = self.own_name.actors.iter().copied().filter(|own| !is_needed(own)).collect();
        for actor in gone {
            self.own_name.actors.remove(&actor);
            let key = StoredActor::name(&actor);
            self.keeping.forget(&key);
            self.store(Work::Meta, StoreTask::PutMeta { key, value: Vec::new() });
        }
    }

    /// Notes, before its first change goes to the store, as whom this replica writes in a space.
    pub(in crate::engine) fn write_as_own(&mut self, space: &SpaceId) {
        let Some(actor) = self.actor_for(space).filter(|_| is_owned(space)) else { return };
        if self.own_name.actors.insert(actor) {
            self.keep_value(Kept { key: StoredActor::name(&actor), value: vec![1], statement_of: None });
        }
    }

    /// Whether a change that comes from elsewhere is in the name of an actor that this replica writes as, and neither is it held nor has this
    /// replica's key vouched for it.
    pub(in crate::engine) fn is_in_own_name(&self, document: &DocumentId, actor: &ActorId, seq: u64) -> bool {
        self.own_name.is_own(actor)
            && self.attested(document, actor) < seq
            && self.log(document).is_none_or(|log| !log.version().clock.covers(actor, seq))
    }
}
