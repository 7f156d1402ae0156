//! A change that the relay makes up in a member's name.
//!
//! It does so once in a life, and gives it to one of the others, who takes it: its writer may not have vouched for it yet. The writer goes on writing, and vouches
//! for what is theirs. In the end nobody holds what was made up, and all else stands.

use super::cheat::Lane;
use super::options::Fault;
use super::world::World;
use driftline_core::base::id::{ChangeHash, DocumentId};
use driftline_core::doc::document::Document;
use driftline_core::doc::value::TextUnit;
use driftline_core::sync::message::Message;
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
}

impl World {
    /// Whether this is a life in which a change may be made up: the space is owned and not sealed, and nobody ends, for who starts again writes on as another actor, and
    /// has vouched for all that the one before had written.
    fn may_forge(&self) -> bool {
        let dying = [Fault::Crash, Fault::CrashInDrain, Fault::LostWrites, Fault::TornWrites];
        self.options.owned && !self.options.sealed && !dying.into_iter().any(|fault| self.options.has(fault))
    }

    /// A change in another's name, for the one at the other end of a lane, if there has been none and it has the document open.
    pub(super) fn forge(&mut self, lane: Lane, document: DocumentId) -> Option<Message> {
        if self.oracle.forged.is_some() || !self.may_forge() {
            return None;
        }
        let (wire, side) = lane;
        let reader = self.links.wires.get(&wire)?.ends[1 - side].replica;
        let others: Vec<usize> = (1..self.replicas.len()).filter(|other| *other != reader).collect();
        let writer = *self.cheat.dice.pick(&others);
        let actor = self.replicas[writer].engine.as_ref()?.actor_for(&self.space)?;
        let held = self.replicas[reader].document(&document)?;
        let mut draft = Document::new(document, actor, TextUnit::CodePoint);
        draft.apply(held.entries().into_iter().map(Arc::new)).ok()?;
        let change = draft.change(None, 0, |note| note.put("made up", true)).ok()?.0?;
        self.trace.word(self.now_ms, || format!("a change in the name of {writer} is made up for {reader}: {}", change.hash));
        self.oracle.on_forged(Forgery { writer, document, hash: change.hash });
        self.tally.count("cheat: change in a member's name");
        Some(Message::Entries { space: self.space, document, payloads: vec![change.payload] })
    }

    /// In whose name something was made up, that one goes on writing.
    pub(super) fn have_the_forged_write(&mut self) {
        let Some(Forgery { writer, document, .. }) = self.oracle.forged else { return };
        self.run_until(self.now_ms + WRITES_AGAIN_MS);
        while self.replicas[writer].document(&document).is_none() || !self.replicas[writer].ready {
            self.run_until(self.now_ms + 250);
        }
        self.edit_document(writer, document);
    }
}
