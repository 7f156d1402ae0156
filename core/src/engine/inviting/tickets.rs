//! Tickets that this replica gives out: whoever asks first by one is let in, and nobody else.
//!
//! That a ticket is used is on the disk before anything leaves by which somebody is let in, so no crash makes it work twice.

use super::introductions::{Handled, IntroductionError, name_of_given};
use crate::base::codec::{Reader, Writer};
use crate::base::id::{PeerId, SpaceId, TicketId};
use crate::base::limits::{
    GRANT_NOTE_BYTES_MAX, INVITATION_RELAYS_MAX, LETTER_BYTES_MAX, NAME_BYTES_MAX, TICKET_SECONDS_MAX, TICKETS_MAX,
};
use crate::base::time::Now;
use crate::engine::Engine;
use crate::engine::effect::TroubleKind;
use crate::engine::logs::Work;
use crate::engine::trust::granting::Granting;
use crate::engine::trust::owned::OwnedError;
use crate::store::task::{StoreError, StoreTask};
use crate::trust::introduction::{Introduction, WhyNot, short_name};
use crate::trust::statement::Level;
use crate::trust::ticket::{Purpose, Ticket};
use serde::Serialize;

/// What a ticket to a space gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceOffer {
    /// What whoever comes in may do.
    pub level: Level,
    /// When that ends, in seconds of Unix time; 0 for never.
    pub expires: u64,
    /// What they are called where they say nothing themselves.
    pub note: String,
    /// What the giver is called, for whoever waits.
    pub from: String,
    /// Relays at which both can be reached.
    pub relays: Vec<String>,
    /// When the ticket ends, in seconds of Unix time.
    pub ends: u64,
}

/// A ticket that this replica gave out, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TicketGiven {
    /// By what it is known.
    pub id: TicketId,
    /// Where it lets in; nothing where it is for a device.
    pub space: Option<SpaceId>,
    /// What it lets whoever has it do.
    pub level: Option<Level>,
    /// What it was called.
    pub note: String,
    /// When it ends, in seconds of Unix time.
    pub ends: u64,
    /// How it stands.
    pub state: TicketState,
    /// Who asked, or was let in.
    pub key: Option<PeerId>,
    /// What they call themselves.
    pub name: String,
    /// Six digits that the device that asks shows, too.
    pub code: Option<String>,
}

/// How a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TicketState {
    /// Nobody has asked.
    Open,
    /// A device has, and its person is to say yes or no.
    Asked,
    /// Someone was let in by it.
    Used,
    /// It was taken back.
    TakenBack,
    /// The person said no.
    Declined,
    /// Two devices asked by it, so that it was seen by somebody else.
    TwoAsked,
    /// It has ended unused.
    Ended,
}

/// A ticket that was given out, as it is kept.
#[derive(Debug)]
pub(in crate::engine) struct Given {
    pub(in crate::engine) ticket: Ticket,
    note: String,
    expires: u64,
    pub(in crate::engine) state: TicketState,
    /// Who asked, under which name.
    pub(in crate::engine) by: Option<(PeerId, String)>,
    /// Whether a crash could no more take that it is used.
    durable: bool,
}

const STATES: [TicketState; 6] = [
    TicketState::Open,
    TicketState::Asked,
    TicketState::Used,
    TicketState::TakenBack,
    TicketState::Declined,
    TicketState::TwoAsked,
];

impl Given {
    pub(in crate::engine) fn state_at(&self, unix_s: u64) -> TicketState {
        match self.state {
            TicketState::Open | TicketState::Asked if self.ticket.ends <= unix_s => TicketState::Ended,
            state => state,
        }
    }

    pub(in crate::engine) fn write(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.ticket.to_bytes());
        w.text(&self.note);
        w.uint(self.expires);
        w.u8(STATES.iter().position(|state| *state == self.state).map_or(0, |at| at as u8));
        w.u8(u8::from(self.by.is_some()));
        if let Some((key, name)) = &self.by {
            w.put(&key.0);
            w.text(name);
        }
        w.finish()
    }

    pub(in crate::engine) fn read(value: &[u8]) -> Option<Self> {
        let mut r = Reader::new(value);
        let ticket = Ticket::from_bytes(r.bytes(LETTER_BYTES_MAX).ok()?).ok()?;
        let (note, expires) = (r.text(GRANT_NOTE_BYTES_MAX).ok()?, r.uint().ok()?);
        let state = *STATES.get(usize::from(r.u8().ok()?))?;
        let by = if r.u8().ok()? == 1 { Some((PeerId(r.array().ok()?), r.text(NAME_BYTES_MAX).ok()?)) } else { None };
        r.end().ok()?;
        Some(Self { ticket, note, expires, state, by, durable: true })
    }

    fn show(&self, unix_s: u64) -> TicketGiven {
        let (space, level) = match self.ticket.purpose {
            Purpose::Space { space, level } => (Some(space), Some(level)),
            Purpose::Device => (None, None),
        };
        let (key, name) = self.by.clone().map_or((None, String::new()), |(key, name)| (Some(key), name));
        TicketGiven {
            id: self.ticket.id(),
            space,
            level,
            note: self.note.clone(),
            ends: self.ticket.ends,
            state: self.state_at(unix_s),
            code: key.filter(|_| space.is_none()).map(|key| self.ticket.code(&key)),
            key,
            name,
        }
    }
}

