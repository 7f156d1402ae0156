//! Attestations on their way: this replica vouches for what it writes in owned spaces, and keeps and passes on what others vouch for.
//!
//! Under typing one is made a second, and never one for each change: it vouches for all before it. What it vouches for is compared
//! with what is held when either comes. Those of a document go to a peer before the entries that they are about, so that it can take
//! what others wrote; a writer's newest entries go before the word for them.

use super::effect::TroubleKind;
use super::logs::Work;
use super::stored::StoredAttestation;
use super::timers::Timer;
use super::trust::Right;
use super::{Engine, Phase};
use crate::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId, PeerId, SpaceId};
use crate::base::limits::{ATTESTATIONS_MAX, ATTESTATIONS_PER_SPACE_MAX, ATTESTED_TOLD_MAX};
use crate::doc::document::Document;
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::log::Log;
use crate::log::tree::Fingerprint;
use crate::store::task::StoreTask;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::attestation::{Attestation, AttestationError};
use crate::trust::owned::{is_actor_of, is_owned};
use crate::trust::statement::Level;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Milliseconds between two attestations of this replica's own.
const ATTEST_MS: u64 = 1_000;
/// Attestations that a peer is sent which holds others: those that were taken last.
const LATEST_MAX: usize = 256;

/// What keys vouch for, by document and actor: of each the newest.
#[derive(Debug, Default)]
pub(super) struct Attests {
    held: BTreeMap<DocumentId, BTreeMap<ActorId, Held>>,
    states: BTreeMap<SpaceId, Fingerprint>,
    /// In the order in which they were taken.
    latest: BTreeMap<u64, (DocumentId, ActorId)>,
    taken: u64,
    /// This replica's newest changes that it has not vouched for.
    unvouched: BTreeMap<(SpaceId, DocumentId, ActorId), (u64, ChangeHash)>,
    vouched_ms: Option<u64>,
    /// What was taken since the last drain, and from whom.
    fresh: BTreeMap<(SpaceId, DocumentId), BTreeSet<ConnectionId>>,
}

/// A change of this replica's that is its actor's newest in a document, with its number and its name.
type Unvouched = ((SpaceId, DocumentId, ActorId), (u64, ChangeHash));

#[derive(Debug)]
struct Held {
    attestation: Attestation,
    space: SpaceId,
    number: u64,
    /// Over which connection it came.
    source: Option<ConnectionId>,
}

/// Who wrote a part of a document, and how much of that is vouched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorship {
    /// The actor.
    pub actor: ActorId,
    /// Its key; nothing in an open space, where an actor is nobody's.
    pub writer: Option<PeerId>,
    /// How many changes are held of it.
    pub changes: u64,
    /// How many of these its key has vouched for.
    pub attested: u64,
}

impl Attests {
    fn get(&self, document: &DocumentId, actor: &ActorId) -> Option<&Held> {
        self.held.get(document)?.get(actor)
    }

    fn put(&mut self, space: SpaceId, attestation: Attestation, source: Option<ConnectionId>) {
        let (document, actor) = (attestation.document, attestation.actor);
        self.take(&document, &actor);
        self.taken += 1;
        let number = self.taken;
        let state = self.states.entry(space).or_default();
        *state = state.plus(stands_for(&attestation));
        self.latest.insert(number, (document, actor));
        self.held.entry(document).or_default().insert(actor, Held { attestation, space, number, source });
    }

    /// Forgets what is held of a document.
    #[cfg(test)]
    pub(super) fn forget(&mut self, document: &DocumentId) {
        let actors: Vec<ActorId> = self.held.get(document).into_iter().flatten().map(|(actor, _)| *actor).collect();
        for actor in actors {
            self.take(document, &actor);
        }
    }

    /// Takes away what is held of an actor.
    fn take(&mut self, document: &DocumentId, actor: &ActorId) -> Option<Attestation> {
        let of_document = self.held.get_mut(document)?;
        let held = of_document.remove(actor)?;
        if of_document.is_empty() {
            self.held.remove(document);
        }
        self.latest.remove(&held.number);
        let state = self.states.entry(held.space).or_default();
        *state = state.minus(stands_for(&held.attestation));
        Some(held.attestation)
    }
}

