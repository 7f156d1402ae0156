//! How far spaces have come with their peers.
//!
//! A peer is in sync when nothing more is to be sent to it or awaited from it. What has come and is not in its log yet, because something it
//! depends on is looked up, there was no room for it or it is a snapshot that is read first, is still awaited: it can be neither read nor counted as saved.

use super::Engine;
use super::effect::{CatchUp, Event};
use super::timers::Timer;
use crate::base::id::{DocumentId, SpaceId};
use std::collections::BTreeSet;

/// Milliseconds that changes of a space's progress are gathered before they are told.
const PROGRESS_MS: u64 = 50;

/// How far a space has come, as it was last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    touched: bool,
    told: Option<((usize, usize, usize), Option<CatchUp>)>,
    /// Whether somebody was answered otherwise since: then it is told again, though it be what was told before.
    asked: bool,
}

impl Engine {
    /// Notes that a space's progress may have changed.
    pub(super) fn touch_progress(&mut self, space: SpaceId) {
        if self.is_relay() || !self.spaces.get(&space).is_some_and(|held| held.open) {
            return;
        }
        self.progress.entry(space).or_default().touched = true;
        self.timers.set_no_later(Timer::SpaceSync, self.now.monotonic_ms + PROGRESS_MS);
    }

    /// Tells how far spaces have come, where that has changed.
    pub(super) fn tell_progress(&mut self) {
        let touched: Vec<SpaceId> =
            self.progress.iter().filter(|(_, progress)| progress.touched).map(|(space, _)| *space).collect();
        for space in touched {
            let catch_up = self.catch_up(&space);
            let lapses_ms = catch_up.and_then(|_| self.catch_up_lapses(&space));
            let again_ms = self.settle(space).into_iter().chain(lapses_ms).min();
            if catch_up.is_none() {
                self.end_catch_up(&space);
            }
            let now = (self.progress_of(&space), catch_up);
            let Some(progress) = self.progress.get_mut(&space) else { continue };
            let told = progress.told.replace(now);
            let asked = std::mem::take(&mut progress.asked);
            progress.touched = again_ms.is_some();
            if let Some(again_ms) = again_ms {
                self.timers.set_no_later(Timer::SpaceSync, again_ms);
            }
            if told == Some(now) && !asked {
                continue;
            }
            let ((peers, in_sync, behind), catch_up) = now;
            if in_sync > 0 {
                self.watch_for_held_back(&space);
            }
            self.tell(Event::SpaceSync { space, peers, in_sync, behind, catch_up });
            // A document that is nobody's work here is saved where it is in sync.
            for document in self.documents.open_in(&space) {
                self.saved.touch(document);
            }
        }
    }

    /// How far a space has come, for someone who goes by what [`Event::SpaceSync`] tells afterwards: [`Self::progress_of`] and [`Self::catch_up`].
    /// Where that is not what was told last, it is told when it has changed, though it be to what was told last.
    pub fn ask_progress(&mut self, space: &SpaceId) -> ((usize, usize, usize), Option<CatchUp>) {
        let now = (self.progress_of(space), self.catch_up(space));
        if let Some(progress) = self.progress.get_mut(space) {
            progress.asked |= progress.told.is_some_and(|told| told != now);
        }
        now
    }

    /// Documents of a space of which something has come that can be neither read nor counted as saved yet.
    pub(super) fn held_up(&self, space: &SpaceId) -> BTreeSet<DocumentId> {
        let adopting = self.snapshots.adopting_in(space).map(|(document, _)| document);
        self.logs.held_up(space, &self.locations).chain(adopting).collect()
    }

    /// Peers that sync a space, how many of them have nothing more to send or ask for, and documents that differ.
    pub fn progress_of(&self, space: &SpaceId) -> (usize, usize, usize) {
        let Some(held) = self.spaces.get(space) else { return (0, 0, 0) };
        let adopting: BTreeSet<_> = self.snapshots.adopting_in(space).collect();
        let mut behind = self.held_up(space);
        let (mut peers, mut in_sync) = (0, 0);
        for connection in &held.sessions {
            let Some(session) = self.sessions.get(connection).filter(|session| session.peer.is_some() && !session.closing) else {
                continue;
            };
            let Some(subscription) = session.subscriptions.get(space) else { continue };
            peers += 1;
            let is_from_them = |document: &DocumentId| {
                self.logs.is_held_up(document, *connection) || adopting.contains(&(*document, *connection))
            };
            let mut settled = !subscription.comparing && subscription.arriving.is_empty() && !behind.iter().any(is_from_them);
            for (document, delta) in &subscription.deltas {
                let done = held
                    .space
                    .log(document)
                    .map_or(delta.asked.is_none() && delta.target.is_empty(), |log| delta.is_settled(log));
                if !done {
                    settled = false;
                    behind.insert(*document);
                }
            }
            in_sync += usize::from(settled);
        }
        (peers, in_sync, behind.len())
    }
}
