//! Syncing spaces with a peer: subscribing, comparing, exchanging what differs, and pushing what is new.

use super::Engine;
use super::effect::TroubleKind;
use super::saved::Receipt;
use super::seal::seals::Unfit;
use crate::base::id::{ActorId, ConnectionId, DocumentId, SpaceId};
use crate::base::limits::{EAGER_VERSION_BYTES, SUBSCRIPTIONS_MAX};
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::log::Log;
use crate::log::tree::Fingerprint;
use crate::log::version::{Digest, Version};
use crate::sync::delta::{Delta, STRIKES_MAX};
use crate::sync::hello::Refusal;
use crate::sync::message::{ErrorCode, Message};
use crate::sync::reconcile::{Comparison, Range};
use crate::sync::session::Subscription;
use crate::trust::owned::{is_owned, is_sealed};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What sets the tokens of pings that go before a subscription apart from those that ask whether the peer is there.
const BEGINS: u64 = 1 << 63;

impl Engine {
    pub(super) fn on_open_space(&mut self, space: SpaceId) {
        let held = self.open_space(space);
        let newly = !std::mem::replace(&mut held.open, true);
        let documents: Vec<DocumentId> = if newly { self.documents(&space) } else { Vec::new() };
        for document in documents {
            self.tell(super::effect::Event::DocumentAdded { space, document });
        }
        let proved: Vec<ConnectionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.handshake.theirs().is_some())
            .map(|(connection, _)| *connection)
            .collect();
        for connection in proved {
            self.subscribe(connection, space);
        }
        self.touch_progress(space);
    }

    pub(super) fn on_close_space(&mut self, space: SpaceId) {
        let Some(held) = self.spaces.get_mut(&space) else { return };
        held.open = false;
        let connections = std::mem::take(&mut held.sessions);
        self.end_catch_up(&space);
        for connection in connections {
            self.unsubscribe(connection, space);
        }
    }

    /// Tells a peer that a space is synced with it no longer.
    pub(super) fn unsubscribe(&mut self, connection: ConnectionId, space: SpaceId) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.subscriptions.remove(&space);
            session.left += 1;
        }
        if let Some(held) = self.spaces.get_mut(&space) {
            held.sessions.remove(&connection);
        }
        self.send(connection, &Message::Unsubscribe { space });
    }

    /// Asks a peer to sync a space, unless it does already.
    pub(super) fn subscribe(&mut self, connection: ConnectionId, space: SpaceId) {
        if !self.begin_roll(connection, space) {
            return;
        }
        let eager = self.eager_versions(&space);
        let known = self.agreed_state(connection, space);
        let bytes_max = self.frame_bytes_max(connection);
        let mut subscription = Subscription { comparing: true, ..Subscription::default() };
        for (document, version) in &eager {
            subscription.eager.insert(*document);
            let mut delta = Delta::live(self.log(document).map_or(0, Log::end));
            delta.asked = Some(version.clone());
            subscription.deltas.insert(*document, delta);
        }
        let Some(session) = self.sessions.get_mut(&connection).filter(|session| !session.subscriptions.contains_key(&space))
        else {
            return;
        };
        let Some(held) = self.spaces.get_mut(&space) else { return };
        held.sessions.insert(connection);
        let none = BTreeSet::new();
        let comparison = Comparison { space: &held.space, except: &subscription.eager, wanted: &none, bytes_max };
        let ranges = if known.is_some() { comparison.opening() } else { comparison.wide_opening() };
        subscription.opening = Some(held.space.state());
        subscription.begins_at = (session.left > 0).then_some(BEGINS | session.left);
        let begins_at = subscription.begins_at;
        session.subscriptions.insert(space, subscription);
        self.begin_sync(connection, space);
        if let Some(token) = begins_at {
            self.send(connection, &Message::Ping { token });
        }
        self.send(connection, &Message::Subscribe { space, eager, known, ranges });
        if let Some(state) = &known {
            let pushed = self.push_since(connection, space, state);
            if let Some(subscription) = self.sessions.get_mut(&connection).and_then(|s| s.subscriptions.get_mut(&space)) {
                subscription.pushed = pushed;
            }
        }
        self.push_undurable(connection, space);
        self.send_presences(connection, space);
        self.touch_progress(space);
    }

    /// Versions of open documents, as many as are cheap: telling them at once saves a round trip for what people look at.
    fn eager_versions(&self, space: &SpaceId) -> Vec<(DocumentId, Version)> {
        let mut budget = EAGER_VERSION_BYTES;
        let mut eager = Vec::new();
        for document in self.documents.open_in(space) {
            // Of one that was opened by a link nothing may be held yet.
            let version = self.log(&document).map(|log| log.durable().clone()).unwrap_or_default();
            let bytes = version.encoded_len();
            if bytes <= budget && !self.cuts.is_beginning(&document) {
                budget -= bytes;
                eager.push((document, version));
            }
        }
        eager
    }

    pub(super) fn is_subscribed(&self, connection: ConnectionId, space: &SpaceId) -> bool {
        self.sessions.get(&connection).is_some_and(|session| session.subscriptions.contains_key(space))
    }

    /// Acts on a message about a space or a document.
    pub(super) fn on_exchange(&mut self, connection: ConnectionId, message: Message) {
        let space = match &message {
            Message::Ranges { space, .. }
            | Message::Sent { space }
            | Message::Coming { space, .. }
            | Message::Have { space, .. }
            | Message::Entries { space, .. }
            | Message::Compact { space, .. }
            | Message::Snapshot { space, .. } => Some(*space),
            _ => None,
        };
        if self.is_of_before(connection, &message) || space.is_some_and(|space| self.is_not_subscribed(connection, space)) {
            return;
        }
        match message {
            Message::Subscribe { space, eager, known, ranges } => self.on_subscribe(connection, space, eager, known, &ranges),
            Message::Sent { space } => self.on_sent(connection, space),
            Message::Coming { space, documents, bytes } => self.on_coming(connection, space, documents, bytes),
            Message::Unsubscribe { space } => self.on_unsubscribe(connection, space),
            Message::Ranges { space, ranges } => self.on_ranges(connection, space, &ranges),
            Message::Have { space, document, version, answer } => self.on_have(connection, space, document, version, answer),
            Message::Same { document, digest } => self.on_same(connection, document, digest),
            Message::Entries { space, document, payloads } => self.on_entries(connection, space, document, payloads),
            Message::Snapshot { space, document, size, offset, bytes } => {
                self.on_snapshot_part(connection, space, document, (size, offset), &bytes);
            }
            Message::Compact { space, document } => self.on_compact(connection, space, document),
            Message::Strands { items } => self.on_strands(connection, &items),
            Message::Ack { document, held } => self.on_ack(connection, document, held),
            Message::Roll { space, asks, state, attested, statements } => {
                self.on_roll(connection, space, asks, (state, attested), &statements);
            }
            Message::Attestations { space, attestations } => self.on_attestations(connection, space, &attestations),
            Message::Stamp { space, asks, bits, nonce } => self.on_stamp(connection, space, asks, bits, &nonce),
            _ => debug_assert!(false, "the other messages are handled where frames arrive"),
        }
    }

    /// Whether a peer says it of a subscription before the one that there is: then it says nothing of what was asked since. What it brings, and
    /// what it has durably, is true all the same.
    fn is_of_before(&self, connection: ConnectionId, message: &Message) -> bool {
        let space = match message {
            Message::Ranges { space, .. }
            | Message::Sent { space }
            | Message::Coming { space, .. }
            | Message::Have { space, .. }
            | Message::Unsubscribe { space } => Some(*space),
            Message::Same { document, .. } => self.locations.get(document).copied(),
            _ => None,
        };
        let session = self.sessions.get(&connection);
        let subscription = session.zip(space).and_then(|(session, space)| session.subscriptions.get(&space));
        subscription.is_some_and(|subscription| subscription.begins_at.is_some())
    }

    /// The peer has heard all that came before a ping of ours, and has said all it had to say to it.
    pub(super) fn on_pong(&mut self, connection: ConnectionId, token: u64) {
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        for subscription in session.subscriptions.values_mut().filter(|subscription| subscription.begins_at == Some(token)) {
            subscription.begins_at = None;
        }
    }

    /// Refuses what is about a space that is not synced on a connection.
    fn is_not_subscribed(&mut self, connection: ConnectionId, space: SpaceId) -> bool {
        let not = !self.is_subscribed(connection, &space);
        if not {
            let text = format!("space {space} is not synced on this connection: subscribe to it first");
            self.send(connection, &Message::Error { code: ErrorCode::NotSubscribed, document: None, text });
        }
        not
    }

    fn on_subscribe(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        eager: Vec<(DocumentId, Version)>,
        known: Option<Fingerprint>,
        ranges: &[Range],
    ) {
        let is_open = self.spaces.get(&space).is_some_and(|held| held.open);
        let newly = !self.spaces.contains_key(&space);
        if !is_open && !self.is_relay() {
            let text = format!("space {space} is not open here");
            self.send(connection, &Message::Error { code: ErrorCode::NotSubscribed, document: None, text });
            return self.send(connection, &Message::Unsubscribe { space });
        }
        if !self.is_space_taken(connection, space) || self.is_shut_out(connection, space) {
            return;
        }
        let Some(session) = self.sessions.get_mut(&connection) else { return };
        if session.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            let text = format!("a connection may sync at most {SUBSCRIPTIONS_MAX} spaces");
            return self.send(connection, &Message::Error { code: ErrorCode::LimitReached, document: None, text });
        }
        let subscription = session.subscriptions.entry(space).or_default();
        subscription.eager = eager.iter().map(|(document, _)| *document).collect();
        subscription.comparing = true;
        self.open_space(space).sessions.insert(connection);
        self.begin_sync(connection, space);
        for (document, version) in eager {
            self.on_have(connection, space, document, version, false);
        }
        // What differs is found from the state where that is possible, unless nothing does.
        if self.is_equal(connection, space, ranges) || !known.is_some_and(|known| self.answer_known(connection, space, &known)) {
            self.on_ranges(connection, space, ranges);
        }
        self.push_undurable(connection, space);
        self.send_presences(connection, space);
        self.ask_for_snapshots(connection, space);
        if newly {
            self.ask_relays_for(space);
        }
    }

    /// Subscribes a space that someone has just opened here at the relays that this one was told to dial. Only at those: whoever calls here
    /// could say that it is a relay, and would learn of every space.
    fn ask_relays_for(&mut self, space: SpaceId) {
        let dialled =
            self.sessions.iter().filter(|(_, session)| session.endpoint.is_some() && session.handshake.theirs().is_some());
        let dialled: Vec<ConnectionId> = dialled.map(|(connection, _)| *connection).collect();
        for connection in dialled {
            self.subscribe(connection, space);
        }
    }

    /// Whether a peer's first fingerprint is one's own.
    fn is_equal(&self, connection: ConnectionId, space: SpaceId, ranges: &[Range]) -> bool {
        let none = BTreeSet::new();
        let subscription = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(&space));
        let both = self.spaces.get(&space).zip(subscription);
        both.is_some_and(|(held, subscription)| {
            let except = &subscription.eager;
            Comparison { space: &held.space, except, wanted: &none, bytes_max: usize::MAX }.opening() == ranges
        })
    }

    fn on_unsubscribe(&mut self, connection: ConnectionId, space: SpaceId) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.subscriptions.remove(&space);
        }
        if let Some(held) = self.spaces.get_mut(&space) {
            held.sessions.remove(&connection);
        }
        self.touch_progress(space);
    }

    fn on_ranges(&mut self, connection: ConnectionId, space: SpaceId, ranges: &[Range]) {
        self.touch_progress(space);
        let peer = self.peer_of(connection);
        self.count_unconfirmed(space, peer);
        let wanted = self.saved.unconfirmed(space, peer);
        let bytes_max = self.frame_bytes_max(connection);
        let Some(held) = self.spaces.get(&space) else { return };
        let Some(subscription) = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space))
        else {
            return;
        };
        let opening = subscription.opening.take();
        if ranges.is_empty() {
            subscription.comparing = false;
            if let Some(opening) = opening {
                self.on_equal(connection, space, &opening);
            }
            return self.confirm_open(space);
        }
        let comparison = Comparison { space: &held.space, except: &subscription.eager, wanted, bytes_max };
        let step = comparison.step(ranges);
        subscription.comparing = !step.reply.is_empty();
        // Of what only this side holds the peer knows nothing: it is not in sync before that has come.
        subscription.owed.documents.extend(step.lacking.iter().copied());
        subscription.owed.compared = step.reply.is_empty();
        self.pushes.lacking.insert((connection, space));
        for document in step.equal {
            let clock = self.log(&document).map(|log| log.durable().clock.clone());
            self.on_receipt(connection, document, &clock.unwrap_or_default(), Receipt::All);
        }
        for document in step.differing {
            self.expect(space, document);
            self.ask(connection, space, document);
        }
        self.announce(connection, space, step.lacking.iter().map(|document| (*document, 0)));
        for document in step.lacking {
            self.with_delta(connection, space, document, |delta, log| delta.on_have(log, Default::default()));
            self.push_soon(connection, space, document);
        }
        if step.reply.is_empty() {
            self.confirm_open(space);
        } else {
            self.send(connection, &Message::Ranges { space, ranges: step.reply });
        }
    }

    /// Learns that a relay durably holds what was durable here when a comparison began: it had nothing to answer to that. Of documents that have
    /// moved since, that says nothing any more. Others than relays compare on their own account as well, and may have answered something else.
    fn on_equal(&mut self, connection: ConnectionId, space: SpaceId, opening: &Fingerprint) {
        let Some(peer) = self.sessions.get(&connection).and_then(|session| session.peer.clone()).filter(|peer| peer.relay) else {
            return;
        };
        let Some(held) = self.spaces.get(&space) else { return };
        let eager = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(&space)).map(|s| &s.eager);
        let Some((moved, eager)) = held.space.since(opening).zip(eager) else { return };
        let is_equal =
            |document: &&DocumentId| !moved.contains_key(*document) && !eager.contains(*document) && held.space.holds(document);
        let equal: Vec<DocumentId> = self.saved.unconfirmed(space, Some(peer.id)).iter().filter(is_equal).copied().collect();
        for document in equal {
            let clock = self.log(&document).map(|log| log.durable().clock.clone());
            self.on_receipt(connection, document, &clock.unwrap_or_default(), Receipt::All);
        }
    }

    /// Asks for their word on open documents the peers that have not confirmed them: the comparison of a space tells only one
    /// of the two what they agree on.
    pub(super) fn confirm_open(&mut self, space: SpaceId) {
        for document in self.documents.open_in(&space) {
            self.confirm_everywhere(space, document);
        }
    }

    /// Asks every peer that has compared the space, and not confirmed the document, for its word on it; but where it is
    /// being exchanged, that will bring it.
    pub(super) fn confirm_everywhere(&mut self, space: SpaceId, document: DocumentId) {
        for connection in self.unconfirmed_by(&space, &document) {
            let subscription = self.sessions.get(&connection).and_then(|session| session.subscriptions.get(&space));
            if subscription.is_some_and(|subscription| !subscription.deltas.contains_key(&document)) {
                self.ask(connection, space, document);
            }
        }
    }

    /// Tells a peer how far a document is held here, unless an answer to that is awaited already.
    pub(super) fn ask(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) {
        if self.cuts.puts_off(&document, connection, false) {
            return;
        }
        let version = self.log(&document).map(|log| log.durable().clone()).unwrap_or_default();
        let version = self.doubts.told(&document, version);
        let mut waiting = false;
        self.with_delta(connection, space, document, |delta, _| {
            waiting = delta.asked.is_some();
            delta.asked.get_or_insert_with(|| version.clone());
        });
        if !waiting && self.is_subscribed(connection, &space) {
            self.send(connection, &Message::Have { space, document, version, answer: false });
        }
    }

    /// Asks every peer that syncs its space for a document.
    pub(super) fn ask_everyone(&mut self, space: SpaceId, document: DocumentId) {
        let connections: Vec<ConnectionId> =
            self.spaces.get(&space).map_or_else(Vec::new, |held| held.sessions.iter().copied().collect());
        for connection in connections {
            self.ask(connection, space, document);
        }
    }

    fn on_have(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId, version: Version, answer: bool) {
        if self.is_elsewhere(connection, space, document) {
            return;
        }
        self.touch_progress(space);
        let durable = self.log(&document).map(|log| log.durable().clone()).unwrap_or_default();
        if durable.clock == version.clock && durable.heads != version.heads {
            let text = format!(
                "document {document} has the same clock and different heads here and there: two replicas have written as one actor"
            );
            self.trouble(TroubleKind::Forked, Some(document), Some(connection), text.clone());
            self.send(connection, &Message::Error { code: ErrorCode::Forked, document: Some(document), text });
        }
        self.on_receipt(connection, document, &version.clock, Receipt::All);
        self.owe_undurable(connection, document, &version.clock);
        if self.log(&document).map_or(!version.is_empty(), |log| !version.clock.is_within(&log.version().clock)) {
            self.expect(space, document);
        }
        let same = durable == version;
        // It may not have taken a word for what it lacks, since it did not know the writer yet.
        self.forget_attestations_told(connection, space, document, same);
        self.with_delta(connection, space, document, |delta, log| {
            delta.on_have(log, version.clock);
            if answer {
                delta.asked = None;
            }
        });
        match (answer, same) {
            (true, _) => {}
            _ if self.cuts.puts_off(&document, connection, true) => {}
            (false, true) => self.send(connection, &Message::Same { document, digest: durable.digest(&document) }),
            (false, false) => self.send(connection, &Message::Have { space, document, version: durable, answer: true }),
        }
        self.push_soon(connection, space, document);
    }

    /// Has a peer told once it is durable here what it holds of a document and this replica only has in memory: what it is answered now leaves
    /// that out, and it may know by then that it need not be sent.
    fn owe_undurable(&mut self, connection: ConnectionId, document: DocumentId, theirs: &VectorClock) {
        let Some(log) = self.log(&document).filter(|log| log.undurable() > 0) else { return };
        let (held, durable) = (&log.version().clock, &log.durable().clock);
        let both = theirs.iter().map(|(actor, seq)| (*actor, seq.min(held.get(actor))));
        let owed: Vec<(ActorId, u64)> = both.filter(|(actor, seq)| *seq > durable.get(actor)).collect();
        for (actor, seq) in owed {
            self.logs.owe_once_durable(connection, document, actor, seq);
        }
    }

    fn on_same(&mut self, connection: ConnectionId, document: DocumentId, digest: Digest) {
        // A document of which neither side holds anything is in no place yet but the exchange.
        let Some(session) = self.sessions.get(&connection) else { return };
        let exchanged = session.subscriptions.iter().find(|(_, subscription)| subscription.deltas.contains_key(&document));
        let Some(space) = exchanged.map(|(space, _)| *space) else { return };
        let mut asked = None;
        self.with_delta(connection, space, document, |delta, log| {
            // An answer to what was asked before the space was closed and opened again speaks of another version.
            asked = delta.asked.take_if(|version| version.digest(&document) == digest);
            if let Some(version) = &asked {
                delta.on_have(log, version.clock.clone());
            }
        });
        if let Some(version) = asked {
            self.on_receipt(connection, document, &version.clock, Receipt::All);
            self.push_soon(connection, space, document);
        }
        self.touch_progress(space);
    }

    fn on_entries(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId, payloads: Vec<Arc<[u8]>>) {
        if !self.listens_to(connection, space, document) {
            return;
        }
        self.count_arrival(connection, space, document, payloads.iter().map(|payload| payload.len()).sum());
        for payload in payloads {
            if payload.len() > self.config.limits.entry_bytes_max {
                let text =
                    format!("a change of {} bytes is over the limit of {}", payload.len(), self.config.limits.entry_bytes_max);
                return self.refuse(connection, Refusal { code: ErrorCode::TooLarge, text });
            }
            match self.read_entry(&space, document, payload) {
                Ok(entry) if self.rests_on_broken(connection, space, &entry) => {}
                Ok(entry) if !self.is_permitted(connection, space, &entry) => return,
                Ok(entry) => self.receive_entry(space, Arc::new(entry), connection),
                Err(Unfit::Broken(actor, seq, why)) => self.on_broken(connection, space, document, (actor, seq), &why),
                Err(Unfit::Kind(text)) => return self.tell_refused(connection, space, document, ErrorCode::WrongSeal, text),
                Err(Unfit::Invalid(text)) => return self.refuse(connection, Refusal { code: ErrorCode::BadEntry, text }),
            }
        }
        self.touch_progress(space);
    }

    /// Takes in entries that were checked already.
    pub(super) fn receive_entries(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: DocumentId,
        entries: Vec<Entry>,
    ) {
        if self.is_not_subscribed(connection, space) || !self.listens_to(connection, space, document) {
            return;
        }
        if is_sealed(&space) {
            let text = format!("a change of document {document} is not sealed, as all are in space {space}");
            return self.tell_refused(connection, space, document, ErrorCode::WrongSeal, text);
        }
        self.count_arrival(connection, space, document, entries.iter().map(|entry| entry.payload.len()).sum());
        for entry in entries {
            if !self.is_permitted(connection, space, &entry) {
                return;
            }
            self.receive_entry(space, Arc::new(entry), connection);
        }
        self.touch_progress(space);
    }

    /// Whether entries of a document are taken from a peer.
    fn listens_to(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) -> bool {
        !self.is_elsewhere(connection, space, document) && self.delta_strikes(connection, &space, &document) < STRIKES_MAX
    }

    fn on_ack(&mut self, connection: ConnectionId, document: DocumentId, held: Vec<(ActorId, u64)>) {
        let clock: VectorClock = held.into_iter().collect();
        self.on_receipt(connection, document, &clock, Receipt::More);
        self.on_hint(connection, document, &clock);
        // It may say so of what it was not sent, so that it is not.
        if let Some(space) = self.locations.get(&document).copied() {
            self.with_delta(connection, space, document, |delta, log| delta.on_acknowledged(log, &clock));
            self.on_may_hold(connection, document);
        }
    }

    /// Refuses what is about a document that is held in another space.
    pub(super) fn is_elsewhere(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) -> bool {
        let elsewhere = self.locations.get(&document).is_some_and(|held| *held != space);
        if elsewhere {
            let text = format!("document {document} belongs to another space here");
            self.send(connection, &Message::Error { code: ErrorCode::WrongSpace, document: Some(document), text });
        }
        elsewhere
    }

    /// Notes that a peer holds an entry, since it sent it. What is new here fits; in an owned space, what came once more says nothing of that.
    pub(super) fn on_sent_by(&mut self, connection: ConnectionId, entry: &Entry, is_new: bool) {
        let Some(space) = self.locations.get(&entry.document).copied() else { return };
        self.with_delta(connection, space, entry.document, |delta, _| {
            delta.on_received(entry.actor, entry.seq);
            if is_new || !is_owned(&space) {
                delta.strikes = 0;
            }
        });
        self.on_may_hold(connection, entry.document);
    }

    /// Changes the exchange of a document with a peer, which begins with this if there was none.
    pub(super) fn with_delta(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: DocumentId,
        change: impl FnOnce(&mut Delta, &Log),
    ) {
        let empty = Log::new(document, space);
        let log = self.spaces.get(&space).and_then(|held| held.space.log(&document)).unwrap_or(&empty);
        let Some(subscription) = self.sessions.get_mut(&connection).and_then(|session| session.subscriptions.get_mut(&space))
        else {
            return;
        };
        let start = self.pushes.moved.get(&document).map_or(log.end(), |first| (first - 1).min(log.end()));
        change(subscription.deltas.entry(document).or_insert_with(|| Delta::live(start)), log);
    }
}
