//! Who is here, when connections end.

use super::{document, identity, space};
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::Command;
use driftline_core::sync::message::Message;
use driftline_tests::harness::lab::Lab;

/// The last that an engine was told of anyone but itself.
fn shown(lab: &Lab, index: usize) -> Option<Option<String>> {
    let me = lab.parties[index].engine.peer_id();
    lab.parties[index].events.iter().rev().find_map(|event| match event {
        Event::Presence { peer, state, .. } if Some(*peer) != me => Some(state.clone()),
        _ => None,
    })
}

#[test]
fn whoever_is_cut_off_is_seen_to_be_gone_at_once_and_not_when_the_presence_expires() {
    let mut lab = Lab::new(10);
    let (relay, ada, bob) = (lab.add(Role::Relay), lab.add(Role::Client), lab.add(Role::Client));
    lab.open_everywhere(space(), &[document(1)]);
    let here = lab.connect(ada, relay);
    lab.connect(bob, relay);
    lab.command(ada, Command::SetPresence { space: space(), instance: 1, state: Some("ada is here".to_owned()) });
    lab.run(1_000);
    assert_eq!(shown(&lab, bob), Some(Some("ada is here".to_owned())));
    lab.cut(ada, here);
    lab.run(1_000);
    assert_eq!(shown(&lab, bob), Some(None));
}

#[test]
fn whoever_has_closed_a_space_hears_no_more_of_it() {
    let mut lab = Lab::new(10);
    let ada = lab.add(Role::Client);
    lab.open_everywhere(space(), &[document(1)]);
    let line = lab.dial_in_as(ada, &identity(60));
    lab.say(line, &Message::Subscribe { space: space(), eager: vec![], known: None, ranges: vec![] });
    lab.say(line, &Message::Unsubscribe { space: space() });
    let before = lab.lines[line].heard.len();
    lab.command(ada, Command::SetPresence { space: space(), instance: 1, state: Some("ada is here".to_owned()) });
    lab.change(ada, document(1), |tx| tx.put("title", "tides"));
    lab.run(5_000);
    let heard: Vec<_> =
        lab.lines[line].heard[before..].iter().filter(|message| !matches!(message, Message::Ping { .. })).collect();
    assert!(heard.is_empty(), "{heard:?}");
}
