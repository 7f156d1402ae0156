//! Letters of this replica's own: those it was written, until its app wants them no more, and those it writes, until a relay keeps them.

use super::carrying::TakenWord;
use crate::base::codec::{Reader, Writer};
use crate::base::id::{ConnectionId, LetterId, PeerId};
use crate::base::limits::{INBOX_LETTERS_MAX, LETTER_BYTES_MAX, LETTER_SECONDS_MAX};
use crate::base::time::Now;
use crate::engine::effect::{Event, TroubleKind};
use crate::engine::logs::Work;
use crate::engine::{Engine, Phase};
use crate::policy::letterbox::KeptLetter;
use crate::store::task::{StoreError, StoreTask};
use crate::sync::message::{ErrorCode, Message};
use crate::trust::introduction::INTRODUCTION;
use crate::trust::letter::{Letter, LetterError, sign_taken};
use crate::trust::sealed_box::Unsealer;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the names of letters begin with that are kept for others; the recipient and the letter follow, parted by a slash.
const KEPT_PREFIX: &str = "letter/";
/// What the names of the words of recipients begin with; the letter follows.
const TAKEN_PREFIX: &str = "taken/";
/// What the names of letters begin with that this replica was written; the letter follows.
const INBOX_PREFIX: &str = "inbox/";
/// What the names of letters begin with that are still to be sent; the letter follows.
const OUTBOX_PREFIX: &str = "outbox/";

/// A letter that this replica was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// By what it is known.
    pub id: LetterId,
    /// Who wrote it: the signature was checked.
    pub sender: PeerId,
    /// What it is, by agreement among apps, such as `invitation`.
    pub kind: String,
    /// The content.
    #[serde(serialize_with = "as_text")]
    pub content: Vec<u8>,
    /// When it ends for relays, in seconds of Unix time; here it stays until it is forgotten.
    pub expires: u64,
}

/// Bytes as text, what is no text in them replaced.
fn as_text<S: Serializer>(content: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(content))
}

/// Why a letter was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendLetterError {
    /// It cannot be written so.
    #[error(transparent)]
    Letter(#[from] LetterError),
    /// It would be over before it is sent, or last too long.
    #[error("a letter must expire after now and within {} days", LETTER_SECONDS_MAX / 86_400)]
    Expires,
    /// As many wait to be sent as may.
    #[error("{INBOX_LETTERS_MAX} letters wait to be sent: connect to a relay first")]
    Full,
    /// The store is not open.
    #[error("the replica is not at work")]
    NotRunning,
}

/// A letter that is still to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Outgoing {
    pub(in crate::engine) id: LetterId,
    pub(in crate::engine) recipient: PeerId,
    pub(in crate::engine) expires: u64,
    pub(in crate::engine) bytes: Arc<[u8]>,
    /// Whether it leaves: once a crash could no more take it.
    durable: bool,
    /// Who had no room for it.
    refused_by: BTreeSet<ConnectionId>,
}

/// What this replica was written and writes.
#[derive(Default)]
pub(in crate::engine) struct Letters {
    unsealer: Option<Unsealer>,
    received: BTreeMap<LetterId, Received>,
    /// Those that are on their way to the store, and who is told then.
    arriving: BTreeMap<LetterId, (Received, BTreeSet<ConnectionId>)>,
    outgoing: BTreeMap<LetterId, Outgoing>,
    /// Whether relays are asked to say when no more letters wait.
    pub(in crate::engine) wants_all: bool,
    /// Relays that have said that no more letters wait.
    told_all: BTreeSet<ConnectionId>,
}

impl std::fmt::Debug for Letters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret is nobody's.
        f.debug_struct("Letters").field("received", &self.received.len()).field("outgoing", &self.outgoing.len()).finish()
    }
}

impl Letters {
    pub(in crate::engine) fn begin(&mut self, secret: &[u8; 32]) {
        self.unsealer = Some(Unsealer::new(secret));
    }

    /// Takes up a stored letter; answers whether it opens.
    pub(in crate::engine) fn load(&mut self, letter: &Letter) -> bool {
        let Some(received) = self.open(letter) else { return false };
        self.received.insert(received.id, received);
        true
    }

    pub(in crate::engine) fn load_outgoing(&mut self, letter: &Letter) {
        let outgoing = Outgoing::new(letter, true);
        self.outgoing.insert(outgoing.id, outgoing);
    }

