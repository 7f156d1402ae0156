//! What peers say to each other: one message is one frame.
//!
//! How a message is written, byte by byte, is next door in [`super::frame`] and in `docs/protocol.md`.

use super::reconcile::Range;
use super::strands::Item;
use crate::base::id::{ActorId, DocumentId, LetterId, PeerId, SpaceId, StoreEpoch};
use crate::log::tree::Fingerprint;
use crate::log::version::{Digest, Version};
use std::sync::Arc;

pub use super::error_code::ErrorCode;
pub use super::frame::{
    ENTRIES_OVERHEAD_BYTES, MAGIC, SNAPSHOT_OVERHEAD_BYTES, begin_strands, brings_entries, encode_entries, end_strands,
};

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
    /// The log of a sealed document has grown long here: make a snapshot of it, and send it, since I cannot. Since version 4.
    Compact {
        /// The space of the document.
        space: SpaceId,
        /// The document.
        document: DocumentId,
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
    /// A letter for someone: for the receiver, or to be kept until they come by. Since version 4.
    Letter {
        /// Relays that have passed it on.
        hops: u64,
        /// The letter, whole.
        letter: Arc<[u8]>,
    },
    /// What became of a letter that the receiver sent. Since version 4.
    Kept {
        /// Which.
        letter: LetterId,
        /// Why it is not kept; nothing where it is, durably.
        refused: Option<ErrorCode>,
        /// A sentence for people.
        text: String,
    },
    /// A letter's recipient has it, and signs for it: nobody else need keep it. Since version 4.
    Taken {
        /// Who.
        recipient: PeerId,
        /// Which.
        letter: LetterId,
        /// The recipient's word.
        signature: [u8; 64],
    },
    /// Work that a relay asks of whoever brings a space that it does not know, or that was done. Since version 4.
    Stamp {
        /// The space.
        space: SpaceId,
        /// Whether it is asked for.
        asks: bool,
        /// How much: so many leading zero bits.
        bits: u64,
        /// The number that was found.
        nonce: [u8; 8],
    },
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

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
