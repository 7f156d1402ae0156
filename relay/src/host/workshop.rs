//! Where documents are put together for the engine: a few at a time, on threads of their own, so that a long history that is
//! compacted keeps nobody waiting.

use super::inbox::{Inbox, Message};
use driftline_core::base::id::TaskId;
use driftline_core::doc::assembly::{Assembly, AssemblyError, Piece};
use driftline_core::engine::input::Input;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Assemblies that run at once; each holds a whole document in memory. Others wait.
const ASSEMBLIES_MAX: usize = 2;

/// Runs assemblies.
pub(super) struct Workshop {
    runtime: tokio::runtime::Handle,
    inbox: Inbox,
    benches: Arc<Semaphore>,
}

impl Workshop {
    /// A workshop that hands its work to `inbox`.
    pub(super) fn new(runtime: tokio::runtime::Handle, inbox: Inbox) -> Self {
        Self { runtime, inbox, benches: Arc::new(Semaphore::new(ASSEMBLIES_MAX)) }
    }

    /// Takes on an assembly. One that panics is answered as unsound, and harms nothing.
    pub(super) fn take_on(&self, task: TaskId, assembly: Box<Assembly>) {
        let (inbox, benches) = (self.inbox.clone(), Arc::clone(&self.benches));
        self.runtime.spawn(async move {
            // The semaphore is never closed.
            let _bench = benches.acquire_owned().await;
            let run = move || catch_unwind(AssertUnwindSafe(|| assembly.run().map(Box::new)));
            let panicked = || AssemblyError { piece: Piece::Unknown, reason: "reading it failed".to_owned(), rival: None };
            let result = match tokio::task::spawn_blocking(run).await {
                Ok(Ok(result)) => result,
                _ => Err(panicked()),
            };
            inbox.send(Message::Input(Input::Assembled { task, result }));
        });
    }
}
