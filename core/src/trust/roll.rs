//! The roll of a space: every statement a replica holds of it, and the rules by which one more is taken.
//!
//! It only grows. Whether a statement may be taken depends on the grants it names and on nothing that is revoked or has expired, so
//! two replicas that hold the same statements agree on everything, in whatever order these came. What follows from them is
//! worked out by [`super::standing`].
//!
//! The owner's statements have room of their own: nobody it lets in can fill the roll so that the owner cannot shut them out.

use super::disavowal::Disavowal;
use super::epoch::{Delivery, Epoch};
use super::owned::{is_founded_by, is_sealed};
use super::standing::Standing;
use super::statement::{Claim, Grant, Level, Revocation, Statement, StatementError, StatementId};
use crate::base::id::{PeerId, SpaceId};
use crate::base::limits::{
    DELIVERIES_MAX, DISAVOWALS_MAX, DISAVOWALS_PER_ISSUER_MAX, EPOCHS_MAX, GRANT_CHAIN_MAX, GRANT_CHILDREN_MAX, GRANTS_MAX,
    MEMBER_CHILDREN_MAX, REVOCATIONS_MAX, ROLL_BYTES_MAX,
};
use crate::log::tree::Fingerprint;
use std::collections::BTreeMap;

/// Revocations of one grant by one issuer that are kept: those with the lowest ids, so that everyone keeps the same.
const REVOCATIONS_PER_GRANT_MAX: usize = 4;

/// Every statement held of a space.
#[derive(Clone, Debug)]
pub struct Roll {
    space: SpaceId,
    owner: Option<PeerId>,
    statements: BTreeMap<StatementId, Statement>,
    /// How many grants stand between the owner and each, itself included.
    chains: BTreeMap<StatementId, usize>,
    children: BTreeMap<StatementId, usize>,
    of_owner: Room,
    of_others: Room,
    fingerprint: Fingerprint,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, Default)]
struct Room {
    grants: usize,
    revocations: usize,
    disavowals: usize,
    epochs: usize,
    deliveries: usize,
    bytes: usize,
}