    fn open(&self, letter: &Letter) -> Option<Received> {
        let content = letter.open(self.unsealer.as_ref()?).ok()?;
        Some(Received {
            id: letter.id(),
            sender: content.sender,
            kind: content.kind,
            content: content.bytes,
            expires: letter.expires,
        })
    }

    pub(in crate::engine) fn received(&self) -> impl Iterator<Item = &Received> {
        self.received.values()
    }

    pub(in crate::engine) fn remove(&mut self, id: &LetterId) -> Option<Received> {
        self.received.remove(id)
    }

    /// One that is to be sent, and may leave.
    pub(in crate::engine) fn outgoing(&self, id: &LetterId) -> Option<&Outgoing> {
        self.outgoing.get(id).filter(|outgoing| outgoing.durable)
    }

    pub(in crate::engine) fn next_end(&self) -> Option<u64> {
        self.outgoing.values().map(|outgoing| outgoing.expires).min()
    }

    /// Takes away what can no more be sent.
    pub(in crate::engine) fn end_outgoing(&mut self, unix_s: u64) -> Vec<Outgoing> {
        let ended: Vec<LetterId> =
            self.outgoing.values().filter(|outgoing| outgoing.expires <= unix_s).map(|outgoing| outgoing.id).collect();
        ended.iter().filter_map(|id| self.outgoing.remove(id)).collect()
    }

    pub(in crate::engine) fn forget_refusals(&mut self, connection: ConnectionId) {
        self.told_all.remove(&connection);
        for outgoing in self.outgoing.values_mut() {
            outgoing.refused_by.remove(&connection);
        }
        for (_, waiting) in self.arriving.values_mut() {
            waiting.remove(&connection);
        }
    }
}

impl Outgoing {
    fn new(letter: &Letter, durable: bool) -> Self {
        let (id, bytes) = (letter.id(), letter.to_bytes().into());
        Self { id, recipient: letter.recipient, expires: letter.expires, bytes, durable, refused_by: BTreeSet::new() }
    }
}

impl Engine {
    /// Writes a letter to a key, sealed so that nobody else can read it, to be kept by the relays that this replica dials until the recipient
    /// comes by, or until `expires`, in seconds of Unix time. It is sent as soon as it is durable here and a relay is connected.
    /// [`Event::LetterSent`] tells when one keeps it.
    ///
    /// # Errors
    ///
    /// It is too large, the key is none, it would end too soon or too late, or too many wait.
    pub fn send_letter(
        &mut self,
        now: Now,
        recipient: PeerId,
        kind: &str,
        content: &[u8],
        expires: u64,
    ) -> Result<LetterId, SendLetterError> {
        let drawn = self.rng.bytes();
        self.send_drawn_letter(now, recipient, kind, content, expires, drawn)
    }

    /// The same with 32 random bytes that were drawn for this letter alone: asked for again, as by a page that has not heard whether the engine
    /// before this one has done it, it is the same letter, which its recipient is shown once.
    ///
    /// # Errors
    ///
    /// As those of [`Self::send_letter`].
    pub fn send_drawn_letter(
        &mut self,
        now: Now,
        recipient: PeerId,
        kind: &str,
        content: &[u8],
        expires: u64,
        drawn: [u8; 32],
    ) -> Result<LetterId, SendLetterError> {
        self.now = now;
        self.needs_flush = true;
        self.put_letter(recipient, kind, content, expires, drawn)
    }

    /// The same, in the middle of a call.
    pub(in crate::engine) fn write_letter(
        &mut self,
        recipient: PeerId,
        kind: &str,
        content: &[u8],
        expires: u64,
    ) -> Result<LetterId, SendLetterError> {
        let drawn = self.rng.bytes();
        self.put_letter(recipient, kind, content, expires, drawn)
    }