fn stands_for(attestation: &Attestation) -> Fingerprint {
    let mut digest = [0; 16];
    digest.copy_from_slice(&attestation.hash.0[..16]);
    Fingerprint::of(&digest)
}

impl Engine {
    /// Who wrote what in a document, as far as it is held here, in the actors' order.
    pub fn authorship(&self, document: &DocumentId) -> Vec<Authorship> {
        let Some(log) = self.log(document) else { return Vec::new() };
        let standing = self.trust.rolls.get(&log.space()).map(|held| held.roll.standing());
        let of = |(actor, changes): (&ActorId, u64)| Authorship {
            actor: *actor,
            writer: standing.and_then(|standing| standing.writer(actor)),
            changes,
            attested: self.attested(document, actor).min(changes),
        };
        log.version().clock.iter().map(of).collect()
    }

    /// Up to which of its changes in a document an actor's key has vouched for them, 0 for none.
    pub fn attested(&self, document: &DocumentId, actor: &ActorId) -> u64 {
        self.attests.get(document, actor).map_or(0, |held| held.attestation.seq)
    }

    /// What came in words of a space over connections: who sent the word, and for up to which change of which actor in which document.
    pub(super) fn words_of(&self, space: &SpaceId) -> Vec<(ConnectionId, DocumentId, ActorId, u64)> {
        let of_documents = self.attests.held.values().flat_map(BTreeMap::values).filter(|held| held.space == *space);
        let word = |held: &Held| {
            let Attestation { document, actor, seq, .. } = held.attestation;
            Some((held.source?, document, actor, seq))
        };
        of_documents.filter_map(word).collect()
    }

    /// What stands for the attestations held of a space.
    pub(super) fn attested_state(&self, space: &SpaceId) -> Fingerprint {
        self.attests.states.get(space).copied().unwrap_or_default()
    }

    /// Who makes this replica's changes in a space.
    pub(super) fn actor_for(&self, space: &SpaceId) -> Option<ActorId> {
        let Phase::Running { actor, owned_actor, .. } = &self.phase else { return None };
        Some(match is_owned(space) {
            true => self.sealing_actor(space).unwrap_or(*owned_actor),
            false => *actor,
        })
    }

    /// Who makes this replica's changes in a document.
    pub(super) fn actor_in(&self, document: &DocumentId) -> Option<ActorId> {
        let space = self.locations.get(document).copied().or_else(|| self.documents.space_of(document));
        self.actor_for(&space.unwrap_or(SpaceId([0; 16])))
    }

    /// Takes up attestations that the store holds.
    pub(super) fn load_attestations(&mut self, meta: &[(String, Vec<u8>)]) {
        // It was checked before it was stored; `driftline verify` checks it again.
        for (space, attestation) in meta.iter().filter_map(|(name, value)| StoredAttestation::read(name, value)) {
            self.attests.put(space, attestation, None);
        }
        self.vouch_for_earlier();
    }

    /// Looks for changes that this replica made under earlier actors and has not vouched for: it ended within the second. Those that only
    /// a snapshot holds stay as they are.
    fn vouch_for_earlier(&mut self) {
        let Some(own) = self.peer_id() else { return };
        let mut missed = Vec::new();
        for (space, held) in self.spaces.iter().filter(|(space, _)| is_owned(space)) {
            for log in held.space.documents() {
                for (actor, seq) in log.version().clock.iter() {
                    if self.attested(&log.document(), actor) < seq && is_actor_of(actor, &own) {
                        missed.push((*space, log.document(), log.version().clock.clone(), (*actor, seq)));
                    }
                }
            }
        }
        for (space, document, clock, change) in missed {
            self.read_change(Work::Vouch { space }, document, clock, change);
        }
    }

    /// Notes a change of this replica's own that is to be vouched for.
    pub(super) fn vouch_soon(&mut self, space: SpaceId, entry: &Entry) {
        if is_owned(&space) {
            self.attests.unvouched.insert((space, entry.document, entry.actor), (entry.seq, entry.hash));
        }
    }

    /// Vouches for this replica's newest changes where members are connected that pass them on: they may only once they have its word, so that goes
    /// first.
    pub(super) fn attest_to_members(&mut self) {
        let is_member = |connection: &ConnectionId| {
            let peer = self.sessions.get(connection).and_then(|session| session.peer.as_ref());
            peer.is_some_and(|peer| !peer.relay)
        };
        let has_members = |space: &SpaceId| self.spaces.get(space).is_some_and(|held| held.sessions.iter().any(is_member));
        let due = self.due_to_vouch().into_iter().filter(|((space, _, _), _)| has_members(space)).collect();
        self.vouch(due);
    }

