//! What a target begins with, in a folder of files as libFuzzer wants it, and back into the file that is kept for good.

use crate::Target;
use driftline_core::base::id::to_hex;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest input that is kept for good, in bytes, and how many at most: a corpus is read by people, too, when it changes.
const INPUT_BYTES_MAX: usize = 384;
const INPUTS_MAX: usize = 150;

impl Target {
    /// Where the inputs are that are kept for good: one on each line, in hexadecimal.
    pub fn corpus_file(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{}.hex", self.name))
    }

    /// The inputs that are kept for good.
    ///
    /// # Panics
    ///
    /// The file cannot be read, or is not in hexadecimal.
    pub fn corpus(&self) -> Vec<Vec<u8>> {
        let file = self.corpus_file();
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let input =
            |line: &str| driftline_core::base::id::from_hex(line).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        text.lines().filter(|line| !line.is_empty()).map(input).collect()
    }

    /// Writes the sound inputs and those that are kept for good into a folder, a file for each.
    ///
    /// # Panics
    ///
    /// The folder cannot be written.
    pub fn unpack(&self, folder: &Path) {
        let inputs = (self.seeds)().into_iter().map(|input| ("seed", input));
        let kept = self.corpus().into_iter().map(|input| ("kept", input));
        for (at, (kind, input)) in inputs.chain(kept).enumerate() {
            let file = folder.join(format!("{kind}-{at}"));
            fs::write(&file, input).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }

    /// Makes a folder's inputs, the shortest first, those that are kept for good; of too many, some of each length.
    ///
    /// # Panics
    ///
    /// The folder cannot be read, or the file not written.
    pub fn pack(&self, folder: &Path) {
        let seeds = (self.seeds)();
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut inputs: Vec<Vec<u8>> = entries.flatten().filter_map(|entry| fs::read(entry.path()).ok()).collect();
        inputs.retain(|input| !input.is_empty() && input.len() <= INPUT_BYTES_MAX && !seeds.contains(input));
        inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        let every = inputs.len().div_ceil(INPUTS_MAX).max(1);
        let lines: String = inputs.iter().step_by(every).map(|input| format!("{}\n", to_hex(input))).collect();
        let file = self.corpus_file();
        fs::write(&file, lines).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}
