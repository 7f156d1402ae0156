//! A relay that ends: what samod's clients were told to be received is there afterwards.

use super::client::{Client, Note, equal};
use super::relay::{Relay, until};
use std::time::Duration;
use tokio::time::sleep;

/// How often the relay is killed, with nobody else to remember.
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_everyone_goes_on_where_they_were() {
    let mut relay = Relay::start().await;
    let (anna, ben) = (Client::of(&relay).await, Client::of(&relay).await);
    let note = anna.create("tides", "").await;
    anna.received(&note).await;
    let same = ben.find(note.id()).await;
    relay.stop().await;
    note.append("while it was gone ");
    same.append("both wrote ");
    relay.start_again().await;
    until("what the other wrote", || note.body().contains("both wrote ") && same.body().contains("while it was gone ")).await;
    equal(&[&note, &same]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_relay_said_it_received_is_there_after_kill_9_with_every_client_gone() {
    for _ in 0..KILLS {
        let mut relay = Relay::start().await;
        let anna = Client::of(&relay).await;
        let mut notes = Vec::new();
        for at in 0..10 {
            notes.push(anna.create(&at.to_string(), "").await);
        }
        // Many at once: they arrive while those before are on their way to the disk.
        for word in 0..20 {
            notes.iter().for_each(|note| note.append(&format!("{word} ")));
        }
        for note in &notes {
            anna.received(note).await;
        }
        relay.kill().await;
        let expected: Vec<_> = notes.iter().map(|note| (note.heads(), note.body())).collect();
        let ids: Vec<_> = notes.iter().map(|note| note.id().clone()).collect();
        drop(notes);
        anna.repo.stop().await;

        relay.start_again().await;
        let ben = Client::of(&relay).await;
        for (id, expected) in ids.iter().zip(expected) {
            let found = ben.find(id).await;
            assert_eq!((found.heads(), found.body()), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_middle_of_writing_loses_nothing_because_clients_still_have_it() {
    let mut relay = Relay::start().await;
    let (anna, ben) = (Client::of(&relay).await, Client::of(&relay).await);
    let note = anna.create("tides", "").await;
    anna.received(&note).await;
    let same = ben.find(note.id()).await;
    for word in 0..60 {
        note.append(&format!("a{word} "));
        same.prepend(&format!("b{word} "));
        match word {
            30 => relay.kill().await,
            45 => relay.start_again().await,
            _ => sleep(Duration::from_millis(2)).await,
        }
    }
    let is_whole = |copy: &Note| {
        (0..60).all(|word| [format!("a{word} "), format!("b{word} ")].iter().all(|word| copy.body().contains(word)))
    };
    until("all words", || is_whole(&note) && is_whole(&same)).await;
    equal(&[&note, &same]).await;
    anna.received(&note).await;
}
