//! Automerge's own sync protocol, for clients that speak nothing else: what is held of a document, and how far each peer has come.
//!
//! The document here is the *durable* one. What a peer sends is checked and handed out as entries, and becomes part of the document
//! when it comes back as durable. Since a sync message names the heads of the document, no peer is ever told that its changes were
//! received before a crash can no longer undo them.
//!
//! Nothing of a peer's state is kept for its next visit: what it says it last shared with us, and we hold, is what we shared.

use super::assembly::{Assembly, AssemblyError};
use super::crdt::{from_hashes, to_hashes};
use super::document::{ApplyError, Document};
use super::import::{changes_of_file, in_causal_order};
use super::sync_message::RawMessage;
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, ChangeHash, DocumentId};
use crate::base::limits::{SYNC_ORPHAN_BYTES_MAX, SYNC_ORPHANS_MAX};
use crate::log::entry::Entry;
use automerge::sync::{BloomFilter, Have, State, SyncDoc as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// About how many bytes a change takes in memory, for bounds: a document of 260,000 keystrokes takes 39 MiB.
const CHANGE_WEIGHT: usize = 160;
/// About how many bytes a document takes that has next to nothing in it.
const DOCUMENT_WEIGHT: usize = 16 * 1024;

/// A document that is synced by Automerge's own protocol: all that is durable of it.
pub struct SyncedDocument {
    document: Document,
    /// Handed out as entries, and not durable yet.
    pending: BTreeMap<ChangeHash, Arc<Entry>>,
    weight: usize,
}

/// How far a peer has come in one document.
#[derive(Default)]
pub struct SyncPeer {
    state: State,
    /// Of what it sent, that which is not durable yet.
    awaited: BTreeSet<ChangeHash>,
    /// Of what it sent, that which depends on changes that are not here yet.
    orphans: BTreeMap<ChangeHash, Entry>,
}

/// Why a peer's message was not taken; nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// Bytes that do not decode.
    #[error("the sync message cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// Bytes that decode to what no peer sends.
    #[error("the sync message is malformed: {0}")]
    Malformed(&'static str),
    /// A change that is not sound.
    #[error("a change in the sync message was not taken: {0}")]
    Change(String),
    /// A change that contradicts one that is held.
    #[error("a change in the sync message has the actor and the number of another one: two replicas write as one")]
    Forked,
    /// More changes wait for others than may.
    #[error("too many changes were sent without those they depend on")]
    TooManyOrphans,
}

impl SyncedDocument {
    /// A document of which nothing is held.
    pub fn new(document: DocumentId, actor: ActorId) -> Self {
        let document = Document::new(document, actor, super::value::TextUnit::CodePoint);
        Self { document, pending: BTreeMap::new(), weight: DOCUMENT_WEIGHT }
    }

    /// The document that `assembly` puts together. Takes long for a long history.
    ///
    /// # Errors
    ///
    /// A piece is not sound.
    pub fn load(assembly: &Assembly) -> Result<Self, AssemblyError> {
        let document = assembly.run()?.document;
        let changes = usize::try_from(document.version().clock.entries()).unwrap_or(usize::MAX);
        let weight = changes.saturating_mul(CHANGE_WEIGHT).saturating_add(DOCUMENT_WEIGHT);
        Ok(Self { document, pending: BTreeMap::new(), weight })
    }

    /// Takes in what has become durable, in the order of the log; what is held is passed over. One call for all there is.
    ///
    /// # Errors
    ///
    /// Names what does not fit; all else is taken.
    pub fn apply(&mut self, entries: Vec<Arc<Entry>>) -> Result<(), ApplyError> {
        self.weight += entries.iter().map(|entry| CHANGE_WEIGHT + entry.payload.len()).sum::<usize>();
        for entry in &entries {
            self.pending.remove(&entry.hash);
        }
        let applied = self.document.apply(entries);
        if !self.pending.is_empty() {
            // Another one with their number was faster.
            let clock = self.document.version().clock;
            self.pending.retain(|_, entry| !clock.covers(&entry.actor, entry.seq));
        }
        applied
    }

    /// Its heads, in order.
    pub fn heads(&self) -> Vec<ChangeHash> {
        self.document.heads()
    }

    /// Whether nothing was ever written in it.
    pub fn is_empty(&self) -> bool {
        self.document.is_empty()
    }

    /// The document, to read.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Whether something was handed out that is not durable yet.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What was handed out and is not durable yet, in causal order: to be handed out again when it has taken long.
    pub fn pending(&self) -> Vec<Arc<Entry>> {
        let order: Vec<ChangeHash> = self.pending.keys().copied().collect();
        let found = self.pending.iter().map(|(hash, entry)| (*hash, Entry::clone(entry))).collect();
        in_causal_order(&order, found).into_iter().map(Arc::new).collect()
    }

    /// Lets go of what was handed out and will not become durable.
    pub fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// Takes in a peer's sync message, and answers the entries in it that are new here, each after all it depends on. They are
    /// part of the document once [`Self::apply`] is told of them.
    ///
    /// # Errors
    ///
    /// What is wrong with it; nothing of it was taken then.
    pub fn receive(&mut self, peer: &mut SyncPeer, message: &[u8]) -> Result<Vec<Arc<Entry>>, SyncError> {
        let RawMessage { message, pieces } = RawMessage::read(message)?;
        let mut order = Vec::new();
        let mut found = BTreeMap::new();
        let id = self.document.id();
        for piece in pieces {
            for entry in changes_of_file(id, piece).map_err(|error| SyncError::Change(error.to_string()))? {
                if self.pending.contains_key(&entry.hash) {
                    peer.awaited.insert(entry.hash);
                } else if !self.document.holds(&[entry.hash]) {
                    order.push(entry.hash);
                    found.insert(entry.hash, entry);
                }
            }
        }
        if !order.is_empty() {
            order.extend(peer.orphans.keys());
            found.extend(std::mem::take(&mut peer.orphans));
        }
        let (entries, orphans) = self.sorted(in_causal_order(&order, found))?;
        let orphan_bytes: usize = orphans.values().map(Entry::weight).sum();
        if orphans.len() > SYNC_ORPHANS_MAX || orphan_bytes > SYNC_ORPHAN_BYTES_MAX {
            return Err(SyncError::TooManyOrphans);
        }
        if !order.is_empty() {
            peer.orphans = orphans;
        }
        self.hand_out(peer, &entries);
        let last_shared = message.have.first().map(|have| have.last_sync.clone()).unwrap_or_default();
        let told = peer.state.last_sent_heads.clone();
        self.document
            .crdt
            .receive_sync_message(&mut peer.state, message)
            .map_err(|error| SyncError::Change(error.to_string()))?;
        // Automerge takes a peer that names our heads to know that they are ours. This one may name what it sent itself, and not
        // have been told that it has become durable.
        if !peer.state.last_sent_heads.is_empty() {
            peer.state.last_sent_heads = told;
        }
        // It says that we shared this, and we hold it: so it is, whatever we remember.
        if peer.state.shared_heads.is_empty() && self.document.holds(&from_hashes(&last_shared)) {
            peer.state.shared_heads = last_shared;
        }
        Ok(entries)
    }

    /// Answers those changes of a peer's that waited for others which have come in another way.
    ///
    /// # Errors
    ///
    /// One contradicts what is held.
    pub fn release(&mut self, peer: &mut SyncPeer) -> Result<Vec<Arc<Entry>>, SyncError> {
        if peer.orphans.is_empty() {
            return Ok(Vec::new());
        }
        peer.orphans.retain(|hash, _| !self.document.holds(&[*hash]));
        let order: Vec<ChangeHash> = peer.orphans.keys().copied().collect();
        let (entries, orphans) = self.sorted(in_causal_order(&order, std::mem::take(&mut peer.orphans)))?;
        peer.orphans = orphans;
        self.hand_out(peer, &entries);
        Ok(entries)
    }

    fn hand_out(&mut self, peer: &mut SyncPeer, entries: &[Arc<Entry>]) {
        for entry in entries {
            self.pending.insert(entry.hash, entry.clone());
            peer.awaited.insert(entry.hash);
        }
    }

    /// Parts changes in causal order into those all of whose dependencies are here or before them, and the others.
    #[expect(clippy::type_complexity, reason = "said in the line above")]
    fn sorted(&self, changes: Vec<Entry>) -> Result<(Vec<Arc<Entry>>, BTreeMap<ChangeHash, Entry>), SyncError> {
        let (mut entries, mut orphans) = (Vec::new(), BTreeMap::new());
        if changes.is_empty() {
            return Ok((entries, orphans));
        }
        let clock = self.document.version().clock;
        let mut taken = BTreeSet::new();
        let mut ends: BTreeMap<ActorId, u64> = BTreeMap::new();
        for entry in self.pending.values() {
            let end = ends.entry(entry.actor).or_default();
            *end = entry.seq.max(*end);
        }
        for entry in changes {
            let is_here =
                |dep: &ChangeHash| taken.contains(dep) || self.pending.contains_key(dep) || self.document.holds(&[*dep]);
            if !entry.deps.iter().all(is_here) {
                orphans.insert(entry.hash, entry);
                continue;
            }
            let end = ends.entry(entry.actor).or_default();
            *end = clock.get(&entry.actor).max(*end);
            if entry.seq != *end + 1 {
                return Err(SyncError::Forked);
            }
            *end += 1;
            taken.insert(entry.hash);
            entries.push(Arc::new(entry));
        }
        Ok((entries, orphans))
    }

    /// The next message for a peer; nothing when it needs none, or waits for what it sent to become durable.
    pub fn message(&self, peer: &mut SyncPeer) -> Option<Vec<u8>> {
        peer.awaited.retain(|hash| self.pending.contains_key(hash));
        if !peer.awaited.is_empty() {
            return None;
        }
        let crdt = &self.document.crdt;
        let state = &mut peer.state;
        let heads = crdt.get_heads();
        let holds = |hashes: &[automerge::ChangeHash]| self.document.holds(&from_hashes(hashes));
        // Their heads may have come to be held since they were told.
        if let Some(theirs) = state.their_heads.as_ref().filter(|theirs| !theirs.is_empty() && holds(theirs)) {
            state.shared_heads.clone_from(theirs);
            if state.their_have.as_ref().is_some_and(|have| !have.is_empty()) {
                // That says what the peer has more exactly than its filter, which may be large, and is soon looked up.
                state.their_have = Some(vec![Have { last_sync: theirs.clone(), bloom: BloomFilter::default() }]);
            }
        } else if !holds(&state.shared_heads) {
            state.shared_heads.clear();
        }
        // Who has nothing has no use for a filter that says what we have of it.
        let has_nothing = state.their_heads.as_ref().is_some_and(Vec::is_empty);
        if has_nothing {
            state.shared_heads.clone_from(&heads);
        }
        let message = crdt.generate_sync_message(state);
        if has_nothing {
            state.shared_heads.clear();
        }
        let mut message = message?;
        if !peer.orphans.is_empty() {
            message.need = self.needs(peer);
            let theirs = peer.state.their_heads.as_deref().unwrap_or_default();
            if !message.need.iter().all(|hash| theirs.contains(hash)) {
                message.have = Vec::<Have>::new();
            }
        }
        Some(message.encode())
    }

    /// What a peer is to be asked for: its heads, or what the changes that it sent depend on.
    fn needs(&self, peer: &SyncPeer) -> Vec<automerge::ChangeHash> {
        let theirs = peer.state.their_heads.iter().flatten().map(|hash| ChangeHash(hash.0));
        let deps = peer.orphans.values().flat_map(|entry| entry.deps.iter().copied());
        let missing: BTreeSet<ChangeHash> =
            theirs.chain(deps).filter(|hash| !peer.orphans.contains_key(hash) && !self.document.holds(&[*hash])).collect();
        to_hashes(&missing.into_iter().collect::<Vec<_>>())
    }
}

impl SyncPeer {
    /// A peer of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The heads it last said it has, in order; nothing when it has not said any.
    pub fn heads(&self) -> Option<Vec<ChangeHash>> {
        self.state.their_heads.as_deref().map(from_hashes)
    }

    /// Whether it waits for what it sent to become durable.
    pub fn is_waiting(&self) -> bool {
        !self.awaited.is_empty()
    }
}
