//! Documents that several members have made of one file become one.
//!
//! Two who begin with the same folder and have not heard of each other make a document of each file twice. Both are seen, side by side, so
//! nothing that is written in either is hidden. Every one says what it was made of, and those that were made of the same file and are
//! in the same place are *twins*. One of them stays: the one with the lowest id of those in which someone has written since, or of all
//! where nobody has. The others are deleted, as a file is: whoever writes in one without having heard of it brings it back.
//!
//! * One in which nobody has written is deleted by its maker, and by anyone else a while later: however many do, it is deleted once.
//! * One in which someone has is deleted by its maker alone, who before that makes the same edits in the one that stays. If everyone
//!   did, the words would stand there several times. Where its maker never comes back two files stay, and people see it.
//! * Bytes that were written over in both are two files, as they are when two do so in one document.

use super::error::FolderError;
use super::keep::Keeper;
use super::record::{self, Content, Origin, Record, fingerprint};
use super::report::Report;
use super::shelf::Shelf;
use super::state::InStep;
use super::take::{Taken, edit_at, file_now};
use super::terms::Terms;
use super::text;
use driftline_core::base::id::{ChangeHash, DocumentId};
use driftline_core::doc::document::Document;
use std::collections::{BTreeMap, BTreeSet};

/// One of several documents of a file.
struct Twin {
    document: DocumentId,
    origin: Origin,
    /// The version of it that was looked at.
    heads: Vec<ChangeHash>,
    /// What it holds.
    fingerprint: String,
}

impl Twin {
    fn is_changed(&self) -> bool {
        self.fingerprint != self.origin.sha256
    }
}

/// Makes one of each file of which several documents were made; where that has to wait, all of them are left alone.
pub(super) fn fold<S: Shelf>(
    keeper: &mut Keeper<S>,
    busy: &mut BTreeSet<DocumentId>,
    taken: &mut Taken,
    report: &mut Report,
) -> Result<(), FolderError> {
    let Terms::Member(own) = keeper.terms else { return Ok(()) };
    let own = own.to_string();
    for twins in all_twins(keeper) {
        // What was taken from the folder just now is looked at in the next pass.
        let is_new = |twin: &Twin| taken.touched.contains(&twin.document) || busy.contains(&twin.document);
        if twins.iter().any(is_new) {
            busy.extend(twins.iter().map(|twin| twin.document));
            report.unsettled += 1;
            continue;
        }
        let at = twins.iter().position(Twin::is_changed).unwrap_or(0);
        let stays = &twins[at];
        for other in twins.iter().filter(|twin| twin.document != stays.document) {
            let is_own = other.origin.by == own;
            if other.is_changed() {
                if is_own && carry_over(keeper, other, stays, taken)? {
                    delete(keeper, other, taken)?;
                }
                continue;
            }
            let name = format!("twin {}", other.document);
            let patience = if is_own { std::time::Duration::ZERO } else { keeper.patience.titled };
            if !keeper.waiting.is_over(&name, &other.fingerprint, patience, keeper.now.monotonic) {
                busy.extend([other.document, stays.document]);
                report.unsettled += 1;
                continue;
            }
            let begun = beginning_of(keeper, stays)?;
            hand_over(keeper, other, stays, begun.into_iter().collect(), taken);
            delete(keeper, other, taken)?;
        }
    }
    Ok(())
}

/// Documents that are live, were made of the same file and are in the same place, in the order of their ids.
fn all_twins<S: Shelf>(keeper: &Keeper<S>) -> Vec<Vec<Twin>> {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<Twin>> = BTreeMap::new();
    for (document, known) in keeper.state.all() {
        let Some(seen) = known.seen.as_ref().filter(|seen| seen.is_live) else { continue };
        let (Some(path), Some(origin)) = (&seen.path, &seen.origin) else { continue };
        let (heads, fingerprint) = (known.heads.clone(), seen.fingerprint.clone());
        let twin = Twin { document: *document, origin: origin.clone(), heads, fingerprint };
        groups.entry((path, &origin.path, &origin.sha256)).or_default().push(twin);
    }
    groups.into_values().filter(|twins| twins.len() > 1).collect()
}

fn beginning_of<S: Shelf>(keeper: &Keeper<S>, twin: &Twin) -> Result<Option<ChangeHash>, FolderError> {
    let origin = twin.origin.clone();
    Ok(keeper.shelf.read(twin.document, move |document| record::beginning(document, &origin))?.flatten())
}

/// The file of one that goes is that of the one that stays, if it holds what that held at `heads`.
fn hand_over<S: Shelf>(keeper: &Keeper<S>, other: &Twin, stays: &Twin, heads: Vec<ChangeHash>, taken: &mut Taken) {
    let file = file_now(keeper, other.document, taken).filter(|file| file.fingerprint == other.fingerprint);
    if let Some(file) = file.filter(|_| !heads.is_empty() && file_now(keeper, stays.document, taken).is_none()) {
        taken.files.insert(stays.document, Some(InStep { heads, ..file }));
        taken.files.insert(other.document, None);
    }
}

/// Deletes one that goes, as it was looked at: what was written in it beside that brings it back.
fn delete<S: Shelf>(keeper: &Keeper<S>, other: &Twin, taken: &mut Taken) -> Result<(), FolderError> {
    keeper.step()?;
    edit_at(keeper, other.document, &other.heads, record::deleted(&other.fingerprint, keeper.now.unix_ms))?;
    taken.touched.insert(other.document);
    Ok(())
}

/// What carrying over goes on from: a version of the document that stays, and what it holds.
struct Base {
    heads: ChangeHash,
    text: String,
}

/// Makes in the one that stays, durably, what was written in another; answers whether that is done.
fn carry_over<S: Shelf>(keeper: &Keeper<S>, other: &Twin, stays: &Twin, taken: &mut Taken) -> Result<bool, FolderError> {
    let heads = other.heads.clone();
    let written = keeper.shelf.read(other.document, move |document| Record::content_at(document, &heads))?.flatten();
    let Some(Content::Text(written)) = written else { return Ok(false) };
    let stamp = format!("carried {}", other.document);
    let (origin, stamped) = (stays.origin.clone(), stamp.clone());
    let base = keeper.shelf.read(stays.document, move |document| base_of(document, &origin, &stamped))?.flatten();
    let Some(base) = base else { return Ok(false) };
    let mut made = base.heads;
    if base.text != written {
        keeper.step()?;
        let edit = record::edited(text::splices(&base.text, &written), false, keeper.now.unix_ms, &stamp);
        made = keeper.shelf.edit(stays.document, Some(vec![base.heads]), edit)?.unwrap_or(base.heads);
    }
    // Before the other goes, this must be there: a process that ends in between does it once more, and makes no difference.
    keeper.step()?;
    keeper.shelf.settle(&BTreeSet::from([stays.document]))?;
    debug_assert_eq!(fingerprint(written.as_bytes()), other.fingerprint, "it was looked at in this pass");
    hand_over(keeper, other, stays, vec![made], taken);
    Ok(true)
}

/// What was carried over last, or what the document was made of.
fn base_of(document: &Document, origin: &Origin, stamp: &str) -> Option<Base> {
    let carried = document.history(usize::MAX).into_iter().rev().find(|change| change.message.as_deref() == Some(stamp));
    let heads = carried.map(|change| change.hash).or_else(|| record::beginning(document, origin))?;
    match Record::content_at(document, &[heads])? {
        Content::Text(text) => Some(Base { heads, text }),
        Content::Blob(_) => None,
    }
}
