//! Links for a single use and devices of one person, through a real relay and real processes.

use crate::owned::Device;
use crate::process::{Process, driftline};
use crate::replica::PATIENCE;
use serde_json::Value as Json;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

/// A command that goes on, and what it prints.
async fn begins(device: &Device, words: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = tokio::process::Command::from(driftline());
    command.args(words).arg("--json").env("DRIFTLINE_DATA", device.folder.path()).env("DRIFTLINE_RELAY", &device.relay);
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Json {
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it prints").unwrap().expect("a line");
    serde_json::from_str(&line).unwrap()
}

async fn linked(by: &Device, device: &Device, name: &str) -> (Json, Json) {
    let (mut child, mut lines) = begins(by, &["device", "link", "--yes", "--name", "laptop"]).await;
    let link = next(&mut lines).await["link"].as_str().unwrap().to_owned();
    let joined = device.json(&["device", "join", &link, "--name", name, "--timeout", "25"]).await;
    let made = next(&mut lines).await;
    assert!(child.wait().await.unwrap().success());
    (made, joined)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_one_person_waits_for_its_maker_lets_one_in_and_refuses_the_next() {
    let data = TempDir::new().unwrap();
    let relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let (anna, ben, cat) = (Device::new(&url), Device::new(&url), Device::new(&url));
    let made = anna.json(&["space", "create", "--sealed"]).await;
    let space = made["space"].as_str().unwrap();
    let id = anna.prints(&["doc", "create", "--space", space, "--value", r#"{"body": "anna"}"#, "--wait", "relay"]).await;
    let share = ["share", "--space", space, "--write", "--once", "--from", "Anna", "--note", "for one"];
    let link = anna.json(&share).await["link"].as_str().unwrap().to_owned();
    let unwanted = anna.json(&share).await;

    // Nobody is there to let them in, and they are told for whom they wait.
    let (code, _, said) = ben.run(&["join", &link, "--note", "Ben", "--timeout", "1"]).await;
    assert!(code == 4 && said.contains("waiting for Anna") && said.contains("run the same command again"), "{code}: {said}");
    let (code, _, said) = cat.run(&["join", &link, "--timeout", "1"]).await;
    assert_eq!(code, 4, "{said}");
    anna.prints(&["inbox"]).await;
    let (first, second) = (ben.run(&["join", &link]).await, cat.run(&["join", &link]).await);
    // Their letters waited together, and either may be taken up first.
    let (inside, outside) = if first.0 == 0 { (&ben, second) } else { (&cat, first) };
    assert!(outside.0 == 5 && outside.2.contains("works once"), "{outside:?}");
    assert_eq!(inside.prints(&["doc", "get", &id, "body", "--space", space]).await, "anna");

    let listed = anna.json(&["members", "--space", space]).await;
    let states: Vec<&Json> = listed["once"].as_array().unwrap().iter().map(|ticket| &ticket["state"]).collect();
    assert!(states.contains(&&"used".into()) && states.contains(&&"open".into()), "{listed}");
    let number = unwanted["once"].as_str().unwrap();
    anna.prints(&["revoke", "--space", space, &number[..8]]).await;
    let (code, _, said) = cat.run(&["join", unwanted["link"].as_str().unwrap(), "--timeout", "1"]).await;
    assert_eq!(code, 4, "{said}");
    anna.prints(&["inbox"]).await;
    let (code, _, said) = cat.run(&["join", unwanted["link"].as_str().unwrap()]).await;
    assert!(code == 5 && said.contains("taken back"), "{code}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_device_has_the_spaces_of_the_first_and_a_lost_one_has_them_no_more() {
    let data = TempDir::new().unwrap();
    let relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let (laptop, phone) = (Device::new(&url), Device::new(&url));
    let made = laptop.json(&["space", "create", "--sealed"]).await;
    let space = made["space"].as_str().unwrap();
    let create = ["doc", "create", "--space", space, "--value", r#"{"body": "laptop "}"#, "--wait", "relay"];
    let id = laptop.prints(&create).await;
    laptop.prints(&["doc", "create", "--value", r#"{"title": "open to all"}"#, "--wait", "relay"]).await;
    let (made, joined) = linked(&laptop, &phone, "phone").await;
    assert_eq!(made["name"], "phone");
    assert!(made["spaces"].as_array().unwrap().iter().all(|space| space["error"].is_null()), "{made}");
    assert!(joined["spaces"].as_array().unwrap().iter().any(|told| told["space"] == space), "{joined}");
    assert!(joined["spaces"].as_array().unwrap().iter().any(|told| told["name"] == "default"), "{joined}");
    phone.prints(&["doc", "splice", &id, "body", "7", "0", "phone", "--space", space, "--wait", "relay"]).await;
    assert_eq!(laptop.prints(&["doc", "get", &id, "body", "--space", space]).await, "laptop phone");

    // What is founded later is told of.
    let later = phone.json(&["space", "create", "--owned"]).await;
    phone.prints(&["inbox"]).await;
    let listed = laptop.json(&["device", "list"]).await;
    assert!(listed["spaces"].as_array().unwrap().iter().any(|told| told["space"] == later["space"]), "{listed}");
    let key = listed["devices"][0]["key"].as_str().unwrap().to_owned();
    let members = laptop.prints(&["members", "--space", space]).await;
    assert!(members.contains("phone  (a device of "), "{members}");

    let lost = laptop.json(&["device", "unlink", &key[..8]]).await;
    let of =
        |space: &Json| lost["spaces"].as_array().unwrap().iter().find(|shut| shut["space"] == *space).unwrap()["error"].clone();
    assert!(of(&space.into()).is_null() && of(&later["space"]).as_str().unwrap().contains("that device's own"), "{lost}");
    assert_eq!(lost["onRelay"], true, "{lost}");
    let (code, _, said) =
        phone.run(&["doc", "splice", &id, "body", "0", "0", "lost ", "--space", space, "--wait", "relay"]).await;
    assert_eq!(code, 5, "{said}");
    assert_eq!(laptop.prints(&["doc", "get", &id, "body", "--space", space]).await, "laptop phone");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_a_device_is_confirmed_by_the_code_that_it_shows() {
    let data = TempDir::new().unwrap();
    let relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let (laptop, phone) = (Device::new(&url), Device::new(&url));
    let (mut child, mut lines) = begins(&laptop, &["device", "link"]).await;
    let link = next(&mut lines).await["link"].as_str().unwrap().to_owned();
    let (code, _, said) = phone.run(&["device", "join", &link, "--timeout", "1"]).await;
    assert_eq!(code, 4, "{said}");
    let shown = said.split("the code ").nth(1).unwrap()[..6].to_owned();
    assert_eq!(child.wait().await.unwrap().code(), Some(4));
    let wrong = if shown == "000000" { "000001" } else { "000000" };
    let (code, _, said) = laptop.run(&["device", "confirm", wrong]).await;
    assert!(code == 5 && said.contains("another code"), "{code}: {said}");
    laptop.prints(&["device", "confirm", &shown]).await;
    phone.prints(&["device", "join", &link]).await;
    let listed = phone.json(&["device", "list"]).await;
    assert_eq!(listed["devices"].as_array().unwrap().len(), 1, "{listed}");
}
