use super::*;
use crate::base::id::{ActorId, ChangeHash, DocumentId};
use crate::base::limits::{EPOCH_CARRIED_MAX, EPOCH_DELIVERIES_MAX};
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::trust::cut::part;
use crate::trust::key::{SecretKey, Signer as _};
use crate::trust::owned::actor_of;
use crate::trust::owned::{sealed_space_of, space_of};
use crate::trust::standing::Access;
use crate::trust::statement::Level;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const OWNER: u8 = 1;
const NOTE: DocumentId = DocumentId([2; 16]);
const NOW: u64 = 1_000;

fn key(number: u8) -> SecretKey {
    SecretKey::new(&[number; 32])
}

fn peer(number: u8) -> PeerId {
    key(number).peer()
}

fn space() -> SpaceId {
    space_of(&peer(OWNER), &[9; 16])
}

fn founded() -> Roll {
    let mut roll = Roll::new(space());
    let founding = Statement::sign(&space(), Claim::Founding { owner: peer(OWNER), nonce: [9; 16] }, &key(OWNER));
    assert_eq!(roll.take(vec![founding]).0.len(), 1);
    roll
}

fn grant(issuer: u8, parent: Option<StatementId>, subject: u8, level: Level) -> Grant {
    let (issuer, subject) = (peer(issuer), peer(subject));
    let depth = if parent.is_none() { 5 } else { 2 };
    Grant { issuer, parent, subject, level, depth, expires: 0, is_link: false, serial: [0; 8], note: Vec::new() }
}

fn signed(by: u8, claim: Claim) -> Statement {
    Statement::sign(&space(), claim, &key(by))
}

/// Takes a grant, and answers what it is known by.
fn granted(roll: &mut Roll, by: u8, grant: Grant) -> StatementId {
    let statement = signed(by, Claim::Grant(grant));
    assert_eq!(roll.take(vec![statement.clone()]).1, []);
    statement.id()
}

fn refused(roll: &mut Roll, by: u8, claim: Claim) -> RollError {
    let before = roll.fingerprint();
    let (taken, errors) = roll.take(vec![signed(by, claim)]);
    assert!(taken.is_empty() && roll.fingerprint() == before);
    errors.into_iter().next().expect("it is refused")
}

fn revocation(by: u8, parent: Option<StatementId>, target: StatementId, cut: &[(u8, u64)]) -> Revocation {
    let clock: VectorClock = cut.iter().map(|(writer, seq)| (actor(*writer), *seq)).collect();
    let cuts = if clock.is_empty() { BTreeMap::new() } else { [(NOTE, clock)].into() };
    Revocation { issuer: peer(by), parent, target, kept: BTreeSet::new(), cuts }
}

fn actor(writer: u8) -> ActorId {
    actor_of(&peer(writer), &[writer; 8])
}

#[test]
fn the_owner_lets_in_admins_let_in_and_readers_read() {
    let mut roll = founded();
    let admin = granted(&mut roll, 1, grant(1, None, 2, Level::Admin));
    granted(&mut roll, 2, grant(2, Some(admin), 3, Level::Read));
    let access = |roll: &Roll, who: u8| roll.standing().access(&peer(who), NOW);
    assert_eq!(access(&roll, 1), Access::Granted(Level::Admin));
    assert_eq!(access(&roll, 2), Access::Granted(Level::Admin));
    assert_eq!(access(&roll, 3), Access::Granted(Level::Read));
    assert!(access(&roll, 3).allows(Level::Read) && !access(&roll, 3).allows(Level::Presence));
    assert_eq!(access(&roll, 4), Access::Nothing);
    assert_eq!(roll.standing().accepted(&peer(3), &NOTE, &actor(3)), Some(0), "a reader writes nothing");
    assert_eq!(roll.standing().accepted(&peer(2), &NOTE, &actor(2)), None);
    assert_eq!(roll.standing().writer(&actor(2)), Some(peer(2)));
    assert_eq!(roll.standing().writer(&actor(7)), None);
}

