//! Writing: entries, named values, documents set aside. Everything here runs inside a transaction of its caller's.

use super::failure::{Failure, Outcome};
use super::ledger::Ledger;
use super::read::hash_key;
use driftline_core::base::id::DocumentId;
use driftline_core::store::record::encode_entry_record;
use driftline_core::store::task::{StoreDone, StoredEntry};
use rusqlite::{Connection, params};
use std::time::{SystemTime, UNIX_EPOCH};

/// Carries out an `Append`.
pub(super) fn append(
    connection: &Connection,
    ledger: &mut Ledger,
    entries: &[StoredEntry],
    values: &[(String, Vec<u8>)],
) -> Outcome<StoreDone> {
    for (name, value) in values {
        put_meta(connection, name, value)?;
    }
    for stored in entries {
        append_entry(connection, ledger, stored)?;
    }
    Ok(StoreDone::Appended)
}

fn append_entry(connection: &Connection, ledger: &mut Ledger, stored: &StoredEntry) -> Outcome<()> {
    let entry = &stored.entry;
    let actor = ledger.actor_or_new(connection, entry.actor)?;
    if ledger.document(connection, entry.document)?.is_none() {
        ledger.add_document(entry.document, stored.space);
    }
    let after_failure = ledger.has_failed(&entry.document);
    let not_held = || Failure::Damaged("its row is gone".to_owned());
    let row = ledger.document(connection, entry.document)?.ok_or_else(not_held)?;
    if stored.position > row.end + 1 {
        let missing = || Failure::Damaged(format!("entry {} is to be stored where {} is next", stored.position, row.end + 1));
        return Err(if after_failure { Failure::Behind } else { missing() });
    }
    if stored.position <= row.end {
        return Err(Failure::Damaged(format!("entry {} is to be stored where another one is", stored.position)));
    }
    if entry.seq != row.version.clock.get(&entry.actor) + 1 {
        return Err(Failure::Damaged(format!("entry {} is not the next of actor {}", entry.seq, entry.actor)));
    }
    insert_entry(connection, row.number, actor, stored)?;
    row.end = stored.position;
    row.bytes += entry.payload.len() as u64;
    row.version.advance(entry);
    ledger.note_changed(entry.document);
    Ok(())
}

/// Writes an entry's row, for a document and an actor of these numbers.
pub(super) fn insert_entry(connection: &Connection, document: i64, actor: i64, stored: &StoredEntry) -> Outcome<()> {
    let entry = &stored.entry;
    connection
        .prepare_cached("INSERT INTO entries (document, position, actor, seq, hash, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            document,
            stored.position as i64,
            actor,
            entry.seq as i64,
            hash_key(&entry.hash),
            encode_entry_record(stored)
        ])?;
    Ok(())
}

/// Carries out a `PutMeta`.
pub(super) fn put_meta(connection: &Connection, name: &str, value: &[u8]) -> Outcome<StoreDone> {
    if value.is_empty() {
        connection.prepare_cached("DELETE FROM meta WHERE name = ?1")?.execute([name])?;
    } else {
        connection
            .prepare_cached("INSERT OR REPLACE INTO meta (name, value, checksum) VALUES (?1, ?2, ?3)")?
            .execute(params![name, value, i64::from(crc32fast::hash(value))])?;
    }
    Ok(StoreDone::MetaPut)
}

/// Carries out a `Quarantine`: nothing of the document is touched, as its pages may be beyond touching; it is put on a
/// list, and a document of the same id begins anew under another number.
pub(super) fn quarantine(connection: &Connection, ledger: &mut Ledger, document: DocumentId, reason: &str) -> Outcome<StoreDone> {
    let mut numbers = connection.prepare_cached("SELECT number FROM documents INDEXED BY documents_by_id WHERE id = ?1")?;
    let mut rows = numbers.query([&document.0[..]])?;
    while let Some(row) = rows.next()? {
        set_aside(connection, row.get(0)?, document, reason)?;
    }
    ledger.forget_document(&document);
    Ok(StoreDone::Quarantined)
}

/// Puts one document's number on the list of those set aside.
pub(super) fn set_aside(connection: &Connection, number: i64, document: DocumentId, reason: &str) -> Outcome<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    connection
        .prepare_cached("INSERT OR IGNORE INTO quarantined (number, id, since, reason) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![number, &document.0[..], since, reason])?;
    Ok(())
}
