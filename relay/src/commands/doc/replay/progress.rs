//! How far a replay has come.

use super::super::output::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often it is shown where the line is drawn over.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// How often it is printed where each time is a line of its own.
const PRINTED_EVERY: Duration = Duration::from_secs(5);

/// How far a replay has come.
pub(crate) struct Progress<'a> {
    output: &'a Output,
    total: usize,
    typed: AtomicUsize,
    acknowledged: AtomicUsize,
    begun: Instant,
}

impl<'a> Progress<'a> {
    /// Of a replay of `total` transactions that begins now.
    pub(crate) fn new(output: &'a Output, total: usize) -> Self {
        Self { output, total, typed: AtomicUsize::new(0), acknowledged: AtomicUsize::new(0), begun: Instant::now() }
    }

    /// So many more transactions were typed.
    pub(crate) fn typed(&self, more: usize) {
        self.typed.fetch_add(more, Ordering::Relaxed);
    }

    /// All that has been typed is acknowledged by the relay.
    pub(crate) fn acknowledged(&self) {
        self.acknowledged.store(self.typed.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Says something between times.
    pub(crate) fn say(&self, text: &str) {
        self.output.progress(text);
    }

    /// Shows itself now and then while `work` is done.
    pub(crate) async fn while_shown<R>(&self, work: impl Future<Output = R>) -> R {
        let mut ticks = tokio::time::interval(if self.output.draws() { DRAWN_EVERY } else { PRINTED_EVERY });
        ticks.tick().await;
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => {
                    self.output.end_progress();
                    return result;
                }
                _ = ticks.tick() => self.show(),
            }
        }
    }

    fn show(&self) {
        let (typed, acknowledged) = (self.typed.load(Ordering::Relaxed), self.acknowledged.load(Ordering::Relaxed));
        let rate = typed as f64 / self.begun.elapsed().as_secs_f64();
        let acknowledged = if acknowledged > 0 { format!(", {acknowledged} on the relay") } else { String::new() };
        self.output.progress(&format!("{typed} of {} typed{acknowledged}, {rate:.0} changes/s", self.total));
    }
}
