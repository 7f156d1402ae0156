//! Devices of one person: linked by a ticket, told of each other's spaces, and lost.
//!
//! Each device has a key of its own and is a member of its own in each space, granted by the one that linked it what that has itself. So
//! a lost one is shut out like anybody. What devices write each other is believed from those that are linked and not lost; that
//! a device is lost is believed from the one it was linked by: otherwise whoever found it could have the others disown each other.

use super::introductions::{Handled, IntroductionError, name_of_device, stored_card};
use super::tickets::TicketState;
use crate::base::codec::{Reader, Writer};
use crate::base::id::{PeerId, SpaceId, TicketId};
use crate::base::limits::{CARDS_MAX, DEVICES_MAX, GRANT_NOTE_BYTES_MAX, INVITATION_RELAYS_MAX, NAME_BYTES_MAX, NEWS_BYTES};
use crate::base::time::Now;
use crate::engine::Engine;
use crate::engine::effect::TroubleKind;
use crate::engine::trust::granting::Granting;
use crate::engine::trust::owned::{OwnedError, SEALED_NOTE_BYTES_MAX};
use crate::trust::introduction::{Card, Introduction, News, WhyNot, short_name, shortened};
use crate::trust::owned::{is_owned, is_sealed};
use crate::trust::roll::Roll;
use crate::trust::statement::{Grant, StatementId};
use crate::trust::ticket::{Purpose, Ticket};
use serde::Serialize;

/// What the note of a device's grant begins with, before what the device is called.
pub(in crate::engine) const DEVICE_NOTE: &str = "device: ";

/// Another device of the same person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its key.
    pub key: PeerId,
    /// What it is called.
    pub name: String,
    /// The device that it was linked by.
    pub by: PeerId,
    /// When it was heard of here, in seconds of Unix time.
    pub since: u64,
    /// Whether it was given up as lost.
    pub lost: bool,
}

/// A space that another device of the same person has told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceCard {
    /// The space.
    pub space: SpaceId,
    /// What it is called there.
    pub name: String,
    /// Relays that sync it.
    pub relays: Vec<String>,
}

/// What came of passing a space on to a device, or of shutting a device out of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InSpace {
    /// The space.
    pub space: SpaceId,
    /// What it is called.
    pub name: String,
    /// Why it was not done; nothing where it was.
    pub error: Option<String>,
}

/// A device, as it is kept.
#[derive(Debug)]
pub(in crate::engine) struct Linked {
    name: String,
    by: PeerId,
    since: u64,
    lost: bool,
}

impl Linked {
    fn write(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.text(&self.name);
        w.put(&self.by.0);
        w.uint(self.since);
        w.u8(u8::from(self.lost));
        w.finish()
    }

    pub(in crate::engine) fn read(value: &[u8]) -> Option<Self> {
        let mut r = Reader::new(value);
        let (name, by, since) = (r.text(NAME_BYTES_MAX).ok()?, PeerId(r.array().ok()?), r.uint().ok()?);
        let lost = r.u8().ok()? != 0;
        r.end().ok()?;
        Some(Self { name, by, since, lost })
    }
}

impl Engine {
    /// Makes a ticket by which another device of the same person is linked: it asks, and the person says here that it is theirs.
    ///
    /// # Errors
    ///
    /// The ticket would end too soon or too late, or as many are open as may be.
    pub fn give_device_ticket(
        &mut self,
        now: Now,
        from: &str,
        relays: Vec<String>,
        ends: u64,
    ) -> Result<Ticket, IntroductionError> {
        self.begin_call(now);
        self.give(Purpose::Device, ends, (String::new(), 0), from.to_owned(), relays)
    }

