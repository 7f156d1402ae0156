//! Tickets that this replica has asked by, and what became of it.

use super::introductions::{Handled, IntroductionError, name_of_asked};
use crate::base::codec::{Reader, Writer};
use crate::base::id::{PeerId, SpaceId, TicketId};
use crate::base::limits::{ASKS_MAX, LETTER_BYTES_MAX, LETTER_SECONDS_MAX, NAME_BYTES_MAX};
use crate::base::time::Now;
use crate::engine::Engine;
use crate::engine::effect::TroubleKind;
use crate::engine::trust::owned::OwnedError;
use crate::trust::introduction::{Card, INTRODUCTION, Introduction, WhyNot, short_name};
use crate::trust::statement::Level;
use crate::trust::ticket::{Purpose, Ticket};
use serde::Serialize;

/// A ticket that this replica asked by, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ask {
    /// The ticket.
    pub id: TicketId,
    /// The space it is to; nothing where it is to link this device.
    pub space: Option<SpaceId>,
    /// What it said that one may do there.
    pub level: Option<Level>,
    /// Who is asked.
    pub giver: PeerId,
    /// What they are called, as the ticket says.
    pub from: String,
    /// Relays at which they can be asked.
    pub relays: Vec<String>,
    /// When the ticket ends, in seconds of Unix time.
    pub ends: u64,
    /// What has become of it.
    pub state: AskState,
    /// Why this replica is not let in.
    pub why: Option<WhyNot>,
    /// Six digits that the device that is asked shows, too, where this one is to be linked to it.
    pub code: Option<String>,
}

/// What has become of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AskState {
    /// There is no answer yet.
    Waiting,
    /// This replica was let in, or linked.
    In,
    /// It was not.
    Refused,
    /// Nobody answered before the ticket ended.
    Ended,
}

/// A ticket that was asked by, as it is kept.
#[derive(Debug)]
pub(in crate::engine) struct Asked {
    pub(in crate::engine) ticket: Ticket,
    name: String,
    /// What was answered.
    answer: Option<Result<(), WhyNot>>,
}

impl Asked {
    fn state_at(&self, unix_s: u64) -> AskState {
        match self.answer {
            Some(Ok(())) => AskState::In,
            Some(Err(_)) => AskState::Refused,
            None if self.ticket.ends <= unix_s => AskState::Ended,
            None => AskState::Waiting,
        }
    }

    /// Whether it was asked to be linked to that device, and there is no answer.
    pub(in crate::engine) fn is_device_asked(&self, giver: &PeerId) -> bool {
        self.answer.is_none() && self.ticket.purpose == Purpose::Device && self.ticket.giver == *giver
    }

    fn write(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.ticket.to_bytes());
        w.text(&self.name);
        w.bytes(&match self.answer {
            None => Vec::new(),
            Some(Ok(())) => vec![0],
            Some(Err(why)) => vec![why as u8],
        });
        w.finish()
    }

    pub(in crate::engine) fn read(value: &[u8]) -> Option<Self> {
        let mut r = Reader::new(value);
        let ticket = Ticket::from_bytes(r.bytes(LETTER_BYTES_MAX).ok()?).ok()?;
        let name = r.text(NAME_BYTES_MAX).ok()?;
        let answer = match r.bytes(1).ok()? {
            [] => None,
            [0] => Some(Ok(())),
            [why] => Some(Err(WhyNot::from_byte(*why)?)),
            _ => return None,
        };
        r.end().ok()?;
        Some(Self { ticket, name, answer })
    }

    fn show(&self, own: Option<PeerId>, unix_s: u64) -> Ask {
        let (space, level) = match self.ticket.purpose {
            Purpose::Space { space, level } => (Some(space), Some(level)),
            Purpose::Device => (None, None),
        };
        let Ticket { giver, from, relays, ends, .. } = self.ticket.clone();
        Ask {
            id: self.ticket.id(),
            space,
            level,
            giver,
            from,
            relays,
            ends,
            state: self.state_at(unix_s),
            why: self.answer.and_then(Result::err),
            code: own.filter(|_| space.is_none()).map(|own| self.ticket.code(&own)),
        }
    }
}

