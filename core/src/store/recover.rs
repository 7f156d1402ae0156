//! Recovery: how the bytes of a journal become what it holds, whatever happened to them.
//!
//! Two kinds of harm are told apart. What was being written when the process ended was never acknowledged: a batch that is
//! torn at the end of the file is cut there. What fails its checksum before that was acknowledged once: it is damage. The
//! document that it hit is served up to there and is reported; the bytes stay in the file. Every other document is whole.
//!
//! Any bytes are legal input. Nothing is allocated by a count that the bytes only claim.

use super::index::{DocumentIndex, Index};
use super::medium::Area;
use super::record::{CHECK_BYTES, HEADER_BYTES, Header, KIND_WHOLE, MARKER, Record, RecordError};
use crate::base::id::DocumentId;
use std::collections::{BTreeMap, BTreeSet};

/// A stretch of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it starts.
    pub at: u64,
    /// Where it ends.
    pub end: u64,
    /// What it is.
    pub what: PieceKind,
}

/// What a stretch of a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// A record that checks out.
    Record(Record),
    /// Bytes that do not; where the header is intact, what it was.
    Damage(Option<Damage>),
}

/// What an intact header says of a damaged body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Whose record it was; none for one of no document.
    pub document: Option<DocumentId>,
    /// Whether it said that a copy is whole.
    pub is_whole: bool,
}

/// A file as records and damage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// All of it up to `len`, without gaps.
    pub pieces: Vec<Piece>,
    /// Where the torn tail begins, if there is one; otherwise the length of the file.
    pub len: u64,
}

/// What a journal's bytes hold.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) damaged: BTreeMap<DocumentId, String>,
    pub(super) lost: Vec<String>,
    /// Where the next record goes; what stands behind it is torn.
    pub(super) len: u64,
    /// Whether any record was found.
    pub(super) any: bool,
    /// Whether a torn tail has to be replaced by a record, lest the damage before it be taken for torn the next time.
    pub(super) wants_seal: bool,
    /// Documents that were set aside whole and are not held again.
    pub(super) aside: BTreeSet<DocumentId>,
    /// How often the journal had been written again when this was begun.
    pub(super) generation: u64,
    /// Whether it was begun as a copy.
    is_copy: bool,
    /// The generation of the copy that was called whole, where one was.
    whole: Option<u64>,
}

/// Takes a file apart into records, damage, and a torn tail; an error only where a newer version of the program wrote it.
pub fn scan(bytes: &[u8]) -> Result<Scan, RecordError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    // Where the last batch starts that any intact header tells of: whatever is damaged from there on may be torn.
    let mut batch_start = 0;
    while at < bytes.len() {
        let header = Header::decode(&bytes[at..], at as u64);
        let (end, what) = match &header {
            Some(header) => {
                batch_start = at as u64 - u64::from(header.batch_bytes);
                with_header(bytes, at, header)?
            }
            None => without_header(bytes, at)?,
        };
        pieces.push(Piece { at: at as u64, end: end as u64, what });
        at = end;
    }
    let torn = pieces.iter().position(|piece| piece.at >= batch_start && matches!(piece.what, PieceKind::Damage(_)));
    let unfinished = unfinished(&pieces[..torn.unwrap_or(pieces.len())], batch_start);
    let torn = unfinished.or(torn);
    let len = torn.map_or(bytes.len() as u64, |torn| pieces[torn].at);
    pieces.truncate(torn.unwrap_or(pieces.len()));
    Ok(Scan { pieces, len })
}

/// Where the last batch begins a log anew of which not all entries are there: it was torn, and the log that was to be set aside stays.
fn unfinished(pieces: &[Piece], batch_start: u64) -> Option<usize> {
    let first = pieces.partition_point(|piece| piece.at < batch_start);
    (first..pieces.len()).find(|at| {
        let PieceKind::Record(Record::Renew { document, entries }) = &pieces[*at].what else { return false };
        let is_of_it = |piece: &&Piece| matches!(&piece.what, PieceKind::Record(Record::Entry(stored)) if stored.entry.document == *document);
        (pieces[*at..].iter().filter(is_of_it).count() as u64) < *entries
    })
}

