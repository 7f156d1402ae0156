//! What must hold, watched from outside: the oracle sees each effect and each storage task, and believes no engine.
//!
//! | | |
//! |---|---|
//! | S1 | replicas with the same changes are equal, and equal to what automerge alone makes of the changes |
//! | S2 | what was said to be saved is saved, here and there, and survives any crash after |
//! | S3 | every change in a document is one the workload made, once |
//! | S4 | no log holds an entry before what it depends on, nor a gap in an actor's line |
//! | S8 | what a store refused is not there after a crash |
//! | S9 | who says that it is in sync with another holds what that one had saved when it was asked |
//! | S10 | nobody is said to have lost what it had saved whose disk lost nothing, nor to hold back what its disk lets it read |
//! | S11 | nothing stands in the end that someone who was shut out wrote behind the cut, and nobody who knows of it sends them anything |
//! | S12 | nothing that a relay of a sealed space holds, is sent or sends shows a token, and who was shut out opens nothing that was sealed after |
//! | S5 | a text is a row of whole tokens: those inserted and not deleted |

mod agreement;

use super::cheat::{Highest, raise};
use super::disk::{Carried, Logs, expand, hashes};
use super::forgery::Forgery;
use super::replica::Replica;
use super::sealed::Keys;
use super::workload::{Intent, number_of};
use driftline_core::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId, PeerId, ViewId};
use driftline_core::engine::Engine;
use driftline_core::engine::config::Role;
use driftline_core::engine::effect::{Event, Saved, TroubleKind};
use driftline_core::log::entry::Entry;
use driftline_core::store::task::{StoreDone, StoreTask};
use driftline_core::trust::owned::is_actor_of;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An edit of the workload's.
#[derive(Clone, Debug)]
pub struct EditRecord {
    /// Who made it.
    pub replica: usize,
    /// In which document.
    pub document: DocumentId,
    /// What it was to do.
    pub intent: Intent,
}

/// A change as automerge reads it.
#[derive(Clone, Debug)]
pub struct Known {
    /// The document it was found in.
    pub document: DocumentId,
    /// Whose it is.
    pub actor: ActorId,
    /// Which of theirs.
    pub seq: u64,
    /// The edit that made it.
    pub number: u64,
    /// Its bytes.
    pub payload: Arc<[u8]>,
}

/// What one replica has said and shown.
#[derive(Clone, Debug, Default)]
struct Witness {
    /// What its disk holds.
    held: BTreeMap<DocumentId, Held>,
    /// What its disk held when its process started.
    at_start: BTreeMap<DocumentId, BTreeSet<ChangeHash>>,
    /// What its disk has ever held.
    ever: BTreeMap<DocumentId, BTreeSet<ChangeHash>>,
    /// The heads it last told.
    heads: BTreeMap<DocumentId, Vec<ChangeHash>>,
    /// Edits told to the engine, whose event has not come.
    told: BTreeMap<DocumentId, BTreeSet<u64>>,
    /// Edits it has said are in the document.
    made: BTreeMap<DocumentId, BTreeSet<u64>>,
    /// What it said is saved on this device.
    saved_heads: BTreeMap<DocumentId, BTreeSet<ChangeHash>>,
    saved_edits: BTreeSet<u64>,
    /// Edits of its mirrors, by view and number.
    of_views: BTreeMap<(ViewId, u64), u64>,
    /// What its store said it did not take, and was not asked to take again.
    refused: BTreeSet<ChangeHash>,
    /// Whether its process was told that the disk refused the last append.
    refusing: bool,
    /// Whether its disk was tampered with, so that it may have lost anything.
    tampered: bool,
    /// What the disks of others held when its process asked to sync with them, by the connection.
    asked: BTreeMap<ConnectionId, BTreeMap<DocumentId, BTreeMap<ActorId, u64>>>,
}

