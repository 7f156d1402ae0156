//! Entries by strands: what joins the strands of a connection with the abridging of changes.
//!
//! A frame is made once for all peers that stand alike in the strands it needs, which after a moment are all of them. What cannot
//! go by strands (a payload that is no change, a peer that speaks the first version) goes in frames of whole payloads.

use super::Engine;
use super::push::SharedFrames;
use crate::base::codec::Writer;
use crate::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId, SpaceId};
use crate::base::limits::FRAME_STRANDS_MAX;
use crate::doc::abridged::{LastChange, Meanings, Names, abridge, restore};
use crate::doc::change::entry_from_payload;
use crate::log::entry::Entry;
use crate::log::log::Log;
use crate::sync::delta::Push;
use crate::sync::hello::Refusal;
use crate::sync::message::{ErrorCode, begin_strands, end_strands};
use crate::sync::strands::{Form, Incoming, Item, Numbers, Outgoing, Window};
use crate::trust::owned::is_sealed;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The first version of the protocol that has strands.
const VERSION_WITH_STRANDS: u64 = 2;
/// Entries before one that are searched for what it follows and depends on: what is further back is not named but written out.
const ENTRIES_SEARCHED_MAX: usize = 256;

/// The strands of all connections.
#[derive(Debug, Default)]
pub(super) struct Strands {
    numbers: Numbers,
    connections: BTreeMap<ConnectionId, Ends>,
}

/// Both ends of what is remembered of one connection.
#[derive(Debug, Default)]
struct Ends {
    outgoing: Outgoing,
    incoming: Incoming<LastChange>,
}

/// A frame that was made for one peer, and may suit others.
#[derive(Debug)]
pub(super) struct Made {
    /// How far the peer's strands had come that were looked at: it suits those with whom it is the same.
    asked: BTreeMap<u64, Option<Window>>,
    /// How far those come with the frame that it uses.
    sent: Vec<(u64, Window)>,
    frame: Arc<[u8]>,
}

impl Strands {
    /// The connection is over.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
    }

    /// The frame that brings a peer these entries, which is then taken to be sent; nothing when they have to go whole, or would
    /// be more than `limit` at the peer.
    fn frame(
        &mut self,
        connection: ConnectionId,
        log: &Log,
        push: &Push,
        limit: usize,
        made: &mut Vec<Made>,
    ) -> Option<Arc<[u8]>> {
        if push.entries.iter().map(|entry| entry.payload.len()).sum::<usize>() > limit {
            return None;
        }
        let outgoing = &mut self.connections.entry(connection).or_default().outgoing;
        let suits = |made: &Made| made.asked.iter().all(|(strand, window)| outgoing.window(*strand) == window.as_ref());
        let at = match made.iter().position(suits) {
            Some(at) => at,
            None => {
                made.push(Draft::new(&mut self.numbers, outgoing, log, push).finish()?);
                made.len() - 1
            }
        };
        let Made { sent, frame, .. } = &made[at];
        if frame.len() > limit {
            return None;
        }
        outgoing.on_sent(sent);
        Some(frame.clone())
    }
}

/// A frame that is being made.
struct Draft<'a> {
    numbers: &'a mut Numbers,
    outgoing: &'a Outgoing,
    log: &'a Log,
    push: &'a Push,
    /// Entries of the push that are in the frame.
    done: usize,
    asked: BTreeMap<u64, Option<Window>>,
    sent: Vec<(u64, Window)>,
    lasts: BTreeMap<u64, LastChange>,
    /// Bytes of abridged changes in it.
    abridged: usize,
}

impl<'a> Draft<'a> {
    fn new(numbers: &'a mut Numbers, outgoing: &'a Outgoing, log: &'a Log, push: &'a Push) -> Self {
        let (asked, sent, lasts) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { numbers, outgoing, log, push, done: 0, asked, sent, lasts, abridged: 0 }
    }

