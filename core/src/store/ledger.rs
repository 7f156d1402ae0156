//! The ledger: a journal without its medium. It says which bytes to write, and answers once they are written or failed.
//!
//! Media that answer at once are driven by [`super::journal::Journal`]. A driver whose medium answers later (IndexedDB) does
//! the same in steps: [`Ledger::open`] with all bytes, then for each batch of tasks [`Ledger::prepare`], write and sync what
//! it asks for, and [`Ledger::commit`] or, when that failed and nothing of it is left on the medium, [`Ledger::abort`].
//! One batch at a time: what arrives meanwhile becomes the next batch, which is what group commit is.
//!
//! When nothing else is to be done, a driver asks for the [`Ledger::next_step`] by which the journal is written again without what is
//! dead in it, does it, and says with [`Ledger::finish_step`] what came of it.

use super::index::{DocumentIndex, Index};
use super::medium::Area;
use super::record::{META_KEY_BYTES_MAX, Record, RecordError};
use super::recover::{Recovered, choose, recover};
use super::rewrite::{Rewrite, RewritePolicy, Step, StepKind};
use super::task::{Position, StoreContents, StoreDone, StoreError, StoreErrorKind, StoreTask, StoredEntry};
use crate::base::id::{DocumentId, SpaceId, StoreEpoch, TaskId};
use crate::log::snapshot::{Base, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// What comes of a task.
pub type StoreResult = Result<StoreDone, StoreError>;

/// What a journal holds and where it ends.
#[derive(Debug)]
pub struct Ledger {
    index: Index,
    area: Area,
    len: u64,
    is_preparing: bool,
    policy: RewritePolicy,
    /// How often the journal has been written again.
    generation: u64,
    rewrite: Option<Rewrite>,
    /// Whether something that does not count may stand in the other area.
    is_littered: bool,
    /// Bytes committed since it was opened.
    written: u64,
    /// How many these must be before it is worth looking whether the journal should be written again; none at its opening.
    look_at: Option<u64>,
    /// How many these must be before the other area is cleaned.
    clean_at: u64,
    /// Damaged documents of which something was set aside and that have not gone on since: that stays until they have.
    unhealed: BTreeSet<DocumentId>,
}

/// A ledger that was just opened, and what must be done to its medium, in this order and then synced, before it is used.
#[derive(Debug)]
pub struct Opening {
    /// The ledger.
    pub ledger: Ledger,
    /// What it holds.
    pub contents: StoreContents,
    /// The area that the rest is about: the one that holds the journal.
    pub area: Area,
    /// Drop everything from this offset on: a torn tail.
    pub truncate: Option<u64>,
    /// Write these bytes at that offset, which is then the end of the file; may be empty.
    pub append: (u64, Vec<u8>),
}

/// A batch of tasks that are done once [`Prepared::bytes`] are durable at [`Prepared::at`].
#[derive(Debug)]
#[must_use = "a prepared batch must be committed or aborted"]
pub struct Prepared {
    area: Area,
    at: u64,
    bytes: Vec<u8>,
    answers: Vec<(TaskId, Answer)>,
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Answer {
    /// Whatever happens to the batch.
    Settled(StoreResult),
    /// If the batch becomes durable.
    Written(StoreDone),
    /// As long as what was written before it in the batch stands; otherwise it is read again.
    Read(StoreTask, StoreDone),
}

/// How to take a step back.
#[derive(Debug)]
enum Undo {
    Append {
        document: DocumentId,
        keep: Position,
    },
    Create {
        document: DocumentId,
    },
    Mend {
        document: DocumentId,
    },
    Meta {
        key: String,
        value: Option<Vec<u8>>,
    },
    /// A document as it was, before it was removed or began with another snapshot.
    Restore {
        document: DocumentId,
        index: Box<DocumentIndex>,
        /// Whether it was set aside.
        is_aside: bool,
    },
}

impl Prepared {
    /// In which area the bytes belong.
    pub fn area(&self) -> Area {
        self.area
    }

    /// Where the bytes belong: the end of what is kept of the file.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// What to write; empty when the batch only read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Ledger {
    /// Reads a journal from all the bytes of a medium's two areas; none make a new one with this epoch.
    ///
    /// An error means that the bytes are no journal, or one of a newer version: they must be left as they are.
    pub fn open(areas: [&[u8]; 2], epoch: StoreEpoch) -> Result<Opening, StoreError> {
        let read = |bytes| recover(bytes).map_err(|error| corrupt(format!("the journal cannot be read: it was {error}")));
        let found = [read(areas[0])?, read(areas[1])?];
        let area = choose(&found);
        let is_any = found.iter().any(|recovered| recovered.any);
        let is_littered = !areas[area.other() as usize].is_empty();
        let (bytes, [first, second]) = (areas[area as usize], found);
        let recovered = if area == Area::First { first } else { second };
        let is_whole = recovered.is_whole();
        let Recovered { mut index, damaged, mut lost, mut len, wants_seal, aside, generation, .. } = recovered;
        let mut append = Vec::new();
        if !is_any {
            // Nothing but the beginning of a first record can be in a journal without records.
            Record::Store { epoch }.encode(0, 0, &mut append).map_err(too_large)?;
            if areas.iter().any(|bytes| bytes.len() > append.len()) {
                return Err(corrupt("the file is not a Driftline journal; move it away to start a new one".to_owned()));
            }
            len = 0;
            lost.clear();
        } else if index.epoch.is_none() {
            lost.push("the journal's own header is damaged: the store begins a new epoch".to_owned());
        }
        let is_new_epoch = index.epoch.is_none();
        let epoch = *index.epoch.get_or_insert(epoch);
        if is_any && (is_new_epoch || wants_seal) {
            Record::Store { epoch }.encode(len, len, &mut append).map_err(too_large)?;
        }
        if !is_whole {
            // The journal it was copied from is gone, so that it was whole once.
            Record::Whole { generation }.encode(len + append.len() as u64, len, &mut append).map_err(too_large)?;
        }
        let contents = StoreContents {
            epoch: Some(epoch),
            documents: index.summaries(),
            meta: index.meta.clone().into_iter().collect(),
            damaged: damaged.into_iter().collect(),
            lost,
        };
        let unhealed = contents.damaged.iter().map(|(document, _)| *document).chain(aside).collect();
        let truncate = (len < bytes.len() as u64).then_some(len);
        let ledger = Self {
            index,
            area,
            len: len + append.len() as u64,
            is_preparing: false,
            policy: RewritePolicy::default(),
            generation,
            rewrite: None,
            is_littered,
            written: 0,
            look_at: None,
            clean_at: 0,
            unhealed,
        };
        Ok(Opening { ledger, contents, area, truncate, append: (len, append) })
    }

    /// Has the journal written again at other times than by default.
    pub fn set_policy(&mut self, policy: RewritePolicy) {
        self.policy = policy;
    }

    /// In which area the journal is.
    pub fn area(&self) -> Area {
        self.area
    }

    /// Where the next record goes.
    pub fn end(&self) -> u64 {
        self.len
    }

    /// What it holds now, without what recovery had to tell.
    pub fn contents(&self) -> StoreContents {
        StoreContents {
            epoch: self.index.epoch,
            documents: self.index.summaries(),
            meta: self.index.meta.clone().into_iter().collect(),
            ..StoreContents::default()
        }
    }

    /// Checks tasks and says what to write for them, in order. Tasks after the first open are answered as if that worked.
    ///
    /// # Panics
    ///
    /// When the batch before was neither committed nor aborted.
    pub fn prepare(&mut self, tasks: Vec<(TaskId, StoreTask)>) -> Prepared {
        assert!(!self.is_preparing, "a batch is committed or aborted before the next is prepared");
        self.is_preparing = true;
        let mut prepared = Prepared { area: self.area, at: self.len, bytes: Vec::new(), answers: Vec::new(), undo: Vec::new() };
        for (id, task) in tasks {
            let (bytes, steps) = (prepared.bytes.len(), prepared.undo.len());
            let answer = match self.prepare_task(task, &mut prepared) {
                Ok(answer) => answer,
                Err(error) => {
                    prepared.bytes.truncate(bytes);
                    self.undo(prepared.undo.split_off(steps));
                    Answer::Settled(Err(error))
                }
            };
            prepared.answers.push((id, answer));
        }
        prepared
    }

    /// The batch's bytes are durable: the answers.
    pub fn commit(&mut self, prepared: Prepared) -> Vec<(TaskId, StoreResult)> {
        self.is_preparing = false;
        self.len += prepared.bytes.len() as u64;
        self.written += prepared.bytes.len() as u64;
        self.note(&prepared.undo);
        let answer = |answer| match answer {
            Answer::Settled(result) => result,
            Answer::Written(done) | Answer::Read(_, done) => Ok(done),
        };
        prepared.answers.into_iter().map(|(id, drafted)| (id, answer(drafted))).collect()
    }

    /// The batch's bytes could not be written, and none of them are left: the answers, with `error` for every write.
    pub fn abort(&mut self, prepared: Prepared, error: &StoreError) -> Vec<(TaskId, StoreResult)> {
        self.is_preparing = false;
        self.undo(prepared.undo);
        let answer = |answer| match answer {
            Answer::Settled(result) => result,
            Answer::Written(_) => Err(error.clone()),
            Answer::Read(task, done) => Ok(self.read(&task).unwrap_or(done)),
        };
        prepared.answers.into_iter().map(|(id, drafted)| (id, answer(drafted))).collect()
    }

    /// The journal in one piece, as it is when it is written again: for a backup of it, or for another life of the store, with an epoch of
    /// its own. It belongs into the first area of a new medium.
    ///
    /// # Errors
    ///
    /// A snapshot and what stands beside it are more than one record can hold.
    pub fn copied(&self, epoch: Option<StoreEpoch>) -> Result<Vec<u8>, StoreError> {
        let epoch = epoch.or(self.index.epoch).expect("an open journal has an epoch");
        let mut copy = Rewrite::begin(&self.index, Area::First, self.generation + 1, epoch).map_err(too_large)?;
        let mut bytes = Vec::new();
        loop {
            let step = copy.next(&self.index, self.policy.step_bytes).map_err(too_large)?;
            bytes.extend_from_slice(&step.bytes);
            if step.kind == StepKind::Switch {
                return Ok(bytes);
            }
        }
    }

    /// What is to be done next so that the journal does not hold more dead bytes than it should, if anything. Never while a batch is
    /// prepared; and the step is finished before the next, or a batch, is asked for.
    pub fn next_step(&mut self) -> Option<Step> {
        assert!(!self.is_preparing, "the journal is written again between batches");
        if self.rewrite.is_none() {
            if self.is_littered {
                let drop = Step { kind: StepKind::Drop, area: self.area.other(), at: 0, bytes: Vec::new() };
                return (self.written >= self.clean_at).then_some(drop);
            }
            if !self.wants_rewrite() {
                return None;
            }
            let epoch = self.index.epoch.expect("an open journal has an epoch");
            self.rewrite = Rewrite::begin(&self.index, self.area.other(), self.generation + 1, epoch).ok();
        }
        let step = self.rewrite.as_mut()?.next(&self.index, self.policy.step_bytes);
        if step.is_err() {
            // A snapshot and what stands beside it are more than one record can hold: that does not change soon.
            self.give_up_rewrite();
            self.look_at = Some(u64::MAX);
        }
        step.ok()
    }

    /// A step was done and is durable; or it was not, and when it was a [`StepKind::Switch`] has been taken back, or is before anything is written.
    pub fn finish_step(&mut self, step: Step, is_done: bool) {
        match step.kind {
            StepKind::Copy if is_done => {}
            StepKind::Switch if is_done => {
                self.generation = self.rewrite.take().map_or(self.generation, |rewrite| rewrite.generation());
                self.area = step.area;
                self.len = step.at + step.bytes.len() as u64;
                self.is_littered = true;
                self.clean_at = 0;
            }
            StepKind::Copy | StepKind::Switch => self.give_up_rewrite(),
            StepKind::Drop if is_done => self.is_littered = false,
            StepKind::Drop => self.clean_at = self.written + self.policy.patience(),
        }
    }

    /// Whether the journal is being written again.
    pub fn is_rewriting(&self) -> bool {
        self.rewrite.is_some()
    }

    /// Whether everything is copied and only the switch is left. It should come before the next batch: who always writes a little
    /// between two steps would never see it.
    pub fn is_closing(&self) -> bool {
        self.rewrite.as_ref().is_some_and(Rewrite::is_closing)
    }

    fn wants_rewrite(&mut self) -> bool {
        let is_opening = self.look_at.is_none();
        if !self.unhealed.is_empty() || self.look_at.is_some_and(|at| self.written < at) {
            return false;
        }
        self.look_at = Some(self.written + self.policy.patience());
        self.policy.wants(self.len, self.index.live_bytes(), is_opening)
    }

    /// What was copied is dropped, and it is tried again later.
    fn give_up_rewrite(&mut self) {
        self.rewrite = None;
        self.is_littered = true;
        self.clean_at = 0;
        self.look_at = Some(self.written + self.policy.patience());
    }

    /// What a batch that is durable now changed.
    fn note(&mut self, steps: &[Undo]) {
        for step in steps {
            match step {
                Undo::Restore { document, is_aside: true, .. } => {
                    // What was set aside is not copied: it stays where it is until the document has come back.
                    self.unhealed.insert(*document);
                    if self.rewrite.is_some() {
                        self.give_up_rewrite();
                    }
                }
                Undo::Restore { document, is_aside: false, .. } => {
                    self.unhealed.remove(document);
                    // What the snapshot stands for is dead now: it may be time.
                    self.look_at = self.look_at.filter(|at| *at == u64::MAX).or(Some(self.written));
                    if let Some(rewrite) = &mut self.rewrite {
                        rewrite.on_document_replaced(*document);
                    }
                }
                Undo::Append { document, .. } => {
                    self.unhealed.remove(document);
                    if let Some(rewrite) = &mut self.rewrite {
                        rewrite.on_document(*document);
                    }
                }
                Undo::Meta { key, .. } => {
                    if let Some(rewrite) = &mut self.rewrite {
                        rewrite.on_value(key);
                    }
                }
                Undo::Create { .. } | Undo::Mend { .. } => {}
            }
        }
    }

    fn prepare_task(&mut self, task: StoreTask, prepared: &mut Prepared) -> Result<Answer, StoreError> {
        if let Some(done) = self.read(&task) {
            return Ok(Answer::Read(task, done));
        }
        match task {
            StoreTask::Append { entries, values } => self.append_all(entries, values, prepared),
            StoreTask::Renew { document, entries, values } => {
                self.set_aside(document, &Record::Renew { document, entries: entries.len() as u64 }, prepared)?;
                self.append_all(entries, values, prepared)
            }
            StoreTask::PutMeta { key, value } => {
                self.put_value(key, value, prepared)?;
                Ok(Answer::Written(StoreDone::MetaPut))
            }
            StoreTask::Quarantine { document } => {
                self.set_aside(document, &Record::Quarantine { document, keep: 0 }, prepared)?;
                Ok(Answer::Written(StoreDone::Quarantined))
            }
            StoreTask::PutSnapshot { document, space, snapshot, base } => {
                self.put_snapshot(document, space, snapshot, base, prepared)?;
                Ok(Answer::Written(StoreDone::SnapshotPut))
            }
            StoreTask::Open { .. } | StoreTask::Read { .. } | StoreTask::ReadSnapshot { .. } | StoreTask::Find { .. } => {
                unreachable!("tasks that write nothing are answered before")
            }
        }
    }

    /// The answer to a task that writes nothing; nothing to one that does.
    fn read(&self, task: &StoreTask) -> Option<StoreDone> {
        match task {
            StoreTask::Open { .. } => Some(StoreDone::Opened(self.contents())),
            StoreTask::Read { document, above, after, bytes_max } => Some(self.index.read(document, above, *after, *bytes_max)),
            StoreTask::Find { document, hashes } => Some(StoreDone::Found { hashes: self.index.find(document, hashes) }),
            StoreTask::ReadSnapshot { document, offset, bytes_max } => {
                Some(StoreDone::SnapshotRead { part: self.index.read_snapshot(document, *offset, *bytes_max) })
            }
            StoreTask::Append { .. }
            | StoreTask::Renew { .. }
            | StoreTask::PutSnapshot { .. }
            | StoreTask::PutMeta { .. }
            | StoreTask::Quarantine { .. } => None,
        }
    }

    /// Sets a document's log aside, if it is held, by this record.
    fn set_aside(&mut self, document: DocumentId, record: &Record, prepared: &mut Prepared) -> Result<(), StoreError> {
        if let Some(index) = self.index.documents.remove(&document) {
            prepared.undo.push(Undo::Restore { document, index: Box::new(index), is_aside: true });
            prepared.record(record)?;
        }
        Ok(())
    }

    fn append_all(
        &mut self,
        entries: Vec<StoredEntry>,
        values: Vec<(String, Vec<u8>)>,
        prepared: &mut Prepared,
    ) -> Result<Answer, StoreError> {
        for (key, value) in values {
            self.put_value(key, value, prepared)?;
        }
        for stored in entries {
            self.append(stored, prepared)?;
        }
        Ok(Answer::Written(StoreDone::Appended))
    }

    fn put_value(&mut self, key: String, value: Vec<u8>, prepared: &mut Prepared) -> Result<(), StoreError> {
        if key.len() > META_KEY_BYTES_MAX {
            return Err(corrupt(format!("the name of a value is over {META_KEY_BYTES_MAX} bytes long")));
        }
        // Where nothing changes nothing is written; the answer still stands and falls with a write of the same batch.
        let held = self.index.meta.get(&key);
        if held.map_or(value.is_empty(), |held| *held == value) {
            return Ok(());
        }
        prepared.record(&Record::Meta { key: key.clone(), value: value.clone() })?;
        let before = if value.is_empty() { self.index.meta.remove(&key) } else { self.index.meta.insert(key.clone(), value) };
        prepared.undo.push(Undo::Meta { key, value: before });
        Ok(())
    }

    fn append(&mut self, stored: StoredEntry, prepared: &mut Prepared) -> Result<(), StoreError> {
        let document = stored.entry.document;
        let index = self.document_to_write(document, stored.space, prepared)?;
        let keep = index.end();
        index.push(&stored).map_err(corrupt)?;
        prepared.undo.push(Undo::Append { document, keep });
        prepared.record(&Record::Entry(stored))
    }

    fn put_snapshot(
        &mut self,
        document: DocumentId,
        space: SpaceId,
        snapshot: Snapshot,
        base: Base,
        prepared: &mut Prepared,
    ) -> Result<(), StoreError> {
        let index = self.document_to_write(document, space, prepared)?;
        let after = index.beginning_with(document, space, snapshot.clone(), &base, false).map_err(corrupt)?;
        let end = after.end();
        let before = std::mem::replace(index, after);
        prepared.undo.push(Undo::Restore { document, index: Box::new(before), is_aside: false });
        prepared.record(&Record::Snapshot { document, space, end, base, snapshot })
    }

    /// A document whose log may be written on, made where none is held.
    fn document_to_write(
        &mut self,
        document: DocumentId,
        space: SpaceId,
        prepared: &mut Prepared,
    ) -> Result<&mut DocumentIndex, StoreError> {
        let index = self.index.documents.entry(document).or_insert_with(|| {
            prepared.undo.push(Undo::Create { document });
            DocumentIndex::new(space)
        });
        if index.is_cut {
            // Tells the next recovery that the log goes on from here, and what was set aside stays aside.
            prepared.record(&Record::Quarantine { document, keep: index.end() })?;
            index.is_cut = false;
            prepared.undo.push(Undo::Mend { document });
        }
        Ok(index)
    }

    fn undo(&mut self, steps: Vec<Undo>) {
        let documents = &mut self.index.documents;
        // A document is cut back once, to where its earliest step says.
        let mut cuts: BTreeMap<DocumentId, Position> = BTreeMap::new();
        for step in steps.into_iter().rev() {
            match step {
                Undo::Append { document, keep } => {
                    cuts.insert(document, keep);
                }
                Undo::Create { document } => {
                    documents.remove(&document);
                    cuts.remove(&document);
                }
                Undo::Mend { document } => {
                    if let Some(index) = documents.get_mut(&document) {
                        index.is_cut = true;
                    }
                }
                Undo::Meta { key, value: Some(value) } => {
                    self.index.meta.insert(key, value);
                }
                Undo::Meta { key, value: None } => {
                    self.index.meta.remove(&key);
                }
                Undo::Restore { document, index, .. } => {
                    documents.insert(document, *index);
                    cuts.remove(&document);
                }
            }
        }
        for (document, keep) in cuts {
            if let Some(index) = documents.get_mut(&document) {
                index.truncate(keep);
            }
        }
    }
}

impl Prepared {
    fn record(&mut self, record: &Record) -> Result<(), StoreError> {
        record.encode(self.at + self.bytes.len() as u64, self.at, &mut self.bytes).map_err(too_large)
    }
}

fn corrupt(message: String) -> StoreError {
    StoreError { kind: StoreErrorKind::Corrupt, message }
}

fn too_large(error: RecordError) -> StoreError {
    StoreError { kind: StoreErrorKind::Unavailable, message: format!("cannot be stored: {error}") }
}
