//! Many connections on which nothing happens: what one costs the relay to take, and to keep.

use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::wire::Wire;
use anyhow::Result;
use driftline_core::base::id::SpaceId;
use driftline_relay::plot::{Axis, Plot, Series};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Connections that are opened at the same time.
const OPENING: usize = 32;
/// Above one MiB a connection, the least that the relay takes as its ceiling.
const MEMORY_SPARE_MIB: usize = 1024;

/// What so many connections came to.
struct Held {
    connections: usize,
    mb: f64,
    accepting: f64,
    opening: f64,
    idling: f64,
}

impl Held {
    fn kib_each(&self) -> f64 {
        self.mb * 1024.0 / self.connections as f64
    }
}

/// Opens them, and then watches for so many seconds what idling costs; for each number with a new relay.
pub(crate) fn run(programs: &Path, sizes: &[usize], seconds: u64, results: &Path) -> Result<()> {
    let mut report = Report::begin("idle");
    let scratch = Scratch::new()?;
    let caption = "Connections, each of a peer that proved itself and follows one space, then silence.";
    let columns = ["connections", "resident KiB each", "CPU to accept all, s", "... ms each", "until all are open, s"];
    let mut table = Table::new(caption, &[&columns[..], &["CPU while they idle, % of a core"]].concat());
    let mut held = Vec::new();
    for &connections in sizes {
        let came = hold(programs, &scratch, connections, Duration::from_secs(seconds))?;
        let (each, ms_each) = (came.kib_each(), came.accepting * 1_000.0 / connections as f64);
        let cells =
            [format!("{each:.1}"), format!("{:.2}", came.accepting), format!("{ms_each:.2}"), format!("{:.1}", came.opening)];
        table.row(connections.to_string(), cells.into_iter().chain([format!("{:.2}", came.idling * 100.0)]));
        held.push(came);
    }
    report.tables.push(table);
    report.plots.push(Plot {
        name: "idle-memory".to_owned(),
        title: "Memory that idle connections hold".to_owned(),
        x: Axis::logarithmic("connections"),
        y: Axis::logarithmic("MB"),
        series: vec![Series {
            name: "relay, above what it holds by itself".to_owned(),
            points: held.iter().map(|came| (came.connections as f64, came.mb)).collect(),
        }],
    });
    report.figures = json!(
        held.iter()
            .map(|came| json!({
                "connections": came.connections, "kibPerConnection": came.kib_each(), "acceptingCpuSeconds": came.accepting,
                "openSeconds": came.opening, "idleCpu": came.idling,
            }))
            .collect::<Vec<_>>()
    );
    report.finish(results)
}

fn hold(programs: &Path, scratch: &Scratch, connections: usize, watched: Duration) -> Result<Held> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // The relay refuses more connections than its ceiling has room for, and by itself takes fewer than these.
    let (most, ceiling) = (connections.to_string(), format!("{}MiB", connections + MEMORY_SPARE_MIB));
    let further = ["--connections-max", &most, "--memory-max", &ceiling];
    let server = Server::relay(programs, scratch, &format!("idle-{connections}"), &further)?;
    let (memory_before, cpu_before) = (server.resident_mb()?, server.cpu_seconds()?);
    let start = Instant::now();
    let held = runtime.block_on(open(&server, connections))?;
    let (opening, accepting) = (start.elapsed().as_secs_f64(), server.cpu_seconds()? - cpu_before);
    let mb = server.resident_mb()? - memory_before;
    let cpu_before = server.cpu_seconds()?;
    // The sockets are held, and nothing is said on them.
    std::thread::sleep(watched);
    let idling = (server.cpu_seconds()? - cpu_before) / watched.as_secs_f64();
    drop(held);
    Ok(Held { connections, mb, accepting, opening, idling })
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
