//! Presence crosses over: what automerge-repo's `Presence` shows of a client is presence in the space, and the other way round.
//!
//! Theirs belongs to a document and ours to a space. So what a client of theirs shows is our presence with the document's id as
//! `document` beside what it shows; and what a replica of ours shows crosses over where it has such a `document`.

use super::cbor::Value;
use driftline_core::base::id::{DocumentId, PeerId, to_hex};
use driftline_core::base::limits::{PRESENCE_BYTES_MAX, PRESENCE_STATES_MAX};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// What their messages about presence are marked with.
const MARKER: &str = "__presence";
/// The field of our presence that says which document it is about.
const DOCUMENT: &str = "document";

/// Who is shown on the other side.
#[derive(Debug, Default)]
pub(super) struct Crossing {
    /// Replicas of ours, as they are shown to clients of theirs.
    natives: BTreeMap<(PeerId, u64), (DocumentId, Json)>,
    /// Clients of theirs, as they are shown in the space.
    guests: BTreeMap<(u64, DocumentId), Guest>,
    last_instance: u64,
}

#[derive(Debug)]
struct Guest {
    instance: u64,
    state: Map<String, Json>,
}

/// Something to be said to the clients that have a document open: by whom, and what.
pub(super) type Said = (DocumentId, String, Value);

/// A presence of this relay's to be shown in the space, or to be taken away.
pub(super) type Shown = (u64, Option<String>);

impl Crossing {
    /// A replica of ours shows something, or is gone; answers what is to be said to clients of theirs.
    pub(super) fn on_native(&mut self, peer: PeerId, instance: u64, state: Option<&str>) -> Vec<Said> {
        let key = (peer, instance);
        let shown = state.and_then(|state| serde_json::from_str::<Json>(state).ok()).and_then(|state| {
            let document = state.get(DOCUMENT)?.as_str()?.parse().ok()?;
            Some((document, state))
        });
        let before = self.natives.remove(&key).map(|(document, _)| document);
        let now = shown.as_ref().map(|(document, _)| *document);
        let gone = before.filter(|before| Some(*before) != now);
        let goodbye = gone.map(|document| (document, name_of(&key), marked(vec![("type".to_owned(), "goodbye".into())])));
        let hello = shown.filter(|_| self.natives.len() < PRESENCE_STATES_MAX).map(|(document, state)| {
            let said = (document, name_of(&key), snapshot(&state));
            self.natives.insert(key, (document, state));
            said
        });
        goodbye.into_iter().chain(hello).collect()
    }

    /// What is to be said to a client that has just opened a document.
    pub(super) fn shown_in(&self, document: DocumentId) -> Vec<Said> {
        let of = |(key, (shown, state)): (&(PeerId, u64), &(DocumentId, Json))| {
            (*shown == document).then(|| (document, name_of(key), snapshot(state)))
        };
        self.natives.iter().filter_map(of).collect()
    }

    /// A client of theirs says something in a document; answers what is to be shown in the space, where it is about presence.
    pub(super) fn on_guest(&mut self, client: u64, document: DocumentId, data: &[u8]) -> Option<Shown> {
        let said = Value::decode(data).ok()?;
        let said = said.get(MARKER)?;
        let key = (client, document);
        match said.get("type")?.as_text()? {
            "goodbye" => return self.guests.remove(&key).map(|guest| (guest.instance, None)),
            "snapshot" => {
                let Json::Object(state) = said.get("state")?.to_json() else { return None };
                self.guest(key)?.state = state;
            }
            "update" => {
                let channel = said.get("channel")?.as_text()?.to_owned();
                let value = said.get("value").map_or(Json::Null, Value::to_json);
                self.guest(key)?.state.insert(channel, value);
            }
            _ => return None,
        }
        let guest = self.guests.get_mut(&key)?;
        guest.state.insert(DOCUMENT.to_owned(), Json::String(document.to_string()));
        let state = Json::Object(guest.state.clone()).to_string();
        if state.len() > PRESENCE_BYTES_MAX {
            return self.guests.remove(&key).map(|guest| (guest.instance, None));
        }
        Some((guest.instance, Some(state)))
    }

