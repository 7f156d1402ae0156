//! Which entries are taken in an owned space, from whom and by whom.
//!
//! An actor's id shows its key, so whose an entry is costs a look-up and no signature. A member brings its own work as it makes it:
//! the hello has proved who it is. What others wrote it may bring where they have vouched for it. A relay that this side has dialled
//! brings all of it; what nobody has vouched for yet is marked so. After the last entry that is accepted of someone who was shut out,
//! nothing is taken, from nobody.

use super::access::Right;
use crate::base::id::{ActorId, ConnectionId, DocumentId, PeerId, SpaceId};
use crate::engine::Engine;
use crate::engine::effect::TroubleKind;
use crate::log::entry::Entry;
use crate::sync::message::ErrorCode;
use crate::trust::standing::Access;
use crate::trust::statement::Level;

impl Engine {
    /// Whether a peer may send changes of a document at all; says why not.
    pub(in crate::engine) fn may_send(&mut self, connection: ConnectionId, space: SpaceId, document: DocumentId) -> bool {
        let Right::Member(_, access) = self.right(connection, &space) else { return true };
        if access.allows(Level::Write) {
            return true;
        }
        let (code, why) = match access {
            Access::Granted(level) => {
                (ErrorCode::NotGranted, format!("you were granted {} there, which is less than write", level.word()))
            }
            access => super::access::why_not(access, space),
        };
        let text =
            format!("what you wrote in document {document} of space {space} is not taken, and is kept where you are: {why}");
        self.tell_refused(connection, space, document, code, text);
        false
    }

    /// Whether an entry that a peer sent is taken; says why not.
    pub(in crate::engine) fn is_permitted(&mut self, connection: ConnectionId, space: SpaceId, entry: &Entry) -> bool {
        if self.right(connection, &space) == Right::Anyone {
            return true;
        }
        self.may_send(connection, space, entry.document)
            && self.is_accepted(connection, space, entry.document, entry.actor, entry.seq)
            && self.is_vouched_change(connection, space, entry)
    }

    /// Whether an actor's entries up to a number are taken from a peer that may send changes; says why not.
    pub(in crate::engine) fn is_accepted(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        document: DocumentId,
        actor: ActorId,
        seq: u64,
    ) -> bool {
        let right = self.right(connection, &space);
        if right == Right::Anyone {
            return true;
        }
        let refusal = match self.trust.rolls.get_mut(&space).and_then(|held| held.writer(&actor)) {
            None => {
                let text = format!(
                    "a change in document {document} is by an actor {actor} that is nobody's who may write in space {space}; in an owned space no history of others can be imported"
                );
                Some((ErrorCode::NotTheirs, text))
            }
            Some(_) if self.is_in_own_name(&document, &actor, seq) => {
                let text = format!(
                    "change {seq} of actor {actor} in document {document} is in this replica's own name, and it has not written it"
                );
                self.trouble(TroubleKind::Forked, Some(document), Some(connection), text.clone());
                Some((ErrorCode::NotTheirs, text))
            }
            Some(writer) => {
                let disavowed = self.refusal_of_disavowed(&space, &document, (&actor, seq));
                self.refusal_of(right, space, document, actor, seq, writer).or(disavowed)
            }
        };
        match refusal {
            None => true,
            Some((code, text)) => {
                self.tell_refused(connection, space, document, code, text);
                false
            }
        }
    }

    /// Whether an entry comes after the last that is accepted of someone who was shut out, or was disavowed, whatever it was when it came; says so to whoever sent it.
    pub(in crate::engine) fn is_cut_off(&mut self, space: SpaceId, entry: &Entry, source: ConnectionId) -> bool {
        let Some(held) = self.trust.rolls.get_mut(&space).filter(|held| held.roll.standing().has_cuts()) else {
            return false;
        };
        let Some(writer) = held.writer(&entry.actor) else { return false };
        let disavowed = self.refusal_of_disavowed(&space, &entry.document, (&entry.actor, entry.seq));
        let refusal = self.refusal_of(Right::Carrier, space, entry.document, entry.actor, entry.seq, writer).or(disavowed);
        let is_cut_off = refusal.is_some();
        if let Some((code, text)) = refusal.filter(|_| self.sessions.contains_key(&source)) {
            self.tell_refused(source, space, entry.document, code, text);
        }
        is_cut_off
    }

    /// Why an actor's entries up to a number are not taken from someone with this right, if they are not.
    pub(in crate::engine) fn refusal_of(
        &self,
        right: Right,
        space: SpaceId,
        document: DocumentId,
        actor: ActorId,
        seq: u64,
        writer: PeerId,
    ) -> Option<(ErrorCode, String)> {
        let standing = self.trust.rolls.get(&space)?.roll.standing();
        if let Some(last) = standing.accepted(&writer, &document, &actor)
            && seq > last
        {
            return Some(match standing.access(&writer, self.unix_s()) {
                Access::Granted(_) | Access::Expired | Access::Nothing if last == 0 => (
                    ErrorCode::NotGranted,
                    format!("a change in document {document} is by {writer}, who may not write in space {space}"),
                ),
                _ => (
                    ErrorCode::AfterRevocation,
                    format!(
                        "change {seq} of actor {actor} in document {document} comes after the last ({last}) that is accepted of {writer}, whose grant was revoked"
                    ),
                ),
            });
        }
        // What is held already is passed over, whoever sends it: what comes behind it in the frame may be the sender's own.
        let is_held = || self.log(&document).is_some_and(|log| log.version().clock.covers(&actor, seq));
        match right {
            Right::Member(peer, _) if peer != writer && self.vouched(&space, &document, &actor) < seq && !is_held() => Some((
                ErrorCode::NotTheirs,
                format!(
                    "change {seq} of actor {actor} in document {document} is by {writer}, who has not vouched for it: its writer has to bring it"
                ),
            )),
            _ => None,
        }
    }
}
