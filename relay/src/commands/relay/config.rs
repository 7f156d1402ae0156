//! What can be set, and where: a flag before the environment before the file before the default.

use super::guests::{GuestArguments, GuestFile, Guests};
use super::logs::LogFormat;
use super::p2p::{P2pArguments, P2pFile};
use super::size::Size;
use crate::automerge_repo::AutomergeRepoOptions;
use crate::server::{AccessOptions, P2pOptions, TlsOptions};
use crate::store::SqliteOptions;
use clap::Args;
use driftline_core::base::id::SpaceId;
use driftline_core::base::limits::{CATCH_UP_FRAME_BYTES, Limits};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tracing_subscriber::filter::Targets;

pub(super) const EXIT_FAILED: u8 = 1;
pub(super) const EXIT_USAGE: u8 = 2;
pub(super) const EXIT_IN_USE: u8 = 6;

const LISTEN: &str = "127.0.0.1:8080";
const FRAME_BYTES: Size = Size(16 << 20);
const CONNECTIONS: usize = 1_000;
const DOCUMENTS: usize = 1_000_000;
const MEMORY: Size = Size(1 << 30);
const AUTOMERGE_SPACE: &str = "automerge";
const LOG: &str = "info";
const TRACE_RATIO: f64 = 0.01;

/// The smallest frame limit that leaves room for catching up.
const FRAME_BYTES_MIN: Size = Size(1 << 20);
/// What a connection must be able to have waiting, at the least: two frames of catching up.
const OUTBOUND_BYTES_MIN: u64 = 2 * CATCH_UP_FRAME_BYTES as u64;
/// Memory that a relay takes without documents and connections: itself, its threads, the cache of the database (16 MiB), and what the
/// allocator keeps.
const BASE_BYTES: u64 = 48 << 20;
/// Memory that a connection takes while nothing is on its way.
const CONNECTION_BYTES: u64 = 64 << 10;
/// Into so many shares goes what is left of the ceiling.
const SHARES: u64 = 9;
/// So many more of them go to the documents that automerge-repo's clients have loaded, where these are served.
const AUTOMERGE_SHARES: u64 = 2;
/// A connection may have this part of a share waiting.
const OUTBOUND_DIVISOR: u64 = 8;
/// The smallest share.
const SHARE_BYTES_MIN: u64 = 4 << 20;
/// More than this waiting for one reader means that it is slow, however much memory there is.
const OUTBOUND_BYTES_MAX: u64 = 4 << 20;

const ABOUT: &str = "\
Runs a relay: a replica that is always there, so that the others need not be
there at the same time. It stores what they send before it says so, and hands
it on to everyone who has the same space open.

It is a peer like every other: whoever has a copy has all of it, and a relay
that is lost is replaced by starting another.";

const AFTER: &str = "\
Examples:
  Try it, with the notes demo if it is built, and open http://127.0.0.1:8080/
    driftline relay

  For others, with a certificate of its own, which is read again when it is renewed
    driftline relay --listen 0.0.0.0:443 --tls-cert fullchain.pem --tls-key privkey.pem

  For others, behind a proxy that does TLS (pass /sync on as a WebSocket):
    driftline relay --listen 127.0.0.1:8080 --data /var/lib/driftline --log-format json

  Also for native peers behind routers that let nobody in: they sync here, and two
  of them reach each other through this relay until they find a direct way. On the
  peers: driftline peer --relay ADDRESS, with an address that this prints
    driftline relay --p2p --p2p-peer did:key:z6Mk… --p2p-peer did:key:z6Mk…
    driftline relay --p2p --p2p-open

  As a service, from a file, with one setting changed for now:
    driftline relay --config /etc/driftline.toml --log debug

  A configuration file has the names of the flags as keys:
    listen = \"0.0.0.0:8080\"
    data = \"/var/lib/driftline\"
    frame-bytes-max = \"4MiB\"
    connections-max = 500

Where a setting comes from:
  a flag, or else the environment, or else the file, or else the default.

Stopping:
  SIGTERM or Ctrl-C: takes no one new, makes durable what it accepted, says
  goodbye and exits 0 within 10 seconds. After kill -9 or a power cut nothing
  that was acknowledged is lost.

