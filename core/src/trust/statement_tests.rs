use super::*;
use crate::base::id::{ActorId, from_hex};
use crate::base::limits::DISAVOWED_ACTORS_MAX;
use crate::trust::key::SecretKey;
use crate::trust::owned::space_of;
use proptest::prelude::*;

/// Made by Python's `cryptography` from the same values, by `docs/protocol.md` alone.
const FOUNDING: &str = concat!(
    "018a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c090909090909090909090909090909",
    "094c74c7bacb895ab49085b1d2eca3f63032ada8ba7b236924cffab3c1b2adfbec32b0a1574aaa3d933c1f4c674d301d",
    "1bf2d1566ed9b3c569f65abd6675c3ba08",
);
const GRANT: &str = concat!(
    "028a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c008139770ea87d175f56a35466c34c",
    "7ecccb8d8a91b4ee37a25df60f5b8fc9b394030180a4a7da060100010203040506070342656ed8f29d4af9efd066ab1d",
    "14378bcbc8f84399681305c4fad47064d86ecf171f8b44806a1a0f4725ec417eebb2855f31390252f9f8e1263719b229",
    "dbb2924f9b0d",
);
const GRANT_ID: &str = "f1339abd3938fe1d0fe8062ad941fc5bb8589f2205cc0b2ef414c46b654e2785";
const REVOCATION: &str = concat!(
    "038a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c00f1339abd3938fe1d0fe8062ad941",
    "fc5bb8589f2205cc0b2ef414c46b654e27850177263df7093107cc834814e191a2af8d7fa7597addb34a34dfd6d926c3",
    "4707d001d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d00118040404040404040404040404040404040404040404040404ac02",
    "b172ce7c129b2ea16f353bf27d4c9a9b1ffd7ec7a723c3930facb45a6c8240d95ca329fe32cab08c55029412fe1a1337",
    "398343a1bd622cb50f3d243f00c58d06",
);

const DISAVOWAL: &str = concat!(
    "068139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b39401f1339abd3938fe1d0fe8062ad941",
    "fc5bb8589f2205cc0b2ef414c46b654e2785d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d00218040404040404040404040404",
    "040404040404040404040404ac02180505050505050505050505050505050505050505050505050045fd9de8760a3624",
    "ea3216805d062cb243e7fedc82ab770088c9671466f5b39a175396a984e4415ab6b9498a23a06433c5a3358b93725cab",
    "e73134efe05f900b",
);

fn key(byte: u8) -> SecretKey {
    SecretKey::new(&[byte; 32])
}

fn space() -> SpaceId {
    space_of(&key(1).peer(), &[9; 16])
}

fn founding() -> Statement {
    Statement::sign(&space(), Claim::Founding { owner: key(1).peer(), nonce: [9; 16] }, &key(1))
}

fn grant() -> Statement {
    let grant = Grant {
        issuer: key(1).peer(),
        parent: None,
        subject: key(2).peer(),
        level: Level::Write,
        depth: 1,
        expires: 1_800_000_000,
        is_link: true,
        serial: [0, 1, 2, 3, 4, 5, 6, 7],
        note: b"Ben".to_vec(),
    };
    Statement::sign(&space(), Claim::Grant(grant), &key(1))
}

fn passed_on() -> Statement {
    let grant = Grant {
        issuer: key(2).peer(),
        parent: Some(grant().id()),
        subject: key(3).peer(),
        level: Level::Read,
        depth: 0,
        expires: 1_700_000_000,
        is_link: false,
        serial: [5; 8],
        note: Vec::new(),
    };
    Statement::sign(&space(), Claim::Grant(grant), &key(2))
}

fn revocation() -> Statement {
    let cut: VectorClock = [(ActorId::new(&[4; 24]).unwrap(), 300)].into_iter().collect();
    let revocation = Revocation {
        issuer: key(1).peer(),
        parent: None,
        target: grant().id(),
        kept: [passed_on().id()].into(),
        cuts: [(DocumentId([0xd0; 16]), cut)].into(),
    };
    Statement::sign(&space(), Claim::Revocation(revocation), &key(1))
}

fn disavowal() -> Statement {
    let last = [4, 5].map(|byte| ActorId::new(&[byte; 24]).unwrap());
    let disavowal = Disavowal {
        issuer: key(2).peer(),
        parent: Some(grant().id()),
        document: DocumentId([0xd0; 16]),
        last: last.into_iter().zip([300, 0]).collect(),
    };
    Statement::sign(&space(), Claim::Disavowal(disavowal), &key(2))
}

#[test]
fn known_answers() {
    assert_eq!(to_hex(&space().0), "6f776e649aa3c5fa643499ecd4129122");
    assert_eq!(to_hex(founding().bytes()), FOUNDING);
    assert_eq!(to_hex(grant().bytes()), GRANT);
    assert_eq!(grant().id().to_string(), GRANT_ID);
    assert_eq!(to_hex(revocation().bytes()), REVOCATION);
    assert_eq!(to_hex(disavowal().bytes()), DISAVOWAL);
}

