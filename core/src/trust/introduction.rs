//! Introductions: what replicas write each other, by letter, so that somebody is let in.
//!
//! Who has a [`super::ticket`] *asks* its giver. The giver *answers* that they are in, or why not. Devices of one person send each other
//! *news*: of spaces that one of them came into, and of devices that were linked or lost. A letter's own signature says who wrote it.

use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{PeerId, SpaceId, TicketId};
use crate::base::limits::{
    DEVICES_MAX, GRANT_CHAIN_MAX, INVITATION_RELAYS_MAX, LETTER_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX,
};
use serde::Serialize;

/// The kind of letter that an introduction is.
pub const INTRODUCTION: &str = "driftline introduction 1";

const ASK: u8 = 1;
const ANSWER_IN: u8 = 2;
const ANSWER_NOT: u8 = 3;
const NEWS: u8 = 4;
/// Most spaces in one letter: so many of the shortest fill it.
const CARDS_IN_NEWS_MAX: usize = 512;

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Introduction {
    /// Someone has a ticket and wants in.
    Ask {
        /// Which.
        ticket: TicketId,
        /// What shows that they have its secret.
        proof: [u8; 32],
        /// What they, or their device, are called.
        name: String,
    },
    /// They are let in.
    In {
        /// By which ticket.
        ticket: TicketId,
        /// Where; nothing where it was for a device.
        card: Option<Card>,
    },
    /// They are not.
    Not {
        /// By which ticket.
        ticket: TicketId,
        /// Why.
        why: WhyNot,
    },
    /// From another device of the same person.
    News(News),
}

/// What devices of one person tell each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Devices that are linked, by what they are called.
    pub linked: Vec<(PeerId, String)>,
    /// Devices that are lost.
    pub lost: Vec<PeerId>,
    /// Spaces that the sender is in.
    pub cards: Vec<Card>,
}

/// A space, as somebody is told of it who is let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    /// The space.
    pub space: SpaceId,
    /// What the sender calls it.
    pub name: String,
    /// Relays that sync it.
    pub relays: Vec<String>,
    /// In an owned space, what shows that the recipient is in it, as [`super::roll::Roll::chain`] gives it.
    pub chain: Vec<Vec<u8>>,
    /// In a sealed space, the id of the epoch that leads and its key.
    pub key: Option<([u8; 32], [u8; 32])>,
}

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is the members'.
        f.debug_struct("Card").field("space", &self.space).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why someone with a ticket is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum WhyNot {
    /// Someone else was let in by it.
    Used = 1,
    /// It had ended when the giver's replica heard.
    Ended = 2,
    /// It was taken back.
    TakenBack = 3,
    /// The giver may not let anybody in there, or no longer.
    NotAllowed = 4,
    /// The giver's person said no.
    Declined = 5,
    /// Two devices asked by it: it is not to be trusted.
    TwoAsked = 6,
}

impl WhyNot {
    /// A sentence for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Used => "the link works once, and someone else has used it: ask for a new one",
            Self::Ended => "the link had expired when it was asked about: ask for a new one",
            Self::TakenBack => "the link was taken back: ask for a new one",
            Self::NotAllowed => "whoever gave the link out may not let anybody in there: ask the owner, or an admin",
            Self::Declined => "it was declined on the other device",
            Self::TwoAsked => "two devices have used the link, so somebody else has seen it: make a new one on the other device",
        }
    }

    /// The reason that a byte stands for.
    pub fn from_byte(byte: u8) -> Option<Self> {
        let all = [Self::Used, Self::Ended, Self::TakenBack, Self::NotAllowed, Self::Declined, Self::TwoAsked];
        all.into_iter().find(|why| *why as u8 == byte)
    }
}

impl Card {
    /// The bytes of it.
    pub fn encode(&self, w: &mut Writer) {
        w.put(&self.space.0);
        w.text(&self.name);
        w.uint(self.relays.len() as u64);
        for relay in &self.relays {
            w.text(relay);
        }
        w.uint(self.chain.len() as u64);
        for statement in &self.chain {
            w.bytes(statement);
        }
        w.u8(u8::from(self.key.is_some()));
        if let Some((epoch, key)) = &self.key {
            w.put(epoch);
            w.put(key);
        }
    }

