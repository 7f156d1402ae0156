//! A real relay: the `driftline` binary with a folder of its own, that can be killed and started again in the same place.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long anything may take; only a failure takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Relay {
    process: Option<Child>,
    data: TempDir,
    port: u16,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut relay = Self { process: None, data: TempDir::new().unwrap(), port };
        relay.start_again().await;
        relay
    }

    /// Starts it, again after [`Self::kill`] or [`Self::stop`], and waits until it is ready.
    pub(crate) async fn start_again(&mut self) {
        let program = driftline();
        let log = std::fs::File::create(self.data.path().join("log")).unwrap();
        let process = Command::new(&program)
            .args(["relay", "--listen", &format!("127.0.0.1:{}", self.port), "--data"])
            .arg(self.data.path().join("data"))
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.process = Some(process.unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display())));
        let since = Instant::now();
        while !self.is_ready().await {
            assert!(since.elapsed() < PATIENCE, "the relay is not ready:\n{}", self.said());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends it as a power cut does.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
        }
    }

    /// Ends it as an operator does.
    pub(crate) async fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let id = process.id().expect("it has not ended").to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        process.wait().await.unwrap();
    }

    /// Where automerge-repo's and samod's clients sync.
    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    /// Where Driftline's own clients sync.
    pub(crate) fn endpoint(&self) -> String {
        format!("ws://127.0.0.1:{}/sync", self.port)
    }

    /// What it wrote to its log.
    fn said(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }

    async fn is_ready(&self) -> bool {
        let answer = async {
            let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await?;
            connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n").await?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        answer.await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }
}

/// The program: where `DRIFTLINE` says, or beside these tests.
fn driftline() -> PathBuf {
    if let Some(named) = std::env::var_os("DRIFTLINE") {
        return named.into();
    }
    let tests = std::env::current_exe().unwrap();
    // These lie in TARGET/debug/deps.
    let folder = tests.ancestors().nth(2).unwrap_or(Path::new(""));
    folder.join(format!("driftline{}", std::env::consts::EXE_SUFFIX))
}

/// Waits until `wanted` answers true.
pub(crate) async fn until(what: &str, mut wanted: impl FnMut() -> bool) {
    let since = Instant::now();
    while !wanted() {
        assert!(since.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
