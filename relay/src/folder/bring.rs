//! What the documents say becomes what the folder holds.
//!
//! First files are removed, then moved, then written, so that names are free when they are needed. Where anything stands
//! that was not expected, nothing is done: the next look takes it for what someone did.

use super::blob::{self, Refusal};
use super::error::FolderError;
use super::ignored::Ignored;
use super::keep::{Keeper, is_called};
use super::names;
use super::record::{Content, Record, fingerprint};
use super::report::{Deed, Report};
use super::scan;
use super::shelf::Shelf;
use super::state::{InStep, Writing};
use super::take;
use super::write::Written;
use driftline_core::base::id::{ChangeHash, DocumentId};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Files whose writing is noted, done and remembered together.
const TOGETHER_MAX: usize = 64;
/// Bytes of them.
const TOGETHER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A file to be written.
struct Due {
    document: DocumentId,
    path: String,
    heads: Vec<ChangeHash>,
    bytes: Vec<u8>,
}

/// Makes the folder say what the documents say, but for files that are busy.
pub(crate) fn bring<S: Shelf>(
    keeper: &mut Keeper<S>,
    busy: &BTreeSet<DocumentId>,
    ignored: &Ignored,
    report: &mut Report,
) -> Result<(), FolderError> {
    let wanted = keeper.wanted();
    let mut touched = BTreeSet::new();
    remove_deleted(keeper, &wanted, busy, report, &mut touched)?;
    move_renamed(keeper, &wanted, busy, ignored, report, &mut touched)?;
    write_changed(keeper, &wanted, busy, ignored, report, &mut touched)?;
    for path in &touched {
        keeper.root.sync_folder_of(path).map_err(FolderError::disk(&keeper.root.at(path)))?;
    }
    Ok(())
}

/// What is wrong with one file is said of that file; the others go on.
fn about<R>(path: &str, done: io::Result<R>, report: &mut Report) -> Option<R> {
    done.map_err(|error| report.refuse(path, error.to_string())).ok()
}

fn remove_deleted<S: Shelf>(
    keeper: &mut Keeper<S>,
    wanted: &BTreeMap<DocumentId, String>,
    busy: &BTreeSet<DocumentId>,
    report: &mut Report,
    touched: &mut BTreeSet<String>,
) -> Result<(), FolderError> {
    let is_deleted = |document: &DocumentId| !wanted.contains_key(document) && !busy.contains(document);
    let deleted = keeper.state.all().iter().filter(|(document, known)| known.seen.is_some() && is_deleted(document));
    let deleted: Vec<(DocumentId, InStep)> =
        deleted.filter_map(|(document, known)| Some((*document, known.file.clone()?))).collect();
    for (document, file) in deleted {
        keeper.step()?;
        let mark = document.to_string();
        let removed = keeper.root.remove(&file.local, &file.fingerprint, &mark);
        match about(&file.local, removed, report) {
            None => continue,
            Some(Written::Occupied) => {
                report.unsettled += 1;
                continue;
            }
            Some(Written::Done) => {}
            Some(Written::Instead(bytes)) => {
                take::take_instead(keeper, document, &file, &bytes)?;
                forget(keeper, &file.local, &mark)?;
            }
        }
        report.did(Deed::Removed, &file.local, None);
        touched.insert(file.local);
        keeper.state.change(document).file = None;
    }
    Ok(())
}

