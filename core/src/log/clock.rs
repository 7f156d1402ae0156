//! Vector clocks: how far along each actor's line a replica has come.
//!
//! Source: Fidge 1988, Mattern 1989. A clock maps actor to the highest sequence number held; as an actor's entries are
//! numbered without gaps, it names exactly the set of entries held.

use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::ActorId;
use crate::base::limits::{ACTOR_BYTES_MAX, CLOCK_ACTORS_MAX};

/// Actor to highest sequence number held; an actor not named is at 0.
///
/// A list in the actors' order and not a tree: a replica holds a clock of every document it has, and most name few actors. A
/// tree of one takes as much as a list of ten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct VectorClock {
    actors: Vec<(ActorId, u64)>,
}

/// Up to so many actors, there is no room for more than there are.
const FEW: usize = 4;
/// What an actor takes in memory.
const ACTOR_BYTES: usize = std::mem::size_of::<(ActorId, u64)>();

/// How two clocks stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockOrder {
    /// Both hold the same.
    Equal,
    /// The first holds less than the second, and nothing else.
    Before,
    /// The first holds more than the second, and all of it.
    After,
    /// Each holds something the other lacks.
    Concurrent,
}

impl VectorClock {
    /// The clock of a replica that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The highest sequence number held of `actor`, 0 for none.
    pub fn get(&self, actor: &ActorId) -> u64 {
        self.place(actor).map_or(0, |at| self.actors[at].1)
    }

    /// Whether entry `seq` of `actor` is held.
    pub fn covers(&self, actor: &ActorId, seq: u64) -> bool {
        self.get(actor) >= seq
    }

    /// Counts one more entry of `actor`, and returns its sequence number.
    pub fn increment(&mut self, actor: ActorId) -> u64 {
        let seq = self.get(&actor) + 1;
        self.raise(actor, seq);
        seq
    }

    /// Raises `actor` to at least `seq`.
    pub fn raise(&mut self, actor: ActorId, seq: u64) {
        if seq == 0 {
            return;
        }
        match self.place(&actor) {
            Ok(at) => self.actors[at].1 = seq.max(self.actors[at].1),
            Err(at) => {
                if self.actors.len() < FEW {
                    self.actors.reserve_exact(1);
                }
                self.actors.insert(at, (actor, seq));
            }
        }
    }

    /// Lowers `actor` to at most `seq`.
    pub fn lower(&mut self, actor: &ActorId, seq: u64) {
        let Ok(at) = self.place(actor) else { return };
        if seq == 0 {
            self.actors.remove(at);
        } else {
            self.actors[at].1 = seq.min(self.actors[at].1);
        }
    }

    /// Where an actor is, or would be.
    fn place(&self, actor: &ActorId) -> Result<usize, usize> {
        self.actors.binary_search_by(|(held, _)| held.cmp(actor))
    }

    /// Takes the higher of both for every actor: what both replicas hold together.
    pub fn merge(&mut self, other: &Self) {
        if self.actors.is_empty() {
            return self.actors.clone_from(&other.actors);
        }
        for (actor, seq) in &other.actors {
            self.raise(*actor, *seq);
        }
    }

    /// How `self` stands to `other`.
    pub fn compare(&self, other: &Self) -> ClockOrder {
        match (self.is_within(other), other.is_within(self)) {
            (true, true) => ClockOrder::Equal,
            (true, false) => ClockOrder::Before,
            (false, true) => ClockOrder::After,
            (false, false) => ClockOrder::Concurrent,
        }
    }

    /// Whether `other` holds all that `self` holds.
    pub fn is_within(&self, other: &Self) -> bool {
        if self.actors.len() > other.actors.len() {
            return false;
        }
        if self.actors.len() < other.actors.len() / FEW {
            return self.actors.iter().all(|(actor, seq)| other.covers(actor, *seq));
        }
        // Both are in the same order.
        let mut theirs = other.actors.iter();
        let covers = |(actor, seq): &(ActorId, u64)| {
            theirs.find(|(held, _)| held >= actor).is_some_and(|(held, held_seq)| held == actor && held_seq >= seq)
        };
        self.actors.iter().all(covers)
    }

    /// How many entries it stands for; no more than `u64` can tell, whatever a peer or a disk makes of it.
    pub fn entries(&self) -> u64 {
        self.actors.iter().fold(0, |entries, (_, seq)| entries.saturating_add(*seq))
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.actors.is_empty()
    }

