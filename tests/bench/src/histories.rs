//! How the cost of a document grows with its history, for someone who has nothing yet.
//!
//! All documents are brought to one relay, change by change and each in a space of its own, and have rested long enough to be put
//! together; then each is fetched by a replica that is new.

use crate::cold::{PATIENCE, TEXT, Trace, bring, fetch, typed};
use crate::history::made_up;
use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use anyhow::{Context as _, Result};
use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_relay::plot::{Axis, Plot, Series};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Keystrokes of the documents; all of the history is one more.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// ... of a history that is made up.
const SIZES_MADE_UP: [usize; 2] = [100, 200];
const MADE_UP: usize = 300;
/// Silence after which the relay puts a document together, counted from the end of one that it made while it was written; and a little more.
const REST: Duration = Duration::from_secs(30);

/// `trace` is the history; where there is none, a short one is made up.
pub(crate) fn run(programs: &Path, trace: Option<&Path>, results: &Path) -> Result<()> {
    let mut report = Report::begin("histories");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    let whole = Trace::read(&match trace {
        Some(trace) => trace.to_owned(),
        None => made_up(&scratch.folder, MADE_UP)?,
    })?;
    let sizes = if trace.is_some() { &SIZES[..] } else { &SIZES_MADE_UP[..] };
    let server = Server::relay(programs, &scratch, "histories", &[])?;
    let mut documents = Vec::new();
    for keys in sizes.iter().copied().chain([whole.keys()]) {
        let (space, id) = (SpaceId::from_name(&format!("histories {keys}")), DocumentId([documents.len() as u8 + 1; 16]));
        let (document, entries) = typed(id, &whole.first(keys))?;
        let raw: usize = entries.iter().map(|entry| entry.payload.len()).sum();
        let (_, ingesting) = runtime.block_on(bring(&server, space, id, &entries))?;
        let text = document.text(TEXT).context("the document has no text")?;
        documents.push((keys, space, id, raw, document.save().len(), ingesting, text));
    }
    if trace.is_some() {
        std::thread::sleep(REST);
        at_rest(&server)?;
    }
    let columns =
        ["keystrokes", "bytes", "Automerge's own file, bytes", "changes one by one, bytes", "until the text is there, ms"];
    let columns = [&columns[..], &["relay CPU ms", "before: relay CPU to make it durable, s"]].concat();
    let mut table = Table::new("A document for a replica that has nothing, by the length of its history.", &columns);
    let (mut sent, mut saved, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let mut figures = Vec::new();
    for (keys, space, id, raw, file, ingesting, text) in documents {
        let cpu_before = server.cpu_seconds()?;
        let (bytes, seconds) = runtime.block_on(fetch(&server, space, id, text))?;
        let cpu_ms = (server.cpu_seconds()? - cpu_before) * 1_000.0;
        let ms = seconds * 1_000.0;
        let cells = [bytes.to_string(), file.to_string(), raw.to_string(), format!("{ms:.0}"), format!("{cpu_ms:.0}")];
        table.row(keys.to_string(), cells.into_iter().chain([format!("{ingesting:.2}")]));
        sent.push((keys as f64, bytes as f64));
        saved.push((keys as f64, file as f64));
        times.push((keys as f64, ms));
        figures.push(json!({
            "keystrokes": keys, "bytes": bytes, "savedBytes": file, "rawBytes": raw, "ms": ms, "relayCpuMs": cpu_ms,
            "ingestCpuSeconds": ingesting,
        }));
    }
    report.tables.push(table);
    let series = |name: &str, points| Series { name: name.to_owned(), points };
    report.plots.push(Plot {
        name: "histories-bytes".to_owned(),
        title: "Bytes of a document for someone who has nothing".to_owned(),
        x: Axis::logarithmic("keystrokes in its history"),
        y: Axis::logarithmic("bytes"),
        series: vec![series("from the relay", sent), series("Automerge's own file", saved)],
    });
    report.plots.push(Plot {
        name: "histories-time".to_owned(),
        title: "Time until its text is there".to_owned(),
        x: Axis::logarithmic("keystrokes in its history"),
        y: Axis::logarithmic("ms"),
        series: vec![series("from the relay", times)],
    });
    report.figures = json!(figures);
    report.finish(results)
}

/// Waits until the relay uses no processor any more.
fn at_rest(server: &Server) -> Result<()> {
    const LOOK: Duration = Duration::from_secs(1);
    let began = Instant::now();
    let mut seen = f64::NEG_INFINITY;
    while began.elapsed() < PATIENCE {
        let cpu = server.cpu_seconds()?;
        if cpu - seen < 0.02 {
            break;
        }
        seen = cpu;
        std::thread::sleep(LOOK);
    }
    Ok(())
}
