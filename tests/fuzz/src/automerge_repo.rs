//! Messages of automerge-repo's protocol: the relay's own sources, without the relay around them.

#[path = "../../../relay/src/automerge_repo/cbor.rs"]
mod cbor;
#[path = "../../../relay/src/automerge_repo/message.rs"]
mod message;

use cbor::Value;
use driftline_core::base::id::DocumentId;
use message::Message;

/// A message that reads is read again from what is written of it; so is a value, also after it has been JSON.
pub(crate) fn read(bytes: &[u8]) {
    if let Ok(value) = Value::decode(bytes) {
        // A number that is not one is not equal to itself.
        let written = value.encode();
        let again = Value::decode(&written).expect("what is written can be read");
        assert_eq!(again.encode(), written);
        let json = value.to_json();
        assert_eq!(Value::from_json(&json).to_json(), json);
    }
    if let Ok(message) = Message::decode(bytes) {
        let written = message.encode();
        let again = Message::decode(&written).expect("what is written can be read");
        assert_eq!(again.encode(), written);
    }
}

/// One of each message.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (sender, target, document) = ("anna".to_owned(), "relay".to_owned(), DocumentId([7; 16]));
    let sync = |request| Message::Sync {
        sender: "a".to_owned(),
        target: "r".to_owned(),
        document,
        request,
        data: vec![0x42, 0, 0, 0, 0],
    };
    let presence = Value::Map(vec![("__presence".to_owned(), Value::Map(vec![("type".to_owned(), "heartbeat".into())]))]);
    let messages = [
        Message::Join { sender: sender.clone(), storage: Some("s".to_owned()), versions: Some(vec!["1".to_owned()]) },
        Message::Peer { sender: sender.clone(), target: target.clone(), storage: None },
        sync(true),
        sync(false),
        Message::Unavailable { sender: sender.clone(), target: target.clone(), document },
        Message::Ephemeral {
            sender: sender.clone(),
            target: target.clone(),
            document,
            count: 4.0,
            session: "x".to_owned(),
            data: presence.encode(),
        },
        Message::Subscription { add: vec!["a".to_owned()], remove: vec!["b".to_owned()] },
        Message::Heads {
            sender: sender.clone(),
            target: target.clone(),
            document,
            heads: vec![("s".to_owned(), vec!["h".to_owned()], 1.7e12)],
        },
        Message::Leave,
        Message::Error { sender, target, text: "no".to_owned() },
    ];
    let mut seeds: Vec<_> = messages.iter().map(Message::encode).collect();
    // As their clients write: a length of sixteen bits, a float for an integer, undefined, a tag, pieces, and no lengths at all.
    seeds.push(vec![0xb9, 0, 2, 0x61, b'n', 0xfb, 0x40, 8, 0, 0, 0, 0, 0, 0, 0x61, b'u', 0xf7]);
    seeds.push(vec![0x82, 0xd8, 0x40, 0x42, 1, 2, 0x5f, 0x41, 1, 0x41, 2, 0xff]);
    seeds.push(vec![0xbf, 0x61, b'a', 0x9f, 1, 0x9f, 0xff, 0xff, 0xff]);
    seeds.push(vec![0x81; 12]);
    seeds
}
