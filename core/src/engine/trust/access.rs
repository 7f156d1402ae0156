//! Owned spaces: who may do what on a connection, and the end of it.
//!
//! An owned space is synced with whoever shows a grant there, and with relays that this side has dialled, which carry what they are
//! given. A grant that is taken back or ends counts from that moment on, on connections that are open too. Open spaces cost one
//! look at their id.

use super::attests::Told;
use crate::base::id::{ActorId, ConnectionId, DocumentId, PeerId, SpaceId};
use crate::base::limits::{FRAME_ENTRIES_MAX, REFUSED_TOLD_MAX, ROLLS_BYTES_MAX, ROLLS_MAX};
use crate::engine::effect::{Event, TroubleKind};
use crate::engine::timers::Timer;
use crate::engine::{Engine, Phase};
use crate::log::tree::Fingerprint;
use crate::sync::hello::Identity;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::key::{SIGNATURE_BYTES, Signer};
use crate::trust::owned::{is_owned, is_sealed};
use crate::trust::roll::Roll;
use crate::trust::standing::Access;
use crate::trust::statement::Level;
use std::collections::{BTreeMap, BTreeSet};

/// The first version of the protocol that has owned spaces.
const VERSION_WITH_ROLLS: u64 = 3;
/// The first that has sealed ones.
const VERSION_WITH_SEALS: u64 = 4;
/// What sets the tokens of pings apart that go behind the question what this replica was granted.
const ASKED: u64 = 1 << 62;
/// Longest sleep while a grant is going to end, in milliseconds: the wall clock, by which grants end, may jump.
const END_LOOK_MS: u64 = 30_000;

/// What is known of owned spaces, and how connections stand with them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Trust {
    pub(in crate::engine) rolls: BTreeMap<SpaceId, HeldRoll>,
    pub(in crate::engine) peers: BTreeMap<(ConnectionId, SpaceId), PeerRoll>,
    bytes: usize,
    /// How often a peer was asked what this replica was granted.
    asked: u64,
    /// When the next grant of a space ends, in seconds of Unix time.
    ends: BTreeSet<(u64, SpaceId)>,
}

/// The roll of a space, and what is worked out of it again and again.
#[derive(Debug)]
pub(in crate::engine) struct HeldRoll {
    pub(in crate::engine) roll: Roll,
    /// Whose actors are, of those that were asked for.
    writers: BTreeMap<ActorId, PeerId>,
    /// What this replica itself could do when it was last looked at.
    own: Option<Level>,
    /// When its next grant ends.
    end: Option<u64>,
    /// Statements that are not durable yet.
    pub(in crate::engine) unstored: usize,
    /// Who is told once all are.
    pub(in crate::engine) waiting: BTreeSet<ConnectionId>,
}

/// How a connection stands with an owned space.
#[derive(Debug, Default)]
pub(in crate::engine) struct PeerRoll {
    /// What stands for the peer's statements, as it said last.
    pub(in crate::engine) state: Option<Fingerprint>,
    /// At which of our states it was sent all of ours.
    pub(in crate::engine) told: Option<Fingerprint>,
    /// Whether it was sent the attestations that were taken last.
    pub(in crate::engine) told_attested: bool,
    /// What it was sent of the attestations of a document.
    pub(in crate::engine) attested: BTreeMap<DocumentId, Told>,
    /// Documents of which it was told that what it sends is not taken, and why.
    pub(in crate::engine) refused: BTreeSet<(DocumentId, ErrorCode)>,
    /// From which number on what it brings of an actor in a document is not what it says.
    pub(in crate::engine) broken: BTreeMap<(DocumentId, ActorId), u64>,
    /// The token of the ping that went behind the question what this replica was granted, until it is answered.
    pub(in crate::engine) asked: Option<u64>,
    /// Whether it was told that its presence is not shown.
    is_unseen: bool,
}

