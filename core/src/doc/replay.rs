//! Replay: a change that goes on exactly where the document stands is made here once more, as its author made it.
//!
//! Automerge applies a change from elsewhere by going through every operation of the text it touches, because the change may be
//! concurrent with any of them. A change made here it puts in its place by an index. So someone who types into a long text costs
//! themselves next to nothing, and everyone who follows a walk through the text for each key. But while one person types and
//! the others read, nothing is concurrent: what arrives was made on the very version that is held. Such a change is not
//! applied but replayed: the document takes its author's name, types the same letters at the same place, commits with the same time and
//! message, and takes its own name again. What comes of it is the same change, byte for byte, and its hash proves it.
//!
//! Only the plainest is replayed, what typing makes: single letters inserted into one text that was never formatted, and letters of it
//! deleted. Everything else is applied. So is a change whose place is not found where its author must have seen it, and one that
//! is not written as Automerge would write it. Should the hash be another after all, the document is put together again
//! without the wrong change, and never replays from then on.

use super::census::Census;
use super::crdt;
use super::document::Document;
use super::patch::Patch;
use super::path::Prop;
use super::raw::{Action, Key, OpId, Operation, RawChange};
use super::value::TextUnit;
use crate::base::id::ChangeHash;
use automerge::transaction::{CommitOptions, Transactable as _, Transaction};
use automerge::{ActorId, Automerge, Cursor, CursorPosition, ObjId, ObjType, PatchLog, ReadDoc, ScalarValue};

/// Steps that are replayed at once, however short the document.
const STEPS_MIN: u64 = 8;
/// For so many operations of a document, one step more: a walk through them takes as long as a step whose place has to be looked for.
const OPERATIONS_PER_STEP: u64 = 4_096;

/// What a document remembers of the changes it replayed.
#[derive(Clone, Debug, Default)]
pub(super) struct Replays {
    /// How many there were.
    count: u64,
    /// Whether one went wrong.
    off: bool,
    /// The last of them, all made one after the other.
    stretch: Option<Stretch>,
    /// Where the last one left its author's caret.
    caret: Option<Caret>,
}

/// Changes replayed one after the other, and what they did.
#[derive(Clone, Debug)]
struct Stretch {
    before: Vec<ChangeHash>,
    after: Vec<ChangeHash>,
    patches: Vec<Patch>,
}

/// A place between two letters.
#[derive(Clone, Debug)]
struct Caret {
    /// The version that it is a place of.
    heads: Vec<ChangeHash>,
    text: ObjId,
    at: usize,
}

/// A change as what its author did.
#[derive(Debug)]
pub(super) struct Plan {
    author: ActorId,
    text: ObjId,
    steps: Vec<Step>,
    options: (i64, String),
}

/// One thing an author did.
#[derive(Debug)]
enum Step {
    /// Typed these letters after an element, or at the beginning.
    Insert(Option<Cursor>, String),
    /// Deleted this letter.
    Delete(Cursor),
}

impl Plan {
    /// What the author of `change` did, if it is plain enough, done in a plain text of a document with this census, and no more than
    /// `steps_max`.
    fn of(change: &RawChange<'_>, census: &Census, steps_max: usize) -> Option<Self> {
        let author = |place: usize| match place.checked_sub(1) {
            None => ActorId::from(change.actor),
            Some(other) => ActorId::from(change.others[other]),
        };
        let cursor = |id: OpId| Cursor::try_from(format!("{}@{}", id.counter, author(id.actor)).as_str()).ok();
        let mut text = None;
        let mut steps: Vec<Step> = Vec::new();
        let mut typing = false;
        let mut number = change.start_op;
        let mut operations = change.operations();
        while let Ok(Some(operation)) = operations.next() {
            let Operation { object: Some(object), key, insert, action, replaces, letter, formats: false } = operation else {
                return None;
            };
            if *text.get_or_insert(object) != object {
                return None;
            }
            match (action, insert, key, letter) {
                (Action::Set, true, Key::Element(after), Some(letter))
                    if typing && after == (OpId { counter: number - 1, actor: 0 }) =>
                {
                    let Some(Step::Insert(_, letters)) = steps.last_mut() else { return None };
                    letters.push(letter);
                }
                (Action::Set, true, Key::Element(after), Some(letter)) => {
                    steps.push(Step::Insert(Some(cursor(after)?), letter.to_string()));
                }
                (Action::Set, true, Key::Head, Some(letter)) => steps.push(Step::Insert(None, letter.to_string())),
                (Action::Delete, false, Key::Element(of), _) if replaces == Some(of) => steps.push(Step::Delete(cursor(of)?)),
                _ => return None,
            }
            if steps.len() > steps_max {
                return None;
            }
            typing = insert;
            number += 1;
        }
        let text = text?;
        if !census.is_plain_text(author(text.actor).to_bytes(), text.counter) {
            return None;
        }
        let text = ObjId::Id(text.counter, author(text.actor), 0);
        Some(Self { author: author(0), text, steps, options: (change.time, change.message.to_owned()) })
    }

