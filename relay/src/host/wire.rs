//! A WebSocket that this side accepted, on its bare TCP socket: the way most frames take.
//!
//! A frame leaves on the thread that has it, as far as the system takes it without waiting, and frames that wait leave together in
//! one call. So a frame for many peers costs little more than the calls that hand it to the system: nobody is woken, nothing is
//! copied, and the engine knows at once how much is written. Only what the system does not take is left to the connection's task.
//!
//! Frames that arrive are read by `tungstenite`, which checks what the protocol demands, into little memory: most connections
//! are idle.

mod outlet;
mod reading;
#[cfg(test)]
mod tests;

pub(super) use outlet::{Outlet, Step};

use super::stats::HostStats;
use crate::transport::Incoming;
use bytes::Bytes;
use reading::Reading;
use std::sync::Arc;
use tokio::net::TcpStream;

/// An accepted WebSocket after its handshake.
pub struct Wire {
    stream: TcpStream,
    /// What came right behind the handshake.
    begun: Bytes,
    frame_bytes_max: usize,
    held: Box<dyn Send>,
}

impl Wire {
    /// A WebSocket on `stream`, of which `begun` has been read already. A frame may have `frame_bytes_max` bytes; `held` is let go
    /// of once nothing more is read.
    pub fn new(stream: TcpStream, begun: Bytes, frame_bytes_max: usize, held: impl Send + 'static) -> Self {
        Self { stream, begun, frame_bytes_max, held: Box::new(held) }
    }

    /// Its two directions.
    pub(super) fn split(self, stats: &Arc<HostStats>) -> (Incoming, Arc<Outlet>) {
        let (incoming, outgoing) = self.stream.into_split();
        let outlet = Arc::new(Outlet::new(outgoing, Arc::clone(stats)));
        let reading = Reading::new(incoming, &self.begun, Arc::clone(&outlet), self.frame_bytes_max, self.held);
        (Box::pin(reading), outlet)
    }
}
