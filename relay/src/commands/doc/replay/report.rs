//! What came of a replay.

use super::super::failure::{Failure, FailureKind};
use super::player::Player;
use driftline_core::base::id::{DocumentId, SpaceId};
use serde_json::{Value as Json, json};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What came of a replay.
pub(crate) struct Report {
    /// The history.
    pub trace: PathBuf,
    /// Whether its authors typed at once.
    pub concurrent: bool,
    /// Transactions played, each one change.
    pub transactions: usize,
    /// Replacements in them.
    pub patches: usize,
    /// The space it took place in.
    pub space: SpaceId,
    /// The document.
    pub document: DocumentId,
    /// Until the last transaction was typed.
    pub typed: Duration,
    /// Until the relay had acknowledged all.
    pub acknowledged: Duration,
    /// From opening the late client until it held all.
    pub late: Duration,
    /// Length of the text that everyone must read.
    pub characters: usize,
    /// What everyone read at the end.
    pub readers: Vec<Reader>,
}

/// What one replica read at the end.
pub(crate) struct Reader {
    name: String,
    bytes_in: u64,
    bytes_out: u64,
    /// Where its text departs from what it must be, when it does.
    mismatch: Option<String>,
}

impl Reader {
    /// What `player` reads, held against what it must read.
    pub(crate) async fn of(name: &str, player: &Player, expected: &str) -> Result<Self, Failure> {
        let text = player.handle().text("body").await?.unwrap_or_default();
        let (bytes_in, bytes_out) = player.traffic();
        Ok(Self { name: name.to_owned(), bytes_in, bytes_out, mismatch: departure(&text, expected) })
    }
}

/// Where `text` departs from `expected`.
fn departure(text: &str, expected: &str) -> Option<String> {
    if text == expected {
        return None;
    }
    let same = text.chars().zip(expected.chars()).take_while(|(read, wanted)| read == wanted).count();
    let excerpt = |text: &str| text.chars().skip(same).take(24).collect::<String>();
    let (read, wanted) = (text.chars().count(), expected.chars().count());
    Some(format!(
        "reads {read} characters where {wanted} are right; from {same} on it is {:?} instead of {:?}",
        excerpt(text),
        excerpt(expected)
    ))
}

impl Report {
    /// Whether everyone read what they must.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let wrong: Vec<String> = self
            .readers
            .iter()
            .filter_map(|reader| reader.mismatch.as_ref().map(|how| format!("{} {how}", reader.name)))
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(Failure::new(FailureKind::Mismatch, wrong.join("; "))) }
    }

    /// The report for scripts.
    pub(crate) fn to_json(&self) -> Json {
        let readers: Vec<Json> = self
            .readers
            .iter()
            .map(|reader| json!({ "name": reader.name, "equal": reader.mismatch.is_none(), "bytesIn": reader.bytes_in, "bytesOut": reader.bytes_out }))
            .collect();
        json!({
            "trace": self.trace,
            "kind": if self.concurrent { "concurrent" } else { "sequential" },
            "transactions": self.transactions,
            "patches": self.patches,
            "space": self.space,
            "document": self.document,
            "typedMs": self.typed.as_millis() as u64,
            "acknowledgedMs": self.acknowledged.as_millis() as u64,
            "lateMs": self.late.as_millis() as u64,
            "changesPerSecond": self.rate(),
            "characters": self.characters,
            "equal": self.verdict().is_ok(),
            "readers": readers,
        })
    }

    /// Changes a second, from the first letter to the relay's last acknowledgement.
    fn rate(&self) -> u64 {
        (self.transactions as f64 / self.acknowledged.as_secs_f64().max(0.001)) as u64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());
        writeln!(f, "{}: {} changes, {} characters at the end", self.trace.display(), self.transactions, self.characters)?;
        writeln!(f, "  typed in          {}", seconds(self.typed))?;
        writeln!(f, "  on the relay in   {}  ({} changes/s)", seconds(self.acknowledged), self.rate())?;
        writeln!(f, "  late client in    {}", seconds(self.late))?;
        for reader in &self.readers {
            let verdict = if reader.mismatch.is_none() { "reads the expected text" } else { "READS SOMETHING ELSE" };
            writeln!(f, "  {:<16}  {verdict}; {} in, {} out", reader.name, size(reader.bytes_in), size(reader.bytes_out))?;
        }
        write!(f, "  document {} in space {}", self.document, self.space)
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_says_where_it_begins() {
        assert_eq!(departure("höher", "höher"), None);
        let how = departure("höhre", "höher").unwrap();
        assert!(how.contains("from 3 on") && how.contains("\"re\"") && how.contains("\"er\""), "{how}");
    }

    #[test]
    fn sizes_read_short() {
        assert_eq!((size(999), size(12_345), size(28_200_000)), ("999 B".into(), "12.3 kB".into(), "28.2 MB".into()));
    }
}
