//! A document in memory: the CRDT behind a small door.

use super::census::Census;
use super::change::{ChangeDecodeError, entry_of_change};
use super::crdt::{self, Found};
use super::edit::Edit;
use super::patch::Patch;
use super::raw::{Chunk, RawChange};
use super::replay::{Plan, Replays};
use super::transaction::Bounds;
use super::value::{IntoPath, TextUnit, Value};
use crate::base::codec::Reader;
use crate::base::id::{ActorId, ChangeHash, DocumentId};
use crate::base::limits::{ENTRY_OPS_MAX, ENTRY_UNPACKED_BYTES_MAX, Limits};
use crate::log::entry::Entry;
use crate::log::version::Version;
use automerge::transaction::CommitOptions;
use automerge::{Automerge, ObjType, PatchLog, ReadDoc as _};
use std::collections::BTreeMap;
use std::sync::Arc;

pub use super::transaction::Transaction;

/// A document in memory.
///
/// It holds no more than what was applied to it and changed in it, draws nothing at random and reads no clock: the
/// same calls give the same changes, byte for byte.
#[derive(Clone)]
pub struct Document {
    id: DocumentId,
    unit: TextUnit,
    pub(super) crdt: Automerge,
    pub(super) entry_bytes_max: usize,
    pub(super) census: Census,
    pub(super) replays: Replays,
    /// Whether a change that is large may be packed.
    is_packing: bool,
}

/// Why a change could not be made; nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The document is not open.
    #[error("the document is not open")]
    NotOpen,
    /// The space is sealed, and this replica has no key of it.
    #[error("the space is sealed, and this device has not been given its key yet: it comes from a member by way of a relay")]
    NoKey,
    /// The change was to be made on a version that this replica does not hold.
    #[error("the version that the change was made on is not held here")]
    UnknownVersion,
    /// A file's history was to be taken into an owned space.
    #[error(
        "this space is owned, and no history of others can be imported there: import what the document says, as JSON or text"
    )]
    Foreign,
    /// A mirror made the edit before it saw that an earlier one was refused.
    #[error("an edit before this one was refused, and this one was made on top of it")]
    Superseded,
    /// There is nothing at the path.
    #[error("there is nothing at {path}")]
    Missing {
        /// The path, as people read it.
        path: String,
    },
    /// What is at the path is of another kind.
    #[error("{path} is not {expected}")]
    WrongKind {
        /// The path, as people read it.
        path: String,
        /// What it should be.
        expected: &'static str,
    },
    /// An index past the end.
    #[error("{index} is past the end of {path}, which has a length of {length}")]
    OutOfBounds {
        /// The path, as people read it.
        path: String,
        /// The index.
        index: usize,
        /// How long it is.
        length: usize,
    },
    /// A position between the two UTF-16 units of one letter.
    #[error("position {index} of {path} is inside a letter: move it before or after")]
    InsideLetter {
        /// The path, as people read it.
        path: String,
        /// The position.
        index: usize,
    },
    /// A counter would leave the range of its numbers.
    #[error("the counter {path} cannot count that far")]
    OutOfRange {
        /// The path, as people read it.
        path: String,
    },
    /// The change would be larger than a single change may be.
    #[error("the change is too large at {path}: make several smaller ones")]
    TooLarge {
        /// Where it became too large.
        path: String,
    },
    /// Values nested too deep.
    #[error("{path} would be nested too deep")]
    TooDeep {
        /// The path, as people read it.
        path: String,
    },
    /// The CRDT refused.
    #[error("{path} cannot be changed so: {reason}")]
    Refused {
        /// The path, as people read it.
        path: String,
        /// Its words.
        reason: String,
    },
    /// The program that was making the change gave up.
    #[error("{0}")]
    Given(String),
    /// A file that was to be imported is not an Automerge file, or is damaged.
    #[error("this is not an Automerge document, or it is damaged: {reason}")]
    NotAutomerge {
        /// What was found.
        reason: String,
    },
}

/// Entries that could not be applied; all others were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} changes could not be applied, the first because {}", refused.len(), refused.first().map_or("", |(_, why)| why.as_str()))]
pub struct ApplyError {
    /// Each with a sentence for people.
    pub refused: Vec<(ChangeHash, String)>,
}

impl Document {
    /// An empty document, changed here as `actor`.
    pub fn new(id: DocumentId, actor: ActorId, unit: TextUnit) -> Self {
        let crdt = Automerge::new_with_encoding(crdt::to_encoding(unit)).with_actor(actor.as_bytes().into());
        Self {
            id,
            unit,
            crdt,
            entry_bytes_max: Limits::default().entry_bytes_max,
            census: Census::new(),
            replays: Replays::default(),
            is_packing: true,
        }
    }

