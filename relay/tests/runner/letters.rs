//! Letters through real relay processes: to someone who is away, across a relay that is killed, and from one relay to another.

use crate::owned::Device;
use crate::process::{Process, driftline};
use crate::replica::PATIENCE;
use driftline_relay::repo::{LetterState, Repo, RepoOptions};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_waits_for_someone_who_is_away_while_the_relay_is_killed() {
    let data = TempDir::new().unwrap();
    let mut relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let (anna, mut ben, cat) = (Device::new(&url), Device::new(&url), Device::new(&url));
    let key = ben.json(&["inbox"]).await["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("did:key:z6Mk"), "{key}");

    let made = anna.json(&["space", "create", "--owned"]).await;
    let space = made["space"].as_str().unwrap();
    let id = anna.prints(&["doc", "create", "--space", space, "--value", r#"{"body": "anna "}"#, "--wait", "relay"]).await;
    let sent = anna.json(&["share", "--space", space, "--write", "--to", &key, "--expires", "7d"]).await;
    assert_eq!((&sent["kept"], &sent["to"], sent.get("link")), (&true.into(), &key.clone().into(), None), "{sent}");
    // The relay has it on the disk, and cannot read it.
    relay.signal("KILL");
    relay.ended(PATIENCE);
    let relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let strangers = Device { relay: url.clone(), ..cat };
    assert_eq!(strangers.json(&["inbox"]).await["letters"].as_array().unwrap().len(), 0);

    ben.relay = url;
    let came = ben.json(&["inbox"]).await;
    let letter = &came["letters"][0];
    assert_eq!((&letter["id"], &letter["kind"]), (&sent["letter"], &"invitation".into()), "{came}");
    let shown = ben.prints(&["inbox"]).await;
    assert!(shown.contains("driftline join --from-inbox") && shown.contains("expires in"), "{shown}");
    let number = &letter["id"].as_str().unwrap()[..8];
    let joined = ben.json(&["join", "--from-inbox", number, "--note", "Ben's laptop"]).await;
    assert_eq!((joined["space"].as_str(), joined["level"].as_str()), (Some(space), Some("write")), "{joined}");
    assert_eq!(ben.prints(&["doc", "get", &id, "body", "--space", space]).await, "anna");
    assert_eq!(ben.json(&["inbox"]).await["letters"].as_array().unwrap().len(), 0, "an invitation that was taken is forgotten");
    let (code, _, said) = ben.run(&["join", "--from-inbox", number]).await;
    assert!(code == 3 && said.contains("driftline inbox"), "{code}: {said}");
    let (code, _, said) = ben.run(&["share", "--space", space, "--read", "--to", "Ben"]).await;
    assert!(code == 2 && said.contains("did:key:z6Mk"), "{code}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sends_and_follows_letters_and_forgets_them() {
    let data = TempDir::new().unwrap();
    let relay = Process::start(data.path());
    let url = relay.told("sync").to_owned();
    let (anna, ben) = (Device::new(&url), Device::new(&url));
    let (annas, bens) = (anna.repo().await, ben.repo().await);
    let mut letters = bens.follow_letters();
    for text in ["one", "two"] {
        let sent = annas.send_letter(bens.peer_id(), "note", text, DAY).await.unwrap();
        let letter = tokio::time::timeout(PATIENCE, letters.next()).await.unwrap().unwrap();
        assert_eq!((letter.id, letter.sender, letter.content), (sent, annas.peer_id(), text.as_bytes().to_vec()));
        annas.when_letter_kept(sent, PATIENCE).await.unwrap();
        assert_eq!(annas.letter_state(sent), Some(LetterState::Kept));
        assert!(bens.forget_letter(letter.id).await.unwrap());
    }
    let too_large = annas.send_letter(bens.peer_id(), "note", vec![7; 20_000], DAY).await.unwrap_err();
    assert!(too_large.to_string().contains("send less"), "{too_large}");
    bens.close().await;
    // Nobody is there: it is kept on this device, and leaves when the program runs again.
    annas.close().await;
    let away = Repo::open(RepoOptions::folder(anna.folder.path())).await.unwrap();
    let sent = away.send_letter(bens.peer_id(), "note", "three", DAY).await.unwrap();
    assert!(away.when_letter_kept(sent, Duration::ZERO).await.unwrap_err().to_string().contains("no relay"));
    away.close().await;
    let annas = anna.repo().await;
    annas.when_letter_kept(sent, PATIENCE).await.unwrap();
    annas.close().await;
    assert_eq!(ben.json(&["inbox"]).await["letters"][0]["content"], "three");
}

/// A relay that other relays can dial, and that dials one.
fn federated(data: &Path, dials: Option<&str>) -> Process {
    let mut command = driftline();
    command.args(["relay", "--listen", "127.0.0.1:0", "--log", "warn", "--p2p", "127.0.0.1:0", "--data"]).arg(data);
    if let Some(other) = dials {
        command.args(["--dial", other]);
    }
    Process::spawn(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_finds_someone_whose_home_is_another_relay() {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let home = federated(there.path(), None);
    let relay = federated(here.path(), Some(home.told("peers")));
    let (anna, ben) = (Device::new(relay.told("sync")), Device::new(home.told("sync")));
    let key = ben.json(&["inbox"]).await["key"].as_str().unwrap().to_owned();
    let made = anna.json(&["space", "create", "--owned"]).await;
    let sent = anna.json(&["share", "--space", made["space"].as_str().unwrap(), "--read", "--to", &key]).await;
    assert_eq!(sent["kept"], true, "{sent}");
    let arrived = async {
        loop {
            let came = ben.json(&["inbox"]).await;
            match came["letters"].as_array().map(Vec::len) {
                Some(0) => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => return came,
            }
        }
    };
    let came = tokio::time::timeout(PATIENCE, arrived).await.expect("it finds its way");
    assert_eq!(came["letters"][0]["id"], sent["letter"], "{came}");
    let joined = ben.json(&["join", "--from-inbox", &sent["letter"].as_str().unwrap()[..8]]).await;
    assert_eq!(joined["level"], "read", "{joined}");
    // Also where he comes by at the other relay, it is not shown again.
    let elsewhere = Device { relay: anna.relay.clone(), folder: ben.folder };
    assert_eq!(elsewhere.json(&["inbox"]).await["letters"].as_array().unwrap().len(), 0);
}
