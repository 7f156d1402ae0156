//! Journals: any bytes are opened or refused, and what was recovered stays.

use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, SpaceId, StoreEpoch};
use driftline_core::log::clock::VectorClock;
use driftline_core::log::entry::Entry;
use driftline_core::log::snapshot::{Base, Snapshot};
use driftline_core::log::version::Version;
use driftline_core::store::journal::Journal;
use driftline_core::store::medium::MemoryMedium;
use driftline_core::store::record::{CHECK_BYTES, HEADER_BYTES, decode_entry_record, encode_entry_record};
use driftline_core::store::rewrite::{DeadPart, RewritePolicy};
use driftline_core::store::task::{StoreContents, StoreDone, StoreErrorKind, StoreTask, StoredEntry};
use std::sync::Arc;

const EPOCH: StoreEpoch = StoreEpoch([9; 16]);
const SPACE: SpaceId = SpaceId([1; 16]);
/// What stands between the two areas of an input.
const BETWEEN: &[u8] = b"<2nd>";
/// Written again soon, and in many steps.
const RESTLESS: RewritePolicy = RewritePolicy {
    in_use: DeadPart { bytes: 100, percent: 10 },
    at_opening: DeadPart { bytes: 100, percent: 10 },
    step_bytes: 500,
};
/// Steps in which a journal of an input's size is written again.
const STEPS_MAX: usize = 10_000;

/// The kinds of records that belong to a document, whose header names it.
const KINDS_OF_DOCUMENT: [u8; 4] = [2, 4, 5, 8];
const MARKER: [u8; 3] = [0xd7, b'L', b'R'];

/// The input is a journal as it stands in the files.
pub(crate) fn read(bytes: &[u8]) {
    if let Ok(stored) = decode_entry_record(bytes) {
        assert_eq!(decode_entry_record(&encode_entry_record(&stored)), Ok(stored));
    }
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN);
    let (first, second) = at.map_or((bytes, &[][..]), |at| (&bytes[..at], &bytes[at + BETWEEN.len()..]));
    open([first.to_vec(), second.to_vec()]);
}

/// The input is the bodies of records, each after a byte of marks and two of length; headers and checksums are made to fit.
pub(crate) fn read_records(bytes: &[u8]) {
    let mut areas = [Vec::new(), Vec::new()];
    let (mut rest, mut area, mut batch_start) = (bytes, 0, 0);
    while let Some(([marks, low, high], after)) = rest.split_first_chunk::<3>() {
        let (body, after) = after.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(after.len()));
        rest = after;
        if marks & 2 != 0 && area == 0 {
            (area, batch_start) = (1, 0);
        }
        let image: &mut Vec<u8> = &mut areas[area];
        if marks & 1 != 0 {
            batch_start = image.len();
        }
        put_record(image, batch_start, body);
    }
    open(areas);
}

fn put_record(image: &mut Vec<u8>, batch_start: usize, body: &[u8]) {
    let at = image.len();
    let kind = body.first().copied().unwrap_or_default();
    let mut header = [0; HEADER_BYTES];
    header[..3].copy_from_slice(&MARKER);
    header[3] = kind;
    header[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[8..12].copy_from_slice(&((at - batch_start) as u32).to_le_bytes());
    if let (true, Some(document)) = (KINDS_OF_DOCUMENT.contains(&kind), body.get(1..17)) {
        header[12..28].copy_from_slice(document);
    }
    let check = check_at(at, &header[..28]);
    header[28..].copy_from_slice(&check);
    image.extend(header);
    image.extend(body);
    image.extend(check_at(at, body));
}

fn check_at(at: usize, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(at as u64).to_le_bytes());
    hasher.update(bytes);
    hasher.finalize().to_le_bytes()
}

/// Opens a journal. What recovery found is what is found again, also after it was written again, and the journal can be written.
fn open(areas: [Vec<u8>; 2]) {
    let mut journal = Journal::new(MemoryMedium::from_areas(areas)).with_policy(RESTLESS);
    let contents = match journal.execute(StoreTask::Open { epoch: EPOCH }) {
        Ok(StoreDone::Opened(contents)) => contents,
        Ok(other) => panic!("opening was answered with {other:?}"),
        Err(error) => return assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}"),
    };
    let held = held(&mut journal, &contents);
    let mut journal = reopened(journal, &held);

    let new = entry(0xee, 1, Vec::new(), 0xee);
    journal.execute(StoreTask::append(vec![new.clone()])).ok();
    for _ in 0..STEPS_MAX {
        if journal.step().is_none() {
            break;
        }
    }
    let mut after: Vec<Held> = held;
    if after.iter().all(|held| held.document != new.entry.document) {
        after.push(Held { document: new.entry.document, space: new.space, snapshot: None, entries: vec![(1, new.entry)] });
        reopened(journal, &after);
    }
}

/// A document as it reads.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    document: DocumentId,
    space: SpaceId,
    snapshot: Option<Snapshot>,
    entries: Vec<(u64, Arc<Entry>)>,
}

