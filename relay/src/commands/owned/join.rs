//! `driftline join`: becomes a member of an owned space by a link.

use super::super::doc::options::ClientOptions;
use super::super::failure::{Failure, FailureKind};
use super::{Device, EXIT_CODES, refused};
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
  driftline doc list --relay ws://localhost:8080/sync";

/// What can be typed after `driftline join`.
#[derive(Debug, Args)]
#[command(about = "Join an owned space by a link", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(in crate::commands) struct JoinArguments {
    /// The link, in quotes: the shell takes what follows a # for a comment
    #[arg(value_name = "LINK")]
    link: String,
    #[command(flatten)]
    pub(super) client: ClientOptions,
    /// What this device is called, as other members see it
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

pub(super) async fn run(device: &Device<'_>, arguments: &JoinArguments) -> Result<(), Failure> {
    let repo = device.open().await?;
    let joined = async {
        let space = repo.join(&arguments.link, &arguments.note).await?;
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
