//! A crash at every point of a life: before and after every sync, and with every write torn at every byte or full of holes.

use super::*;
use crate::base::id::TaskId;
use crate::store::task::{StoreError, StoreErrorKind};

/// A medium that remembers everything that was done to it.
#[derive(Default)]
struct RecordingMedium {
    inner: MemoryMedium,
    steps: Vec<Step>,
    fail_appends: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Append(Area, u64, Vec<u8>),
    Truncate(Area, u64),
    Sync(Area),
}

/// What both areas of a medium hold.
type Image = [Vec<u8>; 2];

impl Medium for RecordingMedium {
    fn read_all(&mut self, area: Area) -> Result<Vec<u8>, StoreError> {
        self.inner.read_all(area)
    }
    fn append(&mut self, area: Area, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let fails = self.fail_appends > 0;
        self.fail_appends = self.fail_appends.saturating_sub(1);
        let written = if fails { bytes.len() * 2 / 3 } else { bytes.len() };
        self.steps.push(Step::Append(area, at, bytes[..written].to_vec()));
        self.inner.append(area, at, &bytes[..written])?;
        let full = StoreError { kind: StoreErrorKind::Full, message: "the disk is full".to_owned() };
        if fails { Err(full) } else { Ok(()) }
    }
    fn sync(&mut self, area: Area) -> Result<(), StoreError> {
        self.steps.push(Step::Sync(area));
        Ok(())
    }
    fn truncate(&mut self, area: Area, len: u64) -> Result<(), StoreError> {
        self.steps.push(Step::Truncate(area, len));
        self.inner.truncate(area, len)
    }
}

/// One batch of a life, or one step of writing the journal again: what was done to the medium for it, and the states a crash
/// within it may leave.
struct Moment {
    steps: Vec<Step>,
    /// What a step was for.
    kind: Option<StepKind>,
    /// The first: nothing of the batch. The last: all of it.
    states: Vec<Model>,
    acknowledged: bool,
}

/// A life of `moments` moments, some of which fail.
fn live(seed: u8, many: usize) -> (Image, Vec<Moment>) {
    let mut rng = Rng::new([seed; 32]);
    let mut journal = Journal::new(RecordingMedium::default()).with_policy(RESTLESS);
    let (_, mut model) = open(&mut journal);
    let opened = journal.medium_mut().inner.areas().clone();
    journal.medium_mut().steps.clear();
    let mut moments = Vec::new();
    while moments.len() < many {
        let fails = rng.below(9) == 0;
        journal.medium_mut().fail_appends = u32::from(fails);
        if journal.is_closing() || journal.is_rewriting() && rng.below(6) > 0 || rng.below(6) == 0 {
            if let Some((kind, done)) = journal.step() {
                let steps = std::mem::take(&mut journal.medium_mut().steps);
                moments.push(Moment { steps, kind: Some(kind), states: vec![model.clone()], acknowledged: done.is_ok() });
            }
            continue;
        }
        let mut states = vec![model.clone()];
        let mut tasks = Vec::new();
        for _ in 0..=rng.below(3) {
            let now = states.last().expect("there is a first state").clone();
            let task = now.write(&mut rng);
            states.extend(now.steps(&task).into_iter().skip(1));
            tasks.push((TaskId(0), task));
        }
        let answers = journal.execute_batch(tasks);
        let steps = std::mem::take(&mut journal.medium_mut().steps);
        if steps.is_empty() {
            continue;
        }
        let acknowledged = answers.iter().all(|(_, result)| result.is_ok());
        assert_eq!(acknowledged, !fails);
        if acknowledged {
            model = states.last().expect("there is a first state").clone();
        }
        moments.push(Moment { steps, kind: None, states, acknowledged });
    }
    (opened, moments)
}

fn apply(image: &mut Image, step: &Step) {
    match step {
        Step::Append(area, at, bytes) => {
            image[*area as usize].truncate(*at as usize);
            image[*area as usize].extend_from_slice(bytes);
        }
        Step::Truncate(area, len) => image[*area as usize].truncate(*len as usize),
        Step::Sync(_) => {}
    }
}

