//! A real relay on libp2p: peers sync with it, and meet through it.

use super::{Machine, Plan, SPACE, elsewhere, reads, soon};
use driftline_core::base::id::SpaceId;
use driftline_relay::lan::{Identity, LanNews, PairingCode, PassesOn, PathKind, RelayAddress};
use driftline_relay::repo::{Repo, RepoOptions};
use driftline_relay::server::{P2pOptions, Relay, RelayOptions};
use tempfile::TempDir;

/// A relay, and one of the addresses by which peers reach it.
async fn relay(data: &TempDir, passes_on: PassesOn, dial: Vec<RelayAddress>) -> (Relay, String) {
    let p2p = Some(P2pOptions { passes_on, dial, ..P2pOptions::new() });
    let relay = Relay::start(RelayOptions { p2p, ..RelayOptions::new(data.path()) }).await.unwrap();
    relay.host().ready().await.unwrap();
    let addresses = relay.p2p_addresses().await;
    assert_eq!(addresses.len(), 2, "QUIC and TCP: {addresses:?}");
    (relay, addresses[0].to_string())
}

/// A replica that reaches a relay by WebSocket, as a browser does.
async fn over_websocket(relay: &Relay) -> Repo {
    let repo = Repo::open(RepoOptions::memory().relay(relay.url())).await.unwrap();
    repo.space_of(SPACE);
    repo
}

/// Two machines that know each other and a relay, and neither where the other is.
async fn two_at(relay: &str, syncs: bool) -> [Machine; 2] {
    let (first, second) = (Identity::fresh(), Identity::fresh());
    let plan = |own: &Identity, other| Plan { identity: own.clone(), ..Plan::default() }.knowing(other).at_relay(relay, syncs);
    [plan(&first, &second).at_work().await, plan(&second, &first).at_work().await]
}

async fn has_no_place(machine: &Machine) -> String {
    let status = machine.when(|status| status.relays[0].refused.is_some()).await;
    assert!(!status.relays[0].reachable);
    status.relays[0].refused.clone().unwrap()
}

#[tokio::test]
async fn two_that_know_only_a_relay_meet_through_it_and_need_it_no_more() {
    let data = TempDir::new().unwrap();
    let (relay, address) = relay(&data, PassesOn::Everyone, Vec::new()).await;
    let [one, two] = two_at(&address, false).await;
    let note = one.repo().space_of(SPACE).create(|tx| tx.put("body", "tide")).await.unwrap();
    let same = elsewhere(&two, SPACE, note.id()).await;
    reads(&same, "tide").await;
    for machine in [&one, &two] {
        // On one machine there is always a way without the relay, and the one through it goes.
        let is_direct = |path: &driftline_relay::lan::PathStatus| path.kind == PathKind::Lan && path.syncing;
        machine.when(|status| status.peers[0].connections == 1 && status.peers[0].path.as_ref().is_some_and(is_direct)).await;
    }
    let shown = relay.host().call(|engine, _| engine.spaces()).await.unwrap();
    assert!(!shown.contains(&SPACE), "it was shown nothing: {shown:?}");
    relay.shutdown().await;
    same.change(|tx| tx.splice("body", 0, 0, "low ")).await.unwrap();
    reads(&note, "low tide").await;
}

#[tokio::test]
async fn a_relay_passes_on_for_nobody_else_than_those_who_were_named() {
    let data = TempDir::new().unwrap();
    let (first, second, third) = (Identity::fresh(), Identity::fresh(), Identity::fresh());
    let named = PassesOn::Between([first.peer(), second.peer()].into());
    let (relay, address) = relay(&data, named, Vec::new()).await;
    let plan = |own: &Identity| Plan { identity: own.clone(), ..Plan::default() }.at_relay(&address, true);
    let one = plan(&first).knowing(&second).knowing(&third).at_work().await;
    let two = plan(&second).knowing(&first).at_work().await;
    let three = plan(&third).knowing(&first).at_work().await;
    two.when(|status| status.relays[0].reachable && status.peers[0].path.is_some()).await;
    assert!(has_no_place(&three).await.contains("not told to"));
    assert!(three.status().await.peers[0].path.is_none());
    // Sync with the relay is open to whoever knows the space.
    let note = three.repo().space_of(SPACE).create(|tx| tx.put("body", "tide")).await.unwrap();
    reads(&elsewhere(&one, SPACE, note.id()).await, "tide").await;
    relay.shutdown().await;
}

