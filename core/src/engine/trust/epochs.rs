//! Keys of sealed spaces: who is given which, and when there is a new one.
//!
//! All of it stands in the roll, so that whoever was away gets it on return from any replica that has the roll. A key is found by what was
//! delivered to this replica's own key, or to the link that it came in by, and by what newer epochs carry. Whoever may, which is the
//! owner and admins, begins a new epoch where someone has the key that leads and no longer stands.

use crate::base::id::{ActorId, DocumentId, PeerId, SpaceId};
use crate::base::limits::EPOCH_CARRIED_MAX;
use crate::engine::effect::TroubleKind;
use crate::engine::stored::StoredLink;
use crate::engine::{Engine, Phase};
use crate::seal::delivery::{deliver, receive};
use crate::seal::key::{EpochId, EpochKey};
use crate::seal::keyring::Keyring;
use crate::store::task::StoreTask;
use crate::sync::hello::Identity;
use crate::trust::epoch::{Delivery, Epoch};
use crate::trust::key::{Ephemeral, Opener, SecretKey};
use crate::trust::owned::{actor_of, is_sealed};
use crate::trust::roll::Roll;
use crate::trust::statement::{Claim, Level, Statement, StatementId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The keys of a space, and who writes with them.
#[derive(Debug)]
pub(in crate::engine) struct Ring {
    pub(in crate::engine) keys: Keyring,
    /// Who makes this replica's changes, in the epoch that leads; nothing without its key.
    pub(in crate::engine) actor: Option<(EpochId, ActorId)>,
    /// The link that this replica came in by, until its own key has been given what the link's was.
    link: Option<StoredLink>,
}

impl Ring {
    pub(in crate::engine) fn new(space: SpaceId) -> Self {
        Self { keys: Keyring::new(space), actor: None, link: None }
    }
}

impl Opener for Identity {
    fn owner(&self) -> PeerId {
        self.peer()
    }

    fn agree(&self, ephemeral: &[u8; 32]) -> Option<[u8; 32]> {
        let shared = Identity::agree(self, ephemeral);
        (shared != [0; 32]).then_some(shared)
    }
}

fn epoch_id(id: &StatementId) -> EpochId {
    EpochId(id.0)
}

/// Keys of epochs that a secret key opens, of those that `keys` lacks.
fn delivered(roll: &Roll, keys: &Keyring, opener: &impl Opener) -> Vec<(EpochId, EpochKey)> {
    let (space, subject) = (roll.space(), opener.owner());
    let mut sealed = Vec::new();
    for (id, epoch) in roll.epochs().filter(|(id, _)| keys.key(&epoch_id(id)).is_none()) {
        sealed.extend(epoch.deliveries.get(&subject).map(|sealed| (id, epoch.ephemeral, *sealed)));
    }
    let later =
        roll.deliveries().filter(|(_, delivery)| delivery.subject == subject && keys.key(&epoch_id(&delivery.epoch)).is_none());
    sealed.extend(later.map(|(_, delivery)| (delivery.epoch, delivery.ephemeral, delivery.sealed)));
    let open = |(id, ephemeral, sealed): (StatementId, [u8; 32], [u8; 48])| {
        let key = receive(&space, &subject, &ephemeral, &opener.agree(&ephemeral)?, &sealed)?;
        is_of(roll, &id, &key).then_some((epoch_id(&id), key))
    };
    sealed.into_iter().filter_map(open).collect()
}

/// Whether a key is an epoch's.
fn is_of(roll: &Roll, id: &StatementId, key: &EpochKey) -> bool {
    roll.epoch(id).is_some_and(|epoch| epoch.commitment == key.commitment(&roll.space()))
}

/// Keys of earlier epochs that those at hand carry.
fn carried(roll: &Roll, keys: &mut Keyring) {
    let space = roll.space();
    let mut from: Vec<EpochId> = keys.epochs().collect();
    while let Some(later) = from.pop() {
        let Some((epoch, key)) = roll.epoch(&StatementId(later.0)).zip(keys.key(&later).cloned()) else { continue };
        for (id, sealed) in &epoch.carried {
            let before = epoch_id(id);
            if keys.key(&before).is_none()
                && let Some(key) = key.carried(&space, &before, sealed).filter(|key| is_of(roll, id, key))
            {
                keys.put(before, key);
                from.push(before);
            }
        }
    }
}

impl Engine {
    /// Who makes this replica's changes in a sealed space; someone who writes nothing where the key is not here.
    pub(in crate::engine) fn sealing_actor(&self, space: &SpaceId) -> Option<ActorId> {
        self.seals.rings.get(space)?.actor.map(|(_, actor)| actor)
    }

    /// The epoch that leads in a space, with its key, if it is here.
    pub(in crate::engine) fn leading(&self, space: &SpaceId) -> Option<(EpochId, &EpochKey)> {
        let leading = epoch_id(&self.trust.rolls.get(space)?.roll.standing().epoch()?);
        self.keys_of(space)?.key(&leading).map(|key| (leading, key))
    }

    /// Names in a sealed space of the document of what has this digest: in the epoch that leads first, then in those before it, of which the
    /// latest come first. None where no key is here.
    pub fn names_of_bytes(&self, space: &SpaceId, digest: &[u8; 32]) -> Vec<DocumentId> {
        let held = self.trust.rolls.get(space).map(|held| &held.roll);
        let Some((roll, keys)) = held.zip(self.keys_of(space)) else { return Vec::new() };
        let leading = roll.standing().epoch();
        let number = |id: &EpochId| roll.epoch(&StatementId(id.0)).map_or(0, |epoch| epoch.number);
        let mut epochs: Vec<EpochId> = keys.epochs().collect();
        epochs.sort_by_key(|id| (Some(StatementId(id.0)) != leading, Reverse(number(id)), *id));
        epochs.iter().filter_map(|epoch| keys.name_of_bytes(epoch, digest)).collect()
    }

    /// Takes up the link that a store holds, by which this replica came into a space.
    pub(in crate::engine) fn load_links(&mut self, meta: &[(String, Vec<u8>)]) {
        for link in meta.iter().filter_map(|(name, value)| StoredLink::read(name, value)) {
            let space = link.space;
            self.seals.rings.entry(space).or_insert_with(|| Ring::new(space)).link = Some(link);
        }
    }

    /// Keeps the link that this replica comes into a sealed space by, until its own key was given what the link's was.
    pub(in crate::engine) fn keep_link(&mut self, link: StoredLink) {
        let space = link.space;
        let (key, value) = link.write();
        self.store(crate::engine::logs::Work::Meta, StoreTask::PutMeta { key, value });
        self.seals.rings.entry(space).or_insert_with(|| Ring::new(space)).link = Some(link);
    }

    /// Looks for the keys that this replica was given, and takes up what they open.
    fn find_keys(&mut self, space: SpaceId) {
        let is_out = self.own_access(&space).level().is_none();
        let Phase::Running { identity, .. } = &self.phase else { return };
        let Some(roll) = self.trust.rolls.get(&space).map(|held| &held.roll) else { return };
        let ring = self.seals.rings.entry(space).or_insert_with(|| Ring::new(space));
        let before = ring.keys.epochs().count();
        let mut found = delivered(roll, &ring.keys, identity);
        if let Some(link) = &ring.link {
            found.extend(delivered(roll, &ring.keys, &SecretKey::new(&link.secret)));
            let brought = link.key.as_ref().filter(|(epoch, key)| is_of(roll, &StatementId(epoch.0), key));
            found.extend(brought.cloned());
        }
        for (epoch, key) in found {
            ring.keys.put(epoch, key);
        }
        carried(roll, &mut ring.keys);
        let is_new = ring.keys.epochs().count() > before;
        let leading = match roll.standing().epoch().map(|id| epoch_id(&id)).filter(|leading| ring.keys.key(leading).is_some()) {
            // What someone who was shut out goes on writing stays with them: under the last key that they had.
            None if is_out => {
                let held = roll.epochs().filter(|(id, _)| ring.keys.key(&epoch_id(id)).is_some());
                held.max_by_key(|(id, epoch)| (epoch.number, *id)).map(|(id, _)| epoch_id(&id))
            }
            leading => leading,
        };
        let is_over = ring.actor.map(|(epoch, _)| epoch) != leading;
        if is_over {
            self.draw_actor(space, leading);
        }
        if is_new || is_over {
            self.on_keys_found(space);
        }
        if is_new {
            self.show_presences_anew(space);
            self.cut_back(space);
        }
    }

    /// Writes under another name from now on: an actor writes in one epoch only.
    pub(in crate::engine) fn draw_actor(&mut self, space: SpaceId, leading: Option<EpochId>) {
        let drawn: [u8; 4] = self.rng.bytes();
        let Some((own, ring)) = self.peer_id().zip(self.seals.rings.get_mut(&space)) else { return };
        ring.actor = leading.map(|epoch| {
            let mut nonce = [0; 8];
            nonce[..4].copy_from_slice(&epoch.tag());
            nonce[4..].copy_from_slice(&drawn);
            (epoch, actor_of(&own, &nonce))
        });
    }

    /// The same, in the epoch in which it writes.
    pub(in crate::engine) fn draw_actor_anew(&mut self, space: SpaceId) {
        let epoch = self.seals.rings.get(&space).and_then(|ring| ring.actor).map(|(epoch, _)| epoch);
        self.draw_actor(space, epoch);
        self.on_keys_found(space);
    }

    /// Sees to it that whoever stands has the key of a space, and nobody else the one that leads.
    pub(in crate::engine) fn tend_keys(&mut self, space: SpaceId) {
        if !is_sealed(&space) || self.is_relay() {
            return;
        }
        self.find_keys(space);
        let Some(roll) = self.trust.rolls.get(&space).map(|held| &held.roll) else { return };
        let mut statements = Vec::new();
        if self.wants_epoch(roll) {
            let roll = roll.clone();
            statements.extend(self.new_epoch(&roll));
        } else {
            let missing = self.without_key(roll);
            let roll = roll.clone();
            for subject in missing {
                statements.extend(self.delivery_to(&roll, subject));
            }
        }
        if !statements.is_empty() {
            let (mut roll, before) = (self.trust.rolls[&space].roll.clone(), self.trust.rolls[&space].roll.fingerprint());
            let (taken, errors) = roll.take(statements);
            if let Some(error) = errors.first() {
                let message = format!("a key of space {space} could not be handed on: {error}");
                self.trouble(TroubleKind::Refused, None, None, message);
            }
            if roll.fingerprint() != before {
                self.adopt_roll(roll, &taken, None);
            }
        }
        self.let_go_of_link(space);
    }

    /// Lets go of the link that this replica came in by, once its own key was given what leads.
    fn let_go_of_link(&mut self, space: SpaceId) {
        let Some((roll, own)) = self.trust.rolls.get(&space).map(|held| &held.roll).zip(self.peer_id()) else { return };
        let has_own = roll.standing().epoch().is_some_and(|leading| recipients(roll, &leading).contains(&own));
        let Some(link) = self.seals.rings.get_mut(&space).filter(|_| has_own).and_then(|ring| ring.link.take()) else { return };
        let (key, _) = link.write();
        self.store(crate::engine::logs::Work::Meta, StoreTask::PutMeta { key, value: Vec::new() });
    }

    /// By which grant this replica may begin an epoch: none where it is the owner. Nothing where it may not.
    fn admin_grant(&self, roll: &Roll) -> Option<Option<StatementId>> {
        let own = self.peer_id()?;
        if roll.owner() == Some(own) {
            return Some(None);
        }
        let best = roll.standing().best(&own, self.unix_s())?;
        roll.grant(&best).filter(|grant| grant.level == Level::Admin).map(|_| Some(best))
    }

    /// Whether this replica should begin an epoch: none leads, or one whose key someone has who no longer stands.
    fn wants_epoch(&self, roll: &Roll) -> bool {
        if self.admin_grant(roll).is_none() {
            return false;
        }
        // The first is the owner's; who has just come does not know of it yet.
        let Some(leading) = roll.standing().epoch() else { return roll.owner() == self.peer_id() };
        // Without its key the next would not come after it, and would not lead.
        if self.keys_of(&roll.space()).is_none_or(|keys| keys.key(&epoch_id(&leading)).is_none()) {
            return false;
        }
        let current: BTreeSet<PeerId> = roll.standing().current(self.unix_s()).into_iter().collect();
        !recipients(roll, &leading).is_subset(&current)
    }

    /// Whom this replica should bring the key that leads: itself, where it came by a link; and, where it may begin epochs, all who stand
    /// and have no other way to it.
    fn without_key(&self, roll: &Roll) -> Vec<PeerId> {
        let (Some(own), Some(leading)) = (self.peer_id(), roll.standing().epoch()) else { return Vec::new() };
        if self.leading(&roll.space()).is_none() {
            return Vec::new();
        }
        let have = recipients(roll, &leading);
        let has_link_with_it = |subject: &PeerId| {
            let parents =
                roll.grants().into_iter().filter(|(_, grant)| grant.subject == *subject).filter_map(|(_, grant)| grant.parent);
            parents.filter_map(|parent| roll.grant(&parent)).any(|link| link.is_link && have.contains(&link.subject))
        };
        // Who was once given a key as themselves has let go of the link since.
        let has_had_own = |subject: &PeerId| roll.epochs().any(|(id, _)| recipients(roll, &id).contains(subject));
        let has_way = |subject: &PeerId| has_link_with_it(subject) && !has_had_own(subject);
        let is_admin = self.admin_grant(roll).is_some();
        let lacks = |subject: &PeerId| !have.contains(subject) && (*subject == own || is_admin && !has_way(subject));
        roll.standing().current(self.unix_s()).into_iter().filter(lacks).collect()
    }

    /// A statement that begins an epoch after those of a roll: its key for all who stand in it. Nothing where this replica may not.
    pub(in crate::engine) fn new_epoch(&mut self, roll: &Roll) -> Option<Statement> {
        let space = roll.space();
        let parent = self.admin_grant(roll)?;
        let empty = Keyring::new(space);
        let before: BTreeSet<StatementId> = roll.epochs().flat_map(|(_, epoch)| epoch.carried.keys()).copied().collect();
        let last: Vec<StatementId> = roll.epochs().map(|(id, _)| id).filter(|id| !before.contains(id)).collect();
        let (key, drawn): (EpochKey, [u8; 32]) = (EpochKey::new(self.rng.bytes()), self.rng.bytes());
        let keys = self.keys_of(&space).unwrap_or(&empty);
        let mut carried: BTreeMap<StatementId, [u8; 48]> = BTreeMap::new();
        let mut number = 1;
        for id in last.iter().rev() {
            if let Some((epoch, held)) = roll.epoch(id).zip(keys.key(&epoch_id(id))).filter(|_| carried.len() < EPOCH_CARRIED_MAX)
            {
                carried.insert(*id, key.carry(&space, &epoch_id(id), held));
                number = number.max(epoch.number + 1);
            }
        }
        let ephemeral = Ephemeral::new(drawn);
        let public = ephemeral.public();
        let seal = |subject: PeerId| Some((subject, deliver(&space, &subject, &public, &ephemeral.agree(&subject)?, &key)));
        let deliveries = roll.standing().current(self.unix_s()).into_iter().filter_map(seal).collect();
        let Phase::Running { identity, .. } = &self.phase else { return None };
        let commitment = key.commitment(&space);
        let epoch = Epoch { issuer: identity.peer(), parent, number, commitment, ephemeral: public, carried, deliveries };
        Some(Statement::sign(&space, Claim::Epoch(epoch), identity))
    }

    /// A statement that brings someone the key that leads; nothing where that is not here.
    pub(in crate::engine) fn delivery_to(&mut self, roll: &Roll, subject: PeerId) -> Option<Statement> {
        let space = roll.space();
        let ephemeral = Ephemeral::new(self.rng.bytes());
        let own = self.peer_id()?;
        let parent = if roll.owner() == Some(own) { None } else { Some(roll.standing().best(&own, self.unix_s())?) };
        let leading = roll.standing().epoch()?;
        let key = self.keys_of(&space)?.key(&epoch_id(&leading))?;
        let public = ephemeral.public();
        let sealed = deliver(&space, &subject, &public, &ephemeral.agree(&subject)?, key);
        let Phase::Running { identity, .. } = &self.phase else { return None };
        let delivery = Delivery { issuer: own, parent, epoch: leading, subject, ephemeral: public, sealed };
        Some(Statement::sign(&space, Claim::Delivery(delivery), identity))
    }
}

/// Who was brought the key of an epoch.
fn recipients(roll: &Roll, epoch: &StatementId) -> BTreeSet<PeerId> {
    let with_it = roll.epoch(epoch).into_iter().flat_map(|epoch| epoch.deliveries.keys()).copied();
    let later = roll.deliveries().filter(|(_, delivery)| delivery.epoch == *epoch).map(|(_, delivery)| delivery.subject);
    with_it.chain(later).collect()
}
