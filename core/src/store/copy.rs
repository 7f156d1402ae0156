//! A journal in one piece, made record by record of what another kind of store holds: for a backup of it, which is the same whatever it is a
//! backup of.
//!
//! It has the form of a journal that was written again, with nothing dead in it, and belongs into the first area of a new medium.

use super::record::{BODY_BYTES_MAX, Record, RecordError, entry_record_bytes};
use super::task::StoredEntry;
use crate::base::id::{DocumentId, SpaceId, StoreEpoch};
use crate::log::entry::Entry;
use crate::log::snapshot::{Base, Snapshot};
use std::sync::Arc;

/// How often such a journal has been written again: this is the first time.
const GENERATION: u64 = 1;
/// Most bytes of a snapshot and the entries beside it in one record; what it says beside them finds room above that.
const BEGINNING_BYTES_MAX: u64 = BODY_BYTES_MAX as u64 / 8 * 7;

/// A journal that is being made.
#[derive(Debug)]
pub struct JournalCopy {
    bytes: Vec<u8>,
    bytes_max: usize,
    beginning_bytes_max: u64,
}

/// Why something cannot be part of it. Caused by the size of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The whole would be larger than was asked for.
    #[error("more than {bytes_max} bytes")]
    Full {
        /// What was asked for.
        bytes_max: usize,
    },
    /// One record would be larger than any may be.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl JournalCopy {
    /// Begins one of a store's life, which is to have at most so many bytes.
    ///
    /// # Errors
    ///
    /// These are too few even for its beginning.
    pub fn begin(epoch: StoreEpoch, bytes_max: usize) -> Result<Self, CopyError> {
        let mut copy = Self { bytes: Vec::new(), bytes_max, beginning_bytes_max: BEGINNING_BYTES_MAX };
        copy.put(&Record::Store { epoch })?;
        copy.put(&Record::Copy { generation: GENERATION })?;
        Ok(copy)
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back all that was put since it had so many bytes.
    pub fn take_back(&mut self, bytes: usize) {
        self.bytes.truncate(bytes);
    }

    /// Puts what a document's log begins with: a snapshot, and those of the entries that it stands for which the log still holds, from the one
    /// after `base` to its end. Where that is more than a record can hold, these entries are left out: the snapshot stands for them.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn beginning(
        &mut self,
        document: DocumentId,
        space: SpaceId,
        base: Base,
        snapshot: Snapshot,
        entries: Vec<Arc<Entry>>,
    ) -> Result<(), CopyError> {
        let bytes = snapshot.bytes.len() as u64 + entries.iter().map(|entry| entry_record_bytes(entry)).sum::<u64>();
        let (base, entries) = if bytes > self.beginning_bytes_max {
            (Base { position: snapshot.end(), clock: snapshot.version.clock.clone() }, Vec::new())
        } else {
            (base, entries)
        };
        self.put(&Record::Beginning { document, space, base, snapshot, entries })
    }

    /// Puts the next entry of a document, behind its beginning and the entries before it.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn entry(&mut self, stored: StoredEntry) -> Result<(), CopyError> {
        self.put(&Record::Entry(stored))
    }

    /// Puts a named value.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn value(&mut self, key: String, value: Vec<u8>) -> Result<(), CopyError> {
        self.put(&Record::Meta { key, value })
    }

    /// The whole journal.
    ///
    /// # Errors
    ///
    /// There is no room for its end.
    pub fn finish(mut self) -> Result<Vec<u8>, CopyError> {
        self.put(&Record::Whole { generation: GENERATION })?;
        Ok(self.bytes)
    }

    fn put(&mut self, record: &Record) -> Result<(), CopyError> {
        let at = self.bytes.len();
        // Each a batch of its own: only the last can be taken for torn.
        let fits = match record.encode(at as u64, at as u64, &mut self.bytes) {
            Ok(()) if self.bytes.len() > self.bytes_max => Err(CopyError::Full { bytes_max: self.bytes_max }),
            done => done.map_err(CopyError::from),
        };
        if fits.is_err() {
            self.bytes.truncate(at);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::clock::VectorClock;
    use crate::log::version::Version;
    use crate::store::conformance::SyntheticDocument;
    use crate::store::ledger::Ledger;

    const EPOCH: StoreEpoch = StoreEpoch([1; 16]);

    /// The version after these entries, which follow each other.
    fn version_of(entries: &[StoredEntry]) -> Version {
        let mut version = Version::new();
        entries.iter().for_each(|stored| version.advance(&stored.entry));
        version
    }

    #[test]
    fn what_is_put_is_what_a_journal_holds_that_is_opened_from_it() {
        let mut document = SyntheticDocument::new(1, 1);
        let stored: Vec<StoredEntry> = (0..6).map(|_| document.grow(1, 10)).collect();
        let space = stored[0].space;
        let snapshot = Snapshot { version: version_of(&stored[..4]), bytes: Arc::from(*b"all before") };
        let base = Base { position: 2, clock: version_of(&stored[..2]).clock };
        let mut copy = JournalCopy::begin(EPOCH, 1 << 20).unwrap();
        let held = stored[2..4].iter().map(|stored| stored.entry.clone()).collect();
        copy.beginning(document.document, space, base.clone(), snapshot.clone(), held).unwrap();
        stored[4..].iter().for_each(|stored| copy.entry(stored.clone()).unwrap());
        let before = copy.bytes();
        copy.value("taken back".to_owned(), vec![1]).unwrap();
        copy.take_back(before);
        copy.value("name".to_owned(), vec![2; 5]).unwrap();
        let opening = Ledger::open([&copy.finish().unwrap(), &[]], StoreEpoch([2; 16])).unwrap();
        assert!(opening.append.1.is_empty() && opening.truncate.is_none(), "it needs no repair");
        let contents = opening.contents;
        assert!(contents.damaged.is_empty() && contents.lost.is_empty(), "{contents:?}");
        assert_eq!((contents.epoch, contents.meta), (Some(EPOCH), vec![("name".to_owned(), vec![2; 5])]));
        let [held] = contents.documents.try_into().unwrap();
        let summary = *held.snapshot.unwrap();
        assert_eq!((held.end, held.bytes, held.version), (6, 40, version_of(&stored)));
        assert_eq!((summary.base, summary.version), (base, snapshot.version));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_nothing() {
        assert_eq!(JournalCopy::begin(EPOCH, 50).unwrap_err(), CopyError::Full { bytes_max: 50 });
        let mut copy = JournalCopy::begin(EPOCH, 300).unwrap();
        let before = copy.bytes();
        assert_eq!(copy.value("large".to_owned(), vec![1; 300]), Err(CopyError::Full { bytes_max: 300 }));
        assert_eq!(copy.bytes(), before);
        copy.value("small".to_owned(), vec![1]).unwrap();
        let contents = Ledger::open([&copy.finish().unwrap(), &[]], EPOCH).unwrap().contents;
        assert_eq!(contents.meta, [("small".to_owned(), vec![1])]);
    }

    #[test]
    fn entries_that_a_snapshot_stands_for_are_left_out_where_one_record_cannot_hold_them() {
        let mut document = SyntheticDocument::new(1, 1);
        let stored: Vec<StoredEntry> = (0..2).map(|_| document.grow(1, 500)).collect();
        let snapshot = Snapshot { version: version_of(&stored), bytes: Arc::from(*b"all before") };
        let (base, held) = (Base::default(), stored.iter().map(|stored| stored.entry.clone()).collect());
        let mut copy = JournalCopy { beginning_bytes_max: 1_000, ..JournalCopy::begin(EPOCH, usize::MAX).unwrap() };
        copy.beginning(document.document, stored[0].space, base, snapshot, held).unwrap();
        let mut opening = Ledger::open([&copy.finish().unwrap(), &[]], EPOCH).unwrap();
        let held = opening.contents.documents.remove(0);
        assert_eq!((held.end, held.bytes, held.snapshot.unwrap().base.position), (2, 0, 2));
        assert_eq!(held.version.clock, [(stored[0].entry.actor, 2)].into_iter().collect::<VectorClock>());
    }
}
