//! Sealed spaces: what is sealed on its way into a log, and opened on its way out of it.
//!
//! The log, the store and the wire hold sealed entries under names that tell nothing; documents in memory hold changes. This is the
//! border between the two, and nothing else crosses it. A replica that was not given a key yet keeps what it is sent, and reads it
//! when the key comes. Which keys there are, and who is given which, is next door in [`crate::engine::trust::epochs`].

use crate::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId, SpaceId};
use crate::base::limits::REFUSED_TOLD_MAX;
use crate::doc::change::{body_of, entry_from_body, entry_from_payload};
use crate::doc::document::{ChangeError, Document};
use crate::engine::Engine;
use crate::engine::effect::TroubleKind;
use crate::engine::trust::access::PeerRoll;
use crate::engine::trust::epochs::Ring;
use crate::log::entry::Entry;
use crate::log::version::Version;
use crate::seal::entry::{Clear, ENTRY_MARK, SealError, SealedDep, SealedHeader};
use crate::seal::keyring::Keyring;
use crate::seal::snapshot::{SNAPSHOT_MARK, SealedSnapshot};
use crate::sync::message::ErrorCode;
use crate::trust::owned::is_sealed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes that sealing adds to the largest change, beside the eighth that rounding may add: names of as many dependencies as it may have.
const SEALING_BYTES: usize = 72 * 1024;

/// The keys of sealed spaces.
#[derive(Debug, Default)]
pub(in crate::engine) struct Seals {
    pub(in crate::engine) rings: BTreeMap<SpaceId, Ring>,
}

/// Why a payload that a peer sent is not an entry.
pub(in crate::engine) enum Unfit {
    /// It is no entry at all.
    Invalid(String),
    /// It is sealed and the space is not, or the other way round.
    Kind(String),
    /// It says openly something else than what is sealed in it, or its seal is broken.
    Broken(ActorId, u64, SealError),
}

impl Engine {
    pub(in crate::engine) fn keys_of(&self, space: &SpaceId) -> Option<&Keyring> {
        self.seals.rings.get(space).map(|ring| &ring.keys)
    }

    /// Whether this replica lacks the key to write in a space, and what has not been read of it: a member's replica brings it.
    pub fn waits_for_key(&self, space: &SpaceId) -> bool {
        is_sealed(space) && self.seals.rings.get(space).is_none_or(|ring| ring.actor.is_none())
    }

    /// Whether part of an open document cannot be read yet for want of a key.
    pub fn is_sealed_here(&self, document: &DocumentId) -> bool {
        let space = self.documents.space_of(document).filter(is_sealed);
        space.is_some() && self.documents.is_waiting(document)
    }

    /// Whether changes can be made in a space at all: in a sealed one, under a key.
    pub(in crate::engine) fn may_write_in(&self, space: &SpaceId) -> Result<(), ChangeError> {
        if self.waits_for_key(space) { Err(ChangeError::NoKey) } else { Ok(()) }
    }

    /// A document of a space, with the limits that changes have there.
    pub(in crate::engine) fn fitted(&self, space: &SpaceId, document: Document) -> Document {
        let bytes_max = self.config.limits.entry_bytes_max;
        if is_sealed(space) {
            let bytes_max = (bytes_max - bytes_max / 8).saturating_sub(SEALING_BYTES);
            document.with_entry_bytes_max(bytes_max).with_whole_changes()
        } else {
            document.with_entry_bytes_max(bytes_max)
        }
    }

    /// The entry that a payload is, of a document in a space; one that is sealed is opened and compared where the key is here.
    pub(in crate::engine) fn read_entry(
        &self,
        space: &SpaceId,
        document: DocumentId,
        payload: Arc<[u8]>,
    ) -> Result<Entry, Unfit> {
        let invalid =
            |error: &dyn std::fmt::Display| Unfit::Invalid(format!("a change of document {document} is not valid: {error}"));
        if !is_sealed(space) {
            if payload.first() == Some(&ENTRY_MARK) {
                return Err(Unfit::Kind(format!("a change of document {document} is sealed, and space {space} is not")));
            }
            return entry_from_payload(document, payload).map_err(|error| invalid(&error));
        }
        let header = match SealedHeader::read(&payload) {
            Ok(header) => header,
            Err(SealError::Clear) => {
                let text = format!("a change of document {document} is not sealed, as all are in space {space}");
                return Err(Unfit::Kind(text));
            }
            Err(error) => return Err(invalid(&error)),
        };
        if let Some(keys) = self.keys_of(space)
            && let Err(error) = open(keys, document, &payload)
        {
            return Err(Unfit::Broken(header.actor, header.seq, error));
        }
        Ok(header.into_entry(document, payload))
    }

