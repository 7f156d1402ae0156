//! Heads: the entries of a log that nothing depends on yet. Mostly there is one.

use crate::base::id::ChangeHash;

/// The hashes of the entries nothing depends on yet, in order, each once.
///
/// A list and not a tree: a replica holds the heads of every document it has, and a tree of one hash takes ten times the hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads(Vec<ChangeHash>);

impl Heads {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; answers whether it was new.
    pub fn insert(&mut self, head: ChangeHash) -> bool {
        let Err(at) = self.0.binary_search(&head) else { return false };
        if self.0.len() < FEW {
            self.0.reserve_exact(1);
        }
        self.0.insert(at, head);
        true
    }

    /// Takes one out; answers whether it was there.
    pub fn remove(&mut self, head: &ChangeHash) -> bool {
        self.0.binary_search(head).map(|at| self.0.remove(at)).is_ok()
    }

    /// Whether it is one of them.
    pub fn contains(&self, head: &ChangeHash) -> bool {
        self.0.binary_search(head).is_ok()
    }

    /// Keeps those of which this is so.
    pub fn retain(&mut self, keeps: impl FnMut(&ChangeHash) -> bool) {
        self.0.retain(keeps);
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lowest hash.
    pub fn first(&self) -> Option<&ChangeHash> {
        self.0.first()
    }

    /// The highest hash.
    pub fn last(&self) -> Option<&ChangeHash> {
        self.0.last()
    }

    /// All, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, ChangeHash> {
        self.0.iter()
    }
}

/// Up to so many, there is no room for more than there are.
const FEW: usize = 4;

impl FromIterator<ChangeHash> for Heads {
    fn from_iter<T: IntoIterator<Item = ChangeHash>>(iter: T) -> Self {
        let mut heads: Vec<ChangeHash> = iter.into_iter().collect();
        heads.sort_unstable();
        heads.dedup();
        Self(heads)
    }
}

impl Extend<ChangeHash> for Heads {
    fn extend<T: IntoIterator<Item = ChangeHash>>(&mut self, iter: T) {
        for head in iter {
            self.insert(head);
        }
    }
}

impl<const N: usize> From<[ChangeHash; N]> for Heads {
    fn from(heads: [ChangeHash; N]) -> Self {
        heads.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a Heads {
    type Item = &'a ChangeHash;
    type IntoIter = std::slice::Iter<'a, ChangeHash>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn they_are_a_set_in_order(steps in proptest::collection::vec((any::<bool>(), 0u8..6), 0..40)) {
            let (mut heads, mut set) = (Heads::new(), BTreeSet::new());
            for (adds, number) in steps {
                let head = ChangeHash([number; 32]);
                if adds {
                    prop_assert_eq!(heads.insert(head), set.insert(head));
                } else {
                    prop_assert_eq!(heads.remove(&head), set.remove(&head));
                }
                prop_assert!(heads.iter().eq(&set));
                prop_assert_eq!(heads.contains(&head), set.contains(&head));
            }
            prop_assert_eq!(heads, set.into_iter().collect::<Heads>());
        }
    }
}
