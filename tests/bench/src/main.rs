//! Measures the whole thing beside what it should be measured by. `cargo xtask bench` builds and starts it.

mod cold;
mod document;
mod fanout;
mod figures;
mod fill;
mod flood;
mod hold;
mod idle;
mod ingest;
mod plot;
mod reconnect;
mod report;
mod scratch;
mod server;
mod wire;

use anyhow::{Context as _, Result, bail};
use fanout::Load;
use lexopt::prelude::*;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
driftline-bench fanout    [--readers N] [--rate N] [--seconds N] [--rounds N]
driftline-bench flood     [--readers N] [--changes N]
driftline-bench ingest    [--changes N] [--store-bytes N]
driftline-bench hold      [--documents N] [--ceiling MIB]
driftline-bench reconnect [--documents N,N,...]
driftline-bench cold      --trace FILE.json.gz
driftline-bench idle      [--connections N] [--seconds N]
driftline-bench document  --into FILE                     put the last results into a document

--results FOLDER   where results go, and are read from
";
/// What the anchor can hold back for a reader that is behind.
const FLOOD_CHANGES_MAX: usize = 65_000;

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
    let (mut changes, mut connections, mut documents) = (20_000, 5_000, vec![100, 1_000, 10_000, 100_000]);
    // The binaries measured lie beside this one.
    let programs = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
    let mut results = programs.join("../bench");
    let (mut into, mut trace, mut store_bytes, mut ceiling_mib) = (None, None, 0, 256);
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(value) if name.is_none() => name = Some(value.string()?),
            Long("readers") => load.readers = arguments.value()?.parse()?,
            Long("rate") => load.edits_per_second = arguments.value()?.parse()?,
            Long("seconds") => load.seconds = arguments.value()?.parse()?,
            Long("rounds") => load.rounds = arguments.value()?.parse()?,
            Long("changes") => changes = arguments.value()?.parse()?,
            Long("connections") => connections = arguments.value()?.parse()?,
            Long("documents") => {
                documents = arguments.value()?.string()?.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            Long("trace") => trace = Some(PathBuf::from(arguments.value()?)),
            Long("store-bytes") => store_bytes = arguments.value()?.parse()?,
            Long("ceiling") => ceiling_mib = arguments.value()?.parse()?,
            Long("results") => results = arguments.value()?.into(),
            Long("into") => into = Some(PathBuf::from(arguments.value()?)),
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if [load.readers, load.edits_per_second as usize, load.seconds as usize, load.rounds, connections].contains(&0) {
        bail!("readers, rate, seconds, rounds and connections must be at least 1");
    }
    if !(100..=FLOOD_CHANGES_MAX).contains(&changes) {
        bail!("changes must be 100 to {FLOOD_CHANGES_MAX}");
    }
    match name.as_deref() {
        Some("fanout") => fanout::run(&programs, load, &results),
        Some("flood") => flood::run(&programs, changes, load.readers, &results),
        Some("ingest") => ingest::run(&programs, changes, store_bytes, &results),
        Some("hold") => hold::run(&programs, documents.into_iter().max().unwrap_or_default(), ceiling_mib, &results),
        Some("reconnect") => reconnect::run(&programs, &documents, &results),
        Some("cold") => cold::run(&programs, &trace.context("say --trace with the file of an editing history")?, &results),
        Some("idle") => idle::run(&programs, connections, load.seconds, &results),
        Some("document") => document::write(&results, &into.context("say --into which file")?),
        Some(other) => bail!("there is no benchmark {other:?}\n\n{HELP}"),
        None => bail!("say which benchmark\n\n{HELP}"),
    }
}
