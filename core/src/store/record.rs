//! Records: the units a store keeps on disk, each with checksums of its own.
//!
//! A record in a journal is a header of 32 bytes, a body, and the body's checksum; `docs/storage.md` gives them byte by byte.
//! Header and body are checked apart, so that damage to one leaves the other to tell what was hit: an intact header names
//! the document of a damaged body and says where the next record starts, and an intact body makes a damaged header good.
//! Both checksums cover the record's offset in its file, so that a record that is a copy inside another's payload never
//! passes for one.
//!
//! Stores that keep their own rows (SQLite) store the body and its checksum alone: [`encode_entry_record`].

use super::task::StoredEntry;
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId, StoreEpoch};
use crate::base::limits::ACTOR_BYTES_MAX;
use crate::log::entry::Entry;
use crate::log::snapshot::{Base, Snapshot};
use crate::log::version::Version;
use std::sync::Arc;

/// The version of the format that this code writes, and the newest that it reads.
pub const FORMAT_VERSION: u64 = 1;
/// Bytes of a record's header.
pub const HEADER_BYTES: usize = 32;
/// Bytes of a checksum.
pub const CHECK_BYTES: usize = 4;
/// Largest body of a record in bytes; a length above it is damage.
pub const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Largest batch in bytes: records that are written and synced together.
pub const BATCH_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Longest name of a named value in bytes.
pub const META_KEY_BYTES_MAX: usize = 255;

/// Bytes of the shortest entry within a [`Record::Beginning`]: an empty actor, its number, a hash, no dependencies, no payload.
const CHANGE_BYTES_MIN: usize = 1 + 1 + 32 + 1 + 1;

/// What every header begins with: not ASCII first, so that text is never taken for a record.
pub(super) const MARKER: [u8; 3] = [0xd7, b'L', b'R'];
/// What the body of a store header says after its kind.
const MAGIC: &[u8; 9] = b"driftline";

const KIND_STORE: u8 = 1;
const KIND_ENTRY: u8 = 2;
const KIND_META: u8 = 3;
const KIND_QUARANTINE: u8 = 4;
const KIND_SNAPSHOT: u8 = 5;
const KIND_COPY: u8 = 6;
pub(super) const KIND_WHOLE: u8 = 7;
const KIND_BEGINNING: u8 = 8;
const KIND_RENEW: u8 = 9;

/// One unit on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// What the file is and whose life it tells: the first record of a journal. A later one replaces it.
    Store {
        /// The life.
        epoch: StoreEpoch,
    },
    /// One entry of one document.
    Entry(StoredEntry),
    /// A named value; an empty one removes what stood there.
    Meta {
        /// Its name.
        key: String,
        /// Its value.
        value: Vec<u8>,
    },
    /// All entries of a document above a position, as far as they stand before this record, are set aside.
    Quarantine {
        /// The document.
        document: DocumentId,
        /// The last position that stays.
        keep: u64,
    },
    /// A document's log is set aside, and begun anew with the entries of it that follow in the batch: neither without the other.
    Renew {
        /// The document.
        document: DocumentId,
        /// How many of its entries follow.
        entries: u64,
    },
    /// A snapshot takes the place of the beginning of a document's log.
    Snapshot {
        /// The document.
        document: DocumentId,
        /// The space it belongs to.
        space: SpaceId,
        /// The position of the log's last entry once it begins so: a recovery that comes to another one has missed something.
        end: u64,
        /// Up to where entries are let go.
        base: Base,
        /// The snapshot.
        snapshot: Snapshot,
    },
    /// What stands from here on is a copy of a journal of the generation before, and counts once it is called whole.
    Copy {
        /// How often the journal was written again, with this time.
        generation: u64,
    },
    /// The copy is whole: from here on this is the journal.
    Whole {
        /// The generation that the copy began with.
        generation: u64,
    },
    /// In a copy, a document's log begins with a snapshot and with those of the entries it stands for that are still held.
    Beginning {
        /// The document.
        document: DocumentId,
        /// The space it belongs to.
        space: SpaceId,
        /// Up to where entries are let go.
        base: Base,
        /// The snapshot.
        snapshot: Snapshot,
        /// The entries from there up to the snapshot's end.
        entries: Vec<Arc<Entry>>,
    },
}

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They do not check out.
    #[error("the checksum does not fit")]
    Check,
    /// They check out and yet make no sense: written by a program with a fault.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// They check out and are of a format this program does not know.
    #[error("written by a newer version of the program (it has {what} {found}): update this program to read it")]
    Newer {
        /// What is unknown.
        what: &'static str,
        /// Its number.
        found: u64,
    },
    /// Larger than any record may be. Caused by whoever wanted it written.
    #[error("{bytes} bytes are more than a record can hold")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// The part of a record that tells where it ends and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// What the body is.
    pub(super) kind: u8,
    /// Bytes of the body.
    pub(super) body_bytes: u32,
    /// Bytes from the start of the batch to the start of the record.
    pub(super) batch_bytes: u32,
    /// The document it belongs to; zeros for none.
    pub(super) document: DocumentId,
}

