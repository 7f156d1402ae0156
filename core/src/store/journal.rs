//! The journal: an executor of storage tasks for anything that is one append-only run of bytes.

use super::ledger::{Ledger, Opening, Prepared, StoreResult};
use super::medium::{Area, Medium};
use super::rewrite::{RewritePolicy, Step, StepKind};
use super::task::{StoreDone, StoreError, StoreErrorKind, StoreTask};
use crate::base::id::{StoreEpoch, TaskId};

/// A store on a [`Medium`] that answers at once.
///
/// When a write fails, what was written of it is cut off again. Should that fail too, every later write is refused until
/// cutting works, because the file ends in bytes that were answered with an error; reading goes on.
///
/// Whoever drives it takes a [`Journal::step`] now and then, between batches: so the journal is written again when much of it is dead.
#[derive(Debug)]
pub struct Journal<M> {
    medium: M,
    ledger: Option<Ledger>,
    /// From where on bytes may stand in an area that must be gone before anything is written.
    torn: Option<(Area, u64)>,
    policy: RewritePolicy,
    rewritten: u64,
}

impl<M: Medium> Journal<M> {
    /// A journal on `medium`, which is read when the first task opens it.
    pub fn new(medium: M) -> Self {
        Self { medium, ledger: None, torn: None, policy: RewritePolicy::default(), rewritten: 0 }
    }

    /// The same, written again at other times than by default.
    pub fn with_policy(self, policy: RewritePolicy) -> Self {
        Self { policy, ..self }
    }

    /// The medium, as it is: for tests that look at it or make it fail.
    pub fn medium_mut(&mut self) -> &mut M {
        &mut self.medium
    }

    /// Lets go of the medium, as a process does that ends.
    pub fn into_medium(self) -> M {
        self.medium
    }

    /// Carries out one task, with a sync of its own if it writes.
    pub fn execute(&mut self, task: StoreTask) -> StoreResult {
        let mut answers = self.execute_batch(vec![(TaskId(0), task)]);
        answers.pop().expect("every task is answered").1
    }

    /// Carries out tasks in order with one sync for all that write (group commit); answers in the same order. When the
    /// write fails, all writes of the batch have failed and none has left anything.
    pub fn execute_batch(&mut self, mut tasks: Vec<(TaskId, StoreTask)>) -> Vec<(TaskId, StoreResult)> {
        let mut answers = Vec::with_capacity(tasks.len());
        if self.ledger.is_none() {
            let open = tasks.iter().position(|(_, task)| matches!(task, StoreTask::Open { .. }));
            let rest = tasks.split_off(open.map_or(tasks.len(), |at| at + 1));
            for (id, task) in std::mem::replace(&mut tasks, rest) {
                let result = match task {
                    StoreTask::Open { epoch } => self.open(epoch),
                    _ => Err(unavailable("the store is not open")),
                };
                answers.push((id, result));
            }
        }
        if tasks.is_empty() {
            return answers;
        }
        if self.is_closing() {
            self.step();
        }
        let Some(ledger) = &mut self.ledger else {
            answers.extend(self.execute_batch(tasks));
            return answers;
        };
        let prepared = ledger.prepare(tasks);
        let written = write(&mut self.medium, &mut self.torn, &prepared);
        answers.extend(match written {
            Ok(()) => ledger.commit(prepared),
            Err(error) => ledger.abort(prepared, &error),
        });
        answers
    }

    /// Does the next thing by which the journal is written again, or cleans up after that, when there is anything to do: what it
    /// was, and what came of it. A failure costs nothing: the journal stays as it is, and it is tried again later.
    pub fn step(&mut self) -> Option<(StepKind, Result<(), StoreError>)> {
        let ledger = self.ledger.as_mut()?;
        mend(&mut self.medium, &mut self.torn).ok()?;
        let step = ledger.next_step()?;
        let done = take(&mut self.medium, &mut self.torn, &step);
        let kind = step.kind();
        ledger.finish_step(step, done.is_ok());
        self.rewritten += u64::from(kind == StepKind::Switch && done.is_ok());
        Some((kind, done))
    }

    /// How often it was written again since it was opened.
    pub fn rewritten(&self) -> u64 {
        self.rewritten
    }

    /// Whether the next step is the switch. A batch takes it first.
    pub fn is_closing(&self) -> bool {
        self.ledger.as_ref().is_some_and(Ledger::is_closing)
    }

    /// Whether it is being written again.
    pub fn is_rewriting(&self) -> bool {
        self.ledger.as_ref().is_some_and(Ledger::is_rewriting)
    }

