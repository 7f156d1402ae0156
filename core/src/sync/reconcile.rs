//! Which documents of a space differ: range-based set reconciliation.
//!
//! Both sides order their documents by id and compare fingerprints of ranges; a range that differs is split or, when it is
//! small, listed. Each step answers the step before and needs nothing remembered. The work for one step is bounded: what is
//! too much for it is left for the next as one range. Source: Meyer, Range-Based Set Reconciliation, SRDS 2023.

use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::DocumentId;
use crate::base::limits::{RANGE_ITEMS_MAX, RANGES_MAX};
use crate::log::space::Space;
use crate::log::tree::Fingerprint;
use crate::log::version::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// Into how many ranges one is split.
pub const SPLIT: usize = 16;
/// Into how many parts everything is split for someone new, when it is more than [`OPENING_FROM`] documents: it saves a round trip.
pub const OPENING: usize = 96;
/// See [`OPENING`].
pub const OPENING_FROM: u64 = 256;
/// A range of at most this many documents is listed.
pub const LEAF: u64 = 32;

/// What one side holds between where the range before ended and `below`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first id after the range; nothing in the last range of all.
    pub below: Option<DocumentId>,
    /// What is held there.
    pub body: RangeBody,
}

/// What one side holds in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeBody {
    /// Nothing to say: the range is settled.
    Skip,
    /// A fingerprint of all of it.
    Fingerprint {
        /// Sum of the digests.
        sum: u128,
        /// How many.
        count: u64,
    },
    /// All of it, in the order of the ids.
    Items(Vec<(DocumentId, Digest)>),
}

/// What came of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What to answer; nothing when nothing is left to compare.
    pub reply: Vec<Range>,
    /// Documents that differ, or that this side lacks.
    pub differing: Vec<DocumentId>,
    /// Documents that the peer lacks.
    pub lacking: Vec<DocumentId>,
    /// Documents that both hold durably at the same version.
    pub equal: Vec<DocumentId>,
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// What this side holds.
    pub space: &'a Space,
    /// Documents that are compared in another way.
    pub except: &'a BTreeSet<DocumentId>,
    /// Documents of which it is worth knowing that they are equal: [`Step::equal`] is about them alone.
    pub wanted: &'a BTreeSet<DocumentId>,
    /// Bytes a reply should not have more of.
    pub bytes_max: usize,
}

const FIRST: DocumentId = DocumentId([0; 16]);
/// Most bytes of a range that is not a list.
const RANGE_BYTES: usize = 48;
/// Bytes of one document in a list.
const ITEM_BYTES: usize = 32;

