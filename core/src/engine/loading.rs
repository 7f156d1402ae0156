//! Loading documents: from the store, from what a peer sent, and anew where something of them went.
//!
//! What the app asks of a document meanwhile waits, and mirrors are shown its stored view.

use super::Engine;
use super::documents::{Open, State};
use super::effect::{Event, TroubleKind};
use super::input::{Command, Input, Resume};
use super::logs::Work;
use super::stored::StoredPreview;
use crate::base::id::{ChangeHash, DocumentId, SpaceId, TaskId, ViewId};
use crate::doc::document::{ApplyError, Document};
use crate::doc::view::Answer;
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::snapshot::SnapshotPart;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes read from the store at once while a document is loaded.
const LOAD_BYTES: usize = 4 * 1024 * 1024;

impl Engine {
    /// Opens a document, or holds it once more; answers whether it may be opened in this space.
    pub(super) fn hold(&mut self, space: SpaceId, document: DocumentId) -> bool {
        if let Some(open) = self.documents.open.get_mut(&document) {
            open.holders += 1;
            return true;
        }
        let space = match self.locations.get(&document) {
            Some(held) if *held != space => {
                let message = format!("document {document} belongs to another space, {held}");
                self.trouble(TroubleKind::Refused, Some(document), None, message);
                return false;
            }
            _ => space,
        };
        let Some(actor) = self.actor_for(&space) else { return false };
        let fresh = self.fitted(&space, Document::new(document, actor, self.config.text_unit));
        let state = match self.log(&document) {
            None => State::Loaded(Box::new(fresh)),
            Some(_) => {
                let (gathered, deferred) = (Vec::new(), Vec::new());
                State::Loading { task: None, snapshot: None, gathered, after: 0, closed: false, preview: None, deferred }
            }
        };
        let loading = matches!(state, State::Loading { .. });
        // What is in the log and may not be in the store yet is in its tail; what comes from now on is told by `on_entry`.
        let unapplied = self.log(&document).map_or_else(Vec::new, |log| {
            let start = log.tail_start() - 1;
            log.tail_after(start).into_iter().flatten().map(|(_, entry)| entry.clone()).collect()
        });
        let open = Open { space, holders: 1, state, unapplied, resting: false, views: BTreeMap::new() };
        self.documents.open.insert(document, open);
        if loading {
            if self.log(&document).is_some_and(|log| log.tail_start() == 1) {
                self.finish_loading(document);
            } else {
                self.reload_document(document);
            }
        }
        self.saved.touch(document);
        self.confirm_everywhere(space, document);
        true
    }

    /// Reads the next part of a document that is being loaded.
    pub(super) fn reload_document(&mut self, document: DocumentId) {
        let Some(Open { state: State::Loading { snapshot, after, .. }, .. }) = self.documents.open.get(&document) else { return };
        let wants_snapshot = snapshot.is_none() && self.log(&document).is_some_and(|log| log.snapshot().is_some());
        let after = *after;
        let next = if wants_snapshot {
            self.read_snapshot(Work::LoadSnapshot { document }, document, 0, usize::MAX)
        } else {
            self.read(Work::Load { document }, document, VectorClock::new(), after, LOAD_BYTES)
        };
        if let Some(Open { state: State::Loading { task, .. }, .. }) = self.documents.open.get_mut(&document) {
            *task = Some(next);
        }
    }

    /// Loads a document from the beginning that is being loaded: its log begins with another snapshot.
    pub(super) fn restart_loading(&mut self, document: DocumentId) {
        if let Some(Open { state: State::Loading { snapshot, gathered, after, closed, .. }, .. }) =
            self.documents.open.get_mut(&document)
        {
            (*snapshot, *after, *closed) = (None, 0, false);
            gathered.clear();
            self.reload_document(document);
        }
    }

    pub(super) fn on_snapshot_loaded(&mut self, awaited: TaskId, document: DocumentId, part: Option<SnapshotPart>) {
        if let Some(Open { state: State::Loading { task, snapshot, .. }, .. }) = self.documents.open.get_mut(&document)
            && *task == Some(awaited)
        {
            // One that is gone was set aside, and the document with it.
            *snapshot = Some(part.map_or_else(|| Arc::from([]), |part| part.bytes));
            self.reload_document(document);
        }
    }

    /// Takes in a document that was put together anew with what a peer sent, and the entries that came to its log `later`.
    pub(super) fn on_adopted(&mut self, document: DocumentId, loaded: Option<Box<Document>>, later: Vec<Arc<Entry>>) {
        self.documents.changed.entry(document).and_modify(|local| *local = false).or_insert(false);
        let Some(space) = self.documents.space_of(&document) else { return };
        let Some(loaded) = loaded else { return self.load_again(document, later) };
        let mut loaded = self.fitted(&space, *loaded);
        let (later, closed) = self.opened(&space, later);
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        open.unapplied = closed;
        let applied = loaded.apply(later);
        let heads = loaded.heads();
        let before = std::mem::replace(&mut open.state, State::Loaded(Box::new(loaded)));
        self.tell_unless_applied(document, applied);
        match before {
            State::Loading { preview, deferred, .. } => self.begin_deferred(document, heads, preview, deferred),
            State::Loaded(_) => self.answer_soon(document),
        }
    }

    /// Loads an open document anew whose log begins with what could not be read when it was taken in.
    fn load_again(&mut self, document: DocumentId, later: Vec<Arc<Entry>>) {
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        open.unapplied = later;
        if let State::Loaded(_) = &open.state {
            let (gathered, deferred) = (Vec::new(), Vec::new());
            open.state =
                State::Loading { task: None, snapshot: None, gathered, after: 0, closed: false, preview: None, deferred };
        }
        self.restart_loading(document);
    }

