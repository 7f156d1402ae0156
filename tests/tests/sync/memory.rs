//! Memory: a relay keeps what it may, lets go of what is quiet, and says so when there is no more room.

use super::{document, space};
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::Command;
use driftline_tests::harness::lab::Lab;

const LATENCY_MS: u64 = 10;
const DOCUMENTS: u16 = 200;

/// A relay with these bounds, and a client that goes through `documents` several times and puts something into each.
fn written(recent_bytes_max: usize, documents_bytes_max: usize, documents: u16) -> (Lab, usize) {
    let mut lab = Lab::new(LATENCY_MS);
    let relay = lab.add_with(Role::Relay, |config| {
        config.limits.recent_bytes_max = recent_bytes_max;
        config.limits.documents_bytes_max = documents_bytes_max;
    });
    let ada = lab.add(Role::Client);
    lab.command(ada, Command::OpenSpace { space: space() });
    lab.connect(ada, relay);
    lab.run(1_000);
    let mut most = 0;
    for round in 0..3i64 {
        for number in 0..documents {
            lab.command(ada, Command::OpenDocument { space: space(), document: document(number) });
            lab.run(5);
            lab.change(ada, document(number), |tx| tx.put("round", round));
            lab.run(5);
            lab.command(ada, Command::CloseDocument { document: document(number) });
            most = most.max(lab.parties[relay].engine.documents_bytes());
        }
    }
    lab.run(10_000);
    (lab, most)
}

#[test]
fn a_relay_lets_go_of_quiet_documents_and_still_serves_them_all() {
    let (unbounded, needed) = written(usize::MAX, usize::MAX, DOCUMENTS);
    let quiet = unbounded.parties[0].engine.documents_bytes();
    assert_eq!(unbounded.parties[0].engine.sizes().let_go, 0);
    let (mut lab, most) = written(20_000, usize::MAX, DOCUMENTS);
    let sizes = lab.parties[0].engine.sizes();
    assert!(sizes.let_go > u64::from(DOCUMENTS), "{} were let go of", sizes.let_go);
    assert!(most < needed / 2, "{most} bytes at most, and {needed} without a bound");
    assert!(sizes.documents_bytes < quiet / 2, "{} bytes, and {quiet} without a bound", sizes.documents_bytes);

    // Someone new, and the one who wrote: both have everything, and go on.
    let bob = lab.add(Role::Client);
    lab.command(bob, Command::OpenSpace { space: space() });
    lab.connect(bob, 0);
    lab.run(20_000);
    assert_eq!(lab.parties[bob].engine.documents(&space()).len(), usize::from(DOCUMENTS));
    for number in [0, 100, 199] {
        for index in [1, bob] {
            lab.command(index, Command::OpenDocument { space: space(), document: document(number) });
        }
        lab.run(1_000);
        lab.change(bob, document(number), |tx| tx.put("by", "bob"));
        lab.run(1_000);
        assert_eq!(lab.value(1, &document(number)), lab.value(bob, &document(number)));
        assert_eq!(lab.parties[bob].engine.saved(&document(number)).map(|saved| saved.relays), Some(1));
    }
}

#[test]
fn a_relay_without_room_for_more_says_so_and_goes_on_with_what_it_has() {
    const BYTES: usize = 30_000;
    let (mut lab, most) = written(BYTES, BYTES, DOCUMENTS);
    let held = lab.parties[0].engine.documents(&space());
    assert!(held.len() > 20 && held.len() < usize::from(DOCUMENTS), "{} documents are held", held.len());
    assert!(most < BYTES + 2_000, "{most} bytes");
    let told = |event: &Event| matches!(event, Event::Trouble(trouble) if trouble.message.contains("--memory-max"));
    assert!(lab.parties[1].events.iter().any(told), "the writer is told what to do");

    let first = held[0];
    lab.command(1, Command::OpenDocument { space: space(), document: first });
    lab.run(1_000);
    lab.change(1, first, |tx| tx.put("more", true));
    lab.run(1_000);
    assert_eq!(lab.parties[1].engine.saved(&first).map(|saved| (saved.relays, saved.unsaved)), Some((1, 0)));
}
