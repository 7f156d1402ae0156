//! What keys vouch for in a store's owned spaces: its statements and attestations, each checked again, and compared with the changes.

use driftline_core::base::id::{ActorId, DocumentId, PeerId, SpaceId};
use driftline_core::engine::stored::{StoredAttestation, StoredStatement};
use driftline_core::log::clock::VectorClock;
use driftline_core::log::entry::Entry;
use driftline_core::trust::attestation::Attestation;
use driftline_core::trust::owned::is_owned;
use driftline_core::trust::roll::Roll;
use std::collections::BTreeMap;

/// What keys vouch for.
#[derive(Default)]
pub(super) struct Vouched {
    rolls: BTreeMap<SpaceId, Roll>,
    attested: BTreeMap<DocumentId, BTreeMap<ActorId, Attestation>>,
}

/// Something a key said that does not check out.
pub(super) struct Unsound {
    /// The space it is about.
    pub(super) space: SpaceId,
    /// The document, where it is about one.
    pub(super) document: Option<DocumentId>,
    /// What is wrong.
    pub(super) what: String,
}

impl Vouched {
    /// Takes in a store's named values, and checks every signature among them.
    pub(super) fn of(values: &[(String, Vec<u8>)]) -> Result<Self, Unsound> {
        let mut vouched = Self::default();
        let mut statements: BTreeMap<SpaceId, Vec<&[u8]>> = BTreeMap::new();
        for (space, bytes) in values.iter().filter_map(|(name, value)| StoredStatement::read(name, value)) {
            statements.entry(space).or_default().push(bytes);
        }
        for (space, statements) in statements {
            let mut roll = Roll::new(space);
            let (_, errors) = roll.take_bytes(statements.into_iter());
            if let Some(error) = errors.first() {
                let what = format!("a statement of who may do what does not check out: {error}");
                return Err(Unsound { space, document: None, what });
            }
            vouched.rolls.insert(space, roll);
        }
        for (name, value) in values {
            let Some((space, attestation)) = StoredAttestation::read(name, value) else { continue };
            let (document, actor) = (attestation.document, attestation.actor);
            let unsound = |what: String| Unsound { space, document: Some(document), what };
            attestation.check(&space, None).map_err(|error| {
                unsound(format!("what is kept as the word of actor {actor}'s key does not check out: {error}"))
            })?;
            let writer = vouched.rolls.get(&space).and_then(|roll| roll.standing().writer(&actor));
            if writer != Some(attestation.signer) {
                return Err(unsound(format!("{} vouches for changes, and was never let into the space", attestation.signer)));
            }
            vouched.attested.entry(document).or_default().insert(actor, attestation);
        }
        Ok(vouched)
    }

    /// Whether a key was ever let into a space so that it may make sealed snapshots there.
    pub(super) fn may_make_snapshots(&self, space: &SpaceId, key: &PeerId) -> bool {
        self.rolls.get(space).is_some_and(|roll| roll.standing().was_admin(key))
    }

    /// Compares a change with what is vouched for; answers what is wrong.
    pub(super) fn compare(&self, space: &SpaceId, entry: &Entry) -> Option<String> {
        if !is_owned(space) {
            return None;
        }
        let actor = &entry.actor;
        if self.rolls.get(space).and_then(|roll| roll.standing().writer(actor)).is_none() {
            return Some(format!("change {} is by actor {actor}, which is nobody's who was let into the space", entry.hash));
        }
        let attestation = self.attested.get(&entry.document)?.get(actor)?;
        (attestation.seq == entry.seq && attestation.hash != entry.hash).then(|| {
            format!(
                "actor {actor}'s key vouches for {} as its change {}, and {} is held in its place",
                attestation.hash, entry.seq, entry.hash
            )
        })
    }

    /// How many changes of a document are vouched for, and how many are not yet; none of either in an open space.
    pub(super) fn count(&self, space: &SpaceId, document: &DocumentId, clock: &VectorClock) -> (u64, u64) {
        if !is_owned(space) {
            return (0, 0);
        }
        let attested = self.attested.get(document);
        clock.iter().fold((0, 0), |(vouched, not), (actor, seq)| {
            let up_to = attested.and_then(|attested| attested.get(actor)).map_or(0, |attestation| attestation.seq.min(seq));
            (vouched + up_to, not + seq - up_to)
        })
    }
}