    /// A document whose parts are known to fit together.
    pub(super) fn of_parts(id: DocumentId, unit: TextUnit, crdt: Automerge, census: Census) -> Self {
        Self {
            id,
            unit,
            crdt,
            entry_bytes_max: Limits::default().entry_bytes_max,
            census,
            replays: Replays::default(),
            is_packing: true,
        }
    }

    /// The same, where no change may be larger than `bytes`.
    pub fn with_entry_bytes_max(mut self, bytes: usize) -> Self {
        self.entry_bytes_max = bytes;
        self
    }

    /// The same, where changes are kept as they are and not packed: none may be larger than the limit before it is.
    pub fn with_whole_changes(mut self) -> Self {
        self.is_packing = false;
        self
    }

    /// Who makes changes here from now on.
    pub fn set_actor(&mut self, actor: ActorId) {
        self.end_replays();
        self.crdt.set_actor(actor.as_bytes().into());
    }

    /// Who made a change that is held, and which of theirs it is.
    pub fn author_of(&self, hash: &ChangeHash) -> Option<(ActorId, u64)> {
        let change = self.crdt.get_change_meta_by_hash(&automerge::ChangeHash(hash.0))?;
        Some((ActorId::new(change.actor.to_bytes())?, change.seq))
    }

    /// Which document it is.
    pub fn id(&self) -> DocumentId {
        self.id
    }

    /// How positions in its texts are counted.
    pub fn unit(&self) -> TextUnit {
        self.unit
    }

    /// Applies entries, in causal order; those held already are passed over. Takes time in proportion to what they touch, once
    /// for all of them: apply what there is in one call. A few that only go on typing where the document stands take next to none.
    ///
    /// # Errors
    ///
    /// Names the entries that do not fit, and those that depend on them; all others are applied.
    pub fn apply(&mut self, entries: impl IntoIterator<Item = Arc<Entry>>) -> Result<(), ApplyError> {
        let entries: Vec<Arc<Entry>> = entries.into_iter().collect();
        self.end_replays();
        let mut steps = self.steps_to_replay(entries.len());
        let mut changes = Vec::new();
        // What is to be applied, and where the operations of each change end.
        let mut taken: BTreeMap<ChangeHash, u64> = BTreeMap::new();
        let mut refused = Vec::new();
        for entry in entries {
            if taken.contains_key(&entry.hash) || self.holds(&[entry.hash]) {
                continue;
            }
            if !entry.deps.iter().all(|dep| taken.contains_key(dep) || self.holds(&[*dep])) {
                refused.push((entry.hash, "a change it depends on is missing".to_owned()));
                continue;
            }
            match self.admit(&entry, &taken, steps) {
                Ok((_, Some(plan))) if self.replay(&plan, entry.hash) => steps -= plan.steps(),
                Ok((change, _)) => {
                    steps = 0;
                    taken.insert(entry.hash, change.max_op());
                    changes.push(change);
                }
                Err(reason) => refused.push((entry.hash, reason)),
            }
        }
        if !changes.is_empty() {
            self.end_replays();
            if let Err(error) = self.crdt.apply_changes(changes) {
                refused.extend(taken.into_keys().map(|hash| (hash, error.to_string())));
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(ApplyError { refused }) }
    }

    /// Checks an entry, all of whose dependencies were admitted, so that Automerge can apply it; says how to replay it, where that
    /// can be done in so many steps.
    fn admit(
        &mut self,
        entry: &Entry,
        taken: &BTreeMap<ChangeHash, u64>,
        steps_to_replay: usize,
    ) -> Result<(automerge::Change, Option<Plan>), String> {
        let mut reader = Reader::new(&entry.payload);
        let (body, hash) = Chunk::read(&mut reader).and_then(|chunk| chunk.change_body()).map_err(|error| error.to_string())?;
        if hash != entry.hash {
            return Err("it is not the change that it says it is".to_owned());
        }
        let raw = RawChange::read(&body).map_err(|error| error.to_string())?;
        let end = |dep: &ChangeHash| taken.get(dep).copied().or_else(|| self.end_of(dep)).unwrap_or(0);
        let end = raw.deps.iter().map(end).max().unwrap_or(0);
        // Automerge first: what it refuses is not to be counted in.
        let change = automerge::Change::try_from(&entry.payload[..]).map_err(|error| error.to_string())?;
        let plan = self.plan(&raw, &change, steps_to_replay);
        self.census.admit(&raw, end)?;
        Ok((change, plan))
    }

    /// The number of the last operation of a change that is held, or of the last before it where it has none.
    fn end_of(&self, hash: &ChangeHash) -> Option<u64> {
        self.crdt.get_change_meta_by_hash(&automerge::ChangeHash(hash.0)).map(|change| change.max_op)
    }

    /// The hashes of the changes nothing depends on yet, in order.
    pub fn heads(&self) -> Vec<ChangeHash> {
        crdt::from_hashes(&self.crdt.get_heads())
    }

    /// How far it goes: its heads, and how far each actor has come.
    pub fn version(&self) -> Version {
        Version { heads: self.heads().into_iter().collect(), clock: self.census.clock() }
    }

    /// Whether all these changes are part of the document.
    pub fn holds(&self, heads: &[ChangeHash]) -> bool {
        heads.iter().all(|hash| self.crdt.get_change_meta_by_hash(&automerge::ChangeHash(hash.0)).is_some())
    }

    /// What a change was made on: its dependencies, in order; nothing when it is not part of the document.
    pub fn made_on(&self, hash: &ChangeHash) -> Option<Vec<ChangeHash>> {
        let change = self.crdt.get_change_by_hash(&automerge::ChangeHash(hash.0))?;
        Some(crdt::from_hashes(change.deps()))
    }

    /// All changes as entries, each after all it depends on.
    pub fn entries(&self) -> Vec<Entry> {
        self.crdt.get_changes(&[]).into_iter().filter_map(|change| entry_of_change(self.id, change).ok()).collect()
    }

    /// Whether nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.crdt.is_empty()
    }

