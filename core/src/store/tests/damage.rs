//! Damage of every kind: what is hit is never served and never silent, what is not hit is whole, and nothing panics.

use super::*;
use crate::base::id::{ActorId, SpaceId};
use crate::base::rng::Rng;
use crate::log::entry::Entry;
use crate::log::snapshot::{Base, Snapshot};
use crate::store::conformance::SyntheticDocument;
use crate::store::ledger::Ledger;
use crate::store::record::{HEADER_BYTES, Record, decode_entry_record, encode_entry_record};
use crate::store::recover::{PieceKind, Scan, scan};
use crate::store::task::StoreErrorKind;
use proptest::prelude::*;
use std::sync::Arc;

/// A small journal in several batches, and what it holds. The last batch is a value of its own, so that no document is in it.
fn small_journal() -> (Vec<u8>, Model) {
    let (mut journal, _, mut model) = reopen(&[]);
    let mut rng = Rng::new([3; 32]);
    let put = |key: &str, value: &[u8]| StoreTask::PutMeta { key: key.to_owned(), value: value.to_vec() };
    let mut tasks = vec![put("first", b"1"), put("second", b"2")];
    for _ in 0..6 {
        tasks.push(StoreTask::append(Vec::new()));
    }
    tasks.extend([put("first", b"one"), put("last", b"3")]);
    for mut task in tasks {
        if matches!(task, StoreTask::Append { .. }) {
            task = model.grow(&mut rng, 3);
        }
        journal.execute(task.clone()).expect("memory takes everything");
        model.apply(&task);
    }
    (journal.into_medium().bytes().to_vec(), model)
}

/// Every record of intact bytes, with where it starts and ends.
pub(super) fn records(bytes: &[u8]) -> Vec<(usize, usize, Record)> {
    let Scan { pieces, len } = scan(bytes).expect("the bytes are intact");
    assert_eq!(len, bytes.len() as u64);
    let record = |what| match what {
        PieceKind::Record(record) => record,
        PieceKind::Damage(damage) => panic!("intact bytes hold {damage:?}"),
    };
    pieces.into_iter().map(|piece| (piece.at as usize, piece.end as usize, record(piece.what))).collect()
}

/// What a store that lost entries gets back from a peer: the rest of the document, from where it stands.
fn repair(journal: &mut Journal<MemoryMedium>, found: &Model, whole: &Model) {
    for (document, log) in &whole.documents {
        for stored in &log.entries[served(found, document).len()..] {
            let task = StoreTask::append(vec![stored.clone()]);
            assert_eq!(journal.execute(task), Ok(StoreDone::Appended), "a damaged document takes its entries again");
        }
    }
}

/// The entries that are served of a document.
fn served<'a>(found: &'a Model, document: &DocumentId) -> &'a [StoredEntry] {
    found.documents.get(document).map(|log| &log.entries[..]).unwrap_or_default()
}

#[test]
fn every_single_bit_that_flips_is_noticed_and_harms_only_its_own_document() {
    let (bytes, whole) = small_journal();
    let records = records(&bytes);
    let last_batch = records.last().expect("there are records").0;
    let (mut mended, mut damaged, mut lost) = (0, 0, 0);
    for bit in 0..bytes.len() * 8 {
        let mut image = bytes.clone();
        image[bit / 8] ^= 1 << (bit % 8);
        let (at, _, hit) = records.iter().rfind(|(at, ..)| *at <= bit / 8).expect("the first record starts at 0");
        let (mut journal, contents, found) = reopen(&image);
        let what = format!("bit {} of byte {} of the record at {at}", bit % 8, bit / 8 - at);

        for (document, PlainLog { entries, .. }) in &whole.documents {
            let served = served(&found, document);
            assert!(entries.starts_with(served), "{what}: what is served is what was stored");
            let is_hit = matches!(hit, Record::Entry(stored) if stored.entry.document == *document);
            let is_told = contents.damaged.iter().any(|(told, _)| told == document);
            assert!(is_hit || served.len() == entries.len(), "{what}: another document is whole");
            assert_eq!(is_told, served.len() < entries.len(), "{what}: what is not served is told");
        }
        if bit / 8 < at + HEADER_BYTES && *at < last_batch {
            assert_eq!((&found, contents.epoch), (&whole, Some(EPOCH)), "{what}: a body makes its header good");
            mended += 1;
        } else if *at < last_batch {
            let is_told = contents.damaged.len() + contents.lost.len() > 0;
            assert!(is_told, "{what}: damage is never silent");
            damaged += contents.damaged.len();
            lost += contents.lost.len();
        }

        // A peer brings back what is missing, and then it is as if nothing had happened, but for what no peer has.
        repair(&mut journal, &found, &whole);
        let (_, contents, found) = reopen(journal.into_medium().bytes());
        assert_eq!(found.documents, whole.documents, "{what}: after the repair");
        assert_eq!(contents.damaged, [], "{what}: once repaired, damage is not told again");
    }
    assert!(mended > 1000 && damaged > 1000 && lost > 100, "{mended} {damaged} {lost}");
}