    /// Links the device that has asked by a ticket: grants it what this replica has itself in every owned space, and tells it of all spaces.
    /// `cards` are those that the app knows, with their names and relays; others that this replica is in are added. Answers what came
    /// of each: some may not be passed on.
    ///
    /// # Errors
    ///
    /// No device has asked by that ticket, or as many are linked as may be.
    pub fn confirm_device(&mut self, now: Now, id: TicketId, cards: Vec<SpaceCard>) -> Result<Vec<InSpace>, IntroductionError> {
        self.begin_call(now);
        let unix_s = self.unix_s();
        let given = self.introductions.given.get(&id).filter(|given| given.ticket.purpose == Purpose::Device);
        let asked = given.filter(|given| given.state_at(unix_s) == TicketState::Asked).and_then(|given| given.by.clone());
        let (key, name) = asked.ok_or(IntroductionError::NoTicket)?;
        let own = self.peer_id().ok_or(OwnedError::NotRunning)?;
        if !self.introductions.devices.contains_key(&key) && !self.has_room_for_device() {
            return Err(IntroductionError::Full("linked devices"));
        }
        let others: Vec<(PeerId, String)> = self.live_devices().filter(|(other, _)| *other != key).collect();
        self.link(key, &name, own);
        self.introduce(key, &Introduction::In { ticket: id, card: None });
        let passed = self.pass_cards(key, self.all_cards(cards));
        if !others.is_empty() {
            for (other, _) in &others {
                let news = News { linked: vec![(key, name.clone())], ..News::default() };
                self.introduce(*other, &Introduction::News(news));
            }
            self.introduce(key, &Introduction::News(News { linked: others, ..News::default() }));
        }
        // Last: where this ends before, the person is asked again.
        self.change_ticket(id, TicketState::Used, Some((key, name)));
        Ok(passed)
    }

    /// Says no to the device that has asked by a ticket.
    ///
    /// # Errors
    ///
    /// No device has asked by that ticket.
    pub fn decline_device(&mut self, now: Now, id: TicketId) -> Result<(), IntroductionError> {
        self.begin_call(now);
        self.close_ticket(id, TicketState::Declined, WhyNot::Declined)
    }

    /// The other devices of the same person, in the order of their keys.
    pub fn devices(&self) -> Vec<Device> {
        let show = |(key, linked): (&PeerId, &Linked)| {
            let Linked { name, by, since, lost } = linked;
            Device { key: *key, name: name.clone(), by: *by, since: *since, lost: *lost }
        };
        self.introductions.devices.iter().map(show).collect()
    }

    /// The spaces that other devices of the same person have told of, in order.
    pub fn cards(&self) -> Vec<SpaceCard> {
        let show = |card: &Card| SpaceCard { space: card.space, name: card.name.clone(), relays: card.relays.clone() };
        self.introductions.cards.values().map(show).collect()
    }

    /// Tells the other devices of the same person of a space that this replica is in, or what it is called now. Answers, by device, why one
    /// could not be let in.
    pub fn pass_space_on(&mut self, now: Now, card: SpaceCard) -> Vec<(PeerId, InSpace)> {
        self.begin_call(now);
        self.tell_devices(card.space, &card.name, &card.relays)
    }

    /// Gives a device up as lost: shuts it out of every owned space where this replica may, believes nothing more that it writes, and tells
    /// the other devices. Answers where it was shut out, and where this replica may not do that.
    ///
    /// # Errors
    ///
    /// No device of that key is linked.
    pub fn unlink_device(&mut self, now: Now, key: PeerId) -> Result<Vec<InSpace>, IntroductionError> {
        self.begin_call(now);
        let linked = self.introductions.devices.get_mut(&key).ok_or(IntroductionError::NoDevice)?;
        linked.lost = true;
        let value = linked.write();
        self.keep(name_of_device(&key), Some(value));
        let spaces: Vec<SpaceId> = self.trust.rolls.keys().copied().collect();
        let mut out = Vec::new();
        for space in spaces {
            let roll = &self.trust.rolls[&space].roll;
            let stands = |(id, grant): &(StatementId, &Grant)| grant.subject == key && roll.standing().stands(&grant.subject, id);
            let error = if roll.owner() == Some(key) {
                Some("the space is that device's own, and nobody can shut its owner out: make a new space".to_owned())
            } else if roll.grants().iter().any(stands) {
                match self.revoke(now, space, key) {
                    Ok(()) => {
                        // Where nobody looks at it just now, relays have to hear of it all the same.
                        self.on_open_space(space);
                        None
                    }
                    Err(error) => Some(error.to_string()),
                }
            } else {
                continue;
            };
            let name = self.introductions.cards.get(&space).map_or_else(String::new, |card| card.name.clone());
            out.push(InSpace { space, name, error });
        }
        let others: Vec<PeerId> = self.live_devices().map(|(other, _)| other).collect();
        for other in others {
            let news = News { lost: vec![key], ..News::default() };
            self.introduce(other, &Introduction::News(news));
        }
        self.tell_introductions();
        Ok(out)
    }

