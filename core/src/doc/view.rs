//! Views: the engine's side of a mirror.
//!
//! A mirror shows a document as a plain value somewhere else (a browser's UI thread), edits that value at once, and tells the engine
//! of each edit. Meanwhile the document moves on. The two stay together by heads, without transforming anything:
//!
//! * An edit is committed on the version that the mirror showed when it made it, and the CRDT merges it with what came since.
//! * An answer says how what the mirror shows differs from the document now. The mirror takes it only if it has made no
//!   edit after the one that the answer `covers`; otherwise it drops it, and the answer to the later edit covers both.
//!
//! What the mirror shows is thus always a version that the view can name. An edit says which answer the mirror had `seen`, that
//! is, taken last. Where the view has sent others since, these were or will be dropped: they cover none of this edit, and those
//! that had arrived before it would have been seen. So the edit was made on what answer `seen` offered, or, where the view
//! has heard of that answer before, on the mirror's own last edit.
//!
//! An edit that cannot be made is refused, and the next answer is a reset: the whole value, which the mirror always takes.
//! Edits it makes before the reset reaches it are made on a value that no version of the document has. They are
//! recognised by having seen only answers from before the reset, and are refused too.

use super::document::{ChangeError, Document};
use super::edit::Edit;
use super::patch::Patch;
use super::value::Value;
use crate::base::id::ChangeHash;
use crate::base::limits::VIEW_OFFERS_MAX;
use crate::log::entry::Entry;
use std::collections::VecDeque;

/// One mirror's state.
#[derive(Clone, Debug)]
pub struct View {
    /// What the mirror shows as far as it has said: the last answer it is known to have taken, and its edits up to `covers`.
    base: Vec<ChangeHash>,
    /// The answer that `base` begins with.
    taken: u64,
    /// The mirror's last edit.
    covers: u64,
    /// The last answer.
    number: u64,
    /// What the answers after `taken` led to, each a difference to the one before it, and the first to `base`.
    offers: VecDeque<(u64, Vec<ChangeHash>)>,
    /// The last answer that was a reset, or 0.
    reset: u64,
    /// What the next answer must be.
    due: Due,
}

/// What the next answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// None, unless the document has moved on.
    Nothing,
    /// One, if only to say that an edit is covered.
    Difference,
    /// The whole value.
    Reset,
}

/// What a mirror must do to show the document as it is now.
///
/// The mirror takes it only if it has made no edit after `covers`; otherwise it drops it. A `reset` is always taken.
///
/// A mirror that wants to resume with another view remembers one state: `heads` and `covers` of an answer that it takes; of one that
/// it drops, `base` and `covers`, unless the state it remembers has the same `covers` already; of a reset, `heads` and the number of
/// its own last edit, because those that were under way are given up. With that state it resumes, and sends its edits after it again,
/// as made when it had seen no answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// This answer's number, from 1.
    pub number: u64,
    /// The last edit of the mirror's that it takes into account, 0 for none.
    pub covers: u64,
    /// Start again from this value, before the patches.
    pub reset: Option<Value>,
    /// What to do.
    pub patches: Vec<Patch>,
    /// The heads the mirror then shows, in order.
    pub heads: Vec<ChangeHash>,
    /// The heads of what the mirror shows if it does not take this: its last state taken, and its edits up to `covers`.
    pub base: Vec<ChangeHash>,
}

impl View {
    /// A view for a mirror, and the first answer to it.
    ///
    /// A mirror that lived with another view before names the states it can go on from, the newest first, each with the number
    /// of its last edit that is part of it. The first that the document holds is where it goes on, and the answer is a difference.
    /// Where there is none, the answer is a reset.
    pub fn open(document: &Document, resume: &[(u64, Vec<ChangeHash>)]) -> (Self, Answer) {
        let found = resume.iter().find(|(_, heads)| document.holds(heads));
        let mut view = Self {
            base: found.map(|(_, heads)| sorted(heads)).unwrap_or_default(),
            taken: 0,
            covers: found.or(resume.first()).map_or(0, |(covers, _)| *covers),
            number: 0,
            offers: VecDeque::new(),
            reset: 0,
            due: if found.is_some() { Due::Difference } else { Due::Reset },
        };
        match view.answer(document) {
            Some(answer) => (view, answer),
            None => unreachable!("an answer is due"),
        }
    }

    /// Commits an edit of the mirror's, its `number`th, made when the last answer it had taken was `seen`. Afterwards an answer is due,
    /// whatever came of it. An edit that came before is passed over.
    ///
    /// # Errors
    ///
    /// The edit cannot be made (see [`super::document::Transaction`]), or was made before the mirror took the reset that an
    /// earlier refusal led to ([`ChangeError::Superseded`]). Nothing of it was made, and the mirror is or will be reset.
    pub fn edit(
        &mut self,
        document: &mut Document,
        number: u64,
        seen: u64,
        edit: &Edit,
        unix_ms: i64,
    ) -> Result<Option<Entry>, ChangeError> {
        if number <= self.covers {
            return Ok(None);
        }
        let follows = number == self.covers + 1;
        self.covers = number;
        if self.due == Due::Reset || seen < self.reset {
            self.due = self.due.max_with(Due::Difference);
            self.offers.clear();
            return Err(ChangeError::Superseded);
        }
        let offer = self.offers.iter().find(|(offered, _)| *offered == seen).map(|(_, heads)| heads.clone());
        self.base = match offer {
            Some(heads) => heads,
            None if seen == self.taken => std::mem::take(&mut self.base),
            None => return self.refuse(ChangeError::UnknownVersion),
        };
        self.taken = seen;
        self.offers.clear();
        if !follows {
            return self.refuse(ChangeError::UnknownVersion);
        }
        self.due = Due::Difference;
        match document.edit(Some(&self.base), edit, unix_ms) {
            Ok(Some(entry)) => {
                self.base = vec![entry.hash];
                Ok(Some(entry))
            }
            Ok(None) => Ok(None),
            Err(error) => self.refuse(error),
        }
    }

