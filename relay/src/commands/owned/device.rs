//! `driftline device`: several devices of one person, linked and lost.

use super::super::doc::options::ClientOptions;
use super::super::failure::{Failure, FailureKind};
use super::{Device, EXIT_CODES, join, now_s, parse_duration, until};
use crate::dial::without_token;
use crate::repo::{InSpace, LinkedDevice, Repo, SpaceCard, TicketGiven, TicketState};
use clap::{Args, Subcommand};
use driftline_core::base::id::{PeerId, SpaceId};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

const ABOUT: &str = "\
Links other devices of yours, so that each has your spaces, and gives one up that
is lost.

Every device has a key of its own. This one makes a link that works once; the
other opens it, and both show the same six digits. When you say here that it is
yours it is granted what this device has itself in every owned space, and told of
your other spaces. What either founds or joins later the other is told of.";

const EXAMPLES: &str = "\
Examples:
  driftline device link --name laptop           here: prints a link and a QR code, and asks
  driftline device join 'driftline:device#AQI…' --name phone      there
  driftline device list
  driftline device unlink 8a5f0c2e              the phone is lost: shuts it out everywhere";

/// Letters of a key that are taken for it.
const LETTERS_MIN: usize = 6;

/// What can be typed after `driftline device`.
#[derive(Debug, Args)]
#[command(about = "Link devices of yours, and give a lost one up", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(in crate::commands) struct DeviceArguments {
    #[command(flatten)]
    pub(super) client: ClientOptions,
    #[command(subcommand)]
    command: DeviceCommand,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// Make a link for another device, wait for it, and ask whether it is yours
    Link {
        /// What this device is called, as the other one shows it
        #[arg(long, value_name = "NAME", default_value = "")]
        name: String,
        /// Take whichever device asks first for yours: for scripts that keep the link to themselves
        #[arg(long)]
        yes: bool,
        /// How long the link waits, as in 15m or 1d
        #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "15m")]
        valid: Duration,
    },
    /// Say that the device is yours that has asked and shows this code
    Confirm {
        /// The six digits that it shows
        #[arg(value_name = "CODE")]
        code: String,
    },
    /// Link this device to the one that made the link
    Join {
        /// The link, in quotes: the shell takes what follows a # for a comment
        #[arg(value_name = "LINK")]
        link: String,
        /// What this device is called, as the other one shows it
        #[arg(long, value_name = "NAME", default_value = "")]
        name: String,
    },
    /// List your other devices, and the spaces that they told of
    List,
    /// Give a device up as lost: it is shut out of every space where this one may do that
    Unlink {
        /// Its key, as driftline device list shows it, or its first letters
        #[arg(value_name = "KEY")]
        key: String,
    },
}

pub(super) async fn run(device: &Device<'_>, arguments: &DeviceArguments) -> Result<(), Failure> {
    let repo = device.open().await?;
    let done = match &arguments.command {
        DeviceCommand::Link { name, yes, valid } => link(device, &repo, name, *yes, *valid).await,
        DeviceCommand::Confirm { code } => confirm(device, &repo, code).await,
        DeviceCommand::Join { link, name } => join_by(device, &repo, link, name).await,
        DeviceCommand::List => list(device, &repo).await,
        DeviceCommand::Unlink { key } => unlink(device, &repo, key).await,
    };
    repo.close().await;
    done
}

async fn link(device: &Device<'_>, repo: &Repo, name: &str, yes: bool, valid: Duration) -> Result<(), Failure> {
    if device.options.relays.is_empty() {
        let why = "name the relay by which the other device can ask: --relay (or DRIFTLINE_RELAY)";
        return Err(Failure::new(FailureKind::Usage, why));
    }
    let relays = device.options.relays.iter().map(|relay| without_token(relay)).collect();
    let (id, link) = repo.device_link(name, relays, valid).await?;
    let drawn = QrCode::new(&link).map(|code| code.render::<Dense1x2>().build()).unwrap_or_default();
    device.output.result(&format!("{drawn}\n\n{link}"), &json!({ "link": link, "once": id }));
    device.output.note("note: open this link on the other device, with driftline device join or by its camera; waiting for it");
    let asked = repo.when_asked(id, valid).await?;
    let Some(asked) = asked.filter(|asked| asked.state == TicketState::Asked) else {
        let why = "no device has asked by the link in time, or two have, which is one too many: make a new one";
        return Err(Failure::new(FailureKind::NotSynced, why));
    };
    let code = asked.code.clone().unwrap_or_default();
    let is_theirs = yes || is_confirmed(&asked, &code).await?;
    if is_theirs {
        return take(device, repo, &asked).await;
    }
    repo.decline_device(id).await?;
    repo.introductions_settled(device.options.timeout).await?;
    Err(Failure::new(FailureKind::Refused, "the device was not linked"))
}

