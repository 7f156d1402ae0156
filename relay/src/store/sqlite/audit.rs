//! Verifying a store: every hash computed again from the bytes it names, every row compared with what its entries say.
//!
//! Documents are read one after the other, each at one moment of its own, so that a relay at work is neither held up nor
//! seen in the middle of a write. The first thing that is wrong ends it: what comes after may be wrong for the same reason.

use super::failure::{Failure, Outcome};
use super::ledger::DocumentRow;
use super::read::hash_key;
use super::snapshot;
use super::view::{StoreView, ViewError, document_columns, read_document};
use super::vouched::{Unsound, Vouched};
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, SpaceId};
use driftline_core::doc::assembly::Assembly;
use driftline_core::doc::change::entry_from_payload;
use driftline_core::doc::value::TextUnit;
use driftline_core::log::clock::VectorClock;
use driftline_core::log::entry::Entry;
use driftline_core::log::version::Version;
use driftline_core::seal::entry::SealedHeader;
use driftline_core::seal::snapshot::SealedSnapshot;
use driftline_core::store::record::decode_entry_record;
use driftline_core::store::task::StoredEntry;
use driftline_core::trust::key::is_signed_by;
use driftline_core::trust::owned::is_sealed;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

/// Changes between two reports of how far it is.
const PROGRESS_CHANGES: u64 = 1_000;

/// What has been found right so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// Documents to be looked at.
    pub documents_total: u64,
    /// Documents looked at.
    pub documents: u64,
    /// Changes whose hashes were computed again.
    pub changes: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Spaces of those documents.
    pub spaces: BTreeSet<SpaceId>,
    /// Documents that were set aside before and are not looked at.
    pub quarantined: u64,
    /// Changes in owned spaces that their writers' keys vouch for.
    pub vouched: u64,
    /// Changes there that nobody has vouched for yet.
    pub unvouched: u64,
    /// Documents of sealed spaces, of which only the form and the signatures were checked.
    pub sealed: u64,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The space of the document, where it is known.
    pub space: Option<SpaceId>,
    /// The document, where it is one's.
    pub document: Option<DocumentId>,
    /// The position in its log, where it is an entry's.
    pub position: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What came of verifying a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it checks out.
    Sound,
    /// Something does not.
    Wrong(Fault),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(document) = self.document {
            write!(f, "document {document}")?;
            if let Some(space) = self.space {
                write!(f, " of space {space}")?;
            }
            if let Some(position) = self.position {
                write!(f, ", position {position}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.what)
    }
}

/// Why an audit ends early.
enum Stop {
    /// Something is wrong.
    Wrong(Fault),
    /// The store cannot be read at the moment.
    Failed(Failure),
}

/// A reading that may end early.
type Checked<T> = Result<T, Stop>;

impl StoreView {
    /// Verifies everything held; `progress` is told how far it has come, often.
    pub fn audit(&self, progress: &mut dyn FnMut(&Audited)) -> Result<(Verdict, Audited), ViewError> {
        let (connection, schema_version) = (&self.connection, self.schema_version);
        let (actors, vouched, audited) = (BTreeMap::new(), Vouched::default(), Audited::default());
        let mut audit = Audit { connection, schema_version, actors, vouched, audited, progress };
        match audit.run() {
            Ok(()) => Ok((Verdict::Sound, audit.audited)),
            Err(Stop::Wrong(fault)) => Ok((Verdict::Wrong(fault), audit.audited)),
            Err(Stop::Failed(failure)) => Err(self.unreadable(failure)),
        }
    }
}

struct Audit<'a> {
    connection: &'a Connection,
    schema_version: i32,
    actors: BTreeMap<i64, ActorId>,
    vouched: Vouched,
    audited: Audited,
    progress: &'a mut dyn FnMut(&Audited),
}

