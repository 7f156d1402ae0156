//! Storage as data: a [`StoreTask`] goes out, a [`StoreDone`] or a [`StoreError`] comes back.
//!
//! One executor per platform carries tasks out. It keeps to four rules, which the conformance suite checks:
//!
//! 1. **Order.** The effects of tasks appear in the order the tasks were issued; a read sees every append before it.
//! 2. **Durability.** [`StoreDone::Appended`], [`StoreDone::SnapshotPut`] and [`StoreDone::MetaPut`] are answered only once a crash cannot undo them.
//!    Many appends may share one sync (group commit).
//! 3. **All or nothing.** An append whose answer is an error has left nothing behind that a later read could return.
//!    After a crash an unanswered append may be there or not, but of one document always a prefix of what was appended.
//! 4. **Honesty.** Bytes that do not check out are an error of kind [`StoreErrorKind::Corrupt`], never an answer.

use crate::base::id::{ChangeHash, DocumentId, SpaceId, StoreEpoch};
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::snapshot::{Base, Snapshot, SnapshotSummary};
use crate::log::version::Version;
use std::sync::Arc;

pub use crate::log::snapshot::SnapshotPart;

/// Where an entry stands in its document's log: from 1, in the order in which this replica came to hold them. Every
/// entry comes after all it depends on. Two replicas number the same entries differently.
pub type Position = u64;

/// What the engine asks of its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreTask {
    /// Opens the store and tells what it holds. Always the first task. A store that does not exist yet is made, with this epoch.
    Open {
        /// The epoch of a new store; one that exists keeps its own.
        epoch: StoreEpoch,
    },
    /// Makes entries durable: all of them, or none. Positions of a document follow each other without gaps.
    Append {
        /// What to append, in order; may belong to several documents.
        entries: Vec<StoredEntry>,
        /// Named values that are put with them, as [`StoreTask::PutMeta`] puts one. After a crash they may be there without the
        /// entries, and never the entries without them.
        values: Vec<(String, Vec<u8>)>,
    },
    /// Sets a document's log aside, as [`StoreTask::Quarantine`] does, and begins it anew: all of it or none, also where the process ends meanwhile, so that
    /// what remains of the document is never only in memory. Answered as an append.
    Renew {
        /// The document.
        document: DocumentId,
        /// What its log holds from now on, from the first position on.
        entries: Vec<StoredEntry>,
        /// Named values that are put with them.
        values: Vec<(String, Vec<u8>)>,
    },
    /// Reads entries of one document, in the order of their positions: those that are held beside its snapshot.
    Read {
        /// The document; one that is not held answers with nothing.
        document: DocumentId,
        /// Only entries above this clock.
        above: VectorClock,
        /// Only entries after this position.
        after: Position,
        /// Stop once this many bytes of payload are read; at least one entry is always answered where there is one.
        bytes_max: usize,
    },
    /// Makes a snapshot the beginning of a document's log, in place of the snapshot and the entries it stands for. All of it
    /// happens, or nothing.
    ///
    /// What the log holds and the snapshot does not stand for stays, in its order, from the position after the snapshot's end on.
    /// Of the entries the snapshot stands for, those after `base` stay at their positions where it stands for exactly the
    /// beginning of the log; the base is the snapshot's own end and clock where it stands for more than the log held, and then
    /// none of them stay. A snapshot that lacks what only the log's present snapshot stands for is refused as corrupt.
    PutSnapshot {
        /// The document.
        document: DocumentId,
        /// The space it belongs to.
        space: SpaceId,
        /// The snapshot.
        snapshot: Snapshot,
        /// Up to where the entries are let go.
        base: Base,
    },
    /// Reads a part of the snapshot that a document's log begins with.
    ReadSnapshot {
        /// The document; one that is not held, or has none, answers with nothing.
        document: DocumentId,
        /// The first byte.
        offset: u64,
        /// At most so many bytes.
        bytes_max: usize,
    },
    /// Looks up which of these hashes the document's log holds as entries; what only its snapshot holds is not found.
    Find {
        /// The document.
        document: DocumentId,
        /// The hashes.
        hashes: Vec<ChangeHash>,
    },
    /// Makes a small named value durable, replacing what stood there; an empty value removes it.
    PutMeta {
        /// Its name, below 256 bytes.
        key: String,
        /// Its value.
        value: Vec<u8>,
    },
    /// Sets a document's log aside because it is damaged: afterwards the document is not held, and what could still be
    /// read of it is kept where an operator can find it.
    Quarantine {
        /// The document.
        document: DocumentId,
    },
}

impl StoreTask {
    /// An append of entries and nothing else.
    pub fn append(entries: Vec<StoredEntry>) -> Self {
        Self::Append { entries, values: Vec::new() }
    }
}

/// An entry on its way to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// The space its document belongs to.
    pub space: SpaceId,
    /// Where it stands in its document's log.
    pub position: Position,
    /// The entry.
    pub entry: Arc<Entry>,
}

/// What a store answers when a task has been carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreDone {
    /// To [`StoreTask::Open`].
    Opened(StoreContents),
    /// To [`StoreTask::Append`]: the entries are durable.
    Appended,
    /// To [`StoreTask::Read`].
    Read {
        /// Entries with their positions, in the order of their positions.
        entries: Vec<(Position, Arc<Entry>)>,
        /// Whether there is nothing more above the clock after the last of these.
        complete: bool,
    },
    /// To [`StoreTask::PutSnapshot`]: the snapshot is durable.
    SnapshotPut,
    /// To [`StoreTask::ReadSnapshot`].
    SnapshotRead {
        /// The whole snapshot's version and the part that was asked for, with the size of the whole.
        part: Option<SnapshotPart>,
    },
    /// To [`StoreTask::Find`]: those of the hashes that are held.
    Found {
        /// In the order asked.
        hashes: Vec<ChangeHash>,
    },
    /// To [`StoreTask::PutMeta`]: the value is durable.
    MetaPut,
    /// To [`StoreTask::Quarantine`].
    Quarantined,
}

/// What a store holds when it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreContents {
    /// The store's life.
    pub epoch: Option<StoreEpoch>,
    /// Every document held, in any order.
    pub documents: Vec<StoredDocument>,
    /// Every named value, in any order.
    pub meta: Vec<(String, Vec<u8>)>,
    /// Documents that recovery found damaged, with a sentence each for the operator. What comes before the damage is still
    /// held and is in `documents`; the rest is set aside.
    pub damaged: Vec<(DocumentId, String)>,
    /// Damage that belongs to no document that is known, such as a named value's, with a sentence each for the operator.
    pub lost: Vec<String>,
}

/// A document as the store summarises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// The document.
    pub document: DocumentId,
    /// The space it belongs to.
    pub space: SpaceId,
    /// How far its log goes.
    pub version: Version,
    /// The position of its last entry.
    pub end: Position,
    /// Bytes of payload of the entries it holds.
    pub bytes: u64,
    /// The snapshot it begins with.
    pub snapshot: Option<Box<SnapshotSummary>>,
}

/// Why a store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What can be done about it.
    pub kind: StoreErrorKind,
    /// A sentence for the operator, naming the file or the document.
    pub message: String,
}

/// What can be done about a store's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No room: it may work later, once someone has made some.
    Full,
    /// The system refused or failed: it may work later.
    Unavailable,
    /// What is stored does not check out: asking again will not help.
    Corrupt,
}
