//! `driftline backup`: all that a data folder holds in one file, sealed under the replica's own key; and the phrase that opens it.

use super::failure::{Failure, FailureKind};
use super::inspect::{amount, store_failure};
use super::output::Output;
use crate::lan::{Identity, IdentityError, KEY_FILE, LIST_FILE, did_of};
use crate::repo::random;
use crate::store::sqlite::{StoreCopy, StoreCopyError, StoreView};
use clap::Args;
use driftline_core::base::limits::BACKUP_BYTES_MAX;
use driftline_core::base::phrase::phrase_of;
use driftline_core::engine::stored::IDENTITY_KEY;
use driftline_core::store::backup::{AROUND_BYTES_MAX, Backup};
use serde_json::json;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Times that a store is read again from the beginning because a program has begun to work on it.
const STARTS_MAX: u32 = 5;
/// Things that are left out, of which each is named.
const NAMED_MAX: usize = 20;

const ABOUT: &str = "\
Writes all that a data folder holds into one file, which only its recovery phrase
opens: the documents with their history, who may do what in owned and sealed
spaces, letters, links that were made, linked devices.

The phrase is 24 words, and is this replica's secret key. It is not in the file:
print it once with --phrase, write it down, and keep it apart from the file. The
two bring everything back (driftline restore), here or on another machine, or in
a browser; the phrase alone brings back who this replica is, and its spaces come
from relays that have them.

The data folder is only read, as it stands at one moment: a backup can be made
beside a relay or a peer at work. The file appears whole or not at all, and is for
its owner alone.";

const AFTER: &str = "\
Examples:
  The phrase, to be written down, once
    driftline backup ~/.local/share/driftline/client --phrase

  A backup, and whether it is good
    driftline backup ~/.local/share/driftline/client --to notes.backup
    driftline restore notes.backup --into /tmp/try && driftline verify /tmp/try

  Every night, of a folder that is kept in step, over the one of the night before
    driftline backup ~/notes/.driftline --to /backup/notes --force

What is not in it:
  Files beside the store. The peers that this one was paired with (peers.json) are
  paired with again, or that file is copied; the same goes for a relay's tokens and
  its list of keys. What is remembered of the files of a folder that is kept in
  step is of this machine only, and is found out again. Documents that were set
  aside because they were damaged are not in it, either.

  A store larger than 1 GiB is copied as a database: operations.md, \"Backup\".

Exit codes:
  0  done
  1  the store cannot be read, or the file not be written: the disk, the system
  2  the command line is wrong
  3  there is no store in DIR, or it has no key yet
  5  refused: the file is there already, the store is too large, the key is no secret
  8  the backup is written, without something that is damaged: each is named";

/// What can be typed after `driftline backup`.
#[derive(Debug, Args)]
#[command(about = "Write all that a data folder holds into one sealed file", long_about = ABOUT, after_help = AFTER)]
pub(super) struct BackupArguments {
    /// The data folder, as --data named it; of a folder that driftline peer keeps in step, .driftline in it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The file to write
    #[arg(long, value_name = "FILE", required_unless_present = "phrase")]
    to: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "to")]
    force: bool,
    /// Print the recovery phrase, and write nothing. Whoever has it can be this replica
    #[arg(long, conflicts_with = "to")]
    phrase: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `driftline backup …` to its end and tells how the process is to exit.
pub(super) fn run(arguments: &BackupArguments) -> ExitCode {
    let output = Output::new(arguments.json);
    let done = match &arguments.to {
        Some(file) => backup(&arguments.folder, file, arguments.force, &output),
        None => phrase(&arguments.folder, &output),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit())
        }
    }
}

fn phrase(folder: &Path, output: &Output) -> Result<(), Failure> {
    let identity = match kept(folder)? {
        Some(identity) => identity,
        None => {
            let view = StoreView::open(folder).map_err(store_failure)?;
            let stored = view.named(IDENTITY_KEY).map_err(store_failure)?;
            stored.and_then(|secret| secret.try_into().ok()).map(Identity::from_secret).ok_or_else(|| no_key(folder))?
        }
    };
    let (key, phrase) = (did_of(&identity.peer()), phrase_of(&identity.secret()));
    output.result(&phrase, &json!({ "key": key, "phrase": phrase }));
    output.note(&format!(
        "warning: these words are the secret key of {key}. Whoever reads them can be this replica, in every space that it is a member of, \
         and open its backups; they cannot be changed. Write them on paper, and keep them apart from the backup"
    ));
    Ok(())
}