    fn finish(mut self) -> Option<Made> {
        let mut frame = begin_strands(self.push.entries.len());
        let push = self.push;
        for entry in &push.entries {
            self.add(entry, &mut frame)?;
            self.done += 1;
        }
        Some(Made { asked: self.asked, sent: self.sent, frame: Arc::from(end_strands(frame, self.abridged)) })
    }

    fn add(&mut self, entry: &Entry, frame: &mut Writer) -> Option<()> {
        let strand = self.numbers.number(entry.document, entry.actor);
        let last = self.last(strand, entry);
        let window = self.window(strand).cloned();
        let now = LastChange::of(entry)?;
        let window = match (window, last) {
            (Some(mut window), Some(last)) => {
                match abridge(&last, &entry.payload, self) {
                    Some(abridged) => {
                        self.abridged += abridged.len();
                        Item::encode(strand, &Form::Abridged, &abridged, frame);
                    }
                    None => Item::encode(strand, &Form::Whole, &entry.payload, frame),
                }
                window.push(entry);
                window
            }
            _ => {
                let form = Form::Begin { space: self.log.space(), document: entry.document };
                Item::encode(strand, &form, &entry.payload, frame);
                Window::begin(entry)
            }
        };
        self.sent.retain(|(sent, _)| *sent != strand);
        self.sent.push((strand, window));
        self.lasts.insert(strand, now);
        (self.sent.len() <= FRAME_STRANDS_MAX).then_some(())
    }

    /// The actor's change before `entry`, if it is the newest of the strand at the peer.
    fn last(&mut self, strand: u64, entry: &Entry) -> Option<LastChange> {
        let seq = entry.seq - 1;
        if self.window(strand)?.last() != seq {
            return None;
        }
        if let Some(last) = self.lasts.remove(&strand) {
            return Some(last);
        }
        let before = self.before().find(|before| before.actor == entry.actor && before.seq == seq)?.clone();
        self.window(strand)?.holds(seq, &before.hash).then(|| LastChange::of(&before))?
    }

    /// How far a strand has come at the peer, with what is in the frame already.
    fn window(&mut self, strand: u64) -> Option<&Window> {
        if let Some(at) = self.sent.iter().position(|(sent, _)| *sent == strand) {
            return Some(&self.sent[at].1);
        }
        let window = self.outgoing.window(strand);
        self.asked.entry(strand).or_insert_with(|| window.cloned());
        window
    }

    /// Entries before the one that is next, the nearest first.
    fn before(&self) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        self.push.entries[..self.done].iter().rev().chain(self.log.tail_until(self.push.after)).take(ENTRIES_SEARCHED_MAX)
    }
}

impl Names for Draft<'_> {
    fn of_hash(&mut self, hash: &ChangeHash) -> Option<(u64, u64)> {
        let entry = self.before().find(|before| before.hash == *hash)?.clone();
        let strand = self.numbers.get(entry.document, entry.actor)?;
        self.window(strand)?.holds(entry.seq, hash).then_some((strand, entry.seq))
    }

    fn of_actor(&mut self, actor: &ActorId) -> Option<u64> {
        let strand = self.numbers.get(self.log.document(), *actor)?;
        self.window(strand).map(|_| strand)
    }
}

/// What a connection's numbers mean in one document.
struct Told<'a>(&'a Incoming<LastChange>, DocumentId);

impl Meanings for Told<'_> {
    fn hash(&self, strand: u64, seq: u64) -> Option<ChangeHash> {
        self.0.strand(strand).filter(|strand| strand.document == self.1)?.hash(seq)
    }

    fn actor(&self, strand: u64) -> Option<ActorId> {
        self.0.strand(strand).filter(|strand| strand.document == self.1).map(|strand| strand.actor)
    }
}

/// The entries of a frame.
struct Received {
    space: SpaceId,
    document: DocumentId,
    entries: Vec<Entry>,
}

