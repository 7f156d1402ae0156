//! What the binary `driftline` does: one file or folder for each command.

mod backup;
pub mod bridge;
pub mod doc;
mod failure;
mod inspect;
mod output;
mod owned;
pub mod peer;
pub mod relay;
mod restore;
mod signals;
mod sim;
mod token;
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

const ABOUT: &str = "\
Driftline: documents that several people write at once, online and offline.

Every replica, a browser tab, a laptop or a relay, holds whole documents, edits
them with no network, and comes to the same text as the others when they meet.";

const EXAMPLES: &str = "\
Examples:
  driftline relay                      a relay on this machine, for this machine
  driftline relay --listen 0.0.0.0:80  a relay for others
  driftline relay --help               everything that can be set, and examples
  driftline peer --folder ~/notes      a folder kept in step with a space
  driftline doc --help                 documents from the command line
  driftline space --help               spaces that are owned, shared and taken back
  driftline inbox                      letters for this device, such as invitations
  driftline device --help              several devices of yours, and one that is lost
  driftline bridge --help              a server of automerge-repo beside it
  driftline inspect DIR                what a data folder holds
  driftline verify DIR                 whether all of it checks out
  driftline backup DIR --to FILE       all of it in one sealed file
  driftline restore FILE --into DIR    and back, with the recovery phrase
  driftline sim --help                 how a change spreads among many peers";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "driftline", version, about = "Documents that merge", long_about = ABOUT, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // What each says of itself stands with its arguments.
    Relay(Box<relay::RelayArguments>),
    Peer(peer::PeerArguments),
    Doc(Box<doc::DocArgs>),
    Bridge(bridge::BridgeArguments),
    #[command(flatten)]
    Owned(owned::OwnedCommand),
    Inspect(inspect::InspectArguments),
    Backup(backup::BackupArguments),
    Restore(restore::RestoreArguments),
    Sim(sim::SimArguments),
    Token(token::TokenArguments),
    Verify(verify::VerifyArguments),
}

/// Runs what the process was asked for, to its end.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("driftline: the system gives no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match arguments.command {
            Command::Relay(arguments) => relay::run(*arguments).await,
            Command::Peer(arguments) => peer::run(arguments).await,
            Command::Doc(arguments) => doc::run(*arguments).await,
            Command::Bridge(arguments) => bridge::run(arguments).await,
            Command::Owned(command) => owned::run(command).await,
            Command::Inspect(arguments) => inspect::run(&arguments),
            Command::Backup(arguments) => backup::run(&arguments),
            Command::Restore(arguments) => restore::run(&arguments),
            Command::Sim(arguments) => sim::run(&arguments),
            Command::Token(arguments) => token::run(&arguments),
            Command::Verify(arguments) => verify::run(&arguments),
        }
    })
}
