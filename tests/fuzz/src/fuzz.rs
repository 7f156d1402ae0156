//! The fuzzer: libFuzzer has the main function, and calls the target that `DRIFTLINE_FUZZ_TARGET` names. Before it begins, what the
//! target begins with is written into the folder `DRIFTLINE_FUZZ_UNPACK`; with `DRIFTLINE_FUZZ_PACK` that folder's inputs become
//! what is kept for good, and nothing is fuzzed.

#![no_main]

use driftline_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::OnceLock;

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("DRIFTLINE_FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| panic!("there is no target {name:?}: `cargo xtask fuzz --list` names them"))
    })
}

fn begin() {
    // Panics of Automerge's on forged documents are caught where they may happen, so not each panic is a failure, as libFuzzer's
    // crate has it. One that is not caught still ends the process.
    let _ = std::panic::take_hook();
    if let Some(folder) = std::env::var_os("DRIFTLINE_FUZZ_UNPACK") {
        chosen().unpack(Path::new(&folder));
    }
    if let Some(folder) = std::env::var_os("DRIFTLINE_FUZZ_PACK") {
        chosen().pack(Path::new(&folder));
        std::process::exit(0);
    }
}

fuzz_target!(init: begin(), |bytes: &[u8]| (chosen().read)(bytes));
