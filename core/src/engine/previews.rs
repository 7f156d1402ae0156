//! Stored views: what a long document says, kept beside its log, and shown before the document itself has been loaded.
//!
//! Loading a long history takes a good part of a second; its value as plain data is read in a millisecond. So the value is stored
//! when a document is closed or has been quiet for a while, together with the version that it is the value of, and a mirror that
//! is opened while the document is loaded is shown it at once, as answer number 0. From there a mirror goes on as from any state
//! it has shown: its edits are committed on the heads that it shows, and the first answer after the load is the difference to them.
//!
//! A preview is never newer than what is durable: it is written after the entries that it stands for. It may be older, which the
//! first answer mends. It is not believed: once the document is loaded, the preview is held against what the document says at
//! those heads, and where that is anything else, the mirror is given the whole value instead, and makes its edits again on that.

use super::Engine;
use super::effect::{Event, ViewUpdate};
use super::input::Resume;
use super::logs::Work;
use super::stored::StoredPreview;
use super::timers::Timer;
use crate::base::id::{ChangeHash, DocumentId, ViewId};
use crate::base::limits::{PREVIEW_BYTES_MAX, PREVIEWS_BYTES_MAX};
use crate::doc::document::Document;
use crate::doc::value::Value;
use crate::log::log::Log;
use crate::store::task::StoreTask;
use crate::trust::owned::is_sealed;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The previews of a store.
#[derive(Debug, Default)]
pub(super) struct Previews {
    /// Those that are stored.
    held: BTreeMap<DocumentId, Arc<StoredPreview>>,
    /// Those of which not all is durable yet that they stand for.
    waiting: BTreeMap<DocumentId, StoredPreview>,
    /// Open documents that may say something new, and since when they have been quiet.
    touched: BTreeMap<DocumentId, u64>,
    /// The number of the one that was written last.
    last: u64,
}

impl Previews {
    /// Reads a stored preview; other names, and what does not read, are left alone.
    pub(super) fn load(&mut self, key: &str, value: &[u8]) {
        let Some(preview) = StoredPreview::read(key, value) else { return };
        self.last = self.last.max(preview.number);
        self.held.insert(preview.document, Arc::new(preview));
    }

    /// Bytes of the values that are stored.
    fn bytes(&self) -> usize {
        self.held.values().map(|preview| preview.value.len()).sum()
    }
}

impl Engine {
    /// Removes the previews that the logs found at start know nothing of.
    pub(super) fn check_previews(&mut self) {
        if self.config.previews.is_none() {
            return;
        }
        let is_strange =
            |preview: &&Arc<StoredPreview>| !self.log(&preview.document).is_some_and(|log| may_stand_for(preview, log));
        let strange: Vec<DocumentId> = self.previews.held.values().filter(is_strange).map(|preview| preview.document).collect();
        for document in strange {
            self.forget_preview(document);
        }
    }

    /// Shows a mirror the stored view of a document that is being loaded, when there is one; answers which, and the state that
    /// the mirror then goes on from.
    pub(super) fn show_preview(&mut self, view: ViewId, document: DocumentId) -> Option<(Arc<StoredPreview>, Resume)> {
        self.config.previews.as_ref()?;
        let preview = Arc::clone(self.previews.held.get(&document)?);
        let Ok(value) = serde_json::from_slice::<Value>(&preview.value) else {
            self.forget_preview(document);
            return None;
        };
        let heads: Vec<ChangeHash> = preview.version.heads.iter().copied().collect();
        self.tell(Event::ViewUpdated(ViewUpdate {
            view,
            document,
            number: 0,
            covers: 0,
            reset: Some(value),
            patches: Vec::new(),
            heads: heads.clone(),
            base: heads.clone(),
        }));
        Some((preview, Resume { covers: 0, heads }))
    }

    /// Whether a document that is loaded now says at a preview's heads what the preview said. One that lied is removed.
    pub(super) fn prove_preview(&mut self, preview: &StoredPreview) -> bool {
        let document = preview.document;
        let proved = self.documents.loaded(&document).is_some_and(|loaded| {
            let heads: Vec<ChangeHash> = preview.version.heads.iter().copied().collect();
            let value = if heads == loaded.heads() { loaded.value(()) } else { loaded.value_at(&heads, ()) };
            value.is_some_and(|value| to_bytes(&value) == preview.value)
        });
        if !proved {
            self.forget_preview(document);
        }
        proved
    }

