//! What was done to the files of a folder since they were last in step.

use super::error::FolderError;
use super::ignored::Ignored;
use super::keep::Keeper;
use super::limits::{RENAMES_COMPARED_MAX, TEXT_BYTES_MAX};
use super::record::{Content, Record};
use super::scan::{Found, Scan};
use super::shelf::Shelf;
use super::state::InStep;
use super::text::{is_of_second, likeness, words_left};
use driftline_core::base::id::{ChangeHash, DocumentId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// From here on, two texts are one that was edited.
const LIKENESS_MIN: f64 = 0.6;
/// So much of a text that was being written must be left for what stands in its place to be that text.
const WORDS_LEFT_MIN: f64 = 0.2;

/// What was done to files, each in the order of what it names.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// Files that hold something else now.
    pub edited: Vec<(DocumentId, Found)>,
    /// Files that are somewhere else now; they may be edited too.
    pub renamed: Vec<(DocumentId, Found)>,
    /// Files that are no more.
    pub gone: Vec<DocumentId>,
    /// Files that were not there before.
    pub fresh: Vec<Found>,
    /// Files that a pattern keeps at home from now on.
    pub let_go: Vec<DocumentId>,
    /// Files that are not settled yet, or of which nothing is known this time: they are left alone.
    pub busy: BTreeSet<DocumentId>,
    /// Of the edited ones, those whose version is not held any more: what they hold is put in, and nothing taken out.
    pub lost: BTreeSet<DocumentId>,
    /// Paths of files that are not settled yet.
    pub unsettled: usize,
    /// All files are gone at once, which is not believed.
    pub is_emptied: bool,
}

/// What is waited for, since when, and how it looked then.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    since: BTreeMap<String, (String, Duration)>,
    asked: BTreeSet<String>,
}

impl Waiting {
    /// Whether what `name` names has looked so for long enough.
    pub(crate) fn is_over(&mut self, name: &str, looks: &str, patience: Duration, now: Duration) -> bool {
        if patience.is_zero() {
            return true;
        }
        self.asked.insert(name.to_owned());
        match self.since.get(name) {
            Some((looked, since)) if looked == looks => now.saturating_sub(*since) >= patience,
            _ => {
                self.since.insert(name.to_owned(), (looks.to_owned(), now));
                false
            }
        }
    }

    /// Forgets what nobody asked about since the last time.
    pub(crate) fn forget_the_rest(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        self.since.retain(|name, _| asked.contains(name));
    }
}

/// Compares a look at the folder with what is remembered of it.
pub(crate) fn compare<S: Shelf>(keeper: &mut Keeper<S>, scan: &Scan, ignored: &Ignored) -> Result<Local, FolderError> {
    let mut local = Local::default();
    let unplaced = recognise_own_writing(keeper, scan)?;
    let files: Vec<(DocumentId, InStep)> =
        keeper.state.all().iter().filter_map(|(document, known)| Some((*document, known.file.clone()?))).collect();
    let by_path: BTreeMap<&str, DocumentId> = files.iter().map(|(document, file)| (file.local.as_str(), *document)).collect();
    let now = keeper.now.monotonic;
    for found in scan.files.values() {
        let Some(document) = by_path.get(found.path.as_str()).copied() else {
            if keeper.waiting.is_over(&found.path, &found.fingerprint, keeper.patience.changed, now) {
                local.fresh.push(found.clone());
            } else {
                local.unsettled += 1;
            }
            continue;
        };
        let Some(file) = keeper.state.file_of(&document) else { continue };
        if file.fingerprint == found.fingerprint {
            let moved_on = keeper.state.of(&document).is_some_and(|known| known.heads != file.heads);
            if moved_on && !is_held(keeper, document, &file.heads)? {
                local.lost.insert(document);
                local.edited.push((document, found.clone()));
            } else if file.changed_ns != found.changed_ns {
                note_time(keeper, document, found);
            }
            continue;
        }
        let patience = if found.size == 0 { keeper.patience.emptied } else { keeper.patience.changed };
        if keeper.waiting.is_over(&found.path, &found.fingerprint, patience, now) {
            local.edited.push((document, found.clone()));
        } else {
            local.busy.insert(document);
            local.unsettled += 1;
        }
    }
    let mut waits_for_gone = false;
    let mut gone = Vec::new();
    for (document, file) in files.iter().filter(|(_, file)| !scan.files.contains_key(&file.local)) {
        if scan.is_unread(&file.local) {
            local.busy.insert(*document);
        } else if ignored.is_file_ignored(&file.local) {
            local.let_go.push(*document);
        } else if keeper.waiting.is_over(&file.local, "gone", keeper.patience.gone, now) {
            gone.push((*document, file.clone()));
        } else {
            waits_for_gone = true;
            local.unsettled += 1;
            local.busy.insert(*document);
        }
    }
    if waits_for_gone {
        // One of the new files may be one that is missed: its document is to keep who it is.
        local.unsettled += local.fresh.len();
        local.fresh.clear();
    }
    // A folder that is suddenly empty is more likely one that is not there.
    if gone.len() > 1 && gone.len() == files.len() && scan.files.is_empty() && scan.unread.is_empty() {
        local.busy.extend(gone.iter().map(|(document, _)| *document));
        local.is_emptied = true;
        gone.clear();
    }
    pair(keeper, &mut local, gone, &unplaced)?;
    Ok(local)
}

