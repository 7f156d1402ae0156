//! One writer to many readers: how soon an edit arrives, and what that costs the server.
//!
//! Every server is a process of its own, the relay with durable acknowledgements as always; writer and readers are in this process,
//! over WebSockets of the loopback interface. They take turns, round by round:
//!
//! * the relay with readers that are whole replicas: a delivery's time runs from the writer's edit to the moment at which the
//!   reader's replica tells its app of it, with the change in its copy of the document;
//! * the relay with readers that only count what arrives, as the anchor's do: what is left is the relay's own;
//! * the anchor, which passes frames of the same size at the same pace and does nothing else.

mod anchor;
mod replicas;
pub(crate) mod trust;
mod wires;

use crate::figures::{Figures, Round};
use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use anyhow::{Context as _, Result};
use driftline_relay::plot::{Axis, Plot, Series};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use trust::Kind;

/// How long deliveries may take after the last edit.
const TAIL_MAX: Duration = Duration::from_secs(20);

/// Seconds of a round that shows how the cost grows with readers.
const GROWTH_SECONDS_MAX: u64 = 6;

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
    /// The same for other readers, in one short round.
    fn with_readers(self, readers: usize) -> Self {
        Self { readers, seconds: self.seconds.min(GROWTH_SECONDS_MAX), rounds: 1, ..self }
    }

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

/// One server with one kind of readers, and its rounds.
struct Column {
    name: &'static str,
    rounds: Vec<Figures>,
    /// Median lag of each second of the last round.
    lags: Vec<(f64, f64)>,
}

impl Column {
    fn new(name: &'static str) -> Self {
        Self { name, rounds: Vec::new(), lags: Vec::new() }
    }

    fn add(&mut self, number: usize, round: &Round, readers: usize) {
        let figures = round.figures(readers);
        println!("round {number}: {:<34} p50 {:.2} ms, p99 {:.2} ms", self.name, figures.p50_ms, figures.p99_ms);
        self.rounds.push(figures);
        self.lags = round.lag_by_second();
    }
}

/// Runs the rounds and tells what came of them; and a short one for each number of readers in `growing`.
pub(crate) fn run(programs: &Path, load: Load, growing: &[usize], results: &Path) -> Result<()> {
    let report = Report::begin("fanout");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    let (mut whole, mut counting, mut anchor) =
        (Column::new("relay, readers that apply"), Column::new("relay, readers that count"), Column::new("bare broadcast"));
    for number in 1..=load.rounds {
        let server = Server::relay(programs, &scratch, &format!("whole-{number}"), &[])?;
        let round =
            runtime.block_on(replicas::round(&server, load, Kind::Open)).context("the round of the relay and replicas")?;
        drop(server);
        whole.add(number, &round, load.readers);

        let server = Server::relay(programs, &scratch, &format!("counting-{number}"), &[])?;
        let round = runtime.block_on(wires::round(&server, load)).context("the round of the relay and counting readers")?;
        drop(server);
        counting.add(number, &round, load.readers);

        let bytes = round.bytes_per_delivery.round() as usize;
        let server = Server::anchor(programs, &scratch)?;
        let round = runtime.block_on(anchor::round(&server, load, bytes)).context("the anchor's round")?;
        anchor.add(number, &round, load.readers);
    }
    let mut grown = Vec::new();
    for &readers in growing {
        let load = load.with_readers(readers);
        let server = Server::relay(programs, &scratch, &format!("growing-{readers}"), &[])?;
        let relay = runtime.block_on(wires::round(&server, load)).with_context(|| format!("the relay and {readers} readers"))?;
        drop(server);
        let bytes = relay.bytes_per_delivery.round() as usize;
        let server = Server::anchor(programs, &scratch)?;
        let least = runtime.block_on(anchor::round(&server, load, bytes)).context("the anchor's round")?;
        grown.push((readers, relay.figures(readers), least.figures(readers)));
    }
    tell(report, load, &[whole, counting, anchor], &grown, results)
}

