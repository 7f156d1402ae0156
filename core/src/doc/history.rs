//! A document's history: who changed it, when and how much.

use super::document::Document;
use crate::base::id::{ActorId, ChangeHash};
use automerge::ReadDoc as _;
use serde::Serialize;

/// One change of a document's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The change.
    pub hash: ChangeHash,
    /// Who made it.
    pub actor: ActorId,
    /// Which of the actor's changes it is, from 1.
    pub seq: u64,
    /// When its author's clock said it was made, in milliseconds since the Unix epoch; in whole seconds, and never to be relied on.
    pub time_ms: i64,
    /// What its author said about it.
    pub message: Option<String>,
    /// How many operations it has.
    pub ops: u64,
    /// The changes it was made on.
    pub deps: Vec<ChangeHash>,
}

impl Document {
    /// The latest `limit` changes, in an order in which each comes after those it was made on. Takes time in proportion to the
    /// whole history.
    pub fn history(&self, limit: usize) -> Vec<HistoryEntry> {
        let changes = self.crdt.get_changes_meta(&[]);
        let skipped = changes.len().saturating_sub(limit);
        let entries = changes.into_iter().skip(skipped).filter_map(|change| {
            Some(HistoryEntry {
                hash: ChangeHash(change.hash.0),
                // Whatever has a longer actor was never taken in.
                actor: ActorId::new(change.actor.to_bytes())?,
                seq: change.seq,
                time_ms: change.timestamp.saturating_mul(1000),
                message: change.message.map(|message| message.into_owned()).filter(|message| !message.is_empty()),
                ops: (change.max_op + 1).saturating_sub(change.start_op),
                deps: change.deps.iter().map(|dep| ChangeHash(dep.0)).collect(),
            })
        });
        entries.collect()
    }

    /// How many changes made it.
    pub fn history_length(&self) -> u64 {
        self.crdt.stats().num_changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::DocumentId;
    use crate::doc::value::TextUnit;

    #[test]
    fn history_tells_who_did_how_much_when_and_why() {
        let actor = ActorId::new(&[7]).unwrap();
        let mut document = Document::new(DocumentId([1; 16]), actor, TextUnit::CodePoint);
        let (first, ()) = document.change(Some("begin"), 5_999, |tx| tx.put("title", "Tides")).unwrap();
        let (second, ()) = document.change(None, 7_000, |tx| tx.splice("title", 5, 0, "!")).unwrap();
        let (first, second) = (first.unwrap(), second.unwrap());

        let history = document.history(10);
        assert_eq!(history.len(), 2);
        assert_eq!(document.history_length(), 2);
        assert_eq!((history[0].hash, history[0].seq, history[0].time_ms), (first.hash, 1, 5_000));
        assert_eq!((history[0].message.as_deref(), history[0].ops), (Some("begin"), 6));
        assert_eq!((history[1].hash, history[1].actor, history[1].message.as_deref()), (second.hash, actor, None));
        assert_eq!(history[1].deps, [first.hash]);
        assert_eq!(document.history(1), history[1..]);
    }
}
