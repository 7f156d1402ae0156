//! Tests of the journal as a whole: against a model, through crashes at every point, and through damage of every kind.

mod crash;
mod damage;
mod model;
mod rewrite;
mod snapshots;

use crate::base::id::{ChangeHash, DocumentId, SpaceId, StoreEpoch};
use crate::base::rng::Rng;
use crate::log::clock::VectorClock;
use crate::log::snapshot::Snapshot;
use crate::log::version::Version;
use crate::store::conformance::SyntheticDocument;
use crate::store::conformance::plain::PlainLog;
use crate::store::journal::Journal;
use crate::store::medium::{Area, Medium, MemoryMedium};
use crate::store::rewrite::{DeadPart, RewritePolicy, StepKind};
use crate::store::task::{StoreContents, StoreDone, StoreTask, StoredEntry};
use std::collections::BTreeMap;

const EPOCH: StoreEpoch = StoreEpoch([9; 16]);
const DOCUMENTS: u8 = 4;
/// Written again soon, and in many steps.
const RESTLESS: RewritePolicy = RewritePolicy {
    in_use: DeadPart { bytes: 100, percent: 10 },
    at_opening: DeadPart { bytes: 100, percent: 10 },
    step_bytes: 500,
};

/// What a store should hold, kept in the plainest way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    documents: BTreeMap<DocumentId, PlainLog>,
    meta: BTreeMap<String, Vec<u8>>,
}

impl Model {
    fn apply(&mut self, task: &StoreTask) {
        match task {
            StoreTask::Append { entries, values } => {
                for (key, value) in values {
                    self.apply(&StoreTask::PutMeta { key: key.clone(), value: value.clone() });
                }
                for stored in entries {
                    let (space, document) = (stored.space, stored.entry.document);
                    self.log_mut(space, document).append(stored.clone());
                }
            }
            StoreTask::PutMeta { key, value } if value.is_empty() => {
                self.meta.remove(key);
            }
            StoreTask::PutMeta { key, value } => {
                self.meta.insert(key.clone(), value.clone());
            }
            StoreTask::Quarantine { document } => {
                self.documents.remove(document);
            }
            StoreTask::Renew { document, entries, values } => {
                self.documents.remove(document);
                self.apply(&StoreTask::Append { entries: entries.clone(), values: values.clone() });
            }
            StoreTask::PutSnapshot { document, space, snapshot, base } => {
                self.log_mut(*space, *document).put_snapshot(snapshot, base);
            }
            StoreTask::Open { .. } | StoreTask::Read { .. } | StoreTask::ReadSnapshot { .. } | StoreTask::Find { .. } => {}
        }
    }

    fn log_mut(&mut self, space: SpaceId, document: DocumentId) -> &mut PlainLog {
        let empty = SyntheticDocument { space, document, version: Version::new(), end: 0 };
        self.documents.entry(document).or_insert_with(|| PlainLog::new(&empty))
    }

    /// The states a crash may leave while `task` is written: before it, and after each of its records.
    fn steps(&self, task: &StoreTask) -> Vec<Self> {
        let mut steps = vec![self.clone()];
        let mut state = self.clone();
        match task {
            StoreTask::Append { entries, values } => {
                for (key, value) in values {
                    state.apply(&StoreTask::PutMeta { key: key.clone(), value: value.clone() });
                    steps.push(state.clone());
                }
                for stored in entries {
                    state.apply(&StoreTask::append(vec![stored.clone()]));
                    steps.push(state.clone());
                }
            }
            StoreTask::Renew { document, entries, values } if !self.documents.contains_key(document) => {
                return self.steps(&StoreTask::Append { entries: entries.clone(), values: values.clone() });
            }
            other => {
                state.apply(other);
                steps.push(state);
            }
        }
        steps
    }

    /// A document as it stands, to grow further.
    fn document(&self, number: u8) -> SyntheticDocument {
        self.log(number).synthetic()
    }

    /// The log of a document, whether anything is held of it or not.
    fn log(&self, number: u8) -> PlainLog {
        let document = SyntheticDocument::new(number % 2, number);
        self.documents.get(&document.document).cloned().unwrap_or_else(|| PlainLog::new(&document))
    }

    /// A few entries of a few documents, one append.
    fn grow(&self, rng: &mut Rng, entries_max: u64) -> StoreTask {
        let mut documents: Vec<_> = (0..DOCUMENTS).map(|number| self.document(number)).collect();
        let mut entries = Vec::new();
        for _ in 0..=rng.below(entries_max) {
            let document = &mut documents[rng.below(DOCUMENTS.into()) as usize];
            let (actor, bytes) = (rng.below(3) as u8, rng.below(40) as usize);
            let forks = document.version.heads.iter().next().copied().filter(|_| rng.below(3) == 0);
            let stored = match forks {
                Some(head) => document.grow_on(vec![head], actor, bytes),
                None => document.grow(actor, bytes),
            };
            entries.push(stored);
        }
        // As an engine that keeps a note with what it appends.
        let key = format!("with {}", rng.below(2));
        let values = if rng.below(4) == 0 { vec![(key, vec![rng.below(256) as u8; 3])] } else { Vec::new() };
        StoreTask::Append { entries, values }
    }

