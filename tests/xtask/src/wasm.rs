//! Building the npm package: the core as a WebAssembly module, the JavaScript around it, and the package's TypeScript.

use crate::job::on_path;
use crate::npm;
use crate::repository::Repository;
use crate::stamp::Stamp;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::ExitCode;

/// What browsers run.
const TARGET: &str = "wasm32-unknown-unknown";
/// The npm package.
pub(crate) const PACKAGE: &str = "wasm";
/// What wasm-bindgen writes, and its name there.
const FOLDER: &str = "wasm/pkg";
const NAME: &str = "driftline";

/// `cargo xtask wasm`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    build(repository)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds what has changed of the package.
pub(crate) fn build(repository: &Repository) -> Result<()> {
    build_module(repository)?;
    build_typescript(repository)
}

/// Stands for the package as it is built now: whoever builds on it must build again when this changes.
pub(crate) fn state(repository: &Repository) -> String {
    format!("{:?} {:?}", Stamp::last(repository, "bindgen"), Stamp::last(repository, "package"))
}

fn build_module(repository: &Repository) -> Result<()> {
    add_target(repository)?;
    repository.say("Building the WebAssembly module (for size: the first time takes a minute or two)");
    repository.cargo(&["build", "--package", "driftline-wasm", "--profile", "wasm", "--target", TARGET]).run()?;
    let module = repository.target.join(TARGET).join("wasm").join("driftline_wasm.wasm");
    let lock = std::fs::read(repository.path("Cargo.lock"))?;
    let stamp = Stamp::of(
        repository,
        "bindgen",
        &["tests/xtask/bindgen"],
        &format!("{:?} {:?}", digest(&module)?, bindgen_version(&lock)),
    )?;
    let written = repository.path(FOLDER).join(format!("{NAME}_bg.wasm"));
    if stamp.is_fresh(&[written]) {
        return Ok(());
    }
    repository.say("Writing the JavaScript around it");
    let (module, folder) = (module.to_string_lossy().into_owned(), repository.path(FOLDER).to_string_lossy().into_owned());
    repository.cargo(&["run", "--quiet", "--package", "driftline-bindgen", "--", &module, &folder, NAME]).run()?;
    stamp.set()
}

fn build_typescript(repository: &Repository) -> Result<()> {
    npm::install(repository, PACKAGE)?;
    // The types that wasm-bindgen wrote are an input too, and lie in a folder of made things.
    let types = std::fs::read(repository.path(FOLDER).join(format!("{NAME}.d.ts")))?;
    let stamp = Stamp::of(repository, "package", &[PACKAGE], &String::from_utf8_lossy(&types))?;
    if stamp.is_fresh(&[repository.path(PACKAGE).join("dist")]) {
        return Ok(());
    }
    repository.say("Building the npm package's TypeScript");
    npm::script(repository, PACKAGE, "build")?;
    stamp.set()
}

/// Adds the standard library for the browser where it is missing.
pub(crate) fn add_target(repository: &Repository) -> Result<()> {
    let library = repository.program("rustc", &["--print", "target-libdir", "--target", TARGET]).read()?;
    if Path::new(library.trim()).is_dir() {
        return Ok(());
    }
    if !on_path("rustup") {
        bail!("Rust cannot build for {TARGET} yet: install the standard library for it in the way you installed Rust");
    }
    repository.say("Adding Rust's standard library for the browser");
    repository.program("rustup", &["target", "add", TARGET]).run()
}

fn digest(file: &Path) -> Result<u64> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    std::fs::read(file)?.hash(&mut hasher);
    Ok(hasher.finish())
}

/// The lock file's lines on wasm-bindgen's support library.
fn bindgen_version(lock: &[u8]) -> Option<String> {
    let lock = String::from_utf8_lossy(lock);
    let at = lock.find("name = \"wasm-bindgen-cli-support\"")?;
    lock[at..].lines().nth(1).map(str::to_owned)
}
