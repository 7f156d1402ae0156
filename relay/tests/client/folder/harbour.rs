//! Folders through a real relay: the library's own shelf, and the command as people run it.

use super::shelf::list;
use crate::place::{Harbour, soon};
use driftline_relay::folder::{Keeper, KeeperOptions, Moment, Patience, Report, SpaceShelf};
use driftline_relay::repo::{Repo, RepoOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// A folder with a replica of its own that is connected to a relay.
struct Desk {
    repo: Repo,
    keeper: Option<Keeper<SpaceShelf>>,
    folder: TempDir,
}

impl Desk {
    async fn open(harbour: &Harbour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let data = path.join(".driftline");
        let repo = Repo::open(RepoOptions::folder(&data).relay(harbour.url())).await.unwrap();
        let space = repo.space("notes");
        let shelf = SpaceShelf::new(repo.clone(), space.clone(), tokio::runtime::Handle::current());
        let options =
            KeeperOptions { folder: path, data, space: space.id().to_string(), patience: Patience::none(), look_only: false };
        Self { repo, keeper: Some(Keeper::open(shelf, options).unwrap()), folder }
    }

    async fn pass(&mut self) -> Report {
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
    async fn settle(&mut self) -> Report {
        soon(async {
            loop {
                let report = self.pass().await;
                let status = self.repo.when_synced(&self.repo.space("notes")).await.unwrap();
                if report.is_in_step() && status.is_synced() {
                    return report;
                }
            }
        })
        .await
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(self.folder.path())
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    list(folder, "", &mut files);
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_files_converge_through_a_relay() {
    let harbour = Harbour::open().await;
    let (mut anna, mut ben) = (Desk::open(&harbour).await, Desk::open(&harbour).await);
    for number in 0..200 {
        let folder = anna.folder.path().join(format!("chapter {}", number % 7));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{number}.md")), format!("# {number}\n\nSome words.\n")).unwrap();
    }
    assert_eq!(anna.settle().await.files, 200);
    assert_eq!(ben.settle().await.files, 200);
    assert_eq!(ben.files(), anna.files());
    // And both write in one of them, while neither hears of the other.
    for desk in [&anna, &ben] {
        desk.repo.set_online(false);
    }
    std::fs::write(anna.folder.path().join("chapter 0/0.md"), "# 0 by Anna\n\nSome words.\n").unwrap();
    std::fs::write(ben.folder.path().join("chapter 0/0.md"), "# 0\n\nSome words, and Ben's.\n").unwrap();
    anna.pass().await;
    ben.pass().await;
    for desk in [&anna, &ben] {
        desk.repo.set_online(true);
    }
    soon(async {
        while !anna.files()["chapter 0/0.md"].ends_with(b"Ben's.\n") || !ben.files()["chapter 0/0.md"].starts_with(b"# 0 by") {
            anna.settle().await;
            ben.settle().await;
        }
    })
    .await;
    assert_eq!(anna.files()["chapter 0/0.md"], b"# 0 by Anna\n\nSome words, and Ben's.\n");
    assert_eq!(ben.files(), anna.files());
}

/// `driftline peer`, as people run it.
struct Peer {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftline"));
    for name in ["DRIFTLINE_RELAY", "DRIFTLINE_SPACE", "DRIFTLINE_DATA"] {
        command.env_remove(name);
    }
    command.arg("peer").args(words).kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Peer {
    fn start(folder: &Path, harbour: &Harbour) -> Self {
        let mut child = command(&["--folder", folder.to_str().unwrap(), "--space", "notes", "--relay", &harbour.url(), "--json"])
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, out, err }
    }

    /// Waits for an event like this.
    async fn says(&mut self, event: &str, path: Option<&str>) {
        let found = soon(async {
            while let Some(line) = self.out.next_line().await.unwrap() {
                let said: serde_json::Value = serde_json::from_str(&line).unwrap();
                if said["event"] == event && path.is_none_or(|path| said["path"] == path) {
                    return true;
                }
            }
            false
        });
        assert!(found.await, "it never says {event} of {path:?}");
    }
}

#[tokio::test]
async fn the_command_keeps_two_folders_in_step_as_files_change_and_ends_when_told() {
    let harbour = Harbour::open().await;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(one.path().join("a.md"), "one\n").unwrap();
    let (mut anna, mut ben) = (Peer::start(one.path(), &harbour), Peer::start(two.path(), &harbour));
    anna.says("added", Some("a.md")).await;
    ben.says("written", Some("a.md")).await;
    std::fs::write(two.path().join("a.md"), "one\ntwo\n").unwrap();
    ben.says("edited", Some("a.md")).await;
    anna.says("merged", Some("a.md")).await;
    assert_eq!(std::fs::read_to_string(one.path().join("a.md")).unwrap(), "one\ntwo\n");
    std::fs::rename(one.path().join("a.md"), one.path().join("b.md")).unwrap();
    ben.says("moved", Some("b.md")).await;
    std::fs::write(one.path().join("c.bin"), [0, 1, 2]).unwrap();
    ben.says("written", Some("c.bin")).await;
    std::fs::remove_file(two.path().join("b.md")).unwrap();
    anna.says("removed", Some("b.md")).await;
    anna.says("inStep", None).await;
    assert_eq!(files(one.path()), files(two.path()));

    // A second one on the same folder says why not.
    let second = soon(command(&["--folder", one.path().to_str().unwrap(), "--space", "notes"]).output()).await.unwrap();
    let why = String::from_utf8(second.stderr).unwrap();
    assert_eq!((second.status.code(), why.contains("already")), (Some(6), true), "{why}");

    #[cfg(unix)]
    for signal in ["-INT", "-TERM"] {
        let peer = if signal == "-INT" { &mut anna } else { &mut ben };
        let id = peer.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
        peer.says("stopped", None).await;
        assert!(soon(peer.child.wait()).await.unwrap().success());
    }
    assert!(soon(anna.err.next_line()).await.unwrap().is_some(), "notes are on stderr");
}

async fn run(words: &[&str]) -> (i32, String, String) {
    let output = soon(command(words).output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_touches_nothing() {
    let harbour = Harbour::open().await;
    let mut there = Desk::open(&harbour).await;
    std::fs::write(there.folder.path().join("theirs.md"), "theirs\n").unwrap();
    std::fs::write(there.folder.path().join("same.md"), "same\n").unwrap();
    there.settle().await;
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("mine.md"), "mine\n").unwrap();
    std::fs::write(here.path().join("same.md"), "same\n").unwrap();
    let before = files(here.path());
    let (code, out, err) =
        run(&["--folder", here.path().to_str().unwrap(), "--space", "notes", "--relay", &harbour.url(), "--dry-run"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("folder -> space  mine.md") && out.contains("space -> folder  theirs.md"), "{out}");
    assert!(!here.path().join(".driftline").exists() && files(here.path()) == before);
    assert_eq!(there.settle().await.files, 2, "nothing came");
}

#[tokio::test]
async fn what_makes_no_sense_is_said_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let file: PathBuf = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for (words, says) in [
        (vec!["--folder", "/no/such/folder"], "--folder"),
        (vec!["--folder", file.to_str().unwrap()], "is not a folder"),
        (vec!["--folder", path, "--relay", "http://x"], "ws://localhost:8080/sync"),
        (vec!["--folder", path, "--data", path], "--data"),
    ] {
        let (code, _, err) = run(&words).await;
        assert_eq!((code, err.contains(says)), (2, true), "{words:?}: {err}");
    }
    let (code, help, _) = run(&["--help"]).await;
    assert!(code == 0 && help.contains("--dry-run") && help.contains("Examples"), "{help}");
}
