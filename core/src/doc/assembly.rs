//! Assemblies: a document put together from the pieces it is kept and sent in, as work that can be done on any thread.
//!
//! The pieces are snapshots and entries. What comes of them is the document, how far it goes, and, when that was asked for, one
//! snapshot of all of it. Loading a long history takes most of a second, so an engine that serves others has it done elsewhere.
//!
//! A snapshot's bytes are an Automerge document: whoever reads it makes every change's hash again, so it proves itself against its
//! heads, and nobody has to trust whoever made it.

use super::census::Census;
use super::crdt;
use super::document::Document;
use super::raw_document::RawDocument;
use super::value::TextUnit;
use crate::base::id::{ActorId, ChangeHash, DocumentId};
use crate::log::entry::Entry;
use crate::log::snapshot::Snapshot;
use crate::log::version::Version;
use automerge::{Automerge, LoadOptions};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Entries applied at once: a batch costs time in proportion to the document, and memory in proportion to the batch.
const BATCH_ENTRIES_MAX: usize = 10_000;

/// A document to be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembly {
    /// Which document.
    pub document: DocumentId,
    /// Who changes it from then on.
    pub actor: ActorId,
    /// How positions in its texts are counted.
    pub unit: TextUnit,
    /// Snapshots, each whole.
    pub snapshots: Vec<Arc<[u8]>>,
    /// Entries, in causal order, above what the snapshots stand for or within it.
    pub entries: Vec<Arc<Entry>>,
    /// Whether a snapshot of all of it is wanted.
    pub save: bool,
    /// Changes of which to tell whether they are part of it.
    pub sought: Vec<ChangeHash>,
}

/// A document that was put together.
#[derive(Clone)]
pub struct Assembled {
    /// It.
    pub document: Document,
    /// All of it as one snapshot, when that was asked for.
    pub snapshot: Option<Snapshot>,
    /// Those of the changes sought that are part of it.
    pub found: Vec<ChangeHash>,
}

/// Why a document could not be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{piece} is not sound: {reason}")]
pub struct AssemblyError {
    /// Which piece.
    pub piece: Piece,
    /// What is wrong with it.
    pub reason: String,
    /// The first of the entries that has another change in its place, under its actor's number.
    pub rival: Option<(ActorId, u64)>,
}

/// How far a snapshot goes by its own account, which [`Assembly::run`] proves.
///
/// # Errors
///
/// A sentence where it is no snapshot.
pub fn claimed_version(snapshot: &[u8]) -> Result<Version, String> {
    RawDocument::read(snapshot).and_then(|raw| raw.version()).map_err(|error| error.to_string())
}

/// A piece of an assembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The snapshot at this place.
    Snapshot(usize),
    /// One of the entries.
    Entries,
    /// Whichever it was: reading them ended in a panic.
    Unknown,
}

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Snapshot(place) => write!(f, "snapshot {}", place + 1),
            Self::Entries => write!(f, "a change"),
            Self::Unknown => write!(f, "a piece"),
        }
    }
}

impl std::fmt::Debug for Assembled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembled").field("version", &self.document.version()).field("found", &self.found).finish_non_exhaustive()
    }
}

impl PartialEq for Assembled {
    /// Whether both hold the same: everything else follows from that and from what was asked.
    fn eq(&self, other: &Self) -> bool {
        self.document.version() == other.document.version() && self.snapshot == other.snapshot && self.found == other.found
    }
}

