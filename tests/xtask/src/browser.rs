//! Finding Chromium for the browser tests, and installing it where that can be done without asking anyone.

use crate::job::on_path;
use crate::repository::Repository;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// The npm package of the browser tests.
pub(crate) const PACKAGE: &str = "tests/browser";
/// Where Chromium and its relatives usually are.
const USUAL: &[&str] = &[
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/snap/bin/chromium",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
];

/// The Chromium to test with: the one that `CHROMIUM` names, a usual one, or one newly installed on Debian as root.
pub(crate) fn chromium(repository: &Repository) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        let named = PathBuf::from(named);
        if named.is_file() {
            return Ok(named);
        }
        bail!("CHROMIUM names {}, which is not there", named.display());
    }
    if let Some(usual) = installed() {
        return Ok(usual);
    }
    if Path::new("/etc/debian_version").exists() && on_path("apt-get") && is_root(repository) {
        repository.say("Installing Chromium with apt-get, for the browser tests");
        repository.program("apt-get", &["update", "-qq"]).run()?;
        repository
            .program("apt-get", &["install", "-y", "-qq", "--no-install-recommends", "chromium"])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .run()?;
        if let Some(installed) = installed() {
            return Ok(installed);
        }
    }
    bail!(
        "there is no Chromium to test with: install it (on Debian or Ubuntu `sudo apt-get install chromium`), \
         or set CHROMIUM to the path of a Chromium or Chrome"
    )
}

fn installed() -> Option<PathBuf> {
    USUAL.iter().map(PathBuf::from).find(|path| path.is_file())
}

fn is_root(repository: &Repository) -> bool {
    repository.program("id", &["-u"]).read().is_ok_and(|id| id.trim() == "0")
}
