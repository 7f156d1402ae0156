//! How often what this replica writes leaves for peers.
//!
//! Each frame costs a relay about as much as any other, whatever is in it: it wakes the relay, and the relay everyone who follows. Somebody who types
//! faster than others can watch so has several keys share one. The first few after a pause leave at once, and as many a second as most people type;
//! what comes faster waits for its turn, and takes along what has come meanwhile (a token bucket, as in the generic cell rate algorithm of ITU-T I.371). Who
//! waits for each change to be saved elsewhere before making the next is not held up: a change leaves at once if a peer has just confirmed all before it.
//!
//! It decides only when: what a peer lacks is what its clock says, as ever, and what is sent for another reason takes along what waits.

use super::Engine;
use super::config::PushPace;
use super::timers::Timer;
use crate::base::id::{ActorId, DocumentId, SpaceId};
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds after a peer has confirmed something in which a change that is made is taken to have waited for it.
const WAITED_MS: u64 = 20;

/// What this replica has written and not sent. Times are monotonic milliseconds.
#[derive(Debug, Default)]
pub(super) struct Tempo {
    /// What this replica has written in each document that has not left, or waits for the disk.
    unsent: BTreeMap<DocumentId, Unsent>,
    /// Documents of which something that waited for this replica's disk may leave.
    released: BTreeSet<DocumentId>,
    /// Documents that wait for their turn.
    waiting: BTreeSet<DocumentId>,
    /// When a bucket that is filled anew each time would have room for all that has left.
    paid_ms: u64,
    /// Whether something has its turn in this drain: everything else that waits goes with it.
    is_turn: bool,
    /// When a peer last confirmed anything.
    confirmed_ms: Option<u64>,
}

/// The first change of a document that has not left.
#[derive(Clone, Copy, Debug)]
struct Unsent {
    actor: ActorId,
    seq: u64,
    /// Whether it was made right behind a confirmation, which its writer seems to have waited for.
    has_waited: bool,
}

impl Tempo {
    /// This replica has written in a document.
    pub(super) fn wrote(&mut self, now_ms: u64, document: DocumentId, actor: ActorId, seq: u64) {
        let has_waited = self.confirmed_ms.is_some_and(|confirmed_ms| now_ms <= confirmed_ms + WAITED_MS);
        self.unsent.entry(document).or_insert(Unsent { actor, seq, has_waited });
    }

    /// A peer has confirmed more than before.
    pub(super) fn on_confirmed(&mut self, now_ms: u64) {
        self.confirmed_ms = Some(now_ms);
    }

    /// Something that was written in a document has reached this replica's disk, and may leave.
    pub(super) fn release(&mut self, document: DocumentId) {
        if self.unsent.contains_key(&document) {
            self.released.insert(document);
        }
    }

    /// A drain begins. Answers what waits for its turn: it is looked at again whether that has come.
    pub(super) fn begin_drain(&mut self) -> BTreeSet<DocumentId> {
        self.is_turn = false;
        std::mem::take(&mut self.waiting)
    }

    /// Lets the next few leave at once.
    pub(super) fn begin_anew(&mut self) {
        self.paid_ms = 0;
    }

    /// Until when something has to wait that is to leave now; nothing if it may leave, which is then counted. `is_prompt` is whether somebody waits for it.
    fn turn_ms(&mut self, now_ms: u64, pace: PushPace, is_prompt: bool) -> Option<u64> {
        if self.is_turn {
            return None;
        }
        let room_ms = pace.apart_ms * u64::from(pace.at_once.max(1) - 1);
        let turn_ms = self.paid_ms.saturating_sub(room_ms);
        if turn_ms > now_ms && !is_prompt {
            return Some(turn_ms);
        }
        self.is_turn = true;
        // However much left that somebody waited for, it holds up nothing for longer than once.
        self.paid_ms = (self.paid_ms.max(now_ms) + pace.apart_ms).min(now_ms + room_ms + pace.apart_ms);
        None
    }
}

