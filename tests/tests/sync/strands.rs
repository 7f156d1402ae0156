//! Entries by strands, when the other side keeps to no rule: each bad frame ends its own connection and nothing else.

use super::{document, identity, space};
use driftline_core::base::id::{ActorId, DocumentId};
use driftline_core::doc::document::Document;
use driftline_core::doc::value::{TextUnit, Value};
use driftline_core::engine::config::Role;
use driftline_core::log::entry::Entry;
use driftline_core::sync::message::{ErrorCode, Message};
use driftline_core::sync::strands::{Form, Item};
use driftline_tests::harness::dice::Dice;
use driftline_tests::harness::lab::Lab;
use std::sync::Arc;

/// Changes of one actor to a document of its own: a text, then letter after letter.
fn letters(document: DocumentId, actor: u8, many: usize) -> Vec<Entry> {
    let mut made = Document::new(document, ActorId::new(&[actor; 16]).expect("16 bytes are few enough"), TextUnit::CodePoint);
    let begin = made.change(None, 0, |tx| tx.put("text", Value::Text(String::new()))).expect("a text");
    let mut entries = vec![begin.0.expect("it does something")];
    for at in 0..many {
        entries.extend(made.change(None, 0, |tx| tx.splice("text", at, 0, "a")).expect("a letter").0);
    }
    entries
}

fn begin(strand: u64, entry: &Entry) -> Item {
    Item { strand, form: Form::Begin { space: space(), document: entry.document }, bytes: entry.payload.clone() }
}

fn whole(strand: u64, entry: &Entry) -> Item {
    Item { strand, form: Form::Whole, bytes: entry.payload.clone() }
}

fn abridged(strand: u64, bytes: &[u8]) -> Item {
    Item { strand, form: Form::Abridged, bytes: Arc::from(bytes) }
}

/// A relay in the space, and a stranger who has proved itself and subscribed.
fn relay() -> (Lab, usize) {
    let mut lab = Lab::new(10);
    lab.add_with(Role::Relay, |config| {
        config.limits.frame_bytes_max = 1 << 16;
        config.limits.entry_bytes_max = 1 << 15;
    });
    let line = stranger(&mut lab, 90);
    (lab, line)
}

fn stranger(lab: &mut Lab, secret: u8) -> usize {
    let line = lab.dial_in_as(0, &identity(secret));
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    line
}

fn errors(lab: &Lab, line: usize) -> Vec<ErrorCode> {
    let code = |message: &Message| match message {
        Message::Error { code, .. } => Some(*code),
        _ => None,
    };
    lab.lines[line].heard.iter().filter_map(code).collect()
}

fn held(lab: &Lab, number: u16) -> u64 {
    lab.parties[0].engine.log(&document(number)).map_or(0, |log| log.end())
}

#[test]
fn each_item_that_fits_nothing_ends_the_connection_and_is_stored_nowhere() {
    let own = letters(document(1), 1, 3);
    let other = letters(document(2), 1, 3);
    let cases: Vec<(&str, Vec<Item>, ErrorCode)> = vec![
        ("a strand that has not begun", vec![whole(7, &own[0])], ErrorCode::Malformed),
        ("an abridged change of such", vec![abridged(7, &[0; 9])], ErrorCode::Malformed),
        ("a gap", vec![begin(1, &own[0]), whole(1, &own[2])], ErrorCode::Malformed),
        ("the same again", vec![begin(1, &own[0]), whole(1, &own[0])], ErrorCode::Malformed),
        ("another's change", vec![begin(1, &own[0]), whole(1, &letters(document(1), 9, 1)[1])], ErrorCode::Malformed),
        ("two documents", vec![begin(1, &own[0]), begin(2, &other[0])], ErrorCode::Malformed),
        ("nothing", vec![], ErrorCode::Malformed),
        ("an abridged change that does not decode", vec![begin(1, &own[0]), abridged(1, &[0xff; 30])], ErrorCode::BadEntry),
        ("one whose checksum is wrong", vec![begin(1, &own[0]), abridged(1, &[7, 1, 2, 3, 4, 0, 0])], ErrorCode::BadEntry),
        ("no change at all", vec![Item { bytes: Arc::from(*b"hello"), ..begin(1, &own[0]) }], ErrorCode::BadEntry),
    ];
    for (what, items, code) in cases {
        let (mut lab, line) = relay();
        lab.say(line, &Message::Strands { items });
        assert_eq!(errors(&lab, line), [code], "{what}");
        assert!(lab.lines[line].closed.is_some(), "{what} ends the connection");
        assert_eq!((held(&lab, 1), held(&lab, 2)), (0, 0), "{what} is stored nowhere");
    }
}

#[test]
fn a_frame_that_restores_to_more_than_a_frame_may_be_is_refused() {
    // A relay of the usual limits makes a small frame of many letters.
    let mut lab = Lab::new(10);
    lab.add(Role::Relay);
    let (writer, reader) = (stranger(&mut lab, 90), stranger(&mut lab, 91));
    let entries = letters(document(1), 1, 700);
    let payloads = entries.iter().map(|entry| entry.payload.clone()).collect();
    lab.say(writer, &Message::Entries { space: space(), document: document(1), payloads });
    lab.run(100);
    let frame = lab.lines[reader].heard.iter().find(|heard| matches!(heard, Message::Strands { .. })).expect("letters").encode();
    assert!(frame.len() < 10_000, "{}", frame.len());
    let on_the_wire = lab.sent.iter().filter(|sent| sent.name == "strands").map(|sent| sent.bytes).max();
    assert!(on_the_wire < Some(frame.len() / 4 * 3), "it was deflated: {on_the_wire:?} of {}", frame.len());

    let (mut lab, line) = relay();
    lab.say_bytes(line, frame);
    assert_eq!(errors(&lab, line), [ErrorCode::TooLarge]);
    assert_eq!(held(&lab, 1), 0);
}

