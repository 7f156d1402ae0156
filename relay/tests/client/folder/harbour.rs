//! Folders through a real relay: the library's own shelf, and the command as people run it.

use super::desk::{Desk, Peer, command, files, run};
use crate::place::{Harbour, soon};
use std::path::{Path, PathBuf};

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

fn start(folder: &Path, harbour: &Harbour) -> Peer {
    Peer::start(&["--folder", folder.to_str().unwrap(), "--space", "notes", "--relay", &harbour.url()])
}

#[tokio::test]
async fn the_command_keeps_two_folders_in_step_as_files_change_and_ends_when_told() {
    let harbour = Harbour::open().await;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(one.path().join("a.md"), "one\n").unwrap();
    let (mut anna, mut ben) = (start(one.path(), &harbour), start(two.path(), &harbour));
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
