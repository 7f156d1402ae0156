//! Bad peers: each bad frame gives the right error to the one who sent it, ends that connection, and harms nobody else.

use super::{document, identity, space};
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::{Event, TroubleKind};
use driftline_core::sync::hello::{Handshake, VERSION_MAX};
use driftline_core::sync::message::{ErrorCode, Message};
use driftline_tests::harness::lab::Lab;
use std::sync::Arc;

/// A relay with a writer and a reader connected, who stay to see whether they are harmed.
fn room() -> Lab {
    let mut lab = Lab::new(10);
    let relay = lab.add_with(Role::Relay, |config| {
        config.limits.frame_bytes_max = 1 << 16;
        config.limits.entry_bytes_max = 1 << 15;
    });
    let (ada, bob) = (lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    lab.connect(ada, relay);
    lab.connect(bob, relay);
    lab.change(ada, document(1), |tx| tx.put("before", true));
    lab.run(1_000);
    lab
}

/// Nobody was harmed: the two still write to each other through the relay, on the connections they had.
fn assert_unharmed(lab: &mut Lab) {
    for index in 0..3 {
        let lost = lab.parties[index].events.iter().any(|event| matches!(event, Event::PeerDisconnected { peer: Some(_), .. }));
        assert!(!lost || index == 0, "engine {index} lost a connection because of a stranger");
    }
    let before = lab.now_ms as i64;
    lab.change(1, document(1), |tx| tx.put("after", before));
    lab.run(1_000);
    assert_eq!(lab.value(1, &document(1)), lab.value(2, &document(1)));
    assert_eq!(lab.value(2, &document(1)).and_then(|value| value.at("after").and_then(|at| at.as_i64())), Some(before));
}

/// The error the relay answered on a line, which it must have closed.
fn error_on(lab: &Lab, line: usize) -> (ErrorCode, String) {
    let found = lab.lines[line].heard.iter().find_map(|message| match message {
        Message::Error { code, text, .. } => Some((*code, text.clone())),
        _ => None,
    });
    let (code, text) = found.unwrap_or_else(|| panic!("no error frame among {:?}", lab.lines[line]));
    assert!(code.is_fatal(), "{code:?} ends the connection");
    assert!(lab.lines[line].closed.is_some(), "the connection is closed after {code:?} {text}");
    assert!(text.len() > 10 && text.contains(' '), "a sentence, not {text:?}");
    (code, text)
}

#[test]
fn garbage_instead_of_a_hello_is_malformed() {
    let mut lab = room();
    for bytes in [vec![], vec![0], vec![255; 40], b"GET / HTTP/1.1\r\n".to_vec(), vec![1; 200]] {
        let line = lab.dial_in(0);
        lab.say_bytes(line, bytes.clone());
        assert_eq!(error_on(&lab, line).0, ErrorCode::Malformed, "{bytes:?}");
    }
    assert_unharmed(&mut lab);
}

#[test]
fn every_frame_cut_short_anywhere_is_malformed() {
    let mut lab = room();
    let version = driftline_core::log::version::Version::new();
    let frames = [
        Message::Subscribe { space: space(), eager: vec![(document(1), version.clone())], known: None, ranges: vec![] },
        Message::Have { space: space(), document: document(1), version, answer: false },
        Message::Same { document: document(1), digest: [7; 16] },
        Message::Ping { token: 9 },
        Message::Goodbye { text: "so long".to_owned() },
    ];
    let mut cut_frames = 0;
    for frame in &frames {
        let whole = frame.encode();
        for end in 1..whole.len() {
            if Message::decode(&whole[..end]).is_ok() {
                continue;
            }
            let line = lab.dial_in_as(0, &identity(40));
            lab.say_bytes(line, whole[..end].to_vec());
            assert_eq!(error_on(&lab, line).0, ErrorCode::Malformed, "{frame:?} cut at {end}");
            cut_frames += 1;
        }
    }
    assert!(cut_frames > 80, "{cut_frames}");
    assert_unharmed(&mut lab);
}

#[test]
fn a_frame_above_the_limit_is_too_large() {
    let mut lab = room();
    let line = lab.dial_in_as(0, &identity(41));
    lab.say_bytes(line, vec![8; (1 << 16) + 1]);
    let (code, text) = error_on(&lab, line);
    assert_eq!(code, ErrorCode::TooLarge);
    assert!(text.contains("65536") || text.contains("65,536"), "it says what the limit is: {text}");
    assert_unharmed(&mut lab);
}

#[test]
fn a_version_nobody_here_speaks_is_unsupported_and_the_answer_says_which_are() {
    let mut lab = room();
    for (version_min, version_max) in [(0, 0), (VERSION_MAX + 1, 99)] {
        let line = lab.dial_in(0);
        let (_, message) = Handshake::begin(&identity(42), true, [1; 32]);
        let Message::Hello(mut hello) = message else { unreachable!("a hello begins with a hello") };
        (hello.version_min, hello.version_max) = (version_min, version_max);
        lab.say(line, &Message::Hello(hello));
        let (code, text) = error_on(&lab, line);
        assert_eq!(code, ErrorCode::UnsupportedVersion);
        assert!(text.contains('1'), "it says what is spoken here: {text}");
    }
    assert_unharmed(&mut lab);
}

#[test]
fn a_wrong_signature_and_one_from_another_connection_prove_nothing() {
    let mut lab = room();
    let line = lab.dial_in(0);
    let (_, hello) = Handshake::begin(&identity(43), true, [1; 32]);
    lab.say(line, &hello);
    lab.say(line, &Message::Proof { signature: [7; 64] });
    assert_eq!(error_on(&lab, line).0, ErrorCode::BadProof);

    // A proof that was good on one connection, said again with the same hello on another.
    let earlier = lab.dial_in(0);
    let (mut handshake, hello) = Handshake::begin(&identity(43), true, [1; 32]);
    lab.say(earlier, &hello);
    let theirs = lab.hello(earlier);
    let proof = handshake.handle_hello(&identity(43), theirs).expect("a proper hello");
    lab.say(earlier, &proof);
    assert!(lab.lines[earlier].closed.is_none(), "the proof is good where it was made");
    let replay = lab.dial_in(0);
    lab.say(replay, &hello);
    lab.say(replay, &proof);
    assert_eq!(error_on(&lab, replay).0, ErrorCode::BadProof);
    assert_unharmed(&mut lab);
}

#[test]
fn what_may_not_come_yet_or_again_is_out_of_order() {
    let mut lab = room();
    let subscribe = Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] };
    let (_, hello) = Handshake::begin(&identity(44), true, [1; 32]);

    let before_hello = lab.dial_in(0);
    lab.say(before_hello, &subscribe);
    assert_eq!(error_on(&lab, before_hello).0, ErrorCode::OutOfOrder);

    let before_proof = lab.dial_in(0);
    lab.say(before_proof, &hello);
    lab.say(before_proof, &subscribe);
    assert_eq!(error_on(&lab, before_proof).0, ErrorCode::OutOfOrder);

    let twice = lab.dial_in_as(0, &identity(44));
    lab.say(twice, &hello);
    assert_eq!(error_on(&lab, twice).0, ErrorCode::OutOfOrder);
    assert_unharmed(&mut lab);
}

