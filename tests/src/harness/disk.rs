//! Bad disks: a medium that fails, fills up, forgets and tears, under the journal that every replica writes.

use super::dice::Dice;
use super::options::Fault;
use super::sealed::Keys;
use driftline_core::base::id::{ChangeHash, DocumentId, TaskId};
use driftline_core::doc::change::entry_from_payload;
use driftline_core::log::clock::VectorClock;
use driftline_core::log::entry::Entry;
use driftline_core::store::journal::Journal;
use driftline_core::store::medium::{Area, Medium, MemoryMedium};
use driftline_core::store::rewrite::{DeadPart, RewritePolicy, StepKind};
use driftline_core::store::task::{Position, StoreDone, StoreError, StoreErrorKind, StoreTask};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

/// What the hardware holds of one area of a medium.
#[derive(Clone, Debug, Default)]
struct Sectors {
    /// What a power cut leaves.
    kept: Vec<u8>,
    /// What the process reads.
    written: Vec<u8>,
    /// Where the two may begin to differ.
    dirty_from: usize,
}

/// What the hardware holds.
#[derive(Debug)]
struct Platter {
    areas: [Sectors; 2],
    /// Bytes that may still be written before the process dies.
    fuse: Option<usize>,
    faults: BTreeSet<Fault>,
    fired: BTreeSet<Fault>,
    dice: Dice,
    syncs: u64,
}

/// The medium a journal writes on.
#[derive(Clone, Debug)]
pub struct SimMedium(Rc<RefCell<Platter>>);

/// A task that was carried out.
#[derive(Debug)]
pub struct Carried {
    /// Its number.
    pub task: TaskId,
    /// What it was.
    pub work: StoreTask,
    /// What came of it.
    pub result: Result<StoreDone, StoreError>,
}

/// A replica's disk: it outlives the replica's processes.
pub struct Disk {
    platter: Rc<RefCell<Platter>>,
    journal: Option<Journal<SimMedium>>,
    /// Tasks not carried out yet, in order.
    pub tasks: VecDeque<(TaskId, StoreTask)>,
    /// An earlier state of it, for coming back with.
    backup: Option<[Vec<u8>; 2]>,
    /// What writing the journal again came to since this was last asked, counted.
    rewriting: BTreeMap<&'static str, u64>,
    dice: Dice,
}

/// Journals are written again so often that short lives see it many times.
const POLICY: RewritePolicy = RewritePolicy {
    in_use: DeadPart { bytes: 1_500, percent: 20 },
    at_opening: DeadPart { bytes: 600, percent: 10 },
    step_bytes: 700,
};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It is killed: the system still writes what it was handed.
    Killed,
    /// The power goes: what was not synced is lost.
    PowerLost,
    /// The power goes in the middle of writing: any part of what was not synced may be there.
    PowerTorn,
}

/// What a disk's logs hold, read by the world itself.
pub type Logs = BTreeMap<DocumentId, Vec<(Position, Arc<Entry>)>>;

impl Disk {
    /// An empty disk.
    pub fn new(seed: u64, replica: usize) -> Self {
        let platter = Platter {
            areas: Default::default(),
            fuse: None,
            faults: BTreeSet::new(),
            fired: BTreeSet::new(),
            dice: Dice::new(seed, &format!("platter {replica}")),
            syncs: 0,
        };
        let platter = Rc::new(RefCell::new(platter));
        let dice = Dice::new(seed, &format!("disk {replica}"));
        Self { platter, journal: None, tasks: VecDeque::new(), backup: None, rewriting: BTreeMap::new(), dice }
    }

    /// Starts a process on it: nothing is under way.
    pub fn start(&mut self) {
        self.tasks.clear();
        self.journal = Some(Journal::new(SimMedium(Rc::clone(&self.platter))).with_policy(POLICY));
    }