impl Engine {
    /// The frame of entries by strands for a peer that speaks them; nothing when they have to go whole.
    pub(super) fn strands_frame(
        &mut self,
        connection: ConnectionId,
        space: &SpaceId,
        document: &DocumentId,
        push: &Push,
        limit: usize,
        shared: &mut SharedFrames,
    ) -> Option<Arc<[u8]>> {
        let log = self.spaces.get(space)?.space.log(document)?;
        (self.speaks_strands(connection) && !is_sealed(space)).then_some(())?;
        let mut own = Vec::new();
        let made = if push.whole { shared.strands.entry((push.after, push.through)).or_default() } else { &mut own };
        self.strands.frame(connection, log, push, limit, made)
    }

    fn speaks_strands(&self, connection: ConnectionId) -> bool {
        let version = self.sessions.get(&connection).and_then(|session| session.handshake.version());
        version.is_some_and(|version| version >= VERSION_WITH_STRANDS)
    }

    /// Takes in entries that came by strands. They are restored whatever then becomes of them: both ends must remember the same.
    pub(super) fn on_strands(&mut self, connection: ConnectionId, items: &[Item]) {
        match self.restored(connection, items) {
            Ok(Received { space, document, entries }) => self.receive_entries(connection, space, document, entries),
            Err(refusal) => self.refuse(connection, refusal),
        }
    }

    fn restored(&mut self, connection: ConnectionId, items: &[Item]) -> Result<Received, Refusal> {
        let malformed = |text: &str| Refusal { code: ErrorCode::Malformed, text: text.to_owned() };
        if !self.speaks_strands(connection) {
            return Err(malformed("a message of a version of the protocol that was not agreed on"));
        }
        let unknown = || malformed("an entry of a strand that has not begun, or is not its next");
        let limits = &self.config.limits;
        let incoming = &mut self.strands.connections.entry(connection).or_default().incoming;
        let mut received: Option<Received> = None;
        let mut bytes = 0;
        for item in items {
            let (space, document) = match &item.form {
                Form::Begin { space, document } => (*space, *document),
                _ => incoming.strand(item.strand).map(|strand| (strand.space, strand.document)).ok_or_else(unknown)?,
            };
            let invalid = |error| {
                let text = format!("a change of document {document} is not valid: {error}");
                Refusal { code: ErrorCode::BadEntry, text }
            };
            let payload: Arc<[u8]> = match &item.form {
                Form::Abridged => {
                    let last = &incoming.strand(item.strand).ok_or_else(unknown)?.last;
                    Arc::from(restore(last, &item.bytes, &Told(incoming, document)).map_err(invalid)?)
                }
                _ => item.bytes.clone(),
            };
            bytes += payload.len();
            if payload.len() > limits.entry_bytes_max || bytes > limits.frame_bytes_max {
                let text = format!(
                    "a change of {} bytes, or a frame that restores to {bytes}, is over the limits of {} and {}",
                    payload.len(),
                    limits.entry_bytes_max,
                    limits.frame_bytes_max
                );
                return Err(Refusal { code: ErrorCode::TooLarge, text });
            }
            let entry = entry_from_payload(document, payload).map_err(invalid)?;
            let last =
                LastChange::of(&entry).ok_or_else(|| malformed("a change that is too large to begin or go on with a strand"))?;
            let fits = match &item.form {
                Form::Begin { space, .. } => incoming.begin(item.strand, *space, &entry, last),
                _ => incoming.advance(item.strand, &entry, last),
            };
            if !fits {
                return Err(unknown());
            }
            let received = received.get_or_insert_with(|| Received { space, document, entries: Vec::new() });
            if (received.space, received.document) != (space, document) {
                return Err(malformed("entries of two documents in one frame"));
            }
            received.entries.push(entry);
        }
        incoming.on_frame_end();
        received.ok_or_else(|| malformed("no entries"))
    }
}
