//! One document, three kinds of clients: samod's, automerge-repo's from npm, and Driftline's write in it together.

use super::client::{Client, equal};
use super::relay::{PATIENCE, Relay, until};
use driftline_core::base::id::DocumentId;
use driftline_relay::repo::{Repo, RepoOptions};
use futures_util::StreamExt as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

/// automerge-repo's client, and what it does.
const GUEST: &str = "harness/guest.mjs";
const GUESTS_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../automerge-repo");
/// Words that each writes.
const WORDS: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn samod_automerge_repo_and_driftline_type_into_one_note_and_all_have_all_of_it() {
    let relay = Relay::start().await;
    let (anna, ben) = (Client::of(&relay).await, Client::of(&relay).await);
    let own = Repo::open(RepoOptions::memory().relay(relay.endpoint())).await.unwrap();
    let note = anna.create("tides", "").await;
    anna.received(&note).await;
    let same = ben.find(note.id()).await;
    let mut ephemera = Box::pin(same.0.ephemera());
    let id: [u8; 16] = note.id().as_bytes().try_into().unwrap();
    let ours = own.space("automerge").find(DocumentId(id)).await.unwrap();
    let mut guest = Guest::start(&relay, &note.0.url().to_string());

    for word in 0..WORDS {
        note.append(&format!("a{word} "));
        same.prepend(&format!("b{word} "));
        ours.change(move |tx| tx.splice("body", 0, 0, &format!("d{word} "))).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(guest.line().await, "typed");
    let heard = timeout(PATIENCE, ephemera.next()).await.expect("what the guest broadcast comes");
    assert_eq!(heard.as_deref(), Some(&b"\x64here"[..]));
    note.0.broadcast(b"\x65hello".to_vec());

    let expected: Vec<String> = (0..WORDS).flat_map(|word| ["a", "b", "d", "n"].map(|who| format!("{who}{word} "))).collect();
    let length = expected.concat().len();
    until("all words", || note.body().len() == length && same.body().len() == length).await;
    equal(&[&note, &same]).await;
    assert!(expected.iter().all(|word| note.body().contains(word)), "{}", note.body());
    timeout(PATIENCE, ours.when(move |document| document.text("body").is_some_and(|body| body.len() == length)))
        .await
        .expect("Driftline's client has all of it")
        .unwrap();
    assert_eq!(ours.text("body").await.unwrap(), Some(note.body()));

    guest.tell(length).await;
    let has: serde_json::Value = serde_json::from_str(&guest.line().await).unwrap();
    assert_eq!(has["body"], note.body());
    assert_eq!(has["heads"], serde_json::json!(note.heads().iter().map(ToString::to_string).collect::<Vec<_>>()));
    assert_eq!(has["heard"], serde_json::json!(["hello"]));
}

/// automerge-repo's client from npm.
struct Guest {
    _process: Child,
    told: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Guest {
    fn start(relay: &Relay, document: &str) -> Self {
        let mut process = Command::new("node")
            .args([GUEST, &relay.url(), document, "n", &WORDS.to_string()])
            .current_dir(GUESTS_FOLDER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node is installed");
        let told = process.stdin.take().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { _process: process, told, said }
    }

    async fn tell(&mut self, length: usize) {
        self.told.write_all(format!("{length}\n").as_bytes()).await.unwrap();
    }

    /// What it says next.
    async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.said.next_line()).await.expect("the guest says something").unwrap();
        line.expect("the guest goes on: `npm ci` in tests/automerge-repo installs what it needs")
    }
}
