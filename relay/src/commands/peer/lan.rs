//! `driftline peer` on the local network: what can be typed, and how it comes to be there.

use crate::commands::failure::{Failure, FailureKind};
use crate::commands::output::Output;
use crate::lan::{
    AllowList, Identity, IdentityError, Lan, LanNews, LanOptions, Multiaddr, NamedRelay, PairingCode, RelayAddress, did_of,
};
use crate::store::sqlite::{DATABASE_FILE, SqliteOptions, SqliteStore};
use clap::Args;
use driftline_core::base::id::SpaceId;
use driftline_core::engine::stored::IDENTITY_KEY;
use serde_json::json;
use std::path::Path;
use tokio::sync::Mutex;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Where a peer listens unless it is told otherwise: at every address, at a port of the system's choice.
const LISTEN: [&str; 2] = ["/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0"];

/// What can be typed about the local network.
#[derive(Args, Debug)]
#[command(next_help_heading = "On the local network")]
pub(super) struct LanArguments {
    /// Pair with the machine that was started with the same code; without CODE one is made and printed
    #[arg(long, value_name = "CODE", num_args = 0..=1, conflicts_with = "no_lan")]
    pair: Option<Option<PairingCode>>,
    /// A relay to be reached through and nothing else: it passes on what others seal for this peer, and is given no
    /// documents. An address as `driftline relay --p2p` prints it; may be given several times
    #[arg(long, value_name = "MULTIADDR", conflicts_with = "no_lan")]
    through: Vec<RelayAddress>,
    /// A peer to call, wherever it is, such as /ip4/192.168.1.7/udp/4001/quic-v1; may be given several times
    #[arg(long, value_name = "MULTIADDR", conflicts_with = "no_lan")]
    dial: Vec<Multiaddr>,
    /// Where to listen for peers; may be given several times [default: every address, a free port, QUIC and TCP]
    #[arg(long, value_name = "MULTIADDR", conflicts_with = "no_lan")]
    listen: Vec<Multiaddr>,
    /// Do not look for peers, and do not be found: only what was named by --dial is called
    #[arg(long)]
    no_mdns: bool,
    /// Stay off the local network
    #[arg(long)]
    no_lan: bool,
}

impl LanArguments {
    /// Whether a code was typed: whoever made it says which space is shared.
    pub(super) fn is_told_the_space(&self) -> bool {
        matches!(self.pair, Some(Some(_)))
    }
}

/// A peer's place on the local network.
pub(super) struct LanPlace {
    identity: Identity,
    lan: Lan,
    /// The code that this program made, to be said again once there is an address to say with it.
    code: Option<PairingCode>,
    /// Whether relays were named to sync with.
    syncs: bool,
    /// The space where none was named, kept or is to be agreed on.
    otherwise: Option<SpaceId>,
    news: Mutex<Receiver<LanNews>>,
}

impl LanPlace {
    /// Takes a place on the network, if there is anyone to meet there: a peer on the list, one to be paired with, one to call, or a relay to sync with.
    ///
    /// `space` is the space that was named, if one was; `relays` are those to sync with over libp2p.
    pub(super) fn take(
        arguments: &LanArguments,
        data: &Path,
        space: Option<&str>,
        relays: Vec<RelayAddress>,
        output: &Output,
    ) -> Result<Option<Self>, Failure> {
        if arguments.no_lan {
            if let Some(relay) = relays.first() {
                let why =
                    format!("--no-lan keeps off the network that {} is on: leave it out, or name a relay by ws://", relay.full());
                return Err(Failure::new(FailureKind::Usage, why));
            }
            return Ok(None);
        }
        let failed = |why: String| Failure::new(FailureKind::Failed, why);
        let mut list = AllowList::load(data).map_err(|error| failed(error.to_string()))?;
        let alone = list.peers().next().is_none() && arguments.pair.is_none();
        if alone && relays.is_empty() {
            if arguments.dial.is_empty() && arguments.through.is_empty() {
                return Ok(None);
            }
            let why = "no peer was paired with yet, so whoever answers would be hung up on: say --pair on both machines";
            return Err(Failure::new(FailureKind::Usage, why));
        }
        let identity = Identity::load_or(data, || stored(data).unwrap_or_else(Identity::fresh)).map_err(|error| {
            let kind = if matches!(error, IdentityError::Io { .. }) { FailureKind::Failed } else { FailureKind::Refused };
            Failure::new(kind, error.to_string())
        })?;
        if let Some(space) = space_to_settle(arguments, &list, space)? {
            list.settle(space).map_err(|error| failed(format!("the list of peers cannot be written: {error}")))?;
        }
        let pairing = match &arguments.pair {
            Some(Some(code)) => Some(code.clone()),
            Some(None) => {
                let code = PairingCode::fresh();
                let human = format!("pairing code: {code}\non the other machine: driftline peer --pair {code}");
                output.result(&human, &json!({ "event": "pairingCode", "code": code.to_string() }));
                Some(code)
            }
            None => None,
        };
        let listen = if alone {
            // Whoever came would be hung up on.
            Vec::new()
        } else if arguments.listen.is_empty() {
            LISTEN.iter().map(|address| address.parse().expect("it is an address")).collect()
        } else {
            arguments.listen.clone()
        };
        let (did, syncs) = (did_of(&identity.peer()), !relays.is_empty());
        let through = arguments.through.iter().filter(|at| !relays.contains(at)).cloned();
        let through: Vec<NamedRelay> = through.map(|at| NamedRelay { at, syncs: false, meets: true }).collect();
        let relays = relays.into_iter().map(|at| NamedRelay { at, syncs: true, meets: !alone }).chain(through).collect();
        let otherwise = (alone && list.space().is_none()).then(|| SpaceId::from_id_or_name(super::SPACE));
        let code = pairing.clone().filter(|_| arguments.pair == Some(None));
        let options = LanOptions {
            identity: identity.clone(),
            name: machine_name(),
            list,
            listen,
            dial: arguments.dial.clone(),
            relays,
            mdns: !arguments.no_mdns && !alone,
            pairing,
        };
        let lan = Lan::start(options).map_err(|error| failed(error.to_string()))?;
        output.note(&format!("on the local network as {did}"));
        let news = Mutex::new(lan.news());
        Ok(Some(Self { identity, lan, code, syncs, otherwise, news }))
    }