    /// Makes `edit` one change, on the version `at` or on the document as it stands; nothing when it does nothing.
    ///
    /// On an earlier version the edit sees what was there, and the CRDT merges it with what came since. `unix_ms` is the time for
    /// the history, kept in whole seconds, as every Automerge document keeps it.
    ///
    /// # Errors
    ///
    /// Any operation's (see [`Transaction`]); nothing of the edit is made then.
    pub fn edit(&mut self, at: Option<&[ChangeHash]>, edit: &Edit, unix_ms: i64) -> Result<Option<Entry>, ChangeError> {
        let weight =
            edit.weight(|path| self.length(path).unwrap_or(0)).saturating_add(edit.message.as_deref().map_or(0, str::len));
        if weight <= self.entry_bytes_max || !self.is_packing {
            let (entry, ()) = self.transact(at, edit.message.as_deref(), unix_ms, |transaction| transaction.apply_all(edit))?;
            return Ok(entry);
        }
        // It may be too large, or pack well: see what comes of it, and go back where it is too large.
        let before = (self.crdt.clone(), self.census.clone());
        let bytes_max = std::mem::replace(&mut self.entry_bytes_max, ENTRY_UNPACKED_BYTES_MAX);
        let made = self.transact(at, edit.message.as_deref(), unix_ms, |transaction| transaction.apply_all(edit));
        self.entry_bytes_max = bytes_max;
        match made? {
            (Some(entry), ()) if entry.payload.len() > bytes_max => {
                (self.crdt, self.census) = before;
                Err(ChangeError::TooLarge { path: "the root".to_owned() })
            }
            (entry, ()) => Ok(entry),
        }
    }

