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
    let entries = |sender: usize| lab.sent[from..].iter().filter(|sent| sent.from == sender && sent.name == "strands").count();
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

/// Bytes that WebSocket puts before a message: two, and more from 126 bytes on; a client adds four to mask it.
fn framing(bytes: usize, from_client: bool) -> usize {
    let length = if bytes < 126 { 2 } else { 4 };
    length + if from_client { 4 } else { 0 }
}

/// A relay, and so many clients in sync with it through one document with a text; each speaks up to such a version.
fn writers(versions: &[u64]) -> Lab {
    let mut lab = Lab::new(20);
    let relay = lab.add(Role::Relay);
    for version in versions {
        let client = lab.add_with(Role::Client, |config| config.version_max = *version);
        lab.open_everywhere(space(), &[document(1)]);
        lab.connect(client, relay);
    }
    let text = Value::Text("The tide comes in twice a day. ".repeat(50));
    lab.change(1, document(1), |tx| tx.put("text", text));
    lab.run(2_000);
    lab
}

/// Each of `hands` types so many letters, one in a tenth of a second, each where they are in the text. Answers what the entries
/// cost on the wire, WebSocket framing included, for each letter and reader: from the clients, and from the relay.
fn typing(lab: &mut Lab, hands: &[usize], letters: usize) -> (f64, f64) {
    let from = lab.sent.len();
    for letter in 0..letters {
        for (place, hand) in hands.iter().enumerate() {
            let key = &"the quick brown fox jumps over the lazy dog "[letter % 44..][..1];
            lab.change(*hand, document(1), |tx| tx.splice("text", place * 300 + letter, 0, key));
            lab.run(100 / hands.len() as u64);
        }
    }
    lab.run(2_000);
    let readers = lab.parties.len() - 2;
    let (mut up, mut down) = (0, 0);
    for sent in lab.sent[from..].iter().filter(|sent| matches!(sent.name, "entries" | "strands")) {
        let bytes = sent.bytes + framing(sent.bytes, sent.from != 0);
        *(if sent.from == 0 { &mut down } else { &mut up }) += bytes;
    }
    let all = (letters * hands.len()) as f64;
    let values: Vec<_> = (1..lab.parties.len()).map(|index| lab.value(index, &document(1))).collect();
    assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "all see the same");
    (up as f64 / all, down as f64 / all / readers as f64)
}

#[test]
fn a_keystroke_costs_each_reader_less_than_sixty_bytes_on_the_wire() {
    for (hands, readers, up_most, down_most) in [(1, 5, 25.0, 20.0), (2, 5, 60.0, 30.0), (5, 5, 200.0, 60.0)] {
        let mut lab = writers(&[2; 6][..readers + 1]);
        let hands: Vec<usize> = (1..=hands).collect();
        let (up, down) = typing(&mut lab, &hands, 100);
        println!("{} typing, {readers} reading: {up:.1} bytes up, {down:.1} bytes down to each", hands.len());
        assert!(up <= up_most && down <= down_most, "{up} up, {down} down");
    }
}

#[test]
fn peers_that_speak_the_first_version_are_sent_whole_entries_and_all_see_the_same() {
    let mut lab = writers(&[2, 1, 2]);
    let from = lab.sent.len();
    let (_, down) = typing(&mut lab, &[1, 2], 30);
    println!("{down:.1} bytes to each reader");
    let sent: Vec<_> = lab.sent[from..].iter().map(|sent| (sent.from, sent.name)).collect();
    assert!(sent.contains(&(2, "entries")) && !sent.contains(&(2, "strands")), "the old one sends whole entries");
    assert!(sent.contains(&(1, "strands")) && !sent.contains(&(1, "entries")), "the new one sends by strands");
    assert!(sent.contains(&(0, "strands")) && sent.contains(&(0, "entries")), "the relay sends each what it speaks");
}

/// How many documents the spaces of the next tests hold.
const MANY: u16 = 10_000;

