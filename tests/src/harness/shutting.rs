//! Someone is shut out of an owned space at some time, or what they were granted ends.
//!
//! The owner is one of the replicas. Whoever is shut out goes on writing, and meets the others as before. In the end everyone else must hold the same:
//! nothing that was written behind the numbers that the revocation names, and all the rest.

use super::options::End;
use super::sealed::{bytes_of, shows_a_token};
use super::world::{Happening, World};
use driftline_core::base::id::{ConnectionId, DocumentId};
use driftline_core::engine::config::Role;
use driftline_core::engine::trust::owned::MemberState;
use driftline_core::store::task::StoreTask;
use driftline_core::trust::owned::is_actor_of;
use std::collections::BTreeMap;

/// The replica that owns the space.
pub const OWNER: usize = 1;
/// Milliseconds after which the owner tries again to shut someone out of whom it has not heard yet, or while it was down.
const AGAIN_MS: u64 = 700;

impl World {
    /// Whom the owner shuts out, or whose grant ends: the last.
    pub fn loser(&self) -> Option<usize> {
        self.options.end.map(|_| self.replicas.len() - 1)
    }

    /// Plans when it happens.
    pub(super) fn plan_end(&mut self) {
        match self.options.end {
            Some(End::Revoked) => {
                let at = self.now_ms + self.fault_dice.below(self.options.faulty_ms);
                self.plan(at, Happening::ShutOut);
            }
            Some(End::Expires(_)) => {
                let loser = self.replicas.len() - 1;
                self.replicas[loser].out = true;
                self.oracle.ended = true;
            }
            None => {}
        }
    }

    /// The owner shuts someone out, once it knows of them; and looks whether that outlived its process, and does it again if not.
    pub(super) fn shut_out(&mut self) {
        let Some(loser) = self.loser() else { return };
        if self.healed && !self.replicas[loser].out {
            return;
        }
        let key = self.replicas[loser].engine.as_ref().and_then(|engine| engine.peer_id()).or(self.oracle.key_of_loser());
        let (now, space) = (self.now(OWNER), self.space);
        let ready = self.replicas[OWNER].ready;
        let is_idle = self.replicas[OWNER].disk.tasks.is_empty() && !self.replicas[OWNER].undrained;
        let engine = self.replicas[OWNER].engine.as_mut().filter(|_| ready);
        let Some((engine, key)) = engine.zip(key) else { return self.plan(self.now_ms + AGAIN_MS, Happening::ShutOut) };
        let members = engine.members(&space).unwrap_or_default();
        if members.iter().any(|member| member.key == key && member.state == MemberState::Revoked) {
            match is_idle {
                true => self.is_shutting_out = false,
                false => self.plan(self.now_ms + AGAIN_MS, Happening::ShutOut),
            }
            return;
        }
        // What the revocation names is what the owner holds.
        let mut cuts: BTreeMap<DocumentId, BTreeMap<_, u64>> = BTreeMap::new();
        for document in engine.documents(&space) {
            let clock = engine.log(&document).map(|log| log.version().clock.clone()).unwrap_or_default();
            let of_loser = clock.iter().filter(|(actor, _)| is_actor_of(actor, &key)).map(|(actor, seq)| (*actor, seq));
            cuts.insert(document, of_loser.collect());
        }
        if engine.revoke(now, space, key).is_err() {
            return self.plan(self.now_ms + AGAIN_MS, Happening::ShutOut);
        }
        self.trace.word(self.now_ms, || format!("{OWNER} shuts {loser} out, behind {cuts:?}"));
        self.tally.count("shut out");
        self.oracle.on_shut_out(loser, key, cuts);
        self.replicas[loser].out = true;
        self.is_shutting_out = true;
        self.plan(self.now_ms + AGAIN_MS, Happening::ShutOut);
        self.told(OWNER);
    }

    /// Notes, when a replica has nothing more to do, whether it knows that someone was shut out.
    pub(super) fn learn_of_end(&mut self, index: usize) {
        let Some(loser) = self.loser().filter(|loser| *loser != index && !self.replicas[index].knows_end) else { return };
        let Some(key) = self.oracle.key_of_loser().or_else(|| self.replicas[loser].engine.as_ref()?.peer_id()) else { return };
        let members = self.replicas[index].engine.as_ref().and_then(|engine| engine.members(&self.space).ok());
        let of_loser = |state: MemberState| state != MemberState::Good;
        let states: Vec<MemberState> =
            members.into_iter().flatten().filter(|member| member.key == key).map(|member| member.state).collect();
        self.replicas[index].knows_end = !states.is_empty() && states.into_iter().all(of_loser);
    }

    /// Who knows that someone was shut out sends them nothing of the space any more (S11).
    pub(super) fn judge_sending(&mut self, index: usize, connection: ConnectionId, name: &str) {
        if !matches!(name, "entries" | "strands" | "snapshot" | "presence" | "attestations") || !self.replicas[index].knows_end {
            return;
        }
        let wire = self.replicas[index].connections.get(&connection).map(|found| (found.wire, found.side));
        let other = wire.and_then(|(wire, side)| Some(self.links.wires.get(&wire)?.ends[1 - side].replica));
        assert!(other != self.loser(), "S11: replica {index} sends {name} to one of whom it knows that they were shut out");
    }

    /// Learns what a replica has its store keep; and nothing that a relay keeps of a sealed space shows a token (S12).
    pub(super) fn judge_storing(&mut self, index: usize, work: &StoreTask) {
        let Some(keys) = &mut self.oracle.keys else { return };
        if let StoreTask::PutMeta { key, value } = work {
            keys.learn(key, value);
        }
        if self.replicas[index].role == Role::Relay {
            let shows = bytes_of(work).into_iter().any(shows_a_token);
            assert!(!shows, "S12: the relay of a sealed space keeps a token");
            self.tally.count("kept by a relay that sees nothing");
        }
    }

    /// Nothing that goes to a relay of a sealed space, or comes from it, shows a token (S12); elsewhere what does shows that it would be found.
    pub(super) fn judge_clear(&mut self, index: usize, connection: ConnectionId, frame: &[u8]) {
        let wire = self.replicas[index].connections.get(&connection).map(|found| (found.wire, found.side));
        let other = wire.and_then(|(wire, side)| Some(self.links.wires.get(&wire)?.ends[1 - side].replica));
        let is_relays = [Some(index), other].into_iter().flatten().any(|of| self.replicas[of].role == Role::Relay);
        let is_looked_at = self.options.sealed || self.options.seed.is_multiple_of(8);
        if is_relays && is_looked_at && shows_a_token(frame) {
            assert!(!self.options.sealed, "S12: a relay of a sealed space can read a token in what replica {index} sends");
            self.tally.count("token that a relay could read");
        }
    }

    /// Who was shut out opens nothing that was sealed under a later epoch (S12).
    pub(super) fn judge_seals(&mut self) {
        let (Some(loser), Some(keys), true) = (self.loser(), &self.oracle.keys, self.oracle.key_of_loser().is_some()) else {
            return;
        };
        let Some((secret, link)) = self.replicas[loser].identity.zip(self.links_to_it.get(loser)) else { return };
        let unopened = keys.judge(&secret, link, self.oracle.statements_before, &self.oracle.sealed);
        self.tally.add("changes that who was shut out cannot open", unopened as u64);
    }
}
