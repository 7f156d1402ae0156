//! The durable documents of a space in the order of their ids, with what stands for any range of them at hand.
//!
//! A B-tree whose every child is kept with the fingerprint of all below it. A range's fingerprint, the k-th document and a
//! change of one cost a walk from the root to a leaf, so that comparing whole spaces costs the logarithm of what they hold.
//! Fingerprints form a group, so a range is what lies below its end less what lies below its beginning.

use super::version::Digest;
use crate::base::id::DocumentId;

/// Most children of a branch, and most documents in a leaf.
const WIDTH_MAX: usize = 32;
/// A node with fewer is joined with a neighbour.
const WIDTH_MIN: usize = WIDTH_MAX / 4;

/// What stands for a set of documents: the sum modulo 2^128 of their digests, as little-endian numbers, and how many
/// there are. Source of the sum: Meyer, Range-Based Set Reconciliation, 2023.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint {
    /// Sum of the digests modulo 2^128.
    pub sum: u128,
    /// How many.
    pub count: u64,
}

impl Fingerprint {
    /// What stands for one document.
    pub fn of(digest: &Digest) -> Self {
        Self { sum: u128::from_le_bytes(*digest), count: 1 }
    }

    /// What stands for this set and another that shares no document with it.
    pub fn plus(self, other: Self) -> Self {
        Self { sum: self.sum.wrapping_add(other.sum), count: self.count + other.count }
    }

    /// What stands for this set without another that is part of it.
    pub fn minus(self, other: Self) -> Self {
        Self { sum: self.sum.wrapping_sub(other.sum), count: self.count - other.count }
    }
}

/// Documents in the order of their ids, each with its digest.
#[derive(Clone, Debug)]
pub struct DigestTree {
    root: Node,
    whole: Fingerprint,
    /// Nodes looked at, so that a test can tell what a comparison costs.
    #[cfg(test)]
    visits: std::cell::Cell<u64>,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<(DocumentId, Digest)>),
    Branch(Vec<Child>),
}

#[derive(Clone, Debug)]
struct Child {
    /// No document below is before it, and none of the child before reaches it.
    low: DocumentId,
    whole: Fingerprint,
    node: Box<Node>,
}

impl Default for DigestTree {
    fn default() -> Self {
        Self {
            root: Node::Leaf(Vec::new()),
            whole: Fingerprint::default(),
            #[cfg(test)]
            visits: std::cell::Cell::new(0),
        }
    }
}

impl DigestTree {
    /// What stands for all of it.
    pub fn whole(&self) -> Fingerprint {
        self.whole
    }

    /// Gives a document its digest; answers the one it had.
    pub fn insert(&mut self, document: DocumentId, digest: Digest) -> Option<Digest> {
        let (before, sibling) = self.root.insert(document, digest);
        self.whole = moved(self.whole, before.as_ref(), Some(&digest));
        if let Some(sibling) = sibling {
            let old = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
            let whole = self.whole.minus(sibling.whole);
            self.root = Node::Branch(vec![Child { low: DocumentId([0; 16]), whole, node: Box::new(old) }, sibling]);
        }
        before
    }

    /// Takes a document out; answers the digest it had.
    pub fn remove(&mut self, document: &DocumentId) -> Option<Digest> {
        let before = self.root.remove(document)?;
        self.whole = moved(self.whole, Some(&before), None);
        if let Node::Branch(children) = &mut self.root
            && children.len() == 1
            && let Some(only) = children.pop()
        {
            self.root = *only.node;
        }
        Some(before)
    }

    /// A document's digest.
    pub fn get(&self, document: &DocumentId) -> Option<Digest> {
        let mut node = &self.root;
        loop {
            self.visit();
            match node {
                Node::Branch(children) => node = &children[child_of(children, document)].node,
                Node::Leaf(items) => {
                    return items.binary_search_by_key(document, |(held, _)| *held).ok().map(|at| items[at].1);
                }
            }
        }
    }

    /// What stands for the documents from `low` to below `high`, or to the end when there is none.
    pub fn fingerprint(&self, low: DocumentId, high: Option<DocumentId>) -> Fingerprint {
        match high {
            Some(high) if high <= low => Fingerprint::default(),
            Some(high) => self.below(&high).minus(self.below(&low)),
            None => self.whole.minus(self.below(&low)),
        }
    }

