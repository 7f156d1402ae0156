//! Editing histories: what people typed, keystroke by keystroke, as josephg/editing-traces records it.
//!
//! A file is one gzipped (or plain) JSON object. *Sequential*: each transaction applies to the result of the one before.
//! *Concurrent* (`"kind": "concurrent"`): each transaction names its author and its parents, and applies to what merging
//! the parents gives. Positions and lengths count Unicode code points.

use flate2::read::GzDecoder;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Most bytes of JSON a trace may have once it is unpacked: a guard against a file that unpacks without end.
const TRACE_BYTES_MAX: u64 = 1 << 30;

/// Most authors a concurrent trace may have: each becomes a replica with a store and a connection.
const AGENTS_MAX: usize = 64;

/// A recorded editing history, checked: parents point backwards, agents exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// What the text reads before the first transaction.
    pub start: String,
    /// What it must read after the last.
    pub end: String,
    /// Who wrote: 1 where the trace is sequential.
    pub agents: usize,
    /// Whether transactions name parents.
    pub concurrent: bool,
    /// What was typed, in an order in which parents come first.
    pub transactions: Vec<Transaction>,
}

/// What became one change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Transaction {
    /// Transactions whose merged result this one applies to; unused in a sequential trace.
    #[serde(default)]
    pub parents: Vec<usize>,
    /// Its author.
    #[serde(default)]
    pub agent: usize,
    /// What it did, in order.
    pub patches: Vec<Patch>,
}

/// One replacement in the text: where, how many code points go, what comes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Patch(pub usize, pub usize, pub String);

/// Why a file is not a trace.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not the JSON of a trace.
    #[error("{path} is not an editing trace: {source}")]
    Json {
        /// The file.
        path: String,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// It is one, but contradicts itself.
    #[error("transaction {index} of the trace {what}")]
    Invalid {
        /// Which transaction, from 0.
        index: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More authors than one process can play.
    #[error("the trace has {found} authors; at most {AGENTS_MAX} can be played, each being a replica of its own")]
    Agents {
        /// How many it has.
        found: usize,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TraceFile {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    start_content: String,
    end_content: String,
    #[serde(default)]
    num_agents: Option<usize>,
    txns: Vec<Transaction>,
}

impl Trace {
    /// Reads the trace at `path`, unpacking it where it is gzipped.
    pub(crate) fn read(path: &Path) -> Result<Self, TraceError> {
        let shown = || path.display().to_string();
        let unreadable = |source| TraceError::Read { path: shown(), source };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let gzipped = std::io::BufRead::fill_buf(&mut file).map_err(unreadable)?.starts_with(&[0x1f, 0x8b]);
        let json: Box<dyn Read> = if gzipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
        // From memory the parser is several times faster than from a stream.
        let mut bytes = Vec::new();
        json.take(TRACE_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
        let file: TraceFile = serde_json::from_slice(&bytes).map_err(|source| TraceError::Json { path: shown(), source })?;
        Self::check(file)
    }

    fn check(file: TraceFile) -> Result<Self, TraceError> {
        let concurrent = file.kind.as_deref() == Some("concurrent");
        let agents = if concurrent { file.num_agents.unwrap_or(1) } else { 1 };
        if agents > AGENTS_MAX {
            return Err(TraceError::Agents { found: agents });
        }
        for (index, transaction) in file.txns.iter().enumerate().filter(|_| concurrent) {
            let what = if transaction.parents.iter().any(|parent| *parent >= index) {
                "has a parent that does not come before it"
            } else if transaction.parents.is_empty() && index > 0 {
                "has no parent"
            } else if transaction.agent >= agents {
                "names an author the trace does not have"
            } else {
                continue;
            };
            return Err(TraceError::Invalid { index, what });
        }
        Ok(Self { start: file.start_content, end: file.end_content, agents, concurrent, transactions: file.txns })
    }

    /// How many single replacements it has in all.
    pub(crate) fn patches(&self) -> usize {
        self.transactions.iter().map(|transaction| transaction.patches.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Trace, TraceError> {
        Trace::check(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_sequential_trace_needs_neither_kind_nor_parents() {
        let trace = parse(r#"{"startContent":"a","endContent":"ab","txns":[{"time":"now","patches":[[1,0,"b"]]}]}"#).unwrap();
        assert!(!trace.concurrent);
        assert_eq!((trace.agents, trace.start.as_str(), trace.patches()), (1, "a", 1));
        assert_eq!(trace.transactions[0].patches[0], Patch(1, 0, "b".to_owned()));
    }

    #[test]
    fn a_parent_from_the_future_is_refused() {
        let json = r#"{"kind":"concurrent","endContent":"","numAgents":1,"txns":[{"parents":[0],"agent":0,"patches":[]}]}"#;
        assert!(parse(json).unwrap_err().to_string().contains("transaction 0"));
    }

    #[test]
    fn an_unknown_author_is_refused() {
        let json = r#"{"kind":"concurrent","endContent":"","numAgents":1,"txns":[{"parents":[],"agent":1,"patches":[]}]}"#;
        assert!(parse(json).unwrap_err().to_string().contains("author"));
    }

    #[test]
    fn more_authors_than_replicas_that_fit_are_refused() {
        let json = r#"{"kind":"concurrent","endContent":"","numAgents":65,"txns":[]}"#;
        assert!(matches!(parse(json), Err(TraceError::Agents { found: 65 })));
    }

    #[test]
    fn packed_and_plain_files_read_the_same() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let json = br#"{"endContent":"x","txns":[{"patches":[[0,0,"x"]]}]}"#;
        let plain = folder.path().join("trace.json");
        std::fs::write(&plain, json).unwrap();
        let packed = folder.path().join("trace.json.gz");
        let mut gzip = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
        gzip.write_all(json).unwrap();
        gzip.finish().unwrap();
        assert_eq!(Trace::read(&plain).unwrap(), Trace::read(&packed).unwrap());
        assert!(Trace::read(&folder.path().join("missing")).unwrap_err().to_string().contains("cannot read"));
    }
}