    /// In which area the journal is, and how long it is there; nothing before it is open.
    pub fn place(&self) -> Option<(Area, u64)> {
        self.ledger.as_ref().map(|ledger| (ledger.area(), ledger.end()))
    }

    fn open(&mut self, epoch: StoreEpoch) -> StoreResult {
        let [first, second] = [self.medium.read_all(Area::First)?, self.medium.read_all(Area::Second)?];
        let Opening { mut ledger, contents, area, truncate, append: (at, bytes) } = Ledger::open([&first, &second], epoch)?;
        if let Some(len) = truncate {
            self.medium.truncate(area, len)?;
        }
        if !bytes.is_empty() {
            self.medium.append(area, at, &bytes)?;
        }
        if truncate.is_some() || !bytes.is_empty() {
            self.medium.sync(area)?;
        }
        ledger.set_policy(self.policy);
        self.ledger = Some(ledger);
        Ok(StoreDone::Opened(contents))
    }
}

/// Makes a batch durable, or leaves nothing of it.
fn write(medium: &mut impl Medium, torn: &mut Option<(Area, u64)>, prepared: &Prepared) -> Result<(), StoreError> {
    if prepared.bytes().is_empty() {
        return Ok(());
    }
    mend(medium, torn)?;
    let (area, at) = (prepared.area(), prepared.at());
    let written = medium.append(area, at, prepared.bytes()).and_then(|()| medium.sync(area));
    if written.is_err() && cut(medium, area, at).is_err() {
        *torn = Some((area, at));
    }
    written
}

/// Does a step.
fn take(medium: &mut impl Medium, torn: &mut Option<(Area, u64)>, step: &Step) -> Result<(), StoreError> {
    let (area, at) = (step.area(), step.at());
    let starts = if at == 0 { medium.truncate(area, 0) } else { Ok(()) };
    let appends = |medium: &mut _| if step.bytes().is_empty() { Ok(()) } else { Medium::append(medium, area, at, step.bytes()) };
    let done = starts.and_then(|()| appends(medium)).and_then(|()| medium.sync(area));
    if done.is_err() && step.kind() == StepKind::Switch && cut(medium, area, at).is_err() {
        *torn = Some((area, at));
    }
    done
}

/// Takes back what could not be taken back before.
fn mend(medium: &mut impl Medium, torn: &mut Option<(Area, u64)>) -> Result<(), StoreError> {
    if let Some((area, at)) = *torn {
        cut(medium, area, at)
            .map_err(|error| StoreError { message: format!("an earlier write could not be taken back: {error}"), ..error })?;
        *torn = None;
    }
    Ok(())
}

/// Cuts, and syncs: a crash must not bring back what was answered with an error.
fn cut(medium: &mut impl Medium, area: Area, len: u64) -> Result<(), StoreError> {
    medium.truncate(area, len).and_then(|()| medium.sync(area))
}