    /// Whether an entry names, for something that is held, another name than that has: a look-up has not found it.
    pub(in crate::engine) fn is_falsely_founded(&self, entry: &Entry) -> bool {
        let Some(log) = self.log(&entry.document).filter(|log| is_sealed(&log.space())) else { return false };
        let deps = SealedHeader::read(&entry.payload).map(|header| header.deps).unwrap_or_default();
        deps.iter().all(|dep| log.version().clock.covers(&dep.actor, dep.seq))
    }

    /// Which of these names the clock shows to be held in the snapshot of a log that cannot be read here: by what the first entry in line
    /// says of them.
    pub(in crate::engine) fn founded_by_clock(&self, document: &DocumentId, sought: &[ChangeHash]) -> Vec<ChangeHash> {
        let held = self.log(document).and_then(|log| log.snapshot()).map(|snapshot| &snapshot.version.clock);
        let first = self.logs.lines.get(document).and_then(|line| line.entries.front());
        let Some((held, (entry, _))) = held.zip(first) else { return Vec::new() };
        let deps = SealedHeader::read(&entry.payload).map(|header| header.deps).unwrap_or_default();
        let is_held = |dep: &&SealedDep| sought.contains(&dep.name) && held.covers(&dep.actor, dep.seq);
        deps.iter().filter(is_held).map(|dep| dep.name).collect()
    }

    /// Notes that what a connection brings of an actor from a number on is not what it says: it is passed over, and not asked for again.
    pub(in crate::engine) fn on_broken(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: DocumentId,
        broken: (ActorId, u64),
        why: &SealError,
    ) {
        let (actor, seq) = broken;
        let is_held = self.log(&document).is_some_and(|log| log.version().clock.covers(&actor, seq));
        let peer = self.trust.peers.entry((connection, space)).or_default();
        if !is_held && peer.broken.len() < REFUSED_TOLD_MAX {
            peer.broken.entry((document, actor)).or_insert(seq);
        }
        let writer = self.trust.rolls.get_mut(&space).and_then(|held| held.writer(&actor));
        let by = writer.map_or_else(|| format!("actor {actor}"), |writer| writer.to_string());
        let text = format!("change {seq} by {by} in document {document} of space {space} is not taken: {why}");
        self.trouble(TroubleKind::Forked, Some(document), Some(connection), text.clone());
        self.tell_refused(connection, space, document, ErrorCode::BrokenSeal, text);
    }

    /// Whether an entry comes after one that was not what it said, or rests on one, over a connection.
    pub(in crate::engine) fn rests_on_broken(&mut self, connection: ConnectionId, space: SpaceId, entry: &Entry) -> bool {
        let Some(peer) = self.trust.peers.get_mut(&(connection, space)).filter(|peer| !peer.broken.is_empty()) else {
            return false;
        };
        let is_broken = |peer: &PeerRoll, actor: ActorId, seq: u64| {
            peer.broken.get(&(entry.document, actor)).is_some_and(|first| *first <= seq)
        };
        if is_broken(peer, entry.actor, entry.seq) {
            return true;
        }
        let deps = SealedHeader::read(&entry.payload).map(|header| header.deps).unwrap_or_default();
        let rests = deps.iter().any(|dep| is_broken(peer, dep.actor, dep.seq));
        if rests {
            peer.broken.insert((entry.document, entry.actor), entry.seq);
        }
        rests
    }

    /// Changes of a document as they are in memory, of entries as they are in its log, each after all it depends on; and those of which
    /// the key is not here yet, with all that depend on them.
    pub(in crate::engine) fn opened(&self, space: &SpaceId, entries: Vec<Arc<Entry>>) -> (Vec<Arc<Entry>>, Vec<Arc<Entry>>) {
        if !is_sealed(space) {
            return (entries, Vec::new());
        }
        let (mut clear, mut kept) = (Vec::new(), Vec::new());
        let mut closed: BTreeSet<ChangeHash> = BTreeSet::new();
        for entry in entries {
            let rests_on_closed = entry.deps.iter().any(|dep| closed.contains(dep));
            let change = self.keys_of(space).filter(|_| !rests_on_closed);
            // What was taken before the key came, and is not what it says, stays closed.
            match change.and_then(|keys| open(keys, entry.document, &entry.payload).ok().flatten()) {
                Some(change) => clear.push(Arc::new(change)),
                None => {
                    closed.insert(entry.hash);
                    kept.push(entry);
                }
            }
        }
        (clear, kept)
    }

