//! Backups and recovery phrases: whatever someone chooses in a file dialog, and types.
//!
//! The first byte says what the rest is. Chance finds no seal, so what is to be found inside one is sealed here.

use driftline_core::base::id::{StoreEpoch, TaskId};
use driftline_core::base::phrase::{phrase_of, secret_of};
use driftline_core::store::backup::{Backup, NONCE_BYTES};
use driftline_core::store::ledger::Ledger;
use driftline_core::store::task::StoreTask;

const FILE: u8 = 0;
const INSIDE: u8 = 1;
const PHRASE: u8 = 2;
const SECRET: [u8; 32] = [7; 32];
const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];
const EPOCH: StoreEpoch = StoreEpoch([2; 16]);

fn restored(backup: &Backup) {
    if let Ok((journal, documents)) = backup.restored(("identity".to_owned(), SECRET.to_vec()), EPOCH) {
        let opening = Ledger::open([&journal, &[]], EPOCH).expect("what was restored opens");
        assert!(opening.append.1.is_empty() && opening.truncate.is_none(), "and needs no repair");
        assert_eq!(opening.contents.documents.len(), documents);
    }
}

/// What opens is what was sealed, and what it makes is a sound store.
pub(crate) fn read(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match *kind % 3 {
        FILE => {
            if let Ok(backup) = Backup::open(&SECRET, rest) {
                restored(&backup);
            }
        }
        INSIDE => {
            let backup = Backup { made_unix_s: rest.len() as u64, journal: rest.to_vec() };
            assert_eq!(Backup::open(&SECRET, &backup.seal(&SECRET, &NONCE)).as_ref(), Ok(&backup));
            restored(&backup);
        }
        _ => {
            if let Ok(secret) = secret_of(&String::from_utf8_lossy(rest)) {
                assert_eq!(secret_of(&phrase_of(&secret)), Ok(secret));
            }
        }
    }
}

/// One of each.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let tagged = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let mut ledger = Ledger::open([&[], &[]], EPOCH).expect("an empty medium is a new store").ledger;
    let put = StoreTask::PutMeta { key: "name".to_owned(), value: vec![1; 40] };
    let prepared = ledger.prepare(vec![(TaskId(1), put)]);
    let written = prepared.bytes().to_vec();
    drop(ledger.commit(prepared));
    let journal = ledger.copied(None).expect("one value can be copied");
    let file = Backup { made_unix_s: 1_700_000_000, journal: journal.clone() }.seal(&SECRET, &NONCE);
    vec![
        tagged(FILE, &file),
        tagged(INSIDE, &journal),
        tagged(INSIDE, &written),
        tagged(INSIDE, &[]),
        tagged(PHRASE, phrase_of(&SECRET).as_bytes()),
    ]
}
