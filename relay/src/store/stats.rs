//! What a store counts while it works.

use crate::histogram::Histogram;
use std::sync::atomic::AtomicU64;

/// Counts since the start.
#[derive(Debug)]
pub struct StoreStats {
    /// From the moment an append was asked for until it was durable: waiting, writing and syncing.
    pub append_seconds: Histogram,
    /// How long reads took, from the moment they were asked for.
    pub read_seconds: Histogram,
    /// How long transactions that write took, each with its one sync.
    pub commit_seconds: Histogram,
    /// Changes that became durable together.
    pub commit_changes: Histogram,
    /// Batches carried out; tasks by batches is how well syncs are shared.
    pub batches: AtomicU64,
    /// Tasks carried out.
    pub tasks: AtomicU64,
    /// Snapshots among them that were to become the beginning of a log.
    pub snapshots: AtomicU64,
}

impl Default for StoreStats {
    fn default() -> Self {
        Self {
            append_seconds: Histogram::of_seconds(),
            read_seconds: Histogram::of_seconds(),
            commit_seconds: Histogram::of_seconds(),
            commit_changes: Histogram::of_numbers(),
            batches: AtomicU64::new(0),
            tasks: AtomicU64::new(0),
            snapshots: AtomicU64::new(0),
        }
    }
}
