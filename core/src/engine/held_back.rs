//! Whether a peer holds back what it had, or what somebody has vouched for: a relay that was set back to an old backup, whose disk lost what it had
//! acknowledged, or that keeps something to itself.
//!
//! None of that can lose an edit that is held here: what a peer lacks it is sent. It can delay what others wrote, and people ought to know of it. Two
//! things show it. A peer says that it durably holds less than it had said before: then it went back; so it did when it says so of the statements of an
//! owned space, the revocations among them. And, in an owned space, somebody's key has vouched
//! for changes, the peer that passed that word on has nothing more to send, and the changes did not come: then it holds them back.

use super::Engine;
use super::effect::TroubleKind;
use super::logs::Work;
use super::stored::StoredStatements;
use super::timers::Timer;
use crate::base::id::{ActorId, ConnectionId, DocumentId, PeerId, SpaceId};
use crate::base::limits::STATEMENTS_SAVED_MAX;
use crate::log::clock::VectorClock;
use crate::log::tree::Fingerprint;
use crate::store::task::StoreTask;
use crate::trust::owned::{is_owned, is_sealed};
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds for which something must have been vouched for, and not come though the space was in sync, before it counts as held back.
const PATIENCE_MS: u64 = 10_000;
/// Documents and actors that were told of, remembered so that each is told of once.
const TOLD_MAX: usize = 1_024;

/// What was told of peers that hold something back.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    /// How many statements of a space a peer has said that it has saved, where they were those held here.
    statements: BTreeMap<(SpaceId, PeerId), u64>,
    /// Connections whose peer has forgotten statements, and of which space.
    forgot: BTreeSet<(ConnectionId, SpaceId)>,
    /// How often somebody had been shut out when a relay was last taken to begin a sealed document anew.
    begun_anew: BTreeMap<(DocumentId, PeerId), usize>,
    /// Connections whose peer went back, and in which space.
    went_back: BTreeSet<(ConnectionId, SpaceId)>,
    /// What was vouched for and has not come.
    missing: BTreeMap<(DocumentId, ActorId), Suspect>,
}

/// What was vouched for, and had not come when it was looked at.
#[derive(Debug)]
struct Suspect {
    /// How many of the actor's changes were here.
    held: u64,
    /// Since when, in monotonic milliseconds.
    since_ms: u64,
    /// Whether it was told of.
    told: bool,
}

#[cfg(test)]
impl HeldBack {
    /// Fills the room there is for what peers have saved.
    pub(super) fn fill(&mut self, many: usize) {
        let peer = |number: usize| PeerId(std::array::from_fn(|at| number.to_be_bytes().get(at).copied().unwrap_or(0)));
        self.statements.extend((0..many).map(|number| ((SpaceId([0; 16]), peer(number)), 1)));
    }

    /// How many statements of a space a peer has saved, as far as that is remembered.
    pub(super) fn saved_by(&self, space: &SpaceId, peer: &PeerId) -> Option<u64> {
        self.statements.get(&(*space, *peer)).copied()
    }
}

impl Engine {
    /// Looks at what a peer says that it holds beside what it had said. Of what is not accepted any more it holds nothing, rightly.
    pub(super) fn compare_receipts(
        &mut self,
        (connection, peer): (ConnectionId, PeerId),
        (space, document): (SpaceId, DocumentId),
        before: &VectorClock,
        now: &VectorClock,
    ) {
        // What comes over one connection may be older than what came over another.
        let is_alone = self.sessions.get(&connection).is_some_and(|session| session.alone);
        // What others have set aside already, with all that stood on it.
        if self.holds_refused(space, document) {
            return;
        }
        let Some(log) = self.log(&document).filter(|_| is_alone) else { return };
        let standing = self.trust.rolls.get(&space).map(|held| held.roll.standing());
        let accepted = |actor: &ActorId| {
            let bound = standing.and_then(|standing| standing.accepted(&standing.writer(actor)?, &document, actor));
            log.version().clock.get(actor).min(bound.unwrap_or(u64::MAX))
        };
        let lost: u64 = before.iter().map(|(actor, seq)| seq.min(accepted(actor)).saturating_sub(now.get(actor))).sum();
        if lost == 0 || self.begins_anew(&space, document, peer) || !self.held_back.went_back.insert((connection, space)) {
            return;
        }
        let text = format!(
            "peer {peer} no longer has {lost} changes of document {document} that it had saved: it was set back to an old backup, its disk lost them, or it set them aside. \
             What is here is sent to it again"
        );
        self.trouble(TroubleKind::WentBack, Some(document), Some(connection), text);
    }

    /// Whether a peer that holds less of a document than it did has begun it anew, and rightly: a relay that cannot part a sealed snapshot does so with
    /// nothing, once each time somebody is shut out.
    fn begins_anew(&mut self, space: &SpaceId, document: DocumentId, peer: PeerId) -> bool {
        let roll = self.trust.rolls.get(space).filter(|_| is_sealed(space));
        let shut_out = roll.map_or(0, |held| held.roll.revocations().count());
        let begun_anew = &mut self.held_back.begun_anew;
        if shut_out == 0 {
            return false;
        }
        if begun_anew.len() >= TOLD_MAX && !begun_anew.contains_key(&(document, peer)) {
            begun_anew.clear();
        }
        begun_anew.insert((document, peer), shut_out) != Some(shut_out)
    }

