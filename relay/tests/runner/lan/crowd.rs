//! Fifty peers in one process, each with an engine, a swarm and a few neighbours: what one writes passes from one to the next until all have it.

use super::{Machine, PATIENCE, Plan, SPACE, elsewhere, soon};
use driftline_relay::lan::Identity;
use driftline_relay::repo::DocHandle;
use std::sync::atomic::Ordering;
use std::time::Instant;

const PEERS: usize = 50;
/// Edits that are timed, each by another peer.
const EDITS: usize = 20;
/// How often an edit may come to a peer, on average: four neighbours at most are sent it at once by each that has it. On a machine that is busy
/// many ask for it that it is on its way to; were it sent to all neighbours, it would come more than a dozen times.
const COPIES_PER_DELIVERY_MAX: f64 = 10.0;

#[tokio::test(flavor = "multi_thread")]
async fn what_one_of_fifty_writes_reaches_all_through_a_few_neighbours_each() {
    let identities: Vec<Identity> = (0..PEERS).map(|_| Identity::fresh()).collect();
    let mut machines: Vec<Machine> = Vec::new();
    for identity in &identities {
        let others = identities.iter().filter(|other| other.peer() != identity.peer());
        let plan = Plan { identity: identity.clone(), ..Plan::default() };
        machines.push(others.fold(plan, Plan::knowing).at_work().await);
    }
    let mut addresses = Vec::new();
    for machine in &machines {
        addresses.push(machine.address().await);
    }
    for machine in &machines {
        machine.lan.found(addresses.clone()).await;
    }
    let note = machines[0].repo().space_of(SPACE).create(|tx| tx.put("body", "0")).await.unwrap();
    let mut notes: Vec<DocHandle> = Vec::new();
    for machine in &machines {
        notes.push(elsewhere(machine, SPACE, note.id()).await);
    }
    let mut connections = Vec::new();
    for machine in &machines {
        let status = machine.when(|status| status.peers.iter().any(|peer| peer.path.is_some())).await;
        connections.push(status.peers.iter().filter(|peer| peer.path.is_some()).count());
    }
    let most = connections.iter().max().unwrap();
    // Each calls eight at most; whoever is there first is called by more, and parts from some after half a minute.
    let mean = connections.iter().sum::<usize>() / PEERS;
    assert!(*most < PEERS - 1 && mean <= 16, "a few neighbours each, not all: {connections:?}");

    let frames = || machines.iter().map(|machine| machine.repo().host().stats().frames_in.load(Ordering::Relaxed)).sum::<u64>();
    let (frames_before, entries_before, mut times) = (frames(), received(&machines).await, Vec::new());
    for edit in 1..=EDITS {
        let began = Instant::now();
        notes[edit % PEERS].change(move |tx| tx.put("body", edit.to_string())).await.unwrap();
        let arrivals = notes.iter().map(|note| async move {
            note.when(move |document| reads(document, edit)).await.unwrap();
            began.elapsed()
        });
        let mut arrived = soon(futures_util::future::join_all(arrivals)).await;
        arrived.sort_unstable();
        times.extend(arrived);
    }
    times.sort_unstable();
    let deliveries = (EDITS * (PEERS - 1)) as f64;
    let per_delivery = (frames() - frames_before) as f64 / deliveries;
    let copies = (received(&machines).await - entries_before) as f64 / deliveries;
    println!(
        "{PEERS} peers, {most} connections at most: an edit is everywhere after {:?} (median), {:?} (99 of 100); {copies:.1} copies and {per_delivery:.1} frames for each delivery",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    assert!(copies < COPIES_PER_DELIVERY_MAX, "{copies} copies for each delivery");
    assert!(times[times.len() / 2] < PATIENCE / 10, "{:?}", times[times.len() / 2]);
}

/// Entries that came to all of them from others.
async fn received(machines: &[Machine]) -> u64 {
    let mut received = 0;
    for machine in machines {
        received += machine.repo().host().call(|engine, _| engine.stats().received).await.unwrap();
    }
    received
}

fn reads(document: &driftline_core::doc::document::Document, edit: usize) -> bool {
    document.text("body").as_deref() == Some(edit.to_string().as_str())
}
