//! Native peers on one machine, each a process of its own as anyone would run it: what one writes, and when all have it.
//!
//! Each keeps a folder and is told where three others are; the rest they tell each other. A line is written into a file in the folder of one, and each process says
//! when its replica took the change in. What is timed lies between the replicas: from the moment that the one has made it a change to the moment that
//! the last holds it. That the one looks into its folder a moment after the file was written, and the others then write their files, is not part of it, but goes on
//! beside it.

mod crew;

use crate::figures::quantile;
use crate::report::{Report, Table};
use crate::scratch::Scratch;
use anyhow::{Result, ensure};
use crew::{Changed, Crew, Memory};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How long everyone has to find enough neighbours.
const GATHER_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a change may take.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(10);
/// Between two changes all files are written and looked at: many processes, few cores.
const REST: Duration = Duration::from_millis(1_500);

/// One change's way.
struct Delivery {
    /// Milliseconds until half of the others had it.
    half_ms: f64,
    /// ... until all had it.
    all_ms: f64,
}

/// Writes `changes` changes, each by another of `peers` peers.
pub(crate) fn run(programs: &Path, peers: usize, changes: usize, results: &Path) -> Result<()> {
    ensure!(peers >= 2, "a network has two peers at least");
    let mut report = Report::begin("lan");
    let scratch = Scratch::new()?;
    let mut crew = Crew::start(programs, &scratch, peers)?;
    let alone = crew.alone;
    crew.gather(GATHER_TIME_MAX)?;
    crew.write(0, "a first line\n")?;
    crew.settle(GATHER_TIME_MAX)?;
    std::thread::sleep(REST * 2);

    let (before, cpu_before) = (crew.received()?, crew.cpu_seconds()?);
    let mut deliveries = Vec::new();
    for change in 0..changes {
        let writer = change * 7 % peers;
        let told = crew.change(writer, &format!("line {change} by {writer}\n"), DELIVERY_TIME_MAX)?;
        deliveries.extend(delivery_of(&told, peers, writer));
        std::thread::sleep(REST);
    }
    let (after, cpu) = (crew.received()?, crew.cpu_seconds()? - cpu_before);
    ensure!(deliveries.len() >= changes / 2, "only {} of {changes} changes arrived everywhere", deliveries.len());
    let entries = after.entries - before.entries;
    let new = entries - (after.again - before.again);
    let copies = entries as f64 / new as f64;
    let neighbours = crew.neighbours()?;
    let mean = neighbours.iter().sum::<usize>() as f64 / peers as f64;
    let among = crew.memory()?;

    let sorted = |of: fn(&Delivery) -> f64| {
        let mut all: Vec<f64> = deliveries.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (half, all) = (sorted(|delivery| delivery.half_ms), sorted(|delivery| delivery.all_ms));
    let caption = format!(
        "{peers} processes `driftline peer` on one machine, QUIC on the loopback interface, SQLite stores, a folder each; {changes} changes, each by another."
    );
    let mut table = Table::new(caption, &["", "", "bar"]);
    let ms = |sorted: &[f64], share| format!("{:.1}", quantile(sorted, share));
    table.row("until half have it, ms: median", [ms(&half, 0.5), String::new()]);
    table.row("until all have it, ms: median", [ms(&all, 0.5), "50".to_owned()]);
    table.row("... p95", [ms(&all, 0.95), String::new()]);
    table.row("... most", [ms(&all, 1.0), String::new()]);
    table.row("copies for each delivery", [format!("{copies:.2}"), "5.5".to_owned()]);
    table.row(
        "neighbours: fewest, mean, most",
        [
            format!("{}, {mean:.1}, {}", neighbours.iter().min().unwrap_or(&0), neighbours.iter().max().unwrap_or(&0)),
            "8 to 128".to_owned(),
        ],
    );
    table.row(
        "processor time for each delivery, folders included, ms",
        [format!("{:.2}", cpu * 1_000.0 / new as f64), String::new()],
    );
    let mb = |of: fn(&Memory) -> f64| [format!("{:.1}; {:.1}", of(&alone), of(&among)), String::new()];
    table.row("resident MB of a peer: alone; among these", mb(|memory| memory.resident_mb));
    table.row("... its share where pages are common (PSS)", mb(|memory| memory.share_mb));
    table.row("... its heap and stacks", mb(|memory| memory.own_mb));
    let per_connection = (among.own_mb - alone.own_mb) * 1_024.0 / mean;
    table.row("... KiB for each connection", [format!("{per_connection:.0}"), String::new()]);
    report.tables.push(table);
    report.figures = json!({
        "peers": peers, "changes": changes, "arrivedEverywhere": deliveries.len(),
        "halfP50Ms": quantile(&half, 0.5), "allP50Ms": quantile(&all, 0.5), "allP95Ms": quantile(&all, 0.95), "allMaxMs": quantile(&all, 1.0),
        "copiesPerDelivery": copies, "entriesReceived": entries, "entriesNew": new, "neighbours": neighbours,
        "cpuMsPerDelivery": cpu * 1_000.0 / new as f64, "aloneResidentMb": alone.resident_mb, "aloneShareMb": alone.share_mb, "aloneOwnMb": alone.own_mb,
        "residentMb": among.resident_mb, "shareMb": among.share_mb, "ownMb": among.own_mb,
        "kibPerConnection": per_connection, "allMs": all,
    });
    report.finish(results)
}

/// How long each change took that was told of; nothing of one that did not arrive everywhere.
fn delivery_of(told: &[Changed], peers: usize, writer: usize) -> Vec<Delivery> {
    let mut by_heads: BTreeMap<&str, Vec<&Changed>> = BTreeMap::new();
    for changed in told {
        by_heads.entry(&changed.heads).or_default().push(changed);
    }
    let delivery = |told: Vec<&Changed>| {
        let began = told.iter().find(|changed| changed.local && changed.peer == writer)?.unix_us;
        let mut arrived: BTreeMap<usize, u64> = BTreeMap::new();
        for changed in told.iter().filter(|changed| !changed.local) {
            let at = arrived.entry(changed.peer).or_insert(u64::MAX);
            *at = changed.unix_us.min(*at);
        }
        let mut lags: Vec<f64> = arrived.values().map(|at| at.saturating_sub(began) as f64 / 1_000.0).collect();
        lags.sort_by(f64::total_cmp);
        (lags.len() == peers - 1).then(|| Delivery { half_ms: quantile(&lags, 0.5), all_ms: quantile(&lags, 1.0) })
    };
    by_heads.into_values().filter_map(delivery).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(peer: usize, heads: &str, local: bool, unix_us: u64) -> Changed {
        Changed { peer, heads: heads.to_owned(), local, unix_us }
    }

    #[test]
    fn a_change_takes_from_its_writer_to_the_last_and_counts_only_when_all_have_it() {
        let told = [
            changed(0, "a", true, 1_000),
            changed(1, "a", false, 3_000),
            changed(2, "a", false, 6_000),
            changed(2, "a", false, 9_000),
            changed(0, "b", true, 10_000),
            changed(1, "b", false, 11_000),
        ];
        let deliveries = delivery_of(&told, 3, 0);
        assert_eq!(deliveries.iter().map(|delivery| delivery.all_ms).collect::<Vec<_>>(), [5.0]);
    }
}
