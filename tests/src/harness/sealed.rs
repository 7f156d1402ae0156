//! A sealed space in the simulated world: its founding, and the keys by which the oracle reads what relays must not.
//!
//! The owner is one of the replicas, and its disk begins with what founding the space put there. The oracle has the owner's secret key, and so every
//! epoch's; it learns of them from what replicas have their stores keep.

use super::dice::Dice;
use super::disk::Logs;
use super::oracle::Oracle;
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, SpaceId};
use driftline_core::base::time::Now;
use driftline_core::doc::change::{entry_from_body, entry_from_payload};
use driftline_core::engine::Engine;
use driftline_core::engine::config::{EngineConfig, Role};
use driftline_core::engine::effect::Effect;
use driftline_core::engine::input::Input;
use driftline_core::engine::stored::StoredStatement;
use driftline_core::engine::trust::owned::Offer;
use driftline_core::log::entry::Entry;
use driftline_core::seal::delivery::receive;
use driftline_core::seal::entry::ENTRY_MARK;
use driftline_core::seal::key::{EpochId, EpochKey};
use driftline_core::seal::keyring::{Keyring, epoch_of_actor};
use driftline_core::seal::snapshot::SealedSnapshot;
use driftline_core::store::journal::Journal;
use driftline_core::store::medium::MemoryMedium;
use driftline_core::store::task::{StoreDone, StoreTask};
use driftline_core::trust::invitation::Invitation;
use driftline_core::trust::key::{SecretKey, Signer as _};
use driftline_core::trust::statement::{Claim, Level, Statement, StatementId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a token ends with.
const TOKEN_END: &[u8] = "😀>".as_bytes();

/// A sealed space, as its owner's disk holds it.
pub struct SealedFounding {
    /// The owner's secret key.
    pub owner: [u8; 32],
    /// Links, by which whoever has one may write there, each until its time in seconds of Unix time.
    pub links: Vec<Invitation>,
    /// What the owner's disk begins with.
    pub areas: [Vec<u8>; 2],
}

/// Founds a sealed space at some time, in seconds of Unix time, and makes a link for each of these ends; 0 is none.
pub fn found_sealed(dice: &mut Dice, unix_s: u64, ends: &[u64]) -> SealedFounding {
    let owner = dice.bytes();
    let config = EngineConfig { identity: Some(owner), ..EngineConfig::new(Role::Client, dice.bytes()) };
    let now = Now { monotonic_ms: 0, unix_ms: 1_000 * unix_s as i64 };
    let (mut engine, mut journal) = (Engine::new(config, now), Journal::new(MemoryMedium::new()));
    let mut settle = |engine: &mut Engine| {
        while let Some(effect) = engine.poll_effect() {
            if let Effect::Store { task, work } = effect {
                engine.handle(now, Input::StoreDone { task, result: journal.execute(work) });
            }
        }
    };
    settle(&mut engine);
    let space = engine.found_sealed_space(now).expect("its store is open");
    settle(&mut engine);
    let mut links = Vec::new();
    for expires in ends {
        let offer = Offer { level: Level::Write, expires: *expires, note: String::new(), relays: Vec::new() };
        links.push(engine.invite(now, space, offer).expect("the owner may let in whom it likes"));
        settle(&mut engine);
    }
    SealedFounding { owner, links, areas: journal.into_medium().areas().clone() }
}

/// The keys of a sealed space, as far as its owner has them.
pub struct Keys {
    owner: SecretKey,
    ring: Keyring,
    /// Every statement that some replica had its store keep, in the order in which they came up.
    statements: Vec<Statement>,
    seen: BTreeSet<StatementId>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.ring.space())
    }
}

impl Oracle {
    /// Whether a relay that cheats has altered what is sealed.
    pub(super) fn is_broken(&self, entry: &Entry) -> bool {
        self.cheated && self.keys.as_ref().is_some_and(|keys| keys.is_broken(&entry.document, &entry.payload))
    }

