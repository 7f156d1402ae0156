//! Open documents: editing, mirrors, and applying what arrives. How they are loaded is next door in [`super::loading`].
//!
//! Applying remote entries costs time in proportion to the object they touch, for each batch and not for each entry. So
//! they are gathered and applied once a drain, and for a large document not more often than it can bear. Where one person types and
//! the others follow, they are replayed, which costs next to nothing, and need no rest.

use super::Engine;
use super::effect::{Event, ViewUpdate};
use super::input::{Command, Input, Resume, Stamp};
use super::stored::StoredPreview;
use super::timers::Timer;
use crate::base::id::{DocumentId, SpaceId, TaskId, ViewId};
use crate::base::time::Now;
use crate::doc::document::{ChangeError, Document, Transaction};
use crate::doc::edit::Edit;
use crate::doc::view::{Answer, View};
use crate::log::entry::Entry;
use crate::trust::owned::{is_owned, is_sealed};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A document rests one millisecond between batches for each so many changes it has: the cost of a batch grows with them.
const CHANGES_PER_REST_MS: u64 = 4_000;

/// Documents held in memory.
#[derive(Default)]
pub(super) struct Documents {
    pub(super) open: BTreeMap<DocumentId, Open>,
    views: BTreeMap<ViewId, DocumentId>,
    /// Documents that moved on since this was last told, and whether by this replica alone.
    pub(super) changed: BTreeMap<DocumentId, bool>,
    /// Mirrors that an answer may be due to.
    unanswered: BTreeSet<ViewId>,
}

pub(super) struct Open {
    pub(super) space: SpaceId,
    /// How often it was opened, mirrors included.
    pub(super) holders: usize,
    pub(super) state: State,
    /// Entries in the log that were not applied yet.
    pub(super) unapplied: Vec<Arc<Entry>>,
    /// Whether it rests before the next batch.
    pub(super) resting: bool,
    pub(super) views: BTreeMap<ViewId, View>,
}

pub(super) enum State {
    /// Its snapshot and its entries are being read.
    Loading {
        /// The answer that is awaited.
        task: Option<TaskId>,
        snapshot: Option<Arc<[u8]>>,
        gathered: Vec<Arc<Entry>>,
        after: u64,
        /// Whether all was read, and cannot be opened for want of a key.
        closed: bool,
        /// The stored view that mirrors were shown.
        preview: Option<Arc<StoredPreview>>,
        /// What the app asked meanwhile.
        deferred: Vec<Input>,
    },
    /// In memory.
    Loaded(Box<Document>),
}

impl Documents {
    pub(super) fn loaded(&self, document: &DocumentId) -> Option<&Document> {
        match &self.open.get(document)?.state {
            State::Loaded(loaded) => Some(loaded),
            State::Loading { .. } => None,
        }
    }

    fn loaded_mut(&mut self, document: &DocumentId) -> Option<&mut Document> {
        match &mut self.open.get_mut(document)?.state {
            State::Loaded(loaded) => Some(loaded),
            State::Loading { .. } => None,
        }
    }

    pub(super) fn is_open(&self, document: &DocumentId) -> bool {
        self.open.contains_key(document)
    }

    /// The space an open document belongs to.
    pub(super) fn space_of(&self, document: &DocumentId) -> Option<SpaceId> {
        self.open.get(document).map(|open| open.space)
    }

    /// Open documents of a space, in the order of their ids.
    pub(super) fn open_in(&self, space: &SpaceId) -> Vec<DocumentId> {
        self.open.iter().filter(|(_, open)| open.space == *space).map(|(document, _)| *document).collect()
    }

    /// Notes that an entry is in its document's log. A local one is in the document already.
    pub(super) fn on_entry(&mut self, entry: Arc<Entry>, local: bool) {
        let only_local = self.changed.entry(entry.document).or_insert(true);
        *only_local &= local;
        if let Some(open) = self.open.get_mut(&entry.document)
            && !local
        {
            open.unapplied.push(entry);
        }
    }

    /// Ends a document's rest.
    pub(super) fn due(&mut self, document: DocumentId) {
        if let Some(open) = self.open.get_mut(&document) {
            open.resting = false;
        }
    }

    /// Entries of a document's log that are not in the document yet.
    pub(super) fn unapplied(&self, document: &DocumentId) -> Vec<Arc<Entry>> {
        self.open.get(document).map_or_else(Vec::new, |open| open.unapplied.clone())
    }

