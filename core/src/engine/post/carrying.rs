//! Letters at a relay: kept until their recipient comes by, handed over, passed on to other relays, let go of.
//!
//! A letter is kept by every relay that it reaches, each of which passes it on to the relays that it knows as its own: those it was told to
//! dial, and those it was told of by key. A letter that is held already, or of which it is known that its recipient has it, goes no further,
//! nor does one that so many relays have passed on. The recipient signs for each; its word travels the same way, and each relay
//! that holds it lets go of the letter. What comes twice all the same the recipient knows by its id.

use super::letters::{Letters, Outgoing, StoredLetter};
use crate::base::id::{ConnectionId, LetterId, PeerId};
use crate::base::limits::{
    LETTER_EVERY_MS, LETTER_HOPS_MAX, LETTER_SECONDS_MAX, LETTER_SKEW_SECONDS, LETTERS_BURST, LETTERS_TAKEN_MAX,
    LETTERS_UNDER_WAY_MAX,
};
use crate::engine::effect::{Audit, Event, TroubleKind};
use crate::engine::logs::Work;
use crate::engine::timers::Timer;
use crate::engine::{Engine, Phase};
use crate::policy::letterbox::{Full, KeptLetter, Letterbox, Remembered};
use crate::policy::rate::{Rate, Rates};
use crate::store::task::{StoreError, StoreTask};
use crate::sync::hello::Refusal;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::letter::{Letter, is_taken_by};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The first version of the protocol that has letters.
const VERSION_WITH_LETTERS: u64 = 4;
/// Longest sleep while a letter is going to end, in milliseconds: the wall clock, by which letters end, may jump.
const END_LOOK_MS: u64 = 30_000;
/// What is named where it is asked whether more letters wait, and where none do.
const NO_LETTER: LetterId = LetterId([0; 32]);
/// How soon a letter that was refused for want of room is sent again, in milliseconds.
const AGAIN_MS: u64 = 30_000;

/// A recipient's word that it has a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct TakenWord {
    pub(in crate::engine) recipient: PeerId,
    pub(in crate::engine) signature: [u8; 64],
}

/// All letters, of others and of this replica.
#[derive(Debug)]
pub(in crate::engine) struct Post {
    /// What is kept for others.
    pub(in crate::engine) kept: Letterbox,
    /// Letters that their recipients have.
    pub(in crate::engine) taken: Remembered<TakenWord>,
    /// Letters on their way to peers.
    pub(in crate::engine) lines: BTreeMap<ConnectionId, Line>,
    /// Who is told once a letter is durable.
    pub(in crate::engine) waiting: BTreeMap<LetterId, BTreeSet<ConnectionId>>,
    /// What this replica was written and writes.
    pub(in crate::engine) letters: Letters,
    rates: Rates,
}

impl Default for Post {
    fn default() -> Self {
        Self {
            kept: Letterbox::default(),
            taken: Remembered::new(LETTERS_TAKEN_MAX),
            lines: BTreeMap::new(),
            waiting: BTreeMap::new(),
            letters: Letters::default(),
            rates: Rates::new(Rate { burst: LETTERS_BURST, amount: 1, in_ms: LETTER_EVERY_MS }),
        }
    }
}

/// Letters on their way to one peer.
#[derive(Debug, Default)]
pub(in crate::engine) struct Line {
    /// Those that are still to be sent.
    queue: VecDeque<LetterId>,
    /// Those that were sent on this connection, or came over it.
    seen: BTreeSet<LetterId>,
    /// Those that it has not answered yet.
    under_way: BTreeSet<LetterId>,
    /// Whether it wants to be told when no more wait for it.
    asked: bool,
}

impl Line {
    fn queue(&mut self, letter: LetterId) {
        if !self.seen.contains(&letter) {
            self.queue.push_back(letter);
        }
    }
}

impl Engine {
    pub(in crate::engine) fn speaks_letters(&self, connection: ConnectionId) -> bool {
        let version = self.sessions.get(&connection).and_then(|session| session.handshake.version());
        version.is_some_and(|version| version >= VERSION_WITH_LETTERS)
    }

