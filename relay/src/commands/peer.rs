//! `driftline peer`: keeps a folder of files and a space in step, both ways, until it is told to stop.

mod joining;
mod keeping;
mod lan;
mod status;

use super::failure::{Failure, FailureKind};
use super::output::Output;
use super::signals::told_to_stop;
use crate::dial::with_token;
use crate::folder::{FolderError, Keeper, KeeperOptions, Patience, SpaceShelf, remembered_relays, remembered_space};
use crate::lan::{RelayAddress, RelayAddressError};
use crate::repo::{Repo, RepoError, RepoOptions, Space, SpaceEvent};
use clap::{Args, Subcommand};
use driftline_core::base::id::SpaceId;
use keeping::Keeping;
use lan::{LanArguments, LanPlace};
use serde_json::json;
use status::Asked;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

const ABOUT: &str = "\
Keeps a folder and a space in step, both ways, until Ctrl-C.

Each file becomes a document of the space, and each document that is a note
becomes a file. Whatever edits the files goes on editing them: a change is taken
letter by letter, so that two people who write in one file at once both keep
what they wrote. Away from the relay everything goes on, and travels later.

What a .gitignore or .driftlineignore file names stays at home; so does .git.";

const EXAMPLES: &str = "\
Examples:
  This folder on two machines of one network, with no relay: the first prints a
  code, which the other is given
    driftline peer --folder ~/notes --pair
    driftline peer --folder ~/notes --pair CODE

  On two machines that are behind routers, through a relay at an address both reach, until
  a direct way is found (the relay prints ADDRESS: driftline relay --p2p)
    driftline peer --folder ~/notes --relay ADDRESS --pair
    driftline peer --folder ~/notes --relay ADDRESS --pair CODE --dial REACHABLE
  The first prints REACHABLE once it is. Later --relay alone is enough. With --through
  in its place the relay passes on what it cannot read, and keeps no copy.

  How a running peer stands:
    driftline peer status --folder ~/notes

  This folder and a relay; do the same on another machine, with the same space:
    driftline peer --folder ~/notes --space harbour --relay ws://localhost:8080/sync

  A space of your own, which relays carry and cannot read (--owned: and can read). Make
  it and share it by this machine's own commands, and join it from every folder, your own too:
    driftline space create --sealed --relay ws://localhost:8080/sync        prints SPACE
    driftline share --write --space SPACE --relay ws://localhost:8080/sync  prints LINK
    driftline peer --folder ~/notes --join LINK
  From then on the folder knows its space, and the relay that the link named:
    driftline peer --folder ~/notes

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
  3  not found: no peer is running there (driftline peer status)
  5  refused: this device is no member of the space, the link lets nobody in any more, or
     the key in the data directory can be read by others
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
    /// The space: its name, or its id. Whoever says the same name means the same space [default: the one that this folder
    /// was kept in step with before or peers were paired with for, or else "default"]
    #[arg(long, value_name = "NAME", env = "DRIFTLINE_SPACE")]
    space: Option<String>,
    /// Become a member of an owned or sealed space by this link, which a member made with driftline share, and keep the folder
    /// in step with that. In quotes: the shell takes what follows a # for a comment
    #[arg(long, value_name = "LINK", conflicts_with = "dry_run")]
    join: Option<String>,
    /// What this device is called, as other members of that space see it
    #[arg(long, value_name = "TEXT", default_value = "", requires = "join")]
    note: String,
    /// A relay to sync with, such as ws://localhost:8080/sync; may be given several times. With an address that
    /// `driftline relay --p2p` prints (/ip4/…/p2p/12D3…), paired peers elsewhere are met through it, too [default: those that
    /// the link named by which the space was joined]
    #[arg(long = "relay", value_name = "ADDRESS", env = "DRIFTLINE_RELAY", value_delimiter = ',')]
    relays: Vec<String>,
    /// The token that these relays want, where they want one
    #[arg(long, value_name = "TOKEN", env = "DRIFTLINE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Say what would be done and touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one value a line: events on stdout, notes and errors on stderr
    #[arg(long)]
    json: bool,
    /// Print each change of a document as it comes, and when that was: for measuring
    #[arg(long, hide = true)]
    tell_changes: bool,
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
    let data = data_folder(arguments, &folder)?;
    let (relays, meeting) = sort_relays(&relays_of(arguments, &data, output))?;
    let relays: Vec<String> = relays.iter().map(|relay| with_token(relay, arguments.token.as_deref())).collect();
    if arguments.dry_run {
        return foretell(arguments, relays, &folder, &data, output).await;
    }
    let options = RepoOptions { data: Some(data.clone()), relays, ..RepoOptions::default() };
    let invitation = arguments.join.as_deref().map(joining::read).transpose()?;
    let named = joining::space_named(arguments.space.as_deref(), invitation.as_ref())?;
    let named = named.or_else(|| remembered_space(&data).filter(|_| !arguments.lan.is_told_the_space()));
    let named = named.as_deref();
    let place = LanPlace::take(&arguments.lan, &data, named, meeting, output)?;
    let (repo, space) = match &place {
        Some(place) => {
            let space = tokio::select! {
                space = place.space(output) => space?,
                _ = told_to_stop() => return Ok(()),
            };
            (Repo::open_as(options, place.identity().secret(), place.lan().dialler()).await, space)
        }
        None => (Repo::open(options).await, SpaceId::from_id_or_name(named.unwrap_or(SPACE))),
    };
    let repo = repo.map_err(|error| in_words(error, &data))?;
    let space = repo.space_of(space);
    if let Err(why) = joining::join(&repo, &space, arguments, &data, output).await {
        repo.close().await;
        return Err(why);
    }
    let called = arguments.space.as_ref().map(|named| format!("{named} ")).unwrap_or_default();
    output.note(&format!("{} and the space {called}({}); Ctrl-C stops", folder.display(), space.id()));
    let is_alone = repo.connections().is_empty() && place.is_none();
    if is_alone {
        output.note("no relay is named and no peer was paired with: what is in the folder is kept on this device only (--relay ws://…, --pair)");
    }
    let lan = place.as_ref().map(LanPlace::lan);
    if let Some(lan) = lan {
        lan.attach(repo.host().clone()).await;
    }
    let kept = async {
        let keeper = keeper(&repo, &space, &folder, &data, false)?;
        // Whoever has others to sync with waits for them a while before it says that it has nothing.
        let awaits = !is_alone;
        Keeping::new(output, repo.clone(), space.clone(), awaits).keep(keeper, &folder, &data).await
    };
    let asked = Asked { folder: &folder, repo: &repo, space: &space, lan };
    let ended = tokio::select! {
        ended = kept => ended,
        () = asked.answer(&data, output) => Ok(()),
        () = lan::tell_of(place.as_ref(), output) => Ok(()),
        () = tell_changes(arguments.tell_changes, &space, output) => Ok(()),
        _ = told_to_stop() => Ok(()),
    };
    // Goodbyes travel on what is left after them.
    repo.close().await;
    if let Some(lan) = lan {
        lan.leave().await;
    }
    ended?;
    output.result("stopped", &json!({ "event": "stopped" }));
    Ok(())
}

