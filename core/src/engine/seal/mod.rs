//! Sealed spaces: what this replica seals and opens.

pub(super) mod sealed_snapshots;
pub(super) mod seals;

#[cfg(test)]
mod seal_end_tests;
#[cfg(test)]
mod seal_forgery_tests;
#[cfg(test)]
mod seal_search_tests;
#[cfg(test)]
pub(super) mod seal_tests;
