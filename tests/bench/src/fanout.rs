//! One writer to many readers: how soon an edit arrives, and what that costs the server.
//!
//! The relay is the real binary in a process of its own, with durable acknowledgements as always; its readers and its
//! writer are whole replicas in this process, over WebSockets of the loopback interface. Beside it, in turn, the anchor
//! passes frames of the same size at the same pace. A delivery's time runs from the writer's edit to the moment at which
//! the reader's replica tells its app of it.

mod anchor;
mod relay;

use crate::figures::Figures;
use crate::report::{Machine, save};
use crate::server::Server;
use anyhow::{Context as _, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long deliveries may take after the last edit.
const TAIL_MAX: Duration = Duration::from_secs(20);

/// The load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Readers.
    pub(crate) readers: usize,
    /// Edits a second.
    pub(crate) edits_per_second: u64,
    /// Seconds of a round.
    pub(crate) seconds: u64,
    /// Rounds; the figures are their medians.
    pub(crate) rounds: usize,
}

impl Load {
    fn edits(&self) -> u64 {
        self.edits_per_second * self.seconds
    }

    /// How long to wait for the next delivery at the most.
    fn patience(&self, start: Instant) -> Duration {
        (Duration::from_secs(self.seconds) + TAIL_MAX).saturating_sub(start.elapsed())
    }
}

/// The moments at which edits are due.
struct Pace {
    start: Instant,
    interval: Duration,
}

impl Pace {
    fn new(start: Instant, load: Load) -> Self {
        Self { start, interval: Duration::from_secs(1) / load.edits_per_second as u32 }
    }

    async fn wait_for(&mut self, number: u64) {
        tokio::time::sleep_until((self.start + self.interval * number as u32).into()).await;
    }
}

/// Runs the rounds and tells what came of them.
pub(crate) fn run(programs: &Path, load: Load, results: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    let program = |name: &str| programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let (mut relay_rounds, mut anchor_rounds) = (Vec::new(), Vec::new());
    for number in 1..=load.rounds {
        let data = scratch.folder.join(format!("data-{number}"));
        let server = Server::start(&program("driftline"), scratch.folder.join("relay.log"), |address| {
            vec!["relay".into(), "--listen".into(), address.to_string(), "--data".into(), data.to_string_lossy().into_owned()]
        })?;
        let round = runtime.block_on(relay::round(&server, load)).context("the relay's round")?;
        drop(server);
        let bytes = round.bytes_per_delivery.round() as usize;
        let figures = round.figures(load.readers);
        println!("round {number}: relay   p50 {:.2} ms, p99 {:.2} ms", figures.p50_ms, figures.p99_ms);
        relay_rounds.push(figures);

        let server =
            Server::start(&program("driftline-anchor"), scratch.folder.join("anchor.log"), |address| vec![address.to_string()])?;
        let round = runtime.block_on(anchor::round(&server, load, bytes)).context("the anchor's round")?;
        let figures = round.figures(load.readers);
        println!("round {number}: anchor  p50 {:.2} ms, p99 {:.2} ms", figures.p50_ms, figures.p99_ms);
        anchor_rounds.push(figures);
    }
    tell(load, &relay_rounds, &anchor_rounds, results)
}

/// A row of the table: what it is, and how it is shown.
type Row = (&'static str, fn(&Figures) -> String);

fn tell(load: Load, relay_rounds: &[Figures], anchor_rounds: &[Figures], results: &Path) -> Result<()> {
    let (relay, anchor) = (Figures::median(relay_rounds), Figures::median(anchor_rounds));
    let machine = Machine::this();
    println!(
        "\n{} edits/s to {} readers for {} s, median of {} rounds, {machine}\n",
        load.edits_per_second, load.readers, load.seconds, load.rounds
    );
    let rows: [Row; 9] = [
        ("edits delivered, %", |f| format!("{:.2}", f.delivered_share * 100.0)),
        ("writer to reader, p50 ms", |f| format!("{:.2}", f.p50_ms)),
        ("writer to reader, p99 ms", |f| format!("{:.2}", f.p99_ms)),
        ("writer to reader, max ms", |f| format!("{:.2}", f.max_ms)),
        ("growth of the median, ms per minute", |f| format!("{:+.2}", f.growth_ms_per_minute)),
        ("writer to \"durable on the relay\", p50 / p99 ms", |f| match (f.acknowledged_p50_ms, f.acknowledged_p99_ms) {
            (Some(p50), Some(p99)) => format!("{p50:.2} / {p99:.2}"),
            _ => "none given".to_owned(),
        }),
        ("server CPU s per 1,000 deliveries", |f| format!("{:.4}", f.cpu_seconds_per_1000)),
        ("server resident MB", |f| format!("{:.1}", f.resident_mb)),
        ("bytes per edit per reader", |f| format!("{:.0}", f.bytes_per_delivery)),
    ];
    println!("{:<50} {:>16} {:>16}", "", "relay", "bare broadcast");
    for (name, figure) in rows {
        println!("{name:<50} {:>16} {:>16}", figure(&relay), figure(&anchor));
    }
    println!("\nfor docs/benchmarks.md:");
    for (name, figure) in rows {
        println!("| {name} | {} | {} |", figure(&relay), figure(&anchor));
    }
    save(
        results,
        "fanout",
        &json!({
            "machine": machine.to_json(),
            "load": { "readers": load.readers, "editsPerSecond": load.edits_per_second, "seconds": load.seconds, "rounds": load.rounds },
            "relay": { "median": relay.to_json(), "rounds": relay_rounds.iter().map(|f| f.to_json()).collect::<Vec<_>>() },
            "anchor": { "median": anchor.to_json(), "rounds": anchor_rounds.iter().map(|f| f.to_json()).collect::<Vec<_>>() },
        }),
    )
}

/// A folder for the relay's data, gone with this value.
struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("driftline-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self { folder })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