    /// This replica's newest changes that it has not vouched for. What a reader writes stays here, and waits until it may write.
    fn due_to_vouch(&self) -> Vec<Unvouched> {
        let unvouched = self.attests.unvouched.iter().map(|(of, newest)| (*of, *newest));
        unvouched.filter(|((space, _, _), _)| self.own_access(space).allows(Level::Write)).collect()
    }

    fn vouch(&mut self, due: Vec<Unvouched>) {
        for ((space, document, actor), newest) in due {
            let Phase::Running { identity, .. } = &self.phase else { return };
            let attestation = Attestation::sign(&space, document, actor, newest, identity);
            self.attests.unvouched.remove(&(space, document, actor));
            self.attests.vouched_ms = Some(self.now.monotonic_ms);
            self.keep_attestation(space, attestation, None);
        }
    }

    /// Up to where of a log a peer may be sent it: it takes what others wrote only where they have vouched for it, unless this replica is a relay that it
    /// dialled. What stands behind that waits for their word.
    pub(super) fn vouched_end(&self, connection: ConnectionId, log: &Log, end: u64) -> u64 {
        let (space, document) = (log.space(), log.document());
        // Most spaces are open, and this is asked for each frame to each peer.
        if !is_owned(&space) {
            return end;
        }
        let Some(session) = self.sessions.get(&connection) else { return end };
        if self.is_relay() && session.endpoint.is_none() {
            return end;
        }
        let Some(standing) = self.trust.rolls.get(&space).map(|held| held.roll.standing()) else { return end };
        let delta = session.subscriptions.get(&space).and_then(|subscription| subscription.deltas.get(&document));
        let (Some(delta), own) = (delta, self.peer_id()) else { return end };
        let Some(mut tail) = log.tail_after(delta.cursor()) else { return end };
        let peer = session.peer.as_ref().map(|peer| peer.id);
        let first = tail.find(|(position, entry)| {
            *position <= end
                && self.attested(&document, &entry.actor) < entry.seq
                && !delta.peer_holds().covers(&entry.actor, entry.seq)
                && standing.writer(&entry.actor).is_some_and(|writer| Some(writer) != own && Some(writer) != peer)
        });
        first.map_or(end, |(position, _)| position - 1)
    }

    /// Vouches for this replica's newest changes, at most once a second, and passes on what others have vouched for.
    pub(super) fn attest(&mut self) {
        let now_ms = self.now.monotonic_ms;
        let due_ms = self.attests.vouched_ms.map_or(0, |last| last + ATTEST_MS);
        let due = self.due_to_vouch();
        if !due.is_empty() && now_ms < due_ms && !self.pace.is_hurried() {
            self.timers.set_no_later(Timer::Attest, due_ms);
        } else {
            self.vouch(due);
        }
        for ((space, document), sources) in std::mem::take(&mut self.attests.fresh) {
            let connections: Vec<ConnectionId> =
                self.spaces.get(&space).map_or_else(Vec::new, |held| held.sessions.iter().copied().collect());
            for connection in connections.into_iter().filter(|connection| !sources.contains(connection)) {
                self.send_attestations_of(connection, space, document);
            }
        }
    }

    /// Keeps an attestation that was checked, and has it passed on.
    fn keep_attestation(&mut self, space: SpaceId, attestation: Attestation, source: Option<ConnectionId>) {
        let document = attestation.document;
        let (key, value) = StoredAttestation::write(&space, &attestation);
        self.attests.put(space, attestation, source);
        self.store(Work::Meta, StoreTask::PutMeta { key, value });
        self.attests.fresh.entry((space, document)).or_default().extend(source);
        // What waited for this word goes now.
        if let Some(held) = self.spaces.get(&space) {
            self.pushes.note(space, document, held.sessions.iter().copied());
        }
        self.needs_flush = true;
    }

