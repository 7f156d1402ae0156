//! How saved is it? Never more than is true.

use crate::place::{Harbour, Wire, soon};
use driftline_relay::repo::{Level, Repo, RepoError, RepoOptions};
use std::time::Duration;

/// Long enough for a relay on loopback to have acknowledged, if anything let it.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn nothing_is_on_the_relay_before_the_relay_has_said_so() {
    let harbour = Harbour::open().await;
    let wire = Wire::to(&harbour).await;
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::open(RepoOptions::folder(folder.path()).relay(wire.url())).await.unwrap();
    let note = repo.space("notes").create(|tx| tx.put("body", "one")).await.unwrap();
    let saved = soon(note.when_saved(Level::Relay)).await.unwrap();
    assert_eq!((saved.relays, saved.replicas), (1, 1));
    assert!(soon(note.when_saved(Level::Replicas(1))).await.is_ok());

    // The relay takes the next change and says so, but the word does not get through.
    wire.hold(true);
    note.change(|tx| tx.splice("body", 3, 0, ", two")).await.unwrap();
    let saved = note.saved().await.unwrap();
    assert_eq!((saved.relays, saved.replicas), (0, 0), "what was saved before says nothing about what was typed since");
    let saved = soon(note.when_saved(Level::Device)).await.unwrap();
    assert_eq!((saved.device, saved.unsaved, saved.relays), (true, 0, 0));
    let error = note.when_saved_within(Level::Relay, A_WHILE).await.unwrap_err();
    assert!(matches!(error, RepoError::NotInTime { .. }) && error.to_string().contains("saved on this device"), "{error}");

    wire.hold(false);
    assert_eq!(soon(note.when_saved(Level::Relay)).await.unwrap().relays, 1);
}

#[tokio::test]
async fn a_change_that_was_made_offline_is_not_on_the_relay_until_it_has_travelled() {
    let harbour = Harbour::open().await;
    let repo = harbour.repo().await;
    let note = repo.space("notes").create(|tx| tx.put("body", "one")).await.unwrap();
    soon(note.when_saved(Level::Relay)).await.unwrap();
    repo.set_online(false);
    note.change(|tx| tx.put("body", "two")).await.unwrap();
    assert!(note.when_saved_within(Level::Relay, A_WHILE).await.is_err());
    assert_eq!(note.saved().await.unwrap().relays, 0);
    repo.set_online(true);
    assert_eq!(soon(note.when_saved(Level::Relay)).await.unwrap().relays, 1);
}
