//! Links for a single use: one comes in by each, whatever is lost, repeated or restarted in between.

use super::asks::AskState;
use super::introductions::IntroductionError;
use super::tickets::{OnceOffer, TicketState};
use crate::base::id::{ConnectionId, PeerId, SpaceId};
use crate::base::limits::{ASKS_MAX, TICKET_SECONDS_MAX, TICKETS_MAX};
use crate::base::time::Now;
use crate::engine::config::{EngineConfig, Role};
use crate::engine::input::{Command, Input};
use crate::engine::seal::seal_tests::{BEN, CAT, OWNER, RELAY, found, open_note, peer, world};
use crate::engine::tests::World;
use crate::engine::trust::owned::{MemberState, OwnedError};
use crate::sync::message::Message;
use crate::trust::introduction::{INTRODUCTION, Introduction, WhyNot};
use crate::trust::statement::Level;
use crate::trust::ticket::Ticket;
use std::sync::Arc;

const DAY: u64 = 86_400;

pub(in crate::engine) fn give(world: &mut World, by: usize, space: SpaceId, level: Level) -> Ticket {
    let ends = world.now / 1_000 + DAY;
    let offer = OnceOffer { level, expires: 0, note: "a link".into(), from: "Anna".into(), relays: Vec::new(), ends };
    let ticket = world.nodes[by].engine.give_ticket(Now::at(world.now), space, offer).unwrap();
    world.drain(by);
    Ticket::from_text(&ticket.to_text()).unwrap()
}

pub(in crate::engine) fn ask(world: &mut World, node: usize, ticket: &Ticket) {
    let name = format!("node {node}");
    world.nodes[node].engine.ask_by(Now::at(world.now), ticket, &name).unwrap();
    world.drain(node);
}

pub(in crate::engine) fn answer(world: &World, node: usize) -> (AskState, Option<WhyNot>) {
    let ask = world.nodes[node].engine.asks().pop().expect("it has asked");
    (ask.state, ask.why)
}

fn state(world: &World, node: usize) -> TicketState {
    world.nodes[node].engine.tickets()[0].state
}

pub(in crate::engine) fn config(role: Role, node: usize) -> EngineConfig {
    EngineConfig { identity: Some([node as u8 + 100; 32]), ..EngineConfig::new(role, [node as u8 + 50; 32]) }
}

pub(in crate::engine) fn restart(world: &mut World, node: usize) {
    world.restart(node, config(if node == RELAY { Role::Relay } else { Role::Client }, node));
    if node != RELAY {
        world.input(node, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    }
}

/// The keys that stand in a space as someone sees it, links left out.
pub(in crate::engine) fn members(world: &World, node: usize, space: &SpaceId) -> Vec<PeerId> {
    let members = world.nodes[node].engine.members(space).unwrap_or_default();
    members.into_iter().filter(|member| member.state == MemberState::Good && !member.is_link).map(|member| member.key).collect()
}

/// The letters that a relay keeps, as they lie there.
fn kept_letters(world: &World) -> Vec<Arc<[u8]>> {
    world.nodes[RELAY].engine.post.kept.durable().map(|(_, kept)| kept.bytes.clone()).collect()
}

#[test]
fn one_of_two_who_ask_at_once_is_let_in_and_the_other_is_told() {
    let mut world = world();
    let space = found(&mut world);
    let ticket = give(&mut world, OWNER, space, Level::Write);
    for node in [OWNER, BEN, CAT] {
        world.connect(node, RELAY);
    }
    world.write(OWNER, "ours ");
    world.run();
    assert_eq!(members(&world, OWNER, &space), [peer(OWNER)], "the ticket itself lets nobody in");
    ask(&mut world, BEN, &ticket);
    ask(&mut world, CAT, &ticket);
    assert_eq!(answer(&world, BEN), (AskState::Waiting, None));
    world.run();
    assert_eq!(members(&world, OWNER, &space), [peer(OWNER), peer(BEN)]);
    assert_eq!((answer(&world, BEN), answer(&world, CAT)), ((AskState::In, None), (AskState::Refused, Some(WhyNot::Used))));
    // Ben is a member like any other, with the key of the sealed space.
    open_note(&mut world, BEN, space);
    world.run();
    assert_eq!(world.text(BEN).as_deref(), Some("ours "));
    world.write(BEN, "and Ben's");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("ours and Ben's"));
    let given = world.nodes[OWNER].engine.tickets().remove(0);
    assert_eq!((given.state, given.key, given.name.as_str()), (TicketState::Used, Some(peer(BEN)), "node 2"));
    assert!(world.nodes[CAT].engine.own_access(&space).level().is_none());
    assert_eq!(world.nodes[RELAY].engine.sizes().letters, 0);
    let bens = world.nodes[OWNER].engine.members(&space).unwrap().remove(1);
    assert_eq!((bens.note.as_str(), bens.level, bens.is_device), ("node 2", Level::Write, false));
    assert!(world.nodes[OWNER].engine.letters().is_empty(), "an app is shown none of these letters");
}

