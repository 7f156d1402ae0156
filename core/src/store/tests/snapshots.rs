//! Snapshots through crashes and damage: the log is as it was before or after, and what is missing is told.

use super::damage::{harm, harms, open_any, records};
use super::*;
use crate::base::rng::Rng;
use crate::log::snapshot::Base;
use crate::store::record::{HEADER_BYTES, Record};
use proptest::prelude::*;

/// A journal of one document through a life with three snapshots, and what it holds at the end: one of the log's own beginning, one
/// of more than the log held, and one of all. The last batch is a named value, so that damage to any of them is told from a torn tail.
fn lived() -> (Vec<u8>, PlainLog, Vec<StoreTask>) {
    let (mut journal, _, mut model) = reopen(&[]);
    let mut document = SyntheticDocument::new(1, 1);
    let id = document.document;
    let mut tasks = Vec::new();
    let mut carry_out = |journal: &mut Journal<MemoryMedium>, model: &mut Model, task: StoreTask| {
        journal.execute(task.clone()).expect("the task fits");
        model.apply(&task);
        tasks.push(task);
    };
    for actor in [0, 1, 2, 1, 0, 2] {
        let entries = vec![document.grow(actor, 8)];
        carry_out(&mut journal, &mut model, StoreTask::append(entries));
    }
    let mut early = model.documents[&id].clone();
    early.entries.truncate(3);
    let own = (document.snapshot(30), early.synthetic().base());
    let put = model.documents[&id].put_task(own);
    carry_out(&mut journal, &mut model, put);

    let mut other = document.clone();
    (3..6).for_each(|actor| _ = other.grow(actor, 8));
    let entries = vec![document.grow(0, 8), document.grow(7, 8)];
    carry_out(&mut journal, &mut model, StoreTask::append(entries));
    let put = model.documents[&id].put_task((other.snapshot(25), other.base()));
    carry_out(&mut journal, &mut model, put);

    let mut document = model.documents[&id].synthetic();
    let entries = vec![document.grow(3, 8), document.grow(0, 8)];
    carry_out(&mut journal, &mut model, StoreTask::append(entries));
    let put = model.documents[&id].put_task((document.snapshot(35), other.base()));
    carry_out(&mut journal, &mut model, put);
    let entries = vec![document.grow(1, 8)];
    carry_out(&mut journal, &mut model, StoreTask::append(entries));
    carry_out(&mut journal, &mut model, StoreTask::PutMeta { key: "last".to_owned(), value: vec![1] });
    (journal.into_medium().bytes().to_vec(), model.documents.remove(&id).expect("the document is held"), tasks)
}

/// What may be served of a log that was harmed: nothing that was not stored, and nothing from another place.
fn check_served(found: &Model, whole: &PlainLog, tasks: &[StoreTask], what: &str) -> PlainLog {
    let empty = SyntheticDocument { version: Version::new(), end: 0, ..whole.synthetic() };
    let served = found.documents.get(&whole.document).cloned().unwrap_or_else(|| PlainLog::new(&empty));
    let stored = tasks.iter().flat_map(|task| match task {
        StoreTask::Append { entries, .. } => entries.clone(),
        _ => Vec::new(),
    });
    let stored: Vec<_> = stored.collect();
    let put = |served| tasks.iter().any(|task| matches!(task, StoreTask::PutSnapshot { snapshot, .. } if snapshot == served));
    assert!(served.snapshot.as_ref().is_none_or(put), "{what}: a snapshot that was put");
    assert!(served.entries.iter().all(|served| stored.iter().any(|stored| stored.entry == served.entry)), "{what}: entries");
    assert!(served.version().clock.is_within(&whole.version().clock), "{what}");
    served
}

/// What a store that lost some gets back from a peer: a snapshot of what only snapshots hold, and the entries that are missing.
fn repair(journal: &mut Journal<MemoryMedium>, served: &PlainLog, whole: &PlainLog) -> PlainLog {
    let mut log = served.clone();
    let mut task = |log: &mut PlainLog, task: StoreTask| {
        journal.execute(task.clone()).expect("a damaged document is repaired");
        let mut model = Model { documents: [(log.document, log.clone())].into(), ..Model::default() };
        model.apply(&task);
        *log = model.documents.remove(&log.document).expect("it is held");
    };
    let snapshot = whole.snapshot.clone().expect("the whole log has one");
    if !snapshot.version.clock.is_within(&log.version().clock) {
        let base = Base { position: snapshot.end(), clock: snapshot.version.clock.clone() };
        let put = log.put_task((snapshot, base));
        task(&mut log, put);
    }
    for stored in &whole.entries {
        if !log.version().clock.covers(&stored.entry.actor, stored.entry.seq) {
            let entries = vec![StoredEntry { position: log.end() + 1, ..stored.clone() }];
            task(&mut log, StoreTask::append(entries));
        }
    }
    log
}