/// A log as the oracle sees it.
#[derive(Clone, Debug, Default)]
struct Held {
    hashes: BTreeSet<ChangeHash>,
    clock: BTreeMap<ActorId, u64>,
    end: u64,
}

/// Someone who was shut out.
#[derive(Clone, Debug)]
struct ShutOut {
    replica: usize,
    key: PeerId,
    /// The last that is accepted of them.
    cuts: BTreeMap<DocumentId, Highest>,
}

/// The oracle of one life.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Every edit, by its number.
    pub edits: BTreeMap<u64, EditRecord>,
    /// Every change seen in any log.
    pub changes: BTreeMap<ChangeHash, Known>,
    /// The change each edit became.
    pub made: BTreeMap<u64, ChangeHash>,
    /// Changes that a disk refused when they were first to be written: they leave for peers all the same, and where the process dies
    /// before the disk takes them, nobody can tell the next one.
    refused_once: BTreeSet<ChangeHash>,
    /// Edits of which the same is true, because they were made or waited while their replica's disk refused writes.
    unwritable: BTreeSet<u64>,
    /// Edits that became two changes, where nothing else can be: because of that, or because a disk lost the first.
    pub doubled: BTreeSet<u64>,
    /// Whether a disk may be unable to take back what it could not write whole.
    pub refusals_may_stay: bool,
    witnesses: Vec<Witness>,
    is_relay: Vec<bool>,
    /// Whether some disk was tampered with, so that a change may be made twice and lost for good.
    pub tampered: bool,
    /// Whether the relay has cheated: what it says it has saved need not be so, and whoever tells of it is right.
    pub cheated: bool,
    /// What the relay made up in a member's name.
    pub forged: Option<Forgery>,
    /// Whether someone was shut out, or what they were granted ends, or something was made up: then documents are cut back.
    pub ended: bool,
    shut_out: Option<ShutOut>,
    /// Edits that were made again without what they were built on, because that was by someone who was shut out.
    pub remade: BTreeSet<u64>,
    /// The keys of the space, if it is sealed.
    pub keys: Option<Keys>,
    /// The name under which each change is in logs, where that is not its hash.
    names: BTreeMap<ChangeHash, ChangeHash>,
    /// What stands sealed in logs.
    pub sealed: Vec<(DocumentId, Arc<[u8]>)>,
    /// How many statements there were when someone was shut out.
    pub statements_before: usize,
    /// Whether some disk could not be read for a while: what is vouched for was late then.
    unread: bool,
}

impl Oracle {
    /// An oracle that watches these.
    pub fn new(replicas: &[Replica]) -> Self {
        Self {
            witnesses: vec![Witness::default(); replicas.len()],
            is_relay: replicas.iter().map(|replica| replica.role == Role::Relay).collect(),
            ..Self::default()
        }
    }

    /// An edit was told to an engine (or to the mirror `view`, whose edit `number_in_view` it is).
    pub fn on_edit(&mut self, number: u64, record: EditRecord, view: Option<(ViewId, u64)>) {
        let witness = &mut self.witnesses[record.replica];
        if witness.refusing {
            self.unwritable.insert(number);
        }
        match view {
            Some(key) => _ = witness.of_views.insert(key, number),
            None => _ = witness.told.entry(record.document).or_default().insert(number),
        }
        self.edits.insert(number, record);
    }

    /// An engine refused an edit.
    pub fn on_edit_refused(&mut self, replica: usize, document: DocumentId, number: u64) {
        if let Some(told) = self.witnesses[replica].told.get_mut(&document) {
            told.remove(&number);
        }
    }

    /// A mirror makes an edit again, with another engine.
    pub fn on_edit_again(&mut self, replica: usize, number: u64, view: (ViewId, u64)) {
        self.witnesses[replica].of_views.insert(view, number);
        if self.witnesses[replica].refusing {
            self.unwritable.insert(number);
        }
    }