/// The record at `at`, whose header checks out and so says where it ends.
fn with_header(bytes: &[u8], at: usize, header: &Header) -> Result<(usize, PieceKind), RecordError> {
    let document = header.is_of_document().then_some(header.document);
    let damage = PieceKind::Damage(Some(Damage { document, is_whole: header.kind == KIND_WHOLE }));
    let body_at = at + HEADER_BYTES;
    let end = body_at.saturating_add(header.body_bytes as usize).saturating_add(CHECK_BYTES);
    let Some(body_and_check) = bytes.get(body_at..end) else { return Ok((bytes.len(), damage)) };
    match Record::decode(header, body_and_check, at as u64) {
        Ok(record) => Ok((end, PieceKind::Record(record))),
        Err(error @ RecordError::Newer { .. }) => Err(error),
        Err(_) => Ok((end, damage)),
    }
}

/// Whatever is at `at`, where no header checks out: it ends where the next one does. If only the header was hit, the body
/// and its checksum lie between, and the record is good.
fn without_header(bytes: &[u8], at: usize) -> Result<(usize, PieceKind), RecordError> {
    let markers = (at + 1..bytes.len()).filter(|next| bytes[*next] == MARKER[0]);
    let end = markers.into_iter().find(|next| Header::decode(&bytes[*next..], *next as u64).is_some()).unwrap_or(bytes.len());
    match Record::decode_alone(bytes.get(at + HEADER_BYTES..end).unwrap_or_default(), at as u64) {
        Ok(record) => Ok((end, PieceKind::Record(record))),
        Err(error @ RecordError::Newer { .. }) => Err(error),
        Err(_) => Ok((end, PieceKind::Damage(None))),
    }
}

/// What the bytes of a journal hold.
pub(super) fn recover(bytes: &[u8]) -> Result<Recovered, RecordError> {
    let Scan { pieces, len } = scan(bytes)?;
    let is_damaged = pieces.iter().any(|piece| matches!(piece.what, PieceKind::Damage(_)));
    let mut recovered = Recovered {
        index: Index::default(),
        damaged: BTreeMap::new(),
        lost: Vec::new(),
        len,
        any: false,
        wants_seal: is_damaged && len < bytes.len() as u64,
        aside: BTreeSet::new(),
        generation: 0,
        is_copy: false,
        whole: None,
    };
    // Documents whose record was hit, until a later record of theirs shows whether it is missed.
    let mut hit: BTreeSet<DocumentId> = BTreeSet::new();
    for Piece { at, end, what } in pieces {
        match what {
            PieceKind::Record(record) => {
                recovered.any = true;
                recovered.replay(record, &mut hit);
            }
            PieceKind::Damage(Some(Damage { document: Some(document), .. })) => {
                hit.insert(document);
            }
            // That it stands there at all says what it said.
            PieceKind::Damage(Some(Damage { is_whole: true, .. })) => recovered.whole = Some(recovered.generation),
            PieceKind::Damage(Some(_)) => recovered.lost.push(format!(
                "a record of no document at bytes {at} to {end} of the journal is damaged: a named value may stand as it was before"
            )),
            PieceKind::Damage(None) => recovered.lost.push(format!(
                "bytes {at} to {end} of the journal are damaged beyond telling what they were; they are kept"
            )),
        }
    }
    for document in hit {
        let end = recovered.index.documents.get(&document).map_or(0, DocumentIndex::end);
        let sentence = format!("document {document} is damaged after position {end}, and what came after that is lost");
        recovered.damaged.entry(document).or_insert(sentence);
    }
    Ok(recovered)
}

