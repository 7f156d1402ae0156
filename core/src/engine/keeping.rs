//! Named values that others cannot bring again: statements, words for changes, as whom this replica writes. Where the store refuses one it is written
//! again, as entries are.
//!
//! Who wrote a word may be gone for good when this replica starts again, and nobody takes from members what nobody vouches for.

use super::Engine;
use super::logs::Work;
use crate::base::id::SpaceId;
use crate::store::task::{StoreError, StoreErrorKind, StoreTask};
use std::collections::BTreeMap;

/// A value that is to be kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    /// The space whose statement it is, where it is one.
    pub(super) statement_of: Option<SpaceId>,
}

/// What the store has refused so far: of each key the newest. As many as are held in memory anyway.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    refused: BTreeMap<String, Kept>,
}

impl Keeping {
    /// Lets go of a value that another is written over.
    pub(super) fn forget(&mut self, key: &str) {
        self.refused.remove(key);
    }
}

impl Engine {
    /// Has the store keep a value.
    pub(super) fn keep_value(&mut self, kept: Kept) {
        self.keeping.forget(&kept.key);
        let task = StoreTask::PutMeta { key: kept.key.clone(), value: kept.value.clone() };
        self.store(Work::Keep(kept), task);
    }

    pub(super) fn on_value_kept(&mut self, kept: Kept, result: Result<(), StoreError>) {
        match result {
            Ok(()) => {
                // The store works in order: what it refused under this key was older.
                self.keeping.forget(&kept.key);
                if self.logs.undurable() == 0 {
                    self.logs.on_written();
                }
                if let Some(space) = kept.statement_of {
                    self.on_statement_stored(space);
                }
            }
            Err(error) => {
                // A store that is damaged there will not take it: what is in memory serves until the end.
                if error.kind != StoreErrorKind::Corrupt {
                    self.keeping.refused.insert(kept.key.clone(), kept);
                }
                self.on_write_refused(&error, None);
            }
        }
    }

    /// Writes again what was refused.
    pub(super) fn keep_refused(&mut self) {
        for kept in std::mem::take(&mut self.keeping.refused).into_values() {
            self.keep_value(kept);
        }
    }
}
