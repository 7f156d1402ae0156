//! A replica that takes part in a replay: with a store and a connection of its own.

use super::super::failure::{Failure, FailureKind};
use crate::host::HostStats;
use crate::repo::{DocHandle, Repo, RepoOptions, Space};
use driftline_core::base::id::{ChangeHash, DocumentId};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;

/// Where a replay takes place.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// The relay that everything goes through.
    pub relay: String,
    /// The space.
    pub space: String,
    /// Whether players keep their stores in temporary folders, or in memory.
    pub on_disk: bool,
    /// How long nothing may happen.
    pub patience: Duration,
    /// What the document is called.
    pub title: String,
}

/// A replica that takes part.
pub(crate) struct Player {
    repo: Repo,
    handle: DocHandle,
    /// Its store; gone when it leaves.
    _folder: Option<TempDir>,
}

impl Player {
    /// Opens a replica and makes the document, which reads `start`.
    pub(crate) async fn begin(stage: &Stage, start: &str) -> Result<Self, Failure> {
        let (repo, space, folder) = open(stage).await?;
        let (title, body) = (stage.title.clone(), start.to_owned());
        let made = space.create(move |tx| {
            tx.put("title", title)?;
            tx.put("body", body)
        });
        Ok(Self { handle: made.await?, repo, _folder: folder })
    }

    /// Opens a replica that holds nothing and waits for the document to come.
    pub(crate) async fn join(stage: &Stage, document: DocumentId) -> Result<Self, Failure> {
        let (repo, space, folder) = open(stage).await?;
        Ok(Self { handle: space.find_within(document, stage.patience).await?, repo, _folder: folder })
    }

    /// The replica.
    pub(crate) fn repo(&self) -> &Repo {
        &self.repo
    }

    /// The document.
    pub(crate) fn handle(&self) -> &DocHandle {
        &self.handle
    }

    /// Bytes that came in and went out.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let stats: &Arc<HostStats> = self.repo.host().stats();
        (stats.bytes_in.load(Ordering::Relaxed), stats.bytes_out.load(Ordering::Relaxed))
    }

    /// Waits until this version is held, as long as something happens at least once in every `patience`.
    pub(crate) async fn wait_for(&self, heads: &[ChangeHash], patience: Duration) -> Result<(), Failure> {
        let mut events = self.repo.host().events();
        loop {
            let wanted = heads.to_vec();
            if self.handle.read(move |document| document.holds(&wanted)).await? {
                return Ok(());
            }
            if tokio::time::timeout(patience, events.recv()).await.is_err() {
                return Err(stuck(patience));
            }
            while events.try_recv().is_ok() {}
        }
    }

    /// Leaves, and takes its store along.
    pub(crate) async fn leave(self) {
        self.repo.close().await;
    }
}

/// Nothing came for too long.
pub(crate) fn stuck(patience: Duration) -> Failure {
    let message = format!("nothing came from the relay for {} s: is it running, and can it be reached?", patience.as_secs_f64());
    Failure::new(FailureKind::NotSynced, message)
}

async fn open(stage: &Stage) -> Result<(Repo, Space, Option<TempDir>), Failure> {
    let failed =
        |error: std::io::Error| Failure::new(FailureKind::Failed, format!("cannot make a temporary folder for a store: {error}"));
    let folder =
        if stage.on_disk { Some(tempfile::Builder::new().prefix("driftline-replay-").tempdir().map_err(failed)?) } else { None };
    let data = folder.as_ref().map(|folder| folder.path().to_owned());
    let repo = Repo::open(RepoOptions { data, relays: vec![stage.relay.clone()], ..RepoOptions::default() }).await?;
    let space = repo.space(&stage.space);
    Ok((repo, space, folder))
}

/// The name of a space that nobody else is in.
pub(crate) fn fresh_space() -> String {
    format!("replay-{}", DocumentId(crate::repo::random()))
}
