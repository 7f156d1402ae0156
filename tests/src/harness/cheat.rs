//! A relay that cheats: someone who sits between its engine and the network, and does with its frames what they like.
//!
//! The engine behind is an honest one, so that whatever comes of it is the cheat's doing. It drops, doubles, holds back, cuts off, alters and repeats
//! frames in either direction, gives to one what another said, and makes things up: changes by nobody, words and statements by a key of its own, and
//! lies about what it has saved. Its disk is put back to an older state now and then ([`super::fault`]).

use super::dice::Dice;
use super::world::World;
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, PeerId};
use driftline_core::doc::document::Document;
use driftline_core::doc::value::TextUnit;
use driftline_core::log::tree::Fingerprint;
use driftline_core::log::version::Version;
use driftline_core::sync::message::Message;
use driftline_core::trust::attestation::Attestation;
use driftline_core::trust::key::{SecretKey, Signer as _};
use driftline_core::trust::statement::{Claim, Grant, Level, Statement};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Frames that are remembered, to be given again.
const SEEN_MAX: usize = 64;
/// Where in a frame bytes are altered: behind the ids of the space and the document, which nothing binds a change to in a clear space.
const ALTERED_FROM: usize = 40;

/// One way over a wire: the wire, and the side that sends.
pub type Lane = (u64, usize);

/// Who sits there.
#[derive(Debug)]
pub struct Cheat {
    pub(super) dice: Dice,
    percent: u64,
    /// What is held back on a lane until something else has passed.
    kept: BTreeMap<Lane, Arc<[u8]>>,
    seen: Vec<(Lane, Arc<[u8]>)>,
}

/// What is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fiction {
    /// A change by an actor that is nobody's.
    Change,
    /// A change in a member's name.
    Forgery,
    /// A statement by a key of its own.
    Statement,
    /// A word for someone's changes, by a key of its own.
    Word,
    /// That all of a document is saved.
    Saved,
    /// That nothing of a document is.
    Lost,
    /// Bytes that are no change.
    Rubbish,
}

impl Cheat {
    /// Someone who meddles with so many frames in a hundred.
    pub fn new(seed: u64, percent: u64) -> Self {
        Self { dice: Dice::new(seed, "cheat"), percent, kept: BTreeMap::new(), seen: Vec::new() }
    }

    /// What passes in place of a frame, and what was done to it, in a word.
    pub fn twist(&mut self, lane: Lane, frame: Arc<[u8]>) -> (Vec<Arc<[u8]>>, Option<&'static str>) {
        let kept = self.kept.remove(&lane);
        if self.seen.len() >= SEEN_MAX {
            let at = self.dice.index(SEEN_MAX);
            self.seen.swap_remove(at);
        }
        self.seen.push((lane, frame.clone()));
        let mut passes = vec![frame.clone()];
        let mut done = None;
        if self.dice.percent(self.percent) {
            let at = self.dice.index(frame.len().max(1));
            done = Some(*self.dice.pick(&["drop", "double", "hold back", "cut off", "alter", "repeat", "mix up"]));
            match done {
                Some("drop") => passes.clear(),
                Some("double") => passes.push(frame),
                Some("hold back") => {
                    passes.clear();
                    self.kept.insert(lane, frame);
                }
                Some("cut off") => passes = vec![Arc::from(&frame[..at])],
                Some("alter") if frame.len() > ALTERED_FROM => {
                    let mut bytes = frame.to_vec();
                    let at = ALTERED_FROM + self.dice.index(frame.len() - ALTERED_FROM);
                    bytes[at] ^= 1 << self.dice.below(8);
                    passes = vec![Arc::from(bytes)];
                }
                Some("repeat") => passes.extend(self.earlier(|of| of == lane)),
                Some("mix up") => passes.extend(self.earlier(|of| of.0 != lane.0 && of.1 == lane.1)),
                _ => done = None,
            }
        }
        passes.extend(kept);
        (passes, done)
    }

    fn earlier(&mut self, of: impl Fn(Lane) -> bool) -> Option<Arc<[u8]>> {
        let seen: Vec<&Arc<[u8]>> = self.seen.iter().filter(|(lane, _)| of(*lane)).map(|(_, frame)| frame).collect();
        if seen.is_empty() { None } else { Some((*self.dice.pick(&seen)).clone()) }
    }

    /// Whether something is made up now, and what.
    fn fiction(&mut self, owned: bool) -> Option<Fiction> {
        let all = [
            Fiction::Saved,
            Fiction::Lost,
            Fiction::Rubbish,
            Fiction::Change,
            Fiction::Forgery,
            Fiction::Statement,
            Fiction::Word,
        ];
        let all = if owned { &all[..] } else { &all[..3] };
        if self.dice.percent(self.percent) { Some(*self.dice.pick(all)) } else { None }
    }
}

