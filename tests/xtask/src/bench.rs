//! `cargo xtask bench`: measurements, each beside what it should be measured by.

use crate::repository::Repository;
use crate::{browser, npm, wasm};
use anyhow::{Result, bail};
use lexopt::prelude::*;
use std::process::ExitCode;
use std::time::Instant;

/// The benchmarks' npm package.
const PACKAGE: &str = "tests/bench";
/// The editing history of a long document, seen from the repository.
const TRACE: &str = "../shared/traces/automerge-paper.json.gz";
/// The program that measures.
const PROGRAM: &str = "driftline-bench";

/// One benchmark.
struct Benchmark {
    name: &'static str,
    story: &'static str,
    /// What it does; it is told its name, because several are one program with other names.
    work: fn(&Repository, &Options, &str) -> Result<()>,
}

/// How to measure.
#[derive(Default)]
struct Options {
    /// Briefly and without optimisation, to see that it still runs.
    smoke: bool,
    /// Options of the benchmark's own.
    further: Vec<String>,
}

/// What people read, and where the figures go that `cargo xtask bench all` finds.
const DOCUMENT: &str = "docs/benchmarks.md";

const BENCHMARKS: &[Benchmark] = &[
    Benchmark { name: "fanout", story: "200 edits/s by one writer to 20 readers, beside a bare broadcast", work: fanout },
    Benchmark { name: "fanout-trust", story: "the same in an open space, an owned one and a sealed one", work: fanout_trust },
    Benchmark { name: "flood", story: "one writer flat out to 20 readers, beside a bare broadcast", work: flood },
    Benchmark { name: "ingest", story: "changes made durable, and the time until a killed relay is back", work: ingest },
    Benchmark { name: "hold", story: "100,000 documents on a relay whose memory has a ceiling", work: hold },
    Benchmark { name: "reconnect", story: "coming back to a space of up to 100,000 documents", work: reconnect },
    Benchmark { name: "cold", story: "a document of 259,778 keystrokes for someone who has nothing", work: cold },
    Benchmark {
        name: "histories",
        story: "documents of 1,000 to 259,778 keystrokes for someone who has nothing",
        work: histories,
    },
    Benchmark { name: "idle", story: "what 100 to 5,000 idle connections cost", work: idle },
    Benchmark { name: "lan", story: "what one of 50 native peers writes, until all have it", work: lan },
    Benchmark { name: "typing", story: "typing into that document in Chromium, five who follow", work: typing },
    Benchmark {
        name: "peers-fanout",
        story: "200 edits/s to 20 readers, beside automerge-repo, y-websocket, Hocuspocus",
        work: peers,
    },
    Benchmark { name: "peers-flood", story: "one writer flat out, beside the same", work: peers },
    Benchmark { name: "peers-reconnect", story: "10 of 1,000 documents changed, beside the same", work: peers },
    Benchmark { name: "peers-long", story: "a long document, cold and while someone types in it, beside the same", work: peers },
    Benchmark { name: "peers-idle", story: "1,000 idle connections with a document each, beside the same", work: peers },
    Benchmark {
        name: "peers-documents",
        story: "1,000 documents of 50 clients, beside automerge-repo's server and samod's",
        work: peers_documents,
    },
    Benchmark {
        name: "wasm-size",
        story: "the browser's module and its load time, beside @automerge/automerge",
        work: wasm_size,
    },
];

/// `cargo xtask bench`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut chosen = Vec::new();
    let mut documents = false;
    let mut options = Options::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("list") => {
                for benchmark in BENCHMARKS {
                    println!("  {:<15} {}", benchmark.name, benchmark.story);
                }
                println!(
                    "  {:<15} every one, and then the figures into {DOCUMENT}; with --from NAME that one and those after it",
                    "all"
                );
                println!("  {:<15} only that: the last results into {DOCUMENT}", "document");
                return Ok(ExitCode::SUCCESS);
            }
            Long("smoke") => options.smoke = true,
            Value(name) if chosen.is_empty() && name == "all" => {
                chosen.extend(BENCHMARKS);
                documents = true;
            }
            Long("from") if documents => {
                let first = named(&arguments.value()?.string()?)?.name;
                chosen = BENCHMARKS.iter().skip_while(|benchmark| benchmark.name != first).collect();
            }
            Value(name) if chosen.is_empty() && name == "document" => return document(repository, &options),
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
    // One that fails must not cost the figures of the others.
    let mut failed = Vec::new();
    for benchmark in chosen {
        repository.say(&format!("\n━━ {}: {} ━━", benchmark.name, benchmark.story));
        let began = Instant::now();
        if let Err(error) = (benchmark.work)(repository, &options, benchmark.name) {
            repository.say(&format!("error: {error:#}"));
            failed.push(benchmark.name);
        }
        repository.say(&format!("{} took {:.0} s", benchmark.name, began.elapsed().as_secs_f64()));
    }
    if documents && !options.smoke {
        document(repository, &options)?;
    }
    match failed.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        failed => bail!("these did not get to their end, and may be run again by their names: {}", failed.join(", ")),
    }
}

/// Puts the last results into what people read.
fn document(repository: &Repository, options: &Options) -> Result<ExitCode> {
    build_programs(repository)?;
    let program = repository.binary("release", PROGRAM).to_string_lossy().into_owned();
    let into = repository.path(DOCUMENT).to_string_lossy().into_owned();
    repository.program(&program, &["document", "--into", &into, "--results", &results(repository, options)]).run()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs every benchmark briefly: figures mean nothing, failures do.
pub(crate) fn smoke(repository: &Repository) -> Result<()> {
    let options = Options { smoke: true, further: Vec::new() };
    BENCHMARKS.iter().try_for_each(|benchmark| (benchmark.work)(repository, &options, benchmark.name))
}

fn named(name: &str) -> Result<&'static Benchmark> {
    match BENCHMARKS.iter().find(|benchmark| benchmark.name == name) {
        Some(benchmark) => Ok(benchmark),
        None => bail!("there is no benchmark {name:?}; `cargo xtask bench --list` names them"),
    }
}