Exit codes:
  0  stopped when told to
  1  the disk, the network or the program failed
  2  a flag, a variable or the file is wrong
  6  the address or the data folder is in use by another program

For operators:
  /healthz is 200 while the process is up; /readyz once it can sync;
  /metrics is for Prometheus. The data folder holds one SQLite database in WAL
  mode: `sqlite3 driftline.sqlite \".backup copy.sqlite\"` copies it while in use.";

/// What can be typed after `driftline relay`.
#[derive(Clone, Debug, Default, Args)]
#[command(about = "Run a relay: a replica that is always there, so that the others need not be at the same time", long_about = ABOUT, after_long_help = AFTER, after_help = "driftline relay --help says more, with examples.")]
pub struct RelayArguments {
    /// Where to listen; port 0 takes any that is free [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "DRIFTLINE_LISTEN")]
    listen: Option<SocketAddr>,
    /// Where documents are kept, made if there is no such folder [default: driftline/relay in the platform's data directory]
    #[arg(long, value_name = "DIR", env = "DRIFTLINE_DATA")]
    data: Option<PathBuf>,
    /// A built demo, or any other site, to serve at / [default: web-demo/dist here or beside the program, if there is one]
    #[arg(long, value_name = "DIR", env = "DRIFTLINE_WEB")]
    web: Option<PathBuf>,
    /// The space that documents of automerge-repo's clients live in, by its name or id [default: automerge]
    ///
    /// They sync at / and at /automerge, with the WebSocket adapter of automerge-repo. Whoever opens this space with Driftline has
    /// the same documents.
    #[arg(long, value_name = "SPACE", env = "DRIFTLINE_AUTOMERGE_SPACE")]
    automerge_space: Option<String>,
    /// Take no automerge-repo clients
    #[arg(long, env = "DRIFTLINE_NO_AUTOMERGE", conflicts_with = "automerge_space")]
    no_automerge: bool,
    /// Speak TLS, so https:// and wss://, with the certificate chain in this PEM file
    ///
    /// The file is looked at again every minute, so a renewed certificate needs no restart.
    #[arg(long, value_name = "FILE", env = "DRIFTLINE_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in a PEM file
    #[arg(long, value_name = "FILE", env = "DRIFTLINE_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Let only this site's web pages sync here, such as https://notes.example.org; may be given again [default: all]
    ///
    /// It keeps pages of others from using this relay in a visitor's browser. Programs name no site, and are let in.
    #[arg(long = "origin", value_name = "ORIGIN", env = "DRIFTLINE_ORIGINS", value_delimiter = ',')]
    origins: Vec<String>,
    /// A file with settings
    #[arg(long, value_name = "FILE", env = "DRIFTLINE_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    guests: GuestArguments,

    #[command(flatten)]
    p2p: P2pArguments,

    /// The largest frame taken or sent; a larger one closes its connection, saying so [default: 16MiB]
    #[arg(long, value_name = "SIZE", env = "DRIFTLINE_FRAME_BYTES_MAX", help_heading = "Limits")]
    frame_bytes_max: Option<Size>,
    /// Replicas connected at once; the next one is refused with HTTP 503, saying so [default: 1000]
    #[arg(long, value_name = "N", env = "DRIFTLINE_CONNECTIONS_MAX", help_heading = "Limits")]
    connections_max: Option<usize>,
    /// Documents held; one more is refused, those that are held go on [default: 1000000]
    #[arg(long, value_name = "N", env = "DRIFTLINE_DOCUMENTS_MAX", help_heading = "Limits")]
    documents_max: Option<usize>,
    /// How much memory the relay takes at most [default: 1GiB]
    ///
    /// 48 MiB are for the relay itself and 64 KiB for each of --connections-max. Of what is left, three eighths are for documents: above
    /// it those that are quiet are let go of, and read from disk when they are wanted; when what is left of each (some 500 bytes)
    /// takes as much, no more documents are taken. Two eighths are for making snapshots: a document that takes more is not compacted. One
    /// eighth each is for changes that are not on disk yet (above it nothing more is accepted until the disk has caught up), for
    /// what is sent and not yet taken (readers who have much of it are caught up from disk later), and for frames that have arrived.
    /// Frames still arriving, up to --frame-bytes-max for each connection, are not counted.
    #[arg(long, value_name = "SIZE", env = "DRIFTLINE_MEMORY_MAX", help_heading = "Limits")]
    memory_max: Option<Size>,
    /// The largest the database may grow; above it changes are refused as on a full disk [default: as large as the disk]
    #[arg(long, value_name = "SIZE", env = "DRIFTLINE_STORE_BYTES_MAX", help_heading = "Limits")]
    store_bytes_max: Option<Size>,

