//! How a stored log begins: with its first entry, or with a snapshot in place of entries that were let go.

use super::task::SnapshotPart;
use crate::base::id::ChangeHash;
use crate::base::limits::{CLOCK_ACTORS_MAX, HEADS_MAX};
use crate::log::snapshot::{Base, Snapshot, SnapshotSummary};
use std::sync::Arc;

/// The last position a log may come to: what follows can be counted, in any store.
pub const POSITION_MAX: u64 = i64::MAX as u64 / 2;

/// The beginning of a log. Without a snapshot, the base is 0; with one, it is not above the snapshot's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Up to where nothing is held but the snapshot.
    pub(super) base: Base,
    /// The snapshot.
    pub(super) snapshot: Option<Snapshot>,
}

impl Beginning {
    /// The last position that the snapshot stands for, 0 without one.
    pub(super) fn end(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, Snapshot::end)
    }

    /// Whether there is a snapshot and it has this head.
    pub(super) fn has_head(&self, hash: &ChangeHash) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.version.heads.contains(hash))
    }

    /// A part of the snapshot; an empty one past its last byte.
    pub(super) fn part(&self, offset: u64, bytes_max: usize) -> Option<SnapshotPart> {
        let Snapshot { version, bytes } = self.snapshot.as_ref()?;
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let part = Arc::from(&rest[..bytes_max.min(rest.len())]);
        Some(SnapshotPart { version: version.clone(), size: bytes.len() as u64, offset, bytes: part })
    }

    /// The snapshot without its bytes.
    pub(super) fn summary(&self) -> Option<SnapshotSummary> {
        let Snapshot { version, bytes } = self.snapshot.as_ref()?;
        Some(SnapshotSummary { version: version.clone(), bytes: bytes.len() as u64, base: self.base.clone() })
    }
}

/// Whether a snapshot may take the place of a log's beginning, of which nothing but another snapshot is held up to
/// `held`; a sentence where it may not. For every store: what one takes, all take.
pub fn check_snapshot(snapshot: &Snapshot, held: &Base) -> Result<(), &'static str> {
    let Snapshot { version, .. } = snapshot;
    if version.clock.is_empty() || version.heads.is_empty() {
        return Err("a snapshot must stand for something, and have heads and a clock");
    }
    if version.heads.len() > HEADS_MAX || version.clock.len() > CLOCK_ACTORS_MAX || snapshot.end() > POSITION_MAX {
        return Err("the snapshot's version is larger than any that may be stored");
    }
    if !held.clock.is_within(&version.clock) {
        return Err("the snapshot lacks what only the present one stands for");
    }
    Ok(())
}