    /// About how many bytes it takes in memory beside itself, for bounds.
    pub fn weight(&self) -> usize {
        self.actors.len() * ACTOR_BYTES
    }

    /// Actors it names.
    pub fn len(&self) -> usize {
        self.actors.len()
    }

    /// Each actor with its highest sequence number, in the actors' order.
    pub fn iter(&self) -> impl Iterator<Item = (&ActorId, u64)> {
        self.actors.iter().map(|(actor, seq)| (actor, *seq))
    }

    /// Writes it: a count, then for each actor in order its length, bytes and sequence number.
    pub fn encode(&self, writer: &mut Writer) {
        writer.uint(self.actors.len() as u64);
        for (actor, seq) in &self.actors {
            writer.bytes(actor.as_bytes());
            writer.uint(*seq);
        }
    }

    /// Reads what [`Self::encode`] wrote; refuses actors out of order and sequence number 0, so that one clock has one encoding.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count(CLOCK_ACTORS_MAX, 2)?;
        let mut actors = Vec::with_capacity(count);
        let mut last = None;
        for _ in 0..count {
            let actor = ActorId::new(reader.bytes(ACTOR_BYTES_MAX)?).ok_or(DecodeError::Invalid("an actor id is too long"))?;
            let seq = reader.uint()?;
            if last.is_some_and(|last| actor <= last) {
                return Err(DecodeError::Invalid("a clock's actors are out of order"));
            }
            if seq == 0 {
                return Err(DecodeError::Invalid("a clock names an actor at zero"));
            }
            last = Some(actor);
            actors.push((actor, seq));
        }
        Ok(Self { actors })
    }
}

impl FromIterator<(ActorId, u64)> for VectorClock {
    fn from_iter<T: IntoIterator<Item = (ActorId, u64)>>(iter: T) -> Self {
        let mut actors: Vec<(ActorId, u64)> = iter.into_iter().filter(|(_, seq)| *seq > 0).collect();
        actors.sort_unstable();
        // Of an actor that is named twice the highest number comes last, and is kept.
        actors.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            kept.1 = if same { later.1 } else { kept.1 };
            same
        });
        Self { actors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clocks() -> impl Strategy<Value = VectorClock> {
        proptest::collection::vec((0u8..4, 0u64..5), 0..6)
            .prop_map(|pairs| pairs.into_iter().map(|(actor, seq)| (ActorId::new(&[actor]).unwrap(), seq)).collect())
    }

    fn merged(a: &VectorClock, b: &VectorClock) -> VectorClock {
        let mut merged = a.clone();
        merged.merge(b);
        merged
    }

    proptest! {
        #[test]
        fn merging_commutes_associates_and_is_idempotent(a in clocks(), b in clocks(), c in clocks()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a);
        }

        #[test]
        fn a_merge_is_the_least_clock_that_holds_both(a in clocks(), b in clocks(), c in clocks()) {
            let both = merged(&a, &b);
            prop_assert!(a.is_within(&both) && b.is_within(&both));
            if a.is_within(&c) && b.is_within(&c) {
                prop_assert!(both.is_within(&c));
            }
        }

        #[test]
        fn comparing_is_a_partial_order(a in clocks(), b in clocks(), c in clocks()) {
            prop_assert_eq!(a.compare(&a), ClockOrder::Equal);
            prop_assert_eq!(a.compare(&b) == ClockOrder::Equal, a == b);
            prop_assert_eq!(a.compare(&b) == ClockOrder::Before, b.compare(&a) == ClockOrder::After);
            prop_assert_eq!(a.compare(&b) == ClockOrder::Concurrent, b.compare(&a) == ClockOrder::Concurrent);
            if a.is_within(&b) && b.is_within(&c) {
                prop_assert!(a.is_within(&c));
            }
        }

        #[test]
        fn incrementing_comes_strictly_after(a in clocks(), actor in 0u8..4) {
            let mut after = a.clone();
            let actor = ActorId::new(&[actor]).unwrap();
            prop_assert_eq!(after.increment(actor), a.get(&actor) + 1);
            prop_assert_eq!(a.compare(&after), ClockOrder::Before);
        }

        #[test]
        fn a_clock_reads_back_as_it_was_written(a in clocks()) {
            let mut writer = Writer::new();
            a.encode(&mut writer);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(VectorClock::decode(&mut reader).unwrap(), a);
            prop_assert!(reader.end().is_ok());
        }
    }
}
