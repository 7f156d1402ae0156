//! How long to wait before dialling again: doubling, bounded, and spread so that a crowd does not return as one.

use super::rng::Rng;

/// First wait in milliseconds.
pub const FIRST_MS: u64 = 250;
/// Longest wait in milliseconds.
pub const LONGEST_MS: u64 = 30_000;

/// Attempts at one endpoint since it last worked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Counts a failure, and says how long to wait: between half and all of the doubled wait.
    ///
    /// Source of the spread: Brooker, Exponential Backoff and Jitter, 2015 ("equal jitter").
    pub fn next_ms(&mut self, rng: &mut Rng) -> u64 {
        self.next_ms_within(LONGEST_MS, rng)
    }

    /// The same where the wait is never longer than `longest_ms`.
    pub fn next_ms_within(&mut self, longest_ms: u64, rng: &mut Rng) -> u64 {
        let whole = FIRST_MS.saturating_mul(1 << self.attempts.min(16)).min(longest_ms);
        self.attempts = self.attempts.saturating_add(1);
        whole / 2 + rng.below(whole / 2 + 1)
    }

    /// Forgets the failures: the endpoint works.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_stay_within_bounds_and_start_again_after_success() {
        let mut rng = Rng::new([1; 32]);
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..12).map(|_| backoff.next_ms(&mut rng)).collect();
        for (attempt, wait) in waits.iter().enumerate() {
            let whole = (FIRST_MS << attempt.min(16)).min(LONGEST_MS);
            assert!((whole / 2..=whole).contains(wait), "wait {attempt} is {wait}");
        }
        backoff.reset();
        assert!(backoff.next_ms(&mut rng) <= FIRST_MS);
    }
}
