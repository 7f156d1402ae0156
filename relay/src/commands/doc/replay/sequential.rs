//! A sequential history: one client types everything.

use super::super::failure::Failure;
use super::player::{Player, Stage};
use super::progress::Progress;
use super::trace::{Trace, Transaction};
use crate::repo::{Level, RepoError};
use driftline_core::base::id::DocumentId;
use driftline_core::base::time::Now;
use driftline_core::engine::Engine;
use std::ops::Range;
use std::sync::Arc;

/// Transactions that are typed at a stretch, before the relay's acknowledgement is waited for. Many together let the
/// engine, the network and both disks work in long strides; each is a change of its own all the same.
const STRIDE: usize = 1_000;

/// Plays `trace` and answers who typed.
pub(crate) async fn play(stage: &Stage, trace: &Arc<Trace>, progress: &Progress<'_>) -> Result<Vec<Player>, Failure> {
    let writer = Player::begin(stage, &trace.start).await?;
    let document = writer.handle().id();
    let total = trace.transactions.len();
    for start in (0..total).step_by(STRIDE) {
        let stride = start..total.min(start + STRIDE);
        let (typed, trace) = (stride.len(), Arc::clone(trace));
        writer.repo().call(move |engine, now| type_all(engine, now, document, &trace.transactions, stride)).await??;
        progress.typed(typed);
        writer.handle().when_saved_within(Level::Relay, stage.patience).await?;
        progress.acknowledged();
    }
    Ok(vec![writer])
}

fn type_all(
    engine: &mut Engine,
    now: Now,
    document: DocumentId,
    transactions: &[Transaction],
    stride: Range<usize>,
) -> Result<(), RepoError> {
    for transaction in &transactions[stride] {
        engine.change(now, document, None, |tx| {
            transaction.patches.iter().try_for_each(|patch| tx.splice("body", patch.0, patch.1, &patch.2))
        })?;
    }
    Ok(())
}
