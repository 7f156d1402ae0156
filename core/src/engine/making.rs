//! Snapshots that are being put together: what is gathered for them, and what comes of it.

use super::Engine;
use super::effect::{Effect, TroubleKind};
use super::logs::Work;
use super::snapshots::{Finished, Making, Received};
use crate::base::id::{DocumentId, SpaceId, TaskId};
use crate::doc::assembly::{Assembled, Assembly, AssemblyError, Piece, claimed_version};
use crate::log::clock::VectorClock;
use crate::log::entry::Entry;
use crate::log::snapshot::{Snapshot, SnapshotPart};
use crate::log::version::Version;
use crate::sync::hello::Refusal;
use crate::sync::message::ErrorCode;
use crate::trust::owned::{is_owned, is_sealed};
use std::sync::Arc;

/// Whether changes in a space's documents may be made up by a relay in somebody's name.
fn is_made_up(space: &SpaceId) -> bool {
    is_owned(space) && !is_sealed(space)
}

impl Engine {
    /// Reads what is held of a document: its snapshot first, if it begins with one.
    pub(super) fn gather(&mut self, document: DocumentId) {
        let log = self.log(&document);
        let task = match log {
            Some(log) if log.snapshot().is_some() => {
                Some(self.read_snapshot(Work::GatherSnapshot { document }, document, 0, usize::MAX))
            }
            Some(log) if log.durable_end() > 0 => {
                Some(self.read(Work::GatherEntries { document }, document, VectorClock::new(), 0, usize::MAX))
            }
            _ => None,
        };
        match (task, self.snapshots.making.get_mut(&document)) {
            (Some(task), Some(making)) => making.task = Some(task),
            (None, Some(_)) => self.assemble(document),
            (_, None) => {}
        }
    }

    /// Begins anew with reading what could not be read of a document whose snapshot is being made.
    pub(super) fn gather_again(&mut self, document: DocumentId) {
        if let Some(Making { received, .. }) = self.snapshots.making.remove(&document) {
            self.snapshots.making.insert(document, Making { received, ..Making::default() });
            self.gather(document);
        }
    }

    pub(super) fn on_snapshot_gathered(&mut self, task: TaskId, document: DocumentId, part: Option<SnapshotPart>) {
        if self.snapshots.making.get(&document).is_none_or(|making| making.task != Some(task)) {
            return;
        }
        let next = self.read(Work::GatherEntries { document }, document, VectorClock::new(), 0, usize::MAX);
        let Some(making) = self.snapshots.making.get_mut(&document) else { return };
        making.snapshot = part.map(|part| part.bytes);
        making.task = Some(next);
    }

    pub(super) fn on_entries_gathered(&mut self, task: TaskId, document: DocumentId, entries: Vec<(u64, Arc<Entry>)>) {
        if self.snapshots.making.get(&document).is_none_or(|making| making.task != Some(task)) {
            return;
        }
        // Of a change that is in a snapshot alone this replica would not know the hash to vouch for.
        self.vouch_for_own_of(document, entries.iter().map(|(_, entry)| &**entry));
        let Some(making) = self.snapshots.making.get_mut(&document) else { return };
        making.entries = entries.into_iter().map(|(_, entry)| entry).collect();
        making.made_of = making.entries.iter().map(|entry| entry.payload.len() as u64).sum();
        self.assemble(document);
    }

