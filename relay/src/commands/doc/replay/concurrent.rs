//! A concurrent history: each author is a replica of its own, and all type at once.
//!
//! An author types a transaction when those it builds on have arrived, and types it on exactly their version: what else
//! has arrived by then does not count. Nobody tells them when to wait but the network.

use super::super::failure::Failure;
use super::expected::{Versions, edit_of};
use super::player::{Player, Stage, stuck};
use super::progress::Progress;
use super::trace::Trace;
use crate::repo::{Level, RepoError};
use driftline_core::base::id::DocumentId;
use driftline_core::base::time::Now;
use driftline_core::engine::Engine;
use futures_util::future::try_join_all;
use std::sync::{Arc, Mutex, PoisonError};

/// Transactions an author types at a stretch, at most, before it looks at what has arrived.
const STRIDE: usize = 100;

/// Plays `trace` and answers who typed.
pub(crate) async fn play(stage: &Stage, trace: &Arc<Trace>, progress: &Progress<'_>) -> Result<Vec<Player>, Failure> {
    let first = Player::begin(stage, &trace.start).await?;
    first.handle().when_saved_within(Level::Relay, stage.patience).await?;
    let document = first.handle().id();
    let root = first.handle().heads().await?;
    let mut authors = vec![first];
    for _ in 1..trace.agents {
        authors.push(Player::join(stage, document).await?);
    }
    let versions = Arc::new(Mutex::new(Versions::new(trace.transactions.len(), root)));
    let typing = authors.iter().enumerate().map(|(agent, author)| type_own(stage, author, agent, trace, &versions, progress));
    try_join_all(typing).await?;
    let mut heads = Vec::new();
    for author in &authors {
        heads.extend(author.handle().heads().await?);
        author.handle().when_saved_within(Level::Relay, stage.patience).await?;
    }
    progress.acknowledged();
    for author in &authors {
        author.wait_for(&heads, stage.patience).await?;
    }
    Ok(authors)
}

/// Types all of one author's transactions.
async fn type_own(
    stage: &Stage,
    author: &Player,
    agent: usize,
    trace: &Arc<Trace>,
    versions: &Arc<Mutex<Versions>>,
    progress: &Progress<'_>,
) -> Result<(), Failure> {
    let indices =
        trace.transactions.iter().enumerate().filter(|(_, transaction)| transaction.agent == agent).map(|(index, _)| index);
    let own: Arc<[usize]> = indices.collect();
    let document = author.handle().id();
    let mut events = author.repo().host().events();
    let mut next = 0;
    while next < own.len() {
        let (own, trace, versions) = (Arc::clone(&own), Arc::clone(trace), Arc::clone(versions));
        let typed =
            author.repo().call(move |engine, now| type_ready(engine, now, document, &trace, &own[next..], &versions)).await??;
        next += typed;
        progress.typed(typed);
        if typed == 0 {
            // What is waited for comes as a change from the relay, and every change is an event.
            if tokio::time::timeout(stage.patience, events.recv()).await.is_err() {
                return Err(stuck(stage.patience));
            }
            while events.try_recv().is_ok() {}
        }
    }
    Ok(())
}

/// Types the transactions whose parents have arrived, up to the first whose have not, and answers how many.
fn type_ready(
    engine: &mut Engine,
    now: Now,
    document: DocumentId,
    trace: &Trace,
    own: &[usize],
    versions: &Mutex<Versions>,
) -> Result<usize, RepoError> {
    let mut typed = 0;
    for index in own.iter().take(STRIDE) {
        let transaction = &trace.transactions[*index];
        let before = versions.lock().unwrap_or_else(PoisonError::into_inner).before(transaction);
        let arrived = |heads: &Vec<_>| engine.document(&document).is_some_and(|document| document.holds(heads));
        let Some(before) = before.filter(arrived) else { break };
        let hash = engine.edit_at(now, document, &before, &edit_of(transaction))?;
        let after = hash.map_or(before, |hash| vec![hash]);
        versions.lock().unwrap_or_else(PoisonError::into_inner).set(*index, after);
        typed += 1;
    }
    Ok(typed)
}
