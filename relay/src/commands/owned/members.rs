//! `driftline members`: who was let into an owned space.

use super::super::doc::options::ClientOptions;
use super::super::failure::Failure;
use super::{Device, EXIT_CODES, now_s, until};
use crate::repo::{Member, MemberState, TicketGiven, TicketState};
use clap::Args;
use serde_json::{Value, json};

const ABOUT: &str = "\
Lists who is or was let into an owned space: the owner, members by their keys,
and the links by which they came. Each line says what was granted, how it stands,
and by whom it was granted.";

const EXAMPLES: &str = "\
Examples:
  driftline members --space ID
  driftline members --json | jq -r '.members[] | select(.state == \"good\") | .key'";

/// What can be typed after `driftline members`.
#[derive(Debug, Args)]
#[command(about = "List who was let into an owned space", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(in crate::commands) struct MembersArguments {
    #[command(flatten)]
    pub(super) client: ClientOptions,
}

pub(super) async fn run(device: &Device<'_>, _: &MembersArguments) -> Result<(), Failure> {
    let repo = device.open().await?;
    let listed = async {
        let space = device.caught_up(&repo).await?;
        let of_space = |ticket: &TicketGiven| ticket.space == Some(space.id());
        let tickets: Vec<TicketGiven> = repo.tickets().await?.into_iter().filter(of_space).collect();
        Ok((space.id(), space.members().await?, tickets))
    };
    let listed: Result<_, Failure> = listed.await;
    repo.close().await;
    let (space, members, tickets) = listed?;
    let now = now_s();
    let human = members.iter().map(|member| line(member, now));
    let human: Vec<String> = human.chain(tickets.iter().map(|ticket| ticket_line(ticket, now))).collect();
    let members: Vec<Value> = members.iter().map(as_json).collect();
    device.output.result(&human.join("\n"), &json!({ "space": space, "members": members, "once": tickets }));
    Ok(())
}

fn as_json(member: &Member) -> Value {
    let Member { key, level, note, by, is_link, is_self, is_device, state, .. } = member;
    let mut value = json!({
        "key": key, "level": level, "state": state, "note": note, "link": is_link, "self": is_self, "device": is_device, "owner": by.is_none(), "by": by
    });
    if member.expires != 0 {
        value["expires"] = member.expires.into();
    }
    value
}

/// A link for one person.
fn ticket_line(ticket: &TicketGiven, now: u64) -> String {
    let level = ticket.level.map_or("", |level| level.word());
    let state = match ticket.state {
        TicketState::Open | TicketState::Asked => format!("expires {}", until(ticket.ends, now)),
        TicketState::Used => format!("used by {}", ticket.key.map_or_else(String::new, |key| key.to_string())),
        TicketState::TakenBack => "taken back".to_owned(),
        TicketState::Declined | TicketState::TwoAsked => "refused".to_owned(),
        TicketState::Ended => format!("expired {}", until(ticket.ends, now)),
    };
    let note = if ticket.note.is_empty() { String::new() } else { format!("  {}", ticket.note.escape_debug()) };
    format!("{}  {level}  link for one  {state}{note}", ticket.id)
}

fn line(member: &Member, now: u64) -> String {
    let what = if member.by.is_none() { "owner" } else { member.level.word() };
    let mut said = format!("{}  {what}", member.key);
    if member.is_link {
        said += "  link";
    }
    match member.state {
        MemberState::Revoked => said += "  revoked",
        MemberState::Expired => said += &format!("  expired {}", until(member.expires, now)),
        MemberState::Good if member.expires != 0 => said += &format!("  expires {}", until(member.expires, now)),
        MemberState::Good => {}
    }
    if !member.note.is_empty() {
        // What someone else wrote does not reach the terminal as it is.
        said += &format!("  {}", member.note.escape_debug());
    }
    if let Some(by) = member.by.filter(|_| member.is_device) {
        said += &format!("  (a device of {by})");
    }
    if member.is_self {
        said += "  (this device)";
    }
    said
}
