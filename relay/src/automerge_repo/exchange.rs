//! One document and the clients that sync it, as work without waiting: it runs on a thread where it may take long.

use super::client::Client;
use super::counts::Refusal;
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, to_base58check};
use driftline_core::doc::assembly::Assembly;
use driftline_core::doc::automerge_sync::{SyncPeer, SyncedDocument};
use driftline_core::doc::value::TextUnit;
use driftline_core::engine::following::Reread;
use driftline_core::log::entry::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Something that happened to a document.
pub(super) enum Task {
    /// A client sent a sync message; its room is held until it is dealt with.
    Message { client: Arc<Client>, request: bool, data: Vec<u8>, _room: Option<OwnedSemaphorePermit> },
    /// A server that this side dialled is to be told of the document, or asked for it.
    Greet { client: Arc<Client> },
    /// A client is gone.
    Leave { client: u64 },
    /// A client that was slow takes more.
    Resume { client: u64 },
    /// These entries have become durable.
    Durable(Vec<Arc<Entry>>),
    /// The log is not what it was and what was told since.
    Anew,
    /// What was read.
    Reread { number: u64, result: Result<Reread, String> },
    /// Its memory is wanted for others.
    Unload,
    /// Time has passed: what was handed in and not told to be durable is handed in again, what could not be read is read again.
    Again,
    /// Time has passed in which nobody brought what was asked for.
    Unanswered,
}

/// Something to be done next.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    /// Read the document, and tell [`Exchange::on_reading`].
    Read,
    /// Hand these in, and tell [`Exchange::on_refused`] if they are refused.
    Offer(Vec<Arc<Entry>>),
}

/// What became of asking for a document.
pub(super) enum Reading {
    /// It is being read, under this number.
    Begun(u64),
    /// Nothing is held of it.
    NotHeld,
    /// It belongs to another space.
    Elsewhere,
}

/// One document and the clients that sync it.
pub(super) struct Exchange {
    document: DocumentId,
    held: Held,
    participants: BTreeMap<u64, Participant>,
    /// Entries to be applied once the document is loaded, or now.
    durable: Vec<Arc<Entry>>,
    /// Messages to be dealt with once the document is loaded, or now.
    messages: Vec<Task>,
    /// Whether everyone may lack something.
    moved: bool,
}

/// How much of the document is in memory.
enum Held {
    Nothing,
    /// It was asked for, and nothing is known yet.
    Asked,
    Reading {
        number: u64,
    },
    /// It could not be read, and is asked for again later.
    Failed,
    All(Box<SyncedDocument>),
}

struct Participant {
    client: Arc<Client>,
    sync: SyncPeer,
    /// Whether it asked for the document and was neither sent any of it nor told that there is none.
    asks: bool,
}

impl Participant {
    fn new(client: Arc<Client>) -> Self {
        Self { client, sync: SyncPeer::new(), asks: false }
    }
}

/// Whose turn it is when clients ask for a document of which nothing is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nobody asks, or what they asked for is on its way to the disk.
    Nothing,
    /// Nobody is known to have it: whoever made it may be about to say so.
    OfAnyone,
    /// Some client has said that it has it.
    OfSomeone,
}

impl Exchange {
    pub(super) fn new(document: DocumentId) -> Self {
        Self {
            document,
            held: Held::Nothing,
            participants: BTreeMap::new(),
            durable: Vec::new(),
            messages: Vec::new(),
            moved: false,
        }
    }

    /// Whether something is on its way that may get lost.
    pub(super) fn is_waiting(&self) -> bool {
        match &self.held {
            Held::Nothing => false,
            Held::Asked | Held::Reading { .. } | Held::Failed => true,
            Held::All(document) => document.is_pending(),
        }
    }

    /// Whether clients ask for what is not held, and of whom it can come.
    pub(super) fn asked(&self) -> Asked {
        match &self.held {
            Held::All(document) if document.is_empty() && !document.is_pending() => {}
            _ => return Asked::Nothing,
        }
        let has_it = |participant: &Participant| participant.sync.heads().is_some_and(|heads| !heads.is_empty());
        match self.participants.values().any(|participant| participant.asks) {
            false => Asked::Nothing,
            true if self.participants.values().any(has_it) => Asked::OfSomeone,
            true => Asked::OfAnyone,
        }
    }

