use super::*;
use crate::base::error::DecodeError;
use crate::base::id::ChangeHash;
use crate::base::limits::TEXT_BYTES_MAX;
use crate::log::tree::Fingerprint;
use crate::log::version::Heads;
use crate::sync::reconcile::RangeBody;
use crate::sync::strands::Form;
use proptest::prelude::*;

/// One of each message.
fn one_of_each() -> Vec<Message> {
    let (space, document, peer) = (SpaceId([1; 16]), DocumentId([2; 16]), PeerId([3; 32]));
    let actor = ActorId::new(&[4; 16]).unwrap();
    let version = Version { heads: Heads::from([ChangeHash([5; 32])]), clock: [(actor, 300)].into_iter().collect() };
    let ranges = vec![
        Range { below: Some(DocumentId([8; 16])), body: RangeBody::Items(vec![(document, [6; 16])]) },
        Range { below: None, body: RangeBody::Fingerprint { sum: 7, count: 9 } },
    ];
    vec![
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
            space,
            eager: vec![(document, version.clone())],
            known: Some(Fingerprint { sum: 5, count: 300 }),
            ranges: ranges.clone(),
        },
        Message::Unsubscribe { space },
        Message::Ranges { space, ranges },
        Message::Have { space, document, version, answer: true },
        Message::Same { document, digest: [6; 16] },
        Message::Entries { space, document, payloads: vec![Arc::from([1u8, 2, 3].as_slice())] },
        Message::Ack { document, held: vec![(actor, 5)] },
        Message::Presence(PresenceMessage { space, peer, instance: 1, counter: 2, state: Some("{}".to_owned()) }),
        Message::Ping { token: 1 },
        Message::Pong { token: 1 },
        Message::Error { code: ErrorCode::BadEntry, document: Some(document), text: "no".to_owned() },
        Message::Goodbye { text: "bye".to_owned() },
        Message::Strands {
            items: vec![
                Item { strand: 0, form: Form::Begin { space, document }, bytes: Arc::from([1, 2]) },
                Item { strand: 300, form: Form::Whole, bytes: Arc::from([3]) },
                Item { strand: 0, form: Form::Abridged, bytes: Arc::from([]) },
            ],
        },
        Message::Sent { space },
        Message::Snapshot { space, document, size: 300, offset: 256, bytes: Arc::from([7u8; 44].as_slice()) },
        Message::Coming { space, documents: 300, bytes: 70_000 },
        Message::Roll {
            space,
            asks: true,
            state: Fingerprint { sum: 9, count: 300 },
            attested: Fingerprint { sum: 8, count: 7 },
            statements: vec![Arc::from([1u8, 2].as_slice()), Arc::from([3u8].as_slice())],
        },
        Message::Attestations { space, attestations: vec![Arc::from([4u8, 5].as_slice())] },
        Message::Compact { space, document },
        Message::Letter { hops: 2, letter: Arc::from([6u8, 7].as_slice()) },
        Message::Kept { letter: LetterId([8; 32]), refused: Some(ErrorCode::BoxFull), text: "full".to_owned() },
        Message::Taken { recipient: peer, letter: LetterId([8; 32]), signature: [9; 64] },
        Message::Stamp { space, asks: true, bits: 20, nonce: [1; 8] },
    ]
}

#[test]
fn every_message_reads_back_as_it_was_written() {
    let messages = one_of_each();
    assert_eq!(messages.len(), Message::NAMES.len());
    for (message, (tag, name)) in messages.into_iter().zip(Message::NAMES) {
        let frame = message.encode();
        assert_eq!(frame[0], tag, "{name}");
        assert_eq!(Message::decode(&frame), Ok(message), "{name}");
    }
}

#[test]
fn a_frame_cut_anywhere_or_with_a_byte_too_many_is_refused() {
    for message in one_of_each() {
        let frame = message.encode();
        for length in 0..frame.len() {
            assert!(Message::decode(&frame[..length]).is_err(), "{message:?} cut to {length} of {}", frame.len());
        }
        let mut longer = frame.clone();
        longer.push(0);
        assert_eq!(Message::decode(&longer), Err(DecodeError::Trailing { bytes: 1 }));
    }
}

#[test]
fn a_long_error_is_clipped_between_letters() {
    let frame = Message::Goodbye { text: "ä".repeat(TEXT_BYTES_MAX) }.encode();
    let Ok(Message::Goodbye { text }) = Message::decode(&frame) else { panic!("it decodes") };
    assert_eq!(text.len(), TEXT_BYTES_MAX);
}

proptest! {
    #[test]
    fn any_bytes_are_legal_input(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes, "each message has one encoding");
        }
    }

    #[test]
    fn a_damaged_frame_is_refused_or_means_exactly_what_it_says(which in 0usize..24, at: prop::sample::Index, bit in 0u8..8) {
        let mut frame = one_of_each()[which].encode();
        let index = at.index(frame.len());
        frame[index] ^= 1 << bit;
        if let Ok(message) = Message::decode(&frame) {
            prop_assert_eq!(message.encode(), frame);
        }
    }
}