#[tokio::test]
async fn a_stranger_who_calls_through_a_relay_is_hung_up_on_and_what_is_passed_on_is_counted() {
    let data = TempDir::new().unwrap();
    let (relay, address) = relay(&data, PassesOn::Everyone, Vec::new()).await;
    let (first, second) = (Identity::fresh(), Identity::fresh());
    let plan = |own: &Identity| Plan { identity: own.clone(), ..Plan::default() }.at_relay(&address, false);
    let one = plan(&first).knowing(&second).at_work().await;
    let stranger = plan(&Identity::fresh()).knowing(&first).at_work().await;
    let status = one.when(|status| status.refused.strangers > 0).await;
    assert!(status.peers[0].path.is_none(), "{status:?}");
    assert_eq!(one.repo().space_of(SPACE).status().await.unwrap().peers, 0);
    let (_, metrics) = crate::replica::get(&relay, "/metrics").await;
    let counted = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    assert_eq!(counted("driftline_p2p_places "), Some(2.0), "{metrics}");
    assert!(counted("driftline_p2p_circuits_passed_total ") >= Some(1.0) && counted("driftline_p2p_connections ") >= Some(2.0));
    stranger.leave().await;
    relay.shutdown().await;
}

#[tokio::test]
async fn a_relay_that_passes_nothing_on_syncs_all_the_same() {
    let data = TempDir::new().unwrap();
    let (relay, address) = relay(&data, PassesOn::Nobody, Vec::new()).await;
    let [one, two] = two_at(&address, true).await;
    assert!(has_no_place(&one).await.contains("for anyone"));
    let note = one.repo().space_of(SPACE).create(|tx| tx.put("body", "tide")).await.unwrap();
    reads(&elsewhere(&two, SPACE, note.id()).await, "tide").await;
    let status = two.when(|status| status.relays[0].syncing).await;
    assert!(status.relays[0].connected && status.peers[0].path.is_none(), "{status:?}");
    relay.shutdown().await;
}

#[tokio::test]
async fn native_peers_and_a_websocket_client_converge_on_one_note_and_the_relay_keeps_it() {
    let data = TempDir::new().unwrap();
    let (relay, address) = relay(&data, PassesOn::Everyone, Vec::new()).await;
    let browser = over_websocket(&relay).await;
    let [one, two] = two_at(&address, true).await;
    let note = one.repo().space_of(SPACE).create(|tx| tx.put("body", "tide")).await.unwrap();
    let on_two = elsewhere(&two, SPACE, note.id()).await;
    let in_browser = soon(async {
        loop {
            if let Ok(found) = browser.space_of(SPACE).find(note.id()).await {
                return found;
            }
        }
    })
    .await;
    reads(&in_browser, "tide").await;
    in_browser.change(|tx| tx.splice("body", 0, 0, "low ")).await.unwrap();
    on_two.when(|document| document.text("body").as_deref() == Some("low tide")).await.unwrap();
    on_two.change(|tx| tx.splice("body", 8, 0, " again")).await.unwrap();
    for note in [&note, &in_browser] {
        reads(note, "low tide again").await;
    }
    soon(note.when_saved(driftline_relay::repo::Level::Relay)).await.unwrap();
    let named = relay.p2p_addresses().await;
    relay.shutdown().await;

    // The next start is the same relay to everyone.
    let again = Relay::start(RelayOptions { p2p: Some(P2pOptions::new()), ..RelayOptions::new(data.path()) }).await.unwrap();
    let name = |address: &driftline_relay::lan::Multiaddr| address.to_string().rsplit('/').next().unwrap().to_owned();
    assert_eq!(name(&again.p2p_addresses().await[0]), name(&named[0]));
    again.shutdown().await;
}