#[test]
fn an_ask_waits_for_a_giver_who_is_away_and_the_answer_for_the_asker() {
    let mut world = world();
    let space = found(&mut world);
    let ticket = give(&mut world, OWNER, space, Level::Read);
    world.connect(BEN, RELAY);
    ask(&mut world, BEN, &ticket);
    world.run();
    assert_eq!((answer(&world, BEN).0, world.nodes[RELAY].engine.sizes().letters), (AskState::Waiting, 1));
    restart(&mut world, BEN);
    assert_eq!(answer(&world, BEN).0, AskState::Waiting);
    world.connect(OWNER, RELAY);
    world.run();
    assert_eq!(members(&world, OWNER, &space), [peer(OWNER), peer(BEN)]);
    world.disconnect(1);
    world.connect(BEN, RELAY);
    world.run();
    assert_eq!(answer(&world, BEN), (AskState::In, None));
    assert!(world.nodes[BEN].engine.own_access(&space).allows(Level::Read));
    assert!(world.nodes[BEN].engine.forget_ask(Now::at(world.now), ticket.id()));
    world.drain(BEN);
    restart(&mut world, BEN);
    assert!(world.nodes[BEN].engine.asks().is_empty() && world.nodes[BEN].engine.own_access(&space).allows(Level::Read));
}

#[test]
fn nobody_is_let_in_after_the_end_or_once_it_was_taken_back_and_each_is_told_why() {
    for taken_back in [false, true] {
        let mut world = world();
        let space = found(&mut world);
        let ticket = give(&mut world, OWNER, space, Level::Write);
        world.connect(BEN, RELAY);
        ask(&mut world, BEN, &ticket);
        world.run();
        let kept = kept_letters(&world);
        let why = if taken_back {
            world.nodes[OWNER].engine.take_back_ticket(Now::at(world.now), ticket.id()).unwrap();
            world.drain(OWNER);
            WhyNot::TakenBack
        } else {
            world.now += (DAY + 1) * 1_000;
            WhyNot::Ended
        };
        restart(&mut world, OWNER);
        world.connect(OWNER, RELAY);
        if !taken_back {
            // The relay's clock is slow: it hands the letter over all the same.
            assert_eq!(kept.len(), 1);
            let content = Introduction::Ask { ticket: ticket.id(), proof: ticket.proof(&peer(BEN), ""), name: String::new() };
            let expires = world.now / 1_000 + DAY;
            let now = Now::at(world.now);
            world.nodes[BEN].engine.send_letter(now, peer(OWNER), INTRODUCTION, &content.to_bytes(), expires).unwrap();
            world.drain(BEN);
        }
        world.run();
        assert_eq!(answer(&world, BEN), (AskState::Refused, Some(why)));
        assert_eq!(members(&world, OWNER, &space), [peer(OWNER)]);
        let again = world.nodes[OWNER].engine.take_back_ticket(Now::at(world.now), crate::base::id::TicketId([0; 16]));
        assert_eq!(again, Err(IntroductionError::NoTicket));
    }
}

