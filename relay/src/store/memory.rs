//! A store that keeps nothing: for replicas that are to forget, and for tests.

use super::{StoreAnswering, StoreExecutor};
use driftline_core::base::id::TaskId;
use driftline_core::store::journal::Journal;
use driftline_core::store::medium::MemoryMedium;
use driftline_core::store::task::StoreTask;

/// The journal of the browsers' store, in memory. What it holds is gone when it is dropped.
pub struct MemoryStore {
    journal: Journal<MemoryMedium>,
    answering: Option<StoreAnswering>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { journal: Journal::new(MemoryMedium::new()), answering: None }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl StoreExecutor for MemoryStore {
    fn start(&mut self, answering: StoreAnswering) {
        self.answering = Some(answering);
    }

    fn submit(&mut self, task: TaskId, work: StoreTask) {
        let result = self.journal.execute(work);
        if let Some(answering) = &self.answering {
            answering(vec![(task, result)]);
        }
        // What is dead goes, a little at a time. In memory nothing fails; what would, would be tried again.
        _ = self.journal.step();
    }

    fn close(self: Box<Self>) {}
}
