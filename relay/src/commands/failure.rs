//! How a command fails: a sentence for people, a word and an exit code for scripts.

use crate::repo::{IntroductionError, OwnedError, RepoError};
use driftline_core::engine::post::letters::SendLetterError;
use driftline_core::trust::invitation::InvitationError;
use serde_json::json;

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Of what kind.
    pub kind: FailureKind,
    /// What happened and what can be done.
    pub message: String,
}

/// Kinds of failure; each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// A disk, a file or the system failed.
    Failed,
    /// The command line asks for something that makes no sense.
    Usage,
    /// The document, or what stands at the path, is not there.
    NotFound,
    /// What `--wait` demands did not come true in time.
    NotSynced,
    /// The document, the engine or the relay would not have it.
    Refused,
    /// Another program is using the data directory.
    InUse,
    /// A replay did not end with the text it must end with.
    Mismatch,
    /// A store does not check out.
    Damaged,
}

/// The exit codes of `driftline doc`, for its `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done (and saved as far as --wait asks)
  1  a disk, a file or the system failed
  2  the command line is wrong
  3  not found: no such document, or nothing at that path
  4  not synced: what --wait asks for did not come true within --timeout
  5  refused: the document or the relay would not have it
  6  in use: another driftline is using the data directory
  7  mismatch: a replay did not end with the text it must end with";

impl FailureKind {
    /// The process's exit code.
    pub(crate) fn exit(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotSynced => 4,
            Self::Refused => 5,
            Self::InUse => 6,
            Self::Mismatch => 7,
            Self::Damaged => 8,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "notFound",
            Self::NotSynced => "notSynced",
            Self::Refused => "refused",
            Self::InUse => "inUse",
            Self::Mismatch => "mismatch",
            Self::Damaged => "damaged",
        }
    }
}

impl Failure {
    /// A failure of `kind`.
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The failure as one JSON value.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({ "error": { "kind": self.kind.word(), "exit": self.kind.exit(), "message": self.message } })
    }
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        let kind = match &error {
            RepoError::NotFound { .. } => FailureKind::NotFound,
            RepoError::Unreachable { .. } | RepoError::NotInTime { .. } => FailureKind::NotSynced,
            RepoError::Owned(OwnedError::Invitation(InvitationError::NotOne | InvitationError::Check)) => FailureKind::Usage,
            RepoError::Owned(OwnedError::NoMember(_) | OwnedError::AllVouched(_)) => FailureKind::NotFound,
            RepoError::Letter(SendLetterError::Letter(_) | SendLetterError::Expires) => FailureKind::Usage,
            RepoError::Introduction(IntroductionError::NoTicket | IntroductionError::NoDevice) => FailureKind::NotFound,
            RepoError::Introduction(IntroductionError::Ticket(_) | IntroductionError::Lasts) => FailureKind::Usage,
            RepoError::Introduction(_) => FailureKind::Refused,
            RepoError::Refused(_) | RepoError::Owned(_) | RepoError::Letter(_) => FailureKind::Refused,
            RepoError::InUse { .. } => FailureKind::InUse,
            RepoError::Storage(_) | RepoError::Closed => FailureKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}
