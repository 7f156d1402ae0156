//! The rules that matter, as tests: who may know whom, what core may not touch, how long a file may be.
//!
//! They read the sources as text. That is crude, and enough: a rule that is broken is broken in plain sight.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines no source file may exceed.
const FILE_LINES_MAX: usize = 600;

/// The floors of core from the lowest: a room knows only rooms of floors below its own.
const FLOORS: &[&[&str]] = &[&["base"], &["log"], &["doc", "sync", "store", "trust", "seal", "gossip", "policy"], &["engine"]];

/// What may not stand in core, and what to do instead.
const FORBIDDEN_IN_CORE: &[(&str, &str)] = &[
    ("async", "core is a state machine: the driver waits"),
    (".await", "core is a state machine: the driver waits"),
    ("Instant", "the driver says what time it is: base::time"),
    ("SystemTime", "the driver says what time it is: base::time"),
    ("std::fs", "storage is data: store::task"),
    ("std::net", "the driver owns the sockets"),
    ("std::thread", "an engine has one thread: its driver's"),
    ("std::env", "the driver configures: engine::config"),
    ("HashMap", "its order differs from run to run: BTreeMap"),
    ("HashSet", "its order differs from run to run: BTreeSet"),
    ("println!", "core tells by events"),
    ("eprintln!", "core tells by events"),
    ("dbg!", "core tells by events"),
    ("thread_local!", "core has no globals"),
    ("static mut", "core has no globals"),
    ("Mutex", "an engine has one thread: its driver's"),
    ("getrandom", "all randomness comes from the seed: base::rng"),
];

/// Crates core may not depend on: each is a driver's business.
const FORBIDDEN_DEPENDENCIES: &[&str] =
    &["tokio", "libp2p", "axum", "rusqlite", "tungstenite", "hyper", "reqwest", "mio", "socket2"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// Every source file of the project that is not ignored, with its text.
fn sources(under: &str, extensions: &[&str]) -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--", under])
        .current_dir(root())
        .output()
        .expect("git lists the files of this checkout");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let mut found = Vec::new();
    for path in String::from_utf8(listed.stdout).expect("file names are UTF-8").lines() {
        let wanted = Path::new(path).extension().is_some_and(|have| extensions.iter().any(|want| have == *want));
        // A file deleted in the working tree is still listed.
        if let (true, Ok(text)) = (wanted, std::fs::read_to_string(root().join(path))) {
            found.push((path.to_owned(), text));
        }
    }
    assert!(!found.is_empty(), "no sources under {under}");
    found
}

/// The lines of a source file that are code, numbered from 1, without what follows `//`.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

/// Whether `word` stands in `line` and is not part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part_of_name) && word.starts_with(part_of_name);
        let after = line[at + word.len()..].chars().next().is_some_and(part_of_name) && word.ends_with(part_of_name);
        !before && !after
    })
}

/// The rooms of core that one line names: `crate::doc::…`, also in a list `crate::{doc::…, log::…}`.
fn rooms_named(line: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let list = rest.strip_prefix('{').map(|inner| inner.trim_end_matches([';', '}', ' ']).to_owned());
        let mut depth = 0;
        let mut item = String::new();
        for c in list.unwrap_or_else(|| rest.to_owned()).chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    rooms.insert(room_of(&item));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            item.push(c);
        }
        rooms.insert(room_of(&item));
    }
    rooms.retain(|room| FLOORS.iter().flat_map(|floor| floor.iter()).any(|known| known == room));
    rooms
}

