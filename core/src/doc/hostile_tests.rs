//! Changes made to do harm: none of them panics, and none stops the good ones.

use super::chance::{DOCUMENT, Dice, Replica, dice};
use super::change::{ChangeDecodeError, entry_from_payload};
use super::path::IntoPath;
use super::raw::{CHANGE_CHUNK, Chunk, DEFLATED_CHUNK, DOCUMENT_CHUNK, MAGIC, hash};
use super::value::TextUnit;
use crate::base::codec::{Reader, Writer};
use crate::log::entry::Entry;
use automerge::ExpandedChange;
use automerge::legacy::{ElementId, Key, ObjectId, Op, OpId};
use proptest::prelude::*;
use std::sync::Arc;

/// The bytes of a chunk.
fn chunk(kind: u8, checksum: &[u8], body: &[u8]) -> Arc<[u8]> {
    let mut writer = Writer::new();
    writer.put(&MAGIC);
    writer.put(checksum);
    writer.u8(kind);
    writer.bytes(body);
    writer.finish().into()
}

/// Two replicas that write, and all that they wrote.
fn written(dice: &mut Dice) -> (Replica, Vec<Arc<Entry>>) {
    let (mut one, mut two) = (Replica::new(1, TextUnit::Utf16), Replica::new(2, TextUnit::Utf16));
    for _ in 0..12 {
        for replica in [&mut one, &mut two] {
            let edit = dice.edit(&replica.value(), TextUnit::Utf16);
            replica.edit(&edit);
        }
        if dice.roll(3) == 0 {
            one.take_from(&two, usize::MAX);
            two.take_from(&one, usize::MAX);
        }
    }
    one.take_from(&two, usize::MAX);
    let entries = one.entries.clone();
    (one, entries)
}

/// The body of an entry's change, unpacked.
fn body(entry: &Entry) -> Vec<u8> {
    let chunk = Chunk::read(&mut Reader::new(&entry.payload)).unwrap();
    chunk.change_body().unwrap().0.into_owned()
}

/// Everything that can be done with a document, to see whether any of it panics.
fn exercise(replica: &mut Replica) {
    let heads = replica.document.heads();
    let value = replica.value();
    let _ = (replica.document.diff(&[], &heads), replica.document.value_at(&heads, ()), replica.document.save());
    let _ = replica.document.history(100);
    replica.document.change(None, 0, |tx| tx.put("last", value)).unwrap();
}

proptest! {
    /// What honest replicas write is always taken, and reads as it was written.
    #[test]
    fn honest_changes_are_read_as_automerge_wrote_them(mut dice in dice(200)) {
        let (_, entries) = written(&mut dice);
        for entry in entries {
            prop_assert_eq!(&entry_from_payload(DOCUMENT, entry.payload.clone()).unwrap(), &*entry);
        }
    }

    /// Bytes that were damaged on the way are noticed.
    #[test]
    fn damaged_bytes_are_refused(mut dice in dice(100), at: prop::sample::Index, to: u8) {
        let (_, entries) = written(&mut dice);
        for entry in entries {
            let mut bytes = entry.payload.to_vec();
            let at = at.index(bytes.len());
            let was = std::mem::replace(&mut bytes[at], to);
            let read = entry_from_payload(DOCUMENT, bytes.into());
            prop_assert_eq!(read.is_ok_and(|read| read.hash == entry.hash), was == to, "byte {}", at);
        }
    }

    /// Bytes changed by someone who knows how to make the checksum fit: whatever is taken harms nothing.
    #[test]
    fn forged_changes_harm_nothing(mut dice in dice(200), forgeries in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..60)) {
        let (mut replica, entries) = written(&mut dice);
        let mut taken = 0;
        for (entry, at, byte, how) in &forgeries {
            let mut body = body(&entries[entry.index(entries.len())]);
            let at = at.index(body.len());
            match how {
                0 => body[at] = *byte,
                1 => body.insert(at, *byte),
                _ => drop(body.remove(at)),
            }
            let payload = chunk(CHANGE_CHUNK, &hash(CHANGE_CHUNK, &body).0[..4], &body);
            if let Ok(entry) = entry_from_payload(DOCUMENT, payload.clone()) {
                let read = automerge::Change::try_from(&payload[..]);
                prop_assert!(read.is_ok(), "what we take, automerge reads: {:?}", read);
                taken += usize::from(replica.document.apply([Arc::new(entry)]).is_ok());
            }
        }
        let _ = taken;
        exercise(&mut replica);
    }

    /// Changes that are sound in form and refer to what they please.
    #[test]
    fn forged_references_harm_nothing(mut dice in dice(300)) {
        let (mut replica, entries) = written(&mut dice);
        let changes: Vec<ExpandedChange> =
            entries.iter().map(|entry| automerge::Change::try_from(&entry.payload[..]).unwrap().decode()).collect();
        for _ in 0..20 {
            let mut change = dice.pick(&changes).clone();
            for _ in 0..=dice.roll(3) {
                forge(&mut dice, &mut change, &changes);
            }
            change.deps = replica.document.heads().iter().map(|head| automerge::ChangeHash(head.0)).collect();
            let payload: Arc<[u8]> = (*automerge::Change::from(change).bytes()).into();
            if let Ok(entry) = entry_from_payload(DOCUMENT, payload) {
                let _ = replica.document.apply([Arc::new(entry)]);
            }
        }
        exercise(&mut replica);
    }
}

