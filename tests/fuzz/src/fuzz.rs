//! The fuzzer: libFuzzer has the main function, and calls the target that `DRIFTLINE_FUZZ_TARGET` names. Before it begins, what the
//! target begins with is written into the folder `DRIFTLINE_FUZZ_UNPACK`; with `DRIFTLINE_FUZZ_PACK` that folder's inputs become
//! what is kept for good, and nothing is fuzzed.

#![no_main]

use driftline_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::OnceLock;

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("DRIFTLINE_FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| panic!("there is no target {name:?}: `cargo xtask fuzz --list` names them"))
    })
}

thread_local! {
    /// What the last panic said, and where it was.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Reads an input. Panics of Automerge's on forged documents are caught where they may happen, so not each panic is a failure, as
/// libFuzzer's crate has it: one that comes to here is.
fn read(bytes: &[u8]) {
    if catch_unwind(|| (chosen().read)(bytes)).is_err() {
        PANIC.with_borrow(|panic| eprintln!("{panic}"));
        std::process::abort();
    }
}

fn begin() {
    std::panic::set_hook(Box::new(|panic| {
        let said = format!("{panic}\n{}", Backtrace::force_capture());
        PANIC.with_borrow_mut(|last| *last = said);
    }));
    if let Some(folder) = std::env::var_os("DRIFTLINE_FUZZ_UNPACK") {
        chosen().unpack(Path::new(&folder));
    }
    if let Some(folder) = std::env::var_os("DRIFTLINE_FUZZ_PACK") {
        chosen().pack(Path::new(&folder));
        std::process::exit(0);
    }
}

fuzz_target!(init: begin(), |bytes: &[u8]| read(bytes));