/// How the cost grows with readers that count, by the relay and by the bare broadcast.
fn tell_growth(report: &mut Report, load: Load, grown: &[(usize, Figures, Figures)]) {
    let caption = format!(
        "The same {} edits/s by the number of readers that count, one round of {} s.",
        load.edits_per_second,
        load.with_readers(1).seconds
    );
    let columns = [
        "readers",
        "CPU s per 1,000 deliveries",
        "the bare broadcast's",
        "times",
        "p50 ms",
        "p99 ms",
        "the bare broadcast's p99 ms",
    ];
    let mut table = Table::new(caption, &columns);
    for (readers, relay, least) in grown {
        let (cost, least_cost) = (relay.cpu_seconds_per_1000, least.cpu_seconds_per_1000);
        let cells = [format!("{cost:.4}"), format!("{least_cost:.4}"), format!("{:.2}", cost / least_cost)];
        let times = [relay.p50_ms, relay.p99_ms, least.p99_ms].map(|ms| format!("{ms:.2}"));
        table.row(readers.to_string(), cells.into_iter().chain(times));
    }
    report.tables.push(table);
    let line = |name: &str, of: fn(&(usize, Figures, Figures)) -> f64| Series {
        name: name.to_owned(),
        points: grown.iter().map(|all| (all.0 as f64, of(all))).collect(),
    };
    report.plots.push(Plot {
        name: "fanout-readers".to_owned(),
        title: "Server CPU for 1,000 deliveries".to_owned(),
        x: Axis::logarithmic("readers"),
        y: Axis::linear("seconds"),
        series: vec![
            line("relay, readers that count", |all| all.1.cpu_seconds_per_1000),
            line("bare broadcast", |all| all.2.cpu_seconds_per_1000),
        ],
    });
}

/// A row of the table: what it is, and how it is shown.
type Row = (&'static str, fn(&Figures) -> String);

const ROWS: [Row; 9] = [
    ("edits delivered, %", |f| format!("{:.2}", f.delivered_share * 100.0)),
    ("writer to reader, p50 ms", |f| format!("{:.2}", f.p50_ms)),
    ("writer to reader, p99 ms", |f| format!("{:.2}", f.p99_ms)),
    ("writer to reader, most, ms", |f| format!("{:.2}", f.max_ms)),
    ("growth of the median, ms per minute", |f| format!("{:+.2}", f.growth_ms_per_minute)),
    ("writer to \"durable on the relay\", p50 / p99 ms", |f| match (f.acknowledged_p50_ms, f.acknowledged_p99_ms) {
        (Some(p50), Some(p99)) => format!("{p50:.2} / {p99:.2}"),
        _ => "none given".to_owned(),
    }),
    ("server CPU s per 1,000 deliveries", |f| format!("{:.4}", f.cpu_seconds_per_1000)),
    ("server resident MB", |f| format!("{:.1}", f.resident_mb)),
    ("bytes per edit per reader, WebSocket's own 2 included", |f| format!("{:.0}", f.bytes_per_delivery + 2.0)),
];

fn tell(mut report: Report, load: Load, columns: &[Column], grown: &[(usize, Figures, Figures)], results: &Path) -> Result<()> {
    let caption = format!(
        "{} edits/s by one writer to {} readers for {} s, median of {} rounds.",
        load.edits_per_second, load.readers, load.seconds, load.rounds
    );
    let head: Vec<&str> = std::iter::once("").chain(columns.iter().map(|column| column.name)).collect();
    let medians: Vec<Figures> = columns.iter().map(|column| Figures::median(&column.rounds)).collect();
    let mut table = Table::new(caption, &head);
    for (name, shown) in ROWS {
        table.row(name, medians.iter().map(shown));
    }
    if let Some(least) = medians.last() {
        let times = |f: &Figures| format!("{:.2}", f.cpu_seconds_per_1000 / least.cpu_seconds_per_1000);
        table.row("CPU, times the bare broadcast's", medians.iter().map(times));
    }
    report.tables.push(table);
    report.plots.push(Plot {
        name: "fanout-lag".to_owned(),
        title: "Median time from writer to reader, second by second".to_owned(),
        x: Axis::linear("seconds since the first edit"),
        y: Axis::linear("ms"),
        series: columns.iter().map(|column| Series { name: column.name.to_owned(), points: column.lags.clone() }).collect(),
    });
    tell_growth(&mut report, load, grown);
    report.figures = json!({
        "growth": grown.iter().map(|(readers, relay, least)| json!({
            "readers": readers, "relay": relay.to_json(), "bareBroadcast": least.to_json(),
        })).collect::<Vec<_>>(),
        "load": { "readers": load.readers, "editsPerSecond": load.edits_per_second, "seconds": load.seconds, "rounds": load.rounds },
        "servers": columns.iter().zip(&medians).map(|(column, median)| json!({
            "name": column.name,
            "median": median.to_json(),
            "rounds": column.rounds.iter().map(|round| round.to_json()).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    report.finish(results)
}