impl Assembly {
    /// Does the work.
    ///
    /// # Errors
    ///
    /// The first piece that is not sound. Of damaged entries, name those that can be told and all that depend on them; the document
    /// is not answered then, because a snapshot of it would lack them.
    pub fn run(&self) -> Result<Assembled, AssemblyError> {
        let mut pieces = self.snapshots.iter().enumerate();
        let mut document = match pieces.next() {
            Some((place, bytes)) => self.open(place, bytes)?,
            None => Document::new(self.document, self.actor, self.unit),
        };
        for (place, bytes) in pieces {
            // Two snapshots meet rarely, when two replicas that were apart for long have both let go of their entries.
            document.import(bytes).map_err(|error| refused(Piece::Snapshot(place), error.to_string()))?;
        }
        let of_snapshot = document.heads();
        for batch in self.entries.chunks(BATCH_ENTRIES_MAX) {
            if let Err(error) = document.apply(batch.iter().cloned()) {
                let clock = document.version().clock;
                let mut left_out = batch.iter().filter(|entry| error.refused.iter().any(|(hash, _)| *hash == entry.hash));
                let rival = left_out.find(|entry| clock.covers(&entry.actor, entry.seq)).map(|entry| (entry.actor, entry.seq));
                return Err(AssemblyError { rival, ..refused(Piece::Entries, error.to_string()) });
            }
        }
        let snapshot = self.save.then(|| {
            let is_whole = self.snapshots.len() == 1 && document.heads() == of_snapshot;
            let bytes = if is_whole { Arc::clone(&self.snapshots[0]) } else { Arc::from(document.save()) };
            Snapshot { version: document.version(), bytes }
        });
        let found = self.sought.iter().filter(|hash| document.holds(&[**hash])).copied().collect();
        Ok(Assembled { document, snapshot, found })
    }

    fn open(&self, place: usize, bytes: &[u8]) -> Result<Document, AssemblyError> {
        let refused = |reason: String| refused(Piece::Snapshot(place), reason);
        let raw = RawDocument::read(bytes).map_err(|error| refused(error.to_string()))?;
        let version = raw.version().map_err(|error| refused(error.to_string()))?;
        let census = Census::of_document(&raw).map_err(|reason| refused(reason.to_owned()))?;
        let options = LoadOptions::new().text_encoding(crdt::to_encoding(self.unit));
        // Automerge panics on some documents that are forged. Nothing of ours is touched meanwhile.
        let crdt = match std::panic::catch_unwind(AssertUnwindSafe(|| Automerge::load_with_options(bytes, options))) {
            Ok(Ok(crdt)) => crdt.with_actor(self.actor.as_bytes().into()),
            Ok(Err(error)) => return Err(refused(error.to_string())),
            Err(_) => return Err(refused("its parts contradict each other".to_owned())),
        };
        let document = Document::of_parts(self.document, self.unit, crdt, census);
        // The heads are proved; that the clock is theirs follows from the changes, which are numbered without gaps.
        if document.version() == version {
            Ok(document)
        } else {
            Err(refused("it does not hold what it says it holds".to_owned()))
        }
    }
}

