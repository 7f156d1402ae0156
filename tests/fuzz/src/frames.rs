//! Frames of our own protocol, and the changes in them.

use crate::chunks::fitted;
use crate::story;
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, LetterId, PeerId, SpaceId, StoreEpoch};
use driftline_core::doc::abridged::{LastChange, Meanings, Names, abridge, restore};
use driftline_core::doc::assembly::claimed_version;
use driftline_core::doc::change::entry_from_payload;
use driftline_core::doc::document::Document;
use driftline_core::doc::value::TextUnit;
use driftline_core::log::entry::Entry;
use driftline_core::log::tree::Fingerprint;
use driftline_core::log::version::{Heads, Version};
use driftline_core::sync::message::{ErrorCode, Hello, Message, PresenceMessage, begin_strands, end_strands};
use driftline_core::sync::reconcile::{Range, RangeBody};
use driftline_core::sync::strands::{Form, Item};
use std::sync::Arc;

const SPACE: SpaceId = SpaceId([1; 16]);
const NOTE: DocumentId = DocumentId([2; 16]);

/// One strand and nothing else can be named.
struct Known(Option<Entry>);

impl Meanings for Known {
    fn hash(&self, strand: u64, seq: u64) -> Option<ChangeHash> {
        self.0.as_ref().filter(|entry| strand == 0 && seq == entry.seq).map(|entry| entry.hash)
    }

    fn actor(&self, strand: u64) -> Option<ActorId> {
        self.0.as_ref().filter(|_| strand == 0).map(|entry| entry.actor)
    }
}

impl Names for Known {
    fn of_hash(&mut self, hash: &ChangeHash) -> Option<(u64, u64)> {
        self.0.as_ref().filter(|entry| entry.hash == *hash).map(|entry| (0, entry.seq))
    }

    fn of_actor(&mut self, actor: &ActorId) -> Option<u64> {
        self.0.as_ref().filter(|entry| entry.actor == *actor).map(|_| 0)
    }
}

/// A frame that reads has one encoding, and what it brings is read as an engine reads it.
pub(crate) fn read(bytes: &[u8]) {
    let frame = fitted(bytes);
    let Ok(message) = Message::decode(&frame) else { return };
    let written = message.encode();
    // Items that were deflated are written plainly.
    if matches!(message, Message::Strands { .. }) && frame[1] == 0 {
        assert_eq!(Message::decode(&written).as_ref(), Ok(&message));
    } else {
        assert_eq!(written, frame, "each message has one encoding");
    }
    match message {
        Message::Entries { document, payloads, .. } => {
            for payload in payloads {
                let _ = entry_from_payload(document, payload);
            }
        }
        Message::Snapshot { bytes, .. } => drop(claimed_version(&bytes)),
        Message::Strands { items } => read_strands(items),
        _ => {}
    }
}

/// Reads the entries of strands, as if they were all of one.
fn read_strands(items: Vec<Item>) {
    let mut last: Option<Entry> = None;
    for Item { form, bytes, .. } in items {
        let payload: Arc<[u8]> = match (&form, &last) {
            (Form::Abridged, None) => continue,
            (Form::Abridged, Some(before)) => {
                let Some(change) = LastChange::of(before) else { continue };
                let Ok(payload) = restore(&change, &bytes, &Known(last.clone())) else { continue };
                payload.into()
            }
            _ => bytes,
        };
        // What was restored has the checksum that it was sent with, which chance does not hit.
        let Ok(entry) = entry_from_payload(NOTE, fitted(&payload).into()) else { continue };
        if let Some(change) = last.as_ref().and_then(LastChange::of)
            && let Some(short) = abridge(&change, &entry.payload, &mut Known(last.clone()))
        {
            let again = restore(&change, &short, &Known(last.clone())).expect("what we abridge can be restored");
            assert_eq!(*again, *entry.payload);
        }
        last = Some(entry);
    }
}

