//! Bad disks: what was acknowledged is kept, what cannot be saved is said, and room that returns is used.

use super::{document, identity, space};
use driftline_core::base::id::{ActorId, DocumentId};
use driftline_core::doc::document::Document;
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::value::{Prop, TextUnit, Value};
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::{Event, TroubleKind};
use driftline_core::engine::input::Command;
use driftline_core::log::version::Version;
use driftline_core::store::task::StoreErrorKind;
use driftline_core::sync::message::Message;
use driftline_tests::harness::lab::Lab;
use std::sync::Arc;

/// A relay and two clients, connected, with a document that all hold.
fn room() -> Lab {
    let mut lab = Lab::new(10);
    let relay = lab.add(Role::Relay);
    let (ada, bob) = (lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    lab.connect(ada, relay);
    lab.connect(bob, relay);
    lab.change(ada, document(1), |tx| tx.put("first", 1i64));
    lab.run(1_000);
    let saved = lab.parties[ada].engine.saved(&document(1)).expect("it is open");
    assert!(saved.device && saved.relays == 1, "{saved:?}");
    lab
}

fn troubles(lab: &Lab, index: usize, kind: TroubleKind) -> usize {
    lab.parties[index].events.iter().filter(|event| matches!(event, Event::Trouble(trouble) if trouble.kind == kind)).count()
}

#[test]
fn a_full_disk_here_is_said_loses_nothing_and_is_used_again_when_there_is_room() {
    let mut lab = room();
    lab.parties[1].refusals.insert("append", StoreErrorKind::Full);
    lab.change(1, document(1), |tx| tx.put("second", 2i64));
    lab.run(5_000);
    let saved = lab.parties[1].engine.saved(&document(1)).expect("it is open");
    assert!(!saved.device && saved.unsaved == 1, "nothing is called saved that is not: {saved:?}");
    assert!(troubles(&lab, 1, TroubleKind::StoreWrite) > 0, "people are told");
    assert!(troubles(&lab, 1, TroubleKind::StoreWrite) < 10, "and not told again and again");
    lab.parties[1].refusals.clear();
    lab.run(60_000);
    let saved = lab.parties[1].engine.saved(&document(1)).expect("it is open");
    assert!(saved.device && saved.unsaved == 0 && saved.relays == 1, "{saved:?}");
    lab.restart(1, |_| {});
    lab.open_everywhere(space(), &[document(1)]);
    lab.run(1_000);
    assert!(lab.value(1, &document(1)).expect("it is open").at("second").is_some(), "it is on the disk");
}

/// One change is under way to a disk that has no room, and the next is made before it has said so.
#[test]
fn what_was_refused_is_written_before_what_was_made_since() {
    let mut lab = room();
    lab.parties[1].refusals.insert("append", StoreErrorKind::Full);
    lab.parties[1].holds_tasks = true;
    lab.change(1, document(1), |tx| tx.put("second", 2i64));
    lab.change(1, document(1), |tx| tx.put("third", 3i64));
    lab.release(1);
    lab.parties[1].refusals.clear();
    lab.run(10_000);
    assert_eq!(lab.parties[1].engine.saved(&document(1)).map(|saved| saved.unsaved), Some(0));
    assert_eq!(troubles(&lab, 1, TroubleKind::Damaged), 0, "nothing was taken for damaged");
    let shown = lab.value(1, &document(1));
    lab.restart(1, |_| {});
    lab.open_everywhere(space(), &[document(1)]);
    assert_eq!(lab.value(1, &document(1)), shown, "a store that takes them in another order would have neither");
}

#[test]
fn a_relay_without_room_acknowledges_nothing_and_says_so_and_the_others_still_write_to_each_other() {
    let mut lab = room();
    lab.parties[0].refusals.insert("append", StoreErrorKind::Full);
    lab.change(1, document(1), |tx| tx.put("second", 2i64));
    lab.run(5_000);
    let saved = lab.parties[1].engine.saved(&document(1)).expect("it is open");
    assert!(saved.device && saved.relays == 0, "nothing is called saved on a relay that is not: {saved:?}");
    assert!(troubles(&lab, 1, TroubleKind::Refused) > 0, "the writer is told that the relay does not save");
    assert!(lab.value(2, &document(1)).expect("it is open").at("second").is_some(), "forwarding does not wait for the disk");
    lab.parties[0].refusals.clear();
    lab.run(60_000);
    let saved = lab.parties[1].engine.saved(&document(1)).expect("it is open");
    assert!(saved.relays == 1, "room returned and the relay has it: {saved:?}");
}

#[test]
fn a_store_that_does_not_open_stops_the_engine_with_a_word() {
    let mut lab = Lab::new(10);
    let ada = lab.add_refusing(Role::Client, "open", StoreErrorKind::Unavailable);
    lab.open_everywhere(space(), &[document(1)]);
    lab.run(30_000);
    let events = &lab.parties[ada].events;
    assert!(
        events.iter().any(|event| matches!(event, Event::Trouble(trouble) if trouble.kind == TroubleKind::StoreOpen)),
        "{events:?}"
    );
}

#[test]
fn a_flipped_bit_in_what_is_stored_is_never_served_and_comes_back_from_those_who_have_it() {
    for at_percent in [2, 10, 25, 40, 60, 80, 95] {
        let mut lab = room();
        for number in 0..40i64 {
            lab.change(1, document(1), |tx| tx.put(format!("k{number}"), number));
        }
        lab.run(1_000);
        lab.restart(0, |bytes| {
            let at = bytes.len() * at_percent / 100;
            bytes[at] ^= 0x10;
        });
        // The clients' connections are gone with the relay's process.
        lab.connect(1, 0);
        lab.connect(2, 0);
        lab.change(1, document(1), |tx| tx.put("after", 1i64));
        lab.run(60_000);
        assert_eq!(lab.value(1, &document(1)), lab.value(2, &document(1)), "a flip at {at_percent} % harms no client");
        let saved = lab.parties[1].engine.saved(&document(1)).expect("it is open");
        assert_eq!(saved.relays, 1, "a flip at {at_percent} %: the relay is whole again: {saved:?}");
        // A third that knows nothing gets all of it from the relay alone.
        let carol = lab.add(Role::Client);
        lab.open_everywhere(space(), &[document(1)]);
        lab.connect(carol, 0);
        lab.run(5_000);
        assert_eq!(lab.value(carol, &document(1)), lab.value(1, &document(1)), "a flip at {at_percent} %");
    }
}

#[test]
fn a_read_that_turns_out_corrupt_quarantines_the_document_and_fetches_it_again() {
    let mut lab = room();
    lab.restart(0, |_| {});
    lab.parties[0].refusals.insert("read", StoreErrorKind::Corrupt);
    // A newcomer makes the relay read.
    let carol = lab.add(Role::Client);
    lab.open_everywhere(space(), &[document(1)]);
    lab.connect(carol, 0);
    lab.run(2_000);
    assert!(troubles(&lab, 0, TroubleKind::Damaged) + troubles(&lab, 0, TroubleKind::StoreRead) > 0, "the operator is told");
    lab.parties[0].refusals.clear();
    lab.connect(1, 0);
    lab.run(60_000);
    assert_eq!(lab.value(carol, &document(1)), lab.value(1, &document(1)), "what others hold comes back through the relay");
    assert!(lab.value(carol, &document(1)).expect("it is open").at("first").is_some());
}

/// All are connected when it is found out: nobody has to come back first for the document to be whole again.
#[test]
fn a_damaged_document_is_asked_for_where_it_is_known_to_be_and_goes_on_to_whoever_waits_for_it() {
    let mut lab = room();
    lab.restart(0, |_| {});
    lab.connect(1, 0);
    lab.run(1_000);
    lab.parties[0].refusals.insert("read", StoreErrorKind::Corrupt);
    let carol = lab.add(Role::Client);
    lab.command(carol, Command::OpenSpace { space: space() });
    lab.command(carol, Command::OpenDocument { space: space(), document: document(1) });
    lab.connect(carol, 0);
    lab.run(2_000);
    assert!(troubles(&lab, 0, TroubleKind::Damaged) > 0, "the operator is told");
    assert_eq!(lab.value(carol, &document(1)), lab.value(1, &document(1)));
    assert_eq!(lab.parties[1].engine.saved(&document(1)).map(|saved| saved.relays), Some(1));
}

#[test]
fn acknowledging_waits_for_the_disk_and_forwarding_does_not() {
    let mut lab = room();
    lab.parties[0].holds_tasks = true;
    lab.change(1, document(1), |tx| tx.put("second", 2i64));
    lab.run(2_000);
    assert!(lab.value(2, &document(1)).expect("it is open").at("second").is_some(), "it is forwarded");
    let saved = lab.parties[1].engine.saved(&document(1)).expect("it is open");
    assert_eq!(saved.relays, 0, "and not acknowledged: {saved:?}");
    lab.release(0);
    lab.run(2_000);
    let saved = lab.parties[1].engine.saved(&document(1)).expect("it is open");
    assert_eq!(saved.relays, 1, "{saved:?}");
}

/// A store that is far behind refuses what it has no room to remember, also of a document of which nothing is held yet.
#[test]
fn a_document_refused_while_the_store_was_behind_is_asked_for_when_it_has_caught_up() {
    let mut lab = Lab::new(10);
    let ada = lab.add(Role::Client);
    let bob = lab.add_with(Role::Client, |config| config.limits.undurable_bytes_max = 1_024);
    lab.open_everywhere(space(), &[document(1), document(2)]);
    lab.connect(ada, bob);
    lab.run(1_000);
    lab.parties[bob].holds_tasks = true;
    for number in 0..20i64 {
        lab.change(ada, document(1), |tx| tx.put(format!("k{number}"), number));
    }
    lab.change(ada, document(2), |tx| tx.put("title", "tides"));
    lab.run(1_000);
    assert!(troubles(&lab, ada, TroubleKind::Refused) > 0, "the sender is told");
    assert_ne!(lab.value(ada, &document(2)), lab.value(bob, &document(2)));
    lab.release(bob);
    lab.run(10_000);
    for number in [1, 2] {
        assert_eq!(lab.value(ada, &document(number)), lab.value(bob, &document(number)), "document {number}");
    }
    assert_eq!(lab.parties[ada].engine.saved(&document(2)).map(|saved| saved.replicas), Some(1));
}

/// It asks everyone, also a peer that has forgotten the document since: the answer settles that too.
#[test]
fn a_peer_that_holds_nothing_of_a_refused_document_either_leaves_nothing_to_wait_for() {
    let mut lab = Lab::new(10);
    let bob = lab.add_with(Role::Client, |config| config.limits.undurable_bytes_max = 1_024);
    lab.open_everywhere(space(), &[]);
    let line = lab.dial_in_as(bob, &identity(60));
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    lab.parties[bob].holds_tasks = true;
    for number in [1, 2] {
        let payloads = changes(document(number), 10);
        lab.say(line, &Message::Entries { space: space(), document: document(number), payloads });
    }
    lab.release(bob);
    lab.run(1_000);
    let asks = Message::Have { space: space(), document: document(2), version: Version::new(), answer: false };
    assert!(lab.lines[line].heard.contains(&asks), "{:?}", lab.lines[line].heard);
    for asked in lab.lines[line].heard.clone() {
        if let Message::Have { document, version, answer: false, .. } = asked {
            lab.say(line, &Message::Same { document, digest: version.digest(&document) });
        }
    }
    assert_eq!(lab.parties[bob].engine.progress_of(&space()), (1, 1, 0), "nothing is waited for");
}

/// Changes of a document of one author's.
pub(super) fn changes(id: DocumentId, many: u8) -> Vec<Arc<[u8]>> {
    let actor = ActorId::new(&[9; 16]).expect("16 bytes are few enough");
    let mut document = Document::new(id, actor, TextUnit::CodePoint);
    let put = |number| Op::Put { path: vec![Prop::Key(format!("k{number}"))], value: Value::Int(number) };
    (0..many)
        .filter_map(|number| {
            document.edit(None, &Edit { ops: vec![put(i64::from(number))], message: None }, 0).expect("a good edit")
        })
        .map(|entry| entry.payload)
        .collect()
}