    /// What to log on stderr: error, warn, info, debug or trace, or for parts of the program like info,driftline_relay=debug
    /// [default: info]
    #[arg(long, value_name = "FILTER", env = "DRIFTLINE_LOG", help_heading = "Logs")]
    log: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_enum, value_name = "FORMAT", env = "DRIFTLINE_LOG_FORMAT", help_heading = "Logs")]
    log_format: Option<LogFormat>,

    /// Send traces to this OpenTelemetry collector, such as http://localhost:4318
    ///
    /// A trace follows a change from the frame it came in to its commit and to the frames it left in. They are sent by OTLP over
    /// plain HTTP to /v1/traces there, in batches, and dropped while nobody takes them. Needs a program built with
    /// `--features otlp`.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT", help_heading = "Traces")]
    otlp_endpoint: Option<String>,
    /// The part of all frames with changes that is followed by traces, from 0 to 1 [default: 0.01]
    #[arg(long, value_name = "RATIO", env = "DRIFTLINE_TRACE_RATIO", help_heading = "Traces")]
    trace_ratio: Option<f64>,
}

/// The configuration file: the same names.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ConfigFile {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    web: Option<PathBuf>,
    automerge_space: Option<String>,
    no_automerge: Option<bool>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    #[serde(rename = "origin")]
    origins: Option<Vec<String>>,
    p2p: Option<Vec<SocketAddr>>,
    p2p_address: Option<Vec<String>>,
    p2p_peer: Option<Vec<String>>,
    p2p_open: Option<bool>,
    dial: Option<Vec<String>>,
    #[serde(flatten)]
    guests: GuestFile,
    frame_bytes_max: Option<Size>,
    connections_max: Option<usize>,
    documents_max: Option<usize>,
    memory_max: Option<Size>,
    store_bytes_max: Option<Size>,
    log: Option<String>,
    log_format: Option<LogFormat>,
    otlp_endpoint: Option<String>,
    trace_ratio: Option<f64>,
}

/// Everything decided.
#[derive(Clone, Debug)]
pub(super) struct RelayConfig {
    pub(super) listen: SocketAddr,
    pub(super) data: PathBuf,
    pub(super) web: WebChoice,
    /// The space of automerge-repo's clients, if they are served.
    automerge_space: Option<SpaceId>,
    pub(super) tls: Option<TlsOptions>,
    pub(super) origins: Vec<String>,
    /// How native peers are served, if they are.
    pub(super) p2p: Option<P2pOptions>,
    /// Whom it lets in, and how much they may have of it.
    pub(super) guests: Guests,
    pub(super) log: Targets,
    pub(super) log_format: LogFormat,
    pub(super) otlp_endpoint: Option<String>,
    pub(super) trace_ratio: f64,
    frame_bytes_max: Size,
    connections_max: usize,
    documents_max: usize,
    memory_max: Size,
    store_bytes_max: Option<Size>,
}

/// What is served at `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WebChoice {
    /// The site in this folder.
    Folder(PathBuf),
    /// A page that says how to build the demo.
    None,
}

impl WebChoice {
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::None => None,
        }
    }
}