impl Comparison<'_> {
    /// The first step: a fingerprint of everything.
    pub fn opening(&self) -> Vec<Range> {
        vec![Range { below: None, body: self.fingerprint(FIRST, None) }]
    }

    /// The first step towards someone new, who hardly holds the same: of many documents, fingerprints of parts at once.
    pub fn wide_opening(&self) -> Vec<Range> {
        let mut ranges = Vec::new();
        let has_room = OPENING * RANGE_BYTES <= self.bytes_max;
        let parts = if has_room && self.space.state().count > OPENING_FROM { OPENING } else { 1 };
        self.split(FIRST, None, parts, &mut ranges);
        ranges
    }

    /// Compares the peer's `ranges` with what this side holds.
    pub fn step(&self, ranges: &[Range]) -> Step {
        let mut step = Step::default();
        // What is left of the step's budgets: ranges in the reply are counted by its length.
        let mut items = RANGE_ITEMS_MAX;
        let mut low = FIRST;
        for range in ranges {
            let room = RANGES_MAX.min(self.bytes_max.saturating_sub(ITEM_BYTES * (RANGE_ITEMS_MAX - items)) / RANGE_BYTES);
            // However small the frame, the first that differs is gone into, so that every step leads somewhere.
            let begun = step.reply.iter().any(|range| range.body != RangeBody::Skip) || items < RANGE_ITEMS_MAX;
            if begun && (step.reply.len() + SPLIT + LEAF as usize > room || items < LEAF as usize) {
                push(&mut step.reply, None, self.fingerprint(low, None));
                break;
            }
            match &range.body {
                RangeBody::Skip => push(&mut step.reply, range.below, RangeBody::Skip),
                RangeBody::Fingerprint { sum, count } => {
                    let mine = self.space.fingerprint(low, range.below, self.except);
                    if (mine.sum, mine.count) == (*sum, *count) {
                        let within = self.wanted.range(low..).take_while(|document| is_below(document, range.below));
                        let held = |document: &&DocumentId| self.space.holds(document) && !self.except.contains(*document);
                        step.equal.extend(within.filter(held));
                        push(&mut step.reply, range.below, RangeBody::Skip);
                    } else if mine.count <= LEAF {
                        let list: Vec<_> = self.space.digests(low, range.below, self.except).collect();
                        items -= list.len();
                        push(&mut step.reply, range.below, RangeBody::Items(list));
                    } else {
                        self.split(low, range.below, SPLIT, &mut step.reply);
                    }
                }
                RangeBody::Items(theirs) => {
                    let end = self.compare(low, range.below, theirs, &mut items, &mut step);
                    push(&mut step.reply, end, RangeBody::Skip);
                    if end != range.below {
                        push(&mut step.reply, None, self.fingerprint(end.unwrap_or(low), None));
                        break;
                    }
                }
            }
            let Some(below) = range.below else { break };
            low = below;
        }
        if step.reply.iter().all(|range| range.body == RangeBody::Skip) {
            step.reply.clear();
        }
        step
    }

    fn fingerprint(&self, low: DocumentId, below: Option<DocumentId>) -> RangeBody {
        let Fingerprint { sum, count } = self.space.fingerprint(low, below, self.except);
        RangeBody::Fingerprint { sum, count }
    }

    fn split(&self, low: DocumentId, below: Option<DocumentId>, parts: usize, reply: &mut Vec<Range>) {
        let cuts = self.space.cuts(low, below, parts as u64);
        let mut low = low;
        for below in cuts.into_iter().map(Some).chain([below]) {
            push(reply, below, self.fingerprint(low, below));
            low = below.unwrap_or(low);
        }
    }

    /// Compares a list with what is held there; answers up to where, which is not all of it when this side holds too much.
    fn compare(
        &self,
        low: DocumentId,
        below: Option<DocumentId>,
        theirs: &[(DocumentId, Digest)],
        items: &mut usize,
        step: &mut Step,
    ) -> Option<DocumentId> {
        let mut end = below;
        let mut theirs: BTreeMap<DocumentId, Digest> = theirs.iter().copied().collect();
        for (document, mine) in self.space.digests(low, below, self.except) {
            if *items == 0 {
                end = Some(document);
                break;
            }
            *items -= 1;
            match theirs.remove(&document) {
                None => step.lacking.push(document),
                Some(digest) if digest != mine => step.differing.push(document),
                Some(_) if self.wanted.contains(&document) => step.equal.push(document),
                Some(_) => {}
            }
        }
        let within = |document: &DocumentId| *document >= low && is_below(document, end) && !self.except.contains(document);
        step.differing.extend(theirs.into_keys().filter(within));
        end
    }
}

fn is_below(document: &DocumentId, below: Option<DocumentId>) -> bool {
    below.is_none_or(|below| *document < below)
}

/// Adds a range, joining neighbours of which there is nothing to say.
fn push(reply: &mut Vec<Range>, below: Option<DocumentId>, body: RangeBody) {
    match reply.last_mut() {
        Some(last) if last.body == RangeBody::Skip && body == RangeBody::Skip => last.below = below,
        _ => reply.push(Range { below, body }),
    }
}

/// Writes ranges: a count, then for each the id below which it lies, without its zeros at the end (or that it is the last), a
/// tag and the body.
pub fn encode_ranges(ranges: &[Range], w: &mut Writer) {
    w.uint(ranges.len() as u64);
    for range in ranges {
        match range.below {
            None => w.u8(0),
            Some(below) => w.bytes(&below.0[..16 - below.0.iter().rev().take_while(|byte| **byte == 0).count()]),
        }
        match &range.body {
            RangeBody::Skip => w.u8(0),
            RangeBody::Fingerprint { sum, count } => {
                w.u8(1);
                w.put(&sum.to_le_bytes());
                w.uint(*count);
            }
            RangeBody::Items(items) => {
                w.u8(2);
                w.uint(items.len() as u64);
                for (document, digest) in items {
                    w.put(&document.0);
                    w.put(digest);
                }
            }
        }
    }
}

