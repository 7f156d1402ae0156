//! Whom the relay lets in: everyone, whoever shows a token, or the keys on a list.
//!
//! Tokens are shown when a WebSocket is opened, in a header or, by browsers, in the address, which is logged nowhere. Only their hashes
//! are kept. Keys are proved in the hello, so the list is the engine's to hold. Both files are looked at again every few seconds.

use crate::host::Host;
use crate::lan::peer_of_did;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use driftline_core::base::id::{PeerId, from_hex, to_hex};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Largest file that is read, in bytes: some ten thousand lines.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 256;
/// What tokens begin with, so that one that lies about is recognised.
const TOKEN_PREFIX: &str = "drift_";
const LABEL: &[u8] = b"driftline token 1\0";
/// What is said to whoever shows none. Its beginning has room where a page is told.
const WANTS_TOKEN: &str = "this relay wants a token: ask its operator for one, and give it with --token (in a browser as the relay's `token`, or ?token=… behind its address)";

/// Whom a relay lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessOptions {
    /// Everyone.
    #[default]
    Open,
    /// Whoever shows a token whose hash is in this file.
    Token(PathBuf),
    /// The keys in this file.
    List(PathBuf),
}

/// The code with which a WebSocket is closed that is opened by a page without a token that is good here. A page is not told how HTTP answered it.
pub(super) const CLOSE_TOKEN: u16 = 4401;

/// The same reason as a page is told it, which has little room.
pub(super) fn in_short(why: &str) -> &str {
    why.split(", and").next().unwrap_or(why).trim()
}

/// Why a file does not say whom to let in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It cannot be read.
    #[error("{} cannot be read: {error}; make it with {}", path.display(), how(what))]
    Io {
        /// The file.
        path: PathBuf,
        /// What is kept there.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A line is none.
    #[error("line {line} of {} is no {what}; each line is one, and a note after a space if you like", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// What is kept there.
        what: &'static str,
        /// Which line, from 1.
        line: usize,
    },
}

fn how(what: &str) -> &'static str {
    if what == "key" { "one did:key a line" } else { "driftline token --file FILE" }
}

/// The door: what it lets in at the moment.
pub(super) struct Access {
    options: AccessOptions,
    now: Mutex<Loaded>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Loaded {
    text: String,
    tokens: Vec<[u8; 32]>,
    keys: BTreeSet<PeerId>,
}

impl Access {
    /// Reads the file, if there is one to be read.
    pub(super) fn open(options: AccessOptions) -> Result<Self, AccessError> {
        let now = Mutex::new(load(&options)?);
        Ok(Self { options, now })
    }

    /// The keys that are let in; nothing where that is not what counts.
    pub(super) fn allowed(&self) -> Option<BTreeSet<PeerId>> {
        matches!(self.options, AccessOptions::List(_)).then(|| self.now().keys.clone())
    }

    /// Why a request to open a WebSocket is refused, if it is.
    pub(super) fn refuses(&self, uri: &Uri, headers: &HeaderMap) -> Option<(StatusCode, String)> {
        let AccessOptions::Token(_) = self.options else { return None };
        let shown = token_of(uri, headers);
        let why = match shown.as_deref().filter(|token| token.len() <= TOKEN_BYTES_MAX) {
            Some(token) if self.knows(token) => return None,
            Some(_) => "the token is not one of this relay's: ask its operator for another",
            None => WANTS_TOKEN,
        };
        Some((StatusCode::UNAUTHORIZED, format!("{why}\n")))
    }

    /// Why clients that have no keys are refused, if they are.
    pub(super) fn refuses_keyless(&self, uri: &Uri, headers: &HeaderMap) -> Option<(StatusCode, String)> {
        match self.options {
            AccessOptions::List(_) => {
                let why =
                    "this relay lets in keys on a list, and clients of automerge-repo have none: use Driftline's own client\n";
                Some((StatusCode::FORBIDDEN, why.to_owned()))
            }
            _ => self.refuses(uri, headers),
        }
    }

