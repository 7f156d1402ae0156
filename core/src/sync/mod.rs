//! Floor 2: talking to a peer. Moves entries and never looks inside them.
//!
//! The protocol is specified byte by byte in `docs/protocol.md`. In short: both sides say [`hello`] and prove their keys;
//! one subscribes to a space, and the two compare what they hold of it ([`reconcile`]); for each document that differs
//! they exchange versions, and each sends what the other lacks ([`delta`]); from then on new entries are pushed.

pub mod delta;
pub mod error_code;
pub mod frame;
pub mod hello;
pub mod message;
pub mod packed;
pub mod presence;
pub mod reconcile;
pub mod session;
pub mod strands;
