//! Native peers: replicas that find each other on the local network and sync with no server.
//!
//! A [`Lan`] is a libp2p swarm beside an engine. It finds peers by mDNS or by addresses it is told, pairs with those that know the same code, and carries sessions
//! with peers on its list over QUIC or TCP, as the same frames that a WebSocket carries. What it may be trusted with is in `docs/security.md`.
//!
//! The space that is shared can come from the first pairing, so the order is: start the LAN, wait for [`Lan::space`], start the engine with [`Lan::dialler`],
//! [`Lan::attach`] it.

mod code;
mod dialler;
mod identity;
mod limits;
mod line;
mod list;
mod multiplexer;
mod neighbours;
mod node;
mod pairing;
mod peers;
mod relays;
mod station;
mod status;
mod swarm;
mod window;

pub use code::{CodeError, PairingCode};
pub use dialler::{LanDialler, is_lan_endpoint};
pub use identity::{Identity, IdentityError, KEY_FILE, did_of, peer_of_did, short_did_of};
pub use libp2p::Multiaddr;
pub use list::{AllowList, LIST_FILE, ListError};
pub use relays::{NamedRelay, RelayAddress, RelayAddressError};
pub use station::{Admission, PassesOn, Station, StationCounts, StationOptions};
pub use status::{LanNews, LanStatus, PathKind, PathStatus, PeerStatus, Refused, RelayStatus};

use crate::host::Host;
use driftline_core::base::id::SpaceId;
use driftline_core::base::limits::Limits;
use node::{Beginning, Node, Order};
use relays::Relays;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use window::PairingWindow;

/// News kept for a receiver that is behind.
const NEWS_KEPT_MAX: usize = 64;

/// How to be on the LAN.
#[derive(Debug)]
pub struct LanOptions {
    /// Who this is.
    pub identity: Identity,
    /// What this calls itself to peers that it is paired with.
    pub name: String,
    /// Who may sync.
    pub list: AllowList,
    /// Where to listen; with port 0 the system chooses one.
    pub listen: Vec<Multiaddr>,
    /// Peers to call, by address, whether or not mDNS finds them.
    pub dial: Vec<Multiaddr>,
    /// Relays to be reached through, and to sync with; eight at most.
    pub relays: Vec<NamedRelay>,
    /// Whether to tell and be told by mDNS who is there.
    pub mdns: bool,
    /// The code that strangers may pair with; without one, none may.
    pub pairing: Option<PairingCode>,
}

/// Why this cannot be on the LAN. Each is a sentence for people.
#[derive(Debug, thiserror::Error)]
pub enum LanError {
    /// The swarm could not be made.
    #[error("{0}")]
    Swarm(String),
    /// It cannot listen at an address.
    #[error("cannot listen at {address}: {reason}")]
    Listen {
        /// Where.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
    /// Too many relays.
    #[error("{named} relays were named, and a peer can be at {} of them at most", limits::RELAYS_MAX)]
    Relays {
        /// How many.
        named: usize,
    },
}

/// A handle to a node on the LAN. Clones are the same; it leaves when the last is dropped, or with [`Lan::leave`].
#[derive(Clone)]
pub struct Lan {
    orders: mpsc::Sender<Order>,
    space: watch::Receiver<Option<SpaceId>>,
    news: broadcast::Sender<LanNews>,
    dialler: LanDialler,
}

impl Lan {
    /// Listens, finds, calls and pairs from now on. No session begins before an engine is attached.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, and when the system gives no randomness.
    pub fn start(options: LanOptions) -> Result<Self, LanError> {
        let LanOptions { identity, name, list, listen, dial, relays, mdns, pairing } = options;
        if relays.len() > limits::RELAYS_MAX {
            return Err(LanError::Relays { named: relays.len() });
        }
        let mut swarm = swarm::build(&identity, mdns).map_err(LanError::Swarm)?;
        for address in listen {
            swarm.listen_on(address.clone()).map_err(|error| LanError::Listen { address, reason: in_words(&error) })?;
        }
        let (orders, to_do) = dialler::orders();
        let (tell_space, space) = watch::channel(list.space());
        let (news, _) = broadcast::channel(NEWS_KEPT_MAX);
        let list = Arc::new(Mutex::new(list));
        let frame_bytes_max = Limits::default().frame_bytes_max;
        let control = swarm.behaviour().streams.new_control();
        let beginning = Beginning {
            identity,
            name,
            swarm,
            orders: (orders.clone(), to_do),
            list,
            window: pairing.map(|code| PairingWindow::new(code, Instant::now())),
            dial,
            relays: Relays::new(relays),
            space: tell_space,
            made_up_space: SpaceId(crate::repo::random()),
            news: news.clone(),
            frame_bytes_max,
        };
        tokio::spawn(Node::run(beginning));
        let dialler = LanDialler { control, orders: orders.clone(), frame_bytes_max };
        Ok(Self { orders, space, news, dialler })
    }

    /// Dials peers for an engine, and WebSockets.
    pub fn dialler(&self) -> LanDialler {
        self.dialler.clone()
    }

    /// Sessions begin, with this engine.
    pub async fn attach(&self, host: Host) {
        drop(self.orders.send(Order::Attach(host)).await);
    }

    /// Tells where peers are, as mDNS does: each address with the peer's name at its end. Those on the list are called when they are wanted as neighbours.
    pub async fn found(&self, addresses: Vec<Multiaddr>) {
        drop(self.orders.send(Order::Found(addresses)).await);
    }

    /// The space that is shared here, once there is one: kept from before, settled, or agreed on by the first pairing. Nothing if the node ends before.
    pub async fn space(&self) -> Option<SpaceId> {
        let mut space = self.space.clone();
        *space.wait_for(Option::is_some).await.ok()?
    }

    /// What happens from now on.
    pub fn news(&self) -> broadcast::Receiver<LanNews> {
        self.news.subscribe()
    }

    /// How things look; nothing once the node has ended.
    pub async fn status(&self) -> Option<LanStatus> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Status(answer)).await.ok()?;
        answered.await.ok()
    }

    /// Hangs up on everyone, and returns once that is done.
    pub async fn leave(&self) {
        let (done, is_done) = oneshot::channel();
        if self.orders.send(Order::Leave(done)).await.is_ok() {
            drop(is_done.await);
        }
    }
}

/// An error and what caused it: libp2p's own words often say only what was tried.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = if words.is_empty() { more } else { format!("{words}: {more}") };
        }
        cause = error.source();
    }
    words
}
