//! `driftline share`: a link by which others join an owned space.

use super::super::doc::options::ClientOptions;
use super::super::failure::Failure;
use super::{Device, EXIT_CODES, now_s, parse_duration, until};
use crate::repo::{Offer, OfferLevel};
use clap::Args;
use serde_json::json;
use std::time::Duration;

const ABOUT: &str = "\
Makes a link by which others join an owned space, and prints it.

Whoever has the link can join, so send it on a way that nobody else reads. It
works as often as it is used, until it expires or is revoked; each who joins
becomes a member with a key of their own, and can be shut out alone.";

const EXAMPLES: &str = "\
Examples:
  driftline share --read                           to read, with no end
  driftline share --write --expires 7d --note Ben  to write, for a week
  driftline share --write --json | jq -r .link";

/// What can be typed after `driftline share`.
#[derive(Debug, Args)]
#[command(about = "Make a link by which others join a space", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(in crate::commands) struct ShareArguments {
    #[command(flatten)]
    pub(super) client: ClientOptions,
    #[command(flatten)]
    level: LevelArguments,
    /// When it ends, for the link and for all who joined by it: so long from now, as in 90m, 12h, 7d or 4w [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// What it is for, as driftline members shows it
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct LevelArguments {
    /// Let others read
    #[arg(long)]
    read: bool,
    /// Let others read, and be seen with their cursors
    #[arg(long)]
    presence: bool,
    /// Let others read and write
    #[arg(long)]
    write: bool,
    /// Let others read and write, share, and revoke what they have shared
    #[arg(long)]
    admin: bool,
}

impl LevelArguments {
    fn level(&self) -> OfferLevel {
        match self {
            Self { admin: true, .. } => OfferLevel::Admin,
            Self { write: true, .. } => OfferLevel::Write,
            Self { presence: true, .. } => OfferLevel::Presence,
            _ => OfferLevel::Read,
        }
    }
}

pub(super) async fn run(device: &Device<'_>, arguments: &ShareArguments) -> Result<(), Failure> {
    let (now, level) = (now_s(), arguments.level.level());
    let expires = arguments.expires.map_or(0, |after| now + after.as_secs());
    let repo = device.open().await?;
    let offer = Offer { level, expires, note: arguments.note.clone(), relays: device.options.relays.clone() };
    let made = async {
        let space = device.caught_up(&repo).await?;
        let link = space.invite(offer).await?;
        let shared = device.share(&space).await?;
        Ok((space, link, shared))
    };
    let made: Result<_, Failure> = made.await;
    repo.close().await;
    let (space, link, shared) = made?;
    let mut value = json!({ "link": link, "space": space.id(), "level": level, "onRelay": shared });
    if expires != 0 {
        value["expires"] = expires.into();
    }
    device.output.result(&link, &value);
    let ends = if expires == 0 { String::new() } else { format!(", and expires {}", until(expires, now)) };
    device.output.note(&format!("note: whoever has this link can join to {}{ends}", level.word()));
    Ok(())
}
