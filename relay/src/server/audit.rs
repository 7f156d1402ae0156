//! The audit log: who came, who brought or changed what, and who was refused what, as one JSON object a line. No contents.

use crate::host::Host;
use crate::lan::did_of;
use driftline_core::engine::effect::{Audit, Event};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

/// Bytes of the file above which it is put aside, in place of the one that was put aside before.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Lines that wait to be written; more are counted and not written.
const WAITING_MAX: usize = 1_024;

/// Where what the server itself refuses is noted.
#[derive(Clone)]
pub(super) struct AuditLog {
    lines: mpsc::Sender<Value>,
}

impl AuditLog {
    /// Opens the file, and writes there what happens from now on.
    pub(super) fn open(path: PathBuf, host: &Host) -> io::Result<Self> {
        let mut file = Lines::open(path)?;
        let mut events = host.events();
        let (lines, mut own) = mpsc::channel::<Value>(WAITING_MAX);
        tokio::spawn(async move {
            loop {
                let line = tokio::select! {
                    event = events.recv() => match event {
                        Ok(event) => line_of(&event),
                        Err(RecvError::Lagged(missed)) => Some(json!({ "what": "missed", "events": missed })),
                        Err(RecvError::Closed) => return,
                    },
                    Some(line) = own.recv() => Some(line),
                };
                if let Some(line) = line {
                    file.write(line);
                }
            }
        });
        Ok(Self { lines })
    }

    /// Notes that a connection was not taken.
    pub(super) fn refused(&self, reason: &'static str) {
        // Who floods the door does not get the memory, too.
        drop(self.lines.try_send(json!({ "what": "refused", "reason": reason })));
    }
}

/// What of an event is noted.
fn line_of(event: &Arc<Event>) -> Option<Value> {
    let did = did_of;
    Some(match &**event {
        Event::PeerConnected { connection, peer, relay, .. } => {
            json!({ "what": "connected", "connection": connection, "peer": did(peer), "relay": relay })
        }
        Event::PeerDisconnected { connection: Some(connection), peer, reason, .. } => {
            json!({ "what": "disconnected", "connection": connection, "peer": peer.as_ref().map(did), "reason": reason })
        }
        Event::Audit(Audit::SpaceMade { space, peer }) => json!({ "what": "space", "space": space, "peer": did(peer) }),
        Event::Audit(Audit::StatementTaken { space, kind, statement, peer }) => {
            let statement = statement.to_string();
            json!({ "what": kind, "space": space, "statement": statement, "peer": peer.as_ref().map(did) })
        }
        Event::Audit(Audit::Refused { connection, peer, reason, text }) => {
            json!({ "what": "refused", "connection": connection, "peer": peer.as_ref().map(did), "reason": reason, "text": text })
        }
        _ => return None,
    })
}

/// The file.
struct Lines {
    path: PathBuf,
    file: File,
    bytes: u64,
    failed: bool,
}

impl Lines {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = append(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, failed: false })
    }

    fn write(&mut self, mut line: Value) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        line["unixMs"] = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).into();
        let line = format!("{line}\n");
        let written = self.make_room(line.len() as u64).and_then(|()| self.file.write_all(line.as_bytes()));
        match written {
            Ok(()) => {
                self.bytes += line.len() as u64;
                self.failed = false;
            }
            Err(error) if !self.failed => {
                tracing::error!("the audit log {} cannot be written: {error}", self.path.display());
                self.failed = true;
            }
            Err(_) => {}
        }
    }

    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        if self.bytes + bytes <= FILE_BYTES_MAX {
            return Ok(());
        }
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        std::fs::rename(&self.path, aside)?;
        (self.file, self.bytes) = (append(&self.path)?, 0);
        Ok(())
    }
}

/// A file that its owner alone may read.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_a_bounded_size_are_kept() {
        let folder = tempfile::TempDir::new().expect("there is a folder");
        let path = folder.path().join("audit.jsonl");
        let mut lines = Lines::open(path.clone()).expect("it opens");
        let line = json!({ "what": "refused", "text": "x".repeat(1024 * 1024) });
        for _ in 0..40 {
            lines.write(line.clone());
        }
        let bytes = |name: &str| std::fs::metadata(folder.path().join(name)).expect("it is there").len();
        assert!(bytes("audit.jsonl") <= FILE_BYTES_MAX && bytes("audit.jsonl.1") <= FILE_BYTES_MAX);
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 2);
        // What was there is added to.
        let before = bytes("audit.jsonl");
        Lines::open(path).expect("it opens").write(json!({ "what": "space" }));
        assert!(bytes("audit.jsonl") > before);
    }
}
