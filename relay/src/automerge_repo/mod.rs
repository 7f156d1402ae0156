//! For clients of automerge-repo: the relay speaks their protocol too, and their documents are documents like all others.
//!
//! A client that has joined names the documents it has or wants, and each is synced by Automerge's own protocol. That needs the
//! document in memory, which the relay's engine never has; so it is loaded here, beside the engine and off its thread, from
//! what the engine's store holds durably, and let go of when memory is wanted.
//!
//! ```text
//!   client ── socket ── connection ──▶ desks ──▶ desk of a document ──▶ exchange (a worker's thread)
//!                                        ▲                                   │ entries
//!                                        └──── what is durable ◀── engine ◀──┘
//! ```
//!
//! What a client sends becomes entries of the log, which the engine passes on and stores as those of any peer; and what becomes
//! durable, whoever sent it, comes back here and goes to the clients. So a client is told that its changes were received when
//! they are on the disk, and not before.

mod bridge;
mod cbor;
mod client;
pub(crate) mod connection;
mod counts;
mod desk;
mod desks;
mod exchange;
mod message;
mod presence;

pub use bridge::{Bridge, BridgeState};
pub use desks::AutomergeRepoOptions;
pub(crate) use desks::Desks;
