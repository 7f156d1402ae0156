//! Invitations: what a share link carries.
//!
//! The link has a key of its own, which was granted what the link gives. Whoever opens it grants that on to the key of their replica,
//! and is a member from then on; the link's secret is not needed again. It stands in the link's fragment, which browsers send to
//! no server.

use super::key::{SecretKey, Signer as _};
use super::roll::Roll;
use super::statement::{Claim, Grant, Statement, StatementError, StatementId};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::SpaceId;
use crate::base::limits::{GRANT_CHAIN_MAX, INVITATION_RELAYS_MAX, STATEMENT_BYTES_MAX, TEXT_BYTES_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What an invitation's text begins with; what follows is its fragment.
pub const LINK_PREFIX: &str = "driftline:join#";
/// What stands before it in the fragment of a web app's address, which may hold other things as well.
pub const WEB_PREFIX: &str = "join=";
const VERSION: u8 = 1;
/// With the key of a sealed space.
const VERSION_SEALED: u8 = 2;
const CHECK_BYTES: usize = 4;
/// Longest text that is looked at.
const TEXT_MAX: usize = 64 * 1024;

/// What a share link carries.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The space.
    pub space: SpaceId,
    /// The link's secret key.
    pub secret: [u8; 32],
    /// What shows what the link's key may do, as [`Roll::chain`] gives it.
    pub chain: Vec<Vec<u8>>,
    /// Relays that sync the space.
    pub relays: Vec<String>,
    /// Of a sealed space, the id of the epoch that led when it was made, and its key.
    pub key: Option<([u8; 32], [u8; 32])>,
}

impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret is nobody's but the holder's.
        f.debug_struct("Invitation").field("space", &self.space).field("relays", &self.relays).finish_non_exhaustive()
    }
}

/// Why text is not an invitation that can be taken. Caused by whoever copied or made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// It is not one at all, or part of it is missing.
    #[error("this is not an invitation, or part of it is missing: it begins with {LINK_PREFIX} and has no spaces")]
    NotOne,
    /// Letters were changed.
    #[error("the invitation's check letters do not fit: a letter may be missing or mistyped")]
    Check,
    /// It was made by a newer version of the program.
    #[error("the invitation was made by a newer version of the program: update this one")]
    Newer,
    /// It does not decode.
    #[error("the invitation cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// What it carries shows nothing.
    #[error("the invitation does not show that its space's owner made it: {0}")]
    Unfounded(String),
    /// It says that it ended.
    #[error("the invitation has expired: ask for a new one")]
    Expired,
}

/// An invitation that was found to be good: the roll that it proves, and the link's grant in it.
pub struct Opened {
    /// What it carries, as a roll.
    pub roll: Roll,
    /// The link's grant.
    pub grant: StatementId,
    /// The link's key.
    pub key: SecretKey,
}

