//! `driftline peer` as people type it: two programs on one machine, and the questions they are asked.

use super::PATIENCE;
use crate::process::{Process, driftline, run};
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// A peer that is running, killed at the end, and the lines that it prints.
struct Peer(Child, Lines<BufReader<ChildStdout>>);

impl Peer {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = driftline();
        command.args(["peer", "--json", "--no-mdns", "--folder"]).arg(folder).args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self(child, lines)
    }

    /// The next value that it prints of this kind.
    fn told(&mut self, event: &str) -> serde_json::Value {
        loop {
            let line = self.1.next().unwrap_or_else(|| panic!("it ended before {event}")).unwrap();
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            if value["event"] == event {
                return value;
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn status(folder: &Path) -> Option<serde_json::Value> {
    let (code, said) = run(driftline().args(["peer", "status", "--json", "--folder"]).arg(folder));
    (code == 0).then(|| serde_json::from_str(&said).unwrap())
}

/// Asks until the answer is as wanted.
fn when(folder: &Path, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let began = Instant::now();
    loop {
        let answer = status(folder);
        if let Some(answer) = answer.as_ref().filter(|answer| wanted(answer)) {
            return answer.clone();
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_code_that_one_prints_pairs_it_with_the_other_and_both_tell_how_they_stand() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [left, right] = [folders[0].path(), folders[1].path()];
    std::fs::write(left.join("note.md"), "tide\n").unwrap();
    let mut first = Peer::start(left, &["--pair", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]);
    let code = first.told("pairingCode")["code"].as_str().unwrap().to_owned();
    // A peer may be met before it has looked into its folder: it holds nothing then, and the other is in step with that.
    let is_ready = |answer: &serde_json::Value| answer["lan"]["addresses"][0].is_string() && answer["saved"]["device"] == 1;
    let address = when(left, is_ready)["lan"]["addresses"][0].clone();
    let address = address.as_str().unwrap();
    let mut second = Peer::start(right, &["--pair", &code, "--dial", address, "--listen", "/ip4/127.0.0.1/tcp/0"]);
    assert!(second.told("paired")["peer"].as_str().unwrap().starts_with("did:key:z6Mk"));
    // Not that it is in step with nothing, before anything could come.
    assert_eq!(second.told("inStep")["files"], 1);
    let together = when(right, |answer| answer["saved"]["replicas"] == 1 && right.join("note.md").exists());
    assert_eq!(std::fs::read_to_string(right.join("note.md")).unwrap(), "tide\n");
    let path = &together["lan"]["peers"][0]["path"];
    assert_eq!((path["kind"].as_str(), path["transport"].as_str()), (Some("lan"), Some("quic")), "{together}");
    let neighbour = &together["neighbours"][0];
    assert_eq!((&neighbour["ahead"], &neighbour["behind"]), (&0.into(), &0.into()), "{together}");
    assert_eq!(together["lan"]["peers"][0]["peer"], neighbour["peer"], "one key on the network and in the session");
    assert_eq!(neighbour["did"], together["lan"]["peers"][0]["did"]);
    assert_eq!(together["lan"]["peers"][0]["neighbour"], true, "{together}");
    assert_eq!(together["space"], when(left, |_| true)["space"]);

    drop(second);
    when(left, |answer| answer["lan"]["peers"][0]["path"].is_null());
    let (_, said) = run(driftline().args(["peer", "status", "--folder"]).arg(left));
    assert!(said.contains("away") && said.contains("did:key:") && said.contains("no neighbour: "), "{said}");
    // Without the code, by the list alone.
    let _again = Peer::start(right, &["--dial", address]);
    when(left, |answer| answer["lan"]["peers"][0]["path"]["syncing"] == true);
}

#[test]
fn a_relay_prints_where_peers_reach_it_and_a_folder_is_kept_in_step_with_it_there() {
    let (data, folders) = (TempDir::new().unwrap(), [TempDir::new().unwrap(), TempDir::new().unwrap()]);
    let [left, right] = [folders[0].path(), folders[1].path()];
    let mut command = driftline();
    command.args(["relay", "--listen", "127.0.0.1:0", "--log", "warn", "--p2p", "127.0.0.1:0", "--data"]).arg(data.path());
    let relay = Process::spawn(&mut command);
    let (address, socket) = (relay.told("peers "), relay.told("sync "));
    assert!(address.contains("/quic-v1/p2p/12D3"), "{address}");
    std::fs::write(left.join("note.md"), "tide\n").unwrap();
    let alone = Peer::start(left, &["--space", "harbour", "--relay", address]);
    let _two = Peer::start(right, &["--space", "harbour", "--relay", socket, "--no-lan"]);
    when(right, |_| std::fs::read_to_string(right.join("note.md")).is_ok_and(|text| text == "tide\n"));
    let stands = when(left, |answer| answer["saved"]["relays"] == 1);
    assert_eq!(stands["lan"]["relays"][0]["syncing"], true, "{stands}");
    let lan = &stands["lan"];
    assert!(lan["addresses"][0].is_null() && lan["relays"][0]["refused"].is_null(), "nobody is to reach it: {stands}");
    drop(alone);
    // Who wants to be reached is told that nothing is passed on.
    let _pairing = Peer::start(left, &["--space", "harbour", "--relay", address, "--pair"]);
    when(left, |answer| answer["lan"]["relays"][0]["refused"].is_string() && answer["lan"]["relays"][0]["syncing"] == true);
    let (_, said) = run(driftline().args(["peer", "status", "--folder"]).arg(left));
    assert!(said.contains(address) && said.contains("passes nothing on") && said.contains("synced with"), "{said}");

    let at = |arguments: &[&str]| run(driftline().args(["peer", "--folder"]).arg(left).args(arguments));
    let (code, said) = at(&["--relay", "/ip4/127.0.0.1/tcp/1"]);
    assert!(code == 2 && said.contains("/p2p/"), "{code}: {said}");
    let (code, said) = at(&["--relay", address, "--no-lan"]);
    assert!(code == 2 && said.contains("ws://"), "{code}: {said}");
}

#[test]
fn what_is_wrong_with_the_command_line_or_the_key_is_told_before_anything_happens() {
    let folder = TempDir::new().unwrap();
    let peer = |arguments: &[&str]| run(driftline().args(["peer", "--folder"]).arg(folder.path()).args(arguments));
    let (code, said) = peer(&["--pair", "7KQ2-9XMF-3TWD-H8VN-Z"]);
    assert!(code == 2 && said.contains("mistyped"), "{code}: {said}");
    let (code, said) = peer(&["--dial", "/ip4/127.0.0.1/udp/1/quic-v1"]);
    assert!(code == 2 && said.contains("--pair"), "{code}: {said}");
    let (code, said) = peer(&["--no-lan", "--pair"]);
    assert!(code == 2, "{code}: {said}");
    let (code, said) = run(driftline().args(["peer", "status", "--folder"]).arg(folder.path()));
    assert!(code == 3 && said.contains("no peer is running"), "{code}: {said}");

    use std::os::unix::fs::PermissionsExt as _;
    let data = folder.path().join(".driftline");
    std::fs::create_dir(&data).unwrap();
    let key = data.join("peer.key");
    std::fs::write(&key, "00".repeat(32)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = peer(&["--pair"]);
    assert!(code == 5 && said.contains("chmod 600"), "{code}: {said}");
}
