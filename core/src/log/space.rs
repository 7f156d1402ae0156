//! A space as a replica holds it: the logs of its documents, and fingerprints to compare it with another replica's.
//!
//! A fingerprint stands for the durable versions of a range of documents: the sum modulo 2^128 of their digests, and how
//! many there are. Only what is durable counts, so that two replicas with equal fingerprints have saved each other's work.

use super::log::Log;
use super::version::Digest;
use crate::base::id::{DocumentId, SpaceId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What stands for a set of documents: see the room's essay. Source of the sum: Meyer, Range-Based Set Reconciliation, 2023.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// Sum of the digests modulo 2^128.
    pub sum: u128,
    /// How many.
    pub count: u64,
}

impl Fingerprint {
    fn add(&mut self, digest: &Digest) {
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(*digest));
        self.count += 1;
    }

    fn remove(&mut self, digest: &Digest) {
        self.sum = self.sum.wrapping_sub(u128::from_le_bytes(*digest));
        self.count -= 1;
    }
}

/// One space.
#[derive(Clone, Debug)]
pub struct Space {
    id: SpaceId,
    logs: BTreeMap<DocumentId, Log>,
    digests: BTreeMap<DocumentId, Digest>,
    whole: Fingerprint,
}

impl Space {
    /// A space of which nothing is held.
    pub fn new(id: SpaceId) -> Self {
        Self { id, logs: BTreeMap::new(), digests: BTreeMap::new(), whole: Fingerprint::default() }
    }

    /// The space.
    pub fn id(&self) -> SpaceId {
        self.id
    }

    /// The log of a document that is held.
    pub fn log(&self, document: &DocumentId) -> Option<&Log> {
        self.logs.get(document)
    }

    /// The log of a document that is held, to append to; call [`Self::refresh`] when its durable version has moved.
    pub fn log_mut(&mut self, document: &DocumentId) -> Option<&mut Log> {
        self.logs.get_mut(document)
    }

    /// Takes in a log, replacing the one there was.
    pub fn insert(&mut self, log: Log) {
        let document = log.document();
        self.logs.insert(document, log);
        self.refresh(&document);
    }

    /// Brings the fingerprints up to date with a document's durable version.
    pub fn refresh(&mut self, document: &DocumentId) {
        if let Some(old) = self.digests.remove(document) {
            self.whole.remove(&old);
        }
        if let Some(log) = self.logs.get(document).filter(|log| !log.durable().is_empty()) {
            let digest = log.durable().digest(document);
            self.whole.add(&digest);
            self.digests.insert(*document, digest);
        }
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
        let high = high.map_or(Bound::Unbounded, Bound::Excluded);
        let empty = matches!(high, Bound::Excluded(high) if high <= low);
        let bounds = if empty { (Bound::Included(low), Bound::Excluded(low)) } else { (Bound::Included(low), high) };
        let range = if empty { None } else { Some(self.digests.range(bounds)) };
        range
            .into_iter()
            .flatten()
            .filter(|(document, _)| !except.contains(document))
            .map(|(document, digest)| (*document, *digest))
    }

    /// The fingerprint of what [`Self::digests`] lists.
    pub fn fingerprint(&self, low: DocumentId, high: Option<DocumentId>, except: &BTreeSet<DocumentId>) -> Fingerprint {
        if low == DocumentId([0; 16]) && high.is_none() {
            let mut whole = self.whole;
            for document in except {
                if let Some(digest) = self.digests.get(document) {
                    whole.remove(digest);
                }
            }
            return whole;
        }
        let mut fingerprint = Fingerprint::default();
        for (_, digest) in self.digests(low, high, except) {
            fingerprint.add(&digest);
        }
        fingerprint
    }
}
