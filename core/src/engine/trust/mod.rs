//! Owned spaces: who may do what, who wrote what, and what becomes of the work of who is shut out.

pub(super) mod access;
pub mod attests;
pub(super) mod cuts;
pub mod disavowing;
pub(super) mod doubts;
pub(super) mod epochs;
pub(super) mod granting;
pub(super) mod own_name;
pub mod owned;
pub(super) mod permits;
pub(super) mod rolls;
pub(super) mod vouched;
pub(super) mod words;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod cheating_tests;
#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod disavowing_tests;
#[cfg(test)]
mod doubt_tests;
#[cfg(test)]
pub(super) mod forgetting_tests;
#[cfg(test)]
mod long_log_tests;
#[cfg(test)]
pub(super) mod trust_tests;
#[cfg(test)]
mod words_tests;
