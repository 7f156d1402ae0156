//! What gossiping peers say to each other of peers, beside what their engines say of documents.
//!
//! One message is one frame, encoded by `base::codec`; `docs/protocol.md` specifies each byte.

use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::PeerId;
use crate::base::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, CONTACTS_MAX};
use std::sync::Arc;

/// Largest frame of these messages in bytes: a greeting with all it may hold.
pub const GOSSIP_FRAME_BYTES_MAX: usize = 1 + (CONTACTS_MAX + 1) * (ADDRESSES_MAX * (ADDRESS_BYTES_MAX + 2) + 48);

/// Where a peer can be reached: texts that drivers understand, shared by all who remember them.
pub type Addresses = Arc<[Arc<str>]>;

/// A peer as one peer tells another of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub peer: PeerId,
    /// Where, the best first.
    pub addresses: Addresses,
    /// How long ago someone was connected to it, in seconds.
    pub age_s: u64,
}

/// One frame's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GossipMessage {
    /// The first on each connection, both ways.
    Greeting {
        /// Where its sender can be reached.
        addresses: Addresses,
        /// Some whom it knows.
        contacts: Vec<Contact>,
    },
    /// Some whom I know; tell me of some.
    Shuffle {
        /// Whom.
        contacts: Vec<Contact>,
    },
    /// Answers a shuffle.
    Contacts {
        /// Whom.
        contacts: Vec<Contact>,
    },
    /// Are you there?
    Heartbeat,
    /// I am.
    Alive,
    /// I have as many neighbours as I may: try these. The connection is closed.
    Full {
        /// Whom.
        contacts: Vec<Contact>,
    },
}

mod tag {
    pub(super) const GREETING: u8 = 1;
    pub(super) const SHUFFLE: u8 = 2;
    pub(super) const CONTACTS: u8 = 3;
    pub(super) const HEARTBEAT: u8 = 4;
    pub(super) const ALIVE: u8 = 5;
    pub(super) const FULL: u8 = 6;
}

impl GossipMessage {
    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Greeting { addresses, contacts } => {
                w.u8(tag::GREETING);
                encode_addresses(addresses, &mut w);
                encode_contacts(contacts, &mut w);
            }
            Self::Shuffle { contacts } => {
                w.u8(tag::SHUFFLE);
                encode_contacts(contacts, &mut w);
            }
            Self::Contacts { contacts } => {
                w.u8(tag::CONTACTS);
                encode_contacts(contacts, &mut w);
            }
            Self::Heartbeat => w.u8(tag::HEARTBEAT),
            Self::Alive => w.u8(tag::ALIVE),
            Self::Full { contacts } => {
                w.u8(tag::FULL);
                encode_contacts(contacts, &mut w);
            }
        }
        w.finish()
    }

    /// The meaning of a frame, or what is wrong with it.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(frame);
        let message = match r.u8()? {
            tag::GREETING => Self::Greeting { addresses: decode_addresses(&mut r)?, contacts: decode_contacts(&mut r)? },
            tag::SHUFFLE => Self::Shuffle { contacts: decode_contacts(&mut r)? },
            tag::CONTACTS => Self::Contacts { contacts: decode_contacts(&mut r)? },
            tag::HEARTBEAT => Self::Heartbeat,
            tag::ALIVE => Self::Alive,
            tag::FULL => Self::Full { contacts: decode_contacts(&mut r)? },
            tag => return Err(DecodeError::UnknownTag { what: "a gossip message", tag }),
        };
        r.end()?;
        Ok(message)
    }
}

/// Addresses as far as they are within bounds: what is left out is too long, or too much.
pub fn bounded(addresses: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Addresses {
    let within = |address: &Arc<str>| !address.is_empty() && address.len() <= ADDRESS_BYTES_MAX;
    addresses.into_iter().map(Into::into).filter(within).take(ADDRESSES_MAX).collect()
}

fn encode_addresses(addresses: &Addresses, w: &mut Writer) {
    w.uint(addresses.len() as u64);
    for address in addresses.iter() {
        w.text(address);
    }
}

fn decode_addresses(r: &mut Reader<'_>) -> Result<Addresses, DecodeError> {
    let count = r.count(ADDRESSES_MAX, 1)?;
    (0..count).map(|_| Ok(Arc::from(r.text(ADDRESS_BYTES_MAX)?))).collect()
}

fn encode_contacts(contacts: &[Contact], w: &mut Writer) {
    w.uint(contacts.len() as u64);
    for contact in contacts {
        w.put(&contact.peer.0);
        encode_addresses(&contact.addresses, w);
        w.uint(contact.age_s);
    }
}

fn decode_contacts(r: &mut Reader<'_>) -> Result<Vec<Contact>, DecodeError> {
    let count = r.count(CONTACTS_MAX, 34)?;
    (0..count).map(|_| Ok(Contact { peer: PeerId(r.array()?), addresses: decode_addresses(r)?, age_s: r.uint()? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contact() -> impl Strategy<Value = Contact> {
        (any::<[u8; 32]>(), proptest::collection::vec(".{1,60}", 0..4), any::<u64>())
            .prop_map(|(peer, addresses, age_s)| Contact { peer: PeerId(peer), addresses: bounded(addresses), age_s })
    }

    fn message() -> impl Strategy<Value = GossipMessage> {
        let contacts = || proptest::collection::vec(contact(), 0..=CONTACTS_MAX);
        prop_oneof![
            (proptest::collection::vec("[a-z/]{1,60}", 0..4), contacts())
                .prop_map(|(addresses, contacts)| GossipMessage::Greeting { addresses: bounded(addresses), contacts }),
            contacts().prop_map(|contacts| GossipMessage::Shuffle { contacts }),
            contacts().prop_map(|contacts| GossipMessage::Contacts { contacts }),
            contacts().prop_map(|contacts| GossipMessage::Full { contacts }),
            Just(GossipMessage::Heartbeat),
            Just(GossipMessage::Alive),
        ]
    }

    proptest! {
        #[test]
        fn a_message_reads_back_and_its_beginning_does_not(message in message()) {
            let frame = message.encode();
            prop_assert!(frame.len() <= GOSSIP_FRAME_BYTES_MAX);
            prop_assert_eq!(GossipMessage::decode(&frame), Ok(message));
            for end in 0..frame.len() {
                prop_assert!(GossipMessage::decode(&frame[..end]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
            if let Ok(message) = GossipMessage::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }

    #[test]
    fn addresses_that_are_too_long_or_too_many_are_left_out() {
        let long = "x".repeat(ADDRESS_BYTES_MAX + 1);
        assert_eq!(bounded([long.as_str(), "", "here"]).len(), 1);
        assert_eq!(bounded(vec!["here"; ADDRESSES_MAX + 1]).len(), ADDRESSES_MAX);
    }
}
