//! Shelves in memory that are synced by hand, and folders beside them that are looked at by hand: no clock, no socket, no
//! wait. What the disk has of a shelf is what was settled; the rest goes with the process.

use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, PeerId};
use driftline_core::doc::document::Document;
use driftline_core::doc::edit::Edit;
use driftline_core::doc::value::TextUnit;
use driftline_relay::folder::{FolderError, Keeper, KeeperOptions, Moment, Patience, Report, Shelf, Terms};
use driftline_relay::repo::RepoError;
use sha2::{Digest as _, Sha256};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The keys of a sealed space, by the numbers of its epochs.
type Keys = BTreeSet<(u64, [u8; 32])>;

/// The documents of one replica.
#[derive(Clone, Default)]
pub(super) struct Books {
    held: Rc<RefCell<BTreeMap<DocumentId, Document>>>,
    durable: Rc<RefCell<BTreeMap<DocumentId, Document>>>,
    actor: Rc<RefCell<u64>>,
    /// Names that were given.
    named: Rc<RefCell<u64>>,
    /// Where the space is sealed, the keys of its epochs by their numbers.
    keys: Option<Rc<RefCell<Keys>>>,
    /// Terms other than those that follow from that.
    terms: Rc<RefCell<Option<Terms>>>,
    salt: u64,
}

/// What a program would draw, the same in every run.
fn drawn(what: &str, salt: u64, number: u64) -> [u8; 32] {
    Sha256::new().chain_update(what).chain_update(salt.to_le_bytes()).chain_update(number.to_le_bytes()).finalize().into()
}

fn name(digest: impl AsRef<[u8]>) -> DocumentId {
    DocumentId(*digest.as_ref().first_chunk().unwrap())
}

impl Books {
    /// A new epoch begins.
    pub(super) fn begin_epoch(&self) {
        let mut keys = self.keys.as_ref().unwrap().borrow_mut();
        let number = keys.last().map_or(1, |(number, _)| number + 1);
        keys.insert((number, drawn("key", self.salt, number)));
    }

    /// From now on these are the terms; with nothing, those that the space has of itself.
    pub(super) fn set_terms(&self, terms: Option<Terms>) {
        self.terms.replace(terms);
    }

    /// The version of a document as this shelf calls it: where it is sealed, by names that are not the changes' hashes.
    fn version(&self, document: &Document) -> Vec<ChangeHash> {
        let heads = document.heads().into_iter();
        let named = |head: ChangeHash| ChangeHash(Sha256::new().chain_update(b"name").chain_update(head.0).finalize().into());
        if self.keys.is_some() { heads.map(named).collect() } else { heads.collect() }
    }

    fn actor(&self) -> ActorId {
        ActorId::new(&[self.salt.to_le_bytes(), self.actor.borrow().to_le_bytes()].concat()).unwrap()
    }

    /// The document of this id, made empty where there is none.
    fn with<R>(&self, document: DocumentId, f: impl FnOnce(&mut Document) -> R) -> R {
        let mut held = self.held.borrow_mut();
        f(held.entry(document).or_insert_with(|| Document::new(document, self.actor(), TextUnit::CodePoint)))
    }

    /// As after the process ended and began again: what was not durable is lost, and changes are made as someone else.
    fn restart(&self) {
        *self.actor.borrow_mut() += 1;
        let mut held = BTreeMap::new();
        for (id, durable) in self.durable.borrow().iter() {
            let mut document = Document::new(*id, self.actor(), TextUnit::CodePoint);
            document.apply(durable.entries().into_iter().map(Arc::new)).unwrap();
            held.insert(*id, document);
        }
        *self.held.borrow_mut() = held;
    }

    /// All that is held, to go back to.
    pub(super) fn backup(&self) -> BTreeMap<DocumentId, Document> {
        self.held.borrow().clone()
    }

    /// Goes back to a backup.
    pub(super) fn restore(&self, backup: BTreeMap<DocumentId, Document>) {
        self.durable.replace(backup);
        self.restart();
    }

    /// Takes in all that another has; durable at once, because a peer is told only what is.
    fn take_in(&self, other: &Self) {
        if let Some((ours, theirs)) = self.keys.as_ref().zip(other.keys.as_ref()) {
            let theirs = theirs.borrow().clone();
            ours.borrow_mut().extend(theirs);
        }
        for (id, theirs) in other.held.borrow().iter() {
            let is_news = self.held.borrow().get(id).is_none_or(|ours| ours.heads() != theirs.heads());
            if is_news {
                self.with(*id, |ours| ours.apply(theirs.entries().into_iter().map(Arc::new)).unwrap());
                let ours = self.held.borrow()[id].clone();
                self.durable.borrow_mut().insert(*id, ours);
            }
        }
    }

