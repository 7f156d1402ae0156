//! `cargo xtask folders`: a long life of three folders that are kept in step, longer than the tests live it.

use crate::repository::Repository;
use anyhow::Result;
use lexopt::prelude::*;
use std::process::ExitCode;

/// How many operations unless told.
const OPERATIONS: u64 = 10_000;

/// `cargo xtask folders`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut operations, mut seed) = (OPERATIONS, 1_u64);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("operations") => operations = arguments.value()?.parse()?,
            Long("seed") => seed = arguments.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    // The whole workspace is named so that what the tests were built from serves here too.
    let tests =
        ["test", "--workspace", "--exclude", "driftline-bindgen", "--test", "client", "folder::life", "--", "--nocapture"];
    let cargo = repository.cargo(&tests);
    cargo.env("DRIFTLINE_FOLDER_OPERATIONS", operations.to_string()).env("DRIFTLINE_FOLDER_SEED", seed.to_string()).run()?;
    Ok(ExitCode::SUCCESS)
}
