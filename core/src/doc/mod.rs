//! Floor 2: what entries mean. The only room that knows Automerge.

pub mod abridged;
pub mod assembly;
pub mod automerge_sync;
pub mod change;
pub mod cursor;
pub mod document;
pub mod edit;
pub mod history;
pub mod mark;
pub mod patch;
pub mod path;
pub mod remake;
pub mod value;
pub mod view;

mod census;
mod columns;
mod crdt;
mod forecast;
mod import;
mod raw;
mod raw_document;
mod replay;
mod sync_message;
mod transaction;

#[cfg(test)]
mod automerge_sync_tests;
#[cfg(test)]
mod chance;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod merge_tests;
#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod transaction_tests;
#[cfg(test)]
mod view_tests;