/// The same journal in the next process, once it was seen to hold the same.
fn reopened(journal: Journal<MemoryMedium>, expected: &[Held]) -> Journal<MemoryMedium> {
    let mut journal = Journal::new(journal.into_medium()).with_policy(RESTLESS);
    let Ok(StoreDone::Opened(contents)) = journal.execute(StoreTask::Open { epoch: EPOCH }) else {
        panic!("what was opened is opened again");
    };
    let mut found = held(&mut journal, &contents);
    let mut expected = expected.to_vec();
    for list in [&mut found, &mut expected] {
        list.sort_by_key(|held| held.document);
    }
    assert_eq!(found, expected);
    journal
}

fn held(journal: &mut Journal<MemoryMedium>, contents: &StoreContents) -> Vec<Held> {
    let mut all = Vec::new();
    for told in &contents.documents {
        let document = told.document;
        let read = StoreTask::Read { document, above: VectorClock::new(), after: 0, bytes_max: usize::MAX };
        let Ok(StoreDone::Read { entries, complete: true }) = journal.execute(read) else { panic!("{document} is not read") };
        let read = StoreTask::ReadSnapshot { document, offset: 0, bytes_max: usize::MAX };
        let Ok(StoreDone::SnapshotRead { part }) = journal.execute(read) else { panic!("{document}'s snapshot is not read") };
        let snapshot = part.map(|part| Snapshot { version: part.version, bytes: part.bytes });
        all.push(Held { document, space: told.space, snapshot, entries });
    }
    all
}

fn entry(document: u8, position: u64, deps: Vec<ChangeHash>, hash: u8) -> StoredEntry {
    let actor = ActorId::new(&[5]).expect("one byte is an actor");
    let entry = Entry {
        document: DocumentId([document; 16]),
        actor,
        seq: position,
        hash: ChangeHash([hash; 32]),
        deps: deps.into_iter().collect(),
        payload: Arc::from([hash; 6]),
    };
    StoredEntry { space: SPACE, position, entry: Arc::new(entry) }
}

/// What a store was asked, one after the other.
fn tasks() -> Vec<StoreTask> {
    let first = entry(1, 1, Vec::new(), 0x11);
    let second = entry(1, 2, vec![first.entry.hash], 0x12);
    let version = Version { heads: [second.entry.hash].into(), clock: [(second.entry.actor, 2)].into_iter().collect() };
    let base = Base { position: 1, clock: [(second.entry.actor, 1)].into_iter().collect() };
    let put = |value: Vec<u8>| StoreTask::PutMeta { key: "k".to_owned(), value };
    vec![
        StoreTask::Open { epoch: EPOCH },
        StoreTask::Append { entries: vec![first, entry(2, 1, Vec::new(), 0x21)], values: vec![("v".to_owned(), vec![1])] },
        StoreTask::append(vec![second]),
        StoreTask::PutSnapshot {
            document: DocumentId([1; 16]),
            space: SPACE,
            snapshot: Snapshot { version, bytes: Arc::from(&b"snapshot"[..]) },
            base,
        },
        put(vec![7; 300]),
        put(Vec::new()),
        StoreTask::Quarantine { document: DocumentId([2; 16]) },
        StoreTask::append(vec![entry(2, 1, Vec::new(), 0x22)]),
        StoreTask::Renew { document: DocumentId([2; 16]), entries: vec![entry(2, 1, Vec::new(), 0x23)], values: Vec::new() },
    ]
}

/// Both areas after each number of tasks, before and after the journal was written again.
fn images() -> Vec<[Vec<u8>; 2]> {
    let mut images = Vec::new();
    for count in 1..=tasks().len() {
        let mut journal = Journal::new(MemoryMedium::new());
        if count == tasks().len() {
            journal = journal.with_policy(RESTLESS);
        }
        for task in tasks().into_iter().take(count) {
            journal.execute(task).expect("memory takes everything");
        }
        images.push(journal.medium_mut().areas().clone());
        if count == tasks().len() {
            while journal.step().is_some() {
                images.push(journal.medium_mut().areas().clone());
            }
        }
    }
    images
}

/// Journals as they stand in the files.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = images().into_iter().map(|[first, second]| [&first[..], BETWEEN, &second].concat()).collect();
    seeds.push(encode_entry_record(&entry(1, 1, Vec::new(), 0x11)));
    seeds
}

/// The same as bodies of records.
pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    let bodies = |[first, second]: [Vec<u8>; 2]| {
        let mut seed = Vec::new();
        for (area, image) in [first, second].iter().enumerate() {
            let (mut at, mut marks) = (0, if area == 1 { 3 } else { 1 });
            while let Some(header) = image.get(at..at + HEADER_BYTES) {
                let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
                let body = &image[at + HEADER_BYTES..at + HEADER_BYTES + length];
                seed.push(marks);
                seed.extend((length as u16).to_le_bytes());
                seed.extend(body);
                at += HEADER_BYTES + length + CHECK_BYTES;
                marks = 1;
            }
        }
        seed
    };
    images().into_iter().map(bodies).collect()
}