    /// Makes what the closure does one change, on the document as it stands, and returns it with the closure's result; no
    /// change when it did nothing.
    ///
    /// # Errors
    ///
    /// The closure's, or that of anything it did, even where it went on; nothing is changed then.
    pub fn change<R>(
        &mut self,
        message: Option<&str>,
        unix_ms: i64,
        f: impl FnOnce(&mut Transaction<'_>) -> Result<R, ChangeError>,
    ) -> Result<(Option<Entry>, R), ChangeError> {
        self.transact(None, message, unix_ms, f)
    }

    fn transact<R>(
        &mut self,
        at: Option<&[ChangeHash]>,
        message: Option<&str>,
        unix_ms: i64,
        f: impl FnOnce(&mut Transaction<'_>) -> Result<R, ChangeError>,
    ) -> Result<(Option<Entry>, R), ChangeError> {
        let bounds = Bounds { bytes_max: self.entry_bytes_max, ops_max: ENTRY_OPS_MAX };
        let at = at.filter(|at| *at != self.heads());
        let inner = match at {
            None => self.crdt.transaction(),
            Some(at) if !self.holds(at) => return Err(ChangeError::UnknownVersion),
            Some(at) => match self.crdt.transaction_at(PatchLog::inactive(), &crdt::to_hashes(at)) {
                Ok(transaction) => transaction,
                Err(error) => unreachable!("a patch log that logs nothing fits every document: {error}"),
            },
        };
        let mut transaction = Transaction::new(inner, self.unit, bounds);
        let result = match f(&mut transaction) {
            Ok(result) => result,
            Err(error) => {
                transaction.rollback();
                return Err(error);
            }
        };
        let mut options = CommitOptions::default().with_time(unix_ms.div_euclid(1000));
        if let Some(message) = message {
            options.set_message(message);
        }
        let Some(hash) = transaction.commit(options)? else { return Ok((None, result)) };
        let Some(change) = self.crdt.get_change_by_hash(&hash) else { unreachable!("a change just made is held") };
        match self.count_in(change) {
            Ok(entry) => Ok((Some(entry), result)),
            Err(error) => unreachable!("a change of our own keeps the limits: {error}"),
        }
    }

    /// The entry of a change that was just made here.
    pub(super) fn count_in(&mut self, change: automerge::Change) -> Result<Entry, String> {
        let chunk = Chunk::read(&mut Reader::new(change.raw_bytes())).map_err(|error| error.to_string())?;
        let raw = RawChange::read(chunk.body).map_err(|error| error.to_string())?;
        self.census.admit(&raw, raw.start_op - 1)?;
        entry_of_change(self.id, change).map_err(|error| error.to_string())
    }

    /// The value at `path` now.
    pub fn value(&self, path: impl IntoPath) -> Option<Value> {
        let found = crdt::find(&self.crdt, None, &path.into_path())?;
        Some(crdt::read(&self.crdt, None, found))
    }

    /// The value at `path` as it was at `heads`; nothing also when these are not held.
    pub fn value_at(&self, heads: &[ChangeHash], path: impl IntoPath) -> Option<Value> {
        if !self.holds(heads) {
            return None;
        }
        let heads = crdt::to_hashes(heads);
        let found = crdt::find(&self.crdt, Some(&heads), &path.into_path())?;
        Some(crdt::read(&self.crdt, Some(&heads), found))
    }

    /// The text at `path`.
    pub fn text(&self, path: impl IntoPath) -> Option<String> {
        match crdt::find(&self.crdt, None, &path.into_path())? {
            Found::Object(object, ObjType::Text) => self.crdt.text(&object).ok(),
            _ => None,
        }
    }

    /// How many keys, elements or units of text what is at `path` has.
    pub fn length(&self, path: impl IntoPath) -> Option<usize> {
        match crdt::find(&self.crdt, None, &path.into_path())? {
            Found::Object(object, _) => Some(self.crdt.length(&object)),
            Found::Scalar(_) => None,
        }
    }

    /// The keys of the map at `path`, in order; none when it is not a map.
    pub fn keys(&self, path: impl IntoPath) -> Vec<String> {
        match crdt::find(&self.crdt, None, &path.into_path()) {
            Some(Found::Object(object, ObjType::Map)) => self.crdt.keys(&object).collect(),
            _ => Vec::new(),
        }
    }

    /// The values that were written at `path` at the same time, the one that is shown last; a single one where there is no conflict.
    pub fn conflicts(&self, path: impl IntoPath) -> Vec<Value> {
        let path = path.into_path();
        let Some((last, above)) = path.split_last() else { return self.value(()).into_iter().collect() };
        let Some(Found::Object(object, _)) = crdt::find(&self.crdt, None, above) else { return Vec::new() };
        let values = self.crdt.get_all(&object, crdt::to_prop(last)).unwrap_or_default().into_iter();
        values
            .map(|(value, id)| match value {
                automerge::Value::Object(kind) => crdt::read(&self.crdt, None, Found::Object(id, kind)),
                automerge::Value::Scalar(scalar) => crdt::from_scalar(&scalar),
            })
            .collect()
    }

    /// What turns the document at `before` into the document at `after`. Both must be held.
    pub fn diff(&self, before: &[ChangeHash], after: &[ChangeHash]) -> Vec<Patch> {
        if before == after {
            return Vec::new();
        }
        if let Some(patches) = self.replayed_since(before)
            && after == self.heads()
        {
            return patches;
        }
        let patches = self.crdt.diff(&crdt::to_hashes(before), &crdt::to_hashes(after));
        crdt::from_patches(&self.crdt, self.unit, patches)
    }

    /// The whole history in Automerge's file format.
    pub fn save(&self) -> Vec<u8> {
        self.crdt.save()
    }
}

impl From<ChangeDecodeError> for ChangeError {
    fn from(error: ChangeDecodeError) -> Self {
        Self::NotAutomerge { reason: error.to_string() }
    }
}
