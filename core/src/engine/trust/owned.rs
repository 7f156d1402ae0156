//! What an app does with owned spaces: found one, invite, join, see who is in it, shut someone out.

use super::granting::{ADMIN_DEPTH, MEMBER_DEPTH};
use crate::base::id::{DocumentId, PeerId, SpaceId};
use crate::base::limits::{GRANT_NOTE_BYTES_MAX, INVITATION_RELAYS_MAX, REVOCATION_CUTS_MAX};
use crate::base::time::Now;
use crate::engine::Engine;
use crate::engine::Phase;
use crate::engine::inviting::devices::DEVICE_NOTE;
use crate::engine::stored::StoredLink;
use crate::log::clock::VectorClock;
use crate::seal::key::{EpochId, EpochKey};
use crate::seal::keyring::Keyring;
use crate::trust::invitation::{Invitation, InvitationError};
use crate::trust::key::{SecretKey, Signer as _};
use crate::trust::owned::{is_owned, is_sealed, sealed_space_of, space_of};
use crate::trust::roll::{Roll, RollError};
use crate::trust::standing::Access;
use crate::trust::statement::{Claim, Grant, Level, Revocation, Statement, StatementId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a note is sealed with, beside the key: never the same for two.
pub(in crate::engine) type NoteNonce = [u8; 24];

/// Longest note in a sealed space, in bytes: sealed, it has to fit where others stand.
pub(in crate::engine) const SEALED_NOTE_BYTES_MAX: usize = 63;

/// Why something about an owned space was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnedError {
    /// The space is open: whoever knows it may do everything.
    #[error(
        "space {0} is open: whoever knows its name or id may read and write it, and nobody can be shut out. Make an owned one: driftline space create --owned"
    )]
    Open(SpaceId),
    /// This replica was granted too little for that.
    #[error("this replica may not do that in space {space}: {why}")]
    NotGranted {
        /// The space.
        space: SpaceId,
        /// What is missing.
        why: String,
    },
    /// Nobody of that key is a member.
    #[error("{0} is no member of this space, or was shut out already")]
    NoMember(PeerId),
    /// A note is too long.
    #[error("a note may have {GRANT_NOTE_BYTES_MAX} bytes, in a sealed space {SEALED_NOTE_BYTES_MAX}")]
    NoteTooLong,
    /// The text is not an invitation that can be taken.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// The rules do not allow it.
    #[error(transparent)]
    Roll(#[from] RollError),
    /// More must be named than one revocation can name.
    #[error("those who are shut out wrote in more places than one revocation can name ({REVOCATION_CUTS_MAX})")]
    TooManyCuts,
    /// There is nothing to disavow.
    #[error("all that is held of document {0} is vouched for by those who wrote it: there is nothing to disavow")]
    AllVouched(DocumentId),
    /// The store is not open.
    #[error("the replica is not at work")]
    NotRunning,
}

/// Someone who is or was a member of an owned space, or a link that was made for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The key.
    pub key: PeerId,
    /// The grant; nothing for the owner.
    #[serde(skip)]
    pub grant: Option<StatementId>,
    /// What was granted.
    pub level: Level,
    /// When it ends, in seconds of Unix time; 0 for never.
    pub expires: u64,
    /// What it is called.
    pub note: String,
    /// Who granted it.
    pub by: Option<PeerId>,
    /// Whether it is a link, which lets in whoever has it.
    pub is_link: bool,
    /// Whether it is this replica.
    pub is_self: bool,
    /// Whether it is another device of whoever granted it, as these say.
    pub is_device: bool,
    /// How it stands now.
    pub state: MemberState,
}

/// How a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberState {
    /// It is good.
    Good,
    /// It has ended.
    Expired,
    /// It was taken back.
    Revoked,
}

/// What to invite to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What whoever has the link may do.
    pub level: Level,
    /// When that ends, in seconds of Unix time; 0 for never.
    pub expires: u64,
    /// What the link is called.
    pub note: String,
    /// Relays that sync the space, for whoever joins.
    pub relays: Vec<String>,
}

