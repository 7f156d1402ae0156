//! `driftline join`: becomes a member of an owned space by a link.

use super::super::doc::options::ClientOptions;
use super::super::failure::{Failure, FailureKind};
use super::{Device, EXIT_CODES, inbox, refused};
use clap::Args;
use serde_json::json;

const ABOUT: &str = "\
Joins an owned space by a link that a member made with driftline share.

This device's key becomes a member, and the link is not needed again. The relays
that the link names are used beside those of --relay; name them with --relay in
later commands.";

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