/// Says what would be done. What the relay has is looked at first, for as long as that is worth waiting for.
async fn foretell(
    arguments: &PeerArguments,
    relays: Vec<String>,
    folder: &Path,
    data: &Path,
    output: &Output,
) -> Result<(), Failure> {
    /// How long the relay is waited for.
    const PATIENCE: Duration = Duration::from_secs(10);
    // Where there is no replica yet, none is made.
    let kept = data.join(crate::store::sqlite::DATABASE_FILE).exists().then(|| data.to_owned());
    let unasked = relays.is_empty();
    let options = RepoOptions { data: kept, relays, ..RepoOptions::default() };
    let repo = Repo::open(options).await.map_err(|error| in_words(error, data))?;
    let named = arguments.space.clone().or_else(|| remembered_space(data)).map(|named| SpaceId::from_id_or_name(&named));
    let space = match named.or(lan::kept_space(data)?) {
        Some(space) => repo.space_of(space),
        None => repo.space(SPACE),
    };
    joining::is_member(&repo, &space).await?;
    let is_synced = unasked || tokio::time::timeout(PATIENCE, repo.when_synced(&space)).await.is_ok();
    if !is_synced {
        output.note("no relay can be reached: this is by what is known on this device");
    }
    let keeper = keeper(&repo, &space, folder, data, true)?;
    let done = Keeping::new(output, repo.clone(), space, false).foretell(keeper).await;
    repo.close().await;
    done
}

