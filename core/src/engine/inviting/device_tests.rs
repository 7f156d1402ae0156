//! Devices of one person: linked once their person says so, told of each other's spaces, and shut out when they are lost.

use super::asks::AskState;
use super::devices::{InSpace, SpaceCard};
use super::introductions::IntroductionError;
use super::ticket_tests::{answer, ask, members, restart};
use super::tickets::TicketState;
use crate::base::id::{PeerId, SpaceId, TicketId};
use crate::base::limits::DEVICES_MAX;
use crate::base::time::Now;
use crate::engine::effect::TroubleKind;
use crate::engine::input::{Command, Input};
use crate::engine::seal::seal_tests::{BEN, CAT, OWNER, RELAY, found, invite, join, open_note, peer, troubles, world};
use crate::engine::tests::{SPACE, World};
use crate::engine::trust::owned::MemberState;
use crate::trust::introduction::{INTRODUCTION, Introduction, News, WhyNot};
use crate::trust::statement::Level;
use crate::trust::ticket::Ticket;

const HOUR: u64 = 3_600;

fn link_ticket(world: &mut World, by: usize) -> Ticket {
    let ends = world.now / 1_000 + HOUR;
    let ticket = world.nodes[by].engine.give_device_ticket(Now::at(world.now), "laptop", Vec::new(), ends).unwrap();
    world.drain(by);
    Ticket::from_text(&ticket.to_text()).unwrap()
}

fn confirm(world: &mut World, by: usize, id: TicketId, cards: Vec<SpaceCard>) -> Vec<InSpace> {
    let passed = world.nodes[by].engine.confirm_device(Now::at(world.now), id, cards).unwrap();
    world.drain(by);
    world.run();
    passed
}

/// Links a device to another, both of which are connected.
fn link(world: &mut World, by: usize, device: usize) -> Vec<InSpace> {
    let ticket = link_ticket(world, by);
    ask(world, device, &ticket);
    world.run();
    confirm(world, by, ticket.id(), Vec::new())
}

fn unlink(world: &mut World, by: usize, device: usize) -> Vec<InSpace> {
    let out = world.nodes[by].engine.unlink_device(Now::at(world.now), peer(device)).unwrap();
    world.drain(by);
    out
}

/// The keys of the devices that a node has and has not given up.
fn devices(world: &World, node: usize) -> Vec<PeerId> {
    world.nodes[node].engine.devices().into_iter().filter(|device| !device.lost).map(|device| device.key).collect()
}

fn told_of(world: &World, node: usize) -> Vec<SpaceId> {
    world.nodes[node].engine.cards().into_iter().map(|card| card.space).collect()
}

fn connected() -> World {
    let mut world = world();
    for node in [OWNER, BEN, CAT] {
        world.connect(node, RELAY);
    }
    world.run();
    world
}