    /// Carries out the oldest tasks, `many` of them at most, with one sync for all.
    pub fn carry_out(&mut self, many: usize) -> Vec<Carried> {
        let many = many.min(self.tasks.len());
        let batch: Vec<_> = self.tasks.drain(..many).collect();
        let journal = self.journal.as_mut().expect("tasks come from a process");
        let before = journal.rewritten();
        let answers = journal.execute_batch(batch.clone());
        if journal.rewritten() > before {
            *self.rewriting.entry("journal rewritten").or_insert(0) += 1;
        }
        assert_eq!(answers.len(), batch.len(), "a journal answers every task");
        let mut platter = self.platter.borrow_mut();
        let mut answered = |((task, work), (_, result))| {
            let result = if reads(&work) && platter.fails(Fault::ReadFails) {
                Err(refused(StoreErrorKind::Unavailable, "the simulated disk is not read"))
            } else {
                result
            };
            Carried { task, work, result }
        };
        let carried = batch.into_iter().zip(answers).map(&mut answered).collect();
        drop(platter);
        let steps = self.dice.index(4);
        self.step(steps);
        carried
    }

    /// Writes the journal again, as far as so many steps go.
    fn step(&mut self, many: usize) {
        let Some(journal) = self.journal.as_mut() else { return };
        for (kind, done) in std::iter::from_fn(|| journal.step()).take(many) {
            let what = match (kind, done.is_ok()) {
                (StepKind::Copy, true) => "rewrite step",
                (StepKind::Switch, true) => "journal rewritten",
                (StepKind::Drop, true) => "old journal dropped",
                (_, false) => "rewrite step failed",
            };
            *self.rewriting.entry(what).or_insert(0) += 1;
        }
    }

    /// What writing the journal again came to since this was last asked, with how often.
    pub fn take_rewriting(&mut self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.rewriting)
    }

    /// Ends the process: some of the tasks under way are still carried out, the last of them perhaps in part, and nobody
    /// hears what came of them.
    pub fn die(&mut self, death: Death) {
        let whole = self.dice.index(self.tasks.len() + 1);
        if whole > 0 {
            self.carry_out(whole);
        }
        if !self.tasks.is_empty() && self.dice.percent(70) {
            let fuse = self.dice.index(600);
            self.platter.borrow_mut().fuse = Some(fuse);
            let many = 1 + self.dice.index(self.tasks.len());
            self.carry_out(many);
        } else if self.dice.percent(50) {
            // Or it dies in the middle of writing the journal again.
            let fuse = self.dice.index(1_500);
            self.platter.borrow_mut().fuse = Some(fuse);
            self.step(4);
        }
        if self.journal.as_ref().is_some_and(Journal::is_rewriting) {
            *self.rewriting.entry("died while the journal was rewritten").or_insert(0) += 1;
        }
        self.journal = None;
        self.tasks.clear();
        let mut platter = self.platter.borrow_mut();
        platter.fuse = None;
        platter.die(death);
    }

    /// Switches a fault on or off.
    pub fn set_fault(&mut self, fault: Fault, on: bool) {
        let mut platter = self.platter.borrow_mut();
        if on {
            platter.faults.insert(fault);
        } else {
            platter.faults.remove(&fault);
        }
    }

    /// Whether a fault is on.
    pub fn has_fault(&self, fault: Fault) -> bool {
        self.platter.borrow().faults.contains(&fault)
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.platter.borrow_mut().faults.clear();
    }

    /// Which faults have made something fail since this was last asked.
    pub fn take_fired(&mut self) -> BTreeSet<Fault> {
        std::mem::take(&mut self.platter.borrow_mut().fired)
    }

    /// Makes a backup.
    pub fn back_up(&mut self) {
        self.backup = Some(self.platter.borrow().kept());
    }

    /// Puts the backup in place of what is there, if there is one; only while no process runs.
    pub fn restore(&mut self) -> bool {
        let Some(backup) = self.backup.take() else { return false };
        self.platter.borrow_mut().replace(backup);
        true
    }

    /// Flips one bit somewhere; only while no process runs.
    pub fn flip_bit(&mut self) -> bool {
        let mut areas = self.platter.borrow().kept();
        let bytes: usize = areas.iter().map(Vec::len).sum();
        if bytes == 0 {
            return false;
        }
        let at = self.dice.index(bytes);
        let hit = areas.iter_mut().flatten().nth(at).expect("it is within");
        *hit ^= 1 << self.dice.below(8);
        self.platter.borrow_mut().replace(areas);
        true
    }

    /// Begins with this on it; only while no process has run.
    pub fn begin_with(&mut self, areas: [Vec<u8>; 2]) {
        self.platter.borrow_mut().replace(areas);
    }

    /// Takes everything off it; only while no process runs.
    pub fn wipe(&mut self) {
        self.platter.borrow_mut().replace(Default::default());
    }

    /// How many bytes it holds, and how often it was synced.
    pub fn size(&self) -> (usize, u64) {
        let platter = self.platter.borrow();
        (platter.areas.iter().map(|area| area.written.len()).sum(), platter.syncs)
    }

    /// What a process that started now would read, without disturbing what is there.
    pub fn logs(&self, keys: Option<&Keys>) -> Logs {
        let copy = MemoryMedium::from_areas(self.platter.borrow().areas.each_ref().map(|area| area.written.clone()));
        let mut journal = Journal::new(copy);
        let epoch = driftline_core::base::id::StoreEpoch([0; 16]);
        let contents = match journal.execute(StoreTask::Open { epoch }) {
            Ok(StoreDone::Opened(contents)) => contents,
            // What is damaged where it says what it is does not open, and is left alone.
            Err(StoreError { kind: StoreErrorKind::Corrupt, .. }) => return Logs::new(),
            other => panic!("a store opens or is damaged, but this answers {other:?}"),
        };
        contents.documents.iter().map(|stored| (stored.document, read_all(&mut journal, stored.document, keys))).collect()
    }
}

