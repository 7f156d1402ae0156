//! All documents that automerge-repo clients sync, and the clients: who gets what, and how much of it is in memory.

use super::client::Client;
use super::counts::{Counts, Refusal, Sizes};
use super::desk;
use super::exchange::Task;
use super::message::Message;
use super::presence::{Crossing, Said, Shown};
use crate::host::Host;
use driftline_core::base::id::{ConnectionId, DocumentId, PeerId, SpaceId};
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::Command;
use driftline_core::log::entry::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Documents worked on at the same time, at most.
const WORKERS_MAX: usize = 4;
/// Bytes of entries that wait for a document's desk; above it they are let go of, and the document is read anew.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most documents that are asked for or synced at once, beyond those of a full space: some are asked for that nobody has.
const DESKS_BEYOND: usize = 10_000;
/// Most sessions of ephemeral messages that are remembered for one document.
const SESSIONS_MAX: usize = 1_024;

/// How automerge-repo's clients are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutomergeRepoOptions {
    /// The space their documents live in.
    pub space: SpaceId,
    /// Bytes of documents that are kept in memory for them; those used least are let go of first.
    pub memory_bytes_max: usize,
}

impl Default for AutomergeRepoOptions {
    fn default() -> Self {
        Self { space: SpaceId::from_name("automerge"), memory_bytes_max: 256 * 1024 * 1024 }
    }
}

/// All documents that are synced, and all clients.
pub(crate) struct Desks {
    host: Host,
    options: AutomergeRepoOptions,
    documents_max: usize,
    guest: ConnectionId,
    workers: Semaphore,
    last_client: AtomicU64,
    /// Who this relay is, once someone has joined.
    own: OnceLock<PeerId>,
    counts: Arc<Counts>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    desks: HashMap<DocumentId, Desk>,
    clients: BTreeMap<String, Arc<Client>>,
    /// Presence of either side, shown to the other.
    presence: Crossing,
    /// Ephemeral messages of this relay's own.
    said: u64,
    /// What tells them from those before a restart.
    session: String,
    /// What each loaded document weighs, and when it was last worked on.
    weights: HashMap<DocumentId, (usize, u64)>,
    weight: usize,
    worked: u64,
}

/// A document's desk, from outside.
struct Desk {
    inbox: UnboundedSender<Task>,
    participants: BTreeMap<u64, Arc<Client>>,
    /// Bytes of entries in the inbox.
    waiting_bytes: usize,
    /// Whether it is told already to read the document anew.
    anew: bool,
    /// The last count of each session's ephemeral messages.
    counts: BTreeMap<(String, String), f64>,
}

impl Desks {
    /// Begins to serve. Every client may sync `documents_max` documents.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn open(host: Host, options: AutomergeRepoOptions, documents_max: usize) -> Arc<Self> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let session = format!("driftline-{:x}", since.map_or(0, |since| since.as_nanos()));
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
        let desks = Arc::new(Self {
            guest: host.stats().next_connection(),
            host: host.clone(),
            options,
            documents_max,
            workers: Semaphore::new(workers),
            last_client: AtomicU64::new(0),
            own: OnceLock::new(),
            counts: Arc::default(),
            open: Mutex::new(Open { session, ..Open::default() }),
        });
        // From before the space is followed, so that nothing falls in between.
        let events = host.events();
        tokio::spawn(follow(Arc::downgrade(&desks), host, desks.options.space, events));
        desks
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn space(&self) -> SpaceId {
        self.options.space
    }

    pub(super) fn guest(&self) -> ConnectionId {
        self.guest
    }

    pub(super) fn workers(&self) -> &Semaphore {
        &self.workers
    }

    /// What is counted.
    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// What is held now.
    pub(crate) fn sizes(&self) -> Sizes {
        let open = self.open_desks();
        Sizes {
            clients: open.clients.len(),
            documents: open.desks.len(),
            loaded: open.weights.len(),
            loaded_bytes: open.weight,
            loaded_bytes_max: self.options.memory_bytes_max,
        }
    }

    /// Learns who this relay is.
    pub(super) fn know_own(&self, own: PeerId) {
        self.own.get_or_init(|| own);
    }

