//! The state of one connection: who is at the other end, what is synced with it, and how much it has yet to take.

use super::delta::Delta;
use super::hello::Handshake;
use crate::base::id::{ActorId, ConnectionId, DocumentId, PeerId, SpaceId};
use crate::log::space::Space;
use crate::log::tree::Fingerprint;
use std::collections::{BTreeMap, BTreeSet};

/// One connection.
pub struct Session {
    /// The driver's number of it.
    pub connection: ConnectionId,
    /// The endpoint, when this side dialled.
    pub endpoint: Option<String>,
    /// The hello.
    pub handshake: Handshake,
    /// Who is there, once proved.
    pub peer: Option<Peer>,
    /// Whether there was never another connection with the same peer beside it: then what the peer says comes in the order in which it says it.
    pub alone: bool,
    /// What is synced.
    pub subscriptions: BTreeMap<SpaceId, Subscription>,
    /// What is synced and was not in sync yet.
    pub syncing: BTreeMap<SpaceId, Syncing>,
    /// Bytes handed to the driver and not yet written.
    pub outbound_bytes: usize,
    /// When some of them were last written, or the first of them handed over, in monotonic milliseconds.
    pub taken_ms: u64,
    /// When a frame last arrived, in monotonic milliseconds.
    pub heard_ms: u64,
    /// When the peer is taken for gone, unless something is heard before: set while a ping awaits its pong.
    pub gone_ms: Option<u64>,
    /// Whether something was sent that the peer must acknowledge, and nothing was heard since.
    pub expecting: bool,
    /// Whether the connection is being closed: nothing more is sent or listened to.
    pub closing: bool,
    /// Spaces that this side has stopped to sync on the connection, how often: of one that is subscribed to after that, the peer may still be
    /// answering what was asked before.
    pub left: u64,
    /// What became durable of what the peer sent and was not acknowledged yet.
    pub acks: BTreeMap<DocumentId, BTreeMap<ActorId, u64>>,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The key it proved.
    pub id: PeerId,
    /// Whether it is a relay.
    pub relay: bool,
}

/// A space on its way to being in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syncing {
    /// When the subscription began, in monotonic milliseconds.
    pub since_ms: u64,
    /// The first document that was not settled when it was last looked at.
    pub from: Option<DocumentId>,
}

/// One space on one connection.
#[derive(Clone, Debug, Default)]
pub struct Subscription {
    /// Documents told by version when subscribing, which the ranges leave out.
    pub eager: BTreeSet<DocumentId>,
    /// The token of the ping that went before it, where the space may have been synced on this connection before: until its pong comes, what the
    /// peer says of the space was said of that.
    pub begins_at: Option<u64>,
    /// Whether the comparison of the space is still going on.
    pub comparing: bool,
    /// What a comparison that began here began with, until it is answered: all that was durable.
    pub opening: Option<Fingerprint>,
    /// Documents that were exchanged, or are being exchanged.
    pub deltas: BTreeMap<DocumentId, Delta>,
    /// Snapshots of which parts have arrived.
    pub arriving: BTreeMap<DocumentId, Vec<u8>>,
    /// Documents that have moved here since the state in which both last agreed, sent when subscribing.
    pub pushed: BTreeSet<DocumentId>,
    /// When it is to be proved at the latest that both are in sync again: the peer has sent all that moved there since that state.
    pub prove_ms: Option<u64>,
    /// What the peer has yet to be sent, and is told the end of.
    pub owed: Owed,
    /// Documents that moved on while the peer had more than enough to take.
    pub waiting: BTreeSet<DocumentId>,
}

/// What a peer lacks and has not been told of: it waits for the word that this was all.
#[derive(Clone, Debug, Default)]
pub struct Owed {
    /// The documents.
    pub documents: BTreeSet<DocumentId>,
    /// Whether they are what moved since a state that the peer has named.
    pub since: bool,
    /// Whether a comparison that found them is over.
    pub compared: bool,
}

impl Subscription {
    /// Whether all that is known to differ has been sent, and has arrived.
    pub fn is_settled(&self, space: &Space) -> bool {
        self.arriving.is_empty()
            && self.deltas.iter().all(|(document, delta)| match space.log(document) {
                Some(log) => delta.is_settled(log),
                None => delta.asked.is_none() && delta.target.is_empty(),
            })
    }
}

impl Session {
    /// A connection that has just been opened.
    pub fn new(connection: ConnectionId, endpoint: Option<String>, handshake: Handshake, now_ms: u64) -> Self {
        Self {
            connection,
            endpoint,
            handshake,
            peer: None,
            alone: true,
            subscriptions: BTreeMap::new(),
            syncing: BTreeMap::new(),
            outbound_bytes: 0,
            taken_ms: now_ms,
            heard_ms: now_ms,
            gone_ms: None,
            expecting: false,
            closing: false,
            left: 0,
            acks: BTreeMap::new(),
        }
    }

    /// Counts an entry that became durable and came from the peer.
    pub fn owe_ack(&mut self, document: DocumentId, actor: ActorId, seq: u64) {
        let held = self.acks.entry(document).or_default().entry(actor).or_insert(0);
        *held = seq.max(*held);
    }
}
