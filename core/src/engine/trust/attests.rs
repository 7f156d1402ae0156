//! Attestations on their way: this replica vouches for what it writes in owned spaces, and keeps and passes on what others vouch for.
//!
//! Under typing one is made a second, and never one for each change: it vouches for all before it. What it vouches for is compared
//! with what is held when either comes. Those of a document go to a peer before the entries that they are about, so that it can take
//! what others wrote; a writer's newest entries go before the word for them.

use super::access::Right;
use super::words::{Word, Words};
use crate::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId, PeerId, SpaceId};
use crate::base::limits::{ATTESTATIONS_MAX, ATTESTATIONS_PER_SPACE_MAX, ATTESTED_TOLD_MAX};
use crate::doc::document::Document;
use crate::engine::effect::TroubleKind;
use crate::engine::keeping::Kept;
use crate::engine::logs::Work;
use crate::engine::stored::StoredAttestation;
use crate::engine::timers::Timer;
use crate::engine::{Engine, Phase};
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::log::Log;
use crate::log::tree::Fingerprint;
use crate::store::task::StoredEntry;
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

/// What is vouched for, and what is to be.
#[derive(Debug, Default)]
pub(in crate::engine) struct Attests {
    pub(in crate::engine) words: Words,
    /// This replica's newest changes that it has not vouched for.
    unvouched: BTreeMap<(SpaceId, DocumentId, ActorId), (u64, ChangeHash)>,
    vouched_ms: Option<u64>,
    /// Of which documents some were taken since the last drain.
    fresh: BTreeSet<(SpaceId, DocumentId)>,
    /// Words that the append under way tells the store of: of whom, and up to which change.
    writing: Vec<(DocumentId, ActorId, u64)>,
}

/// A change of this replica's that is its actor's newest in a document, with its number and its name.
type Unvouched = ((SpaceId, DocumentId, ActorId), (u64, ChangeHash));

/// What a connection was told of the words for a document: those up to a number, but some that it could not be told yet.
#[derive(Debug, Default)]
pub(in crate::engine) struct Told {
    number: u64,
    early: BTreeSet<u64>,
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

impl Engine {
    /// Who wrote what in a document, as far as it is held here, in the actors' order.
    pub fn authorship(&self, document: &DocumentId) -> Vec<Authorship> {
        let Some(log) = self.log(document) else { return Vec::new() };
        let standing = self.trust.rolls.get(&log.space()).map(|held| held.roll.standing());
        let of = |(actor, changes): (&ActorId, u64)| Authorship {
            actor: *actor,
            writer: standing.and_then(|standing| standing.writer(actor)),
            changes,
            attested: self.vouched_held(&log.space(), document, actor).min(changes),
        };
        log.version().clock.iter().map(of).collect()
    }

    /// Up to which of its changes in a document an actor's key has vouched for them, 0 for none.
    pub fn attested(&self, document: &DocumentId, actor: &ActorId) -> u64 {
        self.attests.words.newest(document, actor).map_or(0, |word| word.attestation.seq)
    }

    /// What came in words of a space over connections: who sent the word, and for up to which change of which actor in which document.
    pub(in crate::engine) fn words_of(&self, space: &SpaceId) -> Vec<(ConnectionId, DocumentId, ActorId, u64)> {
        let word = |word: &Word| {
            let Attestation { document, actor, seq, .. } = word.attestation;
            Some((word.source?, document, actor, seq))
        };
        self.attests.words.newest_of_space(space).filter_map(word).collect()
    }

    /// What stands for the attestations held of a space.
    pub(in crate::engine) fn attested_state(&self, space: &SpaceId) -> Fingerprint {
        self.attests.words.state(space)
    }

    /// Who makes this replica's changes in a space.
    pub fn actor_for(&self, space: &SpaceId) -> Option<ActorId> {
        let Phase::Running { actor, owned_actor, .. } = &self.phase else { return None };
        Some(match is_owned(space) {
            true => self.sealing_actor(space).unwrap_or(*owned_actor),
            false => *actor,
        })
    }

    /// Who makes this replica's changes in a document.
    pub(in crate::engine) fn actor_in(&self, document: &DocumentId) -> Option<ActorId> {
        let space = self.locations.get(document).copied().or_else(|| self.documents.space_of(document));
        self.actor_for(&space.unwrap_or(SpaceId([0; 16])))
    }