impl Engine {
    /// Makes a ticket, by which the first who asks is let into a space while this replica is at work, or when it is again.
    ///
    /// # Errors
    ///
    /// This replica may not let anybody in there, or the ticket would end too soon or too late, or as many are open as may be.
    pub fn give_ticket(&mut self, now: Now, space: SpaceId, offer: OnceOffer) -> Result<Ticket, IntroductionError> {
        self.begin_call(now);
        if offer.note.len() > GRANT_NOTE_BYTES_MAX {
            return Err(OwnedError::NoteTooLong.into());
        }
        self.may_grant(space, offer.level)?;
        let purpose = Purpose::Space { space, level: offer.level };
        // Nobody is let in by it when what it gives is over.
        let ends = if offer.expires == 0 { offer.ends } else { offer.ends.min(offer.expires) };
        self.give(purpose, ends, (offer.note, offer.expires), offer.from, offer.relays)
    }

    pub(in crate::engine) fn give(
        &mut self,
        purpose: Purpose,
        ends: u64,
        (note, expires): (String, u64),
        from: String,
        relays: Vec<String>,
    ) -> Result<Ticket, IntroductionError> {
        let unix_s = self.unix_s();
        if ends <= unix_s || ends > unix_s + TICKET_SECONDS_MAX {
            return Err(IntroductionError::Lasts);
        }
        let giver = self.peer_id().ok_or(OwnedError::NotRunning)?;
        self.make_room_for_ticket(unix_s)?;
        let relays = relays.into_iter().take(INVITATION_RELAYS_MAX).collect();
        let ticket = Ticket { purpose, giver, secret: self.rng.bytes(), ends, from: short_name(&from), relays };
        let given = Given { ticket: ticket.clone(), note, expires, state: TicketState::Open, by: None, durable: true };
        self.keep(name_of_given(&ticket.id()), Some(given.write()));
        self.introductions.given.insert(ticket.id(), given);
        self.tell_introductions();
        Ok(ticket)
    }

    fn make_room_for_ticket(&mut self, unix_s: u64) -> Result<(), IntroductionError> {
        let given = &self.introductions.given;
        if given.len() < TICKETS_MAX {
            return Ok(());
        }
        let is_over = |given: &&Given| !matches!(given.state_at(unix_s), TicketState::Open | TicketState::Asked);
        let over = given.values().filter(is_over).min_by_key(|given| given.ticket.ends).map(|given| given.ticket.id());
        let id = over.ok_or(IntroductionError::Full("open links for a single use"))?;
        self.introductions.given.remove(&id);
        self.keep(name_of_given(&id), None);
        Ok(())
    }

    /// The tickets that this replica gave out and remembers, those that end first coming first.
    pub fn tickets(&self) -> Vec<TicketGiven> {
        let unix_s = self.unix_s();
        let mut shown: Vec<TicketGiven> = self.introductions.given.values().map(|given| given.show(unix_s)).collect();
        shown.sort_by_key(|given| (given.ends, given.id));
        shown
    }

    /// Takes a ticket back that nobody was let in by: who asks by it from now on is told so.
    ///
    /// # Errors
    ///
    /// There is no such ticket, or it is over.
    pub fn take_back_ticket(&mut self, now: Now, id: TicketId) -> Result<(), IntroductionError> {
        self.begin_call(now);
        self.close_ticket(id, TicketState::TakenBack, WhyNot::TakenBack)
    }

    /// Ends a ticket that nobody was let in by, and tells whoever has asked by it.
    pub(in crate::engine) fn close_ticket(
        &mut self,
        id: TicketId,
        state: TicketState,
        why: WhyNot,
    ) -> Result<(), IntroductionError> {
        let given = self.introductions.given.get(&id).filter(|given| {
            matches!(given.state, TicketState::Open | TicketState::Asked | TicketState::Declined | TicketState::TakenBack)
        });
        let asked = given.ok_or(IntroductionError::NoTicket)?.by.clone();
        self.change_ticket(id, state, None);
        if let Some((key, _)) = asked {
            self.introduce(key, &Introduction::Not { ticket: id, why });
        }
        Ok(())
    }

