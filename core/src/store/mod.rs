//! Floor 2: what goes to disk and how it comes back. Moves entries and never looks inside them.

pub mod backup;
pub mod beginning;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod copy;
mod index;
pub mod journal;
pub mod ledger;
pub mod medium;
pub mod record;
pub mod recover;
pub mod rewrite;
pub mod task;
#[cfg(test)]
mod tests;