impl Header {
    fn encode(&self, at: u64) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..3].copy_from_slice(&MARKER);
        bytes[3] = self.kind;
        bytes[4..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.batch_bytes.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.document.0);
        let check = check_at(at, &bytes[..28]);
        bytes[28..].copy_from_slice(&check);
        bytes
    }

    /// The header that `bytes` begin with at offset `at` of their file, when it checks out.
    pub(super) fn decode(bytes: &[u8], at: u64) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        if bytes[..3] != MARKER || bytes[28..] != check_at(at, &bytes[..28]) {
            return None;
        }
        let body_bytes = u32::from_le_bytes(bytes[4..8].try_into().ok()?);
        let batch_bytes = u32::from_le_bytes(bytes[8..12].try_into().ok()?);
        if body_bytes as usize > BODY_BYTES_MAX || u64::from(batch_bytes) > at {
            return None;
        }
        Some(Self { kind: bytes[3], body_bytes, batch_bytes, document: DocumentId(bytes[12..28].try_into().ok()?) })
    }

    /// Whether it belongs to a document.
    pub(super) fn is_of_document(&self) -> bool {
        matches!(self.kind, KIND_ENTRY | KIND_QUARANTINE | KIND_RENEW | KIND_SNAPSHOT | KIND_BEGINNING)
    }
}

impl Record {
    /// Appends it to `out`, as it stands at offset `at` of its file in a batch that starts at `batch_start`.
    pub fn encode(&self, at: u64, batch_start: u64, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let body = self.body();
        if body.len() > BODY_BYTES_MAX {
            return Err(RecordError::TooLarge { bytes: body.len() });
        }
        let batch_bytes = u32::try_from(at.saturating_sub(batch_start)).unwrap_or(u32::MAX);
        if u64::from(batch_bytes) + body.len() as u64 > BATCH_BYTES_MAX {
            return Err(RecordError::TooLarge { bytes: batch_bytes as usize + body.len() });
        }
        let header = Header { kind: self.kind(), body_bytes: body.len() as u32, batch_bytes, document: self.document() };
        out.extend_from_slice(&header.encode(at));
        out.extend_from_slice(&body);
        out.extend_from_slice(&check_at(at, &body));
        Ok(())
    }

    /// Reads the record whose header is `header` from its body and the body's checksum, at offset `at` of their file.
    pub(super) fn decode(header: &Header, body_and_check: &[u8], at: u64) -> Result<Self, RecordError> {
        let record = Self::decode_alone(body_and_check, at)?;
        if record.kind() != header.kind || record.document() != header.document {
            return Err(DecodeError::Invalid("a record's header and body contradict each other").into());
        }
        Ok(record)
    }