    /// Puts a document on the shelf that someone else has made, in whatever way.
    pub(super) fn put(&self, number: u8, make: impl FnOnce(&mut Document)) -> DocumentId {
        let id = DocumentId([number; 16]);
        self.put_at(id, make);
        id
    }

    pub(super) fn put_at(&self, id: DocumentId, make: impl FnOnce(&mut Document)) {
        self.with(id, make);
        self.durable.borrow_mut().insert(id, self.held.borrow()[&id].clone());
    }

    /// Takes in one document that another has.
    pub(super) fn take_one(&self, other: &Self, id: DocumentId) {
        let theirs = other.held.borrow()[&id].entries();
        self.put_at(id, |ours| ours.apply(theirs.into_iter().map(Arc::new)).unwrap());
    }

    pub(super) fn find_all(&self, wanted: impl Fn(&Document) -> bool) -> Vec<DocumentId> {
        self.held.borrow().iter().filter(|(_, document)| wanted(document)).map(|(id, _)| *id).collect()
    }

    pub(super) fn find(&self, wanted: impl Fn(&Document) -> bool) -> Option<DocumentId> {
        self.held.borrow().iter().find(|(_, document)| wanted(document)).map(|(id, _)| *id)
    }

    pub(super) fn change(&self, document: DocumentId, change: impl FnOnce(&mut Document)) {
        self.with(document, change);
    }

    pub(super) fn len(&self) -> usize {
        self.held.borrow().len()
    }
}

impl Shelf for Books {
    fn terms(&self) -> Result<Terms, RepoError> {
        let own = if self.keys.is_some() { Terms::Member(PeerId(drawn("peer", self.salt, 0))) } else { Terms::Open };
        Ok(self.terms.borrow().clone().unwrap_or(own))
    }

    fn documents(&self) -> Result<Vec<(DocumentId, Vec<ChangeHash>)>, RepoError> {
        Ok(self.held.borrow().iter().map(|(id, document)| (*id, self.version(document))).collect())
    }

    fn names_of(&self, digest: &[u8; 32]) -> Result<Vec<DocumentId>, RepoError> {
        let Some(keys) = &self.keys else { return Ok(vec![name(digest)]) };
        let under = |key: &[u8; 32]| name(Sha256::new().chain_update(key).chain_update(digest).finalize());
        Ok(keys.borrow().iter().rev().map(|(_, key)| under(key)).collect())
    }

    fn new_name(&self) -> DocumentId {
        *self.named.borrow_mut() += 1;
        name(drawn("name", self.salt, *self.named.borrow()))
    }

    fn look<R: Send + 'static>(
        &self,
        document: DocumentId,
        read: impl FnOnce(&Document) -> R + Send + 'static,
    ) -> Result<Option<(Vec<ChangeHash>, R)>, RepoError> {
        Ok(self.held.borrow().get(&document).map(|document| (self.version(document), read(document))))
    }

    fn read<R: Send + 'static>(
        &self,
        document: DocumentId,
        read: impl FnOnce(&Document) -> R + Send + 'static,
    ) -> Result<Option<R>, RepoError> {
        Ok(self.held.borrow().get(&document).map(read))
    }

    fn edit(&self, document: DocumentId, heads: Option<Vec<ChangeHash>>, edit: Edit) -> Result<Option<ChangeHash>, RepoError> {
        assert!(matches!(self.terms()?, Terms::Open | Terms::Member(_)), "nothing is written where nothing may be");
        let made = self.with(document, |document| document.edit(heads.as_deref(), &edit, 0))?;
        Ok(made.map(|entry| entry.hash))
    }

    fn import(&self, document: DocumentId, automerge: Vec<u8>) -> Result<(), RepoError> {
        assert_eq!(self.terms()?, Terms::Open, "an owned space takes no changes of nobody's");
        self.with(document, |document| document.import(&automerge).map(drop))?;
        Ok(())
    }

    fn settle(&self, documents: &BTreeSet<DocumentId>) -> Result<(), RepoError> {
        let held = self.held.borrow();
        let settled = documents.iter().filter_map(|id| Some((*id, held.get(id)?.clone())));
        self.durable.borrow_mut().extend(settled);
        Ok(())
    }

    fn rest(&self) {}
}

