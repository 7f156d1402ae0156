//! The engine's store: a ledger in here, its bytes on a medium that JavaScript writes.
//!
//! One batch of tasks is written at a time; what comes meanwhile waits and becomes the next (group commit). On a medium
//! that is memory only, nothing is written and everything is answered at once.
//!
//! When nothing waits, the driver may ask for a step by which the journal is written again without what is dead in it.

use driftline_core::base::id::TaskId;
use driftline_core::store::ledger::{Ledger, Opening, Prepared, StoreResult};
use driftline_core::store::medium::Area;
use driftline_core::store::rewrite::Step;
use driftline_core::store::task::{StoreContents, StoreDone, StoreError, StoreErrorKind, StoreTask};

/// A ledger and what stands between it and its medium.
pub(crate) struct Shelf {
    state: State,
    waiting: Vec<(TaskId, StoreTask)>,
    answers: Vec<(TaskId, StoreResult)>,
    /// Whether there is a medium to write on.
    has_medium: bool,
}

enum State {
    /// Not opened yet: the medium's two areas as they were read.
    Closed([Vec<u8>; 2]),
    /// Being made fit for use.
    Opening {
        task: TaskId,
        ledger: Ledger,
        contents: StoreContents,
    },
    Idle(Ledger),
    Writing(Ledger, Prepared),
    /// Writing the journal again.
    Stepping(Ledger, Step),
    /// Could not be opened.
    Failed(StoreError),
}

/// What the medium must do: drop everything from `at` on in one area, write these bytes there, and make it durable.
pub(crate) struct Write<'a> {
    /// In which area.
    pub(crate) area: Area,
    /// Where.
    pub(crate) at: u64,
    /// What.
    pub(crate) bytes: &'a [u8],
}

impl Shelf {
    /// A store on a medium whose areas hold `journal`, or on none.
    pub(crate) fn new(journal: Option<[Vec<u8>; 2]>) -> Self {
        let has_medium = journal.is_some();
        Self { state: State::Closed(journal.unwrap_or_default()), waiting: Vec::new(), answers: Vec::new(), has_medium }
    }

