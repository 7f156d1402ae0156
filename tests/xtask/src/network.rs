//! `cargo xtask network`: real peers, each in a network namespace of its own, on one bridge: they find each other, are cut apart, and meet again.
//!
//! The namespaces are a real network in everything but the cable: multicast, addresses, links that go down. It takes root and Linux.

mod peer;
mod wires;

use crate::repository::Repository;
use anyhow::{Result, ensure};
use lexopt::prelude::*;
use peer::{PeerProcess, Tree, pairing_code};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use wires::{Cut, Wires};

/// Files in the folder that is to be brought over.
const FILES: usize = 200;
/// Until a folder of so many files is on the other machine, from the start of both programs.
const FIRST_TIME_MAX: Duration = Duration::from_secs(5);
/// Until both folders are the same after the link is up again.
const HEAL_TIME_MAX: Duration = Duration::from_secs(2);
/// Until an edit is on the other machine when the relay was killed a moment before.
const EDIT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long the network is cut in the step. QUIC takes a connection for dead after 4 s; TCP, left alone, would send again about 14 and 26 s after the cut.
const PARTITION: Duration = Duration::from_secs(15);
/// Within which time anything happens at all; what is slower fails whoever else uses the machine.
const SLACK: u32 = 4;

/// What happens in a story; it answers the figures.
type Story = fn(&Path, &Options) -> Result<String>;

/// How to run.
struct Options {
    partition: Duration,
    profile: &'static str,
    /// By how much the promised times may be exceeded.
    slack: u32,
}

/// `cargo xtask network`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut options = Options { partition: Duration::from_secs(60), profile: "release", slack: 1 };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("partition") => options.partition = Duration::from_secs(arguments.value()?.parse()?),
            Long("debug") => options = Options { profile: "debug", slack: SLACK, ..options },
            other => return Err(other.unexpected().into()),
        }
    }
    if options.profile == "release" {
        repository.cargo(&["build", "--release", "--bins", "--package", "driftline-relay"]).run()?;
    }
    run(repository, &options)?;
    Ok(ExitCode::SUCCESS)
}

/// The step of `cargo xtask test`: with what was built, and a shorter cut.
pub(crate) fn step(repository: &Repository) -> Result<()> {
    run(repository, &Options { partition: PARTITION, profile: "debug", slack: SLACK })
}

fn run(repository: &Repository, options: &Options) -> Result<()> {
    if let Some(missing) = Wires::missing() {
        repository.say(&format!("LEFT OUT: peers in network namespaces, because {missing}"));
        return Ok(());
    }
    let driftline = repository.binary(options.profile, "driftline");
    let stories: [(&str, Story); 3] = [
        ("two peers find each other by mDNS, the network between them is cut, and they meet again", |driftline, options| {
            meet_and_part(driftline, options, Cut::Network, "quic", &[])
        }),
        ("the same over TCP, and one machine is off the network", |driftline, options| {
            meet_and_part(driftline, options, Cut::Machine, "tcp", &["--listen", "/ip4/0.0.0.0/tcp/0"])
        }),
        ("a relay is killed, and costs the peers of one network nothing", lose_the_relay),
    ];
    let (mut passed, mut failed) = (0, 0);
    for (story, tell) in stories {
        match tell(&driftline, options) {
            Ok(figures) => {
                repository.say(&format!("ok      {story}: {figures}"));
                passed += 1;
            }
            Err(error) => {
                repository.say(&format!("FAILED  {story}: {error:#}"));
                failed += 1;
            }
        }
    }
    repository.say(&format!("{passed} passed, {failed} failed"));
    ensure!(failed == 0, "{failed} of the stories in namespaces failed");
    Ok(())
}