#[test]
fn a_ticket_that_nobody_answers_for_is_shown_as_over_at_its_end_and_can_be_asked_by_no_more() {
    let mut world = world();
    let space = found(&mut world);
    let ticket = give(&mut world, OWNER, space, Level::Write);
    world.connect(BEN, RELAY);
    ask(&mut world, BEN, &ticket);
    world.run();
    world.wait(DAY * 1_000);
    assert_eq!((answer(&world, BEN).0, state(&world, OWNER)), (AskState::Ended, TicketState::Ended));
    assert_eq!(world.nodes[RELAY].engine.sizes().letters, 0, "the letter ended with the ticket");
    let late = world.nodes[CAT].engine.ask_by(Now::at(world.now), &ticket, "Cat");
    assert_eq!(late, Err(IntroductionError::Ended));
}

#[test]
fn letters_that_a_relay_repeats_make_one_grant_and_one_answer() {
    let mut world = world();
    let space = found(&mut world);
    let ticket = give(&mut world, OWNER, space, Level::Write);
    world.connect(BEN, RELAY);
    ask(&mut world, BEN, &ticket);
    world.run();
    let letter = kept_letters(&world).remove(0);
    world.connect(OWNER, RELAY);
    world.run();
    let statements = world.nodes[OWNER].engine.trust.rolls[&space].roll.statements().len();
    for _ in 0..3 {
        let frame = Message::Letter { hops: 0, letter: letter.clone() }.encode();
        world.input(OWNER, Input::Frame { connection: ConnectionId(1), bytes: Arc::from(frame) });
        world.run();
    }
    // Asked again in another letter, by the same key: it is answered again, and granted once.
    let content = Introduction::Ask { ticket: ticket.id(), proof: ticket.proof(&peer(BEN), "Ben"), name: "Ben".into() };
    let (now, expires) = (Now::at(world.now), world.now / 1_000 + DAY);
    world.nodes[BEN].engine.send_letter(now, peer(OWNER), INTRODUCTION, &content.to_bytes(), expires).unwrap();
    world.drain(BEN);
    world.run();
    assert_eq!(world.nodes[OWNER].engine.trust.rolls[&space].roll.statements().len(), statements);
    assert_eq!(answer(&world, BEN), (AskState::In, None));
    // Shut out, the link does not bring Ben back.
    world.nodes[OWNER].engine.revoke(Now::at(world.now), space, peer(BEN)).unwrap();
    world.drain(OWNER);
    world.nodes[BEN].engine.forget_ask(Now::at(world.now), ticket.id());
    ask(&mut world, BEN, &ticket);
    world.run();
    assert_eq!(members(&world, OWNER, &space), [peer(OWNER)]);
    assert_eq!(answer(&world, BEN), (AskState::Refused, Some(WhyNot::TakenBack)));
}

#[test]
fn who_does_not_know_the_secret_is_not_let_in_and_uses_nothing_up() {
    let mut world = world();
    let space = found(&mut world);
    let ticket = give(&mut world, OWNER, space, Level::Write);
    for node in [OWNER, BEN, CAT] {
        world.connect(node, RELAY);
    }
    // Cat has seen Ben's proof, and knows the ticket's id.
    for proof in [[0; 32], ticket.proof(&peer(BEN), "Cat")] {
        let content = Introduction::Ask { ticket: ticket.id(), proof, name: "Cat".into() };
        let (now, expires) = (Now::at(world.now), world.now / 1_000 + DAY);
        world.nodes[CAT].engine.send_letter(now, peer(OWNER), INTRODUCTION, &content.to_bytes(), expires).unwrap();
        world.drain(CAT);
        world.run();
    }
    // Nor does anybody but the giver answer.
    ask(&mut world, BEN, &ticket);
    let content = Introduction::Not { ticket: ticket.id(), why: WhyNot::Used };
    let (now, expires) = (Now::at(world.now), world.now / 1_000 + DAY);
    world.nodes[CAT].engine.send_letter(now, peer(BEN), INTRODUCTION, &content.to_bytes(), expires).unwrap();
    world.drain(CAT);
    world.run();
    assert_eq!(members(&world, OWNER, &space), [peer(OWNER), peer(BEN)]);
    assert_eq!(answer(&world, BEN), (AskState::In, None));
}