    /// Notes that an open document may say something that its preview does not.
    pub(super) fn touch_preview(&mut self, document: DocumentId) {
        let Some(previews) = &self.config.previews else { return };
        if self.documents.is_open(&document) {
            self.previews.touched.insert(document, self.now.monotonic_ms);
            self.timers.set_no_later(Timer::Previews, self.now.monotonic_ms + previews.quiet_ms);
        }
    }

    /// Stores what documents say that have been quiet for long enough.
    pub(super) fn on_previews_due(&mut self) {
        let Some(quiet_ms) = self.config.previews.as_ref().map(|previews| previews.quiet_ms) else { return };
        let now_ms = self.now.monotonic_ms;
        let is_quiet = |(_, since): &(&DocumentId, &u64)| now_ms >= **since + quiet_ms;
        let quiet: Vec<DocumentId> = self.previews.touched.iter().filter(is_quiet).map(|(document, _)| *document).collect();
        for document in quiet {
            self.make_preview(document);
        }
        if let Some(since) = self.previews.touched.values().min() {
            self.timers.set_no_later(Timer::Previews, since + quiet_ms);
        }
    }

    /// Makes the preview of a document in memory, unless the stored one says the same; it is stored once all of it is durable.
    pub(super) fn make_preview(&mut self, document: DocumentId) {
        self.previews.touched.remove(&document);
        let Some(changes_min) = self.config.previews.as_ref().map(|previews| previews.changes_min) else { return };
        let Some(version) = self.documents.loaded(&document).map(Document::version) else { return };
        if version.is_empty() || version.clock.entries() < changes_min {
            return;
        }
        if self.previews.held.get(&document).is_some_and(|held| held.version == version) {
            self.previews.waiting.remove(&document);
            return;
        }
        let Some(value) = self.documents.loaded(&document).and_then(|loaded| loaded.value(())) else { return };
        let value = to_bytes(&value);
        if value.len() > PREVIEW_BYTES_MAX {
            return self.forget_preview(document);
        }
        self.previews.waiting.insert(document, StoredPreview { document, number: 0, version, value });
        let waiting: usize = self.previews.waiting.values().map(|preview| preview.value.len()).sum();
        if waiting > PREVIEWS_BYTES_MAX {
            // The store has taken nothing for long.
            self.previews.waiting.pop_first();
        }
    }

    /// Stores the previews of which all is durable that they stand for.
    pub(super) fn write_previews(&mut self) {
        if self.previews.waiting.is_empty() {
            return;
        }
        for (document, mut preview) in std::mem::take(&mut self.previews.waiting) {
            let Some(log) = self.log(&document) else { continue };
            if !may_stand_for(&preview, log) {
                self.previews.waiting.insert(document, preview);
                continue;
            }
            self.previews.held.remove(&document);
            while self.previews.bytes() + preview.value.len() > PREVIEWS_BYTES_MAX
                && let Some(oldest) = self.previews.held.values().min_by_key(|held| held.number).map(|held| held.document)
            {
                self.forget_preview(oldest);
            }
            self.previews.last += 1;
            preview.number = self.previews.last;
            let (key, value) = preview.write();
            self.previews.held.insert(document, Arc::new(preview));
            self.store(Work::Preview, StoreTask::PutMeta { key, value });
        }
    }

    /// Removes the preview of a document.
    pub(super) fn forget_preview(&mut self, document: DocumentId) {
        self.previews.waiting.remove(&document);
        self.previews.touched.remove(&document);
        if self.previews.held.remove(&document).is_some() {
            self.store(Work::Preview, StoreTask::PutMeta { key: StoredPreview::name(&document), value: Vec::new() });
        }
    }
}

/// Whether a preview stands for no more than a log durably holds, as far as that can be told without loading it.
fn may_stand_for(preview: &StoredPreview, log: &Log) -> bool {
    let durable = log.durable();
    let (theirs, ours) = (&preview.version, durable);
    theirs.clock.is_within(&ours.clock) && (theirs.clock != ours.clock || theirs.heads == ours.heads || is_sealed(&log.space()))
}

/// A value as it is stored: the same bytes for the same value.
fn to_bytes(value: &Value) -> Vec<u8> {
    value.to_json().to_string().into_bytes()
}
