//! `cargo xtask sim`: more simulated lives than the tests live, or one of them again.

use crate::repository::Repository;
use anyhow::Result;
use lexopt::prelude::*;
use std::process::ExitCode;

/// How many lives unless told; as many as the tests live at the most.
const LIVES: u64 = 1_000;
/// As long as it takes.
const SECONDS: &str = "1000000";

/// `cargo xtask sim`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut lives, mut seed) = (None, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("lives") => lives = Some(arguments.value()?.parse::<u64>()?),
            Long("seed") => seed = Some(arguments.value()?.parse::<u64>()?),
            other => return Err(other.unexpected().into()),
        }
    }
    // The whole workspace is named so that what the tests were built from serves here too.
    let job = repository
        .cargo(&["test", "--workspace", "--exclude", "driftline-bindgen", "--test", "simulation", "--", "--nocapture"])
        .env("DRIFTLINE_SIM_SECONDS", SECONDS)
        .env("DRIFTLINE_SIM_LIVES", lives.unwrap_or(LIVES).to_string());
    match (seed, lives) {
        (Some(seed), None) => job.env("DRIFTLINE_SIM_SEED", seed.to_string()).run()?,
        (Some(first), Some(_)) => job.env("DRIFTLINE_SIM_FIRST", first.to_string()).run()?,
        (None, _) => job.run()?,
    }
    Ok(ExitCode::SUCCESS)
}
