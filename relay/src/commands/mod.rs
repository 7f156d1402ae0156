//! What the binary `driftline` does: one file or folder for each command.

pub mod doc;
