//! Two or three engines in a quiet room: what syncing costs, what bad peers and bad disks can do, and the laws of merging.

mod awkward;
mod cost;
mod disks;
mod gaps;
mod memory;
mod merge;
mod order;
mod presence;
mod receipts;
mod strands;
mod strangers;

use driftline_core::base::id::{DocumentId, SpaceId, StoreEpoch};
use driftline_core::sync::hello::Identity;

/// The space of these tests.
fn space() -> SpaceId {
    SpaceId::from_name("harbour")
}

/// A document of these tests.
fn document(number: u16) -> DocumentId {
    let mut bytes = [7; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    DocumentId(bytes)
}

/// A peer of the tests' own, of this secret key.
fn identity(secret: u8) -> Identity {
    Identity::new(&[secret; 32], StoreEpoch([secret; 16]), false, "test".to_owned(), 1 << 20)
}