    /// Opens the spaces that lost devices were shut out of: a relay may not have heard of it when this replica ended.
    pub(in crate::engine) fn open_where_devices_are_lost(&mut self) {
        let lost: Vec<PeerId> =
            self.introductions.devices.iter().filter(|(_, linked)| linked.lost).map(|(key, _)| *key).collect();
        if lost.is_empty() {
            return;
        }
        let was_in = |roll: &Roll| roll.grants().iter().any(|(_, grant)| lost.contains(&grant.subject));
        let spaces: Vec<SpaceId> =
            self.trust.rolls.iter().filter(|(_, held)| was_in(&held.roll)).map(|(space, _)| *space).collect();
        spaces.into_iter().for_each(|space| self.on_open_space(space));
    }

    fn live_devices(&self) -> impl Iterator<Item = (PeerId, String)> + '_ {
        let live = self.introductions.devices.iter().filter(|(_, linked)| !linked.lost);
        live.map(|(key, linked)| (*key, linked.name.clone()))
    }

    /// Whether one more can be remembered, once the oldest lost one is forgotten.
    fn has_room_for_device(&self) -> bool {
        let devices = &self.introductions.devices;
        devices.len() < DEVICES_MAX || devices.values().any(|linked| linked.lost)
    }

    /// Takes a device for one of the same person's.
    pub(in crate::engine) fn link(&mut self, key: PeerId, name: &str, by: PeerId) {
        if !self.introductions.devices.contains_key(&key) && self.introductions.devices.len() >= DEVICES_MAX {
            let lost = self.introductions.devices.iter().filter(|(_, linked)| linked.lost).min_by_key(|(_, linked)| linked.since);
            let Some(lost) = lost.map(|(key, _)| *key) else { return };
            self.introductions.devices.remove(&lost);
            self.keep(name_of_device(&lost), None);
        }
        let linked = Linked { name: short_name(name), by, since: self.unix_s(), lost: false };
        self.keep(name_of_device(&key), Some(linked.write()));
        self.introductions.devices.insert(key, linked);
        self.tell_introductions();
    }

    /// What a device is told of: what the app knows, what other devices told of, and every owned space that this replica is in.
    fn all_cards(&self, known: Vec<SpaceCard>) -> Vec<Card> {
        let mut all: Vec<Card> = Vec::new();
        let told = self.introductions.cards.values().cloned();
        let owned = self.trust.rolls.keys().map(|space| plain_card(*space, String::new(), Vec::new()));
        for card in known.into_iter().map(|card| plain_card(card.space, card.name, card.relays)).chain(told).chain(owned) {
            let is_in = !is_owned(&card.space) || self.own_access(&card.space).level().is_some();
            if is_in && !all.iter().any(|other| other.space == card.space) && all.len() < CARDS_MAX {
                all.push(card);
            }
        }
        all
    }

    /// Tells every device of a space.
    pub(in crate::engine) fn tell_devices(&mut self, space: SpaceId, name: &str, relays: &[String]) -> Vec<(PeerId, InSpace)> {
        let devices: Vec<PeerId> = self.live_devices().map(|(key, _)| key).collect();
        let card = plain_card(space, name.to_owned(), relays.to_vec());
        let pass = |engine: &mut Self, key: PeerId| {
            engine.pass_cards(key, vec![card.clone()]).into_iter().map(|passed| (key, passed)).collect::<Vec<_>>()
        };
        devices.into_iter().flat_map(|key| pass(self, key)).collect()
    }

    /// Lets a device into spaces and tells it of them, in as few letters as hold them.
    fn pass_cards(&mut self, key: PeerId, cards: Vec<Card>) -> Vec<InSpace> {
        let (mut passed, mut portion, mut bytes) = (Vec::new(), Vec::new(), 0);
        for mut card in cards {
            card.name = short_name(&card.name);
            card.relays.truncate(INVITATION_RELAYS_MAX);
            let granted = if is_owned(&card.space) { self.grant_device(card.space, key).map(Some) } else { Ok(None) };
            let error = match granted {
                Ok(Some(grant)) => {
                    card = self.card_of(card.space, &grant, card.name, card.relays);
                    None
                }
                Ok(None) => None,
                Err(error) => Some(error.to_string()),
            };
            passed.push(InSpace { space: card.space, name: card.name.clone(), error: error.clone() });
            if error.is_some() {
                continue;
            }
            if bytes + card.size() > NEWS_BYTES && bytes > 0 {
                self.send_cards(key, std::mem::take(&mut portion));
                bytes = 0;
            }
            bytes += card.size();
            portion.push(card);
        }
        if !portion.is_empty() {
            self.send_cards(key, portion);
        }
        passed
    }

    fn send_cards(&mut self, key: PeerId, cards: Vec<Card>) {
        self.introduce(key, &Introduction::News(News { cards, ..News::default() }));
    }

    /// Grants a device what this replica has itself in a space, unless it has that already; answers the grant.
    fn grant_device(&mut self, space: SpaceId, key: PeerId) -> Result<StatementId, OwnedError> {
        let roll = self.roll_of(&space)?;
        let own = self.own_access(&space).level();
        let unix_s = self.unix_s();
        let held = roll.standing().best(&key, unix_s);
        if let Some(held) = held.filter(|held| roll.grant(held).map(|grant| grant.level) >= own) {
            return Ok(held);
        }
        let parent = self.own_grant(roll, space)?;
        let expires = parent.and_then(|parent| roll.grant(&parent)).map_or(0, |grant| grant.expires);
        let level = own.ok_or(OwnedError::NotRunning)?;
        let name = self.introductions.devices.get(&key).map_or_else(String::new, |linked| linked.name.clone());
        let note = self.note_that_fits(&space, &format!("{DEVICE_NOTE}{name}"));
        let (serial, drawn) = (self.rng.bytes(), self.rng.bytes());
        self.grant_to(space, Granting { subject: key, level, expires, note, serial, drawn })
    }

    /// A note, cut off where a grant in that space has no room for more.
    pub(in crate::engine) fn note_that_fits(&self, space: &SpaceId, note: &str) -> String {
        shortened(note, if is_sealed(space) { SEALED_NOTE_BYTES_MAX } else { GRANT_NOTE_BYTES_MAX })
    }

    /// Takes up what another device tells.
    pub(in crate::engine) fn on_news(&mut self, sender: PeerId, news: News) -> Handled {
        let is_believed = self.introductions.devices.get(&sender).is_some_and(|linked| !linked.lost);
        if !is_believed {
            // It may have overtaken the answer that makes the sender one.
            let may_be = self.introductions.asked.values().any(|asked| asked.is_device_asked(&sender));
            return if may_be { Handled::Later } else { Handled::Done };
        }
        let own = self.peer_id();
        for (key, name) in news.linked {
            if Some(key) != own && !self.introductions.devices.contains_key(&key) {
                self.link(key, &name, sender);
            }
        }
        for key in news.lost {
            // Whom this device is lost to writes to it no more, and is not written to.
            let lost = if Some(key) == own { sender } else { key };
            let is_senders = Some(key) == own || self.introductions.devices.get(&key).is_some_and(|linked| linked.by == sender);
            if let Some(linked) = self.introductions.devices.get_mut(&lost).filter(|_| is_senders) {
                linked.lost = true;
                let value = linked.write();
                self.keep(name_of_device(&lost), Some(value));
            }
        }
        for card in news.cards {
            self.take_card(card);
        }
        self.tell_introductions();
        Handled::Done
    }

    fn take_card(&mut self, card: Card) {
        let space = card.space;
        if is_owned(&space)
            && let Err(error) = self.take_card_up(&card)
        {
            let message = format!("another device told of space {space}, and what lets this one in is not good: {error}");
            return self.trouble(TroubleKind::Refused, None, None, message);
        }
        let known = self.introductions.cards.get(&space);
        if known.is_none() && self.introductions.cards.len() >= CARDS_MAX {
            let message = format!("another device told of space {space}; there is no room to remember more");
            return self.trouble(TroubleKind::Refused, None, None, message);
        }
        // Told again without a name or relays, it keeps those it had.
        let (name, relays) = known.map(|known| (known.name.clone(), known.relays.clone())).unwrap_or_default();
        let name = if card.name.is_empty() { name } else { card.name };
        let relays = if card.relays.is_empty() { relays } else { card.relays };
        let card = plain_card(space, name, relays);
        let (key, value) = stored_card(&card);
        self.keep(key, Some(value));
        self.introductions.cards.insert(space, card);
    }
}

/// A space, without what lets anybody in.
fn plain_card(space: SpaceId, name: String, relays: Vec<String>) -> Card {
    Card { space, name, relays, chain: Vec::new(), key: None }
}
