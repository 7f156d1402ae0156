//! Everything an engine wants done, and everything it has to tell.

use super::following::Reread;
use crate::base::id::{ChangeHash, ConnectionId, DocumentId, LetterId, PeerId, SpaceId, TaskId, ViewId};
use crate::doc::assembly::Assembly;
use crate::doc::patch::Patch;
use crate::doc::value::Value;
use crate::log::entry::Entry;
use crate::store::task::StoreTask;
use crate::trust::statement::{Level, StatementId};
use serde::Serialize;
use std::sync::Arc;

/// Something the driver must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this frame. Frames of one connection go out in order; the bytes may be shared between connections.
    Send {
        /// Where.
        connection: ConnectionId,
        /// The frame.
        frame: Arc<[u8]>,
    },
    /// Close this connection once what was sent before is written, and answer `Disconnected`.
    Disconnect {
        /// Which.
        connection: ConnectionId,
        /// A sentence for people.
        reason: String,
    },
    /// Dial this endpoint, and answer `Connected` or `DialFailed`.
    Dial {
        /// The endpoint, as the app named it.
        endpoint: String,
    },
    /// Carry out this storage task, and answer `StoreDone`.
    Store {
        /// The number to answer with.
        task: TaskId,
        /// What to do.
        work: StoreTask,
    },
    /// Run this assembly, on any thread, and answer `Assembled`.
    Assemble {
        /// The number to answer with.
        task: TaskId,
        /// What to put together.
        assembly: Box<Assembly>,
    },
    /// Tell the app.
    Event(Event),
}

/// Something the app may want to know.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The store is open and the engine is at work.
    Ready {
        /// This replica's identity.
        peer: PeerId,
        /// Documents held.
        documents: usize,
    },
    /// A peer has proved who it is.
    PeerConnected {
        /// On which connection.
        connection: ConnectionId,
        /// Who.
        peer: PeerId,
        /// Whether it is a relay.
        relay: bool,
        /// What it calls itself.
        agent: String,
        /// The endpoint, when this side dialled.
        endpoint: Option<String>,
    },
    /// A peer is gone, or a connection ended before one was known.
    PeerDisconnected {
        /// Which connection; nothing when dialling failed.
        connection: Option<ConnectionId>,
        /// Who, when it was known.
        peer: Option<PeerId>,
        /// The endpoint, when this side dialled.
        endpoint: Option<String>,
        /// A sentence for people.
        reason: String,
        /// Milliseconds until the endpoint is dialled again, when it will be.
        retry_ms: Option<u64>,
    },
    /// How far a space has come with its peers.
    SpaceSync {
        /// The space.
        space: SpaceId,
        /// Connected peers that sync it.
        peers: usize,
        /// Of these, how many have nothing more to send or to ask for as far as is known.
        in_sync: usize,
        /// Documents known to differ from some peer.
        behind: usize,
        /// How much of what is missing here has come; nothing where nothing is.
        catch_up: Option<CatchUp>,
    },
    /// A document is held in a space, new or found in the store.
    DocumentAdded {
        /// The space.
        space: SpaceId,
        /// The document.
        document: DocumentId,
    },
    /// A document has moved on.
    DocumentChanged {
        /// The space.
        space: SpaceId,
        /// The document.
        document: DocumentId,
        /// Its heads.
        heads: Vec<ChangeHash>,
        /// Whether this replica made the change.
        local: bool,
    },
    /// An open document is in memory.
    DocumentOpened {
        /// The document.
        document: DocumentId,
        /// Its heads.
        heads: Vec<ChangeHash>,
    },
    /// An edit of the app's became a change (or did nothing, and has no hash).
    DocumentEdited {
        /// The document.
        document: DocumentId,
        /// The number the app gave.
        number: u64,
        /// The change.
        hash: Option<ChangeHash>,
    },
    /// A mirror's next answer.
    ViewUpdated(ViewUpdate),
    /// An edit could not be made; nothing of it was.
    EditRefused {
        /// The document.
        document: DocumentId,
        /// The number the app gave.
        number: u64,
        /// The mirror it came from.
        view: Option<ViewId>,
        /// A sentence for people.
        reason: String,
    },
    /// How saved a document is has changed.
    Saved(Saved),
    /// Someone's presence is here, has changed, or is gone.
    Presence {
        /// The space.
        space: SpaceId,
        /// Whose.
        peer: PeerId,
        /// Which of theirs.
        instance: u64,
        /// The state; nothing when it is gone.
        state: Option<String>,
    },
    /// What this replica may do in an owned space has changed.
    AccessChanged {
        /// The space.
        space: SpaceId,
        /// How much it may do; nothing where it may not even read.
        level: Option<Level>,
    },
    /// There are new statements of who may do what in an owned space, made here or heard.
    MembersChanged {
        /// The space.
        space: SpaceId,
    },
    /// A peer has said that it holds exactly the statements of an owned space that are held here.
    StatementsShared {
        /// The space.
        space: SpaceId,
        /// How many connected peers do.
        peers: usize,
    },
    /// Someone has written a letter, and it is durable here; [`super::Engine::letters`] has what is in it.
    LetterArrived {
        /// By what it is known.
        letter: LetterId,
        /// Who wrote it.
        sender: PeerId,
        /// What it is, by agreement among apps.
        kind: String,
        /// When it ends for relays, in seconds of Unix time.
        expires: u64,
    },
    /// A relay that was asked has handed over all letters that waited there; the last of them may still be on its way to the disk.
    LetterboxEmptied {
        /// The relay.
        peer: Option<PeerId>,
    },
    /// A letter of this replica's is durable at a relay, or with its recipient.
    LetterSent {
        /// Which.
        letter: LetterId,
        /// Where.
        peer: Option<PeerId>,
        /// Whether its recipient has said to have it. A relay that keeps it does not tell later.
        taken: bool,
    },
    /// A letter of this replica's was not taken.
    LetterRefused {
        /// Which.
        letter: LetterId,
        /// A sentence for people.
        reason: String,
        /// Whether it will be sent again.
        tried_again: bool,
    },
    /// Someone has asked by a ticket of this replica's, or this replica was answered; a device was linked or is lost, or told of a space.
    /// [`super::Engine::tickets`], [`super::Engine::asks`], [`super::Engine::devices`] and [`super::Engine::cards`] have it all.
    IntroductionsChanged,
    /// Something went wrong that people should know of.
    Trouble(Trouble),
    /// Entries of a document in a space that is followed have become durable. Not for apps: it has no JSON.
    #[serde(skip)]
    Durable {
        /// The space.
        space: SpaceId,
        /// The document.
        document: DocumentId,
        /// The entries, in the order of the log.
        entries: Vec<Arc<Entry>>,
    },
    /// The log of a document in a space that is followed is not what it was and what was told since: it is to be read again.
    /// A peer's snapshot was taken in, or damage was found.
    #[serde(skip)]
    Anew {
        /// The space.
        space: SpaceId,
        /// The document.
        document: DocumentId,
    },
    /// Something that an operator may want to look up later. Not for apps.
    #[serde(skip)]
    Audit(Audit),
    /// Answers [`super::Engine::read_document`].
    #[serde(skip)]
    Reread {
        /// The number that was answered then.
        number: u64,
        /// The document.
        document: DocumentId,
        /// All that is durable of it, or why it cannot be read, in a sentence.
        result: Result<Reread, String>,
    },
}