impl Invitation {
    /// As text, to be sent to whoever is invited, on a way that nobody else reads.
    pub fn to_text(&self) -> String {
        let mut w = Writer::new();
        w.u8(if self.key.is_some() { VERSION_SEALED } else { VERSION });
        w.put(&self.space.0);
        w.put(&self.secret);
        w.uint(self.chain.len() as u64);
        for statement in &self.chain {
            w.bytes(statement);
        }
        w.uint(self.relays.len() as u64);
        for relay in &self.relays {
            w.text(relay);
        }
        if let Some((epoch, key)) = &self.key {
            w.put(epoch);
            w.put(key);
        }
        let mut bytes = w.finish();
        let check = Sha256::digest(&bytes);
        bytes.extend_from_slice(&check[..CHECK_BYTES]);
        format!("{LINK_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads an invitation: the text itself, its fragment alone, or any link that has it as its fragment, behind `join=` or without.
    ///
    /// # Errors
    ///
    /// It is not one.
    pub fn from_text(text: &str) -> Result<Self, InvitationError> {
        let text = text.trim();
        let fragment = text.rsplit_once('#').map_or(text, |(_, fragment)| fragment);
        let fragment = fragment.strip_prefix(WEB_PREFIX).unwrap_or(fragment);
        if fragment.len() > TEXT_MAX {
            return Err(InvitationError::NotOne);
        }
        let bytes = URL_SAFE_NO_PAD.decode(fragment).map_err(|_| InvitationError::NotOne)?;
        Self::from_bytes(&bytes)
    }

    /// Reads the bytes that an invitation's fragment stands for.
    ///
    /// # Errors
    ///
    /// They are not one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvitationError> {
        let Some(end) = bytes.len().checked_sub(CHECK_BYTES).filter(|end| *end > 0) else { return Err(InvitationError::NotOne) };
        let (body, check) = bytes.split_at(end);
        if Sha256::digest(body)[..CHECK_BYTES] != *check {
            return Err(InvitationError::Check);
        }
        let mut r = Reader::new(body);
        let version = r.u8()?;
        if !(VERSION..=VERSION_SEALED).contains(&version) {
            return Err(InvitationError::Newer);
        }
        let (space, secret) = (SpaceId(r.array()?), r.array()?);
        let count = r.count(GRANT_CHAIN_MAX + 1, 2)?;
        let chain = (0..count).map(|_| Ok(r.bytes(STATEMENT_BYTES_MAX)?.to_vec())).collect::<Result<_, DecodeError>>()?;
        let count = r.count(INVITATION_RELAYS_MAX, 1)?;
        let relays = (0..count).map(|_| r.text(TEXT_BYTES_MAX)).collect::<Result<_, DecodeError>>()?;
        let key = if version == VERSION_SEALED { Some((r.array()?, r.array()?)) } else { None };
        r.end()?;
        Ok(Self { space, secret, chain, relays, key })
    }

    /// Checks what it carries, at a moment in seconds of Unix time.
    ///
    /// # Errors
    ///
    /// It does not show that the link's key may grant on what it was granted, or it has expired.
    pub fn open(&self, unix_s: u64) -> Result<Opened, InvitationError> {
        let decode = |bytes: &Vec<u8>| Statement::decode(&self.space, bytes);
        let statements = self.chain.iter().map(decode).collect::<Result<Vec<_>, StatementError>>();
        let unfounded = |error: &dyn std::fmt::Display| InvitationError::Unfounded(error.to_string());
        let mut roll = Roll::new(self.space);
        let (_, errors) = roll.take(statements.map_err(|error| unfounded(&error))?);
        if let Some(error) = errors.first() {
            return Err(unfounded(error));
        }
        let key = SecretKey::new(&self.secret);
        let found = roll.grants().into_iter().find(|(_, grant)| grant.subject == key.peer() && grant.depth > 0);
        let Some((id, grant)) = found.map(|(id, grant)| (id, grant.clone())) else {
            return Err(InvitationError::Unfounded("its key was not granted anything that can be passed on".to_owned()));
        };
        if grant.expires != 0 && grant.expires <= unix_s {
            return Err(InvitationError::Expired);
        }
        Ok(Opened { roll, grant: id, key })
    }
}

impl Opened {
    /// Grants on what the link gives: to the key of a replica, which may pass it on to devices of the same person, and an admin's to others.
    pub fn accept(&self, subject: crate::base::id::PeerId, serial: [u8; 8], note: Vec<u8>) -> Option<Statement> {
        let link = self.roll.grant(&self.grant)?;
        let grant = Grant {
            issuer: self.key.peer(),
            parent: Some(self.grant),
            subject,
            level: link.level,
            depth: link.depth.checked_sub(1)?,
            expires: link.expires,
            is_link: false,
            serial,
            note,
        };
        Some(Statement::sign(&self.roll.space(), Claim::Grant(grant), &self.key))
    }
}

#[cfg(test)]
#[path = "invitation_tests.rs"]
mod tests;
