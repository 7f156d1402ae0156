//! From an unopened store to a replica at work.

use super::config::Role;
use super::effect::{Event, TroubleKind};
use super::logs::Work;
use super::stored::IDENTITY_KEY;
use super::{Engine, Phase};
use crate::base::id::{ActorId, StoreEpoch};
use crate::log::log::Log;
use crate::store::task::{StoreContents, StoreTask};
use crate::sync::hello::Identity;
use crate::trust::owned::actor_of;

impl Engine {
    pub(super) fn on_store_opened(&mut self, contents: StoreContents) {
        let stored = contents.meta.iter().find(|(key, _)| key == IDENTITY_KEY);
        let stored = stored.and_then(|(_, value)| <[u8; 32]>::try_from(value.as_slice()).ok());
        match self.config.identity.or(stored) {
            Some(secret) => self.begin(contents, secret),
            None => {
                // Nobody may hear of a key that a crash could take: who has met this replica under two names would count
                // its copies twice.
                let secret: [u8; 32] = self.rng.bytes();
                let work = Work::Identity { contents: Box::new(contents), secret };
                self.store(work, StoreTask::PutMeta { key: IDENTITY_KEY.to_owned(), value: secret.to_vec() });
            }
        }
    }

    /// Goes to work with what the store holds, under the identity of a secret key that is durable.
    pub(super) fn begin(&mut self, contents: StoreContents, secret: [u8; 32]) {
        for (key, value) in &contents.meta {
            self.saved.load(key, value);
            self.states.load(key, value);
            self.previews.load(key, value);
            self.mirrors.load(key, value);
        }
        let mut identity = Identity::new(
            &secret,
            contents.epoch.unwrap_or(StoreEpoch([0; 16])),
            self.config.role == Role::Relay,
            self.config.agent.clone(),
            self.config.limits.frame_bytes_max as u64,
        );
        identity.version_max = self.config.version_max;
        let actor = ActorId::new(&self.rng.bytes::<16>()).expect("16 bytes are few enough");
        let peer = identity.peer();
        let owned_actor = actor_of(&peer, &self.rng.bytes());
        self.phase = Phase::Running { identity, actor, owned_actor };
        let documents = contents.documents.len();
        for stored in contents.documents {
            self.locations.insert(stored.document, stored.space);
            if !self.is_relay() {
                self.saved.held_at_start(stored.document, &stored.version.clock);
            }
            let log = Log::stored(stored.document, stored.space, stored.version, stored.end);
            let log = log.with_snapshot(stored.snapshot, stored.bytes);
            self.change_space(stored.space, |held| held.insert(log));
            self.on_log_grown(stored.document);
        }
        self.load_links(&contents.meta);
        self.load_rolls(&contents.meta);
        self.load_own_actors(&contents.meta);
        self.load_forgotten(&contents.meta);
        self.load_attestations(&contents.meta);
        self.load_post(&contents.meta);
        self.load_introductions(&contents.meta);
        self.load_house(&contents.meta);
        self.check_previews();
        self.restore_states(&contents.damaged);
        self.tell(Event::Ready { peer, documents });
        self.stats.quarantined += contents.damaged.len() as u64;
        for (document, what) in contents.damaged {
            let message = format!(
                "document {document} is damaged in the store and was set aside; it is fetched again from peers that hold it. {what}"
            );
            self.trouble(TroubleKind::Damaged, Some(document), None, message);
        }
        for what in contents.lost {
            self.trouble(TroubleKind::Damaged, None, None, format!("part of the store is damaged. {what}"));
        }
        self.take_up_introductions();
        self.open_where_devices_are_lost();
        for input in std::mem::take(&mut self.deferred) {
            self.on_input(input);
        }
    }

    pub(super) fn on_store_open_failed(&mut self, message: String) {
        self.phase = Phase::Failed;
        self.deferred.clear();
        self.trouble(TroubleKind::StoreOpen, None, None, message);
    }
}