    /// What stands for the documents before `end`; its count is the rank of `end`.
    pub fn below(&self, end: &DocumentId) -> Fingerprint {
        let mut total = Fingerprint::default();
        let mut node = &self.root;
        loop {
            self.visit();
            match node {
                Node::Branch(children) => {
                    let at = child_of(children, end);
                    total = children[..at].iter().fold(total, |total, child| total.plus(child.whole));
                    node = &children[at].node;
                }
                Node::Leaf(items) => {
                    let before = items.iter().take_while(|(document, _)| document < end);
                    return before.fold(total, |total, (_, digest)| total.plus(Fingerprint::of(digest)));
                }
            }
        }
    }

    /// The document that has `rank` others before it.
    pub fn select(&self, rank: u64) -> Option<DocumentId> {
        let mut left = rank;
        let mut node = &self.root;
        loop {
            self.visit();
            match node {
                Node::Branch(children) => {
                    let holds = |child: &&Child| {
                        let holds = left < child.whole.count;
                        left -= if holds { 0 } else { child.whole.count };
                        holds
                    };
                    node = &children.iter().find(holds)?.node;
                }
                Node::Leaf(items) => return items.get(usize::try_from(left).ok()?).map(|(document, _)| *document),
            }
        }
    }

    /// Documents from `low` to below `high`, or to the end when there is none, with their digests.
    pub fn range(&self, low: DocumentId, high: Option<DocumentId>) -> impl Iterator<Item = (DocumentId, Digest)> {
        // Where to go on in each node on the way down.
        let mut way = Vec::new();
        let mut node = &self.root;
        loop {
            self.visit();
            match node {
                Node::Branch(children) => {
                    let at = child_of(children, &low);
                    way.push((node, at + 1));
                    node = &children[at].node;
                }
                Node::Leaf(items) => {
                    way.push((node, items.partition_point(|(document, _)| *document < low)));
                    break;
                }
            }
        }
        std::iter::from_fn(move || {
            loop {
                let (node, at) = way.last_mut()?;
                *at += 1;
                match node {
                    Node::Leaf(items) => match items.get(*at - 1) {
                        Some(item) => return Some(*item),
                        None => _ = way.pop(),
                    },
                    Node::Branch(children) => match children.get(*at - 1) {
                        Some(child) => {
                            self.visit();
                            way.push((&child.node, 0));
                        }
                        None => _ = way.pop(),
                    },
                }
            }
        })
        .take_while(move |(document, _)| high.is_none_or(|high| *document < high))
    }

    fn visit(&self) {
        #[cfg(test)]
        self.visits.set(self.visits.get() + 1);
    }

    /// Nodes looked at since this was last asked.
    #[cfg(test)]
    pub(crate) fn take_visits(&self) -> u64 {
        self.visits.take()
    }
}

impl Node {
    /// Also answers the right half of this node where it became too wide.
    fn insert(&mut self, document: DocumentId, digest: Digest) -> (Option<Digest>, Option<Child>) {
        let before = match self {
            Self::Leaf(items) => match items.binary_search_by_key(&document, |(held, _)| *held) {
                Ok(at) => Some(std::mem::replace(&mut items[at].1, digest)),
                Err(at) => {
                    items.insert(at, (document, digest));
                    None
                }
            },
            Self::Branch(children) => {
                let at = child_of(children, &document);
                let child = &mut children[at];
                child.low = child.low.min(document);
                let (before, sibling) = child.node.insert(document, digest);
                child.whole = moved(child.whole, before.as_ref(), Some(&digest));
                if let Some(sibling) = sibling {
                    child.whole = child.whole.minus(sibling.whole);
                    children.insert(at + 1, sibling);
                }
                before
            }
        };
        (before, self.split())
    }

    fn remove(&mut self, document: &DocumentId) -> Option<Digest> {
        match self {
            Self::Leaf(items) => {
                let at = items.binary_search_by_key(document, |(held, _)| *held).ok()?;
                Some(items.remove(at).1)
            }
            Self::Branch(children) => {
                let at = child_of(children, document);
                let before = children[at].node.remove(document)?;
                children[at].whole = moved(children[at].whole, Some(&before), None);
                if children[at].node.width() < WIDTH_MIN && children.len() > 1 {
                    let left = at.min(children.len() - 2);
                    let right = children.remove(left + 1);
                    let child = &mut children[left];
                    child.node.join(*right.node);
                    child.whole = child.whole.plus(right.whole);
                    if let Some(sibling) = child.node.split() {
                        child.whole = child.whole.minus(sibling.whole);
                        children.insert(left + 1, sibling);
                    }
                }
                Some(before)
            }
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Branch(children) => children.len(),
        }
    }

    /// Takes in what its right neighbour holds.
    fn join(&mut self, right: Self) {
        match (self, right) {
            (Self::Leaf(items), Self::Leaf(more)) => items.extend(more),
            (Self::Branch(children), Self::Branch(more)) => children.extend(more),
            _ => debug_assert!(false, "all leaves are equally deep"),
        }
    }

