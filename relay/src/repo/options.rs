//! How a repo is opened.

use std::path::PathBuf;
use std::time::Duration;

/// How long [`super::Space::find`] waits for a document that is not held yet, unless told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How to open a [`super::Repo`]. The default keeps nothing, knows no relay and is online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoOptions {
    /// The folder that documents are kept in, made if there is none; with none they live in memory and end with the repo.
    pub data: Option<PathBuf>,
    /// Relays to keep connections to, such as `ws://127.0.0.1:8080/sync`.
    pub relays: Vec<String>,
    /// Whether to begin online. Offline, everything works and nothing travels.
    pub online: bool,
    /// How long [`super::Space::find`] waits for a document that is not held yet.
    pub patience: Duration,
}

impl Default for RepoOptions {
    fn default() -> Self {
        Self { data: None, relays: Vec::new(), online: true, patience: PATIENCE }
    }
}

impl RepoOptions {
    /// A repo that keeps its documents in memory only.
    pub fn memory() -> Self {
        Self::default()
    }

    /// A repo that keeps its documents in this folder.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self { data: Some(folder.into()), ..Self::default() }
    }

    /// And that keeps a connection to this relay.
    #[must_use]
    pub fn relay(mut self, url: impl Into<String>) -> Self {
        self.relays.push(url.into());
        self
    }

    /// And that begins offline.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.online = false;
        self
    }
}