/// Which of a medium's two areas holds the journal.
///
/// A copy that is not whole never counts beside anything else: whatever it holds, the other holds more. Of two that are whole the
/// later one counts, since nothing was written to the other any more. Where none is (which takes damage), the one that the other was copied from.
pub(super) fn choose(areas: &[Recovered; 2]) -> Area {
    let [first, second] = areas;
    let is_second = match (first.any, second.any) {
        (_, false) => false,
        (false, true) => true,
        (true, true) => match (first.is_whole(), second.is_whole()) {
            (true, true) => second.generation > first.generation,
            (false, false) => second.generation < first.generation,
            (_, second_is_whole) => second_is_whole,
        },
    };
    if is_second { Area::Second } else { Area::First }
}

impl Recovered {
    /// Whether it is all of a journal: no copy, or one that was finished.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_copy || self.whole == Some(self.generation)
    }

    fn replay(&mut self, record: Record, hit: &mut BTreeSet<DocumentId>) {
        match record {
            Record::Store { epoch } => self.index.epoch = Some(epoch),
            Record::Meta { key, value } if value.is_empty() => {
                self.index.meta.remove(&key);
            }
            Record::Meta { key, value } => {
                self.index.meta.insert(key, value);
            }
            Record::Entry(stored) => {
                let document = stored.entry.document;
                hit.remove(&document);
                self.aside.remove(&document);
                let index = self.index.documents.entry(document).or_insert_with(|| DocumentIndex::new(stored.space));
                if index.is_cut {
                    return;
                }
                if let Err(reason) = index.push(&stored) {
                    index.is_cut = true;
                    let sentence = format!("{reason}; it is held up to position {}, and the rest is kept aside", index.end());
                    self.damaged.insert(document, sentence);
                }
            }
            Record::Copy { generation } => {
                self.generation = generation;
                self.is_copy = true;
            }
            Record::Whole { generation } => {
                self.whole = Some(generation);
                // Where what it began with was hit.
                self.generation = self.generation.max(generation);
            }
            Record::Beginning { document, space, base, snapshot, entries } => {
                hit.remove(&document);
                self.aside.remove(&document);
                let begun = DocumentIndex::begun(document, space, base, snapshot, entries);
                match begun {
                    Ok(begun) => _ = self.index.documents.insert(document, begun),
                    Err(reason) => _ = self.damaged.insert(document, reason),
                }
            }
            Record::Snapshot { document, space, end, base, snapshot } => {
                self.aside.remove(&document);
                let index = self.index.documents.entry(document).or_insert_with(|| DocumentIndex::new(space));
                let reason = match index.beginning_with(document, space, snapshot, &base, true) {
                    Ok(begun) => {
                        *index = begun;
                        (index.end() != end)
                            .then(|| format!("document {document}: what comes before position {end} is not all there"))
                    }
                    Err(reason) => Some(reason),
                };
                hit.remove(&document);
                // Whatever was missing before: the snapshot stands for it, or the count tells.
                index.is_cut = reason.is_some();
                match reason {
                    Some(reason) => {
                        let sentence = format!("{reason}; it is held up to position {}, and the rest is kept aside", index.end());
                        self.damaged.insert(document, sentence);
                    }
                    None => _ = self.damaged.remove(&document),
                }
            }
            Record::Renew { document, .. } => self.set_aside(document, 0, hit),
            Record::Quarantine { document, keep } => self.set_aside(document, keep, hit),
        }
    }

    /// Sets aside what stands of a document above a position.
    fn set_aside(&mut self, document: DocumentId, keep: u64, hit: &mut BTreeSet<DocumentId>) {
        hit.remove(&document);
        let Some(index) = self.index.documents.get_mut(&document) else { return };
        index.truncate(keep);
        // Fewer than were held when it was written: something before it was hit since.
        if index.end() < keep {
            return;
        }
        index.is_cut = false;
        self.damaged.remove(&document);
        if keep == 0 {
            self.index.documents.remove(&document);
            self.aside.insert(document);
        }
    }
}
