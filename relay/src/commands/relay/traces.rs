//! Traces on their way to a collector: OTLP, in Protobuf, over HTTP.
//!
//! Collectors run on the same machine or beside it, so this speaks plain HTTP by the client that the server's library has,
//! and brings no second one. A collector that cannot be reached is told of once, and harms nothing: traces are dropped.

use crate::host::TRACE_TARGET;
use axum::body::Body;
use axum::http::{Request, Response, Uri, header};
use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, Registry};

/// Where a collector takes traces, behind its endpoint.
const PATH: &str = "/v1/traces";
/// Time a collector has to take a batch.
const SEND_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a collector's answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What collectors call this program.
const SERVICE: &str = "driftline-relay";

/// What gathers traces and sends them, if they are sent.
pub(super) struct Traces {
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    /// Prepares to send traces to the collector at `endpoint`; or says in a sentence what is wrong with it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn begin(endpoint: Option<&str>) -> Result<Self, String> {
        let Some(endpoint) = endpoint else { return Ok(Self { provider: None }) };
        let wrong = |why: String| format!("--otlp-endpoint {endpoint} {why}: name a collector, such as http://localhost:4318");
        let uri: Uri = endpoint.parse().map_err(|error| wrong(format!("is not an address ({error})")))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(wrong("is not an address that begins with http://".to_owned()));
        }
        let sender = Sender { runtime: tokio::runtime::Handle::current(), failing: Arc::default() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_endpoint(format!("{}{PATH}", endpoint.trim_end_matches('/')))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(SEND_TIME_MAX)
            .build()
            .map_err(|error| wrong(format!("cannot be used ({error})")))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            // Which frames are followed is decided when they arrive.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(Resource::builder().with_service_name(SERVICE).build())
            .build();
        Ok(Self { provider: Some(provider) })
    }

    /// Whether frames are to be followed.
    pub(super) fn are_sent(&self) -> bool {
        self.provider.is_some()
    }

    /// What makes traces of spans.
    pub(super) fn layer(&self) -> Option<impl Layer<Registry> + Send + Sync + use<>> {
        let provider = self.provider.as_ref()?;
        let only = Targets::new().with_target(TRACE_TARGET, LevelFilter::INFO);
        Some(tracing_opentelemetry::layer().with_tracer(provider.tracer("driftline")).with_filter(only))
    }

    /// Sends what was gathered.
    pub(super) async fn end(self) {
        let Some(provider) = self.provider else { return };
        // It waits for its thread, which waits for this runtime.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::debug!("the last traces could not be sent: {error}");
        }
    }
}

/// Sends batches, from the thread that gathers them.
#[derive(Clone, Debug)]
struct Sender {
    runtime: tokio::runtime::Handle,
    failing: Arc<AtomicBool>,
}

/// A batch on its way.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Sender {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let endpoint = request.uri().to_string();
            // That thread has no runtime of its own.
            let sent = self.runtime.spawn(async { timeout(SEND_TIME_MAX, send(request)).await }).await;
            let answer = match sent {
                Ok(Ok(Ok(answer))) if answer.status().is_success() => Ok(answer),
                Ok(Ok(Ok(answer))) => Err(format!("it answers {}", answer.status()).into()),
                Ok(Ok(Err(error))) => Err(error),
                Ok(Err(_)) => Err("it does not answer".into()),
                Err(error) => Err(error.into()),
            };
            let failed = answer.is_err();
            if self.failing.swap(failed, Ordering::Relaxed) != failed {
                match &answer {
                    Ok(_) => tracing::info!("traces are taken again by {endpoint}"),
                    Err(error) => tracing::warn!("traces are not taken by {endpoint} and are dropped: {error}"),
                }
            }
            answer
        })
    }
}

/// One request on a connection of its own: batches are few.
async fn send(mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let authority = request.uri().authority().ok_or("an address without a host")?.clone();
    let stream = TcpStream::connect((authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let carrying = tokio::spawn(connection);
    let path = request.uri().path_and_query().map_or(PATH, |path| path.as_str()).parse()?;
    *request.uri_mut() = path;
    request.headers_mut().insert(header::HOST, authority.as_str().parse()?);
    let answer = sender.send_request(request.map(Body::from)).await?;
    let (head, body) = answer.into_parts();
    let body = axum::body::to_bytes(Body::new(body), ANSWER_BYTES_MAX).await?;
    carrying.abort();
    Ok(Response::from_parts(head, body))
}
