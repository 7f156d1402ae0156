//! Logs on stderr: for people, or as one JSON object a line.

use super::traces::Traces;
use crate::host::TRACE_TARGET;
use clap::ValueEnum;
use serde::Deserialize;
use std::io::IsTerminal as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Logs from now on what `filter` lets through, and hands spans that are traces to `traces`.
pub(super) fn begin(filter: &Targets, format: LogFormat, traces: &Traces) {
    // Which frames are followed is no business of the logs'.
    let filter = filter.clone().with_target(TRACE_TARGET, LevelFilter::OFF);
    let lines = layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(traces.layer());
    let started = match format {
        LogFormat::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter)).try_init(),
        LogFormat::Json => registry.with(lines.json().with_filter(filter)).try_init(),
    };
    if let Err(error) = started {
        eprintln!("driftline relay: logs go where they went before: {error}");
    }
}