#[test]
fn nobody_grants_more_for_longer_or_further_than_they_were_granted_and_none_in_anothers_name() {
    let mut roll = founded();
    let write = granted(&mut roll, 1, Grant { expires: 5_000, depth: 2, ..grant(1, None, 2, Level::Write) });
    let good = Grant { expires: 5_000, depth: 1, ..grant(2, Some(write), 3, Level::Write) };
    let mut try_it = |by: u8, grant: Grant| refused(&mut roll, by, Claim::Grant(grant));
    assert_eq!(try_it(2, Grant { level: Level::Admin, ..good.clone() }), RollError::Widens("more"));
    assert_eq!(try_it(2, Grant { expires: 5_001, ..good.clone() }), RollError::Widens("for longer"));
    assert_eq!(try_it(2, Grant { expires: 0, ..good.clone() }), RollError::Widens("for longer"));
    assert_eq!(try_it(2, Grant { depth: 2, ..good.clone() }), RollError::Widens("further down"));
    assert_eq!(try_it(3, Grant { issuer: peer(3), ..good.clone() }), RollError::NotItsIssuers);
    assert_eq!(try_it(2, Grant { parent: None, ..good.clone() }), RollError::NotItsIssuers);
    assert_eq!(try_it(2, Grant { parent: Some(StatementId([7; 32])), ..good.clone() }), RollError::Unfounded);
    let last = granted(&mut roll, 2, Grant { depth: 0, ..good.clone() });
    let below = Grant { issuer: peer(3), parent: Some(last), depth: 0, ..good };
    assert_eq!(refused(&mut roll, 3, Claim::Grant(below)), RollError::Widens("further down"), "it may not be passed on");
    let elsewhere = Claim::Founding { owner: peer(2), nonce: [9; 16] };
    assert_eq!(refused(&mut roll, 2, elsewhere), RollError::OtherSpace);
    let mut unknown = Roll::new(space());
    assert_eq!(refused(&mut unknown, 1, Claim::Grant(grant(1, None, 2, Level::Read))), RollError::Unfounded);
}

#[test]
fn only_the_owner_and_admins_above_revoke() {
    let mut roll = founded();
    let admin = granted(&mut roll, 1, grant(1, None, 2, Level::Admin));
    let writer = granted(&mut roll, 2, grant(2, Some(admin), 3, Level::Write));
    let other = granted(&mut roll, 1, grant(1, None, 4, Level::Admin));
    let mut try_it = |by, parent, target| refused(&mut roll, by, Claim::Revocation(revocation(by, parent, target, &[])));
    assert_eq!(try_it(4, Some(other), writer), RollError::NotAbove, "another branch");
    assert_eq!(try_it(2, Some(admin), admin), RollError::NotAbove, "itself");
    assert_eq!(try_it(3, Some(writer), admin), RollError::NotAbove, "upwards");
    assert_eq!(try_it(2, None, writer), RollError::NotItsIssuers, "as the owner");
    assert_eq!(try_it(4, Some(admin), writer), RollError::NotItsIssuers, "by another's grant");
    assert_eq!(try_it(1, None, StatementId([3; 32])), RollError::Unfounded);
    let (taken, _) = roll.take(vec![signed(2, Claim::Revocation(revocation(2, Some(admin), writer, &[(3, 5)])))]);
    assert_eq!(taken.len(), 1);
    assert_eq!(roll.standing().access(&peer(3), NOW), Access::Revoked);
    assert_eq!(roll.standing().accepted(&peer(3), &NOTE, &actor(3)), Some(5));
}

#[test]
fn of_two_revocations_the_lowest_number_wins_and_who_was_let_in_twice_has_the_better() {
    let mut roll = founded();
    let first = granted(&mut roll, 1, grant(1, None, 2, Level::Write));
    let revoke = |roll: &mut Roll, cut| {
        let statement = signed(1, Claim::Revocation(revocation(1, None, first, &[(2, cut)])));
        assert_eq!(roll.take(vec![statement]).1, []);
    };
    revoke(&mut roll, 9);
    revoke(&mut roll, 4);
    revoke(&mut roll, 7);
    assert_eq!(roll.standing().accepted(&peer(2), &NOTE, &actor(2)), Some(4));
    assert_eq!(roll.standing().accepted(&peer(2), &DocumentId([3; 16]), &actor(2)), Some(0), "a document that is not named");
    granted(&mut roll, 1, Grant { serial: [1; 8], ..grant(1, None, 2, Level::Write) });
    assert_eq!(roll.standing().accepted(&peer(2), &NOTE, &actor(2)), None, "let in again");
    assert_eq!(roll.standing().access(&peer(2), NOW), Access::Granted(Level::Write));
}