impl Audit<'_> {
    fn run(&mut self) -> Checked<()> {
        let count = |sql| whole_store(self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(Failure::from));
        self.audited.quarantined = count("SELECT count(*) FROM quarantined")? as u64;
        self.audited.documents_total =
            count("SELECT count(*) FROM documents WHERE number NOT IN (SELECT number FROM quarantined)")? as u64;
        // A value that does not check out is found where the others are looked at.
        let values: Vec<(String, Vec<u8>)> = whole_store(self.named_values())?;
        self.vouched = Vouched::of(&values).map_err(|Unsound { space, document, what }| {
            Stop::Wrong(Fault { space: Some(space), document, what, ..Fault::default() })
        })?;
        let mut last = 0;
        while let Some(number) = whole_store(self.next_document(last))? {
            self.document(number)?;
            last = number;
        }
        self.stray_rows()?;
        self.values()?;
        self.pages()
    }

    fn next_document(&self, after: i64) -> Outcome<Option<i64>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT number FROM documents
             WHERE number > ?1 AND number NOT IN (SELECT number FROM quarantined) ORDER BY number LIMIT 1",
        )?;
        Ok(statement.query_row([after], |row| row.get(0)).optional()?)
    }

    /// Everything about one document, at one moment.
    fn document(&mut self, number: i64) -> Checked<()> {
        let moment = whole_store(self.connection.unchecked_transaction().map_err(Failure::from))?;
        let Some(row) = read_row(&moment, number, self.schema_version)? else { return Ok(()) };
        let mut log = LogAudit::begin(&row, &self.vouched);
        let snapshot = snapshot::read_whole(&moment, &row).map_err(|failure| log.stop(failure))?;
        log.begin_with(snapshot).map_err(|failure| log.stop(failure))?;
        self.audited.changes += log.within.len() as u64;
        let mut statement = whole_store(
            moment
                .prepare_cached("SELECT position, actor, seq, hash, record FROM entries WHERE document = ?1 ORDER BY position")
                .map_err(Failure::from),
        )?;
        let mut rows = whole_store(statement.query([number]).map_err(Failure::from))?;
        loop {
            let next = rows.next().map_err(Failure::from);
            let Some(found) = next.map_err(|failure| log.stop(failure))? else { break };
            let bytes = log.entry(found, self.connection, &mut self.actors).map_err(|failure| log.stop(failure))?;
            self.audited.changes += 1;
            self.audited.bytes += bytes;
            if self.audited.changes.is_multiple_of(PROGRESS_CHANGES) {
                (self.progress)(&self.audited);
            }
        }
        log.compare().map_err(|what| Stop::Wrong(Fault { position: None, ..log.fault(what) }))?;
        let (vouched, unvouched) = self.vouched.count(&row.space, &row.id, &row.version.clock);
        (self.audited.vouched, self.audited.unvouched) = (self.audited.vouched + vouched, self.audited.unvouched + unvouched);
        self.audited.documents += 1;
        self.audited.sealed += u64::from(is_sealed(&row.space));
        self.audited.spaces.insert(row.space);
        (self.progress)(&self.audited);
        Ok(())
    }

    /// Rows that belong to no document, or to more than one.
    fn stray_rows(&self) -> Checked<()> {
        let moment = whole_store(self.connection.unchecked_transaction().map_err(Failure::from))?;
        let twice = moment
            .query_row(
                "SELECT id FROM documents WHERE number NOT IN (SELECT number FROM quarantined)
                 GROUP BY id HAVING count(*) > 1 LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional();
        if let Some(id) = whole_store(twice.map_err(Failure::from))? {
            let what = "it is in the documents table twice".to_owned();
            return Err(Stop::Wrong(Fault { document: Some(DocumentId(id)), what, ..Fault::default() }));
        }
        let mut last = 0;
        let next = "SELECT min(document), min(document) IN (SELECT number FROM documents)
                        OR min(document) IN (SELECT number FROM quarantined) FROM entries WHERE document > ?1";
        loop {
            let found = moment.query_row(next, [last], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<bool>>(1)?)));
            match whole_store(found.map_err(Failure::from))? {
                (None, _) => return Ok(()),
                (Some(number), Some(true)) => last = number,
                (Some(number), _) => {
                    let what = format!("there are entries of document number {number}, and the documents table has no such row");
                    return Err(Stop::Wrong(Fault { what, ..Fault::default() }));
                }
            }
        }
    }

    /// The named values whose checksums fit.
    fn named_values(&self) -> Outcome<Vec<(String, Vec<u8>)>> {
        let mut statement = self.connection.prepare("SELECT name, value, checksum FROM meta ORDER BY name")?;
        let mut rows = statement.query([])?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            let (name, value, checksum): (String, Vec<u8>, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if checksum == i64::from(crc32fast::hash(&value)) {
                values.push((name, value));
            }
        }
        Ok(values)
    }

    /// The named values.
    fn values(&self) -> Checked<()> {
        let read = || -> Outcome<Option<String>> {
            let mut statement = self.connection.prepare("SELECT name, value, checksum FROM meta")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (value, checksum): (Vec<u8>, i64) = (row.get(1)?, row.get(2)?);
                if checksum != i64::from(crc32fast::hash(&value)) {
                    return Ok(Some(row.get(0)?));
                }
            }
            Ok(None)
        };
        match whole_store(read())? {
            None => Ok(()),
            Some(name) => {
                let what = format!("the checksum of the value named {name} does not fit");
                Err(Stop::Wrong(Fault { what, ..Fault::default() }))
            }
        }
    }

    /// What SQLite itself finds wrong: pages, and indexes that do not say what their tables say.
    fn pages(&self) -> Checked<()> {
        let found = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
        match whole_store(found.map_err(Failure::from))?.as_str() {
            "ok" => Ok(()),
            what => Err(Stop::Wrong(Fault { what: format!("SQLite's own check says: {what}"), ..Fault::default() })),
        }
    }
}

