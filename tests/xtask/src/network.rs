//! `cargo xtask network`: real peers, each in a network namespace of its own, on one bridge: they find each other, are cut apart, and meet again.
//!
//! The namespaces are a real network in everything but the cable: multicast, addresses, links that go down. It takes root and Linux.

mod homes;
mod peer;
mod wires;

use crate::repository::Repository;
use anyhow::{Context as _, Result, ensure};
use homes::{Homes, Router};
use lexopt::prelude::*;
use peer::{PeerProcess, Tree, pairing_code};
use std::path::Path;
use std::process::{Command, ExitCode};
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
/// Until two that met through a relay have found a way without, or have their session through it.
const DIRECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Until an edit is on the other machine when the direct way closed a moment before: silence is noticed after 4 s, and addresses that lead nowhere after 1.5 s.
const LOSE_TIME_MAX: Duration = Duration::from_secs(12);
/// How the address of a relay ends that is called by QUIC.
const QUIC: &str = "/quic-v1";
/// Until two that cannot do without a relay are the same again when it is back: they call it once a second by then, and it takes each a moment to have its place.
const BACK_TIME_MAX: Duration = Duration::from_secs(5);
/// How long two that cannot do without a relay are watched: each of three attempts takes a handshake's time.
const ATTEMPTS_TIME: Duration = Duration::from_secs(8);
/// For how long the relay is away that two cannot do without.
const AWAY_TIME: Duration = Duration::from_secs(3);
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
    /// Words in the names of the stories that are told; all, where there are none.
    only: String,
}

/// `cargo xtask network`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut options = Options { partition: Duration::from_secs(60), profile: "release", slack: 1, only: String::new() };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("partition") => options.partition = Duration::from_secs(arguments.value()?.parse()?),
            Long("only") => options.only = arguments.value()?.string()?,
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
    run(repository, &Options { partition: PARTITION, profile: "debug", slack: SLACK, only: String::new() })
}

