//! A long document for someone who has nothing yet: an editing history of 259,778 keystrokes, from the relay.
//!
//! What comes is measured beside what Automerge's own `save()` of the document weighs, and the time until the text is there
//! beside the time that Automerge's own `load()` takes for that file and its text, in turns in the same process, so that what else
//! the machine does touches both. The history is typed in this process, not replayed through the network, and is durable on the
//! relay, which has had the time to make its snapshot, before anyone asks for it.

use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::{Server, cpu_seconds_of};
use crate::wire::Wire;
use anyhow::{Context as _, Result, bail};
use automerge::{Automerge, ROOT, ReadDoc as _};
use driftline_core::base::id::{ActorId, DocumentId, SpaceId};
use driftline_core::doc::document::Document;
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::value::{Prop, TextUnit, Value};
use driftline_core::log::entry::Entry;
use driftline_core::sync::message::{Message, encode_entries};
use driftline_relay::repo::{Repo, RepoOptions};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Entries in a frame on the way to the relay.
const ENTRIES_PER_FRAME: usize = 500;
/// Entries on their way to the relay's disk at once: it takes no more than it has memory for.
const ENTRIES_UNDER_WAY_MAX: u64 = 50_000;
/// How long the relay may take to say that it has everything, and a replica to have it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// How long the relay is left alone before anyone joins: until it has made a snapshot of what has become quiet.
const QUIET: Duration = Duration::from_secs(25);
/// How often the document is fetched, and loaded.
const ROUNDS: usize = 7;
/// The text in the document.
pub(crate) const TEXT: &str = "text";

/// An editing history.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trace {
    end_content: String,
    txns: Vec<Transaction>,
}

#[derive(Clone, Deserialize)]
struct Transaction {
    patches: Vec<(usize, usize, String)>,
}

impl Trace {
    /// Reads a gzipped one.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        serde_json::from_reader(std::io::BufReader::new(GzDecoder::new(file)))
            .with_context(|| format!("{} is not an editing history", path.display()))
    }

    /// Keystrokes, or what else was done in one go.
    pub(crate) fn keys(&self) -> usize {
        self.txns.len()
    }

    /// Its beginning, of so many keystrokes; what that comes to is not known.
    pub(crate) fn first(&self, keys: usize) -> Self {
        Self { end_content: String::new(), txns: self.txns[..keys.min(self.txns.len())].to_vec() }
    }

    /// Letters of the text that it ends with.
    pub(crate) fn end_length(&self) -> usize {
        self.end_content.chars().count()
    }
}

pub(crate) fn run(programs: &Path, trace: &Path, results: &Path) -> Result<()> {
    let mut report = Report::begin("cold");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    let trace = Trace::read(trace)?;
    let (space, id) = (SpaceId::from_name("cold"), DocumentId([3; 16]));
    let (document, entries) = typed(id, &trace)?;
    let raw: usize = entries.iter().map(|entry| entry.payload.len()).sum();
    let saved = document.save();
    drop(document);

    let server = Server::relay(programs, &scratch, "cold", &[])?;
    let (ingested, ingesting) = runtime.block_on(bring(&server, space, id, &entries))?;
    std::thread::sleep(QUIET);
    // On a busy machine the snapshot takes longer, and until it is made a newcomer is sent every letter.
    let begun = Instant::now();
    while runtime.block_on(fetch(&server, space, id, trace.end_content.clone()))?.0 > 2 * saved.len() as u64 {
        if begun.elapsed() > PATIENCE {
            bail!("the relay has made no snapshot of what is quiet");
        }
    }
    server.forget_peak()?;
    let (memory_before, cpu_before) = (server.resident_mb()?, server.cpu_seconds()?);
    let (mut loads, mut fetches, mut bytes) = (Vec::new(), Vec::new(), 0);
    let (mut loading_cpu, mut fetching_cpu) = (Vec::new(), Vec::new());
    let own_cpu = || cpu_seconds_of(std::process::id());
    for _ in 0..ROUNDS {
        let start = own_cpu()?;
        loads.push(load(&saved, &trace.end_content)?);
        let between = own_cpu()?;
        let fetched = runtime.block_on(fetch(&server, space, id, trace.end_content.clone()))?;
        loading_cpu.push(between - start);
        fetching_cpu.push(own_cpu()? - between);
        bytes = fetched.0;
        fetches.push(fetched.1);
    }
    let (loading_cpu, fetching_cpu) = (median(&mut loading_cpu), median(&mut fetching_cpu));
    let mut ratios: Vec<f64> = loads.iter().zip(&fetches).map(|(load, fetch)| fetch / load).collect();
    let (load, seconds, ratio) = (median(&mut loads), median(&mut fetches), median(&mut ratios));
    let (cpu_ms, memory) = ((server.cpu_seconds()? - cpu_before) * 1000.0 / ROUNDS as f64, server.peak_mb()? - memory_before);

    let caption = format!("{} changes, {:.1} MB one by one, for a replica that has nothing.", entries.len(), raw as f64 / 1e6);
    let mut table = Table::new(caption, &["", "from the relay", "Automerge's own file, by `load()`"]);
    table.row("bytes", [bytes.to_string(), saved.len().to_string()]);
    table.row("until the text is there, ms", [format!("{:.0}", seconds * 1000.0), format!("{:.0}", load * 1000.0)]);
    table.row("the same, as a multiple (median of the rounds)", [format!("{ratio:.2}"), "1".to_owned()]);
    table.row("this process's CPU, ms", [format!("{:.0}", fetching_cpu * 1000.0), format!("{:.0}", loading_cpu * 1000.0)]);
    table.row("relay CPU, ms", [format!("{cpu_ms:.0}"), "none".to_owned()]);
    table.row("relay's peak memory above what it held, MB", [format!("{:.1}", memory.max(0.0)), "none".to_owned()]);
    table.row("before: all of it made durable, s", [format!("{ingested:.2}"), "none".to_owned()]);
    table.row("before: relay CPU for that, s", [format!("{ingesting:.2}"), "none".to_owned()]);
    report.tables.push(table);
    report.figures = json!({
        "changes": entries.len(), "rawBytes": raw, "bytes": bytes, "seconds": seconds, "savedBytes": saved.len(), "loadMs": load * 1000.0, "ratio": ratio, "rounds": ROUNDS, "cpuMs": fetching_cpu * 1000.0, "loadCpuMs": loading_cpu * 1000.0,
        "relayCpuMs": cpu_ms, "relayMemoryMb": memory, "ingestSeconds": ingested, "ingestCpuSeconds": ingesting,
    });
    report.finish(results)
}

