//! How a space came to its present durable state: the states it was in, by their fingerprints, and what moved after each.
//!
//! A peer that names a state this space was in holds everything of that state; it lacks at most what moved since. So two that
//! were once equal find what differs without looking at the rest. A state is known by what it contains and not by a number:
//! a store restored from a backup, or a name that is made up, is not recognised, or rightly so.
//!
//! It is kept in memory, from when the store was opened. As it grows older it becomes coarser, and then forgets; states in
//! which a peer left are kept longest, since a peer names the state in which it left.

use super::tree::Fingerprint;
use super::version::Digest;
use crate::base::id::DocumentId;
use crate::base::limits::{FEED_MOVES_MAX, FEED_STATES_MAX};
use std::collections::{BTreeMap, VecDeque};

/// The states a space was in, and what moved between them.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    steps: VecDeque<Step>,
    /// The number of each state's last step.
    states: BTreeMap<Fingerprint, u64>,
    /// The number of each document's last step.
    changed: BTreeMap<DocumentId, u64>,
    taken: u64,
    moves: usize,
}

/// Documents from which on a step takes in no others.
const JOINED_MAX: usize = 64;

/// How a document stood before it moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The position up to which its log was durable.
    pub held: u64,
    /// What stood for it; nothing when nothing of it was held.
    pub digest: Option<Digest>,
}

/// What moved on from one state to the next that is remembered.
#[derive(Clone, Debug)]
struct Step {
    number: u64,
    before: Fingerprint,
    /// Whether a peer left in the state before.
    is_kept: bool,
    /// Documents that moved, and how each stood before.
    moved: Vec<(DocumentId, Moved)>,
}

impl Feed {
    /// Notes that a document has moved on; `moved` is how it stood before, and `before` the state then.
    pub fn advance(&mut self, document: DocumentId, moved: Moved, before: Fingerprint) {
        self.taken += 1;
        self.changed.insert(document, self.taken);
        // A step that was begun for a peer that left in this very state.
        let begun = self.steps.back_mut().filter(|last| last.moved.is_empty());
        match begun {
            Some(step) => step.moved.push((document, moved)),
            None => self.begin(before, vec![(document, moved)], false),
        }
        self.moves += 1;
        self.thin();
    }

    /// Keeps the present state for longer than others: a peer left in it.
    pub fn keep(&mut self, now: Fingerprint) {
        match self.steps.back_mut().filter(|last| last.moved.is_empty()) {
            Some(begun) => begun.is_kept = true,
            None => {
                self.taken += 1;
                self.begin(now, Vec::new(), true);
                self.thin();
            }
        }
    }

    /// Documents that moved since the space was in a state, and how each stood then or before; nothing when it is not known to
    /// have been in it.
    pub fn since(&self, state: &Fingerprint) -> Option<BTreeMap<DocumentId, Moved>> {
        let number = self.states.get(state)?;
        let at = self.steps.partition_point(|step| step.number < *number);
        let mut moved = BTreeMap::new();
        for (document, before) in self.steps.range(at..).flat_map(|step| &step.moved) {
            moved.entry(*document).or_insert(*before);
        }
        Some(moved)
    }

    /// A number that is the higher the later a document moved, 0 for one that has not moved since the store was opened.
    pub fn changed(&self, document: &DocumentId) -> u64 {
        self.changed.get(document).copied().unwrap_or(0)
    }

    /// Forgets all states: what is held now is not what came of them.
    pub fn clear(&mut self) {
        self.steps.clear();
        self.states.clear();
        self.moves = 0;
    }

    fn begin(&mut self, before: Fingerprint, moved: Vec<(DocumentId, Moved)>, is_kept: bool) {
        self.states.insert(before, self.taken);
        self.steps.push_back(Step { number: self.taken, before, is_kept, moved });
    }

