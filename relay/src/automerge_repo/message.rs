//! What automerge-repo's clients and servers say to each other on a WebSocket: one message is one map in CBOR.

use super::cbor::{CborError, Value};
use driftline_core::base::id::DocumentId;

/// The version of the protocol that is spoken.
pub(super) const VERSION: &str = "1";
/// Longest peer id, storage id, session id or list of heads' text that is taken, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Most storage ids, or heads of one, in a message.
const NAMES_MAX: usize = 1_024;

/// One message's meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    /// A client's first.
    Join {
        /// Who it is.
        sender: String,
        /// Where it keeps what it has, if it keeps anything.
        storage: Option<String>,
        /// The versions it speaks; one that says nothing speaks "1".
        versions: Option<Vec<String>>,
    },
    /// A server's answer.
    Peer {
        /// Who it is.
        sender: String,
        /// Who it says so to.
        target: String,
        /// Where it keeps what it has.
        storage: Option<String>,
    },
    /// A step of syncing a document.
    Sync {
        /// Who says so.
        sender: String,
        /// To whom.
        target: String,
        /// The document.
        document: DocumentId,
        /// Whether the sender has nothing of it and asks whether there is such a document.
        request: bool,
        /// A message of Automerge's own sync protocol.
        data: Vec<u8>,
    },
    /// There is no such document here.
    Unavailable {
        /// Who says so.
        sender: String,
        /// To whom.
        target: String,
        /// The document.
        document: DocumentId,
    },
    /// Something for whoever has the document open now.
    Ephemeral {
        /// Who said it first.
        sender: String,
        /// To whom it is passed on.
        target: String,
        /// The document.
        document: DocumentId,
        /// Grows with each of the sender's session.
        count: f64,
        /// The sender's session.
        session: String,
        /// CBOR.
        data: Vec<u8>,
    },
    /// Which storages' heads the sender wants to be told of.
    Subscription {
        /// These from now on.
        add: Vec<String>,
        /// These no more.
        remove: Vec<String>,
    },
    /// How far storages have come.
    Heads {
        /// Who says so.
        sender: String,
        /// To whom.
        target: String,
        /// The document.
        document: DocumentId,
        /// Each storage with its heads as text, and when that was, in Unix milliseconds.
        heads: Vec<(String, Vec<String>, f64)>,
    },
    /// The sender is about to go.
    Leave,
    /// Something was refused.
    Error {
        /// Who says so.
        sender: String,
        /// To whom.
        target: String,
        /// A sentence for people.
        text: String,
    },
    /// A message of a kind that is not known here, to be passed over.
    Other {
        /// The kind.
        kind: String,
    },
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    /// They are not CBOR, or too much of it.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// Something is missing, or of the wrong kind.
    #[error("a message of type {kind:?} has no sound {field:?}")]
    Field {
        /// The type.
        kind: String,
        /// The field.
        field: &'static str,
    },
    /// No type.
    #[error("the message has no type")]
    NoType,
    /// Not how documents are named.
    #[error("{text:?} is not the id of a document: {reason}")]
    Document {
        /// What was sent.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Message {
    /// The meaning of a message.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let map = Value::decode(bytes)?;
        let kind = map.get("type").and_then(Value::as_text).ok_or(MessageError::NoType)?.to_owned();
        let fields = Fields { kind: &kind, map: &map };
        Ok(match kind.as_str() {
            "join" => Self::Join {
                sender: fields.name("senderId")?,
                storage: fields.storage(),
                versions: map.get("supportedProtocolVersions").map(Value::as_texts),
            },
            "peer" => Self::Peer {
                sender: fields.name("senderId")?,
                target: fields.name("targetId").unwrap_or_default(),
                storage: fields.storage(),
            },
            "sync" | "request" => Self::Sync {
                sender: fields.name("senderId")?,
                target: fields.name("targetId").unwrap_or_default(),
                document: fields.document()?,
                request: kind == "request",
                data: fields.data()?,
            },
            "doc-unavailable" => Self::Unavailable {
                sender: fields.name("senderId")?,
                target: fields.name("targetId").unwrap_or_default(),
                document: fields.document()?,
            },
            "ephemeral" => Self::Ephemeral {
                sender: fields.name("senderId")?,
                target: fields.name("targetId").unwrap_or_default(),
                document: fields.document()?,
                count: fields.number("count")?,
                session: fields.name("sessionId")?,
                data: fields.data()?,
            },
            "remote-subscription-change" => Self::Subscription { add: fields.names("add"), remove: fields.names("remove") },
            "remote-heads-changed" => Self::Heads {
                sender: fields.name("senderId").unwrap_or_default(),
                target: fields.name("targetId").unwrap_or_default(),
                document: fields.document()?,
                heads: fields.heads()?,
            },
            "leave" => Self::Leave,
            "error" => Self::Error {
                sender: fields.name("senderId").unwrap_or_default(),
                target: fields.name("targetId").unwrap_or_default(),
                text: map.get("message").and_then(Value::as_text).unwrap_or_default().to_owned(),
            },
            _ => Self::Other { kind: kind.chars().take(NAME_BYTES_MAX).collect() },
        })
    }

    /// The bytes of it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let named = |kind: &str, sender: &str, target: &str| {
            vec![entry("type", kind.into()), entry("senderId", sender.into()), entry("targetId", target.into())]
        };
        let about = |kind: &str, sender: &str, target: &str, document: &DocumentId| {
            let mut fields = named(kind, sender, target);
            fields.push(entry("documentId", Value::Text(document.to_string())));
            fields
        };
        let fields = match self {
            Self::Join { sender, storage, versions } => {
                let versions = versions.iter().flatten().map(|version| version.as_str().into()).collect();
                vec![
                    entry("type", "join".into()),
                    entry("senderId", sender.as_str().into()),
                    entry("peerMetadata", metadata(storage.as_deref())),
                    entry("supportedProtocolVersions", Value::List(versions)),
                ]
            }
            Self::Peer { sender, target, storage } => {
                let mut fields = named("peer", sender, target);
                fields.push(entry("peerMetadata", metadata(storage.as_deref())));
                fields.push(entry("selectedProtocolVersion", VERSION.into()));
                fields
            }
            Self::Sync { sender, target, document, request, data } => {
                let mut fields = about(if *request { "request" } else { "sync" }, sender, target, document);
                fields.push(entry("data", Value::Bytes(data.clone())));
                fields
            }
            Self::Unavailable { sender, target, document } => about("doc-unavailable", sender, target, document),
            Self::Ephemeral { sender, target, document, count, session, data } => {
                let mut fields = about("ephemeral", sender, target, document);
                fields.push(entry("count", Value::Number(*count)));
                fields.push(entry("sessionId", session.as_str().into()));
                fields.push(entry("data", Value::Bytes(data.clone())));
                fields
            }
            Self::Subscription { add, remove } => {
                let list = |names: &[String]| Value::List(names.iter().map(|name| name.as_str().into()).collect());
                vec![entry("type", "remote-subscription-change".into()), entry("add", list(add)), entry("remove", list(remove))]
            }
            Self::Heads { sender, target, document, heads } => {
                let of = |heads: &[String]| Value::List(heads.iter().map(|head| head.as_str().into()).collect());
                let storages = heads.iter().map(|(storage, heads, timestamp)| {
                    let fields = vec![entry("heads", of(heads)), entry("timestamp", Value::Number(*timestamp))];
                    (storage.clone(), Value::Map(fields))
                });
                let mut fields = about("remote-heads-changed", sender, target, document);
                fields.push(entry("newHeads", Value::Map(storages.collect())));
                fields
            }
            Self::Leave => vec![entry("type", "leave".into())],
            Self::Error { sender, target, text } => {
                let mut fields = named("error", sender, target);
                fields.push(entry("message", text.as_str().into()));
                fields
            }
            Self::Other { kind } => vec![entry("type", kind.as_str().into())],
        };
        Value::Map(fields).encode()
    }
}