#[test]
fn a_page_of_zeros_anywhere_is_noticed_and_the_documents_outside_it_are_whole() {
    let (bytes, whole) = small_journal();
    let records = records(&bytes);
    let last_batch = records.last().expect("there are records").0;
    for start in (0..last_batch).step_by(13) {
        let end = (start + 512).min(last_batch);
        let mut image = bytes.clone();
        image[start..end].fill(0);
        let (mut journal, contents, found) = reopen(&image);
        assert!(contents.damaged.len() + contents.lost.len() > 0, "zeros from {start}: damage is never silent");
        for (document, PlainLog { entries, .. }) in &whole.documents {
            let served = served(&found, document);
            assert!(entries.starts_with(served), "zeros from {start}: what is served is what was stored");
            let is_hit = records.iter().any(|(at, record_end, record)| {
                matches!(record, Record::Entry(stored) if stored.entry.document == *document) && *at < end && *record_end > start
            });
            assert!(is_hit || served.len() == entries.len(), "zeros from {start}: another document is whole");
        }
        repair(&mut journal, &found, &whole);
        let (_, _, found) = reopen(journal.into_medium().bytes());
        assert_eq!(found.documents, whole.documents, "zeros from {start}: after the repair");
    }
}

#[test]
fn a_second_harm_to_a_document_that_was_repaired_is_noticed_too() {
    let (bytes, whole) = small_journal();
    let mut rng = Rng::new([5; 32]);
    let mut told = [0; 4];
    for _ in 0..300 {
        let mut image = bytes.clone();
        for told in &mut told {
            let at = rng.below(image.len() as u64) as usize;
            image[at] ^= 1 << rng.below(8);
            let (mut journal, contents, found) = reopen(&image);
            for (document, PlainLog { entries, .. }) in &whole.documents {
                let served = served(&found, document);
                assert!(entries.starts_with(served));
            }
            *told += contents.damaged.len();
            repair(&mut journal, &found, &whole);
            image = journal.into_medium().bytes().to_vec();
            assert_eq!(reopen(&image).2.documents, whole.documents);
        }
    }
    assert!(told.iter().all(|told| *told > 50), "damage told in each round: {told:?}");
}

#[test]
fn a_record_that_a_peer_hid_in_a_payload_does_not_become_one_when_its_cover_is_damaged() {
    let mut document = SyntheticDocument::new(1, 1);
    let mut hidden = Vec::new();
    let forged = SyntheticDocument::new(1, 2).grow(1, 10);
    Record::Entry(forged).encode(0, 0, &mut hidden).expect("a small record");
    let (mut journal, _, _) = reopen(&[]);
    let mut cover = document.grow(1, 0);
    let mut entry = (*cover.entry).clone();
    entry.payload = hidden.into();
    cover.entry = entry.into();
    let cover_at = journal.medium_mut().bytes().len();
    for stored in [cover, document.grow(1, 10)] {
        assert_eq!(journal.execute(StoreTask::append(vec![stored])), Ok(StoreDone::Appended));
    }
    let mut image = journal.into_medium().bytes().to_vec();
    image[cover_at..cover_at + HEADER_BYTES + 20].fill(0xff);
    let (_, contents, found) = reopen(&image);
    assert!(found.documents.is_empty() && contents.lost.len() == 1, "{contents:?}");
}

