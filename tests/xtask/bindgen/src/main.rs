//! Writes the JavaScript and the types around a compiled module: `driftline-bindgen MODULE.wasm FOLDER NAME`.
//!
//! A program of its own, so that only what needs it waits for it to be compiled.

mod order;

use anyhow::{Context as _, bail};
use std::path::Path;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder, name] = arguments.as_slice() else {
        bail!("say which module, into which folder, and under which name: driftline-bindgen MODULE.wasm FOLDER NAME");
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name(name).web(true)?.typescript(true).omit_default_module_path(false);
    bindgen.generate(folder).with_context(|| format!("wasm-bindgen could not write the JavaScript around {module}"))?;
    let written = Path::new(folder).join(format!("{name}_bg.wasm"));
    let story = || format!("the functions of {} could not be put in order", written.display());
    let ordered = order::by_name(&std::fs::read(&written).with_context(story)?).with_context(story)?;
    std::fs::write(&written, ordered).with_context(story)
}