fn move_renamed<S: Shelf>(
    keeper: &mut Keeper<S>,
    wanted: &BTreeMap<DocumentId, String>,
    busy: &BTreeSet<DocumentId>,
    ignored: &Ignored,
    report: &mut Report,
    touched: &mut BTreeSet<String>,
) -> Result<(), FolderError> {
    let mut moves: Vec<(DocumentId, InStep, String)> = Vec::new();
    for (document, to) in wanted.iter().filter(|(document, to)| !busy.contains(document) && !ignored.is_file_ignored(to)) {
        if let Some(file) = keeper.state.file_of(document).filter(|file| !is_called(&file.local, to)) {
            moves.push((*document, file.clone(), to.clone()));
        }
    }
    for (document, file, to) in &moves {
        note(keeper, *document, to, &file.heads, &file.fingerprint);
    }
    if !moves.is_empty() {
        keeper.step()?;
        keeper.state.keep()?;
    }
    while !moves.is_empty() {
        let places: BTreeSet<String> = moves.iter().map(|(_, file, _)| file.local.clone()).collect();
        // A file that is in the way may also be where a folder is to be.
        let is_taken = |to: &str| places.contains(to) || to.match_indices('/').any(|(at, _)| places.contains(&to[..at]));
        let (waiting, free): (Vec<_>, Vec<_>) = moves.into_iter().partition(|(_, _, to)| is_taken(to));
        let is_round = free.is_empty();
        for (document, file, to) in free {
            move_file(keeper, document, &file, &to, report, touched)?;
        }
        moves = waiting;
        if is_round && let Some((document, mut file, to)) = moves.pop() {
            // They want each other's places: one steps aside, and goes on from there.
            let aside = names::marked(&file.local, document, usize::MAX);
            note(keeper, document, &aside, &file.heads, &file.fingerprint);
            keeper.state.keep()?;
            if move_file(keeper, document, &file, &aside, report, touched)? {
                file.local = aside;
                note(keeper, document, &to, &file.heads, &file.fingerprint);
                keeper.state.keep()?;
                moves.push((document, file, to));
            }
        }
    }
    Ok(())
}

/// Answers whether it was moved.
fn move_file<S: Shelf>(
    keeper: &mut Keeper<S>,
    document: DocumentId,
    file: &InStep,
    to: &str,
    report: &mut Report,
    touched: &mut BTreeSet<String>,
) -> Result<bool, FolderError> {
    keeper.step()?;
    let moved = keeper.root.rename(&file.local, to);
    let is_moved = match about(to, moved, report) {
        Some(Written::Done) => true,
        Some(_) => {
            report.refuse(to, "something else has this name here");
            false
        }
        None => false,
    };
    keeper.step()?;
    let known = keeper.state.change(document);
    known.writing = None;
    if is_moved {
        known.file = Some(InStep { local: to.to_owned(), ..file.clone() });
        report.did(Deed::Moved, to, Some(&file.local));
        touched.extend([to.to_owned(), file.local.clone()]);
    }
    Ok(is_moved)
}

fn write_changed<S: Shelf>(
    keeper: &mut Keeper<S>,
    wanted: &BTreeMap<DocumentId, String>,
    busy: &BTreeSet<DocumentId>,
    ignored: &Ignored,
    report: &mut Report,
    touched: &mut BTreeSet<String>,
) -> Result<(), FolderError> {
    let changed: Vec<(DocumentId, String)> = wanted
        .iter()
        .filter(|(document, path)| !busy.contains(document) && !ignored.is_file_ignored(path))
        .filter(|(document, _)| {
            keeper.state.of(document).is_some_and(|known| {
                let says = known.seen.as_ref().map(|seen| &seen.fingerprint);
                known.file.as_ref().is_none_or(|file| file.heads != known.heads || Some(&file.fingerprint) != says)
            })
        })
        .map(|(document, path)| (*document, path.clone()))
        .collect();
    let all = changed.len();
    let mut due: Vec<Due> = Vec::new();
    for (at, (document, path)) in changed.into_iter().enumerate() {
        if let Some(next) = what_is_due(keeper, document, path, report)? {
            due.push(next);
        }
        if due.len() >= TOGETHER_MAX || due.iter().map(|due| due.bytes.len()).sum::<usize>() >= TOGETHER_BYTES_MAX {
            write_together(keeper, std::mem::take(&mut due), report, touched)?;
        }
        keeper.progress(at + 1, all);
    }
    write_together(keeper, due, report, touched)
}

