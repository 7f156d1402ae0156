//! `/metrics`: what the relay counts, as OpenMetrics text, which Prometheus reads.

use super::Shared;
use super::process::process_use;
use crate::store::stats::Histogram;
use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::UNIX_EPOCH;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything counted, now.
pub(super) async fn scrape(State(shared): State<Arc<Shared>>) -> Response {
    let mut registry = Registry::default();
    registry.register("driftline_build", "Which program this is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    registry.register_collector(Box::new(Counted(shared)));
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}\n")).into_response(),
    }
}

struct Counted(Arc<Shared>);

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

/// Writes metrics one after the other.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn metric(&mut self, name: &str, help: &str, metric: impl EncodeMetric + TypedMetricKind) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, None, metric.kind())?)
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let buckets = histogram.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(histogram.sum_seconds(), count, &buckets, None)
    }
}

/// A metric that knows its type.
trait TypedMetricKind {
    fn kind(&self) -> MetricType;
}

impl<M: TypedMetric> TypedMetricKind for M {
    fn kind(&self) -> MetricType {
        M::TYPE
    }
}

impl Collector for Counted {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let (host, store, shared) = (self.0.host.stats(), &self.0.store, &self.0);
        let gauge = |value: usize| ConstGauge::new(value as u64 as f64);
        let counter = ConstCounter::<u64>::new;
        page.metric("driftline_connections", "Connections open now", gauge(host.connections.load(Relaxed)))?;
        page.metric("driftline_connections_max", "Connections taken at once", gauge(shared.limits.connections_max))?;
        page.metric("driftline_connections_opened", "Connections opened", counter(host.connections_opened.load(Relaxed)))?;
        page.metric(
            "driftline_connections_refused",
            "Connections refused because the relay was full",
            counter(shared.refused.load(Relaxed)),
        )?;
        page.metric("driftline_frames_in", "Frames received", counter(host.frames_in.load(Relaxed)))?;
        page.metric("driftline_frames_out", "Frames sent", counter(host.frames_out.load(Relaxed)))?;
        page.metric("driftline_bytes_in", "Bytes of frames received", counter(host.bytes_in.load(Relaxed)))?;
        page.metric("driftline_bytes_out", "Bytes of frames sent", counter(host.bytes_out.load(Relaxed)))?;
        page.metric("driftline_documents", "Documents held", gauge(host.documents.load(Relaxed)))?;
        page.metric("driftline_entries_appended", "Entries made durable", counter(host.entries_appended.load(Relaxed)))?;
        page.metric("driftline_inbox_messages", "Messages the engine has not yet taken", gauge(host.inbox.load(Relaxed)))?;
        page.metric(
            "driftline_outbound_bytes",
            "Bytes of frames handed to connections and not yet written",
            gauge(host.outbound_bytes.load(Relaxed) as usize),
        )?;
        page.metric("driftline_store_tasks", "Storage tasks not yet answered", gauge(host.store_tasks.load(Relaxed)))?;
        page.metric("driftline_store_tasks_done", "Storage tasks carried out", counter(store.tasks.load(Relaxed)))?;
        page.metric(
            "driftline_store_batches",
            "Transactions; tasks divided by these is how well syncs are shared",
            counter(store.batches.load(Relaxed)),
        )?;
        page.metric("driftline_store_errors", "Storage tasks that failed", counter(host.store_errors.load(Relaxed)))?;
        page.histogram(
            "driftline_append_seconds",
            "From wanting entries stored to having them durable: waiting, writing, syncing",
            &store.append_seconds,
        )?;
        page.histogram("driftline_read_seconds", "From wanting entries read to having them", &store.read_seconds)?;
        if let Some(process) = process_use() {
            page.metric("process_resident_memory_bytes", "Memory in RAM", ConstGauge::new(process.resident_bytes as f64))?;
            page.metric("process_cpu_seconds", "Processor time", ConstCounter::new(process.cpu_seconds))?;
            page.metric("process_open_fds", "Open files and sockets", ConstGauge::new(process.files as f64))?;
        }
        let started = shared.started.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        page.metric("process_start_time_seconds", "When it started, since the Unix epoch", ConstGauge::new(started))
    }
}
