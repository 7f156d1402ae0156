//! How far an actor's changes are vouched for where something is not accepted any more: someone was shut out of a space, or changes were disavowed.
//!
//! What was built on refused changes is set aside, its writer's word for it is not: it is for a change that nobody holds any more. It stands for all that
//! the actor wrote before, and some of that remains. So there, words go on counting and are passed on where something of their actor's is held, and
//! members who meet without a relay can bring each other what remains. Up to the last change that is accepted of who was shut out, the revocation is the word.

use crate::base::id::{ActorId, ConnectionId, DocumentId, SpaceId};
use crate::engine::Engine;
use crate::trust::owned::is_sealed;

impl Engine {
    /// Whether there is anything in a space that is not accepted any more: someone was shut out, or changes were disavowed.
    pub(in crate::engine) fn has_cuts(&self, space: &SpaceId) -> bool {
        self.trust.rolls.get(space).is_some_and(|held| held.roll.standing().has_cuts())
    }

    /// Up to which of its changes in a document an actor's key has vouched for them, or whoever shut that key out has.
    pub(in crate::engine) fn vouched(&self, space: &SpaceId, document: &DocumentId, actor: &ActorId) -> u64 {
        let attested = self.attested(document, actor);
        let Some(standing) = self.trust.rolls.get(space).map(|held| held.roll.standing()) else { return attested };
        if !standing.has_revocations() {
            return attested;
        }
        let accepted = standing.writer(actor).and_then(|writer| standing.accepted(&writer, document, actor));
        accepted.map_or(attested, |last| last.max(attested))
    }

    /// The same of what is held, and was found to be what the word is for: a word for later changes says nothing of whether those before it that are held are
    /// their writer's. In a sealed space nobody could make them up who has not its key.
    pub(in crate::engine) fn vouched_held(&self, space: &SpaceId, document: &DocumentId, actor: &ActorId) -> u64 {
        if is_sealed(space) {
            return self.vouched(space, document, actor);
        }
        let held = self.log(document).map_or(0, |log| log.version().clock.get(actor));
        let found = self.attests.words.up_to(document, actor, held.min(self.doubts.bound(document, actor)));
        let standing = self.trust.rolls.get(space).map(|held| held.roll.standing()).filter(|standing| standing.has_cuts());
        let Some(standing) = standing else { return found };
        let accepted = standing.writer(actor).and_then(|writer| standing.accepted(&writer, document, actor)).unwrap_or(0);
        let left = if found == 0 && held > 0 { self.attested(document, actor) } else { found };
        left.max(accepted)
    }

    /// Up to which of an actor's changes in a document the newest word for them counts: all that are on the disk. Where someone was shut out a word counts
    /// that is for a later one, if none does otherwise: that one may have been set aside everywhere.
    pub(in crate::engine) fn counts_up_to(&self, space: &SpaceId, document: &DocumentId, actor: &ActorId) -> u64 {
        let durable = self.durable_of(document, actor);
        let is_left = durable > 0 && self.has_cuts(space) && self.attests.words.counting(document, actor).is_none();
        (if is_left { u64::MAX } else { durable }).min(self.doubts.bound(document, actor))
    }

    /// Forgets which words for a document a peer was told that does not hold the same: it is told them again with what it is sent.
    pub(in crate::engine) fn forget_attestations_told(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: DocumentId,
        is_same: bool,
    ) {
        if let Some(peer) = self.trust.peers.get_mut(&(connection, space)).filter(|_| !is_same) {
            peer.attested.remove(&document);
        }
    }
}
