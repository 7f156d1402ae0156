//! What was done to the files of a folder becomes edits of their documents.
//!
//! All of it is made first, then made durable, and only then remembered. A process that ends in between makes it again
//! and makes no difference: the document of a new file is the same each time, and an edit of a text says of itself what
//! it was made of.

use super::compare::Local;
use super::error::FolderError;
use super::follow;
use super::fresh::{content_in, take_new};
use super::keep::{Keeper, is_called};
use super::limits::{FILE_BYTES_MAX, TEXT_BYTES_MAX};
use super::names;
use super::record::{self, Content, Record, fingerprint};
use super::report::{Deed, Report};
use super::scan::Found;
use super::shelf::Shelf;
use super::state::{InStep, Known};
use super::terms::Terms;
use super::text;
use super::twins;
use crate::repo::RepoError;
use driftline_core::base::id::{ChangeHash, DocumentId};
use driftline_core::doc::document::Document;
use driftline_core::doc::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The text that bytes are, when they are one and not too long to be kept as one.
pub(crate) fn content_of(bytes: &[u8]) -> Option<String> {
    let is_text = bytes.len() as u64 <= TEXT_BYTES_MAX && !bytes.contains(&0);
    is_text.then(|| String::from_utf8(bytes.to_vec()).ok()).flatten()
}

/// What is to be remembered once it is durable.
#[derive(Default)]
pub(super) struct Taken {
    /// What files were to be called before anything was taken.
    pub(super) wanted: BTreeMap<DocumentId, String>,
    /// The same the other way round.
    pub(super) named: BTreeMap<String, DocumentId>,
    /// Files that were deleted before anything was taken, by where they were and what they held.
    pub(super) deleted: BTreeMap<(String, String), DocumentId>,
    pub(super) files: BTreeMap<DocumentId, Option<InStep>>,
    pub(super) touched: BTreeSet<DocumentId>,
}

impl Taken {
    fn before<S: Shelf>(keeper: &Keeper<S>) -> Self {
        let wanted = keeper.wanted();
        let named = wanted.iter().map(|(document, path)| (path.clone(), *document)).collect();
        let of_deleted = |(document, known): (&DocumentId, &Known)| {
            let seen = known.seen.as_ref().filter(|seen| !seen.is_live && known.file.is_none())?;
            Some(((seen.path.clone()?, seen.fingerprint.clone()), *document))
        };
        let deleted = keeper.state.all().iter().filter_map(of_deleted).collect();
        Self { wanted, named, deleted, ..Self::default() }
    }
}

/// Takes over what was done in the folder; answers the documents whose files are to be left alone this time.
pub(crate) fn take<S: Shelf>(
    keeper: &mut Keeper<S>,
    local: Local,
    report: &mut Report,
) -> Result<BTreeSet<DocumentId>, FolderError> {
    let mut taken = Taken::before(keeper);
    if keeper.holds_back || matches!(keeper.terms, Terms::Waiting(_) | Terms::Closed(_)) {
        let busy = follow::follow(keeper, local, &mut taken, report);
        remember(keeper, taken)?;
        return Ok(busy);
    }
    // First, because an edit of the file that stayed takes the place of what was beaten too.
    keep_beaten(keeper, &mut taken)?;
    let mut busy = local.busy;
    let all = local.renamed.len() + local.edited.len() + local.gone.len() + local.fresh.len();
    let mut done = 0;
    for (document, found) in local.renamed {
        take_rename(keeper, document, &found, &mut taken, report)?;
        if !take_edit(keeper, document, &found, false, &mut taken, report)? {
            busy.insert(document);
        }
        keeper.progress(done, all);
        done += 1;
    }
    for (document, found) in local.edited {
        if !take_edit(keeper, document, &found, local.lost.contains(&document), &mut taken, report)? {
            busy.insert(document);
        }
        keeper.progress(done, all);
        done += 1;
    }
    for document in local.gone {
        take_deletion(keeper, document, &mut taken, report)?;
    }
    for found in local.fresh {
        take_new(keeper, &found, &mut taken, report)?;
        keeper.progress(done, all);
        done += 1;
    }
    for document in local.let_go {
        if let Some(file) = keeper.state.file_of(&document) {
            report.did(Deed::LetGo, &file.local, None);
            taken.files.insert(document, None);
        }
    }
    name_notes(keeper, &mut taken, report)?;
    twins::fold(keeper, &mut busy, &mut taken, report)?;
    remember(keeper, taken)?;
    Ok(busy)
}

