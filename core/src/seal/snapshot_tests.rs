use super::*;
use crate::base::id::{from_hex, to_hex};
use crate::seal::entry::tests::{ring, second, space};
use crate::seal::key::EpochKey;
use ed25519_dalek::{Signature, Signer as _, SigningKey};

// Made by Python's `cryptography` and `hmac` from the same values, by `docs/protocol.md` alone.
const SNAPSHOT: &str = concat!(
    "e6019e4be924d17c13e0239db8cec0e1d43f21abba12b79e5d010c8035cfb63f34aa01d465bb70a231310ea18a1b0dc7",
    "5fb69b00452d3ca731abcb16f1c094bb4c33fc021849a8f7f10102030470a788fcbffd76e171d7b6a1af14aff507189e",
    "4be9240506070847d1abdc40180366ca68a893947c86d6ac028a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d9412",
    "1bf3748801b40f6f5c777777777777777777777777777777777777777777777777aab36a35ca305f78d6ed12e83e362d",
    "29aab45cba90ba8adbbc4dcdac70d564d2dabe57643463ea1d61c8fa9bed9c76112e1f48e45e1f006f9c6472c8db9722",
    "0817e7e19f27fe9357c600f6abcb4aef8e13d353e22f9b2bbedc240c6349f14cfa59e84b92e022d920ad0255916441c5",
    "99",
);
const WORDS: &str = "nkvpJIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiMS0kXtKjfRrFS4mwXJcpSwSE_GzD6vh8ljHOTOvAbzy7w9GfZzrRrfKlnkXJ-cPng";
const DOCUMENT: DocumentId = DocumentId([0xd0; 16]);

fn owner() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn is_signed(snapshot: &SealedSnapshot<'_>, document: &DocumentId) -> bool {
    let (message, signature) = snapshot.signed(&space(), document);
    let key = ed25519_dalek::VerifyingKey::from_bytes(&snapshot.header.maker.0).unwrap();
    key.verify_strict(&message, &Signature::from_bytes(signature)).is_ok()
}

#[test]
fn a_known_answer() {
    let bytes = from_hex(SNAPSHOT).unwrap();
    let snapshot = SealedSnapshot::read(&bytes).unwrap();
    assert_eq!((snapshot.header.version.clock.entries(), snapshot.header.epoch), (307, second()));
    assert!(is_signed(&snapshot, &DOCUMENT) && !is_signed(&snapshot, &DocumentId([0xd1; 16])));
    assert_eq!(ring().open_snapshot(&DOCUMENT, &snapshot), Ok(Some(b"a document".to_vec())));
    assert_eq!(ring().open_snapshot(&DocumentId([0xd1; 16]), &snapshot), Err(SealError::Broken));
    let (version, maker) = (snapshot.header.version.clone(), snapshot.header.maker);
    let sign = |message: &[u8]| owner().sign(message).to_bytes();
    let again = ring().seal_snapshot(&DOCUMENT, (second(), [0x77; 24]), version, maker, sign, b"a document").unwrap();
    assert_eq!(to_hex(&again), SNAPSHOT);
    let mut without = Keyring::new(space());
    assert_eq!(without.open_snapshot(&DOCUMENT, &snapshot), Ok(None));
    without.put(second(), EpochKey::new([9; 32]));
    assert_eq!(without.open_snapshot(&DOCUMENT, &snapshot), Err(SealError::Broken));
}

#[test]
fn one_that_was_cut_or_changed_anywhere_is_not_its_makers_and_does_not_open() {
    let bytes = from_hex(SNAPSHOT).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        if let Ok(snapshot) = SealedSnapshot::read(&changed) {
            let maker = ed25519_dalek::VerifyingKey::from_bytes(&snapshot.header.maker.0);
            assert!(maker.is_err() || !is_signed(&snapshot, &DOCUMENT), "byte {at}");
        }
        assert!(SealedSnapshot::read(&bytes[..at]).is_err_and(|error| error != SealError::Clear) || at > bytes.len() - 33);
    }
    assert_eq!(SealedSnapshot::read(&[0x85, 0x6f]).unwrap_err(), SealError::Clear);
}

#[test]
fn words_open_in_their_place_alone() {
    let under = (second(), [0x88; 24]);
    let words = "{\"name\":\"Ada\"}";
    assert_eq!(ring().seal_text(under, b"place", words).as_deref(), Some(WORDS));
    assert_eq!(ring().open_text(b"place", WORDS).as_deref(), Some(words));
    assert_eq!(ring().open_text(b"elsewhere", WORDS), None);
    assert_eq!(Keyring::new(space()).open_text(b"place", WORDS), None);
    for at in 0..WORDS.len() {
        let mut changed = WORDS.to_owned();
        changed.replace_range(at..=at, if &WORDS[at..=at] == "A" { "B" } else { "A" });
        assert_eq!(ring().open_text(b"place", &changed), None, "letter {at}");
    }
}