    fn put_letter(
        &mut self,
        recipient: PeerId,
        kind: &str,
        content: &[u8],
        expires: u64,
        drawn: [u8; 32],
    ) -> Result<LetterId, SendLetterError> {
        let unix_s = self.unix_s();
        if expires <= unix_s || expires > unix_s + LETTER_SECONDS_MAX {
            return Err(SendLetterError::Expires);
        }
        let Phase::Running { identity, .. } = &self.phase else { return Err(SendLetterError::NotRunning) };
        let letter = Letter::write(identity, recipient, expires, kind, content, drawn)?;
        let outgoing = Outgoing::new(&letter, false);
        let id = outgoing.id;
        if self.post.letters.outgoing.contains_key(&id) {
            return Ok(id);
        }
        if self.post.letters.outgoing.len() >= INBOX_LETTERS_MAX {
            return Err(SendLetterError::Full);
        }
        let (key, value) = (StoredLetter::name_of_outgoing(&id), outgoing.bytes.to_vec());
        self.post.letters.outgoing.insert(id, outgoing);
        self.store(Work::Outgoing { letter: id }, StoreTask::PutMeta { key, value });
        self.plan_letter_end();
        Ok(id)
    }

    /// The letters this replica was written and has not forgotten, in the order of their ids; not those that it takes up itself.
    pub fn letters(&self) -> Vec<Received> {
        self.post.letters.received.values().filter(|received| received.kind != INTRODUCTION).cloned().collect()
    }

    /// Letters that no relay keeps yet.
    pub fn unsent_letters(&self) -> Vec<LetterId> {
        self.post.letters.outgoing.keys().copied().collect()
    }

    /// Asks the relays that this replica dials, now and later, to say when they have handed over all letters that waited there.
    pub fn fetch_letters(&mut self, now: Now) {
        self.now = now;
        self.needs_flush = true;
        if !std::mem::replace(&mut self.post.letters.wants_all, true) {
            let connections: Vec<ConnectionId> = self.post.lines.keys().copied().collect();
            connections.into_iter().for_each(|connection| self.ask_whether_all(connection));
        }
    }

    /// How many connected relays have said, since [`Self::fetch_letters`], that they have handed over all letters that waited there,
    /// if all of these are durable here.
    pub fn emptied_letterboxes(&self) -> usize {
        if self.post.letters.arriving.is_empty() { self.post.letters.told_all.len() } else { 0 }
    }

    pub(in crate::engine) fn on_told_all(&mut self, connection: ConnectionId) {
        self.post.letters.told_all.insert(connection);
        let peer = self.peer_of(connection);
        self.tell(Event::LetterboxEmptied { peer });
    }

    /// Forgets a letter; answers whether it was there. Should a relay bring it again, it is not shown again.
    pub fn forget_letter(&mut self, now: Now, id: LetterId) -> bool {
        self.now = now;
        self.needs_flush = true;
        self.drop_letter(id)
    }

    /// The same, in the middle of a call.
    pub(in crate::engine) fn drop_letter(&mut self, id: LetterId) -> bool {
        let Some(received) = self.post.letters.remove(&id) else { return false };
        if let Some(word) = self.own_word(&id) {
            self.remember_taken(id, received.expires, word);
        }
        self.store(Work::Meta, StoreTask::PutMeta { key: StoredLetter::name_of_inbox(&id), value: Vec::new() });
        true
    }

    fn own_word(&self, id: &LetterId) -> Option<TakenWord> {
        let Phase::Running { identity, .. } = &self.phase else { return None };
        Some(TakenWord { recipient: identity.peer(), signature: sign_taken(identity, id) })
    }

    fn sign_for(&mut self, connection: ConnectionId, id: LetterId) {
        if let Some(TakenWord { recipient, signature }) = self.own_word(&id) {
            self.send(connection, &Message::Taken { recipient, letter: id, signature });
        }
    }

    pub(in crate::engine) fn receive_letter(&mut self, connection: ConnectionId, letter: Letter) {
        let id = letter.id();
        if self.post.letters.received.contains_key(&id) || self.post.taken.get(&id).is_some() {
            return self.sign_for(connection, id);
        }
        if let Some((_, waiting)) = self.post.letters.arriving.get_mut(&id) {
            waiting.insert(connection);
            return;
        }
        if letter.expires <= self.unix_s() {
            return self.answer_letter(connection, id, Some(ErrorCode::BadLetter), "the letter has expired");
        }
        if self.is_relay() {
            return self.answer_letter(connection, id, Some(ErrorCode::BadLetter), "a relay reads no letters: write to a person");
        }
        if self.post.letters.received.len() + self.post.letters.arriving.len() >= INBOX_LETTERS_MAX {
            let text = "the inbox is full: it takes more once letters in it were forgotten";
            self.trouble(TroubleKind::Refused, None, Some(connection), format!("a letter was left at the relay: {text}"));
            return self.answer_letter(connection, id, Some(ErrorCode::LimitReached), text);
        }
        match self.post.letters.open(&letter) {
            Some(received) => {
                self.post.letters.arriving.insert(id, (received, BTreeSet::from([connection])));
                let (key, value) = (StoredLetter::name_of_inbox(&id), letter.to_bytes());
                self.store(Work::Inbox { letter: id }, StoreTask::PutMeta { key, value });
            }
            None => {
                // Nobody will ever read it.
                let message = "a letter could not be opened or was not signed by its sender, and was thrown away".to_owned();
                self.trouble(TroubleKind::Refused, None, Some(connection), message);
                if let Some(word) = self.own_word(&id) {
                    self.remember_taken(id, letter.expires, word);
                }
                self.sign_for(connection, id);
            }
        }
    }

