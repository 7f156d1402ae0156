//! A log kept in the plainest way, to hold stores against.

use super::SyntheticDocument;
use crate::base::id::{DocumentId, SpaceId};
use crate::base::rng::Rng;
use crate::log::clock::VectorClock;
use crate::log::snapshot::{Base, Snapshot, SnapshotSummary};
use crate::log::version::Version;
use crate::store::task::{SnapshotPart, StoreDone, StoreTask, StoredDocument, StoredEntry};
use std::sync::Arc;

/// A document's log: a list, and perhaps a snapshot before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainLog {
    /// The document.
    pub document: DocumentId,
    /// The space it belongs to.
    pub space: SpaceId,
    /// What it begins with.
    pub snapshot: Option<Snapshot>,
    /// Up to where it has no entries.
    pub base: Base,
    /// Its entries, from the base on.
    pub entries: Vec<StoredEntry>,
}

impl PlainLog {
    /// An empty one.
    pub fn new(document: &SyntheticDocument) -> Self {
        let SyntheticDocument { space, document, .. } = *document;
        Self { document, space, snapshot: None, base: Base::default(), entries: Vec::new() }
    }

    /// The position of its last entry.
    pub fn end(&self) -> u64 {
        self.base.position + self.entries.len() as u64
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version_at(self.end())
    }

    /// Its version at a position that its snapshot does not stand for.
    fn version_at(&self, end: u64) -> Version {
        let mut version = self.snapshot.as_ref().map(|snapshot| snapshot.version.clone()).unwrap_or_default();
        let begun = version.clock.entries();
        self.entries
            .iter()
            .filter(|stored| stored.position > begun && stored.position <= end)
            .for_each(|stored| version.advance(&stored.entry));
        version
    }

    /// The same document, to grow further.
    pub fn synthetic(&self) -> SyntheticDocument {
        SyntheticDocument { space: self.space, document: self.document, version: self.version(), end: self.end() }
    }

    /// What a store tells of it.
    pub fn summary(&self) -> StoredDocument {
        let base = self.base.clone();
        let told = |Snapshot { version, bytes }: &Snapshot| SnapshotSummary {
            version: version.clone(),
            bytes: bytes.len() as u64,
            base,
        };
        StoredDocument {
            document: self.document,
            space: self.space,
            version: self.version(),
            end: self.end(),
            bytes: self.entries.iter().map(|stored| stored.entry.payload.len() as u64).sum(),
            snapshot: self.snapshot.as_ref().map(told).map(Box::new),
        }
    }

    /// The next entry.
    pub fn append(&mut self, stored: StoredEntry) {
        assert_eq!(stored.position, self.end() + 1, "a plain log is given no gaps");
        self.entries.push(stored);
    }

    /// Begins with a snapshot that fits.
    pub fn put_snapshot(&mut self, snapshot: &Snapshot, base: &Base) {
        let clock = &snapshot.version.clock;
        let (mut within, mut beside): (Vec<_>, Vec<_>) =
            self.entries.drain(..).partition(|stored| clock.covers(&stored.entry.actor, stored.entry.seq));
        within.retain(|stored| stored.position > base.position && base.position < snapshot.end());
        for (position, stored) in (snapshot.end() + 1..).zip(&mut beside) {
            stored.position = position;
        }
        self.entries.extend(within.into_iter().chain(beside));
        (self.snapshot, self.base) = (Some(snapshot.clone()), base.clone());
    }

    /// The answer to a read.
    pub fn read(&self, above: &VectorClock, after: u64, bytes_max: usize) -> StoreDone {
        let lacked =
            self.entries.iter().filter(|stored| stored.position > after && !above.covers(&stored.entry.actor, stored.entry.seq));
        let lacked: Vec<_> = lacked.map(|stored| (stored.position, stored.entry.clone())).collect();
        let (mut bytes, mut count) = (0, 0);
        for (_, entry) in &lacked {
            (bytes, count) = (bytes + entry.payload.len(), count + 1);
            if bytes >= bytes_max {
                break;
            }
        }
        StoreDone::Read { entries: lacked[..count].to_vec(), complete: count == lacked.len() }
    }

    /// The answer to a read of its snapshot.
    pub fn read_snapshot(&self, offset: u64, bytes_max: usize) -> StoreDone {
        let part = |Snapshot { version, bytes }: &Snapshot| SnapshotPart {
            version: version.clone(),
            size: bytes.len() as u64,
            offset,
            bytes: bytes.iter().copied().skip(offset as usize).take(bytes_max).collect(),
        };
        StoreDone::SnapshotRead { part: self.snapshot.as_ref().map(part) }
    }

    /// Any snapshot that it may begin with: of its own beginning, or from a replica that holds more; nothing while it is empty.
    pub fn propose(&self, rng: &mut Rng) -> Option<(Snapshot, Base)> {
        let begun = self.snapshot.as_ref().map_or(0, Snapshot::end);
        let mut document = self.synthetic();
        document.end = begun + rng.below(self.end() - begun + 1);
        document.version = self.version_at(document.end);
        let mut base = self.base.clone();
        if rng.below(2) == 0 {
            let position = base.position + rng.below(document.end - base.position + 1);
            for stored in self.entries.iter().filter(|stored| stored.position <= position) {
                base.position = stored.position;
                base.clock.raise(stored.entry.actor, stored.entry.seq);
            }
        } else {
            for _ in 0..=rng.below(3) {
                document.grow(rng.below(4) as u8, 0);
            }
            base = document.base();
        }
        let snapshot = document.snapshot(rng.below(60) as usize);
        (snapshot.end() > 0).then_some((snapshot, base))
    }

    /// A snapshot that it must not begin with.
    pub fn propose_broken(&self, rng: &mut Rng) -> Option<(Snapshot, Base)> {
        let (mut snapshot, mut base) = self.propose(rng)?;
        match rng.below(6) {
            0 => base.position += 1,
            1 => base.position = base.position.checked_sub(1)?,
            2 => _ = base.clock.increment(*snapshot.version.clock.iter().next()?.0),
            3 => snapshot.version.heads.clear(),
            4 => {
                let lacking = self.base.clock.iter().next()?.0;
                snapshot.version.clock = snapshot
                    .version
                    .clock
                    .iter()
                    .filter(|(actor, _)| *actor != lacking)
                    .map(|(actor, seq)| (*actor, seq))
                    .collect();
            }
            _ => snapshot.version = Version::new(),
        }
        Some((snapshot, base))
    }

    /// The task that puts it.
    pub fn put_task(&self, (snapshot, base): (Snapshot, Base)) -> StoreTask {
        StoreTask::PutSnapshot { document: self.document, space: self.space, snapshot, base }
    }
}

impl SyntheticDocument {
    /// A snapshot of all there is, of `bytes` bytes of noise.
    pub fn snapshot(&self, bytes: usize) -> Snapshot {
        let noise = self.version.digest(&self.document);
        let bytes: Arc<[u8]> = (0..bytes).map(|at| noise[at % noise.len()] ^ (at / noise.len()) as u8).collect();
        Snapshot { version: self.version.clone(), bytes }
    }

    /// The base at which all there is has been let go.
    pub fn base(&self) -> Base {
        Base { position: self.end, clock: self.version.clock.clone() }
    }
}
