//! Driftline on a native machine: the driver that runs an engine over sockets and a disk, the relay server, and the
//! client library.
//!
//! * [`host`] runs one engine: it owns its clock, its connections and its store.
//! * [`transport`] is what a connection is to a host: frames in, frames out. [`dial`] makes them by WebSocket.
//! * [`store`] keeps what the engine wants kept.

pub mod dial;
pub mod host;
pub mod store;
pub mod transport;
