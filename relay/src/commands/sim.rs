//! `driftline sim`: how a change spreads among more peers than anyone has.

use super::failure::{Failure, FailureKind};
use super::output::Output;
use crate::plot::Plot;
use crate::sim::outcome::Outcome;
use crate::sim::scenario::Scenario;
use crate::sim::table::{self, Growth};
use crate::sim::world::{Progress, World};
use clap::Args;
use driftline_core::gossip::rumour::RumourConfig;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Most peers of a world: some 30 KB each, and minutes.
const PEERS_MAX: usize = 200_000;
/// Time between two words on how far it is, where the line is drawn over.
const PROGRESS_DRAWN: Duration = Duration::from_millis(100);
/// Time between two words on how far it is, where each is a line of its own.
const PROGRESS_LINES: Duration = Duration::from_secs(10);

const ABOUT: &str = "\
Simulates native peers that gossip: they find each other through a few of them,
choose neighbours, and then one of them writes something that all must get.

Each peer runs the code that a native peer runs to choose its neighbours and to
choose who is sent what when. The clock, the network and the documents are made
up: what is measured is how far and how often a change travels, not how fast this
machine is. The same seed gives the same output, byte for byte.";

const AFTER: &str = "\
Examples:
  A thousand peers, nothing goes wrong
    driftline sim

  How rounds grow from ten to a hundred thousand peers, and what faults cost
    driftline sim --peers 100000 --table --plot rounds.svg

  A bad day: a fifth of all messages lost, a tenth of all peers away for a while,
  and half a minute in which one half of the world does not reach the other
    driftline sim --peers 10000 --loss 20 --churn 10 --partition 30

  Five data centres, 200 ms from each to each
    driftline sim --centres 5 --centre-ms 200 --latency-ms 1..5

What is counted, for each peer that came to hold the change:
  copies       pushes of the change itself; 1 were perfect
  tells        `I hold it`: acknowledgements, and what spares a push
  compares     comparisons of all that is held, which find what was lost
  membership   greetings, heartbeats, whom one knows: the same if nobody writes

Exit codes:
  0  all hold the change
  1  the plot could not be written
  2  the command line is wrong
  4  some lacked it five minutes after the last fault";

/// What can be typed after `driftline sim`.
#[derive(Debug, Args)]
#[command(about = "Simulate how a change spreads among many peers", long_about = ABOUT, after_help = AFTER)]
pub(super) struct SimArguments {
    /// How many peers there are
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    peers: usize,
    /// To how many neighbours a peer pushes a change in one round
    #[arg(long, value_name = "F", default_value_t = RumourConfig::default().fanout)]
    fanout: usize,
    /// How long a message takes, in milliseconds: at least and at most
    #[arg(long, value_name = "A..B", default_value = "5..50", value_parser = range)]
    latency_ms: (u64, u64),
    /// Of a hundred messages, so many are lost
    #[arg(long, value_name = "P", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=90))]
    loss: u64,
    /// Of a hundred peers, so many fall silent while the change spreads, and come back after 5 to 20 s
    #[arg(long, value_name = "P", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=90))]
    churn: u64,
    /// For so many seconds after the change is made, one half of the peers cannot reach the other
    #[arg(long, value_name = "S", default_value_t = 0)]
    partition: u64,
    /// In how many data centres the peers are
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    centres: u64,
    /// How long a message takes from one centre to another, one way, beside its latency
    #[arg(long, value_name = "MS", default_value_t = 200)]
    centre_ms: u64,
    /// Let all peers push at the same moments, 100 ms apart, as theory has it, and count rounds
    #[arg(long, conflicts_with_all = ["latency_ms", "centres", "partition"])]
    in_step: bool,
    /// What decides everything
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Count rounds for 10, 100, ... peers up to N beside theory, and then live through each kind of fault with N
    #[arg(long, conflicts_with_all = ["latency_ms", "loss", "churn", "partition", "centres", "centre_ms", "in_step"])]
    table: bool,
    /// Write a plot to this file: how the change spreads over time or, with --table, rounds over peers
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print one JSON value on stdout
    #[arg(long)]
    json: bool,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let number =
        |part: &str| part.parse::<u64>().map_err(|_| format!("`{part}` is no number of milliseconds; write for example 5..50"));
    let (least, most) = (number(least)?, number(most)?);
    match least {
        0 => Err("a message takes a millisecond at least".to_owned()),
        least if least > most => Err(format!("{least} is more than {most}")),
        least => Ok((least, most)),
    }
}

/// Runs `driftline sim …` to its end and tells how the process is to exit.
pub(super) fn run(arguments: &SimArguments) -> ExitCode {
    let output = Output::new(arguments.json);
    match simulate(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit())
        }
    }
}

