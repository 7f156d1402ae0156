//! With whom of all peers a session is kept.
//!
//! With few peers, all. With many, those at certain distances on a ring that everyone sees alike, because it is ordered by the hash of the peers' names: who sees the
//! same peers chooses the same pairs, with nothing said. It is one function, so that a membership that asks and learns can take its place.

use libp2p::PeerId;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Neighbours each peer wants.
pub(super) const NEIGHBOURS: usize = 8;

/// Those among `others` that `own` keeps a session with.
pub(super) fn choose(own: PeerId, others: &BTreeSet<PeerId>) -> BTreeSet<PeerId> {
    if others.len() <= NEIGHBOURS {
        return others.clone();
    }
    let place = |peer: &PeerId| <[u8; 32]>::from(Sha256::digest(peer.to_bytes()));
    let mut ring: Vec<([u8; 32], PeerId)> = others.iter().chain([&own]).map(|peer| (place(peer), *peer)).collect();
    ring.sort_unstable();
    let (size, at) = (ring.len(), ring.iter().position(|(_, peer)| *peer == own).unwrap_or(0));
    // Distances 1, n^(1/4), n^(1/2), n^(3/4): any peer is reached in few steps, and losing some cuts nobody off.
    let steps = NEIGHBOURS / 2;
    let distance = |step: usize| (size as f64).powf(step as f64 / steps as f64).round() as usize;
    (0..steps)
        .map(distance)
        .flat_map(|far| [at + far, at + size - far])
        .map(|at| ring[at % size].1)
        .filter(|peer| *peer != own)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(size: usize) -> BTreeSet<PeerId> {
        (0..size).map(|_| PeerId::random()).collect()
    }

    #[test]
    fn few_peers_are_all_neighbours() {
        let others = crowd(NEIGHBOURS);
        assert_eq!(choose(PeerId::random(), &others), others);
    }

    #[test]
    fn many_peers_choose_each_other_few_each_and_reach_all_in_few_steps() {
        for size in [10, 50, 300] {
            let all = crowd(size);
            let of = |peer: &PeerId| {
                let others = all.iter().filter(|other| *other != peer).copied().collect();
                choose(*peer, &others)
            };
            for peer in &all {
                let chosen = of(peer);
                assert!((3..=NEIGHBOURS).contains(&chosen.len()), "{} of {size}", chosen.len());
                assert!(chosen.iter().all(|other| of(other).contains(peer)), "who is chosen chooses");
            }
            let mut reached: BTreeSet<PeerId> = all.iter().take(1).copied().collect();
            let mut steps = 0;
            while reached.len() < size {
                reached = reached.iter().flat_map(&of).chain(reached.iter().copied()).collect();
                steps += 1;
            }
            assert!(steps <= 8, "{steps} steps for {size}");
        }
    }
}
