//! A folder for what servers under measurement keep.

use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// A folder that is gone with this value.
pub(crate) struct Scratch {
    pub(crate) folder: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("driftline-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self { folder })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
