//! `driftline revoke`: shuts someone out of an owned space.

use super::super::doc::options::ClientOptions;
use super::super::failure::{Failure, FailureKind};
use super::{Device, EXIT_CODES};
use crate::repo::{MemberState, Repo, Space, TicketGiven, TicketId, TicketState};
use clap::Args;
use driftline_core::base::id::PeerId;
use serde_json::json;

const ABOUT: &str = "\
Shuts a key out of an owned space: a member's, or a link's with all who joined by it.

It is shut out at once wherever it is connected. What it wrote stays as far as
this device has it: sync first, with --relay. Everything it writes later, or
wrote meanwhile where this device has not seen it, is refused by every replica,
and so is what others built on that before they heard of it. A link by which it
joined is closed; who else joined by that link stays.

What it has read it has read, and keeps.

A link for one person (driftline share --once) is taken back by its id, as
driftline members shows it, while nobody has used it.";

const EXAMPLES: &str = "\
Examples:
  driftline members                # shows keys
  driftline revoke 8a5f0c2e…       # or the first letters of one, if they are enough
  driftline revoke 8a5f0c2e --wait relay   # exit code 4 unless a relay has heard of it";

/// Letters of a key that are taken for it.
const LETTERS_MIN: usize = 6;

/// What can be typed after `driftline revoke`.
#[derive(Debug, Args)]
#[command(about = "Shut someone out of an owned space", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(in crate::commands) struct RevokeArguments {
    /// The key, as driftline members shows it, or its first letters
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    pub(super) client: ClientOptions,
}

pub(super) async fn run(device: &Device<'_>, arguments: &RevokeArguments) -> Result<(), Failure> {
    let repo = device.open().await?;
    let revoked = async {
        let space = device.caught_up(&repo).await?;
        if let Some(ticket) = ticket_of(&repo, &space, &arguments.key).await? {
            repo.take_back_ticket(ticket).await?;
            return Ok((space.id(), ticket.to_string(), true));
        }
        let key = key_of(&space, &arguments.key).await?;
        space.revoke(key).await?;
        let shared = device.share(&space).await?;
        Ok((space.id(), key.to_string(), shared))
    };
    let revoked: Result<_, Failure> = revoked.await;
    repo.close().await;
    let (space, key, shared) = revoked?;
    device.output.result(&format!("{key} is shut out"), &json!({ "space": space, "revoked": key, "onRelay": shared }));
    match shared {
        true => Ok(()),
        false if device.options.wait.is_some() => Err(device.unheard()),
        false => {
            device.output.note(&format!("note: {}", device.unheard().message));
            Ok(())
        }
    }
}

/// The link for one person whose id begins so, and that can be taken back.
async fn ticket_of(repo: &Repo, space: &Space, typed: &str) -> Result<Option<TicketId>, Failure> {
    let typed = typed.to_lowercase();
    let is_meant = |ticket: &TicketGiven| {
        let is_open = matches!(ticket.state, TicketState::Open | TicketState::Asked);
        ticket.space == Some(space.id()) && is_open && typed.len() >= LETTERS_MIN && ticket.id.to_string().starts_with(&typed)
    };
    let found: Vec<TicketId> = repo.tickets().await?.into_iter().filter(is_meant).map(|ticket| ticket.id).collect();
    Ok(found.first().copied().filter(|_| found.len() == 1))
}

/// The key that begins so.
pub(super) async fn key_of(space: &Space, typed: &str) -> Result<PeerId, Failure> {
    if let Ok(key) = typed.parse() {
        return Ok(key);
    }
    let typed = typed.to_lowercase();
    let members = space.members().await?;
    let begins = |key: &PeerId| typed.len() >= LETTERS_MIN && key.to_string().starts_with(&typed);
    let mut found: Vec<PeerId> =
        members.into_iter().filter(|member| member.state == MemberState::Good).map(|member| member.key).filter(begins).collect();
    found.dedup();
    match found[..] {
        [key] => Ok(key),
        [] => Err(Failure::new(
            FailureKind::NotFound,
            format!(
                "no member has a key that begins with `{typed}`; driftline members shows them ({LETTERS_MIN} letters at least)"
            ),
        )),
        _ => {
            Err(Failure::new(FailureKind::Usage, format!("several members have keys that begin with `{typed}`: type more of it")))
        }
    }
}
