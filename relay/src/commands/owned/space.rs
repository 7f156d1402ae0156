//! `driftline space`: spaces that are owned, and sealed ones.

use super::super::doc::options::ClientOptions;
use super::super::failure::{Failure, FailureKind};
use super::{Device, EXIT_CODES};
use clap::{Args, Subcommand};
use serde_json::json;

const ABOUT: &str = "\
Makes spaces that are owned.

A space that is known by a name (--space harbour) is open: whoever knows the
name may read and write everything in it, and nobody can be shut out again. An
owned space belongs to the key of the device that makes it. Others are let in by
links, to read or to write and for as long as one likes, and can be shut out.
Every replica and every relay checks that for itself, by signatures; no server
is in charge, and a relay needs no configuration for it.

A sealed space is an owned one of which relays can read nothing: what is written
there is encrypted on the device, and only members have the keys. The relay
still stores, passes on and serves it. Whoever is shut out reads nothing that is
written later, since all others are given a new key.";

const EXAMPLES: &str = "\
Example, with the relay named once:
  export DRIFTLINE_RELAY=ws://localhost:8080/sync
  export DRIFTLINE_SPACE=$(driftline space create --owned)
  driftline doc create --value '{\"title\": \"Tides\"}'
  driftline share --write --note Ben      # prints a link: send it to Ben
  driftline join LINK                     # on Ben's device
  driftline members
  driftline revoke KEY";

/// What can be typed after `driftline space`.
#[derive(Debug, Args)]
#[command(about = "Make spaces that are owned", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(in crate::commands) struct SpaceArguments {
    #[command(flatten)]
    pub(super) client: ClientOptions,
    #[command(subcommand)]
    command: SpaceCommand,
}

#[derive(Debug, Subcommand)]
enum SpaceCommand {
    /// Make a space and print its id
    #[command(after_help = EXAMPLES)]
    Create {
        /// Owned by this device's key. (Open spaces need not be made: say a name.)
        #[arg(long)]
        owned: bool,
        /// Owned, and read by its members alone: relays carry what they cannot read
        #[arg(long)]
        sealed: bool,
    },
}

pub(super) async fn run(device: &Device<'_>, arguments: &SpaceArguments) -> Result<(), Failure> {
    let SpaceCommand::Create { owned, sealed } = arguments.command;
    if !owned && !sealed {
        let why = "an open space need not be made: use its name, as in --space harbour. To make one that is owned, say --owned, or --sealed";
        return Err(Failure::new(FailureKind::Usage, why));
    }
    let repo = device.open().await?;
    let space = if sealed { repo.found_sealed_space().await? } else { repo.found_space().await? };
    let shared = device.share(&space).await;
    let owner = repo.peer_id();
    repo.close().await;
    let shared = shared?;
    device
        .output
        .result(&space.id().to_string(), &json!({ "space": space.id(), "owner": owner, "sealed": sealed, "onRelay": shared }));
    if !shared && !device.options.relays.is_empty() {
        device.output.note("note: no relay has heard of it yet; it will with the next command that reaches it");
    }
    Ok(())
}