impl Engine {
    /// Founds a space that this replica owns, and opens it.
    ///
    /// # Errors
    ///
    /// The store is not open.
    pub fn found_space(&mut self, now: Now) -> Result<SpaceId, OwnedError> {
        self.found(now, space_of)
    }

    /// Founds a sealed space that this replica owns, and opens it: what is written there is read by its members alone.
    ///
    /// # Errors
    ///
    /// The store is not open.
    pub fn found_sealed_space(&mut self, now: Now) -> Result<SpaceId, OwnedError> {
        self.found(now, sealed_space_of)
    }

    /// Founds a space whose id follows so from its owner and a nonce. Its first epoch begins with it.
    fn found(&mut self, now: Now, id: impl Fn(&PeerId, &[u8; 16]) -> SpaceId) -> Result<SpaceId, OwnedError> {
        self.begin_call(now);
        let nonce: [u8; 16] = self.rng.bytes();
        let Phase::Running { identity, .. } = &self.phase else { return Err(OwnedError::NotRunning) };
        let owner = identity.peer();
        let space = id(&owner, &nonce);
        let founding = Statement::sign(&space, Claim::Founding { owner, nonce }, identity);
        self.add(Roll::new(space), vec![founding])?;
        self.on_open_space(space);
        self.tell_devices(space, "", &[]);
        Ok(space)
    }

    /// Makes a link by which whoever has it can join a space.
    ///
    /// # Errors
    ///
    /// This replica may not pass that much on.
    pub fn invite(&mut self, now: Now, space: SpaceId, offer: Offer) -> Result<Invitation, OwnedError> {
        self.begin_call(now);
        let secret: [u8; 32] = self.rng.bytes();
        let serial: [u8; 8] = self.rng.bytes();
        let drawn: NoteNonce = self.rng.bytes();
        let roll = self.roll_of(&space)?.clone();
        let Phase::Running { identity, .. } = &self.phase else { return Err(OwnedError::NotRunning) };
        let parent = self.own_grant(&roll, space)?;
        let depth = if offer.level == Level::Admin { ADMIN_DEPTH } else { MEMBER_DEPTH };
        let (depth, expires) = match parent.and_then(|parent| roll.grant(&parent)) {
            None => (depth, offer.expires),
            Some(own) if own.depth < 2 => {
                let why = "what it was granted may not be passed on: ask the owner, or an admin".to_owned();
                return Err(OwnedError::NotGranted { space, why });
            }
            // A link ends with what it comes from.
            Some(own) if own.expires != 0 && offer.expires == 0 => (depth.min(own.depth - 1), own.expires),
            Some(own) => (depth.min(own.depth - 1), offer.expires),
        };
        let grant = Grant {
            issuer: identity.peer(),
            parent,
            subject: SecretKey::new(&secret).peer(),
            level: offer.level,
            depth,
            expires,
            is_link: true,
            serial,
            note: Vec::new(),
        };
        let note = self.note_for(&space, &grant.subject, offer.note, None, drawn)?;
        let Phase::Running { identity, .. } = &self.phase else { return Err(OwnedError::NotRunning) };
        let grant = Grant { note, ..grant };
        let subject = grant.subject;
        let statement = Statement::sign(&space, Claim::Grant(grant), identity);
        let id = statement.id();
        // Whoever came in by the link opens with it what all others are given.
        let delivery = self.delivery_to(&roll, subject);
        let key = self.leading(&space).map(|(epoch, key)| (epoch.0, *key.bytes()));
        self.add(roll, std::iter::once(statement).chain(delivery).collect())?;
        let held = self.roll_of(&space)?;
        let chain = held.chain(&id).into_iter().map(|statement| statement.bytes().to_vec()).collect();
        let relays = offer.relays.into_iter().take(INVITATION_RELAYS_MAX).collect();
        Ok(Invitation { space, secret, chain, relays, key })
    }

