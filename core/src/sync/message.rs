//! What peers say to each other: one message is one frame.
//!
//! A frame is a tag byte and the message's fields, encoded by `base::codec`; `docs/protocol.md` specifies each byte.
//! Decoding checks every bound before it allocates, refuses trailing bytes, and gives each message one encoding.

use super::packed;
use super::reconcile::{Range, decode_ranges, encode_ranges};
use super::strands::Item;
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, DocumentId, PeerId, SpaceId, StoreEpoch};
use crate::base::limits::{
    ACTOR_BYTES_MAX, CLOCK_ACTORS_MAX, FRAME_ATTESTATIONS_MAX, FRAME_ENTRIES_MAX, GRANTS_MAX, PRESENCE_BYTES_MAX,
    RANGE_ITEMS_MAX, REVOCATIONS_MAX, TEXT_BYTES_MAX,
};
use crate::log::tree::Fingerprint;
use crate::log::version::{Digest, Version};
use std::sync::Arc;

pub use super::error_code::ErrorCode;

/// What every hello begins with, so that a stranger's bytes are recognised as such.
pub const MAGIC: &[u8; 9] = b"driftline";

/// One frame's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first of every connection.
    Hello(Hello),
    /// The second: a signature over both hellos.
    Proof {
        /// Ed25519.
        signature: [u8; 64],
    },
    /// Sync this space with me from now on.
    Subscribe {
        /// The space.
        space: SpaceId,
        /// Versions of documents that matter most to the sender; they are left out of the ranges.
        eager: Vec<(DocumentId, Version)>,
        /// A state in which both held the same: the sender sends what it has that moved since, and needs the like.
        known: Option<Fingerprint>,
        /// The sender's summary of all its other documents.
        ranges: Vec<Range>,
    },
    /// Send me nothing more of this space.
    Unsubscribe {
        /// The space.
        space: SpaceId,
    },
    /// A step of comparing two spaces; no ranges means that nothing is left to compare.
    Ranges {
        /// The space.
        space: SpaceId,
        /// The summary.
        ranges: Vec<Range>,
    },
    /// You lack this much, and it is on its way: for whoever shows how far it is. Since version 2.
    Coming {
        /// The space.
        space: SpaceId,
        /// So many documents, or the latest of them.
        documents: u64,
        /// About so many bytes of payloads and snapshots.
        bytes: u64,
    },
    /// You have been sent everything that moved here since the state you named.
    Sent {
        /// The space.
        space: SpaceId,
    },
    /// This is how far I durably hold the document: send me what I lack.
    Have {
        /// The space of the document.
        space: SpaceId,
        /// The document.
        document: DocumentId,
        /// How far.
        version: Version,
        /// Whether this answers a `Have`; if not, it must be answered.
        answer: bool,
    },
    /// Answers a `Have`: I durably hold exactly that version too.
    Same {
        /// The document.
        document: DocumentId,
        /// What stands for the version: an answer that comes late must not pass for the answer to a later question.
        digest: Digest,
    },
    /// Entries, each after all it depends on.
    Entries {
        /// The space of the document.
        space: SpaceId,
        /// The document.
        document: DocumentId,
        /// The payloads; in a clear space each carries its own header.
        payloads: Vec<Arc<[u8]>>,
    },
    /// A part of a document's snapshot, which stands for more entries than it would be wise to send. Parts follow each other; one
    /// that begins at 0 begins a snapshot anew.
    Snapshot {
        /// The space of the document.
        space: SpaceId,
        /// The document.
        document: DocumentId,
        /// Bytes of the whole.
        size: u64,
        /// Where this part begins.
        offset: u64,
        /// The part.
        bytes: Arc<[u8]>,
    },
    /// Entries of one document, by strands: since version 2.
    Strands {
        /// The entries, each after all it depends on.
        items: Vec<Item>,
    },
    /// What I hold of the statements of an owned space, and some of them. Since version 3.
    Roll {
        /// The space.
        space: SpaceId,
        /// Whether an answer is wanted in any case.
        asks: bool,
        /// What stands for all the sender's statements.
        state: Fingerprint,
        /// What stands for all attestations that the sender holds.
        attested: Fingerprint,
        /// Statements, each whole.
        statements: Vec<Arc<[u8]>>,
    },
    /// Keys vouch for what was written in an owned space. Since version 3.
    Attestations {
        /// The space.
        space: SpaceId,
        /// Attestations, each whole.
        attestations: Vec<Arc<[u8]>>,
    },
    /// I durably hold what you sent of the document, up to these sequence numbers.
    Ack {
        /// The document.
        document: DocumentId,
        /// Highest sequence number by actor, in the actors' order.
        held: Vec<(ActorId, u64)>,
    },
    /// Someone is here.
    Presence(PresenceMessage),
    /// Are you there?
    Ping {
        /// Repeated in the answer.
        token: u64,
    },
    /// I am.
    Pong {
        /// The ping's.
        token: u64,
    },
    /// Something was refused.
    Error {
        /// What kind of refusal.
        code: ErrorCode,
        /// The document it is about.
        document: Option<DocumentId>,
        /// A sentence for people.
        text: String,
    },
    /// The sender is about to close the connection, for a good reason.
    Goodbye {
        /// A sentence for people.
        text: String,
    },
}

