//! Who is let into a relay, and how much they may have of it: each rule with the real program, refused with its own words, and the
//! others unharmed.

use crate::owned::Device;
use crate::process::{Process, driftline, run};
use crate::replica::PATIENCE;
use futures_util::StreamExt as _;
use serde_json::Value as Json;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

const NOTE: &str = r#"{"title": "Tides"}"#;
/// Ten thousand letters that do not compress to half.
fn long_note() -> String {
    let mut seed = 7;
    let letters: String = (0..10_000).map(|_| char::from(b'a' + (crate::process::scatter(&mut seed) % 26) as u8)).collect();
    format!("{{\"body\": \"{letters}\"}}")
}

fn relay(data: &Path, rules: &[&str]) -> Process {
    let mut command = driftline();
    command.args(["relay", "--listen", "127.0.0.1:0", "--log", "warn", "--data"]).arg(data).args(rules);
    Process::spawn(&mut command)
}

/// Makes a note and waits for the relay; answers the exit code and what was said.
async fn write(device: &Device, more: &[&str]) -> (i32, String) {
    let words = ["doc", "create", "--value", NOTE, "--wait", "relay", "--timeout", "4"];
    let (code, _, said) = device.run(&[&words, more].concat()).await;
    (code, said)
}

/// Writes until it comes out so, and says so: on a busy machine a relay may be too slow to answer at all, which has the same code as a refusal.
async fn until(device: &Device, more: &[&str], (wanted, words): (i32, &str)) -> String {
    let writing = async {
        loop {
            let (code, said) = write(device, more).await;
            if code == wanted && said.contains(words) {
                return said;
            }
        }
    };
    tokio::time::timeout(PATIENCE, writing).await.unwrap_or_else(|_| panic!("it never ends with {wanted}"))
}

/// How a page's WebSocket is closed: pages say of which site they are.
async fn closed(url: &str) -> (u16, String) {
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://notes.example".parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("it is told").unwrap().unwrap() {
            Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
            _ => continue,
        }
    }
}

