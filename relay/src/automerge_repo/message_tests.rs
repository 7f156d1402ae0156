//! Messages as they are written, and as they are not.

use super::*;

fn document() -> DocumentId {
    DocumentId([7; 16])
}

fn all() -> Vec<Message> {
    let (sender, target) = ("anna".to_owned(), "relay".to_owned());
    vec![
        Message::Join { sender: sender.clone(), storage: Some("s".to_owned()), versions: Some(vec!["1".to_owned()]) },
        Message::Peer { sender: sender.clone(), target: target.clone(), storage: None },
        Message::Sync { sender: sender.clone(), target: target.clone(), document: document(), request: true, data: vec![1, 2] },
        Message::Sync {
            sender: sender.clone(),
            target: target.clone(),
            document: document(),
            request: false,
            data: vec![3; 300],
        },
        Message::Unavailable { sender: sender.clone(), target: target.clone(), document: document() },
        Message::Ephemeral {
            sender: sender.clone(),
            target: target.clone(),
            document: document(),
            count: 4.0,
            session: "x".to_owned(),
            data: vec![0xf6],
        },
        Message::Subscription { add: vec!["a".to_owned()], remove: vec!["b".to_owned()] },
        Message::Heads {
            sender: sender.clone(),
            target: target.clone(),
            document: document(),
            heads: vec![("s".to_owned(), vec!["h".to_owned()], 1.7e12)],
        },
        Message::Leave,
        Message::Error { sender, target, text: "no".to_owned() },
    ]
}

#[test]
fn every_message_reads_back() {
    for message in all() {
        assert_eq!(Message::decode(&message.encode()).as_ref(), Ok(&message), "{message:?}");
    }
    assert_eq!(
        Message::decode(&Value::Map(vec![entry("type", "news".into())]).encode()),
        Ok(Message::Other { kind: "news".to_owned() })
    );
}

#[test]
fn what_lacks_something_or_has_the_wrong_kind_says_what() {
    let lacks = |fields: Vec<(String, Value)>| Message::decode(&Value::Map(fields).encode()).unwrap_err().to_string();
    assert!(lacks(vec![]).contains("no type"));
    assert!(lacks(vec![entry("type", "join".into())]).contains("senderId"));
    let sync = |id: Value, data: Value| {
        vec![entry("type", "sync".into()), entry("senderId", "a".into()), entry("documentId", id), entry("data", data)]
    };
    assert!(lacks(sync("abc".into(), Value::Bytes(vec![1]))).contains("not the id of a document"));
    assert!(lacks(sync(Value::Number(1.0), Value::Bytes(vec![1]))).contains("documentId"));
    assert!(lacks(sync(Value::Text(document().to_string()), Value::Bytes(Vec::new()))).contains("data"));
    assert!(lacks(sync(Value::Text(document().to_string()), "text".into())).contains("data"));
    assert!(Message::decode(b"not cbor").is_err());
}

/// Throws every kind of damage at every message: nothing panics, and nothing takes long.
#[test]
fn messages_that_were_tampered_with_are_refused_or_mean_something() {
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice % sides as u64) as usize
    };
    let messages: Vec<Vec<u8>> = all().iter().map(Message::encode).collect();
    for _ in 0..20_000 {
        let mut bytes = messages[roll(messages.len())].clone();
        for _ in 0..=roll(4) {
            let at = roll(bytes.len());
            match roll(4) {
                0 => bytes[at] = roll(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, [0x9f, 0xbf, 0x5f, 0xff, 0x9b, 0xbb, 0xc0, 0xf7][roll(8)]),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                bytes.push(0xa0);
            }
        }
        if let Ok(message) = Message::decode(&bytes) {
            message.encode();
        }
    }
}

#[test]
fn a_join_as_their_client_writes_it() {
    let hex = concat!(
        "b900046474797065646a6f696e6873656e64657249646e706565722d6267737468723933736c706565724d65746164617461b900026973746f",
        "7261676549647824613165383636",
        "65332d316638332d343465612d393730352d3465323261333736663831636b6973457068656d6572616cf47819737570706f7274656450726f",
        "746f636f6c56657273696f6e73816131"
    );
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let expected = Message::Join {
        sender: "peer-bgsthr93s".to_owned(),
        storage: Some("a1e866e3-1f83-44ea-9705-4e22a376f81c".to_owned()),
        versions: Some(vec!["1".to_owned()]),
    };
    assert_eq!(Message::decode(&bytes), Ok(expected));
}
