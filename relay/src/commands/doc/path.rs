//! Where in a document, as people type it.
//!
//! Two ways to say the same: `notes.0.title`, steps with dots between them, or a JSON pointer (RFC 6901),
//! `/notes/0/title`, in which `~1` stands for a slash and `~0` for a tilde. Nothing at all is the whole document. A step
//! of digits is an index where the document has a list there, and a key where it has a map.

use driftline_core::doc::value::{Path, Prop, Value};
use std::fmt;
use std::str::FromStr;

/// A path as typed: its steps, not yet known to be keys or indices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypedPath {
    steps: Vec<String>,
}

impl FromStr for TypedPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if let Some(pointer) = text.strip_prefix('/') {
            return Ok(Self { steps: pointer.split('/').map(unescape).collect::<Result<_, _>>()? });
        }
        let steps: Vec<String> = text.split('.').map(str::to_owned).collect();
        if steps.iter().any(String::is_empty) {
            return Err(format!(
                "`{text}` has an empty step: write steps with single dots between them, as in notes.0.title, or a JSON pointer, as in /notes/0/title"
            ));
        }
        Ok(Self { steps })
    }
}

fn unescape(step: &str) -> Result<String, String> {
    let mut read = String::with_capacity(step.len());
    let mut letters = step.chars();
    while let Some(letter) = letters.next() {
        read.push(match letter {
            '~' => match letters.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err("in a JSON pointer `~` is followed by 0 (a tilde) or 1 (a slash)".to_owned()),
            },
            letter => letter,
        });
    }
    Ok(read)
}

impl fmt::Display for TypedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return f.write_str("the whole document");
        }
        f.write_str(&self.steps.join("."))
    }
}

impl TypedPath {
    /// The path it means in a document that reads `root`.
    ///
    /// Below what the document holds there is nothing to tell keys from indices: every further step is a key.
    pub fn resolve(&self, root: &Value) -> Path {
        let mut at = Some(root);
        let mut path = Path::new();
        for step in &self.steps {
            let index = step.parse::<usize>().ok();
            let (prop, next) = match (at, index) {
                (Some(Value::List(list)), Some(index)) => (Prop::Index(index), list.get(index)),
                (Some(Value::Map(map)), _) => (Prop::Key(step.clone()), map.get(step)),
                _ => (Prop::Key(step.clone()), None),
            };
            path.push(prop);
            at = next;
        }
        path
    }

    /// The path without its last step; nothing of the whole document.
    pub fn parent(&self) -> Option<Self> {
        let (_, steps) = self.steps.split_last()?;
        Some(Self { steps: steps.to_vec() })
    }

    /// What stands there in a document that reads `root`.
    pub fn find<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.resolve(root).iter().try_fold(root, |at, prop| match (at, prop) {
            (Value::Map(map), Prop::Key(key)) => map.get(key),
            (Value::List(list), Prop::Index(index)) => list.get(*index),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn dots_and_pointers_mean_the_same() {
        let root = value(r#"{"notes":[{"title":"Tides"}]}"#);
        for text in ["notes.0.title", "/notes/0/title"] {
            let path: TypedPath = text.parse().unwrap();
            assert_eq!(path.resolve(&root), [Prop::Key("notes".into()), Prop::Index(0), Prop::Key("title".into())]);
            assert_eq!(path.find(&root), Some(&Value::Text("Tides".into())));
        }
        assert_eq!("".parse::<TypedPath>().unwrap().find(&root), Some(&root));
    }

    #[test]
    fn digits_are_a_key_where_the_document_has_a_map() {
        let root = value(r#"{"by year":{"2026":"calm"}}"#);
        let path: TypedPath = "by year.2026".parse().unwrap();
        assert_eq!(path.find(&root), Some(&Value::Text("calm".into())));
    }

    #[test]
    fn a_pointer_reaches_keys_with_dots_and_slashes() {
        let root = value(r#"{"a.b":{"c/d~":1}}"#);
        assert_eq!("/a.b/c~1d~0".parse::<TypedPath>().unwrap().find(&root), Some(&Value::Int(1)));
        assert!("/~2".parse::<TypedPath>().unwrap_err().contains("tilde"));
    }

    #[test]
    fn an_empty_step_is_refused_with_advice() {
        assert!("a..b".parse::<TypedPath>().unwrap_err().contains("/notes/0/title"));
        assert!(".".parse::<TypedPath>().is_err());
    }
}
