//! Changes that are not what their writer vouches for: they go again.
//!
//! A relay brings changes before their writers have vouched for them, and could make some up in a member's name. The member's next word for that
//! actor shows it. It is for another change than the one that is held under its number; or it is for a later one, which does not fit on what is held. Then what
//! is held of the actor from that change on is set aside, with what others built on it, and everyone is asked for it anew ([`super::cuts`]). What comes
//! before it stays: it may be true, and what this replica built on it, and others hold, would stand twice if it were made again. Nothing is lost by that: whoever passes a word on holds what it is for, and what others built on true changes
//! waits here until these are back.
//!
//! Where something does not fit because of what is missing, and a word has come for more than that, the peers are told of no more than is known to be vouched for.
//! So they send the rest again, and it shows whether the same is held.
//!
//! A word that comes is compared with the change that it is for, in memory, among the entries in the store, or in the snapshot. Until that is done the words
//! before it go on counting, and it does not.

use super::cuts::NOBODY;
use super::words::Word;
use crate::base::id::{ActorId, ChangeHash, ConnectionId, DocumentId, SpaceId};
use crate::base::limits::PARKED_ENTRIES_MAX;
use crate::engine::Engine;
use crate::engine::effect::TroubleKind;
use crate::engine::logs::Work;
use crate::log::entry::Entry;
use crate::log::log::{Admission, Log};
use crate::log::version::Version;
use crate::trust::attestation::AttestationError;
use crate::trust::owned::{is_actor_of, is_sealed};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Actors of documents of which more is vouched for than fits on what is held.
const SUSPECTED_MAX: usize = 1_024;

/// What words say against what is held.
#[derive(Debug, Default)]
pub(in crate::engine) struct Doubts {
    held: BTreeMap<(DocumentId, ActorId), Doubt>,
    /// What others built on what was set aside: it may be true, and is taken again when what it depends on is there.
    waiting: BTreeMap<DocumentId, Vec<Arc<Entry>>>,
    /// Actors of whose changes others may hold other ones, beyond the last that is known to be vouched for.
    suspected: BTreeMap<(DocumentId, ActorId), u64>,
    /// Documents whose snapshots hold changes of this replica's own that it has not vouched for.
    own: BTreeSet<DocumentId>,
}

/// That a word may be for another change than is held, or a peer have another.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// The last of the actor's changes of which it is known that its writer vouches for it.
    last: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The change is being looked for among the entries in the store.
    Entries(Elsewhere),
    /// It is being looked for in the snapshot.
    Snapshot(Elsewhere),
    /// What is held is another; what comes after this one goes.
    Refuted(u64),
}

/// What a change is elsewhere: its number, and its name there.
type Elsewhere = (u64, ChangeHash);

impl Doubt {
    fn is_refuted(&self) -> bool {
        matches!(self.stage, Stage::Refuted(_))
    }

    /// The change that is being looked for.
    fn sought(&self) -> Option<Elsewhere> {
        match self.stage {
            Stage::Entries(elsewhere) | Stage::Snapshot(elsewhere) => Some(elsewhere),
            Stage::Refuted(_) => None,
        }
    }
}

/// What is noted of each actor of a document.
fn of_document<'a, T>(
    noted: &'a BTreeMap<(DocumentId, ActorId), T>,
    document: &DocumentId,
) -> impl Iterator<Item = (ActorId, &'a T)> {
    let document = *document;
    let from = ActorId::new(&[]).expect("nothing is few enough");
    noted.range((document, from)..).take_while(move |((of, _), _)| *of == document).map(|((_, actor), noted)| (*actor, noted))
}

impl Doubts {
    /// Up to which of an actor's changes words count now.
    pub(in crate::engine) fn bound(&self, document: &DocumentId, actor: &ActorId) -> u64 {
        self.held.get(&(*document, *actor)).map_or(u64::MAX, |doubt| doubt.last)
    }

