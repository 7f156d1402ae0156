//! What a journal holds, in memory: each document's entries, found by position, by actor and sequence number, and by hash.
//!
//! Payloads are held too, which suits the stores of browsers and simulations; a relay keeps its own in SQLite.

use super::task::{Position, StoreDone, StoredDocument, StoredEntry};
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId, StoreEpoch};
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::version::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything a journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// The store's life, once it is known.
    pub(super) epoch: Option<StoreEpoch>,
    /// Every document of which something is, or was, stored.
    pub(super) documents: BTreeMap<DocumentId, DocumentIndex>,
    /// Named values.
    pub(super) meta: BTreeMap<String, Vec<u8>>,
}

/// What is held of one document: positions from 1 to `end` without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DocumentIndex {
    space: SpaceId,
    /// Position p is at p - 1.
    entries: Vec<Arc<Entry>>,
    /// Positions by actor: sequence number s is at s - 1.
    by_actor: BTreeMap<ActorId, Vec<Position>>,
    by_hash: BTreeMap<ChangeHash, Position>,
    version: Version,
    bytes: u64,
    /// Whether entries that follow in the file do not count until a quarantine record says that the log goes on from here.
    pub(super) is_cut: bool,
}

impl Index {
    /// Reads entries of a document, as [`super::task::StoreTask::Read`] asks.
    pub(super) fn read(&self, document: &DocumentId, above: &VectorClock, after: Position, bytes_max: usize) -> StoreDone {
        match self.documents.get(document) {
            Some(index) => index.read(above, after, bytes_max),
            None => StoreDone::Read { entries: Vec::new(), complete: true },
        }
    }

    /// Those of `hashes` that a document's log holds.
    pub(super) fn find(&self, document: &DocumentId, hashes: &[ChangeHash]) -> Vec<ChangeHash> {
        let Some(index) = self.documents.get(document) else { return Vec::new() };
        hashes.iter().filter(|hash| index.by_hash.contains_key(*hash)).copied().collect()
    }

    /// Summaries of all documents held.
    pub(super) fn summaries(&self) -> Vec<StoredDocument> {
        let held = self.documents.iter().filter(|(_, index)| !index.entries.is_empty());
        held.map(|(document, index)| StoredDocument {
            document: *document,
            space: index.space,
            version: index.version.clone(),
            end: index.end(),
            bytes: index.bytes,
        })
        .collect()
    }
}

impl DocumentIndex {
    /// A document of which nothing is held.
    pub(super) fn new(space: SpaceId) -> Self {
        Self {
            space,
            entries: Vec::new(),
            by_actor: BTreeMap::new(),
            by_hash: BTreeMap::new(),
            version: Version::new(),
            bytes: 0,
            is_cut: false,
        }
    }

    /// The position of its last entry, 0 for none.
    pub(super) fn end(&self) -> Position {
        self.entries.len() as Position
    }

    /// Adds the next entry, or says in a sentence why it cannot be the next, and then changes nothing.
    pub(super) fn push(&mut self, stored: &StoredEntry) -> Result<(), String> {
        let StoredEntry { space, position, entry } = stored;
        let document = entry.document;
        if *position != self.end() + 1 {
            return Err(format!("document {document}: position {position} does not follow position {}", self.end()));
        }
        let seq = self.version.clock.get(&entry.actor);
        if entry.seq != seq + 1 {
            return Err(format!(
                "document {document}: entry {} of actor {} does not follow its entry {seq}",
                entry.seq, entry.actor
            ));
        }
        if *space != self.space && !self.entries.is_empty() {
            return Err(format!("document {document} belongs to space {}, not to {space}", self.space));
        }
        if let Some(held) = self.by_hash.get(&entry.hash) {
            return Err(format!("document {document}: position {position} repeats change {} of position {held}", entry.hash));
        }
        self.space = *space;
        self.entries.push(entry.clone());
        self.by_actor.entry(entry.actor).or_default().push(*position);
        self.by_hash.insert(entry.hash, *position);
        self.version.advance(entry);
        self.bytes += entry.payload.len() as u64;
        Ok(())
    }

    /// Forgets every entry above `keep`. Costs about as much as what is forgotten, because a full disk fails many writes in a row.
    pub(super) fn truncate(&mut self, keep: Position) {
        if keep >= self.end() {
            return;
        }
        let gone = self.entries.split_off(keep as usize);
        let heads = &mut self.version.heads;
        for entry in &gone {
            heads.remove(&entry.hash);
            self.by_hash.remove(&entry.hash);
            self.bytes -= entry.payload.len() as u64;
            if let Some(positions) = self.by_actor.get_mut(&entry.actor) {
                positions.pop();
            }
        }
        self.by_actor.retain(|_, positions| !positions.is_empty());
        self.version.clock = self.by_actor.iter().map(|(actor, positions)| (*actor, positions.len() as u64)).collect();
        // What only the forgotten depended on is a head again.
        let bared = gone.iter().flat_map(|entry| &entry.deps).filter_map(|dep| Some((*self.by_hash.get(dep)?, *dep)));
        let bared: BTreeMap<Position, ChangeHash> = bared.collect();
        let Some(first) = bared.keys().next() else { return };
        let kept = &self.entries[*first as usize..];
        let covered: BTreeSet<&ChangeHash> = kept.iter().flat_map(|entry| &entry.deps).collect();
        heads.extend(bared.into_values().filter(|hash| !covered.contains(hash)));
    }

    /// Entries above a clock and after a position, merged from each actor's own line, so that the cost is that of the
    /// answer and not of what lies between.
    fn read(&self, above: &VectorClock, after: Position, bytes_max: usize) -> StoreDone {
        let mut lines: BTreeMap<Position, &[Position]> = BTreeMap::new();
        for (actor, positions) in &self.by_actor {
            let held = usize::try_from(above.get(actor)).unwrap_or(usize::MAX);
            let missing = positions.get(held..).unwrap_or_default();
            let skipped = missing.partition_point(|position| *position <= after);
            if let Some((first, rest)) = missing[skipped..].split_first() {
                lines.insert(*first, rest);
            }
        }
        let mut entries = Vec::new();
        let mut bytes = 0usize;
        while let Some((position, rest)) = lines.pop_first() {
            if let Some((next, rest)) = rest.split_first() {
                lines.insert(*next, rest);
            }
            let entry = &self.entries[position as usize - 1];
            bytes = bytes.saturating_add(entry.payload.len());
            entries.push((position, entry.clone()));
            if bytes >= bytes_max {
                break;
            }
        }
        StoreDone::Read { entries, complete: lines.is_empty() }
    }
}
