//! Native peers on one machine: real connections over loopback, addresses told, no mDNS.

#[cfg(unix)]
mod command;
mod converge;
mod crowd;
mod relay;
mod strangers;

use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_relay::lan::{AllowList, Identity, Lan, LanOptions, LanStatus, Multiaddr, NamedRelay, PairingCode};
use driftline_relay::repo::{DocHandle, Repo, RepoOptions};
use std::future::Future;
use std::time::Duration;

/// Longest wait for what must happen: far more than it takes on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The space of those that were not paired by a code.
const SPACE: SpaceId = SpaceId([3; 16]);

/// Waits for what must come.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes about in time")
}

/// One machine: who it is, its place on the LAN, and its replica once it has a space.
struct Machine {
    identity: Identity,
    lan: Lan,
    repo: Option<Repo>,
}

/// How a machine begins.
struct Plan {
    identity: Identity,
    list: AllowList,
    transport: &'static str,
    dial: Vec<Multiaddr>,
    relays: Vec<NamedRelay>,
    pairing: Option<PairingCode>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            identity: Identity::fresh(),
            list: AllowList::memory(),
            transport: "udp/0/quic-v1",
            dial: Vec::new(),
            relays: Vec::new(),
            pairing: None,
        }
    }
}

impl Plan {
    /// Knows this machine already.
    fn knowing(mut self, other: &Identity) -> Self {
        self.list.add(other.peer(), "", SPACE).unwrap();
        self
    }

    fn at_relay(mut self, relay: &str, syncs: bool) -> Self {
        self.relays.push(NamedRelay { at: relay.parse().unwrap(), syncs, meets: true });
        self
    }

    fn pairing(mut self, code: &PairingCode) -> Self {
        self.pairing = Some(code.clone());
        self
    }

    fn dialling(mut self, other: Multiaddr) -> Self {
        self.dial.push(other);
        self
    }

    fn over(mut self, transport: &'static str) -> Self {
        self.transport = transport;
        self
    }

    /// On the LAN; with an engine only once there is a space.
    fn start(self) -> Machine {
        let Self { identity, list, transport, dial, relays, pairing } = self;
        let listen = vec![format!("/ip4/127.0.0.1/{transport}").parse().unwrap()];
        let options =
            LanOptions { identity: identity.clone(), name: "machine".into(), list, listen, dial, relays, mdns: false, pairing };
        Machine { identity, lan: Lan::start(options).unwrap(), repo: None }
    }

    /// On the LAN with an engine that syncs the space of those who know each other.
    async fn at_work(self) -> Machine {
        let mut machine = self.start();
        machine.begin(SPACE).await;
        machine
    }
}

impl Machine {
    async fn begin(&mut self, space: SpaceId) -> Repo {
        let repo = Repo::open_as(RepoOptions::memory(), self.identity.secret(), self.lan.dialler()).await.unwrap();
        repo.space_of(space);
        self.lan.attach(repo.host().clone()).await;
        self.repo = Some(repo.clone());
        repo
    }

    fn repo(&self) -> &Repo {
        self.repo.as_ref().expect("it is at work")
    }

    async fn status(&self) -> LanStatus {
        self.lan.status().await.expect("the node runs")
    }

    /// Waits until the LAN looks as `wanted`.
    async fn when(&self, wanted: impl Fn(&LanStatus) -> bool) -> LanStatus {
        soon(async {
            loop {
                let status = self.status().await;
                if wanted(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Where others can call, with its name.
    async fn address(&self) -> Multiaddr {
        let status = self.when(|status| !status.addresses.is_empty()).await;
        status.addresses[0].parse().unwrap()
    }

    async fn leave(self) {
        if let Some(repo) = &self.repo {
            repo.close().await;
        }
        self.lan.leave().await;
    }
}

/// Two machines that know each other, the first of which listens; the second calls it.
async fn acquainted(transport: &'static str) -> [Machine; 2] {
    let (first, second) = (Identity::fresh(), Identity::fresh());
    let one = Plan { identity: first.clone(), ..Plan::default() }.knowing(&second).over(transport).at_work().await;
    let address = one.address().await;
    let two = Plan { identity: second, ..Plan::default() }.knowing(&first).over(transport).dialling(address).at_work().await;
    [one, two]
}

/// A document that one machine made, on another.
async fn elsewhere(machine: &Machine, space: SpaceId, document: DocumentId) -> DocHandle {
    let space = machine.repo().space_of(space);
    soon(async {
        loop {
            if let Ok(found) = space.find(document).await {
                return found;
            }
        }
    })
    .await
}

/// Waits until a document's body reads so.
async fn reads(note: &DocHandle, body: &'static str) {
    let wanted = note.when(move |document| document.text("body").as_deref() == Some(body));
    soon(wanted).await.unwrap();
}
