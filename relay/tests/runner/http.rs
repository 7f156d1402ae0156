//! What browsers, operators and their machines see of a relay.

use crate::replica::{get, relay};
use driftline_relay::server::{Relay, RelayError, RelayOptions};
use std::path::Path;
use tempfile::TempDir;

fn options(data: &Path, web: Option<&Path>) -> RelayOptions {
    RelayOptions { web: web.map(Path::to_owned), ..RelayOptions::new(data) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_asks_how_the_relay_is() {
    let data = TempDir::new().unwrap();
    let relay = relay(data.path()).await;
    assert!(get(&relay, "/healthz").await.0.starts_with("HTTP/1.1 200"));
    assert!(get(&relay, "/readyz").await.0.starts_with("HTTP/1.1 200"));
    let (head, metrics) = get(&relay, "/metrics").await;
    assert!(head.contains("application/openmetrics-text"), "{head}");
    for name in [
        "driftline_build_info{version=",
        "driftline_connections 0",
        "driftline_frames_in_total 0",
        "driftline_append_seconds_bucket{le=\"+Inf\"}",
        "driftline_documents 0",
        "driftline_store_errors_total 0",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    if cfg!(target_os = "linux") {
        assert!(metrics.contains("process_resident_memory_bytes") && metrics.contains("process_cpu_seconds_total"));
    }
    assert!(metrics.ends_with("# EOF\n"));
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_opens_a_relay_without_a_demo_in_a_browser() {
    let data = TempDir::new().unwrap();
    let relay = relay(data.path()).await;
    let (head, page) = get(&relay, "/").await;
    assert!(head.contains("200 OK") && head.contains("text/html"), "{head}");
    assert!(page.contains("cargo xtask demo"));
    assert!(get(&relay, "/nothing").await.0.contains("404"));
    // Typing the address of the sync endpoint into a browser is answered with advice.
    let (head, advice) = get(&relay, "/sync").await;
    assert!(head.contains("426") && advice.contains("WebSocket"), "{head}");
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_loads_the_demo() {
    let (data, web) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    std::fs::create_dir(web.path().join("assets")).unwrap();
    for (name, contents) in
        [("index.html", "<!doctype html>notes"), ("sw.js", "1"), ("assets/core-1a2b.wasm", "\0asm"), ("assets/app-3c4d.js", "1")]
    {
        std::fs::write(web.path().join(name), contents).unwrap();
    }
    let relay = Relay::start(options(data.path(), Some(web.path()))).await.unwrap();
    let (head, page) = get(&relay, "/").await;
    assert!(page.contains("notes") && head.contains("no-cache"), "{head}");
    assert!(head.contains("wasm-unsafe-eval") && head.contains("nosniff"), "{head}");
    let (head, _) = get(&relay, "/assets/core-1a2b.wasm").await;
    assert!(head.contains("content-type: application/wasm") && head.contains("immutable"), "{head}");
    let (head, _) = get(&relay, "/assets/app-3c4d.js").await;
    assert!(head.contains("content-type: text/javascript"), "{head}");
    let (head, _) = get(&relay, "/sw.js").await;
    assert!(head.contains("no-cache"), "{head}: a service worker that is kept cannot be replaced");
    let (head, page) = get(&relay, "/harbour/notes/7").await;
    assert!(head.contains("200 OK") && page.contains("notes"), "{head}: the app knows its own paths");
    let (head, _) = get(&relay, "/assets/gone-9z.js").await;
    assert!(head.contains("404") && head.contains("no-cache"), "{head}: a page in place of a script helps nobody");
    assert!(get(&relay, "/../Cargo.toml").await.0.contains("40"), "nothing outside is served");
    relay.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_cannot_start_says_what_to_do() {
    let data = TempDir::new().unwrap();
    let first = relay(data.path()).await;
    let elsewhere = TempDir::new().unwrap();
    let taken = RelayOptions { listen: first.address(), ..options(elsewhere.path(), None) };
    let Err(error) = Relay::start(taken).await else { panic!("two relays share an address") };
    assert!(matches!(error, RelayError::AddressInUse { .. }) && error.to_string().contains("--listen"), "{error}");
    let Err(error) = Relay::start(options(data.path(), None)).await else { panic!("two relays share a folder") };
    assert!(error.to_string().contains("in use by another process"), "{error}");
    let Err(error) = Relay::start(options(elsewhere.path(), Some(elsewhere.path()))).await else { panic!("an empty site") };
    assert!(error.to_string().contains("cargo xtask demo"), "{error}");
    first.shutdown().await;
}