#[test]
fn a_device_is_linked_once_its_person_has_seen_the_same_code_on_both_and_then_writes_as_they_do() {
    let mut world = connected();
    let space = found(&mut world);
    world.write(OWNER, "laptop ");
    let ticket = link_ticket(&mut world, OWNER);
    ask(&mut world, BEN, &ticket);
    world.run();
    let (given, asked) = (world.nodes[OWNER].engine.tickets().remove(0), world.nodes[BEN].engine.asks().remove(0));
    assert_eq!((given.state, given.key, given.name.as_str()), (TicketState::Asked, Some(peer(BEN)), "node 2"));
    assert_eq!((asked.state, asked.from.as_str()), (AskState::Waiting, "laptop"));
    assert!(given.code.is_some() && given.code == asked.code);
    assert!(devices(&world, OWNER).is_empty() && members(&world, OWNER, &space).len() == 1, "the link alone does nothing");
    restart(&mut world, OWNER);
    world.connect(OWNER, RELAY);
    world.run();
    let open = SpaceCard { space: SPACE, name: "shopping".into(), relays: vec!["ws://harbour/sync".into()] };
    let passed = confirm(&mut world, OWNER, ticket.id(), vec![open.clone()]);
    assert!(passed.len() == 2 && passed.iter().all(|passed| passed.error.is_none()), "{passed:?}");
    assert_eq!((answer(&world, BEN).0, devices(&world, BEN)), (AskState::In, vec![peer(OWNER)]));
    assert_eq!(devices(&world, OWNER), [peer(BEN)]);
    // The open space, with its name and relay, and the owned one.
    assert_eq!(told_of(&world, BEN).len(), 2);
    assert!(world.nodes[BEN].engine.cards().contains(&open) && told_of(&world, BEN).contains(&space));
    // Nobody has the space open on the laptop: the phone brings the relay what lets it in, and has the key.
    open_told(&mut world, BEN, space);
    world.run();
    world.write(BEN, "phone");
    world.run();
    open_told(&mut world, OWNER, space);
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("laptop phone"));
    let listed = world.nodes[OWNER].engine.members(&space).unwrap();
    let phone = listed.iter().find(|member| member.key == peer(BEN)).unwrap();
    assert!(phone.is_device && phone.note == "node 2" && phone.by == Some(peer(OWNER)) && phone.level == Level::Admin);
    // An owner's device is an admin: it lets others in.
    let invitation = invite(&mut world, BEN, space, Level::Write);
    join(&mut world, CAT, &invitation);
    world.run();
    assert_eq!(world.text(CAT).as_deref(), Some("laptop phone"));
    restart(&mut world, BEN);
    assert_eq!((told_of(&world, BEN).len(), devices(&world, BEN)), (2, vec![peer(OWNER)]));
}

#[test]
fn a_link_that_two_devices_ask_by_was_seen_by_somebody_else_and_links_neither() {
    let mut world = connected();
    let ticket = link_ticket(&mut world, OWNER);
    ask(&mut world, BEN, &ticket);
    world.run();
    ask(&mut world, CAT, &ticket);
    world.run();
    for node in [BEN, CAT] {
        assert_eq!(answer(&world, node), (AskState::Refused, Some(WhyNot::TwoAsked)));
    }
    let confirmed = world.nodes[OWNER].engine.confirm_device(Now::at(world.now), ticket.id(), Vec::new());
    assert_eq!(confirmed, Err(IntroductionError::NoTicket));
    // Declined, it is over as well.
    let ticket = link_ticket(&mut world, OWNER);
    ask(&mut world, BEN, &ticket);
    world.run();
    world.nodes[OWNER].engine.decline_device(Now::at(world.now), ticket.id()).unwrap();
    world.drain(OWNER);
    world.run();
    let asks = world.nodes[BEN].engine.asks();
    assert!(asks.iter().any(|ask| ask.id == ticket.id() && ask.why == Some(WhyNot::Declined)));
    assert!(devices(&world, OWNER).is_empty() && devices(&world, BEN).is_empty());
}

#[test]
fn a_member_links_a_device_which_may_do_as_much_and_where_that_is_forbidden_it_is_said() {
    let mut world = connected();
    let space = found(&mut world);
    let invitation = invite(&mut world, OWNER, space, Level::Write);
    join(&mut world, BEN, &invitation);
    world.run();
    let passed = link(&mut world, BEN, CAT);
    assert_eq!(passed, [InSpace { space, name: String::new(), error: None }]);
    open_told(&mut world, CAT, space);
    world.run();
    world.write(CAT, "from Ben's phone");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("from Ben's phone"));
    // The phone's own grant ends there: it may link no further device, and says so.
    world.disconnect(0);
    let ticket = link_ticket(&mut world, CAT);
    ask(&mut world, OWNER, &ticket);
    world.connect(OWNER, RELAY);
    world.run();
    world.input(OWNER, Input::Command(Command::CloseSpace { space }));
    let other = found_by(&mut world, CAT);
    let passed = confirm(&mut world, CAT, ticket.id(), Vec::new());
    let of = |space: SpaceId| passed.iter().find(|passed| passed.space == space).unwrap().error.clone();
    assert_eq!(of(other), None);
    let error = of(space).expect("it may not be passed on");
    assert!(error.contains("may not be passed on"), "{error}");
    // Shutting Ben out shuts his phone out.
    world.nodes[OWNER].engine.revoke(Now::at(world.now), space, peer(BEN)).unwrap();
    world.drain(OWNER);
    world.run();
    assert!(world.nodes[CAT].engine.own_access(&space).level().is_none());
}