/// Damage that is no single document's is the store's.
fn whole_store<T>(read: Outcome<T>) -> Checked<T> {
    read.map_err(|failure| {
        if failure.is_damage() {
            Stop::Wrong(Fault { what: format!("the database is damaged: {}", failure.reason()), ..Fault::default() })
        } else {
            Stop::Failed(failure)
        }
    })
}

/// The row of a document, or nothing where it has been set aside meanwhile.
fn read_row(connection: &Connection, number: i64, schema_version: i32) -> Checked<Option<DocumentRow>> {
    let mut id = None;
    let mut read = || -> Outcome<Option<DocumentRow>> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {} FROM documents WHERE number = ?1 AND number NOT IN (SELECT number FROM quarantined)",
            document_columns(schema_version)
        ))?;
        let mut rows = statement.query([number])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        id = row.get(1).ok().map(DocumentId);
        read_document(connection, row, schema_version).map(Some)
    };
    match read() {
        Err(failure) if failure.is_damage() => {
            let what = format!("{} (number {number} in the documents table)", failure.reason());
            Err(Stop::Wrong(Fault { document: id, what, ..Fault::default() }))
        }
        Err(failure) => Err(Stop::Failed(failure)),
        Ok(row) => Ok(row),
    }
}

/// One document's log, replayed: what its row should say, from its snapshot and its entries alone.
struct LogAudit<'a> {
    row: &'a DocumentRow,
    vouched: &'a Vouched,
    /// The clock here. It runs ahead of nothing: entries that the snapshot stands for count one by one.
    clock: VectorClock,
    version: Version,
    /// The last position that the snapshot stands for, and the clock there.
    begun: u64,
    begun_clock: VectorClock,
    end: u64,
    bytes: u64,
    held: HashSet<ChangeHash>,
    /// The changes that the snapshot stands for.
    within: HashSet<ChangeHash>,
}

impl<'a> LogAudit<'a> {
    /// A log begins with its snapshot or with nothing: no version, no position, no hash that an entry could depend on.
    fn begin(row: &'a DocumentRow, vouched: &'a Vouched) -> Self {
        let version = row.beginning.as_ref().map(|summary| summary.version.clone()).unwrap_or_default();
        let (begun, begun_clock, clock) = (version.clock.entries(), version.clock.clone(), row.held_base().clock);
        let (held, within) = (HashSet::new(), HashSet::new());
        Self { row, vouched, clock, version, begun, begun_clock, end: row.base, bytes: 0, held, within }
    }

