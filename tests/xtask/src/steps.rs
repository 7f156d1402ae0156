//! The steps of `cargo xtask test`, in the order they run.

use crate::repository::Repository;
use crate::{bench, browser, demo, npm, wasm};
use anyhow::Result;

/// One step.
pub(crate) struct Step {
    /// What `--only` and `--skip` call it.
    pub(crate) name: &'static str,
    /// What it is, in a few words.
    pub(crate) story: &'static str,
    /// Steps without which it cannot run.
    pub(crate) needs: &'static [&'static str],
    /// What it does.
    pub(crate) work: fn(&Repository) -> Result<Verdict>,
}

/// What came of a step that did not fail.
pub(crate) enum Verdict {
    /// It was done.
    Done,
    /// There was nothing to do, and why.
    Nothing(String),
}

/// Every step. The whole workspace is built once, with one set of features; what follows runs what was built.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "fmt", story: "the code is formatted", needs: &[], work: fmt },
    Step { name: "clippy", story: "no warnings", needs: &[], work: clippy },
    Step { name: "build", story: "everything native is built", needs: &[], work: build },
    Step { name: "rust", story: "the workspace's tests", needs: &["build"], work: rust },
    Step { name: "wasm", story: "the npm package is built", needs: &[], work: build_wasm },
    Step { name: "npm", story: "the npm package's tests", needs: &["build", "wasm"], work: npm_tests },
    Step { name: "demo", story: "the demo is type-checked and built", needs: &["wasm"], work: build_demo },
    Step { name: "browser", story: "real browsers, a real relay", needs: &["build", "wasm", "demo"], work: browser_tests },
    Step { name: "bench", story: "every benchmark still runs", needs: &["build", "wasm"], work: bench_smoke },
];

/// wasm-bindgen's library is large and not ours: only what needs it waits for it.
const WORKSPACE: &[&str] = &["--workspace", "--exclude", "driftline-bindgen"];

fn fmt(repository: &Repository) -> Result<Verdict> {
    repository.cargo(&["fmt", "--all", "--check"]).run()?;
    Ok(Verdict::Done)
}

fn clippy(repository: &Repository) -> Result<Verdict> {
    repository.cargo(&[&["clippy"], WORKSPACE, &["--all-targets", "--", "--deny", "warnings"]].concat()).run()?;
    Ok(Verdict::Done)
}

fn build(repository: &Repository) -> Result<Verdict> {
    repository.cargo(&[&["build"], WORKSPACE, &["--all-targets"]].concat()).run()?;
    Ok(Verdict::Done)
}

fn rust(repository: &Repository) -> Result<Verdict> {
    repository.cargo(&[&["test"], WORKSPACE, &["--no-fail-fast"]].concat()).run()?;
    Ok(Verdict::Done)
}

fn build_wasm(repository: &Repository) -> Result<Verdict> {
    if !repository.has("wasm/Cargo.toml") {
        return Ok(Verdict::Nothing("there is no wasm/ yet".to_owned()));
    }
    wasm::build(repository)?;
    Ok(Verdict::Done)
}

fn npm_tests(repository: &Repository) -> Result<Verdict> {
    node_tests(repository, wasm::PACKAGE)
}

fn build_demo(repository: &Repository) -> Result<Verdict> {
    if !repository.has(&format!("{}/package.json", demo::PACKAGE)) {
        return Ok(Verdict::Nothing("there is no web-demo/ yet".to_owned()));
    }
    demo::build(repository)?;
    Ok(Verdict::Done)
}

fn browser_tests(repository: &Repository) -> Result<Verdict> {
    node_tests(repository, browser::PACKAGE)
}

/// The tests of an npm package, told where the relay's binary and Chromium are.
fn node_tests(repository: &Repository, folder: &str) -> Result<Verdict> {
    if !repository.has(&format!("{folder}/package.json")) {
        return Ok(Verdict::Nothing(format!("there is no {folder}/ yet")));
    }
    npm::install(repository, folder)?;
    repository
        .npm(folder, &["test"])
        .env("DRIFTLINE", repository.binary("debug", "driftline"))
        .env("CHROMIUM", browser::chromium(repository)?)
        .run()?;
    Ok(Verdict::Done)
}

fn bench_smoke(repository: &Repository) -> Result<Verdict> {
    if !repository.has("relay/src/main.rs") {
        return Ok(Verdict::Nothing("there is no relay to run yet".to_owned()));
    }
    bench::smoke(repository)?;
    Ok(Verdict::Done)
}
