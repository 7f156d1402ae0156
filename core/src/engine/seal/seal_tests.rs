//! Sealed spaces: members read, relays carry what they cannot read, and who was shut out reads nothing that comes later.

use crate::base::id::{ActorId, ConnectionId, PeerId, SpaceId};
use crate::base::time::Now;
use crate::doc::change::entry_from_payload;
use crate::doc::document::ChangeError;
use crate::doc::edit::{Edit, Op};
use crate::doc::path::IntoPath as _;
use crate::engine::config::{EngineConfig, Role};
use crate::engine::effect::{Event, TroubleKind};
use crate::engine::input::{Command, Input};
use crate::engine::tests::{NOTE, World};
use crate::engine::trust::owned::Offer;
use crate::log::entry::Entry;
use crate::seal::key::{EpochId, EpochKey};
use crate::seal::keyring::Keyring;
use crate::seal::snapshot::SealedSnapshot;
use crate::store::task::{StoreDone, StoreTask};
use crate::sync::message::{ErrorCode, Message};
use crate::trust::invitation::Invitation;
use crate::trust::key::{SecretKey, Signer as _};
use crate::trust::owned::{is_owned, is_sealed};
use crate::trust::roll::Roll;
use crate::trust::statement::{Claim, Level, Statement};
use std::sync::Arc;

pub(in crate::engine) const RELAY: usize = 0;
pub(in crate::engine) const OWNER: usize = 1;
pub(in crate::engine) const BEN: usize = 2;
pub(in crate::engine) const CAT: usize = 3;
/// What a keystroke costs from its writer to the relay, and from there to each reader.
const KEYSTROKE_BYTES: usize = 275;

pub(in crate::engine) fn peer(node: usize) -> PeerId {
    SecretKey::new(&[node as u8 + 100; 32]).peer()
}

/// A relay and three others; their logs are compacted when they are quiet and a little long.
pub(in crate::engine) fn world() -> World {
    world_with(|config| {
        config.compaction.quiet_bytes_min = 2_000;
        config.compaction.kept_bytes_min = 600;
    })
}