    fn thin(&mut self) {
        if self.steps.len() > FEED_STATES_MAX {
            // Of the older half, every second state that nobody is known to have left in.
            let older = self.steps.len() / 2;
            let mut thinned: VecDeque<Step> = VecDeque::with_capacity(self.steps.len());
            for (at, step) in std::mem::take(&mut self.steps).into_iter().enumerate() {
                let joins = at < older && at % 2 == 1 && !step.is_kept;
                match thinned.back_mut().filter(|last| joins && last.moved.len() < JOINED_MAX) {
                    Some(last) => {
                        forget(&mut self.states, &step);
                        for (document, before) in step.moved {
                            if last.moved.iter().any(|(moved, _)| *moved == document) {
                                self.moves -= 1;
                            } else {
                                last.moved.push((document, before));
                            }
                        }
                    }
                    None => thinned.push_back(step),
                }
            }
            self.steps = thinned;
        }
        while self.steps.len() > FEED_STATES_MAX || self.moves > FEED_MOVES_MAX {
            let Some(step) = self.steps.pop_front() else { return };
            forget(&mut self.states, &step);
            self.moves -= step.moved.len();
        }
    }
}

/// Forgets the state before a step, unless the space was in it again later.
fn forget(states: &mut BTreeMap<Fingerprint, u64>, step: &Step) {
    if states.get(&step.before) == Some(&step.number) {
        states.remove(&step.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(number: u16) -> DocumentId {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        DocumentId(id)
    }

    fn held(held: u64) -> Moved {
        Moved { held, digest: None }
    }

    fn state(number: usize) -> Fingerprint {
        Fingerprint { sum: number as u128 * 0x1_0001, count: 1 }
    }

    proptest! {
        /// Whatever is asked for, an answer names every document that moved since, from where it stood or from before.
        #[test]
        fn what_is_answered_leaves_out_nothing_that_moved(
            moves in proptest::collection::vec((0u16..40, 0u8..30), 1..3 * FEED_STATES_MAX),
        ) {
            let mut feed = Feed::default();
            let mut ends: BTreeMap<DocumentId, u64> = BTreeMap::new();
            let mut at_state: Vec<BTreeMap<DocumentId, u64>> = vec![ends.clone()];
            let mut kept = Vec::new();
            for (turn, (number, leaves)) in moves.iter().enumerate() {
                if *leaves == 0 {
                    feed.keep(state(turn));
                    kept.push(turn);
                }
                let end = ends.entry(document(*number)).or_default();
                feed.advance(document(*number), held(*end), state(turn));
                *end += 1;
                at_state.push(ends.clone());
            }
            prop_assert!(feed.steps.len() <= FEED_STATES_MAX && feed.moves <= FEED_MOVES_MAX);
            prop_assert_eq!(feed.moves, feed.steps.iter().map(|step| step.moved.len()).sum::<usize>());
            prop_assert!(feed.states.len() <= feed.steps.len());
            for (turn, held_then) in at_state.iter().enumerate().take(moves.len()) {
                let Some(moved) = feed.since(&state(turn)) else {
                    prop_assert!(turn + FEED_STATES_MAX / 2 < moves.len(), "the newest states are all known");
                    prop_assert!(!kept.contains(&turn), "a state in which a peer left is known for longer");
                    continue;
                };
                for (document, end) in &ends {
                    let then = held_then.get(document).copied().unwrap_or(0);
                    prop_assert!(then == *end || moved.get(document).is_some_and(|moved| moved.held <= then));
                }
            }
        }
    }

    #[test]
    fn the_last_that_moved_comes_after_the_others() {
        let mut feed = Feed::default();
        feed.advance(document(1), held(0), state(0));
        feed.advance(document(2), held(0), state(1));
        feed.advance(document(1), held(1), state(2));
        assert!(feed.changed(&document(1)) > feed.changed(&document(2)) && feed.changed(&document(3)) == 0);
        assert_eq!(feed.since(&state(1)), Some([(document(1), held(1)), (document(2), held(0))].into_iter().collect()));
        assert_eq!(feed.since(&state(9)), None);
        feed.clear();
        assert_eq!(feed.since(&state(1)), None);
    }
}
