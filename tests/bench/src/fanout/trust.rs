//! What signing and sealing cost the relay: the same load of whole replicas in an open space, an owned one and a sealed one.
//!
//! A machine is faster in one minute than in the next, so what counts is the median of the rounds' own ratios, and the order of the spaces changes from round to round.

use super::{Column, Load, ROWS, replicas};
use crate::figures::{Figures, quantile};
use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use anyhow::{Context as _, Result};
use serde_json::json;
use std::path::Path;

/// Whose a space is, and who can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whoever knows its name writes and reads it.
    Open,
    /// It is owned: what is written is signed.
    Owned,
    /// It is owned, and sealed too.
    Sealed,
}

/// Runs the rounds, the spaces in turn, and tells what came of them.
pub(crate) fn run(programs: &Path, load: Load, results: &Path) -> Result<()> {
    let mut report = Report::begin("fanout-trust");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    let kinds = [(Kind::Open, "open space"), (Kind::Owned, "owned: signed"), (Kind::Sealed, "sealed too")];
    let mut columns = kinds.map(|(_, name)| Column::new(name));
    for number in 1..=load.rounds {
        for at in (0..kinds.len()).map(|step| (number + step) % kinds.len()) {
            let ((kind, name), column) = (&kinds[at], &mut columns[at]);
            let server = Server::relay(programs, &scratch, &format!("{kind:?}-{number}").to_lowercase(), &[])?;
            let round = runtime.block_on(replicas::round(&server, load, *kind)).with_context(|| format!("the round: {name}"))?;
            drop(server);
            column.add(number, &round, load.readers);
        }
    }
    let caption = format!(
        "{} edits/s by one writer to {} whole replicas for {} s, median of {} rounds, one relay a round.",
        load.edits_per_second, load.readers, load.seconds, load.rounds
    );
    let head: Vec<&str> = std::iter::once("").chain(columns.iter().map(|column| column.name)).collect();
    let medians: Vec<Figures> = columns.iter().map(|column| Figures::median(&column.rounds)).collect();
    let mut table = Table::new(caption, &head);
    for (name, shown) in ROWS {
        table.row(name, medians.iter().map(shown));
    }
    table.row("frames per edit per reader", medians.iter().map(|f| format!("{:.2}", f.frames_per_delivery.unwrap_or(f64::NAN))));
    let open = &columns[0].rounds;
    let ratios = columns.each_ref().map(|column| {
        let of = |(round, open): (&Figures, &Figures)| round.cpu_seconds_per_1000 / open.cpu_seconds_per_1000;
        let mut ratios: Vec<f64> = column.rounds.iter().zip(open).map(of).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    });
    let shown = |ratios: &Vec<f64>| {
        format!("{:.2} ({:.2} to {:.2})", quantile(ratios, 0.5), quantile(ratios, 0.0), quantile(ratios, 1.0))
    };
    table.row("CPU, times the open space's: median, least and most of the rounds", ratios.iter().map(shown));
    report.tables.push(table);
    report.figures = json!({
        "load": { "readers": load.readers, "editsPerSecond": load.edits_per_second, "seconds": load.seconds, "rounds": load.rounds },
        "spaces": columns.iter().zip(&medians).zip(&ratios).map(|((column, median), ratios)| json!({
            "name": column.name,
            "cpuTimesOpen": ratios,
            "median": median.to_json(),
            "rounds": column.rounds.iter().map(|round| round.to_json()).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    report.finish(results)
}
