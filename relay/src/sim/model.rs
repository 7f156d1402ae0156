//! What a peer holds where there are too many for whole engines: bits, one for each rumour, in place of documents.
//!
//! It does with core's [`Rumours`] what an engine does with them: it says what is new and which neighbours are not known to hold
//! it, sends what it is told to send, and acknowledges what it is sent.

use driftline_core::gossip::rumour::{RumourConfig, Rumours, Spread};
use std::collections::BTreeMap;

/// What models say to each other. Each rumour is a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// This is the rumour.
    Push(u8),
    /// I hold it: an acknowledgement, or told to a neighbour that was not sent it.
    Held(u8),
    /// I hold these: send me what I lack, and tell me what you hold if you lack some.
    Compare(u64),
    /// I hold these: send me what I lack.
    Compared(u64),
}

/// What one peer holds.
pub struct Model {
    holds: u64,
    /// What each neighbour is known to hold.
    theirs: BTreeMap<u32, u64>,
    rumours: Rumours<u8, u32>,
}

impl Model {
    /// A peer that holds these.
    pub fn new(config: RumourConfig, seed: [u8; 32], holds: u64) -> Self {
        Self { holds, theirs: BTreeMap::new(), rumours: Rumours::new(config, seed) }
    }

    /// What it holds.
    pub fn holds(&self) -> u64 {
        self.holds
    }

    /// Learns of a neighbour.
    pub fn handle_joined(&mut self, link: u32) {
        self.theirs.insert(link, 0);
    }

    /// Learns that a neighbour is none any more.
    pub fn handle_left(&mut self, link: u32) {
        self.theirs.remove(&link);
        self.rumours.handle_gone(link);
    }

    /// Starts a rumour, or takes one in.
    pub fn handle_fresh(&mut self, now_ms: u64, rumour: u8) {
        self.holds |= 1 << rumour;
        let lacking = self.theirs.iter().filter(|(_, theirs)| *theirs & (1 << rumour) == 0).map(|(link, _)| *link);
        self.rumours.handle_fresh(now_ms, rumour, lacking);
    }

    /// Takes a packet; answers with packets for its sender.
    pub fn handle_packet(&mut self, now_ms: u64, link: u32, packet: Packet, answer: &mut Vec<Packet>) {
        let Some(theirs) = self.theirs.get_mut(&link) else { return };
        match packet {
            Packet::Push(rumour) => {
                *theirs |= 1 << rumour;
                answer.push(Packet::Held(rumour));
                if self.holds & (1 << rumour) == 0 {
                    self.handle_fresh(now_ms, rumour);
                } else {
                    self.rumours.handle_held(rumour, link);
                }
            }
            Packet::Held(rumour) => {
                *theirs |= 1 << rumour;
                self.rumours.handle_held(rumour, link);
            }
            Packet::Compare(held) | Packet::Compared(held) => {
                *theirs |= held;
                let lacking = self.holds & !held;
                answer.extend((0..64).filter(|rumour| lacking & (1 << rumour) != 0).map(Packet::Push));
                if held & !self.holds != 0 && matches!(packet, Packet::Compare(_)) {
                    answer.push(Packet::Compared(self.holds));
                }
            }
        }
    }

    /// The next packet that core wants sent, and on which connection.
    pub fn poll(&mut self, now_ms: u64) -> Option<(u32, Packet)> {
        self.rumours.poll(now_ms).map(|spread| match spread {
            Spread::Push(rumour, link) => (link, Packet::Push(rumour)),
            Spread::Tell(rumour, link) => (link, Packet::Held(rumour)),
        })
    }

    /// When to poll at the latest.
    pub fn next_deadline(&self) -> Option<u64> {
        self.rumours.next_deadline()
    }
}
