//! A file that is new in the folder becomes a document.
//!
//! In an open space the document is made of what the file is and holds, by nobody, so that two who have the same file make the same. In an
//! owned one a member makes it, under a name that was drawn: nothing can be learned from the name, and no two ever make one document
//! by two first changes, of which readers would see one.

use super::blob::{self, Blob};
use super::error::FolderError;
use super::keep::Keeper;
use super::limits::CHUNK_BYTES;
use super::names;
use super::record::{self, Content, Record};
use super::report::{Deed, Report};
use super::scan::Found;
use super::shelf::Shelf;
use super::state::InStep;
use super::take::{Taken, bytes_of, content_of, file_now};
use super::terms::Terms;
use crate::repo::RepoError;
use driftline_core::base::id::{ChangeHash, DocumentId, PeerId};
use driftline_core::doc::document::Document;
use std::collections::BTreeSet;

/// What a file that was found is once it is in step with a version.
pub(super) fn in_step(found: &Found, heads: Vec<ChangeHash>) -> InStep {
    InStep {
        local: found.path.clone(),
        heads,
        fingerprint: found.fingerprint.clone(),
        size: found.size,
        changed_ns: found.changed_ns,
    }
}

/// Takes a new file for that of a document which has this name, holds this and has no file here yet. Answers whether there is one.
pub(super) fn adopt<S: Shelf>(keeper: &Keeper<S>, found: &Found, taken: &mut Taken) -> bool {
    let safe = names::safe_path(&found.path);
    let named = [&found.path, &safe].into_iter().find_map(|path| taken.named.get(path)).copied();
    let Some(document) = named.filter(|document| file_now(keeper, *document, taken).is_none()) else { return false };
    let Some(known) = keeper.state.of(&document) else { return false };
    let is_it = known.seen.as_ref().is_some_and(|seen| seen.is_live && seen.fingerprint == found.fingerprint);
    if is_it {
        taken.files.insert(document, Some(in_step(found, known.heads.clone())));
    }
    is_it
}

/// Takes a new file in.
pub(super) fn take_new<S: Shelf>(
    keeper: &mut Keeper<S>,
    found: &Found,
    taken: &mut Taken,
    report: &mut Report,
) -> Result<(), FolderError> {
    if adopt(keeper, found, taken) {
        return Ok(());
    }
    let Some(bytes) = bytes_of(keeper, found, report) else { return Ok(()) };
    let path = names::safe_path(&found.path);
    let content = content_in(keeper, &bytes, &mut taken.touched)?;
    match keeper.terms {
        Terms::Member(member) => make_as(&member, keeper, found, &path, &content, taken, report),
        _ => make_of_itself(keeper, found, &path, &content, taken, report),
    }
}

/// Makes the document of a file as a member.
fn make_as<S: Shelf>(
    member: &PeerId,
    keeper: &mut Keeper<S>,
    found: &Found,
    path: &str,
    content: &Content,
    taken: &mut Taken,
    report: &mut Report,
) -> Result<(), FolderError> {
    keeper.step()?;
    // Deleted as it was, it is there again.
    let deleted = taken.deleted.remove(&(path.to_owned(), found.fingerprint.clone()));
    let deleted = deleted.filter(|document| file_now(keeper, *document, taken).is_none());
    let (document, heads) = match deleted.and_then(|document| Some((document, keeper.state.of(&document)?.heads.clone()))) {
        Some((document, heads)) => {
            keeper.shelf.edit(document, None, record::revived())?;
            (document, heads)
        }
        None => {
            let document = keeper.shelf.new_name();
            let edit = record::made_by(member, path, content, keeper.now.unix_ms);
            match keeper.shelf.edit(document, None, edit) {
                Ok(made) => (document, made.into_iter().collect()),
                Err(RepoError::Refused(why)) => {
                    report.refuse(&found.path, why);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    };
    taken.touched.insert(document);
    taken.files.insert(document, Some(in_step(found, heads)));
    report.did(Deed::Added, &found.path, None);
    Ok(())
}

/// Makes the document of a file of what the file is.
fn make_of_itself<S: Shelf>(
    keeper: &mut Keeper<S>,
    found: &Found,
    path: &str,
    content: &Content,
    taken: &mut Taken,
    report: &mut Report,
) -> Result<(), FolderError> {
    for turn in 0.. {
        let document = record::id_of_file(path, &found.fingerprint, turn);
        if file_now(keeper, document, taken).is_some() {
            continue;
        }
        let first = match record::first_version(document, path, content) {
            Ok(first) => first,
            Err(error) => {
                report.refuse(&found.path, error.to_string());
                return Ok(());
            }
        };
        let begins = first.heads();
        let at = begins.clone();
        let read = move |document: &Document| (document.holds(&at), document.heads(), Record::read(document));
        let mut heads = begins;
        match keeper.shelf.read(document, read)? {
            Some((false, ..)) | Some((_, _, None)) => continue,
            Some((true, now, Some(there))) if !there.is_live => {
                // Deleted as it was: it is there again. Deleted after it was edited, that one is another.
                if there.content.fingerprint() != found.fingerprint {
                    continue;
                }
                keeper.step()?;
                keeper.shelf.edit(document, None, record::revived())?;
                heads = now;
            }
            // Made by someone who has the same file, or by this folder before it could remember it.
            Some((true, _, Some(there))) if there.created < i64::MAX => {}
            there => {
                keeper.step()?;
                if there.is_none() {
                    keeper.shelf.import(document, first.save())?;
                }
                keeper.step()?;
                if let Some(hash) = keeper.shelf.edit(document, Some(heads.clone()), record::begun(keeper.now.unix_ms))? {
                    heads = vec![hash];
                }
            }
        }
        taken.touched.insert(document);
        taken.files.insert(document, Some(in_step(found, heads)));
        report.did(Deed::Added, &found.path, None);
        return Ok(());
    }
    Ok(())
}

/// What bytes are in a document; the pieces of what is no text are put on the shelf.
pub(super) fn content_in<S: Shelf>(
    keeper: &Keeper<S>,
    bytes: &[u8],
    touched: &mut BTreeSet<DocumentId>,
) -> Result<Content, FolderError> {
    if let Some(text) = content_of(bytes) {
        return Ok(Content::Text(text));
    }
    let mut chunks = Vec::new();
    for piece in bytes.chunks(CHUNK_BYTES) {
        let chunk = put_piece(keeper, piece, touched)?;
        touched.insert(chunk);
        chunks.push(chunk);
    }
    Ok(Content::Blob(Blob::of(bytes, chunks)))
}

/// Sees to it that a piece is on the shelf; answers under which name.
fn put_piece<S: Shelf>(keeper: &Keeper<S>, piece: &[u8], touched: &BTreeSet<DocumentId>) -> Result<DocumentId, FolderError> {
    let names = keeper.shelf.names_of(&blob::digest_of_chunk(piece))?;
    for name in names.iter().filter(|name| touched.contains(name) || keeper.state.of(name).is_some()) {
        if matches!(blob::read_chunk(&keeper.shelf, *name)?, Some(Ok(_))) {
            return Ok(*name);
        }
    }
    let Some(name) = names.first().copied() else {
        return Err(RepoError::Refused("the key that names the pieces of files is not here yet".to_owned()).into());
    };
    keeper.step()?;
    match keeper.terms {
        Terms::Member(_) => {
            keeper.shelf.edit(name, None, blob::put_chunk(piece))?;
        }
        _ => {
            let made = blob::chunk(piece).map_err(RepoError::from)?;
            keeper.shelf.import(name, made.save())?;
        }
    }
    Ok(name)
}