/// Why a statement is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollError {
    /// It is not one, or not signed by its issuer for this space.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A founding of another space.
    #[error("it founds another space")]
    OtherSpace,
    /// It names a grant that is not held, or there is no founding yet: what it rests on must come with it.
    #[error("what it rests on is not known")]
    Unfounded,
    /// Its issuer is not whom the grant that it names is for, or is not the owner and names none.
    #[error("its issuer holds no grant that lets it say so")]
    NotItsIssuers,
    /// A grant of more, for longer, or further down, than its issuer has.
    #[error("it grants {0} than its issuer has")]
    Widens(&'static str),
    /// A revocation by someone who is no admin above what is revoked.
    #[error("its issuer is neither the owner nor an admin above what it revokes")]
    NotAbove,
    /// An epoch by someone who is no admin, or in a space that is not sealed.
    #[error("its issuer is neither the owner nor an admin, or the space is not sealed")]
    NoEpoch,
    /// An epoch whose number is not the one after those that it carries.
    #[error("its number is not the one after the epochs that it carries")]
    NotNext,
    /// A disavowal by someone who may not write, or in a sealed space, where nobody but members can make anything up.
    #[error("its issuer may not write there, or the space is sealed")]
    MayNotDisavow,
    /// There are as many as there may be.
    #[error("there are as many {0} as there may be")]
    Full(&'static str),
}

impl Roll {
    /// The roll of a space of which nothing is known.
    pub fn new(space: SpaceId) -> Self {
        Self {
            space,
            owner: None,
            statements: BTreeMap::new(),
            chains: BTreeMap::new(),
            children: BTreeMap::new(),
            of_owner: Room::default(),
            of_others: Room::default(),
            fingerprint: Fingerprint::default(),
            standing: Standing::default(),
        }
    }

    /// The space.
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// Whose it is, once that is known.
    pub fn owner(&self) -> Option<PeerId> {
        self.owner
    }

    /// What stands for all statements: equal where they are the same.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Bytes of all statements.
    pub fn bytes(&self) -> usize {
        self.of_owner.bytes + self.of_others.bytes
    }

    /// What follows from the statements.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// A statement that is held.
    pub fn statement(&self, id: &StatementId) -> Option<&Statement> {
        self.statements.get(id)
    }

    /// A grant that is held.
    pub fn grant(&self, id: &StatementId) -> Option<&Grant> {
        match self.statements.get(id)?.claim() {
            Claim::Grant(grant) => Some(grant),
            _ => None,
        }
    }

    /// All statements, each after those it rests on.
    pub fn statements(&self) -> Vec<&Statement> {
        let place = |statement: &Statement| match statement.claim() {
            Claim::Founding { .. } => 0,
            Claim::Grant(_) => self.chains.get(&statement.id()).copied().unwrap_or(GRANT_CHAIN_MAX),
            Claim::Revocation(_) | Claim::Disavowal(_) => GRANT_CHAIN_MAX + 1,
            Claim::Epoch(epoch) => usize::try_from(epoch.number).unwrap_or(usize::MAX / 2).saturating_add(GRANT_CHAIN_MAX + 1),
            Claim::Delivery(_) => usize::MAX,
        };
        let mut all: Vec<&Statement> = self.statements.values().collect();
        all.sort_by_key(|statement| (place(statement), statement.id()));
        all
    }

    /// The founding and a grant with those it rests on: what shows that its subject may do what it says.
    pub fn chain(&self, id: &StatementId) -> Vec<&Statement> {
        let founding = self.statements.values().find(|statement| matches!(statement.claim(), Claim::Founding { .. }));
        let mut chain: Vec<&Statement> = self.line(id).filter_map(|id| self.statements.get(&id)).collect();
        chain.extend(founding);
        chain.reverse();
        chain
    }

    /// A grant, the one it rests on, and so on up to the one that the owner made.
    pub fn line(&self, id: &StatementId) -> impl Iterator<Item = StatementId> {
        std::iter::successors(Some(*id), |id| self.grant(id)?.parent)
    }

    /// Grants, with their ids; those come first that the owner made.
    pub fn grants(&self) -> Vec<(StatementId, &Grant)> {
        let mut grants: Vec<(StatementId, &Grant)> =
            self.chains.keys().filter_map(|id| self.grant(id).map(|grant| (*id, grant))).collect();
        grants.sort_by_key(|(id, _)| (self.chains[id], *id));
        grants
    }

    /// Revocations, in the order of their ids.
    pub fn revocations(&self) -> impl Iterator<Item = (StatementId, &Revocation)> {
        self.statements.values().filter_map(|statement| match statement.claim() {
            Claim::Revocation(revocation) => Some((statement.id(), revocation)),
            _ => None,
        })
    }

    /// Disavowals, in the order of their ids.
    pub fn disavowals(&self) -> impl Iterator<Item = (StatementId, &Disavowal)> {
        self.statements.values().filter_map(|statement| match statement.claim() {
            Claim::Disavowal(disavowal) => Some((statement.id(), disavowal)),
            _ => None,
        })
    }

    /// Epochs, in the order of their ids.
    pub fn epochs(&self) -> impl Iterator<Item = (StatementId, &Epoch)> {
        self.statements.values().filter_map(|statement| match statement.claim() {
            Claim::Epoch(epoch) => Some((statement.id(), epoch)),
            _ => None,
        })
    }

    /// An epoch that is held.
    pub fn epoch(&self, id: &StatementId) -> Option<&Epoch> {
        match self.statements.get(id)?.claim() {
            Claim::Epoch(epoch) => Some(epoch),
            _ => None,
        }
    }

    /// Deliveries beside those in the epochs, in the order of their ids.
    pub fn deliveries(&self) -> impl Iterator<Item = (StatementId, &Delivery)> {
        self.statements.values().filter_map(|statement| match statement.claim() {
            Claim::Delivery(delivery) => Some((statement.id(), delivery)),
            _ => None,
        })
    }

    /// Reads statements and takes them, as [`Self::take`] does.
    pub fn take_bytes<'a>(&mut self, statements: impl Iterator<Item = &'a [u8]>) -> (Vec<Statement>, Vec<RollError>) {
        let (mut read, mut errors) = (Vec::new(), Vec::new());
        for bytes in statements {
            match Statement::read(&self.space, bytes) {
                Ok(statement) => read.push(statement),
                Err(error) => errors.push(error.into()),
            }
        }
        let (taken, refused) = self.take(read);
        errors.extend(refused);
        (taken, errors)
    }

    /// Whether all of these are held: then nothing is to be taken.
    pub fn holds_all<'a>(&self, mut statements: impl Iterator<Item = &'a [u8]>) -> bool {
        statements.all(|bytes| Statement::read(&self.space, bytes).is_ok_and(|read| self.statements.contains_key(&read.id())))
    }

    /// Takes statements, in any order; answers those that are new, and why each of the others that are not held was not taken. At the
    /// first whose signature is false it stops: checking them is what costs.
    pub fn take(&mut self, statements: Vec<Statement>) -> (Vec<Statement>, Vec<RollError>) {
        let (mut taken, mut waiting) = (Vec::new(), statements);
        loop {
            let before = taken.len();
            let (mut left, mut errors) = (Vec::new(), Vec::new());
            for statement in waiting {
                match self.admit(&statement) {
                    Ok(false) => {}
                    Ok(true) => taken.push(statement),
                    Err(error @ RollError::Statement(_)) => {
                        if !taken.is_empty() {
                            self.standing = Standing::of(self);
                        }
                        return (taken, vec![error]);
                    }
                    Err(error) => {
                        // What it rests on may come behind it.
                        left.extend((error == RollError::Unfounded).then_some(statement));
                        errors.push(error);
                    }
                }
            }
            if taken.len() == before || left.is_empty() {
                if !taken.is_empty() {
                    self.standing = Standing::of(self);
                }
                return (taken, errors);
            }
            waiting = left;
        }
    }

    /// Takes a statement that may be made, unless it is held; answers whether it is new. What follows from it is not worked out. The
    /// signature is looked at when everything else is right.
    fn admit(&mut self, statement: &Statement) -> Result<bool, RollError> {
        if self.statements.contains_key(&statement.id()) {
            return Ok(false);
        }
        let chain = match statement.claim() {
            Claim::Founding { owner, nonce } => {
                if !is_founded_by(&self.space, owner, nonce) {
                    return Err(RollError::OtherSpace);
                }
                0
            }
            Claim::Grant(grant) => self.chain_of(grant)?,
            Claim::Revocation(revocation) => {
                self.may_revoke(revocation)?;
                0
            }
            Claim::Epoch(epoch) => {
                self.may_begin(epoch)?;
                0
            }
            Claim::Delivery(delivery) => {
                self.may_deliver(delivery)?;
                0
            }
            Claim::Disavowal(disavowal) => {
                self.may_disavow(disavowal)?;
                0
            }
        };
        if !statement.is_signed(&self.space) {
            return Err(StatementError::Signature.into());
        }
        match statement.claim() {
            Claim::Founding { owner, .. } => self.owner = Some(*owner),
            Claim::Revocation(revocation) => self.make_room(revocation, statement.id())?,
            Claim::Delivery(delivery) => self.make_room_for_delivery(delivery, statement.id())?,
            Claim::Disavowal(disavowal) => self.make_room_for_disavowal(disavowal, statement.id())?,
            Claim::Grant(_) | Claim::Epoch(_) => {}
        }
        let is_owners = self.owner == Some(statement.claim().issuer());
        let room = if is_owners { &mut self.of_owner } else { &mut self.of_others };
        if room.bytes + statement.bytes().len() > ROLL_BYTES_MAX {
            return Err(RollError::Full("bytes of statements"));
        }
        match statement.claim() {
            Claim::Revocation(_) if room.revocations >= REVOCATIONS_MAX => return Err(RollError::Full("revocations")),
            Claim::Grant(_) if room.grants >= GRANTS_MAX => return Err(RollError::Full("grants")),
            Claim::Epoch(_) if room.epochs >= EPOCHS_MAX => return Err(RollError::Full("epochs")),
            Claim::Delivery(_) if room.deliveries >= DELIVERIES_MAX => return Err(RollError::Full("deliveries of keys")),
            Claim::Disavowal(_) if room.disavowals >= DISAVOWALS_MAX => return Err(RollError::Full("disavowals")),
            Claim::Revocation(_) => room.revocations += 1,
            Claim::Disavowal(_) => room.disavowals += 1,
            Claim::Grant(_) => room.grants += 1,
            Claim::Epoch(_) => room.epochs += 1,
            Claim::Delivery(_) => room.deliveries += 1,
            Claim::Founding { .. } => {}
        }
        room.bytes += statement.bytes().len();
        if let Claim::Grant(grant) = statement.claim() {
            self.chains.insert(statement.id(), chain);
            if let Some(parent) = grant.parent {
                *self.children.entry(parent).or_default() += 1;
            }
        }
        self.fingerprint = self.fingerprint.plus(stands_for(&statement.id()));
        self.statements.insert(statement.id(), statement.clone());
        Ok(true)
    }

    /// How long the chain is that a grant makes, when it may be made.
    fn chain_of(&self, grant: &Grant) -> Result<usize, RollError> {
        let owner = self.owner.ok_or(RollError::Unfounded)?;
        let Some(parent_id) = grant.parent else {
            return if grant.issuer == owner { Ok(1) } else { Err(RollError::NotItsIssuers) };
        };
        let parent = self.grant(&parent_id).ok_or(RollError::Unfounded)?;
        if parent.subject != grant.issuer {
            return Err(RollError::NotItsIssuers);
        }
        if grant.level > parent.level {
            return Err(RollError::Widens("more"));
        }
        if grant.depth >= parent.depth {
            return Err(RollError::Widens("further down"));
        }
        if parent.expires != 0 && (grant.expires == 0 || grant.expires > parent.expires) {
            return Err(RollError::Widens("for longer"));
        }
        // Who is no admin lets in devices of their own, of which nobody has many.
        let most = if parent.is_link || parent.level == Level::Admin { GRANT_CHILDREN_MAX } else { MEMBER_CHILDREN_MAX };
        if self.children.get(&parent_id).is_some_and(|children| *children >= most) {
            return Err(RollError::Full("grants under one grant"));
        }
        // The depths shrink, so it is not longer than it may be.
        Ok(self.chains.get(&parent_id).copied().unwrap_or(0) + 1)
    }

    fn may_revoke(&self, revocation: &Revocation) -> Result<(), RollError> {
        let owner = self.owner.ok_or(RollError::Unfounded)?;
        self.grant(&revocation.target).ok_or(RollError::Unfounded)?;
        let Some(parent) = revocation.parent else {
            return if revocation.issuer == owner { Ok(()) } else { Err(RollError::NotItsIssuers) };
        };
        let grant = self.grant(&parent).ok_or(RollError::Unfounded)?;
        if grant.subject != revocation.issuer {
            return Err(RollError::NotItsIssuers);
        }
        let is_above = self.line(&revocation.target).skip(1).any(|id| id == parent);
        if is_above && grant.level == Level::Admin { Ok(()) } else { Err(RollError::NotAbove) }
    }

    fn may_disavow(&self, disavowal: &Disavowal) -> Result<(), RollError> {
        let owner = self.owner.ok_or(RollError::Unfounded)?;
        let may = match &disavowal.parent {
            None => disavowal.issuer == owner,
            Some(parent) => {
                let grant = self.grant(parent).ok_or(RollError::Unfounded)?;
                grant.subject == disavowal.issuer && grant.level >= Level::Write
            }
        };
        if may && !is_sealed(&self.space) { Ok(()) } else { Err(RollError::MayNotDisavow) }
    }

    fn may_begin(&self, epoch: &Epoch) -> Result<(), RollError> {
        let owner = self.owner.ok_or(RollError::Unfounded)?;
        let is_admins = match &epoch.parent {
            None => epoch.issuer == owner,
            Some(parent) => {
                let grant = self.grant(parent).ok_or(RollError::Unfounded)?;
                grant.subject == epoch.issuer && grant.level == Level::Admin
            }
        };
        if !is_admins || !is_sealed(&self.space) {
            return Err(RollError::NoEpoch);
        }
        let mut before = 0;
        for carried in epoch.carried.keys() {
            before = before.max(self.epoch(carried).ok_or(RollError::Unfounded)?.number);
        }
        // Nobody can take a number so high that none comes after it.
        if epoch.number == before + 1 { Ok(()) } else { Err(RollError::NotNext) }
    }

    fn may_deliver(&self, delivery: &Delivery) -> Result<(), RollError> {
        let owner = self.owner.ok_or(RollError::Unfounded)?;
        let is_members = match &delivery.parent {
            None => delivery.issuer == owner,
            Some(parent) => self.grant(parent).ok_or(RollError::Unfounded)?.subject == delivery.issuer,
        };
        self.epoch(&delivery.epoch).ok_or(RollError::Unfounded)?;
        if is_members { Ok(()) } else { Err(RollError::NotItsIssuers) }
    }

    /// Lets go of an issuer's disavowal where there are as many as are kept, and this one comes before it. The owner's are all kept.
    fn make_room_for_disavowal(&mut self, disavowal: &Disavowal, id: StatementId) -> Result<(), RollError> {
        if self.owner == Some(disavowal.issuer) {
            return Ok(());
        }
        let by_issuer = self.disavowals().filter(|(_, other)| other.issuer == disavowal.issuer);
        let held: Vec<StatementId> = by_issuer.map(|(held, _)| held).collect();
        let gone = makes_way(&held, DISAVOWALS_PER_ISSUER_MAX, id, "disavowals by one issuer")?;
        if let Some(gone) = gone.and_then(|gone| self.remove(&gone)) {
            self.room_of(&gone).disavowals -= 1;
        }
        Ok(())
    }

    /// Of one issuer's deliveries of one epoch to one key the one with the lowest id is kept.
    fn make_room_for_delivery(&mut self, delivery: &Delivery, id: StatementId) -> Result<(), RollError> {
        let is_same =
            |other: &Delivery| (other.issuer, other.epoch, other.subject) == (delivery.issuer, delivery.epoch, delivery.subject);
        let held = self.deliveries().find(|(_, other)| is_same(other)).map(|(held, _)| held);
        match held {
            Some(held) if held < id => Err(RollError::Full("deliveries of one key to one member by one issuer")),
            Some(held) => {
                if let Some(gone) = self.remove(&held) {
                    self.room_of(&gone).deliveries -= 1;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Lets go of a statement; how many of its kind there are is not counted down.
    fn remove(&mut self, id: &StatementId) -> Option<Statement> {
        let gone = self.statements.remove(id)?;
        self.room_of(&gone).bytes -= gone.bytes().len();
        self.fingerprint = self.fingerprint.minus(stands_for(id));
        Some(gone)
    }

    fn room_of(&mut self, statement: &Statement) -> &mut Room {
        if self.owner == Some(statement.claim().issuer()) { &mut self.of_owner } else { &mut self.of_others }
    }

    /// Lets go of an issuer's revocation of the same grant where there are as many as are kept, and this one comes before it.
    fn make_room(&mut self, revocation: &Revocation, id: StatementId) -> Result<(), RollError> {
        let same = |(held, other): (StatementId, &Revocation)| {
            (other.target == revocation.target && other.issuer == revocation.issuer).then_some(held)
        };
        let held: Vec<StatementId> = self.revocations().filter_map(same).collect();
        let gone = makes_way(&held, REVOCATIONS_PER_GRANT_MAX, id, "revocations of one grant by one issuer")?;
        if let Some(gone) = gone.and_then(|gone| self.remove(&gone)) {
            self.room_of(&gone).revocations -= 1;
        }
        Ok(())
    }
}

/// Which of the statements held, in the order of their ids, makes way for one more where so many are kept: those with the lowest ids, whichever came first.
fn makes_way(held: &[StatementId], most: usize, id: StatementId, what: &'static str) -> Result<Option<StatementId>, RollError> {
    match held.last().filter(|_| held.len() >= most) {
        Some(last) if *last < id => Err(RollError::Full(what)),
        last => Ok(last.copied()),
    }
}

fn stands_for(id: &StatementId) -> Fingerprint {
    let mut digest = [0; 16];
    digest.copy_from_slice(&id.0[..16]);
    Fingerprint::of(&digest)
}

#[cfg(test)]
#[path = "roll_tests.rs"]
mod tests;
