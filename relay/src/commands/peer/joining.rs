//! Becoming a member of an owned space, whose folder this is to be.

use super::PeerArguments;
use crate::commands::failure::{Failure, FailureKind};
use crate::commands::output::Output;
use crate::dial::without_token;
use crate::folder::remember_relays;
use crate::lan::did_of;
use crate::repo::{Invitation, OwnedError, Repo, RepoError, Space};
use driftline_core::base::id::SpaceId;
use driftline_core::trust::owned::is_owned;
use driftline_core::trust::standing::Access;
use serde_json::json;
use std::path::Path;

/// The link that was typed.
pub(super) fn read(link: &str) -> Result<Invitation, Failure> {
    Invitation::from_text(link).map_err(|error| RepoError::from(OwnedError::from(error)).into())
}

/// The space that was named, by itself or by a link.
pub(super) fn space_named(space: Option<&str>, link: Option<&Invitation>) -> Result<Option<String>, Failure> {
    match (space, link) {
        (Some(named), Some(link)) if SpaceId::from_id_or_name(named) != link.space => {
            let why =
                format!("the link is to the space {}, and {named} was named: leave out --space (or DRIFTLINE_SPACE)", link.space);
            Err(Failure::new(FailureKind::Usage, why))
        }
        (_, Some(link)) => Ok(Some(link.space.to_string())),
        (named, None) => Ok(named.map(str::to_owned)),
    }
}

/// Joins by the link that was typed, unless this device is a member already; where there is none it must be one, or the space be open.
pub(super) async fn join(
    repo: &Repo,
    space: &Space,
    arguments: &PeerArguments,
    data: &Path,
    output: &Output,
) -> Result<(), Failure> {
    let Some(link) = &arguments.join else { return is_member(repo, space).await };
    // A link that has ended since lets nobody in any more, and need not.
    if space.level().await?.is_some() {
        return Ok(());
    }
    let named: Vec<String> = repo.connections().into_iter().map(|relay| relay.endpoint).collect();
    repo.join(link, &arguments.note).await?;
    let level = space.level().await?.map_or("nothing", |level| level.word());
    output.result(
        &format!("joined the space {}, to {level}", space.id()),
        &json!({ "event": "joined", "space": space.id(), "level": level, "key": repo.peer_id() }),
    );
    let is_new = |endpoint: &String| !named.contains(endpoint);
    let new: Vec<String> = repo.connections().into_iter().map(|relay| relay.endpoint).filter(is_new).collect();
    let new: Vec<String> = new.iter().map(|relay| without_token(relay)).collect();
    if new.is_empty() {
        return Ok(());
    }
    match remember_relays(data, &new) {
        Ok(()) => output.note(&format!("the link names the relay {}, which is remembered", new.join(" and "))),
        Err(why) => output.note(&format!("the link names the relay {}, which is not remembered: {why}", new.join(" and "))),
    }
    Ok(())
}

/// Refuses an owned space of which this device never was a member.
pub(super) async fn is_member(repo: &Repo, space: &Space) -> Result<(), Failure> {
    let id = space.id();
    if !is_owned(&id) || repo.call(move |engine, _| engine.own_access(&id)).await? != Access::Nothing {
        return Ok(());
    }
    let key = did_of(&repo.peer_id());
    let why = format!(
        "the space {id} is owned, and this folder's device ({key}) is no member of it: say driftline peer --join LINK with a link from a member. A folder is a device of its own, also where the space was made on this machine: driftline share --write --space {id} makes a link"
    );
    Err(Failure::new(FailureKind::Refused, why))
}