fn world_with(configure: impl Fn(&mut EngineConfig)) -> World {
    let mut world = World::with(&[Role::Relay, Role::Client, Role::Client, Role::Client], |config| {
        config.identity = Some([config.seed[0] + 100; 32]);
        configure(config);
    });
    for node in [OWNER, BEN, CAT] {
        world.input(node, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    }
    world
}

pub(in crate::engine) fn open_note(world: &mut World, node: usize, space: SpaceId) {
    world.input(node, Input::Command(Command::OpenDocument { space, document: NOTE }));
}

pub(in crate::engine) fn found(world: &mut World) -> SpaceId {
    let space = world.nodes[OWNER].engine.found_sealed_space(Now::at(world.now)).unwrap();
    world.drain(OWNER);
    open_note(world, OWNER, space);
    space
}

pub(in crate::engine) fn invite(world: &mut World, by: usize, space: SpaceId, level: Level) -> Invitation {
    let offer = Offer { level, expires: 0, note: "a link".to_owned(), relays: Vec::new() };
    let invitation = world.nodes[by].engine.invite(Now::at(world.now), space, offer).unwrap();
    world.drain(by);
    Invitation::from_text(&invitation.to_text()).unwrap()
}

pub(in crate::engine) fn join(world: &mut World, node: usize, invitation: &Invitation) {
    world.nodes[node].engine.join(Now::at(world.now), invitation, format!("node {node}")).unwrap();
    world.drain(node);
    open_note(world, node, invitation.space);
}

pub(in crate::engine) fn revoke(world: &mut World, by: usize, space: SpaceId, whom: usize) {
    world.nodes[by].engine.revoke(Now::at(world.now), space, peer(whom)).unwrap();
    world.drain(by);
}

/// A sealed space on the relay with a note in it that the owner has begun, in which Ben may write and Cat do what is said.
pub(in crate::engine) fn shared(world: &mut World, cat: Level) -> SpaceId {
    let space = found(world);
    world.write(OWNER, "owner ");
    let (for_ben, for_cat) = (invite(world, OWNER, space, Level::Write), invite(world, OWNER, space, cat));
    join(world, BEN, &for_ben);
    join(world, CAT, &for_cat);
    for node in [OWNER, BEN, CAT] {
        world.connect(node, RELAY);
    }
    world.run();
    space
}

pub(in crate::engine) fn version(world: &World, node: usize) -> crate::log::version::Version {
    world.nodes[node].engine.log(&NOTE).map(|log| log.version().clone()).unwrap_or_default()
}

pub(in crate::engine) fn troubles(world: &World, node: usize, kind: TroubleKind) -> Vec<String> {
    let of_kind = |event: &Event| match event {
        Event::Trouble(trouble) if trouble.kind == kind => Some(trouble.message.clone()),
        _ => None,
    };
    world.nodes[node].events.iter().filter_map(of_kind).collect()
}

/// Says something to a node as if the other end of a connection had; answers the errors that it is told.
pub(in crate::engine) fn says(world: &mut World, to: usize, connection: u64, message: &Message) -> Vec<ErrorCode> {
    world.run();
    world.input(to, Input::Frame { connection: ConnectionId(connection), bytes: Arc::from(message.encode()) });
    let error = |(_, of, frame): &(usize, ConnectionId, Arc<[u8]>)| match Message::decode(frame) {
        Ok(Message::Error { code, .. }) if of.0 == connection => Some(code),
        _ => None,
    };
    let errors = world.frames.iter().filter_map(error).collect();
    world.run();
    errors
}

/// All entries of the note that a node's store holds.
pub(in crate::engine) fn stored(world: &mut World, node: usize) -> Vec<Arc<Entry>> {
    let task = StoreTask::Read { document: NOTE, above: Default::default(), after: 0, bytes_max: usize::MAX };
    match world.nodes[node].store.execute(task) {
        Ok(StoreDone::Read { entries, .. }) => entries.into_iter().map(|(_, entry)| entry).collect(),
        other => panic!("{other:?}"),
    }
}

/// The snapshot of the note that a node's store holds.
pub(in crate::engine) fn snapshot(world: &mut World, node: usize) -> Option<Arc<[u8]>> {
    match world.nodes[node].store.execute(StoreTask::ReadSnapshot { document: NOTE, offset: 0, bytes_max: usize::MAX }) {
        Ok(StoreDone::SnapshotRead { part }) => part.map(|part| part.bytes),
        other => panic!("{other:?}"),
    }
}

fn waits(world: &World, node: usize) -> bool {
    world.nodes[node].engine.is_sealed_here(&NOTE)
}

#[test]
fn members_read_what_the_relay_carries_and_cannot_read() {
    let mut world = world();
    let space = shared(&mut world, Level::Read);
    assert!(is_owned(&space) && is_sealed(&space));
    world.write(BEN, "ben ");
    world.run();
    world.write(OWNER, "again ");
    world.run();
    for node in [OWNER, BEN, CAT] {
        assert_eq!(world.text(node).as_deref(), Some("owner ben again "));
        assert_eq!(version(&world, node), version(&world, RELAY), "all go by the same names");
    }
    let entries = stored(&mut world, RELAY);
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|entry| entry_from_payload(NOTE, entry.payload.clone()).is_err()));
    // What people are called is read by members only.
    let notes = |world: &World, node: usize| -> Vec<String> {
        world.nodes[node].engine.members(&space).unwrap().into_iter().map(|member| member.note).collect()
    };
    for node in [OWNER, BEN, CAT] {
        assert!(notes(&world, node).iter().any(|note| note == "node 2"), "{:?}", notes(&world, node));
    }
    assert!(notes(&world, RELAY).iter().all(String::is_empty));
    assert_eq!(world.nodes[OWNER].engine.saved(&NOTE).unwrap().relays, 1);
    // Attestations vouch for names, and the relay can hold them against what it has.
    world.wait(1_000);
    let vouched = world.nodes[RELAY].engine.authorship(&NOTE);
    assert!(vouched.len() == 2 && vouched.iter().all(|author| author.attested == author.changes), "{vouched:?}");
}

