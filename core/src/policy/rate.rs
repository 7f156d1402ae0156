//! Rates: how much a key may send at once, and how soon it may send more.

use crate::base::id::PeerId;
use crate::base::limits::SENDERS_MAX;
use std::collections::BTreeMap;

/// So much at once; what was taken comes back little by little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Most at once.
    pub burst: u64,
    /// So much comes back ...
    pub amount: u64,
    /// ... in so many milliseconds.
    pub in_ms: u64,
}

impl Rate {
    /// So much a second, and ten seconds' worth at once.
    pub fn per_second(amount: u64) -> Self {
        Self { burst: amount.saturating_mul(10), amount, in_ms: 1_000 }
    }
}

/// What is left to each key of a rate.
#[derive(Clone, Debug)]
pub struct Rates {
    rate: Rate,
    keys: BTreeMap<PeerId, Left>,
}

/// What is left, in parts of which `in_ms` make one.
#[derive(Clone, Copy, Debug)]
struct Left {
    parts: u64,
    at_ms: u64,
}

impl Rates {
    /// Nobody has taken anything yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, keys: BTreeMap::new() }
    }

    /// Takes an amount for a key, or answers in how many milliseconds there will be as much. More than can be had at once counts as that.
    ///
    /// # Errors
    ///
    /// Nothing was taken.
    pub fn take(&mut self, now_ms: u64, key: PeerId, amount: u64) -> Result<(), u64> {
        let Rate { burst, amount: back, in_ms } = self.rate;
        let full = burst.saturating_mul(in_ms);
        if !self.keys.contains_key(&key) && self.keys.len() >= SENDERS_MAX {
            let quietest = self.keys.iter().min_by_key(|(_, left)| left.at_ms).map(|(key, _)| *key);
            quietest.map(|quietest| self.keys.remove(&quietest));
        }
        let left = self.keys.entry(key).or_insert(Left { parts: full, at_ms: now_ms });
        let came_back = now_ms.saturating_sub(left.at_ms).saturating_mul(back);
        *left = Left { parts: left.parts.saturating_add(came_back).min(full), at_ms: now_ms.max(left.at_ms) };
        let wanted = amount.min(burst).saturating_mul(in_ms);
        match left.parts.checked_sub(wanted) {
            Some(rest) => {
                left.parts = rest;
                Ok(())
            }
            None => Err((wanted - left.parts).div_ceil(back.max(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANNA: PeerId = PeerId([1; 32]);
    const BEN: PeerId = PeerId([2; 32]);

    #[test]
    fn so_much_at_once_then_as_it_comes_back_and_each_key_for_itself() {
        let mut rates = Rates::new(Rate { burst: 3, amount: 1, in_ms: 5_000 });
        for _ in 0..3 {
            assert_eq!(rates.take(0, ANNA, 1), Ok(()));
        }
        assert_eq!(rates.take(0, ANNA, 1), Err(5_000));
        assert_eq!(rates.take(4_999, ANNA, 1), Err(1));
        assert_eq!(rates.take(5_000, ANNA, 1), Ok(()));
        assert_eq!(rates.take(5_000, BEN, 99), Ok(()), "more than can be had at once takes all there is");
        assert_eq!(rates.take(5_000, BEN, 1), Err(5_000));
    }

    #[test]
    fn as_many_keys_are_remembered_as_may_be() {
        let mut rates = Rates::new(Rate::per_second(1));
        for number in 0..=SENDERS_MAX as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            assert_eq!(rates.take(number, PeerId(key), 1), Ok(()));
        }
        assert_eq!(rates.keys.len(), SENDERS_MAX);
    }

    proptest! {
        #[test]
        fn in_any_stretch_no_more_than_the_burst_and_what_came_back(takes in proptest::collection::vec((0u64..500, 1u64..5), 1..100)) {
            let rate = Rate { burst: 10, amount: 2, in_ms: 100 };
            let mut rates = Rates::new(rate);
            let (mut now, mut taken) = (0, 0);
            for (wait, amount) in takes {
                now += wait;
                if rates.take(now, ANNA, amount).is_ok() {
                    taken += amount;
                }
                prop_assert!(taken * rate.in_ms <= rate.burst * rate.in_ms + now * rate.amount);
            }
        }
    }
}