/// Who is at the other end of a connection, as far as a space is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Right {
    /// Anyone: the space is open.
    Anyone,
    /// A relay that this side has dialled: it brings and takes what others wrote.
    Carrier,
    /// Someone who may do what they were granted.
    Member(PeerId, Access),
}

impl Right {
    /// Whether it may be sent what the space holds.
    pub(in crate::engine) fn reads(self) -> bool {
        match self {
            Self::Anyone | Self::Carrier => true,
            Self::Member(_, access) => access.allows(Level::Read),
        }
    }
}

impl Signer for Identity {
    fn peer(&self) -> PeerId {
        Identity::peer(self)
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        Identity::sign(self, message)
    }
}

impl HeldRoll {
    /// Whose an actor is: a key of the roll's.
    pub(in crate::engine) fn writer(&mut self, actor: &ActorId) -> Option<PeerId> {
        if let Some(known) = self.writers.get(actor) {
            return Some(*known);
        }
        let writer = self.roll.standing().writer(actor)?;
        if self.writers.len() >= FRAME_ENTRIES_MAX {
            self.writers.clear();
        }
        self.writers.insert(*actor, writer);
        Some(writer)
    }
}

impl Trust {
    /// Takes up a roll, in place of the one there was.
    pub(in crate::engine) fn put(&mut self, roll: Roll) {
        let before = self.rolls.get(&roll.space()).map_or(0, |held| held.roll.bytes());
        self.bytes = self.bytes - before + roll.bytes();
        let space = roll.space();
        match self.rolls.get_mut(&space) {
            Some(held) => held.roll = roll,
            None => {
                let held =
                    HeldRoll { roll, writers: BTreeMap::new(), own: None, end: None, unstored: 0, waiting: BTreeSet::new() };
                self.rolls.insert(space, held);
            }
        }
    }

    /// The token of a ping that goes behind a question.
    pub(in crate::engine) fn next_token(&mut self) -> u64 {
        self.asked += 1;
        ASKED | self.asked
    }

    /// Counts so many bytes more than there are.
    #[cfg(test)]
    pub(in crate::engine) fn fill(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Whether there is room for the statements of one more space, or for more of one.
    pub(in crate::engine) fn has_room(&self, space: &SpaceId) -> bool {
        (self.rolls.len() < ROLLS_MAX || self.rolls.contains_key(space)) && self.bytes < ROLLS_BYTES_MAX
    }
}

impl Engine {
    /// Seconds of Unix time, by which grants end.
    pub(in crate::engine) fn unix_s(&self) -> u64 {
        u64::try_from(self.now.unix_ms / 1_000).unwrap_or(0)
    }

    /// What this replica may do in a space: everything in an open one.
    pub fn own_access(&self, space: &SpaceId) -> Access {
        if !is_owned(space) {
            return Access::Granted(Level::Admin);
        }
        let own = self.peer_id().zip(self.trust.rolls.get(space));
        own.map_or(Access::Nothing, |(peer, held)| held.roll.standing().access(&peer, self.unix_s()))
    }

    /// What the other end of a connection may do in a space.
    pub(in crate::engine) fn right(&self, connection: ConnectionId, space: &SpaceId) -> Right {
        if !is_owned(space) {
            return Right::Anyone;
        }
        let Some(session) = self.sessions.get(&connection) else { return Right::Member(PeerId([0; 32]), Access::Nothing) };
        let hello = session.handshake.theirs();
        if session.endpoint.is_some() && hello.is_some_and(|hello| hello.relay) {
            return Right::Carrier;
        }
        // Who has not proved to be a peer is nobody.
        let peer = session.peer.as_ref().map(|peer| peer.id);
        let access = peer.and_then(|peer| {
            let held = self.trust.rolls.get(space)?;
            Some(held.roll.standing().access(&peer, self.unix_s()))
        });
        Right::Member(peer.unwrap_or(PeerId([0; 32])), access.unwrap_or(Access::Nothing))
    }

