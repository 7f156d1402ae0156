//! The shell in which browsers run Driftline's engine.
//!
//! [`host::EngineHost`] is one engine and its journal. JavaScript tells it what happens with its `handle…` methods, then
//! calls `poll` with a driver that carries out what the engine wants, and sleeps until `nextDeadline`. It owns the
//! sockets and the medium that the journal is written on; entries never leave this module but as bytes to
//! write or to send. The secret key does: it is sealed where the browser can do that, and written down by people as words.

mod backup;
mod host;
mod introductions;
mod letters;
mod owned;
mod panic;
mod query;
mod shelf;

pub use backup::{Restored, documents_in, identity_in, journal_area, restored, without_identity};
pub use host::EngineHost;
pub use panic::take_panic;
