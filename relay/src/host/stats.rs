//! What a host counts while it works.

use super::trace::TraceSampling;
use crate::histogram::Histogram;
use driftline_core::base::id::ConnectionId;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts since the start, and sizes now. Every field may be read at any time from any thread.
#[derive(Debug)]
pub struct HostStats {
    /// Connections handed out so far; also the last connection's number.
    pub connections_opened: AtomicU64,
    /// Connections open now, including those saying goodbye.
    pub connections: AtomicUsize,
    /// Frames that arrived.
    pub frames_in: AtomicU64,
    /// Bytes of them.
    pub bytes_in: AtomicU64,
    /// Frames handed to connections.
    pub frames_out: AtomicU64,
    /// Bytes of them.
    pub bytes_out: AtomicU64,
    /// Bytes handed to connections and not yet written.
    pub outbound_bytes: AtomicU64,
    /// Connections ended because a frame was over the limit.
    pub frames_too_large: AtomicU64,
    /// From the arrival of a frame with entries until a frame that brings them to someone else is with the system: its
    /// wait for the engine, the engine's work, and its wait to be written.
    pub delivery_seconds: Histogram,
    /// Messages the engine has not yet taken.
    pub inbox: AtomicUsize,
    /// Storage tasks not yet answered.
    pub store_tasks: AtomicUsize,
    /// Storage tasks answered with an error.
    pub store_errors: AtomicU64,
    /// Entries answered as durable.
    pub entries_appended: AtomicU64,
    /// Documents held.
    pub documents: AtomicUsize,
    /// 1 once the store is open and the engine at work.
    pub ready: AtomicUsize,
    /// Which frames are followed by traces.
    pub(super) traces: TraceSampling,
}

impl Default for HostStats {
    fn default() -> Self {
        Self {
            connections_opened: 0.into(),
            connections: 0.into(),
            frames_in: 0.into(),
            bytes_in: 0.into(),
            frames_out: 0.into(),
            bytes_out: 0.into(),
            outbound_bytes: 0.into(),
            frames_too_large: 0.into(),
            delivery_seconds: Histogram::of_seconds(),
            inbox: 0.into(),
            store_tasks: 0.into(),
            store_errors: 0.into(),
            entries_appended: 0.into(),
            documents: 0.into(),
            ready: 0.into(),
            traces: TraceSampling::default(),
        }
    }
}

impl HostStats {
    /// A number no connection of this host has had.
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections_opened.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Whether the store is open and the engine at work.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) == 1
    }
}