/// Asks the person at the terminal.
async fn is_confirmed(asked: &TicketGiven, code: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let why = format!(
            "a device has asked; if it shows {code} it is yours: driftline device confirm {code} links it (or --yes, for scripts)"
        );
        return Err(Failure::new(FailureKind::NotSynced, why));
    }
    let _ = write!(std::io::stderr().lock(), "{} asks. Does it show {code}? [y/N] ", called(asked));
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = read.await.map_err(|error| error.to_string()).and_then(|read| read.map_err(|error| error.to_string()));
    let line = line.map_err(|error| Failure::new(FailureKind::Failed, format!("cannot read what you type: {error}")))?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// What a device calls itself. What someone else wrote does not reach the terminal as it is.
fn called(asked: &TicketGiven) -> String {
    if asked.name.is_empty() { "A device".to_owned() } else { format!("A device called {}", asked.name.escape_debug()) }
}

async fn confirm(device: &Device<'_>, repo: &Repo, code: &str) -> Result<(), Failure> {
    if !device.options.relays.is_empty() {
        repo.letters_fetched(device.options.timeout).await?;
    }
    let tickets = repo.tickets().await?;
    let asked: Vec<&TicketGiven> = tickets.iter().filter(|ticket| ticket.state == TicketState::Asked).collect();
    match asked.iter().find(|ticket| ticket.code.as_deref() == Some(code.trim())) {
        Some(asked) => take(device, repo, asked).await,
        None if asked.is_empty() => {
            Err(Failure::new(FailureKind::NotFound, "no device has asked: driftline device link makes a link"))
        }
        None => {
            Err(Failure::new(FailureKind::Refused, "the device that has asked shows another code: it is not the one you mean"))
        }
    }
}

/// Links the device that has asked.
async fn take(device: &Device<'_>, repo: &Repo, asked: &TicketGiven) -> Result<(), Failure> {
    let relays: Vec<String> = device.options.relays.iter().map(|relay| without_token(relay)).collect();
    let told = repo.cards().await?;
    let card = |space| SpaceCard { space, name: name_of(device, &told, space), relays: relays.clone() };
    let cards = repo.spaces().await?.into_iter().map(card).collect();
    let passed = repo.confirm_device(asked.id, cards).await?;
    let sent = repo.introductions_settled(device.options.timeout).await?;
    let human: Vec<String> = passed.iter().map(|passed| line(passed, "passed on")).collect();
    let key = asked.key;
    device.output.result(&human.join("\n"), &json!({ "linked": key, "name": asked.name, "spaces": passed, "onRelay": sent }));
    device.output.note(&format!("note: {} is linked", called(asked)));
    if sent { Ok(()) } else { Err(device.unheard()) }
}

/// What a space is called, as far as that is known here: another device has told, or it is open and goes by the name that was typed or by the one that
/// stands for no name. Spaces have no names of their own.
fn name_of(device: &Device<'_>, told: &[SpaceCard], space: SpaceId) -> String {
    let told = told.iter().find(|card| card.space == space && !card.name.is_empty());
    let typed = device.options.space.as_deref().filter(|typed| typed.parse::<SpaceId>().is_err());
    let by_name = typed.into_iter().chain([ClientOptions::SPACE]).find(|name| SpaceId::from_name(name) == space);
    told.map(|card| card.name.clone()).or_else(|| by_name.map(str::to_owned)).unwrap_or_default()
}