    /// Whether the other end of a connection is a relay that letters are passed on to. Whoever calls could say that it is a relay, and would
    /// learn for whom letters wait: so only one that was named counts, by address or by key.
    pub(in crate::engine) fn is_neighbour(&self, connection: ConnectionId) -> bool {
        let Some(session) = self.sessions.get(&connection).filter(|_| self.is_relay()) else { return false };
        let named = |peer: &PeerId| session.endpoint.is_some() || self.config.relay_peers.contains(peer);
        session.peer.as_ref().is_some_and(|peer| peer.relay && named(&peer.id))
    }

    /// Begins to hand letters over to a peer that has proved who it is.
    pub(in crate::engine) fn begin_post(&mut self, connection: ConnectionId) {
        let Some(peer) = self.sessions.get(&connection).and_then(|session| session.peer.clone()) else { return };
        if !self.speaks_letters(connection) {
            return;
        }
        let mut line = Line::default();
        line.queue.extend(self.post.kept.of(&peer.id));
        if self.is_neighbour(connection) {
            let others = self.post.kept.durable().filter(|(_, kept)| kept.recipient != peer.id && kept.hops < LETTER_HOPS_MAX);
            line.queue.extend(others.map(|(id, _)| *id));
        }
        line.queue.extend(self.outgoing_for(connection));
        self.post.lines.insert(connection, line);
        self.hand_letters_over(connection);
        if self.post.letters.wants_all {
            self.ask_whether_all(connection);
        }
    }

    /// Asks a relay that was dialled to say when no more letters wait there.
    pub(in crate::engine) fn ask_whether_all(&mut self, connection: ConnectionId) {
        let relay = self.sessions.get(&connection).and_then(|session| session.peer.as_ref()).is_some_and(|peer| peer.relay);
        if relay && self.is_dialled(connection) && !self.is_relay() {
            self.send(connection, &Message::Kept { letter: NO_LETTER, refused: None, text: String::new() });
        }
    }

    /// Sends what is next to be sent, as long as not too much waits for an answer.
    pub(in crate::engine) fn hand_letters_over(&mut self, connection: ConnectionId) {
        let is_neighbour = self.is_neighbour(connection);
        let Some(peer) = self.peer_of(connection) else { return };
        while let Some(line) = self.post.lines.get_mut(&connection) {
            if line.under_way.len() >= LETTERS_UNDER_WAY_MAX {
                return;
            }
            let Some(id) = line.queue.pop_front() else {
                if std::mem::take(&mut line.asked) {
                    self.send(connection, &Message::Kept { letter: NO_LETTER, refused: None, text: String::new() });
                }
                return;
            };
            let kept = self.post.kept.get(&id).map(|kept| {
                let hops = if is_neighbour && kept.recipient != peer { kept.hops + 1 } else { kept.hops };
                (hops, kept.bytes.clone())
            });
            let own = || self.post.letters.outgoing(&id).map(|outgoing| (0, outgoing.bytes.clone()));
            let Some((hops, letter)) = kept.or_else(own) else { continue };
            if line.seen.insert(id) {
                line.under_way.insert(id);
                self.send(connection, &Message::Letter { hops, letter });
            }
        }
    }

    /// Notes that a peer has answered.
    pub(in crate::engine) fn on_line_answered(&mut self, connection: ConnectionId, letter: &LetterId) {
        if let Some(line) = self.post.lines.get_mut(&connection) {
            line.under_way.remove(letter);
        }
        self.hand_letters_over(connection);
    }

    pub(in crate::engine) fn on_post(&mut self, connection: ConnectionId, message: Message) {
        if !self.speaks_letters(connection) {
            let text = format!("letters are sent since version {VERSION_WITH_LETTERS} of the protocol");
            return self.refuse(connection, Refusal { code: ErrorCode::OutOfOrder, text });
        }
        match message {
            Message::Letter { hops, letter: bytes } => match Letter::decode(&bytes) {
                Ok(letter) if Some(letter.recipient) == self.peer_id() => self.receive_letter(connection, letter),
                Ok(letter) => self.keep_letter(connection, hops, &letter, bytes),
                Err(error) => self.refuse(connection, Refusal { code: ErrorCode::Malformed, text: error.to_string() }),
            },
            Message::Kept { letter: NO_LETTER, .. } if self.is_relay() => {
                if let Some(line) = self.post.lines.get_mut(&connection) {
                    line.asked = true;
                }
                self.hand_letters_over(connection);
            }
            Message::Kept { letter: NO_LETTER, .. } => self.on_told_all(connection),
            Message::Kept { letter, refused, text } => {
                self.on_kept(connection, letter, refused, text);
                self.on_line_answered(connection, &letter);
            }
            Message::Taken { recipient, letter, signature } => self.on_taken(connection, recipient, letter, signature),
            _ => debug_assert!(false, "the other messages are handled where frames arrive"),
        }
    }

