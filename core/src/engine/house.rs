//! The rules of the house: whom a relay lets in, and how much they may have of it.
//!
//! A relay that was told nothing lets everyone in, as far as there is room. All rules are about connections that were accepted: whom a
//! replica dials is its own choice.

use super::Engine;
use super::config::Quotas;
use super::effect::{Audit, Event};
use super::logs::Work;
use super::timers::Timer;
use crate::base::id::{ConnectionId, DocumentId, PeerId, SpaceId};
use crate::base::limits::{REFUSED_TOLD_MAX, SPACES_BROUGHT_MAX};
use crate::base::time::Now;
use crate::log::log::Log;
use crate::policy::rate::Rates;
use crate::store::task::StoreTask;
use crate::sync::message::{ErrorCode, Message};
use std::collections::{BTreeMap, BTreeSet};

/// The first version of the protocol that has errors of its own for this.
const VERSION_WITH_RULES: u64 = 4;
/// What the names of spaces begin with of which it is remembered who brought them; the space follows.
const BROUGHT_PREFIX: &str = "brought/";
/// How long a space's size is taken for what it was when it was last added up, in milliseconds, but for what came since.
const SIZE_MS: u64 = 1_000;
/// How soon it is looked again whether there is room for what was refused, in milliseconds.
const LOOK_MS: u64 = 15_000;

/// Whom this replica lets in, and what they have.
#[derive(Debug, Default)]
pub(super) struct House {
    /// The keys that are let in; all, where there is no list.
    allowed: Option<BTreeSet<PeerId>>,
    frames: Option<Rates>,
    bytes: Option<Rates>,
    /// Who brought which space.
    brought: BTreeMap<SpaceId, PeerId>,
    of_key: BTreeMap<PeerId, usize>,
    sizes: BTreeMap<SpaceId, Size>,
    /// Documents of which something was refused for want of room.
    full: BTreeMap<DocumentId, Refused>,
    /// Who has done the work for which spaces.
    pub(super) stamped: BTreeSet<(ConnectionId, SpaceId)>,
}

/// What was refused of a document.
#[derive(Clone, Debug)]
struct Refused {
    space: SpaceId,
    /// Bytes of what was refused first.
    bytes: u64,
    /// Who was told so.
    told: BTreeSet<ConnectionId>,
}

/// How large a space is.
#[derive(Clone, Copy, Debug)]
struct Size {
    bytes: u64,
    at_ms: u64,
}

impl House {
    pub(super) fn new(quotas: &Quotas, allowed: Option<BTreeSet<PeerId>>) -> Self {
        Self { allowed, frames: quotas.frames.map(Rates::new), bytes: quotas.bytes.map(Rates::new), ..Self::default() }
    }

    fn note_brought(&mut self, space: SpaceId, by: PeerId) {
        if self.brought.insert(space, by).is_none() {
            *self.of_key.entry(by).or_default() += 1;
        }
    }
}

impl Engine {
    /// Lets in these keys and no others from now on, or everyone; who is here and is no longer let in is told so, and let go.
    pub fn set_allowed(&mut self, now: Now, allowed: Option<BTreeSet<PeerId>>) {
        self.now = now;
        self.needs_flush = true;
        self.house.allowed = allowed;
        let here: Vec<(ConnectionId, PeerId)> =
            self.sessions.iter().filter_map(|(connection, session)| Some((*connection, session.peer.as_ref()?.id))).collect();
        for (connection, peer) in here {
            self.is_kept_out(connection, &peer);
        }
    }

    /// Sends whoever is not let in away; answers whether that was so.
    pub(super) fn is_kept_out(&mut self, connection: ConnectionId, peer: &PeerId) -> bool {
        let is_dialled = self.is_dialled(connection);
        if is_dialled || self.house.allowed.as_ref().is_none_or(|allowed| allowed.contains(peer)) {
            return false;
        }
        let text = format!("only keys on a list are let in here, and yours is not on it: ask the operator to add {peer}");
        self.refuse_softly(connection, ErrorCode::NotAdmitted, None, text.clone());
        self.leave(connection, &text);
        true
    }

    /// Counts a frame; lets a connection go whose peer sends more than it may. What was not acknowledged it sends again later.
    pub(super) fn is_too_fast(&mut self, connection: ConnectionId, bytes: usize) -> bool {
        if self.house.frames.is_none() && self.house.bytes.is_none() {
            return false;
        }
        let Some(peer) = self.peer_of(connection).filter(|_| !self.is_dialled(connection) && !self.is_neighbour(connection))
        else {
            return false;
        };
        let now_ms = self.now.monotonic_ms;
        let frames = self.house.frames.as_mut().map_or(Ok(()), |rates| rates.take(now_ms, peer, 1));
        let bytes = self.house.bytes.as_mut().map_or(Ok(()), |rates| rates.take(now_ms, peer, bytes as u64));
        let (what, wait_ms) = match (frames, bytes) {
            (Err(wait_ms), _) => ("frames", wait_ms),
            (_, Err(wait_ms)) => ("bytes", wait_ms),
            _ => return false,
        };
        let text = format!(
            "you send more {what} than a key may here: connect again in {} s, and nothing is lost that you keep",
            wait_ms.div_ceil(1_000)
        );
        self.refuse_softly(connection, ErrorCode::TooFast, None, text.clone());
        self.leave(connection, &text);
        true
    }