/// Every entry of a document's log, those first that its snapshot stands for.
pub fn read_all<M: Medium>(journal: &mut Journal<M>, document: DocumentId, keys: Option<&Keys>) -> Vec<(Position, Arc<Entry>)> {
    let task = StoreTask::ReadSnapshot { document, offset: 0, bytes_max: usize::MAX };
    let part = match journal.execute(task) {
        Ok(StoreDone::SnapshotRead { part }) => part,
        other => panic!("a log that opened reads, but this answers {other:?}"),
    };
    let Some(part) = part else { return read_entries(journal, document) };
    let within = expand(document, &part.bytes, keys);
    assert_eq!(
        within.len() as u64,
        part.version.clock.entries(),
        "S4: a snapshot of {document} stands for other entries than it says"
    );
    let end = within.len() as u64;
    let after = read_entries(journal, document).into_iter().filter(|(position, entry)| {
        let is_within = within.iter().any(|known| known.hash == entry.hash);
        assert_eq!(*position <= end, is_within, "S4: an entry of {document} stands on the wrong side of its snapshot");
        !is_within
    });
    let after: Vec<_> = after.collect();
    (1..).zip(within).chain(after).collect()
}

/// What a snapshot stands for, as automerge alone reads it.
pub fn expand(document: DocumentId, snapshot: &[u8], keys: Option<&Keys>) -> Vec<Arc<Entry>> {
    if let Some(keys) = keys {
        return keys.expand(document, snapshot);
    }
    let loaded = automerge::Automerge::load(snapshot).unwrap_or_else(|error| panic!("S4: a snapshot does not load: {error}"));
    let changes = loaded.get_changes(&[]).into_iter();
    let entry =
        |change: automerge::Change| entry_from_payload(document, Arc::from(change.raw_bytes())).expect("automerge made it");
    changes.map(|change| Arc::new(entry(change))).collect()
}

