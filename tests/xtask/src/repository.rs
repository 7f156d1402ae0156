//! Where things are: the checkout, and the folder that cargo builds into.

use crate::job::{Job, Output};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// A checkout of the project, and where the output of what is run in it goes.
pub(crate) struct Repository {
    /// The folder of the workspace's manifest.
    pub(crate) root: PathBuf,
    /// The folder that cargo builds into.
    pub(crate) target: PathBuf,
    /// Where output goes.
    pub(crate) output: Output,
}

impl Repository {
    /// The checkout that this program was started from.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&manifest).ancestors().nth(2).context("this program's package is not in tests/xtask")?.to_owned();
        // This program lies in TARGET/debug.
        let program = std::env::current_exe().context("this program cannot tell where it lies")?;
        let target = program.ancestors().nth(2).context("this program is not in cargo's target folder")?.to_owned();
        Ok(Self { root, target, output: Output::Terminal })
    }

    /// A path in the checkout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A run of the cargo that runs this program.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Job<'_> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        Job::new(self, &cargo, "cargo", arguments)
    }

    /// A run of npm in a folder of the checkout.
    pub(crate) fn npm(&self, folder: &str, arguments: &[&str]) -> Job<'_> {
        Job::new(self, if cfg!(windows) { "npm.cmd" } else { "npm" }, "npm", arguments).in_folder(folder)
    }

    /// A run of any other program.
    pub(crate) fn program(&self, program: &str, arguments: &[&str]) -> Job<'_> {
        Job::new(self, program, program, arguments)
    }

    /// Where cargo leaves the binary `name` of the profile whose folder is `profile`.
    pub(crate) fn binary(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// Tells people something.
    pub(crate) fn say(&self, line: &str) {
        println!("{line}");
        self.output.keep(line);
    }
}
