//! Writing a journal again: what lives is copied into the medium's other area, and the rest is left behind with the old one.
//!
//! A journal only grows, and a snapshot makes most of what stands before it dead. When enough is dead, the copy is made in steps of bounded
//! size between batches of tasks, each written and synced before the next. Batches go to the old journal meanwhile; what they
//! change of a document that is copied already is copied after it. When nothing is left to copy, one record says that the copy
//! is whole, and once that is durable the copy is the journal. A crash before that finds the old journal and a copy that does not
//! count, and one after it finds two of which the later counts.

use super::index::Index;
use super::medium::Area;
use super::record::{Record, RecordError};
use super::task::Position;
use crate::base::id::{DocumentId, StoreEpoch};
use std::collections::{BTreeMap, BTreeSet};

/// When a journal is written again, and in how large steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RewritePolicy {
    /// When it is in use.
    pub in_use: DeadPart,
    /// When it has just been opened. Who works is not disturbed for little; between two sessions there is time.
    pub at_opening: DeadPart,
    /// Most bytes of one step, which is what a batch may have to wait for.
    pub step_bytes: usize,
}

/// How much of a journal must be dead: more than both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadPart {
    /// So many bytes.
    pub bytes: u64,
    /// So many percent of it.
    pub percent: u64,
}

impl RewritePolicy {
    /// Whether a journal of `len` bytes of which `live` are worth keeping is to be written again.
    pub(super) fn wants(&self, len: u64, live: u64, is_opening: bool) -> bool {
        let dead = len.saturating_sub(live);
        let least = if is_opening { self.at_opening } else { self.in_use };
        dead > least.bytes && dead.saturating_mul(100) > len.saturating_mul(least.percent)
    }

    /// After how many more bytes it is worth looking again, or trying again what has failed.
    pub(super) fn patience(&self) -> u64 {
        self.in_use.bytes / 4 + 1
    }
}

impl Default for RewritePolicy {
    fn default() -> Self {
        Self {
            in_use: DeadPart { bytes: 256 * 1024, percent: 50 },
            at_opening: DeadPart { bytes: 64 * 1024, percent: 12 },
            step_bytes: 64 * 1024,
        }
    }
}

/// What a driver must do to an area of its medium: drop everything from [`Step::at`] on, write [`Step::bytes`] there, and sync.
#[derive(Debug)]
#[must_use = "a step must be finished, whether it worked or not"]
pub struct Step {
    pub(super) kind: StepKind,
    pub(super) area: Area,
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A part of the copy.
    Copy,
    /// The copy becomes the journal. When this fails, it must be taken back before anything else is written: a crash could else
    /// find a copy that is whole, and behind what was written to the old journal since.
    Switch,
    /// What does not count any more is given back.
    Drop,
}

impl Step {
    /// What it is for.
    pub fn kind(&self) -> StepKind {
        self.kind
    }

    /// Where it is done.
    pub fn area(&self) -> Area {
        self.area
    }

    /// From where on everything is dropped, and where the bytes belong.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// What to write; may be empty.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A copy that is being made.
#[derive(Debug)]
pub(super) struct Rewrite {
    area: Area,
    generation: u64,
    /// Records, the first of them handed out already up to `handed`.
    encoded: Vec<u8>,
    handed: usize,
    /// Where `encoded` begins.
    at: u64,
    /// Documents of which not everything is encoded.
    documents: BTreeSet<DocumentId>,
    /// Values that are not encoded as they stand.
    names: BTreeSet<String>,
    /// Up to which position documents are encoded.
    copied: BTreeMap<DocumentId, Position>,
    /// Documents whose log began anew after something of it was encoded.
    replaced: BTreeSet<DocumentId>,
}

impl Rewrite {
    /// Begins a copy of everything.
    pub(super) fn begin(index: &Index, area: Area, generation: u64, epoch: StoreEpoch) -> Result<Self, RecordError> {
        let mut encoded = Vec::new();
        Record::Store { epoch }.encode(0, 0, &mut encoded)?;
        Record::Copy { generation }.encode(encoded.len() as u64, 0, &mut encoded)?;
        let (documents, names) = (index.documents.keys().copied().collect(), index.meta.keys().cloned().collect());
        let (copied, replaced) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { area, generation, encoded, handed: 0, at: 0, documents, names, copied, replaced })
    }

