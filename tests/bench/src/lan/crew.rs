//! The processes: started, told of each other, listened to, and asked how they stand.

use crate::scratch::Scratch;
use crate::server::cpu_seconds_of;
use anyhow::{Context as _, Result, bail, ensure};
use driftline_core::base::id::{PeerId, SpaceId};
use driftline_relay::lan::{Identity, LIST_FILE, did_of};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// The file that is written to.
const NOTE: &str = "note.md";
/// How many others each is told of.
const TOLD: usize = 3;
/// How long the first is left alone before it is weighed.
const ALONE: Duration = Duration::from_secs(3);
/// How long a process that was just started is left to itself.
const STAGGER: Duration = Duration::from_millis(50);
/// How often it is looked whether something is so.
const LOOK: Duration = Duration::from_millis(100);
/// Neighbours of a peer that knows so many others or more.
const NEIGHBOURS: usize = 8;

/// A document moved on in one of them.
#[derive(Clone, Debug)]
pub(super) struct Changed {
    /// In which.
    pub(super) peer: usize,
    /// The document's heads then.
    pub(super) heads: String,
    /// Whether it was changed there.
    pub(super) local: bool,
    /// When, in microseconds since 1970.
    pub(super) unix_us: u64,
}

/// Entries that came from others, in all of them together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// All.
    pub(super) entries: u64,
    /// Those that were there already.
    pub(super) again: u64,
}

/// What a process takes in memory, in megabytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// All of it that is in memory, the program and its libraries included.
    pub(super) resident_mb: f64,
    /// The same, where a page of several processes counts a part for each.
    pub(super) share_mb: f64,
    /// What it has asked for itself: heap and stacks.
    pub(super) own_mb: f64,
}

/// All peers, killed at the end.
pub(super) struct Crew {
    peers: Vec<Peer>,
    told: Receiver<Changed>,
    /// What the first took before there were others.
    pub(super) alone: Memory,
}

struct Peer {
    child: Child,
    folder: PathBuf,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How one is started.
struct Plan {
    folder: PathBuf,
    identity: Identity,
    address: String,
}

impl Crew {
    /// Starts `count` peers, all on each other's list.
    pub(super) fn start(programs: &Path, scratch: &Scratch, count: usize) -> Result<Self> {
        let plans = plan(scratch, count)?;
        let (tell, told) = channel();
        let mut peers = Vec::new();
        let mut alone = Memory::default();
        for (at, own) in plans.iter().enumerate() {
            let others = (1..=TOLD.min(count - 1)).map(|step| &plans[(at + step * step * 5 % (count - 1).max(1) + 1) % count]);
            let dial = others.filter(|other| other.address != own.address).map(|other| other.address.as_str());
            peers.push(Peer::start(programs, at, own, dial, tell.clone())?);
            if at == 0 {
                std::thread::sleep(ALONE);
                alone = peers[0].memory()?;
            }
            std::thread::sleep(STAGGER);
        }
        Ok(Self { peers, told, alone })
    }

    /// Waits until each has as many neighbours as it wants.
    pub(super) fn gather(&mut self, patience: Duration) -> Result<()> {
        let wanted = NEIGHBOURS.min(self.peers.len() - 1);
        self.wait(patience, |status| neighbours(status) >= wanted).context("they did not find enough neighbours")
    }

