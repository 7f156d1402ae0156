//! Grants made straight to a key: of someone who asked by a ticket, and of a device of the same person.

use super::owned::{NoteNonce, OwnedError};
use crate::base::id::{PeerId, SpaceId};
use crate::engine::stored::StoredLink;
use crate::engine::{Engine, Phase};
use crate::seal::key::{EpochId, EpochKey};
use crate::trust::introduction::Card;
use crate::trust::owned::is_sealed;
use crate::trust::roll::Roll;
use crate::trust::statement::{Claim, Grant, Level, Statement, StatementId};

/// How many grants an invited admin may make one under the other, from their link on: their own, those of admins below, and of their devices.
pub(in crate::engine) const ADMIN_DEPTH: u8 = 5;
/// The same of whoever is not an admin: their own, and those of their devices.
pub(in crate::engine) const MEMBER_DEPTH: u8 = 2;

/// What to grant, and to whom.
pub(in crate::engine) struct Granting {
    pub(in crate::engine) subject: PeerId,
    pub(in crate::engine) level: Level,
    /// In seconds of Unix time; 0 for never. No grant outlasts the one it comes from.
    pub(in crate::engine) expires: u64,
    pub(in crate::engine) note: String,
    /// What tells it from other grants of this replica's to the same key: made twice, it is one.
    pub(in crate::engine) serial: [u8; 8],
    /// What the note is sealed with in a sealed space. The same for the same grant, so that one made again after a crash is the same statement.
    pub(in crate::engine) drawn: NoteNonce,
}

impl Engine {
    /// Whether this replica may grant that much in a space to a key.
    pub(in crate::engine) fn may_grant(&self, space: SpaceId, level: Level) -> Result<(), OwnedError> {
        let roll = self.roll_of(&space)?;
        let parent = self.own_grant(roll, space)?;
        let Some(own) = parent.and_then(|parent| roll.grant(&parent)) else { return Ok(()) };
        let refused = |why: &str| Err(OwnedError::NotGranted { space, why: why.to_owned() });
        match own {
            own if own.depth < 1 => {
                refused("what this device was granted there may not be passed on: ask the owner, or an admin")
            }
            own if own.level < level => refused("nobody lets others do more than they may themselves"),
            _ => Ok(()),
        }
    }

    /// Grants something to a key, with the space's key where it is sealed; answers the grant. One of the same serial is not made again, nor
    /// when it was taken back.
    pub(in crate::engine) fn grant_to(&mut self, space: SpaceId, granting: Granting) -> Result<StatementId, OwnedError> {
        let Granting { subject, level, expires, note, serial, drawn } = granting;
        self.may_grant(space, level)?;
        let roll = self.roll_of(&space)?.clone();
        let own = self.peer_id().ok_or(OwnedError::NotRunning)?;
        let is_same = |grant: &Grant| (grant.issuer, grant.subject, grant.serial) == (own, subject, serial);
        if let Some((made, _)) = roll.grants().into_iter().find(|(_, grant)| is_same(grant)) {
            return Ok(made);
        }
        let parent = self.own_grant(&roll, space)?;
        let most = if level == Level::Admin { ADMIN_DEPTH } else { MEMBER_DEPTH } - 1;
        let (depth, expires) = match parent.and_then(|parent| roll.grant(&parent)) {
            None => (most, expires),
            Some(above) if above.expires != 0 && (expires == 0 || expires > above.expires) => {
                (most.min(above.depth - 1), above.expires)
            }
            Some(above) => (most.min(above.depth - 1), expires),
        };
        let note = self.note_for(&space, &subject, note, None, drawn)?;
        let grant = Grant { issuer: own, parent, subject, level, depth, expires, is_link: false, serial, note };
        let Phase::Running { identity, .. } = &self.phase else { return Err(OwnedError::NotRunning) };
        let statement = Statement::sign(&space, Claim::Grant(grant), identity);
        let id = statement.id();
        let delivery = self.delivery_to(&roll, subject);
        self.add(roll, std::iter::once(statement).chain(delivery).collect())?;
        Ok(id)
    }

    /// Whether a grant has not been taken back.
    pub(in crate::engine) fn stands_in(&self, space: &SpaceId, subject: &PeerId, grant: &StatementId) -> bool {
        self.trust.rolls.get(space).is_some_and(|held| held.roll.standing().stands(subject, grant))
    }

    /// What is told of an owned space to whoever is let in by a grant: with it they need nobody else to be there, nor that a relay has
    /// heard of the grant.
    pub(in crate::engine) fn card_of(&self, space: SpaceId, grant: &StatementId, name: String, relays: Vec<String>) -> Card {
        let held = self.trust.rolls.get(&space).map(|held| &held.roll);
        let chain = held.map_or_else(Vec::new, |roll| roll.chain(grant));
        let chain = chain.into_iter().map(|statement| statement.bytes().to_vec()).collect();
        let key = self.leading(&space).map(|(epoch, key)| (epoch.0, *key.bytes()));
        Card { space, name, relays, chain, key }
    }

    /// Takes up what lets this replica into an owned space, and its key.
    pub(in crate::engine) fn take_card_up(&mut self, card: &Card) -> Result<(), OwnedError> {
        let space = card.space;
        let read: Result<Vec<Statement>, _> = card.chain.iter().map(|bytes| Statement::decode(&space, bytes)).collect();
        let statements = read.map_err(|error| OwnedError::Roll(error.into()))?;
        let roll = self.trust.rolls.get(&space).map_or_else(|| Roll::new(space), |held| held.roll.clone());
        if is_sealed(&space)
            && let Some((epoch, key)) = card.key
            && self.leading(&space).is_none()
        {
            // As one who came by a link has it: until it has brought itself the key. There is no link, and no secret.
            self.keep_link(StoredLink { space, secret: [0; 32], key: Some((EpochId(epoch), EpochKey::new(key))) });
        }
        self.add(roll, statements)
    }
}