    /// Reads what was written.
    ///
    /// # Errors
    ///
    /// It does not decode.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (space, name) = (SpaceId(r.array()?), r.text(NAME_BYTES_MAX)?);
        let count = r.count(INVITATION_RELAYS_MAX, 1)?;
        let relays = (0..count).map(|_| r.text(TEXT_BYTES_MAX)).collect::<Result<_, DecodeError>>()?;
        let count = r.count(GRANT_CHAIN_MAX + 1, 1)?;
        let chain = (0..count).map(|_| Ok(r.bytes(LETTER_BYTES_MAX)?.to_vec())).collect::<Result<_, DecodeError>>()?;
        let key = match r.u8()? {
            0 => None,
            1 => Some((r.array()?, r.array()?)),
            tag => return Err(DecodeError::UnknownTag { what: "a key", tag }),
        };
        Ok(Self { space, name, relays, chain, key })
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let texts = self.relays.iter().map(|relay| relay.len() + 2).sum::<usize>() + self.name.len() + 2;
        16 + 2 + 65 + texts + self.chain.iter().map(|statement| statement.len() + 2).sum::<usize>()
    }
}

impl Introduction {
    /// The bytes of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Ask { ticket, proof, name } => {
                w.u8(ASK);
                w.put(&ticket.0);
                w.put(proof);
                w.text(name);
            }
            Self::In { ticket, card } => {
                w.u8(ANSWER_IN);
                w.put(&ticket.0);
                w.u8(u8::from(card.is_some()));
                if let Some(card) = card {
                    card.encode(&mut w);
                }
            }
            Self::Not { ticket, why } => {
                w.u8(ANSWER_NOT);
                w.put(&ticket.0);
                w.u8(*why as u8);
            }
            Self::News(news) => {
                w.u8(NEWS);
                w.uint(news.linked.len() as u64);
                for (key, name) in &news.linked {
                    w.put(&key.0);
                    w.text(name);
                }
                w.uint(news.lost.len() as u64);
                for key in &news.lost {
                    w.put(&key.0);
                }
                w.uint(news.cards.len() as u64);
                for card in &news.cards {
                    card.encode(&mut w);
                }
            }
        }
        w.finish()
    }

    /// Reads what was written.
    ///
    /// # Errors
    ///
    /// It does not decode.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let kind = r.u8()?;
        let read = match kind {
            ASK => Self::Ask { ticket: TicketId(r.array()?), proof: r.array()?, name: r.text(NAME_BYTES_MAX)? },
            ANSWER_IN => {
                let ticket = TicketId(r.array()?);
                let card = match r.u8()? {
                    0 => None,
                    1 => Some(Card::decode(&mut r)?),
                    other => return Err(DecodeError::UnknownTag { what: "an introduction", tag: other }),
                };
                Self::In { ticket, card }
            }
            ANSWER_NOT => {
                let (ticket, why) = (TicketId(r.array()?), r.u8()?);
                Self::Not { ticket, why: WhyNot::from_byte(why).ok_or(DecodeError::UnknownTag { what: "a reason", tag: why })? }
            }
            NEWS => {
                let count = r.count(DEVICES_MAX, 33)?;
                let linked =
                    (0..count).map(|_| Ok((PeerId(r.array()?), r.text(NAME_BYTES_MAX)?))).collect::<Result<_, DecodeError>>()?;
                let count = r.count(DEVICES_MAX, 32)?;
                let lost = (0..count).map(|_| Ok(PeerId(r.array()?))).collect::<Result<_, DecodeError>>()?;
                let count = r.count(CARDS_IN_NEWS_MAX, 20)?;
                let cards = (0..count).map(|_| Card::decode(&mut r)).collect::<Result<_, DecodeError>>()?;
                Self::News(News { linked, lost, cards })
            }
            other => return Err(DecodeError::UnknownTag { what: "an introduction", tag: other }),
        };
        r.end()?;
        Ok(read)
    }
}

/// A name, cut off where it is longer than it may be, between two characters.
pub fn short_name(name: &str) -> String {
    shortened(name, NAME_BYTES_MAX)
}

/// Text, cut off between two characters where it is longer than so many bytes.
pub fn shortened(text: &str, bytes_max: usize) -> String {
    let end = text.char_indices().map(|(at, character)| at + character.len_utf8()).take_while(|end| *end <= bytes_max).last();
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
#[path = "introduction_tests.rs"]
mod tests;
