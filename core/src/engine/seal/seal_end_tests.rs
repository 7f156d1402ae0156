//! Sealed spaces: what is left when a grant ends, a key is not here yet, or a relay cannot read what it holds of someone who was shut out.

use super::seal_tests::{
    BEN, CAT, OWNER, RELAY, found, invite, join, keys, peer, revoke, shared, snapshot, stored, troubles, version, world,
    write_much,
};
use crate::base::id::ViewId;
use crate::base::time::Now;
use crate::doc::document::ChangeError;
use crate::doc::edit::{Edit, Op};
use crate::doc::value::{Prop, Value};
use crate::engine::effect::{Event, TroubleKind};
use crate::engine::input::{Command, Input};
use crate::engine::tests::{NOTE, World};
use crate::engine::trust::forgetting_tests::{copied, set_back};
use crate::engine::trust::owned::Offer;
use crate::trust::owned::is_actor_of;
use crate::trust::roll::Roll;
use crate::trust::statement::{Claim, Level, Statement};

/// What a member grants ends: whoever may begins the next epoch then, and the key that leads is nobody's who no longer stands.
#[test]
fn the_end_of_a_grant_begins_an_epoch() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let offer = Offer { level: Level::Write, expires: 10, note: "a link".to_owned(), relays: Vec::new() };
    let for_ben = world.nodes[OWNER].engine.invite(Now::at(world.now), space, offer).unwrap();
    let for_cat = invite(&mut world, OWNER, space, Level::Write);
    join(&mut world, BEN, &for_ben);
    join(&mut world, CAT, &for_cat);
    for node in [OWNER, BEN, CAT] {
        world.connect(node, RELAY);
    }
    world.run();
    world.write(BEN, "ben ");
    world.run();
    let leading = |world: &World, node: usize| world.nodes[node].engine.leading(&space).map(|(epoch, _)| epoch);
    let before = leading(&world, OWNER).unwrap();
    assert_eq!(leading(&world, BEN), Some(before));
    world.wait(10_000);
    let after = leading(&world, OWNER).unwrap();
    assert!(after != before && leading(&world, CAT) == Some(after), "the owner began it, and Cat was given the key");
    world.write(CAT, "later");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben later"), "what he wrote in time stays");
    assert!(keys(&world, BEN, space).key(&after).is_none());
    let last = stored(&mut world, RELAY).last().unwrap().clone();
    assert_eq!(keys(&world, BEN, space).open_entry(&NOTE, &last.payload), Ok(None), "he could not read it if he had it");
}

/// A mirror's edit where the key is not here is turned down, and the mirror is shown what there is; when the key comes, it writes.
#[test]
fn what_a_mirror_edits_before_the_key_is_here_is_turned_down_and_nothing_is_stuck() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let mut invitation = invite(&mut world, OWNER, space, Level::Write);
    invitation.key = None;
    let roll = world.nodes[OWNER].engine.trust.rolls[&space].roll.clone();
    let is_delivery = |statement: &&Statement| matches!(statement.claim(), Claim::Delivery(_));
    let mut without = Roll::new(space);
    without.take(roll.statements().into_iter().filter(|statement| !is_delivery(statement)).cloned().collect());
    world.nodes[OWNER].engine.trust.put(without);
    world.connect(OWNER, RELAY);
    world.run();
    world.disconnect(0);
    join(&mut world, BEN, &invitation);
    world.connect(BEN, RELAY);
    world.run();
    let view = ViewId(7);
    world.input(BEN, Input::Command(Command::OpenView { view, space, document: NOTE, resume: Vec::new(), mirror: None }));
    let updates = |world: &World| -> Vec<(u64, u64, bool)> {
        let update = |event: &Event| match event {
            Event::ViewUpdated(update) if update.view == view => Some((update.number, update.covers, update.reset.is_some())),
            _ => None,
        };
        world.nodes[BEN].events.iter().filter_map(update).collect()
    };
    let seen = updates(&world).last().map_or(0, |(number, ..)| *number);
    let edit = |world: &mut World, number: u64, seen: u64| {
        let put = Op::Put { path: vec![Prop::Key(format!("edit {number}"))], value: Value::Int(1) };
        let edit = Edit { ops: vec![put], message: None };
        world.input(BEN, Input::Command(Command::EditView { view, number, seen, edit, stamp: None }));
        world.run();
    };
    edit(&mut world, 1, seen);
    let refused = |world: &World| -> Vec<(u64, String)> {
        let refusal = |event: &Event| match event {
            Event::EditRefused { number, reason, .. } => Some((*number, reason.clone())),
            _ => None,
        };
        world.nodes[BEN].events.iter().filter_map(refusal).collect()
    };
    assert_eq!(refused(&world), [(1, ChangeError::NoKey.to_string())]);
    let reset = updates(&world).last().copied().unwrap();
    assert!(reset.1 == 1 && reset.2, "what it shows is not in the document: {reset:?}");
    // Another that was on its way when the reset was: refused as well, and not shown as made.
    edit(&mut world, 2, seen);
    assert_eq!(refused(&world).len(), 2);
    world.connect(OWNER, RELAY);
    world.run();
    assert!(!world.nodes[BEN].engine.waits_for_key(&space));
    let (number, covers, _) = updates(&world).last().copied().unwrap();
    assert_eq!(covers, 2);
    edit(&mut world, 3, number);
    assert_eq!(refused(&world).len(), 2, "{:?}", refused(&world));
    let shown = world.nodes[OWNER].engine.document(&NOTE).unwrap().value(()).unwrap().to_json().to_string();
    assert!(shown.contains("edit 3") && !shown.contains("edit 1") && !shown.contains("edit 2"), "{shown}");
}

