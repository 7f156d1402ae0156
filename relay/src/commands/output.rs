//! What a command prints: results on stdout, everything else on stderr, for people or (with `--json`) for scripts.

use super::failure::Failure;
use serde_json::{Value, json};
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two words on how far a command is, where the line is drawn over.
const PROGRESS_DRAWN: Duration = Duration::from_millis(100);
/// Time between two words on how far it is, where each is a line of its own.
const PROGRESS_LINES: Duration = Duration::from_secs(10);

/// Where a command prints.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    /// Whoever read stdout is gone, as after `| head`.
    closed: AtomicBool,
}

/// When it is time for another word on how far a long command is.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    told: Instant,
}

impl Pace {
    /// Whether it is time; then the next is so long from now.
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.told.elapsed() >= self.every;
        if is_due {
            self.told = Instant::now();
        }
        is_due
    }
}

impl Output {
    /// Output for scripts when `json`, for people otherwise.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, closed: AtomicBool::new(false) }
    }

    /// Whether progress can be shown on one line that is drawn over.
    pub(crate) fn draws(&self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// When to say how far a command is that begins now.
    pub(crate) fn pace(&self) -> Pace {
        Pace { every: if self.draws() { PROGRESS_DRAWN } else { PROGRESS_LINES }, told: Instant::now() }
    }

    /// Whether nobody reads stdout any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The result: `human` for people, `json` on one line for scripts.
    pub(crate) fn result(&self, human: &str, json: &Value) {
        let line = if self.json { json.to_string() } else { human.to_owned() };
        self.write(line.as_bytes());
        if !line.ends_with('\n') {
            self.write(b"\n");
        }
    }

    /// Bytes as they are.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.closed.store(true, Ordering::Relaxed),
            Err(error) => self.note(&format!("cannot write to standard output: {error}")),
            Ok(()) => {}
        }
    }

    /// How far a long command has come, where no line can be drawn over.
    pub(crate) fn progress_line(&self, text: &str, json: &Value) {
        let line = if self.json { json.to_string() } else { text.to_owned() };
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// Something people should know beside the result.
    pub(crate) fn note(&self, text: &str) {
        let line = if self.json { json!({ "note": text }).to_string() } else { text.to_owned() };
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// A page of help for someone who asked for nothing in particular.
    pub(crate) fn page(&self, text: &str) {
        if !self.json {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// How far a long command has come; drawn over by the next where the terminal can.
    pub(crate) fn progress(&self, text: &str) {
        if self.draws() {
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[2K{text}").and_then(|()| stderr.flush());
        } else {
            self.note(text);
        }
    }

    /// Wipes the line of progress.
    pub(crate) fn end_progress(&self) {
        if self.draws() {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[2K");
        }
    }

    /// Why the command failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        let line = if self.json { failure.to_json().to_string() } else { format!("driftline: {}", failure.message) };
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}
