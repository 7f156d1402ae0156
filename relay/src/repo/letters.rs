//! Letters: a few sealed bytes for a key, which wait at relays until whoever has it comes by.

use super::{Repo, RepoError};
use driftline_core::base::id::{LetterId, PeerId};
use driftline_core::engine::effect::Event;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

pub use driftline_core::engine::post::letters::Received as Letter;

/// What became of a letter that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterState {
    /// It is durable at a relay, or with its recipient.
    Kept,
    /// It was not taken.
    Refused {
        /// Why, as a sentence.
        reason: String,
        /// Whether it will be sent again.
        tried_again: bool,
    },
}

impl Repo {
    /// Writes a letter to a key: sealed so that nobody else can read it, and kept by the relays that this repo dials until the recipient comes
    /// by, or for so long (thirty days at most). It leaves as soon as a relay is connected, also after a restart.
    ///
    /// # Errors
    ///
    /// [`RepoError::Letter`] when the content does not go into a letter (about 15 KiB do), or the key is none.
    pub async fn send_letter(
        &self,
        to: PeerId,
        kind: &str,
        content: impl Into<Vec<u8>>,
        lasts: Duration,
    ) -> Result<LetterId, RepoError> {
        let (kind, content): (String, Vec<u8>) = (kind.to_owned(), content.into());
        let sent = self.call(move |engine, now| {
            let expires = u64::try_from(now.unix_ms / 1_000).unwrap_or(0).saturating_add(lasts.as_secs());
            engine.send_letter(now, to, &kind, &content, expires)
        });
        Ok(sent.await??)
    }

    /// What became of a letter that was sent since this repo was opened; nothing while nobody has answered.
    pub fn letter_state(&self, letter: LetterId) -> Option<LetterState> {
        self.inner.known().letters.iter().find(|(known, _)| *known == letter).map(|(_, state)| state.clone())
    }

    /// Waits until a letter is durable at a relay, or with its recipient.
    ///
    /// # Errors
    ///
    /// [`RepoError::Refused`] when it was refused for good; [`RepoError::NotInTime`] with what was said last.
    pub async fn when_letter_kept(&self, letter: LetterId, within: Duration) -> Result<(), RepoError> {
        let mut events = self.inner.host.events();
        let kept = async {
            loop {
                match self.letter_state(letter) {
                    Some(LetterState::Kept) => return Ok(()),
                    Some(LetterState::Refused { reason, tried_again: false }) => return Err(RepoError::Refused(reason)),
                    _ => self.inner.wait(&mut events).await?,
                }
            }
        };
        match tokio::time::timeout(within, kept).await {
            Ok(kept) => kept,
            Err(_) => {
                let reason = match self.letter_state(letter) {
                    Some(LetterState::Refused { reason, .. }) => reason,
                    _ => "no relay has answered yet".to_owned(),
                };
                Err(RepoError::NotInTime { what: "no relay keeps the letter", within, reason })
            }
        }
    }

    /// The letters that this repo was written and has not forgotten.
    pub async fn letters(&self) -> Result<Vec<Letter>, RepoError> {
        self.call(|engine, _| engine.letters()).await
    }

    /// Waits until a connected relay has handed over all letters that waited there. Answers whether that came to be in time.
    pub async fn letters_fetched(&self, within: Duration) -> Result<bool, RepoError> {
        let mut events = self.inner.host.events();
        self.call(|engine, now| engine.fetch_letters(now)).await?;
        let fetched = async {
            while self.call(|engine, _| engine.emptied_letterboxes()).await? == 0 {
                self.inner.wait(&mut events).await?;
            }
            Ok(true)
        };
        tokio::time::timeout(within, fetched).await.unwrap_or(Ok(false))
    }

    /// Forgets a letter; answers whether it was there. It is not shown again, should a relay bring it again.
    pub async fn forget_letter(&self, letter: LetterId) -> Result<bool, RepoError> {
        self.call(move |engine, now| engine.forget_letter(now, letter)).await
    }

    /// Every letter that is here, and then each that comes, once.
    pub fn follow_letters(&self) -> Letters {
        Letters { repo: self.clone(), events: self.inner.host.events(), told: BTreeSet::new() }
    }
}

/// Letters as they come: see [`Repo::follow_letters`].
pub struct Letters {
    repo: Repo,
    events: broadcast::Receiver<Arc<Event>>,
    told: BTreeSet<LetterId>,
}

impl Letters {
    /// The next letter; nothing once the repo is closed.
    pub async fn next(&mut self) -> Option<Letter> {
        loop {
            let letters = self.repo.letters().await.ok()?;
            // What was forgotten does not come again.
            self.told.retain(|told| letters.iter().any(|letter| letter.id == *told));
            if let Some(letter) = letters.into_iter().find(|letter| !self.told.contains(&letter.id)) {
                self.told.insert(letter.id);
                return Some(letter);
            }
            self.repo.inner.wait(&mut self.events).await.ok()?;
        }
    }
}
