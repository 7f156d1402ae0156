//! The relay: a host behind an HTTP server.
//!
//! | path | what |
//! |---|---|
//! | `/sync` | WebSocket, one binary message a frame: where replicas meet |
//! | `/`, `/automerge` | WebSocket: where automerge-repo's clients sync |
//! | `/` | the notes demo, or a page that says how to build it |
//! | `/healthz` | 200 while the process is up |
//! | `/readyz` | 200 once the store is open and until shutdown begins, 503 otherwise |
//! | `/metrics` | OpenMetrics text for Prometheus |

mod access;
mod audit;
mod automerge;
mod health;
mod metrics;
mod p2p;
mod page;
mod process;
mod sockets;
mod sync;
mod tls;
mod web;

use crate::automerge_repo::{AutomergeRepoOptions, Desks};
use crate::host::{Host, Stopped};
use crate::lan::{IdentityError, LanError, Multiaddr, Station};
use crate::store::sqlite::OpenError;
use crate::store::stats::StoreStats;
use crate::store::{SqliteOptions, SqliteStore};
use access::Access;
pub use access::{AccessError, AccessOptions, add_token};
use audit::AuditLog;
use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use driftline_core::base::id::PeerId;
use driftline_core::base::limits::Limits;
use driftline_core::engine::config::{AppendPace, EngineConfig, Quotas, Role};
use metrics::EngineCounts;
pub use p2p::P2pOptions;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tls::Tls;
pub use tls::{TlsError, TlsOptions};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// TCP connections beyond those of replicas: browsers loading the demo, scrapes, and whoever is to be told that it is full.
const OTHER_CONNECTIONS_MAX: usize = 256;
/// Time that requests under way have at shutdown.
const REQUESTS_TIME_MAX: Duration = Duration::from_secs(1);

/// How a relay is to be run.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// Where to listen; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The folder its store is in, made where there is none.
    pub data: PathBuf,
    /// The built demo.
    pub web: Option<PathBuf>,
    /// Bounds.
    pub limits: Limits,
    /// About its store.
    pub store: SqliteOptions,
    /// How automerge-repo's clients are served, if they are.
    pub automerge: Option<AutomergeRepoOptions>,
    /// The certificate with which it speaks TLS, if it does.
    pub tls: Option<TlsOptions>,
    /// Whose web pages may sync here, each as `https://host` or `https://host:port`: all, where none is named.
    pub origins: Vec<String>,
    /// How native peers reach it over libp2p, if they do.
    pub p2p: Option<P2pOptions>,
    /// Whom it lets in.
    pub access: AccessOptions,
    /// How much anyone may have of it.
    pub quotas: Quotas,
    /// The file that the audit log is written to, if one is.
    pub audit: Option<PathBuf>,
    /// Keys of relays that call here and that letters are passed on to.
    pub relay_peers: BTreeSet<PeerId>,
}

impl RelayOptions {
    /// A relay for this machine alone, on any port that is free, with the usual bounds and without the demo.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: data.into(),
            web: None,
            limits: Limits::default(),
            store: SqliteOptions::default(),
            automerge: Some(AutomergeRepoOptions::default()),
            tls: None,
            origins: Vec::new(),
            p2p: None,
            access: AccessOptions::Open,
            quotas: Quotas::default(),
            audit: None,
            relay_peers: BTreeSet::new(),
        }
    }
}