    /// Up to which of its changes what a document holds of an actor stays, where it is known that what comes later is not what it vouches for.
    pub(in crate::engine) fn refuted(&self, document: &DocumentId) -> BTreeMap<ActorId, u64> {
        let stays = |doubt: &Doubt| if let Stage::Refuted(stays) = doubt.stage { Some(stays) } else { None };
        of_document(&self.held, document).filter_map(|(actor, doubt)| Some((actor, stays(doubt)?))).collect()
    }

    /// Whether a change has to be looked for in a document's snapshot.
    pub(in crate::engine) fn looks_into(&self, document: &DocumentId) -> bool {
        self.own.contains(document)
            || of_document(&self.held, document).any(|(_, doubt)| matches!(doubt.stage, Stage::Snapshot(_)))
    }

    /// Forgets what was doubted of a document: its log is begun anew.
    pub(in crate::engine) fn forget(&mut self, document: &DocumentId) {
        self.held.retain(|(of, _), _| of != document);
        self.suspected.retain(|(of, _), _| of != document);
        self.own.remove(document);
    }

    /// How much of a document peers are told that is held, where this much is.
    pub(in crate::engine) fn told(&self, document: &DocumentId, mut version: Version) -> Version {
        for (actor, last) in of_document(&self.suspected, document) {
            version.clock.lower(&actor, *last);
        }
        version
    }

    /// Forgets what was refuted of a document, and is not held any more.
    pub(in crate::engine) fn forget_refuted(&mut self, document: &DocumentId) {
        self.held.retain(|(of, _), doubt| of != document || !doubt.is_refuted());
    }

    /// Has what others built on what was set aside wait, as much of it as may.
    pub(in crate::engine) fn keep_waiting(&mut self, document: DocumentId, mut entries: Vec<Arc<Entry>>) {
        let waiting: usize = self.waiting.values().map(Vec::len).sum();
        entries.truncate(PARKED_ENTRIES_MAX.saturating_sub(waiting));
        if !entries.is_empty() {
            self.waiting.entry(document).or_default().extend(entries);
        }
    }
}

impl Engine {
    /// Notes, before a word is kept, whether it counts at once: it is for what is held, or that comes later; or it has to be compared with that first.
    pub(super) fn compare_with_word(
        &mut self,
        (space, document, actor): (SpaceId, DocumentId, ActorId),
        (seq, hash): (u64, ChangeHash),
    ) {
        if !self.log(&document).is_some_and(|log| log.version().clock.covers(&actor, seq)) {
            return;
        }
        match self.change_held(&document, &actor, seq) {
            Some(held) if held == hash => {}
            Some(_) => self.refute(space, document, (actor, seq)),
            None => self.look_for(space, document, (actor, seq), hash),
        }
    }

    /// Looks for a change on the disk, to compare it with what it is elsewhere.
    fn look_for(&mut self, space: SpaceId, document: DocumentId, (actor, seq): (ActorId, u64), hash: ChangeHash) {
        let before = self.doubts.held.get(&(document, actor)).copied();
        let last = before.map_or_else(|| self.counting(&document, &actor), |doubt| doubt.last);
        if before.is_none_or(|doubt| !doubt.is_refuted()) {
            self.doubts.held.insert((document, actor), Doubt { last, stage: Stage::Entries((seq, hash)) });
            self.look_among_entries(space, document, actor, seq);
        }
    }

    fn look_among_entries(&mut self, space: SpaceId, document: DocumentId, actor: ActorId, seq: u64) {
        let clock = self.log(&document).map(|log| log.version().clock.clone()).unwrap_or_default();
        self.read_change(Work::Compare { space, document, actor, seq }, document, clock, (actor, seq));
    }

    /// For which of an actor's changes the word is that counts, 0 for none.
    fn counting(&self, document: &DocumentId, actor: &ActorId) -> u64 {
        self.attests.words.counting(document, actor).map_or(0, |word| word.attestation.seq)
    }