fn unavailable(message: &str) -> StoreError {
    StoreError { kind: StoreErrorKind::Unavailable, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::clock::VectorClock;
    use crate::store::conformance::SyntheticDocument;
    use crate::store::medium::MemoryMedium;

    const EPOCH: StoreEpoch = StoreEpoch([9; 16]);

    /// A medium whose writes, syncs and cuts can be made to fail.
    #[derive(Default)]
    struct FailingMedium {
        inner: MemoryMedium,
        fail_append: bool,
        fail_sync: bool,
        fail_truncate: bool,
    }

    impl Medium for FailingMedium {
        fn read_all(&mut self, area: Area) -> Result<Vec<u8>, StoreError> {
            self.inner.read_all(area)
        }
        fn append(&mut self, area: Area, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
            let written = if self.fail_append { bytes.len() / 2 } else { bytes.len() };
            self.inner.append(area, at, &bytes[..written])?;
            if self.fail_append { Err(unavailable("made to fail")) } else { Ok(()) }
        }
        fn sync(&mut self, _: Area) -> Result<(), StoreError> {
            if self.fail_sync { Err(unavailable("made to fail")) } else { Ok(()) }
        }
        fn truncate(&mut self, area: Area, len: u64) -> Result<(), StoreError> {
            if self.fail_truncate { Err(unavailable("made to fail")) } else { self.inner.truncate(area, len) }
        }
    }

    fn opened() -> Journal<FailingMedium> {
        let mut journal = Journal::new(FailingMedium::default());
        assert!(journal.execute(StoreTask::Open { epoch: EPOCH }).is_ok());
        journal
    }

    fn held(journal: &mut Journal<FailingMedium>, document: &SyntheticDocument) -> usize {
        let (document, above) = (document.document, VectorClock::new());
        match journal.execute(StoreTask::Read { document, above, after: 0, bytes_max: usize::MAX }) {
            Ok(StoreDone::Read { entries, complete: true }) => entries.len(),
            other => panic!("a read was answered with {other:?}"),
        }
    }

    #[test]
    fn an_append_that_failed_half_way_is_cut_off_and_the_same_entries_can_be_appended_again() {
        let mut document = SyntheticDocument::new(1, 1);
        let entries = vec![document.grow(1, 10), document.grow(1, 10)];
        let mut journal = opened();
        let before = journal.medium_mut().inner.clone();
        journal.medium_mut().fail_append = true;
        assert!(journal.execute(StoreTask::append(entries.clone())).is_err());
        assert_eq!((held(&mut journal, &document), &journal.medium_mut().inner), (0, &before));
        journal.medium_mut().fail_append = false;
        assert_eq!(journal.execute(StoreTask::append(entries)), Ok(StoreDone::Appended));
        assert_eq!(held(&mut journal, &document), 2);
    }

    #[test]
    fn while_a_failed_write_cannot_be_cut_off_nothing_more_is_written_and_reading_goes_on() {
        let mut document = SyntheticDocument::new(1, 1);
        let mut journal = opened();
        let first = document.grow(1, 10);
        assert!(journal.execute(StoreTask::append(vec![first])).is_ok());
        let second = StoreTask::append(vec![document.grow(1, 10)]);
        *journal.medium_mut() = FailingMedium { fail_sync: true, fail_truncate: true, ..std::mem::take(journal.medium_mut()) };
        assert!(journal.execute(second.clone()).is_err());
        journal.medium_mut().fail_sync = false;
        let refused = journal.execute(second.clone()).unwrap_err();
        assert!(refused.message.contains("could not be taken back"), "{refused}");
        assert_eq!(held(&mut journal, &document), 1);
        journal.medium_mut().fail_truncate = false;
        assert_eq!(journal.execute(second), Ok(StoreDone::Appended));
        assert_eq!(held(&mut journal, &document), 2);
    }

    #[test]
    fn tasks_of_one_batch_are_each_answered_and_a_read_in_it_sees_what_was_appended_before_it() {
        let mut document = SyntheticDocument::new(1, 1);
        let append = |entry| StoreTask::append(vec![entry]);
        let read = StoreTask::Read { document: document.document, above: VectorClock::new(), after: 0, bytes_max: usize::MAX };
        let (first, second) = (document.grow(1, 10), document.grow(2, 10));
        let gap = document.grow(1, 10);
        let batch = |tasks: [StoreTask; 4]| (1..).map(TaskId).zip(tasks).collect::<Vec<_>>();
        let tasks = batch([append(first.clone()), append(gap), read, append(second)]);

        let mut journal = opened();
        journal.medium_mut().fail_sync = true;
        let failed = journal.execute_batch(tasks.clone());
        let nothing = StoreDone::Read { entries: Vec::new(), complete: true };
        assert_eq!(failed[2], (TaskId(3), Ok(nothing)), "what failed is not read");
        assert!(failed[0].1.is_err() && failed[1].1.is_err() && failed[3].1.is_err());

        journal.medium_mut().fail_sync = false;
        let answers = journal.execute_batch(tasks);
        assert_eq!(answers[0], (TaskId(1), Ok(StoreDone::Appended)));
        assert!(matches!(&answers[1].1, Err(error) if error.kind == StoreErrorKind::Corrupt), "a gap is refused");
        assert_eq!(answers[2].1, Ok(StoreDone::Read { entries: vec![(1, first.entry)], complete: true }));
        assert_eq!(answers[3], (TaskId(4), Ok(StoreDone::Appended)));
        assert_eq!(held(&mut journal, &document), 2);
    }

    #[test]
    fn before_it_is_open_a_journal_answers_with_an_error() {
        let mut journal = Journal::new(MemoryMedium::new());
        let read = StoreTask::Find { document: SyntheticDocument::new(1, 1).document, hashes: Vec::new() };
        assert!(journal.execute(read.clone()).is_err());
        let answers = journal.execute_batch(vec![
            (TaskId(1), read.clone()),
            (TaskId(2), StoreTask::Open { epoch: EPOCH }),
            (TaskId(3), read),
        ]);
        assert!(answers[0].1.is_err() && answers[1].1.is_ok() && answers[2].1.is_ok());
    }
}