#[test]
fn entries_that_are_no_changes_end_the_connection_and_are_stored_nowhere() {
    let mut lab = room();
    let line = lab.dial_in_as(0, &identity(45));
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    let payloads = vec![Arc::from(&b"this is no change at all"[..])];
    lab.say(line, &Message::Entries { space: space(), document: document(2), payloads });
    assert_eq!(error_on(&lab, line).0, ErrorCode::BadEntry);
    lab.run(1_000);
    assert_eq!(lab.parties[0].engine.documents(&space()), [document(1)], "nothing of it is held");
    assert_unharmed(&mut lab);
}

#[test]
fn a_silent_stranger_is_sent_away_when_the_time_for_a_hello_is_over() {
    let mut lab = room();
    let line = lab.dial_in(0);
    lab.run(15_000);
    assert_eq!(error_on(&lab, line).0, ErrorCode::Timeout);
    assert_unharmed(&mut lab);
}

/// The machine at the other end has lost its power, and nobody says so.
#[test]
fn a_peer_of_which_nothing_is_heard_any_more_is_asked_and_then_let_go() {
    let mut lab = room();
    let line = lab.dial_in_as(0, &identity(49));
    lab.run(22_000);
    assert!(lab.lines[line].heard.iter().any(|message| matches!(message, Message::Ping { .. })));
    assert_eq!(lab.lines[line].closed, None, "it is given time to answer");
    lab.say(line, &Message::Ping { token: 1 });
    lab.run(22_000);
    assert_eq!(lab.lines[line].closed, None, "any word from it is an answer");
    lab.run(10_000);
    assert!(lab.lines[line].closed.is_some());
    assert_unharmed(&mut lab);
}

