//! Who gets what is new now: rumours, each on its way through one peer.
//!
//! What is new goes at once to a few neighbours chosen at random (the fan-out), among those who are not known to hold it. The others are told
//! that it is here, in a few bytes, so that they need not send it back. Then, round by round, as many again of those who have not
//! said that they hold it are sent it, until all have. So under no loss everyone has it after about log N rounds, at a few copies
//! each; what is lost is found when all is compared with a neighbour, now and then.
//!
//! Source of the bound: B. Pittel, On spreading a rumor, 1987: with one push a round to a peer chosen among all, everyone of N knows it
//! after log2 N + ln N + O(1) rounds.

use crate::base::limits::RUMOURS_MAX;
use crate::base::rng::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Times a neighbour is sent something that it does not say it holds.
const PUSHES_MAX: u8 = 3;

/// How rumours spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RumourConfig {
    /// Neighbours that are sent something new in one round.
    pub fanout: usize,
    /// Milliseconds from one round to the next.
    pub round_ms: u64,
    /// Milliseconds after which it is sent again to a neighbour that has not said that it holds it.
    pub again_ms: u64,
    /// Milliseconds after which a neighbour that says that it holds something is asked for it, where it has not come by then. The engine
    /// counts them: whoever was in nobody's first round need not wait for the next.
    pub ask_ms: u64,
}

impl Default for RumourConfig {
    fn default() -> Self {
        Self { fanout: 4, round_ms: 100, again_ms: 2_000, ask_ms: 20 }
    }
}

/// What is to be done about a rumour. `K` stands for what is new, `P` for a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread<K, P> {
    /// Send it.
    Push(K, P),
    /// Say that it is held here.
    Tell(K, P),
}

/// All rumours that are on their way through one peer.
#[derive(Debug)]
pub struct Rumours<K, P> {
    config: RumourConfig,
    rng: Rng,
    rumours: BTreeMap<K, Rumour<P>>,
    /// When each goes on.
    due: BTreeSet<(u64, K)>,
    ready: VecDeque<Spread<K, P>>,
}

#[derive(Debug)]
struct Rumour<P> {
    /// Who was not sent it, in the order in which they will be.
    waiting: Vec<P>,
    /// Who was sent it and did not say that it holds it: when, and how often.
    pushed: BTreeMap<P, (u64, u8)>,
    /// Whether others have been told.
    told: bool,
    due_ms: u64,
}

impl<K: Ord + Copy, P: Ord + Copy> Rumours<K, P> {
    /// None yet. `seed` decides all choices.
    pub fn new(config: RumourConfig, seed: [u8; 32]) -> Self {
        Self { config, rng: Rng::new(seed), rumours: BTreeMap::new(), due: BTreeSet::new(), ready: VecDeque::new() }
    }

    /// Learns that there is something new, or that what was new has been added to, and which neighbours are not known to hold it.
    pub fn handle_fresh(&mut self, now_ms: u64, key: K, neighbours: impl IntoIterator<Item = P>) {
        self.forget(key);
        let mut waiting: Vec<P> = neighbours.into_iter().collect();
        if waiting.is_empty() {
            return;
        }
        if self.rumours.len() >= RUMOURS_MAX {
            self.ready.extend(waiting.into_iter().map(|neighbour| Spread::Push(key, neighbour)));
            return;
        }
        self.shuffle(&mut waiting);
        self.due.insert((now_ms, key));
        self.rumours.insert(key, Rumour { waiting, pushed: BTreeMap::new(), told: false, due_ms: now_ms });
    }

    /// Learns that a neighbour holds what is new.
    pub fn handle_held(&mut self, key: K, neighbour: P) {
        let Some(rumour) = self.rumours.get_mut(&key) else { return };
        rumour.waiting.retain(|waiting| *waiting != neighbour);
        rumour.pushed.remove(&neighbour);
        if rumour.waiting.is_empty() && rumour.pushed.is_empty() {
            self.forget(key);
        }
    }

    /// Learns that a neighbour has gone.
    pub fn handle_gone(&mut self, neighbour: P) {
        let keys: Vec<K> = self.rumours.keys().copied().collect();
        for key in keys {
            self.handle_held(key, neighbour);
        }
    }

    /// The next thing to do at this time, until there is none.
    pub fn poll(&mut self, now_ms: u64) -> Option<Spread<K, P>> {
        while self.ready.is_empty() {
            let (due_ms, key) = self.due.first().copied()?;
            if due_ms > now_ms {
                return None;
            }
            self.go_on(now_ms, key);
        }
        self.ready.pop_front()
    }

