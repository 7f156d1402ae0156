//! Who may sync with this replica: the peers it was paired with, and the space they share, kept in the data folder.

use super::identity::{did_of, make_private_folder, peer_of_did, write_private};
use super::limits::LISTED_MAX;
use driftline_core::base::id::{PeerId, SpaceId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The file that the list is kept in.
pub const LIST_FILE: &str = "peers.json";

/// The list as it is.
#[derive(Debug, Default)]
pub struct AllowList {
    /// Where it is kept; in memory alone where there is none.
    folder: Option<PathBuf>,
    space: Option<SpaceId>,
    peers: BTreeMap<PeerId, String>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It is not what was written.
    #[error("{} is no list of peers ({reason}); mend it, or delete it and pair again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system would not.
    #[error("{} cannot be read: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The file, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    space: Option<SpaceId>,
    peers: Vec<WrittenPeer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPeer {
    peer: String,
    name: String,
}

const FORMAT: u32 = 1;

impl AllowList {
    /// A list that is kept nowhere.
    pub fn memory() -> Self {
        Self::default()
    }

    /// The list kept in `folder`; empty where there is none.
    pub fn load(folder: &Path) -> Result<Self, ListError> {
        let path = folder.join(LIST_FILE);
        let mut list = Self { folder: Some(folder.to_owned()), ..Self::default() };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(list),
            Err(error) => return Err(ListError::Io { path, error }),
        };
        let malformed = |reason: String| ListError::Malformed { path: path.clone(), reason };
        let written: Written = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if written.format != FORMAT {
            return Err(malformed(format!("it has format {}, and this program reads {FORMAT}", written.format)));
        }
        if written.peers.len() > LISTED_MAX {
            return Err(malformed(format!("it names more than {LISTED_MAX} peers")));
        }
        list.space = written.space;
        for WrittenPeer { peer, name } in written.peers {
            let id = peer_of_did(&peer).ok_or_else(|| malformed(format!("{peer} is no did:key of Ed25519")))?;
            list.peers.insert(id, name);
        }
        Ok(list)
    }

    /// The space that the peers share; nothing before the first pairing, unless one was chosen.
    pub fn space(&self) -> Option<SpaceId> {
        self.space
    }

    /// Whether this peer may sync.
    pub fn has(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// The peers, and what they called themselves.
    pub fn peers(&self) -> impl Iterator<Item = (&PeerId, &str)> {
        self.peers.iter().map(|(peer, name)| (peer, name.as_str()))
    }

    /// What a peer called itself.
    pub fn name(&self, peer: &PeerId) -> Option<&str> {
        self.peers.get(peer).map(String::as_str)
    }

    /// Puts a peer on the list, and settles the space; both are durable when this returns.
    pub fn add(&mut self, peer: PeerId, name: &str, space: SpaceId) -> io::Result<()> {
        if self.peers.len() >= LISTED_MAX && !self.has(&peer) {
            return Err(io::Error::other(format!("it has {LISTED_MAX} peers already; take some out of {LIST_FILE}")));
        }
        let before = self.peers.insert(peer, name.to_owned());
        let space_before = self.space.replace(space);
        let written = self.write();
        if written.is_err() {
            self.space = space_before;
            match before {
                Some(name) => drop(self.peers.insert(peer, name)),
                None => drop(self.peers.remove(&peer)),
            }
        }
        written
    }

    /// Settles the space; durable when this returns.
    pub fn settle(&mut self, space: SpaceId) -> io::Result<()> {
        let before = self.space.replace(space);
        if before == Some(space) {
            return Ok(());
        }
        self.write().inspect_err(|_| self.space = before)
    }

    fn write(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let peers = self.peers.iter().map(|(peer, name)| WrittenPeer { peer: did_of(peer), name: name.clone() });
        let written = Written { format: FORMAT, space: self.space, peers: peers.collect() };
        let mut text = serde_json::to_string_pretty(&written).map_err(io::Error::other)?;
        text.push('\n');
        make_private_folder(folder)?;
        write_private(folder, LIST_FILE, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> PeerId {
        crate::lan::identity::Identity::fresh().peer()
    }

    #[test]
    fn the_list_is_there_at_the_next_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second, space) = (peer(), peer(), SpaceId([4; 16]));
        let mut list = AllowList::load(folder.path()).expect("there is none yet");
        assert!(list.space().is_none() && !list.has(&first));
        list.add(first, "lamp", space).expect("it is written");
        list.add(second, "", space).expect("it is written");
        let list = AllowList::load(folder.path()).expect("it is read");
        assert!(list.has(&first) && list.has(&second) && !list.has(&peer()));
        assert_eq!((list.name(&first), list.space()), (Some("lamp"), Some(space)));
    }

    #[test]
    fn what_cannot_be_written_is_not_on_the_list() {
        let folder = tempfile::tempdir().expect("a folder");
        let nowhere = folder.path().join("file");
        std::fs::write(&nowhere, "in the way").expect("it is written");
        let mut list = AllowList { folder: Some(nowhere), ..AllowList::default() };
        let stranger = peer();
        list.add(stranger, "", SpaceId([4; 16])).expect_err("there is no such folder");
        assert!(!list.has(&stranger) && list.space().is_none());
    }

    #[test]
    fn a_list_that_does_not_read_stops_the_program_and_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        for text in
            ["", "[]", r#"{"format":2,"space":null,"peers":[]}"#, r#"{"format":1,"space":null,"peers":[{"peer":"x","name":""}]}"#]
        {
            std::fs::write(folder.path().join(LIST_FILE), text).expect("it is written");
            assert!(matches!(AllowList::load(folder.path()), Err(ListError::Malformed { .. })), "{text}");
        }
    }
}
