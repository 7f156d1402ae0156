//! Patches: what changed in a document, for whoever mirrors it as plain values.

use super::value::{Path, Value};
use serde::{Deserialize, Serialize};

/// One difference. Applied in order to the value before, patches give the value after.
///
/// A new map, list or text arrives empty, and is filled by the patches that follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Patch {
    /// A key or an element has this value now.
    Put {
        /// Ends with the key or index.
        path: Path,
        /// The value.
        value: Value,
    },
    /// Elements were inserted into a list.
    Insert {
        /// Ends with the index of the first.
        path: Path,
        /// The values.
        values: Vec<Value>,
    },
    /// A key is gone, or elements of a list or of a text are.
    Delete {
        /// Ends with the key or the first index.
        path: Path,
        /// How many; 1 for a key.
        length: usize,
    },
    /// Text was inserted.
    Splice {
        /// Ends with the index in the text.
        path: Path,
        /// What was inserted.
        insert: String,
    },
    /// A counter was added to.
    Increment {
        /// The counter.
        path: Path,
        /// How much.
        by: i64,
    },
    /// Formatting of a stretch of text changed.
    Mark {
        /// The text.
        path: Path,
        /// First position.
        start: usize,
        /// Position after the last.
        end: usize,
        /// Name of the mark.
        name: String,
        /// Its value; null when it was removed.
        value: Value,
    },
}