    /// A document's log begun anew with a few entries.
    fn renew(&self, rng: &mut Rng) -> StoreTask {
        let mut document = self.document(rng.below(DOCUMENTS.into()) as u8);
        (document.version, document.end) = (Version::new(), 0);
        let entries = (0..=rng.below(3)).map(|_| document.grow(rng.below(3) as u8 + 10, rng.below(40) as usize)).collect();
        let values = if rng.below(2) == 0 { vec![("with 0".to_owned(), vec![rng.below(256) as u8; 3])] } else { Vec::new() };
        StoreTask::Renew { document: document.document, entries, values }
    }

    /// Any task that writes.
    fn write(&self, rng: &mut Rng) -> StoreTask {
        match rng.below(13) {
            12 => self.renew(rng),
            0 => StoreTask::Quarantine { document: self.document(rng.below(DOCUMENTS.into()) as u8).document },
            1..=3 => {
                let value = vec![rng.below(256) as u8; rng.below(4) as usize * 5];
                StoreTask::PutMeta { key: format!("key {}", rng.below(4)), value }
            }
            4 | 5 => {
                let log = self.log(rng.below(DOCUMENTS.into()) as u8);
                log.propose(rng).map_or_else(|| self.grow(rng, 5), |proposed| log.put_task(proposed))
            }
            _ => self.grow(rng, 5),
        }
    }
}

/// Opens a journal on bytes and reads all of it.
fn reopen(bytes: &[u8]) -> (Journal<MemoryMedium>, StoreContents, Model) {
    let mut journal = Journal::new(MemoryMedium::from_bytes(bytes.to_vec()));
    let (contents, model) = open(&mut journal);
    (journal, contents, model)
}

/// Opens a journal on both areas, that is written again soon, and reads all of it.
fn reopen_areas(areas: &[Vec<u8>; 2]) -> (Journal<MemoryMedium>, StoreContents, Model) {
    let mut journal = Journal::new(MemoryMedium::from_areas(areas.clone())).with_policy(RESTLESS);
    let (contents, model) = open(&mut journal);
    (journal, contents, model)
}

/// Takes every step there is; answers how often the journal was written again.
fn step_to_the_end<M: Medium>(journal: &mut Journal<M>) -> usize {
    let steps = std::iter::from_fn(|| journal.step());
    steps.filter(|(kind, done)| *kind == StepKind::Switch && done.is_ok()).count()
}

/// Opens a journal, reads all of it, and checks that what it tells of itself is what it holds.
fn open<M: Medium>(journal: &mut Journal<M>) -> (StoreContents, Model) {
    match journal.execute(StoreTask::Open { epoch: EPOCH }) {
        Ok(StoreDone::Opened(contents)) => {
            let model = held(journal, &contents);
            (contents, model)
        }
        other => panic!("opening was answered with {other:?}"),
    }
}

fn held<M: Medium>(journal: &mut Journal<M>, contents: &StoreContents) -> Model {
    let mut model = Model { meta: contents.meta.iter().cloned().collect(), ..Model::default() };
    for told in &contents.documents {
        let (document, above) = (told.document, VectorClock::new());
        let read = StoreTask::Read { document, above, after: 0, bytes_max: usize::MAX };
        let Ok(StoreDone::Read { entries, complete: true }) = journal.execute(read) else { panic!("a read failed") };
        let hashes: Vec<ChangeHash> = entries.iter().map(|(_, entry)| entry.hash).collect();
        let found = journal.execute(StoreTask::Find { document, hashes: hashes.clone() });
        assert_eq!(found, Ok(StoreDone::Found { hashes }));
        let read = StoreTask::ReadSnapshot { document, offset: 0, bytes_max: usize::MAX };
        let Ok(StoreDone::SnapshotRead { part }) = journal.execute(read) else { panic!("a read of a snapshot failed") };
        let stored = |(position, entry)| StoredEntry { space: told.space, position, entry };
        let log = PlainLog {
            document,
            space: told.space,
            snapshot: part.map(|part| Snapshot { version: part.version, bytes: part.bytes }),
            base: told.snapshot.as_ref().map(|told| told.base.clone()).unwrap_or_default(),
            entries: entries.into_iter().map(stored).collect(),
        };
        assert!(log.entries.iter().zip(log.base.position + 1..).all(|(stored, position)| stored.position == position));
        assert_eq!(*told, log.summary());
        model.documents.insert(document, log);
    }
    model
}
