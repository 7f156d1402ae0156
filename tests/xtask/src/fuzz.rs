//! `cargo xtask fuzz`: libFuzzer on whatever reads bytes that others wrote.
//!
//! It needs the stable compiler, and the C++ compiler that libFuzzer is built with; nothing else, cargo-fuzz neither: what makes
//! inputs count by the code they reach is a pass of LLVM's that the compiler runs when it is told to.

use crate::job::{Job, on_path};
use crate::repository::Repository;
use anyhow::{Result, bail};
use lexopt::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The targets, in the order of `TARGETS` in the package.
const TARGETS: &[(&str, &str)] = &[
    ("frames", "frames of our protocol, and the changes in them"),
    ("automerge-repo", "messages of automerge-repo's protocol"),
    ("automerge-sync", "Automerge's sync messages, a document's worth of them"),
    ("journal", "journals as they stand in the files"),
    ("records", "journals whose checksums fit"),
    ("letters", "letters for a key, and what is inside of them"),
    ("trust", "statements, attestations, invitations, tickets and introductions of owned spaces"),
    ("backup", "backups, the journals in them, and recovery phrases"),
    ("seal", "sealed entries, snapshots and words, and what is under the seals"),
];
/// How long a target is fuzzed unless told, and by `cargo xtask test`.
const SECONDS: u64 = 60;
const SECONDS_BRIEF: u64 = 4;
/// Longest input that is tried, in bytes; time that one may take, in seconds; memory of the whole process, in MiB.
const INPUT_BYTES_MAX: u64 = 4096;
const INPUT_SECONDS_MAX: u64 = 10;
const MEMORY_MIB_MAX: u64 = 2048;

/// Has LLVM count which edges are taken and what is compared, as libFuzzer wants it.
const INSTRUMENTED: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// `cargo xtask fuzz`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut chosen, mut seconds, mut keep, mut input) = (Vec::new(), SECONDS, false, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("list") => {
                for (name, story) in TARGETS {
                    println!("  {name:<15} {story}");
                }
                return Ok(ExitCode::SUCCESS);
            }
            Long("seconds") => seconds = arguments.value()?.parse()?,
            Long("keep") => keep = true,
            Long("input") => input = Some(std::path::absolute(arguments.value()?)?),
            Value(name) if chosen.is_empty() => chosen.push(named(&name.string()?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    let fuzzer = Fuzzer::build(repository)?;
    match (input, chosen.as_slice()) {
        (Some(input), [target]) => fuzzer.once(target, &input)?,
        (Some(_), _) => bail!("say which target the input is for: cargo xtask fuzz TARGET --input FILE"),
        (None, []) => fuzzer.all(seconds, keep)?,
        (None, _) => fuzzer.run(chosen[0], seconds, keep)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Each target for a few seconds, where libFuzzer can be built.
pub(crate) fn brief(repository: &Repository) -> Result<()> {
    if !compiles_cpp() {
        repository.say("LEFT OUT: libFuzzer is C++ and there is no compiler for it. All inputs that are kept are read by an ordinary test all the same");
        return Ok(());
    }
    Fuzzer::build(repository)?.all(SECONDS_BRIEF, false)?;
    repository.say(&format!("{} passed, 0 failed", TARGETS.len()));
    Ok(())
}

fn named(name: &str) -> Result<&'static str> {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((known, _)) => Ok(known),
        None => bail!("there is no target {name:?}; `cargo xtask fuzz --list` names them"),
    }
}

fn compiles_cpp() -> bool {
    std::env::var_os("CXX").is_some() || ["c++", "g++", "clang++"].into_iter().any(on_path)
}

/// The fuzzer, built.
struct Fuzzer<'a> {
    repository: &'a Repository,
    program: PathBuf,
    /// Where inputs are that were found interesting, and those that failed.
    folder: PathBuf,
}

