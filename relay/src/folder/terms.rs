//! On what terms a space takes what a folder brings: who may write, and how documents are named and made.
//!
//! In an open space a new document can be made by nobody: two who have the same file make the same change, and it is one document.
//! In an owned space every change is a member's. A file's document is made by whoever takes the file in, under a name that was drawn, and
//! what two have made of one file is made one afterwards ([`super::twins`]).

use driftline_core::base::id::{DocumentId, PeerId, SpaceId};
use driftline_core::engine::Engine;
use driftline_core::trust::owned::is_owned;
use driftline_core::trust::standing::Access;
use driftline_core::trust::statement::Level;
use sha2::{Digest as _, Sha256};

/// On what terms a space takes what a folder brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Whoever knows the space writes in it.
    Open,
    /// This replica writes as a member.
    Member(PeerId),
    /// Nothing is taken yet, for this reason.
    Waiting(String),
    /// Nothing is taken, for this reason: the folder follows, and what is done in it stays in it.
    Closed(String),
}

/// The terms of a space for a replica.
pub(super) fn of_space(engine: &Engine, space: &SpaceId) -> Terms {
    if !is_owned(space) {
        return Terms::Open;
    }
    let why = match (engine.own_access(space), engine.peer_id()) {
        (Access::Granted(level), Some(peer)) if level >= Level::Write => {
            if !engine.waits_for_key(space) {
                return Terms::Member(peer);
            }
            return Terms::Waiting("the key of the space is not here yet: a member's replica brings it".to_owned());
        }
        (Access::Granted(level), _) => {
            format!("this device was granted {} in this space, which is less than write", level.word())
        }
        (Access::Expired, _) => "what this device was granted in this space has expired: ask for a new link".to_owned(),
        (Access::Revoked, _) => "this device was shut out of this space".to_owned(),
        (Access::Nothing, _) => {
            "this device is no member of this space: ask a member for a link (driftline peer --join LINK)".to_owned()
        }
    };
    Terms::Closed(why)
}

/// The name of what has this digest in an owned space that is not sealed. It is another in each: a document is in one space only.
pub(super) fn owned_name(space: &SpaceId, digest: &[u8; 32]) -> DocumentId {
    let named = Sha256::new().chain_update(b"driftline owned file\0").chain_update(space.0).chain_update(digest).finalize();
    super::shelf::plain_name(&named.into())
}
