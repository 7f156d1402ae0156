//! The steps of `cargo xtask test`, in the order they run.

use crate::repository::Repository;
use crate::{bench, browser, demo, fuzz, network, npm, wasm};
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
    pub(crate) work: fn(&Repository) -> Result<()>,
}

/// Every step. The whole workspace is built once, with one set of features; what follows runs what was built.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "fmt", story: "the code is formatted", needs: &[], work: fmt },
    Step { name: "clippy", story: "no warnings", needs: &[], work: clippy },
    Step { name: "build", story: "everything native is built", needs: &[], work: build },
    Step { name: "rust", story: "the workspace's tests", needs: &["build"], work: rust },
    Step { name: "traces", story: "the relay's traces, with the feature they need", needs: &[], work: traces },
    Step { name: "fuzz", story: "what reads others' bytes, fuzzed for a few seconds", needs: &[], work: fuzz::brief },
    Step { name: "network", story: "real peers in network namespaces", needs: &["build"], work: network::step },
    Step { name: "wasm", story: "the npm package is built", needs: &[], work: wasm_package },
    Step { name: "npm", story: "the npm package's tests", needs: &["build", "wasm"], work: npm_tests },
    Step {
        name: "automerge-repo",
        story: "unmodified automerge-repo clients, a real relay",
        needs: &["build"],
        work: automerge_repo,
    },
    Step { name: "samod", story: "unmodified samod clients, a real relay", needs: &["build"], work: samod },
    Step { name: "demo", story: "the demo is type-checked and built", needs: &["wasm"], work: demo::build },
    Step { name: "browser", story: "real browsers, a real relay", needs: &["build", "wasm", "demo"], work: browser_tests },
    Step { name: "bench", story: "every benchmark still runs", needs: &["build", "wasm"], work: bench::smoke },
];

/// Where the tests with automerge-repo's own clients are.
const AUTOMERGE_REPO: &str = "tests/automerge-repo";

/// How the names begin of the tests with samod's clients, and of no others.
const SAMOD: &str = "samod::";

/// wasm-bindgen's library is large and not ours: only what needs it waits for it.
const WORKSPACE: &[&str] = &["--workspace", "--exclude", "driftline-bindgen"];

fn fmt(repository: &Repository) -> Result<()> {
    repository.cargo(&["fmt", "--all", "--check"]).run()
}

fn clippy(repository: &Repository) -> Result<()> {
    repository.cargo(&[&["clippy"], WORKSPACE, &["--all-targets", "--", "--deny", "warnings"]].concat()).run()
}

fn build(repository: &Repository) -> Result<()> {
    repository.cargo(&[&["build"], WORKSPACE, &["--all-targets"]].concat()).run()
}

fn rust(repository: &Repository) -> Result<()> {
    repository.cargo(&[&["test"], WORKSPACE, &["--no-fail-fast", "--", "--skip", SAMOD]].concat()).run()
}

/// Apart from the others: what it needs is built for it alone.
fn traces(repository: &Repository) -> Result<()> {
    let package = ["test", "--package", "driftline-relay", "--features", "otlp", "--test", "runner", "traces"];
    repository.cargo(&package).run()
}

fn wasm_package(repository: &Repository) -> Result<()> {
    repository.cargo(&["test", "--package", "driftline-bindgen"]).run()?;
    wasm::build(repository)
}

fn npm_tests(repository: &Repository) -> Result<()> {
    node_tests(repository, wasm::PACKAGE)
}

fn automerge_repo(repository: &Repository) -> Result<()> {
    npm::install(repository, AUTOMERGE_REPO)?;
    repository.npm(AUTOMERGE_REPO, &["test"]).env("DRIFTLINE", repository.binary("debug", "driftline")).run()
}

/// Chosen by the tests' names out of all: if their package alone were named, cargo would build everything anew for it.
fn samod(repository: &Repository) -> Result<()> {
    npm::install(repository, AUTOMERGE_REPO)?;
    let tests = [&["test"], WORKSPACE, &["--tests", "--", SAMOD]].concat();
    repository.cargo(&tests).env("DRIFTLINE", repository.binary("debug", "driftline")).run()
}

fn browser_tests(repository: &Repository) -> Result<()> {
    node_tests(repository, browser::PACKAGE)
}

/// The tests of an npm package, told where the relay's binary and Chromium are.
fn node_tests(repository: &Repository, folder: &str) -> Result<()> {
    npm::install(repository, folder)?;
    repository
        .npm(folder, &["test"])
        .env("DRIFTLINE", repository.binary("debug", "driftline"))
        .env("CHROMIUM", browser::chromium(repository)?)
        .run()
}
