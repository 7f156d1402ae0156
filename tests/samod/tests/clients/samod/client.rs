//! Clients of samod as its documentation makes them, and notes: documents with a title and a body of text.

use super::relay::{PATIENCE, Relay, until};
use automerge::transaction::Transactable as _;
use automerge::{ChangeHash, ObjType, ROOT, ReadDoc as _};
use driftline_samod::WebSocket;
use samod::{BackoffConfig, ConnectionId, DialerHandle, DocHandle, DocumentId, Repo, Url};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A repo that dials the relay.
pub(crate) struct Client {
    pub(crate) repo: Repo,
    url: Url,
    dialer: Option<DialerHandle>,
}

impl Client {
    /// A client that is connected.
    pub(crate) async fn of(relay: &Relay) -> Self {
        let mut client = Self::offline(relay).await;
        client.connect().await;
        client
    }

    /// A client that has not dialled yet.
    pub(crate) async fn offline(relay: &Relay) -> Self {
        Self { repo: Repo::build_tokio().load().await, url: Url::parse(&relay.url()).unwrap(), dialer: None }
    }

    /// Goes online, and waits until it is.
    pub(crate) async fn connect(&mut self) {
        // Theirs waits up to half a minute before it dials again.
        let backoff = BackoffConfig { max_delay: Duration::from_millis(200), ..BackoffConfig::default() };
        let dialer = self.repo.dial(backoff, Arc::new(WebSocket { url: self.url.clone() })).unwrap();
        timeout(PATIENCE, dialer.established()).await.expect("the relay is there").unwrap();
        self.dialer = Some(dialer);
    }

    /// Goes offline, and waits until it is.
    pub(crate) async fn disconnect(&mut self) {
        self.dialer.take().expect("it was online").close();
        until("the connection to end", || self.repo.connected_peers().0.is_empty()).await;
    }

    /// A new note.
    pub(crate) async fn create(&self, title: &str, body: &str) -> Note {
        let mut document = automerge::Automerge::new();
        document
            .transact::<_, _, automerge::AutomergeError>(|tx| {
                tx.put(ROOT, "title", title)?;
                let text = tx.put_object(ROOT, "body", ObjType::Text)?;
                tx.splice_text(&text, 0, 0, body)
            })
            .unwrap();
        Note(self.repo.create(document).await.unwrap())
    }

    /// The note of this id, if the relay has it.
    pub(crate) async fn look_for(&self, id: &DocumentId) -> Option<Note> {
        self.connection().await;
        timeout(PATIENCE, self.repo.find(id.clone())).await.expect("the relay answers").unwrap().map(Note)
    }

    /// The note of this id, which the relay has.
    pub(crate) async fn find(&self, id: &DocumentId) -> Note {
        self.look_for(id).await.expect("the relay has the note")
    }

    /// Waits until the relay has said that it has everything in this note.
    pub(crate) async fn received(&self, note: &Note) {
        let connection = self.connection().await;
        let said = || note.0.peers().0.get(&connection).and_then(|peer| peer.shared_heads.clone());
        until("the relay to say that it has everything", || said().is_some_and(|said| sorted(said) == note.heads())).await;
    }

    /// The connection, once there is one.
    async fn connection(&self) -> ConnectionId {
        let dialer = self.dialer.as_ref().expect("it is online");
        until("a connection", || dialer.is_connected()).await;
        dialer.connection_id().expect("it is connected")
    }
}

/// A client's copy of a note.
pub(crate) struct Note(pub(crate) DocHandle);

impl Note {
    pub(crate) fn id(&self) -> &DocumentId {
        self.0.document_id()
    }

    pub(crate) fn title(&self) -> String {
        self.text("title")
    }

    pub(crate) fn body(&self) -> String {
        self.text("body")
    }

    fn text(&self, key: &str) -> String {
        self.0.with_document(|document| match document.get(ROOT, key).unwrap() {
            Some((automerge::Value::Object(_), text)) => document.text(&text).unwrap(),
            Some((value, _)) => value.as_str().unwrap_or_default().to_owned(),
            None => String::new(),
        })
    }

    /// Heads in a fixed order.
    pub(crate) fn heads(&self) -> Vec<ChangeHash> {
        sorted(self.0.with_document(|document| document.get_heads()))
    }

    /// Gives it a title.
    pub(crate) fn call(&self, title: &str) {
        self.0.with_document(|document| document.transact(|tx| tx.put(ROOT, "title", title)).unwrap());
    }

    /// Writes at the end of the body.
    pub(crate) fn append(&self, words: &str) {
        self.write(usize::MAX, words);
    }

    /// Writes at the beginning of the body.
    pub(crate) fn prepend(&self, words: &str) {
        self.write(0, words);
    }

    fn write(&self, at: usize, words: &str) {
        self.0.with_document(|document| {
            let written = document.transact::<_, _, automerge::AutomergeError>(|tx| {
                let (_, text) = tx.get(ROOT, "body")?.expect("a note has a body");
                let at = at.min(tx.length(&text));
                tx.splice_text(&text, at, 0, words)
            });
            written.unwrap();
        });
    }
}

fn sorted(mut heads: Vec<ChangeHash>) -> Vec<ChangeHash> {
    heads.sort_unstable();
    heads
}

/// Waits until these copies are equal.
pub(crate) async fn equal(copies: &[&Note]) {
    until("all copies to be equal", || copies.iter().all(|copy| copy.heads() == copies[0].heads())).await;
    assert!(copies.iter().all(|copy| copy.body() == copies[0].body() && copy.title() == copies[0].title()));
}
