//! The client library: what the npm package gives web pages, for Rust programs.
//!
//! A program opens a [`Repo`], asks it for a [`Space`], and in that makes or finds documents, each behind a
//! [`DocHandle`]. Names are those of automerge-repo and samod where the thing is the same. Edits are local and never
//! wait for the network; what is saved where can be read and waited for, and never says more than is true.
//!
//! ```no_run
//! # async fn example() -> Result<(), driftline_relay::repo::RepoError> {
//! use driftline_relay::repo::{Level, Repo, RepoOptions};
//!
//! let repo = Repo::open(RepoOptions::folder("notes").relay("ws://127.0.0.1:8080/sync")).await?;
//! let note = repo.space("harbour").create(|tx| tx.put("title", "Tides")).await?;
//! note.when_saved(Level::Device).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A space that is known by a name is everybody's who knows the name. One that is *owned* is shared by invitations, each to read or to
//! write and for as long as one likes, and whoever was let in can be shut out again:
//!
//! ```no_run
//! # async fn example(anna: driftline_relay::repo::Repo, ben: driftline_relay::repo::Repo) -> Result<(), driftline_relay::repo::RepoError> {
//! use driftline_relay::repo::{Offer, OfferLevel};
//!
//! let harbour = anna.found_space().await?;
//! let link = harbour.invite(Offer { level: OfferLevel::Write, expires: 0, note: "Ben".into(), relays: vec![] }).await?;
//! let same = ben.join(&link, "Ben's laptop").await?; // the link as text, which nobody else should read
//! harbour.revoke(ben.peer_id()).await?; // what Ben wrote stays; what he writes from now on is refused everywhere
//! # Ok(())
//! # }
//! ```
//!
//! A *letter* reaches a key whose holder is away, through the relays that both use; nobody else can read it:
//!
//! ```no_run
//! # async fn example(anna: driftline_relay::repo::Repo, ben: driftline_relay::repo::Repo) -> Result<(), driftline_relay::repo::RepoError> {
//! use std::time::Duration;
//!
//! let week = Duration::from_secs(7 * 86_400);
//! let sent = anna.send_letter(ben.peer_id(), "note", "come over", week).await?;
//! anna.when_letter_kept(sent, Duration::from_secs(10)).await?; // a relay has it; Ben may be away
//! while let Some(letter) = ben.follow_letters().next().await {
//!     println!("{}: {}", letter.sender, String::from_utf8_lossy(&letter.content));
//!     ben.forget_letter(letter.id).await?;
//! }
//! # Ok(())
//! # }
//! ```

mod changes;
mod error;
mod handle;
mod introductions;
mod known;
mod letters;
mod options;
mod owned;
mod presence;
mod space;

pub use changes::{Change, Changes};
pub use error::RepoError;
pub use handle::{DocHandle, Level};
pub use introductions::{
    Ask, AskState, InSpace, IntroductionError, LinkedDevice, OnceOffer, SpaceCard, TicketGiven, TicketId, TicketState,
};
pub use known::{Connection, ConnectionState, SyncStatus};
pub use letters::{Letter, LetterState, Letters};
pub use options::{PATIENCE, RepoOptions};
pub use owned::{Invitation, Member, MemberState, Offer, OfferLevel, OwnedError, Unvouched, Whose};
pub use presence::Presence;
pub use space::{Space, SpaceEvent, SpaceEvents};

use crate::dial::{Dialler, WebSocketDialler};
use crate::host::Host;
use crate::lan::Identity;
use crate::store::{MemoryStore, SqliteOptions, SqliteStore};
use driftline_core::base::id::{PeerId, SpaceId};
use driftline_core::base::time::Now;
use driftline_core::engine::Engine;
use driftline_core::engine::config::{EngineConfig, Role};
use driftline_core::engine::effect::{Event, Trouble};
use driftline_core::engine::input::Command;
use driftline_core::gossip::rumour::RumourConfig;
use known::Known;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::broadcast;

/// A replica: an engine, its store and its connections. Clones are the same replica; it ends with [`Repo::close`], or
/// when the last clone, space and handle are dropped.
#[derive(Clone)]
pub struct Repo {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    host: Host,
    options: RepoOptions,
    peer: PeerId,
    online: AtomicBool,
    known: Mutex<Known>,
    instance: u64,
}

impl Repo {
    /// Opens a repo; ready once its store is open and it knows who it is: by the key that is kept in its folder for others to know it by,
    /// or else by the one in its store. It never waits for the network.
    ///
    /// # Errors
    ///
    /// When the folder is in use by another program, its store cannot be opened, or its key may be no secret any more.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, and when the system gives no randomness or no thread.
    pub async fn open(options: RepoOptions) -> Result<Self, RepoError> {
        let kept = options.data.as_deref().map(Identity::kept).transpose();
        let kept = kept.map_err(|error| RepoError::Refused(error.to_string()))?.flatten();
        let identity = kept.map(|identity| identity.secret());
        let config = EngineConfig { identity, ..EngineConfig::new(Role::Client, random()) };
        let dialler = WebSocketDialler { frame_bytes_max: config.limits.frame_bytes_max };
        Self::open_with(options, config, dialler).await
    }

    /// [`Self::open`] for a replica that is who this secret Ed25519 key says, and that `dialler` connects to others, which pass on what is new
    /// as it does: it is sent to a few of them at once, and the others are told.
    pub async fn open_as(options: RepoOptions, secret: [u8; 32], dialler: impl Dialler) -> Result<Self, RepoError> {
        let spreading = Some(RumourConfig::default());
        let config = EngineConfig { identity: Some(secret), spreading, ..EngineConfig::new(Role::Client, random()) };
        Self::open_with(options, config, dialler).await
    }