    /// Shows a letter that is durable, and signs for it.
    pub(in crate::engine) fn on_inbox_stored(&mut self, id: LetterId, result: Result<(), StoreError>) {
        let Some((received, waiting)) = self.post.letters.arriving.remove(&id) else { return };
        if let Err(error) = result {
            let text = format!("a letter could not be stored, and stays at the relay: {}", error.message);
            for connection in waiting {
                self.answer_letter(connection, id, Some(ErrorCode::StoreUnavailable), &text);
            }
            return self.trouble(TroubleKind::StoreWrite, None, None, text);
        }
        let Received { sender, kind, expires, .. } = received.clone();
        self.post.letters.received.insert(id, received);
        let is_introduction = kind == INTRODUCTION;
        if !is_introduction {
            self.tell(Event::LetterArrived { letter: id, sender, kind, expires });
        }
        for connection in waiting {
            self.sign_for(connection, id);
        }
        if is_introduction {
            self.take_up_introductions();
        }
    }

    /// Letters to be sent over a connection: to a relay that was dialled, or to the recipient.
    pub(in crate::engine) fn outgoing_for(&self, connection: ConnectionId) -> Vec<LetterId> {
        let letters = self.post.letters.outgoing.values().filter(|outgoing| outgoing.durable);
        letters.filter(|outgoing| self.is_way_of(outgoing, connection)).map(|outgoing| outgoing.id).collect()
    }

    fn is_way_of(&self, outgoing: &Outgoing, connection: ConnectionId) -> bool {
        let Some(session) = self.sessions.get(&connection) else { return false };
        let (is_dialled, peer) = (session.endpoint.is_some(), session.peer.as_ref());
        peer.is_some_and(|peer| (peer.relay && is_dialled) || peer.id == outgoing.recipient)
    }

    /// Sends a letter that is durable on its way.
    pub(in crate::engine) fn on_outgoing_stored(&mut self, id: LetterId, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.post.letters.outgoing.remove(&id);
            let reason = format!("it could not be stored on this device: {}", error.message);
            return self.tell(Event::LetterRefused { letter: id, reason, tried_again: false });
        }
        let Some(outgoing) = self.post.letters.outgoing.get_mut(&id) else { return };
        outgoing.durable = true;
        let outgoing = outgoing.clone();
        let ways: Vec<ConnectionId> = self.post.lines.keys().copied().filter(|at| self.is_way_of(&outgoing, *at)).collect();
        // One that was asked for again may have been sent on a connection before.
        ways.into_iter().for_each(|connection| self.queue_letter_again(id, connection));
    }

    pub(in crate::engine) fn on_kept(
        &mut self,
        connection: ConnectionId,
        id: LetterId,
        refused: Option<ErrorCode>,
        text: String,
    ) {
        let Some(outgoing) = self.post.letters.outgoing.get_mut(&id) else { return };
        match refused {
            None => self.on_delivered(connection, id, false),
            Some(ErrorCode::BadLetter) => {
                self.drop_outgoing(id);
                self.tell(Event::LetterRefused { letter: id, reason: text, tried_again: false });
            }
            Some(_) => {
                outgoing.refused_by.insert(connection);
                self.tell(Event::LetterRefused { letter: id, reason: text, tried_again: true });
                self.send_again_later();
            }
        }
    }

    /// A letter of this replica's is kept by a relay, or with its recipient.
    pub(in crate::engine) fn on_delivered(&mut self, connection: ConnectionId, id: LetterId, taken: bool) {
        if self.drop_outgoing(id) {
            let peer = self.peer_of(connection);
            self.tell(Event::LetterSent { letter: id, peer, taken });
        }
    }

    fn drop_outgoing(&mut self, id: LetterId) -> bool {
        let was_there = self.post.letters.outgoing.remove(&id).is_some();
        if was_there {
            self.store(Work::Meta, StoreTask::PutMeta { key: StoredLetter::name_of_outgoing(&id), value: Vec::new() });
        }
        was_there
    }

    pub(in crate::engine) fn send_refused_again(&mut self) {
        let refused: Vec<(LetterId, BTreeSet<ConnectionId>)> = self
            .post
            .letters
            .outgoing
            .values_mut()
            .map(|outgoing| (outgoing.id, std::mem::take(&mut outgoing.refused_by)))
            .filter(|(_, by)| !by.is_empty())
            .collect();
        for (id, by) in refused {
            by.into_iter().for_each(|connection| self.queue_letter_again(id, connection));
        }
    }
}

