//! What a host counts while it works.

use driftline_core::base::id::ConnectionId;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts since the start, and sizes now. Every field may be read at any time from any thread.
#[derive(Debug, Default)]
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
}

impl HostStats {
    /// A number no connection of this host has had.
    pub(super) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections_opened.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Whether the store is open and the engine at work.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) == 1
    }
}
