//! Native peers at the relay: who it is to them, and how many may sync.

use super::{RelayError, Shared};
use crate::lan::{Identity, Multiaddr, PassesOn, RelayAddress, StationOptions};
use crate::store::SqliteStore;
use driftline_core::engine::stored::IDENTITY_KEY;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::Semaphore;

/// How native peers reach a relay.
#[derive(Clone, Debug)]
pub struct P2pOptions {
    /// Where to listen, by QUIC and by TCP; with port 0 the system chooses one for each.
    pub listen: Vec<SocketAddr>,
    /// Where they reach it, if not where it listens.
    pub reached_at: Vec<Multiaddr>,
    /// For whom it passes connections on.
    pub passes_on: PassesOn,
    /// Other relays to keep a session with.
    pub dial: Vec<RelayAddress>,
}

impl P2pOptions {
    /// On this machine alone, at ports that are free, passing nothing on.
    pub fn new() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            reached_at: Vec::new(),
            passes_on: PassesOn::Nobody,
            dial: Vec::new(),
        }
    }

    pub(super) fn at(self, identity: Identity, frame_bytes_max: usize, door: &Arc<Door>) -> StationOptions {
        let Self { listen, reached_at, passes_on, dial } = self;
        let door = Arc::clone(door);
        let admission = Arc::new(move || door.admit());
        StationOptions { identity, listen, reached_at, passes_on, dial, frame_bytes_max, admission }
    }
}

impl Default for P2pOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Who the relay is: by the key in its folder, or else by the one that its store has had so far, so that nobody takes it for another.
pub(super) fn identity(data: &Path, store: &SqliteStore) -> Result<Identity, RelayError> {
    let stored = || store.named(IDENTITY_KEY).and_then(|secret| <[u8; 32]>::try_from(secret).ok());
    Ok(Identity::load_or(data, || stored().map_or_else(Identity::fresh, Identity::from_secret))?)
}

/// Where replicas that come over libp2p are let in: they take the places that those over WebSocket take.
pub(super) struct Door {
    places: Arc<Semaphore>,
    shared: OnceLock<Weak<Shared>>,
}

impl Door {
    pub(super) fn new(places: Arc<Semaphore>) -> Self {
        Self { places, shared: OnceLock::new() }
    }

    /// Lets in from now on.
    pub(super) fn open(&self, shared: &Arc<Shared>) {
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    fn admit(&self) -> Option<Box<dyn Send>> {
        let shared = self.shared.get()?.upgrade()?;
        if shared.not_ready().is_some() {
            shared.refused.not_ready.fetch_add(1, Relaxed);
            return None;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            shared.refused.full.fetch_add(1, Relaxed);
            return None;
        };
        Some(Box::new(place))
    }
}