    /// Puts the snapshot together that the log begins with, which makes the hash of every change in it again.
    fn begin_with(&mut self, snapshot: Option<Vec<u8>>) -> Outcome<()> {
        let (Some(bytes), Some(actor)) = (snapshot, ActorId::new(&[0; 16])) else { return Ok(()) };
        if is_sealed(&self.row.space) {
            return self.begin_sealed(&bytes);
        }
        let (document, unit, snapshots) = (self.row.id, TextUnit::CodePoint, vec![bytes.into()]);
        let assembly = Assembly { document, actor, unit, snapshots, entries: Vec::new(), save: false, sought: Vec::new() };
        let assembled = assembly.run().map_err(|error| wrong(error.to_string()))?;
        if assembled.document.version() != self.version {
            return Err(wrong("its snapshot stands for other changes than its row says"));
        }
        for entry in assembled.document.entries() {
            if let Some(what) = self.vouched.compare(&self.row.space, &entry) {
                return Err(wrong(what));
            }
            self.within.insert(entry.hash);
        }
        Ok(())
    }

    /// Compares a sealed snapshot with the row, and checks its signature: what is in it, only its members can read.
    fn begin_sealed(&mut self, bytes: &[u8]) -> Outcome<()> {
        let snapshot =
            SealedSnapshot::read(bytes).map_err(|error| wrong(format!("its sealed snapshot is not sound: {error}")))?;
        if snapshot.header.version != self.version {
            return Err(wrong("its sealed snapshot stands for other changes than its row says"));
        }
        let (message, signature) = snapshot.signed(&self.row.space, &self.row.id);
        if !is_signed_by(&snapshot.header.maker, &message, signature) {
            return Err(wrong(format!("its sealed snapshot is not signed by {}", snapshot.header.maker)));
        }
        if !self.vouched.may_make_snapshots(&self.row.space, &snapshot.header.maker) {
            return Err(wrong(format!("its sealed snapshot was made by {}, who never might", snapshot.header.maker)));
        }
        Ok(())
    }

    /// The entry that a payload is, by itself alone: of a sealed one, what it says openly.
    fn entry_of(&self, entry: &Entry) -> Outcome<Entry> {
        let computed = if is_sealed(&self.row.space) {
            SealedHeader::read(&entry.payload)
                .map(|header| header.into_entry(entry.document, entry.payload.clone()))
                .map_err(|error| error.to_string())
        } else {
            entry_from_payload(entry.document, entry.payload.clone()).map_err(|error| error.to_string())
        };
        computed.map_err(|error| wrong(format!("its payload is not the change {}: {error}", entry.hash)))
    }

    /// Whether the snapshot stands for an entry.
    fn is_within(&self, entry: &Entry) -> bool {
        if is_sealed(&self.row.space) {
            self.begun_clock.covers(&entry.actor, entry.seq)
        } else {
            self.within.contains(&entry.hash)
        }
    }

    /// Whether what an entry depends on comes before it; answers what does not.
    fn missing_dep(&self, entry: &Entry) -> Option<ChangeHash> {
        let said = if is_sealed(&self.row.space) { SealedHeader::read(&entry.payload).ok() } else { None };
        let is_within = |dep: &ChangeHash| match &said {
            // Only the clock can tell: the names of what a sealed snapshot holds are not told.
            Some(header) => header.deps.iter().any(|said| said.name == *dep && self.begun_clock.covers(&said.actor, said.seq)),
            None => self.within.contains(dep),
        };
        entry.deps.iter().find(|dep| !self.held.contains(*dep) && !is_within(dep)).copied()
    }

