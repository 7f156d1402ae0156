//! Whether a peer holds back what it had, or what somebody has vouched for: a relay that was set back to an old backup, whose disk lost what it had
//! acknowledged, or that keeps something to itself.
//!
//! None of that can lose an edit that is held here: what a peer lacks it is sent. It can delay what others wrote, and people ought to know of it. Two
//! things show it. A peer says that it durably holds less than it had said before: then it went back. And, in an owned space, somebody's key has vouched
//! for changes, the peer that passed that word on has nothing more to send, and the changes did not come: then it holds them back.

use super::Engine;
use super::effect::TroubleKind;
use super::timers::Timer;
use crate::base::id::{ActorId, ConnectionId, DocumentId, PeerId, SpaceId};
use crate::log::clock::VectorClock;
use crate::trust::owned::is_owned;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds for which something must have been vouched for, and not come though the space was in sync, before it counts as held back.
const PATIENCE_MS: u64 = 10_000;
/// Documents and actors that were told of, remembered so that each is told of once.
const TOLD_MAX: usize = 1_024;

/// What was told of peers that hold something back.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
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
        let Some(log) = self.log(&document).filter(|_| is_alone) else { return };
        let standing = self.trust.rolls.get(&space).map(|held| held.roll.standing());
        let accepted = |actor: &ActorId| {
            let bound = standing.and_then(|standing| standing.accepted(&standing.writer(actor)?, &document, actor));
            log.version().clock.get(actor).min(bound.unwrap_or(u64::MAX))
        };
        let lost: u64 = before.iter().map(|(actor, seq)| seq.min(accepted(actor)).saturating_sub(now.get(actor))).sum();
        if lost == 0 || !self.held_back.went_back.insert((connection, space)) {
            return;
        }
        let text = format!(
            "peer {peer} no longer has {lost} changes of document {document} that it had saved: it was set back to an old backup, or its disk lost them. \
             What is here is sent to it again"
        );
        self.trouble(TroubleKind::WentBack, Some(document), Some(connection), text);
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
    }
}
