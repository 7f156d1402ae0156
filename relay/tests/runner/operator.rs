//! What an operator learns of a store from the outside: `driftline inspect` and `driftline verify`, the real program.

use crate::process::{Process, driftline, run};
use crate::replica::{PATIENCE, Replica, endpoint, get_at, relay};
use driftline_core::base::codec::{Reader, Writer};
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, PeerId};
use driftline_core::doc::value::Value;
use driftline_core::log::version::Version;
use driftline_core::store::record::{decode_entry_record, encode_entry_record};
use driftline_core::store::task::StoredEntry;
use driftline_relay::store::sqlite::DATABASE_FILE;
use rusqlite::{Connection, params};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const NOTE: DocumentId = DocumentId([9; 16]);
const LIST: DocumentId = DocumentId([8; 16]);
/// What is written and found again in the file.
const WORDS: &str = "the tide comes in at a quarter past six";

/// How a note is harmed, the harm, and what is said of it.
type Harm = (&'static str, fn(&Connection), &'static [&'static str]);

/// A store as a relay leaves it: a note by two writers, one after the other, and a list.
async fn store() -> TempDir {
    let data = TempDir::new().unwrap();
    let relay = relay(data.path()).await;
    let mut ann = Replica::dialling(1, &endpoint(&relay)).await;
    ann.open(NOTE).await;
    ann.open(LIST).await;
    for number in 1..=5 {
        ann.put(NOTE, "ann", Value::Int(number));
        ann.put(LIST, &format!("item {number}"), Value::from(WORDS));
    }
    for document in [NOTE, LIST] {
        ann.saved(document, |saved| saved.relays == 1).await;
    }
    let mut bob = Replica::dialling(2, &endpoint(&relay)).await;
    bob.open(NOTE).await;
    bob.sees(NOTE, "ann", &Value::Int(5)).await;
    bob.put(NOTE, "bob", Value::Int(1));
    bob.saved(NOTE, |saved| saved.relays == 1).await;
    ann.host.shutdown().await;
    bob.host.shutdown().await;
    relay.shutdown().await;
    data
}

fn inspect(data: &Path, arguments: &[&str]) -> Json {
    let (code, said) = run(driftline().arg("inspect").arg(data).arg("--json").args(arguments));
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"))
}

fn verify(data: &Path) -> (i32, String) {
    run(driftline().arg("verify").arg(data))
}

/// The files of a folder and what is in them.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    files.map(|file| (file.file_name().to_string_lossy().into_owned(), std::fs::read(file.path()).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_looks_into_a_store_that_nobody_uses_and_leaves_no_trace() {
    let data = store().await;
    let before = contents(data.path());
    let all = inspect(data.path(), &[]);
    assert_eq!((&all["total"]["documents"], &all["total"]["changes"]), (&Json::from(2), &Json::from(11)), "{all}");
    assert_eq!(all["documents"][0]["document"], LIST.to_string(), "the larger one comes first: {all}");
    assert_eq!(all["documents"][1]["clock"].as_object().unwrap().len(), 2, "two have written the note: {all}");
    assert_eq!(all["documents"][1]["heads"].as_array().unwrap().len(), 1, "one after the other: {all}");
    assert_eq!(all["spaces"].as_array().unwrap().len(), 1, "{all}");
    assert!(!all.to_string().contains("identity"), "the secret key is nobody's business");
    let harbour = inspect(data.path(), &["--space", "harbour", "--limit", "1"]);
    assert_eq!((harbour["documents"].as_array().unwrap().len(), &harbour["total"]["documents"]), (1, &Json::from(2)));

    let (code, table) = run(driftline().arg("inspect").arg(data.path()));
    assert_eq!(code, 0);
    for word in ["DOCUMENT", "WRITERS", &NOTE.to_string(), "2 documents in 1 space, 11 changes", "keeps no receipts"] {
        assert!(table.contains(word), "{word} in {table}");
    }
    let (code, one) = run(driftline().arg("inspect").arg(data.path()).args(["--document", &NOTE.to_string()]));
    assert!(code == 0 && one.contains("WRITER") && one.contains("heads"), "{one}");
    let (code, none) = run(driftline().arg("inspect").arg(data.path()).args(["--space", "nowhere"]));
    assert!(code == 3 && none.contains("nowhere"), "{code}: {none}");

    let (code, said) = verify(data.path());
    assert_eq!((code, said.trim()), (0, said.trim()), "{said}");
    assert!(said.contains("everything checks out: 2 documents in 1 space, 11 changes"), "{said}");
    assert_eq!(contents(data.path()).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "nothing was made");
    assert_eq!(contents(data.path()), before, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_looked_into_and_verified_while_a_relay_writes_and_after_it_was_killed() {
    let data = TempDir::new().unwrap();
    let mut process = Process::start(data.path());
    let mut ann = Replica::dialling(1, process.told("sync")).await;
    ann.open(NOTE).await;
    let mut written = 0;
    for _ in 0..5 {
        for _ in 0..200 {
            written += 1;
            ann.put(NOTE, "ann", Value::Int(written));
        }
        // In the middle of it: what is there checks out, whatever is on its way.
        let (code, said) = verify(data.path());
        assert_eq!(code, 0, "{said}");
        ann.saved(NOTE, |saved| saved.relays == 1).await;
        let held = inspect(data.path(), &[]);
        assert!(held["total"]["changes"].as_i64().unwrap() >= written, "what is acknowledged is seen: {held}");
    }
    process.signal("KILL");
    process.ended(PATIENCE);
    ann.host.shutdown().await;
    assert!(data.path().join("driftline.sqlite-wal").exists());
    let database = std::fs::read(data.path().join(DATABASE_FILE)).unwrap();
    let (code, said) = verify(data.path());
    assert!(code == 0 && said.contains(&format!("{written} changes")), "{code}: {said}");
    assert_eq!(inspect(data.path(), &[])["documents"][0]["changes"], written);
    assert_eq!(std::fs::read(data.path().join(DATABASE_FILE)).unwrap(), database, "its log was read, and not folded in");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_someone_who_writes_knows_who_holds_it() {
    let (relays, own) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let process = Process::start(relays.path());
    let (code, said) = run(driftline()
        .args([
            "doc",
            "create",
            "--value",
            "{\"title\": \"Tides\"}",
            "--wait",
            "relay",
            "--relay",
            process.told("sync"),
            "--data",
        ])
        .arg(own.path()));
    assert_eq!(code, 0, "{said}");
    let held = inspect(own.path(), &[]);
    let receipt = &held["documents"][0]["heldBy"][0];
    assert_eq!((&receipt["relay"], &receipt["missing"]), (&Json::from(true), &Json::from(0)), "{held}");
    assert_eq!(receipt["peer"], inspect(relays.path(), &[])["replica"], "it is that relay");
    let (_, table) = run(driftline().arg("inspect").arg(own.path()));
    assert!(table.contains("1 relay"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_agreed_on_a_space_as_it_is_now_holds_all_of_it() {
    let data = store().await;
    let database = Connection::open(data.path().join(DATABASE_FILE)).unwrap();
    let now = [NOTE, LIST].iter().fold(0u128, |sum, document| {
        let sql = "SELECT version FROM documents WHERE id = ?1";
        let version: Vec<u8> = database.query_row(sql, [&document.0[..]], |row| row.get(0)).unwrap();
        let version = Version::decode(&mut Reader::new(&version)).unwrap();
        sum.wrapping_add(u128::from_le_bytes(version.digest(document)))
    });
    // One peer agreed on what is there now, another on something else.
    for (peer, state) in [(PeerId([1; 32]), now), (PeerId([2; 32]), now ^ 1)] {
        let value = [&state.to_le_bytes()[..], &[2, 0]].concat();
        let checksum = i64::from(crc32fast::hash(&value));
        let name = format!("agreed/{}/{peer}", harbour());
        database.execute("INSERT INTO meta (name, value, checksum) VALUES (?1, ?2, ?3)", params![name, value, checksum]).unwrap();
    }
    drop(database);
    let held_by = &inspect(data.path(), &[])["spaces"][0]["heldBy"];
    assert_eq!((&held_by[0]["whole"], &held_by[1]["whole"]), (&Json::from(true), &Json::from(false)), "{held_by}");
    assert_eq!(held_by[0]["peer"], PeerId([1; 32]).to_string());
    let (_, table) = run(driftline().arg("inspect").arg(data.path()));
    assert!(table.contains("1 peer, 1 not up to date"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_found_and_named_and_so_is_whatever_else_can_be_wrong() {
    let data = store().await;
    // A byte of the third item, on the disk.
    let flipped = copy(data.path());
    let file = flipped.path().join(DATABASE_FILE);
    let mut bytes = std::fs::read(&file).unwrap();
    let at: Vec<usize> = (0..bytes.len() - WORDS.len()).filter(|at| bytes[*at..].starts_with(WORDS.as_bytes())).collect();
    assert_eq!(at.len(), 5, "each item is in one place");
    bytes[at[2] + 3] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (code, said) = verify(flipped.path());
    assert_eq!(code, 8, "{said}");
    for word in [LIST.to_string().as_str(), &harbour(), "position ", "checksum", "first that is wrong"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let (code, said) = run(driftline().arg("verify").arg(flipped.path()).arg("--json"));
    let verdict: Json = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!((code, &verdict["sound"], &verdict["fault"]["document"]), (8, &Json::from(false), &LIST.to_string().into()));

    // What no checksum of ours notices, because whoever wrote it wrote the checksum too.
    let note = NOTE.to_string();
    let cases: &[Harm] = &[
        ("a letter changed in a payload", forge_payload, &["payload is not the change"]),
        ("another hash beside a payload", forge_hash, &["have the hash"]),
        ("an entry taken out", |store| delete(store, 3), &["entry 3 is missing"]),
        ("the last entry taken out", |store| delete(store, 6), &["says that it has 6 entries, and 5 are there"]),
        ("a dependency behind what depends on it", swap_last, &["depends on", "does not come before it", "position 5"]),
        ("a clock that says more", |store| forge_row(store, |version| version.clock.raise(actor(7), 1)), &["vector clock"]),
        ("another head", |store| forge_row(store, other_head), &["heads in its row"]),
        (
            "a row without its checksum",
            |store| execute(store, "UPDATE documents SET end = end + 1 WHERE id = x'09090909090909090909090909090909'"),
            &["checksum of its row"],
        ),
        (
            "an actor nobody knows",
            |store| execute(store, "DELETE FROM actors WHERE number = (SELECT max(number) FROM actors)"),
            &["is not known"],
        ),
        (
            "columns of another entry",
            |store| execute(store, "UPDATE entries SET hash = hash + 1 WHERE position = 6"),
            &["say otherwise", "position 6"],
        ),
    ];
    for (story, harm, words) in cases {
        let harmed = copy(data.path());
        harm(&Connection::open(harmed.path().join(DATABASE_FILE)).unwrap());
        let (code, said) = verify(harmed.path());
        assert_eq!(code, 8, "{story}: {said}");
        for word in [note.as_str()].iter().chain(*words) {
            assert!(said.contains(word), "{story}: {word} in {said}");
        }
    }
    let cases: &[(&str, &str, &str)] = &[
        ("a document without a row", "DELETE FROM documents WHERE number = 2", "no such row"),
        ("a changed value", "UPDATE meta SET value = x'00' WHERE name = 'identity'", "identity"),
    ];
    for (story, sql, word) in cases {
        let harmed = copy(data.path());
        execute(&Connection::open(harmed.path().join(DATABASE_FILE)).unwrap(), sql);
        let (code, said) = verify(harmed.path());
        assert!(code == 8 && said.contains(word), "{story}: {code}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_document_is_set_aside_counted_and_named_and_harms_no_other() {
    let data = store().await;
    let file = data.path().join(DATABASE_FILE);
    let mut bytes = std::fs::read(&file).unwrap();
    let at = (0..bytes.len() - WORDS.len()).find(|at| bytes[*at..].starts_with(WORDS.as_bytes())).unwrap();
    bytes[at + 3] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    let mut command = driftline();
    command.args(["relay", "--listen", "127.0.0.1:0", "--log-format", "json", "--data"]).arg(data.path());
    let mut process = Process::spawn(command.stderr(Stdio::piped()));
    let mut reader = Replica::dialling(3, process.told("sync")).await;
    reader.open(LIST).await;
    reader.open(NOTE).await;
    reader.sees(NOTE, "bob", &Value::Int(1)).await;
    let address = process.told("sync").trim_start_matches("ws://").trim_end_matches("/sync").to_owned();
    let counted = async {
        while !get_at(&address, "/metrics").await.1.contains("driftline_documents_quarantined_total 1") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("it is noticed when it is read");
    // It begins anew with whoever still writes it.
    reader.put(LIST, "item 1", Value::from("again"));
    reader.saved(LIST, |saved| saved.relays == 1).await;
    reader.host.shutdown().await;
    process.signal("TERM");
    process.ended(PATIENCE);
    let mut logs = String::new();
    process.child.stderr.take().unwrap().read_to_string(&mut logs).unwrap();
    let line = logs.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()).find(|line| line["level"] == "ERROR");
    let line = line.unwrap_or_else(|| panic!("no error in {logs}"));
    assert_eq!((&line["fields"]["kind"], &line["fields"]["document"]), (&"Damaged".into(), &LIST.to_string().into()), "{line}");
    assert!(line["fields"]["message"].as_str().unwrap().contains("fetched again"), "{line}");

    let aside = &inspect(data.path(), &[])["quarantined"];
    assert_eq!(aside[0]["document"], LIST.to_string(), "{aside}");
    let (code, said) = verify(data.path());
    assert!(code == 0 && said.contains("1 document set aside earlier"), "{code}: {said}");
}

#[test]
fn where_there_is_no_store_it_is_said_and_none_is_made() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["empty", "letter", "other"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    std::fs::write(path("letter").join(DATABASE_FILE), "dear harbour master, ".repeat(100)).unwrap();
    execute(&Connection::open(path("other").join(DATABASE_FILE)).unwrap(), "CREATE TABLE documents (number INTEGER)");
    std::fs::write(path("file"), "").unwrap();
    for (name, words) in [
        ("nowhere", "no such folder"),
        ("empty", "no driftline.sqlite in it"),
        ("letter", "is not a database"),
        ("other", "of another program"),
        ("file", "a file and not a folder"),
    ] {
        for command in ["inspect", "verify"] {
            let (code, said) = run(driftline().arg(command).arg(path(name)));
            assert!(code == 3 && said.contains(words) && said.contains("--data"), "{command} {name}: {code}: {said}");
        }
    }
    assert!(!path("nowhere").exists() && contents(&path("empty")).is_empty(), "nothing was made");
    for (command, words) in [
        ("inspect", ["Examples:", "--space", "receipts", "Exit codes:"]),
        ("verify", ["Examples:", "hash", "Exit codes:", "beside a relay at work"]),
    ] {
        let (code, help) = run(driftline().args([command, "--help"]));
        assert!(code == 0 && words.iter().all(|word| help.contains(word)), "{help}");
    }
}

fn harbour() -> String {
    driftline_core::base::id::SpaceId::from_name("harbour").to_string()
}

fn actor(byte: u8) -> ActorId {
    ActorId::new(&[byte]).unwrap()
}

fn copy(folder: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    std::fs::copy(folder.join(DATABASE_FILE), copy.path().join(DATABASE_FILE)).unwrap();
    copy
}

fn execute(store: &Connection, sql: &str) {
    store.execute_batch(sql).unwrap();
}

/// Where the note's entries are.
const OF_NOTE: &str = "document = (SELECT number FROM documents WHERE id = x'09090909090909090909090909090909')";

fn delete(store: &Connection, position: u64) {
    execute(store, &format!("DELETE FROM entries WHERE {OF_NOTE} AND position = {position}"));
}

fn read(store: &Connection, position: u64) -> StoredEntry {
    let sql = format!("SELECT record FROM entries WHERE {OF_NOTE} AND position = {position}");
    decode_entry_record(&store.query_row(&sql, [], |row| row.get::<_, Vec<u8>>(0)).unwrap()).unwrap()
}

fn replace(store: &Connection, stored: &StoredEntry) {
    let hash = i64::from_le_bytes(stored.entry.hash.0[..8].try_into().unwrap());
    let sql = format!("UPDATE entries SET record = ?1, hash = ?2 WHERE {OF_NOTE} AND position = {}", stored.position);
    assert_eq!(store.execute(&sql, params![encode_entry_record(stored), hash]).unwrap(), 1);
}

fn forge_payload(store: &Connection) {
    let mut stored = read(store, 2);
    let entry = Arc::make_mut(&mut stored.entry);
    let mut payload = entry.payload.to_vec();
    *payload.last_mut().unwrap() ^= 1;
    entry.payload = payload.into();
    replace(store, &stored);
}

fn forge_hash(store: &Connection) {
    let mut stored = read(store, 2);
    Arc::make_mut(&mut stored.entry).hash = ChangeHash([1; 32]);
    replace(store, &stored);
}

/// Puts the second writer's change, which was made on all the others, before the last of them.
fn swap_last(store: &Connection) {
    let [fifth, sixth] = [read(store, 5), read(store, 6)];
    delete(store, 6);
    delete(store, 5);
    for (position, stored) in [(5, sixth), (6, fifth)] {
        let stored = StoredEntry { position, ..stored };
        let hash = i64::from_le_bytes(stored.entry.hash.0[..8].try_into().unwrap());
        store
            .execute(
                "INSERT INTO entries (document, position, actor, seq, hash, record)
                 SELECT (SELECT number FROM documents WHERE id = ?1), ?2, (SELECT number FROM actors WHERE id = ?3), ?4, ?5, ?6",
                params![
                    &NOTE.0[..],
                    position as i64,
                    stored.entry.actor.as_bytes(),
                    stored.entry.seq as i64,
                    hash,
                    encode_entry_record(&stored)
                ],
            )
            .unwrap();
    }
}

fn other_head(version: &mut Version) {
    version.heads = [ChangeHash([1; 32])].into();
}

/// Changes the version in the note's row, and gives it the checksum that fits.
fn forge_row(store: &Connection, change: impl FnOnce(&mut Version)) {
    let (space, end, bytes, version): (Vec<u8>, i64, i64, Vec<u8>) = store
        .query_row("SELECT space, end, bytes, version FROM documents WHERE id = ?1", [&NOTE.0[..]], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    let mut version = Version::decode(&mut Reader::new(&version)).unwrap();
    change(&mut version);
    let mut writer = Writer::new();
    version.encode(&mut writer);
    let version = writer.finish();
    let checked = [&NOTE.0[..], &space, &end.to_le_bytes(), &bytes.to_le_bytes(), &version].concat();
    store
        .execute(
            "UPDATE documents SET version = ?1, checksum = ?2 WHERE id = ?3",
            params![version, i64::from(crc32fast::hash(&checked)), &NOTE.0[..]],
        )
        .unwrap();
}
