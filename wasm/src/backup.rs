//! Backups, as a page asks for them: the recovery phrase, a file, and a store made of both.

use crate::host::{EngineHost, now};
use driftline_core::base::id::{StoreEpoch, TaskId};
use driftline_core::base::phrase::{phrase_of, secret_of};
use driftline_core::engine::stored::IDENTITY_KEY;
use driftline_core::store::backup::Backup;
use driftline_core::store::ledger::{Ledger, Opening};
use driftline_core::store::task::StoreTask;
use wasm_bindgen::prelude::{JsError, wasm_bindgen};

/// A store to go on from.
#[wasm_bindgen]
pub struct Restored {
    journal: Vec<u8>,
    documents: usize,
}

#[wasm_bindgen]
impl Restored {
    /// The bytes of a new medium's first area.
    pub fn journal(&self) -> Vec<u8> {
        self.journal.clone()
    }

    /// How many documents are in it.
    pub fn documents(&self) -> usize {
        self.documents
    }
}

#[wasm_bindgen]
impl EngineHost {
    /// This replica's recovery phrase: its secret key in words.
    pub fn phrase(&self) -> Result<String, JsError> {
        Ok(phrase_of(&self.secret()?))
    }

    /// All that the store holds, sealed under this replica's key and 24 random bytes.
    pub fn backup(&self, nonce: &[u8]) -> Result<Vec<u8>, JsError> {
        let secret = self.secret()?;
        let ledger = self.shelf.ledger().ok_or_else(not_open)?;
        let journal = ledger.copied(None).map_err(|error| JsError::new(&error.message))?;
        let made_unix_s = u64::try_from(now().unix_ms / 1_000).unwrap_or(0);
        let nonce = nonce.try_into().map_err(|_| JsError::new("a backup is sealed with 24 random bytes"))?;
        Ok(Backup { made_unix_s, journal }.seal(&secret, nonce))
    }
}

impl EngineHost {
    fn secret(&self) -> Result<[u8; 32], JsError> {
        let stored = || self.shelf.ledger().and_then(|ledger| identity_of(ledger.contents().meta));
        self.identity.or_else(stored).ok_or_else(not_open)
    }
}

/// The store that a recovery phrase and a backup's file make, with 16 random bytes for its epoch; without a file one that holds nothing but the key.
#[wasm_bindgen]
pub fn restored(phrase: &str, file: Option<Vec<u8>>, epoch: &[u8]) -> Result<Restored, JsError> {
    let epoch = StoreEpoch(epoch.try_into().map_err(|_| JsError::new("an epoch is 16 bytes"))?);
    let secret = secret_of(phrase)?;
    let backup = match file {
        Some(file) => Backup::open(&secret, &file)?,
        None => Backup { made_unix_s: 0, journal: Vec::new() },
    };
    let (journal, documents) = backup.restored((IDENTITY_KEY.to_owned(), secret.to_vec()), epoch)?;
    Ok(Restored { journal, documents })
}

/// In which of a medium's two areas the journal is: what takes its place is written into the other.
#[wasm_bindgen(js_name = journalArea)]
pub fn journal_area(first: &[u8], second: &[u8]) -> Result<u8, JsError> {
    Ok(open(first, second)?.area() as u8)
}

/// How many documents the journal in a medium's two areas holds.
#[wasm_bindgen(js_name = documentsIn)]
pub fn documents_in(first: &[u8], second: &[u8]) -> Result<usize, JsError> {
    Ok(open(first, second)?.contents().documents.len())
}

/// The secret key that the journal in a medium's two areas keeps; nothing where it keeps none.
#[wasm_bindgen(js_name = identityIn)]
pub fn identity_in(first: &[u8], second: &[u8]) -> Result<Option<Vec<u8>>, JsError> {
    Ok(identity_of(open(first, second)?.contents().meta).map(|secret| secret.to_vec()))
}

/// The same journal without its secret key, in one piece and with nothing dead in it, for a medium that keeps the key elsewhere; nothing where something of
/// it is damaged, and must stay where it is.
#[wasm_bindgen(js_name = withoutIdentity)]
pub fn without_identity(first: &[u8], second: &[u8]) -> Result<Option<Vec<u8>>, JsError> {
    let opening = Ledger::open([first, second], StoreEpoch([0; 16])).map_err(|error| JsError::new(&error.message))?;
    let Opening { mut ledger, contents, .. } = opening;
    if !contents.damaged.is_empty() || !contents.lost.is_empty() {
        return Ok(None);
    }
    let forget = StoreTask::PutMeta { key: IDENTITY_KEY.to_owned(), value: Vec::new() };
    let prepared = ledger.prepare(vec![(TaskId(0), forget)]);
    drop(ledger.commit(prepared));
    Ok(Some(ledger.copied(None).map_err(|error| JsError::new(&error.message))?))
}

fn open(first: &[u8], second: &[u8]) -> Result<Ledger, JsError> {
    let opening = Ledger::open([first, second], StoreEpoch([0; 16]));
    Ok(opening.map_err(|error| JsError::new(&error.message))?.ledger)
}

fn identity_of(meta: Vec<(String, Vec<u8>)>) -> Option<[u8; 32]> {
    let (_, secret) = meta.into_iter().find(|(name, _)| name == IDENTITY_KEY)?;
    secret.try_into().ok()
}

fn not_open() -> JsError {
    JsError::new("the store is not open")
}
