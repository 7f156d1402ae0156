//! Edits as data: what a mirror did, to be committed on the version it did it on.

use super::path::Path;
use super::value::{Value, text_weight};
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

impl Edit {
    /// About how many bytes its change has, never too few; `length_of` tells how long the text at a path is.
    pub(super) fn weight(&self, length_of: impl Fn(&Path) -> usize) -> usize {
        let weights = self.ops.iter().map(|op| match op {
            Op::Put { value, .. } => value.weight(),
            Op::Insert { values, .. } => values.iter().map(Value::weight).sum(),
            Op::Delete { length, .. } => DELETE_BYTES.saturating_mul(*length),
            Op::Splice { delete, insert, .. } => text_weight(insert).saturating_add(DELETE_BYTES.saturating_mul(*delete)),
            Op::UpdateText { path, text } => text_weight(text).saturating_add(DELETE_BYTES.saturating_mul(length_of(path))),
            Op::Increment { .. } => OPERATION_BYTES,
            Op::Mark { name, value, .. } => name.len() + value.weight() + OPERATION_BYTES,
        });
        weights.fold(0, usize::saturating_add)
    }
}

/// More than the columns of one operation take in a change.
pub(super) const OPERATION_BYTES: usize = 32;
/// More than the deletion of one element takes in a change.
pub(super) const DELETE_BYTES: usize = 12;

fn one() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc::chance::{dice, units};
    use crate::doc::patch::Patch;
    use crate::doc::path::IntoPath as _;
    use proptest::prelude::*;

    #[test]
    fn an_edit_in_json_is_as_short_as_it_can_be() {
        let json = r#"{"ops":[{"op":"splice","path":["text"],"index":1,"delete":0,"insert":"é"},{"op":"delete","path":["a"]},
            {"op":"updateText","path":["text"],"text":"x"},{"op":"mark","path":["text"],"start":0,"end":1,"name":"bold","value":true}]}"#;
        let edit: Edit = serde_json::from_str(json).unwrap();
        assert_eq!(edit.ops[0], Op::Splice { path: "text".into_path(), index: 1, delete: 0, insert: "é".to_owned() });
        assert_eq!(edit.ops[1], Op::Delete { path: "a".into_path(), length: 1 });
        assert!(matches!(&edit.ops[3], Op::Mark { expand: Expand::After, .. }));
        assert_eq!(edit.message, None);
    }

    proptest! {
        #[test]
        fn operations_and_patches_read_back_from_json(mut dice in dice(60), unit in units()) {
            let root = Value::map([("a", dice.value(3)), ("note", Value::from("tide"))]);
            let op = dice.op(&root, unit);
            prop_assert_eq!(&serde_json::from_str::<Op>(&serde_json::to_string(&op).unwrap()).unwrap(), &op);
            let patch = Patch::Put { path: ("a", 3).into_path(), value: root };
            prop_assert_eq!(&serde_json::from_str::<Patch>(&serde_json::to_string(&patch).unwrap()).unwrap(), &patch);
        }
    }
}
