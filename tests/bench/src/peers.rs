//! The same loads on Driftline's relay and on the servers of its peers, each unmodified and as its own packages start it.
//!
//! Servers and clients are processes of their own. Clients are each peer's own npm package in Node, Driftline's too, or for all servers
//! the same where they speak one protocol: one process for who writes, one for all who read. `tests/bench/peers` has a file for each peer, and one for what clients are told to do;
//! this side tells them, reads the servers' costs from `/proc`, and makes the tables. A peer that does not get to the end of a load
//! in time is shown with what it reached.

mod clients;
mod documents;
mod fanout;
mod flood;
mod idle;
mod long;
mod reconnect;

use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use anyhow::{Context as _, Result, bail};
use clients::Clients;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the peers' files lie in the checkout that this was built from.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
/// The relay's name among the servers; it comes first.
const RELAY: &str = "driftline";
/// The name of samod's server, which is no npm package but the program of `tests/samod`.
const SAMOD: &str = "samod";
/// Who is measured, by the names of their files.
const PEERS: &[&str] = &[RELAY, "automerge-repo", "y-websocket", "hocuspocus"];
/// Packages whose versions say which server that is.
const PACKAGES: [(&str, &str); 5] = [
    ("automerge-repo", "@automerge/automerge-repo"),
    ("y-websocket", "@y/websocket-server"),
    ("y-websocket", "y-websocket"),
    ("hocuspocus", "@hocuspocus/server"),
    ("hocuspocus", "@hocuspocus/provider"),
];
/// What says which version of samod that is.
const SAMODS_MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../samod/Cargo.toml");

/// How much of each load.
pub(crate) struct Size {
    pub(crate) readers: usize,
    pub(crate) edits_per_second: u64,
    pub(crate) seconds: u64,
    pub(crate) changes: usize,
    pub(crate) documents: usize,
    /// How many clients, where that is not the load's own to say.
    pub(crate) connections: Option<usize>,
    /// An editing history; where none is named, a short one is made up.
    pub(crate) trace: Option<PathBuf>,
    /// Whether a peer that does not get through is an error, and not a figure.
    pub(crate) must_finish: bool,
}

/// One load: the benchmark `peers-NAME`.
struct Load {
    name: &'static str,
    /// Whose servers, by their names: a column for each.
    servers: &'static [&'static str],
    /// Whose clients, where it is not each server's own.
    clients: Option<&'static str>,
    caption: fn(&Size) -> String,
    rows: &'static [&'static str],
    measure: fn(&Place, &Size) -> Result<Measured>,
}

/// What came of one peer: a cell for each row, and the figures behind them.
struct Measured {
    cells: Vec<String>,
    figures: Value,
    /// Whether all that was written came to all who should have it.
    complete: bool,
}

const LOADS: [&Load; 6] = [&fanout::LOAD, &flood::LOAD, &reconnect::LOAD, &long::LOAD, &idle::LOAD, &documents::LOAD];

/// A peer, and where its server keeps what it keeps.
struct Place<'a> {
    peer: &'static str,
    /// Whose clients it is measured with.
    clients: &'static str,
    programs: &'a Path,
    scratch: &'a Scratch,
}

/// Runs the load of this name on every peer.
pub(crate) fn run(programs: &Path, name: &str, size: &Size, results: &Path) -> Result<()> {
    let Some(load) = LOADS.into_iter().find(|load| load.name == name) else { bail!("the peers have no load {name:?}") };
    let mut report = Report::begin(&format!("peers-{name}"));
    report.versions = versions(load.servers)?;
    let scratch = Scratch::new()?;
    let mut columns: Vec<Vec<String>> = Vec::new();
    let mut figures = BTreeMap::new();
    let mut failures = Vec::new();
    for &peer in load.servers {
        println!("{name}: {peer}");
        let place = Place { peer, clients: load.clients.unwrap_or(peer), programs, scratch: &scratch };
        match (load.measure)(&place, size) {
            Ok(measured) => {
                columns.push(measured.cells);
                figures.insert(peer, measured.figures);
                if !measured.complete {
                    failures.push(peer);
                }
            }
            Err(error) => {
                eprintln!("{peer} did not get through: {error:#}");
                columns.push(load.rows.iter().map(|_| "not finished".to_owned()).collect());
                figures.insert(peer, json!({ "error": format!("{error:#}") }));
                failures.push(peer);
            }
        }
    }
    let mut table = Table::new((load.caption)(size), &[&[""], load.servers].concat());
    for (at, row) in load.rows.iter().enumerate() {
        table.row(*row, columns.iter().map(|cells| cells.get(at).cloned().unwrap_or_default()));
    }
    report.tables.push(table);
    report.figures = json!(figures);
    report.finish(results)?;
    // Of a peer it is a result, which is in the table.
    if failures.contains(&RELAY) || (size.must_finish && !failures.is_empty()) {
        bail!("not finished by {}", failures.join(", "));
    }
    Ok(())
}

