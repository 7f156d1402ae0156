//! Pairings: who is asked, whose question is answered, and what comes of it.

use super::{Node, Order};
use crate::lan::identity::peer_of;
use crate::lan::limits::STREAM_TIME_MAX;
use crate::lan::pairing::{self, Offer, Paired, PairingError, Role};
use crate::lan::status::LanNews;
use crate::lan::swarm::PAIR;
use crate::lan::window::Outcome;
use libp2p::{PeerId, Stream};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// How a pairing ended.
pub(in crate::lan) struct PairingEnd {
    /// With whom.
    peer: PeerId,
    /// Which side this was.
    role: Role,
    /// How.
    result: Result<Paired, PairingError>,
}

/// How the stream for a pairing comes about.
enum Opening {
    /// It was accepted.
    Accepted(Stream),
    /// This side opens it.
    Open,
}

impl Node {
    /// Asks a connected peer to pair, if it is this side's turn to ask.
    pub(super) fn ask_to_pair(&mut self, peer: PeerId, now: Instant) {
        if self.is_caller(&peer) && !self.relays.has(&peer) && self.window.as_mut().is_some_and(|window| window.ask(&peer, now)) {
            self.pair(peer, Opening::Open);
        }
    }

    /// When a connected peer is to be asked next; those whose time has come are asked.
    pub(super) fn next_asking(&mut self, now: Instant) -> Option<Instant> {
        self.window.as_ref().filter(|window| window.is_open(now))?;
        let asked: Vec<(PeerId, Instant)> = self
            .peers
            .iter()
            .filter(|(id, peer)| peer.is_connected() && self.is_caller(id) && !self.relays.has(id))
            .filter_map(|(id, _)| Some((*id, self.window.as_ref()?.ask_at(id, now)?)))
            .collect();
        for (peer, _) in asked.iter().filter(|(_, at)| *at <= now) {
            self.ask_to_pair(*peer, now);
        }
        asked.into_iter().map(|(_, at)| at).filter(|at| *at > now).min()
    }

    /// Takes a stream that a peer opened to pair, or hangs it up.
    pub(super) fn on_pair_stream(&mut self, peer: PeerId, stream: Stream) {
        if self.window.as_mut().is_some_and(|window| window.admit(Instant::now())) {
            self.pair(peer, Opening::Accepted(stream));
        } else {
            self.refused.streams += 1;
        }
    }

    fn pair(&self, network_peer: PeerId, opening: Opening) {
        let (Some(window), Some(peer)) = (&self.window, peer_of(&network_peer)) else { return };
        let (code, own, name) = (window.code().clone(), self.identity.peer(), self.name.clone());
        let settled = self.list().space();
        let offer = Offer { settled: settled.is_some(), space: settled.unwrap_or(self.made_up_space) };
        let (list, mut control, orders) = (Arc::clone(&self.list), self.control.clone(), self.orders.clone());
        tokio::spawn(async move {
            let role = if matches!(opening, Opening::Open) { Role::Opener } else { Role::Answerer };
            let stream = match opening {
                Opening::Accepted(stream) => Ok(stream),
                Opening::Open => match tokio::time::timeout(STREAM_TIME_MAX, control.open_stream(network_peer, PAIR)).await {
                    Ok(Ok(stream)) => Ok(stream),
                    // It is not pairing, or not any more.
                    _ => Err(PairingError::Busy),
                },
            };
            let enlist = async |paired: &Paired| {
                let (list, name, space) = (Arc::clone(&list), paired.name.clone(), paired.space);
                let writing = move || list.lock().unwrap_or_else(PoisonError::into_inner).add(peer, &name, space);
                tokio::task::spawn_blocking(writing).await.map_err(io::Error::other)?
            };
            let result = match stream {
                Ok(stream) => pairing::pair(stream, role, own, peer, &code, (offer, &name), enlist).await,
                Err(error) => Err(error),
            };
            drop(orders.send(Order::Pairing(PairingEnd { peer: network_peer, role, result })).await);
        });
    }

    pub(super) fn on_pairing_end(&mut self, PairingEnd { peer: id, role, result }: PairingEnd) {
        let outcome = match &result {
            Ok(_) => Outcome::Paired,
            Err(PairingError::Busy) => Outcome::Busy,
            Err(_) => Outcome::Failed,
        };
        if let Some(window) = &mut self.window {
            window.on_end(id, outcome, Instant::now());
        }
        if self.is_listed(&id)
            && let Some(peer) = self.peers.get_mut(&id)
        {
            peer.believe(Instant::now());
        }
        self.close_all_surplus();
        // Also one that broke at its end may have settled the space.
        let space = self.list().space();
        self.space.send_if_modified(|settled| std::mem::replace(settled, space) != space);
        let Some(peer) = peer_of(&id) else { return };
        match result {
            Ok(paired) => {
                tracing::info!(peer = %id, name = paired.name, "paired");
                self.tell(LanNews::Paired { peer, name: paired.name });
            }
            Err(PairingError::Busy) => {}
            Err(error) => {
                tracing::info!(peer = %id, ?role, "not paired: {error}");
                self.refused.codes += u64::from(matches!(error, PairingError::WrongCode));
                self.tell(LanNews::NotPaired { peer, reason: error.to_string() });
            }
        }
        let connection = self.peers.get(&id).and_then(|peer| peer.connections.values().find(|open| !open.doomed));
        if let Some(called) = connection.map(|connection| connection.dialled)
            && self.is_listed(&id)
        {
            self.meet(id, called);
        }
        self.offer(&id);
    }
}
