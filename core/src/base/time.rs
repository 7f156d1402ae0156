//! Time as the engine knows it: what the driver says it is.
//!
//! The engine has no clock. Every call carries a [`Now`], whose monotonic part drives timers. Its wall-clock part is
//! written into changes for people to read, and tells whether a grant in an owned space has ended.

use serde::{Deserialize, Serialize};

/// The moment of a call into the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Now {
    /// Milliseconds on a clock that never goes back, from any start the driver likes.
    pub monotonic_ms: u64,
    /// Milliseconds since the Unix epoch; may jump, and nothing depends on it but what people read and when grants end.
    pub unix_ms: i64,
}

impl Now {
    /// A moment at `monotonic_ms`, with the wall clock at the same number: enough for tests and simulation.
    pub fn at(monotonic_ms: u64) -> Self {
        Self { monotonic_ms, unix_ms: monotonic_ms as i64 }
    }
}
