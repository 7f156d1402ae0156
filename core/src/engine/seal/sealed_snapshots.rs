//! Snapshots of sealed documents: made by members who may, taken by everyone, and read by whoever has the key.
//!
//! A relay cannot read what it would have to put together. Where a log has grown long it asks a connected member of admin level, or the
//! owner, who makes the snapshot, signs it and sends it; for that the relay lets go of the entries, as after a compaction of its own.
//! Nobody else's is taken by a replica without the key: it would let go of what a made-up snapshot says it stands for.

use super::seals::is_sealed_snapshot;
use crate::base::id::{ConnectionId, DocumentId, SpaceId};
use crate::base::limits::SNAPSHOTS_WANTED_MAX;
use crate::doc::assembly::claimed_version;
use crate::doc::document::Document;
use crate::engine::Engine;
use crate::engine::snapshots::Received;
use crate::engine::trust::access::Right;
use crate::log::entry::Entry;
use crate::log::snapshot::Snapshot;
use crate::log::version::Version;
use crate::seal::entry::SealError;
use crate::seal::snapshot::SealedSnapshot;
use crate::sync::hello::Refusal;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::key::is_signed_by;
use crate::trust::owned::is_sealed;
use crate::trust::statement::Level;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Milliseconds after which a member is asked again for the same snapshot: making it takes a load of the whole document.
const ASK_EVERY_MS: u64 = 20_000;
/// How often a member is asked again before that where what came was not for the end of the log any more.
const RETRIES_MAX: u8 = 2;

/// What is asked for, and owed, of snapshots that only members can make.
#[derive(Debug, Default)]
pub(in crate::engine) struct SealedSnapshots {
    /// Documents whose logs have grown long here.
    wanted: BTreeMap<DocumentId, Wanted>,
    /// Who has asked this replica for the snapshot that it is making.
    owed: BTreeMap<DocumentId, BTreeSet<ConnectionId>>,
}

/// How often a member was asked for the snapshot of a document, and when last.
#[derive(Debug, Default)]
struct Wanted {
    asked: usize,
    at_ms: Option<u64>,
    retries: u8,
}

#[cfg(test)]
impl SealedSnapshots {
    /// Wants so many that nobody brings.
    pub(in crate::engine) fn fill(&mut self, many: usize) {
        self.wanted.extend((0..many as u128).map(|number| (DocumentId(number.to_be_bytes()), Wanted::default())));
    }
}

impl Engine {
    /// Whether this replica makes the snapshots of a space: in a sealed one it must have the key, and be trusted with that.
    pub(in crate::engine) fn makes_snapshots(&self, space: &SpaceId) -> bool {
        !is_sealed(space) || self.leading(space).is_some() && self.own_access(space).allows(Level::Admin)
    }

    /// Whether what is sealed under this snapshot can be read here.
    pub(in crate::engine) fn can_open(&self, space: &SpaceId, bytes: &[u8]) -> bool {
        let snapshot = SealedSnapshot::read(bytes).ok();
        !is_sealed(space)
            || snapshot.is_some_and(|snapshot| self.keys_of(space).is_some_and(|keys| keys.key(&snapshot.header.epoch).is_some()))
    }

    /// A document as a snapshot of a log of the space, made by this replica; nothing where it may not make any. The nonce was
    /// drawn for it.
    pub(in crate::engine) fn snapshot_of(
        &self,
        space: &SpaceId,
        document: &Document,
        saved: Vec<u8>,
        nonce: [u8; 24],
    ) -> Option<Snapshot> {
        let version = self.version_of(space, document);
        if !is_sealed(space) {
            return Some(Snapshot { version, bytes: saved.into() });
        }
        if !self.makes_snapshots(space) {
            return None;
        }
        let crate::engine::Phase::Running { identity, .. } = &self.phase else { return None };
        let (epoch, _) = self.leading(space)?;
        let (maker, sign) = (identity.peer(), |message: &[u8]| identity.sign(message));
        let bytes = self.keys_of(space)?.seal_snapshot(&document.id(), (epoch, nonce), version.clone(), maker, sign, &saved)?;
        Some(Snapshot { version, bytes: bytes.into() })
    }

    /// How far a peer's snapshot goes by its own account; nothing where it is refused, which the peer is told.
    pub(in crate::engine) fn version_claimed(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: DocumentId,
        bytes: &[u8],
    ) -> Option<Version> {
        let invalid =
            |reason: &dyn std::fmt::Display| format!("the snapshot of document {document} that was sent is not sound: {reason}");
        if is_sealed(&space) != is_sealed_snapshot(bytes) {
            let kinds = if is_sealed(&space) { "is not sealed, as all are in" } else { "is sealed, and so is not" };
            let text = format!("the snapshot of document {document} that was sent {kinds} space {space}");
            self.tell_refused(connection, space, document, ErrorCode::WrongSeal, text);
            return None;
        }
        if !is_sealed(&space) {
            return match claimed_version(bytes) {
                Ok(version) => Some(version),
                Err(reason) => {
                    self.refuse(connection, Refusal { code: ErrorCode::BadEntry, text: invalid(&reason) });
                    None
                }
            };
        }
        let checked = SealedSnapshot::read(bytes).and_then(|snapshot| {
            let (message, signature) = snapshot.signed(&space, &document);
            let maker = snapshot.header.maker;
            if is_signed_by(&maker, &message, signature) { Ok(snapshot.header) } else { Err(SealError::Signature) }
        });
        let header = match checked {
            Ok(header) => header,
            Err(error) => {
                self.tell_refused(connection, space, document, ErrorCode::BadSnapshot, invalid(&error));
                return None;
            }
        };
        let standing = self.trust.rolls.get(&space).map(|held| held.roll.standing());
        let may = standing.is_some_and(|standing| match self.can_open(&space, bytes) {
            // All that it holds is compared: who made it need not stand any more.
            true => standing.was_admin(&header.maker),
            false => standing.access(&header.maker, self.unix_s()).allows(Level::Admin),
        });
        if !may {
            let text = invalid(&format!("it was made by {}, who may not make any in space {space}", header.maker));
            self.tell_refused(connection, space, document, ErrorCode::BadSnapshot, text);
            return None;
        }
        Some(header.version)
    }

