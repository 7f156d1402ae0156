//! `driftline token`: makes a token for a relay that lets in whoever shows one.

use super::output::Output;
use crate::server::add_token;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

const ABOUT: &str = "\
Makes a token for a relay that lets in whoever shows one, and prints it.

Its hash is added to a file; the token itself is kept nowhere, so give it to
whoever is to have it now. A running relay takes it within a few seconds. To take
it back, delete its line: the note says whose it is.";

const EXAMPLES: &str = "\
Examples:
  driftline token --file /var/lib/driftline/tokens --note Ben
  driftline relay --access token --tokens /var/lib/driftline/tokens
  driftline doc list --relay wss://relay.example.org/sync --token drift_…";

/// What can be typed after `driftline token`.
#[derive(Debug, Args)]
#[command(about = "Make a token for a relay", long_about = ABOUT, after_help = EXAMPLES)]
pub(super) struct TokenArguments {
    /// The file that its hash is added to, made if there is none
    #[arg(long, value_name = "FILE", env = "DRIFTLINE_TOKENS")]
    file: PathBuf,
    /// Whose it is
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it to its end.
pub(super) fn run(arguments: &TokenArguments) -> ExitCode {
    let output = Output::new(arguments.json);
    match add_token(&arguments.file, &arguments.note) {
        Ok(token) => {
            output.result(&token, &json!({ "token": token, "file": arguments.file }));
            ExitCode::SUCCESS
        }
        Err(error) => {
            output.note(&format!("driftline: {} cannot be written: {error}", arguments.file.display()));
            ExitCode::FAILURE
        }
    }
}
