//! The repo: what a Rust program sees.

use crate::place::{Harbour, elsewhere, reads, soon};
use driftline_core::base::id::DocumentId;
use driftline_core::doc::patch::Patch;
use driftline_core::doc::value::{Prop, Value};
use driftline_relay::repo::{ConnectionState, Level, Repo, RepoError, RepoOptions, SpaceEvent};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_document_made_on_one_device_is_listed_found_and_edited_on_another() {
    let harbour = Harbour::open().await;
    let (anna, ben) = (harbour.repo().await, harbour.repo().await);
    let note = anna.space("notes").create(|tx| tx.put("body", "one")).await.unwrap();
    let space = ben.space("notes");
    let same = elsewhere(&note, &ben, "notes").await;
    assert_eq!(space.documents().await.unwrap(), [note.id()]);
    assert_eq!(same.get("body").await.unwrap(), Some(Value::Text("one".into())));
    same.change(|tx| tx.splice("body", 3, 0, ", two")).await.unwrap();
    reads(&note, "one, two").await;
    assert_eq!(note.heads().await.unwrap(), same.heads().await.unwrap());
    assert_ne!(anna.peer_id(), ben.peer_id());
    let connections = anna.connections();
    assert!(matches!(connections[0].state, ConnectionState::Connected { relay: true, .. }), "{connections:?}");
    assert_eq!(ben.space("other").documents().await.unwrap(), []);
}

#[tokio::test]
async fn what_is_written_offline_on_both_sides_is_all_there_when_they_meet() {
    let harbour = Harbour::open().await;
    let (anna, ben) = (harbour.repo().await, harbour.repo().await);
    let note = anna.space("notes").create(|tx| tx.put("body", "middle")).await.unwrap();
    let same = elsewhere(&note, &ben, "notes").await;
    anna.set_online(false);
    ben.set_online(false);
    assert!(!ben.is_online());
    note.change(|tx| tx.splice("body", 0, 0, "start ")).await.unwrap();
    same.change(|tx| tx.splice("body", 6, 0, " end")).await.unwrap();
    assert_eq!(note.text("body").await.unwrap().as_deref(), Some("start middle"));
    anna.set_online(true);
    ben.set_online(true);
    reads(&note, "start middle end").await;
    reads(&same, "start middle end").await;
}

#[tokio::test]
async fn a_folder_keeps_documents_from_one_life_to_the_next_and_belongs_to_one_repo() {
    let folder = tempfile::tempdir().unwrap();
    let first = Repo::open(RepoOptions::folder(folder.path())).await.unwrap();
    let peer = first.peer_id();
    let note = first.space("notes").create(|tx| tx.put("body", "kept")).await.unwrap();
    assert!(matches!(Repo::open(RepoOptions::folder(folder.path())).await, Err(RepoError::InUse { .. })));
    assert!(soon(note.when_saved(Level::Device)).await.unwrap().device);
    let id = note.id();
    first.close().await;
    assert_eq!(note.value().await, Err(RepoError::Closed));

    let second = Repo::open(RepoOptions::folder(folder.path())).await.unwrap();
    assert_eq!(second.peer_id(), peer, "it is the same replica");
    let note = second.space("notes").find(id).await.unwrap();
    assert_eq!(note.text("body").await.unwrap().as_deref(), Some("kept"));
}

