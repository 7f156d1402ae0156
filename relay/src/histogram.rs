//! Values counted in buckets, from any thread, for whoever reads them now and then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of buckets of times, in seconds.
const SECONDS: &[f64] =
    &[0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, f64::INFINITY];
/// Upper bounds of buckets of numbers of things.
const NUMBERS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0, f64::INFINITY];

/// Values by the bucket they fall into, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    /// In millionths, so that it can be added to without a lock.
    sum: AtomicU64,
}

impl Histogram {
    /// For times.
    pub fn of_seconds() -> Self {
        Self::new(SECONDS)
    }

    /// For numbers of things.
    pub fn of_numbers() -> Self {
        Self::new(NUMBERS)
    }

    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: bounds.iter().map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Counts a time.
    pub fn took(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// Counts a value.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len() - 1);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * 1e6) as u64, Ordering::Relaxed);
    }

    /// How many fell into each bucket, by its upper bound.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        self.bounds.iter().zip(&self.counts).map(|(bound, count)| (*bound, count.load(Ordering::Relaxed))).collect()
    }

    /// All of them together.
    pub fn sum(&self) -> f64 {
        self.sum.load(Ordering::Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;
    use std::time::Duration;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_holds_it() {
        let times = Histogram::of_seconds();
        for time in [Duration::from_micros(50), Duration::from_micros(51), Duration::from_secs(3600)] {
            times.took(time);
        }
        let buckets = times.buckets();
        assert_eq!((buckets[0].1, buckets[1].1, buckets.last().unwrap().1), (1, 1, 1));
        assert!((times.sum() - 3_600.000_101).abs() < 1e-6, "{}", times.sum());
    }
}
