//! What is counted of automerge-repo's clients, for `/metrics`.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Why a client was refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It did not say who it is, or in no version that is spoken.
    NotJoined,
    /// A message that is none.
    Malformed,
    /// A message above the limit.
    TooLarge,
    /// A sync message that is not sound, or changes that are not.
    BadSync,
    /// Changes that the engine does not take.
    NotTaken,
    /// A document of another space.
    NotHere,
    /// More documents than may be synced.
    LimitReached,
    /// The relay could not go on.
    Bug,
}

impl Refusal {
    /// Every reason, in the order of the variants, with the word for it in metrics.
    pub(crate) const WORDS: [(Self, &'static str); 8] = [
        (Self::NotJoined, "not_joined"),
        (Self::Malformed, "malformed"),
        (Self::TooLarge, "too_large"),
        (Self::BadSync, "bad_sync"),
        (Self::NotTaken, "not_taken"),
        (Self::NotHere, "not_here"),
        (Self::LimitReached, "limit_reached"),
        (Self::Bug, "bug"),
    ];
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    messages_in: AtomicU64,
    bytes_in: AtomicU64,
    messages_out: AtomicU64,
    bytes_out: AtomicU64,
    refused: [AtomicU64; Refusal::WORDS.len()],
}

impl Counts {
    /// Counts a message that came.
    pub(super) fn on_in(&self, bytes: usize) {
        self.messages_in.fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts a message that a client is sent.
    pub(super) fn on_out(&self, bytes: usize) {
        self.messages_out.fetch_add(1, Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts something that was refused.
    pub(super) fn on_refused(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// Messages that came, and their bytes.
    pub(crate) fn taken(&self) -> (u64, u64) {
        (self.messages_in.load(Relaxed), self.bytes_in.load(Relaxed))
    }

    /// Messages that clients were sent, and their bytes.
    pub(crate) fn sent(&self) -> (u64, u64) {
        (self.messages_out.load(Relaxed), self.bytes_out.load(Relaxed))
    }

    /// How often something was refused, by why.
    pub(crate) fn refused(&self) -> [(&'static str, u64); Refusal::WORDS.len()] {
        Refusal::WORDS.map(|(why, word)| (word, self.refused[why as usize].load(Relaxed)))
    }
}

/// What is held for clients now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Clients that have joined.
    pub(crate) clients: usize,
    /// Documents whose state of syncing is held.
    pub(crate) documents: usize,
    /// Those of them that are in memory.
    pub(crate) loaded: usize,
    /// What these take there, about, in bytes.
    pub(crate) loaded_bytes: usize,
    /// Bytes above which those used least are let go of.
    pub(crate) loaded_bytes_max: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_under_its_own_word() {
        let counts = Counts::default();
        for (at, (why, word)) in Refusal::WORDS.into_iter().enumerate() {
            (0..=at).for_each(|_| counts.on_refused(why));
            assert_eq!(counts.refused()[at], (word, at as u64 + 1));
        }
    }
}
