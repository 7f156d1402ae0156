//! Neighbours: what the membership is told of the network, and what is done of what it wants.
//!
//! What peers say to each other of peers travels on streams of its own, one message each: they are few, and a stream that is kept open costs more than one that
//! is opened once a minute.

use super::{Node, Order};
use crate::lan::identity::{network_peer_of, peer_of};
use crate::lan::limits::{FAREWELL_TIME_MAX, REMIND, STREAM_TIME_MAX};
use crate::lan::neighbours::Wish;
use crate::lan::peers::is_loopback;
use crate::lan::swarm::GOSSIP;
use driftline_core::engine::input::Command;
use driftline_core::gossip::message::{Addresses, GOSSIP_FRAME_BYTES_MAX, GossipMessage};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Stream};
use libp2p_stream::Control;
use std::time::Instant;

impl Node {
    /// Does what the membership wants.
    pub(super) fn tend_neighbours(&mut self) {
        let now = Instant::now();
        if now >= self.remind_at {
            self.remind_at = now + REMIND;
            self.remind();
        }
        let lines = &self.lines;
        self.neighbours.on_time(now, |peer| lines.contains_key(peer));
        while let Some(wish) = self.neighbours.next_wish(now) {
            match wish {
                Wish::Call(peer, _) if self.neighbours.has(&peer) => {}
                Wish::Call(peer, addresses) => self.want_called(peer, addresses, now),
                Wish::Say(peer, message) => {
                    let control = self.control.clone();
                    tokio::spawn(async move { say(control, peer, &message).await });
                }
                Wish::Join(peer) => self.name_to_engine(peer),
                Wish::Leave(peer) => self.take_from_engine(&peer),
                Wish::HangUp(peer, farewell) => self.part(peer, farewell),
                Wish::Compare(peer) => self.compare(&peer),
            }
        }
    }

    /// Offers a peer on the list as a neighbour, if it is known where it is, or could be reached through a relay.
    pub(super) fn offer(&mut self, id: &PeerId) {
        let Some(peer) = self.peers.get(id).filter(|_| self.is_listed(id)) else { return };
        // What was learned last is most likely still so.
        let addresses: Vec<Multiaddr> = peer.addresses().iter().rev().cloned().chain(self.relays.circuits()).collect();
        if !addresses.is_empty() {
            self.neighbours.found(id, &addresses, peer.told, Instant::now());
        }
    }

    /// Offers again whom the membership has forgotten after it was long away: nobody else will tell of it, and it is on the list.
    fn remind(&mut self) {
        let listed: Vec<PeerId> = self.list().peers().filter_map(|(peer, _)| network_peer_of(peer)).collect();
        for peer in listed.iter().filter(|peer| !self.neighbours.knows(peer)).copied().collect::<Vec<_>>() {
            self.offer(&peer);
        }
    }

    /// Notes that a peer on the list is connected.
    pub(super) fn meet(&mut self, id: PeerId, called: bool) {
        self.neighbours.listening(self.swarm.listeners().chain(self.swarm.external_addresses()));
        self.neighbours.connected(id, called, Instant::now());
        self.calls.no_longer_wanted(&id);
    }

    /// Hangs up on a peer once it has heard why.
    fn part(&mut self, id: PeerId, farewell: Option<GossipMessage>) {
        let connections: Vec<ConnectionId> =
            self.peers.get(&id).map(|peer| peer.connections.keys().copied().collect()).unwrap_or_default();
        let Some(farewell) = farewell else { return self.close(&id, connections) };
        let (control, orders) = (self.control.clone(), self.orders.clone());
        tokio::spawn(async move {
            drop(tokio::time::timeout(FAREWELL_TIME_MAX, say(control, id, &farewell)).await);
            drop(orders.send(Order::Parted { peer: id, connections }).await);
        });
    }

    /// Closes these connections of a peer, where it has not become a neighbour again.
    pub(super) fn close(&mut self, id: &PeerId, connections: Vec<ConnectionId>) {
        if !self.neighbours.has(id) {
            connections.into_iter().for_each(|connection| self.doom(id, connection));
        }
    }

    /// Has the engine compare the space with a neighbour.
    fn compare(&self, id: &PeerId) {
        let space = *self.space.borrow();
        if let (Some(host), Some(space), Some(peer)) = (&self.host, space, peer_of(id)) {
            host.command(Command::Compare { space, peer });
        }
    }

    /// Takes a stream on which a peer says something of peers.
    pub(super) fn on_gossip_stream(&mut self, peer: PeerId, stream: Stream) {
        if !self.is_listed(&peer) {
            self.refused.streams += 1;
            return;
        }
        let orders = self.orders.clone();
        tokio::spawn(async move {
            if let Ok(message) = tokio::time::timeout(STREAM_TIME_MAX, hear(stream)).await {
                drop(orders.send(Order::Said { peer, message }).await);
            }
        });
    }

    /// Takes what a peer said, and of whom it tells those on the list: others are no business of ours.
    pub(super) fn on_said(&mut self, id: PeerId, message: Option<GossipMessage>) {
        let Some(mut message) = message else {
            tracing::info!(peer = %id, "what the peer said of others cannot be read");
            self.refused.streams += 1;
            return;
        };
        let mut connections = self.peers.get(&id).into_iter().flat_map(|peer| peer.connections.values());
        let is_near = connections.any(|connection| is_loopback(&connection.address));
        if let GossipMessage::Greeting { contacts, .. }
        | GossipMessage::Shuffle { contacts }
        | GossipMessage::Contacts { contacts }
        | GossipMessage::Full { contacts } = &mut message
        {
            let list = self.list();
            contacts.retain(|contact| list.has(&contact.peer));
            contacts.iter_mut().for_each(|contact| contact.addresses = callable(&contact.addresses, is_near));
        }
        self.neighbours.said(&id, message, Instant::now());
    }
}

/// The addresses that can be called from here: those of the other machine itself mean another one here.
fn callable(addresses: &Addresses, is_near: bool) -> Addresses {
    let leads_there =
        |address: &&std::sync::Arc<str>| address.parse::<Multiaddr>().is_ok_and(|address| is_near || !is_loopback(&address));
    addresses.iter().filter(leads_there).cloned().collect()
}

/// Says something on a stream of its own, and waits until it was read.
async fn say(mut control: Control, peer: PeerId, message: &GossipMessage) {
    let saying = async {
        // Whoever does not speak this does without.
        let mut stream = control.open_stream(peer, GOSSIP).await.ok()?;
        stream.write_all(&message.encode()).await.ok()?;
        stream.close().await.ok()?;
        // Nothing comes; that the other side lets go says that it has read.
        stream.read(&mut [0]).await.ok()
    };
    drop(tokio::time::timeout(STREAM_TIME_MAX, saying).await);
}

/// What is said on a stream; nothing where that cannot be understood.
async fn hear(stream: Stream) -> Option<GossipMessage> {
    let mut frame = Vec::new();
    stream.take(GOSSIP_FRAME_BYTES_MAX as u64 + 1).read_to_end(&mut frame).await.ok()?;
    GossipMessage::decode(&frame).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_others_own_machine_is_worth_nothing_elsewhere() {
        let told: Addresses = ["/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.1/udp/1/quic-v1", "rubbish"]
            .map(std::sync::Arc::from)
            .into_iter()
            .collect();
        assert_eq!(callable(&told, false).len(), 1);
        assert_eq!(callable(&told, true).len(), 2);
    }
}