fn room_of(path: &str) -> String {
    path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn a_floor_of_core_knows_only_floors_below_it() {
    let mut broken = Vec::new();
    let mut rooms_seen = BTreeSet::new();
    for (path, text) in sources("core/src", &["rs"]) {
        let Some((room, file)) = path.trim_start_matches("core/src/").split_once('/') else { continue };
        let floor = floor_of(room).unwrap_or_else(|| panic!("{path}: {room} is on no floor: name it in FLOORS and in lib.rs"));
        rooms_seen.insert(room.to_owned());
        for (number, line) in code_lines(&text) {
            for other in rooms_named(line) {
                let other_floor = floor_of(&other).expect("only known rooms are named");
                if other != room && other_floor >= floor {
                    broken.push(format!("{path}:{number}: {room} (floor {floor}) names {other} (floor {other_floor})"));
                }
            }
            if line.contains("super::super::") || (file == "mod.rs" && line.contains("use super::")) {
                broken.push(format!("{path}:{number}: leaves its room by super::, where crate:: would show it"));
            }
        }
    }
    assert_eq!(rooms_seen.len(), FLOORS.iter().map(|floor| floor.len()).sum::<usize>(), "every room was read");
    assert!(broken.is_empty(), "floors are broken:\n{}", broken.join("\n"));
}

#[test]
fn the_reader_of_floors_sees_what_it_should() {
    let rooms = |line| rooms_named(line).into_iter().collect::<Vec<_>>();
    assert_eq!(rooms("use crate::doc::document::Document;"), ["doc"]);
    assert_eq!(rooms("use crate::{base::id::{ActorId, PeerId}, sync::message::Message};"), ["base", "sync"]);
    assert_eq!(rooms("    crate::engine::Engine::new(crate::store::task::StoreTask::Open)"), ["engine", "store"]);
    assert!(rooms("use crate::documents::X;").is_empty());
    assert!(has_word("let x: HashMap<u8, u8>", "HashMap") && !has_word("MyHashMapLike", "HashMap"));
    assert!(has_word("x.await?", ".await") && !has_word("asynchronous", "async"));
}

#[test]
fn core_touches_no_clock_disk_network_thread_or_unordered_map() {
    let mut broken = Vec::new();
    for (path, text) in sources("core/src", &["rs"]) {
        for (number, line) in code_lines(&text) {
            for (word, instead) in FORBIDDEN_IN_CORE {
                if has_word(line, word) {
                    broken.push(format!("{path}:{number}: {word}: {instead}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "core may not use these:\n{}", broken.join("\n"));
}

#[test]
fn automerge_is_known_in_one_room() {
    let broken: Vec<_> = sources("core/src", &["rs"])
        .into_iter()
        .filter(|(path, _)| !path.starts_with("core/src/doc/"))
        .filter(|(_, text)| code_lines(text).any(|(_, line)| has_word(line, "automerge::")))
        .map(|(path, _)| path)
        .collect();
    assert!(broken.is_empty(), "only core/src/doc knows automerge, but so do {broken:?}");
}

#[test]
fn core_depends_on_no_runtime_and_no_network() {
    for target in ["all", "wasm32-unknown-unknown"] {
        let tree = cargo(&["tree", "-p", "driftline-core", "--edges", "normal,build", "--prefix", "none", "--target", target]);
        let found: BTreeSet<_> = tree
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| FORBIDDEN_DEPENDENCIES.iter().any(|no| name == no || name.starts_with(&format!("{no}-"))))
            .collect();
        assert!(tree.contains("automerge"), "the tree was read");
        assert!(found.is_empty(), "core depends on {found:?} for target {target}");
    }
}

#[test]
fn every_member_says_what_it_is() {
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    assert!(packages.len() >= 2);
    for package in packages {
        let description = package["description"].as_str().unwrap_or_default();
        assert!(description.len() > 20, "{} has no description that says something", package["name"]);
    }
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let mut long = Vec::new();
    for (path, text) in sources(".", &["rs", "ts"]) {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            long.push(format!("{path}: {lines} lines"));
        }
    }
    assert!(
        long.is_empty(),
        "over {FILE_LINES_MAX} lines: find the second noun in each and give it a file:\n{}",
        long.join("\n")
    );
}

#[test]
fn types_and_files_are_named_by_nouns_that_say_something() {
    const EMPTY: &[&str] = &["Manager", "Util", "Utils", "Helper", "Helpers"];
    const KEYWORDS: &[&str] = &["struct", "enum", "trait", "type", "class", "interface", "mod"];
    let mut broken = Vec::new();
    for (path, text) in sources(".", &["rs", "ts"]) {
        let stem = Path::new(&path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_lowercase();
        if EMPTY.iter().any(|word| stem == word.to_lowercase()) {
            broken.push(format!("{path}: the file's name says nothing"));
        }
        for (number, line) in code_lines(&text) {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            while let Some(word) = words.next() {
                if !KEYWORDS.contains(&word) {
                    continue;
                }
                if let Some(name) = words.next().filter(|name| EMPTY.iter().any(|empty| name.ends_with(empty))) {
                    broken.push(format!("{path}:{number}: {name} says nothing of what it is"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn sources_leave_nothing_undone() {
    let marks = [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut undone: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (path, text) in sources(".", &["rs", "ts"]) {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| marks.iter().any(|mark| line.contains(mark))) {
            let _ = line;
            undone.entry(path.clone()).or_default().push(at + 1);
        }
    }
    assert!(undone.is_empty(), "finish these, or write down elsewhere that they are wanted: {undone:?}");
}

fn cargo(arguments: &[&str]) -> String {
    let done = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .arg("--locked")
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(done.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("cargo speaks UTF-8")
}
