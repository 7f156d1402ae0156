//! Automerge's own sync protocol, with Automerge's own library on the other side.

use super::automerge_sync::{SyncError, SyncPeer, SyncedDocument};
use crate::base::codec::Writer;
use crate::base::id::{ActorId, DocumentId};
use crate::log::entry::Entry;
use automerge::sync::{Message, State, SyncDoc as _};
use automerge::{AutoCommit, ObjType, ROOT, ReadDoc as _, transaction::Transactable as _};
use proptest::prelude::*;
use std::sync::Arc;

/// A client: Automerge's library, and what it remembers of the relay.
struct Client {
    document: AutoCommit,
    state: State,
}

impl Client {
    fn new(byte: u8) -> Self {
        let document = AutoCommit::new().with_actor(automerge::ActorId::from(&[byte; 16][..]));
        Self { document, state: State::new() }
    }

    fn write(&mut self, text: &str) {
        let body = match self.document.get(ROOT, "body").unwrap() {
            Some((_, body)) => body,
            None => self.document.put_object(ROOT, "body", ObjType::Text).unwrap(),
        };
        self.document.splice_text(&body, 0, 0, text).unwrap();
        self.document.commit();
    }

    fn says(&mut self) -> Option<Vec<u8>> {
        self.document.sync().generate_sync_message(&mut self.state).map(Message::encode)
    }

    fn hears(&mut self, message: &[u8]) {
        let message = Message::decode(message).unwrap();
        self.document.sync().receive_sync_message(&mut self.state, message).unwrap();
    }

    fn text(&mut self) -> String {
        self.document.get(ROOT, "body").unwrap().map_or_else(String::new, |(_, body)| self.document.text(&body).unwrap())
    }
}

fn relay() -> SyncedDocument {
    SyncedDocument::new(DocumentId([7; 16]), ActorId::new(&[9]).unwrap())
}

/// Lets them talk until neither has anything to say; what comes in is durable at once. Answers the bytes sent each way.
fn talk(relay: &mut SyncedDocument, clients: &mut [(&mut Client, &mut SyncPeer)]) -> (usize, usize) {
    let (mut up, mut down) = (0, 0);
    for round in 0.. {
        assert!(round < 40, "they talk for ever");
        let mut silent = true;
        for (client, peer) in clients.iter_mut() {
            while let Some(message) = client.says() {
                (silent, up) = (false, up + message.len());
                let entries = relay.receive(peer, &message).unwrap();
                relay.apply(entries).unwrap();
            }
        }
        for (client, peer) in clients.iter_mut() {
            if let Some(message) = relay.message(peer) {
                (silent, down) = (false, down + message.len());
                client.hears(&message);
            }
        }
        if silent {
            return (up, down);
        }
    }
    (up, down)
}

fn last_heads(message: &[u8]) -> Vec<automerge::ChangeHash> {
    Message::decode(message).unwrap().heads
}

#[test]
fn a_client_hears_that_its_changes_were_received_once_they_are_durable_and_not_before() {
    let (mut relay, mut anna, mut peer) = (relay(), Client::new(1), SyncPeer::new());
    anna.write("ebb");
    let heads = anna.document.get_heads();
    // It first asks what there is, and sends when it knows.
    let first = anna.says().unwrap();
    assert_eq!(relay.receive(&mut peer, &first).unwrap(), []);
    anna.hears(&relay.message(&mut peer).unwrap());
    let second = anna.says().unwrap();
    let entries = relay.receive(&mut peer, &second).unwrap();
    assert_eq!(entries.len(), 1);
    assert!(peer.is_waiting());
    assert_eq!(relay.message(&mut peer), None, "nothing is said before the disk has answered");
    assert_eq!(relay.pending(), entries);

    relay.apply(entries).unwrap();
    let message = relay.message(&mut peer).unwrap();
    assert_eq!(last_heads(&message), heads);
    anna.hears(&message);
    assert_eq!(anna.state.shared_heads, heads);
    assert_eq!(relay.message(&mut peer), None);
}

#[test]
fn two_who_write_at_once_and_one_who_was_away_come_to_the_same() {
    let (mut relay, mut anna, mut ben) = (relay(), Client::new(1), Client::new(2));
    let (mut to_anna, mut to_ben) = (SyncPeer::new(), SyncPeer::new());
    anna.write("tides ");
    talk(&mut relay, &mut [(&mut anna, &mut to_anna), (&mut ben, &mut to_ben)]);
    assert_eq!(ben.text(), "tides ");
    for word in ["one ", "two ", "three "] {
        anna.write(word);
        ben.write(word);
    }
    talk(&mut relay, &mut [(&mut anna, &mut to_anna), (&mut ben, &mut to_ben)]);
    assert_eq!(anna.text(), ben.text());
    assert_eq!(relay.document().text("body"), Some(anna.text()));

    // Both write on while they are away, and come back to a relay that remembers neither.
    anna.write("away ");
    ben.write("apart ");
    let (mut to_anna, mut to_ben) = (SyncPeer::new(), SyncPeer::new());
    anna.state = State::decode(&anna.state.encode()).unwrap();
    ben.state = State::new();
    talk(&mut relay, &mut [(&mut anna, &mut to_anna), (&mut ben, &mut to_ben)]);
    assert_eq!(anna.text(), ben.text());
    assert!(anna.text().contains("away ") && anna.text().contains("apart "));
}

