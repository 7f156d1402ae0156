//! The named values an engine keeps in its store, and what they mean: for the engine itself, and for tools that read a store
//! while no engine runs on it.

use crate::base::codec::{Reader, Writer};
use crate::base::id::{ActorId, ChangeHash, DocumentId, MirrorId, PeerId, SpaceId, StoreEpoch};
use crate::base::limits::{MIRROR_EDITS_MAX, PREVIEW_BYTES_MAX};
use crate::log::clock::VectorClock;
use crate::log::feed::Moved;
use crate::log::tree::Fingerprint;
use crate::log::version::Version;
use crate::seal::key::{EpochId, EpochKey};
use crate::sync::hello::Identity;
use crate::trust::attestation::Attestation;
use crate::trust::statement::{Statement, StatementId};

/// The name under which a store keeps the replica's secret key when the driver has none.
pub const IDENTITY_KEY: &str = "identity";
/// What the names of stored receipts begin with; the document and the peer follow, parted by a slash.
const RECEIPT_PREFIX: &str = "receipt/";

/// What the names of stored states begin with; the space and the peer follow, parted by a slash.
const STATE_PREFIX: &str = "agreed/";
/// What the names of documents that moved begin with; the space and the document follow, parted by a slash.
const MOVED_PREFIX: &str = "moved/";
/// What the names of stored previews begin with; the document follows.
const PREVIEW_PREFIX: &str = "preview/";

/// What the names of statements begin with; the space and the statement's id follow, parted by a slash.
const STATEMENT_PREFIX: &str = "statement/";
/// What the names of attestations begin with; the space, the document and the actor follow, parted by slashes.
const ATTESTED_PREFIX: &str = "attested/";

/// What the names of links begin with by which this replica came into a sealed space; the space follows.
const LINK_PREFIX: &str = "link/";

/// What the names of actors begin with as which this replica wrote in owned spaces; the actor follows.
const ACTOR_PREFIX: &str = "wrote/";
/// What the names begin with of how many statements of a space a peer has saved; the space and the peer follow, parted by a slash.
const STATEMENTS_PREFIX: &str = "statements/";

/// What the names of mirrors begin with; the mirror's number follows, in hexadecimal.
const MIRROR_PREFIX: &str = "mirror/";

/// What a peer has said it durably holds of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReceipt {
    /// The document.
    pub document: DocumentId,
    /// The peer.
    pub peer: PeerId,
    /// Whether it is a relay.
    pub relay: bool,
    /// How far it holds the document.
    pub clock: VectorClock,
}

impl StoredReceipt {
    /// Reads a named value; nothing when it is another one, or does not read.
    pub fn read(name: &str, value: &[u8]) -> Option<Self> {
        let (document, peer) = name.strip_prefix(RECEIPT_PREFIX)?.split_once('/')?;
        let mut reader = Reader::new(value);
        let relay = reader.u8().ok()? != 0;
        let clock = VectorClock::decode(&mut reader).ok()?;
        Some(Self { document: document.parse().ok()?, peer: peer.parse().ok()?, relay, clock })
    }

    /// Its name and its value.
    pub(super) fn write(&self) -> (String, Vec<u8>) {
        let mut writer = Writer::new();
        writer.u8(u8::from(self.relay));
        self.clock.encode(&mut writer);
        (format!("{RECEIPT_PREFIX}{}/{}", self.document, self.peer), writer.finish())
    }
}

/// The last state in which a peer held the same of a space as this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The space.
    pub space: SpaceId,
    /// The peer.
    pub peer: PeerId,
    /// Whether it is a relay.
    pub relay: bool,
    /// What stands for all they held.
    pub state: Fingerprint,
}

impl StoredState {
    /// Reads a named value; nothing when it is another one, or does not read.
    pub fn read(name: &str, value: &[u8]) -> Option<Self> {
        let (space, peer) = name.strip_prefix(STATE_PREFIX)?.split_once('/')?;
        let mut reader = Reader::new(value);
        let state = Fingerprint { sum: u128::from_le_bytes(reader.array().ok()?), count: reader.uint().ok()? };
        let relay = reader.u8().ok()? != 0;
        Some(Self { space: space.parse().ok()?, peer: peer.parse().ok()?, relay, state })
    }

    /// Its name and its value.
    pub(super) fn write(&self) -> (String, Vec<u8>) {
        let mut writer = Writer::new();
        writer.put(&self.state.sum.to_le_bytes());
        writer.uint(self.state.count);
        writer.u8(u8::from(self.relay));
        (format!("{STATE_PREFIX}{}/{}", self.space, self.peer), writer.finish())
    }
}

