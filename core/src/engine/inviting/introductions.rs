//! What replicas write each other to let somebody in: taken up as it comes, and what a replica remembers of it.
//!
//! An introduction is a letter that is durable here before it is looked at, and stays until all that follows from it is on its way to the
//! disk, the answer included. A replica that ends in between takes it up again, and everything that follows from one can follow twice.

use super::asks::Asked;
use super::devices::Linked;
use super::tickets::Given;
use crate::base::codec::{Reader, Writer};
use crate::base::id::{LetterId, PeerId, SpaceId, TicketId};
use crate::base::limits::{LETTER_SECONDS_MAX, TICKET_SECONDS_MAX};
use crate::engine::Engine;
use crate::engine::effect::{Event, TroubleKind};
use crate::engine::logs::Work;
use crate::engine::post::letters::{Received, SendLetterError};
use crate::engine::trust::owned::OwnedError;
use crate::store::task::StoreTask;
use crate::trust::introduction::{Card, INTRODUCTION, Introduction};
use crate::trust::ticket::TicketError;
use std::collections::BTreeMap;

/// What the names of tickets begin with that this replica gave out; the ticket follows.
const TICKET_PREFIX: &str = "ticket/";
/// What the names of tickets begin with that this replica asked by; the ticket follows.
const ASKED_PREFIX: &str = "asked/";
/// What the names of devices begin with; the key follows.
const DEVICE_PREFIX: &str = "device/";
/// What the names of spaces begin with that another device told of; the space follows.
const CARD_PREFIX: &str = "card/";

/// What is remembered.
#[derive(Debug, Default)]
pub(in crate::engine) struct Introductions {
    /// Tickets that this replica gave out.
    pub(in crate::engine) given: BTreeMap<TicketId, Given>,
    /// Tickets that it asked by.
    pub(in crate::engine) asked: BTreeMap<TicketId, Asked>,
    /// Other devices of the same person.
    pub(in crate::engine) devices: BTreeMap<PeerId, Linked>,
    /// Spaces that these told of.
    pub(in crate::engine) cards: BTreeMap<SpaceId, Card>,
}

