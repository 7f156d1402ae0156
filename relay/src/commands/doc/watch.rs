//! `watch`: each change as it arrives.

use super::client::Client;
use super::failure::Failure;
use super::options::Watch;
use super::read::pretty;
use crate::repo::{Change, DocHandle, SpaceEvent};
use driftline_core::base::id::DocumentId;
use driftline_core::doc::patch::Patch;
use driftline_core::doc::value::{Prop, Value};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use tokio::sync::mpsc;

/// Changes of all documents together that wait to be printed; above it, documents wait and show several changes as one.
const CHANGES_WAITING_MAX: usize = 256;

/// Longest piece of text shown of one patch, in code points; `--json` shows all.
const SHOWN_LENGTH_MAX: usize = 200;

pub(super) async fn run(client: &Client<'_>, watch: &Watch) -> Result<(), Failure> {
    let (sender, mut changes) = mpsc::channel(CHANGES_WAITING_MAX);
    let mut watched = BTreeSet::new();
    let mut events = client.space.subscribe();
    match watch.id {
        Some(id) => follow(client.find(id).await?, true, sender.clone()).await?,
        None => {
            client.catch_up().await?;
            for id in client.space.documents().await? {
                watched.insert(id);
                follow(client.space.find(id).await?, true, sender.clone()).await?;
            }
        }
    }
    client.output.note(&match watch.id {
        Some(id) => format!("watching {id}; Ctrl-C ends"),
        None => format!("watching the {} documents of the space `{}`; Ctrl-C ends", watched.len(), client.options.space()),
    });
    loop {
        tokio::select! {
            Some((document, change)) = changes.recv() => print(client, document, &change),
            event = events.next() => match event {
                Some(SpaceEvent::DocumentAdded { .. } | SpaceEvent::Missed) if watch.all => {
                    for id in client.space.documents().await? {
                        if watched.insert(id) {
                            follow(client.space.find(id).await?, false, sender.clone()).await?;
                        }
                    }
                }
                Some(_) => {}
                None => return Ok(()),
            },
        }
        if client.output.is_closed() {
            return Ok(());
        }
    }
}

/// Sends a document's changes on: those from now on, or for one that has just come all that is in it.
async fn follow(handle: DocHandle, known: bool, sender: mpsc::Sender<(DocumentId, Change)>) -> Result<(), Failure> {
    let mut changes = if known { handle.changes().await? } else { handle.changes_since(Vec::new()) };
    tokio::spawn(async move {
        while let Some(change) = changes.next().await {
            if sender.send((handle.id(), change)).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn print(client: &Client<'_>, document: DocumentId, change: &Change) {
    let mut human = String::new();
    for patch in &change.patches {
        let _ = writeln!(human, "{document}  {}", describe(patch));
    }
    if human.is_empty() {
        let _ = writeln!(human, "{document}  changed, and reads the same");
    }
    client.output.result(&human, &json!({ "document": document, "heads": change.heads, "patches": change.patches }));
}

/// A patch as people read it.
fn describe(patch: &Patch) -> String {
    match patch {
        Patch::Put { path, value } => format!("{} = {}", shown(path), short(value)),
        Patch::Insert { path, values } => {
            let values: Vec<String> = values.iter().map(short).collect();
            format!("{} + {}", shown(path), values.join(", "))
        }
        Patch::Delete { path, length: 1 } => format!("{} deleted", shown(path)),
        Patch::Delete { path, length } => format!("{} deleted, {length} in all", shown(path)),
        Patch::Splice { path, insert } => format!("{} + {}", shown(path), short(&Value::Text(insert.clone()))),
        Patch::Increment { path, by } => format!("{} {by:+}", shown(path)),
        Patch::Mark { path, start, end, name, value } => format!("{}[{start}..{end}] {name} = {}", shown(path), short(value)),
    }
}

/// A path with dots, as it can be typed.
fn shown(path: &[Prop]) -> String {
    let steps = path.iter().map(|prop| match prop {
        Prop::Key(key) => key.clone(),
        Prop::Index(index) => index.to_string(),
    });
    steps.collect::<Vec<_>>().join(".")
}

/// A value on one line, cut where it is long.
fn short(value: &Value) -> String {
    let text = match value {
        Value::Map(_) | Value::List(_) => pretty(&value.to_json()).split_whitespace().collect::<Vec<_>>().join(" "),
        value => value.to_json().to_string(),
    };
    match text.char_indices().nth(SHOWN_LENGTH_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_read_like_what_was_done() {
        let path = |last: Prop| vec![Prop::Key("notes".to_owned()), last];
        let put = Patch::Put { path: path(Prop::Key("done".to_owned())), value: Value::Bool(true) };
        assert_eq!(describe(&put), "notes.done = true");
        assert_eq!(describe(&Patch::Splice { path: path(Prop::Index(4)), insert: "a\nb".to_owned() }), r#"notes.4 + "a\nb""#);
        assert_eq!(describe(&Patch::Delete { path: path(Prop::Index(4)), length: 3 }), "notes.4 deleted, 3 in all");
        assert_eq!(describe(&Patch::Increment { path: path(Prop::Key("n".to_owned())), by: -2 }), "notes.n -2");
        let long = describe(&Patch::Splice { path: path(Prop::Index(0)), insert: "ö".repeat(1_000) });
        assert!(long.ends_with('…') && long.chars().count() < 230);
    }
}