    /// Looks at every hash, whichever it is: how long that takes tells nothing.
    fn knows(&self, token: &str) -> bool {
        let shown = hash_of(token);
        let known = |is_known, hash: &[u8; 32]| is_known | is_same(hash, &shown);
        self.now().tokens.iter().fold(false, known)
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Loaded> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the file until nobody uses this any more. What makes no sense is told in the log, and changes nothing.
    pub(super) async fn follow(this: Weak<Self>, host: Host) {
        let mut told = String::new();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(access) = this.upgrade().filter(|access| access.options != AccessOptions::Open) else { return };
            match load(&access.options) {
                Ok(loaded) if *access.now() != loaded => {
                    tracing::info!(tokens = loaded.tokens.len(), keys = loaded.keys.len(), "who is let in has changed");
                    *access.now() = loaded;
                    told.clear();
                    if let Some(allowed) = access.allowed() {
                        // An engine that has stopped lets in nobody.
                        let _ = host.call(move |engine, now| engine.set_allowed(now, Some(allowed))).await;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    let error = error.to_string();
                    if error != told {
                        tracing::warn!("{error}; those who were let in before still are");
                        told = error;
                    }
                }
            }
        }
    }
}

fn load(options: &AccessOptions) -> Result<Loaded, AccessError> {
    let (path, what) = match options {
        AccessOptions::Open => return Ok(Loaded::default()),
        AccessOptions::Token(path) => (path, "token's hash"),
        AccessOptions::List(path) => (path, "key"),
    };
    let text = read(path).map_err(|error| AccessError::Io { path: path.clone(), what, error })?;
    let mut loaded = Loaded::default();
    for (at, line) in text.lines().enumerate() {
        let Some(word) = line.split_whitespace().next().filter(|word| !word.starts_with('#')) else { continue };
        let wrong = || AccessError::Line { path: path.clone(), what, line: at + 1 };
        if what == "key" {
            loaded.keys.insert(peer_of_did(word).or_else(|| word.parse().ok()).ok_or_else(wrong)?);
        } else {
            let hash = from_hex(word).ok().and_then(|hash| <[u8; 32]>::try_from(hash).ok());
            loaded.tokens.push(hash.ok_or_else(wrong)?);
        }
    }
    loaded.text = text;
    Ok(loaded)
}

fn read(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path)
}

/// Makes a token and adds its hash to a file, which is made if there is none; answers the token, which is kept nowhere.
pub fn add_token(file: &Path, note: &str) -> io::Result<String> {
    let token = format!("{TOKEN_PREFIX}{}", bs58::encode(crate::repo::random::<24>()).into_string());
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let note: String = note.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let line = format!("{} {note}\n", to_hex(&hash_of(&token)));
    options.open(file)?.write_all(line.as_bytes())?;
    Ok(token)
}

fn hash_of(token: &str) -> [u8; 32] {
    Sha256::new().chain_update(LABEL).chain_update(token).finalize().into()
}

/// In a time that does not depend on where they differ.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

/// The token that is shown: `Authorization: Bearer …`, or `?token=…`, which browsers can do.
fn token_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.strip_prefix("Bearer ")).map(|token| token.trim().to_owned());
    bearer.or_else(|| crate::dial::token_in(uri.query()?).map(str::to_owned))
}

/// Lets go of the door once nobody uses it.
pub(super) fn watch(access: &Arc<Access>, host: Host) {
    tokio::spawn(Access::follow(Arc::downgrade(access), host));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lan::{Identity, did_of};

    fn refusal(access: &Access, uri: &str, bearer: Option<&str>) -> Option<StatusCode> {
        let mut headers = HeaderMap::new();
        if let Some(bearer) = bearer {
            headers.insert(header::AUTHORIZATION, format!("Bearer {bearer}").parse().expect("it is a header"));
        }
        access.refuses(&uri.parse().expect("it is an address"), &headers).map(|(status, _)| status)
    }

    #[test]
    fn a_token_lets_in_by_header_and_by_address_and_only_its_hash_is_kept() {
        let folder = tempfile::TempDir::new().expect("there is a folder");
        let file = folder.path().join("tokens");
        let (first, second) = (add_token(&file, "Ben\nx").expect("it is made"), add_token(&file, "").expect("it is made"));
        let text = std::fs::read_to_string(&file).expect("it is there");
        assert!(!text.contains(&first) && text.contains(" Ben x\n") && text.lines().count() == 2, "{text}");
        let access = Access::open(AccessOptions::Token(file.clone())).expect("it opens");
        for token in [&first, &second] {
            assert_eq!(refusal(&access, "/sync", Some(token)), None);
            assert_eq!(refusal(&access, &format!("/sync?x=1&token={token}"), None), None);
        }
        for wrong in ["", "drift_", &first[..first.len() - 1], &"x".repeat(TOKEN_BYTES_MAX + 1)] {
            assert_eq!(refusal(&access, "/sync", Some(wrong)), Some(StatusCode::UNAUTHORIZED), "{wrong}");
        }
        assert_eq!(refusal(&access, "/sync", None), Some(StatusCode::UNAUTHORIZED));
        std::fs::write(&file, "# nobody\n\nabc\n").expect("it is written");
        let error = Access::open(AccessOptions::Token(file)).err().expect("it is wrong").to_string();
        assert!(error.contains("line 3") && error.contains("tokens"), "{error}");
    }

    #[test]
    fn a_list_has_keys_with_notes_and_is_nothing_for_clients_without_keys() {
        let folder = tempfile::TempDir::new().expect("there is a folder");
        let file = folder.path().join("allowed");
        let (anna, ben) = (Identity::fresh().peer(), Identity::fresh().peer());
        std::fs::write(&file, format!("# friends\n{} Anna\n{ben}\n", did_of(&anna))).expect("it is written");
        let access = Access::open(AccessOptions::List(file)).expect("it opens");
        assert_eq!(access.allowed(), Some([anna, ben].into()));
        let uri = "/".parse().expect("it is an address");
        assert!(access.refuses(&uri, &HeaderMap::new()).is_none());
        assert!(access.refuses_keyless(&uri, &HeaderMap::new()).is_some());
        let error = Access::open(AccessOptions::List(folder.path().join("nowhere"))).err().expect("it is not there");
        assert!(error.to_string().contains("one did:key a line"), "{error}");
    }
}