#[test]
fn a_keystroke_costs_so_much_on_the_wire() {
    let mut world = world();
    shared(&mut world, Level::Read);
    world.write(BEN, "a");
    world.run();
    world.wait(2_000);
    world.write(BEN, "b");
    let is_entry = |frame: &&Arc<[u8]>| matches!(Message::decode(frame), Ok(Message::Entries { .. }));
    let frames: Vec<Arc<[u8]>> = world.frames.iter().map(|(_, _, frame)| frame.clone()).collect();
    let bytes: Vec<usize> = frames.iter().filter(is_entry).map(|frame| frame.len()).collect();
    assert_eq!(bytes, [KEYSTROKE_BYTES], "as docs/protocol.md says");
}

#[test]
fn who_was_away_when_another_was_shut_out_is_given_the_new_key_on_return() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.disconnect(2);
    revoke(&mut world, OWNER, space, BEN);
    world.run();
    world.write(OWNER, "later ");
    world.write(CAT, "cat ");
    world.run();
    assert_eq!(world.text(BEN).as_deref(), Some("owner "), "who was shut out is sent nothing");
    world.connect(CAT, RELAY);
    world.run();
    for node in [OWNER, CAT] {
        let text = world.text(node).unwrap();
        assert!(text.contains("later") && text.contains("cat"), "{text}");
    }
    assert_eq!(version(&world, CAT), version(&world, OWNER));
    // From now on she writes under the new key.
    world.write(CAT, "new ");
    world.run();
    assert_eq!(world.text(OWNER), world.text(CAT));
}

/// The keys that a node holds, as someone who has taken its device has them.
pub(in crate::engine) fn keys(world: &World, node: usize, space: SpaceId) -> Keyring {
    world.nodes[node].engine.keys_of(&space).unwrap().clone()
}

#[test]
fn who_was_shut_out_cannot_read_what_is_written_later_even_with_the_relays_disk() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.write(BEN, "ben ");
    world.run();
    let before = stored(&mut world, RELAY).len();
    let of_ben = keys(&world, BEN, space);
    for entry in stored(&mut world, RELAY) {
        assert!(of_ben.open_entry(&NOTE, &entry.payload).unwrap().is_some(), "what he could read, he can");
    }
    revoke(&mut world, OWNER, space, BEN);
    world.run();
    world.write(OWNER, "later ");
    world.write(CAT, "cat ");
    world.write(BEN, "still here");
    world.run();
    let after = stored(&mut world, RELAY);
    assert!(after.len() >= before + 2);
    // The whole roll is his, too: nothing in it brings him the key.
    let roll = world.nodes[RELAY].engine.trust.rolls[&space].roll.clone();
    world.nodes[BEN].engine.trust.put(roll);
    world.nodes[BEN].engine.tend_keys(space);
    let of_ben = keys(&world, BEN, space);
    for entry in &after[before..] {
        assert_eq!(of_ben.open_entry(&NOTE, &entry.payload), Ok(None));
        // Nor can he guess: the name of a change that he makes up is another.
        let (_, body) = keys(&world, OWNER, space).open_entry(&NOTE, &entry.payload).unwrap().unwrap();
        let guessed = crate::doc::change::entry_from_body(NOTE, &body).unwrap();
        assert_eq!(of_ben.name(&NOTE, &entry.actor, &guessed.hash), None);
        for epoch in of_ben.epochs() {
            let actor = ActorId::new(&[&epoch.tag()[..], &entry.actor.as_bytes()[4..]].concat()).unwrap();
            assert_ne!(of_ben.name(&NOTE, &actor, &guessed.hash), Some(entry.hash));
        }
    }
    // And what he wrote later is refused.
    world.disconnect(1);
    world.connect(BEN, RELAY);
    let entry = stored(&mut world, BEN).last().unwrap().clone();
    let late = Message::Entries { space, document: NOTE, payloads: vec![entry.payload.clone()] };
    assert_eq!(says(&mut world, RELAY, 3, &late), [ErrorCode::NotSubscribed]);
    assert!(!version(&world, RELAY).clock.covers(&entry.actor, entry.seq));
}

