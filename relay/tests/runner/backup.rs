//! `driftline backup` and `driftline restore`, the real program: beside processes at work that are killed afterwards, and back elsewhere.

use crate::owned::{Device, PATIENCE, verify};
use crate::process::{Process, driftline, run};
use crate::replica::Replica;
use driftline_core::base::id::{DocumentId, StoreEpoch, TaskId};
use driftline_core::base::phrase::{phrase_of, secret_of};
use driftline_core::doc::value::Value;
use driftline_core::engine::input::Command;
use driftline_core::log::snapshot::{Base, Snapshot};
use driftline_core::log::version::Version;
use driftline_core::store::backup::Backup;
use driftline_core::store::conformance::SyntheticDocument;
use driftline_core::store::ledger::Ledger;
use driftline_core::store::task::{StoreContents, StoreTask, StoredDocument, StoredEntry};
use driftline_relay::store::sqlite::{DATABASE_FILE, LOCK_FILE, StoreCopyError, StoreView, ViewError, ViewedStore};
use rusqlite::Connection;
use serde_json::Value as Json;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;

const NOTE: DocumentId = DocumentId([9; 16]);
const SECRET: [u8; 32] = [7; 32];
const IDENTITY: &str = "identity";
/// The database's name until all of it is there.
const UNFINISHED: &str = "driftline.sqlite.restoring";

