//! `driftline relay --access …`: what can be typed about who may come, and how much they may have.

use super::size::Size;
use crate::lan::peer_of_did;
use crate::server::AccessOptions;
use clap::{Args, ValueEnum};
use driftline_core::base::id::PeerId;
use driftline_core::base::limits::STAMP_BITS_MAX;
use driftline_core::engine::config::Quotas;
use driftline_core::policy::rate::Rate;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whom the relay lets in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AccessKind {
    /// Everyone
    #[default]
    Open,
    /// Whoever shows a token of --tokens
    Token,
    /// The keys in --allowed
    List,
}

/// What can be typed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Guests")]
pub(super) struct GuestArguments {
    /// Whom to let in [default: open]
    #[arg(long, value_enum, value_name = "WHOM", env = "DRIFTLINE_ACCESS")]
    access: Option<AccessKind>,
    /// With --access token: the file with the tokens' hashes, as driftline token makes it [default: tokens in the data directory]
    ///
    /// It is looked at again every few seconds: whose line is gone is let in no more.
    #[arg(long, value_name = "FILE", env = "DRIFTLINE_TOKENS")]
    tokens: Option<PathBuf>,
    /// With --access list: the file with the keys, one did:key a line, and a note after it if you like [default: allowed in the data directory]
    ///
    /// It is looked at again every few seconds: whose line is gone is told so, and let go.
    #[arg(long, value_name = "FILE", env = "DRIFTLINE_ALLOWED")]
    allowed: Option<PathBuf>,
    /// The largest one space may grow, in bytes of changes; above it they are refused, saying so [default: as large as the store]
    #[arg(long, value_name = "SIZE", env = "DRIFTLINE_SPACE_BYTES_MAX")]
    space_bytes_max: Option<Size>,
    /// Documents of one space; one more is refused, saying so [default: 100000]
    #[arg(long, value_name = "N", env = "DRIFTLINE_SPACE_DOCUMENTS_MAX")]
    space_documents_max: Option<usize>,
    /// Spaces that one key may bring here; others' it may join [default: any number]
    #[arg(long, value_name = "N", env = "DRIFTLINE_SPACES_PER_KEY_MAX")]
    spaces_per_key_max: Option<usize>,
    /// Frames a second that one key may send, ten seconds' worth at once; above it, it is let go, saying so [default: any number]
    #[arg(long, value_name = "N", env = "DRIFTLINE_FRAMES_PER_SECOND")]
    frames_per_second: Option<u64>,
    /// The same of bytes [default: any number]
    #[arg(long, value_name = "SIZE", env = "DRIFTLINE_BYTES_PER_SECOND")]
    bytes_per_second: Option<Size>,
    /// Work that bringing a new space costs, in bits: each doubles it, and 20 are about a second; programs do it by themselves [default: 0]
    #[arg(long, value_name = "BITS", env = "DRIFTLINE_POW")]
    pow: Option<u32>,
    /// Write who came, who brought what and who was refused what to this file, as JSON lines; two files of 16 MiB are kept [default: none]
    #[arg(long, value_name = "FILE", env = "DRIFTLINE_AUDIT")]
    audit: Option<PathBuf>,
    /// The key of a relay that dials this one: letters are passed on to it, as to those that this one dials; may be given again
    #[arg(long, value_name = "DID", env = "DRIFTLINE_RELAY_PEERS", value_delimiter = ',')]
    relay_peer: Vec<String>,
}

/// The same in the configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct GuestFile {
    access: Option<AccessKind>,
    tokens: Option<PathBuf>,
    allowed: Option<PathBuf>,
    space_bytes_max: Option<Size>,
    space_documents_max: Option<usize>,
    spaces_per_key_max: Option<usize>,
    frames_per_second: Option<u64>,
    bytes_per_second: Option<Size>,
    pow: Option<u32>,
    audit: Option<PathBuf>,
    relay_peer: Option<Vec<String>>,
}

/// What was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Guests {
    pub(super) access: AccessOptions,
    pub(super) quotas: Quotas,
    pub(super) space_documents_max: Option<usize>,
    pub(super) audit: Option<PathBuf>,
    pub(super) relay_peers: BTreeSet<PeerId>,
}

impl GuestArguments {
    /// Puts the settings together; or says in a sentence what is wrong with them.
    pub(super) fn resolve(self, file: GuestFile, data: &Path) -> Result<Guests, String> {
        let (tokens, allowed) = (self.tokens.or(file.tokens), self.allowed.or(file.allowed));
        let access = match self.access.or(file.access).unwrap_or_default() {
            AccessKind::Open => AccessOptions::Open,
            AccessKind::Token => AccessOptions::Token(tokens.unwrap_or_else(|| data.join("tokens"))),
            AccessKind::List => AccessOptions::List(allowed.unwrap_or_else(|| data.join("allowed"))),
        };
        let stamp_bits = self.pow.or(file.pow).unwrap_or(0);
        if stamp_bits > STAMP_BITS_MAX {
            return Err(format!(
                "--pow {stamp_bits} is too much: programs try for at most {STAMP_BITS_MAX} bits, which takes a minute"
            ));
        }
        let rate = |said: Option<u64>, flag: &str| match said {
            Some(0) => Err(format!("{flag} 0 would let nobody say anything: leave it out, or give a number")),
            said => Ok(said.map(Rate::per_second)),
        };
        let bytes = self.bytes_per_second.or(file.bytes_per_second).map(|size| size.0);
        let quotas = Quotas {
            space_bytes_max: self.space_bytes_max.or(file.space_bytes_max).map(|size| size.0),
            spaces_per_key_max: self.spaces_per_key_max.or(file.spaces_per_key_max),
            frames: rate(self.frames_per_second.or(file.frames_per_second), "--frames-per-second")?,
            bytes: rate(bytes, "--bytes-per-second")?,
            stamp_bits,
        };
        let named = if self.relay_peer.is_empty() { file.relay_peer.unwrap_or_default() } else { self.relay_peer };
        let key = |did: &String| peer_of_did(did).ok_or_else(|| format!("--relay-peer {did} is no did:key of a relay"));
        let relay_peers = named.iter().map(key).collect::<Result<_, _>>()?;
        let space_documents_max = self.space_documents_max.or(file.space_documents_max);
        Ok(Guests { access, quotas, space_documents_max, audit: self.audit.or(file.audit), relay_peers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: GuestArguments,
    }

    fn resolve(arguments: &[&str]) -> Result<Guests, String> {
        let line = Line::try_parse_from(["relay"].iter().chain(arguments)).map_err(|error| error.to_string())?;
        line.arguments.resolve(GuestFile::default(), Path::new("data"))
    }

    #[test]
    fn a_relay_with_no_flags_is_open_and_has_no_quotas() {
        assert_eq!(resolve(&[]), Ok(Guests::default()));
        let tokens = resolve(&["--access", "token"]).map(|guests| guests.access);
        assert_eq!(tokens, Ok(AccessOptions::Token("data/tokens".into())));
        let list = resolve(&["--access", "list", "--allowed", "friends"]).map(|guests| guests.access);
        assert_eq!(list, Ok(AccessOptions::List("friends".into())));
        for (wrong, word) in [("--pow=30", "24 bits"), ("--frames-per-second=0", "leave it out"), ("--relay-peer=me", "did:key")]
        {
            assert!(resolve(&[wrong]).is_err_and(|why| why.contains(word)), "{wrong}");
        }
    }
}
