//! A long document: for someone who has nothing yet, and then under the hands of someone who types into it.
//!
//! The document is brought whole to the peers, as their own file of it, and change by change to the relay, which has put it together
//! in the meantime: all are given the same time before anyone asks.

use super::clients::{PATIENCE, number, numbers};
use super::fanout::type_and_follow;
use super::{Load, Measured, PEERS, Place, Size, settled, shown};
use crate::cold::{Trace, bring, typed};
use crate::history::made_up;
use crate::server::Server;
use anyhow::{Context as _, Result, bail};
use driftline_core::base::id::{DocumentId, SpaceId};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// People who follow, and keys a second of the one who types.
const READERS: usize = 5;
const KEYS_PER_SECOND: u64 = 20;
/// Edits of a history that is made up.
const MADE_UP: usize = 300;
/// Silence after which the relay puts a document together, and a little more.
const REST: Duration = Duration::from_secs(22);
/// A server that uses no processor for so long has nothing left to do; or all of this time is over.
const QUIET: Duration = Duration::from_secs(2);
const QUIET_WAIT_MAX: Duration = Duration::from_secs(60);
const ID: DocumentId = DocumentId([3; 16]);

pub(super) const LOAD: Load = Load {
    name: "long",
    servers: PEERS,
    clients: None,
    caption: |size| {
        let which = if size.trace.is_some() { "The paper on Automerge, 259,778 keystrokes" } else { "A short text" };
        format!(
            "{which}: for a client that has nothing, and then with {KEYS_PER_SECOND} keys/s by one who types and {READERS} who follow, for \
             {} s. The followers' clients share one process, and so one core.",
            size.seconds
        )
    },
    rows: &[
        "bytes to a client that has nothing",
        "until the text is there, ms",
        "server CPU for that, ms",
        "keys delivered, %",
        "typist to reader, p50 ms",
        "typist to reader, p99 ms",
        "server CPU ms per key",
        "server resident MB",
    ],
    measure,
};

fn measure(place: &Place, size: &Size) -> Result<Measured> {
    let history = match &size.trace {
        Some(trace) => trace.clone(),
        None => made_up(&place.scratch.folder, MADE_UP)?,
    };
    let server = place.serve(&[])?;
    let mut typist = place.clients(&server)?;
    typist.ask(json!({ "do": "connect", "count": 1 }))?;
    let (ids, length) = if place.is_relay() {
        let (id, length) = bring_to_relay(&server, &history, place)?;
        (json!([id]), length)
    } else {
        let files = json!({ "trace": history, "automerge": automerge_file(place, &history)? });
        let brought = typist.ask(json!({ "do": "bring", "files": files }))?;
        (brought["ids"].clone(), number(&brought, "length")?)
    };
    if size.trace.is_some() {
        std::thread::sleep(REST);
        settled(&server, QUIET, QUIET_WAIT_MAX)?;
    }
    let mut cold = place.clients(&server)?;
    cold.ask(json!({ "do": "connect", "count": 1 }))?;
    let cpu_before = server.cpu_seconds()?;
    let came = cold.ask(json!({ "do": "open", "ids": ids }))?;
    let cold_cpu_ms = (server.cpu_seconds()? - cpu_before) * 1_000.0;
    let (bytes, ms) = (number(&came, "down")?, number(&came, "ms")?);
    if numbers(&came["lengths"]) != [length] {
        bail!("a text of {length} letters was brought, and {} came", came["lengths"]);
    }
    drop(cold);

    if place.is_relay() {
        typist.ask(json!({ "do": "open", "ids": ids }))?;
    }
    let mut readers = place.clients(&server)?;
    readers.ask(json!({ "do": "connect", "count": READERS }))?;
    readers.tell(json!({ "do": "open", "ids": ids }))?;
    readers.answer(2 * PATIENCE).context("those who follow did not get the document")?;
    let (round, complete) = type_and_follow(&server, &mut typist, &mut readers, KEYS_PER_SECOND, size.seconds)?;
    let figures = round.figures(READERS);
    let cpu_ms = round.cpu_seconds * 1_000.0 / round.edits as f64;
    Ok(Measured {
        cells: vec![
            format!("{bytes}"),
            format!("{ms:.0}"),
            format!("{cold_cpu_ms:.0}"),
            format!("{:.1}", figures.delivered_share * 100.0),
            shown(figures.p50_ms, 1),
            shown(figures.p99_ms, 1),
            format!("{cpu_ms:.2}"),
            format!("{:.0}", figures.resident_mb),
        ],
        figures: json!({
            "bytes": bytes, "ms": ms, "cpuMs": cold_cpu_ms, "typing": figures.to_json(), "cpuMsPerKey": cpu_ms,
        }),
        complete,
    })
}

/// The document's id and the length of its text, once the relay holds it durably.
fn bring_to_relay(server: &Server, history: &Path, place: &Place) -> Result<(String, f64)> {
    let trace = Trace::read(history)?;
    let (document, entries) = typed(ID, &trace)?;
    std::fs::write(place.scratch.folder.join("long.automerge"), document.save())?;
    drop(document);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // What the package calls `together` in tests/bench/peers/clients.mjs.
    runtime.block_on(bring(server, SpaceId::from_name("together"), ID, &entries))?;
    Ok((ID.to_string(), trace.end_length() as f64))
}

/// Automerge's own file of the document; the relay comes first, and leaves it.
fn automerge_file(place: &Place, history: &Path) -> Result<Value> {
    let file = place.scratch.folder.join("long.automerge");
    if !file.exists() {
        std::fs::write(&file, typed(ID, &Trace::read(history)?)?.0.save())?;
    }
    Ok(json!(file))
}