/// Reads what [`encode_ranges`] wrote; refuses ranges and items out of order.
pub fn decode_ranges(r: &mut Reader<'_>) -> Result<Vec<Range>, DecodeError> {
    let count = r.count(RANGES_MAX, 2)?;
    let mut ranges: Vec<Range> = Vec::with_capacity(count);
    let mut low = FIRST;
    for index in 0..count {
        let below = match r.bytes(16)? {
            [] if index + 1 == count => None,
            [] => return Err(DecodeError::Invalid("a range after the last")),
            [.., 0] => return Err(DecodeError::Invalid("a range's end has zeros at its own")),
            bytes => {
                let mut below = FIRST;
                below.0[..bytes.len()].copy_from_slice(bytes);
                Some(below)
            }
        };
        if below.is_some_and(|below| below <= low) {
            return Err(DecodeError::Invalid("ranges are out of order"));
        }
        let body = match r.u8()? {
            0 => RangeBody::Skip,
            1 => RangeBody::Fingerprint { sum: u128::from_le_bytes(r.array()?), count: r.uint()? },
            2 => RangeBody::Items(decode_items(r)?),
            tag => return Err(DecodeError::UnknownTag { what: "a range", tag }),
        };
        low = below.unwrap_or(low);
        ranges.push(Range { below, body });
    }
    Ok(ranges)
}

