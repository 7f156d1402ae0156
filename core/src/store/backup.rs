//! Backups: all that a store holds in one file, sealed under the replica's own secret key.
//!
//! The key is what a recovery phrase stands for, so that nothing else need be kept: file and phrase give everything back, and the phrase
//! alone gives back who the replica is. Inside is a journal. It is opened as any, with all its checks, and with an epoch of its own: a
//! store that was restored holds less than what others may believe of the one before.

use super::ledger::Ledger;
use super::task::{StoreDone, StoreError, StoreTask};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{StoreEpoch, TaskId};
use crate::base::limits::BACKUP_BYTES_MAX;
use chacha20poly1305::aead::{Aead as _, AeadInOut as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};

/// What every backup begins with.
pub const MAGIC: &[u8; 16] = b"driftline backup";
const VERSION: u8 = 1;
const KEY_LABEL: &[u8] = b"driftline backup key 1\0";
const CHECK_LABEL: &[u8] = b"driftline backup check 1\0";
const CHECK_BYTES: usize = 4;
/// Random bytes that make each file's sealing its own.
pub const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = MAGIC.len() + 1 + CHECK_BYTES + NONCE_BYTES;
/// What a file has beside the journal in it, at most: the header, two numbers, and the seal's tag.
pub const AROUND_BYTES_MAX: usize = HEADER_BYTES + 2 * 10 + 16;

/// What a backup holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Backup {
    /// When it was made, in seconds of Unix time.
    pub made_unix_s: u64,
    /// A journal: the bytes of a medium's first area.
    pub journal: Vec<u8>,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The journal may hold a key.
        f.debug_struct("Backup").field("made_unix_s", &self.made_unix_s).finish_non_exhaustive()
    }
}

/// Why bytes are not a backup that can be restored. Caused by whoever chose the file, or the phrase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// They are something else.
    #[error("this file is not a Driftline backup")]
    NotOne,
    /// It was made by a newer version of the program.
    #[error("the backup was made by a newer version of the program: update this one")]
    Newer,
    /// It was sealed under another key.
    #[error("the backup was not made under this recovery phrase, but under another")]
    OtherPhrase,
    /// The phrase is right, and the bytes are not what was written.
    #[error("the backup is damaged, or a part of it is missing")]
    Damaged,
    /// It is larger than what is read.
    #[error("the backup is larger than what can be read ({BACKUP_BYTES_MAX} bytes)")]
    TooLarge,
    /// What is in it does not decode.
    #[error("what is in the backup cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// What is in it is no journal that can be opened.
    #[error("what is in the backup cannot be read: {}", .0.message)]
    Journal(#[from] StoreError),
}

impl Backup {
    /// Seals it, under a replica's secret key and random bytes.
    pub fn seal(&self, secret: &[u8; 32], nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
        let key = key_of(secret);
        let mut w = Writer::new();
        w.uint(self.made_unix_s);
        w.uint(self.journal.len() as u64);
        let header = [MAGIC.as_slice(), &[VERSION], &check_of(&key), nonce].concat();
        // Sealed where it stands: a journal may be large, and is not to be in memory three times.
        let mut file = Vec::with_capacity(self.journal.len() + AROUND_BYTES_MAX);
        file.extend_from_slice(&header);
        file.extend_from_slice(&w.finish());
        file.extend_from_slice(&self.journal);
        let plain = &mut file[HEADER_BYTES..];
        let tag = XChaCha20Poly1305::new(&key.into()).encrypt_inout_detached(&XNonce::from(*nonce), &header, plain.into());
        file.extend_from_slice(&tag.expect("a journal in memory is shorter than the cipher's limit"));
        file
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// It is not one, or not of this key.
    pub fn open(secret: &[u8; 32], file: &[u8]) -> Result<Self, BackupError> {
        if file.len() > BACKUP_BYTES_MAX {
            return Err(BackupError::TooLarge);
        }
        let Some((header, sealed)) = file.split_at_checked(HEADER_BYTES) else { return Err(BackupError::NotOne) };
        let Some(rest) = header.strip_prefix(MAGIC) else { return Err(BackupError::NotOne) };
        let ([version], rest) = rest.split_first_chunk().ok_or(BackupError::NotOne)?;
        if *version != VERSION {
            return Err(BackupError::Newer);
        }
        let (check, nonce) = rest.split_first_chunk::<CHECK_BYTES>().ok_or(BackupError::NotOne)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| BackupError::NotOne)?;
        let key = key_of(secret);
        if *check != check_of(&key) {
            return Err(BackupError::OtherPhrase);
        }
        let payload = Payload { msg: sealed, aad: header };
        let mut plain =
            XChaCha20Poly1305::new(&key.into()).decrypt(&XNonce::from(nonce), payload).map_err(|_| BackupError::Damaged)?;
        let mut r = Reader::new(&plain);
        let (made_unix_s, journal_bytes) = (r.uint()?, r.bytes(BACKUP_BYTES_MAX)?.len());
        r.end()?;
        plain.drain(..plain.len() - journal_bytes);
        Ok(Self { made_unix_s, journal: plain })
    }

    /// A new store's journal with what this one holds, a named value put into it, and an epoch of its own. Answers how many documents are in it, too.
    ///
    /// # Errors
    ///
    /// What it holds cannot be opened.
    pub fn restored(&self, value: (String, Vec<u8>), epoch: StoreEpoch) -> Result<(Vec<u8>, usize), BackupError> {
        let mut ledger = Ledger::open([&self.journal, &[]], epoch)?.ledger;
        let (key, value) = value;
        let prepared = ledger.prepare(vec![(TaskId(0), StoreTask::PutMeta { key, value })]);
        for (_, result) in ledger.commit(prepared) {
            let StoreDone::MetaPut = result? else { continue };
        }
        Ok((ledger.copied(Some(epoch))?, ledger.contents().documents.len()))
    }
}

fn key_of(secret: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(KEY_LABEL).chain_update(secret).finalize().into()
}

/// Tells another phrase from damage.
fn check_of(key: &[u8; 32]) -> [u8; CHECK_BYTES] {
    let digest = Sha256::new().chain_update(CHECK_LABEL).chain_update(key).finalize();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest[..CHECK_BYTES]);
    check
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
