//! Statements, attestations, invitations, tickets and introductions: whatever of owned spaces others wrote.
//!
//! The first byte says what the rest is. Chance signs nothing, so what reads is read again from what is written of it, and a roll is
//! given statements that were signed by keys that are known here, put together from the input.

use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, PeerId, SpaceId};
use driftline_core::log::clock::VectorClock;
use driftline_core::trust::attestation::Attestation;
use driftline_core::trust::disavowal::Disavowal;
use driftline_core::trust::introduction::{Card, Introduction, News, WhyNot};
use driftline_core::trust::invitation::Invitation;
use driftline_core::trust::key::{SecretKey, Signer as _};
use driftline_core::trust::owned::{actor_of, space_of};
use driftline_core::trust::roll::Roll;
use driftline_core::trust::statement::{Claim, Grant, Level, Revocation, Statement, StatementId};
use driftline_core::trust::ticket::{Purpose, Ticket};
use std::collections::{BTreeMap, BTreeSet};

const STATEMENTS: u8 = 0;
const ATTESTATION: u8 = 1;
const INVITATION: u8 = 2;
const ROLL: u8 = 3;
const TICKET: u8 = 4;
const INTRODUCTION: u8 = 5;
const NOTE: DocumentId = DocumentId([2; 16]);

fn key(number: u8) -> SecretKey {
    SecretKey::new(&[number; 32])
}

fn peer(number: u8) -> PeerId {
    key(number).peer()
}

fn space() -> SpaceId {
    space_of(&peer(1), &[9; 16])
}

/// What reads has one encoding, and a roll that takes it stays within the rules.
pub(crate) fn read(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match *kind % 6 {
        STATEMENTS => {
            if let Ok(statement) = Statement::decode(&space(), rest) {
                assert_eq!(statement.bytes(), rest);
            }
            let mut roll = Roll::new(space());
            roll.take_bytes(std::iter::once(rest));
        }
        ATTESTATION => {
            if let Ok(attestation) = Attestation::decode(rest) {
                assert_eq!(attestation.to_bytes(), rest, "each attestation has one encoding");
                let _ = attestation.check(&space(), None);
            }
        }
        INVITATION => {
            let text = String::from_utf8_lossy(rest);
            for invitation in [Invitation::from_bytes(rest), Invitation::from_text(&text)].into_iter().flatten() {
                assert_eq!(Invitation::from_text(&invitation.to_text()), Ok(invitation.clone()));
                let _ = invitation.open(1_000);
            }
        }
        TICKET => {
            let text = String::from_utf8_lossy(rest);
            for ticket in [Ticket::from_bytes(rest), Ticket::from_text(&text)].into_iter().flatten() {
                assert_eq!(Ticket::from_text(&ticket.to_text()), Ok(ticket.clone()));
                assert!(ticket.is_proof(&peer(2), "Ben", &ticket.proof(&peer(2), "Ben")));
            }
            if let Ok(ticket) = Ticket::from_bytes(rest) {
                assert_eq!(ticket.to_bytes(), rest, "each ticket has one encoding");
            }
        }
        INTRODUCTION => {
            if let Ok(introduction) = Introduction::from_bytes(rest) {
                assert_eq!(introduction.to_bytes(), rest, "each introduction has one encoding");
            }
        }
        _ => drive(rest),
    }
}

/// Says what the input has four keys say, seven bytes each.
fn drive(bytes: &[u8]) {
    let mut roll = Roll::new(space());
    let founding = Claim::Founding { owner: peer(1), nonce: [9; 16] };
    roll.take(vec![Statement::sign(&space(), founding, &key(1))]);
    for said in bytes.chunks_exact(7).take(32) {
        let [kind, by, whom, which, level, depth, extra] = [0, 1, 2, 3, 4, 5, 6].map(|at| said[at]);
        let (by, whom) = (by % 4 + 1, whom % 4 + 1);
        let grants: Vec<StatementId> = roll.grants().into_iter().map(|(id, _)| id).collect();
        let named = grants.get(usize::from(which) % grants.len().max(1)).copied();
        let claim = match (kind % 4, named) {
            (3, _) => {
                let last = [(actor_of(&peer(whom), &[whom; 8]), u64::from(extra))].into();
                let parent = named.filter(|_| by != 1);
                Claim::Disavowal(Disavowal { issuer: peer(by), parent, document: NOTE, last })
            }
            (0, Some(target)) => {
                let kept: BTreeSet<StatementId> = grants.iter().copied().filter(|_| extra % 2 == 1).take(2).collect();
                let cut: VectorClock = [(actor_of(&peer(whom), &[whom; 8]), u64::from(extra) + 1)].into_iter().collect();
                let parent = grants.get(usize::from(level) % grants.len()).copied().filter(|_| by != 1);
                let cuts = BTreeMap::from([(NOTE, cut)]);
                Claim::Revocation(Revocation { issuer: peer(by), parent, target, kept, cuts })
            }
            _ => Claim::Grant(Grant {
                issuer: peer(by),
                parent: named.filter(|_| by != 1),
                subject: peer(whom),
                level: [Level::Read, Level::Presence, Level::Write, Level::Admin][usize::from(level % 4)],
                depth: depth % 8,
                expires: u64::from(extra % 5) * 1_000,
                is_link: false,
                serial: [extra; 8],
                note: Vec::new(),
            }),
        };
        roll.take(vec![Statement::sign(&space(), claim, &key(by))]);
    }
    for (id, grant) in roll.grants() {
        if let Some(above) = grant.parent.and_then(|parent| roll.grant(&parent)) {
            assert!(grant.level <= above.level && grant.depth < above.depth, "nobody grants more than they were granted");
        }
        assert!(roll.chain(&id).len() <= 9);
    }
    let standing = roll.standing();
    assert!(standing.access(&peer(1), 0).allows(Level::Admin), "nobody takes anything from the owner");
    for who in 2..=4 {
        let actor = actor_of(&peer(who), &[who; 8]);
        if standing.disavowed(&NOTE, &actor).is_some() {
            assert!(standing.has_cuts());
        }
        let _ = (standing.access(&peer(who), 500), standing.accepted(&peer(who), &NOTE, &actor), standing.writer(&actor));
    }
}