#[test]
fn every_bit_that_flips_around_snapshots_leaves_what_was_stored_or_is_told() {
    let (bytes, whole, tasks) = lived();
    let records = records(&bytes);
    let last_batch = records.last().expect("there are records").0;
    let (mut healed, mut told, mut served_older) = (0, 0, 0);
    for bit in 0..last_batch * 8 {
        let mut image = bytes.clone();
        image[bit / 8] ^= 1 << (bit % 8);
        let (at, _, hit) = records.iter().rfind(|(at, ..)| *at <= bit / 8).expect("the first record starts at 0");
        let what = format!("bit {} of byte {} of the record at {at}", bit % 8, bit / 8 - at);
        let (mut journal, contents, found) = reopen(&image);
        let served = check_served(&found, &whole, &tasks, &what);
        let is_less = served.version() != whole.version();
        assert_eq!(!contents.damaged.is_empty(), is_less, "{what}: what is missing is told, and nothing else: {contents:?}");
        if bit / 8 < at + HEADER_BYTES {
            assert_eq!(served, whole, "{what}: a body makes its header good");
        } else if matches!(hit, Record::Entry(_)) && !is_less {
            healed += 1;
        } else if matches!(hit, Record::Snapshot { .. }) {
            served_older += 1;
        }
        told += usize::from(is_less);
        let repaired = repair(&mut journal, &served, &whole);
        assert_eq!(repaired.version(), whole.version(), "{what}: after the repair");
        let (_, contents, found) = reopen(journal.into_medium().bytes());
        assert_eq!((&contents.damaged, &found.documents[&whole.document]), (&Vec::new(), &repaired), "{what}: after the repair");
    }
    assert!(healed > 1000 && told > 1000 && served_older > 1000, "{healed} {told} {served_older}");
}

#[test]
fn several_harms_around_snapshots_are_repaired_one_after_the_other() {
    let (bytes, whole, tasks) = lived();
    let mut rng = Rng::new([6; 32]);
    let mut told = [0; 4];
    for life in 0..400 {
        let mut image = bytes.clone();
        for told in &mut told {
            for _ in 0..=rng.below(3) {
                let at = rng.below(image.len() as u64) as usize;
                image[at] ^= 1 << rng.below(8);
            }
            let (mut journal, contents, found) = reopen(&image);
            let served = check_served(&found, &whole, &tasks, &format!("life {life}"));
            *told += contents.damaged.len();
            let repaired = repair(&mut journal, &served, &whole);
            image = journal.into_medium().bytes().to_vec();
            let (_, contents, found) = reopen(&image);
            assert_eq!((contents.damaged, &found.documents[&whole.document]), (Vec::new(), &repaired), "life {life}");
        }
    }
    assert!(told.iter().all(|told| *told > 50), "damage told in each round: {told:?}");
}

#[test]
fn a_crash_at_every_byte_of_a_snapshot_leaves_the_log_before_or_after_it() {
    let (_, _, tasks) = lived();
    let (mut journal, _, mut model) = reopen(&[]);
    let mut puts = 0;
    for task in tasks {
        let before = journal.medium_mut().bytes().to_vec();
        journal.execute(task.clone()).expect("the task fits");
        let states = [model.clone(), {
            model.apply(&task);
            model.clone()
        }];
        if !matches!(task, StoreTask::PutSnapshot { .. }) {
            continue;
        }
        puts += 1;
        let after = journal.medium_mut().bytes().to_vec();
        for torn in before.len()..=after.len() {
            for filler in [None, Some(0), Some(0xff)] {
                let mut image = after[..torn].to_vec();
                image.resize(filler.map_or(torn, |_| after.len()), filler.unwrap_or(0));
                let (_, contents, found) = reopen(&image);
                assert_eq!((contents.damaged, contents.lost), (Vec::new(), Vec::new()), "torn at byte {torn}");
                // A last byte of the checksum may be the filler.
                let is_whole = image == after;
                assert_eq!(found, states[usize::from(is_whole)], "torn at byte {torn} of {}", after.len());
            }
        }
    }
    assert_eq!(puts, 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_with_snapshots_that_was_harmed_in_any_way_serves_only_what_was_stored(harmed in proptest::collection::vec(harms(), 1..4)) {
        let (mut image, whole, tasks) = lived();
        for one in harmed {
            harm(&mut image, one);
        }
        check_served(&open_any(&image).unwrap_or_default(), &whole, &tasks, "harmed");
    }

    #[test]
    fn any_body_of_a_snapshot_that_checks_out_is_read_or_refused(mut body in proptest::collection::vec(any::<u8>(), 34..300), flips in proptest::collection::vec(any::<usize>(), 0..3)) {
        // Checksums that fit, over a snapshot that a faulty program wrote, and over noise.
        let (mut image, _, _) = lived();
        let (at, end, _) = records(&image).into_iter().rfind(|(.., record)| matches!(record, Record::Snapshot { .. })).expect("there is one");
        if !flips.is_empty() {
            body = image[at + HEADER_BYTES..end - 4].to_vec();
            flips.into_iter().for_each(|flip| { let len = body.len(); body[1 + flip % (len - 1)] ^= 1 << (flip / len % 8); });
        }
        body[0] = 5;
        let check = crc32fast::hash(&[&(at as u64).to_le_bytes()[..], &body].concat());
        // The header is harmed, so that the body alone counts.
        image[at] ^= 1;
        image.splice(at + HEADER_BYTES..end, body.into_iter().chain(check.to_le_bytes()));
        open_any(&image);
    }
}