#[test]
fn a_member_without_the_key_keeps_what_comes_and_reads_it_when_the_key_does() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let mut invitation = invite(&mut world, OWNER, space, Level::Write);
    // An invitation without the key, into a space whose key the link was not brought either.
    invitation.key = None;
    let roll = world.nodes[OWNER].engine.trust.rolls[&space].roll.clone();
    let is_delivery = |statement: &&Statement| matches!(statement.claim(), Claim::Delivery(_));
    let kept = roll.statements().into_iter().filter(|statement| !is_delivery(statement)).cloned().collect();
    let mut without = Roll::new(space);
    without.take(kept);
    world.nodes[OWNER].engine.trust.put(without);
    world.connect(OWNER, RELAY);
    world.run();
    world.disconnect(0);
    join(&mut world, BEN, &invitation);
    world.connect(BEN, RELAY);
    world.run();
    assert_eq!(version(&world, BEN), version(&world, RELAY), "he holds all of it");
    assert_eq!(world.text(BEN), None);
    assert!(waits(&world, BEN) && world.nodes[BEN].engine.waits_for_key(&space));
    let refused = world.nodes[BEN].engine.change(Now::at(world.now), NOTE, None, |note| note.put("a", 1));
    assert_eq!(refused, Err(ChangeError::NoKey), "and what he would write nobody else could read");
    // The owner comes back, sees someone without the key, and brings it.
    world.connect(OWNER, RELAY);
    world.run();
    assert_eq!(world.text(BEN).as_deref(), Some("owner "));
    assert!(!waits(&world, BEN));
    world.write(BEN, "ben");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("owner ben"));
}

#[test]
fn a_link_that_is_opened_after_someone_was_shut_out_opens_what_was_written_since() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let (for_ben, for_cat) = (invite(&mut world, OWNER, space, Level::Write), invite(&mut world, OWNER, space, Level::Write));
    join(&mut world, BEN, &for_ben);
    for node in [OWNER, BEN] {
        world.connect(node, RELAY);
    }
    world.run();
    revoke(&mut world, OWNER, space, BEN);
    world.run();
    world.write(OWNER, "later ");
    world.run();
    world.disconnect(0);
    // The owner is gone. The link was brought the new key with everyone else.
    join(&mut world, CAT, &for_cat);
    world.connect(CAT, RELAY);
    world.run();
    assert_eq!(world.text(CAT).as_deref(), Some("owner later "));
    world.write(CAT, "cat");
    world.run();
    // Started again, she has the key by her own.
    let mut config = EngineConfig::new(Role::Client, [77; 32]);
    config.identity = Some([CAT as u8 + 100; 32]);
    world.restart(CAT, config);
    open_note(&mut world, CAT, space);
    assert_eq!(world.text(CAT).as_deref(), Some("owner later cat"));
    assert!(!world.nodes[CAT].engine.waits_for_key(&space));
}

/// Writes until a log is long, and waits until it is quiet and compacted.
pub(in crate::engine) fn write_much(world: &mut World, node: usize) {
    for _ in 0..20 {
        world.write(node, "tide and time ");
        world.run();
    }
    world.wait(25_000);
    world.wait(25_000);
}

