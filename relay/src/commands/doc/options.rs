//! What can be typed after `driftline doc`.

use super::failure::EXIT_CODES;
use super::format::Format;
use super::path::TypedPath;
use crate::dial::with_token;
use clap::{Args, Subcommand, ValueEnum};
use driftline_core::base::id::DocumentId;
use std::path::PathBuf;
use std::time::Duration;

const ABOUT: &str = "\
Read and write documents from the command line.

Every command works on this device's own copy of a space, kept in the data
directory, and syncs it with a relay when one is named and can be reached.
Away from the relay everything still works; what you write travels with the
next command that reaches it.";

const EXAMPLES: &str = "\
Examples:
  Make a note, and read it on another machine:
    driftline doc create --relay ws://localhost:8080/sync --value '{\"title\": \"Tides\"}'
    driftline doc list   --relay ws://localhost:8080/sync

  Name the relay once:
    export DRIFTLINE_RELAY=ws://localhost:8080/sync
    driftline doc set ID title '\"Spring tides\"'
    driftline doc get ID title
    driftline doc watch --all

  In a script, fail unless the relay has it:
    driftline doc import notes.md --wait relay --json | jq -r .document
";

/// `driftline doc`: documents from the command line.
#[derive(Debug, Args)]
#[command(about = "Read and write documents", long_about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
pub struct DocArgs {
    /// Where documents are and how to speak about them.
    #[command(flatten)]
    pub client: ClientOptions,
    /// What to do; with nothing, the help is printed. (clap's own way of asking for it takes a variable in the environment for an argument.)
    #[command(subcommand)]
    pub command: Option<DocCommand>,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Where")]
pub struct ClientOptions {
    /// A relay to sync with, such as ws://localhost:8080/sync; may be given several times
    #[arg(long = "relay", value_name = "URL", env = "DRIFTLINE_RELAY", value_delimiter = ',', global = true)]
    pub relays: Vec<String>,
    /// The token that the relays want, where they want one (driftline token makes them)
    #[arg(long, value_name = "TOKEN", env = "DRIFTLINE_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// The space to work in: its name, or its id. Whoever says the same name means the same space [default: default]
    #[arg(long, value_name = "NAME", env = "DRIFTLINE_SPACE", global = true)]
    pub space: Option<String>,
    /// Where documents are kept on this device [default: driftline/client in the platform's data directory]
    #[arg(long, value_name = "DIR", env = "DRIFTLINE_DATA", global = true)]
    pub data: Option<PathBuf>,
    /// Keep nothing on this device, whatever --data says: everything comes from the relay and goes to it
    #[arg(long, global = true)]
    pub memory: bool,
    /// Print JSON: one value on stdout (one a line for watch), notes and errors as JSON on stderr
    #[arg(long, global = true, help_heading = "How")]
    pub json: bool,
    /// How long to wait for the relay
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds, global = true, help_heading = "How")]
    pub timeout: Duration,
    /// What must be true before the command ends. Without it: saved on this device, and on the relay if it can be reached in time
    #[arg(long, value_enum, value_name = "WHAT", global = true, help_heading = "How")]
    pub wait: Option<Wait>,
}

impl ClientOptions {
    /// The space, where none is named.
    pub const SPACE: &str = "default";

    /// The relays as they are dialled: with the token, if there is one.
    pub fn dialled(&self) -> Vec<String> {
        self.relays.iter().map(|relay| with_token(relay, self.token.as_deref())).collect()
    }

    /// The space to work in.
    pub fn space(&self) -> &str {
        self.space.as_deref().unwrap_or(Self::SPACE)
    }
}

/// What must be true before a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// The relay has acknowledged it (and before reading: everything the relay has is here), or exit code 4.
    Relay,
    /// It is durable on this device; the relay is not waited for.
    Device,
    /// Nothing is waited for.
    None,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum DocCommand {
    /// With this device's own copy of a space.
    #[command(flatten)]
    Own(OwnCommand),
    /// Play a recorded editing history through a relay and check the outcome
    Replay(Replay),
}

/// What can be done with this device's own copy of a space.
#[derive(Debug, Subcommand)]
pub enum OwnCommand {
    /// Make a document and print its id
    Create(Create),
    /// List the documents of the space
    #[command(after_help = "Example:\n  driftline doc list --space harbour --json | jq -r '.[].title'")]
    List,
    /// Print a whole document
    Show(Show),
    /// Print one value of a document
    Get(Get),
    /// Set one value of a document
    Set(Set),
    /// Replace part of a text, keeping what others write in it
    Splice(Splice),
    /// Print each change as it arrives, until Ctrl-C
    Watch(Watch),
    /// Print the changes that made a document
    History(History),
    /// Make a document from a file
    Import(Import),
    /// Write a document to a file
    Export(Export),
}

const PATHS: &str = "\
A path is steps with dots between them, as in notes.0.title, or a JSON pointer,
as in /notes/0/title (which also reaches keys with dots in them).";

