//! Tickets: links that work once.
//!
//! Unlike an [`super::invitation`] a ticket has no grant and lets nobody in by itself. It has a secret and the key of whoever gave it out.
//! Who opens it shows by letter that they have the secret, and the giver's replica lets in the first who does. So it needs
//! the giver, perhaps later; and it can be taken back without anything that others must hear of. A ticket may also be for
//! another device of the giver's own.

use super::statement::Level;
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{PeerId, SpaceId, TicketId};
use crate::base::limits::{INVITATION_RELAYS_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// What the text of a ticket to a space begins with; what follows is its fragment.
pub const ONCE_PREFIX: &str = "driftline:once#";
/// The same of one for a device.
pub const DEVICE_PREFIX: &str = "driftline:device#";
/// What stands before them in the fragment of a web app's address.
pub const WEB_PREFIXES: [&str; 2] = ["once=", "device="];

const ID_LABEL: &[u8] = b"driftline ticket 1\0";
const PROOF_LABEL: &[u8] = b"driftline ticket proof 1\0";
const CODE_LABEL: &[u8] = b"driftline ticket code 1\0";
const DRAWN_LABEL: &[u8] = b"driftline ticket note 1\0";
const VERSION: u8 = 1;
const TO_SPACE: u8 = 1;
const TO_DEVICE: u8 = 2;
const CHECK_BYTES: usize = 4;
/// Longest text that is looked at.
const TEXT_MAX: usize = 8 * 1024;

/// What a ticket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One person comes into a space.
    Space {
        /// Which.
        space: SpaceId,
        /// What they may do there, as far as the giver keeps to it.
        level: Level,
    },
    /// A device of the giver's own is linked.
    Device,
}

/// A link that works once.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// What it is for.
    pub purpose: Purpose,
    /// Who gave it out, and is asked.
    pub giver: PeerId,
    /// What whoever asks has to know.
    pub secret: [u8; 32],
    /// When it ends, in seconds of Unix time.
    pub ends: u64,
    /// What the giver is called, for whoever waits.
    pub from: String,
    /// Relays at which the giver can be asked.
    pub relays: Vec<String>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret is nobody's but the holder's.
        f.debug_struct("Ticket").field("id", &self.id()).field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

/// Why text is not a ticket. Caused by whoever copied or made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It is not one at all, or part of it is missing.
    #[error("this is not a link for a single use, or part of it is missing: it begins with {ONCE_PREFIX} or {DEVICE_PREFIX}")]
    NotOne,
    /// Letters were changed.
    #[error("the link's check letters do not fit: a letter may be missing or mistyped")]
    Check,
    /// It was made by a newer version of the program.
    #[error("the link was made by a newer version of the program: update this one")]
    Newer,
    /// It does not decode.
    #[error("the link cannot be read: {0}")]
    Decode(#[from] DecodeError),
}

impl Ticket {
    /// By what it is known to both, and tells nothing of its secret.
    pub fn id(&self) -> TicketId {
        let digest = Sha256::new().chain_update(ID_LABEL).chain_update(self.secret).finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        TicketId(id)
    }

    /// What shows that whoever asks, under this name, has the secret.
    pub fn proof(&self, asker: &PeerId, name: &str) -> [u8; 32] {
        self.mac(PROOF_LABEL, asker, name).finalize().into_bytes().into()
    }

    /// Whether that is the proof, in a time that does not tell how much of it is right.
    pub fn is_proof(&self, asker: &PeerId, name: &str, proof: &[u8; 32]) -> bool {
        self.mac(PROOF_LABEL, asker, name).verify_slice(proof).is_ok()
    }

