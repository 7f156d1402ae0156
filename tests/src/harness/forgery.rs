//! A change that the relay makes up in a member's name.
//!
//! It does so once in a life, and gives it to one of the others, who takes it: its writer may not have vouched for it yet. It is under the actor that the writer writes as, who goes on
//! writing, and vouches for what is theirs; or under one as which the writer never did, so that no word speaks against it and the owner disavows it. In the end nobody holds what was made up, and all else stands.

use super::cheat::Lane;
use super::options::Fault;
use super::shutting::OWNER;
use super::world::World;
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId};
use driftline_core::doc::document::Document;
use driftline_core::doc::value::TextUnit;
use driftline_core::engine::trust::disavowing::Whose;
use driftline_core::sync::message::Message;
use driftline_core::trust::owned::actor_of;
use std::sync::Arc;

/// How long after the last fault whoever it was about writes again, in milliseconds.
const WRITES_AGAIN_MS: u64 = 8_000;

/// What was made up.
#[derive(Clone, Copy, Debug)]
pub struct Forgery {
    /// In whose name.
    pub writer: usize,
    /// In which document.
    pub document: DocumentId,
    /// The change.
    pub hash: ChangeHash,
    /// The actor, where no word of the writer's will speak against it.
    pub disavowed: Option<ActorId>,
}

impl World {
    /// Whether a word of the writer's may be left to speak against what is made up: nobody ends, for who starts again writes on as another actor, and has vouched for all that
    /// the one before had written.
    fn has_words(&self) -> bool {
        let dying = [Fault::Crash, Fault::CrashInDrain, Fault::LostWrites, Fault::TornWrites];
        !dying.into_iter().any(|fault| self.options.has(fault))
    }

    /// A change in another's name, for the one at the other end of a lane, if there has been none and it has the document open.
    pub(super) fn forge(&mut self, lane: Lane, document: DocumentId) -> Option<Message> {
        if self.oracle.forged.is_some() || !self.options.owned || self.options.sealed {
            return None;
        }
        let (wire, side) = lane;
        let reader = self.links.wires.get(&wire)?.ends[1 - side].replica;
        let others: Vec<usize> = (1..self.replicas.len()).filter(|other| *other != reader).collect();
        let writer = *self.cheat.dice.pick(&others);
        let engine = self.replicas[writer].engine.as_ref()?;
        let disavowed = match self.has_words() && self.cheat.dice.percent(50) {
            true => None,
            false => Some(actor_of(&engine.peer_id()?, &self.cheat.dice.below(u64::MAX).to_le_bytes())),
        };
        let actor = disavowed.or(engine.actor_for(&self.space))?;
        let held = self.replicas[reader].document(&document)?;
        let mut draft = Document::new(document, actor, TextUnit::CodePoint);
        draft.apply(held.entries().into_iter().map(Arc::new)).ok()?;
        let change = draft.change(None, 0, |note| note.put("made up", true)).ok()?.0?;
        self.trace.word(self.now_ms, || format!("a change in the name of {writer} is made up for {reader}: {}", change.hash));
        self.oracle.on_forged(Forgery { writer, document, hash: change.hash, disavowed });
        self.tally.count(if disavowed.is_some() { "cheat: change to be disavowed" } else { "cheat: change in a member's name" });
        Some(Message::Entries { space: self.space, document, payloads: vec![change.payload] })
    }

    /// In whose name something was made up, that one goes on writing; where no word of theirs speaks against it, the owner disavows it, who need not have been given it.
    pub(super) fn undo_the_forgery(&mut self) {
        let Some(Forgery { writer, document, disavowed, .. }) = self.oracle.forged else { return };
        self.run_until(self.now_ms + WRITES_AGAIN_MS);
        if let Some(actor) = disavowed {
            while !self.replicas[OWNER].ready {
                self.run_until(self.now_ms + 250);
            }
            let (now, space) = (self.now(OWNER), self.space);
            let engine = self.replicas[OWNER].engine.as_mut().expect("who is ready has an engine");
            engine.disavow(now, space, document, Whose::Actor(actor)).expect("the owner may");
            return self.told(OWNER);
        }
        while self.replicas[writer].document(&document).is_none() || !self.replicas[writer].ready {
            self.run_until(self.now_ms + 250);
        }
        self.edit_document(writer, document);
    }
}