    /// The change of an actor's under a number, where it is among the newest.
    fn change_held(&self, document: &DocumentId, actor: &ActorId, seq: u64) -> Option<ChangeHash> {
        let log = self.log(document)?;
        log.tail_until(log.end()).find(|entry| entry.actor == *actor && entry.seq == seq).map(|entry| entry.hash)
    }

    /// Compares a change that the store was asked for with its writer's word. What only a snapshot holds is looked for in that.
    pub(in crate::engine) fn on_to_compare(
        &mut self,
        space: SpaceId,
        document: DocumentId,
        of: (ActorId, u64),
        read: Option<&Arc<Entry>>,
    ) {
        let (actor, seq) = of;
        let Some(doubt) = self.doubts.held.get_mut(&(document, actor)) else { return };
        let Stage::Entries(elsewhere) = doubt.stage else { return };
        match read.filter(|entry| (entry.actor, entry.seq) == of) {
            Some(entry) => self.on_compared(space, document, of, Some(entry.hash)),
            // Of what is sealed nothing can be made up but by a member; and a relay could not look into it.
            None if is_sealed(&space) => self.on_compared(space, document, of, None),
            None if elsewhere.0 == seq => {
                doubt.stage = Stage::Snapshot(elsewhere);
                self.cut_back_one(space, document);
            }
            None => {}
        }
    }

    /// Compares what was found under a number with what it is elsewhere. Where nothing was found, a word for it counts: it was compared when the snapshot was taken in.
    fn on_compared(&mut self, space: SpaceId, document: DocumentId, (actor, seq): (ActorId, u64), found: Option<ChangeHash>) {
        let word = self.attests.words.for_change(&document, &actor, seq).map(|word| word.attestation.hash);
        let sought = self.doubts.held.get(&(document, actor)).and_then(Doubt::sought).filter(|(of, _)| *of == seq);
        let elsewhere = word.or(sought.map(|(_, hash)| hash));
        if elsewhere.is_some() && found.is_some() && elsewhere != found {
            return self.refute(space, document, (actor, seq));
        }
        // A later word may have come meanwhile, which is looked at on its own.
        if sought.is_some() {
            self.doubts.held.remove(&(document, actor));
            self.settle_word(document, actor);
        }
    }

    /// Compares all of a document, of which these are the entries, with the words for it that were not yet.
    pub(in crate::engine) fn compare_all(&mut self, space: SpaceId, document: DocumentId, entries: &[Arc<Entry>]) {
        let sought = of_document(&self.doubts.held, &document).filter_map(|(actor, doubt)| Some((actor, doubt.sought()?.0)));
        for of in sought.collect::<Vec<_>>() {
            let found = entries.iter().find(|entry| (entry.actor, entry.seq) == of);
            self.on_compared(space, document, of, found.map(|entry| entry.hash));
        }
        if self.doubts.own.remove(&document) {
            self.vouch_for_missed(space, document, entries);
        }
    }

    /// Has a document's snapshot looked into for changes of this replica's own that it has not vouched for: nobody takes them from another member. Of a
    /// sealed one what a relay has compacted was made by members, who vouch first.
    pub(super) fn look_for_own(&mut self, space: SpaceId, document: DocumentId) {
        if !is_sealed(&space) && self.log(&document).is_some_and(|log| log.snapshot().is_some()) {
            self.doubts.own.insert(document);
            self.cut_back_one(space, document);
        }
    }

    /// Looks again for changes that the store could not read.
    pub(in crate::engine) fn compare_again(&mut self, space: SpaceId, document: DocumentId) {
        let unread = |doubt: &Doubt| if let Stage::Entries((seq, _)) = doubt.stage { Some(seq) } else { None };
        let unread = of_document(&self.doubts.held, &document).filter_map(|(actor, doubt)| Some((actor, unread(doubt)?)));
        for (actor, seq) in unread.collect::<Vec<_>>() {
            self.look_among_entries(space, document, actor, seq);
        }
    }