/// Says of each document that moves on when it did, in microseconds since 1970; for ever, or until the replica is gone.
async fn tell_changes(wanted: bool, space: &Space, output: &Output) {
    let mut events = space.subscribe();
    while wanted && let Some(event) = events.next().await {
        if let SpaceEvent::DocumentChanged { document, heads, local } = event {
            let unix_us = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros());
            let unix_us = u64::try_from(unix_us).unwrap_or(u64::MAX);
            let json = json!({ "event": "changed", "document": document, "heads": heads, "local": local, "unixUs": unix_us });
            output.result(&format!("changed {document} at {unix_us}"), &json);
        }
    }
    std::future::pending().await
}

fn keeper(repo: &Repo, space: &Space, folder: &Path, data: &Path, look_only: bool) -> Result<Keeper<SpaceShelf>, Failure> {
    let shelf = SpaceShelf::new(repo.clone(), space.clone(), tokio::runtime::Handle::current());
    let patience = if look_only { Patience::none() } else { Patience::default() };
    let options =
        KeeperOptions { folder: folder.to_owned(), data: data.to_owned(), space: space.id().to_string(), patience, look_only };
    Keeper::open(shelf, options).map_err(|error| {
        let kind = if matches!(error, FolderError::Other { .. }) { FailureKind::Usage } else { FailureKind::Failed };
        Failure::new(kind, error.to_string())
    })
}

/// The relays that were named, or else those that the link named by which the space was joined.
fn relays_of(arguments: &PeerArguments, data: &Path, output: &Output) -> Vec<String> {
    if !arguments.relays.is_empty() {
        return arguments.relays.clone();
    }
    let remembered = remembered_relays(data);
    for relay in &remembered {
        output.note(&format!("by way of {relay}, which the link named (--relay names another in its place)"));
    }
    remembered
}

/// Where this device's copy is kept, without links on the way to it, so that it is known for what it is inside the folder.
fn data_folder(arguments: &PeerArguments, folder: &Path) -> Result<PathBuf, Failure> {
    let Some(data) = &arguments.data else { return Ok(folder.join(DATA_FOLDER)) };
    let usage = |why: String| Failure::new(FailureKind::Usage, why);
    let full = std::path::absolute(data).map_err(|error| usage(format!("{}: {error}", data.display())))?;
    let own = full.ancestors().find_map(|above| Some(above.canonicalize().ok()?.join(full.strip_prefix(above).ok()?)));
    let own = own.unwrap_or(full);
    if folder.starts_with(&own) {
        return Err(usage(format!(
            "{} is, or is around, the folder itself: name a --data directory beside it or in it",
            data.display()
        )));
    }
    Ok(own)
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

/// The relays by how they are called: over WebSocket, and over libp2p.
fn sort_relays(relays: &[String]) -> Result<(Vec<String>, Vec<RelayAddress>), Failure> {
    let usage = |message: String| Failure::new(FailureKind::Usage, message);
    let (mut sockets, mut meeting) = (Vec::new(), Vec::new());
    for relay in relays {
        if relay.starts_with("ws://") || relay.starts_with("wss://") {
            sockets.push(relay.clone());
        } else if relay.starts_with('/') {
            meeting.push(relay.parse().map_err(|error: RelayAddressError| usage(error.to_string()))?);
        } else {
            return Err(usage(format!("{relay} is not a relay's address: one looks like ws://localhost:8080/sync")));
        }
    }
    Ok((sockets, meeting))
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
