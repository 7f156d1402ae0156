//! Stories of drivers that follow a space for clients of their own.

use super::config::{Compaction, Role};
use super::effect::Event;
use super::following::{OfferError, Reread};
use super::tests::{NOTE, SPACE, World};
use crate::base::id::{ActorId, ConnectionId, DocumentId, SpaceId};
use crate::base::time::Now;
use crate::doc::assembly::Assembly;
use crate::doc::document::Document;
use crate::doc::value::TextUnit;
use crate::log::entry::Entry;
use std::sync::Arc;

const GUEST: ConnectionId = ConnectionId(1_000);

/// Entries told to be durable of the note since it was last asked, and whether it is to be read anew.
fn told(world: &mut World, node: usize) -> (Vec<Arc<Entry>>, bool) {
    let (mut entries, mut anew) = (Vec::new(), false);
    for event in std::mem::take(&mut world.nodes[node].events) {
        match event {
            Event::Durable { space, document, entries: more } => {
                assert_eq!((space, document), (SPACE, NOTE));
                entries.extend(more);
            }
            Event::Anew { .. } => anew = true,
            _ => {}
        }
    }
    (entries, anew)
}

fn read(world: &mut World, node: usize) -> Option<Reread> {
    let number = world.nodes[node].engine.read_document(Now::at(world.now), SPACE, NOTE)?;
    world.drain(node);
    let answer = std::mem::take(&mut world.nodes[node].events).into_iter().find_map(|event| match event {
        Event::Reread { number: answered, document, result } if answered == number => Some((document, result)),
        _ => None,
    });
    let (document, result) = answer.expect("a reading is answered");
    assert_eq!(document, NOTE);
    Some(result.expect("the store reads"))
}

fn loaded(reread: Reread) -> Document {
    let assembly = Assembly {
        document: NOTE,
        actor: ActorId::new(&[0]).unwrap(),
        unit: TextUnit::CodePoint,
        snapshots: reread.snapshot.into_iter().collect(),
        entries: reread.entries,
        save: false,
        sought: Vec::new(),
    };
    assembly.run().unwrap().document
}

fn world(roles: &[Role]) -> World {
    let mut world = World::with(roles, |config| {
        config.ping_ms = u64::MAX / 4;
        config.compaction = Compaction { quiet_bytes_min: 2_000, quiet_ms: 1_000, kept_bytes_min: 300, ..Compaction::default() };
    });
    world.nodes[0].engine.follow(Now::at(0), SPACE);
    world.drain(0);
    world
}

fn offer(world: &mut World, node: usize, entries: Vec<Arc<Entry>>) -> Result<(), OfferError> {
    let offered = world.nodes[node].engine.offer(Now::at(world.now), SPACE, NOTE, entries, GUEST);
    world.drain(node);
    world.run();
    offered
}

#[test]
fn what_becomes_durable_is_told_and_what_is_handed_in_reaches_everyone() {
    let mut world = world(&[Role::Relay, Role::Client]);
    assert_eq!(read(&mut world, 0), None, "nothing is held");
    world.open(1);
    world.connect(1, 0);
    world.write(1, "ebb ");
    world.run();
    let (entries, anew) = told(&mut world, 0);
    assert_eq!((entries.len(), anew), (1, false));
    let mut copy = loaded(read(&mut world, 0).unwrap());
    assert_eq!(copy.heads(), [entries[0].hash]);

    // A client of the driver's writes: the entry goes to the peer, to the disk, and comes back.
    let mut guest = Document::new(NOTE, ActorId::new(&[9]).unwrap(), TextUnit::CodePoint);
    guest.apply(entries).unwrap();
    let written = Arc::new(guest.change(None, 0, |tx| tx.put("flow", 1)).unwrap().0.unwrap());
    offer(&mut world, 0, vec![written.clone()]).unwrap();
    assert_eq!(told(&mut world, 0).0, std::slice::from_ref(&written));
    copy.apply([written.clone()]).unwrap();
    assert!(world.nodes[1].engine.log(&NOTE).unwrap().version().heads.contains(&written.hash));
    // The same again is no news.
    offer(&mut world, 0, vec![written]).unwrap();
    assert_eq!(told(&mut world, 0).0, []);
    // Nor is what depends on something that is not there, whoever hands it in.
    let lost = guest.change(None, 0, |tx| tx.put("lost", 1)).unwrap().0.unwrap();
    let orphan = guest.change(None, 0, |tx| tx.put("orphan", 1)).unwrap().0.unwrap();
    assert_ne!(lost.hash, orphan.hash);
    offer(&mut world, 0, vec![Arc::new(orphan)]).unwrap();
    assert_eq!(told(&mut world, 0).0, []);
}