/// Opens a crash image, checks that it is one of the states, that nothing is called damaged, and that life goes on.
fn check(image: &Image, states: &[Model], rng: &mut Rng, what: &str) -> usize {
    let (mut journal, contents, found) = reopen_areas(image);
    assert_eq!((contents.damaged, contents.lost, contents.epoch), (Vec::new(), Vec::new(), Some(EPOCH)), "{what}");
    let strip = |model: &Model| Model {
        documents: model.documents.iter().filter(|(_, held)| held.end() > 0).map(|(k, v)| (*k, v.clone())).collect(),
        meta: model.meta.clone(),
    };
    let Some(at) = states.iter().position(|state| strip(state) == found) else {
        panic!("{what}: what is held is none of the states that the crash may leave: {found:?}");
    };
    let mut model = found;
    let next = model.grow(rng, 3);
    assert_eq!(journal.execute(next.clone()), Ok(StoreDone::Appended), "{what}");
    model.apply(&next);
    // And it can be written again, or in part, as often as there is reason.
    if rng.below(4) == 0 {
        (0..rng.below(4)).for_each(|_| _ = journal.step());
    }
    let (_, contents, found) = reopen_areas(journal.into_medium().areas());
    assert!(contents.damaged.is_empty() && contents.lost.is_empty(), "{what}");
    assert_eq!(found, model, "{what}: after going on");
    at
}

#[test]
fn a_crash_at_any_point_keeps_what_was_acknowledged_and_of_the_rest_a_beginning() {
    let (mut whole, mut partial, mut failed) = (0, 0, 0);
    let (mut rewritten, mut torn_steps) = (BTreeMap::new(), 0);
    for seed in 0..3 {
        let mut rng = Rng::new([seed; 32]);
        let (mut durable, moments) = live(seed, 44);
        for (number, Moment { steps, kind, states, acknowledged }) in moments.iter().enumerate() {
            // What the medium holds once all steps so far took effect, synced or not.
            let mut image = durable.clone();
            for (step_number, step) in steps.iter().enumerate() {
                let what = format!("seed {seed}, moment {number} ({kind:?}), step {step_number}");
                if let Step::Append(area, at, bytes) = step {
                    for torn in 0..=bytes.len() {
                        let mut torn_image = image.clone();
                        apply(&mut torn_image, &Step::Append(*area, *at, bytes[..torn].to_vec()));
                        let reached = check(&torn_image, states, &mut rng, &format!("{what}, torn at byte {torn}"));
                        partial += usize::from(reached > 0 && torn < bytes.len());
                        torn_steps += usize::from(kind.is_some());
                        if torn % 8 == 0 {
                            // The file may have its new length before it has the bytes.
                            torn_image[*area as usize].resize(*at as usize + bytes.len(), 0);
                            check(&torn_image, states, &mut rng, &format!("{what}, zeros from byte {torn}"));
                        }
                    }
                    for hole in 0..40 {
                        let mut holed = bytes.clone();
                        let sector = 1 << rng.below(9);
                        for chunk in holed.chunks_mut(sector) {
                            if rng.below(4) == 0 {
                                chunk.fill(if hole % 2 == 0 { 0 } else { 0xa5 });
                            }
                        }
                        let mut holed_image = image.clone();
                        apply(&mut holed_image, &Step::Append(*area, *at, holed));
                        check(&holed_image, states, &mut rng, &format!("{what}, with holes {hole}"));
                    }
                }
                apply(&mut image, step);
                check(&image, states, &mut rng, &what);
                if let Step::Sync(area) = step {
                    durable[*area as usize].clone_from(&image[*area as usize]);
                }
                check(&durable, states, &mut rng, &format!("{what}, of which nothing was synced"));
            }
            if kind.is_none() {
                assert!(matches!(steps.last(), Some(Step::Sync(_))), "a batch is answered after a sync");
            }
            let end = if *acknowledged { states.len() - 1 } else { 0 };
            check(&durable, &states[end..=end], &mut rng, &format!("seed {seed}, after moment {number}"));
            match kind {
                Some(kind) => *rewritten.entry(format!("{kind:?} {acknowledged}")).or_insert(0) += 1,
                None if *acknowledged => whole += 1,
                None => failed += 1,
            }
        }
    }
    assert!(whole > 15 && partial > 1000 && failed > 2, "{whole} {partial} {failed}");
    let at_least = [("Copy true", 6), ("Copy false", 1), ("Switch true", 2), ("Drop true", 2)];
    let is_lived = |(kind, least): (&str, i32)| rewritten.get(kind).is_some_and(|count| *count >= least);
    assert!(at_least.into_iter().all(is_lived) && torn_steps > 2000, "{rewritten:?} {torn_steps}");
}

#[test]
fn a_crash_while_the_store_is_made_leaves_a_store_that_can_be_made() {
    let (journal, _, _) = reopen(&[]);
    let made = journal.into_medium();
    for torn in 0..=made.bytes().len() {
        let mut image = made.bytes()[..torn].to_vec();
        let (journal, contents, _) = reopen(&image);
        assert_eq!((contents.epoch, journal.into_medium()), (Some(EPOCH), made.clone()));
        image.resize(made.bytes().len(), 0);
        let (journal, contents, _) = reopen(&image);
        assert_eq!((contents.epoch, journal.into_medium()), (Some(EPOCH), made.clone()));
    }
}