/// A folder with its own replica.
pub(super) struct Place {
    pub(super) books: Books,
    pub(super) folder: PathBuf,
    keeper: Option<Keeper<Books>>,
    patience: Patience,
    now: Duration,
    /// Last, so that the folder outlives what works in it.
    _room: tempfile::TempDir,
}

impl Place {
    pub(super) fn new(salt: u64) -> Self {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("folder").to_owned();
        std::fs::create_dir(&folder).unwrap();
        let books = Books { salt, ..Books::default() };
        Self { books, folder, keeper: None, patience: Patience::none(), now: Duration::ZERO, _room: room }
    }

    /// In a sealed space, of which all have the first key.
    pub(super) fn sealed(salt: u64) -> Self {
        let mut place = Self::new(salt);
        place.books.keys = Some(Rc::new(RefCell::new(BTreeSet::from([(1, [7; 32])]))));
        place
    }

    pub(super) fn patient(mut self) -> Self {
        self.patience = Patience::default();
        self
    }

    fn keeper(&mut self) -> &mut Keeper<Books> {
        let options = KeeperOptions {
            folder: self.folder.clone(),
            data: self.folder.join(".driftline"),
            space: "s".to_owned(),
            patience: self.patience,
            look_only: false,
        };
        self.keeper.get_or_insert_with(|| Keeper::open(self.books.clone(), options).unwrap())
    }

    /// Others are awaited, or no more.
    pub(super) fn hold_back(&mut self, holds_back: bool) {
        self.keeper().hold_back(holds_back);
    }

    /// One pass, at the same moment as the last.
    pub(super) fn try_pass(&mut self) -> Result<Report, FolderError> {
        let now = Moment { monotonic: self.now, unix_ms: 1_000 + i64::try_from(self.now.as_millis()).unwrap() };
        self.keeper().pass(now)
    }

    pub(super) fn pass(&mut self) -> Report {
        self.try_pass().unwrap()
    }

    /// Passes until nothing is left to do.
    pub(super) fn settle(&mut self) -> Report {
        for _ in 0..20 {
            let report = self.pass();
            if report.acts.is_empty() {
                return report;
            }
        }
        panic!("it never comes to rest: {:?}", self.pass());
    }

    /// Time goes by for whoever waits.
    pub(super) fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    /// The process ends after so many steps of the next passes.
    pub(super) fn cut_after(&mut self, steps: u64) {
        self.keeper().cut_after(steps);
    }

    /// The process is gone, with all it had not made durable; the next pass begins another.
    pub(super) fn restart(&mut self) {
        self.keeper = None;
        self.books.restart();
    }

    pub(super) fn meet(&self, other: &Self) {
        self.books.take_in(&other.books);
        other.books.take_in(&self.books);
    }

    pub(super) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn read(&self, path: &str) -> String {
        String::from_utf8(std::fs::read(self.folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))).unwrap()
    }

    pub(super) fn remove(&self, path: &str) {
        std::fs::remove_file(self.folder.join(path)).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        std::fs::create_dir_all(self.folder.join(to).parent().unwrap()).unwrap();
        std::fs::rename(self.folder.join(from), self.folder.join(to)).unwrap();
    }

    /// Every file with what it holds.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        list(&self.folder, "", &mut files);
        files
    }

    /// The same as text, for people.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        self.files().into_iter().map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned())).collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.files().into_keys().collect()
    }
}

/// Every file below a folder, but for the data directory.
pub(super) fn list(root: &Path, folder: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if name == ".driftline" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            list(root, &path, files);
        } else {
            files.insert(path, std::fs::read(entry.path()).unwrap_or_default());
        }
    }
}

/// All meet each other and come to rest.
pub(super) fn converge(places: &mut [Place]) {
    for _ in 0..30 {
        for place in places.iter_mut() {
            place.settle();
        }
        let before: Vec<_> = places.iter().map(|place| place.books.documents().unwrap()).collect();
        for one in 0..places.len() {
            for other in one + 1..places.len() {
                places[one].meet(&places[other]);
            }
        }
        let after: Vec<_> = places.iter().map(|place| place.books.documents().unwrap()).collect();
        if before == after && after.iter().all(|documents| *documents == after[0]) {
            return;
        }
    }
    panic!("they never come to rest");
}
