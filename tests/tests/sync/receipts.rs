//! What a replica is told of where its work is saved, when things get in the way.

use super::disks::changes;
use super::{document, identity, space};
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::{Event, Saved, TroubleKind};
use driftline_core::engine::input::Command;
use driftline_core::store::task::StoreErrorKind;
use driftline_core::sync::message::Message;
use driftline_tests::harness::lab::Lab;

fn saved(lab: &Lab, index: usize) -> Saved {
    lab.parties[index].engine.saved(&document(1)).expect("it is open")
}

/// Someone types and closes the page before the acknowledgement was written down. When the page is opened again the
/// document is the same here and there, and comparing the spaces tells only the relay so.
#[test]
fn after_a_restart_that_forgot_the_receipts_the_relay_is_asked() {
    let mut lab = Lab::new(10);
    let (relay, ada) = (lab.add(Role::Relay), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    lab.connect(ada, relay);
    lab.change(ada, document(1), |tx| tx.put("title", "tides"));
    lab.run(200);
    assert_eq!(saved(&lab, ada).relays, 1);
    lab.restart(ada, |_| {});
    lab.command(ada, Command::OpenSpace { space: space() });
    lab.connect(ada, relay);
    lab.run(1_000);
    lab.command(ada, Command::OpenDocument { space: space(), document: document(1) });
    lab.run(1_000);
    assert_eq!(saved(&lab, ada).relays, 1, "it is on the relay, and the page can say so");
}

/// The relay's disk is slow, the connection breaks before it has answered, and the acknowledgement goes to a connection
/// that is gone.
#[test]
fn an_acknowledgement_lost_with_its_connection_comes_over_the_next() {
    let mut lab = Lab::new(10);
    let (relay, ada) = (lab.add(Role::Relay), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    let connection = lab.connect(ada, relay);
    lab.run(1_000);
    lab.parties[relay].holds_tasks = true;
    lab.change(ada, document(1), |tx| tx.put("title", "tides"));
    lab.run(1_000);
    lab.cut(ada, connection);
    lab.connect(ada, relay);
    lab.run(1_000);
    lab.release(relay);
    lab.run(30_000);
    assert_eq!(saved(&lab, ada).relays, 1);
}

/// Someone closes a space, writes, and opens it again, while the answer about what was there before is still on its way.
#[test]
fn an_answer_to_an_earlier_question_is_no_receipt_for_what_was_written_since() {
    let mut lab = Lab::new(100);
    let (relay, ada) = (lab.add(Role::Relay), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    lab.connect(ada, relay);
    lab.change(ada, document(1), |tx| tx.put("title", "tides"));
    lab.run(1_000);
    lab.command(ada, Command::CloseSpace { space: space() });
    lab.command(ada, Command::OpenSpace { space: space() });
    lab.run(50);
    lab.command(ada, Command::CloseSpace { space: space() });
    lab.change(ada, document(1), |tx| tx.put("title", "neap tides"));
    lab.parties[relay].holds_tasks = true;
    let said = lab.parties[ada].events.len();
    lab.command(ada, Command::OpenSpace { space: space() });
    lab.run(60_000);
    let too_much = |event: &&Event| matches!(event, Event::Saved(saved) if saved.replicas > 0);
    assert_eq!(lab.parties[ada].events[said..].iter().find(too_much), None, "the relay's disk has not got it yet");
    lab.release(relay);
    lab.run(30_000);
    assert_eq!(saved(&lab, ada).relays, 1);
}

/// The same of what the answer does not name: a relay's word that nothing differs is about what was asked, and comes late.
#[test]
fn a_word_that_nothing_differs_is_about_what_it_answers() {
    let mut lab = Lab::new(100);
    let (relay, ada) = (lab.add(Role::Relay), lab.add(Role::Client));
    // Of so many that are open, the last is not told by its version.
    let documents = [1, 2, 3, 4].map(document);
    lab.open_everywhere(space(), &documents);
    lab.connect(ada, relay);
    for document in documents {
        lab.change(ada, document, |tx| tx.put("title", "tides"));
    }
    lab.run(1_000);
    lab.command(ada, Command::CloseSpace { space: space() });
    lab.command(ada, Command::OpenSpace { space: space() });
    lab.run(50);
    lab.command(ada, Command::CloseSpace { space: space() });
    for document in documents {
        lab.change(ada, document, |tx| tx.put("title", "neap tides"));
    }
    lab.parties[relay].holds_tasks = true;
    let said = lab.parties[ada].events.len();
    lab.command(ada, Command::OpenSpace { space: space() });
    // The way there and back takes longer.
    lab.run(195);
    let too_early = |event: &&Event| matches!(event, Event::SpaceSync { in_sync: 1.., .. });
    assert_eq!(lab.parties[ada].events[said..].iter().find(too_early), None, "the relay has not heard the question yet");
    lab.run(60_000);
    let too_much = |event: &&Event| matches!(event, Event::Saved(saved) if saved.replicas > 0);
    assert_eq!(lab.parties[ada].events[said..].iter().find(too_much), None, "the relay's disk has not got it yet");
    lab.release(relay);
    lab.run(30_000);
    assert_eq!(documents.map(|document| lab.parties[ada].engine.saved(&document).unwrap().relays), [1; 4]);
}

/// An app that starts with no network knows from before where its work is.
#[test]
fn what_was_confirmed_before_is_known_at_an_offline_start() {
    let mut lab = Lab::new(10);
    let (relay, ada) = (lab.add(Role::Relay), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    lab.connect(ada, relay);
    lab.change(ada, document(1), |tx| tx.put("title", "tides"));
    lab.run(5_000);
    lab.restart(ada, |_| {});
    lab.open_everywhere(space(), &[document(1)]);
    lab.run(1_000);
    assert_eq!((saved(&lab, ada).replicas, saved(&lab, ada).relays), (1, 1), "it was on the relay before");
    lab.change(ada, document(1), |tx| tx.put("title", "neap tides"));
    assert_eq!(saved(&lab, ada).relays, 0, "what was written since is not");
}

/// A start that finds no receipts must not take what it holds for someone else's work, which is saved where it came from.
#[test]
fn what_was_written_before_a_start_is_not_saved_elsewhere_until_someone_says_so() {
    let mut lab = Lab::new(10);
    let (relay, ada) = (lab.add(Role::Relay), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    lab.change(ada, document(1), |tx| tx.put("title", "tides"));
    lab.restart(ada, |_| {});
    lab.parties[relay].holds_tasks = true;
    lab.open_everywhere(space(), &[document(1)]);
    lab.connect(ada, relay);
    lab.run(5_000);
    assert_eq!(saved(&lab, ada).replicas, 0, "the relay has it in memory alone");
    lab.release(relay);
    lab.run(5_000);
    assert_eq!(saved(&lab, ada).relays, 1);
}

/// The relay's operator put in an old backup: what it said it held it does not hold any more.
#[test]
fn a_relay_that_has_lost_what_it_acknowledged_is_not_counted_until_it_has_it_again() {
    let mut lab = Lab::new(10);
    let (relay, ada) = (lab.add(Role::Relay), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    lab.connect(ada, relay);
    lab.change(ada, document(1), |tx| tx.put("title", "tides"));
    lab.run(1_000);
    let backup = lab.parties[relay].journal.medium_mut().bytes().to_vec();
    lab.change(ada, document(1), |tx| tx.put("title", "neap tides"));
    lab.run(1_000);
    assert_eq!(saved(&lab, ada).relays, 1);
    lab.restart(relay, |bytes| *bytes = backup);
    lab.parties[relay].holds_tasks = true;
    lab.connect(ada, relay);
    lab.run(5_000);
    assert_eq!(saved(&lab, ada).relays, 0, "the second title is in its memory alone");
    let went_back = |event: &&Event| matches!(event, Event::Trouble(trouble) if trouble.kind == TroubleKind::WentBack);
    let told: Vec<String> = lab.parties[ada].events.iter().filter(went_back).map(|event| format!("{event:?}")).collect();
    assert!(told.len() == 1 && told[0].contains("no longer has 1 changes") && told[0].contains("old backup"), "{told:?}");
    lab.release(relay);
    lab.run(5_000);
    assert_eq!(saved(&lab, ada).relays, 1);
}

/// The same change comes from two peers while the disk is busy. Both count on it.
#[test]
fn whoever_sends_what_is_on_its_way_to_the_disk_is_told_when_it_is_there() {
    let mut lab = Lab::new(10);
    let relay = lab.add(Role::Relay);
    let entries = Message::Entries { space: space(), document: document(1), payloads: changes(document(1), 1) };
    lab.parties[relay].holds_tasks = true;
    let lines = [61, 62].map(|secret| {
        let line = lab.dial_in_as(relay, &identity(secret));
        lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
        lab.say(line, &entries);
        line
    });
    let acks = |lab: &Lab| lines.map(|line| lab.lines[line].heard.iter().filter(|m| matches!(m, Message::Ack { .. })).count());
    assert_eq!(acks(&lab), [0, 0]);
    lab.release(relay);
    assert_eq!(acks(&lab), [1, 1]);
}

#[test]
fn a_relay_that_is_connected_twice_counts_once() {
    let mut lab = Lab::new(10);
    let (relay, ada, bob) = (lab.add(Role::Relay), lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    lab.connect(ada, relay);
    lab.connect(bob, relay);
    lab.connect(relay, bob);
    lab.change(ada, document(1), |tx| tx.put("title", "tides"));
    lab.run(5_000);
    assert!(lab.value(bob, &document(1)).expect("it is open").at("title").is_some());
    let told = saved(&lab, bob);
    assert!(told.replicas <= 1 && told.relays <= 1, "{told:?}");
}

/// A key that a crash could take back must not be shown to anyone: the replica would come back under another name, and
/// its copies would count twice.
#[test]
fn a_store_that_cannot_keep_the_replicas_key_is_not_opened() {
    let mut lab = Lab::new(10);
    let ada = lab.add_refusing(Role::Client, "put", StoreErrorKind::Full);
    lab.open_everywhere(space(), &[document(1)]);
    lab.run(1_000);
    let events = &lab.parties[ada].events;
    assert!(events.iter().any(|event| matches!(event, Event::Trouble(trouble) if trouble.kind == TroubleKind::StoreOpen)));
    assert!(lab.parties[ada].engine.peer_id().is_none());
}

/// A history far larger than the frames that the peer takes, which is a limit of its own and told in its hello.
#[test]
fn a_peer_that_takes_small_frames_gets_a_long_history_in_small_frames() {
    let mut lab = Lab::new(10);
    let ada = lab.add(Role::Client);
    let bob = lab.add_with(Role::Client, |config| {
        config.limits.frame_bytes_max = 4 * 1024;
        config.limits.entry_bytes_max = 2 * 1024;
    });
    lab.open_everywhere(space(), &[document(1)]);
    for number in 0..300i64 {
        lab.change(ada, document(1), |tx| tx.put(format!("k{number}"), "some words to make it longer"));
    }
    lab.connect(ada, bob);
    lab.run(10_000);
    assert!(lab.value(ada, &document(1)) == lab.value(bob, &document(1)), "all of it arrived");
    let largest = lab.sent.iter().map(|sent| sent.bytes).max().expect("something was sent");
    assert!(largest <= 4 * 1024, "a frame of {largest} bytes");
}
