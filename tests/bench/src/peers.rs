//! The same loads on Driftline's relay and on the servers of its peers, each unmodified and as its own packages start it.
//!
//! Servers and clients are processes of their own. Clients are each peer's own npm package in Node, Driftline's too: one process
//! for who writes, one for all who read. `tests/bench/peers` has a file for each peer, and one for what clients are told to do;
//! this side tells them, reads the servers' costs from `/proc`, and makes the tables. A peer that does not get to the end of a load
//! in time is shown with what it reached.

mod clients;
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
/// Who is measured, by the names of their files; the first is the relay.
const PEERS: [&str; 4] = ["driftline", "automerge-repo", "y-websocket", "hocuspocus"];
/// Packages whose versions say which server that is.
const PACKAGES: [&str; 5] =
    ["@automerge/automerge-repo", "@y/websocket-server", "y-websocket", "@hocuspocus/server", "@hocuspocus/provider"];

/// How much of each load.
pub(crate) struct Size {
    pub(crate) readers: usize,
    pub(crate) edits_per_second: u64,
    pub(crate) seconds: u64,
    pub(crate) changes: usize,
    pub(crate) documents: usize,
    pub(crate) connections: usize,
    /// An editing history; where none is named, a short one is made up.
    pub(crate) trace: Option<PathBuf>,
    /// Whether a peer that does not get through is an error, and not a figure.
    pub(crate) must_finish: bool,
}

/// One load: the benchmark `peers-NAME`.
struct Load {
    name: &'static str,
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

const LOADS: [&Load; 5] = [&fanout::LOAD, &flood::LOAD, &reconnect::LOAD, &long::LOAD, &idle::LOAD];

/// A peer, and where its server keeps what it keeps.
struct Place<'a> {
    peer: &'static str,
    programs: &'a Path,
    scratch: &'a Scratch,
}

/// Runs the load of this name on every peer.
pub(crate) fn run(programs: &Path, name: &str, size: &Size, results: &Path) -> Result<()> {
    let Some(load) = LOADS.into_iter().find(|load| load.name == name) else { bail!("the peers have no load {name:?}") };
    let mut report = Report::begin(&format!("peers-{name}"));
    report.versions = versions()?;
    let scratch = Scratch::new()?;
    let mut columns: Vec<Vec<String>> = Vec::new();
    let mut figures = BTreeMap::new();
    let mut failures = Vec::new();
    for peer in PEERS {
        println!("{name}: {peer}");
        let place = Place { peer, programs, scratch: &scratch };
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
    let mut table = Table::new((load.caption)(size), &[&[""], &PEERS[..]].concat());
    for (at, row) in load.rows.iter().enumerate() {
        table.row(*row, columns.iter().map(|cells| cells.get(at).cloned().unwrap_or_default()));
    }
    report.tables.push(table);
    report.figures = json!(figures);
    report.finish(results)?;
    // Of a peer it is a result, which is in the table.
    if failures.contains(&PEERS[0]) || (size.must_finish && !failures.is_empty()) {
        bail!("not finished by {}", failures.join(", "));
    }
    Ok(())
}

impl Place<'_> {
    fn is_relay(&self) -> bool {
        self.peer == PEERS[0]
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
        Server::start(Path::new("node"), "/", log, |address| {
            let folder = folder.to_string_lossy().into_owned();
            [&format!("{FOLDER}/peer.mjs"), self.peer, "serve", &address.port().to_string(), &folder].map(str::to_owned).into()
        })
    }

    /// A process of clients of that server.
    fn clients(&self, server: &Server) -> Result<Clients> {
        Clients::start(Path::new(FOLDER), self.peer, server.address.port())
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

/// What is measured, and of which version, as the package that installs them says.
fn versions() -> Result<Vec<String>> {
    let manifest = Path::new(FOLDER).with_file_name("package.json");
    let text = std::fs::read_to_string(&manifest).with_context(|| format!("{} cannot be read", manifest.display()))?;
    let manifest: Value = serde_json::from_str(&text)?;
    Ok(PACKAGES.map(|name| format!("{name} {}", manifest["dependencies"][name].as_str().unwrap_or("?"))).into())
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
