//! Programs on the machines of a network, and the folders they keep in step.

use super::wires::Wires;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// How long a program is waited for that is to print something.
const PRINTED_TIME_MAX: Duration = Duration::from_secs(30);

/// A folder that goes when this does.
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) fn new() -> Result<Self> {
        static TREES: AtomicU32 = AtomicU32::new(0);
        let name = format!("driftline-network-{}-{}", std::process::id(), TREES.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).with_context(|| format!("{} cannot be made", root.display()))?;
        Ok(Self { root })
    }

    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().context("it lies in a folder")?)?;
        Ok(fs::write(path, text)?)
    }

    pub(super) fn append(&self, name: &str, text: &str) -> Result<()> {
        let mut file = fs::OpenOptions::new().append(true).open(self.root.join(name))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.root.join(name).is_file()
    }

    /// Every file with its bytes, but for what the program keeps for itself.
    pub(super) fn files(&self) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with('.') {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    files.insert(path.strip_prefix(&self.root)?.to_owned(), bytes);
                }
            }
        }
        Ok(files)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.root));
    }
}

/// A program on a machine, killed when this goes.
pub(super) struct PeerProcess(Child);

impl PeerProcess {
    /// `driftline peer` with a folder and these arguments.
    pub(super) fn start(driftline: &Path, wires: &Wires, machine: usize, tree: &Tree, arguments: &[&str]) -> Result<Self> {
        let mut command = wires.on(machine, driftline);
        command.args(["peer", "--folder"]).arg(tree.path()).args(arguments);
        Self::spawn(command)
    }

    /// A relay at port 8080, which answers by then.
    pub(super) fn relay(driftline: &Path, wires: &Wires, machine: usize, store: &Tree) -> Result<Self> {
        let mut command = wires.on(machine, driftline);
        command.args(["relay", "--listen", "0.0.0.0:8080", "--log", "error", "--data"]).arg(store.path());
        command.stdout(Stdio::piped());
        let mut child = without_settings(&mut command).stdin(Stdio::null()).spawn().context("the relay could not be started")?;
        let stdout = child.stdout.take().context("it was piped")?;
        let relay = Self(child);
        let mut lines = BufReader::new(stdout).lines();
        while !lines.next().context("the relay ended before it greeted")??.contains("  stop ") {}
        Ok(relay)
    }

    /// How the peer that keeps this folder says it stands, as JSON.
    pub(super) fn status(driftline: &Path, tree: &Tree) -> Result<String> {
        let mut command = Command::new(driftline);
        command.args(["peer", "status", "--json", "--folder"]).arg(tree.path());
        let output = without_settings(&mut command).output().context("driftline could not be started")?;
        ensure!(output.status.success(), "no status: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts a program, and waits until it prints a line with these words; answers that line. What it prints later is read and let go of.
    pub(super) fn until(mut command: Command, words: &str) -> Result<(Self, String)> {
        let child = without_settings(&mut command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.context("driftline could not be started")?;
        let stdout = child.stdout.take().context("it was piped")?;
        let process = Self(child);
        let (found, line) = mpsc::channel();
        let words = words.to_owned();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.contains(&words) {
                    // Only the first is waited for.
                    drop(found.send(line));
                }
            }
        });
        let line = line.recv_timeout(PRINTED_TIME_MAX).context("the program did not print what was waited for")?;
        Ok((process, line))
    }

    pub(super) fn spawn(mut command: Command) -> Result<Self> {
        let child = without_settings(&mut command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.context("the peer could not be started")?))
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A code, as the program makes them.
pub(super) fn pairing_code(driftline: &Path) -> Result<String> {
    let tree = Tree::new()?;
    let mut command = Command::new(driftline);
    command.args(["peer", "--pair", "--no-mdns", "--json", "--listen", "/ip4/127.0.0.1/tcp/0", "--folder"]).arg(tree.path());
    let mut child = without_settings(&mut command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("driftline could not be started")?;
    let stdout = child.stdout.take().context("it was piped")?;
    let process = PeerProcess(child);
    let line = BufReader::new(stdout).lines().next().context("a code is printed first")??;
    drop(process);
    let code = line.split(r#""code":""#).nth(1).and_then(|rest| rest.split('"').next());
    code.map(str::to_owned).with_context(|| format!("no code in {line}"))
}

/// What the user of this program has set is no business of the peers'.
fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTLINE_")) {
        command.env_remove(name);
    }
    command
}
