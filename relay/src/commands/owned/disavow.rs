//! `driftline disavow`: sets aside, everywhere, what nobody vouches for.

use super::super::doc::options::ClientOptions;
use super::super::failure::Failure;
use super::revoke::key_of;
use super::{Device, EXIT_CODES};
use crate::repo::{Space, Unvouched, Whose};
use clap::Args;
use driftline_core::base::id::{ActorId, DocumentId};
use serde_json::json;

const ABOUT: &str = "\
Shows what nobody vouches for in an owned space, and sets it aside.

Whoever writes signs for it within a second. What stays unsigned is somebody's last
second before their device failed, or was made up in their name by a relay; no
program can tell which. With no document it is listed, and nothing is done.

What is disavowed is taken out of the document on every device, with what was built
on it; whoever built on it makes that again, and each device keeps the rest aside in
its store. Nothing that is signed goes, and should its writer sign for it after all,
it comes back everywhere.

Whoever may write in the space can do that. In a sealed space only members can make
up anything: there, shut out who did (driftline revoke).";

const EXAMPLES: &str = "\
Examples:
  driftline disavow --space ID                   # what nobody vouches for
  driftline disavow DOCUMENT --space ID          # sets it aside
  driftline disavow DOCUMENT --of 8a5f0c2e       # only what is in this member's name
  driftline disavow DOCUMENT --actor ACTOR       # what another device lists, and this one was not given";

/// What can be typed after `driftline disavow`.
#[derive(Debug, Args)]
#[command(about = "Set aside what nobody vouches for", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(in crate::commands) struct DisavowArguments {
    /// The document; without one, what nobody vouches for is listed
    #[arg(value_name = "DOCUMENT")]
    document: Option<DocumentId>,
    /// Only what is in the name of this member: a key, as driftline members shows it, or its first letters
    #[arg(long, value_name = "KEY", requires = "document")]
    of: Option<String>,
    /// Only what is under this actor, also where this device holds none of it
    #[arg(long, value_name = "ACTOR", requires = "document", conflicts_with = "of")]
    actor: Option<ActorId>,
    #[command(flatten)]
    pub(super) client: ClientOptions,
}

pub(super) async fn run(device: &Device<'_>, arguments: &DisavowArguments) -> Result<(), Failure> {
    let repo = device.open().await?;
    let done = async {
        let space = device.caught_up(&repo).await?;
        let Some(document) = arguments.document else {
            list(device, &space, &space.unvouched().await?);
            return Ok(true);
        };
        let whose = match (&arguments.of, arguments.actor) {
            (Some(typed), _) => Whose::Of(key_of(&space, typed).await?),
            (None, Some(actor)) => Whose::Actor(actor),
            (None, None) => Whose::All,
        };
        let changes = space.disavow(document, whose).await?;
        let shared = device.share(&space).await?;
        let value = json!({ "space": space.id(), "document": document, "disavowed": changes, "onRelay": shared });
        device.output.result(&format!("{} set aside in document {document}", counted(changes)), &value);
        Ok(shared)
    };
    let done: Result<bool, Failure> = done.await;
    repo.close().await;
    match done? {
        true => Ok(()),
        false if device.options.wait.is_some() => Err(device.unheard()),
        false => {
            device.output.note(&format!("note: {}", device.unheard().message));
            Ok(())
        }
    }
}

fn list(device: &Device<'_>, space: &Space, unvouched: &[Unvouched]) {
    let line =
        |of: &Unvouched| format!("{}  {} in the name of {} (actor {})", of.document, counted(of.changes), of.writer, of.actor);
    let human: Vec<String> = unvouched.iter().map(line).collect();
    let human =
        if human.is_empty() { "everything here is vouched for by those who wrote it".to_owned() } else { human.join("\n") };
    device.output.result(&human, &json!({ "space": space.id(), "unvouched": unvouched }));
}

fn counted(changes: u64) -> String {
    if changes == 1 { "1 change".to_owned() } else { format!("{changes} changes") }
}
