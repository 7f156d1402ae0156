//! What a journal holds, in memory: each document's entries, found by position, by actor and sequence number, and by hash,
//! and the snapshot that its log begins with.
//!
//! Payloads are held too, which suits the stores of browsers and simulations; a relay keeps its own in SQLite.

use super::beginning::{Beginning, check_snapshot};
use super::record::{CHECK_BYTES, HEADER_BYTES, Record, entry_record_bytes};
use super::task::{Position, SnapshotPart, StoreDone, StoredDocument, StoredEntry};
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId, StoreEpoch};
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::snapshot::{Base, Snapshot};
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

/// What is held of one document: a snapshot up to its base, and the positions from there to `end` without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DocumentIndex {
    space: SpaceId,
    beginning: Beginning,
    /// Position p is at p - 1 - the base's position.
    entries: Vec<Arc<Entry>>,
    /// Positions by actor: sequence number s is at s - 1 - what the base's clock says of the actor.
    by_actor: BTreeMap<ActorId, Vec<Position>>,
    by_hash: BTreeMap<ChangeHash, Position>,
    version: Version,
    bytes: u64,
    /// About how many bytes its entries take in a journal.
    record_bytes: u64,
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

    /// A part of the snapshot that a document's log begins with.
    pub(super) fn read_snapshot(&self, document: &DocumentId, offset: u64, bytes_max: usize) -> Option<SnapshotPart> {
        self.documents.get(document)?.beginning.part(offset, bytes_max)
    }

    /// About how many bytes a journal takes that holds this and nothing else.
    pub(super) fn live_bytes(&self) -> u64 {
        let record = (HEADER_BYTES + CHECK_BYTES) as u64;
        let documents: u64 = self.documents.values().map(DocumentIndex::live_bytes).sum();
        let values: u64 = self.meta.iter().map(|(key, value)| record + 6 + (key.len() + value.len()) as u64).sum();
        3 * record + 30 + documents + values
    }

    /// Summaries of all documents held.
    pub(super) fn summaries(&self) -> Vec<StoredDocument> {
        let held = self.documents.iter().filter(|(_, index)| index.end() > 0);
        held.map(|(document, index)| StoredDocument {
            document: *document,
            space: index.space,
            version: index.version.clone(),
            end: index.end(),
            bytes: index.bytes,
            snapshot: index.beginning.summary().map(Box::new),
        })
        .collect()
    }
}

impl DocumentIndex {
    /// A document of which nothing is held.
    pub(super) fn new(space: SpaceId) -> Self {
        Self {
            space,
            beginning: Beginning::default(),
            entries: Vec::new(),
            by_actor: BTreeMap::new(),
            by_hash: BTreeMap::new(),
            version: Version::new(),
            bytes: 0,
            record_bytes: 0,
            is_cut: false,
        }
    }

    /// The position of its last entry, 0 for none.
    pub(super) fn end(&self) -> Position {
        self.beginning.base.position + self.entries.len() as Position
    }

    /// A document as the copy of a journal begins it, with those entries after the base that its snapshot stands for; or a sentence
    /// that says why it cannot.
    pub(super) fn begun(
        document: DocumentId,
        space: SpaceId,
        base: Base,
        snapshot: Snapshot,
        entries: Vec<Arc<Entry>>,
    ) -> Result<Self, String> {
        check_snapshot(&snapshot, &base).map_err(|reason| format!("document {document}: {reason}"))?;
        let mut clock = base.clock.clone();
        for entry in &entries {
            if entry.seq != clock.get(&entry.actor) + 1 {
                return Err(format!("document {document}: entry {} of actor {} is out of its line", entry.seq, entry.actor));
            }
            clock.raise(entry.actor, entry.seq);
        }
        if clock != snapshot.version.clock {
            return Err(format!("document {document}: what its snapshot stands for is not what is held of that"));
        }
        let mut index = Self::new(space);
        index.version = snapshot.version.clone();
        index.beginning = Beginning { base, snapshot: Some(snapshot) };
        entries.iter().for_each(|entry| index.hold(entry));
        Ok(index)
    }