/// Every entry that a log holds as such.
fn read_entries<M: Medium>(journal: &mut Journal<M>, document: DocumentId) -> Vec<(Position, Arc<Entry>)> {
    let mut found: Vec<(Position, Arc<Entry>)> = Vec::new();
    loop {
        let after = found.last().map_or(0, |(position, _)| *position);
        let task = StoreTask::Read { document, above: VectorClock::new(), after, bytes_max: usize::MAX };
        match journal.execute(task) {
            Ok(StoreDone::Read { entries, complete }) => {
                found.extend(entries);
                if complete {
                    return found;
                }
            }
            other => panic!("a log that opened reads, but this answers {other:?}"),
        }
    }
}

/// The hashes of a log.
pub fn hashes(log: &[(Position, Arc<Entry>)]) -> BTreeSet<ChangeHash> {
    log.iter().map(|(_, entry)| entry.hash).collect()
}

impl Platter {
    fn kept(&self) -> [Vec<u8>; 2] {
        self.areas.each_ref().map(|area| area.kept.clone())
    }

    fn die(&mut self, death: Death) {
        let Self { areas, dice, .. } = self;
        areas.iter_mut().for_each(|area| area.die(death, dice));
    }

    fn replace(&mut self, areas: [Vec<u8>; 2]) {
        for (area, bytes) in self.areas.iter_mut().zip(areas) {
            area.replace(bytes);
        }
    }

    /// Whether this fault is on; if so it has fired.
    fn fails(&mut self, fault: Fault) -> bool {
        let fails = self.faults.contains(&fault);
        if fails {
            self.fired.insert(fault);
        }
        fails
    }

    fn write(&mut self, area: Area, bytes: &[u8]) {
        let many = self.fuse.map_or(bytes.len(), |fuse| fuse.min(bytes.len()));
        self.areas[area as usize].written.extend_from_slice(&bytes[..many]);
    }
}

impl Sectors {
    fn die(&mut self, death: Death, dice: &mut Dice) {
        let left = match death {
            Death::Killed => return self.keep_all(),
            Death::PowerLost => self.kept.clone(),
            Death::PowerTorn if dice.percent(20) => self.kept.clone(),
            Death::PowerTorn => {
                let dirty = self.written.len().saturating_sub(self.dirty_from);
                let end = self.dirty_from.min(self.written.len()) + dice.index(dirty + 1);
                let mut left = self.written[..end].to_vec();
                match dice.below(3) {
                    // The length was written and the bytes were not.
                    0 => left.resize((end + dice.index(24)).min(self.written.len()).max(end), 0),
                    // A block in the middle was not written, and one after it was.
                    1 if end > self.dirty_from => {
                        let hole = self.dirty_from + dice.index(end - self.dirty_from);
                        let hole_end = (hole + 1 + dice.index(16)).min(end);
                        left[hole..hole_end].fill(0);
                    }
                    _ => {}
                }
                left
            }
        };
        self.replace(left);
    }

    fn keep_all(&mut self) {
        let from = self.dirty_from.min(self.written.len()).min(self.kept.len());
        self.kept.truncate(from);
        self.kept.extend_from_slice(&self.written[from..]);
        self.dirty_from = self.written.len();
    }

    fn replace(&mut self, bytes: Vec<u8>) {
        self.dirty_from = bytes.len();
        self.kept.clone_from(&bytes);
        self.written = bytes;
    }

    /// Drops what was written from `at` on.
    fn cut(&mut self, at: usize) {
        self.written.truncate(at);
        self.dirty_from = self.dirty_from.min(at);
    }
}

/// Whether a task only reads.
fn reads(work: &StoreTask) -> bool {
    matches!(work, StoreTask::Read { .. } | StoreTask::ReadSnapshot { .. } | StoreTask::Find { .. })
}

fn refused(kind: StoreErrorKind, message: &str) -> StoreError {
    StoreError { kind, message: message.to_owned() }
}

impl Medium for SimMedium {
    fn read_all(&mut self, area: Area) -> Result<Vec<u8>, StoreError> {
        Ok(self.0.borrow().areas[area as usize].written.clone())
    }

