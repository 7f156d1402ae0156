//! The load on the anchor: frames of the same size at the same pace, without meaning.

use super::{Load, Pace};
use crate::figures::{Delivery, Round};
use crate::server::Server;
use crate::wire::{Socket, dial};
use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// Bytes of a frame that say which edit it is.
const NUMBER_BYTES: usize = 8;

/// One round: a writer's frames of `bytes` bytes, each to every reader.
pub(crate) async fn round(server: &Server, load: Load, bytes: usize) -> Result<Round> {
    let bytes = bytes.max(NUMBER_BYTES);
    let mut writer = dial(server, "write").await?;
    let mut readers = Vec::new();
    for _ in 0..load.readers {
        readers.push(dial(server, "read").await?);
    }
    let edits = load.edits();
    let cpu_before = server.cpu_seconds()?;
    let start = Instant::now();
    let readings: Vec<_> = readers.into_iter().map(|reader| tokio::spawn(read(reader, edits, start, load))).collect();
    let mut pace = Pace::new(start, load);
    for number in 0..edits {
        pace.wait_for(number).await;
        let mut frame = vec![0; bytes];
        frame[..NUMBER_BYTES].copy_from_slice(&(start.elapsed().as_nanos() as u64).to_le_bytes());
        writer.send(Message::binary(frame)).await.context("the anchor hung up on the writer")?;
    }
    let mut deliveries = Vec::new();
    for reading in readings {
        deliveries.extend(reading.await??);
    }
    Ok(Round {
        edits,
        deliveries,
        acknowledgements: Vec::new(),
        cpu_seconds: server.cpu_seconds()? - cpu_before,
        resident_mb: server.resident_mb()?,
        bytes_per_delivery: bytes as f64,
        frames_per_delivery: None,
    })
}

async fn read(mut socket: Socket, edits: u64, start: Instant, load: Load) -> Result<Vec<Delivery>> {
    let mut deliveries = Vec::with_capacity(edits as usize);
    while (deliveries.len() as u64) < edits {
        let Ok(message) = tokio::time::timeout(load.patience(start), socket.next()).await else { break };
        let message = message.context("the anchor hung up on a reader")??;
        let Some(number) = message.into_data().first_chunk::<NUMBER_BYTES>().copied() else {
            bail!("the anchor sent a frame that is too short");
        };
        let at = Duration::from_nanos(u64::from_le_bytes(number));
        deliveries.push(Delivery { at, lag: start.elapsed().saturating_sub(at) });
    }
    Ok(deliveries)
}