/// Opens a space that was told of, as an app does, and the note in it.
fn open_told(world: &mut World, node: usize, space: SpaceId) {
    world.input(node, Input::Command(Command::OpenSpace { space }));
    open_note(world, node, space);
}

fn found_by(world: &mut World, node: usize) -> SpaceId {
    let space = world.nodes[node].engine.found_space(Now::at(world.now)).unwrap();
    world.drain(node);
    world.run();
    space
}

#[test]
fn spaces_that_are_founded_or_joined_later_reach_every_device_whichever_came_into_them() {
    let mut world = connected();
    link(&mut world, OWNER, BEN);
    link(&mut world, OWNER, CAT);
    assert_eq!(
        (devices(&world, BEN), devices(&world, CAT)),
        (vec![peer(OWNER), peer(CAT)].sorted(), vec![peer(OWNER), peer(BEN)].sorted())
    );
    let of_cat = found_by(&mut world, CAT);
    for node in [OWNER, BEN] {
        assert_eq!(told_of(&world, node), [of_cat]);
        assert!(world.nodes[node].engine.own_access(&of_cat).allows(Level::Admin));
    }
    // One that is away hears later; a name that is given later is told, too.
    world.disconnect(1);
    let open = SpaceCard { space: SPACE, name: "shopping".into(), relays: Vec::new() };
    assert_eq!(world.nodes[OWNER].engine.pass_space_on(Now::at(world.now), open.clone()).len(), 2);
    world.drain(OWNER);
    let named = SpaceCard { space: of_cat, name: "tides".into(), relays: Vec::new() };
    world.nodes[CAT].engine.pass_space_on(Now::at(world.now), named.clone());
    world.drain(CAT);
    world.run();
    restart(&mut world, BEN);
    world.connect(BEN, RELAY);
    world.run();
    let cards = world.nodes[BEN].engine.cards();
    assert!(cards.contains(&open) && cards.contains(&named), "{cards:?}");
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for Vec<PeerId> {
    fn sorted(mut self) -> Self {
        self.sort();
        self
    }
}

#[test]
fn a_lost_device_is_shut_out_everywhere_while_it_is_there_and_while_it_is_away() {
    for is_away in [false, true] {
        let mut world = connected();
        let space = found(&mut world);
        link(&mut world, OWNER, BEN);
        link(&mut world, OWNER, CAT);
        let of_ben = found_by(&mut world, BEN);
        for node in [BEN, CAT] {
            open_told(&mut world, node, space);
        }
        world.run();
        world.write(BEN, "before ");
        world.run();
        if is_away {
            world.disconnect(1);
            world.write(BEN, "away ");
        }
        let out = unlink(&mut world, OWNER, BEN);
        world.run();
        let of = |space: SpaceId| out.iter().find(|out| out.space == space).unwrap().error.clone();
        assert_eq!(of(space), None);
        assert!(of(of_ben).is_some_and(|why| why.contains("that device's own")), "nobody shuts an owner out");
        if is_away {
            world.connect(BEN, RELAY);
        }
        world.run();
        world.write(BEN, "after");
        world.run();
        assert_eq!(world.text(OWNER).as_deref(), Some("before "));
        assert_eq!(world.text(CAT), world.text(OWNER));
        let knows = world.nodes[BEN].engine.own_access(&space).level().is_none();
        assert!(knows || !troubles(&world, BEN, TroubleKind::Forbidden).is_empty(), "it is told that it is shut out");
        assert_eq!((devices(&world, OWNER), devices(&world, CAT)), (vec![peer(CAT)], vec![peer(OWNER)]));
        // Its letters are no longer believed, and it is told of nothing more.
        let before = (told_of(&world, OWNER), told_of(&world, CAT));
        let late = found_by(&mut world, BEN);
        let between = found_by(&mut world, OWNER);
        assert!(!told_of(&world, OWNER).contains(&late) && !told_of(&world, CAT).contains(&late));
        assert!(told_of(&world, CAT).contains(&between) && !told_of(&world, BEN).contains(&between));
        assert_eq!(before.0, told_of(&world, OWNER));
        let listed = world.nodes[CAT].engine.members(&space).unwrap();
        assert!(listed.iter().any(|member| member.key == peer(BEN) && member.state == MemberState::Revoked));
        // Found again, it can be linked again.
        link(&mut world, OWNER, BEN);
        assert!(world.nodes[BEN].engine.own_access(&space).allows(Level::Admin));
    }
}

#[test]
fn whoever_found_a_device_cannot_have_the_others_disown_each_other_and_strangers_tell_nothing() {
    let mut world = connected();
    link(&mut world, OWNER, BEN);
    link(&mut world, OWNER, CAT);
    let tell = |world: &mut World, from: usize, to: usize, news: News| {
        let (now, expires) = (Now::at(world.now), world.now / 1_000 + HOUR);
        let content = Introduction::News(news).to_bytes();
        world.nodes[from].engine.send_letter(now, peer(to), INTRODUCTION, &content, expires).unwrap();
        world.drain(from);
        world.run();
    };
    // Ben's was found by somebody, who says that the laptop is lost.
    tell(&mut world, BEN, CAT, News { lost: vec![peer(OWNER)], ..News::default() });
    assert!(devices(&world, CAT).contains(&peer(OWNER)));
    unlink(&mut world, OWNER, BEN);
    world.run();
    assert_eq!(devices(&world, CAT), [peer(OWNER)]);
    assert!(devices(&world, BEN).contains(&peer(CAT)), "nobody need tell a lost device");
    tell(&mut world, BEN, CAT, News { linked: vec![(PeerId([9; 32]), "mine".into())], ..News::default() });
    assert_eq!(devices(&world, CAT), [peer(OWNER)]);
    let card =
        crate::trust::introduction::Card { space: SPACE, name: String::new(), relays: Vec::new(), chain: Vec::new(), key: None };
    tell(&mut world, BEN, CAT, News { cards: vec![card], ..News::default() });
    assert!(told_of(&world, CAT).is_empty());
    assert!(world.nodes[CAT].engine.letters().is_empty());
    assert_eq!(world.nodes[CAT].engine.unlink_device(Now::at(world.now), PeerId([9; 32])), Err(IntroductionError::NoDevice));
}

#[test]
fn there_are_no_more_devices_than_there_may_be_and_lost_ones_make_room() {
    let mut world = connected();
    let news = |from: u8, to: u8| News {
        linked: (from..to).map(|number| (PeerId([number; 32]), String::new())).collect(),
        ..News::default()
    };
    link(&mut world, OWNER, BEN);
    let engine = &mut world.nodes[OWNER].engine;
    engine.on_news(peer(BEN), news(0, DEVICES_MAX as u8));
    assert_eq!(engine.devices().len(), DEVICES_MAX);
    let ticket = link_ticket(&mut world, OWNER);
    ask(&mut world, CAT, &ticket);
    world.run();
    let engine = &mut world.nodes[OWNER].engine;
    let full = engine.confirm_device(Now::at(world.now), ticket.id(), Vec::new());
    assert!(matches!(full, Err(IntroductionError::Full(_))), "{full:?}");
    engine.unlink_device(Now::at(world.now), PeerId([3; 32])).unwrap();
    engine.confirm_device(Now::at(world.now), ticket.id(), Vec::new()).unwrap();
    assert_eq!(engine.devices().len(), DEVICES_MAX);
    assert!(engine.devices().iter().all(|device| device.key != PeerId([3; 32])));
}
