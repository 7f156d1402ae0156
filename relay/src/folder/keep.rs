//! The keeper of a folder: what it knows, and one pass over all of it.

use super::bring;
use super::compare::{self, Waiting};
use super::error::FolderError;
use super::ignored::Ignored;
use super::leftover;
use super::names::{self, Claim};
use super::record::{Content, Record};
use super::report::{Deed, Report};
use super::scan::Scan;
use super::shelf::Shelf;
use super::state::{InStep, Seen, State};
use super::take;
use super::terms::Terms;
use super::write::Root;
use driftline_core::base::id::DocumentId;
use driftline_core::doc::document::Document;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// How long a file must be as it is before it is taken for what its editor meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A file that is new or was changed.
    pub changed: Duration,
    /// A file that was emptied: most editors that do this are about to write it.
    pub emptied: Duration,
    /// A file that is gone: some editors put another in its place.
    pub gone: Duration,
    /// The title of a note that has no file yet, before the file is called after it.
    pub titled: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            changed: Duration::from_millis(150),
            emptied: Duration::from_secs(2),
            gone: Duration::from_secs(1),
            titled: Duration::from_secs(3),
        }
    }
}

impl Patience {
    /// None: what is seen is meant.
    pub fn none() -> Self {
        Self { changed: Duration::ZERO, emptied: Duration::ZERO, gone: Duration::ZERO, titled: Duration::ZERO }
    }
}

/// What a folder is kept in step with, and how.
#[derive(Clone, Debug)]
pub struct KeeperOptions {
    /// The folder, by its own name: links on the way to it are followed once, by whoever names it.
    pub folder: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// The space, as its id: a data directory belongs to one.
    pub space: String,
    /// How long files must be quiet.
    pub patience: Patience,
    /// Whether to look only: nothing is written, neither to the folder nor to the space.
    pub look_only: bool,
}

/// When a pass is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By a clock that never goes back.
    pub monotonic: Duration,
    /// Milliseconds since the Unix epoch, for people.
    pub unix_ms: i64,
}

/// Keeps a folder and the documents of a shelf in step.
pub struct Keeper<S: Shelf> {
    pub(crate) shelf: S,
    pub(crate) root: Root,
    pub(crate) state: State,
    pub(crate) waiting: Waiting,
    pub(crate) patience: Patience,
    pub(crate) now: Moment,
    /// The terms of the shelf, as they were when this pass began.
    pub(crate) terms: Terms,
    /// Nothing is taken yet: others are awaited.
    pub(crate) holds_back: bool,
    data_inside: Option<String>,
    look_only: bool,
    told: Option<Box<dyn FnMut(usize, usize) + Send>>,
    steps_left: Cell<Option<u64>>,
}

impl<S: Shelf> Keeper<S> {
    /// Opens what is remembered of the folder.
    ///
    /// # Errors
    ///
    /// When the data directory remembers another folder or space, or cannot be used.
    pub fn open(shelf: S, options: KeeperOptions) -> Result<Self, FolderError> {
        let KeeperOptions { folder, data, space, patience, look_only } = options;
        let inside = data.strip_prefix(&folder).ok().and_then(|inside| inside.to_str());
        let data_inside = inside.filter(|inside| !inside.is_empty()).map(|inside| inside.replace('\\', "/"));
        // A folder that is moved with its data in it is still the same.
        let name = match &data_inside {
            Some(inside) => format!("around {inside}"),
            None => folder.display().to_string(),
        };
        let state = if look_only { State::open_to_look(&data, &name, &space)? } else { State::open(&data, &name, &space)? };
        let now = Moment { monotonic: Duration::ZERO, unix_ms: 0 };
        let (root, waiting) = (Root::new(&folder), Waiting::default());
        Ok(Self {
            shelf,
            root,
            state,
            waiting,
            patience,
            now,
            terms: Terms::Open,
            holds_back: false,
            data_inside,
            look_only,
            told: None,
            steps_left: Cell::new(None),
        })
    }