/// Letters as the store holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum StoredLetter {
    /// One that is kept for someone.
    Kept(LetterId, KeptLetter),
    /// A recipient's word that it has one, until it ends.
    Taken(LetterId, u64, TakenWord),
    /// One that this replica was written.
    Inbox(Letter),
    /// One that is still to be sent.
    Outgoing(Letter),
}

impl StoredLetter {
    /// Whether a named value is about letters.
    pub(in crate::engine) fn is_named_so(name: &str) -> bool {
        [KEPT_PREFIX, TAKEN_PREFIX, INBOX_PREFIX, OUTBOX_PREFIX].iter().any(|prefix| name.starts_with(prefix))
    }

    /// Reads a named value that is; nothing when it does not read.
    pub(in crate::engine) fn read(name: &str, value: &[u8]) -> Option<Self> {
        let mut r = Reader::new(value);
        if let Some(named) = name.strip_prefix(KEPT_PREFIX) {
            let (hops, from) = (r.uint().ok()?, PeerId(r.array().ok()?));
            let counts = r.u8().ok()? != 0;
            let bytes = r.bytes(LETTER_BYTES_MAX).ok()?;
            r.end().ok()?;
            let letter = Letter::decode(bytes).ok()?;
            let id = letter.id();
            let Letter { recipient, expires, .. } = letter;
            let kept = KeptLetter { recipient, expires, from, counts, hops, bytes: bytes.into(), durable: true };
            return Some(Self::Kept(id, kept)).filter(|_| named == format!("{recipient}/{id}"));
        }
        if let Some(named) = name.strip_prefix(TAKEN_PREFIX) {
            let expires = r.uint().ok()?;
            let word = TakenWord { recipient: PeerId(r.array().ok()?), signature: r.array().ok()? };
            r.end().ok()?;
            return Some(Self::Taken(named.parse().ok()?, expires, word));
        }
        let letter = Letter::decode(value).ok()?;
        Some(if name.starts_with(INBOX_PREFIX) { Self::Inbox(letter) } else { Self::Outgoing(letter) })
    }

    /// The name and the value of a letter that is kept.
    pub(in crate::engine) fn write(id: &LetterId, kept: &KeptLetter) -> (String, Vec<u8>) {
        let mut w = Writer::new();
        w.uint(kept.hops);
        w.put(&kept.from.0);
        w.u8(u8::from(kept.counts));
        w.bytes(&kept.bytes);
        (Self::name(&kept.recipient, id), w.finish())
    }

    /// The name and the value of a recipient's word.
    pub(in crate::engine) fn write_taken(id: &LetterId, expires: u64, word: &TakenWord) -> (String, Vec<u8>) {
        let mut w = Writer::new();
        w.uint(expires);
        w.put(&word.recipient.0);
        w.put(&word.signature);
        (Self::name_of_taken(id), w.finish())
    }

    pub(in crate::engine) fn name(recipient: &PeerId, id: &LetterId) -> String {
        format!("{KEPT_PREFIX}{recipient}/{id}")
    }

    pub(in crate::engine) fn name_of_taken(id: &LetterId) -> String {
        format!("{TAKEN_PREFIX}{id}")
    }

    pub(in crate::engine) fn name_of_inbox(id: &LetterId) -> String {
        format!("{INBOX_PREFIX}{id}")
    }

    pub(in crate::engine) fn name_of_outgoing(id: &LetterId) -> String {
        format!("{OUTBOX_PREFIX}{id}")
    }
}