#[test]
fn who_is_kept_stays_when_the_one_above_goes_and_a_revoked_admins_word_counts_no_more() {
    let mut roll = founded();
    let admin = granted(&mut roll, 1, grant(1, None, 2, Level::Admin));
    let kept = granted(&mut roll, 2, grant(2, Some(admin), 3, Level::Write));
    granted(&mut roll, 2, grant(2, Some(admin), 4, Level::Write));
    let below = granted(&mut roll, 3, Grant { depth: 0, ..grant(3, Some(kept), 5, Level::Read) });
    let revoked = Revocation { kept: [kept].into(), ..revocation(1, None, admin, &[]) };
    roll.take(vec![signed(1, Claim::Revocation(revoked))]);
    let access = |roll: &Roll, who| roll.standing().access(&peer(who), NOW);
    let states = |roll: &Roll| [2, 3, 4, 5].map(|who| access(roll, who).level());
    assert_eq!(states(&roll), [None, Some(Level::Write), None, Some(Level::Read)]);
    // The revoked admin may still sign, and be heard by nobody: it cannot take back who was kept.
    roll.take(vec![signed(2, Claim::Revocation(revocation(2, Some(admin), kept, &[])))]);
    roll.take(vec![signed(2, Claim::Revocation(revocation(2, Some(admin), below, &[])))]);
    assert_eq!(states(&roll), [None, Some(Level::Write), None, Some(Level::Read)]);
    // Nor let anyone in.
    granted(&mut roll, 2, Grant { serial: [4; 8], ..grant(2, Some(admin), 6, Level::Write) });
    assert_eq!(access(&roll, 6), Access::Revoked);
}

fn disavowal(by: u8, parent: Option<StatementId>, last: &[(u8, u64)]) -> Disavowal {
    let last = last.iter().map(|(writer, seq)| (actor(*writer), *seq)).collect();
    Disavowal { issuer: peer(by), parent, document: NOTE, last }
}

#[test]
fn whoever_may_write_disavows() {
    let mut roll = founded();
    let admin = granted(&mut roll, 1, grant(1, None, 2, Level::Admin));
    let writer = granted(&mut roll, 1, grant(1, None, 3, Level::Write));
    let reader = granted(&mut roll, 1, grant(1, None, 4, Level::Read));
    let mut try_it = |by, parent, of| refused(&mut roll, by, Claim::Disavowal(disavowal(by, parent, &[(of, 5)])));
    assert_eq!(try_it(4, Some(reader), 4), RollError::MayNotDisavow, "a reader writes nothing");
    assert_eq!(try_it(3, None, 3), RollError::MayNotDisavow, "as the owner");
    assert_eq!(try_it(3, Some(admin), 3), RollError::MayNotDisavow, "by another's grant");
    assert_eq!(try_it(5, Some(StatementId([3; 32])), 5), RollError::Unfounded);
    assert!(!roll.standing().has_cuts());
    let mut say = |by, parent, last| assert_eq!(roll.take(vec![signed(by, Claim::Disavowal(disavowal(by, parent, last)))]).1, []);
    say(1, None, &[(3, 9), (4, 0)]);
    say(2, Some(admin), &[(3, 7), (2, 6)]);
    say(3, Some(writer), &[(3, 8)]);
    let last = |roll: &Roll, of| roll.standing().disavowed(&NOTE, &actor(of));
    assert_eq!([2, 3, 4, 5].map(|of| last(&roll, of)), [Some(6), Some(7), Some(0), None], "the lowest counts");
    assert_eq!(roll.standing().disavowed(&DocumentId([3; 16]), &actor(3)), None, "in that document alone");
    assert!(roll.standing().has_cuts() && !roll.standing().has_revocations());
    assert_eq!(roll.standing().accepted(&peer(3), &NOTE, &actor(3)), None, "nobody is less than they were");
    // Of who was shut out what was said of others counts no more; what they said of their own does.
    for target in [admin, writer] {
        roll.take(vec![signed(1, Claim::Revocation(revocation(1, None, target, &[])))]);
    }
    assert_eq!([2, 3, 4].map(|of| last(&roll, of)), [None, Some(8), Some(0)]);
}