    /// Takes up what the store knows of the statements that peers have saved.
    pub(super) fn load_forgotten(&mut self, meta: &[(String, Vec<u8>)]) {
        let stored = meta.iter().filter_map(|(name, value)| StoredStatements::read(name, value));
        self.held_back.statements.extend(stored.map(|stored| ((stored.space, stored.peer), stored.count)));
    }

    /// Looks at how many statements of a space a peer says that it holds beside how many it had saved: they only become more. What stands for them says
    /// so of what it has `saved`, or of what it has in memory.
    pub(super) fn compare_statements(&mut self, connection: ConnectionId, space: SpaceId, state: &Fingerprint, saved: bool) {
        let Some(session) = self.sessions.get(&connection).filter(|session| session.alone) else { return };
        let Some(peer) = session.peer.as_ref().map(|peer| peer.id).filter(|_| !self.is_relay()) else { return };
        let before = self.held_back.statements.get(&(space, peer)).copied();
        if let Some(lost) = before.and_then(|before| before.checked_sub(state.count)).filter(|lost| *lost > 0)
            && self.held_back.forgot.insert((connection, space))
        {
            // Those that were sent to it on this connection it may have forgotten since.
            if let Some(held) = self.trust.peers.get_mut(&(connection, space)) {
                held.told = None;
            }
            let text = format!(
                "peer {peer} no longer has {lost} statements of who may do what in space {space} that it had saved: it was set back to an old backup, \
                 or its disk lost them. All that are held here are sent to it again; until then it lets in whom they shut out"
            );
            self.trouble(TroubleKind::WentBack, None, Some(connection), text);
        }
        // Only of those that are held here is it known that they were statements at all.
        let is_new = match saved && *state == self.roll_state(&space) {
            true => before != Some(state.count),
            false => before.is_some_and(|before| state.count < before),
        };
        if is_new && (before.is_some() || self.held_back.statements.len() < STATEMENTS_SAVED_MAX) {
            self.held_back.statements.insert((space, peer), state.count);
            let (key, value) = StoredStatements { space, peer, count: state.count }.write();
            self.store(Work::Meta, StoreTask::PutMeta { key, value });
        }
    }

    /// Looks later, while a space is in sync, at what is vouched for in it.
    pub(super) fn watch_for_held_back(&mut self, space: &SpaceId) {
        if is_owned(space) && !self.is_relay() {
            self.timers.set_no_later(Timer::HeldBack(*space), self.now.monotonic_ms + PATIENCE_MS);
        }
    }

    /// Tells of peers that sent somebody's word for changes, have nothing more to send, and did not send these. Whoever is honest passes a word on with what
    /// it is for.
    pub(super) fn on_held_back(&mut self, space: SpaceId) {
        // What stood on changes that are not accepted any more was set aside with them, and its writer's word for it is still passed on.
        if self.has_cuts(&space) {
            return;
        }
        let mut is_suspicious = false;
        let all_held_up = self.held_up(&space);
        for (connection, document, actor, vouched) in self.words_of(&space) {
            let subscription = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(&space));
            let log = self.log(&document);
            let has_sent = subscription.is_some_and(|subscription| {
                let delta = subscription.deltas.get(&document);
                !subscription.comparing && delta.is_none_or(|delta| log.is_none_or(|log| delta.is_settled(log)))
            });
            let is_held_up = all_held_up.contains(&document);
            let held = log.map_or(0, |log| log.version().clock.get(&actor));
            let standing = self.trust.rolls.get(&space).map(|held| held.roll.standing());
            let writer = standing.and_then(|standing| standing.writer(&actor));
            let bound = standing.zip(writer).and_then(|(standing, writer)| standing.accepted(&writer, &document, &actor));
            let accepted = vouched.min(bound.unwrap_or(u64::MAX));
            let missing = &mut self.held_back.missing;
            if held >= accepted || !has_sent || is_held_up {
                missing.remove(&(document, actor));
                continue;
            }
            if missing.len() >= TOLD_MAX && !missing.contains_key(&(document, actor)) {
                continue;
            }
            let now_ms = self.now.monotonic_ms;
            let suspect = missing.entry((document, actor)).or_insert(Suspect { held, since_ms: now_ms, told: false });
            if suspect.held != held {
                (suspect.held, suspect.since_ms) = (held, now_ms);
            }
            // What it sent may still be on the way where nothing has come for as long.
            let heard_ms = self.sessions.get(&connection).map_or(0, |session| session.heard_ms);
            if suspect.told || now_ms.min(heard_ms) < suspect.since_ms + PATIENCE_MS {
                is_suspicious |= !suspect.told;
                continue;
            }
            suspect.told = true;
            let who = writer.map_or_else(|| actor.to_string(), |writer| writer.to_string());
            let text = format!(
                "a peer passed on that {who} has vouched for {accepted} changes of document {document}, and sent only {held} of them: \
                 it holds the others back, cannot read them from its disk, or was set back to an old backup"
            );
            self.trouble(TroubleKind::HeldBack, Some(document), Some(connection), text);
        }
        if is_suspicious {
            self.watch_for_held_back(&space);
        }
    }

    /// Forgets what was told of a connection that is gone.
    pub(super) fn forget_held_back(&mut self, connection: ConnectionId) {
        self.held_back.went_back.retain(|(told, _)| *told != connection);
        self.held_back.forgot.retain(|(told, _)| *told != connection);
    }
}
