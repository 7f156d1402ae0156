//! Why something asked of a repo did not come about.

use driftline_core::base::id::DocumentId;
use driftline_core::doc::document::ChangeError;
use driftline_core::engine::inviting::introductions::IntroductionError;
use driftline_core::engine::post::letters::SendLetterError;
use driftline_core::engine::trust::owned::OwnedError;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::Stopped;
use crate::store::sqlite::OpenError;

/// Why something asked of a repo did not come about. Each is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepoError {
    /// Nobody who could be asked holds this document.
    #[error("there is no document {document} in this space: {asked}")]
    NotFound {
        /// The document.
        document: DocumentId,
        /// Who was asked, as the end of a sentence.
        asked: String,
    },
    /// The document is not held here, and no peer could be reached to ask.
    #[error("document {document} is not held on this device, and nobody could be asked for it: {reason}")]
    Unreachable {
        /// The document.
        document: DocumentId,
        /// Why nobody could be asked.
        reason: String,
    },
    /// Something did not come true within the time given.
    #[error("{what} within {} seconds: {reason}", within.as_secs_f64())]
    NotInTime {
        /// What did not come true, as the beginning of a sentence.
        what: &'static str,
        /// The time given.
        within: Duration,
        /// How far it came.
        reason: String,
    },
    /// The document would not have the change; nothing of it was made.
    #[error("{0}")]
    Refused(String),
    /// Another program has the folder open.
    #[error("{} is in use by another program", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The store could not be opened, read or written.
    #[error("{0}")]
    Storage(String),
    /// A letter cannot be sent so, or was refused for good.
    #[error(transparent)]
    Letter(#[from] SendLetterError),
    /// Something about a link for a single use, or about devices, was not done.
    #[error(transparent)]
    Introduction(#[from] IntroductionError),
    /// The rules of an owned space do not allow it, or an invitation is not good.
    #[error(transparent)]
    Owned(#[from] OwnedError),
    /// The repo is closed, or its engine has stopped.
    #[error("the repo is closed")]
    Closed,
}

impl From<ChangeError> for RepoError {
    fn from(error: ChangeError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<Stopped> for RepoError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Shutdown => Self::Closed,
            Stopped::Panicked => Self::Storage(stopped.to_string()),
        }
    }
}

impl From<OpenError> for RepoError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::InUse { folder } => Self::InUse { folder },
            error => Self::Storage(error.to_string()),
        }
    }
}