    /// Which entries of these logs it has altered.
    pub(super) fn broken_in(&self, logs: &Logs) -> BTreeSet<ChangeHash> {
        let entries = logs.values().flatten().map(|(_, entry)| entry);
        entries.filter(|entry| self.is_broken(entry)).map(|entry| entry.hash).collect()
    }
}

impl Keys {
    /// The keys of a space that was founded so.
    pub fn of(founding: &SealedFounding) -> Self {
        let space = founding.links.first().expect("there is a link for someone").space;
        let mut keys = Self {
            owner: SecretKey::new(&founding.owner),
            ring: Keyring::new(space),
            statements: Vec::new(),
            seen: BTreeSet::new(),
        };
        let mut journal = Journal::new(MemoryMedium::from_areas(founding.areas.clone()));
        let opened = journal.execute(StoreTask::Open { epoch: driftline_core::base::id::StoreEpoch([0; 16]) });
        if let Ok(StoreDone::Opened(contents)) = opened {
            contents.meta.iter().for_each(|(name, value)| keys.learn(name, value));
        }
        keys
    }

    /// A replica has its store keep this under a name.
    pub fn learn(&mut self, name: &str, value: &[u8]) {
        let Some((space, bytes)) = StoredStatement::read(name, value) else { return };
        let Ok(statement) = Statement::decode(&space, bytes) else { return };
        if !self.seen.insert(statement.id()) {
            return;
        }
        if let Claim::Epoch(epoch) = statement.claim()
            && let Some(sealed) = epoch.deliveries.get(&self.owner.peer())
            && let Some(key) = opened(&space, &self.owner, &epoch.ephemeral, sealed)
        {
            self.ring.put(EpochId(statement.id().0), key);
        }
        self.statements.push(statement);
    }

    /// How many statements have come up.
    pub fn count(&self) -> usize {
        self.statements.len()
    }

    /// The name under which a change travels.
    pub fn name(&self, document: &DocumentId, actor: &ActorId, hash: &ChangeHash) -> Option<ChangeHash> {
        self.ring.name(document, actor, hash)
    }

    /// Whether what a log holds is broken under its seal: a relay cannot tell.
    pub fn is_broken(&self, document: &DocumentId, payload: &Arc<[u8]>) -> bool {
        payload.first() == Some(&ENTRY_MARK) && self.ring.open_entry(document, payload).is_err()
    }

    /// The change in what a log holds, which is that change where it is read from a snapshot.
    pub fn clear(&self, document: &DocumentId, payload: &Arc<[u8]>) -> Arc<[u8]> {
        if payload.first() != Some(&ENTRY_MARK) {
            return Arc::clone(payload);
        }
        let opened =
            self.ring.open_entry(document, payload).unwrap_or_else(|error| panic!("S3: a log holds a broken seal: {error}"));
        let (_, body) = opened.expect("the owner has every key");
        entry_from_body(*document, &body).unwrap_or_else(|error| panic!("S3: what is sealed is no change: {error}")).payload
    }

    /// What a sealed snapshot stands for: changes under the names that they have in logs.
    pub fn expand(&self, document: DocumentId, bytes: &[u8]) -> Vec<Arc<Entry>> {
        let snapshot = SealedSnapshot::read(bytes).unwrap_or_else(|error| panic!("S12: a snapshot is not sealed: {error}"));
        let opened =
            self.ring.open_snapshot(&document, &snapshot).unwrap_or_else(|error| panic!("S4: a broken snapshot: {error}"));
        let saved = opened.expect("the owner has every key");
        let loaded = automerge::Automerge::load(&saved).unwrap_or_else(|error| panic!("S4: a snapshot does not load: {error}"));
        let mut names: BTreeMap<ChangeHash, ChangeHash> = BTreeMap::new();
        let mut entries = Vec::new();
        for change in loaded.get_changes(&[]) {
            let clear = entry_from_payload(document, Arc::from(change.raw_bytes())).expect("automerge made it");
            let name = self.name(&document, &clear.actor, &clear.hash).expect("the owner has every key");
            names.insert(clear.hash, name);
            let deps = clear.deps.iter().map(|dep| names[dep]).collect();
            entries.push(Arc::new(Entry { hash: name, deps, ..clear }));
        }
        entries
    }