/// What is to be written for a document; nothing when the file holds it already, or when it has not all come.
fn what_is_due<S: Shelf>(
    keeper: &mut Keeper<S>,
    document: DocumentId,
    path: String,
    report: &mut Report,
) -> Result<Option<Due>, FolderError> {
    let Some(record) = keeper.shelf.read(document, Record::read)?.flatten().filter(|record| record.is_live) else {
        return Ok(None);
    };
    let heads = record.heads;
    if let Some(file) = keeper.state.file_of(&document).filter(|file| file.fingerprint == record.content.fingerprint()).cloned() {
        keeper.state.change(document).file = Some(InStep { heads, ..file });
        return Ok(None);
    }
    let path = keeper.state.file_of(&document).map_or(path, |file| file.local.clone());
    let bytes = match record.content {
        Content::Text(text) => text.into_bytes(),
        Content::Blob(blob) => {
            let mut bytes = Vec::new();
            for chunk in &blob.chunks {
                match blob::read_chunk(&keeper.shelf, *chunk)? {
                    Some(Ok(piece)) => bytes.extend(piece),
                    None => {
                        report.incomplete += 1;
                        return Ok(None);
                    }
                    Some(Err(refusal)) => return refuse_blob(&path, &refusal, report),
                }
            }
            match blob.check(&bytes) {
                Ok(()) => bytes,
                Err(refusal) => return refuse_blob(&path, &refusal, report),
            }
        }
    };
    Ok(Some(Due { document, path, heads, bytes }))
}

fn refuse_blob(path: &str, refusal: &Refusal, report: &mut Report) -> Result<Option<Due>, FolderError> {
    report.forged += 1;
    report.refuse(
        path,
        match refusal {
            Refusal::Chunk(chunk) => format!("a piece of it, {chunk}, is not what its name says; it is not written"),
            Refusal::Whole => "its pieces are not what its document says; it is not written".to_owned(),
        },
    );
    Ok(None)
}

fn write_together<S: Shelf>(
    keeper: &mut Keeper<S>,
    due: Vec<Due>,
    report: &mut Report,
    touched: &mut BTreeSet<String>,
) -> Result<(), FolderError> {
    if due.is_empty() {
        return Ok(());
    }
    for Due { document, path, heads, bytes } in &due {
        note(keeper, *document, path, heads, &fingerprint(bytes));
    }
    keeper.step()?;
    keeper.state.keep()?;
    for Due { document, path, heads, bytes } in due {
        keeper.step()?;
        let mark = document.to_string();
        let before = keeper.state.file_of(&document).cloned();
        let written = match &before {
            Some(file) => keeper.root.write_over(&path, &bytes, &file.fingerprint, &mark),
            None => keeper.root.write_new(&path, &bytes, &mark),
        };
        keeper.step()?;
        let written = about(&path, written, report);
        if matches!(written, None | Some(Written::Occupied)) {
            // As it was: the next look tells what stands there.
            keeper.state.change(document).writing = None;
            if before.is_none() && written.is_some() {
                report.refuse(&path, "something else has this name here");
            }
            report.unsettled += usize::from(before.is_some());
            continue;
        }
        if let (Some(Written::Instead(meanwhile)), Some(file)) = (&written, &before) {
            take::take_instead(keeper, document, file, meanwhile)?;
            forget(keeper, &path, &mark)?;
        }
        let about = std::fs::symlink_metadata(keeper.root.at(&path)).ok();
        let file = InStep {
            local: path.clone(),
            heads,
            fingerprint: fingerprint(&bytes),
            size: bytes.len() as u64,
            changed_ns: about.as_ref().and_then(scan::changed_ns),
        };
        let known = keeper.state.change(document);
        (known.file, known.writing) = (Some(file), None);
        report.did(if before.is_some() { Deed::Merged } else { Deed::Written }, &path, None);
        touched.insert(path);
    }
    Ok(())
}

fn note<S: Shelf>(keeper: &mut Keeper<S>, document: DocumentId, local: &str, heads: &[ChangeHash], fingerprint: &str) {
    let writing = Writing { local: local.to_owned(), heads: heads.to_vec(), fingerprint: fingerprint.to_owned() };
    keeper.state.change(document).writing = Some(writing);
}

fn forget<S: Shelf>(keeper: &Keeper<S>, path: &str, mark: &str) -> Result<(), FolderError> {
    keeper.root.forget_beside(path, mark).map_err(FolderError::disk(&keeper.root.at(path)))
}