/// Why something about tickets or devices was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntroductionError {
    /// The text is no ticket.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// It may not be done in that space.
    #[error(transparent)]
    Owned(#[from] OwnedError),
    /// No letter can be sent.
    #[error(transparent)]
    Letter(#[from] SendLetterError),
    /// The ticket has ended.
    #[error("the link has expired: ask for a new one")]
    Ended,
    /// The ticket would end at once, or last too long.
    #[error("a link for a single use must expire after now and within {} days", TICKET_SECONDS_MAX / 86_400)]
    Lasts,
    /// It was asked by a ticket of one's own.
    #[error("this link was made on this device: open it on the other one")]
    Own,
    /// As many are remembered as may be.
    #[error("there are as many {0} as there may be: take some back, or wait until they expire")]
    Full(&'static str),
    /// There is no such ticket, or nothing more can be done with it.
    #[error("there is no such link here, or it is over")]
    NoTicket,
    /// No device of that key is linked.
    #[error("no device of that key is linked here")]
    NoDevice,
}

/// What is to become of a letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Handled {
    /// All that follows from it is done.
    Done,
    /// It is looked at again.
    Later,
}

impl Engine {
    /// Looks at every introduction that is here, until none leads on.
    pub(in crate::engine) fn take_up_introductions(&mut self) {
        loop {
            let is_one = |received: &&Received| received.kind == INTRODUCTION;
            let letters: Vec<Received> = self.post.letters.received().filter(is_one).cloned().collect();
            let done: Vec<LetterId> =
                letters.iter().filter(|letter| self.take_up(letter) == Handled::Done).map(|letter| letter.id).collect();
            if done.len() < letters.len() {
                self.send_again_later();
            }
            if done.is_empty() {
                return;
            }
            for id in done {
                self.drop_letter(id);
            }
            self.tell_introductions();
        }
    }

    /// Whether something is still to be done that introductions ask for: one has come and is not answered, or a letter has not left.
    pub fn is_introducing(&self) -> bool {
        self.post.letters.received().any(|received| received.kind == INTRODUCTION) || !self.unsent_letters().is_empty()
    }

    fn take_up(&mut self, letter: &Received) -> Handled {
        let sender = letter.sender;
        match Introduction::from_bytes(&letter.content) {
            Ok(Introduction::Ask { ticket, proof, name }) => self.on_ask(sender, ticket, &proof, &name),
            Ok(Introduction::In { ticket, card }) => self.on_let_in(sender, ticket, card),
            Ok(Introduction::Not { ticket, why }) => self.on_not_let_in(sender, ticket, why),
            Ok(Introduction::News(news)) => self.on_news(sender, news),
            Err(error) => {
                let message = format!("a letter by which somebody is to be let in cannot be read, and was thrown away: {error}");
                self.trouble(TroubleKind::Refused, None, None, message);
                Handled::Done
            }
        }
    }

    /// Writes one; answers whether it goes out. Where as many letters wait as may it does not, yet.
    pub(in crate::engine) fn introduce(&mut self, to: PeerId, introduction: &Introduction) -> bool {
        let expires = self.unix_s() + LETTER_SECONDS_MAX;
        match self.write_letter(to, INTRODUCTION, &introduction.to_bytes(), expires) {
            Ok(_) => true,
            Err(error) => {
                self.trouble(TroubleKind::Refused, None, None, format!("a letter could not be written to {to}: {error}"));
                !matches!(error, SendLetterError::Full)
            }
        }
    }

    /// Keeps a named value, or takes it away; what it is for can be done again when it is lost.
    pub(in crate::engine) fn keep(&mut self, key: String, value: Option<Vec<u8>>) {
        self.store(Work::Meta, StoreTask::PutMeta { key, value: value.unwrap_or_default() });
    }

    pub(in crate::engine) fn tell_introductions(&mut self) {
        self.tell(Event::IntroductionsChanged);
    }

    pub(in crate::engine) fn load_introductions(&mut self, meta: &[(String, Vec<u8>)]) {
        let mut unread = 0;
        let held = &mut self.introductions;
        for (name, value) in meta.iter().filter(|(_, value)| !value.is_empty()) {
            let is_read = if name.starts_with(TICKET_PREFIX) {
                Given::read(value).map(|given| drop(held.given.insert(given.ticket.id(), given)))
            } else if name.starts_with(ASKED_PREFIX) {
                Asked::read(value).map(|asked| drop(held.asked.insert(asked.ticket.id(), asked)))
            } else if let Some(key) = name.strip_prefix(DEVICE_PREFIX) {
                let read = key.parse().ok().zip(Linked::read(value));
                read.map(|(key, linked)| drop(held.devices.insert(key, linked)))
            } else if name.starts_with(CARD_PREFIX) {
                let mut r = Reader::new(value);
                Card::decode(&mut r).ok().map(|card| drop(held.cards.insert(card.space, card)))
            } else {
                Some(())
            };
            unread += usize::from(is_read.is_none());
        }
        if unread > 0 {
            let message =
                format!("{unread} stored links for a single use, devices or spaces of theirs are not sound, and are left out");
            self.trouble(TroubleKind::Damaged, None, None, message);
        }
    }
}

/// The name of a ticket that was given out.
pub(in crate::engine) fn name_of_given(id: &TicketId) -> String {
    format!("{TICKET_PREFIX}{id}")
}

/// The name of one that was asked by.
pub(in crate::engine) fn name_of_asked(id: &TicketId) -> String {
    format!("{ASKED_PREFIX}{id}")
}

/// The name of a device.
pub(in crate::engine) fn name_of_device(key: &PeerId) -> String {
    format!("{DEVICE_PREFIX}{key}")
}

/// The name of a space that another device told of, and its value.
pub(in crate::engine) fn stored_card(card: &Card) -> (String, Vec<u8>) {
    let mut w = Writer::new();
    card.encode(&mut w);
    (format!("{CARD_PREFIX}{}", card.space), w.finish())
}
