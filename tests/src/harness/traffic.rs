//! What goes over the links: frames, the ends of connections, and dials.

use super::link::{Cargo, End};
use super::replica::{Connection, Replica};
use super::world::{Happening, World};
use driftline_core::base::id::ConnectionId;
use driftline_core::engine::input::Input;
use driftline_core::sync::message::Message;
use std::sync::Arc;

/// How long a dial waits for a path that carries nothing, in milliseconds.
const DIAL_MS_MAX: u64 = 5_000;

impl World {
    pub(super) fn send(&mut self, index: usize, connection: ConnectionId, frame: Arc<[u8]>) -> Option<usize> {
        let tag = *frame.first().expect("S7: an empty frame");
        let name = Message::NAMES.iter().find(|(known, _)| *known == tag).expect("S7: a frame of no message").1;
        self.tally.count(&format!("message {name}"));
        // Keeping a connection alive and repeating who is here goes on for ever.
        if !matches!(name, "ping" | "pong" | "presence") {
            self.busy_ms = self.now_ms;
        }
        let frame_bytes_max = self.replicas.iter().map(|replica| replica.limits.frame_bytes_max).min().unwrap_or(usize::MAX);
        assert!(frame.len() <= frame_bytes_max, "S7: replica {index} sends a {name} of {} bytes", frame.len());
        if name == "subscribe" {
            self.asks(index, connection);
        }
        if name == "error"
            && let Ok(Message::Error { code, .. }) = Message::decode(&frame)
        {
            self.tally.count(&format!("refused {}", code.word()));
        }
        self.judge_sending(index, connection, name);
        self.judge_clear(index, connection, &frame);
        if matches!(name, "entries" | "strands") {
            self.changes_sent += match Message::decode(&frame) {
                Ok(Message::Entries { payloads, .. }) => payloads.len() as u64,
                Ok(Message::Strands { items }) => items.len() as u64,
                _ => 0,
            };
        }
        self.tally.add("bytes sent", frame.len() as u64);
        let limits = &self.replicas[index].limits;
        let bound = limits.outbound_bytes_max + 2 * limits.frame_bytes_max;
        // A connection that is gone and whose end was not told yet takes frames and loses them.
        let found = self.replicas[index].connections.get_mut(&connection)?;
        found.unwritten += frame.len();
        assert!(found.unwritten <= bound, "S7: replica {index} has {} bytes waiting on one connection", found.unwritten);
        let (wire, side, bytes) = (found.wire, found.side, frame.len());
        let reports = self.links.wires.get(&wire).is_none_or(|wire| {
            let (from, to) = (wire.ends[side].replica, wire.ends[1 - side].replica);
            !self.links.is_slow(from, to)
        });
        let other = self.links.wires.get(&wire).map(|wire| wire.ends[1 - side].replica);
        let passes = match other {
            Some(other) if reports && self.is_cheated(index, other) => self.twisted((wire, side), index, frame),
            _ => vec![frame],
        };
        for frame in passes {
            if let Some(at) = self.links.send(wire, side, self.now_ms, Cargo::Frame(frame, reports)) {
                self.plan(at, Happening::Arrive(wire, side));
            }
        }
        reports.then_some(bytes)
    }

    /// A replica asks to sync with whom it dialled.
    fn asks(&mut self, index: usize, connection: ConnectionId) {
        let dialled = self.replicas[index].connections.get(&connection).filter(|found| found.side == 0);
        let wire = dialled.and_then(|found| self.links.wires.get(&found.wire));
        if let Some(other) = wire.map(|wire| wire.ends[1].replica) {
            self.oracle.on_subscribe(index, connection, other);
        }
    }

    /// A replica says with how many it is in sync.
    pub(super) fn says_in_sync(&self, index: usize, in_sync: usize) {
        let Replica { engine: Some(engine), connections, ended, .. } = &self.replicas[index] else { return };
        let (dialled, others): (Vec<_>, Vec<_>) = connections.iter().partition(|(_, connection)| connection.side == 0);
        let dialled: Vec<ConnectionId> = dialled.into_iter().map(|(connection, _)| *connection).collect();
        self.oracle.on_in_sync(index, (engine, &dialled, others.len() + ended), in_sync);
    }