fn simulate(arguments: &SimArguments, output: &Output) -> Result<(), Failure> {
    let SimArguments { peers, fanout, seed, .. } = *arguments;
    let usage = |text: String| Err(Failure::new(FailureKind::Usage, text));
    if !(2..=PEERS_MAX).contains(&peers) {
        return usage(format!("--peers {peers}: at least 2 and at most {PEERS_MAX} fit a simulation"));
    }
    if !(1..=128).contains(&fanout) {
        return usage(format!("--fanout {fanout}: at least 1, and at most 128, since no peer has more neighbours"));
    }
    let (text, value, plot, all_hold) = if arguments.table {
        let growth: Vec<Growth> = table::sizes(peers)
            .into_iter()
            .map(|peers| {
                let [one, many] = Growth::scenarios(peers, fanout, seed).map(|scenario| live(scenario, output));
                Growth::of(one, many)
            })
            .collect();
        let outcomes: Vec<Outcome> =
            table::faults(peers, fanout, seed).into_iter().map(|scenario| live(scenario, output)).collect();
        let all = growth.iter().flat_map(|line| [&line.one, &line.many]).chain(&outcomes);
        let all_hold = all.clone().all(|outcome| outcome.converged);
        let text = format!("{}\n{}", table::growth_text(&growth), table::outcomes_text(&outcomes));
        (text, json!({ "growth": growth, "outcomes": outcomes }), table::growth_plot(&growth), all_hold)
    } else {
        let outcome = live(scenario(arguments), output);
        let text = told(&outcome);
        let outcomes = [outcome];
        (text, json!(outcomes[0]), table::spread_plot(&outcomes), outcomes[0].converged)
    };
    output.end_progress();
    output.result(&text, &value);
    if let Some(path) = &arguments.plot {
        draw(path, &plot)?;
    }
    if all_hold {
        return Ok(());
    }
    Err(Failure::new(FailureKind::NotSynced, "some peers lacked the change five minutes after the last fault"))
}

fn scenario(arguments: &SimArguments) -> Scenario {
    let scenario = Scenario {
        latency_ms: arguments.latency_ms,
        loss_percent: arguments.loss,
        churn_percent: arguments.churn,
        partition_ms: arguments.partition.saturating_mul(1_000),
        centres: arguments.centres as usize,
        centre_ms: if arguments.centres > 1 { arguments.centre_ms } else { 0 },
        ..Scenario::of(arguments.peers, arguments.fanout, arguments.seed)
    };
    if arguments.in_step { scenario.in_step() } else { scenario }
}

/// Lives through one scenario and tells how far it is. What is told says how long it takes; what comes out does not.
fn live(scenario: Scenario, output: &Output) -> Outcome {
    let every = if output.draws() { PROGRESS_DRAWN } else { PROGRESS_LINES };
    let (mut told, what) =
        (Instant::now(), format!("{} peers, fan-out {}, {}", scenario.peers, scenario.fanout, scenario.describe()));
    World::new(scenario).run(&mut |Progress { now_ms, here, lacking }| {
        if told.elapsed() >= every {
            told = Instant::now();
            let stage = match lacking {
                None => format!("{here} are there, choosing neighbours"),
                Some(lacking) => format!("{lacking} lack the change"),
            };
            output.progress(&format!("{what}: {:.1} s of its time, {stage}", now_ms as f64 / 1_000.0));
        }
    })
}

/// One outcome in words.
fn told(outcome: &Outcome) -> String {
    let overlay = &outcome.overlay;
    format!(
        "{} peers in {} part{}, {} to {} neighbours each ({:.1} in the mean), {:.0} known to each\n\n{}",
        outcome.scenario.peers,
        overlay.components,
        if overlay.components == 1 { "" } else { "s" },
        overlay.degree_min,
        overlay.degree_max,
        overlay.degree_mean,
        overlay.known_mean,
        table::outcomes_text(std::slice::from_ref(outcome))
    )
}

fn draw(path: &PathBuf, plot: &Plot) -> Result<(), Failure> {
    std::fs::write(path, plot.to_svg())
        .map_err(|error| Failure::new(FailureKind::Failed, format!("cannot write the plot to {}: {error}", path.display())))
}

/// The results of a run, for tests that compare two.
#[cfg(test)]
fn value_of(scenario: Scenario) -> serde_json::Value {
    json!(World::new(scenario).run(&mut |_| {}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_a_range_or_a_number() {
        assert_eq!(range("5..50"), Ok((5, 50)));
        assert_eq!(range("7"), Ok((7, 7)));
        assert!(range("50..5").is_err() && range("0..5").is_err() && range("fast").is_err());
    }

    #[test]
    fn the_same_seed_gives_the_same_output_byte_for_byte() {
        let scenario = |seed| Scenario { loss_percent: 20, churn_percent: 10, ..Scenario::of(60, 4, seed) };
        let [first, again, other] = [1, 1, 2].map(|seed| value_of(scenario(seed)).to_string());
        assert_eq!(first, again);
        assert_ne!(first, other);
    }
}
