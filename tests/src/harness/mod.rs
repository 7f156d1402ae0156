//! The simulated world: real engines, and everything around them faked from one number.
//!
//! A seed is a life ([`life`]): replicas ([`replica`]) with an engine, a disk ([`disk`]) and an app that types
//! ([`workload`], [`mirror`]), joined by bad links ([`link`]) in a world with a clock of its own ([`world`]). What must
//! hold is watched by the oracle ([`oracle`]); what happened is in the trace ([`trace`]). Nothing here reads a clock,
//! draws a random number or iterates an unordered map, so a seed is the whole of a bug report ([`shrink`]).

pub mod cheat;
pub mod dice;
pub mod disk;
pub mod fault;
pub mod forgery;
pub mod founding;
pub mod lab;
pub mod life;
pub mod link;
pub mod mirror;
pub mod options;
pub mod oracle;
pub mod replica;
pub mod sealed;
pub mod shrink;
pub mod shutting;
pub mod tally;
pub mod trace;
pub mod traffic;
pub mod verdict;
pub mod workload;
pub mod world;
