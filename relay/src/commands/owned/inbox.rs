//! `driftline inbox`: letters for this device's key.

use super::super::doc::options::ClientOptions;
use super::super::failure::{Failure, FailureKind};
use super::{Device, EXIT_CODES, now_s, until};
use crate::lan::did_of;
use crate::repo::{Letter, Repo};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const ABOUT: &str = "\
Shows letters for this device's key, such as invitations, and what that key is.

Whoever knows the key can write to it (driftline share --to). A letter waits at
the relay, for thirty days at most, until this device comes by; it is sealed, so
that nobody but this device can read it, and signed by whoever wrote it. Here it
stays until it is forgotten.";

const EXAMPLES: &str = "\
Examples:
  driftline inbox --relay ws://localhost:8080/sync
  driftline join --from-inbox 5f0c2e
  driftline inbox forget 5f0c2e
  driftline inbox --json | jq -r '.letters[] | select(.kind == \"invitation\") | .id'";

/// The kind of a letter that is an invitation to a space.
pub(super) const INVITATION: &str = "invitation";
/// Letters of an id that are taken for it.
const LETTERS_MIN: usize = 6;
/// Bytes of a letter that are shown to people.
const SHOWN_BYTES: usize = 60;

/// What can be typed after `driftline inbox`.
#[derive(Debug, Args)]
#[command(about = "Show letters for this device, such as invitations", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(in crate::commands) struct InboxArguments {
    #[command(flatten)]
    pub(super) client: ClientOptions,
    #[command(subcommand)]
    command: Option<InboxCommand>,
}

#[derive(Debug, Subcommand)]
enum InboxCommand {
    /// Forget a letter
    Forget {
        /// The letter, or the first letters of its id
        #[arg(value_name = "LETTER")]
        letter: String,
    },
}

pub(super) async fn run(device: &Device<'_>, arguments: &InboxArguments) -> Result<(), Failure> {
    let repo = device.open().await?;
    let done = async {
        fetch(device, &repo).await?;
        match &arguments.command {
            Some(InboxCommand::Forget { letter }) => {
                let letter = find(&repo, letter).await?;
                repo.forget_letter(letter.id).await?;
                device.output.result(&format!("{} is forgotten", letter.id), &json!({ "forgotten": letter.id }));
                Ok(())
            }
            None => show(device, &repo).await,
        }
    };
    let done: Result<(), Failure> = done.await;
    repo.close().await;
    done
}

async fn show(device: &Device<'_>, repo: &Repo) -> Result<(), Failure> {
    let (letters, own, now) = (repo.letters().await?, did_of(&repo.peer_id()), now_s());
    let human: Vec<String> = letters.iter().map(|letter| line(letter, now)).collect();
    let of_letters: Vec<Value> = letters.iter().map(as_json).collect();
    device.output.result(&human.join("\n"), &json!({ "key": own, "letters": of_letters }));
    let none = if letters.is_empty() { "no letters; " } else { "" };
    device.output.note(&format!("note: {none}who wants to write to this device needs its key: {own}"));
    Ok(())
}

/// Takes in what waits at the relay, if it can be reached in time.
async fn fetch(device: &Device<'_>, repo: &Repo) -> Result<(), Failure> {
    if device.options.relays.is_empty() {
        device.output.note("note: no relay is named (--relay): this is what came before");
    } else if !repo.letters_fetched(device.options.timeout).await? {
        device.output.note("note: no relay could be reached that keeps letters: this is what came before");
    } else {
        // Whoever has asked to be let in is answered.
        repo.introductions_settled(device.options.timeout).await?;
    }
    Ok(())
}

/// The letter with an invitation whose id begins so.
pub(super) async fn invitation(device: &Device<'_>, repo: &Repo, typed: &str) -> Result<Letter, Failure> {
    let letter = match find(repo, typed).await {
        Ok(letter) => letter,
        Err(_) => {
            fetch(device, repo).await?;
            find(repo, typed).await?
        }
    };
    match letter.kind == INVITATION {
        true => Ok(letter),
        false => Err(Failure::new(FailureKind::Usage, format!("the letter {} is no invitation", letter.id))),
    }
}

async fn find(repo: &Repo, typed: &str) -> Result<Letter, Failure> {
    let typed = typed.to_lowercase();
    let begins = |letter: &Letter| typed.len() >= LETTERS_MIN && letter.id.to_string().starts_with(&typed);
    let mut found: Vec<Letter> = repo.letters().await?.into_iter().filter(begins).collect();
    match (found.pop(), found.len()) {
        (Some(letter), 0) => Ok(letter),
        (None, _) => Err(Failure::new(
            FailureKind::NotFound,
            format!("no letter begins with `{typed}`; driftline inbox shows them ({LETTERS_MIN} letters of the id at least)"),
        )),
        _ => Err(Failure::new(FailureKind::Usage, format!("several letters begin with `{typed}`: type more of it"))),
    }
}

fn as_json(letter: &Letter) -> Value {
    json!({
        "id": letter.id,
        "from": did_of(&letter.sender),
        "kind": letter.kind,
        "content": String::from_utf8_lossy(&letter.content),
        "expires": letter.expires,
    })
}

/// What someone else wrote does not reach the terminal as it is.
fn line(letter: &Letter, now: u64) -> String {
    let Letter { id, sender, kind, content, expires } = letter;
    let said = match kind.as_str() {
        INVITATION => "driftline join --from-inbox takes it".to_owned(),
        _ => String::from_utf8_lossy(&content[..content.len().min(SHOWN_BYTES)]).escape_debug().to_string(),
    };
    let id = &id.to_string()[..12];
    format!("{id}  {}  {}  expires {}  {said}", kind.escape_debug(), did_of(sender), until(*expires, now))
}
