//! Measures the whole thing beside what it should be measured by. `cargo xtask bench` builds and starts it.

mod cold;
mod document;
mod fanout;
mod figures;
mod fill;
mod flood;
mod histories;
mod history;
mod hold;
mod idle;
mod ingest;
mod lan;
mod peers;
mod reconnect;
mod report;
mod scratch;
mod server;
mod wire;

use anyhow::{Context as _, Result, bail};
use fanout::Load;
use lexopt::prelude::*;
use peers::Size;
use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
driftline-bench fanout    [--readers N] [--rate N] [--seconds N] [--rounds N] [--growing N,N,...]
driftline-bench fanout-trust [--readers N] [--rate N] [--seconds N] [--rounds N]
driftline-bench flood     [--readers N] [--changes N]
driftline-bench ingest    [--changes N] [--store-bytes N]
driftline-bench hold      [--documents N] [--ceiling MIB]
driftline-bench reconnect [--documents N,N,...]
driftline-bench cold      --trace FILE.json.gz
driftline-bench histories [--trace FILE.json.gz]
driftline-bench idle      [--connections N,N,...] [--seconds N]
driftline-bench lan       [--peers N] [--changes N]
driftline-bench peers-fanout | peers-flood | peers-reconnect | peers-long | peers-idle | peers-documents
                          [--readers N] [--rate N] [--seconds N] [--changes N] [--documents N] [--connections N] [--trace FILE.json.gz]
                          [--must-finish]                 a peer that does not get through is an error, not a figure
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
    let (mut readers, mut rate, mut seconds, mut rounds) = (20, 200, None, 2);
    let (mut changes, mut connections, mut documents, mut growing) = (None, Vec::new(), Vec::new(), vec![5, 20, 100]);
    // The binaries measured lie beside this one.
    let programs = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
    let mut results = programs.join("../bench");
    let (mut into, mut trace, mut must_finish) = (None, None, false);
    let (mut store_bytes, mut ceiling_mib, mut native_peers) = (0, 256, 50);
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(value) if name.is_none() => name = Some(value.string()?),
            Long("readers") => readers = arguments.value()?.parse()?,
            Long("rate") => rate = arguments.value()?.parse()?,
            Long("seconds") => seconds = Some(arguments.value()?.parse()?),
            Long("rounds") => rounds = arguments.value()?.parse()?,
            Long("changes") => changes = Some(arguments.value()?.parse()?),
            Long("connections") => connections = list(&mut arguments)?,
            Long("growing") => growing = list(&mut arguments)?,
            Long("documents") => documents = list(&mut arguments)?,
            Long("trace") => trace = Some(PathBuf::from(arguments.value()?)),
            Long("store-bytes") => store_bytes = arguments.value()?.parse()?,
            Long("ceiling") => ceiling_mib = arguments.value()?.parse()?,
            Long("peers") => native_peers = arguments.value()?.parse()?,
            Long("must-finish") => must_finish = true,
            Long("results") => results = arguments.value()?.into(),
            Long("into") => into = Some(PathBuf::from(arguments.value()?)),
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if [readers, rate, rounds, seconds.unwrap_or(1), changes.unwrap_or(1)].contains(&0) || connections.contains(&0) {
        bail!("readers, rate, seconds, rounds, changes and connections must be at least 1");
    }
    let name = name.with_context(|| format!("say which benchmark\n\n{HELP}"))?;
    let load = Load { readers, edits_per_second: rate as u64, seconds: seconds.unwrap_or(15) as u64, rounds };
    if let Some(name) = name.strip_prefix("peers-") {
        let size = Size {
            readers,
            edits_per_second: load.edits_per_second,
            seconds: seconds.unwrap_or(10) as u64,
            changes: changes.unwrap_or(5_000),
            documents: documents.first().copied().unwrap_or(1_000),
            connections: connections.first().copied(),
            trace,
            must_finish,
        };
        return peers::run(&programs, name, &size, &results);
    }
    if name == "lan" {
        return lan::run(&programs, native_peers, changes.unwrap_or(60), &results);
    }
    let changes = changes.unwrap_or(20_000);
    if !(100..=FLOOD_CHANGES_MAX).contains(&changes) {
        bail!("changes must be 100 to {FLOOD_CHANGES_MAX}");
    }
    if documents.is_empty() {
        documents = vec![100, 1_000, 10_000, 100_000];
    }
    if connections.is_empty() {
        connections = vec![100, 1_000, 5_000];
    }
    match name.as_str() {
        "fanout" => fanout::run(&programs, load, &growing, &results),
        "fanout-trust" => fanout::trust::run(&programs, load, &results),
        "flood" => flood::run(&programs, changes, load.readers, &results),
        "ingest" => ingest::run(&programs, changes, store_bytes, &results),
        "hold" => hold::run(&programs, documents.into_iter().max().unwrap_or_default(), ceiling_mib, &results),
        "reconnect" => reconnect::run(&programs, &documents, &results),
        "cold" => cold::run(&programs, &trace.context("say --trace with the file of an editing history")?, &results),
        "histories" => histories::run(&programs, trace.as_deref(), &results),
        "idle" => idle::run(&programs, &connections, seconds.unwrap_or(10) as u64, &results),
        "document" => document::write(&results, &into.context("say --into which file")?),
        other => bail!("there is no benchmark {other:?}\n\n{HELP}"),
    }
}

/// Numbers with commas between them.
fn list(arguments: &mut lexopt::Parser) -> Result<Vec<usize>> {
    Ok(arguments.value()?.string()?.split(',').map(str::parse).collect::<Result<_, _>>()?)
}