    /// A client of theirs is gone; answers what is to be taken away in the space.
    pub(super) fn on_gone(&mut self, client: u64) -> Vec<Shown> {
        let (gone, left) = std::mem::take(&mut self.guests).into_iter().partition(|((of, _), _)| *of == client);
        self.guests = left;
        let gone: BTreeMap<(u64, DocumentId), Guest> = gone;
        gone.into_values().map(|guest| (guest.instance, None)).collect()
    }

    fn guest(&mut self, key: (u64, DocumentId)) -> Option<&mut Guest> {
        if self.guests.len() >= PRESENCE_STATES_MAX && !self.guests.contains_key(&key) {
            return None;
        }
        let last = &mut self.last_instance;
        Some(self.guests.entry(key).or_insert_with(|| {
            *last += 1;
            Guest { instance: *last, state: Map::new() }
        }))
    }
}

/// What clients of theirs know a replica of ours as.
fn name_of((peer, instance): &(PeerId, u64)) -> String {
    format!("driftline-{}-{instance}", &to_hex(&peer.0)[..16])
}

fn snapshot(state: &Json) -> Value {
    marked(vec![("type".to_owned(), "snapshot".into()), ("state".to_owned(), Value::from_json(state))])
}

fn marked(fields: Vec<(String, Value)>) -> Value {
    Value::Map(vec![(MARKER.to_owned(), Value::Map(fields))])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: DocumentId = DocumentId([7; 16]);
    const OTHER: DocumentId = DocumentId([8; 16]);
    const BEN: PeerId = PeerId([3; 32]);

    fn kind((_, _, said): &Said) -> String {
        said.get(MARKER).unwrap().get("type").unwrap().as_text().unwrap().to_owned()
    }

    #[test]
    fn what_a_replica_shows_of_a_document_is_said_there_and_a_goodbye_when_it_moves_on() {
        let mut crossing = Crossing::default();
        let state = |document: DocumentId| format!(r#"{{"name":"Ben","document":"{document}"}}"#);
        let said = crossing.on_native(BEN, 1, Some(&state(NOTE)));
        assert_eq!((said.len(), said[0].0, kind(&said[0]).as_str()), (1, NOTE, "snapshot"));
        assert_eq!(said[0].2.get(MARKER).unwrap().get("state").unwrap().get("name").unwrap().as_text(), Some("Ben"));
        assert_eq!(crossing.shown_in(NOTE).len(), 1);
        let said = crossing.on_native(BEN, 1, Some(&state(OTHER)));
        assert_eq!(
            said.iter().map(|said| (said.0, kind(said))).collect::<Vec<_>>(),
            [(NOTE, "goodbye".to_owned()), (OTHER, "snapshot".to_owned())]
        );
        let said = crossing.on_native(BEN, 1, None);
        assert_eq!((said[0].0, kind(&said[0]).as_str()), (OTHER, "goodbye"));
        assert!(crossing.shown_in(OTHER).is_empty());
        // What names no document does not cross over.
        assert!(crossing.on_native(BEN, 1, Some(r#"{"name":"Ben"}"#)).is_empty());
        assert!(crossing.on_native(BEN, 1, Some("no JSON")).is_empty());
    }

    #[test]
    fn what_a_client_shows_is_shown_in_the_space_until_it_goes() {
        let mut crossing = Crossing::default();
        let hello = marked(vec![
            ("type".to_owned(), "snapshot".into()),
            ("state".to_owned(), Value::Map(vec![("name".to_owned(), "Anna".into())])),
        ]);
        let (instance, state) = crossing.on_guest(1, NOTE, &hello.encode()).unwrap();
        assert_eq!(state, Some(format!(r#"{{"document":"{NOTE}","name":"Anna"}}"#)));
        let update = marked(vec![
            ("type".to_owned(), "update".into()),
            ("channel".to_owned(), "cursor".into()),
            ("value".to_owned(), Value::Number(3.0)),
        ]);
        let (again, state) = crossing.on_guest(1, NOTE, &update.encode()).unwrap();
        assert_eq!((again, state), (instance, Some(format!(r#"{{"cursor":3,"document":"{NOTE}","name":"Anna"}}"#))));
        assert_eq!(crossing.on_guest(1, NOTE, &Value::Map(vec![("chat".to_owned(), "hi".into())]).encode()), None);
        assert_eq!(crossing.on_guest(1, NOTE, &[0xff]), None);
        assert_eq!(crossing.on_gone(2), []);
        assert_eq!(crossing.on_gone(1), [(instance, None)]);
    }
}
