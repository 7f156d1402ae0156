//! Patches: what changed in a document, for whoever mirrors it as plain values.

use super::path::{Path, Prop, shown};
use super::value::{TextUnit, Value};
use serde::{Deserialize, Serialize};

/// One difference. Applied in order to the value before, patches give the value after.
///
/// A new map, list or text arrives empty and is filled by the patches that follow, or whole.
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

/// Why a patch does not fit a value: the value is not what the patch was made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the patch does not fit what is shown at {path}")]
pub struct PatchError {
    /// Where, as people read it.
    pub path: String,
}

impl Patch {
    /// Where the patch works.
    pub fn path(&self) -> &[Prop] {
        match self {
            Self::Put { path, .. }
            | Self::Insert { path, .. }
            | Self::Delete { path, .. }
            | Self::Splice { path, .. }
            | Self::Increment { path, .. }
            | Self::Mark { path, .. } => path,
        }
    }

    /// Makes the difference to `value`, a whole document, with positions in text counted in `unit`. Values do not show
    /// formatting, so a mark changes nothing.
    ///
    /// # Errors
    ///
    /// The value is not the one that the patch starts from; it may then be as it was, or not.
    pub fn apply(&self, value: &mut Value, unit: TextUnit) -> Result<(), PatchError> {
        self.apply_to(value, unit).ok_or_else(|| PatchError { path: shown(self.path()) })
    }

    fn apply_to(&self, root: &mut Value, unit: TextUnit) -> Option<()> {
        match self {
            Self::Put { path, value } => *slot(root, path)? = value.clone(),
            Self::Insert { path, values } => {
                let (last, above) = path.split_last()?;
                let (Value::List(list), Prop::Index(at)) = (at_mut(root, above)?, last) else { return None };
                list.get(*at..)?;
                list.splice(*at..*at, values.iter().cloned());
            }
            Self::Delete { path, length } => {
                let (last, above) = path.split_last()?;
                match (at_mut(root, above)?, last) {
                    (Value::Map(map), Prop::Key(key)) => drop(map.remove(key)?),
                    (Value::List(list), Prop::Index(at)) => {
                        let end = at.checked_add(*length)?;
                        list.get(*at..end)?;
                        list.drain(*at..end);
                    }
                    (Value::Text(text), Prop::Index(at)) => {
                        let start = unit.byte_at(text, *at)?;
                        let end = start + unit.byte_at(&text[start..], *length)?;
                        text.replace_range(start..end, "");
                    }
                    _ => return None,
                }
            }
            Self::Splice { path, insert } => {
                let (last, above) = path.split_last()?;
                let (Value::Text(text), Prop::Index(at)) = (at_mut(root, above)?, last) else { return None };
                text.insert_str(unit.byte_at(text, *at)?, insert);
            }
            Self::Increment { path, by } => match at_mut(root, path)? {
                Value::Counter(counter) => *counter = counter.wrapping_add(*by),
                _ => return None,
            },
            Self::Mark { path, .. } => match at_mut(root, path)? {
                Value::Text(_) => {}
                _ => return None,
            },
        }
        Some(())
    }
}

/// The value at `path`.
fn at_mut<'v>(root: &'v mut Value, path: &[Prop]) -> Option<&'v mut Value> {
    path.iter().try_fold(root, |value, prop| match (value, prop) {
        (Value::Map(map), Prop::Key(key)) => map.get_mut(key),
        (Value::List(list), Prop::Index(index)) => list.get_mut(*index),
        _ => None,
    })
}

/// The place at `path` for a value, also where a map has no such key yet.
fn slot<'v>(root: &'v mut Value, path: &[Prop]) -> Option<&'v mut Value> {
    let Some((last, above)) = path.split_last() else { return Some(root) };
    match (at_mut(root, above)?, last) {
        (Value::Map(map), Prop::Key(key)) => Some(map.entry(key.clone()).or_insert(Value::Null)),
        (Value::List(list), Prop::Index(index)) => list.get_mut(*index),
        _ => None,
    }
}
