//! Sealed spaces: what is not what it says is refused, by whoever can tell, each with an error of its own.

use super::seal_tests::{
    BEN, CAT, OWNER, RELAY, keys, peer, revoke, says, shared, snapshot, stored, troubles, version, world, write_much,
};
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId};
use crate::doc::change::body_of;
use crate::doc::document::Document;
use crate::doc::value::TextUnit;
use crate::engine::effect::TroubleKind;
use crate::engine::tests::{NOTE, World};
use crate::log::entry::Entry;
use crate::seal::entry::Clear;
use crate::seal::keyring::Keyring;
use crate::seal::snapshot::SealedSnapshot;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::key::{SecretKey, Signer as _};
use crate::trust::owned::actor_of;
use crate::trust::statement::Level;
use std::sync::Arc;

#[test]
fn what_is_sealed_is_not_taken_in_a_clear_space_nor_what_is_clear_in_a_sealed_one() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    let mut draft = Document::new(NOTE, actor_of(&peer(BEN), &[1; 8]), TextUnit::Utf16);
    let clear = draft.change(None, 0, |note| note.put("a", 1)).unwrap().0.unwrap();
    let sends = |payload: &[u8]| Message::Entries { space, document: NOTE, payloads: vec![Arc::from(payload)] };
    assert_eq!(says(&mut world, RELAY, 1, &sends(&clear.payload)), [ErrorCode::WrongSeal]);
    let part = |bytes: Vec<u8>| {
        let bytes: Arc<[u8]> = bytes.into();
        Message::Snapshot { space, document: NOTE, size: bytes.len() as u64, offset: 0, bytes }
    };
    world.disconnect(1);
    world.connect(BEN, RELAY);
    assert_eq!(says(&mut world, RELAY, 3, &part(draft.save())), [ErrorCode::WrongSeal]);
    // In a clear space.
    let open = SpaceId([1; 16]);
    let subscribe = Message::Subscribe { space: open, eager: Vec::new(), known: None, ranges: Vec::new() };
    says(&mut world, RELAY, 3, &subscribe);
    let entry = stored(&mut world, RELAY)[0].clone();
    let elsewhere = DocumentId([8; 16]);
    let sends = Message::Entries { space: open, document: elsewhere, payloads: vec![entry.payload.clone()] };
    assert_eq!(says(&mut world, RELAY, 3, &sends), [ErrorCode::WrongSeal]);
    assert!(world.nodes[RELAY].engine.log(&elsewhere).is_none());
    assert!(world.nodes[RELAY].engine.connected_peers() == 3, "and the connection goes on");
}

/// What Ben writes next, as he would seal it.
struct Draft {
    keys: Keyring,
    actor: ActorId,
    hash: ChangeHash,
    body: Vec<u8>,
    deps: Vec<(ChangeHash, ActorId, u64)>,
}

impl Draft {
    fn new(world: &World, space: SpaceId) -> Self {
        let keys = keys(world, BEN, space);
        let epoch = keys.epochs().next().unwrap();
        let actor = actor_of(&peer(BEN), &[&epoch.tag()[..], &[9; 4]].concat().try_into().unwrap());
        let held = world.nodes[BEN].engine.document(&NOTE).unwrap();
        let mut forged = Document::new(NOTE, actor, TextUnit::Utf16);
        forged.apply(held.entries().into_iter().map(Arc::new)).unwrap();
        let change = forged.change(None, 0, |note| note.put("forged", 1)).unwrap().0.unwrap();
        let deps = change.deps.iter().map(|dep| held.author_of(dep).map(|(actor, seq)| (*dep, actor, seq)).unwrap()).collect();
        Self { keys, actor, hash: change.hash, body: body_of(&change.payload).unwrap(), deps }
    }

