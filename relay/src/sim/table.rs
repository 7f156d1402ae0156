//! Many scenarios beside each other: how rounds grow with the number of peers, and what each fault costs.

use super::outcome::Outcome;
use super::scenario::Scenario;
use super::textbook::{self, Textbook};
use crate::plot::{Axis, Plot, Series};
use serde::Serialize;
use std::fmt::Write as _;

/// The numbers of peers of a table up to `most`: ten, a hundred, ..., and `most`.
pub fn sizes(most: usize) -> Vec<usize> {
    let tens = std::iter::successors(Some(10usize), |size| size.checked_mul(10)).take_while(|size| *size < most);
    tens.chain([most]).collect()
}

/// How rounds grow: one line for each number of peers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// Peers.
    pub peers: usize,
    /// `log2 N + ln N`.
    pub rounds_in_theory: f64,
    /// Rounds of push gossip among peers that all know each other.
    pub rounds_textbook: u64,
    /// ... and copies sent for each peer that came to hold the rumour.
    pub copies_textbook: f64,
    /// The overlay with a fan-out of one.
    pub one: Outcome,
    /// The overlay with the fan-out that was asked for.
    pub many: Outcome,
}

impl Growth {
    /// One line: `of_one` and `of_many` are what came of [`Self::scenarios`].
    pub fn of(one: Outcome, many: Outcome) -> Self {
        let peers = one.scenario.peers;
        let Textbook { rounds, pushes } = textbook::spread(peers, 1, one.scenario.seed);
        Self {
            peers,
            rounds_in_theory: one.rounds_in_theory,
            rounds_textbook: rounds,
            copies_textbook: pushes as f64 / (peers.max(2) - 1) as f64,
            one,
            many,
        }
    }

    /// What is to be lived for a line.
    pub fn scenarios(peers: usize, fanout: usize, seed: u64) -> [Scenario; 2] {
        [Scenario::of(peers, 1, seed).in_step(), Scenario::of(peers, fanout, seed).in_step()]
    }
}

/// What goes wrong, one after the other, in worlds of so many peers.
pub fn faults(peers: usize, fanout: usize, seed: u64) -> Vec<Scenario> {
    let quiet = || Scenario::of(peers, fanout, seed);
    vec![
        quiet(),
        Scenario { loss_percent: 20, ..quiet() },
        Scenario { churn_percent: 10, ..quiet() },
        Scenario { loss_percent: 20, churn_percent: 10, ..quiet() },
        Scenario { partition_ms: 30_000, ..quiet() },
        Scenario { centres: 5, centre_ms: 100, latency_ms: (1, 5), ..quiet() },
        Scenario { centres: 5, centre_ms: 200, latency_ms: (1, 5), ..quiet() },
    ]
}

/// How rounds grow, as a table in Markdown.
pub fn growth_text(lines: &[Growth]) -> String {
    let fanout = lines.first().map_or(0, |line| line.many.scenario.fanout);
    let mut text = format!(
        "| peers | log2 N + ln N | textbook, fan-out 1 | overlay, fan-out 1 | overlay, fan-out {fanout} | copies: textbook | fan-out 1 | fan-out {fanout} | neighbours: fewest, mean, most |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for line in lines {
        let overlay = &line.many.overlay;
        let _ = writeln!(
            text,
            "| {} | {:.1} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {}, {:.1}, {} |",
            line.peers,
            line.rounds_in_theory,
            line.rounds_textbook,
            rounds(&line.one),
            rounds(&line.many),
            line.copies_textbook,
            line.one.sent.copies(),
            line.many.sent.copies(),
            overlay.degree_min,
            overlay.degree_mean,
            overlay.degree_max
        );
    }
    text
}

fn rounds(outcome: &Outcome) -> String {
    match outcome.rounds {
        Some(rounds) if outcome.converged => rounds.to_string(),
        _ => format!("{} lack it", outcome.lacking),
    }
}

/// What came of scenarios, as a table in Markdown.
pub fn outcomes_text(outcomes: &[Outcome]) -> String {
    let mut text = "| peers | fan-out | world | all hold it after | half, 99 %, slowest waited | hops | copies | of them lost | tells | compares | membership | dials |\n|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n".to_owned();
    for outcome in outcomes {
        let deliveries = outcome.sent.deliveries.max(1) as f64;
        let each = |count: u64| format!("{:.2}", count as f64 / deliveries);
        let after = match (outcome.converged, outcome.rounds) {
            (false, _) => format!("{} lack it after {} ms", outcome.lacking, outcome.time_ms),
            (true, Some(rounds)) => format!("{rounds} rounds"),
            (true, None) if outcome.after_faults_ms < outcome.time_ms => {
                format!("{} ms, {} ms after the last fault", outcome.time_ms, outcome.after_faults_ms)
            }
            (true, None) => format!("{} ms", outcome.time_ms),
        };
        let [half, most, slowest] = outcome.wait_ms;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {after} | {half}, {most}, {slowest} ms | {} | {:.2} | {} | {} | {} | {} | {} |",
            outcome.scenario.peers,
            outcome.scenario.fanout,
            outcome.scenario.describe(),
            outcome.hops,
            outcome.sent.copies(),
            each(outcome.sent.pushes_lost),
            each(outcome.sent.tells),
            each(outcome.sent.compares),
            each(outcome.sent.membership),
            each(outcome.sent.dials),
        );
    }
    text
}

/// Rounds over the number of peers.
pub fn growth_plot(lines: &[Growth]) -> Plot {
    let fanout = lines.first().map_or(0, |line| line.many.scenario.fanout);
    let series = |name: &str, of: &dyn Fn(&Growth) -> f64| Series {
        name: name.to_owned(),
        points: lines.iter().map(|line| (line.peers as f64, of(line))).collect(),
    };
    Plot {
        name: "gossip-rounds".to_owned(),
        title: "Rounds until all peers hold a change".to_owned(),
        x: Axis::logarithmic("peers"),
        y: Axis::linear("rounds"),
        series: vec![
            series("log2 N + ln N", &|line| line.rounds_in_theory),
            series("textbook push", &|line| line.rounds_textbook as f64),
            series("overlay, fan-out 1", &|line| line.one.rounds.unwrap_or(0) as f64),
            series(&format!("overlay, fan-out {fanout}"), &|line| line.many.rounds.unwrap_or(0) as f64),
        ],
    }
}

/// How many hold the rumour over time.
pub fn spread_plot(outcomes: &[Outcome]) -> Plot {
    let series = outcomes.iter().map(|outcome| {
        let points = outcome.spread_ms.iter().enumerate().map(|(part, at_ms)| (*at_ms as f64, (part + 1) as f64 * 5.0));
        Series { name: outcome.scenario.describe(), points: std::iter::once((0.0, 0.0)).chain(points).collect() }
    });
    Plot {
        name: "gossip-spread".to_owned(),
        title: "Of a hundred peers, so many hold a change".to_owned(),
        x: Axis::linear("milliseconds"),
        y: Axis::linear("percent of peers"),
        series: series.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_goes_by_tens_up_to_the_number_asked_for() {
        assert_eq!(sizes(1_000), [10, 100, 1_000]);
        assert_eq!(sizes(500), [10, 100, 500]);
        assert_eq!(sizes(5), [5]);
    }
}
