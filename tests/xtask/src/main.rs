//! The project's own commands. `cargo xtask` lists them; [`HELP`] is the list.

mod bench;
mod browser;
mod demo;
#[cfg(test)]
mod documents;
mod folders;
mod fuzz;
mod job;
mod kills;
mod network;
mod npm;
mod repository;
mod sim;
mod stamp;
mod steps;
mod tally;
mod test;
mod wasm;

use anyhow::{Result, bail};
use lexopt::prelude::*;
use repository::Repository;
use std::process::ExitCode;

const HELP: &str = "\
The project's own commands.

  cargo xtask demo     build everything, start a relay with the notes demo, and say where to open it
      --port N         listen there (default: 8080, or any free port when that is taken)
      --no-open        open no browser
      --check          open two real browsers without windows, see them converge on a note, and end

  cargo xtask test     run every check and test; what the continuous integration runs
      --list           name the steps and do nothing
      --only STEP      this step and what it needs (may be repeated)
      --skip STEP      all but this step (may be repeated)

  cargo xtask wasm     build the npm package in wasm/: the module, the JavaScript around it, its TypeScript

  cargo xtask sim      simulate lives of several replicas on a faulty network and faulty disks
      --lives N        how many (1,000 unless told)
      --seed S         the life of this seed alone, step by step; with --lives, the first of so many

  cargo xtask fuzz     give whatever reads others' bytes inputs that reach more and more of it, and see whether it breaks
      TARGET           this alone; `cargo xtask fuzz --list` names them
      --seconds N      for so long, each (60 unless told)
      --keep           then make what reaches most the corpus in tests/fuzz/corpus
      --input FILE     read this input once

  cargo xtask kills    kill a relay right after it gave its word, and while it compacts, and look for what it said was saved
      --times N        how often, each (50 unless told)

  cargo xtask network  real peers in network namespaces: they find each other, are cut apart, and meet again (Linux, root)
      --partition N    seconds for which they are cut apart (60 unless told)
      --debug          with what is built already, and more patience
      --only WORDS     those alone in whose name these words are, such as routers

  cargo xtask folders  three folders in which editors, the network and whatever ends processes do anything at random
      --operations N   how many in one life (10,000 unless told)
      --seed S         the life of this seed (1 unless told)

  cargo xtask bench    measure; `cargo xtask bench --list` names the benchmarks
      NAME             only this one; further options are the benchmark's own
      all              every one, and then the tables and plots into docs/benchmarks.md
      --from NAME      with all: this one and those after it
      --smoke          briefly, and without optimisation: does it still run?
";

fn main() -> ExitCode {
    match command() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<ExitCode> {
    let mut arguments = lexopt::Parser::from_env();
    let mut name = None;
    while name.is_none() {
        match arguments.next()? {
            Some(Value(value)) => name = Some(value.string()?),
            Some(Short('h') | Long("help")) | None => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Some(other) => return Err(other.unexpected().into()),
        }
    }
    let repository = Repository::find()?;
    match name.as_deref().unwrap_or_default() {
        "demo" => demo::command(&repository, arguments),
        "sim" => sim::command(&repository, arguments),
        "fuzz" => fuzz::command(&repository, arguments),
        "kills" => kills::command(&repository, arguments),
        "network" => network::command(&repository, arguments),
        "folders" => folders::command(&repository, arguments),
        "bench" => bench::command(&repository, arguments),
        "test" => test::command(&repository, arguments),
        "wasm" => wasm::command(&repository, arguments),
        "help" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("there is no command {other:?}; `cargo xtask` lists them"),
    }
}
