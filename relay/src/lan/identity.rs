//! Who this replica is: an Ed25519 key, made once and kept in the data folder for its owner's eyes alone.
//!
//! One key names the replica everywhere: in the engine's hello, on the LAN, and to people as a `did:key`.

use driftline_core::base::id::{PeerId, from_hex, to_hex};
use libp2p::identity::{Keypair, PublicKey, ed25519};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file that the key is kept in.
pub const KEY_FILE: &str = "peer.key";

/// How a multicodec begins an Ed25519 public key.
const ED25519_CODEC: [u8; 2] = [0xed, 0x01];

/// A replica's key.
#[derive(Clone)]
pub struct Identity {
    secret: [u8; 32],
    keypair: Keypair,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Others may have read it.
    #[error("{} can be read by others (mode {mode:03o}), so it may be no secret any more; if it is, say: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not what was written.
    #[error("{} does not hold a key of 64 hexadecimal digits; restore it from a backup, or delete it to become a new peer that others must be paired with again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The system would not.
    #[error("{} cannot be read or made: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Identity {
    /// The key of these secret bytes.
    pub fn from_secret(secret: [u8; 32]) -> Self {
        let mut bytes = secret;
        // Any 32 bytes are an Ed25519 secret (RFC 8032, section 5.1.5).
        let secret_key = ed25519::SecretKey::try_from_bytes(&mut bytes).expect("32 bytes are a secret");
        Self { secret, keypair: ed25519::Keypair::from(secret_key).into() }
    }

