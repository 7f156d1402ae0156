//! `replay`: an editing history, played through a relay by as many replicas as it has authors, and checked at the end.

mod concurrent;
mod expected;
mod player;
mod progress;
mod report;
mod sequential;
mod text;
mod trace;

use super::failure::{Failure, FailureKind};
use super::options::{ClientOptions, Replay};
use super::output::Output;
use crate::repo::Level;
use player::{Player, Stage};
use progress::Progress;
use report::{Reader, Report};
use std::sync::Arc;
use std::time::Instant;
use trace::Trace;

/// Plays the history that was named.
pub(crate) async fn run(replay: &Replay, options: &ClientOptions, output: &Output) -> Result<(), Failure> {
    let Some(relay) = options.relays.first() else {
        let advice = "start one with `driftline relay`, and name it: --relay ws://localhost:8080/sync";
        return Err(Failure::new(FailureKind::Usage, format!("a replay goes through a relay: {advice}")));
    };
    let mut trace = Trace::read(&replay.trace).map_err(|error| Failure::new(FailureKind::Failed, error.to_string()))?;
    let whole = replay.limit.is_none_or(|limit| limit >= trace.transactions.len());
    if let Some(limit) = replay.limit {
        trace.transactions.truncate(limit);
    }
    let expected = if whole { trace.end.clone() } else { expected::text_after(&trace)? };
    let trace = Arc::new(trace);
    let stage = Stage {
        relay: relay.clone(),
        space: options.space.clone().unwrap_or_else(player::fresh_space),
        on_disk: !options.memory,
        patience: replay.patience,
        title: replay.trace.file_stem().map_or_else(|| "replay".to_owned(), |name| name.to_string_lossy().into_owned()),
    };

    let progress = Progress::new(output, trace.transactions.len());
    let begun = Instant::now();
    let played = async {
        if trace.concurrent {
            concurrent::play(&stage, &trace, &progress).await
        } else {
            sequential::play(&stage, &trace, &progress).await
        }
    };
    let authors = progress.while_shown(played).await?;
    let typed = begun.elapsed();
    for author in &authors {
        author.handle().when_saved_within(Level::Relay, stage.patience).await?;
    }
    let acknowledged = begun.elapsed();
    let heads = authors[0].handle().heads().await?;

    progress.say("a client that held nothing joins");
    let joined = Instant::now();
    let late = Player::join(&stage, authors[0].handle().id()).await?;
    late.wait_for(&heads, stage.patience).await?;
    let mut readers = Vec::new();
    let late_took = joined.elapsed();
    for (index, author) in authors.iter().enumerate() {
        readers.push(Reader::of(&format!("author {}", index + 1), author, &expected).await?);
    }
    readers.push(Reader::of("late client", &late, &expected).await?);

    let report = Report {
        trace: replay.trace.clone(),
        concurrent: trace.concurrent,
        transactions: trace.transactions.len(),
        patches: trace.patches(),
        space: late.handle().space(),
        document: late.handle().id(),
        typed,
        acknowledged,
        late: late_took,
        characters: expected.chars().count(),
        readers,
    };
    for player in authors.into_iter().chain([late]) {
        player.leave().await;
    }
    output.result(&report.to_string(), &report.to_json());
    report.verdict()
}
