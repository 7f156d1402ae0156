use super::*;
use crate::base::id::PeerId;
use crate::trust::owned::space_of;
use crate::trust::standing::Access;
use crate::trust::statement::Level;
use proptest::prelude::*;

/// Made by Python's `cryptography` from the same values, by `docs/protocol.md` alone.
const KNOWN: &str = concat!(
    "driftline:join#AW93bmSao8X6ZDSZ7NQSkSICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgJxAYqI4910CfGV_VLbL",
    "Ty6XXLKZwm_HZQSG_N0iAG0D29cCQkJCQkJCQkJCQkJCQkJCUx0x7rLiVq0kIWx0uyj9jAyrai6eyNpJM_6s8GyrfvsMrChV0qqP",
    "ZM8H0xnTTAdG_LRVm7Zs8Vp9lq9ZnXDugiWAQKKiOPddAnxlf1S2y08ul1yymcJvx2UEhvzdIgBtA9vXACBOXcOqH0XX1ajVGbDT",
    "H7My42KkbTuN6Jd9g9bj8mzlAMBgKSn2gYBAAECAwQFBgcDQmVu2PKdSvnv0GarHRQ3i8vI-",
    "EOZaBMFxPrUcGTYbs8XH4tEgGoaD0cl7EF-67KFXzE5AlL5-OEmNxmyKduykk-bDQERd3M6Ly9oYXJib3VyL3N5bmNnPzlf",
);
const NOW: u64 = 1_700_000_000;

fn owner() -> SecretKey {
    SecretKey::new(&[1; 32])
}

fn space() -> SpaceId {
    space_of(&owner().peer(), &[9; 16])
}

fn grant(depth: u8) -> Grant {
    Grant {
        issuer: owner().peer(),
        parent: None,
        subject: SecretKey::new(&[2; 32]).peer(),
        level: Level::Write,
        depth,
        expires: 1_800_000_000,
        is_link: true,
        serial: [0, 1, 2, 3, 4, 5, 6, 7],
        note: b"Ben".to_vec(),
    }
}

fn invitation(depth: u8) -> Invitation {
    let founding = Statement::sign(&space(), Claim::Founding { owner: owner().peer(), nonce: [9; 16] }, &owner());
    let grant = Statement::sign(&space(), Claim::Grant(grant(depth)), &owner());
    let chain = vec![founding.bytes().to_vec(), grant.bytes().to_vec()];
    Invitation { space: space(), secret: [2; 32], chain, relays: vec!["ws://harbour/sync".to_owned()], key: None }
}

#[test]
fn a_known_answer_also_behind_any_address() {
    assert_eq!(invitation(1).to_text(), KNOWN);
    let fragment = KNOWN.strip_prefix(LINK_PREFIX).unwrap();
    let web = format!("https://notes.example/?relay=x#{WEB_PREFIX}{fragment}");
    for text in [KNOWN.to_owned(), fragment.to_owned(), format!("https://notes.example/#{fragment}"), web, format!(" {KNOWN}\n")]
    {
        assert_eq!(Invitation::from_text(&text), Ok(invitation(1)), "{text}");
    }
}

#[test]
fn whoever_accepts_may_do_what_the_link_gives_until_it_ends() {
    let opened = invitation(1).open(NOW).unwrap();
    let ben = PeerId([7; 32]);
    let accepted = opened.accept(ben, [1; 8], b"Ben's laptop".to_vec()).unwrap();
    let mut roll = opened.roll.clone();
    assert_eq!(roll.take(vec![accepted]).0.len(), 1);
    assert_eq!(roll.standing().access(&ben, NOW), Access::Granted(Level::Write));
    assert_eq!(roll.standing().access(&ben, 1_800_000_000), Access::Expired);
}

#[test]
fn what_is_no_invitation_is_told_from_one_that_is_damaged_or_over_or_worth_nothing() {
    let error = |text: &str| Invitation::from_text(text).unwrap_err();
    assert_eq!(error("hello there"), InvitationError::NotOne);
    assert_eq!(error(""), InvitationError::NotOne);
    assert_eq!(error(&KNOWN[..KNOWN.len() - 1]), InvitationError::NotOne, "a letter less is no whole number of bytes");
    assert_eq!(error(&KNOWN[..KNOWN.len() - 4]), InvitationError::Check);
    let mistyped = KNOWN.replacen('Q', "R", 1);
    assert_eq!(error(&mistyped), InvitationError::Check);
    assert_eq!(invitation(1).open(1_800_000_000).err(), Some(InvitationError::Expired));
    assert!(matches!(invitation(0).open(NOW).err(), Some(InvitationError::Unfounded(_))), "it may not be passed on");
    let mut forged = invitation(1);
    forged.space = space_of(&PeerId([3; 32]), &[9; 16]);
    assert!(matches!(forged.open(NOW).err(), Some(InvitationError::Unfounded(_))));
    let stolen = Invitation { secret: [5; 32], ..invitation(1) };
    assert!(matches!(stolen.open(NOW).err(), Some(InvitationError::Unfounded(_))), "the chain without its secret");
    let unfounded = Invitation { chain: invitation(1).chain[1..].to_vec(), ..invitation(1) };
    assert!(matches!(unfounded.open(NOW).err(), Some(InvitationError::Unfounded(_))));
    assert!(!format!("{:?}", invitation(1)).contains("2, 2, 2"), "the secret is not printed");
}

proptest! {
    #[test]
    fn any_text_is_legal_input(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Invitation::from_text(&text).is_err());
        prop_assert!(Invitation::from_bytes(&bytes).is_err());
    }
}
