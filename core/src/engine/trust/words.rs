//! The words that are held: what keys vouch for, by document and actor.
//!
//! Of each actor in a document the newest word counts that is for a change on this replica's disk: it stands for all before, and the store
//! keeps it alone. A word may come before what it is for, and that may never come: its writer's disk and this one can lose it. So such a word
//! is kept beside the one that counts, in memory, and reaches the store with the change it is for, in one append.

use crate::base::id::{ActorId, ConnectionId, DocumentId, SpaceId};
use crate::base::limits::EARLY_ATTESTATIONS_MAX;
use crate::engine::stored::StoredAttestation;
use crate::log::clock::VectorClock;
use crate::log::tree::Fingerprint;
use crate::trust::attestation::{Attestation, AttestationError};
use std::collections::BTreeMap;

/// A word.
#[derive(Debug)]
pub(in crate::engine) struct Word {
    pub(in crate::engine) attestation: Attestation,
    pub(in crate::engine) space: SpaceId,
    /// In the order in which they were taken.
    pub(in crate::engine) number: u64,
    /// Over which connection it came.
    pub(in crate::engine) source: Option<ConnectionId>,
    /// Whether what it is for is on this replica's disk.
    is_settled: bool,
}

impl Word {
    /// Whether whoever holds this much of its document can be told of it. Where something is not accepted any more, what it is for may have been set aside
    /// everywhere; then it stands for what remains of its actor's.
    pub(in crate::engine) fn is_for_what_is_held(&self, clock: &VectorClock, has_cuts: bool) -> bool {
        let of = &self.attestation;
        clock.covers(&of.actor, of.seq) || has_cuts && clock.get(&of.actor) > 0
    }
}

/// All words, by document and actor, those for earlier changes first.
#[derive(Debug, Default)]
pub(in crate::engine) struct Words {
    held: BTreeMap<DocumentId, BTreeMap<ActorId, Vec<Word>>>,
    /// The number of each document's word that was taken last.
    last: BTreeMap<DocumentId, u64>,
    states: BTreeMap<SpaceId, Fingerprint>,
    counts: BTreeMap<SpaceId, usize>,
    /// In the order in which they were taken.
    latest: BTreeMap<u64, (DocumentId, ActorId)>,
    taken: u64,
}

impl Words {
    /// The word for an actor's latest change.
    pub(in crate::engine) fn newest(&self, document: &DocumentId, actor: &ActorId) -> Option<&Word> {
        self.of_actor(document, actor).last()
    }

    /// The words for an actor's changes.
    fn of_actor(&self, document: &DocumentId, actor: &ActorId) -> &[Word] {
        self.held.get(document).and_then(|held| held.get(actor)).map_or(&[], Vec::as_slice)
    }

    /// The words for the changes of a document.
    pub(in crate::engine) fn of_document(&self, document: &DocumentId) -> impl Iterator<Item = &Word> {
        self.held.get(document).into_iter().flat_map(BTreeMap::values).flatten()
    }

    /// The number of a document's word that was taken last, 0 for none.
    pub(in crate::engine) fn last_of(&self, document: &DocumentId) -> u64 {
        self.last.get(document).copied().unwrap_or(0)
    }

    /// The word for this very change.
    pub(in crate::engine) fn for_change(&self, document: &DocumentId, actor: &ActorId, seq: u64) -> Option<&Word> {
        self.of_actor(document, actor).iter().find(|word| word.attestation.seq == seq)
    }

    /// For which change the newest word is of those for an actor's changes up to this one, 0 for none.
    pub(in crate::engine) fn up_to(&self, document: &DocumentId, actor: &ActorId, seq: u64) -> u64 {
        self.of_actor(document, actor).iter().map(|word| word.attestation.seq).rfind(|of| *of <= seq).unwrap_or(0)
    }

    /// The word for an actor's changes that counts.
    pub(in crate::engine) fn counting(&self, document: &DocumentId, actor: &ActorId) -> Option<&Word> {
        self.of_actor(document, actor).iter().find(|word| word.is_settled)
    }

    /// Each actor's word for its latest change, in the documents of a space.
    pub(in crate::engine) fn newest_of_space<'a>(&'a self, space: &'a SpaceId) -> impl Iterator<Item = &'a Word> {
        let newest = self.held.values().flat_map(BTreeMap::values).filter_map(|words| words.last());
        newest.filter(|word| word.space == *space)
    }

    /// Those of a space that were taken last, the last first.
    pub(in crate::engine) fn latest<'a>(&'a self, space: &'a SpaceId) -> impl Iterator<Item = &'a Word> {
        let found =
            self.latest.iter().rev().filter_map(|(number, (document, actor))| {
                self.of_actor(document, actor).iter().find(|word| word.number == *number)
            });
        found.filter(|word| word.space == *space)
    }

    /// How many there are, in all spaces.
    pub(in crate::engine) fn len(&self) -> usize {
        self.latest.len()
    }

    /// How many there are in a space.
    pub(in crate::engine) fn count(&self, space: &SpaceId) -> usize {
        self.counts.get(space).copied().unwrap_or(0)
    }

