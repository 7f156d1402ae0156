//! `driftline restore`: a data folder made of a backup and its recovery phrase.

use super::failure::{Failure, FailureKind};
use super::inspect::amount;
use super::output::Output;
use super::owned::{now_s, until};
use crate::lan::{Identity, KEY_FILE, did_of};
use crate::repo::random;
use crate::store::sqlite::{OpenError, RestoreError, restore};
use clap::Args;
use driftline_core::base::id::StoreEpoch;
use driftline_core::base::limits::{BACKUP_BYTES_MAX, PHRASE_BYTES_MAX};
use driftline_core::base::phrase::{PHRASE_WORDS, secret_of};
use driftline_core::store::backup::{Backup, BackupError};
use serde_json::json;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const ABOUT: &str = "\
Makes a data folder of a backup and its recovery phrase: everything that the backup
holds, and who the replica is. The backup can be one that driftline backup has
written, or a browser.

Without a file the phrase alone brings back who the replica is. Its folder then
holds nothing, and its spaces come from the relays that have them, once they are
asked for by their ids.

The phrase is read from --phrase-file, or typed, or comes on standard input. What
came after the backup comes from relays and peers. The folder must not hold a store;
whatever goes wrong, none is left in it.";

const AFTER: &str = "\
Examples:
  On a new machine, typing the 24 words
    driftline restore notes.backup --into ~/.local/share/driftline/client
    driftline doc list --relay wss://relay.example.org/sync

  A folder that was kept in step
    mkdir notes && driftline restore notes.backup --into notes/.driftline
    driftline peer --folder notes --space SPACE --relay wss://relay.example.org/sync

  In a script
    driftline restore notes.backup --into DIR --phrase-file words.txt --json

  With the phrase alone
    driftline restore --into ~/.local/share/driftline/client

If the old one still runs:
  Both have one key, and count as one replica: their copies are counted once, and a
  letter is shown by whichever comes by first. Nothing is lost by it. A device that
  may be in other hands is another matter: driftline device unlink.

Exit codes:
  0  done
  1  the file cannot be read, or the folder not be written: the disk, the system
  2  the command line is wrong, or the phrase is mistyped
  3  there is no such file
  5  refused: the folder holds a store already; the file is no backup, is of another
     phrase or of a newer version
  6  in use: another driftline is using the folder
  8  the backup is damaged; or it is restored, without something that is damaged in it";

/// What can be typed after `driftline restore`.
#[derive(Debug, Args)]
#[command(about = "Make a data folder of a backup and its recovery phrase", long_about = ABOUT, after_help = AFTER)]
pub(super) struct RestoreArguments {
    /// The backup; without one, who the replica is and nothing else
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The data folder to make
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// A file that the 24 words are in; - for standard input
    #[arg(long, value_name = "FILE")]
    phrase_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `driftline restore …` to its end and tells how the process is to exit.
pub(super) fn run(arguments: &RestoreArguments) -> ExitCode {
    let output = Output::new(arguments.json);
    match run_restore(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit())
        }
    }
}

