//! What changes in a document, as patches.
//!
//! Nothing is queued for a reader: each time it asks, it gets the difference between what it has seen and what the
//! document is now. A slow reader costs no memory, and sees several changes as one.

use super::RepoError;
use super::handle::DocHandle;
use driftline_core::base::id::ChangeHash;
use driftline_core::doc::patch::Patch;
use driftline_core::engine::effect::Event;
use futures_util::{Stream, StreamExt as _, stream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::broadcast::{self, error::RecvError};

/// One step of a document, from what the reader last saw to what it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What is different, to be applied in order.
    pub patches: Vec<Patch>,
    /// The heads before.
    pub before: Vec<ChangeHash>,
    /// The heads now.
    pub heads: Vec<ChangeHash>,
}

/// A stream of [`Change`]s; it ends when the repo is closed.
pub struct Changes {
    stream: Pin<Box<dyn Stream<Item = Change> + Send>>,
}

impl Changes {
    pub(super) fn new(handle: DocHandle, heads: Vec<ChangeHash>) -> Self {
        // From before the first look on, so that no change falls between a look and the wait after it.
        let events = handle.repo().inner.host.events();
        let step = |(handle, mut events, before): (DocHandle, _, Vec<ChangeHash>)| async move {
            loop {
                match look(&handle, before.clone()).await {
                    Ok(Some(change)) => {
                        let heads = change.heads.clone();
                        return Some((change, (handle, events, heads)));
                    }
                    Ok(None) => wait(&handle, &mut events).await?,
                    Err(_) => return None,
                }
            }
        };
        Self { stream: Box::pin(stream::unfold((handle, events, heads), step)) }
    }

    /// The next change; nothing once the repo is closed.
    pub async fn next(&mut self) -> Option<Change> {
        self.stream.next().await
    }
}

impl Stream for Changes {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change>> {
        self.stream.as_mut().poll_next(context)
    }
}

/// The difference between `before` and now, where there is one.
async fn look(handle: &DocHandle, before: Vec<ChangeHash>) -> Result<Option<Change>, RepoError> {
    handle
        .read(move |document| {
            let heads = document.heads();
            if heads == before {
                return None;
            }
            let patches = document.diff(&before, &heads);
            Some(Change { patches, before, heads })
        })
        .await
}

/// Waits until the document may have changed; nothing once the engine has stopped.
async fn wait(handle: &DocHandle, events: &mut broadcast::Receiver<Arc<Event>>) -> Option<()> {
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => {
                    if matches!(&*event, Event::DocumentChanged { document, .. } if *document == handle.id()) {
                        return Some(());
                    }
                }
                Err(RecvError::Lagged(_)) => return Some(()),
                Err(RecvError::Closed) => return None,
            },
            _ = handle.repo().inner.host.stopped() => return None,
        }
    }
}