fn actor(number: u8) -> Result<ActorId> {
    ActorId::new(&[number; 16]).context("16 bytes are an actor")
}

/// The document that the history leads to, and each step to it.
pub(crate) fn typed(id: DocumentId, trace: &Trace) -> Result<(Document, Vec<Entry>)> {
    let mut document = Document::new(id, actor(1)?, TextUnit::CodePoint);
    let path = || vec![Prop::Key(TEXT.to_owned())];
    let begin = Op::Put { path: path(), value: Value::Text(String::new()) };
    let steps = trace.txns.iter().map(|transaction| {
        let splice = |(index, delete, insert): &(usize, usize, String)| Op::Splice {
            path: path(),
            index: *index,
            delete: *delete,
            insert: insert.clone(),
        };
        transaction.patches.iter().map(splice).collect()
    });
    let mut entries = Vec::with_capacity(trace.txns.len() + 1);
    for ops in std::iter::once(vec![begin]).chain(steps) {
        entries.extend(document.edit(None, &Edit { ops, message: None }, 0)?);
    }
    Ok((document, entries))
}

/// Seconds in which Automerge by itself loads its file and gives its text.
fn load(saved: &[u8], text: &str) -> Result<f64> {
    let start = Instant::now();
    let loaded = Automerge::load(saved)?;
    let object = loaded.get(ROOT, TEXT)?.context("the document has no text")?.1;
    let read = loaded.text(&object)?;
    let seconds = start.elapsed().as_secs_f64();
    if read != text {
        bail!("Automerge's file does not give the trace's text");
    }
    Ok(seconds)
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Seconds until the relay holds all entries durably, and of its processor.
pub(crate) async fn bring(server: &Server, space: SpaceId, document: DocumentId, entries: &[Entry]) -> Result<(f64, f64)> {
    let mut wire = Wire::connect(server, 1).await?;
    wire.subscribe(space).await?;
    wire.subscribed().await?;
    let (mut outgoing, mut incoming) = wire.split();
    let cpu_before = server.cpu_seconds()?;
    let start = Instant::now();
    let all = entries.len() as u64;
    let (tell, mut durable) = tokio::sync::watch::channel(0);
    let listening = tokio::spawn(async move {
        while let Some(frame) = incoming.next().await {
            match Message::decode(&frame)? {
                Message::Ack { held, .. } => {
                    let most = held.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
                    tell.send_replace(most);
                    if most >= all {
                        return Ok(());
                    }
                }
                Message::Error { text, .. } => bail!("the relay refused: {text}"),
                _ => {}
            }
        }
        bail!("the relay hung up")
    });
    for (number, some) in entries.chunks(ENTRIES_PER_FRAME).enumerate() {
        let sent = (number * ENTRIES_PER_FRAME) as u64;
        // Where the relay hangs up instead, what it said is told below.
        let _ = durable.wait_for(|durable| sent < durable + ENTRIES_UNDER_WAY_MAX).await;
        outgoing.send(encode_entries(&space, &document, some.iter().map(|entry| &entry.payload))).await?;
    }
    tokio::time::timeout(PATIENCE, listening).await.context("the relay did not say that all is durable")???;
    Ok((start.elapsed().as_secs_f64(), server.cpu_seconds()? - cpu_before))
}

/// Bytes that came, and seconds until a replica that had nothing shows the text.
pub(crate) async fn fetch(server: &Server, space: SpaceId, document: DocumentId, text: String) -> Result<(u64, f64)> {
    let start = Instant::now();
    let repo = Repo::open(RepoOptions::memory().relay(format!("ws://{}/sync", server.address))).await?;
    let fetching = async {
        let handle = repo.space_of(space).find_within(document, PATIENCE).await?;
        handle
            .when(move |document| {
                document.length(TEXT) == Some(text.chars().count()) && document.text(TEXT).as_deref() == Some(&text)
            })
            .await
    };
    tokio::time::timeout(PATIENCE, fetching).await.context("the document did not come")??;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = repo.host().stats().bytes_in.load(Ordering::Relaxed);
    repo.close().await;
    Ok((bytes, seconds))
}