#[test]
fn nobody_fills_the_room_for_disavowals_and_in_a_sealed_space_there_are_none() {
    let mut roll = founded();
    let writer = granted(&mut roll, 1, grant(1, None, 3, Level::Write));
    let say = |by, parent, seq| signed(by, Claim::Disavowal(disavowal(by, parent, &[(3, seq)])));
    let many = DISAVOWALS_PER_ISSUER_MAX as u64 + 6;
    let mut ids: Vec<StatementId> = (0..many).map(|seq| say(3, Some(writer), seq).id()).collect();
    (0..many).for_each(|seq| drop(roll.take(vec![say(3, Some(writer), seq)])));
    ids.sort();
    ids.truncate(DISAVOWALS_PER_ISSUER_MAX);
    assert_eq!(roll.disavowals().map(|(id, _)| id).collect::<Vec<_>>(), ids, "whichever came first");
    roll.of_others.disavowals = DISAVOWALS_MAX;
    let of_admin = granted(&mut roll, 1, grant(1, None, 2, Level::Admin));
    let claim = Claim::Disavowal(disavowal(2, Some(of_admin), &[(3, 1)]));
    assert_eq!(refused(&mut roll, 2, claim), RollError::Full("disavowals"));
    assert_eq!(roll.take(vec![say(1, None, 1)]).0.len(), 1, "the owner has room of its own");
    let space = sealed_space_of(&peer(OWNER), &[7; 16]);
    let sign = |claim| Statement::sign(&space, claim, &key(OWNER));
    let mut sealed = Roll::new(space);
    sealed.take(vec![sign(Claim::Founding { owner: peer(OWNER), nonce: [7; 16] })]);
    let claim = Claim::Disavowal(disavowal(OWNER, None, &[(3, 1)]));
    assert_eq!(sealed.take(vec![sign(claim)]).1, [RollError::MayNotDisavow]);
}

#[test]
fn a_grant_ends_for_its_holder_and_for_those_below_and_what_was_written_stays() {
    let mut roll = founded();
    let admin = granted(&mut roll, 1, Grant { expires: 2_000, ..grant(1, None, 2, Level::Admin) });
    granted(&mut roll, 2, Grant { expires: 1_500, ..grant(2, Some(admin), 3, Level::Write) });
    let access = |unix_s| [2, 3].map(|who| roll.standing().access(&peer(who), unix_s));
    assert_eq!(access(1_499), [Access::Granted(Level::Admin), Access::Granted(Level::Write)]);
    assert_eq!(access(1_500), [Access::Granted(Level::Admin), Access::Expired]);
    assert_eq!(access(2_000), [Access::Expired, Access::Expired]);
    assert_eq!(roll.standing().accepted(&peer(3), &NOTE, &actor(3)), None);
    assert_eq!([0, 1_500, 2_000].map(|unix_s| roll.standing().next_end(unix_s)), [Some(1_500), Some(2_000), None]);
}

#[test]
fn a_false_signature_is_refused_where_all_else_is_right_and_nothing_behind_it_is_looked_at() {
    let mut roll = founded();
    let say = |serial| signed(1, Claim::Grant(Grant { serial: [serial; 8], ..grant(1, None, 2, Level::Write) })).bytes().to_vec();
    let mut forged = say(2);
    *forged.last_mut().unwrap() ^= 1;
    let said = [say(1), forged, say(3)];
    let (taken, errors) = roll.take_bytes(said.iter().map(Vec::as_slice));
    assert_eq!((taken.len(), errors), (1, vec![RollError::Statement(StatementError::Signature)]));
    assert_eq!(roll.standing().access(&peer(2), NOW), Access::Granted(Level::Write), "what came before it counts");
    assert!(roll.holds_all(said[..1].iter().map(Vec::as_slice)) && !roll.holds_all(said.iter().map(Vec::as_slice)));
}