/// A document that has moved since the last state in which this replica agreed with a peer, and how it stood then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMove {
    /// The space.
    pub space: SpaceId,
    /// The document.
    pub document: DocumentId,
    /// How it stood.
    pub moved: Moved,
}

impl StoredMove {
    /// Reads a named value; nothing when it is another one, or does not read.
    pub fn read(name: &str, value: &[u8]) -> Option<Self> {
        let (space, document) = name.strip_prefix(MOVED_PREFIX)?.split_once('/')?;
        let mut reader = Reader::new(value);
        let held = reader.uint().ok()?;
        let digest = if held > 0 { Some(reader.array().ok()?) } else { None };
        Some(Self { space: space.parse().ok()?, document: document.parse().ok()?, moved: Moved { held, digest } })
    }

    /// Its name and its value.
    pub(super) fn write(&self) -> (String, Vec<u8>) {
        let mut writer = Writer::new();
        writer.uint(self.moved.held);
        if let Some(digest) = &self.moved.digest {
            writer.put(digest);
        }
        (Self::name(&self.space, &self.document), writer.finish())
    }

    /// Its name.
    pub(super) fn name(space: &SpaceId, document: &DocumentId) -> String {
        format!("{MOVED_PREFIX}{space}/{document}")
    }
}

/// What a document says at a version, to be shown before it is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPreview {
    /// The document.
    pub document: DocumentId,
    /// The order in which previews were written: where there is no room for all, the lowest goes.
    pub number: u64,
    /// The version whose value it is.
    pub version: Version,
    /// The value, as JSON.
    pub value: Vec<u8>,
}

impl StoredPreview {
    /// Reads a named value; nothing when it is another one, or does not read. Whether the JSON reads is seen when it is needed.
    pub fn read(name: &str, value: &[u8]) -> Option<Self> {
        let document = name.strip_prefix(PREVIEW_PREFIX)?.parse().ok()?;
        let mut reader = Reader::new(value);
        let number = reader.uint().ok()?;
        let version = Version::decode(&mut reader).ok()?;
        let value = reader.bytes(PREVIEW_BYTES_MAX).ok()?.to_vec();
        reader.end().ok()?;
        Some(Self { document, number, version, value }).filter(|preview| !preview.version.is_empty())
    }

    /// Its name and its value.
    pub(super) fn write(&self) -> (String, Vec<u8>) {
        let mut writer = Writer::new();
        writer.uint(self.number);
        self.version.encode(&mut writer);
        writer.bytes(&self.value);
        (Self::name(&self.document), writer.finish())
    }

    /// Its name.
    pub(super) fn name(document: &DocumentId) -> String {
        format!("{PREVIEW_PREFIX}{document}")
    }
}

/// What the edits of a mirror became that it may have to send again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMirror {
    /// The mirror.
    pub mirror: MirrorId,
    /// When it last edited.
    pub unix_ms: i64,
    /// Its edits by their stamps, each with the change it became.
    pub made: Vec<(u64, ChangeHash)>,
}

impl StoredMirror {
    /// Reads a named value; nothing when it is another one, or does not read.
    pub fn read(name: &str, value: &[u8]) -> Option<Self> {
        let mirror = MirrorId(u64::from_str_radix(name.strip_prefix(MIRROR_PREFIX)?, 16).ok()?);
        let mut reader = Reader::new(value);
        let unix_ms = i64::from_le_bytes(reader.array().ok()?);
        let count = reader.count(MIRROR_EDITS_MAX, 33).ok()?;
        let made = (0..count).map(|_| Some((reader.uint().ok()?, ChangeHash(reader.array().ok()?)))).collect::<Option<_>>()?;
        Some(Self { mirror, unix_ms, made })
    }

    /// Its name and its value.
    pub(super) fn write(&self) -> (String, Vec<u8>) {
        let mut writer = Writer::new();
        writer.put(&self.unix_ms.to_le_bytes());
        writer.uint(self.made.len() as u64);
        for (number, hash) in &self.made {
            writer.uint(*number);
            writer.put(&hash.0);
        }
        (Self::name(self.mirror), writer.finish())
    }

    /// Its name.
    pub(super) fn name(mirror: MirrorId) -> String {
        format!("{MIRROR_PREFIX}{:x}", mirror.0)
    }
}

/// A statement of an owned space.
pub struct StoredStatement;