fn fanout(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    measure(repository, options, name, &["--readers", "3", "--seconds", "1", "--rounds", "1", "--growing", "2"])
}

fn fanout_trust(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    measure(repository, options, name, &["--readers", "3", "--seconds", "1", "--rounds", "1"])
}

fn flood(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    measure(repository, options, name, &["--readers", "3", "--changes", "500"])
}

fn ingest(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    measure(repository, options, name, &["--changes", "400"])
}

fn hold(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    measure(repository, options, name, &["--documents", "400"])
}

fn reconnect(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    measure(repository, options, name, &["--documents", "20"])
}

fn lan(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    measure(repository, options, name, &["--peers", "4", "--changes", "2"])
}

fn idle(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    measure(repository, options, name, &["--connections", "5,20", "--seconds", "1"])
}

/// The editing history is not ours to pass on: where it is not to be found, and none was named, there is nothing to measure.
fn cold(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    let usual = repository.path(TRACE);
    if options.smoke {
        return Ok(());
    }
    if options.further.iter().any(|option| option == "--trace") {
        return measure(repository, options, name, &[]);
    }
    if !usual.exists() {
        repository.say(&format!("Not measured: there is no {TRACE} beside this checkout; name one with --trace FILE"));
        return Ok(());
    }
    let further = vec!["--trace".to_owned(), usual.to_string_lossy().into_owned()];
    measure(repository, &Options { smoke: false, further }, name, &[])
}

fn histories(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    let further = with_trace(repository, options);
    measure(repository, &Options { smoke: options.smoke, further }, name, &[])
}

/// The history's document, or without one a short text; in real browsers.
fn typing(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    wasm::build(repository)?;
    npm::install(repository, PACKAGE)?;
    let profile = if options.smoke {
        "debug"
    } else {
        build_programs(repository)?;
        "release"
    };
    let results = results(repository, options);
    std::fs::create_dir_all(&results)?;
    let (result, relay) =
        (format!("{results}/{name}.json"), repository.binary(profile, "driftline").to_string_lossy().into_owned());
    let mut arguments = vec!["typing.mjs", &result, &relay];
    let further = with_trace(repository, options);
    arguments.extend(if options.smoke { &["--readers", "1", "--seconds", "1"][..] } else { &[] });
    arguments.extend(further.iter().map(String::as_str));
    repository.program("node", &arguments).in_folder(PACKAGE).env("CHROMIUM", browser::chromium(repository)?).run()
}

/// The further options, and the editing history where none is named and there is one.
fn with_trace(repository: &Repository, options: &Options) -> Vec<String> {
    let mut further = options.further.clone();
    if options.smoke || further.iter().any(|option| option == "--trace") {
        return further;
    }
    let usual = repository.path(TRACE);
    if usual.exists() {
        further.extend(["--trace".to_owned(), usual.to_string_lossy().into_owned()]);
    } else {
        repository
            .say(&format!("There is no {TRACE} beside this checkout: a short one is made up; name a history with --trace FILE"));
    }
    further
}

/// How to run what is measured beside peers when only its running is asked about.
const PEERS_BRIEF: &[&str] =
    &["--readers", "2", "--seconds", "1", "--changes", "100", "--documents", "20", "--connections", "5", "--must-finish"];

/// The peers come from npm, and Driftline's own clients from the package in wasm/.
fn peers(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    wasm::build(repository)?;
    npm::install(repository, PACKAGE)?;
    let further = if name == "peers-long" { with_trace(repository, options) } else { options.further.clone() };
    let options = Options { smoke: options.smoke, further };
    measure(repository, &options, name, PEERS_BRIEF)
}

/// All clients are automerge-repo's, and one server is samod's. That is built apart from the others, so that these are built with no
/// more than they need.
fn peers_documents(repository: &Repository, options: &Options, name: &str) -> Result<()> {
    npm::install(repository, PACKAGE)?;
    if !options.smoke {
        repository.cargo(&["build", "--release", "--package", "driftline-samod"]).run()?;
    }
    measure(repository, options, name, PEERS_BRIEF)
}

/// Runs a benchmark of the measuring program; `brief` is how to run it when only its running is asked about.
fn measure(repository: &Repository, options: &Options, name: &str, brief: &[&str]) -> Result<()> {
    let mut arguments = vec![name];
    let profile = if options.smoke {
        arguments.extend(brief);
        "debug"
    } else {
        build_programs(repository)?;
        "release"
    };
    let results = results(repository, options);
    arguments.extend(["--results", &results]);
    arguments.extend(options.further.iter().map(String::as_str));
    let program = repository.binary(profile, PROGRAM).to_string_lossy().into_owned();
    repository.program(&program, &arguments).run()
}

fn build_programs(repository: &Repository) -> Result<()> {
    repository.say("Building the relay and what measures it, with optimisation; the first time takes several minutes");
    let packages = ["--package", "driftline-relay", "--package", "driftline-bench"];
    repository.cargo(&[&["build", "--release", "--bins"], &packages[..]].concat()).run()
}

fn wasm_size(repository: &Repository, options: &Options, _: &str) -> Result<()> {
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
