//! A journal that is written again: it holds what it held and little else, and whatever fails meanwhile costs nothing.

use super::*;
use crate::log::snapshot::Base;
use crate::store::task::{StoreError, StoreErrorKind};

/// A medium whose second area can be made to fail.
#[derive(Default)]
struct FailingCopy {
    inner: MemoryMedium,
    fail_append: bool,
    fail_sync: bool,
    fail_truncate: bool,
}

impl FailingCopy {
    fn answer(&self, area: Area, fails: bool) -> Result<(), StoreError> {
        let full = StoreError { kind: StoreErrorKind::Full, message: "made to fail".to_owned() };
        if fails && area == Area::Second { Err(full) } else { Ok(()) }
    }
}

impl Medium for FailingCopy {
    fn read_all(&mut self, area: Area) -> Result<Vec<u8>, StoreError> {
        self.inner.read_all(area)
    }
    fn append(&mut self, area: Area, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.append(area, at, bytes)?;
        self.answer(area, self.fail_append)
    }
    fn sync(&mut self, area: Area) -> Result<(), StoreError> {
        self.answer(area, self.fail_sync)
    }
    fn truncate(&mut self, area: Area, len: u64) -> Result<(), StoreError> {
        self.answer(area, self.fail_truncate)?;
        self.inner.truncate(area, len)
    }
}

/// A document that grows by `many` entries, each in a batch of its own.
fn grow<M: Medium>(journal: &mut Journal<M>, document: &mut SyntheticDocument, many: usize) {
    for _ in 0..many {
        let entries = vec![document.grow(1, 30)];
        assert_eq!(journal.execute(StoreTask::append(entries)), Ok(StoreDone::Appended));
    }
}

fn compact<M: Medium>(journal: &mut Journal<M>, document: &SyntheticDocument, base: Base) {
    let (space, snapshot) = (document.space, document.snapshot(50));
    let put = StoreTask::PutSnapshot { document: document.document, space, snapshot, base };
    assert_eq!(journal.execute(put), Ok(StoreDone::SnapshotPut));
}

fn contents<M: Medium>(journal: &mut Journal<M>) -> Model {
    open(journal).1
}

fn restless<M: Medium>(medium: M) -> Journal<M> {
    let mut journal = Journal::new(medium).with_policy(RESTLESS);
    assert_eq!(open(&mut journal).0.epoch, Some(EPOCH));
    journal
}

/// A journal much of which is dead.
fn wasteful<M: Medium>(medium: M) -> (Journal<M>, SyntheticDocument) {
    let mut journal = restless(medium);
    let mut document = SyntheticDocument::new(1, 1);
    grow(&mut journal, &mut document, 4);
    let base = document.base();
    grow(&mut journal, &mut document, 2);
    compact(&mut journal, &document, base);
    grow(&mut journal, &mut document, 1);
    (journal, document)
}

#[test]
fn the_copy_holds_all_that_was_held_also_the_entries_a_snapshot_stands_for_and_little_else() {
    let (mut journal, mut document) = wasteful(MemoryMedium::new());
    let held = contents(&mut journal);
    assert_eq!(held.documents[&document.document].base.position, 4, "entries 5 and 6 stay beside the snapshot");
    let (area, before) = journal.place().unwrap();
    assert_eq!((area, step_to_the_end(&mut journal)), (Area::First, 1));
    let (area, after) = journal.place().unwrap();
    assert_eq!(area, Area::Second);
    assert!(after < before * 2 / 3, "{before} bytes, then {after}");
    let medium = journal.into_medium();
    assert_eq!((medium.areas()[0].len(), medium.areas()[1].len() as u64), (0, after), "the old one is given back");
    let (mut journal, _, found) = reopen_areas(medium.areas());
    assert_eq!(found, held);
    assert_eq!(step_to_the_end(&mut journal), 0, "once is enough");

    grow(&mut journal, &mut document, 10);
    compact(&mut journal, &document, document.base());
    assert_eq!(step_to_the_end(&mut journal), 1);
    assert_eq!(journal.place().unwrap().0, Area::First, "and back");
    let held = contents(&mut journal);
    assert_eq!(reopen_areas(journal.into_medium().areas()).2, held);
}

#[test]
fn what_is_written_while_the_copy_is_made_is_in_it() {
    for before in 1..12 {
        let (mut journal, mut document) = wasteful(MemoryMedium::new());
        let mut other = SyntheticDocument::new(1, 2);
        let put = |key: &str, value: u8| StoreTask::PutMeta { key: key.to_owned(), value: vec![value] };
        journal.execute(put("a", 1)).unwrap();
        (0..before).for_each(|_| _ = journal.step());
        grow(&mut journal, &mut document, 2);
        grow(&mut journal, &mut other, 3);
        journal.execute(put("a", 2)).unwrap();
        _ = journal.step();
        compact(&mut journal, &document, document.base());
        journal.execute(put("b", 3)).unwrap();
        grow(&mut journal, &mut document, 1);
        assert!(step_to_the_end(&mut journal) >= usize::from(before < 3));
        let held = contents(&mut journal);
        assert_eq!((held.meta["a"][0], held.meta["b"][0]), (2, 3));
        assert_eq!(reopen_areas(journal.into_medium().areas()).2, held, "after {before} steps");
    }
}