#[test]
fn a_file_that_is_no_journal_or_a_newer_one_is_an_error_and_is_left_as_it_is() {
    let text = b"Dear diary, this file is somebody else's and must not be written over. ".repeat(3);
    let mut journal = Journal::new(MemoryMedium::from_bytes(text.clone()));
    let error = journal.execute(StoreTask::Open { epoch: EPOCH }).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
    assert!(error.message.contains("not a Driftline journal"), "{error}");
    assert_eq!(journal.into_medium().bytes(), text);

    // The kind and the format version each as a newer program might write them.
    let (journal, _, _) = reopen(&[]);
    let made = journal.into_medium().bytes().to_vec();
    for (at, what) in [(0, "records of kind 77"), (10, "format version 77")] {
        let mut body = made[HEADER_BYTES..made.len() - 4].to_vec();
        body[at] = 77;
        let mut image = made[..HEADER_BYTES].to_vec();
        image.extend_from_slice(&body);
        image.extend_from_slice(&crc32fast::hash(&[&0u64.to_le_bytes()[..], &body].concat()).to_le_bytes());
        let error = Ledger::open([&image, &[]], EPOCH).unwrap_err();
        assert!(error.message.contains("newer version") && error.message.contains(what), "{error}");
    }
}

#[test]
fn a_journals_bytes_are_as_the_format_says() {
    // The example of docs/storage.md: a store of epoch 09…09, the value `k` = `v`, one entry, and its document set aside.
    let entry = Entry {
        document: DocumentId([0xd0; 16]),
        actor: ActorId::new(&[0xac; 4]).expect("4 bytes are an actor"),
        seq: 1,
        hash: ChangeHash([0xcc; 32]),
        deps: vec![ChangeHash([0xde; 32])],
        payload: b"payload".to_vec().into(),
    };
    let stored = StoredEntry { space: SpaceId([0x5a; 16]), position: 1, entry: entry.into() };
    let (mut journal, _, _) = reopen(&[]);
    for task in [
        StoreTask::PutMeta { key: "k".to_owned(), value: b"v".to_vec() },
        StoreTask::append(vec![stored.clone()]),
        StoreTask::Quarantine { document: DocumentId([0xd0; 16]) },
    ] {
        journal.execute(task).expect("memory takes everything");
    }
    let page = include_str!("../../../../docs/storage.md");
    let example = |title: &str| {
        let (_, after) = page.split_once(title).expect("the page has this example");
        let block = after.split("```").nth(1).expect("the example is a block");
        block.lines().skip(1).map(|line| line.split('|').next().unwrap_or_default()).collect::<String>().replace(' ', "")
    };
    assert_eq!(crate::base::id::to_hex(journal.into_medium().bytes()), example("## Example: a journal"));
    assert_eq!(crate::base::id::to_hex(&encode_entry_record(&stored)), example("## Example: an entry record alone"));

    // A log that begins with a snapshot of that entry.
    let version = Version { heads: [stored.entry.hash].into(), clock: [(stored.entry.actor, 1)].into_iter().collect() };
    let base = Base { position: 1, clock: version.clock.clone() };
    let snapshot = Snapshot { version, bytes: Arc::from(&b"snapshot"[..]) };
    let (mut journal, _, _) = reopen(&[]);
    let begun = journal.medium_mut().bytes().len();
    let task = StoreTask::PutSnapshot { document: stored.entry.document, space: stored.space, snapshot, base };
    journal.execute(task.clone()).expect("memory takes everything");
    let written = &journal.medium_mut().bytes()[begun..];
    assert_eq!(crate::base::id::to_hex(written), example("## Example: a snapshot record"));

    // The same, written again, with the entry beside the snapshot, once a long value has come and gone.
    let mut journal = Journal::new(MemoryMedium::new()).with_policy(RESTLESS);
    let (base, put) = (Base::default(), |value| StoreTask::PutMeta { key: "k".to_owned(), value });
    let StoreTask::PutSnapshot { document, space, snapshot, .. } = task else { unreachable!() };
    for task in [
        StoreTask::Open { epoch: EPOCH },
        StoreTask::append(vec![stored]),
        StoreTask::PutSnapshot { document, space, snapshot, base },
        put(vec![0; 1_000]),
        put(Vec::new()),
    ] {
        journal.execute(task).expect("memory takes everything");
    }
    assert_eq!(step_to_the_end(&mut journal), 1);
    let written = &journal.medium_mut().areas()[1];
    assert_eq!(crate::base::id::to_hex(written), example("## Example: a journal that was written again"));
}