fn decode_items(r: &mut Reader<'_>) -> Result<Vec<(DocumentId, Digest)>, DecodeError> {
    let count = r.count(RANGE_ITEMS_MAX, 32)?;
    let mut items: Vec<(DocumentId, Digest)> = Vec::with_capacity(count);
    for _ in 0..count {
        let document = DocumentId(r.array()?);
        if items.last().is_some_and(|(last, _)| document <= *last) {
            return Err(DecodeError::Invalid("a range's documents are out of order"));
        }
        items.push((document, r.array()?));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{ActorId, ChangeHash, SpaceId};
    use crate::log::log::Log;
    use crate::log::version::Version;
    use proptest::prelude::*;

    fn space(documents: &BTreeMap<u16, u8>) -> Space {
        let mut space = Space::new(SpaceId([0; 16]));
        for (document, head) in documents {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&document.to_be_bytes());
            let clock = [(ActorId::new(&[1]).unwrap(), 1)].into_iter().collect();
            let version = Version { heads: [ChangeHash([*head; 32])].into(), clock };
            space.insert(Log::stored(DocumentId(id), SpaceId([0; 16]), version, 1));
        }
        space
    }

    fn side<'a>(space: &'a Space, except: &'a BTreeSet<DocumentId>, wanted: &'a BTreeSet<DocumentId>) -> Comparison<'a> {
        Comparison { space, except, wanted, bytes_max: 1 << 20 }
    }

    /// Runs steps back and forth; returns what was found to differ, to be equal, and how many frames and bytes it took.
    fn reconcile(ada: &Space, bob: &Space, bytes_max: usize) -> (BTreeSet<DocumentId>, BTreeSet<DocumentId>, usize, usize) {
        let none = BTreeSet::new();
        let wanted = ada.documents().chain(bob.documents()).map(Log::document).collect();
        let (mut differing, mut equal) = (BTreeSet::new(), BTreeSet::new());
        let mut ranges = side(ada, &none, &wanted).opening();
        let mut sides = [bob, ada].into_iter().cycle();
        let (mut frames, mut bytes) = (1, 0);
        while !ranges.is_empty() {
            let mut w = Writer::new();
            encode_ranges(&ranges, &mut w);
            let frame = w.finish();
            bytes += frame.len();
            assert!(frame.len() <= bytes_max, "{} bytes of {bytes_max}", frame.len());
            assert_eq!(decode_ranges(&mut Reader::new(&frame)).as_ref(), Ok(&ranges));
            let comparison = Comparison { bytes_max, ..side(sides.next().unwrap(), &none, &wanted) };
            let step = comparison.step(&ranges);
            differing.extend(step.differing);
            differing.extend(step.lacking);
            equal.extend(step.equal);
            ranges = step.reply;
            frames += 1;
            assert!(frames < 600, "reconciliation ends");
        }
        (differing, equal, frames, bytes)
    }

    fn id(document: u32) -> DocumentId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&document.wrapping_mul(0x9e37_79b9).to_be_bytes());
        DocumentId(id)
    }

    /// A space of `count` documents, of which every `step`th is at another version.
    fn large(count: u32, step: usize) -> Space {
        let mut space = Space::new(SpaceId([0; 16]));
        for document in 0..count {
            let clock = [(ActorId::new(&[1]).unwrap(), 1)].into_iter().collect();
            let changed = step > 0 && (document as usize).is_multiple_of(step);
            let version = Version { heads: [ChangeHash([u8::from(changed); 32])].into(), clock };
            space.insert(Log::stored(id(document), SpaceId([0; 16]), version, 1));
        }
        space
    }

    /// Nodes that both sides look at in the whole of a comparison.
    fn work(ada: &Space, bob: &Space) -> (u64, usize) {
        ada.take_visits();
        bob.take_visits();
        let none = BTreeSet::new();
        let mut ranges = side(ada, &none, &none).opening();
        let mut sides = [bob, ada].into_iter().cycle();
        let mut found = 0;
        while !ranges.is_empty() {
            let step = side(sides.next().unwrap(), &none, &none).step(&ranges);
            found += step.differing.len() + step.lacking.len();
            ranges = step.reply;
        }
        (ada.take_visits() + bob.take_visits(), found)
    }

    /// Two that agree on everything look at a root or two; two that differ in ten documents look at as many nodes for each
    /// as the tree is high. A hundred times the documents must not cost more than a few times the work.
    #[test]
    fn what_comparing_costs_grows_with_the_logarithm_of_what_is_held() {
        let mut changed = Vec::new();
        for count in [1_000, 10_000, 100_000] {
            let ada = large(count, 0);
            let (equal, found) = work(&ada, &ada);
            assert!(equal <= 8 && found == 0, "{equal} nodes for {count} documents in sync");
            let (ten, found) = work(&ada, &large(count, count as usize / 10));
            assert_eq!(found, 10);
            changed.push(ten);
        }
        // Each tenfold adds less than one more level of ranges, of 16 fingerprints for each of the ten.
        let level = 10 * SPLIT as u64 * 2 * 4;
        assert!(changed[1] <= changed[0] + 2 * level && changed[2] <= changed[1] + 2 * level, "{changed:?}");
        assert!(changed[2] < 10_000, "{changed:?}");
    }

    /// Someone new holds nothing, and is owed a hundred thousand documents: no step takes them all up.
    #[test]
    fn a_step_takes_up_no_more_than_its_bounds() {
        let (ada, bob) = (large(100_000, 0), large(0, 0));
        let none = BTreeSet::new();
        let mut ranges = side(&bob, &none, &none).opening();
        let (mut found, mut steps) = (BTreeSet::new(), 0);
        while !ranges.is_empty() {
            let step = side([&ada, &bob][steps % 2], &none, &none).step(&ranges);
            let taken = step.differing.len() + step.lacking.len();
            assert!(taken <= RANGE_ITEMS_MAX && step.reply.len() <= RANGES_MAX, "{taken} documents in a step");
            found.extend(step.lacking);
            ranges = step.reply;
            steps += 1;
        }
        assert_eq!(found.len(), 100_000);
        assert!(steps < 30, "{steps} steps");
    }

    #[test]
    fn equal_spaces_need_one_fingerprint_each_way_whatever_their_size() {
        let documents = (0..5_000).map(|document| (document, 1)).collect();
        let (differing, equal, frames, bytes) = reconcile(&space(&documents), &space(&documents), 1 << 20);
        assert!(differing.is_empty());
        assert_eq!((equal.len(), frames), (5_000, 2));
        assert!(bytes < 30, "{bytes} bytes");
    }

    #[test]
    fn ten_changed_of_five_thousand_are_found_in_few_frames() {
        let ada: BTreeMap<u16, u8> = (0..5_000).map(|document| (document, 1)).collect();
        let mut bob = ada.clone();
        for changed in (0..5_000).step_by(500) {
            bob.insert(changed, 2);
        }
        let (differing, _, frames, bytes) = reconcile(&space(&ada), &space(&bob), 1 << 20);
        assert_eq!(differing.len(), 10);
        assert!(frames <= 6 && bytes < 12_000, "{frames} frames, {bytes} bytes");
    }

    proptest! {
        #[test]
        fn exactly_what_differs_is_found(
            ada in proptest::collection::btree_map(0u16..400, 0u8..2, 0..300),
            bob in proptest::collection::btree_map(0u16..400, 0u8..2, 0..300),
            bytes_max in prop_oneof![Just(4_096usize), Just(1 << 20)],
        ) {
            let (differing, equal, ..) = reconcile(&space(&ada), &space(&bob), bytes_max);
            let id = |document: u16| {
                let mut id = [0; 16];
                id[..2].copy_from_slice(&document.to_be_bytes());
                DocumentId(id)
            };
            let all: BTreeSet<u16> = ada.keys().chain(bob.keys()).copied().collect();
            let (same, other): (Vec<u16>, Vec<u16>) = all.into_iter().partition(|document| ada.get(document) == bob.get(document));
            prop_assert_eq!(differing, other.into_iter().map(id).collect::<BTreeSet<_>>());
            prop_assert_eq!(equal, same.into_iter().map(id).collect::<BTreeSet<_>>());
        }
    }
}
