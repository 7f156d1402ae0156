//! Things that come in an awkward order: a slow peer, a read that is overtaken, changes before the first word.

use super::{document, identity, space};
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::Command;
use driftline_core::log::version::Version;
use driftline_core::store::task::StoreErrorKind;
use driftline_core::sync::message::Message;
use driftline_tests::harness::lab::Lab;

/// Changes that came on a line, in all.
fn changes_heard(lab: &Lab, line: usize) -> usize {
    let changes = |message: &Message| match message {
        Message::Entries { payloads, .. } => payloads.len(),
        Message::Strands { items } => items.len(),
        _ => 0,
    };
    lab.lines[line].heard.iter().map(changes).sum()
}

/// A line on which the test syncs the space with engine `index`.
fn line(lab: &mut Lab, index: usize) -> usize {
    let line = lab.dial_in_as(index, &identity(60));
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    line
}

fn tell(lab: &mut Lab, line: usize, version: Version) {
    lab.say(line, &Message::Have { space: space(), document: document(1), version, answer: true });
}

/// A client that has written `changes` in a document and started again: what it holds is in its store alone.
fn started_again(changes: i64) -> Lab {
    let mut lab = Lab::new(10);
    let ada = lab.add(Role::Client);
    lab.open_everywhere(space(), &[document(1)]);
    for number in 0..changes {
        lab.change(ada, document(1), |tx| tx.put(format!("k{number}"), number));
    }
    lab.restart(ada, |_| {});
    lab.command(ada, Command::OpenSpace { space: space() });
    lab
}

/// More than may wait for a slow peer: what did not fit goes when there is room again, and not when something else happens.
#[test]
fn a_peer_that_has_more_than_enough_to_take_gets_the_rest_when_it_has_taken_it() {
    let mut lab = Lab::new(10);
    let ada = lab.add_with(Role::Client, |config| config.limits.outbound_bytes_max = 1_024);
    let bob = lab.add(Role::Client);
    lab.open_everywhere(space(), &[]);
    // Text that does not pack into less.
    let words: String = (0..1_000u32).map(|number| (number * 7_919 % 10_007).to_string()).collect();
    for number in 1..=3 {
        lab.command(ada, Command::OpenDocument { space: space(), document: document(number) });
        lab.change(ada, document(number), |tx| tx.put("words", words.as_str()));
        lab.command(ada, Command::CloseDocument { document: document(number) });
    }
    lab.connect(ada, bob);
    lab.run(1_000);
    assert_eq!(lab.parties[bob].engine.documents(&space()).len(), 3);
}

/// While the store reads what a peer lacked, the peer says that it lacks more: it has lost what it had.
#[test]
fn a_read_for_what_a_peer_lacked_before_is_not_taken_for_what_it_lacks_now() {
    let mut lab = started_again(5);
    let whole = lab.parties[0].engine.log(&document(1)).expect("it is stored").version().clone();
    let line = line(&mut lab, 0);
    lab.parties[0].holds_tasks = true;
    let (actor, _) = whole.clock.iter().next().map(|(actor, seq)| (*actor, seq)).expect("someone wrote it");
    let some = Version { heads: whole.heads.clone(), clock: [(actor, 3)].into_iter().collect() };
    tell(&mut lab, line, some);
    tell(&mut lab, line, Version::new());
    lab.release(0);
    assert_eq!(changes_heard(&lab, line), 5, "it is sent everything, once");
}

#[test]
fn a_read_that_fails_is_made_again_for_the_peer_that_waits_for_it() {
    let mut lab = started_again(5);
    lab.parties[0].refusals.insert("read", StoreErrorKind::Unavailable);
    let line = line(&mut lab, 0);
    tell(&mut lab, line, Version::new());
    lab.parties[0].refusals.clear();
    assert_eq!(changes_heard(&lab, line), 0);
    lab.run(6_000);
    assert_eq!(changes_heard(&lab, line), 5);
}

/// The peer holds the end of the log and not its middle: having read to the end is enough, and the store is let alone.
#[test]
fn a_peer_is_caught_up_by_one_read_also_when_it_holds_the_newest() {
    let mut lab = started_again(3);
    lab.command(0, Command::OpenDocument { space: space(), document: document(1) });
    lab.change(0, document(1), |tx| tx.put("new", true));
    let whole = lab.parties[0].engine.log(&document(1)).expect("it is stored").version().clone();
    lab.restart(0, |_| {});
    lab.command(0, Command::OpenSpace { space: space() });
    let line = line(&mut lab, 0);
    let newest: Vec<_> = whole.clock.iter().map(|(actor, seq)| (*actor, seq)).filter(|(_, seq)| *seq == 1).collect();
    lab.parties[0].holds_tasks = true;
    tell(&mut lab, line, Version { heads: whole.heads.clone(), clock: newest.into_iter().collect() });
    assert!(lab.release_one(0), "the store is read");
    assert!(!lab.release_one(0), "and read again");
    assert_eq!(changes_heard(&lab, line), 3);
    assert_eq!(lab.parties[0].engine.progress_of(&space()), (1, 1, 0));
}

/// Someone pastes and types before the driver has drained, in a document that a peer has never been told of.
#[test]
fn changes_made_together_in_a_new_document_go_together() {
    let mut lab = Lab::new(10);
    let (ada, bob) = (lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[]);
    lab.connect(ada, bob);
    lab.run(1_000);
    lab.command(ada, Command::OpenDocument { space: space(), document: document(1) });
    let now = driftline_core::base::time::Now::at(lab.now_ms);
    for number in 0..3i64 {
        let change = lab.parties[ada].engine.change(now, document(1), None, |tx| tx.put(format!("k{number}"), number));
        change.expect("it is open");
    }
    let from = lab.sent.len();
    lab.run(1_000);
    lab.command(ada, Command::NetworkChanged);
    lab.run(1_000);
    assert_eq!(lab.parties[bob].engine.log(&document(1)).map(|log| log.end()), Some(3));
    let asked = lab.sent[from..].iter().filter(|sent| sent.from == bob && sent.name == "have").count();
    assert_eq!(asked, 0, "nothing was missing between");
}

/// What has only been asked is not known: a space is not called in sync before the answer.
#[test]
fn a_peer_is_not_in_sync_before_it_has_answered() {
    let mut lab = Lab::new(100);
    let (ada, bob) = (lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    let here = lab.connect(ada, bob);
    lab.change(ada, document(1), |tx| tx.put("title", "tides"));
    lab.run(2_000);
    lab.cut(ada, here);
    lab.change(bob, document(1), |tx| tx.put("title", "neap tides"));
    for index in [ada, bob] {
        lab.command(index, Command::CloseDocument { document: document(1) });
    }
    lab.parties[ada].events.clear();
    lab.connect(ada, bob);
    lab.run(10_000);
    assert_eq!(lab.parties[ada].engine.progress_of(&space()), (1, 1, 0));
    let title = |event: &Event| matches!(event, Event::DocumentChanged { .. });
    let in_sync = |event: &Event| matches!(event, Event::SpaceSync { in_sync, peers: 1, .. } if *in_sync == 1);
    let events = &lab.parties[ada].events;
    let (changed, told) = (events.iter().position(title), events.iter().position(in_sync));
    assert!(changed.is_some() && changed < told, "what bob wrote comes before the word that all is here: {events:?}");
}
