//! `cargo xtask bench`: measurements, each beside what it should be measured by.

use crate::repository::Repository;
use crate::{browser, npm, wasm};
use anyhow::{Result, bail};
use lexopt::prelude::*;
use std::process::ExitCode;

/// The benchmarks' npm package.
const PACKAGE: &str = "tests/bench";

/// One benchmark.
struct Benchmark {
    name: &'static str,
    story: &'static str,
    work: fn(&Repository, &Options) -> Result<()>,
}

/// How to measure.
#[derive(Default)]
struct Options {
    /// Briefly and without optimisation, to see that it still runs.
    smoke: bool,
    /// Options of the benchmark's own.
    further: Vec<String>,
}

const BENCHMARKS: &[Benchmark] = &[
    Benchmark { name: "fanout", story: "200 edits/s by one writer to 20 readers, beside a bare broadcast", work: fanout },
    Benchmark {
        name: "wasm-size",
        story: "the browser's module and its load time, beside @automerge/automerge",
        work: wasm_size,
    },
];

/// `cargo xtask bench`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut chosen = Vec::new();
    let mut options = Options::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("list") => {
                for benchmark in BENCHMARKS {
                    println!("  {:<10} {}", benchmark.name, benchmark.story);
                }
                return Ok(ExitCode::SUCCESS);
            }
            Long("smoke") => options.smoke = true,
            Value(name) if chosen.is_empty() => chosen.push(named(&name.string()?)?),
            Long(option) if !chosen.is_empty() => {
                let option = format!("--{option}");
                options.further.extend([option, arguments.value()?.string()?]);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if chosen.is_empty() {
        chosen.extend(BENCHMARKS);
    }
    for benchmark in chosen {
        repository.say(&format!("\n━━ {}: {} ━━", benchmark.name, benchmark.story));
        (benchmark.work)(repository, &options)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs every benchmark briefly: figures mean nothing, failures do.
pub(crate) fn smoke(repository: &Repository) -> Result<()> {
    let options = Options { smoke: true, further: Vec::new() };
    BENCHMARKS.iter().try_for_each(|benchmark| (benchmark.work)(repository, &options))
}

fn named(name: &str) -> Result<&'static Benchmark> {
    match BENCHMARKS.iter().find(|benchmark| benchmark.name == name) {
        Some(benchmark) => Ok(benchmark),
        None => bail!("there is no benchmark {name:?}; `cargo xtask bench --list` names them"),
    }
}

fn fanout(repository: &Repository, options: &Options) -> Result<()> {
    let mut arguments = vec!["fanout"];
    let profile = if options.smoke {
        arguments.extend(["--readers", "3", "--seconds", "2", "--rounds", "1"]);
        "debug"
    } else {
        repository.say("Building the relay and its clients with optimisation; the first time takes several minutes");
        let packages = ["--package", "driftline-relay", "--package", "driftline-bench"];
        repository.cargo(&[&["build", "--release", "--bins"], &packages[..]].concat()).run()?;
        "release"
    };
    let results = results(repository, options);
    arguments.extend(["--results", &results]);
    arguments.extend(options.further.iter().map(String::as_str));
    let program = repository.binary(profile, "driftline-bench").to_string_lossy().into_owned();
    repository.program(&program, &arguments).run()
}

fn wasm_size(repository: &Repository, options: &Options) -> Result<()> {
    wasm::build(repository)?;
    npm::install(repository, PACKAGE)?;
    let results = results(repository, options);
    std::fs::create_dir_all(&results)?;
    let result = format!("{results}/wasm-size.json");
    let runs = if options.smoke { "1" } else { "15" };
    repository
        .program("node", &["wasm-size.mjs", &result, runs])
        .in_folder(PACKAGE)
        .env("CHROMIUM", browser::chromium(repository)?)
        .run()
}

/// Where results go that other programs may read.
fn results(repository: &Repository, options: &Options) -> String {
    let folder = if options.smoke { "bench/smoke" } else { "bench" };
    repository.target.join(folder).to_string_lossy().into_owned()
}
