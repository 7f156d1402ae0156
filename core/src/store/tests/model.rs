//! Any tasks in any batches, with failing media and restarts: a journal answers as the plainest store would.

use super::*;
use crate::base::id::TaskId;
use crate::log::entry::Entry;
use crate::store::task::{StoreError, StoreErrorKind};
use std::sync::Arc;

/// A medium of which each next step may fail.
#[derive(Default)]
struct FlakyMedium {
    inner: MemoryMedium,
    /// Steps to come that fail, the next one last.
    fails: Vec<bool>,
    failed: u32,
}

impl FlakyMedium {
    fn step(&mut self) -> Result<(), StoreError> {
        if self.fails.pop() != Some(true) {
            return Ok(());
        }
        self.failed += 1;
        Err(StoreError { kind: StoreErrorKind::Full, message: "made to fail".to_owned() })
    }
}

impl Medium for FlakyMedium {
    fn read_all(&mut self, area: Area) -> Result<Vec<u8>, StoreError> {
        self.inner.read_all(area)
    }
    fn append(&mut self, area: Area, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let step = self.step();
        let written = if step.is_ok() { bytes.len() } else { self.failed as usize * 7 % (bytes.len() + 1) };
        self.inner.append(area, at, &bytes[..written])?;
        step
    }
    fn sync(&mut self, _: Area) -> Result<(), StoreError> {
        self.step()
    }
    fn truncate(&mut self, area: Area, len: u64) -> Result<(), StoreError> {
        self.step()?;
        self.inner.truncate(area, len)
    }
}

/// The answer of the plainest store to a task that only reads.
fn expected_read(model: &Model, task: &StoreTask) -> StoreDone {
    let log = |document: &DocumentId| {
        let empty = SyntheticDocument { document: *document, ..SyntheticDocument::new(0, 0) };
        model.documents.get(document).cloned().unwrap_or_else(|| PlainLog::new(&empty))
    };
    match task {
        StoreTask::Read { document, above, after, bytes_max } => log(document).read(above, *after, *bytes_max),
        StoreTask::ReadSnapshot { document, offset, bytes_max } => log(document).read_snapshot(*offset, *bytes_max),
        task => unreachable!("{task:?} is not made here"),
    }
}

fn random_read(model: &Model, rng: &mut Rng) -> StoreTask {
    let document = model.document(rng.below(u64::from(DOCUMENTS) + 1) as u8);
    let clock = document.version.clock.iter().map(|(actor, seq)| (*actor, rng.below(seq + 2)));
    let (above, bytes_max) = (clock.collect(), rng.below(200) as usize);
    if rng.below(4) == 0 {
        return StoreTask::ReadSnapshot { document: document.document, offset: rng.below(80), bytes_max };
    }
    StoreTask::Read { document: document.document, above, after: rng.below(document.end + 1), bytes_max }
}

/// A snapshot that does not fit, or an append that breaks a rule somewhere after entries that do not.
fn broken_write(model: &Model, rng: &mut Rng) -> StoreTask {
    let log = model.log(rng.below(DOCUMENTS.into()) as u8);
    if let Some(broken) = log.propose_broken(rng).filter(|_| rng.below(2) == 0) {
        return log.put_task(broken);
    }
    let StoreTask::Append { mut entries, .. } = model.grow(rng, 4) else { unreachable!() };
    let last = entries.last_mut().expect("an append has entries");
    match rng.below(3) {
        0 => last.position += 1,
        1 => last.position -= 1,
        _ => last.entry = Arc::new(Entry { seq: last.entry.seq + 1, ..(*last.entry).clone() }),
    }
    StoreTask::append(entries)
}

