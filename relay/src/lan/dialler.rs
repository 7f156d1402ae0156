//! Opening sync streams for an engine: a peer on the list is an endpoint, `lan:` and its libp2p name.

use super::limits::{ORDERS_MAX, STREAM_TIME_MAX};
use super::line;
use super::node::Order;
use super::swarm::SYNC;
use crate::dial::{DIAL_TIME_MAX, Dialler, Dialling, WebSocketDialler};
use crate::transport::Transport;
use libp2p::PeerId;
use libp2p_stream::Control;
use std::time::Duration;
use tokio::sync::mpsc;

/// How an endpoint on the LAN begins.
const SCHEME: &str = "lan:";
/// How soon a stream that did not open is tried again: the other side may have dropped it unseen, or not be ready yet.
const REOPEN: Duration = Duration::from_millis(250);

/// Dials peers of the LAN by streams, and everything else by WebSocket.
#[derive(Clone)]
pub struct LanDialler {
    pub(super) control: Control,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) frame_bytes_max: usize,
}

/// The endpoint that a peer is.
pub(super) fn endpoint_of(peer: &PeerId) -> String {
    format!("{SCHEME}{peer}")
}

/// Whether an endpoint is a peer of the LAN.
pub fn is_lan_endpoint(endpoint: &str) -> bool {
    endpoint.starts_with(SCHEME)
}

impl Dialler for LanDialler {
    fn dial(&self, endpoint: &str) -> Dialling {
        let Some(name) = endpoint.strip_prefix(SCHEME) else {
            return WebSocketDialler { frame_bytes_max: self.frame_bytes_max }.dial(endpoint);
        };
        let (lan, name) = (self.clone(), name.to_owned());
        Box::pin(async move {
            let peer: PeerId = name.parse().map_err(|error| format!("{name} is no peer: {error}"))?;
            match tokio::time::timeout(DIAL_TIME_MAX, lan.open(peer)).await {
                Ok(opened) => opened,
                Err(_) => Err(format!("{peer} took no stream within {} s", DIAL_TIME_MAX.as_secs())),
            }
        })
    }
}

impl LanDialler {
    /// Opens a sync stream, however often it takes.
    async fn open(mut self, peer: PeerId) -> Result<Transport, String> {
        loop {
            if let Ok(Ok(stream)) = tokio::time::timeout(STREAM_TIME_MAX, self.control.open_stream(peer, SYNC)).await {
                let (transport, cutter, ended) = line::open(stream, self.frame_bytes_max);
                let told = self.orders.send(Order::Opened { peer, cutter, ended }).await;
                return told.map(|()| transport).map_err(|_| "the LAN was left".to_owned());
            }
            if self.orders.is_closed() {
                return Err("the LAN was left".to_owned());
            }
            tokio::time::sleep(REOPEN).await;
        }
    }
}

/// A way to give orders to a node.
pub(super) fn orders() -> (mpsc::Sender<Order>, mpsc::Receiver<Order>) {
    mpsc::channel(ORDERS_MAX)
}
