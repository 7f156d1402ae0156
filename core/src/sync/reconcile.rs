//! Which documents of a space differ: range-based set reconciliation.
//!
//! Both sides order their documents by id and compare fingerprints of ranges; a range that differs is split or, when it is
//! small, listed. Each step answers the step before and needs nothing remembered. The work for one frame is bounded by
//! the frame. Source: Meyer, Range-Based Set Reconciliation, SRDS 2023.

use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::DocumentId;
use crate::base::limits::{RANGE_ITEMS_MAX, RANGES_MAX};
use crate::log::space::{Fingerprint, Space};
use crate::log::version::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// Into how many ranges one is split.
pub const SPLIT: usize = 16;
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

/// The first step: a fingerprint of everything but `except`.
pub fn opening(space: &Space, except: &BTreeSet<DocumentId>) -> Vec<Range> {
    let Fingerprint { sum, count } = space.fingerprint(FIRST, None, except);
    vec![Range { below: None, body: RangeBody::Fingerprint { sum, count } }]
}

/// Compares the peer's `ranges` with this side's documents but for `except`. `list_equal` asks for the documents that
/// turned out equal; a relay, which promises nothing to itself, need not know them.
pub fn step(space: &Space, ranges: &[Range], except: &BTreeSet<DocumentId>, list_equal: bool) -> Step {
    let mut step = Step::default();
    let mut low = FIRST;
    for range in ranges {
        match &range.body {
            RangeBody::Skip => push(&mut step.reply, range.below, RangeBody::Skip),
            RangeBody::Fingerprint { sum, count } => {
                let mine = space.fingerprint(low, range.below, except);
                if (mine.sum, mine.count) == (*sum, *count) {
                    if list_equal {
                        step.equal.extend(space.digests(low, range.below, except).map(|(document, _)| document));
                    }
                    push(&mut step.reply, range.below, RangeBody::Skip);
                } else if mine.count <= LEAF {
                    let items = space.digests(low, range.below, except).collect();
                    push(&mut step.reply, range.below, RangeBody::Items(items));
                } else if step.reply.len() + SPLIT > RANGES_MAX {
                    // The frame is full: this range is split in a later step, when others have been settled.
                    push(&mut step.reply, range.below, RangeBody::Fingerprint { sum: mine.sum, count: mine.count });
                } else {
                    split(space, low, range.below, except, mine.count, &mut step.reply);
                }
            }
            RangeBody::Items(theirs) => {
                compare(space, low, range.below, except, theirs, list_equal, &mut step);
                push(&mut step.reply, range.below, RangeBody::Skip);
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

const FIRST: DocumentId = DocumentId([0; 16]);

/// Adds a range, joining neighbours of which there is nothing to say.
fn push(reply: &mut Vec<Range>, below: Option<DocumentId>, body: RangeBody) {
    match reply.last_mut() {
        Some(last) if last.body == RangeBody::Skip && body == RangeBody::Skip => last.below = below,
        _ => reply.push(Range { below, body }),
    }
}

fn split(
    space: &Space,
    low: DocumentId,
    below: Option<DocumentId>,
    except: &BTreeSet<DocumentId>,
    count: u64,
    reply: &mut Vec<Range>,
) {
    let size = (count as usize).div_ceil(SPLIT);
    let mut sum = 0u128;
    let mut in_range = 0u64;
    for (document, digest) in space.digests(low, below, except) {
        if in_range == size as u64 {
            push(reply, Some(document), RangeBody::Fingerprint { sum, count: in_range });
            (sum, in_range) = (0, 0);
        }
        sum = sum.wrapping_add(u128::from_le_bytes(digest));
        in_range += 1;
    }
    push(reply, below, RangeBody::Fingerprint { sum, count: in_range });
}

fn compare(
    space: &Space,
    low: DocumentId,
    below: Option<DocumentId>,
    except: &BTreeSet<DocumentId>,
    theirs: &[(DocumentId, Digest)],
    list_equal: bool,
    step: &mut Step,
) {
    let mut theirs: BTreeMap<DocumentId, Digest> = theirs.iter().copied().collect();
    for (document, mine) in space.digests(low, below, except) {
        match theirs.remove(&document) {
            None => step.lacking.push(document),
            Some(digest) if digest != mine => step.differing.push(document),
            Some(_) if list_equal => step.equal.push(document),
            Some(_) => {}
        }
    }
    step.differing.extend(theirs.into_keys().filter(|document| *document >= low && below.is_none_or(|below| *document < below)));
}

/// Writes ranges: a count, then for each the id below which it lies (or that it is the last), a tag and the body.
pub fn encode_ranges(ranges: &[Range], w: &mut Writer) {
    w.uint(ranges.len() as u64);
    for range in ranges {
        match range.below {
            None => w.u8(0),
            Some(below) => {
                w.u8(1);
                w.put(&below.0);
            }
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
        let below = match r.u8()? {
            0 if index + 1 == count => None,
            1 => Some(DocumentId(r.array()?)),
            0 => return Err(DecodeError::Invalid("a range after the last")),
            tag => return Err(DecodeError::UnknownTag { what: "a range's end", tag }),
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

    /// Runs steps back and forth; returns what was found to differ, to be equal, and how many frames it took.
    fn reconcile(ada: &Space, bob: &Space) -> (BTreeSet<DocumentId>, BTreeSet<DocumentId>, usize) {
        let none = BTreeSet::new();
        let (mut differing, mut equal) = (BTreeSet::new(), BTreeSet::new());
        let mut ranges = opening(ada, &none);
        let mut sides = [bob, ada].into_iter().cycle();
        let mut frames = 1;
        while !ranges.is_empty() {
            let mut w = Writer::new();
            encode_ranges(&ranges, &mut w);
            let bytes = w.finish();
            assert_eq!(decode_ranges(&mut Reader::new(&bytes)).as_ref(), Ok(&ranges));
            let step = step(sides.next().unwrap(), &ranges, &none, true);
            differing.extend(step.differing);
            differing.extend(step.lacking);
            equal.extend(step.equal);
            ranges = step.reply;
            frames += 1;
            assert!(frames < 12, "reconciliation ends");
        }
        (differing, equal, frames)
    }

    #[test]
    fn equal_spaces_need_one_fingerprint_each_way_whatever_their_size() {
        let documents = (0..5_000).map(|document| (document, 1)).collect();
        let (differing, equal, frames) = reconcile(&space(&documents), &space(&documents));
        assert!(differing.is_empty());
        assert_eq!((equal.len(), frames), (5_000, 2));
    }

    #[test]
    fn ten_changed_of_five_thousand_are_found_in_few_frames() {
        let ada: BTreeMap<u16, u8> = (0..5_000).map(|document| (document, 1)).collect();
        let mut bob = ada.clone();
        for changed in (0..5_000).step_by(500) {
            bob.insert(changed, 2);
        }
        let (differing, _, frames) = reconcile(&space(&ada), &space(&bob));
        assert_eq!(differing.len(), 10);
        assert!(frames <= 6, "{frames} frames");
    }

    proptest! {
        #[test]
        fn exactly_what_differs_is_found(
            ada in proptest::collection::btree_map(0u16..400, 0u8..2, 0..300),
            bob in proptest::collection::btree_map(0u16..400, 0u8..2, 0..300),
        ) {
            let (differing, equal, _) = reconcile(&space(&ada), &space(&bob));
            let id = |document: u16| {
                let mut id = [0; 16];
                id[..2].copy_from_slice(&document.to_be_bytes());
                DocumentId(id)
            };
            let all: BTreeSet<u16> = ada.keys().chain(bob.keys()).copied().collect();
            let (same, other): (Vec<u16>, Vec<u16>) = all.into_iter().partition(|document| ada.get(document) == bob.get(document));
            prop_assert_eq!(differing, other.into_iter().map(id).collect::<BTreeSet<_>>());
            prop_assert!(equal.iter().all(|document| same.iter().any(|same| id(*same) == *document)));
        }
    }
}
