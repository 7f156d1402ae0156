//! The load on the relay by clients that keep nothing: the writer makes real changes, the readers count them.

use super::{Load, Pace};
use crate::figures::{Delivery, Round};
use crate::server::Server;
use crate::wire::{Incoming, Outgoing, Typist, Wire, count_entries, frame};
use anyhow::{Context as _, Result};
use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_core::sync::message::Message;
use std::time::{Duration, Instant};

/// What a reader counted: when each entry came, and bytes of all of them.
#[derive(Default)]
struct Counted {
    at: Vec<Instant>,
    bytes: u64,
}

/// One round: a writer's keystrokes into one text, each to every reader.
pub(crate) async fn round(server: &Server, load: Load) -> Result<Round> {
    let (space, document) = (SpaceId::from_name("fanout"), DocumentId([7; 16]));
    let edits = load.edits();
    let start = Instant::now();
    let mut readings = Vec::new();
    for number in 0..load.readers {
        let mut reader = Wire::connect(server, number as u64 + 1).await?;
        reader.subscribe(space).await?;
        reader.subscribed().await?;
        let (outgoing, incoming) = reader.split();
        // The entry that begins the document comes first.
        readings.push(tokio::spawn(count(outgoing, incoming, edits + 1, load.patience(start))));
    }
    let mut writer = Wire::connect(server, 0).await?;
    writer.subscribe(space).await?;
    writer.subscribed().await?;
    let (mut outgoing, incoming) = writer.split();
    let (mut typist, begun) = Typist::begin(document, 1)?;
    outgoing.send(frame(space, &begun)).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;

    let cpu_before = server.cpu_seconds()?;
    let start = Instant::now();
    let acknowledging = tokio::spawn(acknowledged(incoming, edits + 1, load.patience(start)));
    let mut due = Vec::with_capacity(edits as usize);
    let mut pace = Pace::new(start, load);
    for number in 0..edits {
        pace.wait_for(number).await;
        due.push(Instant::now());
        let entry = typist.key()?;
        outgoing.send(frame(space, &entry)).await.context("the relay hung up on the writer")?;
    }
    let mut deliveries = Vec::new();
    let mut bytes = 0;
    for reading in readings {
        let counted = reading.await?;
        bytes += counted.bytes;
        let arrivals = counted.at.iter().skip(1);
        deliveries
            .extend(arrivals.zip(&due).map(|(at, due)| Delivery { at: *due - start, lag: at.saturating_duration_since(*due) }));
    }
    let cpu_seconds = server.cpu_seconds()? - cpu_before;
    let acknowledged = acknowledging.await?;
    let mut acknowledgements = Vec::new();
    for (at, up_to) in acknowledged {
        // The first entry began the document.
        while (acknowledgements.len() as u64) < up_to.saturating_sub(1).min(due.len() as u64) {
            acknowledgements.push(at.saturating_duration_since(due[acknowledgements.len()]));
        }
    }
    Ok(Round {
        edits,
        bytes_per_delivery: bytes as f64 / deliveries.len().max(1) as f64,
        frames_per_delivery: None,
        deliveries,
        acknowledgements,
        cpu_seconds,
        resident_mb: server.resident_mb()?,
    })
}

async fn count(mut outgoing: Outgoing, mut incoming: Incoming, entries: u64, patience: Duration) -> Counted {
    let mut counted = Counted::default();
    let counting = async {
        while (counted.at.len() as u64) < entries {
            let Some(frame) = incoming.next().await else { return };
            let at = Instant::now();
            if let Some(entries) = count_entries(&frame) {
                counted.at.extend(std::iter::repeat_n(at, entries as usize));
                counted.bytes += frame.len() as u64;
            } else if let Ok(Message::Ping { token }) = Message::decode(&frame) {
                drop(outgoing.send(Message::Pong { token }.encode()).await);
            }
        }
    };
    // What was counted until then tells what is missing.
    let _ = tokio::time::timeout(patience, counting).await;
    counted
}

/// When the relay said that it holds entries durably, and up to which.
async fn acknowledged(mut incoming: Incoming, entries: u64, patience: Duration) -> Vec<(Instant, u64)> {
    let mut acknowledged = Vec::new();
    let listening = async {
        while let Some(frame) = incoming.next().await {
            if let Ok(Message::Ack { held, .. }) = Message::decode(&frame) {
                let up_to = held.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
                acknowledged.push((Instant::now(), up_to));
                if up_to >= entries {
                    return;
                }
            }
        }
    };
    let _ = tokio::time::timeout(patience, listening).await;
    acknowledged
}
