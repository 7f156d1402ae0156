//! Measures the whole thing beside what it should be measured by. `cargo xtask bench` builds and starts it.

mod fanout;
mod figures;
mod report;
mod server;

use anyhow::{Result, bail};
use fanout::Load;
use lexopt::prelude::*;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
driftline-bench fanout [--readers N] [--rate N] [--seconds N] [--rounds N] [--results FOLDER]
";

fn main() -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<()> {
    let mut arguments = lexopt::Parser::from_env();
    let mut name = None;
    let mut load = Load { readers: 20, edits_per_second: 200, seconds: 30, rounds: 3 };
    // The binaries measured lie beside this one.
    let programs = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
    let mut results = programs.join("../bench");
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(value) if name.is_none() => name = Some(value.string()?),
            Long("readers") => load.readers = arguments.value()?.parse()?,
            Long("rate") => load.edits_per_second = arguments.value()?.parse()?,
            Long("seconds") => load.seconds = arguments.value()?.parse()?,
            Long("rounds") => load.rounds = arguments.value()?.parse()?,
            Long("results") => results = arguments.value()?.into(),
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if load.readers == 0 || load.edits_per_second == 0 || load.seconds == 0 || load.rounds == 0 {
        bail!("readers, rate, seconds and rounds must be at least 1");
    }
    match name.as_deref() {
        Some("fanout") => fanout::run(&programs, load, &results),
        Some(other) => bail!("there is no benchmark {other:?}\n\n{HELP}"),
        None => bail!("say which benchmark\n\n{HELP}"),
    }
}
