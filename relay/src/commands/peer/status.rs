//! `driftline peer status`: how a running peer stands, asked over a socket in its data folder.
//!
//! The folder is its owner's alone, and so is the socket. Whoever connects is told everything once, as one line of JSON.

use crate::commands::failure::{Failure, FailureKind};
use crate::commands::output::Output;
use crate::dial::without_token;
use crate::lan::{Lan, did_of, peer_of_did, short_did_of};
use crate::repo::{ConnectionState, Repo, Space};
use driftline_core::engine::standing::Standing;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::path::Path;

/// The socket's name in the data folder.
#[cfg(unix)]
const SOCKET: &str = "peer.sock";
/// Time that one who asks may take to read the answer.
#[cfg(unix)]
const ANSWER_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// What is asked.
pub(super) struct Asked<'a> {
    /// The folder that is kept in step.
    pub(super) folder: &'a Path,
    /// The replica.
    pub(super) repo: &'a Repo,
    /// Its space.
    pub(super) space: &'a Space,
    /// Its place on the local network, if it has one.
    pub(super) lan: Option<&'a Lan>,
}

impl Asked<'_> {
    async fn to_json(&self) -> Json {
        let space = self.space.id();
        let sync = self.space.status().await.unwrap_or_default();
        let saved = self.repo.call(move |engine, _| {
            let documents = engine.documents(&space);
            let mut counts = [0_usize; 3];
            for saved in documents.iter().filter_map(|document| engine.saved(document)) {
                for (count, is_so) in counts.iter_mut().zip([saved.device, saved.replicas > 0, saved.relays > 0]) {
                    *count += usize::from(is_so);
                }
            }
            let stats = engine.stats();
            (documents.len(), counts, engine.standings(&space), (stats.received, stats.received_again))
        });
        let (documents, [device, replicas, relays], standings, (received, again)) = saved.await.unwrap_or_default();
        let neighbour = |standing: &Standing| {
            json!({
                "peer": standing.peer, "did": did_of(&standing.peer), "relay": standing.relay, "comparing": standing.comparing,
                "ahead": standing.ahead, "behind": standing.behind,
            })
        };
        let relay = |connection: crate::repo::Connection| {
            let state = match connection.state {
                ConnectionState::Connecting => "connecting".to_owned(),
                ConnectionState::Connected { .. } => "connected".to_owned(),
                ConnectionState::Waiting { reason } => reason,
            };
            json!({ "endpoint": without_token(&connection.endpoint), "state": state })
        };
        let lan = match self.lan {
            Some(lan) => lan.status().await,
            None => None,
        };
        json!({
            "peer": self.repo.peer_id(),
            "folder": self.folder,
            "space": space,
            "documents": documents,
            "saved": { "device": device, "replicas": replicas, "relays": relays },
            "sync": { "peers": sync.peers, "inSync": sync.in_sync, "behind": sync.behind, "catchUp": sync.catch_up },
            "neighbours": standings.iter().map(neighbour).collect::<Vec<_>>(),
            "received": { "entries": received, "again": again },
            "relays": self.repo.connections().into_iter().map(relay).collect::<Vec<_>>(),
            "lan": lan,
        })
    }

    /// Answers whoever asks, until dropped.
    #[cfg(unix)]
    pub(super) async fn answer(&self, data: &Path, output: &Output) {
        use tokio::io::AsyncWriteExt as _;
        let path = data.join(SOCKET);
        // The folder's lock says that nobody else is at work here: what is there is left over.
        drop(std::fs::remove_file(&path));
        let socket = match tokio::net::UnixListener::bind(&path) {
            Ok(socket) => socket,
            Err(error) => {
                output.note(&format!("`driftline peer status` will not work: {}: {error}", path.display()));
                return std::future::pending().await;
            }
        };
        loop {
            let Ok((mut stream, _)) = socket.accept().await else { continue };
            let answer = format!("{}\n", self.to_json().await);
            // Who asked may be gone, or slow.
            drop(tokio::time::timeout(ANSWER_TIME_MAX, stream.write_all(answer.as_bytes())).await);
        }
    }

    /// There is nothing to be asked over.
    #[cfg(not(unix))]
    pub(super) async fn answer(&self, _: &Path, _: &Output) {
        std::future::pending().await
    }
}

/// Asks the peer that runs on this data folder, and prints what it says.
#[cfg(unix)]
pub(super) async fn ask(data: &Path, output: &Output) -> Result<(), Failure> {
    use tokio::io::AsyncReadExt as _;
    let path = data.join(SOCKET);
    let none =
        |error: std::io::Error| Failure::new(FailureKind::NotFound, format!("no peer is running on {}: {error}", data.display()));
    let mut stream = tokio::net::UnixStream::connect(&path).await.map_err(none)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.map_err(none)?;
    let failed = |error: serde_json::Error| {
        Failure::new(FailureKind::Failed, format!("the peer on {} answers what cannot be read: {error}", data.display()))
    };
    let answer: Json = serde_json::from_str(&text).map_err(failed)?;
    output.result(&in_words(&answer), &answer);
    Ok(())
}

/// There is nothing to ask over.
#[cfg(not(unix))]
pub(super) async fn ask(_: &Path, _: &Output) -> Result<(), Failure> {
    Err(Failure::new(FailureKind::Failed, "`driftline peer status` needs Unix sockets"))
}