    /// Answers whoever sent a letter that it is kept, or why it is not.
    pub(in crate::engine) fn answer_letter(
        &mut self,
        connection: ConnectionId,
        letter: LetterId,
        refused: Option<ErrorCode>,
        text: &str,
    ) {
        if let Some(code) = refused {
            self.count_refusal(code);
            let (reason, peer) = (code.word(), self.peer_of(connection));
            self.audit(Audit::Refused { connection, peer, reason, text: text.to_owned() });
        }
        self.send(connection, &Message::Kept { letter, refused, text: text.to_owned() });
    }

    fn keep_letter(&mut self, connection: ConnectionId, hops: u64, letter: &Letter, bytes: Arc<[u8]>) {
        let (id, Some(from)) = (letter.id(), self.peer_of(connection)) else { return };
        if let Some(line) = self.post.lines.get_mut(&connection) {
            line.seen.insert(id);
        }
        if let Some(TakenWord { recipient, signature }) = self.post.taken.get(&id).cloned() {
            return self.send(connection, &Message::Taken { recipient, letter: id, signature });
        }
        match self.post.kept.get(&id) {
            Some(kept) if kept.durable => return self.answer_letter(connection, id, None, ""),
            Some(_) => {
                self.post.waiting.entry(id).or_default().insert(connection);
                return;
            }
            None => {}
        }
        let counts = !self.is_neighbour(connection);
        if let Some((code, text)) = self.why_not_kept(letter, from, counts) {
            return self.answer_letter(connection, id, Some(code), &text);
        }
        let kept = KeptLetter { recipient: letter.recipient, expires: letter.expires, from, counts, hops, bytes, durable: false };
        let (key, value) = StoredLetter::write(&id, &kept);
        if let Err(full) = self.post.kept.put(id, kept) {
            let (code, text) = match full {
                Full::Recipient => (ErrorCode::BoxFull, "as many letters wait for this recipient as may"),
                Full::Sender => (ErrorCode::QuotaReached, "as many letters of yours wait here as may"),
                Full::All => (ErrorCode::LimitReached, "this relay keeps as many letters as it may"),
            };
            return self.answer_letter(connection, id, Some(code), &format!("{text}: send it again later"));
        }
        self.post.waiting.entry(id).or_default().insert(connection);
        self.store(Work::Letter { letter: id }, StoreTask::PutMeta { key, value });
        self.plan_letter_end();
    }

    /// Why a letter may not be kept, whatever room there is.
    fn why_not_kept(&mut self, letter: &Letter, from: PeerId, counts: bool) -> Option<(ErrorCode, String)> {
        let now = self.unix_s();
        if !self.is_relay() {
            return Some((ErrorCode::BadLetter, "this replica is no relay, and the letter is not for it".to_owned()));
        }
        if letter.expires <= now {
            return Some((ErrorCode::BadLetter, "the letter has expired".to_owned()));
        }
        if letter.expires > now + LETTER_SECONDS_MAX + LETTER_SKEW_SECONDS {
            let days = LETTER_SECONDS_MAX / 86_400;
            return Some((ErrorCode::BadLetter, format!("a letter is kept for at most {days} days: let it expire sooner")));
        }
        if counts && let Err(wait_ms) = self.post.rates.take(self.now.monotonic_ms, from, 1) {
            let text = format!("you send more letters than one key may: again in {} s", wait_ms.div_ceil(1_000));
            return Some((ErrorCode::TooFast, text));
        }
        None
    }