/// What a mirror must do to show the document as it is now.
///
/// The mirror takes it only if it has made no edit after `covers`; otherwise it drops it, and the answer to the later
/// edit will cover both. A `reset` is always taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewUpdate {
    /// The mirror.
    pub view: ViewId,
    /// The document.
    pub document: DocumentId,
    /// This answer's number, from 1.
    pub number: u64,
    /// The last edit of the mirror's that it takes into account, 0 for none.
    pub covers: u64,
    /// Start again from this value, before the patches.
    pub reset: Option<Value>,
    /// What to do.
    pub patches: Vec<Patch>,
    /// The heads the mirror then shows.
    pub heads: Vec<ChangeHash>,
    /// The heads of what the mirror shows if it does not take this: its last state taken, and its edits up to `covers`.
    pub base: Vec<ChangeHash>,
}

/// What has come of what was missing of a space, since it was found that something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatchUp {
    /// Documents: those that nothing is missing of any more. Their number is known once the space has been compared.
    pub documents: Amount,
    /// Bytes, as they travel. How many there will be is known when all that is missing comes as snapshots, as long documents do.
    pub bytes: Amount,
}

/// So much of so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// What is done.
    pub done: u64,
    /// What there is to do, with what is done; nothing while it is not known.
    pub total: Option<u64>,
}

/// How saved a document is: each number is about everything in the document as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// The document.
    pub document: DocumentId,
    /// Whether all of it is durable on this device.
    pub device: bool,
    /// How many other replicas hold all of it durably.
    pub replicas: usize,
    /// How many of these are relays.
    pub relays: usize,
    /// Changes not yet durable on this device.
    pub unsaved: u64,
}

/// What an operator may want to look up later: who brought or changed what, and who was refused what. No contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Someone brought a space that was not known here.
    SpaceMade {
        /// The space.
        space: SpaceId,
        /// Who brought it.
        peer: PeerId,
    },
    /// A statement of an owned space was taken.
    StatementTaken {
        /// The space.
        space: SpaceId,
        /// `founding`, `grant` or `revocation`.
        kind: &'static str,
        /// By what it is known.
        statement: StatementId,
        /// Who brought it.
        peer: Option<PeerId>,
    },
    /// Something was refused.
    Refused {
        /// On which connection.
        connection: ConnectionId,
        /// Whom, when it was known.
        peer: Option<PeerId>,
        /// The kind of refusal, in a word.
        reason: &'static str,
        /// What was said.
        text: String,
    },
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// Of what kind.
    pub kind: TroubleKind,
    /// The document it is about.
    pub document: Option<DocumentId>,
    /// The connection it is about.
    pub connection: Option<ConnectionId>,
    /// A sentence for people: what happened, and what can be done.
    pub message: String,
}

/// Kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TroubleKind {
    /// The store cannot write: edits stay in memory and are tried again.
    StoreWrite,
    /// The store cannot read.
    StoreRead,
    /// The store could not be opened: the engine does nothing until it is restarted.
    StoreOpen,
    /// A document was damaged and set aside; it is fetched again from peers that hold it.
    Damaged,
    /// A peer broke the protocol, and was disconnected.
    Protocol,
    /// A peer refused something of ours.
    Refused,
    /// Two replicas wrote different changes as one actor.
    Forked,
    /// This replica may not do something in an owned space, or changes there were set aside because their writer was shut out.
    Forbidden,
    /// A peer has lost what it had said it had saved: it was set back to an old backup, or its disk failed. It is sent again what is held here.
    WentBack,
    /// A peer passed on that somebody has vouched for changes in an owned space, and does not send them.
    HeldBack,
}
