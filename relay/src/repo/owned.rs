//! Owned spaces: founded, shared by invitations, and taken back.

use super::{Repo, RepoError, Space};
use driftline_core::base::id::{DocumentId, PeerId};
use driftline_core::engine::trust::attests::Authorship;
use driftline_core::trust::invitation::InvitationError;
use std::time::Duration;

pub use driftline_core::engine::trust::disavowing::{Unvouched, Whose};
pub use driftline_core::engine::trust::owned::{Member, MemberState, Offer, OwnedError};
pub use driftline_core::trust::invitation::Invitation;
pub use driftline_core::trust::statement::Level as OfferLevel;

impl Repo {
    /// Founds a space that this repo's key owns. Nobody is let in, but by an invitation that begins with [`Space::invite`].
    pub async fn found_space(&self) -> Result<Space, RepoError> {
        let space = self.call(|engine, now| engine.found_space(now)).await??;
        Ok(self.space_of(space))
    }

    /// Founds a sealed space that this repo's key owns: what is written there is read by its members alone, and by no relay.
    pub async fn found_sealed_space(&self) -> Result<Space, RepoError> {
        let space = self.call(|engine, now| engine.found_sealed_space(now)).await??;
        Ok(self.space_of(space))
    }

    /// Joins the space that an invitation is to, under a note by which its members know this repo. The relays it names are dialled.
    ///
    /// # Errors
    ///
    /// [`RepoError::Owned`] when the text is not an invitation, or it has expired or was taken back.
    pub async fn join(&self, invitation: &str, note: &str) -> Result<Space, RepoError> {
        let invitation = Invitation::from_text(invitation).map_err(|error: InvitationError| OwnedError::from(error))?;
        let note = note.to_owned();
        for relay in &invitation.relays {
            self.add_relay(relay);
        }
        let space = self.call(move |engine, now| engine.join(now, &invitation, note)).await??;
        Ok(self.space_of(space))
    }
}

impl Space {
    /// Whether the space is sealed, and this device lacks the key to read and write what is newest there. A member's replica brings it.
    pub async fn waits_for_key(&self) -> Result<bool, RepoError> {
        let space = self.id;
        self.repo.call(move |engine, _| engine.waits_for_key(&space)).await
    }

    /// Makes a link by which whoever has it can join, as text. Send it on a way that nobody else reads.
    pub async fn invite(&self, offer: Offer) -> Result<String, RepoError> {
        let space = self.id;
        Ok(self.repo.call(move |engine, now| engine.invite(now, space, offer)).await??.to_text())
    }

    /// Who is or was let in: the owner, then everyone by whom they were let in, links included.
    pub async fn members(&self) -> Result<Vec<Member>, RepoError> {
        let space = self.id;
        Ok(self.repo.call(move |engine, _| engine.members(&space)).await??)
    }

    /// Shuts a key out. What it wrote so far stays, as far as this repo holds it; what it writes from now on is refused everywhere.
    pub async fn revoke(&self, key: PeerId) -> Result<(), RepoError> {
        let space = self.id;
        Ok(self.repo.call(move |engine, now| engine.revoke(now, space, key)).await??)
    }

    /// What this repo may do here; nothing where it may not even read.
    pub async fn level(&self) -> Result<Option<OfferLevel>, RepoError> {
        let space = self.id;
        Ok(self.repo.call(move |engine, _| engine.own_access(&space)).await?.level())
    }

    /// Who wrote what in a document, and how much of that its writers have vouched for.
    pub async fn authorship(&self, document: DocumentId) -> Result<Vec<Authorship>, RepoError> {
        self.repo.call(move |engine, _| engine.authorship(&document)).await
    }

    /// What is held here that nobody has vouched for, but this repo's own work. Whoever is writing now vouches for it within a second; what stays is somebody's last second, or made up.
    pub async fn unvouched(&self) -> Result<Vec<Unvouched>, RepoError> {
        let space = self.id;
        self.repo.call(move |engine, _| engine.unvouched(&space)).await
    }

    /// Disavows what nobody has vouched for in a document: it is set aside on every replica, with what was built on it, until its writer vouches for it after all.
    /// Answers how many changes of it were held here.
    ///
    /// # Errors
    ///
    /// [`RepoError::Owned`] when everything is vouched for, or this repo may not write.
    pub async fn disavow(&self, document: DocumentId, whose: Whose) -> Result<u64, RepoError> {
        let space = self.id;
        Ok(self.repo.call(move |engine, now| engine.disavow(now, space, document, whose)).await??)
    }

    /// Waits until a connected peer holds all that was said here of who may do what, durably: then it counts also where this repo is
    /// not. Answers whether that came to be in time.
    pub async fn members_shared(&self, within: Duration) -> Result<bool, RepoError> {
        let space = self.id;
        let mut events = self.repo.inner.host.events();
        let shared = async {
            while self.repo.call(move |engine, _| engine.roll_holders(&space)).await? == 0 {
                self.repo.inner.wait(&mut events).await?;
            }
            Ok(())
        };
        match tokio::time::timeout(within, shared).await {
            Ok(shared) => shared.map(|()| true),
            Err(_) => Ok(false),
        }
    }
}