    /// The record that begins a copy of it, where it begins with a snapshot.
    pub(super) fn beginning_record(&self, document: DocumentId) -> Option<Record> {
        let Beginning { base, snapshot } = &self.beginning;
        let snapshot = snapshot.clone()?;
        let entries = self.entries[..(snapshot.end() - base.position) as usize].to_vec();
        Some(Record::Beginning { document, space: self.space, base: base.clone(), snapshot, entries })
    }

    /// The position after which its own entries begin: those that its snapshot does not stand for.
    pub(super) fn begun_at(&self) -> Position {
        self.beginning.end()
    }

    /// The entry at a position, to be stored again; nothing where none is held.
    pub(super) fn stored(&self, position: Position) -> Option<StoredEntry> {
        let at = position.checked_sub(self.beginning.base.position + 1)?;
        let entry = self.entries.get(usize::try_from(at).ok()?)?.clone();
        Some(StoredEntry { space: self.space, position, entry })
    }

    /// About how many bytes it takes in a journal.
    fn live_bytes(&self) -> u64 {
        let snapshot = self.beginning.snapshot.as_ref();
        let version_bytes = |snapshot: &Snapshot| 64 + 32 * snapshot.version.heads.len() + 48 * snapshot.version.clock.len();
        let begun = snapshot.map_or(0, |snapshot| HEADER_BYTES + CHECK_BYTES + version_bytes(snapshot) + snapshot.bytes.len());
        self.record_bytes + begun as u64
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
        if *space != self.space && self.end() > 0 {
            return Err(self.other_space(document, *space));
        }
        if let Some(held) = self.by_hash.get(&entry.hash) {
            return Err(format!("document {document}: position {position} repeats change {} of position {held}", entry.hash));
        }
        self.space = *space;
        self.hold(entry);
        self.version.advance(entry);
        Ok(())
    }

    /// The same log as it stands once it begins with a snapshot and lets go of the entries up to `asked`, or a sentence that
    /// says why it cannot. `is_replay`: it was taken once, and where damage has hit the log since so that `asked` is no base
    /// any more, the nearest is taken.
    pub(super) fn beginning_with(
        &self,
        document: DocumentId,
        space: SpaceId,
        snapshot: Snapshot,
        asked: &Base,
        is_replay: bool,
    ) -> Result<Self, String> {
        check_snapshot(&snapshot, &self.beginning.base).map_err(|reason| format!("document {document}: {reason}"))?;
        if space != self.space && self.end() > 0 {
            return Err(self.other_space(document, space));
        }
        let base = self.fitting_base(&snapshot, asked);
        if base != *asked && !is_replay {
            return Err(format!(
                "document {document}: entries cannot be let go up to position {} with that clock; the nearest position is {}",
                asked.position, base.position
            ));
        }
        // Where it is the beginning of the log, all that it stands for comes before all else; otherwise none of that is held on.
        let is_whole = base.position == snapshot.end();
        let (clock, mut version) = (snapshot.version.clock.clone(), snapshot.version.clone());
        let mut index = Self::new(space);
        index.beginning = Beginning { base, snapshot: Some(snapshot) };
        for (position, entry) in (self.beginning.base.position + 1..).zip(&self.entries) {
            if !clock.covers(&entry.actor, entry.seq) {
                version.advance(entry);
            } else if is_whole || position <= index.beginning.base.position {
                continue;
            }
            index.hold(entry);
        }
        index.version = version;
        Ok(index)
    }