    /// In how many steps it is done.
    pub(super) fn steps(&self) -> usize {
        self.steps.len()
    }
}

/// What came of a replay.
enum Outcome {
    /// The change, a log of what it did, and where its author's caret is after it.
    Made(automerge::ChangeHash, Box<PatchLog>, Option<usize>),
    /// It has to be applied; nothing was changed.
    Unfit,
}

impl Document {
    /// How many changes were replayed rather than applied.
    pub fn replays(&self) -> u64 {
        self.replays.count
    }

    /// Whether the last that was applied was replayed, all of it, and so has cost nothing to speak of.
    pub fn is_replayed(&self) -> bool {
        self.replays.stretch.as_ref().is_some_and(|stretch| stretch.after == self.heads())
    }

    /// What turns the document at `before` into the document as it stands, if all that came since was replayed at once.
    pub(super) fn replayed_since(&self, before: &[ChangeHash]) -> Option<Vec<Patch>> {
        let stretch = self.replays.stretch.as_ref()?;
        (stretch.before == before && stretch.after == self.heads()).then(|| stretch.patches.clone())
    }

    /// Forgets the last replays: something else comes.
    pub(super) fn end_replays(&mut self) {
        self.replays.stretch = None;
    }

    /// How many steps may be taken to replay `changes` before it were cheaper to apply them; none where it is from the outset.
    pub(super) fn steps_to_replay(&self, changes: usize) -> usize {
        let steps = usize::try_from(STEPS_MIN + self.census.max_op() / OPERATIONS_PER_STEP).unwrap_or(usize::MAX);
        if self.replays.off || changes > steps { 0 } else { steps }
    }

    /// What to do to replay `change`, which is `raw`, if it goes on where the document stands and takes at most `steps_max` steps. To be
    /// asked before it is counted in.
    pub(super) fn plan(&self, raw: &RawChange<'_>, change: &automerge::Change, steps_max: usize) -> Option<Plan> {
        // An actor's first change may say more about the actor than a transaction does.
        if steps_max == 0 || raw.seq == 1 || raw.start_op != self.census.max_op() + 1 {
            return None;
        }
        let heads = self.heads();
        if !heads.iter().all(|head| raw.deps.binary_search(head).is_ok()) {
            return None;
        }
        // Beside the heads, a transaction depends on the change of its actor before it.
        let is_last = |hash: &ChangeHash| {
            let meta = self.crdt.get_change_meta_by_hash(&automerge::ChangeHash(hash.0));
            meta.is_some_and(|meta| meta.actor.to_bytes() == raw.actor && meta.seq + 1 == raw.seq)
        };
        let mut others = raw.deps.iter().filter(|dep| heads.binary_search(dep).is_err());
        let goes_on = match (others.next(), others.next()) {
            (None, _) => heads.iter().any(is_last),
            (Some(other), None) => is_last(other),
            _ => false,
        };
        let plan = if goes_on { Plan::of(raw, &self.census, steps_max)? } else { return None };
        // The same operations can be written in other ways than Automerge's.
        (automerge::Change::from(change.decode()).hash() == change.hash()).then_some(plan)
    }

    /// Does as planned; answers whether the document now holds the change, which is `hash`. If not, it is as it was.
    pub(super) fn replay(&mut self, plan: &Plan, hash: ChangeHash) -> bool {
        let (before, unit) = (self.heads(), self.unit());
        let caret = self.replays.caret.take().filter(|caret| caret.heads == before && caret.text == plan.text);
        let ours = self.crdt.get_actor().clone();
        self.crdt.set_actor(plan.author.clone());
        let outcome = perform(&mut self.crdt, plan, unit, caret.map(|caret| caret.at));
        self.crdt.set_actor(ours.clone());
        match outcome {
            Outcome::Unfit => false,
            Outcome::Made(made, mut log, caret) if made.0 == hash.0 => {
                let patches = self.crdt.make_patches(&mut log);
                let patches = crdt::from_patches(&self.crdt, unit, patches);
                self.replays.count += 1;
                self.replays.caret = caret.map(|at| Caret { heads: self.heads(), text: plan.text.clone(), at });
                self.note(before, patches);
                true
            }
            Outcome::Made(..) => {
                (self.replays.off, self.replays.stretch) = (true, None);
                // All but the wrong change. Should even this fail, Automerge refuses the right one: its number is taken.
                if let Ok(without) = self.crdt.fork_at(&crdt::to_hashes(&before)) {
                    self.crdt = without.with_actor(ours);
                }
                false
            }
        }
    }