    /// Sends a peer what it was not sent of the attestations of a document. A word for what is not held here would have the peer miss what this replica
    /// cannot send: it goes with that.
    pub(super) fn send_attestations_of(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) {
        if !is_owned(&space) || !self.speaks_of(connection, &space) {
            return;
        }
        let Some(held) = self.attests.held.get(&document) else { return };
        let peer = self.trust.peers.entry((connection, space)).or_default();
        let told = peer.attested.get(&document).copied().unwrap_or(0);
        let newer = held.values().filter(|held| held.number > told && held.space == space);
        let is_waiting = self.mirrors.is_held(&document);
        let log = self.spaces.get(&space).and_then(|held| held.space.log(&document));
        let clock = log.map(|log| if is_waiting { &log.durable().clock } else { &log.version().clock });
        let is_held = |held: &&Held| clock.is_some_and(|clock| clock.covers(&held.attestation.actor, held.attestation.seq));
        let (newer, early): (Vec<&Held>, Vec<&Held>) = newer.partition(is_held);
        let Some(newest) = newer.iter().map(|held| held.number).max() else { return };
        let newest = early.iter().map(|held| held.number - 1).min().map_or(newest, |before| before.min(newest));
        if peer.attested.len() >= ATTESTED_TOLD_MAX {
            peer.attested.clear();
        }
        peer.attested.insert(document, newest);
        let items = newer.into_iter().map(|held| Arc::from(held.attestation.to_bytes())).collect();
        for attestations in self.portions_for(connection, items) {
            self.send(connection, &Message::Attestations { space, attestations });
        }
    }

    /// Sends a peer that holds other attestations those that were taken last, once on a connection.
    pub(super) fn send_latest_attestations(&mut self, connection: ConnectionId, space: SpaceId) {
        let peer = self.trust.peers.entry((connection, space)).or_default();
        if std::mem::replace(&mut peer.told_attested, true) {
            return;
        }
        let latest = self.attests.latest.values().rev().filter_map(|(document, actor)| self.attests.get(document, actor));
        let is_held = |held: &&Held| {
            let log = self.spaces.get(&space).and_then(|space| space.space.log(&held.attestation.document));
            log.is_some_and(|log| log.durable().clock.covers(&held.attestation.actor, held.attestation.seq))
        };
        let items: Vec<Arc<[u8]>> = latest
            .filter(|held| held.space == space)
            .filter(is_held)
            .take(LATEST_MAX)
            .map(|held| Arc::from(held.attestation.to_bytes()))
            .collect();
        if !items.is_empty() {
            for attestations in self.portions_for(connection, items) {
                self.send(connection, &Message::Attestations { space, attestations });
            }
        }
    }

    pub(super) fn on_attestations(&mut self, connection: ConnectionId, space: SpaceId, attestations: &[Arc<[u8]>]) {
        if !is_owned(&space) || !self.right(connection, &space).reads() {
            let text = format!("nothing can be vouched for in space {space} on this connection");
            return self.send(connection, &Message::Error { code: ErrorCode::BadAttestation, document: None, text });
        }
        // Checking signatures is what costs: behind a false one nothing is looked at.
        for bytes in attestations {
            let (document, error) = match Attestation::decode(bytes) {
                Ok(attestation) => (Some(attestation.document), self.take_attestation(connection, space, attestation).err()),
                Err(error) => (None, Some(error)),
            };
            match error {
                None | Some(AttestationError::Older) => {}
                Some(error) => return self.on_bad_attestation(connection, space, document, &error),
            }
        }
    }

    fn on_bad_attestation(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: Option<DocumentId>,
        error: &AttestationError,
    ) {
        let text = format!("an attestation in space {space} was not taken: {error}");
        if *error == AttestationError::OtherChange {
            self.trouble(TroubleKind::Forked, document, Some(connection), text.clone());
        }
        self.send(connection, &Message::Error { code: ErrorCode::BadAttestation, document, text });
    }

