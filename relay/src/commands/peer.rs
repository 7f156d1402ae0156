//! `driftline peer`: keeps a folder of files and a space in step, both ways, until it is told to stop.

use super::failure::{Failure, FailureKind};
use super::output::Output;
use super::signals::told_to_stop;
use crate::repo::{ConnectionState, Repo, RepoError, RepoOptions, Space};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const ABOUT: &str = "\
Keeps a folder and a space in step, both ways, until Ctrl-C.

Each file becomes a document of the space, and each document that is a note
becomes a file. Whatever edits the files goes on editing them: a change is taken
letter by letter, so that two people who write in one file at once both keep
what they wrote. Away from the relay everything goes on, and travels later.

What a .gitignore or .driftlineignore file names stays at home; so does .git.";

const EXAMPLES: &str = "\
Examples:
  This folder and a relay; do the same on another machine, with the same space:
    driftline peer --folder ~/notes --space harbour --relay ws://localhost:8080/sync

  What would happen, with nothing touched:
    driftline peer --folder ~/notes --space harbour --relay ws://localhost:8080/sync --dry-run

  The same files in a browser:
    http://localhost:8080/#harbour

  Name the relay and the space once:
    export DRIFTLINE_RELAY=ws://localhost:8080/sync DRIFTLINE_SPACE=harbour
    driftline peer";

const EXIT_CODES: &str = "\
Exit codes:
  0  told to stop; everything taken from the folder is kept on this device
  1  a disk, a file or the system failed
  2  the command line is wrong
  6  in use: another driftline is using the data directory";

/// The data directory, where none is named: inside the folder.
const DATA_FOLDER: &str = ".driftline";

/// What can be typed after `driftline peer`.
#[derive(Debug, Args)]
#[command(about = "Keep a folder and a space in step", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct PeerArguments {
    /// The folder to keep in step
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Where this device's copy of the space is kept; never synced itself [default: .driftline in the folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The space: its name, or its id. Whoever says the same name means the same space
    #[arg(long, value_name = "NAME", env = "DRIFTLINE_SPACE", default_value = "default")]
    space: String,
    /// A relay to sync with, such as ws://localhost:8080/sync; may be given several times
    #[arg(long = "relay", value_name = "URL", env = "DRIFTLINE_RELAY", value_delimiter = ',')]
    relays: Vec<String>,
    /// Say what would be done and touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one value a line: events on stdout, notes and errors on stderr
    #[arg(long)]
    json: bool,
}

/// Runs `driftline peer …` until it is told to stop, and tells how the process is to exit.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn run(arguments: PeerArguments) -> ExitCode {
    let output = Output::new(arguments.json);
    match keep(&arguments, &output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit())
        }
    }
}

async fn keep(arguments: &PeerArguments, output: &Output) -> Result<(), Failure> {
    let folder = folder_to_keep(&arguments.folder)?;
    check_relays(&arguments.relays)?;
    let data = arguments.data.clone().unwrap_or_else(|| folder.join(DATA_FOLDER));
    let options = RepoOptions { data: Some(data.clone()), relays: arguments.relays.clone(), ..RepoOptions::default() };
    let repo = Repo::open(options).await.map_err(|error| in_words(error, &data))?;
    let space = repo.space(&arguments.space);
    output.note(&format!("{} is kept in step with the space {} ({})", folder.display(), arguments.space, space.id()));
    tokio::select! {
        () = tell_of_connections(&repo, &space, output) => {}
        _ = told_to_stop() => {}
    }
    repo.close().await;
    output.result("stopped", &json!({ "event": "stopped" }));
    Ok(())
}

/// The folder's own name, without links on the way to it.
fn folder_to_keep(folder: &Path) -> Result<PathBuf, Failure> {
    let usage = |why: String| Failure::new(FailureKind::Usage, why);
    let found = folder.canonicalize().map_err(|error| {
        usage(format!("there is no folder {}: {error}; make it, or name another with --folder", folder.display()))
    })?;
    if !found.is_dir() {
        return Err(usage(format!("{} is not a folder: name one with --folder", folder.display())));
    }
    Ok(found)
}

fn check_relays(relays: &[String]) -> Result<(), Failure> {
    match relays.iter().find(|relay| !(relay.starts_with("ws://") || relay.starts_with("wss://"))) {
        Some(relay) => {
            let message = format!("{relay} is not a relay's address: one looks like ws://localhost:8080/sync");
            Err(Failure::new(FailureKind::Usage, message))
        }
        None => Ok(()),
    }
}

fn in_words(error: RepoError, data: &Path) -> Failure {
    if let RepoError::InUse { .. } = error {
        let message = format!(
            "{} is in use: another driftline keeps this folder in step already; stop it first, or name another --data directory",
            data.display()
        );
        return Failure::new(FailureKind::InUse, message);
    }
    error.into()
}

/// Says when a relay is reached, and when it is not.
async fn tell_of_connections(repo: &Repo, space: &Space, output: &Output) {
    /// How often connections are looked at.
    const LOOK_EVERY: Duration = Duration::from_millis(200);
    let mut told = Vec::new();
    let mut was_synced = false;
    loop {
        let connections = repo.connections();
        for connection in connections.iter().filter(|connection| !told.contains(*connection)) {
            match &connection.state {
                ConnectionState::Connecting => {}
                ConnectionState::Connected { .. } => output.note(&format!("connected to {}", connection.endpoint)),
                ConnectionState::Waiting { reason } => output.note(&format!("waiting for {}: {reason}", connection.endpoint)),
            }
        }
        told = connections;
        let Ok(status) = space.status().await else { return };
        if status.is_synced() && !was_synced {
            output.result("in step", &json!({ "event": "inStep", "peers": status.peers }));
        }
        was_synced = status.is_synced();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