    /// Notes how a ticket stands from now on, where a crash could take that without harm.
    pub(in crate::engine) fn change_ticket(&mut self, id: TicketId, state: TicketState, by: Option<(PeerId, String)>) {
        let Some(given) = self.introductions.given.get_mut(&id) else { return };
        (given.state, given.by) = (state, by);
        let value = given.write();
        self.keep(name_of_given(&id), Some(value));
        self.tell_introductions();
    }

    /// Someone asks.
    pub(in crate::engine) fn on_ask(&mut self, sender: PeerId, id: TicketId, proof: &[u8; 32], name: &str) -> Handled {
        let unix_s = self.unix_s();
        let Some(given) = self.introductions.given.get_mut(&id) else { return Handled::Done };
        if !given.ticket.is_proof(&sender, name, proof) {
            let message = format!("{sender} asked to be let in by a link without knowing its secret, and was not");
            self.trouble(TroubleKind::Refused, None, None, message);
            return Handled::Done;
        }
        let is_sender = given.by.as_ref().is_some_and(|(key, _)| *key == sender);
        let why = match given.state_at(unix_s) {
            TicketState::Used if is_sender && !given.durable => return Handled::Later,
            TicketState::Used if is_sender && given.ticket.purpose == Purpose::Device => return Handled::Done,
            TicketState::Used if is_sender => return self.let_in(id),
            TicketState::Used => WhyNot::Used,
            TicketState::TakenBack => WhyNot::TakenBack,
            TicketState::Declined => WhyNot::Declined,
            TicketState::TwoAsked => WhyNot::TwoAsked,
            TicketState::Ended => WhyNot::Ended,
            TicketState::Asked if is_sender => return Handled::Done,
            TicketState::Asked => {
                let first = given.by.as_ref().map(|(key, _)| *key);
                self.change_ticket(id, TicketState::TwoAsked, None);
                if let Some(first) = first {
                    self.introduce(first, &Introduction::Not { ticket: id, why: WhyNot::TwoAsked });
                }
                WhyNot::TwoAsked
            }
            TicketState::Open if given.ticket.purpose == Purpose::Device => {
                self.change_ticket(id, TicketState::Asked, Some((sender, name.to_owned())));
                return Handled::Done;
            }
            TicketState::Open => {
                (given.state, given.by, given.durable) = (TicketState::Used, Some((sender, name.to_owned())), false);
                let (key, value) = (name_of_given(&id), given.write());
                self.store(Work::Ticket { ticket: id }, StoreTask::PutMeta { key, value });
                return Handled::Later;
            }
        };
        self.answer(sender, &Introduction::Not { ticket: id, why })
    }

    fn answer(&mut self, to: PeerId, answer: &Introduction) -> Handled {
        if self.introduce(to, answer) { Handled::Done } else { Handled::Later }
    }

    /// Whoever asked is let in once it is durable that the ticket is used.
    pub(in crate::engine) fn on_ticket_stored(&mut self, id: TicketId, result: Result<(), StoreError>) {
        let Some(given) = self.introductions.given.get_mut(&id) else { return };
        match result {
            Ok(()) => {
                given.durable = true;
                self.take_up_introductions();
            }
            Err(error) => {
                (given.state, given.by, given.durable) = (TicketState::Open, None, true);
                let message = format!("nobody is let in while this device cannot store who was; tried again. {}", error.message);
                self.trouble(TroubleKind::StoreWrite, None, None, message);
                self.send_again_later();
            }
        }
        self.tell_introductions();
    }

    /// Lets in whoever has used a ticket; done twice it is one grant.
    fn let_in(&mut self, id: TicketId) -> Handled {
        let Some(Given { ticket, note, expires, by: Some((subject, name)), .. }) = self.introductions.given.get(&id) else {
            return Handled::Done;
        };
        let Purpose::Space { space, level } = ticket.purpose else { return Handled::Done };
        let mut serial = [0; 8];
        serial.copy_from_slice(&id.0[..8]);
        let called = if name.is_empty() { note } else { name };
        let note = self.note_that_fits(&space, called);
        let (subject, relays) = (*subject, ticket.relays.clone());
        let drawn = ticket.drawn(&subject, &note);
        let granting = Granting { subject, level, expires: *expires, note, serial, drawn };
        let answer = match self.grant_to(space, granting) {
            // Shut out since, they are not let in by the same link.
            Ok(grant) if !self.stands_in(&space, &subject, &grant) => Introduction::Not { ticket: id, why: WhyNot::TakenBack },
            Ok(grant) => {
                let card = self.card_of(space, &grant, String::new(), relays);
                Introduction::In { ticket: id, card: Some(card) }
            }
            Err(error) => {
                let message = format!("someone has used a link to space {space} and cannot be let in: {error}");
                self.trouble(TroubleKind::Forbidden, None, None, message);
                Introduction::Not { ticket: id, why: WhyNot::NotAllowed }
            }
        };
        self.answer(subject, &answer)
    }
}