    /// Who this is.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The node.
    pub(super) fn lan(&self) -> &Lan {
        &self.lan
    }

    /// The space that is shared here, once there is one.
    pub(super) async fn space(&self, output: &Output) -> Result<SpaceId, Failure> {
        if let Some(space) = self.otherwise {
            return Ok(space);
        }
        if let Ok(space) = tokio::time::timeout(std::time::Duration::ZERO, self.lan.space()).await {
            return space.ok_or_else(gone);
        }
        output.note("waiting for the other machine, to learn which space it shares");
        tokio::select! {
            space = self.lan.space() => space.ok_or_else(gone),
            () = self.tell(output) => Err(gone()),
        }
    }

    /// Says one thing that happened.
    fn pass_on(&self, news: &LanNews, output: &Output) {
        match news {
            LanNews::Reachable { address } => {
                let mut human = format!("reachable at {address}");
                if let Some(code) = &self.code {
                    let relay = address.split("/p2p-circuit").next().unwrap_or_default();
                    let flag = if self.syncs { "--relay" } else { "--through" };
                    human.push_str(&format!(
                        "\non a machine elsewhere: driftline peer --pair {code} {flag} {relay} --dial {address}"
                    ));
                }
                output.result(&human, &json!({ "event": "reachable", "address": address }));
            }
            LanNews::NotReachable { relay, reason } => output.note(&format!(
                "the relay {} passes nothing on to this peer: {reason}; its operator allows it with --p2p-peer {}, or with --p2p-open",
                did_of(relay),
                did_of(&self.identity.peer())
            )),
            LanNews::Paired { peer, name } => {
                let did = did_of(peer);
                output.result(&format!("paired with {name} ({did})"), &json!({ "event": "paired", "peer": did, "name": name }));
            }
            LanNews::NotPaired { peer, reason } => output.note(&format!("not paired with {}: {reason}", did_of(peer))),
            LanNews::Connected { peer, address } => output.note(&format!("connected to {} at {address}", did_of(peer))),
            LanNews::Disconnected { peer } => output.note(&format!("no connection to {} any more", did_of(peer))),
        }
    }

    /// Says what happens there, as long as it does.
    pub(super) async fn tell(&self, output: &Output) {
        let mut news = self.news.lock().await;
        loop {
            match news.recv().await {
                Ok(news) => self.pass_on(&news, output),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// [`LanPlace::tell`], for ever where there is no place.
pub(super) async fn tell_of(place: Option<&LanPlace>, output: &Output) {
    match place {
        Some(place) => place.tell(output).await,
        None => std::future::pending().await,
    }
}

/// Who the replica in a data directory has been so far, so that nobody takes it for another; nothing where there is none.
fn stored(data: &Path) -> Option<Identity> {
    if !data.join(DATABASE_FILE).exists() {
        return None;
    }
    let secret = SqliteStore::open(data, &SqliteOptions::default()).ok()?.named(IDENTITY_KEY)?;
    Some(Identity::from_secret(secret.try_into().ok()?))
}

/// The space that peers were paired with for, if any were.
pub(super) fn kept_space(data: &Path) -> Result<Option<SpaceId>, Failure> {
    let list = AllowList::load(data).map_err(|error| Failure::new(FailureKind::Failed, error.to_string()))?;
    Ok(list.space())
}

fn gone() -> Failure {
    Failure::new(FailureKind::Failed, "the node on the local network ended, which is a bug")
}

/// The space to settle before anyone is met: the one that was named, or a new one where a code is made; whoever types the code joins it.
fn space_to_settle(arguments: &LanArguments, list: &AllowList, named: Option<&str>) -> Result<Option<SpaceId>, Failure> {
    let named = named.map(SpaceId::from_id_or_name);
    match (named, list.space()) {
        (Some(named), Some(kept)) if named != kept => {
            let why = format!(
                "peers were paired with for the space {kept}, and {named} was asked for; leave --space out, or use another --data folder"
            );
            Err(Failure::new(FailureKind::Usage, why))
        }
        (Some(named), None) => Ok(Some(named)),
        (None, None) if arguments.pair == Some(None) => Ok(Some(SpaceId(crate::repo::random()))),
        _ => Ok(None),
    }
}

/// What this machine is called, for people who pair with it.
fn machine_name() -> String {
    let kept = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kept.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "a peer".to_owned())
}
