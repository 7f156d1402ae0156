//! An editing history that is made up, for whoever has none at hand and wants to see that everything runs.

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Writes the history of someone who types so many keys and takes every fourth letter back, into a file of this folder.
pub(crate) fn made_up(folder: &Path, keys: usize) -> Result<PathBuf> {
    let (mut transactions, mut text) = (Vec::new(), String::new());
    for number in 1..=keys {
        if number % 4 == 0 {
            text.pop();
            transactions.push(json!({ "patches": [[text.len(), 1, ""]] }));
        } else {
            transactions.push(json!({ "patches": [[text.len(), 0, "x"]] }));
            text.push('x');
        }
    }
    let file = folder.join("made-up.json.gz");
    let mut gzip = GzEncoder::new(std::fs::File::create(&file)?, Compression::fast());
    gzip.write_all(json!({ "startContent": "", "endContent": text, "txns": transactions }).to_string().as_bytes())?;
    gzip.finish()?;
    Ok(file)
}
