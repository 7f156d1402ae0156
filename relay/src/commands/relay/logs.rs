//! Logs on stderr: for people, or as one JSON object a line.

use clap::ValueEnum;
use serde::Deserialize;
use std::io::IsTerminal as _;
use tracing_subscriber::filter::Targets;
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

/// Logs from now on what `filter` lets through.
pub(super) fn begin(filter: &Targets, format: LogFormat) {
    let lines = layer().with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => {
            tracing_subscriber::registry().with(lines.with_ansi(std::io::stderr().is_terminal())).with(filter.clone()).try_init()
        }
        LogFormat::Json => tracing_subscriber::registry().with(lines.json()).with(filter.clone()).try_init(),
    };
    if let Err(error) = started {
        eprintln!("driftline relay: logs go where they went before: {error}");
    }
}