/// It says all the time that it is there, and holds memory that others are waiting for.
#[test]
fn a_peer_that_takes_nothing_of_what_it_is_sent_is_let_go_however_much_it_says() {
    let mut lab = room();
    let line = lab.dial_in_as(0, &identity(50));
    lab.run(1_000);
    lab.lines[line].takes_nothing = true;
    for token in 1..=5 {
        lab.say(line, &Message::Ping { token });
        lab.run(10_000);
    }
    assert_eq!(lab.lines[line].closed, None, "it may be slow");
    for token in 6..=9 {
        lab.say(line, &Message::Ping { token });
        lab.run(10_000);
    }
    assert!(lab.lines[line].closed.as_ref().is_some_and(|why| why.contains("taken nothing")));
    assert_unharmed(&mut lab);
}

#[test]
fn the_side_that_is_refused_tells_its_people_why() {
    let mut lab = Lab::new(10);
    let ada = lab.add(Role::Client);
    lab.open_everywhere(space(), &[document(1)]);
    let line = lab.dial_in_as(ada, &identity(46));
    lab.say(line, &Message::Error { code: ErrorCode::Busy, document: None, text: "the relay is full: try later".to_owned() });
    lab.run(100);
    let told = lab.parties[ada].events.iter().any(|event| match event {
        Event::Trouble(trouble) => trouble.kind == TroubleKind::Protocol && trouble.message.contains("the relay is full"),
        _ => false,
    });
    assert!(told, "{:?}", lab.parties[ada].events);
}

#[test]
fn random_bytes_and_random_changes_to_good_frames_never_panic_and_never_harm_the_others() {
    let mut lab = room();
    let mut dice = driftline_tests::harness::dice::Dice::new(1, "fuzz");
    let good: Vec<Vec<u8>> = {
        let version = driftline_core::log::version::Version::new();
        vec![
            Message::Subscribe { space: space(), eager: vec![(document(1), version.clone())], known: None, ranges: vec![] }
                .encode(),
            Message::Have { space: space(), document: document(1), version, answer: false }.encode(),
            Message::Ranges { space: space(), ranges: vec![] }.encode(),
            Message::Ack { document: document(1), held: vec![] }.encode(),
            Message::Entries { space: space(), document: document(1), payloads: vec![Arc::from([1, 2, 3])] }.encode(),
            Message::Pong { token: 3 }.encode(),
        ]
    };
    for round in 0..600 {
        let line = lab.dial_in_as(0, &identity(50 + (round % 100) as u8));
        for _ in 0..4 {
            let mut bytes = dice.pick(&good).clone();
            for _ in 0..dice.below(4) {
                let at = dice.index(bytes.len());
                bytes[at] = dice.below(256) as u8;
            }
            if dice.percent(20) {
                bytes.truncate(dice.index(bytes.len() + 1));
            }
            lab.say_bytes(line, bytes);
        }
        if round % 10 == 0 {
            lab.run(50);
        }
    }
    assert_unharmed(&mut lab);
}
