//! What a host asks of the disk under it, and how SQLite gives it.

pub mod memory;
pub mod sqlite;
pub mod stats;

pub use memory::MemoryStore;
pub use sqlite::{SqliteOptions, SqliteStore};

use driftline_core::base::id::TaskId;
use driftline_core::store::task::{StoreDone, StoreError, StoreTask};

/// What came of storage tasks, several at a time where they were carried out together.
pub type StoreAnswers = Vec<(TaskId, Result<StoreDone, StoreError>)>;

/// Where an executor sends its answers; may be called from any thread.
pub type StoreAnswering = Box<dyn Fn(StoreAnswers) + Send>;

/// Carries out storage tasks by the four rules in [`driftline_core::store::task`], without keeping its caller waiting.
pub trait StoreExecutor: Send + 'static {
    /// Told once, before any task: where answers go.
    fn start(&mut self, answering: StoreAnswering);

    /// Takes a task, to be answered exactly once. Must not wait for the disk.
    fn submit(&mut self, task: TaskId, work: StoreTask);

    /// Carries out what was submitted, answers it, and closes the store. Waits for the disk.
    fn close(self: Box<Self>);
}
