//! Bad links: paths between replicas, and the connections that run over them.
//!
//! A path goes one way. It delays, and while it is cut it carries nothing: what was sent waits, as it would in a
//! socket, and arrives when the cut ends, unless its connection died meanwhile. Nobody is told of a cut.

use super::dice::Dice;
use driftline_core::base::id::ConnectionId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The longest delay of a path that is well, in milliseconds.
const CALM_DELAY_MS_MAX: u64 = 300;

/// One side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The replica.
    pub replica: usize,
    /// Which of its processes.
    pub life: u32,
    /// What that process calls the connection.
    pub connection: ConnectionId,
    /// Whether the process has not been told yet that it is gone.
    pub open: bool,
}

/// What travels.
#[derive(Clone, Debug)]
pub enum Cargo {
    /// A frame, and whether its sender was told that it left.
    Frame(Arc<[u8]>, bool),
    /// The end of the connection, with what the other side hears of it.
    Close(String),
}

/// A connection: two ends, and what travels from each to the other.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The two sides; side 0 dialled.
    pub ends: [End; 2],
    /// Whether it is dead, though its ends may not have heard.
    dead: bool,
    lanes: [VecDeque<(u64, Cargo)>; 2],
    last_ms: [u64; 2],
}

#[derive(Clone, Debug, Default)]
struct Path {
    cuts: u32,
    slow: u32,
}

/// All paths and connections of a world.
#[derive(Clone, Debug)]
pub struct Links {
    /// Connections that have not ended on both sides.
    pub wires: BTreeMap<u64, Wire>,
    paths: BTreeMap<(usize, usize), Path>,
    next: u64,
    dice: Dice,
    /// The usual delay at most.
    pub delay_ms_max: u64,
    calm: bool,
}

impl Links {
    /// No connections; paths that delay by up to `delay_ms_max`.
    pub fn new(seed: u64, delay_ms_max: u64) -> Self {
        Self {
            wires: BTreeMap::new(),
            paths: BTreeMap::new(),
            next: 1,
            dice: Dice::new(seed, "network"),
            delay_ms_max,
            calm: false,
        }
    }

    /// A delay as paths have it: mostly short, sometimes ten times the usual.
    pub fn delay_ms(&mut self) -> u64 {
        let usual = self.dice.below(self.delay_ms_max + 1);
        if !self.calm && self.dice.percent(3) { usual * 10 } else { usual }
    }

    /// Joins two ends.
    pub fn join(&mut self, dialled: End, accepted: End) -> u64 {
        let number = self.next;
        self.next += 1;
        self.wires.insert(number, Wire { ends: [dialled, accepted], dead: false, lanes: Default::default(), last_ms: [0; 2] });
        number
    }

    /// Whether what `from` sends now reaches `to`.
    pub fn is_open(&self, from: usize, to: usize) -> bool {
        self.paths.get(&(from, to)).is_none_or(|path| path.cuts == 0)
    }

    /// Whether `to` takes its time with what `from` sends.
    pub fn is_slow(&self, from: usize, to: usize) -> bool {
        self.paths.get(&(from, to)).is_some_and(|path| path.slow > 0)
    }