    /// Takes up attestations that the store holds.
    pub(in crate::engine) fn load_attestations(&mut self, meta: &[(String, Vec<u8>)]) {
        // It was checked before it was stored; `driftline verify` checks it again.
        for (space, attestation) in meta.iter().filter_map(|(name, value)| StoredAttestation::read(name, value)) {
            let counts_up_to = self.counts_up_to(&space, &attestation.document, &attestation.actor);
            self.attests.words.put(space, attestation, None, counts_up_to);
        }
        self.vouch_for_earlier();
    }

    /// Looks for changes that this replica made under earlier actors and has not vouched for: it ended within the second. What others brought in its
    /// name stays as it is.
    fn vouch_for_earlier(&mut self) {
        let owned = self.spaces.iter().filter(|(space, _)| is_owned(space));
        let documents: Vec<DocumentId> = owned.flat_map(|(_, held)| held.space.documents()).map(Log::document).collect();
        let mut unvouched = BTreeSet::new();
        for document in &documents {
            unvouched.extend(self.missed_in(document).into_iter().map(|(actor, _)| actor));
        }
        self.forget_own_actors(&unvouched);
        documents.into_iter().for_each(|document| self.vouch_for_earlier_in(document));
    }

    /// The newest changes in a document that this replica made and has not vouched for, as far as they are durable. A crash may have left its word for
    /// later ones that it took.
    fn missed_in(&self, document: &DocumentId) -> Vec<(ActorId, u64)> {
        let (Some(own), Some(log)) = (self.peer_id(), self.log(document)) else { return Vec::new() };
        let is_missed = |(actor, seq): &(&ActorId, u64)| {
            let is_vouched = self.attests.words.up_to(document, actor, *seq) == *seq;
            !is_vouched && is_actor_of(actor, &own) && self.own_name.is_own(actor)
        };
        log.durable().clock.iter().filter(is_missed).map(|(actor, seq)| (*actor, seq)).collect()
    }

    /// Does so in one document.
    pub(in crate::engine) fn vouch_for_earlier_in(&mut self, document: DocumentId) {
        let Some(log) = self.log(&document).filter(|log| is_owned(&log.space())) else { return };
        let (space, clock) = (log.space(), log.durable().clock.clone());
        for change in self.missed_in(&document) {
            let (actor, seq) = change;
            self.read_change(Work::Vouch { space, document, actor, seq }, document, clock.clone(), change);
        }
    }

    /// Vouches for a change of this replica's own that was looked for in the store. One that only a snapshot holds is looked for there.
    pub(in crate::engine) fn on_to_vouch(
        &mut self,
        space: SpaceId,
        document: DocumentId,
        of: (ActorId, u64),
        read: Option<&Arc<Entry>>,
    ) {
        match read.filter(|entry| (entry.actor, entry.seq) == of) {
            Some(entry) => self.vouch_soon(space, entry),
            None => self.look_for_own(space, document),
        }
    }

    /// Vouches for what of these entries, all of a document, this replica made and has not vouched for.
    pub(super) fn vouch_for_missed(&mut self, space: SpaceId, document: DocumentId, entries: &[Arc<Entry>]) {
        let missed: BTreeSet<(ActorId, u64)> = self.missed_in(&document).into_iter().collect();
        let found = entries.iter().filter(|entry| missed.contains(&(entry.actor, entry.seq)));
        found.for_each(|entry| self.vouch_soon(space, entry));
    }

    /// Whether there are changes of this replica's own in a document, under earlier actors, that it has not looked up to vouch for.
    pub(in crate::engine) fn has_missed_to_vouch(&self, document: &DocumentId) -> bool {
        let Some(log) = self.log(document).filter(|log| is_owned(&log.space())) else { return false };
        let is_known = |actor: ActorId| self.attests.unvouched.contains_key(&(log.space(), *document, actor));
        self.missed_in(document).into_iter().any(|(actor, _)| !is_known(actor))
    }

    /// Whether a document of an owned space holds what is not vouched for, and is not this replica's own work, for which it can do so.
    pub(in crate::engine) fn waits_for_words(&self, document: &DocumentId) -> bool {
        let Some(log) = self.log(document).filter(|log| is_owned(&log.space())) else { return false };
        let own = self.peer_id();
        let is_own_work = |actor: &ActorId| own.is_some_and(|own| is_actor_of(actor, &own)) && self.own_name.is_own(actor);
        let space = log.space();
        log.version().clock.iter().any(|(actor, seq)| self.vouched_held(&space, document, actor) < seq && !is_own_work(actor))
    }

    /// Notes a change of this replica's own that is to be vouched for.
    pub(in crate::engine) fn vouch_soon(&mut self, space: SpaceId, entry: &Entry) {
        if is_owned(&space) {
            let newest = self.attests.unvouched.entry((space, entry.document, entry.actor)).or_insert((entry.seq, entry.hash));
            if newest.0 < entry.seq {
                *newest = (entry.seq, entry.hash);
            }
        }
    }