#[test]
fn a_roll_is_bounded_and_the_owner_has_room_of_its_own() {
    let mut roll = founded();
    let admin = granted(&mut roll, 1, grant(1, None, 2, Level::Admin));
    let child = |at: usize| Grant { serial: (at as u64).to_be_bytes(), ..grant(2, Some(admin), 3, Level::Read) };
    let children = (0..GRANT_CHILDREN_MAX).map(|at| signed(2, Claim::Grant(child(at)))).collect();
    assert_eq!(roll.take(children).0.len(), GRANT_CHILDREN_MAX);
    let more = Claim::Grant(child(GRANT_CHILDREN_MAX));
    assert_eq!(refused(&mut roll, 2, more), RollError::Full("grants under one grant"));
    // Who is no admin lets in few, their own devices; a link as many as come by it.
    for (at, is_link, most) in [(4, false, MEMBER_CHILDREN_MAX), (5, true, MEMBER_CHILDREN_MAX + 1)] {
        let own = granted(&mut roll, 1, Grant { is_link, ..grant(1, None, at, Level::Write) });
        let device = |number: usize| Grant { serial: (number as u64).to_be_bytes(), ..grant(at, Some(own), 6, Level::Write) };
        for number in 0..most {
            granted(&mut roll, at, device(number));
        }
        if !is_link {
            assert_eq!(refused(&mut roll, at, Claim::Grant(device(most))), RollError::Full("grants under one grant"));
        }
    }
    // Of one issuer's revocations of one grant those with the lowest ids are kept, whichever came first.
    let target = roll.grants().iter().rev().find(|(_, grant)| grant.parent == Some(admin)).map(|(id, _)| *id).unwrap();
    let revoke = |seq| signed(2, Claim::Revocation(revocation(2, Some(admin), target, &[(3, seq)])));
    let mut ids: Vec<StatementId> = (1..=10).map(|seq| revoke(seq).id()).collect();
    (1..=10).for_each(|seq| drop(roll.take(vec![revoke(seq)])));
    ids.sort();
    ids.truncate(REVOCATIONS_PER_GRANT_MAX);
    assert_eq!(roll.revocations().map(|(id, _)| id).collect::<Vec<_>>(), ids);
    // An admin that has filled what there is for others is revoked all the same.
    roll.of_others.revocations = REVOCATIONS_MAX;
    roll.of_others.bytes = ROLL_BYTES_MAX;
    let other = roll.grants().iter().find(|(_, grant)| grant.parent == Some(admin)).map(|(id, _)| *id).unwrap();
    let last = Claim::Revocation(revocation(2, Some(admin), other, &[]));
    assert!(matches!(refused(&mut roll, 2, last), RollError::Full(_)));
    assert_eq!(roll.take(vec![signed(1, Claim::Revocation(revocation(1, None, admin, &[])))]).0.len(), 1);
    assert_eq!(roll.standing().access(&peer(3), NOW), Access::Revoked);
}

