use super::*;
use crate::base::id::to_hex;
use crate::trust::key::SecretKey;
use crate::trust::owned::{actor_of, space_of};
use proptest::prelude::*;

/// Made by Python's `cryptography` from the same values, by `docs/protocol.md` alone.
const KNOWN: &str = concat!(
    "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d01801020304050607089f8d8f995b44a57cae4afe605b372146ac02cccccccccc",
    "cccccccccccccccccccccccccccccccccccccccccccccccccccccc8139770ea87d175f56a35466c34c7ecccb8d8a91b4",
    "ee37a25df60f5b8fc9b3942d6e4c37d038e4250d60aff936babc337d5834004f46a72d16c52875c7ee864dba12440195",
    "4eccb3eac90780a1bbea57ec73e33d80cab1c097b1d2585f63cb02",
);

fn ben() -> SecretKey {
    SecretKey::new(&[2; 32])
}

fn space() -> SpaceId {
    space_of(&SecretKey::new(&[1; 32]).peer(), &[9; 16])
}

fn of(seq: u64, hash: u8) -> Attestation {
    let actor = actor_of(&ben().peer(), &[1, 2, 3, 4, 5, 6, 7, 8]);
    Attestation::sign(&space(), DocumentId([0xd0; 16]), actor, (seq, ChangeHash([hash; 32])), &ben())
}

#[test]
fn a_known_answer() {
    assert_eq!(to_hex(&of(300, 0xcc).to_bytes()), KNOWN);
}

#[test]
fn each_way_of_cheating_has_its_own_error() {
    let good = of(300, 0xcc);
    let check = |attestation: &Attestation, held: Option<&Attestation>| attestation.check(&space(), held);
    assert_eq!(check(&good, None), Ok(()));
    assert_eq!(check(&good, Some(&of(299, 0xcb))), Ok(()), "a newer one takes the place of an older one");

    // Replayed, or overtaken on the way.
    assert_eq!(check(&of(299, 0xcb), Some(&good)), Err(AttestationError::Older));
    // Two changes under one number.
    assert_eq!(check(&of(300, 0xcd), Some(&good)), Err(AttestationError::OtherChange));
    // Replayed into another space, or onto another document.
    let elsewhere = space_of(&ben().peer(), &[9; 16]);
    assert_eq!(good.check(&elsewhere, None), Err(AttestationError::Signature));
    let moved = Attestation { document: DocumentId([0xd1; 16]), ..good.clone() };
    assert_eq!(check(&moved, None), Err(AttestationError::Signature));
    // Altered.
    let more = Attestation { seq: 301, ..good.clone() };
    assert_eq!(check(&more, None), Err(AttestationError::Signature));
    // Signed again by another, under whose key the actor is not.
    let eve = SecretKey::new(&[5; 32]);
    let again = Attestation::sign(&space(), good.document, good.actor, (300, good.hash), &eve);
    assert_eq!(check(&again, None), Err(AttestationError::NotItsActors));
    // The key's name alone on someone's signature.
    let forged = Attestation { signer: ben().peer(), ..again };
    assert_eq!(check(&forged, None), Err(AttestationError::Signature));
    let nothing = [&good.to_bytes()[..16 + 25], &[0], &good.to_bytes()[16 + 25 + 2..]].concat();
    assert!(matches!(Attestation::decode(&nothing), Err(AttestationError::Decode(DecodeError::Invalid(_)))));
}

proptest! {
    #[test]
    fn one_reads_back_and_one_that_was_changed_anywhere_is_worth_nothing(seq in 1u64.., hash: u8, at: prop::sample::Index, bit in 0u8..8) {
        let good = of(seq, hash);
        let mut bytes = good.to_bytes();
        prop_assert_eq!(Attestation::decode(&bytes), Ok(good));
        let index = at.index(bytes.len());
        bytes[index] ^= 1 << bit;
        let worthless = Attestation::decode(&bytes).and_then(|read| read.check(&space(), None));
        prop_assert!(worthless.is_err());
        bytes.truncate(index);
        prop_assert!(Attestation::decode(&bytes).is_err());
    }
}