    /// What the store holds, once it is open.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        match &self.state {
            State::Idle(ledger) | State::Writing(ledger, _) | State::Stepping(ledger, _) => Some(ledger),
            State::Closed(_) | State::Opening { .. } | State::Failed(_) => None,
        }
    }

    /// Takes a task.
    pub(crate) fn push(&mut self, task: TaskId, work: StoreTask) {
        self.waiting.push((task, work));
    }

    /// Answers there are.
    pub(crate) fn take_answers(&mut self) -> Vec<(TaskId, StoreResult)> {
        std::mem::take(&mut self.answers)
    }

    /// Whether there are answers.
    pub(crate) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether something is waiting for the medium.
    pub(crate) fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || matches!(self.state, State::Opening { .. } | State::Writing(..) | State::Stepping(..))
    }

    /// Begins the next batch, if none is being written; hands what it must write to `write`.
    pub(crate) fn advance(&mut self, write: impl FnOnce(Write<'_>)) {
        if self.waiting.is_empty() {
            return;
        }
        if matches!(&self.state, State::Idle(ledger) if self.has_medium && ledger.is_closing()) {
            self.begin_step(write);
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Closed(Default::default()));
        self.state = match state {
            State::Closed(journal) => self.open(&journal, write),
            State::Idle(ledger) => self.begin(ledger, write),
            State::Failed(error) => {
                let refused = self.waiting.drain(..).map(|(task, _)| (task, Err(error.clone())));
                self.answers.extend(refused);
                State::Failed(error)
            }
            busy @ (State::Opening { .. } | State::Writing(..) | State::Stepping(..)) => busy,
        };
    }

    /// The medium has done what it was handed last, or could not and has taken it back.
    pub(crate) fn handle_written(&mut self, result: Result<(), StoreError>) {
        let state = std::mem::replace(&mut self.state, State::Closed(Default::default()));
        self.state = match (state, result) {
            (State::Opening { task, ledger, contents }, Ok(())) => {
                self.answers.push((task, Ok(StoreDone::Opened(contents))));
                State::Idle(ledger)
            }
            (State::Opening { task, .. }, Err(error)) => {
                self.answers.push((task, Err(error.clone())));
                State::Failed(error)
            }
            (State::Writing(mut ledger, prepared), Ok(())) => {
                self.answers.extend(ledger.commit(prepared));
                State::Idle(ledger)
            }
            (State::Writing(mut ledger, prepared), Err(error)) => {
                self.answers.extend(ledger.abort(prepared, &error));
                State::Idle(ledger)
            }
            (State::Stepping(mut ledger, step), result) => {
                ledger.finish_step(step, result.is_ok());
                State::Idle(ledger)
            }
            (other, _) => other,
        };
    }

    /// Begins the next step of writing the journal again, if nothing else is under way and there is one; hands what it must write to
    /// `write`. Answers whether it did.
    pub(crate) fn step(&mut self, write: impl FnOnce(Write<'_>)) -> bool {
        if self.is_busy() || !self.has_medium {
            return false;
        }
        self.begin_step(write)
    }

    fn begin_step(&mut self, write: impl FnOnce(Write<'_>)) -> bool {
        let state = std::mem::replace(&mut self.state, State::Closed(Default::default()));
        let State::Idle(mut ledger) = state else {
            self.state = state;
            return false;
        };
        let step = ledger.next_step();
        let Some(step) = step else {
            self.state = State::Idle(ledger);
            return false;
        };
        write(Write { area: step.area(), at: step.at(), bytes: step.bytes() });
        self.state = State::Stepping(ledger, step);
        true
    }

    fn open(&mut self, journal: &[Vec<u8>; 2], write: impl FnOnce(Write<'_>)) -> State {
        let (task, work) = self.waiting.remove(0);
        let StoreTask::Open { epoch } = work else {
            let message = "the store is not open".to_owned();
            self.answers.push((task, Err(StoreError { kind: StoreErrorKind::Unavailable, message })));
            return State::Closed(journal.clone());
        };
        match Ledger::open(journal.each_ref().map(Vec::as_slice), epoch) {
            Ok(Opening { ledger, contents, area, truncate, append: (at, bytes) }) => {
                if self.has_medium && (truncate.is_some() || !bytes.is_empty()) {
                    write(Write { area, at, bytes: &bytes });
                    return State::Opening { task, ledger, contents };
                }
                self.answers.push((task, Ok(StoreDone::Opened(contents))));
                State::Idle(ledger)
            }
            Err(error) => {
                self.answers.push((task, Err(error.clone())));
                State::Failed(error)
            }
        }
    }

    fn begin(&mut self, mut ledger: Ledger, write: impl FnOnce(Write<'_>)) -> State {
        let prepared = ledger.prepare(std::mem::take(&mut self.waiting));
        if !self.has_medium || prepared.bytes().is_empty() {
            self.answers.extend(ledger.commit(prepared));
            return State::Idle(ledger);
        }
        write(Write { area: prepared.area(), at: prepared.at(), bytes: prepared.bytes() });
        State::Writing(ledger, prepared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftline_core::base::id::StoreEpoch;

    fn meta(key: &str) -> StoreTask {
        StoreTask::PutMeta { key: key.to_owned(), value: vec![1] }
    }

    fn opened(disk: &mut [Vec<u8>; 2]) -> Shelf {
        let mut shelf = Shelf::new(Some(disk.clone()));
        shelf.push(TaskId(0), StoreTask::Open { epoch: StoreEpoch([1; 16]) });
        let mut wrote = false;
        shelf.advance(|write| {
            put(disk, &write);
            wrote = true;
        });
        if wrote {
            shelf.handle_written(Ok(()));
        }
        assert!(matches!(shelf.take_answers()[..], [(TaskId(0), Ok(StoreDone::Opened(_)))]));
        shelf
    }

    fn put(disk: &mut [Vec<u8>; 2], write: &Write<'_>) {
        let area = &mut disk[write.area as usize];
        area.truncate(usize::try_from(write.at).unwrap());
        area.extend_from_slice(write.bytes);
    }

    #[test]
    fn nothing_is_answered_before_it_is_written_and_what_comes_meanwhile_is_the_next_batch() {
        let mut disk = Default::default();
        let mut shelf = opened(&mut disk);
        shelf.push(TaskId(1), meta("a"));
        shelf.advance(|write| put(&mut disk, &write));
        shelf.push(TaskId(2), meta("b"));
        shelf.push(TaskId(3), meta("c"));
        shelf.advance(|_| panic!("one batch at a time"));
        assert!(shelf.take_answers().is_empty() && shelf.is_busy());
        shelf.handle_written(Ok(()));
        assert!(matches!(shelf.take_answers()[..], [(TaskId(1), Ok(StoreDone::MetaPut))]));
        shelf.advance(|write| put(&mut disk, &write));
        shelf.handle_written(Ok(()));
        assert!(matches!(shelf.take_answers()[..], [(TaskId(2), Ok(_)), (TaskId(3), Ok(_))]));
        assert!(!shelf.is_busy());

        let mut again = Shelf::new(Some(disk));
        again.push(TaskId(9), StoreTask::Open { epoch: StoreEpoch([2; 16]) });
        again.advance(|_| panic!("a whole journal needs no repair"));
        let answers = again.take_answers();
        let [(_, Ok(StoreDone::Opened(contents)))] = &answers[..] else { panic!("not opened: {answers:?}") };
        assert_eq!(contents.epoch, Some(StoreEpoch([1; 16])));
        assert_eq!(contents.meta.len(), 3);
    }

    #[test]
    fn a_write_that_failed_is_answered_with_its_error_and_can_be_made_again_in_the_same_place() {
        let mut disk = Default::default();
        let mut shelf = opened(&mut disk);
        let mut first = None;
        shelf.push(TaskId(1), meta("a"));
        shelf.advance(|write| first = Some(write.at));
        shelf.handle_written(Err(StoreError { kind: StoreErrorKind::Full, message: "no room".to_owned() }));
        assert!(matches!(shelf.take_answers()[..], [(TaskId(1), Err(_))]));
        shelf.push(TaskId(2), meta("a"));
        shelf.advance(|write| assert_eq!(Some(write.at), first));
        shelf.handle_written(Ok(()));
        assert!(matches!(shelf.take_answers()[..], [(TaskId(2), Ok(_))]));
    }

    #[test]
    fn bytes_that_are_no_journal_are_refused_and_left_alone() {
        let mut shelf = Shelf::new(Some([vec![b'x'; 500], Vec::new()]));
        shelf.push(TaskId(1), StoreTask::Open { epoch: StoreEpoch([1; 16]) });
        shelf.push(TaskId(2), meta("a"));
        shelf.advance(|_| panic!("nothing may be written"));
        shelf.advance(|_| panic!("nothing may be written"));
        let answers = shelf.take_answers();
        assert_eq!(answers.len(), 2);
        assert!(answers.iter().all(|(_, result)| result.is_err()));
    }

    #[test]
    fn without_a_medium_everything_is_answered_at_once() {
        let mut shelf = Shelf::new(None);
        shelf.push(TaskId(1), StoreTask::Open { epoch: StoreEpoch([1; 16]) });
        shelf.push(TaskId(2), meta("a"));
        shelf.advance(|_| panic!("there is no medium"));
        shelf.advance(|_| panic!("there is no medium"));
        assert_eq!(shelf.take_answers().len(), 2);
    }

    #[test]
    fn the_journal_is_written_again_in_steps_and_what_is_asked_for_meanwhile_waits_for_one_of_them() {
        let mut disk = Default::default();
        let mut shelf = opened(&mut disk);
        let large = |round: u8| StoreTask::PutMeta { key: "large".to_owned(), value: vec![round; 200_000] };
        for round in 0..4 {
            shelf.push(TaskId(1), large(round));
            shelf.advance(|write| put(&mut disk, &write));
            shelf.handle_written(Ok(()));
        }
        let (before, mut steps) = (disk[0].len(), 0);
        while shelf.step(|write| put(&mut disk, &write)) {
            steps += 1;
            shelf.push(TaskId(2), meta("a"));
            shelf.advance(|_| panic!("one thing at a time"));
            shelf.handle_written(Ok(()));
            shelf.take_answers();
            // The switch, where only that is left, and then what waits.
            while shelf.is_busy() {
                shelf.advance(|write| put(&mut disk, &write));
                shelf.handle_written(Ok(()));
            }
        }
        assert!(steps > 4 && disk[0].is_empty() && disk[1].len() < before / 3, "{steps} steps: {} bytes", disk[1].len());
        let mut again = Shelf::new(Some(disk));
        again.push(TaskId(9), StoreTask::Open { epoch: StoreEpoch([2; 16]) });
        again.advance(|_| panic!("a whole journal needs no repair"));
        let answers = again.take_answers();
        let [(_, Ok(StoreDone::Opened(contents)))] = &answers[..] else { panic!("not opened: {answers:?}") };
        assert_eq!((contents.epoch, contents.meta.len()), (Some(StoreEpoch([1; 16])), 2));
    }
}