async fn status(url: &str) -> u16 {
    match connect_async(url).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        Ok(_) => 101,
        Err(error) => panic!("{url}: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_is_kept_as_a_hash_and_in_no_log_and_is_taken_back() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("tokens");
    let mut make = driftline();
    let (code, token) = run(make.args(["token", "--note", "Ben", "--file"]).arg(&file));
    let token = token.trim();
    assert!(code == 0 && token.starts_with("drift_"), "{code} {token}");
    assert!(!std::fs::read_to_string(&file).unwrap().contains(token));
    let mut command = driftline();
    command.args(["relay", "--listen", "127.0.0.1:0", "--log", "debug", "--access", "token", "--data"]).arg(data.path());
    let mut relay = Process::spawn(command.stderr(Stdio::piped()));
    // Read as it is written: a relay whose log nobody takes would stand still.
    let mut stderr = relay.child.stderr.take().unwrap();
    let logs = std::thread::spawn(move || {
        let mut logs = String::new();
        stderr.read_to_string(&mut logs).map(|_| logs)
    });
    let url = relay.told("sync").to_owned();
    let (ben, cat) = (Device::new(&url), Device::new(&url));

    let said = until(&cat, &[], (4, "wants a token")).await;
    assert!(said.contains("--token"), "{said}");
    let said = until(&cat, &["--token", "drift_wrong"], (4, "not one of this relay's")).await;
    assert!(!said.contains("drift_wrong"), "{said}");
    until(&ben, &["--token", token], (0, "")).await;
    // As browsers do; and clients of automerge-repo.
    let (http, base) = (format!("{url}?token={token}"), url.trim_end_matches("/sync").to_owned());
    assert_eq!([status(&http).await, status(&url).await, status(&format!("{url}?token=x")).await], [101, 401, 401]);
    let (code, why) = closed(&url).await;
    assert!(code == 4401 && why == "this relay wants a token: ask its operator for one", "{code}: {why}");
    let (code, why) = closed(&format!("{url}?token=x")).await;
    assert!(code == 4401 && why.contains("not one of this relay's"), "{code}: {why}");
    let automerge = format!("{base}/automerge");
    assert_eq!([status(&automerge).await, status(&format!("{automerge}?token={token}")).await], [401, 101]);

    std::fs::write(&file, "# nobody\n").unwrap();
    let said = until(&ben, &["--token", token], (4, "not one of this relay's")).await;
    assert!(!said.contains(token), "{said}");
    relay.signal("TERM");
    relay.ended(PATIENCE);
    let logs = logs.join().unwrap().unwrap();
    assert!(logs.contains("ready") && !logs.contains(token), "{logs}");

    let (code, said) = run(driftline()
        .args(["relay", "--access", "token", "--tokens", "/nowhere/tokens", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path()));
    assert!(code == 2 && said.contains("driftline token"), "{code}: {said}");
    let (code, said) = run(driftline().args(["relay", "--access", "token", "--p2p", "127.0.0.1:0", "--data"]).arg(data.path()));
    assert!(code == 2 && said.contains("--access list"), "{code}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_keys_on_the_list_are_let_in_also_when_it_changes() {
    let data = TempDir::new().unwrap();
    let (anna, ben) = (Device::new(""), Device::new(""));
    let key = async |device: &Device| device.json(&["inbox"]).await["key"].as_str().unwrap().to_owned();
    let (annas, bens) = (key(&anna).await, key(&ben).await);
    let file = data.path().join("friends");
    std::fs::write(&file, format!("{annas} Anna\n")).unwrap();
    let relay = relay(data.path(), &["--access", "list", "--allowed", file.to_str().unwrap()]);
    let at = |device: Device| Device { relay: relay.told("sync").to_owned(), ..device };
    let (anna, ben) = (at(anna), at(ben));
    until(&anna, &[], (0, "")).await;
    let said = until(&ben, &[], (5, "not on it")).await;
    assert!(said.contains("ask the operator"), "{said}");
    std::fs::write(&file, format!("{bens}\n")).unwrap();
    until(&ben, &[], (0, "")).await;
    until(&anna, &[], (5, "not on it")).await;
    assert_eq!(status(&format!("{}/automerge", relay.told("sync").trim_end_matches("/sync"))).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_said_are_in_the_audit_log_and_harm_nobody_else() {
    let data = TempDir::new().unwrap();
    let audit = data.path().join("audit.jsonl");
    let config = data.path().join("relay.toml");
    std::fs::write(&config, "space-bytes-max = \"4KiB\"\nspaces-per-key-max = 2\nspace-documents-max = 2\n").unwrap();
    let rules = ["--audit", audit.to_str().unwrap(), "--config", config.to_str().unwrap(), "--pow", "14"];
    let relay = relay(data.path(), &rules);
    let (anna, ben) = (Device::new(relay.told("sync")), Device::new(relay.told("sync")));
    let in_space = |name| ["--space", name];

    let (code, said) = write(&anna, &in_space("one")).await;
    assert_eq!(code, 0, "a stamp is found by itself: {said}");
    let long = long_note();
    let (code, _, said) =
        anna.run(&["doc", "create", "--value", &long, "--space", "one", "--wait", "relay", "--timeout", "3"]).await;
    assert!(code == 4 && said.contains("4096") && said.contains("kept where it was made"), "{code}: {said}");
    // It is not lost, and others are not harmed.
    assert_eq!(anna.json(&["doc", "list", "--space", "one", "--timeout", "1"]).await.as_array().map(Vec::len), Some(2));
    let (code, said) = write(&ben, &in_space("two")).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(write(&ben, &in_space("two")).await.0, 0);
    let (code, said) = write(&ben, &in_space("two")).await;
    assert!(code == 4 && said.contains("as many documents as it may"), "{code}: {said}");
    assert_eq!(write(&ben, &in_space("three")).await.0, 0);
    let (code, said) = write(&ben, &in_space("four")).await;
    assert!(code == 4 && said.contains("2 spaces"), "{code}: {said}");
    assert_eq!(write(&ben, &in_space("three")).await.0, 0);

    let lines = std::fs::read_to_string(&audit).unwrap();
    let lines: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let annas = anna.json(&["inbox"]).await["key"].clone();
    let has = |what: &str, peer: &Json, reason: Option<&str>| {
        lines.iter().any(|line| {
            line["what"] == what
                && line["peer"] == *peer
                && line["unixMs"].is_u64()
                && reason.is_none_or(|reason| line["reason"] == reason)
        })
    };
    for (what, reason) in [("connected", None), ("disconnected", None), ("space", None)] {
        assert!(has(what, &annas, reason), "{what}: {lines:?}");
    }
    assert!(has("refused", &annas, Some("quota_reached")) && has("refused", &annas, Some("stamp_wanted")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.to_string().contains("Tides")), "no contents");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_fast_is_let_go_comes_back_and_loses_nothing() {
    use driftline_relay::repo::{Level, Repo, RepoOptions};
    let data = TempDir::new().unwrap();
    let relay = relay(data.path(), &["--frames-per-second", "20"]);
    let repo = Repo::open(RepoOptions::memory().relay(relay.told("sync"))).await.unwrap();
    let calm = Repo::open(RepoOptions::memory().relay(relay.told("sync"))).await.unwrap();
    let note = repo.space("harbour").create(|tx| tx.put("count", 0)).await.unwrap();
    let told = async {
        let mut count = 0;
        while !repo.troubles().iter().any(|trouble| trouble.message.contains("more frames than a key may")) {
            count += 1;
            note.change(move |tx| tx.put("count", count)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        count
    };
    let count = tokio::time::timeout(PATIENCE, told).await.expect("it is told");
    let other = calm.space("elsewhere").create(|tx| tx.put("title", "calm")).await.unwrap();
    tokio::time::timeout(PATIENCE, other.when_saved(Level::Relay)).await.unwrap().unwrap();
    tokio::time::timeout(PATIENCE, note.when_saved(Level::Relay)).await.expect("it is saved in the end").unwrap();
    assert!(count > 100, "{count}");
    repo.close().await;
    calm.close().await;
}
