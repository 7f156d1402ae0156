//! Why a folder could not be kept in step.

use crate::repo::RepoError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a folder could not be kept in step. Each is a sentence for people; what was done before it stays done.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder or a file in it cannot be read or written, and it is not about that file alone.
    #[error("{} cannot be used: {error}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The replica would not go on.
    #[error("{0}")]
    Replica(#[from] RepoError),
    /// What is remembered of the folder cannot be read or written.
    #[error("what is remembered of the folder cannot be kept: {0}")]
    State(String),
    /// The data directory remembers another folder or space.
    #[error("this data directory belongs to {remembered}, not to {wanted}: name another with --data")]
    Other {
        /// What it belongs to.
        remembered: String,
        /// What it was opened for.
        wanted: String,
    },
    /// A test ended the process here.
    #[error("cut off")]
    Cut,
}

impl FolderError {
    /// What the system said of a path.
    pub(crate) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::Disk { path, error }
    }
}

impl From<rusqlite::Error> for FolderError {
    fn from(error: rusqlite::Error) -> Self {
        Self::State(error.to_string())
    }
}
