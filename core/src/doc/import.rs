//! Taking in Automerge files: another program's document, with its history.

use super::change::entry_of_change;
use super::document::{ChangeError, Document};
use crate::base::id::ChangeHash;
use crate::log::entry::Entry;
use automerge::Automerge;

impl Document {
    /// Takes in all changes of an Automerge file that are not held yet, and answers them in an order in which each comes
    /// after those it was made on.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotAutomerge`], [`ChangeError::TooLarge`] or [`ChangeError::Refused`]; nothing is taken in then.
    pub fn import(&mut self, automerge: &[u8]) -> Result<Vec<Entry>, ChangeError> {
        let root = || "the root".to_owned();
        let file = Automerge::load(automerge).map_err(|error| ChangeError::NotAutomerge { reason: error.to_string() })?;
        let changes: Vec<_> =
            file.get_changes(&[]).into_iter().filter(|change| !self.holds(&[ChangeHash(change.hash().0)])).collect();
        let mut entries = Vec::with_capacity(changes.len());
        for change in &changes {
            let entry = entry_of_change(self.id(), change.clone())?;
            if entry.payload.len() > self.entry_bytes_max {
                return Err(ChangeError::TooLarge { path: root() });
            }
            entries.push(entry);
        }
        // On a copy: a change that does not fit must leave nothing of those before it behind.
        let mut merged = self.crdt.clone();
        merged.apply_changes(changes).map_err(|error| ChangeError::Refused { path: root(), reason: error.to_string() })?;
        self.crdt = merged;
        Ok(entries)
    }
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
