//! A sealed snapshot: a document's history as one piece that only members read, and how far it goes, which everyone may.
//!
//! Its maker signs it: a replica without keys lets go of entries for it, and takes that from nobody but those whom the space trusts with
//! more. Who has the key puts the document together, and believes neither the signature nor what is said openly.

use super::aead::{self, NONCE_BYTES, TAG_BYTES};
use super::entry::SealError;
use super::key::EpochId;
use super::keyring::Keyring;
use super::padding::{pad, unpad};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{DocumentId, PeerId, SpaceId};
use crate::log::version::Version;
use sha2::{Digest as _, Sha256};

/// The first byte of a sealed snapshot. No chunk of Automerge's begins with it.
pub const SNAPSHOT_MARK: u8 = 0xe6;
const FORMAT: u8 = 1;
const LABEL: &[u8] = b"driftline sealed snapshot 1\0";
const SIGNATURE_BYTES: usize = 64;

/// What a sealed snapshot says openly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// Under which epoch's key it is sealed.
    pub epoch: EpochId,
    /// What it stands for.
    pub version: Version,
    /// Who made it.
    pub maker: PeerId,
    nonce: [u8; NONCE_BYTES],
}

/// A sealed snapshot, in its parts.
#[derive(Clone, Debug)]
pub struct SealedSnapshot<'a> {
    /// What it says openly.
    pub header: SnapshotHeader,
    open: &'a [u8],
    signature: [u8; SIGNATURE_BYTES],
    sealed: &'a [u8],
}

impl SnapshotHeader {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(SNAPSHOT_MARK);
        w.u8(FORMAT);
        w.put(&self.epoch.0);
        self.version.encode(&mut w);
        w.put(&self.maker.0);
        w.put(&self.nonce);
        w.finish()
    }
}

impl<'a> SealedSnapshot<'a> {
    /// Reads one. Whether the signature fits, [`Self::signed`] helps to tell.
    ///
    /// # Errors
    ///
    /// It is not one.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SealError> {
        let mut r = Reader::new(bytes);
        if r.u8()? != SNAPSHOT_MARK {
            return Err(SealError::Clear);
        }
        let format = r.u8()?;
        if format != FORMAT {
            return Err(DecodeError::UnknownTag { what: "a sealed snapshot's format", tag: format }.into());
        }
        let (epoch, version) = (EpochId(r.array()?), Version::decode(&mut r)?);
        let header = SnapshotHeader { epoch, version, maker: PeerId(r.array()?), nonce: r.array()? };
        let open = &bytes[..bytes.len() - r.remaining()];
        let signature = r.array()?;
        let sealed = &bytes[bytes.len() - r.remaining()..];
        if sealed.len() < TAG_BYTES || header.version.is_empty() {
            return Err(DecodeError::Truncated.into());
        }
        Ok(Self { header, open, signature, sealed })
    }

    /// What its maker signed, and the signature.
    pub fn signed(&self, space: &SpaceId, document: &DocumentId) -> (Vec<u8>, &[u8; SIGNATURE_BYTES]) {
        (signed(space, document, self.open, self.sealed), &self.signature)
    }
}

fn signed(space: &SpaceId, document: &DocumentId, open: &[u8], sealed: &[u8]) -> Vec<u8> {
    [LABEL, &space.0, &document.0, open, &Sha256::digest(sealed)].concat()
}

impl Keyring {
    /// Seals a document under an epoch's key; nothing where that is not here. The nonce was drawn for it.
    pub fn seal_snapshot(
        &self,
        document: &DocumentId,
        (epoch, nonce): (EpochId, [u8; NONCE_BYTES]),
        version: Version,
        maker: PeerId,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
        saved: &[u8],
    ) -> Option<Vec<u8>> {
        let keys = self.keys(&epoch)?;
        let mut bytes = SnapshotHeader { epoch, version, maker, nonce }.encode();
        let beside = [LABEL, &self.space().0, &document.0, &bytes].concat();
        let sealed = aead::seal(&keys.snapshots, &nonce, &beside, &pad(saved));
        let signature = sign(&signed(&self.space(), document, &bytes, &sealed));
        bytes.extend_from_slice(&signature);
        bytes.extend_from_slice(&sealed);
        Some(bytes)
    }

    /// The document under the seal; nothing where the key is not here.
    ///
    /// # Errors
    ///
    /// It was altered, or is for another place.
    pub fn open_snapshot(&self, document: &DocumentId, snapshot: &SealedSnapshot<'_>) -> Result<Option<Vec<u8>>, SealError> {
        let Some(keys) = self.keys(&snapshot.header.epoch) else { return Ok(None) };
        let beside = [LABEL, &self.space().0, &document.0, snapshot.open].concat();
        let padded = aead::open(&keys.snapshots, &snapshot.header.nonce, &beside, snapshot.sealed).ok_or(SealError::Broken)?;
        unpad(padded).map(Some).ok_or(SealError::Otherwise("it is not padded as it must be"))
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
