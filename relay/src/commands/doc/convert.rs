//! Commands that turn files into documents and back: import, export.

use super::client::{Client, read_file};
use super::failure::{Failure, FailureKind};
use super::format::{Format, IMPORT_BYTES_MAX, note, root_of, write_file};
use super::options::{Export, Import};
use super::read::pretty;
use super::storage_folder;
use super::write::{report_new, root_of_note, text_of};
use driftline_core::doc::value::Value;
use serde_json::json;

pub(super) async fn import(client: &Client<'_>, import: &Import) -> Result<(), Failure> {
    if import.file.is_dir() {
        return storage_folder::import(client, &import.file).await;
    }
    let format = match import.format.or_else(|| Format::of(&import.file)) {
        Some(format) => format,
        None => {
            let message = format!(
                "what {} holds does not show from its name: say --as automerge, --as json or --as text",
                import.file.display()
            );
            return Err(Failure::new(FailureKind::Usage, message));
        }
    };
    let bytes = read_file(&import.file, IMPORT_BYTES_MAX)?;
    let name = import.file.display();
    let handle = match format {
        Format::Automerge => client.space.import(bytes).await?,
        Format::Json => {
            let root = root_of(&text_of(bytes, &name)?)
                .map_err(|message| Failure::new(FailureKind::Refused, format!("{name}: {message}")))?;
            client.space.create(move |tx| root.into_iter().try_for_each(|(key, value)| tx.put(key, value))).await?
        }
        Format::Text => {
            let root = root_of_note(note(&import.file, &text_of(bytes, &name)?));
            client.space.create(move |tx| root.into_iter().try_for_each(|(key, value)| tx.put(key, value))).await?
        }
    };
    report_new(client, &handle).await
}

pub(super) async fn export(client: &Client<'_>, export: &Export) -> Result<(), Failure> {
    let id = match (export.id, &export.output) {
        (Some(id), _) => id,
        (None, Some(folder)) => return storage_folder::export(client, folder).await,
        (None, None) => return Err(Failure::new(FailureKind::Usage, "name a document, or a folder for --all")),
    };
    let by_name = || export.output.as_deref().and_then(Format::of);
    let format = match (export.format.or_else(by_name), &export.output) {
        (Some(format), _) => format,
        (None, None) => Format::Json,
        (None, Some(file)) => {
            let message = format!(
                "what {} is to hold does not show from its name: say --as automerge, --as json or --as text",
                file.display()
            );
            return Err(Failure::new(FailureKind::Usage, message));
        }
    };
    let handle = client.find(id).await?;
    let bytes = match format {
        Format::Automerge => handle.export().await?,
        Format::Json => (pretty(&handle.value().await?.to_json()) + "\n").into_bytes(),
        Format::Text => match export.path.find(&handle.value().await?) {
            Some(Value::Text(text) | Value::String(text)) => text.clone().into_bytes(),
            Some(_) => {
                return Err(Failure::new(
                    FailureKind::Refused,
                    format!("{} of {} is not text: name a text with --path", export.path, id),
                ));
            }
            None => {
                return Err(Failure::new(
                    FailureKind::NotFound,
                    format!("there is nothing at {} in {}: name a text with --path", export.path, id),
                ));
            }
        },
    };
    let Some(file) = &export.output else {
        client.output.write(&bytes);
        return Ok(());
    };
    write_file(file, &bytes)
        .map_err(|error| Failure::new(FailureKind::Failed, format!("cannot write {}: {error}", file.display())))?;
    let human = format!("{}: {} bytes", file.display(), bytes.len());
    client.output.result(&human, &json!({ "document": id, "file": file, "bytes": bytes.len() }));
    Ok(())
}
