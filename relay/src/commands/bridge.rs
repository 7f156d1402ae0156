//! `driftline bridge`: a space is synced with an automerge-repo server.

use super::doc::parse_document;
use super::failure::{Failure, FailureKind};
use super::output::Output;
use crate::automerge_repo::BridgeState;
use crate::repo::{Repo, RepoOptions};
use clap::Args;
use driftline_core::base::id::DocumentId;
use std::path::PathBuf;
use std::process::ExitCode;

const ABOUT: &str = "\
Syncs a space with a server of automerge-repo, as one more of its clients.

Documents of the space go to the server, and what is written there in them
comes back. A server does not tell which documents it has: name those that are
to be fetched from it with --document.";

const EXAMPLES: &str = "\
Example:
  driftline bridge wss://sync.example.org --relay ws://localhost:8080/sync --document automerge:4NMNnkMhL8jXrdJ9jamS58PAVdXu";

/// What can be typed after `driftline bridge`.
#[derive(Debug, Args)]
#[command(about = "Sync a space with a server of automerge-repo", long_about = ABOUT, after_help = EXAMPLES)]
pub struct BridgeArguments {
    /// The server, such as wss://sync.example.org
    #[arg(value_name = "URL")]
    server: String,
    /// A relay that the space is synced with, such as ws://localhost:8080/sync; may be given several times
    #[arg(long = "relay", value_name = "URL", env = "DRIFTLINE_RELAY", value_delimiter = ',', required = true)]
    relays: Vec<String>,
    /// The space: its name, or its id
    #[arg(long, value_name = "NAME", default_value = "automerge")]
    space: String,
    /// A document to fetch from the server, by its id or URL; may be given several times
    #[arg(long = "document", value_name = "ID", value_parser = parse_document)]
    documents: Vec<DocumentId>,
    /// Keep a copy of the space in this folder: without it everything comes from the relay at each start
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs `driftline bridge …` until it is told to stop, and tells how the process is to exit.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn run(arguments: BridgeArguments) -> ExitCode {
    let output = Output::new(false);
    match keep(arguments, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit())
        }
    }
}

async fn keep(arguments: BridgeArguments, output: &Output) -> Result<(), Failure> {
    let BridgeArguments { server, relays, space, documents, data } = arguments;
    if !(server.starts_with("ws://") || server.starts_with("wss://")) {
        let message = format!("{server} is not an address to dial: one looks like wss://sync.example.org");
        return Err(Failure::new(FailureKind::Usage, message));
    }
    let repo = Repo::open(RepoOptions { data, relays, ..RepoOptions::default() }).await?;
    let space = repo.space(&space);
    let mut bridge = space.bridge(&server, documents);
    let telling = async {
        while let Some(state) = bridge.changed().await {
            match state {
                BridgeState::Dialling => {}
                BridgeState::Connected { server: name } => output.note(&format!("connected to {server} ({name})")),
                BridgeState::Waiting { reason } => output.note(&format!("waiting for {server}: {reason}")),
            }
        }
    };
    tokio::select! {
        () = telling => {}
        stopped = tokio::signal::ctrl_c() => drop(stopped),
    }
    drop(bridge);
    repo.close().await;
    Ok(())
}
