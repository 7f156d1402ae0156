//! A short history with a bit of everything in it, to begin with.

use driftline_core::base::id::{ActorId, DocumentId};
use driftline_core::doc::document::{ChangeError, Document, Transaction};
use driftline_core::doc::edit::Expand;
use driftline_core::doc::value::{TextUnit, Value};
use driftline_core::log::entry::Entry;
use std::sync::Arc;

/// So many changes are in it.
pub(crate) const CHANGES: usize = 7;

/// The first so many changes of one author.
pub(crate) fn entries(document: DocumentId, changes: usize) -> Vec<Arc<Entry>> {
    let mut author = Document::new(document, actor(4), TextUnit::CodePoint);
    let change = |at| {
        let made = author.change(None, 1_000 * at as i64, |tx| write(tx, at));
        let (entry, ()) = made.expect("it can be written in");
        Arc::new(entry.expect("something was written"))
    };
    (0..changes.min(CHANGES)).map(change).collect()
}

/// An actor of four such bytes.
pub(crate) fn actor(byte: u8) -> ActorId {
    ActorId::new(&[byte; 4]).expect("four bytes are an actor")
}

fn write(tx: &mut Transaction<'_>, at: usize) -> Result<(), ChangeError> {
    match at {
        0 => tx.put("body", Value::from("tide")),
        1 => tx.splice("body", 4, 0, "s"),
        2 => tx.splice("body", 5, 0, "!"),
        3 => {
            tx.put("tags", Value::List(vec![Value::Int(-7), Value::Bytes(vec![1, 2]), Value::Float(0.5)]))?;
            tx.put("count", Value::Counter(2))
        }
        4 => {
            tx.increment("count", 3)?;
            tx.delete(("tags", 1))
        }
        5 => tx.mark("body", 1..4, "bold", true, Expand::Both),
        _ => {
            tx.splice("body", 1, 2, "")?;
            tx.put(("tags", 0), Value::Map([("deep".to_owned(), Value::Null)].into()))
        }
    }
}
