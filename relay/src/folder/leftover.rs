//! Files that a write has left beside their places because the process ended: each is put right before anything else.

use super::error::FolderError;
use super::keep::Keeper;
use super::names::TEMPORARY;
use super::record::fingerprint;
use super::scan::Scan;
use super::shelf::Shelf;
use super::state::Known;
use super::take;
use driftline_core::base::id::DocumentId;

/// What a file that was left behind is.
enum Leftover {
    /// New text that never came to its place, or old text that has left it.
    Spent,
    /// What was taken out of its place to be removed.
    Removed,
    /// What someone wrote in the last moment.
    Words,
}

/// Puts right what was left behind.
pub(crate) fn clear<S: Shelf>(keeper: &mut Keeper<S>, scan: &Scan) -> Result<(), FolderError> {
    for path in &scan.left_behind {
        let place = keeper.root.at(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        let document = name.strip_prefix(TEMPORARY).and_then(|rest| rest.split('~').next()?.split('.').next()?.parse().ok());
        let Some(document): Option<DocumentId> = document else { continue };
        let Ok(Some(bytes)) = keeper.root.read(path, super::limits::FILE_BYTES_MAX) else { continue };
        let Some(known) = keeper.state.of(&document).cloned() else { continue };
        keeper.step()?;
        match what_it_is(&known, &bytes, scan) {
            Leftover::Spent => std::fs::remove_file(&place).map_err(FolderError::disk(&place))?,
            Leftover::Removed => {
                if let Some(file) = &known.file {
                    // Back to its place: what is to become of it is seen there.
                    keeper.root.rename(path, &file.local).map_err(FolderError::disk(&place))?;
                }
            }
            Leftover::Words => {
                if let Some(file) = &known.file {
                    take::take_instead(keeper, document, file, &bytes)?;
                    std::fs::remove_file(&place).map_err(FolderError::disk(&place))?;
                }
            }
        }
    }
    Ok(())
}

fn what_it_is(known: &Known, bytes: &[u8], scan: &Scan) -> Leftover {
    let found = fingerprint(bytes);
    let Some(file) = &known.file else { return Leftover::Spent };
    let is_new = known.writing.as_ref().is_some_and(|writing| writing.fingerprint == found);
    match scan.files.get(&file.local) {
        None if known.writing.is_none() => Leftover::Removed,
        None => Leftover::Spent,
        Some(there) if there.fingerprint == file.fingerprint => Leftover::Spent,
        _ if is_new || found == file.fingerprint => Leftover::Spent,
        _ => Leftover::Words,
    }
}