#[test]
fn a_journal_answers_as_the_plainest_store_would_through_failures_and_restarts() {
    let (mut failures, mut refusals, mut restarts, mut written) = (0, 0, 0, 0);
    let (mut switches, mut failed_steps) = (0, BTreeMap::new());
    for seed in 0..150u8 {
        let mut rng = Rng::new([seed; 32]);
        let mut journal = Journal::new(FlakyMedium::default()).with_policy(RESTLESS);
        let (_, mut model) = open(&mut journal);
        for _ in 0..60 {
            let failing = rng.below(4) == 0;
            let fails = (0..8).map(|_| failing && rng.below(2) == 0).collect();
            journal.medium_mut().fails = fails;
            let failed_before = journal.medium_mut().failed;
            // What the batch leaves if its write works, and what it answers then and otherwise.
            let mut after = model.clone();
            let (mut tasks, mut expected, mut expected_failed) = (Vec::new(), Vec::new(), Vec::new());
            for id in 0..rng.below(6) {
                let (task, kind) = match rng.below(6) {
                    0 | 1 => (random_read(&after, &mut rng), 0),
                    2 => (broken_write(&after, &mut rng), 1),
                    _ => (after.write(&mut rng), 2),
                };
                match (&task, kind) {
                    (task, 0) => {
                        expected.push(Some(expected_read(&after, task)));
                        expected_failed.push(Some(expected_read(&model, task)));
                    }
                    (_, 1) => {
                        expected.push(None);
                        expected_failed.push(None);
                    }
                    _ => {
                        after.apply(&task);
                        expected.push(Some(match task {
                            StoreTask::Append { .. } | StoreTask::Renew { .. } => StoreDone::Appended,
                            StoreTask::PutMeta { .. } => StoreDone::MetaPut,
                            StoreTask::PutSnapshot { .. } => StoreDone::SnapshotPut,
                            _ => StoreDone::Quarantined,
                        }));
                        expected_failed.push(None);
                    }
                }
                tasks.push((TaskId(id), task));
            }
            let answers = journal.execute_batch(tasks);
            assert!(answers.iter().map(|(id, _)| id.0).eq(0..answers.len() as u64), "answers come in the order of the tasks");
            let answers: Vec<_> = answers.into_iter().map(|(_, result)| result.ok()).collect();
            let wrote = journal.medium_mut().failed == failed_before;
            if answers == expected {
                model = after;
                written += 1;
            } else {
                assert!(!wrote, "seed {seed}: with no failure: {answers:?}, not {expected:?}");
                assert_eq!(answers, expected_failed, "seed {seed}: after a failure");
                failures += 1;
            }
            for _ in 0..rng.below(8) {
                journal.medium_mut().fails = if rng.below(12) == 0 { vec![rng.below(2) == 0, true] } else { Vec::new() };
                match journal.step() {
                    Some((kind, Err(_))) => *failed_steps.entry(format!("{kind:?}")).or_insert(0) += 1,
                    Some((StepKind::Switch, Ok(()))) => switches += 1,
                    _ => {}
                }
            }
            refusals += expected.iter().filter(|answer| answer.is_none()).count();
            journal.medium_mut().fails.clear();
            let contents = match journal.execute(StoreTask::Open { epoch: EPOCH }) {
                Ok(StoreDone::Opened(contents)) => contents,
                other => panic!("asking an open journal for its contents was answered with {other:?}"),
            };
            assert_eq!(strip(held(&mut journal, &contents)), strip(model.clone()), "seed {seed}");
            // A restart after a failure that could not be cut may find what was answered with an error: an empty write cuts it.
            if rng.below(5) == 0 {
                let put = StoreTask::PutMeta { key: "restart".to_owned(), value: vec![rng.below(256) as u8, 1] };
                assert_eq!(journal.execute(put.clone()), Ok(StoreDone::MetaPut));
                model.apply(&put);
                journal = Journal::new(journal.into_medium()).with_policy(RESTLESS);
                let (contents, found) = open(&mut journal);
                assert_eq!((contents.damaged, contents.lost), (Vec::new(), Vec::new()));
                assert_eq!(strip(found), strip(model.clone()), "seed {seed}: after a restart");
                restarts += 1;
            }
        }
    }
    assert!(
        switches > 100 && failed_steps.len() == 3 && failed_steps.values().all(|count| *count > 5),
        "{switches} {failed_steps:?}"
    );
    assert!(failures > 500 && refusals > 500 && restarts > 500 && written > 500, "{failures} {refusals} {restarts} {written}");
}

/// A document without entries is as good as none.
fn strip(mut model: Model) -> Model {
    model.documents.retain(|_, log| log.end() > 0);
    model
}