#[test]
fn a_copy_ends_also_where_something_is_written_between_every_two_steps() {
    let (mut journal, mut document) = wasteful(MemoryMedium::new());
    for _ in 0..20 {
        journal.step();
        grow(&mut journal, &mut document, 1);
    }
    assert_eq!((journal.rewritten(), journal.place().unwrap().0), (1, Area::Second));
    let held = contents(&mut journal);
    assert_eq!(reopen_areas(journal.into_medium().areas()).2, held);
}

#[test]
fn a_disk_without_room_for_the_copy_keeps_the_journal_and_it_is_tried_again_later() {
    let (mut journal, mut document) = wasteful(FailingCopy { fail_append: true, ..FailingCopy::default() });
    assert!(matches!(journal.step(), Some((StepKind::Copy, Err(error))) if error.kind == StoreErrorKind::Full));
    assert!(!journal.medium_mut().inner.areas()[1].is_empty());
    assert!(matches!(journal.step(), Some((StepKind::Drop, Ok(())))), "what was copied is given back at once");
    assert!(journal.medium_mut().inner.areas()[1].is_empty());
    assert!(journal.step().is_none(), "it is not tried again at once");
    grow(&mut journal, &mut document, 1);
    assert!(matches!(journal.step(), Some((StepKind::Copy, Err(_)))), "but when some more was written");
    journal.medium_mut().fail_append = false;
    grow(&mut journal, &mut document, 1);
    assert_eq!(step_to_the_end(&mut journal), 1);
    let held = contents(&mut journal);
    assert_eq!(reopen_areas(journal.into_medium().inner.areas()).2, held);
}

#[test]
fn a_switch_that_failed_and_cannot_be_taken_back_stops_all_writing_until_it_can() {
    let (mut journal, mut document) = wasteful(FailingCopy::default());
    // As many steps as a journal takes that is the same, and whose disk does not fail.
    let mut twin = wasteful(FailingCopy::default()).0;
    let copies = std::iter::from_fn(|| twin.step()).take_while(|(kind, _)| *kind == StepKind::Copy).count();
    assert!((0..copies).all(|_| matches!(journal.step(), Some((StepKind::Copy, Ok(()))))));
    journal.medium_mut().fail_sync = true;
    journal.medium_mut().fail_truncate = true;
    let Some((StepKind::Switch, failed)) = journal.step() else { panic!("no switch after {copies} steps") };
    assert!(failed.is_err());
    let held = contents(&mut journal);
    let entry = StoreTask::append(vec![document.grow(1, 30)]);
    let refused = journal.execute(entry.clone()).unwrap_err();
    assert!(refused.message.contains("could not be taken back"), "{refused}");
    // A crash now finds a copy that is whole, and nothing that was acknowledged is missing in it.
    assert_eq!(reopen_areas(journal.medium_mut().inner.areas()).2, held);
    *journal.medium_mut() = FailingCopy { inner: std::mem::take(&mut journal.medium_mut().inner), ..FailingCopy::default() };
    assert_eq!(journal.execute(entry), Ok(StoreDone::Appended));
    let held = contents(&mut journal);
    assert_eq!(reopen_areas(journal.medium_mut().inner.areas()).2, held, "and now the copy does not count");
}

#[test]
fn what_was_set_aside_stays_where_it_is_until_the_document_has_come_back() {
    let (mut journal, document) = wasteful(MemoryMedium::new());
    journal.execute(StoreTask::Quarantine { document: document.document }).unwrap();
    assert!(journal.step().is_none());
    let mut journal = reopen_areas(journal.into_medium().areas()).0;
    assert!(journal.step().is_none());
    let mut anew = SyntheticDocument::new(1, 1);
    grow(&mut journal, &mut anew, 1);
    assert_eq!(step_to_the_end(&mut journal), 1);
    assert_eq!(contents(&mut journal).documents[&document.document].end(), 1);
}

#[test]
fn any_bit_that_flips_in_either_area_while_the_journal_is_written_again_harms_no_other_document() {
    let (mut journal, _) = wasteful(MemoryMedium::new());
    let mut other = SyntheticDocument::new(1, 2);
    grow(&mut journal, &mut other, 1);
    // The last batch, of which damage is never told from a torn write.
    journal.execute(StoreTask::PutMeta { key: "last".to_owned(), value: vec![1] }).unwrap();
    let mut moments = Vec::new();
    while journal.step().is_some() {
        moments.push(journal.medium_mut().areas().clone());
    }
    let held = contents(&mut journal);
    let mut beyond = 0;
    for (moment, areas) in moments.iter().enumerate() {
        for area in 0..2 {
            for bit in 0..areas[area].len() * 8 {
                let mut image = areas.clone();
                image[area][bit / 8] ^= 1 << (bit % 8);
                let (_, contents, found) = reopen_areas(&image);
                let what = format!("moment {moment}, area {area}, byte {}", bit / 8);
                assert_eq!(contents.epoch, Some(EPOCH), "{what}");
                let whole = held.documents.iter().filter(|(id, log)| found.documents.get(id) == Some(log)).count();
                let is_told = !contents.damaged.is_empty() || !contents.lost.is_empty();
                assert!(whole + 1 >= held.documents.len(), "{what}: {found:?}");
                // What a snapshot stands for need not be there, and then nothing is told.
                let ends = |model: &Model| model.documents.values().map(|log| (log.version(), log.end())).collect::<Vec<_>>();
                assert!(is_told || ends(&found) == ends(&held), "{what}: damage is never silent");
                beyond += usize::from(found != held);
            }
        }
    }
    assert!(beyond > 100, "{beyond} of the bits matter");
}