    /// With a key and a link of theirs, someone can open nothing of all this that was sealed under an epoch which came up after so many statements (S12).
    pub fn judge(&self, secret: &[u8; 32], link: &Invitation, from: usize, sealed: &[(DocumentId, Arc<[u8]>)]) -> usize {
        let space = self.ring.space();
        let mut ring = Keyring::new(space);
        if let Some((epoch, key)) = link.key {
            ring.put(EpochId(epoch), EpochKey::new(key));
        }
        for of in [SecretKey::new(secret), SecretKey::new(&link.secret)] {
            for statement in &self.statements {
                let found = match statement.claim() {
                    Claim::Epoch(epoch) => {
                        epoch.deliveries.get(&of.peer()).map(|sealed| (statement.id(), epoch.ephemeral, *sealed))
                    }
                    Claim::Delivery(delivery) if delivery.subject == of.peer() => {
                        Some((delivery.epoch, delivery.ephemeral, delivery.sealed))
                    }
                    _ => None,
                };
                if let Some((id, ephemeral, sealed)) = found
                    && let Some(key) = opened(&space, &of, &ephemeral, &sealed)
                {
                    ring.put(EpochId(id.0), key);
                }
            }
        }
        let is_later = |(at, statement): (usize, &Statement)| {
            (at >= from && matches!(statement.claim(), Claim::Epoch(_))).then(|| EpochId(statement.id().0))
        };
        let later: Vec<EpochId> = self.statements.iter().enumerate().filter_map(is_later).collect();
        let mut unopened = 0;
        for epoch in &later {
            assert!(ring.key(epoch).is_none(), "S12: who was shut out has the key of an epoch that came after");
            let under = sealed.iter().filter(|(_, payload)| {
                let header = driftline_core::seal::entry::SealedHeader::read(payload);
                header.is_ok_and(|header| epoch_of_actor(&header.actor) == Some(epoch.tag()))
            });
            for (document, payload) in under {
                let read = ring.open_entry(document, payload);
                assert!(!matches!(read, Ok(Some(_))), "S12: who was shut out opens what was written after");
                unopened += 1;
            }
        }
        unopened
    }
}

fn opened(space: &SpaceId, of: &SecretKey, ephemeral: &[u8; 32], sealed: &[u8; 48]) -> Option<EpochKey> {
    use driftline_core::trust::key::Opener as _;
    receive(space, &of.peer(), ephemeral, &of.agree(ephemeral)?, sealed)
}

/// Whether a token of the workload's stands in these bytes, as it is typed (S12).
pub fn shows_a_token(bytes: &[u8]) -> bool {
    bytes.windows(TOKEN_END.len()).enumerate().filter(|(_, window)| *window == TOKEN_END).any(|(at, _)| {
        let digits = bytes[..at].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && at.checked_sub(digits + 1).is_some_and(|before| bytes[before] == b'<')
    })
}

/// The bytes of a storage task that came from somewhere else.
pub fn bytes_of(task: &StoreTask) -> Vec<&[u8]> {
    match task {
        StoreTask::Append { entries, values } | StoreTask::Renew { entries, values, .. } => {
            let payloads = entries.iter().map(|stored| &*stored.entry.payload);
            payloads.chain(values.iter().map(|(_, value)| value.as_slice())).collect()
        }
        StoreTask::PutMeta { value, .. } => vec![value],
        StoreTask::PutSnapshot { snapshot, .. } => vec![&snapshot.bytes],
        _ => Vec::new(),
    }
}
