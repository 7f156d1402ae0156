//! Push gossip as theory has it: everyone knows everyone, and who has heard pushes in each round to peers chosen among all.
//!
//! It is what `log2 N + ln N` is about, run with core's rumours: the yardstick beside which the overlay is put.

use driftline_core::base::rng::Rng;
use driftline_core::gossip::rumour::{RumourConfig, Rumours, Spread};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Textbook {
    /// Rounds until all had heard.
    pub rounds: u64,
    /// Pushes until then.
    pub pushes: u64,
}

/// Spreads one rumour among `peers`, of which each that has heard pushes to `fanout` in a round.
pub fn spread(peers: usize, fanout: usize, seed: u64) -> Textbook {
    let mut first = [0; 32];
    first[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = Rng::new(first);
    let config = RumourConfig { fanout, round_ms: 1, again_ms: u64::MAX / 2, ..RumourConfig::default() };
    let mut rumours: Rumours<u32, u32> = Rumours::new(config, rng.bytes());
    let mut has_heard = vec![false; peers];
    let mut heard: Vec<u32> = vec![0];
    let mut done = Textbook { rounds: 0, pushes: 0 };
    has_heard[0] = true;
    while heard.len() < peers {
        done.rounds += 1;
        let mut newly = Vec::new();
        for &peer in &heard {
            // Nobody remembers anything: the neighbours are others in each round.
            let others =
                (0..fanout).map(|_| (u64::from(peer) + 1 + rng.below(peers as u64 - 1)) % peers as u64).map(|other| other as u32);
            let others: Vec<u32> = others.collect();
            rumours.handle_fresh(done.rounds, peer, others);
            while let Some(spread) = rumours.poll(done.rounds) {
                if let Spread::Push(_, other) = spread {
                    done.pushes += 1;
                    if !std::mem::replace(&mut has_heard[other as usize], true) {
                        newly.push(other);
                    }
                }
            }
            rumours.handle_fresh(done.rounds, peer, []);
        }
        heard.append(&mut newly);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::scenario::Scenario;

    #[test]
    fn push_gossip_takes_as_many_rounds_as_theory_says() {
        for (peers, seeds) in [(10, 9), (100, 9), (1_000, 9), (10_000, 9), (100_000, 3)] {
            let theory = Scenario::of(peers, 1, 0).rounds_in_theory();
            let mut rounds: Vec<u64> = (0..seeds).map(|seed| spread(peers, 1, seed).rounds).collect();
            rounds.sort_unstable();
            assert!((rounds[rounds.len() / 2] as f64 - theory).abs() <= 3.0, "{peers} peers: {rounds:?}, theory {theory:.1}");
        }
    }
}
