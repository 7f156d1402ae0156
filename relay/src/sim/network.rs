//! The made-up network: how long things take, what is lost, who can reach whom.

use super::scenario::Scenario;
use driftline_core::base::rng::Rng;

/// How long a dial that nobody answers takes to fail, in milliseconds.
pub const DIAL_FAILS_MS: u64 = 3_000;

/// A connection of two peers. Each end belongs to one life of its peer: a peer that comes back does not know it.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Who dialled, and who was dialled.
    pub ends: [u32; 2],
    /// Which life of each.
    pub lives: [u32; 2],
    /// Whether each end is open.
    pub open: [bool; 2],
    /// When the last thing that is under way to each end arrives: a stream keeps its order.
    arrives_ms: [u64; 2],
}

/// The state of the wires.
#[derive(Debug)]
pub struct Network {
    latency_ms: (u64, u64),
    loss_percent: u64,
    centres: usize,
    centre_ms: u64,
    /// Whether the two halves cannot reach each other.
    pub is_cut: bool,
    /// Whether messages are being lost.
    pub is_lossy: bool,
    links: Vec<Link>,
    rng: Rng,
}

impl Network {
    /// The network of a scenario; nothing goes wrong in it yet.
    pub fn new(scenario: &Scenario, seed: [u8; 32]) -> Self {
        Self {
            latency_ms: scenario.latency_ms,
            loss_percent: scenario.loss_percent,
            centres: scenario.centres.max(1),
            centre_ms: scenario.centre_ms,
            is_cut: false,
            is_lossy: false,
            links: Vec::new(),
            rng: Rng::new(seed),
        }
    }

    /// A new connection; it is open at the end that was dialled.
    pub fn connect(&mut self, from: (u32, u32), to: (u32, u32)) -> u32 {
        let link = Link { ends: [from.0, to.0], lives: [from.1, to.1], open: [false, true], arrives_ms: [0; 2] };
        self.links.push(link);
        u32::try_from(self.links.len() - 1).expect("fewer connections than 2^32 are made")
    }

    /// A connection.
    pub fn link(&self, link: u32) -> &Link {
        &self.links[link as usize]
    }

    /// Opens or closes an end.
    pub fn set_open(&mut self, link: u32, end: usize, open: bool) {
        self.links[link as usize].open[end] = open;
    }

    /// Which end of a connection a peer has in a life of its.
    pub fn end_of(&self, link: u32, peer: u32) -> usize {
        usize::from(self.links[link as usize].ends[0] != peer)
    }

    /// Whether the network is cut between two peers.
    pub fn is_cut_between(&self, one: u32, other: u32) -> bool {
        self.is_cut && one % 2 != other % 2
    }

    /// Whether a message is lost.
    pub fn loses(&mut self) -> bool {
        self.is_lossy && self.rng.below(100) < self.loss_percent
    }

    /// How long something takes from one peer to another.
    pub fn delay_ms(&mut self, from: u32, to: u32) -> u64 {
        let (least, most) = self.latency_ms;
        let own = least + self.rng.below(most.saturating_sub(least) + 1);
        // Halves and centres are drawn from other digits of a peer's number.
        let is_far = (from / 2) as usize % self.centres != (to / 2) as usize % self.centres;
        if is_far { own + self.centre_ms } else { own }
    }

    /// When something sent now arrives at an end of a connection.
    pub fn arrival_ms(&mut self, now_ms: u64, link: u32, end: usize) -> u64 {
        let ends = self.links[link as usize].ends;
        let at_ms = now_ms + self.delay_ms(ends[1 - end], ends[end]);
        let last = &mut self.links[link as usize].arrives_ms[end];
        *last = at_ms.max(*last);
        *last
    }
}