    /// Tells those who sent a letter that it is durable here, and hands it over and on.
    pub(in crate::engine) fn on_letter_stored(&mut self, id: LetterId, result: Result<(), StoreError>) {
        let waiting = self.post.waiting.remove(&id).unwrap_or_default();
        if let Err(error) = result {
            self.post.kept.remove(&id);
            for connection in waiting {
                let text = format!("the letter could not be stored here: send it again later ({})", error.message);
                self.answer_letter(connection, id, Some(ErrorCode::StoreUnavailable), &text);
            }
            return;
        }
        self.post.kept.on_durable(&id);
        self.stats.letters_kept += 1;
        for connection in waiting {
            self.answer_letter(connection, id, None, "");
        }
        let Some((recipient, hops)) = self.post.kept.get(&id).map(|kept| (kept.recipient, kept.hops)) else { return };
        let here: Vec<ConnectionId> = self.post.lines.keys().copied().filter(|at| self.peer_of(*at) == Some(recipient)).collect();
        // Who is here will have it in a moment.
        let to = match here.is_empty() {
            true if hops < LETTER_HOPS_MAX => self.neighbours(),
            _ => here,
        };
        self.queue_letter(id, &to);
    }

    /// Relays that letters are passed on to.
    fn neighbours(&self) -> Vec<ConnectionId> {
        self.post.lines.keys().copied().filter(|connection| self.is_neighbour(*connection)).collect()
    }

    pub(in crate::engine) fn queue_letter(&mut self, id: LetterId, to: &[ConnectionId]) {
        for connection in to {
            if let Some(line) = self.post.lines.get_mut(connection) {
                line.queue(id);
            }
            self.hand_letters_over(*connection);
        }
    }

    fn on_taken(&mut self, connection: ConnectionId, recipient: PeerId, id: LetterId, signature: [u8; 64]) {
        let is_known = self.post.kept.get(&id).is_some_and(|kept| kept.recipient == recipient)
            || self.post.letters.outgoing(&id).is_some_and(|outgoing| outgoing.recipient == recipient);
        if is_known {
            if !is_taken_by(&recipient, &id, &signature) {
                let text = "the word that a letter was taken is not its recipient's".to_owned();
                return self.refuse(connection, Refusal { code: ErrorCode::BadProof, text });
            }
            self.let_go_of_taken(connection, TakenWord { recipient, signature }, id);
        }
        self.on_line_answered(connection, &id);
    }

    fn let_go_of_taken(&mut self, source: ConnectionId, word: TakenWord, id: LetterId) {
        self.on_delivered(source, id, true);
        let Some(kept) = self.post.kept.remove(&id) else { return };
        self.stats.letters_taken += 1;
        self.store(Work::Meta, StoreTask::PutMeta { key: StoredLetter::name(&kept.recipient, &id), value: Vec::new() });
        let TakenWord { recipient, signature } = word;
        self.remember_taken(id, kept.expires, word);
        for connection in self.neighbours().into_iter().filter(|connection| *connection != source) {
            self.send(connection, &Message::Taken { recipient, letter: id, signature });
        }
    }

    /// Remembers until a letter ends that its recipient has it, also through a restart.
    pub(in crate::engine) fn remember_taken(&mut self, id: LetterId, expires: u64, word: TakenWord) {
        let (key, value) = StoredLetter::write_taken(&id, expires, &word);
        self.store(Work::Meta, StoreTask::PutMeta { key, value });
        if let Some(forgotten) = self.post.taken.insert(id, expires, word) {
            self.store(Work::Meta, StoreTask::PutMeta { key: StoredLetter::name_of_taken(&forgotten), value: Vec::new() });
        }
        self.plan_letter_end();
    }

    /// Sees to it that the end of the next letter is noticed.
    pub(in crate::engine) fn plan_letter_end(&mut self) {
        let post = &self.post;
        let ends = [post.kept.next_end(), post.taken.next_end(), post.letters.next_end()];
        let Some(first) = ends.into_iter().flatten().min() else { return };
        let left_ms = first.saturating_mul(1_000).saturating_sub(u64::try_from(self.now.unix_ms).unwrap_or(0));
        self.timers.set_no_later(Timer::Letters, self.now.monotonic_ms + left_ms.clamp(1, END_LOOK_MS));
    }

