//! What is sealed: entries, snapshots and words, whoever wrote them, and what those who have a key do with it.
//!
//! The first byte says what the rest is. Chance breaks no seal, so half of it is read as what is under one: it is sealed here, and then
//! opened, so that what members make of a change that another member forged is reached, too.

use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, PeerId, SpaceId};
use driftline_core::doc::assembly::claimed_version;
use driftline_core::doc::change::entry_from_body;
use driftline_core::log::version::Version;
use driftline_core::seal::entry::{Clear, SealedHeader};
use driftline_core::seal::key::{EpochId, EpochKey};
use driftline_core::seal::keyring::Keyring;
use driftline_core::seal::padding::{pad, padded_len, unpad};
use driftline_core::seal::snapshot::SealedSnapshot;
use driftline_core::trust::key::{SecretKey, Signer as _, is_signed_by};
use driftline_core::trust::owned::{actor_of, sealed_space_of};
use driftline_core::trust::statement::Statement;

const ENTRY: u8 = 0;
const SNAPSHOT: u8 = 1;
const STATEMENT: u8 = 2;
const UNDER_ENTRY: u8 = 3;
const UNDER_SNAPSHOT: u8 = 4;
const NOTE: DocumentId = DocumentId([2; 16]);
const EPOCH: EpochId = EpochId([6; 32]);

fn owner() -> SecretKey {
    SecretKey::new(&[1; 32])
}

fn space() -> SpaceId {
    sealed_space_of(&owner().peer(), &[9; 16])
}

fn keys() -> Keyring {
    let mut keys = Keyring::new(space());
    keys.put(EPOCH, EpochKey::new([3; 32]));
    keys
}

fn actor() -> ActorId {
    actor_of(&owner().peer(), &[6, 6, 6, 6, 1, 2, 3, 4])
}

/// What reads is read again from what is said of it, and no seal that chance made opens.
pub(crate) fn read(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let keys = keys();
    match *kind % 6 {
        ENTRY => {
            if let Ok(header) = SealedHeader::read(rest) {
                let entry = header.clone().into_entry(NOTE, rest.into());
                assert_eq!((entry.seq, entry.hash, entry.deps.len()), (header.seq, header.name, header.deps.len()));
            }
            // Only what was sealed here opens, and that is compared.
            if let Ok(Some((header, body))) = keys.open_entry(&NOTE, rest)
                && let Ok(change) = entry_from_body(NOTE, &body)
            {
                let _ = keys.check(&NOTE, &header, &change);
            }
        }
        SNAPSHOT => {
            if let Ok(snapshot) = SealedSnapshot::read(rest) {
                let (message, signature) = snapshot.signed(&space(), &NOTE);
                let _ = is_signed_by(&snapshot.header.maker, &message, signature);
                let _ = keys.open_snapshot(&NOTE, &snapshot);
            }
        }
        STATEMENT => {
            if let Ok(statement) = Statement::decode(&space(), rest) {
                assert_eq!(statement.bytes(), rest);
            }
        }
        UNDER_ENTRY => {
            let hash = entry_from_body(NOTE, rest).map_or(ChangeHash([7; 32]), |change| change.hash);
            let clear = Clear { actor: actor(), seq: 1, hash, deps: &[], body: rest };
            let entry = keys.seal_entry(NOTE, &clear, |_| false).expect("the key is here");
            let (header, body) = keys.open_entry(&NOTE, &entry.payload).expect("it was just sealed").expect("with this key");
            assert_eq!(body, rest);
            if let Ok(change) = entry_from_body(NOTE, &body) {
                let is_it = change.actor == actor() && change.seq == 1 && change.deps.is_empty();
                assert_eq!(keys.check(&NOTE, &header, &change).is_ok(), is_it);
            }
        }
        UNDER_SNAPSHOT => {
            let version = Version { heads: [ChangeHash([7; 32])].into(), clock: [(actor(), 1)].into_iter().collect() };
            let sealed =
                keys.seal_snapshot(&NOTE, (EPOCH, [5; 24]), version, owner().peer(), |message| owner().sign(message), rest);
            let sealed = sealed.expect("the key is here");
            let snapshot = SealedSnapshot::read(&sealed).expect("it was just sealed");
            assert_eq!(keys.open_snapshot(&NOTE, &snapshot), Ok(Some(rest.to_vec())));
            let _ = claimed_version(rest);
        }
        _ => {
            assert_eq!(unpad(pad(rest)).as_deref(), Some(rest));
            if let Some(plain) = unpad(rest.to_vec()) {
                assert_eq!(padded_len(plain.len()), rest.len());
            }
            let _ = keys.open_words(&PeerId([1; 32]).0, rest);
            let _ = keys.open_text(b"place", &String::from_utf8_lossy(rest));
        }
    }
}

/// One of each.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let tagged = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let deps = [(ChangeHash([8; 32]), actor(), 1)];
    let clear = Clear { actor: actor(), seq: 2, hash: ChangeHash([7; 32]), deps: &deps, body: b"a change" };
    let entry = keys().seal_entry(NOTE, &clear, |_| false).expect("the key is here");
    let version = Version { heads: [entry.hash].into(), clock: [(actor(), 2)].into_iter().collect() };
    let sign = |message: &[u8]| owner().sign(message);
    let snapshot = keys().seal_snapshot(&NOTE, (EPOCH, [5; 24]), version, owner().peer(), sign, b"a document");
    let words = keys().seal_words((EPOCH, [4; 24]), b"place", b"Ada").expect("the key is here");
    vec![
        tagged(ENTRY, &entry.payload),
        tagged(SNAPSHOT, &snapshot.expect("the key is here")),
        tagged(UNDER_ENTRY, b"a change"),
        tagged(UNDER_SNAPSHOT, b"a document"),
        tagged(5, &words),
        tagged(5, &pad(b"padded")),
    ]
}
