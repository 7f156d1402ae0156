//! Taking in Automerge files: another program's document, with its history.

use super::census::Census;
use super::change::{entry_from_payload, entry_of_change};
use super::document::{ChangeError, Document};
use super::raw::{Chunk, DOCUMENT_CHUNK};
use super::raw_document::RawDocument;
use crate::base::codec::Reader;
use crate::base::id::{ChangeHash, DocumentId};
use crate::base::limits::IMPORT_BYTES_MAX;
use crate::log::entry::Entry;
use automerge::Automerge;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Document {
    /// Takes in all changes of an Automerge file (or of several, one after the other) that are not held yet, and answers them
    /// in an order in which each comes after those it was made on.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotAutomerge`], [`ChangeError::TooLarge`] or [`ChangeError::Refused`]; nothing is taken in then.
    pub fn import(&mut self, automerge: &[u8]) -> Result<Vec<Entry>, ChangeError> {
        if automerge.len() > IMPORT_BYTES_MAX {
            return Err(ChangeError::TooLarge { path: root() });
        }
        let mut found: BTreeMap<ChangeHash, Entry> = BTreeMap::new();
        let mut order = Vec::new();
        for entry in changes_of_file(self.id(), automerge)? {
            if entry.payload.len() > self.entry_bytes_max {
                return Err(ChangeError::TooLarge { path: root() });
            }
            if !self.holds(&[entry.hash]) {
                order.push(entry.hash);
                found.entry(entry.hash).or_insert(entry);
            }
        }
        let entries = in_causal_order(&order, found);
        // On a copy: a change that does not fit must leave nothing of those before it behind.
        let before = (self.crdt.clone(), self.census.clone());
        match self.apply(entries.iter().cloned().map(Arc::new)) {
            Ok(()) => Ok(entries),
            Err(error) => {
                (self.crdt, self.census) = before;
                Err(ChangeError::Refused { path: root(), reason: error.to_string() })
            }
        }
    }
}

/// The changes in a file of Automerge's (or in several, one after the other) as entries of `document`, in the order of the file.
pub(super) fn changes_of_file(document: DocumentId, automerge: &[u8]) -> Result<Vec<Entry>, ChangeError> {
    let mut entries = Vec::new();
    let mut reader = Reader::new(automerge);
    while reader.remaining() > 0 {
        let start = automerge.len() - reader.remaining();
        let chunk = Chunk::read(&mut reader)?;
        let bytes = &automerge[start..automerge.len() - reader.remaining()];
        match chunk.kind {
            DOCUMENT_CHUNK => entries.append(&mut changes_of_document(document, &chunk, bytes)?),
            _ => entries.push(entry_from_payload(document, bytes.into())?),
        }
    }
    Ok(entries)
}

/// The changes that a whole document in Automerge's compact encoding stands for.
fn changes_of_document(document: DocumentId, chunk: &Chunk<'_>, bytes: &[u8]) -> Result<Vec<Entry>, ChangeError> {
    Census::of_document(&RawDocument::of_chunk(chunk)?).map_err(|reason| not_automerge(reason.to_owned()))?;
    // Automerge panics on some documents whose checksum fits and which are forged (tests make some). Nothing of ours is touched
    // meanwhile, so such a file costs no more than its refusal; except in a browser, where a panic ends the worker, but where it
    // is the user's own doing, and nothing is lost either.
    let loaded = std::panic::catch_unwind(|| Automerge::load(bytes).map(|file| file.get_changes(&[])));
    let changes = match loaded {
        Ok(Ok(changes)) => changes,
        Ok(Err(error)) => return Err(not_automerge(error.to_string())),
        Err(_) => return Err(not_automerge("its parts contradict each other".to_owned())),
    };
    changes
        .into_iter()
        .map(|change| {
            let entry = entry_of_change(document, change)?;
            Ok(entry_from_payload(document, entry.payload)?)
        })
        .collect()
}

fn not_automerge(reason: String) -> ChangeError {
    ChangeError::NotAutomerge { reason }
}

fn root() -> String {
    "the root".to_owned()
}

/// The entries so that each comes after those it depends on, and otherwise in `order`. Those whose dependencies are neither among them
/// nor before them come where they stand.
pub(super) fn in_causal_order(order: &[ChangeHash], mut found: BTreeMap<ChangeHash, Entry>) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(found.len());
    for hash in order {
        let mut wanted = vec![*hash];
        while let Some(next) = wanted.last().copied() {
            let missing = found.get(&next).and_then(|entry| entry.deps.iter().find(|dep| found.contains_key(dep)).copied());
            match missing {
                Some(dep) => wanted.push(dep),
                None => {
                    wanted.pop();
                    entries.extend(found.remove(&next));
                }
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{ActorId, DocumentId};
    use crate::doc::value::{TextUnit, Value};

    fn document(actor: u8) -> Document {
        Document::new(DocumentId([actor; 16]), ActorId::new(&[actor]).unwrap(), TextUnit::CodePoint)
    }

    #[test]
    fn a_saved_document_is_taken_in_once_with_its_history() {
        let mut saved = document(1);
        saved.change(Some("begin"), 0, |tx| tx.put("title", "Tides")).unwrap();
        saved.change(None, 0, |tx| tx.splice("title", 0, 0, "Spring ")).unwrap();
        let file = saved.save();

        let mut other = document(2);
        other.change(None, 0, |tx| tx.put("own", 1)).unwrap();
        let entries = other.import(&file).unwrap();
        assert_eq!(entries.len(), 2);
        assert!(entries.iter().all(|entry| entry.document == other.id()));
        assert_eq!(entries[1].deps, [entries[0].hash]);
        assert_eq!(other.text("title").as_deref(), Some("Spring Tides"));
        assert_eq!(other.value("own"), Some(Value::Int(1)));
        assert_eq!(other.import(&file).unwrap(), [], "what is held is not taken in again");
    }

    #[test]
    fn what_does_not_fit_leaves_nothing_behind() {
        let mut file = document(1);
        file.change(None, 0, |tx| tx.put("a", 1)).unwrap();
        // Another history of the same actor: its first change is not the first change held.
        let mut same_actor = document(1);
        same_actor.change(None, 0, |tx| tx.put("b", 2)).unwrap();
        let heads = same_actor.heads();
        assert!(matches!(same_actor.import(&file.save()), Err(ChangeError::Refused { .. })));
        assert!(matches!(same_actor.import(b"not a document"), Err(ChangeError::NotAutomerge { .. })));
        assert_eq!(same_actor.heads(), heads);
        assert_eq!(same_actor.value("a"), None);
    }
}
