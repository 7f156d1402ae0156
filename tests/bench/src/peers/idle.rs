//! Many clients with a document each, and nothing to say.

use super::{Load, Measured, PEERS, Place, Size, settled};
use anyhow::Result;
use serde_json::json;
use std::time::{Duration, Instant};

/// Clients, where no number is named.
const CLIENTS: usize = 1_000;
/// Letters of a document.
const LETTERS: usize = 20;
/// A server that uses no processor for so long has taken everything in; or all of this time is over.
const QUIET: Duration = Duration::from_secs(1);
const QUIET_WAIT_MAX: Duration = Duration::from_secs(20);
/// What the relay takes as its ceiling above one MiB a connection.
const MEMORY_SPARE_MIB: usize = 1024;

pub(super) const LOAD: Load = Load {
    name: "idle",
    servers: PEERS,
    clients: None,
    caption: |size| {
        format!(
            "{} clients with a connection each, and a document each of {LETTERS} letters open; then silence.",
            connections(size)
        )
    },
    rows: &[
        "resident KiB per connection and document",
        "CPU to take all of them, s",
        "until all are open, s",
        "CPU while they idle, % of a core",
    ],
    measure,
};

fn connections(size: &Size) -> usize {
    size.connections.unwrap_or(CLIENTS)
}

fn measure(place: &Place, size: &Size) -> Result<Measured> {
    let connections = connections(size);
    // By itself the relay takes no more connections than its ceiling has room for.
    let (most, ceiling) = (connections.to_string(), format!("{}MiB", connections + MEMORY_SPARE_MIB));
    let server = place.serve(&["--connections-max", &most, "--memory-max", &ceiling])?;
    let mut clients = place.clients(&server)?;
    let (memory_before, cpu_before) = (server.resident_mb()?, server.cpu_seconds()?);
    let start = Instant::now();
    clients.ask(json!({ "do": "connect", "count": connections, "apart": true }))?;
    clients.ask(json!({ "do": "create", "documents": connections, "letters": LETTERS, "each": true }))?;
    let opening = start.elapsed().as_secs_f64();
    settled(&server, QUIET, QUIET_WAIT_MAX)?;
    let accepting = server.cpu_seconds()? - cpu_before;
    let kib = (server.resident_mb()? - memory_before) * 1024.0 / connections as f64;
    let (cpu_before, watched) = (server.cpu_seconds()?, Duration::from_secs(size.seconds));
    std::thread::sleep(watched);
    let idling = (server.cpu_seconds()? - cpu_before) / watched.as_secs_f64();
    Ok(Measured {
        cells: vec![format!("{kib:.1}"), format!("{accepting:.2}"), format!("{opening:.1}"), format!("{:.2}", idling * 100.0)],
        figures: json!({
            "connections": connections, "kibPerConnection": kib, "acceptingCpuSeconds": accepting, "openSeconds": opening,
            "idleCpu": idling,
        }),
        complete: true,
    })
}
