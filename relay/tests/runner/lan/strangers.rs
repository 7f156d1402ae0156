//! Those who do not belong here, and those who belong and misbehave.

use super::{Machine, Plan, SPACE, acquainted, elsewhere, reads, soon};
use driftline_relay::lan::{AllowList, Identity, Multiaddr, PairingCode};
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use std::time::Duration;
use tokio::net::TcpStream;

const SYNC: StreamProtocol = StreamProtocol::new("/driftline/sync/1");
const PAIR: StreamProtocol = StreamProtocol::new("/driftline/pair/1");

/// A peer that speaks libp2p and nothing else: it calls `address`, and answers a way to open streams there.
fn speaker(identity: &Identity, address: Multiaddr) -> libp2p_stream::Control {
    let mut swarm = SwarmBuilder::with_existing_identity(identity.keypair().clone())
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_quic()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .build();
    let control = swarm.behaviour().new_control();
    swarm.dial(address.clone()).unwrap();
    tokio::spawn(async move {
        loop {
            if let SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } =
                swarm.select_next_some().await
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
                drop(swarm.dial(address.clone()));
            }
        }
    });
    control
}

/// A peer that calls `address` as often as `calls` says, at once, and stays on the line.
fn caller(identity: &Identity, address: &Multiaddr, calls: usize) {
    let mut swarm = SwarmBuilder::with_existing_identity(identity.keypair().clone())
        .with_tokio()
        .with_quic()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .build();
    for _ in 0..calls {
        let call = DialOpts::peer_id(libp2p_peer(address)).condition(PeerCondition::Always).addresses(vec![address.clone()]);
        swarm.dial(call.build()).unwrap();
    }
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
}

fn libp2p_peer(address: &Multiaddr) -> libp2p::PeerId {
    address.to_string().rsplit('/').next().unwrap().parse().unwrap()
}

/// Converges with one that is known, which shows that nobody else is in the way.
async fn still_works(machines: &[Machine; 2]) {
    let note = machines[0].repo().space_of(SPACE).create(|tx| tx.put("body", "calm")).await.unwrap();
    reads(&elsewhere(&machines[1], SPACE, note.id()).await, "calm").await;
}

#[tokio::test]
async fn a_stranger_is_hung_up_on_counted_and_learns_nothing() {
    let machines = acquainted("udp/0/quic-v1").await;
    let stranger = Identity::fresh();
    let mut control = speaker(&stranger, machines[0].address().await);
    let status = machines[0].when(|status| status.refused.strangers >= 3).await;
    assert_eq!(status.peers.len(), 1, "it is on no list");
    // However often it tries, nothing is said on a stream.
    let other = machines[0].lan_peer();
    for protocol in [SYNC, PAIR] {
        for _ in 0..5 {
            if let Ok(mut stream) = control.open_stream(other, protocol.clone()).await {
                drop(stream.write_all(&[0; 100]).await);
                let mut said = Vec::new();
                drop(stream.read_to_end(&mut said).await);
                assert!(said.is_empty(), "{protocol}: {said:?}");
            }
        }
    }
    still_works(&machines).await;
}

