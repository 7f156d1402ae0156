//! A sealed space through a real relay process: written on one device, read on another, and nothing of it in the relay's folder.

use crate::owned::{Device, PATIENCE, verify};
use crate::process::{Process, driftline};
use std::path::Path;
use tempfile::TempDir;

/// Every byte of the files under a folder.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() { all_bytes(&path) } else { std::fs::read(&path).unwrap() });
    }
    all
}

fn holds(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_space_is_written_and_read_on_two_devices_and_its_relay_has_nothing_of_it() {
    const WORDS: [&str; 5] = ["quinquereme", "Leocadia Winterbottom", "Ferdinand", "Sluice gate readings", "palimpsest"];
    let data = TempDir::new().unwrap();
    let mut relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let (anna, ben, dan) = (Device::new(&url), Device::new(&url), Device::new(&url));
    let made = anna.json(&["space", "create", "--sealed"]).await;
    assert_eq!((&made["sealed"], &made["onRelay"]), (&true.into(), &true.into()), "{made}");
    let space = made["space"].as_str().unwrap();
    let value = r#"{"title": "Sluice gate readings", "body": "quinquereme "}"#;
    let id = anna.prints(&["doc", "create", "--space", space, "--value", value, "--wait", "relay"]).await;
    let link = anna.prints(&["share", "--space", space, "--write", "--note", "Leocadia Winterbottom"]).await;
    let joined = ben.json(&["join", &link, "--note", "Ferdinand"]).await;
    assert_eq!(joined["onRelay"], true, "{joined}");
    assert_eq!(ben.prints(&["doc", "get", &id, "body", "--space", space]).await, "quinquereme");
    ben.prints(&["doc", "set", &id, "kept", "\"palimpsest\"", "--space", space, "--wait", "relay"]).await;
    assert_eq!(anna.prints(&["doc", "get", &id, "kept", "--space", space]).await, "palimpsest");
    let members = anna.json(&["members", "--space", space]).await;
    assert!(members["members"].as_array().unwrap().iter().any(|member| member["note"] == "Ferdinand"), "{members}");
    let (code, printed, said) = dan.run(&["doc", "show", &id, "--space", space]).await;
    assert_eq!((code, printed.as_str()), (5, ""), "{said}");

    // Shut out, he reads nothing later, and Anna goes on.
    anna.json(&["revoke", &joined["key"].as_str().unwrap()[..8], "--space", space, "--wait", "relay"]).await;
    anna.prints(&["doc", "set", &id, "kept", "\"later\"", "--space", space, "--wait", "relay"]).await;
    let (code, _, said) = ben.run(&["doc", "get", &id, "kept", "--space", space]).await;
    assert!(code == 5 && said.contains("revoked"), "{code}: {said}");

    relay.signal("TERM");
    relay.ended(PATIENCE);
    let seen = all_bytes(data.path());
    assert!(seen.len() > 1_000);
    for words in WORDS {
        assert!(!holds(&seen, words), "the relay's folder has {words:?} in it");
    }
    let (code, verdict) = verify(data.path());
    assert_eq!((code, &verdict["sound"], &verdict["sealed"]), (0, &true.into(), &1.into()), "{verdict}");
    let (code, page) = crate::process::run(driftline().arg("inspect").arg(data.path()).args(["--document", &id]));
    assert!(code == 0 && page.contains("sealed"), "{page}");
}
