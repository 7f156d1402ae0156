//! Marks: the formatting of stretches of text.

use super::crdt::{self, Found};
use super::document::Document;
use super::patch::Patch;
use super::path::{IntoPath, Path, Prop};
use super::value::Value;
use automerge::{ObjType, ReadDoc as _};
use serde::Serialize;

/// Formatting of a stretch of text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// First position.
    pub start: usize,
    /// Position after the last.
    pub end: usize,
    /// Its name, such as `bold`.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl Document {
    /// The formatting of the text at `path`, in no particular order; none when there is no such text.
    pub fn marks(&self, path: impl IntoPath) -> Vec<Mark> {
        let Some(Found::Object(object, ObjType::Text)) = crdt::find(&self.crdt, None, &path.into_path()) else {
            return Vec::new();
        };
        let marks = self.crdt.marks(&object).unwrap_or_default().into_iter();
        marks
            .map(|mark| Mark {
                start: mark.start,
                end: mark.end,
                name: mark.name().to_owned(),
                value: crdt::from_scalar(&mark.value),
            })
            .collect()
    }
}

impl Document {
    /// All there is as patches to an empty document: each key of the root with its whole value, then the formatting of the texts.
    /// Says the same as the difference to no heads, without walking through the history.
    pub(super) fn as_patches(&self) -> Vec<Patch> {
        let Some(Value::Map(root)) = self.value(()) else { return Vec::new() };
        let mut texts = Vec::new();
        for (key, value) in &root {
            find_texts(value, &mut vec![Prop::Key(key.clone())], &mut texts);
        }
        let puts = root.into_iter().map(|(key, value)| Patch::Put { path: vec![Prop::Key(key)], value });
        let mut patches: Vec<Patch> = puts.collect();
        for path in texts {
            let marks = self.marks(path.clone()).into_iter();
            patches.extend(marks.map(|Mark { start, end, name, value }| Patch::Mark {
                path: path.clone(),
                start,
                end,
                name,
                value,
            }));
        }
        patches
    }
}

/// The paths of the texts in a value that is at `path`.
fn find_texts(value: &Value, path: &mut Path, found: &mut Vec<Path>) {
    let mut below = |prop: Prop, value: &Value| {
        path.push(prop);
        find_texts(value, path, found);
        path.pop();
    };
    match value {
        Value::Text(_) => found.push(path.clone()),
        Value::Map(map) => map.iter().for_each(|(key, value)| below(Prop::Key(key.clone()), value)),
        Value::List(list) => list.iter().enumerate().for_each(|(index, value)| below(Prop::Index(index), value)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc::chance::{DOCUMENT, actor};
    use crate::doc::edit::Expand;
    use crate::doc::value::TextUnit;

    #[test]
    fn marks_are_where_they_were_put_and_grow_as_they_were_told() {
        let mut document = Document::new(DOCUMENT, actor(1), TextUnit::Utf16);
        document.change(None, 0, |tx| tx.put("text", "tide")).unwrap();
        document.change(None, 0, |tx| tx.mark("text", 0..2, "bold", true, Expand::After)).unwrap();
        document.change(None, 0, |tx| tx.splice("text", 2, 0, "!")).unwrap();
        let mark = Mark { start: 0, end: 3, name: "bold".to_owned(), value: Value::Bool(true) };
        assert_eq!(document.marks("text"), [mark]);
        document.change(None, 0, |tx| tx.mark("text", 0..3, "bold", (), Expand::None)).unwrap();
        assert_eq!(document.marks("text"), []);
    }

    #[test]
    fn a_document_is_told_whole_as_the_difference_to_nothing_would_tell_it() {
        let mut document = Document::new(DOCUMENT, actor(1), TextUnit::Utf16);
        document.change(None, 0, |tx| tx.put("text", "tide")).unwrap();
        document.change(None, 0, |tx| tx.put("list", Value::List(vec![Value::from("ebb"), Value::map([("a", 1)])]))).unwrap();
        document.change(None, 0, |tx| tx.mark("text", 0..2, "bold", true, Expand::After)).unwrap();
        document.change(None, 0, |tx| tx.put("count", Value::Counter(3))).unwrap();
        let told = |patches: Vec<Patch>| {
            let mut value = Value::empty();
            patches.iter().for_each(|patch| patch.apply(&mut value, TextUnit::Utf16).unwrap());
            let marks: Vec<Patch> = patches.into_iter().filter(|patch| matches!(patch, Patch::Mark { .. })).collect();
            (value, marks)
        };
        let whole = told(document.as_patches());
        assert_eq!(whole, told(document.diff(&[], &document.heads())));
        assert_eq!((Some(whole.0), whole.1.len()), (document.value(()), 1));
    }
}
