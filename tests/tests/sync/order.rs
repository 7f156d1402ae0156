//! In which order documents come to someone who lacks many: what people look at first, then what changed last.

use super::{document, identity, space};
use driftline_core::base::id::DocumentId;
use driftline_core::engine::config::Role;
use driftline_core::engine::input::Command;
use driftline_core::log::version::Version;
use driftline_core::sync::message::Message;
use driftline_core::sync::reconcile::{Range, RangeBody};
use driftline_tests::harness::lab::Lab;

/// A new device joins a space of fifty documents, with one of them already on the screen because it came by a link.
#[test]
fn the_document_on_the_screen_comes_first_and_then_what_changed_last() {
    let mut lab = Lab::new(10);
    let (relay, ada) = (lab.add(Role::Relay), lab.add(Role::Client));
    lab.open_everywhere(space(), &[]);
    lab.connect(ada, relay);
    // By a stride that meets every document once, so that no order is the order of the ids.
    let written: Vec<DocumentId> = (0..50).map(|turn| document(turn * 7 % 50)).collect();
    for id in &written {
        lab.command(ada, Command::OpenDocument { space: space(), document: *id });
        lab.change(ada, *id, |tx| tx.put("title", "tides"));
        lab.run(50);
    }
    lab.run(1_000);
    // In the first version entries are sent whole, with the name of their document.
    let mut stranger = identity(9);
    stranger.version_max = 1;
    let line = lab.dial_in_as(relay, &stranger);
    let on_screen = document(30);
    let nothing = vec![Range { below: None, body: RangeBody::Items(Vec::new()) }];
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![(on_screen, Version::new())], known: None, ranges: nothing });
    lab.run(1_000);
    let came: Vec<DocumentId> = lab.lines[line]
        .heard
        .iter()
        .filter_map(|message| match message {
            Message::Entries { document, .. } => Some(*document),
            _ => None,
        })
        .collect();
    let latest_first = written.iter().rev().copied().filter(|id| *id != on_screen);
    let wanted: Vec<DocumentId> = std::iter::once(on_screen).chain(latest_first).collect();
    assert_eq!(came, wanted);
}

/// A link is opened before anything of the document is here: its name goes out with the subscription, so that it need not wait for
/// the comparison of everything else.
#[test]
fn a_document_opened_by_a_link_is_here_after_one_round_trip() {
    let mut lab = Lab::new(100);
    let (relay, ada, bob) = (lab.add(Role::Relay), lab.add(Role::Client), lab.add(Role::Client));
    lab.command(ada, Command::OpenSpace { space: space() });
    lab.connect(ada, relay);
    for number in 0..40 {
        lab.command(ada, Command::OpenDocument { space: space(), document: document(number) });
        lab.change(ada, document(number), |tx| tx.put("title", "tides"));
    }
    lab.run(2_000);
    lab.command(bob, Command::OpenSpace { space: space() });
    lab.command(bob, Command::OpenDocument { space: space(), document: document(20) });
    lab.connect(bob, relay);
    // The hello takes one round trip, the subscription and its answer the next.
    lab.run(100 + 200);
    assert!(lab.value(bob, &document(20)).expect("it is open").at("title").is_some());
    lab.run(2_000);
    assert_eq!(lab.parties[bob].engine.documents(&space()).len(), 40);
}