    fn split(&mut self) -> Option<Child> {
        if self.width() <= WIDTH_MAX {
            return None;
        }
        let half = self.width() / 2;
        let (low, whole, node) = match self {
            Self::Leaf(items) => {
                let right = items.split_off(half);
                let sum = |total: Fingerprint, item: &(DocumentId, Digest)| total.plus(Fingerprint::of(&item.1));
                (right[0].0, right.iter().fold(Fingerprint::default(), sum), Self::Leaf(right))
            }
            Self::Branch(children) => {
                let right = children.split_off(half);
                let sum = |total: Fingerprint, child: &Child| total.plus(child.whole);
                (right[0].low, right.iter().fold(Fingerprint::default(), sum), Self::Branch(right))
            }
        };
        Some(Child { low, whole, node: Box::new(node) })
    }
}

/// Which child a document belongs to.
fn child_of(children: &[Child], document: &DocumentId) -> usize {
    children.partition_point(|child| child.low <= *document).saturating_sub(1)
}

fn moved(whole: Fingerprint, before: Option<&Digest>, after: Option<&Digest>) -> Fingerprint {
    let without = before.map_or(whole, |digest| whole.minus(Fingerprint::of(digest)));
    after.map_or(without, |digest| without.plus(Fingerprint::of(digest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(number: u16) -> DocumentId {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        DocumentId(id)
    }

    fn digest(number: u64) -> Digest {
        let mut digest = [0xff; 16];
        digest[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        digest
    }

    fn sum<'a>(digests: impl Iterator<Item = &'a Digest>) -> Fingerprint {
        digests.fold(Fingerprint::default(), |total, digest| total.plus(Fingerprint::of(digest)))
    }

    /// All leaves are equally deep, no node is too wide or too narrow, and what is kept of each child is true.
    fn check(node: &Node, is_root: bool) -> (usize, Fingerprint) {
        assert!(node.width() <= WIDTH_MAX && (is_root || node.width() >= WIDTH_MIN), "a node of {}", node.width());
        match node {
            Node::Leaf(items) => (0, sum(items.iter().map(|(_, digest)| digest))),
            Node::Branch(children) => {
                let below: Vec<_> = children.iter().map(|child| check(&child.node, false)).collect();
                assert!(below.iter().all(|(depth, _)| *depth == below[0].0), "all leaves are equally deep");
                assert!(children.iter().zip(&below).all(|(child, (_, whole))| child.whole == *whole));
                (below[0].0 + 1, below.iter().fold(Fingerprint::default(), |total, (_, whole)| total.plus(*whole)))
            }
        }
    }

    proptest! {
        #[test]
        fn it_answers_as_a_sorted_map_would(
            // Whether to put or take out, and what; long runs so that nodes split and join.
            steps in proptest::collection::vec((0u8..3, 0u16..2_000, 1u16..400), 1..20),
            asked in proptest::collection::vec((0u16..2_400, 0u16..2_400), 8),
        ) {
            let (mut tree, mut map) = (DigestTree::default(), BTreeMap::new());
            for (turn, (what, first, count)) in steps.into_iter().enumerate() {
                for number in first..first + count {
                    if what == 0 {
                        prop_assert_eq!(tree.remove(&id(number)), map.remove(&id(number)));
                    } else {
                        let digest = digest(u64::from(number) + ((turn as u64) << 16));
                        prop_assert_eq!(tree.insert(id(number), digest), map.insert(id(number), digest));
                    }
                }
                let (_, whole) = check(&tree.root, true);
                prop_assert_eq!(whole, tree.whole());
            }
            prop_assert_eq!(tree.whole(), sum(map.values()));
            for (low, high) in asked {
                let high = (high < 2_200).then(|| id(high));
                let within = |document: &&DocumentId| **document >= id(low) && high.is_none_or(|high| **document < high);
                let wanted: Vec<_> = map.keys().filter(within).map(|document| (*document, map[document])).collect();
                prop_assert_eq!(tree.fingerprint(id(low), high), sum(wanted.iter().map(|(_, digest)| digest)));
                let empty = high.is_some_and(|high| high <= id(low));
                prop_assert_eq!(tree.range(id(low), high).collect::<Vec<_>>(), if empty { Vec::new() } else { wanted });
                prop_assert_eq!(tree.below(&id(low)).count, map.range(..id(low)).count() as u64);
                prop_assert_eq!(tree.select(u64::from(low)), map.keys().nth(usize::from(low)).copied());
                prop_assert_eq!(tree.get(&id(low)), map.get(&id(low)).copied());
            }
        }
    }
}