/// What may have been written and is not where it was to be.
type Unplaced = BTreeMap<DocumentId, InStep>;

/// A file that is as a write of this program's was to leave it was left so by it. Answers what is not there any more.
fn recognise_own_writing<S: Shelf>(keeper: &mut Keeper<S>, scan: &Scan) -> Result<Unplaced, FolderError> {
    let mut unplaced = Unplaced::new();
    let writing: Vec<DocumentId> =
        keeper.state.all().iter().filter(|(_, known)| known.writing.is_some()).map(|(document, _)| *document).collect();
    for document in writing {
        let Some(known) = keeper.state.of(&document) else { continue };
        let (Some(writing), file) = (known.writing.clone(), known.file.clone()) else { continue };
        let found = scan.files.get(&writing.local);
        let was_moved = file.as_ref().is_some_and(|file| file.local != writing.local && !scan.files.contains_key(&file.local));
        // Moved, and something else stands where it was: another file that was moved or written there, by this program or by someone.
        let is_elsewhere = file.as_ref().is_some_and(|file| {
            let there = scan.files.get(&file.local);
            file.local != writing.local && there.is_some_and(|there| there.fingerprint != file.fingerprint)
        });
        let is_same_place = file.as_ref().is_some_and(|file| file.local == writing.local);
        let written = InStep {
            local: writing.local.clone(),
            heads: writing.heads.clone(),
            fingerprint: writing.fingerprint.clone(),
            size: found.map_or(0, |found| found.size),
            changed_ns: None,
        };
        if found.is_none() && file.as_ref().is_none_or(|file| !scan.files.contains_key(&file.local)) {
            unplaced.insert(document, written.clone());
        }
        let is_written = match (found, &file) {
            (None, _) => false,
            (Some(found), _) if found.fingerprint == writing.fingerprint => {
                file.is_none() || is_same_place || was_moved || is_elsewhere
            }
            // Written and edited since, or written by someone who knew nothing of it: it shows.
            (Some(found), None) => is_like(keeper, document, found, &writing.heads)?,
            (Some(found), Some(_)) if was_moved => is_like(keeper, document, found, &writing.heads)?,
            // Edited: either what stood there before, or what was written over it.
            (Some(found), Some(file)) if is_same_place => {
                found.fingerprint != file.fingerprint && is_of_the_second(keeper, document, found, &file.heads, &writing.heads)?
            }
            (Some(_), Some(_)) => false,
        };
        let known = keeper.state.change(document);
        known.writing = None;
        if is_written {
            known.file = Some(written);
        }
    }
    Ok(unplaced)
}

/// Whether a file, where one was being written, is that one, however it was edited since.
fn is_like<S: Shelf>(keeper: &Keeper<S>, document: DocumentId, found: &Found, heads: &[ChangeHash]) -> Result<bool, FolderError> {
    let (text, version) = (text_of(keeper, found), text_at(keeper, document, heads)?);
    Ok(matches!((text, version), (Some(text), Some(version)) if words_left(&version, &text) >= WORDS_LEFT_MIN))
}

