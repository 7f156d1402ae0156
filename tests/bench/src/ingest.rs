//! How much the relay makes durable in a second, and how fast it is back after it was killed.
//!
//! Writers type, each into a document of its own, and never have more changes under way than a window; a change counts when
//! the relay has said that it is durable. Then the relay is killed (`SIGKILL`), started on what it had, and timed until it
//! answers that it is ready; with `--store-bytes`, on a store that was filled to this size before.

use crate::figures::{ms, quantile};
use crate::fill::fill;
use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::wire::{Typist, Wire, frame};
use anyhow::{Context as _, Result};
use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_core::sync::message::Message;
use serde_json::json;
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the relay may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// One load.
struct Load {
    writers: usize,
    /// Changes of one writer that may be under way.
    window: usize,
    /// Changes of all writers.
    changes: usize,
}

pub(crate) fn run(programs: &Path, changes: usize, store_bytes: u64, results: &Path) -> Result<()> {
    let mut report = Report::begin("ingest");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    let caption = "Keystrokes, one a frame, until the relay says that they are durable (SQLite with full sync).";
    let columns = ["writers, changes under way of each", "changes/s", "CPU ms per change", "until durable, p50 ms", "p99 ms"];
    let mut table = Table::new(caption, &columns);
    let mut figures = Vec::new();
    let loads = [(1, 1, changes / 20), (1, 1_000, changes), (8, 100, changes)];
    let mut filled = 0;
    for (number, (writers, window, changes)) in loads.into_iter().enumerate() {
        if number + 1 == loads.len() && store_bytes > 0 {
            filled = fill(&scratch.folder.join(format!("ingest-{number}")), store_bytes)?;
        }
        let server = Server::relay(programs, &scratch, &format!("ingest-{number}"), &[])?;
        let cpu_before = server.cpu_seconds()?;
        let start = Instant::now();
        let mut lags = runtime.block_on(write(&server, &Load { writers, window, changes }))?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu_ms = (server.cpu_seconds()? - cpu_before) * 1000.0 / lags.len() as f64;
        lags.sort_by(f64::total_cmp);
        let (rate, p50, p99) = (lags.len() as f64 / seconds, quantile(&lags, 0.5), quantile(&lags, 0.99));
        table.row(
            format!("{writers}, {window}"),
            [format!("{rate:.0}"), format!("{cpu_ms:.3}"), format!("{p50:.2}"), format!("{p99:.2}")],
        );
        figures.push(json!({ "writers": writers, "window": window, "changesPerSecond": rate, "cpuMs": cpu_ms, "p50Ms": p50, "p99Ms": p99 }));
    }
    report.tables.push(table);

    // Dropping a server kills it.
    let last = format!("ingest-{}", loads.len() - 1);
    let folder = scratch.folder.join(&last);
    let (bytes, log_bytes) =
        (folder_bytes(&folder)?, std::fs::metadata(folder.join("driftline.sqlite-wal")).map_or(0, |log| log.len()));
    let start = Instant::now();
    let server = Server::relay(programs, &scratch, &last, &[])?;
    let (ready, cpu, resident) = (start.elapsed(), server.cpu_seconds()?, server.peak_mb()?);
    let caption = "Killed while it held that load, and started again.";
    let mut table =
        Table::new(caption, &["store, MB", "of it log, MB", "documents", "until ready, ms", "CPU, ms", "most memory, MiB"]);
    table.row(
        format!("{:.1}", bytes as f64 / 1e6),
        [
            format!("{:.1}", log_bytes as f64 / 1e6),
            (filled + 8).to_string(),
            format!("{:.0}", ms(ready)),
            format!("{:.0}", cpu * 1000.0),
            format!("{resident:.0}"),
        ],
    );
    report.tables.push(table);
    report.figures = json!({ "ingest": figures, "recovery": {
            "bytes": bytes, "logBytes": log_bytes, "documents": filled + 8, "changes": changes, "readyMs": ms(ready), "cpuSeconds": cpu, "peakMiB": resident,
        } });
    report.finish(results)
}

/// Milliseconds from each change to its being durable.
async fn write(server: &Server, load: &Load) -> Result<Vec<f64>> {
    let share = load.changes / load.writers;
    let writing = (0..load.writers).map(|number| writer(server, number as u8, load.window, share));
    Ok(futures_util::future::try_join_all(writing).await?.concat())
}

async fn writer(server: &Server, number: u8, window: usize, changes: usize) -> Result<Vec<f64>> {
    let space = SpaceId::from_name(&format!("ingest {number}"));
    let (mut typist, begun) = Typist::begin(DocumentId([number + 1; 16]), number + 1)?;
    let mut wire = Wire::connect(server, u64::from(number)).await?;
    wire.subscribe(space).await?;
    wire.subscribed().await?;
    let (mut outgoing, mut incoming) = wire.split();
    let mut frames = VecDeque::from([frame(space, &begun)]);
    for _ in 1..changes {
        frames.push_back(frame(space, &typist.key()?));
    }
    let (mut sent, mut lags): (Vec<Instant>, Vec<f64>) = (Vec::new(), Vec::new());
    while lags.len() < changes {
        while sent.len() - lags.len() < window
            && let Some(frame) = frames.pop_front()
        {
            sent.push(Instant::now());
            outgoing.feed(frame).await?;
        }
        outgoing.flush().await?;
        let frame = tokio::time::timeout(PATIENCE, incoming.next()).await.context("no acknowledgement came")?;
        match Message::decode(&frame.context("the relay hung up")?)? {
            Message::Ack { held, .. } => {
                let up_to = held.iter().map(|(_, seq)| *seq as usize).max().unwrap_or(0).min(sent.len());
                let now = Instant::now();
                lags.extend(sent.get(lags.len()..up_to).unwrap_or_default().iter().map(|at| ms(now - *at)));
            }
            Message::Ping { token } => outgoing.send(Message::Pong { token }.encode()).await?,
            Message::Error { text, .. } => anyhow::bail!("the relay refused: {text}"),
            _ => {}
        }
    }
    Ok(lags)
}

/// Bytes of the files in a folder.
pub(crate) fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}