    /// A key that nobody has had before, kept nowhere.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    pub fn fresh() -> Self {
        Self::from_secret(crate::repo::random())
    }

    /// The key that is kept in `folder`, made where there is none. The folder is made too.
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        Self::load_or(folder, Self::fresh)
    }

    /// The key that is kept in `folder`; nothing where there is none.
    pub fn kept(folder: &Path) -> Result<Option<Self>, IdentityError> {
        if folder.join(KEY_FILE).exists() { Self::load(folder).map(Some) } else { Ok(None) }
    }

    /// The key that is kept in `folder`, or else this one, which is kept from now on.
    pub fn load_or(folder: &Path, otherwise: impl FnOnce() -> Self) -> Result<Self, IdentityError> {
        let path = folder.join(KEY_FILE);
        let io = |error| IdentityError::Io { path: path.clone(), error };
        match fs::read_to_string(&path) {
            Ok(text) => {
                check_mode(&path)?;
                let bytes = from_hex(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
                bytes.map(Self::from_secret).ok_or(IdentityError::Malformed { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = otherwise();
                make_private_folder(folder).map_err(io)?;
                let text = format!("{}\n", to_hex(&identity.secret));
                write_private(folder, KEY_FILE, text.as_bytes()).map_err(io)?;
                Ok(identity)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(IdentityError::Malformed { path }),
            Err(error) => Err(io(error)),
        }
    }

    /// The secret, for the engine.
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// What libp2p signs with.
    pub fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// Who this is.
    pub fn peer(&self) -> PeerId {
        peer_of(&self.keypair.public().to_peer_id()).expect("an Ed25519 key's own name holds the key")
    }

    /// Who this is to libp2p.
    pub fn network_peer(&self) -> libp2p::PeerId {
        self.keypair.public().to_peer_id()
    }
}

/// Shows the public half alone.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", did_of(&self.peer()))
    }
}

/// The replica that a peer of libp2p is, if its name holds an Ed25519 key: others are no peers of ours.
pub(super) fn peer_of(network: &libp2p::PeerId) -> Option<PeerId> {
    /// The multihash code of a name that is the key itself.
    const IDENTITY: u64 = 0;
    let hash = libp2p::multihash::Multihash::<64>::from_bytes(&network.to_bytes()).ok()?;
    if hash.code() != IDENTITY {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?.try_into_ed25519().ok()?;
    Some(PeerId(key.to_bytes()))
}

/// The peer of libp2p that a replica is, if its name is a key at all.
pub(super) fn network_peer_of(peer: &PeerId) -> Option<libp2p::PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&peer.0).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// A replica as people see it.
///
/// Source: The did:key Method, W3C CCG, section 3.1.2: the key behind its codec, in base 58, behind a `z`.
pub fn did_of(peer: &PeerId) -> String {
    let mut bytes = ED25519_CODEC.to_vec();
    bytes.extend_from_slice(&peer.0);
    format!("did:key:z{}", bs58::encode(bytes).into_string())
}

/// The same in short, as lists for people have it: `did:key:z6MkhaXg…2doK`. Not for programs: another key can be made that looks like it.
pub fn short_did_of(peer: &PeerId) -> String {
    /// Letters before and after what is left out; the first four are those of every Ed25519 key.
    const SHOWN: (usize, usize) = (8, 4);
    let did = did_of(peer);
    let key = did.strip_prefix("did:key:").unwrap_or(&did);
    format!("did:key:{}…{}", &key[..SHOWN.0], &key[key.len() - SHOWN.1..])
}

/// The replica that a `did:key` names, if it is one with an Ed25519 key.
pub fn peer_of_did(did: &str) -> Option<PeerId> {
    let bytes = bs58::decode(did.strip_prefix("did:key:z")?).into_vec().ok()?;
    let key = bytes.strip_prefix(&ED25519_CODEC)?;
    Some(PeerId(key.try_into().ok()?))
}

/// Makes a folder that its owner alone may look into, unless it is there.
pub(super) fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes a file that its owner alone may read, whole or not at all, and returns once it is durable.
pub(super) fn write_private(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    // Temporary files are made with mode 0600, which stays.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name)).map_err(|error| error.error)?;
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(unix)]
fn check_mode(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt as _;
    let found = fs::metadata(path).map_err(|error| IdentityError::Io { path: path.to_owned(), error })?;
    match found.permissions().mode() & 0o777 {
        mode if mode & 0o077 != 0 => Err(IdentityError::Exposed { path: path.to_owned(), mode }),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_the_same_at_the_next_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Identity::load(folder.path()).expect("it is made");
        let second = Identity::load(folder.path()).expect("it is read");
        assert_eq!(first.peer(), second.peer());
        assert_ne!(first.peer(), Identity::fresh().peer());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused_and_the_message_says_what_to_do() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        Identity::load(folder.path()).expect("it is made");
        let path = folder.path().join(KEY_FILE);
        let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
        let error = Identity::load(folder.path()).expect_err("it is refused").to_string();
        assert!(error.contains("640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        write_private(folder.path(), KEY_FILE, b"not a key").expect("it is written");
        assert!(matches!(Identity::load(folder.path()), Err(IdentityError::Malformed { .. })));
        assert_eq!(fs::read(folder.path().join(KEY_FILE)).expect("it is there"), b"not a key");
    }

    #[test]
    fn the_three_names_of_a_key_lead_to_each_other() {
        // The key of RFC 8032, section 7.1, test 1.
        let secret = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").expect("it is hexadecimal");
        let identity = Identity::from_secret(secret.try_into().expect("32 bytes"));
        let peer = identity.peer();
        assert_eq!(peer.to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(network_peer_of(&peer), Some(identity.network_peer()));
        assert_eq!(peer_of(&identity.network_peer()), Some(peer));
        assert!(did_of(&peer).starts_with("did:key:z6Mk"), "{}", did_of(&peer));
        assert_eq!(peer_of_did(&did_of(&peer)), Some(peer));
        assert_eq!(peer_of_did("did:key:z6Mk"), None);
        let short = short_did_of(&peer);
        let (begin, end) = short.split_once('…').expect("something is left out");
        assert!(did_of(&peer).starts_with(begin) && did_of(&peer).ends_with(end) && short.chars().count() == 21, "{short}");
    }
}