#[test]
fn wherever_the_giver_ends_one_is_let_in_and_never_two() {
    // How many of the giver's tasks reach its disk before it ends.
    for done in 0..12 {
        let mut world = world();
        let space = found(&mut world);
        let ticket = give(&mut world, OWNER, space, Level::Write);
        world.connect(BEN, RELAY);
        ask(&mut world, BEN, &ticket);
        world.run();
        world.slow_down(OWNER);
        world.connect(OWNER, RELAY);
        let mut left = done;
        loop {
            world.run();
            if left == 0 || world.nodes[OWNER].waiting.is_empty() {
                break;
            }
            let (task, work) = world.nodes[OWNER].waiting.remove(0);
            let result = world.nodes[OWNER].store.execute(work);
            world.input(OWNER, Input::StoreDone { task, result });
            left -= 1;
        }
        world.nodes[OWNER].forget_tasks();
        world.lose();
        world.disconnect(1);
        restart(&mut world, OWNER);
        world.input(OWNER, Input::Command(Command::OpenSpace { space }));
        world.connect(CAT, RELAY);
        ask(&mut world, CAT, &ticket);
        world.run();
        world.connect(OWNER, RELAY);
        world.run();
        world.wait(31_000);
        let members = members(&world, OWNER, &space);
        assert_eq!(members.len(), 2, "after {done}: {members:?}");
        // What nobody had heard of when it ended can be either's.
        let (first, second) = if members[1] == peer(BEN) { (BEN, CAT) } else { (CAT, BEN) };
        assert_eq!(answer(&world, first), (AskState::In, None), "after {done}");
        assert_eq!(answer(&world, second), (AskState::Refused, Some(WhyNot::Used)), "after {done}");
        assert!(world.nodes[first].engine.own_access(&space).allows(Level::Write));
    }
}

#[test]
fn a_disk_that_takes_nothing_lets_nobody_in_until_it_does() {
    let mut world = world();
    let space = found(&mut world);
    let ticket = give(&mut world, OWNER, space, Level::Write);
    world.connect(OWNER, RELAY);
    world.connect(BEN, RELAY);
    world.run();
    ask(&mut world, BEN, &ticket);
    world.slow_down(OWNER);
    world.run();
    // The letter itself is stored; that the ticket is used is not.
    let (task, work) = world.nodes[OWNER].waiting.remove(0);
    let result = world.nodes[OWNER].store.execute(work);
    world.input(OWNER, Input::StoreDone { task, result });
    world.run();
    assert!(world.let_fail(OWNER) > 0);
    world.run();
    assert_eq!((members(&world, OWNER, &space).len(), state(&world, OWNER)), (1, TicketState::Open));
    world.wait(31_000);
    assert_eq!((members(&world, OWNER, &space).len(), answer(&world, BEN).0), (2, AskState::In));
}