    /// Joins a space by an invitation, under a note by which its members know this replica, and opens it. Joined once, an invitation
    /// for no more than one has already is not used again.
    ///
    /// # Errors
    ///
    /// The invitation is not good.
    pub fn join(&mut self, now: Now, invitation: &Invitation, note: String) -> Result<SpaceId, OwnedError> {
        self.begin_call(now);
        let unix_s = self.unix_s();
        let serial: [u8; 8] = self.rng.bytes();
        let drawn: NoteNonce = self.rng.bytes();
        let own = self.peer_id().ok_or(OwnedError::NotRunning)?;
        let space = invitation.space;
        let note = self.note_for(&space, &own, note, invitation.key.as_ref(), drawn)?;
        let opened = invitation.open(unix_s)?;
        let offered = opened.roll.grant(&opened.grant).map(|grant| grant.level);
        let has = self.own_access(&space).level();
        if has < offered {
            let mut statements: Vec<Statement> = opened.roll.statements().into_iter().cloned().collect();
            statements.extend(opened.accept(own, serial, note));
            if is_sealed(&space) {
                let key = invitation.key.map(|(epoch, key)| (EpochId(epoch), EpochKey::new(key)));
                self.keep_link(StoredLink { space, secret: invitation.secret, key });
            }
            let roll = self.trust.rolls.get(&space).map_or_else(|| Roll::new(space), |held| held.roll.clone());
            self.add(roll, statements)?;
        }
        match self.own_access(&space) {
            Access::Granted(_) => {}
            access => {
                let (_, why) = super::access::why_not(access, space);
                return Err(OwnedError::NotGranted { space, why });
            }
        }
        self.on_open_space(space);
        if has < offered {
            self.tell_devices(space, "", &invitation.relays);
        }
        Ok(space)
    }

    /// Who is or was let into a space: the owner, then everyone by whom they were let in.
    ///
    /// # Errors
    ///
    /// The space is open, or nothing is known of it.
    pub fn members(&self, space: &SpaceId) -> Result<Vec<Member>, OwnedError> {
        let roll = self.roll_of(space)?;
        let (own, unix_s) = (self.peer_id(), self.unix_s());
        let owner = roll.owner().map(|key| Member {
            key,
            grant: None,
            level: Level::Admin,
            expires: 0,
            note: String::new(),
            by: None,
            is_link: false,
            is_self: own == Some(key),
            is_device: false,
            state: MemberState::Good,
        });
        let is_by_link = |grant: &Grant| grant.parent.and_then(|parent| roll.grant(&parent)).is_some_and(|above| above.is_link);
        let granted = roll.grants().into_iter().map(|(id, grant)| {
            let note = self.note_in(space, grant);
            let device = note.strip_prefix(DEVICE_NOTE).filter(|_| !grant.is_link && !is_by_link(grant)).map(str::to_owned);
            (id, grant, device.is_some(), device.unwrap_or(note))
        });
        let granted = granted.map(|(id, grant, is_device, note)| Member {
            key: grant.subject,
            grant: Some(id),
            level: grant.level,
            expires: grant.expires,
            note,
            by: Some(grant.issuer),
            is_link: grant.is_link,
            is_self: own == Some(grant.subject),
            is_device,
            state: match roll.standing().stands(&grant.subject, &id) {
                false => MemberState::Revoked,
                true if grant.expires != 0 && grant.expires <= unix_s => MemberState::Expired,
                true => MemberState::Good,
            },
        });
        Ok(owner.into_iter().chain(granted).collect())
    }