proptest! {
    /// Files are taken whole or not at all, whatever is in them.
    #[test]
    fn forged_files_harm_nothing(mut dice in dice(200), forgeries in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..30)) {
        let (one, _) = written(&mut dice);
        let file = one.document.crdt.save_nocompress();
        let mut reader = Reader::new(&file);
        let body = Chunk::read(&mut reader).unwrap().body;
        let mut replica = Replica::new(3, TextUnit::Utf16);
        for (at, byte, how) in &forgeries {
            let mut body = body.to_vec();
            let at = at.index(body.len());
            match how {
                0 => body[at] = *byte,
                1 => body.insert(at, *byte),
                _ => drop(body.remove(at)),
            }
            let heads = replica.document.heads();
            let forged = chunk(DOCUMENT_CHUNK, &hash(DOCUMENT_CHUNK, &body).0[..4], &body);
            if replica.document.import(&forged).is_err() {
                prop_assert_eq!(replica.document.heads(), heads);
            }
        }
        exercise(&mut replica);
    }
}

/// An operation's id, of anything that there is or is not.
fn id(dice: &mut Dice, changes: &[ExpandedChange]) -> OpId {
    let change = dice.pick(changes);
    OpId(u64::from(change.start_op) + dice.roll(change.operations.len() + 1) as u64, change.actor_id.clone())
}

fn forge(dice: &mut Dice, change: &mut ExpandedChange, changes: &[ExpandedChange]) {
    let last = changes.iter().map(|change| u64::from(change.start_op) + change.operations.len() as u64).max().unwrap();
    match dice.roll(4) {
        0 => {
            let of_actor = changes.iter().filter(|other| other.actor_id == change.actor_id).count() as u64;
            change.seq = of_actor + dice.roll(3) as u64;
            change.start_op = (last + dice.roll(3) as u64).try_into().unwrap();
        }
        1 => {
            change.actor_id = automerge::ActorId::from(vec![9; 1 + dice.roll(3)]);
            change.seq = 1 + dice.roll(2) as u64;
        }
        2 => {
            let other = dice.pick(changes);
            if !other.operations.is_empty() {
                let operation = dice.pick(&other.operations).clone();
                change.operations.push(operation);
            }
        }
        _ if change.operations.is_empty() => {}
        _ => {
            let at = dice.roll(change.operations.len());
            let op: &mut Op = &mut change.operations[at];
            match dice.roll(5) {
                0 => op.obj = ObjectId::Id(id(dice, changes)),
                1 => op.key = Key::Seq(ElementId::Id(id(dice, changes))),
                2 => op.insert = !op.insert,
                3 => op.pred = vec![id(dice, changes)].into(),
                _ => op.key = Key::Seq(ElementId::Head),
            }
        }
    }
}

#[test]
fn a_packed_change_that_unpacks_to_too_much_is_refused() {
    use flate2::{Compression, write::DeflateEncoder};
    use std::io::Write as _;
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..65 {
        packer.write_all(&[0; 1024 * 1024]).unwrap();
    }
    let packed = packer.finish().unwrap();
    assert!(packed.len() < 1024 * 1024);
    let payload = chunk(DEFLATED_CHUNK, &[0; 4], &packed);
    assert_eq!(entry_from_payload(DOCUMENT, payload), Err(ChangeDecodeError::UnpacksTooLarge));
}