impl Engine {
    /// Asks to be let in by a ticket, under a name. The answer comes when the giver's replica hears of it, perhaps much later:
    /// [`Self::asks`] has it. Asked twice it is one question.
    ///
    /// # Errors
    ///
    /// The ticket has ended, or is of this replica's own making, or no letter can be sent.
    pub fn ask_by(&mut self, now: Now, ticket: &Ticket, name: &str) -> Result<TicketId, IntroductionError> {
        self.begin_call(now);
        let (id, unix_s) = (ticket.id(), self.unix_s());
        let own = self.peer_id().ok_or(OwnedError::NotRunning)?;
        if ticket.giver == own {
            return Err(IntroductionError::Own);
        }
        if self.introductions.asked.get(&id).is_some_and(|asked| asked.state_at(unix_s) != AskState::Ended) {
            return Ok(id);
        }
        if ticket.ends <= unix_s {
            return Err(IntroductionError::Ended);
        }
        self.make_room_for_ask(unix_s)?;
        let name = short_name(name);
        let ask = Introduction::Ask { ticket: id, proof: ticket.proof(&own, &name), name: name.clone() };
        // Nobody is let in after the end, so the letter need not last longer.
        let expires = ticket.ends.min(unix_s + LETTER_SECONDS_MAX);
        let asked = Asked { ticket: ticket.clone(), name, answer: None };
        // Should this end in between, what was asked is on the disk before the letter is.
        self.keep(name_of_asked(&id), Some(asked.write()));
        self.introductions.asked.insert(id, asked);
        if let Err(error) = self.write_letter(ticket.giver, INTRODUCTION, &ask.to_bytes(), expires) {
            self.forget_asked(id);
            return Err(error.into());
        }
        self.tell_introductions();
        Ok(id)
    }

    fn make_room_for_ask(&mut self, unix_s: u64) -> Result<(), IntroductionError> {
        let asked = &self.introductions.asked;
        if asked.len() < ASKS_MAX {
            return Ok(());
        }
        let is_over = |asked: &&Asked| asked.state_at(unix_s) != AskState::Waiting;
        let over = asked.values().filter(is_over).min_by_key(|asked| asked.ticket.ends).map(|asked| asked.ticket.id());
        self.forget_asked(over.ok_or(IntroductionError::Full("links that this device waits to be let in by"))?);
        Ok(())
    }

    /// The tickets that this replica has asked by and not forgotten, those that end first coming first.
    pub fn asks(&self) -> Vec<Ask> {
        let (own, unix_s) = (self.peer_id(), self.unix_s());
        let mut asks: Vec<Ask> = self.introductions.asked.values().map(|asked| asked.show(own, unix_s)).collect();
        asks.sort_by_key(|ask| (ask.ends, ask.id));
        asks
    }

    /// Forgets that it asked by a ticket; an answer that comes then changes nothing. Answers whether it had asked.
    pub fn forget_ask(&mut self, now: Now, id: TicketId) -> bool {
        self.begin_call(now);
        let was_there = self.forget_asked(id);
        if was_there {
            self.tell_introductions();
        }
        was_there
    }

    fn forget_asked(&mut self, id: TicketId) -> bool {
        let was_there = self.introductions.asked.remove(&id).is_some();
        if was_there {
            self.keep(name_of_asked(&id), None);
        }
        was_there
    }

    /// What someone says who was asked; nothing where nobody asked them that.
    fn asked_of(&mut self, sender: &PeerId, id: &TicketId) -> Option<&mut Asked> {
        self.introductions.asked.get_mut(id).filter(|asked| asked.ticket.giver == *sender)
    }

    fn settle_ask(&mut self, sender: &PeerId, id: TicketId, answer: Result<(), WhyNot>) {
        let Some(asked) = self.asked_of(sender, &id) else { return };
        asked.answer = Some(answer);
        let value = asked.write();
        self.keep(name_of_asked(&id), Some(value));
        self.tell_introductions();
    }

    pub(in crate::engine) fn on_not_let_in(&mut self, sender: PeerId, id: TicketId, why: WhyNot) -> Handled {
        if self.asked_of(&sender, &id).is_some_and(|asked| asked.answer != Some(Ok(()))) {
            self.settle_ask(&sender, id, Err(why));
        }
        Handled::Done
    }

    pub(in crate::engine) fn on_let_in(&mut self, sender: PeerId, id: TicketId, card: Option<Card>) -> Handled {
        let Some(asked) = self.asked_of(&sender, &id) else { return Handled::Done };
        if asked.answer == Some(Ok(())) {
            return Handled::Done;
        }
        let (purpose, from) = (asked.ticket.purpose, asked.ticket.from.clone());
        match (purpose, card) {
            (Purpose::Device, _) => self.link(sender, &from, sender),
            (Purpose::Space { space, .. }, Some(card)) if card.space == space => {
                if let Err(error) = self.take_card_up(&card) {
                    self.trouble(
                        TroubleKind::Refused,
                        None,
                        None,
                        format!("what lets this device into space {space} is not good: {error}"),
                    );
                    return Handled::Done;
                }
                self.on_open_space(space);
                self.tell_devices(space, "", &card.relays);
            }
            _ => return Handled::Done,
        }
        self.settle_ask(&sender, id, Ok(()));
        Handled::Done
    }
}