    /// Whether the version spoken on a connection has spaces of this kind.
    pub(in crate::engine) fn speaks_of(&self, connection: ConnectionId, space: &SpaceId) -> bool {
        let version = self.sessions.get(&connection).and_then(|session| session.handshake.version());
        version.is_some_and(|version| version >= version_with(space))
    }

    /// Refuses someone who may not be sent what a space holds; answers whether that was so.
    pub(in crate::engine) fn is_shut_out(&mut self, connection: ConnectionId, space: SpaceId) -> bool {
        let right = self.right(connection, &space);
        if right.reads() && (self.speaks_of(connection, &space) || !is_sealed(&space)) {
            return false;
        }
        let (code, text) = if self.speaks_of(connection, &space) {
            let access = if let Right::Member(_, access) = right { access } else { Access::Nothing };
            why_not(access, space)
        } else {
            let text = format!(
                "space {space} is owned, and synced by version {} of the protocol or a newer one: update the older side",
                version_with(&space)
            );
            (ErrorCode::NoGrant, text)
        };
        if code == ErrorCode::GrantRevoked {
            self.show_revocation(connection, space);
        }
        self.send(connection, &Message::Error { code, document: None, text });
        self.send(connection, &Message::Unsubscribe { space });
        true
    }

    /// Ends the sync of a space with someone who may no longer be sent what it holds.
    fn shut_out(&mut self, connection: ConnectionId, space: SpaceId) {
        if !self.is_shut_out(connection, space) {
            return;
        }
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.subscriptions.remove(&space);
        }
        if let Some(held) = self.spaces.get_mut(&space) {
            held.sessions.remove(&connection);
        }
        self.drop_presences_in(connection, space);
        self.touch_progress(space);
    }

    /// Draws the consequences of a roll that has changed, or of time: for whoever syncs the space, and for this replica itself.
    pub(in crate::engine) fn on_standing_changed(&mut self, space: SpaceId) {
        let connections: Vec<ConnectionId> =
            self.spaces.get(&space).map_or_else(Vec::new, |held| held.sessions.iter().copied().collect());
        for connection in connections {
            match self.right(connection, &space) {
                right if !right.reads() => self.shut_out(connection, space),
                Right::Member(_, access) if !access.allows(Level::Presence) => self.drop_presences_in(connection, space),
                _ => {}
            }
            // What was refused may be taken now, and the other way round.
            let mut refused = BTreeSet::new();
            if let Some(peer) = self.trust.peers.get_mut(&(connection, space)) {
                refused = std::mem::take(&mut peer.refused).into_iter().map(|(document, _)| document).collect();
                peer.is_unseen = false;
            }
            for document in refused {
                self.ask(connection, space, document);
            }
        }
        let now = self.own_access(&space).level();
        if let Some(held) = self.trust.rolls.get_mut(&space) {
            let before = std::mem::replace(&mut held.own, now);
            if before != now {
                self.tell(Event::AccessChanged { space, level: now });
                if now > before {
                    self.subscribe_anew(space);
                }
            }
        }
        self.plan_end(space);
        self.tend_keys(space);
    }

    /// Begins to sync a space again with everyone: this replica may do more than before.
    fn subscribe_anew(&mut self, space: SpaceId) {
        if self.is_relay() || self.spaces.get(&space).is_none_or(|held| !held.open) {
            return;
        }
        let connections: Vec<ConnectionId> =
            self.sessions.iter().filter(|(_, session)| session.handshake.theirs().is_some()).map(|(id, _)| *id).collect();
        for connection in connections {
            let session = self.sessions.get(&connection);
            if session.is_some_and(|session| session.endpoint.is_some() && session.subscriptions.contains_key(&space)) {
                self.unsubscribe(connection, space);
            }
            self.subscribe(connection, space);
        }
    }