    /// Six digits that both show, so that people see that it is the same two keys that speak.
    pub fn code(&self, asker: &PeerId) -> String {
        let mac: [u8; 32] = self.mac(CODE_LABEL, asker, "").finalize().into_bytes().into();
        let first = u64::from_be_bytes([mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], mac[6], mac[7]]);
        format!("{:06}", first % 1_000_000)
    }

    /// Bytes that follow from the ticket, who is let in by it and what they are called, and that nobody guesses without the secret.
    pub fn drawn(&self, asker: &PeerId, name: &str) -> [u8; 24] {
        let mac: [u8; 32] = self.mac(DRAWN_LABEL, asker, name).finalize().into_bytes().into();
        let mut drawn = [0; 24];
        drawn.copy_from_slice(&mac[..24]);
        drawn
    }

    fn mac(&self, label: &[u8], asker: &PeerId, name: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key of any length is taken");
        for part in [label, &self.giver.0, &asker.0, name.as_bytes()] {
            mac.update(part);
        }
        mac
    }

    /// As text, to be sent to whoever is meant, on a way that nobody else reads.
    pub fn to_text(&self) -> String {
        let mut bytes = self.to_bytes();
        let check = Sha256::digest(&bytes);
        bytes.extend_from_slice(&check[..CHECK_BYTES]);
        let prefix = if self.purpose == Purpose::Device { DEVICE_PREFIX } else { ONCE_PREFIX };
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a ticket: the text itself, its fragment alone, or any link that has it as its fragment.
    ///
    /// # Errors
    ///
    /// It is not one.
    pub fn from_text(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        let fragment = text.rsplit_once('#').map_or(text, |(_, fragment)| fragment);
        let fragment = WEB_PREFIXES.iter().find_map(|prefix| fragment.strip_prefix(prefix)).unwrap_or(fragment);
        if fragment.len() > TEXT_MAX {
            return Err(TicketError::NotOne);
        }
        let bytes = URL_SAFE_NO_PAD.decode(fragment).map_err(|_| TicketError::NotOne)?;
        let Some(end) = bytes.len().checked_sub(CHECK_BYTES).filter(|end| *end > 0) else { return Err(TicketError::NotOne) };
        let (body, check) = bytes.split_at(end);
        if Sha256::digest(body)[..CHECK_BYTES] != *check {
            return Err(TicketError::Check);
        }
        Self::from_bytes(body)
    }

    /// Whether text is meant to be a ticket, and not an invitation: by what it begins with.
    pub fn is_meant_by(text: &str) -> bool {
        let text = text.trim();
        let fragment = text.rsplit_once('#').map_or("", |(_, fragment)| fragment);
        [ONCE_PREFIX, DEVICE_PREFIX].iter().any(|prefix| text.starts_with(prefix))
            || WEB_PREFIXES.iter().any(|prefix| fragment.starts_with(prefix))
    }

    /// The bytes of it, without those that check them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION);
        match self.purpose {
            Purpose::Space { space, level } => {
                w.u8(TO_SPACE);
                w.put(&space.0);
                w.u8(level as u8);
            }
            Purpose::Device => w.u8(TO_DEVICE),
        }
        w.put(&self.giver.0);
        w.put(&self.secret);
        w.uint(self.ends);
        w.text(&self.from);
        w.uint(self.relays.len() as u64);
        for relay in &self.relays {
            w.text(relay);
        }
        w.finish()
    }

    /// Reads what was written.
    ///
    /// # Errors
    ///
    /// It does not decode.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TicketError> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(TicketError::Newer);
        }
        let purpose = match r.u8()? {
            TO_SPACE => {
                let space = SpaceId(r.array()?);
                Purpose::Space { space, level: Level::from_byte(r.u8()?).ok_or(TicketError::Newer)? }
            }
            TO_DEVICE => Purpose::Device,
            _ => return Err(TicketError::Newer),
        };
        let (giver, secret, ends) = (PeerId(r.array()?), r.array()?, r.uint()?);
        let from = r.text(NAME_BYTES_MAX)?;
        let count = r.count(INVITATION_RELAYS_MAX, 1)?;
        let relays = (0..count).map(|_| r.text(TEXT_BYTES_MAX)).collect::<Result<_, DecodeError>>()?;
        r.end()?;
        Ok(Self { purpose, giver, secret, ends, from, relays })
    }
}

#[cfg(test)]
#[path = "ticket_tests.rs"]
mod tests;
