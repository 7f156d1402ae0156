//! `/metrics`: what the relay counts, as OpenMetrics text, which Prometheus reads. docs/operations.md says what each means.
//!
//! Connections and the store count with atomics of their own. The engine counts with plain integers on its thread and is
//! asked for them at each scrape, as one message among the others: how long that takes is a measure of how busy it is.

use super::Shared;
use super::page::Page;
use super::process::process_use;
use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use driftline_core::base::limits::LETTERS_MAX;
use driftline_core::engine::stats::{EngineSizes, EngineStats, SYNC_MS_BOUNDS};
use driftline_core::sync::message::ErrorCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a scrape waits for a busy engine, before it shows what the engine counted the last time.
const ENGINE_WAIT_MAX: Duration = Duration::from_secs(2);

/// What an engine counted, and how long it took to say so.
#[derive(Clone, Debug, Default)]
pub(super) struct EngineCounts {
    stats: EngineStats,
    sizes: EngineSizes,
    wait: Duration,
}

/// Everything counted, now.
pub(super) async fn scrape(State(shared): State<Arc<Shared>>) -> Response {
    let engine = engine_counts(&shared).await;
    let mut registry = Registry::default();
    registry.register("driftline_build", "Which program this is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    registry.register_collector(Box::new(Counted { shared, engine }));
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")).into_response(),
    }
}

async fn engine_counts(shared: &Shared) -> EngineCounts {
    let began = Instant::now();
    let asked = shared.host.call(|engine, _| (engine.stats().clone(), engine.sizes()));
    let answer = tokio::time::timeout(ENGINE_WAIT_MAX, asked).await;
    let mut last = shared.last_counts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(Ok((stats, sizes))) = answer {
        (last.stats, last.sizes) = (stats, sizes);
    }
    last.wait = began.elapsed();
    last.clone()
}

struct Counted {
    shared: Arc<Shared>,
    engine: EngineCounts,
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

impl Collector for Counted {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        self.anti_entropy(&mut page)?;
        self.connections(&mut page)?;
        self.peers(&mut page)?;
        self.automerge_repo(&mut page)?;
        self.engine(&mut page)?;
        self.letters(&mut page)?;
        self.store(&mut page)?;
        self.process(&mut page)
    }
}

impl Counted {
    fn anti_entropy(&self, page: &mut Page<'_>) -> fmt::Result {
        let EngineCounts { stats, sizes, .. } = &self.engine;
        let seconds = SYNC_MS_BOUNDS.map(|bound| if bound == u64::MAX { f64::INFINITY } else { bound as f64 / 1e3 });
        let buckets: Vec<(f64, u64)> = seconds.into_iter().zip(stats.syncs).collect();
        page.buckets(
            "anti_entropy_sync_duration_seconds",
            "From a peer's subscription to a space until both are in sync",
            &buckets,
            stats.sync_ms as f64 / 1e3,
        )?;
        page.counters(
            "anti_entropy_bytes_transferred",
            "Bytes of frames on connections with a space not yet in sync",
            "direction",
            [("in", stats.sync_bytes_in), ("out", stats.sync_bytes_out)],
        )?;
        page.counter(
            "anti_entropy_conflicts_resolved",
            "Changes taken in that were made without knowing of others held here: merged",
            stats.merged,
        )?;
        page.gauge("anti_entropy_syncing", "Subscriptions not yet in sync", sizes.syncing)
    }

