//! A document in memory: the CRDT behind a small door.

use super::value::{Path, Value};

/// A document in memory.
pub struct Document;
/// A local change in the making.
pub struct Transaction<'a>(std::marker::PhantomData<&'a mut ()>);

/// Why a change could not be made; nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The document is not open.
    #[error("the document is not open")]
    NotOpen,
}

impl Document {
    /// The value at `path` now.
    pub fn value(&self, path: &Path) -> Option<Value> {
        let _ = path;
        todo!()
    }
}