    fn assemble(&mut self, document: DocumentId) {
        let Some(making) = self.snapshots.making.get_mut(&document) else { return };
        let received = making.received.clone();
        let (held, entries) = (making.snapshot.take(), std::mem::take(&mut making.entries));
        let space = received.as_ref().map(|received| received.space).or(self.locations.get(&document).copied());
        let Some(space) = space else { return };
        let mut snapshots = Vec::new();
        match held.map(|bytes| self.opened_snapshot(&space, &document, bytes)) {
            None => {}
            Some(Ok(Some(opened))) => snapshots.push(opened),
            Some(Ok(None)) => return self.give_up_making(document),
            Some(Err(error)) => return self.quarantine(document, &error.to_string()),
        }
        if let Some(received) = received {
            match self.inside_of(document, &received) {
                Some((bytes, inner)) => {
                    snapshots.push(bytes);
                    if let Some(making) = self.snapshots.making.get_mut(&document) {
                        making.inner = inner;
                    }
                }
                None => return self.give_up_making(document),
            }
        }
        let (changes, closed) = self.opened(&space, entries);
        if !closed.is_empty() {
            return self.give_up_making(document);
        }
        let Some(assembly) = self.assembly(document, snapshots, changes) else { return };
        // Of a document that is not held yet only the snapshot's sender has said where it belongs.
        let actor = self.actor_for(&space).unwrap_or(assembly.actor);
        let task = self.hand_out(Work::Assemble { document }, Assembly { save: true, actor, ..assembly });
        if let Some(making) = self.snapshots.making.get_mut(&document) {
            making.task = Some(task);
        }
    }

    /// What is in a peer's snapshot, and how far that goes; the peer is told where it is not what it says.
    fn inside_of(&mut self, document: DocumentId, received: &Received) -> Option<(Arc<[u8]>, Option<Version>)> {
        if !is_sealed(&received.space) {
            return Some((received.bytes.clone(), None));
        }
        let opened = self.opened_snapshot(&received.space, &document, received.bytes.clone());
        let reason = match opened {
            Ok(Some(opened)) => match claimed_version(&opened) {
                Ok(inner) if inner.clock == received.version.clock => return Some((opened, Some(inner))),
                Ok(_) => "it is not what it says openly".to_owned(),
                Err(reason) => reason,
            },
            Ok(None) => "its key is not here".to_owned(),
            Err(error) => error.to_string(),
        };
        self.on_bad_snapshot(document, received, &reason);
        None
    }

    fn on_bad_snapshot(&mut self, document: DocumentId, received: &Received, reason: &str) {
        let text = format!("the snapshot of document {document} that was sent is not sound: {reason}");
        self.trouble(TroubleKind::Forked, Some(document), Some(received.source), text.clone());
        self.tell_refused(received.source, received.space, document, ErrorCode::BadSnapshot, text);
    }

    /// Lets what waited go on: no snapshot is made of what was gathered.
    fn give_up_making(&mut self, document: DocumentId) {
        self.snapshots.making.remove(&document);
        self.on_adoption_over(document);
    }

    /// An assembly of a document as this replica goes on with it.
    pub(super) fn assembly(&self, document: DocumentId, snapshots: Vec<Arc<[u8]>>, entries: Vec<Arc<Entry>>) -> Option<Assembly> {
        let (actor, unit) = (self.actor_in(&document)?, self.config.text_unit);
        Some(Assembly { document, actor, unit, snapshots, entries, save: false, sought: Vec::new() })
    }

    pub(super) fn hand_out(&mut self, work: Work, assembly: Assembly) -> TaskId {
        self.last_task += 1;
        let task = TaskId(self.last_task);
        self.tasks.insert(task, work);
        self.effects.push_back(Effect::Assemble { task, assembly: Box::new(assembly) });
        task
    }

    pub(super) fn on_assembled(&mut self, task: TaskId, result: Result<Box<Assembled>, AssemblyError>) {
        match (self.tasks.remove(&task), result) {
            (Some(Work::Assemble { document }), result) => self.on_snapshot_made(task, document, result),
            (Some(Work::CutAssembly { document }), result) => self.on_cut_assembled(document, result),
            (Some(Work::Seek { document, search, sought }), Ok(assembled)) => {
                let found = self.found_in(&assembled, sought);
                self.on_found((document, search), found);
            }
            (Some(Work::Seek { document, .. }), Err(error)) => self.quarantine(document, &error.to_string()),
            (work, _) => debug_assert!(work.is_none(), "an assembly that nobody asked for"),
        }
    }