    /// What native peers are given; nothing where they are not served.
    fn peers(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(station) = &self.shared.station else { return Ok(()) };
        let counts = station.counts();
        page.gauge("driftline_p2p_connections", "Connections of native peers open now", counts.connections.load(Relaxed))?;
        page.gauge("driftline_p2p_streams", "Sessions of native peers open now", counts.streams.load(Relaxed))?;
        page.gauge("driftline_p2p_places", "Peers that are reached through this relay", counts.places.load(Relaxed))?;
        page.gauge("driftline_p2p_circuits", "Connections passed on now", counts.circuits.load(Relaxed))?;
        page.counter("driftline_p2p_circuits_passed", "Connections passed on", counts.circuits_passed.load(Relaxed))?;
        page.counter("driftline_p2p_refused", "Places and connections to pass on that were refused", counts.refused.load(Relaxed))
    }

    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let (host, shared) = (self.shared.host.stats(), &self.shared);
        page.gauge("driftline_connections", "Connections open now", host.connections.load(Relaxed))?;
        page.gauge("driftline_connections_max", "Connections taken at once", shared.limits.connections_max)?;
        page.counter("driftline_connections_opened", "Connections opened", host.connections_opened.load(Relaxed))?;
        page.counters(
            "driftline_refused_connections",
            "Connections refused",
            "reason",
            [
                ("full", shared.refused.full.load(Relaxed)),
                ("not_ready", shared.refused.not_ready.load(Relaxed)),
                ("origin", shared.refused.origin.load(Relaxed)),
                ("token", shared.refused.token.load(Relaxed)),
            ],
        )?;
        let refused = ErrorCode::WORDS.map(|(code, word)| {
            let of_transport = if code == ErrorCode::TooLarge { host.frames_too_large.load(Relaxed) } else { 0 };
            (word, self.engine.stats.refused.get(&code).copied().unwrap_or(0) + of_transport)
        });
        page.counters("driftline_refused_frames", "Frames answered with an error", "reason", refused)?;
        page.counter("driftline_frames_in", "Frames received", host.frames_in.load(Relaxed))?;
        page.counter("driftline_frames_out", "Frames sent", host.frames_out.load(Relaxed))?;
        page.counter("driftline_bytes_in", "Bytes of frames received", host.bytes_in.load(Relaxed))?;
        page.counter("driftline_bytes_out", "Bytes of frames sent", host.bytes_out.load(Relaxed))?;
        page.histogram(
            "driftline_delivery_seconds",
            "From the arrival of a change until a frame that brings it to someone else is written",
            &host.delivery_seconds,
        )?;
        page.gauge(
            "driftline_outbound_bytes",
            "Bytes handed to connections and not yet written",
            self.engine.sizes.outbound_bytes,
        )?;
        page.gauge(
            "driftline_outbound_bytes_largest",
            "Bytes handed to the slowest connection and not yet written",
            self.engine.sizes.outbound_bytes_largest,
        )?;
        page.gauge(
            "driftline_outbound_bytes_max",
            "Bytes above which a connection is slow, and is caught up later",
            shared.limits.outbound_bytes_max,
        )
    }

    fn automerge_repo(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(desks) = &self.shared.desks else { return Ok(()) };
        let (sizes, counts) = (desks.sizes(), desks.counts());
        page.gauge("driftline_automerge_clients", "Clients of automerge-repo that have joined", sizes.clients)?;
        page.gauge("driftline_automerge_documents", "Documents whose state of syncing is held for them", sizes.documents)?;
        page.gauge("driftline_automerge_documents_loaded", "Those of them that are in memory", sizes.loaded)?;
        page.gauge("driftline_automerge_documents_bytes", "Memory that these take, about", sizes.loaded_bytes)?;
        page.gauge(
            "driftline_automerge_documents_bytes_max",
            "Memory above which those used least are let go of",
            sizes.loaded_bytes_max,
        )?;
        let ((messages_in, bytes_in), (messages_out, bytes_out)) = (counts.taken(), counts.sent());
        page.counter("driftline_automerge_messages_in", "Messages received from clients of automerge-repo", messages_in)?;
        page.counter("driftline_automerge_messages_out", "Messages sent to them", messages_out)?;
        page.counter("driftline_automerge_bytes_in", "Bytes of messages received from them", bytes_in)?;
        page.counter("driftline_automerge_bytes_out", "Bytes of messages sent to them", bytes_out)?;
        page.counters("driftline_automerge_refused", "Messages of theirs answered with an error", "reason", counts.refused())
    }

    fn engine(&self, page: &mut Page<'_>) -> fmt::Result {
        let (EngineCounts { stats, sizes, wait }, host) = (&self.engine, self.shared.host.stats());
        page.gauge("driftline_spaces", "Spaces of which documents are held", sizes.spaces)?;
        page.gauge("driftline_documents", "Documents held", sizes.documents)?;
        page.gauge("driftline_documents_max", "Documents that may be held", self.shared.limits.documents_max)?;
        page.gauge("driftline_documents_bytes", "Memory that documents take, about", sizes.documents_bytes)?;
        page.gauge(
            "driftline_documents_bytes_max",
            "Memory above which documents that are quiet are let go of",
            self.shared.limits.documents_bytes_max,
        )?;
        page.counter("driftline_documents_let_go", "Documents let go of, to be read from disk when wanted", sizes.let_go)?;
        page.counter("driftline_documents_quarantined", "Documents set aside because they were damaged", stats.quarantined)?;
        page.gauge("driftline_inbox_messages", "Messages the engine has not yet taken", host.inbox.load(Relaxed))?;
        page.gauge_seconds(
            "driftline_engine_wait_seconds",
            "How long the engine took to answer this scrape",
            wait.as_secs_f64(),
        )?;
        page.gauge("driftline_unacknowledged_changes", "Changes received that are not durable yet", sizes.unacknowledged)?;
        page.gauge("driftline_unacknowledged_bytes", "Bytes of them", sizes.unacknowledged_bytes)?;
        page.gauge(
            "driftline_unacknowledged_bytes_max",
            "Bytes of them above which nothing more is accepted",
            self.shared.limits.undurable_bytes_max,
        )
    }

    fn letters(&self, page: &mut Page<'_>) -> fmt::Result {
        let EngineCounts { stats, sizes, .. } = &self.engine;
        page.gauge("driftline_letters", "Letters kept for whoever comes by", sizes.letters)?;
        page.gauge("driftline_letters_max", "Letters that may be kept", LETTERS_MAX)?;
        page.gauge("driftline_letters_bytes", "Bytes of letters kept", sizes.letters_bytes)?;
        page.counter("driftline_letters_kept", "Letters that became durable here", stats.letters_kept)?;
        page.counter("driftline_letters_taken", "Letters that their recipients signed for", stats.letters_taken)?;
        page.counter("driftline_letters_ended", "Letters that nobody came for in time", stats.letters_ended)
    }

    fn store(&self, page: &mut Page<'_>) -> fmt::Result {
        let (store, host) = (&self.shared.store, self.shared.host.stats());
        page.counter("driftline_entries_appended", "Changes made durable", host.entries_appended.load(Relaxed))?;
        page.histogram(
            "driftline_commit_seconds",
            "Storage transactions that write, each with its one sync",
            &store.commit_seconds,
        )?;
        page.histogram("driftline_commit_changes", "Changes made durable by one sync", &store.commit_changes)?;
        page.histogram(
            "driftline_append_seconds",
            "From wanting entries stored to having them durable: waiting, writing, syncing",
            &store.append_seconds,
        )?;
        page.histogram("driftline_read_seconds", "From wanting entries read to having them", &store.read_seconds)?;
        page.gauge("driftline_store_tasks", "Storage tasks not yet answered", host.store_tasks.load(Relaxed))?;
        page.counter("driftline_store_tasks_done", "Storage tasks carried out", store.tasks.load(Relaxed))?;
        page.counter("driftline_store_batches", "Batches they were carried out in", store.batches.load(Relaxed))?;
        page.counter("driftline_store_errors", "Storage tasks that failed", host.store_errors.load(Relaxed))
    }

    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        if let Some(process) = process_use() {
            page.gauge("process_resident_memory_bytes", "Memory in RAM", process.resident_bytes as usize)?;
            page.counter_seconds("process_cpu_seconds", "Processor time", process.cpu_seconds)?;
            page.gauge("process_open_fds", "Open files and sockets", process.files as usize)?;
        }
        let started = self.shared.started.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        page.gauge_seconds("process_start_time_seconds", "When it started, since the Unix epoch", started)
    }
}
