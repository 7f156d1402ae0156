//! `driftline doc`, run as people and scripts run it.

use crate::place::Harbour;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// A relay that is never there.
const AWAY: &str = "ws://127.0.0.1:1/sync";

/// `driftline doc` with these words, with `folder` as its data directory.
fn doc(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftline"));
    for name in ["DRIFTLINE_RELAY", "DRIFTLINE_SPACE", "DRIFTLINE_DATA"] {
        command.env_remove(name);
    }
    command.arg("doc").args(words).env("DRIFTLINE_DATA", folder).kill_on_drop(true).stdin(Stdio::null());
    command
}

async fn run(folder: &Path, words: &[&str]) -> Output {
    tokio::time::timeout(Duration::from_secs(30), doc(folder, words).output()).await.expect("it ends").unwrap()
}

/// Runs it, and takes what it prints for JSON.
async fn json(folder: &Path, words: &[&str]) -> Json {
    let output = run(folder, &[words, &["--json"]].concat()).await;
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&output.stdout)))
}

/// Runs it, and answers its exit code and what it says on stderr.
async fn fails(folder: &Path, words: &[&str]) -> (i32, String) {
    let output = run(folder, words).await;
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn someone_makes_reads_and_changes_a_document_with_no_relay_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made =
        json(folder, &["create", "--value", r#"{"title": "Tides", "notes": [{"done": false}], "n": {"$counter": 2}}"#]).await;
    assert_eq!(made["saved"], json!({ "device": true, "replicas": 0, "relays": 0 }));
    let id = made["document"].as_str().unwrap();

    let list = json(folder, &["list"]).await;
    assert_eq!(
        (list[0]["document"].as_str(), list[0]["title"].as_str(), list[0]["changes"].as_u64()),
        (Some(id), Some("Tides"), Some(1))
    );
    assert_eq!(json(folder, &["get", id, "notes.0.done"]).await, json!(false));
    json(folder, &["set", id, "/notes/0/done", "true", "--message", "went there"]).await;
    json(folder, &["set", id, "notes.1", r#"{"done": false}"#]).await;
    json(folder, &["splice", id, "title", "0", "0", "Spring "]).await;
    let shown = json(folder, &["show", id]).await;
    assert_eq!(shown, json!({ "title": "Spring Tides", "notes": [{ "done": true }, { "done": false }], "n": { "$counter": 2 } }));
    let history = json(folder, &["history", id, "--limit", "3"]).await;
    assert_eq!(history.as_array().unwrap().len(), 3);
    assert_eq!(history[0]["message"], "went there");

    let plain = run(folder, &["get", id, "title"]).await;
    assert_eq!(String::from_utf8(plain.stdout).unwrap(), "Spring Tides\n", "text is printed as it is");
    let id = "2cPqGrS7i8mPKVWvPBLKV3RPsULC"; // Nobody's.
    assert_eq!(run(folder, &["create", "--id", id]).await.status.code(), Some(2), "an id with a mistyped letter is noticed");
}

#[tokio::test]
async fn a_document_travels_through_the_relay_to_another_device() {
    let harbour = Harbour::open().await;
    let (anna, ben) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = harbour.url();
    let made = json(anna.path(), &["create", "--value", r#"{"body": "one"}"#, "--relay", &url, "--wait", "relay"]).await;
    assert_eq!(made["saved"]["relays"], 1);
    let id = made["document"].as_str().unwrap();
    assert_eq!(json(ben.path(), &["show", id, "--relay", &url]).await, json!({ "body": "one" }));
    json(ben.path(), &["splice", id, "body", "3", "0", ", two", "--relay", &url]).await;
    assert_eq!(json(anna.path(), &["get", id, "body", "--relay", &url]).await, json!("one, two"));
    let memory = json(anna.path(), &["get", id, "body", "--relay", &url, "--space", "default"]).await;
    assert_eq!(memory, json!("one, two"));
    let elsewhere = fails(anna.path(), &["show", id, "--relay", &url, "--space", "other"]).await;
    assert_eq!(elsewhere.0, 3, "{}", elsewhere.1);
    assert!(elsewhere.1.contains("in another space"), "{}", elsewhere.1);
}

#[tokio::test]
async fn away_from_the_relay_everything_works_and_travels_later() {
    let mut harbour = Harbour::open().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let url = harbour.url();
    harbour.stop().await;
    let output = run(folder, &["create", "--value", r#"{"body": "one"}"#, "--relay", &url]).await;
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("offline: saved on this device"), "{said}");
    let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();

    let (exit, said) =
        fails(folder, &["set", &id, "body", r#""two""#, "--relay", &url, "--wait", "relay", "--timeout", "0.5"]).await;
    assert_eq!(exit, 4, "{said}");
    let (exit, said) = fails(folder, &["show", &id, "--relay", &url]).await;
    assert_eq!(exit, 0);
    assert!(said.contains("offline: this is what is held on this device"), "{said}");

    harbour.reopen().await;
    let value = json(folder, &["show", &id, "--relay", &url, "--wait", "relay"]).await;
    let other = tempfile::tempdir().unwrap();
    assert_eq!(json(other.path(), &["show", &id, "--relay", &url]).await, value);
}

#[tokio::test]
async fn each_kind_of_failure_has_its_exit_code_and_says_what_to_do() {
    let harbour = Harbour::open().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let url = harbour.url();
    let made = json(folder, &["create", "--value", r#"{"body": "one"}"#]).await;
    let id = made["document"].as_str().unwrap();
    let unknown = driftline_core::base::id::DocumentId([8; 16]).to_string();

    let cases: &[(&[&str], i32, &str)] = &[
        (&["show", &unknown, "--relay", &url], 3, "neither on this device nor on the relay"),
        (&["show", &unknown], 4, "no relay is named"),
        (&["show", &unknown, "--relay", AWAY], 4, AWAY),
        (&["show", "xyz"], 2, "xyz"),
        (&["get", id, "nothing.there"], 3, "there is nothing at nothing.there"),
        (&["set", id, "body", "unquoted"], 2, "quotes of its own"),
        (&["set", id, "no.such.place", "1"], 5, "there is nothing at"),
        (&["splice", id, "body", "9", "0", "x"], 5, "past the end"),
        (&["create", "--value", "[1]"], 2, "object at its root"),
        (&["create", "--value", "{}"], 5, "begins with a value"),
        (&["create", "--id", id, "--value", r#"{"a":1}"#], 5, "already"),
        (&["import", "no-such-file.md"], 1, "cannot read"),
        (&["import", "no-such-file.docx"], 2, "--as"),
        (&["list", "--memory"], 2, "--relay"),
        (&["list", "--wait", "relay"], 2, "--relay"),
        (&["replay", "trace.json"], 2, "driftline relay"),
        (&["watch"], 2, "--all"),
        (&["list", "--timeout", "soon"], 2, "number of seconds"),
    ];
    for (words, exit, advice) in cases {
        let (found, said) = fails(folder, words).await;
        assert_eq!(found, *exit, "{words:?} says {said}");
        assert!(said.contains(advice), "{words:?} says {said}");
        assert!(!said.contains("panicked"), "{words:?} says {said}");
    }
    let output = run(folder, &["show", &unknown, "--json", "--relay", &url]).await;
    assert!(output.stdout.is_empty());
    let error: Json = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&error["error"]["kind"], &error["error"]["exit"]), (&json!("notFound"), &json!(3)));
}

#[tokio::test]
async fn files_become_documents_and_documents_files() {
    let folder = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let (folder, at) = (folder.path(), |name: &str| files.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(at("tides.md"), "# Tides\n\nHigh at six: ¿höher?\n").unwrap();
    std::fs::write(at("data.json"), r#"{"a": [1, 2.5, null, {"$bytes": "AAE="}], "text": "x"}"#).unwrap();

    let note = json(folder, &["import", &at("tides.md")]).await["document"].as_str().unwrap().to_owned();
    assert_eq!(json(folder, &["get", &note, "title"]).await, json!("Tides"));
    json(folder, &["export", &note, "-o", &at("out.md")]).await;
    assert_eq!(std::fs::read(at("out.md")).unwrap(), std::fs::read(at("tides.md")).unwrap());

    let data = json(folder, &["import", &at("data.json")]).await["document"].as_str().unwrap().to_owned();
    let exported: Json = serde_json::from_slice(&run(folder, &["export", &data]).await.stdout).unwrap();
    assert_eq!(exported, serde_json::from_slice::<Json>(&std::fs::read(at("data.json")).unwrap()).unwrap());

    json(folder, &["set", &data, "text", r#""y""#]).await;
    json(folder, &["export", &data, "-o", &at("out.automerge")]).await;
    let copy = json(folder, &["import", &at("out.automerge")]).await["document"].as_str().unwrap().to_owned();
    assert_ne!(copy, data);
    assert_eq!(json(folder, &["show", &copy]).await, json(folder, &["show", &data]).await);
    assert_eq!(json(folder, &["history", &copy]).await, json(folder, &["history", &data]).await);
    assert_eq!(fails(folder, &["export", &data, "--as", "text"]).await.0, 3);
    assert_eq!(run(folder, &["export", &data, "--as", "text", "--path", "text"]).await.stdout, b"y");
}

#[tokio::test]
async fn watching_shows_what_others_do_as_it_happens_also_beside_another_command() {
    let harbour = Harbour::open().await;
    let folder = tempfile::tempdir().unwrap();
    let url = harbour.url();
    let made = json(folder.path(), &["create", "--value", r#"{"body": "one"}"#, "--relay", &url]).await;
    let id = made["document"].as_str().unwrap();
    let mut watch = doc(folder.path(), &["watch", "--all", "--json", "--relay", &url]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(watch.stderr.take().unwrap()).lines();
    let mut printed = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(said.next_line().await.unwrap().unwrap().contains("watching the 1 documents"));

    // The data directory is the watcher's: the second command says so, and works through the relay.
    let output = run(folder.path(), &["splice", id, "body", "3", "0", ", two", "--relay", &url]).await;
    let note = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && note.contains("in use by another driftline"), "{note}");
    let line: Json = serde_json::from_str(&printed.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(line["document"], id);
    assert_eq!(line["patches"], json!([{ "action": "splice", "path": ["body", 3], "insert": ", two" }]));
    assert_eq!(fails(folder.path(), &["list"]).await.0, 6);

    let elsewhere = tempfile::tempdir().unwrap();
    let new = json(elsewhere.path(), &["create", "--value", r#"{"body": "new"}"#, "--relay", &url]).await;
    let line: Json = serde_json::from_str(&printed.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(line["document"], new["document"]);
    #[cfg(unix)]
    {
        let pid = watch.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let ended = tokio::time::timeout(Duration::from_secs(30), watch.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(0), "Ctrl-C is how watching ends");
    }
}

#[tokio::test]
async fn with_nothing_kept_here_the_relay_has_it_or_the_command_fails() {
    let mut harbour = Harbour::open().await;
    let folder = tempfile::tempdir().unwrap();
    let url = harbour.url();
    let memory = ["--memory", "--relay", &url, "--timeout", "20"];
    let made = json(folder.path(), &[&["create", "--value", r#"{"body": "one"}"#], &memory[..]].concat()).await;
    assert_eq!(made["saved"]["relays"], 1);
    let id = made["document"].as_str().unwrap();
    assert_eq!(json(folder.path(), &[&["get", id, "body"], &memory[..]].concat()).await, json!("one"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    harbour.stop().await;
    for words in [&["create"][..], &["get", id, "body"], &["list"]] {
        let output = run(folder.path(), &[words, &memory[..3], &["--timeout", "1"]].concat()).await;
        assert_eq!(output.status.code(), Some(4), "{words:?} says {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty(), "there is no id of a document that is kept nowhere");
    }
}

#[tokio::test]
async fn a_note_can_be_typed_into_a_pipe_and_read_from_one_that_closes_early() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = doc(folder.path(), &["create", "--text", "-", "--wait", "none"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let text = "# Piped\n".to_owned() + &"All the tides of a long year.\n".repeat(20_000);
    tokio::io::AsyncWriteExt::write_all(&mut pipe, text.as_bytes()).await.unwrap();
    drop(pipe);
    let id = String::from_utf8(child.wait_with_output().await.unwrap().stdout).unwrap().trim().to_owned();
    assert_eq!(json(folder.path(), &["get", &id, "title"]).await, json!("Piped"));

    let mut child = doc(folder.path(), &["get", &id, "body"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("# Piped"));
    drop(lines);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn help_teaches_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[]).await;
    let page = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(page.contains("Examples:") && page.contains("driftline doc create") && page.contains("--relay"), "{page}");
    let long = String::from_utf8(run(folder.path(), &["--help"]).await.stdout).unwrap();
    assert!(long.contains("Exit codes:") && long.contains("mismatch"), "{long}");
    for command in ["create", "list", "show", "get", "set", "splice", "watch", "history", "import", "export", "replay"] {
        let page = String::from_utf8(run(folder.path(), &[command, "--help"]).await.stdout).unwrap();
        assert!(page.contains(&format!("driftline doc {command}")) && page.contains("Example"), "{page}");
    }
}