/// The first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Oldest protocol version the sender speaks.
    pub version_min: u64,
    /// Newest protocol version the sender speaks.
    pub version_max: u64,
    /// Who it claims to be.
    pub peer: PeerId,
    /// Fresh random bytes.
    pub challenge: [u8; 32],
    /// The life of its store.
    pub epoch: StoreEpoch,
    /// Whether it is a relay.
    pub relay: bool,
    /// The largest frame it takes.
    pub frame_bytes_max: u64,
    /// What it calls itself.
    pub agent: String,
}

/// Presence on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceMessage {
    /// The space.
    pub space: SpaceId,
    /// Whose.
    pub peer: PeerId,
    /// Which of theirs.
    pub instance: u64,
    /// Grows with each update: an older one is dropped.
    pub counter: u64,
    /// The state; nothing says goodbye.
    pub state: Option<String>,
}

mod tag {
    pub(super) const HELLO: u8 = 1;
    pub(super) const PROOF: u8 = 2;
    pub(super) const SUBSCRIBE: u8 = 3;
    pub(super) const UNSUBSCRIBE: u8 = 4;
    pub(super) const RANGES: u8 = 5;
    pub(super) const HAVE: u8 = 6;
    pub(super) const SAME: u8 = 7;
    pub(super) const ENTRIES: u8 = 8;
    pub(super) const ACK: u8 = 9;
    pub(super) const PRESENCE: u8 = 10;
    pub(super) const PING: u8 = 11;
    pub(super) const PONG: u8 = 12;
    pub(super) const ERROR: u8 = 13;
    pub(super) const GOODBYE: u8 = 14;
    pub(super) const STRANDS: u8 = 15;
    pub(super) const SENT: u8 = 16;
    pub(super) const SNAPSHOT: u8 = 17;
    pub(super) const COMING: u8 = 18;
    pub(super) const ROLL: u8 = 19;
    pub(super) const ATTESTATIONS: u8 = 20;
}

/// Whether a frame brings entries: what a relay does all day, and what the time of a delivery is taken of.
pub fn brings_entries(frame: &[u8]) -> bool {
    matches!(frame.first(), Some(&(tag::ENTRIES | tag::STRANDS)))
}