/// Runs the program to its end, with this on standard input; answers its exit code and what it said on each.
fn said(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = driftline();
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have failed before it reads anything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn backup(folder: &Path, file: &Path) -> Json {
    let (code, printed, noted) =
        said(&["backup", folder.to_str().unwrap(), "--to", file.to_str().unwrap(), "--force", "--json"], "");
    assert_eq!(code, 0, "{printed} {noted}");
    serde_json::from_str(&printed).unwrap()
}

fn phrase(folder: &Path) -> String {
    let (code, printed, noted) = said(&["backup", folder.to_str().unwrap(), "--phrase"], "");
    assert!(code == 0 && noted.contains("warning") && noted.contains("paper"), "{printed} {noted}");
    assert_eq!(printed.split_whitespace().count(), 24, "{printed}");
    printed
}

fn restore(file: &Path, folder: &Path, phrase: &str) -> Json {
    let (code, printed, noted) = said(&["restore", file.to_str().unwrap(), "--into", folder.to_str().unwrap(), "--json"], phrase);
    assert_eq!(code, 0, "{printed} {noted}");
    serde_json::from_str(&printed).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// All that a store says of itself, but for its secret key, in an order.
fn view(folder: &Path) -> ViewedStore {
    let mut store = StoreView::open(folder).unwrap().store().unwrap();
    store.documents.sort_by_key(|stored| stored.document);
    store.meta.retain(|(name, _)| name != IDENTITY);
    store
}

fn same(one: &ViewedStore, other: &ViewedStore) {
    assert_eq!(one.documents, other.documents);
    assert_eq!(one.meta, other.meta);
    assert_ne!(one.epoch, other.epoch, "it is another life of the store, which peers are to notice");
}

fn with_p2p(data: &Path) -> Process {
    let mut command = driftline();
    Process::spawn(
        command.args(["relay", "--listen", "127.0.0.1:0", "--log", "warn", "--p2p", "127.0.0.1:0", "--data"]).arg(data),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_backed_up_while_it_is_written_to_and_is_itself_again_elsewhere() {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (file, elsewhere) = (files.path().join("relay.backup"), files.path().join("new/relay"));
    let mut relay = with_p2p(data.path());
    let mut ann = Replica::dialling(1, relay.told("sync")).await;
    ann.open(NOTE).await;
    let mut written = 0;
    for _ in 0..4 {
        for _ in 0..100 {
            written += 1;
            ann.put(NOTE, "ann", Value::Int(written));
        }
        // In the middle of it.
        let made = backup(data.path(), &file);
        assert_eq!(made["damaged"], Json::Array(vec![]), "{made}");
    }
    ann.saved(NOTE, |saved| saved.relays == 1).await;
    let held = written;
    let made = backup(data.path(), &file);
    assert_eq!((&made["documents"], &made["spaces"]), (&1.into(), &1.into()), "{made}");
    assert!(made["changes"].as_i64().unwrap() >= held && made["bytes"] == std::fs::metadata(&file).unwrap().len(), "{made}");
    assert_eq!(mode(&file), 0o600);
    let words = phrase(data.path());
    ann.put(NOTE, "ann", Value::Int(held + 1));
    ann.saved(NOTE, |saved| saved.relays == 1).await;
    relay.signal("KILL");
    relay.ended(PATIENCE);
    let called = relay.told("peers").rsplit('/').next().unwrap().to_owned();

    let restored = restore(&file, &elsewhere, &words);
    assert_eq!((&restored["key"], &restored["changes"]), (&made["key"], &made["changes"]), "{restored}");
    assert_eq!((mode(&elsewhere), mode(&elsewhere.join(DATABASE_FILE))), (0o700, 0o600));
    let (code, verdict) = verify(&elsewhere);
    assert_eq!((code, &verdict["sound"], &verdict["changes"]), (0, &true.into(), &made["changes"]), "{verdict}");

    let again = with_p2p(&elsewhere);
    assert!(again.told("peers").ends_with(&called), "peers know it by its key: {}", again.told("peers"));
    let mut bob = Replica::dialling(2, again.told("sync")).await;
    bob.open(NOTE).await;
    bob.number_at_least(NOTE, "ann", held).await;
    bob.put(NOTE, "bob", Value::Int(1));
    // What came after the backup comes from who has it.
    ann.host.command(Command::AddEndpoint { endpoint: again.told("sync").to_owned() });
    bob.number_at_least(NOTE, "ann", held + 1).await;
    ann.number_at_least(NOTE, "bob", 1).await;
    ann.host.shutdown().await;
    bob.host.shutdown().await;
}

/// `driftline peer` on a folder, in a process of its own; killed when dropped.
struct Peer(std::process::Child);

impl Peer {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = driftline();
        command.arg("peer").arg("--folder").arg(folder).arg("--no-lan").args(arguments);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until the answer is as wanted.
async fn until<T: std::fmt::Debug>(what: &str, mut ask: impl AsyncFnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let mut last = None;
    let asking = async {
        loop {
            let answer = ask().await;
            if wanted(&answer) {
                return answer;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what} does not come to be: {last:?}"))
}

/// A device whose data directory is this.
async fn in_folder(data: &Path, relay: &str, words: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::from(driftline());
    command.args(words).env("DRIFTLINE_DATA", data).env("DRIFTLINE_RELAY", relay).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_sealed_space_comes_back_reads_what_was_sealed_and_merges() {
    let (data, notes, files) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let anna = Device::new(&url);
    let made = anna.json(&["space", "create", "--sealed"]).await;
    let space = made["space"].as_str().unwrap().to_owned();
    let link = anna.prints(&["share", "--space", &space, "--write", "--note", "Ben"]).await;
    let peer = Peer::start(notes.path(), &["--join", &link, "--relay", &url]);
    std::fs::write(notes.path().join("tides.md"), "# Tides\n\nHigh at six.\n").unwrap();
    let list = async || anna.json(&["doc", "list", "--space", &space]).await;
    let listed = until("the note", list, |listed| listed.as_array().is_some_and(|all| !all.is_empty())).await;
    let id = listed[0]["document"].as_str().unwrap().to_owned();

    let (own, file, new) = (notes.path().join(".driftline"), files.path().join("ben"), files.path().join("ben again"));
    let backed = backup(&own, &file);
    assert_eq!(backed["documents"], 1, "{backed}");
    let words = phrase(&own);
    // SIGKILL, and then it is gone for good.
    drop(peer);
    std::fs::remove_dir_all(&own).unwrap();
    anna.prints(&["doc", "set", &id, "kept", "\"by anna\"", "--space", &space, "--wait", "relay"]).await;
    let restored = restore(&file, &new, &words);
    assert_eq!(restored["key"], backed["key"]);
    let (code, verdict) = verify(&new);
    assert_eq!((code, &verdict["sound"], &verdict["sealed"]), (0, &true.into(), &1.into()), "{verdict}");

    // With no relay: what was sealed is read, and written on.
    let (code, printed, noted) = in_folder(&new, "", &["doc", "get", &id, "body", "--space", &space]).await;
    assert!(code == 0 && printed.contains("High at six."), "{code} {printed} {noted}");
    let (code, _, noted) = in_folder(&new, "", &["doc", "set", &id, "own", "\"by ben\"", "--space", &space]).await;
    assert_eq!(code, 0, "{noted}");
    let (code, _, noted) = in_folder(&new, &url, &["doc", "list", "--space", &space, "--wait", "relay"]).await;
    assert_eq!(code, 0, "{noted}");
    let (code, printed, noted) = in_folder(&new, &url, &["doc", "get", &id, "kept", "--space", &space]).await;
    assert_eq!((code, printed.as_str()), (0, "by anna"), "{noted}");
    let own = async || anna.run(&["doc", "get", &id, "own", "--space", &space]).await;
    until("what ben wrote", own, |(code, printed, _)| *code == 0 && printed == "by ben").await;
    let members = anna.json(&["members", "--space", &space]).await;
    let members = members["members"].as_array().unwrap();
    let bens = members.iter().filter(|member| member["note"] == "Ben" && member["state"] == "good").count();
    assert!(bens >= 1, "he is the member he was: {members:?}");
    // And the folder goes on with it, too.
    let folder = TempDir::new().unwrap();
    std::fs::rename(&new, folder.path().join(".driftline")).unwrap();
    let _peer = Peer::start(folder.path(), &["--space", &space, "--relay", &url]);
    let note = async || std::fs::read_to_string(folder.path().join("tides.md")).unwrap_or_default();
    until("the file", note, |text| text.contains("High at six.")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_store_holds_comes_over() {
    let (data, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let (anna, ben) = (Device::new(&url), Device::new(&url));
    let made = anna.json(&["space", "create", "--owned"]).await;
    let space = made["space"].as_str().unwrap();
    let id = anna.prints(&["doc", "create", "--space", space, "--value", r#"{"body": "anna "}"#, "--wait", "relay"]).await;
    anna.prints(&["doc", "create", "--value", r#"{"title": "open to all"}"#, "--wait", "relay"]).await;
    let key = anna.json(&["inbox"]).await["key"].as_str().unwrap().to_owned();
    let bens = ben.json(&["space", "create", "--owned"]).await;
    let bens = bens["space"].as_str().unwrap();
    ben.json(&["share", "--space", bens, "--read", "--to", &key]).await;
    assert_eq!(anna.json(&["inbox"]).await["letters"].as_array().unwrap().len(), 1);
    anna.json(&["share", "--once", "--write", "--space", space]).await;

    let file = files.path().join("anna");
    let backed = backup(anna.folder.path(), &file);
    assert_eq!((&backed["documents"], &backed["spaces"]), (&2.into(), &2.into()), "{backed}");
    let before = view(anna.folder.path());
    let names: Vec<&str> = before.meta.iter().map(|(name, _)| name.as_str()).collect();
    for kind in ["statement/", "attested/", "receipt/", "inbox/", "ticket/"] {
        assert!(names.iter().any(|name| name.starts_with(kind)), "{kind} in {names:?}");
    }
    let again = Device::new(&url);
    let words = phrase(anna.folder.path());
    restore(&file, again.folder.path(), &words);
    same(&before, &view(again.folder.path()));
    assert_eq!(verify(again.folder.path()).0, 0);
    assert_eq!(phrase(again.folder.path()), words);
    assert_eq!(again.json(&["inbox"]).await["letters"].as_array().unwrap().len(), 1);
    assert_eq!(again.prints(&["doc", "get", &id, "body", "--space", space]).await, "anna");
    again.prints(&["doc", "splice", &id, "body", "5", "0", "again", "--space", space, "--wait", "relay"]).await;
    assert_eq!(anna.prints(&["doc", "get", &id, "body", "--space", space]).await, "anna again");
    // The phrase alone: who it is, and the rest comes from the relay.
    let alone = Device::new(&url);
    let (code, printed, noted) = said(&["restore", "--into", alone.folder.path().to_str().unwrap()], &words.to_uppercase());
    assert!(code == 0 && printed.contains(&key) && printed.contains("holds nothing yet"), "{printed} {noted}");
    assert_eq!(verify(alone.folder.path()).0, 0);
    assert_eq!(alone.prints(&["doc", "get", &id, "body", "--space", space, "--wait", "relay"]).await, "anna again");
    assert!(alone.prints(&["share", "--read", "--space", space]).await.contains("driftline:join#"), "it is the owner");
}

/// A journal as a browser has it: a document that begins with a snapshot beside which entries are held, one without, and a value.
fn journal() -> (Ledger, StoreContents) {
    let mut ledger = Ledger::open([&[], &[]], StoreEpoch([1; 16])).unwrap().ledger;
    let (mut long, mut short) = (SyntheticDocument::new(1, 1), SyntheticDocument::new(2, 2));
    let stored: Vec<StoredEntry> = (0..40).map(|count| long.grow(1 + count % 3, 50)).collect();
    let version_of = |entries: &[StoredEntry]| {
        let mut version = Version::new();
        entries.iter().for_each(|stored| version.advance(&stored.entry));
        version
    };
    let snapshot = Snapshot { version: version_of(&stored[..30]), bytes: vec![5; 300_000].into() };
    let base = Base { position: 20, clock: version_of(&stored[..20]).clock };
    let tasks = vec![
        StoreTask::append(stored.clone()),
        StoreTask::PutSnapshot { document: long.document, space: stored[0].space, snapshot, base },
        StoreTask::append((0..5).map(|_| short.grow(1, 10)).collect()),
        StoreTask::PutMeta { key: "preview/x".to_owned(), value: vec![3; 10] },
        StoreTask::PutMeta { key: IDENTITY.to_owned(), value: SECRET.to_vec() },
    ];
    let prepared = ledger.prepare((1..).map(TaskId).zip(tasks).collect());
    assert!(ledger.commit(prepared).iter().all(|(_, result)| result.is_ok()));
    let contents = ledger.contents();
    (ledger, contents)
}

fn documents(contents: StoreContents) -> (Vec<StoredDocument>, Vec<(String, Vec<u8>)>) {
    let StoreContents { mut documents, mut meta, .. } = contents;
    documents.sort_by_key(|stored| stored.document);
    meta.retain(|(name, _)| name != IDENTITY);
    (documents, meta)
}

#[test]
fn a_browsers_backup_comes_back_natively_and_the_other_way_round() {
    let files = TempDir::new().unwrap();
    let path = |name: &str| files.path().join(name);
    let (ledger, contents) = journal();
    let file = Backup { made_unix_s: 5, journal: ledger.copied(None).unwrap() }.seal(&SECRET, &[9; 24]);
    std::fs::write(path("of a browser"), file).unwrap();
    let restored = restore(&path("of a browser"), &path("native"), &phrase_of(&SECRET));
    assert_eq!(
        (&restored["documents"], &restored["changes"], &restored["made"]),
        (&2.into(), &45.into(), &5.into()),
        "{restored}"
    );
    let (wanted, values) = documents(contents);
    let native = view(&path("native"));
    assert_eq!((&native.documents, &native.meta), (&wanted, &values), "with the entries that stand beside a snapshot");

    backup(&path("native"), &path("native backup"));
    let opened = Backup::open(&SECRET, &std::fs::read(path("native backup")).unwrap()).unwrap();
    // As a browser restores.
    let (journal, count) = opened.restored((IDENTITY.to_owned(), SECRET.to_vec()), StoreEpoch([2; 16])).unwrap();
    let opening = Ledger::open([&journal, &[]], StoreEpoch([3; 16])).unwrap();
    assert!(count == 2 && opening.append.1.is_empty() && opening.truncate.is_none(), "it needs no repair");
    assert_eq!(documents(opening.contents), (wanted, values));
    // And natively once more: every byte of the snapshot and of the entries is where it was.
    restore(&path("native backup"), &path("again"), &phrase_of(&SECRET));
    same(&native, &view(&path("again")));
    let rows = |folder: &Path, sql: &str| {
        let database = Connection::open(folder.join(DATABASE_FILE)).unwrap();
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap()
    };
    for sql in ["SELECT position, record FROM entries ORDER BY document, position", "SELECT start, part FROM snapshot_parts"] {
        assert_eq!(rows(&path("native"), sql), rows(&path("again"), sql));
        assert!(!rows(&path("again"), sql).is_empty());
    }
}

#[test]
fn each_wrong_thing_is_said_has_its_exit_code_and_leaves_nothing() {
    let files = TempDir::new().unwrap();
    let path = |name: &str| files.path().join(name);
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let words = phrase_of(&SECRET);
    let (ledger, _) = journal();
    let good = Backup { made_unix_s: 5, journal: ledger.copied(None).unwrap() }.seal(&SECRET, &[9; 24]);
    let changed = |at: usize, to: u8| {
        let mut file = good.clone();
        file[at] = to;
        file
    };
    let listed: Vec<&str> = words.split(' ').collect();
    let with = |at: usize, word: &str| {
        let mut listed = listed.clone();
        listed[at] = word;
        listed.join(" ")
    };
    let other = phrase_of(&[8; 32]);
    let cases: [(&[u8], &str, i32, &[&str]); 8] = [
        (&good, &with(6, "sausagge"), 2, &["word 7", "mistyped"]),
        (&good, &listed[1..].join(" "), 2, &["24 words", "has 23"]),
        (&good, &with(6, "abandon"), 2, &["do not fit together"]),
        (&good, &other, 5, &["not made under this recovery phrase"]),
        (&changed(16, 2), &words, 5, &["newer version"]),
        (b"PK\x03\x04 is what an archive begins with, and this is long enough", &words, 5, &["not a Driftline backup"]),
        (&good[..good.len() - 9], &words, 8, &["damaged"]),
        (&changed(good.len() / 2, 0), &words, 8, &["damaged"]),
    ];
    for (file, words, wanted, says) in cases {
        std::fs::write(path("file"), file).unwrap();
        let (code, _, noted) = said(&["restore", &text(&path("file")), "--into", &text(&path("new"))], words);
        assert!(code == wanted && says.iter().all(|says| noted.contains(says)), "{code} and not {wanted}: {noted}");
        assert!(!path("new").exists(), "nothing is made");
    }
    std::fs::write(path("file"), &good).unwrap();
    std::fs::write(path("words"), &words).unwrap();
    let into = |folder: &Path| {
        let (file, words) = (text(&path("file")), text(&path("words")));
        said(&["restore", &file, "--into", folder.to_str().unwrap(), "--phrase-file", &words], "")
    };
    let (code, _, noted) = said(&["restore", "/nowhere", "--into", &text(&path("new"))], &words);
    assert!(code == 3 && noted.contains("/nowhere"), "{code}: {noted}");
    // Another program is about to make a store there.
    std::fs::create_dir(path("used")).unwrap();
    let lock = std::fs::File::create(path("used").join(LOCK_FILE)).unwrap();
    lock.lock().unwrap();
    let (code, _, noted) = into(&path("used"));
    assert!(code == 6 && noted.contains("in use"), "{code}: {noted}");
    drop(lock);
    // One that ended in the middle has left something, which is cleared.
    std::fs::write(path("used").join(UNFINISHED), b"half").unwrap();
    let (code, printed, noted) = into(&path("used"));
    assert!(code == 0 && printed.contains("2 documents in 2 spaces"), "{code}: {printed} {noted}");
    let names = |folder: &Path| {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&path("used")), [LOCK_FILE, DATABASE_FILE]);
    let before = std::fs::read(path("used").join(DATABASE_FILE)).unwrap();
    let (code, _, noted) = into(&path("used"));
    assert!(code == 5 && noted.contains("holds a store already"), "{code}: {noted}");
    assert_eq!(std::fs::read(path("used").join(DATABASE_FILE)).unwrap(), before);
    std::fs::create_dir(path("keyed")).unwrap();
    std::fs::write(path("keyed").join("peer.key"), "00").unwrap();
    let (code, _, noted) = into(&path("keyed"));
    assert!(code == 5 && noted.contains("peer.key"), "{code}: {noted}");

    let to = |folder: &Path, more: &[&str]| {
        let (folder, file) = (folder.to_str().unwrap().to_owned(), text(&path("file")));
        said(&[&["backup", &folder, "--to", &file], more].concat(), "")
    };
    let (code, _, noted) = to(&path("used"), &[]);
    assert!(code == 5 && noted.contains("--force"), "{code}: {noted}");
    assert_eq!(std::fs::read(path("file")).unwrap(), good);
    let odd = |file: &str| said(&["backup", &text(&path("used")), "--to", file, "--force"], "");
    for (file, says) in [("/dev/null", "no ordinary file"), (files.path().to_str().unwrap(), "is a folder")] {
        let (code, _, noted) = odd(file);
        assert!(code == 2 && noted.contains(says), "{code}: {noted}");
    }
    let (code, printed, noted) = to(&path("used"), &["--force"]);
    assert!(code == 0 && printed.contains("2 documents in 2 spaces") && printed.contains("--phrase"), "{code}: {noted}");
    assert!(
        !printed.contains(listed[0]) || secret_of(&printed).is_err(),
        "the phrase is printed when it is asked for, and not before"
    );
    assert_eq!(mode(&path("file")), 0o600);
    let (code, _, noted) = to(&path("nowhere"), &["--force"]);
    assert!(code == 3 && noted.contains("no such folder"), "{code}: {noted}");
    std::fs::set_permissions(path("keyed").join("peer.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, noted) = said(&["backup", &text(&path("keyed")), "--phrase"], "");
    assert!(code == 5 && noted.contains("chmod 600"), "{code}: {noted}");
}

#[test]
fn one_that_is_killed_in_the_middle_leaves_no_store_and_the_next_makes_it() {
    let files = TempDir::new().unwrap();
    let (file, folder) = (files.path().join("file"), files.path().join("store"));
    let mut ledger = Ledger::open([&[], &[]], StoreEpoch([1; 16])).unwrap().ledger;
    let mut long = SyntheticDocument::new(1, 1);
    let entries = (0..20_000).map(|count| long.grow(1 + (count % 3) as u8, 50)).collect();
    let prepared = ledger.prepare(vec![(TaskId(1), StoreTask::append(entries))]);
    assert!(ledger.commit(prepared).iter().all(|(_, result)| result.is_ok()));
    std::fs::write(&file, Backup { made_unix_s: 5, journal: ledger.copied(None).unwrap() }.seal(&SECRET, &[9; 24])).unwrap();
    let mut command = driftline();
    command.arg("restore").arg(&file).arg("--into").arg(&folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(phrase_of(&SECRET).as_bytes()).unwrap();
    let has_begun = || std::fs::metadata(folder.join(UNFINISHED)).is_ok_and(|found| found.len() > 0);
    while !has_begun() && !folder.join(DATABASE_FILE).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // It may have been quicker; then all of it is there.
    if !folder.join(DATABASE_FILE).exists() {
        assert!(matches!(StoreView::open(&folder), Err(ViewError::NotAStore { .. })));
        restore(&file, &folder, &phrase_of(&SECRET));
    }
    let store = view(&folder);
    assert_eq!((store.documents[0].end, store.documents.len()), (20_000, 1));
    assert!(!folder.join(UNFINISHED).exists());
}

#[test]
fn what_is_damaged_is_left_out_and_named_and_what_is_too_large_says_what_to_do() {
    let files = TempDir::new().unwrap();
    let path = |name: &str| files.path().join(name);
    let (ledger, contents) = journal();
    let file = Backup { made_unix_s: 5, journal: ledger.copied(None).unwrap() }.seal(&SECRET, &[9; 24]);
    std::fs::write(path("file"), file).unwrap();
    let words = phrase_of(&SECRET);
    restore(&path("file"), &path("store"), &words);
    let view = StoreView::open(&path("store")).unwrap();
    for bytes_max in [100, 290_000, 300_500] {
        let error = view.copy(bytes_max, &mut |_| {}).err();
        assert!(matches!(error, Some(StoreCopyError::TooLarge { .. })), "{bytes_max}: {error:?}");
    }
    assert_eq!(view.copy(1 << 20, &mut |_| {}).unwrap().copied.documents, 2);
    drop(view);

    let database = Connection::open(path("store").join(DATABASE_FILE)).unwrap();
    let harm = "UPDATE entries SET record = x'00' WHERE position = 25";
    assert_eq!(database.execute(harm, []).unwrap(), 1);
    database.execute("UPDATE meta SET checksum = 0 WHERE name = 'preview/x'", []).unwrap();
    drop(database);
    let (store, to) = (path("store").to_str().unwrap().to_owned(), path("rest").to_str().unwrap().to_owned());
    let (code, printed, noted) = said(&["backup", &store, "--to", &to], "");
    let long = contents.documents.iter().find(|stored| stored.snapshot.is_some()).unwrap().document.to_string();
    assert!(code == 8 && printed.contains("1 document in 1 space"), "{code}: {printed} {noted}");
    assert!(noted.contains(&long) && noted.contains("preview/x") && noted.contains("entry 25"), "{noted}");
    let restored = restore(&path("rest"), &path("what is left"), &words);
    assert_eq!((&restored["documents"], &restored["changes"]), (&1.into(), &5.into()), "{restored}");
}

#[test]
fn help_teaches_with_examples() {
    for command in ["backup", "restore"] {
        let (code, page) = run(driftline().args([command, "--help"]));
        assert_eq!(code, 0, "{page}");
        for word in ["Examples:", "Exit codes:", "--json", "24 words", "driftline restore", "phrase"] {
            assert!(page.contains(word), "{word} in {page}");
        }
    }
    let (code, said) = run(driftline().args(["backup", "/nowhere"]));
    assert!(code == 2 && said.contains("--to"), "{code}: {said}");
}