    /// Lets go of letters that have ended, and sends again what was refused for want of room.
    pub(in crate::engine) fn on_letters_due(&mut self) {
        let now = self.unix_s();
        while let Some(id) = self.post.kept.ended(now) {
            if let Some(kept) = self.post.kept.remove(&id) {
                self.stats.letters_ended += 1;
                self.store(Work::Meta, StoreTask::PutMeta { key: StoredLetter::name(&kept.recipient, &id), value: Vec::new() });
            }
        }
        while let Some(id) = self.post.taken.ended(now) {
            self.post.taken.remove(&id);
            self.store(Work::Meta, StoreTask::PutMeta { key: StoredLetter::name_of_taken(&id), value: Vec::new() });
        }
        for Outgoing { id, .. } in self.post.letters.end_outgoing(now) {
            self.store(Work::Meta, StoreTask::PutMeta { key: StoredLetter::name_of_outgoing(&id), value: Vec::new() });
            let reason = "it has expired before a relay could be reached that keeps it".to_owned();
            self.tell(Event::LetterRefused { letter: id, reason, tried_again: false });
        }
        self.send_refused_again();
        self.take_up_introductions();
        self.plan_letter_end();
    }

    /// Sends what a relay had no room for again, by and by.
    pub(in crate::engine) fn send_again_later(&mut self) {
        self.timers.set_no_later(Timer::Letters, self.now.monotonic_ms + AGAIN_MS);
    }

    /// Sends a letter again to a peer that refused it before.
    pub(in crate::engine) fn queue_letter_again(&mut self, id: LetterId, connection: ConnectionId) {
        if let Some(line) = self.post.lines.get_mut(&connection) {
            line.seen.remove(&id);
        }
        self.queue_letter(id, &[connection]);
    }

    /// A connection is gone. What its peer has not signed for is passed on.
    pub(in crate::engine) fn end_post(&mut self, connection: ConnectionId, peer: Option<PeerId>) {
        if self.post.lines.remove(&connection).is_none() {
            return;
        }
        self.post.letters.forget_refusals(connection);
        let is_elsewhere = |of: &&PeerId| self.post.lines.keys().any(|at| self.peer_of(*at).as_ref() == Some(*of));
        let Some(peer) = peer.as_ref().filter(|peer| self.is_relay() && !is_elsewhere(peer)) else { return };
        let left: Vec<LetterId> = self.post.kept.of(peer).collect();
        let to = self.neighbours();
        for id in left {
            if self.post.kept.get(&id).is_some_and(|kept| kept.hops < LETTER_HOPS_MAX) {
                self.queue_letter(id, &to);
            }
        }
    }

    /// Takes up letters that the store holds.
    pub(in crate::engine) fn load_post(&mut self, meta: &[(String, Vec<u8>)]) {
        let Phase::Running { identity, .. } = &self.phase else { return };
        let secret = identity.secret();
        self.post.letters.begin(&secret);
        let mut unread = 0;
        for (name, value) in meta.iter().filter(|(name, _)| StoredLetter::is_named_so(name)) {
            match StoredLetter::read(name, value) {
                Some(StoredLetter::Kept(id, kept)) => unread += usize::from(self.post.kept.put(id, kept).is_err()),
                Some(StoredLetter::Taken(id, expires, word)) => drop(self.post.taken.insert(id, expires, word)),
                Some(StoredLetter::Inbox(letter)) => unread += usize::from(!self.post.letters.load(&letter)),
                Some(StoredLetter::Outgoing(letter)) => self.post.letters.load_outgoing(&letter),
                None => unread += 1,
            }
        }
        // What was taken and is still there was let go of by a replica that ended in the middle of it.
        let mut taken: Vec<LetterId> = self.post.letters.received().map(|received| received.id).collect();
        taken.retain(|id| self.post.taken.get(id).is_some());
        for id in taken {
            self.post.letters.remove(&id);
            self.store(Work::Meta, StoreTask::PutMeta { key: StoredLetter::name_of_inbox(&id), value: Vec::new() });
        }
        if unread > 0 {
            let message = format!("{unread} stored letters are not sound, and are left out");
            self.trouble(TroubleKind::Damaged, None, None, message);
        }
        self.plan_letter_end();
    }
}