    /// Whether what was put together of a peer's snapshot is what the snapshot says openly.
    pub(in crate::engine) fn is_as_claimed(
        &self,
        space: &SpaceId,
        document: &Document,
        inner: &Version,
        claimed: &Version,
    ) -> bool {
        let names: Option<_> = inner.heads.iter().map(|head| self.name_of(space, document, head)).collect();
        inner.clock == claimed.clock && names.is_some_and(|names: BTreeSet<_>| names.iter().eq(claimed.heads.iter()))
    }

    /// Asks a member who may make them for a snapshot of a document whose log has grown long here: each time another. Answers whether one was asked.
    pub(in crate::engine) fn want_snapshot(&mut self, space: SpaceId, document: DocumentId) -> bool {
        let has_room = self.sealed_snapshots.wanted.len() < SNAPSHOTS_WANTED_MAX;
        if !self.is_relay() || !(has_room || self.sealed_snapshots.wanted.contains_key(&document)) {
            return false;
        }
        let (makers, now_ms) = (self.makers(&space), self.now.monotonic_ms);
        let wanted = self.sealed_snapshots.wanted.entry(document).or_default();
        if wanted.at_ms.is_some_and(|at_ms| now_ms >= at_ms + ASK_EVERY_MS) {
            (wanted.at_ms, wanted.retries) = (None, 0);
        }
        let is_due = wanted.at_ms.is_none();
        if let Some(maker) = makers.get(wanted.asked % makers.len().max(1)).copied().filter(|_| is_due) {
            (wanted.asked, wanted.at_ms) = (wanted.asked + 1, Some(now_ms));
            self.send(maker, &Message::Compact { space, document });
            return true;
        }
        false
    }

    /// Asks for another, since what came was not for the end of the log: at once, and where that goes on, when the document is quiet. So it does where
    /// it has not asked for the one that came: it is what a member holds, and cannot be added to what is held here.
    pub(in crate::engine) fn want_another_snapshot(&mut self, space: SpaceId, document: DocumentId) -> bool {
        let Some(wanted) = self.sealed_snapshots.wanted.get_mut(&document) else { return self.want_snapshot(space, document) };
        if wanted.retries < RETRIES_MAX {
            wanted.retries += 1;
            wanted.at_ms = None;
            self.want_snapshot(space, document)
        } else {
            self.make_snapshot_later(document);
            false
        }
    }

    /// Connections of those who may make snapshots of a space.
    fn makers(&self, space: &SpaceId) -> Vec<ConnectionId> {
        let connections = self.spaces.get(space).into_iter().flat_map(|held| held.sessions.iter().copied());
        connections
            .filter(
                |connection| matches!(self.right(*connection, space), Right::Member(_, access) if access.allows(Level::Admin)),
            )
            .collect()
    }

    /// Asks someone who has just come for the snapshots that nobody was here to make.
    pub(in crate::engine) fn ask_for_snapshots(&mut self, connection: ConnectionId, space: SpaceId) {
        if !is_sealed(&space) || !self.makers(&space).contains(&connection) {
            return;
        }
        let wanted: Vec<DocumentId> = self
            .sealed_snapshots
            .wanted
            .keys()
            .filter(|document| self.locations.get(*document) == Some(&space))
            .copied()
            .collect();
        for document in wanted {
            self.send(connection, &Message::Compact { space, document });
        }
    }

    /// Makes a snapshot for someone whose log has grown long, and who cannot make it.
    pub(in crate::engine) fn on_compact(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) {
        let is_held = self.log(&document).is_some_and(|log| log.space() == space && log.end() > 0);
        if !is_sealed(&space) || !is_held || !self.makes_snapshots(&space) || !self.is_subscribed(connection, &space) {
            return;
        }
        let is_fresh = self.log(&document).is_some_and(|log| log.snapshot().is_some_and(|held| held.version == *log.durable()));
        if is_fresh {
            return self.hand_over(connection, space, document);
        }
        self.sealed_snapshots.owed.entry(document).or_default().insert(connection);
        self.make_snapshot(document);
    }

    /// Sends the snapshot that was made to those who asked for it, and asks for no more of a document that has one.
    pub(in crate::engine) fn on_sealed_snapshot_put(&mut self, space: SpaceId, document: DocumentId) {
        self.sealed_snapshots.wanted.remove(&document);
        for connection in self.sealed_snapshots.owed.remove(&document).unwrap_or_default() {
            self.hand_over(connection, space, document);
        }
    }

    fn hand_over(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) {
        self.with_delta(connection, space, document, |delta, _| delta.offer());
        self.push_soon(connection, space, document);
    }

    /// Whether a snapshot that this replica cannot read is taken for what it holds already: it was asked for.
    pub(in crate::engine) fn is_wanted(&self, document: &DocumentId) -> bool {
        self.sealed_snapshots.wanted.contains_key(document)
    }

    /// Takes in what a peer's snapshot holds change by change, where it cannot be merged with what is here and made one anew.
    pub(in crate::engine) fn receive_changes(&mut self, received: &Received, document: &Document) {
        let entries: Vec<Arc<Entry>> = self.entries_of(&received.space, document);
        for entry in entries {
            self.receive_entry(received.space, entry, received.source);
        }
    }
}