    /// A change of a document in memory as it goes to the log.
    pub(in crate::engine) fn sealed(&self, space: &SpaceId, document: &Document, change: Entry) -> Result<Entry, ChangeError> {
        if !is_sealed(space) {
            return Ok(change);
        }
        self.keys_of(space).and_then(|keys| self.seal(keys, document, &change)).ok_or(ChangeError::NoKey)
    }

    fn seal(&self, keys: &Keyring, document: &Document, change: &Entry) -> Option<Entry> {
        let deps = change.deps.iter().map(|dep| document.author_of(dep).map(|(actor, seq)| (*dep, actor, seq)));
        let deps = deps.collect::<Option<Vec<_>>>()?;
        let body = body_of(&change.payload).ok()?;
        let clear = Clear { actor: change.actor, seq: change.seq, hash: change.hash, deps: &deps, body: &body };
        let log = self.log(&change.document);
        keys.seal_entry(change.document, &clear, |name| log.is_some_and(|log| log.version().heads.contains(name)))
    }

    /// All changes of a document in memory as its log has them, and those of its log that could not be read yet.
    pub(in crate::engine) fn loaded_entries(&self, document: &DocumentId) -> Vec<Arc<Entry>> {
        let Some((loaded, space)) = self.documents.loaded(document).zip(self.documents.space_of(document)) else {
            return Vec::new();
        };
        self.entries_of(&space, loaded).into_iter().chain(self.documents.unapplied(document)).collect()
    }

    /// All changes of a document as a log of the space has them.
    pub(in crate::engine) fn entries_of(&self, space: &SpaceId, document: &Document) -> Vec<Arc<Entry>> {
        let changes = document.entries().into_iter();
        changes.filter_map(|change| self.sealed(space, document, change).ok()).map(Arc::new).collect()
    }

    /// How far a document in memory goes, as its log says it.
    pub(in crate::engine) fn version_of(&self, space: &SpaceId, document: &Document) -> Version {
        let version = document.version();
        if !is_sealed(space) {
            return version;
        }
        let heads = version.heads.iter().filter_map(|head| self.name_of(space, document, head));
        Version { heads: heads.collect(), clock: version.clock }
    }

    /// The heads of an open document as its log has them, as far as it can be read here; nothing where it is not in memory.
    pub fn heads_in_log(&self, document: &DocumentId) -> Option<Vec<ChangeHash>> {
        let (loaded, space) = self.documents.loaded(document).zip(self.documents.space_of(document))?;
        let mut heads: Vec<ChangeHash> = loaded.heads().iter().filter_map(|head| self.name_of(&space, loaded, head)).collect();
        heads.sort_unstable();
        Some(heads)
    }

    /// The name that a change of a document in memory has in its log.
    pub(in crate::engine) fn name_of(&self, space: &SpaceId, document: &Document, hash: &ChangeHash) -> Option<ChangeHash> {
        if !is_sealed(space) {
            return Some(*hash);
        }
        let (actor, _) = document.author_of(hash)?;
        self.keys_of(space)?.name(&document.id(), &actor, hash)
    }

    /// A snapshot as it is read: opened where it is sealed. Nothing where the key is not here.
    pub(in crate::engine) fn opened_snapshot(
        &self,
        space: &SpaceId,
        document: &DocumentId,
        bytes: Arc<[u8]>,
    ) -> Result<Option<Arc<[u8]>>, SealError> {
        if !is_sealed(space) {
            return Ok(Some(bytes));
        }
        let snapshot = SealedSnapshot::read(&bytes)?;
        let Some(keys) = self.keys_of(space) else { return Ok(None) };
        Ok(keys.open_snapshot(document, &snapshot)?.map(Arc::from))
    }
}

/// Whether bytes are a sealed snapshot.
pub(in crate::engine) fn is_sealed_snapshot(bytes: &[u8]) -> bool {
    bytes.first() == Some(&SNAPSHOT_MARK)
}

/// The change under the seal of an entry, compared with what the entry says openly; nothing where the key is not here.
fn open(keys: &Keyring, document: DocumentId, payload: &[u8]) -> Result<Option<Entry>, SealError> {
    let Some((header, body)) = keys.open_entry(&document, payload)? else { return Ok(None) };
    let change = entry_from_body(document, &body).map_err(|_| SealError::Otherwise("it is no change"))?;
    keys.check(&document, &header, &change)?;
    Ok(Some(change))
}
