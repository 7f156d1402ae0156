//! Doing work again only when what it is made from has changed.

use crate::repository::Repository;
use anyhow::{Context as _, Result};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// Folders that are made, not written.
const MADE: &[&str] = &["node_modules", "build", "dist", "pkg", "target", ".git"];

/// What some work was last made from.
pub(crate) struct Stamp {
    file: PathBuf,
    now: String,
}

impl Stamp {
    /// Reads `inputs` (files or folders of the checkout, those that exist) and `also`, which matters too.
    pub(crate) fn of(repository: &Repository, name: &str, inputs: &[&str], also: &str) -> Result<Self> {
        let mut files = Vec::new();
        for input in inputs {
            collect(&repository.path(input), &mut files)?;
        }
        files.sort();
        let mut hasher = DefaultHasher::new();
        also.hash(&mut hasher);
        for file in files {
            file.strip_prefix(&repository.root).unwrap_or(&file).hash(&mut hasher);
            std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?.hash(&mut hasher);
        }
        let file = file_of(repository, name);
        // One target folder may serve several checkouts.
        Ok(Self { file, now: format!("{:016x} {}", hasher.finish(), repository.root.display()) })
    }

    /// What was noted last under this name.
    pub(crate) fn last(repository: &Repository, name: &str) -> Option<String> {
        std::fs::read_to_string(file_of(repository, name)).ok()
    }

    /// Whether the work was done with exactly this, and `outputs` are still there.
    pub(crate) fn is_fresh(&self, outputs: &[PathBuf]) -> bool {
        outputs.iter().all(|output| output.exists()) && std::fs::read_to_string(&self.file).is_ok_and(|then| then == self.now)
    }

    /// Notes that the work is done.
    pub(crate) fn set(&self) -> Result<()> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&self.file, &self.now).with_context(|| format!("{} cannot be written", self.file.display()))
    }
}

fn file_of(repository: &Repository, name: &str) -> PathBuf {
    repository.target.join("xtask").join(format!("{name}.stamp"))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            if !MADE.iter().any(|made| entry.file_name() == *made) {
                collect(&entry.path(), files)?;
            }
        }
    } else if path.exists() {
        files.push(path.to_owned());
    }
    Ok(())
}