    /// Vouches for this replica's newest changes where members are connected that pass them on: they may only once they have its word, so that goes
    /// first. So it does where the store refuses them: a crash would take what nobody could vouch for any more.
    pub(in crate::engine) fn attest_first(&mut self) {
        let is_member = |connection: &ConnectionId| {
            let peer = self.sessions.get(connection).and_then(|session| session.peer.as_ref());
            peer.is_some_and(|peer| !peer.relay)
        };
        let has_members = |space: &SpaceId| self.spaces.get(space).is_some_and(|held| held.sessions.iter().any(is_member));
        let is_refusing = self.is_store_refusing();
        let due = self.due_to_vouch().into_iter().filter(|((space, _, _), _)| is_refusing || has_members(space)).collect();
        self.vouch(due);
    }

    /// This replica's newest changes that it has not vouched for. What a reader writes stays here, and waits until it may write.
    fn due_to_vouch(&self) -> Vec<Unvouched> {
        let unvouched = self.attests.unvouched.iter().map(|(of, newest)| (*of, *newest));
        unvouched.filter(|((space, _, _), _)| self.own_access(space).allows(Level::Write)).collect()
    }

    /// Vouches for what of a document's entries this replica made, under whatever actor of its own, and has not vouched for yet. What others brought
    /// in its name is none of that.
    pub(in crate::engine) fn vouch_for_own_of<'a>(&mut self, document: DocumentId, entries: impl Iterator<Item = &'a Entry>) {
        let Some(space) = self.locations.get(&document).copied().filter(is_owned) else { return };
        let missed: BTreeMap<ActorId, u64> = self.missed_in(&document).into_iter().collect();
        for entry in entries.filter(|entry| missed.get(&entry.actor).is_some_and(|seq| entry.seq <= *seq)) {
            self.vouch_soon(space, entry);
        }
        let due = self.due_to_vouch().into_iter().filter(|((_, of, _), _)| *of == document).collect();
        self.vouch(due);
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
    pub(in crate::engine) fn vouched_end(&self, connection: ConnectionId, log: &Log, end: u64) -> u64 {
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
                && self.vouched(&space, &document, &entry.actor) < entry.seq
                && !delta.peer_holds().covers(&entry.actor, entry.seq)
                && standing.writer(&entry.actor).is_some_and(|writer| Some(writer) != own && Some(writer) != peer)
        });
        first.map_or(end, |(position, _)| position - 1)
    }

    /// Vouches for this replica's newest changes, at most once a second, and passes on what others have vouched for.
    pub(in crate::engine) fn attest(&mut self) {
        let now_ms = self.now.monotonic_ms;
        let due_ms = self.attests.vouched_ms.map_or(0, |last| last + ATTEST_MS);
        let due = self.due_to_vouch();
        if !due.is_empty() && now_ms < due_ms && !self.pace.is_hurried() {
            self.timers.set_no_later(Timer::Attest, due_ms);
        } else {
            self.vouch(due);
        }
        for (space, document) in std::mem::take(&mut self.attests.fresh) {
            let connections: Vec<ConnectionId> =
                self.spaces.get(&space).map_or_else(Vec::new, |held| held.sessions.iter().copied().collect());
            for connection in connections {
                self.send_attestations_of(connection, space, document);
            }
        }
    }

    /// Learns that more is held of a document: words that came before what they are for can be passed on now.
    pub(in crate::engine) fn on_held_for_words(&mut self, space: SpaceId, document: DocumentId) {
        if is_owned(&space) && self.attests.words.last_of(&document) > 0 {
            self.attests.fresh.insert((space, document));
        }
    }

    /// Up to which of an actor's changes in a document all are on the disk.
    pub(super) fn durable_of(&self, document: &DocumentId, actor: &ActorId) -> u64 {
        self.log(document).map_or(0, |log| log.durable().clock.get(actor))
    }

    /// Words for changes that are about to be stored, which the store is to have with them.
    pub(in crate::engine) fn words_with<'a>(&mut self, entries: impl Iterator<Item = &'a StoredEntry>) -> Vec<(String, Vec<u8>)> {
        let mut newest: BTreeMap<(DocumentId, ActorId), u64> = BTreeMap::new();
        for StoredEntry { entry, .. } in entries.filter(|stored| is_owned(&stored.space)) {
            newest.insert((entry.document, entry.actor), entry.seq);
        }
        let mut values = Vec::new();
        for ((document, actor), seq) in newest {
            let seq = seq.min(self.doubts.bound(&document, &actor));
            values.extend(self.attests.words.to_settle(&document, &actor, seq));
            self.attests.writing.push((document, actor, seq));
        }
        values
    }

    /// The append with words was answered.
    pub(in crate::engine) fn on_words_written(&mut self, is_done: bool) {
        for (document, actor, seq) in std::mem::take(&mut self.attests.writing) {
            if is_done {
                self.attests.words.settle(&document, &actor, seq.min(self.doubts.bound(&document, &actor)));
                self.settle_word(document, actor);
            }
        }
    }

    /// Has the store keep the word for the newest of an actor's changes that are on the disk.
    pub(super) fn settle_word(&mut self, document: DocumentId, actor: ActorId) {
        let Some(space) = self.locations.get(&document).copied() else { return };
        let counts_up_to = self.counts_up_to(&space, &document, &actor);
        if let Some((key, value)) = self.attests.words.settle(&document, &actor, counts_up_to) {
            self.keep_value(Kept { key, value, statement_of: None });
        }
    }

    /// Does so for all who wrote in a document.
    pub(in crate::engine) fn settle_words(&mut self, document: DocumentId) {
        let actors: BTreeSet<ActorId> = self.attests.words.of_document(&document).map(|word| word.attestation.actor).collect();
        actors.into_iter().for_each(|actor| self.settle_word(document, actor));
    }

    /// Keeps an attestation that was checked, and has it passed on.
    fn keep_attestation(&mut self, space: SpaceId, attestation: Attestation, source: Option<ConnectionId>) {
        let document = attestation.document;
        let counts_up_to = self.counts_up_to(&space, &document, &attestation.actor);
        if let Some((key, value)) = self.attests.words.put(space, attestation, source, counts_up_to) {
            self.keep_value(Kept { key, value, statement_of: None });
        }
        self.attests.fresh.insert((space, document));
        // What waited for this word goes now.
        if let Some(held) = self.spaces.get(&space) {
            self.pushes.note(space, document, held.sessions.iter().copied());
        }
        self.needs_flush = true;
    }

    /// What of a document can be sent to a peer now.
    fn sendable(&self, connection: ConnectionId, space: &SpaceId, document: &DocumentId) -> VectorClock {
        let Some(log) = self.spaces.get(space).and_then(|held| held.space.log(document)) else { return VectorClock::new() };
        let is_waiting = self.mirrors.is_held(document);
        let (end, version) = if is_waiting { (log.durable_end(), log.durable()) } else { (log.end(), log.version()) };
        let vouched_end = self.vouched_end(connection, log, end);
        let mut clock = version.clock.clone();
        for (_, entry) in log.tail_after(vouched_end).into_iter().flatten().filter(|(position, _)| *position <= end) {
            clock.lower(&entry.actor, entry.seq - 1);
        }
        clock
    }

    /// Sends a peer what it was not sent of the attestations of a document. A word for what this replica does not hold, or may not send yet, would have
    /// the peer miss that: it goes with it.
    pub(in crate::engine) fn send_attestations_of(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) {
        if !is_owned(&space) || !self.speaks_of(connection, &space) {
            return;
        }
        let told = self.trust.peers.get(&(connection, space)).and_then(|peer| peer.attested.get(&document));
        // Under typing there is a word a second, and many pushes.
        let (number, has_early) = told.map_or((0, false), |told| (told.number, !told.early.is_empty()));
        if number >= self.attests.words.last_of(&document) && !has_early {
            return;
        }
        let clock = self.sendable(connection, &space, &document);
        let has_cuts = self.has_cuts(&space);
        let peer = self.trust.peers.entry((connection, space)).or_default();
        if peer.attested.len() >= ATTESTED_TOLD_MAX && !peer.attested.contains_key(&document) {
            peer.attested.clear();
        }
        let told = peer.attested.entry(document).or_default();
        let before = std::mem::take(told);
        told.number = before.number;
        let mut items: Vec<Arc<[u8]>> = Vec::new();
        let is_untold = |word: &&Word| word.number > before.number || before.early.contains(&word.number);
        for word in self.attests.words.of_document(&document).filter(|word| word.space == space).filter(is_untold) {
            told.number = told.number.max(word.number);
            if !word.is_for_what_is_held(&clock, has_cuts) {
                told.early.insert(word.number);
            } else if word.source != Some(connection) {
                items.push(Arc::from(word.attestation.to_bytes()));
            }
        }
        if items.is_empty() {
            return;
        }
        for attestations in self.portions_for(connection, items) {
            self.send(connection, &Message::Attestations { space, attestations });
        }
    }

    /// Sends a peer that holds other attestations those that were taken last, once on a connection.
    pub(in crate::engine) fn send_latest_attestations(&mut self, connection: ConnectionId, space: SpaceId) {
        let peer = self.trust.peers.entry((connection, space)).or_default();
        if std::mem::replace(&mut peer.told_attested, true) {
            return;
        }
        // What stands behind changes that nobody has vouched for cannot be sent to members: the word for it goes with it later.
        let is_passed_on = |log: &&Log| {
            let is_vouched = |(actor, seq): (&ActorId, u64)| self.vouched(&space, &log.document(), actor) >= seq;
            self.is_relay() || log.version().clock.iter().all(is_vouched)
        };
        let has_cuts = self.has_cuts(&space);
        let is_held = |word: &&Word| {
            let log = self.spaces.get(&space).and_then(|space| space.space.log(&word.attestation.document));
            let covers = |log: &&Log| word.is_for_what_is_held(&log.durable().clock, has_cuts);
            log.filter(covers).filter(is_passed_on).is_some()
        };
        let latest = self.attests.words.latest(&space).filter(is_held).take(LATEST_MAX);
        let items: Vec<Arc<[u8]>> = latest.map(|word| Arc::from(word.attestation.to_bytes())).collect();
        if !items.is_empty() {
            for attestations in self.portions_for(connection, items) {
                self.send(connection, &Message::Attestations { space, attestations });
            }
        }
    }

    pub(in crate::engine) fn on_attestations(&mut self, connection: ConnectionId, space: SpaceId, attestations: &[Arc<[u8]>]) {
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

    pub(super) fn on_bad_attestation(
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
        let same = self.attests.words.for_change(&document, &actor, seq);
        if same.is_some_and(|word| word.attestation == attestation) {
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
        self.attests.words.check(&space, &attestation)?;
        let words = &self.attests.words;
        let is_new = words.newest(&document, &actor).is_none();
        let room = words.count(&space) < ATTESTATIONS_PER_SPACE_MAX && words.len() < ATTESTATIONS_MAX;
        if !is_new || room {
            self.compare_with_word((space, document, actor), (seq, attestation.hash));
            self.keep_attestation(space, attestation, Some(connection));
            self.ask_for_unvouched(space, document);
            if self.log(&document).is_none_or(|log| !log.version().clock.covers(&actor, seq)) {
                self.watch_for_held_back(&space);
            }
        } else {
            let text =
                format!("as many words are kept here as may be: none is kept for what {writer} writes in document {document}");
            self.tell_refused(connection, space, document, ErrorCode::LimitReached, text);
        }
        Ok(())
    }

    /// Asks those again who sent changes of a document before the word for them was here: they were not taken.
    fn ask_for_unvouched(&mut self, space: SpaceId, document: DocumentId) {
        let connections: Vec<ConnectionId> =
            self.spaces.get(&space).map_or_else(Vec::new, |held| held.sessions.iter().copied().collect());
        for connection in connections {
            let peer = self.trust.peers.get_mut(&(connection, space));
            if peer.is_some_and(|peer| peer.refused.remove(&(document, ErrorCode::NotTheirs))) {
                self.ask(connection, space, document);
            }
        }
    }

    /// Reads one change of an actor's from the store; nothing is read where only a snapshot holds it.
    pub(super) fn read_change(&mut self, work: Work, document: DocumentId, mut above: VectorClock, (actor, seq): (ActorId, u64)) {
        above.lower(&actor, seq - 1);
        self.read(work, document, above, 0, 1);
    }

    /// Whether a document that was put together has every change that is vouched for, as far as it goes.
    pub(in crate::engine) fn is_as_attested(&self, space: &SpaceId, document: &Document) -> bool {
        if !is_owned(space) {
            return true;
        }
        let (id, version) = (document.id(), document.version());
        let words = self.attests.words.of_document(&id).map(|word| &word.attestation);
        let within: BTreeMap<(ActorId, u64), ChangeHash> = words
            .filter(|word| version.clock.covers(&word.actor, word.seq))
            .map(|word| ((word.actor, word.seq), word.hash))
            .collect();
        within.is_empty()
            || document.entries().iter().all(|entry| {
                let is_it = |hash: &ChangeHash| self.name_of(space, document, &entry.hash).as_ref() == Some(hash);
                within.get(&(entry.actor, entry.seq)).is_none_or(is_it)
            })
    }
}