    /// Whether an open document waits for a key: to be read at all, or for what came last.
    pub(super) fn is_waiting(&self, document: &DocumentId) -> bool {
        self.open.get(document).is_some_and(|open| match &open.state {
            State::Loading { closed, .. } => *closed,
            State::Loaded(_) => !open.unapplied.is_empty(),
        })
    }
}

impl Engine {
    /// Makes a local change of an open document by a closure, and answers what the closure did. When the closure fails,
    /// nothing is changed. Afterwards, drain [`Self::poll_effect`].
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotOpen`] when the document is not open or still being loaded, and whatever the closure answers.
    pub fn change<R>(
        &mut self,
        now: Now,
        document: DocumentId,
        message: Option<&str>,
        change: impl FnOnce(&mut Transaction<'_>) -> Result<R, ChangeError>,
    ) -> Result<R, ChangeError> {
        self.now = now;
        self.needs_flush = true;
        self.apply(document);
        let space = self.documents.open.get(&document).map(|open| open.space).ok_or(ChangeError::NotOpen)?;
        self.may_write_in(&space)?;
        let loaded = self.documents.loaded_mut(&document).ok_or(ChangeError::NotOpen)?;
        let (entry, outcome) = loaded.change(message, now.unix_ms, change)?;
        self.commit(space, document, entry);
        Ok(outcome)
    }

    /// Makes a local edit of an open document on earlier heads of it; answers the change, if the edit did anything.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotOpen`], or what is wrong with the edit; then nothing was changed.
    pub fn edit_at(
        &mut self,
        now: Now,
        document: DocumentId,
        heads: &[crate::base::id::ChangeHash],
        edit: &Edit,
    ) -> Result<Option<crate::base::id::ChangeHash>, ChangeError> {
        self.now = now;
        self.needs_flush = true;
        self.apply(document);
        let space = self.documents.open.get(&document).map(|open| open.space).ok_or(ChangeError::NotOpen)?;
        self.may_write_in(&space)?;
        let loaded = self.documents.loaded_mut(&document).ok_or(ChangeError::NotOpen)?;
        let entry = loaded.edit(Some(heads), edit, now.unix_ms)?;
        let hash = entry.as_ref().map(|entry| entry.hash);
        self.commit(space, document, entry);
        Ok(hash)
    }

    /// Takes the changes of an Automerge file into an open document; answers how many were new.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotOpen`], or what is wrong with the file; then nothing was changed.
    pub fn import(&mut self, now: Now, document: DocumentId, automerge: &[u8]) -> Result<usize, ChangeError> {
        self.now = now;
        self.needs_flush = true;
        self.apply(document);
        let space = self.documents.open.get(&document).map(|open| open.space).ok_or(ChangeError::NotOpen)?;
        if is_owned(&space) {
            return Err(ChangeError::Foreign);
        }
        let loaded = self.documents.loaded_mut(&document).ok_or(ChangeError::NotOpen)?;
        let entries = loaded.import(automerge)?;
        let new = entries.len();
        for entry in entries {
            self.append_local(space, entry);
        }
        self.answer_soon(document);
        Ok(new)
    }

    pub(super) fn on_open_document(&mut self, space: SpaceId, document: DocumentId) {
        if self.hold(space, document)
            && let Some(loaded) = self.documents.loaded(&document)
        {
            let heads = loaded.heads();
            self.tell(Event::DocumentOpened { document, heads });
        }
    }

    pub(super) fn on_close_document(&mut self, document: DocumentId) {
        if !self.defer_close(&document, Command::CloseDocument { document }) {
            self.let_go(document);
        }
    }

    /// Puts off the closing of a document that is being loaded and was edited: what it is edited on comes first.
    fn defer_close(&mut self, document: &DocumentId, close: Command) -> bool {
        let is_edit = |input: &Input| matches!(input, Input::Command(Command::EditView { .. } | Command::EditDocument { .. }));
        match self.documents.open.get_mut(document).map(|open| &mut open.state) {
            Some(State::Loading { deferred, .. }) if deferred.iter().any(is_edit) => {
                deferred.push(Input::Command(close));
                true
            }
            _ => false,
        }
    }

    /// Holds a document once less.
    fn let_go(&mut self, document: DocumentId) {
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        open.holders -= 1;
        if open.holders == 0 {
            self.make_preview(document);
            self.documents.open.remove(&document);
            self.timers.cancel(&Timer::Apply(document));
        }
    }

    pub(super) fn on_edit_document(&mut self, document: DocumentId, number: u64, edit: Edit) {
        if self.defer(&document, || Input::Command(Command::EditDocument { document, number, edit: edit.clone() })) {
            return;
        }
        let heads = self.documents.loaded(&document).map(Document::heads).unwrap_or_default();
        match self.edit_at(self.now, document, &heads, &edit) {
            Ok(hash) => self.tell(Event::DocumentEdited { document, number, hash }),
            Err(error) => self.tell(Event::EditRefused { document, number, view: None, reason: error.to_string() }),
        }
    }

    pub(super) fn on_open_view(&mut self, view: ViewId, space: SpaceId, document: DocumentId, resume: Vec<Resume>) {
        self.end_view(view);
        if !self.hold(space, document) {
            return;
        }
        self.documents.views.insert(view, document);
        self.begin_view(view, document, resume);
    }

    pub(super) fn begin_view(&mut self, view: ViewId, document: DocumentId, mut resume: Vec<Resume>) {
        let is_loading = self.documents.open.get(&document).is_some_and(|open| matches!(open.state, State::Loading { .. }));
        if is_loading
            && resume.is_empty()
            && let Some((shown, state)) = self.show_preview(view, document)
        {
            resume.push(state);
            if let Some(Open { state: State::Loading { preview, .. }, .. }) = self.documents.open.get_mut(&document) {
                *preview = Some(shown);
            }
        }
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        match &mut open.state {
            State::Loading { deferred, .. } => {
                // Held already: what is left to do once it is loaded is to begin.
                deferred.push(Input::Command(Command::OpenView { view, space: open.space, document, resume, mirror: None }));
            }
            State::Loaded(loaded) => {
                let resume: Vec<_> = resume.into_iter().map(|resume| (resume.covers, resume.heads)).collect();
                let (state, answer) = View::open(loaded, &resume);
                open.views.insert(view, state);
                self.tell_answer(view, document, answer);
            }
        }
    }

    pub(super) fn on_edit_view(&mut self, view: ViewId, number: u64, seen: u64, edit: Edit, stamp: Option<Stamp>) {
        let Some(document) = self.documents.views.get(&view).copied() else { return };
        if self.defer(&document, || Input::Command(Command::EditView { view, number, seen, edit: edit.clone(), stamp })) {
            return;
        }
        let unix_ms = self.now.unix_ms;
        let may_write = self.documents.space_of(&document).map_or(Ok(()), |space| self.may_write_in(&space));
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        let (Some(state), State::Loaded(loaded)) = (open.views.get_mut(&view), &mut open.state) else { return };
        let space = open.space;
        // What an engine before this one has kept is not made a second time.
        let made = match stamp.and_then(|stamp| self.mirrors.change_of(view, stamp)).filter(|hash| loaded.holds(&[*hash])) {
            Some(hash) => {
                state.recognise(loaded, number, seen, hash);
                Ok(None)
            }
            None => match may_write {
                Ok(()) => state.edit(loaded, number, seen, &edit, unix_ms),
                Err(why) => state.turn_down(number, seen, why),
            },
        };
        match made {
            Ok(entry) => {
                if let (Some(entry), Some(stamp)) = (&entry, stamp) {
                    self.on_mirror_edited(view, stamp, document, entry.hash);
                }
                self.commit(space, document, entry);
            }
            Err(error) => self.tell(Event::EditRefused { document, number, view: Some(view), reason: error.to_string() }),
        }
        self.documents.unanswered.insert(view);
    }

    pub(super) fn on_close_view(&mut self, view: ViewId) {
        let Some(document) = self.documents.views.get(&view).copied() else { return };
        if !self.defer_close(&document, Command::CloseView { view }) {
            self.end_view(view);
        }
    }

    fn end_view(&mut self, ended: ViewId) {
        let Some(document) = self.documents.views.remove(&ended) else { return };
        self.on_mirror_closed(ended);
        let is_its = |input: &Input| matches!(input, Input::Command(Command::OpenView { view, .. } | Command::EditView { view, .. }) if *view == ended);
        if let Some(open) = self.documents.open.get_mut(&document) {
            open.views.remove(&ended);
            if let State::Loading { deferred, .. } = &mut open.state {
                deferred.retain(|input| !is_its(input));
            }
        }
        self.let_go(document);
    }

    /// Keeps what the app asks of a document until it is loaded; answers whether it is being loaded.
    fn defer(&mut self, document: &DocumentId, input: impl FnOnce() -> Input) -> bool {
        match self.documents.open.get_mut(document).map(|open| &mut open.state) {
            Some(State::Loading { deferred, .. }) => {
                deferred.push(input());
                true
            }
            _ => false,
        }
    }

    /// Gives a local change its place in the log, and answers the mirrors.
    fn commit(&mut self, space: SpaceId, document: DocumentId, entry: Option<Entry>) {
        let sealed = entry.zip(self.documents.loaded(&document)).map(|(entry, loaded)| self.sealed(&space, loaded, entry));
        match sealed {
            Some(Ok(entry)) => {
                self.append_local(space, entry);
                self.answer_soon(document);
            }
            Some(Err(error)) => debug_assert!(false, "no change is made without a key: {error}"),
            None => {}
        }
    }

    pub(super) fn answer_soon(&mut self, document: DocumentId) {
        if let Some(open) = self.documents.open.get(&document) {
            self.documents.unanswered.extend(open.views.keys());
        }
    }

    /// Applies what has arrived for open documents, and tells which documents changed.
    pub(super) fn apply_entries(&mut self) {
        let changed: Vec<(DocumentId, bool)> =
            self.documents.changed.iter().map(|(document, local)| (*document, *local)).collect();
        for (document, local) in changed {
            let resting = self.documents.open.get(&document).is_some_and(|open| open.resting && !open.unapplied.is_empty());
            if resting {
                continue;
            }
            self.apply(document);
            self.documents.changed.remove(&document);
            let Some(space) = self.locations.get(&document).copied() else { continue };
            let heads = match self.documents.loaded(&document).filter(|_| is_sealed(&space)) {
                Some(loaded) => loaded.heads(),
                // The log of a sealed document does not tell them.
                None if is_sealed(&space) => Vec::new(),
                None => self.log(&document).map_or_else(Vec::new, |log| log.version().heads.iter().copied().collect()),
            };
            self.tell(Event::DocumentChanged { space, document, heads, local });
            self.touch_preview(document);
        }
    }

    /// Applies what has arrived for one document, if it is in memory.
    pub(super) fn apply(&mut self, document: DocumentId) {
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        let State::Loaded(_) = &open.state else { return };
        if open.unapplied.is_empty() {
            return;
        }
        let (space, unapplied) = (open.space, std::mem::take(&mut open.unapplied));
        let (changes, closed) = self.opened(&space, unapplied);
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        let State::Loaded(loaded) = &mut open.state else { return };
        open.unapplied = closed;
        if changes.is_empty() {
            return;
        }
        let replays = loaded.replays();
        let applied = loaded.apply(changes);
        let is_replayed = loaded.is_replayed();
        self.stats.replayed += loaded.replays() - replays;
        self.tell_unless_applied(document, applied);
        self.answer_soon(document);
        let rest_ms = self.log(&document).map_or(0, |log| log.version().clock.entries() / CHANGES_PER_REST_MS);
        if rest_ms > 0 && !is_replayed {
            if let Some(open) = self.documents.open.get_mut(&document) {
                open.resting = true;
            }
            self.timers.set(Timer::Apply(document), self.now.monotonic_ms + rest_ms);
        }
    }

    /// Tells each mirror what is new to it.
    pub(super) fn answer_views(&mut self) {
        for view in std::mem::take(&mut self.documents.unanswered) {
            let Some(document) = self.documents.views.get(&view).copied() else { continue };
            let Some(open) = self.documents.open.get_mut(&document) else { continue };
            let (Some(state), State::Loaded(loaded)) = (open.views.get_mut(&view), &open.state) else { continue };
            if let Some(answer) = state.answer(loaded) {
                self.tell_answer(view, document, answer);
            }
        }
    }

    pub(super) fn tell_answer(&mut self, view: ViewId, document: DocumentId, answer: Answer) {
        let Answer { number, covers, reset, patches, heads, base } = answer;
        self.tell(Event::ViewUpdated(ViewUpdate { view, document, number, covers, reset, patches, heads, base }));
    }
}
