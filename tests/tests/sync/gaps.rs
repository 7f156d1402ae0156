//! Entries that do not fit what is held: they are not kept, what they lack is asked for, and a peer that sends nothing else is
//! not listened to for ever.

use super::{document, identity, space};
use driftline_core::base::id::ActorId;
use driftline_core::doc::document::Document;
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::value::{Prop, TextUnit, Value};
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::{Event, TroubleKind};
use driftline_core::engine::input::Command;
use driftline_core::log::entry::Entry;
use driftline_core::log::version::Version;
use driftline_core::sync::delta::STRIKES_MAX;
use driftline_core::sync::message::{ErrorCode, Message};
use driftline_tests::harness::lab::Lab;
use std::sync::Arc;

/// A document's history: four changes of one author's, and a fifth of another's on top of them.
fn history() -> Vec<Arc<Entry>> {
    let author = |byte| ActorId::new(&[byte; 16]).expect("16 bytes are few enough");
    let put = |number: i64| Edit {
        ops: vec![Op::Put { path: vec![Prop::Key(format!("k{number}"))], value: Value::Int(number) }],
        message: None,
    };
    let mut one = Document::new(document(1), author(8), TextUnit::CodePoint);
    let mut other = Document::new(document(1), author(9), TextUnit::CodePoint);
    let mut history: Vec<Arc<Entry>> = (0..4)
        .map(|number| Arc::new(one.edit(None, &put(number), 0).expect("a good edit").expect("it does something")))
        .collect();
    other.apply(history.clone()).expect("changes that follow each other");
    history.push(Arc::new(other.edit(None, &put(4), 0).expect("a good edit").expect("it does something")));
    history
}

/// An engine, and a line on which the test syncs the space with it.
fn room() -> (Lab, usize) {
    let mut lab = Lab::new(10);
    let bob = lab.add(Role::Client);
    lab.open_everywhere(space(), &[document(1)]);
    let line = lab.dial_in_as(bob, &identity(60));
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    (lab, line)
}

fn send(lab: &mut Lab, line: usize, entries: &[Arc<Entry>]) {
    let payloads = entries.iter().map(|entry| Arc::clone(&entry.payload)).collect();
    lab.say(line, &Message::Entries { space: space(), document: document(1), payloads });
}

/// What the engine has asked on a line, oldest first.
fn asked(lab: &Lab, line: usize) -> Vec<Version> {
    let question = |message: &Message| match message {
        Message::Have { version, answer: false, .. } => Some(version.clone()),
        _ => None,
    };
    lab.lines[line].heard.iter().filter_map(question).collect()
}

fn version_of(entries: &[Arc<Entry>]) -> Version {
    let mut version = Version::new();
    entries.iter().for_each(|entry| version.advance(entry));
    version
}

fn keys(lab: &Lab) -> usize {
    lab.value(0, &document(1)).and_then(|value| value.as_map().map(|map| map.len())).unwrap_or(0)
}

#[test]
fn an_entry_whose_author_has_written_others_before_it_that_are_not_held_is_asked_about() {
    let (mut lab, line) = room();
    let history = history();
    send(&mut lab, line, &history[..1]);
    send(&mut lab, line, &history[2..3]);
    assert_eq!(keys(&lab), 1, "what does not fit is not shown");
    assert_eq!(asked(&lab, line), [version_of(&history[..1])], "and its sender learns how far the document is held");
    send(&mut lab, line, &history[3..4]);
    assert_eq!(asked(&lab, line).len(), 1, "one question is enough while it is not answered");
    lab.say(line, &Message::Have { space: space(), document: document(1), version: version_of(&history[..4]), answer: true });
    send(&mut lab, line, &history[1..4]);
    assert_eq!(keys(&lab), 4);
    assert_eq!(lab.parties[0].engine.progress_of(&space()), (1, 1, 0), "nothing is waited for");
}