#[test]
fn who_has_nothing_is_sent_the_saved_document_and_no_filter() {
    let (mut relay, mut anna, mut ben) = (relay(), Client::new(1), Client::new(2));
    let (mut to_anna, mut to_ben) = (SyncPeer::new(), SyncPeer::new());
    for word in 0..2_000 {
        anna.write(&format!("{word} "));
    }
    talk(&mut relay, &mut [(&mut anna, &mut to_anna)]);
    let saved = relay.document().save().len();
    let (_, down) = talk(&mut relay, &mut [(&mut ben, &mut to_ben)]);
    assert_eq!(ben.text(), anna.text());
    assert!(down < saved + 400, "{down} bytes, and the document has {saved}");

    // And who comes back with all of it and remembers that the relay had it pays next to nothing.
    ben.state = State::decode(&ben.state.encode()).unwrap();
    let (up, down) = talk(&mut relay, &mut [(&mut ben, &mut SyncPeer::new())]);
    assert!(up + down < 500, "{up} and {down}");
}

/// A message with these changes, each in a piece of its own.
fn with_changes(heads: &[automerge::ChangeHash], changes: &[&automerge::Change]) -> Vec<u8> {
    let chunks: Vec<Vec<u8>> = changes.iter().map(|change| change.raw_bytes().to_vec()).collect();
    let message = Message {
        heads: heads.to_vec(),
        need: Vec::new(),
        have: vec![Default::default()],
        changes: chunks.into(),
        flags: None,
        version: automerge::sync::MessageVersion::V1,
    };
    message.encode()
}

#[test]
fn a_change_that_comes_before_what_it_depends_on_waits_for_it() {
    let (mut relay, mut anna, mut peer) = (relay(), Client::new(1), SyncPeer::new());
    anna.write("first ");
    anna.write("second ");
    anna.write("third ");
    let changes: Vec<automerge::Change> = anna.document.get_changes(&[]).into_iter().collect();
    let heads = anna.document.get_heads();
    let message = |changes: &[&automerge::Change]| with_changes(&heads, changes);
    assert_eq!(relay.receive(&mut peer, &message(&[&changes[2], &changes[0]])).unwrap().len(), 1);
    relay.apply(relay.pending()).unwrap();
    let asked = Message::decode(&relay.message(&mut peer).unwrap()).unwrap();
    assert_eq!(asked.need, [changes[1].hash()], "it asks for what is missing between");
    let entries = relay.receive(&mut peer, &message(&[&changes[1]])).unwrap();
    assert_eq!(entries.len(), 2);
    relay.apply(entries).unwrap();
    assert_eq!(relay.document().text("body"), Some(anna.text()));

    // The missing one may also come from someone else.
    let (mut relay, mut peer) = (self::relay(), SyncPeer::new());
    relay.receive(&mut peer, &message(&[&changes[2], &changes[0]])).unwrap();
    relay.apply(relay.pending()).unwrap();
    let entry =
        |change: &automerge::Change| Arc::new(super::change::entry_of_change(DocumentId([7; 16]), change.clone()).unwrap());
    relay.apply(vec![entry(&changes[1])]).unwrap();
    let released = relay.release(&mut peer).unwrap();
    assert_eq!(released.len(), 1);
    relay.apply(released).unwrap();
    assert_eq!(last_heads(&relay.message(&mut peer).unwrap()), heads);
}

#[test]
fn one_who_writes_as_another_is_refused() {
    let (mut relay, mut anna, mut forger) = (relay(), Client::new(1), Client::new(1));
    let (mut to_anna, mut to_forger) = (SyncPeer::new(), SyncPeer::new());
    anna.write("mine");
    talk(&mut relay, &mut [(&mut anna, &mut to_anna)]);
    let before = relay.heads();
    forger.write("not yours");
    let message = with_changes(&forger.document.get_heads(), &forger.document.get_changes(&[]).iter().collect::<Vec<_>>());
    assert_eq!(relay.receive(&mut to_forger, &message), Err(SyncError::Forked));
    assert_eq!(relay.heads(), before);
    assert!(relay.pending().is_empty());
}