const VALUES: &str = "\
A value is JSON. A string is text that several people can write in; what JSON
has no word for is {\"$counter\": 0}, {\"$string\": \"replaced as a whole\"},
{\"$timestamp\": ms}, {\"$bytes\": \"base64\"}.";

/// `driftline doc create`
#[derive(Debug, Args)]
#[command(after_help = format!("{VALUES}\n\nExample:\n  driftline doc create --value '{{\"title\": \"Tides\", \"visits\": {{\"$counter\": 0}}}}'\n  driftline doc create --text notes.md"))]
pub struct Create {
    /// The id of the new document, if it is not to be drawn at random
    #[arg(long, value_name = "ID")]
    pub id: Option<DocumentId>,
    /// What it is to read: a JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "text")]
    pub value: Option<String>,
    /// A text file (- for stdin) to make a note from: title and body
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
}

/// `driftline doc show`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  driftline doc show ID")]
pub struct Show {
    /// The document: its id, or its URL in automerge-repo
    #[arg(value_parser = parse_document)]
    pub id: DocumentId,
}

/// `driftline doc get`
#[derive(Debug, Args)]
#[command(after_help = format!("{PATHS}\nText is printed as it is, everything else as JSON.\n\nExample:\n  driftline doc get ID notes.0.title"))]
pub struct Get {
    /// The document: its id, or its URL in automerge-repo
    #[arg(value_parser = parse_document)]
    pub id: DocumentId,
    /// Where in it
    pub path: TypedPath,
}

/// `driftline doc set`
#[derive(Debug, Args)]
#[command(after_help = format!("{PATHS}\n{VALUES}\nThe index after a list's last adds to it. A text that is set to another text is changed where the two\ndiffer, so what others write in it meanwhile is kept.\n\nExample:\n  driftline doc set ID title '\"Spring tides\"'\n  driftline doc set ID notes.0.done true"))]
pub struct Set {
    /// The document: its id, or its URL in automerge-repo
    #[arg(value_parser = parse_document)]
    pub id: DocumentId,
    /// Where in it
    pub path: TypedPath,
    /// The new value, as JSON
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub value: String,
    /// A message for the document's history
    #[arg(long, short)]
    pub message: Option<String>,
}

/// `driftline doc splice`
#[derive(Debug, Args)]
#[command(after_help = format!("{PATHS}\n\nExample:\n  driftline doc splice ID body 0 0 'Dear all, '"))]
pub struct Splice {
    /// The document: its id, or its URL in automerge-repo
    #[arg(value_parser = parse_document)]
    pub id: DocumentId,
    /// The text in it
    pub path: TypedPath,
    /// Where in the text, counted in Unicode code points
    pub index: usize,
    /// How many code points go
    pub delete: usize,
    /// What comes in their place
    #[arg(default_value = "", allow_hyphen_values = true)]
    pub text: String,
}

/// `driftline doc watch`
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
#[command(after_help = "Example:\n  driftline doc watch --all --json | jq -c '.patches[]'")]
pub struct Watch {
    /// The document: its id, or its URL in automerge-repo
    #[arg(value_parser = parse_document)]
    pub id: Option<DocumentId>,
    /// Every document of the space, also those that come while watching
    #[arg(long)]
    pub all: bool,
}

/// `driftline doc history`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  driftline doc history ID --limit 20")]
pub struct History {
    /// The document: its id, or its URL in automerge-repo
    #[arg(value_parser = parse_document)]
    pub id: DocumentId,
    /// Only the latest so many changes
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// `driftline doc import`
#[derive(Debug, Args)]
#[command(after_help = "\
What a file becomes goes by its extension: .automerge keeps its history, .json
becomes the value, .md and .txt become a note with a title (the first heading,
or the file's name) and a body (the file, letter by letter). A folder is taken for
a storage folder of automerge-repo (NodeFSStorageAdapter): all its documents come
in under their ids, and into those that are held already.

Example:
  driftline doc import notes.md --space harbour
  driftline doc import automerge-repo-data --space automerge")]
pub struct Import {
    /// The file, or a storage folder of automerge-repo
    pub file: PathBuf,
    /// Read it as this, whatever its extension
    #[arg(long = "as", value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
}

/// `driftline doc export`
#[derive(Debug, Args)]
#[command(after_help = "\
The format goes by the extension of the file: .automerge holds the history,
.json the value, .md and .txt one text. Without a file it is JSON on stdout.
The file appears whole or not at all.

Example:
  driftline doc export ID -o notes.md
  driftline doc export ID --as automerge -o backup.automerge
  driftline doc export --all -o automerge-repo-data")]
pub struct Export {
    /// The document: its id, or its URL in automerge-repo
    #[arg(value_parser = parse_document, required_unless_present = "all")]
    pub id: Option<DocumentId>,
    /// Every document of the space, into a storage folder of automerge-repo (NodeFSStorageAdapter)
    #[arg(long, conflicts_with_all = ["id", "format", "path"], requires = "output")]
    pub all: bool,
    /// Write it as this, whatever the extension
    #[arg(long = "as", value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The file, or with --all the folder, to write
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which text, for the text format
    #[arg(long, value_name = "PATH", default_value = "body")]
    pub path: TypedPath,
}

/// `driftline doc replay`
#[derive(Debug, Args)]
#[command(after_help = "\
Plays a history in the format of josephg/editing-traces, each transaction one
change. In a sequential history one client types everything. In a concurrent
one each author is a replica with a store and a connection of its own, and
types each transaction as soon as those it builds on have arrived. At the end
one more client joins with nothing, and everyone must read the same text, the
one that the history says. Stores are temporary folders, or in memory
with --memory; --data is not used.

Example:
  driftline doc replay automerge-paper.json.gz --relay ws://localhost:8080/sync")]
pub struct Replay {
    /// The history: gzipped or plain JSON
    pub trace: PathBuf,
    /// Play only the first so many transactions
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// How long the relay may take with nothing happening before the replay gives up
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    pub patience: Duration,
}

/// A document as typed: its id, or that behind `automerge:`.
pub(in crate::commands) fn parse_document(text: &str) -> Result<DocumentId, String> {
    let id = text.strip_prefix("automerge:").unwrap_or(text);
    id.parse().map_err(|error| format!("`{text}` is not a document's id: {error}"))
}

/// Seconds as typed, with a fraction if one likes.
pub(in crate::commands) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("`{text}` is not a number of seconds that can be waited"))
}