/// Whether a file was made of the second version of its document, and not of the first.
fn is_of_the_second<S: Shelf>(
    keeper: &Keeper<S>,
    document: DocumentId,
    found: &Found,
    first: &[ChangeHash],
    second: &[ChangeHash],
) -> Result<bool, FolderError> {
    let (text, first, second) = (text_of(keeper, found), text_at(keeper, document, first)?, text_at(keeper, document, second)?);
    Ok(matches!((first, second, text), (Some(first), Some(second), Some(text)) if is_of_second(&first, &second, &text)))
}

fn is_held<S: Shelf>(keeper: &Keeper<S>, document: DocumentId, heads: &[ChangeHash]) -> Result<bool, FolderError> {
    let heads = heads.to_vec();
    Ok(keeper.shelf.read(document, move |document| document.holds(&heads))? == Some(true))
}

fn note_time<S: Shelf>(keeper: &mut Keeper<S>, document: DocumentId, found: &Found) {
    if let Some(file) = &mut keeper.state.change(document).file {
        (file.size, file.changed_ns) = (found.size, found.changed_ns);
    }
}

/// Finds among the new files those that are gone elsewhere.
fn pair<S: Shelf>(
    keeper: &mut Keeper<S>,
    local: &mut Local,
    mut gone: Vec<(DocumentId, InStep)>,
    unplaced: &Unplaced,
) -> Result<(), FolderError> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    // What was written in a last moment and moved away before this program knew that it was.
    for (document, written) in unplaced {
        let is_it = |found: &Found| found.fingerprint == written.fingerprint && found.size > 0;
        if let Some(at) = local.fresh.iter().position(is_it) {
            keeper.state.change(*document).file = Some(written.clone());
            gone.retain(|(other, _)| other != document);
            local.renamed.push((*document, local.fresh.remove(at)));
        }
    }
    // What holds the same is the same; of several, the one of the same name first.
    for same_name in [true, false] {
        gone.retain(|(document, file)| {
            let is_it = |found: &Found| {
                found.fingerprint == file.fingerprint && found.size > 0 && (!same_name || name(&found.path) == name(&file.local))
            };
            let Some(at) = local.fresh.iter().position(is_it) else { return true };
            local.renamed.push((*document, local.fresh.remove(at)));
            false
        });
    }
    // An empty file is like every other: only its name tells.
    gone.retain(|(document, file)| {
        let is_it = |found: &Found| found.size == 0 && file.size == 0 && name(&found.path) == name(&file.local);
        let Some(at) = local.fresh.iter().position(is_it) else { return true };
        local.renamed.push((*document, local.fresh.remove(at)));
        false
    });
    let mut compared = 0;
    for (document, file) in gone {
        let versions = [Some(file), unplaced.get(&document).cloned()];
        let mut best: Option<(usize, f64, InStep)> = None;
        for version in versions.into_iter().flatten().filter(|_| !local.fresh.is_empty()) {
            let Some(before) = text_at(keeper, document, &version.heads)?.filter(|text| !text.is_empty()) else { continue };
            for (at, found) in local.fresh.iter().enumerate() {
                if compared >= RENAMES_COMPARED_MAX || found.size == 0 {
                    continue;
                }
                compared += 1;
                let Some(text) = text_of(keeper, found) else { continue };
                let like = likeness(&before, &text);
                if like >= LIKENESS_MIN && best.as_ref().is_none_or(|(_, most, _)| like > *most) {
                    best = Some((at, like, version.clone()));
                }
            }
        }
        match best {
            Some((at, _, version)) => {
                keeper.state.change(document).file = Some(version);
                local.renamed.push((document, local.fresh.remove(at)));
            }
            None => local.gone.push(document),
        }
    }
    Ok(())
}

/// The text of a file, if it is one and still as it was found.
pub(crate) fn text_of<S: Shelf>(keeper: &Keeper<S>, found: &Found) -> Option<String> {
    let bytes = keeper.root.read(&found.path, TEXT_BYTES_MAX).ok()??;
    match super::take::content_of(&bytes) {
        Some(text) if super::record::fingerprint(text.as_bytes()) == found.fingerprint => Some(text),
        _ => None,
    }
}

fn text_at<S: Shelf>(keeper: &Keeper<S>, document: DocumentId, heads: &[ChangeHash]) -> Result<Option<String>, FolderError> {
    let heads = heads.to_vec();
    let content = keeper.shelf.read(document, move |document| Record::content_at(document, &heads))?.flatten();
    Ok(match content {
        Some(Content::Text(text)) => Some(text),
        _ => None,
    })
}