    /// Whether a space that a peer brings is taken: it is known here already, or nothing is in the way of one more. What is in the way the
    /// peer is told.
    pub(super) fn is_space_taken(&mut self, connection: ConnectionId, space: SpaceId) -> bool {
        let Quotas { spaces_per_key_max, stamp_bits, .. } = self.config.quotas;
        let is_known =
            self.spaces.contains_key(&space) || self.trust.rolls.contains_key(&space) || self.house.brought.contains_key(&space);
        if is_known || !self.is_relay() || self.is_dialled(connection) || self.is_neighbour(connection) {
            return true;
        }
        let Some(peer) = self.peer_of(connection) else { return false };
        if spaces_per_key_max.is_some_and(|max| self.house.of_key.get(&peer).is_some_and(|spaces| *spaces >= max)) {
            let max = spaces_per_key_max.unwrap_or_default();
            let text = format!("space {space} is not taken here: your key has brought {max} spaces, which is as many as it may");
            self.refuse_softly(connection, ErrorCode::QuotaReached, None, text);
            self.send(connection, &Message::Unsubscribe { space });
            return false;
        }
        let counts = spaces_per_key_max.is_some() || stamp_bits > 0;
        if counts && self.house.brought.len() >= SPACES_BROUGHT_MAX {
            let text = "as many spaces were brought here as may be".to_owned();
            self.refuse_softly(connection, ErrorCode::LimitReached, None, text);
            self.send(connection, &Message::Unsubscribe { space });
            return false;
        }
        if stamp_bits > 0 && !self.house.stamped.remove(&(connection, space)) {
            self.ask_for_stamp(connection, space, stamp_bits);
            return false;
        }
        if counts {
            self.house.note_brought(space, peer);
            let (key, value) = (format!("{BROUGHT_PREFIX}{space}"), peer.0.to_vec());
            self.store(Work::Meta, StoreTask::PutMeta { key, value });
        }
        self.audit(Audit::SpaceMade { space, peer });
        true
    }

    /// Whether there is room in a space for so many bytes more of a document; says so to the sender where there is none.
    pub(super) fn has_quota_for(&mut self, space: SpaceId, document: DocumentId, bytes: u64, source: ConnectionId) -> bool {
        let Some(max) = self.config.quotas.space_bytes_max else { return true };
        let size = self.size_of(space) + bytes;
        if size <= max {
            if let Some(size) = self.house.sizes.get_mut(&space) {
                size.bytes += bytes;
            }
            return true;
        }
        self.timers.set_no_later(Timer::House, self.now.monotonic_ms + LOOK_MS);
        let many = self.house.full.len() >= REFUSED_TOLD_MAX;
        if !many || self.house.full.contains_key(&document) {
            let new = || Refused { space, bytes, told: BTreeSet::new() };
            if self.house.full.entry(document).or_insert_with(new).told.insert(source) {
                let text = format!(
                    "space {space} has as many bytes here as it may ({max}): what was sent of document {document} is kept where it was made, and asked for again once there is room"
                );
                self.refuse_softly(source, ErrorCode::QuotaReached, Some(document), text);
            }
        }
        false
    }

    /// How many bytes a space takes in the store, about.
    fn size_of(&mut self, space: SpaceId) -> u64 {
        let now_ms = self.now.monotonic_ms;
        if let Some(size) = self.house.sizes.get(&space).filter(|size| now_ms < size.at_ms + SIZE_MS) {
            return size.bytes;
        }
        let of = |log: &Log| log.entry_bytes() + log.undurable_payload() + log.snapshot().map_or(0, |snapshot| snapshot.bytes);
        let bytes = self.spaces.get(&space).map_or(0, |held| held.space.documents().map(of).sum());
        self.house.sizes.insert(space, Size { bytes, at_ms: now_ms });
        bytes
    }

    /// Asks for what was refused for want of room, where there is some now.
    pub(super) fn on_house_due(&mut self) {
        let Some(max) = self.config.quotas.space_bytes_max else { return };
        for (document, refused) in std::mem::take(&mut self.house.full) {
            if self.size_of(refused.space) + refused.bytes <= max {
                self.ask_everyone(refused.space, document);
            } else {
                self.house.full.insert(document, refused);
            }
        }
        if !self.house.full.is_empty() {
            self.timers.set_no_later(Timer::House, self.now.monotonic_ms + LOOK_MS);
        }
    }

    /// A connection is gone.
    pub(super) fn forget_guest(&mut self, connection: ConnectionId) {
        self.house.stamped.retain(|(of, _)| *of != connection);
        for refused in self.house.full.values_mut() {
            refused.told.remove(&connection);
        }
        self.end_searches(connection);
    }

    /// Takes up who brought which space.
    pub(super) fn load_house(&mut self, meta: &[(String, Vec<u8>)]) {
        for (name, value) in meta {
            let space = name.strip_prefix(BROUGHT_PREFIX).and_then(|space| space.parse().ok());
            if let Some((space, key)) = space.zip(<[u8; 32]>::try_from(value.as_slice()).ok()) {
                self.house.note_brought(space, PeerId(key));
            }
        }
    }

    pub(super) fn is_dialled(&self, connection: ConnectionId) -> bool {
        self.sessions.get(&connection).is_some_and(|session| session.endpoint.is_some())
    }

    /// Sends an error of a kind that older peers do not know as one that they do.
    pub(super) fn refuse_softly(
        &mut self,
        connection: ConnectionId,
        code: ErrorCode,
        document: Option<DocumentId>,
        text: String,
    ) {
        let version = self.sessions.get(&connection).and_then(|session| session.handshake.version());
        let known = version.is_some_and(|version| version >= VERSION_WITH_RULES);
        if !known {
            // Counted as what it is, and said in a word that they know.
            self.count_refusal(code);
        }
        let code = if known { code } else { ErrorCode::LimitReached };
        self.send(connection, &Message::Error { code, document, text });
    }

    /// Notes something for whoever looks at what happened here, if anyone does.
    pub(super) fn audit(&mut self, audit: Audit) {
        if self.config.audit {
            self.tell(Event::Audit(audit));
        }
    }
}
