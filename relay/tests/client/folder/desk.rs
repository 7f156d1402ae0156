//! A folder that is kept in step through a real relay: by the library's own shelf, and by the command as people run it.

use super::shelf::list;
use crate::place::{Harbour, soon};
use driftline_relay::folder::{Keeper, KeeperOptions, Moment, Patience, Report, SpaceShelf, Terms};
use driftline_relay::repo::{Repo, RepoOptions, Space};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// A folder with a replica of its own that is connected to a relay.
pub(super) struct Desk {
    pub(super) repo: Repo,
    space: Option<Space>,
    keeper: Option<Keeper<SpaceShelf>>,
    pub(super) folder: TempDir,
}

impl Desk {
    /// In the open space `notes`.
    pub(super) async fn open(harbour: &Harbour) -> Self {
        let desk = Self::bare(harbour).await;
        let space = desk.repo.space("notes");
        desk.keeping(&space)
    }

    /// In no space yet.
    pub(super) async fn bare(harbour: &Harbour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().canonicalize().unwrap().join(".driftline");
        let repo = Repo::open(RepoOptions::folder(&data).relay(harbour.url())).await.unwrap();
        Self { repo, space: None, keeper: None, folder }
    }

    /// The same with a space that the folder is kept in step with.
    pub(super) fn keeping(mut self, space: &Space) -> Self {
        let folder = self.folder.path().canonicalize().unwrap();
        let data = folder.join(".driftline");
        let shelf = SpaceShelf::new(self.repo.clone(), space.clone(), tokio::runtime::Handle::current());
        let options = KeeperOptions { folder, data, space: space.id().to_string(), patience: Patience::none(), look_only: false };
        self.keeper = Some(Keeper::open(shelf, options).unwrap());
        self.space = Some(space.clone());
        self
    }

    /// On what terms the space takes what is done here, after one more look.
    pub(super) async fn terms(&mut self) -> Terms {
        self.pass().await;
        self.keeper.as_ref().unwrap().terms().clone()
    }

    pub(super) async fn pass(&mut self) -> Report {
        let mut keeper = self.keeper.take().unwrap();
        let moment = Moment { monotonic: Duration::ZERO, unix_ms: 5 };
        let (keeper, report) = tokio::task::spawn_blocking(move || {
            let report = keeper.pass(moment);
            (keeper, report.unwrap())
        })
        .await
        .unwrap();
        self.keeper = Some(keeper);
        report
    }

    /// Passes until everything is in step, here and on the relay.
    pub(super) async fn settle(&mut self) -> Report {
        soon(async {
            loop {
                let report = self.pass().await;
                let status = self.repo.when_synced(self.space.as_ref().unwrap()).await.unwrap();
                if report.is_in_step() && status.is_synced() {
                    return report;
                }
            }
        })
        .await
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(self.folder.path())
    }
}

pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    list(folder, "", &mut files);
    files
}

/// `driftline peer`, as people run it.
pub(super) struct Peer {
    pub(super) child: Child,
    out: Lines<BufReader<ChildStdout>>,
    pub(super) err: Lines<BufReader<ChildStderr>>,
}

pub(super) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftline"));
    for name in ["DRIFTLINE_RELAY", "DRIFTLINE_SPACE", "DRIFTLINE_DATA"] {
        command.env_remove(name);
    }
    command.arg("peer").args(words).kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Peer {
    pub(super) fn start(words: &[&str]) -> Self {
        let mut child = command(&[words, &["--json"]].concat()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, out, err }
    }

    /// Waits for an event like this; answers all that it says.
    pub(super) async fn says(&mut self, event: &str, path: Option<&str>) -> serde_json::Value {
        let found = soon(async {
            while let Some(line) = self.out.next_line().await.unwrap() {
                let said: serde_json::Value = serde_json::from_str(&line).unwrap();
                if said["event"] == event && path.is_none_or(|path| said["path"] == path) {
                    return Some(said);
                }
            }
            None
        });
        found.await.unwrap_or_else(|| panic!("it never says {event} of {path:?}"))
    }

    /// Tells it to stop, and waits until it has.
    pub(super) async fn stop(mut self) {
        let id = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.says("stopped", None).await;
        assert!(soon(self.child.wait()).await.unwrap().success());
    }
}

/// Runs it to its end; answers its exit code, and what it said on both.
pub(super) async fn run(words: &[&str]) -> (i32, String, String) {
    let output = soon(command(words).output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