    /// Tells how many files of how many have been dealt with, during a pass.
    pub fn tell(&mut self, told: impl FnMut(usize, usize) + Send + 'static) {
        self.told = Some(Box::new(told));
    }

    /// Takes nothing from the folder in the next passes, because others are awaited whose files these may be; what they have made comes in.
    pub fn hold_back(&mut self, holds_back: bool) {
        self.holds_back = holds_back;
    }

    /// Ends the next passes by [`FolderError::Cut`] after so many steps, as if the process ended there: for tests.
    pub fn cut_after(&mut self, steps: u64) {
        self.steps_left.set(Some(steps));
    }

    /// Whether nothing is known of the folder yet.
    pub fn is_new(&self) -> bool {
        self.state.all().is_empty()
    }

    /// The terms of the shelf, as they were when the last pass began.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The shelf.
    pub fn shelf(&self) -> &S {
        &self.shelf
    }

    /// Brings the folder and the documents closer, and answers what was done. In step is what needs no further pass until
    /// something changes.
    ///
    /// # Errors
    ///
    /// When the folder, the replica or what is remembered cannot be used. What is about one file is in the report.
    pub fn pass(&mut self, now: Moment) -> Result<Report, FolderError> {
        self.now = now;
        self.terms = self.shelf.terms()?;
        let mut report = Report::default();
        self.look()?;
        let ignored = Ignored::new(self.root.path(), self.data_inside.clone());
        let scan = self.scan(&ignored)?;
        report.refused.extend(scan.refused.iter().cloned());
        if !self.look_only {
            leftover::clear(self, &scan)?;
        }
        let local = compare::compare(self, &scan, &ignored)?;
        report.unsettled = local.unsettled;
        if local.is_emptied {
            report.refuse("", "the folder is suddenly empty: nothing is deleted for others while no file is in it");
        }
        if self.look_only {
            self.foretell(local, &ignored, &mut report);
            return Ok(report);
        }
        let busy = take::take(self, local, &mut report)?;
        self.look()?;
        bring::bring(self, &busy, &ignored, &mut report)?;
        self.step()?;
        self.state.keep()?;
        self.waiting.forget_the_rest();
        self.count(&ignored, &mut report);
        self.shelf.rest();
        Ok(report)
    }

    /// Takes in what the documents say now.
    fn look(&mut self) -> Result<(), FolderError> {
        for (document, version) in self.shelf.documents()? {
            if self.state.of(&document).is_some_and(|known| known.looked == version) {
                continue;
            }
            let read = |document: &Document| (document.heads(), Record::read(document).map(Seen::from));
            if let Some((looked, (heads, seen))) = self.shelf.look(document, read)? {
                let known = self.state.change(document);
                (known.heads, known.looked, known.seen) = (heads, looked, seen);
            }
        }
        Ok(())
    }

    fn scan(&self, ignored: &Ignored) -> Result<Scan, FolderError> {
        let files = self.state.all().values().filter_map(|known| known.file.as_ref());
        let known: BTreeMap<&str, &InStep> = files.map(|file| (file.local.as_str(), file)).collect();
        Scan::of(self.root.path(), ignored, &known)
    }

    /// What each document's file is called.
    pub(crate) fn wanted(&self) -> BTreeMap<DocumentId, String> {
        let live = self.state.all().iter().filter_map(|(document, known)| Some((document, known.seen.as_ref()?)));
        let claims = live
            .filter(|(_, seen)| seen.is_live)
            .filter_map(|(document, seen)| Some(Claim { document: *document, path: seen.path.clone()?, created: seen.created }));
        names::settle(claims.collect())
    }

    /// One thing that is seen from outside is done next.
    pub(crate) fn step(&self) -> Result<(), FolderError> {
        match self.steps_left.get() {
            Some(0) => Err(FolderError::Cut),
            steps => {
                self.steps_left.set(steps.map(|steps| steps - 1));
                Ok(())
            }
        }
    }

    pub(crate) fn progress(&mut self, done: usize, all: usize) {
        if let Some(told) = &mut self.told {
            told(done, all);
        }
    }

