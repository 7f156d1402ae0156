//! What follows from a roll: which grants stand, what each key may do, and up to where its work is accepted.
//!
//! **The rule of revocation.** A grant stands unless a revocation hits it. A revocation hits the grant it names and everything that was
//! granted under it, but for those directly below that it keeps, and what is below these. It counts only while its issuer's own grant
//! is hit by none. It names, for each document and actor, the last entry that is accepted of those it shuts out; every later one
//! is refused everywhere, whenever it was made. Of several that hit a grant the lowest number wins; whoever has several grants
//! has the best of them.
//!
//! **Disavowals** make nobody less than they were: of the actors that one names nothing is accepted in a document but what their keys have vouched for. One of
//! others' actors counts while the grant stands by which it was made, one of its issuer's own always.
//!
//! That is well defined: the issuer of a revocation is above what it hits, so whether it counts is settled from the owner downwards.
//! Nothing of it depends on when something was said or heard, because nobody could prove that.

use super::owned::is_actor_of;
use super::roll::Roll;
use super::statement::{Level, Revocation, StatementId};
use crate::base::id::{ActorId, DocumentId, PeerId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What follows from a roll.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    owner: Option<PeerId>,
    keys: BTreeMap<PeerId, Vec<Held>>,
    revocations: BTreeMap<StatementId, Revocation>,
    /// By document and actor, the last change that counts without its writer's word.
    disavowed: BTreeMap<(DocumentId, ActorId), u64>,
    /// The epoch that leads, of a sealed space.
    epoch: Option<StatementId>,
}

/// A grant as it stands.
#[derive(Clone, Debug)]
struct Held {
    id: StatementId,
    level: Level,
    expires: u64,
    /// Revocations that hit it.
    hits: Vec<StatementId>,
}

/// What a key may do in a space at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// This.
    Granted(Level),
    /// Nothing: what it was granted has ended.
    Expired,
    /// Nothing: what it was granted was taken back.
    Revoked,
    /// Nothing: it was never granted anything.
    Nothing,
}

impl Access {
    /// The level, when there is one.
    pub fn level(self) -> Option<Level> {
        match self {
            Self::Granted(level) => Some(level),
            _ => None,
        }
    }

    /// Whether it is at least this.
    pub fn allows(self, level: Level) -> bool {
        self.level().is_some_and(|granted| granted >= level)
    }
}

impl Standing {
    /// Works it out, from the owner downwards.
    pub(super) fn of(roll: &Roll) -> Self {
        let mut of_target: BTreeMap<StatementId, Vec<(StatementId, &Revocation)>> = BTreeMap::new();
        for (id, revocation) in roll.revocations() {
            of_target.entry(revocation.target).or_default().push((id, revocation));
        }
        let mut hits: BTreeMap<StatementId, BTreeSet<StatementId>> = BTreeMap::new();
        let mut standing = Self { owner: roll.owner(), ..Self::default() };
        for (id, grant) in roll.grants() {
            let mut own = BTreeSet::new();
            if let Some(parent) = grant.parent {
                let keeps = |hit: &StatementId| {
                    of_target.get(&parent).into_iter().flatten().any(|(other, above)| other == hit && above.kept.contains(&id))
                };
                own.extend(hits.get(&parent).into_iter().flatten().filter(|hit| !keeps(hit)).copied());
            }
            for (revocation_id, revocation) in of_target.get(&id).into_iter().flatten() {
                let counts = revocation.parent.is_none_or(|by| hits.get(&by).is_none_or(BTreeSet::is_empty));
                if counts {
                    own.insert(*revocation_id);
                    standing.revocations.insert(*revocation_id, (*revocation).clone());
                }
            }
            let held = Held { id, level: grant.level, expires: grant.expires, hits: own.iter().copied().collect() };
            standing.keys.entry(grant.subject).or_default().push(held);
            hits.insert(id, own);
        }
        let stands = |parent: &Option<StatementId>| parent.is_none_or(|by| hits.get(&by).is_some_and(BTreeSet::is_empty));
        for (_, disavowal) in roll.disavowals().filter(|(_, of)| of.is_of_own() || stands(&of.parent)) {
            for (actor, last) in &disavowal.last {
                let held = standing.disavowed.entry((disavowal.document, *actor)).or_insert(*last);
                *held = (*held).min(*last);
            }
        }
        let leading =
            roll.epochs().filter(|(_, epoch)| stands(&epoch.parent)).max_by_key(|(id, epoch)| (epoch.number, Reverse(*id)));
        standing.epoch = leading.map(|(id, _)| id);
        standing
    }

