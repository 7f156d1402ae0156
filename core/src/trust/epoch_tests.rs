use super::*;
use crate::base::id::to_hex;
use crate::trust::key::{Ephemeral, Opener as _, SecretKey, Signer as _};
use crate::trust::owned::sealed_space_of;
use crate::trust::statement::{Claim, Statement};
use proptest::prelude::*;

/// Made by Python's `cryptography` from the same values, by `docs/protocol.md` alone; what is sealed in them is opened in
/// `tests/tests/seals.rs`.
const FIRST: &str = concat!(
    "048a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0001ee56ccc04364eb507571d27c51",
    "1d4cbdaab16ca57134e49eb4b20ead619788a8ad908a8a708aca07588cda7c4ed3e44d4966a80a9abb2f1e4bbac53c67",
    "414e3400018a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c7f51a0553eb0d871926b40",
    "50a55904cbe461e9a2ab8439741fd3ff4786ffc15de06586c613d02e40466e541b4fb85aec1151a2c773e043580c67e1",
    "506dcf182158e486a352049a7803ae78ebd16fea55983e08189831f55f23a247d4e973e0cb6911b4c944c1d9d64a4c73",
    "dfafb50d02",
);
const FIRST_ID: &str = "49a8f7f1917821d0634523d97de775f1041aff999ec08dced8a3be58355ba9c0";
const SECOND: &str = concat!(
    "048a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c00029d18c320d91a8bcf001c46b796",
    "0ed4cad30f824521c940c424c14a15404b8ad8f68b05ba03f7185e1ba88878682f8dd0b15158f6050889c9481d79c2d7",
    "d2fa070149a8f7f1917821d0634523d97de775f1041aff999ec08dced8a3be58355ba9c0692d0a88641bde69081fe263",
    "0b0d190e9076b651b5297d0f8644aed8a83ee395da2f385c3e0e3c2e663e9be834ddfb2f028139770ea87d175f56a354",
    "66c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394bd7d21ca4921e721b4fef65978c099f00913b4dfab112524a8eabd",
    "3aa5cdda04a47610805f35d573a25df93d87488cdf8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf37488",
    "01b40f6f5c937c445c3fbb0c8f00ef611a4b70a1fede65ce14825dfc8c613fc7ed23235137ea57967445e8b90c82ea05",
    "b3a826aebbed1f6ae7114740b8b106fe683cfadbbf45dc72bd618ed14bf035633682b8e16f2250b14715466be0db38a1",
    "0643aad7b88cf7eed7efc750acefe3901fdda95a0b",
);
const DELIVERY: &str = concat!(
    "058a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0049a8f7f1917821d0634523d97de7",
    "75f1041aff999ec08dced8a3be58355ba9c08139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9",
    "b394261cd9cd2e935f9c2455876a80f02a4d6786b8ab877f07227737ca0b577bf16147edc95b98930989e04251aaf554",
    "34e08b364ead6b2e23d3545486dd0a801db5f9f85dd066b39b7aac159c28d896e10b4a7b9079f20afbd4f552e581199b",
    "b9e2642e7944c56178ba2843f2b2e6e148bb82df37c5f5540d66d2f8b54a05b955b96f8908e25428558b3408a3de75a5",
    "7909",
);

fn key(byte: u8) -> SecretKey {
    SecretKey::new(&[byte; 32])
}

fn space() -> crate::base::id::SpaceId {
    sealed_space_of(&key(1).peer(), &[9; 16])
}

fn known(hex: &str) -> Statement {
    Statement::decode(&space(), &crate::base::id::from_hex(hex).unwrap()).unwrap()
}

#[test]
fn known_answers_are_what_is_signed_and_read() {
    assert_eq!(to_hex(&space().0), "7365616cd780ac162f8180ddfc6982ae");
    let first = known(FIRST);
    assert_eq!(first.id().to_string(), FIRST_ID);
    let Claim::Epoch(epoch) = first.claim() else { panic!("it is an epoch") };
    assert_eq!((epoch.number, epoch.carried.len(), epoch.deliveries.len()), (1, 0, 1));
    assert_eq!(epoch.ephemeral, Ephemeral::new([0x51; 32]).public());
    let second = known(SECOND);
    let Claim::Epoch(epoch) = second.claim() else { panic!("it is an epoch") };
    assert_eq!(epoch.carried.keys().copied().collect::<Vec<_>>(), [first.id()]);
    assert_eq!(epoch.deliveries.keys().copied().collect::<Vec<_>>(), [key(2).peer(), key(1).peer()]);
    let delivery = known(DELIVERY);
    let Claim::Delivery(found) = delivery.claim() else { panic!("it is a delivery") };
    assert_eq!((found.epoch, found.subject), (first.id(), key(2).peer()));
    for statement in [&first, &second, &delivery] {
        let again = Statement::sign(&space(), statement.claim().clone(), &key(1));
        assert_eq!(again.bytes(), statement.bytes());
    }
}

#[test]
fn one_cut_or_changed_anywhere_is_not_taken() {
    for statement in [known(FIRST), known(SECOND), known(DELIVERY)] {
        for end in 0..statement.bytes().len() {
            assert!(Statement::decode(&space(), &statement.bytes()[..end]).is_err(), "cut at {end}");
            let mut changed = statement.bytes().to_vec();
            changed[end] ^= 1;
            assert!(Statement::decode(&space(), &changed).is_err(), "byte {end} was changed");
        }
    }
}

#[test]
fn numbers_that_do_not_fit_and_lists_out_of_order_are_refused() {
    let claims = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = known(SECOND).bytes().to_vec();
        change(&mut bytes);
        Statement::decode(&space(), &bytes).unwrap_err().to_string()
    };
    let number_at = 1 + 32 + 1;
    assert!(claims(&|bytes| bytes[number_at] = 1).contains("number"));
    assert!(claims(&|bytes| bytes[number_at] = 0).contains("number"));
    let carried_at = number_at + 1 + 32 + 32;
    assert!(claims(&|bytes| bytes[carried_at] = 17).contains("17"));
    let deliveries_at = carried_at + 1 + 80;
    let (first, second) = (deliveries_at + 1..deliveries_at + 81, deliveries_at + 81..deliveries_at + 161);
    assert!(claims(&|bytes| bytes.copy_within(second.clone(), first.start)).contains("order"));
}

#[test]
fn a_drawn_key_and_a_members_have_the_same_in_common_from_both_sides_and_with_nobody_else() {
    let drawn = Ephemeral::new([7; 32]);
    let shared = drawn.agree(&key(2).peer()).unwrap();
    assert_eq!(key(2).agree(&drawn.public()), Some(shared));
    assert_ne!(key(3).agree(&drawn.public()), Some(shared));
    assert_eq!(key(2).agree(&[0; 32]), None, "what everyone has in common is no secret");
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(drawn.agree(&PeerId(identity)), None);
    assert_eq!(key(2).owner(), key(2).peer());
}

proptest! {
    #[test]
    fn any_bytes_are_legal_input(kind in 4u8..6, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [&[kind][..], &bytes].concat();
        prop_assert!(Statement::decode(&space(), &bytes).is_err(), "chance does not sign");
    }
}
