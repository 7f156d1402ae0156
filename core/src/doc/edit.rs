//! Edits as data: what a mirror did, to be committed on the version it did it on.

use super::path::Path;
use super::value::Value;
use serde::{Deserialize, Serialize};

/// Operations that become one change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edit {
    /// What to do, in order; each path is resolved after the operations before it.
    pub ops: Vec<Op>,
    /// A message for the document's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One operation. Indices and lengths in text are in the document's text unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum Op {
    /// Sets a key of a map or replaces an element of a list; a map, list or text is made anew.
    Put {
        /// Ends with the key or index.
        path: Path,
        /// The new value.
        value: Value,
    },
    /// Inserts into a list.
    Insert {
        /// Ends with the index the first of the values will have.
        path: Path,
        /// The values.
        values: Vec<Value>,
    },
    /// Deletes a key of a map or elements of a list.
    Delete {
        /// Ends with the key or the first index.
        path: Path,
        /// How many elements; ignored for a key.
        #[serde(default = "one")]
        length: usize,
    },
    /// Replaces part of a text.
    Splice {
        /// The text.
        path: Path,
        /// Where.
        index: usize,
        /// How much to delete there.
        delete: usize,
        /// What to insert there.
        insert: String,
    },
    /// Makes a text read like this by the smallest edit that does.
    UpdateText {
        /// The text.
        path: Path,
        /// What it should read.
        text: String,
    },
    /// Adds to a counter.
    Increment {
        /// The counter.
        path: Path,
        /// How much; negative takes away.
        by: i64,
    },
    /// Formats a stretch of text.
    Mark {
        /// The text.
        path: Path,
        /// First position.
        start: usize,
        /// Position after the last.
        end: usize,
        /// Name of the mark, such as `bold`.
        name: String,
        /// Value of the mark; null removes it.
        value: Value,
        /// Whether letters typed at its ends belong to it.
        #[serde(default)]
        expand: Expand,
    },
}

/// Which ends of a mark grow when someone types there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expand {
    /// Neither.
    None,
    /// Its start.
    Before,
    /// Its end, as word processors do.
    #[default]
    After,
    /// Both.
    Both,
}

fn one() -> usize {
    1
}