    /// Shuts a key out of a space: all that it was granted is taken back, and the links by which it came in are closed for others. What
    /// it has written up to here, as far as that is held here, stays.
    ///
    /// # Errors
    ///
    /// It is no member, or this replica is neither the owner nor an admin above it.
    pub fn revoke(&mut self, now: Now, space: SpaceId, key: PeerId) -> Result<(), OwnedError> {
        self.begin_call(now);
        let roll = self.roll_of(&space)?.clone();
        let own = self.peer_id().ok_or(OwnedError::NotRunning)?;
        let is_owner = roll.owner() == Some(own);
        let of_key = |id: &StatementId| roll.grant(id).is_some_and(|grant| grant.subject == key);
        let standing = |id: &StatementId| roll.grant(id).is_some_and(|grant| roll.standing().stands(&grant.subject, id));
        let mut targets: BTreeMap<StatementId, (Option<StatementId>, BTreeSet<StatementId>)> = BTreeMap::new();
        let grants: Vec<StatementId> = roll.grants().iter().map(|(id, _)| *id).filter(|id| of_key(id) && standing(id)).collect();
        if grants.is_empty() {
            return Err(OwnedError::NoMember(key));
        }
        for id in grants {
            // Its own admin grant that is above, if it is not the owner's word that counts.
            let by_own = |target: &StatementId| {
                let is_own = |id: &StatementId| {
                    standing(id) && roll.grant(id).is_some_and(|grant| grant.subject == own && grant.level == Level::Admin)
                };
                roll.line(target).skip(1).find(is_own)
            };
            let may = |target: &StatementId| is_owner || by_own(target).is_some();
            let link = roll
                .grant(&id)
                .and_then(|grant| grant.parent)
                .filter(|parent| roll.grant(parent).is_some_and(|grant| grant.is_link));
            let target = link.filter(|link| standing(link) && may(link)).unwrap_or(id);
            if !may(&target) {
                let why = "only the owner, or an admin above, can revoke that".to_owned();
                return Err(OwnedError::NotGranted { space, why });
            }
            // Who else came in by the same link stays.
            let others = roll.grants().into_iter().filter(|(other, grant)| grant.parent == Some(target) && !of_key(other));
            let kept = others.map(|(other, _)| other).filter(|other| target != id && standing(other)).collect();
            targets.insert(target, (if is_owner { None } else { by_own(&target) }, kept));
        }
        let cuts = self.cuts_of(&space, &roll, &targets)?;
        let Phase::Running { identity, .. } = &self.phase else { return Err(OwnedError::NotRunning) };
        let sign = |(target, (parent, kept))| {
            let revocation = Revocation { issuer: own, parent, target, kept, cuts: cuts.clone() };
            Statement::sign(&space, Claim::Revocation(revocation), identity)
        };
        let statements: Vec<Statement> = targets.into_iter().map(sign).collect();
        // In a sealed space a new epoch begins with it, so that both are heard of at once.
        let mut after = roll.clone();
        let (_, errors) = after.take(statements.clone());
        let epoch = if errors.is_empty() && is_sealed(&space) { self.new_epoch(&after) } else { None };
        self.add(roll, statements.into_iter().chain(epoch).collect())
    }

    /// How far everyone has written who loses their grants when these are revoked, as far as it is held here.
    fn cuts_of(
        &self,
        space: &SpaceId,
        roll: &Roll,
        targets: &BTreeMap<StatementId, (Option<StatementId>, BTreeSet<StatementId>)>,
    ) -> Result<BTreeMap<crate::base::id::DocumentId, VectorClock>, OwnedError> {
        let is_lost = |id: &StatementId| {
            let mut below: Option<StatementId> = None;
            roll.line(id).any(|at| {
                let is_hit = targets.get(&at).is_some_and(|(_, kept)| below.is_none_or(|below| !kept.contains(&below)));
                below = Some(at);
                is_hit
            })
        };
        let losers: BTreeSet<PeerId> =
            roll.grants().into_iter().filter(|(id, _)| is_lost(id)).map(|(_, grant)| grant.subject).collect();
        let mut cuts = BTreeMap::new();
        let mut actors = 0;
        for log in self.spaces.get(space).into_iter().flat_map(|held| held.space.documents()) {
            let of_losers = |(actor, seq): (&crate::base::id::ActorId, u64)| {
                let writer = losers.iter().find(|loser| crate::trust::owned::is_actor_of(actor, loser))?;
                let accepted = roll.standing().accepted(writer, &log.document(), actor).map_or(seq, |last| last.min(seq));
                Some((*actor, accepted)).filter(|(_, accepted)| *accepted > 0)
            };
            let clock: VectorClock = log.version().clock.iter().filter_map(of_losers).collect();
            actors += clock.len();
            if !clock.is_empty() {
                cuts.insert(log.document(), clock);
            }
        }
        if actors > REVOCATION_CUTS_MAX { Err(OwnedError::TooManyCuts) } else { Ok(cuts) }
    }

