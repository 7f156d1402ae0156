//! Tells when something in a folder may have changed.
//!
//! It is a hint and nothing more: what has changed is seen by looking. Where the system tells nothing, or too much to be
//! told, looking at intervals finds it all the same.

use notify::{EventKind, RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// Tells when something in a folder may have changed.
pub struct Watch {
    _watcher: notify::RecommendedWatcher,
    changed: Arc<Notify>,
}

impl Watch {
    /// Watches a folder and all in it but for what is this program's own, and `data`.
    ///
    /// # Errors
    ///
    /// A sentence, when the system does not tell of changes there.
    pub fn of(folder: &Path, data: &Path) -> Result<Self, String> {
        let changed = Arc::new(Notify::new());
        let (tell, data) = (Arc::clone(&changed), data.to_owned());
        let is_news = move |event: &notify::Event| {
            let is_own = |path: &PathBuf| path.starts_with(&data) || is_temporary(path);
            !matches!(event.kind, EventKind::Access(_)) && (event.paths.is_empty() || !event.paths.iter().all(is_own))
        };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error may hide a change.
            if event.as_ref().map_or(true, &is_news) {
                tell.notify_one();
            }
        })
        .map_err(|error| error.to_string())?;
        watcher.watch(folder, RecursiveMode::Recursive).map_err(|error| error.to_string())?;
        Ok(Self { _watcher: watcher, changed })
    }

    /// Waits until something may have changed since this was last asked.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(super::names::TEMPORARY))
}