#[test]
fn the_relay_compacts_by_what_a_member_makes_and_serves_a_newcomer_with_snapshot_and_tail() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    let past = world.nodes[OWNER].engine.document(&NOTE).unwrap().heads();
    write_much(&mut world, BEN);
    let held = snapshot(&mut world, RELAY).expect("the owner was asked, and made one");
    assert_eq!(SealedSnapshot::read(&held).unwrap().header.maker, peer(OWNER));
    let entries = stored(&mut world, RELAY).len();
    assert!(entries < 10, "{entries} entries are kept beside it");
    assert_eq!(version(&world, RELAY), version(&world, OWNER));
    world.write(BEN, "after ");
    // And a branch, which depends on what only the snapshot stands for.
    let branch = Op::Splice { path: "body".into_path(), index: 0, delete: 0, insert: "beside ".to_owned() };
    let branch = Edit { ops: vec![branch], message: None };
    world.nodes[OWNER].engine.edit_at(Now::at(world.now), NOTE, &past, &branch).unwrap();
    world.drain(OWNER);
    world.run();
    // Someone new comes with everyone gone.
    let for_new = invite(&mut world, OWNER, space, Level::Write);
    world.run();
    for connection in [0, 1, 2] {
        world.disconnect(connection);
    }
    let mut config = EngineConfig::new(Role::Client, [9; 32]);
    config.identity = Some([200; 32]);
    world.restart(CAT, config);
    world.nodes[CAT].store = crate::store::journal::Journal::new(crate::store::medium::MemoryMedium::new());
    let mut config = EngineConfig::new(Role::Client, [10; 32]);
    config.identity = Some([200; 32]);
    world.restart(CAT, config);
    world.input(CAT, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    join(&mut world, CAT, &for_new);
    world.connect(CAT, RELAY);
    world.run();
    assert_eq!(world.text(CAT), world.text(BEN));
    assert!(world.text(CAT).is_some_and(|text| text.starts_with("beside ")), "{:?}", world.text(CAT));
    assert_eq!(version(&world, CAT), version(&world, RELAY));
    assert!(snapshot(&mut world, CAT).is_some_and(|own| own == held), "it came as it is");
    // A branch that returns depends on what only the snapshot stands for.
    world.connect(OWNER, RELAY);
    world.run();
    world.write(CAT, "new ");
    world.run();
    assert_eq!(world.text(OWNER), world.text(CAT));
}

#[test]
fn a_members_snapshot_of_what_is_not_yet_on_the_relays_disk_is_kept_until_it_is() {
    let mut world = world();
    shared(&mut world, Level::Write);
    for _ in 0..20 {
        world.write(BEN, "tide and time ");
        world.run();
    }
    world.wait(1_000);
    // The last of it reaches the owner while the relay's disk still writes.
    world.slow_down(RELAY);
    world.write(BEN, "wait for no one");
    world.run();
    for _ in 0..2 {
        world.wait(25_000);
    }
    assert_eq!(snapshot(&mut world, RELAY), None, "it stands for more than what is on the disk");
    assert!(!stored(&mut world, OWNER).is_empty() && snapshot(&mut world, OWNER).is_some(), "the owner was asked");
    world.let_through(RELAY);
    world.run();
    let held = snapshot(&mut world, RELAY).expect("nobody is asked again");
    assert_eq!(SealedSnapshot::read(&held).unwrap().header.version, version(&world, OWNER));
}

#[test]
fn a_branch_made_on_what_only_a_snapshot_holds_returns_to_a_relay_that_cannot_read_it() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    world.disconnect(2);
    world.write(CAT, "cat was away ");
    write_much(&mut world, BEN);
    assert!(snapshot(&mut world, RELAY).is_some());
    let mut config = EngineConfig::new(Role::Relay, [RELAY as u8; 32]);
    config.identity = Some([RELAY as u8 + 100; 32]);
    for connection in [0, 1] {
        world.disconnect(connection);
    }
    world.restart(RELAY, config);
    world.connect(CAT, RELAY);
    world.run();
    for node in [OWNER, BEN] {
        world.connect(node, RELAY);
    }
    world.run();
    for node in [OWNER, BEN, RELAY] {
        assert_eq!(version(&world, node), version(&world, CAT), "node {node}");
    }
    assert!(world.text(OWNER).unwrap().contains("cat was away"));
    assert_eq!(world.text(OWNER), world.text(BEN));
    assert!(space.0.starts_with(b"seal"));
}

