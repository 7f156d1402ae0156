//! What the engine has told so far: connections, presences, troubles.
//!
//! Events arrive by broadcast. Whoever looks first takes in all that has arrived, so that after an answer from the
//! engine nothing it told before that answer is missing; a task takes events in when nobody looks, and wakes who waits.

use super::letters::LetterState;
use super::presence::Presence;
use super::space::SpaceEvent;
use driftline_core::base::id::{ConnectionId, LetterId, PeerId, SpaceId};
use driftline_core::engine::Engine;
use driftline_core::engine::effect::{CatchUp, Event, Trouble};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::broadcast::{self, error::TryRecvError};
use tokio::sync::mpsc;

/// Events of a space that wait for a subscriber; one further behind is told that it missed some.
pub(super) const SPACE_EVENTS_MAX: usize = 1_024;

/// Troubles kept for [`super::Repo::troubles`]; older ones are forgotten first.
const TROUBLES_MAX: usize = 64;

/// Letters of which it is known what became of them; older ones are forgotten first.
const LETTERS_MAX: usize = 1_024;

/// How a connection to a relay stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The endpoint, as it was named.
    pub endpoint: String,
    /// How it stands.
    pub state: ConnectionState,
}

/// How a connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// No attempt has ended yet.
    Connecting,
    /// The peer there has proved who it is.
    Connected {
        /// Who.
        peer: PeerId,
        /// Whether it is a relay.
        relay: bool,
        /// What it calls itself.
        agent: String,
    },
    /// The last attempt or connection ended; another is made by and by.
    Waiting {
        /// Why it ended.
        reason: String,
    },
}

/// How far a space has come with its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncStatus {
    /// Connected peers that sync it.
    pub peers: usize,
    /// Of these, how many have nothing more to send or to ask for as far as is known.
    pub in_sync: usize,
    /// Documents known to differ from some peer.
    pub behind: usize,
    /// How much of what is missing here has come; nothing where nothing is.
    pub catch_up: Option<CatchUp>,
}

impl SyncStatus {
    /// How far a space has come by its engine.
    pub(super) fn of(engine: &mut Engine, space: &SpaceId) -> Self {
        let ((peers, in_sync, behind), catch_up) = engine.ask_progress(space);
        Self { peers, in_sync, behind, catch_up }
    }

    /// Whether there are peers, and all of them hold the same: nothing that was announced is still to come.
    pub fn is_synced(&self) -> bool {
        self.peers > 0 && self.in_sync == self.peers && self.behind == 0 && self.catch_up.is_none()
    }
}

struct Subscriber {
    space: SpaceId,
    events: mpsc::Sender<SpaceEvent>,
    missed: bool,
}

/// What the engine has told so far.
pub(super) struct Known {
    source: broadcast::Receiver<Arc<Event>>,
    subscribers: Vec<Subscriber>,
    pub(super) connections: BTreeMap<ConnectionId, PeerId>,
    pub(super) endpoints: Vec<Connection>,
    pub(super) presences: BTreeMap<SpaceId, BTreeMap<(PeerId, u64), Presence>>,
    pub(super) troubles: Vec<Trouble>,
    /// What became of the latest letters, the oldest first.
    pub(super) letters: Vec<(LetterId, LetterState)>,
}

impl Known {
    pub(super) fn new(source: broadcast::Receiver<Arc<Event>>, relays: &[String]) -> Self {
        let connecting = |endpoint: &String| Connection { endpoint: endpoint.clone(), state: ConnectionState::Connecting };
        Self {
            source,
            subscribers: Vec::new(),
            connections: BTreeMap::new(),
            endpoints: relays.iter().map(connecting).collect(),
            presences: BTreeMap::new(),
            troubles: Vec::new(),
            letters: Vec::new(),
        }
    }

    /// Sends what happens in `space` to a new subscriber from now on.
    pub(super) fn subscribe(&mut self, space: SpaceId) -> mpsc::Receiver<SpaceEvent> {
        let (events, receiver) = mpsc::channel(SPACE_EVENTS_MAX);
        self.subscribers.push(Subscriber { space, events, missed: false });
        receiver
    }

