//! Whether the relay is up, and whether it is of use.

use super::Shared;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;

/// The process is up.
pub(super) async fn is_up() -> &'static str {
    "up\n"
}

/// Replicas can sync.
pub(super) async fn is_ready(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    match shared.not_ready() {
        None => (StatusCode::OK, "ready\n"),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}