    /// An engine said something.
    pub fn on_event(&mut self, replica: usize, event: &Event) {
        let witness = &mut self.witnesses[replica];
        match event {
            Event::DocumentOpened { document, heads } => _ = witness.heads.insert(*document, heads.clone()),
            Event::DocumentChanged { document, heads, local, .. } => {
                witness.heads.insert(*document, heads.clone());
                if *local {
                    let told = witness.told.remove(document).unwrap_or_default();
                    witness.made.entry(*document).or_default().extend(told);
                }
            }
            Event::DocumentEdited { document, number, hash } => {
                let told = witness.told.get_mut(document).is_some_and(|told| told.remove(number));
                if told && hash.is_some() {
                    witness.made.entry(*document).or_default().insert(*number);
                }
            }
            // What was refused, an answer covers too.
            Event::EditRefused { view: Some(view), number, .. } => _ = witness.of_views.remove(&(*view, *number)),
            Event::ViewUpdated(update) => {
                for ((view, at), number) in &witness.of_views {
                    if *view == update.view && *at <= update.covers {
                        witness.made.entry(update.document).or_default().insert(*number);
                    }
                }
                witness.of_views.retain(|(view, at), _| *view != update.view || *at > update.covers);
            }
            Event::Saved(saved) => self.on_saved(replica, saved),
            Event::Trouble(trouble) if trouble.kind == TroubleKind::StoreRead => self.unread = true,
            Event::Trouble(trouble) if matches!(trouble.kind, TroubleKind::WentBack | TroubleKind::HeldBack) => {
                let is_excused = self.unread && trouble.kind == TroubleKind::HeldBack;
                assert!(
                    self.tampered || self.cheated || is_excused,
                    "S10: replica {replica} accuses someone whose disk is sound: {}",
                    trouble.message
                );
            }
            _ => {}
        }
    }

    fn on_saved(&mut self, replica: usize, saved: &Saved) {
        let document = saved.document;
        let heads = self.witnesses[replica].heads.get(&document).cloned().unwrap_or_default();
        if saved.device {
            let witness = &mut self.witnesses[replica];
            let held = witness.held.get(&document).map(|held| &held.hashes);
            let heads: Vec<ChangeHash> = heads.iter().map(|head| self.names.get(head).copied().unwrap_or(*head)).collect();
            for head in &heads {
                assert!(
                    held.is_some_and(|held| held.contains(head)),
                    "S2: replica {replica} says {document} is saved on this device, but {head} is not on its disk"
                );
            }
            witness.saved_heads.entry(document).or_default().extend(&heads);
            witness.saved_edits.extend(witness.made.get(&document).into_iter().flatten());
        }
        self.judge_replicas(replica, saved);
    }

    /// Others are said to hold durably what this replica has written, or held at its start.
    fn judge_replicas(&self, replica: usize, saved: &Saved) {
        // What a relay says that cheats, nobody can know better before it is shown; and of who was shut out not all is held by others.
        if self.cheated || self.ended {
            return;
        }
        let document = saved.document;
        let witness = &self.witnesses[replica];
        let mut wanted = witness.at_start.get(&document).cloned().unwrap_or_default();
        let mut unknown = 0;
        for number in witness.made.get(&document).into_iter().flatten() {
            match self.made.get(number) {
                Some(_) if self.doubled.contains(number) => {}
                Some(hash) => _ = wanted.insert(*hash),
                // It was made and is in no log anywhere.
                None => unknown += 1,
            }
        }
        if wanted.is_empty() && unknown == 0 {
            let all_relays = self.is_relay.iter().filter(|relay| **relay).count();
            let within = saved.replicas < self.witnesses.len() && saved.relays <= all_relays;
            assert!(within || self.tampered, "S2: replica {replica} counts someone twice: {saved:?}");
            return;
        }
        let holders: Vec<usize> = (0..self.witnesses.len())
            .filter(|other| *other != replica && unknown == 0)
            .filter(|other| self.witnesses[*other].ever.get(&document).is_some_and(|ever| wanted.is_subset(ever)))
            .collect();
        let relays = holders.iter().filter(|holder| self.is_relay[**holder]).count();
        // A replica that lost its key with its disk counts under both its names.
        assert!(
            self.tampered || saved.replicas <= holders.len() && saved.relays <= relays,
            "S2: replica {replica} says {saved:?}, but only the disks of {holders:?} hold all of it ({relays} relays)"
        );
    }

