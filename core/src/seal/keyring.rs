//! The keys that a replica was given of a sealed space.

use super::aead::NONCE_BYTES;
use super::key::{EpochId, EpochKey, EpochTag, Use};
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Bytes of an actor's id that say whose it is and in which epoch it writes; Automerge puts up to seven before them.
const ACTOR_OWN_BYTES: usize = 24;
const NONCE_LABEL: &[u8] = b"driftline seal nonce 1\0";

/// The keys of a space, by epoch.
#[derive(Clone, Debug)]
pub struct Keyring {
    space: SpaceId,
    keys: BTreeMap<EpochId, Keys>,
}

/// What is made of an epoch's key.
#[derive(Clone)]
pub(super) struct Keys {
    key: EpochKey,
    pub(super) entries: [u8; 32],
    pub(super) snapshots: [u8; 32],
    pub(super) words: [u8; 32],
    names: Hmac<Sha256>,
    pub(super) files: Hmac<Sha256>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    fn new(space: &SpaceId, key: EpochKey) -> Self {
        let mac = |used| match Hmac::<Sha256>::new_from_slice(&key.of(space, used)) {
            Ok(mac) => mac,
            Err(_) => unreachable!("a key of any length will do"),
        };
        Self {
            entries: key.of(space, Use::Entries),
            snapshots: key.of(space, Use::Snapshots),
            words: key.of(space, Use::Words),
            names: mac(Use::Names),
            files: mac(Use::Files),
            key,
        }
    }

    /// The name of a change: HMAC-SHA256 of the document and of the change's own hash.
    pub(super) fn name(&self, document: &DocumentId, hash: &ChangeHash) -> ChangeHash {
        let mut mac = self.names.clone();
        mac.update(&document.0);
        mac.update(&hash.0);
        ChangeHash(mac.finalize().into_bytes().into())
    }
}

/// The nonce of an entry: its name is made of its contents, so that no two have the same.
pub(super) fn nonce_of(document: &DocumentId, name: &ChangeHash) -> [u8; NONCE_BYTES] {
    let digest = Sha256::new().chain_update(NONCE_LABEL).chain_update(document.0).chain_update(name.0).finalize();
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&digest[..NONCE_BYTES]);
    nonce
}

/// In which epoch an actor writes, by its id; nothing where it is no actor of a sealed space.
pub fn epoch_of_actor(actor: &ActorId) -> Option<EpochTag> {
    let bytes = actor.as_bytes();
    bytes.get(bytes.len().checked_sub(ACTOR_OWN_BYTES)?..)?.first_chunk().copied()
}

impl Keyring {
    /// No keys yet.
    pub fn new(space: SpaceId) -> Self {
        Self { space, keys: BTreeMap::new() }
    }

    /// The space.
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// Takes up an epoch's key.
    pub fn put(&mut self, epoch: EpochId, key: EpochKey) {
        self.keys.insert(epoch, Keys::new(&self.space, key));
    }

    /// The key of an epoch.
    pub fn key(&self, epoch: &EpochId) -> Option<&EpochKey> {
        self.keys.get(epoch).map(|keys| &keys.key)
    }

    /// The epochs of which there are keys.
    pub fn epochs(&self) -> impl Iterator<Item = EpochId> {
        self.keys.keys().copied()
    }

    pub(super) fn keys(&self, epoch: &EpochId) -> Option<&Keys> {
        self.keys.get(epoch)
    }

    /// Keys of the epochs with a tag: one, but where someone took pains that there are two.
    pub(super) fn of_tag(&self, tag: EpochTag) -> impl Iterator<Item = &Keys> + use<'_> {
        let mut first = [0; 32];
        first[..4].copy_from_slice(&tag);
        self.keys.range(EpochId(first)..).take_while(move |(id, _)| id.tag() == tag).map(|(_, keys)| keys)
    }

    /// Keys of the epochs in which an actor may write.
    pub(super) fn of_actor(&self, actor: &ActorId) -> impl Iterator<Item = &Keys> + use<'_> {
        epoch_of_actor(actor).into_iter().flat_map(|tag| self.of_tag(tag))
    }

    /// Whether there is a key of the epoch in which an actor writes.
    pub fn opens(&self, actor: &ActorId) -> bool {
        self.of_actor(actor).next().is_some()
    }

    /// The name under which a change of an actor's travels; nothing without the key of the epoch in which it writes.
    pub fn name(&self, document: &DocumentId, actor: &ActorId, hash: &ChangeHash) -> Option<ChangeHash> {
        self.of_actor(actor).next().map(|keys| keys.name(document, hash))
    }

    /// Whether this is the name of a change of an actor's.
    pub(super) fn is_name(&self, name: &ChangeHash, document: &DocumentId, actor: &ActorId, hash: &ChangeHash) -> bool {
        self.of_actor(actor).any(|keys| keys.name(document, hash) == *name)
    }
}
