//! What really happened, counted: a generator that has died cannot pass for one that found nothing.

use driftline_core::engine::effect::{Effect, Event};
use driftline_core::store::task::StoreTask;
use std::collections::BTreeMap;

/// Counts by name, over one life or many.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: BTreeMap<String, u64>,
}

impl Tally {
    /// One more of `what`.
    pub fn count(&mut self, what: &str) {
        self.add(what, 1);
    }

    /// Several more of `what`.
    pub fn add(&mut self, what: &str, many: u64) {
        match self.counts.get_mut(what) {
            Some(count) => *count += many,
            None => _ = self.counts.insert(what.to_owned(), many),
        }
    }

    /// How many of `what`.
    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// All of another's too.
    pub fn merge(&mut self, other: &Self) {
        for (what, many) in &other.counts {
            self.add(what, *many);
        }
    }

    /// Every count, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(what, many)| (what.as_str(), *many))
    }

    /// Counts an effect by what it is.
    pub fn effect(&mut self, effect: &Effect) {
        self.count(effect_name(effect));
    }
}

fn effect_name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Send { .. } => "effect Send",
        Effect::Disconnect { .. } => "effect Disconnect",
        Effect::Dial { .. } => "effect Dial",
        Effect::Store { work, .. } => match work {
            StoreTask::Open { .. } => "store Open",
            StoreTask::Append { .. } => "store Append",
            StoreTask::Renew { .. } => "store Renew",
            StoreTask::Read { .. } => "store Read",
            StoreTask::Find { .. } => "store Find",
            StoreTask::PutSnapshot { snapshot, base, .. } if base.position < snapshot.end() => {
                "store PutSnapshot keeping entries"
            }
            StoreTask::PutSnapshot { .. } => "store PutSnapshot",
            StoreTask::ReadSnapshot { .. } => "store ReadSnapshot",
            StoreTask::PutMeta { .. } => "store PutMeta",
            StoreTask::Quarantine { .. } => "store Quarantine",
        },
        Effect::Assemble { assembly, .. } if !assembly.sought.is_empty() => "effect Assemble to seek",
        Effect::Assemble { .. } => "effect Assemble",
        Effect::Event(event) => match event {
            Event::Ready { .. } => "event Ready",
            Event::PeerConnected { .. } => "event PeerConnected",
            Event::PeerDisconnected { .. } => "event PeerDisconnected",
            Event::SpaceSync { .. } => "event SpaceSync",
            Event::DocumentAdded { .. } => "event DocumentAdded",
            Event::DocumentChanged { .. } => "event DocumentChanged",
            Event::DocumentOpened { .. } => "event DocumentOpened",
            Event::DocumentEdited { .. } => "event DocumentEdited",
            Event::ViewUpdated(_) => "event ViewUpdated",
            Event::EditRefused { .. } => "event EditRefused",
            Event::Saved(_) => "event Saved",
            Event::Presence { .. } => "event Presence",
            Event::Trouble(_) => "event Trouble",
            Event::AccessChanged { .. } => "event AccessChanged",
            Event::MembersChanged { .. } => "event MembersChanged",
            Event::LetterArrived { .. } => "event LetterArrived",
            Event::LetterboxEmptied { .. } => "event LetterboxEmptied",
            Event::IntroductionsChanged => "event IntroductionsChanged",
            Event::LetterSent { .. } => "event LetterSent",
            Event::LetterRefused { .. } => "event LetterRefused",
            Event::StatementsShared { .. } => "event StatementsShared",
            Event::Durable { .. } => "event Durable",
            Event::Audit(_) => "event Audit",
            Event::Anew { .. } => "event Anew",
            Event::Reread { .. } => "event Reread",
        },
    }
}