    /// About how many bytes of the document are in memory.
    pub(super) fn weight(&self) -> usize {
        if let Held::All(document) = &self.held { document.weight() } else { 0 }
    }

    /// Deals with all that has happened. May take long.
    pub(super) fn work(&mut self, tasks: Vec<Task>) -> Vec<Action> {
        let mut due = BTreeSet::new();
        let mut actions = Vec::new();
        for task in tasks {
            match task {
                Task::Message { .. } => self.messages.push(task),
                Task::Greet { client } => {
                    let number = client.number;
                    self.participants.entry(number).or_insert_with(|| Participant::new(client));
                    due.insert(number);
                }
                Task::Leave { client } => {
                    self.participants.remove(&client);
                    let of = |task: &Task| matches!(task, Task::Message { client: of, .. } if of.number == client);
                    self.messages.retain(|task| !of(task));
                }
                Task::Resume { client } => drop(due.insert(client)),
                Task::Durable(entries) => self.on_durable(entries),
                Task::Anew => self.on_anew(),
                Task::Reread { number, result } => self.on_reread(number, result),
                Task::Unload => self.unload(),
                Task::Again => actions.extend(self.again()),
                Task::Unanswered => self.on_unanswered(),
            }
        }
        let wanted = !self.messages.is_empty() || !due.is_empty() || self.moved && !self.participants.is_empty();
        match &self.held {
            Held::Nothing if wanted => {
                self.moved |= !due.is_empty();
                self.held = Held::Asked;
                actions.push(Action::Read);
            }
            Held::All(_) => actions.extend(self.advance(due)),
            _ => self.moved |= !due.is_empty(),
        }
        actions
    }

    /// Learns what became of asking for the document.
    pub(super) fn on_reading(&mut self, reading: Reading) {
        match reading {
            Reading::Begun(number) => self.held = Held::Reading { number },
            Reading::NotHeld => self.held = Held::All(Box::new(SyncedDocument::new(self.document, nobody()))),
            Reading::Elsewhere => {
                // It may not be seen here: to a client that is as if there were none.
                for task in std::mem::take(&mut self.messages) {
                    if let Task::Message { client, .. } = task {
                        client.send_error(
                            Refusal::NotHere,
                            &format!("document {} is not one that may be synced here", self.document),
                        );
                        client.send_unavailable(self.document);
                    }
                }
                self.participants.clear();
                self.durable.clear();
                (self.held, self.moved) = (Held::Nothing, false);
            }
        }
    }

    /// Learns that what was handed in was refused for good.
    pub(super) fn on_refused(&mut self, why: &str) {
        if let Held::All(document) = &mut self.held {
            document.forget_pending();
        }
        for participant in self.participants.values().filter(|participant| participant.sync.is_waiting()) {
            participant.client.fail(Refusal::NotTaken, &format!("document {} was not taken: {why}", self.document));
        }
    }

    fn on_durable(&mut self, entries: Vec<Arc<Entry>>) {
        self.moved = true;
        if !matches!(self.held, Held::Nothing) {
            self.durable.extend(entries);
        }
    }

    fn on_anew(&mut self) {
        (self.held, self.moved) = (Held::Nothing, true);
        self.durable.clear();
    }

    fn on_reread(&mut self, number: u64, result: Result<Reread, String>) {
        if !matches!(self.held, Held::Reading { number: awaited } if awaited == number) {
            return;
        }
        let loaded = result.and_then(|Reread { snapshot, entries }| {
            let assembly = Assembly {
                document: self.document,
                actor: nobody(),
                unit: TextUnit::CodePoint,
                snapshots: snapshot.into_iter().collect(),
                entries,
                save: false,
                sought: Vec::new(),
            };
            SyncedDocument::load(&assembly).map_err(|error| error.to_string())
        });
        match loaded {
            Ok(document) => self.held = Held::All(Box::new(document)),
            Err(why) => {
                tracing::error!(document = %self.document, "a document cannot be loaded for automerge-repo clients: {why}");
                self.held = Held::Failed;
            }
        }
    }