    /// How often the journal has been written again, with this time.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// A document was written on.
    pub(super) fn on_document(&mut self, document: DocumentId) {
        self.documents.insert(document);
    }

    /// A document's log began anew.
    pub(super) fn on_document_replaced(&mut self, document: DocumentId) {
        self.documents.insert(document);
        if self.copied.contains_key(&document) {
            self.replaced.insert(document);
        }
    }

    /// A named value was put or removed.
    pub(super) fn on_value(&mut self, key: &str) {
        self.names.insert(key.to_owned());
    }

    /// Whether the next step is the switch, if nothing is written before it.
    pub(super) fn is_closing(&self) -> bool {
        self.handed == self.encoded.len() && self.documents.is_empty() && self.names.is_empty()
    }

    /// What is to be done next.
    pub(super) fn next(&mut self, index: &Index, step_bytes: usize) -> Result<Step, RecordError> {
        if self.handed == self.encoded.len() {
            self.at += self.handed as u64;
            self.handed = 0;
            self.encoded.clear();
        }
        while self.encoded.len() - self.handed < step_bytes && self.encode_next(index, step_bytes)? {}
        let at = self.at + self.handed as u64;
        let rest = &self.encoded[self.handed..];
        if rest.is_empty() {
            let mut bytes = Vec::new();
            Record::Whole { generation: self.generation }.encode(at, at, &mut bytes)?;
            return Ok(Step { kind: StepKind::Switch, area: self.area, at, bytes });
        }
        let bytes = rest[..rest.len().min(step_bytes.max(1))].to_vec();
        self.handed += bytes.len();
        Ok(Step { kind: StepKind::Copy, area: self.area, at, bytes })
    }

    /// Encodes a little more; answers whether there was anything.
    fn encode_next(&mut self, index: &Index, step_bytes: usize) -> Result<bool, RecordError> {
        if let Some(document) = self.documents.first().copied() {
            self.encode_document(index, document, step_bytes)?;
            return Ok(true);
        }
        let Some(key) = self.names.pop_first() else { return Ok(false) };
        let value = index.meta.get(&key).cloned().unwrap_or_default();
        self.encode(&Record::Meta { key, value })?;
        Ok(true)
    }

    fn encode_document(&mut self, index: &Index, document: DocumentId, step_bytes: usize) -> Result<(), RecordError> {
        if self.replaced.remove(&document) {
            self.copied.remove(&document);
            self.encode(&Record::Quarantine { document, keep: 0 })?;
        }
        let Some(held) = index.documents.get(&document).filter(|held| held.end() > 0) else {
            self.documents.remove(&document);
            return Ok(());
        };
        let mut copied = match self.copied.get(&document) {
            Some(copied) => *copied,
            None => {
                if let Some(beginning) = held.beginning_record(document) {
                    self.encode(&beginning)?;
                }
                held.begun_at()
            }
        };
        while self.encoded.len() - self.handed < step_bytes {
            let Some(stored) = held.stored(copied + 1) else {
                self.documents.remove(&document);
                break;
            };
            self.encode(&Record::Entry(stored))?;
            copied += 1;
        }
        self.copied.insert(document, copied);
        Ok(())
    }

    fn encode(&mut self, record: &Record) -> Result<(), RecordError> {
        // Each a batch of its own, as is the record that says that the copy is whole: only that one can be torn then.
        let at = self.at + self.encoded.len() as u64;
        record.encode(at, at, &mut self.encoded)
    }
}
