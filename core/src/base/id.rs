//! The names of things: documents, spaces, actors, changes, peers, connections, tasks.
//!
//! Documents and spaces are shown in base58check, as automerge-repo shows documents; hashes, actors and peers in
//! hexadecimal. In JSON every id is its text.

use super::error::IdError;
use super::limits::ACTOR_BYTES_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// One document, in every replica: 16 bytes, drawn at random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId(pub [u8; 16]);

/// A set of documents that travel together: 16 bytes, drawn at random or made from a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId(pub [u8; 16]);

/// A change, by the SHA-256 of its contents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeHash(pub [u8; 32]);

/// A replica, by its Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 32]);

/// A letter, by the SHA-256 of all of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(pub [u8; 32]);

/// A link for a single use, by a hash of its secret, from which nobody finds that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(pub [u8; 16]);

/// One store's life: drawn when the store is made, drawn again when a backup is restored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreEpoch(pub [u8; 16]);

/// A writer of changes: up to 31 bytes, of which Automerge draws 16.
///
/// Held inline, because every entry names one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId {
    bytes: [u8; ACTOR_BYTES_MAX],
    length: u8,
}

/// A connection of the driver's, never used twice by one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionId(pub u64);

/// An effect that will be answered, never used twice by one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub u64);

/// A mirror that the app shows, numbered by the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ViewId(pub u64);

/// A mirror through all its views: one that outlives its engine opens another view with the next. Drawn by the app at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MirrorId(pub u64);

impl ActorId {
    /// The actor of `bytes`, or nothing when there are more than 31.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut actor = Self { bytes: [0; ACTOR_BYTES_MAX], length: u8::try_from(bytes.len()).ok()? };
        actor.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(actor)
    }

    /// The bytes of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl SpaceId {
    /// The space that a name stands for: whoever says the same name means the same space.
    ///
    /// SHA-256 of `driftline space` and the name, its first 16 bytes.
    pub fn from_name(name: &str) -> Self {
        let digest = Sha256::new().chain_update(b"driftline space\0").chain_update(name).finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }

    /// The space that `text` names: its id where it is one, or else the space of that name.
    pub fn from_id_or_name(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| Self::from_name(text))
    }
}

/// `bytes` and four that check them in base 58, as Bitcoin writes them: how automerge-repo shows ids and heads.
pub fn to_base58check(bytes: &[u8]) -> String {
    let mut checked = bytes.to_vec();
    checked.extend_from_slice(&check_bytes(bytes));
    bs58::encode(checked).into_string()
}

fn from_base58check<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let checked = bs58::decode(text).into_vec().map_err(|_| IdError::NotBase58)?;
    if checked.len() != N + 4 {
        return Err(IdError::Length { expected: N, found: checked.len().saturating_sub(4) });
    }
    let (bytes, check) = checked.split_at(N);
    if check != check_bytes(bytes) {
        return Err(IdError::Check);
    }
    Ok(bytes.try_into().expect("the length was checked"))
}

/// First four bytes of the double SHA-256, as Bitcoin's base58check has them.
fn check_bytes(bytes: &[u8]) -> [u8; 4] {
    let digest = Sha256::digest(Sha256::digest(bytes));
    [digest[0], digest[1], digest[2], digest[3]]
}

/// `bytes` in lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that lower- or upper-case hexadecimal stands for.
pub fn from_hex(text: &str) -> Result<Vec<u8>, IdError> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(IdError::NotHex);
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| IdError::NotHex)).collect()
}

fn from_hex_array<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let bytes = from_hex(text)?;
    let found = bytes.len();
    bytes.try_into().map_err(|_| IdError::Length { expected: N, found })
}

/// Text, debug and JSON of an id, all the same.
macro_rules! shown_as_text {
    ($id:ty, $to:expr, $from:expr) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let to: fn(&$id) -> String = $to;
                f.write_str(&to(self))
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
        impl FromStr for $id {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let from: fn(&str) -> Result<$id, IdError> = $from;
                from(text)
            }
        }
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

shown_as_text!(DocumentId, |id| to_base58check(&id.0), |text| from_base58check(text).map(DocumentId));
shown_as_text!(SpaceId, |id| to_base58check(&id.0), |text| from_base58check(text).map(SpaceId));
shown_as_text!(ChangeHash, |id| to_hex(&id.0), |text| from_hex_array(text).map(ChangeHash));
shown_as_text!(PeerId, |id| to_hex(&id.0), |text| from_hex_array(text).map(PeerId));
shown_as_text!(LetterId, |id| to_hex(&id.0), |text| from_hex_array(text).map(LetterId));
shown_as_text!(TicketId, |id| to_hex(&id.0), |text| from_hex_array(text).map(TicketId));
shown_as_text!(StoreEpoch, |id| to_hex(&id.0), |text| from_hex_array(text).map(StoreEpoch));
shown_as_text!(ActorId, |id| to_hex(id.as_bytes()), |text| {
    let bytes = from_hex(text)?;
    ActorId::new(&bytes).ok_or(IdError::Length { expected: ACTOR_BYTES_MAX, found: bytes.len() })
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_id_reads_back_and_a_mistyped_letter_is_noticed() {
        let id = DocumentId([7; 16]);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        let mistyped = format!("{}{}", &text[..text.len() - 1], if text.ends_with('2') { '3' } else { '2' });
        assert_eq!(mistyped.parse::<DocumentId>(), Err(IdError::Check));
        assert!(matches!("2short".parse::<DocumentId>(), Err(IdError::Length { .. })));
        assert_eq!("0OIl".parse::<DocumentId>(), Err(IdError::NotBase58));
    }

    #[test]
    fn a_document_id_is_shown_as_automerge_repo_shows_it() {
        // bs58check of sixteen zero bytes, computed with Bitcoin's definition.
        assert_eq!(DocumentId([0; 16]).to_string(), "1111111111111111".to_owned() + &to_base58check(&[0; 16])[16..]);
    }

    #[test]
    fn a_space_is_meant_by_its_id_or_by_a_name() {
        let space = SpaceId::from_name("harbour");
        assert_eq!(SpaceId::from_id_or_name("harbour"), space);
        assert_eq!(SpaceId::from_id_or_name(&space.to_string()), space);
        assert_ne!(SpaceId::from_name("harbor"), space);
    }

    #[test]
    fn an_actor_has_at_most_31_bytes() {
        assert!(ActorId::new(&[1; 31]).is_some());
        assert!(ActorId::new(&[1; 32]).is_none());
        let actor = ActorId::new(&[0xab, 0xcd]).unwrap();
        assert_eq!(actor.to_string(), "abcd");
        assert_eq!("abcd".parse(), Ok(actor));
    }
}
