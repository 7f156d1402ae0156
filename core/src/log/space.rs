//! A space as a replica holds it: the logs of its documents, and fingerprints to compare it with another replica's.
//!
//! A fingerprint stands for the durable versions of a range of documents: the sum modulo 2^128 of their digests, and how
//! many there are. Only what is durable counts, so that two replicas with equal fingerprints have saved each other's work.

use super::entry::Entry;
use super::feed::{Feed, Moved};
use super::log::{Log, Weight};
use super::snapshot::SnapshotSummary;
use super::tree::{DigestTree, Fingerprint};
use super::version::Digest;
use crate::base::id::{DocumentId, SpaceId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One space.
#[derive(Clone, Debug)]
pub struct Space {
    id: SpaceId,
    logs: BTreeMap<DocumentId, Log>,
    digests: DigestTree,
    feed: Feed,
    weight: Weight,
}

impl Space {
    /// A space of which nothing is held.
    pub fn new(id: SpaceId) -> Self {
        Self { id, logs: BTreeMap::new(), digests: DigestTree::default(), feed: Feed::default(), weight: Weight::default() }
    }

    /// The space.
    pub fn id(&self) -> SpaceId {
        self.id
    }

    /// The log of a document that is held.
    pub fn log(&self, document: &DocumentId) -> Option<&Log> {
        self.logs.get(document)
    }

    /// Appends an entry to the log of its document, which is held and finds that it comes next; answers its position.
    pub fn append(&mut self, entry: Arc<Entry>) -> Option<u64> {
        let document = entry.document;
        self.change(&document, |log| log.append(entry))
    }

    /// Lets go of what is in the store too of a document, where that is everything; answers whether it was.
    pub fn let_go(&mut self, document: &DocumentId) -> bool {
        self.change(document, Log::let_go).unwrap_or(true)
    }

    /// About how many bytes all logs take in memory.
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// Changes a log, and what all of them weigh.
    fn change<R>(&mut self, document: &DocumentId, change: impl FnOnce(&mut Log) -> R) -> Option<R> {
        let log = self.logs.get_mut(document)?;
        let before = log.weight();
        let answer = change(log);
        self.weight = self.weight.minus(before).plus(log.weight());
        Some(answer)
    }

    /// Takes in a log, replacing the one there was. What came before is then no way to what is held now, and is forgotten.
    pub fn insert(&mut self, log: Log) {
        let document = log.document();
        let before = self.digests.whole();
        self.weight = self.weight.plus(log.weight());
        if let Some(replaced) = self.logs.insert(document, log) {
            self.weight = self.weight.minus(replaced.weight());
        }
        self.refresh(&document);
        if self.digests.whole() != before {
            self.feed.clear();
        }
    }

    /// Learns that a document's log is durable up to `position`.
    pub fn on_durable(&mut self, document: &DocumentId, position: u64) {
        let before = self.digests.whole();
        let held = self.change(document, |log| {
            let held = log.durable_end();
            log.on_durable(position);
            held
        });
        let Some(held) = held else { return };
        let digest = self.refresh(document);
        if self.digests.whole() != before {
            self.feed.advance(*document, Moved { held, digest }, before);
        }
    }

    /// Has a document's log begin with a snapshot that is durable, made of so many bytes of entries: see [`Log::begin_with`]. Where that gives other entries their positions, the states
    /// before are forgotten, because what moved since is known by its positions.
    pub fn begin_with(&mut self, document: &DocumentId, snapshot: SnapshotSummary, made_of: u64) {
        let before = self.digests.whole();
        let held = self.change(document, |log| {
            let held = log.durable_end();
            log.begin_with(snapshot, made_of);
            held
        });
        let Some(held) = held else { return };
        let digest = self.refresh(document);
        if self.digests.whole() == before {
            return;
        }
        if held == 0 {
            self.feed.advance(*document, Moved { held, digest }, before);
        } else {
            self.feed.clear();
        }
    }

    /// Learns from what was stored how documents stood in a state before the store was opened: it knows that state again, if this
    /// is how the present state came of it. Answers that state.
    pub fn restore(&mut self, moved: &BTreeMap<DocumentId, Moved>) -> Fingerprint {
        let is_whole = |(document, moved): &(&DocumentId, &Moved)| {
            let end = self.logs.get(document).map_or(0, Log::durable_end);
            moved.held <= end && self.holds(document)
        };
        let moved: Vec<(DocumentId, Moved)> =
            moved.iter().filter(is_whole).map(|(document, moved)| (*document, *moved)).collect();
        let of = |digest: Option<Digest>| digest.as_ref().map_or_else(Fingerprint::default, Fingerprint::of);
        let back = |state: Fingerprint, (document, moved): &(DocumentId, Moved)| {
            state.minus(of(self.digests.get(document))).plus(of(moved.digest))
        };
        let first = moved.iter().fold(self.state(), back);
        let mut before = first;
        for (document, moved) in moved {
            self.feed.advance(document, moved, before);
            before = before.minus(of(moved.digest)).plus(of(self.digests.get(&document)));
        }
        first
    }

    /// Brings the fingerprints up to date with a document's durable version; answers what stood for it before.
    fn refresh(&mut self, document: &DocumentId) -> Option<Digest> {
        match self.logs.get(document).filter(|log| !log.durable().is_empty()) {
            Some(log) => self.digests.insert(*document, log.durable().digest(document)),
            None => self.digests.remove(document),
        }
    }

    /// The present state: what stands for everything that is durable.
    pub fn state(&self) -> Fingerprint {
        self.digests.whole()
    }

    /// Documents that moved since the space was in a state, and how each stood then or before; nothing when it is not known to
    /// have been in it.
    pub fn since(&self, state: &Fingerprint) -> Option<BTreeMap<DocumentId, Moved>> {
        if *state == self.state() { Some(BTreeMap::new()) } else { self.feed.since(state) }
    }

    /// Remembers the present state for longer than others: a peer leaves in it, and may name it when it returns.
    pub fn keep_state(&mut self) {
        self.feed.keep(self.digests.whole());
    }

    /// A number that is the higher the later a document moved, 0 for one that has not moved since the store was opened.
    pub fn changed(&self, document: &DocumentId) -> u64 {
        self.feed.changed(document)
    }

    /// Documents held, in the order of their ids.
    pub fn documents(&self) -> impl Iterator<Item = &Log> {
        self.logs.values()
    }

    /// How many documents are held.
    pub fn len(&self) -> usize {
        self.logs.len()
    }

    /// Whether no document is held.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Durable documents from `low` to below `high` (to the end when there is none), but for `except`, with their digests.
    pub fn digests<'a>(
        &'a self,
        low: DocumentId,
        high: Option<DocumentId>,
        except: &'a BTreeSet<DocumentId>,
    ) -> impl Iterator<Item = (DocumentId, Digest)> + 'a {
        self.digests.range(low, high).filter(|(document, _)| !except.contains(document))
    }

    /// The fingerprint of what [`Self::digests`] lists.
    pub fn fingerprint(&self, low: DocumentId, high: Option<DocumentId>, except: &BTreeSet<DocumentId>) -> Fingerprint {
        let left_out = except.range(low..).take_while(|document| high.is_none_or(|high| **document < high));
        let digests = left_out.filter_map(|document| self.digests.get(document));
        digests.fold(self.digests.fingerprint(low, high), |total, digest| total.minus(Fingerprint::of(&digest)))
    }

    /// Whether something of a document is durable.
    pub fn holds(&self, document: &DocumentId) -> bool {
        self.digests.get(document).is_some()
    }

    /// Where to cut the documents from `low` to below `high` into at most `parts` of about equal size: ids between them, in
    /// order, as short as they can be.
    pub fn cuts(&self, low: DocumentId, high: Option<DocumentId>, parts: u64) -> Vec<DocumentId> {
        let first = self.digests.below(&low).count;
        let count = self.digests.fingerprint(low, high).count;
        let size = count.div_ceil(parts).max(1);
        let ranks = (1..parts).map(|part| part * size).take_while(|rank| *rank < count).map(|rank| first + rank);
        let cut = |rank: u64| Some(between(&self.digests.select(rank - 1)?, &self.digests.select(rank)?));
        ranks.filter_map(cut).collect()
    }

    /// Nodes of the tree of digests that were looked at since this was last asked.
    #[cfg(test)]
    pub(crate) fn take_visits(&self) -> u64 {
        self.digests.take_visits()
    }
}

/// The id above `before` and not above `after` that ends in most zeros: it is sent without them.
fn between(before: &DocumentId, after: &DocumentId) -> DocumentId {
    let common = before.0.iter().zip(&after.0).take_while(|(before, after)| before == after).count();
    let mut cut = DocumentId([0; 16]);
    cut.0[..=common.min(15)].copy_from_slice(&after.0[..=common.min(15)]);
    cut
}