/// Makes durable what was taken, and remembers then what is in step.
fn remember<S: Shelf>(keeper: &mut Keeper<S>, taken: Taken) -> Result<(), FolderError> {
    keeper.step()?;
    keeper.shelf.settle(&taken.touched)?;
    keeper.step()?;
    for (document, file) in taken.files {
        keeper.state.change(document).file = file;
    }
    keeper.state.keep()
}

/// Takes what a write found in a file's place, as what was done to the file that stood there; durable afterwards.
pub(crate) fn take_instead<S: Shelf>(
    keeper: &mut Keeper<S>,
    document: DocumentId,
    file: &InStep,
    bytes: &[u8],
) -> Result<(), FolderError> {
    let mut touched = BTreeSet::from([document]);
    commit(keeper, document, file, bytes, &mut touched)?;
    Ok(keeper.shelf.settle(&touched)?)
}

/// Remembers a document's file as it is now; nothing is in step before that.
pub(super) fn file_now<S: Shelf>(keeper: &Keeper<S>, document: DocumentId, taken: &Taken) -> Option<InStep> {
    match taken.files.get(&document) {
        Some(file) => file.clone(),
        None => keeper.state.file_of(&document).cloned(),
    }
}

fn take_rename<S: Shelf>(
    keeper: &mut Keeper<S>,
    document: DocumentId,
    found: &Found,
    taken: &mut Taken,
    report: &mut Report,
) -> Result<(), FolderError> {
    let Some(mut file) = keeper.state.file_of(&document).cloned() else { return Ok(()) };
    let seen = keeper.state.of(&document).and_then(|known| known.seen.clone());
    let (path, title) = seen.map(|seen| (seen.path, seen.title)).unwrap_or_default();
    // Where it is to be already, whether by its own claim or by what all claims come to: nobody needs to be told.
    let is_told = taken.wanted.get(&document).is_some_and(|wanted| is_called(&found.path, wanted));
    if !is_told {
        keeper.step()?;
        let edit = record::moved(path.as_deref(), &title, &names::safe_path(&found.path));
        if let Some(hash) = edit_at(keeper, document, &file.heads, edit)? {
            file.heads = vec![hash];
        }
        taken.touched.insert(document);
        report.did(Deed::Renamed, &found.path, Some(&file.local));
    }
    file.local = found.path.clone();
    file.changed_ns = None;
    taken.files.insert(document, Some(file));
    Ok(())
}