    /// Notes what a replayed change did to the document as it was at `before`.
    fn note(&mut self, before: Vec<ChangeHash>, patches: Vec<Patch>) {
        let (after, unit) = (self.heads(), self.unit());
        match &mut self.replays.stretch {
            Some(stretch) if stretch.after == before => {
                stretch.after = after;
                for patch in patches {
                    join(&mut stretch.patches, patch, unit);
                }
            }
            stretch => *stretch = Some(Stretch { before, after, patches }),
        }
    }
}

/// Does as planned as the actor that the document has now, whose caret may be known.
fn perform(crdt: &mut Automerge, plan: &Plan, unit: TextUnit, mut caret: Option<usize>) -> Outcome {
    if !matches!(crdt.object_type(&plan.text), Ok(ObjType::Text)) {
        return Outcome::Unfit;
    }
    let mut transaction = match crdt.transaction_log_patches(PatchLog::active()) {
        Ok(transaction) => transaction,
        Err(error) => unreachable!("a patch log that is new fits every document: {error}"),
    };
    for step in &plan.steps {
        caret = take(&mut transaction, &plan.text, step, unit, caret);
        if caret.is_none() {
            transaction.rollback();
            return Outcome::Unfit;
        }
    }
    let (time, message) = &plan.options;
    let mut options = CommitOptions::default().with_time(*time);
    if !message.is_empty() {
        options.set_message(message.clone());
    }
    match transaction.commit_with(options) {
        (Some(hash), log) => Outcome::Made(hash, Box::new(log), caret),
        (None, _) => Outcome::Unfit,
    }
}

/// Takes one step, and answers where the caret is then; nothing when the place is not what the author must have seen.
fn take(transaction: &mut Transaction<'_>, text: &ObjId, step: &Step, unit: TextUnit, caret: Option<usize>) -> Option<usize> {
    match step {
        Step::Insert(after, letters) => {
            let at = match after {
                None => 0,
                Some(after) => {
                    let (index, width) = letter_at(transaction, text, after, unit, caret)?;
                    index + width
                }
            };
            transaction.splice_text(text, at, 0, letters).ok()?;
            Some(at + unit.length(letters))
        }
        Step::Delete(letter) => {
            let (index, width) = letter_at(transaction, text, letter, unit, caret)?;
            transaction.splice_text(text, index, isize::try_from(width).ok()?, "").ok()?;
            Some(index)
        }
    }
}

/// Where a letter stands and how wide it is, if it is shown and was never written over. Looks beside the caret first, because to
/// look for it takes longer than all the rest.
fn letter_at(
    transaction: &Transaction<'_>,
    text: &ObjId,
    letter: &Cursor,
    unit: TextUnit,
    caret: Option<usize>,
) -> Option<(usize, usize)> {
    let width_at = |index: usize| {
        // What is deleted has the place of what comes after it, and what was written over has another name.
        let shown = transaction.get_cursor(text, CursorPosition::Index(index), None).ok()?;
        match transaction.get(text, index).ok()?? {
            (automerge::Value::Scalar(value), _) if shown == *letter => match &*value {
                ScalarValue::Str(value) => Some(unit.length(value)),
                _ => None,
            },
            _ => None,
        }
    };
    if let Some(caret) = caret {
        let before = caret.checked_sub(1).and_then(width_at).and_then(|width| Some((caret.checked_sub(width)?, width)));
        if let Some(found) = before.or_else(|| Some((caret, width_at(caret)?))) {
            return Some(found);
        }
    }
    let index = transaction.get_cursor_position(text, letter, None).ok()?;
    Some((index, width_at(index)?))
}

/// Adds `patch` to `patches`; where it goes on with what was typed, to the last of them.
fn join(patches: &mut Vec<Patch>, patch: Patch, unit: TextUnit) {
    if let (Some(Patch::Splice { path, insert }), Patch::Splice { path: next, insert: more }) = (patches.last_mut(), &patch)
        && let (Some((Prop::Index(start), above)), Some((Prop::Index(index), next_above))) =
            (path.split_last(), next.split_last())
        && above == next_above
        && start + unit.length(insert) == *index
    {
        insert.push_str(more);
        return;
    }
    patches.push(patch);
}

#[cfg(test)]
impl Replays {
    /// Never replays from now on.
    pub(super) fn off(&mut self) {
        self.off = true;
    }

    /// Whether one went wrong.
    pub(super) fn is_off(&self) -> bool {
        self.off
    }
}