#[test]
fn an_entry_that_depends_on_what_nobody_sent_is_asked_about() {
    let (mut lab, line) = room();
    let history = history();
    send(&mut lab, line, &history[4..]);
    assert_eq!(keys(&lab), 0);
    assert_eq!(asked(&lab, line), [Version::new()]);
    send(&mut lab, line, &history);
    assert_eq!(keys(&lab), 5);
}

/// After a restart nothing is in memory but how far the document goes; whether an entry fits is then for the store to say.
#[test]
fn what_an_entry_depends_on_is_looked_up_in_the_store_before_it_is_asked_about() {
    let (mut lab, line) = room();
    let history = history();
    send(&mut lab, line, &history[..4]);
    lab.change(0, document(1), |tx| tx.put("of my own", true));
    let line = restart(&mut lab);
    let log = lab.parties[0].engine.log(&document(1)).expect("it is stored");
    assert!(!log.version().heads.contains(&history[3].hash), "what it depends on is no head here, and has to be looked up");
    send(&mut lab, line, &history[4..]);
    assert_eq!(lab.parties[0].engine.log(&document(1)).map(|log| log.end()), Some(6));
    assert_eq!(asked(&lab, line), []);
}

#[test]
fn what_the_store_does_not_hold_either_is_asked_about_and_what_came_behind_it_is_taken_in_order() {
    let (mut lab, _) = room();
    lab.change(0, document(1), |tx| tx.put("of my own", true));
    let line = restart(&mut lab);
    let held = lab.parties[0].engine.log(&document(1)).expect("it is stored").version().clone();
    let history = history();
    lab.parties[0].holds_tasks = true;
    send(&mut lab, line, &history[4..]);
    send(&mut lab, line, &history);
    lab.release(0);
    assert_eq!(asked(&lab, line), [held]);
    assert_eq!(lab.parties[0].engine.log(&document(1)).map(|log| log.end()), Some(6));
}

/// Starts the engine again on what its store holds; answers a new line.
fn restart(lab: &mut Lab) -> usize {
    lab.restart(0, |_| {});
    lab.command(0, Command::OpenSpace { space: space() });
    let line = lab.dial_in_as(0, &identity(60));
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    line
}

/// It may be a peer whose own log is not whole, or one that wants to keep us busy.
#[test]
fn a_peer_that_only_ever_sends_what_does_not_fit_is_asked_a_few_times_and_then_told_so() {
    let (mut lab, line) = room();
    let history = history();
    let version = version_of(&history[..4]);
    for _ in 0..4 * STRIKES_MAX {
        send(&mut lab, line, &history[2..3]);
        lab.say(line, &Message::Have { space: space(), document: document(1), version: version.clone(), answer: true });
    }
    assert_eq!(asked(&lab, line).len(), usize::from(STRIKES_MAX) - 1);
    let complaints = |message: &&Message| matches!(message, Message::Error { code: ErrorCode::MissingDependency, .. });
    assert_eq!(lab.lines[line].heard.iter().filter(complaints).count(), 1, "it is said once");
    let told = |event: &&Event| matches!(event, Event::Trouble(trouble) if trouble.kind == TroubleKind::Protocol);
    assert_eq!(lab.parties[0].events.iter().filter(told).count(), 1);
    send(&mut lab, line, &history);
    assert_eq!(keys(&lab), 0, "about this document it is not listened to any more");
    let other = lab.dial_in_as(0, &identity(61));
    lab.say(other, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    send(&mut lab, other, &history);
    assert_eq!(keys(&lab), 5, "others are");
}

/// Peers that went through a bad time and mended are not held to it.
#[test]
fn something_that_fits_between_makes_good_what_did_not() {
    let (mut lab, line) = room();
    let history = history();
    let version = version_of(&history[..4]);
    for turn in 0..3 {
        for _ in 0..STRIKES_MAX - 1 {
            send(&mut lab, line, &history[3..4]);
            lab.say(line, &Message::Have { space: space(), document: document(1), version: version.clone(), answer: true });
        }
        send(&mut lab, line, &history[turn..=turn]);
    }
    send(&mut lab, line, &history);
    assert_eq!(keys(&lab), 5);
}