/// The answer for people.
fn in_words(answer: &Json) -> String {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let short = |did: &Json| peer_of_did(did.as_str().unwrap_or_default()).map_or_else(|| text(did), |peer| short_did_of(&peer));
    let mut words = String::new();
    let saved = &answer["saved"];
    // Writing into a string does not fail.
    let _ = writeln!(words, "folder     {}", text(&answer["folder"]));
    let _ = writeln!(words, "space      {}", text(&answer["space"]));
    let _ = writeln!(
        words,
        "documents  {} ({} saved here, {} also on another peer, {} on a relay)",
        answer["documents"], saved["device"], saved["replicas"], saved["relays"]
    );
    let sync = &answer["sync"];
    let _ = writeln!(
        words,
        "sync       {} of {} peers have all that is here; {} documents differ",
        sync["inSync"], sync["peers"], sync["behind"]
    );
    for neighbour in answer["neighbours"].as_array().into_iter().flatten() {
        let (ahead, behind) = (neighbour["ahead"].as_u64().unwrap_or(0), neighbour["behind"].as_u64().unwrap_or(0));
        let how = match (neighbour["comparing"].as_bool(), ahead + behind) {
            (Some(true), _) => "is being compared with".to_owned(),
            (_, 0) => "has the same".to_owned(),
            _ => format!("its clocks are ahead in {ahead} documents and behind in {behind}"),
        };
        let what = if neighbour["relay"].as_bool() == Some(true) { "relay" } else { "peer" };
        let _ = writeln!(words, "neighbour  {what} {}: {how}", short(&neighbour["did"]));
    }
    for relay in answer["relays"].as_array().into_iter().flatten() {
        let _ = writeln!(words, "relay      {}: {}", text(&relay["endpoint"]), text(&relay["state"]));
    }
    let lan = &answer["lan"];
    if lan.is_null() {
        words.push_str("network    not on the local network; no peer was paired with\n");
        return words;
    }
    let _ = writeln!(words, "this peer  {}", text(&lan["did"]));
    for peer in lan["peers"].as_array().into_iter().flatten() {
        let path = &peer["path"];
        let way = match path.is_null() {
            true => "away".to_owned(),
            false => format!("{}, {}, {}", text(&path["kind"]), text(&path["transport"]), text(&path["address"])),
        };
        let is = if peer["neighbour"].as_bool() == Some(true) { "a neighbour" } else { "no neighbour" };
        let (name, why) = (text(&peer["name"]), text(&peer["why"]));
        let _ = writeln!(words, "peer       {name} {}: {way}; {is}: {why}", short(&peer["did"]));
    }
    for relay in lan["relays"].as_array().into_iter().flatten() {
        let stands = match (relay["connected"].as_bool(), relay["reachable"].as_bool(), relay["refused"].as_str()) {
            (Some(true), Some(true), _) => "this peer is reachable through it".to_owned(),
            (Some(true), _, Some(reason)) => format!("passes nothing on to this peer: {reason}"),
            (Some(true), ..) => "connected".to_owned(),
            _ => "away".to_owned(),
        };
        let synced = if relay["syncing"].as_bool() == Some(true) { ", synced with" } else { "" };
        let _ = writeln!(words, "relay      {}: {stands}{synced}", text(&relay["address"]));
    }
    let refused = &lan["refused"];
    let _ = writeln!(
        words,
        "refused    {} strangers, {} connections, {} streams, {} wrong codes",
        refused["strangers"], refused["connections"], refused["streams"], refused["codes"]
    );
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lan::{LanStatus, PathKind, PathStatus, PeerStatus, Refused, RelayStatus};
    use driftline_core::base::id::PeerId;

    #[test]
    fn people_read_who_is_there_by_which_way_and_what_is_saved() {
        let path = PathStatus {
            kind: PathKind::Lan,
            address: "/ip4/10.0.0.2/udp/4001/quic-v1".into(),
            transport: "quic",
            dialled: true,
            seconds: 3,
            syncing: true,
        };
        let other = PeerId([1; 32]);
        let peer = PeerStatus {
            peer: other,
            did: did_of(&other),
            name: "lamp".into(),
            path: Some(path),
            connections: 1,
            neighbour: true,
            why: "was chosen here".into(),
        };
        let why = "did not answer once".into();
        let away = PeerStatus { name: "boat".into(), path: None, connections: 0, neighbour: false, why, ..peer.clone() };
        let lan = LanStatus {
            peer: PeerId([2; 32]),
            did: "did:key:z6MkOwn".into(),
            addresses: vec![],
            space: None,
            pairing: false,
            mdns: true,
            peers: vec![peer, away],
            relays: vec![RelayStatus {
                address: "/ip4/203.0.113.7/tcp/4001/p2p/R".into(),
                did: "did:key:z6MkRelay".into(),
                connected: true,
                reachable: true,
                syncing: true,
                refused: None,
            }],
            refused: Refused { strangers: 4, ..Refused::default() },
        };
        let answer = json!({
            "folder": "/notes", "space": "S", "documents": 3, "saved": { "device": 3, "replicas": 2, "relays": 0 },
            "sync": { "peers": 1, "inSync": 0, "behind": 1 }, "relays": [], "lan": lan,
            "neighbours": [{ "peer": other, "did": did_of(&other), "relay": false, "comparing": false, "ahead": 2, "behind": 1 }],
        });
        let words = in_words(&answer);
        for part in [
            "3 saved here, 2 also",
            "0 of 1 peers",
            "lamp",
            "lan, quic, /ip4/10.0.0.2",
            "; a neighbour: was chosen here",
            &format!("boat {}: away; no neighbour: did not answer once", short_did_of(&other)),
            "tcp/4001/p2p/R: this peer is reachable through it, synced with",
            &format!("neighbour  peer {}: its clocks are ahead in 2 documents and behind in 1", short_did_of(&other)),
            "4 strangers",
        ] {
            assert!(words.contains(part), "{part} in {words}");
        }
    }
}