    fn append(&mut self, area: Area, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let mut platter = self.0.borrow_mut();
        let at = usize::try_from(at).expect("a simulated disk is small");
        assert!(at <= platter.areas[area as usize].written.len(), "a journal writes at the end of what is kept");
        platter.areas[area as usize].cut(at);
        if let Some(fuse) = platter.fuse {
            platter.write(area, bytes);
            platter.fuse = Some(fuse.saturating_sub(bytes.len()));
            return if fuse < bytes.len() { Err(refused(StoreErrorKind::Unavailable, "the process is dying")) } else { Ok(()) };
        }
        for (fault, kind) in [(Fault::DiskFull, StoreErrorKind::Full), (Fault::WriteFails, StoreErrorKind::Unavailable)] {
            if platter.fails(fault) {
                let part = platter.dice.index(bytes.len() + 1);
                platter.write(area, &bytes[..part]);
                return Err(refused(kind, "the simulated disk takes no writes"));
            }
        }
        platter.write(area, bytes);
        Ok(())
    }

    fn sync(&mut self, area: Area) -> Result<(), StoreError> {
        let mut platter = self.0.borrow_mut();
        if platter.fuse.is_some_and(|fuse| fuse == 0) {
            return Err(refused(StoreErrorKind::Unavailable, "the process is dying"));
        }
        if platter.fails(Fault::SyncFails) {
            return Err(refused(StoreErrorKind::Unavailable, "the simulated disk does not sync"));
        }
        platter.syncs += 1;
        platter.areas[area as usize].keep_all();
        Ok(())
    }

    fn truncate(&mut self, area: Area, len: u64) -> Result<(), StoreError> {
        let mut platter = self.0.borrow_mut();
        let len = usize::try_from(len).expect("a simulated disk is small");
        if platter.fuse == Some(0) || platter.fails(Fault::WriteFails) {
            return Err(refused(StoreErrorKind::Unavailable, "the simulated disk does not truncate"));
        }
        platter.areas[area as usize].cut(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(disk: &Disk) -> SimMedium {
        SimMedium(Rc::clone(&disk.platter))
    }

    #[test]
    fn a_power_cut_takes_what_was_not_synced_and_a_kill_does_not() {
        for (death, left) in [(Death::PowerLost, &b"one"[..]), (Death::Killed, &b"onetwo"[..])] {
            let mut disk = Disk::new(1, 0);
            let mut medium = medium(&disk);
            medium.append(Area::First, 0, b"one").unwrap();
            medium.sync(Area::First).unwrap();
            medium.append(Area::First, 3, b"two").unwrap();
            disk.die(death);
            assert_eq!(medium.read_all(Area::First).unwrap(), left);
        }
    }

    #[test]
    fn a_torn_write_never_touches_what_was_synced_and_ends_anywhere() {
        let mut lengths = BTreeSet::new();
        for seed in 0..200 {
            let mut disk = Disk::new(seed, 0);
            let mut medium = medium(&disk);
            medium.append(Area::First, 0, b"one").unwrap();
            medium.sync(Area::First).unwrap();
            medium.append(Area::First, 3, b"twothree").unwrap();
            disk.die(Death::PowerTorn);
            let left = medium.read_all(Area::First).unwrap();
            assert_eq!(&left[..3], b"one");
            lengths.insert(left.len());
        }
        assert!(lengths.len() > 6, "{lengths:?}");
    }

    #[test]
    fn a_full_disk_says_so_and_works_again_when_there_is_room() {
        let mut disk = Disk::new(1, 0);
        let mut medium = medium(&disk);
        disk.set_fault(Fault::DiskFull, true);
        assert_eq!(medium.append(Area::First, 0, b"one").unwrap_err().kind, StoreErrorKind::Full);
        assert_eq!(disk.take_fired(), BTreeSet::from([Fault::DiskFull]));
        disk.heal();
        medium.append(Area::First, 0, b"one").unwrap();
        assert_eq!(medium.read_all(Area::First).unwrap(), b"one");
    }
}
