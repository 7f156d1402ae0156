//! Floor 1: what a replica holds of each document, without knowing what it means.

pub mod clock;
pub mod entry;
pub mod feed;
pub mod heads;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
pub mod log;
pub mod snapshot;
pub mod space;
mod tail;
pub mod tree;
pub mod version;
