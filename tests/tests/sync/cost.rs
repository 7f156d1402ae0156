//! What syncing costs, counted on a perfect link: round trips and bytes, with hellos not counted.

use super::{document, space};
use driftline_core::doc::value::Value;
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::Command;
use driftline_tests::harness::lab::Lab;

const LATENCY_MS: u64 = 100;

/// Two clients that hold `changes` changes of one document between them, and are not connected.
fn pair(changes: usize) -> Lab {
    let mut lab = Lab::new(LATENCY_MS);
    let (ada, bob) = (lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    lab.change(ada, document(1), |tx| tx.put("text", Value::Text(String::new())));
    for at in 1..changes {
        lab.change(ada, document(1), |tx| tx.splice("text", at - 1, 0, "x"));
    }
    let here = lab.connect(ada, bob);
    lab.run(20_000);
    assert!(lab.value(ada, &document(1)) == lab.value(bob, &document(1)), "the pair starts equal");
    assert_eq!(lab.parties[bob].engine.saved(&document(1)).map(|saved| saved.replicas), Some(1));
    lab.cut(ada, here);
    lab.run(1_000);
    lab
}

/// Connects the two and lets them talk; answers when each proved itself, when both were first equal, and the bytes.
fn meet(lab: &mut Lab) -> (u64, u64, usize) {
    let from = lab.sent.len();
    let started = lab.now_ms;
    lab.connect(0, 1);
    let mut equal_ms = None;
    while lab.now_ms < started + 10_000 {
        lab.run(LATENCY_MS / 10);
        if equal_ms.is_none() && lab.value(0, &document(1)) == lab.value(1, &document(1)) {
            equal_ms = Some(lab.now_ms);
        }
    }
    let greeted_ms = lab.sent[from..].iter().find(|sent| !matches!(sent.name, "hello" | "proof")).map_or(0, |sent| sent.at_ms);
    for sent in &lab.sent[from..] {
        println!("{:>6} ms {} {} {}", sent.at_ms - started, sent.from, sent.name, sent.bytes);
    }
    (greeted_ms, equal_ms.expect("they become equal"), lab.cost_since(from).0)
}

#[test]
fn a_pair_diverged_by_ten_changes_each_in_fifty_thousand_syncs_in_one_and_a_half_round_trips_and_four_kilobytes() {
    let mut lab = pair(50_000);
    for turn in 0..10 {
        lab.change(0, document(1), |tx| tx.splice("text", turn, 0, "a"));
        lab.change(1, document(1), |tx| tx.splice("text", 40_000 + turn, 0, "b"));
    }
    let (greeted_ms, equal_ms, bytes) = meet(&mut lab);
    let round_trips = (equal_ms - greeted_ms) as f64 / (2 * LATENCY_MS) as f64;
    println!("{round_trips} round trips, {bytes} bytes");
    assert!(round_trips <= 1.5, "{round_trips} round trips");
    assert!(bytes <= 4_096, "{bytes} bytes");
    let text = lab.value(0, &document(1)).and_then(|value| value.at("text").and_then(|text| text.as_str().map(str::to_owned)));
    let text = text.expect("the text is there");
    assert_eq!(text.matches('a').count() + text.matches('b').count(), 20, "both sides' changes are in it");
}

#[test]
fn two_that_agree_exchange_under_two_hundred_bytes() {
    let mut lab = pair(1_000);
    let (_, _, bytes) = meet(&mut lab);
    println!("{bytes} bytes");
    assert!(bytes < 200, "{bytes} bytes");
}

/// Many documents of which nothing is open; answers the lab, connected once and cut.
fn many(documents: u16) -> Lab {
    let mut lab = Lab::new(LATENCY_MS);
    let (ada, bob) = (lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[]);
    for number in 0..documents {
        lab.command(ada, Command::OpenDocument { space: space(), document: document(number) });
        lab.change(ada, document(number), |tx| tx.put("n", i64::from(number)));
        lab.command(ada, Command::CloseDocument { document: document(number) });
    }
    let here = lab.connect(ada, bob);
    lab.run(20_000);
    assert_eq!(lab.parties[bob].engine.documents(&space()).len(), usize::from(documents), "all documents arrived");
    lab.cut(ada, here);
    lab.run(1_000);
    lab
}

#[test]
fn spaces_that_agree_cost_the_same_whatever_they_hold() {
    let mut lab = many(500);
    let from = lab.sent.len();
    lab.connect(0, 1);
    lab.run(10_000);
    let (bytes, frames) = lab.cost_since(from);
    println!("{bytes} bytes in {frames} frames");
    assert!(bytes < 200, "{bytes} bytes");
}

#[test]
fn a_few_documents_of_many_are_found_and_only_these_are_sent() {
    let mut lab = many(500);
    for number in [3u16, 77, 250, 251, 499] {
        let at = usize::from(number % 2);
        lab.command(at, Command::OpenDocument { space: space(), document: document(number) });
        lab.run(10);
        lab.change(at, document(number), |tx| tx.put("more", i64::from(number)));
    }
    lab.command(1, Command::OpenDocument { space: space(), document: document(9_000) });
    lab.change(1, document(9_000), |tx| tx.put("new", true));
    lab.run(100);
    let from = lab.sent.len();
    lab.parties.iter_mut().for_each(|party| party.events.clear());
    lab.connect(0, 1);
    lab.run(10_000);
    let (bytes, frames) = lab.cost_since(from);
    println!("{bytes} bytes in {frames} frames");
    assert!(bytes < 16 * 1024, "{bytes} bytes for six documents of five hundred");
    for index in 0..2 {
        assert_eq!(lab.parties[index].engine.documents(&space()).len(), 501);
        for number in [3u16, 77, 250, 251, 499] {
            lab.command(index, Command::OpenDocument { space: space(), document: document(number) });
        }
        lab.run(100);
        for number in [3u16, 77, 250, 251, 499] {
            let value = lab.value(index, &document(number)).expect("it is open");
            assert_eq!(value.at("more").and_then(Value::as_i64), Some(i64::from(number)), "document {number} at engine {index}");
        }
        let changed = lab.parties[index].events.iter().filter(|event| matches!(event, Event::DocumentChanged { .. })).count();
        assert!(changed <= 6, "engine {index} took {changed} documents to be changed");
    }
}

/// Nobody is sent what it wrote itself, nor what the same neighbour has sent it before.
#[test]
fn every_change_goes_over_every_link_once() {
    let mut lab = Lab::new(LATENCY_MS);
    let relay = lab.add(Role::Relay);
    let clients = [lab.add(Role::Client), lab.add(Role::Client), lab.add(Role::Client)];
    lab.open_everywhere(space(), &[document(1)]);
    for client in clients {
        lab.connect(client, relay);
    }
    lab.run(5_000);
    let from = lab.sent.len();
    for turn in 0..10i64 {
        let writer = clients[turn as usize % 3];
        lab.change(writer, document(1), |tx| tx.put(format!("k{turn}"), turn));
        lab.run(5_000);
    }
    let entries = |sender: usize| lab.sent[from..].iter().filter(|sent| sent.from == sender && sent.name == "entries").count();
    assert_eq!(clients.map(entries), [4, 3, 3], "each sends what it wrote");
    assert_eq!(entries(relay), 20, "the relay sends each change to the two who lack it");
}

#[test]
fn a_late_third_gets_everything_through_a_relay_and_everyone_knows_how_saved_it_is() {
    let mut lab = Lab::new(LATENCY_MS);
    let relay = lab.add(Role::Relay);
    let (ada, bob) = (lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    let here = lab.connect(ada, relay);
    for number in 0..200i64 {
        lab.change(ada, document(1), |tx| tx.put(format!("k{number}"), number));
    }
    lab.run(5_000);
    let saved = lab.parties[ada].engine.saved(&document(1)).expect("it is open");
    assert!(saved.device && saved.unsaved == 0 && saved.replicas == 1 && saved.relays == 1, "{saved:?}");
    lab.cut(ada, here);
    lab.connect(bob, relay);
    lab.run(5_000);
    assert_eq!(lab.value(ada, &document(1)), lab.value(bob, &document(1)));
    assert!(lab.parties[relay].engine.document(&document(1)).is_none(), "a relay loads no document to serve it");
}
