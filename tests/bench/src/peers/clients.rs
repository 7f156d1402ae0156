//! A process of clients: a command a line in, an answer a line out, both in JSON. `tests/bench/peers/clients.mjs` says what
//! they can be told.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long an answer may take that has no time of its own to wait for.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Clients that end with this value.
pub(super) struct Clients {
    process: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

impl Clients {
    /// Starts a process for clients of the server at this port.
    pub(super) fn start(folder: &Path, peer: &str, port: u16) -> Result<Self> {
        let mut process = Command::new("node")
            .arg(folder.join("peer.mjs"))
            .args([peer, "clients", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("Node could not be started")?;
        let commands = process.stdin.take().context("a process has an input")?;
        let lines = BufReader::new(process.stdout.take().context("a process has an output")?).lines();
        let (told, answers) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
        Ok(Self { process, commands, answers })
    }

    /// Tells them to do something, and waits until it is done.
    pub(super) fn ask(&mut self, command: Value) -> Result<Value> {
        self.tell(command)?;
        self.answer(PATIENCE)
    }

    /// Tells them to do something; [`Self::answer`] waits for it.
    pub(super) fn tell(&mut self, command: Value) -> Result<()> {
        writeln!(self.commands, "{command}").context("the clients have ended")
    }

    /// Waits for what was told last.
    pub(super) fn answer(&mut self, patience: Duration) -> Result<Value> {
        let line =
            self.answers.recv_timeout(patience).with_context(|| format!("no answer of the clients within {patience:?}"))?;
        let answer: Value = serde_json::from_str(&line)?;
        match answer["error"].as_str() {
            Some(error) => bail!("{error}"),
            None => Ok(answer),
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A number of an answer.
pub(super) fn number(answer: &Value, name: &str) -> Result<f64> {
    answer[name].as_f64().with_context(|| format!("the clients' answer has no {name}"))
}

/// Numbers of an answer.
pub(super) fn numbers(answer: &Value) -> Vec<f64> {
    answer.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}