    fn unload(&mut self) {
        let is_idle = !self.is_waiting() && self.asked() == Asked::Nothing;
        if matches!(self.held, Held::All(_)) && is_idle && self.durable.is_empty() && self.messages.is_empty() {
            self.held = Held::Nothing;
        }
    }

    fn again(&mut self) -> Option<Action> {
        match &self.held {
            Held::All(document) => Some(document.pending()).filter(|pending| !pending.is_empty()).map(Action::Offer),
            Held::Failed => {
                self.held = Held::Asked;
                Some(Action::Read)
            }
            _ => None,
        }
    }

    /// Tells those who asked that there is no such document here; if it comes after all, they are sent it.
    fn on_unanswered(&mut self) {
        if self.asked() == Asked::Nothing {
            return;
        }
        for participant in self.participants.values_mut().filter(|participant| participant.asks) {
            participant.asks = false;
            participant.client.send_unavailable(self.document);
        }
    }

    /// Applies what is durable, takes what clients sent, and sends what they lack.
    fn advance(&mut self, mut due: BTreeSet<u64>) -> Option<Action> {
        let Held::All(document) = &mut self.held else { return None };
        let mut offered = Vec::new();
        if !self.durable.is_empty() {
            if let Err(error) = document.apply(std::mem::take(&mut self.durable)) {
                tracing::error!(document = %self.document, "part of a document cannot be shown to automerge-repo clients: {error}");
            }
            for participant in self.participants.values_mut() {
                match document.release(&mut participant.sync) {
                    Ok(entries) => offered.extend(entries),
                    Err(error) => participant.client.fail(Refusal::BadSync, &error.to_string()),
                }
            }
        }
        if std::mem::take(&mut self.moved) {
            due.extend(self.participants.keys());
        }
        let mut heard = Vec::new();
        for task in std::mem::take(&mut self.messages) {
            let Task::Message { client, request, data, .. } = task else { continue };
            let participant = self.participants.entry(client.number).or_insert_with(|| Participant::new(Arc::clone(&client)));
            match document.receive(&mut participant.sync, &data) {
                Ok(entries) => {
                    offered.extend(entries);
                    due.insert(client.number);
                    participant.asks |= request;
                }
                Err(error) => {
                    client.fail(Refusal::BadSync, &format!("document {}: {error}", self.document));
                    self.participants.remove(&client.number);
                    due.remove(&client.number);
                }
            }
            heard.push(client.number);
        }
        if !document.is_empty() {
            self.participants.values_mut().for_each(|participant| participant.asks = false);
        }
        heard.into_iter().for_each(|number| self.tell_heads(number));
        self.answer(&due);
        (!offered.is_empty()).then_some(Action::Offer(offered))
    }

    fn answer(&mut self, due: &BTreeSet<u64>) {
        let Held::All(document) = &self.held else { return };
        for number in due {
            let Some(participant) = self.participants.get_mut(number) else { continue };
            // Who asks is sent something of it, or told that there is none.
            if participant.asks && document.is_empty() && !document.is_pending() {
                continue;
            }
            if !participant.client.is_slow_for(self.document)
                && let Some(message) = document.message(&mut participant.sync)
            {
                let request = participant.client.is_server && document.is_empty();
                participant.client.send_sync(self.document, request, message);
            }
        }
    }

    /// Tells the others how far a client's storage has come.
    fn tell_heads(&self, number: u64) {
        let Some(participant) = self.participants.get(&number) else { return };
        let (Some(storage), Some(heads)) = (&participant.client.storage, participant.sync.heads()) else { return };
        let others = self.participants.values().filter(|other| other.client.number != number);
        let heads = heads.iter().map(|ChangeHash(hash)| to_base58check(hash)).collect::<Vec<_>>();
        let told = [(storage.clone(), heads, unix_ms())];
        others.for_each(|other| other.client.tell_heads(self.document, &told));
    }
}

/// Who writes what the relay never writes.
fn nobody() -> ActorId {
    ActorId::new(&[0]).unwrap_or_else(|| unreachable!("one byte is an actor"))
}

fn unix_ms() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_millis() as f64)
}
