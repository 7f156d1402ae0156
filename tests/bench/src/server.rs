//! A server under measurement: a process of its own, so that what it costs can be read from the kernel.

use crate::scratch::Scratch;
use anyhow::{Context as _, Result, bail};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take until it answers.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// The kernel's clock ticks in a second, as `/proc` counts them on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server that ends with this value.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it printed.
    log: PathBuf,
}

impl Server {
    /// The relay that lies beside this program, with a store of this name; as it is without options, but for `further` ones.
    pub(crate) fn relay(programs: &Path, scratch: &Scratch, store: &str, further: &[&str]) -> Result<Self> {
        let data = scratch.folder.join(store);
        Self::start(&program(programs, "driftline"), "/readyz", scratch.folder.join("relay.log"), |address| {
            let (address, data) = (address.to_string(), data.to_string_lossy().into_owned());
            let usual = ["relay", "--listen", &address, "--data", &data];
            usual.iter().chain(further).map(|&argument| argument.to_owned()).collect()
        })
    }

    /// The bare broadcast that lies beside this program.
    pub(crate) fn anchor(programs: &Path, scratch: &Scratch) -> Result<Self> {
        let log = scratch.folder.join("anchor.log");
        Self::start(&program(programs, "driftline-anchor"), "/healthz", log, |address| vec![address.to_string()])
    }

    /// samod's server that lies beside this program, with its documents in this folder.
    pub(crate) fn samod(programs: &Path, folder: &Path, log: PathBuf) -> Result<Self> {
        Self::start(&program(programs, "driftline-samod"), "/", log, |address| {
            vec![address.to_string(), folder.to_string_lossy().into_owned()]
        })
    }

    /// Starts `program` with the arguments that `arguments` gives for an address, and waits until it answers at `path`.
    pub(crate) fn start(
        program: &Path,
        path: &str,
        log: PathBuf,
        arguments: impl FnOnce(SocketAddr) -> Vec<String>,
    ) -> Result<Self> {
        let address = free_address()?;
        let output = std::fs::File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let child = Command::new(program)
            .args(arguments(address))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        let mut server = Self { child, address, log };
        let began = Instant::now();
        while get(address, path).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended at once ({status}):\n{}", program.display(), server.printed());
            }
            if began.elapsed() > START_TIME_MAX {
                bail!("{} did not answer within {START_TIME_MAX:?}:\n{}", program.display(), server.printed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Seconds of processor time it has used so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds_of(self.child.id())
    }

    /// Megabytes of memory it holds now.
    pub(crate) fn resident_mb(&self) -> Result<f64> {
        self.status_mb("VmRSS:")
    }

    /// Has [`peak_mb`](Self::peak_mb) begin anew with what it holds now (`proc(5)`, `clear_refs`).
    pub(crate) fn forget_peak(&self) -> Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")
            .context("the peak of the memory is not to be set back")
    }

    /// Megabytes of memory it held at most, ever or since its peak was forgotten.
    pub(crate) fn peak_mb(&self) -> Result<f64> {
        self.status_mb("VmHWM:")
    }

    fn status_mb(&self, name: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("/proc/PID/status has no {name}"))?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(programs: &Path, name: &str) -> PathBuf {
    programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    connection.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("{path} answered {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Seconds of processor time that a process has used so far.
pub(crate) fn cpu_seconds_of(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).context("figures come from Linux's /proc")?;
    // The name, in brackets, may hold spaces; user and system time are the 12th and 13th fields after it.
    let fields: Vec<&str> = stat.rsplit_once(')').context("/proc/PID/stat has no name")?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("/proc/PID/stat is short");
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}
