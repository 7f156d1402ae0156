//! Which entries of peers become part of logs, and which wait.
//!
//! An entry is admitted when it is its actor's next and all it depends on is held. A dependency that is not among the newest
//! entries is looked up in the store; until the answer comes, the document's further entries from peers wait in line.

use super::Engine;
use super::effect::Event;
use super::logs::{Logs, Work};
use crate::base::id::{ChangeHash, ConnectionId, DocumentId, SpaceId};
use crate::base::limits::PARKED_ENTRIES_MAX;
use crate::log::entry::Entry;
use crate::log::log::{Admission, Log};
use crate::seal::entry::SealError;
use crate::store::task::StoreTask;
use crate::sync::message::{ErrorCode, Message};
use crate::trust::owned::is_owned;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Entries of a document that wait for a dependency to be looked up.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) entries: VecDeque<(Arc<Entry>, ConnectionId)>,
    confirmed: BTreeSet<ChangeHash>,
    /// What was looked for of the first.
    sought: BTreeSet<ChangeHash>,
    /// Which look-up this is, 0 for none: the answer to an earlier one says nothing of what is looked for now.
    search: u64,
}

impl Logs {
    /// Has entries of a document wait that come from now on.
    pub(super) fn hold_line(&mut self, document: DocumentId) {
        self.lines.entry(document).or_default();
    }

    /// Whether entries of a document wait in line.
    pub(super) fn is_in_line(&self, document: &DocumentId) -> bool {
        self.lines.contains_key(document)
    }

    /// Documents of a space of which something came that is not in the log yet: it waits in line, or was refused for want of room.
    pub(super) fn held_up<'a>(
        &'a self,
        space: &'a SpaceId,
        locations: &'a BTreeMap<DocumentId, SpaceId>,
    ) -> impl Iterator<Item = DocumentId> + 'a {
        let in_line = self.lines.keys().filter(move |document| locations.get(document) == Some(space));
        let refused = self.refused.iter().filter(move |(_, held)| *held == space).map(|(document, _)| document);
        in_line.chain(refused).copied()
    }

    /// Whether a connection has sent something of a document that is not in the log yet.
    pub(super) fn is_held_up(&self, document: &DocumentId, connection: ConnectionId) -> bool {
        let in_line = self.lines.get(document).is_some_and(|line| line.entries.iter().any(|(_, source)| *source == connection));
        in_line || self.refused.contains_key(document)
    }

    /// Takes the entries of a document out of their line.
    pub(super) fn take_line(&mut self, document: &DocumentId) -> Option<Line> {
        let line = self.lines.remove(document)?;
        self.waiting_bytes -= line.entries.iter().map(|(entry, _)| entry.weight()).sum::<usize>();
        Some(line)
    }
}

impl Engine {
    /// Takes in an entry of a peer's, of a document in a space that is synced with it.
    pub(super) fn receive_entry(&mut self, space: SpaceId, entry: Arc<Entry>, source: ConnectionId) {
        let document = entry.document;
        let is_held = || self.log(&document).is_some_and(|log| log.version().clock.covers(&entry.actor, entry.seq));
        if self.config.quotas.space_bytes_max.is_some() && !is_held() {
            let bytes = entry.payload.len() as u64;
            if !self.has_quota_for(space, document, bytes, source) {
                return;
            }
        }
        let has_room = self.bytes_under_way() <= self.config.limits.undurable_bytes_max;
        if let Some(line) = self.logs.lines.get_mut(&document).filter(|_| has_room) {
            if line.entries.len() < PARKED_ENTRIES_MAX {
                self.logs.waiting_bytes += entry.weight();
                line.entries.push_back((entry, source));
            } else {
                self.logs.refused.insert(document, space);
            }
            return;
        }
        if !has_room {
            if self.logs.refused.insert(document, space).is_none() {
                let text = "the store cannot keep up: what was sent is not saved here, and will be asked for again".to_owned();
                self.send(source, &Message::Error { code: ErrorCode::StoreUnavailable, document: Some(document), text });
            }
            return;
        }
        if self.has_room_for(space, document, source) {
            self.admit(space, entry, source, &BTreeSet::new());
        }
    }

    /// Whether a document is held or may be; says so to the sender when it may not.
    pub(super) fn has_room_for(&mut self, space: SpaceId, document: DocumentId, source: ConnectionId) -> bool {
        if self.locations.contains_key(&document) {
            return true;
        }
        let limits = &self.config.limits;
        let held = self.spaces.get(&space).map_or(0, |held| held.space.len());
        let room = held < limits.documents_per_space_max && self.locations.len() < limits.documents_max;
        if !room || self.is_full() {
            let text = if room {
                format!(
                    "this replica has no more memory for documents (--memory-max on a relay); document {document} was not taken"
                )
            } else {
                format!(
                    "this replica holds as many documents as it may ({held} in this space); document {document} was not taken"
                )
            };
            self.send(source, &Message::Error { code: ErrorCode::LimitReached, document: Some(document), text });
            return false;
        }
        true
    }

    pub(super) fn add_document(&mut self, space: SpaceId, document: DocumentId) {
        self.locations.insert(document, space);
        self.change_space(space, |held| held.insert(Log::new(document, space)));
        self.tell(Event::DocumentAdded { space, document });
    }