    fn count(&self, ignored: &Ignored, report: &mut Report) {
        let wanted = self.wanted();
        for (document, path) in wanted.iter().filter(|(_, path)| !ignored.is_file_ignored(path)) {
            report.files += 1;
            let Some(known) = self.state.of(document) else { continue };
            let is_there = |file: &InStep| file.heads == known.heads && is_called(&file.local, path);
            report.in_step += usize::from(known.file.as_ref().is_some_and(is_there));
        }
    }

    /// What a pass would take from the folder; answers of which documents.
    fn foretell_taking<'a>(
        local: &compare::Local,
        file: impl Fn(&DocumentId) -> &'a str,
        report: &mut Report,
    ) -> BTreeSet<DocumentId> {
        for (document, to) in &local.renamed {
            report.did(Deed::Renamed, &to.path, Some(file(document)));
        }
        let mut touched: BTreeSet<DocumentId> = local.renamed.iter().map(|(document, _)| *document).collect();
        for (document, found) in &local.edited {
            touched.insert(*document);
            report.did(Deed::Edited, &found.path, None);
        }
        for document in &local.gone {
            touched.insert(*document);
            report.did(Deed::Deleted, file(document), None);
        }
        local.fresh.iter().for_each(|found| report.did(Deed::Added, &found.path, None));
        touched
    }

    /// What a pass would do, by what is known now.
    fn foretell(&self, local: compare::Local, ignored: &Ignored, report: &mut Report) {
        let file = |document: &DocumentId| self.state.file_of(document).map_or("", |file| file.local.as_str());
        let touched = match &self.terms {
            Terms::Closed(why) | Terms::Waiting(why) => {
                let moved = local.renamed.iter().chain(&local.edited).map(|(document, found)| (*document, found.path.as_str()));
                let gone = local.gone.iter().map(|document| (*document, file(document)));
                let known: Vec<(DocumentId, &str)> = moved.chain(gone).collect();
                let fresh = local.fresh.iter().map(|found| found.path.as_str());
                known.iter().map(|(_, path)| *path).chain(fresh).for_each(|path| report.refuse(path, why));
                known.into_iter().map(|(document, _)| document).collect()
            }
            Terms::Open | Terms::Member(_) => Self::foretell_taking(&local, file, report),
        };
        let wanted = self.wanted();
        for (document, known) in self.state.all().iter().filter(|(document, _)| !touched.contains(document)) {
            match (wanted.get(document), &known.file) {
                (Some(path), _) if ignored.is_file_ignored(path) => {}
                // A new file here that has this name and holds this is the file of this document.
                (Some(path), None) if !local.fresh.iter().any(|found| found.path == *path) => {
                    report.did(Deed::Written, path, None)
                }
                (Some(path), Some(file)) => {
                    if !is_called(&file.local, path) {
                        report.did(Deed::Moved, path, Some(&file.local));
                    }
                    if known.seen.as_ref().is_some_and(|seen| seen.fingerprint != file.fingerprint) {
                        report.did(Deed::Merged, path, None);
                    }
                }
                (None, Some(file)) => report.did(Deed::Removed, &file.local, None),
                _ => {}
            }
        }
    }
}

/// Whether a file that is called `local` here is called as it is to be: what only this system can call it so counts as the same.
pub(crate) fn is_called(local: &str, wanted: &str) -> bool {
    local == wanted || names::safe_path(local) == wanted
}

impl From<Record> for Seen {
    fn from(record: Record) -> Self {
        let title = match (&record.title, &record.content) {
            (title, _) if !title.trim().is_empty() => title.trim().chars().take(200).collect(),
            (_, Content::Text(text)) => {
                let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
                line.trim_start_matches(['#', ' ']).chars().take(200).collect()
            }
            _ => String::new(),
        };
        Self {
            fingerprint: record.content.fingerprint(),
            path: record.path,
            title,
            created: record.created,
            is_live: record.is_live,
            has_beaten: !record.beaten.is_empty(),
            origin: record.origin,
        }
    }
}