    /// Takes the next row of `position, actor, seq, hash, record`; answers the bytes of its payload.
    fn entry(&mut self, row: &Row<'_>, connection: &Connection, actors: &mut BTreeMap<i64, ActorId>) -> Outcome<u64> {
        let position = row.get::<_, i64>(0)? as u64;
        if position != self.end + 1 {
            return Err(wrong(format!("entry {} is missing; entry {position} comes next", self.end + 1)));
        }
        let record = row.get_ref(4)?.as_blob().map_err(|_| wrong("it is not a record"))?;
        let stored = decode_entry_record(record).map_err(|error| wrong(format!("its record does not read: {error}")))?;
        self.compare_columns(row, position, &stored, connection, actors)?;
        let StoredEntry { entry, .. } = stored;
        let computed = self.entry_of(&entry)?;
        if computed.hash != entry.hash {
            return Err(wrong(format!("its bytes have the hash {}, and it is stored as {}", computed.hash, entry.hash)));
        }
        if computed.actor != entry.actor || computed.seq != entry.seq || computed.deps != entry.deps {
            return Err(wrong(format!(
                "change {} has another actor, sequence number or dependencies than its record",
                entry.hash
            )));
        }
        let next = self.clock.get(&entry.actor) + 1;
        if entry.seq != next {
            return Err(wrong(format!("actor {} is at {} here, where {next} comes next", entry.actor, entry.seq)));
        }
        if (position <= self.begun) != self.is_within(&entry) {
            return Err(wrong(format!("change {} stands on the wrong side of the snapshot", entry.hash)));
        }
        if let Some(dep) = self.missing_dep(&entry) {
            return Err(wrong(format!("change {} depends on {dep}, which does not come before it", entry.hash)));
        }
        if let Some(what) = self.vouched.compare(&self.row.space, &entry) {
            return Err(wrong(what));
        }
        if !self.held.insert(entry.hash) {
            return Err(wrong(format!("change {} is there twice", entry.hash)));
        }
        self.clock.raise(entry.actor, entry.seq);
        if position > self.begun {
            self.version.advance(&entry);
        }
        self.end = position;
        self.bytes += entry.payload.len() as u64;
        Ok(entry.payload.len() as u64)
    }

    /// Compares a record with the columns beside it, by which it is found.
    fn compare_columns(
        &self,
        row: &Row<'_>,
        position: u64,
        stored: &StoredEntry,
        connection: &Connection,
        actors: &mut BTreeMap<i64, ActorId>,
    ) -> Outcome<()> {
        let entry = &stored.entry;
        if stored.position != position || entry.document != self.row.id || stored.space != self.row.space {
            return Err(wrong(format!(
                "the record is of document {} of space {}, position {}",
                entry.document, stored.space, stored.position
            )));
        }
        let number: i64 = row.get(1)?;
        let actor = match actors.get(&number) {
            Some(actor) => *actor,
            None => {
                let actor = actor_numbered(connection, number)?;
                actors.insert(number, actor);
                actor
            }
        };
        if actor != entry.actor || row.get::<_, i64>(2)? as u64 != entry.seq || row.get::<_, i64>(3)? != hash_key(&entry.hash) {
            return Err(wrong("the columns for its actor, sequence number or hash say otherwise than its record"));
        }
        Ok(())
    }

    /// Compares what the row says with what the entries say.
    fn compare(&self) -> Result<(), String> {
        let row = self.row;
        if row.end != self.end {
            return Err(format!("its row says that it has {} entries, and {} are there", row.end, self.end));
        }
        if row.bytes != self.bytes {
            return Err(format!("its row says {} bytes, and its entries have {}", row.bytes, self.bytes));
        }
        if row.version.clock != self.version.clock || row.version.clock != self.clock {
            return Err("the vector clock in its row is not the one its entries have".to_owned());
        }
        if row.version.heads != self.version.heads {
            return Err("the heads in its row are not the ones its entries have".to_owned());
        }
        Ok(())
    }

    /// What is wrong with the next entry, or that it cannot be read at the moment.
    fn stop(&self, failure: Failure) -> Stop {
        if failure.is_damage() { Stop::Wrong(self.fault(failure.reason())) } else { Stop::Failed(failure) }
    }

    fn fault(&self, what: String) -> Fault {
        Fault { space: Some(self.row.space), document: Some(self.row.id), position: Some(self.end + 1), what }
    }
}

fn actor_numbered(connection: &Connection, number: i64) -> Outcome<ActorId> {
    let mut statement = connection.prepare_cached("SELECT id FROM actors WHERE number = ?1")?;
    let bytes: Option<Vec<u8>> = statement.query_row(params![number], |row| row.get(0)).optional()?;
    bytes.as_deref().and_then(ActorId::new).ok_or_else(|| wrong(format!("its actor, number {number}, is not known")))
}

fn wrong(what: impl Into<String>) -> Failure {
    Failure::Damaged(what.into())
}