/// A message without changes whose only summary has this Bloom filter.
fn with_bloom(numbers: [u64; 3], bits: usize) -> Vec<u8> {
    let mut bloom = Writer::new();
    numbers.into_iter().for_each(|number| bloom.uint(number));
    bloom.put(&vec![0xff; bits]);
    let mut message = Writer::new();
    for byte in [0x42, 0, 0, 1, 0] {
        message.u8(byte);
    }
    message.bytes(&bloom.finish());
    message.u8(0);
    message.finish()
}

#[test]
fn filters_of_absurd_sizes_are_refused_before_the_library_sees_them() {
    let mut relay = relay();
    let mut anna = Client::new(1);
    anna.write("ebb");
    talk(&mut relay, &mut [(&mut anna, &mut SyncPeer::new())]);
    let mut receive = |numbers, bits| {
        let mut peer = SyncPeer::new();
        let received = relay.receive(&mut peer, &with_bloom(numbers, bits));
        if received.is_ok() {
            relay.message(&mut peer).unwrap();
        }
        received
    };
    assert_eq!(receive([8, 10, 7], 10), Ok(Vec::new()));
    for (numbers, bits) in [
        ([8, 10, u64::from(u32::MAX)], 10), // probes without end
        ([8, 0, 7], 0),                     // a division by nothing
        ([u64::from(u32::MAX), 10, 7], 10),
        ([8, 10, 0], 10),
        ([8, 10, 7], 9),
        ([8, 10, 7], 11),
        ([0, 10, 7], 0),
        ([u64::MAX, 10, 7], 10),
    ] {
        assert!(receive(numbers, bits).is_err(), "{numbers:?}, {bits} bytes");
    }
    assert!(receive([8 * 1024 * 1024, 8, 7], 8 * 1024 * 1024).is_err(), "eight MiB of it");
}

fn true_messages() -> Vec<Vec<u8>> {
    let (mut relay, mut anna, mut peer) = (relay(), Client::new(1), SyncPeer::new());
    let mut messages = Vec::new();
    for word in ["ebb ", "flow ", "slack "] {
        anna.write(word);
        while let Some(message) = anna.says() {
            let entries: Vec<Arc<Entry>> = relay.receive(&mut peer, &message).unwrap();
            relay.apply(entries).unwrap();
            messages.push(message);
            if let Some(answer) = relay.message(&mut peer) {
                anna.hears(&answer);
                messages.push(answer);
            }
        }
    }
    messages
}

proptest! {
    /// Whatever is done to a message: it is refused, or what it says is true; and nothing panics.
    #[test]
    fn a_message_that_was_tampered_with_changes_nothing(which: prop::sample::Index, at: prop::sample::Index, cut: bool, bytes: Vec<u8>) {
        let messages = true_messages();
        let mut message = messages[which.index(messages.len())].clone();
        let at = at.index(message.len());
        if cut {
            message.truncate(at);
        }
        message.splice(at..(at + bytes.len() / 2).min(message.len()).max(at), bytes);
        let (mut relay, mut peer) = (relay(), SyncPeer::new());
        if let Ok(entries) = relay.receive(&mut peer, &message) {
            prop_assert!(relay.apply(entries).is_ok());
            relay.message(&mut peer);
        }
    }

    #[test]
    fn noise_is_no_message(bytes: Vec<u8>) {
        let (mut relay, mut peer) = (relay(), SyncPeer::new());
        let noise: Vec<u8> = [0x43].into_iter().chain(bytes).collect();
        if relay.receive(&mut peer, &noise).is_ok() {
            relay.message(&mut peer);
        }
        prop_assert!(relay.is_empty());
    }
}

#[test]
fn a_peer_that_names_what_it_sent_is_told_once_that_it_was_received() {
    let (mut relay, mut client, mut peer) = (relay(), Client::new(1), SyncPeer::new());
    client.write("first ");
    talk(&mut relay, &mut [(&mut client, &mut peer)]);

    // It writes twice. The first is durable, and is told to be while the second is on its way to the relay.
    client.write("second ");
    let second = relay.receive(&mut peer, &client.says().unwrap()).unwrap();
    relay.apply(second).unwrap();
    let of_second = relay.message(&mut peer).expect("heads that it has not been told");
    client.write("third ");
    let third = relay.receive(&mut peer, &client.says().unwrap()).unwrap();
    client.hears(&of_second);

    // So it names its heads again, with nothing new; that arrives when the second has just become durable too.
    let again = client.says().expect("the relay lacks something");
    relay.apply(third).unwrap();
    assert_eq!(relay.receive(&mut peer, &again).unwrap(), []);
    let told = relay.message(&mut peer).expect("nobody has told it that all was received");
    client.hears(&told);
    assert_eq!(client.state.shared_heads, client.document.get_heads());
    talk(&mut relay, &mut [(&mut client, &mut peer)]);
}