    /// A replica asks to sync with another over a connection that it dialled.
    pub fn on_subscribe(&mut self, replica: usize, connection: ConnectionId, other: usize) {
        let holds = self.witnesses[other].held.iter().map(|(document, held)| (*document, held.clock.clone())).collect();
        self.witnesses[replica].asked.insert(connection, holds);
    }

    /// A replica says with how many it is in sync: of those that it asked, each that is counted has given all that its disk held when it was
    /// asked. `others` are connected and were not asked.
    pub fn on_in_sync(&self, replica: usize, (engine, connections, others): (&Engine, &[ConnectionId], usize), in_sync: usize) {
        let asked = &self.witnesses[replica].asked;
        let has_come = |connection: &&ConnectionId| {
            // In an owned space the one that was dialled may be the first that is let ask.
            asked.get(connection).is_none_or(|holds| {
                holds.iter().all(|(document, clock)| {
                    let here = engine.log(document).map(|log| &log.version().clock);
                    clock.iter().all(|(actor, seq)| here.is_some_and(|here| here.covers(actor, *seq)))
                })
            })
        };
        let may_be = connections.iter().filter(has_come).count() + others;
        assert!(
            self.tampered || self.cheated || self.ended || in_sync <= may_be,
            "S9: replica {replica} says that it is in sync with {in_sync}, but only {may_be} have sent what they held when they were asked"
        );
    }

    /// A storage task was carried out on a replica's disk, whether or not anyone lived to hear of it.
    pub fn on_carried(&mut self, replica: usize, carried: &Carried) {
        match (&carried.work, &carried.result) {
            (StoreTask::Append { entries, .. } | StoreTask::Renew { entries, .. }, Err(_)) => {
                let hashes = || entries.iter().map(|stored| stored.entry.hash);
                self.witnesses[replica].refused.extend(hashes());
                self.refused_once.extend(hashes());
                self.witnesses[replica].refusing = true;
                let waiting = |(number, edit): (&u64, &EditRecord)| {
                    (edit.replica == replica && !self.made.contains_key(number)).then_some(*number)
                };
                self.unwritable.extend(self.edits.iter().filter_map(waiting));
            }
            (work @ (StoreTask::Append { entries, .. } | StoreTask::Renew { entries, .. }), Ok(StoreDone::Appended)) => {
                self.witnesses[replica].refusing = false;
                if let StoreTask::Renew { document, .. } = work {
                    self.on_set_aside(replica, document);
                }
                for stored in entries {
                    self.witnesses[replica].refused.remove(&stored.entry.hash);
                    self.on_entry(replica, stored.position, &stored.entry);
                }
            }
            (StoreTask::PutSnapshot { document, snapshot, .. }, Ok(StoreDone::SnapshotPut)) => {
                let entries = expand(*document, &snapshot.bytes, self.keys.as_ref());
                self.on_snapshot(replica, *document, &entries);
            }
            (StoreTask::Quarantine { document }, Ok(StoreDone::Quarantined)) => {
                self.on_set_aside(replica, document);
            }
            _ => {}
        }
    }

    fn on_set_aside(&mut self, replica: usize, document: &DocumentId) {
        // What a relay that cheats altered on its way goes again, when the word for it comes.
        assert!(self.tampered || self.ended || self.cheated, "a document was set aside though no disk was tampered with");
        self.witnesses[replica].held.remove(document);
        if self.ended || self.cheated {
            self.witnesses[replica].saved_heads.remove(document);
        }
    }