    /// The base nearest to `asked` at which entries can be let go for `snapshot`: where the snapshot stands for exactly the
    /// beginning of the log, any position between the present base and the snapshot's end; otherwise the snapshot's end.
    fn fitting_base(&self, snapshot: &Snapshot, asked: &Base) -> Base {
        let (end, clock) = (snapshot.end(), &snapshot.version.clock);
        let held = &self.beginning.base;
        let whole = Base { position: end, clock: clock.clone() };
        let Some(count) = end.checked_sub(held.position).filter(|count| *count <= self.entries.len() as u64) else {
            return whole;
        };
        let within = &self.entries[..count as usize];
        if !held.clock.is_within(clock) || !within.iter().all(|entry| clock.covers(&entry.actor, entry.seq)) {
            return whole;
        }
        let mut base = held.clone();
        for entry in &within[..asked.position.clamp(held.position, end).saturating_sub(held.position) as usize] {
            base.position += 1;
            base.clock.raise(entry.actor, entry.seq);
        }
        base
    }

    /// Takes in an entry that was found to be the next.
    fn hold(&mut self, entry: &Arc<Entry>) {
        self.entries.push(entry.clone());
        let position = self.end();
        self.by_actor.entry(entry.actor).or_default().push(position);
        self.by_hash.insert(entry.hash, position);
        self.bytes += entry.payload.len() as u64;
        self.record_bytes += entry_record_bytes(entry);
    }

    fn other_space(&self, document: DocumentId, space: SpaceId) -> String {
        format!("document {document} belongs to space {}, not to {space}", self.space)
    }

    /// Forgets every entry above `keep`, as far as it has no snapshot there. Costs about as much as what is forgotten, because a full
    /// disk fails many writes in a row.
    pub(super) fn truncate(&mut self, keep: Position) {
        let keep = keep.max(self.beginning.end());
        if keep >= self.end() {
            return;
        }
        let base = &self.beginning.base;
        let gone = self.entries.split_off((keep - base.position) as usize);
        let heads = &mut self.version.heads;
        for entry in &gone {
            heads.remove(&entry.hash);
            self.by_hash.remove(&entry.hash);
            self.bytes -= entry.payload.len() as u64;
            self.record_bytes -= entry_record_bytes(entry);
            if let Some(positions) = self.by_actor.get_mut(&entry.actor) {
                positions.pop();
            }
        }
        self.by_actor.retain(|_, positions| !positions.is_empty());
        let mut clock = base.clock.clone();
        for (actor, positions) in &self.by_actor {
            clock.raise(*actor, base.clock.get(actor) + positions.len() as u64);
        }
        self.version.clock = clock;
        // What only the forgotten depended on is a head again; of what the snapshot stands for, only its heads can be.
        let begun = self.beginning.end();
        let position_of = |hash: &ChangeHash| match self.beginning.has_head(hash) {
            true => Some(begun),
            false => self.by_hash.get(hash).copied().filter(|held| *held > begun),
        };
        let bared = gone.iter().flat_map(|entry| &entry.deps).filter_map(|dep| Some((position_of(dep)?, *dep)));
        let bared: BTreeSet<(Position, ChangeHash)> = bared.collect();
        let Some((first, _)) = bared.first() else { return };
        let kept = &self.entries[(*first - base.position) as usize..];
        let covered: BTreeSet<&ChangeHash> = kept.iter().flat_map(|entry| &entry.deps).collect();
        heads.extend(bared.iter().map(|(_, hash)| *hash).filter(|hash| !covered.contains(hash)));
    }

    /// Entries above a clock and after a position, merged from each actor's own line, so that the cost is that of the
    /// answer and not of what lies between.
    fn read(&self, above: &VectorClock, after: Position, bytes_max: usize) -> StoreDone {
        let mut lines: BTreeMap<Position, &[Position]> = BTreeMap::new();
        for (actor, positions) in &self.by_actor {
            let held = above.get(actor).saturating_sub(self.beginning.base.clock.get(actor));
            let held = usize::try_from(held).unwrap_or(usize::MAX);
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
            let entry = &self.entries[(position - self.beginning.base.position) as usize - 1];
            bytes = bytes.saturating_add(entry.payload.len());
            entries.push((position, entry.clone()));
            if bytes >= bytes_max {
                break;
            }
        }
        StoreDone::Read { entries, complete: lines.is_empty() }
    }
}