#[test]
fn strands_are_followed_also_where_their_entries_are_not_wanted() {
    // The relay has let go of the space when a frame arrives that was on its way: its strands go on afterwards.
    let (mut lab, line) = relay();
    let entries = letters(document(1), 1, 3);
    lab.say(line, &Message::Unsubscribe { space: space() });
    lab.say(line, &Message::Strands { items: vec![begin(5, &entries[0])] });
    assert_eq!((errors(&lab, line), held(&lab, 1)), (vec![ErrorCode::NotSubscribed], 0));
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    lab.say(line, &Message::Entries { space: space(), document: document(1), payloads: vec![entries[0].payload.clone()] });
    lab.say(line, &Message::Strands { items: vec![whole(5, &entries[1])] });
    assert!(lab.lines[line].closed.is_none(), "{:?}", lab.lines[line]);
    assert_eq!(held(&lab, 1), 2);
}

#[test]
fn strands_before_they_were_agreed_on_are_refused() {
    let mut lab = Lab::new(10);
    lab.add(Role::Relay);
    let mut old = identity(91);
    old.version_max = 1;
    let line = lab.dial_in_as(0, &old);
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    let entries = letters(document(1), 1, 3);
    lab.say(line, &Message::Entries { space: space(), document: document(1), payloads: vec![entries[0].payload.clone()] });
    assert_eq!(held(&lab, 1), 1, "what the first version has is taken");
    lab.say(line, &Message::Strands { items: vec![begin(1, &entries[1])] });
    assert_eq!(errors(&lab, line), [ErrorCode::Malformed]);
    assert_eq!(held(&lab, 1), 1);
}

#[test]
fn a_reader_who_comes_and_goes_and_one_who_stays_get_the_same_letters() {
    let (mut lab, writer) = relay();
    let stays = stranger(&mut lab, 92);
    let entries = letters(document(1), 1, 40);
    let mut sent = vec![begin(3, &entries[0])];
    let mut others = Vec::new();
    for (at, entry) in entries[1..].iter().enumerate() {
        lab.say(writer, &Message::Strands { items: std::mem::take(&mut sent) });
        lab.run(50);
        if at % 10 == 0 {
            others.push(stranger(&mut lab, 100 + at as u8));
            let line = *others.last().expect("one was added");
            let question = Message::Have { space: space(), document: document(1), version: Default::default(), answer: false };
            lab.say(line, &question);
        }
        sent.push(whole(3, entry));
    }
    lab.say(writer, &Message::Strands { items: sent });
    lab.run(1_000);
    let got = |line: usize| -> usize {
        lab.lines[line].heard.iter().map(|heard| if let Message::Strands { items } = heard { items.len() } else { 0 }).sum()
    };
    assert_eq!(held(&lab, 1), 41);
    assert_eq!(got(stays), 41);
    assert!(others.iter().all(|line| got(*line) == 41), "{:?}", others.iter().map(|line| got(*line)).collect::<Vec<_>>());
    let forms = |line: usize| {
        let items = lab.lines[line]
            .heard
            .iter()
            .filter_map(|heard| if let Message::Strands { items } = heard { Some(items) } else { None });
        items.flatten().filter(|item| item.form != Form::Abridged).count()
    };
    assert!(forms(stays) == 1 && others.iter().all(|line| forms(*line) == 1), "only the first is sent whole, once to each");
}

#[test]
fn random_changes_to_good_frames_never_panic() {
    let entries = letters(document(1), 1, 6);
    let mut dice = Dice::new(2, "strands");
    // What an engine makes of them, so that abridged changes are among them.
    let (mut lab, writer) = relay();
    let reader = stranger(&mut lab, 93);
    for (at, entry) in entries.iter().enumerate() {
        let item = if at == 0 { begin(1, entry) } else { whole(1, entry) };
        lab.say(writer, &Message::Strands { items: vec![item] });
    }
    lab.run(100);
    let good: Vec<Vec<u8>> =
        lab.lines[reader].heard.iter().filter(|heard| matches!(heard, Message::Strands { .. })).map(Message::encode).collect();
    assert!(good.len() == entries.len() && good[1..].iter().all(|frame| frame.len() < 40), "{good:?}");
    let mut refused = 0;
    for round in 0..400 {
        let (mut lab, line) = relay();
        let spoilt = dice.index(good.len());
        for (at, frame) in good.iter().enumerate() {
            let mut bytes = frame.clone();
            if at == spoilt {
                for _ in 0..=dice.below(2) {
                    let at = 1 + dice.index(bytes.len() - 1);
                    bytes[at] = dice.below(256) as u8;
                }
            }
            lab.say_bytes(line, bytes);
        }
        refused += usize::from(lab.lines[line].closed.is_some());
        let held = held(&lab, 1);
        assert!(held <= entries.len() as u64, "round {round}");
    }
    assert!(refused > 200, "{refused} of 400");
}