/// Why a relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Another program listens there.
    #[error("{listen} is in use by another program: stop that one, or choose another port with --listen")]
    AddressInUse {
        /// Where.
        listen: SocketAddr,
    },
    /// The system does not let it listen there.
    #[error("cannot listen on {listen}: {error}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The folder of the demo is not there.
    #[error("{} is not a folder with a built demo in it (there is no index.html): build it with `cargo xtask demo`, or leave --web out", folder.display())]
    NoWeb {
        /// The folder.
        folder: PathBuf,
    },
    /// The file that says whom to let in cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The audit log cannot be written.
    #[error("the audit log {} cannot be written: {error}", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Its key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It cannot be on libp2p.
    #[error("--p2p: {0}")]
    P2p(#[from] LanError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// A relay at work.
pub struct Relay {
    host: Host,
    station: Option<Arc<Station>>,
    desks: Option<Arc<Desks>>,
    shared: Arc<Shared>,
    address: SocketAddr,
    speaks_tls: bool,
    stop_serving: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// What every request may look at.
struct Shared {
    host: Host,
    store: Arc<StoreStats>,
    /// Where automerge-repo's clients are served, if they are.
    desks: Option<Arc<Desks>>,
    /// Where native peers are served, if they are.
    station: Option<Arc<Station>>,
    limits: Limits,
    /// Whose web pages may sync here, if not all.
    origins: Vec<String>,
    /// Whom it lets in.
    access: Arc<Access>,
    /// Where what happens is noted, if anywhere.
    audit: Option<AuditLog>,
    /// One permit for each replica that may still connect.
    places: Arc<Semaphore>,
    refused: RefusedConnections,
    /// What the engine counted when it was last asked.
    last_counts: Mutex<EngineCounts>,
    leaving: AtomicBool,
    started: std::time::SystemTime,
}

/// Connections that were not taken, by why.
#[derive(Debug, Default)]
struct RefusedConnections {
    /// There were as many as there may be.
    full: AtomicU64,
    /// The store was being opened, or the relay about to end.
    not_ready: AtomicU64,
    /// A web page wanted it that may not sync here.
    origin: AtomicU64,
    /// No token was shown that is good here.
    token: AtomicU64,
}

impl Relay {
    /// Opens the store, starts the engine and begins to listen. The address is taken before the store is touched.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(options: RelayOptions) -> Result<Self, RelayError> {
        let RelayOptions { listen, data, web, limits, store, automerge, tls, origins, p2p, access, quotas, audit, relay_peers } =
            options;
        let access = Arc::new(Access::open(access)?);
        if let Some(folder) = web.as_ref().filter(|folder| !folder.join("index.html").is_file()) {
            return Err(RelayError::NoWeb { folder: folder.clone() });
        }
        let tls = tls.map(Tls::open).transpose()?.map(Arc::new);
        let listener = TcpListener::bind(listen).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => RelayError::AddressInUse { listen },
            _ => RelayError::Listen { listen, error },
        })?;
        let address = listener.local_addr().map_err(|error| RelayError::Listen { listen, error })?;
        let store = SqliteStore::open(&data, &store)?;
        let store_stats = store.stats();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(RelayError::Random)?;
        let mut config = EngineConfig {
            limits: limits.clone(),
            append_pace: AppendPace::SPARING,
            quotas,
            allowed: access.allowed(),
            audit: audit.is_some(),
            relay_peers,
            ..EngineConfig::new(Role::Relay, seed)
        };
        let places = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
        let door = Arc::new(p2p::Door::new(Arc::clone(&places)));
        let (host, station) = match p2p {
            Some(p2p) => {
                let identity = p2p::identity(&data, &store)?;
                config.identity = Some(identity.secret());
                let station = Arc::new(Station::start(p2p.at(identity, limits.frame_bytes_max, &door))?);
                (Host::start_with_dialler(config, store, station.dialler()), Some(station))
            }
            None => (Host::start(config, store), None),
        };
        let audit = match audit {
            Some(path) => Some(AuditLog::open(path.clone(), &host).map_err(|error| RelayError::Audit { path, error })?),
            None => None,
        };
        access::watch(&access, host.clone());
        let desks = automerge.map(|automerge| Desks::open(host.clone(), automerge, limits.documents_per_space_max));
        let shared = Arc::new(Shared {
            host: host.clone(),
            store: store_stats,
            desks: desks.clone(),
            station: station.clone(),
            places,
            refused: RefusedConnections::default(),
            last_counts: Mutex::default(),
            leaving: AtomicBool::new(false),
            started: std::time::SystemTime::now(),
            limits,
            origins,
            access,
            audit,
        });
        if let Some(station) = &station {
            station.attach(host.clone()).await;
        }
        door.open(&shared);
        let sockets_max = shared.limits.connections_max.saturating_add(OTHER_CONNECTIONS_MAX);
        let (stop_serving, stop) = watch::channel(false);
        let router = router(Arc::clone(&shared), desks.clone(), web);
        let speaks_tls = tls.is_some();
        if let Some(tls) = &tls {
            tokio::spawn(Tls::follow(Arc::downgrade(tls)));
        }
        let serving = tokio::spawn(sockets::serve(listener, tls, router, sockets_max, stop));
        Ok(Self { host, station, desks, shared, address, speaks_tls, stop_serving, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint that replicas on this machine dial.
    pub fn url(&self) -> String {
        format!("{}://{}/sync", if self.speaks_tls { "wss" } else { "ws" }, self.address)
    }

    /// Where native peers reach it, each address with its name at the end; none, unless it is on libp2p.
    pub async fn p2p_addresses(&self) -> Vec<Multiaddr> {
        match &self.station {
            Some(station) => station.addresses().await,
            None => Vec::new(),
        }
    }

    /// Whether it speaks TLS.
    pub fn speaks_tls(&self) -> bool {
        self.speaks_tls
    }

    /// Its engine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Takes no one new, makes durable what was accepted, says goodbye and closes the store.
    pub async fn shutdown(self) -> Stopped {
        self.shared.leaving.store(true, Ordering::Relaxed);
        self.stop_serving.send_replace(true);
        if let Some(desks) = &self.desks {
            desks.leave();
        }
        let how = self.host.shutdown().await;
        // Goodbyes travel on what is left after them.
        if let Some(station) = &self.station {
            station.leave().await;
        }
        let abort = self.serving.abort_handle();
        if timeout(REQUESTS_TIME_MAX, self.serving).await.is_err() {
            abort.abort();
        }
        how
    }
}

fn router(shared: Arc<Shared>, desks: Option<Arc<Desks>>, web: Option<PathBuf>) -> Router {
    let site = automerge::site(&shared, desks, web);
    Router::new()
        .route("/sync", get(sync::connect))
        .route("/healthz", get(health::is_up))
        .route("/readyz", get(health::is_ready))
        .route("/metrics", get(metrics::scrape))
        .with_state(shared)
        .fallback_service(site)
}

impl Shared {
    /// Why a request to open a WebSocket is refused for where it comes from, if it is. Browsers say which site's page asks; programs
    /// say nothing, and could say anything: this keeps other people's pages away, not programs.
    fn refuses(&self, headers: &HeaderMap) -> Option<(StatusCode, String)> {
        let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or("an origin that is not text");
        if self.origins.is_empty() || self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return None;
        }
        self.refused.origin.fetch_add(1, Ordering::Relaxed);
        self.note_refused("origin");
        let why = format!("pages of {origin} may not sync here; its operator allows them with --origin {origin}\n");
        Some((StatusCode::FORBIDDEN, why))
    }

    /// Counts someone who is not let in.
    fn turned_away(&self, refusal: (StatusCode, String)) -> (StatusCode, String) {
        self.refused.token.fetch_add(1, Ordering::Relaxed);
        self.note_refused("token");
        refusal
    }

    fn note_refused(&self, reason: &'static str) {
        if let Some(audit) = &self.audit {
            audit.refused(reason);
        }
    }

    /// Why no replica is taken at the moment, if none is.
    fn not_ready(&self) -> Option<&'static str> {
        if self.leaving.load(Ordering::Relaxed) {
            Some("the relay is shutting down\n")
        } else if !self.host.stats().is_ready() {
            Some("the relay is opening its store\n")
        } else {
            None
        }
    }
}
