//! A relay that faces the world on its own: TLS with its own certificate, and a word on whose pages may sync.

use crate::process::{Process, driftline, run};
use crate::replica::PATIENCE;
use driftline_relay::server::{Relay, RelayOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A certificate for this machine and its key, in files.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.key_pair.serialize_pem()).unwrap();
    (certificate, key)
}

/// `driftline doc` for someone whose system trusts `trusted`, if anything.
fn doc(data: &Path, relay: &str, trusted: Option<&Path>, words: &[&str]) -> Command {
    let mut command = driftline();
    command.arg("doc").args(words).args(["--json", "--space", "harbour", "--relay", relay, "--data"]).arg(data);
    match trusted {
        Some(trusted) => command.env("SSL_CERT_FILE", trusted),
        None => command.env_remove("SSL_CERT_FILE"),
    };
    command.env_remove("SSL_CERT_DIR");
    command
}

#[test]
fn two_people_sync_by_tls_with_a_relay_that_has_a_certificate_of_its_own() {
    let folder = TempDir::new().unwrap();
    let (certificate, key) = certificate(folder.path());
    let place = |name: &str| folder.path().join(name);
    let mut command = driftline();
    command.args(["relay", "--listen", "127.0.0.1:0", "--log", "warn", "--data"]).arg(place("relay"));
    let relay = Process::spawn(command.arg("--tls-cert").arg(&certificate).arg("--tls-key").arg(&key));
    assert!(relay.told("open").starts_with("https://"));
    let address = relay.told("sync").replace("127.0.0.1", "localhost");
    assert!(address.starts_with("wss://"), "{address}");

    let (code, said) =
        run(&mut doc(&place("ana"), &address, Some(&certificate), &["create", "--value", r#"{"title": "Tides"}"#]));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(r#""relays":1"#) || said.contains(r#""relays": 1"#), "{said}");
    let (code, said) = run(&mut doc(&place("ben"), &address, Some(&certificate), &["list"]));
    assert!(code == 0 && said.contains("Tides"), "{said}");

    // Whoever does not trust the certificate is offline, and is told why; so is who speaks no TLS.
    let (_, said) = run(&mut doc(&place("eve"), &address, None, &["list"]));
    assert!(said.contains("invalid peer certificate") && !said.contains("Tides"), "{said}");
    let plain = address.replace("wss://", "ws://");
    let (_, said) = run(&mut doc(&place("eve"), &plain, Some(&certificate), &["list"]));
    assert!(said.contains("cannot be reached") && !said.contains("Tides"), "{said}");
}

#[test]
fn an_operator_is_told_what_is_wrong_with_a_certificate() {
    let folder = TempDir::new().unwrap();
    let (certificate, key) = certificate(folder.path());
    let with = |words: &[&Path]| {
        let mut command = driftline();
        command.args(["relay", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("relay"));
        run(command.args(words))
    };
    let (code, said) = with(&[Path::new("--tls-cert"), &certificate]);
    assert!(code == 2 && said.contains("belong together"), "{said}");
    let (code, said) = with(&[Path::new("--tls-cert"), &key, Path::new("--tls-key"), &key]);
    assert!(code == 2 && said.contains("key.pem holds no certificate in PEM"), "{said}");
    let (code, said) = with(&[Path::new("--origin"), Path::new("notes.example.org")]);
    assert!(code == 2 && said.contains("write https://host"), "{said}");
}

/// The first line of the answer to a request to open a WebSocket at `path`, and the rest.
async fn upgrade(relay: &Relay, path: &str, origin: Option<&str>) -> (String, String) {
    let mut socket = tokio::net::TcpStream::connect(relay.address()).await.unwrap();
    let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}\r\n",
        relay.address()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, socket.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    let (first, rest) = answer.split_once("\r\n").unwrap();
    (first.to_owned(), rest.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_may_not_sync_where_the_operator_has_named_some() {
    let (open, closed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let origins = vec!["https://notes.example.org".to_owned()];
    let named = Relay::start(RelayOptions { origins, ..RelayOptions::new(closed.path()) }).await.unwrap();
    let usual = Relay::start(RelayOptions::new(open.path())).await.unwrap();
    named.host().ready().await.unwrap();
    usual.host().ready().await.unwrap();
    for path in ["/sync", "/", "/automerge"] {
        assert!(upgrade(&usual, path, Some("https://other.example.net")).await.0.contains("101"), "{path}");
        assert!(upgrade(&named, path, Some("https://notes.example.org")).await.0.contains("101"), "{path}");
        assert!(upgrade(&named, path, None).await.0.contains("101"), "{path}: a program names no site");
        let (first, rest) = upgrade(&named, path, Some("https://other.example.net")).await;
        assert!(first.contains("403") && rest.contains("--origin https://other.example.net"), "{path}: {first} {rest}");
    }
    let (_, metrics) = crate::replica::get(&named, "/metrics").await;
    assert!(metrics.contains(r#"driftline_refused_connections_total{reason="origin"} 3"#), "{metrics}");
    named.shutdown().await;
    usual.shutdown().await;
}