    /// A log begins with a snapshot: it holds what it held, and what the snapshot stands for.
    fn on_snapshot(&mut self, replica: usize, document: DocumentId, entries: &[Arc<Entry>]) {
        entries.iter().for_each(|entry| self.on_change(entry));
        let forged = self.forged.filter(|forged| forged.disavowed.is_none()).map(|forged| forged.hash);
        let forged = forged.filter(|forged| entries.iter().all(|entry| entry.hash != *forged));
        let witness = &mut self.witnesses[replica];
        let held = witness.held.entry(document).or_default();
        // What was made up gives way to a snapshot that has another change in its place, and stands for all that is held.
        held.hashes.retain(|hash| Some(*hash) != forged);
        for entry in entries {
            let whole = entry.deps.iter().all(|dep| entries.iter().any(|known| known.hash == *dep));
            assert!(whole, "S4: replica {replica} keeps a snapshot of {document} that lacks what {} depends on", entry.hash);
            let seq = held.clock.entry(entry.actor).or_default();
            *seq = entry.seq.max(*seq);
            held.hashes.insert(entry.hash);
            witness.refused.remove(&entry.hash);
            witness.ever.entry(document).or_default().insert(entry.hash);
        }
        held.end = held.clock.values().sum();
        assert_eq!(held.end, held.hashes.len() as u64, "S4: replica {replica} has a gap in an actor's line of {document}");
    }

    fn on_entry(&mut self, replica: usize, position: u64, entry: &Arc<Entry>) {
        self.on_change(entry);
        // What a relay that cheats has altered of a sealed entry names what there never was; a relay cannot tell that from what a snapshot stands for.
        let is_broken = self.is_broken(entry);
        let witness = &mut self.witnesses[replica];
        let held = witness.held.entry(entry.document).or_default();
        for dep in entry.deps.iter().filter(|_| !is_broken) {
            assert!(held.hashes.contains(dep), "S4: replica {replica} logs {} before {dep}, which it depends on", entry.hash);
        }
        let seq = held.clock.entry(entry.actor).or_default();
        assert_eq!(entry.seq, *seq + 1, "S4: replica {replica} logs a gap in the line of {}", entry.actor);
        assert_eq!(position, held.end + 1, "S4: replica {replica} numbers its log with a gap");
        *seq = entry.seq;
        held.end = position;
        held.hashes.insert(entry.hash);
        witness.ever.entry(entry.document).or_default().insert(entry.hash);
    }

