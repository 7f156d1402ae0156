//! Peers that know each other, or come to: what one writes, the other reads.

use super::{Machine, Plan, SPACE, acquainted, elsewhere, reads, soon};
use driftline_core::base::id::SpaceId;
use driftline_relay::lan::{AllowList, Identity, Multiaddr, PairingCode, PathKind};
use std::time::Duration;

/// What one machine writes is read on the other, and the other way round.
async fn converge(one: &Machine, two: &Machine, space: SpaceId) {
    let note = one.repo().space_of(space).create(|tx| tx.put("body", "tide")).await.unwrap();
    let same = elsewhere(two, space, note.id()).await;
    reads(&same, "tide").await;
    same.change(|tx| tx.splice("body", 0, 0, "low ")).await.unwrap();
    reads(&note, "low tide").await;
}

#[tokio::test]
async fn two_peers_converge_over_quic_and_over_tcp() {
    for (transport, name) in [("udp/0/quic-v1", "quic"), ("tcp/0", "tcp")] {
        let [one, two] = acquainted(transport).await;
        converge(&one, &two, SPACE).await;
        let status = two.when(|status| status.peers[0].path.as_ref().is_some_and(|path| path.syncing)).await;
        let path = status.peers[0].path.as_ref().unwrap();
        assert_eq!((path.transport, path.kind, path.dialled), (name, PathKind::Lan, true), "{status:?}");
        one.leave().await;
        two.leave().await;
    }
}

#[tokio::test]
async fn two_that_were_given_the_same_code_and_nothing_else_pair_agree_on_a_space_and_converge() {
    let code = PairingCode::fresh();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let list = |at: usize| AllowList::load(folders[at].path()).unwrap();
    let mut one = Plan { list: list(0), ..Plan::default() }.pairing(&code).start();
    let mut two = Plan { list: list(1), ..Plan::default() }.pairing(&code).dialling(one.address().await).start();
    let space = soon(one.lan.space()).await.expect("they agree");
    assert_eq!(soon(two.lan.space()).await, Some(space));
    one.begin(space).await;
    two.begin(space).await;
    converge(&one, &two, space).await;
    let (first, second) = (one.identity.clone(), two.identity.clone());
    one.leave().await;
    two.leave().await;

    // The next start needs no code: each has the other on its list.
    let one = Plan { identity: first, list: list(0), ..Plan::default() }.start();
    let two = Plan { identity: second, list: list(1), ..Plan::default() }.dialling(one.address().await).start();
    for machine in [one, two] {
        let status = machine.when(|status| status.peers.iter().any(|peer| peer.path.is_some())).await;
        assert_eq!((status.space, status.pairing), (Some(space), false));
    }
}

#[tokio::test]
async fn a_third_joins_by_the_same_code_and_reads_through_the_one_it_knows() {
    let code = PairingCode::fresh();
    let mut one = Plan::default().pairing(&code).start();
    let address = one.address().await;
    let mut two = Plan::default().pairing(&code).dialling(address.clone()).start();
    let space = soon(one.lan.space()).await.unwrap();
    one.begin(space).await;
    soon(two.lan.space()).await.unwrap();
    two.begin(space).await;
    let mut three = Plan::default().pairing(&code).dialling(address).start();
    assert_eq!(soon(three.lan.space()).await, Some(space), "who is new takes the space that is there");
    three.begin(space).await;
    converge(&two, &three, space).await;
}

#[tokio::test]
async fn a_pair_that_both_call_at_once_keeps_one_connection_and_one_session() {
    let (first, second) = (Identity::fresh(), Identity::fresh());
    let [left, right] = [free_transport(), free_transport()];
    let at = |transport: &str, identity: &Identity| -> Multiaddr {
        format!("/ip4/127.0.0.1/{transport}/p2p/{}", identity.network_peer()).parse().unwrap()
    };
    let (to_left, to_right) = (at(left, &first), at(right, &second));
    let one = Plan { identity: first.clone(), ..Plan::default() }.knowing(&second).over(left).dialling(to_right);
    let two = Plan { identity: second, ..Plan::default() }.knowing(&first).over(right).dialling(to_left);
    let (one, two) = tokio::join!(one.at_work(), two.at_work());
    converge(&one, &two, SPACE).await;
    for machine in [&one, &two] {
        machine
            .when(|status| status.peers[0].connections == 1 && status.peers[0].path.as_ref().is_some_and(|path| path.syncing))
            .await;
    }
    converge(&one, &two, SPACE).await;
    let space = one.repo().space_of(SPACE).status().await.unwrap();
    assert_eq!(space.peers, 1, "one session");
}

/// QUIC on a port that nobody uses now.
fn free_transport() -> &'static str {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("udp/{port}/quic-v1").leak()
}

#[tokio::test]
async fn a_peer_that_was_away_is_called_again_and_told_what_it_missed() {
    let (first, second) = (Identity::fresh(), Identity::fresh());
    let transport = free_transport();
    let one = Plan { identity: first.clone(), ..Plan::default() }.knowing(&second).over(transport).at_work().await;
    let address = one.address().await;
    let two = Plan { identity: second.clone(), ..Plan::default() }.knowing(&first).dialling(address.clone()).at_work().await;
    let note = two.repo().space_of(SPACE).create(|tx| tx.put("body", "tide")).await.unwrap();
    elsewhere(&one, SPACE, note.id()).await;
    one.leave().await;
    two.when(|status| status.peers[0].path.is_none()).await;
    note.change(|tx| tx.splice("body", 0, 0, "high ")).await.unwrap();

    // It comes back where it was, with nothing, once the system has given the port back.
    let port = address.to_string().split('/').nth(4).unwrap().parse::<u16>().unwrap();
    soon(async {
        while std::net::UdpSocket::bind(("127.0.0.1", port)).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let back = Plan { identity: first, ..Plan::default() }.knowing(&second).over(transport).at_work().await;
    reads(&elsewhere(&back, SPACE, note.id()).await, "high tide").await;
}
