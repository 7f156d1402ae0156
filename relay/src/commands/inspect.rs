//! `driftline inspect`: what a store holds, and what it knows of who else holds it.

mod table;

use super::failure::{Failure, FailureKind};
use super::output::Output;
use crate::store::sqlite::{StoreView, ViewError, ViewedStore};
use clap::Args;
use driftline_core::base::id::{DocumentId, PeerId, SpaceId};
use driftline_core::engine::stored::{StoredReceipt, StoredState, stored_identity};
use driftline_core::log::tree::Fingerprint;
use driftline_core::store::task::StoredDocument;
use driftline_core::trust::owned::is_sealed;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) use table::amount;

/// Documents in the table for people, unless --limit says otherwise.
const TABLE_DOCUMENTS: usize = 50;

const ABOUT: &str = "\
Shows what a store holds: the data folder of a relay, a peer or `driftline doc`.

Spaces and documents with their sizes, the largest first; how far each document
has come; what was set aside because it was damaged; and who holds what, as far
as the store knows: of each space, which peers held the same when they last met;
of each document, its peers' receipts, where this replica has written it. A relay
passes on and keeps no receipts.

Nothing is written, and nothing is made: it can be run beside a relay at work.
Contents of documents are not shown: `driftline doc show` does that.";

const AFTER: &str = "\
Examples:
  What takes so much room?
    driftline inspect /var/lib/driftline --limit 10

  One space, by its name or its id:
    driftline inspect /var/lib/driftline --space harbour

  One document, with its vector clock, its heads and every receipt:
    driftline inspect ~/.local/share/driftline/client --document ID

  In a script, documents that no relay has confirmed:
    driftline inspect DIR --json |
      jq -r '.documents[] | select(all(.heldBy[]; .relay and .missing == 0 | not)) | .document'

Exit codes:
  0  done
  1  the store cannot be read at the moment: the disk, the system, permissions
  2  the command line is wrong
  3  there is no store in DIR, or no such document or space in it";

/// What can be typed after `driftline inspect`.
#[derive(Debug, Args)]
#[command(about = "Show what a data folder holds: spaces, documents, sizes, clocks, who holds what", long_about = ABOUT, after_help = AFTER)]
pub(super) struct InspectArguments {
    /// The data folder, as --data named it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Only this space: its name, or its id
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// Only this document, with everything that is known of it
    #[arg(long, value_name = "ID")]
    document: Option<DocumentId>,
    /// Show so many documents, the largest first; totals count all of them [default: 50, and all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print one JSON value on stdout, with clocks, heads and receipts
    #[arg(long)]
    json: bool,
}

/// Everything that is shown.
struct Inspected {
    folder: PathBuf,
    replica: Option<PeerId>,
    store: ViewedStore,
    /// Those that were asked for, the largest first.
    documents: Vec<InspectedDocument>,
    spaces: BTreeMap<SpaceId, Total>,
    /// The last states that peers and this replica had in common.
    states: Vec<StoredState>,
    /// Documents that are shown.
    shown: usize,
}

/// A document, and who has said what of it.
struct InspectedDocument {
    stored: StoredDocument,
    receipts: Vec<StoredReceipt>,
}

/// Several documents together.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    documents: u64,
    changes: u64,
    bytes: u64,
    /// What stands for all of them, as they are now.
    state: Fingerprint,
}

/// Runs `driftline inspect …` to its end and tells how the process is to exit.
pub(super) fn run(arguments: &InspectArguments) -> ExitCode {
    let output = Output::new(arguments.json);
    match Inspected::read(arguments) {
        Ok(inspected) => {
            let table = if arguments.document.is_some() { table::document(&inspected) } else { table::store(&inspected) };
            output.result(&table, &inspected.to_json());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit())
        }
    }
}

/// The failure that a store which cannot be looked at is.
pub(super) fn store_failure(error: ViewError) -> Failure {
    let kind = match &error {
        ViewError::NotAStore { .. } => FailureKind::NotFound,
        ViewError::Unreadable { .. } => FailureKind::Failed,
    };
    Failure::new(kind, error.to_string())
}

