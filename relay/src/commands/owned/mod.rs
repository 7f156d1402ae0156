//! Owned spaces from the command line: `driftline space`, `share`, `join`, `inbox`, `members`, `revoke` and `disavow`; and the devices of one person.

mod device;
mod disavow;
mod inbox;
mod join;
mod members;
mod revoke;
mod share;
mod space;

pub(super) use device::DeviceArguments;
pub(super) use disavow::DisavowArguments;
pub(super) use inbox::InboxArguments;
pub(super) use join::JoinArguments;
pub(super) use members::MembersArguments;
pub(super) use revoke::RevokeArguments;
pub(super) use share::ShareArguments;
pub(super) use space::SpaceArguments;

use super::doc::client::{data_folder, in_use};
use super::doc::options::ClientOptions;
use super::failure::{Failure, FailureKind};
use super::output::Output;
use crate::dial::without_token;
use crate::repo::{Repo, RepoOptions, Space};
use driftline_core::base::id::SpaceId;
use driftline_core::engine::effect::TroubleKind;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The exit codes of these commands, for their `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a disk, a file or the system failed
  2  the command line is wrong, or the link is damaged
  3  not found: nobody of that key is a member, there is no such letter, or there is
     nothing to disavow
  4  done on this device, but no relay has heard of it yet
  5  refused: this device may not do that in the space
  6  in use: another driftline is using the data directory";

/// What can be done with owned spaces.
#[derive(Debug, clap::Subcommand)]
pub(super) enum OwnedCommand {
    // What each says of itself stands with its arguments.
    Space(SpaceArguments),
    Share(ShareArguments),
    Join(JoinArguments),
    Inbox(InboxArguments),
    Members(MembersArguments),
    Revoke(RevokeArguments),
    Disavow(DisavowArguments),
    Device(DeviceArguments),
}

/// Runs one of them to its end and tells how the process is to exit.
pub(super) async fn run(command: OwnedCommand) -> ExitCode {
    let options = match &command {
        OwnedCommand::Space(arguments) => &arguments.client,
        OwnedCommand::Share(arguments) => &arguments.client,
        OwnedCommand::Join(arguments) => &arguments.client,
        OwnedCommand::Inbox(arguments) => &arguments.client,
        OwnedCommand::Members(arguments) => &arguments.client,
        OwnedCommand::Revoke(arguments) => &arguments.client,
        OwnedCommand::Disavow(arguments) => &arguments.client,
        OwnedCommand::Device(arguments) => &arguments.client,
    };
    let output = Output::new(options.json);
    let device = Device { options, output: &output };
    let done = match &command {
        OwnedCommand::Space(arguments) => space::run(&device, arguments).await,
        OwnedCommand::Share(arguments) => share::run(&device, arguments).await,
        OwnedCommand::Inbox(arguments) => inbox::run(&device, arguments).await,
        OwnedCommand::Join(arguments) => join::run(&device, arguments).await,
        OwnedCommand::Members(arguments) => members::run(&device, arguments).await,
        OwnedCommand::Revoke(arguments) => revoke::run(&device, arguments).await,
        OwnedCommand::Disavow(arguments) => disavow::run(&device, arguments).await,
        OwnedCommand::Device(arguments) => device::run(&device, arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit())
        }
    }
}

/// This device, whose key is a member's.
struct Device<'a> {
    options: &'a ClientOptions,
    output: &'a Output,
}

impl Device<'_> {
    /// Opens the replica whose key it is: the one in the data directory, and no other.
    async fn open(&self) -> Result<Repo, Failure> {
        if self.options.memory {
            let why = "an owned space knows this device by the key in its data directory, and --memory keeps none";
            return Err(Failure::new(FailureKind::Usage, why));
        }
        let (data, relays) = (Some(data_folder(self.options)?), self.options.dialled());
        Repo::open(RepoOptions { data, relays, ..RepoOptions::default() }).await.map_err(in_use)
    }

    /// The space that was named.
    fn space_id(&self) -> Result<SpaceId, Failure> {
        let Some(name) = &self.options.space else {
            let why = "say which space: --space ID (or DRIFTLINE_SPACE), as driftline space create printed it";
            return Err(Failure::new(FailureKind::Usage, why));
        };
        name.parse().map_err(|_| {
            let why = format!(
                "`{name}` is no space's id, and a space of that name is open to everyone who knows the name; owned ones have ids"
            );
            Failure::new(FailureKind::Usage, why)
        })
    }

    /// The space that was named, as far as the relay knows it, if it can be reached in time.
    async fn caught_up(&self, repo: &Repo) -> Result<Space, Failure> {
        let space = repo.space_of(self.space_id()?);
        if !self.options.relays.is_empty() {
            tokio::select! {
                biased;
                _ = repo.when_synced(&space) => {}
                why = refused(repo) => self.output.note(&format!("note: this is what is known on this device: {why}")),
                () = tokio::time::sleep(self.options.timeout) => {
                    self.output.note("note: the relay could not be reached: this is what is known on this device");
                }
            }
        }
        Ok(space)
    }

    /// Waits until a relay has heard of what was done, where one is named.
    async fn share(&self, space: &Space) -> Result<bool, Failure> {
        Ok(!self.options.relays.is_empty() && space.members_shared(self.options.timeout).await?)
    }

    /// What to do about something that no relay has heard of.
    fn unheard(&self) -> Failure {
        let why = match self.options.relays.first() {
            None => "no relay is named: it counts at others once this device has met them".to_owned(),
            Some(relay) => {
                format!("{} has not heard of it yet: it will with the next command that reaches it", without_token(relay))
            }
        };
        Failure::new(FailureKind::NotSynced, format!("done on this device; {why}"))
    }
}

/// Why this device is not let into a space, once it is told.
async fn refused(repo: &Repo) -> String {
    /// How often it is looked at; a person does not notice it.
    const LOOK_EVERY: Duration = Duration::from_millis(10);
    loop {
        let troubles = repo.troubles();
        if let Some(trouble) =
            troubles.iter().find(|trouble| trouble.kind == TroubleKind::Forbidden && trouble.document.is_none())
        {
            return trouble.message.clone();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Seconds of Unix time.
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time of day for people: so long from now, or ago.
pub(super) fn until(expires: u64, now: u64) -> String {
    let (left, words) = if expires > now { (expires - now, "in") } else { (now - expires, "ago") };
    let amount = match left {
        0..120 => format!("{left} s"),
        120..7_200 => format!("{} min", left / 60),
        7_200..172_800 => format!("{} h", left / 3_600),
        _ => format!("{} days", left / 86_400),
    };
    if words == "in" { format!("in {amount}") } else { format!("{amount} ago") }
}

/// A stretch of time as typed: a number and s, m, h, d or w.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no stretch of time: a number and s, m, h, d or w, as in 90m or 7d");
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(seconds)
        .filter(|seconds| (1..=u64::from(u32::MAX)).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_time_are_read_and_said_as_people_do() {
        assert_eq!(parse_duration("90m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("2w"), Ok(Duration::from_secs(1_209_600)));
        for wrong in ["", "7", "d", "7 d", "-1d", "0s", "7ä", "99999999999999999999d", "999999w"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!((until(100, 10), until(10, 7_300)), ("in 90 s".to_owned(), "2 h ago".to_owned()));
        assert_eq!(until(864_000, 0), "in 10 days");
    }
}
