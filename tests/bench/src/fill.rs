//! A store of a size that takes long to write through a relay: written as a relay writes, without one.

use crate::wire::Typist;
use anyhow::{Context as _, Result, bail};
use driftline_core::base::id::{DocumentId, SpaceId, StoreEpoch};
use driftline_core::store::task::{StoreTask, StoredEntry};
use driftline_relay::store::sqlite::{SqliteOptions, SqliteStore};
use std::path::Path;
use std::sync::Arc;

/// Changes of a document.
const CHANGES: u64 = 20;
/// Documents written in one batch.
const BATCH: usize = 500;
/// Documents that are made; the others have the same changes under other ids, as only their readers would find out.
const MADE: usize = 256;

/// Fills a store with documents of a few keystrokes until its folder has so many bytes; answers how many documents it took.
pub(crate) fn fill(folder: &Path, bytes: u64) -> Result<u64> {
    let mut store = SqliteStore::open(folder, &SqliteOptions::default())?;
    store.carry_out(&[StoreTask::Open { epoch: StoreEpoch([7; 16]) }]).remove(0).context("the store does not open")?;
    let mut documents = 0u64;
    let made: Vec<_> = (0..MADE).map(|number| history(number as u8)).collect::<Result<_>>()?;
    while super::ingest::folder_bytes(folder)? < bytes {
        let mut entries = Vec::new();
        for _ in 0..BATCH {
            documents += 1;
            let spread = u128::from(documents).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let (id, space) = (DocumentId(spread.to_be_bytes()), SpaceId::from_name(&format!("fill {}", documents % 100)));
            for (position, entry) in (1..).zip(&made[documents as usize % MADE]) {
                let entry = driftline_core::log::entry::Entry { document: id, ..entry.clone() };
                entries.push(StoredEntry { space, position, entry: Arc::new(entry) });
            }
        }
        if let Err(error) = store.carry_out(&[StoreTask::Append { entries, values: Vec::new() }]).remove(0) {
            bail!("the store refuses: {error}");
        }
    }
    Ok(documents)
}

fn history(number: u8) -> Result<Vec<driftline_core::log::entry::Entry>> {
    let (mut typist, begun) = Typist::begin(DocumentId([number; 16]), number.max(1))?;
    let mut history = vec![begun];
    for _ in 1..CHANGES {
        history.push(typist.key()?);
    }
    Ok(history)
}
