use super::*;
use crate::base::id::to_hex;

const SECRET: [u8; 32] = [7; 32];
const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];
/// Made by Python from the same values, by `docs/storage.md` alone: the journal is the letters `journal`, made at 1,700,000,000.
const KNOWN: &str = concat!(
    "64726966746c696e65206261636b757001ed56e1be09090909090909090909090909090909",
    "09090909090909098fdecc64f8b73f72706ebbd49e2a87d704b49badc25288c8a1f0c0d99b",
);

fn put(key: &str, value: &[u8]) -> (TaskId, StoreTask) {
    (TaskId(1), StoreTask::PutMeta { key: key.to_owned(), value: value.to_vec() })
}

/// A journal with one value, of a first epoch.
fn ledger() -> Ledger {
    let mut ledger = Ledger::open([&[], &[]], StoreEpoch([1; 16])).unwrap().ledger;
    for round in 0..3 {
        let prepared = ledger.prepare(vec![put("name", &[round; 100])]);
        drop(ledger.commit(prepared));
    }
    ledger
}

#[test]
fn a_known_answer_in_both_directions() {
    let backup = Backup { made_unix_s: 1_700_000_000, journal: b"journal".to_vec() };
    assert_eq!(to_hex(&backup.seal(&SECRET, &NONCE)), KNOWN);
    assert_eq!(Backup::open(&SECRET, &backup.seal(&SECRET, &NONCE)), Ok(backup));
}

#[test]
fn what_comes_back_is_what_was_held_without_what_was_dead_and_of_another_epoch() {
    let ledger = ledger();
    let backup = Backup { made_unix_s: 5, journal: ledger.copied(None).unwrap() };
    assert!((backup.journal.len() as u64) < ledger.end(), "only the last value of three is in it");
    let file = backup.seal(&SECRET, &NONCE);
    let (journal, documents) =
        Backup::open(&SECRET, &file).unwrap().restored(("identity".to_owned(), SECRET.to_vec()), StoreEpoch([2; 16])).unwrap();
    assert_eq!(documents, 0);
    let opening = Ledger::open([&journal, &[]], StoreEpoch([3; 16])).unwrap();
    assert!(opening.truncate.is_none() && opening.append.1.is_empty(), "it needs no repair");
    assert_eq!(opening.contents.epoch, Some(StoreEpoch([2; 16])));
    let wanted = [("identity".to_owned(), SECRET.to_vec()), ("name".to_owned(), vec![2; 100])];
    assert_eq!(opening.contents.meta, wanted);
}

#[test]
fn a_phrase_alone_makes_a_store_that_holds_nothing_but_the_key() {
    let empty = Backup { made_unix_s: 0, journal: Vec::new() };
    let (journal, _) = empty.restored(("identity".to_owned(), SECRET.to_vec()), StoreEpoch([2; 16])).unwrap();
    let opening = Ledger::open([&journal, &[]], StoreEpoch([3; 16])).unwrap();
    assert_eq!(opening.contents.meta, [("identity".to_owned(), SECRET.to_vec())]);
}

#[test]
fn each_wrong_file_has_its_own_error_and_no_byte_can_be_changed() {
    let file = Backup { made_unix_s: 5, journal: ledger().copied(None).unwrap() }.seal(&SECRET, &NONCE);
    assert_eq!(Backup::open(&[8; 32], &file), Err(BackupError::OtherPhrase));
    assert_eq!(
        Backup::open(&SECRET, b"PK\x03\x04 something else that is long enough for a header, and more"),
        Err(BackupError::NotOne)
    );
    assert_eq!(Backup::open(&SECRET, &[]), Err(BackupError::NotOne));
    let mut newer = file.clone();
    newer[MAGIC.len()] = 2;
    assert_eq!(Backup::open(&SECRET, &newer), Err(BackupError::Newer));
    for cut in [HEADER_BYTES, HEADER_BYTES + 5, file.len() - 1] {
        assert_eq!(Backup::open(&SECRET, &file[..cut]), Err(BackupError::Damaged), "{cut} bytes");
    }
    for at in 0..file.len() {
        let mut other = file.clone();
        other[at] ^= 1;
        assert!(Backup::open(&SECRET, &other).is_err(), "byte {at} counts");
    }
    let odd = Backup { made_unix_s: 5, journal: vec![b'x'; 500] };
    assert!(matches!(odd.restored(("identity".to_owned(), Vec::new()), StoreEpoch([2; 16])), Err(BackupError::Journal(_))));
}