    /// What stands for the words of a space that count.
    pub(in crate::engine) fn state(&self, space: &SpaceId) -> Fingerprint {
        self.states.get(space).copied().unwrap_or_default()
    }

    /// Whether a word says more than those that are held do: it is for a change of which nothing is said yet that counts.
    ///
    /// # Errors
    ///
    /// It is for another change under a number that is vouched for already, or its signature is wrong; or it says nothing new.
    pub(in crate::engine) fn check(&self, space: &SpaceId, attestation: &Attestation) -> Result<(), AttestationError> {
        let Attestation { document, actor, seq, .. } = *attestation;
        let held = self.of_actor(&document, &actor);
        let same = held.iter().find(|word| word.attestation.seq == seq);
        let counting = held.iter().find(|word| word.is_settled);
        attestation.check(space, same.or(counting).map(|word| &word.attestation))
    }

    /// Takes in a word that was checked, of an actor of whose changes those up to `durable` are on the disk. Answers it, as the store is to
    /// have it, if it counts.
    pub(in crate::engine) fn put(
        &mut self,
        space: SpaceId,
        attestation: Attestation,
        source: Option<ConnectionId>,
        durable: u64,
    ) -> Option<(String, Vec<u8>)> {
        let (document, actor) = (attestation.document, attestation.actor);
        if self.for_change(&document, &actor, attestation.seq).is_some() {
            return None;
        }
        self.taken += 1;
        let word = Word { attestation, space, number: self.taken, source, is_settled: false };
        self.latest.insert(self.taken, (document, actor));
        self.last.insert(document, self.taken);
        *self.counts.entry(space).or_default() += 1;
        let words = self.held.entry(document).or_default().entry(actor).or_default();
        let at = words.partition_point(|held| held.attestation.seq < word.attestation.seq);
        words.insert(at, word);
        let early = words.iter().filter(|held| held.attestation.seq > durable).count();
        if early > EARLY_ATTESTATIONS_MAX {
            // The last says all that the one before it does, once what it is for is here.
            let gone = words.remove(words.len() - 2);
            self.on_gone(&gone);
        }
        self.settle(&document, &actor, durable)
    }

    /// Counts so many more than there are: of a space, or of all.
    #[cfg(test)]
    pub(in crate::engine) fn fill(&mut self, space: Option<SpaceId>, many: usize) {
        match space {
            Some(space) => *self.counts.entry(space).or_default() += many,
            None => {
                let actor = ActorId::new(&[]).expect("nothing is few enough");
                self.latest.extend((0..many as u64).map(|at| (u64::MAX - at, (DocumentId([0; 16]), actor))));
            }
        }
    }

    fn on_gone(&mut self, gone: &Word) {
        self.latest.remove(&gone.number);
        if let Some(count) = self.counts.get_mut(&gone.space) {
            *count -= 1;
        }
        if gone.is_settled {
            let state = self.states.entry(gone.space).or_default();
            *state = state.minus(stands_for(&gone.attestation));
        }
    }

    /// Learns up to which change of an actor's is on the disk: the newest word for these counts, and those before it are let go.
    /// Answers it, as the store is to have it, if another counted before.
    pub(in crate::engine) fn settle(
        &mut self,
        document: &DocumentId,
        actor: &ActorId,
        durable: u64,
    ) -> Option<(String, Vec<u8>)> {
        let words = self.held.get_mut(document)?.get_mut(actor)?;
        let counting = words.iter().rposition(|word| word.attestation.seq <= durable)?;
        let gone: Vec<Word> = words.drain(..counting).collect();
        let word = &mut words[0];
        let was_settled = std::mem::replace(&mut word.is_settled, true);
        let (space, stands_for) = (word.space, stands_for(&word.attestation));
        let stored = (!was_settled).then(|| StoredAttestation::write(&space, &word.attestation));
        gone.iter().for_each(|gone| self.on_gone(gone));
        if !was_settled {
            let state = self.states.entry(space).or_default();
            *state = state.plus(stands_for);
        }
        stored
    }

    /// The word that will count once an actor's changes up to this one are on the disk, as the store is to have it, if another counts now.
    pub(in crate::engine) fn to_settle(&self, document: &DocumentId, actor: &ActorId, seq: u64) -> Option<(String, Vec<u8>)> {
        let word = self.of_actor(document, actor).iter().rfind(|word| word.attestation.seq <= seq)?;
        (!word.is_settled).then(|| StoredAttestation::write(&word.space, &word.attestation))
    }

    /// Forgets what is held of a document.
    #[cfg(test)]
    pub(in crate::engine) fn forget(&mut self, document: &DocumentId) {
        self.last.remove(document);
        let gone = self.held.remove(document).unwrap_or_default();
        gone.into_values().flatten().for_each(|word| self.on_gone(&word));
    }
}

fn stands_for(attestation: &Attestation) -> Fingerprint {
    let mut digest = [0; 16];
    digest.copy_from_slice(&attestation.hash.0[..16]);
    Fingerprint::of(&digest)
}