impl Engine {
    /// Whether a document that moved on waits for its turn: what this replica wrote in it came too soon behind what left before.
    pub(super) fn waits_for_turn(&mut self, space: SpaceId, document: DocumentId) -> bool {
        let is_held = self.mirrors.is_held(&document);
        let may_leave = !is_held || self.tempo.released.contains(&document);
        let Some(unsent) = self.tempo.unsent.get(&document).copied().filter(|_| may_leave) else { return false };
        let pace = self.config.push_pace;
        if pace.apart_ms > 0 && !self.pace.is_hurried() {
            let Unsent { actor, seq, has_waited } = unsent;
            let is_prompt = has_waited && self.is_confirmed_up_to(&space, &document, actor, seq - 1);
            if let Some(turn_ms) = self.tempo.turn_ms(self.now.monotonic_ms, pace, is_prompt) {
                self.tempo.waiting.insert(document);
                self.timers.set_no_later(Timer::Push, turn_ms);
                return true;
            }
        }
        self.tempo.released.remove(&document);
        if !is_held {
            self.tempo.unsent.remove(&document);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Tempo;
    use crate::engine::config::PushPace;

    const PACE: PushPace = PushPace { at_once: 4, apart_ms: 150 };

    /// When what is written at these times leaves: the first of all that waits, and what has come meanwhile.
    fn sent(times: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
        let mut tempo = Tempo::default();
        let (mut waiting, mut sent) = (Vec::new(), Vec::new());
        let times: Vec<u64> = times.collect();
        for now_ms in times[0]..times[times.len() - 1] + 1_000 {
            waiting.extend(times.iter().filter(|time| **time == now_ms));
            tempo.begin_drain();
            if !waiting.is_empty() && tempo.turn_ms(now_ms, PACE, false).is_none() {
                sent.extend(waiting.drain(..).map(|came_ms| (came_ms, now_ms)));
            }
        }
        sent
    }

    fn frames(sent: &[(u64, u64)]) -> usize {
        sent.chunk_by(|one, other| one.1 == other.1).count()
    }

    #[test]
    fn what_is_typed_as_fast_as_most_people_do_leaves_at_once() {
        let sent = sent((0..200).map(|key| 5_000 + key * 155));
        assert!(sent.iter().all(|(came_ms, left_ms)| came_ms == left_ms));
    }

    #[test]
    fn what_is_typed_faster_leaves_several_keys_at_a_time_and_none_is_left_behind() {
        let sent = sent((0..200).map(|key| 5_000 + key * 50));
        assert_eq!(sent.len(), 200);
        assert!(sent[..4].iter().all(|(came_ms, left_ms)| came_ms == left_ms), "the first few do not wait");
        assert!(frames(&sent) <= 5 + 200 * 50 / 150, "{}", frames(&sent));
        let longest = sent.iter().map(|(came_ms, left_ms)| left_ms - came_ms).max();
        assert!(longest <= Some(PACE.apart_ms), "{longest:?}");
    }

    #[test]
    fn after_a_pause_the_first_few_leave_at_once_again() {
        let sent = sent((0..40).map(|key| 5_000 + key * 50).chain((0..3).map(|key| 9_000 + key * 20)));
        assert!(sent[40..].iter().all(|(came_ms, left_ms)| came_ms == left_ms), "{:?}", &sent[40..]);
    }

    #[test]
    fn what_somebody_waits_for_leaves_at_once_and_holds_up_nothing_later_for_long() {
        let mut tempo = Tempo::default();
        for now_ms in 0..1_000 {
            tempo.begin_drain();
            assert_eq!(tempo.turn_ms(now_ms, PACE, true), None);
        }
        tempo.begin_drain();
        assert_eq!(tempo.turn_ms(1_000, PACE, false), Some(999 + PACE.apart_ms));
    }
}
