use super::*;
use crate::base::id::{PeerId, from_hex, to_hex};
use crate::seal::key::{EpochId, EpochKey};
use crate::seal::keyring::epoch_of_actor;
use crate::seal::snapshot::SealedSnapshot;
use proptest::prelude::*;

// Made by Python's `cryptography` and `hmac` from the same values, by `docs/protocol.md` alone.
const FIRST_ID: &str = "49a8f7f1917821d0634523d97de775f1041aff999ec08dced8a3be58355ba9c0";
const SECOND_ID: &str = "9e4be924d17c13e0239db8cec0e1d43f21abba12b79e5d010c8035cfb63f34aa";
const ENTRY: &str = concat!(
    "e501189e4be9240506070847d1abdc40180366ca68a893947c86d6ac02d465bb70a231310ea18a1b0dc75fb69b00452d",
    "3ca731abcb16f1c094bb4c33fc02e3f0debab7f9eae286bbd50cf063877793d848ecc055cab28aa2350b20016c1100ab",
    "02ac861681db896c267f75c9af5d4fe725e6cd145243a3193ae80ce59dffd1cb231849a8f7f10102030470a788fcbffd",
    "76e171d7b6a1af14aff50755a71bf6f5b2fb625ab01192da7c2c66f5b37e909530798a1e2bf0553292e36e2231ec3701",
    "beb49ae7d4f73ec058190e",
);
const SPACE: &str = "7365616cd780ac162f8180ddfc6982ae";
const DOCUMENT: DocumentId = DocumentId([0xd0; 16]);

fn array<const N: usize>(hex: &str) -> [u8; N] {
    from_hex(hex).unwrap().try_into().unwrap()
}

pub(crate) fn space() -> SpaceId {
    SpaceId(array(SPACE))
}

pub(crate) fn first() -> EpochId {
    EpochId(array(FIRST_ID))
}

pub(crate) fn second() -> EpochId {
    EpochId(array(SECOND_ID))
}

/// The keys of two epochs.
pub(crate) fn ring() -> Keyring {
    let mut ring = Keyring::new(space());
    ring.put(first(), EpochKey::new([0x11; 32]));
    ring.put(second(), EpochKey::new([0x22; 32]));
    ring
}

/// An actor of an epoch: how its id shows whose it is does not matter here.
pub(crate) fn actor(epoch: &EpochId, rest: u8) -> ActorId {
    ActorId::new(&[&epoch.tag()[..], &[rest; 20]].concat()).unwrap()
}

fn known() -> (SealedHeader, Vec<u8>) {
    let payload = from_hex(ENTRY).unwrap();
    (SealedHeader::read(&payload).unwrap(), payload)
}

fn sealed(ring: &Keyring, body: &[u8]) -> Entry {
    let deps = [(ChangeHash([0xa2; 32]), actor(&second(), 1), 299), (ChangeHash([0xa1; 32]), actor(&first(), 2), 7)];
    let clear = Clear { actor: actor(&second(), 1), seq: 300, hash: ChangeHash([0xa3; 32]), deps: &deps, body };
    ring.seal_entry(DOCUMENT, &clear, |_| false).unwrap()
}

#[test]
fn a_known_answer() {
    let (header, payload) = known();
    let deps = [(ChangeHash([0xa2; 32]), header.deps[0].actor, 299), (ChangeHash([0xa1; 32]), header.deps[1].actor, 7)];
    let body = b"the body of a change";
    let clear = Clear { actor: header.actor, seq: 300, hash: ChangeHash([0xa3; 32]), deps: &deps, body };
    let entry = ring().seal_entry(DOCUMENT, &clear, |_| false).unwrap();
    assert_eq!(to_hex(&entry.payload), ENTRY);
    assert_eq!(header.clone().into_entry(DOCUMENT, payload.clone().into()), entry);
    assert_eq!(ring().open_entry(&DOCUMENT, &payload), Ok(Some((header, body.to_vec()))));
}

#[test]
fn a_sealed_entry_opens_where_it_was_made_for_and_nowhere_else() {
    let entry = sealed(&ring(), b"a letter");
    let open = |ring: &Keyring, document: &DocumentId, payload: &[u8]| ring.open_entry(document, payload);
    assert!(open(&ring(), &DOCUMENT, &entry.payload).unwrap().is_some());
    assert_eq!(open(&ring(), &DocumentId([0xd1; 16]), &entry.payload), Err(SealError::Broken), "another document");
    let mut elsewhere = Keyring::new(SpaceId([5; 16]));
    elsewhere.put(second(), EpochKey::new([0x22; 32]));
    assert_eq!(open(&elsewhere, &DOCUMENT, &entry.payload), Err(SealError::Broken), "another space");
    assert_eq!(open(&Keyring::new(space()), &DOCUMENT, &entry.payload), Ok(None), "without the key nothing can be said");
    let mut wrong = Keyring::new(space());
    wrong.put(second(), EpochKey::new([0x23; 32]));
    assert_eq!(open(&wrong, &DOCUMENT, &entry.payload), Err(SealError::Broken));
    // A change that is not sealed.
    assert_eq!(SealedHeader::read(&[0x85, 0x6f, 0x4a, 0x83]), Err(SealError::Clear));
    let mut newer = entry.payload.to_vec();
    newer[1] = 2;
    assert!(matches!(SealedHeader::read(&newer), Err(SealError::Decode(_))));
}