    /// Cuts a path; cuts add up.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.paths.entry((from, to)).or_default().cuts += 1;
    }

    /// Undoes one cut of a path, and answers the lanes that can move again.
    pub fn mend(&mut self, from: usize, to: usize) -> Vec<(u64, usize, usize)> {
        let path = self.paths.entry((from, to)).or_default();
        path.cuts = path.cuts.saturating_sub(1);
        if path.cuts == 0 { self.waiting(|a, b| (a, b) == (from, to)) } else { Vec::new() }
    }

    /// Makes the reader at the end of a path slow; a slow path carries nothing, and what is sent is not reported written.
    pub fn slow(&mut self, from: usize, to: usize) {
        self.paths.entry((from, to)).or_default().slow += 1;
        self.cut(from, to);
    }

    /// Undoes one [`Self::slow`].
    pub fn quicken(&mut self, from: usize, to: usize) -> Vec<(u64, usize, usize)> {
        let path = self.paths.entry((from, to)).or_default();
        path.slow = path.slow.saturating_sub(1);
        self.mend(from, to)
    }

    /// Ends all cuts and long delays, and answers the lanes that can move again.
    pub fn mend_all(&mut self) -> Vec<(u64, usize, usize)> {
        self.calm = true;
        self.delay_ms_max = self.delay_ms_max.min(CALM_DELAY_MS_MAX);
        let bad: BTreeSet<_> = self.paths.iter().filter(|(_, path)| path.cuts > 0).map(|(ends, _)| *ends).collect();
        self.paths.clear();
        self.waiting(|a, b| bad.contains(&(a, b)))
    }

    /// Puts something on a lane, and answers when it arrives if nothing is in its way.
    pub fn send(&mut self, wire: u64, side: usize, now_ms: u64, cargo: Cargo) -> Option<u64> {
        let delay = self.delay_ms();
        let wire = self.wires.get_mut(&wire).filter(|wire| !wire.dead)?;
        let at = (now_ms + delay).max(wire.last_ms[side]);
        wire.last_ms[side] = at;
        wire.lanes[side].push_back((at, cargo));
        Some(at)
    }

    /// The next thing that has arrived on a lane by `now_ms`, when its path is open.
    pub fn arrive(&mut self, wire: u64, side: usize, now_ms: u64) -> Option<Cargo> {
        let ends = self.wires.get(&wire)?.ends;
        if !self.is_open(ends[side].replica, ends[1 - side].replica) {
            return None;
        }
        let lane = &mut self.wires.get_mut(&wire)?.lanes[side];
        if lane.front()?.0 > now_ms {
            return None;
        }
        lane.pop_front().map(|(_, cargo)| cargo)
    }

    /// A connection dies: of what is on its way each side still gets the first few, chance says how many, and nothing of
    /// what is sent after.
    pub fn reset(&mut self, wire: u64) {
        let Some(found) = self.wires.get_mut(&wire) else { return };
        for lane in &mut found.lanes {
            let kept = self.dice.index(lane.len() + 1);
            lane.truncate(kept);
        }
        found.dead = true;
    }

    /// One side is gone, and the other is not told.
    pub fn vanish(&mut self, wire: u64, side: usize) {
        if let Some(found) = self.wires.get_mut(&wire) {
            found.ends[side].open = false;
            found.lanes.iter_mut().for_each(VecDeque::clear);
        }
        self.forget_ended(wire);
    }

    /// Drops what is on its way on a lane, because nobody is there to read it.
    pub fn drain(&mut self, wire: u64, side: usize) {
        if let Some(found) = self.wires.get_mut(&wire) {
            found.lanes[side].clear();
        }
    }

    /// Forgets a connection that has ended on both sides.
    pub fn forget_ended(&mut self, wire: u64) {
        if self.wires.get(&wire).is_some_and(|found| found.ends.iter().all(|end| !end.open)) {
            self.wires.remove(&wire);
        }
    }

    /// Lanes with something on them, of paths that `wanted` names: the wire, the side that sends, and how many things.
    fn waiting(&self, wanted: impl Fn(usize, usize) -> bool) -> Vec<(u64, usize, usize)> {
        let mut found = Vec::new();
        for (number, wire) in &self.wires {
            for side in 0..2 {
                if !wire.lanes[side].is_empty() && wanted(wire.ends[side].replica, wire.ends[1 - side].replica) {
                    found.push((*number, side, wire.lanes[side].len()));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> (Links, u64) {
        let mut links = Links::new(1, 0);
        let end = |replica| End { replica, life: 1, connection: ConnectionId(1), open: true };
        let wire = links.join(end(0), end(1));
        (links, wire)
    }

    fn frame(byte: u8) -> Cargo {
        Cargo::Frame(Arc::from([byte]), true)
    }

    #[test]
    fn a_cut_path_keeps_what_was_sent_in_order_until_it_is_mended() {
        let (mut links, wire) = links();
        links.cut(0, 1);
        links.send(wire, 0, 5, frame(1));
        links.send(wire, 0, 6, frame(2));
        assert!(links.arrive(wire, 0, 9).is_none());
        assert!(links.is_open(1, 0), "the other way is another path");
        assert_eq!(links.mend(0, 1), [(wire, 0, 2)]);
        assert!(matches!(links.arrive(wire, 0, 9), Some(Cargo::Frame(bytes, _)) if bytes[0] == 1));
        assert!(matches!(links.arrive(wire, 0, 9), Some(Cargo::Frame(bytes, _)) if bytes[0] == 2));
    }

    #[test]
    fn a_reset_loses_a_tail_of_what_was_on_its_way() {
        let mut kept = BTreeSet::new();
        for seed in 0..50 {
            let (mut links, wire) = links();
            links.dice = Dice::new(seed, "network");
            (0..3).for_each(|byte| _ = links.send(wire, 0, 0, frame(byte)));
            links.reset(wire);
            kept.insert(std::iter::from_fn(|| links.arrive(wire, 0, 100)).count());
        }
        assert_eq!(kept, BTreeSet::from([0, 1, 2, 3]));
    }
}
