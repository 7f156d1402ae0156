//! Links for a single use, and several devices of one person.

use super::{Repo, RepoError, Space};
use driftline_core::base::id::PeerId;
use driftline_core::trust::ticket::Ticket;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use driftline_core::base::id::TicketId;
pub use driftline_core::engine::inviting::asks::{Ask, AskState};
pub use driftline_core::engine::inviting::devices::{Device as LinkedDevice, InSpace, SpaceCard};
pub use driftline_core::engine::inviting::introductions::IntroductionError;
pub use driftline_core::engine::inviting::tickets::{OnceOffer, TicketGiven, TicketState};

impl Space {
    /// Makes a link by which one person can join, as text, and what it is known by. They are let in when this repo hears of them, at once or
    /// when it is opened again; whoever comes second is refused.
    ///
    /// # Errors
    ///
    /// [`RepoError::Introduction`] when this repo may not let anybody in, or the link would end too soon or too late.
    pub async fn invite_once(&self, offer: OnceOffer) -> Result<(TicketId, String), RepoError> {
        let space = self.id;
        let ticket = self.repo.call(move |engine, now| engine.give_ticket(now, space, offer)).await??;
        Ok((ticket.id(), ticket.to_text()))
    }
}

impl Repo {
    /// Makes a link by which another device of the same person can be linked within so long, as text, and what it is known by.
    ///
    /// # Errors
    ///
    /// [`RepoError::Introduction`] when it would last too long, or as many are open as may be.
    pub async fn device_link(&self, name: &str, relays: Vec<String>, lasts: Duration) -> Result<(TicketId, String), RepoError> {
        let (name, ends) = (name.to_owned(), now_s().saturating_add(lasts.as_secs()));
        let ticket = self.call(move |engine, now| engine.give_device_ticket(now, &name, relays, ends)).await??;
        Ok((ticket.id(), ticket.to_text()))
    }

    /// Asks to be let in by a link for a single use, or to be linked by one for a device, under a name. The relays it names are dialled. The
    /// answer comes when the other side hears of it: see [`Self::when_answered`]. Asking again is the same question.
    ///
    /// # Errors
    ///
    /// [`RepoError::Introduction`] when the text is no such link, or it has expired, or was made here.
    pub async fn ask_by(&self, link: &str, name: &str) -> Result<TicketId, RepoError> {
        let ticket = Ticket::from_text(link).map_err(IntroductionError::from)?;
        for relay in &ticket.relays {
            self.add_relay(relay);
        }
        let name = name.to_owned();
        Ok(self.call(move |engine, now| engine.ask_by(now, &ticket, &name)).await??)
    }

    /// Waits until a question is answered, or its link has ended; answers how it stands, also when that does not come to be in time.
    pub async fn when_answered(&self, id: TicketId, within: Duration) -> Result<Option<Ask>, RepoError> {
        let mut events = self.inner.host.events();
        let asked = || async { Ok::<_, RepoError>(self.asks().await?.into_iter().find(|ask| ask.id == id)) };
        let answered = async {
            loop {
                match asked().await? {
                    Some(ask) if ask.state == AskState::Waiting => self.inner.wait(&mut events).await?,
                    answered => return Ok(answered),
                }
            }
        };
        match tokio::time::timeout(within, answered).await {
            Ok(answered) => answered,
            Err(_) => asked().await,
        }
    }

    /// The links that this repo has asked by, and what became of it.
    pub async fn asks(&self) -> Result<Vec<Ask>, RepoError> {
        self.call(|engine, _| engine.asks()).await
    }

    /// Forgets that it asked by a link; answers whether it had.
    pub async fn forget_ask(&self, id: TicketId) -> Result<bool, RepoError> {
        self.call(move |engine, now| engine.forget_ask(now, id)).await
    }

    /// The links for a single use that were made here and are remembered, and how they stand.
    pub async fn tickets(&self) -> Result<Vec<TicketGiven>, RepoError> {
        self.call(|engine, _| engine.tickets()).await
    }

    /// Waits until somebody has asked by a link that was made here, or it is over; answers how it stands, also when that does not come to
    /// be in time.
    pub async fn when_asked(&self, id: TicketId, within: Duration) -> Result<Option<TicketGiven>, RepoError> {
        let mut events = self.inner.host.events();
        let given = || async { Ok::<_, RepoError>(self.tickets().await?.into_iter().find(|given| given.id == id)) };
        let asked = async {
            loop {
                match given().await? {
                    Some(ticket) if ticket.state == TicketState::Open => self.inner.wait(&mut events).await?,
                    asked => return Ok(asked),
                }
            }
        };
        match tokio::time::timeout(within, asked).await {
            Ok(asked) => asked,
            Err(_) => given().await,
        }
    }

    /// Takes a link back by which nobody was let in.
    pub async fn take_back_ticket(&self, id: TicketId) -> Result<(), RepoError> {
        Ok(self.call(move |engine, now| engine.take_back_ticket(now, id)).await??)
    }

    /// Links the device that has asked: it is granted what this one has itself in every owned space, and told of all spaces, those of `cards`
    /// with their names and relays. Answers what came of each.
    pub async fn confirm_device(&self, id: TicketId, cards: Vec<SpaceCard>) -> Result<Vec<InSpace>, RepoError> {
        Ok(self.call(move |engine, now| engine.confirm_device(now, id, cards)).await??)
    }

    /// Says no to the device that has asked.
    pub async fn decline_device(&self, id: TicketId) -> Result<(), RepoError> {
        Ok(self.call(move |engine, now| engine.decline_device(now, id)).await??)
    }

    /// The other devices of the same person.
    pub async fn devices(&self) -> Result<Vec<LinkedDevice>, RepoError> {
        self.call(|engine, _| engine.devices()).await
    }

    /// The spaces that other devices of the same person have told of.
    pub async fn cards(&self) -> Result<Vec<SpaceCard>, RepoError> {
        self.call(|engine, _| engine.cards()).await
    }

    /// Tells the other devices of a space, or what it is called now. Spaces that this repo founds or joins are told of by themselves.
    pub async fn pass_space_on(&self, card: SpaceCard) -> Result<Vec<(PeerId, InSpace)>, RepoError> {
        self.call(move |engine, now| engine.pass_space_on(now, card)).await
    }

    /// Gives a device up as lost: it is shut out of every space where this one may do that, and nothing more that it writes is believed.
    pub async fn unlink_device(&self, key: PeerId) -> Result<Vec<InSpace>, RepoError> {
        Ok(self.call(move |engine, now| engine.unlink_device(now, key)).await??)
    }

    /// Waits until everything that has come was answered, and every letter has left. Answers whether that came to be in time.
    pub async fn introductions_settled(&self, within: Duration) -> Result<bool, RepoError> {
        let mut events = self.inner.host.events();
        let settled = async {
            while self.call(|engine, _| engine.is_introducing()).await? {
                self.inner.wait(&mut events).await?;
            }
            Ok(true)
        };
        tokio::time::timeout(within, settled).await.unwrap_or(Ok(false))
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