/// Each kind of statement has room of its own, and so has the owner.
#[test]
fn others_fill_their_room_of_each_kind_and_the_owner_has_as_much() {
    let space = sealed_space_of(&peer(OWNER), &[7; 16]);
    let say = |by: u8, claim: Claim| Statement::sign(&space, claim, &key(by));
    let mut roll = Roll::new(space);
    roll.take(vec![say(OWNER, Claim::Founding { owner: peer(OWNER), nonce: [7; 16] })]);
    let admin = say(OWNER, Claim::Grant(grant(OWNER, None, 2, Level::Admin)));
    roll.take(vec![admin.clone()]);
    let epoch = |issuer: u8, parent| Epoch {
        issuer: peer(issuer),
        parent,
        number: 1,
        commitment: [issuer; 32],
        ephemeral: [2; 32],
        carried: BTreeMap::new(),
        deliveries: BTreeMap::new(),
    };
    let first = say(OWNER, Claim::Epoch(epoch(OWNER, None)));
    assert_eq!(roll.take(vec![first.clone()]).0.len(), 1);
    let delivery = |issuer: u8, parent| Delivery {
        issuer: peer(issuer),
        parent,
        epoch: first.id(),
        subject: peer(9),
        ephemeral: [3; 32],
        sealed: [4; 48],
    };
    let parent = Some(admin.id());
    let of_both = |by: u8, parent: Option<StatementId>| {
        [
            ("grants", Claim::Grant(Grant { serial: [by; 8], ..grant(by, parent, 3, Level::Read) })),
            ("epochs", Claim::Epoch(epoch(by, parent))),
            ("deliveries of keys", Claim::Delivery(delivery(by, parent))),
        ]
    };
    roll.of_others = Room {
        grants: GRANTS_MAX,
        revocations: REVOCATIONS_MAX,
        epochs: EPOCHS_MAX,
        deliveries: DELIVERIES_MAX,
        ..Room::default()
    };
    let before = roll.fingerprint();
    for (kind, claim) in of_both(2, parent) {
        assert_eq!(roll.take(vec![say(2, claim)]), (Vec::new(), vec![RollError::Full(kind)]));
    }
    assert_eq!(roll.fingerprint(), before, "nothing was taken");
    for (kind, claim) in of_both(OWNER, None).into_iter().filter(|(kind, _)| *kind != "epochs") {
        assert_eq!(roll.take(vec![say(OWNER, claim)]).0.len(), 1, "{kind} of the owner");
    }
    roll.of_owner.epochs = EPOCHS_MAX;
    let second = Epoch { commitment: [8; 32], ..epoch(OWNER, None) };
    assert_eq!(roll.take(vec![say(OWNER, Claim::Epoch(second))]).1, [RollError::Full("epochs")]);
    roll.of_owner.bytes = ROLL_BYTES_MAX;
    let last = Claim::Grant(grant(OWNER, None, 5, Level::Read));
    assert_eq!(roll.take(vec![say(OWNER, last)]).1, [RollError::Full("bytes of statements")]);
    assert_eq!(roll.standing().access(&peer(3), NOW), Access::Granted(Level::Read), "who was let in before is still");
}

#[test]
fn an_epoch_carries_so_many_and_brings_its_key_to_so_many() {
    let space = sealed_space_of(&peer(OWNER), &[7; 16]);
    let numbered = |number: u32| -> [u8; 32] { std::array::from_fn(|at| number.to_be_bytes().get(at).copied().unwrap_or(0)) };
    let epoch = |carried: usize, deliveries: usize| Epoch {
        issuer: peer(OWNER),
        parent: None,
        number: if carried > 0 { 2 } else { 1 },
        commitment: [1; 32],
        ephemeral: [2; 32],
        carried: (0..carried as u32).map(|at| (StatementId(numbered(at)), [0; 48])).collect(),
        deliveries: (0..deliveries as u32).map(|at| (PeerId(numbered(at)), [0; 48])).collect(),
    };
    let reads = |epoch| {
        let statement = Statement::sign(&space, Claim::Epoch(epoch), &key(OWNER));
        Statement::read(&space, statement.bytes()).is_ok()
    };
    assert!(reads(epoch(EPOCH_CARRIED_MAX, 1)) && !reads(epoch(EPOCH_CARRIED_MAX + 1, 1)));
    assert!(reads(epoch(0, EPOCH_DELIVERIES_MAX)) && !reads(epoch(0, EPOCH_DELIVERIES_MAX + 1)));
}

/// What someone tries to say: by whom, about whom, by which of its grants, and the rest.
type Attempt = (bool, u8, u8, prop::sample::Index, u8, u8, u8, u8);

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let one = (prop::bool::weighted(0.3), 1u8..6, 1u8..6, any::<prop::sample::Index>(), 1u8..5, 0u8..6, 0u8..4, any::<u8>());
    proptest::collection::vec(one, 1..24)
}