impl<'a> Fuzzer<'a> {
    fn build(repository: &'a Repository) -> Result<Self> {
        if !compiles_cpp() {
            bail!(
                "libFuzzer is C++ and there is no compiler for it: install one (on Debian or Ubuntu `sudo apt-get install g++`)"
            );
        }
        let about = repository.program("rustc", &["-vV"]).read()?;
        let Some(host) = about.lines().find_map(|line| line.strip_prefix("host: ")) else {
            bail!("rustc does not say what it builds for: {about}");
        };
        // Apart from everything else that is built: every crate is instrumented. With the target named, what runs while
        // building is not.
        let folder = repository.target.join("fuzz");
        let target_folder = folder.to_string_lossy().into_owned();
        repository.say("Building the fuzzer and what it fuzzes, instrumented; the first time takes a few minutes");
        let package = ["build", "--package", "driftline-fuzz", "--features", "libfuzzer", "--bin", "driftline-fuzz"];
        let place = ["--target", host, "--target-dir", &target_folder];
        repository
            .cargo(&[&package[..], &place].concat())
            .env("RUSTFLAGS", INSTRUMENTED)
            // In many small pieces nothing is instrumented twice, but the whole takes longer.
            .env("CARGO_INCREMENTAL", "0")
            .run()?;
        let program = folder.join(host).join("debug").join(format!("driftline-fuzz{}", std::env::consts::EXE_SUFFIX));
        Ok(Self { repository, program, folder })
    }

    fn all(&self, seconds: u64, keep: bool) -> Result<()> {
        TARGETS.iter().try_for_each(|(target, _)| self.run(target, seconds, keep))
    }

    /// Fuzzes a target for so long, from what the last times have found interesting.
    fn run(&self, target: &str, seconds: u64, keep: bool) -> Result<()> {
        let (interesting, seeds, failing) =
            (self.place("corpus", target)?, self.place("seeds", target)?, self.place("failing", target)?);
        self.repository.say(&format!("{target}: {seconds} s"));
        let bounds = [
            format!("-max_total_time={seconds}"),
            format!("-max_len={INPUT_BYTES_MAX}"),
            format!("-timeout={INPUT_SECONDS_MAX}"),
            format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
            format!("-artifact_prefix={failing}/"),
            "-verbosity=0".to_owned(),
            "-print_funcs=0".to_owned(),
            "-print_final_stats=1".to_owned(),
        ];
        let mut arguments = vec![interesting.as_str(), seeds.as_str()];
        arguments.extend(bounds.iter().map(String::as_str));
        if let Err(error) = self.libfuzzer(target, &arguments).env("DRIFTLINE_FUZZ_UNPACK", &seeds).run() {
            bail!(
                "{error:#}\nThe input is in {failing}; what was wrong with it is above. Once more, this one: cargo xtask fuzz {target} --input FILE\n\
                 Once it is mended, add it to tests/fuzz/corpus/{target}.hex, a line in hexadecimal"
            );
        }
        if keep {
            self.keep(target, &interesting, &seeds)?;
        }
        Ok(())
    }

    /// Makes the smallest of what reaches as much as all does what the repository keeps.
    fn keep(&self, target: &str, interesting: &str, seeds: &str) -> Result<()> {
        let merged = self.place("merged", target)?;
        std::fs::remove_dir_all(&merged)?;
        std::fs::create_dir_all(&merged)?;
        self.libfuzzer(target, &["-merge=1", "-max_len=512", &merged, seeds, interesting]).run()?;
        self.libfuzzer(target, &[]).env("DRIFTLINE_FUZZ_PACK", &merged).run()
    }

    /// Reads one input.
    fn once(&self, target: &str, input: &Path) -> Result<()> {
        self.libfuzzer(target, &[&input.to_string_lossy()]).run()
    }

    fn libfuzzer(&self, target: &str, arguments: &[&str]) -> Job<'_> {
        self.repository.program(&self.program.to_string_lossy(), arguments).env("DRIFTLINE_FUZZ_TARGET", target)
    }

    /// A folder of a target's, which is there.
    fn place(&self, kind: &str, target: &str) -> Result<String> {
        let place = self.folder.join(kind).join(target);
        std::fs::create_dir_all(&place)?;
        Ok(place.to_string_lossy().into_owned())
    }
}
