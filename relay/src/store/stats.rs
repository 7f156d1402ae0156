//! What a store counts while it works.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets that waiting times are counted in, in seconds.
pub const SECONDS_BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, f64::INFINITY];

/// How long things took, counted in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; SECONDS_BOUNDS.len()],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = SECONDS_BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(SECONDS_BOUNDS.len() - 1);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// How many fell into each bucket, by its upper bound.
    pub fn buckets(&self) -> [(f64, u64); SECONDS_BOUNDS.len()] {
        std::array::from_fn(|at| (SECONDS_BOUNDS[at], self.counts[at].load(Ordering::Relaxed)))
    }

    /// All of them together, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_us.load(Ordering::Relaxed) as f64 / 1e6
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct StoreStats {
    /// From the moment an append was asked for until it was durable: waiting, writing and syncing.
    pub append_seconds: Histogram,
    /// How long reads took, from the moment they were asked for.
    pub read_seconds: Histogram,
    /// Batches carried out; tasks by batches is how well syncs are shared.
    pub batches: AtomicU64,
    /// Tasks carried out.
    pub tasks: AtomicU64,
}
