//! Messages as the bytes of frames.
//!
//! A frame is a tag byte and the message's fields, encoded by `base::codec`; `docs/protocol.md` specifies each byte.
//! Decoding checks every bound before it allocates, refuses trailing bytes, and gives each message one encoding.

use super::message::{ErrorCode, Hello, Message, PresenceMessage};
use super::packed;
use super::reconcile::{decode_ranges, encode_ranges};
use super::strands::Item;
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, DocumentId, LetterId, PeerId, SpaceId, StoreEpoch};
use crate::base::limits::{
    ACTOR_BYTES_MAX, CLOCK_ACTORS_MAX, FRAME_ATTESTATIONS_MAX, FRAME_ENTRIES_MAX, LETTER_BYTES_MAX, PRESENCE_BYTES_MAX,
    RANGE_ITEMS_MAX, STATEMENTS_MAX, TEXT_BYTES_MAX,
};
use crate::log::tree::Fingerprint;
use crate::log::version::Version;
use std::sync::Arc;

/// What every hello begins with, so that a stranger's bytes are recognised as such.
pub const MAGIC: &[u8; 9] = b"driftline";

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
    pub(super) const COMPACT: u8 = 21;
    pub(super) const LETTER: u8 = 24;
    pub(super) const KEPT: u8 = 25;
    pub(super) const TAKEN: u8 = 26;
    pub(super) const STAMP: u8 = 27;
}

/// Whether a frame brings entries: what a relay does all day, and what the time of a delivery is taken of.
pub fn brings_entries(frame: &[u8]) -> bool {
    matches!(frame.first(), Some(&(tag::ENTRIES | tag::STRANDS)))
}

impl Message {
    /// Names of the messages by their tags, for logs and for tests that ask whether each was ever sent.
    pub const NAMES: [(u8, &'static str); 25] = [
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
        (tag::COMPACT, "compact"),
        (tag::LETTER, "letter"),
        (tag::KEPT, "kept"),
        (tag::TAKEN, "taken"),
        (tag::STAMP, "stamp"),
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
            Self::Compact { space, document } => {
                w.u8(tag::COMPACT);
                w.put(&space.0);
                w.put(&document.0);
            }
            Self::Attestations { space, attestations } => {
                w.u8(tag::ATTESTATIONS);
                w.put(&space.0);
                encode_list(attestations, &mut w);
            }
            Self::Letter { hops, letter } => {
                w.u8(tag::LETTER);
                w.uint(*hops);
                w.bytes(letter);
            }
            Self::Kept { letter, refused, text } => {
                w.u8(tag::KEPT);
                w.put(&letter.0);
                w.u8(refused.map_or(0, |code| code as u8));
                w.text(clip(text));
            }
            Self::Taken { recipient, letter, signature } => {
                w.u8(tag::TAKEN);
                w.put(&recipient.0);
                w.put(&letter.0);
                w.put(signature);
            }
            Self::Stamp { space, asks, bits, nonce } => {
                w.u8(tag::STAMP);
                w.put(&space.0);
                w.u8(u8::from(*asks));
                w.uint(*bits);
                w.put(nonce);
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
                let code = decode_code(r.u8()?)?;
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
                statements: decode_list(&mut r, STATEMENTS_MAX)?,
            },
            tag::COMPACT => Self::Compact { space: SpaceId(r.array()?), document: DocumentId(r.array()?) },
            tag::ATTESTATIONS => {
                Self::Attestations { space: SpaceId(r.array()?), attestations: decode_list(&mut r, FRAME_ATTESTATIONS_MAX)? }
            }
            tag::LETTER => Self::Letter { hops: r.uint()?, letter: Arc::from(r.bytes(LETTER_BYTES_MAX)?) },
            tag::KEPT => Self::Kept {
                letter: LetterId(r.array()?),
                refused: match r.u8()? {
                    0 => None,
                    byte => Some(decode_code(byte)?),
                },
                text: r.text(TEXT_BYTES_MAX)?,
            },
            tag::TAKEN => Self::Taken { recipient: PeerId(r.array()?), letter: LetterId(r.array()?), signature: r.array()? },
            tag::STAMP => Self::Stamp {
                space: SpaceId(r.array()?),
                asks: flag(&mut r, "whether a stamp is asked for")?,
                bits: r.uint()?,
                nonce: r.array()?,
            },
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

fn decode_code(byte: u8) -> Result<ErrorCode, DecodeError> {
    ErrorCode::from_byte(byte).ok_or(DecodeError::UnknownTag { what: "an error's code", tag: byte })
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