fn entry(key: &str, value: Value) -> (String, Value) {
    (key.to_owned(), value)
}

/// What a peer says of itself: one without a storage keeps nothing.
fn metadata(storage: Option<&str>) -> Value {
    let mut fields = vec![entry("isEphemeral", Value::Bool(storage.is_none()))];
    fields.extend(storage.map(|storage| entry("storageId", storage.into())));
    Value::Map(fields)
}

/// The fields of a message, and of which.
struct Fields<'a> {
    kind: &'a str,
    map: &'a Value,
}

impl Fields<'_> {
    fn missing(&self, field: &'static str) -> MessageError {
        MessageError::Field { kind: self.kind.to_owned(), field }
    }

    fn name(&self, field: &'static str) -> Result<String, MessageError> {
        let text = self.map.get(field).and_then(Value::as_text).filter(|text| !text.is_empty() && text.len() <= NAME_BYTES_MAX);
        Ok(text.ok_or_else(|| self.missing(field))?.to_owned())
    }

    fn names(&self, field: &'static str) -> Vec<String> {
        let mut names = self.map.get(field).map(Value::as_texts).unwrap_or_default();
        names.retain(|name| name.len() <= NAME_BYTES_MAX);
        names.truncate(NAMES_MAX);
        names
    }

    fn number(&self, field: &'static str) -> Result<f64, MessageError> {
        match self.map.get(field) {
            Some(Value::Number(number)) if number.is_finite() => Ok(*number),
            _ => Err(self.missing(field)),
        }
    }

    fn document(&self) -> Result<DocumentId, MessageError> {
        let text = self.map.get("documentId").and_then(Value::as_text).ok_or_else(|| self.missing("documentId"))?;
        text.parse().map_err(|error| MessageError::Document {
            text: text.chars().take(NAME_BYTES_MAX).collect(),
            reason: format!("{error}"),
        })
    }

    fn data(&self) -> Result<Vec<u8>, MessageError> {
        match self.map.get("data") {
            Some(Value::Bytes(bytes)) if !bytes.is_empty() => Ok(bytes.clone()),
            _ => Err(self.missing("data")),
        }
    }

    /// The sender's storage, unless it says that what it has does not last.
    fn storage(&self) -> Option<String> {
        let metadata = self.map.get("peerMetadata")?;
        let storage = metadata.get("storageId").and_then(Value::as_text).filter(|storage| storage.len() <= NAME_BYTES_MAX)?;
        (metadata.get("isEphemeral") != Some(&Value::Bool(true))).then(|| storage.to_owned())
    }

    fn heads(&self) -> Result<Vec<(String, Vec<String>, f64)>, MessageError> {
        let Some(Value::Map(storages)) = self.map.get("newHeads") else { return Err(self.missing("newHeads")) };
        let sound = storages.iter().take(NAMES_MAX).filter(|(storage, _)| storage.len() <= NAME_BYTES_MAX);
        let read = |(storage, value): &(String, Value)| {
            let mut heads = value.get("heads").map(Value::as_texts).unwrap_or_default();
            heads.retain(|head| head.len() <= NAME_BYTES_MAX);
            heads.truncate(NAMES_MAX);
            let timestamp = if let Some(Value::Number(number)) = value.get("timestamp") { *number } else { 0.0 };
            (storage.clone(), heads, timestamp)
        };
        Ok(sound.map(read).collect())
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
