//! `driftline join`: becomes a member of an owned space by a link.

use super::super::doc::options::ClientOptions;
use super::super::failure::{Failure, FailureKind};
use super::{Device, EXIT_CODES, inbox, refused};
use crate::repo::{Ask, AskState, Repo};
use clap::Args;
use driftline_core::trust::ticket::Ticket;
use serde_json::json;

const ABOUT: &str = "\
Joins an owned space by a link that a member made with driftline share.

This device's key becomes a member, and the link is not needed again. The relays
that the link names are used beside those of --relay; name them with --relay in
later commands.

A link for one person (driftline share --once) asks whoever made it: their device
lets this one in when it hears of it. Until then the command ends with code 4, and
is run again to look.";

const EXAMPLES: &str = "\
Example:
  export DRIFTLINE_SPACE=$(driftline join 'driftline:join#AW93bmQ…' --note \"Ben's laptop\")
  driftline doc list --relay ws://localhost:8080/sync

  A link that came by letter (driftline share --to):
    driftline inbox --relay ws://localhost:8080/sync
    driftline join --from-inbox 5f0c2e --relay ws://localhost:8080/sync";

/// What can be typed after `driftline join`.
#[derive(Debug, Args)]
#[command(about = "Join an owned space by a link", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(in crate::commands) struct JoinArguments {
    /// The link, in quotes: the shell takes what follows a # for a comment
    #[arg(value_name = "LINK", required_unless_present = "from_inbox")]
    link: Option<String>,
    /// Take the link from this letter, as driftline inbox shows it, or its first letters
    #[arg(long, value_name = "LETTER", conflicts_with = "link")]
    from_inbox: Option<String>,
    #[command(flatten)]
    pub(super) client: ClientOptions,
    /// What this device is called, as other members see it
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

pub(super) async fn run(device: &Device<'_>, arguments: &JoinArguments) -> Result<(), Failure> {
    if let Some(link) = arguments.link.as_ref().filter(|link| Ticket::is_meant_by(link)) {
        return ask(device, link, &arguments.note).await;
    }
    let repo = device.open().await?;
    let joined = async {
        let letter = match &arguments.from_inbox {
            Some(typed) => Some(inbox::invitation(device, &repo, typed).await?),
            None => None,
        };
        let link = letter.as_ref().map(|letter| String::from_utf8_lossy(&letter.content).into_owned());
        let link = link.or_else(|| arguments.link.clone()).unwrap_or_default();
        let space = repo.join(&link, &arguments.note).await?;
        if let Some(letter) = letter {
            repo.forget_letter(letter.id).await?;
        }
        let has_relay = !repo.connections().is_empty();
        let shared = tokio::select! {
            biased;
            shared = space.members_shared(device.options.timeout), if has_relay => shared?,
            why = refused(&repo), if has_relay => return Err(Failure::new(FailureKind::Refused, why)),
            else => false,
        };
        Ok((space.id(), space.level().await?, shared, has_relay))
    };
    let joined: Result<_, Failure> = joined.await;
    let key = repo.peer_id();
    repo.close().await;
    let (space, level, shared, has_relay) = joined?;
    device.output.result(&space.to_string(), &json!({ "space": space, "level": level, "key": key, "onRelay": shared }));
    if has_relay && !shared {
        device
            .output
            .note("note: joined on this device; no relay has answered yet, and none lets others in before it has heard of it");
    }
    Ok(())
}

/// Asks by a link for one person, and waits to be let in.
async fn ask(device: &Device<'_>, link: &str, note: &str) -> Result<(), Failure> {
    let repo = device.open().await?;
    let joined = async {
        let ask = answered(device, &repo, link, note).await?;
        let Some(space) = ask.space else {
            return Err(Failure::new(FailureKind::Usage, "this link is for a device: driftline device join takes it"));
        };
        let space = repo.space_of(space);
        let shared = space.members_shared(device.options.timeout).await?;
        Ok((space.id(), space.level().await?, shared))
    };
    let joined: Result<_, Failure> = joined.await;
    let key = repo.peer_id();
    repo.close().await;
    let (space, level, shared) = joined?;
    device.output.result(&space.to_string(), &json!({ "space": space, "level": level, "key": key, "onRelay": shared }));
    Ok(())
}

/// Asks by a link and waits for the answer.
pub(super) async fn answered(device: &Device<'_>, repo: &Repo, link: &str, name: &str) -> Result<Ask, Failure> {
    let id = repo.ask_by(link, name).await?;
    if repo.connections().is_empty() {
        let why = "the link names no relay, and none is given (--relay): nobody can be asked";
        return Err(Failure::new(FailureKind::NotSynced, why));
    }
    let asks = repo.asks().await?;
    if let Some(ask) = asks.iter().find(|ask| ask.id == id && ask.state == AskState::Waiting) {
        let code = ask
            .code
            .as_ref()
            .map_or_else(String::new, |code| format!(" If it asks about the code {code}, it is this device that it asks about."));
        device.output.note(&format!("note: waiting for {} to let you in.{code}", giver(ask)));
    }
    let answered = repo.when_answered(id, device.options.timeout).await?;
    repo.introductions_settled(device.options.timeout).await?;
    let gone = || Failure::new(FailureKind::NotFound, "it is no longer known that this device has asked: ask again");
    let ask = answered.ok_or_else(gone)?;
    match (ask.state, ask.why) {
        (AskState::In, _) => Ok(ask),
        (AskState::Waiting, _) => {
            let why = format!("asked, and {} has not answered yet: run the same command again to look", giver(&ask));
            Err(Failure::new(FailureKind::NotSynced, why))
        }
        (AskState::Ended, _) => {
            Err(Failure::new(FailureKind::Refused, "nobody let you in before the link expired: ask for a new one"))
        }
        (AskState::Refused, why) => {
            let why = why.map_or("it was refused", |why| why.words());
            Err(Failure::new(FailureKind::Refused, why))
        }
    }
}

/// What whoever is asked is called. What someone else wrote does not reach the terminal as it is.
fn giver(ask: &Ask) -> String {
    if ask.from.is_empty() { "whoever made the link".to_owned() } else { ask.from.escape_debug().to_string() }
}