async fn join_by(device: &Device<'_>, repo: &Repo, link: &str, name: &str) -> Result<(), Failure> {
    let ask = join::answered(device, repo, link, name).await?;
    // What it is told comes in letters of their own.
    repo.letters_fetched(device.options.timeout).await?;
    repo.introductions_settled(device.options.timeout).await?;
    let cards = repo.cards().await?;
    let human: Vec<String> = cards.iter().map(card_line).collect();
    device.output.result(&human.join("\n"), &json!({ "linked": ask.giver, "spaces": cards }));
    device.output.note("note: this device is linked; what is listed are your spaces, to be named with --space");
    Ok(())
}

async fn list(device: &Device<'_>, repo: &Repo) -> Result<(), Failure> {
    if !device.options.relays.is_empty() {
        repo.letters_fetched(device.options.timeout).await?;
        repo.introductions_settled(device.options.timeout).await?;
    }
    let (devices, cards, now) = (repo.devices().await?, repo.cards().await?, now_s());
    let human = devices.iter().map(|device| device_line(device, now)).chain(cards.iter().map(card_line));
    let human: Vec<String> = human.collect();
    device.output.result(&human.join("\n"), &json!({ "key": repo.peer_id(), "devices": devices, "spaces": cards }));
    if devices.is_empty() {
        device.output.note("note: no other device is linked: driftline device link makes a link for one");
    }
    Ok(())
}

async fn unlink(device: &Device<'_>, repo: &Repo, typed: &str) -> Result<(), Failure> {
    let key = key_of(&repo.devices().await?, typed)?;
    // What it wrote so far stays as far as it is held here.
    for space in repo.spaces().await? {
        if !device.options.relays.is_empty() {
            let _ = tokio::time::timeout(device.options.timeout, repo.when_synced(&repo.space_of(space))).await;
        }
    }
    let spaces = repo.unlink_device(key).await?;
    let mut heard = repo.introductions_settled(device.options.timeout).await?;
    for shut in spaces.iter().filter(|shut| shut.error.is_none()) {
        heard &= !device.options.relays.is_empty() && repo.space_of(shut.space).members_shared(device.options.timeout).await?;
    }
    let human: Vec<String> = spaces.iter().map(|shut| line(shut, "shut out")).collect();
    device.output.result(&human.join("\n"), &json!({ "unlinked": key, "spaces": spaces, "onRelay": heard }));
    if spaces.iter().any(|shut| shut.error.is_some()) {
        device.output.note("note: there are spaces that this device cannot shut it out of: ask their owners, or their admins");
    }
    match heard || spaces.is_empty() {
        true => Ok(()),
        false if device.options.wait.is_some() => Err(device.unheard()),
        false => {
            device.output.note(&format!("note: {}", device.unheard().message));
            Ok(())
        }
    }
}

fn key_of(devices: &[LinkedDevice], typed: &str) -> Result<PeerId, Failure> {
    let typed = typed.to_lowercase();
    let begins = |device: &&LinkedDevice| typed.len() >= LETTERS_MIN && device.key.to_string().starts_with(&typed);
    let found: Vec<PeerId> = devices.iter().filter(begins).map(|device| device.key).collect();
    match found[..] {
        [key] => Ok(key),
        _ => Err(Failure::new(
            FailureKind::NotFound,
            format!(
                "not one linked device has a key that begins with `{typed}`; driftline device list shows them ({LETTERS_MIN} letters at least)"
            ),
        )),
    }
}

fn line(space: &InSpace, done: &str) -> String {
    match &space.error {
        None => format!("{}  {done}", space.space),
        Some(why) => format!("{}  not {done}: {why}", space.space),
    }
}

fn card_line(card: &SpaceCard) -> String {
    format!("space {}  {}", card.space, card.name.escape_debug())
}

fn device_line(device: &LinkedDevice, now: u64) -> String {
    let state = if device.lost { "lost".to_owned() } else { format!("linked {}", until(device.since, now)) };
    format!("{}  {state}  {}", device.key, device.name.escape_debug())
}
