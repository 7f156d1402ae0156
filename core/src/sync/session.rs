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
    /// Documents of which the peer has yet to be sent what moved since a state it has named.
    pub owed: Option<BTreeSet<DocumentId>>,
    /// Documents that moved on while the peer had more than enough to take.
    pub waiting: BTreeSet<DocumentId>,
}

impl Subscription {
    /// Whether all that is known to differ has been sent, and has arrived.
    pub fn is_settled(&self, space: &Space) -> bool {
        self.deltas.iter().all(|(document, delta)| match space.log(document) {
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
            subscriptions: BTreeMap::new(),
            syncing: BTreeMap::new(),
            outbound_bytes: 0,
            taken_ms: now_ms,
            heard_ms: now_ms,
            gone_ms: None,
            expecting: false,
            closing: false,
            acks: BTreeMap::new(),
        }
    }

    /// Counts an entry that became durable and came from the peer.
    pub fn owe_ack(&mut self, document: DocumentId, actor: ActorId, seq: u64) {
        let held = self.acks.entry(document).or_default().entry(actor).or_insert(0);
        *held = seq.max(*held);
    }
}