    /// Reads a record whose header is lost.
    pub(super) fn decode_alone(body_and_check: &[u8], at: u64) -> Result<Self, RecordError> {
        let (body, check) = body_and_check.split_last_chunk::<CHECK_BYTES>().ok_or(RecordError::Check)?;
        if *check != check_at(at, body) {
            return Err(RecordError::Check);
        }
        Self::decode_body(body)
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Store { .. } => KIND_STORE,
            Self::Entry(_) => KIND_ENTRY,
            Self::Meta { .. } => KIND_META,
            Self::Quarantine { .. } => KIND_QUARANTINE,
            Self::Renew { .. } => KIND_RENEW,
            Self::Snapshot { .. } => KIND_SNAPSHOT,
            Self::Copy { .. } => KIND_COPY,
            Self::Whole { .. } => KIND_WHOLE,
            Self::Beginning { .. } => KIND_BEGINNING,
        }
    }

    fn document(&self) -> DocumentId {
        match self {
            Self::Entry(stored) => stored.entry.document,
            Self::Quarantine { document, .. }
            | Self::Renew { document, .. }
            | Self::Snapshot { document, .. }
            | Self::Beginning { document, .. } => *document,
            Self::Store { .. } | Self::Meta { .. } | Self::Copy { .. } | Self::Whole { .. } => DocumentId([0; 16]),
        }
    }

    fn body(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(self.kind());
        match self {
            Self::Store { epoch } => {
                writer.put(MAGIC);
                writer.uint(FORMAT_VERSION);
                writer.put(&epoch.0);
            }
            Self::Entry(stored) => encode_entry(stored, &mut writer),
            Self::Meta { key, value } => {
                writer.text(key);
                writer.bytes(value);
            }
            Self::Quarantine { document, keep } => {
                writer.put(&document.0);
                writer.uint(*keep);
            }
            Self::Renew { document, entries } => {
                writer.put(&document.0);
                writer.uint(*entries);
            }
            Self::Snapshot { document, space, end, base, snapshot } => {
                writer.put(&document.0);
                writer.put(&space.0);
                writer.uint(*end);
                base.encode(&mut writer);
                snapshot.version.encode(&mut writer);
                writer.bytes(&snapshot.bytes);
            }
            Self::Copy { generation } | Self::Whole { generation } => writer.uint(*generation),
            Self::Beginning { document, space, base, snapshot, entries } => {
                writer.put(&document.0);
                writer.put(&space.0);
                base.encode(&mut writer);
                snapshot.version.encode(&mut writer);
                writer.bytes(&snapshot.bytes);
                writer.uint(entries.len() as u64);
                for entry in entries {
                    encode_change(entry, &mut writer);
                }
            }
        }
        writer.finish()
    }

    fn decode_body(body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(body);
        let record = match reader.u8()? {
            KIND_STORE => {
                if reader.take(MAGIC.len())? != MAGIC {
                    return Err(DecodeError::Invalid("a store header without its magic word").into());
                }
                let version = reader.uint()?;
                if version > FORMAT_VERSION {
                    return Err(RecordError::Newer { what: "format version", found: version });
                }
                Self::Store { epoch: StoreEpoch(reader.array()?) }
            }
            KIND_ENTRY => Self::Entry(decode_entry(&mut reader)?),
            KIND_META => Self::Meta { key: reader.text(META_KEY_BYTES_MAX)?, value: reader.bytes(BODY_BYTES_MAX)?.to_vec() },
            KIND_QUARANTINE => Self::Quarantine { document: DocumentId(reader.array()?), keep: reader.uint()? },
            KIND_RENEW => Self::Renew { document: DocumentId(reader.array()?), entries: reader.uint()? },
            KIND_SNAPSHOT => Self::Snapshot {
                document: DocumentId(reader.array()?),
                space: SpaceId(reader.array()?),
                end: reader.uint()?,
                base: Base::decode(&mut reader)?,
                snapshot: Snapshot { version: Version::decode(&mut reader)?, bytes: Arc::from(reader.bytes(BODY_BYTES_MAX)?) },
            },
            KIND_COPY => Self::Copy { generation: reader.uint()? },
            KIND_WHOLE => Self::Whole { generation: reader.uint()? },
            KIND_BEGINNING => decode_beginning(&mut reader)?,
            kind => return Err(RecordError::Newer { what: "records of kind", found: kind.into() }),
        };
        reader.end()?;
        Ok(record)
    }
}

