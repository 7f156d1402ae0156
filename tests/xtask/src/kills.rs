//! `cargo xtask kills`: a real relay is killed in its worst moments, more often than the tests kill it.

use crate::repository::Repository;
use anyhow::Result;
use lexopt::prelude::*;
use std::process::ExitCode;

/// How often unless told.
const TIMES: u64 = 50;

/// `cargo xtask kills`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut times = TIMES;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("times") => times = arguments.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    // The whole workspace is named so that what the tests were built from serves here too.
    let tests = ["test", "--workspace", "--exclude", "driftline-bindgen", "--test", "runner", "kills::", "--", "--nocapture"];
    repository.cargo(&tests).env("DRIFTLINE_KILLS", times.to_string()).run()?;
    Ok(ExitCode::SUCCESS)
}