fn run_restore(arguments: &RestoreArguments, output: &Output) -> Result<(), Failure> {
    let folder = &arguments.into;
    let file = arguments.file.as_deref().map(read_backup).transpose()?;
    let phrase = read_phrase(arguments.phrase_file.as_deref())?;
    let secret = secret_of(&phrase).map_err(|error| Failure::new(FailureKind::Usage, error.to_string()))?;
    let backup = match file {
        Some(file) => Some(Backup::open(&secret, &file).map_err(backup_failure)?),
        None => None,
    };
    let made = backup.as_ref().map(|backup| backup.made_unix_s);
    let journal = backup.map(|backup| backup.journal).unwrap_or_default();
    let mut pace = output.pace();
    let restored = restore(folder, &[KEY_FILE], journal, &secret, StoreEpoch(random()), &mut |restored| {
        if pace.is_due() {
            output.progress(&format!("{} of {}", restored.documents, amount(restored.documents_total, "document")));
        }
    });
    output.end_progress();
    let restored = restored.map_err(restore_failure)?;
    let key = did_of(&Identity::from_secret(secret).peer());
    let (documents, spaces) = (restored.documents, restored.spaces.len() as u64);
    let human = match made {
        Some(made) => format!(
            "{}: {} in {}, {}, from a backup that was made {}\nThis is {key} again. What came after the backup comes from relays and peers.",
            folder.display(),
            amount(documents, "document"),
            amount(spaces, "space"),
            amount(restored.changes, "change"),
            until(made, now_s()),
        ),
        None => format!(
            "{}: this is {key} again, and holds nothing yet. Its spaces come from relays that have them, once they are asked for by their ids.",
            folder.display()
        ),
    };
    let json = json!({
        "folder": folder, "key": key, "made": made, "spaces": spaces, "documents": documents, "changes": restored.changes,
        "damaged": restored.damaged,
    });
    output.result(&human, &json);
    if restored.damaged.is_empty() {
        return Ok(());
    }
    let why = format!("it is restored, without what is damaged in the backup:\n{}", restored.damaged.join("\n"));
    Err(Failure::new(FailureKind::Damaged, why))
}

fn read_backup(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| {
        let kind = if error.kind() == io::ErrorKind::NotFound { FailureKind::NotFound } else { FailureKind::Failed };
        Failure::new(kind, format!("cannot read {}: {error}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > BACKUP_BYTES_MAX as u64 {
        return Err(backup_failure(BackupError::TooLarge));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(BACKUP_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The words, from where they are.
fn read_phrase(path: Option<&Path>) -> Result<String, Failure> {
    let (what, file) = match path {
        Some(path) if path != Path::new("-") => (path.display().to_string(), Some(path)),
        _ => ("the recovery phrase from standard input".to_owned(), None),
    };
    let failed = |error: io::Error| Failure::new(FailureKind::Failed, format!("cannot read {what}: {error}"));
    let mut text = String::new();
    match file {
        Some(path) => {
            let file = std::fs::File::open(path).map_err(failed)?;
            file.take(PHRASE_BYTES_MAX as u64).read_to_string(&mut text).map_err(failed)?;
        }
        None if path.is_none() && io::stdin().is_terminal() => {
            let _ = writeln!(io::stderr().lock(), "Type the {PHRASE_WORDS} words of the recovery phrase, then Enter:");
            let mut stdin = io::stdin().lock();
            // They may stand on several lines, as on paper; an empty one ends them, too.
            while text.split_whitespace().count() < PHRASE_WORDS && text.len() < PHRASE_BYTES_MAX {
                let before = text.len();
                stdin.by_ref().take(PHRASE_BYTES_MAX as u64).read_line(&mut text).map_err(failed)?;
                if text[before..].trim().is_empty() {
                    break;
                }
            }
        }
        None => {
            io::stdin().take(PHRASE_BYTES_MAX as u64).read_to_string(&mut text).map_err(failed)?;
        }
    }
    Ok(text)
}

fn backup_failure(error: BackupError) -> Failure {
    let kind = match &error {
        BackupError::Damaged | BackupError::Decode(_) | BackupError::Journal(_) => FailureKind::Damaged,
        BackupError::NotOne | BackupError::Newer | BackupError::OtherPhrase | BackupError::TooLarge => FailureKind::Refused,
    };
    Failure::new(kind, error.to_string())
}

fn restore_failure(error: RestoreError) -> Failure {
    let kind = match &error {
        RestoreError::Holds { .. } => FailureKind::Refused,
        RestoreError::Folder(OpenError::InUse { .. }) => FailureKind::InUse,
        RestoreError::Folder(_) | RestoreError::Database { .. } => FailureKind::Failed,
        RestoreError::Journal(error) => return backup_failure(BackupError::Journal(error.clone())),
    };
    Failure::new(kind, error.to_string())
}