#[test]
fn what_is_not_one_whole_change_is_refused() {
    let mut replica = Replica::new(1, TextUnit::Utf16);
    let (entry, ()) = replica.document.change(None, 0, |tx| tx.put("title", "Tides".repeat(100).as_str())).unwrap();
    let payload = entry.unwrap().payload;
    assert_eq!(payload[8], DEFLATED_CHUNK, "a long change is packed");
    assert!(entry_from_payload(DOCUMENT, payload.clone()).is_ok());
    let twice: Vec<u8> = payload.iter().chain(payload.iter()).copied().collect();
    assert!(matches!(entry_from_payload(DOCUMENT, twice.into()), Err(ChangeDecodeError::Decode(_))));
    assert!(matches!(entry_from_payload(DOCUMENT, payload[..payload.len() - 1].into()), Err(ChangeDecodeError::Decode(_))));
    assert_eq!(entry_from_payload(DOCUMENT, replica.document.save().into()), Err(ChangeDecodeError::NotAChange));
    assert_eq!(entry_from_payload(DOCUMENT, b"GET / HTTP/1.1\r\n\r\n".as_slice().into()), Err(ChangeDecodeError::NotAutomerge));
    assert!(entry_from_payload(DOCUMENT, Arc::from([])).is_err());
}

#[test]
fn one_change_that_does_not_fit_does_not_stop_the_others() {
    let (mut one, mut two, mut copy) =
        (Replica::new(1, TextUnit::Utf16), Replica::new(2, TextUnit::Utf16), Replica::new(1, TextUnit::Utf16));
    let made = |replica: &mut Replica, key: &str| {
        let (entry, ()) = replica.document.change(None, 0, |tx| tx.put(key.into_path(), 1)).unwrap();
        Arc::new(entry.unwrap())
    };
    let (ours, theirs, forked) = (made(&mut one, "a"), made(&mut two, "b"), made(&mut copy, "c"));
    let (after, beside) = (made(&mut copy, "d"), made(&mut two, "e"));
    let refused = one.document.apply([ours, forked.clone(), theirs, after.clone(), beside]).unwrap_err().refused;
    assert_eq!(refused.iter().map(|(hash, _)| *hash).collect::<Vec<_>>(), [forked.hash, after.hash]);
    assert!(refused[0].1.contains("write as one"), "{refused:?}");
    assert_eq!(one.document.keys(()), ["a", "b", "e"]);
}

#[test]
fn a_change_that_would_make_the_saved_document_unreadable_is_refused() {
    let mut replica = Replica::new(1, TextUnit::Utf16);
    for word in ["a", "b", "c"] {
        replica.document.change(None, 0, |tx| tx.put(word.into_path(), 1)).unwrap();
    }
    let heads: Vec<_> = replica.document.heads().iter().map(|head| automerge::ChangeHash(head.0)).collect();
    let sound = automerge::Change::try_from(&replica.document.entries()[2].payload[..]).unwrap().decode();
    let forged = |start_op: u64, deps: &[automerge::ChangeHash], empty: bool| {
        let mut change = sound.clone();
        (change.actor_id, change.seq) = (automerge::ActorId::from(vec![9; 4]), 1);
        (change.start_op, change.deps) = (start_op.try_into().unwrap(), deps.to_vec());
        if empty {
            change.operations.clear();
        }
        let payload: Arc<[u8]> = (*automerge::Change::from(change).bytes()).into();
        Arc::new(entry_from_payload(DOCUMENT, payload).unwrap())
    };
    // Numbers for operations that are not there; numbers of operations that it depends on.
    for entry in [forged(9, &[], true), forged(5, &heads, true), forged(3, &heads, false), forged(1, &heads, true)] {
        let refused = replica.document.apply([entry]).unwrap_err().refused;
        assert!(refused[0].1.contains("numbers"), "{refused:?}");
    }
    // As automerge writes them: a change of nothing, and one whose author held more than it depends on.
    let empty = forged(4, &heads, true);
    replica.document.apply([empty]).unwrap();
    let mut other = Replica::new(2, TextUnit::Utf16);
    other.document.apply([forged(9, &[], false)]).unwrap();
    for document in [&replica.document, &other.document] {
        assert!(automerge::Automerge::load(&document.save()).is_ok());
    }
}
