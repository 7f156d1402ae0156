//! Traces: the way of a change from its frame to its commit and to its pushes, followed for one frame in so many.
//!
//! A frame that is followed has a span from its arrival on. Its children are `engine`, from its turn until everything it
//! caused is under way; `commit`, until its changes are durable; and a `push` for each peer they are sent to, until that
//! is written. The frame's span ends with the last of them. A frame that is not followed costs one addition.
//!
//! Spans are `tracing`'s, with the target [`TRACE_TARGET`]; where nobody listens to that, none are made.

use driftline_core::base::id::{ConnectionId, TaskId};
use driftline_core::sync::message::brings_entries;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::{Span, field, info_span};

/// The target of spans that are traces.
pub const TRACE_TARGET: &str = "driftline::trace";
/// Pushes followed of what was told at once: beyond these the others look the same.
const PUSHES_MAX: usize = 16;
/// Followed frames that wait for their commit; while a disk is behind, further ones are not followed there.
const UNCOMMITTED_MAX: usize = 256;

/// Which frames are followed.
#[derive(Debug, Default)]
pub struct TraceSampling {
    /// One frame in so many; 0 for none.
    one_in: AtomicU64,
    frames: AtomicU64,
}

impl TraceSampling {
    /// Follows this part of all frames that bring changes, from now on: 1 for all, 0 for none.
    pub fn set_ratio(&self, ratio: f64) {
        let one_in = if ratio > 0.0 { (1.0 / ratio.min(1.0)).round() as u64 } else { 0 };
        self.one_in.store(one_in, Ordering::Relaxed);
    }

    /// The span of a frame that has just arrived, if it is to be followed.
    pub(super) fn frame(&self, connection: ConnectionId, bytes: &[u8]) -> Option<Box<Span>> {
        let one_in = self.one_in.load(Ordering::Relaxed);
        if one_in == 0 || !brings_entries(bytes) || !self.frames.fetch_add(1, Ordering::Relaxed).is_multiple_of(one_in) {
            return None;
        }
        let span = info_span!(
            target: TRACE_TARGET, parent: None, "frame", otel.kind = "consumer", connection = connection.0, bytes = bytes.len()
        );
        (!span.is_disabled()).then(|| Box::new(span))
    }
}

/// What is being followed on the engine's thread.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// Frames the engine was told of since it was last drained, and its work on them.
    told: Vec<(Span, Span)>,
    /// Frames whose changes are not in an append yet.
    uncommitted: Vec<Span>,
    /// Appends under way, and the commits they are for those that are followed.
    committing: BTreeMap<TaskId, Vec<Span>>,
    pushes: usize,
}

impl Traces {
    /// The engine is about to be told of a frame.
    pub(super) fn on_told(&mut self, frame: Option<Box<Span>>) {
        let Some(frame) = frame else { return };
        let engine = info_span!(target: TRACE_TARGET, parent: &*frame, "engine");
        if self.uncommitted.len() < UNCOMMITTED_MAX {
            self.uncommitted.push((*frame).clone());
        }
        self.told.push((*frame, engine));
    }

    /// A frame is about to be sent; answers the span that ends once it is written.
    pub(super) fn on_push(&mut self, connection: ConnectionId, frame: &[u8]) -> Option<Box<Span>> {
        let (cause, _) = self.told.first()?;
        if self.pushes == PUSHES_MAX || !brings_entries(frame) {
            return None;
        }
        self.pushes += 1;
        Some(Box::new(info_span!(
            target: TRACE_TARGET, parent: cause, "push", otel.kind = "producer", connection = connection.0, bytes = frame.len()
        )))
    }

    /// What has come so far is about to be appended.
    pub(super) fn on_append(&mut self, task: TaskId, changes: usize) {
        if self.uncommitted.is_empty() {
            return;
        }
        let commit =
            |frame: Span| info_span!(target: TRACE_TARGET, parent: &frame, "commit", changes, otel.status_code = field::Empty);
        let commits = self.uncommitted.drain(..).map(commit).collect();
        self.committing.insert(task, commits);
    }

    /// An append was answered.
    pub(super) fn on_appended(&mut self, task: TaskId, durable: bool) {
        for commit in self.committing.remove(&task).unwrap_or_default() {
            if !durable {
                commit.record("otel.status_code", "ERROR");
            }
        }
    }

    /// Everything that was told has been acted on; when nothing is being appended or waits for it, nothing of it is left to append.
    pub(super) fn on_drained(&mut self, appending: bool) {
        self.told.clear();
        self.pushes = 0;
        if !appending {
            self.uncommitted.clear();
        }
    }
}