impl StoredStatement {
    /// Reads a named value: the space, and the statement as it travels; nothing when it is another one.
    pub fn read<'a>(name: &str, value: &'a [u8]) -> Option<(SpaceId, &'a [u8])> {
        let (space, _) = name.strip_prefix(STATEMENT_PREFIX)?.split_once('/')?;
        Some((space.parse().ok()?, value))
    }

    /// Its name and its value.
    pub(super) fn write(space: &SpaceId, statement: &Statement) -> (String, Vec<u8>) {
        (Self::name(space, &statement.id()), statement.bytes().to_vec())
    }

    /// Its name.
    pub fn name(space: &SpaceId, id: &StatementId) -> String {
        format!("{STATEMENT_PREFIX}{space}/{id}")
    }
}

/// The link by which this replica came into a sealed space, kept until its own key was given what the link's was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLink {
    /// The space.
    pub space: SpaceId,
    /// The link's secret key.
    pub secret: [u8; 32],
    /// The key of the epoch that led when the link was made.
    pub key: Option<(EpochId, EpochKey)>,
}

impl StoredLink {
    /// Reads a named value; nothing when it is another one, or does not read.
    pub fn read(name: &str, value: &[u8]) -> Option<Self> {
        let space = name.strip_prefix(LINK_PREFIX)?.parse().ok()?;
        let mut reader = Reader::new(value);
        let secret = reader.array().ok()?;
        let key = if reader.remaining() == 0 {
            None
        } else {
            Some((EpochId(reader.array().ok()?), EpochKey::new(reader.array().ok()?)))
        };
        reader.end().ok()?;
        Some(Self { space, secret, key })
    }

    /// Its name and its value.
    pub(super) fn write(&self) -> (String, Vec<u8>) {
        let mut writer = Writer::new();
        writer.put(&self.secret);
        if let Some((epoch, key)) = &self.key {
            writer.put(&epoch.0);
            writer.put(key.bytes());
        }
        (format!("{LINK_PREFIX}{}", self.space), writer.finish())
    }
}

/// What a key vouches for in an owned space.
pub struct StoredAttestation;

impl StoredAttestation {
    /// Reads a named value: the space and the attestation; nothing when it is another one, or does not read.
    pub fn read(name: &str, value: &[u8]) -> Option<(SpaceId, Attestation)> {
        let (space, _) = name.strip_prefix(ATTESTED_PREFIX)?.split_once('/')?;
        Some((space.parse().ok()?, Attestation::decode(value).ok()?))
    }

    /// Its name and its value.
    pub(super) fn write(space: &SpaceId, attestation: &Attestation) -> (String, Vec<u8>) {
        let Attestation { document, actor, .. } = attestation;
        (format!("{ATTESTED_PREFIX}{space}/{document}/{actor}"), attestation.to_bytes())
    }
}

/// An actor as which this replica wrote in an owned space, and which may not have vouched for all of it.
pub struct StoredActor;

impl StoredActor {
    /// Reads a name; nothing when it is another one.
    pub fn read(name: &str) -> Option<ActorId> {
        name.strip_prefix(ACTOR_PREFIX)?.parse().ok()
    }

    /// Its name.
    pub(super) fn name(actor: &ActorId) -> String {
        format!("{ACTOR_PREFIX}{actor}")
    }
}

/// How many statements of an owned space a peer has said that it has saved, where they were those held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredStatements {
    /// The space.
    pub space: SpaceId,
    /// The peer.
    pub peer: PeerId,
    /// How many.
    pub count: u64,
}

impl StoredStatements {
    /// Reads a named value; nothing when it is another one, or does not read.
    pub fn read(name: &str, value: &[u8]) -> Option<Self> {
        let (space, peer) = name.strip_prefix(STATEMENTS_PREFIX)?.split_once('/')?;
        let mut reader = Reader::new(value);
        let count = reader.uint().ok()?;
        reader.end().ok()?;
        Some(Self { space: space.parse().ok()?, peer: peer.parse().ok()?, count })
    }

    /// Its name and its value.
    pub(super) fn write(&self) -> (String, Vec<u8>) {
        let mut writer = Writer::new();
        writer.uint(self.count);
        (format!("{STATEMENTS_PREFIX}{}/{}", self.space, self.peer), writer.finish())
    }
}