    /// The epoch under which is written now: of those whose issuer still stands the one with the highest number, and of several the one
    /// with the lowest id.
    pub fn epoch(&self) -> Option<StatementId> {
        self.epoch
    }

    /// Whether a key has, or ever had, a grant of admin level, or is the owner's.
    pub fn was_admin(&self, key: &PeerId) -> bool {
        self.owner == Some(*key) || self.keys.get(key).into_iter().flatten().any(|held| held.level == Level::Admin)
    }

    /// Every key that may do something at a moment, links' and the owner's included.
    pub fn current(&self, unix_s: u64) -> Vec<PeerId> {
        let granted = self.keys.keys().filter(|key| matches!(self.access(key, unix_s), Access::Granted(_)));
        self.owner.iter().chain(granted).copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What a key may do at `unix_s`, in seconds of Unix time.
    pub fn access(&self, key: &PeerId, unix_s: u64) -> Access {
        if self.owner == Some(*key) {
            return Access::Granted(Level::Admin);
        }
        let Some(held) = self.keys.get(key) else { return Access::Nothing };
        let standing = held.iter().filter(|held| held.hits.is_empty());
        let granted = standing.clone().filter(|held| held.is_current(unix_s)).map(|held| held.level).max();
        match granted {
            Some(level) => Access::Granted(level),
            None if standing.count() > 0 => Access::Expired,
            None => Access::Revoked,
        }
    }

    /// The last entry of an actor of a key's that is accepted in a document, whenever it was made; nothing where all are. What a key
    /// wrote before its grant ended stays accepted.
    pub fn accepted(&self, key: &PeerId, document: &DocumentId, actor: &ActorId) -> Option<u64> {
        if self.owner == Some(*key) {
            return None;
        }
        let mut most = 0;
        for held in self.keys.get(key).into_iter().flatten().filter(|held| held.level >= Level::Write) {
            let of_hit = |hit: &StatementId| {
                self.revocations.get(hit).and_then(|revocation| revocation.cuts.get(document)).map_or(0, |cut| cut.get(actor))
            };
            most = most.max(held.hits.iter().map(of_hit).min()?);
        }
        Some(most)
    }

    /// Whose an actor is: a key of the roll's, the owner's included.
    pub fn writer(&self, actor: &ActorId) -> Option<PeerId> {
        self.owner.iter().chain(self.keys.keys()).find(|key| is_actor_of(actor, key)).copied()
    }

    /// Whether anything was revoked: where nothing was, nothing need be looked for that is not accepted.
    pub fn has_revocations(&self) -> bool {
        !self.revocations.is_empty()
    }

    /// Whether there is anything that is not accepted of who was let in: something was revoked, or disavowed.
    pub fn has_cuts(&self) -> bool {
        self.has_revocations() || !self.disavowed.is_empty()
    }

    /// The last change of an actor's in a document that counts without its writer's word, if anyone has disavowed those after it.
    pub fn disavowed(&self, document: &DocumentId, actor: &ActorId) -> Option<u64> {
        self.disavowed.get(&(*document, *actor)).copied()
    }

    /// When the next grant that stands ends after `unix_s`.
    pub fn next_end(&self, unix_s: u64) -> Option<u64> {
        let standing = self.keys.values().flatten().filter(|held| held.hits.is_empty() && held.expires > unix_s);
        standing.map(|held| held.expires).min()
    }

    /// Whether a grant stands, whether or not it has ended.
    pub fn stands(&self, subject: &PeerId, id: &StatementId) -> bool {
        self.keys.get(subject).into_iter().flatten().any(|held| held.id == *id && held.hits.is_empty())
    }

    /// The best grant of a key at a moment: the one of the highest level, and of these the one that ends last.
    pub fn best(&self, key: &PeerId, unix_s: u64) -> Option<StatementId> {
        let held = self.keys.get(key)?.iter().filter(|held| held.hits.is_empty() && held.is_current(unix_s));
        let best = held.max_by_key(|held| (held.level, if held.expires == 0 { u64::MAX } else { held.expires }))?;
        Some(best.id)
    }
}

impl Held {
    fn is_current(&self, unix_s: u64) -> bool {
        self.expires == 0 || unix_s < self.expires
    }
}