/// One of each, and a few things that four keys say.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let tagged = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let founding = Statement::sign(&space(), Claim::Founding { owner: peer(1), nonce: [9; 16] }, &key(1));
    let grant = Grant {
        issuer: peer(1),
        parent: None,
        subject: peer(2),
        level: Level::Write,
        depth: 1,
        expires: 5_000,
        is_link: true,
        serial: [1; 8],
        note: b"Ben".to_vec(),
    };
    let grant = Statement::sign(&space(), Claim::Grant(grant), &key(1));
    let cut: VectorClock = [(ActorId::new(&[4; 24]).expect("24 bytes are few enough"), 300)].into_iter().collect();
    let revocation = Revocation {
        issuer: peer(1),
        parent: None,
        target: grant.id(),
        kept: BTreeSet::from([StatementId([7; 32])]),
        cuts: BTreeMap::from([(NOTE, cut)]),
    };
    let revocation = Statement::sign(&space(), Claim::Revocation(revocation), &key(1));
    let actor = actor_of(&peer(2), &[2; 8]);
    let disavowal = Disavowal { issuer: peer(1), parent: None, document: NOTE, last: [(actor, 300)].into() };
    let disavowal = Statement::sign(&space(), Claim::Disavowal(disavowal), &key(1));
    let attestation = Attestation::sign(&space(), NOTE, actor, (300, ChangeHash([5; 32])), &key(2));
    let chain = vec![founding.bytes().to_vec(), grant.bytes().to_vec()];
    let invitation =
        Invitation { space: space(), secret: [2; 32], chain, relays: vec!["ws://harbour/sync".to_owned()], key: None };
    let ticket = Ticket {
        purpose: Purpose::Space { space: space(), level: Level::Write },
        giver: peer(1),
        secret: [3; 32],
        ends: 5_000,
        from: "Anna".to_owned(),
        relays: vec!["ws://harbour/sync".to_owned()],
    };
    let card = Card {
        space: space(),
        name: "Tides".to_owned(),
        relays: vec!["ws://harbour/sync".to_owned()],
        chain: vec![founding.bytes().to_vec(), grant.bytes().to_vec()],
        key: Some(([4; 32], [5; 32])),
    };
    let ask = Introduction::Ask { ticket: ticket.id(), proof: ticket.proof(&peer(2), "Ben"), name: "Ben".to_owned() };
    let news = News { linked: vec![(peer(3), "phone".to_owned())], lost: vec![peer(4)], cards: vec![card.clone()] };
    let told = [
        ask,
        Introduction::In { ticket: ticket.id(), card: Some(card) },
        Introduction::Not { ticket: ticket.id(), why: WhyNot::Used },
        Introduction::News(news),
    ];
    let mut seeds: Vec<Vec<u8>> = told.iter().map(|introduction| tagged(INTRODUCTION, &introduction.to_bytes())).collect();
    seeds.extend([
        tagged(TICKET, ticket.to_text().as_bytes()),
        tagged(TICKET, &ticket.to_bytes()),
        tagged(STATEMENTS, founding.bytes()),
        tagged(STATEMENTS, grant.bytes()),
        tagged(STATEMENTS, revocation.bytes()),
        tagged(STATEMENTS, disavowal.bytes()),
        tagged(ATTESTATION, &attestation.to_bytes()),
        tagged(INVITATION, invitation.to_text().as_bytes()),
        tagged(ROLL, &[1, 0, 1, 0, 3, 4, 1, 1, 1, 2, 0, 2, 2, 2, 0, 1, 2, 1, 0, 0, 9, 0, 0, 1, 0, 0, 0, 3]),
    ]);
    seeds
}