impl Inspected {
    fn read(arguments: &InspectArguments) -> Result<Self, Failure> {
        let mut view = StoreView::open(&arguments.folder).map_err(store_failure)?;
        let mut store = view.store();
        if view.is_stale() {
            // A relay has begun to work on it: there is a log now, and it is read with that.
            view = StoreView::open(&arguments.folder).map_err(store_failure)?;
            store = view.store();
        }
        let mut store = store.map_err(store_failure)?;
        let mut receipts: BTreeMap<DocumentId, Vec<StoredReceipt>> = BTreeMap::new();
        for receipt in store.meta.iter().filter_map(|(name, value)| StoredReceipt::read(name, value)) {
            receipts.entry(receipt.document).or_default().push(receipt);
        }
        let space = arguments.space.as_deref().map(SpaceId::from_id_or_name);
        let mut documents: Vec<InspectedDocument> = std::mem::take(&mut store.documents)
            .into_iter()
            .filter(|stored| space.is_none_or(|space| stored.space == space))
            .filter(|stored| arguments.document.is_none_or(|document| stored.document == document))
            .map(|stored| InspectedDocument { receipts: receipts.remove(&stored.document).unwrap_or_default(), stored })
            .collect();
        if documents.is_empty() && (space.is_some() || arguments.document.is_some()) {
            let what = match (arguments.document, &arguments.space) {
                (Some(document), _) => format!("document {document}"),
                (None, space) => format!("document of the space {}", space.as_deref().unwrap_or_default()),
            };
            let why = format!("the store in {} holds no {what}", arguments.folder.display());
            return Err(Failure::new(FailureKind::NotFound, why));
        }
        documents.sort_by_key(|document| (Reverse(document.stored.bytes), document.stored.document));
        let mut spaces: BTreeMap<SpaceId, Total> = BTreeMap::new();
        for document in &documents {
            spaces.entry(document.stored.space).or_default().add(&document.stored);
        }
        let limit = arguments.limit.unwrap_or(if arguments.json { usize::MAX } else { TABLE_DOCUMENTS });
        Ok(Self {
            folder: arguments.folder.clone(),
            states: store.meta.iter().filter_map(|(name, value)| StoredState::read(name, value)).collect(),
            replica: store.meta.iter().find_map(|(name, value)| stored_identity(name, value)),
            store,
            shown: limit.min(documents.len()),
            documents,
            spaces,
        })
    }

    fn shown(&self) -> &[InspectedDocument] {
        &self.documents[..self.shown]
    }

    fn total(&self) -> Total {
        let mut total = Total::default();
        self.documents.iter().for_each(|document| total.add(&document.stored));
        total
    }

    /// Spaces, the largest first.
    fn spaces_by_size(&self) -> Vec<(SpaceId, Total)> {
        let mut spaces: Vec<_> = self.spaces.iter().map(|(space, total)| (*space, *total)).collect();
        spaces.sort_by_key(|(space, total)| (Reverse(total.bytes), *space));
        spaces
    }

    /// What peers had in common with this replica of a space, and whether it is all that is there now.
    fn holders(&self, space: SpaceId, total: &Total) -> impl Iterator<Item = (&StoredState, bool)> {
        let now = total.state;
        self.states.iter().filter(move |state| state.space == space).map(move |state| (state, state.state == now))
    }

    /// Peers whose receipts are among the documents', and whether they are relays.
    fn peers(&self) -> BTreeSet<(PeerId, bool)> {
        let receipts = self.documents.iter().flat_map(|document| &document.receipts);
        receipts.map(|receipt| (receipt.peer, receipt.relay)).collect()
    }

    fn to_json(&self) -> Value {
        let total = self.total();
        let spaces: Vec<Value> = self
            .spaces_by_size()
            .into_iter()
            .map(|(space, total)| {
                let held_by: Vec<Value> = self
                    .holders(space, &total)
                    .map(|(state, whole)| json!({ "peer": state.peer, "relay": state.relay, "whole": whole }))
                    .collect();
                json!({
                    "space": space, "sealed": is_sealed(&space), "documents": total.documents, "changes": total.changes, "bytes": total.bytes, "heldBy": held_by
                })
            })
            .collect();
        let quarantined: Vec<Value> = self
            .store
            .quarantined
            .iter()
            .map(|aside| json!({ "document": aside.document, "since": aside.since, "reason": aside.reason }))
            .collect();
        json!({
            "folder": self.folder.display().to_string(),
            "epoch": self.store.epoch,
            "replica": self.replica,
            "databaseBytes": self.store.database_bytes,
            "logBytes": self.store.log_bytes,
            "total": {
                "spaces": self.spaces.len(), "documents": total.documents, "changes": total.changes, "bytes": total.bytes
            },
            "spaces": spaces,
            "documents": self.shown().iter().map(InspectedDocument::to_json).collect::<Vec<_>>(),
            "quarantined": quarantined,
            "unreadable": self.store.unreadable,
        })
    }
}

impl InspectedDocument {
    /// How many changes of the document a peer had not confirmed.
    fn missing(&self, receipt: &StoredReceipt) -> u64 {
        self.stored.version.clock.iter().map(|(actor, seq)| seq.saturating_sub(receipt.clock.get(actor))).sum()
    }

    fn to_json(&self) -> Value {
        let version = &self.stored.version;
        let clock: Map<String, Value> = version.clock.iter().map(|(actor, seq)| (actor.to_string(), seq.into())).collect();
        let held_by: Vec<Value> = self
            .receipts
            .iter()
            .map(|receipt| json!({ "peer": receipt.peer, "relay": receipt.relay, "missing": self.missing(receipt) }))
            .collect();
        json!({
            "document": self.stored.document,
            "space": self.stored.space,
            "changes": self.stored.end,
            "bytes": self.stored.bytes,
            "clock": clock,
            "heads": version.heads.iter().collect::<Vec<_>>(),
            "heldBy": held_by,
        })
    }
}

impl Total {
    fn add(&mut self, stored: &StoredDocument) {
        self.documents += 1;
        self.changes += stored.end;
        self.bytes += stored.bytes;
        self.state = self.state.plus(Fingerprint::of(&stored.version.digest(&stored.document)));
    }
}