/// Answers whether the file was as it was found.
fn take_edit<S: Shelf>(
    keeper: &mut Keeper<S>,
    document: DocumentId,
    found: &Found,
    is_lost: bool,
    taken: &mut Taken,
    report: &mut Report,
) -> Result<bool, FolderError> {
    let Some(mut file) = file_now(keeper, document, taken) else { return Ok(false) };
    if file.fingerprint == found.fingerprint && !is_lost {
        return Ok(true);
    }
    // What others wrote has come here by another way.
    if let Some((heads, is_it)) = keeper.state.of(&document).and_then(|known| {
        let seen = known.seen.as_ref()?;
        Some((known.heads.clone(), seen.is_live && seen.fingerprint == found.fingerprint))
    }) && is_it
    {
        (file.heads, file.fingerprint, file.size, file.changed_ns) =
            (heads, found.fingerprint.clone(), found.size, found.changed_ns);
        taken.files.insert(document, Some(file));
        return Ok(true);
    }
    let Some(bytes) = bytes_of(keeper, found, report) else { return Ok(false) };
    // A text that becomes bytes, or bytes that become a text, are another file: whoever writes in the old one meanwhile keeps it.
    // So are bytes whose version is lost: put over what there is now, they would take its place.
    let is_text = content_of(&bytes).is_some();
    let is_another = match content_at(keeper, document, &file.heads)? {
        Some(was) => matches!(was, Content::Text(_)) != is_text || (!is_text && was.fingerprint() != file.fingerprint),
        None => !is_text,
    };
    if is_another {
        take_deletion(keeper, document, taken, report)?;
        take_new(keeper, found, taken, report)?;
        return Ok(true);
    }
    keeper.step()?;
    match commit(keeper, document, &file, &bytes, &mut taken.touched) {
        Ok(heads) => {
            (file.heads, file.fingerprint, file.size, file.changed_ns) =
                (heads, found.fingerprint.clone(), found.size, found.changed_ns);
            taken.files.insert(document, Some(file));
            report.did(Deed::Edited, &found.path, None);
            Ok(true)
        }
        Err(FolderError::Replica(RepoError::Refused(why))) => {
            report.refuse(&found.path, why);
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn take_deletion<S: Shelf>(
    keeper: &mut Keeper<S>,
    document: DocumentId,
    taken: &mut Taken,
    report: &mut Report,
) -> Result<(), FolderError> {
    let (Some(known), Some(file)) = (keeper.state.of(&document), file_now(keeper, document, taken)) else { return Ok(()) };
    if known.seen.as_ref().is_some_and(|seen| seen.is_live) {
        keeper.step()?;
        edit_at(keeper, document, &file.heads, record::deleted(&file.fingerprint, keeper.now.unix_ms))?;
        taken.touched.insert(document);
        report.did(Deed::Deleted, &file.local, None);
    }
    taken.files.insert(document, None);
    Ok(())
}

/// Gives notes that were made elsewhere a path, once their title has stopped changing.
fn name_notes<S: Shelf>(keeper: &mut Keeper<S>, taken: &mut Taken, report: &mut Report) -> Result<(), FolderError> {
    let unnamed = keeper.state.all().iter().filter_map(|(document, known)| {
        let seen = known.seen.as_ref().filter(|seen| seen.is_live && seen.path.is_none() && !seen.title.is_empty())?;
        Some((*document, seen.title.clone()))
    });
    for (document, title) in unnamed.collect::<Vec<_>>() {
        let name = format!("title of {document}");
        if !keeper.waiting.is_over(&name, &title, keeper.patience.titled, keeper.now.monotonic) {
            report.unsettled += 1;
            continue;
        }
        keeper.step()?;
        keeper.shelf.edit(document, None, record::named(&names::path_of_title(&title)))?;
        taken.touched.insert(document);
    }
    Ok(())
}

/// Gives bytes that were written beside others, and did not stay, a file of their own. Whoever does it makes the same.
fn keep_beaten<S: Shelf>(keeper: &mut Keeper<S>, taken: &mut Taken) -> Result<(), FolderError> {
    let beaten = keeper.state.all().iter().filter(|(_, known)| known.seen.as_ref().is_some_and(|seen| seen.has_beaten));
    for document in beaten.map(|(document, _)| *document).collect::<Vec<_>>() {
        let Some(record) = keeper.shelf.read(document, Record::read)?.flatten() else { continue };
        let path = record.path.clone().unwrap_or_else(|| names::path_of_title(&record.title));
        for blob in &record.beaten {
            let (folder, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
            let (stem, ending) = name.rfind('.').filter(|at| *at > 0).map_or((name, ""), |at| name.split_at(at));
            let name = format!("{stem} (other {}){ending}", blob.sha256.chars().take(6).collect::<String>());
            let path = names::safe_path(&if folder.is_empty() { name } else { format!("{folder}/{name}") });
            let names = keeper.shelf.names_of(&record::digest_of_copy(document, &blob.sha256))?;
            let held = names.iter().find(|name| keeper.state.of(name).is_some()).or(names.first());
            let Some(copy) = held.copied() else { continue };
            let held = keeper.shelf.read(copy, Record::read)?;
            let content = Content::Blob(blob.clone());
            if let Terms::Member(member) = keeper.terms {
                if held.flatten().is_none() {
                    keeper.step()?;
                    keeper.shelf.edit(copy, None, record::made_by(&member, &path, &content, keeper.now.unix_ms))?;
                    taken.touched.insert(copy);
                }
                continue;
            }
            if held.is_none()
                && let Ok(first) = record::first_version(copy, "", &content)
            {
                keeper.step()?;
                keeper.shelf.import(copy, first.save())?;
            }
            if held.flatten().is_none_or(|held| held.path.is_none()) {
                keeper.step()?;
                keeper.shelf.edit(copy, None, record::placed(&path, keeper.now.unix_ms))?;
                taken.touched.insert(copy);
            }
        }
        keeper.step()?;
        keeper.shelf.edit(document, Some(record.heads.clone()), record::affirmed(&record.content))?;
        taken.touched.insert(document);
    }
    Ok(())
}

/// The bytes of a file, if they are still what was found.
pub(super) fn bytes_of<S: Shelf>(keeper: &Keeper<S>, found: &Found, report: &mut Report) -> Option<Vec<u8>> {
    let bytes =
        keeper.root.read(&found.path, FILE_BYTES_MAX).ok().flatten().filter(|bytes| fingerprint(bytes) == found.fingerprint);
    if bytes.is_none() {
        report.unsettled += 1;
    }
    bytes
}

/// Commits that a file holds these bytes now, on the version that it was; answers the version that it is.
fn commit<S: Shelf>(
    keeper: &Keeper<S>,
    document: DocumentId,
    file: &InStep,
    bytes: &[u8],
    touched: &mut BTreeSet<DocumentId>,
) -> Result<Vec<ChangeHash>, FolderError> {
    let stamp = record::stamp(&file.fingerprint, &fingerprint(bytes));
    let (heads, stamped, was) = (file.heads.clone(), stamp.clone(), file.fingerprint.clone());
    let read = move |document: &Document| {
        let made = record::made_before(document, &heads, &stamped);
        let body = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        let content = Record::content_at(document, &heads);
        let was_blob = matches!(content, Some(Content::Blob(_)));
        // The version must be what the file was: otherwise what only the version has would be taken out.
        let is_it = content.is_some_and(|content| content.fingerprint() == was);
        let before = is_it.then(|| body(document.value_at(&heads, "body")));
        (made, before, body(document.value("body")), was_blob)
    };
    let Some((made, before, current, was_blob)) = keeper.shelf.read(document, read)? else {
        return Err(RepoError::Refused("its document is not held".to_owned()).into());
    };
    touched.insert(document);
    if let Some(made) = made {
        return Ok(vec![made]);
    }
    let now_ms = keeper.now.unix_ms;
    let edit = match content_in(keeper, bytes, touched)? {
        Content::Blob(blob) => record::replaced(&blob, now_ms, &stamp),
        Content::Text(text) => {
            let splices = match &before {
                Some(before) => text::splices(before, &text),
                // The version is lost, as after a backup was restored: what is here is put in, and nothing is taken out.
                None => text::additions(&current, &text),
            };
            record::edited(splices, was_blob, now_ms, &stamp)
        }
    };
    let made = match before {
        Some(_) => keeper.shelf.edit(document, Some(file.heads.clone()), edit)?,
        None => keeper.shelf.edit(document, None, edit)?,
    };
    Ok(made.map_or_else(|| file.heads.clone(), |hash| vec![hash]))
}

/// What a file held at a version; nothing when that is not held.
fn content_at<S: Shelf>(keeper: &Keeper<S>, document: DocumentId, heads: &[ChangeHash]) -> Result<Option<Content>, FolderError> {
    let heads = heads.to_vec();
    Ok(keeper.shelf.read(document, move |document| Record::content_at(document, &heads))?.flatten())
}

/// Makes an edit on a version, or on the document as it stands where that version is lost.
pub(super) fn edit_at<S: Shelf>(
    keeper: &Keeper<S>,
    document: DocumentId,
    heads: &[ChangeHash],
    edit: driftline_core::doc::edit::Edit,
) -> Result<Option<ChangeHash>, FolderError> {
    let wanted = heads.to_vec();
    let is_held = keeper.shelf.read(document, move |document| document.holds(&wanted))?;
    let heads = (is_held == Some(true)).then(|| heads.to_vec());
    Ok(keeper.shelf.edit(document, heads, edit)?)
}
