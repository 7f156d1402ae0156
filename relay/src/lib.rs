//! Driftline on a native machine: the driver that runs an engine over sockets and a disk, the relay server, and the
//! client library.
//!
//! * [`repo`] is the client library: spaces, documents, changes, presence, and how saved they are.
//! * [`commands`] is what the binary `driftline` does.
//! * [`folder`] keeps a folder of files and a space in step.
//! * [`host`] runs one engine: it owns its clock, its connections and its store.
//! * [`transport`] is what a connection is to a host: frames in, frames out. [`dial`] makes them by WebSocket.
//! * [`histogram`] is how times are counted.
//! * [`sim`] is a made-up world of many gossiping peers, and [`plot`] draws what comes of it.
//! * [`lan`] is how native peers find each other and sync without a server.
//! * [`store`] keeps what the engine wants kept.
//! * [`server`] is the relay: a host behind an HTTP server. [`automerge_repo`] serves automerge-repo's clients there.

pub mod automerge_repo;
pub mod commands;
pub mod dial;
pub mod folder;
pub mod histogram;
pub mod host;
pub mod lan;
pub mod plot;
pub mod repo;
pub mod server;
pub mod sim;
pub mod store;
pub mod transport;