/// A relay and two clients that hold ten thousand documents and know each other through the relay alone; both were cut off.
fn archipelago() -> (Lab, usize, usize, usize) {
    let mut lab = Lab::new(LATENCY_MS);
    let (relay, ada, bob) = (lab.add(Role::Relay), lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[]);
    let (of_ada, of_bob) = (lab.connect(ada, relay), lab.connect(bob, relay));
    for number in 0..MANY {
        lab.command(ada, Command::OpenDocument { space: space(), document: document(spread(number)) });
        lab.change(ada, document(spread(number)), |tx| tx.put("n", i64::from(number)));
        lab.command(ada, Command::CloseDocument { document: document(spread(number)) });
        if number % 100 == 0 {
            lab.run(10);
        }
    }
    lab.run(20_000);
    assert_eq!(lab.parties[bob].engine.documents(&space()).len(), usize::from(MANY), "all documents arrived");
    lab.cut(ada, of_ada);
    lab.cut(bob, of_bob);
    lab.run(1_000);
    (lab, relay, ada, bob)
}

/// Numbers of documents that lie everywhere among the ids.
fn spread(number: u16) -> u16 {
    number.wrapping_mul(40_503)
}

/// Changes ten of the documents at an engine; answers the bytes of the changes alone.
fn change_ten(lab: &mut Lab, at: usize, from: u16) -> usize {
    let mut bytes = 0;
    for number in (from..MANY).step_by(usize::from(MANY) / 10) {
        let id = document(spread(number));
        lab.command(at, Command::OpenDocument { space: space(), document: id });
        lab.run(10);
        let end = lab.parties[at].engine.log(&id).expect("it is held").end();
        lab.change(at, id, |tx| tx.put("more", i64::from(number)));
        let log = lab.parties[at].engine.log(&id).expect("it is held");
        bytes += log.tail_after(end).expect("it is new").map(|(_, entry)| entry.payload.len()).sum::<usize>();
        lab.command(at, Command::CloseDocument { document: id });
    }
    lab.run(100);
    bytes
}

/// What a meeting cost: round trips from the end of the hello until both hold the same, and bytes beside the changes.
struct Meeting {
    round_trips: f64,
    bytes: usize,
    frames: usize,
}

fn versions(lab: &Lab, at: usize) -> Vec<driftline_core::log::version::Version> {
    let engine = &lab.parties[at].engine;
    let documents = engine.documents(&space());
    documents.iter().map(|document| engine.log(document).expect("it is held").version().clone()).collect()
}

/// The first dials the second.
fn meet_again(lab: &mut Lab, a: usize, b: usize, changes: usize) -> Meeting {
    let from = lab.sent.len();
    let connection = lab.connect(a, b);
    let mut equal_ms = None;
    for _ in 0..100 {
        lab.run(LATENCY_MS / 2);
        if equal_ms.is_none() && versions(lab, a) == versions(lab, b) {
            equal_ms = Some(lab.now_ms);
        }
    }
    let greeted_ms = lab.sent[from..].iter().find(|sent| sent.name == "subscribe").map_or(0, |sent| sent.at_ms);
    for sent in &lab.sent[from..] {
        println!("{:>6} ms {} {} {}", sent.at_ms as i64 - greeted_ms as i64, sent.from, sent.name, sent.bytes);
    }
    let (bytes, frames) = lab.cost_since(from);
    let round_trips = (equal_ms.expect("they become equal").saturating_sub(greeted_ms)) as f64 / (2 * LATENCY_MS) as f64;
    println!("{round_trips} round trips, {bytes} bytes, of which {changes} of changes, in {frames} frames");
    assert_eq!(lab.parties[a].engine.progress_of(&space()), (1, 1, 0), "the one that dialled knows that it is in sync");
    lab.cut(a, connection);
    lab.run(1_000);
    Meeting { round_trips, bytes: bytes - changes, frames }
}

/// Someone closes the lid and opens it again: one fingerprint each way, whatever there is.
#[test]
fn ten_thousand_documents_in_sync_cost_one_round_trip_and_under_two_hundred_bytes() {
    let (mut lab, relay, ada, _) = archipelago();
    let meeting = meet_again(&mut lab, ada, relay, 0);
    assert!(meeting.bytes < 200 && meeting.frames == 2, "{} bytes in {} frames", meeting.bytes, meeting.frames);
    lab.restart(ada, |_| {});
    lab.command(ada, Command::OpenSpace { space: space() });
    let meeting = meet_again(&mut lab, ada, relay, 0);
    assert!(meeting.bytes < 200 && meeting.frames == 2, "{} bytes in {} frames", meeting.bytes, meeting.frames);
}