fn refused(piece: Piece, reason: String) -> AssemblyError {
    AssemblyError { piece, reason, rival: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc::value::Value;

    const ID: DocumentId = DocumentId([7; 16]);

    fn actor(byte: u8) -> ActorId {
        ActorId::new(&[byte]).unwrap()
    }

    fn assembly(snapshots: &[&[u8]], entries: &[Entry]) -> Assembly {
        Assembly {
            document: ID,
            actor: actor(9),
            unit: TextUnit::Utf16,
            snapshots: snapshots.iter().map(|bytes| Arc::from(*bytes)).collect(),
            entries: entries.iter().cloned().map(Arc::new).collect(),
            save: true,
            sought: Vec::new(),
        }
    }

    fn written(document: &mut Document, text: &str) -> Entry {
        let edit = |note: &mut crate::doc::document::Transaction<'_>| {
            if note.text("body").is_none() {
                note.put("body", Value::Text(String::new()))?;
                note.put("tags", Value::List(vec![Value::Int(1)]))?;
            }
            note.splice("body", 0, 0, text)
        };
        document.change(None, 0, edit).unwrap().0.unwrap()
    }

    #[test]
    fn of_entries_that_do_not_go_together_with_a_snapshot_the_first_is_named_that_has_another_in_its_place() {
        let mut author = Document::new(ID, actor(1), TextUnit::Utf16);
        let shared = written(&mut author, "shared");
        let mut other = Document::new(ID, actor(1), TextUnit::Utf16);
        other.apply([Arc::new(shared.clone())]).unwrap();
        written(&mut other, "there");
        let here = [shared, written(&mut author, "here"), written(&mut author, "on top")];
        let error = assembly(&[&other.save()], &here).run().unwrap_err();
        assert_eq!((error.piece, error.rival), (Piece::Entries, Some((actor(1), 2))));
        // What only lacks something has none.
        let error = assembly(&[], &here[1..]).run().unwrap_err();
        assert_eq!((error.piece, error.rival), (Piece::Entries, None));
    }

    #[test]
    fn a_document_comes_back_from_a_snapshot_and_the_entries_after_it() {
        let mut author = Document::new(ID, actor(1), TextUnit::Utf16);
        let first = written(&mut author, "ebb ");
        let snapshot = author.save();
        let second = written(&mut author, "flow ");

        let assembled = assembly(&[&snapshot], &[first, second.clone()]).run().unwrap();
        assert_eq!(assembled.document.version(), author.version());
        assert_eq!(assembled.document.text("body").as_deref(), Some("flow ebb "));
        let saved = assembled.snapshot.unwrap();
        assert_eq!(saved.version, author.version());

        // And from there it goes on: what comes next is checked against all that the snapshot stands for.
        let mut again = assembly(&[&saved.bytes], &[]).run().unwrap().document;
        let third = written(&mut author, "slack ");
        again.apply([Arc::new(third.clone())]).unwrap();
        assert_eq!(again.text("body"), author.text("body"));
        assert_eq!(again.version(), author.version());
        let own = written(&mut again, "neap ");
        assert_eq!((own.actor, own.seq), (actor(9), 1));
        author.apply([Arc::new(own)]).unwrap();
        assert_eq!(author.text("body"), again.text("body"));
    }

    #[test]
    fn two_snapshots_of_two_who_were_apart_are_merged() {
        let mut one = Document::new(ID, actor(1), TextUnit::Utf16);
        let first = written(&mut one, "common ");
        let mut two = Document::new(ID, actor(2), TextUnit::Utf16);
        two.apply([Arc::new(first)]).unwrap();
        let in_one = written(&mut one, "one ");
        let in_two = written(&mut two, "two ");
        let mut merged = assembly(&[&one.save(), &two.save()], &[]);
        merged.sought = vec![in_two.hash, ChangeHash([3; 32])];
        let merged = merged.run().unwrap();
        assert_eq!(merged.found, [in_two.hash]);
        assert_eq!(merged.document.version().clock.entries(), 3);
        one.apply([Arc::new(in_two)]).unwrap();
        two.apply([Arc::new(in_one)]).unwrap();
        assert_eq!(merged.document.version(), one.version());
        assert_eq!(merged.document.text("body"), two.text("body"));
    }

    #[test]
    fn a_snapshot_with_any_byte_changed_is_refused() {
        let mut author = Document::new(ID, actor(1), TextUnit::Utf16);
        for word in ["ebb ", "flow ", "slack "] {
            written(&mut author, word);
        }
        let snapshot = author.save();
        for at in 0..snapshot.len() {
            let mut forged = snapshot.clone();
            forged[at] ^= 0x55;
            assert!(assembly(&[&forged], &[]).run().is_err(), "byte {at}");
            // The same with a checksum that fits.
            let body_at = 9 + forged[9..].iter().position(|byte| byte & 0x80 == 0).unwrap_or(0) + 1;
            if at >= body_at {
                let check = crate::doc::raw::hash(crate::doc::raw::DOCUMENT_CHUNK, &forged[body_at..]).0;
                forged[4..8].copy_from_slice(&check[..4]);
                // Some bytes say nothing that counts; then the document is the same.
                if let Ok(assembled) = assembly(&[&forged], &[]).run() {
                    assert_eq!(assembled.document.version(), author.version(), "byte {at}, forged well");
                    assert_eq!(assembled.document.value(()), author.value(()), "byte {at}, forged well");
                }
            }
        }
        assert!(assembly(&[&[]], &[]).run().is_err());
        assert!(assembly(&[&snapshot[..snapshot.len() - 1]], &[]).run().is_err());
    }

    #[test]
    fn entries_without_what_they_depend_on_are_refused() {
        let mut author = Document::new(ID, actor(1), TextUnit::Utf16);
        written(&mut author, "lost");
        let second = written(&mut author, "found");
        let error = assembly(&[], &[second]).run().unwrap_err();
        assert_eq!(error.piece, Piece::Entries);
    }
}
