//! One writer as fast as it can, many readers: what the relay forwards in a second, and whether its memory stays bounded.
//!
//! Everything is prepared before, so that the writer only sends: keystrokes of one text, one change a frame. Readers count. The
//! anchor is given frames of the same size, as many as it can hold back for a reader that is behind: beyond, it would drop them.

use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::wire::{Incoming, Outgoing, Typist, Wire, count_entries, dial, frame};
use anyhow::{Context as _, Result};
use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_core::sync::message::Message;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message as WebSocketMessage;

/// How long all of it may take.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Frames sent before the socket is flushed.
const FRAMES_PER_FLUSH: usize = 64;

/// What came of one server.
struct Flooded {
    delivered: u64,
    seconds: f64,
    cpu_seconds: f64,
    peak_mb: f64,
}

/// `edits` at most as many as the anchor holds back.
pub(crate) fn run(programs: &Path, edits: usize, readers: usize, results: &Path) -> Result<()> {
    let mut report = Report::begin("flood");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    let space = SpaceId::from_name("flood");
    let (mut typist, begun) = Typist::begin(DocumentId([9; 16]), 1)?;
    let mut frames = vec![frame(space, &begun)];
    for _ in 1..edits {
        frames.push(frame(space, &typist.key()?));
    }
    let bytes = frames.iter().map(Vec::len).sum::<usize>() / frames.len();
    let server = Server::relay(programs, &scratch, "flood", &[])?;
    let relay = runtime.block_on(relay(&server, space, frames, readers)).context("the relay's flood")?;
    drop(server);
    let server = Server::anchor(programs, &scratch)?;
    let anchor = runtime.block_on(anchor(&server, edits, bytes, readers)).context("the anchor's flood")?;

    let caption =
        format!("One writer sends {edits} changes of one letter as fast as it can, to {readers} readers; {bytes} bytes a frame.");
    let mut table = Table::new(caption, &["", "relay", "bare broadcast"]);
    let mut row = |name: &str, shown: fn(&Flooded) -> String| table.row(name, [shown(&relay), shown(&anchor)]);
    row("deliveries/s", |f| format!("{:.0}", f.delivered as f64 / f.seconds));
    row("server CPU s per 1,000 deliveries", |f| format!("{:.4}", f.cpu_seconds / (f.delivered as f64 / 1000.0)));
    row("server's peak resident MB", |f| format!("{:.0}", f.peak_mb));
    let all = (edits * readers) as u64;
    table.row(
        "delivered of what was sent, %",
        [&relay, &anchor].map(|f| format!("{:.2}", 100.0 * f.delivered as f64 / all as f64)),
    );
    report.tables.push(table);
    report.figures = json!([&relay, &anchor].map(|f| json!({
        "delivered": f.delivered, "seconds": f.seconds, "cpuSeconds": f.cpu_seconds, "peakMb": f.peak_mb,
    })));
    report.finish(results)
}

async fn relay(server: &Server, space: SpaceId, frames: Vec<Vec<u8>>, readers: usize) -> Result<Flooded> {
    let entries = frames.len() as u64;
    let mut readings = Vec::new();
    for number in 0..readers {
        let mut reader = Wire::connect(server, number as u64 + 1).await?;
        reader.subscribe(space).await?;
        reader.subscribed().await?;
        let (outgoing, incoming) = reader.split();
        readings.push(tokio::spawn(count(outgoing, incoming, entries)));
    }
    let mut writer = Wire::connect(server, 0).await?;
    writer.subscribe(space).await?;
    writer.subscribed().await?;
    let (mut outgoing, mut incoming) = writer.split();
    // Acknowledgements must be taken, or they are held back at the relay.
    let listening = tokio::spawn(async move { while incoming.next().await.is_some() {} });
    let cpu_before = server.cpu_seconds()?;
    let start = Instant::now();
    for some in frames.chunks(FRAMES_PER_FLUSH) {
        for frame in some {
            outgoing.feed(frame.clone()).await?;
        }
        outgoing.flush().await?;
    }
    let mut delivered = 0;
    for reading in readings {
        delivered += reading.await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let flooded = Flooded { delivered, seconds, cpu_seconds: server.cpu_seconds()? - cpu_before, peak_mb: server.peak_mb()? };
    listening.abort();
    Ok(flooded)
}

async fn count(mut outgoing: Outgoing, mut incoming: Incoming, entries: u64) -> u64 {
    let mut counted = 0;
    let counting = async {
        while counted < entries {
            let Some(frame) = incoming.next().await else { return };
            match count_entries(&frame) {
                Some(entries) => counted += entries,
                None => {
                    if let Ok(Message::Ping { token }) = Message::decode(&frame) {
                        drop(outgoing.send(Message::Pong { token }.encode()).await);
                    }
                }
            }
        }
    };
    // What was counted until then tells what is missing.
    let _ = tokio::time::timeout(TIME_MAX, counting).await;
    counted
}

async fn anchor(server: &Server, edits: usize, bytes: usize, readers: usize) -> Result<Flooded> {
    let mut readings = Vec::new();
    for _ in 0..readers {
        let mut reader = dial(server, "read").await?;
        readings.push(tokio::spawn(async move {
            let mut counted = 0u64;
            let counting = async {
                while counted < edits as u64 {
                    let Some(Ok(_)) = reader.next().await else { return };
                    counted += 1;
                }
            };
            let _ = tokio::time::timeout(TIME_MAX, counting).await;
            counted
        }));
    }
    let mut writer = dial(server, "write").await?;
    let cpu_before = server.cpu_seconds()?;
    let start = Instant::now();
    for number in 0..edits {
        writer.feed(WebSocketMessage::binary(vec![0; bytes])).await?;
        if number % FRAMES_PER_FLUSH == 0 {
            writer.flush().await?;
        }
    }
    writer.flush().await?;
    let mut delivered = 0;
    for reading in readings {
        delivered += reading.await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Flooded { delivered, seconds, cpu_seconds: server.cpu_seconds()? - cpu_before, peak_mb: server.peak_mb()? })
}