#[tokio::test]
async fn of_several_connections_of_a_pair_one_stays() {
    // The one with the lower name decides.
    let (mut low, mut high) = (Identity::fresh(), Identity::fresh());
    if low.network_peer() > high.network_peer() {
        std::mem::swap(&mut low, &mut high);
    }
    let machine = Plan { identity: low, ..Plan::default() }.knowing(&high).at_work().await;
    let mut news = machine.lan.news();
    caller(&high, &machine.address().await, 3);
    soon(news.recv()).await.unwrap();
    // All three were there at once, or as many as the limit lets be, and then one: it is looked at for longer than they take to come.
    let mut most = 0;
    for _ in 0..100 {
        most = most.max(machine.status().await.peers[0].connections);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let status = machine.when(|status| status.peers[0].path.is_some()).await;
    assert_eq!((status.peers[0].connections, most), (1, 1), "those that are to go count no more from the moment they come");
}

#[tokio::test]
async fn a_wrong_code_pairs_nobody_and_the_right_one_still_does() {
    let code = PairingCode::fresh();
    let one = Plan::default().pairing(&code).start();
    let address = one.address().await;
    let wrong = Plan::default().pairing(&PairingCode::fresh()).dialling(address.clone()).start();
    let counted = one.when(|status| status.refused.codes > 0).await;
    assert_eq!((counted.space, counted.peers.len()), (None, 0));
    wrong.when(|status| status.refused.codes > 0 || status.refused.streams > 0).await;

    let right = Plan::default().pairing(&code).dialling(address).start();
    assert_eq!(soon(right.lan.space()).await, soon(one.lan.space()).await);
    let status = one.status().await;
    assert_eq!(status.peers.iter().map(|peer| peer.peer).collect::<Vec<_>>(), [right.identity.peer()]);
    assert_eq!((wrong.status().await.space, wrong.status().await.peers.len()), (None, 0));
}

#[tokio::test]
async fn two_with_spaces_of_their_own_are_told_so_and_stay_apart() {
    let code = PairingCode::fresh();
    let settled = |byte| {
        let mut list = AllowList::memory();
        list.settle(driftline_core::base::id::SpaceId([byte; 16])).unwrap();
        list
    };
    let one = Plan { list: settled(1), ..Plan::default() }.pairing(&code).start();
    let mut news = one.lan.news();
    let _two = Plan { list: settled(2), ..Plan::default() }.pairing(&code).dialling(one.address().await).start();
    let told = soon(news.recv()).await.unwrap();
    assert!(format!("{told:?}").contains("another space"), "{told:?}");
    assert_eq!(one.status().await.peers.len(), 0);
}

#[tokio::test]
async fn a_peer_on_the_list_that_sends_rubbish_harms_only_itself() {
    for transport in ["udp/0/quic-v1", "tcp/0"] {
        let (known, mad) = (Identity::fresh(), Identity::fresh());
        let one = Plan::default().knowing(&known).knowing(&mad).over(transport).at_work().await;
        let address = one.address().await;
        let two = Plan { identity: known, ..Plan::default() }.knowing(&one.identity).over(transport).dialling(address.clone());
        let machines = [one, two.at_work().await];
        let other = machines[0].lan_peer();
        let mut control = speaker(&mad, address);
        let rubbish: [&[u8]; 5] = [
            // A frame of bytes that are no message; one that claims 4 GiB; one cut short; beats; text.
            &[0, 0, 0, 4, 1, 2, 3, 4],
            &[255; 2_000],
            &[0, 1, 0, 0, 7],
            &[0; 4_000],
            b"GET / HTTP/1.1\r\nHost: harbour\r\n\r\n",
        ];
        for bytes in rubbish.into_iter().cycle().take(25) {
            if let Ok(mut stream) = control.open_stream(other, SYNC).await {
                drop(stream.write_all(bytes).await);
                drop(stream.flush().await);
            }
        }
        still_works(&machines).await;
    }
}

#[tokio::test]
async fn many_that_call_and_say_nothing_are_bounded_and_in_nobodys_way() {
    let (first, second) = (Identity::fresh(), Identity::fresh());
    let one = Plan { identity: first.clone(), ..Plan::default() }.knowing(&second).over("tcp/0").at_work().await;
    let address = one.address().await;
    let port: u16 = address.to_string().split('/').nth(4).unwrap().parse().unwrap();
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let status = one.when(|status| status.refused.connections >= 100).await;
    assert_eq!(status.peers.len(), 1);
    let two = Plan { identity: second, ..Plan::default() }.knowing(&first).over("tcp/0").dialling(address).at_work().await;
    still_works(&[one, two]).await;
    drop(silent);
}

impl Machine {
    /// Its name in libp2p.
    fn lan_peer(&self) -> libp2p::PeerId {
        self.identity.network_peer()
    }
}
