//! Which entries of a document remain when someone was shut out, or a writer's word shows that changes in their name are not theirs: those that are
//! accepted, and depend on nothing that is not.
//!
//! What remains is the same wherever it is worked out and whatever order the entries stand in: an entry goes because of what it is and
//! what it depends on, and for no other reason. So two replicas that were told of the revocation at different times come to hold the same.

use super::standing::Standing;
use crate::base::id::{ActorId, ChangeHash, PeerId};
use crate::log::entry::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A document's entries, parted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parted {
    /// Those that remain, in their order.
    pub kept: Vec<Arc<Entry>>,
    /// Those after the last that is accepted of who was shut out, or that an actor is known to vouch for.
    pub refused: Vec<Arc<Entry>>,
    /// Those of others that depend on these.
    pub built_on: Vec<Arc<Entry>>,
}

/// Parts the entries of a document, each of which stands after all it depends on. What `own` wrote is not refused where it is: a replica
/// keeps its own work, also what nobody else takes. Of the `refuted` actors nothing remains after these numbers.
pub fn part(
    standing: &Standing,
    own: Option<PeerId>,
    refuted: &BTreeMap<ActorId, u64>,
    entries: impl IntoIterator<Item = Arc<Entry>>,
) -> Parted {
    let mut parted = Parted::default();
    let mut gone: BTreeSet<ChangeHash> = BTreeSet::new();
    for entry in entries {
        let writer = standing.writer(&entry.actor).filter(|writer| Some(*writer) != own);
        let last = writer.and_then(|writer| standing.accepted(&writer, &entry.document, &entry.actor));
        let last = last.into_iter().chain(refuted.get(&entry.actor).copied()).min();
        if last.is_some_and(|last| entry.seq > last) {
            gone.insert(entry.hash);
            parted.refused.push(entry);
        } else if entry.deps.iter().any(|dep| gone.contains(dep)) {
            gone.insert(entry.hash);
            parted.built_on.push(entry);
        } else {
            parted.kept.push(entry);
        }
    }
    parted
}
