//! Marks: the formatting of stretches of text.

use super::crdt::{self, Found};
use super::document::Document;
use super::path::IntoPath;
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
}