#[test]
fn a_disk_that_fails_tells_nothing_until_it_has_written() {
    let mut world = world(&[Role::Relay]);
    let mut guest = Document::new(NOTE, ActorId::new(&[9]).unwrap(), TextUnit::CodePoint);
    let written = Arc::new(guest.change(None, 0, |tx| tx.put("flow", 1)).unwrap().0.unwrap());
    world.slow_down(0);
    offer(&mut world, 0, vec![written.clone()]).unwrap();
    assert_eq!(told(&mut world, 0).0, []);
    world.let_fail(0);
    assert_eq!(told(&mut world, 0).0, []);
    world.wait(10_000);
    assert_eq!(told(&mut world, 0).0, [written]);
}

#[test]
fn a_log_that_was_compacted_is_read_whole_and_one_that_took_in_a_snapshot_is_to_be_read_anew() {
    let mut world = world(&[Role::Relay, Role::Client, Role::Relay]);
    world.nodes[2].engine.follow(Now::at(0), SPACE);
    world.open(1);
    world.connect(1, 0);
    world.run();
    for word in 0..300 {
        world.write(1, &format!("word{word} "));
    }
    world.run();
    world.wait(2_000);
    assert!(world.nodes[0].engine.log(&NOTE).unwrap().base() > 200);
    let (entries, anew) = told(&mut world, 0);
    assert_eq!((entries.len(), anew), (300, false), "compacting changes nothing of what is held");
    let copy = loaded(read(&mut world, 0).unwrap());
    assert_eq!(copy.text("body"), world.text(1));

    world.connect(1, 2);
    world.run();
    world.wait(2_000);
    let heads = world.nodes[2].engine.log(&NOTE).map(|log| log.durable().heads.clone()).unwrap_or_default();
    assert_eq!(heads.iter().copied().collect::<Vec<_>>(), copy.heads());
    assert!(told(&mut world, 2).1, "a snapshot brought what was never told");
    assert_eq!(loaded(read(&mut world, 2).unwrap()).heads(), copy.heads());
}

#[test]
fn what_may_not_be_is_refused_before_any_of_it_is_taken() {
    let mut world = world(&[Role::Relay]);
    let mut guest = Document::new(NOTE, ActorId::new(&[9]).unwrap(), TextUnit::CodePoint);
    let written = Arc::new(guest.change(None, 0, |tx| tx.put("flow", 1)).unwrap().0.unwrap());
    offer(&mut world, 0, vec![written.clone()]).unwrap();
    let elsewhere = world.nodes[0].engine.offer(Now::at(0), SpaceId([8; 16]), NOTE, vec![written], GUEST);
    assert_eq!(elsewhere, Err(OfferError::WrongSpace));
    assert_eq!(world.nodes[0].engine.read_document(Now::at(0), SpaceId([8; 16]), NOTE), None);
    assert_eq!(world.nodes[0].engine.read_document(Now::at(0), SPACE, DocumentId([3; 16])), None);
    let large = Arc::new(Entry { payload: vec![0; 13 << 20].into(), ..guest.entries()[0].clone() });
    let too_large = world.nodes[0].engine.offer(Now::at(0), SPACE, NOTE, vec![large], GUEST);
    assert!(matches!(too_large, Err(OfferError::TooLarge { .. })));
}