#[test]
fn every_statement_reads_back_and_one_cut_or_changed_anywhere_does_not() {
    for statement in [founding(), grant(), passed_on(), revocation(), disavowal()] {
        assert_eq!(Statement::decode(&space(), statement.bytes()), Ok(statement.clone()));
        for end in 0..statement.bytes().len() {
            assert!(Statement::decode(&space(), &statement.bytes()[..end]).is_err(), "cut at {end}");
            let mut changed = statement.bytes().to_vec();
            changed[end] ^= 1;
            assert!(Statement::decode(&space(), &changed).is_err(), "byte {end} was changed");
        }
        let longer = [statement.bytes(), &[0]].concat();
        assert_eq!(Statement::decode(&space(), &longer), Err(DecodeError::Trailing { bytes: 1 }.into()));
    }
}

#[test]
fn a_statement_of_one_space_is_none_in_another_and_none_of_another_signer() {
    let other = space_of(&key(1).peer(), &[8; 16]);
    assert_eq!(Statement::decode(&other, grant().bytes()), Err(StatementError::Signature), "replayed into another space");
    // Signed again by another, who cannot make it the owner's.
    let (claim, _) = grant().bytes().split_last_chunk::<64>().map(|(claim, signature)| (claim.to_vec(), *signature)).unwrap();
    let by_ben = key(2).sign(&signed(&space(), &claim));
    assert_eq!(Statement::decode(&space(), &[&claim[..], &by_ben].concat()), Err(StatementError::Signature));
}

#[test]
fn counts_above_their_bounds_are_refused_before_anything_is_made_of_them() {
    let refused = |bytes: &[u8]| Statement::decode(&space(), bytes).unwrap_err();
    let mut deep = grant().bytes().to_vec();
    let depth_at = 1 + 32 + 1 + 32 + 1;
    deep[depth_at] = GRANT_CHAIN_MAX as u8;
    assert_eq!(refused(&deep), DecodeError::TooMany { count: 8, max: 7 }.into());
    let mut level = grant().bytes().to_vec();
    level[depth_at - 1] = 5;
    assert_eq!(refused(&level), DecodeError::UnknownTag { what: "a grant's level", tag: 5 }.into());
    let note = Claim::Grant(Grant { note: vec![1; GRANT_NOTE_BYTES_MAX + 1], ..as_grant(&grant()) });
    assert!(matches!(
        refused(Statement::sign(&space(), note, &key(1)).bytes()),
        StatementError::Decode(DecodeError::TooMany { .. })
    ));
    assert!(matches!(refused(&vec![0; STATEMENT_BYTES_MAX + 1]), StatementError::Decode(DecodeError::TooMany { .. })));
    let many: VectorClock = (0..=REVOCATION_CUTS_MAX as u32).map(|at| (ActorId::new(&at.to_be_bytes()).unwrap(), 1)).collect();
    let claim = Claim::Revocation(Revocation {
        issuer: key(1).peer(),
        parent: None,
        target: grant().id(),
        kept: BTreeSet::new(),
        cuts: [(DocumentId([1; 16]), many)].into(),
    });
    assert_eq!(
        refused(Statement::sign(&space(), claim, &key(1)).bytes()),
        DecodeError::TooMany { count: REVOCATION_CUTS_MAX as u64 + 1, max: REVOCATION_CUTS_MAX }.into()
    );
    let many = |count: usize| Disavowal {
        issuer: key(1).peer(),
        parent: None,
        document: DocumentId([1; 16]),
        last: (0..count as u32).map(|at| (ActorId::new(&at.to_be_bytes()).unwrap(), 1)).collect(),
    };
    let sign = |disavowal| Statement::sign(&space(), Claim::Disavowal(disavowal), &key(1));
    assert!(Statement::decode(&space(), sign(many(DISAVOWED_ACTORS_MAX)).bytes()).is_ok());
    assert_eq!(
        refused(sign(many(DISAVOWED_ACTORS_MAX + 1)).bytes()),
        DecodeError::TooMany { count: DISAVOWED_ACTORS_MAX as u64 + 1, max: DISAVOWED_ACTORS_MAX }.into()
    );
    assert_eq!(refused(sign(many(0)).bytes()), DecodeError::Invalid("a disavowal names no actor").into());
    assert_eq!(from_hex(GRANT).unwrap(), grant().bytes());
}

fn as_grant(statement: &Statement) -> Grant {
    let Claim::Grant(grant) = statement.claim() else { panic!("it is a grant") };
    grant.clone()
}

proptest! {
    #[test]
    fn any_bytes_are_legal_input(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Statement::decode(&space(), &bytes).is_err(), "chance does not sign");
    }
}