    /// Does not take an edit of the mirror's, its `number`th, for a reason that lies outside the document. A reset is due, as after
    /// every refusal: the mirror shows what is not in the document.
    ///
    /// # Errors
    ///
    /// `why`, or [`ChangeError::Superseded`] when a reset was due already.
    pub fn turn_down(&mut self, number: u64, seen: u64, why: ChangeError) -> Result<Option<Entry>, ChangeError> {
        if number <= self.covers {
            return Ok(None);
        }
        self.covers = number;
        self.offers.clear();
        if self.due == Due::Reset || seen < self.reset {
            self.due = self.due.max_with(Due::Difference);
            return Err(ChangeError::Superseded);
        }
        self.refuse(why)
    }

    /// Takes an edit of the mirror's, its `number`th, that the document holds already as change `hash`: one that another view of the mirror
    /// committed, and whose answer the mirror never heard. Afterwards an answer is due, and where the change was made on something
    /// else than what the mirror shows now, it is a reset.
    pub fn recognise(&mut self, document: &Document, number: u64, seen: u64, hash: ChangeHash) {
        if number <= self.covers {
            return;
        }
        let follows = number == self.covers + 1 && self.due != Due::Reset && seen >= self.reset;
        self.covers = number;
        let offer = self.offers.iter().find(|(offered, _)| *offered == seen).map(|(_, heads)| heads.clone());
        let shown = offer.or_else(|| (seen == self.taken).then(|| self.base.clone()));
        self.offers.clear();
        let made_on = document.made_on(&hash).map(|heads| sorted(&heads));
        if !follows || made_on.is_none() || made_on != shown.map(|heads| sorted(&heads)) {
            self.due = Due::Reset;
            return;
        }
        (self.taken, self.base, self.due) = (seen, vec![hash], Due::Difference);
    }

    /// The document is another than it was, and holds less: the answer is a reset, and what the mirror edits before it takes that is refused.
    pub fn replaced(&mut self, document: &Document) -> Answer {
        self.due = Due::Reset;
        match self.answer(document) {
            Some(answer) => answer,
            None => unreachable!("an answer is due"),
        }
    }

    /// The mirror has taken answer `number`: what it took before need not be remembered. Views work without being told, up to
    /// [`VIEW_OFFERS_MAX`] answers that a mirror leaves lying while it makes an edit.
    pub fn acknowledge(&mut self, number: u64) {
        while let Some((offered, _)) = self.offers.front()
            && *offered <= number
        {
            if let Some((offered, heads)) = self.offers.pop_front() {
                (self.taken, self.base) = (offered, heads);
            }
        }
    }

    /// The next answer, when there is anything new to say.
    pub fn answer(&mut self, document: &Document) -> Option<Answer> {
        let heads = document.heads();
        if self.due == Due::Reset {
            self.number += 1;
            self.due = Due::Nothing;
            self.offers.clear();
            (self.taken, self.reset, self.base) = (self.number, self.number, heads.clone());
            let reset = Some(document.value(()).unwrap_or_else(Value::empty));
            let (number, covers, base) = (self.number, self.covers, heads.clone());
            return Some(Answer { number, covers, reset, patches: Vec::new(), heads, base });
        }
        let shown = self.offers.back().map_or(&self.base, |(_, heads)| heads);
        if self.due == Due::Nothing && *shown == heads {
            return None;
        }
        let patches = if shown.is_empty() { document.as_patches() } else { document.diff(shown, &heads) };
        self.number += 1;
        self.due = Due::Nothing;
        self.offers.push_back((self.number, heads.clone()));
        if self.offers.len() > VIEW_OFFERS_MAX {
            self.offers.pop_front();
        }
        Some(Answer { number: self.number, covers: self.covers, reset: None, patches, heads, base: self.base.clone() })
    }

    /// Refuses an edit: what the mirror shows now, the document cannot.
    fn refuse<T>(&mut self, error: ChangeError) -> Result<T, ChangeError> {
        self.due = Due::Reset;
        self.offers.clear();
        Err(error)
    }
}

impl Due {
    /// The one of two that says more.
    fn max_with(self, other: Self) -> Self {
        if self == Self::Nothing { other } else { self }
    }
}

fn sorted(heads: &[ChangeHash]) -> Vec<ChangeHash> {
    let mut heads = heads.to_vec();
    heads.sort_unstable();
    heads.dedup();
    heads
}
