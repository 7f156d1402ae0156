//! The npm side: dependencies as the lock files say, and scripts of the packages.

use crate::repository::Repository;
use anyhow::{Result, bail};

/// The oldest Node that the packages are tested with.
const NODE_MAJOR_MIN: u32 = 20;

/// Installs a package's dependencies as its lock file says, unless just that was done before.
pub(crate) fn install(repository: &Repository, folder: &str) -> Result<()> {
    check_node(repository)?;
    // npm writes this file last, with the state of the lock file it installed.
    let installed = repository.path(folder).join("node_modules/.package-lock.json");
    let lock = repository.path(folder).join("package-lock.json");
    let age = |path: &std::path::Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    match (age(&installed), age(&lock)) {
        (_, None) => bail!("{folder} has no package-lock.json: run `npm install` there and commit it"),
        (Some(installed), Some(lock)) if installed >= lock => Ok(()),
        _ => {
            repository.say(&format!("Installing the npm dependencies of {folder}"));
            repository.npm(folder, &["ci", "--no-audit", "--no-fund", "--loglevel=error"]).run()
        }
    }
}

/// Runs a script of a package.
pub(crate) fn script(repository: &Repository, folder: &str, script: &str) -> Result<()> {
    install(repository, folder)?;
    repository.npm(folder, &["run", "--silent", script]).run()
}

fn check_node(repository: &Repository) -> Result<()> {
    let Ok(version) = repository.program("node", &["--version"]).read() else {
        bail!("Node is not installed: Driftline's browser side needs Node {NODE_MAJOR_MIN} or newer, from https://nodejs.org");
    };
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR_MIN) {
        bail!("Node {} is too old: Driftline's browser side needs Node {NODE_MAJOR_MIN} or newer", version.trim());
    }
    Ok(())
}
