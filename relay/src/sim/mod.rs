//! A made-up world of many peers, in which core's gossip runs as it runs in a native peer: `driftline sim`.
//!
//! What is real: [`driftline_core::gossip::membership`] and [`driftline_core::gossip::rumour`], the same code, one of each for every
//! peer. What is made up: the clock, the network ([`network`]), and what a peer holds ([`model`]): bits in place of documents, since a
//! hundred thousand stores do not fit one machine.
//!
//! One thread, one queue ([`queue`]), one seed: the same scenario gives the same outcome ([`outcome`]).

#[cfg(test)]
mod bars;
pub mod model;
pub mod network;
pub mod outcome;
pub mod queue;
pub mod scenario;
pub mod table;
pub mod textbook;
pub mod world;