    /// A change is in some log: automerge must read it as the entry says, and the workload must have made it (S3).
    fn on_change(&mut self, entry: &Entry) {
        if self.forged.is_some_and(|forged| forged.hash == entry.hash) {
            return;
        }
        if let Some(known) = self.changes.get(&entry.hash) {
            assert_eq!(known.document, entry.document, "S3: {} is in two documents", entry.hash);
            return;
        }
        if self.is_broken(entry) {
            return;
        }
        let clear =
            self.keys.as_ref().map_or_else(|| Arc::clone(&entry.payload), |keys| keys.clear(&entry.document, &entry.payload));
        let change = automerge::Change::from_bytes(clear.to_vec())
            .unwrap_or_else(|error| panic!("S3: a log holds what is no change: {error}"));
        let hash = ChangeHash(change.hash().0);
        let name = match &self.keys {
            None => hash,
            Some(keys) => keys.name(&entry.document, &entry.actor, &hash).expect("the owner has every key"),
        };
        assert_eq!(name, entry.hash, "S3: an entry's hash is not its change's");
        if self.keys.is_some() {
            self.names.insert(hash, name);
            if entry.payload != clear {
                self.sealed.push((entry.document, Arc::clone(&entry.payload)));
            }
        }
        assert_eq!(change.actor_id().to_bytes(), entry.actor.as_bytes(), "S3: an entry's actor is not its change's");
        assert_eq!(change.seq(), entry.seq, "S3: an entry's number is not its change's");
        let named = |dep: &automerge::ChangeHash| self.names.get(&ChangeHash(dep.0)).map_or(dep.0, |name| name.0);
        let deps: BTreeSet<_> = change.deps().iter().map(named).collect();
        assert_eq!(deps, entry.deps.iter().map(|dep| dep.0).collect(), "S3: an entry's dependencies are not its change's");
        let message = change.message().unwrap_or_default();
        let number = number_of(message).unwrap_or_else(|| panic!("S3: nobody made change {} {message:?}", entry.hash));
        let edit = self.edits.get(&number).unwrap_or_else(|| panic!("S3: edit {number} was never made"));
        assert_eq!(edit.document, entry.document, "S3: edit {number} was made in another document");
        match self.made.get(&number) {
            None => _ = self.made.insert(number, entry.hash),
            Some(other) => {
                if self.ended {
                    self.remade.insert(number);
                }
                let was_refused = self.refused_once.contains(other) || self.refused_once.contains(&entry.hash);
                let excused = self.tampered || was_refused || self.unwritable.contains(&number);
                assert!(excused || self.ended, "S3: edit {number} became two changes, {other} and {}", entry.hash);
                if excused {
                    self.doubled.insert(number);
                }
            }
        }
        let (document, actor, seq) = (entry.document, entry.actor, entry.seq);
        self.changes.insert(entry.hash, Known { document, actor, seq, number, payload: clear });
    }

