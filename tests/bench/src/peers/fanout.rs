//! One person types, many follow.

use super::clients::{Clients, PATIENCE, number, numbers};
use super::{Load, Measured, PEERS, Place, Size, shown};
use crate::figures::{Delivery, Figures, Round};
use crate::server::Server;
use anyhow::Result;
use serde_json::json;
use std::time::Duration;

/// How long deliveries may take after the last edit.
const TAIL_SECONDS: u64 = 20;

pub(super) const LOAD: Load = Load {
    name: "fanout",
    servers: PEERS,
    clients: None,
    caption: |size| {
        format!(
            "{} edits/s by one writer to {} readers for {} s. Clients are each one's own, the readers' in one process.",
            size.edits_per_second, size.readers, size.seconds
        )
    },
    rows: &[
        "edits delivered, %",
        "writer to reader, p50 ms",
        "writer to reader, p99 ms",
        "server CPU s per 1,000 deliveries",
        "server resident MB",
        "bytes per edit per reader, framing included",
    ],
    measure,
};

fn measure(place: &Place, size: &Size) -> Result<Measured> {
    let server = place.serve(&[])?;
    let (mut writer, mut readers) = place.writer_and_readers(&server, size.readers)?;
    let (round, complete) = type_and_follow(&server, &mut writer, &mut readers, size.edits_per_second, size.seconds)?;
    let figures = round.figures(size.readers);
    Ok(Measured { cells: cells(&figures), figures: figures.to_json(), complete })
}

fn cells(figures: &Figures) -> Vec<String> {
    vec![
        format!("{:.2}", figures.delivered_share * 100.0),
        shown(figures.p50_ms, 1),
        shown(figures.p99_ms, 1),
        shown(figures.cpu_seconds_per_1000, 4),
        format!("{:.0}", figures.resident_mb),
        format!("{:.0}", figures.bytes_per_delivery),
    ]
}

/// The writer types into the text that it has, so many letters a second, and everyone else is timed; also says whether each letter
/// that was written came to everyone.
pub(super) fn type_and_follow(
    server: &Server,
    writer: &mut Clients,
    readers: &mut Clients,
    edits_per_second: u64,
    seconds: u64,
) -> Result<(Round, bool)> {
    let edits = edits_per_second * seconds;
    readers.ask(json!({ "do": "watch" }))?;
    let cpu_before = server.cpu_seconds()?;
    // One that cannot keep the pace has more than twice the time.
    let seconds_max = 2 * seconds + 3;
    writer.tell(json!({ "do": "write", "edits": edits, "perSecond": edits_per_second, "seconds": seconds_max }))?;
    let written = writer.answer(PATIENCE + Duration::from_secs(seconds_max))?;
    let made = numbers(&written["at"]);
    let watched = readers.ask(json!({ "do": "watched", "edits": made.len(), "seconds": TAIL_SECONDS }))?;
    let cpu_seconds = server.cpu_seconds()? - cpu_before;
    let start = made.first().copied().unwrap_or_default();
    let span = |ms: f64| Duration::from_secs_f64(ms.max(0.0) / 1_000.0);
    let mut deliveries = Vec::new();
    let mut complete = !made.is_empty();
    for arrived in watched["arrived"].as_array().into_iter().flatten().map(numbers) {
        complete &= arrived.len() >= made.len();
        deliveries.extend(made.iter().zip(arrived).map(|(made, at)| Delivery { at: span(made - start), lag: span(at - made) }));
    }
    let round = Round {
        edits,
        bytes_per_delivery: number(&watched, "down")? / deliveries.len().max(1) as f64,
        frames_per_delivery: None,
        deliveries,
        acknowledgements: Vec::new(),
        cpu_seconds,
        resident_mb: server.resident_mb()?,
    };
    Ok((round, complete))
}