    /// Takes in all that has arrived.
    pub(super) fn take_in(&mut self) {
        loop {
            match self.source.try_recv() {
                Ok(event) => self.on_event(&event),
                Err(TryRecvError::Lagged(_)) => self.on_lag(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Events were lost: subscribers are told to look again.
    fn on_lag(&mut self) {
        for subscriber in &mut self.subscribers {
            subscriber.missed = true;
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::PeerConnected { connection, peer, relay, agent, endpoint } => {
                self.connections.insert(*connection, *peer);
                if let Some(endpoint) = endpoint {
                    self.set_endpoint(endpoint, ConnectionState::Connected { peer: *peer, relay: *relay, agent: agent.clone() });
                }
            }
            Event::PeerDisconnected { connection, endpoint, reason, .. } => {
                if let Some(connection) = connection {
                    self.connections.remove(connection);
                }
                if let Some(endpoint) = endpoint {
                    self.set_endpoint(endpoint, ConnectionState::Waiting { reason: reason.clone() });
                }
            }
            Event::SpaceSync { space, peers, in_sync, behind, catch_up } => {
                let status = SyncStatus { peers: *peers, in_sync: *in_sync, behind: *behind, catch_up: *catch_up };
                self.publish(*space, SpaceEvent::Sync(status));
            }
            Event::DocumentAdded { space, document } => {
                self.publish(*space, SpaceEvent::DocumentAdded { document: *document });
            }
            Event::DocumentChanged { space, document, heads, local } => {
                self.publish(*space, SpaceEvent::DocumentChanged { document: *document, heads: heads.clone(), local: *local });
            }
            Event::Presence { space, peer, instance, state } => {
                let presence = state.as_ref().map(|state| Presence::new(*peer, *instance, state));
                let presences = self.presences.entry(*space).or_default();
                match &presence {
                    Some(presence) => presences.insert((*peer, *instance), presence.clone()),
                    None => presences.remove(&(*peer, *instance)),
                };
                self.publish(*space, SpaceEvent::Presence { peer: *peer, instance: *instance, presence });
            }
            Event::Trouble(trouble) => {
                if self.troubles.len() == TROUBLES_MAX {
                    self.troubles.remove(0);
                }
                self.troubles.push(trouble.clone());
            }
            // Whoever waits for these asks the engine itself.
            Event::Ready { .. } | Event::DocumentOpened { .. } | Event::Saved(_) => {}
            Event::AccessChanged { .. } | Event::MembersChanged { .. } | Event::StatementsShared { .. } => {}
            Event::LetterArrived { .. } | Event::LetterboxEmptied { .. } | Event::IntroductionsChanged => {}
            Event::LetterSent { letter, .. } => self.note_letter(*letter, LetterState::Kept),
            Event::LetterRefused { letter, reason, tried_again } => {
                self.note_letter(*letter, LetterState::Refused { reason: reason.clone(), tried_again: *tried_again });
            }
            // This library edits by closures and shows no mirrors.
            Event::DocumentEdited { .. } | Event::ViewUpdated(_) | Event::EditRefused { .. } => {}
            // Nor does it follow spaces for others.
            Event::Audit(_) | Event::Durable { .. } | Event::Anew { .. } | Event::Reread { .. } => {}
        }
    }

    fn note_letter(&mut self, letter: LetterId, state: LetterState) {
        self.letters.retain(|(known, _)| *known != letter);
        if self.letters.len() == LETTERS_MAX {
            self.letters.remove(0);
        }
        self.letters.push((letter, state));
    }

    fn set_endpoint(&mut self, endpoint: &str, state: ConnectionState) {
        if let Some(known) = self.endpoints.iter_mut().find(|known| known.endpoint == endpoint) {
            known.state = state;
        }
    }

    fn publish(&mut self, space: SpaceId, event: SpaceEvent) {
        self.subscribers.retain_mut(|subscriber| {
            if subscriber.space != space {
                return !subscriber.events.is_closed();
            }
            // One slot is kept for saying that the rest was missed.
            if subscriber.missed && subscriber.events.capacity() > 1 {
                subscriber.missed = subscriber.events.try_send(SpaceEvent::Missed).is_err();
            }
            if !subscriber.missed {
                subscriber.missed = matches!(subscriber.events.try_send(event.clone()), Err(mpsc::error::TrySendError::Full(_)));
            }
            !subscriber.events.is_closed()
        });
    }
}
