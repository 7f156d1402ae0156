//! Paths: where in a document something is.

use serde::{Deserialize, Serialize};

/// One step of a path into a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prop {
    /// A key of a map.
    Key(String),
    /// An index into a list or text, in the document's text unit (code points natively, UTF-16 units in a browser).
    Index(usize),
}

/// Where in a document: the root is the empty path.
pub type Path = Vec<Prop>;

impl From<&str> for Prop {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<String> for Prop {
    fn from(key: String) -> Self {
        Self::Key(key)
    }
}

impl From<&String> for Prop {
    fn from(key: &String) -> Self {
        Self::Key(key.clone())
    }
}

impl From<usize> for Prop {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl From<&Prop> for Prop {
    fn from(prop: &Prop) -> Self {
        prop.clone()
    }
}

/// What can be written where a path is wanted.
///
/// The root is `()`, a key of it is `"title"`, keys below each other are `["notes", "a"]`, keys and indices mixed are a
/// tuple such as `("notes", 3, "title")`, and what is built at run time is a `Path` or a slice of [`Prop`].
pub trait IntoPath {
    /// The path.
    fn into_path(self) -> Path;
}

impl IntoPath for () {
    fn into_path(self) -> Path {
        Path::new()
    }
}

impl IntoPath for Prop {
    fn into_path(self) -> Path {
        vec![self]
    }
}

impl IntoPath for &str {
    fn into_path(self) -> Path {
        vec![self.into()]
    }
}

impl IntoPath for String {
    fn into_path(self) -> Path {
        vec![self.into()]
    }
}

impl IntoPath for &String {
    fn into_path(self) -> Path {
        vec![self.into()]
    }
}

impl<P: Into<Prop>> IntoPath for Vec<P> {
    fn into_path(self) -> Path {
        self.into_iter().map(Into::into).collect()
    }
}

impl<P: Clone + Into<Prop>> IntoPath for &Vec<P> {
    fn into_path(self) -> Path {
        self.as_slice().into_path()
    }
}

impl<P: Clone + Into<Prop>> IntoPath for &[P] {
    fn into_path(self) -> Path {
        self.iter().cloned().map(Into::into).collect()
    }
}

impl<P: Into<Prop>, const N: usize> IntoPath for [P; N] {
    fn into_path(self) -> Path {
        self.into_iter().map(Into::into).collect()
    }
}

impl<P: Clone + Into<Prop>, const N: usize> IntoPath for &[P; N] {
    fn into_path(self) -> Path {
        self.as_slice().into_path()
    }
}

/// A path of steps of different kinds, as a tuple.
macro_rules! tuple_is_a_path {
    ($($step:ident),+) => {
        impl<$($step: Into<Prop>),+> IntoPath for ($($step,)+) {
            fn into_path(self) -> Path {
                #[allow(non_snake_case, reason = "the steps are named after their types")]
                let ($($step,)+) = self;
                vec![$($step.into()),+]
            }
        }
    };
}

tuple_is_a_path!(A);
tuple_is_a_path!(A, B);
tuple_is_a_path!(A, B, C);
tuple_is_a_path!(A, B, C, D);
tuple_is_a_path!(A, B, C, D, E);
tuple_is_a_path!(A, B, C, D, E, F);

/// A path as people read it: `notes[3].title`, and `the root` for the empty one.
pub(super) fn shown(path: &[Prop]) -> String {
    use std::fmt::Write as _;
    if path.is_empty() {
        return "the root".to_owned();
    }
    let mut text = String::new();
    for prop in path {
        let written = match prop {
            Prop::Key(key) if text.is_empty() => write!(text, "{key}"),
            Prop::Key(key) => write!(text, ".{key}"),
            Prop::Index(index) => write!(text, "[{index}]"),
        };
        debug_assert!(written.is_ok(), "a string takes all that is written to it");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_the_way_that_is_shortest() {
        let path = vec![Prop::Key("notes".to_owned()), Prop::Index(3), Prop::Key("title".to_owned())];
        assert_eq!(("notes", 3, "title").into_path(), path);
        assert_eq!(path.as_slice().into_path(), path);
        assert_eq!((&path).into_path(), path);
        assert_eq!(["a", "b"].into_path(), vec![Prop::from("a"), Prop::from("b")]);
        assert_eq!("a".into_path(), vec![Prop::from("a")]);
        assert_eq!(().into_path(), Path::new());
        assert_eq!(shown(&path), "notes[3].title");
    }

    #[test]
    fn a_path_in_json_is_an_array_of_keys_and_indices() {
        let path = ("notes", 3).into_path();
        let json = serde_json::to_string(&path).unwrap();
        assert_eq!(json, r#"["notes",3]"#);
        assert_eq!(serde_json::from_str::<Path>(&json).unwrap(), path);
    }
}
