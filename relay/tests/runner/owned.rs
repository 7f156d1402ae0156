//! Owned spaces through a real relay process that was told nothing of them: shared, read, written, taken back.

use crate::process::{Process, driftline};
use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_core::doc::document::Document;
use driftline_core::engine::effect::{Event, TroubleKind};
use driftline_relay::repo::{DocHandle, Level, Offer, OfferLevel, Repo, RepoOptions, Space};
use driftline_relay::store::sqlite::DATABASE_FILE;
use rusqlite::params;
use serde_json::Value as Json;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for anything that is to happen; only a failure takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// In which a revocation takes effect on every connection.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Someone's device: a data folder, and the relay it knows.
pub(crate) struct Device {
    pub(crate) folder: TempDir,
    pub(crate) relay: String,
}

impl Device {
    pub(crate) fn new(relay: &str) -> Self {
        Self { folder: TempDir::new().unwrap(), relay: relay.to_owned() }
    }

    /// Runs the program here; answers its exit code, and what it said on both.
    pub(crate) async fn run(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = tokio::process::Command::from(driftline());
        command.args(words).env("DRIFTLINE_DATA", self.folder.path()).env("DRIFTLINE_RELAY", &self.relay).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    pub(crate) async fn prints(&self, words: &[&str]) -> String {
        let (code, printed, said) = self.run(words).await;
        assert_eq!(code, 0, "{words:?}: {said}");
        printed
    }

    pub(crate) async fn json(&self, words: &[&str]) -> Json {
        serde_json::from_str(&self.prints(&[words, &["--json"]].concat()).await).unwrap()
    }

    pub(crate) async fn repo(&self) -> Repo {
        Repo::open(RepoOptions::folder(self.folder.path()).relay(&self.relay)).await.unwrap()
    }
}

/// Waits until the text of a document has these words in it.
async fn has(handle: &DocHandle, words: &'static str) {
    let has = move |document: &Document| document.text("body").is_some_and(|text| text.contains(words));
    tokio::time::timeout(PATIENCE, handle.when(has))
        .await
        .unwrap_or_else(|_| panic!("it does not come to read {words:?}"))
        .unwrap();
}

/// Waits until a repo is told that it may not do something; answers what.
async fn forbidden(events: &mut tokio::sync::broadcast::Receiver<std::sync::Arc<Event>>) -> String {
    let told = async {
        loop {
            if let Event::Trouble(trouble) = &*events.recv().await.unwrap()
                && trouble.kind == TroubleKind::Forbidden
            {
                return trouble.message.clone();
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is told")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_shares_to_read_and_to_write_and_takes_it_back_and_strangers_get_nothing() {
    let data = TempDir::new().unwrap();
    let mut relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let (anna, ben, cat, dan) = (Device::new(&url), Device::new(&url), Device::new(&url), Device::new(&url));

    let made = anna.json(&["space", "create", "--owned"]).await;
    assert_eq!(made["onRelay"], true, "{made}");
    let space = made["space"].as_str().unwrap();
    let id = anna.prints(&["doc", "create", "--space", space, "--value", r#"{"body": "anna "}"#, "--wait", "relay"]).await;
    let to_write = anna.json(&["share", "--space", space, "--write", "--note", "Ben", "--expires", "7d"]).await;
    assert!(to_write["expires"].as_u64().is_some() && to_write["onRelay"] == true, "{to_write}");
    let to_read = anna.prints(&["share", "--space", space, "--read"]).await;
    let joined = ben.json(&["join", to_write["link"].as_str().unwrap(), "--note", "Ben's laptop"]).await;
    assert_eq!(
        (joined["space"].as_str(), joined["level"].as_str(), joined["onRelay"].as_bool()),
        (Some(space), Some("write"), Some(true))
    );
    assert_eq!(cat.prints(&["join", &to_read]).await, space);

    // The reader reads, and what she writes is refused with a reason, and kept where she is.
    assert_eq!(cat.prints(&["doc", "get", &id, "body", "--space", space]).await, "anna");
    let (code, _, said) = cat.run(&["doc", "splice", &id, "body", "5", "0", "cat ", "--space", space]).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("granted read") && said.contains("saved on this device"), "{said}");
    assert_eq!(cat.prints(&["doc", "get", &id, "body", "--space", space]).await, "anna cat");
    ben.prints(&["doc", "splice", &id, "body", "5", "0", "ben ", "--space", space, "--wait", "relay"]).await;
    assert_eq!(anna.prints(&["doc", "get", &id, "body", "--space", space]).await, "anna ben");

    // Someone who knows the ids of everything, and was not let in.
    let (code, printed, said) = dan.run(&["doc", "show", &id, "--space", space]).await;
    assert_eq!((code, printed.as_str()), (5, ""), "{said}");
    assert!(said.contains("driftline join"), "{said}");

    // Ben is connected when Anna shuts him out.
    let members = anna.json(&["members", "--space", space]).await;
    let key = joined["key"].as_str().unwrap();
    let of_ben = members["members"].as_array().unwrap().iter().find(|member| member["key"] == key).unwrap();
    assert_eq!((&of_ben["note"], &of_ben["state"], &of_ben["level"]), (&"Ben's laptop".into(), &"good".into(), &"write".into()));
    let (bens, cats) = (ben.repo().await, cat.repo().await);
    let document: DocumentId = id.parse().unwrap();
    let space_id: SpaceId = space.parse().unwrap();
    let bens_note = tokio::time::timeout(PATIENCE, bens.space_of(space_id).find(document)).await.unwrap().unwrap();
    let cats_note = tokio::time::timeout(PATIENCE, cats.space_of(space_id).find(document)).await.unwrap().unwrap();
    tokio::time::timeout(PATIENCE, bens_note.when_saved(Level::Relay)).await.unwrap().unwrap();
    let mut told = bens.host().events();
    let revoked = anna.json(&["revoke", &key[..8], "--space", space, "--wait", "relay"]).await;
    let heard_by_relay = Instant::now();
    assert_eq!((&revoked["revoked"], &revoked["onRelay"]), (&key.into(), &true.into()));
    let why = forbidden(&mut told).await;
    assert!(why.contains("revoked"), "{why}");
    assert!(heard_by_relay.elapsed() < AT_ONCE, "{:?}", heard_by_relay.elapsed());
    bens_note.change(|tx| tx.splice("body", 0, 0, "too late ")).await.unwrap();
    anna.prints(&["doc", "splice", &id, "body", "9", "0", "alone", "--space", space, "--wait", "relay"]).await;
    has(&cats_note, "alone").await;
    let cats = (cats, cats_note.text("body").await.unwrap().unwrap());
    assert!(cats.1.contains("cat ") && cats.1.contains("ben ") && !cats.1.contains("too late"), "{}", cats.1);
    let cats = cats.0;
    assert_eq!(bens_note.text("body").await.unwrap().as_deref(), Some("too late anna ben "), "it is his, and goes nowhere");
    assert_eq!(anna.prints(&["doc", "get", &id, "body", "--space", space]).await, "anna ben alone");
    bens.close().await;
    cats.close().await;
    let (code, _, said) = ben.run(&["doc", "get", &id, "body", "--space", space]).await;
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("revoked"), "{said}");
    // The link by which he came lets in nobody any more: not him, and not whoever he gave it to.
    for device in [&ben, &dan] {
        let (code, _, said) = device.run(&["join", to_write["link"].as_str().unwrap()]).await;
        assert!(code == 5 && said.contains("revoked"), "{code} {said}");
        assert_eq!(device.run(&["doc", "get", &id, "body", "--space", space]).await.0, 5);
    }

    // The relay's store says who wrote what, and that they vouch for it.
    relay.signal("TERM");
    relay.ended(PATIENCE);
    let (code, verdict) = verify(data.path());
    assert_eq!(
        (code, &verdict["sound"], &verdict["vouched"], &verdict["unvouched"]),
        (0, &true.into(), &3.into(), &0.into()),
        "{verdict}"
    );
    forge(data.path(), "attested/%", |bytes| {
        let hash_at = 16 + 1 + 24 + 1;
        bytes[hash_at] ^= 1;
    });
    let (code, verdict) = verify(data.path());
    assert_eq!((code, &verdict["sound"]), (8, &false.into()), "{verdict}");
    assert!(verdict["fault"]["what"].as_str().unwrap().contains("does not check out"), "{verdict}");
    assert_eq!(verdict["fault"]["document"], id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_while_its_holder_is_connected_and_a_link_after_its_time_lets_nobody_in() {
    let data = TempDir::new().unwrap();
    let relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let (anna, ben) = (Device::new(&url), Device::new(&url));
    let (annas, bens) = (anna.repo().await, ben.repo().await);
    let space: Space = annas.found_space().await.unwrap();
    let note = space.create(|tx| tx.put("body", "anna ")).await.unwrap();
    assert!(space.members_shared(PATIENCE).await.unwrap());
    let ends = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 4;
    let offer = Offer { level: OfferLevel::Write, expires: ends, note: "for a moment".to_owned(), relays: vec![url] };
    let link = space.invite(offer).await.unwrap();
    let mut told = bens.host().events();
    let same = bens.join(&link, "Ben").await.unwrap();
    let bens_note = tokio::time::timeout(PATIENCE, same.find(note.id())).await.unwrap().unwrap();
    let why = forbidden(&mut told).await;
    let late = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64() - ends as f64;
    assert!(why.contains("expired"), "{why}");
    assert!((0.0..1.0).contains(&late), "{late} s after the end");
    bens_note.change(|tx| tx.splice("body", 5, 0, "too late")).await.unwrap();
    note.change(|tx| tx.splice("body", 5, 0, "alone")).await.unwrap();
    tokio::time::timeout(PATIENCE, note.when_saved(Level::Relay)).await.unwrap().unwrap();
    assert_eq!(note.text("body").await.unwrap().as_deref(), Some("anna alone"));
    assert_eq!(same.level().await.unwrap(), None);
    annas.close().await;
    bens.close().await;
    let (code, _, said) = Device::new("").run(&["join", &link]).await;
    assert!(code == 5 && said.contains("expired"), "{code}: {said}");
    let (code, _, said) = Device::new("").run(&["join", &link[..link.len() - 8]]).await;
    assert!(code == 2 && said.contains("invitation"), "{code}: {said}");
}

#[tokio::test]
async fn what_nobody_vouches_for_is_listed_and_disavowed_and_comes_back_by_its_writers_word() {
    let data = TempDir::new().unwrap();
    let relay = Process::start(data.path());
    let (anna, ben) = (Device::new(relay.told("sync")), Device::new(relay.told("sync")));
    let space = anna.prints(&["space", "create", "--owned"]).await;
    let space = space.as_str();
    let id = anna.prints(&["doc", "create", "--space", space, "--value", r#"{"body": "anna "}"#, "--wait", "relay"]).await;
    let id = id.as_str();
    let link = anna.prints(&["share", "--write", "--space", space]).await;
    let key = ben.json(&["join", &link]).await["key"].as_str().unwrap().to_owned();
    ben.prints(&["doc", "splice", id, "body", "5", "0", "ben ", "--space", space, "--wait", "relay"]).await;
    assert_eq!(anna.prints(&["doc", "get", id, "body", "--space", space]).await, "anna ben");
    assert!(anna.prints(&["disavow", "--space", space]).await.contains("everything here is vouched for"));
    let (code, _, said) = anna.run(&["disavow", id, "--space", space]).await;
    assert!(code == 3 && said.contains("nothing to disavow"), "{code}: {said}");

    // Anna's device loses Ben's word, and is away from everyone who has it.
    let database = rusqlite::Connection::open(anna.folder.path().join(DATABASE_FILE)).unwrap();
    let owner = anna.json(&["members", "--space", space]).await["members"][0]["key"].as_str().unwrap().to_owned();
    assert_ne!(owner, key);
    database.execute("DELETE FROM meta WHERE name LIKE 'attested/%'", []).unwrap();
    drop(database);
    let away = ["--relay", "ws://127.0.0.1:9/sync", "--timeout", "1"];
    let listed = anna.json(&[&["disavow", "--space", space][..], &away].concat()).await;
    let unvouched: Vec<&Json> =
        listed["unvouched"].as_array().unwrap().iter().filter(|of| of["writer"] == key.as_str()).collect();
    assert_eq!((unvouched.len(), &unvouched[0]["document"], &unvouched[0]["changes"]), (1, &id.into(), &1.into()));
    let disavowed = anna.json(&[&["disavow", id, "--of", &key[..16], "--space", space][..], &away].concat()).await;
    assert_eq!((&disavowed["disavowed"], &disavowed["onRelay"]), (&1.into(), &false.into()));
    assert_eq!(anna.prints(&[&["doc", "get", id, "body", "--space", space][..], &away].concat()).await, "anna");

    // The relay has it.
    assert_eq!(anna.prints(&["doc", "get", id, "body", "--space", space]).await, "anna ben");
    assert_eq!(ben.prints(&["doc", "get", id, "body", "--space", space]).await, "anna ben");
    for folder in [anna.folder.path(), ben.folder.path()] {
        let (code, verdict) = verify(folder);
        assert!(code == 0 && verdict["sound"] == true, "{verdict}");
    }
}

#[test]
fn help_teaches_with_examples() {
    for command in ["space", "share", "join", "inbox", "members", "revoke", "disavow"] {
        let (code, page) = crate::process::run(driftline().args([command, "--help"]));
        assert_eq!(code, 0, "{page}");
        for word in ["Example", "Exit codes:", "--json", "--relay", &format!("driftline {command}")] {
            assert!(page.contains(word), "{word} in {page}");
        }
    }
    let (code, said) = crate::process::run(driftline().args(["space", "create"]));
    assert!(code == 2 && said.contains("--owned"), "{code}: {said}");
    let (code, said) = crate::process::run(driftline().args(["share", "--read", "--space", "harbour"]));
    assert!(code == 2 && said.contains("owned ones have ids"), "{code}: {said}");
}

pub(crate) fn verify(folder: &Path) -> (i32, Json) {
    let (code, said) = crate::process::run(driftline().arg("verify").arg(folder).arg("--json"));
    let verdict =
        said.lines().find_map(|line| serde_json::from_str::<Json>(line).ok().filter(|line| line.get("sound").is_some()));
    (code, verdict.unwrap_or_else(|| panic!("no verdict in {said}")))
}

/// Changes the first value of such a name, and the checksum beside it: whoever could write there could do that.
fn forge(folder: &Path, name: &str, change: impl Fn(&mut [u8])) {
    let database = rusqlite::Connection::open(folder.join(DATABASE_FILE)).unwrap();
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?));
    let found = database.query_row("SELECT name, value FROM meta WHERE name LIKE ?1 ORDER BY name LIMIT 1", [name], read);
    let (name, mut value) = found.unwrap();
    change(&mut value);
    let checksum = i64::from(crc32fast::hash(&value));
    database.execute("UPDATE meta SET value = ?2, checksum = ?3 WHERE name = ?1", params![name, value, checksum]).unwrap();
}