/// Others have changed ten documents while someone was away; then someone has, and then both.
#[test]
fn ten_changed_of_ten_thousand_cost_a_known_pair_one_round_trip_and_a_kilobyte() {
    let (mut lab, relay, ada, bob) = archipelago();
    let changes = change_ten(&mut lab, bob, 1);
    let up = meet_again(&mut lab, bob, relay, changes);
    assert!(up.round_trips <= 1.0 && up.bytes < 1_024, "{} round trips, {} bytes", up.round_trips, up.bytes);
    let down = meet_again(&mut lab, ada, relay, changes);
    assert!(down.round_trips <= 1.0 && down.bytes < 1_024, "{} round trips, {} bytes", down.round_trips, down.bytes);
    // The relay has ten more for her and she has ten for it, and the page was closed in between.
    let theirs = change_ten(&mut lab, bob, 2);
    meet_again(&mut lab, bob, relay, theirs);
    lab.restart(ada, |_| {});
    lab.command(ada, Command::OpenSpace { space: space() });
    let ours = change_ten(&mut lab, ada, 3);
    let both = meet_again(&mut lab, ada, relay, theirs + ours);
    assert!(both.round_trips <= 1.0 && both.bytes < 2_048, "{} round trips, {} bytes", both.round_trips, both.bytes);
    // She writes without a network and closes the page before she has one.
    let theirs = change_ten(&mut lab, bob, 4);
    meet_again(&mut lab, bob, relay, theirs);
    let ours = change_ten(&mut lab, ada, 5);
    lab.run(2_000);
    lab.restart(ada, |_| {});
    lab.command(ada, Command::OpenSpace { space: space() });
    let both = meet_again(&mut lab, ada, relay, theirs + ours);
    assert!(both.round_trips <= 1.0 && both.bytes < 2_048, "{} round trips, {} bytes", both.round_trips, both.bytes);
    let id = document(spread(3));
    assert_eq!(lab.parties[relay].engine.log(&id).map(|log| log.end()), Some(2), "her changes are on the relay");
}

/// Two who know the relay and not each other.
#[test]
fn ten_changed_of_ten_thousand_cost_strangers_three_round_trips_and_ten_kilobytes() {
    let (mut lab, _, ada, bob) = archipelago();
    let changes = change_ten(&mut lab, bob, 1);
    let meeting = meet_again(&mut lab, ada, bob, changes);
    assert!(
        meeting.round_trips <= 3.0 && meeting.bytes <= 10_240,
        "{} round trips, {} bytes",
        meeting.round_trips,
        meeting.bytes
    );
}

/// The relay's operator restores a backup. The state in which the clients left is not one that this store was ever in since, so
/// everything is compared, and the clients bring back what the backup lacks.
#[test]
fn a_relay_restored_from_a_backup_gets_back_what_it_lost() {
    let mut lab = Lab::new(LATENCY_MS);
    let (relay, ada) = (lab.add(Role::Relay), lab.add(Role::Client));
    lab.open_everywhere(space(), &[]);
    let first = lab.connect(ada, relay);
    change_some(&mut lab, ada, "first");
    lab.run(5_000);
    let backup = lab.parties[relay].journal.medium_mut().bytes().to_vec();
    change_some(&mut lab, ada, "second");
    lab.run(5_000);
    lab.cut(ada, first);
    lab.restart(relay, |bytes| *bytes = backup);
    // Others have been there since the backup: the relay has moved on, otherwise.
    let bob = lab.add(Role::Client);
    lab.command(bob, Command::OpenSpace { space: space() });
    let other = lab.connect(bob, relay);
    lab.run(2_000);
    change_some(&mut lab, bob, "third");
    lab.run(2_000);
    lab.cut(bob, other);
    lab.connect(ada, relay);
    lab.run(5_000);
    assert_eq!(versions(&lab, ada), versions(&lab, relay));
    let log = lab.parties[relay].engine.log(&document(1)).expect("it is held");
    assert_eq!(log.end(), 3, "the first, the second and the third change of each are there");
}

fn change_some(lab: &mut Lab, at: usize, key: &str) {
    for number in 0..5 {
        lab.command(at, Command::OpenDocument { space: space(), document: document(number) });
        lab.run(10);
        lab.change(at, document(number), |tx| tx.put(key, true));
        lab.command(at, Command::CloseDocument { document: document(number) });
    }
}