#[test]
fn what_an_entry_says_openly_has_to_be_what_is_under_its_seal() {
    let entry = sealed(&ring(), b"a letter");
    let (header, _) = ring().open_entry(&DOCUMENT, &entry.payload).unwrap().unwrap();
    let change = Entry {
        document: DOCUMENT,
        actor: header.actor,
        seq: 300,
        hash: ChangeHash([0xa3; 32]),
        deps: vec![ChangeHash([0xa2; 32]), ChangeHash([0xa1; 32])],
        payload: Arc::from(&b""[..]),
    };
    let check = |header: &SealedHeader, change: &Entry| ring().check(&DOCUMENT, header, change);
    assert_eq!(check(&header, &change), Ok(()));
    let others = [
        Entry { seq: 301, ..change.clone() },
        Entry { actor: actor(&second(), 9), ..change.clone() },
        Entry { hash: ChangeHash([0xa4; 32]), ..change.clone() },
        Entry { deps: vec![ChangeHash([0xa2; 32])], ..change.clone() },
        // Re-ordered.
        Entry { deps: vec![ChangeHash([0xa1; 32]), ChangeHash([0xa2; 32])], ..change },
    ];
    for other in others {
        assert!(matches!(check(&header, &other), Err(SealError::Otherwise(_))), "{other:?}");
    }
}

#[test]
fn names_tell_documents_and_epochs_apart_and_are_no_hash_of_what_is_named() {
    let (ring, hash) = (ring(), ChangeHash([0xa3; 32]));
    let name = |document: u8, epoch: &EpochId| ring.name(&DocumentId([document; 16]), &actor(epoch, 1), &hash).unwrap();
    let names = [name(1, &first()), name(2, &first()), name(1, &second())];
    assert_eq!(name(1, &first()), names[0]);
    assert!(names[0] != names[1] && names[0] != names[2] && names.iter().all(|name| *name != hash));
    assert_eq!(ring.name(&DOCUMENT, &ActorId::new(&[1; 24]).unwrap(), &hash), None, "an actor of no epoch that is known");
    // What Automerge puts before an actor does not matter.
    let beside = ActorId::new(&[&[9; 5][..], actor(&first(), 1).as_bytes()].concat()).unwrap();
    assert_eq!(epoch_of_actor(&beside), Some(first().tag()));
    assert_eq!(epoch_of_actor(&ActorId::new(&[1; 16]).unwrap()), None);
}

#[test]
fn two_epochs_whose_tags_are_the_same_are_told_apart_by_their_keys() {
    let mut twin = second();
    twin.0[31] ^= 1;
    let mut both = ring();
    both.put(twin, EpochKey::new([0x33; 32]));
    let mut alone = Keyring::new(space());
    alone.put(twin, EpochKey::new([0x33; 32]));
    alone.put(first(), EpochKey::new([0x11; 32]));
    for ring in [ring(), alone] {
        let entry = sealed(&ring, b"a letter");
        assert!(both.open_entry(&DOCUMENT, &entry.payload).unwrap().is_some());
    }
}

proptest! {
    #[test]
    fn one_that_was_changed_anywhere_does_not_open(body in proptest::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, bit in 0u8..8) {
        let entry = sealed(&ring(), &body);
        let (_, opened) = ring().open_entry(&DOCUMENT, &entry.payload).unwrap().unwrap();
        prop_assert_eq!(opened, body);
        let mut payload = entry.payload.to_vec();
        let index = at.index(payload.len());
        payload[index] ^= 1 << bit;
        // An actor of another epoch needs another key.
        prop_assert!(!matches!(ring().open_entry(&DOCUMENT, &payload), Ok(Some(_))));
        payload.truncate(index);
        prop_assert!(!matches!(ring().open_entry(&DOCUMENT, &payload), Ok(Some(_))));
    }

    #[test]
    fn any_bytes_are_legal_input(mark in 0xe5u8..0xe7, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [&[mark, 1][..], &bytes].concat();
        prop_assert!(!matches!(ring().open_entry(&DOCUMENT, &bytes), Ok(Some(_))));
        if let Ok(snapshot) = SealedSnapshot::read(&bytes) {
            prop_assert!(!matches!(ring().open_snapshot(&DOCUMENT, &snapshot), Ok(Some(_))));
        }
        prop_assert_eq!(ring().open_words(&PeerId([1; 32]).0, &bytes), None);
    }
}