    /// One side of a wire goes away without a word more than that.
    pub fn hang_up(&mut self, wire: u64, side: usize, heard: &str) {
        let Some(found) = self.links.wires.get_mut(&wire) else { return };
        if !found.ends[side].open {
            return;
        }
        found.ends[side].open = false;
        self.links.drain(wire, 1 - side);
        if let Some(at) = self.links.send(wire, side, self.now_ms, Cargo::Close(heard.to_owned())) {
            self.plan(at, Happening::Arrive(wire, side));
        }
        self.links.forget_ended(wire);
    }

    pub(super) fn arrive(&mut self, wire: u64, side: usize) {
        let Some(cargo) = self.links.arrive(wire, side, self.now_ms) else { return };
        let Some(ends) = self.links.wires.get(&wire).map(|wire| wire.ends) else { return };
        let (from, to) = (ends[side], ends[1 - side]);
        match cargo {
            Cargo::Frame(bytes, reported) => {
                if !reported && from.open {
                    self.plan(self.now_ms, Happening::Written(from.replica, from.life, from.connection, bytes.len()));
                }
                if to.open && self.replicas[to.replica].life == to.life {
                    self.tell(to.replica, Input::Frame { connection: to.connection, bytes });
                }
            }
            Cargo::Close(reason) => {
                if to.open && self.replicas[to.replica].life == to.life {
                    self.gone(to.replica, to.connection, reason);
                }
            }
        }
    }

    /// A process hears that a connection is gone: once.
    pub(super) fn gone(&mut self, index: usize, connection: ConnectionId, reason: String) {
        let Some(found) = self.replicas[index].connections.remove(&connection) else { return };
        if let Some(wire) = self.links.wires.get_mut(&found.wire) {
            wire.ends[found.side].open = false;
        }
        self.links.drain(found.wire, 1 - found.side);
        self.links.forget_ended(found.wire);
        self.tally.count("connection gone");
        self.replicas[index].ended += 1;
        self.tell(index, Input::Disconnected { connection, reason });
    }

    pub(super) fn dialled(&mut self, index: usize, life: u32, endpoint: String) {
        let target: usize = endpoint.strip_prefix("sim:").and_then(|rest| rest.parse().ok()).expect("an endpoint of this world");
        if !self.links.is_open(index, target) || !self.links.is_open(target, index) {
            return self.plan(self.now_ms + DIAL_MS_MAX, Happening::DialFailed(index, life, endpoint));
        }
        if !self.replicas[target].is_up() || !self.replicas[index].online {
            return self.plan(self.now_ms + 1, Happening::DialFailed(index, life, endpoint));
        }
        let (here, there) = (self.replicas[index].next_connection(), self.replicas[target].next_connection());
        let end = |replica: usize, life, connection| End { replica, life, connection, open: true };
        let wire = self.links.join(end(index, life, here), end(target, self.replicas[target].life, there));
        self.replicas[index].connections.insert(here, Connection { wire, side: 0, unwritten: 0 });
        self.replicas[target].connections.insert(there, Connection { wire, side: 1, unwritten: 0 });
        self.tally.count("connection opened");
        self.tell(target, Input::Connected { connection: there, endpoint: None });
        if self.replicas[index].connections.contains_key(&here) {
            self.tell(index, Input::Connected { connection: here, endpoint: Some(endpoint) });
        }
    }

    /// Lets things arrive that waited for a path.
    pub fn move_on(&mut self, moving: Vec<(u64, usize, usize)>) {
        for (wire, side, many) in moving {
            for turn in 0..many {
                // What was sent before the path came back is not delayed again, but what is on its way arrives in its time.
                self.plan(self.now_ms + turn as u64, Happening::Arrive(wire, side));
            }
        }
    }

    pub(super) fn reset_one(&mut self, choice: u64) {
        let wires: Vec<_> = self.links.wires.keys().copied().collect();
        let Some(wire) = wires.get((choice % wires.len().max(1) as u64) as usize).copied() else { return };
        self.tally.count("fault Reset");
        self.links.reset(wire);
        let ends = self.links.wires[&wire].ends;
        for End { replica, life, connection, open } in ends {
            if open {
                let at = self.now_ms + self.fault_dice.below(2_000);
                self.plan(at, Happening::Gone(replica, life, connection, "the connection was reset".to_owned()));
            }
        }
    }
}
