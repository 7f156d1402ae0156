//! One writer as fast as its client can, many readers.

use super::clients::{PATIENCE, number, numbers};
use super::{Load, Measured, PEERS, Place, Size, shown};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;

/// How long all of it may take.
const SECONDS_MAX: u64 = 45;

pub(super) const LOAD: Load = Load {
    name: "flood",
    servers: PEERS,
    clients: None,
    caption: |size| {
        format!(
            "One writer makes {} edits of one letter as fast as its client can, for {} readers, within {SECONDS_MAX} s. Clients are each \
             one's own, and more of this is theirs than the server's.",
            size.changes, size.readers
        )
    },
    rows: &[
        "deliveries/s",
        "delivered of what was to be written, %",
        "server CPU s per 1,000 deliveries",
        "server's peak resident MB",
        "bytes per edit per reader, framing included",
    ],
    measure,
};

fn measure(place: &Place, size: &Size) -> Result<Measured> {
    let server = place.serve(&[])?;
    let (mut writer, mut readers) = place.writer_and_readers(&server, size.readers)?;
    readers.ask(json!({ "do": "watch" }))?;
    let cpu_before = server.cpu_seconds()?;
    writer.tell(json!({ "do": "write", "edits": size.changes, "seconds": SECONDS_MAX }))?;
    readers.tell(json!({ "do": "watched", "edits": size.changes, "seconds": SECONDS_MAX }))?;
    let written = writer.answer(PATIENCE + Duration::from_secs(SECONDS_MAX))?;
    let watched = readers.answer(PATIENCE + Duration::from_secs(SECONDS_MAX))?;
    let cpu_seconds = server.cpu_seconds()? - cpu_before;
    let arrived: Vec<Vec<f64>> = watched["arrived"].as_array().into_iter().flatten().map(numbers).collect();
    let delivered = arrived.iter().map(Vec::len).sum::<usize>() as f64;
    let start = numbers(&written["at"]).first().copied().unwrap_or_default();
    let last = arrived.iter().filter_map(|times| times.last()).fold(start, |last, at| last.max(*at));
    let (seconds, peak_mb, bytes) = ((last - start) / 1_000.0, server.peak_mb()?, number(&watched, "down")?);
    let share = delivered / (size.changes * size.readers) as f64;
    let unfinished = if share < 1.0 && delivered > 0.0 { ", not finished" } else { "" };
    Ok(Measured {
        cells: vec![
            shown(delivered / seconds, 0) + unfinished,
            format!("{:.2}", share * 100.0),
            shown(cpu_seconds / (delivered / 1_000.0), 4),
            format!("{peak_mb:.0}"),
            shown(bytes / delivered, 1),
        ],
        figures: json!({
            "delivered": delivered, "share": share, "seconds": seconds, "cpuSeconds": cpu_seconds, "peakMb": peak_mb, "bytes": bytes,
            "writingMs": written["ms"],
        }),
        complete: share >= 1.0,
    })
}