    /// A number for a client.
    pub(super) fn next_client(&self) -> u64 {
        self.last_client.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Lets a client in, in place of one of the same name.
    pub(super) fn admit(&self, client: &Arc<Client>) {
        let before = self.open_desks().clients.insert(client.peer.clone(), Arc::clone(client));
        if let Some(before) = before {
            before.end("another connection has joined under the same name");
        }
    }

    /// Lets go of a client.
    pub(super) fn dismiss(&self, client: &Arc<Client>) {
        let mut open = self.open_desks();
        if open.clients.get(&client.peer).is_some_and(|held| held.number == client.number) {
            open.clients.remove(&client.peer);
        }
        for document in client.documents() {
            if let Some(desk) = open.desks.get_mut(&document) {
                desk.participants.remove(&client.number);
                desk.tell(Task::Leave { client: client.number });
            }
        }
        let shown = open.presence.on_gone(client.number);
        drop(open);
        shown.into_iter().for_each(|shown| self.show(shown));
    }

    /// Says goodbye to every client.
    pub(crate) fn leave(&self) {
        self.open_desks().clients.values().for_each(|client| client.end("the relay is shutting down"));
    }

    /// Hands a sync message to its document's desk.
    pub(super) fn on_sync(
        self: &Arc<Self>,
        client: &Arc<Client>,
        document: DocumentId,
        request: bool,
        data: Vec<u8>,
        room: Option<OwnedSemaphorePermit>,
    ) {
        let task = Task::Message { client: Arc::clone(client), request, data, _room: room };
        self.enter(client, document, task);
    }

    /// Tells a server that this side dialled of a document, or asks it for the document.
    pub(super) fn greet(self: &Arc<Self>, client: &Arc<Client>, document: DocumentId) {
        self.enter(client, document, Task::Greet { client: Arc::clone(client) });
    }

    /// Lets a client sync a document, and hands its task to the document's desk.
    fn enter(self: &Arc<Self>, client: &Arc<Client>, document: DocumentId, task: Task) {
        if !client.joins(document, self.documents_max) {
            return client.send_error(Refusal::LimitReached, &format!("a client may sync {} documents", self.documents_max));
        }
        let mut open = self.open_desks();
        if open.desks.len() >= self.documents_max + DESKS_BEYOND && !open.desks.contains_key(&document) {
            drop(open);
            return client.send_error(Refusal::LimitReached, "the relay syncs as many documents as it may: try again later");
        }
        let desk = open.desks.entry(document).or_insert_with(|| {
            let (inbox, tasks) = unbounded_channel();
            tokio::spawn(desk::run(Arc::clone(self), document, tasks));
            Desk { inbox, participants: BTreeMap::new(), waiting_bytes: 0, anew: false, counts: BTreeMap::new() }
        });
        let is_new = desk.participants.insert(client.number, Arc::clone(client)).is_none();
        desk.tell(task);
        if is_new {
            let said = open.presence.shown_in(document);
            open.say(said, Some(client));
        }
    }

    /// Reminds a document's desk of a client that was slow.
    pub(super) fn resume(&self, client: &Client, documents: BTreeSet<DocumentId>) {
        let open = self.open_desks();
        for document in documents {
            if let Some(desk) = open.desks.get(&document) {
                desk.tell(Task::Resume { client: client.number });
            }
        }
    }

    /// Passes an ephemeral message on to everyone else who has the document open, once. It comes back from some.
    pub(super) fn on_ephemeral(
        &self,
        from: &Client,
        document: DocumentId,
        sender: String,
        (session, count): (String, f64),
        data: Vec<u8>,
    ) {
        let mut open = self.open_desks();
        let Some(desk) = open.desks.get_mut(&document).filter(|_| from.syncs(&document)) else { return };
        let source = (sender.clone(), session.clone());
        if desk.counts.get(&source).is_some_and(|last| count <= *last) {
            return;
        }
        let own = sender == from.peer;
        if desk.counts.len() >= SESSIONS_MAX {
            desk.counts.clear();
        }
        desk.counts.insert(source, count);
        for other in desk.participants.values() {
            if other.number != from.number && other.peer != sender && !other.is_slow() {
                let (sender, session, data) = (sender.clone(), session.clone(), data.clone());
                other.send(&Message::Ephemeral { sender, target: other.peer.clone(), document, count, session, data });
            }
        }
        let shown = if own { open.presence.on_guest(from.number, document, &data) } else { None };
        drop(open);
        shown.into_iter().for_each(|shown| self.show(shown));
    }

    /// Shows in the space what a client shows of itself.
    fn show(&self, (instance, state): Shown) {
        self.host.command(Command::SetPresence { space: self.options.space, instance, state });
    }

    /// Passes on how far storages have come that a client has heard of.
    pub(super) fn on_heads(&self, from: &Client, document: DocumentId, heads: &[(String, Vec<String>, f64)]) {
        let open = self.open_desks();
        let Some(desk) = open.desks.get(&document) else { return };
        for other in desk.participants.values().filter(|other| other.number != from.number) {
            other.tell_heads(document, heads);
        }
    }

    /// Learns that a desk has taken a task out of its inbox.
    pub(super) fn on_taken(&self, document: &DocumentId, task: &Task) {
        let bytes = match task {
            Task::Durable(entries) => weight_of(entries),
            Task::Anew => 0,
            _ => return,
        };
        if let Some(desk) = self.open_desks().desks.get_mut(document) {
            desk.waiting_bytes = desk.waiting_bytes.saturating_sub(bytes);
            desk.anew &= !matches!(task, Task::Anew);
        }
    }

    /// Learns how much of a document is in memory, and has others let go of theirs where that is too much in all.
    pub(super) fn weigh(&self, document: DocumentId, weight: usize) {
        let mut open = self.open_desks();
        open.worked += 1;
        let worked = open.worked;
        let before = if weight > 0 { open.weights.insert(document, (weight, worked)) } else { open.weights.remove(&document) };
        open.weight = open.weight + weight - before.map_or(0, |(before, _)| before);
        if open.weight <= self.options.memory_bytes_max {
            return;
        }
        let mut oldest: Vec<_> = open.weights.iter().map(|(document, (weight, worked))| (*worked, *document, *weight)).collect();
        oldest.sort_unstable();
        let mut above = open.weight - self.options.memory_bytes_max;
        for (_, other, weight) in oldest {
            if let Some(desk) = open.desks.get(&other) {
                desk.tell(Task::Unload);
            }
            above = above.saturating_sub(weight);
            if above == 0 {
                break;
            }
        }
    }

    /// Closes the desk of a document that nobody syncs; not when something has come for it.
    pub(super) fn close(&self, document: &DocumentId, inbox: &UnboundedReceiver<Task>) -> bool {
        let mut open = self.open_desks();
        let idle = inbox.is_empty() && open.desks.get(document).is_none_or(|desk| desk.participants.is_empty());
        if idle {
            open.remove(document);
        }
        idle
    }

    /// Closes the desk of a document whose work has failed, and cuts its clients off.
    pub(super) fn give_up(&self, document: &DocumentId) {
        let desk = self.open_desks().remove(document);
        for client in desk.iter().flat_map(|desk| desk.participants.values()) {
            client.fail(Refusal::Bug, "the relay could not go on with a document because of a bug");
        }
    }

    fn on_event(self: &Arc<Self>, event: &Event) {
        match event {
            Event::Durable { space, document, entries } if *space == self.options.space => {
                if let Some(desk) = self.open_desks().desks.get_mut(document).filter(|desk| !desk.anew) {
                    desk.waiting_bytes += weight_of(entries);
                    if desk.waiting_bytes > WAITING_BYTES_MAX {
                        desk.begin_anew();
                    } else {
                        desk.tell(Task::Durable(entries.clone()));
                    }
                }
            }
            Event::DocumentAdded { space, document } if *space == self.options.space => {
                let servers: Vec<_> = self.open_desks().clients.values().filter(|client| client.is_server).cloned().collect();
                servers.iter().for_each(|server| self.greet(server, *document));
            }
            Event::Anew { space, document } if *space == self.options.space => {
                if let Some(desk) = self.open_desks().desks.get_mut(document) {
                    desk.begin_anew();
                }
            }
            Event::Presence { space, peer, instance, state } if *space == self.options.space && Some(peer) != self.own.get() => {
                let mut open = self.open_desks();
                let said = open.presence.on_native(*peer, *instance, state.as_deref());
                open.say(said, None);
            }
            Event::Reread { number, document, result } => {
                if let Some(desk) = self.open_desks().desks.get_mut(document) {
                    desk.tell(Task::Reread { number: *number, result: result.clone() });
                }
            }
            _ => {}
        }
    }

    /// Has every document read anew: something was missed.
    fn on_lagged(&self) {
        self.open_desks().desks.values_mut().for_each(Desk::begin_anew);
    }

    fn open_desks(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Says something of this relay's to everyone who has the document open, or to one of them.
    fn say(&mut self, said: Vec<Said>, to: Option<&Client>) {
        for (document, sender, content) in said {
            let Some(desk) = self.desks.get(&document) else { continue };
            self.said += 1;
            let data = content.encode();
            for client in desk.participants.values() {
                if to.is_none_or(|to| to.number == client.number) && !client.is_slow() {
                    client.send(&Message::Ephemeral {
                        sender: sender.clone(),
                        target: client.peer.clone(),
                        document,
                        count: self.said as f64,
                        session: self.session.clone(),
                        data: data.clone(),
                    });
                }
            }
        }
    }

    fn remove(&mut self, document: &DocumentId) -> Option<Desk> {
        self.weight -= self.weights.remove(document).map_or(0, |(weight, _)| weight);
        self.desks.remove(document)
    }
}

impl Desk {
    fn tell(&self, task: Task) {
        // A desk that has failed is about to be removed.
        drop(self.inbox.send(task));
    }

    /// What comes until the desk gets there is part of what it then reads.
    fn begin_anew(&mut self) {
        if !self.anew {
            self.anew = true;
            self.tell(Task::Anew);
        }
    }
}

fn weight_of(entries: &[Arc<Entry>]) -> usize {
    entries.iter().map(|entry| entry.weight()).sum()
}

/// Tells the desks what the engine tells, until either is gone.
async fn follow(desks: std::sync::Weak<Desks>, host: Host, space: SpaceId, mut events: Receiver<Arc<Event>>) {
    if host.call(move |engine, now| engine.follow(now, space)).await.is_err() {
        return;
    }
    drop(host);
    loop {
        let event = events.recv().await;
        let Some(desks) = desks.upgrade() else { return };
        match event {
            Ok(event) => desks.on_event(&event),
            Err(RecvError::Lagged(_)) => desks.on_lagged(),
            Err(RecvError::Closed) => return,
        }
    }
}