/// Two peers with a code and nothing else: they find each other and the folder comes over; cut apart, both are edited; healed, both have everything.
fn meet_and_part(driftline: &Path, options: &Options, cut: Cut, transport: &str, arguments: &[&str]) -> Result<String> {
    let wires = Wires::lay(2)?;
    let code = pairing_code(driftline)?;
    let trees = [Tree::new()?, Tree::new()?];
    for number in 0..FILES {
        trees[0].write(
            &format!("folder{}/note{number}.md", number % 7),
            &format!("note {number}\n{}\n", "tide ".repeat(number % 50)),
        )?;
    }
    let arguments = [&["--pair", &code], arguments].concat();
    let began = Instant::now();
    let _peers = [
        PeerProcess::start(driftline, &wires, 0, &trees[0], &arguments)?,
        PeerProcess::start(driftline, &wires, 1, &trees[1], &arguments)?,
    ];
    let first = same_within(&trees, FIRST_TIME_MAX * options.slack, began)?;
    let status = PeerProcess::status(driftline, &trees[0])?;
    ensure!(status.contains(&format!(r#""transport":"{transport}""#)), "not over {transport}: {status}");

    wires.cut(1, cut)?;
    std::thread::sleep(options.partition / 2);
    for number in 0..5 {
        trees[0].write(&format!("left{number}.md"), "written on the left\n")?;
        trees[1].write(&format!("right{number}.md"), "written on the right\n")?;
    }
    trees[0].append("folder0/note0.md", "from the left\n")?;
    trees[1].append("folder1/note1.md", "from the right\n")?;
    std::thread::sleep(options.partition / 2);
    ensure!(!trees[0].has("right0.md"), "the network is not cut");
    wires.heal(1, cut)?;
    let heal = same_within(&trees, HEAL_TIME_MAX * options.slack, Instant::now())?;
    ensure!(trees[0].has("right4.md") && trees[1].has("left4.md"), "what was written apart is there");
    Ok(format!(
        "{FILES} files after {:.2} s; after a cut of {} s the same within {:.2} s",
        first.as_secs_f64(),
        options.partition.as_secs(),
        heal.as_secs_f64()
    ))
}

/// Two peers that also sync with a relay go on without a moment's notice when it is killed.
fn lose_the_relay(driftline: &Path, options: &Options) -> Result<String> {
    let wires = Wires::lay(3)?;
    let code = pairing_code(driftline)?;
    let (trees, store) = ([Tree::new()?, Tree::new()?], Tree::new()?);
    let relay = PeerProcess::relay(driftline, &wires, 2, &store)?;
    let url = format!("ws://{}:8080/sync", Wires::address(2));
    trees[0].write("note.md", "before\n")?;
    let _peers = [
        PeerProcess::start(driftline, &wires, 0, &trees[0], &["--pair", &code, "--relay", &url])?,
        PeerProcess::start(driftline, &wires, 1, &trees[1], &["--pair", &code, "--relay", &url])?,
    ];
    same_within(&trees, FIRST_TIME_MAX * options.slack, Instant::now())?;
    // Dropping kills it: no goodbye.
    drop(relay);
    trees[0].append("note.md", "after\n")?;
    let edit = same_within(&trees, EDIT_TIME_MAX * options.slack, Instant::now())?;
    trees[1].append("note.md", "and back\n")?;
    let back = same_within(&trees, EDIT_TIME_MAX * options.slack, Instant::now())?;
    Ok(format!("edits over after {:.2} s and {:.2} s", edit.as_secs_f64(), back.as_secs_f64()))
}

/// Waits until both folders are the same and not empty; answers how long that took.
fn same_within(trees: &[Tree; 2], time_max: Duration, began: Instant) -> Result<Duration> {
    loop {
        let [left, right] = [trees[0].files()?, trees[1].files()?];
        if left == right && !left.is_empty() {
            return Ok(began.elapsed());
        }
        let differing = left.iter().filter(|(name, bytes)| right.get(*name) != Some(*bytes)).count();
        ensure!(began.elapsed() < time_max, "after {:.1} s {differing} of {} files differ", time_max.as_secs_f64(), left.len());
        std::thread::sleep(Duration::from_millis(20));
    }
}