impl Message {
    /// Names of the messages by their tags, for logs and for tests that ask whether each was ever sent.
    pub const NAMES: [(u8, &'static str); 20] = [
        (tag::HELLO, "hello"),
        (tag::PROOF, "proof"),
        (tag::SUBSCRIBE, "subscribe"),
        (tag::UNSUBSCRIBE, "unsubscribe"),
        (tag::RANGES, "ranges"),
        (tag::HAVE, "have"),
        (tag::SAME, "same"),
        (tag::ENTRIES, "entries"),
        (tag::ACK, "ack"),
        (tag::PRESENCE, "presence"),
        (tag::PING, "ping"),
        (tag::PONG, "pong"),
        (tag::ERROR, "error"),
        (tag::GOODBYE, "goodbye"),
        (tag::STRANDS, "strands"),
        (tag::SENT, "sent"),
        (tag::SNAPSHOT, "snapshot"),
        (tag::COMING, "coming"),
        (tag::ROLL, "roll"),
        (tag::ATTESTATIONS, "attestations"),
    ];

    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Hello(hello) => {
                w.u8(tag::HELLO);
                w.put(MAGIC);
                w.uint(hello.version_min);
                w.uint(hello.version_max);
                w.put(&hello.peer.0);
                w.put(&hello.challenge);
                w.put(&hello.epoch.0);
                w.u8(u8::from(hello.relay));
                w.uint(hello.frame_bytes_max);
                w.text(clip(&hello.agent));
            }
            Self::Proof { signature } => {
                w.u8(tag::PROOF);
                w.put(signature);
            }
            Self::Subscribe { space, eager, known, ranges } => {
                w.u8(tag::SUBSCRIBE);
                w.put(&space.0);
                w.uint(eager.len() as u64);
                for (document, version) in eager {
                    w.put(&document.0);
                    version.encode(&mut w);
                }
                match known {
                    None => w.u8(0),
                    Some(state) => {
                        w.u8(1);
                        encode_state(state, &mut w);
                    }
                }
                encode_ranges(ranges, &mut w);
            }
            Self::Unsubscribe { space } => {
                w.u8(tag::UNSUBSCRIBE);
                w.put(&space.0);
            }
            Self::Ranges { space, ranges } => {
                w.u8(tag::RANGES);
                w.put(&space.0);
                encode_ranges(ranges, &mut w);
            }
            Self::Have { space, document, version, answer } => {
                w.u8(tag::HAVE);
                w.put(&space.0);
                w.put(&document.0);
                w.u8(u8::from(*answer));
                version.encode(&mut w);
            }
            Self::Same { document, digest } => {
                w.u8(tag::SAME);
                w.put(&document.0);
                w.put(digest);
            }
            Self::Entries { space, document, payloads } => return encode_entries(space, document, payloads.iter()),
            Self::Snapshot { space, document, size, offset, bytes } => {
                w.u8(tag::SNAPSHOT);
                w.put(&space.0);
                w.put(&document.0);
                w.uint(*size);
                w.uint(*offset);
                w.bytes(bytes);
            }
            Self::Strands { items } => {
                w.u8(tag::STRANDS);
                w.uint(items.len() as u64);
                for item in items {
                    Item::encode(item.strand, &item.form, &item.bytes, &mut w);
                }
            }
            Self::Ack { document, held } => {
                w.u8(tag::ACK);
                w.put(&document.0);
                w.uint(held.len() as u64);
                for (actor, seq) in held {
                    w.bytes(actor.as_bytes());
                    w.uint(*seq);
                }
            }
            Self::Presence(presence) => {
                w.u8(tag::PRESENCE);
                w.put(&presence.space.0);
                w.put(&presence.peer.0);
                w.uint(presence.instance);
                w.uint(presence.counter);
                match &presence.state {
                    None => w.u8(0),
                    Some(state) => {
                        w.u8(1);
                        w.text(state);
                    }
                }
            }
            Self::Ping { token } => {
                w.u8(tag::PING);
                w.uint(*token);
            }
            Self::Pong { token } => {
                w.u8(tag::PONG);
                w.uint(*token);
            }
            Self::Error { code, document, text } => {
                w.u8(tag::ERROR);
                w.u8(*code as u8);
                match document {
                    None => w.u8(0),
                    Some(document) => {
                        w.u8(1);
                        w.put(&document.0);
                    }
                }
                w.text(clip(text));
            }
            Self::Sent { space } => {
                w.u8(tag::SENT);
                w.put(&space.0);
            }
            Self::Coming { space, documents, bytes } => {
                w.u8(tag::COMING);
                w.put(&space.0);
                w.uint(*documents);
                w.uint(*bytes);
            }
            Self::Roll { space, asks, state, attested, statements } => {
                w.u8(tag::ROLL);
                w.put(&space.0);
                w.u8(u8::from(*asks));
                encode_state(state, &mut w);
                encode_state(attested, &mut w);
                encode_list(statements, &mut w);
            }
            Self::Attestations { space, attestations } => {
                w.u8(tag::ATTESTATIONS);
                w.put(&space.0);
                encode_list(attestations, &mut w);
            }
            Self::Goodbye { text } => {
                w.u8(tag::GOODBYE);
                w.text(clip(text));
            }
        }
        w.finish()
    }

    /// The meaning of a frame.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(frame);
        let message = match r.u8()? {
            tag::HELLO => Self::Hello(decode_hello(&mut r)?),
            tag::PROOF => Self::Proof { signature: r.array()? },
            tag::SUBSCRIBE => {
                let space = SpaceId(r.array()?);
                let count = r.count(RANGE_ITEMS_MAX, 18)?;
                let mut eager = Vec::with_capacity(count);
                for _ in 0..count {
                    eager.push((DocumentId(r.array()?), Version::decode(&mut r)?));
                }
                let known =
                    if flag(&mut r, "whether a subscription names a state")? { Some(decode_state(&mut r)?) } else { None };
                Self::Subscribe { space, eager, known, ranges: decode_ranges(&mut r)? }
            }
            tag::UNSUBSCRIBE => Self::Unsubscribe { space: SpaceId(r.array()?) },
            tag::RANGES => Self::Ranges { space: SpaceId(r.array()?), ranges: decode_ranges(&mut r)? },
            tag::HAVE => {
                let (space, document) = (SpaceId(r.array()?), DocumentId(r.array()?));
                let answer = flag(&mut r, "whether a version answers")?;
                Self::Have { space, document, version: Version::decode(&mut r)?, answer }
            }
            tag::SAME => Self::Same { document: DocumentId(r.array()?), digest: r.array()? },
            tag::ENTRIES => {
                let (space, document) = (SpaceId(r.array()?), DocumentId(r.array()?));
                let count = r.count(FRAME_ENTRIES_MAX, 2)?;
                let mut payloads = Vec::with_capacity(count);
                for _ in 0..count {
                    payloads.push(Arc::from(r.bytes(usize::MAX)?));
                }
                Self::Entries { space, document, payloads }
            }
            tag::SNAPSHOT => {
                let (space, document) = (SpaceId(r.array()?), DocumentId(r.array()?));
                let (size, offset) = (r.uint()?, r.uint()?);
                Self::Snapshot { space, document, size, offset, bytes: Arc::from(r.bytes(usize::MAX)?) }
            }
            tag::STRANDS => Self::Strands { items: Item::decode_all(&mut r)? },
            tag::ACK => {
                let document = DocumentId(r.array()?);
                let count = r.count(CLOCK_ACTORS_MAX, 2)?;
                let mut held = Vec::with_capacity(count);
                for _ in 0..count {
                    let actor = ActorId::new(r.bytes(ACTOR_BYTES_MAX)?).ok_or(DecodeError::Invalid("an actor id is too long"))?;
                    held.push((actor, r.uint()?));
                }
                Self::Ack { document, held }
            }
            tag::PRESENCE => Self::Presence(PresenceMessage {
                space: SpaceId(r.array()?),
                peer: PeerId(r.array()?),
                instance: r.uint()?,
                counter: r.uint()?,
                state: if flag(&mut r, "whether a presence has a state")? { Some(r.text(PRESENCE_BYTES_MAX)?) } else { None },
            }),
            tag::PING => Self::Ping { token: r.uint()? },
            tag::PONG => Self::Pong { token: r.uint()? },
            tag::ERROR => {
                let byte = r.u8()?;
                let code = ErrorCode::from_byte(byte).ok_or(DecodeError::UnknownTag { what: "an error's code", tag: byte })?;
                let document =
                    if flag(&mut r, "whether an error names a document")? { Some(DocumentId(r.array()?)) } else { None };
                Self::Error { code, document, text: r.text(TEXT_BYTES_MAX)? }
            }
            tag::SENT => Self::Sent { space: SpaceId(r.array()?) },
            tag::COMING => Self::Coming { space: SpaceId(r.array()?), documents: r.uint()?, bytes: r.uint()? },
            tag::ROLL => Self::Roll {
                space: SpaceId(r.array()?),
                asks: flag(&mut r, "whether a roll asks")?,
                state: decode_state(&mut r)?,
                attested: decode_state(&mut r)?,
                statements: decode_list(&mut r, 1 + GRANTS_MAX + REVOCATIONS_MAX)?,
            },
            tag::ATTESTATIONS => {
                Self::Attestations { space: SpaceId(r.array()?), attestations: decode_list(&mut r, FRAME_ATTESTATIONS_MAX)? }
            }
            tag::GOODBYE => Self::Goodbye { text: r.text(TEXT_BYTES_MAX)? },
            tag => return Err(DecodeError::UnknownTag { what: "a message", tag }),
        };
        r.end()?;
        Ok(message)
    }
}