/// An entry as bytes with a checksum, for stores that keep rows of their own: the body of an entry record, then the CRC32
/// of it, little endian. A flipped bit anywhere in it is noticed by [`decode_entry_record`].
pub fn encode_entry_record(stored: &StoredEntry) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u8(KIND_ENTRY);
    encode_entry(stored, &mut writer);
    let mut bytes = writer.finish();
    let check = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// Reads what [`encode_entry_record`] wrote. The caller compares the document and position with what it asked for.
pub fn decode_entry_record(bytes: &[u8]) -> Result<StoredEntry, RecordError> {
    let (body, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(RecordError::Check)?;
    if u32::from_le_bytes(*check) != crc32fast::hash(body) {
        return Err(RecordError::Check);
    }
    match Record::decode_body(body)? {
        Record::Entry(stored) => Ok(stored),
        _ => Err(DecodeError::Invalid("a record of another kind where an entry is expected").into()),
    }
}

fn encode_entry(stored: &StoredEntry, writer: &mut Writer) {
    let StoredEntry { space, position, entry } = stored;
    writer.put(&entry.document.0);
    writer.put(&space.0);
    writer.uint(*position);
    encode_change(entry, writer);
}

/// The part of an entry that is its own: without the document, the space and the position.
fn encode_change(entry: &Entry, writer: &mut Writer) {
    writer.bytes(entry.actor.as_bytes());
    writer.uint(entry.seq);
    writer.put(&entry.hash.0);
    writer.uint(entry.deps.len() as u64);
    for dep in &entry.deps {
        writer.put(&dep.0);
    }
    writer.bytes(&entry.payload);
}

fn decode_entry(reader: &mut Reader<'_>) -> Result<StoredEntry, DecodeError> {
    let document = DocumentId(reader.array()?);
    let space = SpaceId(reader.array()?);
    let position = reader.uint()?;
    Ok(StoredEntry { space, position, entry: Arc::new(decode_change(document, reader)?) })
}

fn decode_change(document: DocumentId, reader: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    let actor = ActorId::new(reader.bytes(ACTOR_BYTES_MAX)?).ok_or(DecodeError::Invalid("an actor id is too long"))?;
    let seq = reader.uint()?;
    let hash = ChangeHash(reader.array()?);
    // Only the bytes bound it: what a store took once it must give back.
    let count = reader.count(BODY_BYTES_MAX / 32, 32)?;
    let mut deps = Vec::with_capacity(count);
    for _ in 0..count {
        deps.push(ChangeHash(reader.array()?));
    }
    let payload = Arc::from(reader.bytes(BODY_BYTES_MAX)?);
    Ok(Entry { document, actor, seq, hash, deps, payload })
}

fn decode_beginning(reader: &mut Reader<'_>) -> Result<Record, DecodeError> {
    let (document, space) = (DocumentId(reader.array()?), SpaceId(reader.array()?));
    let base = Base::decode(reader)?;
    let snapshot = Snapshot { version: Version::decode(reader)?, bytes: Arc::from(reader.bytes(BODY_BYTES_MAX)?) };
    let count = reader.count(BODY_BYTES_MAX / CHANGE_BYTES_MIN, CHANGE_BYTES_MIN)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(Arc::new(decode_change(document, reader)?));
    }
    Ok(Record::Beginning { document, space, base, snapshot, entries })
}

/// About how many bytes an entry takes in a journal, as a record of its own: within a few of what it is.
pub(super) fn entry_record_bytes(entry: &Entry) -> u64 {
    const FIELDS: usize = 1 + 16 + 16 + 3 + 1 + 2 + 32 + 1 + 2;
    let bytes = HEADER_BYTES + CHECK_BYTES + FIELDS + entry.actor.as_bytes().len() + 32 * entry.deps.len() + entry.payload.len();
    bytes as u64
}

/// CRC32 over the offset and the bytes, little endian.
fn check_at(at: u64, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize().to_le_bytes()
}