/// A roll of whatever of these may be said, and all that it holds.
fn roll_of(attempts: &[Attempt]) -> Roll {
    let mut roll = founded();
    for (revokes, by, whom, which, level, depth, expires, extra) in attempts {
        let grants: Vec<(StatementId, Grant)> = roll.grants().into_iter().map(|(id, grant)| (id, grant.clone())).collect();
        let own: Vec<StatementId> = grants.iter().filter(|(_, grant)| grant.subject == peer(*by)).map(|(id, _)| *id).collect();
        let parent = if *by == OWNER || own.is_empty() { None } else { Some(own[which.index(own.len())]) };
        let claim = if *revokes && extra % 3 == 0 {
            Claim::Disavowal(disavowal(*by, parent, &[(if extra % 2 == 0 { *by } else { *whom }, u64::from(*depth))]))
        } else if *revokes && !grants.is_empty() {
            let (target, _) = grants[which.index(grants.len())].clone();
            let kept = grants.iter().filter(|(_, grant)| grant.parent == Some(target) && extra % 2 == 0).map(|(id, _)| *id);
            let cut: Vec<(u8, u64)> = (2..6).map(|writer| (writer, u64::from(extra.wrapping_mul(writer) % 5))).collect();
            Claim::Revocation(Revocation { kept: kept.take(1).collect(), ..revocation(*by, parent, target, &cut) })
        } else {
            let level = [Level::Read, Level::Presence, Level::Write, Level::Admin][usize::from(*level) - 1];
            let expires = if *expires == 0 { 0 } else { NOW + u64::from(*expires) };
            Claim::Grant(Grant { depth: *depth, expires, serial: [*extra; 8], ..grant(*by, parent, *whom, level) })
        };
        roll.take(vec![signed(*by, claim)]);
    }
    roll
}

/// What a key may do, how much of its work is accepted, its best grant, and how much of it was disavowed.
type Answer = (Access, Option<u64>, Option<StatementId>, Option<u64>);