/// The frame of [`Message::Entries`], made without collecting the payloads first: this is what a relay does all day.
pub fn encode_entries<'a>(
    space: &SpaceId,
    document: &DocumentId,
    payloads: impl ExactSizeIterator<Item = &'a Arc<[u8]>>,
) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(tag::ENTRIES);
    w.put(&space.0);
    w.put(&document.0);
    w.uint(payloads.len() as u64);
    for payload in payloads {
        w.bytes(payload);
    }
    w.finish()
}

/// Bytes of a snapshot's frame beside the part, at most.
pub const SNAPSHOT_OVERHEAD_BYTES: usize = 1 + 16 + 16 + 10 + 10 + 10;

/// The beginning of the frame of [`Message::Strands`]; its items follow, so many.
pub fn begin_strands(items: usize) -> Writer {
    let mut w = Writer::new();
    w.u8(tag::STRANDS);
    w.uint(items as u64);
    w
}

/// The frame, deflated if that pays, of which so many bytes are abridged changes.
pub fn end_strands(frame: Writer, abridged: usize) -> Vec<u8> {
    let frame = frame.finish();
    match packed::pack(&frame[1..], abridged) {
        None => frame,
        // No frame has no items: that it says so means that what follows is deflated.
        Some(packed) => [&[tag::STRANDS, 0], &packed[..]].concat(),
    }
}

