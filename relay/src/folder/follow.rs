//! What is done in a folder from which nothing is taken: it stays there, and is said.
//!
//! Who may only read keeps their edits and gets what others write in files that they have not touched. Nothing of theirs is written
//! over, and none of it goes into a document, where it would wait for a permission that may never come.

use super::compare::Local;
use super::fresh::{adopt, in_step};
use super::keep::{Keeper, is_called};
use super::report::{Deed, Report};
use super::scan::Found;
use super::shelf::Shelf;
use super::take::Taken;
use super::terms::Terms;
use driftline_core::base::id::DocumentId;
use std::collections::BTreeSet;

/// Finds out what stays here; answers the documents whose files are to be left alone.
pub(super) fn follow<S: Shelf>(keeper: &Keeper<S>, local: Local, taken: &mut Taken, report: &mut Report) -> BTreeSet<DocumentId> {
    let mut busy = local.busy;
    let is_closed = matches!(keeper.terms, Terms::Closed(_)) && !keeper.holds_back;
    let mut stays = |path: &str| match &keeper.terms {
        Terms::Closed(why) if is_closed => report.refuse(path, format!("it stays as it is here, and here alone: {why}")),
        Terms::Waiting(why) if !keeper.holds_back => report.refuse(path, format!("it is not taken yet: {why}")),
        // It is asked again soon.
        _ => report.unsettled += 1,
    };
    for (document, found) in local.renamed {
        let is_told = taken.wanted.get(&document).is_some_and(|wanted| is_called(&found.path, wanted));
        if !(is_told && is_as_told(keeper, document, &found, taken)) {
            stays(&found.path);
            busy.insert(document);
        }
    }
    for (document, found) in local.edited {
        if local.lost.contains(&document) || !is_as_told(keeper, document, &found, taken) {
            stays(&found.path);
            busy.insert(document);
        }
    }
    for document in local.gone {
        let is_live = keeper.state.of(&document).and_then(|known| known.seen.as_ref()).is_some_and(|seen| seen.is_live);
        match keeper.state.file_of(&document).filter(|_| is_live && !is_closed) {
            Some(file) => {
                stays(&file.local);
                busy.insert(document);
            }
            // It comes back: so whoever may only read gets rid of what they have done to it.
            None => drop(taken.files.insert(document, None)),
        }
    }
    for found in local.fresh {
        if !adopt(keeper, &found, taken) {
            stays(&found.path);
        }
    }
    for document in local.let_go {
        if let Some(file) = keeper.state.file_of(&document) {
            report.did(Deed::LetGo, &file.local, None);
            taken.files.insert(document, None);
        }
    }
    busy
}

/// Whether a file holds what its document says: then it is in step, however it came to be.
fn is_as_told<S: Shelf>(keeper: &Keeper<S>, document: DocumentId, found: &Found, taken: &mut Taken) -> bool {
    let told = keeper
        .state
        .of(&document)
        .filter(|known| known.seen.as_ref().is_some_and(|seen| seen.is_live && seen.fingerprint == found.fingerprint));
    let Some(known) = told else { return false };
    taken.files.insert(document, Some(in_step(found, known.heads.clone())));
    true
}
