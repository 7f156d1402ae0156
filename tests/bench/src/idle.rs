//! Many connections on which nothing happens: what one costs the relay to take, and to keep.

use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::wire::Wire;
use anyhow::Result;
use driftline_core::base::id::SpaceId;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Connections that are opened at the same time.
const OPENING: usize = 32;
/// Above one MiB a connection, the least that the relay takes as its ceiling.
const MEMORY_SPARE_MIB: usize = 1024;

/// Opens them, and then watches for so many seconds what idling costs.
pub(crate) fn run(programs: &Path, connections: usize, seconds: u64, results: &Path) -> Result<()> {
    let mut report = Report::begin("idle");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    // The relay refuses more connections than its ceiling has room for, and by itself takes fewer than these.
    let (most, ceiling) = (connections.to_string(), format!("{}MiB", connections + MEMORY_SPARE_MIB));
    let server = Server::relay(programs, &scratch, "idle", &["--connections-max", &most, "--memory-max", &ceiling])?;
    let (memory_before, cpu_before) = (server.resident_mb()?, server.cpu_seconds()?);
    let start = Instant::now();
    let held = runtime.block_on(open(&server, connections))?;
    let (opening, accepting) = (start.elapsed().as_secs_f64(), server.cpu_seconds()? - cpu_before);
    let kib = (server.resident_mb()? - memory_before) * 1024.0 / connections as f64;
    let (cpu_before, watched) = (server.cpu_seconds()?, Duration::from_secs(seconds));
    // The sockets are held, and nothing is said on them.
    std::thread::sleep(watched);
    let idling = (server.cpu_seconds()? - cpu_before) / watched.as_secs_f64();
    drop(held);

    let caption = format!("{connections} connections, each of a peer that proved itself and follows one space, then silence.");
    let mut table = Table::new(caption, &["", "relay"]);
    table.row("resident KiB per connection", [format!("{kib:.1}")]);
    table.row("CPU to accept all of them, s", [format!("{accepting:.2}")]);
    table.row("until all are open, s", [format!("{opening:.1}")]);
    table.row("CPU while they idle, % of a core", [format!("{:.2}", idling * 100.0)]);
    report.tables.push(table);
    report.figures = json!({
        "connections": connections, "kibPerConnection": kib, "acceptingCpuSeconds": accepting, "openSeconds": opening, "idleCpu": idling,
    });
    report.finish(results)
}

async fn open(server: &Server, connections: usize) -> Result<Vec<Wire>> {
    let space = SpaceId::from_name("idle");
    let mut held = Vec::with_capacity(connections);
    while held.len() < connections {
        let from = held.len() as u64;
        let count = (connections - held.len()).min(OPENING) as u64;
        let opening = (from..from + count).map(async |number| {
            let mut wire = Wire::connect(server, number).await?;
            wire.subscribe(space).await?;
            wire.subscribed().await?;
            anyhow::Ok(wire)
        });
        held.extend(futures_util::future::try_join_all(opening).await?);
    }
    Ok(held)
}
