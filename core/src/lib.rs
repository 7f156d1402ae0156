//! The engine of Driftline: documents that merge, logs that travel, and a store that keeps its word.
//!
//! # The contract
//!
//! This crate does no input or output. It has no clock, no socket, no file, no thread, and no randomness that its seed
//! does not decide. A driver runs it:
//!
//! 1. make an [`engine::Engine`], and drain it;
//! 2. tell it what happens, with [`engine::Engine::handle`] (or a local edit with [`engine::Engine::change`]);
//! 3. then call [`engine::Engine::poll_effect`] until it answers nothing, carrying out each effect;
//! 4. sleep until [`engine::Engine::next_deadline`], or until something happens; then from 2.
//!
//! A native peer runs a [`gossip::membership::Membership`] beside its engine in the same way: it says whom to dial and whom to part from.
//!
//! Several inputs may be told before draining: what they cause is then coalesced, several keystrokes to a frame.
//! Every [`engine::effect::Effect::Store`] is answered exactly once, with a `Result`. The same seed and the same
//! inputs give the same effects, byte for byte.
//!
//! # Floors
//!
//! A floor imports only what is below it; the rooms of one floor do not know each other.
//!
//! | floor | rooms | what it knows |
//! |---|---|---|
//! | 3 | [`engine`] | the one state machine that drivers see; it alone knows all the rooms below |
//! | 2 | [`doc`], [`sync`], [`store`], [`trust`], [`seal`], [`gossip`], [`policy`] | what entries mean; talking to a peer; what goes to disk and how it comes back; who may do what, and who wrote what; what only members read; who talks to whom where no server decides it; how much anyone may have of a relay |
//! | 1 | [`log`] | clocks, entries, versions: what a replica holds, without knowing what it means |
//! | 0 | [`base`] | ids, limits, time, errors, bounded reading and writing of bytes |

pub mod base;
pub mod doc;
pub mod engine;
pub mod gossip;
pub mod log;
pub mod policy;
pub mod seal;
pub mod store;
pub mod sync;
pub mod trust;