#[tokio::test]
async fn looking_for_a_document_ends_with_the_reason_it_is_not_there() {
    let harbour = Harbour::open().await;
    let nowhere = DocumentId([9; 16]);
    let anna = harbour.repo().await;
    let error = soon(anna.space("notes").find(nowhere)).await.err().unwrap();
    assert!(matches!(error, RepoError::NotFound { .. }), "{error}");

    anna.set_online(false);
    let error = soon(anna.space("notes").find(nowhere)).await.err().unwrap();
    assert!(error.to_string().contains("offline"), "{error}");

    let alone = Repo::open(RepoOptions::memory()).await.unwrap();
    let error = soon(alone.space("notes").find(nowhere)).await.err().unwrap();
    assert!(error.to_string().contains("no relay is named"), "{error}");

    let lost = Repo::open(RepoOptions::memory().relay("ws://127.0.0.1:1/sync")).await.unwrap();
    let error = soon(lost.space("notes").find(nowhere)).await.err().unwrap();
    assert!(matches!(&error, RepoError::Unreachable { .. }) && error.to_string().contains("ws://127.0.0.1:1"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_next_finds_what_the_relay_has_acknowledged_every_time() {
    let harbour = Harbour::open().await;
    for _ in 0..60 {
        let (anna, ben) = (harbour.repo().await, harbour.repo().await);
        let note = anna.space("notes").create(|tx| tx.put("body", "one")).await.unwrap();
        soon(note.when_saved(Level::Relay)).await.unwrap();
        assert!(soon(ben.space("notes").find(note.id())).await.is_ok());
        anna.close().await;
        ben.close().await;
    }
}

#[tokio::test]
async fn a_document_that_is_not_there_yet_is_found_when_it_comes() {
    let harbour = Harbour::open().await;
    let (anna, ben) = (harbour.repo().await, harbour.repo().await);
    let id = DocumentId([3; 16]);
    ben.set_online(false);
    let mut events = ben.space("notes").subscribe();
    anna.space("notes").create_with_id(id, |tx| tx.put("body", "late")).await.unwrap();
    ben.set_online(true);
    loop {
        if let SpaceEvent::DocumentAdded { document } = soon(events.next()).await.unwrap() {
            assert_eq!(document, id);
            break;
        }
    }
    reads(&soon(ben.space("notes").find(id)).await.unwrap(), "late").await;
}

#[tokio::test]
async fn a_refused_change_leaves_nothing_behind() {
    let repo = Repo::open(RepoOptions::memory()).await.unwrap();
    let space = repo.space("notes");
    let refused = space.create(|tx| {
        tx.put("a", 1)?;
        tx.splice("nowhere", 0, 0, "text")
    });
    assert!(matches!(refused.await, Err(RepoError::Refused(_))));
    let empty = space.create(|_| Ok(())).await.err().unwrap();
    assert!(empty.to_string().contains("begins with a value"), "{empty}");
    assert_eq!(space.documents().await.unwrap(), []);

    let note = space.create(|tx| tx.put("body", "abc")).await.unwrap();
    let heads = note.heads().await.unwrap();
    let error = note.change(|tx| tx.splice("body", 4, 0, "x")).await.unwrap_err();
    assert!(error.to_string().contains("past the end"), "{error}");
    assert_eq!(note.heads().await.unwrap(), heads);
    let taken = space.create_with_id(note.id(), |tx| tx.put("b", 1)).await.err().unwrap();
    assert!(taken.to_string().contains("already"), "{taken}");
}

#[tokio::test]
async fn presence_comes_changes_and_goes() {
    let harbour = Harbour::open().await;
    let (anna, ben) = (harbour.repo().await, harbour.repo().await);
    let (here, there) = (anna.space("notes"), ben.space("notes"));
    soon(anna.when_synced(&here)).await.unwrap();
    soon(ben.when_synced(&there)).await.unwrap();
    let mut events = there.subscribe();
    here.set_presence(&json!({ "name": "Anna", "cursor": 3 }));
    while there.presences().is_empty() {
        soon(events.next()).await.unwrap();
    }
    let presences = there.presences();
    assert_eq!(presences.len(), 1);
    assert_eq!((presences[0].peer, presences[0].instance), (anna.peer_id(), anna.instance()));
    assert_eq!(presences[0].state["name"], "Anna");
    assert_eq!(here.presences(), [], "one's own presence is not someone's");

    here.set_presence(&json!({ "name": "Anna", "cursor": 4 }));
    while there.presences()[0].state["cursor"] != 4 {
        soon(events.next()).await.unwrap();
    }
    anna.close().await;
    while !there.presences().is_empty() {
        soon(events.next()).await.unwrap();
    }
}

#[tokio::test]
async fn changes_come_as_patches_and_a_slow_reader_gets_them_as_one() {
    let harbour = Harbour::open().await;
    let (anna, ben) = (harbour.repo().await, harbour.repo().await);
    let note = anna.space("notes").create(|tx| tx.put("body", "")).await.unwrap();
    let same = elsewhere(&note, &ben, "notes").await;
    let mut changes = same.changes().await.unwrap();
    note.change(|tx| tx.splice("body", 0, 0, "a")).await.unwrap();
    let change = soon(changes.next()).await.unwrap();
    let at = |index| vec![Prop::from("body"), Prop::Index(index)];
    assert_eq!(change.patches, [Patch::Splice { path: at(0), insert: "a".into() }]);
    assert_eq!(change.heads, note.heads().await.unwrap());

    for index in 1..100 {
        note.change(move |tx| tx.splice("body", index, 0, "b")).await.unwrap();
    }
    same.when(|document| document.length("body") == Some(100)).await.unwrap();
    let change = soon(changes.next()).await.unwrap();
    assert_eq!(change.patches, [Patch::Splice { path: at(1), insert: "b".repeat(99) }]);
    ben.close().await;
    assert_eq!(soon(changes.next()).await, None);
}

#[tokio::test]
async fn history_tells_who_changed_what_and_why() {
    let repo = Repo::open(RepoOptions::memory()).await.unwrap();
    let note = repo.space("notes").create(|tx| tx.put("body", "a")).await.unwrap();
    note.change_with_message("second thoughts", |tx| tx.update_text("body", "b")).await.unwrap();
    let history = note.history(10).await.unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(history[1].message.as_deref(), Some("second thoughts"));
    assert_eq!(vec![history[1].hash], note.heads().await.unwrap());
    assert_eq!(history[0].actor, history[1].actor);
}

#[tokio::test]
async fn an_automerge_file_carries_a_document_with_its_history_elsewhere() {
    let harbour = Harbour::open().await;
    let (anna, ben) = (harbour.repo().await, harbour.repo().await);
    let note = anna.space("notes").create(|tx| tx.put("body", "kept")).await.unwrap();
    note.change_with_message("louder", |tx| tx.splice("body", 4, 0, "!")).await.unwrap();
    let file = note.export().await.unwrap();

    let copy = ben.space("copies").import(file.clone()).await.unwrap();
    assert_ne!(copy.id(), note.id());
    assert_eq!(copy.value().await.unwrap(), note.value().await.unwrap());
    assert_eq!(copy.history(10).await.unwrap(), note.history(10).await.unwrap());
    assert_eq!(copy.import(file).await.unwrap(), 0, "it is all there already");
    assert!(copy.import(b"nothing".to_vec()).await.unwrap_err().to_string().contains("Automerge"));
    assert!(soon(copy.when_saved(Level::Relay)).await.is_ok(), "what was imported travels like what was typed");
    let third = harbour.repo().await;
    reads(&soon(third.space("copies").find(copy.id())).await.unwrap(), "kept!").await;
}

#[tokio::test]
async fn a_relay_that_was_away_is_found_again_with_what_was_written_meanwhile() {
    let mut harbour = Harbour::open().await;
    let (anna, ben) = (harbour.repo().await, harbour.repo().await);
    let note = anna.space("notes").create(|tx| tx.put("body", "before")).await.unwrap();
    let same = elsewhere(&note, &ben, "notes").await;
    harbour.stop().await;
    note.change(|tx| tx.update_text("body", "before, between")).await.unwrap();
    harbour.reopen().await;
    reads(&same, "before, between").await;
}

#[tokio::test]
async fn switching_on_and_off_and_on_again_ends_connected() {
    let harbour = Harbour::open().await;
    let anna = harbour.repo().await;
    let space = anna.space("notes");
    for _ in 0..5 {
        anna.set_online(false);
        anna.set_online(true);
    }
    soon(anna.when_synced(&space)).await.unwrap();
}

#[tokio::test]
async fn whoever_waits_when_a_repo_closes_is_told() {
    let repo = Repo::open(RepoOptions::memory().relay("ws://127.0.0.1:1/sync")).await.unwrap();
    let note = repo.space("notes").create(|tx| tx.put("body", "a")).await.unwrap();
    let waiting = tokio::spawn({
        let (repo, note) = (repo.clone(), note.clone());
        async move { (note.when_saved(Level::Relay).await, repo.when_synced(&repo.space("notes")).await) }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    repo.close().await;
    let (saved, synced) = soon(waiting).await.unwrap();
    assert_eq!((saved, synced.err()), (Err(RepoError::Closed), Some(RepoError::Closed)));
}
