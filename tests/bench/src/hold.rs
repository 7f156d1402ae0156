//! Many documents on a relay whose memory has a ceiling: whether it keeps it, and whether all of them are still served.
//!
//! Writers begin documents and go on with each of them several times, in rounds over all of them, so that every document is wanted
//! again after thousands of others. Then someone who has nothing fetches all of them.

use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::wire::{Typist, Wire, count_entries, frame};
use anyhow::{Context as _, Result, bail, ensure};
use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_core::sync::message::Message;
use driftline_core::sync::reconcile::{Range, RangeBody};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the relay may be silent.
const PATIENCE: Duration = Duration::from_secs(120);
/// Writers, each with documents and a space of its own.
const WRITERS: usize = 4;
/// Changes of one writer that are under way.
const WINDOW: usize = 1_000;
/// Changes of a document: the one that begins it, and one in each further round.
const ROUNDS: usize = 4;

pub(crate) fn run(programs: &Path, documents: usize, ceiling_mib: usize, results: &Path) -> Result<()> {
    let mut report = Report::begin("hold");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    let ceiling = format!("{ceiling_mib}MiB");
    let further = ["--memory-max", &ceiling, "--connections-max", "100", "--frame-bytes-max", "4MiB"];
    let server = Server::relay(programs, &scratch, "hold", &further)?;
    let before = server.resident_mb()?;
    let start = Instant::now();
    let share = documents / WRITERS;
    runtime.block_on(async {
        let writing = (0..WRITERS).map(|number| write(&server, number, share));
        futures_util::future::try_join_all(writing).await
    })?;
    let (wrote, written_mb, written_peak) = (start.elapsed().as_secs_f64(), server.resident_mb()?, server.peak_mb()?);
    let start = Instant::now();
    let served = runtime.block_on(async {
        let mut served = 0;
        for number in 0..WRITERS {
            served += fetch(&server, number, share).await.with_context(|| format!("after {served} changes"))?;
        }
        anyhow::Ok(served)
    })?;
    let (fetched, peak) = (start.elapsed().as_secs_f64(), server.peak_mb()?);
    let caption = format!(
        "{documents} documents of {ROUNDS} changes, each gone back to after all others; then all are fetched by someone who has nothing."
    );
    let mut table = Table::new(caption, &["", "relay"]);
    table.row("ceiling (--memory-max), MiB", [ceiling_mib.to_string()]);
    table.row("resident before, MiB", [format!("{before:.1}")]);
    table.row("resident when all were written, MiB", [format!("{written_mb:.1}")]);
    table.row("most it ever was, MiB", [format!("{peak:.1}")]);
    table.row("changes served again", [served.to_string()]);
    table.row("s to write, to fetch", [format!("{wrote:.1}, {fetched:.1}")]);
    report.tables.push(table);
    report.figures = json!({
        "documents": documents, "ceilingMiB": ceiling_mib, "beforeMiB": before, "writtenMiB": written_mb, "writtenPeakMiB": written_peak,
        "peakMiB": peak, "served": served, "writeSeconds": wrote, "fetchSeconds": fetched,
    });
    report.finish(results)?;
    ensure!(peak <= ceiling_mib as f64, "the relay took {peak:.1} MiB, above its ceiling of {ceiling_mib}");
    Ok(())
}

fn space(writer: usize) -> SpaceId {
    SpaceId::from_name(&format!("hold {writer}"))
}

fn id(writer: usize, number: usize) -> DocumentId {
    // Spread over all ids, as random ones are.
    let spread = ((writer << 40 | number) as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    DocumentId(spread.to_be_bytes())
}

/// Writes in rounds over all documents, and waits until everything is durable.
async fn write(server: &Server, writer: usize, documents: usize) -> Result<()> {
    let space = space(writer);
    let mut wire = Wire::connect(server, writer as u64).await?;
    wire.subscribe(space).await?;
    wire.subscribed().await?;
    let (mut outgoing, mut incoming) = wire.split();
    let (mut sent, mut acknowledged) = (0, 0);
    for round in 1..=ROUNDS {
        for number in 0..documents {
            // What was typed before is typed again rather than remembered: this side would not fit into memory either.
            let (mut typist, mut entry) = Typist::begin(id(writer, number), writer as u8 + 1)?;
            for _ in 1..round {
                entry = typist.key()?;
            }
            outgoing.feed(frame(space, &entry)).await?;
            sent += 1;
            if sent - acknowledged >= WINDOW {
                outgoing.flush().await?;
            }
            while sent - acknowledged >= WINDOW || (number + 1 == documents && acknowledged < sent) {
                outgoing.flush().await?;
                let frame = tokio::time::timeout(PATIENCE, incoming.next()).await.context("no acknowledgement came")?;
                match Message::decode(&frame.context("the relay hung up on a writer")?)? {
                    // One change of a document is under way at a time.
                    Message::Ack { .. } => acknowledged += 1,
                    Message::Ping { token } => outgoing.send(Message::Pong { token }.encode()).await?,
                    Message::Error { text, .. } => bail!("the relay refused: {text}"),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// Fetches all documents of a writer; answers how many changes came.
async fn fetch(server: &Server, writer: usize, documents: usize) -> Result<u64> {
    let mut wire = Wire::connect(server, (WRITERS + writer) as u64).await?;
    wire.subscribe(space(writer)).await?;
    let (mut outgoing, mut incoming) = wire.split();
    let (mut came, wanted) = (0, (documents * ROUNDS) as u64);
    while came < wanted {
        let frame = tokio::time::timeout(PATIENCE, incoming.next()).await;
        let frame =
            frame.with_context(|| format!("{came} of {wanted} changes came"))?.context("the relay hung up on a reader")?;
        match count_entries(&frame) {
            Some(entries) => came += entries,
            None => match Message::decode(&frame)? {
                Message::Ping { token } => outgoing.send(Message::Pong { token }.encode()).await?,
                Message::Error { text, .. } => bail!("the relay refused: {text}"),
                // The relay takes up so many documents at a time, and asks about the rest: nothing of it is here either.
                Message::Ranges { space, ranges } if ranges.iter().any(|range| range.body != RangeBody::Skip) => {
                    let nothing = |Range { below, body }| match body {
                        RangeBody::Skip => Range { below, body },
                        _ => Range { below, body: RangeBody::Items(Vec::new()) },
                    };
                    let ranges = ranges.into_iter().map(nothing).collect();
                    outgoing.send(Message::Ranges { space, ranges }.encode()).await?;
                }
                _ => {}
            },
        }
    }
    Ok(came)
}
