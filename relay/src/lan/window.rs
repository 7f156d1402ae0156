//! The time in which strangers may pair: which code, until when, how often, and one at a time.
//!
//! One at a time, because each pairing may settle the space, and the next must offer it.

use super::code::PairingCode;
use super::limits::*;
use libp2p::PeerId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A code, and what has been tried with it.
#[derive(Debug)]
pub(super) struct PairingWindow {
    code: PairingCode,
    until: Instant,
    /// A pairing is under way.
    busy: bool,
    /// Pairings that strangers may still begin now.
    tokens: f64,
    refilled: Instant,
    /// Whom this side asks again, when, and how long it will wait the time after.
    asked: BTreeMap<PeerId, (Instant, Duration)>,
    /// Who has been paired with by this code.
    done: BTreeSet<PeerId>,
}

impl PairingWindow {
    pub(super) fn new(code: PairingCode, now: Instant) -> Self {
        Self {
            code,
            until: now + PAIRING_OPEN_TIME_MAX,
            busy: false,
            tokens: PAIRINGS_AT_ONCE,
            refilled: now,
            asked: BTreeMap::new(),
            done: BTreeSet::new(),
        }
    }

    pub(super) fn code(&self) -> &PairingCode {
        &self.code
    }

    /// Whether the code is taken still.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Whether a pairing is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Begins a pairing that someone else asked for; answers whether it may.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let refill = now.saturating_duration_since(self.refilled).as_secs_f64() * PAIRINGS_PER_SECOND;
        self.tokens = (self.tokens + refill).min(PAIRINGS_AT_ONCE);
        self.refilled = now;
        if self.busy || !self.is_open(now) || self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        self.busy = true;
        true
    }

    /// Whether `peer` may be asked by this side.
    pub(super) fn is_asking(&self, peer: &PeerId, now: Instant) -> bool {
        self.is_open(now) && !self.done.contains(peer) && self.asked.get(peer).is_none_or(|(at, _)| *at <= now)
    }

    /// When `peer` may be asked; nothing when it need not be.
    pub(super) fn ask_at(&self, peer: &PeerId, now: Instant) -> Option<Instant> {
        let wanted = self.is_open(now) && !self.busy && !self.done.contains(peer);
        wanted.then(|| self.asked.get(peer).map_or(now, |(at, _)| *at))
    }

    /// Begins to ask a peer; answers whether it may.
    pub(super) fn ask(&mut self, peer: &PeerId, now: Instant) -> bool {
        if self.busy || !self.is_asking(peer, now) {
            return false;
        }
        self.busy = true;
        true
    }

    /// Notes how a pairing ended. One that was asked and did not know the code is asked again, ever less often; one that was busy, soon.
    pub(super) fn on_end(&mut self, peer: PeerId, outcome: Outcome, now: Instant) {
        self.busy = false;
        if !self.asked.contains_key(&peer) && self.asked.len() >= PEERS_KNOWN_MAX {
            self.asked.pop_first();
        }
        match outcome {
            Outcome::Paired => {
                self.asked.remove(&peer);
                self.done.insert(peer);
            }
            Outcome::Busy => drop(self.asked.insert(peer, (now + PAIRING_RETRY_FIRST / 2, PAIRING_RETRY_FIRST))),
            Outcome::Failed => {
                let wait = self.asked.get(&peer).map_or(PAIRING_RETRY_FIRST, |(_, wait)| *wait);
                self.asked.insert(peer, (now + wait, (wait * 2).min(PAIRING_RETRY_MAX)));
            }
        }
    }
}

/// How a pairing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Each is on the other's list.
    Paired,
    /// The other side was pairing with someone else.
    Busy,
    /// Anything else.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_get_so_many_tries_and_then_one_by_one() {
        let start = Instant::now();
        let mut window = PairingWindow::new(PairingCode::fresh(), start);
        let mut tries = |now| {
            let mut tries = 0;
            while window.admit(now) {
                assert!(!window.admit(now), "one at a time");
                window.on_end(PeerId::random(), Outcome::Failed, now);
                tries += 1;
            }
            tries
        };
        assert_eq!(tries(start), PAIRINGS_AT_ONCE as usize);
        assert_eq!(tries(start + Duration::from_secs(3)), 3 * PAIRINGS_PER_SECOND as usize);
        assert_eq!(tries(start + PAIRING_OPEN_TIME_MAX), 0, "the window is closed");
    }

    #[test]
    fn who_does_not_know_the_code_is_asked_ever_less_often_and_who_is_paired_no_more() {
        let start = Instant::now();
        let mut window = PairingWindow::new(PairingCode::fresh(), start);
        let peer = PeerId::random();
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert!(window.ask(&peer, now) && !window.ask(&PeerId::random(), now));
            window.on_end(peer, Outcome::Failed, now);
            let at = window.ask_at(&peer, now).expect("it is asked again");
            waits.push(at.duration_since(now));
            now = at;
        }
        assert_eq!((waits[0], waits[7]), (PAIRING_RETRY_FIRST, PAIRING_RETRY_MAX));
        assert!(window.ask(&peer, now));
        window.on_end(peer, Outcome::Paired, now);
        assert!(window.ask_at(&peer, now).is_none() && !window.ask(&peer, now + PAIRING_RETRY_MAX));
    }
}