    /// Puts a document that is open in the place of what it was, of which something went: its mirrors begin anew.
    pub(super) fn replace_document(&mut self, space: SpaceId, document: DocumentId, entries: Vec<Arc<Entry>>) {
        let Some(actor) = self.actor_for(&space) else { return };
        let mut fresh = self.fitted(&space, Document::new(document, actor, self.config.text_unit));
        let (changes, closed) = self.opened(&space, entries);
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        let applied = fresh.apply(changes);
        let heads = fresh.heads();
        open.unapplied = closed;
        // They go on as they are: a mirror counts its edits and its answers from when it was opened.
        let answers: Vec<(ViewId, Answer)> = open.views.iter_mut().map(|(view, state)| (*view, state.replaced(&fresh))).collect();
        let before = std::mem::replace(&mut open.state, State::Loaded(Box::new(fresh)));
        self.documents.changed.insert(document, false);
        self.tell_unless_applied(document, applied);
        answers.into_iter().for_each(|(view, answer)| self.tell_answer(view, document, answer));
        if let State::Loading { preview, deferred, .. } = before {
            self.begin_deferred(document, heads, preview, deferred);
        }
    }

    pub(super) fn tell_unless_applied(&mut self, document: DocumentId, applied: Result<(), ApplyError>) {
        if let Err(error) = applied {
            let message = format!("part of document {document} cannot be shown: {error}");
            self.trouble(TroubleKind::Damaged, Some(document), None, message);
        }
    }

    pub(super) fn on_loaded(&mut self, awaited: TaskId, document: DocumentId, entries: Vec<(u64, Arc<Entry>)>, complete: bool) {
        let Some(Open { state: State::Loading { task, gathered, after, .. }, .. }) = self.documents.open.get_mut(&document)
        else {
            return;
        };
        if *task != Some(awaited) {
            return;
        }
        if let Some((last, _)) = entries.last() {
            *after = *last;
        }
        gathered.extend(entries.into_iter().map(|(_, entry)| entry));
        if complete {
            self.finish_loading(document);
        } else {
            self.reload_document(document);
        }
    }

    fn finish_loading(&mut self, document: DocumentId) {
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        let State::Loading { snapshot, .. } = &open.state else { return };
        let (space, snapshot) = (open.space, snapshot.clone());
        let opened = match snapshot.map(|bytes| self.opened_snapshot(&space, &document, bytes)) {
            None => None,
            Some(Ok(Some(opened))) => Some(opened),
            Some(Ok(None)) => return self.await_key(document),
            Some(Err(error)) => return self.quarantine(document, &error.to_string()),
        };
        let Some(Open { state: State::Loading { snapshot, gathered, .. }, unapplied, .. }) =
            self.documents.open.get_mut(&document)
        else {
            return;
        };
        *snapshot = None;
        let entries: Vec<Arc<Entry>> = std::mem::take(gathered).into_iter().chain(std::mem::take(unapplied)).collect();
        let Some(assembly) = self.assembly(document, opened.into_iter().collect(), Vec::new()) else { return };
        let mut fresh = match assembly.run() {
            Ok(assembled) => self.fitted(&space, assembled.document),
            Err(error) => return self.quarantine(document, &error.to_string()),
        };
        let (changes, closed) = self.opened(&space, entries);
        let applied = fresh.apply(changes);
        let heads = fresh.heads();
        let Some(open) = self.documents.open.get_mut(&document) else { return };
        open.unapplied = closed;
        let before = std::mem::replace(&mut open.state, State::Loaded(Box::new(fresh)));
        let State::Loading { preview, deferred, .. } = before else { return };
        self.tell_unless_applied(document, applied);
        self.begin_deferred(document, heads, preview, deferred);
        self.answer_soon(document);
    }

    /// Keeps what was read of a document until the key to it comes.
    fn await_key(&mut self, document: DocumentId) {
        if let Some(Open { state: State::Loading { closed, .. }, .. }) = self.documents.open.get_mut(&document) {
            *closed = true;
        }
        let message = format!(
            "document {document} is sealed, and this device has not been given the key to it yet: it comes from a member by way of a relay"
        );
        self.trouble(TroubleKind::Forbidden, Some(document), None, message);
    }

    /// Reads on in the open documents of a space: keys have come, or this replica writes there under another name now.
    pub(super) fn on_keys_found(&mut self, space: SpaceId) {
        let Some(actor) = self.actor_for(&space) else { return };
        for document in self.documents.open_in(&space) {
            match self.documents.open.get_mut(&document).map(|open| &mut open.state) {
                Some(State::Loaded(loaded)) => {
                    loaded.set_actor(actor);
                    self.documents.changed.entry(document).or_insert(false);
                }
                Some(State::Loading { closed, .. }) if *closed => {
                    *closed = false;
                    self.finish_loading(document);
                }
                _ => {}
            }
        }
        self.needs_flush = true;
    }

    /// Tells that a document is loaded, and does what was asked of it meanwhile. A mirror that was shown what the document never
    /// said begins anew.
    fn begin_deferred(
        &mut self,
        document: DocumentId,
        heads: Vec<ChangeHash>,
        preview: Option<Arc<StoredPreview>>,
        deferred: Vec<Input>,
    ) {
        self.tell(Event::DocumentOpened { document, heads });
        self.touch_preview(document);
        let wrong = preview.filter(|preview| !self.prove_preview(preview));
        let is_wrong = |resume: &Resume| wrong.as_ref().is_some_and(|wrong| wrong.version.heads.iter().eq(&resume.heads));
        for input in deferred {
            match input {
                Input::Command(Command::OpenView { view, document, mut resume, .. }) => {
                    resume.retain(|resume| !is_wrong(resume));
                    self.begin_view(view, document, resume)
                }
                input => self.on_input(input),
            }
        }
    }
}
