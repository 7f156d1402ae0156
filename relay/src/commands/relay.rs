//! `driftline relay`: runs a relay until it is told to stop.

mod config;
mod guests;
mod logs;
mod p2p;
mod size;
#[cfg_attr(not(feature = "otlp"), path = "relay/no_traces.rs")]
mod traces;

pub use config::RelayArguments;

use super::signals::told_to_stop;
use crate::host::Stopped;
use crate::lan::Multiaddr;
use crate::server::{Relay, RelayError, RelayOptions};
use config::{RelayConfig, WebChoice};
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use traces::Traces;

/// Runs `driftline relay …` to its end and tells how the process is to exit.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn run(arguments: RelayArguments) -> ExitCode {
    let config = match RelayConfig::resolve(arguments) {
        Ok(config) => config,
        Err(reason) => return fail(&reason, config::EXIT_USAGE),
    };
    let traces = match Traces::begin(config.otlp_endpoint.as_deref()) {
        Ok(traces) => traces,
        Err(reason) => return fail(&reason, config::EXIT_USAGE),
    };
    logs::begin(&config.log, config.log_format, &traces);
    let ended = work(&config, &traces).await;
    traces.end().await;
    ended
}

async fn work(config: &RelayConfig, traces: &Traces) -> ExitCode {
    let options = RelayOptions {
        listen: config.listen,
        data: config.data.clone(),
        web: config.web.folder().map(Path::to_owned),
        limits: config.limits(),
        store: config.store(),
        automerge: config.automerge(),
        tls: config.tls.clone(),
        origins: config.origins.clone(),
        p2p: config.p2p.clone(),
        access: config.guests.access.clone(),
        quotas: config.guests.quotas.clone(),
        audit: config.guests.audit.clone(),
        relay_peers: config.guests.relay_peers.clone(),
    };
    let relay = match Relay::start(options).await {
        Ok(relay) => relay,
        Err(error) => {
            let code = match &error {
                RelayError::AddressInUse { .. } | RelayError::Store(crate::store::sqlite::OpenError::InUse { .. }) => {
                    config::EXIT_IN_USE
                }
                RelayError::NoWeb { .. } | RelayError::Access(_) | RelayError::Tls(_) | RelayError::Identity(_) => {
                    config::EXIT_USAGE
                }
                _ => config::EXIT_FAILED,
            };
            return fail(&error.to_string(), code);
        }
    };
    if let Err(reason) = relay.host().ready().await {
        relay.shutdown().await;
        return fail(&reason, config::EXIT_FAILED);
    }
    if traces.are_sent() {
        relay.host().traces().set_ratio(config.trace_ratio);
    }
    greet(relay.address(), &relay.p2p_addresses().await, config);
    let host = relay.host().clone();
    tokio::select! {
        signal = told_to_stop() => tracing::info!(signal, "stopping"),
        how = host.stopped() => return fail(&how.to_string(), config::EXIT_FAILED),
    }
    match relay.shutdown().await {
        Stopped::Shutdown => {
            tracing::info!("stopped; everything acknowledged is in the store");
            ExitCode::SUCCESS
        }
        how @ Stopped::Panicked => fail(&how.to_string(), config::EXIT_FAILED),
    }
}

fn fail(reason: &str, code: u8) -> ExitCode {
    eprintln!("driftline relay: {reason}");
    ExitCode::from(code)
}

/// Says where to go from here, for people; a log line says it for machines.
fn greet(address: SocketAddr, p2p: &[Multiaddr], config: &RelayConfig) {
    tracing::info!(%address, data = %config.data.display(), "ready");
    let name = if address.ip().is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() };
    let name = if name.contains(':') { format!("[{name}]") } else { name };
    let at = format!("{name}:{}", address.port());
    let demo = match &config.web {
        WebChoice::Folder(_) => "the notes demo",
        WebChoice::None => "the demo is not built: cargo xtask demo",
    };
    let (http, ws) = if config.tls.is_some() { ("https", "wss") } else { ("http", "ws") };
    let peers: String = p2p.iter().map(|address| format!("  peers   {address}\n")).collect();
    let mut out = std::io::stdout().lock();
    let (bold, plain) = if out.is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    // A closed stdout does not keep a relay from working.
    let _ = write!(
        out,
        "Driftline relay {version}\n\
         \x20 open    {bold}{http}://{at}/{plain}  ({demo})\n\
         \x20 sync    {ws}://{at}/sync\n\
         {peers}\
         \x20 data    {data}\n\
         \x20 stop    Ctrl-C\n",
        version = env!("CARGO_PKG_VERSION"),
        data = config.data.display(),
    )
    .and_then(|()| out.flush());
}