    /// A process died, while its disk was to carry out `tasks`.
    pub fn on_death<'a>(&mut self, replica: usize, tasks: impl Iterator<Item = &'a StoreTask>) {
        let witness = &mut self.witnesses[replica];
        for task in tasks {
            match task {
                StoreTask::Append { entries, .. } => {
                    entries.iter().for_each(|stored| _ = witness.refused.remove(&stored.entry.hash));
                }
                StoreTask::Renew { document, entries, .. } => {
                    entries.iter().for_each(|stored| _ = witness.refused.remove(&stored.entry.hash));
                    witness.saved_heads.remove(document);
                }
                // It may be carried out, and nobody lives to hear of it.
                StoreTask::Quarantine { document } if self.ended || self.cheated => _ = witness.saved_heads.remove(document),
                _ => {}
            }
        }
        witness.refusing = false;
        witness.heads.clear();
        witness.told.clear();
        witness.made.clear();
        witness.of_views.clear();
    }

    /// A disk was tampered with: what it alone held may be gone.
    pub fn on_tampered(&mut self, replica: usize) {
        self.tampered = true;
        let witness = &mut self.witnesses[replica];
        witness.tampered = true;
        witness.saved_heads.clear();
        witness.saved_edits.clear();
    }

    /// A relay that cheats was put back to an earlier state of its disk.
    pub fn on_set_back(&mut self, replica: usize) {
        let tampered = self.tampered;
        self.on_tampered(replica);
        (self.tampered, self.cheated) = (tampered, true);
    }

    /// A relay made up a change in a member's name.
    pub fn on_forged(&mut self, forged: Forgery) {
        self.forged = Some(forged);
        self.ended = true;
    }

    /// Someone is shut out: of what they wrote this much is accepted.
    pub fn on_shut_out(&mut self, replica: usize, key: PeerId, cuts: BTreeMap<DocumentId, Highest>) {
        self.ended = true;
        self.shut_out = Some(ShutOut { replica, key, cuts });
        self.statements_before = self.keys.as_ref().map_or(0, Keys::count);
    }

    /// The key of who was shut out.
    pub fn key_of_loser(&self) -> Option<PeerId> {
        self.shut_out.as_ref().map(|shut_out| shut_out.key)
    }

    /// The highest numbers of a document's actors that are in any log.
    pub fn known_clock(&self, document: &DocumentId) -> Highest {
        let mut highest = BTreeMap::new();
        for known in self.changes.values().filter(|known| known.document == *document) {
            raise(&mut highest, known.document, known.actor, known.seq);
        }
        highest.remove(document).unwrap_or_default()
    }

    /// What stands of a document in the end is all that everyone but who was shut out has saved, and of theirs what is accepted (S11).
    pub fn judge_shut_out(&self, document: &DocumentId, held: &BTreeSet<ChangeHash>) {
        let Some(ShutOut { replica: loser, key, cuts }) = &self.shut_out else { return };
        for known in held.iter().filter_map(|hash| self.changes.get(hash)).filter(|known| is_actor_of(&known.actor, key)) {
            let last = cuts.get(document).and_then(|cut| cut.get(&known.actor)).copied().unwrap_or(0);
            assert!(
                known.seq <= last,
                "S11: change {} of who was shut out stands in {document}, and {last} are accepted",
                known.seq
            );
        }
        for number in self.saved_edits() {
            let edit = &self.edits[&number];
            if edit.document == *document && edit.replica != *loser && edit.intent.adds() {
                let stands = held.iter().any(|hash| self.changes[hash].number == number);
                assert!(stands, "S11: edit {number} of replica {}, who was not shut out, is gone", edit.replica);
            }
        }
    }

    /// A process is about to start on a disk that holds `logs`: all that was said to be saved must be there (S2).
    pub fn on_recovered(&mut self, replica: usize, logs: &Logs) {
        for log in logs.values() {
            for (_, entry) in log {
                self.on_change(entry);
            }
        }
        let broken = self.broken_in(logs);
        let witness = &mut self.witnesses[replica];
        for (document, saved) in &witness.saved_heads {
            let held = logs.get(document).map(|log| hashes(log)).unwrap_or_default();
            let lost: Vec<_> = saved.difference(&held).collect();
            assert!(
                lost.is_empty(),
                "S2: replica {replica} said these changes of {document} were saved, and a crash took them: {lost:?}"
            );
        }
        for number in &witness.saved_edits {
            let log = logs.get(&self.edits[number].document);
            if self.ended && !self.edits[number].intent.adds() {
                continue;
            }
            let made_it = |hash: &ChangeHash| self.changes.get(hash).is_some_and(|known| known.number == *number);
            let there = log.is_some_and(|log| log.iter().any(|(_, entry)| made_it(&entry.hash)));
            assert!(there, "S2: replica {replica} said edit {number} was saved, and a crash took it");
        }
        let refused = std::mem::take(&mut witness.refused);
        for (_, entry) in logs.values().flatten() {
            let excused = self.refusals_may_stay || witness.tampered;
            assert!(
                excused || !refused.contains(&entry.hash),
                "S8: replica {replica}'s store refused {} and kept it",
                entry.hash
            );
        }
        witness.held.clear();
        witness.asked.clear();
        witness.at_start = logs.iter().map(|(document, log)| (*document, hashes(log))).collect();
        for (document, log) in logs {
            let mut held = Held::default();
            for (position, entry) in log {
                assert_eq!(*position, held.end + 1, "S4: the log of {document} has a gap after a crash");
                let is_grounded = entry.deps.iter().all(|dep| held.hashes.contains(dep));
                assert!(
                    is_grounded || broken.contains(&entry.hash),
                    "S4: the log of {document} lacks a dependency after a crash"
                );
                held.end = *position;
                held.clock.insert(entry.actor, entry.seq);
                held.hashes.insert(entry.hash);
            }
            witness.ever.entry(*document).or_default().extend(&held.hashes);
            witness.held.insert(*document, held);
        }
    }

    /// Every edit that some replica said was saved and that no tampering excuses.
    pub fn saved_edits(&self) -> BTreeSet<u64> {
        self.witnesses.iter().flat_map(|witness| witness.saved_edits.iter().copied()).collect()
    }
}