    fn take_attestation(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        attestation: Attestation,
    ) -> Result<(), AttestationError> {
        let (document, actor, seq) = (attestation.document, attestation.actor, attestation.seq);
        let held = self.attests.get(&document, &actor);
        if held.is_some_and(|held| held.attestation == attestation) {
            return Ok(());
        }
        let Some(roll) = self.trust.rolls.get_mut(&space) else { return Ok(()) };
        // Nobody's word is kept who may not write, or after the last that is accepted of them.
        let writer = roll.writer(&actor).filter(|writer| *writer == attestation.signer).ok_or(AttestationError::NotItsActors)?;
        if let Some((code, text)) = self.refusal_of(Right::Carrier, space, document, actor, seq, writer) {
            self.tell_refused(connection, space, document, code, text);
            return Ok(());
        }
        if self.locations.get(&document).is_some_and(|held| *held != space) {
            return Err(AttestationError::Signature);
        }
        attestation.check(&space, held.map(|held| &held.attestation))?;
        let held_here = self.change_held(&document, &actor, seq);
        if held_here.is_some_and(|hash| hash != attestation.hash) {
            return Err(AttestationError::OtherChange);
        }
        let is_new = held.is_none();
        let room =
            self.attested_state(&space).count < ATTESTATIONS_PER_SPACE_MAX as u64 && self.attests.latest.len() < ATTESTATIONS_MAX;
        if !is_new || room {
            self.keep_attestation(space, attestation, Some(connection));
            let clock = self.log(&document).map(|log| log.version().clock.clone()).unwrap_or_default();
            if !clock.covers(&actor, seq) {
                self.watch_for_held_back(&space);
            }
            if held_here.is_none() && clock.covers(&actor, seq) {
                self.read_change(Work::Compare { space, document }, document, clock, (actor, seq));
            }
        }
        Ok(())
    }

    /// Reads one change of an actor's from the store; nothing is read where only a snapshot holds it.
    fn read_change(&mut self, work: Work, document: DocumentId, mut above: VectorClock, (actor, seq): (ActorId, u64)) {
        above.lower(&actor, seq - 1);
        self.read(work, document, above, 0, 1);
    }

    /// Compares a change that the store held with its writer's word, and lets go of the word if it is for another.
    pub(super) fn on_to_compare(&mut self, space: SpaceId, document: DocumentId, entry: Option<&Arc<Entry>>) {
        let Some(entry) = entry else { return };
        let held = self.attests.get(&document, &entry.actor);
        if !held.is_some_and(|held| held.attestation.seq == entry.seq && held.attestation.hash != entry.hash) {
            return;
        }
        let text = format!("document {document} of space {space}: {}", AttestationError::OtherChange);
        self.trouble(TroubleKind::Forked, Some(document), None, text);
        if let Some(gone) = self.attests.take(&document, &entry.actor) {
            let (key, _) = StoredAttestation::write(&space, &gone);
            self.store(Work::Meta, StoreTask::PutMeta { key, value: Vec::new() });
        }
    }

    /// The change of an actor's under a number, where it is among the newest.
    fn change_held(&self, document: &DocumentId, actor: &ActorId, seq: u64) -> Option<ChangeHash> {
        let log = self.log(document)?;
        log.tail_until(log.end()).find(|entry| entry.actor == *actor && entry.seq == seq).map(|entry| entry.hash)
    }

    /// Whether an entry is the change that its actor's key vouches for under its number, if it vouches for that one; says so if not.
    pub(super) fn is_vouched_change(&mut self, connection: ConnectionId, space: SpaceId, entry: &Entry) -> bool {
        let held = self.attests.get(&entry.document, &entry.actor);
        let is_other = held.is_some_and(|held| held.attestation.seq == entry.seq && held.attestation.hash != entry.hash);
        if is_other {
            self.on_bad_attestation(connection, space, Some(entry.document), &AttestationError::OtherChange);
        }
        !is_other
    }

    /// Whether a document that was put together has every change that is vouched for, as far as it goes.
    pub(super) fn is_as_attested(&self, space: &SpaceId, document: &Document) -> bool {
        let Some(held) = self.attests.held.get(&document.id()).filter(|_| is_owned(space)) else { return true };
        let version = document.version();
        let within: BTreeMap<(ActorId, u64), ChangeHash> = held
            .values()
            .filter(|held| version.clock.covers(&held.attestation.actor, held.attestation.seq))
            .map(|held| ((held.attestation.actor, held.attestation.seq), held.attestation.hash))
            .collect();
        within.is_empty()
            || document.entries().iter().all(|entry| {
                let is_it = |hash: &ChangeHash| self.name_of(space, document, &entry.hash).as_ref() == Some(hash);
                within.get(&(entry.actor, entry.seq)).is_none_or(is_it)
            })
    }
}
