//! Statements of owned spaces on their way: between peers, and to and from the store.
//!
//! Whoever subscribes shows first what it was granted, with all that rests on, and what stands for all statements that it holds. Where
//! the other holds different ones, each sends all of its own: they change rarely and are small. New ones go to everyone at once. They
//! are told to nobody but members and carriers.

use super::access::Right;
use crate::base::id::{ConnectionId, SpaceId};
use crate::base::limits::GRANT_CHAIN_MAX;
use crate::engine::Engine;
use crate::engine::effect::{Audit, Event, TroubleKind};
use crate::engine::keeping::Kept;
use crate::engine::stored::StoredStatement;
use crate::log::tree::Fingerprint;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::owned::is_owned;
use crate::trust::roll::{Roll, RollError};
use crate::trust::standing::Access;
use crate::trust::statement::{Claim, Statement, StatementId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes that a list's frame has beside its items, and each item beside itself, at most.
const LIST_OVERHEAD_BYTES: usize = 1 + 16 + 1 + 26 + 26 + 10;
const ITEM_OVERHEAD_BYTES: usize = 10;

impl Engine {
    /// Takes up statements that the store holds.
    pub(in crate::engine) fn load_rolls(&mut self, meta: &[(String, Vec<u8>)]) {
        let mut of_spaces: std::collections::BTreeMap<SpaceId, Vec<&[u8]>> = std::collections::BTreeMap::new();
        for (space, bytes) in meta.iter().filter_map(|(name, value)| StoredStatement::read(name, value)) {
            of_spaces.entry(space).or_default().push(bytes);
        }
        for (space, statements) in of_spaces {
            let mut roll = Roll::new(space);
            let (_, errors) = roll.take_bytes(statements.into_iter());
            if let Some(error) = errors.first() {
                let message = format!("a stored statement of space {space} is not sound, and is left out: {error}");
                self.trouble(TroubleKind::Damaged, None, None, message);
            }
            self.trust.put(roll);
            self.on_standing_changed(space);
            self.cut_back(space);
        }
    }

    /// Shows a peer, before a space is synced with it, what this replica was granted there; answers whether it may be subscribed to
    /// at once. Where the peer has to show something first, its roll leads on.
    pub(in crate::engine) fn begin_roll(&mut self, connection: ConnectionId, space: SpaceId) -> bool {
        if !is_owned(&space) {
            return true;
        }
        if !self.speaks_of(connection, &space) {
            let why = "the peer speaks a version of the protocol that has no such spaces: update it".to_owned();
            self.tell_locked(space, connection, why);
            return false;
        }
        let access = self.own_access(&space);
        if access.level().is_none() {
            // Someone who has lost all but their key holds no statement. The peer may, and then tells whoever may read; whoever may not is told nothing.
            if self.trust.rolls.contains_key(&space) {
                let (_, why) = super::access::why_not(access, space);
                self.tell_locked(space, connection, why);
            } else if !self.trust.peers.contains_key(&(connection, space)) {
                let token = self.trust.next_token();
                self.trust.peers.entry((connection, space)).or_default().asked = Some(token);
                self.send_roll(connection, space, true, Vec::new());
                self.send(connection, &Message::Ping { token });
            }
            return false;
        }
        let is_shown = self.trust.peers.contains_key(&(connection, space));
        if !is_shown {
            self.trust.peers.insert((connection, space), super::access::PeerRoll::default());
            let statements = self.own_chain(&space);
            self.send_roll(connection, space, true, statements);
        }
        self.right(connection, &space).reads()
    }

    /// A peer that was asked what this replica was granted has said all it had to say to that.
    pub(in crate::engine) fn on_asked(&mut self, connection: ConnectionId, token: u64) {
        let asked = self.trust.peers.iter_mut().find(|((of, _), peer)| *of == connection && peer.asked == Some(token));
        let Some(((_, space), peer)) = asked else { return };
        peer.asked = None;
        let space = *space;
        let access = self.own_access(&space);
        if access.level().is_none() && self.spaces.get(&space).is_some_and(|held| held.open) {
            let (_, why) = super::access::why_not(access, space);
            self.tell_locked(space, connection, why);
        }
    }

    /// What shows what this replica was granted: nothing but the founding where it is the owner.
    fn own_chain(&self, space: &SpaceId) -> Vec<Arc<[u8]>> {
        let Some((held, peer)) = self.trust.rolls.get(space).zip(self.peer_id()) else { return Vec::new() };
        let best = held.roll.standing().best(&peer, self.unix_s());
        let chain = match best {
            Some(best) => held.roll.chain(&best),
            None => held.roll.statements().into_iter().take(1).collect(),
        };
        chain.into_iter().map(|statement| Arc::from(statement.bytes())).collect()
    }

    /// Shows someone who was shut out the signed word for it, with what that rests on: who was away need not believe this replica.
    pub(super) fn show_revocation(&mut self, connection: ConnectionId, space: SpaceId) {
        let (Right::Member(peer, Access::Revoked), Some(held)) = (self.right(connection, &space), self.trust.rolls.get(&space))
        else {
            return;
        };
        let roll = &held.roll;
        let of_peer = roll.grants().into_iter().filter(|(_, grant)| grant.subject == peer);
        let lines: BTreeSet<StatementId> = of_peer.flat_map(|(id, _)| roll.line(&id).collect::<Vec<_>>()).collect();
        let mut shown: Vec<&Statement> = Vec::new();
        for (id, revocation) in roll.revocations().filter(|(_, revocation)| lines.contains(&revocation.target)) {
            let rests_on = revocation.parent.map_or_else(Vec::new, |parent| roll.chain(&parent));
            for statement in rests_on.into_iter().chain(roll.statement(&id)) {
                if shown.iter().all(|held| held.id() != statement.id()) {
                    shown.push(statement);
                }
            }
        }
        let statements: Vec<Arc<[u8]>> = shown.into_iter().map(|statement| Arc::from(statement.bytes())).collect();
        if !statements.is_empty() {
            self.send_roll(connection, space, false, statements);
        }
    }

    /// What stands for the statements held of a space.
    pub(in crate::engine) fn roll_state(&self, space: &SpaceId) -> Fingerprint {
        self.trust.rolls.get(space).map_or_else(Fingerprint::default, |held| held.roll.fingerprint())
    }

    /// Sends statements, in as many frames as the peer's limit asks for.
    fn send_roll(&mut self, connection: ConnectionId, space: SpaceId, asks: bool, statements: Vec<Arc<[u8]>>) {
        let (state, attested) = (self.roll_state(&space), self.attested_state(&space));
        for statements in self.portions_for(connection, statements) {
            self.send(connection, &Message::Roll { space, asks, state, attested, statements });
        }
    }

    /// Lists of which each makes a frame that the peer takes; one empty list of none.
    pub(in crate::engine) fn portions_for(&self, connection: ConnectionId, items: Vec<Arc<[u8]>>) -> Vec<Vec<Arc<[u8]>>> {
        let limit = self.frame_bytes_max(connection).saturating_sub(LIST_OVERHEAD_BYTES);
        let (mut portions, mut bytes) = (vec![Vec::new()], 0);
        for item in items {
            let more = item.len() + ITEM_OVERHEAD_BYTES;
            if bytes + more > limit && bytes > 0 {
                portions.push(Vec::new());
                bytes = 0;
            }
            bytes += more;
            portions.last_mut().expect("there is one").push(item);
        }
        portions
    }

    pub(in crate::engine) fn on_roll(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        asks: bool,
        (state, attested): (Fingerprint, Fingerprint),
        statements: &[Arc<[u8]>],
    ) {
        if !is_owned(&space) || !self.speaks_of(connection, &space) {
            let text = format!("space {space} is not owned, and has no statements");
            return self.send(connection, &Message::Error { code: ErrorCode::BadStatement, document: None, text });
        }
        if !self.is_space_taken(connection, space) {
            return;
        }
        if !self.trust.has_room(&space) {
            let text = "this replica keeps the statements of as many owned spaces as it may".to_owned();
            return self.send(connection, &Message::Error { code: ErrorCode::LimitReached, document: None, text });
        }
        // Who is no member shows what makes them one, and no more.
        let few = if self.right(connection, &space).reads() {
            statements
        } else {
            &statements[..statements.len().min(GRANT_CHAIN_MAX + 1)]
        };
        let (mut taken, mut errors) = self.take_statements(space, few, Some(connection));
        // Who has shown by these that it is one is heard out.
        if few.len() < statements.len() && self.right(connection, &space).reads() {
            let (more, why) = self.take_statements(space, &statements[few.len()..], Some(connection));
            taken += more;
            errors.extend(why);
        }
        for error in errors.iter().filter(|error| **error != RollError::Unfounded).take(1) {
            let code = if matches!(error, RollError::Full(_)) { ErrorCode::LimitReached } else { ErrorCode::BadStatement };
            let text = format!("a statement of space {space} was not taken: {error}");
            self.send(connection, &Message::Error { code, document: None, text });
        }
        if !self.trust.rolls.contains_key(&space) || !self.right(connection, &space).reads() {
            return;
        }
        // Who answers with nothing says that all of it is durable.
        self.compare_statements(connection, space, &state, !asks && statements.is_empty());
        let own = self.roll_state(&space);
        let peer = self.trust.peers.entry((connection, space)).or_default();
        peer.state = Some(state);
        if state == own {
            let peers = self.roll_holders(&space);
            self.tell(Event::StatementsShared { space, peers });
        }
        let peer = self.trust.peers.entry((connection, space)).or_default();
        let wants_all = state != own && peer.told != Some(own);
        if wants_all {
            peer.told = Some(own);
            // First what makes this replica a member: the peer may have lost that, and then hears no more of someone it does not know.
            let mut all = self.own_chain(&space);
            let shown = all.len();
            let statements = self.trust.rolls.get(&space).map_or_else(Vec::new, |held| held.roll.statements());
            for statement in statements {
                if all[..shown].iter().all(|bytes| **bytes != *statement.bytes()) {
                    all.push(Arc::from(statement.bytes()));
                }
            }
            self.send_roll(connection, space, false, all);
        }
        match self.trust.rolls.get_mut(&space) {
            // What is held is said to be held once it is durable.
            Some(held) if held.unstored > 0 && (asks || taken > 0) => drop(held.waiting.insert(connection)),
            _ if asks && !wants_all => self.send_roll(connection, space, false, Vec::new()),
            _ => {}
        }
        if attested != self.attested_state(&space) {
            self.send_latest_attestations(connection, space);
        }
        // A peer that is no carrier has shown who it is: what waited for that goes on.
        let dialled = self.sessions.get(&connection).is_some_and(|session| session.endpoint.is_some());
        if dialled && self.spaces.get(&space).is_some_and(|held| held.open) && !self.is_subscribed(connection, &space) {
            self.subscribe(connection, space);
        }
    }

    /// Takes statements into the roll of a space, stores and passes on what is new, and draws the consequences; answers how many
    /// are new, and why others were not taken.
    fn take_statements(
        &mut self,
        space: SpaceId,
        statements: &[Arc<[u8]>],
        source: Option<ConnectionId>,
    ) -> (usize, Vec<RollError>) {
        let held = self.trust.rolls.get(&space);
        if held.is_some_and(|held| held.roll.holds_all(statements.iter().map(|bytes| &**bytes))) {
            return (0, Vec::new());
        }
        let mut roll = held.map_or_else(|| Roll::new(space), |held| held.roll.clone());
        let (taken, errors) = roll.take_bytes(statements.iter().map(|bytes| &**bytes));
        if !taken.is_empty() {
            self.adopt_roll(roll, &taken, source);
        }
        (taken.len(), errors)
    }

    /// Takes up a roll to which these were added.
    pub(in crate::engine) fn adopt_roll(&mut self, roll: Roll, taken: &[Statement], source: Option<ConnectionId>) {
        let space = roll.space();
        self.trust.put(roll);
        if let Some(held) = self.trust.rolls.get_mut(&space) {
            held.unstored += taken.len();
        }
        let by = source.and_then(|source| self.peer_of(source));
        for statement in taken {
            let kind = match statement.claim() {
                Claim::Founding { .. } => "founding",
                Claim::Grant(_) => "grant",
                Claim::Revocation(_) => "revocation",
                Claim::Epoch(_) => "epoch",
                Claim::Delivery(_) => "delivery",
                Claim::Disavowal(_) => "disavowal",
            };
            self.audit(Audit::StatementTaken { space, kind, statement: statement.id(), peer: by });
            let (key, value) = StoredStatement::write(&space, statement);
            self.keep_value(Kept { key, value, statement_of: Some(space) });
        }
        // Those who are shut out by it hear of it first.
        let connections: Vec<ConnectionId> =
            self.trust.peers.keys().filter(|(of, at)| *at == space && Some(*of) != source).map(|(of, _)| *of).collect();
        for connection in connections {
            if self.is_subscribed(connection, &space) || self.right(connection, &space).reads() {
                let statements = taken.iter().map(|statement| Arc::from(statement.bytes())).collect();
                self.send_roll(connection, space, false, statements);
                // It is told, too, when they are durable here, so that it would notice if they were forgotten.
                if let Some(held) = self.trust.rolls.get_mut(&space) {
                    held.waiting.insert(connection);
                }
            }
        }
        self.on_standing_changed(space);
        self.tell(Event::MembersChanged { space });
        // Nothing else takes away what was accepted.
        if taken.iter().any(|statement| matches!(statement.claim(), Claim::Revocation(_) | Claim::Disavowal(_))) {
            self.cut_back(space);
        }
    }

    /// Tells those who sent statements that all are durable here.
    pub(in crate::engine) fn on_statement_stored(&mut self, space: SpaceId) {
        let Some(held) = self.trust.rolls.get_mut(&space) else { return };
        held.unstored = held.unstored.saturating_sub(1);
        if held.unstored == 0 {
            for connection in std::mem::take(&mut held.waiting) {
                self.send_roll(connection, space, false, Vec::new());
            }
        }
    }

    /// How many connected peers have said that they hold exactly the statements of a space that are held here.
    pub fn roll_holders(&self, space: &SpaceId) -> usize {
        let own = self.roll_state(space);
        self.trust.peers.iter().filter(|((_, of), peer)| of == space && peer.state == Some(own)).count()
    }
}
