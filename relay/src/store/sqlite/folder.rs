//! The folder a store lives in: made private, and held by one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The database's name in its folder.
pub const DATABASE_FILE: &str = "driftline.sqlite";
/// The name of the file whose lock says that the folder is in use.
pub const LOCK_FILE: &str = "driftline.lock";

/// Why a store cannot be opened at all. Caused by whoever set the machine up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process is at work on it.
    #[error("the data folder {} is in use by another process: stop that one, or give this one a folder of its own", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The system refused.
    #[error("the data folder {} cannot be used: {error}: make it a folder that this user may write to", folder.display())]
    Refused {
        /// The folder.
        folder: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The database does not open.
    #[error("{} cannot be opened as a store: {reason}", file.display())]
    NotAStore {
        /// The database.
        file: PathBuf,
        /// A sentence for the operator.
        reason: String,
    },
}

/// A folder held by this process; let go of when dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder where there is none, for its owner alone, and takes hold of it.
    pub(super) fn hold(path: &Path) -> Result<Self, OpenError> {
        let held = Self::lock(path)?;
        // SQLite gives its companions, the log and its index, the permissions of the database.
        let made = private_file(&held.database());
        made.map_err(|error| OpenError::Refused { folder: path.to_owned(), error })?;
        Ok(held)
    }

    /// The same without a database in it.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        let refused = |error| OpenError::Refused { folder: path.to_owned(), error };
        make_private_folder(path).map_err(refused)?;
        let lock = private_file(&path.join(LOCK_FILE)).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { folder: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Makes the names of the files in it durable: without this a power cut soon after the store was made could take all
    /// of it.
    pub(super) fn sync(&self) -> Result<(), OpenError> {
        let synced = [Some(self.path.as_path()), self.path.parent()].into_iter().flatten().try_for_each(sync_folder);
        synced.map_err(|error| OpenError::Refused { folder: self.path.clone(), error })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The database in it.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE_FILE)
    }
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    // The parent of a relative folder has the empty name.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn make_private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// Opens a file that its owner alone may read, made where there is none.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