#[test]
fn a_relay_asks_who_comes_when_nobody_was_there_to_make_a_snapshot() {
    let mut world = world();
    shared(&mut world, Level::Write);
    world.disconnect(0);
    write_much(&mut world, BEN);
    assert_eq!(snapshot(&mut world, RELAY), None, "neither Ben nor Cat may make one");
    world.connect(OWNER, RELAY);
    world.run();
    world.wait(25_000);
    assert!(snapshot(&mut world, RELAY).is_some());
    assert!(stored(&mut world, RELAY).len() < 10);
    for node in [OWNER, BEN, CAT] {
        assert_eq!(version(&world, node), version(&world, RELAY));
    }
}

#[test]
fn a_member_without_the_key_keeps_a_snapshot_and_reads_it_when_the_key_comes() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    write_much(&mut world, BEN);
    assert!(snapshot(&mut world, RELAY).is_some());
    let for_new = invite(&mut world, OWNER, space, Level::Write);
    world.run();
    for connection in [0, 1, 2] {
        world.disconnect(connection);
    }
    // Whoever comes now has nothing but what the relay has, and no key.
    let text = world.text(OWNER);
    let mut config = EngineConfig::new(Role::Client, [9; 32]);
    config.identity = Some([200; 32]);
    world.nodes[CAT].store = crate::store::journal::Journal::new(crate::store::medium::MemoryMedium::new());
    world.restart(CAT, config);
    world.input(CAT, Input::Command(Command::AddEndpoint { endpoint: "peer".to_owned() }));
    let without = Invitation { key: None, ..for_new };
    let roll = world.nodes[RELAY].engine.trust.rolls[&space].roll.clone();
    let kept = roll.statements().into_iter().filter(|statement| !matches!(statement.claim(), Claim::Delivery(_)));
    let mut bare = Roll::new(space);
    bare.take(kept.cloned().collect());
    world.nodes[RELAY].engine.trust.put(bare);
    join(&mut world, CAT, &without);
    world.connect(CAT, RELAY);
    world.run();
    assert_eq!(version(&world, CAT), version(&world, RELAY));
    assert!(waits(&world, CAT) && world.text(CAT).is_none());
    world.connect(OWNER, RELAY);
    world.run();
    assert!(!waits(&world, CAT));
    assert_eq!(world.text(CAT), text);
}

#[test]
fn presence_is_seen_by_members_and_is_nothing_to_the_relay() {
    let mut world = world();
    let space = shared(&mut world, Level::Presence);
    let state = "{\"name\":\"Ada Lovelace\"}".to_owned();
    world.input(BEN, Input::Command(Command::SetPresence { space, instance: 1, state: Some(state.clone()) }));
    let frames: Vec<Arc<[u8]>> = world.frames.iter().map(|(_, _, frame)| frame.clone()).collect();
    assert!(!frames.is_empty() && frames.iter().all(|frame| !frame.windows(3).any(|letters| letters == b"Ada")));
    world.run();
    let seen = |world: &World, node: usize| {
        world.nodes[node].events.iter().any(
            |event| matches!(event, Event::Presence { peer: of, state: Some(seen), .. } if *of == peer(BEN) && *seen == state),
        )
    };
    assert!(seen(&world, OWNER) && seen(&world, CAT) && !seen(&world, RELAY));
    // Repeated under another number by a relay, it is nobody's.
    let message = frames.iter().find_map(|frame| match Message::decode(frame) {
        Ok(Message::Presence(message)) => Some(message),
        _ => None,
    });
    let mut repeated = message.unwrap();
    repeated.counter += 1_000;
    world.nodes[OWNER].events.clear();
    says(&mut world, OWNER, 0, &Message::Presence(repeated));
    assert!(!seen(&world, OWNER));
}

