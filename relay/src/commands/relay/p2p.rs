//! `driftline relay --p2p`: what can be typed about native peers.

use crate::lan::{Multiaddr, PassesOn, RelayAddress, RelayAddressError, peer_of_did};
use crate::server::P2pOptions;
use clap::Args;
use driftline_core::base::id::PeerId;
use std::net::SocketAddr;

/// Where to listen unless it is said: a relay for peers is of use where they reach it.
const LISTEN: &str = "0.0.0.0:4001";

/// What can be typed about native peers.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Native peers")]
pub(super) struct P2pArguments {
    /// Let native peers sync here by libp2p, too, over QUIC (UDP) and TCP at this address, or at 0.0.0.0:4001
    ///
    /// They are told apart by keys; this relay's own is kept in its data folder, in peer.key. Whoever knows a space's id may sync it,
    /// as over WebSocket. May be given again, such as for IPv6: --p2p [::]:4001
    #[arg(long, value_name = "ADDRESS", env = "DRIFTLINE_P2P", num_args = 0..=1, default_missing_value = LISTEN, value_delimiter = ',')]
    p2p: Vec<SocketAddr>,
    /// Where peers reach it, if not where it listens, such as /dns4/relay.example.org/udp/4001/quic-v1; may be given again
    #[arg(long, value_name = "MULTIADDR", env = "DRIFTLINE_P2P_ADDRESS", value_delimiter = ',')]
    p2p_address: Vec<String>,
    /// Pass connections on for this peer, so that peers behind routers reach each other; may be given again
    ///
    /// `driftline peer` says its did:key when it starts. What is passed on is sealed between the two peers. How much it may be is bounded.
    #[arg(long, value_name = "DID", env = "DRIFTLINE_P2P_PEERS", value_delimiter = ',')]
    p2p_peer: Vec<String>,
    /// Pass connections on for everyone who asks
    #[arg(long, env = "DRIFTLINE_P2P_OPEN", conflicts_with = "p2p_peer")]
    p2p_open: bool,
    /// Keep all spaces in step with another relay, at an address that it prints; may be given again
    ///
    /// It learns of every space that is here, so it must be one that you trust with them.
    #[arg(long, value_name = "MULTIADDR", env = "DRIFTLINE_DIAL", value_delimiter = ',')]
    dial: Vec<String>,
}

/// The same in the configuration file.
#[derive(Debug, Default)]
pub(super) struct P2pFile {
    pub(super) p2p: Option<Vec<SocketAddr>>,
    pub(super) p2p_address: Option<Vec<String>>,
    pub(super) p2p_peer: Option<Vec<String>>,
    pub(super) p2p_open: Option<bool>,
    pub(super) dial: Option<Vec<String>>,
}

impl P2pArguments {
    /// Puts the settings together; nothing where native peers are not served.
    pub(super) fn resolve(self, file: P2pFile) -> Result<Option<P2pOptions>, String> {
        let or = |said: Vec<String>, file: Option<Vec<String>>| if said.is_empty() { file.unwrap_or_default() } else { said };
        let listen = if self.p2p.is_empty() { file.p2p.unwrap_or_default() } else { self.p2p };
        let named = or(self.p2p_peer, file.p2p_peer.filter(|_| !self.p2p_open));
        let open = self.p2p_open || (named.is_empty() && file.p2p_open.unwrap_or(false));
        let (reached_at, dial) = (or(self.p2p_address, file.p2p_address), or(self.dial, file.dial));
        if listen.is_empty() {
            if open || !named.is_empty() || !reached_at.is_empty() || !dial.is_empty() {
                return Err(
                    "--p2p-address, --p2p-peer, --p2p-open and --dial are about native peers: say --p2p as well".to_owned()
                );
            }
            return Ok(None);
        }
        let passes_on = match (open, named.is_empty()) {
            (true, _) => PassesOn::Everyone,
            (false, true) => PassesOn::Nobody,
            (false, false) => PassesOn::Between(named.iter().map(|did| peer(did)).collect::<Result<_, _>>()?),
        };
        let reached_at = reached_at.iter().map(|text| address(text)).collect::<Result<_, _>>()?;
        let dial: Result<Vec<RelayAddress>, RelayAddressError> = dial.iter().map(|text| text.parse()).collect();
        Ok(Some(P2pOptions { listen, reached_at, passes_on, dial: dial.map_err(|error| error.to_string())? }))
    }
}

fn peer(did: &str) -> Result<PeerId, String> {
    peer_of_did(did)
        .ok_or_else(|| format!("--p2p-peer {did} is no did:key of a peer: `driftline peer` says its own when it starts"))
}

fn address(text: &str) -> Result<Multiaddr, String> {
    text.parse()
        .map_err(|_| format!("--p2p-address {text} is no address: one looks like /dns4/relay.example.org/udp/4001/quic-v1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lan::{Identity, did_of};
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: P2pArguments,
    }

    fn resolve(arguments: &[&str], file: P2pFile) -> Result<Option<P2pOptions>, String> {
        Line::try_parse_from(["relay"].iter().chain(arguments)).map_err(|error| error.to_string())?.arguments.resolve(file)
    }

    #[test]
    fn nothing_is_passed_on_unless_it_was_said_for_whom() {
        assert!(resolve(&[], P2pFile::default()).expect("it makes sense").is_none());
        let options =
            |arguments: &[&str]| resolve(arguments, P2pFile::default()).expect("it makes sense").expect("it is asked for");
        let usual = options(&["--p2p"]);
        assert_eq!((usual.listen, usual.passes_on), (vec![LISTEN.parse().expect("it is an address")], PassesOn::Nobody));
        let peer = Identity::fresh().peer();
        let named = options(&["--p2p", "127.0.0.1:7", "--p2p", "[::1]:7", "--p2p-peer", &did_of(&peer)]);
        assert_eq!((named.listen.len(), named.passes_on), (2, PassesOn::Between([peer].into())));
        assert_eq!(options(&["--p2p", "--p2p-open"]).passes_on, PassesOn::Everyone);
    }

    #[test]
    fn a_flag_comes_before_the_file() {
        let did = did_of(&Identity::fresh().peer());
        let file =
            || P2pFile { p2p: Some(vec!["127.0.0.1:9".parse().expect("it is one")]), p2p_open: Some(true), ..P2pFile::default() };
        let passes_on =
            |arguments: &[&str], file| resolve(arguments, file).expect("it makes sense").expect("it is asked for").passes_on;
        assert_eq!(passes_on(&[], file()), PassesOn::Everyone);
        assert!(matches!(passes_on(&["--p2p-peer", &did], file()), PassesOn::Between(_)));
        let named = P2pFile { p2p_peer: Some(vec![did.clone()]), p2p_open: None, ..file() };
        assert_eq!(passes_on(&["--p2p-open"], named), PassesOn::Everyone);
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        for (arguments, word) in [
            (&["--p2p-open"][..], "say --p2p"),
            (&["--p2p", "--p2p-peer", "did:key:z6Mk"], "when it starts"),
            (&["--p2p", "--p2p-address", "relay.example.org"], "/dns4/"),
            (&["--p2p", "--dial", "/ip4/127.0.0.1/tcp/1"], "/p2p/"),
        ] {
            let error = resolve(arguments, P2pFile::default()).expect_err("it is wrong");
            assert!(error.contains(word), "{error}");
        }
    }
}
