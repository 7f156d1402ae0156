//! Presence: short-lived state that is never stored.

use driftline_core::base::id::PeerId;
use serde_json::Value as Json;

/// What one window of one replica shows of itself: a name, a colour, a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whose.
    pub peer: PeerId,
    /// Which of theirs: a tab, a window, a program.
    pub instance: u64,
    /// The state, by agreement among the apps of the space. One that is not JSON arrives as a string.
    pub state: Json,
}

impl Presence {
    pub(super) fn new(peer: PeerId, instance: u64, state: &str) -> Self {
        Self { peer, instance, state: serde_json::from_str(state).unwrap_or_else(|_| Json::String(state.to_owned())) }
    }
}
