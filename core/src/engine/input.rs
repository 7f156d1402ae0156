//! Everything that can happen to an engine.

use crate::base::id::{ChangeHash, ConnectionId, DocumentId, MirrorId, PeerId, SpaceId, TaskId, ViewId};
use crate::doc::assembly::{Assembled, AssemblyError};
use crate::doc::edit::Edit;
use crate::store::task::{StoreDone, StoreError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection is open in both directions; frames may flow.
    Connected {
        /// A number of the driver's, never used before.
        connection: ConnectionId,
        /// The endpoint it leads to when this side dialled, and nothing when it accepted.
        endpoint: Option<String>,
    },
    /// An attempt to dial came to nothing.
    DialFailed {
        /// The endpoint that [`super::effect::Effect::Dial`] named.
        endpoint: String,
        /// A sentence for people.
        reason: String,
    },
    /// A whole frame arrived.
    Frame {
        /// From where.
        connection: ConnectionId,
        /// The frame.
        bytes: Arc<[u8]>,
    },
    /// Frames of this many bytes together have left for the network. A driver that never says so has its peers
    /// treated as slow once [`crate::base::limits::Limits::outbound_bytes_max`] is reached.
    Written {
        /// On which connection.
        connection: ConnectionId,
        /// How many bytes.
        bytes: usize,
    },
    /// A connection is gone; said once for each, also after [`super::effect::Effect::Disconnect`].
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// A sentence for people.
        reason: String,
    },
    /// A storage task was carried out, or could not be.
    StoreDone {
        /// Which.
        task: TaskId,
        /// What came of it.
        result: Result<StoreDone, StoreError>,
    },
    /// An assembly was run.
    Assembled {
        /// Which.
        task: TaskId,
        /// What came of it.
        result: Result<Box<Assembled>, AssemblyError>,
    },
    /// The app wants something.
    Command(Command),
    /// Time passed; said at the latest when [`super::Engine::next_deadline`] comes.
    Tick,
}

/// A state a mirror has shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resume {
    /// The last of the mirror's edits that is part of it.
    pub covers: u64,
    /// Its heads: a [`super::effect::ViewUpdate`]'s `heads` where the mirror took it, or else its `base`.
    pub heads: Vec<ChangeHash>,
}

/// What a mirror calls an edit, however often it sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stamp {
    /// This edit: one more than that of the mirror's edit before.
    pub number: u64,
    /// The first edit that the mirror may have to send again; none before it.
    pub oldest: u64,
}

/// What an app asks of its engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// Keep a connection to this endpoint (a URL that the driver can dial), dialling again with backoff.
    AddEndpoint {
        /// The endpoint.
        endpoint: String,
    },
    /// Let go of an endpoint and of its connection.
    RemoveEndpoint {
        /// The endpoint.
        endpoint: String,
    },
    /// Work offline or online: offline closes all connections and dials none.
    SetOnline {
        /// Whether to be online.
        online: bool,
    },
    /// The network may have changed: dial at once whatever is waiting to be dialled, and check what is open.
    NetworkChanged,
    /// Send at once what waits for its turn: whoever wrote it may be about to go. See [`PushPace`](super::config::PushPace).
    PushNow,
    /// Hold this space, and sync it with every peer.
    OpenSpace {
        /// The space.
        space: SpaceId,
    },
    /// Stop syncing this space. What is stored stays stored.
    CloseSpace {
        /// The space.
        space: SpaceId,
    },
    /// Compare a space with one peer that syncs it, although both may be in sync as far as is known: anti-entropy. With nobody there,
    /// or while it is being compared already, nothing happens.
    Compare {
        /// The space.
        space: SpaceId,
        /// Who proved to be there.
        peer: PeerId,
    },
    /// Hold a document in memory, so that it can be read and edited; answered by `DocumentOpened`. One that is not held yet
    /// is an empty document until its entries arrive.
    OpenDocument {
        /// The space it belongs to.
        space: SpaceId,
        /// The document.
        document: DocumentId,
    },
    /// Undo one `OpenDocument`.
    CloseDocument {
        /// The document.
        document: DocumentId,
    },
    /// Change an open document as it stands.
    EditDocument {
        /// The document.
        document: DocumentId,
        /// A number of the app's, which `DocumentEdited` or `EditRefused` repeats.
        number: u64,
        /// What to do.
        edit: Edit,
    },
    /// Show a document in a mirror; answered by `ViewUpdated` with the whole value, and then with each difference.
    OpenView {
        /// A number of the app's, not in use.
        view: ViewId,
        /// The space of the document.
        space: SpaceId,
        /// The document.
        document: DocumentId,
        /// What the mirror already shows, the newest first, when it lived with another engine of this replica before
        /// (a tab whose leader closed). The first whose heads are all held is where it goes on, and the answer is a
        /// difference; where none is, the answer is a reset.
        #[serde(default)]
        resume: Vec<Resume>,
        /// Who the mirror is, when it stamps its edits.
        #[serde(default)]
        mirror: Option<MirrorId>,
    },
    /// The mirror made an edit: commit it on the version the mirror shows.
    EditView {
        /// The mirror.
        view: ViewId,
        /// This edit's number: 1 for the mirror's first, then one more each.
        number: u64,
        /// The number of the last answer the mirror had taken when it made the edit.
        seen: u64,
        /// What it did.
        edit: Edit,
        /// By what the next engine of this replica knows the edit, should the mirror have to send it again.
        #[serde(default)]
        stamp: Option<Stamp>,
    },
    /// The mirror is gone.
    CloseView {
        /// The mirror.
        view: ViewId,
    },
    /// Show this presence to everyone in the space, until it is replaced or the replica is gone.
    SetPresence {
        /// The space.
        space: SpaceId,
        /// Which of this replica's presences: a tab, a window.
        instance: u64,
        /// The state, opaque to the engine; nothing says goodbye.
        state: Option<String>,
    },
}
