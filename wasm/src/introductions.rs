//! Links for a single use and devices of one person, as a page asks for them.

use crate::owned::in_words;
use crate::query::Unanswered;
use driftline_core::base::id::{PeerId, SpaceId, TicketId};
use driftline_core::base::time::Now;
use driftline_core::engine::Engine;
use driftline_core::engine::inviting::devices::SpaceCard;
use driftline_core::engine::inviting::introductions::IntroductionError;
use driftline_core::engine::inviting::tickets::OnceOffer;
use driftline_core::trust::statement::Level;
use driftline_core::trust::ticket::Ticket;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Something that a person does about letting somebody in once, or a device of theirs.
#[derive(Deserialize)]
#[serde(tag = "introduce", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Introduce {
    /// Make a link to a space for one person.
    InviteOnce {
        /// The space.
        space: SpaceId,
        /// What they may do.
        level: Level,
        /// When that ends, in seconds of Unix time; 0 for never.
        expires: u64,
        /// What they are called where they say nothing themselves.
        note: String,
        /// What the giver is called.
        from: String,
        /// Relays at which both can be reached.
        relays: Vec<String>,
        /// When the link ends.
        ends: u64,
    },
    /// Make a link for another device.
    LinkDevice {
        /// What this device is called.
        name: String,
        /// Relays at which both can be reached.
        relays: Vec<String>,
        /// When the link ends.
        ends: u64,
    },
    /// Take such a link back.
    TakeBack {
        /// Which.
        id: TicketId,
    },
    /// Ask by such a link.
    Ask {
        /// The link.
        link: String,
        /// What this device, or whoever has it, is called.
        name: String,
    },
    /// Forget that it was asked.
    ForgetAsk {
        /// By which.
        id: TicketId,
    },
    /// The device that has asked is one's own.
    Confirm {
        /// By which link.
        id: TicketId,
        /// The spaces that the page knows.
        cards: Vec<Card>,
    },
    /// It is not.
    Decline {
        /// By which link.
        id: TicketId,
    },
    /// Tell the other devices of a space.
    PassOn {
        /// Which.
        card: Card,
    },
    /// A device is lost.
    Unlink {
        /// Which.
        key: PeerId,
    },
}

/// A space that a device is told of.
#[derive(Deserialize)]
pub(crate) struct Card {
    space: SpaceId,
    name: String,
    relays: Vec<String>,
}

impl From<Card> for SpaceCard {
    fn from(Card { space, name, relays }: Card) -> Self {
        Self { space, name, relays }
    }
}

/// Does it.
pub(crate) fn act(engine: &mut Engine, now: Now, introduce: Introduce) -> Result<Json, Unanswered> {
    match introduce {
        Introduce::InviteOnce { space, level, expires, note, from, relays, ends } => {
            let offer = OnceOffer { level, expires, note, from, relays, ends };
            ticket(engine.give_ticket(now, space, offer))
        }
        Introduce::LinkDevice { name, relays, ends } => ticket(engine.give_device_ticket(now, &name, relays, ends)),
        Introduce::TakeBack { id } => engine.take_back_ticket(now, id).map(|()| Json::Null).map_err(said),
        Introduce::Ask { link, name } => {
            let ticket = Ticket::from_text(&link).map_err(|error| said(error.into()))?;
            let id = engine.ask_by(now, &ticket, &name).map_err(said)?;
            Ok(json!({ "id": id, "relays": ticket.relays }))
        }
        Introduce::ForgetAsk { id } => Ok(engine.forget_ask(now, id).into()),
        Introduce::Confirm { id, cards } => {
            let cards = cards.into_iter().map(SpaceCard::from).collect();
            to_json(&engine.confirm_device(now, id, cards).map_err(said)?)
        }
        Introduce::Decline { id } => engine.decline_device(now, id).map(|()| Json::Null).map_err(said),
        Introduce::PassOn { card } => {
            engine.pass_space_on(now, card.into());
            Ok(Json::Null)
        }
        Introduce::Unlink { key } => to_json(&engine.unlink_device(now, key).map_err(said)?),
    }
}

/// How all of it stands.
pub(crate) fn all(engine: &Engine) -> Result<Json, Unanswered> {
    Ok(json!({
        "given": to_json(&engine.tickets())?,
        "asked": to_json(&engine.asks())?,
        "devices": to_json(&engine.devices())?,
        "spaces": to_json(&engine.cards())?,
    }))
}

fn ticket(given: Result<Ticket, IntroductionError>) -> Result<Json, Unanswered> {
    let ticket = given.map_err(said)?;
    Ok(json!({ "id": ticket.id(), "link": ticket.to_text() }))
}

/// The sentence for people who have a page before them and no command line.
fn said(error: IntroductionError) -> Unanswered {
    match error {
        IntroductionError::Owned(error) => in_words(error),
        IntroductionError::Ticket(error) => Unanswered(format!("the link is not good: {error}")),
        other => Unanswered(other.to_string()),
    }
}

fn to_json(answer: &impl Serialize) -> Result<Json, Unanswered> {
    serde_json::to_value(answer).map_err(|error| Unanswered(error.to_string()))
}