    /// What someone is called, as it stands in their grant: in a sealed space only members read it, by the key that leads or the one that
    /// an invitation brought.
    pub(in crate::engine) fn note_for(
        &self,
        space: &SpaceId,
        subject: &PeerId,
        note: String,
        brought: Option<&([u8; 32], [u8; 32])>,
        nonce: NoteNonce,
    ) -> Result<Vec<u8>, OwnedError> {
        if !is_sealed(space) {
            return if note.len() > GRANT_NOTE_BYTES_MAX { Err(OwnedError::NoteTooLong) } else { Ok(note.into_bytes()) };
        }
        if note.len() > SEALED_NOTE_BYTES_MAX {
            return Err(OwnedError::NoteTooLong);
        }
        let place = note_place(subject);
        let sealed = match (brought, self.leading(space)) {
            (Some((epoch, key)), _) => {
                let mut keys = Keyring::new(*space);
                keys.put(EpochId(*epoch), EpochKey::new(*key));
                keys.seal_words((EpochId(*epoch), nonce), &place, note.as_bytes())
            }
            (None, Some((epoch, _))) => {
                self.keys_of(space).and_then(|keys| keys.seal_words((epoch, nonce), &place, note.as_bytes()))
            }
            (None, None) => None,
        };
        // Without a key nobody is told, which is better than everybody.
        Ok(sealed.unwrap_or_default())
    }

    /// What someone is called; nothing where it cannot be read here.
    fn note_in(&self, space: &SpaceId, grant: &Grant) -> String {
        if !is_sealed(space) {
            return String::from_utf8_lossy(&grant.note).into_owned();
        }
        let opened = self.keys_of(space).and_then(|keys| keys.open_words(&note_place(&grant.subject), &grant.note));
        String::from_utf8_lossy(&opened.unwrap_or_default()).into_owned()
    }

    pub(in crate::engine) fn begin_call(&mut self, now: Now) {
        self.now = now;
        self.needs_flush = true;
    }

    /// The roll of an owned space.
    pub(in crate::engine) fn roll_of(&self, space: &SpaceId) -> Result<&Roll, OwnedError> {
        if !is_owned(space) {
            return Err(OwnedError::Open(*space));
        }
        let held = self.trust.rolls.get(space);
        held.map(|held| &held.roll).ok_or_else(|| OwnedError::NotGranted {
            space: *space,
            why: "it was granted nothing there: ask a member for an invitation (driftline join)".to_owned(),
        })
    }

    /// By which grant this replica grants on: none where it is the owner.
    pub(in crate::engine) fn own_grant(&self, roll: &Roll, space: SpaceId) -> Result<Option<StatementId>, OwnedError> {
        let own = self.peer_id().ok_or(OwnedError::NotRunning)?;
        if roll.owner() == Some(own) {
            return Ok(None);
        }
        let access = roll.standing().access(&own, self.unix_s());
        match roll.standing().best(&own, self.unix_s()) {
            Some(best) => Ok(Some(best)),
            None => Err(OwnedError::NotGranted { space, why: super::access::why_not(access, space).1 }),
        }
    }

    /// Takes statements of this replica's own making.
    pub(in crate::engine) fn add(&mut self, mut roll: Roll, statements: Vec<Statement>) -> Result<(), OwnedError> {
        let (taken, errors) = roll.take(statements);
        if let Some(error) = errors.into_iter().next() {
            return Err(error.into());
        }
        if !taken.is_empty() {
            self.adopt_roll(roll, &taken, None);
        }
        Ok(())
    }
}

/// Where what someone is called stands, so that it cannot be put beside another's key.
fn note_place(subject: &PeerId) -> Vec<u8> {
    [b"note", &subject.0[..]].concat()
}