    /// Waits until each has the note in its folder, and all its neighbours have the same.
    pub(super) fn settle(&mut self, patience: Duration) -> Result<()> {
        let is_in_step = |status: &Value| status["documents"] == 1 && status["sync"]["behind"] == 0;
        self.wait(patience, is_in_step)?;
        let began = Instant::now();
        while !self.peers.iter().all(|peer| peer.folder.join(NOTE).exists()) {
            ensure!(began.elapsed() < patience, "the first file did not reach every folder");
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn wait(&self, patience: Duration, is_so: impl Fn(&Value) -> bool) -> Result<()> {
        let began = Instant::now();
        for peer in &self.peers {
            loop {
                let status = peer.status();
                if status.as_ref().is_ok_and(&is_so) {
                    break;
                }
                if began.elapsed() > patience {
                    bail!("{} stands so after {patience:?}: {}", peer.folder.display(), status?);
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// Adds to the file of one.
    pub(super) fn write(&self, peer: usize, line: &str) -> Result<()> {
        let file = self.peers[peer].folder.join(NOTE);
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
        Ok(file.write_all(line.as_bytes())?)
    }

    /// Adds to the file of one, and answers what was told of it by all, or by as many as did in time.
    pub(super) fn change(&mut self, writer: usize, line: &str, patience: Duration) -> Result<Vec<Changed>> {
        while self.told.try_recv().is_ok() {}
        self.write(writer, line)?;
        let (began, mut told, mut others) = (Instant::now(), Vec::new(), 0);
        while others < self.peers.len() - 1 {
            let Ok(changed) = self.told.recv_timeout(patience.saturating_sub(began.elapsed())) else { break };
            others += usize::from(!changed.local);
            told.push(changed);
        }
        Ok(told)
    }

    /// What has come from others so far, in all of them.
    pub(super) fn received(&self) -> Result<Received> {
        let mut all = Received { entries: 0, again: 0 };
        for peer in &self.peers {
            let status = peer.status()?;
            let count = |name: &str| status["received"][name].as_u64().with_context(|| format!("no {name} in {status}"));
            all.entries += count("entries")?;
            all.again += count("again")?;
        }
        Ok(all)
    }

    /// How many neighbours each has.
    pub(super) fn neighbours(&self) -> Result<Vec<usize>> {
        self.peers.iter().map(|peer| Ok(neighbours(&peer.status()?))).collect()
    }

    /// Processor time that all have taken.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        self.peers.iter().map(|peer| cpu_seconds_of(peer.child.id())).sum()
    }

    /// Memory of each on average.
    pub(super) fn memory(&self) -> Result<Memory> {
        let all: Vec<Memory> = self.peers.iter().map(Peer::memory).collect::<Result<_>>()?;
        let mean = |of: fn(&Memory) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        Ok(Memory {
            resident_mb: mean(|memory| memory.resident_mb),
            share_mb: mean(|memory| memory.share_mb),
            own_mb: mean(|memory| memory.own_mb),
        })
    }
}

impl Peer {
    fn start<'a>(
        programs: &Path,
        number: usize,
        plan: &'a Plan,
        dial: impl Iterator<Item = &'a str>,
        tell: Sender<Changed>,
    ) -> Result<Self> {
        let program = programs.join(format!("driftline{}", std::env::consts::EXE_SUFFIX));
        let listen = plan.address.rsplit_once("/p2p/").map_or(plan.address.as_str(), |(address, _)| address);
        let mut command = Command::new(&program);
        command.args(["peer", "--json", "--tell-changes", "--no-mdns", "--listen", listen, "--folder"]).arg(&plan.folder);
        for address in dial {
            command.args(["--dial", address]);
        }
        command.env_remove("DRIFTLINE_RELAY").env_remove("DRIFTLINE_SPACE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("{} could not be started", program.display()))?;
        let stdout = child.stdout.take().context("it was piped")?;
        std::thread::spawn(move || listen_to(number, stdout, &tell));
        Ok(Self { child, folder: plan.folder.clone() })
    }

    fn status(&self) -> Result<Value> {
        let mut text = String::new();
        UnixStream::connect(self.folder.join(".driftline/peer.sock"))?.read_to_string(&mut text)?;
        Ok(serde_json::from_str(&text)?)
    }

    fn memory(&self) -> Result<Memory> {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let field = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let kib: f64 = line.with_context(|| format!("no {name}"))?.trim().trim_end_matches("kB").trim().parse()?;
            anyhow::Ok(kib / 1_024.0)
        };
        Ok(Memory { resident_mb: field("Rss:")?, share_mb: field("Pss:")?, own_mb: field("Anonymous:")? })
    }
}

fn neighbours(status: &Value) -> usize {
    status["neighbours"].as_array().map_or(0, Vec::len)
}

/// Passes on what a process tells of changes, until it ends.
fn listen_to(peer: usize, stdout: impl std::io::Read, tell: &Sender<Changed>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
        if value["event"] == "changed" {
            let local = value["local"].as_bool().unwrap_or(false);
            let changed =
                Changed { peer, heads: value["heads"].to_string(), local, unix_us: value["unixUs"].as_u64().unwrap_or(0) };
            if tell.send(changed).is_err() {
                return;
            }
        }
    }
}

/// A folder, a key and a place to listen for each, and everyone on everyone's list.
fn plan(scratch: &Scratch, count: usize) -> Result<Vec<Plan>> {
    // All are taken before one is given back, so that no two are the same.
    let sockets: Vec<UdpSocket> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    let mut plans = Vec::new();
    for (at, socket) in sockets.iter().enumerate() {
        let folder = scratch.folder.join(format!("peer-{at}"));
        let identity = Identity::load(&folder.join(".driftline"))?;
        let port = socket.local_addr()?.port();
        let address = format!("/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{}", identity.network_peer());
        plans.push(Plan { folder, identity, address });
    }
    let ids: Vec<PeerId> = plans.iter().map(|plan| plan.identity.peer()).collect();
    let space = SpaceId::from_name("lan");
    for plan in &plans {
        let others = ids.iter().enumerate().filter(|(_, id)| **id != plan.identity.peer());
        let listed: Vec<Value> = others.map(|(at, id)| json!({ "peer": did_of(id), "name": format!("peer {at}") })).collect();
        let list = json!({ "format": 1, "space": space, "peers": listed });
        std::fs::write(plan.folder.join(".driftline").join(LIST_FILE), list.to_string())?;
    }
    Ok(plans)
}