    /// When to poll again at the latest, in monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.ready.is_empty() { self.due.first().map(|(due_ms, _)| *due_ms) } else { Some(0) }
    }

    /// How many are on their way.
    pub fn len(&self) -> usize {
        self.rumours.len()
    }

    /// Whether all neighbours hold everything, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.rumours.is_empty() && self.ready.is_empty()
    }

    /// One round of one rumour.
    fn go_on(&mut self, now_ms: u64, key: K) {
        let Some(rumour) = self.rumours.get_mut(&key) else { return };
        self.due.remove(&(rumour.due_ms, key));
        let again_ms = self.config.again_ms;
        let waiting = &mut rumour.waiting;
        rumour.pushed.retain(|neighbour, (pushed_ms, times)| {
            let is_overdue = now_ms >= *pushed_ms + again_ms;
            if is_overdue && *times < PUSHES_MAX {
                // Behind the others, and only if it is not in the list already.
                if !waiting.contains(neighbour) {
                    waiting.insert(0, *neighbour);
                }
            }
            !(is_overdue && *times >= PUSHES_MAX)
        });
        for _ in 0..self.config.fanout.max(1) {
            let Some(neighbour) = rumour.waiting.pop() else { break };
            let (pushed_ms, times) = rumour.pushed.entry(neighbour).or_insert((now_ms, 0));
            (*pushed_ms, *times) = (now_ms, *times + 1);
            self.ready.push_back(Spread::Push(key, neighbour));
        }
        if !std::mem::replace(&mut rumour.told, true) {
            self.ready.extend(rumour.waiting.iter().map(|neighbour| Spread::Tell(key, *neighbour)));
        }
        let next_ms = if rumour.waiting.is_empty() {
            rumour.pushed.values().map(|(pushed_ms, _)| pushed_ms + again_ms).min()
        } else {
            Some(now_ms + self.config.round_ms.max(1))
        };
        match next_ms {
            Some(next_ms) => {
                rumour.due_ms = next_ms.max(now_ms + 1);
                self.due.insert((rumour.due_ms, key));
            }
            None => self.forget(key),
        }
    }

    fn forget(&mut self, key: K) {
        if let Some(rumour) = self.rumours.remove(&key) {
            self.due.remove(&(rumour.due_ms, key));
        }
    }

    /// Fisher and Yates.
    fn shuffle(&mut self, neighbours: &mut [P]) {
        for at in (1..neighbours.len()).rev() {
            neighbours.swap(at, self.rng.below(at as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rumours(fanout: usize) -> Rumours<u8, u32> {
        Rumours::new(RumourConfig { fanout, round_ms: 100, again_ms: 1_000, ..RumourConfig::default() }, [3; 32])
    }

    fn drain(rumours: &mut Rumours<u8, u32>, now_ms: u64) -> (Vec<u32>, Vec<u32>) {
        let (mut pushed, mut told) = (Vec::new(), Vec::new());
        while let Some(spread) = rumours.poll(now_ms) {
            match spread {
                Spread::Push(_, neighbour) => pushed.push(neighbour),
                Spread::Tell(_, neighbour) => told.push(neighbour),
            }
        }
        (pushed, told)
    }

    /// Ten neighbours and a fan-out of four: four, four and two, and those who were not sent it in the first round know that it is here.
    #[test]
    fn each_round_sends_it_to_so_many_and_tells_the_rest_once() {
        let mut rumours = rumours(4);
        rumours.handle_fresh(0, 1, 0..10);
        let (first, told) = drain(&mut rumours, 0);
        assert_eq!((first.len(), told.len()), (4, 6));
        assert!(told.iter().all(|neighbour| !first.contains(neighbour)));
        assert_eq!(drain(&mut rumours, 99), (vec![], vec![]));
        let (second, told) = drain(&mut rumours, 100);
        assert_eq!((second.len(), told.len()), (4, 0));
        assert_eq!(drain(&mut rumours, 200).0.len(), 2);
    }

    #[test]
    fn who_says_that_it_holds_it_is_not_sent_it() {
        let mut rumours = rumours(1);
        rumours.handle_fresh(0, 1, 0..10);
        let (first, told) = drain(&mut rumours, 0);
        rumours.handle_held(1, first[0]);
        told[1..].iter().for_each(|neighbour| rumours.handle_held(1, *neighbour));
        assert_eq!(drain(&mut rumours, 100), (vec![told[0]], vec![]));
        rumours.handle_held(1, told[0]);
        assert!(rumours.is_empty() && rumours.next_deadline().is_none());
    }

    #[test]
    fn who_does_not_say_so_is_sent_it_again_a_few_times() {
        let mut rumours = rumours(2);
        rumours.handle_fresh(0, 1, [7]);
        let mut pushes = Vec::new();
        for now_ms in 0..20_000 {
            pushes.extend(drain(&mut rumours, now_ms).0.into_iter().map(|_| now_ms));
        }
        assert_eq!(pushes, [0, 1_000, 2_000]);
        assert!(rumours.is_empty());
    }

    #[test]
    fn more_rumours_than_are_remembered_go_to_everyone_at_once() {
        let mut rumours: Rumours<u64, u32> = Rumours::new(RumourConfig::default(), [3; 32]);
        for key in 0..RUMOURS_MAX as u64 + 1 {
            rumours.handle_fresh(0, key, 0..6);
        }
        assert_eq!(rumours.len(), RUMOURS_MAX);
        let pushed = std::iter::from_fn(|| rumours.poll(0)).filter(|spread| *spread == Spread::Push(RUMOURS_MAX as u64, 5));
        assert_eq!(pushed.count(), 1);
    }

    proptest! {
        /// Whatever is lost or said, nobody is sent anything more often than three times, all are sent it who do not say that they hold it, and it ends.
        #[test]
        fn everyone_is_sent_it_and_it_ends(fanout in 1usize..6, count in 0u32..40, silent in any::<u64>(), steps in 1u64..400) {
            let mut rumours = rumours(fanout);
            rumours.handle_fresh(0, 1, 0..count);
            let mut sent: BTreeMap<u32, u8> = BTreeMap::new();
            let mut now_ms = 0;
            for _ in 0..1_000 {
                for neighbour in drain(&mut rumours, now_ms).0 {
                    *sent.entry(neighbour).or_default() += 1;
                    if silent & (1 << (neighbour % 64)) == 0 {
                        rumours.handle_held(1, neighbour);
                    }
                }
                let Some(next_ms) = rumours.next_deadline() else { break };
                now_ms = next_ms.max(now_ms + steps);
            }
            prop_assert!(rumours.is_empty());
            prop_assert_eq!(sent.len(), count as usize);
            prop_assert!(sent.values().all(|times| *times <= PUSHES_MAX));
        }
    }
}