#[test]
fn a_stored_entry_reads_back_and_every_flipped_bit_of_it_is_noticed() {
    let mut document = SyntheticDocument::new(1, 1);
    document.grow(1, 5);
    let stored = document.grow(2, 30);
    let bytes = encode_entry_record(&stored);
    assert_eq!(decode_entry_record(&bytes), Ok(stored));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_entry_record(&flipped).is_err(), "bit {bit}");
    }
    for end in 0..bytes.len() {
        assert!(decode_entry_record(&bytes[..end]).is_err(), "cut at {end}");
    }
}

/// Opens any bytes. When they are a journal, what recovery left is one that opens to the same, and that can be written.
pub(super) fn open_any(bytes: &[u8]) -> Option<Model> {
    let mut journal = Journal::new(MemoryMedium::from_bytes(bytes.to_vec()));
    if let Err(error) = journal.execute(StoreTask::Open { epoch: EPOCH }) {
        assert_eq!(error.kind, StoreErrorKind::Corrupt);
        return None;
    }
    let (journal, contents, found) = reopen(bytes);
    let (mut journal, again, found_again) = reopen(journal.into_medium().bytes());
    assert_eq!((&contents.damaged, &contents.epoch, &found), (&again.damaged, &again.epoch, &found_again));
    let mut model = found.clone();
    let next = model.grow(&mut Rng::new([1; 32]), 8);
    assert_eq!(journal.execute(next.clone()), Ok(StoreDone::Appended));
    model.apply(&next);
    assert_eq!(reopen(journal.into_medium().bytes()).2, model);
    Some(found)
}

/// One thing that may happen to a file.
#[derive(Clone, Debug)]
pub(super) enum Harm {
    Overwrite(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Copy(usize, usize, usize),
    Truncate(usize),
}

pub(super) fn harms() -> impl Strategy<Value = Harm> {
    let noise = || proptest::collection::vec(any::<u8>(), 0..64);
    prop_oneof![
        (any::<usize>(), noise()).prop_map(|(at, bytes)| Harm::Overwrite(at, bytes)),
        (any::<usize>(), noise()).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        (any::<usize>(), 0..300usize).prop_map(|(at, count)| Harm::Remove(at, count)),
        (any::<usize>(), any::<usize>(), 0..600usize).prop_map(|(from, to, count)| Harm::Copy(from, to, count)),
        any::<usize>().prop_map(Harm::Truncate),
    ]
}

pub(super) fn harm(image: &mut Vec<u8>, harm: Harm) {
    let len = image.len() + 1;
    match harm {
        Harm::Overwrite(at, bytes) => image.iter_mut().skip(at % len).zip(bytes).for_each(|(to, from)| *to = from),
        Harm::Insert(at, bytes) => drop(image.splice(at % len..at % len, bytes)),
        Harm::Remove(at, count) => drop(image.drain(at % len..(at % len + count).min(len - 1))),
        Harm::Copy(from, to, count) => {
            let piece = image[from % len..(from % len + count).min(len - 1)].to_vec();
            image.iter_mut().skip(to % len).zip(piece).for_each(|(to, from)| *to = from);
        }
        Harm::Truncate(to) => image.truncate(to % len),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_can_be_opened_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(open_any(&bytes).is_none_or(|found| found == Model::default()));
        prop_assert!(decode_entry_record(&bytes).is_err());
    }

    #[test]
    fn any_body_that_checks_out_is_read_or_refused(mut body in proptest::collection::vec(any::<u8>(), 1..300), kind in 1u8..7) {
        // Checksums that fit, as a faulty or hostile program would write them.
        body[0] = kind;
        let check = crc32fast::hash(&body);
        let read = decode_entry_record(&[&body[..], &check.to_le_bytes()].concat());
        if let Ok(stored) = read {
            prop_assert_eq!(encode_entry_record(&stored).len(), body.len() + 4);
        }
    }

    #[test]
    fn a_journal_that_was_harmed_in_any_way_serves_only_what_was_stored(harmed in proptest::collection::vec(harms(), 1..4)) {
        let (mut image, whole) = small_journal();
        for one in harmed {
            harm(&mut image, one);
        }
        for (document, served) in open_any(&image).unwrap_or_default().documents {
            prop_assert!(whole.documents[&document].entries.starts_with(&served.entries));
        }
    }
}