fn run(repository: &Repository, options: &Options) -> Result<()> {
    if let Some(missing) = Wires::missing() {
        repository.say(&format!("LEFT OUT: peers in network namespaces, because {missing}"));
        return Ok(());
    }
    let driftline = repository.binary(options.profile, "driftline");
    let mut stories: Vec<(&str, Story)> = vec![
        ("two peers find each other by mDNS, the network between them is cut, and they meet again", |driftline, options| {
            meet_and_part(driftline, options, Cut::Network, "quic", &[])
        }),
        ("the same over TCP, and one machine is off the network", |driftline, options| {
            meet_and_part(driftline, options, Cut::Machine, "tcp", &["--listen", "/ip4/0.0.0.0/tcp/0"])
        }),
        ("a relay is killed, and costs the peers of one network nothing", lose_the_relay),
    ];
    match Homes::missing(repository)? {
        Some(missing) => repository.say(&format!("LEFT OUT: peers behind routers, because {missing}")),
        None => stories.extend([
            (
                "two peers behind routers meet through a relay, find a direct way, and the relay is killed",
                (|driftline, options| find_a_way(driftline, options, QUIC, &[])) as Story,
            ),
            ("the same over TCP, behind routers", |driftline, options| {
                find_a_way(driftline, options, "/tcp/4001", &["--listen", "/ip4/0.0.0.0/tcp/0"])
            }),
            (
                "two peers at one home, behind a router, find each other through a relay and need it no more",
                find_each_other_at_home,
            ),
            ("two peers behind routers whose direct way closes go on through the relay", lose_the_way),
            ("two peers behind routers that cannot be seen through go on through the relay", go_on_through_the_relay),
        ]),
    }
    let (mut passed, mut failed) = (0, 0);
    for (story, tell) in stories.into_iter().filter(|(story, _)| story.contains(&options.only)) {
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

/// Two peers at home, and the relay through which they meet.
struct Meeting {
    homes: Homes,
    trees: [Tree; 2],
    relay: PeerProcess,
    address: String,
    store: Tree,
    /// At which home each peer is.
    at: [usize; 2],
    arguments: &'static [&'static str],
}

impl Meeting {
    /// The relay is called by this transport, and the peers are started with these arguments.
    fn new(driftline: &Path, router: Router, transport: &str, arguments: &'static [&'static str]) -> Result<Self> {
        let homes = Homes::build(router)?;
        let (trees, store) = ([Tree::new()?, Tree::new()?], Tree::new()?);
        let (relay, line) = Self::relay(driftline, &homes, &store, &format!("{transport}/p2p/"))?;
        let address = line.split_whitespace().last().context("an address is printed")?.to_owned();
        Ok(Self { homes, trees, relay, address, store, at: [0, 1], arguments })
    }

    /// Starts the relay, and waits for a line that it prints.
    fn relay(driftline: &Path, homes: &Homes, store: &Tree, words: &str) -> Result<(PeerProcess, String)> {
        let (mut command, at) = (homes.in_the_middle(driftline), format!("{}:4001", Homes::MIDDLE));
        let arguments = ["relay", "--listen", "127.0.0.1:8080", "--log", "error", "--p2p", &at, "--p2p-open", "--data"];
        command.args(arguments).arg(store.path());
        PeerProcess::until(command, words)
    }

    fn peer(&self, driftline: &Path, peer: usize, arguments: &[&str]) -> Command {
        let mut command = self.homes.at(self.at[peer], driftline);
        command
            .args(["peer", "--json", "--no-mdns", "--through", &self.address, "--folder"])
            .arg(self.trees[peer].path())
            .args(arguments)
            .args(self.arguments);
        command
    }

    /// Pairs the two by a code and an address that leads through the relay.
    fn pair(&self, driftline: &Path) -> Result<[PeerProcess; 2]> {
        let code = pairing_code(driftline)?;
        for number in 0..FILES {
            self.trees[0].write(
                &format!("folder{}/note{number}.md", number % 7),
                &format!("note {number}\n{}\n", "tide ".repeat(number % 50)),
            )?;
        }
        let (one, line) = PeerProcess::until(self.peer(driftline, 0, &["--pair", &code]), r#""event":"reachable""#)?;
        let reachable = line.split(r#""address":""#).nth(1).and_then(|rest| rest.split('"').next()).context("it says where")?;
        Ok([one, PeerProcess::spawn(self.peer(driftline, 1, &["--pair", &code, "--dial", reachable]))?])
    }

    /// Waits until both say that they sync with the other by such a way, and by no other.
    fn by_way(&self, driftline: &Path, kind: &str, time_max: Duration) -> Result<Duration> {
        let began = Instant::now();
        let wanted = [format!(r#""kind":"{kind}""#), r#""connections":1"#.to_owned(), r#""syncing":true"#.to_owned()];
        loop {
            let mut stand = self.trees.iter().map(|tree| PeerProcess::status(driftline, tree).unwrap_or_default());
            let differing = stand.find(|status| {
                let peers = status.split(r#""peers":["#).nth(1).and_then(|rest| rest.split("]").next()).unwrap_or_default();
                !wanted.iter().all(|wanted| peers.contains(wanted))
            });
            let Some(status) = differing else { return Ok(began.elapsed()) };
            ensure!(began.elapsed() < time_max, "after {:.1} s not {kind}: {status}", time_max.as_secs_f64());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Routers that name a machine alike to all can be seen through: the two soon need the relay no more, and may lose it. Later they meet by its address alone.
fn find_a_way(driftline: &Path, options: &Options, transport: &str, arguments: &'static [&'static str]) -> Result<String> {
    let meeting = Meeting::new(driftline, Router::Alike, transport, arguments)?;
    let began = Instant::now();
    let peers = meeting.pair(driftline)?;
    let first = same_within(&meeting.trees, FIRST_TIME_MAX * options.slack, began)?;
    let direct = meeting.by_way(driftline, "direct", DIRECT_TIME_MAX * options.slack)?;
    drop(peers);

    // Nothing is said but the relay's address.
    let began = Instant::now();
    let start = |home| PeerProcess::spawn(meeting.peer(driftline, home, &[]));
    let _peers = [start(0)?, start(1)?];
    meeting.trees[0].write("again.md", "here\n")?;
    let again = same_within(&meeting.trees, FIRST_TIME_MAX * options.slack, began)?;
    meeting.by_way(driftline, "direct", DIRECT_TIME_MAX * options.slack)?;
    let Meeting { homes: _homes, trees, relay, .. } = meeting;
    // Dropping kills it: no goodbye.
    drop(relay);
    trees[0].append("again.md", "after\n")?;
    let edit = same_within(&trees, EDIT_TIME_MAX * options.slack, Instant::now())?;
    trees[1].append("again.md", "and back\n")?;
    let back = same_within(&trees, EDIT_TIME_MAX * options.slack, Instant::now())?;
    Ok(format!(
        "{FILES} files after {:.2} s, direct {:.2} s later; started again, the same after {:.2} s; without the relay, edits over after {:.2} s and {:.2} s",
        first.as_secs_f64(),
        direct.as_secs_f64(),
        again.as_secs_f64(),
        edit.as_secs_f64(),
        back.as_secs_f64()
    ))
}

/// Two at one home that do not look for each other (or on a network that does not carry mDNS) tell each other through the relay where they are.
fn find_each_other_at_home(driftline: &Path, options: &Options) -> Result<String> {
    let mut meeting = Meeting::new(driftline, Router::Alike, QUIC, &[])?;
    meeting.at = [0, 0];
    let _peers = meeting.pair(driftline)?;
    let first = same_within(&meeting.trees, FIRST_TIME_MAX * options.slack, Instant::now())?;
    meeting.by_way(driftline, "lan", DIRECT_TIME_MAX * options.slack)?;
    Ok(format!("{FILES} files after {:.2} s, and not by way of the relay", first.as_secs_f64()))
}

/// The direct way ends, as when a machine moves to another network: the relay is still there.
fn lose_the_way(driftline: &Path, options: &Options) -> Result<String> {
    let meeting = Meeting::new(driftline, Router::Alike, QUIC, &[])?;
    let _peers = meeting.pair(driftline)?;
    same_within(&meeting.trees, FIRST_TIME_MAX * options.slack, Instant::now())?;
    meeting.by_way(driftline, "direct", DIRECT_TIME_MAX * options.slack)?;
    meeting.homes.wall(0)?;
    meeting.homes.wall(1)?;
    meeting.trees[0].append("folder0/note0.md", "from the left\n")?;
    let edit = same_within(&meeting.trees, LOSE_TIME_MAX * options.slack, Instant::now())?;
    meeting.by_way(driftline, "relayed", DIRECT_TIME_MAX * options.slack)?;
    Ok(format!("an edit of that moment is over after {:.2} s", edit.as_secs_f64()))
}

/// Routers that name a machine differently to each cannot be seen through: everything goes through the relay, and goes on doing so.
fn go_on_through_the_relay(driftline: &Path, options: &Options) -> Result<String> {
    let meeting = Meeting::new(driftline, Router::Apart, QUIC, &[])?;
    let began = Instant::now();
    let _peers = meeting.pair(driftline)?;
    let first = same_within(&meeting.trees, FIRST_TIME_MAX * options.slack, began)?;
    meeting.by_way(driftline, "relayed", DIRECT_TIME_MAX * options.slack)?;
    // By then every attempt to do without has failed.
    std::thread::sleep(ATTEMPTS_TIME);
    meeting.by_way(driftline, "relayed", Duration::from_secs(1) * options.slack)?;
    meeting.trees[0].append("folder0/note0.md", "from the left\n")?;
    let edit = same_within(&meeting.trees, EDIT_TIME_MAX * options.slack, Instant::now())?;
    let Meeting { homes, trees, relay, store, .. } = meeting;
    // Dropping kills it: no goodbye.
    drop(relay);
    trees[1].append("folder0/note0.md", "from the right\n")?;
    std::thread::sleep(AWAY_TIME);
    ensure!(trees[0].files()? != trees[1].files()?, "there is another way than the relay");
    let _relay = Meeting::relay(driftline, &homes, &store, "  stop ")?;
    let back = same_within(&trees, BACK_TIME_MAX * options.slack, Instant::now())?;
    Ok(format!(
        "{FILES} files after {:.2} s; {} s later still through it, an edit over after {:.2} s; the relay was away, and {:.2} s after its return so is another",
        first.as_secs_f64(),
        ATTEMPTS_TIME.as_secs(),
        edit.as_secs_f64(),
        back.as_secs_f64()
    ))
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
