//! What an app does on an ordinary day.

use super::client::{Client, equal};
use super::relay::{PATIENCE, Relay, until};
use futures_util::StreamExt as _;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn one_creates_another_finds_both_edit() {
    let relay = Relay::start().await;
    let (anna, ben) = (Client::of(&relay).await, Client::of(&relay).await);
    let note = anna.create("Harbour", "Ships").await;
    anna.received(&note).await;
    let same = ben.find(note.id()).await;
    assert_eq!((same.title().as_str(), same.body().as_str()), ("Harbour", "Ships"));
    same.append(" and gulls");
    note.call("The harbour");
    until("both edits", || same.title() == "The harbour" && note.body() == "Ships and gulls").await;
    equal(&[&note, &same]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_nobody_has_is_not_found_and_is_once_someone_has_it() {
    let relay = Relay::start().await;
    let (mut anna, ben, cleo) = (Client::offline(&relay).await, Client::of(&relay).await, Client::of(&relay).await);
    let note = anna.create("later", "").await;
    assert!(ben.look_for(note.id()).await.is_none());
    anna.connect().await;
    anna.received(&note).await;
    assert_eq!(cleo.find(note.id()).await.title(), "later");
    assert_eq!(ben.find(note.id()).await.title(), "later", "who asked before has it, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_write_while_they_are_offline_lose_nothing() {
    let relay = Relay::start().await;
    let (mut anna, mut ben) = (Client::of(&relay).await, Client::of(&relay).await);
    let note = anna.create("tides", "").await;
    anna.received(&note).await;
    let same = ben.find(note.id()).await;
    anna.disconnect().await;
    ben.disconnect().await;
    for at in 0..50 {
        note.append(&format!("a{at} "));
        same.prepend(&format!("b{at} "));
    }
    assert!(!note.body().contains('b') && !same.body().contains('a'), "nothing passes while they are offline");
    anna.connect().await;
    ben.connect().await;
    until("the other's words", || note.body().contains("b49 ") && same.body().contains("a49 ")).await;
    equal(&[&note, &same]).await;
    let words: Vec<String> = (0..50).flat_map(|at| [format!("a{at} "), format!("b{at} ")]).collect();
    assert!(words.iter().all(|word| note.body().contains(word)), "{}", note.body());
    assert_eq!(note.body().len(), words.concat().len(), "nothing stands there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_documents_and_many_edits_at_once() {
    let relay = Relay::start().await;
    let (anna, ben) = (Client::of(&relay).await, Client::of(&relay).await);
    let mut pairs = Vec::new();
    for at in 0..40 {
        let note = anna.create(&at.to_string(), "").await;
        anna.received(&note).await;
        let same = ben.find(note.id()).await;
        pairs.push((note, same));
    }
    for round in 0..5 {
        for (note, same) in &pairs {
            note.append(&format!("a{round} "));
            same.append(&format!("b{round} "));
        }
    }
    for (at, (note, same)) in pairs.iter().enumerate() {
        until("all words", || note.body().len() == 30 && same.body().len() == 30).await;
        equal(&[note, same]).await;
        assert_eq!(note.title(), at.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_message_reaches_everyone_else_who_has_the_document_open_once() {
    let relay = Relay::start().await;
    let (anna, ben, cleo) = (Client::of(&relay).await, Client::of(&relay).await, Client::of(&relay).await);
    let note = anna.create("here", "").await;
    anna.received(&note).await;
    let copies = [ben.find(note.id()).await, cleo.find(note.id()).await];
    let mut heard = [Box::pin(copies[0].0.ephemera()), Box::pin(copies[1].0.ephemera())];
    let mut own = Box::pin(note.0.ephemera());
    // They are CBOR: texts of two letters.
    let messages = [b"\x62c0", b"\x62c1", b"\x62c2"].map(|message| message.to_vec());
    for message in &messages {
        note.0.broadcast(message.clone());
    }
    for stream in &mut heard {
        for message in &messages {
            let came = timeout(PATIENCE, stream.next()).await.expect("all messages come");
            assert_eq!(came.as_ref(), Some(message));
        }
    }
    // Whatever might still come, comes before the answer to a change.
    note.call("gone");
    until("the change", || copies.iter().all(|copy| copy.title() == "gone")).await;
    copies[0].call("back");
    until("the answer", || note.title() == "back" && copies[1].title() == "back").await;
    for stream in &mut heard {
        assert!(futures_util::poll!(stream.next()).is_pending(), "nothing comes twice");
    }
    assert!(futures_util::poll!(own.next()).is_pending(), "nobody hears themselves");
}