/// Who the replica is that keeps this named value as its secret key; nothing when it is another value. The key itself stays
/// where it is.
pub fn stored_identity(name: &str, value: &[u8]) -> Option<PeerId> {
    let secret = (name == IDENTITY_KEY).then_some(value)?;
    Some(Identity::new(secret.try_into().ok()?, StoreEpoch([0; 16]), false, String::new(), 0).peer())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_back_and_nothing_else_passes_for_one() {
        let clock = [(ActorId::new(&[1, 2]).unwrap(), 7)].into_iter().collect();
        let receipt = StoredReceipt { document: DocumentId([3; 16]), peer: PeerId([4; 32]), relay: true, clock };
        let (name, value) = receipt.write();
        assert_eq!(StoredReceipt::read(&name, &value), Some(receipt));
        assert_eq!(StoredReceipt::read("receipt/nobody", &value), None);
        assert_eq!(StoredReceipt::read(IDENTITY_KEY, &value), None);
        assert_eq!(StoredReceipt::read(&name, &[]), None);
        for moved in [Moved { held: 0, digest: None }, Moved { held: 300, digest: Some([9; 16]) }] {
            let stored = StoredMove { space: SpaceId([5; 16]), document: DocumentId([3; 16]), moved };
            let (name, value) = stored.write();
            assert_eq!(StoredMove::read(&name, &value), Some(stored));
            assert_eq!(StoredMove::read(&name, &value[..value.len() - 1]), None);
        }
        let made = vec![(7, ChangeHash([1; 32])), (300, ChangeHash([2; 32]))];
        let mirror = StoredMirror { mirror: MirrorId(0xab), unix_ms: -5, made };
        let (mirror_name, mirror_value) = mirror.write();
        assert_eq!(mirror_name, "mirror/ab");
        assert_eq!(StoredMirror::read(&mirror_name, &mirror_value), Some(mirror));
        assert_eq!(StoredMirror::read(&mirror_name, &mirror_value[..mirror_value.len() - 1]), None);
        assert_eq!(StoredMirror::read(&name, &mirror_value), None);
        let state = Fingerprint { sum: 7, count: 300 };
        let agreed = StoredState { space: SpaceId([5; 16]), peer: PeerId([4; 32]), relay: true, state };
        let (state_name, state_value) = agreed.write();
        assert_eq!(StoredState::read(&state_name, &state_value), Some(agreed));
        assert_eq!(StoredState::read(&state_name, &state_value[..9]), None);
        assert_eq!(StoredState::read(&name, &state_value), None);
        let clock = [(ActorId::new(&[1, 2]).unwrap(), 7)].into_iter().collect();
        let version = Version { heads: [crate::base::id::ChangeHash([8; 32])].into_iter().collect(), clock };
        let preview = StoredPreview { document: DocumentId([3; 16]), number: 4, version, value: b"{}".to_vec() };
        let (preview_name, preview_value) = preview.write();
        assert_eq!(StoredPreview::read(&preview_name, &preview_value), Some(preview));
        for end in 0..preview_value.len() {
            assert_eq!(StoredPreview::read(&preview_name, &preview_value[..end]), None);
        }
        assert_eq!(StoredPreview::read(&preview_name, &[preview_value.as_slice(), &[0]].concat()), None);
        assert_eq!(StoredPreview::read(&name, &preview_value), None);
        for key in [None, Some((EpochId([6; 32]), EpochKey::new([7; 32])))] {
            let link = StoredLink { space: SpaceId([5; 16]), secret: [9; 32], key };
            let (link_name, link_value) = link.write();
            assert_eq!(StoredLink::read(&link_name, &link_value), Some(link));
            assert_eq!(StoredLink::read(&link_name, &link_value[..link_value.len() - 1]), None);
            assert_eq!(StoredLink::read(&name, &link_value), None);
        }
        let actor = ActorId::new(&[7; 24]).unwrap();
        assert_eq!((StoredActor::read(&StoredActor::name(&actor)), StoredActor::read(&name)), (Some(actor), None));
        let statements = StoredStatements { space: SpaceId([5; 16]), peer: PeerId([4; 32]), count: 300 };
        let (statements_name, statements_value) = statements.write();
        assert_eq!(StoredStatements::read(&statements_name, &statements_value), Some(statements));
        assert_eq!(StoredStatements::read(&statements_name, &[]), None);
        assert_eq!(StoredStatements::read(&name, &statements_value), None);
        assert_eq!(stored_identity(&name, &[1; 32]), None);
        assert_eq!(stored_identity(IDENTITY_KEY, &[1; 31]), None);
        assert!(stored_identity(IDENTITY_KEY, &[1; 32]).is_some());
    }
}