    fn on_snapshot_made(&mut self, task: TaskId, document: DocumentId, result: Result<Box<Assembled>, AssemblyError>) {
        if self.snapshots.making.get(&document).is_none_or(|making| making.task != Some(task)) {
            return;
        }
        let Some(Making { received, made_of, inner, .. }) = self.snapshots.making.remove(&document) else { return };
        let held = self.log(&document).is_some_and(|log| log.snapshot().is_some());
        match result {
            Ok(assembled) => {
                let Assembled { document: loaded, snapshot: Some(snapshot), .. } = *assembled else { return };
                let space = received.as_ref().map(|received| received.space).or(self.locations.get(&document).copied());
                let Some(space) = space else { return };
                if let Some(received) = received.as_ref().filter(|_| !self.is_as_attested(&space, &loaded)) {
                    if is_sealed(&space) {
                        self.on_bad_snapshot(document, received, "it is not what its writers vouch for");
                        return self.on_adoption_over(document);
                    }
                    let text = format!("the snapshot of document {document} that was sent is not what its writers vouch for");
                    self.refuse(received.source, Refusal { code: ErrorCode::BadAttestation, text });
                    return self.on_adoption_over(document);
                }
                if let Some((received, inner)) = received.as_ref().zip(inner)
                    && !self.is_as_claimed(&space, &loaded, &inner, &received.version)
                {
                    self.on_bad_snapshot(document, received, "it is not what it says openly");
                    return self.on_adoption_over(document);
                }
                let nonce = if is_sealed(&space) { self.rng.bytes() } else { [0; 24] };
                let snapshot = match received.as_ref().filter(|_| is_sealed(&space)) {
                    // It stays its maker's where there was nothing to add.
                    Some(received) if received.version == self.version_of(&space, &loaded) => {
                        Some(Snapshot { version: received.version.clone(), bytes: received.bytes.clone() })
                    }
                    _ => self.snapshot_of(&space, &loaded, snapshot.bytes.to_vec(), nonce),
                };
                let Some(snapshot) = snapshot else { return self.take_as_it_is(document, received, Box::new(loaded)) };
                // A relay has nobody to show it to.
                let loaded = (received.is_some() && !self.is_relay()).then(|| Box::new(loaded));
                let finished = Finished { document, space, snapshot, received, made_of, loaded, is_void: false };
                self.snapshots.finished.push_back(finished);
            }
            Err(AssemblyError { piece, reason, .. })
                if piece == Piece::Unknown || received.is_some() && piece == Piece::Snapshot(usize::from(held)) =>
            {
                // What ends in a panic is never held against the document that is here.
                if let Some(received) = received.as_ref().filter(|received| is_sealed(&received.space)) {
                    // Whoever passed it on could not tell.
                    self.on_bad_snapshot(document, received, &reason);
                } else if let Some(received) = received.filter(|of| !self.give_way_to_snapshot(of.space, document, None)) {
                    let text = format!("the snapshot of document {document} that was sent is not sound: {reason}");
                    self.refuse(received.source, Refusal { code: ErrorCode::BadEntry, text });
                }
                self.on_adoption_over(document);
            }
            // What a snapshot does not go together with may be what somebody made up, here or there; who is held to be right is said by their words.
            Err(error) if error.piece == Piece::Entries && received.as_ref().is_some_and(|of| is_made_up(&of.space)) => {
                let Some(received) = received else { return };
                if !self.give_way_to_snapshot(received.space, document, error.rival) {
                    let text = format!(
                        "the snapshot of document {document} that was sent does not go together with what is held: {error}"
                    );
                    self.trouble(TroubleKind::Forked, Some(document), Some(received.source), text.clone());
                    self.tell_refused(received.source, received.space, document, ErrorCode::BadSnapshot, text);
                }
                self.on_adoption_over(document);
            }
            Err(error) => self.quarantine(document, &error.to_string()),
        }
    }
}
