//! Whether disks hold the same, and what they lack.

use super::super::cheat::Highest;
use super::{Oracle, Witness};
use driftline_core::base::id::{ChangeHash, DocumentId};
use std::collections::{BTreeMap, BTreeSet};

impl Oracle {
    /// What a replica's disk holds of a document.
    pub fn held(&self, replica: usize, document: &DocumentId) -> BTreeSet<ChangeHash> {
        self.witnesses[replica].held.get(document).map(|held| held.hashes.clone()).unwrap_or_default()
    }

    /// Whether all disks hold the same of every one of these.
    pub fn disks_agree(&self, members: &[usize], documents: &[DocumentId]) -> bool {
        let held = |witness: &Witness, document| witness.held.get(document).map(|held| held.hashes.clone()).unwrap_or_default();
        documents.iter().all(|document| {
            members.windows(2).all(|pair| {
                let (one, other) = (&self.witnesses[pair[0]], &self.witnesses[pair[1]]);
                let (a, b) = (one.held.get(document), other.held.get(document));
                a.map(|a| (&a.clock, a.end)) == b.map(|b| (&b.clock, b.end)) && held(one, document) == held(other, document)
            })
        })
    }

    /// What disks lack that others hold: the replica, whose change it is, from which number on, and how many the others hold.
    pub fn lacking(&self, members: &[usize], documents: &[DocumentId]) -> Vec<String> {
        let clock = |member: &usize, document| self.witnesses[*member].held.get(document).map(|held| &held.clock);
        let mut lacking = Vec::new();
        for document in documents {
            let mut most: Highest = BTreeMap::new();
            for (actor, seq) in members.iter().filter_map(|member| clock(member, document)).flatten() {
                let held = most.entry(*actor).or_default();
                *held = (*held).max(*seq);
            }
            for member in members {
                let held = |actor| clock(member, document).and_then(|clock| clock.get(actor)).copied().unwrap_or(0);
                let less = most.iter().filter(|(actor, seq)| held(actor) < **seq);
                lacking.extend(less.map(|(actor, seq)| format!("{member}: {actor} {} of {seq}", held(actor))));
            }
        }
        lacking
    }
}
