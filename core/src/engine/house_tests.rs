//! The rules of a relay's house: each refused with its own error, the others unharmed, and it goes on where there is room again.

use super::config::{EngineConfig, Quotas, Role};
use super::effect::{Audit, Event, TroubleKind};
use super::input::{Command, Input};
use super::tests::{NOTE, SPACE, World};
use crate::base::id::{DocumentId, PeerId, SpaceId};
use crate::base::time::Now;
use crate::policy::rate::Rate;
use crate::sync::message::ErrorCode;
use crate::trust::key::{SecretKey, Signer as _};

const RELAY: usize = 0;
const ANNA: usize = 1;
const BEN: usize = 2;

fn peer(node: usize) -> PeerId {
    SecretKey::new(&[node as u8 + 100; 32]).peer()
}

/// A relay with rules of its own, and two clients that dial it.
fn world(rules: impl Fn(&mut EngineConfig)) -> World {
    let mut world = World::with(&[Role::Relay, Role::Client, Role::Client], |config| {
        config.identity = Some([config.seed[0] + 100; 32]);
        if config.role == Role::Relay {
            config.audit = true;
            rules(config);
        }
    });
    for node in [ANNA, BEN] {
        world.input(node, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    }
    world
}

/// So many letters that do not compress.
fn letters(count: usize) -> String {
    let mut rng = crate::base::rng::Rng::new([7; 32]);
    (0..count).map(|_| char::from(b'a' + rng.below(26) as u8)).collect()
}

fn refused(world: &World, code: ErrorCode) -> u64 {
    world.nodes[RELAY].engine.stats().refused.get(&code).copied().unwrap_or(0)
}

fn told(world: &World, node: usize) -> Vec<(TroubleKind, String)> {
    let trouble = |event: &Event| match event {
        Event::Trouble(trouble) => Some((trouble.kind, trouble.message.clone())),
        _ => None,
    };
    world.nodes[node].events.iter().filter_map(trouble).collect()
}

fn audits(world: &World) -> Vec<Audit> {
    let audit = |event: &Event| if let Event::Audit(audit) = event { Some(audit.clone()) } else { None };
    world.nodes[RELAY].events.iter().filter_map(audit).collect()
}

fn relays_with(world: &World, node: usize) -> usize {
    world.nodes[node].engine.saved(&NOTE).map_or(0, |saved| saved.relays)
}

#[test]
fn a_relay_that_was_told_nothing_takes_everyone() {
    let mut world = world(|_| {});
    world.open(ANNA);
    world.connect(ANNA, RELAY);
    world.write(ANNA, "calm");
    world.run();
    assert_eq!((relays_with(&world, ANNA), told(&world, ANNA)), (1, vec![]));
    assert_eq!(audits(&world), [Audit::SpaceMade { space: SPACE, peer: peer(ANNA) }]);
}

#[test]
fn only_keys_on_the_list_are_let_in_and_who_is_taken_off_it_is_let_go() {
    let mut world = world(|config| config.allowed = Some([peer(ANNA)].into()));
    for node in [ANNA, BEN] {
        world.open(node);
        world.write(node, "calm");
        world.connect(node, RELAY);
        world.run();
    }
    assert_eq!((relays_with(&world, ANNA), relays_with(&world, BEN)), (1, 0));
    let [(kind, why)] = &told(&world, BEN)[..] else { panic!("{:?}", told(&world, BEN)) };
    assert!(*kind == TroubleKind::Forbidden && why.contains(&peer(BEN).to_string()) && why.contains("ask the operator"), "{why}");
    assert_eq!((refused(&world, ErrorCode::NotAdmitted), world.nodes[RELAY].engine.connected_peers()), (1, 1));
    world.nodes[RELAY].engine.set_allowed(Now::at(world.now), Some([peer(BEN)].into()));
    world.drain(RELAY);
    world.run();
    assert_eq!((refused(&world, ErrorCode::NotAdmitted), world.nodes[RELAY].engine.connected_peers()), (2, 0));
    world.connect(BEN, RELAY);
    world.run();
    assert_eq!(relays_with(&world, BEN), 1);
}

#[test]
fn a_space_has_so_many_bytes_and_what_is_refused_is_kept_where_it_was_made() {
    let mut world = world(|config| config.quotas = Quotas { space_bytes_max: Some(2_000), ..Quotas::default() });
    for node in [ANNA, BEN] {
        world.open(node);
        world.connect(node, RELAY);
    }
    world.write(ANNA, "calm ");
    world.run();
    assert_eq!(relays_with(&world, ANNA), 1);
    let long = letters(4_000);
    world.write(ANNA, &long);
    world.run();
    assert_eq!((relays_with(&world, ANNA), refused(&world, ErrorCode::QuotaReached)), (0, 1));
    assert!(world.text(ANNA).is_some_and(|text| text.len() > 4_000), "nothing is lost");
    assert_eq!(world.text(BEN).as_deref(), Some("calm "));
    let (_, why) = told(&world, ANNA).remove(0);
    assert!(why.contains("2000") && why.contains("kept where it was made"), "{why}");
    // Said once, however often she writes on; another space goes on.
    world.write(ANNA, "more");
    world.wait(60_000);
    assert_eq!(refused(&world, ErrorCode::QuotaReached), 1);
    let (elsewhere, other) = (SpaceId([7; 16]), DocumentId([7; 16]));
    world.input(BEN, Input::Command(Command::OpenSpace { space: elsewhere }));
    world.input(BEN, Input::Command(Command::OpenDocument { space: elsewhere, document: other }));
    world.nodes[BEN].engine.change(Now::at(world.now), other, None, |note| note.put("title", "Tides")).unwrap();
    world.drain(BEN);
    world.run();
    assert_eq!(world.nodes[BEN].engine.saved(&other).unwrap().relays, 1);
    // There is room again: an operator gives more.
    let roomy = EngineConfig { identity: Some([100; 32]), ..EngineConfig::new(Role::Relay, [0; 32]) };
    world.restart(RELAY, roomy);
    for (connection, node) in [(0, ANNA), (1, BEN)] {
        world.disconnect(connection);
        world.connect(node, RELAY);
    }
    world.run();
    assert_eq!((relays_with(&world, ANNA), world.text(BEN)), (1, world.text(ANNA)));
}

#[test]
fn a_key_brings_so_many_spaces_also_across_restarts_and_joins_any_number_of_others() {
    let rules = |config: &mut EngineConfig| config.quotas = Quotas { spaces_per_key_max: Some(2), ..Quotas::default() };
    let mut world = world(rules);
    let space = |number| SpaceId([number; 16]);
    world.connect(ANNA, RELAY);
    world.connect(BEN, RELAY);
    for (node, number) in [(ANNA, 11), (ANNA, 12), (BEN, 21), (ANNA, 21), (ANNA, 13)] {
        world.input(node, Input::Command(Command::OpenSpace { space: space(number) }));
        world.run();
    }
    assert_eq!(refused(&world, ErrorCode::QuotaReached), 1);
    let (_, why) = told(&world, ANNA).remove(0);
    assert!(why.contains("2 spaces") && why.contains(&space(13).to_string()), "{why}");
    let known = |world: &World| world.nodes[RELAY].engine.spaces();
    assert_eq!(known(&world), [space(11), space(12), space(21)]);
    let mut again = EngineConfig { identity: Some([100; 32]), ..EngineConfig::new(Role::Relay, [0; 32]) };
    rules(&mut again);
    world.restart(RELAY, again);
    world.disconnect(0);
    world.connect(ANNA, RELAY);
    world.run();
    assert_eq!((refused(&world, ErrorCode::QuotaReached), known(&world)), (1, vec![space(11), space(12), space(21)]));
}

#[test]
fn who_sends_too_fast_is_let_go_and_loses_nothing() {
    let rate = Rate { burst: 40, amount: 1, in_ms: 100 };
    let mut world = world(|config| config.quotas = Quotas { frames: Some(rate), ..Quotas::default() });
    for node in [ANNA, BEN] {
        world.open(node);
        world.connect(node, RELAY);
        world.run();
    }
    for _ in 0..60 {
        world.write(ANNA, "a");
        world.run();
    }
    assert_eq!(refused(&world, ErrorCode::TooFast), 1);
    assert!(told(&world, ANNA).iter().any(|(_, why)| why.contains("frames") && why.contains("connect again in")));
    world.write(BEN, "b");
    world.run();
    assert_eq!(relays_with(&world, BEN), 1, "the others are unharmed");
    world.wait(10_000);
    world.connect(ANNA, RELAY);
    world.run();
    assert_eq!(relays_with(&world, ANNA), 1);
    assert_eq!(world.text(ANNA).map(|text| text.len()), Some(61));
    assert_eq!(world.text(ANNA), world.text(BEN));

    let rate = Rate { burst: 3_000, amount: 1, in_ms: 1 };
    let mut world = self::world(|config| config.quotas = Quotas { bytes: Some(rate), ..Quotas::default() });
    world.open(ANNA);
    world.connect(ANNA, RELAY);
    world.run();
    let long = letters(9_000);
    for _ in 0..2 {
        world.write(ANNA, &long);
        world.run();
    }
    assert_eq!(refused(&world, ErrorCode::TooFast), 1);
}

#[test]
fn a_new_space_costs_a_stamp_that_is_found_by_itself_and_one_that_is_known_costs_nothing() {
    let rules = |config: &mut EngineConfig| config.quotas = Quotas { stamp_bits: 17, ..Quotas::default() };
    let mut world = world(rules);
    world.open(ANNA);
    world.write(ANNA, "calm");
    world.connect(ANNA, RELAY);
    world.run();
    assert_eq!((relays_with(&world, ANNA), world.nodes[RELAY].engine.spaces()), (0, vec![]));
    assert_eq!(refused(&world, ErrorCode::StampWanted), 1);
    for _ in 0..200 {
        world.wait(1);
    }
    assert_eq!((relays_with(&world, ANNA), told(&world, ANNA)), (1, vec![]));
    world.open(BEN);
    world.connect(BEN, RELAY);
    world.run();
    assert_eq!((world.text(BEN).as_deref(), refused(&world, ErrorCode::StampWanted)), (Some("calm"), 1));
    // An owned space is founded by its statements, before anyone subscribes.
    let owned = world.nodes[BEN].engine.found_space(Now::at(world.now)).unwrap();
    world.drain(BEN);
    world.run();
    assert!(!world.nodes[RELAY].engine.spaces().contains(&owned));
    for _ in 0..200 {
        world.wait(1);
    }
    assert!(world.nodes[RELAY].engine.spaces().contains(&owned));
    assert_eq!(world.nodes[BEN].engine.roll_holders(&owned), 1);
    // Also after a restart nobody pays twice.
    let mut again = EngineConfig { identity: Some([100; 32]), ..EngineConfig::new(Role::Relay, [0; 32]) };
    rules(&mut again);
    world.restart(RELAY, again);
    world.disconnect(1);
    world.connect(BEN, RELAY);
    world.run();
    assert_eq!(refused(&world, ErrorCode::StampWanted), 0);
}

#[test]
fn too_much_work_is_not_begun_and_a_false_stamp_is_worth_nothing() {
    use crate::base::id::ConnectionId;
    use crate::sync::message::Message;
    let mut world = world(|config| config.quotas = Quotas { stamp_bits: 25, ..Quotas::default() });
    world.open(ANNA);
    world.connect(ANNA, RELAY);
    world.run();
    assert!(told(&world, ANNA).iter().any(|(_, why)| why.contains("25 bits") && why.contains("operator")));
    for nonce in 0..3u8 {
        let stamp = Message::Stamp { space: SPACE, asks: false, bits: 0, nonce: [nonce; 8] }.encode();
        world.input(RELAY, Input::Frame { connection: ConnectionId(0), bytes: stamp.into() });
        world.run();
    }
    assert_eq!((refused(&world, ErrorCode::StampWanted), world.nodes[RELAY].engine.spaces()), (4, vec![]));
}

#[test]
fn what_an_operator_may_look_up_names_keys_and_kinds_and_no_contents() {
    let mut world = world(|config| config.allowed = Some([peer(ANNA)].into()));
    world.connect(ANNA, RELAY);
    world.connect(BEN, RELAY);
    world.run();
    let space = world.nodes[ANNA].engine.found_space(Now::at(world.now)).unwrap();
    world.drain(ANNA);
    world.run();
    let audits = audits(&world);
    assert!(
        matches!(&audits[0], Audit::Refused { reason: "not_admitted", peer: Some(who), .. } if *who == peer(BEN)),
        "{audits:?}"
    );
    assert!(audits.contains(&Audit::SpaceMade { space, peer: peer(ANNA) }));
    assert!(
        audits
            .iter()
            .any(|audit| matches!(audit, Audit::StatementTaken { kind: "founding", peer: Some(who), .. } if *who == peer(ANNA)))
    );
}
