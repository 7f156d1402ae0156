//! Storage folders of automerge-repo, as its adapter for Node's file system lays them out: all documents of a space, in and out.
//!
//! ```text
//! FOLDER/4N/MNnkMhL8jXrdJ9jamS58PAVdXu/snapshot/HASH       a saved document
//!                                      incremental/HASH    changes since
//!                                      sync-state/STORAGE  what it remembers of a server: left out
//! FOLDER/st/orage-adapter-id                               whose folder it is: left out
//! ```

use super::client::{Client, read_file};
use super::failure::{Failure, FailureKind};
use super::format::write_file;
use driftline_core::base::id::DocumentId;
use driftline_core::base::limits::IMPORT_BYTES_MAX;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::read_dir;
use std::path::{Path, PathBuf};

/// How many letters of a document's id name the outer folder.
const OUTER_LETTERS: usize = 2;
/// The folders with a document's changes, in the order they are read.
const PIECES: [&str; 2] = ["snapshot", "incremental"];

/// Takes in every document of a storage folder under the id it has there; what is held already is merged with it.
pub(super) async fn import(client: &Client<'_>, folder: &Path) -> Result<(), Failure> {
    let documents = documents_in(folder)?;
    if documents.is_empty() {
        let message = format!(
            "{} is no storage folder of automerge-repo: there is no document in it (FOLDER/xx/…/snapshot/…)",
            folder.display()
        );
        return Err(Failure::new(FailureKind::NotFound, message));
    }
    let mut imported = Vec::new();
    for (document, files) in &documents {
        let mut pieces = Vec::new();
        for file in files {
            let room = (IMPORT_BYTES_MAX - pieces.len().min(IMPORT_BYTES_MAX)) as u64;
            pieces.extend(read_file(file, room)?);
        }
        let handle = client
            .space
            .import_with_id(*document, pieces)
            .await
            .map_err(|error| Failure::new(FailureKind::Refused, format!("document {document}: {error}")))?;
        client.settle(&handle).await?;
        imported.push(*document);
    }
    let human = imported.iter().map(DocumentId::to_string).collect::<Vec<_>>().join("\n");
    client.output.result(&human, &json!({ "documents": imported }));
    Ok(())
}

/// Writes every document of the space into a storage folder. Documents that are there already get one more piece, and lose none.
pub(super) async fn export(client: &Client<'_>, folder: &Path) -> Result<(), Failure> {
    client.catch_up().await?;
    let mut exported = Vec::new();
    for document in client.space.documents().await? {
        let handle = client.space.find_within(document, client.options.timeout).await?;
        let heads = handle.heads().await?;
        let Some(first) = heads.first() else { continue };
        let name = if heads.len() == 1 { first.to_string() } else { format!("{first}-{}", heads.len()) };
        let place = place_of(folder, &document).join(PIECES[0]);
        let failed =
            |error: std::io::Error| Failure::new(FailureKind::Failed, format!("cannot write into {}: {error}", place.display()));
        std::fs::create_dir_all(&place).map_err(failed)?;
        write_file(&place.join(name), &handle.export().await?).map_err(failed)?;
        exported.push(document);
    }
    let human = format!("{}: {} documents", folder.display(), exported.len());
    client.output.result(&human, &json!({ "folder": folder, "documents": exported }));
    Ok(())
}

fn place_of(folder: &Path, document: &DocumentId) -> PathBuf {
    let name = document.to_string();
    let (outer, inner) = name.split_at(OUTER_LETTERS);
    folder.join(outer).join(inner)
}

/// The documents of a storage folder with the files of each, in the order they are to be read.
fn documents_in(folder: &Path) -> Result<BTreeMap<DocumentId, Vec<PathBuf>>, Failure> {
    let mut documents = BTreeMap::new();
    for (outer, outer_path) in entries_of(folder)? {
        if !outer_path.is_dir() {
            continue;
        }
        for (inner, place) in entries_of(&outer_path)? {
            // What is not a document's id is something else that the adapter keeps.
            let Ok(document) = format!("{outer}{inner}").parse::<DocumentId>() else { continue };
            let mut files = Vec::new();
            for piece in PIECES.map(|piece| place.join(piece)) {
                if piece.is_dir() {
                    files.extend(entries_of(&piece)?.into_values());
                }
            }
            if !files.is_empty() {
                documents.insert(document, files);
            }
        }
    }
    Ok(documents)
}

/// What is in a folder, by name, in the order of the names.
fn entries_of(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let failed = |error| Failure::new(FailureKind::Failed, format!("cannot read {}: {error}", folder.display()));
    let mut entries = BTreeMap::new();
    for entry in read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        entries.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
    }
    Ok(entries)
}