/// One of each message, and changes in each of their forms.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let entries = story::entries(NOTE, story::CHANGES);
    let peer = PeerId([3; 32]);
    let payloads: Vec<Arc<[u8]>> = entries.iter().map(|entry| entry.payload.clone()).collect();
    let actor = ActorId::new(&[4; 16]).expect("sixteen bytes are an actor");
    let version = Version { heads: Heads::from([ChangeHash([5; 32])]), clock: [(actor, 300)].into_iter().collect() };
    let ranges = vec![
        Range { below: Some(DocumentId([8; 16])), body: RangeBody::Items(vec![(NOTE, [6; 16])]) },
        Range { below: None, body: RangeBody::Fingerprint { sum: 7, count: 9 } },
    ];
    let mut items = vec![Item { strand: 0, form: Form::Begin { space: SPACE, document: NOTE }, bytes: payloads[0].clone() }];
    for pair in entries.windows(2) {
        let last = LastChange::of(&pair[0]).expect("it can be built upon");
        let item = match abridge(&last, &pair[1].payload, &mut Known(Some(Entry::clone(&pair[0])))) {
            Some(short) => Item { strand: 0, form: Form::Abridged, bytes: short.into() },
            None => Item { strand: 0, form: Form::Whole, bytes: pair[1].payload.clone() },
        };
        items.push(item);
    }
    let mut document = Document::new(NOTE, story::actor(9), TextUnit::CodePoint);
    document.apply(entries).expect("it fits");
    let snapshot = document.save();
    let mut many = begin_strands(300);
    for at in 0..300 {
        let item = &items[1 + at % (items.len() - 1)];
        Item::encode(at as u64 % 5, &item.form, &item.bytes, &mut many);
    }
    let messages = [
        Message::Hello(Hello {
            version_min: 1,
            version_max: 2,
            peer,
            challenge: [7; 32],
            epoch: StoreEpoch([8; 16]),
            relay: true,
            frame_bytes_max: 1 << 24,
            agent: "driftline".to_owned(),
        }),
        Message::Proof { signature: [9; 64] },
        Message::Subscribe {
            space: SPACE,
            eager: vec![(NOTE, version.clone())],
            known: Some(Fingerprint { sum: 5, count: 300 }),
            ranges: ranges.clone(),
        },
        Message::Unsubscribe { space: SPACE },
        Message::Ranges { space: SPACE, ranges },
        Message::Have { space: SPACE, document: NOTE, version, answer: true },
        Message::Same { document: NOTE, digest: [6; 16] },
        Message::Entries { space: SPACE, document: NOTE, payloads },
        Message::Ack { document: NOTE, held: vec![(actor, 5)] },
        Message::Presence(PresenceMessage { space: SPACE, peer, instance: 1, counter: 2, state: Some("{}".to_owned()) }),
        Message::Ping { token: 1 },
        Message::Pong { token: 1 },
        Message::Error { code: ErrorCode::BadEntry, document: Some(NOTE), text: "no".to_owned() },
        Message::Goodbye { text: "bye".to_owned() },
        Message::Strands { items },
        Message::Sent { space: SPACE },
        Message::Snapshot { space: SPACE, document: NOTE, size: 300, offset: 256, bytes: snapshot.into() },
        Message::Coming { space: SPACE, documents: 300, bytes: 70_000 },
        Message::Roll {
            space: SPACE,
            asks: true,
            state: Fingerprint { sum: 9, count: 300 },
            attested: Fingerprint { sum: 8, count: 7 },
            statements: vec![Arc::from([1u8, 2].as_slice()), Arc::from([3u8].as_slice())],
        },
        Message::Attestations { space: SPACE, attestations: vec![Arc::from([4u8, 5].as_slice())] },
        Message::Letter { hops: 2, letter: Arc::from([6u8, 7].as_slice()) },
        Message::Kept { letter: LetterId([8; 32]), refused: Some(ErrorCode::BoxFull), text: "full".to_owned() },
        Message::Taken { recipient: peer, letter: LetterId([8; 32]), signature: [9; 64] },
        Message::Stamp { space: SPACE, asks: true, bits: 20, nonce: [1; 8] },
    ];
    let mut seeds: Vec<_> = messages.iter().map(Message::encode).collect();
    seeds.push(end_strands(many, usize::MAX / 4));
    seeds
}
