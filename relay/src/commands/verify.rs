//! `driftline verify`: whether everything in a store checks out.

use super::failure::{Failure, FailureKind};
use super::inspect::{amount, store_failure};
use super::output::Output;
use crate::store::sqlite::{Audited, Fault, StoreView, Verdict, ViewError};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Times that a store is read again from the beginning because a relay has begun to work on it.
const STARTS_MAX: u32 = 5;

const ABOUT: &str = "\
Verifies a store: the data folder of a relay, a peer or `driftline doc`.

Every change of every document is read and its hash computed again from its
bytes. Each actor's changes must follow each other without a gap, each change
must come after all it depends on, and what the store says of a document (how
many changes, bytes, vector clock, heads) must be what its changes say. Then
the named values and the database's pages and indexes are checked.

In owned spaces every signature is checked, too: that whoever wrote was let in,
and that what is held is what its writer vouches for. What a writer has not
vouched for yet, as in the second before a crash, is counted. In sealed spaces
only what is said openly can be checked: the form, the order, the signatures.
What the changes say cannot be read without a member's key.

Nothing is written, and nothing is made: it can be run beside a relay at work,
on a stopped relay's folder, and on a backup. It names the first thing that is
wrong and stops there, since what comes after may be wrong for that reason.";

const AFTER: &str = "\
Examples:
  Is this backup good?
    driftline verify /backup/2026-11-20

  Every night, with an alarm where it fails:
    driftline verify /var/lib/driftline --json || alarm

When something is wrong:
  A relay that meets a damaged document sets it aside, and fetches it again from
  replicas that hold it; `driftline inspect` lists what was set aside. Damage that
  is no single document's, such as an index's, needs the database rebuilt: stop
  the relay, and use `.recover` of SQLite's shell. Keep a copy first.

Exit codes:
  0  everything checks out
  1  the store cannot be read at the moment: the disk, the system, permissions
  2  the command line is wrong
  3  there is no store in DIR
  8  something is wrong, and the first of it is named";

/// What can be typed after `driftline verify`.
#[derive(Debug, Args)]
#[command(about = "Check every change in a data folder against its hash", long_about = ABOUT, after_help = AFTER)]
pub(super) struct VerifyArguments {
    /// The data folder, as --data named it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print one JSON value on stdout: what was verified, and the first fault if there is one
    #[arg(long)]
    json: bool,
}

/// Runs `driftline verify …` to its end and tells how the process is to exit.
pub(super) fn run(arguments: &VerifyArguments) -> ExitCode {
    let output = Output::new(arguments.json);
    match verify(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit())
        }
    }
}

fn verify(arguments: &VerifyArguments, output: &Output) -> Result<(), Failure> {
    let mut starts = 1;
    let (verdict, audited) = loop {
        let view = StoreView::open(&arguments.folder).map_err(store_failure)?;
        let done = audit(&view, output);
        if !view.is_stale() {
            break done.map_err(store_failure)?;
        }
        starts += 1;
        if starts > STARTS_MAX {
            let why =
                "the store is opened and closed again and again while it is read: try again when it is left alone, or running";
            return Err(Failure::new(FailureKind::Failed, why));
        }
        output.note("a program began to work on the store meanwhile: starting again");
    };
    let counted = format!(
        "{} in {}, {} ({})",
        amount(audited.documents, "document"),
        amount(audited.spaces.len() as u64, "space"),
        amount(audited.changes, "change"),
        amount(audited.bytes, "byte")
    );
    match verdict {
        Verdict::Sound => {
            let aside = match audited.quarantined {
                0 => String::new(),
                many => format!("\n{} set aside earlier: driftline inspect says which and why", amount(many, "document")),
            };
            let vouched = match (audited.vouched, audited.unvouched) {
                (0, 0) => String::new(),
                (vouched, unvouched) => format!(
                    "\nin owned spaces {} by the keys of their writers, {unvouched} are not yet",
                    if vouched == 1 {
                        "1 change is vouched for".to_owned()
                    } else {
                        format!("{vouched} changes are vouched for")
                    }
                ),
            };
            let sealed = match audited.sealed {
                0 => String::new(),
                many => format!(
                    "\nof {} in sealed spaces the form, the order and the signatures were checked: what they say, only members can read",
                    amount(many, "document")
                ),
            };
            output.result(&format!("everything checks out: {counted}{vouched}{sealed}{aside}"), &to_json(&audited, None));
            Ok(())
        }
        Verdict::Wrong(fault) => {
            if arguments.json {
                output.result("", &to_json(&audited, Some(&fault)));
            }
            let what = format!("{fault}\nThis is the first that is wrong. Before it, {counted} checked out.");
            Err(Failure::new(FailureKind::Damaged, what))
        }
    }
}

fn audit(view: &StoreView, output: &Output) -> Result<(Verdict, Audited), ViewError> {
    let mut pace = output.pace();
    let done = view.audit(&mut |audited| {
        if pace.is_due() {
            output.progress(&format!(
                "{} of {}, {}",
                audited.documents,
                amount(audited.documents_total, "document"),
                amount(audited.changes, "change")
            ));
        }
    });
    output.end_progress();
    done
}

fn to_json(audited: &Audited, fault: Option<&Fault>) -> Value {
    let mut value = json!({
        "sound": fault.is_none(),
        "spaces": audited.spaces.len(),
        "documents": audited.documents,
        "changes": audited.changes,
        "bytes": audited.bytes,
        "quarantined": audited.quarantined,
        "vouched": audited.vouched,
        "unvouched": audited.unvouched,
        "sealed": audited.sealed,
    });
    if let Some(fault) = fault {
        value["fault"] =
            json!({ "space": fault.space, "document": fault.document, "position": fault.position, "what": fault.what });
    }
    value
}
