//! A program that was built without traces: it says so, and works all the same.

use tracing_subscriber::{Layer, Registry};

/// No traces.
pub(super) struct Traces {
    wanted: bool,
}

impl Traces {
    /// Notes whether someone wants traces, to tell them.
    pub(super) fn begin(endpoint: Option<&str>) -> Result<Self, String> {
        Ok(Self { wanted: endpoint.is_some() })
    }

    /// Whether frames are to be followed.
    pub(super) fn are_sent(&self) -> bool {
        if self.wanted {
            tracing::warn!("no traces are sent: this program was built without them (cargo build --features otlp)");
        }
        false
    }

    /// What makes traces of spans: nothing.
    pub(super) fn layer(&self) -> Option<impl Layer<Registry> + Send + Sync + use<>> {
        None::<tracing_subscriber::layer::Identity>
    }

    /// Nothing is left to be sent.
    pub(super) async fn end(self) {}
}
