//! What SQLite's errors mean to the engine.

use driftline_core::base::id::DocumentId;
use driftline_core::store::task::{StoreError, StoreErrorKind};
use rusqlite::{Error, ErrorCode};
use std::path::Path;

/// Why a task failed inside the executor, before anyone is told which task it was.
#[derive(Debug)]
pub(super) enum Failure {
    /// SQLite said so.
    Sqlite(Error),
    /// What is stored does not check out.
    Damaged(String),
    /// Entries before these are not stored, because storing them failed; they are to be sent again first.
    Behind,
}

pub(super) type Outcome<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    /// The engine's word for it, naming the document or the file.
    pub(super) fn explain(&self, file: &Path, document: Option<DocumentId>) -> StoreError {
        let file = file.display();
        let what =
            document.map_or_else(|| format!("the store {file}"), |document| format!("document {document} in the store {file}"));
        let (kind, message) = match self {
            Self::Damaged(how) => (StoreErrorKind::Corrupt, format!("{what} is damaged: {how}")),
            Self::Behind => (StoreErrorKind::Unavailable, format!("{what} lacks earlier entries that could not be stored")),
            Self::Sqlite(error) => match error {
                Error::SqliteFailure(code, _) => match code.code {
                    ErrorCode::DiskFull => (
                        StoreErrorKind::Full,
                        format!("there is no room for {what}: make room on the disk, or raise the limit; nothing stored is lost"),
                    ),
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                        (StoreErrorKind::Corrupt, format!("{what} is damaged: {error}"))
                    }
                    ErrorCode::ConstraintViolation => {
                        (StoreErrorKind::Corrupt, format!("{what} already holds another entry in this place: {error}"))
                    }
                    _ => (StoreErrorKind::Unavailable, format!("{what} cannot be used at the moment: {error}")),
                },
                Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::IntegralValueOutOfRange(..) => {
                    (StoreErrorKind::Corrupt, format!("{what} is damaged: {error}"))
                }
                error => (StoreErrorKind::Unavailable, format!("{what} cannot be used at the moment: {error}")),
            },
        };
        StoreError { kind, message }
    }

    /// What is wrong, for whoever names the place themselves.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Sqlite(error) => error.to_string(),
            Self::Damaged(how) => how.clone(),
            Self::Behind => "earlier entries could not be stored".to_owned(),
        }
    }

    /// Whether asking again will not help.
    pub(super) fn is_damage(&self) -> bool {
        self.explain(Path::new(""), None).kind == StoreErrorKind::Corrupt
    }
}