    /// Sees to it that the end of a space's next grant is noticed.
    fn plan_end(&mut self, space: SpaceId) {
        let unix_s = self.unix_s();
        if let Some(held) = self.trust.rolls.get_mut(&space) {
            let end = held.roll.standing().next_end(unix_s);
            let before = std::mem::replace(&mut held.end, end);
            before.map(|before| self.trust.ends.remove(&(before, space)));
            self.trust.ends.extend(end.map(|end| (end, space)));
        }
        let Some((first, _)) = self.trust.ends.first() else { return self.timers.cancel(&Timer::GrantEnd) };
        let left_ms = first.saturating_mul(1_000).saturating_sub(u64::try_from(self.now.unix_ms).unwrap_or(0));
        self.timers.set(Timer::GrantEnd, self.now.monotonic_ms + left_ms.min(END_LOOK_MS));
    }

    /// Has a look at the grants that have ended.
    pub(in crate::engine) fn on_grant_end(&mut self) {
        let unix_s = self.unix_s();
        let ended: Vec<SpaceId> = self.trust.ends.iter().take_while(|(end, _)| *end <= unix_s).map(|(_, space)| *space).collect();
        for space in ended {
            self.on_standing_changed(space);
        }
        if let Some((_, space)) = self.trust.ends.first().copied() {
            self.plan_end(space);
        }
    }

    /// Tells a peer once of each document why nothing is taken of it.
    pub(in crate::engine) fn tell_refused(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: DocumentId,
        code: ErrorCode,
        text: String,
    ) {
        let peer = self.trust.peers.entry((connection, space)).or_default();
        if peer.refused.len() < REFUSED_TOLD_MAX && peer.refused.insert((document, code)) {
            self.send(connection, &Message::Error { code, document: Some(document), text });
        }
    }

    /// Whether a peer's presence is shown in a space; says so once to whom it is not.
    pub(in crate::engine) fn is_seen(&mut self, connection: ConnectionId, space: SpaceId) -> bool {
        let Right::Member(_, access) = self.right(connection, &space) else { return true };
        if access.allows(Level::Presence) {
            return true;
        }
        let peer = self.trust.peers.entry((connection, space)).or_default();
        if !std::mem::replace(&mut peer.is_unseen, true) {
            let text = format!("you may not be seen in space {space}: you were granted to read there, and no more");
            self.send(connection, &Message::Error { code: ErrorCode::NotGranted, document: None, text });
        }
        false
    }

    /// Forgets how a connection stood with owned spaces.
    pub(in crate::engine) fn forget_peer_rolls(&mut self, connection: ConnectionId) {
        let of = (connection, SpaceId([0; 16]))..=(connection, SpaceId([0xff; 16]));
        let keys: Vec<_> = self.trust.peers.range(of).map(|(key, _)| *key).collect();
        for key in keys {
            self.trust.peers.remove(&key);
            if let Some(held) = self.trust.rolls.get_mut(&key.1) {
                held.waiting.remove(&connection);
            }
        }
    }

    /// Tells that this replica itself is not let into a space.
    pub(in crate::engine) fn tell_locked(&mut self, space: SpaceId, connection: ConnectionId, message: String) {
        debug_assert!(matches!(self.phase, Phase::Running { .. }), "only a replica at work syncs");
        self.trouble(TroubleKind::Forbidden, None, Some(connection), format!("space {space} is not synced here: {message}"));
    }
}

/// The first version of the protocol that has spaces of this kind.
fn version_with(space: &SpaceId) -> u64 {
    if is_sealed(space) { VERSION_WITH_SEALS } else { VERSION_WITH_ROLLS }
}

/// The refusal of someone with this access, who wants to be sent what a space holds.
pub(in crate::engine) fn why_not(access: Access, space: SpaceId) -> (ErrorCode, String) {
    match access {
        Access::Expired => {
            (ErrorCode::GrantExpired, format!("what you were granted in space {space} has expired: ask for a new invitation"))
        }
        Access::Revoked => (ErrorCode::GrantRevoked, format!("what you were granted in space {space} was revoked")),
        Access::Granted(_) | Access::Nothing => (
            ErrorCode::NoGrant,
            format!(
                "space {space} is owned, and you were granted nothing there: ask a member for an invitation (driftline join)"
            ),
        ),
    }
}