#[test]
fn who_came_by_a_link_while_the_owner_was_away_and_shut_another_out_is_given_the_new_key() {
    let mut world = world();
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let (for_ben, for_cat) = (invite(&mut world, OWNER, space, Level::Write), invite(&mut world, OWNER, space, Level::Write));
    join(&mut world, CAT, &for_cat);
    for node in [OWNER, CAT] {
        world.connect(node, RELAY);
    }
    world.run();
    world.disconnect(0);
    // He is given the key as himself, and lets go of the link; then the owner begins the next without knowing of him.
    join(&mut world, BEN, &for_ben);
    world.input(BEN, Input::Command(Command::SetPresence { space, instance: 1, state: Some("Ben".to_owned()) }));
    world.connect(BEN, RELAY);
    world.run();
    world.write(BEN, "ben ");
    world.run();
    revoke(&mut world, OWNER, space, CAT);
    world.connect(OWNER, RELAY);
    world.run();
    assert!(!world.nodes[BEN].engine.waits_for_key(&space));
    world.write(OWNER, "later ");
    world.run();
    for node in [OWNER, BEN] {
        assert_eq!(world.text(node).as_deref(), Some("owner ben later "), "{node}");
    }
    let is_ben = |event: &Event| matches!(event, Event::Presence { peer: of, state: Some(_), .. } if *of == peer(BEN));
    assert!(world.nodes[OWNER].events.iter().any(is_ben), "and is seen, though he showed himself before he had a key");
}

#[test]
fn two_who_shut_others_out_at_once_come_to_write_under_one_key_and_read_all() {
    let mut world = world();
    let space = shared(&mut world, Level::Admin);
    let for_two = [invite(&mut world, OWNER, space, Level::Read), invite(&mut world, CAT, space, Level::Read)];
    world.run();
    for connection in [0, 2] {
        world.disconnect(connection);
    }
    let link = |invitation: &Invitation| SecretKey::new(&invitation.secret).peer();
    for (node, invitation) in [(OWNER, &for_two[0]), (CAT, &for_two[1])] {
        world.nodes[node].engine.revoke(Now::at(world.now), space, link(invitation)).unwrap();
        world.drain(node);
    }
    world.write(OWNER, "one ");
    world.write(CAT, "two ");
    for node in [OWNER, CAT] {
        world.connect(node, RELAY);
    }
    world.run();
    world.write(BEN, "ben ");
    world.run();
    for node in [OWNER, BEN, CAT] {
        let text = world.text(node).unwrap();
        assert!(text.contains("one ") && text.contains("two ") && text.ends_with("ben "), "{node}: {text}");
        assert_eq!(version(&world, node), version(&world, RELAY));
    }
    let leading = |node: usize| world.nodes[node].engine.leading(&space).map(|(epoch, _)| epoch);
    assert!(leading(OWNER).is_some() && leading(OWNER) == leading(CAT) && leading(OWNER) == leading(BEN));
}

#[test]
fn towards_an_older_version_a_sealed_space_is_not_synced() {
    let mut world = world_with(|config| config.version_max = if config.seed[0] == BEN as u8 { 3 } else { 4 });
    let space = found(&mut world);
    world.write(OWNER, "owner ");
    let for_ben = invite(&mut world, OWNER, space, Level::Write);
    join(&mut world, BEN, &for_ben);
    world.connect(OWNER, RELAY);
    world.connect(BEN, RELAY);
    world.run();
    assert_eq!(world.text(BEN), None);
    let told = troubles(&world, BEN, TroubleKind::Forbidden);
    assert!(told.iter().any(|told| told.contains("update")), "{told:?}");
    assert!(EpochKey::new([1; 32]) != EpochKey::new([2; 32]) && EpochId([1; 32]).tag() == [1; 4]);
}
