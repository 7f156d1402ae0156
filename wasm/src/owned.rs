//! Owned spaces, as a page asks for them: found one, invite, join, shut someone out, and see who is there.

use crate::introductions::{self, Introduce};
use crate::letters::{self, Post};
use crate::query::Unanswered;
use driftline_core::base::id::{ActorId, DocumentId, PeerId, SpaceId};
use driftline_core::base::time::Now;
use driftline_core::engine::Engine;
use driftline_core::engine::trust::disavowing::Whose;
use driftline_core::engine::trust::owned::{Member, MemberState, Offer, OwnedError};
use driftline_core::trust::invitation::Invitation;
use driftline_core::trust::owned::is_owned;
use driftline_core::trust::standing::Access;
use driftline_core::trust::statement::Level;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Something that a person does.
#[derive(Deserialize)]
#[serde(tag = "act", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Act {
    /// Make a space that this replica owns, and open it.
    FoundSpace {
        /// Whether what is in it is to be encrypted from end to end.
        sealed: bool,
    },
    /// Make a link to a space.
    Invite {
        /// The space.
        space: SpaceId,
        /// What whoever has the link may do.
        level: Level,
        /// When that ends, in seconds of Unix time; 0 for never.
        expires: u64,
        /// What the link is called.
        note: String,
        /// Relays for whoever joins.
        relays: Vec<String>,
    },
    /// Join a space by a link, and open it.
    Join {
        /// The link.
        link: String,
        /// What its members know this replica by.
        note: String,
    },
    /// Let somebody in once, or a device of one's own.
    Introduce {
        /// What of it.
        what: Introduce,
    },
    /// Write, forget or fetch letters.
    Post {
        /// What of it.
        what: Post,
    },
    /// Shut a key out of a space.
    Revoke {
        /// The space.
        space: SpaceId,
        /// A member's key, or a link's.
        key: PeerId,
    },
    /// Set aside, everywhere, what nobody has vouched for in a document.
    Disavow {
        /// The space.
        space: SpaceId,
        /// The document.
        document: DocumentId,
        /// Only what is in this key's name.
        writer: Option<PeerId>,
        /// Only what is under this actor, also where none of it is held here.
        actor: Option<ActorId>,
    },
}

/// What this replica may do in a space, and why.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnAccess {
    state: &'static str,
    level: Option<Level>,
    /// When that ends, in seconds of Unix time; 0 for never.
    expires: u64,
    /// Whether the key of a sealed space has not come yet, without which nothing is written there, and what is new is not read.
    waits_for_key: bool,
}

/// Does it.
pub(crate) fn act(engine: &mut Engine, now: Now, act: Act) -> Result<Json, Unanswered> {
    match act {
        Act::FoundSpace { sealed } => {
            let founded = if sealed { engine.found_sealed_space(now) } else { engine.found_space(now) };
            Ok(json!({ "space": founded.map_err(in_words)? }))
        }
        Act::Invite { space, level, expires, note, relays } => {
            let offer = Offer { level, expires, note, relays };
            Ok(engine.invite(now, space, offer).map_err(in_words)?.to_text().into())
        }
        Act::Join { link, note } => {
            let invitation = Invitation::from_text(&link).map_err(|error| in_words(error.into()))?;
            let space = engine.join(now, &invitation, note).map_err(in_words)?;
            Ok(json!({ "space": space, "relays": invitation.relays }))
        }
        Act::Introduce { what } => introductions::act(engine, now, what),
        Act::Post { what } => letters::act(engine, now, what),
        Act::Revoke { space, key } => match engine.revoke(now, space, key) {
            // Asked twice, as when the tab that was asked first has gone: it is done.
            Err(OwnedError::NoMember(_)) if was_member(engine, &space, &key) => Ok(Json::Null),
            revoked => revoked.map(|()| Json::Null).map_err(in_words),
        },
        Act::Disavow { space, document, writer, actor } => {
            let whose = actor.map(Whose::Actor).or(writer.map(Whose::Of)).unwrap_or(Whose::All);
            match engine.disavow(now, space, document, whose) {
                // As when it is asked twice.
                Err(OwnedError::AllVouched(_)) => Ok(0.into()),
                disavowed => disavowed.map(Json::from).map_err(in_words),
            }
        }
    }
}

/// Who is or was let in.
pub(crate) fn members(engine: &Engine, space: &SpaceId) -> Result<Vec<Member>, Unanswered> {
    engine.members(space).map_err(in_words)
}

/// What this replica may do.
pub(crate) fn access(engine: &Engine, space: &SpaceId) -> OwnAccess {
    let access = engine.own_access(space);
    let members = engine.members(space).unwrap_or_default();
    let own = members.iter().filter(|member| member.is_self && member.state == MemberState::Good);
    let is_owner = own.clone().any(|member| member.by.is_none());
    let level = access.level();
    let last = |expires: u64| if expires == 0 { u64::MAX } else { expires };
    let expires = own.filter(|member| Some(member.level) == level).map(|member| member.expires).max_by_key(|end| last(*end));
    let state = match access {
        _ if !is_owned(space) => "open",
        Access::Granted(_) if is_owner => "owner",
        Access::Granted(_) => "member",
        Access::Expired => "expired",
        Access::Revoked => "revoked",
        Access::Nothing => "none",
    };
    OwnAccess { state, level, expires: expires.unwrap_or(0), waits_for_key: engine.waits_for_key(space) }
}

fn was_member(engine: &Engine, space: &SpaceId, key: &PeerId) -> bool {
    engine.members(space).is_ok_and(|members| members.iter().any(|member| member.key == *key && member.by.is_some()))
}

/// The sentence for people who have a page before them and no command line.
pub(crate) fn in_words(error: OwnedError) -> Unanswered {
    Unanswered(match error {
        OwnedError::Open(_) => {
            "this space is open: whoever knows its name may read and write it, and nobody can be shut out. Found an owned one to share".to_owned()
        }
        OwnedError::NoMember(_) => "nobody of that key is a member here, or they were shut out already".to_owned(),
        OwnedError::NotGranted { why, .. } => why.replace(" (driftline join)", "").replace(" (driftline revoke)", ""),
        OwnedError::Invitation(error) => format!("the link is not good: {error}"),
        other => other.to_string(),
    })
}