    /// Has what is held of an actor from a change on set aside: its word for that is for another.
    fn refute(&mut self, space: SpaceId, document: DocumentId, (actor, seq): (ActorId, u64)) {
        let before = self.doubts.held.get(&(document, actor)).copied();
        let last = before.map_or_else(|| self.counting(&document, &actor), |doubt| doubt.last);
        if before.is_some_and(|doubt| doubt.is_refuted()) {
            return;
        }
        let first = self.first_in_doubt(&document, (actor, seq), last);
        let text = format!(
            "document {document} of space {space}: {}. What is held of actor {actor} from its change {first} on is set aside, and asked for again",
            AttestationError::OtherChange
        );
        self.trouble(TroubleKind::Forked, Some(document), None, text);
        self.set_aside_from(space, document, (actor, seq), last);
    }

    /// From which of an actor's changes on what is held may be another than elsewhere, where one is: a word that was not compared yet may speak against what comes before.
    fn first_in_doubt(&self, document: &DocumentId, (actor, seq): (ActorId, u64), last: u64) -> u64 {
        let is_between = |word: &&Word| word.attestation.actor == actor && (last + 1..seq).contains(&word.attestation.seq);
        self.attests.words.of_document(document).find(is_between).map_or(seq, |word| word.attestation.seq).max(last + 1)
    }

    /// Has what is held of an actor set aside from a change on which is another elsewhere; `last` is the last that it is known to have vouched for.
    fn set_aside_from(&mut self, space: SpaceId, document: DocumentId, (actor, seq): (ActorId, u64), last: u64) {
        let first = self.first_in_doubt(&document, (actor, seq), last);
        self.set_aside_beyond(space, document, [(actor, first - 1, last)]);
    }

    /// Has what is held of actors beyond these changes set aside; the others are the last that they are known to have vouched for.
    fn set_aside_beyond(&mut self, space: SpaceId, document: DocumentId, beyond: impl IntoIterator<Item = (ActorId, u64, u64)>) {
        for (actor, stays, last) in beyond {
            self.doubts.held.insert((document, actor), Doubt { last, stage: Stage::Refuted(stays) });
        }
        self.cut_back_one(space, document);
    }

    /// Compares what remains of these actors with words for it that came while the rest was set aside.
    pub(super) fn compare_what_remains(&mut self, space: SpaceId, document: DocumentId, of: impl Iterator<Item = ActorId>) {
        for actor in of {
            let of_actor = self.attests.words.of_document(&document).filter(|word| word.attestation.actor == actor);
            for (seq, hash) in of_actor.map(|word| (word.attestation.seq, word.attestation.hash)).collect::<Vec<_>>() {
                self.compare_with_word((space, document, actor), (seq, hash));
            }
        }
    }

    /// Whether an entry is the change that its actor's key vouches for under its number, if it vouches for that one; says so if not.
    pub(in crate::engine) fn is_vouched_change(&mut self, connection: ConnectionId, space: SpaceId, entry: &Entry) -> bool {
        let word = self.attests.words.for_change(&entry.document, &entry.actor, entry.seq);
        let is_other = word.is_some_and(|word| word.attestation.hash != entry.hash);
        if is_other {
            self.on_bad_attestation(connection, space, Some(entry.document), &AttestationError::OtherChange);
        } else {
            self.compare_with_suspected(space, entry);
        }
        !is_other
    }

    /// Compares a change that came again with the one that is held, where that is suspected.
    fn compare_with_suspected(&mut self, space: SpaceId, entry: &Entry) {
        let (document, actor, seq) = (entry.document, entry.actor, entry.seq);
        let Some(last) = self.doubts.suspected.get(&(document, actor)).copied().filter(|last| seq > *last) else { return };
        let is_held = self.log(&document).is_some_and(|log| log.version().clock.covers(&actor, seq));
        match self.change_held(&document, &actor, seq).filter(|_| is_held) {
            Some(held) if held != entry.hash => self.set_aside_from(space, document, (actor, seq), last),
            None if is_held && self.doubts.bound(&document, &actor) == u64::MAX => {
                self.look_for(space, document, (actor, seq), entry.hash);
            }
            _ => {}
        }
    }

