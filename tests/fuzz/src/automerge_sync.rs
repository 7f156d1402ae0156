//! Automerge's own sync messages, and the document that they are about.

use crate::chunks::fitted;
use crate::story::{actor, entries};
use driftline_core::base::codec::Writer;
use driftline_core::base::id::DocumentId;
use driftline_core::doc::automerge_sync::{SyncPeer, SyncedDocument};

const NOTE: DocumentId = DocumentId([7; 16]);
/// Messages of one input, at most.
const MESSAGES_MAX: usize = 8;
/// Rounds in which two sound copies become equal: asking, sending, and word that it was received.
const ROUNDS_MAX: usize = 12;

/// A copy of the note with so many of its changes.
fn copy(changes: usize) -> SyncedDocument {
    let mut copy = SyncedDocument::new(NOTE, actor(9));
    copy.apply(entries(NOTE, changes)).expect("it fits");
    copy
}

/// A guest says what the input has, a length of two bytes before each message; the top bit says that another guest says it. One whose
/// message is not taken is gone, as on a relay. Then someone whose client is sound syncs with what has become of the document.
pub(crate) fn read(bytes: &[u8]) {
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let mut document = copy(usize::from(first & 7));
    let mut guests = [SyncPeer::new(), SyncPeer::new()];
    for _ in 0..MESSAGES_MAX {
        let Some(([low, high], after)) = rest.split_first_chunk::<2>() else { break };
        let length = (usize::from(high & 0x7f) << 8 | usize::from(*low)).min(after.len());
        let (message, after) = after.split_at(length);
        rest = after;
        let guest = &mut guests[usize::from(high >> 7)];
        match document.receive(guest, &fitted(message)) {
            // What cannot be shown is left out, and told in the log.
            Ok(entries) => drop(document.apply(entries)),
            Err(_) => *guest = SyncPeer::new(),
        }
        for guest in &mut guests {
            if let Ok(entries) = document.release(guest) {
                drop(document.apply(entries));
            }
            document.message(guest);
        }
    }
    check_sound(&mut document);
}

/// Whoever does as they should gets all of the document, whatever others have sent.
fn check_sound(document: &mut SyncedDocument) {
    let (mut theirs, mut at_theirs, mut at_ours) = (SyncedDocument::new(NOTE, actor(8)), SyncPeer::new(), SyncPeer::new());
    for _ in 0..ROUNDS_MAX {
        if let Some(message) = theirs.message(&mut at_theirs) {
            document.receive(&mut at_ours, &message).expect("a sound message is taken");
        }
        let Some(message) = document.message(&mut at_ours) else { break };
        let entries = theirs.receive(&mut at_theirs, &message).expect("what we send is sound");
        theirs.apply(entries).expect("what we send fits");
    }
    assert_eq!(theirs.heads(), document.heads(), "a newcomer has all of it");
}

/// What two copies say to each other, in one breath and with others between.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (ours, theirs) in [(0, 1), (0, 3), (2, 4), (3, 0), (1, 1), (0, 7), (3, 7), (7, 5)] {
        let (mut document, mut guest) = (copy(ours), copy(theirs));
        let (mut at_ours, mut at_theirs) = (SyncPeer::new(), SyncPeer::new());
        let mut seed = vec![ours as u8];
        for _ in 0..4 {
            if let Some(message) = guest.message(&mut at_theirs) {
                seed.extend((message.len() as u16).to_le_bytes());
                seed.extend(&message);
                let entries = document.receive(&mut at_ours, &message).expect("it is sound");
                document.apply(entries).expect("it fits");
            }
            if let Some(message) = document.message(&mut at_ours) {
                let entries = guest.receive(&mut at_theirs, &message).expect("it is sound");
                guest.apply(entries).expect("it fits");
            }
        }
        seeds.push(seed);
    }
    // The second kind of message: the changes in one piece, which is the whole document.
    let whole = copy(7).document().save();
    let mut message = Writer::new();
    message.put(&[0x43, 0, 0, 0, 1]);
    message.bytes(&whole);
    let message = message.finish();
    seeds.push([&[0][..], &(message.len() as u16).to_le_bytes(), &message].concat());
    // A Bloom filter that asks for four thousand million probes of each change.
    let bloom = [&[0x42, 0, 0, 1, 0, 13, 8, 10, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 6], &[0]].concat();
    seeds.push([&[3][..], &(bloom.len() as u16).to_le_bytes(), &bloom].concat());
    seeds
}