#[test]
fn an_admin_gives_tickets_within_their_own_grant_and_once_revoked_none_of_theirs_works() {
    let mut world = world();
    let space = found(&mut world);
    let for_ben = give(&mut world, OWNER, space, Level::Admin);
    for node in [OWNER, BEN, CAT] {
        world.connect(node, RELAY);
    }
    ask(&mut world, BEN, &for_ben);
    world.run();
    let for_cat = give(&mut world, BEN, space, Level::Write);
    let too_late = give(&mut world, BEN, space, Level::Write);
    ask(&mut world, CAT, &for_cat);
    world.run();
    assert_eq!(members(&world, OWNER, &space), [peer(OWNER), peer(BEN), peer(CAT)]);
    // A member who is no admin may let in devices of their own, which nobody else is asked about; an invitation is refused.
    let offer = crate::engine::trust::owned::Offer { level: Level::Write, expires: 0, note: String::new(), relays: Vec::new() };
    assert!(matches!(world.nodes[CAT].engine.invite(Now::at(world.now), space, offer), Err(OwnedError::NotGranted { .. })));
    let more = OnceOffer {
        level: Level::Admin,
        expires: 0,
        note: String::new(),
        from: String::new(),
        relays: Vec::new(),
        ends: world.now / 1_000 + DAY,
    };
    let refused = world.nodes[CAT].engine.give_ticket(Now::at(world.now), space, more);
    assert!(matches!(refused, Err(IntroductionError::Owned(OwnedError::NotGranted { .. }))), "{refused:?}");
    world.nodes[OWNER].engine.revoke(Now::at(world.now), space, peer(BEN)).unwrap();
    world.drain(OWNER);
    world.run();
    ask(&mut world, CAT, &too_late);
    world.run();
    let asks = world.nodes[CAT].engine.asks();
    let late = asks.iter().find(|ask| ask.id == too_late.id()).unwrap();
    assert_eq!((late.state, late.why), (AskState::Refused, Some(WhyNot::NotAllowed)));
}

#[test]
fn a_ticket_ends_in_time_and_there_are_no_more_than_there_may_be() {
    let mut world = world();
    let space = found(&mut world);
    let now = Now::at(world.now);
    let offer = |ends: u64, expires: u64| OnceOffer {
        level: Level::Read,
        expires,
        note: String::new(),
        from: String::new(),
        relays: Vec::new(),
        ends,
    };
    let engine = &mut world.nodes[OWNER].engine;
    for ends in [0, TICKET_SECONDS_MAX + 1] {
        assert_eq!(engine.give_ticket(now, space, offer(ends, 0)), Err(IntroductionError::Lasts));
    }
    assert_eq!(engine.give_ticket(now, space, offer(DAY, 9)).unwrap().ends, 9, "it ends with what it gives");
    for _ in 1..TICKETS_MAX {
        engine.give_ticket(now, space, offer(DAY, 0)).unwrap();
    }
    assert!(matches!(engine.give_ticket(now, space, offer(DAY, 0)), Err(IntroductionError::Full(_))));
    let later = Now::at(10_000);
    engine.give_ticket(later, space, offer(DAY, 0)).unwrap();
    assert_eq!(engine.tickets().len(), TICKETS_MAX);
    let own = engine.give_ticket(later, space, offer(DAY, 0));
    assert!(matches!(own, Err(IntroductionError::Full(_))));
    let open = engine.tickets()[5].id;
    engine.take_back_ticket(later, open).unwrap();
    let ticket = engine.give_ticket(later, space, offer(DAY, 0)).unwrap();
    assert_eq!(engine.ask_by(later, &ticket, ""), Err(IntroductionError::Own));
    let ben = &mut world.nodes[BEN].engine;
    for number in 0..ASKS_MAX {
        let one = Ticket { secret: [number as u8; 32], ..ticket.clone() };
        ben.ask_by(later, &one, "Ben").unwrap();
    }
    assert!(matches!(ben.ask_by(later, &ticket, "Ben"), Err(IntroductionError::Full(_))));
    ben.forget_ask(later, Ticket { secret: [3; 32], ..ticket.clone() }.id());
    ben.ask_by(later, &ticket, "Ben").unwrap();
    assert_eq!(ben.asks().len(), ASKS_MAX);
}