impl RelayConfig {
    /// Puts the settings together; or says in a sentence what is wrong with them.
    pub(super) fn resolve(arguments: RelayArguments) -> Result<Self, String> {
        let file = arguments.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        let log = arguments.log.or(file.log).unwrap_or_else(|| LOG.to_owned());
        let data = arguments.data.or(file.data).map_or_else(data_of_platform, Ok)?;
        let config = Self {
            guests: arguments.guests.resolve(file.guests, &data)?,
            listen: match arguments.listen.or(file.listen) {
                Some(listen) => listen,
                None => LISTEN.parse().map_err(|error| format!("{LISTEN}: {error}"))?,
            },
            data,
            web: arguments.web.or(file.web).map_or_else(built_demo, WebChoice::Folder),
            automerge_space: (!arguments.no_automerge && !file.no_automerge.unwrap_or(false)).then(|| {
                let space = arguments.automerge_space.or(file.automerge_space);
                SpaceId::from_id_or_name(space.as_deref().unwrap_or(AUTOMERGE_SPACE))
            }),
            tls: match (arguments.tls_cert.or(file.tls_cert), arguments.tls_key.or(file.tls_key)) {
                (Some(certificate), Some(key)) => Some(TlsOptions { certificate, key }),
                (None, None) => None,
                _ => return Err("--tls-cert and --tls-key belong together: name the certificate's file and its key's".to_owned()),
            },
            origins: if arguments.origins.is_empty() { file.origins.unwrap_or_default() } else { arguments.origins },
            p2p: arguments.p2p.resolve(P2pFile {
                p2p: file.p2p,
                p2p_address: file.p2p_address,
                p2p_peer: file.p2p_peer,
                p2p_open: file.p2p_open,
                dial: file.dial,
            })?,
            log: log.parse().map_err(|error| {
                format!(
                    "--log {log} makes no sense ({error}): write error, warn, info, debug or trace, or info,driftline_relay=debug"
                )
            })?,
            log_format: arguments.log_format.or(file.log_format).unwrap_or_default(),
            // A variable that is set to nothing is not set.
            otlp_endpoint: arguments.otlp_endpoint.or(file.otlp_endpoint).filter(|endpoint| !endpoint.is_empty()),
            trace_ratio: arguments.trace_ratio.or(file.trace_ratio).unwrap_or(TRACE_RATIO),
            frame_bytes_max: arguments.frame_bytes_max.or(file.frame_bytes_max).unwrap_or(FRAME_BYTES),
            connections_max: arguments.connections_max.or(file.connections_max).unwrap_or(CONNECTIONS),
            documents_max: arguments.documents_max.or(file.documents_max).unwrap_or(DOCUMENTS),
            memory_max: arguments.memory_max.or(file.memory_max).unwrap_or(MEMORY),
            store_bytes_max: arguments.store_bytes_max.or(file.store_bytes_max),
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.frame_bytes_max < FRAME_BYTES_MIN {
            return Err(format!(
                "--frame-bytes-max {} is too small: it must be at least {FRAME_BYTES_MIN}",
                self.frame_bytes_max
            ));
        }
        if !(0.0..=1.0).contains(&self.trace_ratio) {
            return Err(format!(
                "--trace-ratio {} makes no sense: it goes from 0 (no frame) to 1 (every frame)",
                self.trace_ratio
            ));
        }
        for origin in &self.origins {
            let after = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
            if after.is_none_or(|host| host.is_empty() || host.contains('/')) {
                return Err(format!(
                    "--origin {origin} is not how browsers name a site: write https://host, or https://host:port, and nothing behind it"
                ));
            }
        }
        if self.connections_max == 0 || self.documents_max == 0 {
            return Err("--connections-max and --documents-max must be at least 1".to_owned());
        }
        if matches!(self.guests.access, AccessOptions::Token(_)) && self.p2p.is_some() {
            return Err(
                "--access token is for WebSockets: native peers have keys and no tokens; say --access list, or leave --p2p out"
                    .to_owned(),
            );
        }
        let share_min = SHARE_BYTES_MIN.max(self.frame_bytes_max.0);
        let memory_min = Size(self.memory_taken().saturating_add(self.shares().saturating_mul(share_min)));
        if self.memory_max < memory_min {
            return Err(format!(
                "--memory-max {} is too small for {} connections and frames of {}: give it at least {memory_min}, or lower --connections-max or --frame-bytes-max",
                self.memory_max, self.connections_max, self.frame_bytes_max
            ));
        }
        Ok(())
    }

    /// The engine's bounds.
    pub(super) fn limits(&self) -> Limits {
        let usual = Limits::default();
        let share = self.share();
        let frame_bytes_max = bytes(self.frame_bytes_max.0);
        Limits {
            frame_bytes_max,
            entry_bytes_max: frame_bytes_max / 4 * 3,
            documents_per_space_max: self
                .guests
                .space_documents_max
                .unwrap_or(usual.documents_per_space_max)
                .min(self.documents_max),
            documents_max: self.documents_max,
            documents_bytes_max: bytes(3 * share),
            recent_bytes_max: bytes(3 * share),
            assembly_bytes_max: bytes(3 * share),
            // One snapshot may arrive when the share is half full.
            undurable_bytes_max: bytes(share / 2),
            snapshot_bytes_max: usual.snapshot_bytes_max.min(bytes(share / 2)),
            outbound_bytes_max: bytes((share / OUTBOUND_DIVISOR).clamp(OUTBOUND_BYTES_MIN, OUTBOUND_BYTES_MAX)),
            outbound_all_bytes_max: bytes(share),
            inbound_all_bytes_max: bytes(share),
            connections_max: self.connections_max,
        }
    }

    /// Memory that is taken before there are documents, or anything on its way.
    fn memory_taken(&self) -> u64 {
        CONNECTION_BYTES.saturating_mul(self.connections_max as u64).saturating_add(BASE_BYTES)
    }

    /// Into how many shares the ceiling is divided.
    fn shares(&self) -> u64 {
        SHARES + if self.automerge_space.is_some() { AUTOMERGE_SHARES } else { 0 }
    }

    /// One of them, in bytes.
    fn share(&self) -> u64 {
        self.memory_max.0.saturating_sub(self.memory_taken()) / self.shares()
    }

    /// How automerge-repo's clients are served.
    pub(super) fn automerge(&self) -> Option<AutomergeRepoOptions> {
        let memory_bytes_max = bytes(AUTOMERGE_SHARES * self.share());
        self.automerge_space.map(|space| AutomergeRepoOptions { space, memory_bytes_max })
    }

    /// The store's settings.
    pub(super) fn store(&self) -> SqliteOptions {
        SqliteOptions { bytes_max: self.store_bytes_max.map(|size| size.0) }
    }
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

impl ConfigFile {
    fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the configuration file {} cannot be read: {error}", path.display()))?;
        toml::from_str(&text)
            .map_err(|error| format!("the configuration file {} is wrong: {}", path.display(), error.to_string().trim_end()))
    }
}

fn data_of_platform() -> Result<PathBuf, String> {
    directories::BaseDirs::new()
        .map(|folders| folders.data_dir().join("driftline").join("relay"))
        .ok_or_else(|| "this user has no home directory: say with --data where documents are to be kept".to_owned())
}

/// The demo where a build leaves it, here or beside the program.
fn built_demo() -> WebChoice {
    let beside = std::env::current_exe().ok().and_then(|program| program.parent().map(|folder| folder.join("web-demo/dist")));
    [Some(PathBuf::from("web-demo/dist")), beside]
        .into_iter()
        .flatten()
        .find(|folder| folder.join("index.html").is_file())
        .map_or(WebChoice::None, WebChoice::Folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use driftline_core::base::limits::ASSEMBLY_ENTRY_BYTES;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: RelayArguments,
    }

    fn config(arguments: &[&str]) -> RelayConfig {
        let usual = ["driftline", "--data", "data", "--web", "web"];
        RelayConfig::resolve(Line::parse_from(usual.iter().chain(arguments)).arguments).expect("it makes sense")
    }

    /// A document that takes more than the share for it is never compacted, and says nothing about that.
    #[test]
    fn the_usual_ceiling_has_room_to_put_a_long_document_together() {
        for arguments in [&[][..], &["--no-automerge"]] {
            let room = config(arguments).limits().assembly_bytes_max as u64;
            assert!(room >= 260_000 * ASSEMBLY_ENTRY_BYTES, "{room} with {arguments:?}");
        }
    }

    #[test]
    fn the_shares_are_no_more_than_the_ceiling() {
        for arguments in [&[][..], &["--no-automerge"], &["--memory-max", "256MiB", "--connections-max", "100"]] {
            let config = config(arguments);
            let limits = config.limits();
            let engine = limits.documents_bytes_max + limits.assembly_bytes_max + limits.outbound_all_bytes_max;
            let under_way = limits.undurable_bytes_max + limits.snapshot_bytes_max + limits.inbound_all_bytes_max;
            let (taken, ceiling) = (config.memory_taken(), config.memory_max.0);
            let automerge = config.automerge().map_or(0, |automerge| automerge.memory_bytes_max);
            assert!(taken + (engine + under_way + automerge) as u64 <= ceiling, "{arguments:?}");
        }
    }
}