    fn sealed(&self, change: impl FnOnce(&mut Clear<'_>)) -> Entry {
        let mut clear = Clear { actor: self.actor, seq: 1, hash: self.hash, deps: &self.deps, body: &self.body };
        change(&mut clear);
        self.keys.seal_entry(NOTE, &clear, |_| false).unwrap()
    }
}

#[test]
fn a_sealed_entry_that_is_not_what_it_says_is_refused_by_members_and_nothing_that_rests_on_it_is_asked_for_again() {
    type Forge = fn(&Draft) -> Entry;
    let forgeries: [(&str, Forge); 6] = [
        ("a flipped bit", |draft| {
            let entry = draft.sealed(|_| {});
            let mut payload = entry.payload.to_vec();
            *payload.last_mut().unwrap() ^= 1;
            Entry { payload: payload.into(), ..entry }
        }),
        ("another number than it has", |draft| draft.sealed(|clear| clear.seq = 2)),
        ("another name", |draft| draft.sealed(|clear| clear.hash = ChangeHash([7; 32]))),
        ("no dependencies", |draft| draft.sealed(|clear| clear.deps = &[])),
        ("no change", |draft| draft.sealed(|clear| clear.body = b"rubbish")),
        ("sealed under another's name", |draft| {
            let owner = draft.deps[0].1;
            draft.sealed(|clear| clear.actor = owner)
        }),
    ];
    for (what, forge) in forgeries {
        let mut world = world();
        let space = shared(&mut world, Level::Write);
        let entry = forge(&Draft::new(&world, space));
        let sends = Message::Entries { space, document: NOTE, payloads: vec![entry.payload.clone()] };
        // A member that is told it by the relay.
        let errors = says(&mut world, OWNER, 0, &sends);
        assert_eq!(errors, [ErrorCode::BrokenSeal], "{what}");
        let told = troubles(&world, OWNER, TroubleKind::Forked);
        assert!(told.len() == 1 && told[0].contains("seal"), "{what}: {told:?}");
        assert_eq!(world.text(OWNER).as_deref(), Some("owner "));
        for _ in 0..20 {
            says(&mut world, OWNER, 0, &sends);
        }
        world.write(CAT, "cat ");
        world.run();
        assert_eq!(world.text(OWNER).as_deref(), Some("owner cat "), "{what}: all else is synced on");
    }
}

#[test]
fn what_a_writer_forged_with_the_key_stays_at_the_relay_and_is_cut_when_they_are_shut_out() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    let entry = Draft::new(&world, space).sealed(|clear| clear.body = b"rubbish");
    let sends = Message::Entries { space, document: NOTE, payloads: vec![entry.payload.clone()] };
    assert_eq!(says(&mut world, RELAY, 1, &sends), [], "a relay cannot tell");
    assert!(version(&world, RELAY).clock.covers(&entry.actor, 1));
    for node in [OWNER, CAT] {
        assert!(!version(&world, node).clock.covers(&entry.actor, 1), "members can");
    }
    world.write(CAT, "cat ");
    world.run();
    assert_eq!(world.text(OWNER).as_deref(), Some("owner cat "));
    revoke(&mut world, OWNER, space, BEN);
    world.run();
    assert_eq!(version(&world, RELAY), version(&world, OWNER), "the owner's word takes it away");
}

#[test]
fn a_snapshot_that_is_not_a_makers_or_not_what_it_says_is_refused() {
    let mut world = world();
    let space = shared(&mut world, Level::Write);
    write_much(&mut world, BEN);
    let good = snapshot(&mut world, RELAY).unwrap();
    let part = |bytes: &[u8]| {
        let bytes: Arc<[u8]> = bytes.into();
        Message::Snapshot { space, document: NOTE, size: bytes.len() as u64, offset: 0, bytes }
    };
    // Re-signed by someone who may write, and no more.
    let epoch = SealedSnapshot::read(&good).unwrap().header.epoch;
    let header = SealedSnapshot::read(&good).unwrap().header.version;
    let by = |node: usize, version: &crate::log::version::Version, saved: &[u8]| {
        let key = SecretKey::new(&[node as u8 + 100; 32]);
        let sign = |message: &[u8]| key.sign(message);
        let keys = world.nodes[OWNER].engine.keys_of(&space).unwrap();
        keys.seal_snapshot(&NOTE, (epoch, [5; 24]), version.clone(), peer(node), sign, saved).unwrap()
    };
    let saved = world.nodes[OWNER].engine.document(&NOTE).unwrap().save();
    let mut flipped = good.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let mut more = header.clone();
    more.clock.raise(actor_of(&peer(OWNER), &[&epoch.tag()[..], &[3; 4]].concat().try_into().unwrap()), 1);
    let (by_ben, flipped, other) = (by(BEN, &more, &saved), flipped, by(OWNER, &more, &saved));
    let rubbish = by(OWNER, &more, b"rubbish");
    for (what, bytes) in [("a writer's", &by_ben), ("a flipped bit", &flipped)] {
        assert_eq!(says(&mut world, RELAY, 1, &part(bytes)), [ErrorCode::BadSnapshot], "{what}");
        forget_refused(&mut world, RELAY);
    }
    for (what, bytes) in [("another clock", &other), ("rubbish", &rubbish)] {
        let before = version(&world, CAT);
        assert_eq!(says(&mut world, CAT, 2, &part(bytes)), [ErrorCode::BadSnapshot], "{what}");
        assert_eq!(version(&world, CAT), before);
        forget_refused(&mut world, CAT);
    }
    world.write(OWNER, "on ");
    world.run();
    assert_eq!(world.text(CAT), world.text(OWNER));
}

/// Has a node say again what it has said.
fn forget_refused(world: &mut World, node: usize) {
    world.nodes[node].engine.trust.peers.values_mut().for_each(|peer| peer.refused.clear());
}
