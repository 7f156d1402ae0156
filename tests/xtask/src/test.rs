//! `cargo xtask test`: every step in turn, then a table, the runners' own closing lines, and one sum.

use crate::job::Output;
use crate::repository::Repository;
use crate::steps::{STEPS, Step};
use crate::tally::Tally;
use anyhow::{Result, bail};
use lexopt::prelude::*;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How many of the first failing step's lines are shown again at the end.
const LINES_SHOWN_AGAIN: usize = 60;

/// What came of a step.
struct Report {
    step: &'static Step,
    outcome: Outcome,
    took: Duration,
    tally: Tally,
}

enum Outcome {
    Passed,
    /// A step that it needs has failed.
    Blocked(&'static str),
    /// What went wrong, and what was last printed.
    Failed(String, Vec<String>),
}

/// `cargo xtask test`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut only, mut skip) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("list") => {
                list();
                return Ok(ExitCode::SUCCESS);
            }
            Long("only") => only.push(step_named(&arguments.value()?.string()?)?),
            Long("skip") => skip.push(step_named(&arguments.value()?.string()?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    let chosen = choose(&only, &skip);
    let repository = Repository { root: repository.root.clone(), target: repository.target.clone(), output: Output::kept() };
    let began = Instant::now();
    let mut reports: Vec<Report> = Vec::new();
    for step in chosen {
        reports.push(run(&repository, step, &reports));
    }
    Ok(conclude(&reports, began.elapsed()))
}

fn list() {
    for step in STEPS {
        let needs = if step.needs.is_empty() { String::new() } else { format!(" (after {})", step.needs.join(", ")) };
        println!("  {:<10} {}{needs}", step.name, step.story);
    }
}

fn step_named(name: &str) -> Result<&'static Step> {
    match STEPS.iter().find(|step| step.name == name) {
        Some(step) => Ok(step),
        None => bail!("there is no step {name:?}; `cargo xtask test --list` names them"),
    }
}

/// All steps but those skipped; or those named, and what they need.
fn choose(only: &[&'static Step], skip: &[&'static Step]) -> Vec<&'static Step> {
    let mut wanted: Vec<&str> = only.iter().map(|step| step.name).collect();
    // Needs come before those that need them, so one walk from the end finds them all.
    for step in STEPS.iter().rev() {
        if wanted.contains(&step.name) {
            wanted.extend(step.needs);
        }
    }
    STEPS
        .iter()
        .filter(|step| only.is_empty() || wanted.contains(&step.name))
        .filter(|step| !skip.iter().any(|skipped| skipped.name == step.name))
        .collect()
}

fn run(repository: &Repository, step: &'static Step, before: &[Report]) -> Report {
    println!("\n━━ {}: {} ━━", step.name, step.story);
    let began = Instant::now();
    let blocked = before.iter().find(|report| {
        step.needs.contains(&report.step.name) && matches!(report.outcome, Outcome::Failed(..) | Outcome::Blocked(_))
    });
    let result = match blocked {
        Some(report) => {
            println!("not run, because {} has failed", report.step.name);
            return Report { step, outcome: Outcome::Blocked(report.step.name), took: Duration::ZERO, tally: Tally::default() };
        }
        None => (step.work)(repository),
    };
    let lines = repository.output.take();
    let tally = Tally::of(&lines);
    let outcome = match result {
        Ok(()) if tally.failed == 0 => Outcome::Passed,
        Ok(()) => Outcome::Failed("tests failed, but their runner ended as if none had".to_owned(), lines),
        Err(error) => {
            eprintln!("{error:#}");
            Outcome::Failed(format!("{error:#}"), lines)
        }
    };
    Report { step, outcome, took: began.elapsed(), tally }
}

fn conclude(reports: &[Report], took: Duration) -> ExitCode {
    if let Some((report, why, lines)) = reports.iter().find_map(|report| match &report.outcome {
        Outcome::Failed(why, lines) => Some((report, why, lines)),
        _ => None,
    }) {
        println!("\n━━ the first failure: {} ━━", report.step.name);
        for line in &lines[lines.len().saturating_sub(LINES_SHOWN_AGAIN)..] {
            println!("  {line}");
        }
        println!("\n{why}\nOnce more, this step and what it needs: cargo xtask test --only {}", report.step.name);
    }

    println!("\n━━ steps ━━");
    for report in reports {
        let outcome = match &report.outcome {
            Outcome::Passed => "ok".to_owned(),
            Outcome::Blocked(by) => format!("not run, because {by} has failed"),
            Outcome::Failed(..) => "FAILED".to_owned(),
        };
        println!(
            "  {:<10} {:>8}  {:>5} tests  {outcome}",
            report.step.name,
            in_words(report.took),
            report.tally.passed + report.tally.failed
        );
    }
    println!("  {:<10} {:>8}", "all", in_words(took));

    println!("\n━━ what the test runners said ━━");
    let mut total = Tally::default();
    for report in reports {
        for line in &report.tally.lines {
            println!("  {:<10} {line}", report.step.name);
        }
        let mut tally = report.tally.clone();
        // A step that fails outside its tests is a failure all the same.
        if tally.failed == 0 && matches!(report.outcome, Outcome::Failed(..)) {
            tally.failed = 1;
        }
        total.add(tally);
    }
    println!("\n{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 { format!("{seconds:.1} s") } else { format!("{} min {:02} s", seconds as u64 / 60, seconds as u64 % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_after_what_they_need() {
        for (at, step) in STEPS.iter().enumerate() {
            for need in step.needs {
                assert!(
                    STEPS[..at].iter().any(|before| before.name == *need),
                    "{} needs {need}, which is not before it",
                    step.name
                );
            }
        }
    }

    #[test]
    fn a_step_brings_what_it_needs_along() {
        let browser = step_named("browser").expect("there are browser tests");
        let chosen: Vec<&str> = choose(&[browser], &[]).iter().map(|step| step.name).collect();
        assert!(chosen.contains(&"wasm") && chosen.contains(&"build") && !chosen.contains(&"clippy"), "{chosen:?}");
    }

    #[test]
    fn a_skipped_step_is_left_out() {
        let fmt = step_named("fmt").expect("formatting is checked");
        assert_eq!(choose(&[], &[fmt]).len(), STEPS.len() - 1);
    }
}