    async fn open_with(options: RepoOptions, config: EngineConfig, dialler: impl Dialler) -> Result<Self, RepoError> {
        let host = match &options.data {
            Some(folder) => Host::start_with_dialler(config, SqliteStore::open(folder, &SqliteOptions::default())?, dialler),
            None => Host::start_with_dialler(config, MemoryStore::new(), dialler),
        };
        host.ready().await.map_err(RepoError::Storage)?;
        let peer = host.call(|engine, _| engine.peer_id()).await?.ok_or(RepoError::Closed)?;
        // Nothing travels before the first endpoint is named, so no event of a connection is missed.
        let known = Mutex::new(Known::new(host.events(), &options.relays));
        let waker = host.events();
        if !options.online {
            host.command(Command::SetOnline { online: false });
        }
        for endpoint in &options.relays {
            host.command(Command::AddEndpoint { endpoint: endpoint.clone() });
        }
        let online = AtomicBool::new(options.online);
        let instance = u64::from_le_bytes(random());
        let inner = Arc::new(Inner { host, options, peer, online, known, instance });
        tokio::spawn(wake(waker, Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// Who this replica is.
    pub fn peer_id(&self) -> PeerId {
        self.inner.peer
    }

    /// The number by which others tell this program's presence from that of others with the same store.
    pub fn instance(&self) -> u64 {
        self.inner.instance
    }

    /// The space of this id, or the one that this name stands for everywhere. It is synced from now on.
    pub fn space(&self, name_or_id: &str) -> Space {
        self.space_of(SpaceId::from_id_or_name(name_or_id))
    }

    /// The space of this id. It is synced from now on.
    pub fn space_of(&self, space: SpaceId) -> Space {
        self.inner.host.command(Command::OpenSpace { space });
        Space { repo: self.clone(), id: space }
    }

    /// The spaces this replica holds documents of or has open.
    pub async fn spaces(&self) -> Result<Vec<SpaceId>, RepoError> {
        self.call(|engine, _| engine.spaces()).await
    }

    /// Every endpoint and how the connection to it stands, in the order they were added.
    pub fn connections(&self) -> Vec<Connection> {
        self.inner.known().endpoints.clone()
    }

    /// Keeps a connection to this relay, dialling again with backoff.
    pub fn add_relay(&self, endpoint: &str) {
        let mut known = self.inner.known();
        if !known.endpoints.iter().any(|connection| connection.endpoint == endpoint) {
            known.endpoints.push(Connection { endpoint: endpoint.to_owned(), state: ConnectionState::Connecting });
        }
        self.inner.host.command(Command::AddEndpoint { endpoint: endpoint.to_owned() });
    }

    /// Lets go of a relay and of the connection to it.
    pub fn remove_relay(&self, endpoint: &str) {
        self.inner.host.command(Command::RemoveEndpoint { endpoint: endpoint.to_owned() });
        self.inner.known().endpoints.retain(|connection| connection.endpoint != endpoint);
    }

    /// Works offline, closing every connection, or online again.
    pub fn set_online(&self, online: bool) {
        self.inner.online.store(online, Ordering::Relaxed);
        self.inner.host.command(Command::SetOnline { online });
    }

    /// Whether this repo dials at all. It says nothing about the network: see [`Self::connections`].
    pub fn is_online(&self) -> bool {
        self.inner.online.load(Ordering::Relaxed)
    }

    /// Waits until `space` holds what every connected peer that syncs it holds, and there is at least one. It waits as
    /// long as that takes: put [`tokio::time::timeout`] around it where that may be forever.
    pub async fn when_synced(&self, space: &Space) -> Result<SyncStatus, RepoError> {
        let mut events = self.inner.host.events();
        loop {
            // The engine is asked each time: an edit made a moment ago counts.
            let status = space.status().await?;
            if status.is_synced() {
                return Ok(status);
            }
            self.inner.wait(&mut events).await?;
        }
    }

    /// The latest things that went wrong, oldest first.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.inner.known().troubles.clone()
    }

    /// The engine's driver, for what this library has no word for.
    pub fn host(&self) -> &Host {
        &self.inner.host
    }

    /// Says goodbye, makes durable what was accepted, and ends the engine. Spaces and handles answer [`RepoError::Closed`] afterwards.
    pub async fn close(&self) {
        self.inner.host.shutdown().await;
    }

    /// Runs a closure where the engine lives.
    pub(crate) async fn call<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Engine, Now) -> R + Send + 'static,
    ) -> Result<R, RepoError> {
        Ok(self.inner.host.call(call).await?)
    }
}

impl Inner {
    /// What the engine has told until this moment.
    fn known(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.take_in();
        known
    }

    /// Waits until the engine has told something, or too much to keep: either is a reason to look again.
    async fn wait(&self, events: &mut broadcast::Receiver<Arc<Event>>) -> Result<(), RepoError> {
        tokio::select! {
            _ = events.recv() => while events.try_recv().is_ok() {},
            stopped = self.host.stopped() => return Err(stopped.into()),
        }
        Ok(())
    }
}

/// Takes events in while nobody looks, so that none is lost and subscribers hear of them.
async fn wake(mut events: broadcast::Receiver<Arc<Event>>, inner: Weak<Inner>) {
    while !matches!(events.recv().await, Err(broadcast::error::RecvError::Closed)) {
        while events.try_recv().is_ok() {}
        let Some(inner) = inner.upgrade() else { return };
        drop(inner.known());
    }
}

/// Fresh random bytes from the system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    bytes
}
