//! A connected client: who it is, what it still has to take, and what it follows.

use super::counts::{Counts, Refusal};
use super::message::Message;
use bytes::Bytes;
use driftline_core::base::id::DocumentId;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// Most storages whose heads one client may want to be told of.
const SUBSCRIPTIONS_MAX: usize = 1_024;

/// A connected client.
pub(super) struct Client {
    /// A number no other client of this process has had.
    pub(super) number: u64,
    /// What it calls itself.
    pub(super) peer: String,
    /// What this relay calls itself.
    relay: String,
    /// Where it keeps what it has, if that lasts.
    pub(super) storage: Option<String>,
    /// Whether it is a server that this side dialled.
    pub(super) is_server: bool,
    queue: UnboundedSender<Bytes>,
    queued: AtomicUsize,
    queued_max: usize,
    ending: watch::Sender<Option<String>>,
    open: Mutex<Open>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Open {
    /// Documents that it syncs.
    documents: BTreeSet<DocumentId>,
    /// Those of which it is to be sent something when it has taken what waits.
    waiting: BTreeSet<DocumentId>,
    /// Storages whose heads it wants to be told of.
    subscriptions: BTreeSet<String>,
}

/// What a client's connection holds of it.
pub(super) struct Outgoing {
    /// Messages on their way out.
    pub(super) queued: UnboundedReceiver<Bytes>,
    /// Why it is to be ended, once it is.
    pub(super) ending: watch::Receiver<Option<String>>,
}

impl Client {
    /// A client, of whose messages at most `queued_max` bytes wait before it is slow.
    pub(super) fn new(
        number: u64,
        relay: String,
        peer: String,
        storage: Option<String>,
        queued_max: usize,
        is_server: bool,
        counts: Arc<Counts>,
    ) -> (Arc<Self>, Outgoing) {
        let (queue, queued) = unbounded_channel();
        let (tell, ending) = watch::channel(None);
        let client = Self {
            number,
            peer,
            relay,
            storage,
            is_server,
            queue,
            queued: AtomicUsize::new(0),
            queued_max,
            ending: tell,
            open: Mutex::default(),
            counts,
        };
        (Arc::new(client), Outgoing { queued, ending })
    }

    /// Sends it a message.
    pub(super) fn send(&self, message: &Message) {
        let bytes = Bytes::from(message.encode());
        self.queued.fetch_add(bytes.len(), Ordering::Relaxed);
        self.counts.on_out(bytes.len());
        // One whose connection is over needs nothing.
        drop(self.queue.send(bytes));
    }

    /// Sends it a step of syncing a document.
    pub(super) fn send_sync(&self, document: DocumentId, request: bool, data: Vec<u8>) {
        let (sender, target) = (self.relay.clone(), self.peer.clone());
        self.send(&Message::Sync { sender, target, document, request, data });
    }

    /// Tells it that there is no such document here.
    pub(super) fn send_unavailable(&self, document: DocumentId) {
        self.send(&Message::Unavailable { sender: self.relay.clone(), target: self.peer.clone(), document });
    }

    /// Tells it what was refused.
    pub(super) fn send_error(&self, why: Refusal, text: &str) {
        self.counts.on_refused(why);
        tracing::warn!(peer = self.peer, "an automerge-repo client was refused something: {text}");
        self.send(&Message::Error { sender: self.relay.clone(), target: self.peer.clone(), text: text.to_owned() });
    }

    /// Tells it what was refused, and ends its connection.
    pub(super) fn fail(&self, why: Refusal, text: &str) {
        self.send_error(why, text);
        self.end(text);
    }

    /// Ends its connection once it has taken what was sent.
    pub(super) fn end(&self, why: &str) {
        self.ending.send_if_modified(|ending| {
            let first = ending.is_none();
            if first {
                *ending = Some(why.to_owned());
            }
            first
        });
    }

    /// Whether so much waits for it that it is to be sent nothing large; then it is reminded of the document later.
    pub(super) fn is_slow_for(&self, document: DocumentId) -> bool {
        let slow = self.queued.load(Ordering::Relaxed) > self.queued_max;
        if slow {
            self.open().waiting.insert(document);
        }
        slow
    }

    /// Whether so much waits for it that what does not matter is left out.
    pub(super) fn is_slow(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > self.queued_max
    }

    /// Learns that it has taken so many bytes; answers the documents it is to be sent something of now.
    pub(super) fn on_written(&self, bytes: usize) -> BTreeSet<DocumentId> {
        let left = self.queued.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if left > self.queued_max / 2 { BTreeSet::new() } else { std::mem::take(&mut self.open().waiting) }
    }

    /// Notes that it syncs a document; answers whether it may, of so many.
    pub(super) fn joins(&self, document: DocumentId, max: usize) -> bool {
        let mut open = self.open();
        if open.documents.len() < max {
            open.documents.insert(document);
        }
        open.documents.contains(&document)
    }

    /// Whether it syncs a document.
    pub(super) fn syncs(&self, document: &DocumentId) -> bool {
        self.open().documents.contains(document)
    }

    /// Every document it syncs.
    pub(super) fn documents(&self) -> Vec<DocumentId> {
        self.open().documents.iter().copied().collect()
    }

    /// Changes which storages' heads it wants to be told of.
    pub(super) fn subscribe(&self, add: Vec<String>, remove: &[String]) {
        let mut open = self.open();
        for storage in remove {
            open.subscriptions.remove(storage);
        }
        for storage in add {
            if open.subscriptions.len() < SUBSCRIPTIONS_MAX {
                open.subscriptions.insert(storage);
            }
        }
    }

    /// Tells it how far storages have come that it wants to be told of.
    pub(super) fn tell_heads(&self, document: DocumentId, heads: &[(String, Vec<String>, f64)]) {
        let wanted: Vec<_> = {
            let open = self.open();
            heads.iter().filter(|(storage, ..)| open.subscriptions.contains(storage)).cloned().collect()
        };
        if !wanted.is_empty() && !self.is_slow() {
            let (sender, target) = (self.relay.clone(), self.peer.clone());
            self.send(&Message::Heads { sender, target, document, heads: wanted });
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_is_reminded_of_what_it_was_not_sent() {
        let document = DocumentId([7; 16]);
        let (client, mut outgoing) = Client::new(1, "relay".to_owned(), "anna".to_owned(), None, 1_000, false, Arc::default());
        assert!(!client.is_slow_for(document));
        client.send_sync(document, false, vec![0; 2_000]);
        assert!(client.is_slow_for(document));
        let sent = outgoing.queued.try_recv().unwrap();
        assert_eq!(client.on_written(sent.len()), [document].into());
        assert!(!client.is_slow_for(document));
    }

    #[test]
    fn the_first_reason_to_end_is_the_one_that_is_told() {
        let (client, outgoing) = Client::new(1, "relay".to_owned(), "anna".to_owned(), None, 1_000, false, Arc::default());
        client.end("first");
        client.end("second");
        assert_eq!(outgoing.ending.borrow().as_deref(), Some("first"));
    }
}
