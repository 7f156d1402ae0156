//! `driftline peer`: keeps a folder of files and a space in step, both ways, until it is told to stop.

mod lan;
mod status;

use super::failure::{Failure, FailureKind};
use super::output::Output;
use super::signals::told_to_stop;
use crate::repo::{ConnectionState, Repo, RepoError, RepoOptions, Space};
use clap::{Args, Subcommand};
use driftline_core::base::id::SpaceId;
use lan::{LanArguments, LanPlace};
use serde_json::json;
use status::Standing;
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
#[command(args_conflicts_with_subcommands = true)]
pub struct PeerArguments {
    #[command(subcommand)]
    question: Option<Question>,
    /// The folder to keep in step
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Where this device's copy of the space is kept; never synced itself [default: .driftline in the folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The space: its name, or its id. Whoever says the same name means the same space [default: the one that peers were paired with for, or default]
    #[arg(long, value_name = "NAME", env = "DRIFTLINE_SPACE")]
    space: Option<String>,
    /// A relay to sync with, such as ws://localhost:8080/sync; may be given several times
    #[arg(long = "relay", value_name = "URL", env = "DRIFTLINE_RELAY", value_delimiter = ',')]
    relays: Vec<String>,
    /// Say what would be done and touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one value a line: events on stdout, notes and errors on stderr
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lan: LanArguments,
}

/// What can be asked of a peer that runs.
#[derive(Debug, Subcommand)]
enum Question {
    /// How a running peer stands: who is there and by which way, what differs, what is saved where
    Status {
        /// The folder that it keeps in step
        #[arg(long, value_name = "DIR", default_value = ".")]
        folder: PathBuf,
        /// Its data directory [default: .driftline in the folder]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The space, where none is named and no peer was paired with.
const SPACE: &str = "default";

/// Runs `driftline peer …` until it is told to stop, and tells how the process is to exit.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn run(arguments: PeerArguments) -> ExitCode {
    if let Some(Question::Status { folder, data, json }) = &arguments.question {
        let output = Output::new(*json);
        return ended(status::ask(data.as_ref().unwrap_or(&folder.join(DATA_FOLDER)), &output).await, &output);
    }
    let output = Output::new(arguments.json);
    ended(keep(&arguments, &output).await, &output)
}

fn ended(how: Result<(), Failure>, output: &Output) -> ExitCode {
    match how {
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
    let place = LanPlace::take(&arguments.lan, &data, arguments.space.as_deref(), output)?;
    let Some(space) = space_to_sync(arguments, place.as_ref(), output).await? else { return Ok(()) };
    let repo = match &place {
        Some(place) => Repo::open_as(options, place.identity().secret(), place.lan().dialler()).await,
        None => Repo::open(options).await,
    };
    let repo = repo.map_err(|error| in_words(error, &data))?;
    let space = repo.space_of(space);
    output.note(&format!("{} is kept in step with the space {}", folder.display(), space.id()));
    let lan = place.as_ref().map(LanPlace::lan);
    if let Some(lan) = lan {
        lan.attach(repo.host().clone()).await;
    }
    let standing = Standing { folder: &folder, repo: &repo, space: &space, lan };
    tokio::select! {
        () = tell_of_connections(&repo, &space, output) => {}
        () = standing.answer(&data, output) => {}
        () = tell_of_lan(place.as_ref(), output) => {}
        _ = told_to_stop() => {}
    }
    repo.close().await;
    if let Some(lan) = lan {
        lan.leave().await;
    }
    output.result("stopped", &json!({ "event": "stopped" }));
    Ok(())
}

/// The space: the one that was named, or that peers share, which may have to be waited for; nothing when told to stop before.
async fn space_to_sync(arguments: &PeerArguments, place: Option<&LanPlace>, output: &Output) -> Result<Option<SpaceId>, Failure> {
    match place {
        Some(place) => tokio::select! {
            space = place.space(output) => space.map(Some),
            _ = told_to_stop() => Ok(None),
        },
        None => Ok(Some(SpaceId::from_id_or_name(arguments.space.as_deref().unwrap_or(SPACE)))),
    }
}

async fn tell_of_lan(place: Option<&LanPlace>, output: &Output) {
    match place {
        Some(place) => place.tell(output).await,
        None => std::future::pending().await,
    }
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