fn backup(folder: &Path, file: &Path, force: bool, output: &Output) -> Result<(), Failure> {
    refuse_taken(file, force)?;
    let StoreCopy { journal, identity, copied } = read(folder, output)?;
    let stored = identity.map(Identity::from_secret);
    let identity = kept(folder)?.or(stored).ok_or_else(|| no_key(folder))?;
    let made_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let sealed = Backup { made_unix_s, journal }.seal(&identity.secret(), &random());
    write(file, &sealed, force).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(file),
        _ => Failure::new(FailureKind::Failed, format!("{} cannot be written: {error}", file.display())),
    })?;
    let (key, bytes) = (did_of(&identity.peer()), sealed.len() as u64);
    let spaces = copied.spaces.len() as u64;
    let human = format!(
        "{}: {} in {}, {} ({})\nThe recovery phrase of {key} opens it: driftline backup {} --phrase prints it",
        file.display(),
        amount(copied.documents, "document"),
        amount(spaces, "space"),
        amount(copied.changes, "change"),
        amount(bytes, "byte"),
        folder.display(),
    );
    let json = json!({
        "file": file, "key": key, "bytes": bytes, "spaces": spaces, "documents": copied.documents, "changes": copied.changes,
        "values": copied.values, "quarantined": copied.quarantined, "damaged": copied.damaged,
    });
    output.result(&human, &json);
    if copied.quarantined > 0 {
        let many = amount(copied.quarantined, "document");
        output.note(&format!("note: {many} set aside earlier are not in it: driftline inspect says which and why"));
    }
    let beside: Vec<&str> = [LIST_FILE, "tokens", "allowed"].into_iter().filter(|name| folder.join(name).exists()).collect();
    if !beside.is_empty() {
        output.note(&format!("note: files beside the store are not in it, to be copied by themselves: {}", beside.join(", ")));
    }
    if copied.damaged.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = copied.damaged.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = copied.damaged.len() - named.len();
    let rest = if more > 0 { format!("\nand {more} more") } else { String::new() };
    let why = format!("the backup is written, without what is damaged in the store:\n{}{rest}", named.join("\n"));
    Err(Failure::new(FailureKind::Damaged, why))
}

/// The store as a journal.
fn read(folder: &Path, output: &Output) -> Result<StoreCopy, Failure> {
    for _ in 0..STARTS_MAX {
        let view = StoreView::open(folder).map_err(store_failure)?;
        let mut pace = output.pace();
        let done = view.copy(BACKUP_BYTES_MAX - AROUND_BYTES_MAX, &mut |copied| {
            if pace.is_due() {
                output.progress(&format!("{} of {}", copied.documents, amount(copied.documents_total, "document")));
            }
        });
        output.end_progress();
        if !view.is_stale() {
            return done.map_err(|error| match error {
                StoreCopyError::View(error) => store_failure(error),
                StoreCopyError::TooLarge { .. } => too_large(folder),
            });
        }
        output.note("a program began to work on the store meanwhile: starting again");
    }
    let why = "the store is opened and closed again and again while it is read: try again when it is left alone, or running";
    Err(Failure::new(FailureKind::Failed, why))
}

/// The key that is kept in a file of its own, as `driftline peer` and relays have it.
fn kept(folder: &Path) -> Result<Option<Identity>, Failure> {
    Identity::kept(folder).map_err(|error| {
        let kind = if matches!(error, IdentityError::Io { .. }) { FailureKind::Failed } else { FailureKind::Refused };
        Failure::new(kind, error.to_string())
    })
}

fn no_key(folder: &Path) -> Failure {
    let why = format!(
        "the replica in {} has no secret key yet, neither in its store nor in {KEY_FILE}: it is made when it is opened for the first time",
        folder.display()
    );
    Failure::new(FailureKind::NotFound, why)
}

fn too_large(folder: &Path) -> Failure {
    let folder = folder.display();
    let why = format!(
        "the store in {folder} holds more than a backup can ({BACKUP_BYTES_MAX} bytes): copy its database, which has no bound \
         (sqlite3 {folder}/driftline.sqlite \".backup copy.sqlite\"), and {KEY_FILE} with it; and write the phrase down: driftline backup {folder} --phrase"
    );
    Failure::new(FailureKind::Refused, why)
}

fn refuse_taken(file: &Path, force: bool) -> Result<(), Failure> {
    match std::fs::symlink_metadata(file) {
        Ok(found) if found.is_dir() => {
            Err(Failure::new(FailureKind::Usage, format!("{} is a folder: name a file in it", file.display())))
        }
        // A file takes the place of what has its name: not that of a device.
        Ok(found) if !found.is_file() => {
            Err(Failure::new(FailureKind::Usage, format!("{} is no ordinary file: name another", file.display())))
        }
        Ok(_) if !force => Err(taken(file)),
        _ => Ok(()),
    }
}

fn taken(file: &Path) -> Failure {
    let why = format!("{} is there already: name another file, or say --force to write over it", file.display());
    Failure::new(FailureKind::Refused, why)
}

/// Puts a file there that its owner alone may read, whole or not at all, and durable when this returns.
fn write(file: &Path, bytes: &[u8], force: bool) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are made with mode 0600, which stays.
    let mut unfinished = tempfile::Builder::new().prefix(".driftline-").tempfile_in(folder)?;
    unfinished.write_all(bytes)?;
    unfinished.as_file().sync_all()?;
    let done = if force { unfinished.persist(file) } else { unfinished.persist_noclobber(file) };
    done.map_err(|error| error.error)?;
    // The name is durable once the folder is; not every system can sync one.
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}