/// Everything that follows from a roll that anyone could ask.
fn answers(roll: &Roll) -> Vec<Answer> {
    let times = [NOW, NOW + 1, NOW + 2, NOW + 9];
    let asked = (1..7).flat_map(|who| times.map(|time| (who, time)));
    let standing = roll.standing();
    asked
        .map(|(who, time)| {
            (
                standing.access(&peer(who), time),
                standing.accepted(&peer(who), &NOTE, &actor(who)),
                standing.best(&peer(who), time),
                standing.disavowed(&NOTE, &actor(who)),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_order_of_arrival_does_not_matter(attempts in attempts(), keys in proptest::collection::vec(any::<u64>(), 32), size in 1usize..6) {
        let roll = roll_of(&attempts);
        let mut shuffled: Vec<(u64, Statement)> = roll.statements().into_iter().cloned().enumerate().map(|(at, s)| (keys[at % keys.len()].rotate_left(at as u32), s)).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let shuffled: Vec<Statement> = shuffled.into_iter().map(|(_, statement)| statement).collect();
        let mut other = Roll::new(space());
        // In portions, as often as it takes: what came before what it rests on comes again.
        for _ in 0..shuffled.len() {
            shuffled.chunks(size).for_each(|portion| drop(other.take(portion.to_vec())));
        }
        prop_assert_eq!(other.fingerprint(), roll.fingerprint());
        prop_assert_eq!(answers(&other), answers(&roll));
        // Once more is once too many, and changes nothing.
        let bytes: Vec<Vec<u8>> = shuffled.iter().map(|statement| statement.bytes().to_vec()).collect();
        let (taken, errors) = other.take_bytes(bytes.iter().map(Vec::as_slice));
        prop_assert!(taken.is_empty() && errors.is_empty());
    }

    #[test]
    fn nobody_has_more_than_everyone_above_them(attempts in attempts()) {
        let roll = roll_of(&attempts);
        for (id, grant) in roll.grants() {
            let line: Vec<StatementId> = roll.line(&id).collect();
            prop_assert!(line.len() <= GRANT_CHAIN_MAX);
            for above in &line[1..] {
                let above = roll.grant(above).unwrap();
                prop_assert!(grant.level <= above.level && grant.depth < above.depth);
                prop_assert!(above.expires == 0 || (grant.expires != 0 && grant.expires <= above.expires));
            }
            prop_assert_eq!(roll.grant(line.last().unwrap()).unwrap().issuer, peer(OWNER));
        }
        for who in 2..7 {
            if let Access::Granted(level) = roll.standing().access(&peer(who), NOW) {
                let best = roll.standing().best(&peer(who), NOW).unwrap();
                prop_assert!(roll.line(&best).all(|id| roll.grant(&id).unwrap().level >= level));
            }
        }
    }

    #[test]
    fn who_loses_a_grant_loses_what_they_granted_under_it(attempts in attempts(), which: prop::sample::Index) {
        let mut roll = roll_of(&attempts);
        let grants: Vec<StatementId> = roll.grants().into_iter().map(|(id, _)| id).collect();
        prop_assume!(!grants.is_empty());
        let target = grants[which.index(grants.len())];
        let before = answers(&roll);
        roll.take(vec![signed(OWNER, Claim::Revocation(revocation(OWNER, None, target, &[])))]);
        for id in &grants {
            // Whom an earlier revocation of the same grant has kept, this one does not.
            if roll.line(id).any(|above| above == target) {
                let subject = roll.grant(id).unwrap().subject;
                prop_assert!(!roll.standing().stands(&subject, id));
            }
        }
        // A revocation gives nobody anything, but for those whom the one that it shuts out had shut out.
        let is_plain = roll.revocations().all(|(_, revocation)| revocation.issuer == peer(OWNER));
        for (before, after) in before.iter().zip(answers(&roll)).filter(|_| is_plain) {
            prop_assert!(after.0.level() <= before.0.level());
            prop_assert!(after.1.unwrap_or(u64::MAX) <= before.1.unwrap_or(u64::MAX));
        }
    }

    /// Entries of four writers, each on top of some of those before it, as they stand in two logs.
    #[test]
    fn what_remains_of_a_document_is_the_same_in_whatever_order_it_was_held(
        attempts in attempts(),
        made in proptest::collection::vec((2u8..6, any::<[u8; 2]>()), 1..30),
        keys in proptest::collection::vec(any::<u64>(), 30),
    ) {
        let roll = roll_of(&attempts);
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        for (at, (writer, on)) in made.iter().enumerate() {
            let mut own = entries.iter().filter(|entry| entry.actor == actor(*writer));
            let (seq, last) = (own.clone().count() as u64 + 1, own.next_back().map(|entry| entry.hash));
            let others = on.iter().filter_map(|on| entries.get(usize::from(*on) % made.len())).map(|entry| entry.hash);
            let deps: BTreeSet<ChangeHash> = last.into_iter().chain(others).collect();
            let (hash, payload) = (ChangeHash([at as u8 + 1; 32]), Arc::from([].as_slice()));
            entries.push(Arc::new(Entry { document: NOTE, actor: actor(*writer), seq, hash, deps: deps.into_iter().collect(), payload }));
        }
        // Another order in which each comes after all it depends on.
        let (mut left, mut other, mut held) = (entries.clone(), Vec::new(), BTreeSet::new());
        while !left.is_empty() {
            let free = |entry: &Arc<Entry>| entry.deps.iter().all(|dep| held.contains(dep));
            let next = (0..left.len()).filter(|at| free(&left[*at])).min_by_key(|at| keys[usize::from(left[*at].hash.0[0]) % keys.len()]).unwrap();
            let entry = left.remove(next);
            held.insert(entry.hash);
            other.push(entry);
        }
        let none = BTreeMap::new();
        let hashes = |entries: &[Arc<Entry>]| entries.iter().map(|entry| entry.hash).collect::<BTreeSet<_>>();
        let (one, two) = (part(roll.standing(), None, &none, entries.clone()), part(roll.standing(), None, &none, other));
        prop_assert_eq!(hashes(&one.kept), hashes(&two.kept));
        prop_assert_eq!(hashes(&one.refused), hashes(&two.refused));
        // Nothing remains without what it depends on, nothing of what is not accepted, and all else does.
        let kept = hashes(&one.kept);
        for entry in &entries {
            let over = roll.standing().writer(&entry.actor).is_some_and(|writer| roll.standing().accepted(&writer, &NOTE, &entry.actor).is_some_and(|last| entry.seq > last));
            let grounded = entry.deps.iter().all(|dep| kept.contains(dep));
            prop_assert_eq!(kept.contains(&entry.hash), !over && grounded);
        }
        // To be told twice is to be told once.
        prop_assert_eq!(hashes(&part(roll.standing(), None, &none, one.kept.clone()).kept), kept);
    }
}
