//! Storage tasks carried out on SQLite: one thread, one connection, one sync for all that has gathered.
//!
//! The thread takes every task that has arrived, carries them all out in one transaction and answers them after its one
//! commit. While it syncs the next tasks gather: the busier, the fewer syncs a task. The database is in WAL mode with
//! full sync, so an answered append survives a power cut, and other programs may read it or copy it at any time.

mod audit;
mod copy;
mod database;
mod failure;
mod folder;
mod ledger;
mod read;
mod recover;
mod restore;
mod room;
mod snapshot;
mod view;
mod vouched;
mod write;

pub use audit::{Audited, Fault, Verdict};
pub use copy::{Copied, StoreCopy, StoreCopyError};
pub use folder::{DATABASE_FILE, LOCK_FILE, OpenError};
pub use restore::{RestoreError, Restored, restore};
pub use view::{QuarantinedDocument, StoreView, ViewError, ViewedStore};

use super::stats::StoreStats;
use super::{StoreAnswering, StoreExecutor};
use database::Database;
use driftline_core::base::id::TaskId;
use driftline_core::store::task::{StoreDone, StoreError, StoreTask};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

/// Tasks carried out in one transaction.
const BATCH_TASKS_MAX: usize = 4_096;
/// Bytes appended in one transaction, about.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What an operator may decide about a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How large the database may grow, in bytes; without it, as large as the disk. The log beside it is not counted,
    /// and stays at a few megabytes.
    pub bytes_max: Option<u64>,
}

/// A store in a folder of its own.
pub struct SqliteStore {
    state: State,
    stats: Arc<StoreStats>,
}

enum State {
    Idle(Box<Database>),
    Working { queue: mpsc::Sender<Queued>, thread: JoinHandle<()> },
    Over,
}

struct Queued {
    task: TaskId,
    work: StoreTask,
    since: Instant,
}

impl SqliteStore {
    /// Opens the store in `folder`, and makes it where there is none. It is this process's alone until it is closed.
    pub fn open(folder: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let database = Database::open(folder, options.bytes_max)?;
        Ok(Self { state: State::Idle(Box::new(database)), stats: Arc::default() })
    }

    /// What it counts.
    pub fn stats(&self) -> Arc<StoreStats> {
        Arc::clone(&self.stats)
    }

    /// The value of this name; nothing where there is none, or none that can be read. Only before it is given to a host.
    pub fn named(&self, name: &str) -> Option<Vec<u8>> {
        match &self.state {
            State::Idle(database) => database.named(name),
            State::Working { .. } | State::Over => None,
        }
    }

    /// Carries out tasks at once on the caller's thread, as one batch. Only before it is given to a host.
    ///
    /// # Panics
    ///
    /// When it was given to a host.
    pub fn carry_out(&mut self, tasks: &[StoreTask]) -> Vec<Result<StoreDone, StoreError>> {
        match &mut self.state {
            State::Idle(database) => database.carry_out(tasks),
            State::Working { .. } | State::Over => panic!("the store works for a host"),
        }
    }
}

impl StoreExecutor for SqliteStore {
    fn start(&mut self, answering: StoreAnswering) {
        if let State::Idle(database) = std::mem::replace(&mut self.state, State::Over) {
            let (queue, queued) = mpsc::channel();
            let stats = Arc::clone(&self.stats);
            let thread = std::thread::Builder::new()
                .name("store".to_owned())
                .spawn(move || work(*database, &queued, &answering, &stats))
                .expect("the system gives a thread");
            self.state = State::Working { queue, thread };
        }
    }

    fn submit(&mut self, task: TaskId, work: StoreTask) {
        if let State::Working { queue, .. } = &self.state {
            // The thread lives as long as this sender, and answers even what makes it panic.
            drop(queue.send(Queued { task, work, since: Instant::now() }));
        }
    }

    fn close(self: Box<Self>) {
        if let State::Working { queue, thread } = self.state {
            drop(queue);
            drop(thread.join());
        }
    }
}

fn work(mut database: Database, queued: &mpsc::Receiver<Queued>, answering: &StoreAnswering, stats: &StoreStats) {
    while let Some(first) = next_task(&mut database, queued) {
        let mut bytes = weight(&first.work);
        let (mut tasks, mut waits) = (vec![first.work], vec![(first.task, first.since)]);
        while tasks.len() < BATCH_TASKS_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(next) = queued.try_recv() else { break };
            bytes += weight(&next.work);
            tasks.push(next.work);
            waits.push((next.task, next.since));
        }
        let began = Instant::now();
        let answers = catch_unwind(AssertUnwindSafe(|| database.carry_out(&tasks)));
        let answers = answers.unwrap_or_else(|_| database.abandon(tasks.len()));
        count_commit(stats, &tasks, began);
        stats.batches.fetch_add(1, Ordering::Relaxed);
        stats.tasks.fetch_add(tasks.len() as u64, Ordering::Relaxed);
        for (work, (_, since)) in tasks.iter().zip(&waits) {
            match work {
                StoreTask::Append { .. } | StoreTask::Renew { .. } => stats.append_seconds.took(since.elapsed()),
                StoreTask::Read { .. } | StoreTask::ReadSnapshot { .. } => stats.read_seconds.took(since.elapsed()),
                StoreTask::PutSnapshot { .. } => _ = stats.snapshots.fetch_add(1, Ordering::Relaxed),
                _ => {}
            }
        }
        answering(waits.into_iter().map(|(task, _)| task).zip(answers).collect());
    }
    database.close();
}

/// Waits for a task, and meanwhile gives room back; nothing when no more will come.
fn next_task(database: &mut Database, queued: &mpsc::Receiver<Queued>) -> Option<Queued> {
    loop {
        let Some(wait) = database.spare_time() else { return queued.recv().ok() };
        match queued.recv_timeout(wait) {
            Ok(task) => return Some(task),
            Err(RecvTimeoutError::Timeout) => database.use_spare_time(),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Counts what a batch took that wrote something.
fn count_commit(stats: &StoreStats, tasks: &[StoreTask], began: Instant) {
    if !tasks.iter().any(database::writes) {
        return;
    }
    stats.commit_seconds.took(began.elapsed());
    let changes = tasks.iter().map(|task| match task {
        StoreTask::Append { entries, .. } | StoreTask::Renew { entries, .. } => entries.len(),
        _ => 0,
    });
    match changes.sum::<usize>() {
        0 => {}
        changes => stats.commit_changes.observe(changes as f64),
    }
}

fn weight(work: &StoreTask) -> usize {
    match work {
        StoreTask::Append { entries, .. } | StoreTask::Renew { entries, .. } => {
            entries.iter().map(|stored| stored.entry.weight()).sum()
        }
        StoreTask::PutSnapshot { snapshot, .. } => snapshot.bytes.len(),
        _ => 0,
    }
}
