//! Letters: this replica's own, and those that a relay keeps for others.

pub(super) mod carrying;
pub mod letters;

#[cfg(test)]
mod post_tests;