impl Place<'_> {
    fn is_relay(&self) -> bool {
        self.peer == RELAY
    }

    /// The peer's server, with nothing stored; for the relay with `further` options.
    fn serve(&self, further: &[&str]) -> Result<Server> {
        let store = format!("peer-{}", self.peer);
        let folder = self.scratch.folder.join(&store);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        if self.is_relay() {
            return Server::relay(self.programs, self.scratch, &store, further);
        }
        let log = self.scratch.folder.join(format!("{}.log", self.peer));
        if self.peer == SAMOD {
            return Server::samod(self.programs, &folder, log);
        }
        Server::start(Path::new("node"), "/", log, |address| {
            let folder = folder.to_string_lossy().into_owned();
            [&format!("{FOLDER}/peer.mjs"), self.peer, "serve", &address.port().to_string(), &folder].map(str::to_owned).into()
        })
    }

    /// A process of clients of that server.
    fn clients(&self, server: &Server) -> Result<Clients> {
        Clients::start(Path::new(FOLDER), self.clients, server.address.port())
    }

    /// A process with a client that has made a document of one letter, and one with `readers` clients that have it open.
    fn writer_and_readers(&self, server: &Server, readers: usize) -> Result<(Clients, Clients)> {
        let mut writer = self.clients(server)?;
        writer.ask(json!({ "do": "connect", "count": 1 }))?;
        let created = writer.ask(json!({ "do": "create", "documents": 1, "letters": 1 }))?;
        let mut following = self.clients(server)?;
        following.ask(json!({ "do": "connect", "count": readers }))?;
        following.ask(json!({ "do": "open", "ids": created["ids"] }))?;
        Ok((writer, following))
    }
}

/// A figure with so many decimals, or that there is none because nothing came.
fn shown(figure: f64, decimals: usize) -> String {
    if figure.is_finite() { format!("{figure:.decimals$}") } else { "not finished".to_owned() }
}

/// What is measured beside the relay, and of which version, as the manifests say that it is installed by.
fn versions(servers: &[&str]) -> Result<Vec<String>> {
    let manifest = Path::new(FOLDER).with_file_name("package.json");
    let text = std::fs::read_to_string(&manifest).with_context(|| format!("{} cannot be read", manifest.display()))?;
    let manifest: Value = serde_json::from_str(&text)?;
    let of_npm = PACKAGES.iter().filter(|(server, _)| servers.contains(server));
    let mut versions: Vec<String> =
        of_npm.map(|(_, name)| format!("{name} {}", manifest["dependencies"][name].as_str().unwrap_or("?"))).collect();
    if servers.contains(&SAMOD) {
        let manifest = std::fs::read_to_string(SAMODS_MANIFEST).with_context(|| format!("{SAMODS_MANIFEST} cannot be read"))?;
        let version = manifest.lines().find_map(|line| line.strip_prefix("samod = { version = \"")?.split('"').next());
        versions.push(format!("{SAMOD} {}", version.unwrap_or("?")));
    }
    Ok(versions)
}

/// Waits until a server has nothing left to do: it has used no processor for as long as this.
fn settled(server: &Server, quiet: Duration, most: Duration) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(200);
    let began = std::time::Instant::now();
    let (mut seen, mut since) = (server.cpu_seconds()?, std::time::Instant::now());
    while since.elapsed() < quiet && began.elapsed() < most {
        std::thread::sleep(LOOK);
        let cpu = server.cpu_seconds()?;
        // One tick of the kernel's clock may be a timer's.
        if cpu - seen > 0.015 {
            (seen, since) = (cpu, std::time::Instant::now());
        }
    }
    Ok(())
}