#[tokio::test]
async fn peers_take_their_places_again_when_a_relay_comes_back() {
    let (data, port) = (TempDir::new().unwrap(), std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let start = async || {
        let p2p = Some(P2pOptions { listen: vec![port], passes_on: PassesOn::Everyone, ..P2pOptions::new() });
        Relay::start(RelayOptions { p2p, ..RelayOptions::new(data.path()) }).await
    };
    let before = start().await.unwrap();
    let address = before.p2p_addresses().await[0].to_string();
    let machine = Plan::default().knowing(&Identity::fresh()).at_relay(&address, true).at_work().await;
    machine.when(|status| status.relays[0].reachable && status.relays[0].syncing).await;
    before.shutdown().await;
    let away = machine.when(|status| !status.relays[0].connected).await;
    assert!(!away.relays[0].reachable && away.relays[0].refused.is_none(), "{away:?}");
    // The system gives the port back a moment later.
    let again = soon(async {
        loop {
            if let Ok(relay) = start().await {
                return relay;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    machine.when(|status| status.relays[0].reachable && status.relays[0].syncing).await;
    again.shutdown().await;
}

#[tokio::test]
async fn a_relay_that_comes_to_libp2p_later_is_who_it_was() {
    let data = TempDir::new().unwrap();
    let before = Relay::start(RelayOptions::new(data.path())).await.unwrap();
    before.host().ready().await.unwrap();
    let peer = before.host().call(|engine, _| engine.peer_id()).await.unwrap().unwrap();
    before.shutdown().await;
    let (relay, _) = relay(&data, PassesOn::Nobody, Vec::new()).await;
    assert_eq!(relay.host().call(|engine, _| engine.peer_id()).await.unwrap(), Some(peer));
    assert_eq!(Identity::load(data.path()).unwrap().peer(), peer);
    relay.shutdown().await;
}

#[tokio::test]
async fn who_has_the_code_and_the_address_pairs_through_a_relay() {
    let data = TempDir::new().unwrap();
    let (relay, address) = relay(&data, PassesOn::Everyone, Vec::new()).await;
    let code = PairingCode::fresh();
    let mut one = Plan::default().pairing(&code).at_relay(&address, false).start();
    let mut news = one.lan.news();
    let reachable = soon(async {
        loop {
            if let LanNews::Reachable { address } = news.recv().await.unwrap() {
                return address;
            }
        }
    })
    .await;
    assert!(reachable.contains("p2p-circuit"), "{reachable}");
    let mut two = Plan::default().pairing(&code).at_relay(&address, false).dialling(reachable.parse().unwrap()).start();
    let space: SpaceId = soon(one.lan.space()).await.unwrap();
    assert_eq!(soon(two.lan.space()).await, Some(space));
    one.begin(space).await;
    two.begin(space).await;
    let note = one.repo().space_of(space).create(|tx| tx.put("body", "tide")).await.unwrap();
    reads(&elsewhere(&two, space, note.id()).await, "tide").await;
    relay.shutdown().await;
}

#[tokio::test]
async fn clients_of_one_relay_meet_clients_of_another_that_it_dials() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let (far, address) = relay(&folders[0], PassesOn::Nobody, Vec::new()).await;
    let (near, _) = relay(&folders[1], PassesOn::Nobody, vec![address.parse().unwrap()]).await;
    let [one, two] = [over_websocket(&near).await, over_websocket(&far).await];
    let note = one.space_of(SPACE).create(|tx| tx.put("body", "tide")).await.unwrap();
    let same = soon(async {
        loop {
            if let Ok(found) = two.space_of(SPACE).find(note.id()).await {
                return found;
            }
        }
    })
    .await;
    reads(&same, "tide").await;
    same.change(|tx| tx.splice("body", 0, 0, "low ")).await.unwrap();
    reads(&note, "low tide").await;
    near.shutdown().await;
    far.shutdown().await;
}