impl World {
    /// Whether someone meddles with what passes between these two.
    pub(super) fn is_cheated(&self, one: usize, other: usize) -> bool {
        self.options.cheating > 0 && !self.healed && (one == 0 || other == 0)
    }

    /// What passes in place of a frame on its way over a lane, to the relay or from it.
    pub(super) fn twisted(&mut self, lane: Lane, from: usize, frame: Arc<[u8]>) -> Vec<Arc<[u8]>> {
        let (mut passes, done) = self.cheat.twist(lane, frame);
        if let Some(done) = done {
            self.oracle.cheated = true;
            self.tally.count(&format!("cheat: {done}"));
        }
        if let Some(fiction) = self.cheat.fiction(self.options.owned).filter(|_| from == 0) {
            self.oracle.cheated = true;
            self.tally.count(&format!("cheat: {fiction:?}"));
            passes.push(Arc::from(self.made_up(lane, fiction).encode()));
        }
        passes
    }

    fn made_up(&mut self, lane: Lane, fiction: Fiction) -> Message {
        let (space, document) = (self.space, *self.cheat.dice.pick(&self.documents.clone()));
        let key = SecretKey::new(&self.cheat.dice.bytes());
        let clock = self.oracle.known_clock(&document);
        match fiction {
            Fiction::Forgery => self.forge(lane, document).unwrap_or(Message::Ping { token: 0 }),
            Fiction::Change => {
                let actor = ActorId::new(&self.cheat.dice.bytes::<24>()).expect("24 bytes are few enough");
                let mut draft = Document::new(document, actor, TextUnit::CodePoint);
                let (change, _) = draft.change(None, 0, |note| note.put("forged", true)).expect("an empty document takes it");
                let payloads = change.map(|change| change.payload).into_iter().collect();
                Message::Entries { space, document, payloads }
            }
            Fiction::Statement => {
                let subject = PeerId(self.cheat.dice.bytes());
                let grant = Grant {
                    issuer: key.peer(),
                    parent: None,
                    subject,
                    level: Level::Admin,
                    depth: 1,
                    expires: 0,
                    is_link: false,
                    serial: [1; 8],
                    note: Vec::new(),
                };
                let statement = Statement::sign(&space, Claim::Grant(grant), &key);
                let (state, attested) = (Fingerprint::default(), Fingerprint::default());
                Message::Roll { space, asks: false, state, attested, statements: vec![Arc::from(statement.bytes())] }
            }
            Fiction::Word => {
                let actor = clock.keys().next().copied();
                let actor = actor.unwrap_or_else(|| ActorId::new(&[7; 24]).expect("24 bytes are few enough"));
                let hash = ChangeHash(self.cheat.dice.bytes());
                let word = Attestation::sign(&space, document, actor, (1_000, hash), &key);
                Message::Attestations { space, attestations: vec![Arc::from(word.to_bytes())] }
            }
            Fiction::Saved => Message::Ack { document, held: clock.into_iter().collect() },
            Fiction::Lost => Message::Have { space, document, version: Version::new(), answer: false },
            Fiction::Rubbish => Message::Entries { space, document, payloads: vec![Arc::from(self.cheat.dice.bytes::<40>())] },
        }
    }

    /// The cheating is over. The relay is an honest one from now on, with the disk that it has; or it is gone, and the others meet each other.
    pub(super) fn expose(&mut self) {
        self.kill(0, super::disk::Death::Killed);
        if !self.options.relay_goes {
            return self.start(0);
        }
        self.replicas[0].out = true;
        self.tally.count("cheat gone");
        let (relay, first) = (Self::endpoint(0), Self::endpoint(1));
        for index in 1..self.replicas.len() {
            self.replicas[index].endpoints.remove(&relay);
            self.command(index, driftline_core::engine::input::Command::RemoveEndpoint { endpoint: relay.clone() });
            if index > 1 {
                self.replicas[index].endpoints.insert(first.clone());
                self.command(index, driftline_core::engine::input::Command::AddEndpoint { endpoint: first.clone() });
            }
        }
    }

    /// Everyone of whom it is asked in the end that they hold the same.
    pub fn members(&self) -> Vec<usize> {
        (0..self.replicas.len()).filter(|index| !self.replicas[*index].out).collect()
    }
}

/// The highest numbers of a document's actors.
pub type Highest = BTreeMap<ActorId, u64>;

/// Notes an actor's number, if it is the highest.
pub fn raise(highest: &mut BTreeMap<DocumentId, Highest>, document: DocumentId, actor: ActorId, seq: u64) {
    let held = highest.entry(document).or_default().entry(actor).or_default();
    *held = seq.max(*held);
}