    fn admit(&mut self, space: SpaceId, entry: Arc<Entry>, source: ConnectionId, confirmed: &BTreeSet<ChangeHash>) {
        let document = entry.document;
        // It may have waited in line since before its writer was shut out, or vouched for another.
        if self.is_cut_off(space, &entry, source) || is_owned(&space) && !self.is_vouched_change(source, space, &entry) {
            return;
        }
        let empty = Log::new(document, space);
        let log = self.log(&document).unwrap_or(&empty);
        let admission = match log.admission(&entry, confirmed) {
            // A new actor in it stays for as long as it is held.
            Admission::Next if entry.seq == 1 && !log.version().is_empty() && self.is_full() => Admission::Full,
            admission => admission,
        };
        match admission {
            Admission::Next => {
                if !self.locations.contains_key(&document) {
                    self.add_document(space, document);
                }
                self.stats.received += 1;
                self.on_sent_by(source, &entry, true);
                self.append(entry, Some(source));
            }
            Admission::Held => {
                let durable = log.durable().clock.covers(&entry.actor, entry.seq);
                self.stats.received += 1;
                self.stats.received_again += 1;
                self.on_sent_by(source, &entry, false);
                if durable {
                    self.owe_ack(source, document, entry.actor, entry.seq);
                } else {
                    self.logs.owe_once_durable(source, document, entry.actor, entry.seq);
                }
            }
            Admission::Gap => self.ask_again(space, document, source),
            // What is all in the tail needs no look-up: the sender did not send what the entry depends on.
            Admission::Unknown(_) if log.tail_start() == 1 => self.ask_again(space, document, source),
            Admission::Unknown(hashes) => {
                self.logs.searches += 1;
                let search = self.logs.searches;
                let line = self.logs.lines.entry(document).or_default();
                line.search = search;
                line.confirmed.extend(confirmed);
                line.sought.extend(&hashes);
                self.logs.waiting_bytes += entry.weight();
                line.entries.push_front((entry, source));
                self.store(Work::Find { document, search, sought: hashes.clone() }, StoreTask::Find { document, hashes });
            }
            Admission::Full => {
                let text =
                    format!("document {document} has as many actors or heads as it may have here, or as there is memory for");
                self.send(source, &Message::Error { code: ErrorCode::LimitReached, document: Some(document), text });
            }
        }
    }

    /// Takes what the store found as entries; what it did not find, a snapshot may stand for.
    pub(super) fn on_searched(&mut self, (document, search): (DocumentId, u64), sought: Vec<ChangeHash>, found: Vec<ChangeHash>) {
        let missing: Vec<ChangeHash> = sought.into_iter().filter(|hash| !found.contains(hash)).collect();
        if let Some(line) = self.logs.lines.get_mut(&document).filter(|_| !missing.is_empty()) {
            line.confirmed.extend(found.iter().copied());
            if self.seek_in_snapshot((document, search), missing) {
                return;
            }
        }
        self.on_found((document, search), found);
    }

    /// Takes what stands in line from the beginning: nothing was looked for yet in what the log is now.
    pub(super) fn receive_line(&mut self, document: DocumentId) {
        let Some(line) = self.logs.take_line(&document) else { return };
        let Some(space) = self.locations.get(&document).copied() else { return };
        self.touch_progress(space);
        for (entry, source) in line.entries {
            self.receive_entry(space, entry, source);
        }
        self.ask_for_refused();
    }

    /// Takes what stands in line up again, of whose first entry these were found; but where that was looked for before the line began anew, it only notes them.
    pub(super) fn on_found(&mut self, (document, search): (DocumentId, u64), hashes: Vec<ChangeHash>) {
        let is_earlier = self.logs.lines.get(&document).is_some_and(|line| line.search != search);
        if is_earlier || self.snapshots.is_adopting(&document) {
            if let Some(line) = self.logs.lines.get_mut(&document) {
                line.confirmed.extend(hashes);
            }
            return;
        }
        let Some(mut line) = self.logs.take_line(&document) else { return };
        let Some(space) = self.locations.get(&document).copied() else { return };
        self.touch_progress(space);
        line.confirmed.extend(hashes);
        if let Some((first, source)) = line.entries.pop_front() {
            // Still unknown after the look-up: whoever sent it did not send what it depends on. What was among the newest entries then, and is not
            // any more, was not looked for yet.
            let admission = self.log(&document).map(|log| log.admission(&first, &line.confirmed));
            let unknown =
                matches!(admission, Some(Admission::Unknown(hashes)) if hashes.iter().all(|hash| line.sought.contains(hash)));
            if unknown && self.is_falsely_founded(&first) {
                let why = SealError::Otherwise("it depends on something else");
                self.on_broken(source, space, document, (first.actor, first.seq), &why);
            } else if unknown {
                self.ask_again(space, document, source);
            } else {
                self.admit(space, first, source, &line.confirmed);
            }
        }
        // The others go on in order; one of them may have to wait for a look-up of its own.
        for (entry, source) in line.entries {
            self.receive_entry(space, entry, source);
        }
        self.ask_for_refused();
    }
}