/// A relay that holds a snapshot which it cannot read, and entries beside it, hears that someone is shut out.
#[test]
fn a_relay_keeps_a_snapshot_that_it_cannot_read_where_it_stands_for_nothing_refused_and_else_begins_anew() {
    for is_within in [false, true] {
        let mut world = world();
        let space = shared(&mut world, Level::Write);
        world.write(BEN, "ben ");
        world.run();
        // The owner does not hear of what Ben writes now.
        world.disconnect(0);
        if is_within {
            // Cat, who may make snapshots then, has it in one.
            let for_cat = world.nodes[OWNER].engine.invite(
                Now::at(world.now),
                space,
                Offer { level: Level::Admin, expires: 0, note: String::new(), relays: Vec::new() },
            );
            join(&mut world, CAT, &for_cat.unwrap());
            world.run();
            world.write(BEN, "late ");
            world.run();
            write_much(&mut world, CAT);
        } else {
            world.connect(OWNER, RELAY);
            world.run();
            write_much(&mut world, OWNER);
            world.disconnect(3);
            world.write(BEN, "late ");
            world.run();
        }
        let held = snapshot(&mut world, RELAY).expect("someone who may has made one");
        let before = copied(&mut world, RELAY);
        assert!(version(&world, RELAY).clock.iter().any(|(actor, seq)| is_actor_of(actor, &peer(BEN)) && seq == 2));
        revoke(&mut world, OWNER, space, BEN);
        world.connect(OWNER, RELAY);
        world.run();
        world.wait(30_000);
        let of_ben = |world: &World, node: usize| -> u64 {
            version(world, node).clock.iter().filter(|(actor, _)| is_actor_of(actor, &peer(BEN))).map(|(_, seq)| seq).sum()
        };
        for node in [RELAY, OWNER, CAT] {
            assert_eq!(of_ben(&world, node), 1, "within {is_within}: node {node} holds what is accepted of him");
            assert_eq!(version(&world, node), version(&world, OWNER), "within {is_within}: node {node}");
        }
        assert_eq!(world.text(CAT), world.text(OWNER));
        assert!(world.text(OWNER).is_some_and(|text| text.contains("ben ") && !text.contains("late ")));
        if !is_within {
            assert_eq!(snapshot(&mut world, RELAY), Some(held), "it need not be brought again");
            continue;
        }
        let of_changes = |told: &String| told.contains("changes of document");
        let went_back = |world: &World| {
            [OWNER, CAT].map(|node| troubles(world, node, TroubleKind::WentBack).into_iter().filter(of_changes).count())
        };
        assert_eq!(went_back(&world), [0, 0], "it has begun the document anew, rightly");
        // What it has been given since is gone with its disk, and that is no beginning.
        world.write(OWNER, "last ");
        world.wait(2_000);
        set_back(&mut world, before, &[1, 2, 3]);
        world.connect(OWNER, RELAY);
        world.wait(2_000);
        assert_eq!(went_back(&world)[0], 1);
    }
}

/// Somebody whom the owner has not heard of yet is given no key with the epoch that begins when another is shut out. What she built on what is refused
/// waits for the key, and is made again under it.
#[test]
fn what_is_to_be_made_again_waits_for_the_key_under_which_it_is() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let (for_ben, for_cat) = (invite(&mut world, OWNER, space, Level::Write), invite(&mut world, OWNER, space, Level::Write));
    join(&mut world, BEN, &for_ben);
    world.connect(OWNER, RELAY);
    world.connect(BEN, RELAY);
    world.run();
    world.disconnect(0);
    join(&mut world, CAT, &for_cat);
    world.connect(CAT, RELAY);
    world.run();
    world.write(BEN, "behind ");
    world.run();
    world.write(CAT, "cat ");
    world.run();
    revoke(&mut world, OWNER, space, BEN);
    world.connect(OWNER, RELAY);
    world.run();
    world.wait(2_000);
    assert!(!world.nodes[CAT].engine.waits_for_key(&space));
    let text = world.text(OWNER).unwrap();
    assert!(text.contains("cat ") && !text.contains("behind "), "{text}");
    assert_eq!(version(&world, CAT), version(&world, OWNER));
}
