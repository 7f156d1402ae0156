//! How soon one append follows another.
//!
//! Each append costs a sync of the disk, as much as passing an entry on to many. So where that is wanted an append waits until a while
//! has passed since the one before began, and takes with it what comes meanwhile. Whoever writes now and then is not held back; nor is
//! an entry that comes right behind an append, since its writer seems to have waited for the acknowledgement; nor are many.

use super::Engine;

/// Milliseconds after an append in which an entry that comes is taken to have waited for it.
const WAITED_MS: u64 = 2;
/// Entries that are not held back for more to come.
const HELD_BACK_MAX: usize = 64;

/// When appends began and ended. Times are monotonic milliseconds.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Last>,
    /// Whether the driver is about to end.
    hurried: bool,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    began_ms: u64,
    /// Until it has, nothing else is appended.
    ended_ms: u64,
}

impl Pace {
    /// Until when this many entries are held back, if they are, where appends begin `pace_ms` apart.
    pub(super) fn held_back(&self, now_ms: u64, pace_ms: u64, entries: usize) -> Option<u64> {
        let last = self.last.filter(|_| !self.hurried && entries < HELD_BACK_MAX)?;
        let until_ms = last.began_ms + pace_ms;
        (now_ms < until_ms && now_ms >= last.ended_ms + WAITED_MS).then_some(until_ms)
    }

    /// An append begins.
    pub(super) fn on_begin(&mut self, now_ms: u64) {
        self.last = Some(Last { began_ms: now_ms, ended_ms: now_ms });
    }

    /// It has ended.
    pub(super) fn on_end(&mut self, now_ms: u64) {
        if let Some(last) = &mut self.last {
            last.ended_ms = now_ms;
        }
    }
}

impl Pace {
    /// Whether the driver is about to end.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurried
    }
}

impl Engine {
    /// Appends at the next drain what is held back, and holds nothing back any more: for a driver that is about to end.
    pub fn hurry(&mut self) {
        self.pace.hurried = true;
        self.needs_flush = true;
    }
}

#[cfg(test)]
mod tests {
    use super::{HELD_BACK_MAX, Pace};

    #[test]
    fn an_append_is_held_back_when_another_was_there_a_moment_ago_and_nobody_waited_for_it() {
        let mut pace = Pace::default();
        assert_eq!(pace.held_back(1_000, 10, 1), None, "the first is not");
        pace.on_begin(1_000);
        pace.on_end(1_001);
        assert_eq!(pace.held_back(1_002, 10, 1), None, "its writer seems to have waited");
        assert_eq!(pace.held_back(1_003, 10, 1), Some(1_010));
        assert_eq!(pace.held_back(1_009, 10, 1), Some(1_010));
        assert_eq!(pace.held_back(1_009, 10, HELD_BACK_MAX), None, "many are worth a sync");
        assert_eq!(pace.held_back(1_010, 10, 1), None);
        assert_eq!(pace.held_back(1_003, 0, 1), None, "where no pace is wanted");
        pace.hurried = true;
        assert_eq!(pace.held_back(1_003, 10, 1), None);
    }
}
