//! What is fuzzed, and with what it begins.
//!
//! A target is a function that takes any bytes. It fails by panicking: where the reader panics, and where what was read breaks a
//! promise, such as that every message has one encoding. `cargo xtask fuzz` builds it so that libFuzzer sees which parts of the
//! code an input reaches, and keeps what reaches something new. What is worth keeping for good is in `corpus/`, a file for each
//! target with an input in hexadecimal on each line; an ordinary test runs all of it through its target.

mod automerge_repo;
mod automerge_sync;
mod backup;
mod chunks;
mod corpus;
mod frames;
mod journal;
mod letters;
mod seal;
mod story;
mod trust;

/// Something that reads what others wrote.
pub struct Target {
    /// What `cargo xtask fuzz` calls it.
    pub name: &'static str,
    /// Reads any bytes; panics when something is wrong with how.
    pub read: fn(&[u8]),
    /// Sound inputs, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", read: frames::read, seeds: frames::seeds },
    Target { name: "automerge-repo", read: automerge_repo::read, seeds: automerge_repo::seeds },
    Target { name: "automerge-sync", read: automerge_sync::read, seeds: automerge_sync::seeds },
    Target { name: "journal", read: journal::read, seeds: journal::seeds },
    Target { name: "records", read: journal::read_records, seeds: journal::record_seeds },
    Target { name: "letters", read: letters::read, seeds: letters::seeds },
    Target { name: "trust", read: trust::read, seeds: trust::seeds },
    Target { name: "backup", read: backup::read, seeds: backup::seeds },
    Target { name: "seal", read: seal::read, seeds: seal::seeds },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
