//! How soon one append follows another.
//!
//! Each append costs a sync of the disk, more than passing an entry on to many. So where that is wanted an append waits until a while
//! has passed since the one before began, and takes with it what comes meanwhile. Whoever writes now and then is not held back; nor is
//! an entry that comes right behind an append, since its writer seems to have waited for the acknowledgement; nor are many.
//!
//! Someone who types, twenty keys a second, waits for no acknowledgement either, but pauses after each key for longer than that while.
//! Whether a writer goes on without it is found out by trying: after some appends close behind each other one is held back for as long as
//! a person does not notice. If then someone sends a second entry, appends stay that far apart, until one comes
//! alone. If nobody does they were waiting: they are let go, and not tried again for a good while.

use super::Engine;
use super::config::AppendPace;

/// Milliseconds after an append in which an entry that comes is taken to have waited for it.
const WAITED_MS: u64 = 2;
/// Entries that are not held back for more to come.
const HELD_BACK_MAX: usize = 64;
/// Appends close behind each other before it is tried for the first time whether anyone waits for them.
const TRIED_AFTER_MIN: u32 = 8;
/// ... and when someone was found to wait again and again: one in so many is slow for them.
const TRIED_AFTER_MAX: u32 = 512;
/// How much longer it is until the next trial, each time that someone waited.
const TRIED_AFTER_FACTOR: u32 = 4;

/// When appends began and ended, and whether those who write wait for them. Times are monotonic milliseconds.
#[derive(Debug)]
pub(super) struct Pace {
    last: Option<Last>,
    mood: Mood,
    /// Appends close behind each other until it is tried whether anyone waits.
    tried_after: u32,
    /// When the first entry came of those that are not appended yet.
    came_ms: Option<u64>,
    /// Whether the driver is about to end.
    hurried: bool,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    began_ms: u64,
    /// Until it has, nothing else is appended.
    ended_ms: u64,
}

/// Whether those who write wait for acknowledgements, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Perhaps they do. So many appends came close behind each other.
    Prompt { close: u32 },
    /// It is being tried.
    Trying,
    /// They do not.
    Steady,
}

impl Default for Pace {
    fn default() -> Self {
        Self { last: None, mood: Mood::Prompt { close: 0 }, tried_after: TRIED_AFTER_MIN, came_ms: None, hurried: false }
    }
}

impl Pace {
    /// An entry came that is to be appended.
    pub(super) fn on_entry(&mut self, now_ms: u64) {
        self.came_ms.get_or_insert(now_ms);
    }

    /// Until when this many entries are held back, if they are.
    pub(super) fn held_back(&self, now_ms: u64, pace: AppendPace, entries: usize) -> Option<u64> {
        let last = self.last.filter(|_| !self.hurried && entries < HELD_BACK_MAX)?;
        let apart_ms = match self.mood {
            Mood::Prompt { .. } => pace.apart_ms,
            Mood::Trying | Mood::Steady => pace.apart_ms.max(pace.steady_ms),
        };
        let until_ms = last.began_ms + apart_ms;
        // One that came before the append's end did not wait for it.
        let waited = self.came_ms.is_some_and(|came_ms| (last.ended_ms..last.ended_ms + WAITED_MS).contains(&came_ms));
        (now_ms < until_ms && !waited).then_some(until_ms)
    }