    /// Others' actors of whose changes in a document more is vouched for than is held, and not all that is; and the last that is known to be.
    fn suspects(&self, space: &SpaceId, document: &DocumentId) -> Vec<(ActorId, u64)> {
        // Words for what was set aside everywhere stand there, and nothing will come that they are for.
        let has_revocations = self.trust.rolls.get(space).is_some_and(|held| held.roll.standing().has_revocations());
        let Some(log) = self.log(document).filter(|_| !has_revocations) else { return Vec::new() };
        let own = self.peer_id();
        let beyond = |word: &Word| {
            let (actor, seq) = (word.attestation.actor, word.attestation.seq);
            let (held, last) = (log.version().clock.get(&actor), self.counting(document, &actor));
            let is_own = own.is_some_and(|own| is_actor_of(&actor, &own));
            (seq > held && held > last && !is_own).then_some((actor, last))
        };
        self.attests.words.of_document(document).filter_map(beyond).collect()
    }

    /// What peers send of a document does not fit on what is held of it: suspects what may be the cause.
    pub(in crate::engine) fn suspect(&mut self, space: SpaceId, document: DocumentId) {
        self.doubts.suspected.retain(|(of, _), _| *of != document);
        let room = SUSPECTED_MAX.saturating_sub(self.doubts.suspected.len());
        let suspects = self.suspects(&space, &document).into_iter().take(room);
        self.doubts.suspected.extend(suspects.map(|(actor, last)| ((document, actor), last)));
    }

    /// A snapshot of a document does not go together with what is held of it: sets aside what is the cause, a change that has a `rival` in the snapshot, or else what may
    /// be; answers whether there is any.
    pub(in crate::engine) fn give_way_to_snapshot(
        &mut self,
        space: SpaceId,
        document: DocumentId,
        rival: Option<(ActorId, u64)>,
    ) -> bool {
        let suspects = self.suspects(&space, &document);
        let of_rival = |(suspect, last): &(ActorId, u64)| {
            rival.filter(|(actor, seq)| actor == suspect && seq > last).map(|rival| (rival, *last))
        };
        if let Some((rival, last)) = suspects.iter().find_map(of_rival) {
            self.set_aside_from(space, document, rival, last);
        } else if !suspects.is_empty() {
            self.set_aside_beyond(space, document, suspects.iter().map(|(actor, last)| (*actor, *last, *last)));
        }
        !suspects.is_empty()
    }

    /// Takes again what others built on what was set aside, as far as what it depends on is back.
    pub(in crate::engine) fn take_what_waited(&mut self) {
        let none = BTreeSet::new();
        for document in self.doubts.waiting.keys().copied().collect::<Vec<_>>() {
            let Some(space) = self.locations.get(&document).copied() else {
                self.doubts.waiting.remove(&document);
                continue;
            };
            if self.cuts.is_cutting(&document) || self.logs.is_in_line(&document) {
                continue;
            }
            let mut waiting = self.doubts.waiting.remove(&document).unwrap_or_default();
            let admission = |engine: &Self, entry: &Entry| engine.log(&document).map(|log: &Log| log.admission(entry, &none));
            waiting.retain(|entry| admission(self, entry) != Some(Admission::Held));
            while let Some(at) = waiting.iter().position(|entry| admission(self, entry) == Some(Admission::Next)) {
                let entry = waiting.remove(at);
                self.receive_entry(space, entry, NOBODY);
            }
            self.doubts.keep_waiting(document, waiting);
        }
    }
}
