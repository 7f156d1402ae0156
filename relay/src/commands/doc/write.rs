//! Commands that write: create, set, splice.

use super::client::{Client, read_file, saved_json, saved_words};
use super::failure::{Failure, FailureKind};
use super::format::{IMPORT_BYTES_MAX, note, root_of, untitled};
use super::options::{Create, Set, Splice};
use crate::repo::DocHandle;
use driftline_core::doc::value::{Prop, Value};
use serde_json::json;
use std::collections::BTreeMap;

pub(super) async fn create(client: &Client<'_>, create: &Create) -> Result<(), Failure> {
    let value = match (&create.value, &create.text) {
        (Some(json), _) => root_of(json).map_err(|message| Failure::new(FailureKind::Usage, message))?,
        (None, Some(file)) => root_of_note(note(file, &text_of(read_file(file, IMPORT_BYTES_MAX)?, &file.display())?)),
        (None, None) => root_of_note(untitled()),
    };
    let handle = make(client, create, value).await?;
    report_new(client, &handle).await
}

async fn make(client: &Client<'_>, create: &Create, value: BTreeMap<String, Value>) -> Result<DocHandle, Failure> {
    Ok(match create.id {
        Some(id) => {
            client.space.create_with_id(id, move |tx| value.into_iter().try_for_each(|(key, value)| tx.put(key, value))).await?
        }
        None => client.space.create(move |tx| value.into_iter().try_for_each(|(key, value)| tx.put(key, value))).await?,
    })
}

/// Prints the id of a document that was made, once it is saved.
pub(super) async fn report_new(client: &Client<'_>, handle: &DocHandle) -> Result<(), Failure> {
    let settled = client.settle(handle).await;
    if settled.is_err() && client.in_memory {
        return settled.map(drop);
    }
    // The id is printed also where the relay is demanded and away: the document is there.
    let saved = handle.saved().await?;
    client.output.result(
        &handle.id().to_string(),
        &json!({ "document": handle.id(), "space": handle.space(), "saved": saved_json(&saved) }),
    );
    settled.map(drop)
}

pub(super) fn root_of_note(note: Value) -> BTreeMap<String, Value> {
    match note {
        Value::Map(map) => map,
        other => BTreeMap::from([("body".to_owned(), other)]),
    }
}

/// Bytes as text, or advice.
pub(super) fn text_of(bytes: Vec<u8>, name: &dyn std::fmt::Display) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| Failure::new(FailureKind::Refused, format!("{name} is not UTF-8 text")))
}

pub(super) async fn set(client: &Client<'_>, set: &Set) -> Result<(), Failure> {
    let value: Value = serde_json::from_str(&set.value).map_err(|error| {
        let advice = "a value is JSON, and text has quotes of its own: '\"Spring tides\"'";
        Failure::new(FailureKind::Usage, format!("`{}` is not a value ({error}); {advice}", set.value))
    })?;
    let handle = client.find(set.id).await?;
    let root = handle.value().await?;
    let path = set.path.resolve(&root);
    let new_text = match (set.path.find(&root), &value) {
        (Some(Value::Text(_)), Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let length = list_length(&set.path.parent().and_then(|parent| parent.find(&root).cloned()));
    let appends = matches!((path.last(), length), (Some(Prop::Index(index)), Some(length)) if *index == length);
    let message = set.message.clone();
    let change = move |tx: &mut driftline_core::doc::document::Transaction<'_>| match new_text {
        Some(text) => tx.update_text(path, &text),
        None if appends => tx.insert(path, [value]),
        None => tx.put(path, value),
    };
    match message {
        Some(message) => handle.change_with_message(message, change).await?,
        None => handle.change(change).await?,
    }
    report(client, &handle).await
}

fn list_length(value: &Option<Value>) -> Option<usize> {
    match value {
        Some(Value::List(list)) => Some(list.len()),
        _ => None,
    }
}

pub(super) async fn splice(client: &Client<'_>, splice: &Splice) -> Result<(), Failure> {
    let handle = client.find(splice.id).await?;
    let path = splice.path.resolve(&handle.value().await?);
    let (index, delete, text) = (splice.index, splice.delete, splice.text.clone());
    handle.change(move |tx| tx.splice(path, index, delete, &text)).await?;
    report(client, &handle).await
}

/// Says how saved a change is that was made.
async fn report(client: &Client<'_>, handle: &DocHandle) -> Result<(), Failure> {
    let saved = client.settle(handle).await?;
    let heads = handle.heads().await?;
    let human = format!("saved {}", saved_words(&saved));
    client.output.result(&human, &json!({ "document": handle.id(), "heads": heads, "saved": saved_json(&saved) }));
    Ok(())
}