    /// An append begins; `is_written_on` is whether it holds two entries of one writer, who so did not wait for the first.
    pub(super) fn on_begin(&mut self, now_ms: u64, pace: AppendPace, is_written_on: bool) {
        let is_close = self.last.is_some_and(|last| now_ms < last.began_ms + pace.steady_ms);
        self.mood = match self.mood {
            Mood::Trying | Mood::Steady if is_written_on => {
                self.tried_after = TRIED_AFTER_MIN;
                Mood::Steady
            }
            Mood::Trying => {
                self.tried_after = (self.tried_after * TRIED_AFTER_FACTOR).min(TRIED_AFTER_MAX);
                Mood::Prompt { close: 0 }
            }
            Mood::Prompt { close } if is_close && close + 1 >= self.tried_after => Mood::Trying,
            Mood::Prompt { close } if is_close => Mood::Prompt { close: close + 1 },
            Mood::Prompt { .. } | Mood::Steady => Mood::Prompt { close: 0 },
        };
        self.last = Some(Last { began_ms: now_ms, ended_ms: now_ms });
        self.came_ms = None;
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
    use crate::engine::config::AppendPace;

    const PACE: AppendPace = AppendPace { apart_ms: 10, steady_ms: 200 };
    const SYNC_MS: u64 = 1;

    /// Writes for ten seconds. `next` is when the next entry is sent, of when the last one was and when that was acknowledged, if it
    /// was. Answers how many were sent, the appends that took, and the longest time until an acknowledgement.
    fn write(pace: &mut Pace, from_ms: u64, next: impl Fn(u64, Option<u64>) -> Option<u64>) -> (usize, usize, u64) {
        let (mut waiting, mut sent, mut appends, mut longest) = (Vec::new(), 0, 0, 0);
        let (mut sent_ms, mut acknowledged) = (from_ms, None);
        for now_ms in from_ms..from_ms + 10_000 {
            if sent == 0 || next(sent_ms, acknowledged) == Some(now_ms) {
                waiting.push(now_ms);
                pace.on_entry(now_ms);
                (sent, sent_ms, acknowledged) = (sent + 1, now_ms, None);
            }
            if let Some(first) = waiting.first().copied()
                && pace.held_back(now_ms, PACE, waiting.len()).is_none()
            {
                pace.on_begin(now_ms, PACE, waiting.len() > 1);
                pace.on_end(now_ms + SYNC_MS);
                longest = longest.max(now_ms + SYNC_MS - first);
                acknowledged = Some(now_ms + SYNC_MS);
                appends += 1;
                waiting.clear();
            }
        }
        (sent, appends, longest)
    }

    #[test]
    fn an_append_is_held_back_when_another_was_there_a_moment_ago_and_nobody_waited_for_it() {
        let mut pace = Pace::default();
        assert_eq!(pace.held_back(1_000, PACE, 1), None, "the first is not");
        pace.on_begin(1_000, PACE, false);
        pace.on_end(1_001);
        pace.on_entry(1_002);
        assert_eq!(pace.held_back(1_002, PACE, 1), None, "its writer seems to have waited");
        pace.on_begin(1_002, PACE, false);
        pace.on_entry(1_003);
        pace.on_end(1_004);
        assert_eq!(pace.held_back(1_004, PACE, 1), Some(1_012), "its writer did not wait");
        pace.on_begin(1_000, PACE, false);
        pace.on_end(1_001);
        pace.on_entry(1_003);
        assert_eq!(pace.held_back(1_003, PACE, 1), Some(1_010));
        assert_eq!(pace.held_back(1_009, PACE, 1), Some(1_010));
        assert_eq!(pace.held_back(1_009, PACE, HELD_BACK_MAX), None, "many are worth a sync");
        assert_eq!(pace.held_back(1_010, PACE, 1), None);
        assert_eq!(pace.held_back(1_003, AppendPace::default(), 1), None, "where no pace is wanted");
        pace.hurried = true;
        assert_eq!(pace.held_back(1_003, PACE, 1), None);
    }

    #[test]
    fn someone_who_types_on_shares_a_sync_among_several_keys() {
        let mut pace = Pace::default();
        let (sent, appends, longest) = write(&mut pace, 0, |sent_ms, _| Some(sent_ms + 50));
        assert_eq!(sent, 200);
        assert!(appends < 65, "{appends} appends for {sent} keys");
        assert!(longest <= PACE.steady_ms, "{longest} ms");

        // After a pause the first key is appended at once.
        assert_eq!(pace.held_back(20_000, PACE, 1), None);
    }

    #[test]
    fn someone_who_waits_for_each_acknowledgement_is_seldom_held_back() {
        for thinks_ms in [0, 5, 30, 100] {
            let mut pace = Pace::default();
            let next = |_, acknowledged: Option<u64>| acknowledged.map(|at_ms| at_ms + thinks_ms);
            let (sent, appends, _) = write(&mut pace, 0, next);
            let at_best = 10_000 / (SYNC_MS + thinks_ms).max(PACE.apart_ms);
            assert!(sent - appends <= 1);
            assert!(sent as u64 * 100 > at_best * 88, "{sent} of {at_best} with {thinks_ms} ms in between");
        }
    }

    #[test]
    fn someone_who_types_now_and_then_waits_for_one_sync_and_nothing_else() {
        let mut pace = Pace::default();
        let (sent, appends, longest) = write(&mut pace, 0, |sent_ms, _| Some(sent_ms + 250));
        assert_eq!((sent, appends, longest), (40, 40, SYNC_MS));
    }
}
