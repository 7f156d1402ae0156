//! `driftline share`: a link by which others join an owned space.

use super::super::doc::options::ClientOptions;
use super::super::failure::Failure;
use super::inbox::INVITATION;
use super::{Device, EXIT_CODES, now_s, parse_duration, until};
use crate::dial::without_token;
use crate::lan::{did_of, peer_of_did};
use crate::repo::{Offer, OfferLevel, OnceOffer, Repo, RepoError};
use clap::Args;
use driftline_core::base::id::{LetterId, PeerId};
use driftline_core::base::limits::LETTER_SECONDS_MAX;
use serde_json::json;
use std::time::Duration;

const ABOUT: &str = "\
Makes a link by which others join an owned space, and prints it, or sends it to
someone's key.

Whoever has the link can join, so send it on a way that nobody else reads. It
works as often as it is used, until it expires or is revoked; each who joins
becomes a member with a key of their own, and can be shut out alone.

A link made with --once lets in one person: the first whom this device hears of,
at once when it is connected, or with the next command that reaches the relay.
Who comes second is refused. driftline members shows it, and driftline revoke
takes it back while nobody has used it.";

const EXAMPLES: &str = "\
Examples:
  driftline share --read                           to read, with no end
  driftline share --write --expires 7d --note Ben  to write, for a week
  driftline share --write --json | jq -r .link
  driftline share --write --once --from Anna       for one person, within a week
  driftline share --write --to did:key:z6Mk…       kept by the relay, sealed, until
    whoever has that key looks into driftline inbox, where it also says what their
    key is";

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
    /// Send the link to this key, and do not print it. It is sealed: no relay can read it
    #[arg(long, value_name = "DID", value_parser = parse_key)]
    to: Option<PeerId>,
    /// Let in one person only: whoever asks first
    #[arg(long, conflicts_with = "to")]
    once: bool,
    /// How long a link for one person waits for them, as in 90m, 12h or 7d; thirty days at most
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "7d", requires = "once")]
    valid: Duration,
    /// What you are called, for whoever waits to be let in by a link for one person
    #[arg(long, value_name = "NAME", default_value = "", requires = "once")]
    from: String,
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

/// How long a relay keeps an invitation that never ends itself.
const LETTER_TIME: Duration = Duration::from_secs(LETTER_SECONDS_MAX);

/// Sends a link by letter; answers which, and whether a relay keeps it already.
async fn send(
    device: &Device<'_>,
    repo: &Repo,
    to: PeerId,
    link: &str,
    expires: Option<Duration>,
) -> Result<(LetterId, bool), Failure> {
    let letter = repo.send_letter(to, INVITATION, link, expires.unwrap_or(LETTER_TIME).min(LETTER_TIME)).await?;
    let within = if device.options.relays.is_empty() { Duration::ZERO } else { device.options.timeout };
    match repo.when_letter_kept(letter, within).await {
        Ok(()) => Ok((letter, true)),
        Err(RepoError::NotInTime { .. }) if device.options.wait.is_none() => Ok((letter, false)),
        Err(error) => Err(error.into()),
    }
}

/// Makes a link for one person.
async fn once(device: &Device<'_>, arguments: &ShareArguments) -> Result<(), Failure> {
    let (now, level) = (now_s(), arguments.level.level());
    let offer = OnceOffer {
        level,
        expires: arguments.expires.map_or(0, |after| now + after.as_secs()),
        note: arguments.note.clone(),
        from: arguments.from.clone(),
        relays: device.options.relays.iter().map(|relay| without_token(relay)).collect(),
        ends: now + arguments.valid.as_secs(),
    };
    let ends = if offer.expires == 0 { offer.ends } else { offer.ends.min(offer.expires) };
    let repo = device.open().await?;
    let made = async { Ok(device.caught_up(&repo).await?.invite_once(offer).await?) };
    let made: Result<_, Failure> = made.await;
    repo.close().await;
    let (id, link) = made?;
    device.output.result(&link, &json!({ "link": link, "once": id, "level": level, "ends": ends }));
    let until = until(ends, now);
    device.output.note(&format!(
        "note: the first who opens this link can {}; it ends {until}. They are let in when this device hears of them: driftline inbox looks",
        level.word()
    ));
    Ok(())
}

/// A key as typed.
fn parse_key(text: &str) -> Result<PeerId, String> {
    let wrong = || format!("`{text}` is no key: one looks like did:key:z6Mk…, as driftline inbox prints it on their device");
    peer_of_did(text).or_else(|| text.parse().ok()).ok_or_else(wrong)
}

pub(super) async fn run(device: &Device<'_>, arguments: &ShareArguments) -> Result<(), Failure> {
    let (now, level) = (now_s(), arguments.level.level());
    let expires = arguments.expires.map_or(0, |after| now + after.as_secs());
    if arguments.once {
        return once(device, arguments).await;
    }
    let repo = device.open().await?;
    let offer = Offer {
        level,
        expires,
        note: arguments.note.clone(),
        relays: device.options.relays.iter().map(|relay| without_token(relay)).collect(),
    };
    let made = async {
        let space = device.caught_up(&repo).await?;
        let link = space.invite(offer).await?;
        let shared = device.share(&space).await?;
        let letter = match arguments.to {
            Some(to) => Some(send(device, &repo, to, &link, arguments.expires).await?),
            None => None,
        };
        Ok((space, link, shared, letter))
    };
    let made: Result<_, Failure> = made.await;
    repo.close().await;
    let (space, link, shared, letter) = made?;
    if let (Some((letter, kept)), Some(to)) = (letter, arguments.to) {
        let to = did_of(&to);
        let mut value =
            json!({ "letter": letter, "to": to, "kept": kept, "space": space.id(), "level": level, "onRelay": shared });
        if expires != 0 {
            value["expires"] = expires.into();
        }
        device.output.result(&letter.to_string(), &value);
        let note = match kept {
            true => format!("note: the relay keeps an invitation to {} for {to}", level.word()),
            false => "note: no relay keeps it yet; it is sent with the next command that reaches one".to_owned(),
        };
        device.output.note(&note);
        return Ok(());
    }
    let mut value = json!({ "link": link, "space": space.id(), "level": level, "onRelay": shared });
    if expires != 0 {
        value["expires"] = expires.into();
    }
    device.output.result(&link, &value);
    let ends = if expires == 0 { String::new() } else { format!(", and expires {}", until(expires, now)) };
    device.output.note(&format!("note: whoever has this link can join to {}{ends}", level.word()));
    Ok(())
}