/// Bytes of an entries frame beside its payloads, and beside each of them, at most.
pub const ENTRIES_OVERHEAD_BYTES: usize = 1 + 16 + 16 + 10;

fn decode_hello(r: &mut Reader<'_>) -> Result<Hello, DecodeError> {
    if r.take(MAGIC.len())? != MAGIC {
        return Err(DecodeError::Invalid("the peer does not speak this protocol"));
    }
    let (version_min, version_max) = (r.uint()?, r.uint()?);
    if version_min > version_max {
        return Err(DecodeError::Invalid("a hello's oldest version is newer than its newest"));
    }
    Ok(Hello {
        version_min,
        version_max,
        peer: PeerId(r.array()?),
        challenge: r.array()?,
        epoch: StoreEpoch(r.array()?),
        relay: flag(r, "whether a peer is a relay")?,
        frame_bytes_max: r.uint()?,
        agent: r.text(TEXT_BYTES_MAX)?,
    })
}

fn encode_state(state: &Fingerprint, w: &mut Writer) {
    w.put(&state.sum.to_le_bytes());
    w.uint(state.count);
}

fn decode_state(r: &mut Reader<'_>) -> Result<Fingerprint, DecodeError> {
    Ok(Fingerprint { sum: u128::from_le_bytes(r.array()?), count: r.uint()? })
}

fn encode_list(list: &[Arc<[u8]>], w: &mut Writer) {
    w.uint(list.len() as u64);
    list.iter().for_each(|bytes| w.bytes(bytes));
}

fn decode_list(r: &mut Reader<'_>, max: usize) -> Result<Vec<Arc<[u8]>>, DecodeError> {
    let count = r.count(max, 1)?;
    (0..count).map(|_| Ok(Arc::from(r.bytes(usize::MAX)?))).collect()
}

fn flag(r: &mut Reader<'_>, what: &'static str) -> Result<bool, DecodeError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        tag => Err(DecodeError::UnknownTag { what, tag }),
    }
}

/// The longest beginning of `text` that an error or a name may have.
fn clip(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
