//! A relay's place on libp2p: replicas sync with it there as they do over WebSocket, and it passes connections on between peers that cannot reach each other.
//!
//! Sync is open to everyone who can reach the relay, as `/sync` is: whoever knows a space's id may sync it. Passing on is not, unless it was said: it costs the relay
//! bytes that it has no other use for. Only peers that were named get places and circuits, and each is bounded (`limits.rs`).

mod behaviour;
mod calls;
mod task;

use super::dialler::{self, LanDialler};
use super::identity::{Identity, did_of};
use super::node::Order;
use super::relays::RelayAddress;
use super::{LanError, in_words};
use crate::host::Host;
use driftline_core::base::id::PeerId;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;
use task::{Beginning, Task};
use tokio::sync::{mpsc, oneshot, watch};

/// How long nothing new must come before the addresses that it listens at are taken to be all: the system tells of them one by one.
const SETTLED: Duration = Duration::from_millis(50);
/// Time the system has to tell of the first.
const LISTENING_TIME_MAX: Duration = Duration::from_secs(2);

/// For whom connections are passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassesOn {
    /// For nobody.
    #[default]
    Nobody,
    /// Between these peers.
    Between(BTreeSet<PeerId>),
    /// Between any two that ask.
    Everyone,
}

/// Takes a replica in, or not; what it answers is held for as long as the replica stays.
pub type Admission = Arc<dyn Fn() -> Option<Box<dyn Send>> + Send + Sync>;

/// How a relay is to be on libp2p.
pub struct StationOptions {
    /// Who it is.
    pub identity: Identity,
    /// Where to listen, by QUIC and by TCP; with port 0 the system chooses one for each.
    pub listen: Vec<SocketAddr>,
    /// Where others reach it, if not where it listens.
    pub reached_at: Vec<Multiaddr>,
    /// For whom it passes connections on.
    pub passes_on: PassesOn,
    /// Other relays to keep a session with.
    pub dial: Vec<RelayAddress>,
    /// Largest frame taken, in bytes.
    pub frame_bytes_max: usize,
    /// Which replicas may sync.
    pub admission: Admission,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct StationCounts {
    /// Connections that are open.
    pub connections: AtomicUsize,
    /// Sync streams that are open.
    pub streams: AtomicUsize,
    /// Peers that have a place, and are reached through this relay.
    pub places: AtomicUsize,
    /// Connections that are passed on now.
    pub circuits: AtomicUsize,
    /// Connections that were passed on since the start.
    pub circuits_passed: AtomicU64,
    /// Places and connections that were refused.
    pub refused: AtomicU64,
}

/// A handle to a relay's place on libp2p. It leaves with [`Station::leave`], or when this is dropped.
pub struct Station {
    orders: mpsc::Sender<Order>,
    dialler: LanDialler,
    addresses: watch::Receiver<Vec<Multiaddr>>,
    reached_at: Vec<Multiaddr>,
    listeners: usize,
    counts: Arc<StationCounts>,
    did: String,
}

impl Station {
    /// Listens from now on. No session begins before an engine is attached.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(options: StationOptions) -> Result<Self, LanError> {
        let StationOptions { identity, listen, reached_at, passes_on, dial, frame_bytes_max, admission } = options;
        let mut swarm = behaviour::build(&identity, passes_on).map_err(LanError::Swarm)?;
        let listen: Vec<Multiaddr> = listen.into_iter().flat_map(transports_at).collect();
        for address in &listen {
            swarm
                .listen_on(address.clone())
                .map_err(|error| LanError::Listen { address: address.clone(), reason: in_words(&error) })?;
        }
        for address in &reached_at {
            swarm.add_external_address(address.clone());
        }
        let (orders, to_do) = dialler::orders();
        let (tell_addresses, addresses) = watch::channel(Vec::new());
        let counts = Arc::new(StationCounts::default());
        let dialler = LanDialler { control: swarm.behaviour().streams.new_control(), orders: orders.clone(), frame_bytes_max };
        let did = did_of(&identity.peer());
        let name = identity.network_peer();
        let named = |address: &Multiaddr| super::peers::without_peer(address.clone()).with(Protocol::P2p(name));
        let reached_at: Vec<Multiaddr> = reached_at.iter().map(named).collect();
        let beginning = Beginning {
            own: name,
            swarm,
            orders: (orders.clone(), to_do),
            dial,
            addresses: tell_addresses,
            learns_where_it_is: reached_at.is_empty(),
            frame_bytes_max,
            admission,
            counts: Arc::clone(&counts),
        };
        tokio::spawn(Task::run(beginning));
        Ok(Self { orders, dialler, addresses, reached_at, listeners: listen.len(), counts, did })
    }

    /// Dials the other relays for an engine, and WebSockets.
    pub fn dialler(&self) -> LanDialler {
        self.dialler.clone()
    }

    /// Sessions begin, with this engine.
    pub async fn attach(&self, host: Host) {
        drop(self.orders.send(Order::Attach(host)).await);
    }

    /// Where others reach it, each address with its name at the end; those of this machine alone only where there is no other.
    pub async fn addresses(&self) -> Vec<Multiaddr> {
        if !self.reached_at.is_empty() {
            return self.reached_at.clone();
        }
        let mut addresses = self.addresses.clone();
        let some = addresses.wait_for(|addresses| addresses.len() >= self.listeners);
        drop(tokio::time::timeout(LISTENING_TIME_MAX, some).await);
        while let Ok(Ok(())) = tokio::time::timeout(SETTLED, addresses.changed()).await {}
        let mut all = addresses.borrow().clone();
        if all.iter().any(|address| !super::peers::is_loopback(address)) {
            all.retain(|address| !super::peers::is_loopback(address));
        }
        all
    }

    /// Who it is, as a `did:key`.
    pub fn did(&self) -> &str {
        &self.did
    }

    /// What is counted.
    pub fn counts(&self) -> &Arc<StationCounts> {
        &self.counts
    }

    /// Hangs up on everyone, and returns once that is done.
    pub async fn leave(&self) {
        let (done, is_done) = oneshot::channel();
        if self.orders.send(Order::Leave(done)).await.is_ok() {
            drop(is_done.await);
        }
    }
}

/// QUIC and TCP at one address and port.
fn transports_at(address: SocketAddr) -> [Multiaddr; 2] {
    let (ip, port) = (Multiaddr::from(address.ip()), address.port());
    [ip.clone().with(Protocol::Udp(port)).with(Protocol::QuicV1), ip.with(Protocol::Tcp(port))]
}
