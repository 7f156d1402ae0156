//! What happened: a hash of every input and effect, and on request the last of them as text.
//!
//! Two runs of one seed must give one hash. Where they do not, something iterated an unordered map, read a clock or
//! drew a number of its own, and no seed can be trusted until it is found.

use driftline_core::engine::effect::Effect;
use driftline_core::engine::input::Input;
use driftline_core::store::task::{StoreDone, StoreError, StoreTask};
use driftline_core::sync::message::Message;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Lines kept while recording, unless `DRIFTLINE_SIM_LINES` says otherwise.
const LINES_MAX: usize = 200;

/// The trace of one life.
#[derive(Debug, Default)]
pub struct Trace {
    hasher: DefaultHasher,
    /// Inputs and effects seen.
    pub steps: u64,
    recording: bool,
    lines: VecDeque<String>,
    lines_max: usize,
    /// What each step hashed to, when every one is wanted.
    pub marks: Option<Vec<u64>>,
}

impl Trace {
    /// A trace that keeps text as well when `recording`, which is slow.
    pub fn new(recording: bool) -> Self {
        let lines_max = std::env::var("DRIFTLINE_SIM_LINES").ok().and_then(|text| text.parse().ok()).unwrap_or(LINES_MAX);
        Self { recording, lines_max, ..Self::default() }
    }

    /// The hash so far.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// The last lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Something the world did.
    pub fn word(&mut self, now_ms: u64, word: impl FnOnce() -> String) {
        self.step(now_ms, 0xff);
        if self.recording {
            let word = word();
            self.line(now_ms, "  ", word);
        }
        self.mark();
    }

    /// An input told to replica `replica`.
    pub fn input(&mut self, now_ms: u64, replica: usize, input: &Input) {
        self.step(now_ms, replica);
        match input {
            Input::Frame { connection, bytes } => (1u8, connection.0, bytes).hash(&mut self.hasher),
            Input::Written { connection, bytes } => (2u8, connection.0, bytes).hash(&mut self.hasher),
            Input::Tick => 3u8.hash(&mut self.hasher),
            Input::StoreDone { task, result } => {
                (4u8, task.0).hash(&mut self.hasher);
                self.done(result);
            }
            other => (5u8, format!("{other:?}")).hash(&mut self.hasher),
        }
        if self.recording && !matches!(input, Input::Written { .. }) {
            let text = match input {
                Input::Frame { connection, bytes } => format!("frame on {} : {}", connection.0, shown(bytes)),
                Input::StoreDone { task, result } => format!("done {} : {}", task.0, shown_done(result)),
                other => format!("{other:?}"),
            };
            self.line(now_ms, &format!("{replica} <"), text);
        }
        self.mark();
    }

    /// An effect of replica `replica`.
    pub fn effect(&mut self, now_ms: u64, replica: usize, effect: &Effect) {
        self.step(now_ms, replica);
        match effect {
            Effect::Send { connection, frame } => (11u8, connection.0, frame).hash(&mut self.hasher),
            Effect::Store { task, work: StoreTask::Append { entries, .. } } => {
                (12u8, task.0).hash(&mut self.hasher);
                for stored in entries {
                    (stored.position, stored.entry.hash.0).hash(&mut self.hasher);
                }
            }
            other => (13u8, format!("{other:?}")).hash(&mut self.hasher),
        }
        if self.recording {
            let text = match effect {
                Effect::Send { connection, frame } => format!("send on {} : {}", connection.0, shown(frame)),
                Effect::Store { task, work: StoreTask::Append { entries, .. } } => {
                    let mut text = format!("store {} : append", task.0);
                    for stored in entries {
                        let entry = &stored.entry;
                        let _ = write!(text, " {}={}@{}", stored.position, short(&entry.hash), entry.seq);
                    }
                    text
                }
                Effect::Event(event) => format!("{event:?}"),
                other => format!("{other:?}"),
            };
            self.line(now_ms, &format!("{replica} >"), text);
        }
        self.mark();
    }

    fn step(&mut self, now_ms: u64, replica: usize) {
        self.steps += 1;
        (now_ms, replica).hash(&mut self.hasher);
    }

    fn mark(&mut self) {
        let hash = self.hasher.finish();
        if let Some(marks) = &mut self.marks {
            marks.push(hash);
        }
    }

    fn done(&mut self, result: &Result<StoreDone, StoreError>) {
        match result {
            Ok(StoreDone::Read { entries, complete }) => {
                complete.hash(&mut self.hasher);
                for (position, entry) in entries {
                    (position, entry.hash.0).hash(&mut self.hasher);
                }
            }
            other => format!("{other:?}").hash(&mut self.hasher),
        }
    }

    fn line(&mut self, now_ms: u64, who: &str, mut text: String) {
        if text.len() > 400 {
            let end = (0..=400).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        if self.lines.len() >= self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{now_ms:>8} {who} {text}"));
    }
}

fn short(hash: &impl ToString) -> String {
    hash.to_string()[..8].to_owned()
}

fn shown(bytes: &[u8]) -> String {
    let mut text = format!("{} bytes ", bytes.len());
    match Message::decode(bytes) {
        Ok(Message::Entries { document, payloads, .. }) => {
            let _ = write!(text, "entries of {}:", short(&document));
            for payload in payloads {
                let _ = match automerge::Change::from_bytes(payload.to_vec()) {
                    Ok(change) => write!(text, " {}@{}", short(&change.hash()), change.seq()),
                    Err(error) => write!(text, " ({error})"),
                };
            }
        }
        Ok(message) => _ = write!(text, "{message:?}"),
        Err(error) => _ = write!(text, "({error})"),
    }
    text
}

fn shown_done(result: &Result<StoreDone, StoreError>) -> String {
    match result {
        Ok(StoreDone::Read { entries, complete }) => {
            let mut text = format!("read, complete {complete}:");
            for (position, entry) in entries {
                let _ = write!(text, " {position}={}@{}", short(&entry.hash), entry.seq);
            }
            text
        }
        other => format!("{other:?}"),
    }
}
